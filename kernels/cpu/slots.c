/* slots.c - the table of ops that have a kernel, and the function that fills a device with it. */
#include "core/tensor/backend.h"
#include "kernels/cpu/simd.h"

/* An op and the kernel that runs it; several ops may share one. */
#define SLOTS(X)                                                     \
    X(linear, linear) X(matmul, matmul)                                \
    X(conv2d, conv2d) X(conv2d_dx, conv2d_dx) X(conv2d_dw, conv2d_dw)

#define DECLARE(op, name) wf_status WF_K(name)(wf_ctx *c, wf_op_args *a);
SLOTS(DECLARE)

void WF_K(fill)(wf_device *d);

void WF_K(fill)(wf_device *d)
{
#define SET(op, name) d->kernel[WF_OP_ID_##op] = WF_K(name);
    SLOTS(SET)
}
