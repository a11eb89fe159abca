/* spectrum.c - windows, inverse transforms and Griffin-Lim, composed of ops. */
#include "core/media/spectrum.h"

#include <math.h>

#include "core/base/rng.h"
#include "core/tensor/ops.h"

static const double TWO_PI = 6.283185307179586476925286766559;

/* [n] f32 with the value fn(arg, i) at i. */
static wf_tensor *make_row(wf_ctx *c, int64_t n, double (*fn)(const int64_t *arg, int64_t i),
                           const int64_t *arg)
{
    if (wf_has_failed(c)) return NULL;
    const wf_shape s = {.rank = 1, .dims = {n}};
    float *v = wf_mem_alloc(wf_ctx_get_mem(c), (size_t)n * sizeof *v);
    if (!v) return wf_fail(c, WF_ENOMEM, "spectrum: no memory for a window");
    for (int64_t i = 0; i < n; i++) v[i] = (float)fn(arg, i);
    wf_tensor *t = wf_from_host(c, WF_DTYPE_F32, &s, v);
    wf_mem_free(wf_ctx_get_mem(c), v);
    return t;
}

static double hann_at(const int64_t *steps, int64_t i)
{
    return 0.5 - 0.5 * cos(TWO_PI * (double)i / (double)*steps);
}

wf_tensor *wf_hann(wf_ctx *c, int64_t n, bool periodic)
{
    const int64_t steps = periodic ? n : n - 1;
    if (n < 2 || n > WF_MAX_FFT) return wf_fail(c, WF_EARG, "window of %lld samples", (long long)n);
    return make_row(c, n, hann_at, &steps);
}

/* ---- inverse ---- */

/* The inverse transform over half a spectrum counts inner bins twice: see wf_stft_dx, which does
 * not. */
static double bin_weight(const int64_t *n_fft, int64_t f)
{
    return (f == 0 || 2 * f == *n_fft ? 1.0 : 2.0) / (double)*n_fft;
}

static wf_status check_spectrum(wf_ctx *c, const wf_tensor *x, int rank, const wf_tensor *window,
                                int64_t hop)
{
    char text[160];
    if (wf_has_failed(c)) return wf_get_status(c);
    if (wf_is_dead(x) || wf_is_dead(window))
        return wf_fail_status(c, WF_EDEAD, "istft: a tensor's scope has closed");
    const int64_t n = wf_rank(window) == 1 ? wf_dim(window, 0) : 0;
    if (n < 2 || wf_rank(x) != rank || wf_dim(x, 2) != n / 2 + 1 || wf_dim(x, 1) < 2)
        return wf_fail_status(
            c, WF_ESHAPE, "istft: %s is no spectrum of two or more frames under a window of %lld",
            wf_tensor_text(x, text, sizeof text), (long long)n);
    if (hop >= 1 && hop <= n / 2) return WF_OK;
    return wf_fail_status(c, WF_EARG, "istft: hop of %lld, must be in 1..%lld", (long long)hop,
                          (long long)(n / 2));
}

/* 1 over the sum of squared windows at every sample that comes out, [samples]. */
static wf_tensor *envelope(wf_ctx *c, wf_tensor *window, int64_t T, int64_t hop, int64_t samples)
{
    const int64_t n = wf_dim(window, 0), all = (T - 1) * hop + n;
    float *v = wf_mem_alloc(wf_ctx_get_mem(c), (size_t)(n + all) * sizeof *v);
    if (!v) return wf_fail(c, WF_ENOMEM, "istft: no memory for its envelope");
    float *sum = v + n, least = INFINITY;
    for (int64_t i = 0; i < all; i++) sum[i] = 0;
    if (wf_to_f32(c, window, v, n) == WF_OK)
        for (int64_t i = 0; i < T * n; i++) sum[i / n * hop + i % n] += v[i % n] * v[i % n];
    for (int64_t i = n / 2; i < n / 2 + samples; i++) {
        least = fminf(least, sum[i]);
        sum[i] = 1.0f / sum[i];
    }
    wf_tensor *t = NULL;
    const wf_shape s = {.rank = 1, .dims = {samples}};
    if (!(least > 1e-11f))
        wf_fail(c, WF_EARG, "istft: at hop %lld some samples lie under no window", (long long)hop);
    else t = wf_from_host(c, WF_DTYPE_F32, &s, sum + n / 2);
    wf_mem_free(wf_ctx_get_mem(c), v);
    return t;
}

/* What every inverse of one shape shares. */
typedef struct inverse {
    wf_tensor *window, *weight, *envelope;      /* [n] [F,1] [samples] */
    int64_t n, hop, all, samples;               /* all: with the padding */
} inverse;

static inverse make_inverse(wf_ctx *c, wf_tensor *window, int64_t T, int64_t hop)
{
    inverse v = {.window = window, .n = wf_dim(window, 0), .hop = hop, .samples = (T - 1) * hop};
    v.all = v.samples + v.n;
    v.weight = wf_reshape2(c, make_row(c, v.n / 2 + 1, bin_weight, &v.n), -1, 1);
    v.envelope = envelope(c, window, T, hop, v.samples);
    return v;
}

static wf_tensor *invert(wf_ctx *c, wf_tensor *X, const inverse *v)
{
    wf_tensor *y = wf_stft_dx(c, wf_mul(c, X, v->weight), v->window, v->hop, v->all);
    return wf_mul(c, wf_slice(c, y, 1, v->n / 2, v->samples, 1), v->envelope);
}

wf_tensor *wf_istft(wf_ctx *c, wf_tensor *X, wf_tensor *window, int64_t hop)
{
    if (check_spectrum(c, X, 4, window, hop) != WF_OK) return NULL;
    wf_scope *s = wf_scope_open_on(c, X);
    const inverse v = make_inverse(c, window, wf_dim(X, 1), hop);
    return wf_scope_close(c, s, invert(c, X, &v));
}

/* ---- Griffin-Lim ---- */

/* z / |z| */
static wf_tensor *phases(wf_ctx *c, wf_tensor *z)
{
    wf_tensor *size = wf_sqrt(c, wf_sum(c, wf_square(c, z), 1, (int[]){-1}, true));
    return wf_div(c, z, wf_affine(c, size, 1, 1e-16));
}

/* Complex values of size 1, [B,T,F,2]: 1, or of any angle. */
static wf_tensor *first_phases(wf_ctx *c, wf_tensor *magnitude, const wf_griffin_lim *o)
{
    wf_shape s = wf_get_shape(magnitude);
    s.rank = 4;
    s.dims[3] = 2;
    if (o->random) return phases(c, wf_randn(c, &s, o->seed, 0, WF_RNG_INIT));
    s.dims[3] = 1;
    wf_tensor *parts[] = {wf_full(c, WF_DTYPE_F32, &s, 1), wf_zeros(c, WF_DTYPE_F32, &s)};
    return wf_concat(c, parts, 2, 3);
}

wf_tensor *wf_griffin_lim_run(wf_ctx *c, wf_tensor *magnitude, wf_tensor *window,
                              const wf_griffin_lim *o)
{
    if (check_spectrum(c, magnitude, 3, window, o->hop) != WF_OK) return NULL;
    const int64_t half = wf_dim(window, 0) / 2;
    if (!(o->momentum >= 0 && o->momentum < 1) || o->n_iters < 0 ||
        half >= (wf_dim(magnitude, 1) - 1) * o->hop)
        return wf_fail(c, WF_EARG, "griffin-lim: momentum %g, %lld steps, %lld frames", o->momentum,
                       (long long)o->n_iters, (long long)wf_dim(magnitude, 1));
    const double keep = o->momentum / (1 + o->momentum);
    wf_scope *all = wf_scope_open_on(c, magnitude);
    const inverse v = make_inverse(c, window, wf_dim(magnitude, 1), o->hop);
    wf_tensor *angle = first_phases(c, magnitude, o), *last = wf_scale(c, angle, 0);
    magnitude = wf_unsqueeze(c, magnitude, 3);
    for (int64_t i = 0; i < o->n_iters && !wf_has_failed(c); i++) {
        wf_scope *step = wf_scope_open(c);
        wf_tensor *y = invert(c, wf_mul(c, magnitude, angle), &v);
        y = wf_pad(c, y, (int64_t[]){0, 0, half, half}, WF_PAD_REFLECT, 0);
        wf_tensor *z = wf_stft(c, y, window, o->hop);
        wf_copy_into(c, angle, phases(c, wf_sub(c, z, wf_scale(c, last, keep))));
        wf_copy_into(c, last, z);
        wf_scope_close(c, step, NULL);
    }
    return wf_scope_close(c, all, invert(c, wf_mul(c, magnitude, angle), &v));
}

wf_tensor *wf_mel_invert(wf_ctx *c, wf_tensor *mel, wf_tensor *bank, int64_t n_iters)
{
    char text[160];
    if (wf_has_failed(c)) return NULL;
    if (wf_is_dead(mel) || wf_is_dead(bank))
        return wf_fail(c, WF_EDEAD, "mel_invert: a tensor's scope has closed");
    if (wf_rank(bank) != 2 || wf_rank(mel) != 3 || wf_dim(mel, 2) != wf_dim(bank, 0) || n_iters < 0)
        return wf_fail(c, WF_ESHAPE, "mel_invert: %s does not fit the bank",
                       wf_tensor_text(mel, text, sizeof text));
    wf_scope *all = wf_scope_open(c);
    wf_tensor *back = wf_matmul(c, mel, bank, false, false), *s = wf_copy(c, back);
    for (int64_t i = 0; i < n_iters && !wf_has_failed(c); i++) {
        wf_scope *step = wf_scope_open(c);
        wf_tensor *again = wf_matmul(c, wf_linear(c, s, bank, NULL), bank, false, false);
        wf_copy_into(c, s, wf_mul(c, s, wf_div(c, back, wf_clamp(c, again, 1e-30, INFINITY))));
        wf_scope_close(c, step, NULL);
    }
    return wf_scope_close(c, all, s);
}
