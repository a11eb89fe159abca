/*
 * mem.c - counted memory with a cache of freed blocks.
 *
 * The one caller of the system's allocator. Every block has a 64-byte header that says its class,
 * so a free needs no size. Large blocks are rounded up to an eighth of a power of two and kept by
 * class when freed: a training or sampling step asks for the same sizes again and again, and fresh
 * pages cost more than the work done in small tensors.
 */
#include "core/base/mem.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Under the address sanitizer blocks in the cache are poisoned, so that their use is found. */
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

enum {
    HEADER_BYTES = 64,
    SLACK_BYTES = 64,                   /* readable behind every block, for vector tails */
    N_CLASSES = 8 * 48,                 /* eight a power of two, up to 2^54 bytes */
    MIN_LOG2 = 6,
    HUGE_BYTES = 4 << 20                /* from here on ask for huge pages: fewer page faults */
};

static const size_t SPARE_BYTES = (size_t)128 << 20;       /* cached beyond what was ever live */

typedef struct block {
    size_t bytes;                       /* of the class, without header and slack */
    int size_class;
    struct block *next;                 /* in the cache */
} block;

struct wf_mem {
    pthread_mutex_t lock;
    wf_mem_stats stats;
    uint64_t fail_at;                   /* the count of n_allocs that fails; 0: none */
    bool fail_on;                       /* so do all that come after it */
    size_t most_live_bytes;             /* ever */
    block *cache[N_CLASSES];
};

wf_mem *wf_mem_new(void)
{
    wf_mem *m = calloc(1, sizeof *m);
    if (m && pthread_mutex_init(&m->lock, NULL) != 0) {
        free(m);
        return NULL;
    }
    return m;
}

static void *data_of(block *b) { return (char *)b + HEADER_BYTES; }

/* Give cached blocks back, large ones first, until at most keep bytes are cached. */
static void trim_locked(wf_mem *m, size_t keep)
{
    for (int i = N_CLASSES - 1; i >= 0 && m->stats.cached_bytes > keep; i--) {
        while (m->cache[i] && m->stats.cached_bytes > keep) {
            block *b = m->cache[i];
            m->cache[i] = b->next;
            m->stats.cached_bytes -= b->bytes;
            ASAN_UNPOISON_MEMORY_REGION(data_of(b), b->bytes + SLACK_BYTES);
            free(b);
        }
    }
}

void wf_mem_free_all(wf_mem *m)
{
    if (!m) return;
    trim_locked(m, 0);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

/* Class of a request, and the bytes of that class: 2^e * (8 + f) / 8 with f of 0..7. */
static int class_of(size_t bytes, size_t *class_bytes)
{
    size_t n = bytes < ((size_t)1 << MIN_LOG2) ? (size_t)1 << MIN_LOG2 : bytes;
    int e = 63 - __builtin_clzll(n);
    const size_t eighth = (size_t)1 << (e - 3);
    size_t f = (n - ((size_t)1 << e) + eighth - 1) / eighth;
    if (f == 8) {
        e++;
        f = 0;
    }
    *class_bytes = ((size_t)1 << e) + f * ((size_t)1 << (e - 3));
    return (e - MIN_LOG2) * 8 + (int)f;
}

static block *system_block(size_t class_bytes)
{
    const size_t total = HEADER_BYTES + class_bytes + SLACK_BYTES;
    const size_t align = class_bytes >= HUGE_BYTES ? (size_t)2 << 20 : 64;
    const size_t rounded = (total + align - 1) / align * align;
    block *b = rounded < total ? NULL : aligned_alloc(align, rounded);
    if (b && class_bytes >= HUGE_BYTES) (void)madvise(b, rounded, MADV_HUGEPAGE);
    return b;
}

static void count_peak(wf_mem *m)
{
    const size_t now = m->stats.live_bytes + m->stats.cached_bytes;
    if (now > m->stats.peak_bytes) m->stats.peak_bytes = now;
}

static block *alloc_locked(wf_mem *m, size_t class_bytes, int k)
{
    block *b = m->cache[k];
    if (b) {
        m->cache[k] = b->next;
        m->stats.cached_bytes -= class_bytes;
        return b;
    }
    /* A miss: what is cached may stay as long as all of it was once live together. */
    const size_t most = m->most_live_bytes + m->most_live_bytes / 8 + SPARE_BYTES;
    const size_t need = m->stats.live_bytes + class_bytes;
    if (need + m->stats.cached_bytes > most) trim_locked(m, need < most ? most - need : 0);
    b = system_block(class_bytes);
    if (!b) {
        trim_locked(m, 0);
        b = system_block(class_bytes);
    }
    return b;
}

/* Count an allocation; whether it is one that a test makes fail. */
static bool fails_locked(wf_mem *m)
{
    const uint64_t n = ++m->stats.n_allocs;
    return m->fail_at && (n == m->fail_at || (m->fail_on && n > m->fail_at));
}

void *wf_mem_alloc(wf_mem *m, size_t bytes)
{
    if (bytes > (size_t)1 << 52) return NULL;
    size_t class_bytes;
    const int k = class_of(bytes, &class_bytes);

    pthread_mutex_lock(&m->lock);
    block *b = NULL;
    if (!fails_locked(m)) b = alloc_locked(m, class_bytes, k);
    if (b) {
        m->stats.live_bytes += class_bytes;
        if (m->stats.live_bytes > m->most_live_bytes) m->most_live_bytes = m->stats.live_bytes;
        count_peak(m);
    }
    pthread_mutex_unlock(&m->lock);

    if (!b) return NULL;
    b->bytes = class_bytes;
    b->size_class = k;
    b->next = NULL;
    ASAN_UNPOISON_MEMORY_REGION(data_of(b), class_bytes + SLACK_BYTES);
    return data_of(b);
}

void *wf_mem_calloc(wf_mem *m, size_t bytes)
{
    void *p = wf_mem_alloc(m, bytes);
    if (p) memset(p, 0, bytes);
    return p;
}

void wf_mem_free(wf_mem *m, void *p)
{
    if (!p) return;
    block *b = (block *)(void *)((char *)p - HEADER_BYTES);
    pthread_mutex_lock(&m->lock);
    m->stats.live_bytes -= b->bytes;
    m->stats.cached_bytes += b->bytes;
    b->next = m->cache[b->size_class];
    m->cache[b->size_class] = b;
    ASAN_POISON_MEMORY_REGION(p, b->bytes + SLACK_BYTES);
    pthread_mutex_unlock(&m->lock);
}

static void set_failure(wf_mem *m, uint64_t n, bool on)
{
    pthread_mutex_lock(&m->lock);
    m->fail_at = n ? m->stats.n_allocs + n : 0;
    m->fail_on = on;
    pthread_mutex_unlock(&m->lock);
}

void wf_mem_fail_nth(wf_mem *m, uint64_t n) { set_failure(m, n, false); }
void wf_mem_fail_from(wf_mem *m, uint64_t n) { set_failure(m, n, true); }

void wf_mem_trim(wf_mem *m)
{
    pthread_mutex_lock(&m->lock);
    trim_locked(m, 0);
    pthread_mutex_unlock(&m->lock);
}

/* The number behind name in a file of the system, or else SIZE_MAX. */
static size_t read_number(const char *path, const char *name)
{
    char line[160];
    unsigned long long n = 0;
    bool found = false;
    FILE *f = fopen(path, "r");
    while (f && !found && fgets(line, sizeof line, f))
        found = strncmp(line, name, strlen(name)) == 0
             && sscanf(line + strlen(name), "%llu", &n) == 1;
    if (f) fclose(f);
    return found ? (size_t)n : SIZE_MAX;
}

/* What the control group leaves; the cached files that it counts as used can be dropped. */
static size_t left_in_group(void)
{
    static const char *const stat = "/sys/fs/cgroup/memory.stat";
    const size_t most = read_number("/sys/fs/cgroup/memory.max", "");
    const size_t used = read_number("/sys/fs/cgroup/memory.current", "");
    if (most == SIZE_MAX || used == SIZE_MAX) return SIZE_MAX;
    const size_t old = read_number(stat, "inactive_file "), new = read_number(stat, "active_file ");
    const size_t files = (old == SIZE_MAX ? 0 : old) + (new == SIZE_MAX ? 0 : new);
    const size_t kept = used > files ? used - files : 0;
    return most > kept ? most - kept : 0;
}

size_t wf_mem_find_available(void)
{
    const size_t kib = read_number("/proc/meminfo", "MemAvailable:"), group = left_in_group();
    const size_t system = kib == SIZE_MAX ? SIZE_MAX : kib * 1024;
    return group < system ? group : system;
}

void wf_mem_count_mapped(wf_mem *m, int64_t bytes)
{
    pthread_mutex_lock(&m->lock);
    m->stats.mapped_bytes = (size_t)((int64_t)m->stats.mapped_bytes + bytes);
    pthread_mutex_unlock(&m->lock);
}

wf_mem_stats wf_mem_get_stats(wf_mem *m)
{
    pthread_mutex_lock(&m->lock);
    const wf_mem_stats s = m->stats;
    pthread_mutex_unlock(&m->lock);
    return s;
}

void wf_mem_reset_peak(wf_mem *m)
{
    pthread_mutex_lock(&m->lock);
    m->stats.peak_bytes = m->stats.live_bytes + m->stats.cached_bytes;
    pthread_mutex_unlock(&m->lock);
}
