/*
 * resample.c - band-limited interpolation.
 *
 * With both rates divided by their common divisor, output m lies at input position m from / to. Its
 * value is the sum over inputs i of x[i] h(i - m from / to), where for a distance d in input
 * samples
 *
 *   h(d) = b / from sinc(pi t) cos(pi t / 12)^2,   t = d b / from within -6..6,  b = 0.99 min(from,
 * to)
 *
 * There are `to` different sets of weights, one a phase. Sums are in double precision, so that
 * every rate pair stays within the rounding of f32 of the reference. Source: torchaudio 2.11,
 * functional._get_sinc_resample_kernel.
 */
#include "core/media/resample.h"

#include <math.h>

#include "core/tensor/ops.h"

enum { MAX_RATE_HZ = 768000, CROSSINGS = 6, PART = 4096 };

static const double PI = 3.14159265358979323846, ROLLOFF = 0.99;

typedef struct plan {
    const float *x;                     /* [S,C] */
    float *y;                           /* [N,C] */
    double *weight;                     /* [phases, taps] */
    int64_t S, N, C, from, to;
    int64_t reach, taps;                /* inputs from floor(m from / to) - reach on */
} plan;

static int64_t common_divisor(int64_t a, int64_t b)
{
    while (b) {
        const int64_t r = a % b;
        a = b;
        b = r;
    }
    return a;
}

/* Weights of one phase: outputs at phase / to behind an input sample. */
static void fill_phase(plan *p, int64_t phase)
{
    const double base = ROLLOFF * (double)(p->from < p->to ? p->from : p->to);
    const double scale = base / (double)p->from;
    const double at = (double)(phase * p->from % p->to) / (double)p->to;
    double *w = p->weight + phase * p->taps;
    for (int64_t k = 0; k < p->taps; k++) {
        const double t = ((double)(k - p->reach) - at) * scale,
                     fade = cos(PI * t / (2 * CROSSINGS));
        const double sinc = t == 0 ? 1 : sin(PI * t) / (PI * t);
        w[k] = fabs(t) < CROSSINGS ? scale * sinc * fade * fade : 0;
    }
}

static void fill_part(void *arg, int64_t part, int worker)
{
    plan *p = arg;
    (void)worker;
    for (int64_t phase = part * PART; phase < p->to && phase < (part + 1) * PART; phase++)
        fill_phase(p, phase);
}

static void sum_part(void *arg, int64_t part, int worker)
{
    const plan *p = arg;
    (void)worker;
    for (int64_t m = part * PART; m < p->N && m < (part + 1) * PART; m++) {
        const int64_t phase = m % p->to;
        const int64_t start = m / p->to * p->from + phase * p->from / p->to - p->reach;
        const double *w = p->weight + phase * p->taps;
        const int64_t lo = start < 0 ? -start : 0;
        const int64_t hi = start + p->taps > p->S ? p->S - start : p->taps;
        for (int64_t ch = 0; ch < p->C; ch++) {
            double sum = 0;
            for (int64_t k = lo; k < hi; k++) sum += w[k] * (double)p->x[(start + k) * p->C + ch];
            p->y[m * p->C + ch] = (float)sum;
        }
    }
}

static void run_plan(wf_ctx *c, plan *p)
{
    wf_pool *pool = wf_ctx_get_pool(c);
    wf_pool_run(pool, (p->to + PART - 1) / PART, fill_part, p);
    wf_pool_run(pool, (p->N + PART - 1) / PART, sum_part, p);
}

static wf_status check_resample(wf_ctx *c, const wf_tensor *x, int64_t from_hz, int64_t to_hz)
{
    if (wf_has_failed(c)) return wf_get_status(c);
    if (wf_is_dead(x)) return wf_fail_status(c, WF_EDEAD, "resample: the sound's scope has closed");
    char text[160];
    if (wf_rank(x) != 2 || wf_dim(x, 1) < 1)
        return wf_fail_status(c, WF_ESHAPE, "resample: %s is not a sound [S,C]",
                              wf_tensor_text(x, text, sizeof text));
    if (from_hz < 1 || to_hz < 1 || from_hz > MAX_RATE_HZ || to_hz > MAX_RATE_HZ)
        return wf_fail_status(c, WF_EARG, "resample: from %lld to %lld Hz, must be in 1..%d",
                              (long long)from_hz, (long long)to_hz, MAX_RATE_HZ);
    if (wf_numel(x) > INT64_C(1) << 40 || wf_numel(x) / from_hz > (INT64_C(1) << 40) / to_hz)
        return wf_fail_status(c, WF_EARG, "resample: %lld samples are too many",
                              (long long)wf_dim(x, 0));
    return WF_OK;
}

wf_tensor *wf_resample(wf_ctx *c, wf_tensor *x, int64_t from_hz, int64_t to_hz)
{
    if (check_resample(c, x, from_hz, to_hz) != WF_OK) return NULL;
    if (from_hz == to_hz) return wf_cast(c, x, WF_DTYPE_F32);
    const int64_t divisor = common_divisor(from_hz, to_hz);
    plan p = {
        .S = wf_dim(x, 0), .C = wf_dim(x, 1), .from = from_hz / divisor, .to = to_hz / divisor};
    const int64_t less = p.from < p.to ? p.from : p.to;
    p.N = (p.S * p.to + p.from - 1) / p.from;
    p.reach = (int64_t)ceil(CROSSINGS * (double)p.from / (ROLLOFF * (double)less));
    p.taps = 2 * p.reach + 2;

    wf_mem *mem = wf_ctx_get_mem(c);
    const size_t n_in = (size_t)(p.S * p.C), n_out = (size_t)(p.N * p.C);
    float *values = wf_mem_alloc(mem, (n_in + n_out) * sizeof *values + 1);
    p.weight = wf_mem_alloc(mem, (size_t)(p.to * p.taps) * sizeof *p.weight);
    wf_tensor *y = NULL;
    if (!values || !p.weight)
        wf_fail(c, WF_ENOMEM, "resample: no memory for %lld samples", (long long)p.N);
    else if (wf_to_f32(c, x, values, (int64_t)n_in) == WF_OK) {
        p.x = values;
        p.y = values + n_in;
        run_plan(c, &p);
        const wf_shape s = {.rank = 2, .dims = {p.N, p.C}};
        y = wf_from_host(c, WF_DTYPE_F32, &s, p.y);
    }
    wf_mem_free(mem, p.weight);
    wf_mem_free(mem, values);
    return wf_to_device(c, y, wf_get_device(x));
}
