/* tensor.h - tensors: counted, strided views of counted storage, and the scopes that own them.
 *
 * Row-major, up to six dims, channels last everywhere. Results of ops belong to the innermost
 * scope; without one they are floating, and wf_take makes the caller their only owner.
 */
#ifndef WF_CORE_TENSOR_H
#define WF_CORE_TENSOR_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/ctx.h"

enum { WF_MAX_RANK = 6 };

/* name, text, bytes of a block, values in a block. f64 is for gradient checks. */
#define WF_DTYPE_MAP(X)      \
    X(F32,  "f32",  4, 1)    \
    X(F64,  "f64",  8, 1)    \
    X(F16,  "f16",  2, 1)    \
    X(BF16, "bf16", 2, 1)    \
    X(I64,  "i64",  8, 1)    \
    X(I32,  "i32",  4, 1)    \
    X(U8,   "u8",   1, 1)    \
    X(I8,   "i8",   1, 1)    \
    X(BOOL, "bool", 1, 1)    \
    X(Q8_0, "q8_0", 34, 32)  \
    X(Q4_0, "q4_0", 18, 32)

typedef enum wf_dtype {
#define WF_X(name, text, bytes, block) WF_DTYPE_##name,
    WF_DTYPE_MAP(WF_X)
#undef WF_X
    WF_DTYPE_COUNT
} wf_dtype;

const char *wf_dtype_text(wf_dtype t);
size_t wf_dtype_block_bytes(wf_dtype t);
int64_t wf_dtype_block_elems(wf_dtype t);
bool wf_dtype_is_float(wf_dtype t);                    /* f32 f64 f16 bf16 */
bool wf_dtype_find(const char *text, wf_dtype *out);   /* false when there is none of that name */

float wf_f16_to_f32(uint16_t h);
uint16_t wf_f32_to_f16(float f);                       /* round to nearest even */
float wf_bf16_to_f32(uint16_t h);
uint16_t wf_f32_to_bf16(float f);                      /* round to nearest even */
/* v as bool or a dtype of whole numbers holds it: 0 or 1, else cut towards 0 and kept in the
 * dtype's range; NaN is 0, or true. */
int64_t wf_f64_to_whole(double v, wf_dtype t);

typedef struct wf_shape {
    int rank;
    int64_t dims[WF_MAX_RANK];
} wf_shape;

/* Number of values, or -1 when a dim is negative or the product overflows. */
int64_t wf_shape_numel(const wf_shape *s);
bool wf_shape_is_same(const wf_shape *a, const wf_shape *b);
/* NumPy broadcasting of a and b; false when they do not fit. */
bool wf_shape_broadcast(const wf_shape *a, const wf_shape *b, wf_shape *out);
/* "[2,64,64,3]" into buf; returns buf. */
const char *wf_shape_text(const wf_shape *s, char *buf, size_t buf_bytes);

typedef struct wf_tensor wf_tensor;
typedef struct wf_scope wf_scope;

/* ---- making tensors: floating or scoped results, NULL once c has failed ---- */

wf_tensor *wf_empty(wf_ctx *c, wf_dtype t, const wf_shape *s);           /* uninitialised */
wf_tensor *wf_full(wf_ctx *c, wf_dtype t, const wf_shape *s, double v);
wf_tensor *wf_zeros(wf_ctx *c, wf_dtype t, const wf_shape *s);
wf_tensor *wf_from_host(wf_ctx *c, wf_dtype t, const wf_shape *s, const void *data);  /* copies */
wf_tensor *wf_scalar(wf_ctx *c, double v);                               /* f32, rank 0 */
wf_tensor *wf_randn(wf_ctx *c, const wf_shape *s, uint64_t seed, uint32_t sample, uint32_t purpose);

/* A tensor over memory that somebody else owns (a file mapping): drop(owner) is called once, when
 * the last view is gone, and at once when this fails. Read only. */
wf_tensor *wf_from_foreign(wf_ctx *c, wf_dtype t, const wf_shape *s, const void *data,
                           void (*drop)(void *owner), void *owner);

/* Copy values to host memory as stored (contiguous, own dtype) / as f32 / from f32. */
wf_status wf_to_host(wf_ctx *c, const wf_tensor *t, void *out, size_t out_bytes) WF_MUST_USE;
wf_status wf_to_f32(wf_ctx *c, const wf_tensor *t, float *out, int64_t n) WF_MUST_USE;
/* Overwrite t's values (any float dtype, contiguous or not) from n host floats. */
wf_status wf_set_f32(wf_ctx *c, wf_tensor *t, const float *v, int64_t n) WF_MUST_USE;
double wf_item(wf_ctx *c, const wf_tensor *t);         /* the one value; fails on any other count */

/* ---- looking ---- */

int wf_rank(const wf_tensor *t);
int64_t wf_dim(const wf_tensor *t, int d);             /* d < 0 counts from the end */
int64_t wf_stride(const wf_tensor *t, int d);          /* in values */
int64_t wf_numel(const wf_tensor *t);
wf_dtype wf_get_dtype(const wf_tensor *t);
wf_shape wf_get_shape(const wf_tensor *t);
wf_device *wf_get_device(const wf_tensor *t);
bool wf_is_contiguous(const wf_tensor *t);
bool wf_is_dead(const wf_tensor *t);                   /* its scope has closed */
const char *wf_tensor_text(const wf_tensor *t, char *buf, size_t buf_bytes);  /* "f32 [2,3]" */
size_t wf_tensor_bytes(const wf_tensor *t);            /* of its values, contiguous */

/* First value's address in host memory; NULL when t lies on a device whose memory is not the host's
 * (wf_to_host and wf_from_host copy). */
void *wf_data(wf_tensor *t);
const void *wf_data_const(const wf_tensor *t);
float *wf_f32(wf_tensor *t);                           /* the same, f32 tensors only, else NULL */
const float *wf_f32_const(const wf_tensor *t);

/* ---- ownership ---- */

wf_tensor *wf_retain(wf_tensor *t);                    /* one more reference; NULL is fine */
void wf_release(wf_tensor *t);                         /* NULL is fine */
/* A reference for the caller: the only one when t floats, one more when a scope holds it. */
wf_tensor *wf_take(wf_ctx *c, wf_tensor *t);
/* The same, and no scope's closing touches its data any more: for weights and other state that a
 * model makes while scopes are open. */
wf_tensor *wf_take_owned(wf_ctx *c, wf_tensor *t);

wf_scope *wf_scope_open(wf_ctx *c);                    /* NULL once c has failed */
/* The same, and what is made of host values until it closes lies on the device of t (may be NULL):
 * beside the tensors it will meet. */
wf_scope *wf_scope_open_on(wf_ctx *c, const wf_tensor *t);
/* Free what the scope holds but for keep (may be NULL), which moves to the parent scope, or
 * floats when there is none; new tensors are made where they were before it opened. Returns keep,
 * or NULL once c has failed. s may be NULL. */
wf_tensor *wf_scope_close(wf_ctx *c, wf_scope *s, wf_tensor *keep);
/* Move t to the parent of the innermost scope, before that scope closes. */
void wf_scope_keep(wf_ctx *c, wf_tensor *t);

#endif
