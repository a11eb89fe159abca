/*
 * conv.c - convolution and its two adjoints as products whose operands are gathered while they are
 * packed: nothing is unrolled in memory.
 *
 *   conv2d     rows: places of y, k: taps and channels of x
 *   conv2d_dx  rows: places of x of one phase of the stride, k: the taps that reach it, channels of
 * y conv2d_dw  rows: channels of y, columns: taps and channels of x, k: places of y
 */
#include "kernels/cpu/conv.h"
#include "kernels/cpu/wino.h"

#include <string.h>

wf_status WF_K(conv2d)(wf_ctx *c, wf_op_args *a);
wf_status WF_K(conv2d_dx)(wf_ctx *c, wf_op_args *a);
wf_status WF_K(conv2d_dw)(wf_ctx *c, wf_op_args *a);

conv WF_K(read_conv)(const wf_tensor *x, const wf_tensor *w, const wf_tensor *y, const double *p)
{
    return (conv){
        .v = {(int64_t)p[0], (int64_t)p[1], (int64_t)p[2], (int64_t)p[3], (int64_t)p[4],
              (int64_t)p[5], (int64_t)p[6], (int64_t)p[7], (int64_t)p[8]},
        .B = wf_dim(x, 0), .H = wf_dim(x, 1), .W = wf_dim(x, 2), .I = wf_dim(x, 3),
        .O = wf_dim(w, 0), .kh = wf_dim(w, 1), .kw = wf_dim(w, 2),
        .Ho = wf_dim(y, 1), .Wo = wf_dim(y, 2),
    };
}

/* A place in [B,h,w], stepping in row-major order. */
typedef struct place {
    int64_t b, y, x;
} place;

static place place_at(int64_t i, int64_t h, int64_t w)
{
    return (place){i / (h * w), i / w % h, i % w};
}

static void step_place(place *p, int64_t h, int64_t w)
{
    if (++p->x < w) return;
    p->x = 0;
    if (++p->y < h) return;
    p->y = 0;
    p->b++;
}

/* ---- conv2d ---- */

/* x where tap (ky,kx) of output place p reads it, or NULL in the padding. */
static const float *x_under(const conv *g, const float *x, place p, int64_t ky, int64_t kx)
{
    const int64_t iy = p.y * g->v.stride_h - g->v.pad_top + ky * g->v.dilation_h;
    const int64_t ix = p.x * g->v.stride_w - g->v.pad_left + kx * g->v.dilation_w;
    if (iy < 0 || iy >= g->H || ix < 0 || ix >= g->W) return NULL;
    return x + ((p.b * g->H + iy) * g->W + ix) * g->I;
}

static void pack_x(const gemm_src *s, int64_t matrix, int64_t i0, int n, int width, int64_t k0,
                   int64_t kc, float *dst)
{
    const conv *g = s->arg;
    place p[NR];
    (void)matrix;
    p[0] = place_at(i0, g->Ho, g->Wo);
    for (int i = 1; i < n; i++) {
        p[i] = p[i - 1];
        step_place(&p[i], g->Ho, g->Wo);
    }
    for (int64_t k = k0, run; k < k0 + kc; k += run) {
        const int64_t tap = k / g->I, first = k % g->I;
        const void *row[NR];
        run = min_i(g->I - first, k0 + kc - k);
        for (int i = 0; i < n; i++) {
            const float *q = x_under(g, s->p, p[i], tap / g->kw, tap % g->kw);
            row[i] = q ? q + first : NULL;
        }
        WF_K(pack_rows)(row, WF_DTYPE_F32, n, width, run, dst + (k - k0) * width);
    }
}

static wf_status conv_product(wf_ctx *c, const conv *g, wf_op_args *a)
{
    wf_tensor *w = a->in[1];
    const int64_t k = g->kh * g->kw * g->I;
    const gemm_src src = {.p = wf_data(w), .t = wf_get_dtype(w), .row = k, .col = 1};
    const wf_dtype t = panel_dtype(c, src.t);
    void *scratch;
    const void *panels = WF_K(weight_panels)(c, w, PREP_CONV, &src, g->O, k, t, &scratch);
    if (!panels) return WF_ENOMEM;
    gemm p = {.m = g->B * g->Ho * g->Wo, .n = g->O, .k = k, .batch = 1,
              .a = {.p = wf_data(a->in[0]), .t = WF_DTYPE_F32, .row = k, .col = 1, .arg = g},
              .b = {.p = panels, .t = t}, .c = wf_data(a->out[0]), .ldc = g->O,
              .bias = floats(input(a, 2))};
    const wf_conv *v = &g->v;
    const bool dense = g->kh * g->kw == 1 && v->stride_h == 1 && v->stride_w == 1 && g->Ho == g->H
                    && g->Wo == g->W && v->pad_top == 0 && v->pad_left == 0;
    if (!dense) p.a.pack = pack_x;
    const wf_status st = WF_K(gemm)(c, &p);
    scratch_free(c, scratch);
    return st;
}

wf_status WF_K(conv2d)(wf_ctx *c, wf_op_args *a)
{
    wf_tensor *x = a->in[0], *w = a->in[1], *b = input(a, 2), *y = a->out[0];
    if (!is_f32(x) || !is_f32(y) || !is_plain_float(w) || !is_f32(b) || wf_numel(y) == 0)
        return WF_ESKIP;
    const conv g = WF_K(read_conv)(x, w, y, a->attr);
    if (g.v.groups != 1 || wf_numel(w) == 0) return WF_ESKIP;
    if (!has_tiles(c) && WF_K(wino_fits)(&g))
        return WF_K(wino)(c, &g, wf_data(x), w, false, floats(b), wf_data(y));
    return conv_product(c, &g, a);
}

/* ---- conv2d_dx ---- */

/* The places of x that one residue of the stride holds, and the taps that reach them. */
typedef struct phase {
    const conv *g;
    int64_t y0, x0, h, w;                /* first place, places */
    int64_t ky[64], kx[64];
    int n_taps;
} phase;

enum { MAX_TAPS = 64 };

static phase find_phase(const conv *g, int64_t y0, int64_t x0)
{
    const wf_conv *v = &g->v;
    phase p = {.g = g,
               .y0 = y0,
               .x0 = x0,
               .h = div_up(g->H - y0, v->stride_h),
               .w = div_up(g->W - x0, v->stride_w)};
    for (int64_t t = 0; t < g->kh * g->kw; t++) {
        const int64_t ky = t / g->kw, kx = t % g->kw;
        if ((y0 + v->pad_top - ky * v->dilation_h) % v->stride_h != 0) continue;
        if ((x0 + v->pad_left - kx * v->dilation_w) % v->stride_w != 0) continue;
        p.ky[p.n_taps] = ky;
        p.kx[p.n_taps++] = kx;
    }
    return p;
}

/* dy that place p of the phase gets through tap t, or NULL. */
static const float *dy_over(const phase *f, const float *dy, place p, int64_t t)
{
    const conv *g = f->g;
    const wf_conv *v = &g->v;
    const int64_t oy = f->y0 + p.y * v->stride_h + v->pad_top - f->ky[t] * v->dilation_h;
    const int64_t ox = f->x0 + p.x * v->stride_w + v->pad_left - f->kx[t] * v->dilation_w;
    if (oy < 0 || ox < 0 || oy / v->stride_h >= g->Ho || ox / v->stride_w >= g->Wo) return NULL;
    return dy + ((p.b * g->Ho + oy / v->stride_h) * g->Wo + ox / v->stride_w) * g->O;
}

static void pack_dy(const gemm_src *s, int64_t matrix, int64_t i0, int n, int width, int64_t k0,
                    int64_t kc, float *dst)
{
    const phase *f = s->arg;
    const int64_t O = f->g->O;
    place p[NR];
    (void)matrix;
    p[0] = place_at(i0, f->h, f->w);
    for (int i = 1; i < n; i++) {
        p[i] = p[i - 1];
        step_place(&p[i], f->h, f->w);
    }
    for (int64_t k = k0, run; k < k0 + kc; k += run) {
        const int64_t tap = k / O, first = k % O;
        const void *row[NR];
        run = min_i(O - first, k0 + kc - k);
        for (int i = 0; i < n; i++) {
            const float *q = dy_over(f, s->p, p[i], tap);
            row[i] = q ? q + first : NULL;
        }
        WF_K(pack_rows)(row, WF_DTYPE_F32, n, width, run, dst + (k - k0) * width);
    }
}

/* Columns are channels of x, k the phase's taps by channels of y. */
static void pack_w_turned(const gemm_src *s, int64_t matrix, int64_t i0, int n, int width,
                          int64_t k0, int64_t kc, float *dst)
{
    const phase *f = s->arg;
    const conv *g = f->g;
    const int64_t size = g->kh * g->kw * g->I;
    (void)matrix;
    for (int64_t k = k0, run; k < k0 + kc; k += run) {
        const int64_t tap = k / g->O, first = k % g->O;
        run = min_i(g->O - first, k0 + kc - k);
        const int64_t at = first * size + (f->ky[tap] * g->kw + f->kx[tap]) * g->I;
        const gemm_src cols = {.p = (const char *)s->p + at * (int64_t)float_bytes(s->t), .t = s->t,
                               .row = 1, .col = size};
        WF_K(pack)(&cols, 0, i0, n, width, 0, run, dst + (k - k0) * width);
    }
}

static float *row_of_dx(const gemm *g, int64_t m)
{
    const phase *f = g->arg;
    const conv *v = f->g;
    const place p = place_at(m, f->h, f->w);
    return g->c +
           ((p.b * v->H + f->y0 + p.y * v->v.stride_h) * v->W + f->x0 + p.x * v->v.stride_w) * v->I;
}

static wf_status run_phase(wf_ctx *c, const phase *f, const float *dy, wf_tensor *w, float *dx)
{
    const conv *g = f->g;
    const bool whole = g->v.stride_h == 1 && g->v.stride_w == 1;
    const gemm_src src = {.p = wf_data(w), .t = wf_get_dtype(w), .pack = pack_w_turned, .arg = f};
    gemm p = {.m = g->B * f->h * f->w, .n = g->I, .k = f->n_taps * g->O, .batch = 1,
              .a = {.p = dy, .t = WF_DTYPE_F32, .pack = pack_dy, .arg = f},
              .c = dx, .ldc = g->I, .row = whole ? NULL : row_of_dx, .arg = f};
    if (f->n_taps == 0) {
        for (int64_t m = 0; m < p.m; m++) memset(row_of_dx(&p, m), 0, (size_t)g->I * sizeof *dx);
        return WF_OK;
    }
    void *scratch;
    const void *panels;
    if (whole) {
        panels = WF_K(weight_panels)(c, w, PREP_CONV_DX, &src, p.n, p.k, panel_dtype(c, src.t),
                                     &scratch);
        p.b = (gemm_panels){.p = panels, .t = panel_dtype(c, src.t)};
    } else {
        const wf_dtype t = panel_dtype(c, WF_DTYPE_F32);
        panels = scratch = scratch_alloc(c, WF_K(panels_elems)(p.n, p.k, t), sizeof(float));
        if (scratch) WF_K(pack_panels)(c, &src, 1, p.n, p.k, t, scratch);
        p.b = (gemm_panels){.p = panels, .t = t};
    }
    if (!panels) return WF_ENOMEM;
    const wf_status st = WF_K(gemm)(c, &p);
    scratch_free(c, scratch);
    return st;
}

/* The convolution of stride 1 that is g's adjoint: dy's sizes as x's. */
static conv turn(const conv *g)
{
    conv t = *g;
    t.H = g->Ho, t.W = g->Wo, t.I = g->O;
    t.O = g->I, t.Ho = g->H, t.Wo = g->W;
    t.v.pad_top = g->kh - 1 - g->v.pad_top;
    t.v.pad_left = g->kw - 1 - g->v.pad_left;
    return t;
}

wf_status WF_K(conv2d_dx)(wf_ctx *c, wf_op_args *a)
{
    wf_tensor *dy = a->in[0], *w = a->in[1], *dx = a->out[0];
    if (!is_f32(dy) || !is_f32(dx) || !is_plain_float(w) || wf_numel(dx) == 0) return WF_ESKIP;
    const conv g = WF_K(read_conv)(dx, w, dy, a->attr + 2), back = turn(&g);
    if (g.v.groups != 1 || g.kh * g.kw > MAX_TAPS || wf_numel(dy) == 0) return WF_ESKIP;
    if (!has_tiles(c) && WF_K(wino_fits)(&back))
        return WF_K(wino)(c, &back, wf_data(dy), w, true, NULL, wf_data(dx));
    for (int64_t y = 0; y < min_i(g.v.stride_h, g.H); y++)
        for (int64_t x = 0; x < min_i(g.v.stride_w, g.W); x++) {
            const phase f = find_phase(&g, y, x);
            WF_TRY(run_phase(c, &f, wf_data(dy), w, wf_data(dx)));
        }
    return WF_OK;
}

/* ---- conv2d_dw ---- */

/* Columns i0 ... of [kh,kw,I] at places k0 ... of y. */
static void pack_x_taps(const gemm_src *s, int64_t matrix, int64_t i0, int n, int width, int64_t k0,
                        int64_t kc, float *dst)
{
    const conv *g = s->arg;
    (void)matrix;
    for (int64_t i = i0, run; i < i0 + n; i += run) {
        const int64_t tap = i / g->I, first = i % g->I, ky = tap / g->kw, kx = tap % g->kw;
        run = min_i(g->I - first, i0 + n - i);
        place p = place_at(k0, g->Ho, g->Wo);
        for (int64_t k = 0; k < kc; k++, step_place(&p, g->Ho, g->Wo)) {
            const float *q = x_under(g, s->p, p, ky, kx);
            float *d = dst + k * width + (i - i0);
            for (int64_t j = 0; j < run; j += VL) {
                const int64_t m = min_i(VL, run - j);
                if (m == VL) vf_store(d + j, q ? vf_load(q + first + j) : vf_zero());
                else vf_store_n(d + j, m, q ? vf_load_n(q + first + j, m) : vf_zero());
            }
        }
    }
    for (int64_t k = 0; k < kc; k++)
        for (int i = n; i < width; i++) dst[k * width + i] = 0.0f;
}

wf_status WF_K(conv2d_dw)(wf_ctx *c, wf_op_args *a)
{
    wf_tensor *x = a->in[0], *dy = a->in[1], *dw = a->out[0];
    if (!all_f32(a) || wf_numel(dw) == 0 || wf_numel(dy) == 0) return WF_ESKIP;
    const conv g = WF_K(read_conv)(x, dw, dy, a->attr + 2);
    if (g.v.groups != 1) return WF_ESKIP;
    if (WF_K(wino_fits)(&g) && g.I * g.O <= WINO_DW_MAX)
        return WF_K(wino_dw)(c, &g, wf_data(x), wf_data(dy), wf_data(dw));
    const gemm p = {.m = g.O,
                    .n = g.kh * g.kw * g.I,
                    .k = g.B * g.Ho * g.Wo,
                    .batch = 1,
                    .a = {.p = wf_data(dy), .t = WF_DTYPE_F32, .row = 1, .col = g.O},
                    .b = {.t = long_dtype(c)}, .c = wf_data(dw)};
    const gemm_src b = {.p = wf_data(x), .t = WF_DTYPE_F32, .pack = pack_x_taps, .arg = &g};
    return WF_K(gemm_long)(c, &p, &b);
}
