/* attn.h - what attention and its gradient share: heads of rows, and products of small blocks.
 *
 * A block is QUERIES rows of one head by KEYS keys. Blocks of queries, scores and sums have rows LD
 * values apart, so a micro-kernel finds them at fixed distances and nothing on its left is packed.
 * Every sum is one chain over its index, and the cut into blocks depends on the shape alone.
 */
#ifndef WF_KERNELS_CPU_ATTN_H
#define WF_KERNELS_CPU_ATTN_H

#include "kernels/cpu/gemm.h"
#include "kernels/cpu/kern.h"

enum { QUERIES = 4 * MR, KEYS = 256, MAX_WIDTH = 512, LD = MAX_WIDTH + 16 };

/* Rows of one operand: row t of head n of sample b stands at p + b s[0] + t s[1] + n s[2]. */
typedef struct attn_rows {
    const char *p;
    wf_dtype t;
    int64_t s[3];
} attn_rows;

typedef struct attn {
    attn_rows q, k, v, dy;
    const float *bias;                   /* NULL, or by bias_s[b, n, query], keys side by side */
    int64_t bias_s[3];
    int64_t B, Tq, Tk, N, M, D, Dp;      /* Dp: D in whole vectors */
    float scale;
    bool causal;
    float *out[3];                       /* y; or dq, dk, dv */
    float *scratch;                      /* of every worker */
    int64_t scratch_elems;
} attn;

/* Describe a's first four inputs; false when there is no kernel for them. */
bool WF_K(attn_open)(wf_ctx *c, const wf_op_args *a, attn *h);
/* The same of one more input. Heads whose values do not lie side by side are copied. */
bool WF_K(attn_open_rows)(wf_ctx *c, wf_tensor *t, attn_rows *r);

/* dst[i][ld] = scale * rows t0 .. t0+n of head m, with zeros from D up to Dp. */
void WF_K(attn_load)(const attn *h, const attn_rows *r, int64_t b, int64_t t0, int64_t n, int64_t m,
                     float scale, float *dst, int64_t ld);
/* Rows 0 .. n of head m as the right side of a product with D long rows: panels of NR rows. */
void WF_K(attn_panels)(const attn *h, const attn_rows *r, int64_t b, int64_t n, int64_t m,
                       float *dst);

/* c[rows,n] (+)= a[rows,kc] b[kc,n], rows of a and c LD apart. Columns j .. j+NR of b start at
 * b + j/NR step and its rows are bs apart; n is a multiple of VL. */
void WF_K(attn_product)(int64_t rows, int64_t kc, const float *a, const float *b, int64_t bs,
                        int64_t step, int64_t n, float *c, bool add);

/* Add the bias (or NULL) to n scores, write -inf behind them up to a whole vector; the largest. */
float WF_K(attn_mask)(float *s, const float *bias, int64_t n);
/* s = exp(s - top) over whole vectors; their sum. A row of -inf gives zeros. */
float WF_K(attn_exp)(float *s, int64_t n, float top);

/* Whether attend_one takes it: one query a head, of whole vectors. h->out[0] is set. */
bool WF_K(attn_is_one)(const attn *h);
wf_status WF_K(attend_one)(wf_ctx *c, attn *h);

static inline int64_t whole_vectors(int64_t n) { return (n + VL - 1) / VL * VL; }
static inline int64_t whole_panels(int64_t n) { return (n + NR - 1) / NR * NR; }

/* How many keys query i sees. */
static inline int64_t attn_seen(const attn *h, int64_t i)
{
    return h->causal ? max_i(0, min_i(h->Tk, i + h->Tk - h->Tq + 1)) : h->Tk;
}

static inline const float *attn_bias(const attn *h, int64_t b, int64_t n, int64_t i)
{
    return h->bias ? h->bias + b * h->bias_s[0] + n * h->bias_s[1] + i * h->bias_s[2] : NULL;
}

#endif
