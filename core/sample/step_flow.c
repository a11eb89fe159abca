/*
 * step_flow.c - samplers of rectified flow, x = (1 - sigma) x0 + sigma noise; the model answers
 * noise - x0.
 *
 * Source: Liu et al., arXiv:2209.03003; Esser et al., arXiv:2403.03206 (the shift of sigmas).
 */
#include "core/sample/sample_impl.h"

/* Sigmas from the largest to the smallest that training saw, shifted once more as the reference
 * does. */
static wf_status plan_flow(wf_ctx *c, const wf_sampler *s, int steps, wfs_plan *p)
{
    const wfs_config *k = &s->config;
    const double N = (double)k->train_steps, low = wfs_shifted(k->shift, 1.0 / N);
    for (int i = 0; i < steps; i++) {
        const double at = steps > 1 ? 1.0 + (low - 1.0) * i / (steps - 1) : 1.0;
        p->sigma[i] = wfs_shifted(k->shift, at);
    }
    const double last = p->sigma[steps - 1];
    for (int i = 0; k->shift_terminal > 0.0 && i < steps; i++)
        p->sigma[i] = 1.0 - (1.0 - p->sigma[i]) / ((1.0 - last) / (1.0 - k->shift_terminal));
    if (k->sigmas == WFS_KARRAS || k->sigmas == WFS_EXPONENTIAL || k->sigmas == WFS_BETA)
        wfs_lay_sigmas(s, k->sigmas, steps, p->sigma[0], p->sigma[steps - 1], p->sigma);
    p->sigma[steps] = 0.0;
    for (int i = 0; k->invert && i <= steps; i++) p->sigma[i] = 1.0 - p->sigma[i];
    for (int i = 0; i <= steps; i++) p->sigma[i] = (double)(float)p->sigma[i];
    for (int i = 0; i < steps; i++) p->t[i] = p->sigma[i] * N;
    p->n = steps;
    p->n_sigmas = steps + 1;
    return wf_get_status(c);
}

static wf_tensor *step_flow_euler(wf_ctx *c, wf_run *r, wf_tensor *out, wf_tensor **x0)
{
    const double sigma = r->plan.sigma[r->i], next = r->plan.sigma[r->i + 1];
    *x0 = wfs_to_x0(c, WFS_FLOW, r->x, out, 1.0 - sigma, sigma);
    if (r->s->config.stochastic) return WFS_MIX2(c, 1.0 - next, *x0, next, wfs_draw(c, r));
    return WFS_MIX2(c, 1.0, r->x, next - sigma, out);
}

const wfs_method wfs_flow_euler = {
    .name = "FlowMatchEulerDiscreteScheduler",
    .predictions = 1u << WFS_FLOW,
    .walks_sigmas = true,
    .keys =
        "shift shift_terminal use_dynamic_shifting base_shift max_shift base_image_seq_len "
        "max_image_seq_len "
        "invert_sigmas use_karras_sigmas use_exponential_sigmas use_beta_sigmas time_shift_type "
        "stochastic_sampling",
    .plan = plan_flow,
    .step = step_flow_euler};

static wf_status plan_flow_heun(wf_ctx *c, const wf_sampler *s, int steps, wfs_plan *p)
{
    WF_TRY(plan_flow(c, s, steps, p));
    return wfs_double_calls(c, p);
}

const wfs_method wfs_flow_heun = {.name = "FlowMatchHeunDiscreteScheduler",
                                  .predictions = 1u << WFS_FLOW,
                                  .walks_sigmas = true,
                                  .keys = "shift",
                                  .plan = plan_flow_heun,
                                  .step = wfs_step_heun};
