/* unet_config.c - what the configs of picture and video denoisers say. */
#include <stdio.h>
#include <string.h>

#include "core/model/unet_impl.h"

/* Whether each block attends, from the list of block types (fallback: the widest has none).
 * stem: "DownBlock" or "UpBlock". */
static void read_types(wf_ctx *c, unet_net *net, const wf_json *j, const char *key,
                       const char *stem, const char *kind, bool *attends)
{
    char plain[32], cross[32];
    const int n = net->n_levels, without = stem[0] == 'U' ? 0 : n - 1;
    const wf_json *list = wf_json_find(j, key);
    snprintf(plain, sizeof plain, "%s%s", stem, kind);
    snprintf(cross, sizeof cross, "CrossAttn%s%s", stem, kind);
    if (!wf_json_is_null(list) && wf_json_count(list) != n)
        wf_fail(c, WF_EMODEL, "%s: \"%s\" has %lld blocks, block_out_channels has %d", net->name,
                key, (long long)wf_json_count(list), n);
    for (int i = 0; i < n; i++) {
        const char *type = wf_json_text(wf_json_at(list, i), NULL);
        attends[i] = type ? strcmp(type, cross) == 0 : i != without;
        if (!wf_json_is_null(list) && !attends[i] && (!type || strcmp(type, plain) != 0))
            wf_fail(c, WF_EMODEL, "%s: \"%s\" holds \"%.40s\", only %s and %s are supported",
                    net->name, key, type ? type : "?", plain, cross);
    }
}

static void read_only_cross(wf_ctx *c, unet_net *net, const wf_json *j, bool *only)
{
    const wf_json *v = wf_json_find(j, "only_cross_attention");
    const bool is_list = wf_json_is_array(v);
    const int n = net->n_levels;
    if (is_list && wf_json_count(v) != n)
        wf_fail(c, WF_EMODEL, "%s: \"only_cross_attention\" has %lld values, %d blocks want %d",
                net->name, (long long)wf_json_count(v), n, n);
    for (int i = 0; i < n; i++)
        only[i] = is_list ? wf_json_bool(wf_json_at(v, i), false)
                          : wf_json_get_bool(c, j, "only_cross_attention", false);
}

static void read_class(wf_ctx *c, unet_net *net, const wf_json *j)
{
    static const struct { const char *name; unet_class kind; } kinds[] = {
        {"timestep", UNET_CLASS_TIME}, {"identity", UNET_CLASS_IDENTITY},
        {"projection", UNET_CLASS_MLP}, {"simple_projection", UNET_CLASS_LINEAR}};
    const char *type = wf_json_get_text(c, j, "class_embed_type", NULL);
    net->class_concat = wf_json_get_bool(c, j, "class_embeddings_concat", false);
    net->class_kind = !type && wf_json_has(j, "num_class_embeds") ? UNET_CLASS_TABLE
                                                                   : UNET_CLASS_NONE;
    for (size_t i = 0; type && i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(type, kinds[i].name) == 0) net->class_kind = kinds[i].kind;
    if (type && net->class_kind == UNET_CLASS_NONE)
        wf_fail(c, WF_EMODEL, "%s: \"class_embed_type\" is \"%.40s\", which is not supported",
                net->name, type);
    if (net->class_kind == UNET_CLASS_TABLE)
        net->class_width = wf_config_size(c, j, "num_class_embeds", 0);
    if (net->class_kind == UNET_CLASS_MLP || net->class_kind == UNET_CLASS_LINEAR)
        net->class_width = wf_config_size(c, j, "projection_class_embeddings_input_dim", 0);
    if (net->class_kind == UNET_CLASS_NONE && net->class_concat)
        wf_fail(c, WF_EMODEL,
                "%s: \"class_embeddings_concat\" is true, but there is no class embedding",
                net->name);
}

static void read_middle(wf_ctx *c, unet_net *net, const wf_json *j, const char *kind)
{
    char plain[32], cross[40];
    snprintf(plain, sizeof plain, "UNetMidBlock%s", kind);
    snprintf(cross, sizeof cross, "UNetMidBlock%sCrossAttn", kind);
    const wf_json *type = wf_json_find(j, "mid_block_type");
    const char *name = type ? wf_json_text(type, NULL) : cross;
    if (!name) net->n_mid = 0;
    else if (strcmp(name, cross) == 0) net->n_mid = 2;
    else if (strcmp(name, plain) == 0) net->n_mid = 1;
    else
        wf_fail(c, WF_EMODEL, "%s: \"mid_block_type\" is \"%.40s\", which is not supported",
                net->name, name);
}

static int64_t read_taps(wf_ctx *c, const unet_net *net, const wf_json *j, const char *key)
{
    const int64_t taps = wf_config_size(c, j, key, 3);
    if (taps % 2 == 0)
        wf_fail(c, WF_EMODEL, "%s: \"%s\" is %lld, wanted an odd number", net->name, key,
                (long long)taps);
    return taps;
}

static wf_resnet_style read_style(wf_ctx *c, const unet_net *net, const wf_json *j)
{
    const char *shift = wf_json_get_text(c, j, "resnet_time_scale_shift", "default");
    const bool scales = strcmp(shift, "scale_shift") == 0;
    if (!scales && strcmp(shift, "default") != 0)
        wf_fail(c, WF_EMODEL,
                "%s: \"resnet_time_scale_shift\" is \"%.40s\", which is not supported", net->name,
                shift);
    if (wf_json_get_number(c, j, "resnet_out_scale_factor", 1.0) != 1.0)
        wf_fail(c, WF_EMODEL, "%s: \"resnet_out_scale_factor\" must be 1", net->name);
    return (wf_resnet_style){.groups = wf_config_size(c, j, "norm_num_groups", 32),
                             .eps = wf_json_get_number(c, j, "norm_eps", 1e-5),
                             .act = net->act,
                             .emb = net->time_width * (net->class_concat ? 2 : 1),
                             .scale_shift = scales,
                             .divide = 1.0};
}

/* The number of heads of each level. Configs of pictures give it under the name of their width. */
static void read_heads(wf_ctx *c, const unet_net *net, unet_plan *p)
{
    const int n = net->n_levels;
    wf_config_sizes(c, p->config, "attention_head_dim", net->is_video ? 64 : 8, n, p->heads);
    for (int i = 0; i < n && net->is_video; i++) {
        const int64_t D = p->heads[i], C = p->width[i];
        if (C % D != 0 && (p->down_attn[i] || p->up_attn[n - 1 - i]))
            wf_fail(c, WF_EMODEL, "%s: %lld channels do not divide into heads of %lld", net->name,
                    (long long)C, (long long)D);
        p->heads[i] = C >= D ? C / D : 1;
    }
}

static void read_levels(wf_ctx *c, unet_net *net, unet_plan *p, const char *kind)
{
    const wf_json *j = p->config, *widths = wf_json_find(j, "block_out_channels");
    const int64_t n = wf_json_count(widths);
    net->n_levels = n < 1 || n > WFI_UNET_LEVELS ? 1 : (int)n;
    if (n != net->n_levels)
        wf_fail(c, WF_EMODEL, "%s: \"block_out_channels\" must be a list of 1 to %d", net->name,
                WFI_UNET_LEVELS);
    wf_config_sizes(c, j, "block_out_channels", 0, net->n_levels, p->width);
    wf_config_sizes(c, j, "layers_per_block", 2, net->n_levels, p->layers);
    wf_config_sizes(c, j, "transformer_layers_per_block", 1, net->n_levels, p->depth);
    wf_config_sizes(c, j, "cross_attention_dim", net->is_video ? 1024 : 1280, net->n_levels,
                    net->context_width);
    for (int i = 0; i < net->n_levels; i++)
        if (p->layers[i] > WFI_UNET_LAYERS) {
            wf_fail(c, WF_EMODEL, "%s: \"layers_per_block\" is above %d", net->name,
                    WFI_UNET_LAYERS);
            p->layers[i] = 1;
        }
    read_only_cross(c, net, j, p->only_cross);
    read_types(c, net, j, "down_block_types", "DownBlock", kind, p->down_attn);
    read_types(c, net, j, "up_block_types", "UpBlock", kind, p->up_attn);
    read_heads(c, net, p);
}

/* What configs of videos say of the layers over frames. The public ones have attention_head_dim
 * alone: eight heads of it at the entry. */
static void read_frames(wf_ctx *c, unet_plan *p)
{
    enum { HEADS_IN = 8 };
    const wf_json *j = p->config, *d = wf_json_find(j, "attention_head_dim");
    int64_t head = wf_json_is_array(d) ? wf_json_int(wf_json_at(d, 0), 0)
                                       : wf_config_size(c, j, "attention_head_dim", 64);
    p->frame_convs = (int)wf_config_size(c, j, "temporal_conv_layers", WF_TEMPORAL_MAX_CONVS);
    p->frames_read_context = wf_json_get_bool(c, j, "temporal_cross_attention", false);
    p->frames_in_width = wf_json_get_bool(c, j, "transformer_in", true) ? HEADS_IN * head : 0;
    if (!wf_json_is_null(wf_json_find(j, "frame_embedding_dim")))
        p->frame_width = wf_config_size(c, j, "frame_embedding_dim", 0);
}

void wfi_unet_read(wf_ctx *c, unet_net *net, unet_plan *p, const char *kind)
{
    const wf_json *j = p->config;
    read_levels(c, net, p, kind);
    net->in_channels = wf_config_size(c, j, "in_channels", 4);
    net->out_channels = wf_config_size(c, j, "out_channels", 4);
    net->time_width = wf_config_size(c, j, "time_embedding_dim", 4 * p->width[0]);
    net->center = wf_json_get_bool(c, j, "center_input_sample", false);
    net->cos_first = wf_json_get_bool(c, j, "flip_sin_to_cos", true);
    net->shift = wf_json_get_number(c, j, "freq_shift", 0.0);
    net->act = wf_config_act(c, j, "act_fn", "silu");
    net->act_out = net->is_video ? WF_ACT_SILU : net->act;
    read_class(c, net, j);
    read_middle(c, net, j, kind);
    p->conv_in_taps = read_taps(c, net, j, "conv_in_kernel");
    p->conv_out_taps = read_taps(c, net, j, "conv_out_kernel");
    p->linear_projection = wf_json_get_bool(c, j, "use_linear_projection", net->is_video);
    p->style = read_style(c, net, j);
    if (net->is_video) read_frames(c, p);
}
