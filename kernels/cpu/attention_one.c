/*
 * attention_one.c - attention of one query a head: what a decoder asks for with each token.
 *
 * It waits for memory, so keys and values are read once, in the order in which they lie. A part is
 * a run of tokens with all their heads and a softmax of its own; the runs of a head are then put
 * together by their largest scores (Flash-Decoding, crfm.stanford.edu/2023/10/12/flashdecoding).
 */
#include "kernels/cpu/attn.h"
#include "kernels/cpu/simd_math.h"

#include <math.h>
#include <string.h>

/* Tokens of a run; what a head leaves of one: its largest score, the sum of its weights, then the
 * weighted values. */
enum { RUN = 128, TOP = 0, SUM = 1, VALUES = VL };

typedef struct runs {
    const attn *h;
    int64_t n_runs, step;                /* of a sample; values that a head leaves */
    float *left;                         /* [B][n_runs][N][step] */
} runs;

WF_INLINE vf load_as(wf_dtype t, const char *row, int64_t d)
{
    if (t == WF_DTYPE_F16) return vf_from_f16((const uint16_t *)(const void *)row + d);
    if (t == WF_DTYPE_BF16) return vf_from_bf16((const uint16_t *)(const void *)row + d);
    return vf_load((const float *)(const void *)row + d);
}

/* q[D] k[D], by two sums. */
WF_INLINE float dot_as(wf_dtype t, const float *q, const char *k, int64_t D)
{
    vf s0 = vf_zero(), s1 = vf_zero();
    int64_t d = 0;
    for (; d + 2 * VL <= D; d += 2 * VL) {
        s0 = vf_fma(vf_load(q + d), load_as(t, k, d), s0);
        s1 = vf_fma(vf_load(q + d + VL), load_as(t, k, d + VL), s1);
    }
    if (d < D) s0 = vf_fma(vf_load(q + d), load_as(t, k, d), s0);
    return vf_hsum(vf_add(s0, s1));
}

/* Scores [N][RUN + VL] of tokens t0 .. t0+n of sample b. */
WF_INLINE void score_as(wf_dtype t, const attn *h, int64_t b, int64_t t0, int64_t n, float *s)
{
    const int64_t group = h->N / h->M;
    const float *q = (const float *)(const void *)(h->q.p + b * h->q.s[0]);
    for (int64_t i = 0; i < n; i++)
        for (int64_t m = 0; m < h->M; m++) {
            const char *k = h->k.p + b * h->k.s[0] + (t0 + i) * h->k.s[1] + m * h->k.s[2];
            for (int64_t j = m * group; j < (m + 1) * group; j++)
                s[j * (RUN + VL) + i] =
                    h->scale * dot_as(t, q + j * (h->q.s[2] / 4), k, h->D);
        }
}

/* Add the values of tokens t0 .. t0+n by their weights to what each head leaves. */
WF_INLINE void weigh_as(wf_dtype t, const attn *h, int64_t b, int64_t t0, int64_t n, const float *s,
                        float *left, int64_t step)
{
    const int64_t group = h->N / h->M;
    for (int64_t i = 0; i < n; i++)
        for (int64_t m = 0; m < h->M; m++) {
            const char *v = h->v.p + b * h->v.s[0] + (t0 + i) * h->v.s[1] + m * h->v.s[2];
            for (int64_t j = m * group; j < (m + 1) * group; j++) {
                const vf w = vf_set1(s[j * (RUN + VL) + i]);
                float *o = left + j * step + VALUES;
                for (int64_t d = 0; d < h->D; d += VL)
                    vf_store(o + d, vf_fma(w, load_as(t, v, d), vf_load(o + d)));
            }
        }
}

static void score(const attn *h, int64_t b, int64_t t0, int64_t n, float *s)
{
    if (h->k.t == WF_DTYPE_F32) score_as(WF_DTYPE_F32, h, b, t0, n, s);
    else if (h->k.t == WF_DTYPE_F16) score_as(WF_DTYPE_F16, h, b, t0, n, s);
    else score_as(WF_DTYPE_BF16, h, b, t0, n, s);
}

static void weigh(const attn *h, int64_t b, int64_t t0, int64_t n, const float *s, float *left,
                  int64_t step)
{
    if (h->v.t == WF_DTYPE_F32) weigh_as(WF_DTYPE_F32, h, b, t0, n, s, left, step);
    else if (h->v.t == WF_DTYPE_F16) weigh_as(WF_DTYPE_F16, h, b, t0, n, s, left, step);
    else weigh_as(WF_DTYPE_BF16, h, b, t0, n, s, left, step);
}

/* Part: a run of sample b's tokens. */
static void attend_run(void *arg, int64_t part, int worker)
{
    const runs *r = arg;
    const attn *h = r->h;
    const int64_t b = part / r->n_runs, t0 = part % r->n_runs * RUN, n = min_i(RUN, h->Tk - t0);
    float *s = h->scratch + worker * h->scratch_elems, *left = r->left + part * h->N * r->step;
    score(h, b, t0, n, s);
    memset(left, 0, (size_t)(h->N * r->step) * sizeof *left);
    for (int64_t j = 0; j < h->N; j++) {
        const float *bias = attn_bias(h, b, j, 0);
        float *of = left + j * r->step;
        of[TOP] = WF_K(attn_mask)(s + j * (RUN + VL), bias ? bias + t0 : NULL, n);
        of[SUM] = WF_K(attn_exp)(s + j * (RUN + VL), n, of[TOP]);
    }
    weigh(h, b, t0, n, s, left, r->step);
}

/* Part: a head of a sample, all its runs. */
static void join_runs(void *arg, int64_t part, int worker)
{
    const runs *r = arg;
    const attn *h = r->h;
    const int64_t between = h->N * r->step;
    const float *left = r->left + part / h->N * r->n_runs * between + part % h->N * r->step;
    float top = -INFINITY, sum = 0.0f, *y = h->out[0] + part * h->D, *o = h->scratch;
    o += worker * h->scratch_elems;
    for (int64_t i = 0; i < r->n_runs; i++)
        if (left[i * between + TOP] > top) top = left[i * between + TOP];
    for (int64_t d = 0; d < h->D; d += VL) vf_store(o + d, vf_zero());
    for (int64_t i = 0; i < r->n_runs; i++) {
        const float *of = left + i * between;
        if (of[SUM] == 0.0f) continue;                     /* all its tokens are masked */
        float share[VL];
        vf_store(share, vf_exp(vf_set1(of[TOP] - top)));
        sum += of[SUM] * share[0];
        for (int64_t d = 0; d < h->D; d += VL)
            vf_store(o + d, vf_fma(vf_set1(share[0]), vf_load(of + VALUES + d), vf_load(o + d)));
    }
    const vf inv = vf_set1(sum == 0.0f ? 0.0f : 1.0f / sum);
    for (int64_t d = 0; d < h->D; d += VL) vf_store(y + d, vf_mul(vf_load(o + d), inv));
}

bool WF_K(attn_is_one)(const attn *h) { return h->Tq == 1 && h->D == h->Dp; }

wf_status WF_K(attend_one)(wf_ctx *c, attn *h)
{
    runs r = {.h = h, .n_runs = div_up(h->Tk, RUN), .step = VALUES + h->D};
    const int64_t left = h->B * r.n_runs * h->N * r.step;
    h->scratch_elems = div_up(max_i(h->N * (RUN + VL), h->D), 16) * 16;
    h->scratch = scratch_alloc(c, left + h->scratch_elems * count_workers(c), sizeof(float));
    if (!h->scratch) return WF_ENOMEM;
    r.left = h->scratch + h->scratch_elems * count_workers(c);
    const double scores = (double)h->B * (double)h->N * (double)h->Tk;
    run_parts(c, h->B * r.n_runs, scores * ((double)h->D / 4.0 + 4.0), attend_run, &r);
    run_parts(c, h->B * h->N, (double)left, join_runs, &r);
    scratch_free(c, h->scratch);
    return WF_OK;
}
