/* conv.h - the sizes of one convolution, for the kernels that run it. */
#ifndef WF_KERNELS_CPU_CONV_H
#define WF_KERNELS_CPU_CONV_H

#include "kernels/cpu/gemm.h"
#include "kernels/cpu/kern.h"

typedef struct conv {
    wf_conv v;
    int64_t B, H, W, I;         /* x [B,H,W,I] */
    int64_t O, kh, kw;          /* w [O,kh,kw,I] */
    int64_t Ho, Wo;             /* y [B,Ho,Wo,O] */
} conv;

conv WF_K(read_conv)(const wf_tensor *x, const wf_tensor *w, const wf_tensor *y,
                     const double *attr);

/* Winograd's way through a 3x3 convolution of stride 1, where it pays. */
bool WF_K(wino_fits)(const conv *g);
/* y = act-free convolution of x by w (flip: by w turned round and its channels exchanged, which is
 * the adjoint) + bias. g tells x's and y's sizes as this call sees them. */
wf_status WF_K(wino)(wf_ctx *c, const conv *g, const float *x, wf_tensor *w, bool flip,
                     const float *bias, float *y);

#endif
