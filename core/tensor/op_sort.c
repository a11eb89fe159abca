/* op_sort.c - argmax, argsort and topk: order along one dim, ids as i64; NaN counts as the largest.
 */
#include "core/tensor/op_impl.h"

#include <math.h>
#include <stdlib.h>

typedef struct item {
    double v;
    int64_t i;
} item;

static int by_value(double a, double b)
{
    if (isnan(a) || isnan(b)) return isnan(a) - isnan(b);
    return (a > b) - (a < b);
}

/* Equal values stay in their order, so the sort is stable. */
static int ascending(const void *p, const void *q)
{
    const item *a = p, *b = q;
    const int o = by_value(a->v, b->v);
    return o ? o : (a->i > b->i) - (a->i < b->i);
}

static int descending(const void *p, const void *q)
{
    const item *a = p, *b = q;
    const int o = by_value(b->v, a->v);
    return o ? o : (a->i > b->i) - (a->i < b->i);
}

wf_status wfi_argmax_infer(wf_ctx *c, wf_op_args *a)
{
    int d;
    WF_TRY(wfi_check_dim(c, a, 0, wf_rank(a->in[0]), &d));
    if (wf_dim(a->in[0], d) < 1)
        return wf_fail_status(c, WF_ESHAPE, "argmax: no values along the dim");
    for (int i = 0; i < wf_rank(a->in[0]); i++)
        if (i != d) a->shape[0].dims[a->shape[0].rank++] = wf_dim(a->in[0], i);
    a->dtype[0] = WF_DTYPE_I64;
    return WF_OK;
}

wf_status wfi_argmax_forward(wf_ctx *c, wf_op_args *a)
{
    (void)c;
    const wfi_values x = wfi_open(a->in[0]);
    wfi_values y = wfi_open(a->out[0]);
    const int d = (int)a->attr[0] + (a->attr[0] < 0 ? x.rank : 0);
    const int64_t n = x.dims[d], step = x.strides[d];
    for (int64_t r = 0; r < y.n; r++) {
        const int64_t first = r / step * step * n + r % step;
        int64_t best = 0;
        for (int64_t i = 1; i < n; i++)
            if (by_value(wfi_get(&x, first + i * step), wfi_get(&x, first + best * step)) > 0)
                best = i;
        wfi_put(&y, r, (double)best);
    }
    return WF_OK;
}

wf_tensor *wf_argmax(wf_ctx *c, wf_tensor *x, int dim)
{
    const double attr[] = {dim};
    return wf_op_call(c, WF_OP_ID_argmax, &x, 1, attr, 1);
}

/* Sort each row and hand its k first to put. */
static wf_status sort_rows(wf_ctx *c, wf_op_args *a, int64_t k, bool down, wfi_values *values,
                           wfi_values *ids)
{
    const wfi_values x = wfi_open(a->in[0]);
    const int64_t n = x.dims[x.rank - 1];
    item *row = wf_mem_alloc(wf_ctx_get_mem(c), (size_t)(n + 1) * sizeof *row);
    if (!row) return wf_fail_status(c, WF_ENOMEM, "%s: no memory for a row", a->op->name);
    for (int64_t r = 0; n && r < x.n / n; r++) {
        for (int64_t i = 0; i < n; i++) row[i] = (item){.v = wfi_get(&x, r * n + i), .i = i};
        qsort(row, (size_t)n, sizeof *row, down ? descending : ascending);
        for (int64_t i = 0; i < k; i++) {
            if (values) wfi_put(values, r * k + i, row[i].v);
            ((int64_t *)ids->p)[r * k + i] = row[i].i;
        }
    }
    wf_mem_free(wf_ctx_get_mem(c), row);
    return WF_OK;
}

wf_status wfi_argsort_infer(wf_ctx *c, wf_op_args *a)
{
    WF_TRY(wfi_check_rows(c, a));
    a->shape[0] = wf_get_shape(a->in[0]);
    a->dtype[0] = WF_DTYPE_I64;
    return WF_OK;
}

wf_status wfi_argsort_forward(wf_ctx *c, wf_op_args *a)
{
    wfi_values ids = wfi_open(a->out[0]);
    return sort_rows(c, a, wf_dim(a->in[0], -1), a->attr[0] != 0.0, NULL, &ids);
}

wf_tensor *wf_argsort(wf_ctx *c, wf_tensor *x, bool down)
{
    const double attr[] = {down};
    return wf_op_call(c, WF_OP_ID_argsort, &x, 1, attr, 1);
}

wf_status wfi_topk_infer(wf_ctx *c, wf_op_args *a)
{
    WF_TRY(wfi_check_rows(c, a));
    WF_TRY(wfi_check_int_attr(c, a, 0, 0, wf_dim(a->in[0], -1)));
    a->shape[0] = wf_get_shape(a->in[0]);
    a->shape[0].dims[a->shape[0].rank - 1] = wfi_int(a, 0);
    a->shape[1] = a->shape[0];
    a->dtype[0] = wf_get_dtype(a->in[0]);
    a->dtype[1] = WF_DTYPE_I64;
    return WF_OK;
}

wf_status wfi_topk_forward(wf_ctx *c, wf_op_args *a)
{
    wfi_values values = wfi_open(a->out[0]), ids = wfi_open(a->out[1]);
    return sort_rows(c, a, wfi_int(a, 0), true, &values, &ids);
}

wf_tensor *wf_topk(wf_ctx *c, wf_tensor *x, int64_t k, wf_tensor **ids)
{
    wf_tensor *out[WF_OP_MAX_OUT] = {0};
    const double attr[] = {(double)k};
    wf_op_call_multi(c, WF_OP_ID_topk, &x, 1, attr, 1, out);
    *ids = out[1];
    return out[0];
}
