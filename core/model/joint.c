/*
 * joint.c - the connectors of two denoisers, by which a picture and its sound are made together.
 *
 * An environment encoder for each medium turns its noisy latents into a short sequence of a space
 * that both share. The middle block of each denoiser attends to the sequence of the other medium,
 * through keys and values that are made here (mid_kv of unet2d). Values start at zero: a denoiser
 * with fresh connectors is the denoiser alone.
 *
 *   h   = residual blocks, told the time, over latents unshuffled by p
 *   e   = W mean(h over the cells of a grid) + position        [B,T,E]
 *   kv  = K e', V e' of the other medium's e', for N heads     [B,T,N,2C]
 *
 * Source: Tang et al., CoDi, arXiv:2305.11846, section 3.4, where e is one vector a medium.
 */
#include <stdio.h>

#include "core/model/arch.h"
#include "core/nn/resnet.h"

enum { MAX_BLOCKS = 8 };

typedef enum medium { IMAGE, AUDIO, N_MEDIA } medium;

/* What one medium has: its environment encoder, and what its denoiser makes of the other's. */
typedef struct connector {
    wf_conv_layer conv_in;
    wf_resnet blocks[MAX_BLOCKS];
    wf_norm_layer norm;
    wf_linear_layer out, keys, values;
    wf_param *position;                   /* [T,E] */
    int64_t grid[2];                      /* cells along height and width; T is their product */
    int64_t width;                        /* C, of its denoiser's middle block */
} connector;

typedef struct joint {
    wf_time_mlp time;
    int64_t wave_width;                   /* of the sinusoids of a time */
    connector media[N_MEDIA];
    int64_t in_channels, patch, n_blocks, n_heads, hidden, environment;
} joint;

static const wf_config_key KEYS[] = {
    {"in_channels", NULL}, {"patch_size", NULL}, {"hidden_dim", NULL}, {"num_layers", NULL},
    {"norm_num_groups", NULL}, {"time_embedding_dim", NULL}, {"environment_dim", NULL},
    {"num_attention_heads", NULL}, {"image_grid", NULL}, {"audio_grid", NULL},
    {"image_dim", NULL}, {"audio_dim", NULL}, {NULL, NULL},
};

/* ---- declaring ---- */

static void read_sizes(wf_ctx *c, const wf_json *j, joint *n)
{
    n->in_channels = wf_config_size(c, j, "in_channels", 0);
    n->patch = wf_config_size(c, j, "patch_size", 1);
    n->hidden = wf_config_size(c, j, "hidden_dim", 0);
    n->n_blocks = wf_config_size(c, j, "num_layers", 1);
    n->n_heads = wf_config_size(c, j, "num_attention_heads", 1);
    n->environment = wf_config_size(c, j, "environment_dim", 0);
    n->media[IMAGE].width = wf_config_size(c, j, "image_dim", 0);
    n->media[AUDIO].width = wf_config_size(c, j, "audio_dim", 0);
    wf_config_sizes(c, j, "image_grid", 1, 2, n->media[IMAGE].grid);
    wf_config_sizes(c, j, "audio_grid", 1, 2, n->media[AUDIO].grid);
    if (n->n_blocks > MAX_BLOCKS)
        wf_fail(c, WF_EMODEL, "joint: \"num_layers\" is %lld, wanted 1 to %d",
                (long long)n->n_blocks, MAX_BLOCKS);
}

static void declare_medium(wf_builder *b, const joint *n, connector *m, const wf_resnet_style *s)
{
    const int64_t C = n->hidden, E = n->environment, wide = n->n_heads * m->width;
    const size_t mark = wf_builder_enter(b, "environment");
    m->conv_in = wf_conv_declare(b, "conv_in", n->in_channels * n->patch * n->patch, C, 3,
                                 wf_conv_same(1, 1));
    for (int i = 0; i < n->n_blocks; i++) {
        char name[32];
        snprintf(name, sizeof name, "resnets.%d", i);
        m->blocks[i] = wf_resnet_declare(b, name, C, C, s);
    }
    m->norm = wf_group_norm_declare(b, "norm_out", C, s->groups, s->eps);
    m->out = wf_linear_declare(b, "proj_out", C, E, true);
    m->position = wf_embedding_declare(b, "position_embedding", m->grid[0] * m->grid[1], E, 0.02);
    wf_builder_leave(b, mark);
    m->keys = wf_linear_declare(b, "to_k", E, wide, true);
    m->values = wf_linear_declare_normal(b, "to_v", E, wide, true, 0.0);
}

static void *build(wf_builder *b, const wf_json *config)
{
    static const char *const names[N_MEDIA] = {"image", "audio"};
    wf_ctx *c = b->c;
    joint *n = wf_builder_alloc(b, sizeof *n);
    if (!n) return NULL;
    read_sizes(c, config, n);
    const wf_resnet_style style = {.groups = wf_config_size(c, config, "norm_num_groups", 8),
                                   .eps = 1e-5, /* as of the denoisers */
                                   .act = WF_ACT_SILU,
                                   .emb = wf_config_size(c, config, "time_embedding_dim", 0),
                                   .scale_shift = true,
                                   .divide = 1.0};
    if (wf_has_failed(c)) return NULL;
    n->wave_width = style.emb;
    n->time = wf_time_mlp_declare(b, "time_embedding", n->wave_width, style.emb, WF_ACT_SILU);
    for (int i = 0; i < N_MEDIA; i++) {
        const size_t mark = wf_builder_enter(b, "%s", names[i]);
        declare_medium(b, n, &n->media[i], &style);
        wf_builder_leave(b, mark);
    }
    return n;
}

/* ---- running ---- */

/* h [B,H,W,C] -> [B,T,C], the mean of each cell. */
static wf_tensor *pool_cells(wf_ctx *c, wf_tensor *h, const int64_t grid[2])
{
    const int64_t B = wf_dim(h, 0), C = wf_dim(h, 3), rows = grid[0], columns = grid[1];
    h = wf_reshape(c, h, 6, (int64_t[]){B, rows, wf_dim(h, 1) / rows, columns,
                                        wf_dim(h, 2) / columns, C});
    return wf_reshape3(c, wf_mean(c, h, 2, (int[]){2, 4}, false), B, rows * columns, C);
}

/* Noisy latents x [B,H,W,in] at an embedded time emb [B,E'] -> the environment [B,T,E]. */
static wf_tensor *encode(wf_ctx *c, const joint *n, const connector *m, wf_tensor *x,
                         wf_tensor *emb)
{
    wf_scope *s = wf_scope_open(c);
    wf_tensor *h = wf_conv_run(c, &m->conv_in, wf_pixel_unshuffle(c, x, n->patch));
    for (int64_t i = 0; i < n->n_blocks; i++) h = wf_resnet_run(c, &m->blocks[i], h, emb);
    h = pool_cells(c, wf_norm_run_act(c, &m->norm, h, WF_ACT_SILU), m->grid);
    h = wf_linear_run(c, &m->out, h);
    return wf_scope_close(c, s, wf_add(c, h, wf_to_dtype_of(c, m->position->t, h)));
}

/* The other medium's environment e [B,T,E] -> keys, then values [B,T,N,2C]. */
static wf_tensor *connect(wf_ctx *c, const joint *n, const connector *m, wf_tensor *e)
{
    const int64_t B = wf_dim(e, 0), T = wf_dim(e, 1);
    wf_scope *s = wf_scope_open(c);
    wf_tensor *k = wf_reshape4(c, wf_linear_run(c, &m->keys, e), B, T, n->n_heads, m->width);
    wf_tensor *v = wf_reshape4(c, wf_linear_run(c, &m->values, e), B, T, n->n_heads, m->width);
    return wf_scope_close(c, s, wf_concat(c, (wf_tensor *[]){k, v}, 2, -1));
}

static wf_status check_latents(wf_ctx *c, const joint *n, const connector *m, const char *name,
                               wf_tensor *x, int64_t B)
{
    const int64_t rows = m->grid[0] * n->patch, columns = m->grid[1] * n->patch;
    WF_TRY(wf_input_check(c, "joint", name, x, 4, (int64_t[]){B, -1, -1, n->in_channels}));
    if (wf_dim(x, 1) % rows == 0 && wf_dim(x, 2) % columns == 0 && wf_numel(x) > 0) return WF_OK;
    char got[96];
    return wf_fail_status(c, WF_ESHAPE, "joint: %s is %s, wanted multiples of %lldx%lld", name,
                          wf_tensor_text(x, got, sizeof got), (long long)rows,
                          (long long)columns);
}

/* image audio [B,H,W,C] noisy latents of one timestep -> image_environment audio_environment
 * [B,T,E]; image_kv audio_kv [B,T,N,2C], what that medium's denoiser reads of the other. */
static wf_status forward(wf_ctx *c, const void *net, wf_tensor *const *in, wf_named *out,
                         int *n_out)
{
    const joint *n = net;
    const connector *image = &n->media[IMAGE], *audio = &n->media[AUDIO];
    WF_TRY(check_latents(c, n, image, "image", in[0], -1));
    WF_TRY(check_latents(c, n, audio, "audio", in[1], wf_dim(in[0], 0)));
    wf_tensor *x = wf_to_activation(c, in[0]), *y = wf_to_activation(c, in[1]);
    wf_tensor *t = wf_input_per_sample(c, "joint", "timestep", in[2], wf_dim(x, 0));
    wf_tensor *wave = wf_time_sinusoid(c, t, n->wave_width, true, 0.0);
    wf_tensor *emb = wf_silu(c, wf_time_mlp_run(c, &n->time, wf_to_dtype_of(c, wave, x)));
    wf_tensor *seen = encode(c, n, image, x, emb), *heard = encode(c, n, audio, y, emb);
    if (wf_has_failed(c)) return wf_get_status(c);
    out[0] = (wf_named){"image_environment", seen};
    out[1] = (wf_named){"audio_environment", heard};
    out[2] = (wf_named){"image_kv", connect(c, n, image, heard)};
    out[3] = (wf_named){"audio_kv", connect(c, n, audio, seen)};
    *n_out = 4;
    return wf_get_status(c);
}

static const char *const CLASSES[] = {"JointConnectors", NULL};
static const wf_method METHODS[] = {{"forward", "image audio timestep", forward},
                                    {NULL, NULL, NULL}};

const wf_arch wfi_arch_joint = {
    .name = "joint", .classes = CLASSES, .keys = KEYS, .methods = METHODS, .build = build,
};
