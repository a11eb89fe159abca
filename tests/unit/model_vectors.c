/* model_vectors.c - UNets, autoencoders and CLIP towers against diffusers and transformers. */
#include "tests/unit/model_vectors.h"

static wf_model *load(wf_ctx *c, const char *folder)
{
    char path[256];
    snprintf(path, sizeof path, VECTORS "%s", folder);
    wf_model *m = wf_model_load(c, path, WF_DTYPE_COUNT);
    expect_ok(c, folder);
    assert_non_null(m);
    const wf_report *r = wf_model_get_report(m);
    if (r->n_missing || r->n_unexpected || r->n_used != wf_model_get_count(m))
        fail_msg("%s: used %d missing %d unexpected %d", folder, (int)r->n_used, (int)r->n_missing,
                 (int)r->n_unexpected);
    return m;
}

static wf_tensors *open_io(wf_ctx *c, const char *folder, const char *io)
{
    char path[256];
    snprintf(path, sizeof path, VECTORS "%s/%s.safetensors", folder, io);
    wf_tensors *f = wf_tensors_open(c, path);
    expect_ok(c, path);
    return f;
}

/* ---- UNets ---- */

/* With prepare: the context's keys and values computed before, once. */
static void check_unet(const char *folder, const char *io, bool prepare)
{
    wf_ctx *c = open_ctx(2);
    wf_scope *s = wf_scope_open(c);
    wf_model *m = load(c, folder);
    wf_tensors *f = open_io(c, folder, io);
    wf_named out[WF_MODEL_MAX_IO], in[] = {{"sample", vector_get(c, f, "unet.sample")},
                                           {"timestep", vector_get(c, f, "unet.timestep")},
                                           {"context", vector_get(c, f, "unet.context")},
                                           {"mask", vector_get(c, f, "unet.mask")},
                                           {"class_labels", vector_get(c, f, "unet.class_labels")}};
    int n = 0;
    if (prepare) {
        assert_int_equal(wf_model_call(c, m, "prepare", &in[2], 1, out, &n), WF_OK);
        in[2] = out[0];
        assert_string_equal(in[2].name, "context_kv");
    }
    const wf_status st = wf_model_call(c, m, "forward", in, 5, out, &n);
    expect_ok(c, folder);
    assert_true(st == WF_OK && n == 1);
    expect_close(c, folder, out[0].t, vector_get(c, f, "unet.out"));
    wf_tensors_close(f);
    wf_model_release(m);
    wf_scope_close(c, s, NULL);
    wf_ctx_free(c);
}

#define UNET_TEST(folder, io) \
    static void test_##folder##_##io(void **state) { (void)state; check_unet(#folder, #io, false); }
UNET_TEST(unet_sd1, io)
UNET_TEST(unet_sd1, io_fraction)
UNET_TEST(unet_sd2, io)
UNET_TEST(unet_sd2, io_mask)
UNET_TEST(unet_unclip, io)
UNET_TEST(unet_ip2p, io)
UNET_TEST(unet_odd, io_10x12)
UNET_TEST(unet_odd, io_9x7)
UNET_TEST(unet_odd, io_5x16)
UNET_TEST(unet_mixed, io)
UNET_TEST(unet_time, io)
UNET_TEST(unet_class_timestep, io)
UNET_TEST(unet_class_concat, io)
UNET_TEST(unet_only_cross, io)
UNET_TEST(unet_only_cross_mid, io)
UNET_TEST(unet3d, io)
UNET_TEST(unet3d, io_one)

static void test_prepared_context(void **state)
{
    (void)state;
    check_unet("unet_sd1", "io", true);
    check_unet("unet_sd2", "io_mask", true);
    check_unet("unet_only_cross", "io", true);
    check_unet("unet3d", "io", true);
}

/* ---- autoencoders ---- */

static void check_vae(const char *folder)
{
    wf_ctx *c = open_ctx(2);
    wf_scope *s = wf_scope_open(c);
    wf_model *m = load(c, folder);
    wf_tensors *f = open_io(c, folder, "io");
    wf_named out[WF_MODEL_MAX_IO], x = {"x", vector_get(c, f, "vae.x")},
                                   z = {"z", vector_get(c, f, "vae.z")};
    int n;
    const wf_status encoded = wf_model_call(c, m, "encode", &x, 1, out, &n);
    expect_ok(c, folder);
    assert_int_equal(encoded, WF_OK);
    expect_close(c, folder, output_get(out, n, "mean"), vector_get(c, f, "vae.mean"));
    expect_close(c, folder, output_get(out, n, "logvar"), vector_get(c, f, "vae.logvar"));
    const wf_status decoded = wf_model_call(c, m, "decode", &z, 1, out, &n);
    expect_ok(c, folder);
    assert_int_equal(decoded, WF_OK);
    expect_close(c, folder, output_get(out, n, "image"), vector_get(c, f, "vae.dec"));
    wf_tensors_close(f);
    wf_model_release(m);
    wf_scope_close(c, s, NULL);
    wf_ctx_free(c);
}

#define VAE_TEST(folder)                    \
    static void test_##folder(void **state) \
    {                                       \
        (void)state;                        \
        check_vae(#folder);                 \
    }
VAE_TEST(vae_sd)
VAE_TEST(vae_odd)
VAE_TEST(vae_plain)
VAE_TEST(vae_one_level)
VAE_TEST(vae_audio)
VAE_TEST(vae_old_names)

/* ---- CLIP ---- */

static void check_clip(const char *folder, const char *io)
{
    wf_ctx *c = open_ctx(2);
    wf_scope *s = wf_scope_open(c);
    wf_model *m = load(c, folder);
    wf_tensors *f = open_io(c, folder, io);
    const bool is_text = strcmp(wf_model_get_arch(m), "clip_text") == 0;
    wf_named out[WF_MODEL_MAX_IO], in[] = {
        {is_text ? "ids" : "pixels", vector_get(c, f, is_text ? "clip.ids" : "clip.pixels")},
        {"layers", wf_scalar(c, 1.0)}, {"mask", vector_get(c, f, "clip.mask")}};
    int n;
    const wf_status st = wf_model_call(c, m, "forward", in, is_text ? 3 : 2, out, &n);
    expect_ok(c, folder);
    assert_int_equal(st, WF_OK);
    static const char *const names[] = {"hidden", "pooled", "embeds"};
    for (int i = 0; i < 3; i++) {
        char name[32];
        snprintf(name, sizeof name, "clip.%s", names[i]);
        wf_tensor *want = vector_get(c, f, name), *got = output_get(out, n, names[i]);
        if (!want != !got)
            fail_msg("%s: %s should%s be there", folder, names[i], want ? "" : " not");
        if (want) expect_close(c, name, got, want);
    }
    int n_layers = 0;
    for (int i = 0; i < 8; i++) {
        char name[32];
        snprintf(name, sizeof name, "clip.layers.%d", i);
        wf_tensor *want = vector_get(c, f, name);
        if (want) expect_close(c, name, wf_select(c, output_get(out, n, "layers"), 0, i), want);
        n_layers += want != NULL;
    }
    assert_true(n_layers >= 3);
    wf_tensors_close(f);
    wf_model_release(m);
    wf_scope_close(c, s, NULL);
    wf_ctx_free(c);
}

#define CLIP_TEST(folder, io) \
    static void test_##folder##_##io(void **state) { (void)state; check_clip(#folder, #io); }
CLIP_TEST(clip_text, io)
CLIP_TEST(clip_text, io_mask)
CLIP_TEST(clip_text, io_zero)
CLIP_TEST(clip_text_old, io)
CLIP_TEST(clip_text_projection, io)
CLIP_TEST(clip_vision, io)
CLIP_TEST(clip_vision_gelu, io)

static wf_tensor *find_param(const wf_model *m, const char *wanted)
{
    for (int64_t i = 0; i < wf_model_get_count(m); i++) {
        const char *name;
        wf_tensor *t = wf_model_get_param(m, i, &name);
        if (strcmp(name, wanted) == 0) return t;
    }
    fail_msg("the model has no %s", wanted);
    return NULL;
}

/* skip = 1: hidden is the final norm of layers[n - 1]; what is pooled stays that of the last. */
static void test_clip_skip(void **state)
{
    (void)state;
    wf_ctx *c = open_ctx(1);
    wf_scope *s = wf_scope_open(c);
    wf_model *m = load(c, "clip_text");
    wf_tensors *f = open_io(c, "clip_text", "io");
    wf_named out[WF_MODEL_MAX_IO],
        in[] = {{"ids", vector_get(c, f, "clip.ids")}, {"skip", wf_scalar(c, 1.0)}};
    int n;
    assert_int_equal(wf_model_call(c, m, "forward", in, 2, out, &n), WF_OK);
    wf_tensor *w = find_param(m, "text_model.final_layer_norm.weight");
    wf_tensor *b = find_param(m, "text_model.final_layer_norm.bias");
    expect_close(c, "skip", output_get(out, n, "hidden"),
                 wf_layer_norm(c, vector_get(c, f, "clip.layers.2"), w, b, 1e-5));
    expect_close(c, "skip", output_get(out, n, "pooled"), vector_get(c, f, "clip.pooled"));
    in[1].t = wf_scalar(c, 4.0);
    assert_int_equal(wf_model_call(c, m, "forward", in, 2, out, &n), WF_EARG);
    expect_error(c, WF_EARG, "skip must be from 0 to 3");
    wf_tensors_close(f);
    wf_model_release(m);
    wf_scope_close(c, s, NULL);
    wf_ctx_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clip_text_io),
        cmocka_unit_test(test_clip_text_io_mask),
        cmocka_unit_test(test_clip_text_io_zero),
        cmocka_unit_test(test_clip_text_old_io),
        cmocka_unit_test(test_clip_text_projection_io),
        cmocka_unit_test(test_clip_vision_io),
        cmocka_unit_test(test_clip_vision_gelu_io),
        cmocka_unit_test(test_clip_skip),
        cmocka_unit_test(test_vae_sd),
        cmocka_unit_test(test_vae_odd),
        cmocka_unit_test(test_vae_plain),
        cmocka_unit_test(test_vae_one_level),
        cmocka_unit_test(test_vae_audio),
        cmocka_unit_test(test_vae_old_names),
        cmocka_unit_test(test_unet_sd1_io),
        cmocka_unit_test(test_unet_sd1_io_fraction),
        cmocka_unit_test(test_unet_sd2_io),
        cmocka_unit_test(test_unet_sd2_io_mask),
        cmocka_unit_test(test_unet_unclip_io),
        cmocka_unit_test(test_unet_ip2p_io),
        cmocka_unit_test(test_unet_odd_io_10x12),
        cmocka_unit_test(test_unet_odd_io_9x7),
        cmocka_unit_test(test_unet_odd_io_5x16),
        cmocka_unit_test(test_unet_mixed_io),
        cmocka_unit_test(test_unet_time_io),
        cmocka_unit_test(test_unet_class_timestep_io),
        cmocka_unit_test(test_unet_class_concat_io),
        cmocka_unit_test(test_unet_only_cross_io),
        cmocka_unit_test(test_unet_only_cross_mid_io),
        cmocka_unit_test(test_unet3d_io),
        cmocka_unit_test(test_unet3d_io_one),
        cmocka_unit_test(test_prepared_context),
    };
    return RUN_ON_DEVICES("models", tests);
}
