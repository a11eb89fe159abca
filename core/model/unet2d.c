/*
 * unet2d.c - the denoiser of latent diffusion (UNet2DConditionModel): Stable Diffusion 1 and 2,
 * unCLIP, InstructPix2Pix, AudioLDM and the small model are numbers of one config.
 *
 * Source: Rombach et al., arXiv:2112.10752; names and options of diffusers unet_2d_condition.py.
 */
#include "core/model/unet_impl.h"

static const wf_config_key keys[] = {WFI_UNET_KEYS, {0}};

static void *build(wf_builder *b, const wf_json *j)
{
    unet_net *net = wf_builder_alloc(b, sizeof *net);
    if (!net) return NULL;
    unet_plan p = {.config = j};
    net->name = "unet2d";
    wfi_unet_read(b->c, net, &p, "2D");
    wfi_unet_declare(b, net, &p);
    return net;
}

/* sample [B,H,W,C] timestep context? mask? class_labels? context_kv? mid_kv? -> sample [B,H,W,O].
 * mid_kv [B,T,N,2C]: keys and values that the C channels of the middle block attend to besides; of
 * connectors, see joint.c. */
static wf_status run_forward(wf_ctx *c, const void *state, wf_tensor *const *in, wf_named *out,
                             int *n_out)
{
    const unet_net *net = state;
    const int64_t wanted[] = {-1, -1, -1, net->in_channels};
    WF_TRY(wf_input_check(c, net->name, "sample", in[0], 4, wanted));
    out[0] = (wf_named){"sample", wfi_unet_run(c, net, in, 1)};
    *n_out = 1;
    return wf_get_status(c);
}

static const wf_method methods[] = {
    {"forward", "sample timestep context? mask? class_labels? context_kv? mid_kv?", run_forward},
    {"prepare", "context", wfi_unet_prepare}, {0}};
static const char *const classes[] = {"UNet2DConditionModel", NULL};

const wf_arch wfi_arch_unet2d = {
    .name = "unet2d", .classes = classes, .keys = keys, .methods = methods, .build = build};
