/* unet_build.c - the parameters of picture and video denoisers, under their public names. */
#include <stdio.h>

#include "core/model/unet_impl.h"

/* List the cross attentions of blocks, in the order in which they take their places. */
static void list_cross(wf_ctx *c, unet_net *net, const wf_spatial_block *blocks, int64_t depth)
{
    for (int64_t i = 0; blocks && i < 2 * depth; i++) {
        const wf_attn *a = i % 2 ? &blocks[i / 2].attn2 : &blocks[i / 2].attn1;
        if (a->kv_at < 0) continue;
        if (net->n_cross == WFI_UNET_KV) {
            wf_fail(c, WF_EMODEL, "%s: more than %d cross attentions", net->name, WFI_UNET_KV);
            return;
        }
        net->cross[net->n_cross++] = a;
    }
}

/* The transformers of level i: over the pixels, and for videos over the frames. */
static void build_attn(wf_builder *b, unet_net *net, const unet_plan *p, unet_layer *l, int k,
                       int i)
{
    char name[32];
    wf_spatial_style s = {.width = p->width[i],
                          .context = net->context_width[i],
                          .n_heads = p->heads[i],
                          .depth = p->depth[i],
                          .groups = p->style.groups,
                          .linear_projection = p->linear_projection,
                          .only_cross = p->only_cross[i]};
    snprintf(name, sizeof name, "attentions.%d", k);
    l->attn = wf_spatial_declare(b, name, &s, &net->kv_channels);
    list_cross(b->c, net, l->attn.blocks, s.depth);
    if (!net->is_video) return;
    s.only_cross = false;
    s.depth = 1;
    snprintf(name, sizeof name, "temp_attentions.%d", k);
    l->frames_attn = wf_temporal_declare(b, name, s.width, &s,
                                         p->frames_read_context ? &net->kv_channels : NULL);
    list_cross(b->c, net, l->frames_attn.blocks, s.depth);
}

/* Residual block k and its convolution over frames. */
static void build_resnet(wf_builder *b, const unet_net *net, const unet_plan *p, unet_layer *l,
                         int k, int64_t in, int64_t out)
{
    char name[32];
    snprintf(name, sizeof name, "resnets.%d", k);
    l->resnet = wf_resnet_declare(b, name, in, out, &p->style);
    if (!net->is_video) return;
    snprintf(name, sizeof name, "temp_convs.%d", k);
    l->frames = wf_temporal_conv_declare(b, name, out, p->style.groups, p->frame_convs);
}

/* Layer k of level i. */
static void build_layer(wf_builder *b, unet_net *net, const unet_plan *p, unet_level *l, int k,
                        int i, int64_t in)
{
    build_resnet(b, net, p, &l->layers[k], k, in, p->width[i]);
    if (l->has_attn) build_attn(b, net, p, &l->layers[k], k, i);
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
    unet_plan mid = *p;
    mid.style.divide = wf_json_get_number(b->c, p->config, "mid_block_scale_factor", 1.0);
    mid.only_cross[last] = false; /* the reference's middle block always has self attention */
    const size_t mark = wf_builder_enter(b, "mid_block");
    if (net->n_mid > 0) build_resnet(b, net, &mid, &net->mid[0], 0, width, width);
    if (net->n_mid > 1) build_attn(b, net, &mid, &net->mid[0], 0, last);
    if (net->n_mid > 1) build_resnet(b, net, &mid, &net->mid[1], 1, width, width);
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
    const int64_t E = net->time_width, wide = net->class_width;
    net->time = wf_time_mlp_declare(b, "time_embedding", width, E, net->act);
    switch (net->class_kind) {
    case UNET_CLASS_TABLE:
        net->class_table = wf_embedding_declare(b, "class_embedding", wide, E, 1.0);
        break;
    case UNET_CLASS_TIME:
        net->class_mlp = wf_time_mlp_declare(b, "class_embedding", width, E, net->act);
        break;
    case UNET_CLASS_MLP:       /* always SiLU, whatever act_fn says */
        net->class_mlp = wf_time_mlp_declare(b, "class_embedding", wide, E, WF_ACT_SILU);
        break;
    case UNET_CLASS_LINEAR:
        net->class_linear = wf_linear_declare(b, "class_embedding", wide, E, true);
        break;
    default: break;
    }
}

/* What stands before the levels and is over frames; fresh, it changes nothing. */
static void build_frames(wf_builder *b, unet_net *net, const unet_plan *p)
{
    const int64_t inner = p->frames_in_width, E = p->style.emb;
    const wf_spatial_style s = {.width = inner, .n_heads = 8, .depth = 1,
                                .groups = p->style.groups};
    if (inner) net->frames_in = wf_temporal_declare(b, "transformer_in", p->width[0], &s, NULL);
    if (!p->frame_width) return;
    const size_t mark = wf_builder_enter(b, "frame_embedding");
    net->frame.first = wf_linear_declare(b, "linear_1", p->frame_width, E, true);
    net->frame.second = wf_linear_declare_normal(b, "linear_2", E, E, true, 0.0);
    net->frame.act = net->act;
    wf_builder_leave(b, mark);
}

void wfi_unet_declare(wf_builder *b, unet_net *net, const unet_plan *p)
{
    const int64_t width = p->width[0], in = p->conv_in_taps, out = p->conv_out_taps;
    net->conv_in =
        wf_conv_declare(b, "conv_in", net->in_channels, width, in, wf_conv_same(1, in / 2));
    build_embeddings(b, net, width);
    if (net->is_video) build_frames(b, net, p);
    build_down(b, net, p);
    build_middle(b, net, p);
    build_up(b, net, p);
    net->norm_out = wf_group_norm_declare(b, "conv_norm_out", width, p->style.groups, p->style.eps);
    net->conv_out =
        wf_conv_declare(b, "conv_out", width, net->out_channels, out, wf_conv_same(1, out / 2));
}
