/* stft.c - the short-time Fourier transform and its adjoint by kissfft, for windows of 2^a 3^b 5^c.
 */
#include "kernels/cpu/kern.h"

#include <kiss_fftr.h>
#include <string.h>

enum { FRAMES = 32 };                   /* in one part */

wf_status WF_K(stft)(wf_ctx *c, wf_op_args *a);
wf_status WF_K(stft_dx)(wf_ctx *c, wf_op_args *a);

typedef struct spectra {
    const float *window;
    const float *in;
    float *out;
    char *own;                          /* of each worker: a plan, then a frame and a spectrum */
    size_t plan_bytes, own_bytes;
    int64_t S, T, F, n, hop, parts;     /* parts: of one row */
} spectra;

/* Other factors would have kissfft allocate in its inner loop. */
static bool is_smooth(int64_t n)
{
    if (n < 4 || n > 1 << 20 || n % 2) return false;
    for (int p = 2; p <= 5; p++)
        while (n % p == 0) n /= p;
    return n == 1;
}

static kiss_fftr_cfg plan_of(const spectra *j, int worker)
{
    return (kiss_fftr_cfg)(void *)(j->own + (size_t)worker * j->own_bytes);
}

static float *frame_of(const spectra *j, int worker)
{
    return (float *)(void *)(j->own + (size_t)worker * j->own_bytes + j->plan_bytes);
}

static bool make_plans(wf_ctx *c, spectra *j, int inverse)
{
    size_t bytes = 0;
    kiss_fftr_alloc((int)j->n, inverse, NULL, &bytes);
    j->plan_bytes = (bytes + 63) / 64 * 64;
    j->own_bytes = (j->plan_bytes + (size_t)(j->n + 2 * j->F) * sizeof(float) + 63) / 64 * 64;
    j->own = scratch_alloc(c, count_workers(c), j->own_bytes);
    for (int w = 0; j->own && w < count_workers(c); w++) {
        size_t room = j->plan_bytes;
        if (!kiss_fftr_alloc((int)j->n, inverse, plan_of(j, w), &room)) return false;
    }
    return j->own != NULL;
}

/* ---- forward ---- */

static void transform_part(void *arg, int64_t part, int worker)
{
    const spectra *j = arg;
    const int64_t row = part / j->parts, first = part % j->parts * FRAMES;
    float *frame = frame_of(j, worker);
    for (int64_t t = first; t < min_i(j->T, first + FRAMES); t++) {
        const float *x = j->in + row * j->S + t * j->hop;
        for (int64_t k = 0; k < j->n; k++) frame[k] = j->window[k] * x[k];
        kiss_fftr(plan_of(j, worker), frame,
                  (kiss_fft_cpx *)(void *)(j->out + 2 * (row * j->T + t) * j->F));
    }
}

wf_status WF_K(stft)(wf_ctx *c, wf_op_args *a)
{
    wf_tensor *y = a->out[0];
    spectra j = {.in = floats(a->in[0]), .window = floats(a->in[1]), .out = wf_data(y),
                 .S = wf_dim(a->in[0], 1), .T = wf_dim(y, 1), .F = wf_dim(y, 2),
                 .n = wf_dim(a->in[1], 0), .hop = (int64_t)a->attr[0]};
    if (!all_f32(a) || !is_smooth(j.n)) return WF_ESKIP;
    if (!make_plans(c, &j, 0)) {
        scratch_free(c, j.own);
        return wf_fail_status(c, WF_ENOMEM, "stft: no memory for its plans");
    }
    j.parts = div_up(j.T, FRAMES);
    run_parts(c, wf_dim(y, 0) * j.parts, (double)wf_numel(y) * 8.0, transform_part, &j);
    scratch_free(c, j.own);
    return WF_OK;
}

/* ---- adjoint ---- */

/* One row; frames overlap, so it is one part. The inverse transform counts the bins between the
 * first and the last twice, once for their mirror images: they are halved. */
static void add_row(void *arg, int64_t row, int worker)
{
    const spectra *j = arg;
    float *frame = frame_of(j, worker), *bins = frame + j->n, *dx = j->out + row * j->S;
    memset(dx, 0, (size_t)j->S * sizeof *dx);
    for (int64_t t = 0; t < j->T; t++) {
        const float *dy = j->in + 2 * (row * j->T + t) * j->F;
        for (int64_t f = 0; f < 2 * j->F; f++) bins[f] = 0.5f * dy[f];
        bins[0] = dy[0];
        bins[2 * j->F - 2] = dy[2 * j->F - 2];
        bins[1] = bins[2 * j->F - 1] = 0.0f;
        kiss_fftri(plan_of(j, worker), (const kiss_fft_cpx *)(void *)bins, frame);
        for (int64_t k = 0; k < j->n; k++) dx[t * j->hop + k] += j->window[k] * frame[k];
    }
}

wf_status WF_K(stft_dx)(wf_ctx *c, wf_op_args *a)
{
    wf_tensor *dx = a->out[0];
    spectra j = {.in = floats(a->in[0]), .window = floats(a->in[1]), .out = wf_data(dx),
                 .S = wf_dim(dx, 1), .T = wf_dim(a->in[0], 1), .F = wf_dim(a->in[0], 2),
                 .n = wf_dim(a->in[1], 0), .hop = (int64_t)a->attr[0]};
    if (!all_f32(a) || !is_smooth(j.n)) return WF_ESKIP;
    if (!make_plans(c, &j, 1)) {
        scratch_free(c, j.own);
        return wf_fail_status(c, WF_ENOMEM, "stft_dx: no memory for its plans");
    }
    run_parts(c, wf_dim(dx, 0), (double)wf_numel(a->in[0]) * 8.0, add_row, &j);
    scratch_free(c, j.own);
    return WF_OK;
}
