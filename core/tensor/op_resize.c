/*
 * op_resize.c - nearest and bilinear resizing of [B,H,W,C], each with its adjoint.
 *
 * Each output pixel reads one or two pixels along each axis, with weights; the adjoint adds through
 * the same weights. Pixel rules are PyTorch's interpolate.
 */
#include "core/tensor/op_impl.h"

#include <math.h>

enum { MAX_EXTENT = 1 << 30 };

/* Sizes of the picture [B,H,W,C] and of the resized one [B,Ho,Wo,C]. */
typedef struct picture {
    int64_t B, H, W, C, Ho, Wo;
} picture;

static int64_t in_at(const picture *p, int64_t b, int64_t y, int64_t x)
{
    return ((b * p->H + y) * p->W + x) * p->C;
}
static int64_t out_at(const picture *p, int64_t b, int64_t y, int64_t x)
{
    return ((b * p->Ho + y) * p->Wo + x) * p->C;
}

static picture read_sizes(const wf_tensor *image, const wf_tensor *resized)
{
    return (picture){.B = wf_dim(image, 0),
                     .H = wf_dim(image, 1),
                     .W = wf_dim(image, 2),
                     .C = wf_dim(image, 3),
                     .Ho = wf_dim(resized, 1),
                     .Wo = wf_dim(resized, 2)};
}

static wf_status set_size(wf_ctx *c, wf_op_args *a)
{
    const wf_tensor *x = a->in[0];
    WF_TRY(wfi_check_float(c, a, 0));
    WF_TRY(wfi_check_rank(c, a, 0, 4));
    WF_TRY(wfi_check_int_attr(c, a, 0, 1, MAX_EXTENT));
    WF_TRY(wfi_check_int_attr(c, a, 1, 1, MAX_EXTENT));
    if (wf_dim(x, 1) < 1 || wf_dim(x, 2) < 1)
        return wf_fail_status(c, WF_ESHAPE, "%s: the picture has no pixels", a->op->name);
    a->shape[0] = (wf_shape){4, {wf_dim(x, 0), wfi_int(a, 0), wfi_int(a, 1), wf_dim(x, 3)}};
    return WF_OK;
}

/* Call an op of one input, with two sizes and perhaps one more attribute. */
static wf_tensor *call_sized(wf_ctx *c, wf_op_id id, wf_tensor *x, int64_t height, int64_t width,
                             double more, int n_more)
{
    return wf_op_call(c, id, &x, 1, (double[]){(double)height, (double)width, more}, 2 + n_more);
}

/* Pixel i of an axis reads at[0] with 1 - t and at[1] with t. */
typedef struct taps {
    int64_t at[2];
    double t;
} taps;

typedef enum filter { NEAREST, BILINEAR, CORNERS } filter;

/* Which of n_in pixels are read for pixel i of n_out. */
static taps find_taps(int64_t i, int64_t n_in, int64_t n_out, filter f)
{
    if (f == NEAREST) {
        const int64_t at = i * n_in / n_out;
        return (taps){.at = {at, at}};
    }
    const double corner = n_out > 1 ? (double)i * (double)(n_in - 1) / (double)(n_out - 1) : 0.0;
    const double middle = ((double)i + 0.5) * (double)n_in / (double)n_out - 0.5;
    const double s = f == CORNERS ? corner : fmax(middle, 0.0);
    const int64_t lo = (int64_t)s < n_in - 1 ? (int64_t)s : n_in - 1,
                  hi = lo < n_in - 1 ? lo + 1 : lo;
    return (taps){.at = {lo, hi}, .t = s - (double)lo};
}

static void read_pixel(const picture *p, const wfi_values *x, wfi_values *y, int64_t b, int64_t out,
                       const taps *v, const taps *h)
{
    const int64_t i00 = in_at(p, b, v->at[0], h->at[0]), i01 = in_at(p, b, v->at[0], h->at[1]);
    const int64_t i10 = in_at(p, b, v->at[1], h->at[0]), i11 = in_at(p, b, v->at[1], h->at[1]);
    for (int64_t ch = 0; ch < p->C; ch++) {
        if (v->t == 0.0 && h->t == 0.0) {       /* so that a neighbour's NaN stays out */
            wfi_put(y, out + ch, wfi_get(x, i00 + ch));
            continue;
        }
        const double top = (1.0 - h->t) * wfi_get(x, i00 + ch) + h->t * wfi_get(x, i01 + ch);
        const double low = (1.0 - h->t) * wfi_get(x, i10 + ch) + h->t * wfi_get(x, i11 + ch);
        wfi_put(y, out + ch, (1.0 - v->t) * top + v->t * low);
    }
}

static void resize(wf_op_args *a, filter f)
{
    const wfi_values x = wfi_open(a->in[0]);
    wfi_values y = wfi_open(a->out[0]);
    const picture p = read_sizes(a->in[0], a->out[0]);
    for (int64_t b = 0; b < p.B; b++)
        for (int64_t oy = 0; oy < p.Ho; oy++) {
            const taps v = find_taps(oy, p.H, p.Ho, f);
            for (int64_t ox = 0; ox < p.Wo; ox++) {
                const taps h = find_taps(ox, p.W, p.Wo, f);
                read_pixel(&p, &x, &y, b, out_at(&p, b, oy, ox), &v, &h);
            }
        }
}

/* The output pixels lo .. hi-1 along an axis that may read input pixel i; rounding may widen it. */
static void find_readers(int64_t i, int64_t n_in, int64_t n_out, int64_t *lo, int64_t *hi)
{
    const int64_t a = (i - 2) * n_out / n_in - 2, b = (i + 2) * n_out / n_in + 3;
    *lo = a > 0 ? a : 0;
    *hi = b < n_out ? b : n_out;
}

/* Weight with which taps read pixel i. */
static double weight_of(const taps *t, int64_t i)
{
    return (t->at[0] == i ? 1.0 - t->t : 0.0) + (t->at[1] == i ? t->t : 0.0);
}

/* dx at one pixel and channel: the sum over the output pixels that read it. */
static double gather_pixel(const picture *p, const wfi_values *dy, int64_t b, int64_t y, int64_t x,
                           int64_t ch, filter f)
{
    int64_t y0, y1, x0, x1;
    double sum = 0.0;
    find_readers(y, p->H, p->Ho, &y0, &y1);
    find_readers(x, p->W, p->Wo, &x0, &x1);
    for (int64_t oy = y0; oy < y1; oy++) {
        const taps v = find_taps(oy, p->H, p->Ho, f);
        const double wy = weight_of(&v, y);
        for (int64_t ox = x0; wy != 0.0 && ox < x1; ox++) {
            const taps h = find_taps(ox, p->W, p->Wo, f);
            const double wx = weight_of(&h, x);
            if (wx != 0.0) sum += wy * wx * wfi_get(dy, out_at(p, b, oy, ox) + ch);
        }
    }
    return sum;
}

static void resize_dx(wf_op_args *a, filter f)
{
    const wfi_values dy = wfi_open(a->in[0]);
    wfi_values dx = wfi_open(a->out[0]);
    const picture p = read_sizes(a->out[0], a->in[0]);
    for (int64_t i = 0; i < dx.n; i++) {
        const int64_t ch = i % p.C, x = i / p.C % p.W, y = i / p.C / p.W % p.H,
                      b = i / p.C / p.W / p.H;
        wfi_put(&dx, i, gather_pixel(&p, &dy, b, y, x, ch, f));
    }
}

static filter bilinear(const wf_op_args *a) { return a->attr[2] != 0.0 ? CORNERS : BILINEAR; }

wf_status wfi_resize_nearest_infer(wf_ctx *c, wf_op_args *a) { return set_size(c, a); }
wf_status wfi_resize_nearest_dx_infer(wf_ctx *c, wf_op_args *a) { return set_size(c, a); }

wf_status wfi_resize_nearest_forward(wf_ctx *c, wf_op_args *a)
{
    (void)c;
    resize(a, NEAREST);
    return WF_OK;
}

wf_status wfi_resize_nearest_dx_forward(wf_ctx *c, wf_op_args *a)
{
    (void)c;
    resize_dx(a, NEAREST);
    return WF_OK;
}

void wfi_resize_nearest_backward(wf_ctx *c, wf_grad_args *g)
{
    g->dx[0] = call_sized(c, WF_OP_ID_resize_nearest_dx, g->dy[0], wf_dim(g->in[0], 1),
                          wf_dim(g->in[0], 2), 0.0, 0);
}

void wfi_resize_nearest_dx_backward(wf_ctx *c, wf_grad_args *g)
{
    g->dx[0] = call_sized(c, WF_OP_ID_resize_nearest, g->dy[0], wf_dim(g->in[0], 1),
                          wf_dim(g->in[0], 2), 0.0, 0);
}

wf_tensor *wf_resize_nearest(wf_ctx *c, wf_tensor *x, int64_t height, int64_t width)
{
    return call_sized(c, WF_OP_ID_resize_nearest, x, height, width, 0.0, 0);
}

static wf_status set_bilinear(wf_ctx *c, wf_op_args *a)
{
    WF_TRY(wfi_check_int_attr(c, a, 2, 0, 1));
    return set_size(c, a);
}

wf_status wfi_resize_bilinear_infer(wf_ctx *c, wf_op_args *a) { return set_bilinear(c, a); }
wf_status wfi_resize_bilinear_dx_infer(wf_ctx *c, wf_op_args *a) { return set_bilinear(c, a); }

wf_status wfi_resize_bilinear_forward(wf_ctx *c, wf_op_args *a)
{
    (void)c;
    resize(a, bilinear(a));
    return WF_OK;
}

wf_status wfi_resize_bilinear_dx_forward(wf_ctx *c, wf_op_args *a)
{
    (void)c;
    resize_dx(a, bilinear(a));
    return WF_OK;
}

void wfi_resize_bilinear_backward(wf_ctx *c, wf_grad_args *g)
{
    const wf_tensor *x = g->in[0];
    g->dx[0] = call_sized(c, WF_OP_ID_resize_bilinear_dx, g->dy[0], wf_dim(x, 1), wf_dim(x, 2),
                          g->attr[2], 1);
}

void wfi_resize_bilinear_dx_backward(wf_ctx *c, wf_grad_args *g)
{
    const wf_tensor *dy = g->in[0];
    g->dx[0] = call_sized(c, WF_OP_ID_resize_bilinear, g->dy[0], wf_dim(dy, 1), wf_dim(dy, 2),
                          g->attr[2], 1);
}

wf_tensor *wf_resize_bilinear(wf_ctx *c, wf_tensor *x, int64_t height, int64_t width,
                              bool align_corners)
{
    return call_sized(c, WF_OP_ID_resize_bilinear, x, height, width, align_corners, 1);
}
