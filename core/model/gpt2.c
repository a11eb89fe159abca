/*
 * gpt2.c - decoder-only language models of GPT-2's shape: learned positions, layer norms before
 * attention and MLP, biases, the embedding as head.
 *
 * Names as transformers' GPT2LMHeadModel, or GPT2Model where the config says so; files of one are
 * read for the other. Positions count from the start of the text or cache, whatever the mask hides.
 * B batch, T tokens, C width, N heads, D = C/N, F width of the MLP, P positions.
 * Source: Radford et al., "Language models are unsupervised multitask learners" (2019);
 * transformers modeling_gpt2.py for names and first values.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/file/bytes.h"
#include "core/model/causal.h"

typedef struct layer {
    wf_norm_layer norm1, norm2;
    wf_linear_layer qkv, out, fc, proj;  /* [3C,C], [C,C], [F,C], [C,F] */
} layer;

typedef struct net {
    wf_causal_style style;
    wf_param *tokens, *positions;        /* [V,C], [P,C] */
    wf_linear_layer head;                /* its weight is the embedding */
    wf_norm_layer norm;
    wf_act act;
    int64_t n_positions;
    layer *layers;
} net;

static const wf_config_key KEYS[] = {{"vocab_size", NULL},
                                     {"n_positions", NULL},
                                     {"n_embd", NULL},
                                     {"n_layer", NULL},
                                     {"n_head", NULL},
                                     {"n_inner", NULL},
                                     {"activation_function", NULL},
                                     {"layer_norm_epsilon", NULL},
                                     {"initializer_range", NULL},
                                     {"scale_attn_weights", "true"},
                                     {"scale_attn_by_inverse_layer_idx", "false"},
                                     {"reorder_and_upcast_attn", "*"},
                                     {"tie_word_embeddings", "true"},
                                     {"n_ctx", "*"},
                                     {"attn_pdrop", "*"},
                                     {"embd_pdrop", "*"},
                                     {"resid_pdrop", "*"},
                                     {"eos_token_id", "*"},
                                     {"max_new_tokens", "*"},
                                     {"summary_activation", "*"},
                                     {"summary_first_dropout", "*"},
                                     {"summary_proj_to_labels", "*"},
                                     {"summary_type", "*"},
                                     {"summary_use_proj", "*"},
                                     {0}};

/* ---- declaring ---- */

/* Stored [in,out], as the reference's Conv1D has it. */
static wf_linear_layer declare_linear(wf_builder *b, const char *name, int64_t in, int64_t out,
                                      double deviation)
{
    const size_t mark = wf_builder_enter(b, "%s", name);
    wf_linear_layer l = {.w = wf_param_new(b, "weight", WF_LAYOUT_LINEAR_T,
                                           (wf_shape){2, {out, in}}, wf_init_normal(deviation))};
    if (l.w) l.w->is_linear = true;
    l.b = wf_param_new(b, "bias", WF_LAYOUT_PLAIN, (wf_shape){1, {out}}, wf_init_constant(0.0));
    wf_builder_leave(b, mark);
    return l;
}

static layer declare_layer(wf_builder *b, const net *n, int64_t F, double eps, double deviation)
{
    const int64_t C = n->style.width;
    const double deep = deviation / sqrt(2.0 * (double)n->style.n_layers);
    layer l = {.norm1 = wf_layer_norm_declare(b, "ln_1", C, eps)};
    l.qkv = declare_linear(b, "attn.c_attn", C, 3 * C, deviation);
    l.out = declare_linear(b, "attn.c_proj", C, C, deep);
    l.norm2 = wf_layer_norm_declare(b, "ln_2", C, eps);
    l.fc = declare_linear(b, "mlp.c_fc", C, F, deviation);
    l.proj = declare_linear(b, "mlp.c_proj", F, C, deep);
    return l;
}

static wf_causal_style read_style(wf_ctx *c, const wf_json *j)
{
    wf_causal_style s = {.name = "gpt2",
                         .width = wf_config_size(c, j, "n_embd", 768),
                         .vocabulary = wf_config_size(c, j, "vocab_size", 50257),
                         .n_layers = wf_config_size(c, j, "n_layer", 12),
                         .n_heads = wf_config_size(c, j, "n_head", 12)};
    s.n_kv = s.n_heads;
    s.head_dim = s.width / s.n_heads;
    if (s.width % s.n_heads != 0)
        wf_fail(c, WF_EMODEL, "config: n_embd %lld does not divide into %lld heads",
                (long long)s.width, (long long)s.n_heads);
    if (s.n_layers > WF_CAUSAL_MAX_LAYERS)
        wf_fail(c, WF_EMODEL, "config: \"n_layer\" is above %d", WF_CAUSAL_MAX_LAYERS);
    return s;
}

static void declare_all(wf_builder *b, net *n, const wf_json *j)
{
    wf_ctx *c = b->c;
    const int64_t C = n->style.width, F = wf_config_size(c, j, "n_inner", 4 * C);
    const double eps = wf_json_get_number(c, j, "layer_norm_epsilon", 1e-5);
    const double deviation = wf_json_get_number(c, j, "initializer_range", 0.02);
    n->tokens = wf_embedding_declare(b, "wte", n->style.vocabulary, C, deviation);
    n->positions = wf_embedding_declare(b, "wpe", n->n_positions, C, deviation);
    n->layers = wf_builder_alloc(b, (size_t)n->style.n_layers * sizeof *n->layers);
    for (int64_t i = 0; n->layers && i < n->style.n_layers; i++) {
        const size_t mark = wf_builder_enter(b, "h.%d", (int)i);
        n->layers[i] = declare_layer(b, n, F, eps, deviation);
        wf_builder_leave(b, mark);
    }
    n->norm = wf_layer_norm_declare(b, "ln_f", C, eps);
    n->head.w = n->tokens;
}

static void *build(wf_builder *b, const wf_json *j)
{
    wf_ctx *c = b->c;
    const char *class = wf_json_text(wf_json_at(wf_json_find(j, "architectures"), 0), "");
    const bool bare = strcmp(class, "GPT2Model") == 0;
    net *n = wf_builder_alloc(b, sizeof *n);
    if (!n) return NULL;
    n->style = read_style(c, j);
    n->n_positions = wf_config_size(c, j, "n_positions", 1024);
    n->act = wf_config_act(c, j, "activation_function", "gelu_new");
    if (wf_has_failed(c)) return NULL;
    const size_t mark = bare ? 0 : wf_builder_enter(b, "transformer");
    declare_all(b, n, j);
    if (!bare) wf_builder_leave(b, mark);
    return n;
}

/* ---- running ---- */

/* x [B,T,C] -> [B,T,C] */
static wf_tensor *run_layer(wf_ctx *c, const net *n, const wf_causal *call, int64_t i, wf_tensor *x)
{
    const layer *l = &n->layers[i];
    const int64_t N = n->style.n_heads, D = n->style.head_dim;
    wf_scope *s = wf_scope_open(c);
    wf_tensor *h = wf_linear_run(c, &l->qkv, wf_norm_run(c, &l->norm1, x));
    h = wf_reshape(c, h, 5, (int64_t[]){call->B, call->T, 3, N, D});
    h = wf_causal_attend(c, call, i, wf_select(c, h, 2, 0), wf_select(c, h, 2, 1),
                         wf_select(c, h, 2, 2));
    x = wf_add(c, x, wf_linear_run(c, &l->out, h));
    h = wf_linear_run_act(c, &l->fc, wf_norm_run(c, &l->norm2, x), n->act);
    return wf_scope_close(c, s, wf_add(c, x, wf_linear_run(c, &l->proj, h)));
}

static wf_status forward(wf_ctx *c, const void *state, wf_tensor *const *in, wf_named *out,
                         int *n_out)
{
    const net *n = state;
    wf_causal call;
    WF_TRY(wf_causal_open(c, &n->style, in, &call));
    if (call.past + call.T > n->n_positions)
        return wf_fail_status(c, WF_ESHAPE, "gpt2: %lld + %lld tokens, there are %lld positions",
                              (long long)call.past, (long long)call.T, (long long)n->n_positions);
    wf_tensor *x = call.ids ? wf_embedding_run(c, n->tokens, call.ids)
                            : wf_to_activation(c, call.embeds);
    x = wf_add(c, x, wf_slice(c, n->positions->t, 0, call.past, call.T, 1));
    for (int64_t i = 0; i < n->style.n_layers; i++) {
        call.states[i] = x;
        x = run_layer(c, n, &call, i, x);
    }
    return wf_causal_finish(c, &call, wf_norm_run(c, &n->norm, x), &n->head, out, n_out);
}

static wf_status embed(wf_ctx *c, const void *state, wf_tensor *const *in, wf_named *out,
                       int *n_out)
{
    const net *n = state;
    return wf_causal_embed(c, &n->style, n->tokens, in[0], out, n_out);
}

static wf_status cache(wf_ctx *c, const void *state, wf_tensor *const *in, wf_named *out,
                       int *n_out)
{
    const net *n = state;
    return wf_causal_cache(c, &n->style, in, out, n_out);
}

/* Older files carry the causal mask and the head, which is the embedding. The name with
 * "transformer." when it has none, and without when it has. */
static const char *rename_tensor(const char *name, char *buf, size_t n)
{
    static const char front[] = "transformer.";
    if (wf_ends_with(name, ".attn.bias") || wf_ends_with(name, ".masked_bias") ||
        strcmp(name, "lm_head.weight") == 0)
        return NULL;
    const bool has = strncmp(name, front, sizeof front - 1) == 0;
    snprintf(buf, n, "%s%s", has ? "" : front, has ? name + sizeof front - 1 : name);
    return buf;
}

static const wf_method METHODS[] = {{"forward", WF_CAUSAL_FORWARD, forward},
                                    {"embed", "ids", embed},
                                    {"cache", WF_CAUSAL_CACHE, cache},
                                    {0}};
static const char *const CLASSES[] = {"GPT2LMHeadModel", "GPT2Model", "gpt2", NULL};

const wf_arch wfi_arch_gpt2 = {.name = "gpt2",
                               .classes = CLASSES,
                               .is_transformers = true,
                               .keys = KEYS,
                               .methods = METHODS,
                               .build = build,
                               .rename = rename_tensor};
