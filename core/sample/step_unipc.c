/*
 * step_unipc.c - UniPC: a predictor, and a corrector that uses the next answer at no extra call.
 *
 * Source: Zhao et al., arXiv:2302.04867, algorithms 5 to 8 (B(h) of bh1 and bh2).
 */
#include "core/sample/sample_impl.h"

enum { MOST = WFS_UNIPC_MOST };

/* Solve the n x n system R x = b by Gauss with pivots; R and b are used up. */
static void solve(int n, double R[MOST][MOST], double b[MOST], double x[MOST])
{
    for (int i = 0; i < n; i++) {
        int p = i;
        for (int k = i + 1; k < n; k++)
            if (fabs(R[k][i]) > fabs(R[p][i])) p = k;
        for (int k = 0; k < n; k++) {
            const double v = R[i][k];
            R[i][k] = R[p][k];
            R[p][k] = v;
        }
        const double v = b[i];
        b[i] = b[p];
        b[p] = v;
        for (int k = i + 1; k < n; k++) {
            const double f = R[k][i] / R[i][i];
            for (int q = i; q < n; q++) R[k][q] -= f * R[i][q];
            b[k] -= f * b[i];
        }
    }
    for (int i = n - 1; i >= 0; i--) {
        x[i] = b[i];
        for (int k = i + 1; k < n; k++) x[i] -= R[i][k] * x[k];
        x[i] /= R[i][i];
    }
}

/* A step of the given order from call `at` to the next. history[first] is the answer at `at`, those
 * after it are older; now is the answer at the end for the corrector, NULL for the predictor. */
static wf_tensor *bh_step(wf_ctx *c, const wf_run *r, wf_tensor *x, int at, int order,
                          wf_tensor *now)
{
    const wfs_config *cfg = &r->s->config;
    const wfs_level to = wfs_level_at(r, at + 1), from = wfs_level_at(r, at);
    double rk[MOST], R[MOST][MOST], b[MOST], rho[MOST] = {0.5, 0.5, 0.5};
    const double h = to.lambda - from.lambda, hh = cfg->predict_x0 ? -h : h, phi1 = expm1(hh),
                 B = cfg->is_bh1 ? hh : phi1;
    for (int i = 1; i < order; i++)
        rk[i - 1] = (wfs_level_at(r, at - i).lambda - from.lambda) / h;
    rk[order - 1] = 1.0;
    double phi = phi1 / hh - 1.0, factorial = 1.0;
    for (int i = 0; i < order; i++) {
        for (int k = 0; k < order; k++) R[i][k] = pow(rk[k], i);
        b[i] = phi * factorial / B;
        factorial *= i + 2;
        phi = phi / hh - 1.0 / factorial;
    }
    const int unknowns = now ? order : order - 1;
    if (now ? order > 1 : order > 2) solve(unknowns, R, b, rho);

    const double g = -(cfg->predict_x0 ? to.a : to.s);
    double k[MOST + 2] = {cfg->predict_x0 ? to.s / from.s : to.a / from.a, g * phi1};
    wf_tensor *t[MOST + 2] = {x, r->history[0]};
    for (int i = 1; i < order; i++) {
        k[1] -= g * B * rho[i - 1] / rk[i - 1];
        k[i + 1] = g * B * rho[i - 1] / rk[i - 1];
        t[i + 1] = r->history[i];
    }
    if (now) {
        k[1] -= g * B * rho[order - 1];
        k[order + 1] = g * B * rho[order - 1];
        t[order + 1] = now;
    }
    return wfs_mix(c, order + (now ? 2 : 1), k, t);
}

static wf_tensor *step_unipc(wf_ctx *c, wf_run *r, wf_tensor *out, wf_tensor **x0)
{
    const wfs_config *k = &r->s->config;
    const wfs_level l = wfs_level_at(r, r->i);
    *x0 = wfs_to_x0(c, k->prediction, r->x, out, l.a, l.s);
    if (k->predict_x0) *x0 = wfs_clip_x0(c, k, *x0);
    wf_tensor *now = k->predict_x0 ? *x0 : wfs_to_eps(c, k->prediction, r->x, out, l.a, l.s);
    wf_tensor *x = r->x;
    const bool corrects =
        r->i > 0 && r->saved && (r->i > 64 || !(k->no_corrector >> (r->i - 1) & 1));
    if (corrects) x = bh_step(c, r, r->saved, r->i - 1, r->last_order, now);
    wfs_push(c, r, now, k->order);
    int order = k->order;
    if (k->lower_order_final && order > r->plan.n - r->i) order = r->plan.n - r->i;
    if (order > r->n_done + 1) order = r->n_done + 1;
    wfs_set_tensor(c, &r->saved, x);
    r->last_order = order;
    return wf_has_failed(c) ? NULL : bh_step(c, r, x, r->i, order, NULL);
}

static const char *refuse(const wfs_config *k)
{
    if (k->is_bh1 && !k->ends_at_sigma_min)
        return "\"solver_type\" bh1 cannot end at 0: use bh2, or \"final_sigmas_type\" sigma_min";
    if (!k->predict_x0 && !k->ends_at_sigma_min)
        return "\"predict_x0\" false cannot end at 0: set \"final_sigmas_type\" to sigma_min";
    if (!k->predict_x0 && k->prediction == WFS_FLOW)
        return "\"predict_x0\" false is not made for \"flow_prediction\"";
    return NULL;
}

static wf_status plan(wf_ctx *c, const wf_sampler *s, int steps, wfs_plan *p)
{
    return wfs_plan_sigmas(c, s, steps, 1, true, p);
}

const wfs_method wfs_unipc = {
    .name = "UniPCMultistepScheduler",
    .walks_sigmas = true,
    .predictions = 1u << WFS_EPSILON | 1u << WFS_V | 1u << WFS_SAMPLE | 1u << WFS_FLOW,
    .keys =
        "solver_order thresholding dynamic_thresholding_ratio sample_max_value predict_x0 "
        "solver_type "
        "lower_order_final disable_corrector solver_p use_karras_sigmas use_exponential_sigmas "
        "use_beta_sigmas "
        "use_flow_sigmas flow_shift timestep_spacing steps_offset final_sigmas_type "
        "rescale_betas_zero_snr "
        "use_dynamic_shifting time_shift_type sigma_min sigma_max shift_terminal sigma_schedule",
    .refuse = refuse,
    .plan = plan,
    .step = step_unipc};
