/*
 * op_stft.c - the short-time Fourier transform, by its definition, and its adjoint.
 *
 *   Y[t,f] = sum_n window[n] x[t hop + n] exp(-2 pi i f n / n_fft),   f = 0 ... n_fft / 2
 */
#include "core/tensor/op_impl.h"

#include <math.h>

static const double TWO_PI = 6.283185307179586476925286766559;

static wf_status check_hop(wf_ctx *c, const wf_op_args *a)
{
    WF_TRY(wfi_check_float(c, a, 0));
    WF_TRY(wfi_check_float(c, a, 1));
    WF_TRY(wfi_check_rank(c, a, 1, 1));
    return wfi_check_int_attr(c, a, 0, 1, INT32_MAX);
}

wf_status wfi_stft_infer(wf_ctx *c, wf_op_args *a)
{
    WF_TRY(check_hop(c, a));
    WF_TRY(wfi_check_rank(c, a, 0, 2));
    const int64_t n_fft = wf_dim(a->in[1], 0), S = wf_dim(a->in[0], 1);
    if (n_fft < 1 || S < n_fft)
        return wf_fail_status(c, WF_ESHAPE, "stft: %lld samples are fewer than the window's %lld",
                              (long long)S, (long long)n_fft);
    a->shape[0] = (wf_shape){
        .rank = 4,
        .dims = {wf_dim(a->in[0], 0), 1 + (S - n_fft) / wfi_int(a, 0), n_fft / 2 + 1, 2}};
    return WF_OK;
}

/* Cosines of 2 pi k / n for k of 0 .. n-1, then sines. */
static double *circle(wf_ctx *c, int64_t n)
{
    double *t = wf_mem_alloc(wf_ctx_get_mem(c), 2 * (size_t)n * sizeof *t);
    if (!t) return wf_fail(c, WF_ENOMEM, "stft: no memory for its tables");
    for (int64_t k = 0; k < n; k++) {
        t[k] = cos(TWO_PI * (double)k / (double)n);
        t[n + k] = sin(TWO_PI * (double)k / (double)n);
    }
    return t;
}

wf_status wfi_stft_forward(wf_ctx *c, wf_op_args *a)
{
    const wfi_values x = wfi_open(a->in[0]), w = wfi_open(a->in[1]);
    wfi_values y = wfi_open(a->out[0]);
    const int64_t n = w.n, S = x.dims[1], T = y.dims[1], F = y.dims[2], hop = wfi_int(a, 0);
    double *t = circle(c, n);
    if (!t) return wf_get_status(c);
    for (int64_t i = 0; i < y.dims[0] * T * F; i++) {
        const int64_t f = i % F, first = i / F / T * S + i / F % T * hop;
        double re = 0.0, im = 0.0;
        for (int64_t k = 0; k < n; k++) {
            const double v = wfi_get(&w, k) * wfi_get(&x, first + k);
            re += v * t[f * k % n];
            im -= v * t[n + f * k % n];
        }
        wfi_put(&y, 2 * i, re);
        wfi_put(&y, 2 * i + 1, im);
    }
    wf_mem_free(wf_ctx_get_mem(c), t);
    return WF_OK;
}

void wfi_stft_backward(wf_ctx *c, wf_grad_args *g)
{
    if (g->need[1]) wf_fail(c, WF_EGRAD, "stft has no gradient to its window");
    else g->dx[0] = wf_stft_dx(c, g->dy[0], g->in[1], (int64_t)g->attr[0], wf_dim(g->in[0], 1));
}

wf_tensor *wf_stft(wf_ctx *c, wf_tensor *x, wf_tensor *window, int64_t hop)
{
    wf_tensor *in[] = {x, window};
    const double attr[] = {(double)hop};
    return wf_op_call(c, WF_OP_ID_stft, in, 2, attr, 1);
}

wf_status wfi_stft_dx_infer(wf_ctx *c, wf_op_args *a)
{
    WF_TRY(check_hop(c, a));
    WF_TRY(wfi_check_rank(c, a, 0, 4));
    WF_TRY(wfi_check_int_attr(c, a, 1, 0, INT64_C(1) << 40));
    const int64_t n_fft = wf_dim(a->in[1], 0), S = wfi_int(a, 1), T = wf_dim(a->in[0], 1);
    if (wf_dim(a->in[0], 2) != n_fft / 2 + 1 || wf_dim(a->in[0], 3) != 2 ||
        (T - 1) * wfi_int(a, 0) + n_fft > S)
        return wf_fail_status(c, WF_ESHAPE, "stft_dx: dy, window of %lld and %lld samples disagree",
                              (long long)n_fft, (long long)S);
    a->shape[0] = (wf_shape){.rank = 2, .dims = {wf_dim(a->in[0], 0), S}};
    return WF_OK;
}

wf_status wfi_stft_dx_forward(wf_ctx *c, wf_op_args *a)
{
    const wfi_values dy = wfi_open(a->in[0]), w = wfi_open(a->in[1]);
    wfi_values dx = wfi_open(a->out[0]);
    const int64_t n = w.n, S = dx.dims[1], T = dy.dims[1], F = dy.dims[2], hop = wfi_int(a, 0);
    double *t = circle(c, n);
    if (!t) return wf_get_status(c);
    for (int64_t i = 0; i < dx.n; i++) wfi_put(&dx, i, 0.0);
    for (int64_t r = 0; r < dy.dims[0] * T; r++) {
        const int64_t first = r / T * S + r % T * hop;
        for (int64_t k = 0; k < n; k++) {
            double sum = 0.0;
            for (int64_t f = 0; f < F; f++)
                sum += wfi_get(&dy, 2 * (r * F + f)) * t[f * k % n] -
                       wfi_get(&dy, 2 * (r * F + f) + 1) * t[n + f * k % n];
            wfi_put(&dx, first + k, wfi_get(&dx, first + k) + wfi_get(&w, k) * sum);
        }
    }
    wf_mem_free(wf_ctx_get_mem(c), t);
    return WF_OK;
}

void wfi_stft_dx_backward(wf_ctx *c, wf_grad_args *g)
{
    if (g->need[1]) wf_fail(c, WF_EGRAD, "stft_dx has no gradient to its window");
    const int64_t hop = (int64_t)g->attr[0],
                  used = (wf_dim(g->in[0], 1) - 1) * hop + wf_dim(g->in[1], 0);
    g->dx[0] = wf_stft(c, wf_slice(c, g->dy[0], 1, 0, used, 1), g->in[1], hop);
}

wf_tensor *wf_stft_dx(wf_ctx *c, wf_tensor *dy, wf_tensor *window, int64_t hop, int64_t samples)
{
    wf_tensor *in[] = {dy, window};
    const double attr[] = {(double)hop, (double)samples};
    return wf_op_call(c, WF_OP_ID_stft_dx, in, 2, attr, 2);
}
