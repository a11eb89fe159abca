/* walk.c - merging dims, and the walk itself. */
#include "kernels/cpu/walk.h"

static int64_t stride_of(const wf_tensor *t, int d, int rank)
{
    const int e = d - (rank - wf_rank(t));
    return e < 0 || wf_dim(t, e) == 1 ? 0 : wf_stride(t, e);
}

/* Whether dim d of s continues the walk's last dim for every operand. */
static bool continues(const walk *w, const int64_t *strides, int64_t dim)
{
    for (int j = 0; j < w->n; j++)
        if (w->strides[j][w->rank - 1] != strides[j] * dim) return false;
    return true;
}

walk WF_K(walk)(const wf_shape *s, wf_tensor *const *t, int n)
{
    walk w = {.n = n, .total = 1};
    for (int d = 0; d < s->rank; d++) {
        int64_t strides[WALK_MAX];
        w.total *= s->dims[d];
        if (s->dims[d] == 1) continue;
        for (int j = 0; j < n; j++) strides[j] = stride_of(t[j], d, s->rank);
        if (w.rank > 0 && continues(&w, strides, s->dims[d])) w.dims[w.rank - 1] *= s->dims[d];
        else w.dims[w.rank++] = s->dims[d];
        for (int j = 0; j < n; j++) w.strides[j][w.rank - 1] = strides[j];
    }
    if (w.rank == 0) w.dims[w.rank++] = 1;
    return w;
}

void WF_K(walk_span)(const walk *w, int64_t lo, int64_t hi, walk_row_fn row, void *arg)
{
    const int last = w->rank - 1;
    for (int64_t i = lo, count; i < hi; i += count) {
        int64_t offset[WALK_MAX], at = i / w->dims[last];
        const int64_t x = i % w->dims[last];
        count = min_i(w->dims[last] - x, hi - i);
        for (int j = 0; j < w->n; j++) offset[j] = x * w->strides[j][last];
        for (int d = last - 1; d >= 0; d--) {
            for (int j = 0; j < w->n; j++) offset[j] += at % w->dims[d] * w->strides[j][d];
            at /= w->dims[d];
        }
        row(arg, i, count, offset);
    }
}
