/*
 * op_conv.c - convolution over pictures, its two adjoints, and what is composed of them.
 *
 * The three ops are one sum over the same pairs of places: with iy = oy stride - pad + ky dilation
 * and the same for x,
 *
 *   y[b,oy,ox,o]  = sum ky,kx,i  x[b,iy,ix,i] w[o,ky,kx,i]        conv2d
 *   x[b,iy,ix,i]  = sum ky,kx,o  y[b,oy,ox,o] w[o,ky,kx,i]        conv2d_dx
 *   w[o,ky,kx,i]  = sum b,oy,ox  x[b,iy,ix,i] y[b,oy,ox,o]        conv2d_dw
 */
#include "core/tensor/op_impl.h"

enum { MAX_EXTENT = 1 << 30, N_CONV_ATTR = 9 };

/* Sizes of one convolution, whichever of x, w, y is its result. */
typedef struct geometry {
    wf_conv v;
    int64_t B, H, W, I;         /* x [B,H,W,I] */
    int64_t O, kh, kw, Ig;      /* w [O,kh,kw,Ig], Ig = I / groups */
    int64_t Ho, Wo, Og;         /* y [B,Ho,Wo,O], Og = O / groups */
} geometry;

/* ---- infer ---- */

/* The nine attributes of a convolution, from attr[first] on. */
static wf_conv read_conv(const double *attr, int first)
{
    const double *p = attr + first;
    return (wf_conv){(int64_t)p[0], (int64_t)p[1], (int64_t)p[2], (int64_t)p[3], (int64_t)p[4],
                     (int64_t)p[5], (int64_t)p[6], (int64_t)p[7], (int64_t)p[8]};
}

static wf_status check_conv(wf_ctx *c, const wf_op_args *a, int first)
{
    for (int i = 0; i < first + N_CONV_ATTR; i++) {
        const bool is_pad = i >= first + 2 && i < first + 6;
        WF_TRY(wfi_check_int_attr(c, a, i, is_pad || i < first ? 0 : 1, MAX_EXTENT));
    }
    WF_TRY(wfi_check_float(c, a, 0));
    WF_TRY(wfi_check_weight(c, a, 1));
    WF_TRY(wfi_check_rank(c, a, 0, 4));
    return wfi_check_rank(c, a, 1, 4);
}

/* Places along one axis where k taps fit into n values and their padding; 0 or less for none. */
static int64_t count_places(int64_t n, int64_t pads, int64_t k, int64_t dilation, int64_t stride)
{
    const int64_t room = n + pads - (dilation * (k - 1) + 1);
    return k < 1 || room < 0 ? 0 : room / stride + 1;
}

static void set_places(geometry *g)
{
    const wf_conv *v = &g->v;
    g->Ho = count_places(g->H, v->pad_top + v->pad_bottom, g->kh, v->dilation_h, v->stride_h);
    g->Wo = count_places(g->W, v->pad_left + v->pad_right, g->kw, v->dilation_w, v->stride_w);
    g->Og = g->O / v->groups;
}

static void set_x(geometry *g, const wf_tensor *x)
{
    g->B = wf_dim(x, 0), g->H = wf_dim(x, 1), g->W = wf_dim(x, 2), g->I = wf_dim(x, 3);
}

static void set_w(geometry *g, const wf_tensor *w)
{
    g->O = wf_dim(w, 0), g->kh = wf_dim(w, 1), g->kw = wf_dim(w, 2), g->Ig = wf_dim(w, 3);
}

static wf_status check_groups(wf_ctx *c, const wf_op_args *a, const geometry *g)
{
    if (g->I % g->v.groups == 0 && g->O % g->v.groups == 0) return WF_OK;
    return wf_fail_status(c, WF_ESHAPE,
                          "%s: %lld channels in and %lld out do not divide into %lld groups",
                          a->op->name, (long long)g->I, (long long)g->O, (long long)g->v.groups);
}

static wf_status check_places(wf_ctx *c, const wf_op_args *a, const geometry *g)
{
    if (g->Ho > 0 && g->Wo > 0) return WF_OK;
    return wf_fail_status(
        c, WF_ESHAPE, "%s: a kernel of %lld x %lld does not fit into %lld x %lld and its padding",
        a->op->name, (long long)g->kh, (long long)g->kw, (long long)g->H, (long long)g->W);
}

/* dy must be what the convolution of these sizes gives. */
static wf_status check_dy(wf_ctx *c, const wf_op_args *a, const geometry *g, const wf_tensor *dy)
{
    char got[180];
    if (wf_dim(dy, 0) == g->B && wf_dim(dy, 1) == g->Ho && wf_dim(dy, 2) == g->Wo &&
        wf_dim(dy, 3) == g->O)
        return WF_OK;
    return wf_fail_status(c, WF_ESHAPE, "%s: dy is %s, wants [%lld,%lld,%lld,%lld]", a->op->name,
                          wf_tensor_text(dy, got, sizeof got), (long long)g->B, (long long)g->Ho,
                          (long long)g->Wo, (long long)g->O);
}

wf_status wfi_conv2d_infer(wf_ctx *c, wf_op_args *a)
{
    const wf_tensor *b = a->n_in > 2 ? a->in[2] : NULL;
    WF_TRY(check_conv(c, a, 0));
    geometry g = {.v = read_conv(a->attr, 0)};
    set_x(&g, a->in[0]);
    set_w(&g, a->in[1]);
    if (g.I != g.Ig * g.v.groups)
        return wf_fail_status(c, WF_ESHAPE,
                              "conv2d: x has %lld channels, w wants %lld in each of %lld groups",
                              (long long)g.I, (long long)g.Ig, (long long)g.v.groups);
    WF_TRY(check_groups(c, a, &g));
    set_places(&g);
    WF_TRY(check_places(c, a, &g));
    if (b) {
        WF_TRY(wfi_check_float(c, a, 2));
        WF_TRY(wfi_check_rank(c, a, 2, 1));
        if (wf_dim(b, 0) != g.O)
            return wf_fail_status(c, WF_ESHAPE, "conv2d: b has %lld values, w makes %lld channels",
                                  (long long)wf_dim(b, 0), (long long)g.O);
    }
    a->shape[0] = (wf_shape){4, {g.B, g.Ho, g.Wo, g.O}};
    return WF_OK;
}

wf_status wfi_conv2d_dx_infer(wf_ctx *c, wf_op_args *a)
{
    WF_TRY(check_conv(c, a, 2));
    geometry g = {.v = read_conv(a->attr, 2)};
    set_w(&g, a->in[1]);
    g.B = wf_dim(a->in[0], 0), g.H = wfi_int(a, 0), g.W = wfi_int(a, 1), g.I = g.Ig * g.v.groups;
    WF_TRY(check_groups(c, a, &g));
    set_places(&g);
    WF_TRY(check_places(c, a, &g));
    WF_TRY(check_dy(c, a, &g, a->in[0]));
    a->shape[0] = (wf_shape){4, {g.B, g.H, g.W, g.I}};
    return WF_OK;
}

wf_status wfi_conv2d_dw_infer(wf_ctx *c, wf_op_args *a)
{
    WF_TRY(check_conv(c, a, 2));
    geometry g = {.v = read_conv(a->attr, 2)};
    set_x(&g, a->in[0]);
    g.O = wf_dim(a->in[1], 3), g.kh = wfi_int(a, 0), g.kw = wfi_int(a, 1), g.Ig = g.I / g.v.groups;
    WF_TRY(check_groups(c, a, &g));
    set_places(&g);
    WF_TRY(check_places(c, a, &g));
    WF_TRY(check_dy(c, a, &g, a->in[1]));
    a->shape[0] = (wf_shape){4, {g.O, g.kh, g.kw, g.Ig}};
    return WF_OK;
}

/* ---- truths ---- */

/* All sizes, once infer has checked them. */
static geometry read_geometry(const wf_tensor *x, const wf_tensor *w, wf_conv v)
{
    geometry g = {.v = v};
    set_x(&g, x);
    set_w(&g, w);
    set_places(&g);
    return g;
}

static int64_t x_at(const geometry *g, int64_t b, int64_t y, int64_t x)
{
    return ((b * g->H + y) * g->W + x) * g->I;
}
static int64_t y_at(const geometry *g, int64_t b, int64_t y, int64_t x)
{
    return ((b * g->Ho + y) * g->Wo + x) * g->O;
}
static int64_t w_at(const geometry *g, int64_t o, int64_t y, int64_t x)
{
    return ((o * g->kh + y) * g->kw + x) * g->Ig;
}

/* One value of y: channel o at (oy,ox). */
static double gather_y(const geometry *g, const wfi_values *x, const wfi_values *w, int64_t b,
                       int64_t oy, int64_t ox, int64_t o)
{
    const wf_conv *v = &g->v;
    double sum = 0.0;
    for (int64_t ky = 0; ky < g->kh; ky++) {
        const int64_t iy = oy * v->stride_h - v->pad_top + ky * v->dilation_h;
        if (iy < 0 || iy >= g->H) continue;
        for (int64_t kx = 0; kx < g->kw; kx++) {
            const int64_t ix = ox * v->stride_w - v->pad_left + kx * v->dilation_w;
            if (ix < 0 || ix >= g->W) continue;
            sum += wfi_dot(x, x_at(g, b, iy, ix) + o / g->Og * g->Ig, 1, w, w_at(g, o, ky, kx), 1,
                           g->Ig);
        }
    }
    return sum;
}

wf_status wfi_conv2d_forward(wf_ctx *c, wf_op_args *a)
{
    (void)c;
    const wfi_values x = wfi_open(a->in[0]), w = wfi_open(a->in[1]), bias = wfi_open(a->in[2]);
    wfi_values y = wfi_open(a->out[0]);
    const geometry g = read_geometry(a->in[0], a->in[1], read_conv(a->attr, 0));
    int64_t at = 0;
    for (int64_t b = 0; b < g.B; b++)
        for (int64_t oy = 0; oy < g.Ho; oy++)
            for (int64_t ox = 0; ox < g.Wo; ox++)
                for (int64_t o = 0; o < g.O; o++)
                    wfi_put(&y, at++,
                            gather_y(&g, &x, &w, b, oy, ox, o) +
                                (bias.p ? wfi_get(&bias, o) : 0.0));
    return WF_OK;
}

/* The output place that reads input place i through a tap, or -1. */
static int64_t place_of(int64_t i, int64_t pad, int64_t tap, int64_t stride, int64_t n_places)
{
    const int64_t from = i + pad - tap;
    return from < 0 || from % stride != 0 || from / stride >= n_places ? -1 : from / stride;
}

/* One value of dx: channel i at (y,x). */
static double gather_x(const geometry *g, const wfi_values *dy, const wfi_values *w, int64_t b,
                       int64_t y, int64_t x, int64_t i)
{
    const wf_conv *v = &g->v;
    const int64_t first = i / g->Ig * g->Og, size = g->kh * g->kw * g->Ig;
    double sum = 0.0;
    for (int64_t ky = 0; ky < g->kh; ky++) {
        const int64_t oy = place_of(y, v->pad_top, ky * v->dilation_h, v->stride_h, g->Ho);
        if (oy < 0) continue;
        for (int64_t kx = 0; kx < g->kw; kx++) {
            const int64_t ox = place_of(x, v->pad_left, kx * v->dilation_w, v->stride_w, g->Wo);
            if (ox < 0) continue;
            sum += wfi_dot(dy, y_at(g, b, oy, ox) + first, 1, w, w_at(g, first, ky, kx) + i % g->Ig,
                           size, g->Og);
        }
    }
    return sum;
}

wf_status wfi_conv2d_dx_forward(wf_ctx *c, wf_op_args *a)
{
    (void)c;
    const wfi_values dy = wfi_open(a->in[0]), w = wfi_open(a->in[1]);
    wfi_values dx = wfi_open(a->out[0]);
    const geometry g = read_geometry(a->out[0], a->in[1], read_conv(a->attr, 2));
    int64_t at = 0;
    for (int64_t b = 0; b < g.B; b++)
        for (int64_t y = 0; y < g.H; y++)
            for (int64_t x = 0; x < g.W; x++)
                for (int64_t i = 0; i < g.I; i++)
                    wfi_put(&dx, at++, gather_x(&g, &dy, &w, b, y, x, i));
    return WF_OK;
}

/* One value of dw: tap (ky,kx) from channel i of o's group. */
static double gather_w(const geometry *g, const wfi_values *x, const wfi_values *dy, int64_t o,
                       int64_t ky, int64_t kx, int64_t i)
{
    const wf_conv *v = &g->v;
    const int64_t shift = kx * v->dilation_w - v->pad_left;    /* ix = ox stride + shift */
    const int64_t first = shift < 0 ? (-shift + v->stride_w - 1) / v->stride_w : 0;
    const int64_t past = g->W > shift ? (g->W - shift - 1) / v->stride_w + 1 : 0;
    const int64_t n = (past < g->Wo ? past : g->Wo) - first;
    if (n <= 0) return 0.0;
    double sum = 0.0;
    for (int64_t b = 0; b < g->B; b++)
        for (int64_t oy = 0; oy < g->Ho; oy++) {
            const int64_t iy = oy * v->stride_h - v->pad_top + ky * v->dilation_h;
            if (iy < 0 || iy >= g->H) continue;
            const int64_t xi = x_at(g, b, iy, first * v->stride_w + shift) + o / g->Og * g->Ig + i;
            sum += wfi_dot(x, xi, v->stride_w * g->I, dy, y_at(g, b, oy, first) + o, g->O, n);
        }
    return sum;
}

wf_status wfi_conv2d_dw_forward(wf_ctx *c, wf_op_args *a)
{
    (void)c;
    const wfi_values x = wfi_open(a->in[0]), dy = wfi_open(a->in[1]);
    wfi_values dw = wfi_open(a->out[0]);
    const geometry g = read_geometry(a->in[0], a->out[0], read_conv(a->attr, 2));
    int64_t at = 0;
    for (int64_t o = 0; o < g.O; o++)
        for (int64_t ky = 0; ky < g.kh; ky++)
            for (int64_t kx = 0; kx < g.kw; kx++)
                for (int64_t i = 0; i < g.Ig; i++)
                    wfi_put(&dw, at++, gather_w(&g, &x, &dy, o, ky, kx, i));
    return WF_OK;
}

/* ---- gradients ---- */

/* An adjoint: two sizes before the convolution's own attributes. */
static wf_tensor *adjoint(wf_ctx *c, wf_op_id id, wf_tensor *a, wf_tensor *b, int64_t h, int64_t w,
                          const double *conv)
{
    double attr[2 + N_CONV_ATTR] = {(double)h, (double)w};
    for (int i = 0; i < N_CONV_ATTR; i++) attr[2 + i] = conv[i];
    return wf_op_call(c, id, (wf_tensor *[]){a, b}, 2, attr, 2 + N_CONV_ATTR);
}

void wfi_conv2d_backward(wf_ctx *c, wf_grad_args *g)
{
    wf_tensor *x = g->in[0], *w = g->in[1], *dy = g->dy[0];
    if (g->need[0])
        g->dx[0] = adjoint(c, WF_OP_ID_conv2d_dx, dy, w, wf_dim(x, 1), wf_dim(x, 2), g->attr);
    if (g->need[1])
        g->dx[1] = adjoint(c, WF_OP_ID_conv2d_dw, x, dy, wf_dim(w, 1), wf_dim(w, 2), g->attr);
    if (g->n_in > 2 && g->need[2]) g->dx[2] = wfi_unbroadcast(c, dy, g->in[2]);
}

/* dx = conv^T(dy): its adjoint is the convolution itself. */
void wfi_conv2d_dx_backward(wf_ctx *c, wf_grad_args *g)
{
    wf_tensor *dy = g->in[0], *w = g->in[1], *up = g->dy[0];
    const double *conv = g->attr + 2;
    if (g->need[0])
        g->dx[0] = wf_op_call(c, WF_OP_ID_conv2d, (wf_tensor *[]){up, w}, 2, conv, N_CONV_ATTR);
    if (g->need[1])
        g->dx[1] = adjoint(c, WF_OP_ID_conv2d_dw, up, dy, wf_dim(w, 1), wf_dim(w, 2), conv);
}

/* ---- public forms ---- */

wf_conv wf_conv_same(int64_t stride, int64_t pad)
{
    return (wf_conv){stride, stride, pad, pad, pad, pad, 1, 1, 1};
}

static void write_conv(double *attr, const wf_conv *v)
{
    const double all[N_CONV_ATTR] = {
        (double)v->stride_h,   (double)v->stride_w,   (double)v->pad_top,
        (double)v->pad_bottom, (double)v->pad_left,   (double)v->pad_right,
        (double)v->dilation_h, (double)v->dilation_w, (double)v->groups};
    for (int i = 0; i < N_CONV_ATTR; i++) attr[i] = all[i];
}

wf_tensor *wf_conv2d(wf_ctx *c, wf_tensor *x, wf_tensor *w, wf_tensor *b, wf_conv v)
{
    double attr[N_CONV_ATTR];
    write_conv(attr, &v);
    return wf_op_call(c, WF_OP_ID_conv2d, (wf_tensor *[]){x, w, b}, 3, attr, N_CONV_ATTR);
}

/* False, and the failure in c, unless x has rank_x dims and w three. */
static bool check_ranks(wf_ctx *c, const char *name, const wf_tensor *x, int rank_x,
                        const wf_tensor *w)
{
    char tx[180], tw[180];
    if (!x || !w || wf_has_failed(c)) return false;
    if (wf_rank(x) == rank_x && wf_rank(w) == 3) return true;
    wf_fail(c, WF_ESHAPE, "%s: x is %s and w %s, wants %d and 3 dims", name,
            wf_tensor_text(x, tx, sizeof tx), wf_tensor_text(w, tw, sizeof tw), rank_x);
    return false;
}

/* Time runs along W, one row high. */
wf_tensor *wf_conv1d(wf_ctx *c, wf_tensor *x, wf_tensor *w, wf_tensor *b, int64_t stride,
                     int64_t pad, int64_t dilation, int64_t groups)
{
    if (!check_ranks(c, "conv1d", x, 3, w)) return NULL;
    const wf_conv v = {1, stride, 0, 0, pad, pad, 1, dilation, groups};
    x = wf_reshape4(c, x, wf_dim(x, 0), 1, wf_dim(x, 1), wf_dim(x, 2));
    w = wf_reshape4(c, w, wf_dim(w, 0), 1, wf_dim(w, 1), wf_dim(w, 2));
    wf_tensor *y = wf_conv2d(c, x, w, b, v);            /* [B,1,T',O] */
    return y ? wf_reshape3(c, y, wf_dim(y, 0), wf_dim(y, 2), wf_dim(y, 3)) : NULL;
}

wf_tensor *wf_conv_transpose1d(wf_ctx *c, wf_tensor *x, wf_tensor *w, wf_tensor *b, int64_t stride,
                               int64_t pad, int64_t out_pad)
{
    if (!check_ranks(c, "conv_transpose1d", x, 3, w)) return NULL;
    const int64_t B = wf_dim(x, 0), T = wf_dim(x, 1), k = wf_dim(w, 1), O = wf_dim(w, 2);
    const int64_t To = (T - 1) * stride - 2 * pad + k + out_pad;
    const wf_conv v = {1, stride, 0, 0, pad, pad, 1, 1, 1};
    double conv[N_CONV_ATTR];
    write_conv(conv, &v);
    x = wf_reshape4(c, x, B, 1, T, wf_dim(x, 2));
    w = wf_reshape4(c, w, wf_dim(w, 0), 1, k, O);
    wf_tensor *y = wf_reshape3(c, adjoint(c, WF_OP_ID_conv2d_dx, x, w, 1, To, conv), B, To, O);
    return b ? wf_add(c, y, b) : y;
}

/* Frames become rows and the pixels of a frame columns: a 3x1 convolution. */
wf_tensor *wf_conv_frames(wf_ctx *c, wf_tensor *x, wf_tensor *w, wf_tensor *b)
{
    if (!check_ranks(c, "conv_frames", x, 5, w)) return NULL;
    const wf_shape s = wf_get_shape(x);
    const wf_conv v = {1, 1, 1, 1, 0, 0, 1, 1, 1};
    x = wf_reshape4(c, x, s.dims[0], s.dims[1], s.dims[2] * s.dims[3], s.dims[4]);
    w = wf_reshape4(c, w, wf_dim(w, 0), wf_dim(w, 1), 1, wf_dim(w, 2));
    wf_tensor *y = wf_conv2d(c, x, w, b, v);            /* [B,L,HW,O] */
    if (!y) return NULL;
    const int64_t dims[] = {s.dims[0], s.dims[1], s.dims[2], s.dims[3], wf_dim(y, 3)};
    return wf_reshape(c, y, 5, dims);
}
