/*
 * gemm.c - the micro-kernels and the loops over panels.
 *
 * A part is MB rows of C by a run of columns: it packs its rows of A once for each stretch of k and
 * takes them, from the cache, through all panels of B. Parts depend on the shape alone.
 */
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/kern.h"
#include "kernels/cpu/simd_math.h"

#include <string.h>

/* ---- micro-kernels ---- */

WF_INLINE vf load_b(const void *b, int64_t i, wf_dtype t)
{
    if (t == WF_DTYPE_F32) return vf_load((const float *)b + i);
    if (t == WF_DTYPE_F16) return vf_from_f16((const uint16_t *)b + i);
    return vf_from_bf16((const uint16_t *)b + i);
}

WF_INLINE void tile_body(int mr, int nv, wf_dtype t, int64_t kc, const float *a, int64_t as,
                         const void *b, int64_t bs, float *c, int64_t ldc, bool add)
{
    vf s[MR][2];
#pragma GCC unroll 16
    for (int i = 0; i < mr; i++) {
#pragma GCC unroll 2
        for (int v = 0; v < nv; v++) s[i][v] = add ? vf_load(c + i * ldc + v * VL) : vf_zero();
    }
    for (int64_t k = 0; k < kc; k++) {
        vf x[2];
#pragma GCC unroll 2
        for (int v = 0; v < nv; v++) x[v] = load_b(b, k * bs + v * VL, t);
#pragma GCC unroll 16
        for (int i = 0; i < mr; i++) {
            const vf y = vf_set1(a[i]);
#pragma GCC unroll 2
            for (int v = 0; v < nv; v++) s[i][v] = vf_fma(y, x[v], s[i][v]);
        }
        a += as;
    }
#pragma GCC unroll 16
    for (int i = 0; i < mr; i++) {
#pragma GCC unroll 2
        for (int v = 0; v < nv; v++) vf_store(c + i * ldc + v * VL, s[i][v]);
    }
}

#if defined(WF_LEVEL_avx2)
#define EACH_MR(X, T, V) X(T, V, 1) X(T, V, 2) X(T, V, 3) X(T, V, 4) X(T, V, 5) X(T, V, 6)
#else
#define EACH_MR(X, T, V)                                                                 \
    X(T, V, 1) X(T, V, 2) X(T, V, 3) X(T, V, 4) X(T, V, 5) X(T, V, 6) X(T, V, 7)         \
    X(T, V, 8) X(T, V, 9) X(T, V, 10) X(T, V, 11) X(T, V, 12) X(T, V, 13) X(T, V, 14)
#endif
#define EACH_TILE(X)                                                                     \
    EACH_MR(X, F32, 1) EACH_MR(X, F32, 2) EACH_MR(X, F16, 1) EACH_MR(X, F16, 2)          \
    EACH_MR(X, BF16, 1) EACH_MR(X, BF16, 2)

#define DEFINE_TILE(T, V, M)                                                             \
    static void tile_##T##_##V##_##M(int64_t kc, const float *a, int64_t as,             \
                                     const void *b, int64_t bs, float *c, int64_t ldc,   \
                                     bool add)                                           \
    {                                                                                    \
        tile_body(M, V, WF_DTYPE_##T, kc, a, as, b, bs, c, ldc, add);                    \
    }
EACH_TILE(DEFINE_TILE)

#define ROW_OF_TILES(T, V, M) [M] = tile_##T##_##V##_##M,
static const gemm_tile_fn tiles[3][2][MR + 1] = {
    {{EACH_MR(ROW_OF_TILES, F32, 1)}, {EACH_MR(ROW_OF_TILES, F32, 2)}},
    {{EACH_MR(ROW_OF_TILES, F16, 1)}, {EACH_MR(ROW_OF_TILES, F16, 2)}},
    {{EACH_MR(ROW_OF_TILES, BF16, 1)}, {EACH_MR(ROW_OF_TILES, BF16, 2)}},
};

/* ---- the same on pairs of bf16 ---- */

#if defined(WF_LEVEL_avx512bf16)

WF_INLINE void pairs_body(int mr, int nv, int64_t kc, const float *a, int64_t as, const float *b,
                          int64_t bs, float *c, int64_t ldc, bool add)
{
    vf s[MR][2];
#pragma GCC unroll 16
    for (int i = 0; i < mr; i++) {
#pragma GCC unroll 2
        for (int v = 0; v < nv; v++) s[i][v] = add ? vf_load(c + i * ldc + v * VL) : vf_zero();
    }
    for (int64_t k = 0; k < kc; k++, a += as, b += bs) {
        __m512bh x[2];
#pragma GCC unroll 2
        for (int v = 0; v < nv; v++) x[v] = (__m512bh)vf_load(b + v * VL);
#pragma GCC unroll 16
        for (int i = 0; i < mr; i++) {
            const __m512bh y = (__m512bh)vf_set1(a[i]);
#pragma GCC unroll 2
            for (int v = 0; v < nv; v++) s[i][v] = _mm512_dpbf16_ps(s[i][v], y, x[v]);
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < mr; i++) {
#pragma GCC unroll 2
        for (int v = 0; v < nv; v++) vf_store(c + i * ldc + v * VL, s[i][v]);
    }
}

#define DEFINE_PAIRS(T, V, M)                                                            \
    static void tile_##T##_##V##_##M(int64_t kc, const float *a, int64_t as,             \
                                     const void *b, int64_t bs, float *c, int64_t ldc,   \
                                     bool add)                                           \
    {                                                                                    \
        pairs_body(M, V, kc, a, as, b, bs, c, ldc, add);                                 \
    }
EACH_MR(DEFINE_PAIRS, PAIRS, 1)
EACH_MR(DEFINE_PAIRS, PAIRS, 2)
static const gemm_tile_fn pair_tiles[2][MR + 1] = {{EACH_MR(ROW_OF_TILES, PAIRS, 1)},
                                                   {EACH_MR(ROW_OF_TILES, PAIRS, 2)}};

#endif

gemm_tile_fn WF_K(tile)(wf_dtype b, int mr, int nv)
{
#if defined(WF_LEVEL_avx512bf16)
    if (b == PAIRS) return pair_tiles[nv - 1][mr];
#endif
    const int t = b == WF_DTYPE_F32 ? 0 : b == WF_DTYPE_F16 ? 1 : 2;
    return tiles[t][nv - 1][mr];
}

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

typedef struct plan {
    const gemm *g;
    int64_t m_blocks, n_chunks, chunk;   /* chunk: columns, a multiple of NR */
    int64_t steps, kc;                   /* of k: in all, of a stretch */
    float *scratch;
    int64_t scratch_elems;               /* of one worker */
} plan;

static float *row_at(const gemm *g, int64_t batch, int64_t m)
{
    return g->row ? g->row(g, m) : g->c + batch * g->cs + m * g->ldc;
}

/* One pair of panels; where C cannot take whole vectors at one row distance, by way of tmp. */
static void multiply(const gemm *g, int64_t batch, int64_t m, int mr, int64_t n, int width,
                     const float *a, const void *b, int64_t kc, bool add, float *tmp)
{
    const int64_t valid = min_i(width, g->n - n);
    const gemm_tile_fn tile = WF_K(tile)(g->b.t, mr, width / VL);
    if (valid == width && !g->row) {
        tile(kc, a, mr, b, width, row_at(g, batch, m) + n, g->ldc, add);
        return;
    }
    for (int i = 0; add && i < mr; i++)
        memcpy(tmp + i * NR, row_at(g, batch, m + i) + n, (size_t)valid * sizeof *tmp);
    tile(kc, a, mr, b, width, tmp, NR, add);
    for (int i = 0; i < mr; i++)
        memcpy(row_at(g, batch, m + i) + n, tmp + i * NR, (size_t)valid * sizeof *tmp);
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

/* Rows m0 .. m1 in panels of mr: all k of columns n0 .. n1. */
static void run_block(const plan *p, int64_t batch, int64_t m0, int64_t m1, int64_t n0, int64_t n1,
                      float *scratch)
{
    const gemm *g = p->g;
    const int64_t panels = div_up(m1 - m0, MR), mr = div_up(m1 - m0, panels);
    const int64_t am = g->a.index ? g->a.index[batch] : batch;
    const int64_t bm = g->b.index ? g->b.index[batch] : batch;
    const char *b = (const char *)g->b.p + bm * g->b.size * panel_bytes(g->b.t);
    float *tmp = scratch, *apack = scratch + TMP_ELEMS;
    for (int64_t k0 = 0; k0 < p->steps; k0 += p->kc) {
        const int64_t kc = min_i(p->kc, p->steps - k0), step = mr * kc + PACK_SLACK;
        const bool last = k0 + kc == p->steps;
        for (int64_t i = 0, m = m0; m < m1; i++, m += mr) {
            const int rows = (int)min_i(mr, m1 - m);
            pack_a(g, am, m, rows, k0, kc, apack + i * step, tmp);
        }
        for (int64_t n = n0; n < n1; n += NR) {
            const int width = gemm_width(g->n, n);
            const char *panel = b + (n * p->steps + k0 * width) * panel_bytes(g->b.t);
            for (int64_t i = 0, m = m0; m < m1; i++, m += mr) {
                const int rows = (int)min_i(mr, m1 - m);
                multiply(g, batch, m, rows, n, width, apack + i * step, panel, kc, k0 > 0 || g->add,
                         tmp);
                for (int r = 0; last && (g->bias || g->act != WF_ACT_NONE) && r < rows; r++)
                    WF_K(finish_row)(row_at(g, batch, m + r) + n, g->bias ? g->bias + n : NULL,
                                     min_i(width, g->n - n), g->act);
            }
        }
    }
}

static void run_part(void *arg, int64_t part, int worker)
{
    const plan *p = arg;
    const int64_t chunk = part % p->n_chunks, block = part / p->n_chunks % p->m_blocks;
    const int64_t batch = part / p->n_chunks / p->m_blocks;
    run_block(p, batch, block * MB, min_i(p->g->m, (block + 1) * MB), chunk * p->chunk,
              min_i(p->g->n, (chunk + 1) * p->chunk), p->scratch + worker * p->scratch_elems);
}

wf_status WF_K(gemm)(wf_ctx *c, const gemm *g)
{
    if (g->m == 0 || g->n == 0 || g->batch == 0) return WF_OK;
    plan p = {.g = g, .m_blocks = div_up(g->m, MB)};
    const int64_t parts = p.m_blocks * g->batch, panels = div_up(g->n, NR);
    const int64_t wanted = parts >= 16 ? 1 : min_i(panels, div_up(32, parts));
    p.chunk = div_up(panels, wanted) * NR;
    p.n_chunks = div_up(g->n, p.chunk);
    p.steps = panel_steps(g->b.t, g->k);
    p.kc = div_up(p.steps, div_up(p.steps, KC));
    p.scratch_elems = div_up(TMP_ELEMS + min_i(MB, g->m) * p.kc + (MP + 1) * PACK_SLACK, 16) * 16;
    p.scratch = scratch_alloc(c, p.scratch_elems * count_workers(c), sizeof *p.scratch);
    if (!p.scratch) return WF_ENOMEM;
    const double work = (double)g->batch * (double)g->m * (double)g->n * (double)g->k / 8.0;
    run_parts(c, parts * p.n_chunks, work, run_part, &p);
    scratch_free(c, p.scratch);
    return WF_OK;
}
