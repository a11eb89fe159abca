/*
 * grad.c - the gradient of every op against central differences, in f64 on the plain truths, at the
 * inputs of tests/op/vectors.
 */
#include <stdlib.h>

#include "core/file/tensors.h"
#include "core/tensor/backend.h"
#include "core/tensor/op_impl.h"
#include "tests/unit/gradcheck.h"
#include "tests/unit/op_cases.h"

enum { N_FILES = sizeof op_case_files / sizeof *op_case_files };

static wf_ctx *c;
static bool is_checked[WF_OP_COUNT];

/* A case as a function of its inputs. */
typedef struct call {
    const wf_json *row;
    int n_in;
} call;

static wf_tensor *run(wf_ctx *ctx, wf_tensor *const *in, void *arg)
{
    const call *k = arg;
    wf_tensor *x[WF_OP_MAX_IN] = {NULL}, *out[WF_OP_MAX_OUT] = {NULL};
    for (int i = 0; i < k->n_in; i++) x[i] = in[i];
    op_case_call(ctx, k->row, x, k->n_in, out);
    return out[0];
}

/* At these inputs the op has a kink, or no slope that a difference could measure. */
static bool is_kinked(const wf_json *row)
{
    static const char *const cases[][2] = {
        {"max_pool2d", NULL},           /* equal neighbours: checked away from ties in ops_b.c */
        {"softmax", "large"},           /* slopes below the rounding of f64 sums */
        {"max", "tie"}, {"min", "tie"}, /* half of the slope on either side */
    };
    const char *op = wf_json_get_text(c, row, "op", ""),
               *name = wf_json_get_text(c, row, "case", "");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (strcmp(op, cases[i][0]) == 0 && (!cases[i][1] || strcmp(name, cases[i][1]) == 0))
            return true;
    return false;
}

static void note_op(const wf_json *row)
{
    const wf_op *op = op_find(wf_json_get_text(c, row, "op", ""));
    if (op) is_checked[op - wf_op_get((wf_op_id)0)] = true;
}

static void check_case(wf_tensors *file, const wf_json *row)
{
    char name[120];
    const wf_json *inputs = wf_json_find(row, "inputs"), *grads = wf_json_find(row, "grads");
    wf_tensor *in[WF_OP_MAX_IN] = {NULL};
    call k = {row, (int)wf_json_count(inputs)};
    unsigned wrt = 0;
    for (int i = 0; i < k.n_in; i++) {
        const int64_t at = wf_tensors_find(file, wf_json_text(wf_json_at(inputs, i), ""));
        in[i] = wf_tensors_get(c, file, at);
        if (wf_dtype_is_float(wf_get_dtype(in[i]))) in[i] = wf_cast(c, in[i], WF_DTYPE_F64);
        if (wf_json_text(wf_json_at(grads, i), NULL)) wrt |= 1u << i;
    }
    if (wrt == 0) return;
    if (is_kinked(row)) return;
    note_op(row);
    snprintf(name, sizeof name, "%s %s", wf_json_get_text(c, row, "op", "?"),
             wf_json_get_text(c, row, "case", "?"));
    gradcheck(c, name, run, &k, in, k.n_in, wrt);
}

static void check_file(void **state)
{
    char path[200];
    snprintf(path, sizeof path, "tests/op/vectors/%s.safetensors", (const char *)*state);
    wf_tensors *file = wf_tensors_open(c, path);
    assert_non_null(file);
    const char *text = wf_tensors_get_meta(file, "cases");
    wf_json *cases = wf_json_parse(c, text, strlen(text), path);
    for (int64_t i = 0; i < wf_json_count(cases); i++) {
        wf_scope *s = wf_scope_open(c);
        check_case(file, wf_json_at(cases, i));
        wf_scope_close(c, s, NULL);
    }
    wf_json_free(cases);
    wf_tensors_close(file);
}

/* Copies have nothing to compute; max_pool2d is checked away from ties in ops_b.c. */
static bool is_elsewhere(const char *op)
{
    static const char *const names[] = {"copy", "cast", "max_pool2d"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(op, names[i]) == 0) return true;
    return false;
}

/* No op with a gradient is left out; adjoints are checked with the op whose gradient they are. */
static void no_op_is_forgotten(void **state)
{
    (void)state;
    int n_missing = 0;
    for (int i = 0; i < WF_OP_COUNT; i++) {
        const wf_op *op = wf_op_get((wf_op_id)i);
        const size_t n = strlen(op->name);
        const bool is_adjoint =
            n > 3 && (strcmp(op->name + n - 3, "_dx") == 0 || strcmp(op->name + n - 3, "_dw") == 0);
        if (!op->backward || is_checked[i] || is_adjoint || is_elsewhere(op->name)) continue;
        print_error("  %s has a gradient and no case\n", op->name);
        n_missing++;
    }
    if (n_missing) fail_msg("%d gradients are not checked", n_missing);
}

static int start(void **state)
{
    (void)state;
    c = wf_ctx_new(1);
    (void)wf_cpu_fill(wf_cpu_device(), "plain");
    return c ? 0 : 1;
}

static int stop(void **state)
{
    (void)state;
    (void)wf_cpu_fill(wf_cpu_device(), "");
    wf_ctx_free(c);
    return 0;
}

int main(void)
{
    struct CMUnitTest tests[N_FILES + 1];
    for (int i = 0; i < N_FILES; i++)
        tests[i] = (struct CMUnitTest){op_case_files[i], check_file, NULL, NULL,
                                       (void *)(uintptr_t)op_case_files[i]};
    tests[N_FILES] = (struct CMUnitTest)cmocka_unit_test(no_op_is_forgotten);
    return cmocka_run_group_tests(tests, start, stop);
}
