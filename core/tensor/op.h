/* op.h - the table made from ops.def, and the one way an op is called. */
#ifndef WF_CORE_OP_H
#define WF_CORE_OP_H

#include "core/tensor/tensor.h"

enum { WF_OP_MAX_IN = 32, WF_OP_MAX_OUT = 4, WF_OP_MAX_ATTR = 24 };

typedef enum wf_op_id {
#define WF_OP(name, in, out, attrs, grad, flags) WF_OP_ID_##name,
#include "core/tensor/ops.def"
#undef WF_OP
    WF_OP_COUNT
} wf_op_id;

typedef enum wf_op_grad {
    WF_NO_GRAD,
    WF_KEEP_IN,
    WF_KEEP_OUT,
    WF_KEEP_BOTH,
    WF_KEEP_SHAPE
} wf_op_grad;
typedef enum wf_op_flag { WF_PLAIN, WF_VIEW, WF_STRIDED, WF_INTO } wf_op_flag;

/* One call of an op, from infer to the kernel. */
typedef struct wf_op_args {
    const struct wf_op *op;
    wf_tensor *in[WF_OP_MAX_IN];        /* absent optional inputs are NULL */
    int n_in;
    double attr[WF_OP_MAX_ATTR];        /* in the order of ops.def, defaults filled in */
    int n_attr;
    wf_shape shape[WF_OP_MAX_OUT];      /* set by infer */
    wf_dtype dtype[WF_OP_MAX_OUT];      /* preset to that of the first input of the widest */
    int64_t strides[WF_MAX_RANK];       /* VIEW: set by infer, in values */
    int64_t offset;                     /* VIEW: values from in[0]'s first */
    wf_tensor *out[WF_OP_MAX_OUT];      /* made by the dispatcher, contiguous */
    int n_out;
} wf_op_args;

/* One call of an op's backward. Saved tensors are NULL-data husks where ops.def keeps only shapes.
 */
typedef struct wf_grad_args {
    const struct wf_op *op;
    wf_tensor *in[WF_OP_MAX_IN], *out[WF_OP_MAX_OUT];
    int n_in, n_out;
    double attr[WF_OP_MAX_ATTR];
    int n_attr;
    wf_tensor *dy[WF_OP_MAX_OUT];       /* NULL: that output was not used */
    bool need[WF_OP_MAX_IN];            /* which inputs want a gradient */
    wf_tensor *dx[WF_OP_MAX_IN];        /* set by backward, scoped; NULL means zero */
} wf_grad_args;

typedef wf_status (*wf_op_fn)(wf_ctx *c, wf_op_args *a);

/* One op: everything the engine knows of it. */
typedef struct wf_op {
    const char *name, *inputs, *outputs, *attrs;
    wf_op_grad grad;
    wf_op_flag flag;
    wf_op_fn infer;                      /* check inputs, set shapes and dtypes */
    wf_op_fn forward; /* the truth: plain loops on host memory; NULL for a view */
    void (*backward)(wf_ctx *c, wf_grad_args *g);   /* composed of ops; NULL: no gradient */
    int min_in, max_in, n_out;           /* counted from the row's text */
    int n_attr;                          /* fixed attributes, before a "dims..." tail */
    bool has_tail;
} wf_op;

const wf_op *wf_op_get(wf_op_id id);
/* Position of an attribute by name, -1 when the op has none of that name. */
int wf_op_find_attr(const wf_op *op, const char *name);
/* Name of attribute i into buf, and its default; false when it has no default (must be given). */
bool wf_op_get_attr(const wf_op *op, int i, char *name, size_t name_bytes, double *value);

/* Call an op: infer, make outputs, run the device's kernel or the truth, put it on the tape.
 * n_attr may be fewer than the op has: the rest take their defaults.
 * Returns the first output, scoped; NULL once c has failed. The _multi form fills out[n_out]. */
wf_tensor *wf_op_call(wf_ctx *c, wf_op_id id, wf_tensor *const *in, int n_in,
                      const double *attr, int n_attr);
wf_tensor *wf_op_call_multi(wf_ctx *c, wf_op_id id, wf_tensor *const *in, int n_in,
                            const double *attr, int n_attr, wf_tensor **out);

#endif
