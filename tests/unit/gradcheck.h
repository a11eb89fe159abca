/* gradcheck.h - gradients on the tape against central differences, in f64. */
#ifndef WF_TESTS_GRADCHECK_H
#define WF_TESTS_GRADCHECK_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/rng.h"
#include "core/tensor/grad.h"
#include "core/tensor/ops.h"

/* y from in[]; may be any composition of ops. arg is the caller's. */
typedef wf_tensor *(*gradcheck_fn)(wf_ctx *c, wf_tensor *const *in, void *arg);

/* Fail the test, with its sentence, when the context has failed. */
static inline void gradcheck_ok(wf_ctx *c, const char *name)
{
    char msg[WF_ERR_MAX];
    if (wf_take_error(c, msg, sizeof msg) != WF_OK) fail_msg("%s: %s", name, msg);
}

/* Standard normal values of any float dtype, the same for the same seed. */
static inline wf_tensor *gradcheck_randn(wf_ctx *c, wf_dtype t, const wf_shape *s, uint64_t seed)
{
    return wf_cast(c, wf_randn(c, s, seed, 0, WF_RNG_USER), t);
}

/* sum y dy for y = fn(in), in double. */
static inline double gradcheck_loss(wf_ctx *c, gradcheck_fn fn, void *arg, wf_tensor *const *in,
                                    const double *dy, const char *name)
{
    wf_scope *s = wf_scope_open(c);
    wf_tensor *y = fn(c, in, arg);
    gradcheck_ok(c, name);
    const int64_t n = wf_numel(y);
    double *v = malloc((size_t)n * sizeof *v + 1), sum = 0.0;
    assert_int_equal(wf_to_host(c, wf_cast(c, y, WF_DTYPE_F64), v, (size_t)n * sizeof *v), WF_OK);
    for (int64_t i = 0; i < n; i++) sum += v[i] * dy[i];
    free(v);
    wf_scope_close(c, s, NULL);
    return sum;
}

/* Numeric slope of the loss along value i of in[k], whose values are v[n]. */
static inline double gradcheck_slope(wf_ctx *c, gradcheck_fn fn, void *arg, wf_tensor *const *in,
                                     int n_in, int k, double *v, int64_t i, const double *dy,
                                     const char *name)
{
    wf_tensor *moved[16];
    const double was = v[i], h = 1e-5 * fmax(fabs(was), 1e-3);    /* small where slopes are steep */
    const wf_shape shape = wf_get_shape(in[k]);
    double loss[2];
    for (int side = 0; side < 2; side++) {
        wf_scope *s = wf_scope_open(c);
        v[i] = was + (side ? h : -h);
        for (int j = 0; j < n_in; j++) moved[j] = in[j];
        moved[k] = wf_from_host(c, WF_DTYPE_F64, &shape, v);
        loss[side] = gradcheck_loss(c, fn, arg, moved, dy, name);
        wf_scope_close(c, s, NULL);
    }
    v[i] = was;
    return (loss[1] - loss[0]) / (2.0 * h);
}

/* Compare one input's gradient with its numeric slopes, at most 40 of them, evenly spread. */
static inline void gradcheck_input(wf_ctx *c, gradcheck_fn fn, void *arg, wf_tensor *const *in,
                                   int n_in, int k, wf_tensor *grad, const double *dy,
                                   const char *name)
{
    const int64_t n = wf_numel(in[k]);
    double *v = malloc((size_t)n * sizeof *v + 1), *g = calloc((size_t)n + 1, sizeof *g),
           scale = 0.0;
    assert_int_equal(wf_to_host(c, in[k], v, (size_t)n * sizeof *v), WF_OK);
    if (grad) {
        const wf_shape got = wf_get_shape(grad), want = wf_get_shape(in[k]);
        if (!wf_shape_is_same(&got, &want)) fail_msg("%s: gradient %d has another shape", name, k);
        assert_int_equal(wf_to_host(c, wf_cast(c, grad, WF_DTYPE_F64), g, (size_t)n * sizeof *g),
                         WF_OK);
    }
    for (int64_t i = 0; i < n; i++) scale = fmax(scale, fabs(g[i]));
    const int64_t step = n > 40 ? n / 40 : 1;
    for (int64_t i = 0; i < n; i += step) {
        if (!isfinite(v[i])) continue;        /* a mask's -inf has no neighbours */
        const double want = gradcheck_slope(c, fn, arg, in, n_in, k, v, i, dy, name);
        /* 1e-4: central differences in f64 are good to about 1e-7 of the largest slope
         */
        if (!(fabs(g[i] - want) <= 1e-4 * fmax(fabs(want), 1e-2 * scale + 1e-4)))
            fail_msg("%s: input %d value %lld: gradient %.9g, numeric %.9g", name, k, (long long)i,
                     g[i], want);
    }
    free(v);
    free(g);
}

/* Check d fn / d in[k] for every k of wrt (a bit each) at in[n_in], all f64 where checked. */
static inline void gradcheck(wf_ctx *c, const char *name, gradcheck_fn fn, void *arg,
                             wf_tensor *const *in, int n_in, unsigned wrt)
{
    wf_tensor *chosen[16], *grads[16] = {NULL};
    int n = 0;
    wf_scope *s = wf_scope_open(c);
    for (int k = 0; k < n_in; k++)
        if (wrt >> k & 1u) chosen[n++] = in[k];
    wf_tape *t = wf_tape_open(c, chosen, n);
    wf_tensor *y = fn(c, in, arg);
    gradcheck_ok(c, name);
    const wf_shape shape = wf_get_shape(y);
    const int64_t ny = wf_numel(y);
    double *dy = malloc((size_t)ny * sizeof *dy + 1);
    wf_tensor *up = gradcheck_randn(c, WF_DTYPE_F64, &shape, 77);
    assert_int_equal(wf_to_host(c, up, dy, (size_t)ny * sizeof *dy), WF_OK);
    if (wf_tape_backward_from(t, y, up, grads) != WF_OK) gradcheck_ok(c, name);
    wf_tape_close(t);
    for (int k = 0, j = 0; k < n_in; k++)
        if (wrt >> k & 1u) gradcheck_input(c, fn, arg, in, n_in, k, grads[j++], dy, name);
    free(dy);
    wf_scope_close(c, s, NULL);
}

#endif
