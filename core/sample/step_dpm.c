/*
 * step_dpm.c - DPM-Solver, DPM-Solver++ and their SDE forms, over several steps or single; DEIS.
 *
 * With lambda = log(alpha / sigma) and h its change over a step, one step is
 *
 *   x = cx x + a0 D0 + a1 D1 + a2 D2 + noise
 *
 * of the model's answers D0 (x0 for ++, eps otherwise) and their differences over lambda.
 * Source: Lu et al., arXiv:2206.00927 and 2211.01095; Zhang and Chen, arXiv:2204.13902 (DEIS).
 */
#include "core/sample/sample_impl.h"

#define SIGMA_KEYS                                                                         \
    "use_karras_sigmas use_exponential_sigmas use_beta_sigmas use_flow_sigmas flow_shift " \
    "use_dynamic_shifting time_shift_type "
#define SOLVER_KEYS                                                                     \
    SIGMA_KEYS "solver_order thresholding dynamic_thresholding_ratio sample_max_value " \
               "algorithm_type solver_type lower_order_final final_sigmas_type "        \
               "lambda_min_clipped variance_type "
#define ALL_PREDICTIONS (1u << WFS_EPSILON | 1u << WFS_V | 1u << WFS_SAMPLE | 1u << WFS_FLOW)

static bool solves_x0(const wfs_config *k)
{
    return k->algorithm == WFS_DPMPP || k->algorithm == WFS_SDE_DPMPP;
}
static bool is_sde(const wfs_config *k)
{
    return k->algorithm == WFS_SDE_DPMPP || k->algorithm == WFS_SDE_DPM;
}

/* What the solver works on: x0 or eps of this call's answer. */
static wf_tensor *convert(wf_ctx *c, const wf_run *r, wf_tensor *out, bool to_x0, wf_tensor **x0)
{
    const wfs_config *k = &r->s->config;
    const wfs_level l = wfs_level_at(r, r->i);
    *x0 = wfs_clip_x0(c, k, wfs_to_x0(c, k->prediction, r->x, out, l.a, l.s));
    if (to_x0) return *x0;
    return k->threshold ? wfs_to_eps(c, WFS_SAMPLE, r->x, *x0, l.a, l.s)
                        : wfs_to_eps(c, k->prediction, r->x, out, l.a, l.s);
}

/* ---- the coefficients of a step from level s to level t ---- */

typedef struct terms {
    double cx, a0, mid, heun, d2, noise;
} terms;

static terms terms_of(const wfs_config *k, wfs_level t, wfs_level s)
{
    const double h = t.lambda - s.lambda;
    terms m;
    double g, hh;
    if (solves_x0(k)) {
        const bool sde = k->algorithm == WFS_SDE_DPMPP;
        g = -t.a;
        hh = sde ? -2.0 * h : -h;
        m.cx = t.s / s.s * (sde ? exp(-h) : 1.0);
        m.noise = t.s * sqrt(-expm1(-2.0 * h));
    } else {
        g = k->algorithm == WFS_SDE_DPM ? -2.0 * t.s : -t.s;
        hh = h;
        m.cx = t.a / s.a;
        m.noise = t.s * sqrt(expm1(2.0 * h));
    }
    const double e = expm1(hh);
    m.a0 = g * e;
    m.mid = 0.5 * m.a0;
    m.heun = g * (e / hh - 1.0);
    /* the reference's SDE form has the other sign before its half */
    m.d2 = k->algorithm == WFS_SDE_DPMPP ? -g * ((hh - e) / (hh * hh) - 0.5)
                                         : g * ((e - hh) / (hh * hh) - 0.5);
    return m;
}

/* cx x + a0 D0 + a1 D1 + a2 D2 + noise, where D1 and D2 are mixtures of history by w1[] and w2[].
 */
static wf_tensor *combine(wf_ctx *c, wf_run *r, wf_tensor *x, const terms *m, int first, double a1,
                          const double w1[3], double a2, const double w2[3])
{
    double k[5] = {m->cx};
    wf_tensor *t[5] = {x};
    for (int i = 0; i < 3; i++) {
        k[i + 1] = (i == first ? m->a0 : 0.0) + (w1 ? a1 * w1[i] : 0.0) + (w2 ? a2 * w2[i] : 0.0);
        t[i + 1] = i < r->n_history ? r->history[i] : NULL;
    }
    k[4] = m->noise;
    t[4] = is_sde(&r->s->config) ? wfs_draw(c, r) : NULL;
    return wfs_mix(c, 5, k, t);
}

/* ---- multistep ---- */

static wf_tensor *multi_second(wf_ctx *c, wf_run *r)
{
    const wfs_config *k = &r->s->config;
    const wfs_level t = wfs_level_at(r, r->i + 1), s0 = wfs_level_at(r, r->i),
                    s1 = wfs_level_at(r, r->i - 1);
    const terms m = terms_of(k, t, s0);
    const double r0 = (s0.lambda - s1.lambda) / (t.lambda - s0.lambda);
    return combine(c, r, r->x, &m, 0, k->is_heun ? m.heun : m.mid,
                   (double[]){1.0 / r0, -1.0 / r0, 0.0}, 0.0, NULL);
}

static wf_tensor *multi_third(wf_ctx *c, wf_run *r)
{
    const wfs_level t = wfs_level_at(r, r->i + 1), s0 = wfs_level_at(r, r->i),
                    s1 = wfs_level_at(r, r->i - 1), s2 = wfs_level_at(r, r->i - 2);
    const terms m = terms_of(&r->s->config, t, s0);
    const double h = t.lambda - s0.lambda, r0 = (s0.lambda - s1.lambda) / h,
                 r1 = (s1.lambda - s2.lambda) / h;
    const double near[3] = {1.0 / r0, -1.0 / r0, 0.0}, far[3] = {0.0, 1.0 / r1, -1.0 / r1};
    double d1[3], d2[3];
    for (int i = 0; i < 3; i++) {
        d1[i] = near[i] + r0 / (r0 + r1) * (near[i] - far[i]);
        d2[i] = (near[i] - far[i]) / (r0 + r1);
    }
    return combine(c, r, r->x, &m, 0, m.heun, d1, m.d2, d2);
}

/* The order of this step: no more than the answers there are, less towards the end of a short run.
 */
static int order_now(const wf_run *r, bool is_first_at_end)
{
    const wfs_config *k = &r->s->config;
    const int left = r->plan.n - r->i;
    int order = k->order < r->n_done + 1 ? k->order : r->n_done + 1;
    if (k->lower_order_final && r->plan.n < 15 && order > left) order = left;
    return left == 1 && is_first_at_end ? 1 : order;
}

static wf_tensor *step_multi(wf_ctx *c, wf_run *r, wf_tensor *out, wf_tensor **x0)
{
    const wfs_config *k = &r->s->config;
    wfs_push(c, r, convert(c, r, out, solves_x0(k), x0), k->order);
    const int order = order_now(r, k->euler_at_final || !k->ends_at_sigma_min);
    if (order == 2) return multi_second(c, r);
    if (order == 3) return multi_third(c, r);
    const terms m = terms_of(k, wfs_level_at(r, r->i + 1), wfs_level_at(r, r->i));
    return combine(c, r, r->x, &m, 0, 0.0, NULL, 0.0, NULL);
}

static const char *refuse_solver(const wfs_config *k)
{
    if (!solves_x0(k) && !k->ends_at_sigma_min)
        return "\"algorithm_type\" without ++ cannot end at 0: set \"final_sigmas_type\" to "
               "sigma_min";
    if (k->algorithm == WFS_SDE_DPM && k->order == 3)
        return "\"sde-dpmsolver\" has no third order: use sde-dpmsolver++";
    if (!solves_x0(k) && k->prediction == WFS_FLOW)
        return "\"algorithm_type\" without ++ is not made for \"flow_prediction\"";
    return NULL;
}

static wf_status plan_solver(wf_ctx *c, const wf_sampler *s, int steps, wfs_plan *p)
{
    return wfs_plan_sigmas(c, s, steps, 1, true, p);
}

const wfs_method wfs_dpm_multi = {.name = "DPMSolverMultistepScheduler",
                                  .predictions = ALL_PREDICTIONS,
                                  .walks_sigmas = true,
                                  .keys = SOLVER_KEYS
                                  "euler_at_final use_lu_lambdas timestep_spacing steps_offset "
                                  "rescale_betas_zero_snr sigma_schedule",
                                  .refuse = refuse_solver,
                                  .plan = plan_solver,
                                  .step = step_multi};

/* ---- single step: blocks of 1, 2 and 3 calls, each from the block's beginning ---- */

/* The order of call i: blocks 1 2 3 (or 1 2), the last cut so that the run ends with a whole one.
 */
static int single_order(const wfs_config *k, int n, int i)
{
    const bool lowers = k->lower_order_final || n % k->order != 0 || !k->ends_at_sigma_min;
    int order = i % k->order + 1;
    if (lowers && k->order == 3 && n % 3 == 0 && i == n - 1) order = 1;
    if (lowers && k->order == 2 && n % 2 == 0 && i == n - 1) order = 1;
    return i == n - 1 && !k->ends_at_sigma_min ? 1 : order;
}

static wf_tensor *single_second(wf_ctx *c, wf_run *r)
{
    const wfs_config *k = &r->s->config;
    const wfs_level t = wfs_level_at(r, r->i + 1), s0 = wfs_level_at(r, r->i),
                    s1 = wfs_level_at(r, r->i - 1);
    const terms m = terms_of(k, t, s1);
    const double r0 = (s0.lambda - s1.lambda) / (t.lambda - s1.lambda);
    return combine(c, r, r->saved, &m, 1, k->is_heun ? m.heun : m.mid,
                   (double[]){1.0 / r0, -1.0 / r0, 0.0}, 0.0, NULL);
}

static wf_tensor *single_third(wf_ctx *c, wf_run *r)
{
    const wfs_config *k = &r->s->config;
    const wfs_level t = wfs_level_at(r, r->i + 1), s0 = wfs_level_at(r, r->i),
                    s1 = wfs_level_at(r, r->i - 1), s2 = wfs_level_at(r, r->i - 2);
    const terms m = terms_of(k, t, s2);
    const double h = t.lambda - s2.lambda, r0 = (s0.lambda - s2.lambda) / h,
                 r1 = (s1.lambda - s2.lambda) / h;
    const double mid[3] = {0.0, 1.0 / r1, -1.0 / r1}, end[3] = {1.0 / r0, 0.0, -1.0 / r0};
    double d1[3], d2[3];
    for (int i = 0; i < 3; i++) {
        d1[i] = k->is_heun ? (r0 * mid[i] - r1 * end[i]) / (r0 - r1) : end[i];
        d2[i] = 2.0 * (end[i] - mid[i]) / (r0 - r1);
    }
    return combine(c, r, r->saved, &m, 2, m.heun, d1, k->is_heun ? m.d2 : 0.0, d2);
}

static wf_tensor *step_single(wf_ctx *c, wf_run *r, wf_tensor *out, wf_tensor **x0)
{
    const wfs_config *k = &r->s->config;
    wfs_push(c, r, convert(c, r, out, solves_x0(k), x0), k->order);
    int order = single_order(k, r->plan.n, r->i);
    if (order > r->n_history) order = r->n_history;
    if (order == 1) wfs_set_tensor(c, &r->saved, r->x);
    if (wf_has_failed(c)) return NULL;
    if (order == 2) return single_second(c, r);
    if (order == 3) return single_third(c, r);
    const terms m = terms_of(k, wfs_level_at(r, r->i + 1), wfs_level_at(r, r->i));
    return combine(c, r, r->saved, &m, 0, 0.0, NULL, 0.0, NULL);
}

static const char *refuse_single(const wfs_config *k)
{
    if (k->algorithm == WFS_SDE_DPM)
        return "\"sde-dpmsolver\" is not made for single steps: use sde-dpmsolver++";
    return refuse_solver(k);
}

const wfs_method wfs_dpm_single = {.name = "DPMSolverSinglestepScheduler",
                                   .predictions = ALL_PREDICTIONS,
                                   .walks_sigmas = true,
                                   .keys = SOLVER_KEYS,
                                   .refuse = refuse_single,
                                   .plan = plan_solver,
                                   .step = step_single};

/* ---- DEIS: polynomials in log rho, rho = sigma / alpha, of past eps ---- */

/* Antiderivative of (log rho - log c) / (log b - log c). */
static double deis_two(double t, double b, double c)
{
    return t * (-log(c) + log(t) - 1.0) / (log(b) - log(c));
}

static double deis_three(double t, double b, double c, double d)
{
    const double lt = log(t), lc = log(c), ld = log(d);
    return t * (lc * (ld - lt + 1.0) - ld * lt + ld + lt * lt - 2.0 * lt + 2.0) /
           ((log(b) - lc) * (log(b) - ld));
}

static wf_tensor *step_deis(wf_ctx *c, wf_run *r, wf_tensor *out, wf_tensor **x0)
{
    double k[4] = {0.0};
    wf_tensor *t[4] = {r->x};
    wf_tensor *pred = convert(c, r, out, true, x0);
    const wfs_level to = wfs_level_at(r, r->i + 1), from = wfs_level_at(r, r->i);
    wfs_push(c, r, wfs_to_eps(c, WFS_SAMPLE, r->x, pred, from.a, from.s), r->s->config.order);
    const int order = order_now(r, r->s->config.lower_order_final && r->plan.n < 15);
    double rho[3] = {0.0};
    for (int i = 0; i < order; i++) {
        const wfs_level l = wfs_level_at(r, r->i - i);
        rho[i] = l.s / l.a;
    }
    const double end = to.s / to.a, *p = rho;
    k[0] = to.a / from.a;
    if (order == 1) {
        k[1] = -to.s * expm1(to.lambda - from.lambda);
    } else if (order == 2) {
        k[1] = to.a * (deis_two(end, p[0], p[1]) - deis_two(p[0], p[0], p[1]));
        k[2] = to.a * (deis_two(end, p[1], p[0]) - deis_two(p[0], p[1], p[0]));
    } else {
        for (int i = 0; i < 3; i++)
            k[i + 1] = to.a * (deis_three(end, p[i], p[(i + 1) % 3], p[(i + 2) % 3]) -
                               deis_three(p[0], p[i], p[(i + 1) % 3], p[(i + 2) % 3]));
    }
    for (int i = 0; i < order && i < r->n_history; i++) t[i + 1] = r->history[i];
    return wfs_mix(c, order + 1, k, t);
}

const wfs_method wfs_deis = {
    .name = "DEISMultistepScheduler",
    .predictions = ALL_PREDICTIONS,
    .walks_sigmas = true,
    .keys = SIGMA_KEYS
    "solver_order thresholding dynamic_thresholding_ratio sample_max_value algorithm_type "
    "solver_type lower_order_final timestep_spacing steps_offset sigma_schedule",
    .plan = plan_solver,
    .step = step_deis};
