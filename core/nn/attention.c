/*
 * attention.c - multi-head attention, the autoencoder's attention block, the spatial transformer.
 *
 * B batch, T tokens, C width, N heads, D = C/N.
 */
#include "core/nn/attention.h"

static const double SPATIAL_NORM_EPS =
    1e-6; /* of the group norm before the blocks, whatever the config says */
static const double BLOCK_NORM_EPS = 1e-5;      /* PyTorch's default of layer norms */

wf_tensor *wf_mask_to_bias(wf_ctx *c, wf_tensor *mask, double low)
{
    wf_tensor *seen = wf_cast(c, mask, WF_DTYPE_F32);
    return wf_reshape4(c, wf_affine(c, seen, -low, low), wf_dim(mask, 0), 1, 1, wf_dim(mask, 1));
}

/* ---- attention ---- */

wf_attn wf_attn_declare(wf_builder *b, const char *name, int64_t width, int64_t context,
                        int64_t n_heads, bool bias)
{
    if (n_heads < 1 || width % n_heads != 0)
        wf_fail(b->c, WF_EMODEL, "%s.%s: %lld channels do not divide into %lld heads", b->path,
                name, (long long)width, (long long)n_heads);
    const size_t mark = wf_builder_enter(b, "%s", name);
    const wf_attn a = {.q = wf_linear_declare(b, "to_q", width, width, bias),
                       .k = wf_linear_declare(b, "to_k", context, width, bias),
                       .v = wf_linear_declare(b, "to_v", context, width, bias),
                       .out = wf_linear_declare(b, "to_out.0", width, width, true),
                       .n_heads = n_heads, .kv_at = -1};
    wf_builder_leave(b, mark);
    return a;
}

static wf_tensor *attend(wf_ctx *c, const wf_attn *a, wf_tensor *x, wf_tensor *k, wf_tensor *v,
                         wf_tensor *bias)
{
    const int64_t N = a->n_heads, B = wf_dim(k, 0), width = wf_dim(x, 2);
    wf_tensor *q = wf_split_heads(c, wf_reshape3(c, wf_linear_run(c, &a->q, x), B, -1, width), N);
    k = wf_split_heads(c, k, N);
    v = wf_split_heads(c, v, N);
    wf_tensor *y = wf_attention(c, q, k, v, bias, 0.0, false);
    return wf_linear_run(c, &a->out, wf_reshape3(c, y, wf_dim(x, 0), wf_dim(x, 1), wf_dim(x, 2)));
}

wf_tensor *wf_attn_run(wf_ctx *c, const wf_attn *a, wf_tensor *x, const wf_context *ctx)
{
    if (ctx && ctx->prepared && a->kv_at >= 0) {
        const int64_t width = wf_dim(x, 2);
        wf_tensor *k = wf_slice(c, ctx->prepared, 2, a->kv_at, width, 1);
        wf_tensor *v = wf_slice(c, ctx->prepared, 2, a->kv_at + width, width, 1);
        return attend(c, a, x, k, v, ctx->bias);
    }
    wf_tensor *from = ctx && ctx->states ? ctx->states : x;
    wf_tensor *k = wf_linear_run(c, &a->k, from), *v = wf_linear_run(c, &a->v, from);
    return attend(c, a, x, k, v, ctx && ctx->states ? ctx->bias : NULL);
}

wf_tensor *wf_attn_prepare(wf_ctx *c, const wf_attn *a, wf_tensor *states)
{
    wf_tensor *kv[2] = {wf_linear_run(c, &a->k, states), wf_linear_run(c, &a->v, states)};
    return wf_concat(c, kv, 2, -1);
}

/* ---- the autoencoder's block ---- */

wf_attn_block wf_attn_block_declare(wf_builder *b, const char *name, int64_t width, int64_t groups,
                                    double eps)
{
    wf_attn_block l;
    const size_t mark = wf_builder_enter(b, "%s", name);
    l.norm = wf_group_norm_declare(b, "group_norm", width, groups, eps);
    wf_builder_leave(b, mark);
    l.attn = wf_attn_declare(b, name, width, width, 1, true);
    return l;
}

wf_tensor *wf_attn_block_run(wf_ctx *c, const wf_attn_block *l, wf_tensor *x)
{
    const int64_t B = wf_dim(x, 0), H = wf_dim(x, 1), W = wf_dim(x, 2), C = wf_dim(x, 3);
    wf_scope *s = wf_scope_open(c);
    wf_tensor *tokens = wf_reshape3(c, wf_norm_run(c, &l->norm, x), B, H * W, C);
    wf_tensor *y = wf_attn_run(c, &l->attn, tokens, NULL);
    return wf_scope_close(c, s, wf_add(c, x, wf_reshape4(c, y, B, H, W, C)));
}

/* ---- the spatial transformer ---- */

/* Give attention a its place in a prepared context. */
static void take_place(wf_attn *a, int64_t width, int64_t *kv_next)
{
    a->kv_at = *kv_next;
    *kv_next += 2 * width;
}

wf_spatial_block wf_spatial_block_declare(wf_builder *b, const wf_spatial_style *s,
                                          int64_t *kv_next)
{
    const int64_t C = s->width, inner = 4 * C;
    wf_spatial_block k = {.norm1 = wf_layer_norm_declare(b, "norm1", C, BLOCK_NORM_EPS)};
    k.attn1 = wf_attn_declare(b, "attn1", C, s->only_cross ? s->context : C, s->n_heads, false);
    k.norm2 = wf_layer_norm_declare(b, "norm2", C, BLOCK_NORM_EPS);
    k.attn2 = wf_attn_declare(b, "attn2", C, kv_next ? s->context : C, s->n_heads, false);
    k.norm3 = wf_layer_norm_declare(b, "norm3", C, BLOCK_NORM_EPS);
    k.ff_in = wf_linear_declare(b, "ff.net.0.proj", C, 2 * inner, true);
    k.ff_out = wf_linear_declare(b, "ff.net.2", inner, C, true);
    if (kv_next && s->only_cross) take_place(&k.attn1, C, kv_next);
    if (kv_next) take_place(&k.attn2, C, kv_next);
    return k;
}

wf_spatial wf_spatial_declare(wf_builder *b, const char *name, const wf_spatial_style *s,
                              int64_t *kv_next)
{
    const int64_t C = s->width;
    const wf_conv one = wf_conv_same(1, 0);
    const size_t mark = wf_builder_enter(b, "%s", name);
    wf_spatial l = {.style = *s,
                    .norm = wf_group_norm_declare(b, "norm", C, s->groups, SPATIAL_NORM_EPS)};
    if (s->linear_projection) l.proj_in = wf_linear_declare(b, "proj_in", C, C, true);
    else l.conv_in = wf_conv_declare(b, "proj_in", C, C, 1, one);
    l.blocks = wf_builder_alloc(b, (size_t)s->depth * sizeof *l.blocks);
    for (int64_t i = 0; l.blocks && i < s->depth; i++) {
        const size_t inner = wf_builder_enter(b, "transformer_blocks.%d", (int)i);
        l.blocks[i] = wf_spatial_block_declare(b, s, kv_next);
        wf_builder_leave(b, inner);
    }
    if (s->linear_projection) l.proj_out = wf_linear_declare(b, "proj_out", C, C, true);
    else l.conv_out = wf_conv_declare(b, "proj_out", C, C, 1, one);
    wf_builder_leave(b, mark);
    return l;
}

wf_tensor *wf_spatial_block_run(wf_ctx *c, const wf_spatial_block *k, bool only_cross,
                                wf_tensor *x, const wf_context *ctx)
{
    wf_scope *s = wf_scope_open(c);
    x = wf_add(c, x,
               wf_attn_run(c, &k->attn1, wf_norm_run(c, &k->norm1, x), only_cross ? ctx : NULL));
    x = wf_add(c, x, wf_attn_run(c, &k->attn2, wf_norm_run(c, &k->norm2, x), ctx));
    wf_tensor *h = wf_geglu(c, wf_linear_run(c, &k->ff_in, wf_norm_run(c, &k->norm3, x)));
    return wf_scope_close(c, s, wf_add(c, x, wf_linear_run(c, &k->ff_out, h)));
}

wf_tensor *wf_spatial_run(wf_ctx *c, const wf_spatial *l, wf_tensor *x, const wf_context *ctx)
{
    const int64_t B = wf_dim(x, 0), H = wf_dim(x, 1), W = wf_dim(x, 2), C = wf_dim(x, 3);
    const bool linear = l->style.linear_projection;
    wf_scope *s = wf_scope_open(c);
    wf_tensor *h = wf_norm_run(c, &l->norm, x);
    h = linear ? wf_linear_run(c, &l->proj_in, h) : wf_conv_run(c, &l->conv_in, h);
    h = wf_reshape3(c, h, B, H * W, C);
    for (int64_t i = 0; i < l->style.depth; i++)
        h = wf_spatial_block_run(c, &l->blocks[i], l->style.only_cross, h, ctx);
    h = wf_reshape4(c, h, B, H, W, C);
    h = linear ? wf_linear_run(c, &l->proj_out, h) : wf_conv_run(c, &l->conv_out, h);
    return wf_scope_close(c, s, wf_add(c, x, h));
}
