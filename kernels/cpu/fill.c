/*
 * fill.c - which kernels this machine runs: the one file compiled once, without SIMD.
 */
#include "core/tensor/backend.h"

#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#define WF_KERNELS 1
void wfk_fill_avx2(wf_device *d);
void wfk_fill_avx512(wf_device *d);
void wfk_fill_avx512bf16(wf_device *d);
void wfk_fill_amx(wf_device *d);

/* Not every compiler's __builtin_cpu_supports knows this one. */
static int has_f16c(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C) != 0;
}

static int has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
}

static int has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
        && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}

static int has_avx512bf16(void) { return has_avx512() && __builtin_cpu_supports("avx512bf16"); }

/* Tiles of bf16, and the kernel's leave to have their registers. */
static int has_amx(void)
{
    enum { BF16 = 1 << 22, TILES = 1 << 24 };
    unsigned a, b, c, d;
    if (!has_avx512bf16() || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 0;
    if ((d & BF16) == 0 || (d & TILES) == 0) return 0;
#if defined(__linux__)
    enum { ASK = 0x1023, TILE_DATA = 18 };           /* ARCH_REQ_XCOMP_PERM */
    return syscall(SYS_arch_prctl, ASK, TILE_DATA) == 0;
#else
    return 0;
#endif
}

/* From the highest level down. */
static const struct level {
    const char *name;
    int (*has)(void);
    void (*fill)(wf_device *d);
} levels[] = {
    {"amx", has_amx, wfk_fill_amx},
    {"avx512bf16", has_avx512bf16, wfk_fill_avx512bf16},
    {"avx512", has_avx512, wfk_fill_avx512},
    {"avx2", has_avx2, wfk_fill_avx2},
};

static const char *fill(wf_device *d, const char *highest)
{
    enum { N = sizeof levels / sizeof levels[0] };
    int first = 0;
    for (int i = 0; i < N; i++)
        if (strcmp(highest, levels[i].name) == 0) first = i;
    __builtin_cpu_init();
    for (int i = first; i < N; i++) {
        if (!levels[i].has()) continue;
        levels[i].fill(d);
        return levels[i].name;
    }
    return "plain";
}
#endif

const char *wf_cpu_fill(wf_device *d, const char *highest)
{
    memset(d->kernel, 0, sizeof d->kernel);
#if defined(WF_KERNELS)
    if (strcmp(highest, "plain") != 0) return fill(d, highest);
#else
    (void)highest;
#endif
    return "plain";
}
