/* base.c - memory, threads, random numbers and the tape's own rules. */
#include "core/base/ctx.h"
#include "core/base/rng.h"
#include "core/tensor/tensor.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void near(const float *got, const double *want, int n, double tol)
{
    for (int i = 0; i < n; i++)
        if (fabs((double)got[i] - want[i]) > tol)
            fail_msg("value %d is %.6f, wants %.6f", i, (double)got[i], want[i]);
}

/* The numbers of PyTorch's generators; tolerance: the printed digits. */
static void torch_cpu(void **state)
{
    (void)state;
    wf_mt19937 g;
    float v[16];
    const double seed0[] = {-1.125840, -1.152360, -0.250579, -0.433879,
                            0.848710,  0.692009,  -0.316013, -2.115219};
    const double seed42[] = {1.926915, 1.487284,  0.900717,  -2.105521,
                             0.678418, -1.234545, -0.043067, -1.604667};
    wf_mt19937_seed(&g, 0);
    wf_mt19937_normal(&g, v, 16);
    near(v, seed0, 8, 2e-6);
    wf_mt19937_seed(&g, 42);
    wf_mt19937_normal(&g, v, 16);
    near(v, seed42, 8, 2e-6);
}

/* The same from one generator: draws of few values share their pairs, past a wide one too. */
static void torch_cpu_draws(void **state)
{
    (void)state;
    wf_mt19937 g;
    float v[16];
    const double few[] = {-0.486781, -0.603822, -0.558096, 0.667524, -0.197415, 1.942783},
                 wide[] = {0.258252, -1.883326, 1.280092},
                 after[] = {0.667524, 0.222459, -0.666225};
    wf_mt19937_seed(&g, 5);
    wf_mt19937_normal(&g, v, 3);
    wf_mt19937_normal(&g, v + 3, 3);
    near(v, few, 6, 2e-6);
    wf_mt19937_seed(&g, 5);
    wf_mt19937_normal(&g, v, 3);
    wf_mt19937_normal(&g, v, 16);
    near(v, wide, 3, 2e-6);
    wf_mt19937_normal(&g, v, 3);
    near(v, after, 3, 2e-6);
}

static void torch_cuda(void **state)
{
    (void)state;
    float v[8];
    const double seed0[] = {-0.924663, -0.425344, -2.643846, 0.145184,
                            -0.120867, -0.579726, -0.622851, -0.328387};
    const double first[] = {0.194019,  2.161374, -0.172051, 0.849060,
                            -1.924399, 0.652985, -0.649441, -0.817525};
    const double second[] = {0.139138, -0.108216, -0.717422, 0.756649,
                             0.371488, -1.004941, 0.008295,  0.327658};
    wf_torch_cuda_normal(v, 8, 0, 0);
    near(v, seed0, 8, 2e-6);
    wf_torch_cuda_normal(v, 8, 42, 0);
    near(v, first, 8, 2e-6);
    wf_torch_cuda_normal(v, 8, 42, 1);
    near(v, second, 8, 2e-6);
}

/* A value depends on its position alone, not on where a call begins. */
static void philox_positions(void **state)
{
    (void)state;
    float a[64], b[64];
    const wf_rng_key key = {.seed = 7, .sample = 3, .purpose = WF_RNG_LATENT};
    wf_rng_normal(a, 64, key, 0);
    wf_rng_normal(b, 20, key, 13);
    assert_memory_equal(a + 13, b, 20 * sizeof *a);
    double mean = 0.0;
    for (int i = 0; i < 64; i++) mean += (double)a[i] / 64;
    assert_true(fabs(mean) < 0.5);
}

static void mem_counts(void **state)
{
    (void)state;
    wf_mem *m = wf_mem_new();
    void *p = wf_mem_alloc(m, 1000);
    assert_non_null(p);
    assert_int_equal((uintptr_t)p % 64, 0);
    assert_true(wf_mem_get_stats(m).live_bytes >= 1000);
    wf_mem_free(m, p);
    assert_int_equal(wf_mem_get_stats(m).live_bytes, 0);
    assert_ptr_equal(wf_mem_alloc(m, 1000), p);          /* the cache gave it back */
    wf_mem_free(m, p);
    wf_mem_fail_nth(m, 2);
    p = wf_mem_alloc(m, 8);
    assert_non_null(p);
    assert_null(wf_mem_alloc(m, 8));
    wf_mem_free(m, p);
    assert_null(wf_mem_alloc(m, SIZE_MAX / 2));
    wf_mem_free_all(m);
}

static void add_part(void *arg, int64_t part, int worker)
{
    (void)worker;
    ((int *)arg)[part]++;
}

static void pool_runs_each_part_once(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 4; threads++) {
        wf_pool *p = wf_pool_new(threads);
        int done[257];
        for (int round = 0; round < 500; round++) {
            memset(done, 0, sizeof done);
            const int n = round % 257;
            wf_pool_run(p, n, add_part, done);
            for (int i = 0; i < n; i++) assert_int_equal(done[i], 1);
        }
        wf_pool_free(p);
    }
}

static void first_failure_wins(void **state)
{
    (void)state;
    char msg[WF_ERR_MAX];
    wf_ctx *c = wf_ctx_new(1);
    assert_null(wf_fail(c, WF_ESHAPE, "first %d", 1));
    assert_null(wf_fail(c, WF_EARG, "second"));
    assert_null(wf_scalar(c, 1.0));
    assert_int_equal(wf_take_error(c, msg, sizeof msg), WF_ESHAPE);
    assert_string_equal(msg, "first 1");
    assert_int_equal(wf_take_error(c, msg, sizeof msg), WF_OK);
    wf_ctx_free(c);
}

static void scopes_make_husks(void **state)
{
    (void)state;
    wf_ctx *c = wf_ctx_new(1);
    wf_scope *s = wf_scope_open(c);
    wf_tensor *a = wf_take(c, wf_scalar(c, 1.0)), *b = wf_scalar(c, 2.0);
    b = wf_take(c, wf_scope_close(c, s, b));
    assert_true(wf_is_dead(a));
    assert_false(wf_is_dead(b));
    assert_true(wf_item(c, b) == 2.0);
    wf_release(a);
    wf_release(b);
    assert_int_equal(wf_get_status(c), WF_OK);
    wf_ctx_free(c);
}

static void half_floats(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x10000; h++) {
        const float f = wf_f16_to_f32((uint16_t)h), g = wf_bf16_to_f32((uint16_t)h);
        if (!isnan(f)) assert_int_equal(wf_f32_to_f16(f), h);
        if (!isnan(g)) assert_int_equal(wf_f32_to_bf16(g), h);
    }
    assert_int_equal(wf_f32_to_f16(65519.0f), 0x7bff);
    assert_int_equal(wf_f32_to_f16(65520.0f), 0x7c00);
    assert_int_equal(wf_f32_to_f16(1.0f + 0x1p-11f), 0x3c00);          /* a tie goes to even */
    assert_int_equal(wf_f32_to_f16(1.0f + 3 * 0x1p-11f), 0x3c02);
    assert_int_equal(wf_f32_to_f16(0x1p-25f), 0);
    assert_int_equal(wf_f32_to_f16(0x1.8p-25f), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(torch_cpu),
        cmocka_unit_test(torch_cpu_draws),
        cmocka_unit_test(torch_cuda),
        cmocka_unit_test(philox_positions),
        cmocka_unit_test(mem_counts),
        cmocka_unit_test(pool_runs_each_part_once),
        cmocka_unit_test(first_failure_wins),
        cmocka_unit_test(scopes_make_husks),
        cmocka_unit_test(half_floats),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
