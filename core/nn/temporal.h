/* temporal.h - what video models put between pictures: convolution and attention over frames.
 *
 * A batch of videos is a batch of pictures, [B*L,H,W,C], the frames of a video side by side. Fresh
 * layers give back what they get: their last weights start at zero.
 */
#ifndef WF_CORE_TEMPORAL_H
#define WF_CORE_TEMPORAL_H

#include "core/nn/attention.h"

enum { WF_TEMPORAL_MAX_CONVS = 4 };

/* x + conv_n(silu(norm_n ... conv_1(silu(norm_1 x)))), each over three frames; norms over all
 * frames of a video. Names conv1.0 conv1.2 conv2.0 conv2.3 ... as diffusers' TemporalConvLayer. */
typedef struct wf_temporal_conv {
    wf_norm_layer norm[WF_TEMPORAL_MAX_CONVS];
    wf_param *w[WF_TEMPORAL_MAX_CONVS], *b[WF_TEMPORAL_MAX_CONVS];   /* [C,3,C], [C] */
    int n;
} wf_temporal_conv;

wf_temporal_conv wf_temporal_conv_declare(wf_builder *b, const char *name, int64_t width,
                                          int64_t groups, int n);
/* x [B*L,H,W,C] of n_frames L -> the same */
wf_tensor *wf_temporal_conv_run(wf_ctx *c, const wf_temporal_conv *l, wf_tensor *x,
                                int64_t n_frames);

/* A transformer over the frames at each place: group norm over all frames, projection to the inner
 * width, blocks, projection, added to x. Names as diffusers' TransformerTemporalModel. */
typedef struct wf_temporal {
    wf_norm_layer norm;
    wf_linear_layer proj_in, proj_out;
    wf_spatial_block *blocks;
    int64_t depth;
    bool reads_context;
} wf_temporal;

/* width: of x; style: of the blocks, whose width need not be that of x. kv_next: as of
 * wf_spatial_declare; NULL: the second attention is over the frames too and reads no context. */
wf_temporal wf_temporal_declare(wf_builder *b, const char *name, int64_t width,
                                const wf_spatial_style *style, int64_t *kv_next);
/* x [B*L,H,W,C] of n_frames L -> the same; ctx is for those that read one */
wf_tensor *wf_temporal_run(wf_ctx *c, const wf_temporal *l, wf_tensor *x, int64_t n_frames,
                           const wf_context *ctx);

#endif
