/*
 * temporal.c - convolution and attention over the frames of videos.
 *
 * B batch, L frames, H W latents, C channels.
 * Source: diffusers TemporalConvLayer (models/resnet.py) and transformer_temporal.py.
 */
#include "core/nn/temporal.h"

static const double CONV_NORM_EPS = 1e-5;       /* PyTorch's default, whatever the config says */
static const double NORM_EPS = 1e-6;            /* of the group norm before the blocks */

/* [B*L,H,W,C] -> [B,L,H,W,C], a view */
static wf_tensor *to_frames(wf_ctx *c, wf_tensor *x, int64_t L)
{
    const int64_t dims[] = {-1, L, wf_dim(x, 1), wf_dim(x, 2), wf_dim(x, 3)};
    return wf_reshape(c, x, 5, dims);
}

/* ---- convolution ---- */

/* Step i of n: a norm and a convolution; what stands between them has no weights. */
static void declare_step(wf_builder *b, wf_temporal_conv *l, int i, int64_t C, int64_t groups)
{
    const wf_init zeros = wf_init_constant(0.0), drawn = wf_init_fan_in(3 * C);
    const wf_init init = i == l->n - 1 ? zeros : drawn;
    const size_t mark = wf_builder_enter(b, "conv%d", i + 1);
    l->norm[i] = wf_group_norm_declare(b, "0", C, groups, CONV_NORM_EPS);
    /* a dropout stands before the convolution in all but the first */
    const size_t inner = wf_builder_enter(b, "%d", i == 0 ? 2 : 3);
    l->w[i] = wf_param_new(b, "weight", WF_LAYOUT_CONV_FRAMES, (wf_shape){3, {C, 3, C}}, init);
    l->b[i] = wf_param_new(b, "bias", WF_LAYOUT_PLAIN, (wf_shape){1, {C}}, init);
    wf_builder_leave(b, inner);
    wf_builder_leave(b, mark);
}

wf_temporal_conv wf_temporal_conv_declare(wf_builder *b, const char *name, int64_t width,
                                          int64_t groups, int n)
{
    wf_temporal_conv l = {.n = n < 1 || n > WF_TEMPORAL_MAX_CONVS ? 1 : n};
    if (l.n != n)
        wf_fail(b->c, WF_EMODEL, "%s.%s: %d convolutions over frames, wanted 1 to %d", b->path,
                name, n, WF_TEMPORAL_MAX_CONVS);
    const size_t mark = wf_builder_enter(b, "%s", name);
    for (int i = 0; i < l.n; i++) declare_step(b, &l, i, width, groups);
    wf_builder_leave(b, mark);
    return l;
}

wf_tensor *wf_temporal_conv_run(wf_ctx *c, const wf_temporal_conv *l, wf_tensor *x,
                                int64_t n_frames)
{
    wf_scope *s = wf_scope_open(c);
    wf_tensor *h = to_frames(c, x, n_frames);
    for (int i = 0; i < l->n; i++) {
        h = wf_norm_run_act(c, &l->norm[i], h, WF_ACT_SILU);
        h = wf_conv_frames(c, h, l->w[i] ? l->w[i]->t : NULL, l->b[i] ? l->b[i]->t : NULL);
    }
    h = wf_reshape4(c, h, wf_dim(x, 0), wf_dim(x, 1), wf_dim(x, 2), wf_dim(x, 3));
    return wf_scope_close(c, s, wf_add(c, x, h));
}

/* ---- attention ---- */

wf_temporal wf_temporal_declare(wf_builder *b, const char *name, int64_t width,
                                const wf_spatial_style *s, int64_t *kv_next)
{
    const size_t mark = wf_builder_enter(b, "%s", name);
    wf_temporal l = {.norm = wf_group_norm_declare(b, "norm", width, s->groups, NORM_EPS),
                     .depth = s->depth,
                     .reads_context = kv_next != NULL};
    l.proj_in = wf_linear_declare(b, "proj_in", width, s->width, true);
    l.blocks = wf_builder_alloc(b, (size_t)s->depth * sizeof *l.blocks);
    for (int64_t i = 0; l.blocks && i < s->depth; i++) {
        const size_t inner = wf_builder_enter(b, "transformer_blocks.%d", (int)i);
        l.blocks[i] = wf_spatial_block_declare(b, s, kv_next);
        wf_builder_leave(b, inner);
    }
    l.proj_out = wf_linear_declare_normal(b, "proj_out", s->width, width, true, 0.0);
    wf_builder_leave(b, mark);
    return l;
}

static const int frames_inner[] = {0, 2, 3, 1, 4};      /* [B,L,H,W,C] -> [B,H,W,L,C] */
static const int frames_outer[] = {0, 3, 1, 2, 4};      /* and back */

wf_tensor *wf_temporal_run(wf_ctx *c, const wf_temporal *l, wf_tensor *x, int64_t n_frames,
                           const wf_context *ctx)
{
    const int64_t N = wf_dim(x, 0), H = wf_dim(x, 1), W = wf_dim(x, 2), C = wf_dim(x, 3);
    wf_scope *s = wf_scope_open(c);
    wf_tensor *h = wf_norm_run(c, &l->norm, to_frames(c, x, n_frames));
    h = wf_contiguous(c, wf_permute(c, h, 5, frames_inner));
    h = wf_linear_run(c, &l->proj_in, wf_reshape3(c, h, -1, n_frames, C));
    for (int64_t i = 0; i < l->depth; i++)
        h = wf_spatial_block_run(c, &l->blocks[i], false, h, l->reads_context ? ctx : NULL);
    h = wf_linear_run(c, &l->proj_out, h);
    h = wf_reshape(c, h, 5, (int64_t[]){-1, H, W, n_frames, C});
    h = wf_contiguous(c, wf_permute(c, h, 5, frames_outer));
    return wf_scope_close(c, s, wf_add(c, x, wf_reshape4(c, h, N, H, W, C)));
}
