/*
 * gemm_tile.c - the micro-kernels: up to MR rows by two vectors of C in registers, for panels of A
 * or its rows as they lie, and panels of B of every kind.
 */
#include "kernels/cpu/gemm.h"

WF_INLINE vf load_b(const void *b, int64_t i, wf_dtype t)
{
    if (t == WF_DTYPE_F16) return vf_from_f16((const uint16_t *)b + i);
    if (t == WF_DTYPE_BF16) return vf_from_bf16((const uint16_t *)b + i);
    return vf_load((const float *)b + i);
}

/* s + a b, where x holds pairs of bf16 two products */
WF_INLINE vf multiply_add(vf a, vf b, vf s, wf_dtype t)
{
#if defined(WF_LEVEL_avx512bf16)
    if (t == WF_DTYPE_I32) return _mm512_dpbf16_ps(s, (__m512bh)a, (__m512bh)b);
#endif
    (void)t;
    return vf_fma(a, b, s);
}

/* Bytes ahead of a single row's product that B is fetched: it does nothing but wait for memory. */
enum { AHEAD_BYTES = 2048 };

/* rows: element k of A's row i stands at a[i * as + k], else at a[k * as + i]. */
WF_INLINE void tile_body(int mr, int nv, wf_dtype t, bool rows, int64_t kc, const float *a,
                         int64_t as, const void *b, int64_t bs, float *c, int64_t ldc,
                         const float *init, int64_t ld_init)
{
    vf s[MR][2];
    const float *row[5] = {a, a + 3 * as, a + 6 * as, a + 9 * as, a + 12 * as};
    WF_UNROLL(16)
    for (int i = 0; i < mr; i++) {
        WF_UNROLL(2)
        for (int v = 0; v < nv; v++)
            s[i][v] = init ? vf_load(init + i * ld_init + v * VL) : vf_zero();
    }
    for (int64_t k = 0; k < kc; k++, a += rows ? 0 : as) {
        vf x[2];
        if (mr == 1)
            for (int64_t at = 0; at < nv * VL * panel_bytes(t); at += 64)
                _mm_prefetch((const char *)b + k * bs * panel_bytes(t) + at + AHEAD_BYTES,
                             _MM_HINT_T0);
        WF_UNROLL(2)
        for (int v = 0; v < nv; v++) x[v] = load_b(b, k * bs + v * VL, t);
        WF_UNROLL(16)
        for (int i = 0; i < mr; i++) {
            const vf y = vf_set1(rows ? row[i / 3][i % 3 * as + k] : a[i]);
            WF_UNROLL(2)
            for (int v = 0; v < nv; v++) s[i][v] = multiply_add(y, x[v], s[i][v], t);
        }
    }
    WF_UNROLL(16)
    for (int i = 0; i < mr; i++) {
        WF_UNROLL(2)
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
#define EACH_TILE(X, T) EACH_MR(X, T, 1) EACH_MR(X, T, 2)

#define DEFINE(name, T, V, M, rows)                                                      \
    static void name##_##T##_##V##_##M(int64_t kc, const float *a, int64_t as,           \
                                       const void *b, int64_t bs, float *c, int64_t ldc, \
                                       const float *init, int64_t ld_init)               \
    {                                                                                    \
        tile_body(M, V, WF_DTYPE_##T, rows, kc, a, as, b, bs, c, ldc, init, ld_init);    \
    }
#define DEFINE_TILE(T, V, M) DEFINE(tile, T, V, M, false)
#define DEFINE_ROWS(T, V, M) DEFINE(rows, T, V, M, true)
#define TILE(T, V, M) [M] = tile_##T##_##V##_##M,
#define ROWS(T, V, M) [M] = rows_##T##_##V##_##M,

EACH_TILE(DEFINE_TILE, F32)
EACH_TILE(DEFINE_TILE, F16)
EACH_TILE(DEFINE_TILE, BF16)
EACH_TILE(DEFINE_ROWS, F32)

static const gemm_tile_fn tiles[3][2][MR + 1] = {
    {{EACH_MR(TILE, F32, 1)}, {EACH_MR(TILE, F32, 2)}},
    {{EACH_MR(TILE, F16, 1)}, {EACH_MR(TILE, F16, 2)}},
    {{EACH_MR(TILE, BF16, 1)}, {EACH_MR(TILE, BF16, 2)}},
};
static const gemm_tile_fn row_tiles[2][MR + 1] = {{EACH_MR(ROWS, F32, 1)}, {EACH_MR(ROWS, F32, 2)}};

#if defined(WF_LEVEL_avx512bf16)
EACH_TILE(DEFINE_TILE, I32)
static const gemm_tile_fn pair_tiles[2][MR + 1] = {{EACH_MR(TILE, I32, 1)},
                                                   {EACH_MR(TILE, I32, 2)}};
#endif

gemm_tile_fn WF_K(tile)(wf_dtype b, int mr, int nv)
{
#if defined(WF_LEVEL_avx512bf16)
    if (b == PAIRS) return pair_tiles[nv - 1][mr];
#endif
    const int t = b == WF_DTYPE_F32 ? 0 : b == WF_DTYPE_F16 ? 1 : 2;
    return tiles[t][nv - 1][mr];
}

gemm_tile_fn WF_K(row_tile)(int mr, int nv) { return row_tiles[nv - 1][mr]; }
