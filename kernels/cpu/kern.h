/* kern.h - what kernel files share: cutting work into parts, and scratch. */
#ifndef WF_KERNELS_CPU_KERN_H
#define WF_KERNELS_CPU_KERN_H

#include <stdbool.h>

#include "core/tensor/backend.h"
#include "core/tensor/op_impl.h"
#include "kernels/cpu/simd.h"

/* Values in one part of an elementwise job, and the work (in about that unit) that one thread does
 * sooner than it wakes another. */
enum { GRAIN = 16384, SMALL_WORK = 4 * GRAIN };

/* Run parts 0 .. n-1; in this thread when the work (about one value's loads and stores each) is
 * small. */
static inline void run_parts(wf_ctx *c, int64_t n, double work, wf_part_fn fn, void *arg)
{
    if (n > 1 && work > SMALL_WORK) wf_pool_run(wf_ctx_get_pool(c), n, fn, arg);
    else
        for (int64_t i = 0; i < n; i++) fn(arg, i, 0);
}

static inline int64_t div_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
static inline int64_t min_i(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t max_i(int64_t a, int64_t b) { return a > b ? a : b; }

static inline void *scratch_alloc(wf_ctx *c, int64_t elems, size_t elem_bytes)
{
    return wf_mem_alloc(wf_ctx_get_mem(c), (size_t)elems * elem_bytes + 256);
}
static inline void scratch_free(wf_ctx *c, void *p) { wf_mem_free(wf_ctx_get_mem(c), p); }
static inline int count_workers(wf_ctx *c) { return wf_pool_get_n_threads(wf_ctx_get_pool(c)); }

static inline bool is_f32(const wf_tensor *t) { return !t || wf_get_dtype(t) == WF_DTYPE_F32; }
/* Every input and output f32 (absent ones aside). */
static inline bool all_f32(const wf_op_args *a)
{
    bool yes = true;
    for (int i = 0; i < a->n_in; i++) yes = yes && is_f32(a->in[i]);
    for (int i = 0; i < a->n_out; i++) yes = yes && is_f32(a->out[i]);
    return yes;
}
/* f32, f16 or bf16: what packing expands. */
static inline bool is_plain_float(const wf_tensor *t)
{
    const wf_dtype d = wf_get_dtype(t);
    return d == WF_DTYPE_F32 || d == WF_DTYPE_F16 || d == WF_DTYPE_BF16;
}
static inline size_t float_bytes(wf_dtype t) { return t == WF_DTYPE_F32 ? 4 : 2; }

/* Inputs beyond n_in are absent. */
static inline wf_tensor *input(const wf_op_args *a, int i) { return i < a->n_in ? a->in[i] : NULL; }
static inline const float *floats(wf_tensor *t) { return t ? wf_data(t) : NULL; }

#endif
