/*
 * language_vectors.c - language models against transformers: logits, states of all layers, masks,
 * embeddings for ids, and greedy generation through the cache.
 */
#include "tests/unit/model_vectors.h"

static wf_model *load(wf_ctx *c, const char *folder)
{
    char path[256];
    snprintf(path, sizeof path, VECTORS "%s", folder);
    wf_model *m = wf_model_load(c, path, WF_DTYPE_COUNT);
    expect_ok(c, folder);
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

/* t [...,T,C] with the rows of masked tokens zero; mask [B,T] or NULL. */
static wf_tensor *only_seen(wf_ctx *c, wf_tensor *t, wf_tensor *mask)
{
    if (!mask) return t;
    wf_tensor *m = wf_cast(c, mask, WF_DTYPE_F32);
    return wf_mul(c, t, wf_reshape3(c, m, wf_dim(m, 0), wf_dim(m, 1), 1));
}

static void check_outputs(wf_ctx *c, wf_tensors *f, const wf_named *out, int n, wf_tensor *mask)
{
    static const char *const names[] = {"logits", "hidden"};
    char name[32];
    for (int i = 0; i < 2; i++) {
        snprintf(name, sizeof name, "lm.%s", names[i]);
        expect_close(c, name, only_seen(c, output_get(out, n, names[i]), mask),
                     vector_get(c, f, name));
    }
    wf_tensor *layers = output_get(out, n, "layers");
    assert_int_equal(wf_dim(layers, 0), 3);
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "lm.layers.%d", i);
        expect_close(c, name, only_seen(c, wf_select(c, layers, 0, i), mask),
                     vector_get(c, f, name));
    }
}

static void check_io(const char *folder, const char *io)
{
    wf_ctx *c = open_ctx(2);
    wf_scope *s = wf_scope_open(c);
    wf_model *m = load(c, folder);
    wf_tensors *f = open_io(c, folder, io);
    wf_tensor *mask = vector_get(c, f, "lm.mask"), *ids = vector_get(c, f, "lm.ids");
    wf_named out[WF_MODEL_MAX_IO],
        in[] = {{"ids", ids}, {"embeds", ids ? NULL : vector_get(c, f, "lm.embeds")},
                {"layers", wf_scalar(c, 1.0)}, {"mask", mask}};
    int n;
    const wf_status st = wf_model_call(c, m, "forward", in, 4, out, &n);
    expect_ok(c, folder);
    assert_int_equal(st, WF_OK);
    assert_int_equal(wf_model_get_report(m)->n_unexpected, 0);
    check_outputs(c, f, out, n, mask);
    wf_tensors_close(f);
    wf_model_release(m);
    wf_scope_close(c, s, NULL);
    wf_ctx_free(c);
}

/* The likeliest ids after ids [B,T], token by token through the cache: the reference's. */
static void check_next(const char *folder)
{
    wf_ctx *c = open_ctx(2);
    wf_scope *s = wf_scope_open(c);
    wf_model *m = load(c, folder);
    wf_tensors *f = open_io(c, folder, "io");
    wf_tensor *ids = vector_get(c, f, "lm.ids"), *want = vector_get(c, f, "lm.next");
    const int64_t B = wf_dim(ids, 0), n_next = wf_dim(want, 1);
    wf_named out[WF_MODEL_MAX_IO],
        room[] = {{"batch", wf_scalar(c, (double)B)}, {"tokens", wf_scalar(c, 16.0)}};
    int n;
    assert_int_equal(wf_model_call(c, m, "cache", room, 2, out, &n), WF_OK);
    wf_named in[] = {{"ids", ids}, {"keys", output_get(out, n, "keys")},
                     {"values", output_get(out, n, "values")}, {"past", wf_scalar(c, 0.0)},
                     {"last", wf_scalar(c, 1.0)}};
    int64_t past = 0;
    for (int64_t i = 0; i < n_next; i++) {
        assert_int_equal(wf_model_call(c, m, "forward", in, 5, out, &n), WF_OK);
        past += wf_dim(in[0].t, 1);
        in[3].t = wf_scalar(c, (double)past);
        in[0].t = wf_argmax(c, output_get(out, n, "logits"), -1);
        int64_t got[8], wanted[8];
        assert_int_equal(wf_to_host(c, in[0].t, got, (size_t)B * sizeof *got), WF_OK);
        assert_int_equal(
            wf_to_host(c, wf_select(c, want, 1, i), wanted, (size_t)B * sizeof *wanted), WF_OK);
        assert_memory_equal(got, wanted, (size_t)B * sizeof *got);
    }
    wf_tensors_close(f);
    wf_model_release(m);
    wf_scope_close(c, s, NULL);
    wf_ctx_free(c);
}

#define LANGUAGE_TEST(folder)               \
    static void test_##folder(void **state) \
    {                                       \
        (void)state;                        \
        check_io(#folder, "io");            \
        check_io(#folder, "io_padded");     \
        check_io(#folder, "io_embeds");     \
        check_next(#folder);                \
    }
LANGUAGE_TEST(llama_grouped)
LANGUAGE_TEST(llama_tied)
LANGUAGE_TEST(llama_scaled)
LANGUAGE_TEST(llama_old)
LANGUAGE_TEST(gpt2)

/* Load, then two cached calls; the second's logits as one sum, NAN once c has failed. */
static double cached_sum(wf_ctx *c)
{
    wf_scope *s = wf_scope_open(c);
    wf_named out[WF_MODEL_MAX_IO],
        room[] = {{"batch", wf_scalar(c, 1.0)}, {"tokens", wf_scalar(c, 4.0)}};
    int n = 0;
    double sum = NAN;
    wf_model *m = wf_model_load(c, VECTORS "llama_grouped", WF_DTYPE_COUNT);
    if (m && wf_model_call(c, m, "cache", room, 2, out, &n) == WF_OK) {
        const int64_t first[] = {1, 7, 3};
        wf_named in[] = {
            {"ids", wf_from_host(c, WF_DTYPE_I64, &(wf_shape){2, {1, 3}}, first)},
            {"keys", output_get(out, n, "keys")}, {"values", output_get(out, n, "values")},
            {"past", wf_scalar(c, 0.0)}};
        if (wf_model_call(c, m, "forward", in, 4, out, &n) == WF_OK) {
            in[0].t = wf_slice(c, in[0].t, 1, 1, 1, 1);
            in[3].t = wf_scalar(c, 3.0);
            if (wf_model_call(c, m, "forward", in, 4, out, &n) == WF_OK)
                sum = wf_item(c, wf_sum(c, out[0].t, 0, NULL, false));
        }
    }
    wf_model_release(m);
    wf_scope_close(c, s, NULL);
    return wf_has_failed(c) ? NAN : sum;
}

static void test_out_of_memory(void **state)
{
    (void)state;
    wf_ctx *c = open_ctx(1);
    wf_mem *m = wf_ctx_get_mem(c);
    char msg[WF_ERR_MAX];
    const double wanted = cached_sum(c);
    const size_t before = wf_mem_get_stats(m).live_bytes;
    int n = 1;
    for (;; n++) {
        wf_mem_fail_nth(m, (uint64_t)n);
        const double got = cached_sum(c);
        wf_mem_fail_nth(m, 0);
        const wf_status st = wf_take_error(c, msg, sizeof msg);
        if (st == WF_OK && got == wanted) break;
        if (st != WF_ENOMEM) fail_msg("allocation %d: %s (%s)", n, msg, wf_status_text(st));
        if (wf_mem_get_stats(m).live_bytes != before) fail_msg("allocation %d: bytes leak", n);
    }
    assert_true(n > 100);
    wf_ctx_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_llama_grouped),
        cmocka_unit_test(test_llama_tied),
        cmocka_unit_test(test_llama_scaled),
        cmocka_unit_test(test_llama_old),
        cmocka_unit_test(test_gpt2),
        cmocka_unit_test(test_out_of_memory),
    };
    return RUN_ON_DEVICES("language models", tests);
}
