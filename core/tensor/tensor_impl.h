/* tensor_impl.h - the insides of tensors, storages, scopes and tapes, for core/tensor alone. */
#ifndef WF_CORE_TENSOR_IMPL_H
#define WF_CORE_TENSOR_IMPL_H

#include "core/base/ctx_impl.h"
#include "core/tensor/backend.h"

enum { WFI_PREPS = 4 };

/* Counted bytes on one device. */
typedef struct wfi_storage {
    int refs;
    wf_device *device;
    wf_mem *mem;
    void *data;
    size_t bytes;
    void (*drop)(void *owner);           /* foreign memory: called instead of freeing data */
    void *owner;
    bool written;                        /* an INTO op has written it: not a constant */
    struct { int tag; void *p; } prep[WFI_PREPS];
} wfi_storage;

struct wf_tensor {
    int refs;
    bool floating;                       /* its one reference belongs to nobody yet */
    wf_dtype dtype;
    wf_shape shape;
    int64_t strides[WF_MAX_RANK];        /* in values */
    int64_t offset;                      /* values from the storage's start */
    wfi_storage *st;                     /* NULL: a husk */
    wf_mem *mem;
    wf_device *device;
};

struct wf_scope {
    struct wf_scope *parent;
    wf_device *device;                   /* the context's when the scope opened */
    wf_tensor **list;
    int64_t n, cap;
};

wfi_storage *wfi_storage_new(wf_ctx *c, wf_device *d, size_t bytes);
void wfi_storage_release(wfi_storage *s);
void wfi_storage_touch(wfi_storage *s);  /* written in place: preparations are stale */

/* A new handle over st (retained), entered nowhere: refs 1, not floating. NULL without memory. */
wf_tensor *wfi_handle(wf_ctx *c, wf_dtype t, const wf_shape *s, wfi_storage *st);
/* Enter t (refs 1, owned by the caller) into the innermost scope, or let it float. Returns t, NULL
 * once that failed (t is released). */
wf_tensor *wfi_enter(wf_ctx *c, wf_tensor *t);
/* A private handle on the same values as t, or on none when data is false. */
wf_tensor *wfi_save(wf_ctx *c, const wf_tensor *t, bool data);
void wfi_dense_strides(const wf_shape *s, int64_t *strides);
/* Whether a reshape of x to these dims, as attributes of the op, is possible but not as a view. */
bool wfi_reshape_needs_copy(const wf_tensor *x, const double *attr, int n_attr);
/* Bytes of n values of dtype t. */
size_t wfi_dtype_bytes(wf_dtype t, int64_t n);

/* Tape hooks of the dispatcher. */
bool wfi_tape_wants(wf_ctx *c, wf_tensor *const *in, int n_in);
void wfi_tape_record(wf_ctx *c, const wf_op_args *a);

#endif
