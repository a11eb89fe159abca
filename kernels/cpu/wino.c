/*
 * wino.c - 3x3 convolutions of stride 1, and their adjoints in x, by Winograd's transforms.
 *
 * A block of tiles is transformed; then each part takes 16 output channels by up to WINO_TILES
 * tiles: it transforms the weights of those channels (cheaper than reading them transformed), runs
 * one product a frequency and transforms back. Every product is one chain over the channels of x.
 */
#include "kernels/cpu/wino.h"

enum { NV = WINO_COLS / VL };

bool WF_K(wino_fits)(const conv *g)
{
    const wf_conv *v = &g->v;
    const wino_grid t = wino_tiles(g);
    const bool square = g->kh == 3 && g->kw == 3 && v->stride_h == 1 && v->stride_w == 1;
    return square && v->dilation_h == 1 && v->dilation_w == 1 && v->groups == 1 && v->pad_top >= 0
        && v->pad_left >= 0 && g->I >= 8 && g->O >= 8 && 2 * g->Ho * g->Wo >= 16 * t.rows * t.cols;
}

/* ---- picture ---- */

/* The 6x6 places at p, rows sy apart and places sx, to v; `whole`: nothing lies outside. */
WF_INLINE void load_channels(const float *p, int64_t sy, int64_t sx, int64_t n, unsigned rows,
                             unsigned cols, bool whole, float *v, int64_t plane)
{
    vf t[6][6];
    WF_UNROLL(6)
    for (int c = 0; c < 6; c++) {
        vf d[6];
        WF_UNROLL(6)
        for (int r = 0; r < 6; r++) {
            const float *q = p + r * sy + c * sx;
            const bool inside = whole || (rows >> r & cols >> c & 1u);
            d[r] = !inside ? vf_zero() : whole ? vf_load(q) : vf_load_n(q, n);
            if (c >= 2) _mm_prefetch((const void *)(q + 4 * sx), _MM_HINT_T0);   /* the next tile */
        }
        wino_in(d);
        WF_UNROLL(6)
        for (int r = 0; r < 6; r++) t[r][c] = d[r];
    }
    WF_UNROLL(6)
    for (int r = 0; r < 6; r++) {
        wino_in(t[r]);
        WF_UNROLL(6)
        for (int c = 0; c < 6; c++) vf_store(v + (r * 6 + c) * plane, t[r][c]);
    }
}

/* Bit r: whether place at + r lies in 0 ... n-1. */
static unsigned inside_of(int64_t at, int64_t n)
{
    unsigned bits = 0;
    for (int r = 0; r < 6; r++)
        if (at + r >= 0 && at + r < n) bits |= 1u << r;
    return bits;
}

void WF_K(wino_load)(const conv *g, const float *x, wino_place at, float *v, int64_t plane)
{
    const int64_t y0 = at.y - g->v.pad_top, x0 = at.x - g->v.pad_left, I = g->I;
    const unsigned rows = inside_of(y0, g->H), cols = inside_of(x0, g->W);
    const float *p = x + ((at.b * g->H + y0) * g->W + x0) * I;
    for (int64_t i = 0; i < I; i += VL) {
        const int64_t n = min_i(VL, I - i);
        if ((rows & cols) == 0x3f && n == VL)
            load_channels(p + i, g->W * I, I, n, rows, cols, true, v + i, plane);
        else load_channels(p + i, g->W * I, I, n, rows, cols, false, v + i, plane);
    }
}

/* ---- products: c[mr][16] = a[mr][kc] b[kc][16], rows of a lda apart ---- */

WF_INLINE void product_body(int mr, int64_t kc, const float *a, int64_t lda, const float *b,
                            float *c)
{
    vf s[MR][NV];
    const float *row[5] = {a, a + 3 * lda, a + 6 * lda, a + 9 * lda, a + 12 * lda};
    WF_UNROLL(16)
    for (int i = 0; i < mr; i++) {
        WF_UNROLL(2)
        for (int v = 0; v < NV; v++) s[i][v] = vf_zero();
    }
    for (int64_t k = 0; k < kc; k++, b += WINO_COLS) {
        vf x[NV];
        WF_UNROLL(2)
        for (int v = 0; v < NV; v++) x[v] = vf_load(b + v * VL);
        WF_UNROLL(16)
        for (int i = 0; i < mr; i++) {
            const vf y = vf_set1(row[i / 3][i % 3 * lda + k]);
            WF_UNROLL(2)
            for (int v = 0; v < NV; v++) s[i][v] = vf_fma(y, x[v], s[i][v]);
        }
    }
    WF_UNROLL(16)
    for (int i = 0; i < mr; i++) {
        WF_UNROLL(2)
        for (int v = 0; v < NV; v++) vf_store(c + i * WINO_COLS + v * VL, s[i][v]);
    }
}

#if defined(WF_LEVEL_avx2)
#define EACH_PRODUCT(X) X(1) X(2) X(3) X(4) X(5) X(6)
#else
#define EACH_PRODUCT(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)
#endif
#define DEFINE_PRODUCT(M)                                                                \
    static void product_##M(int64_t kc, const float *a, int64_t lda, const float *b, float *c) \
    {                                                                                    \
        product_body(M, kc, a, lda, b, c);                                               \
    }
EACH_PRODUCT(DEFINE_PRODUCT)
#define ROW_OF_PRODUCTS(M) [M] = product_##M,
static void (*const products[MR + 1])(int64_t, const float *, int64_t, const float *, float *) = {
    EACH_PRODUCT(ROW_OF_PRODUCTS)};

/* ---- weights and results of 16 channels ---- */

typedef struct job {
    const conv *g;
    wino_grid tiles;
    const float *x, *bias;
    const void *w;
    wf_dtype wt;
    bool flip;
    float *y, *v, *scratch;              /* v: the transformed block [36][plane] */
    int64_t first, count;                /* the block of tiles */
    int64_t row, plane;                  /* of v: a tile's values, a frequency's */
    int64_t chunks, scratch_elems;
} job;

/* taps[(tap * I + i) * 16 + o] = weights of channels o0 ... as this call sees them, zeros behind.
 */
static void gather_taps(const job *j, int64_t o0, float *taps)
{
    const int64_t I = j->g->I, O = j->g->O, n = min_i(WINO_COLS, O - o0);
    if (!j->flip) {
        const void *row[WINO_COLS];
        for (int64_t o = 0; o < n; o++)
            row[o] = (const char *)j->w + (o0 + o) * 9 * I * (int64_t)float_bytes(j->wt);
        WF_K(pack_rows)(row, j->wt, (int)n, WINO_COLS, 9 * I, taps);
        return;
    }
    for (int64_t tap = 0; tap < 9; tap++) {
        const gemm_src cols = {.p = (const char *)j->w +
                                    ((8 - tap) * O + o0) * (int64_t)float_bytes(j->wt),
                               .t = j->wt,
                               .row = 1,
                               .col = 9 * O};
        WF_K(pack)(&cols, 0, 0, (int)n, WINO_COLS, 0, I, taps + tap * I * WINO_COLS);
    }
}

/* u[f][I][16] = G g G^T */
static void transform_taps(int64_t I, const float *taps, float *u)
{
    for (int64_t i = 0; i < I * WINO_COLS; i += VL) {
        vf t[6][3];
        for (int s = 0; s < 3; s++) {
            vf g[3], c[6];
            for (int r = 0; r < 3; r++) g[r] = vf_load(taps + (r * 3 + s) * I * WINO_COLS + i);
            wino_taps(g, c);
            for (int r = 0; r < 6; r++) t[r][s] = c[r];
        }
        for (int r = 0; r < 6; r++) {
            vf c[6];
            wino_taps(t[r], c);
            for (int s = 0; s < 6; s++)
                vf_store(u + (r * 6 + s) * (I * WINO_COLS + WINO_PAD) + i, c[s]);
        }
    }
}

/* y of one tile, channels o0 + part of 16 ..., from m[f * plane]. */
static void store_tile(const job *j, wino_place at, int64_t o, const float *m, int64_t plane)
{
    const conv *g = j->g;
    const int64_t n = min_i(VL, g->O - o);
    const vf bias = j->bias ? vf_load_n(j->bias + o, n) : vf_zero();
    vf t[4][6];
    for (int c = 0; c < 6; c++) {
        vf d[6], y[4];
        for (int r = 0; r < 6; r++) d[r] = vf_load(m + (r * 6 + c) * plane);
        wino_out(d, y);
        for (int r = 0; r < 4; r++) t[r][c] = y[r];
    }
    for (int64_t r = 0; r < min_i(4, g->Ho - at.y); r++) {
        vf y[4];
        float *p = j->y + ((at.b * g->Ho + at.y + r) * g->Wo + at.x) * g->O + o;
        wino_out(t[r], y);
        for (int64_t c = 0; c < min_i(4, g->Wo - at.x); c++)
            vf_store_n(p + c * g->O, n, vf_add(y[c], bias));
    }
}

static void load_part(void *arg, int64_t part, int worker)
{
    const job *j = arg;
    const int64_t end = min_i(j->count, (part + 1) * MR);
    (void)worker;
    for (int64_t t = part * MR; t < end; t++)
        WF_K(wino_load)(j->g, j->x, wino_place_of(&j->tiles, j->first + t), j->v + t * j->row,
                        j->plane);
}

static void product_part(void *arg, int64_t part, int worker)
{
    const job *j = arg;
    const int64_t I = j->g->I, o0 = part % j->chunks * WINO_COLS,
                  t0 = part / j->chunks * WINO_TILES;
    const int64_t n = min_i(WINO_TILES, j->count - t0), mr = div_up(n, div_up(n, MR));
    const int64_t u_plane = I * WINO_COLS + WINO_PAD, m_plane = WINO_TILES * WINO_COLS + WINO_PAD;
    float *u = j->scratch + worker * j->scratch_elems, *m = u + WINO_N * u_plane, *taps = m;
    if (9 * I * WINO_COLS > WINO_N * m_plane) taps = m + WINO_N * m_plane;
    gather_taps(j, o0, taps);
    transform_taps(I, taps, u);
    for (int64_t f = 0; f < WINO_N; f++)
        for (int64_t t = 0; t < n; t += mr)
            products[min_i(mr, n - t)](I, j->v + f * j->plane + (t0 + t) * j->row, j->row,
                                       u + f * u_plane, m + f * m_plane + t * WINO_COLS);
    for (int64_t t = 0; t < n; t++)
        for (int64_t v = 0; v < WINO_COLS && o0 + v < j->g->O; v += VL)
            store_tile(j, wino_place_of(&j->tiles, j->first + t0 + t), o0 + v,
                       m + t * WINO_COLS + v, m_plane);
}

wf_status WF_K(wino)(wf_ctx *c, const conv *g, const float *x, wf_tensor *w, bool flip,
                     const float *bias, float *y)
{
    job j = {.g = g,
             .tiles = wino_tiles(g),
             .x = x,
             .bias = bias,
             .w = wf_data(w),
             .wt = wf_get_dtype(w),
             .flip = flip,
             .y = y,
             .chunks = div_up(g->O, WINO_COLS)};
    const int64_t block = wino_block(g->I, j.tiles.n),
                  m_elems = WINO_N * (WINO_TILES * WINO_COLS + WINO_PAD);
    j.row = wino_row(g->I);
    j.plane = block * j.row + WINO_PAD;
    j.scratch_elems = WINO_N * (g->I * WINO_COLS + WINO_PAD) + m_elems + PACK_SLACK;
    if (9 * g->I * WINO_COLS > m_elems) j.scratch_elems += 9 * g->I * WINO_COLS;
    j.scratch_elems = div_up(j.scratch_elems, 16) * 16;
    j.v = scratch_alloc(c, WINO_N * j.plane + j.scratch_elems * count_workers(c), sizeof *j.v);
    if (!j.v) return WF_ENOMEM;
    j.scratch = j.v + WINO_N * j.plane;
    for (j.first = 0; j.first < j.tiles.n; j.first += block) {
        j.count = min_i(block, j.tiles.n - j.first);
        const double values = (double)(j.count * g->I);
        run_parts(c, div_up(j.count, MR), 16.0 * values, load_part, &j);
        run_parts(c, div_up(j.count, WINO_TILES) * j.chunks, values * (double)g->O * 2.0,
                  product_part, &j);
    }
    scratch_free(c, j.v);
    return WF_OK;
}
