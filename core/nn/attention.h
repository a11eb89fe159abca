/* attention.h - multi-head attention of UNets and autoencoders, and the spatial transformer. */
#ifndef WF_CORE_ATTENTION_H
#define WF_CORE_ATTENTION_H

#include "core/nn/layer.h"

/* ---- what cross attention reads ---- */

/* A context for one run of a network. Keys and values depend on the context alone, so a sampler may
 * compute them once: prepared holds those of all cross attentions side by side. */
typedef struct wf_context {
    wf_tensor *states; /* [B,T,E]; NULL: prepared, or none (then attention reads its own input) */
    wf_tensor *bias;         /* [B,1,1,T] added to the scores, or NULL */
    wf_tensor *prepared;     /* [B,T,P], or NULL */
} wf_context;

/* mask [B,T], 1 where a token is seen -> bias [B,1,1,T], 0 or low. */
wf_tensor *wf_mask_to_bias(wf_ctx *c, wf_tensor *mask, double low);

/* ---- attention ---- */

typedef struct wf_attn {
    wf_linear_layer q, k, v, out;
    int64_t n_heads;
    int64_t kv_at; /* first channel of keys, then values, in a prepared context; -1: none */
} wf_attn;

/* Names to_q to_k to_v to_out.0. context: width of what keys and values read. bias: of q, k and v.
 */
wf_attn wf_attn_declare(wf_builder *b, const char *name, int64_t width, int64_t context,
                        int64_t n_heads, bool bias);

/* x [B,T,C] attends to itself (ctx NULL) or to the context -> [B,T,C]. A context of fewer samples
 * than x is shared: sample i of n is read by rows i B/n ... (i + 1) B/n of x, as by the frames of a
 * video. */
wf_tensor *wf_attn_run(wf_ctx *c, const wf_attn *a, wf_tensor *x, const wf_context *ctx);

/* Keys and values of states [B,T,E], side by side: [B,T,2C]. */
wf_tensor *wf_attn_prepare(wf_ctx *c, const wf_attn *a, wf_tensor *states);

/* x + attention(group norm(x)) over the pixels, one head: x [B,H,W,C]. */
typedef struct wf_attn_block {
    wf_norm_layer norm;
    wf_attn attn;
} wf_attn_block;

wf_attn_block wf_attn_block_declare(wf_builder *b, const char *name, int64_t width, int64_t groups,
                                    double eps);
wf_tensor *wf_attn_block_run(wf_ctx *c, const wf_attn_block *l, wf_tensor *x);

/* ---- the spatial transformer ---- */

typedef struct wf_spatial_style {
    int64_t width, context, n_heads, depth, groups;
    bool linear_projection; /* proj_in and proj_out are linear, else 1x1 convolutions: the same sums
                             */
    bool only_cross;             /* the first attention reads the context too */
} wf_spatial_style;

typedef struct wf_spatial_block {
    wf_norm_layer norm1, norm2, norm3;
    wf_attn attn1, attn2;
    wf_linear_layer ff_in, ff_out;       /* [8C,C] GEGLU, [C,4C] */
} wf_spatial_block;

/* Under the names norm1 attn1 norm2 attn2 norm3 ff of style's width. kv_next as below; NULL: the
 * second attention is to the tokens themselves. */
wf_spatial_block wf_spatial_block_declare(wf_builder *b, const wf_spatial_style *style,
                                          int64_t *kv_next);
/* x [B,T,C] -> [B,T,C]. only_cross: the first attention reads the context too. */
wf_tensor *wf_spatial_block_run(wf_ctx *c, const wf_spatial_block *k, bool only_cross,
                                wf_tensor *x, const wf_context *ctx);

typedef struct wf_spatial {
    wf_norm_layer norm;
    wf_conv_layer conv_in, conv_out;     /* one of the two pairs */
    wf_linear_layer proj_in, proj_out;
    wf_spatial_style style;
    wf_spatial_block *blocks;
} wf_spatial;

/* kv_next: channels of prepared contexts given out so far; moves on by what this one takes. */
wf_spatial wf_spatial_declare(wf_builder *b, const char *name, const wf_spatial_style *style,
                              int64_t *kv_next);

/* x [B,H,W,C] -> the same: norm, projection, depth blocks of self attention, cross attention and
 * gated MLP over the pixels as tokens, projection, added to x.
 * Source  Rombach et al., arXiv:2112.10752, appendix E.2.1 */
wf_tensor *wf_spatial_run(wf_ctx *c, const wf_spatial *l, wf_tensor *x, const wf_context *ctx);

#endif
