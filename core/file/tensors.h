/* tensors.h - a file of named tensors: safetensors (mapped, not copied), sharded sets, npy. */
#ifndef WF_CORE_TENSORS_H
#define WF_CORE_TENSORS_H

#include "core/tensor/tensor.h"

typedef struct wf_tensors wf_tensors;

/* Open a .safetensors file, or a .safetensors.index.json with its shards. Owned; NULL once c
 * failed. Errors  WF_EIO      the file cannot be opened WF_EFORMAT  header not JSON, offsets
 * outside the file or overlapping, unknown dtype, sizes that disagree: names file, tensor and
 * offset */
wf_tensors *wf_tensors_open(wf_ctx *c, const char *path);
void wf_tensors_close(wf_tensors *f);                 /* tensors got from it stay valid */

int64_t wf_tensors_get_count(const wf_tensors *f);
const char *wf_tensors_get_name(const wf_tensors *f, int64_t i);       /* sorted by name */
int64_t wf_tensors_find(const wf_tensors *f, const char *name);        /* -1: none of that name */
wf_dtype wf_tensors_get_dtype(const wf_tensors *f,
                              int64_t i); /* WF_DTYPE_COUNT: cannot be loaded */
const char *wf_tensors_get_dtype_text(const wf_tensors *f,
                                      int64_t i); /* as the file says, e.g. "F8_E4M3" */
wf_shape wf_tensors_get_shape(const wf_tensors *f, int64_t i);
const char *wf_tensors_get_meta(const wf_tensors *f,
                                const char *key); /* __metadata__; NULL: none */
const char *wf_tensors_get_path(const wf_tensors *f);

/* The tensor, over the mapping (read only, host memory), scoped. Unaligned data is copied.
 * Errors  WF_EUNSUPPORTED  a dtype that weft does not compute with */
wf_tensor *wf_tensors_get(wf_ctx *c, wf_tensors *f, int64_t i);
/* Fails with WF_EIO when a file has changed on disk since it was opened: for the end of a load. */
wf_status wf_tensors_check(wf_ctx *c, const wf_tensors *f) WF_MUST_USE;

/* Write named tensors (any strides, any device) as one safetensors file, atomically, names sorted;
 * an existing file is replaced. meta: n_meta pairs of key, value; may be NULL.
 * Errors  WF_EARG    two tensors of one name, a name that is not UTF-8
 *         WF_EDTYPE  a quantised tensor
 *         WF_EIO     the file cannot be written; nothing is left of it */
wf_status wf_tensors_save(wf_ctx *c, const char *path, const char *const *names,
                          wf_tensor *const *t, int64_t n, const char *const *meta,
                          int n_meta) WF_MUST_USE;

/* One array of NumPy's .npy format (versions 1-3, little endian, C order). */
wf_tensor *wf_npy_load(wf_ctx *c, const char *path);
wf_status wf_npy_save(wf_ctx *c, const char *path, wf_tensor *t) WF_MUST_USE;

#endif
