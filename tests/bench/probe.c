/*
 * probe.c - what the machine can do at its best, for LuaJIT's ffi: the rate of f32 multiply-adds,
 * of bf16 pairs, and of reading memory. Each thread runs the same loop; the answer is the sum.
 */
#include <immintrin.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_THREADS = 64, CHAINS = 16, STREAMS = 8, AHEAD_BYTES = 1024, LINE_BYTES = 64 };

enum { F32, PAIRS, TILES };

/* Operations a second of multiply-adds of f32, pairs of bf16, or tiles of bf16; 0 for pairs that the
 * machine has not. Tiles are for a process that may use them. */
double probe_flops(int n_threads, int kind, double seconds);
/* Bytes read a second over n_bytes of memory, touched first. 0 without that much memory. */
double probe_read(int n_threads, double n_bytes);

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef struct job {
    int kind;
    double seconds, done;               /* done: operations or bytes */
    const char *from;
    size_t n_bytes;
} job;

static volatile float sink;

__attribute__((target("avx512f"))) static double fma_wide(long n)
{
    __m512 s[CHAINS], x = _mm512_set1_ps(0.999999f), y = _mm512_set1_ps(1e-7f);
#pragma GCC unroll 16
    for (int i = 0; i < CHAINS; i++) s[i] = y;
    for (long k = 0; k < n; k++) {
#pragma GCC unroll 16
        for (int i = 0; i < CHAINS; i++) __asm__ volatile("vfmadd213ps %2, %1, %0"
                                                          : "+v"(s[i]) : "v"(x), "v"(y));
    }
#pragma GCC unroll 16
    for (int i = 0; i < CHAINS; i++) sink = _mm512_reduce_add_ps(s[i]);
    return (double)n * CHAINS * 32;
}

__attribute__((target("avx512f,avx512bf16"))) static double fma_pairs(long n)
{
    __m512 s[CHAINS], x = _mm512_set1_ps(0.0f);
#pragma GCC unroll 16
    for (int i = 0; i < CHAINS; i++) s[i] = x;
    for (long k = 0; k < n; k++) {
#pragma GCC unroll 16
        for (int i = 0; i < CHAINS; i++) __asm__ volatile("vdpbf16ps %1, %1, %0"
                                                          : "+v"(s[i]) : "v"(x));
    }
#pragma GCC unroll 16
    for (int i = 0; i < CHAINS; i++) sink = _mm512_reduce_add_ps(s[i]);
    return (double)n * CHAINS * 64;
}

__attribute__((target("avx2,fma"))) static double fma_narrow(long n)
{
    enum { N = 12 };                    /* 16 registers */
    __m256 s[N], x = _mm256_set1_ps(0.999999f), y = _mm256_set1_ps(1e-7f);
#pragma GCC unroll 12
    for (int i = 0; i < N; i++) s[i] = y;
    for (long k = 0; k < n; k++) {
#pragma GCC unroll 12
        for (int i = 0; i < N; i++) __asm__ volatile("vfmadd213ps %2, %1, %0"
                                                     : "+x"(s[i]) : "x"(x), "x"(y));
    }
#pragma GCC unroll 12
    for (int i = 0; i < N; i++) sink = s[i][0];
    return (double)n * N * 16;
}

__attribute__((target("amx-tile,amx-bf16"))) static double fma_tiles(long n)
{
    static const struct {
        unsigned char palette, start, reserved[14];
        unsigned short row_bytes[16];
        unsigned char rows[16];
    } shape = {1, 0, {0}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};
    _tile_loadconfig(&shape);
    for (long k = 0; k < n; k++) {
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_release();
    return (double)n * 4 * 16 * 16 * 32 * 2;
}

static void *flops_thread(void *arg)
{
    job *j = arg;
    const double end = now() + j->seconds;
    const int wide = __builtin_cpu_supports("avx512f");
    while (now() < end) {
        if (j->kind == TILES) j->done += fma_tiles(2000);
        else if (j->kind == PAIRS) j->done += fma_pairs(20000);
        else j->done += wide ? fma_wide(20000) : fma_narrow(20000);
    }
    return NULL;
}

/* STREAMS runs of whole lines side by side, so that many loads are under way. */
static void *read_thread(void *arg)
{
    job *j = arg;
    const size_t run = j->n_bytes / STREAMS / LINE_BYTES * LINE_BYTES;
    __m128 s[STREAMS];
#pragma GCC unroll 8
    for (int k = 0; k < STREAMS; k++) s[k] = _mm_setzero_ps();
    for (size_t i = 0; i < run; i += LINE_BYTES) {
#pragma GCC unroll 8
        for (int k = 0; k < STREAMS; k++) {
            const char *p = j->from + (size_t)k * run + i;
            _mm_prefetch(p + AHEAD_BYTES, _MM_HINT_T0);
            s[k] = _mm_add_ps(s[k], _mm_load_ps((const float *)(const void *)p));
        }
    }
#pragma GCC unroll 8
    for (int k = 0; k < STREAMS; k++) sink = _mm_cvtss_f32(s[k]);
    j->done = (double)run * STREAMS;
    return NULL;
}

/* Run n jobs on as many threads; what they have done together, a second. */
static double run_all(int n, job *jobs, void *(*f)(void *))
{
    pthread_t threads[MAX_THREADS];
    int started = 0;
    const double start = now();
    while (started < n && pthread_create(&threads[started], NULL, f, &jobs[started]) == 0) started++;
    double done = 0.0;
    for (int i = 0; i < started; i++) {
        pthread_join(threads[i], NULL);
        done += jobs[i].done;
    }
    return done / (now() - start);
}

static int clamp_threads(int n) { return n < 1 ? 1 : n > MAX_THREADS ? MAX_THREADS : n; }

double probe_flops(int n_threads, int kind, double seconds)
{
    job jobs[MAX_THREADS];
    const int n = clamp_threads(n_threads);
    __builtin_cpu_init();
    if (kind == PAIRS && !__builtin_cpu_supports("avx512bf16")) return 0.0;
    for (int i = 0; i < n; i++) jobs[i] = (job){.kind = kind, .seconds = seconds};
    return run_all(n, jobs, flops_thread);
}

double probe_read(int n_threads, double n_bytes)
{
    job jobs[MAX_THREADS];
    const int n = clamp_threads(n_threads);
    const size_t each = (size_t)n_bytes / (size_t)n / 4096 * 4096;
    char *p = aligned_alloc(4096, each * (size_t)n + 4096);
    if (!p) return 0.0;
    memset(p, 1, each * (size_t)n + 4096);
    for (int i = 0; i < n; i++) jobs[i] = (job){.from = p + (size_t)i * each, .n_bytes = each};
    const double rate = run_all(n, jobs, read_thread);
    free(p);
    return rate;
}
