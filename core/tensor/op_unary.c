/*
 * op_unary.c - y = f(x), value by value, and f'(x) dy.
 *
 * A function is one row of UNARY: its name, f and f' as expressions of x, y = f(x) and the
 * attributes p0, p1. Their backwards are all the op unary_dx, which takes the function's op id.
 */
#include "core/tensor/op_impl.h"

#include <math.h>

static const double SQRT_HALF = 0.70710678118654752440, SQRT_2_OVER_PI = 0.79788456080286535588;
static const double INV_SQRT_2PI = 0.39894228040143267794,
                    TWO_OVER_SQRT_PI = 1.12837916709551257390;

static double sigmoid(double x)
{
    return x >= 0.0 ? 1.0 / (1.0 + exp(-x)) : exp(x) / (1.0 + exp(x));
}
static double softplus(double x) { return x > 0.0 ? x + log1p(exp(-x)) : log1p(exp(x)); }
static double gelu(double x) { return 0.5 * x * (1.0 + erf(x * SQRT_HALF)); }
static double gelu_slope(double x)
{
    return 0.5 * (1.0 + erf(x * SQRT_HALF)) + x * INV_SQRT_2PI * exp(-0.5 * x * x);
}

static double gelu_tanh(double x)
{
    return 0.5 * x * (1.0 + tanh(SQRT_2_OVER_PI * (x + 0.044715 * x * x * x)));
}

static double gelu_tanh_slope(double x)
{
    const double t = tanh(SQRT_2_OVER_PI * (x + 0.044715 * x * x * x));
    return 0.5 * (1.0 + t) +
           0.5 * x * (1.0 - t * t) * SQRT_2_OVER_PI * (1.0 + 3 * 0.044715 * x * x);
}

static double quick_slope(double x)
{
    const double s = sigmoid(1.702 * x);
    return s + 1.702 * x * s * (1.0 - s);
}

static double sign(double x) { return x > 0.0 ? 1.0 : x < 0.0 ? -1.0 : x == 0.0 ? 0.0 : x; }
static double silu_slope(double x) { return sigmoid(x) * (1.0 + x * (1.0 - sigmoid(x))); }
/* hi where lo is above it */
static double clamped(double x, double lo, double hi)
{
    x = x < lo ? lo : x;
    return x > hi ? hi : x;
}

/* name, f(x), f'(x); rows without a gradient say 0. */
#define UNARY(X)                                                              \
    X(neg,        -x,                          -1.0)                          \
    X(abs,        fabs(x),                     sign(x))                       \
    X(exp,        exp(x),                      exp(x))                        \
    X(log,        log(x),                      1.0 / x)                       \
    X(sqrt,       sqrt(x),                     0.5 / sqrt(x))                 \
    X(rsqrt,      1.0 / sqrt(x),               -0.5 / (x * sqrt(x)))          \
    X(square,     x * x,                       2.0 * x)                       \
    X(sin,        sin(x),                      cos(x))                        \
    X(cos,        cos(x),                      -sin(x))                       \
    X(tanh,       tanh(x),                     1.0 - tanh(x) * tanh(x))       \
    X(sigmoid,    sigmoid(x),                  sigmoid(x) * sigmoid(-x))      \
    X(relu,       x > 0.0 || isnan(x) ? x : 0.0, x > 0.0 ? 1.0 : 0.0)         \
    X(silu,       x * sigmoid(x),              silu_slope(x))                 \
    X(gelu,       gelu(x),                     gelu_slope(x))                 \
    X(gelu_tanh,  gelu_tanh(x),                gelu_tanh_slope(x))            \
    X(gelu_quick, x * sigmoid(1.702 * x),      quick_slope(x))                \
    X(softplus,   softplus(x),                 sigmoid(x))                    \
    X(erf,        erf(x),                      TWO_OVER_SQRT_PI * exp(-x * x)) \
    X(leaky_relu, x > 0.0 ? x : p0 * x,        x > 0.0 ? 1.0 : p0)            \
    X(clamp,      clamped(x, p0, p1),          x >= p0 && x <= p1 ? 1.0 : 0.0) \
    X(affine,     p0 * x + p1,                 p0)                            \
    X(sign,       sign(x),                     0.0)                           \
    X(floor,      floor(x),                    0.0)                           \
    X(round,      nearbyint(x),                0.0)

typedef double (*unary_fn)(double x, double p0, double p1);

#define X(name, f, df)                                                        \
    static double name##_f(double x, double p0, double p1)                    \
    {                                                                         \
        (void)p0;                                                             \
        (void)p1;                                                             \
        return f;                                                             \
    }                                                                         \
    static double name##_df(double x, double p0, double p1)                   \
    {                                                                         \
        (void)x;                                                              \
        (void)p0;                                                             \
        (void)p1;                                                             \
        return df;                                                            \
    }
UNARY(X)
#undef X

static const unary_fn functions[WF_OP_COUNT] = {
#define X(name, f, df) [WF_OP_ID_##name] = name##_f,
    UNARY(X)
#undef X
};

static const unary_fn slopes[WF_OP_COUNT] = {
#define X(name, f, df) [WF_OP_ID_##name] = name##_df,
    UNARY(X)
#undef X
};

double wfi_unary(wf_op_id op, double x) { return functions[op](x, 0.0, 0.0); }
double wfi_unary_slope(wf_op_id op, double x) { return slopes[op](x, 0.0, 0.0); }

static wf_status infer(wf_ctx *c, wf_op_args *a)
{
    WF_TRY(wfi_check_float(c, a, 0));
    a->shape[0] = wf_get_shape(a->in[0]);
    return WF_OK;
}

static wf_status forward(wf_op_args *a, unary_fn f)
{
    const wfi_values x = wfi_open(a->in[0]);
    wfi_values y = wfi_open(a->out[0]);
    for (int64_t i = 0; i < x.n; i++) wfi_put(&y, i, f(wfi_get(&x, i), a->attr[0], a->attr[1]));
    return WF_OK;
}

/* The functions that keep their input; those that keep y alone have their own backward below. */
static void backward_by_x(wf_ctx *c, wf_grad_args *g)
{
    wf_tensor *in[] = {g->in[0], g->dy[0]};
    const double id = (double)(g->op - wf_op_get((wf_op_id)0));
    const double attr[] = {id, g->attr[0], g->attr[1]};
    g->dx[0] = wf_op_call(c, WF_OP_ID_unary_dx, in, 2, attr, 3);
}

#define X(name, f, df)                                                                     \
    wf_status wfi_##name##_infer(wf_ctx *c, wf_op_args *a) { return infer(c, a); }         \
    wf_status wfi_##name##_forward(wf_ctx *c, wf_op_args *a)                               \
    {                                                                                      \
        (void)c;                                                                           \
        return forward(a, name##_f);                                                       \
    }
UNARY(X)
#undef X

#define BY_X(X) X(abs) X(log) X(square) X(sin) X(cos) X(relu) X(silu) X(gelu) X(gelu_tanh)  \
    X(gelu_quick) X(softplus) X(erf) X(leaky_relu) X(clamp)
#define X(name) void wfi_##name##_backward(wf_ctx *c, wf_grad_args *g) { backward_by_x(c, g); }
BY_X(X)
#undef X

void wfi_neg_backward(wf_ctx *c, wf_grad_args *g) { g->dx[0] = wf_neg(c, g->dy[0]); }
void wfi_affine_backward(wf_ctx *c, wf_grad_args *g)
{
    g->dx[0] = wf_scale(c, g->dy[0], g->attr[0]);
}
void wfi_exp_backward(wf_ctx *c, wf_grad_args *g) { g->dx[0] = wf_mul(c, g->dy[0], g->out[0]); }

/* 1 / (2 y) */
void wfi_sqrt_backward(wf_ctx *c, wf_grad_args *g)
{
    g->dx[0] = wf_div(c, wf_scale(c, g->dy[0], 0.5), g->out[0]);
}

/* -y^3 / 2 */
void wfi_rsqrt_backward(wf_ctx *c, wf_grad_args *g)
{
    wf_tensor *y3 = wf_mul(c, wf_square(c, g->out[0]), g->out[0]);
    g->dx[0] = wf_mul(c, g->dy[0], wf_scale(c, y3, -0.5));
}

/* 1 - y^2 */
void wfi_tanh_backward(wf_ctx *c, wf_grad_args *g)
{
    g->dx[0] = wf_mul(c, g->dy[0], wf_affine(c, wf_square(c, g->out[0]), -1.0, 1.0));
}

/* y (1 - y) */
void wfi_sigmoid_backward(wf_ctx *c, wf_grad_args *g)
{
    wf_tensor *y = g->out[0];
    g->dx[0] = wf_mul(c, g->dy[0], wf_mul(c, y, wf_affine(c, y, -1.0, 1.0)));
}

wf_status wfi_unary_dx_infer(wf_ctx *c, wf_op_args *a)
{
    WF_TRY(wfi_check_float(c, a, 0));
    WF_TRY(wfi_check_same(c, a, 1, 0));
    WF_TRY(wfi_check_int_attr(c, a, 0, 0, WF_OP_COUNT - 1));
    if (!slopes[(int)a->attr[0]])
        return wf_fail_status(c, WF_EARG, "unary_dx: op %d is not a function of one value",
                              (int)a->attr[0]);
    a->shape[0] = wf_get_shape(a->in[0]);
    return WF_OK;
}

wf_status wfi_unary_dx_forward(wf_ctx *c, wf_op_args *a)
{
    (void)c;
    const wfi_values x = wfi_open(a->in[0]), dy = wfi_open(a->in[1]);
    wfi_values dx = wfi_open(a->out[0]);
    const unary_fn df = slopes[(int)a->attr[0]];
    for (int64_t i = 0; i < x.n; i++)
        wfi_put(&dx, i, wfi_get(&dy, i) * df(wfi_get(&x, i), a->attr[1], a->attr[2]));
    return WF_OK;
}

/* bool: NaN or infinite */
wf_status wfi_is_nan_infer(wf_ctx *c, wf_op_args *a)
{
    WF_TRY(infer(c, a));
    a->dtype[0] = WF_DTYPE_BOOL;
    return WF_OK;
}

wf_status wfi_is_nan_forward(wf_ctx *c, wf_op_args *a)
{
    (void)c;
    const wfi_values x = wfi_open(a->in[0]);
    wfi_values y = wfi_open(a->out[0]);
    for (int64_t i = 0; i < x.n; i++) wfi_put(&y, i, !isfinite(wfi_get(&x, i)));
    return WF_OK;
}

/* ---- the public functions ---- */

#define PLAIN_FUNCTIONS(X)                                                                      \
    X(neg)                                                                                      \
    X(abs) X(exp) X(log) X(sqrt) X(rsqrt) X(square) X(sin) X(cos) X(tanh) X(sigmoid) X(relu)    \
        X(silu) X(gelu) X(gelu_tanh) X(gelu_quick) X(softplus) X(erf) X(sign) X(floor) X(round) \
            X(is_nan)
#define X(name)                                                                \
    wf_tensor *wf_##name(wf_ctx *c, wf_tensor *x)                              \
    {                                                                          \
        return wf_op_call(c, WF_OP_ID_##name, &x, 1, NULL, 0);                 \
    }
PLAIN_FUNCTIONS(X)
#undef X

wf_tensor *wf_leaky_relu(wf_ctx *c, wf_tensor *x, double slope)
{
    return wf_op_call(c, WF_OP_ID_leaky_relu, &x, 1, &slope, 1);
}

wf_tensor *wf_clamp(wf_ctx *c, wf_tensor *x, double lo, double hi)
{
    const double attr[] = {lo, hi};
    return wf_op_call(c, WF_OP_ID_clamp, &x, 1, attr, 2);
}

wf_tensor *wf_affine(wf_ctx *c, wf_tensor *x, double mul, double add)
{
    const double attr[] = {mul, add};
    return wf_op_call(c, WF_OP_ID_affine, &x, 1, attr, 2);
}

wf_tensor *wf_scale(wf_ctx *c, wf_tensor *x, double mul) { return wf_affine(c, x, mul, 0.0); }
