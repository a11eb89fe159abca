/*
 * op_softmax.c - softmax and its logarithm over the last dim.
 *
 * The largest value of a row is taken off first. A row of -inf has no weights: softmax gives zeros
 * there, log_softmax -inf. NaN stays NaN.
 */
#include "core/tensor/op_impl.h"

#include <math.h>

static wf_status check_rows(wf_ctx *c, wf_op_args *a)
{
    WF_TRY(wfi_check_float(c, a, 0));
    WF_TRY(wfi_check_rows(c, a));
    a->shape[0] = wf_get_shape(a->in[0]);
    return WF_OK;
}

double wfi_row_max(const wfi_values *x, int64_t first, int64_t n)
{
    double m = -INFINITY;
    for (int64_t i = 0; i < n; i++) {
        const double v = wfi_get(x, first + i);
        if (v > m || isnan(v)) m = v;
    }
    return m;
}

/* sum exp(x - m) */
static double row_sum(const wfi_values *x, int64_t first, int64_t n, double m)
{
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++) sum += exp(wfi_get(x, first + i) - m);
    return sum;
}

wf_status wfi_softmax_infer(wf_ctx *c, wf_op_args *a) { return check_rows(c, a); }

wf_status wfi_softmax_forward(wf_ctx *c, wf_op_args *a)
{
    (void)c;
    const wfi_values x = wfi_open(a->in[0]);
    wfi_values y = wfi_open(a->out[0]);
    const int64_t C = wf_dim(a->in[0], -1);
    for (int64_t first = 0; first < y.n; first += C) {
        const double m = wfi_row_max(&x, first, C);
        const bool blind = m == -INFINITY;
        const double sum = blind ? 1.0 : row_sum(&x, first, C, m);
        for (int64_t i = first; i < first + C; i++)
            wfi_put(&y, i, blind ? 0.0 : exp(wfi_get(&x, i) - m) / sum);
    }
    return WF_OK;
}

void wfi_softmax_backward(wf_ctx *c, wf_grad_args *g)
{
    wf_tensor *in[] = {g->out[0], g->dy[0]};
    g->dx[0] = wf_op_call(c, WF_OP_ID_softmax_dx, in, 2, NULL, 0);
}

wf_status wfi_softmax_dx_infer(wf_ctx *c, wf_op_args *a)
{
    WF_TRY(check_rows(c, a));
    WF_TRY(wfi_check_float(c, a, 1));
    return wfi_check_same(c, a, 1, 0);
}

/* dx = y (dy - sum y dy) */
wf_status wfi_softmax_dx_forward(wf_ctx *c, wf_op_args *a)
{
    (void)c;
    const wfi_values y = wfi_open(a->in[0]), dy = wfi_open(a->in[1]);
    wfi_values dx = wfi_open(a->out[0]);
    const int64_t C = wf_dim(a->in[0], -1);
    for (int64_t first = 0; first < dx.n; first += C) {
        const double sum = wfi_dot(&y, first, 1, &dy, first, 1, C);
        for (int64_t i = first; i < first + C; i++)
            wfi_put(&dx, i, wfi_get(&y, i) * (wfi_get(&dy, i) - sum));
    }
    return WF_OK;
}

wf_tensor *wf_softmax(wf_ctx *c, wf_tensor *x)
{
    return wf_op_call(c, WF_OP_ID_softmax, &x, 1, NULL, 0);
}

wf_status wfi_log_softmax_infer(wf_ctx *c, wf_op_args *a) { return check_rows(c, a); }

wf_status wfi_log_softmax_forward(wf_ctx *c, wf_op_args *a)
{
    (void)c;
    const wfi_values x = wfi_open(a->in[0]);
    wfi_values y = wfi_open(a->out[0]);
    const int64_t C = wf_dim(a->in[0], -1);
    for (int64_t first = 0; first < y.n; first += C) {
        const double m = wfi_row_max(&x, first, C);
        const bool blind = m == -INFINITY;
        const double log_sum = blind ? 0.0 : m + log(row_sum(&x, first, C, m));
        for (int64_t i = first; i < first + C; i++) wfi_put(&y, i, wfi_get(&x, i) - log_sum);
    }
    return WF_OK;
}

/* dx = dy - softmax(x) sum dy */
void wfi_log_softmax_backward(wf_ctx *c, wf_grad_args *g)
{
    wf_tensor *sum = wf_sum(c, g->dy[0], 1, (int[]){-1}, true);
    g->dx[0] = wf_sub(c, g->dy[0], wf_mul(c, wf_exp(c, g->out[0]), sum));
}

wf_tensor *wf_log_softmax(wf_ctx *c, wf_tensor *x)
{
    return wf_op_call(c, WF_OP_ID_log_softmax, &x, 1, NULL, 0);
}
