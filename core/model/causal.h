/* causal.h - what causal language models share: their inputs, key-value cache and outputs. */
#ifndef WF_CORE_CAUSAL_H
#define WF_CORE_CAUSAL_H

#include "core/model/arch.h"

enum { WF_CAUSAL_MAX_LAYERS = 256 };

typedef struct wf_causal_style {
    const char *name;                    /* of the architecture, for messages */
    int64_t width, vocabulary, n_layers;
    int64_t n_heads, n_kv, head_dim;     /* n_kv heads of keys and values, dividing n_heads */
} wf_causal_style;

/* The inputs of "forward", in the order wf_causal_open reads them.
 *
 *   ids or embeds   [B,T] or [B,T,C]
 *   mask            [B,S+T], 1 where a token is seen; S tokens stand in the cache already
 *   keys, values    [layers,B,room,M,D] the cache, written in place; past: S, its tokens so far
 *   layers          not 0: states of all layers too
 *   last            not 0: logits of the last token alone, [B,1,V]
 *   logits          0: none */
#define WF_CAUSAL_FORWARD "ids? embeds? mask? keys? values? past? layers? last? logits?"

/* One call of "forward". */
typedef struct wf_causal {
    const wf_causal_style *style;
    wf_tensor *ids, *embeds;             /* one of the two */
    wf_tensor *keys, *values;            /* NULL: no cache */
    wf_tensor *bias;                     /* [B,1,1,past + T] or NULL */
    int64_t B, T, past;
    bool wants_layers, last_only, no_logits;
    wf_tensor *states[WF_CAUSAL_MAX_LAYERS + 1];
} wf_causal;

/* Read and check the inputs. Errors: WF_EARG, WF_ESHAPE by name; WF_EGRAD for a cache under a tape,
 * whose writes no gradient could follow. */
wf_status wf_causal_open(wf_ctx *c, const wf_causal_style *s, wf_tensor *const *in,
                         wf_causal *call);

/* Attention of one layer: q [B,T,N,D], k and v [B,T,M,D] -> [B,T,N*D]. With a cache k and v are
 * appended to it, and all that stands there is read. */
wf_tensor *wf_causal_attend(wf_ctx *c, const wf_causal *call, int64_t layer, wf_tensor *q,
                            wf_tensor *k, wf_tensor *v);

/* The outputs logits? hidden layers? from the final state [B,T,C] and the head to [..,V].
 * states[0 ... n_layers - 1] must be set when layers are wanted; the last one is hidden. */
wf_status wf_causal_finish(wf_ctx *c, wf_causal *call, wf_tensor *hidden,
                           const wf_linear_layer *head, wf_named *out, int *n_out);

/* The method "embed": ids [B,T] -> embeds [B,T,C], rows of the table. */
wf_status wf_causal_embed(wf_ctx *c, const wf_causal_style *s, const wf_param *table,
                          wf_tensor *ids, wf_named *out, int *n_out);

/* The method "cache": batch, tokens -> keys, values: zeros with room for so many tokens. */
wf_status wf_causal_cache(wf_ctx *c, const wf_causal_style *s, wf_tensor *const *in,
                          wf_named *out, int *n_out);
#define WF_CAUSAL_CACHE "batch tokens"

#endif
