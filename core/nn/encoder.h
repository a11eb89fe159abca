/* encoder.h - the pre-norm transformer layer of CLIP's towers, and their stack. */
#ifndef WF_CORE_ENCODER_H
#define WF_CORE_ENCODER_H

#include "core/nn/layer.h"

typedef struct wf_encoder_style {
    int64_t width, n_heads, n_layers, mlp_width;
    wf_act act;
    double eps;              /* of the layer norms */
    double init_scale;       /* initializer_factor of public configs */
} wf_encoder_style;

typedef struct wf_encoder_layer {
    wf_norm_layer norm1, norm2;
    wf_linear_layer q, k, v, out, fc1, fc2;
} wf_encoder_layer;

typedef struct wf_encoder {
    wf_encoder_style style;
    wf_encoder_layer *layers;
} wf_encoder;

/* Layers at "encoder.layers.N" under the builder's path, initialised as CLIP is. */
wf_encoder wf_encoder_declare(wf_builder *b, const wf_encoder_style *style);

/* x [B,T,C] -> [B,T,C]: the first n_layers layers.
 *
 *   bias   [B,1,1,T] added to the scores, or NULL
 *   states when not NULL, filled with the n_layers + 1 states from x on (scoped)
 *
 * Source  Radford et al., arXiv:2103.00020, section 2.4 */
wf_tensor *wf_encoder_run(wf_ctx *c, const wf_encoder *e, wf_tensor *x, wf_tensor *bias,
                          bool causal, int64_t n_layers, wf_tensor **states);

#endif
