/* op_loss.c - cross entropy and mean squared error: one value. */
#include "core/tensor/op_impl.h"

#include <math.h>

/* ---- cross entropy: logits [...,V], ids [...] ---- */

static wf_status check_logits(wf_ctx *c, const wf_op_args *a)
{
    char t0[180], t1[180];
    WF_TRY(wfi_check_float(c, a, 0));
    WF_TRY(wfi_check_ids(c, a, 1));
    WF_TRY(wfi_check_int_attr(c, a, 0, -(INT64_C(1) << 52), INT64_C(1) << 52));
    wf_shape rows = wf_get_shape(a->in[0]);
    const wf_shape ids = wf_get_shape(a->in[1]);
    rows.rank--;
    if (rows.rank >= 0 && wf_shape_is_same(&rows, &ids)) return WF_OK;
    return wf_fail_status(c, WF_ESHAPE, "%s: logits are %s, ids %s: wants one id a row",
                          a->op->name, wf_tensor_text(a->in[0], t0, sizeof t0),
                          wf_tensor_text(a->in[1], t1, sizeof t1));
}

wf_status wfi_cross_entropy_infer(wf_ctx *c, wf_op_args *a) { return check_logits(c, a); }

/* Row's id, -1 for an ignored row; an id outside the vocabulary fails. */
static int64_t target_of(wf_ctx *c, const wf_op_args *a, const wfi_values *ids, int64_t r,
                         int64_t V)
{
    const int64_t id = (int64_t)wfi_get(ids, r);
    if (id == wfi_int(a, 0)) return -1;
    if (id < 0 || id >= V)
        wf_fail(c, WF_EARG, "%s: id %lld is outside 0 ... %lld", a->op->name, (long long)id,
                (long long)V - 1);
    return id;
}

static double log_sum_exp(const wfi_values *x, int64_t first, int64_t n)
{
    const double top = wfi_row_max(x, first, n);
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++) sum += exp(wfi_get(x, first + i) - top);
    return top + log(sum);
}

wf_status wfi_cross_entropy_forward(wf_ctx *c, wf_op_args *a)
{
    const wfi_values x = wfi_open(a->in[0]), ids = wfi_open(a->in[1]);
    wfi_values y = wfi_open(a->out[0]);
    const int64_t V = x.dims[x.rank - 1];
    double sum = 0.0;
    int64_t n = 0;
    for (int64_t r = 0; r < ids.n; r++) {
        const int64_t id = target_of(c, a, &ids, r, V);
        if (wf_has_failed(c)) return wf_get_status(c);
        if (id < 0) continue;
        sum += log_sum_exp(&x, r * V, V) - wfi_get(&x, r * V + id);
        n++;
    }
    wfi_put(&y, 0, sum / (double)n);             /* no row at all: NaN, as in PyTorch */
    return WF_OK;
}

void wfi_cross_entropy_backward(wf_ctx *c, wf_grad_args *g)
{
    wf_tensor *in[] = {g->in[0], g->in[1], g->dy[0]};
    if (g->need[0]) g->dx[0] = wf_op_call(c, WF_OP_ID_cross_entropy_dx, in, 3, g->attr, g->n_attr);
}

wf_tensor *wf_cross_entropy(wf_ctx *c, wf_tensor *logits, wf_tensor *ids, int64_t ignore)
{
    wf_tensor *in[] = {logits, ids};
    const double attr[] = {(double)ignore};
    return wf_op_call(c, WF_OP_ID_cross_entropy, in, 2, attr, 1);
}

wf_status wfi_cross_entropy_dx_infer(wf_ctx *c, wf_op_args *a)
{
    WF_TRY(check_logits(c, a));
    if (wf_numel(a->in[2]) != 1)
        return wf_fail_status(c, WF_ESHAPE, "cross_entropy_dx: dy is not one value");
    a->shape[0] = wf_get_shape(a->in[0]);
    return WF_OK;
}

/* (softmax(x) - onehot) dy / n */
wf_status wfi_cross_entropy_dx_forward(wf_ctx *c, wf_op_args *a)
{
    const wfi_values x = wfi_open(a->in[0]), ids = wfi_open(a->in[1]), dy = wfi_open(a->in[2]);
    wfi_values dx = wfi_open(a->out[0]);
    const int64_t V = x.dims[x.rank - 1];
    int64_t n = 0;
    for (int64_t r = 0; r < ids.n; r++) n += (int64_t)wfi_get(&ids, r) != wfi_int(a, 0);
    const double k = wfi_get(&dy, 0) / (double)n;
    for (int64_t r = 0; r < ids.n; r++) {
        const int64_t id = target_of(c, a, &ids, r, V);
        if (wf_has_failed(c)) return wf_get_status(c);
        const double l = id < 0 ? 0.0 : log_sum_exp(&x, r * V, V);
        for (int64_t i = 0; i < V; i++) {
            const double p = id < 0 ? 0.0 : exp(wfi_get(&x, r * V + i) - l) - (i == id);
            wfi_put(&dx, r * V + i, p * k);
        }
    }
    return WF_OK;
}

/* ---- mean squared error ---- */

wf_status wfi_mse_infer(wf_ctx *c, wf_op_args *a)
{
    WF_TRY(wfi_check_float(c, a, 0));
    return wfi_check_same(c, a, 1, 0);
}

wf_status wfi_mse_forward(wf_ctx *c, wf_op_args *p)
{
    (void)c;
    const wfi_values a = wfi_open(p->in[0]), b = wfi_open(p->in[1]);
    wfi_values y = wfi_open(p->out[0]);
    double sum = 0.0;
    for (int64_t i = 0; i < a.n; i++) {
        const double d = wfi_get(&a, i) - wfi_get(&b, i);
        sum += d * d;
    }
    wfi_put(&y, 0, sum / (double)a.n);
    return WF_OK;
}

/* 2 (a - b) dy / n */
void wfi_mse_backward(wf_ctx *c, wf_grad_args *g)
{
    const double k = 2.0 / (double)wf_numel(g->in[0]);
    wf_tensor *d = wf_mul(c, wf_sub(c, g->in[0], g->in[1]), wf_scale(c, g->dy[0], k));
    if (g->need[0]) g->dx[0] = d;
    if (g->need[1]) g->dx[1] = wf_neg(c, d);
}

wf_tensor *wf_mse(wf_ctx *c, wf_tensor *a, wf_tensor *b)
{
    wf_tensor *in[] = {a, b};
    return wf_op_call(c, WF_OP_ID_mse, in, 2, NULL, 0);
}
