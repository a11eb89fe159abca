/*
 * llama.c - decoder-only language models of Llama's shape: RMS norms before attention and MLP,
 * rotary positions, heads that may share keys and values, gated MLPs, a head that may be the
 * embedding.
 *
 * Names as transformers' LlamaForCausalLM; files of LlamaModel, without "model.", are read too.
 * B batch, T tokens, C width, N heads, M heads of keys, D width a head, F width of the MLP.
 * Source: Touvron et al., arXiv:2302.13971 and arXiv:2307.09288; transformers modeling_llama.py for
 * names and the order within heads.
 */
#include <stdio.h>
#include <string.h>

#include "core/model/causal.h"
#include "core/nn/rope.h"

typedef struct layer {
    wf_param *norm1, *norm2;             /* [C] */
    wf_linear_layer q, k, v, out;        /* [N*D,C], two of [M*D,C], [C,N*D] */
    wf_linear_layer gate, up, down;      /* two of [F,C], [C,F] */
} layer;

typedef struct net {
    wf_causal_style style;
    wf_param *tokens, *norm;             /* [V,C], [C] */
    wf_linear_layer head;                /* its weight may be the embedding */
    wf_rope_layer rope;
    layer *layers;
    double eps;
} net;

static const wf_config_key KEYS[] = {{"vocab_size", NULL},
                                     {"hidden_size", NULL},
                                     {"intermediate_size", NULL},
                                     {"num_hidden_layers", NULL},
                                     {"num_attention_heads", NULL},
                                     {"num_key_value_heads", NULL},
                                     {"head_dim", NULL},
                                     {"hidden_act", "\"silu\""},
                                     {"rms_norm_eps", NULL},
                                     {"rope_theta", NULL},
                                     {"rope_scaling", NULL},
                                     {"rope_parameters", NULL},
                                     {"attention_bias", NULL},
                                     {"mlp_bias", NULL},
                                     {"tie_word_embeddings", NULL},
                                     {"initializer_range", NULL},
                                     {"max_position_embeddings", "*"},
                                     {"eos_token_id", "*"},
                                     {"pretraining_tp", "*"},
                                     {0}};

/* ---- the config ---- */

static wf_causal_style read_style(wf_ctx *c, const wf_json *j)
{
    wf_causal_style s = {.name = "llama",
                         .width = wf_config_size(c, j, "hidden_size", 4096),
                         .vocabulary = wf_config_size(c, j, "vocab_size", 32000),
                         .n_layers = wf_config_size(c, j, "num_hidden_layers", 32),
                         .n_heads = wf_config_size(c, j, "num_attention_heads", 32)};
    s.n_kv = wf_config_size(c, j, "num_key_value_heads", s.n_heads);
    if (!wf_json_has(j, "head_dim") && s.width % s.n_heads != 0)
        wf_fail(c, WF_EMODEL, "config: hidden_size %lld does not divide into %lld heads",
                (long long)s.width, (long long)s.n_heads);
    s.head_dim = wf_config_size(c, j, "head_dim", s.width / s.n_heads);
    if (s.n_heads % s.n_kv != 0)
        wf_fail(c, WF_EMODEL, "config: %lld heads cannot share %lld heads of keys",
                (long long)s.n_heads, (long long)s.n_kv);
    if (s.n_layers > WF_CAUSAL_MAX_LAYERS)
        wf_fail(c, WF_EMODEL, "config: \"num_hidden_layers\" is above %d", WF_CAUSAL_MAX_LAYERS);
    return s;
}

/* From rope_parameters, or from rope_theta and rope_scaling as older configs have them. */
static wf_rope_style read_rope(wf_ctx *c, const wf_json *j)
{
    const bool is_new = wf_json_has(j, "rope_parameters");
    const wf_json *r = wf_json_find(j, is_new ? "rope_parameters" : "rope_scaling");
    wf_rope_style s = {.factor = 1.0, .theta = wf_json_get_number(c, j, "rope_theta", 10000.0)};
    s.theta = wf_json_get_number(c, r, "rope_theta", s.theta);
    const char *type = wf_json_get_text(c, r, "type", "default");
    type = wf_json_get_text(c, r, "rope_type", type);
    if (!type || strcmp(type, "default") == 0) return s;
    s.factor = wf_json_get_number(c, r, "factor", 1.0);
    if (strcmp(type, "llama3") == 0) {
        s.trained_tokens = wf_json_get_number(c, r, "original_max_position_embeddings", 8192.0);
        s.low_factor = wf_json_get_number(c, r, "low_freq_factor", 1.0);
        s.high_factor = wf_json_get_number(c, r, "high_freq_factor", 4.0);
    } else if (strcmp(type, "linear") != 0) {
        wf_fail(c, WF_EMODEL, "config: rope_type is \"%.40s\", wanted default, linear or llama3",
                type);
    }
    return s;
}

/* ---- declaring ---- */

static wf_param *declare_norm(wf_builder *b, const char *name, int64_t width)
{
    const size_t mark = wf_builder_enter(b, "%s", name);
    wf_param *p = wf_param_new(b, "weight", WF_LAYOUT_PLAIN, (wf_shape){1, {width}},
                               wf_init_constant(1.0));
    wf_builder_leave(b, mark);
    return p;
}

static layer declare_layer(wf_builder *b, const wf_causal_style *s, const wf_json *j)
{
    wf_ctx *c = b->c;
    const int64_t C = s->width, F = wf_config_size(c, j, "intermediate_size", 11008);
    const int64_t q = s->n_heads * s->head_dim, kv = s->n_kv * s->head_dim;
    const double deviation = wf_json_get_number(c, j, "initializer_range", 0.02);
    const bool attn = wf_json_get_bool(c, j, "attention_bias", false);
    const bool mlp = wf_json_get_bool(c, j, "mlp_bias", false);
    layer l = {.norm1 = declare_norm(b, "input_layernorm", C)};
    l.q = wf_linear_declare_normal(b, "self_attn.q_proj", C, q, attn, deviation);
    l.k = wf_linear_declare_normal(b, "self_attn.k_proj", C, kv, attn, deviation);
    l.v = wf_linear_declare_normal(b, "self_attn.v_proj", C, kv, attn, deviation);
    l.out = wf_linear_declare_normal(b, "self_attn.o_proj", q, C, attn, deviation);
    l.norm2 = declare_norm(b, "post_attention_layernorm", C);
    l.gate = wf_linear_declare_normal(b, "mlp.gate_proj", C, F, mlp, deviation);
    l.up = wf_linear_declare_normal(b, "mlp.up_proj", C, F, mlp, deviation);
    l.down = wf_linear_declare_normal(b, "mlp.down_proj", F, C, mlp, deviation);
    return l;
}

static void *build(wf_builder *b, const wf_json *j)
{
    wf_ctx *c = b->c;
    net *n = wf_builder_alloc(b, sizeof *n);
    if (!n) return NULL;
    n->style = read_style(c, j);
    n->eps = wf_json_get_number(c, j, "rms_norm_eps", 1e-6);
    const wf_rope_style rope = read_rope(c, j);
    const double deviation = wf_json_get_number(c, j, "initializer_range", 0.02);
    if (wf_has_failed(c)) return NULL;
    n->rope = wf_rope_declare(b, n->style.head_dim, &rope);
    const size_t mark = wf_builder_enter(b, "model");
    n->tokens = wf_embedding_declare(b, "embed_tokens", n->style.vocabulary, n->style.width,
                                     deviation);
    n->layers = wf_builder_alloc(b, (size_t)n->style.n_layers * sizeof *n->layers);
    for (int64_t i = 0; n->layers && i < n->style.n_layers; i++) {
        const size_t inner = wf_builder_enter(b, "layers.%d", (int)i);
        n->layers[i] = declare_layer(b, &n->style, j);
        wf_builder_leave(b, inner);
    }
    n->norm = declare_norm(b, "norm", n->style.width);
    wf_builder_leave(b, mark);
    n->head.w = n->tokens;
    if (!wf_json_get_bool(c, j, "tie_word_embeddings", false))
        n->head = wf_linear_declare_normal(b, "lm_head", n->style.width, n->style.vocabulary, false,
                                           deviation);
    return n;
}

/* ---- running ---- */

static wf_tensor *attend(wf_ctx *c, const net *n, const wf_causal *call, int64_t i, wf_tensor *x,
                         wf_tensor *table)
{
    const wf_causal_style *s = &n->style;
    const layer *l = &n->layers[i];
    const int64_t B = call->B, T = call->T, D = s->head_dim;
    wf_tensor *q = wf_reshape4(c, wf_linear_run(c, &l->q, x), B, T, s->n_heads, D);
    wf_tensor *k = wf_reshape4(c, wf_linear_run(c, &l->k, x), B, T, s->n_kv, D);
    wf_tensor *v = wf_reshape4(c, wf_linear_run(c, &l->v, x), B, T, s->n_kv, D);
    wf_tensor *y = wf_causal_attend(c, call, i, wf_rope(c, q, table, true),
                                    wf_rope(c, k, table, true), v);
    return wf_linear_run(c, &l->out, y);
}

/* x [B,T,C] -> [B,T,C] */
static wf_tensor *run_layer(wf_ctx *c, const net *n, const wf_causal *call, int64_t i, wf_tensor *x,
                            wf_tensor *table)
{
    const layer *l = &n->layers[i];
    wf_scope *s = wf_scope_open(c);
    wf_tensor *h = wf_rms_norm(c, x, l->norm1->t, n->eps);
    x = wf_add(c, x, attend(c, n, call, i, h, table));
    h = wf_rms_norm(c, x, l->norm2->t, n->eps);
    h = wf_swiglu(c, wf_linear_run(c, &l->gate, h), wf_linear_run(c, &l->up, h));
    return wf_scope_close(c, s, wf_add(c, x, wf_linear_run(c, &l->down, h)));
}

static wf_status forward(wf_ctx *c, const void *state, wf_tensor *const *in, wf_named *out,
                         int *n_out)
{
    const net *n = state;
    wf_causal call;
    WF_TRY(wf_causal_open(c, &n->style, in, &call));
    wf_tensor *x = call.ids ? wf_embedding_run(c, n->tokens, call.ids)
                            : wf_to_activation(c, call.embeds);
    wf_tensor *table = wf_rope_table(c, &n->rope, call.past, call.T);
    for (int64_t i = 0; i < n->style.n_layers; i++) {
        call.states[i] = x;
        x = run_layer(c, n, &call, i, x, table);
    }
    x = wf_rms_norm(c, x, n->norm->t, n->eps);
    return wf_causal_finish(c, &call, x, &n->head, out, n_out);
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

/* Older files carry the frequencies, which follow from the config. */
static const char *rename_tensor(const char *name, char *buf, size_t n)
{
    if (strstr(name, "rotary_emb.inv_freq")) return NULL;
    const bool bare = strncmp(name, "layers.", 7) == 0 || strncmp(name, "embed_tokens.", 13) == 0 ||
                      strncmp(name, "norm.", 5) == 0;
    snprintf(buf, n, "%s%s", bare ? "model." : "", name);
    return buf;
}

static const wf_method METHODS[] = {{"forward", WF_CAUSAL_FORWARD, forward},
                                    {"embed", "ids", embed},
                                    {"cache", WF_CAUSAL_CACHE, cache},
                                    {0}};
static const char *const CLASSES[] = {"LlamaForCausalLM", "llama", NULL};

const wf_arch wfi_arch_llama = {.name = "llama",
                                .classes = CLASSES,
                                .is_transformers = true,
                                .keys = KEYS,
                                .methods = METHODS,
                                .build = build,
                                .rename = rename_tensor};
