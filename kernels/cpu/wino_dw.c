/*
 * wino_dw.c - the gradient of a 3x3 convolution's weight by the adjoints of Winograd's transforms.
 *
 * dw = G^T [sum over tiles of (A dy A^T) . (B^T d B)] G: both sides are transformed block by block,
 * and each frequency's sum over tiles is one product, a single chain over the tiles in their order.
 */
#include "kernels/cpu/wino.h"

enum { ROWS = 4 * MR };                  /* channels of y in one part */

typedef struct job {
    const conv *g;
    wino_grid tiles;
    const float *x, *dy;
    float *dw, *v, *d, *u;               /* v, d: transformed x and dy; u [36][O][v_row]: sums */
    int64_t first, count;                /* the block of tiles */
    int64_t v_row, v_plane, d_row, d_plane, u_plane;
} job;

/* d[f * plane + o] = A dy A^T of a tile; channels in whole vectors, zeros behind O. */
static void load_dy(const conv *g, const float *dy, wino_place at, float *d, int64_t plane)
{
    const float *p = dy + ((at.b * g->Ho + at.y) * g->Wo + at.x) * g->O;
    for (int64_t o = 0; o < g->O; o += VL) {
        const int64_t n = min_i(VL, g->O - o);
        vf t[6][4], m[6];
        for (int c = 0; c < 4; c++) {
            vf y[4];
            for (int r = 0; r < 4; r++) {
                const bool inside = at.y + r < g->Ho && at.x + c < g->Wo;
                y[r] = inside ? vf_load_n(p + (r * g->Wo + c) * g->O + o, n) : vf_zero();
            }
            wino_out_turned(y, m);
            for (int r = 0; r < 6; r++) t[r][c] = m[r];
        }
        for (int r = 0; r < 6; r++) {
            wino_out_turned(t[r], m);
            for (int c = 0; c < 6; c++) vf_store(d + (r * 6 + c) * plane + o, m[c]);
        }
    }
}

static void load_part(void *arg, int64_t part, int worker)
{
    const job *j = arg;
    const int64_t end = min_i(j->count, (part + 1) * MR);
    (void)worker;
    for (int64_t t = part * MR; t < end; t++) {
        const wino_place at = wino_place_of(&j->tiles, j->first + t);
        WF_K(wino_load)(j->g, j->x, at, j->v + t * j->v_row, j->v_plane);
        load_dy(j->g, j->dy, at, j->d + t * j->d_row, j->d_plane);
    }
}

/* Part: one frequency, ROWS channels of y. */
static void sum_part(void *arg, int64_t part, int worker)
{
    const job *j = arg;
    const int64_t chunks = div_up(j->g->O, ROWS), f = part / chunks, o0 = part % chunks * ROWS;
    const int64_t n = min_i(ROWS, j->g->O - o0), mr = div_up(n, div_up(n, MR));
    const float *v = j->v + f * j->v_plane, *d = j->d + f * j->d_plane + o0;
    float *u = j->u + f * j->u_plane + o0 * j->v_row;
    (void)worker;
    for (int64_t i = 0; i < j->v_row; i += NR)
        for (int64_t o = 0; o < n; o += mr) {
            const int nv = j->v_row - i > VL ? 2 : 1;
            const gemm_tile_fn tile = WF_K(tile)(WF_DTYPE_F32, (int)min_i(mr, n - o), nv);
            float *to = u + o * j->v_row + i;
            tile(j->count, d + o, j->d_row, v + i, j->v_row, to, j->v_row, j->first > 0 ? to : NULL,
                 j->v_row);
        }
}

/* dw of channel o of y. */
static void store_part(void *arg, int64_t o, int worker)
{
    const job *j = arg;
    const int64_t I = j->g->I;
    (void)worker;
    for (int64_t i = 0; i < I; i += VL) {
        const float *u = j->u + o * j->v_row + i;
        vf t[3][6], g[3];
        for (int c = 0; c < 6; c++) {
            vf m[6];
            for (int r = 0; r < 6; r++) m[r] = vf_load(u + (r * 6 + c) * j->u_plane);
            wino_taps_turned(m, g);
            for (int r = 0; r < 3; r++) t[r][c] = g[r];
        }
        for (int r = 0; r < 3; r++) {
            wino_taps_turned(t[r], g);
            for (int c = 0; c < 3; c++)
                vf_store_n(j->dw + (o * 9 + r * 3 + c) * I + i, min_i(VL, I - i), g[c]);
        }
    }
}

wf_status WF_K(wino_dw)(wf_ctx *c, const conv *g, const float *x, const float *dy, float *dw)
{
    job j = {.g = g, .tiles = wino_tiles(g), .x = x, .dy = dy, .dw = dw,
             .v_row = wino_row(g->I), .d_row = wino_row(g->O)};
    const int64_t block = wino_block(j.v_row + j.d_row, j.tiles.n);
    j.v_plane = block * j.v_row + WINO_PAD;
    j.d_plane = block * j.d_row + WINO_PAD;
    j.u_plane = g->O * j.v_row + WINO_PAD;
    j.v = scratch_alloc(c, WINO_N * (j.v_plane + j.d_plane + j.u_plane), sizeof *j.v);
    if (!j.v) return WF_ENOMEM;
    j.d = j.v + WINO_N * j.v_plane;
    j.u = j.d + WINO_N * j.d_plane;
    for (j.first = 0; j.first < j.tiles.n; j.first += block) {
        j.count = min_i(block, j.tiles.n - j.first);
        const double values = (double)(j.count * g->I);
        run_parts(c, div_up(j.count, MR), 24.0 * (double)(j.count * (g->I + g->O)), load_part, &j);
        run_parts(c, WINO_N * div_up(g->O, ROWS), values * (double)g->O * 2.0, sum_part, &j);
    }
    run_parts(c, g->O, 36.0 * (double)(g->I * g->O), store_part, &j);
    scratch_free(c, j.v);
    return WF_OK;
}
