/* op_index.c - rows and values by index. Every id is checked: one outside its dim fails the op. */
#include "core/tensor/op_impl.h"

#include <string.h>

/* Id i, or -1 after a failure that names it. */
static int64_t checked_id(wf_ctx *c, const wf_op_args *a, const wfi_values *ids, int64_t i,
                          int64_t n)
{
    const int64_t id =
        ids->t == WF_DTYPE_I64 ? ((const int64_t *)ids->p)[i] : ((const int32_t *)ids->p)[i];
    if (id >= 0 && id < n) return id;
    wf_fail(c, WF_EARG, "%s: id %lld is outside 0 ... %lld", a->op->name, (long long)id,
            (long long)n - 1);
    return -1;
}

static void zero_or_copy(wfi_values *y, const wfi_values *x)
{
    for (int64_t i = 0; i < y->n; i++) wfi_put(y, i, x ? wfi_get(x, i) : 0.0);
}

/* ---- embedding: ids [...], w [V,C] -> [...,C] ---- */

wf_status wfi_embedding_infer(wf_ctx *c, wf_op_args *a)
{
    WF_TRY(wfi_check_ids(c, a, 0));
    WF_TRY(wfi_check_rank(c, a, 1, 2));
    a->shape[0] = wf_get_shape(a->in[0]);
    if (a->shape[0].rank >= WF_MAX_RANK)
        return wf_fail_status(c, WF_ESHAPE, "embedding: ids have too many dims");
    a->shape[0].dims[a->shape[0].rank++] = wf_dim(a->in[1], 1);
    if (!wf_dtype_is_float(a->dtype[0]) || a->dtype[0] == WF_DTYPE_F16 ||
        a->dtype[0] == WF_DTYPE_BF16)
        a->dtype[0] = WF_DTYPE_F32;
    return WF_OK;
}

wf_status wfi_embedding_forward(wf_ctx *c, wf_op_args *a)
{
    const wfi_values ids = wfi_open(a->in[0]), w = wfi_open(a->in[1]);
    wfi_values y = wfi_open(a->out[0]);
    const int64_t V = w.dims[0], C = w.dims[1];
    for (int64_t i = 0; i < ids.n; i++) {
        const int64_t id = checked_id(c, a, &ids, i, V);
        if (id < 0) return wf_get_status(c);
        for (int64_t j = 0; j < C; j++) wfi_put(&y, i * C + j, wfi_get(&w, id * C + j));
    }
    return WF_OK;
}

void wfi_embedding_backward(wf_ctx *c, wf_grad_args *g)
{
    if (!g->need[1]) return;
    const wf_shape s = wf_get_shape(g->in[1]);
    const int64_t n = wf_numel(g->in[0]);
    wf_tensor *zero = wf_zeros(c, wf_get_dtype(g->dy[0]), &s);
    g->dx[1] = wf_index_add(c, zero, wf_reshape1(c, g->in[0], n),
                            wf_reshape2(c, g->dy[0], n, s.dims[1]), 0);
}

wf_tensor *wf_embedding(wf_ctx *c, wf_tensor *ids, wf_tensor *w)
{
    wf_tensor *in[] = {ids, w};
    return wf_op_call(c, WF_OP_ID_embedding, in, 2, NULL, 0);
}

/* ---- gather and scatter_add: ids of the result's (source's) own shape ---- */

/* Position in x of position i of a tensor shaped as ids, with the dim d replaced by id. */
static int64_t moved(const wfi_values *ids, const int64_t *x_strides, int d, int64_t i, int64_t id)
{
    int64_t at = id * x_strides[d];
    for (int k = ids->rank - 1; k >= 0; k--) {
        if (k != d) at += i % ids->dims[k] * x_strides[k];
        i /= ids->dims[k];
    }
    return at;
}

/* ids may be smaller than x but for the dim itself. */
static wf_status check_gather(wf_ctx *c, const wf_op_args *a, int *d)
{
    char t0[180], t1[180];
    WF_TRY(wfi_check_ids(c, a, 1));
    WF_TRY(wfi_check_dim(c, a, 0, wf_rank(a->in[0]), d));
    bool fits = wf_rank(a->in[0]) == wf_rank(a->in[1]);
    for (int i = 0; fits && i < wf_rank(a->in[0]); i++)
        fits = i == *d || wf_dim(a->in[1], i) <= wf_dim(a->in[0], i);
    if (fits) return WF_OK;
    return wf_fail_status(c, WF_ESHAPE, "%s: ids %s do not fit %s", a->op->name,
                          wf_tensor_text(a->in[1], t0, sizeof t0),
                          wf_tensor_text(a->in[0], t1, sizeof t1));
}

wf_status wfi_gather_infer(wf_ctx *c, wf_op_args *a)
{
    int d;
    WF_TRY(check_gather(c, a, &d));
    a->dtype[0] = wf_get_dtype(a->in[0]);
    a->shape[0] = wf_get_shape(a->in[1]);
    return WF_OK;
}

wf_status wfi_gather_forward(wf_ctx *c, wf_op_args *a)
{
    const wfi_values x = wfi_open(a->in[0]), ids = wfi_open(a->in[1]);
    wfi_values y = wfi_open(a->out[0]);
    const int d = (int)a->attr[0] + (a->attr[0] < 0 ? x.rank : 0);
    for (int64_t i = 0; i < ids.n; i++) {
        const int64_t id = checked_id(c, a, &ids, i, x.dims[d]);
        if (id < 0) return wf_get_status(c);
        wfi_put(&y, i, wfi_get(&x, moved(&ids, x.strides, d, i, id)));
    }
    return WF_OK;
}

void wfi_gather_backward(wf_ctx *c, wf_grad_args *g)
{
    const wf_shape s = wf_get_shape(g->in[0]);
    if (g->need[0])
        g->dx[0] = wf_scatter_add(c, wf_zeros(c, wf_get_dtype(g->dy[0]), &s), g->in[1], g->dy[0],
                                  (int)g->attr[0]);
}

wf_tensor *wf_gather(wf_ctx *c, wf_tensor *x, wf_tensor *ids, int dim)
{
    wf_tensor *in[] = {x, ids};
    const double attr[] = {dim};
    return wf_op_call(c, WF_OP_ID_gather, in, 2, attr, 1);
}

wf_status wfi_scatter_add_infer(wf_ctx *c, wf_op_args *a)
{
    int d;
    WF_TRY(wfi_check_float(c, a, 0));
    WF_TRY(check_gather(c, a, &d));
    WF_TRY(wfi_check_same(c, a, 2, 1));
    a->shape[0] = wf_get_shape(a->in[0]);
    return WF_OK;
}

wf_status wfi_scatter_add_forward(wf_ctx *c, wf_op_args *a)
{
    const wfi_values x = wfi_open(a->in[0]), ids = wfi_open(a->in[1]), src = wfi_open(a->in[2]);
    wfi_values y = wfi_open(a->out[0]);
    const int d = (int)a->attr[0] + (a->attr[0] < 0 ? x.rank : 0);
    zero_or_copy(&y, &x);
    for (int64_t i = 0; i < ids.n; i++) {
        const int64_t id = checked_id(c, a, &ids, i, x.dims[d]);
        if (id < 0) return wf_get_status(c);
        const int64_t at = moved(&ids, x.strides, d, i, id);
        wfi_put(&y, at, wfi_get(&y, at) + wfi_get(&src, i));
    }
    return WF_OK;
}

void wfi_scatter_add_backward(wf_ctx *c, wf_grad_args *g)
{
    if (g->need[0]) g->dx[0] = g->dy[0];
    if (g->need[2]) g->dx[2] = wf_gather(c, g->dy[0], g->in[1], (int)g->attr[0]);
}

wf_tensor *wf_scatter_add(wf_ctx *c, wf_tensor *x, wf_tensor *ids, wf_tensor *src, int dim)
{
    wf_tensor *in[] = {x, ids, src};
    const double attr[] = {dim};
    return wf_op_call(c, WF_OP_ID_scatter_add, in, 3, attr, 1);
}

/* ---- index_select and index_add: one list of ids for whole slices ---- */

/* x seen as [outer, n, inner] around the dim. */
static void split_at(const wf_tensor *x, int d, int64_t *outer, int64_t *inner)
{
    *outer = *inner = 1;
    for (int i = 0; i < d; i++) *outer *= wf_dim(x, i);
    for (int i = d + 1; i < wf_rank(x); i++) *inner *= wf_dim(x, i);
}

wf_status wfi_index_select_infer(wf_ctx *c, wf_op_args *a)
{
    int d;
    WF_TRY(wfi_check_ids(c, a, 1));
    WF_TRY(wfi_check_rank(c, a, 1, 1));
    WF_TRY(wfi_check_dim(c, a, 0, wf_rank(a->in[0]), &d));
    a->dtype[0] = wf_get_dtype(a->in[0]);
    a->shape[0] = wf_get_shape(a->in[0]);
    a->shape[0].dims[d] = wf_dim(a->in[1], 0);
    return WF_OK;
}

wf_status wfi_index_select_forward(wf_ctx *c, wf_op_args *a)
{
    const wfi_values x = wfi_open(a->in[0]), ids = wfi_open(a->in[1]);
    const int d = (int)a->attr[0] + (a->attr[0] < 0 ? x.rank : 0);
    int64_t outer, inner;
    split_at(a->in[0], d, &outer, &inner);
    const size_t row = (size_t)inner * wf_dtype_block_bytes(x.t);
    char *y = wfi_open(a->out[0]).p;
    for (int64_t o = 0; o < outer; o++) {
        for (int64_t i = 0; i < ids.n; i++) {
            const int64_t id = checked_id(c, a, &ids, i, x.dims[d]);
            if (id < 0) return wf_get_status(c);
            memcpy(y + (size_t)(o * ids.n + i) * row,
                   (const char *)x.p + (size_t)(o * x.dims[d] + id) * row, row);
        }
    }
    return WF_OK;
}

void wfi_index_select_backward(wf_ctx *c, wf_grad_args *g)
{
    const wf_shape s = wf_get_shape(g->in[0]);
    if (g->need[0])
        g->dx[0] = wf_index_add(c, wf_zeros(c, wf_get_dtype(g->dy[0]), &s), g->in[1], g->dy[0],
                                (int)g->attr[0]);
}

wf_tensor *wf_index_select(wf_ctx *c, wf_tensor *x, wf_tensor *ids, int dim)
{
    wf_tensor *in[] = {x, ids};
    const double attr[] = {dim};
    return wf_op_call(c, WF_OP_ID_index_select, in, 2, attr, 1);
}

wf_status wfi_index_add_infer(wf_ctx *c, wf_op_args *a)
{
    char text[180];
    int d;
    WF_TRY(wfi_check_float(c, a, 0));
    WF_TRY(wfi_check_ids(c, a, 1));
    WF_TRY(wfi_check_rank(c, a, 1, 1));
    WF_TRY(wfi_check_dim(c, a, 0, wf_rank(a->in[0]), &d));
    a->shape[0] = wf_get_shape(a->in[0]);
    wf_shape want = a->shape[0];
    want.dims[d] = wf_dim(a->in[1], 0);
    const wf_shape have = wf_get_shape(a->in[2]);
    if (wf_shape_is_same(&want, &have)) return WF_OK;
    return wf_fail_status(c, WF_ESHAPE, "index_add: src is %s, wants one slice an id",
                          wf_tensor_text(a->in[2], text, sizeof text));
}

wf_status wfi_index_add_forward(wf_ctx *c, wf_op_args *a)
{
    const wfi_values x = wfi_open(a->in[0]), ids = wfi_open(a->in[1]), src = wfi_open(a->in[2]);
    wfi_values y = wfi_open(a->out[0]);
    const int d = (int)a->attr[0] + (a->attr[0] < 0 ? x.rank : 0);
    int64_t outer, inner;
    split_at(a->in[0], d, &outer, &inner);
    zero_or_copy(&y, &x);
    for (int64_t o = 0; o < outer; o++) {
        for (int64_t i = 0; i < ids.n; i++) {
            const int64_t id = checked_id(c, a, &ids, i, x.dims[d]);
            if (id < 0) return wf_get_status(c);
            const int64_t to = (o * x.dims[d] + id) * inner, from = (o * ids.n + i) * inner;
            for (int64_t j = 0; j < inner; j++)
                wfi_put(&y, to + j, wfi_get(&y, to + j) + wfi_get(&src, from + j));
        }
    }
    return WF_OK;
}

void wfi_index_add_backward(wf_ctx *c, wf_grad_args *g)
{
    if (g->need[0]) g->dx[0] = g->dy[0];
    if (g->need[2]) g->dx[2] = wf_index_select(c, g->dy[0], g->in[1], (int)g->attr[0]);
}

wf_tensor *wf_index_add(wf_ctx *c, wf_tensor *x, wf_tensor *ids, wf_tensor *src, int dim)
{
    wf_tensor *in[] = {x, ids, src};
    const double attr[] = {dim};
    return wf_op_call(c, WF_OP_ID_index_add, in, 3, attr, 1);
}
