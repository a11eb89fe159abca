/* layer.h - the layers that models share: linear, convolution, norms, embeddings, activations,
 * times.
 *
 * A layer is a plain struct of parameters and numbers, declared into a builder under its public
 * name and run on a tensor. Layers hold borrowed parameters; results are scoped.
 */
#ifndef WF_CORE_LAYER_H
#define WF_CORE_LAYER_H

#include "core/nn/param.h"
#include "core/tensor/ops.h"

/* ---- activations by the names of public configs ---- */

bool wf_act_find(const char *name,
                 wf_act *out); /* silu swish gelu gelu_new gelu_pytorch_tanh quick_gelu relu */
wf_tensor *wf_act_run(wf_ctx *c, wf_tensor *x, wf_act act);

/* ---- linear: x [...,K] -> [...,N] ---- */

typedef struct wf_linear_layer {
    wf_param *w, *b;                      /* [N,K], [N] or NULL */
} wf_linear_layer;

wf_linear_layer wf_linear_declare(wf_builder *b, const char *name, int64_t in, int64_t out,
                                  bool bias);
/* The same with a chosen deviation of the weights, normal, and a bias of zeros. */
wf_linear_layer wf_linear_declare_normal(wf_builder *b, const char *name, int64_t in, int64_t out,
                                         bool bias, double deviation);
wf_tensor *wf_linear_run(wf_ctx *c, const wf_linear_layer *l, wf_tensor *x);
wf_tensor *wf_linear_run_act(wf_ctx *c, const wf_linear_layer *l, wf_tensor *x, wf_act act);

/* ---- convolution: x [B,H,W,I] -> [B,H',W',O] ---- */

typedef struct wf_conv_layer {
    wf_param *w, *b;                      /* [O,k,k,I], [O] */
    wf_conv how;
} wf_conv_layer;

/* Square kernel of taps x taps. */
wf_conv_layer wf_conv_declare(wf_builder *b, const char *name, int64_t in, int64_t out,
                              int64_t taps, wf_conv how);
wf_tensor *wf_conv_run(wf_ctx *c, const wf_conv_layer *l, wf_tensor *x);

/* ---- norms: x [B,...,C] ---- */

typedef struct wf_norm_layer {
    wf_param *w, *b;                      /* [C] */
    int64_t groups;                       /* 0: a layer norm over C */
    double eps;
} wf_norm_layer;

wf_norm_layer wf_group_norm_declare(wf_builder *b, const char *name, int64_t width, int64_t groups,
                                    double eps);
wf_norm_layer wf_layer_norm_declare(wf_builder *b, const char *name, int64_t width, double eps);
wf_tensor *wf_norm_run(wf_ctx *c, const wf_norm_layer *l, wf_tensor *x);
wf_tensor *wf_norm_run_act(wf_ctx *c, const wf_norm_layer *l, wf_tensor *x, wf_act act);

/* ---- rows of a table: ids [...] -> [...,C] in the dtype of activations ---- */

wf_param *wf_embedding_declare(wf_builder *b, const char *name, int64_t rows, int64_t width,
                               double deviation);
wf_tensor *wf_embedding_run(wf_ctx *c, const wf_param *table, wf_tensor *ids);

/* ---- time ---- */

/* Sinusoids of times t [B] (any number dtype) -> [B,width] f32, frequency i of width/2 being
 * 10000^(-i / (width/2 - shift)); cosines first when cos_first (flip_sin_to_cos of public configs).
 * Source: diffusers get_timestep_embedding, which computes the frequencies in f32. */
wf_tensor *wf_time_sinusoid(wf_ctx *c, wf_tensor *t, int64_t width, bool cos_first, double shift);

/* linear_2(act(linear_1 x)) */
typedef struct wf_time_mlp {
    wf_linear_layer first, second;
    wf_act act;
} wf_time_mlp;

wf_time_mlp wf_time_mlp_declare(wf_builder *b, const char *name, int64_t in, int64_t out,
                                wf_act act);
wf_tensor *wf_time_mlp_run(wf_ctx *c, const wf_time_mlp *l, wf_tensor *x);

/* ---- small helpers ---- */

/* x in the dtype that activations have on its device: f16 and bf16 become f32 in host memory, whole
 * numbers and booleans f32 everywhere. */
wf_tensor *wf_to_activation(wf_ctx *c, wf_tensor *x);
/* x in the dtype of like, when that is another float. */
wf_tensor *wf_to_dtype_of(wf_ctx *c, wf_tensor *x, const wf_tensor *like);
/* [B,T,N*D] -> [B,T,N,D], a view where possible */
wf_tensor *wf_split_heads(wf_ctx *c, wf_tensor *x, int64_t N);
/* n states [B,T,C] -> [n,B,T,C] */
wf_tensor *wf_stack_states(wf_ctx *c, wf_tensor *const *states, int64_t n);

#endif
