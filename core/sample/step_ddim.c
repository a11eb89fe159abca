/*
 * step_ddim.c - samplers that step from time to time on alpha_bar: DDIM, DDPM, TCD, LCM, unCLIP's.
 *
 *   x_t = sqrt(ab_t) x0 + sqrt(1 - ab_t) eps
 *
 * Source: Song et al., arXiv:2010.02502 (eq. 12, 16); Ho et al., arXiv:2006.11239 (eq. 7);
 *         Luo et al., arXiv:2310.04378 (LCM); Zheng et al., arXiv:2402.19159 (TCD).
 */
#include "core/sample/sample_impl.h"

static wf_status plan_times(wf_ctx *c, const wf_sampler *s, int steps, wfs_plan *p)
{
    p->n = wfs_space_times(s, steps, 0, true, s->config.train_steps, p->t);
    return wf_get_status(c);
}

/* The time after the ith of the plan, negative at the end. */
static double next_time(const wf_run *r)
{
    return r->i + 1 < r->plan.n ? r->plan.t[r->i + 1] : -1.0;
}

/* x0 of this call's answer, clipped when the config says so. */
static wf_tensor *predict_x0(wf_ctx *c, const wf_run *r, wf_tensor *out, double ab)
{
    const wfs_config *k = &r->s->config;
    return wfs_clip_x0(c, k, wfs_to_x0(c, k->prediction, r->x, out, sqrt(ab), sqrt(1.0 - ab)));
}

/* ---- DDIM ---- */

static wf_tensor *step_ddim(wf_ctx *c, wf_run *r, wf_tensor *out, wf_tensor **x0)
{
    const wfs_config *k = &r->s->config;
    const double t = r->plan.t[r->i], back = (double)(k->train_steps / r->o.steps);
    const double ab = wfs_alpha_bar(r, t, 1.0);
    const double end = k->alpha_to_one ? 1.0 : (double)r->s->alpha_bar[0],
                 prev = wfs_alpha_bar(r, t - back, end);
    const double eta = isnan(r->o.eta) ? 0.0 : r->o.eta;
    const double deviation = eta * sqrt((1.0 - prev) / (1.0 - ab) * (1.0 - ab / prev));
    *x0 = predict_x0(c, r, out, ab);
    wf_tensor *eps = r->o.use_clipped
        ? WFS_MIX2(c, 1.0 / sqrt(1.0 - ab), r->x, -sqrt(ab / (1.0 - ab)), *x0)
        : wfs_to_eps(c, k->prediction, r->x, out, sqrt(ab), sqrt(1.0 - ab));
    const double direction = sqrt(fmax(1.0 - prev - deviation * deviation, 0.0));
    return WFS_MIX3(c, sqrt(prev), *x0, direction, eps, deviation,
                    eta > 0.0 ? wfs_draw(c, r) : NULL);
}

const wfs_method wfs_ddim = {.name = "DDIMScheduler",
                             .predictions = 1u << WFS_EPSILON | 1u << WFS_V | 1u << WFS_SAMPLE,
                             .keys = "clip_sample clip_sample_range set_alpha_to_one steps_offset "
                                     "thresholding dynamic_thresholding_ratio "
                                     "sample_max_value timestep_spacing rescale_betas_zero_snr",
                             .plan = plan_times,
                             .step = step_ddim};

/* ---- DDPM ---- */

static double ddpm_variance(const wfs_config *k, double ab, double prev)
{
    const double beta = 1.0 - ab / prev, small = fmax((1.0 - prev) / (1.0 - ab) * beta, 1e-20);
    return k->variance == WFS_LARGE ? beta : small;
}

static wf_tensor *step_ddpm(wf_ctx *c, wf_run *r, wf_tensor *out, wf_tensor **x0)
{
    const double t = r->plan.t[r->i], ab = wfs_alpha_bar(r, t, 1.0),
                 prev = wfs_alpha_bar(r, next_time(r), 1.0);
    const double alpha = ab / prev, beta = 1.0 - alpha;
    *x0 = predict_x0(c, r, out, ab);
    return WFS_MIX3(c, sqrt(prev) * beta / (1.0 - ab), *x0, sqrt(alpha) * (1.0 - prev) / (1.0 - ab),
                    r->x, sqrt(ddpm_variance(&r->s->config, ab, prev)),
                    t > 0.0 ? wfs_draw(c, r) : NULL);
}

const wfs_method wfs_ddpm = {.name = "DDPMScheduler",
                             .predictions = 1u << WFS_EPSILON | 1u << WFS_V | 1u << WFS_SAMPLE,
                             .keys = "variance_type clip_sample clip_sample_range thresholding "
                                     "dynamic_thresholding_ratio sample_max_value "
                                     "timestep_spacing steps_offset rescale_betas_zero_snr",
                             .plan = plan_times,
                             .step = step_ddpm};

/* ---- unCLIP's: DDPM whose times run from the last to 0 inclusive ---- */

static wf_status plan_unclip(wf_ctx *c, const wf_sampler *s, int steps, wfs_plan *p)
{
    p->n = steps;
    for (int i = 0; i < steps; i++)
        p->t[i] =
            steps > 1
                ? rint((double)(steps - 1 - i) * (double)(s->config.train_steps - 1) / (steps - 1))
                : 0.0;
    return wf_get_status(c);
}

/* The reference steps back one training time whatever the spacing, unless the pipeline names the
 * next. */
static wf_tensor *step_unclip(wf_ctx *c, wf_run *r, wf_tensor *out, wf_tensor **x0)
{
    const double t = r->plan.t[r->i], ab = wfs_alpha_bar(r, t, 1.0),
                 prev = wfs_alpha_bar(r, t - 1.0, 1.0);
    const double beta = (double)r->s->beta[(int64_t)t];
    *x0 = predict_x0(c, r, out, ab);
    return WFS_MIX3(
        c, sqrt(prev) * beta / (1.0 - ab), *x0, sqrt(1.0 - beta) * (1.0 - prev) / (1.0 - ab), r->x,
        sqrt(fmax((1.0 - prev) / (1.0 - ab) * beta, 1e-20)), t > 0.0 ? wfs_draw(c, r) : NULL);
}

const wfs_method wfs_unclip = {.name = "UnCLIPScheduler",
                               .predictions = 1u << WFS_EPSILON | 1u << WFS_SAMPLE,
                               .keys = "variance_type clip_sample clip_sample_range",
                               .plan = plan_unclip,
                               .step = step_unclip};

/* ---- consistency models ---- */

/* Of the times that a consistency model was distilled on, as many as there are steps, evenly. */
static wf_status plan_distilled(wf_ctx *c, const wf_sampler *s, int steps, wfs_plan *p)
{
    const int64_t origin = s->config.original_steps, k = s->config.train_steps / origin;
    if (steps > origin)
        return wf_fail_status(c, WF_EARG, "sampler: %d steps, but the model was distilled on %lld "
                                          "(original_inference_steps)", steps, (long long)origin);
    p->n = steps;
    for (int i = 0; i < steps; i++)
        p->t[i] = (double)((origin - (int64_t)floor((double)i * (double)origin / steps)) * k - 1);
    return wf_get_status(c);
}

static wf_tensor *step_lcm(wf_ctx *c, wf_run *r, wf_tensor *out, wf_tensor **x0)
{
    const bool is_last = r->i + 1 == r->plan.n;
    const double t = r->plan.t[r->i], ab = wfs_alpha_bar(r, t, 1.0);
    const double next = wfs_alpha_bar(r, is_last ? t : next_time(r), 1.0);
    const double data = 0.5, scaled = t * r->s->config.timestep_scaling,
                 d2 = scaled * scaled + data * data;
    *x0 = WFS_MIX2(c, scaled / sqrt(d2), predict_x0(c, r, out, ab), data * data / d2, r->x);
    return is_last ? *x0 : WFS_MIX2(c, sqrt(next), *x0, sqrt(1.0 - next), wfs_draw(c, r));
}

const wfs_method wfs_lcm = {.name = "LCMScheduler",
                            .predictions = 1u << WFS_EPSILON | 1u << WFS_V | 1u << WFS_SAMPLE,
                            .keys = "original_inference_steps clip_sample clip_sample_range "
                                    "set_alpha_to_one steps_offset thresholding "
                                    "dynamic_thresholding_ratio sample_max_value timestep_spacing "
                                    "timestep_scaling rescale_betas_zero_snr",
                            .plan = plan_distilled,
                            .step = step_lcm};

static wf_tensor *step_tcd(wf_ctx *c, wf_run *r, wf_tensor *out, wf_tensor **x0)
{
    const wfs_config *k = &r->s->config;
    const bool is_last = r->i + 1 == r->plan.n;
    const double eta = isnan(r->o.eta) ? 0.3 : r->o.eta, next_t = is_last ? 0.0 : next_time(r);
    const double ab = wfs_alpha_bar(r, r->plan.t[r->i], 1.0), next = wfs_alpha_bar(r, next_t, 1.0);
    const double at = wfs_alpha_bar(r, floor((1.0 - eta) * next_t), 1.0);
    *x0 = wfs_to_x0(c, k->prediction, r->x, out, sqrt(ab), sqrt(1.0 - ab));
    wf_tensor *eps = wfs_to_eps(c, k->prediction, r->x, out, sqrt(ab), sqrt(1.0 - ab));
    wf_tensor *y = WFS_MIX2(c, sqrt(at), *x0, sqrt(1.0 - at), eps);
    if (eta <= 0.0 || is_last) return y;
    return WFS_MIX2(c, sqrt(next / at), y, sqrt(1.0 - next / at), wfs_draw(c, r));
}

const wfs_method wfs_tcd = {.name = "TCDScheduler",
                            .predictions = 1u << WFS_EPSILON | 1u << WFS_V | 1u << WFS_SAMPLE,
                            .keys = "original_inference_steps clip_sample clip_sample_range "
                                    "set_alpha_to_one steps_offset thresholding "
                                    "dynamic_thresholding_ratio sample_max_value timestep_spacing "
                                    "timestep_scaling rescale_betas_zero_snr",
                            .plan = plan_distilled,
                            .step = step_tcd};
