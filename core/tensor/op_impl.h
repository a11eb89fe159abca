/* op_impl.h - what op_<family>.c files and kernels share: prototypes of every row, and accessors.
 *
 * A truth sees contiguous tensors (any strides when its row says STRIDED) in memory that the host
 * reaches while the device is open (backend.h), of any dtype but the quantised ones, which the
 * dispatcher expands first. It reads with wfi_get and writes with wfi_put, in double, so the same
 * plain loops serve f32 and the f64 of gradient checks.
 */
#ifndef WF_CORE_OP_IMPL_H
#define WF_CORE_OP_IMPL_H

#include "core/tensor/op.h"
#include "core/tensor/ops.h"

#define WF_OP(name, in, out, attrs, grad, flags)                      \
    wf_status wfi_##name##_infer(wf_ctx *c, wf_op_args *a);           \
    wf_status wfi_##name##_forward(wf_ctx *c, wf_op_args *a);         \
    void wfi_##name##_backward(wf_ctx *c, wf_grad_args *g);
#include "core/tensor/ops.def"
#undef WF_OP

/* A tensor's values where they lie, for a truth's loops. */
typedef struct wfi_values {
    void *p;
    wf_dtype t;
    int64_t n;
    int rank;
    int64_t dims[WF_MAX_RANK], strides[WF_MAX_RANK];
} wfi_values;

wfi_values wfi_open(wf_tensor *t);      /* p is NULL for a NULL tensor */

/* Value i, counted in memory from the first value (so: by strides when they are not contiguous). */
static inline double wfi_get(const wfi_values *v, int64_t i)
{
    switch (v->t) {
    case WF_DTYPE_F32: return (double)((const float *)v->p)[i];
    case WF_DTYPE_F64: return ((const double *)v->p)[i];
    case WF_DTYPE_F16: return (double)wf_f16_to_f32(((const uint16_t *)v->p)[i]);
    case WF_DTYPE_BF16: return (double)wf_bf16_to_f32(((const uint16_t *)v->p)[i]);
    case WF_DTYPE_I64: return (double)((const int64_t *)v->p)[i];
    case WF_DTYPE_I32: return (double)((const int32_t *)v->p)[i];
    case WF_DTYPE_I8: return (double)((const int8_t *)v->p)[i];
    case WF_DTYPE_BOOL: return ((const uint8_t *)v->p)[i] != 0;  /* files hold other bytes, too */
    default: return (double)((const uint8_t *)v->p)[i];
    }
}

static inline void wfi_put(wfi_values *v, int64_t i, double x)
{
    switch (v->t) {
    case WF_DTYPE_F32: ((float *)v->p)[i] = (float)x; break;
    case WF_DTYPE_F64: ((double *)v->p)[i] = x; break;
    case WF_DTYPE_F16: ((uint16_t *)v->p)[i] = wf_f32_to_f16((float)x); break;
    case WF_DTYPE_BF16: ((uint16_t *)v->p)[i] = wf_f32_to_bf16((float)x); break;
    case WF_DTYPE_I64: ((int64_t *)v->p)[i] = wf_f64_to_whole(x, v->t); break;
    case WF_DTYPE_I32: ((int32_t *)v->p)[i] = (int32_t)wf_f64_to_whole(x, v->t); break;
    case WF_DTYPE_I8: ((int8_t *)v->p)[i] = (int8_t)wf_f64_to_whole(x, v->t); break;
    default: ((uint8_t *)v->p)[i] = (uint8_t)wf_f64_to_whole(x, v->t); break;
    }
}

/* Memory position of the value at row-major position i of a tensor with v's strides and these dims.
 */
int64_t wfi_at(const int64_t *dims, const int64_t *strides, int rank, int64_t i);

/* ---- checks for infer: WF_OK or the failure, stored in c ---- */
wf_status wfi_check_rank(wf_ctx *c, const wf_op_args *a, int in, int rank);
wf_status wfi_check_float(wf_ctx *c, const wf_op_args *a, int in);
wf_status wfi_check_ids(wf_ctx *c, const wf_op_args *a, int in);          /* i64 or i32 */
wf_status wfi_check_same(wf_ctx *c, const wf_op_args *a, int in, int other);
wf_status wfi_check_rows(wf_ctx *c, const wf_op_args *a);                 /* in[0] has a last dim */
/* Resolve an attribute that names a dim: negative counts from the end. */
wf_status wfi_check_dim(wf_ctx *c, const wf_op_args *a, int attr, int rank, int *dim);
/* Every attribute a whole number that fits; NaN and fractions fail. */
wf_status wfi_check_int_attr(wf_ctx *c, const wf_op_args *a, int attr, int64_t lo, int64_t hi);
static inline int64_t wfi_int(const wf_op_args *a, int i) { return (int64_t)a->attr[i]; }

wf_status wfi_check_weight(wf_ctx *c, const wf_op_args *a, int in); /* a float dtype or quantised */

/* f(x) and f'(x) of an op of one value and no attributes, e.g. WF_OP_ID_silu. */
double wfi_unary(wf_op_id op, double x);
double wfi_unary_slope(wf_op_id op, double x);

/* Sum over k < n of a[i + k step_a] b[j + k step_b], in double. */
double wfi_dot(const wfi_values *a, int64_t i, int64_t step_a, const wfi_values *b, int64_t j,
               int64_t step_b, int64_t n);

/* The largest of the n values from first on: NaN if one is, -inf of none. */
double wfi_row_max(const wfi_values *x, int64_t first, int64_t n);

/* Sum g down to the shape of like (the backward of broadcasting). */
wf_tensor *wfi_unbroadcast(wf_ctx *c, wf_tensor *g, const wf_tensor *like);

#endif
