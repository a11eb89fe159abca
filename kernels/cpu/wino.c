#include "kernels/cpu/conv.h"
bool WF_K(wino_fits)(const conv *g) { (void)g; return false; }
wf_status WF_K(wino)(wf_ctx *c, const conv *g, const float *x, wf_tensor *w, bool flip,
                     const float *bias, float *y)
{
    (void)c;
    (void)g;
    (void)x;
    (void)w;
    (void)flip;
    (void)bias;
    (void)y;
    return WF_ESKIP;
}
