/* wino.h - Winograd's F(4x4,3x3): a tile of 4x4 results costs 36 products instead of 144.
 *
 * Lavin & Gray, arXiv:1509.09308, with the points 0, 1, -1, 1/2, -2 and infinity, whose rounding
 * errors are a third of those of 0, 1, -1, 2, -2. With B, G and A the transforms of picture, weight
 * and result: Y = A^T (G g G^T . B^T d B) A for a tile d of 6x6 places and taps g of 3x3.
 */
#ifndef WF_KERNELS_CPU_WINO_H
#define WF_KERNELS_CPU_WINO_H

#include "kernels/cpu/conv.h"

enum { WINO_N = 36, WINO_TILES = 112, WINO_COLS = 16, WINO_PAD = 16 };

/* B^T d: 6 -> 6 */
WF_INLINE void wino_in(vf *d)
{
    const vf a = vf_sub(d[3], d[1]), b = vf_sub(d[4], d[2]);
    const vf t0 = vf_fma(vf_set1(1.5f), a, vf_fma(vf_set1(-2.0f), d[2], vf_add(d[0], d[4])));
    const vf t5 = vf_fma(vf_set1(1.5f), b, vf_fma(vf_set1(-2.0f), d[3], vf_add(d[1], d[5])));
    const vf t1 = vf_fma(vf_set1(2.5f), d[3], vf_fma(vf_set1(0.5f), d[2], vf_sub(d[4], d[1])));
    const vf t2 = vf_fma(vf_set1(-2.5f), d[2], vf_fma(vf_set1(0.5f), d[3], vf_add(d[4], d[1])));
    d[0] = t0;
    d[1] = t1;
    d[2] = t2;
    d[3] = vf_fma(vf_set1(2.0f), a, b);
    d[4] = vf_fma(vf_set1(-0.5f), a, b);
    d[5] = t5;
}

/* G g: 3 -> 6 */
WF_INLINE void wino_taps(const vf *g, vf *u)
{
    const vf third = vf_set1(1.0f / 3.0f), sum = vf_add(g[0], g[2]);
    u[0] = g[0];
    u[1] = vf_mul(third, vf_add(sum, g[1]));
    u[2] = vf_mul(third, vf_sub(g[1], sum));
    u[3] = vf_mul(vf_set1(-16.0f / 15.0f),
                  vf_fma(vf_set1(0.25f), g[2], vf_fma(vf_set1(0.5f), g[1], g[0])));
    u[4] = vf_mul(vf_set1(1.0f / 15.0f),
                  vf_fma(vf_set1(4.0f), g[2], vf_fma(vf_set1(-2.0f), g[1], g[0])));
    u[5] = g[2];
}

/* A^T m: 6 -> 4 */
WF_INLINE void wino_out(const vf *m, vf *y)
{
    const vf s = vf_add(m[1], m[2]), d = vf_sub(m[1], m[2]);
    y[0] = vf_add(vf_add(m[0], s), vf_add(m[3], m[4]));
    y[1] = vf_fma(vf_set1(0.5f), m[3], vf_fma(vf_set1(-2.0f), m[4], d));
    y[2] = vf_fma(vf_set1(0.25f), m[3], vf_fma(vf_set1(4.0f), m[4], s));
    y[3] = vf_add(vf_fma(vf_set1(0.125f), m[3], vf_fma(vf_set1(-8.0f), m[4], d)), m[5]);
}

/* A y: 4 -> 6 */
WF_INLINE void wino_out_turned(const vf *y, vf *m)
{
    const vf even = vf_add(y[0], y[2]), odd = vf_add(y[1], y[3]);
    m[0] = y[0];
    m[1] = vf_add(even, odd);
    m[2] = vf_sub(even, odd);
    m[3] = vf_fma(vf_set1(0.125f), y[3],
                  vf_fma(vf_set1(0.25f), y[2], vf_fma(vf_set1(0.5f), y[1], y[0])));
    m[4] = vf_fma(vf_set1(-8.0f), y[3],
                  vf_fma(vf_set1(4.0f), y[2], vf_fma(vf_set1(-2.0f), y[1], y[0])));
    m[5] = y[3];
}

/* G^T u: 6 -> 3 */
WF_INLINE void wino_taps_turned(const vf *u, vf *g)
{
    const vf third = vf_set1(1.0f / 3.0f), d = vf_sub(u[1], u[2]),
             far = vf_mul(vf_set1(1.0f / 15.0f), u[4]);
    g[0] = vf_fma(vf_set1(-16.0f / 15.0f), u[3], vf_add(u[0], vf_fma(third, d, far)));
    g[1] = vf_fma(vf_set1(-8.0f / 15.0f), u[3],
                  vf_fma(vf_set1(-2.0f), far, vf_mul(third, vf_add(u[1], u[2]))));
    g[2] = vf_add(
        vf_fma(vf_set1(-4.0f / 15.0f), u[3], vf_fma(vf_set1(4.0f), far, vf_mul(third, d))), u[5]);
}

/* The tiles of g's results, in order, and where one stands. */
typedef struct wino_grid {
    int64_t rows, cols, n;
} wino_grid;

static inline wino_grid wino_tiles(const conv *g)
{
    const int64_t rows = div_up(g->Ho, 4), cols = div_up(g->Wo, 4);
    return (wino_grid){rows, cols, g->B * rows * cols};
}

typedef struct wino_place {
    int64_t b, y, x;                     /* of the tile's first result */
} wino_place;

static inline wino_place wino_place_of(const wino_grid *t, int64_t i)
{
    return (wino_place){i / (t->rows * t->cols), i / t->cols % t->rows * 4, i % t->cols * 4};
}

/* v[f * plane + i] = the 36 transformed values of a tile of x; channels in whole vectors, zeros
 * behind I. */
void WF_K(wino_load)(const conv *g, const float *x, wino_place at, float *v, int64_t plane);

/* How many tiles to transform before the products: as many as fit in 2 MiB, near the cores. */
static inline int64_t wino_block(int64_t channels, int64_t n)
{
    const int64_t fit = ((int64_t)2 << 20) / (WINO_N * 4 * channels) / WINO_TILES * WINO_TILES;
    return min_i(n, max_i(WINO_TILES, fit));
}

/* dw of the same convolutions, by the transforms' adjoints; for I O <= WINO_DW_MAX, since it holds
 * 36 I O sums. */
enum { WINO_DW_MAX = 512 * 512 };
wf_status WF_K(wino_dw)(wf_ctx *c, const conv *g, const float *x, const float *dy, float *dw);

static inline int64_t wino_row(int64_t channels) { return div_up(channels, VL) * VL; }

#endif
