/* walk.h - row-major walks over operands of any strides: dims merged, the last one walked by
 * vectors. */
#ifndef WF_KERNELS_CPU_WALK_H
#define WF_KERNELS_CPU_WALK_H

#include "kernels/cpu/kern.h"

enum { WALK_MAX = 3 };

/* The dims of a result, fewest possible, and each operand's strides along them (0 where it
 * repeats). */
typedef struct walk {
    int rank, n;
    int64_t total, dims[WF_MAX_RANK], strides[WALK_MAX][WF_MAX_RANK];
} walk;

walk WF_K(walk)(const wf_shape *s, wf_tensor *const *t, int n);

/* Call row for each run of the last dim within values lo .. hi of the result: at value i of it,
 * with count values, operand j starting at offset[j] values. */
typedef void (*walk_row_fn)(void *arg, int64_t i, int64_t count, const int64_t *offset);
void WF_K(walk_span)(const walk *w, int64_t lo, int64_t hi, walk_row_fn row, void *arg);

#endif
