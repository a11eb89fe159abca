/* config.c - reading public configs: what is not supported fails by name, nothing is passed over.
 */
#include <stdio.h>
#include <string.h>

#include "core/model/arch.h"

enum { SIZE_MAX_OF_CONFIG = 1 << 24 };

/* Keys of every diffusers and transformers config that change no number of a forward pass. */
static const char *const harmless[] = {
    "_class_name", "_diffusers_version", "_name_or_path", "_commit_hash", "transformers_version",
    "architectures", "model_type", "torch_dtype", "dtype", "sample_size", "force_upcast",
    "add_cross_attention", "bad_words_ids", "begin_suppress_tokens", "chunk_size_feed_forward",
    "cross_attention_hidden_size", "decoder_start_token_id", "diversity_penalty", "do_sample",
    "early_stopping", "encoder_no_repeat_ngram_size", "exponential_decay_length_penalty",
    "finetuning_task", "forced_bos_token_id", "forced_eos_token_id", "id2label", "is_decoder",
    "is_encoder_decoder", "label2id", "length_penalty", "max_length", "min_length",
    "no_repeat_ngram_size", "num_beam_groups", "num_beams", "num_return_sequences",
    "output_attentions", "output_hidden_states", "output_scores", "prefix", "problem_type",
    "pruned_heads", "remove_invalid_values", "repetition_penalty", "return_dict",
    "return_dict_in_generate", "sep_token_id", "suppress_tokens", "task_specific_params",
    "temperature", "tf_legacy_loss", "tie_encoder_decoder", "tie_word_embeddings",
    "tokenizer_class", "top_k", "top_p", "torchscript", "typical_p", "use_bfloat16", "use_cache",
    "bos_token_id", "pad_token_id", "dropout", "attention_dropout", "initializer_range", NULL};

static bool is_harmless(const char *key)
{
    for (int i = 0; harmless[i]; i++)
        if (strcmp(harmless[i], key) == 0) return true;
    return false;
}

/* The value as JSON text equals only. */
static wf_status check_only(wf_ctx *c, const wf_arch *a, const wf_config_key *k,
                            const wf_json *value)
{
    if (!k->only || strcmp(k->only, "*") == 0 || wf_json_is_null(value)) return WF_OK;
    char *text = wf_json_write(c, value);
    if (text && strcmp(text, k->only) != 0)
        wf_fail(c, WF_EMODEL, "%s: \"%s\" is %.60s, only %s is supported", a->name, k->key, text,
                k->only);
    wf_mem_free(wf_ctx_get_mem(c), text);
    return wf_get_status(c);
}

wf_status wf_config_check(wf_ctx *c, const wf_arch *a, const wf_json *config)
{
    if (!wf_json_is_object(config))
        return wf_fail_status(c, WF_EMODEL, "%s: its config is not a JSON object", a->name);
    for (int64_t i = 0; i < wf_json_count(config); i++) {
        const char *key = wf_json_key_at(config, i);
        const wf_config_key *k = a->keys;
        while (k->key && strcmp(k->key, key) != 0) k++;
        if (!k->key && is_harmless(key)) continue;
        if (!k->key && !wf_json_is_null(wf_json_at(config, i)))
            return wf_fail_status(c, WF_EMODEL, "%s: config key \"%s\" is not supported", a->name,
                                  key);
        if (k->key) WF_TRY(check_only(c, a, k, wf_json_at(config, i)));
    }
    return wf_get_status(c);
}

static int64_t check_size(wf_ctx *c, const char *key, int64_t v)
{
    if (v < 1 || v > SIZE_MAX_OF_CONFIG)
        wf_fail(c, WF_EMODEL, "config: \"%s\" must be a whole number from 1 to %d", key,
                SIZE_MAX_OF_CONFIG);
    return wf_has_failed(c) ? 1 : v;
}

int64_t wf_config_size(wf_ctx *c, const wf_json *j, const char *key, int64_t fallback)
{
    return check_size(c, key, wf_json_get_int(c, j, key, fallback));
}

wf_status wf_config_sizes(wf_ctx *c, const wf_json *j, const char *key, int64_t fallback, int n,
                          int64_t *out)
{
    const wf_json *v = wf_json_find(j, key);
    const bool is_list = wf_json_is_array(v);
    if (is_list && wf_json_count(v) != n)
        return wf_fail_status(c, WF_EMODEL, "config: \"%s\" has %lld values, %d blocks want %d",
                              key, (long long)wf_json_count(v), n, n);
    for (int i = 0; i < n; i++)
        out[i] = is_list ? check_size(c, key, wf_json_int(wf_json_at(v, i), 0))
                         : wf_config_size(c, j, key, fallback);
    return wf_get_status(c);
}

wf_act wf_config_act(wf_ctx *c, const wf_json *j, const char *key, const char *fallback)
{
    wf_act act = WF_ACT_NONE;
    const char *name = wf_json_get_text(c, j, key, fallback);
    if (name && !wf_act_find(name, &act))
        wf_fail(c, WF_EMODEL, "config: \"%s\" is \"%.40s\", which is not supported", key, name);
    return act;
}

/* "[2,*,12]" */
static void text_of_dims(int rank, const int64_t *dims, char *buf, size_t n)
{
    size_t at = (size_t)snprintf(buf, n, "[");
    for (int i = 0; i < rank && at < n; i++)
        at += dims[i] < 0
                  ? (size_t)snprintf(buf + at, n - at, "%s*", i ? "," : "")
                  : (size_t)snprintf(buf + at, n - at, "%s%lld", i ? "," : "", (long long)dims[i]);
    if (at < n) snprintf(buf + at, n - at, "]");
}

wf_status wf_input_check(wf_ctx *c, const char *model, const char *input, wf_tensor *t, int rank,
                         const int64_t *dims)
{
    char wanted[96], got[96];
    text_of_dims(rank, dims, wanted, sizeof wanted);
    if (wf_has_failed(c)) return wf_get_status(c);
    if (!t) return wf_fail_status(c, WF_EARG, "%s: %s is missing, wanted %s", model, input, wanted);
    bool fits = wf_rank(t) == rank;
    for (int i = 0; fits && i < rank; i++) fits = dims[i] < 0 || wf_dim(t, i) == dims[i];
    if (fits) return WF_OK;
    return wf_fail_status(c, WF_ESHAPE, "%s: %s is %s, wanted %s", model, input,
                          wf_tensor_text(t, got, sizeof got), wanted);
}

wf_tensor *wf_input_per_sample(wf_ctx *c, const char *model, const char *input, wf_tensor *t,
                               int64_t B)
{
    const int64_t n = wf_numel(t);
    if (n != 1 && (n != B || wf_rank(t) != 1))
        return wf_fail(c, WF_ESHAPE, "%s: %s has %lld values, wanted 1 or [%lld]", model, input,
                       (long long)n, (long long)B);
    t = wf_reshape1(c, t, n);
    return n == B ? t : wf_expand(c, t, &(wf_shape){1, {B}});
}
