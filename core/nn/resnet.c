/* resnet.c - residual blocks and changes of size. */
#include "core/nn/resnet.h"

wf_resnet wf_resnet_declare(wf_builder *b, const char *name, int64_t in, int64_t out,
                            const wf_resnet_style *s)
{
    const wf_conv same = wf_conv_same(1, 1);
    const size_t mark = wf_builder_enter(b, "%s", name);
    wf_resnet r = {.style = *s};
    r.norm1 = wf_group_norm_declare(b, "norm1", in, s->groups, s->eps);
    r.conv1 = wf_conv_declare(b, "conv1", in, out, 3, same);
    if (s->emb)
        r.time =
            wf_linear_declare(b, "time_emb_proj", s->emb, s->scale_shift ? 2 * out : out, true);
    r.norm2 = wf_group_norm_declare(b, "norm2", out, s->groups, s->eps);
    r.conv2 = wf_conv_declare(b, "conv2", out, out, 3, same);
    if (in != out) r.shortcut = wf_conv_declare(b, "conv_shortcut", in, out, 1, wf_conv_same(1, 0));
    wf_builder_leave(b, mark);
    return r;
}

/* emb [B,E] -> [B,1,1,O], or 2 O for scale and shift */
static wf_tensor *project_time(wf_ctx *c, const wf_resnet *r, wf_tensor *emb)
{
    wf_tensor *t = wf_linear_run(c, &r->time, emb);
    return wf_reshape4(c, t, wf_dim(t, 0), 1, 1, wf_dim(t, 1));
}

/* act(norm2 h), with the embedding before or after the norm */
static wf_tensor *second_norm(wf_ctx *c, const wf_resnet *r, wf_tensor *h, wf_tensor *emb)
{
    if (!r->time.w) return wf_norm_run_act(c, &r->norm2, h, r->style.act);
    wf_tensor *t = project_time(c, r, emb);
    if (!r->style.scale_shift) return wf_norm_run_act(c, &r->norm2, wf_add(c, h, t), r->style.act);
    const int64_t width = wf_dim(h, 3);
    wf_tensor *scale = wf_affine(c, wf_slice(c, t, 3, 0, width, 1), 1.0, 1.0);
    h = wf_mul(c, wf_norm_run(c, &r->norm2, h), scale);
    h = wf_add(c, h, wf_slice(c, t, 3, width, width, 1));
    return wf_act_run(c, h, r->style.act);
}

wf_tensor *wf_resnet_run(wf_ctx *c, const wf_resnet *r, wf_tensor *x, wf_tensor *emb)
{
    wf_scope *s = wf_scope_open(c);
    wf_tensor *h = wf_conv_run(c, &r->conv1, wf_norm_run_act(c, &r->norm1, x, r->style.act));
    h = wf_conv_run(c, &r->conv2, second_norm(c, r, h, emb));
    h = wf_add(c, r->shortcut.w ? wf_conv_run(c, &r->shortcut, x) : x, h);
    if (r->style.divide != 1.0) h = wf_scale(c, h, 1.0 / r->style.divide);
    return wf_scope_close(c, s, h);
}

wf_conv_layer wf_downsample_declare(wf_builder *b, const char *name, int64_t width, bool padded)
{
    wf_conv how = wf_conv_same(2, 1);
    if (!padded) how.pad_top = how.pad_left = 0;
    return wf_conv_declare(b, name, width, width, 3, how);
}

wf_tensor *wf_upsample_run(wf_ctx *c, const wf_conv_layer *l, wf_tensor *x, int64_t height,
                           int64_t width)
{
    wf_scope *s = wf_scope_open(c);
    return wf_scope_close(c, s, wf_conv_run(c, l, wf_resize_nearest(c, x, height, width)));
}

static const int swap_inner[] = {0, 1, 3, 2, 4, 5};

wf_tensor *wf_pixel_unshuffle(wf_ctx *c, wf_tensor *x, int64_t p)
{
    const int64_t B = wf_dim(x, 0), H = wf_dim(x, 1) / p, W = wf_dim(x, 2) / p, C = wf_dim(x, 3);
    if (p == 1) return x;
    x = wf_reshape(c, x, 6, (int64_t[]){B, H, p, W, p, C});
    return wf_reshape4(c, wf_permute(c, x, 6, swap_inner), B, H, W, p * p * C);
}

wf_tensor *wf_pixel_shuffle(wf_ctx *c, wf_tensor *x, int64_t p)
{
    const int64_t B = wf_dim(x, 0), H = wf_dim(x, 1), W = wf_dim(x, 2), C = wf_dim(x, 3) / (p * p);
    if (p == 1) return x;
    x = wf_reshape(c, x, 6, (int64_t[]){B, H, W, p, p, C});
    return wf_reshape4(c, wf_permute(c, x, 6, swap_inner), B, H * p, W * p, C);
}
