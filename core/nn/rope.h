/* rope.h - rotary positions: the angles of a config, and their cosines and sines. */
#ifndef WF_CORE_ROPE_H
#define WF_CORE_ROPE_H

#include "core/nn/param.h"

enum { WF_ROPE_MAX = 512 };

/* How a context longer than the one trained on is reached. */
typedef struct wf_rope_style {
    double theta;
    double factor;                       /* positions are this much closer; 1: as trained */
    /* Llama 3: only slow frequencies are scaled, by their wave length against the context of
     * training; 0 tokens: all of them are. */
    double trained_tokens, low_factor, high_factor;
} wf_rope_style;

typedef struct wf_rope_layer {
    int64_t n;                           /* pairs: half a head's width */
    float frequency[WF_ROPE_MAX];        /* radians a token */
} wf_rope_layer;

/* The angles of heads of head_dim values, every step rounded to f32 as the reference does.
 * Source  Su et al., arXiv:2104.09864; transformers modeling_rope_utils.py for the scaled ones */
wf_rope_layer wf_rope_declare(wf_builder *b, int64_t head_dim, const wf_rope_style *style);

/* [T,n,2] f32: cosine and sine of positions first ... first + T - 1, for wf_rope. */
wf_tensor *wf_rope_table(wf_ctx *c, const wf_rope_layer *l, int64_t first, int64_t T);

#endif
