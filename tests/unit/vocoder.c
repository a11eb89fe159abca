/* vocoder.c - HiFi-GAN against transformers, with and without weight norm, and what it refuses. */
#include "tests/unit/model_vectors.h"

static void check_vocoder(const char *folder)
{
    char path[256];
    wf_ctx *c = open_ctx(2);
    wf_scope *s = wf_scope_open(c);
    snprintf(path, sizeof path, VECTORS "%s", folder);
    wf_model *m = wf_model_load(c, path, WF_DTYPE_COUNT);
    expect_ok(c, folder);
    assert_string_equal(wf_model_get_arch(m), "hifigan");
    const wf_report *r = wf_model_get_report(m);
    assert_int_equal(r->n_missing + r->n_unexpected, 0);
    snprintf(path, sizeof path, VECTORS "%s/io.safetensors", folder);
    wf_tensors *f = wf_tensors_open(c, path);
    expect_ok(c, path);
    wf_named out[WF_MODEL_MAX_IO], in = {"mel", vector_get(c, f, "vocoder.mel")};
    wf_tensor *want = vector_get(c, f, "vocoder.audio");
    int n = 0;
    const wf_status st = wf_model_call(c, m, "forward", &in, 1, out, &n);
    expect_ok(c, folder);
    assert_true(st == WF_OK && n == 1);
    assert_int_equal(wf_rank(out[0].t), 2);
    assert_int_equal(wf_dim(out[0].t, 1), wf_dim(want, 1));
    expect_close(c, folder, output_get(out, n, "audio"), want);
    wf_tensors_close(f);
    wf_model_release(m);
    wf_scope_close(c, s, NULL);
    wf_ctx_free(c);
}

static void test_plain(void **state) { (void)state; check_vocoder("hifigan"); }
static void test_normalized(void **state) { (void)state; check_vocoder("hifigan_normalized"); }
static void test_old_norm(void **state) { (void)state; check_vocoder("hifigan_old_norm"); }

static void refuse(const char *config, const char *part)
{
    wf_ctx *c = open_ctx(1);
    wf_json *j = wf_json_parse(c, config, strlen(config), "config");
    expect_ok(c, config);
    assert_null(wf_model_new(c, "hifigan", j, 1));
    expect_error(c, WF_EMODEL, part);
    wf_json_free(j);
    wf_ctx_free(c);
}

static void test_bad_configs(void **state)
{
    (void)state;
    refuse("{\"upsample_rates\": 4, \"resblock_kernel_sizes\": [3]}", "\"upsample_rates\" must be");
    refuse("{\"upsample_rates\": [2, 2], \"resblock_kernel_sizes\": [3], "
           "\"upsample_initial_channel\": 6}", "cannot be halved 2 times");
    refuse("{\"upsample_rates\": [4], \"resblock_kernel_sizes\": [3], "
           "\"upsample_kernel_sizes\": [2], \"resblock_dilation_sizes\": [[1]]}",
           "has 2 for a rate of 4");
    refuse("{\"upsample_rates\": [4], \"resblock_kernel_sizes\": [3, 5], "
           "\"upsample_kernel_sizes\": [4], \"resblock_dilation_sizes\": [[1]]}",
           "\"resblock_dilation_sizes\"");
    refuse("{\"upsample_rates\": [4], \"resblock_kernel_sizes\": [3], "
           "\"upsample_kernel_sizes\": [4], \"resblock_dilation_sizes\": [[0]]}",
           "a dilation of 0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain), cmocka_unit_test(test_normalized),
        cmocka_unit_test(test_old_norm), cmocka_unit_test(test_bad_configs),
    };
    return RUN_ON_DEVICES("vocoders", tests);
}
