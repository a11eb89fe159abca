/* gemm.h - the one product behind linear, matmul and convolution: C[M,N] = A[M,K] B[K,N].
 *
 * Both operands are packed in panels - MR rows of A, NR columns of B, element k of all of them side
 * by side - and a micro-kernel multiplies one panel by another in registers. Every element of C is
 * one chain of fused multiply-adds over k = 0 ... K-1, wherever its row and column fall, so a row's
 * bytes depend neither on the rows beside it nor on the number of threads.
 */
#ifndef WF_KERNELS_CPU_GEMM_H
#define WF_KERNELS_CPU_GEMM_H

#include <stdbool.h>

#include "core/tensor/backend.h"
#include "core/tensor/op_impl.h"
#include "kernels/cpu/simd.h"

#if defined(WF_LEVEL_avx2)
enum { MR = 6, KC = 256 };
#else
enum { MR = 14, KC = 384 };
#endif
enum { NR = 2 * VL, MP = 8, MB = MR * MP, PACK_SLACK = 16 };

/* Panels of bf16 hold pairs of neighbours in k, as one value of 32 bits: a step of a product then
 * takes two k. Only at level avx512bf16. */
static const wf_dtype PAIRS = WF_DTYPE_I32;
static inline int64_t panel_steps(wf_dtype t, int64_t k) { return t == PAIRS ? (k + 1) / 2 : k; }
static inline int64_t panel_bytes(wf_dtype t) { return t == PAIRS || t == WF_DTYPE_F32 ? 4 : 2; }
/* dst[k/2 * width + i] = the pair (src[k * width + i], src[(k+1) * width + i]); zero behind n_k. */
void WF_K(pair)(const float *src, int64_t width, int64_t n_k, float *dst);

/* Where an operand's elements come from. For A, i counts rows of C; for B, i counts columns.
 * Element (i,k) of matrix j stands at p + j * size + i * row + k * col, unless pack is given. */
typedef struct gemm_src {
    const void *p;
    wf_dtype t;
    int64_t row, col, size;
    const int64_t *index;                /* matrix of each batch; NULL: the batch's own number */
    void (*pack)(const struct gemm_src *s, int64_t matrix, int64_t i0, int n, int width,
                 int64_t k0, int64_t kc, float *dst);
    const void *arg;
} gemm_src;

/* B, packed: panel i/NR holds [K][w], w = NR but for the last, which is VL wide if that is enough.
 */
typedef struct gemm_panels {
    const void *p;
    wf_dtype t;                          /* f32, f16, bf16 or PAIRS */
    int64_t size;                        /* elements of one matrix */
    const int64_t *index;
} gemm_panels;

typedef struct gemm {
    int64_t m, n, k, batch;
    gemm_src a;
    gemm_panels b;
    float *c;
    int64_t ldc, cs;                     /* of a row, of a matrix */
    float *(*row)(const struct gemm *g, int64_t m);   /* where row m of C is; NULL: c + m ldc */
    const void *arg;                     /* for row */
    const float *bias;                   /* [N] or NULL */
    wf_act act;
    bool add;                            /* C += */
} gemm;

/* dst[k * width + i] = element (i0 + i, k0 + k) for i < n, zero for n <= i < width. */
void WF_K(pack)(const gemm_src *s, int64_t matrix, int64_t i0, int n, int width, int64_t k0,
                int64_t kc, float *dst);
/* The same from n row pointers, each to kc values side by side; NULL is a row of zeros.
 * May write PACK_SLACK values behind the panel when width is not a multiple of VL. */
void WF_K(pack_rows)(const void *const *row, wf_dtype t, int n, int width, int64_t kc, float *dst);

/* Whether A's columns lie side by side, and are packed as f32: then pack_columns will do. */
bool WF_K(is_columns)(const gemm_src *a, wf_dtype panels);
/* m rows of A from m0 on as panels of mr rows, step values apart. Goes k by k, in memory's order:
 * columns far apart fall on the same lines of a cache. */
void WF_K(pack_columns)(const gemm_src *a, int64_t matrix, int64_t m0, int64_t m, int64_t mr,
                        int64_t k0, int64_t kc, float *dst, int64_t step);

/* C = init + A B for a panel pair: mr <= MR rows, nv <= 2 vectors; rows of a panel of A as apart,
 * of B bs, of C ldc, of init ld_init (0 repeats one; NULL is zeros). */
typedef void (*gemm_tile_fn)(int64_t kc, const float *a, int64_t as, const void *b, int64_t bs,
                             float *c, int64_t ldc, const float *init, int64_t ld_init);
gemm_tile_fn WF_K(tile)(wf_dtype b, int mr, int nv);
/* The same on A as it lies, rows of values side by side as apart; B of f32. */
gemm_tile_fn WF_K(row_tile)(int mr, int nv);

/* Elements of all panels of n columns and k rows. */
int64_t WF_K(panels_elems)(int64_t n, int64_t k, wf_dtype t);
/* Width of the panel that starts at column n0. */
static inline int gemm_width(int64_t n, int64_t n0) { return n - n0 > VL ? NR : VL; }
/* Pack n_matrices of B into dst (of dtype t), in parallel. */
void WF_K(pack_panels)(wf_ctx *c, const gemm_src *b, int64_t n_matrices, int64_t n, int64_t k,
                       wf_dtype t, void *dst);

/* Run g in parallel. WF_ENOMEM without scratch. */
wf_status WF_K(gemm)(wf_ctx *c, const gemm *g);

/* C = A B where k is long: a sum of products over fixed stretches of k, packed as they come. C is
 * dense, one matrix; of b only t is looked at (f32 or PAIRS), of bias, act and add nothing. */
wf_status WF_K(gemm_long)(wf_ctx *c, const gemm *g, const gemm_src *b);

/* Panels of weight w under tag: the kept ones, or new ones kept with a constant w. A w that changes
 * gets panels in *scratch, which the caller frees. NULL without memory. */
const void *WF_K(weight_panels)(wf_ctx *c, wf_tensor *w, int tag, const gemm_src *b, int64_t n,
                                int64_t k, wf_dtype t, void **scratch);

/* bias and activation on n values of a row. */
void WF_K(finish_row)(float *c, const float *bias, int64_t n, wf_act act);

/* A weight's dtype in panels: pairs where the user asked for bf16; else f16 and bf16 stay, all else
 * becomes f32. */
static inline wf_dtype panel_dtype(const wf_ctx *c, wf_dtype t)
{
#if defined(WF_LEVEL_avx512bf16)
    if (wf_ctx_get_bf16(c)) return PAIRS;
#else
    (void)c;
#endif
    return t == WF_DTYPE_F16 || t == WF_DTYPE_BF16 ? t : WF_DTYPE_F32;
}

/* Whether products go through tiles of bf16, which beat Winograd's way with a third of its work. */
static inline bool has_tiles(const wf_ctx *c)
{
#if defined(WF_LEVEL_amx)
    return wf_ctx_get_bf16(c);
#else
    (void)c;
    return false;
#endif
}

/* What products over long stretches of k run in, which go without tiles: f32 where those are, since
 * processors that have them run pairs at half the rate of f32. */
static inline wf_dtype long_dtype(const wf_ctx *c)
{
    return has_tiles(c) ? WF_DTYPE_F32 : panel_dtype(c, WF_DTYPE_F32);
}

/* Tags of what kernels keep with weights. */
enum { PREP_LINEAR = 1, PREP_MATMUL, PREP_CONV, PREP_CONV_DX, PREP_WINO, PREP_WINO_DX, PREP_BF16 };

#endif
