/*
 * amx.c - products of bf16 by tiles.
 *
 * The rows of A (or its columns, turned) become bf16, in the order in which tiles are read:
 * beforehand where several runs of columns read them. A part is a block of rows of C by a run of
 * columns, as in gemm.c, and the block stays in the cache while the panels of B go by. Parts depend
 * on the shape alone.
 */
#include "kernels/cpu/amx.h"
#include "kernels/cpu/kern.h"

#include <string.h>

#if defined(WF_LEVEL_amx)

/* As the instruction reads it: 8 registers, all of 16 rows of 64 bytes. */
static const struct {
    uint8_t palette, start, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} shape = {1, 0, {0}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};

void WF_K(amx_open)(void) { _tile_loadconfig(&shape); }

void WF_K(amx_close)(void) { _tile_release(); }

WF_INLINE void sums_of(int64_t n_k, const char *a, int64_t a_step, const char *b, int64_t b_row,
                       bool tall, bool wide)
{
    for (int64_t k = 0; k < n_k; k++, a += TILE_BYTES, b += TILE * b_row) {
        _tile_loadd(4, a, 64);
        _tile_loadd(6, b, b_row);
        _tile_dpbf16ps(0, 4, 6);
        if (wide) {
            _tile_loadd(7, b + 64, b_row);
            _tile_dpbf16ps(1, 4, 7);
        }
        if (tall) {
            _tile_loadd(5, a + a_step, 64);
            _tile_dpbf16ps(2, 5, 6);
        }
        if (tall && wide) _tile_dpbf16ps(3, 5, 7);
    }
}

void WF_K(amx_tiles)(int64_t n_k, const uint16_t *a, int64_t a_step, const void *b, int64_t b_row,
                     float *c, int64_t c_row, bool add, bool tall, bool wide)
{
    float *low = tall ? c + TILE * c_row : c;
    const int64_t row = c_row * 4;
    __asm__ volatile("" ::: "memory");   /* the compiler does not see what loads of tiles read */
    if (add) {
        _tile_loadd(0, c, row);
        if (wide) _tile_loadd(1, c + TILE, row);
        if (tall) _tile_loadd(2, low, row);
        if (tall && wide) _tile_loadd(3, low + TILE, row);
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
    const char *pa = (const char *)a, *pb = b;
    if (tall && wide) sums_of(n_k, pa, a_step, pb, b_row, true, true);
    else if (tall) sums_of(n_k, pa, a_step, pb, b_row, true, false);
    else if (wide) sums_of(n_k, pa, a_step, pb, b_row, false, true);
    else sums_of(n_k, pa, a_step, pb, b_row, false, false);
    _tile_stored(0, c, row);
    if (wide) _tile_stored(1, c + TILE, row);
    if (tall) _tile_stored(2, low, row);
    if (tall && wide) _tile_stored(3, low + TILE, row);
}

void WF_K(amx_row)(const float *src, int64_t n, uint16_t *dst)
{
    int64_t k = 0;
    for (; k + TILE_K <= n; k += TILE_K, dst += TILE_BYTES / 2)
        _mm512_storeu_si512(dst, (__m512i)_mm512_cvtne2ps_pbh(vf_load(src + k + VL),
                                                              vf_load(src + k)));
    if (k == n) return;
    const vf lo = vf_load_n(src + k, min_i(VL, n - k));
    const vf hi = n - k > VL ? vf_load_n(src + k + VL, n - k - VL) : vf_zero();
    _mm512_storeu_si512(dst, (__m512i)_mm512_cvtne2ps_pbh(hi, lo));
}

/* r[i]'s value j becomes r[j]'s value i. */
WF_INLINE void transpose(__m512i r[TILE])
{
    __m512i t[TILE];
    WF_UNROLL(8)
    for (int i = 0; i < TILE; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    WF_UNROLL(4)
    for (int i = 0; i < TILE; i += 4) {
        r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    /* quarter q of r[4 i + j] holds values 4 i ... of row 4 q + j */
    WF_UNROLL(4)
    for (int j = 0; j < 4; j++) {
        t[j] = _mm512_shuffle_i32x4(r[j], r[4 + j], 0x88);
        t[4 + j] = _mm512_shuffle_i32x4(r[8 + j], r[12 + j], 0x88);
        t[8 + j] = _mm512_shuffle_i32x4(r[j], r[4 + j], 0xdd);
        t[12 + j] = _mm512_shuffle_i32x4(r[8 + j], r[12 + j], 0xdd);
    }
    WF_UNROLL(4)
    for (int j = 0; j < 4; j++) {
        r[j] = _mm512_shuffle_i32x4(t[j], t[4 + j], 0x88);
        r[8 + j] = _mm512_shuffle_i32x4(t[j], t[4 + j], 0xdd);
        r[4 + j] = _mm512_shuffle_i32x4(t[8 + j], t[12 + j], 0x88);
        r[12 + j] = _mm512_shuffle_i32x4(t[8 + j], t[12 + j], 0xdd);
    }
}

/* A tile of A that lies column by column: value k of row i stands at src[k * col + i], for so many
 * rows and k; zeros behind them. */
static void column_tile(const float *src, int64_t col, int64_t rows, int64_t n_k, uint16_t *dst)
{
    static const uint16_t both[2 * TILE] = {
        0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23,
        8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31,
    };
    const __m512i order = _mm512_loadu_si512(both);
    __m512i r[TILE];
    for (int i = 0; i < TILE; i++, src += 2 * col) {
        const vf lo = 2 * i < n_k ? vf_load_n(src, rows) : vf_zero();
        const vf hi = 2 * i + 1 < n_k ? vf_load_n(src + col, rows) : vf_zero();
        r[i] = _mm512_permutexvar_epi16(order, (__m512i)_mm512_cvtne2ps_pbh(hi, lo));
    }
    transpose(r);
    for (int i = 0; i < TILE; i++) _mm512_storeu_si512(dst + i * TILE_K, r[i]);
}

/* ---- the product ---- */

enum { ROWS = 32 * TILE, STEPS = 24 * TILE, SIDE = 2 * TILE };

typedef struct plan {
    const gemm *g;
    int64_t m_blocks, n_chunks, chunk;   /* chunk: columns, a multiple of NR */
    int64_t steps, kc, stretches;        /* pairs of k: in all, of a stretch; how many of those */
    char *a;                             /* slot by slot: a block's rows in one stretch; or NULL */
    int64_t slot;                        /* bytes */
    char *scratch;                       /* of each worker: a row, a corner, a tail, a slot */
    int64_t scratch_bytes;
} plan;

/* One worker's scratch. */
typedef struct desk {
    float *row, *corner;
    int32_t *tail;                       /* what of a panel of B does not fill a tile */
    uint16_t *a;
} desk;

static desk desk_of(const plan *p, int worker)
{
    desk d = {.tail = (int32_t *)(void *)(p->scratch + worker * p->scratch_bytes)};
    d.corner = (float *)(void *)(d.tail + TILE * SIDE);
    d.row = d.corner + SIDE * SIDE;
    d.a = (uint16_t *)(void *)(d.row + 2 * STEPS + PACK_SLACK);
    return d;
}

static uint16_t *slot_at(const plan *p, int64_t batch, int64_t block, int64_t stretch)
{
    char *at = p->a + ((batch * p->m_blocks + block) * p->stretches + stretch) * p->slot;
    return (uint16_t *)(void *)at;
}

/* The same where A lies column by column; in memory's order. */
static void pack_columns(const gemm_src *a, int64_t matrix, int64_t m0, int64_t m1, int64_t k,
                         int64_t n, uint16_t *to)
{
    const float *base = (const float *)a->p + matrix * a->size + k * a->col;
    const int64_t n_k = div_up(n, TILE_K);
    for (int64_t i = 0; i < n_k; i++)
        for (int64_t m = m0; m < m1; m += TILE)
            column_tile(base + i * TILE_K * a->col + m, a->col, min_i(TILE, m1 - m), n - i * TILE_K,
                        to + ((m - m0) / TILE * n_k + i) * (TILE_BYTES / 2));
}

/* Rows m0 .. m1 of A over steps k0 .. k0+kc, zeros up to whole tiles. */
static void pack_block(const plan *p, int64_t matrix, int64_t m0, int64_t m1, int64_t k0,
                       int64_t kc, uint16_t *to, float *tmp)
{
    const gemm *g = p->g;
    const int64_t n = min_i(2 * kc, g->k - 2 * k0), n_k = div_up(kc, TILE);
    if (!g->a.pack && g->a.col != 1) {
        pack_columns(&g->a, matrix, m0, m1, 2 * k0, n, to);
        return;
    }
    const bool lies = !g->a.pack && g->a.t == WF_DTYPE_F32 && g->a.col == 1;
    const float *base = (const float *)g->a.p + matrix * g->a.size + 2 * k0;
    for (int64_t m = m0; m < m0 + div_up(m1 - m0, TILE) * TILE; m++) {
        const int64_t i = m - m0;
        uint16_t *dst = to + i / TILE * n_k * (TILE_BYTES / 2) + i % TILE * TILE_K;
        if (m >= m1) {
            for (int64_t k = 0; k < n_k; k++) memset(dst + k * (TILE_BYTES / 2), 0, 64);
            continue;
        }
        if (!lies) WF_K(pack)(&g->a, matrix, m, 1, 1, 2 * k0, n, tmp);
        WF_K(amx_row)(lies ? base + m * g->a.row : tmp, n, dst);
    }
}

/* Part: one slot of A. */
static void pack_slot(void *arg, int64_t part, int worker)
{
    const plan *p = arg;
    const gemm *g = p->g;
    const int64_t stretch = part % p->stretches, block = part / p->stretches % p->m_blocks;
    const int64_t batch = part / p->stretches / p->m_blocks, k0 = stretch * p->kc;
    pack_block(p, g->a.index ? g->a.index[batch] : batch, block * ROWS,
               min_i(g->m, (block + 1) * ROWS), k0, min_i(p->kc, p->steps - k0),
               slot_at(p, batch, block, stretch), desk_of(p, worker).row);
}

/* Rows m .. of C, columns n .. of a panel: its whole tiles of k, then the tail's. */
static void multiply(const plan *p, int64_t batch, int64_t m, int64_t rows, int64_t n, int width,
                     const uint16_t *a, int64_t kc, const char *b, const desk *d, bool add)
{
    const gemm *g = p->g;
    const int64_t valid = min_i(width, g->n - n), n_k = kc / TILE, row = width * 4;
    const int64_t a_step = div_up(kc, TILE) * TILE_BYTES;
    const bool tall = rows > TILE, wide = width > VL;
    const bool whole = valid == width && !g->row && rows == (tall ? SIDE : TILE);
    float *c = g->row ? NULL : g->c + batch * g->cs + m * g->ldc + n;
    float *out = whole ? c : d->corner;
    const int64_t c_row = whole ? g->ldc : SIDE;
    for (int64_t i = 0; add && !whole && i < rows; i++)
        memcpy(out + i * SIDE, g->row ? g->row(g, m + i) + n : c + i * g->ldc, (size_t)valid * 4);
    if (n_k > 0)
        WF_K(amx_tiles)(n_k, a, a_step, b, row, out, c_row, add, tall, wide);
    if (kc % TILE != 0)
        WF_K(amx_tiles)(1, a + n_k * (TILE_BYTES / 2), a_step, d->tail, row, out, c_row,
                        add || n_k > 0, tall, wide);
    for (int64_t i = 0; !whole && i < rows; i++)
        memcpy(g->row ? g->row(g, m + i) + n : c + i * g->ldc, out + i * SIDE, (size_t)valid * 4);
}

static void finish(const gemm *g, int64_t batch, int64_t m, int64_t rows, int64_t n, int width)
{
    if (!g->bias && g->act == WF_ACT_NONE) return;
    for (int64_t i = m; i < m + rows; i++) {
        float *c = g->row ? g->row(g, i) : g->c + batch * g->cs + i * g->ldc;
        WF_K(finish_row)(c + n, g->bias ? g->bias + n : NULL, min_i(width, g->n - n), g->act);
    }
}

static void run_block(const plan *p, int64_t batch, int64_t m0, int64_t m1, int64_t n0, int64_t n1,
                      const desk *d)
{
    const gemm *g = p->g;
    const int64_t am = g->a.index ? g->a.index[batch] : batch;
    const int64_t bm = g->b.index ? g->b.index[batch] : batch;
    const char *b = (const char *)g->b.p + bm * g->b.size * 4;
    for (int64_t k0 = 0; k0 < p->steps; k0 += p->kc) {
        const int64_t kc = min_i(p->kc, p->steps - k0), whole = kc / TILE * TILE;
        uint16_t *a = p->a ? slot_at(p, batch, m0 / ROWS, k0 / p->kc) : d->a;
        if (!p->a) pack_block(p, am, m0, m1, k0, kc, a, d->row);
        for (int64_t n = n0; n < n1; n += NR) {
            const int width = gemm_width(g->n, n);
            const char *panel = b + (n * p->steps + k0 * width) * 4;
            if (kc > whole) {
                memset(d->tail, 0, TILE * SIDE * sizeof *d->tail);
                memcpy(d->tail, panel + whole * width * 4, (size_t)((kc - whole) * width) * 4);
            }
            for (int64_t m = m0; m < m1; m += SIDE) {
                const int64_t rows = min_i(SIDE, m1 - m);
                multiply(p, batch, m, rows, n, width,
                         a + (m - m0) / TILE * div_up(kc, TILE) * (TILE_BYTES / 2), kc, panel, d,
                         k0 > 0 || g->add);
                if (k0 + kc == p->steps) finish(g, batch, m, rows, n, width);
            }
        }
    }
}

static void run_part(void *arg, int64_t part, int worker)
{
    const plan *p = arg;
    const int64_t chunk = part % p->n_chunks, block = part / p->n_chunks % p->m_blocks;
    const int64_t batch = part / p->n_chunks / p->m_blocks;
    const desk d = desk_of(p, worker);
    WF_K(amx_open)();
    run_block(p, batch, block * ROWS, min_i(p->g->m, (block + 1) * ROWS), chunk * p->chunk,
              min_i(p->g->n, (chunk + 1) * p->chunk), &d);
    WF_K(amx_close)();
}

wf_status WF_K(amx_gemm)(wf_ctx *c, const gemm *g)
{
    const bool columns = !g->a.pack && g->a.t == WF_DTYPE_F32 && g->a.row == 1;
    if (g->b.t != PAIRS || (!g->a.pack && g->a.col != 1 && !columns)) return WF_ESKIP;
    plan p = {.g = g, .m_blocks = div_up(g->m, ROWS), .steps = panel_steps(PAIRS, g->k)};
    const int64_t blocks = p.m_blocks * g->batch, panels = div_up(g->n, NR);
    const int64_t wanted = blocks >= 16 ? 1 : min_i(panels, div_up(32, blocks));
    p.chunk = div_up(panels, wanted) * NR;
    p.n_chunks = div_up(g->n, p.chunk);
    p.stretches = div_up(p.steps, STEPS);
    p.kc = div_up(div_up(p.steps, p.stretches), TILE) * TILE;
    p.slot = min_i(ROWS, div_up(g->m, TILE) * TILE) * p.kc * 4;
    p.scratch_bytes = div_up((TILE * SIDE + SIDE * SIDE + 2 * STEPS + PACK_SLACK) * 4, 64) * 64;
    const int64_t slots = blocks * p.stretches;
    const bool shares = p.n_chunks > 1;
    if (!shares) p.scratch_bytes += p.slot;
    const int64_t own = p.scratch_bytes * count_workers(c);
    p.scratch = scratch_alloc(c, own + (shares ? slots * p.slot : 0), 1);
    if (!p.scratch) return WF_ENOMEM;
    const double work = (double)g->batch * (double)g->m * (double)g->n * (double)g->k / 64.0;
    if (shares) {
        p.a = p.scratch + own;
        run_parts(c, slots, (double)(slots * p.slot) / 4.0, pack_slot, &p);
    }
    run_parts(c, blocks * p.n_chunks, work, run_part, &p);
    scratch_free(c, p.scratch);
    return WF_OK;
}

#else

wf_status WF_K(amx_gemm)(wf_ctx *c, const gemm *g)
{
    (void)c, (void)g;
    return WF_ESKIP;
}

#endif
