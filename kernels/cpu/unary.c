/* unary.c - y = f(x) and dx = f'(x) dy, value by value. */
#include "kernels/cpu/kern.h"
#include "kernels/cpu/simd_math.h"

typedef struct span {
    const float *x, *dy;
    float *y;
    int64_t n;
    vf p0, p1;
    void (*run)(const struct span *s, int64_t lo, int64_t hi);
} span;

static void run_span(void *arg, int64_t part, int worker)
{
    const span *s = arg;
    (void)worker;
    s->run(s, part * GRAIN, min_i(s->n, (part + 1) * GRAIN));
}

WF_INLINE vf leaky(vf x, vf slope) { return vf_select(vf_lt(vf_zero(), x), x, vf_mul(slope, x)); }
WF_INLINE vf step(vf x, vf below) { return vf_select(vf_lt(vf_zero(), x), vf_set1(1.0f), below); }
/* -1 or 1; 0 and NaN stay */
WF_INLINE vf sign_of(vf x)
{
    const vf up = vf_select(vf_lt(vf_zero(), x), vf_set1(1.0f), x);
    return vf_select(vf_lt(x, vf_zero()), vf_set1(-1.0f), up);
}
/* 1 where lo <= x <= hi; NaN is nowhere */
WF_INLINE vf inside(vf x, vf lo, vf hi)
{
    const vf out = vf_select(vf_lt(x, lo), vf_zero(), vf_set1(1.0f));
    return vf_select(vf_is_nan(x), vf_zero(), vf_select(vf_lt(hi, x), vf_zero(), out));
}

/* name, cost (in loads and stores), f(x) with attributes p0 and p1 */
#define FUNCTIONS(X)                                           \
    X(neg, 1, vf_neg(x))                                       \
    X(abs, 1, vf_abs(x))                                       \
    X(exp, 4, vf_exp(x))                                       \
    X(sqrt, 2, vf_sqrt(x))                                     \
    X(rsqrt, 3, vf_div(vf_set1(1.0f), vf_sqrt(x)))             \
    X(square, 1, vf_mul(x, x))                                 \
    X(tanh, 6, vf_tanh(x))                                     \
    X(sigmoid, 5, vf_sigmoid(x))                               \
    X(relu, 1, vf_relu(x))                                     \
    X(silu, 5, vf_silu(x))                                     \
    X(gelu, 8, vf_gelu(x))                                     \
    X(gelu_tanh, 8, vf_gelu_tanh(x))                           \
    X(gelu_quick, 5, vf_gelu_quick(x))                         \
    X(erf, 8, vf_erf(x))                                       \
    X(leaky_relu, 1, leaky(x, s->p0))                          \
    X(clamp, 1, vf_min(s->p1, vf_max(s->p0, x)))               \
    X(affine, 1, vf_fma(s->p0, x, s->p1))

/* name, cost, f'(x) */
#define SLOPES(X)                                              \
    X(abs, 2, sign_of(x))                                      \
    X(square, 2, vf_add(x, x))                                 \
    X(relu, 2, step(x, vf_zero()))                             \
    X(silu, 6, vf_silu_slope(x))                               \
    X(gelu, 12, vf_gelu_slope(x))                              \
    X(gelu_tanh, 10, vf_gelu_tanh_slope(x))                    \
    X(gelu_quick, 6, vf_gelu_quick_slope(x))                   \
    X(leaky_relu, 2, step(x, s->p0))                           \
    X(clamp, 2, inside(x, s->p0, s->p1))

#define F(name, cost, f)                                                                  \
    static void run_##name(const span *s, int64_t lo, int64_t hi)                         \
    {                                                                                     \
        for (int64_t i = lo; i + VL <= hi; i += VL) {                                     \
            const vf x = vf_load(s->x + i);                                               \
            vf_store(s->y + i, f);                                                        \
        }                                                                                 \
        const int64_t rest = (hi - lo) % VL;                                              \
        if (rest) {                                                                       \
            const vf x = vf_load_n(s->x + hi - rest, rest);                               \
            vf_store_n(s->y + hi - rest, rest, f);                                        \
        }                                                                                 \
    }                                                                                     \
    wf_status WF_K(name)(wf_ctx *c, wf_op_args *a);                                       \
    wf_status WF_K(name)(wf_ctx *c, wf_op_args *a) { return map(c, a, run_##name, cost); }

static wf_status map(wf_ctx *c, wf_op_args *a, void (*run)(const span *, int64_t, int64_t),
                     int cost)
{
    if (!all_f32(a)) return WF_ESKIP;
    span s = {.x = floats(a->in[0]), .y = wf_data(a->out[0]), .n = wf_numel(a->out[0]), .run = run,
              .p0 = vf_set1((float)a->attr[0]), .p1 = vf_set1((float)a->attr[1])};
    run_parts(c, div_up(s.n, GRAIN), (double)s.n * cost, run_span, &s);
    return WF_OK;
}
FUNCTIONS(F)

#define DF(name, cost, f)                                                                 \
    static void slope_##name(const span *s, int64_t lo, int64_t hi)                       \
    {                                                                                     \
        for (int64_t i = lo; i + VL <= hi; i += VL) {                                     \
            const vf x = vf_load(s->x + i);                                               \
            vf_store(s->y + i, vf_mul(vf_load(s->dy + i), f));                            \
        }                                                                                 \
        const int64_t rest = (hi - lo) % VL;                                              \
        if (rest) {                                                                       \
            const vf x = vf_load_n(s->x + hi - rest, rest);                               \
            vf_store_n(s->y + hi - rest, rest, vf_mul(vf_load_n(s->dy + hi - rest, rest), f)); \
        }                                                                                 \
    }
SLOPES(DF)

static const struct slope {
    void (*run)(const span *s, int64_t lo, int64_t hi);
    int cost;
} slopes[WF_OP_COUNT] = {
#define ROW(name, cost, f) [WF_OP_ID_##name] = {slope_##name, cost},
    SLOPES(ROW)
};

wf_status WF_K(unary_dx)(wf_ctx *c, wf_op_args *a);

wf_status WF_K(unary_dx)(wf_ctx *c, wf_op_args *a)
{
    const struct slope *f = &slopes[(int)a->attr[0]];
    if (!all_f32(a) || !f->run) return WF_ESKIP;
    span s = {.x = floats(a->in[0]),
              .dy = floats(a->in[1]),
              .y = wf_data(a->out[0]),
              .n = wf_numel(a->out[0]),
              .run = f->run,
              .p0 = vf_set1((float)a->attr[1]),
              .p1 = vf_set1((float)a->attr[2])};
    run_parts(c, div_up(s.n, GRAIN), (double)s.n * f->cost, run_span, &s);
    return WF_OK;
}
