/*
 * run.c - one trajectory: what the model is to be given, what it answered, and where that leads.
 *
 * The state of a run is its latent, a few past answers and counters, so it can be copied and saved.
 */
#include "core/sample/sample_impl.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/base/rng.h"

/* ---- what steps are made of ---- */

wf_tensor *wfs_mix(wf_ctx *c, int n, const double *k, wf_tensor *const *t)
{
    wf_tensor *sum = NULL;
    for (int i = 0; i < n; i++) {
        if (!t[i] || k[i] == 0.0) continue;
        wf_tensor *v = k[i] == 1.0 ? t[i] : wf_scale(c, t[i], k[i]);
        sum = sum ? wf_add(c, sum, v) : v;
    }
    return sum ? sum : n > 0 && t[0] ? wf_scale(c, t[0], 0.0) : NULL;
}

wf_tensor *wfs_to_x0(wf_ctx *c, wfs_prediction p, wf_tensor *x, wf_tensor *out, double a, double s)
{
    if (p == WFS_EPSILON) return WFS_MIX2(c, 1.0 / a, x, -s / a, out);
    if (p == WFS_V) return WFS_MIX2(c, a, x, -s, out);
    if (p == WFS_FLOW) return WFS_MIX2(c, 1.0, x, -s, out);
    return out;
}

wf_tensor *wfs_to_eps(wf_ctx *c, wfs_prediction p, wf_tensor *x, wf_tensor *out, double a, double s)
{
    if (p == WFS_SAMPLE) return WFS_MIX2(c, 1.0 / s, x, -a / s, out);
    if (p == WFS_V) return WFS_MIX2(c, a, out, s, x);
    return out;
}

wfs_level wfs_level_at(const wf_run *r, int i)
{
    const double sigma = r->plan.sigma[i];
    wfs_level l;
    l.a = r->s->config.is_flow ? 1.0 - sigma : 1.0 / sqrt(sigma * sigma + 1.0);
    l.s = r->s->config.is_flow ? sigma : sigma * l.a;
    l.lambda = log(l.a) - log(l.s);
    return l;
}

double wfs_alpha_bar(const wf_run *r, double t, double at_negative)
{
    const int64_t i = (int64_t)t;
    if (t < 0.0) return at_negative;
    return (double)r->s->alpha_bar[i < r->s->config.train_steps ? i : r->s->config.train_steps - 1];
}

void wfs_set_tensor(wf_ctx *c, wf_tensor **slot, wf_tensor *t)
{
    wf_tensor *old = *slot;
    *slot = t ? wf_take_owned(c, t) : NULL;
    wf_release(old);
}

void wfs_list_slots(wf_run *r, wf_tensor **slots[WFS_SLOTS])
{
    wf_tensor **const first[] = {&r->x, &r->x0, &r->saved, &r->sum};
    enum { FIRST = sizeof first / sizeof *first };
    memcpy(slots, first, sizeof first);
    for (int i = 0; i < WFS_HISTORY; i++) slots[FIRST + i] = &r->history[i];
}

void wfs_push(wf_ctx *c, wf_run *r, wf_tensor *t, int most)
{
    if (!t) return;
    if (most > WFS_HISTORY) most = WFS_HISTORY;
    while (r->n_history >= most) {
        wf_release(r->history[--r->n_history]);
        r->history[r->n_history] = NULL;
    }
    for (int i = r->n_history++; i > 0; i--) r->history[i] = r->history[i - 1];
    r->history[0] = wf_take_owned(c, t);
}

/* Noise like x, sample b drawn by seed + b, at the place of this draw. */
static wf_tensor *draw_noise(wf_ctx *c, const wf_run *r, uint32_t purpose, uint64_t draw)
{
    const wf_shape s = wf_get_shape(r->x);
    const int64_t n = wf_numel(r->x), B = s.rank ? s.dims[0] : 1, each = B ? n / B : 0;
    float *v = wf_mem_alloc(wf_ctx_get_mem(c), (size_t)n * sizeof *v + 1);
    if (!v) return wf_fail(c, WF_ENOMEM, "sampler: no memory for noise");
    for (int64_t b = 0; b < B; b++) {
        const wf_rng_key key = {.seed = r->o.seed + (uint64_t)b, .purpose = purpose};
        wf_rng_normal(v + b * each, each, key, draw * (uint64_t)each);
    }
    wf_tensor *t = wf_from_host(c, WF_DTYPE_F32, &s, v);
    wf_mem_free(wf_ctx_get_mem(c), v);
    return t;
}

wf_tensor *wfs_draw(wf_ctx *c, wf_run *r)
{
    const int k = r->draws++;
    if (r->o.n_noise == 0) return draw_noise(c, r, WF_RNG_STEP, (uint64_t)k);
    if (k < r->o.n_noise) return r->noise[k];
    return wf_fail(c, WF_EARG, "sampler: needs noise %d, but the list has %d", k + 1, r->o.n_noise);
}

static int compare_floats(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* The value below which a share q of |v| lies, between two values linear; NAN when one is. */
static double quantile(float *v, int64_t n, double q)
{
    for (int64_t i = 0; i < n; i++) {
        if (isnan(v[i])) return (double)NAN;
        v[i] = fabsf(v[i]);
    }
    qsort(v, (size_t)n, sizeof *v, compare_floats);
    const double at = q * (double)(n - 1);
    const int64_t low = (int64_t)at < n - 1 ? (int64_t)at : n - 1,
                  high = low + 1 < n ? low + 1 : low;
    return (double)v[low] + (at - (double)low) * (double)(v[high] - v[low]);
}

/* v within lo ... hi; fmin and fmax would make a number of NAN. */
static double within(double v, double lo, double hi) { return v < lo ? lo : v > hi ? hi : v; }

/* Saharia et al., arXiv:2205.11487, section 2.3: clip to a quantile and scale back, each sample by
 * itself. */
static wf_tensor *threshold(wf_ctx *c, const wfs_config *k, wf_tensor *x0)
{
    const wf_shape s = wf_get_shape(x0);
    const int64_t n = wf_numel(x0), B = s.rank ? s.dims[0] : 1, each = B ? n / B : 0;
    wf_mem *mem = wf_ctx_get_mem(c);
    float *v = wf_mem_alloc(mem, 2 * (size_t)n * sizeof *v + 1);
    if (!v) return wf_fail(c, WF_ENOMEM, "sampler: no memory to threshold");
    wf_tensor *y = NULL;
    if (wf_to_f32(c, x0, v, n) == WF_OK) {
        float *sorted = v + n;
        memcpy(sorted, v, (size_t)n * sizeof *v);
        for (int64_t b = 0; b < B && each > 0; b++) {
            const double top = within(quantile(sorted + b * each, each, k->threshold_ratio), 1.0,
                                      fmax(k->threshold_max, 1.0));
            for (int64_t i = b * each; i < (b + 1) * each; i++)
                v[i] = (float)(within((double)v[i], -top, top) / top);
        }
        y = wf_from_host(c, WF_DTYPE_F32, &s, v);
    }
    wf_mem_free(mem, v);
    return y;
}

wf_tensor *wfs_clip_x0(wf_ctx *c, const wfs_config *k, wf_tensor *x0)
{
    if (!x0) return NULL;
    if (k->threshold) return threshold(c, k, x0);
    return k->clip ? wf_clamp(c, x0, -k->clip_range, k->clip_range) : x0;
}

/* ---- plans ---- */

static wf_status plan_alloc(wf_ctx *c, wfs_plan *p, int steps)
{
    const size_t room = 2 * (size_t)steps + 16;
    double *v = wf_mem_calloc(wf_ctx_get_mem(c), 4 * room * sizeof *v);
    if (!v) return wf_fail_status(c, WF_ENOMEM, "sampler: no memory for %d steps", steps);
    *p =
        (wfs_plan){.order = 1, .t = v, .sigma = v + room, .extra = v + 2 * room, .init_sigma = 1.0};
    return WF_OK;
}

static double largest(const wfs_plan *p)
{
    double most = 0.0;
    for (int i = 0; i < p->n_sigmas; i++) most = fmax(most, p->sigma[i]);
    return most;
}

int wfs_most_steps(const wf_sampler *s)
{
    return s->config.train_steps < 10000 ? (int)s->config.train_steps : 10000;
}

static wf_status make_plan(wf_ctx *c, wf_run *r)
{
    const wf_sampler *s = r->s;
    const int most = wfs_most_steps(s);
    if (r->o.steps < 1 || r->o.steps > most)
        return wf_fail_status(c, WF_EARG, "sampler: steps must be from 1 to %d, got %d", most,
                              r->o.steps);
    WF_TRY(plan_alloc(c, &r->plan, r->o.steps));
    WF_TRY(s->method->plan(c, s, r->o.steps, &r->plan));
    if (s->method->scales_input) {
        const double top = largest(&r->plan);
        r->plan.init_sigma = s->config.spacing == WFS_LEADING ? sqrt(top * top + 1.0) : top;
    }
    return WF_OK;
}

/* The sigma that call i is answered at, that of its time where the method walks over times; those
 * of DPM2 stand for whole steps. */
static double call_sigma(const wf_run *r, int i)
{
    const bool is_dpm2 = r->s->method == &wfs_dpm2 || r->s->method == &wfs_dpm2_a;
    if (r->plan.n_sigmas == 0) {
        const double ab = wfs_alpha_bar(r, r->plan.t[i], 1.0);
        return sqrt((1.0 - ab) / ab);
    }
    if (!is_dpm2) return r->plan.sigma[i];
    return i % 2 ? r->plan.extra[i / 2] : r->plan.sigma[i / 2];
}

/* x = a image + b noise at call i. */
static void noising(const wf_run *r, int i, double *a, double *b)
{
    const wfs_method *m = r->s->method;
    const double sigma = call_sigma(r, i);
    if (m == &wfs_flow_euler || m == &wfs_flow_heun || r->s->config.is_flow)
        *a = 1.0 - sigma, *b = sigma;
    else if (m->scales_input) *a = 1.0, *b = sigma;
    else if (m->walks_sigmas) *a = 1.0 / sqrt(sigma * sigma + 1.0), *b = sigma * *a;
    else if (m == &wfs_ipndm) *a = r->plan.extra[i], *b = r->plan.sigma[i];
    else {
        const double ab = wfs_alpha_bar(r, r->plan.t[i], 1.0);
        *a = sqrt(ab), *b = sqrt(1.0 - ab);
    }
}

wf_tensor *wf_run_add_noise(wf_ctx *c, wf_run *r, wf_tensor *image, wf_tensor *noise)
{
    double a = 1.0, b = 0.0;
    if (wf_has_failed(c)) return NULL;
    if (r->i < r->plan.n) noising(r, r->i, &a, &b);
    return WFS_MIX2(c, a, image, b, noise);
}

/* ---- starting ---- */

static wf_status hold_noise(wf_ctx *c, wf_run *r)
{
    const int n = r->o.n_noise;
    if (n == 0) return WF_OK;
    wf_tensor **list = wf_mem_calloc(r->s->mem, (size_t)n * sizeof *list);
    if (!list) return wf_fail_status(c, WF_ENOMEM, "sampler: no memory for %d noises", n);
    r->noise = list;
    for (int i = 0; i < n; i++) {
        const wf_shape a = wf_get_shape(r->o.noise[i]), b = wf_get_shape(r->o.latents);
        if (!wf_shape_is_same(&a, &b))
            return wf_fail_status(c, WF_ESHAPE, "sampler: noise %d is not of the latents' shape",
                                  i + 1);
        list[i] = wf_retain(r->o.noise[i]);
    }
    return WF_OK;
}

static wf_status check_image(wf_ctx *c, const wf_run_opts *o)
{
    if (!o->image) return WF_OK;
    const wf_shape a = wf_get_shape(o->image), b = wf_get_shape(o->latents);
    if (wf_shape_is_same(&a, &b)) return WF_OK;
    char ta[160], tb[160];
    return wf_fail_status(c, WF_ESHAPE, "sampler: the image %s is not of the latents' shape %s",
                          wf_shape_text(&a, ta, sizeof ta), wf_shape_text(&b, tb, sizeof tb));
}

/* Where a run that starts from an image begins: the last steps * strength steps are run. */
static int begin_at(const wf_run *r)
{
    const int steps = r->plan.order > 1 ? (r->plan.n + 1) / 2 : r->plan.n;
    const double share = floor(r->o.steps * r->o.strength + 1e-9);
    const int wanted = (int)fmin(fmax(share, -1.0), r->o.steps);
    if (r->o.begin >= 0) return r->o.begin;
    return r->o.image && wanted < steps ? (steps - wanted) * r->plan.order : 0;
}

static wf_status start(wf_ctx *c, wf_run *r)
{
    WF_TRY(make_plan(c, r));
    WF_TRY(hold_noise(c, r));
    WF_TRY(check_image(c, &r->o));
    r->begin = r->i = begin_at(r);
    if (r->i > r->plan.n)
        return wf_fail_status(c, WF_EARG, "sampler: begin is past the last of %d calls", r->plan.n);
    wf_scope *scope = wf_scope_open(c);
    wfs_set_tensor(c, &r->x, r->o.image && r->begin > 0
        ? wf_copy(c, wf_run_add_noise(c, r, r->o.image, r->o.latents))
        : wf_scale(c, r->o.latents, r->plan.init_sigma));
    wf_scope_close(c, scope, NULL);
    return wf_get_status(c);
}

wf_run *wf_run_new(wf_ctx *c, wf_sampler *s, const wf_run_opts *o)
{
    if (wf_has_failed(c)) return NULL;
    if (!o->latents) return wf_fail(c, WF_EARG, "sampler: latents are missing");
    wf_run *r = wf_mem_calloc(s->mem, sizeof *r);
    if (!r) return wf_fail(c, WF_ENOMEM, "sampler: no memory for a run");
    s->refs++;
    *r = (wf_run){.s = s, .o = *o};
    const wf_status st = start(c, r);
    r->o.latents = r->o.image = NULL;
    r->o.noise = NULL;
    if (st == WF_OK) return r;
    wf_run_free(r);
    return NULL;
}

static void release_slots(wf_run *r)
{
    wf_tensor **slots[WFS_SLOTS];
    wfs_list_slots(r, slots);
    for (int i = 0; i < WFS_SLOTS; i++) wf_release(*slots[i]);
}

void wf_run_free(wf_run *r)
{
    if (!r) return;
    wf_mem *mem = r->s->mem;
    release_slots(r);
    for (int i = 0; r->noise && i < r->o.n_noise; i++) wf_release(r->noise[i]);
    wf_mem_free(mem, r->noise);
    wf_mem_free(mem, r->plan.t);
    wf_sampler *s = r->s;
    wf_mem_free(mem, r);
    wf_sampler_free(s);
}

/* ---- going ---- */

bool wf_run_next(wf_ctx *c, wf_run *r, wf_run_call *call)
{
    if (wf_has_failed(c) || r->i >= r->plan.n) return false;
    const double sigma = call_sigma(r, r->i);
    *call = (wf_run_call){.t = r->plan.t[r->i],
                          .sigma = sigma,
                          .step = r->i - r->begin + 1,
                          .steps = r->plan.n - r->begin};
    call->input = r->s->method->scales_input ? wf_scale(c, r->x, 1.0 / sqrt(sigma * sigma + 1.0))
                                             : wf_copy(c, r->x);
    return !wf_has_failed(c);
}

/* The run as it is, its tensors held: what a step that fails half way is undone by. */
static wf_run hold(wf_run *r)
{
    wf_tensor **slots[WFS_SLOTS];
    wfs_list_slots(r, slots);
    for (int i = 0; i < WFS_SLOTS; i++) wf_retain(*slots[i]);
    return *r;
}

/* Take the step; where it fails, put back all that it changed, so that the same answer may be given
 * again. */
static wf_status take_step(wf_ctx *c, wf_run *r, wf_tensor *out)
{
    wf_run was = hold(r);
    wf_tensor *x0 = NULL, *x = r->s->method->step(c, r, out, &x0);
    wfs_set_tensor(c, &r->x, x);
    wfs_set_tensor(c, &r->x0, x0);
    r->i++;
    r->n_done++;
    if (wf_has_failed(c)) {
        release_slots(r);
        *r = was;
    } else {
        release_slots(&was);
    }
    return wf_get_status(c);
}

wf_status wf_run_give(wf_ctx *c, wf_run *r, wf_tensor *out)
{
    char ta[180], tb[180];
    WF_TRY(wf_get_status(c));
    if (!out) return wf_fail_status(c, WF_EARG, "sampler: the model's answer is missing");
    const wf_shape a = wf_get_shape(out), b = wf_get_shape(r->x);
    if (r->i >= r->plan.n) return wf_fail_status(c, WF_EARG, "sampler: the run has ended");
    if (!wf_shape_is_same(&a, &b))
        return wf_fail_status(c, WF_ESHAPE, "sampler: the model answered %s, the latent is %s",
                              wf_tensor_text(out, ta, sizeof ta),
                              wf_tensor_text(r->x, tb, sizeof tb));
    wf_scope *scope = wf_scope_open_on(c, r->x);
    /* a copy: past answers are kept, and this one is the caller's to write over */
    wf_tensor *own = wf_copy(c, out);
    const wf_status st = own ? take_step(c, r, own) : wf_get_status(c);
    wf_scope_close(c, scope, NULL);
    return st;
}

wf_tensor *wf_run_get_latent(const wf_run *r) { return r->x; }
wf_tensor *wf_run_get_x0(const wf_run *r) { return r->x0; }
double wf_run_get_init_sigma(const wf_run *r) { return r->plan.init_sigma; }

wf_status wf_run_set_latent(wf_ctx *c, wf_run *r, wf_tensor *x)
{
    WF_TRY(wf_get_status(c));
    const wf_shape a = wf_get_shape(x), b = wf_get_shape(r->x);
    if (!wf_shape_is_same(&a, &b))
        return wf_fail_status(c, WF_ESHAPE, "sampler: the new latent has another shape");
    wf_tensor *own = wf_copy(c, x);
    if (own) wfs_set_tensor(c, &r->x, own);
    return wf_get_status(c);
}

const double *wf_run_get_times(const wf_run *r, int *n)
{
    *n = r->plan.n;
    return r->plan.t;
}

const double *wf_run_get_sigmas(const wf_run *r, int *n)
{
    *n = r->plan.n_sigmas;
    return r->plan.sigma;
}
