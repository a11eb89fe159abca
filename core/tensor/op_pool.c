/*
 * op_pool.c - average and largest value of square windows of [B,H,W,C], with their adjoints.
 *
 * Padding counts as zeros in an average and never wins a maximum, as in PyTorch's *_pool2d. The
 * gradient of a maximum goes to its first place in reading order.
 */
#include "core/tensor/op_impl.h"

#include <math.h>

enum { MAX_EXTENT = 1 << 30 };

/* Sizes of the picture, its windows, and the places they stand at. */
typedef struct pool {
    int64_t B, H, W, C, Ho, Wo;
    int64_t kernel, stride, pad;
} pool;

/* The part of one window that lies in the picture. */
typedef struct window {
    int64_t y0, y1, x0, x1;
} window;

static int64_t image_at(const pool *p, int64_t b, int64_t y, int64_t x)
{
    return ((b * p->H + y) * p->W + x) * p->C;
}
static int64_t place_at(const pool *p, int64_t b, int64_t y, int64_t x)
{
    return ((b * p->Ho + y) * p->Wo + x) * p->C;
}

static pool read_pool(const wf_tensor *image, const double *attr)
{
    pool p = {.B = wf_dim(image, 0),
              .H = wf_dim(image, 1),
              .W = wf_dim(image, 2),
              .C = wf_dim(image, 3),
              .kernel = (int64_t)attr[0],
              .stride = (int64_t)attr[1],
              .pad = (int64_t)attr[2]};
    p.Ho = (p.H + 2 * p.pad - p.kernel) / p.stride + 1;
    p.Wo = (p.W + 2 * p.pad - p.kernel) / p.stride + 1;
    return p;
}

static window clip_window(const pool *p, int64_t oy, int64_t ox)
{
    const int64_t y = oy * p->stride - p->pad, x = ox * p->stride - p->pad;
    return (window){.y0 = y > 0 ? y : 0, .y1 = y + p->kernel < p->H ? y + p->kernel : p->H,
                    .x0 = x > 0 ? x : 0, .x1 = x + p->kernel < p->W ? x + p->kernel : p->W};
}

static wf_status check_window(wf_ctx *c, const wf_op_args *a, int64_t height, int64_t width)
{
    WF_TRY(wfi_check_int_attr(c, a, 0, 1, MAX_EXTENT));
    WF_TRY(wfi_check_int_attr(c, a, 1, 1, MAX_EXTENT));
    WF_TRY(wfi_check_int_attr(c, a, 2, 0, MAX_EXTENT));
    const int64_t kernel = wfi_int(a, 0), pad = wfi_int(a, 2);
    if (2 * pad > kernel)
        return wf_fail_status(c, WF_EARG, "%s: pad %lld is more than half of a window of %lld",
                              a->op->name, (long long)pad, (long long)kernel);
    if (height + 2 * pad >= kernel && width + 2 * pad >= kernel) return WF_OK;
    return wf_fail_status(c, WF_ESHAPE,
                          "%s: a window of %lld does not fit into %lld x %lld and its padding",
                          a->op->name, (long long)kernel, (long long)height, (long long)width);
}

static wf_status set_places(wf_ctx *c, wf_op_args *a)
{
    const wf_tensor *x = a->in[0];
    WF_TRY(wfi_check_float(c, a, 0));
    WF_TRY(wfi_check_rank(c, a, 0, 4));
    WF_TRY(check_window(c, a, wf_dim(x, 1), wf_dim(x, 2)));
    const pool p = read_pool(x, a->attr);
    a->shape[0] = (wf_shape){4, {p.B, p.Ho, p.Wo, p.C}};
    return WF_OK;
}

static wf_status check_dy(wf_ctx *c, const wf_op_args *a, const wf_tensor *dy,
                          const wf_shape *wanted)
{
    char got[180], want[180];
    const wf_shape s = wf_get_shape(dy);
    if (wf_shape_is_same(&s, wanted)) return WF_OK;
    return wf_fail_status(c, WF_ESHAPE, "%s: dy is %s, wants %s", a->op->name,
                          wf_tensor_text(dy, got, sizeof got),
                          wf_shape_text(wanted, want, sizeof want));
}

/* ---- average ---- */

wf_status wfi_avg_pool2d_infer(wf_ctx *c, wf_op_args *a) { return set_places(c, a); }

wf_status wfi_avg_pool2d_forward(wf_ctx *c, wf_op_args *a)
{
    (void)c;
    const wfi_values x = wfi_open(a->in[0]);
    wfi_values y = wfi_open(a->out[0]);
    const pool p = read_pool(a->in[0], a->attr);
    for (int64_t i = 0; i < y.n; i++) {
        const int64_t ch = i % p.C, ox = i / p.C % p.Wo, oy = i / p.C / p.Wo % p.Ho,
                      b = i / p.C / p.Wo / p.Ho;
        const window w = clip_window(&p, oy, ox);
        double sum = 0.0;
        for (int64_t iy = w.y0; iy < w.y1; iy++)
            for (int64_t ix = w.x0; ix < w.x1; ix++)
                sum += wfi_get(&x, image_at(&p, b, iy, ix) + ch);
        wfi_put(&y, i, sum / (double)(p.kernel * p.kernel));
    }
    return WF_OK;
}

void wfi_avg_pool2d_backward(wf_ctx *c, wf_grad_args *g)
{
    const double attr[] = {g->attr[0], g->attr[1], g->attr[2], (double)wf_dim(g->in[0], 1),
                           (double)wf_dim(g->in[0], 2)};
    g->dx[0] = wf_op_call(c, WF_OP_ID_avg_pool2d_dx, g->dy, 1, attr, 5);
}

wf_status wfi_avg_pool2d_dx_infer(wf_ctx *c, wf_op_args *a)
{
    const wf_tensor *dy = a->in[0];
    WF_TRY(wfi_check_float(c, a, 0));
    WF_TRY(wfi_check_rank(c, a, 0, 4));
    WF_TRY(wfi_check_int_attr(c, a, 3, 0, MAX_EXTENT));
    WF_TRY(wfi_check_int_attr(c, a, 4, 0, MAX_EXTENT));
    const int64_t H = wfi_int(a, 3), W = wfi_int(a, 4);
    WF_TRY(check_window(c, a, H, W));
    const int64_t k = wfi_int(a, 0), pad = wfi_int(a, 2);
    const int64_t Ho = (H + 2 * pad - k) / wfi_int(a, 1) + 1,
                  Wo = (W + 2 * pad - k) / wfi_int(a, 1) + 1;
    WF_TRY(check_dy(c, a, dy, &(wf_shape){4, {wf_dim(dy, 0), Ho, Wo, wf_dim(dy, 3)}}));
    a->shape[0] = (wf_shape){4, {wf_dim(dy, 0), H, W, wf_dim(dy, 3)}};
    return WF_OK;
}

/* Places first .. last along an axis whose windows cover pixel i. */
static void find_covering(const pool *p, int64_t i, int64_t n_places, int64_t *first, int64_t *last)
{
    const int64_t from = i + p->pad - p->kernel + 1, to = (i + p->pad) / p->stride;
    *first = from > 0 ? (from + p->stride - 1) / p->stride : 0;
    *last = to < n_places - 1 ? to : n_places - 1;
}

wf_status wfi_avg_pool2d_dx_forward(wf_ctx *c, wf_op_args *a)
{
    (void)c;
    const wfi_values dy = wfi_open(a->in[0]);
    wfi_values dx = wfi_open(a->out[0]);
    const pool p = read_pool(a->out[0], a->attr);
    for (int64_t i = 0; i < dx.n; i++) {
        const int64_t ch = i % p.C, x = i / p.C % p.W, y = i / p.C / p.W % p.H,
                      b = i / p.C / p.W / p.H;
        int64_t y0, y1, x0, x1;
        double sum = 0.0;
        find_covering(&p, y, p.Ho, &y0, &y1);
        find_covering(&p, x, p.Wo, &x0, &x1);
        for (int64_t oy = y0; oy <= y1; oy++)
            for (int64_t ox = x0; ox <= x1; ox++) sum += wfi_get(&dy, place_at(&p, b, oy, ox) + ch);
        wfi_put(&dx, i, sum / (double)(p.kernel * p.kernel));
    }
    return WF_OK;
}

void wfi_avg_pool2d_dx_backward(wf_ctx *c, wf_grad_args *g)
{
    g->dx[0] = wf_op_call(c, WF_OP_ID_avg_pool2d, g->dy, 1, g->attr, 3);
}

wf_tensor *wf_avg_pool2d(wf_ctx *c, wf_tensor *x, int64_t kernel, int64_t stride, int64_t pad)
{
    return wf_op_call(c, WF_OP_ID_avg_pool2d, &x, 1,
                      (double[]){(double)kernel, (double)stride, (double)pad}, 3);
}

/* ---- largest ---- */

/* Position of the first largest value of a window, NaN being larger than any; -1 of none. */
static int64_t find_largest(const pool *p, const wfi_values *x, int64_t b, window w, int64_t ch)
{
    double best = -INFINITY;
    int64_t at = -1;
    for (int64_t iy = w.y0; iy < w.y1; iy++)
        for (int64_t ix = w.x0; ix < w.x1; ix++) {
            const int64_t i = image_at(p, b, iy, ix) + ch;
            const double v = wfi_get(x, i);
            if (at >= 0 && !(v > best) && !(isnan(v) && !isnan(best))) continue;
            best = v;
            at = i;
        }
    return at;
}

wf_status wfi_max_pool2d_infer(wf_ctx *c, wf_op_args *a) { return set_places(c, a); }

wf_status wfi_max_pool2d_forward(wf_ctx *c, wf_op_args *a)
{
    (void)c;
    const wfi_values x = wfi_open(a->in[0]);
    wfi_values y = wfi_open(a->out[0]);
    const pool p = read_pool(a->in[0], a->attr);
    for (int64_t i = 0; i < y.n; i++) {
        const int64_t ch = i % p.C, ox = i / p.C % p.Wo, oy = i / p.C / p.Wo % p.Ho,
                      b = i / p.C / p.Wo / p.Ho;
        const int64_t at = find_largest(&p, &x, b, clip_window(&p, oy, ox), ch);
        wfi_put(&y, i, at < 0 ? -INFINITY : wfi_get(&x, at));
    }
    return WF_OK;
}

void wfi_max_pool2d_backward(wf_ctx *c, wf_grad_args *g)
{
    g->dx[0] =
        wf_op_call(c, WF_OP_ID_max_pool2d_dx, (wf_tensor *[]){g->in[0], g->dy[0]}, 2, g->attr, 3);
}

wf_status wfi_max_pool2d_dx_infer(wf_ctx *c, wf_op_args *a)
{
    WF_TRY(set_places(c, a));
    WF_TRY(wfi_check_float(c, a, 1));
    const wf_shape places = a->shape[0];
    a->shape[0] = wf_get_shape(a->in[0]);
    return check_dy(c, a, a->in[1], &places);
}

/* dx at pixel i: dy of every window that chose it. */
static double gather_chosen(const pool *p, const wfi_values *x, const wfi_values *dy, int64_t i)
{
    const int64_t ch = i % p->C, ix = i / p->C % p->W, iy = i / p->C / p->W % p->H,
                  b = i / p->C / p->W / p->H;
    int64_t y0, y1, x0, x1;
    double sum = 0.0;
    find_covering(p, iy, p->Ho, &y0, &y1);
    find_covering(p, ix, p->Wo, &x0, &x1);
    for (int64_t oy = y0; oy <= y1; oy++)
        for (int64_t ox = x0; ox <= x1; ox++)
            if (find_largest(p, x, b, clip_window(p, oy, ox), ch) == i)
                sum += wfi_get(dy, place_at(p, b, oy, ox) + ch);
    return sum;
}

wf_status wfi_max_pool2d_dx_forward(wf_ctx *c, wf_op_args *a)
{
    (void)c;
    const wfi_values x = wfi_open(a->in[0]), dy = wfi_open(a->in[1]);
    wfi_values dx = wfi_open(a->out[0]);
    const pool p = read_pool(a->in[0], a->attr);
    for (int64_t i = 0; i < dx.n; i++) wfi_put(&dx, i, gather_chosen(&p, &x, &dy, i));
    return WF_OK;
}

wf_tensor *wf_max_pool2d(wf_ctx *c, wf_tensor *x, int64_t kernel, int64_t stride, int64_t pad)
{
    return wf_op_call(c, WF_OP_ID_max_pool2d, &x, 1,
                      (double[]){(double)kernel, (double)stride, (double)pad}, 3);
}
