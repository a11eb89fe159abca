/* backend.h - what core offers a device to fill: memory, copies, and one slot per op. */
#ifndef WF_CORE_BACKEND_H
#define WF_CORE_BACKEND_H

#include "core/tensor/op.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A device. The CPU's lives in core (truths) and is filled by kernels/cpu; others come as plug-ins.
 *
 * kernel[op] runs the op on a's tensors, all on this device and contiguous (any strides where the
 * row says STRIDED), and may return WF_ESKIP to decline the dtypes or shapes. After that, or where
 * the slot is NULL, `truth` decides: true runs the plain forward on the device's own memory, which
 * the host must then reach between begin and end; false fails the op with WF_EDEVICE. */
struct wf_device {
    const char *name;                     /* "cpu", "test", "cuda:0" */
    void *self;
    bool truth;
    bool host;                            /* memory is host memory: wf_data gives its address */
    void *(*alloc)(wf_device *d, wf_mem *m, size_t bytes);    /* NULL: out of memory */
    void (*free)(wf_device *d, wf_mem *m, void *p);
    wf_status (*upload)(wf_device *d, void *dst, const void *src, size_t bytes);
    wf_status (*download)(wf_device *d, void *dst, const void *src, size_t bytes);
    void (*begin)(wf_device *d);          /* before a truth runs; may be NULL, as the next two */
    void (*end)(wf_device *d);
    void *(*reach)(wf_device *d, void *p);  /* p as a truth addresses it; NULL: as it is */
    wf_op_fn kernel[WF_OP_COUNT];
};

/* The CPU. kernels/cpu fills its slots for the level chosen at run time. One per process, constant
 * after the first wf_ctx_new; borrowed. */
wf_device *wf_cpu_device(void);

/* Defined by kernels/cpu: fill the slots the machine can run, at the level that WF_CPU names at
 * most ("plain" leaves every slot NULL). Returns the level's name. */
const char *wf_cpu_fill(wf_device *d, const char *highest);
const char *wf_cpu_level(void);           /* "amx", "avx512bf16" ... "plain" */

/* A device whose memory the host cannot read outside backend calls; runs the truths. For tests:
 * it shows that nothing above the backend touches device memory. */
wf_device *wf_test_device(void);

/* The device of that name: "cpu", "test", or "auto" for where c makes new tensors. Borrowed.
 * Errors  WF_EDEVICE  there is none of that name */
wf_device *wf_device_find(wf_ctx *c, const char *name);

/* First value's address in the memory of t's device: for that device's kernels and copies. Truths
 * have wfi_open, everybody else wf_data. */
void *wf_device_data(const wf_tensor *t);

/* ---- weights prepared for a device, kept with the storage, dropped when it changes ---- */

/* The preparation of t's storage made under this tag, or NULL. */
void *wf_prep_find(const wf_tensor *t, int tag);
/* Keep p (from wf_mem_alloc) with t's storage; freed with it or when an INTO op writes it. False
 * when the storage keeps as many as it can: p stays the caller's. */
bool wf_prep_keep(wf_tensor *t, int tag, void *p);
/* True for a storage that no INTO op has written since it was made (a loaded weight): worth
 * preparing. */
bool wf_prep_is_constant(const wf_tensor *t);

#ifdef __cplusplus
}
#endif

#endif
