/* mel.c - mel front ends, Kaldi's features and Griffin-Lim as torchaudio and transformers make
 * them. */
#include "core/media/mel.h"

#include "core/base/rng.h"
#include "core/media/spectrum.h"
#include "core/tensor/ops.h"
#include "tests/unit/vectors.h"

typedef wf_tensor *(*call)(wf_ctx *c, const vectors *v, const wf_json *row);

/* Every case of op within tolerance; returns how many. */
static int run_cases(bench *b, const char *op, call fn, double tolerance)
{
    wf_ctx *c = b->c;
    vectors v = open_vectors(c, "tests/media/vectors/audio.safetensors");
    int n = 0;
    for (int64_t i = 0; i < wf_json_count(v.rows); i++) {
        const wf_json *row = wf_json_at(v.rows, i);
        if (!is_op(row, op)) continue;
        wf_scope *s = wf_scope_open(c);
        wf_tensor *y = fn(c, &v, row);
        const double d = difference(c, y, get_vector(c, &v, row, "outputs", 0));
        if (!(d <= tolerance)) print_error("%s %s: off by %g\n", op, case_of(row), d);
        assert_true(d <= tolerance);
        wf_scope_close(c, s, NULL);
        n++;
    }
    close_vectors(&v);
    return n;
}

static wf_mel_bank bank_of(const wf_json *row)
{
    return (wf_mel_bank){
        .rate_hz = attr(row, "rate"),
        .low_hz = attr(row, "low"),
        .high_hz = attr(row, "high"),
        .n_fft = (int64_t)attr(row, "n_fft"),
        .n_mels = (int64_t)attr(row, "mels"),
        .scale = strcmp(attr_text(row, "scale"), "htk") == 0 ? WF_MEL_HTK : WF_MEL_SLANEY,
        .norm = strcmp(attr_text(row, "norm"), "none") != 0 ? WF_MEL_SLANEY_AREA : WF_MEL_PEAK};
}

static wf_tensor *filters(wf_ctx *c, const vectors *v, const wf_json *row)
{
    (void)v;
    const wf_mel_bank b = bank_of(row);
    return wf_mel_filters(c, &b);
}

/* Both in double precision, stored as f32. */
static void banks_are_torchaudios(void **state)
{
    assert_int_equal(run_cases(*state, "mel_filters", filters, 1e-7), 12);
}

/* Narrow bands over few bins: each adds up to 1, those between two bins as well. */
static void unit_bands_hear_everything(void **state)
{
    bench *b = *state;
    wf_ctx *c = b->c;
    wf_scope *s = wf_scope_open(c);
    const wf_mel_bank k = {.rate_hz = 8000,
                           .low_hz = 40,
                           .high_hz = 3950,
                           .n_fft = 256,
                           .n_mels = 64,
                           .norm = WF_MEL_UNIT};
    const wf_shape shape = {.rank = 1, .dims = {64}};
    wf_tensor *sums = wf_sum(c, wf_mel_filters(c, &k), 1, (int[]){1}, false);
    assert_true(difference(c, sums, wf_full(c, WF_DTYPE_F32, &shape, 1)) < 1e-6);
    wf_scope_close(c, s, NULL);
}

static wf_tensor *log_mel(wf_ctx *c, const vectors *v, const wf_json *row)
{
    wf_mel m = {.bank = bank_of(row),
                .hop = (int64_t)attr(row, "hop"),
                .pad = (int64_t)attr(row, "pad"),
                .eps = attr(row, "eps"),
                .floor = 1e-5,
                .log = WF_MEL_LN};
    return wf_log_mel(c, get_vector(c, v, row, "inputs", 0), &m);
}

/* Logarithms of sums whose terms lose about 2e-7 of the frame's loudest in single precision; bands
 * 40 dB below it lose 100 times that. */
static void log_mels_are_audioldms(void **state)
{
    bench *b = *state;
    wf_mel m;
    assert_int_equal(run_cases(b, "log_mel", log_mel, 5e-6), 3);
    assert_true(wf_mel_find("audioldm", &m));
    assert_int_equal(m.pad, 512);
    assert_false(wf_mel_find("other", &m));
}

static wf_tensor *fbank(wf_ctx *c, const vectors *v, const wf_json *row)
{
    return wf_kaldi_fbank(c, get_vector(c, v, row, "inputs", 0), (int64_t)attr(row, "rate"),
                          (int64_t)attr(row, "mels"));
}

/* The reference computes in single precision, in another order; taking off the frame mean and its
 * neighbour cancels. */
static void fbanks_are_kaldis(void **state)
{
    assert_int_equal(run_cases(*state, "kaldi_fbank", fbank, 4e-4), 3);
}

static wf_tensor *clap(wf_ctx *c, const vectors *v, const wf_json *row)
{
    wf_mel m;
    const bool is_fused = strcmp(attr_text(row, "truncation"), "fusion") == 0;
    assert_true(wf_mel_find(is_fused ? "clap-fusion" : "clap", &m));
    m.bank = (wf_mel_bank){.rate_hz = attr(row, "rate"),
                           .low_hz = attr(row, "low"),
                           .high_hz = attr(row, "high"),
                           .n_fft = (int64_t)attr(row, "n_fft"),
                           .n_mels = (int64_t)attr(row, "mels"),
                           .scale = m.bank.scale,
                           .norm = m.bank.norm};
    m.hop = (int64_t)attr(row, "hop");
    m.pad = m.bank.n_fft / 2;
    const char *how = attr_text(row, "padding");
    const wf_fit fit = strcmp(how, "pad") == 0      ? WF_FIT_PAD
                       : strcmp(how, "repeat") == 0 ? WF_FIT_REPEAT
                                                    : WF_FIT_REPEAT_PAD;
    const int64_t samples = (int64_t)(attr(row, "rate") * attr(row, "seconds"));
    return wf_log_mel(c, wf_sound_fit(c, get_vector(c, v, row, "inputs", 0), samples, fit), &m);
}

/* The same in dB, which are 4.3 times as many. */
static void claps_are_transformers(void **state)
{
    assert_int_equal(run_cases(*state, "clap_mel", clap, 4e-5), 6);
}

static wf_tensor *istft(wf_ctx *c, const vectors *v, const wf_json *row)
{
    wf_tensor *w = wf_hann(c, (int64_t)attr(row, "n_fft"), true);
    return wf_istft(c, get_vector(c, v, row, "inputs", 0), w, (int64_t)attr(row, "hop"));
}

static wf_tensor *griffin(wf_ctx *c, const vectors *v, const wf_json *row)
{
    const wf_griffin_lim o = {.hop = (int64_t)attr(row, "hop"),
                              .n_iters = (int64_t)attr(row, "iters"),
                              .momentum = attr(row, "momentum")};
    wf_tensor *w = wf_hann(c, (int64_t)attr(row, "n_fft"), true);
    return wf_griffin_lim_run(c, get_vector(c, v, row, "inputs", 0), w, &o);
}

/* Steps of Griffin-Lim widen rounding where a bin is nearly silent. */
static void inverses_are_torchaudios(void **state)
{
    assert_int_equal(run_cases(*state, "istft", istft, 4e-7), 1);
    assert_int_equal(run_cases(*state, "griffin_lim", griffin, 1e-5), 3);
}

/* |stft(griffin_lim(|stft x|))| must come near to |stft x|, and nearer with more steps. */
static void griffin_lim_converges(void **state)
{
    bench *b = *state;
    wf_ctx *c = b->c;
    vectors v = open_vectors(c, "tests/media/vectors/audio.safetensors");
    wf_scope *s = wf_scope_open(c);
    wf_tensor *want =
        wf_tensors_get(c, v.file, wf_tensors_find(v.file, "griffin_lim.1_0.0.magnitude"));
    wf_tensor *w = wf_hann(c, 256, true);
    double last = 1;
    for (int64_t n = 2; n <= 128; n *= 4) {
        const wf_griffin_lim o = {
            .hop = 64, .n_iters = n, .momentum = 0.9, .random = true, .seed = 3};
        wf_tensor *y = wf_pad(c, wf_griffin_lim_run(c, want, w, &o), (int64_t[]){0, 0, 128, 128},
                              WF_PAD_REFLECT, 0);
        wf_tensor *z =
            wf_sqrt(c, wf_sum(c, wf_square(c, wf_stft(c, y, w, 64)), 1, (int[]){-1}, false));
        float rel[2];
        assert_int_equal(
            wf_to_f32(c, wf_sum(c, wf_square(c, wf_sub(c, z, want)), 0, NULL, false), rel, 1),
            WF_OK);
        assert_int_equal(wf_to_f32(c, wf_sum(c, wf_square(c, want), 0, NULL, false), rel + 1, 1),
                         WF_OK);
        const double error = sqrt((double)rel[0] / (double)rel[1]);
        assert_true(error < last);
        last = error;
    }
    assert_true(last < 0.12);
    wf_scope_close(c, s, NULL);
    close_vectors(&v);
}

/* Bands of inverted bands are the bands. */
static void bands_are_inverted(void **state)
{
    bench *b = *state;
    wf_ctx *c = b->c;
    wf_scope *s = wf_scope_open(c);
    const wf_mel_bank k = {.rate_hz = 16000, .high_hz = 8000, .n_fft = 512, .n_mels = 40};
    const wf_shape shape = {.rank = 3, .dims = {1, 5, 257}};
    wf_tensor *bank = wf_mel_filters(c, &k);
    wf_tensor *mel = wf_linear(c, wf_square(c, wf_randn(c, &shape, 1, 0, WF_RNG_USER)), bank, NULL);
    wf_tensor *x = wf_mel_invert(c, mel, bank, 200);
    assert_true(difference(c, wf_linear(c, x, bank, NULL), mel) < 0.02);
    assert_true(difference(c, x, wf_relu(c, x)) == 0);
    wf_scope_close(c, s, NULL);
}

static void refuses_nonsense(void **state)
{
    bench *b = *state;
    wf_ctx *c = b->c;
    wf_scope *s = wf_scope_open(c);
    const wf_shape shape = {.rank = 2, .dims = {1, 400}};
    wf_tensor *x = wf_zeros(c, WF_DTYPE_F32, &shape);
    wf_mel m;
    assert_true(wf_mel_find("audioldm", &m));
    assert_null(wf_log_mel(c, x, &m));
    expect_error(c, WF_ESHAPE, "at least 513 samples");
    m.bank.high_hz = 20000;
    assert_null(wf_mel_filters(c, &m.bank));
    expect_error(c, WF_EARG, "20000 Hz");
    assert_null(wf_kaldi_fbank(c, x, 44100, 128));
    expect_error(c, WF_ESHAPE, "1102 samples");
    assert_null(wf_kaldi_fbank(c, x, 0, 128));
    expect_error(c, WF_EARG, "0 Hz");
    assert_null(wf_sound_fit(c, x, 0, WF_FIT_PAD));
    expect_error(c, WF_EARG, "0 samples");
    assert_null(wf_istft(c, x, wf_hann(c, 4, true), 2));
    expect_error(c, WF_ESHAPE, "no spectrum");
    wf_scope_close(c, s, NULL);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, bench_open, bench_close)
    const struct CMUnitTest tests[] = {
        TEST(banks_are_torchaudios),  TEST(unit_bands_hear_everything),
        TEST(log_mels_are_audioldms), TEST(fbanks_are_kaldis),
        TEST(claps_are_transformers), TEST(inverses_are_torchaudios),
        TEST(griffin_lim_converges),  TEST(bands_are_inverted),
        TEST(refuses_nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
