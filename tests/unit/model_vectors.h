/* model_vectors.h - a model from tests/model/vectors against the reference's inputs and outputs, on
 * the CPU and on a device whose memory the host cannot touch. */
#ifndef WF_TESTS_MODEL_VECTORS_H
#define WF_TESTS_MODEL_VECTORS_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/file/tensors.h"
#include "core/model/model.h"
#include "core/tensor/backend.h"
#include "core/tensor/ops.h"

#define VECTORS "tests/model/vectors/"

/* Where the models of a group lie: set by the group's setup. */
static wf_device *device;

static inline int on_cpu(void **state)
{
    (void)state;
    device = wf_cpu_device();
    return 0;
}

static inline int on_test_device(void **state)
{
    (void)state;
    device = wf_test_device();
    return 0;
}

/* Run tests[] on every device; name says of what they are. */
#define RUN_ON_DEVICES(name, tests)                                                \
    (cmocka_run_group_tests_name(name " on the cpu", tests, on_cpu, NULL) +        \
     cmocka_run_group_tests_name(name " on the test device", tests, on_test_device, NULL))

static inline wf_ctx *open_ctx(int n_threads)
{
    wf_ctx *c = wf_ctx_new(n_threads);
    wf_ctx_set_device(c, device);
    return c;
}

/* Of the largest output: both sides add up in f32, in other orders. */
static const double TOLERANCE = 2e-5;

static inline void expect_ok(wf_ctx *c, const char *what)
{
    char msg[WF_ERR_MAX];
    if (wf_take_error(c, msg, sizeof msg) != WF_OK) fail_msg("%s: %s", what, msg);
}

static inline void expect_error(wf_ctx *c, wf_status st, const char *part)
{
    char msg[WF_ERR_MAX];
    const wf_status got = wf_take_error(c, msg, sizeof msg);
    if (got != st || !strstr(msg, part))
        fail_msg("\"%s\" (%s) is not \"%s\" (%s)", msg, wf_status_text(got), part,
                 wf_status_text(st));
}

/* The tensor of that name on the group's device, channels moved to the end: NCHW, or frames
 * [B,C,L,H,W]. NULL when the file has none. */
static inline wf_tensor *vector_get(wf_ctx *c, wf_tensors *f, const char *name)
{
    static const int picture[] = {0, 2, 3, 1}, video[] = {0, 2, 3, 4, 1};
    const int64_t i = wf_tensors_find(f, name);
    if (i < 0) return NULL;
    wf_tensor *t = wf_to_device(c, wf_tensors_get(c, f, i), device);
    const int rank = wf_rank(t);
    if (rank != 4 && rank != 5) return t;
    return wf_contiguous(c, wf_permute(c, t, rank, rank == 4 ? picture : video));
}

static inline void expect_close(wf_ctx *c, const char *name, wf_tensor *got, wf_tensor *want)
{
    const int64_t n = wf_numel(want);
    if (!got || !want || wf_numel(got) != n) fail_msg("%s: shapes differ", name);
    if (wf_get_device(got) != device)
        fail_msg("%s: is on %s, not on %s", name, wf_get_device(got)->name, device->name);
    float *a = test_malloc((size_t)n * sizeof *a), *b = test_malloc((size_t)n * sizeof *b);
    assert_int_equal(wf_to_f32(c, got, a, n), WF_OK);
    assert_int_equal(wf_to_f32(c, want, b, n), WF_OK);
    double worst = 0.0, scale = 0.0;
    for (int64_t i = 0; i < n; i++) {
        const double d = fabs((double)a[i] - (double)b[i]);
        worst = d > worst || isnan(d) ? d : worst;
        scale = fabs((double)b[i]) > scale ? fabs((double)b[i]) : scale;
    }
    test_free(a);
    test_free(b);
    if (!(worst <= TOLERANCE * scale)) fail_msg("%s: off by %.3g of %.3g", name, worst, scale);
}

static inline wf_tensor *output_get(const wf_named *out, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (strcmp(out[i].name, name) == 0) return out[i].t;
    return NULL;
}

#endif
