/* layer.c - linear, convolution, norm, embedding and time layers: declared, then run. */
#include "core/nn/layer.h"

#include <math.h>
#include <string.h>

#include "core/tensor/backend.h"

static wf_shape shape_of(int rank, int64_t a, int64_t b, int64_t d, int64_t e)
{
    return (wf_shape){rank, {a, b, d, e}};
}

static wf_tensor *values(const wf_param *p) { return p ? p->t : NULL; }

/* ---- activations ---- */

bool wf_act_find(const char *name, wf_act *out)
{
    static const struct { const char *name; wf_act act;
    } names[] = {{"silu", WF_ACT_SILU},
                 {"swish", WF_ACT_SILU},
                 {"gelu", WF_ACT_GELU},
                 {"relu", WF_ACT_RELU},
                 {"gelu_new", WF_ACT_GELU_TANH},
                 {"gelu_pytorch_tanh", WF_ACT_GELU_TANH},
                 {"quick_gelu", WF_ACT_GELU_QUICK}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i].name) == 0) {
            *out = names[i].act;
            return true;
        }
    return false;
}

wf_tensor *wf_act_run(wf_ctx *c, wf_tensor *x, wf_act act)
{
    switch (act) {
    case WF_ACT_SILU: return wf_silu(c, x);
    case WF_ACT_GELU: return wf_gelu(c, x);
    case WF_ACT_GELU_TANH: return wf_gelu_tanh(c, x);
    case WF_ACT_GELU_QUICK: return wf_gelu_quick(c, x);
    case WF_ACT_RELU: return wf_relu(c, x);
    default: return x;
    }
}

/* ---- linear ---- */

static wf_linear_layer declare_linear(wf_builder *b, const char *name, int64_t in, int64_t out,
                                      wf_init w, const wf_init *bias)
{
    const size_t mark = wf_builder_enter(b, "%s", name);
    wf_linear_layer l = {
        .w = wf_param_new(b, "weight", WF_LAYOUT_PLAIN, shape_of(2, out, in, 0, 0), w)};
    if (l.w) l.w->is_linear = true;
    if (bias) l.b = wf_param_new(b, "bias", WF_LAYOUT_PLAIN, shape_of(1, out, 0, 0, 0), *bias);
    wf_builder_leave(b, mark);
    return l;
}

wf_linear_layer wf_linear_declare(wf_builder *b, const char *name, int64_t in, int64_t out,
                                  bool bias)
{
    const wf_init init = wf_init_fan_in(in);
    return declare_linear(b, name, in, out, init, bias ? &init : NULL);
}

wf_linear_layer wf_linear_declare_normal(wf_builder *b, const char *name, int64_t in, int64_t out,
                                         bool bias, double deviation)
{
    const wf_init zeros = wf_init_constant(0.0);
    return declare_linear(b, name, in, out, wf_init_normal(deviation), bias ? &zeros : NULL);
}

wf_tensor *wf_linear_run(wf_ctx *c, const wf_linear_layer *l, wf_tensor *x)
{
    const wf_adapter *k = l->w ? l->w->adapter : NULL;
    wf_tensor *y = wf_linear(c, x, values(l->w), values(l->b));
    if (!k) return y;
    wf_tensor *low = wf_linear(c, x, values(k->a), NULL);
    return wf_add(c, y, wf_scale(c, wf_linear(c, low, values(k->b), NULL), k->scale));
}

wf_tensor *wf_linear_run_act(wf_ctx *c, const wf_linear_layer *l, wf_tensor *x, wf_act act)
{
    if (l->w && l->w->adapter) return wf_act_run(c, wf_linear_run(c, l, x), act);
    return wf_linear_act(c, x, values(l->w), values(l->b), act);
}

/* ---- convolution ---- */

wf_conv_layer wf_conv_declare(wf_builder *b, const char *name, int64_t in, int64_t out,
                              int64_t taps, wf_conv how)
{
    const wf_init init = wf_init_fan_in(in * taps * taps);
    const size_t mark = wf_builder_enter(b, "%s", name);
    const wf_conv_layer l = {
        .w = wf_param_new(b, "weight", WF_LAYOUT_CONV2D, shape_of(4, out, taps, taps, in), init),
        .b = wf_param_new(b, "bias", WF_LAYOUT_PLAIN, shape_of(1, out, 0, 0, 0), init),
        .how = how};
    wf_builder_leave(b, mark);
    return l;
}

wf_tensor *wf_conv_run(wf_ctx *c, const wf_conv_layer *l, wf_tensor *x)
{
    return wf_conv2d(c, x, values(l->w), values(l->b), l->how);
}

/* ---- norms ---- */

static wf_norm_layer declare_norm(wf_builder *b, const char *name, int64_t width)
{
    const wf_shape s = shape_of(1, width, 0, 0, 0);
    const size_t mark = wf_builder_enter(b, "%s", name);
    const wf_norm_layer l = {
        .w = wf_param_new(b, "weight", WF_LAYOUT_PLAIN, s, wf_init_constant(1.0)),
        .b = wf_param_new(b, "bias", WF_LAYOUT_PLAIN, s, wf_init_constant(0.0))};
    wf_builder_leave(b, mark);
    return l;
}

wf_norm_layer wf_group_norm_declare(wf_builder *b, const char *name, int64_t width, int64_t groups,
                                    double eps)
{
    if (groups < 1 || width % groups != 0)
        wf_fail(b->c, WF_EMODEL, "%s.%s: %lld channels do not divide into %lld groups", b->path,
                name, (long long)width, (long long)groups);
    wf_norm_layer l = declare_norm(b, name, width);
    l.groups = groups;
    l.eps = eps;
    return l;
}

wf_norm_layer wf_layer_norm_declare(wf_builder *b, const char *name, int64_t width, double eps)
{
    wf_norm_layer l = declare_norm(b, name, width);
    l.eps = eps;
    return l;
}

wf_tensor *wf_norm_run(wf_ctx *c, const wf_norm_layer *l, wf_tensor *x)
{
    if (l->groups == 0) return wf_layer_norm(c, x, values(l->w), values(l->b), l->eps);
    return wf_group_norm(c, x, values(l->w), values(l->b), l->groups, l->eps);
}

wf_tensor *wf_norm_run_act(wf_ctx *c, const wf_norm_layer *l, wf_tensor *x, wf_act act)
{
    if (l->groups > 0 && act == WF_ACT_SILU)
        return wf_group_norm_silu(c, x, values(l->w), values(l->b), l->groups, l->eps);
    return wf_act_run(c, wf_norm_run(c, l, x), act);
}

/* ---- embeddings ---- */

wf_param *wf_embedding_declare(wf_builder *b, const char *name, int64_t rows, int64_t width,
                               double deviation)
{
    const size_t mark = wf_builder_enter(b, "%s", name);
    wf_param *p = wf_param_new(b, "weight", WF_LAYOUT_PLAIN, shape_of(2, rows, width, 0, 0),
                               wf_init_normal(deviation));
    wf_builder_leave(b, mark);
    return p;
}

wf_tensor *wf_embedding_run(wf_ctx *c, const wf_param *table, wf_tensor *ids)
{
    return wf_to_activation(c, wf_embedding(c, ids, values(table)));
}

/* ---- time ---- */

/* [half] f32; every step is rounded to f32 as the reference does. */
static wf_tensor *frequencies(wf_ctx *c, int64_t half, double shift)
{
    enum { MOST = 4096 };
    if (half < 1 || half > MOST)
        return wf_fail(c, WF_EMODEL, "time embedding: width %lld, wanted 2 to %d",
                       (long long)(2 * half), 2 * MOST);
    float f[MOST];
    const float log_period = (float)-log(10000.0), steps = (float)((double)half - shift);
    for (int64_t i = 0; i < half; i++) f[i] = expf(log_period * (float)i / steps);
    return wf_from_host(c, WF_DTYPE_F32, &(wf_shape){1, {half}}, f);
}

wf_tensor *wf_time_sinusoid(wf_ctx *c, wf_tensor *t, int64_t width, bool cos_first, double shift)
{
    wf_tensor *column = wf_reshape2(c, wf_cast(c, t, WF_DTYPE_F32), -1, 1);
    wf_tensor *angle = wf_mul(c, column, frequencies(c, width / 2, shift));
    wf_tensor *cosine = wf_cos(c, angle), *sine = wf_sin(c, angle);
    wf_tensor *parts[2] = {cos_first ? cosine : sine, cos_first ? sine : cosine};
    return wf_concat(c, parts, 2, -1);
}

wf_time_mlp wf_time_mlp_declare(wf_builder *b, const char *name, int64_t in, int64_t out,
                                wf_act act)
{
    const size_t mark = wf_builder_enter(b, "%s", name);
    const wf_time_mlp l = {.first = wf_linear_declare(b, "linear_1", in, out, true),
                           .second = wf_linear_declare(b, "linear_2", out, out, true),
                           .act = act};
    wf_builder_leave(b, mark);
    return l;
}

wf_tensor *wf_time_mlp_run(wf_ctx *c, const wf_time_mlp *l, wf_tensor *x)
{
    return wf_linear_run(c, &l->second, wf_linear_run_act(c, &l->first, x, l->act));
}

/* ---- dtypes ---- */

wf_tensor *wf_to_activation(wf_ctx *c, wf_tensor *x)
{
    if (!x || wf_is_dead(x)) return x;
    const wf_dtype t = wf_get_dtype(x);
    const bool is_half = t == WF_DTYPE_F16 || t == WF_DTYPE_BF16;
    if (t == WF_DTYPE_F32 || t == WF_DTYPE_F64 || (is_half && !wf_get_device(x)->host)) return x;
    return wf_cast(c, x, WF_DTYPE_F32);
}

wf_tensor *wf_to_dtype_of(wf_ctx *c, wf_tensor *x, const wf_tensor *like)
{
    return like && x ? wf_cast(c, x, wf_get_dtype(like)) : x;
}

wf_tensor *wf_split_heads(wf_ctx *c, wf_tensor *x, int64_t N)
{
    return wf_reshape4(c, x, wf_dim(x, 0), wf_dim(x, 1), N, wf_dim(x, 2) / N);
}

wf_tensor *wf_stack_states(wf_ctx *c, wf_tensor *const *states, int64_t n)
{
    wf_tensor *all = NULL, *part[WF_OP_MAX_IN];
    for (int64_t i = 0; i < n;) {
        int k = 0;
        if (all) part[k++] = all;
        while (i < n && k < WF_OP_MAX_IN) part[k++] = wf_unsqueeze(c, states[i++], 0);
        all = k == 1 ? part[0] : wf_concat(c, part, k, 0);
    }
    return all;
}
