/*
 * op_reduce.c - sums, means, extremes, running sums and logsumexp.
 *
 * The attribute list of a reduction is keep, then dims (negative ones count from the end); no dims
 * means all of them.
 */
#include "core/tensor/op_impl.h"

#include <math.h>
#include <string.h>

/* Which dims are reduced; fails on a dim outside x or named twice. */
static wf_status reduced_dims(wf_ctx *c, const wf_op_args *a, bool *reduced)
{
    const int rank = wf_rank(a->in[0]);
    memset(reduced, a->n_attr == 1, WF_MAX_RANK * sizeof *reduced);
    for (int i = 1; i < a->n_attr; i++) {
        int d;
        WF_TRY(wfi_check_dim(c, a, i, rank, &d));
        if (reduced[d]) return wf_fail_status(c, WF_EARG, "%s: a dim is named twice", a->op->name);
        reduced[d] = true;
    }
    return WF_OK;
}

static wf_status infer(wf_ctx *c, wf_op_args *a)
{
    bool reduced[WF_MAX_RANK];
    WF_TRY(wfi_check_float(c, a, 0));
    WF_TRY(reduced_dims(c, a, reduced));
    for (int d = 0; d < wf_rank(a->in[0]); d++) {
        if (!reduced[d]) a->shape[0].dims[a->shape[0].rank++] = wf_dim(a->in[0], d);
        else if (a->attr[0] != 0.0) a->shape[0].dims[a->shape[0].rank++] = 1;
    }
    return WF_OK;
}

/* Strides that lead from a position in x to its place in the result: 0 along reduced dims. */
static wf_status result_strides(wf_ctx *c, const wf_op_args *a, int64_t *strides,
                                int64_t *n_reduced)
{
    bool reduced[WF_MAX_RANK];
    WF_TRY(reduced_dims(c, a, reduced));
    int64_t n = 1;
    *n_reduced = 1;
    for (int d = wf_rank(a->in[0]) - 1; d >= 0; d--) {
        const int64_t dim = wf_dim(a->in[0], d);
        strides[d] = reduced[d] ? 0 : n;
        if (reduced[d]) *n_reduced *= dim;
        else n *= dim;
    }
    return WF_OK;
}

/* acc[result] = combine over x, in row-major order and double precision. */
static wf_status reduce(wf_ctx *c, wf_op_args *a, char how)
{
    const wfi_values x = wfi_open(a->in[0]);
    wfi_values y = wfi_open(a->out[0]);
    int64_t strides[WF_MAX_RANK], n_reduced;
    WF_TRY(result_strides(c, a, strides, &n_reduced));
    if (how != '+' && n_reduced == 0 && y.n > 0)
        return wf_fail_status(c, WF_ESHAPE, "%s: no values along the reduced dims", a->op->name);
    double *acc = wf_mem_alloc(wf_ctx_get_mem(c), (size_t)(y.n + 1) * sizeof *acc);
    if (!acc) return wf_fail_status(c, WF_ENOMEM, "%s: no memory for the sums", a->op->name);
    for (int64_t i = 0; i < y.n; i++) acc[i] = how == '+' ? 0.0 : how == '>' ? -INFINITY : INFINITY;
    for (int64_t i = 0; i < x.n; i++) {
        double *p = &acc[wfi_at(x.dims, strides, x.rank, i)];
        const double v = wfi_get(&x, i);
        if (how == '+') *p += v;
        else if (isnan(v) || (how == '>' ? v > *p : v < *p)) *p = isnan(*p) ? *p : v;
    }
    const double k = a->op == wf_op_get(WF_OP_ID_mean) ? 1.0 / (double)n_reduced : 1.0;
    for (int64_t i = 0; i < y.n; i++) wfi_put(&y, i, acc[i] * k);
    wf_mem_free(wf_ctx_get_mem(c), acc);
    return WF_OK;
}

wf_status wfi_sum_infer(wf_ctx *c, wf_op_args *a) { return infer(c, a); }
wf_status wfi_mean_infer(wf_ctx *c, wf_op_args *a) { return infer(c, a); }
wf_status wfi_max_infer(wf_ctx *c, wf_op_args *a) { return infer(c, a); }
wf_status wfi_min_infer(wf_ctx *c, wf_op_args *a) { return infer(c, a); }
wf_status wfi_sum_forward(wf_ctx *c, wf_op_args *a) { return reduce(c, a, '+'); }
wf_status wfi_mean_forward(wf_ctx *c, wf_op_args *a) { return reduce(c, a, '+'); }
wf_status wfi_max_forward(wf_ctx *c, wf_op_args *a) { return reduce(c, a, '>'); }
wf_status wfi_min_forward(wf_ctx *c, wf_op_args *a) { return reduce(c, a, '<'); }

/* y (the result, or its gradient) with the reduced dims back as dims of 1. */
static wf_tensor *with_kept_dims(wf_ctx *c, const wf_grad_args *g, wf_tensor *y)
{
    int64_t dims[WF_MAX_RANK];
    const int rank = wf_rank(g->in[0]);
    for (int d = 0; d < rank; d++) dims[d] = g->n_attr == 1 ? 1 : wf_dim(g->in[0], d);
    for (int i = 1; i < g->n_attr; i++) dims[(int)g->attr[i] + (g->attr[i] < 0 ? rank : 0)] = 1;
    return wf_reshape(c, y, rank, dims);
}

void wfi_sum_backward(wf_ctx *c, wf_grad_args *g)
{
    const wf_shape s = wf_get_shape(g->in[0]);
    g->dx[0] = wf_expand(c, with_kept_dims(c, g, g->dy[0]), &s);
}

void wfi_mean_backward(wf_ctx *c, wf_grad_args *g)
{
    const wf_shape s = wf_get_shape(g->in[0]);
    const double n = (double)wf_numel(g->in[0]) / (double)wf_numel(g->dy[0]);
    g->dx[0] = wf_expand(c, wf_scale(c, with_kept_dims(c, g, g->dy[0]), 1.0 / n), &s);
}

/* Every value equal to the extreme takes an equal share. */
static void extreme_backward(wf_ctx *c, wf_grad_args *g)
{
    int dims[WF_MAX_RANK];
    const int n = g->n_attr - 1;
    for (int i = 0; i < n; i++) dims[i] = (int)g->attr[i + 1];
    wf_tensor *y = with_kept_dims(c, g, g->out[0]), *dy = with_kept_dims(c, g, g->dy[0]);
    wf_tensor *hit = wf_cast(c, wf_eq(c, g->in[0], y), wf_get_dtype(g->dy[0]));
    g->dx[0] = wf_mul(c, hit, wf_div(c, dy, wf_sum(c, hit, n, dims, true)));
}

void wfi_max_backward(wf_ctx *c, wf_grad_args *g) { extreme_backward(c, g); }
void wfi_min_backward(wf_ctx *c, wf_grad_args *g) { extreme_backward(c, g); }

static wf_tensor *call(wf_ctx *c, wf_op_id id, wf_tensor *x, int n, const int *dims, bool keep)
{
    double attr[WF_MAX_RANK + 1] = {keep};
    if (n > WF_MAX_RANK) return wf_fail(c, WF_EARG, "reduction over %d dims", n);
    for (int i = 0; i < n; i++) attr[i + 1] = dims[i];
    return wf_op_call(c, id, &x, 1, attr, n + 1);
}

wf_tensor *wf_sum(wf_ctx *c, wf_tensor *x, int n, const int *dims, bool keep)
{
    return call(c, WF_OP_ID_sum, x, n, dims, keep);
}

wf_tensor *wf_mean(wf_ctx *c, wf_tensor *x, int n, const int *dims, bool keep)
{
    return call(c, WF_OP_ID_mean, x, n, dims, keep);
}

wf_tensor *wf_max(wf_ctx *c, wf_tensor *x, int n, const int *dims, bool keep)
{
    return call(c, WF_OP_ID_max, x, n, dims, keep);
}

wf_tensor *wf_min(wf_ctx *c, wf_tensor *x, int n, const int *dims, bool keep)
{
    return call(c, WF_OP_ID_min, x, n, dims, keep);
}

/* ---- sum_to: undo a broadcast ---- */

wf_status wfi_sum_to_infer(wf_ctx *c, wf_op_args *a)
{
    char t0[180], t1[160];
    wf_shape s = {.rank = a->n_attr}, both;
    const wf_shape x = wf_get_shape(a->in[0]);
    WF_TRY(wfi_check_float(c, a, 0));
    if (s.rank > WF_MAX_RANK)
        return wf_fail_status(c, WF_ESHAPE, "sum_to: more than %d dims", WF_MAX_RANK);
    for (int i = 0; i < s.rank; i++) {
        WF_TRY(wfi_check_int_attr(c, a, i, 0, INT64_C(1) << 52));
        s.dims[i] = wfi_int(a, i);
    }
    if (!wf_shape_broadcast(&s, &x, &both) || !wf_shape_is_same(&both, &x))
        return wf_fail_status(c, WF_ESHAPE, "sum_to: %s is no broadcast of %s",
                              wf_tensor_text(a->in[0], t0, sizeof t0),
                              wf_shape_text(&s, t1, sizeof t1));
    a->shape[0] = s;
    return WF_OK;
}

wf_status wfi_sum_to_forward(wf_ctx *c, wf_op_args *a)
{
    const wfi_values x = wfi_open(a->in[0]);
    wfi_values y = wfi_open(a->out[0]);
    int64_t strides[WF_MAX_RANK];
    const int extra = x.rank - y.rank;
    for (int d = 0; d < x.rank; d++)
        strides[d] = d < extra || y.dims[d - extra] == 1 ? 0 : y.strides[d - extra];
    double *acc = wf_mem_calloc(wf_ctx_get_mem(c), (size_t)(y.n + 1) * sizeof *acc);
    if (!acc) return wf_fail_status(c, WF_ENOMEM, "sum_to: no memory for the sums");
    for (int64_t i = 0; i < x.n; i++) acc[wfi_at(x.dims, strides, x.rank, i)] += wfi_get(&x, i);
    for (int64_t i = 0; i < y.n; i++) wfi_put(&y, i, acc[i]);
    wf_mem_free(wf_ctx_get_mem(c), acc);
    return WF_OK;
}

void wfi_sum_to_backward(wf_ctx *c, wf_grad_args *g)
{
    const wf_shape s = wf_get_shape(g->in[0]);
    g->dx[0] = wf_expand(c, g->dy[0], &s);
}

wf_tensor *wf_sum_to(wf_ctx *c, wf_tensor *x, const wf_shape *s)
{
    double attr[WF_MAX_RANK];
    for (int i = 0; i < s->rank; i++) attr[i] = (double)s->dims[i];
    return wf_op_call(c, WF_OP_ID_sum_to, &x, 1, attr, s->rank);
}

/* ---- running sums ---- */

wf_status wfi_cumsum_infer(wf_ctx *c, wf_op_args *a)
{
    int d;
    WF_TRY(wfi_check_float(c, a, 0));
    WF_TRY(wfi_check_dim(c, a, 0, wf_rank(a->in[0]), &d));
    a->shape[0] = wf_get_shape(a->in[0]);
    return WF_OK;
}

wf_status wfi_cumsum_forward(wf_ctx *c, wf_op_args *a)
{
    (void)c;
    const wfi_values x = wfi_open(a->in[0]);
    wfi_values y = wfi_open(a->out[0]);
    const int d = (int)a->attr[0] + (a->attr[0] < 0 ? x.rank : 0);
    const int64_t n = x.dims[d], step = x.strides[d], rows = n ? x.n / n : 0;
    for (int64_t r = 0; r < rows; r++) {
        const int64_t first = r / step * step * n + r % step;
        double sum = 0.0;
        for (int64_t i = 0; i < n; i++) {
            const int64_t at = first + (a->attr[1] != 0.0 ? n - 1 - i : i) * step;
            sum += wfi_get(&x, at);
            wfi_put(&y, at, sum);
        }
    }
    return WF_OK;
}

void wfi_cumsum_backward(wf_ctx *c, wf_grad_args *g)
{
    const double attr[] = {g->attr[0], g->attr[1] == 0.0};
    g->dx[0] = wf_op_call(c, WF_OP_ID_cumsum, &g->dy[0], 1, attr, 2);
}

wf_tensor *wf_cumsum(wf_ctx *c, wf_tensor *x, int dim)
{
    const double attr[] = {dim};
    return wf_op_call(c, WF_OP_ID_cumsum, &x, 1, attr, 1);
}

/* ---- logsumexp over the last dim ---- */

wf_status wfi_logsumexp_infer(wf_ctx *c, wf_op_args *a)
{
    WF_TRY(wfi_check_float(c, a, 0));
    if (wf_rank(a->in[0]) < 1 || wf_dim(a->in[0], -1) < 1)
        return wf_fail_status(c, WF_ESHAPE, "logsumexp: x has no values along its last dim");
    a->shape[0] = wf_get_shape(a->in[0]);
    if (a->attr[0] != 0.0) a->shape[0].dims[a->shape[0].rank - 1] = 1;
    else a->shape[0].rank--;
    return WF_OK;
}

wf_status wfi_logsumexp_forward(wf_ctx *c, wf_op_args *a)
{
    (void)c;
    const wfi_values x = wfi_open(a->in[0]);
    wfi_values y = wfi_open(a->out[0]);
    const int64_t n = x.dims[x.rank - 1];
    for (int64_t r = 0; r < y.n; r++) {
        const double top = wfi_row_max(&x, r * n, n);
        double sum = 0.0;
        for (int64_t i = 0; i < n; i++)
            sum += exp(wfi_get(&x, r * n + i) - (isinf(top) ? 0.0 : top));
        wfi_put(&y, r, isinf(top) ? top : top + log(sum));
    }
    return WF_OK;
}

/* dx = exp(x - y) dy */
void wfi_logsumexp_backward(wf_ctx *c, wf_grad_args *g)
{
    wf_tensor *y = g->out[0], *dy = g->dy[0];
    if (g->attr[0] == 0.0) {
        y = wf_unsqueeze(c, y, -1);
        dy = wf_unsqueeze(c, dy, -1);
    }
    g->dx[0] = wf_mul(c, wf_exp(c, wf_sub(c, g->in[0], y)), dy);
}

wf_tensor *wf_logsumexp(wf_ctx *c, wf_tensor *x, bool keep)
{
    const double attr[] = {keep};
    return wf_op_call(c, WF_OP_ID_logsumexp, &x, 1, attr, 1);
}
