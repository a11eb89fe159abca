/*
 * op_binary.c - y = f(a, b), value by value, with NumPy's broadcasting; where; the gated units.
 *
 * Inputs come with any strides; a dim that repeats is read with stride 0.
 */
#include "core/tensor/op_impl.h"

#include <math.h>
#include <string.h>

static double larger(double a, double b) { return isnan(a) || a > b ? a : b; }
static double smaller(double a, double b) { return isnan(a) || a < b ? a : b; }

#define ARITHMETIC(X)        \
    X(add, a + b)            \
    X(sub, a - b)            \
    X(mul, a * b)            \
    X(div, a / b)            \
    X(maximum, larger(a, b)) \
    X(minimum, smaller(a, b)) \
    X(pow, pow(a, b))

#define COMPARISON(X) \
    X(eq, a == b) X(ne, a != b) X(lt, a < b) X(le, a <= b) X(gt, a > b) X(ge, a >= b)

typedef double (*binary_fn)(double a, double b);

#define X(name, f) static double name##_f(double a, double b) { return f; }
ARITHMETIC(X)
COMPARISON(X)
#undef X

/* The common shape of all inputs, into shape[0]. */
static wf_status infer_shape(wf_ctx *c, wf_op_args *a)
{
    char t0[180], t1[160];
    wf_shape s = wf_get_shape(a->in[0]);
    for (int i = 1; i < a->n_in; i++) {
        const wf_shape other = wf_get_shape(a->in[i]);
        if (wf_shape_broadcast(&s, &other, &s)) continue;
        return wf_fail_status(c, WF_ESHAPE, "%s: %s does not broadcast with %s", a->op->name,
                              wf_tensor_text(a->in[i], t0, sizeof t0),
                              wf_shape_text(&s, t1, sizeof t1));
    }
    a->shape[0] = s;
    return WF_OK;
}

/* Strides of v over the dims of shape, 0 where it repeats. */
static void repeat_strides(const wfi_values *v, const wf_shape *shape, int64_t *strides)
{
    const int extra = shape->rank - v->rank;
    for (int d = 0; d < shape->rank; d++)
        strides[d] = d < extra || v->dims[d - extra] == 1 ? 0 : v->strides[d - extra];
}

static wf_status forward(wf_op_args *p, binary_fn f)
{
    const wfi_values a = wfi_open(p->in[0]), b = wfi_open(p->in[1]);
    wfi_values y = wfi_open(p->out[0]);
    const wf_shape s = wf_get_shape(p->out[0]);
    int64_t sa[WF_MAX_RANK], sb[WF_MAX_RANK];
    repeat_strides(&a, &s, sa);
    repeat_strides(&b, &s, sb);
    for (int64_t i = 0; i < y.n; i++)
        wfi_put(&y, i,
                f(wfi_get(&a, wfi_at(s.dims, sa, s.rank, i)),
                  wfi_get(&b, wfi_at(s.dims, sb, s.rank, i))));
    return WF_OK;
}

#define X(name, f)                                                                         \
    wf_status wfi_##name##_infer(wf_ctx *c, wf_op_args *a) { return infer_shape(c, a); }   \
    wf_status wfi_##name##_forward(wf_ctx *c, wf_op_args *a)                               \
    {                                                                                      \
        (void)c;                                                                           \
        return forward(a, name##_f);                                                       \
    }
ARITHMETIC(X)
#undef X

#define X(name, f)                                                                         \
    wf_status wfi_##name##_infer(wf_ctx *c, wf_op_args *a)                                 \
    {                                                                                      \
        a->dtype[0] = WF_DTYPE_BOOL;                                                       \
        return infer_shape(c, a);                                                          \
    }                                                                                      \
    wf_status wfi_##name##_forward(wf_ctx *c, wf_op_args *a)                               \
    {                                                                                      \
        (void)c;                                                                           \
        return forward(a, name##_f);                                                       \
    }
COMPARISON(X)
#undef X

#define X(name, f)                                                             \
    wf_tensor *wf_##name(wf_ctx *c, wf_tensor *a, wf_tensor *b)                \
    {                                                                          \
        wf_tensor *in[] = {a, b};                                              \
        return wf_op_call(c, WF_OP_ID_##name, in, 2, NULL, 0);                 \
    }
ARITHMETIC(X)
COMPARISON(X)
#undef X

/* ---- gradients ---- */

/* Set the gradients of both inputs from their broadcast forms; a form may be NULL where not needed.
 */
static void hand_back(wf_ctx *c, wf_grad_args *g, wf_tensor *da, wf_tensor *db)
{
    if (g->need[0]) g->dx[0] = wfi_unbroadcast(c, da, g->in[0]);
    if (g->need[1]) g->dx[1] = wfi_unbroadcast(c, db, g->in[1]);
}

void wfi_add_backward(wf_ctx *c, wf_grad_args *g) { hand_back(c, g, g->dy[0], g->dy[0]); }

void wfi_sub_backward(wf_ctx *c, wf_grad_args *g)
{
    hand_back(c, g, g->dy[0], g->need[1] ? wf_neg(c, g->dy[0]) : NULL);
}

void wfi_mul_backward(wf_ctx *c, wf_grad_args *g)
{
    wf_tensor *da = g->need[0] ? wf_mul(c, g->dy[0], g->in[1]) : NULL;
    wf_tensor *db = g->need[1] ? wf_mul(c, g->dy[0], g->in[0]) : NULL;
    hand_back(c, g, da, db);
}

void wfi_div_backward(wf_ctx *c, wf_grad_args *g)
{
    wf_tensor *da = wf_div(c, g->dy[0], g->in[1]), *db = NULL;
    if (g->need[1]) db = wf_neg(c, wf_mul(c, da, wf_div(c, g->in[0], g->in[1])));
    hand_back(c, g, da, db);
}

/* The larger (or smaller) takes the gradient; equals share it. */
static void pick_backward(wf_ctx *c, wf_grad_args *g, wf_tensor *a_wins)
{
    const wf_dtype t = wf_get_dtype(g->dy[0]);
    wf_tensor *tie = wf_scale(c, wf_cast(c, wf_eq(c, g->in[0], g->in[1]), t), 0.5);
    wf_tensor *share = wf_add(c, wf_cast(c, a_wins, t), tie);
    wf_tensor *da = wf_mul(c, g->dy[0], share);
    hand_back(c, g, da, wf_sub(c, g->dy[0], da));
}

void wfi_maximum_backward(wf_ctx *c, wf_grad_args *g)
{
    pick_backward(c, g, wf_gt(c, g->in[0], g->in[1]));
}
void wfi_minimum_backward(wf_ctx *c, wf_grad_args *g)
{
    pick_backward(c, g, wf_lt(c, g->in[0], g->in[1]));
}

/* 0 as one value: made of nothing that could be NaN, as 0 times a gradient could. */
static wf_tensor *zero_like(wf_ctx *c, const wf_tensor *dy)
{
    wf_scope *s = wf_scope_open_on(c, dy);
    return wf_scope_close(c, s, wf_zeros(c, wf_get_dtype(dy), &(wf_shape){0}));
}

/* da = b a^(b-1), which is 0 where b is, and db = y log(a), which is 0 where a is */
void wfi_pow_backward(wf_ctx *c, wf_grad_args *g)
{
    wf_tensor *a = g->in[0], *b = g->in[1], *da = NULL, *db = NULL;
    wf_tensor *zero = zero_like(c, g->dy[0]);
    if (g->need[0]) {
        wf_tensor *slope = wf_mul(c, b, wf_pow(c, a, wf_affine(c, b, 1.0, -1.0)));
        da = wf_where(c, wf_eq(c, b, zero), zero, wf_mul(c, g->dy[0], slope));
    }
    if (g->need[1]) {
        wf_tensor *safe = wf_where(c, wf_gt(c, a, zero), a, wf_affine(c, zero, 1.0, 1.0));
        db = wf_mul(c, g->dy[0], wf_mul(c, g->out[0], wf_log(c, safe)));
    }
    hand_back(c, g, da, db);
}

/* ---- where ---- */

wf_status wfi_where_infer(wf_ctx *c, wf_op_args *a)
{
    if (wf_get_dtype(a->in[0]) != WF_DTYPE_BOOL)
        return wf_fail_status(c, WF_EDTYPE, "where: mask is %s, wants bool",
                              wf_dtype_text(wf_get_dtype(a->in[0])));
    return infer_shape(c, a);
}

wf_status wfi_where_forward(wf_ctx *c, wf_op_args *p)
{
    (void)c;
    wfi_values y = wfi_open(p->out[0]), v[3];
    const wf_shape s = wf_get_shape(p->out[0]);
    int64_t strides[3][WF_MAX_RANK];
    for (int k = 0; k < 3; k++) {
        v[k] = wfi_open(p->in[k]);
        repeat_strides(&v[k], &s, strides[k]);
    }
    for (int64_t i = 0; i < y.n; i++) {
        const int k = wfi_get(&v[0], wfi_at(s.dims, strides[0], s.rank, i)) != 0.0 ? 1 : 2;
        wfi_put(&y, i, wfi_get(&v[k], wfi_at(s.dims, strides[k], s.rank, i)));
    }
    return WF_OK;
}

void wfi_where_backward(wf_ctx *c, wf_grad_args *g)
{
    wf_tensor *zero = zero_like(c, g->dy[0]);
    if (g->need[1]) g->dx[1] = wfi_unbroadcast(c, wf_where(c, g->in[0], g->dy[0], zero), g->in[1]);
    if (g->need[2]) g->dx[2] = wfi_unbroadcast(c, wf_where(c, g->in[0], zero, g->dy[0]), g->in[2]);
}

wf_tensor *wf_where(wf_ctx *c, wf_tensor *mask, wf_tensor *a, wf_tensor *b)
{
    wf_tensor *in[] = {mask, a, b};
    return wf_op_call(c, WF_OP_ID_where, in, 3, NULL, 0);
}

/* ---- gated units ---- */

wf_status wfi_swiglu_infer(wf_ctx *c, wf_op_args *a)
{
    WF_TRY(wfi_check_float(c, a, 0));
    WF_TRY(wfi_check_same(c, a, 1, 0));
    a->shape[0] = wf_get_shape(a->in[0]);
    return WF_OK;
}

wf_status wfi_swiglu_forward(wf_ctx *c, wf_op_args *a)
{
    (void)c;
    const wfi_values gate = wfi_open(a->in[0]), x = wfi_open(a->in[1]);
    wfi_values y = wfi_open(a->out[0]);
    for (int64_t i = 0; i < y.n; i++)
        wfi_put(&y, i, wfi_unary(WF_OP_ID_silu, wfi_get(&gate, i)) * wfi_get(&x, i));
    return WF_OK;
}

void wfi_swiglu_backward(wf_ctx *c, wf_grad_args *g)
{
    wf_tensor *in[] = {g->in[0], g->in[1], g->dy[0]};
    wf_op_call_multi(c, WF_OP_ID_swiglu_dx, in, 3, NULL, 0, g->dx);
}

wf_tensor *wf_swiglu(wf_ctx *c, wf_tensor *gate, wf_tensor *x)
{
    wf_tensor *in[] = {gate, x};
    return wf_op_call(c, WF_OP_ID_swiglu, in, 2, NULL, 0);
}

wf_status wfi_swiglu_dx_infer(wf_ctx *c, wf_op_args *a)
{
    WF_TRY(wfi_check_float(c, a, 0));
    WF_TRY(wfi_check_same(c, a, 1, 0));
    WF_TRY(wfi_check_same(c, a, 2, 0));
    a->shape[0] = a->shape[1] = wf_get_shape(a->in[0]);
    return WF_OK;
}

wf_status wfi_swiglu_dx_forward(wf_ctx *c, wf_op_args *a)
{
    (void)c;
    const wfi_values gate = wfi_open(a->in[0]), x = wfi_open(a->in[1]), dy = wfi_open(a->in[2]);
    wfi_values dgate = wfi_open(a->out[0]), dx = wfi_open(a->out[1]);
    for (int64_t i = 0; i < dx.n; i++) {
        const double v = wfi_get(&gate, i), d = wfi_get(&dy, i);
        wfi_put(&dgate, i, d * wfi_get(&x, i) * wfi_unary_slope(WF_OP_ID_silu, v));
        wfi_put(&dx, i, d * wfi_unary(WF_OP_ID_silu, v));
    }
    return WF_OK;
}

/* [...,2F] -> [...,F]: the first half times gelu of the second, as in a transformer's feed-forward.
 */
wf_status wfi_geglu_infer(wf_ctx *c, wf_op_args *a)
{
    char text[180];
    WF_TRY(wfi_check_float(c, a, 0));
    a->shape[0] = wf_get_shape(a->in[0]);
    if (a->shape[0].rank < 1 || wf_dim(a->in[0], -1) % 2 != 0)
        return wf_fail_status(c, WF_ESHAPE, "geglu: x is %s, wants an even last dim",
                              wf_tensor_text(a->in[0], text, sizeof text));
    a->shape[0].dims[a->shape[0].rank - 1] /= 2;
    return WF_OK;
}

wf_status wfi_geglu_forward(wf_ctx *c, wf_op_args *a)
{
    (void)c;
    const wfi_values x = wfi_open(a->in[0]);
    wfi_values y = wfi_open(a->out[0]);
    const int64_t F = wf_dim(a->out[0], -1);
    for (int64_t i = 0; i < y.n; i++) {
        const int64_t at = i / F * 2 * F + i % F;
        wfi_put(&y, i, wfi_get(&x, at) * wfi_unary(WF_OP_ID_gelu, wfi_get(&x, at + F)));
    }
    return WF_OK;
}

void wfi_geglu_backward(wf_ctx *c, wf_grad_args *g)
{
    wf_tensor *in[] = {g->in[0], g->dy[0]};
    g->dx[0] = wf_op_call(c, WF_OP_ID_geglu_dx, in, 2, NULL, 0);
}

wf_tensor *wf_geglu(wf_ctx *c, wf_tensor *x)
{
    return wf_op_call(c, WF_OP_ID_geglu, &x, 1, NULL, 0);
}

wf_status wfi_geglu_dx_infer(wf_ctx *c, wf_op_args *a)
{
    WF_TRY(wfi_check_float(c, a, 0));
    a->shape[0] = wf_get_shape(a->in[0]);
    if (2 * wf_numel(a->in[1]) != wf_numel(a->in[0]) ||
        wf_dim(a->in[0], -1) != 2 * wf_dim(a->in[1], -1))
        return wf_fail_status(c, WF_ESHAPE, "geglu_dx: dy must have half of x's last dim");
    return WF_OK;
}

wf_status wfi_geglu_dx_forward(wf_ctx *c, wf_op_args *a)
{
    (void)c;
    const wfi_values x = wfi_open(a->in[0]), dy = wfi_open(a->in[1]);
    wfi_values dx = wfi_open(a->out[0]);
    const int64_t F = wf_dim(a->in[1], -1);
    for (int64_t i = 0; i < dy.n; i++) {
        const int64_t at = i / F * 2 * F + i % F;
        const double u = wfi_get(&x, at), v = wfi_get(&x, at + F), d = wfi_get(&dy, i);
        wfi_put(&dx, at, d * wfi_unary(WF_OP_ID_gelu, v));
        wfi_put(&dx, at + F, d * u * wfi_unary_slope(WF_OP_ID_gelu, v));
    }
    return WF_OK;
}
