/*
 * step_pndm.c - pseudo numerical methods: PNDM with its Runge-Kutta start or without, and IPNDM.
 *
 * Source: Liu et al., arXiv:2202.09778, eq. 9 to 12; Zhang and Chen, arXiv:2204.13902 (ipndm).
 */
#include "core/sample/sample_impl.h"

enum { RUNGE_KUTTA_CALLS = 12 };

/* The mean of past answers that extrapolates to the next, of as many as there are (Adams and
 * Bashforth). */
static wf_tensor *extrapolate(wf_ctx *c, const wf_run *r)
{
    static const double weights[4][4] = {{1.0},
                                         {1.5, -0.5},
                                         {23 / 12.0, -16 / 12.0, 5 / 12.0},
                                         {55 / 24.0, -59 / 24.0, 37 / 24.0, -9 / 24.0}};
    const int n = r->n_history < 4 ? r->n_history : 4;
    return wfs_mix(c, n, weights[n - 1], r->history);
}

/* ---- PNDM ---- */

/* Runge-Kutta takes the first three steps in four calls each, at times half a step apart. */
static int plan_runge_kutta(const double *t, double half, double *out)
{
    static const int step_of[] = {0, 0, 0, 1, 1, 1,
                                  1, 2, 2, 2, 2, 3}; /* from the newest of the last four */
    static const bool is_half[] = {0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0};
    for (int i = 0; i < RUNGE_KUTTA_CALLS; i++)
        out[i] = is_half[i] ? t[step_of[i] + 1] + half : t[step_of[i]];
    return RUNGE_KUTTA_CALLS;
}

static wf_status plan_pndm(wf_ctx *c, const wf_sampler *s, int steps, wfs_plan *p)
{
    const double half = (double)(s->config.train_steps / steps / 2);
    double *t = p->extra;                 /* the steps' own times, from the last down */
    const int n = wfs_space_times(s, steps, 0, true, s->config.train_steps, t);
    p->n = 0;
    if (s->config.skip_prk) {
        for (int i = 0; i < n; i++) {
            p->t[p->n++] = t[i];
            if (i == 1) p->t[p->n++] = t[i];
        }
        return wf_get_status(c);
    }
    if (n < 4)
        return wf_fail_status(
            c, WF_EARG, "sampler: PNDM with its Runge-Kutta start needs 4 steps or more, got %d",
            n);
    p->n = plan_runge_kutta(t, half, p->t);
    for (int i = 3; i < n; i++) p->t[p->n++] = t[i];
    return wf_get_status(c);
}

/* Liu et al., eq. 11: the latent at prev from x at t, given eps (or v). */
static wf_tensor *transfer(wf_ctx *c, const wf_run *r, wf_tensor *x, double t, double prev,
                           wf_tensor *out)
{
    const wfs_config *k = &r->s->config;
    const double end = k->alpha_to_one ? 1.0 : (double)r->s->alpha_bar[0];
    const double a = wfs_alpha_bar(r, t, end), b = wfs_alpha_bar(r, prev, end);
    wf_tensor *eps = wfs_to_eps(c, k->prediction, x, out, sqrt(a), sqrt(1.0 - a));
    return WFS_MIX2(c, sqrt(b / a), x, -(b - a) / (a * sqrt(1.0 - b) + sqrt(a * (1.0 - a) * b)),
                    eps);
}

/* Calls 0 ... 11, four a step, whose answers are averaged with weights 1/6, 1/3, 1/3, 1/6. */
static wf_tensor *step_runge_kutta(wf_ctx *c, wf_run *r, wf_tensor *out)
{
    static const double weight[] = {1 / 6.0, 1 / 3.0, 1 / 3.0, 1 / 6.0};
    const int q = r->n_done % 4;
    const double t = r->plan.t[r->n_done / 4 * 4];
    const double back = r->n_done % 2 ? 0.0 : (double)(r->s->config.train_steps / r->o.steps / 2);
    const double prev = r->plan.t[r->i] - back;
    if (q == 0) {
        wfs_push(c, r, out, 4);
        wfs_set_tensor(c, &r->saved, r->x);
    }
    wfs_set_tensor(c, &r->sum, WFS_MIX2(c, 1.0, q ? r->sum : NULL, weight[q], out));
    if (wf_has_failed(c)) return NULL;
    return transfer(c, r, r->saved, t, prev, q == 3 ? r->sum : out);
}

/* The first step is taken twice: its second call, at the same time, corrects it by the mean of
 * both. */
static wf_tensor *step_linear(wf_ctx *c, wf_run *r, wf_tensor *out)
{
    const double back = (double)(r->s->config.train_steps / r->o.steps), t = r->plan.t[r->i];
    const bool corrects = r->n_done == 1 && r->s->config.skip_prk;
    if (!corrects) wfs_push(c, r, out, 4);
    if (corrects) {
        wf_tensor *mean = WFS_MIX2(c, 0.5, out, 0.5, r->history[0]);
        wf_tensor *x = transfer(c, r, r->saved, t + back, t, mean);
        wfs_set_tensor(c, &r->saved, NULL);
        return x;
    }
    if (r->n_done == 0) wfs_set_tensor(c, &r->saved, r->x);
    return transfer(c, r, r->x, t, t - back, extrapolate(c, r));
}

static wf_tensor *step_pndm(wf_ctx *c, wf_run *r, wf_tensor *out, wf_tensor **x0)
{
    const bool is_start = !r->s->config.skip_prk && r->n_done < RUNGE_KUTTA_CALLS;
    const double ab = wfs_alpha_bar(r, r->plan.t[r->i], 1.0);
    *x0 = wfs_to_x0(c, r->s->config.prediction, r->x, out, sqrt(ab), sqrt(1.0 - ab));
    return is_start ? step_runge_kutta(c, r, out) : step_linear(c, r, out);
}

const wfs_method wfs_pndm = {.name = "PNDMScheduler",
                             .predictions = 1u << WFS_EPSILON | 1u << WFS_V,
                             .keys =
                                 "skip_prk_steps set_alpha_to_one timestep_spacing steps_offset",
                             .plan = plan_pndm,
                             .step = step_pndm};

/* ---- IPNDM: times 1 ... 0 with beta = sin^2(pi t / 2), alpha = sqrt(1 - beta^2) ---- */

static wf_status plan_ipndm(wf_ctx *c, const wf_sampler *s, int steps, wfs_plan *p)
{
    (void)s;
    double *alpha = p->extra;
    for (int i = 0; i <= steps; i++) {
        const double x = sin((i < steps ? 1.0 - (double)i / steps : 0.0) * M_PI / 2.0);
        p->sigma[i] = x * x;
        alpha[i] = sqrt(1.0 - p->sigma[i] * p->sigma[i]);
        if (i < steps) p->t[i] = atan2(p->sigma[i], alpha[i]) / M_PI * 2.0;
    }
    p->n = steps;
    return wf_get_status(c);
}

static wf_tensor *step_ipndm(wf_ctx *c, wf_run *r, wf_tensor *out, wf_tensor **x0)
{
    const double *beta = r->plan.sigma + r->i, *alpha = r->plan.extra + r->i;
    wfs_push(c, r, WFS_MIX2(c, beta[0], r->x, alpha[0], out), 4);
    if (wf_has_failed(c)) return NULL;
    wf_tensor *eps = extrapolate(c, r);
    const double a = fmax(alpha[0], 1e-8);
    *x0 = WFS_MIX2(c, 1.0 / a, r->x, -beta[0] / a, eps);
    return WFS_MIX2(c, alpha[1], *x0, beta[1], eps);
}

const wfs_method wfs_ipndm = {.name = "IPNDMScheduler",
                              .predictions = 1u << WFS_EPSILON,
                              .keys = "",
                              .plan = plan_ipndm,
                              .step = step_ipndm};
