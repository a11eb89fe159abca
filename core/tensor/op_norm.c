/*
 * op_norm.c - group, layer and RMS norm with their gradients.
 *
 * Group, layer and RMS norm are one: y = w xhat + b with xhat = (x - mean) rstd over a block of
 * values. A block is the channels of one group at all places of one sample; a layer norm is one
 * group at one place; an RMS norm is that with a mean of 0. Statistics take two passes, in double.
 */
#include "core/tensor/op_impl.h"

#include <math.h>

/* x as [B,S,C] with C in groups of Cg channels. */
typedef struct layout {
    int64_t B, S, C, groups, Cg;
    double eps;
    bool centre, silu;
} layout;

typedef struct stats {
    double mean, rstd;
} stats;

static layout group_layout(const wf_tensor *x, const double *attr)
{
    layout l = {.B = wf_dim(x, 0),
                .S = 1,
                .C = wf_dim(x, -1),
                .groups = (int64_t)attr[0],
                .eps = attr[1],
                .centre = true,
                .silu = attr[2] != 0.0};
    for (int d = 1; d < wf_rank(x) - 1; d++) l.S *= wf_dim(x, d);
    l.Cg = l.C / l.groups;
    return l;
}

static layout row_layout(const wf_tensor *x, double eps, bool centre)
{
    layout l = {.B = 1,
                .S = 1,
                .C = wf_dim(x, -1),
                .groups = 1,
                .Cg = wf_dim(x, -1),
                .eps = eps,
                .centre = centre};
    for (int d = 0; d < wf_rank(x) - 1; d++) l.B *= wf_dim(x, d);
    return l;
}

/* ---- forward ---- */

static stats measure(const wfi_values *x, const layout *l, int64_t first)
{
    const double n = (double)(l->S * l->Cg);
    double sum = 0.0, square = 0.0;
    for (int64_t s = 0; l->centre && s < l->S; s++)
        for (int64_t i = 0; i < l->Cg; i++) sum += wfi_get(x, first + s * l->C + i);
    const double mean = sum / n;
    for (int64_t s = 0; s < l->S; s++)
        for (int64_t i = 0; i < l->Cg; i++) {
            const double d = wfi_get(x, first + s * l->C + i) - mean;
            square += d * d;
        }
    return (stats){.mean = mean, .rstd = 1.0 / sqrt(square / n + l->eps)};
}

/* Value i of an optional vector. */
static double get_or(const wfi_values *v, int64_t i, double absent)
{
    return v->p ? wfi_get(v, i) : absent;
}

static void normalise(wf_op_args *a, const layout *l)
{
    const wfi_values x = wfi_open(a->in[0]), w = wfi_open(a->in[1]), b = wfi_open(a->in[2]);
    wfi_values y = wfi_open(a->out[0]);
    for (int64_t block = 0; y.n > 0 && block < l->B * l->groups; block++) {
        const int64_t c0 = block % l->groups * l->Cg, first = block / l->groups * l->S * l->C + c0;
        const stats m = measure(&x, l, first);
        for (int64_t s = 0; s < l->S; s++)
            for (int64_t i = 0; i < l->Cg; i++) {
                const int64_t at = first + s * l->C + i;
                const double xhat = (wfi_get(&x, at) - m.mean) * m.rstd;
                const double z = xhat * get_or(&w, c0 + i, 1.0) + get_or(&b, c0 + i, 0.0);
                wfi_put(&y, at, l->silu ? wfi_unary(WF_OP_ID_silu, z) : z);
            }
    }
}

/* ---- gradient ---- */

/* What the passes over one block share. */
typedef struct norm_dx {
    const layout *l;
    wfi_values x, w, b, dy, dx;
    double *dw, *db;            /* [C] sums over the blocks */
} norm_dx;

/* dz at a place: dy through the SiLU where there is one. */
static double slope_at(const norm_dx *p, int64_t at, int64_t channel, double xhat)
{
    const double dy = wfi_get(&p->dy, at);
    if (!p->l->silu) return dy;
    const double z = xhat * get_or(&p->w, channel, 1.0) + get_or(&p->b, channel, 0.0);
    return dy * wfi_unary_slope(WF_OP_ID_silu, z);
}

/* dx = rstd (g - mean(g) - xhat mean(g xhat)) with g = dz w; mean(g) only where x was centred. */
static void norm_block_dx(norm_dx *p, int64_t first, int64_t c0)
{
    const layout *l = p->l;
    const stats m = measure(&p->x, l, first);
    const double n = (double)(l->S * l->Cg);
    double sum_g = 0.0, sum_gx = 0.0;
    for (int64_t s = 0; s < l->S; s++)
        for (int64_t i = 0; i < l->Cg; i++) {
            const int64_t at = first + s * l->C + i;
            const double xhat = (wfi_get(&p->x, at) - m.mean) * m.rstd;
            const double dz = slope_at(p, at, c0 + i, xhat), g = dz * get_or(&p->w, c0 + i, 1.0);
            sum_g += g;
            sum_gx += g * xhat;
            p->dw[c0 + i] += dz * xhat;
            p->db[c0 + i] += dz;
        }
    const double mean_g = l->centre ? sum_g / n : 0.0;
    for (int64_t s = 0; s < l->S; s++)
        for (int64_t i = 0; i < l->Cg; i++) {
            const int64_t at = first + s * l->C + i;
            const double xhat = (wfi_get(&p->x, at) - m.mean) * m.rstd;
            const double g = slope_at(p, at, c0 + i, xhat) * get_or(&p->w, c0 + i, 1.0);
            wfi_put(&p->dx, at, m.rstd * (g - mean_g - xhat * sum_gx / n));
        }
}

/* Fill dx, dw and, where the op has it, db. p holds layout, x, w, b, dy. */
static wf_status normalise_dx(wf_ctx *c, wf_op_args *a, norm_dx *p)
{
    const layout *l = p->l;
    double *sums = wf_mem_calloc(wf_ctx_get_mem(c), (size_t)(2 * l->C + 1) * sizeof *sums);
    if (!sums)
        return wf_fail_status(c, WF_ENOMEM, "%s: no memory for %lld sums", a->op->name,
                              (long long)(2 * l->C));
    p->dx = wfi_open(a->out[0]);
    p->dw = sums;
    p->db = sums + l->C;
    for (int64_t block = 0; p->dx.n > 0 && block < l->B * l->groups; block++) {
        const int64_t c0 = block % l->groups * l->Cg;
        norm_block_dx(p, block / l->groups * l->S * l->C + c0, c0);
    }
    for (int out = 1; out < a->n_out; out++) {
        wfi_values d = wfi_open(a->out[out]);
        for (int64_t i = 0; i < l->C; i++) wfi_put(&d, i, sums[(out - 1) * l->C + i]);
    }
    wf_mem_free(wf_ctx_get_mem(c), sums);
    return WF_OK;
}

/* ---- checks ---- */

/* Inputs 1 .. n_vectors are vectors of x's channels, or absent. */
static wf_status check_norm(wf_ctx *c, const wf_op_args *a, int n_vectors, double eps)
{
    const wf_tensor *x = a->in[0];
    WF_TRY(wfi_check_float(c, a, 0));
    if (wf_rank(x) < 1)
        return wf_fail_status(c, WF_ESHAPE, "%s: x is one value, wants channels", a->op->name);
    if (!(eps >= 0.0))
        return wf_fail_status(c, WF_EARG, "%s: eps is %g, wants 0 or more", a->op->name, eps);
    for (int i = 1; i <= n_vectors && i < a->n_in; i++) {
        if (!a->in[i]) continue;
        WF_TRY(wfi_check_float(c, a, i));
        WF_TRY(wfi_check_rank(c, a, i, 1));
        if (wf_dim(a->in[i], 0) != wf_dim(x, -1))
            return wf_fail_status(c, WF_ESHAPE, "%s: %s has %lld values, x has %lld channels",
                                  a->op->name, i == 1 ? "w" : "b", (long long)wf_dim(a->in[i], 0),
                                  (long long)wf_dim(x, -1));
    }
    return WF_OK;
}

static wf_status check_groups(wf_ctx *c, const wf_op_args *a)
{
    const wf_tensor *x = a->in[0];
    WF_TRY(check_norm(c, a, 2, a->attr[1]));
    WF_TRY(wfi_check_int_attr(c, a, 0, 1, INT32_MAX));
    WF_TRY(wfi_check_int_attr(c, a, 2, 0, 1));
    if (wf_rank(x) < 2)
        return wf_fail_status(c, WF_ESHAPE, "%s: x has one dim, wants [B,...,C]", a->op->name);
    if (wf_dim(x, -1) % wfi_int(a, 0) != 0)
        return wf_fail_status(c, WF_ESHAPE, "%s: %lld channels do not divide into %lld groups",
                              a->op->name, (long long)wf_dim(x, -1), (long long)wfi_int(a, 0));
    return WF_OK;
}

/* The outputs of a gradient: dx like x, then vectors of its channels. */
static wf_status set_dx_shapes(wf_ctx *c, wf_op_args *a, int dy)
{
    WF_TRY(wfi_check_float(c, a, dy));
    WF_TRY(wfi_check_same(c, a, dy, 0));
    a->shape[0] = wf_get_shape(a->in[0]);
    for (int i = 1; i < WF_OP_MAX_OUT; i++) a->shape[i] = (wf_shape){1, {wf_dim(a->in[0], -1)}};
    return WF_OK;
}

/* ---- group norm ---- */

wf_status wfi_group_norm_infer(wf_ctx *c, wf_op_args *a)
{
    WF_TRY(check_groups(c, a));
    a->shape[0] = wf_get_shape(a->in[0]);
    return WF_OK;
}

wf_status wfi_group_norm_forward(wf_ctx *c, wf_op_args *a)
{
    (void)c;
    const layout l = group_layout(a->in[0], a->attr);
    normalise(a, &l);
    return WF_OK;
}

wf_status wfi_group_norm_dx_infer(wf_ctx *c, wf_op_args *a)
{
    WF_TRY(check_groups(c, a));
    return set_dx_shapes(c, a, 3);
}

wf_status wfi_group_norm_dx_forward(wf_ctx *c, wf_op_args *a)
{
    const layout l = group_layout(a->in[0], a->attr);
    norm_dx p = {.l = &l, .x = wfi_open(a->in[0]), .w = wfi_open(a->in[1]), .b = wfi_open(a->in[2]),
                 .dy = wfi_open(a->in[3])};
    return normalise_dx(c, a, &p);
}

/* The gradients of a norm's inputs, from its _dx op called with in[n_in]. */
static void take_gradients(wf_ctx *c, wf_grad_args *g, wf_op_id id, wf_tensor *const *in, int n_in)
{
    wf_tensor *out[WF_OP_MAX_OUT] = {NULL};
    (void)wf_op_call_multi(c, id, in, n_in, g->attr, g->n_attr, out);
    for (int i = 0; i < g->n_in; i++)
        if (g->in[i]) g->dx[i] = out[i];
}

void wfi_group_norm_backward(wf_ctx *c, wf_grad_args *g)
{
    wf_tensor *in[] = {g->in[0], g->in[1], g->in[2], g->dy[0]};
    take_gradients(c, g, WF_OP_ID_group_norm_dx, in, 4);
}

wf_tensor *wf_group_norm(wf_ctx *c, wf_tensor *x, wf_tensor *w, wf_tensor *b, int64_t groups,
                         double eps)
{
    const double attr[] = {(double)groups, eps, 0.0};
    return wf_op_call(c, WF_OP_ID_group_norm, (wf_tensor *[]){x, w, b}, 3, attr, 3);
}

wf_tensor *wf_group_norm_silu(wf_ctx *c, wf_tensor *x, wf_tensor *w, wf_tensor *b, int64_t groups,
                              double eps)
{
    const double attr[] = {(double)groups, eps, 1.0};
    return wf_op_call(c, WF_OP_ID_group_norm, (wf_tensor *[]){x, w, b}, 3, attr, 3);
}

/* ---- layer norm ---- */

wf_status wfi_layer_norm_infer(wf_ctx *c, wf_op_args *a)
{
    WF_TRY(check_norm(c, a, 2, a->attr[0]));
    a->shape[0] = wf_get_shape(a->in[0]);
    return WF_OK;
}

wf_status wfi_layer_norm_forward(wf_ctx *c, wf_op_args *a)
{
    (void)c;
    const layout l = row_layout(a->in[0], a->attr[0], true);
    normalise(a, &l);
    return WF_OK;
}

wf_status wfi_layer_norm_dx_infer(wf_ctx *c, wf_op_args *a)
{
    WF_TRY(check_norm(c, a, 1, a->attr[0]));
    return set_dx_shapes(c, a, 2);
}

wf_status wfi_layer_norm_dx_forward(wf_ctx *c, wf_op_args *a)
{
    const layout l = row_layout(a->in[0], a->attr[0], true);
    norm_dx p = {
        .l = &l, .x = wfi_open(a->in[0]), .w = wfi_open(a->in[1]), .dy = wfi_open(a->in[2])};
    return normalise_dx(c, a, &p);
}

void wfi_layer_norm_backward(wf_ctx *c, wf_grad_args *g)
{
    wf_tensor *in[] = {g->in[0], g->in[1], g->dy[0]};
    take_gradients(c, g, WF_OP_ID_layer_norm_dx, in, 3);
}

wf_tensor *wf_layer_norm(wf_ctx *c, wf_tensor *x, wf_tensor *w, wf_tensor *b, double eps)
{
    return wf_op_call(c, WF_OP_ID_layer_norm, (wf_tensor *[]){x, w, b}, 3, &eps, 1);
}

/* ---- RMS norm ---- */

wf_status wfi_rms_norm_infer(wf_ctx *c, wf_op_args *a)
{
    WF_TRY(check_norm(c, a, 1, a->attr[0]));
    a->shape[0] = wf_get_shape(a->in[0]);
    return WF_OK;
}

wf_status wfi_rms_norm_forward(wf_ctx *c, wf_op_args *a)
{
    (void)c;
    const layout l = row_layout(a->in[0], a->attr[0], false);
    normalise(a, &l);
    return WF_OK;
}

wf_status wfi_rms_norm_dx_infer(wf_ctx *c, wf_op_args *a)
{
    WF_TRY(check_norm(c, a, 1, a->attr[0]));
    return set_dx_shapes(c, a, 2);
}

wf_status wfi_rms_norm_dx_forward(wf_ctx *c, wf_op_args *a)
{
    const layout l = row_layout(a->in[0], a->attr[0], false);
    norm_dx p = {
        .l = &l, .x = wfi_open(a->in[0]), .w = wfi_open(a->in[1]), .dy = wfi_open(a->in[2])};
    return normalise_dx(c, a, &p);
}

void wfi_rms_norm_backward(wf_ctx *c, wf_grad_args *g)
{
    wf_tensor *in[] = {g->in[0], g->in[1], g->dy[0]};
    take_gradients(c, g, WF_OP_ID_rms_norm_dx, in, 3);
}

wf_tensor *wf_rms_norm(wf_ctx *c, wf_tensor *x, wf_tensor *w, double eps)
{
    return wf_op_call(c, WF_OP_ID_rms_norm, (wf_tensor *[]){x, w}, 2, &eps, 1);
}
