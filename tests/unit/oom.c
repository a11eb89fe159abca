/*
 * oom.c - every allocation of a training step failed in turn: WF_ENOMEM each time, nothing leaked,
 * and the context goes on to compute what it computed before.
 *
 * The step is a convolution, norms, attention, products and a loss, their gradients, a checkpointed
 * block and an optimiser step, on the CPU at its best level and in plain C, and on the test device.
 * Tensors made outside of scopes likewise, and with a device that takes no data.
 */
#include "core/base/rng.h"
#include "core/tensor/backend.h"
#include "core/tensor/grad.h"
#include "core/tensor/ops.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { H = 5, W = 4, T = H * W, C = 8, N_HEADS = 2, N_WEIGHTS = 9 };

/* What stands before a step and survives it. */
typedef struct world {
    wf_ctx *c;
    wf_tensor *x, *target, *mask;
    wf_tensor *w[N_WEIGHTS];            /* conv w b, norm w b, qkv, out w b, rms w, mlp */
    wf_tensor *moment[2];               /* of the first weight */
    wf_tensor *first;                   /* the first weight's values at the start */
} world;

static wf_tensor *owned(world *o, int rank, const int64_t *dims)
{
    wf_shape s = {.rank = rank};
    static uint64_t seed = 1;
    memcpy(s.dims, dims, (size_t)rank * sizeof *dims);
    wf_scope *scope = wf_scope_open(o->c);
    wf_tensor *t = wf_scale(o->c, wf_randn(o->c, &s, seed++, 0, WF_RNG_INIT), 0.3);
    return wf_take(o->c, wf_scope_close(o->c, scope, t));
}
#define OWNED(o, ...) \
    owned(o, (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]){__VA_ARGS__})

/* A checkpointed block: a gated product after an RMS norm. */
static wf_tensor *block(wf_ctx *c, void *arg, wf_tensor *const *in, int n_in)
{
    const world *o = arg;
    (void)n_in;
    wf_tensor *h = wf_rms_norm(c, in[0], o->w[7], 1e-6);
    return wf_add(c, in[0], wf_swiglu(c, wf_linear(c, h, o->w[8], NULL), h));
}

static wf_tensor *attend(wf_ctx *c, const world *o, wf_tensor *x)
{
    wf_tensor *qkv = wf_reshape(c, wf_linear(c, x, o->w[4], NULL), 5,
                                (int64_t[]){1, T, 3, N_HEADS, C / N_HEADS});
    wf_tensor *y = wf_attention(c, wf_select(c, qkv, 2, 0), wf_select(c, qkv, 2, 1),
                                wf_select(c, qkv, 2, 2), o->mask, 0.0, false);
    return wf_linear_act(c, wf_reshape3(c, y, 1, T, C), o->w[5], o->w[6], WF_ACT_GELU);
}

static wf_tensor *loss_of(wf_ctx *c, world *o)
{
    wf_tensor *y = wf_conv2d(c, o->x, o->w[0], o->w[1], wf_conv_same(1, 1));
    y = wf_reshape3(c, wf_group_norm_silu(c, y, o->w[2], o->w[3], 4, 1e-5), 1, T, C);
    y = wf_add(c, y, attend(c, o, y));
    y = wf_checkpoint(c, block, o, NULL, &y, 1);
    y = wf_resize_bilinear(c, wf_reshape4(c, y, 1, H, W, C), 2 * H, 2 * W, false);
    return wf_mse(c, wf_avg_pool2d(c, y, 2, 2, 0), o->target);
}

/* One step; the loss, or NAN once the context has failed. */
static double step(world *o)
{
    wf_ctx *c = o->c;
    wf_tensor *grads[N_WEIGHTS] = {NULL};
    wf_scope *s = wf_scope_open(c);
    wf_tape *t = wf_tape_open(c, o->w, N_WEIGHTS);
    wf_tensor *loss = loss_of(c, o);
    const double value = loss ? wf_item(c, loss) : NAN;
    const wf_status st = t && loss ? wf_tape_backward(t, loss, grads) : wf_get_status(c);
    wf_tape_close(t);
    if (st == WF_OK)
        wf_adamw_into(
            c, o->w[0], o->moment[0], o->moment[1], grads[0],
            &(wf_adamw){
                .lr = 0.1, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .step = 1, .grad_scale = 1.0});
    wf_scope_close(c, s, NULL);
    return wf_has_failed(c) ? NAN : value;
}

static void fill_world(world *o)
{
    o->x = OWNED(o, 1, H, W, 3);
    o->target = OWNED(o, 1, H, W, C);
    o->mask = OWNED(o, 1, 1, T, T);
    o->w[0] = OWNED(o, C, 3, 3, 3);
    o->w[1] = OWNED(o, C);
    o->w[2] = OWNED(o, C);
    o->w[3] = OWNED(o, C);
    o->w[4] = OWNED(o, 3 * C, C);
    o->w[5] = OWNED(o, C, C);
    o->w[6] = OWNED(o, C);
    o->w[7] = OWNED(o, C);
    o->w[8] = OWNED(o, C, C);
    o->moment[0] = wf_take(o->c, wf_zeros(o->c, WF_DTYPE_F32, &(wf_shape){4, {C, 3, 3, 3}}));
    o->moment[1] = wf_take(o->c, wf_zeros(o->c, WF_DTYPE_F32, &(wf_shape){4, {C, 3, 3, 3}}));
    o->first = wf_take(o->c, wf_copy(o->c, o->w[0]));
}

static void empty_world(world *o)
{
    wf_tensor *all[] = {o->x, o->target, o->mask, o->moment[0], o->moment[1], o->first};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) wf_release(all[i]);
    for (int i = 0; i < N_WEIGHTS; i++) wf_release(o->w[i]);
}

/* Undo a step: the first weight and its moments as they were. */
static void reset(world *o)
{
    wf_scope *s = wf_scope_open(o->c);
    wf_copy_into(o->c, o->w[0], o->first);
    for (int i = 0; i < 2; i++) wf_copy_into(o->c, o->moment[i], wf_scalar(o->c, 0.0));
    wf_scope_close(o->c, s, NULL);
    assert_false(wf_has_failed(o->c));
}

static size_t live(world *o) { return wf_mem_get_stats(wf_ctx_get_mem(o->c)).live_bytes; }

static void fail_all(wf_device *d)
{
    world o = {.c = wf_ctx_new(2)};
    wf_mem *m = wf_ctx_get_mem(o.c);
    char msg[WF_ERR_MAX];
    const size_t bare = live(&o);
    wf_ctx_set_device(o.c, d);
    fill_world(&o);
    const double wanted = step(&o);
    assert_false(isnan(wanted));
    reset(&o);
    const size_t before = live(&o);
    uint64_t n = 1;
    for (;; n++) {
        wf_mem_fail_nth(m, n);
        const double got = step(&o);
        wf_mem_fail_nth(m, 0);
        const wf_status st = wf_take_error(o.c, msg, sizeof msg);
        if (st == WF_OK) break;
        if (st != WF_ENOMEM) fail_msg("allocation %d: %s (%s)", (int)n, msg, wf_status_text(st));
        if (live(&o) != before)
            fail_msg("allocation %d: %zu bytes leak", (int)n, live(&o) - before);
        assert_true(isnan(got));
        reset(&o);
    }
    print_message("  %s: %d allocations failed in turn\n", d->name, (int)n - 1);
    assert_true(n > 100);
    reset(&o);
    assert_true(step(&o) == wanted);
    empty_world(&o);
    assert_true(live(&o) == bare);
    wf_ctx_free(o.c);
}

static void cpu_best(void **state)
{
    (void)state;
    fail_all(wf_cpu_device());
}

static void cpu_plain(void **state)
{
    (void)state;
    (void)wf_cpu_fill(wf_cpu_device(), "plain");
    fail_all(wf_cpu_device());
    (void)wf_cpu_fill(wf_cpu_device(), "");
}

static void test_device(void **state)
{
    (void)state;
    fail_all(wf_test_device());
}

/* ---- tensors made outside of scopes, where nobody frees what floats ---- */

enum { N_MADE = 5 };

static wf_tensor *make(wf_ctx *c, int i, wf_tensor *x)
{
    static const float v[100] = {1.0f};
    const wf_shape s = {1, {100}};
    switch (i) {
    case 0: return wf_full(c, WF_DTYPE_F32, &s, 1.5);
    case 1: return wf_full(c, WF_DTYPE_I64, &s, 0.0);
    case 2: return wf_zeros(c, WF_DTYPE_F32, &s);
    case 3: return wf_from_host(c, WF_DTYPE_F32, &s, v);
    default: return wf_add(c, x, x);
    }
}

static wf_status refuse(wf_device *d, void *dst, const void *src, size_t bytes)
{
    (void)d, (void)dst, (void)src, (void)bytes;
    return WF_EDEVICE;
}

/* Make kind i with allocation 1, 2, ... failing, or with an upload that fails: st, and no leak. */
static void fail_making(wf_ctx *c, int i, wf_status st)
{
    wf_mem *m = wf_ctx_get_mem(c);
    char msg[WF_ERR_MAX];
    wf_tensor *x = wf_take(c, wf_randn(c, &(wf_shape){1, {100}}, 1, 0, WF_RNG_INIT));
    const size_t before = wf_mem_get_stats(m).live_bytes;
    wf_device broken = *wf_cpu_device(), *d = wf_ctx_get_device(c);
    broken.upload = refuse;
    for (uint64_t n = 1;; n++) {
        if (st == WF_ENOMEM) wf_mem_fail_nth(m, n);
        else wf_ctx_set_device(c, &broken);
        wf_tensor *t = make(c, i, x);
        wf_mem_fail_nth(m, 0);
        wf_ctx_set_device(c, d);
        const wf_status got = wf_take_error(c, msg, sizeof msg);
        if (t) wf_release(wf_take(c, t));
        if (wf_mem_get_stats(m).live_bytes != before)
            fail_msg("kind %d, allocation %d: %zu bytes leak", i, (int)n,
                     wf_mem_get_stats(m).live_bytes - before);
        assert_true(t ? got == WF_OK : got == st);
        if (t || st != WF_ENOMEM) break;
    }
    wf_release(x);
}

static void without_a_scope(void **state)
{
    (void)state;
    wf_ctx *c = wf_ctx_new(1);
    for (int i = 0; i < N_MADE; i++) fail_making(c, i, WF_ENOMEM);
    for (int i = 0; i < N_MADE - 1; i++) fail_making(c, i, WF_EDEVICE);
    wf_ctx_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cpu_best), cmocka_unit_test(cpu_plain), cmocka_unit_test(test_device),
        cmocka_unit_test(without_a_scope),
    };
    return cmocka_run_group_tests_name("oom", tests, NULL, NULL);
}
