/*
 * op_pad.c - values around a tensor: constant, reflected or the nearest.
 */
#include "core/tensor/op_impl.h"
#include "core/tensor/tensor_impl.h"

#include <math.h>
#include <string.h>

static wf_status check_pads(wf_ctx *c, const wf_op_args *a, int first)
{
    const int rank = wf_rank(a->in[0]);
    WF_TRY(wfi_check_int_attr(c, a, 0, WF_PAD_CONSTANT, WF_PAD_REPLICATE));
    if (a->n_attr - first != 2 * rank)
        return wf_fail_status(c, WF_EARG, "%s: %d pads, wants %d: before and after of each dim",
                              a->op->name, a->n_attr - first, 2 * rank);
    for (int i = first; i < a->n_attr; i++) WF_TRY(wfi_check_int_attr(c, a, i, 0, INT32_MAX));
    return WF_OK;
}

wf_status wfi_pad_infer(wf_ctx *c, wf_op_args *a)
{
    char text[180];
    WF_TRY(check_pads(c, a, 2));
    a->dtype[0] = a->in[0]->dtype;
    a->shape[0] = a->in[0]->shape;
    const int mode = (int)a->attr[0];
    for (int i = 0; i < a->shape[0].rank; i++) {
        const int64_t n = wf_dim(a->in[0], i), before = wfi_int(a, 2 + 2 * i),
                      after = wfi_int(a, 3 + 2 * i);
        a->shape[0].dims[i] += before + after;
        if (before + after == 0 || mode == WF_PAD_CONSTANT) continue;
        if (n < 1 || (mode == WF_PAD_REFLECT && (before >= n || after >= n)))
            return wf_fail_status(
                c, WF_ESHAPE, "pad: %lld and %lld values beside %s cannot be mirrored",
                (long long)before, (long long)after, wf_tensor_text(a->in[0], text, sizeof text));
    }
    return WF_OK;
}

/* Where position i of the padded dim reads from, -1: nowhere. */
static int64_t pad_source(int64_t i, int64_t before, int64_t n, int mode)
{
    const int64_t p = i - before;
    if (p >= 0 && p < n) return p;
    if (mode == WF_PAD_CONSTANT) return -1;
    if (mode == WF_PAD_REPLICATE) return p < 0 ? 0 : n - 1;
    return p < 0 ? -p : 2 * (n - 1) - p;
}

/* Source position in the small tensor of value i of the padded one, -1 for a constant. */
static int64_t pad_from(const wfi_values *small, const wfi_values *big, const double *pads,
                        int mode, int64_t i)
{
    int64_t at = 0;
    for (int d = big->rank - 1; d >= 0; d--) {
        const int64_t p = pad_source(i % big->dims[d], (int64_t)pads[2 * d], small->dims[d], mode);
        if (p < 0) return -1;
        at += p * small->strides[d];
        i /= big->dims[d];
    }
    return at;
}

wf_status wfi_pad_forward(wf_ctx *c, wf_op_args *a)
{
    (void)c;
    wfi_values x = wfi_open(a->in[0]), y = wfi_open(a->out[0]);
    for (int64_t i = 0; i < y.n; i++) {
        const int64_t p = pad_from(&x, &y, a->attr + 2, (int)a->attr[0], i);
        wfi_put(&y, i, p < 0 ? a->attr[1] : wfi_get(&x, p));
    }
    return WF_OK;
}

void wfi_pad_backward(wf_ctx *c, wf_grad_args *g)
{
    double attr[WF_OP_MAX_ATTR] = {g->attr[0]};
    memcpy(attr + 1, g->attr + 2, (size_t)(g->n_attr - 2) * sizeof *attr);
    g->dx[0] = wf_op_call(c, WF_OP_ID_pad_dx, &g->dy[0], 1, attr, g->n_attr - 1);
}

wf_tensor *wf_pad(wf_ctx *c, wf_tensor *x, const int64_t *pads, wf_pad_mode mode, double value)
{
    double attr[WF_OP_MAX_ATTR] = {mode, value};
    for (int i = 0; i < 2 * wf_rank(x); i++) attr[2 + i] = (double)pads[i];
    return wf_op_call(c, WF_OP_ID_pad, &x, 1, attr, 2 + 2 * wf_rank(x));
}

wf_status wfi_pad_dx_infer(wf_ctx *c, wf_op_args *a)
{
    WF_TRY(wfi_check_float(c, a, 0));
    WF_TRY(check_pads(c, a, 1));
    a->shape[0] = a->in[0]->shape;
    for (int i = 0; i < a->shape[0].rank; i++) {
        a->shape[0].dims[i] -= wfi_int(a, 1 + 2 * i) + wfi_int(a, 2 + 2 * i);
        if (a->shape[0].dims[i] < 0)
            return wf_fail_status(c, WF_ESHAPE, "pad_dx: more padding than values");
    }
    return WF_OK;
}

wf_status wfi_pad_dx_forward(wf_ctx *c, wf_op_args *a)
{
    wfi_values dy = wfi_open(a->in[0]), dx = wfi_open(a->out[0]);
    double *sum = wf_mem_calloc(c->mem, (size_t)(dx.n + 1) * sizeof *sum);
    if (!sum) return wf_fail_status(c, WF_ENOMEM, "pad_dx: no memory for the sums");
    for (int64_t i = 0; i < dy.n; i++) {
        const int64_t p = pad_from(&dx, &dy, a->attr + 1, (int)a->attr[0], i);
        if (p >= 0) sum[p] += wfi_get(&dy, i);
    }
    for (int64_t i = 0; i < dx.n; i++) wfi_put(&dx, i, sum[i]);
    wf_mem_free(c->mem, sum);
    return WF_OK;
}

void wfi_pad_dx_backward(wf_ctx *c, wf_grad_args *g)
{
    double attr[WF_OP_MAX_ATTR] = {g->attr[0], 0.0};
    memcpy(attr + 2, g->attr + 1, (size_t)(g->n_attr - 1) * sizeof *attr);
    g->dx[0] = wf_op_call(c, WF_OP_ID_pad, &g->dy[0], 1, attr, g->n_attr + 1);
}
