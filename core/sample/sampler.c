/*
 * sampler.c - samplers from configs: the table of classes, and the reading of their keys.
 */
#include <stdio.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/sample/sample_impl.h"

static const wfs_method *const methods[] = {
    &wfs_ddim, &wfs_ddpm,   &wfs_pndm,       &wfs_lms,        &wfs_euler,  &wfs_euler_a, &wfs_heun,
    &wfs_dpm2, &wfs_dpm2_a, &wfs_dpm_multi,  &wfs_dpm_single, &wfs_unipc,  &wfs_deis,    &wfs_lcm,
    &wfs_tcd,  &wfs_ipndm,  &wfs_flow_euler, &wfs_flow_heun,  &wfs_unclip,
};

enum { N_METHODS = sizeof methods / sizeof *methods };

/* Keys of every class. */
static const char SHARED_KEYS[] =
    "_class_name _diffusers_version num_train_timesteps beta_start beta_end beta_schedule "
    "trained_betas prediction_type sigmas";

/* ---- reading ---- */

/* The place of j[key] among the choices, which are separated by spaces; fallback when absent. */
static int choice(wf_ctx *c, const wf_json *j, const char *key, const char *choices, int fallback)
{
    const char *text = wf_json_get_text(c, j, key, NULL);
    if (!text || wf_has_failed(c)) return fallback;
    const size_t n = strlen(text);
    int i = 0;
    for (const char *at = choices; *at; i++) {
        const size_t w = strcspn(at, " ");
        if (w == n && strncmp(at, text, n) == 0) return i;
        at += w + (at[w] == ' ');
    }
    wf_fail(c, WF_EARG, "sampler: \"%s\" is \"%.60s\"; it may be one of: %s", key, text, choices);
    return fallback;
}

static bool has_word(const char *list, const char *word)
{
    const size_t n = strlen(word);
    for (const char *at = list; (at = strstr(at, word)); at += n)
        if ((at == list || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0')) return true;
    return false;
}

static const wfs_method *find_method(wf_ctx *c, const wf_json *j)
{
    const char *name = wf_json_get_text(c, j, "_class_name", NULL);
    if (wf_has_failed(c)) return NULL;
    for (int i = 0; name && i < N_METHODS; i++)
        if (strcmp(name, methods[i]->name) == 0) return methods[i];
    return wf_fail(c, WF_EARG,
                   "sampler: there is no class \"%.60s\" (_class_name of scheduler_config.json)",
                   name ? name : "");
}

/* Some class has the key: files of one class are read as another's by changing their class alone.
 */
static bool is_known(const char *key)
{
    if (has_word(SHARED_KEYS, key)) return true;
    for (int i = 0; i < N_METHODS; i++)
        if (has_word(methods[i]->keys, key)) return true;
    return strncmp(key, "_", 1) == 0;
}

static void check_keys(wf_ctx *c, const wf_json *j)
{
    for (int64_t i = 0; i < wf_json_count(j); i++)
        if (!is_known(wf_json_key_at(j, i)))
            wf_fail(c, WF_EARG, "sampler: no sampler has the key \"%.60s\"", wf_json_key_at(j, i));
}

/* Whether the class has the key, and the config says yes. */
static bool flag(wf_ctx *c, const wfs_method *m, const wf_json *j, const char *key, bool fallback)
{
    return has_word(m->keys, key) && wf_json_get_bool(c, j, key, fallback);
}

static double number(wf_ctx *c, const wfs_method *m, const wf_json *j, const char *key,
                     double fallback)
{
    return has_word(m->keys, key) && wf_json_has(j, key) ? wf_json_get_number(c, j, key, fallback)
                                                         : fallback;
}

static int64_t whole(wf_ctx *c, const wfs_method *m, const wf_json *j, const char *key,
                     int64_t fallback)
{
    return has_word(m->keys, key) ? wf_json_get_int(c, j, key, fallback) : fallback;
}

static wfs_sigmas read_layout(wf_ctx *c, const wfs_method *m, const wf_json *j)
{
    static const struct { const char *key; wfs_sigmas how;
    } flags[] = {{"use_karras_sigmas", WFS_KARRAS},
                 {"use_exponential_sigmas", WFS_EXPONENTIAL},
                 {"use_beta_sigmas", WFS_BETA},
                 {"use_lu_lambdas", WFS_LU},
                 {"use_flow_sigmas", WFS_FLOW_SIGMAS}};
    wfs_sigmas how = WFS_BY_TIMES;
    int n = 0;
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (flag(c, m, j, flags[i].key, false)) how = flags[i].how, n++;
    if (n > 1)
        wf_fail(c, WF_EARG,
                "sampler: at most one of the keys use_karras_sigmas, use_exponential_sigmas, "
                "use_beta_sigmas, use_lu_lambdas, use_flow_sigmas may be true");
    if (has_word(m->keys, "interpolation_type") &&
        choice(c, j, "interpolation_type", "linear log_linear", 0) == 1)
        how = WFS_LOG_LINEAR;
    if (has_word(m->keys, "sigma_schedule") && wf_json_has(j, "sigma_schedule"))
        how =
            (wfs_sigmas)(WFS_SIMPLE + choice(c, j, "sigma_schedule",
                                             "simple sgm_uniform ddim_uniform kl_optimal ays", 0));
    return how;
}

/* Defaults that differ from class to class, as in the reference. */
static wfs_spacing default_spacing(const wfs_method *m)
{
    const bool leads =
        m == &wfs_ddim || m == &wfs_ddpm || m == &wfs_pndm || m == &wfs_lcm || m == &wfs_tcd;
    return leads ? WFS_LEADING : WFS_LINSPACE;
}

static wfs_betas read_betas(wf_ctx *c, const wfs_method *m, const wf_json *j)
{
    const bool is_distilled = m == &wfs_lcm || m == &wfs_tcd;
    const bool is_narrow =
        is_distilled || m == &wfs_heun || m == &wfs_dpm2 || m == &wfs_dpm2_a;
    const char *schedule = m == &wfs_unclip ? "squaredcos_cap_v2"
                           : is_distilled   ? "scaled_linear"
                                            : "linear";
    return (wfs_betas){
        .schedule = wf_json_get_text(c, j, "beta_schedule", schedule),
        .start = wf_json_get_number(c, j, "beta_start", is_narrow ? 0.00085 : 1e-4),
        .end = wf_json_get_number(c, j, "beta_end", is_narrow ? 0.012 : 0.02),
        .trained = wf_json_find(j, "trained_betas")};
}

static void read_kinds(wf_ctx *c, const wfs_method *m, const wf_json *j, wfs_config *k)
{
    k->prediction = (wfs_prediction)choice(
        c, j, "prediction_type", "epsilon v_prediction sample flow_prediction",
        m->predictions == 1u << WFS_FLOW ? WFS_FLOW : WFS_EPSILON);
    k->spacing = has_word(m->keys, "timestep_spacing")
                     ? (wfs_spacing)choice(c, j, "timestep_spacing", "linspace leading trailing",
                                           default_spacing(m))
                     : WFS_LINSPACE;
    k->sigmas = read_layout(c, m, j);
    k->algorithm = has_word(m->keys, "algorithm_type")
                       ? (wfs_algorithm)choice(
                             c, j, "algorithm_type",
                             "dpmsolver dpmsolver++ sde-dpmsolver sde-dpmsolver++ deis", WFS_DPMPP)
                       : WFS_DPMPP;
    if ((int)k->algorithm == 4) k->algorithm = WFS_DPMPP;
    const int solver = has_word(m->keys, "solver_type")
        ? choice(c, j, "solver_type", "midpoint heun logrho bh1 bh2", -1) : -1;
    k->is_heun = solver == 1;
    k->is_bh1 = solver == 3;
    if (has_word(m->keys, "variance_type") && (m == &wfs_ddpm || m == &wfs_unclip)) {
        static const wfs_variance of[] = {WFS_SMALL, WFS_SMALL_LOG, WFS_LARGE};
        k->variance = of[choice(c, j, "variance_type", "fixed_small fixed_small_log fixed_large",
                                m == &wfs_unclip ? 1 : 0)];
    }
    if (has_word(m->keys, "timestep_type"))
        k->is_continuous =
            choice(c, j, "timestep_type", "discrete continuous", 0) == 1 && k->prediction == WFS_V;
    if (has_word(m->keys, "final_sigmas_type"))
        k->ends_at_sigma_min = choice(c, j, "final_sigmas_type", "zero sigma_min", 0) == 1;
    if (m == &wfs_deis) k->ends_at_sigma_min = true;
}

static void read_flags(wf_ctx *c, const wfs_method *m, const wf_json *j, wfs_config *k)
{
    const bool clips = m == &wfs_ddim || m == &wfs_ddpm || m == &wfs_unclip;
    k->clip = flag(c, m, j, "clip_sample", clips) && m != &wfs_tcd;
    k->threshold = flag(c, m, j, "thresholding", false) && m != &wfs_tcd;
    k->alpha_to_one = flag(c, m, j, "set_alpha_to_one", m != &wfs_pndm);
    k->skip_prk = flag(c, m, j, "skip_prk_steps", false);
    k->zero_snr = flag(c, m, j, "rescale_betas_zero_snr", false);
    k->lower_order_final = flag(c, m, j, "lower_order_final", m != &wfs_dpm_single);
    k->euler_at_final = flag(c, m, j, "euler_at_final", false);
    k->predict_x0 = flag(c, m, j, "predict_x0", true);
    k->invert = flag(c, m, j, "invert_sigmas", false);
    k->stochastic = flag(c, m, j, "stochastic_sampling", false);
    k->is_flow = k->sigmas == WFS_FLOW_SIGMAS;
    if (flag(c, m, j, "use_dynamic_shifting", false))
        wf_fail(c, WF_EUNSUPPORTED,
                "sampler: \"use_dynamic_shifting\" is not supported; set \"shift\"");
}

static uint64_t read_no_corrector(wf_ctx *c, const wfs_method *m, const wf_json *j)
{
    const wf_json *list =
        has_word(m->keys, "disable_corrector") ? wf_json_find(j, "disable_corrector") : NULL;
    uint64_t steps = 0;
    for (int64_t i = 0; i < wf_json_count(list); i++) {
        const int64_t at = wf_json_int(wf_json_at(list, i), -1);
        if (at < 0 || at > 63)
            wf_fail(c, WF_EARG, "sampler: \"disable_corrector\" may list steps from 0 to 63");
        else
            steps |= UINT64_C(1) << at;
    }
    return steps;
}

static void read_numbers(wf_ctx *c, const wfs_method *m, const wf_json *j, wfs_config *k)
{
    k->train_steps = wf_json_get_int(c, j, "num_train_timesteps", 1000);
    k->steps_offset = whole(c, m, j, "steps_offset", 0);
    k->original_steps = whole(c, m, j, "original_inference_steps", 50);
    k->clip_range = number(c, m, j, "clip_sample_range", 1.0);
    k->threshold_ratio = number(c, m, j, "dynamic_thresholding_ratio", 0.995);
    k->threshold_max = number(c, m, j, "sample_max_value", 1.0);
    k->lambda_min = number(c, m, j, "lambda_min_clipped", (double)-INFINITY);
    k->shift = number(c, m, j, has_word(m->keys, "shift") ? "shift" : "flow_shift", 1.0);
    k->shift_terminal = number(c, m, j, "shift_terminal", 0.0);
    k->timestep_scaling = number(c, m, j, "timestep_scaling", 10.0);
    k->sigma_min = number(c, m, j, "sigma_min", (double)NAN);
    k->sigma_max = number(c, m, j, "sigma_max", (double)NAN);
    const int64_t order = whole(c, m, j, "solver_order", 2);
    if (order < 1 || order > 3) wf_fail(c, WF_EARG, "sampler: \"solver_order\" must be 1, 2 or 3");
    k->order = (int)order;
    k->no_corrector = read_no_corrector(c, m, j);
    if (k->train_steps < 2 || k->train_steps > 1 << 20)
        wf_fail(c, WF_EARG, "sampler: \"num_train_timesteps\" must be from 2 to %d", 1 << 20);
    else if (has_word(m->keys, "original_inference_steps")
             && (k->original_steps < 1 || k->original_steps > k->train_steps))
        wf_fail(c, WF_EARG,
                "sampler: \"original_inference_steps\" must be from 1 to \"num_train_timesteps\"");
    else if (!(k->threshold_ratio >= 0.0 && k->threshold_ratio <= 1.0))
        wf_fail(c, WF_EARG, "sampler: \"dynamic_thresholding_ratio\" must be from 0 to 1");
    else if (k->steps_offset < 0 || k->steps_offset >= k->train_steps)
        wf_fail(c, WF_EARG,
                "sampler: \"steps_offset\" must be from 0 to below \"num_train_timesteps\"");
}

static wf_status read_config(wf_ctx *c, const wfs_method *m, const wf_json *j, wfs_config *k)
{
    check_keys(c, j);
    read_kinds(c, m, j, k);
    read_flags(c, m, j, k);
    read_numbers(c, m, j, k);
    WF_TRY(wf_get_status(c));
    if (!(m->predictions >> k->prediction & 1))
        return wf_fail_status(
            c, WF_EARG, "sampler: %s cannot run a model with this \"prediction_type\"", m->name);
    /* the answer is of x = (1 - sigma) x0 + sigma noise, which other sigmas do not make */
    if (k->prediction == WFS_FLOW && !k->is_flow && m->predictions != 1u << WFS_FLOW)
        return wf_fail_status(c, WF_EARG,
                              "sampler: \"flow_prediction\" needs \"use_flow_sigmas\"");
    const char *why = m->refuse ? m->refuse(k) : NULL;
    return why ? wf_fail_status(c, WF_EARG, "sampler: %s", why) : WF_OK;
}

/* Sigmas as the config lists them; a 0 at the end, which every run adds, is left out. */
static wf_status read_sigmas(wf_ctx *c, wf_sampler *s, const wf_json *list)
{
    int64_t n = wf_json_count(list);
    if (n > 1 && wf_json_number(wf_json_at(list, n - 1), (double)NAN) == 0.0) n--;
    if (!has_word(s->method->keys, "use_karras_sigmas") || s->config.sigmas != WFS_BY_TIMES)
        return wf_fail_status(c, WF_EARG,
                              "sampler: \"sigmas\" are for samplers that walk over sigmas, without "
                              "another schedule");
    s->listed = wf_mem_alloc(s->mem, (size_t)n * sizeof *s->listed);
    if (!s->listed) return wf_fail_status(c, WF_ENOMEM, "sampler: no memory for its sigmas");
    for (int64_t i = 0; i < n; i++) {
        const double sigma = wf_json_number(wf_json_at(list, i), (double)NAN);
        s->listed[i] = sigma;
        if (!(sigma > 0.0 && sigma < (i > 0 ? s->listed[i - 1] : (double)INFINITY)))
            return wf_fail_status(c, WF_EARG, "sampler: \"sigmas\" must fall, all above 0");
    }
    s->n_listed = (int)n;
    s->config.sigmas = WFS_LISTED;
    return WF_OK;
}

/* ---- making ---- */

static wf_status fill(wf_ctx *c, wf_sampler *s, const wf_json *j)
{
    WF_TRY(read_config(c, s->method, j, &s->config));
    if (wf_json_count(wf_json_find(j, "sigmas")) > 0)
        WF_TRY(read_sigmas(c, s, wf_json_find(j, "sigmas")));
    const wfs_betas betas = read_betas(c, s->method, j);
    const int64_t n = s->config.train_steps;
    s->text = wf_json_write(c, j);
    s->alpha_bar = wf_mem_alloc(s->mem, 2 * (size_t)n * sizeof *s->alpha_bar);
    if (!s->alpha_bar)
        return wf_fail_status(c, WF_ENOMEM, "sampler: no memory for %lld times", (long long)n);
    s->beta = s->alpha_bar + n;
    WF_TRY(wfs_fill_tables(c, &betas, s->config.zero_snr, s->alpha_bar, s->beta, n));
    s->config.is_cosine = strcmp(betas.schedule, "squaredcos_cap_v2") == 0;
    /* an infinite sigma cannot be walked from: the reference puts this in its place */
    if (s->config.zero_snr && s->method->walks_sigmas) s->alpha_bar[n - 1] = 0x1p-24f;
    return wf_get_status(c);
}

wf_sampler *wf_sampler_new(wf_ctx *c, const wf_json *config)
{
    const wfs_method *m = wf_has_failed(c) ? NULL : find_method(c, config);
    if (!m) return NULL;
    wf_sampler *s = wf_mem_calloc(wf_ctx_get_mem(c), sizeof *s);
    if (!s) return wf_fail(c, WF_ENOMEM, "sampler: no memory");
    *s = (wf_sampler){.refs = 1, .mem = wf_ctx_get_mem(c), .method = m};
    if (fill(c, s, config) == WF_OK) return s;
    wf_sampler_free(s);
    return NULL;
}

void wf_sampler_free(wf_sampler *s)
{
    if (!s || --s->refs > 0) return;
    wf_mem_free(s->mem, s->text);
    wf_mem_free(s->mem, s->alpha_bar);
    wf_mem_free(s->mem, s->listed);
    wf_mem_free(s->mem, s);
}

const char *wf_sampler_get_config(const wf_sampler *s) { return s->text; }
int64_t wf_sampler_get_train_steps(const wf_sampler *s) { return s->config.train_steps; }

double wf_sampler_get_alpha_bar(const wf_sampler *s, int64_t t)
{
    return t >= 0 && t < s->config.train_steps ? (double)s->alpha_bar[t] : (double)NAN;
}
