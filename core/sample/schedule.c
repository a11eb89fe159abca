/*
 * schedule.c - noise tables, times, sigmas.
 *
 * alpha_bar_t is the product of 1 - beta; sigma = sqrt((1 - alpha_bar) / alpha_bar). Values are
 * rounded to f32 where the reference holds f32.
 * Source: diffusers 0.42.1; Karras et al., arXiv:2206.00364, eq. 5; Lin et al., arXiv:2305.08891
 *         (zero terminal SNR); Sabour et al., arXiv:2404.14507 (align your steps, kl_optimal).
 */
#include <string.h>

#include "core/base/mem.h"
#include "core/sample/sample_impl.h"

/* i of n values from a to b; the first of one. */
static double linspace(double a, double b, int64_t n, int64_t i)
{
    return n > 1 ? a + (b - a) * (double)i / (double)(n - 1) : a;
}

/* ---- the noise table ---- */

static double cosine_bar(double t)
{
    const double x = cos((t + 0.008) / 1.008 * M_PI / 2.0);
    return x * x;
}

static double laplace_bar(double t)
{
    const double l = -0.5 * copysign(1.0, 0.5 - t) * log(1.0 - 2.0 * fabs(0.5 - t) + 1e-6),
                 snr = exp(l);
    return sqrt(snr / (1.0 + snr));
}

static double beta_of_bar(double (*bar)(double), int64_t i, int64_t n)
{
    return fmin(1.0 - bar((double)(i + 1) / (double)n) / bar((double)i / (double)n), 0.999);
}

/* beta of training time i of n. */
static double beta_at(const char *schedule, double from, double to, int64_t i, int64_t n)
{
    if (strcmp(schedule, "linear") == 0) return linspace(from, to, n, i);
    if (strcmp(schedule, "squaredcos_cap_v2") == 0) return beta_of_bar(cosine_bar, i, n);
    if (strcmp(schedule, "laplace") == 0) return beta_of_bar(laplace_bar, i, n);
    if (strcmp(schedule, "sigmoid") == 0)
        return (to - from) / (1.0 + exp(-linspace(-6.0, 6.0, n, i))) + from;
    const double root = (double)(float)linspace(sqrt(from), sqrt(to), n, i); /* scaled_linear */
    return root * root;
}

static bool is_schedule(const char *s)
{
    static const char *const known[] = {"linear", "scaled_linear", "squaredcos_cap_v2", "laplace",
                                        "sigmoid"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(s, known[i]) == 0) return true;
    return false;
}

/* Shift and stretch sqrt(alpha_bar) so that the last is zero (arXiv:2305.08891, algorithm 1). */
static void rescale_to_zero(float *ab, int64_t n)
{
    const double first = sqrt((double)ab[0]), last = sqrt((double)ab[n - 1]);
    for (int64_t i = 0; i < n; i++) {
        const double r = (sqrt((double)ab[i]) - last) * first / (first - last);
        ab[i] = (float)(r * r);
    }
}

wf_status wfs_fill_tables(wf_ctx *c, const wfs_betas *b, bool zero_snr, float *ab, float *betas,
                          int64_t n)
{
    const wf_json *given = b->trained;
    WF_TRY(wf_get_status(c));
    if (!is_schedule(b->schedule))
        return wf_fail_status(
            c, WF_EARG,
            "sampler: \"beta_schedule\" is \"%.40s\"; it may be linear, scaled_linear, "
            "squaredcos_cap_v2, laplace or sigmoid",
            b->schedule);
    if (wf_json_is_array(given) && wf_json_count(given) != n)
        return wf_fail_status(
            c, WF_EARG,
            "sampler: \"trained_betas\" has %lld values, \"num_train_timesteps\" says %lld",
            (long long)wf_json_count(given), (long long)n);
    double bar = 1.0;
    for (int64_t i = 0; i < n; i++) {
        const float beta =
            (float)(wf_json_is_array(given) ? wf_json_number(wf_json_at(given, i), 0.0)
                                            : beta_at(b->schedule, b->start, b->end, i, n));
        if (!(beta > 0.0f && beta < 1.0f))
            return wf_fail_status(c, WF_EARG,
                                  "sampler: beta %lld is %g; each must be between 0 and 1",
                                  (long long)i, (double)beta);
        betas[i] = beta;
        bar *= (double)(1.0f - beta);
        ab[i] = (float)bar;
    }
    if (zero_snr) rescale_to_zero(ab, n);
    return WF_OK;
}

double wfs_table_sigma(const wf_sampler *s, int64_t t)
{
    const float ab = s->alpha_bar[t];
    return (double)(float)sqrt((1.0 - (double)ab) / (double)ab);
}

double wfs_time_sigma(const wf_sampler *s, double t)
{
    const double last = (double)(s->config.train_steps - 1), at = fmin(fmax(t, 0.0), last);
    const int64_t low = at < last ? (int64_t)at : (int64_t)last - 1;
    const double w = at - (double)low, a = wfs_table_sigma(s, low);
    return w == 0.0 ? a : a + w * (wfs_table_sigma(s, low + 1) - a);
}

/* In f32, as the reference holds it: times that are cut to whole ones depend on it. */
static double log_table_sigma(const wf_sampler *s, int64_t t)
{
    return (double)logf((float)wfs_table_sigma(s, t));
}

double wfs_sigma_time(const wf_sampler *s, double sigma)
{
    int64_t low = 0, high = s->config.train_steps - 1;
    const double l = log(fmax(sigma, 1e-10));
    while (high - low > 1) {
        const int64_t mid = (low + high) / 2;
        if (log_table_sigma(s, mid) <= l) low = mid;
        else high = mid;
    }
    const double a = log_table_sigma(s, low), b = log_table_sigma(s, low + 1);
    return (double)low + fmin(fmax((a - l) / (a - b), 0.0), 1.0);
}

/* ---- times ---- */

int wfs_space_times(const wf_sampler *s, int n, int extra, bool rounds, int64_t last, double *t)
{
    const wfs_config *k = &s->config;
    if (k->spacing == WFS_TRAILING) {
        /* the reference's arange may by rounding run on to time -1, which no model knows */
        const double ratio = (double)k->train_steps / (double)n;
        int count = 0;
        for (double at; count < n && (at = rint((double)last - count * ratio)) >= 1.0; count++)
            t[count] = at - 1.0;
        return count;
    }
    const int64_t ratio = last / (n + extra);
    for (int i = 0; i < n; i++) {
        const int back = n + extra - 1 - i;
        if (k->spacing == WFS_LEADING) t[i] = (double)(back * ratio + k->steps_offset);
        else if (rounds) t[i] = rint(linspace(0.0, (double)(last - 1), n + extra, back));
        else t[i] = (double)(float)linspace(0.0, (double)(last - 1), n + extra, back);
    }
    return n;
}

/* ---- layouts of sigmas ---- */

/* The continued fraction of the incomplete beta function, by Lentz's method. */
static double beta_fraction(double x, double a, double b)
{
    const double tiny = 1e-300;
    double f = 1.0, c = 1.0, d = 0.0;
    for (int i = 0; i <= 200; i++) {
        const int m = i / 2;
        const double num = i == 0 ? 1.0
            : i % 2 == 0 ? m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
                         : -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        d = 1.0 + num * d;
        if (fabs(d) < tiny) d = tiny;
        d = 1.0 / d;
        c = 1.0 + num / c;
        if (fabs(c) < tiny) c = tiny;
        f *= c * d;
        if (fabs(1.0 - c * d) < 1e-14) break;
    }
    return f - 1.0;
}

/* The share of the Beta(a, b) distribution below x. */
static double beta_below(double x, double a, double b)
{
    if (x <= 0.0 || x >= 1.0) return x <= 0.0 ? 0.0 : 1.0;
    if (x > (a + 1.0) / (a + b + 2.0)) return 1.0 - beta_below(1.0 - x, b, a);
    const double front =
        exp(a * log(x) + b * log(1.0 - x) - lgamma(a) - lgamma(b) + lgamma(a + b)) / a;
    return front * beta_fraction(x, a, b);
}

/* Where a share p of Beta(0.6, 0.6) is below. */
static double beta_quantile(double p)
{
    double low = 0.0, high = 1.0;
    if (p <= 0.0 || p >= 1.0) return p <= 0.0 ? 0.0 : 1.0;
    for (int i = 0; i < 80; i++) {
        const double mid = 0.5 * (low + high);
        if (beta_below(mid, 0.6, 0.6) < p) low = mid;
        else high = mid;
    }
    return 0.5 * (low + high);
}

/* NVIDIA's optimised sigmas of Stable Diffusion 1 (arXiv:2404.14507), log-linear between. */
static double ays_at(double where)
{
    static const double table[] = {14.6146412293, 6.4745760956, 3.8636745985, 2.6946151520,
                                   1.8841921177,  1.3943805092, 0.9642583904, 0.6523686016,
                                   0.3977456272,  0.1515232662, 0.0291671582};
    enum { LAST = sizeof table / sizeof *table - 1 };
    const double at = where * LAST;
    const int low = at < LAST ? (int)at : LAST - 1;
    return exp(log(table[low]) + (at - low) * (log(table[low + 1]) - log(table[low])));
}

/* Sigma at a time, linear in log sigma, as k-diffusion takes it. */
static double log_time_sigma(const wf_sampler *s, double t)
{
    const int64_t low =
        t < (double)(s->config.train_steps - 1) ? (int64_t)t : s->config.train_steps - 2;
    const double a = log(wfs_table_sigma(s, low)), b = log(wfs_table_sigma(s, low + 1));
    return exp(a + (t - (double)low) * (b - a));
}

static double lay_one(const wf_sampler *s, wfs_sigmas how, int n, int i, double max, double min)
{
    const int64_t N = s->config.train_steps;
    const double ramp = linspace(0.0, 1.0, n, i);
    switch (how) {
    case WFS_KARRAS:
        return pow(pow(max, 1 / 7.0) + ramp * (pow(min, 1 / 7.0) - pow(max, 1 / 7.0)), 7.0);
    case WFS_BETA: return min + beta_quantile(1.0 - ramp) * (max - min);
    case WFS_SIMPLE:
        return wfs_table_sigma(s, N - 1 - (int64_t)((double)i * (double)N / (double)n));
    case WFS_SGM_UNIFORM: return log_time_sigma(s, linspace((double)(N - 1), 0.0, n + 1, i));
    case WFS_DDIM_UNIFORM:                /* from 1 up; as many steps as times: all, from 0 */
        return wfs_table_sigma(s, (n < N) + (n - 1 - i) * (N / n));
    case WFS_KL_OPTIMAL: return tan(ramp * atan(min) + (1.0 - ramp) * atan(max));
    case WFS_AYS: return ays_at(ramp);
    case WFS_LISTED: return s->listed[i];
    case WFS_LOG_LINEAR: return exp(linspace(log(max), log(min), n + 1, i));
    default: return exp(linspace(log(max), log(min), n, i));          /* exponential, lu */
    }
}

void wfs_lay_sigmas(const wf_sampler *s, wfs_sigmas how, int n, double max, double min,
                    double *sigma)
{
    for (int i = 0; i < n; i++) sigma[i] = lay_one(s, how, n, i, max, min);
}

double wfs_shifted(double shift, double t) { return shift * t / (1.0 + (shift - 1.0) * t); }

/* Sigmas of rectified flow for solvers made for diffusion: from 1 (less a little) down. */
static void lay_flow(const wf_sampler *s, int n, bool from_one, double *t, double *sigma)
{
    const double N = (double)s->config.train_steps;
    for (int i = 0; i < n; i++) {
        const double at = linspace(1.0, 1.0 / N, n + 1, from_one ? i : n - i);
        sigma[i] = wfs_shifted(s->config.shift, from_one ? at : 1.0 - at);
        if (from_one && i == 0 && fabs(sigma[0] - 1.0) < 1e-6) sigma[0] -= 1e-6;
        t[i] = trunc(sigma[i] * N);
    }
}

/* The time that a laid out sigma stands at. Solvers with whole times round those of karras and lu,
 * and cut the others. */
static double time_of_layout(const wf_sampler *s, int extra, double sigma)
{
    const wfs_config *k = &s->config;
    const double t = wfs_sigma_time(s, sigma);
    if (k->sigmas >= WFS_SIMPLE) return t;
    const bool may_round = !(k->is_cosine && s->method == &wfs_dpm_multi);
    const bool is_dpm2 = s->method == &wfs_dpm2 || s->method == &wfs_dpm2_a;
    if (is_dpm2) return k->sigmas == WFS_KARRAS ? rint(t) : t;
    if (!extra) return t;
    return (k->sigmas == WFS_KARRAS || k->sigmas == WFS_LU) && may_round ? rint(t) : trunc(t);
}

/* How many training times are left when those whose log SNR is below lambda_min are not used. */
static int64_t usable_times(const wf_sampler *s)
{
    int64_t n = s->config.train_steps;
    while (n > 1 && -log(wfs_table_sigma(s, n - 1)) < s->config.lambda_min) n--;
    return n;
}

static double final_sigma(const wf_sampler *s, const wfs_plan *p, bool is_laid)
{
    const bool repeats = s->method == &wfs_deis || s->method == &wfs_unipc;
    if (!s->config.ends_at_sigma_min && s->method != &wfs_deis) return 0.0;
    return is_laid && repeats ? p->sigma[p->n - 1] : wfs_table_sigma(s, 0);
}

wf_status wfs_plan_sigmas(wf_ctx *c, const wf_sampler *s, int steps, int extra, bool whole_table,
                          wfs_plan *p)
{
    const wfs_config *k = &s->config;
    const int64_t N = k->train_steps, last = s->method == &wfs_dpm_multi ? usable_times(s) : N;
    const bool is_laid = k->sigmas != WFS_BY_TIMES && k->sigmas != WFS_LOG_LINEAR;
    if (k->sigmas == WFS_LISTED && steps != s->n_listed)
        return wf_fail_status(c, WF_EARG,
                              "sampler: a list of %d sigmas is for as many steps, not %d",
                              s->n_listed, steps);
    p->n = wfs_space_times(s, steps, extra, extra > 0, last, p->t);
    if (s->method == &wfs_dpm_single)
        for (int i = 0; i < p->n; i++)
            p->t[i] = rint(linspace(0.0, (double)(usable_times(s) - 1), steps + 1, steps - i));
    if (k->sigmas == WFS_FLOW_SIGMAS) {
        lay_flow(s, p->n, s->method == &wfs_unipc, p->t, p->sigma);
    } else if (is_laid || k->sigmas == WFS_LOG_LINEAR) {
        const bool whole = whole_table || k->sigmas >= WFS_LOG_LINEAR;
        const double max = whole ? wfs_table_sigma(s, N - 1) : wfs_time_sigma(s, p->t[0]);
        const double min = whole ? wfs_table_sigma(s, 0) : wfs_time_sigma(s, p->t[p->n - 1]);
        wfs_lay_sigmas(s, k->sigmas, p->n, isnan(k->sigma_max) ? max : k->sigma_max,
                       isnan(k->sigma_min) ? min : k->sigma_min, p->sigma);
        for (int i = 0; is_laid && i < p->n; i++) p->t[i] = time_of_layout(s, extra, p->sigma[i]);
        if (k->sigmas == WFS_LOG_LINEAR) p->sigma[p->n] = min;
    } else {
        for (int i = 0; i < p->n; i++) p->sigma[i] = wfs_time_sigma(s, p->t[i]);
    }
    p->n_sigmas = p->n + (k->sigmas == WFS_LOG_LINEAR ? 2 : 1);
    p->sigma[p->n_sigmas - 1] = final_sigma(s, p, is_laid);
    for (int i = 0; i < p->n_sigmas; i++) p->sigma[i] = (double)(float)p->sigma[i];
    return wf_get_status(c);
}
