/* slots.c - the table of ops that have a kernel, and the function that fills a device with it. */
#include "core/tensor/backend.h"
#include "kernels/cpu/simd.h"

/* Every op here has a WF_K(op) in one of this folder's files. */
#define SLOTS(X)                                                                         \
    X(linear) X(matmul) X(conv2d) X(conv2d_dx) X(conv2d_dw)                              \
    X(neg) X(abs) X(exp) X(sqrt) X(rsqrt) X(square) X(tanh) X(sigmoid) X(relu) X(silu)   \
    X(gelu) X(gelu_tanh) X(gelu_quick) X(erf) X(leaky_relu) X(clamp) X(affine)           \
    X(unary_dx) X(add) X(sub) X(mul) X(div) X(maximum) X(minimum)                        \
    X(swiglu) X(swiglu_dx) X(geglu) X(geglu_dx)                                          \
    X(copy) X(copy_into) X(cast) X(concat) X(slice_dx) X(sum) X(mean) X(sum_to)         \
    X(group_norm) X(group_norm_dx) X(layer_norm) X(layer_norm_dx) X(softmax) X(softmax_dx) \
    X(attention) X(attention_dx) X(rope) X(rms_norm) X(rms_norm_dx)                     \
    X(log_softmax) X(logsumexp) X(cross_entropy) X(cross_entropy_dx) X(mse)              \
    X(embedding) X(index_select) X(index_add) X(lerp_into) X(adamw_into)                 \
    X(resize_nearest) X(resize_nearest_dx) X(avg_pool2d) X(avg_pool2d_dx)             \
    X(stft) X(stft_dx)

wf_status WF_K(widen)(wf_ctx *c, wf_op_args *a, wf_op_fn kernel);

/* The op's kernel, on wider copies of the inputs when it declines them as they are. */
#define DEFINE(op)                                                                       \
    wf_status WF_K(op)(wf_ctx *c, wf_op_args *a);                                        \
    static wf_status any_##op(wf_ctx *c, wf_op_args *a)                                  \
    {                                                                                    \
        const wf_status st = WF_K(op)(c, a);                                             \
        return st == WF_ESKIP ? WF_K(widen)(c, a, WF_K(op)) : st;                        \
    }
SLOTS(DEFINE)

void WF_K(fill)(wf_device *d);

void WF_K(fill)(wf_device *d)
{
#define SET(op) d->kernel[WF_OP_ID_##op] = any_##op;
    SLOTS(SET)
}
