/*
 * op_vectors.c - PyTorch's numbers: every case of tests/op/vectors, results and gradients, on every
 * kernel level of this machine and on a device that the host cannot touch, dense and strided.
 *
 * The files and their schema: tests/ref/README.md.
 */
#include "core/file/json.h"
#include "core/file/tensors.h"
#include "core/tensor/backend.h"
#include "core/tensor/grad.h"
#include "core/tensor/ops.h"
#include "tests/unit/near.h"
#include "tests/unit/op_cases.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* A value may be off by rel of itself and abs of the root mean square of its tensor. */
typedef struct family {
    const char *name;
    double rel, abs;
    double grad_rel, grad_abs;
} family;

/* The vectors are f64 results rounded to f32, 6e-8 of a value. A kernel works in f32:
 *   copies           none of it; the adjoint of padding adds up a few values in f32
 *   elementwise      a few roundings, and polynomials good to some units in the last place; where
 * an input was broadcast its gradient is a sum, whose terms may cancel sums             of at most
 * 3001 terms in vector lanes, whose roundings grow like sqrt(terms) products         the same over
 * at most 130 terms; their gradients chain two of them norms            a difference from the mean,
 * whose rounding rstd magnifies (case "offset": 30 / 2); the gradient of a sharp softmax is a
 * difference far smaller than its terms attention        two products and exp of scores to about
 * 10, whose error becomes relative Winograd         stays under 1e-5 rms; here under 1e-6, as the
 * tiles are few */
static const family families[] = {
    {"view", 0, 0, 1e-6, 1e-6},
    {"unary", 2e-6, 1e-6, 3e-6, 2e-6},
    {"binary", 1e-6, 5e-7, 3e-6, 1e-5},
    {"reduce", 2e-6, 1e-6, 2e-6, 1e-6},
    {"sort", 0, 0, 0, 0},
    {"matmul", 2e-6, 2e-6, 4e-6, 4e-6},
    {"conv", 2e-6, 4e-6, 4e-6, 4e-6},
    {"norm", 4e-6, 4e-6, 1e-5, 5e-5},
    {"attention", 4e-6, 3e-6, 1e-5, 5e-6},
    {"index", 2e-7, 1e-7, 1e-6, 2e-7},
    {"resize", 1e-6, 1e-6, 1e-6, 1e-6},
    {"loss", 2e-6, 1e-6, 4e-6, 2e-6},
    {"stft", 2e-6, 2e-6, 4e-6, 4e-6},
    {"train", 1e-6, 1e-6, 0, 0},
};

/* One way of running every case. */
typedef struct setting {
    const char *name;
    wf_device *device;
    bool strided;
    const family *family;
} setting;

static wf_ctx *c;
static int n_wrong;

/* Report one case's failure and go on, so that one run shows them all. */
static void complain(const setting *s, const wf_json *row, const char *text)
{
    n_wrong++;
    print_error("  %s%s: %s %s: %s\n", s->name, s->strided ? " strided" : "",
                wf_json_get_text(c, row, "op", "?"), wf_json_get_text(c, row, "case", "?"), text);
}

/* ---- comparing ---- */

static float *read_values(wf_tensor *t)
{
    const int64_t n = wf_numel(t);
    float *v = malloc((size_t)n * sizeof *v + 1);
    if (wf_to_f32(c, t, v, n) == WF_OK) return v;
    free(v);
    return NULL;
}

static void compare_values(const setting *s, const wf_json *row, const char *what, const float *got,
                           const float *want, int64_t n, double rel, double abs)
{
    char text[200];
    const int64_t i = near_find_wrong(got, want, n, rel, abs);
    if (i < 0) return;
    snprintf(text, sizeof text, "%s value %lld is %.9g, wants %.9g (rms %.3g)", what, (long long)i,
             (double)got[i], (double)want[i], near_rms(want, n));
    complain(s, row, text);
}

static void compare(const setting *s, const wf_json *row, const char *what, wf_tensor *got,
                    wf_tensor *want, double rel, double abs)
{
    char text[WF_ERR_MAX + 200], a[180], b[180];
    if (!wf_has_failed(c) && !got) {
        complain(s, row, "no gradient");
        return;
    }
    const wf_shape gs = wf_has_failed(c) ? (wf_shape){0} : wf_get_shape(got),
                   ws = wf_get_shape(want);
    const bool float_want = wf_dtype_is_float(wf_get_dtype(want));
    if (!wf_has_failed(c) &&
        (!wf_shape_is_same(&gs, &ws) || (!float_want && wf_get_dtype(got) != wf_get_dtype(want)))) {
        snprintf(text, sizeof text, "%s is %s, wants %s", what, wf_tensor_text(got, a, sizeof a),
                 wf_tensor_text(want, b, sizeof b));
        complain(s, row, text);
        return;
    }
    float *g = wf_has_failed(c) ? NULL : read_values(got), *w = g ? read_values(want) : NULL;
    if (g && w)
        compare_values(s, row, what, g, w, wf_numel(want), float_want ? rel : 0.0,
                       float_want ? abs : 0.0);
    else if (wf_take_error(c, text, sizeof text) != WF_OK) complain(s, row, text);
    free(g);
    free(w);
}

/* ---- one case ---- */

/* The named tensor on the setting's device, floats behind odd strides if it says so. */
static wf_tensor *load(const setting *s, wf_tensors *f, const char *name)
{
    const int64_t at = wf_tensors_find(f, name);
    if (at < 0) fail_msg("the file has no tensor %s", name);
    wf_tensor *x = wf_to_device(c, wf_tensors_get(c, f, at), s->device);
    if (!x || !s->strided || wf_rank(x) == 0 || !wf_dtype_is_float(wf_get_dtype(x))) return x;
    int64_t pads[2 * WF_MAX_RANK];
    for (int i = 0; i < 2 * wf_rank(x); i++) pads[i] = 1 + i % 2;
    wf_tensor *y = wf_pad(c, x, pads, WF_PAD_CONSTANT, 1e30);
    for (int d = 0; d < wf_rank(x); d++) y = wf_slice(c, y, d, 1, wf_dim(x, d), 1);
    return y;
}

static const char *name_at(const wf_json *list, int64_t i)
{
    return wf_json_text(wf_json_at(list, i), NULL);
}

static void compare_gradients(const setting *s, wf_tensors *file, const wf_json *row, wf_tape *tape,
                              wf_tensor *y, int n_grads)
{
    wf_tensor *got[WF_OP_MAX_IN] = {NULL}, *want[WF_OP_MAX_IN];
    const wf_json *names = wf_json_find(row, "grads");
    int n = 0;
    wf_tape_pause(c);
    wf_tensor *dy = load(s, file, wf_json_get_text(c, row, "dy", NULL));
    for (int64_t i = 0; i < wf_json_count(names); i++)
        if (name_at(names, i))
            want[n++] = wf_tensors_get(c, file, wf_tensors_find(file, name_at(names, i)));
    wf_tape_resume(c);
    assert_int_equal(n, n_grads);
    wf_status st = wf_tape_backward_from(tape, y, dy, got);
    for (int i = 0; i < n; i++) {
        compare(s, row, "gradient", got[i], want[i], s->family->grad_rel, s->family->grad_abs);
        if (st != WF_OK) break;
    }
}

static void run_case(const setting *s, wf_tensors *file, const wf_json *row)
{
    const family *f = s->family;
    wf_tensor *in[WF_OP_MAX_IN] = {NULL}, *out[WF_OP_MAX_OUT] = {NULL}, *chosen[WF_OP_MAX_IN];
    const wf_json *inputs = wf_json_find(row, "inputs"), *outputs = wf_json_find(row, "outputs");
    const wf_json *grads = wf_json_find(row, "grads");
    const int n_in = (int)wf_json_count(inputs);
    int n_chosen = 0;
    wf_scope *scope = wf_scope_open(c);
    for (int i = 0; i < n_in; i++) {
        in[i] = load(s, file, name_at(inputs, i));
        if (name_at(grads, i)) chosen[n_chosen++] = in[i];
    }
    wf_tape *tape = n_chosen ? wf_tape_open(c, chosen, n_chosen) : NULL;
    op_case_call(c, row, in, n_in, out);
    wf_tape_pause(c);
    for (int64_t i = 0; i < wf_json_count(outputs); i++)
        compare(s, row, "result", out[i],
                wf_tensors_get(c, file, wf_tensors_find(file, name_at(outputs, i))), f->rel,
                f->abs);
    wf_tape_resume(c);
    if (tape && out[0]) compare_gradients(s, file, row, tape, out[0], n_chosen);
    wf_tape_close(tape);
    wf_scope_close(c, scope, NULL);
    (void)wf_take_error(c, NULL, 0);
}

/* ---- all cases of a family under all settings ---- */

typedef void (*case_fn)(const setting *s, wf_tensors *file, const wf_json *row);

static int64_t each_case(const setting *s, case_fn run)
{
    char path[200];
    snprintf(path, sizeof path, "tests/op/vectors/%s.safetensors", s->family->name);
    wf_ctx_set_device(c, s->device);
    wf_scope *scope = wf_scope_open(c);
    wf_tensors *file = wf_tensors_open(c, path);
    if (!file) {
        char msg[WF_ERR_MAX];
        (void)wf_take_error(c, msg, sizeof msg);
        fail_msg("%s", msg);
    }
    const char *text = wf_tensors_get_meta(file, "cases");
    assert_non_null(text);
    wf_json *cases = wf_json_parse(c, text, strlen(text), path);
    const int64_t n = wf_json_count(cases);
    for (int64_t i = 0; i < n; i++) run(s, file, wf_json_at(cases, i));
    wf_json_free(cases);
    wf_tensors_close(file);
    wf_scope_close(c, scope, NULL);
    wf_ctx_set_device(c, wf_cpu_device());
    return n;
}

static void test_family(void **state)
{
    static const char *const levels[] = {"plain", "avx2", "avx512", "avx512bf16", "amx"};
    const family *f = *state;
    wf_device *cpu = wf_cpu_device();
    const char *best = wf_cpu_fill(cpu, "");
    n_wrong = 0;
    for (int i = 0; i < (int)(sizeof levels / sizeof *levels); i++) {
        if (strcmp(wf_cpu_fill(cpu, levels[i]), levels[i]) != 0) {
            print_message("  skipped: this machine runs %s at most, not %s\n", best, levels[i]);
            continue;
        }
        for (int strided = 0; strided < 2; strided++)
            assert_true(each_case(&(setting){levels[i], cpu, strided, f}, run_case) > 0);
    }
    (void)wf_cpu_fill(cpu, "");
    for (int strided = 0; strided < 2; strided++)
        assert_true(each_case(&(setting){"test", wf_test_device(), strided, f}, run_case) > 0);
    if (n_wrong) fail_msg("%s: %d cases wrong", f->name, n_wrong);
}

/* ---- an op that a device lacks ---- */

/* Whether this case of a composition or a view may succeed where nothing computes: it only looks at
 * the same memory in another way. */
static bool only_looks(const char *name)
{
    const wf_op *op = op_find(name);
    return strcmp(name, "reshape") == 0 || (op && op->flag == WF_VIEW);
}

static void expect_refusal(const setting *s, wf_tensors *file, const wf_json *row)
{
    char msg[WF_ERR_MAX] = "";
    wf_tensor *in[WF_OP_MAX_IN] = {NULL}, *out[WF_OP_MAX_OUT] = {NULL};
    const wf_json *inputs = wf_json_find(row, "inputs");
    const int n_in = (int)wf_json_count(inputs);
    wf_scope *scope = wf_scope_open(c);
    for (int i = 0; i < n_in; i++) in[i] = load(s, file, name_at(inputs, i));
    op_case_call(c, row, in, n_in, out);
    const wf_status st = wf_take_error(c, msg, sizeof msg);
    wf_scope_close(c, scope, NULL);
    if (st == WF_EDEVICE && strstr(msg, " has no kernel on bare for these inputs")) return;
    if (st == WF_OK && only_looks(wf_json_get_text(c, row, "op", ""))) return;
    complain(s, row, st == WF_OK ? "was computed somewhere" : msg);
}

/* A device with neither kernels nor truths refuses every op by name: none falls back to the host.
 */
static void no_op_falls_back(void **state)
{
    (void)state;
    wf_device bare = *wf_test_device();
    bare.name = "bare";
    bare.truth = false;
    n_wrong = 0;
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        assert_true(each_case(&(setting){"bare", &bare, false, &families[i]}, expect_refusal) > 0);
    if (n_wrong) fail_msg("%d cases were not refused", n_wrong);
}

/* The system, which may read what the host may, cannot read the device's memory between its calls.
 */
static void the_host_is_shut_out(void **state)
{
    (void)state;
    int ends[2];
    wf_scope *scope = wf_scope_open(c);
    wf_tensor *x = wf_to_device(c, wf_scalar(c, 2.0), wf_test_device());
    assert_int_equal(pipe(ends), 0);
    for (int ran = 0; ran < 2; ran++) {
        assert_int_equal(write(ends[1], wf_device_data(x), sizeof(float)), -1);
        assert_int_equal(errno, EFAULT);
        x = wf_square(c, x);
    }
    assert_true(wf_item(c, x) == 16.0);
    (void)close(ends[0]);
    (void)close(ends[1]);
    wf_scope_close(c, scope, NULL);
}

/* Tensors on two devices do not meet, and no gradient is lost on the way from one to the other. */
static void devices_do_not_mix(void **state)
{
    (void)state;
    char msg[WF_ERR_MAX];
    wf_scope *scope = wf_scope_open(c);
    wf_tensor *x = wf_scalar(c, 2.0), *y = wf_to_device(c, x, wf_test_device());
    assert_null(wf_data(y));
    assert_null(wf_f32(y));
    assert_true(wf_item(c, y) == 2.0);
    assert_null(wf_add(c, x, y));
    assert_int_equal(wf_take_error(c, msg, sizeof msg), WF_EDEVICE);
    assert_string_equal(msg, "add: inputs on cpu and on test; move one with to(device)");
    wf_tape *tape = wf_tape_open(c, &x, 1);
    assert_null(wf_to_device(c, wf_square(c, x), wf_test_device()));
    assert_int_equal(wf_take_error(c, msg, sizeof msg), WF_EGRAD);
    wf_tape_close(tape);
    wf_scope_close(c, scope, NULL);
}

/* ---- every row of ops.def has a case ---- */

static bool has_case(const char *op)
{
    char key[80];
    snprintf(key, sizeof key, "\"op\": \"%s\"", op);
    bool found = false;
    for (size_t i = 0; i < sizeof families / sizeof *families && !found; i++) {
        char path[200];
        snprintf(path, sizeof path, "tests/op/vectors/%s.safetensors", families[i].name);
        wf_tensors *file = wf_tensors_open(c, path);
        assert_non_null(file);
        const char *text = wf_tensors_get_meta(file, "cases");
        found = text && strstr(text, key);
        wf_tensors_close(file);
    }
    return found;
}

/* Adjoints (_dx, _dw) are held by the gradients of their op; the rest is held by its own vectors.
 */
static void every_op_has_vectors(void **state)
{
    (void)state;
    static const char *const elsewhere[] = {
        "copy", "cast",         /* tests/unit/ops_a.c: there is nothing to compute */
    };
    int n_missing = 0;
    for (int i = 0; i < WF_OP_COUNT; i++) {
        const char *name = wf_op_get((wf_op_id)i)->name;
        const size_t n = strlen(name);
        bool held = n > 3 && (strcmp(name + n - 3, "_dx") == 0 || strcmp(name + n - 3, "_dw") == 0);
        for (size_t j = 0; j < sizeof elsewhere / sizeof *elsewhere; j++)
            held = held || strcmp(name, elsewhere[j]) == 0;
        if (held || has_case(name)) continue;
        print_error("  %s has no case in tests/op/vectors\n", name);
        n_missing++;
    }
    if (n_missing) fail_msg("%d ops without vectors", n_missing);
}

static int open_ctx(void **state)
{
    (void)state;
    c = wf_ctx_new(2);
    return c ? 0 : -1;
}

/* Nothing stays behind: no storage, no handle, on either device. */
static int close_ctx(void **state)
{
    (void)state;
    const size_t live = wf_mem_get_stats(wf_ctx_get_mem(c)).live_bytes;
    wf_ctx *fresh = wf_ctx_new(2);
    const size_t bare = wf_mem_get_stats(wf_ctx_get_mem(fresh)).live_bytes;
    wf_ctx_free(fresh);
    wf_ctx_free(c);
    if (live == bare) return 0;
    print_error("  %zu bytes are live, a fresh context has %zu\n", live, bare);
    return -1;
}

int main(void)
{
    enum { N = sizeof families / sizeof *families, FIRST = 4 };
    struct CMUnitTest tests[FIRST + N] = {
        cmocka_unit_test_setup_teardown(every_op_has_vectors, open_ctx, close_ctx),
        cmocka_unit_test_setup_teardown(no_op_falls_back, open_ctx, close_ctx),
        cmocka_unit_test_setup_teardown(the_host_is_shut_out, open_ctx, close_ctx),
        cmocka_unit_test_setup_teardown(devices_do_not_mix, open_ctx, close_ctx),
    };
    for (int i = 0; i < N; i++)
        tests[FIRST + i] = (struct CMUnitTest){families[i].name, test_family, open_ctx, close_ctx,
                                               (void *)(uintptr_t)&families[i]};
    return cmocka_run_group_tests_name("op_vectors", tests, NULL, NULL);
}
