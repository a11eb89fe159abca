/*
 * attention.c - attention of any number of keys without a matrix of scores.
 *
 * A block of queries meets the keys block by block with the softmax of what it has seen so far
 * (Dao, FlashAttention-2, arXiv:2307.08691): when a row's largest score rises, its sum and its
 * weighted values are scaled down. A part is one head's stretch of queries; a block of keys that
 * no query of a block sees is left out.
 */
#include "kernels/cpu/amx.h"
#include "kernels/cpu/attn.h"
#include "kernels/cpu/simd_math.h"

#include <math.h>
#include <string.h>

wf_status WF_K(attention)(wf_ctx *c, wf_op_args *a);

enum { STRETCH = 10 * QUERIES };

/* One worker's scratch. v is the tensor itself where its rows are whole vectors of f32. */
typedef struct bench {
    float *q, *s, *o, *k;
    const float *v;
    int64_t v_step;
    float top[QUERIES], sum[QUERIES];
} bench;

static void load_keys(const attn *h, bench *w, int64_t b, int64_t m, int64_t n)
{
    float *v = w->k + whole_panels(h->Tk) * h->D + PACK_SLACK;
    WF_K(attn_panels)(h, &h->k, b, n, m, w->k);
    if (h->v.t == WF_DTYPE_F32 && h->D == h->Dp) {
        w->v = (const float *)(const void *)(h->v.p + b * h->v.s[0] + m * h->v.s[2]);
        w->v_step = h->v.s[1] / 4;
    } else {
        WF_K(attn_load)(h, &h->v, b, 0, n, m, 1.0f, v, h->Dp);
        w->v = v;
        w->v_step = h->Dp;
    }
}

/* Row r's scores of n keys, of which it sees the first `seen`, become weights; its sums follow. */
static void soften(const attn *h, bench *w, int64_t r, const float *bias, int64_t seen, int64_t n)
{
    float *s = w->s + r * LD, *o = w->o + r * LD;
    const float before = w->top[r];
    float top = WF_K(attn_mask)(s, bias, seen);
    if (!(top > before)) top = before;
    const float sum = WF_K(attn_exp)(s, seen, top);
    for (int64_t j = whole_vectors(seen); j < n; j += VL) vf_store(s + j, vf_zero());
    if (top != before) {
        const vf down = before == -INFINITY ? vf_zero() : vf_exp(vf_set1(before - top));
        float factor[VL];
        vf_store(factor, down);
        w->sum[r] *= factor[0];
        for (int64_t d = 0; before != -INFINITY && d < h->Dp; d += VL)
            vf_store(o + d, vf_mul(vf_load(o + d), down));
    }
    w->top[r] = top;
    w->sum[r] += sum;
}

static void attend_block(const attn *h, bench *w, int64_t b, int64_t n, int64_t i0, int64_t rows)
{
    const int64_t keys = attn_seen(h, i0 + rows - 1);
    for (int64_t r = 0; r < rows; r++) w->top[r] = -INFINITY, w->sum[r] = 0.0f;
    for (int64_t j = 0; j < keys; j += KEYS) {
        const int64_t count = min_i(KEYS, keys - j);
        WF_K(attn_product)(rows, h->D, w->q, w->k + j * h->D, NR, h->D * NR, whole_vectors(count),
            w->s, false);
        for (int64_t r = 0; r < rows; r++) {
            const float *bias = attn_bias(h, b, n, i0 + r);
            const int64_t seen = max_i(0, min_i(count, attn_seen(h, i0 + r) - j));
            soften(h, w, r, bias ? bias + j : NULL, seen, count);
        }
        WF_K(attn_product)(rows, count, w->s, w->v + j * w->v_step, w->v_step, NR, h->Dp, w->o,
            j > 0);
    }
}

static void store_block(const attn *h, const bench *w, int64_t b, int64_t n, int64_t i0,
                        int64_t rows)
{
    for (int64_t r = 0; r < rows; r++) {
        float *y = h->out[0] + ((b * h->Tq + i0 + r) * h->N + n) * h->D;
        const bool blind = w->sum[r] == 0.0f;
        const vf inv = vf_set1(1.0f / w->sum[r]);
        for (int64_t d = 0; d < h->D; d += VL)
            vf_store_n(y + d, min_i(VL, h->D - d),
                       blind ? vf_zero() : vf_mul(vf_load(w->o + r * LD + d), inv));
    }
}

/* Part: sample b, key head m, a stretch of queries of all heads that read m. */
static void attend_part(void *arg, int64_t part, int worker)
{
    const attn *h = arg;
    const int64_t stretches = div_up(h->Tq, STRETCH), group = h->N / h->M;
    const int64_t m = part / stretches % h->M, b = part / stretches / h->M;
    const int64_t first = part % stretches * STRETCH, end = min_i(h->Tq, first + STRETCH);
    bench w = {.q = h->scratch + worker * h->scratch_elems};
    w.s = w.q + QUERIES * LD;
    w.o = w.s + QUERIES * LD;
    w.k = w.o + QUERIES * LD;
    load_keys(h, &w, b, m, attn_seen(h, end - 1));
    for (int64_t n = m * group; n < (m + 1) * group; n++)
        for (int64_t i = first; i < end; i += QUERIES) {
            const int64_t rows = min_i(QUERIES, end - i);
            WF_K(attn_load)(h, &h->q, b, i, rows, n, h->scale, w.q, LD);
            attend_block(h, &w, b, n, i, rows);
            store_block(h, &w, b, n, i, rows);
        }
}

/* ---- by tiles of bf16 ---- */

#if defined(WF_LEVEL_amx)

/* Longer stretches than f32 has: keys and values are made pairs anew for each. */
enum { TILE_ROWS = 2 * TILE, TILE_STRETCH = 72 * TILE_ROWS };

/* One worker's operands in bf16: queries and weights as tiles, keys and values as pairs. */
typedef struct tile_bench {
    uint16_t *q, *p;                     /* [2][D/32] tiles; [2][KEYS/32] */
    float *k, *v;                        /* panels [D/2][NR]; [Tk/2][D], whole tiles of keys */
} tile_bench;

static int64_t whole_keys(const attn *h) { return div_up(h->Tk, TILE_K) * TILE_K; }

/* Values that they take, all counted as f32. */
static int64_t tile_elems(const attn *h)
{
    return TILE_ROWS * (MAX_WIDTH + KEYS) / 2 + whole_keys(h) * h->D + NR * MAX_WIDTH + PACK_SLACK;
}

static tile_bench tile_bench_at(const attn *h, float *at)
{
    tile_bench t = {.q = (uint16_t *)(void *)at};
    t.p = t.q + TILE_ROWS * MAX_WIDTH;
    t.k = at + TILE_ROWS * (MAX_WIDTH + KEYS) / 2;
    t.v = t.k + whole_keys(h) * h->D / 2;
    return t;
}

/* n keys and values as pairs, zeros behind; tmp holds the rows of a panel. */
static void load_pairs(const attn *h, const tile_bench *t, int64_t b, int64_t m, int64_t n)
{
    float *tmp = t->v + whole_keys(h) * h->D / 2;
    for (int64_t j = 0; j < n; j += NR) {
        const int64_t count = min_i(NR, n - j);
        WF_K(attn_load)(h, &h->k, b, j, count, m, 1.0f, tmp, h->D);
        const void *row[NR];
        float turned[NR * 64];
        for (int64_t d = 0; d < h->D; d += 64) {
            const int64_t width = min_i(64, h->D - d);
            for (int64_t i = 0; i < count; i++) row[i] = tmp + i * h->D + d;
            WF_K(pack_rows)(row, WF_DTYPE_F32, (int)count, NR, width, turned);
            WF_K(pair)(turned, NR, width, t->k + j * h->D / 2 + d / 2 * NR);
        }
        WF_K(attn_load)(h, &h->v, b, j, count, m, 1.0f, tmp, h->D);
        memset(tmp + count * h->D, 0, (size_t)((NR - count) * h->D) * sizeof *tmp);
        WF_K(pair)(tmp, h->D, NR, t->v + j / 2 * h->D);
    }
}

/* attend_block with both products by tiles; the queries lie in w->q as f32. */
static void attend_tiles(const attn *h, bench *w, const tile_bench *t, int64_t b, int64_t n,
                         int64_t i0, int64_t rows)
{
    const int64_t keys = attn_seen(h, i0 + rows - 1), D = h->D, q_step = D / TILE_K * TILE_BYTES;
    const bool tall = rows > TILE;
    for (int64_t r = 0; r < TILE_ROWS; r++) {
        uint16_t *row = t->q + (r / TILE * q_step + r % TILE * 64) / 2;
        if (r >= rows) memset(w->q + r * LD, 0, (size_t)D * sizeof *w->q);
        w->top[r] = -INFINITY, w->sum[r] = 0.0f;
        WF_K(amx_row)(w->q + r * LD, D, row);
    }
    for (int64_t j = 0; j < keys; j += KEYS) {
        const int64_t count = min_i(KEYS, keys - j), n_k = div_up(count, TILE_K),
                      p_step = n_k * TILE_BYTES;
        for (int64_t k = 0; k < count; k += NR)
            WF_K(amx_tiles)(D / TILE_K, t->q, q_step, t->k + (j + k) * D / 2, NR * 4, w->s + k, LD,
                            false, tall, true);
        for (int64_t r = 0; r < (tall ? TILE_ROWS : TILE); r++) {
            uint16_t *row = t->p + (r / TILE * p_step + r % TILE * 64) / 2;
            if (r < rows) {
                const float *bias = attn_bias(h, b, n, i0 + r);
                const int64_t seen = max_i(0, min_i(count, attn_seen(h, i0 + r) - j));
                soften(h, w, r, bias ? bias + j : NULL, seen, count);
            }
            const int64_t from = r < rows ? whole_vectors(count) : 0;
            memset(w->s + r * LD + from, 0, (size_t)(n_k * TILE_K - from) * sizeof *w->s);
            WF_K(amx_row)(w->s + r * LD, n_k * TILE_K, row);
        }
        for (int64_t d = 0; d < D; d += NR)
            WF_K(amx_tiles)(n_k, t->p, p_step, t->v + j / 2 * D + d, D * 4, w->o + d, LD, j > 0,
                            tall, true);
    }
}

/* Part: as attend_part, by tiles. */
static void tiles_part(void *arg, int64_t part, int worker)
{
    const attn *h = arg;
    const int64_t stretches = div_up(h->Tq, TILE_STRETCH), group = h->N / h->M;
    const int64_t m = part / stretches % h->M, b = part / stretches / h->M;
    const int64_t first = part % stretches * TILE_STRETCH, end = min_i(h->Tq, first + TILE_STRETCH);
    bench w = {.q = h->scratch + worker * h->scratch_elems};
    w.s = w.q + QUERIES * LD;
    w.o = w.s + QUERIES * LD;
    const tile_bench t = tile_bench_at(h, w.o + QUERIES * LD);
    WF_K(amx_open)();
    load_pairs(h, &t, b, m, attn_seen(h, end - 1));
    for (int64_t n = m * group; n < (m + 1) * group; n++)
        for (int64_t i = first; i < end; i += TILE_ROWS) {
            const int64_t rows = min_i(TILE_ROWS, end - i);
            WF_K(attn_load)(h, &h->q, b, i, rows, n, h->scale, w.q, LD);
            attend_tiles(h, &w, &t, b, n, i, rows);
            store_block(h, &w, b, n, i, rows);
        }
    WF_K(amx_close)();
}

static bool by_tiles(const wf_ctx *c, const attn *h) { return has_tiles(c) && h->D % TILE_K == 0; }

#else

enum { TILE_STRETCH = STRETCH };
static int64_t tile_elems(const attn *h) { return h->D; }
static void tiles_part(void *arg, int64_t part, int worker) { (void)arg, (void)part, (void)worker; }
static bool by_tiles(const wf_ctx *c, const attn *h) { return (void)c, (void)h, false; }

#endif

wf_status WF_K(attention)(wf_ctx *c, wf_op_args *a)
{
    attn h;
    if (!WF_K(attn_open)(c, a, &h)) return WF_ESKIP;
    h.out[0] = wf_data(a->out[0]);
    if (WF_K(attn_is_one)(&h)) return WF_K(attend_one)(c, &h);
    const bool tiles = by_tiles(c, &h);
    h.scratch_elems = 3 * QUERIES * LD + (tiles ? tile_elems(&h)
                                     : whole_panels(h.Tk) * (h.D + h.Dp) + 2 * PACK_SLACK);
    h.scratch_elems = div_up(h.scratch_elems, 16) * 16;
    h.scratch = scratch_alloc(c, h.scratch_elems * count_workers(c), sizeof(float));
    if (!h.scratch) return WF_ENOMEM;
    const double scores = (double)h.B * (double)h.N * (double)h.Tq * (double)h.Tk;
    const int64_t stretch = tiles ? TILE_STRETCH : STRETCH;
    run_parts(c, h.B * h.M * div_up(h.Tq, stretch), scores * ((double)h.D / 4.0 + 4.0),
              tiles ? tiles_part : attend_part, &h);
    scratch_free(c, h.scratch);
    return WF_OK;
}
