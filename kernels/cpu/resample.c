/* resample.c - nearest resizing and average pooling of [B,H,W,C], with their adjoints; parts are
 * rows of the result's pixels. */
#include "kernels/cpu/kern.h"

#include <string.h>

wf_status WF_K(resize_nearest)(wf_ctx *c, wf_op_args *a);
wf_status WF_K(resize_nearest_dx)(wf_ctx *c, wf_op_args *a);
wf_status WF_K(avg_pool2d)(wf_ctx *c, wf_op_args *a);
wf_status WF_K(avg_pool2d_dx)(wf_ctx *c, wf_op_args *a);

/* From x [B,H,W,C] to y [B,Ho,Wo,C]. */
typedef struct picture {
    const float *x;
    float *y;
    int64_t B, H, W, C, Ho, Wo, kernel, stride, pad;
    void (*span)(const struct picture *p, int64_t i, bool rows, int64_t *first, int64_t *last);
    float scale;
} picture;

static picture open_picture(const wf_op_args *a)
{
    const wf_tensor *x = a->in[0], *y = a->out[0];
    return (picture){.x = floats(a->in[0]),
                     .y = wf_data(a->out[0]),
                     .B = wf_dim(x, 0),
                     .H = wf_dim(x, 1),
                     .W = wf_dim(x, 2),
                     .C = wf_dim(x, 3),
                     .Ho = wf_dim(y, 1),
                     .Wo = wf_dim(y, 2),
                     .scale = 1.0f};
}

static void run_rows(wf_ctx *c, picture *p, double reads, wf_part_fn fn)
{
    if (p->C == 0) return;
    run_parts(c, p->B * p->Ho, reads * (double)(p->B * p->Ho) * (double)(p->Wo * p->C), fn, p);
}

/* ---- copies ---- */

static void nearest_part(void *arg, int64_t part, int worker)
{
    const picture *p = arg;
    const int64_t b = part / p->Ho, iy = part % p->Ho * p->H / p->Ho;
    const float *x = p->x + (b * p->H + iy) * p->W * p->C;
    float *y = p->y + part * p->Wo * p->C;
    (void)worker;
    for (int64_t ox = 0; ox < p->Wo; ox++)
        memcpy(y + ox * p->C, x + ox * p->W / p->Wo * p->C, (size_t)p->C * sizeof *y);
}

wf_status WF_K(resize_nearest)(wf_ctx *c, wf_op_args *a)
{
    if (!all_f32(a)) return WF_ESKIP;
    picture p = open_picture(a);
    run_rows(c, &p, 2.0, nearest_part);
    return WF_OK;
}

/* ---- sums over a rectangle of x for every pixel of y ---- */

static void sum_part(void *arg, int64_t part, int worker)
{
    const picture *p = arg;
    const int64_t b = part / p->Ho;
    int64_t y0, y1, x0, x1;
    (void)worker;
    p->span(p, part % p->Ho, true, &y0, &y1);
    for (int64_t ox = 0; ox < p->Wo; ox++) {
        float *y = p->y + (part * p->Wo + ox) * p->C;
        p->span(p, ox, false, &x0, &x1);
        for (int64_t i = 0; i < p->C; i += VL) {
            const int64_t n = min_i(VL, p->C - i);
            vf sum = vf_zero();
            for (int64_t iy = y0; iy < y1; iy++)
                for (int64_t ix = x0; ix < x1; ix++)
                    sum =
                        vf_add(sum, vf_load_n(p->x + ((b * p->H + iy) * p->W + ix) * p->C + i, n));
            vf_store_n(y + i, n, vf_mul(sum, vf_set1(p->scale)));
        }
    }
}

/* The enlarged pixels that were copied from pixel i. */
static void copies_of(const picture *p, int64_t i, bool rows, int64_t *first, int64_t *last)
{
    const int64_t n = rows ? p->Ho : p->Wo, larger = rows ? p->H : p->W;
    *first = div_up(i * larger, n);
    *last = div_up((i + 1) * larger, n);
}

/* The pixels that window i covers. */
static void window_of(const picture *p, int64_t i, bool rows, int64_t *first, int64_t *last)
{
    const int64_t at = i * p->stride - p->pad;
    *first = max_i(0, at);
    *last = min_i(rows ? p->H : p->W, at + p->kernel);
}

/* The windows that cover pixel i. */
static void windows_over(const picture *p, int64_t i, bool rows, int64_t *first, int64_t *last)
{
    const int64_t from = i + p->pad - p->kernel + 1;
    *first = from > 0 ? div_up(from, p->stride) : 0;
    *last = min_i(rows ? p->H : p->W, (i + p->pad) / p->stride + 1);
}

wf_status WF_K(resize_nearest_dx)(wf_ctx *c, wf_op_args *a)
{
    if (!all_f32(a)) return WF_ESKIP;
    picture p = open_picture(a);
    p.span = copies_of;
    run_rows(c, &p, 1.0 + (double)(p.H * p.W) / (double)(p.Ho * p.Wo), sum_part);
    return WF_OK;
}

static wf_status pool(wf_ctx *c, wf_op_args *a, bool adjoint)
{
    if (!all_f32(a)) return WF_ESKIP;
    picture p = open_picture(a);
    p.kernel = wfi_int(a, 0), p.stride = wfi_int(a, 1), p.pad = wfi_int(a, 2);
    p.span = adjoint ? windows_over : window_of;
    p.scale = 1.0f / (float)(p.kernel * p.kernel);
    run_rows(c, &p, 1.0 + (double)(p.kernel * p.kernel), sum_part);
    return WF_OK;
}

wf_status WF_K(avg_pool2d)(wf_ctx *c, wf_op_args *a) { return pool(c, a, false); }
wf_status WF_K(avg_pool2d_dx)(wf_ctx *c, wf_op_args *a) { return pool(c, a, true); }
