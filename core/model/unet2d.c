/*
 * unet2d.c - the denoiser of latent diffusion (UNet2DConditionModel): Stable Diffusion 1 and 2,
 * unCLIP, InstructPix2Pix, AudioLDM and the small model are numbers of one config.
 *
 * B batch, H W latents, C channels, T context tokens, E context width.
 * Source: Rombach et al., arXiv:2112.10752; names and options of diffusers unet_2d_condition.py.
 */
#include <stdio.h>
#include <string.h>

#include "core/model/arch.h"
#include "core/nn/attention.h"
#include "core/nn/resnet.h"

enum {
    MAX_LEVELS = 8,
    MAX_LAYERS = 8,
    MAX_SKIPS = MAX_LEVELS * (MAX_LAYERS + 1) + 1,
    MAX_KV = 256
};

static const double MASKED = -10000.0; /* added to scores of masked tokens, as the reference does */

typedef enum class_kind {
    CLASS_NONE,
    CLASS_TABLE,
    CLASS_TIME,
    CLASS_IDENTITY,
    CLASS_MLP,
    CLASS_LINEAR
} class_kind;

/* One level: residual blocks, each with attention after it or without, then a change of size. */
typedef struct unet_level {
    wf_resnet resnets[MAX_LAYERS + 1];
    wf_spatial attns[MAX_LAYERS + 1];
    int n_layers;
    bool has_attn;
    wf_conv_layer resize;                 /* w NULL: none */
} unet_level;

typedef struct unet_net {
    wf_conv_layer conv_in, conv_out;
    wf_time_mlp time, class_mlp;
    wf_linear_layer class_linear;
    wf_param *class_table;
    unet_level down[MAX_LEVELS], up[MAX_LEVELS];
    wf_resnet mid[2];
    wf_spatial mid_attn;
    int n_mid; /* residual blocks in the middle: 0, 1, or 2 with attention */
    wf_norm_layer norm_out;
    const wf_attn *cross[MAX_KV]; /* every attention to the context, in the order of kv_at */
    int n_cross;

    int n_levels;
    int64_t in_channels, out_channels, class_width, time_width, kv_channels;
    int64_t context_width[MAX_LEVELS];
    class_kind class_kind;
    bool center, class_concat, cos_first;
    double shift;
    wf_act act;
} unet_net;

/* What building needs beside the network itself. */
typedef struct unet_plan {
    const wf_json *config;
    int64_t width[MAX_LEVELS], layers[MAX_LEVELS], heads[MAX_LEVELS], depth[MAX_LEVELS];
    bool only_cross[MAX_LEVELS], down_attn[MAX_LEVELS], up_attn[MAX_LEVELS];
    bool linear_projection;
    int64_t conv_in_taps, conv_out_taps;
    wf_resnet_style style;
} unet_plan;

static const wf_config_key keys[] = {{"in_channels", NULL},
                                     {"out_channels", NULL},
                                     {"block_out_channels", NULL},
                                     {"layers_per_block", NULL},
                                     {"attention_head_dim", NULL},
                                     {"cross_attention_dim", NULL},
                                     {"transformer_layers_per_block", NULL},
                                     {"down_block_types", NULL},
                                     {"up_block_types", NULL},
                                     {"mid_block_type", NULL},
                                     {"mid_block_scale_factor", NULL},
                                     {"norm_num_groups", NULL},
                                     {"norm_eps", NULL},
                                     {"act_fn", NULL},
                                     {"use_linear_projection", NULL},
                                     {"only_cross_attention", NULL},
                                     {"class_embed_type", NULL},
                                     {"num_class_embeds", NULL},
                                     {"projection_class_embeddings_input_dim", NULL},
                                     {"class_embeddings_concat", NULL},
                                     {"resnet_time_scale_shift", NULL},
                                     {"center_input_sample", NULL},
                                     {"flip_sin_to_cos", NULL},
                                     {"freq_shift", NULL},
                                     {"time_embedding_dim", NULL},
                                     {"conv_in_kernel", NULL},
                                     {"conv_out_kernel", NULL},
                                     {"upcast_attention", "*"},
                                     {"addition_embed_type_num_heads", "*"},
                                     {"mid_block_only_cross_attention", "*"},
                                     {"addition_embed_type", "null"},
                                     {"addition_time_embed_dim", "null"},
                                     {"attention_type", "\"default\""},
                                     {"cross_attention_norm", "null"},
                                     {"downsample_padding", "1"},
                                     {"dual_cross_attention", "false"},
                                     {"encoder_hid_dim", "null"},
                                     {"encoder_hid_dim_type", "null"},
                                     {"num_attention_heads", "null"},
                                     {"resnet_out_scale_factor", NULL},
                                     {"resnet_skip_time_act", "false"},
                                     {"reverse_transformer_layers_per_block", "null"},
                                     {"time_cond_proj_dim", "null"},
                                     {"time_embedding_act_fn", "null"},
                                     {"time_embedding_type", "\"positional\""},
                                     {"timestep_post_act", "null"},
                                     {0}};

/* ---- reading the config ---- */

/* Whether each block attends, from the list of block types (fallback: the widest has none). */
static void read_types(wf_ctx *c, const wf_json *j, const char *key, const char *plain,
                       const char *cross, int n, bool plain_at_end, bool *attends)
{
    const wf_json *list = wf_json_find(j, key);
    if (!wf_json_is_null(list) && wf_json_count(list) != n)
        wf_fail(c, WF_EMODEL, "unet2d: \"%s\" has %lld blocks, block_out_channels has %d", key,
                (long long)wf_json_count(list), n);
    for (int i = 0; i < n; i++) {
        const char *type = wf_json_text(wf_json_at(list, i), NULL);
        attends[i] = type ? strcmp(type, cross) == 0 : i != (plain_at_end ? n - 1 : 0);
        if (!wf_json_is_null(list) && !attends[i] && (!type || strcmp(type, plain) != 0))
            wf_fail(c, WF_EMODEL, "unet2d: \"%s\" holds \"%.40s\", only %s and %s are supported",
                    key, type ? type : "?", plain, cross);
    }
}

static void read_only_cross(wf_ctx *c, const wf_json *j, int n, bool *only)
{
    const wf_json *v = wf_json_find(j, "only_cross_attention");
    const bool is_list = wf_json_is_array(v);
    if (is_list && wf_json_count(v) != n)
        wf_fail(c, WF_EMODEL, "unet2d: \"only_cross_attention\" has %lld values, %d blocks want %d",
                (long long)wf_json_count(v), n, n);
    for (int i = 0; i < n; i++)
        only[i] = is_list ? wf_json_bool(wf_json_at(v, i), false)
                          : wf_json_get_bool(c, j, "only_cross_attention", false);
}

static void read_class(wf_ctx *c, unet_net *net, const wf_json *j)
{
    static const struct { const char *name; class_kind kind; } kinds[] = {
        {"timestep", CLASS_TIME}, {"identity", CLASS_IDENTITY}, {"projection", CLASS_MLP},
        {"simple_projection", CLASS_LINEAR}};
    const char *type = wf_json_get_text(c, j, "class_embed_type", NULL);
    net->class_concat = wf_json_get_bool(c, j, "class_embeddings_concat", false);
    net->class_kind = !type && wf_json_has(j, "num_class_embeds") ? CLASS_TABLE : CLASS_NONE;
    for (size_t i = 0; type && i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(type, kinds[i].name) == 0) net->class_kind = kinds[i].kind;
    if (type && net->class_kind == CLASS_NONE)
        wf_fail(c, WF_EMODEL, "unet2d: \"class_embed_type\" is \"%.40s\", which is not supported",
                type);
    if (net->class_kind == CLASS_TABLE)
        net->class_width = wf_config_size(c, j, "num_class_embeds", 0);
    if (net->class_kind == CLASS_MLP || net->class_kind == CLASS_LINEAR)
        net->class_width = wf_config_size(c, j, "projection_class_embeddings_input_dim", 0);
    if (net->class_kind == CLASS_NONE && net->class_concat)
        wf_fail(c, WF_EMODEL,
                "unet2d: \"class_embeddings_concat\" is true, but there is no class embedding");
}

static void read_middle(wf_ctx *c, unet_net *net, const wf_json *j)
{
    const wf_json *type = wf_json_find(j, "mid_block_type");
    const char *name = type ? wf_json_text(type, NULL) : "UNetMidBlock2DCrossAttn";
    if (!name) net->n_mid = 0;
    else if (strcmp(name, "UNetMidBlock2DCrossAttn") == 0) net->n_mid = 2;
    else if (strcmp(name, "UNetMidBlock2D") == 0) net->n_mid = 1;
    else
        wf_fail(c, WF_EMODEL, "unet2d: \"mid_block_type\" is \"%.40s\", which is not supported",
                name);
}

static int64_t read_taps(wf_ctx *c, const wf_json *j, const char *key)
{
    const int64_t taps = wf_config_size(c, j, key, 3);
    if (taps % 2 == 0)
        wf_fail(c, WF_EMODEL, "unet2d: \"%s\" is %lld, wanted an odd number", key, (long long)taps);
    return taps;
}

static wf_resnet_style read_style(wf_ctx *c, const unet_net *net, const wf_json *j)
{
    const char *shift = wf_json_get_text(c, j, "resnet_time_scale_shift", "default");
    const bool scales = strcmp(shift, "scale_shift") == 0;
    if (!scales && strcmp(shift, "default") != 0)
        wf_fail(c, WF_EMODEL,
                "unet2d: \"resnet_time_scale_shift\" is \"%.40s\", which is not supported", shift);
    if (wf_json_get_number(c, j, "resnet_out_scale_factor", 1.0) != 1.0)
        wf_fail(c, WF_EMODEL, "unet2d: \"resnet_out_scale_factor\" must be 1");
    return (wf_resnet_style){.groups = wf_config_size(c, j, "norm_num_groups", 32),
                             .eps = wf_json_get_number(c, j, "norm_eps", 1e-5),
                             .act = net->act,
                             .emb = net->time_width * (net->class_concat ? 2 : 1),
                             .scale_shift = scales,
                             .divide = 1.0};
}

static void read_levels(wf_ctx *c, unet_net *net, unet_plan *p)
{
    const wf_json *j = p->config, *widths = wf_json_find(j, "block_out_channels");
    const int64_t n = wf_json_count(widths);
    net->n_levels = n < 1 || n > MAX_LEVELS ? 1 : (int)n;
    if (n != net->n_levels)
        wf_fail(c, WF_EMODEL, "unet2d: \"block_out_channels\" must be a list of 1 to %d",
                MAX_LEVELS);
    wf_config_sizes(c, j, "block_out_channels", 0, net->n_levels, p->width);
    wf_config_sizes(c, j, "layers_per_block", 2, net->n_levels, p->layers);
    wf_config_sizes(c, j, "attention_head_dim", 8, net->n_levels, p->heads);
    wf_config_sizes(c, j, "transformer_layers_per_block", 1, net->n_levels, p->depth);
    wf_config_sizes(c, j, "cross_attention_dim", 1280, net->n_levels, net->context_width);
    for (int i = 0; i < net->n_levels; i++)
        if (p->layers[i] > MAX_LAYERS) {
            wf_fail(c, WF_EMODEL, "unet2d: \"layers_per_block\" is above %d", MAX_LAYERS);
            p->layers[i] = 1;
        }
    read_only_cross(c, j, net->n_levels, p->only_cross);
    read_types(c, j, "down_block_types", "DownBlock2D", "CrossAttnDownBlock2D", net->n_levels, true,
               p->down_attn);
    read_types(c, j, "up_block_types", "UpBlock2D", "CrossAttnUpBlock2D", net->n_levels, false,
               p->up_attn);
}

static void read_config(wf_ctx *c, unet_net *net, unet_plan *p)
{
    const wf_json *j = p->config;
    read_levels(c, net, p);
    net->in_channels = wf_config_size(c, j, "in_channels", 4);
    net->out_channels = wf_config_size(c, j, "out_channels", 4);
    net->time_width = wf_config_size(c, j, "time_embedding_dim", 4 * p->width[0]);
    net->center = wf_json_get_bool(c, j, "center_input_sample", false);
    net->cos_first = wf_json_get_bool(c, j, "flip_sin_to_cos", true);
    net->shift = wf_json_get_number(c, j, "freq_shift", 0.0);
    net->act = wf_config_act(c, j, "act_fn", "silu");
    read_class(c, net, j);
    read_middle(c, net, j);
    p->conv_in_taps = read_taps(c, j, "conv_in_kernel");
    p->conv_out_taps = read_taps(c, j, "conv_out_kernel");
    p->linear_projection = wf_json_get_bool(c, j, "use_linear_projection", false);
    p->style = read_style(c, net, j);
}

/* ---- building ---- */

/* The spatial transformer of level i. */
static wf_spatial build_attn(wf_builder *b, unet_net *net, const unet_plan *p, const char *name,
                             int i)
{
    const wf_spatial_style s = {.width = p->width[i],
                                .context = net->context_width[i],
                                .n_heads = p->heads[i],
                                .depth = p->depth[i],
                                .groups = p->style.groups,
                                .linear_projection = p->linear_projection,
                                .only_cross = p->only_cross[i]};
    return wf_spatial_declare(b, name, &s, &net->kv_channels);
}

/* Layer k of a level: a residual block from width in, and attention. */
static void build_layer(wf_builder *b, unet_net *net, const unet_plan *p, unet_level *l, int k,
                        int i, int64_t in)
{
    char name[24];
    snprintf(name, sizeof name, "resnets.%d", k);
    l->resnets[k] = wf_resnet_declare(b, name, in, p->width[i], &p->style);
    snprintf(name, sizeof name, "attentions.%d", k);
    if (l->has_attn) l->attns[k] = build_attn(b, net, p, name, i);
}

static void build_down(wf_builder *b, unet_net *net, const unet_plan *p)
{
    for (int i = 0; i < net->n_levels; i++) {
        unet_level *l = &net->down[i];
        const size_t mark = wf_builder_enter(b, "down_blocks.%d", i);
        l->n_layers = (int)p->layers[i];
        l->has_attn = p->down_attn[i];
        for (int k = 0; k < l->n_layers; k++)
            build_layer(b, net, p, l, k, i, k ? p->width[i] : p->width[i ? i - 1 : 0]);
        if (i < net->n_levels - 1)
            l->resize = wf_downsample_declare(b, "downsamplers.0.conv", p->width[i], true);
        wf_builder_leave(b, mark);
    }
}

static void build_middle(wf_builder *b, unet_net *net, const unet_plan *p)
{
    const int last = net->n_levels - 1;
    const int64_t width = p->width[last];
    wf_resnet_style style = p->style;
    style.divide = wf_json_get_number(b->c, p->config, "mid_block_scale_factor", 1.0);
    unet_plan mid = *p;
    mid.only_cross[last] = false; /* the reference's middle block always has self attention */
    const size_t mark = wf_builder_enter(b, "mid_block");
    if (net->n_mid > 0) net->mid[0] = wf_resnet_declare(b, "resnets.0", width, width, &style);
    if (net->n_mid > 1) net->mid_attn = build_attn(b, net, &mid, "attentions.0", last);
    if (net->n_mid > 1) net->mid[1] = wf_resnet_declare(b, "resnets.1", width, width, &style);
    wf_builder_leave(b, mark);
}

/* Block n of the way up is level i = last - n; each layer also reads one skip of the way down. */
static void build_up(wf_builder *b, unet_net *net, const unet_plan *p)
{
    const int last = net->n_levels - 1;
    for (int n = 0; n <= last; n++) {
        const int i = last - n;
        unet_level *l = &net->up[n];
        const int64_t below = p->width[n ? i + 1 : last], above = p->width[i ? i - 1 : 0];
        const size_t mark = wf_builder_enter(b, "up_blocks.%d", n);
        l->n_layers = (int)p->layers[i] + 1;
        l->has_attn = p->up_attn[n];
        for (int k = 0; k < l->n_layers; k++) {
            const int64_t skip = k == l->n_layers - 1 ? above : p->width[i];
            build_layer(b, net, p, l, k, i, (k ? p->width[i] : below) + skip);
        }
        if (i > 0)
            l->resize = wf_conv_declare(b, "upsamplers.0.conv", p->width[i], p->width[i], 3,
                                        wf_conv_same(1, 1));
        wf_builder_leave(b, mark);
    }
}

static void build_embeddings(wf_builder *b, unet_net *net, int64_t width)
{
    const int64_t E = net->time_width;
    net->time = wf_time_mlp_declare(b, "time_embedding", width, E, net->act);
    switch (net->class_kind) {
    case CLASS_TABLE:
        net->class_table = wf_embedding_declare(b, "class_embedding", net->class_width, E, 1.0);
        break;
    case CLASS_TIME:
        net->class_mlp = wf_time_mlp_declare(b, "class_embedding", width, E, net->act);
        break;
    case CLASS_MLP:       /* always SiLU, whatever act_fn says */
        net->class_mlp =
            wf_time_mlp_declare(b, "class_embedding", net->class_width, E, WF_ACT_SILU);
        break;
    case CLASS_LINEAR:
        net->class_linear = wf_linear_declare(b, "class_embedding", net->class_width, E, true);
        break;
    default: break;
    }
}

/* List the cross attentions of one spatial transformer. */
static void list_cross(wf_ctx *c, unet_net *net, const wf_spatial *l)
{
    for (int64_t i = 0; l->blocks && i < l->style.depth; i++) {
        if (net->n_cross + 2 > MAX_KV) {
            wf_fail(c, WF_EMODEL, "unet2d: more than %d cross attentions", MAX_KV);
            return;
        }
        if (l->style.only_cross) net->cross[net->n_cross++] = &l->blocks[i].attn1;
        net->cross[net->n_cross++] = &l->blocks[i].attn2;
    }
}

/* In the order in which they were declared, which is that of kv_at. */
static void list_all_cross(wf_ctx *c, unet_net *net)
{
    for (int i = 0; i < net->n_levels; i++)
        for (int k = 0; k < net->down[i].n_layers; k++) list_cross(c, net, &net->down[i].attns[k]);
    list_cross(c, net, &net->mid_attn);
    for (int i = 0; i < net->n_levels; i++)
        for (int k = 0; k < net->up[i].n_layers; k++) list_cross(c, net, &net->up[i].attns[k]);
}

static void *build(wf_builder *b, const wf_json *j)
{
    wf_ctx *c = b->c;
    unet_net *net = wf_builder_alloc(b, sizeof *net);
    if (!net) return NULL;
    unet_plan p = {.config = j};
    read_config(c, net, &p);
    const int64_t width = p.width[0], in = p.conv_in_taps, out = p.conv_out_taps;
    net->conv_in =
        wf_conv_declare(b, "conv_in", net->in_channels, width, in, wf_conv_same(1, in / 2));
    build_embeddings(b, net, width);
    build_down(b, net, &p);
    build_middle(b, net, &p);
    build_up(b, net, &p);
    net->norm_out = wf_group_norm_declare(b, "conv_norm_out", width, p.style.groups, p.style.eps);
    net->conv_out =
        wf_conv_declare(b, "conv_out", width, net->out_channels, out, wf_conv_same(1, out / 2));
    list_all_cross(c, net);
    return net;
}

/* ---- running ---- */

/* A number, or one number a sample, as [B]. */
static wf_tensor *per_sample(wf_ctx *c, const char *name, wf_tensor *t, int64_t B)
{
    const int64_t n = wf_numel(t);
    if (n != 1 && (n != B || wf_rank(t) != 1))
        return wf_fail(c, WF_ESHAPE, "unet2d: %s has %lld values, wanted 1 or [%lld]", name,
                       (long long)n, (long long)B);
    t = wf_reshape1(c, t, n);
    return n == B ? t : wf_expand(c, t, &(wf_shape){1, {B}});
}

/* class_labels -> [B,E] */
static wf_tensor *embed_class(wf_ctx *c, const unet_net *net, wf_tensor *labels, int64_t B,
                              const wf_tensor *like)
{
    const int64_t wide = net->class_kind == CLASS_IDENTITY ? net->time_width : net->class_width;
    const bool is_vector = net->class_kind != CLASS_TABLE && net->class_kind != CLASS_TIME;
    if (!labels)
        return wf_fail(c, WF_EARG, "unet2d: class_labels is missing, which this model wants");
    if (is_vector) {
        if (wf_input_check(c, "unet2d", "class_labels", labels, 2, (int64_t[]){B, wide}) != WF_OK)
            return NULL;
        labels = wf_to_dtype_of(c, labels, like);
    } else {
        labels = per_sample(c, "class_labels", labels, B);
    }
    switch (net->class_kind) {
    case CLASS_TABLE:
        return wf_embedding_run(c, net->class_table, wf_cast(c, labels, WF_DTYPE_I64));
    case CLASS_TIME:
        labels = wf_time_sinusoid(c, labels, wf_dim(net->class_mlp.first.w->t, 1), net->cos_first,
                                  net->shift);
        return wf_time_mlp_run(c, &net->class_mlp, wf_to_dtype_of(c, labels, like));
    case CLASS_MLP: return wf_time_mlp_run(c, &net->class_mlp, labels);
    case CLASS_LINEAR: return wf_linear_run(c, &net->class_linear, labels);
    default: return labels;
    }
}

/* The embedding that every residual block reads, activated: [B,E]. */
static wf_tensor *embed_time(wf_ctx *c, const unet_net *net, wf_tensor *t, wf_tensor *labels,
                             const wf_tensor *like)
{
    const int64_t B = wf_dim(like, 0);
    wf_scope *s = wf_scope_open(c);
    wf_tensor *wave = wf_time_sinusoid(c, per_sample(c, "timestep", t, B),
                                       wf_dim(net->time.first.w->t, 1), net->cos_first, net->shift);
    wf_tensor *emb = wf_time_mlp_run(c, &net->time, wf_to_dtype_of(c, wave, like));
    if (net->class_kind != CLASS_NONE) {
        wf_tensor *both[2] = {emb, embed_class(c, net, labels, B, like)};
        emb = net->class_concat ? wf_concat(c, both, 2, -1) : wf_add(c, both[0], both[1]);
    } else if (labels) {
        wf_fail(c, WF_EARG, "unet2d: class_labels given to a model without class embedding");
    }
    return wf_scope_close(c, s, wf_act_run(c, emb, net->act));
}

/* What the way down leaves for the way up. */
typedef struct skip_stack {
    wf_tensor *t[MAX_SKIPS];
    int n;
} skip_stack;

static wf_tensor *run_layer(wf_ctx *c, const unet_level *l, int k, wf_tensor *x, wf_tensor *emb,
                            const wf_context *ctx)
{
    wf_scope *s = wf_scope_open(c);
    x = wf_resnet_run(c, &l->resnets[k], x, emb);
    if (l->has_attn) x = wf_spatial_run(c, &l->attns[k], x, ctx);
    return wf_scope_close(c, s, x);
}

static wf_tensor *run_down(wf_ctx *c, const unet_net *net, wf_tensor *x, wf_tensor *emb,
                           const wf_context *ctx, skip_stack *skips)
{
    skips->t[skips->n++] = x;
    for (int i = 0; i < net->n_levels; i++) {
        const unet_level *l = &net->down[i];
        for (int k = 0; k < l->n_layers; k++)
            skips->t[skips->n++] = x = run_layer(c, l, k, x, emb, ctx);
        if (l->resize.w) skips->t[skips->n++] = x = wf_conv_run(c, &l->resize, x);
    }
    return x;
}

static wf_tensor *run_middle(wf_ctx *c, const unet_net *net, wf_tensor *x, wf_tensor *emb,
                             const wf_context *ctx)
{
    if (net->n_mid > 0) x = wf_resnet_run(c, &net->mid[0], x, emb);
    if (net->n_mid > 1) x = wf_spatial_run(c, &net->mid_attn, x, ctx);
    return net->n_mid > 1 ? wf_resnet_run(c, &net->mid[1], x, emb) : x;
}

static wf_tensor *run_up(wf_ctx *c, const unet_net *net, wf_tensor *x, wf_tensor *emb,
                         const wf_context *ctx, skip_stack *skips)
{
    for (int i = 0; i < net->n_levels; i++) {
        const unet_level *l = &net->up[i];
        for (int k = 0; k < l->n_layers; k++) {
            wf_scope *s = wf_scope_open(c);
            wf_tensor *both[2] = {x, skips->t[--skips->n]};
            x = wf_scope_close(c, s, run_layer(c, l, k, wf_concat(c, both, 2, -1), emb, ctx));
        }
        if (!l->resize.w) continue;
        const wf_tensor *next = skips->t[skips->n - 1]; /* odd sizes: up to what is joined next */
        x = wf_upsample_run(c, &l->resize, x, wf_dim(next, 1), wf_dim(next, 2));
    }
    return x;
}

static wf_status check_context(wf_ctx *c, const unet_net *net, wf_tensor *const *in,
                               wf_context *ctx, int64_t B)
{
    wf_tensor *states = in[2], *mask = in[3], *kv = in[5];
    if (states && kv)
        return wf_fail_status(c, WF_EARG, "unet2d: context and context_kv are both given");
    if (states)
        WF_TRY(wf_input_check(c, "unet2d", "context", states, 3,
                              (int64_t[]){B, -1, net->context_width[0]}));
    if (kv)
        WF_TRY(
            wf_input_check(c, "unet2d", "context_kv", kv, 3, (int64_t[]){B, -1, net->kv_channels}));
    /* Without a context cross attention reads its own input: only where the widths agree. */
    for (int i = 0; i < net->n_cross && !states && !kv; i++)
        if (wf_dim(net->cross[i]->k.w->t, 1) != wf_dim(net->cross[i]->q.w->t, 1))
            return wf_fail_status(c, WF_EARG, "unet2d: context is missing, wanted [%lld,*,%lld]",
                                  (long long)B, (long long)net->context_width[0]);
    wf_tensor *tokens = states ? states : kv;
    if (mask && !tokens)
        return wf_fail_status(c, WF_EARG, "unet2d: mask is given without a context");
    if (mask)
        WF_TRY(wf_input_check(c, "unet2d", "mask", mask, 2, (int64_t[]){B, wf_dim(tokens, 1)}));
    *ctx = (wf_context){.states = states ? wf_to_activation(c, states) : NULL, .prepared = kv,
                        .bias = mask ? wf_mask_to_bias(c, mask, MASKED) : NULL};
    return wf_get_status(c);
}

/* sample timestep context? mask? class_labels? context_kv? -> sample [B,H,W,O] */
static wf_status run_forward(wf_ctx *c, const void *state, wf_tensor *const *in, wf_named *out,
                             int *n_out)
{
    const unet_net *net = state;
    wf_context ctx;
    WF_TRY(
        wf_input_check(c, "unet2d", "sample", in[0], 4, (int64_t[]){-1, -1, -1, net->in_channels}));
    wf_tensor *x = wf_to_activation(c, in[0]);
    WF_TRY(check_context(c, net, in, &ctx, wf_dim(x, 0)));
    wf_tensor *emb = embed_time(c, net, in[1], in[4], x);
    if (wf_has_failed(c)) return wf_get_status(c);

    skip_stack skips = {.n = 0};
    if (net->center) x = wf_affine(c, x, 2.0, -1.0);
    x = run_down(c, net, wf_conv_run(c, &net->conv_in, x), emb, &ctx, &skips);
    x = run_middle(c, net, x, emb, &ctx);
    x = run_up(c, net, x, emb, &ctx, &skips);
    x = wf_conv_run(c, &net->conv_out, wf_norm_run_act(c, &net->norm_out, x, net->act));
    out[0] = (wf_named){"sample", x};
    *n_out = 1;
    return wf_get_status(c);
}

/* context [B,T,E] -> context_kv [B,T,P]: keys and values of every cross attention, once for a whole
 * run. */
static wf_status run_prepare(wf_ctx *c, const void *state, wf_tensor *const *in, wf_named *out,
                             int *n_out)
{
    const unet_net *net = state;
    WF_TRY(wf_input_check(c, "unet2d", "context", in[0], 3,
                          (int64_t[]){-1, -1, net->context_width[0]}));
    if (net->n_cross == 0) return wf_fail_status(c, WF_EARG, "unet2d: this model reads no context");
    wf_tensor *states = wf_to_activation(c, in[0]), *all = NULL;
    for (int i = 0; i < net->n_cross; i++) {
        wf_tensor *pair[2] = {all, wf_attn_prepare(c, net->cross[i], states)};
        all = all ? wf_concat(c, pair, 2, -1) : pair[1];
    }
    out[0] = (wf_named){"context_kv", all};
    *n_out = 1;
    return wf_get_status(c);
}

static const wf_method methods[] = {
    {"forward", "sample timestep context? mask? class_labels? context_kv?", run_forward},
    {"prepare", "context", run_prepare}, {0}};
static const char *const classes[] = {"UNet2DConditionModel", NULL};

const wf_arch wfi_arch_unet2d = {
    .name = "unet2d", .classes = classes, .keys = keys, .methods = methods, .build = build};
