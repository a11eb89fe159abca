/* unet_run.c - a call of a picture or video denoiser. */
#include "core/model/unet_impl.h"

static const double MASKED = -10000.0; /* added to scores of masked tokens, as the reference does */
static const double MID_NORM_EPS = 1e-5; /* of the queries of mid_kv; PyTorch's default */

/* ---- times, classes, frames ---- */

/* class_labels -> [B,E] */
static wf_tensor *embed_class(wf_ctx *c, const unet_net *net, wf_tensor *labels, int64_t B,
                              const wf_tensor *like)
{
    const int64_t wide =
        net->class_kind == UNET_CLASS_IDENTITY ? net->time_width : net->class_width;
    const bool is_vector =
        net->class_kind != UNET_CLASS_TABLE && net->class_kind != UNET_CLASS_TIME;
    if (!labels)
        return wf_fail(c, WF_EARG, "%s: class_labels is missing, which this model wants",
                       net->name);
    if (is_vector) {
        if (wf_input_check(c, net->name, "class_labels", labels, 2, (int64_t[]){B, wide}) != WF_OK)
            return NULL;
        labels = wf_to_dtype_of(c, labels, like);
    } else {
        labels = wf_input_per_sample(c, net->name, "class_labels", labels, B);
    }
    switch (net->class_kind) {
    case UNET_CLASS_TABLE:
        return wf_embedding_run(c, net->class_table, wf_cast(c, labels, WF_DTYPE_I64));
    case UNET_CLASS_TIME:
        labels = wf_time_sinusoid(c, labels, wf_dim(net->class_mlp.first.w->t, 1), net->cos_first,
                                  net->shift);
        return wf_time_mlp_run(c, &net->class_mlp, wf_to_dtype_of(c, labels, like));
    case UNET_CLASS_MLP: return wf_time_mlp_run(c, &net->class_mlp, labels);
    case UNET_CLASS_LINEAR: return wf_linear_run(c, &net->class_linear, labels);
    default: return labels;
    }
}

/* emb [B,E] -> [B*L,E]: a sample's for each of its frames, and what the frame's number adds. */
static wf_tensor *embed_frames(wf_ctx *c, const unet_net *net, wf_tensor *emb, int64_t L)
{
    const int64_t B = wf_dim(emb, 0), E = wf_dim(emb, 1);
    emb = wf_reshape3(c, emb, B, 1, E);
    if (net->frame.first.w) {
        wf_tensor *ones = wf_full(c, WF_DTYPE_F32, &(wf_shape){1, {L}}, 1.0);
        wf_tensor *number = wf_affine(c, wf_cumsum(c, ones, 0), 1.0, -1.0); /* 0 1 2 ... */
        wf_tensor *wave =
            wf_time_sinusoid(c, number, wf_dim(net->frame.first.w->t, 1), net->cos_first, 0.0);
        wave = wf_time_mlp_run(c, &net->frame, wf_to_dtype_of(c, wave, emb));
        emb = wf_add(c, emb, wf_reshape3(c, wave, 1, L, E));
    } else {
        emb = wf_contiguous(c, wf_expand(c, emb, &(wf_shape){3, {B, L, E}}));
    }
    return wf_reshape2(c, emb, B * L, E);
}

/* The embedding that every residual block reads, activated: [B*L,E]. */
static wf_tensor *embed_time(wf_ctx *c, const unet_net *net, wf_tensor *t, wf_tensor *labels,
                             const wf_tensor *like, int64_t n_frames)
{
    const int64_t B = wf_dim(like, 0) / n_frames;
    wf_scope *s = wf_scope_open(c);
    wf_tensor *wave = wf_time_sinusoid(c, wf_input_per_sample(c, net->name, "timestep", t, B),
                                       wf_dim(net->time.first.w->t, 1), net->cos_first, net->shift);
    wf_tensor *emb = wf_time_mlp_run(c, &net->time, wf_to_dtype_of(c, wave, like));
    if (net->class_kind != UNET_CLASS_NONE) {
        wf_tensor *both[2] = {emb, embed_class(c, net, labels, B, like)};
        emb = net->class_concat ? wf_concat(c, both, 2, -1) : wf_add(c, both[0], both[1]);
    } else if (labels) {
        wf_fail(c, WF_EARG, "%s: class_labels given to a model without class embedding",
                net->name);
    }
    if (net->is_video) emb = embed_frames(c, net, emb, n_frames);
    return wf_scope_close(c, s, wf_act_run(c, emb, net->act));
}

/* ---- the levels ---- */

/* One call: what every layer reads, and what the way down leaves for the way up. */
typedef struct unet_call {
    const unet_net *net;
    wf_tensor *emb;
    wf_context ctx;
    wf_tensor *mid_kv;                    /* NULL: none */
    int64_t n_frames;
    wf_tensor *skips[WFI_UNET_SKIPS];
    int n_skips;
} unet_call;

static wf_tensor *run_layer(wf_ctx *c, const unet_call *k, const unet_layer *l, bool has_attn,
                            wf_tensor *x)
{
    const bool is_video = k->net->is_video;
    wf_scope *s = wf_scope_open(c);
    x = wf_resnet_run(c, &l->resnet, x, k->emb);
    if (is_video) x = wf_temporal_conv_run(c, &l->frames, x, k->n_frames);
    if (has_attn) x = wf_spatial_run(c, &l->attn, x, &k->ctx);
    if (has_attn && is_video)
        x = wf_temporal_run(c, &l->frames_attn, x, k->n_frames, &k->ctx);
    return wf_scope_close(c, s, x);
}

static wf_tensor *run_down(wf_ctx *c, unet_call *k, wf_tensor *x)
{
    k->skips[k->n_skips++] = x;
    for (int i = 0; i < k->net->n_levels; i++) {
        const unet_level *l = &k->net->down[i];
        for (int n = 0; n < l->n_layers; n++)
            k->skips[k->n_skips++] = x = run_layer(c, k, &l->layers[n], l->has_attn, x);
        if (l->resize.w) k->skips[k->n_skips++] = x = wf_conv_run(c, &l->resize, x);
    }
    return x;
}

/* x [B,H,W,C] + what its pixels find in mid_kv [B,T,N,2C], keys then values of N heads. The heads
 * are as wide as x, so that projections of queries and results lie in the keys and values, and the
 * sum of the heads is the result: x + sum_n softmax(norm(x) k_n^T / sqrt(C)) v_n. */
static wf_tensor *read_mid_kv(wf_ctx *c, const unet_call *k, wf_tensor *x)
{
    if (wf_has_failed(c)) return NULL;
    wf_tensor *kv = k->mid_kv;
    const int64_t B = wf_dim(x, 0), H = wf_dim(x, 1), W = wf_dim(x, 2), C = wf_dim(x, 3);
    const int64_t wanted[] = {B, -1, -1, 2 * C};
    if (wf_input_check(c, k->net->name, "mid_kv", kv, 4, wanted) != WF_OK) return NULL;
    const int64_t N = wf_dim(kv, 2);
    wf_scope *s = wf_scope_open(c);
    kv = wf_to_dtype_of(c, kv, x);
    wf_tensor *q = wf_reshape4(c, wf_layer_norm(c, x, NULL, NULL, MID_NORM_EPS), B, H * W, 1, C);
    q = wf_expand(c, q, &(wf_shape){4, {B, H * W, N, C}});
    wf_tensor *y = wf_attention(c, q, wf_slice(c, kv, 3, 0, C, 1), wf_slice(c, kv, 3, C, C, 1),
                                NULL, 0.0, false);
    y = wf_reshape4(c, wf_sum(c, y, 1, (int[]){2}, false), B, H, W, C);
    return wf_scope_close(c, s, wf_add(c, x, y));
}

static wf_tensor *run_middle(wf_ctx *c, const unet_call *k, wf_tensor *x)
{
    const unet_net *net = k->net;
    if (net->n_mid > 0) x = run_layer(c, k, &net->mid[0], net->n_mid > 1, x);
    if (k->mid_kv) x = read_mid_kv(c, k, x);
    return net->n_mid > 1 ? run_layer(c, k, &net->mid[1], false, x) : x;
}

static wf_tensor *run_up(wf_ctx *c, unet_call *k, wf_tensor *x)
{
    for (int i = 0; i < k->net->n_levels; i++) {
        const unet_level *l = &k->net->up[i];
        for (int n = 0; n < l->n_layers; n++) {
            wf_scope *s = wf_scope_open(c);
            wf_tensor *both[2] = {x, k->skips[--k->n_skips]};
            x = wf_concat(c, both, 2, -1);
            x = wf_scope_close(c, s, run_layer(c, k, &l->layers[n], l->has_attn, x));
        }
        if (!l->resize.w) continue;
        const wf_tensor *next = k->skips[k->n_skips - 1]; /* odd sizes: up to what is joined next */
        x = wf_upsample_run(c, &l->resize, x, wf_dim(next, 1), wf_dim(next, 2));
    }
    return x;
}

/* ---- the call ---- */

static wf_status check_context(wf_ctx *c, const unet_net *net, wf_tensor *const *in,
                               wf_context *ctx, int64_t B)
{
    wf_tensor *states = in[2], *mask = in[3], *kv = in[5];
    if (states && kv)
        return wf_fail_status(c, WF_EARG, "%s: context and context_kv are both given", net->name);
    if (states)
        WF_TRY(wf_input_check(c, net->name, "context", states, 3,
                              (int64_t[]){B, -1, net->context_width[0]}));
    if (kv)
        WF_TRY(wf_input_check(c, net->name, "context_kv", kv, 3,
                              (int64_t[]){B, -1, net->kv_channels}));
    /* Without a context cross attention reads its own input: only where the widths agree. */
    for (int i = 0; i < net->n_cross && !states && !kv; i++)
        if (wf_dim(net->cross[i]->k.w->t, 1) != wf_dim(net->cross[i]->q.w->t, 1))
            return wf_fail_status(c, WF_EARG, "%s: context is missing, wanted [%lld,*,%lld]",
                                  net->name, (long long)B, (long long)net->context_width[0]);
    wf_tensor *tokens = states ? states : kv;
    if (mask && !tokens)
        return wf_fail_status(c, WF_EARG, "%s: mask is given without a context", net->name);
    if (mask)
        WF_TRY(wf_input_check(c, net->name, "mask", mask, 2, (int64_t[]){B, wf_dim(tokens, 1)}));
    *ctx = (wf_context){.states = states ? wf_to_activation(c, states) : NULL, .prepared = kv,
                        .bias = mask ? wf_mask_to_bias(c, mask, MASKED) : NULL};
    return wf_get_status(c);
}

wf_tensor *wfi_unet_run(wf_ctx *c, const unet_net *net, wf_tensor *const *in, int64_t n_frames)
{
    unet_call k = {.net = net, .mid_kv = in[6], .n_frames = n_frames};
    wf_tensor *x = wf_to_activation(c, in[0]);
    if (check_context(c, net, in, &k.ctx, wf_dim(x, 0) / n_frames) != WF_OK) return NULL;
    k.emb = embed_time(c, net, in[1], in[4], x, n_frames);
    if (wf_has_failed(c)) return NULL;

    if (net->center) x = wf_affine(c, x, 2.0, -1.0);
    x = wf_conv_run(c, &net->conv_in, x);
    if (net->frames_in.blocks) x = wf_temporal_run(c, &net->frames_in, x, n_frames, NULL);
    x = run_up(c, &k, run_middle(c, &k, run_down(c, &k, x)));
    return wf_conv_run(c, &net->conv_out, wf_norm_run_act(c, &net->norm_out, x, net->act_out));
}

wf_status wfi_unet_prepare(wf_ctx *c, const void *state, wf_tensor *const *in, wf_named *out,
                           int *n_out)
{
    const unet_net *net = state;
    WF_TRY(wf_input_check(c, net->name, "context", in[0], 3,
                          (int64_t[]){-1, -1, net->context_width[0]}));
    if (net->n_cross == 0)
        return wf_fail_status(c, WF_EARG, "%s: this model reads no context", net->name);
    wf_tensor *states = wf_to_activation(c, in[0]), *all = NULL;
    for (int i = 0; i < net->n_cross; i++) {
        wf_tensor *pair[2] = {all, wf_attn_prepare(c, net->cross[i], states)};
        all = all ? wf_concat(c, pair, 2, -1) : pair[1];
    }
    out[0] = (wf_named){"context_kv", all};
    *n_out = 1;
    return wf_get_status(c);
}
