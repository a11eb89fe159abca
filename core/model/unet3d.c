/*
 * unet3d.c - the denoiser of text-to-video models (UNet3DConditionModel): ModelScope, zeroscope,
 * and the small model's, whose config also has the keys of pictures and four of its own.
 *
 * Source: Wang et al., arXiv:2308.06571; names and options of diffusers unet_3d_condition.py.
 */
#include "core/model/unet_impl.h"

/* Ours: how many convolutions a layer has over frames, whether attention over frames reads the
 * context, whether a transformer over frames stands at the entry, and the width of the sinusoid of
 * a frame's number, which is embedded beside the time (none in public models). */
static const wf_config_key keys[] = {WFI_UNET_KEYS,
                                     {"temporal_conv_layers", NULL},
                                     {"temporal_cross_attention", NULL},
                                     {"transformer_in", NULL},
                                     {"frame_embedding_dim", NULL},
                                     {0}};

static void *build(wf_builder *b, const wf_json *j)
{
    unet_net *net = wf_builder_alloc(b, sizeof *net);
    if (!net) return NULL;
    unet_plan p = {.config = j};
    net->name = "unet3d";
    net->is_video = true;
    wfi_unet_read(b->c, net, &p, "3D");
    wfi_unet_declare(b, net, &p);
    return net;
}

/* sample [B,L,H,W,C] timestep context? mask? class_labels? context_kv? -> sample [B,L,H,W,O] */
static wf_status run_forward(wf_ctx *c, const void *state, wf_tensor *const *in, wf_named *out,
                             int *n_out)
{
    const unet_net *net = state;
    const int64_t wanted[] = {-1, -1, -1, -1, net->in_channels};
    WF_TRY(wf_input_check(c, net->name, "sample", in[0], 5, wanted));
    wf_tensor *flat[7] = {NULL}; /* no mid_kv */
    for (int i = 0; i < 6; i++) flat[i] = in[i];
    const int64_t B = wf_dim(in[0], 0), L = wf_dim(in[0], 1), H = wf_dim(in[0], 2),
                  W = wf_dim(in[0], 3);
    if (B < 1 || L < 1)
        return wf_fail_status(c, WF_ESHAPE, "unet3d: sample has no frames");
    flat[0] = wf_reshape4(c, in[0], B * L, H, W, net->in_channels);
    wf_tensor *y = wfi_unet_run(c, net, flat, L);
    out[0] = (wf_named){
        "sample", y ? wf_reshape(c, y, 5, (int64_t[]){B, L, H, W, net->out_channels}) : NULL};
    *n_out = 1;
    return wf_get_status(c);
}

static const wf_method methods[] = {
    {"forward", "sample timestep context? mask? class_labels? context_kv?", run_forward},
    {"prepare", "context", wfi_unet_prepare}, {0}};
static const char *const classes[] = {"UNet3DConditionModel", NULL};

const wf_arch wfi_arch_unet3d = {
    .name = "unet3d", .classes = classes, .keys = keys, .methods = methods, .build = build};
