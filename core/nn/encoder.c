/* encoder.c - CLIP's transformer layers. */
#include "core/nn/encoder.h"

#include <math.h>

/* Deviations as in CLIP's _init_weights: residual branches shrink with depth. */
static wf_encoder_layer declare_layer(wf_builder *b, const wf_encoder_style *s)
{
    const int64_t C = s->width;
    const double wide = s->init_scale / sqrt((double)C),
                 deep = wide / sqrt(2.0 * (double)s->n_layers);
    wf_encoder_layer l = {.norm1 = wf_layer_norm_declare(b, "layer_norm1", C, s->eps)};
    l.q = wf_linear_declare_normal(b, "self_attn.q_proj", C, C, true, deep);
    l.k = wf_linear_declare_normal(b, "self_attn.k_proj", C, C, true, deep);
    l.v = wf_linear_declare_normal(b, "self_attn.v_proj", C, C, true, deep);
    l.out = wf_linear_declare_normal(b, "self_attn.out_proj", C, C, true, wide);
    l.norm2 = wf_layer_norm_declare(b, "layer_norm2", C, s->eps);
    l.fc1 = wf_linear_declare_normal(b, "mlp.fc1", C, s->mlp_width, true, wide / sqrt(2.0));
    l.fc2 = wf_linear_declare_normal(b, "mlp.fc2", s->mlp_width, C, true, deep);
    return l;
}

wf_encoder wf_encoder_declare(wf_builder *b, const wf_encoder_style *style)
{
    wf_encoder e = {.style = *style};
    if (style->n_heads < 1 || style->width % style->n_heads != 0)
        wf_fail(b->c, WF_EMODEL, "encoder: hidden_size %lld does not divide into %lld heads",
                (long long)style->width, (long long)style->n_heads);
    e.layers = wf_builder_alloc(b, (size_t)style->n_layers * sizeof *e.layers);
    for (int64_t i = 0; e.layers && i < style->n_layers; i++) {
        const size_t mark = wf_builder_enter(b, "encoder.layers.%d", (int)i);
        e.layers[i] = declare_layer(b, style);
        wf_builder_leave(b, mark);
    }
    return e;
}

static wf_tensor *attend(wf_ctx *c, const wf_encoder_layer *l, int64_t N, wf_tensor *x,
                         wf_tensor *bias, bool causal)
{
    wf_tensor *q = wf_split_heads(c, wf_linear_run(c, &l->q, x), N);
    wf_tensor *k = wf_split_heads(c, wf_linear_run(c, &l->k, x), N);
    wf_tensor *v = wf_split_heads(c, wf_linear_run(c, &l->v, x), N);
    wf_tensor *y = wf_attention(c, q, k, v, bias, 0.0, causal);
    return wf_linear_run(c, &l->out, wf_reshape3(c, y, wf_dim(x, 0), wf_dim(x, 1), wf_dim(x, 2)));
}

wf_tensor *wf_encoder_run(wf_ctx *c, const wf_encoder *e, wf_tensor *x, wf_tensor *bias,
                          bool causal, int64_t n_layers, wf_tensor **states)
{
    if (states) states[0] = x;
    for (int64_t i = 0; i < n_layers; i++) {
        const wf_encoder_layer *l = &e->layers[i];
        wf_scope *s = wf_scope_open(c);
        x = wf_add(c, x,
                   attend(c, l, e->style.n_heads, wf_norm_run(c, &l->norm1, x), bias, causal));
        wf_tensor *h = wf_linear_run_act(c, &l->fc1, wf_norm_run(c, &l->norm2, x), e->style.act);
        x = wf_scope_close(c, s, wf_add(c, x, wf_linear_run(c, &l->fc2, h)));
        if (states) states[i + 1] = x;
    }
    return x;
}
