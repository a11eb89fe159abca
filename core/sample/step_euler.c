/*
 * step_euler.c - samplers over sigmas, x = x0 + sigma eps: Euler, its ancestral form, Heun, DPM2,
 * LMS.
 *
 * The slope is d = (x - x0) / sigma; the model sees x / sqrt(sigma^2 + 1).
 * Source: Karras et al., arXiv:2206.00364, algorithms 1 and 2; k-diffusion sampling.py.
 */
#include "core/sample/sample_impl.h"

#define EPSILON_V (1u << WFS_EPSILON | 1u << WFS_V)
#define COMMON "timestep_spacing steps_offset "

/* x0 of out, which answers at x with this sigma. */
static wf_tensor *predict_x0_at(wf_ctx *c, const wf_run *r, wf_tensor *x, wf_tensor *out,
                                double sigma)
{
    const double s2 = sigma * sigma + 1.0;
    const wfs_prediction p = r->s->config.prediction;
    wf_tensor *x0 = p == WFS_V ? WFS_MIX2(c, 1.0 / s2, x, -sigma / sqrt(s2), out)
                               : wfs_to_x0(c, p, x, out, 1.0, sigma);
    return wfs_clip_x0(c, &r->s->config, x0);
}

static wf_tensor *predict_x0(wf_ctx *c, const wf_run *r, wf_tensor *out, double sigma)
{
    return predict_x0_at(c, r, r->x, out, sigma);
}

static wf_tensor *slope(wf_ctx *c, wf_tensor *x, wf_tensor *x0, double sigma)
{
    return WFS_MIX2(c, 1.0 / sigma, x, -1.0 / sigma, x0);
}

static wf_status plan_spaced(wf_ctx *c, const wf_sampler *s, int steps, wfs_plan *p)
{
    return wfs_plan_sigmas(c, s, steps, 0, false, p);
}

/* ---- Euler ---- */

static wf_status plan_euler(wf_ctx *c, const wf_sampler *s, int steps, wfs_plan *p)
{
    WF_TRY(plan_spaced(c, s, steps, p));
    for (int i = 0; s->config.is_continuous && i < p->n; i++) p->t[i] = 0.25 * log(p->sigma[i]);
    return WF_OK;
}

static wf_tensor *step_euler(wf_ctx *c, wf_run *r, wf_tensor *out, wf_tensor **x0)
{
    const double sigma = r->plan.sigma[r->i], next = r->plan.sigma[r->i + 1];
    const bool churns = r->o.s_churn > 0.0 && sigma >= r->o.s_tmin && sigma <= r->o.s_tmax;
    const double gamma = churns ? fmin(r->o.s_churn / (r->plan.n_sigmas - 1), M_SQRT2 - 1.0) : 0.0;
    const double hat = sigma * (gamma + 1.0);
    wf_tensor *x = r->x;
    if (gamma > 0.0)
        x = WFS_MIX2(c, 1.0, x, r->o.s_noise * sqrt(hat * hat - sigma * sigma), wfs_draw(c, r));
    /* the model answered before the noise; the reference raises sigma for epsilon alone */
    *x0 = predict_x0_at(c, r, x, out, r->s->config.prediction == WFS_EPSILON ? hat : sigma);
    return WFS_MIX2(c, 1.0, x, next - hat, slope(c, x, *x0, hat));
}

const wfs_method wfs_euler = {
    .name = "EulerDiscreteScheduler",
    .predictions = EPSILON_V | 1u << WFS_SAMPLE,
    .scales_input = true,
    .walks_sigmas = true,
    .keys = COMMON "interpolation_type use_karras_sigmas use_exponential_sigmas use_beta_sigmas "
                   "sigma_min sigma_max "
                   "timestep_type rescale_betas_zero_snr final_sigmas_type sigma_schedule",
    .plan = plan_euler,
    .step = step_euler};

/* ---- ancestral: a smaller step down, and new noise up to the next sigma ---- */

static double sigma_up(double sigma, double next)
{
    return sqrt(next * next * (sigma * sigma - next * next) / (sigma * sigma));
}

static wf_tensor *step_euler_a(wf_ctx *c, wf_run *r, wf_tensor *out, wf_tensor **x0)
{
    const double sigma = r->plan.sigma[r->i], next = r->plan.sigma[r->i + 1],
                 up = sigma_up(sigma, next);
    *x0 = predict_x0(c, r, out, sigma);
    return WFS_MIX3(c, 1.0, r->x, sqrt(next * next - up * up) - sigma, slope(c, r->x, *x0, sigma),
                    up, wfs_draw(c, r));
}

const wfs_method wfs_euler_a = {.name = "EulerAncestralDiscreteScheduler",
                                .predictions = EPSILON_V,
                                .scales_input = true,
                                .walks_sigmas = true,
                                .keys = COMMON
                                "rescale_betas_zero_snr sigma_schedule use_karras_sigmas "
                                "use_exponential_sigmas use_beta_sigmas",
                                .plan = plan_spaced,
                                .step = step_euler_a};

/* ---- two calls a step ---- */

/* The first time and sigma stand for one call, those between for two, the end for one. */
wf_status wfs_double_calls(wf_ctx *c, wfs_plan *p)
{
    const int n = p->n;
    const double end = p->sigma[n];
    for (int i = n - 1; i > 0; i--) {
        p->sigma[2 * i] = p->sigma[2 * i - 1] = p->sigma[i];
        p->t[2 * i] = p->t[2 * i - 1] = p->t[i];
    }
    p->sigma[2 * n - 1] = end;
    p->n = 2 * n - 1;
    p->n_sigmas = 2 * n;
    p->order = 2;
    return wf_get_status(c);
}

static wf_status plan_heun(wf_ctx *c, const wf_sampler *s, int steps, wfs_plan *p)
{
    WF_TRY(plan_spaced(c, s, steps, p));
    return wfs_double_calls(c, p);
}

wf_tensor *wfs_step_heun(wf_ctx *c, wf_run *r, wf_tensor *out, wf_tensor **x0)
{
    const bool is_first = !r->saved;
    const double *sigma = r->plan.sigma + r->i - (is_first ? 0 : 1), dt = sigma[1] - sigma[0];
    *x0 = predict_x0(c, r, out, sigma[is_first ? 0 : 1]);
    wf_tensor *d = slope(c, r->x, *x0, sigma[is_first ? 0 : 1]), *x = r->x;
    if (is_first) {
        wfs_set_tensor(c, &r->saved, x);
        wfs_push(c, r, d, 1);
        return WFS_MIX2(c, 1.0, x, dt, d);
    }
    x = WFS_MIX3(c, 1.0, r->saved, 0.5 * dt, r->history[0], 0.5 * dt, d);
    wfs_set_tensor(c, &r->saved, NULL);
    return x;
}

const wfs_method wfs_heun = {
    .name = "HeunDiscreteScheduler",
    .predictions = EPSILON_V | 1u << WFS_SAMPLE,
    .scales_input = true,
    .walks_sigmas = true,
    .keys = COMMON
    "use_karras_sigmas use_exponential_sigmas use_beta_sigmas clip_sample clip_sample_range "
    "sigma_schedule",
    .plan = plan_heun,
    .step = wfs_step_heun};

/* DPM2: the second call is made between two sigmas. extra[i]: the sigma of call i. */
static wf_status plan_midpoints(wf_ctx *c, const wf_sampler *s, int steps, bool is_ancestral,
                                wfs_plan *p)
{
    WF_TRY(plan_spaced(c, s, steps, p));
    const int n = p->n;
    double *mid = p->extra;
    for (int i = 0; i < n - 1; i++) {
        const double sigma = p->sigma[i], next = p->sigma[i + 1],
                     up = is_ancestral ? sigma_up(sigma, next) : 0.0;
        mid[i] = (double)(float)sqrt(sigma * sqrt(next * next - up * up));
    }
    for (int i = n - 1; i > 0; i--) {
        p->t[2 * i] = p->t[i];
        p->t[2 * i - 1] = wfs_sigma_time(s, mid[i - 1]);
    }
    p->n = 2 * n - 1;
    p->order = 2;
    return WF_OK;
}

static wf_status plan_dpm2(wf_ctx *c, const wf_sampler *s, int steps, wfs_plan *p)
{
    return plan_midpoints(c, s, steps, false, p);
}

static wf_status plan_dpm2_a(wf_ctx *c, const wf_sampler *s, int steps, wfs_plan *p)
{
    return plan_midpoints(c, s, steps, true, p);
}

/* Sigmas here are those of whole steps: step k has calls 2k and 2k + 1. */
static wf_tensor *step_midpoint(wf_ctx *c, wf_run *r, wf_tensor *out, wf_tensor **x0,
                                bool is_ancestral)
{
    const bool is_first = r->i % 2 == 0;
    const int k = r->i / 2;
    const bool is_last = k == r->plan.n_sigmas - 2;
    const double sigma = r->plan.sigma[k], next = r->plan.sigma[k + 1],
                 mid = is_last ? 0.0 : r->plan.extra[k];
    const double up = is_ancestral ? sigma_up(sigma, next) : 0.0;
    *x0 = predict_x0(c, r, out, is_first ? sigma : mid);
    wf_tensor *d = slope(c, r->x, *x0, is_first ? sigma : mid);
    if (is_first) {
        wfs_set_tensor(c, &r->saved, r->x);
        return WFS_MIX2(c, 1.0, r->x, mid - sigma, d);
    }
    wf_tensor *x = WFS_MIX3(c, 1.0, r->saved, sqrt(next * next - up * up) - sigma, d, up,
                            is_ancestral ? wfs_draw(c, r) : NULL);
    wfs_set_tensor(c, &r->saved, NULL);
    return x;
}

static wf_tensor *step_dpm2(wf_ctx *c, wf_run *r, wf_tensor *out, wf_tensor **x0)
{
    return step_midpoint(c, r, out, x0, false);
}

static wf_tensor *step_dpm2_a(wf_ctx *c, wf_run *r, wf_tensor *out, wf_tensor **x0)
{
    return step_midpoint(c, r, out, x0, true);
}

#define DPM2_KEYS COMMON "use_karras_sigmas use_exponential_sigmas use_beta_sigmas sigma_schedule"

const wfs_method wfs_dpm2 = {.name = "KDPM2DiscreteScheduler",
                             .predictions = EPSILON_V,
                             .scales_input = true,
                             .walks_sigmas = true,
                             .keys = DPM2_KEYS,
                             .plan = plan_dpm2,
                             .step = step_dpm2};

const wfs_method wfs_dpm2_a = {.name = "KDPM2AncestralDiscreteScheduler",
                               .predictions = EPSILON_V,
                               .scales_input = true,
                               .walks_sigmas = true,
                               .keys = DPM2_KEYS,
                               .plan = plan_dpm2_a,
                               .step = step_dpm2_a};

/* ---- linear multistep ---- */

/* The integral from sigma[i] to sigma[i + 1] of the polynomial that is 1 at sigma[i - which] and 0
 * at the others of the order; exact, by Gauss and Legendre's four points. */
static double lms_weight(const double *sigma, int i, int order, int which)
{
    static const double at[] = {-0.8611363115940526, -0.3399810435848563, 0.3399810435848563,
                                0.8611363115940526};
    static const double weight[] = {0.3478548451374538, 0.6521451548625461, 0.6521451548625461,
                                    0.3478548451374538};
    const double half = 0.5 * (sigma[i + 1] - sigma[i]), mid = 0.5 * (sigma[i + 1] + sigma[i]);
    double sum = 0.0;
    for (int p = 0; p < 4; p++) {
        double v = 1.0;
        for (int k = 0; k < order; k++)
            if (k != which)
                v *= (mid + half * at[p] - sigma[i - k]) / (sigma[i - which] - sigma[i - k]);
        sum += weight[p] * v;
    }
    return sum * half;
}

static wf_tensor *step_lms(wf_ctx *c, wf_run *r, wf_tensor *out, wf_tensor **x0)
{
    enum { MOST = 4 };
    const int want = r->o.order > 0 && r->o.order < MOST ? r->o.order : MOST;
    const int order = r->i + 1 < want ? r->i + 1 : want;
    double k[MOST + 1] = {1.0};
    wf_tensor *t[MOST + 1] = {r->x};
    *x0 = predict_x0(c, r, out, r->plan.sigma[r->i]);
    wfs_push(c, r, slope(c, r->x, *x0, r->plan.sigma[r->i]), want);
    for (int i = 0; i < order && i < r->n_history; i++) {
        k[i + 1] = lms_weight(r->plan.sigma, r->i, order, i);
        t[i + 1] = r->history[i];
    }
    return wfs_mix(c, order + 1, k, t);
}

const wfs_method wfs_lms = {
    .name = "LMSDiscreteScheduler",
    .predictions = EPSILON_V | 1u << WFS_SAMPLE,
    .scales_input = true,
    .walks_sigmas = true,
    .keys = COMMON "use_karras_sigmas use_exponential_sigmas use_beta_sigmas sigma_schedule",
    .plan = plan_spaced,
    .step = step_lms};
