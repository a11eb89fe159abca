/*
 * vae.c - the autoencoder of latent diffusion (AutoencoderKL).
 *
 * patch_size p, ours: pixels are folded p x p into channels before the encoder and unfolded after
 * the decoder, in the order (py, px, c), so that a small model needs no convolution at full size.
 * Latents are never scaled here. Source: Rombach et al., arXiv:2112.10752, appendix G.
 */
#include <stdio.h>
#include <string.h>

#include "core/model/arch.h"
#include "core/nn/attention.h"
#include "core/nn/resnet.h"

enum { MAX_LEVELS = 8, MAX_LAYERS = 8 };

static const double NORM_EPS = 1e-6;      /* of every norm, whatever the config says */

typedef struct vae_level {
    wf_resnet resnets[MAX_LAYERS + 1];
    int n_resnets;
    wf_conv_layer resize;                 /* w NULL: none */
} vae_level;

typedef struct vae_middle {
    wf_resnet resnets[2];
    wf_attn_block attn;                   /* norm.w NULL: none */
} vae_middle;

typedef struct vae_half {
    wf_conv_layer conv_in, conv_out;
    vae_level levels[MAX_LEVELS];
    vae_middle middle;
    wf_norm_layer norm_out;
} vae_half;

typedef struct vae_net {
    vae_half encoder, decoder;
    wf_conv_layer quant, post_quant;      /* w NULL: none */
    int n_levels;
    int64_t n_layers, widths[MAX_LEVELS];
    int64_t in_channels, out_channels, latent_channels, patch;
    bool has_attention;
    wf_resnet_style style;
} vae_net;

static const wf_config_key keys[] = {{"in_channels", NULL},
                                     {"out_channels", NULL},
                                     {"latent_channels", NULL},
                                     {"block_out_channels", NULL},
                                     {"layers_per_block", NULL},
                                     {"norm_num_groups", NULL},
                                     {"mid_block_add_attention", NULL},
                                     {"use_quant_conv", NULL},
                                     {"use_post_quant_conv", NULL},
                                     {"patch_size", NULL},
                                     {"down_block_types", NULL},
                                     {"up_block_types", NULL},
                                     {"act_fn", "\"silu\""},
                                     {"scaling_factor", "*"},
                                     {"shift_factor", "*"},
                                     {"latents_mean", "*"},
                                     {"latents_std", "*"},
                                     {0}};

/* ---- building ---- */

static vae_middle build_middle(wf_builder *b, const vae_net *net, int64_t width)
{
    vae_middle m = {0};
    const size_t mark = wf_builder_enter(b, "mid_block");
    m.resnets[0] = wf_resnet_declare(b, "resnets.0", width, width, &net->style);
    if (net->has_attention)
        m.attn = wf_attn_block_declare(b, "attentions.0", width, net->style.groups, NORM_EPS);
    m.resnets[1] = wf_resnet_declare(b, "resnets.1", width, width, &net->style);
    wf_builder_leave(b, mark);
    return m;
}

/* n residual blocks from width in to width out. */
static vae_level build_level(wf_builder *b, const vae_net *net, int64_t in, int64_t out, int64_t n)
{
    vae_level l = {.n_resnets = (int)n};
    for (int i = 0; i < l.n_resnets; i++) {
        char name[24];
        snprintf(name, sizeof name, "resnets.%d", i);
        l.resnets[i] = wf_resnet_declare(b, name, i ? out : in, out, &net->style);
    }
    return l;
}

static void build_encoder(wf_builder *b, vae_net *net)
{
    vae_half *e = &net->encoder;
    const int last = net->n_levels - 1;
    const int64_t *w = net->widths, p = net->patch;
    const size_t mark = wf_builder_enter(b, "encoder");
    e->conv_in =
        wf_conv_declare(b, "conv_in", p * p * net->in_channels, w[0], 3, wf_conv_same(1, 1));
    for (int i = 0; i <= last; i++) {
        const size_t inner = wf_builder_enter(b, "down_blocks.%d", i);
        e->levels[i] = build_level(b, net, w[i ? i - 1 : 0], w[i], net->n_layers);
        if (i < last)
            e->levels[i].resize = wf_downsample_declare(b, "downsamplers.0.conv", w[i], false);
        wf_builder_leave(b, inner);
    }
    e->middle = build_middle(b, net, w[last]);
    e->norm_out = wf_group_norm_declare(b, "conv_norm_out", w[last], net->style.groups, NORM_EPS);
    e->conv_out =
        wf_conv_declare(b, "conv_out", w[last], 2 * net->latent_channels, 3, wf_conv_same(1, 1));
    wf_builder_leave(b, mark);
}

static void build_decoder(wf_builder *b, vae_net *net)
{
    vae_half *d = &net->decoder;
    const int last = net->n_levels - 1;
    const int64_t *w = net->widths, p = net->patch;
    const wf_conv same = wf_conv_same(1, 1);
    const size_t mark = wf_builder_enter(b, "decoder");
    d->conv_in = wf_conv_declare(b, "conv_in", net->latent_channels, w[last], 3, same);
    d->middle = build_middle(b, net, w[last]);
    for (int i = 0; i <= last; i++) {      /* from the deepest level up */
        const size_t inner = wf_builder_enter(b, "up_blocks.%d", i);
        d->levels[i] =
            build_level(b, net, w[i ? last - i + 1 : last], w[last - i], net->n_layers + 1);
        if (i < last)
            d->levels[i].resize =
                wf_conv_declare(b, "upsamplers.0.conv", w[last - i], w[last - i], 3, same);
        wf_builder_leave(b, inner);
    }
    d->norm_out = wf_group_norm_declare(b, "conv_norm_out", w[0], net->style.groups, NORM_EPS);
    d->conv_out = wf_conv_declare(b, "conv_out", w[0], p * p * net->out_channels, 3, same);
    wf_builder_leave(b, mark);
}

/* Every entry of a list of block types must be the one kind there is. */
static void check_types(wf_ctx *c, const wf_json *j, const char *key, const char *only, int n)
{
    const wf_json *list = wf_json_find(j, key);
    if (wf_json_is_null(list)) return;
    for (int i = 0; i < n; i++)
        if (strcmp(wf_json_text(wf_json_at(list, i), ""), only) != 0)
            wf_fail(c, WF_EMODEL, "vae: \"%s\" must be %d times \"%s\"", key, n, only);
    if (wf_json_count(list) != n)
        wf_fail(c, WF_EMODEL, "vae: \"%s\" has %lld blocks, block_out_channels has %d", key,
                (long long)wf_json_count(list), n);
}

static void read_config(wf_ctx *c, vae_net *net, const wf_json *j)
{
    const wf_json *widths = wf_json_find(j, "block_out_channels");
    const int64_t n = wf_json_is_null(widths) ? 1 : wf_json_count(widths);
    net->n_levels = n < 1 || n > MAX_LEVELS ? 1 : (int)n;
    if (n != net->n_levels)
        wf_fail(c, WF_EMODEL, "vae: \"block_out_channels\" must be a list of 1 to %d", MAX_LEVELS);
    wf_config_sizes(c, j, "block_out_channels", 64, net->n_levels, net->widths);
    net->n_layers = wf_config_size(c, j, "layers_per_block", 1);
    if (net->n_layers > MAX_LAYERS) {
        wf_fail(c, WF_EMODEL, "vae: \"layers_per_block\" is above %d", MAX_LAYERS);
        net->n_layers = 1;
    }
    net->in_channels = wf_config_size(c, j, "in_channels", 3);
    net->out_channels = wf_config_size(c, j, "out_channels", 3);
    net->latent_channels = wf_config_size(c, j, "latent_channels", 4);
    net->patch = wf_config_size(c, j, "patch_size", 1);
    net->has_attention = wf_json_get_bool(c, j, "mid_block_add_attention", true);
    net->style = (wf_resnet_style){.groups = wf_config_size(c, j, "norm_num_groups", 32),
                                   .eps = NORM_EPS, .act = WF_ACT_SILU, .divide = 1.0};
    check_types(c, j, "down_block_types", "DownEncoderBlock2D", net->n_levels);
    check_types(c, j, "up_block_types", "UpDecoderBlock2D", net->n_levels);
}

static void *build(wf_builder *b, const wf_json *j)
{
    const wf_conv one = wf_conv_same(1, 0);
    vae_net *net = wf_builder_alloc(b, sizeof *net);
    if (!net) return NULL;
    read_config(b->c, net, j);
    const int64_t z = net->latent_channels;
    build_encoder(b, net);
    build_decoder(b, net);
    if (wf_json_get_bool(b->c, j, "use_quant_conv", true))
        net->quant = wf_conv_declare(b, "quant_conv", 2 * z, 2 * z, 1, one);
    if (wf_json_get_bool(b->c, j, "use_post_quant_conv", true))
        net->post_quant = wf_conv_declare(b, "post_quant_conv", z, z, 1, one);
    return net;
}

/* ---- running ---- */

static wf_tensor *run_resnets(wf_ctx *c, const vae_level *l, wf_tensor *x)
{
    for (int i = 0; i < l->n_resnets; i++) x = wf_resnet_run(c, &l->resnets[i], x, NULL);
    return x;
}

static wf_tensor *run_middle(wf_ctx *c, const vae_middle *m, wf_tensor *x)
{
    x = wf_resnet_run(c, &m->resnets[0], x, NULL);
    if (m->attn.norm.w) x = wf_attn_block_run(c, &m->attn, x);
    return wf_resnet_run(c, &m->resnets[1], x, NULL);
}

/* x [B,H,W,I] -> [B,h,w,2 z] */
static wf_tensor *run_encoder(wf_ctx *c, const vae_net *net, wf_tensor *x)
{
    const vae_half *e = &net->encoder;
    wf_scope *s = wf_scope_open(c);
    x = wf_conv_run(c, &e->conv_in, wf_pixel_unshuffle(c, wf_to_activation(c, x), net->patch));
    for (int i = 0; i < net->n_levels; i++) {
        x = run_resnets(c, &e->levels[i], x);
        if (e->levels[i].resize.w) x = wf_conv_run(c, &e->levels[i].resize, x);
    }
    x = run_middle(c, &e->middle, x);
    x = wf_conv_run(c, &e->conv_out, wf_norm_run_act(c, &e->norm_out, x, WF_ACT_SILU));
    if (net->quant.w) x = wf_conv_run(c, &net->quant, x);
    return wf_scope_close(c, s, x);
}

/* z [B,h,w,z] -> [B,H,W,O] */
static wf_tensor *run_decoder(wf_ctx *c, const vae_net *net, wf_tensor *x)
{
    const vae_half *d = &net->decoder;
    wf_scope *s = wf_scope_open(c);
    x = wf_to_activation(c, x);
    if (net->post_quant.w) x = wf_conv_run(c, &net->post_quant, x);
    x = run_middle(c, &d->middle, wf_conv_run(c, &d->conv_in, x));
    for (int i = 0; i < net->n_levels; i++) {
        const vae_level *l = &d->levels[i];
        x = run_resnets(c, l, x);
        if (l->resize.w) x = wf_upsample_run(c, &l->resize, x, 2 * wf_dim(x, 1), 2 * wf_dim(x, 2));
    }
    x = wf_conv_run(c, &d->conv_out, wf_norm_run_act(c, &d->norm_out, x, WF_ACT_SILU));
    return wf_scope_close(c, s, wf_pixel_shuffle(c, x, net->patch));
}

/* x [B,H,W,I] -> mean, logvar [B,h,w,z] */
static wf_status run_encode(wf_ctx *c, const void *state, wf_tensor *const *in, wf_named *out,
                            int *n_out)
{
    const vae_net *net = state;
    const int64_t z = net->latent_channels, p = net->patch, least = p << (net->n_levels - 1);
    WF_TRY(wf_input_check(c, "vae", "x", in[0], 4, (int64_t[]){-1, -1, -1, net->in_channels}));
    const int64_t H = wf_dim(in[0], 1), W = wf_dim(in[0], 2);
    if (H % p || W % p || H < least || W < least)
        return wf_fail_status(c, WF_ESHAPE,
                              "vae: x is %lld x %lld pixels, wanted multiples of %lld from %lld on",
                              (long long)H, (long long)W, (long long)p, (long long)least);
    wf_tensor *m = run_encoder(c, net, in[0]);
    out[0] = (wf_named){"mean", wf_slice(c, m, 3, 0, z, 1)};
    out[1] = (wf_named){"logvar", wf_clamp(c, wf_slice(c, m, 3, z, z, 1), -30.0, 20.0)};
    *n_out = 2;
    return wf_get_status(c);
}

/* z [B,h,w,z] -> image [B,H,W,O] */
static wf_status run_decode(wf_ctx *c, const void *state, wf_tensor *const *in, wf_named *out,
                            int *n_out)
{
    const vae_net *net = state;
    WF_TRY(wf_input_check(c, "vae", "z", in[0], 4, (int64_t[]){-1, -1, -1, net->latent_channels}));
    out[0] = (wf_named){"image", run_decoder(c, net, in[0])};
    *n_out = 1;
    return wf_get_status(c);
}

/* ---- names ---- */

/* Files of old releases name the attention's products otherwise. */
static const char *rename_old(const char *name, char *buf, size_t n)
{
    static const char *const pairs[][2] = {{".query.", ".to_q."},
                                           {".key.", ".to_k."},
                                           {".value.", ".to_v."},
                                           {".proj_attn.", ".to_out.0."}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        const char *at = strstr(name, pairs[i][0]);
        if (!at) continue;
        snprintf(buf, n, "%.*s%s%s", (int)(at - name), name, pairs[i][1], at + strlen(pairs[i][0]));
        return buf;
    }
    return name;
}

static const wf_method methods[] = {{"encode", "x", run_encode}, {"decode", "z", run_decode}, {0}};
static const char *const classes[] = {"AutoencoderKL", NULL};

const wf_arch wfi_arch_vae = {.name = "vae", .classes = classes, .keys = keys, .methods = methods,
                              .build = build, .rename = rename_old};
