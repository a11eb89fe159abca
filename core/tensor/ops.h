/* ops.h - the ops as mathematics: every result is scoped, NULL once c has failed.
 *
 * Layout is channels last: feature maps [B,H,W,C], tokens [B,T,C], heads [B,T,N,D].
 * Float inputs may be f32, f16, bf16 or f64; a float result has the dtype of the first float input
 * (f16, bf16 and quantised weights do not lower it: f32 x f16 gives f32), another that of the
 * first of the widest: i64, i32, i8 or u8, bool. Ids are i64 or i32, masks bool. Quantised tensors
 * are weights: linear, matmul, conv2d, embedding, cast, copies and views of whole rows take them.
 * Errors: WF_ESHAPE, WF_EDTYPE, WF_EARG by name, WF_EDEAD for a tensor whose scope has closed,
 * WF_ENOMEM.
 */
#ifndef WF_CORE_OPS_H
#define WF_CORE_OPS_H

#include "core/tensor/tensor.h"

/* ---- views (share storage) and copies ---- */
/* one dim may be -1; copies when it must */
wf_tensor *wf_reshape(wf_ctx *c, wf_tensor *x, int rank, const int64_t *dims);
wf_tensor *wf_reshape1(wf_ctx *c, wf_tensor *x, int64_t a);
wf_tensor *wf_reshape2(wf_ctx *c, wf_tensor *x, int64_t a, int64_t b);
wf_tensor *wf_reshape3(wf_ctx *c, wf_tensor *x, int64_t a, int64_t b, int64_t d);
wf_tensor *wf_reshape4(wf_ctx *c, wf_tensor *x, int64_t a, int64_t b, int64_t d, int64_t e);
wf_tensor *wf_permute(wf_ctx *c, wf_tensor *x, int rank, const int *order);      /* 0-based order */
/* transpose two dims */
wf_tensor *wf_swap(wf_ctx *c, wf_tensor *x, int d0, int d1);
/* dims of 1, or missing in front, repeat */
wf_tensor *wf_expand(wf_ctx *c, wf_tensor *x, const wf_shape *s);
/* start from 0; step may not be 0 */
wf_tensor *wf_slice(wf_ctx *c, wf_tensor *x, int dim, int64_t start, int64_t count, int64_t step);
wf_tensor *wf_select(wf_ctx *c, wf_tensor *x, int dim, int64_t i);               /* drops the dim */
wf_tensor *wf_unsqueeze(wf_ctx *c, wf_tensor *x, int dim);
wf_tensor *wf_squeeze(wf_ctx *c, wf_tensor *x, int dim);
/* contiguous, new storage */
wf_tensor *wf_copy(wf_ctx *c, wf_tensor *x);
/* x itself when it already is */
wf_tensor *wf_contiguous(wf_ctx *c, wf_tensor *x);
/* x itself when it already is; to q8_0/q4_0 too */
wf_tensor *wf_cast(wf_ctx *c, wf_tensor *x, wf_dtype t);
wf_tensor *wf_to_device(wf_ctx *c, wf_tensor *x, wf_device *d);                  /* no gradient */
wf_tensor *wf_concat(wf_ctx *c, wf_tensor *const *x, int n, int dim);
typedef enum wf_pad_mode { WF_PAD_CONSTANT, WF_PAD_REFLECT, WF_PAD_REPLICATE } wf_pad_mode;
/* pads: before and after of each dim from the first on, 2 * rank values >= 0. */
wf_tensor *wf_pad(wf_ctx *c, wf_tensor *x, const int64_t *pads, wf_pad_mode mode, double value);

/* ---- elementwise; binary ones broadcast as NumPy does ---- */
wf_tensor *wf_neg(wf_ctx *c, wf_tensor *x);
wf_tensor *wf_abs(wf_ctx *c, wf_tensor *x);
wf_tensor *wf_exp(wf_ctx *c, wf_tensor *x);
wf_tensor *wf_log(wf_ctx *c, wf_tensor *x);
wf_tensor *wf_sqrt(wf_ctx *c, wf_tensor *x);
wf_tensor *wf_rsqrt(wf_ctx *c, wf_tensor *x);
wf_tensor *wf_square(wf_ctx *c, wf_tensor *x);
wf_tensor *wf_sin(wf_ctx *c, wf_tensor *x);
wf_tensor *wf_cos(wf_ctx *c, wf_tensor *x);
wf_tensor *wf_tanh(wf_ctx *c, wf_tensor *x);
wf_tensor *wf_sigmoid(wf_ctx *c, wf_tensor *x);
wf_tensor *wf_relu(wf_ctx *c, wf_tensor *x);
wf_tensor *wf_silu(wf_ctx *c, wf_tensor *x);
wf_tensor *wf_gelu(wf_ctx *c, wf_tensor *x);             /* exact, by erf */
wf_tensor *wf_gelu_tanh(wf_ctx *c, wf_tensor *x);
wf_tensor *wf_gelu_quick(wf_ctx *c, wf_tensor *x);       /* x sigmoid(1.702 x) */
wf_tensor *wf_softplus(wf_ctx *c, wf_tensor *x);
wf_tensor *wf_erf(wf_ctx *c, wf_tensor *x);
wf_tensor *wf_leaky_relu(wf_ctx *c, wf_tensor *x, double slope);
wf_tensor *wf_clamp(wf_ctx *c, wf_tensor *x, double lo, double hi);
wf_tensor *wf_affine(wf_ctx *c, wf_tensor *x, double mul, double add);
wf_tensor *wf_scale(wf_ctx *c, wf_tensor *x, double mul);
wf_tensor *wf_sign(wf_ctx *c, wf_tensor *x);
wf_tensor *wf_floor(wf_ctx *c, wf_tensor *x);
wf_tensor *wf_round(wf_ctx *c, wf_tensor *x);            /* half to even */
wf_tensor *wf_is_nan(wf_ctx *c, wf_tensor *x);           /* bool: NaN or infinite */
wf_tensor *wf_add(wf_ctx *c, wf_tensor *a, wf_tensor *b);
wf_tensor *wf_sub(wf_ctx *c, wf_tensor *a, wf_tensor *b);
wf_tensor *wf_mul(wf_ctx *c, wf_tensor *a, wf_tensor *b);
wf_tensor *wf_div(wf_ctx *c, wf_tensor *a, wf_tensor *b);
wf_tensor *wf_maximum(wf_ctx *c, wf_tensor *a, wf_tensor *b);
wf_tensor *wf_minimum(wf_ctx *c, wf_tensor *a, wf_tensor *b);
wf_tensor *wf_pow(wf_ctx *c, wf_tensor *a, wf_tensor *b);
wf_tensor *wf_eq(wf_ctx *c, wf_tensor *a, wf_tensor *b); /* comparisons give bool */
wf_tensor *wf_ne(wf_ctx *c, wf_tensor *a, wf_tensor *b);
wf_tensor *wf_lt(wf_ctx *c, wf_tensor *a, wf_tensor *b);
wf_tensor *wf_le(wf_ctx *c, wf_tensor *a, wf_tensor *b);
wf_tensor *wf_gt(wf_ctx *c, wf_tensor *a, wf_tensor *b);
wf_tensor *wf_ge(wf_ctx *c, wf_tensor *a, wf_tensor *b);
wf_tensor *wf_where(wf_ctx *c, wf_tensor *mask, wf_tensor *a, wf_tensor *b);
wf_tensor *wf_swiglu(wf_ctx *c, wf_tensor *gate, wf_tensor *x);   /* silu(gate) * x, same shapes */
/* [...,2F] -> [...,F]: first half * gelu(second half) */
wf_tensor *wf_geglu(wf_ctx *c, wf_tensor *x);

/* ---- reductions: dims may be negative; n = 0 takes all; keep leaves dims of 1 ---- */
wf_tensor *wf_sum(wf_ctx *c, wf_tensor *x, int n, const int *dims, bool keep);
wf_tensor *wf_mean(wf_ctx *c, wf_tensor *x, int n, const int *dims, bool keep);
/* ties share the gradient */
wf_tensor *wf_max(wf_ctx *c, wf_tensor *x, int n, const int *dims, bool keep);
wf_tensor *wf_min(wf_ctx *c, wf_tensor *x, int n, const int *dims, bool keep);
wf_tensor *wf_sum_to(wf_ctx *c, wf_tensor *x, const wf_shape *s);   /* undo a broadcast from s */
wf_tensor *wf_cumsum(wf_ctx *c, wf_tensor *x, int dim);
wf_tensor *wf_logsumexp(wf_ctx *c, wf_tensor *x, bool keep);        /* over the last dim */
/* i64, dim dropped; the first of equals */
wf_tensor *wf_argmax(wf_ctx *c, wf_tensor *x, int dim);
wf_tensor *wf_argsort(wf_ctx *c, wf_tensor *x, bool descending);    /* i64, last dim, stable */
/* last dim, largest first */
wf_tensor *wf_topk(wf_ctx *c, wf_tensor *x, int64_t k, wf_tensor **ids);

/* ---- products ---- */
/* a [...,M,K] b [...,K,N] -> [...,M,N], leading dims broadcast; trans_x swaps the last two dims
 * of x first. */
wf_tensor *wf_matmul(wf_ctx *c, wf_tensor *a, wf_tensor *b, bool trans_a, bool trans_b);
typedef enum wf_act {
    WF_ACT_NONE, WF_ACT_SILU, WF_ACT_GELU, WF_ACT_GELU_TANH, WF_ACT_GELU_QUICK, WF_ACT_RELU
} wf_act;
/* x [...,K], w [N,K] (may be f16, bf16, q8_0, q4_0), b [N] or NULL -> act(x w^T + b) [...,N] */
wf_tensor *wf_linear(wf_ctx *c, wf_tensor *x, wf_tensor *w, wf_tensor *b);
wf_tensor *wf_linear_act(wf_ctx *c, wf_tensor *x, wf_tensor *w, wf_tensor *b, wf_act act);

/* ---- convolution: x [B,H,W,I], w [O,kh,kw,I/groups], b [O] or NULL -> [B,H',W',O] ---- */
typedef struct wf_conv {
    int64_t stride_h, stride_w, pad_top, pad_bottom, pad_left, pad_right;
    int64_t dilation_h, dilation_w, groups;
} wf_conv;
/* square stride and padding, dilation 1, groups 1 */
wf_conv wf_conv_same(int64_t stride, int64_t pad);
wf_tensor *wf_conv2d(wf_ctx *c, wf_tensor *x, wf_tensor *w, wf_tensor *b, wf_conv v);
/* x [B,T,I], w [O,k,I/groups] -> [B,T',O] */
wf_tensor *wf_conv1d(wf_ctx *c, wf_tensor *x, wf_tensor *w, wf_tensor *b, int64_t stride,
                     int64_t pad,
                     int64_t dilation, int64_t groups);
/* x [B,T,I], w [I,k,O] -> [B,(T-1)stride-2pad+k+out_pad,O]; PyTorch's ConvTranspose1d weight
 * [I,O,k] permuted */
wf_tensor *wf_conv_transpose1d(wf_ctx *c, wf_tensor *x, wf_tensor *w, wf_tensor *b, int64_t stride,
                               int64_t pad, int64_t out_pad);
/* Frames: x [B,L,H,W,I], w [O,3,I] over L, padding 1 -> [B,L,H,W,O] */
wf_tensor *wf_conv_frames(wf_ctx *c, wf_tensor *x, wf_tensor *w, wf_tensor *b);

/* ---- normalisation; w and b [C] may be NULL ---- */
/* x [B,...,C] */
wf_tensor *wf_group_norm(wf_ctx *c, wf_tensor *x, wf_tensor *w, wf_tensor *b, int64_t groups,
                         double eps);
wf_tensor *wf_group_norm_silu(wf_ctx *c, wf_tensor *x, wf_tensor *w, wf_tensor *b, int64_t groups,
                              double eps);
/* over the last dim */
wf_tensor *wf_layer_norm(wf_ctx *c, wf_tensor *x, wf_tensor *w, wf_tensor *b, double eps);
wf_tensor *wf_rms_norm(wf_ctx *c, wf_tensor *x, wf_tensor *w, double eps);
wf_tensor *wf_softmax(wf_ctx *c, wf_tensor *x);          /* last dim; a row of -inf gives zeros */
wf_tensor *wf_log_softmax(wf_ctx *c, wf_tensor *x);

/* ---- attention ---- */
/* q [B,Tq,N,D], k v [B,Tk,M,D], M divides N (head n reads n / (N/M)), any strides with contiguous
 * D. bias: added to the scores, [B or 1, N or 1, Tq or 1, Tk], f32; -inf masks; no gradient to it.
 * causal: query i sees keys j <= i + Tk - Tq. scale 0 means 1/sqrt(D). A query that sees nothing
 * gives zeros. */
wf_tensor *wf_attention(wf_ctx *c, wf_tensor *q, wf_tensor *k, wf_tensor *v, wf_tensor *bias,
                        double scale, bool causal);
/* x [B,T,N,D]; cos_sin [T,R,2] with 2R <= D leading dims of each head rotated. Pairs are (2i,2i+1),
 * or (i,i+R) when half (transformers' layout). */
wf_tensor *wf_rope(wf_ctx *c, wf_tensor *x, wf_tensor *cos_sin, bool half);

/* ---- rows by index; an id outside the rows fails with WF_EARG ---- */
/* w [V,C] -> [...,C] */
wf_tensor *wf_embedding(wf_ctx *c, wf_tensor *ids, wf_tensor *w);
/* as torch.gather */
wf_tensor *wf_gather(wf_ctx *c, wf_tensor *x, wf_tensor *ids, int dim);
wf_tensor *wf_scatter_add(wf_ctx *c, wf_tensor *x, wf_tensor *ids, wf_tensor *src, int dim);
wf_tensor *wf_index_select(wf_ctx *c, wf_tensor *x, wf_tensor *ids, int dim);         /* ids [n] */
wf_tensor *wf_index_add(wf_ctx *c, wf_tensor *x, wf_tensor *ids, wf_tensor *src, int dim);

/* ---- resampling of [B,H,W,C] ---- */
wf_tensor *wf_resize_nearest(wf_ctx *c, wf_tensor *x, int64_t height, int64_t width);
wf_tensor *wf_resize_bilinear(wf_ctx *c, wf_tensor *x, int64_t height, int64_t width, bool
                              align_corners);
/* padding counts, as in PyTorch */
wf_tensor *wf_avg_pool2d(wf_ctx *c, wf_tensor *x, int64_t kernel, int64_t stride, int64_t pad);
wf_tensor *wf_max_pool2d(wf_ctx *c, wf_tensor *x, int64_t kernel, int64_t stride, int64_t pad);

/* ---- losses: one value ---- */
/* [...,V], [...]: mean over rows not ignored */
wf_tensor *wf_cross_entropy(wf_ctx *c, wf_tensor *logits, wf_tensor *ids, int64_t ignore);
/* same shapes; mean */
wf_tensor *wf_mse(wf_ctx *c, wf_tensor *a, wf_tensor *b);

/* ---- spectra ---- */
/* x [B,S], window [n_fft] -> [B,T,n_fft/2+1,2] real and imaginary; frames start at 0, hop apart, T
 * = 1 + (S-n_fft)/hop. Centre padding is wf_pad before. */
wf_tensor *wf_stft(wf_ctx *c, wf_tensor *x, wf_tensor *window, int64_t hop);
/* The adjoint (overlap-add of windowed inverse transforms, unnormalised): dy [B,T,F,2] ->
 * [B,samples] */
wf_tensor *wf_stft_dx(wf_ctx *c, wf_tensor *dy, wf_tensor *window, int64_t hop, int64_t samples);

/* ---- training state, in place, never on the tape; return the first argument ---- */
/* broadcasts x, casts */
wf_tensor *wf_copy_into(wf_ctx *c, wf_tensor *y, wf_tensor *x);
wf_tensor *wf_lerp_into(wf_ctx *c, wf_tensor *y, wf_tensor *x, double t);       /* y += t (x - y) */
typedef struct wf_adamw {
    double lr, beta1, beta2, eps, decay;
    int64_t step;
    double grad_scale;
} wf_adamw;
/* p, m, v in place from g * grad_scale; step counts from 1. Loshchilov & Hutter,
 * arXiv:1711.05101, as torch.optim.AdamW. */
wf_tensor *wf_adamw_into(wf_ctx *c, wf_tensor *p, wf_tensor *m, wf_tensor *v, wf_tensor *g, const
                         wf_adamw *o);

#endif
