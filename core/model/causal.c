/*
 * causal.c - inputs, key-value cache and outputs of causal language models.
 *
 * The cache belongs to the caller, outside scopes, and is written by copy_into alone. A cached call
 * computes every row by the same sums as a call without, so the values are the same.
 * B batch, T tokens, S tokens in the cache, C width, N heads, M heads of keys, D width a head,
 * V vocabulary.
 */
#include "core/model/causal.h"

#include <math.h>

#include "core/nn/attention.h"
#include "core/tensor/grad.h"

static const double MASKED = -3.4e38; /* a score that loses to every other, but stays finite */

/* A one-value input as a whole number of lo ... hi; absent gives lo. */
static int64_t read_count(wf_ctx *c, const wf_causal_style *s, const char *name, wf_tensor *t,
                          int64_t lo, int64_t hi)
{
    const double v = t ? wf_item(c, t) : (double)lo;
    if (v >= (double)lo && v <= (double)hi && v == floor(v)) return (int64_t)v;
    wf_fail(c, WF_EARG, "%s: %s must be a whole number of %lld ... %lld", s->name, name,
            (long long)lo, (long long)hi);
    return lo;
}

static bool is_set(wf_ctx *c, wf_tensor *t) { return t && wf_item(c, t) != 0.0; }

/* ---- inputs ---- */

static wf_status check_tokens(wf_ctx *c, const wf_causal_style *s, wf_causal *call)
{
    if (!call->ids == !call->embeds)
        return wf_fail_status(c, WF_EARG, "%s: wants ids [B,T] or embeds [B,T,%lld], one of them",
                              s->name, (long long)s->width);
    if (call->ids)
        WF_TRY(wf_input_check(c, s->name, "ids", call->ids, 2, (int64_t[]){-1, -1}));
    else
        WF_TRY(wf_input_check(c, s->name, "embeds", call->embeds, 3,
                              (int64_t[]){-1, -1, s->width}));
    wf_tensor *t = call->ids ? call->ids : call->embeds;
    call->B = wf_dim(t, 0);
    call->T = wf_dim(t, 1);
    if (call->B < 1 || call->T < 1)
        return wf_fail_status(c, WF_ESHAPE, "%s: there are no tokens", s->name);
    return WF_OK;
}

static wf_status check_cache(wf_ctx *c, const wf_causal_style *s, wf_causal *call, wf_tensor *past)
{
    if (!call->keys && !call->values && !past) return WF_OK;
    if (!call->keys || !call->values)
        return wf_fail_status(c, WF_EARG, "%s: a cache is keys, values and past", s->name);
    const int64_t wanted[] = {s->n_layers, call->B, -1, s->n_kv, s->head_dim};
    WF_TRY(wf_input_check(c, s->name, "keys", call->keys, 5, wanted));
    WF_TRY(wf_input_check(c, s->name, "values", call->values, 5, wanted));
    const int64_t room = wf_dim(call->keys, 2);
    call->past = read_count(c, s, "past", past, 0, room);
    if (!wf_has_failed(c) && (call->past + call->T > room || wf_dim(call->values, 2) != room))
        wf_fail(c, WF_ESHAPE, "%s: the cache has room for %lld tokens, %lld + %lld are wanted",
                s->name, (long long)room, (long long)call->past, (long long)call->T);
    if (!wf_has_failed(c) && wf_is_recording(c))
        wf_fail(c, WF_EGRAD, "%s: no gradient goes through a cache", s->name);
    return wf_get_status(c);
}

wf_status wf_causal_open(wf_ctx *c, const wf_causal_style *s, wf_tensor *const *in,
                         wf_causal *call)
{
    *call = (wf_causal){.style = s, .ids = in[0], .embeds = in[1], .keys = in[3],
                        .values = in[4]};
    wf_tensor *mask = in[2];
    WF_TRY(check_tokens(c, s, call));
    WF_TRY(check_cache(c, s, call, in[5]));
    call->wants_layers = is_set(c, in[6]);
    call->last_only = is_set(c, in[7]);
    call->no_logits = in[8] && !is_set(c, in[8]);
    if (!mask) return wf_get_status(c);
    WF_TRY(wf_input_check(c, s->name, "mask", mask, 2,
                          (int64_t[]){call->B, call->past + call->T}));
    call->bias = wf_mask_to_bias(c, mask, MASKED);
    return wf_get_status(c);
}

/* ---- attention ---- */

/* Append x [B,T,M,D] to the layer's part of the cache; all that stands there, [B,S+T,M,D]. */
static wf_tensor *append(wf_ctx *c, const wf_causal *call, wf_tensor *cache, int64_t layer,
                         wf_tensor *x)
{
    wf_tensor *at = wf_select(c, cache, 0, layer);
    wf_copy_into(c, wf_slice(c, at, 1, call->past, call->T, 1), x);
    return wf_slice(c, at, 1, 0, call->past + call->T, 1);
}

wf_tensor *wf_causal_attend(wf_ctx *c, const wf_causal *call, int64_t layer, wf_tensor *q,
                            wf_tensor *k, wf_tensor *v)
{
    if (call->keys) {
        k = append(c, call, call->keys, layer, k);
        v = append(c, call, call->values, layer, v);
    }
    wf_tensor *y = wf_attention(c, q, k, v, call->bias, 0.0, true);
    return wf_reshape3(c, y, call->B, call->T, call->style->n_heads * call->style->head_dim);
}

/* ---- outputs ---- */

wf_status wf_causal_finish(wf_ctx *c, wf_causal *call, wf_tensor *hidden,
                           const wf_linear_layer *head, wf_named *out, int *n_out)
{
    const int64_t n = call->style->n_layers;
    wf_tensor *read = call->last_only ? wf_slice(c, hidden, 1, call->T - 1, 1, 1) : hidden;
    if (!call->no_logits)
        out[(*n_out)++] = (wf_named){"logits", wf_linear_run(c, head, read)};
    out[(*n_out)++] = (wf_named){"hidden", hidden};
    if (!call->wants_layers) return wf_get_status(c);
    call->states[n] = hidden;
    out[(*n_out)++] = (wf_named){"layers", wf_stack_states(c, call->states, n + 1)};
    return wf_get_status(c);
}

/* ---- the other methods ---- */

wf_status wf_causal_embed(wf_ctx *c, const wf_causal_style *s, const wf_param *table,
                          wf_tensor *ids, wf_named *out, int *n_out)
{
    WF_TRY(wf_input_check(c, s->name, "ids", ids, 2, (int64_t[]){-1, -1}));
    out[(*n_out)++] = (wf_named){"embeds", wf_embedding_run(c, table, ids)};
    return wf_get_status(c);
}

wf_status wf_causal_cache(wf_ctx *c, const wf_causal_style *s, wf_tensor *const *in,
                          wf_named *out, int *n_out)
{
    const int64_t batch = read_count(c, s, "batch", in[0], 1, 1 << 16);
    const int64_t tokens = read_count(c, s, "tokens", in[1], 1, 1 << 24);
    const wf_shape shape = {5, {s->n_layers, batch, tokens, s->n_kv, s->head_dim}};
    out[(*n_out)++] = (wf_named){"keys", wf_zeros(c, WF_DTYPE_F32, &shape)};
    out[(*n_out)++] = (wf_named){"values", wf_zeros(c, WF_DTYPE_F32, &shape)};
    return wf_get_status(c);
}
