/* optim.h - one step over many parameters at once: gradient norm, AdamW, moving averages. */
#ifndef WF_CORE_OPTIM_H
#define WF_CORE_OPTIM_H

#include "core/tensor/ops.h"
#include "core/tensor/tensor.h"

/* Euclidean norm over all values of g[n], NULL ones left out; the same for any thread count. */
wf_status wf_grad_norm(wf_ctx *c, wf_tensor *const *g, int64_t n, double *norm) WF_MUST_USE;

/* The lists one AdamW step walks: n parameters, their moments and gradients. A NULL gradient leaves
 * its parameter alone. */
typedef struct wf_adamw_lists {
    wf_tensor *const *p, *const *m, *const *v, *const *g;
    int64_t n;
    double decay_vectors;                /* decay of parameters of rank 0 and 1, instead of decay */
} wf_adamw_lists;

wf_status wf_adamw_step(wf_ctx *c, const wf_adamw_lists *l, const wf_adamw *o) WF_MUST_USE;

/* y[i] += t (x[i] - y[i]) for each i. */
wf_status wf_average_step(wf_ctx *c, wf_tensor *const *y, wf_tensor *const *x, int64_t n,
                          double t) WF_MUST_USE;

#endif
