/* resnet.h - the residual block of UNets and autoencoders, and changes of size. */
#ifndef WF_CORE_RESNET_H
#define WF_CORE_RESNET_H

#include "core/nn/layer.h"

/* What the blocks of one network have in common. */
typedef struct wf_resnet_style {
    int64_t groups;          /* of every group norm */
    double eps;              /* added to the variance */
    wf_act act;
    int64_t emb;             /* width of the time embedding, 0: none */
    bool scale_shift; /* the embedding scales and shifts after the second norm; else it is added
                         before */
    double divide;           /* the sum at the end is divided by it */
} wf_resnet_style;

typedef struct wf_resnet {
    wf_norm_layer norm1, norm2;
    wf_conv_layer conv1, conv2, shortcut;   /* shortcut.w NULL: the input itself */
    wf_linear_layer time;                   /* w NULL: no embedding */
    wf_resnet_style style;
} wf_resnet;

wf_resnet wf_resnet_declare(wf_builder *b, const char *name, int64_t in, int64_t out,
                            const wf_resnet_style *style);

/* (shortcut(x) + conv2(act(norm2(conv1(act(norm1 x)) (+) time(emb))))) / divide
 *
 *   x    [B,H,W,I]
 *   emb  [B,E], the time embedding already activated; NULL when the style has none
 *
 * Returns [B,H,W,O], scoped.
 * Source  He et al., arXiv:1603.05027; Dhariwal & Nichol, arXiv:2105.05233, for the embedding */
wf_tensor *wf_resnet_run(wf_ctx *c, const wf_resnet *r, wf_tensor *x, wf_tensor *emb);

/* 3x3 convolution of stride 2. padded: one pixel on every side; else right and bottom alone, so
 * that odd sizes go to floor(n / 2). */
wf_conv_layer wf_downsample_declare(wf_builder *b, const char *name, int64_t width, bool padded);

/* Nearest neighbours to height x width, then a 3x3 convolution (wf_conv_declare with padding 1). */
wf_tensor *wf_upsample_run(wf_ctx *c, const wf_conv_layer *l, wf_tensor *x, int64_t height,
                           int64_t width);

/* [B,H,W,C] -> [B,H/p,W/p,p*p*C], channels in the order (py, px, c); p divides H and W. And back.
 */
wf_tensor *wf_pixel_unshuffle(wf_ctx *c, wf_tensor *x, int64_t p);
wf_tensor *wf_pixel_shuffle(wf_ctx *c, wf_tensor *x, int64_t p);

#endif
