/*
 * gemm.c - the loops over panels, and what is done to a row at the end.
 *
 * A part is a block of rows of C by a run of columns: it packs its rows of A once for each stretch
 * of k and takes them, from the cache, through all panels of B. A B that no cache holds is read by
 * few, tall blocks; their rows of A are packed before, once for all runs of columns. Parts depend
 * on the shape alone.
 */
#include "kernels/cpu/amx.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/kern.h"
#include "kernels/cpu/simd_math.h"

#include <string.h>

/* ---- epilogue ---- */

WF_INLINE vf activate(vf x, wf_act act)
{
    switch (act) {
    case WF_ACT_SILU: return vf_silu(x);
    case WF_ACT_GELU: return vf_gelu(x);
    case WF_ACT_GELU_TANH: return vf_gelu_tanh(x);
    case WF_ACT_GELU_QUICK: return vf_gelu_quick(x);
    case WF_ACT_RELU: return vf_relu(x);
    default: return x;
    }
}

WF_INLINE void finish_as(float *c, const float *bias, int64_t n, wf_act act)
{
    int64_t i = 0;
    for (; i + VL <= n; i += VL) {
        const vf x = vf_load(c + i);
        vf_store(c + i, activate(bias ? vf_add(x, vf_load(bias + i)) : x, act));
    }
    if (i < n) {
        const vf x = vf_load_n(c + i, n - i);
        vf_store_n(c + i, n - i, activate(bias ? vf_add(x, vf_load_n(bias + i, n - i)) : x, act));
    }
}

void WF_K(finish_row)(float *c, const float *bias, int64_t n, wf_act act)
{
    switch (act) {
    case WF_ACT_NONE: if (bias) finish_as(c, bias, n, WF_ACT_NONE); break;
    case WF_ACT_SILU: finish_as(c, bias, n, WF_ACT_SILU); break;
    case WF_ACT_GELU: finish_as(c, bias, n, WF_ACT_GELU); break;
    case WF_ACT_GELU_TANH: finish_as(c, bias, n, WF_ACT_GELU_TANH); break;
    case WF_ACT_GELU_QUICK: finish_as(c, bias, n, WF_ACT_GELU_QUICK); break;
    default: finish_as(c, bias, n, WF_ACT_RELU); break;
    }
}

/* ---- loops ---- */

/* Of one worker, beside its panels: a tile, or a panel of A before it becomes pairs. */
enum { TMP_ELEMS = MR * 2 * KC + PACK_SLACK };

/* Columns up to which packing a panel of A costs more than its rows' distances do. */
enum { LYING_COLUMNS = 1024 };

/* Bytes of B from which it is read as seldom as may be, the most rows and panels of columns of a
 * block then, and the most values of A that are packed beforehand. */
enum { LARGE_B = 6 << 20, TALL = 5 * MB, NARROW = 4, MOST_SHARED = 16 << 20 };

typedef struct plan {
    const gemm *g;
    int64_t m_blocks, n_chunks, chunk;   /* chunk: columns, a multiple of NR */
    int64_t rows;                        /* of a block */
    int64_t steps, kc, stretches;        /* of k: in all, of a stretch, and how many of them */
    bool lying;                          /* A's rows are read where they lie */
    float *shared;                       /* NULL, or A packed, slot by slot */
    int64_t slot;                        /* values of a block's rows in one stretch */
    float *scratch;
    int64_t scratch_elems;               /* of one worker */
} plan;

static float *row_at(const gemm *g, int64_t batch, int64_t m)
{
    return g->row ? g->row(g, m) : g->c + batch * g->cs + m * g->ldc;
}

/* C's rows m .. m+mr, columns n .. n+width: where they are and what they start from. */
typedef struct corner {
    int64_t batch, m, n;
    int mr, width;
    bool first, last;                    /* stretches of k */
} corner;

/* One pair of panels; where C cannot take whole vectors at one row distance, by way of tmp. */
static void multiply(const gemm *g, const corner *at, gemm_tile_fn tile, const float *a, int64_t as,
                     const void *b, int64_t kc, float *tmp)
{
    const int64_t valid = min_i(at->width, g->n - at->n);
    const bool add = !at->first || g->add;
    const float *bias = g->bias && at->first && !g->add ? g->bias + at->n : NULL;
    if (valid == at->width && !g->row) {
        float *c = row_at(g, at->batch, at->m) + at->n;
        if (bias) tile(kc, a, as, b, at->width, c, g->ldc, bias, 0);
        else tile(kc, a, as, b, at->width, c, g->ldc, add ? c : NULL, g->ldc);
        return;
    }
    for (int i = 0; (add || bias) && i < at->mr; i++) {
        const float *from = add ? row_at(g, at->batch, at->m + i) + at->n : bias;
        memcpy(tmp + i * NR, from, (size_t)valid * sizeof *tmp);
    }
    tile(kc, a, as, b, at->width, tmp, NR, add || bias ? tmp : NULL, NR);
    for (int i = 0; i < at->mr; i++)
        memcpy(row_at(g, at->batch, at->m + i) + at->n, tmp + i * NR, (size_t)valid * sizeof *tmp);
}

static void finish_corner(const gemm *g, const corner *at)
{
    const int64_t valid = min_i(at->width, g->n - at->n);
    const bool bias_left = g->bias && g->add;              /* else it was there from the start */
    if (!at->last || (g->act == WF_ACT_NONE && !bias_left)) return;
    for (int r = 0; r < at->mr; r++)
        WF_K(finish_row)(row_at(g, at->batch, at->m + r) + at->n,
                         bias_left ? g->bias + at->n : NULL, valid, g->act);
}

/* One panel of A: steps k0 .. k0+kc of its rows, by way of tmp where they are pairs. */
static void pack_a(const gemm *g, int64_t matrix, int64_t m, int rows, int64_t k0, int64_t kc,
                   float *dst, float *tmp)
{
    if (g->b.t == PAIRS) {
        const int64_t n = min_i(2 * kc, g->k - 2 * k0);
        WF_K(pack)(&g->a, matrix, m, rows, rows, 2 * k0, n, tmp);
        WF_K(pair)(tmp, rows, n, dst);
    } else {
        WF_K(pack)(&g->a, matrix, m, rows, rows, k0, kc, dst);
    }
}

/* Rows m0 .. m1 of A over steps k0 .. k0+kc, in panels of mr rows, step values apart. */
static void pack_rows_of_a(const plan *p, int64_t am, int64_t m0, int64_t m1, int64_t k0,
                           int64_t kc, float *dst, float *tmp)
{
    const gemm *g = p->g;
    const int64_t mr = div_up(m1 - m0, div_up(m1 - m0, MR)), step = mr * kc + PACK_SLACK;
    if (WF_K(is_columns)(&g->a, g->b.t))
        WF_K(pack_columns)(&g->a, am, m0, m1 - m0, mr, k0, kc, dst, step);
    else
        for (int64_t i = 0, m = m0; m < m1; i++, m += mr)
            pack_a(g, am, m, (int)min_i(mr, m1 - m), k0, kc, dst + i * step, tmp);
}

static float *slot_at(const plan *p, int64_t batch, int64_t m0, int64_t k0)
{
    return p->shared + ((batch * p->m_blocks + m0 / p->rows) * p->stretches + k0 / p->kc) * p->slot;
}

/* Part: a slot of what is packed beforehand. */
static void pack_slot(void *arg, int64_t part, int worker)
{
    const plan *p = arg;
    const int64_t k0 = part % p->stretches * p->kc, block = part / p->stretches % p->m_blocks;
    const int64_t batch = part / p->stretches / p->m_blocks, m0 = block * p->rows;
    pack_rows_of_a(p, p->g->a.index ? p->g->a.index[batch] : batch, m0,
                   min_i(p->g->m, m0 + p->rows), k0, min_i(p->kc, p->steps - k0),
                   slot_at(p, batch, m0, k0), p->scratch + worker * p->scratch_elems);
}

/* Rows m0 .. m1 in panels of mr: all k of columns n0 .. n1. */
static void run_block(const plan *p, int64_t batch, int64_t m0, int64_t m1, int64_t n0, int64_t n1,
                      float *scratch)
{
    const gemm *g = p->g;
    const int64_t panels = div_up(m1 - m0, MR), mr = div_up(m1 - m0, panels);
    const int64_t am = g->a.index ? g->a.index[batch] : batch;
    const int64_t bm = g->b.index ? g->b.index[batch] : batch;
    const char *b = (const char *)g->b.p + bm * g->b.size * panel_bytes(g->b.t);
    const float *lying = p->lying ? (const float *)g->a.p + am * g->a.size : NULL;
    float *tmp = scratch;
    for (int64_t k0 = 0; k0 < p->steps; k0 += p->kc) {
        const int64_t kc = min_i(p->kc, p->steps - k0), step = mr * kc + PACK_SLACK;
        float *apack = p->shared ? slot_at(p, batch, m0, k0) : scratch + TMP_ELEMS;
        if (!lying && !p->shared) pack_rows_of_a(p, am, m0, m1, k0, kc, apack, tmp);
        for (int64_t n = n0; n < n1; n += NR) {
            const int width = gemm_width(g->n, n), nv = width / VL;
            const char *panel = b + (n * p->steps + k0 * width) * panel_bytes(g->b.t);
            for (int64_t i = 0, m = m0; m < m1; i++, m += mr) {
                const int rows = (int)min_i(mr, m1 - m);
                const corner at = {batch, m, n, rows, width, k0 == 0, k0 + kc == p->steps};
                const gemm_tile_fn tile =
                    lying ? WF_K(row_tile)(rows, nv) : WF_K(tile)(g->b.t, rows, nv);
                multiply(g, &at, tile, lying ? lying + m * g->a.row + k0 : apack + i * step,
                         lying ? g->a.row : rows, panel, kc, tmp);
                finish_corner(g, &at);
            }
        }
    }
}

static void run_part(void *arg, int64_t part, int worker)
{
    const plan *p = arg;
    const int64_t chunk = part % p->n_chunks, block = part / p->n_chunks % p->m_blocks;
    const int64_t batch = part / p->n_chunks / p->m_blocks;
    run_block(p, batch, block * p->rows, min_i(p->g->m, (block + 1) * p->rows), chunk * p->chunk,
              min_i(p->g->n, (chunk + 1) * p->chunk), p->scratch + worker * p->scratch_elems);
}

/* Rows of a block: MB, or where B is large as many as make few blocks. */
static int64_t block_rows(const gemm *g, bool large)
{
    if (!large || g->m <= MB) return MB;
    return div_up(div_up(g->m, div_up(g->m, TALL)), MR) * MR;
}

static plan make_plan(const gemm *g)
{
    plan p = {.g = g, .steps = panel_steps(g->b.t, g->k)};
    const bool large = (double)g->n * (double)p.steps * (double)panel_bytes(g->b.t) > LARGE_B;
    p.rows = block_rows(g, large);
    p.m_blocks = div_up(g->m, p.rows);
    const int64_t parts = p.m_blocks * g->batch, panels = div_up(g->n, NR);
    const int64_t few = large ? div_up(panels, NARROW) : 1;     /* C's block stays in the cache */
    const int64_t wanted = max_i(few, parts >= 16 ? 1 : min_i(panels, div_up(32, parts)));
    p.chunk = div_up(panels, wanted) * NR;
    p.n_chunks = div_up(g->n, p.chunk);
    p.stretches = div_up(p.steps, KC * MR / min_i(g->m, MR));   /* few rows: long ones */
    p.kc = div_up(p.steps, p.stretches);
    p.slot = div_up(min_i(p.rows, g->m) * p.kc + (p.rows / MR + 1) * PACK_SLACK, 16) * 16;
    return p;
}

wf_status WF_K(gemm)(wf_ctx *c, const gemm *g)
{
    if (g->m == 0 || g->n == 0 || g->batch == 0) return WF_OK;
    const wf_status by_tiles = WF_K(amx_gemm)(c, g);
    if (by_tiles != WF_ESKIP) return by_tiles;
    plan p = make_plan(g);
    const int64_t slots = p.m_blocks * g->batch * p.stretches;
    const bool shares = p.rows > MB && p.n_chunks > 1 && slots * p.slot <= MOST_SHARED;
    p.lying = !shares && !g->a.pack && g->a.t == WF_DTYPE_F32 && g->a.col == 1
           && g->b.t == WF_DTYPE_F32 && p.chunk <= LYING_COLUMNS;
    p.scratch_elems = div_up(TMP_ELEMS + (shares ? 0 : p.slot), 16) * 16;
    const int64_t elems = p.scratch_elems * count_workers(c);
    p.scratch = scratch_alloc(c, elems + (shares ? slots * p.slot : 0), sizeof *p.scratch);
    if (!p.scratch) return WF_ENOMEM;
    const double work = (double)g->batch * (double)g->m * (double)g->n * (double)g->k / 8.0;
    if (shares) {
        p.shared = p.scratch + elems;
        run_parts(c, slots, (double)(slots * p.slot), pack_slot, &p);
    }
    run_parts(c, p.m_blocks * g->batch * p.n_chunks, work, run_part, &p);
    scratch_free(c, p.scratch);
    return WF_OK;
}
