/* unet_impl.h - the denoisers of pictures and videos as one network, for core/model alone.
 *
 * A video is its frames side by side in the batch; layers over frames follow the others. The two
 * classes differ in what their configs say and how they say it.
 *
 * B batch, L frames, H W latents, C channels, T context tokens, E context width.
 */
#ifndef WF_CORE_UNET_IMPL_H
#define WF_CORE_UNET_IMPL_H

#include "core/model/arch.h"
#include "core/nn/attention.h"
#include "core/nn/resnet.h"
#include "core/nn/temporal.h"

enum {
    WFI_UNET_LEVELS = 8,
    WFI_UNET_LAYERS = 8,
    WFI_UNET_SKIPS = WFI_UNET_LEVELS * (WFI_UNET_LAYERS + 1) + 1,
    WFI_UNET_KV = 256
};

typedef enum unet_class {
    UNET_CLASS_NONE,
    UNET_CLASS_TABLE,
    UNET_CLASS_TIME,
    UNET_CLASS_IDENTITY,
    UNET_CLASS_MLP,
    UNET_CLASS_LINEAR
} unet_class;

/* A residual block and what follows it: over frames, attention, attention over frames. */
typedef struct unet_layer {
    wf_resnet resnet;
    wf_temporal_conv frames;
    wf_spatial attn;
    wf_temporal frames_attn;
} unet_layer;

/* One level: layers with attention or without, then a change of size. */
typedef struct unet_level {
    unet_layer layers[WFI_UNET_LAYERS + 1];
    int n_layers;
    bool has_attn;
    wf_conv_layer resize;                 /* w NULL: none */
} unet_level;

typedef struct unet_net {
    const char *name;                     /* "unet2d", for messages */
    wf_conv_layer conv_in, conv_out;
    wf_time_mlp time, class_mlp;
    wf_linear_layer class_linear;
    wf_param *class_table;
    unet_level down[WFI_UNET_LEVELS], up[WFI_UNET_LEVELS];
    unet_layer mid[2];                    /* attention belongs to the first */
    int n_mid; /* residual blocks in the middle: 0, 1, or 2 with attention */
    wf_norm_layer norm_out;
    const wf_attn *cross[WFI_UNET_KV]; /* every attention to the context, in the order of kv_at */
    int n_cross;

    bool is_video;
    wf_temporal frames_in;                /* of videos, after conv_in; blocks NULL: none */
    wf_time_mlp frame;                    /* of a frame's number; first.w NULL: none */

    int n_levels;
    int64_t in_channels, out_channels, class_width, time_width, kv_channels;
    int64_t context_width[WFI_UNET_LEVELS];
    unet_class class_kind;
    bool center, class_concat, cos_first;
    double shift;
    wf_act act, act_out;
} unet_net;

/* What building needs beside the network itself. */
typedef struct unet_plan {
    const wf_json *config;
    int64_t width[WFI_UNET_LEVELS], layers[WFI_UNET_LEVELS], heads[WFI_UNET_LEVELS];
    int64_t depth[WFI_UNET_LEVELS];
    bool only_cross[WFI_UNET_LEVELS], down_attn[WFI_UNET_LEVELS], up_attn[WFI_UNET_LEVELS];
    bool linear_projection;
    int64_t conv_in_taps, conv_out_taps;
    wf_resnet_style style;

    int frame_convs;                      /* of videos: in each layer over frames */
    bool frames_read_context;             /* the second attention over frames reads the context */
    int64_t frame_width, frames_in_width; /* 0: none */
} unet_plan;

/* Keys that both classes read, and those whose only value they support. */
#define WFI_UNET_KEYS \
    {"in_channels", NULL}, \
    {"out_channels", NULL}, \
    {"block_out_channels", NULL}, \
    {"layers_per_block", NULL}, \
    {"attention_head_dim", NULL}, \
    {"cross_attention_dim", NULL}, \
    {"transformer_layers_per_block", NULL}, \
    {"down_block_types", NULL}, \
    {"up_block_types", NULL}, \
    {"mid_block_type", NULL}, \
    {"mid_block_scale_factor", NULL}, \
    {"norm_num_groups", NULL}, \
    {"norm_eps", NULL}, \
    {"act_fn", NULL}, \
    {"use_linear_projection", NULL}, \
    {"only_cross_attention", NULL}, \
    {"class_embed_type", NULL}, \
    {"num_class_embeds", NULL}, \
    {"projection_class_embeddings_input_dim", NULL}, \
    {"class_embeddings_concat", NULL}, \
    {"resnet_time_scale_shift", NULL}, \
    {"center_input_sample", NULL}, \
    {"flip_sin_to_cos", NULL}, \
    {"freq_shift", NULL}, \
    {"time_embedding_dim", NULL}, \
    {"conv_in_kernel", NULL}, \
    {"conv_out_kernel", NULL}, \
    {"upcast_attention", "*"}, \
    {"addition_embed_type_num_heads", "*"}, \
    {"mid_block_only_cross_attention", "*"}, \
    {"addition_embed_type", "null"}, \
    {"addition_time_embed_dim", "null"}, \
    {"attention_type", "\"default\""}, \
    {"cross_attention_norm", "null"}, \
    {"downsample_padding", "1"}, \
    {"dual_cross_attention", "false"}, \
    {"encoder_hid_dim", "null"}, \
    {"encoder_hid_dim_type", "null"}, \
    {"num_attention_heads", "null"}, \
    {"resnet_out_scale_factor", NULL}, \
    {"resnet_skip_time_act", "false"}, \
    {"reverse_transformer_layers_per_block", "null"}, \
    {"time_cond_proj_dim", "null"}, \
    {"time_embedding_act_fn", "null"}, \
    {"time_embedding_type", "\"positional\""}, \
    {"timestep_post_act", "null"}

/* Read a class's config; kind is "2D" or "3D", as in the names of its blocks. */
void wfi_unet_read(wf_ctx *c, unet_net *net, unet_plan *p, const char *kind);
/* Declare the network that was read. */
void wfi_unet_declare(wf_builder *b, unet_net *net, const unet_plan *p);

/* in: sample timestep context? mask? class_labels? context_kv? mid_kv? with sample
 * [B*n_frames,H,W,C] and mid_kv, of pictures alone, [B,T,N,2C] for a middle block of C channels;
 * the rest has B rows -> sample [B*n_frames,H,W,O], scoped. */
wf_tensor *wfi_unet_run(wf_ctx *c, const unet_net *net, wf_tensor *const *in, int64_t n_frames);
/* The method "prepare": context [B,T,E] -> context_kv [B,T,P], the keys and values of every cross
 * attention, once for a whole run. */
wf_status wfi_unet_prepare(wf_ctx *c, const void *net, wf_tensor *const *in, wf_named *out,
                           int *n_out);

#endif
