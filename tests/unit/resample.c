/* resample.c - sounds at other rates as torchaudio makes them, and by laws that hold for any pair.
 */
#include "core/media/resample.h"

#include "core/tensor/ops.h"
#include "tests/unit/vectors.h"

/* Sums of 15 to 40 products of values below 1, in double precision here and there, stored as f32.
 */
static const double TOLERANCE = 2e-7;

static void is_equal_to_torchaudio(void **state)
{
    bench *b = *state;
    wf_ctx *c = b->c;
    vectors v = open_vectors(c, "tests/media/vectors/audio.safetensors");
    int n = 0;
    for (int64_t i = 0; i < wf_json_count(v.rows); i++) {
        const wf_json *row = wf_json_at(v.rows, i);
        if (!is_op(row, "resample")) continue;
        wf_scope *s = wf_scope_open(c);
        wf_tensor *x = wf_permute(c, get_vector(c, &v, row, "inputs", 0), 2, (int[]){1, 0});
        wf_tensor *y = wf_resample(c, x, (int64_t)attr(row, "from"), (int64_t)attr(row, "to"));
        const double d =
            difference(c, wf_permute(c, y, 2, (int[]){1, 0}), get_vector(c, &v, row, "outputs", 0));
        if (d > TOLERANCE) print_error("%s: off by %g\n", case_of(row), d);
        assert_true(d <= TOLERANCE);
        wf_scope_close(c, s, NULL);
        n++;
    }
    assert_true(n >= 7);
    close_vectors(&v);
}

/* sin of hz at rate, [samples,2]; channel 1 is twice as loud. */
static wf_tensor *make_tone(wf_ctx *c, double hz, int64_t rate, int64_t samples)
{
    const wf_shape s = {.rank = 2, .dims = {samples, 2}};
    float *v = malloc((size_t)samples * 2 * sizeof *v);
    for (int64_t i = 0; i < 2 * samples; i++)
        v[i] = (float)((i % 2 ? 0.8 : 0.4) *
                       sin(6.283185307179586 * hz * (double)(i / 2) / (double)rate));
    wf_tensor *t = wf_from_host(c, WF_DTYPE_F32, &s, v);
    free(v);
    return t;
}

/* A tone far below both Nyquist frequencies stays itself away from the ends, at any pair of rates.
 */
static void tones_stay(void **state)
{
    bench *b = *state;
    wf_ctx *c = b->c;
    static const int64_t pairs[][2] = {{44100, 44099}, {8000, 48000}, {48000, 8000}, {11025, 16000},
                                       {768000, 16001}, {12345, 54321}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        wf_scope *s = wf_scope_open(c);
        const int64_t from = pairs[i][0], to = pairs[i][1], N = (to / 5 * from + to - 1) / to;
        wf_tensor *y = wf_resample(c, make_tone(c, 500, from, N), from, to);
        wf_tensor *want = make_tone(c, 500, to, wf_dim(y, 0));
        const int64_t edge = wf_dim(y, 0) / 10;
        assert_int_equal(wf_dim(y, 0), (N * to + from - 1) / from);
        const double d = difference(c, wf_slice(c, y, 0, edge, 8 * edge, 1),
                                    wf_slice(c, want, 0, edge, 8 * edge, 1));
        if (d > 1e-3) print_error("%lld to %lld: off by %g\n", (long long)from, (long long)to, d);
        assert_true(d <= 1e-3);         /* the filter's ripple */
        wf_scope_close(c, s, NULL);
    }
}

static void what_lies_above_is_removed(void **state)
{
    bench *b = *state;
    wf_ctx *c = b->c;
    wf_scope *s = wf_scope_open(c);
    wf_tensor *y = wf_resample(c, make_tone(c, 6000, 48000, 9600), 48000, 8000);
    y = wf_slice(c, y, 0, 100, 1400, 1);
    assert_true(difference(c, y, wf_scale(c, y, 0)) < 0.01);
    wf_scope_close(c, s, NULL);
}

static void any_number_of_threads_gives_the_same(void **state)
{
    bench *b = *state;
    wf_ctx *c = b->c;
    wf_scope *s = wf_scope_open(c);
    wf_tensor *x = make_tone(c, 440, 44100, 40000), *y = wf_resample(c, x, 44100, 16000);
    assert_int_equal(wf_ctx_set_threads(c, 3), WF_OK);
    assert_true(difference(c, y, wf_resample(c, x, 44100, 16000)) == 0);
    wf_scope_close(c, s, NULL);
}

static void refuses_nonsense(void **state)
{
    bench *b = *state;
    wf_ctx *c = b->c;
    wf_scope *s = wf_scope_open(c);
    wf_tensor *x = make_tone(c, 440, 44100, 40);
    assert_null(wf_resample(c, x, 0, 1));
    expect_error(c, WF_EARG, "0 to 1 Hz");
    assert_null(wf_resample(c, x, 8000, 1000000));
    expect_error(c, WF_EARG, "1000000 Hz");
    assert_null(wf_resample(c, wf_reshape(c, x, 1, (int64_t[]){80}), 1, 2));
    expect_error(c, WF_ESHAPE, "[80]");
    wf_scope_close(c, s, NULL);
}

static void out_of_memory_is_an_error(void **state)
{
    bench *b = *state;
    wf_ctx *c = b->c;
    wf_mem *m = wf_ctx_get_mem(c);
    wf_scope *outer = wf_scope_open(c);
    wf_tensor *x = make_tone(c, 440, 44100, 400);
    const size_t before = wf_mem_get_stats(m).live_bytes;
    for (uint64_t k = 1;; k++) {
        wf_scope *s = wf_scope_open(c);
        const size_t open = wf_mem_get_stats(m).live_bytes;
        wf_mem_fail_nth(m, k);
        wf_tensor *y = wf_resample(c, x, 44100, 16000);
        wf_mem_fail_nth(m, 0);
        if (!y) assert_int_equal(wf_mem_get_stats(m).live_bytes, open);
        wf_scope_close(c, s, NULL);
        assert_int_equal(wf_mem_get_stats(m).live_bytes, before);
        if (y) break;
        expect_error(c, WF_ENOMEM, "");
    }
    wf_scope_close(c, outer, NULL);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, bench_open, bench_close)
    const struct CMUnitTest tests[] = {
        TEST(is_equal_to_torchaudio), TEST(tones_stay), TEST(what_lies_above_is_removed),
        TEST(any_number_of_threads_gives_the_same), TEST(refuses_nonsense),
        TEST(out_of_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
