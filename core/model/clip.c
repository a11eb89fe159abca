/*
 * clip.c - the towers of CLIP, and of the small model, which are the same with other numbers.
 *
 * Names as transformers' CLIPTextModelWithProjection and CLIPVisionModelWithProjection; files that
 * leave "text_model." or "vision_model." out are read too.
 * B batch, T tokens, C width, E feature width, P patch.
 * Source: Radford et al., arXiv:2103.00020; transformers modeling_clip.py for names and pooling.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/model/arch.h"
#include "core/nn/attention.h"
#include "core/nn/encoder.h"
#include "core/nn/resnet.h"

enum { MAX_LAYERS = 128, MAX_STEM = 6 };

static const double EMBEDDING_DEVIATION = 0.02;     /* CLIP's _init_weights */
static const double MASKED = -3.4e38; /* a score that loses to every other, but stays finite */

/* ---- shared ---- */

static wf_encoder_style read_style(wf_ctx *c, const wf_json *j, int64_t width, int64_t mlp,
                                   int64_t layers, int64_t heads)
{
    wf_encoder_style s = {.width = wf_config_size(c, j, "hidden_size", width),
                          .mlp_width = wf_config_size(c, j, "intermediate_size", mlp),
                          .n_layers = wf_config_size(c, j, "num_hidden_layers", layers),
                          .n_heads = wf_config_size(c, j, "num_attention_heads", heads),
                          .act = wf_config_act(c, j, "hidden_act", "quick_gelu"),
                          .eps = wf_json_get_number(c, j, "layer_norm_eps", 1e-5),
                          .init_scale = wf_json_get_number(c, j, "initializer_factor", 1.0)};
    if (s.n_layers > MAX_LAYERS)
        wf_fail(c, WF_EMODEL, "config: \"num_hidden_layers\" is above %d", MAX_LAYERS);
    return s;
}

/* The class that the config names ends in "WithProjection". */
static bool has_projection(const wf_json *j, bool fallback)
{
    const char *name = wf_json_text(wf_json_at(wf_json_find(j, "architectures"), 0), NULL);
    return name ? strstr(name, "WithProjection") != NULL : fallback;
}

static double feature_deviation(const wf_encoder_style *s)
{
    return s->init_scale / sqrt((double)s->width);
}

/* The layer whose states are the hidden ones: skip before the last; fails for a skip that is not
 * 0 .. n. What is pooled comes of the last one all the same, as in the references. */
static int64_t hidden_layer(wf_ctx *c, const wf_encoder_style *s, wf_tensor *skip)
{
    const double k = skip ? wf_item(c, skip) : 0.0;
    if (k >= 0.0 && k <= (double)s->n_layers && k == floor(k)) return s->n_layers - (int64_t)k;
    wf_fail(c, WF_EARG, "clip: skip must be from 0 to %lld layers", (long long)s->n_layers);
    return 0;
}

static void put(wf_named *out, int *n, const char *name, wf_tensor *t)
{
    if (t) out[(*n)++] = (wf_named){name, t};
}

/* The declared name of a tensor: with tower in front of what has none, position ids left out. */
static const char *rename_tower(const char *name, const char *tower, char *buf, size_t n)
{
    if (strstr(name, "position_ids")) return NULL;
    const bool bare = strncmp(name, "embeddings.", 11) == 0 || strncmp(name, "encoder.", 8) == 0 ||
                      strncmp(name, "final_layer_norm.", 17) == 0 ||
                      strncmp(name, "pre_layrnorm.", 13) == 0 ||
                      strncmp(name, "post_layernorm.", 15) == 0;
    snprintf(buf, n, "%s%s", bare ? tower : "", name);
    return buf;
}

/* ---- text ---- */

typedef struct text_net {
    wf_param *tokens, *positions;         /* [V,C], [T,C] */
    wf_encoder encoder;
    wf_norm_layer final;
    wf_linear_layer projection;           /* w NULL: none */
    int64_t n_positions, eos;
} text_net;

static const wf_config_key text_keys[] = {{"vocab_size", NULL},
                                          {"hidden_size", NULL},
                                          {"intermediate_size", NULL},
                                          {"projection_dim", NULL},
                                          {"num_hidden_layers", NULL},
                                          {"num_attention_heads", NULL},
                                          {"max_position_embeddings", NULL},
                                          {"hidden_act", NULL},
                                          {"layer_norm_eps", NULL},
                                          {"initializer_factor", NULL},
                                          {"eos_token_id", NULL},
                                          {0}};

static void *build_text(wf_builder *b, const wf_json *j)
{
    wf_ctx *c = b->c;
    const wf_encoder_style s = read_style(c, j, 512, 2048, 12, 8);
    const int64_t vocabulary = wf_config_size(c, j, "vocab_size", 49408);
    const int64_t width = wf_config_size(c, j, "projection_dim", 512);
    text_net *net = wf_builder_alloc(b, sizeof *net);
    if (!net) return NULL;
    net->n_positions = wf_config_size(c, j, "max_position_embeddings", 77);
    net->eos = wf_json_get_int(c, j, "eos_token_id", 49407);
    const size_t mark = wf_builder_enter(b, "text_model");
    const double deviation = EMBEDDING_DEVIATION * s.init_scale;
    net->tokens =
        wf_embedding_declare(b, "embeddings.token_embedding", vocabulary, s.width, deviation);
    net->positions = wf_embedding_declare(b, "embeddings.position_embedding", net->n_positions,
                                          s.width, deviation);
    net->encoder = wf_encoder_declare(b, &s);
    net->final = wf_layer_norm_declare(b, "final_layer_norm", s.width, s.eps);
    wf_builder_leave(b, mark);
    if (has_projection(j, true))
        net->projection = wf_linear_declare_normal(b, "text_projection", s.width, width, false,
                                                   feature_deviation(&s));
    return net;
}

/* ids [B,T] -> [B] i64, where the pooled state stands: the first end token; the largest id when eos
 * is 2, which in public configs means that the end token is the last of the vocabulary. */
static wf_tensor *find_end(wf_ctx *c, const text_net *net, wf_tensor *ids)
{
    wf_tensor *x = wf_cast(c, ids, WF_DTYPE_F32);
    if (net->eos != 2) x = wf_cast(c, wf_eq(c, x, wf_scalar(c, (double)net->eos)), WF_DTYPE_F32);
    return wf_argmax(c, x, 1);
}

/* hidden [B,T,C], at [B] -> [B,C] */
static wf_tensor *pick_tokens(wf_ctx *c, wf_tensor *hidden, wf_tensor *at)
{
    const wf_shape s = {3, {wf_dim(hidden, 0), 1, wf_dim(hidden, 2)}};
    wf_tensor *index =
        wf_contiguous(c, wf_expand(c, wf_reshape3(c, at, wf_dim(hidden, 0), 1, 1), &s));
    return wf_reshape2(c, wf_gather(c, hidden, index, 1), s.dims[0], s.dims[2]);
}

/* [B,T,C] */
static wf_tensor *embed_text(wf_ctx *c, const text_net *net, wf_tensor *ids)
{
    wf_tensor *x = wf_embedding_run(c, net->tokens, ids);
    return wf_add(c, x, wf_slice(c, net->positions->t, 0, 0, wf_dim(ids, 1), 1));
}

static wf_status check_text(wf_ctx *c, const text_net *net, wf_tensor *ids, wf_tensor *mask)
{
    WF_TRY(wf_input_check(c, "clip_text", "ids", ids, 2, (int64_t[]){-1, -1}));
    if (mask)
        WF_TRY(wf_input_check(c, "clip_text", "mask", mask, 2,
                              (int64_t[]){wf_dim(ids, 0), wf_dim(ids, 1)}));
    if (wf_dim(ids, 1) < 1 || wf_dim(ids, 1) > net->n_positions)
        return wf_fail_status(c, WF_ESHAPE, "clip_text: ids has %lld tokens, wanted 1 to %lld",
                              (long long)wf_dim(ids, 1), (long long)net->n_positions);
    return WF_OK;
}

/* ids mask? layers? skip? -> hidden pooled embeds? layers? */
static wf_status run_text(wf_ctx *c, const void *state, wf_tensor *const *in, wf_named *out,
                          int *n_out)
{
    const text_net *net = state;
    wf_tensor *states[MAX_LAYERS + 1], *ids = in[0], *mask = in[1];
    WF_TRY(check_text(c, net, ids, mask));
    const int64_t n = net->encoder.style.n_layers, at = hidden_layer(c, &net->encoder.style, in[3]);
    wf_tensor *bias = mask ? wf_mask_to_bias(c, mask, MASKED) : NULL;
    const bool wants_layers = in[2] && wf_item(c, in[2]) != 0.0;
    wf_tensor *x = wf_encoder_run(c, &net->encoder, embed_text(c, net, ids), bias, true, n,
                                  wants_layers || at < n ? states : NULL);
    WF_TRY(wf_get_status(c));
    wf_tensor *last = wf_norm_run(c, &net->final, x);
    wf_tensor *pooled = pick_tokens(c, last, find_end(c, net, ids));
    put(out, n_out, "hidden", at < n ? wf_norm_run(c, &net->final, states[at]) : last);
    put(out, n_out, "pooled", pooled);
    if (net->projection.w) put(out, n_out, "embeds", wf_linear_run(c, &net->projection, pooled));
    if (wants_layers) put(out, n_out, "layers", wf_stack_states(c, states, n + 1));
    return wf_get_status(c);
}

static const char *rename_text(const char *name, char *buf, size_t n)
{
    return rename_tower(name, "text_model.", buf, n);
}

static const wf_method text_methods[] = {{"forward", "ids mask? layers? skip?", run_text}, {0}};
static const char *const text_classes[] = {"CLIPTextModelWithProjection", "CLIPTextModel",
                                           "clip_text_model", NULL};

const wf_arch wfi_arch_clip_text = {.name = "clip_text",
                                    .classes = text_classes,
                                    .is_transformers = true,
                                    .keys = text_keys,
                                    .methods = text_methods,
                                    .build = build_text,
                                    .rename = rename_text};

/* ---- pictures ---- */

typedef struct vision_net {
    wf_param *class_token, *positions;    /* [C], [1 + T,C] */
    wf_conv_layer stem[MAX_STEM]; /* one convolution of P x P patches, or the small model's stem */
    int n_stem;
    int64_t unshuffle; /* pixels per side folded into channels before the stem; 1: none */
    wf_act stem_act;                      /* between its convolutions */
    wf_encoder encoder;
    wf_norm_layer pre, post;
    wf_linear_layer projection;
    bool projects_tokens; /* embeds come from all tokens side by side, not from the first alone */
    int64_t image_size, n_channels;
} vision_net;

static const wf_config_key vision_keys[] = {
    {"image_size", NULL}, {"patch_size", NULL}, {"num_channels", NULL}, {"hidden_size", NULL},
    {"intermediate_size", NULL}, {"projection_dim", NULL}, {"num_hidden_layers", NULL},
    {"num_attention_heads", NULL}, {"hidden_act", NULL}, {"layer_norm_eps", NULL},
    {"initializer_factor", NULL}, {"stem", NULL}, {"projection_input", NULL}, {0}};

/* One convolution over the patches, without bias as CLIP's. Returns patches per side. */
static int64_t build_patches(wf_builder *b, vision_net *net, const wf_json *j, int64_t width)
{
    const int64_t P = wf_config_size(b->c, j, "patch_size", 32);
    const wf_shape s = {4, {width, P, P, net->n_channels}};
    net->unshuffle = 1;
    net->n_stem = 1;
    net->stem[0] =
        (wf_conv_layer){.w = wf_param_new(b, "embeddings.patch_embedding.weight", WF_LAYOUT_CONV2D,
                                          s, wf_init_normal(EMBEDDING_DEVIATION)),
                        .how = wf_conv_same(P, 0)};
    return net->image_size / P;
}

/* {"type": "unshuffle", "patch": p, "channels": [c0, ...]}: pixels folded into c0 channels, 3x3 to
 * the next, then 3x3 of stride 2 through the rest to the width, SiLU between. Returns tokens per
 * side. */
static int64_t build_stem(wf_builder *b, vision_net *net, const wf_json *stem, int64_t width)
{
    wf_ctx *c = b->c;
    const wf_json *list = wf_json_find(stem, "channels");
    const int64_t n = wf_json_count(list), p = wf_config_size(c, stem, "patch", 0);
    const char *type = wf_json_get_text(c, stem, "type", "");
    if (strcmp(type, "unshuffle") != 0 || n < 2 || n > MAX_STEM || net->image_size % p != 0) {
        wf_fail(
            c, WF_EMODEL,
            "clip_vision: \"stem\" must be \"patch\" or {\"type\": \"unshuffle\", \"patch\": p, "
            "\"channels\": [p*p*%lld, ...]}, p dividing image_size",
            (long long)net->n_channels);
        return 1;
    }
    if (wf_json_int(wf_json_at(list, 0), 0) != p * p * net->n_channels)
        wf_fail(c, WF_EMODEL, "clip_vision: the first of \"channels\" must be %lld",
                (long long)(p * p * net->n_channels));
    net->unshuffle = p;
    net->stem_act = WF_ACT_SILU;
    net->n_stem = (int)n;
    int64_t side = net->image_size / p, in = p * p * net->n_channels;
    for (int64_t i = 0; i < n; i++) {
        char name[48];
        const int64_t out = i == n - 1 ? width : wf_json_int(wf_json_at(list, i + 1), 0);
        snprintf(name, sizeof name, "embeddings.stem.%lld", (long long)i);
        if (out < 1)
            wf_fail(c, WF_EMODEL, "clip_vision: \"channels\" must be whole numbers of at least 1");
        if (wf_has_failed(c)) return 1;
        net->stem[i] = wf_conv_declare(b, name, in, out, 3, wf_conv_same(i ? 2 : 1, 1));
        if (i) side = (side + 1) / 2;
        in = out;
    }
    return side;
}

static int64_t build_embeddings(wf_builder *b, vision_net *net, const wf_json *j, int64_t width)
{
    const wf_json *stem = wf_json_find(j, "stem");
    if (wf_json_is_null(stem) || strcmp(wf_json_text(stem, ""), "patch") == 0)
        return build_patches(b, net, j, width);
    return build_stem(b, net, stem, width);
}

/* "projection_input": "class" (CLIP's, the default) or "tokens", the small model's: what stands
 * where is then read by a linear map. */
static void build_projection(wf_builder *b, vision_net *net, const wf_json *j, int64_t n_tokens)
{
    wf_ctx *c = b->c;
    const wf_encoder_style *s = &net->encoder.style;
    const char *input = wf_json_get_text(c, j, "projection_input", "class");
    net->projects_tokens = strcmp(input, "tokens") == 0;
    if (!net->projects_tokens && strcmp(input, "class") != 0)
        wf_fail(c, WF_EMODEL,
                "clip_vision: \"projection_input\" must be \"class\" or \"tokens\", got \"%s\"",
                input);
    if (!has_projection(j, true)) return;
    const int64_t n_in = net->projects_tokens ? n_tokens * s->width : s->width;
    net->projection = wf_linear_declare_normal(b, "visual_projection", n_in,
                                               wf_config_size(c, j, "projection_dim", 512), false,
                                               feature_deviation(s));
}

static void *build_vision(wf_builder *b, const wf_json *j)
{
    wf_ctx *c = b->c;
    const wf_encoder_style s = read_style(c, j, 768, 3072, 12, 12);
    vision_net *net = wf_builder_alloc(b, sizeof *net);
    if (!net) return NULL;
    net->image_size = wf_config_size(c, j, "image_size", 224);
    net->n_channels = wf_config_size(c, j, "num_channels", 3);
    const size_t mark = wf_builder_enter(b, "vision_model");
    const int64_t side = build_embeddings(b, net, j, s.width);
    const wf_shape token = {1, {s.width}};
    net->class_token = wf_param_new(b, "embeddings.class_embedding", WF_LAYOUT_PLAIN, token,
                                    wf_init_normal(feature_deviation(&s)));
    net->positions = wf_embedding_declare(b, "embeddings.position_embedding", side * side + 1,
                                          s.width, EMBEDDING_DEVIATION * s.init_scale);
    net->pre = wf_layer_norm_declare(b, "pre_layrnorm", s.width, s.eps);
    net->encoder = wf_encoder_declare(b, &s);
    net->post = wf_layer_norm_declare(b, "post_layernorm", s.width, s.eps);
    wf_builder_leave(b, mark);
    build_projection(b, net, j, side * side + 1);
    return net;
}

/* pixels [B,H,W,3] -> tokens with the class token first, positions added [B,1 + T,C] */
static wf_tensor *embed_pixels(wf_ctx *c, const vision_net *net, wf_tensor *pixels)
{
    const int64_t B = wf_dim(pixels, 0), C = net->encoder.style.width;
    wf_tensor *x = wf_pixel_unshuffle(c, wf_to_activation(c, pixels), net->unshuffle);
    for (int i = 0; i < net->n_stem; i++) {
        x = wf_conv_run(c, &net->stem[i], x);
        if (i < net->n_stem - 1) x = wf_act_run(c, x, net->stem_act);
    }
    x = wf_reshape3(c, x, B, wf_dim(x, 1) * wf_dim(x, 2), C);
    wf_tensor *token = wf_to_dtype_of(c, net->class_token->t, x);
    token =
        wf_contiguous(c, wf_expand(c, wf_reshape3(c, token, 1, 1, C), &(wf_shape){3, {B, 1, C}}));
    wf_tensor *parts[2] = {token, x};
    return wf_add(c, wf_concat(c, parts, 2, 1), net->positions->t);
}

/* What the projection reads of hidden [B,T,C]: the class token [B,C], which is pooled, or all of
 * them [B,T*C]. */
static wf_tensor *projection_input(wf_ctx *c, const vision_net *net, wf_tensor *hidden,
                                   wf_tensor *pooled)
{
    if (!net->projects_tokens) return pooled;
    wf_tensor *x = wf_norm_run(c, &net->post, hidden);
    return wf_reshape2(c, x, wf_dim(x, 0), wf_dim(x, 1) * wf_dim(x, 2));
}

/* pixels layers? skip? -> hidden pooled embeds? layers? */
static wf_status run_vision(wf_ctx *c, const void *state, wf_tensor *const *in, wf_named *out,
                            int *n_out)
{
    const vision_net *net = state;
    wf_tensor *states[MAX_LAYERS + 1], *pixels = in[0];
    const int64_t side = net->image_size, C = net->encoder.style.width;
    WF_TRY(wf_input_check(c, "clip_vision", "pixels", pixels, 4,
                          (int64_t[]){-1, side, side, net->n_channels}));
    const int64_t n = net->encoder.style.n_layers, at = hidden_layer(c, &net->encoder.style, in[2]);
    const bool wants_layers = in[1] && wf_item(c, in[1]) != 0.0;
    wf_tensor *x = wf_norm_run(c, &net->pre, embed_pixels(c, net, pixels));
    wf_tensor *last =
        wf_encoder_run(c, &net->encoder, x, NULL, false, n, wants_layers || at < n ? states : NULL);
    WF_TRY(wf_get_status(c));
    wf_tensor *first = wf_reshape2(c, wf_slice(c, last, 1, 0, 1, 1), wf_dim(pixels, 0), C);
    wf_tensor *pooled = wf_norm_run(c, &net->post, first);
    put(out, n_out, "hidden", at < n ? states[at] : last);
    put(out, n_out, "pooled", pooled);
    if (net->projection.w)
        put(out, n_out, "embeds",
            wf_linear_run(c, &net->projection, projection_input(c, net, last, pooled)));
    if (wants_layers) put(out, n_out, "layers", wf_stack_states(c, states, n + 1));
    return wf_get_status(c);
}

static const char *rename_vision(const char *name, char *buf, size_t n)
{
    return rename_tower(name, "vision_model.", buf, n);
}

static const wf_method vision_methods[] = {{"forward", "pixels layers? skip?", run_vision}, {0}};
static const char *const vision_classes[] = {"CLIPVisionModelWithProjection", "CLIPVisionModel",
                                             "clip_vision_model", NULL};

const wf_arch wfi_arch_clip_vision = {.name = "clip_vision",
                                      .classes = vision_classes,
                                      .is_transformers = true,
                                      .keys = vision_keys,
                                      .methods = vision_methods,
                                      .build = build_vision,
                                      .rename = rename_vision};
