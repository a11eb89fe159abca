/*
 * kernels.c - every kernel of every level against the truth of its op, on random shapes.
 *
 * Sizes are mostly no multiples of a vector's width, 0 and 1 among them; two of each op's samples
 * are large enough to be cut into parts, and those must give the same bytes for 1 to 4 threads. An
 * op with a kernel but no maker here fails, and so does a kernel that declines every sample.
 */
#include "core/tensor/backend.h"
#include "tests/unit/kernel_samples.h"
#include "tests/unit/near.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N_SAMPLES = 16, N_LARGE = 2, N_NAN = 6, N_LEVELS = 4 };

/* ---- running one sample ---- */

static wf_op_fn chosen[WF_OP_COUNT];    /* the level's kernels, behind the counting one */
static int n_taken;                     /* calls that a kernel did not decline */

static wf_status counted(wf_ctx *ctx, wf_op_args *a)
{
    const wf_status st = chosen[a->op - wf_op_get((wf_op_id)0)](ctx, a);
    n_taken += st != WF_ESKIP;
    return st;
}

/* The values of every output, as f32, one after the other; output i ends at end[i]. */
typedef struct results {
    float *v;
    int64_t end[WF_OP_MAX_OUT], n;
    int n_out;
} results;

/* An op that writes in place gets copies. */
static results run(const sample *s, wf_op_id id)
{
    results r = {0};
    wf_tensor *in[8] = {NULL}, *out[WF_OP_MAX_OUT] = {NULL};
    const wf_op *op = wf_op_get(id);
    int n_out = op->n_out;
    for (int i = 0; i < s->n_in; i++) in[i] = op->flag == WF_INTO ? wf_copy(c, s->in[i]) : s->in[i];
    (void)wf_op_call_multi(c, id, in, s->n_in, s->attr, s->n_attr, out);
    if (op->flag == WF_INTO)
        for (n_out = 0; n_out < s->n_in && n_out < WF_OP_MAX_OUT; n_out++) out[n_out] = in[n_out];
    for (int i = 0; i < n_out && !wf_has_failed(c); i++) r.end[r.n_out++] = r.n += wf_numel(out[i]);
    r.v = malloc((size_t)r.n * sizeof *r.v + 1);
    for (int i = 0; i < r.n_out; i++) {
        const int64_t n = wf_numel(out[i]);
        if (wf_to_f32(c, out[i], r.v + r.end[i] - n, n) != WF_OK) break;
    }
    return r;
}

/* The first value that should be NaN and is not; -1 of none. It may spread further than the
 * truth's: a block of values is transformed as one. */
static int64_t find_swallowed(const results *got, const results *want)
{
    for (int64_t i = 0; i < want->n; i++)
        if (isnan(want->v[i]) && !isnan(got->v[i])) return i;
    return -1;
}

/* The first value that is not near want's, each output by its own size; -1 of none. */
static int64_t find_wrong(const sample *s, const results *got, const results *want, double *rms)
{
    for (int64_t i = 0, at = 0; i < want->n_out; at = want->end[i++]) {
        const int64_t n = want->end[i] - at;
        const int64_t wrong = near_find_wrong(got->v + at, want->v + at, n, s->rel, s->abs);
        *rms = near_rms(want->v + at, n);
        if (wrong >= 0) return at + wrong;
    }
    return -1;
}

static void describe(const sample *s, wf_op_id id, const char *level, char *text, size_t bytes)
{
    char one[180];
    size_t n = (size_t)snprintf(text, bytes, "%s %s:", level, wf_op_get(id)->name);
    for (int i = 0; i < s->n_in && n < bytes; i++)
        n += (size_t)snprintf(text + n, bytes - n, " %s",
                              s->in[i] ? wf_tensor_text(s->in[i], one, sizeof one) : "-");
    for (int i = 0; i < s->n_attr && n < bytes; i++)
        n += (size_t)snprintf(text + n, bytes - n, " %g", s->attr[i]);
}

static void check_failed(const char *name)
{
    char msg[WF_ERR_MAX];
    if (wf_take_error(c, msg, sizeof msg) != WF_OK) fail_msg("%s: %s", name, msg);
}

/* ---- all samples of all ops ---- */

static const char *const levels[N_LEVELS] = {"avx2", "avx512", "avx512bf16", "amx"};

static void fill_plain(void) { (void)wf_cpu_fill(wf_cpu_device(), "plain"); }

/* Choose the level's kernel for one op alone, so that no other op's kernel makes its inputs. */
static void fill_one(const char *level, wf_op_id id)
{
    wf_device *d = wf_cpu_device();
    (void)wf_cpu_fill(d, level);
    memcpy(chosen, d->kernel, sizeof chosen);
    fill_plain();
    if (chosen[id]) d->kernel[id] = counted;
}

/* Some inputs as f16 or bf16, which kernels expand. Where the first is, the result has its dtype:
 * good to two units in the last place of f16. */
static void mix_dtypes(sample *s, wf_op_id id)
{
    if (wf_op_get(id)->flag == WF_INTO || id == WF_OP_ID_cast || id == WF_OP_ID_concat) return;
    bool first = true;
    for (int i = 0; i < s->n_in; i++) {
        if (!s->in[i] || wf_get_dtype(s->in[i]) != WF_DTYPE_F32) continue;
        if (!first && draw() % 4 == 0) s->in[i] = any_float(s->in[i]);
        if (first && draw() % 16 == 0) {
            s->in[i] = wf_cast(c, s->in[i], WF_DTYPE_F16);
            s->rel = s->abs = 2e-3;
        }
        first = false;
    }
}

/* One value of a float input becomes NaN, of half of them all others -inf. Not of stft: its kernel
 * knows that the first frequency has no imaginary part. */
static void plant_nan(sample *s, wf_op_id id)
{
    const int k = (int)draw_to(s->n_in - 1);
    wf_tensor *x = s->in[k];
    if (id == WF_OP_ID_stft || !x || wf_numel(x) == 0 || wf_get_dtype(x) != WF_DTYPE_F32) return;
    const wf_shape shape = wf_get_shape(x);
    const int64_t n = wf_numel(x);
    float *v = malloc((size_t)n * sizeof *v);
    const float others = draw() % 2 ? -INFINITY : 0.0f;
    for (int64_t i = 0; i < n; i++) v[i] = others;
    v[draw_to(n - 1)] = NAN;
    s->in[k] = wf_add(c, x, wf_from_host(c, WF_DTYPE_F32, &shape, v));
    s->has_nan = true;
    free(v);
}

/* Samples from N_SAMPLES on are those in which a NaN stands. */
static sample make_sample(wf_op_id id, int i)
{
    sample s = {.large = i >= N_SAMPLES - N_LARGE && i < N_SAMPLES};
    seed = (uint64_t)id * 1000003u + (uint64_t)i * 1009u;
    maker_of(id)(&s, id);
    mix_dtypes(&s, id);
    if (i >= N_SAMPLES) plant_nan(&s, id);
    check_failed(wf_op_get(id)->name);
    return s;
}

/* The ith sample again, made anew: weights prepared for one level are of no use to another. */
static int check_level(int i, wf_op_id id, const char *level, const results *want)
{
    char text[900];
    double rms = 0.0;
    const sample made = make_sample(id, i), *s = &made;
    fill_one(level, id);
    describe(s, id, level, text, sizeof text);
    assert_int_equal(wf_ctx_set_threads(c, 1), WF_OK);
    const results got = run(s, id);
    check_failed(text);
    assert_true(got.n == want->n);
    int64_t wrong = s->has_nan ? find_swallowed(&got, want) : find_wrong(s, &got, want, &rms);
    if (wrong >= 0)
        print_error("  %s: value %lld is %.9g, wants %.9g (rms %.3g)\n", text, (long long)wrong,
                    (double)got.v[wrong], (double)want->v[wrong], rms);
    for (int threads = 2; threads <= 4 && s->large; threads++) {
        assert_int_equal(wf_ctx_set_threads(c, threads), WF_OK);
        const results again = run(s, id);
        check_failed(text);
        if (memcmp(again.v, got.v, (size_t)got.n * sizeof *got.v) != 0) {
            print_error("  %s: other bytes with %d threads\n", text, threads);
            wrong = 0;
        }
        free(again.v);
    }
    free(got.v);
    fill_plain();
    return wrong >= 0;
}

static int check_op(wf_op_id id, const bool *runs)
{
    int n_wrong = 0, taken[N_LEVELS] = {0};
    for (int i = 0; i < N_SAMPLES + N_NAN; i++) {
        wf_scope *scope = wf_scope_open(c);
        fill_plain();
        const sample s = make_sample(id, i);
        const results want = run(&s, id);
        check_failed(wf_op_get(id)->name);
        for (int l = 0; l < N_LEVELS; l++) {
            n_taken = 0;
            if (runs[l]) n_wrong += check_level(i, id, levels[l], &want);
            taken[l] += n_taken;
        }
        free(want.v);
        wf_scope_close(c, scope, NULL);
    }
    for (int l = 0; l < N_LEVELS; l++) {
        if (!runs[l] || taken[l] > 0) continue;
        print_error("  %s %s: the kernel declined every sample\n", levels[l], wf_op_get(id)->name);
        n_wrong++;
    }
    return n_wrong;
}

static void kernels_match_truths(void **state)
{
    (void)state;
    int n_wrong = 0, n_ops = 0;
    bool machine[N_LEVELS];
    for (int l = 0; l < N_LEVELS; l++) {
        machine[l] = strcmp(wf_cpu_fill(wf_cpu_device(), levels[l]), levels[l]) == 0;
        if (!machine[l]) print_message("  skipped: this machine has no %s\n", levels[l]);
    }
    for (int i = 0; i < WF_OP_COUNT; i++) {
        bool runs[N_LEVELS], any = false;
        for (int l = 0; l < N_LEVELS; l++) {
            (void)wf_cpu_fill(wf_cpu_device(), levels[l]);
            runs[l] = machine[l] && wf_cpu_device()->kernel[i];
            any = any || runs[l];
        }
        if (!any) continue;
        n_ops++;
        if (!maker_of((wf_op_id)i)) {
            print_error("  %s has a kernel and no sample here\n", wf_op_get((wf_op_id)i)->name);
            n_wrong++;
        } else {
            n_wrong += check_op((wf_op_id)i, runs);
        }
    }
    (void)wf_cpu_fill(wf_cpu_device(), "");
    print_message("  %d ops with kernels\n", n_ops);
    if (n_wrong) fail_msg("%d samples wrong", n_wrong);
}

/* bf16 products, which a user has to ask for, keep 8 bits of each factor: 2^-9 each, and in a sum
 * whose errors have random signs up to some five times that of the result's rms. */
static int check_bf16(wf_op_id id, int i)
{
    wf_scope *scope = wf_scope_open(c);
    sample s = make_sample(id, i);
    s.rel = 1e-2, s.abs = 2e-2;
    assert_int_equal(wf_ctx_set_threads(c, 1), WF_OK);
    const results want = run(&s, id);
    wf_ctx_set_bf16(c, true);
    const results got = run(&s, id);
    assert_int_equal(wf_ctx_set_threads(c, 3), WF_OK);
    const results again = run(&s, id);
    wf_ctx_set_bf16(c, false);
    check_failed(wf_op_get(id)->name);
    double rms;
    const int64_t wrong = find_wrong(&s, &got, &want, &rms);
    if (wrong >= 0)
        print_error("  bf16 %s %d: value %lld is %.9g, wants %.9g (rms %.3g)\n",
                    wf_op_get(id)->name, i, (long long)wrong, (double)got.v[wrong],
                    (double)want.v[wrong], rms);
    const bool same = memcmp(got.v, again.v, (size_t)got.n * sizeof *got.v) == 0;
    if (!same) print_error("  bf16 %s %d: other bytes with 3 threads\n", wf_op_get(id)->name, i);
    n_taken += memcmp(got.v, want.v, (size_t)got.n * sizeof *got.v) != 0;
    free(got.v);
    free(want.v);
    free(again.v);
    wf_scope_close(c, scope, NULL);
    return wrong >= 0 || !same;
}

static void bf16_products(void **state)
{
    static const wf_op_id ops[] = {WF_OP_ID_linear, WF_OP_ID_matmul, WF_OP_ID_conv2d,
                                   WF_OP_ID_conv2d_dx, WF_OP_ID_conv2d_dw, WF_OP_ID_attention};
    static const char *const only[] = {NULL, NULL, NULL, NULL, "avx512bf16", "amx"};
    const char *level = *state;
    const bool runs = strcmp(wf_cpu_fill(wf_cpu_device(), level), level) == 0;
    c = wf_ctx_new(1);
    assert_non_null(c);
    if (!runs) print_message("  skipped: this machine has no %s\n", level);
    for (int k = 0; runs && k < (int)(sizeof ops / sizeof *ops); k++) {
        if (only[k] && strcmp(only[k], level) != 0) continue;
        int n_wrong = 0;
        n_taken = 0;
        for (int i = 0; i < N_SAMPLES; i++) n_wrong += check_bf16(ops[k], i);
        assert_int_equal(n_wrong, 0);
        assert_true(n_taken > 0);          /* else nothing ran in bf16 */
    }
    wf_ctx_free(c);
    (void)wf_cpu_fill(wf_cpu_device(), "");
}

enum { STAND_ROWS = 150, STAND_N = 1100, STAND_K = 1500, STAND_FIRST = 97, STAND_COUNT = 9 };

/* Whether a few rows of a product give the bytes that they have among many. */
static bool rows_same(void)
{
    wf_scope *scope = wf_scope_open(c);
    seed = 77;
    wf_tensor *x = NORMAL(STAND_ROWS, STAND_K), *w = NORMAL(STAND_N, STAND_K);
    wf_tensor *few = wf_contiguous(c, wf_slice(c, x, 0, STAND_FIRST, STAND_COUNT, 1));
    const float *all = wf_data(wf_linear(c, x, w, NULL));
    const float *some = wf_data(wf_linear(c, few, w, NULL));
    check_failed("linear");
    const bool same = memcmp(some, all + STAND_FIRST * STAND_N,
                             (size_t)STAND_COUNT * STAND_N * sizeof *some) == 0;
    wf_scope_close(c, scope, NULL);
    return same;
}

/* Rows do not know of the rows beside them, however a product cuts them into blocks: taller ones
 * where weights are as large as these. */
static void rows_stand_alone(void **state)
{
    (void)state;
    for (int l = 0; l < N_LEVELS; l++) {
        if (strcmp(wf_cpu_fill(wf_cpu_device(), levels[l]), levels[l]) != 0) continue;
        for (int bf16 = 0; bf16 < 2; bf16++) {
            wf_ctx_set_bf16(c, bf16 != 0);
            if (!rows_same()) fail_msg("%s, bf16 %d: other bytes", levels[l], bf16);
        }
        wf_ctx_set_bf16(c, false);
    }
    (void)wf_cpu_fill(wf_cpu_device(), "");
}

static int open_ctx(void **state)
{
    (void)state;
    c = wf_ctx_new(1);
    return c ? 0 : -1;
}

static int close_ctx(void **state)
{
    (void)state;
    wf_ctx_free(c);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(kernels_match_truths, open_ctx, close_ctx),
        cmocka_unit_test_setup_teardown(rows_stand_alone, open_ctx, close_ctx),
        {"bf16_products avx512bf16", bf16_products, NULL, NULL, "avx512bf16"},
        {"bf16_products amx", bf16_products, NULL, NULL, "amx"},
    };
    return cmocka_run_group_tests_name("kernels", tests, NULL, NULL);
}
