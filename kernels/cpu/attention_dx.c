/*
 * attention_dx.c - the gradient of attention, its weights computed anew.
 *
 * With p the weights of a query's row and dp = dy v: ds = p (dp - sum(p dp)), dq = scale ds k,
 * dk += ds (scale q), dv += p dy. A part is one key head of one sample with every query that reads
 * it, a block of queries at a time against all keys; sums over queries are chains in their order.
 */
#include "kernels/cpu/attn.h"

#include <math.h>
#include <string.h>

wf_status WF_K(attention_dx)(wf_ctx *c, wf_op_args *a);

/* One worker's scratch: blocks of queries [QUERIES][LD], weights p and ds [keys/KEYS][QUERIES][LD],
 * panels of k and v, and rows of k, dk and dv [Tk][Dp]. */
typedef struct bench {
    float *q, *dy, *dq, *p, *ds, *k_panels, *v_panels, *k, *dk, *dv;
    float delta[QUERIES], top[QUERIES], sum[QUERIES];
    int64_t b, n, i0, rows, keys;        /* the block of queries at hand */
} bench;

enum { BLOCK = QUERIES * LD };

/* The next n values of scratch; NULL while there is none and they are only counted. */
static float *carve(float *scratch, int64_t *at, int64_t n)
{
    float *p = scratch ? scratch + *at : NULL;
    *at += div_up(n + PACK_SLACK, 16) * 16;
    return p;
}

/* Cut scratch up; returns how many values it takes. */
static int64_t lay_out(const attn *h, float *scratch, bench *w)
{
    const int64_t blocks = div_up(h->Tk, KEYS), panels = whole_panels(h->Tk) * h->D,
                  rows = h->Tk * h->Dp;
    int64_t at = 0;
    w->q = carve(scratch, &at, BLOCK);
    w->dy = carve(scratch, &at, BLOCK);
    w->dq = carve(scratch, &at, BLOCK);
    w->p = carve(scratch, &at, blocks * BLOCK);
    w->ds = carve(scratch, &at, blocks * BLOCK);
    w->k_panels = carve(scratch, &at, panels);
    w->v_panels = carve(scratch, &at, panels);
    w->k = carve(scratch, &at, rows);
    w->dk = carve(scratch, &at, rows);
    w->dv = carve(scratch, &at, rows);
    return at;
}

static int64_t seen_in(const attn *h, const bench *w, int64_t r, int64_t j)
{
    return max_i(0, min_i(min_i(KEYS, w->keys - j), attn_seen(h, w->i0 + r) - j));
}

/* p = exp(scores - top) of the block, and its rows' sums. */
static void find_weights(const attn *h, bench *w)
{
    for (int64_t r = 0; r < w->rows; r++) w->top[r] = -INFINITY, w->sum[r] = w->delta[r] = 0.0f;
    for (int64_t j = 0; j < w->keys; j += KEYS) {
        float *p = w->p + j / KEYS * BLOCK;
        const int64_t n = whole_vectors(min_i(KEYS, w->keys - j));
        WF_K(attn_product)(w->rows, h->D, w->q, w->k_panels + j * h->D, NR, h->D * NR, n, p, false);
        for (int64_t r = 0; r < w->rows; r++) {
            const float *bias = attn_bias(h, w->b, w->n, w->i0 + r);
            const float top =
                WF_K(attn_mask)(p + r * LD, bias ? bias + j : NULL, seen_in(h, w, r, j));
            if (top > w->top[r]) w->top[r] = top;
        }
    }
    for (int64_t j = 0; j < w->keys; j += KEYS)
        for (int64_t r = 0; r < w->rows; r++)
            w->sum[r] +=
                WF_K(attn_exp)(w->p + j / KEYS * BLOCK + r * LD, seen_in(h, w, r, j), w->top[r]);
}

/* p /= sum in row r of a block; sum of p dp. */
static float scale_row(const bench *w, int64_t r, float *p, float *dp, int64_t seen)
{
    const vf inv = vf_set1(w->sum[r] == 0.0f ? 0.0f : 1.0f / w->sum[r]);
    vf delta = vf_zero();
    for (int64_t j = 0; j < seen; j += VL) {
        const vf x = vf_mul(vf_load(p + j), inv);
        vf_store(p + j, x);
        delta = vf_fma(x, vf_load(dp + j), delta);
    }
    return vf_hsum(delta);
}

/* ds = p (dp - delta) in a row of a block of count keys; ds and p zeros where it sees none. */
static void slope_row(float *p, float *ds, float delta, int64_t seen, int64_t count)
{
    int64_t j = 0;
    for (; j < seen; j += VL)
        vf_store(ds + j, vf_mul(vf_load(p + j), vf_sub(vf_load(ds + j), vf_set1(delta))));
    for (; j < count; j += VL) {
        vf_store(p + j, vf_zero());
        vf_store(ds + j, vf_zero());
    }
}

/* out[n,Dp] += weights^T rows: each key's sum over the block's queries. */
static void add_queries(const attn *h, const bench *w, const float *weights, const float *rows,
                        int64_t n, float *out)
{
    const int64_t mr = div_up(n, div_up(n, MR));
    for (int64_t d = 0; d < h->Dp; d += NR)
        for (int64_t j = 0; j < n; j += mr) {
            const gemm_tile_fn tile =
                WF_K(tile)(WF_DTYPE_F32, (int)min_i(mr, n - j), h->Dp - d > VL ? 2 : 1);
            float *to = out + j * h->Dp + d;
            tile(w->rows, weights + j, LD, rows + d, LD, to, h->Dp, to, h->Dp);
        }
}

static void dx_block(const attn *h, bench *w)
{
    find_weights(h, w);
    for (int64_t j = 0; j < w->keys; j += KEYS) {
        float *p = w->p + j / KEYS * BLOCK, *dp = w->ds + j / KEYS * BLOCK;
        const int64_t n = whole_vectors(min_i(KEYS, w->keys - j));
        WF_K(attn_product)(w->rows, h->D, w->dy, w->v_panels + j * h->D, NR, h->D * NR, n, dp,
            false);
        for (int64_t r = 0; r < w->rows; r++)
            w->delta[r] += scale_row(w, r, p + r * LD, dp + r * LD, seen_in(h, w, r, j));
    }
    for (int64_t j = 0; j < w->keys; j += KEYS) {
        float *p = w->p + j / KEYS * BLOCK, *ds = w->ds + j / KEYS * BLOCK;
        const int64_t n = min_i(KEYS, w->keys - j), at = j * h->Dp;
        for (int64_t r = 0; r < w->rows; r++)
            slope_row(p + r * LD, ds + r * LD, w->delta[r], seen_in(h, w, r, j), n);
        WF_K(attn_product)(w->rows, n, ds, w->k + at, h->Dp, NR, h->Dp, w->dq, j > 0);
        add_queries(h, w, ds, w->q, n, w->dk + at);
        add_queries(h, w, p, w->dy, n, w->dv + at);
    }
}

static void store(const attn *h, const float *x, int64_t ld, float scale, float *y, int64_t step,
                  int64_t n)
{
    for (int64_t i = 0; i < n; i++, x += ld, y += step)
        for (int64_t d = 0; d < h->D; d += VL)
            vf_store_n(y + d, min_i(VL, h->D - d), vf_mul(vf_load(x + d), vf_set1(scale)));
}

/* Part: sample b, key head m. */
static void dx_part(void *arg, int64_t part, int worker)
{
    const attn *h = arg;
    const int64_t m = part % h->M, b = part / h->M, group = h->N / h->M;
    bench w = {.b = b};
    (void)lay_out(h, h->scratch + worker * h->scratch_elems, &w);
    WF_K(attn_panels)(h, &h->k, b, h->Tk, m, w.k_panels);
    WF_K(attn_panels)(h, &h->v, b, h->Tk, m, w.v_panels);
    WF_K(attn_load)(h, &h->k, b, 0, h->Tk, m, 1.0f, w.k, h->Dp);
    memset(w.dk, 0, (size_t)(h->Tk * h->Dp) * sizeof *w.dk);
    memset(w.dv, 0, (size_t)(h->Tk * h->Dp) * sizeof *w.dv);
    for (w.n = m * group; w.n < (m + 1) * group; w.n++)
        for (w.i0 = 0; w.i0 < h->Tq; w.i0 += QUERIES) {
            w.rows = min_i(QUERIES, h->Tq - w.i0);
            w.keys = attn_seen(h, w.i0 + w.rows - 1);
            WF_K(attn_load)(h, &h->q, b, w.i0, w.rows, w.n, h->scale, w.q, LD);
            WF_K(attn_load)(h, &h->dy, b, w.i0, w.rows, w.n, 1.0f, w.dy, LD);
            if (w.keys > 0) dx_block(h, &w);
            float *dq = h->out[0] + ((b * h->Tq + w.i0) * h->N + w.n) * h->D;
            if (w.keys == 0) memset(w.dq, 0, BLOCK * sizeof *w.dq);
            store(h, w.dq, LD, h->scale, dq, h->N * h->D, w.rows);
        }
    const int64_t at = (b * h->Tk * h->M + m) * h->D;
    store(h, w.dk, h->Dp, 1.0f, h->out[1] + at, h->M * h->D, h->Tk);
    store(h, w.dv, h->Dp, 1.0f, h->out[2] + at, h->M * h->D, h->Tk);
}

wf_status WF_K(attention_dx)(wf_ctx *c, wf_op_args *a)
{
    attn h;
    bench w;
    if (!all_f32(a) || !WF_K(attn_open)(c, a, &h)) return WF_ESKIP;
    if (!WF_K(attn_open_rows)(c, a->in[5], &h.dy)) return WF_ESKIP;
    for (int i = 0; i < 3; i++) h.out[i] = wf_data(a->out[i]);
    h.scratch_elems = lay_out(&h, NULL, &w);
    h.scratch = scratch_alloc(c, h.scratch_elems * count_workers(c), sizeof(float));
    if (!h.scratch) return WF_ENOMEM;
    const double scores = (double)h.B * (double)h.N * (double)h.Tq * (double)h.Tk;
    run_parts(c, h.B * h.M, scores * ((double)h.D / 2.0 + 8.0), dx_part, &h);
    scratch_free(c, h.scratch);
    return WF_OK;
}
