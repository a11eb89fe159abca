/* mel.c - mel bands: banks of filters, logarithmic spectra, Kaldi's features. */
#include "core/media/mel.h"

#include <math.h>
#include <string.h>

#include "core/tensor/ops.h"

enum { MAX_MELS = 4096, MAX_HOP = 1 << 24 };

/* ---- banks ---- */

/* Slaney's: 200/3 Hz a mel up to 1 kHz, then 27 mels for each factor of 6.4. */
static double to_mel(double hz, wf_mel_scale scale)
{
    if (scale == WF_MEL_HTK) return 2595 * log10(1 + hz / 700);
    return hz < 1000 ? 3 * hz / 200 : 15 + log(hz / 1000) * 27 / log(6.4);
}

static double to_hz(double mel, wf_mel_scale scale)
{
    if (scale == WF_MEL_HTK) return 700 * (pow(10, mel / 2595) - 1);
    return mel < 15 ? 200 * mel / 3 : 1000 * exp((mel - 15) * log(6.4) / 27);
}

/* The triangle over left, centre, right at x. */
static double triangle(double x, double left, double centre, double right)
{
    return fmax(0, fmin((x - left) / (centre - left), (right - x) / (right - centre)));
}

typedef void (*fill_band)(const wf_mel_bank *b, int64_t m, double *row);

/* A bank [n_mels,F], each band filled by fn. */
static wf_tensor *make_bank(wf_ctx *c, const wf_mel_bank *b, fill_band fn)
{
    if (wf_has_failed(c)) return NULL;
    if (b->n_fft < 2 || b->n_fft > WF_MAX_FFT || b->n_mels < 1 || b->n_mels > MAX_MELS ||
        !(b->low_hz >= 0 && b->low_hz < b->high_hz && b->high_hz <= b->rate_hz))
        return wf_fail(c, WF_EARG, "mel: %lld bands of %g to %g Hz over %lld points at %g Hz",
                       (long long)b->n_mels, b->low_hz, b->high_hz, (long long)b->n_fft,
                       b->rate_hz);
    const wf_shape s = {.rank = 2, .dims = {b->n_mels, b->n_fft / 2 + 1}};
    const int64_t F = s.dims[1];
    double *row = wf_mem_alloc(wf_ctx_get_mem(c), (size_t)F * sizeof *row);
    float *w = wf_mem_alloc(wf_ctx_get_mem(c), (size_t)wf_shape_numel(&s) * sizeof *w);
    if (!w || !row) wf_fail(c, WF_ENOMEM, "mel: no memory for its filters");
    for (int64_t m = 0; m < b->n_mels && w && row; m++) {
        fn(b, m, row);
        for (int64_t f = 0; f < F; f++) w[m * F + f] = (float)row[f];
    }
    wf_tensor *t = wf_from_host(c, WF_DTYPE_F32, &s, w);
    wf_mem_free(wf_ctx_get_mem(c), w);
    wf_mem_free(wf_ctx_get_mem(c), row);
    return t;
}

/* Sides are straight in Hz. */
static void fill_in_hz(const wf_mel_bank *b, int64_t m, double *row)
{
    double edge[3], sum = 0;
    const int64_t F = b->n_fft / 2 + 1;
    const double low = to_mel(b->low_hz, b->scale), high = to_mel(b->high_hz, b->scale);
    for (int i = 0; i < 3; i++)
        edge[i] = to_hz(low + (high - low) * (double)(m + i) / (double)(b->n_mels + 1), b->scale);
    for (int64_t f = 0; f < F; f++) {
        const double hz = (double)f * b->rate_hz / (double)b->n_fft;
        row[f] = triangle(hz, edge[0], edge[1], edge[2]);
        sum += row[f];
    }
    const int64_t nearest = llround(edge[1] * (double)b->n_fft / b->rate_hz);
    if (b->norm == WF_MEL_UNIT && sum == 0) row[nearest < F ? nearest : F - 1] = sum = 1;
    const double scale = b->norm == WF_MEL_PEAK ? 1
                         : b->norm == WF_MEL_UNIT ? 1 / sum
                                                  : 2 / (edge[2] - edge[0]);
    for (int64_t f = 0; f < F; f++) row[f] *= scale;
}

wf_tensor *wf_mel_filters(wf_ctx *c, const wf_mel_bank *b) { return make_bank(c, b, fill_in_hz); }

static double to_kaldi_mel(double hz) { return 1127 * log(1 + hz / 700); }

/* Kaldi's sides are straight in mel, and the last bin belongs to no band. */
static void fill_in_mel(const wf_mel_bank *b, int64_t m, double *row)
{
    const double low = to_kaldi_mel(b->low_hz);
    const double step = (to_kaldi_mel(b->high_hz) - low) / (double)(b->n_mels + 1);
    const double left = low + step * (double)m;
    for (int64_t f = 0; f < b->n_fft / 2; f++) {
        const double mel = to_kaldi_mel((double)f * b->rate_hz / (double)b->n_fft);
        row[f] = triangle(mel, left, left + step, left + 2 * step);
    }
    row[b->n_fft / 2] = 0;
}

/* ---- front ends ---- */

bool wf_mel_find(const char *name, wf_mel *out)
{
    static const struct { const char *name; wf_mel mel;
    } known[] = {
        {"audioldm",
         {{16000, 0, 8000, 1024, 64, WF_MEL_SLANEY, WF_MEL_SLANEY_AREA},
          160,
          512,
          false,
          0,
          1e-5,
          WF_MEL_LN}},
        {"clap",
         {{48000, 50, 14000, 1024, 64, WF_MEL_SLANEY, WF_MEL_SLANEY_AREA},
          480,
          512,
          true,
          0,
          1e-10,
          WF_MEL_DB}},
        {"clap-fusion",
         {{48000, 50, 14000, 1024, 64, WF_MEL_HTK, WF_MEL_PEAK},
          480,
          512,
          true,
          0,
          1e-10,
          WF_MEL_DB}},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(known[i].name, name) == 0) {
            *out = known[i].mel;
            return true;
        }
    return false;
}

/* What makes of the natural logarithm each of wf_mel_log. */
static const double log_scales[] = {1, 0.43429448190325182765, 4.3429448190325182765};

/* |X|^2 of a spectrum [...,F,2]. */
static wf_tensor *power_of(wf_ctx *c, wf_tensor *x)
{
    return wf_sum(c, wf_square(c, x), 1, (int[]){-1}, false);
}

static wf_status check_sound(wf_ctx *c, const wf_tensor *x, int64_t samples)
{
    char text[160];
    if (wf_has_failed(c)) return wf_get_status(c);
    if (wf_is_dead(x)) return wf_fail_status(c, WF_EDEAD, "mel: the sound's scope has closed");
    if (wf_rank(x) == 2 && wf_dim(x, 1) >= samples) return WF_OK;
    return wf_fail_status(c, WF_ESHAPE, "mel: %s is not [B,S] with at least %lld samples",
                          wf_tensor_text(x, text, sizeof text), (long long)samples);
}

wf_tensor *wf_log_mel(wf_ctx *c, wf_tensor *x, const wf_mel *m)
{
    if (m->hop < 1 || m->hop > MAX_HOP || m->pad < 0 || m->pad > MAX_HOP || !(m->floor > 0))
        return wf_fail(c, WF_EARG, "mel: hop %lld, padding %lld, floor %g", (long long)m->hop,
                       (long long)m->pad, m->floor);
    const int64_t window = m->bank.n_fft - 2 * m->pad;
    if (check_sound(c, x, window > m->pad + 1 ? window : m->pad + 1) != WF_OK) return NULL;
    wf_scope *scope = wf_scope_open_on(c, x);
    wf_tensor *s =
        power_of(c, wf_stft(c, wf_pad(c, x, (int64_t[]){0, 0, m->pad, m->pad}, WF_PAD_REFLECT, 0),
                            wf_hann(c, m->bank.n_fft, true), m->hop));
    if (!m->power) s = wf_sqrt(c, m->eps > 0 ? wf_affine(c, s, 1, m->eps) : s);
    s = wf_clamp(c, wf_linear(c, s, wf_mel_filters(c, &m->bank), NULL), m->floor, INFINITY);
    return wf_scope_close(c, scope, wf_scale(c, wf_log(c, s), log_scales[m->log]));
}

wf_tensor *wf_mel_sound(wf_ctx *c, wf_tensor *mel, const wf_mel *m, int64_t n_steps,
                        const wf_griffin_lim *o)
{
    wf_scope *scope = wf_scope_open_on(c, mel);
    wf_tensor *bands = wf_exp(c, wf_scale(c, mel, 1 / log_scales[m->log]));
    wf_tensor *s = wf_mel_invert(c, bands, wf_mel_filters(c, &m->bank), n_steps);
    if (m->power) s = wf_sqrt(c, s);
    return wf_scope_close(c, scope, wf_griffin_lim_run(c, s, wf_hann(c, m->bank.n_fft, true), o));
}

/* ---- Kaldi ---- */

/* x [B,S] -> frames [B,T,n], hop apart. */
static wf_tensor *cut_frames(wf_ctx *c, wf_tensor *x, int64_t n, int64_t hop)
{
    const int64_t B = wf_dim(x, 0), T = 1 + (wf_dim(x, 1) - n) / hop;
    const wf_shape s = {.rank = 1, .dims = {T * n}};
    int64_t *at = wf_mem_alloc(wf_ctx_get_mem(c), (size_t)(T * n) * sizeof *at);
    if (!at) return wf_fail(c, WF_ENOMEM, "fbank: no memory for its frames");
    for (int64_t i = 0; i < T * n; i++) at[i] = i / n * hop + i % n;
    wf_tensor *ids = wf_from_host(c, WF_DTYPE_I64, &s, at);
    wf_mem_free(wf_ctx_get_mem(c), at);
    return wf_reshape3(c, wf_index_select(c, x, ids, 1), B, T, n);
}

/* y[k] = x[k] - 0.97 x[k-1] along frames [B,T,n]; the first sample stands before itself. */
static wf_tensor *emphasise(wf_ctx *c, wf_tensor *x)
{
    const int64_t n = wf_rank(x) == 3 ? wf_dim(x, 2) : 0;
    wf_tensor *before[] = {wf_slice(c, x, 2, 0, 1, 1), wf_slice(c, x, 2, 0, n - 1, 1)};
    return wf_sub(c, x, wf_scale(c, wf_concat(c, before, 2, 2), 0.97));
}

wf_tensor *wf_kaldi_fbank(wf_ctx *c, wf_tensor *x, int64_t rate_hz, int64_t n_mels)
{
    if (rate_hz < 1000 || rate_hz > 768000)
        return wf_fail(c, WF_EARG, "fbank: rate of %lld Hz", (long long)rate_hz);
    const int64_t n = rate_hz * 25 / 1000, hop = rate_hz / 100;
    if (check_sound(c, x, n) != WF_OK) return NULL;
    wf_mel_bank bank = {.rate_hz = (double)rate_hz, .low_hz = 20, .high_hz = (double)rate_hz / 2,
                        .n_fft = 2, .n_mels = n_mels};
    while (bank.n_fft < n) bank.n_fft *= 2;

    wf_scope *scope = wf_scope_open_on(c, x);
    wf_tensor *f = cut_frames(c, x, n, hop);
    f = emphasise(c, wf_sub(c, f, wf_mean(c, f, 1, (int[]){-1}, true)));
    f = wf_mul(c, f, wf_hann(c, n, false));
    f = wf_pad(c, f, (int64_t[]){0, 0, 0, 0, 0, bank.n_fft - n}, WF_PAD_CONSTANT, 0);
    const wf_shape all = {.rank = 1, .dims = {bank.n_fft}};
    f = wf_stft(c, wf_reshape2(c, f, -1, bank.n_fft), wf_full(c, WF_DTYPE_F32, &all, 1),
                bank.n_fft);
    f = wf_linear(c, power_of(c, f), make_bank(c, &bank, fill_in_mel), NULL);
    f = wf_log(c,
               wf_clamp(c, f, 1.1920928955078125e-07, INFINITY)); /* FLT_EPSILON, Kaldi's floor */
    const int64_t B = wf_dim(x, 0), T = 1 + (wf_dim(x, 1) - n) / hop;
    return wf_scope_close(c, scope, wf_reshape3(c, f, B, T, n_mels));
}

/* ---- lengths ---- */

wf_tensor *wf_sound_fit(wf_ctx *c, wf_tensor *x, int64_t samples, wf_fit how)
{
    if (check_sound(c, x, 1) != WF_OK) return NULL;
    const int64_t B = wf_dim(x, 0), S = wf_dim(x, 1);
    if (samples < 1 || samples > INT64_C(1) << 40)
        return wf_fail(c, WF_EARG, "fit: %lld samples", (long long)samples);
    if (samples <= S) return wf_slice(c, x, 1, 0, samples, 1);
    const int64_t copies = how == WF_FIT_PAD      ? 1
                           : how == WF_FIT_REPEAT ? samples / S + 1
                                                  : samples / S;
    const wf_shape many = {.rank = 3, .dims = {B, copies, S}};
    x = wf_reshape2(c, wf_expand(c, wf_unsqueeze(c, x, 1), &many), B, copies * S);
    if (copies * S >= samples) return wf_slice(c, x, 1, 0, samples, 1);
    return wf_pad(c, x, (int64_t[]){0, 0, 0, samples - copies * S}, WF_PAD_CONSTANT, 0);
}
