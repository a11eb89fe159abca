/*
 * op_view.c - views (they share storage and have no forward), copies, casts and concat.
 */
#include "core/tensor/op_impl.h"
#include "core/tensor/tensor_impl.h"

#include <math.h>
#include <string.h>

/* Of a dim, as an attribute: whole numbers that doubles hold exactly. */
static const int64_t MOST_VALUES = INT64_C(1) << 52;

/* A quantised row is whole blocks side by side: a view may not cut or scatter them. */
static wf_status check_rows_whole(wf_ctx *c, const wf_op_args *a, bool whole)
{
    char text[180];
    const int64_t block = wf_dtype_block_elems(a->in[0]->dtype);
    if (block == 1 || (whole && wf_dim(a->in[0], -1) % block == 0)) return WF_OK;
    return wf_fail_status(c, WF_EDTYPE, "%s: %s has rows of whole blocks of %lld; to \"f32\" first",
                          a->op->name, wf_tensor_text(a->in[0], text, sizeof text),
                          (long long)block);
}

/* ---- reshape ---- */

/* The shape that dims[rank] asks for: one dim of -1 takes what the others leave. False when it has
 * another number of values than x. */
static bool fit_shape(const wf_tensor *x, int rank, const int64_t *dims, wf_shape *s)
{
    int64_t known = 1;
    int free_dim = -1;
    s->rank = rank;
    for (int i = 0; i < rank; i++) {
        s->dims[i] = dims[i];
        if (dims[i] == -1 && free_dim < 0) free_dim = i;
        else if (__builtin_mul_overflow(known, dims[i], &known)) known = -1;
    }
    if (free_dim >= 0) s->dims[free_dim] = known > 0 ? wf_numel(x) / known : 0;
    return wf_shape_numel(s) == wf_numel(x);
}

static wf_status resolve_shape(wf_ctx *c, const wf_tensor *x, int rank, const int64_t *dims,
                               wf_shape *s)
{
    char t0[180], t1[160];
    if (rank < 0 || rank > WF_MAX_RANK)
        return wf_fail_status(c, WF_ESHAPE, "reshape: %d dims", rank);
    if (fit_shape(x, rank, dims, s)) return WF_OK;
    return wf_fail_status(c, WF_ESHAPE, "reshape: %s has %lld values, %s wants another number",
                          wf_tensor_text(x, t0, sizeof t0), (long long)wf_numel(x),
                          wf_shape_text(s, t1, sizeof t1));
}

/* Strides that show x's values in shape s; false when only a copy can. Dims of x whose strides fit
 * together form a chunk; each chunk must be a whole number of dims of s. */
static bool find_view(const wf_tensor *x, const wf_shape *s, int64_t *strides)
{
    wfi_dense_strides(s, strides);
    if (wf_is_contiguous(x) || wf_numel(x) == 0) return true;
    int64_t base = x->strides[x->shape.rank - 1], n_old = 1, n_new = 1;
    int v = s->rank - 1;
    for (int d = x->shape.rank - 1; d >= 0; d--) {
        n_old *= x->shape.dims[d];
        if (d > 0 && (x->shape.dims[d - 1] == 1 || x->strides[d - 1] == n_old * base)) continue;
        for (; v >= 0 && (n_new < n_old || s->dims[v] == 1); v--) {
            strides[v] = n_new * base;
            n_new *= s->dims[v];
        }
        if (n_new != n_old) return false;
        if (d > 0) base = x->strides[d - 1];
        n_old = n_new = 1;
    }
    return v < 0;
}

bool wfi_reshape_needs_copy(const wf_tensor *x, const double *attr, int n_attr)
{
    int64_t strides[WF_MAX_RANK], dims[WF_MAX_RANK];
    wf_shape s;
    if (!x || !x->st || wf_is_contiguous(x) || n_attr > WF_MAX_RANK) return false;
    for (int i = 0; i < n_attr; i++) {
        if (!(attr[i] >= -1 && attr[i] <= 0x1p52)) return false;
        dims[i] = (int64_t)attr[i];
    }
    return fit_shape(x, n_attr, dims, &s) && !find_view(x, &s, strides);
}

wf_status wfi_reshape_infer(wf_ctx *c, wf_op_args *a)
{
    char text[180];
    int64_t dims[WF_OP_MAX_ATTR];
    for (int i = 0; i < a->n_attr; i++) {
        WF_TRY(wfi_check_int_attr(c, a, i, -1, MOST_VALUES));
        dims[i] = wfi_int(a, i);
    }
    WF_TRY(resolve_shape(c, a->in[0], a->n_attr, dims, &a->shape[0]));
    const int64_t row = a->n_attr ? a->shape[0].dims[a->n_attr - 1] : 1;
    WF_TRY(check_rows_whole(c, a, row % wf_dtype_block_elems(a->in[0]->dtype) == 0));
    if (find_view(a->in[0], &a->shape[0], a->strides)) return WF_OK;
    return wf_fail_status(c, WF_ESHAPE,
                          "reshape: the strides of %s allow no such view; copy it first",
                          wf_tensor_text(a->in[0], text, sizeof text));
}

void wfi_reshape_backward(wf_ctx *c, wf_grad_args *g)
{
    const wf_shape s = wf_get_shape(g->in[0]);
    g->dx[0] = wf_reshape(c, g->dy[0], s.rank, s.dims);
}

wf_tensor *wf_reshape(wf_ctx *c, wf_tensor *x, int rank, const int64_t *dims)
{
    double attr[WF_MAX_RANK];
    int64_t strides[WF_MAX_RANK];
    wf_shape s;
    if (c->status != WF_OK || !x || resolve_shape(c, x, rank, dims, &s) != WF_OK) return NULL;
    for (int i = 0; i < rank; i++) attr[i] = (double)s.dims[i];
    if (!find_view(x, &s, strides)) x = wf_copy(c, x);
    return wf_op_call(c, WF_OP_ID_reshape, &x, 1, attr, rank);
}

wf_tensor *wf_reshape1(wf_ctx *c, wf_tensor *x, int64_t a) { return wf_reshape(c, x, 1, &a); }

wf_tensor *wf_reshape2(wf_ctx *c, wf_tensor *x, int64_t a, int64_t b)
{
    const int64_t dims[] = {a, b};
    return wf_reshape(c, x, 2, dims);
}

wf_tensor *wf_reshape3(wf_ctx *c, wf_tensor *x, int64_t a, int64_t b, int64_t d)
{
    const int64_t dims[] = {a, b, d};
    return wf_reshape(c, x, 3, dims);
}

wf_tensor *wf_reshape4(wf_ctx *c, wf_tensor *x, int64_t a, int64_t b, int64_t d, int64_t e)
{
    const int64_t dims[] = {a, b, d, e};
    return wf_reshape(c, x, 4, dims);
}

wf_tensor *wf_unsqueeze(wf_ctx *c, wf_tensor *x, int dim)
{
    int64_t dims[WF_MAX_RANK + 1];
    const int rank = wf_rank(x);
    if (!x || rank >= WF_MAX_RANK)
        return wf_fail(c, WF_ESHAPE, "unsqueeze: more than %d dims", WF_MAX_RANK);
    if (dim < 0) dim += rank + 1;
    if (dim < 0 || dim > rank) return wf_fail(c, WF_EARG, "unsqueeze: no such dim");
    for (int i = 0, j = 0; i <= rank; i++) dims[i] = i == dim ? 1 : wf_dim(x, j++);
    return wf_reshape(c, x, rank + 1, dims);
}

wf_tensor *wf_squeeze(wf_ctx *c, wf_tensor *x, int dim)
{
    int64_t dims[WF_MAX_RANK];
    const int rank = wf_rank(x);
    if (dim < 0) dim += rank;
    if (!x || dim < 0 || dim >= rank || wf_dim(x, dim) != 1)
        return wf_fail(c, WF_ESHAPE, "squeeze: the dim is not 1");
    for (int i = 0, j = 0; i < rank; i++)
        if (i != dim) dims[j++] = wf_dim(x, i);
    return wf_reshape(c, x, rank - 1, dims);
}

/* ---- permute ---- */

wf_status wfi_permute_infer(wf_ctx *c, wf_op_args *a)
{
    const int rank = wf_rank(a->in[0]);
    bool seen[WF_MAX_RANK] = {false};
    int d = -1;
    if (a->n_attr != rank)
        return wf_fail_status(c, WF_EARG, "permute: %d dims named, the tensor has %d", a->n_attr,
                              rank);
    a->shape[0].rank = rank;
    for (int i = 0; i < rank; i++) {
        WF_TRY(wfi_check_dim(c, a, i, rank, &d));
        if (seen[d]) return wf_fail_status(c, WF_EARG, "permute: a dim is named twice");
        seen[d] = true;
        a->shape[0].dims[i] = wf_dim(a->in[0], d);
        a->strides[i] = wf_stride(a->in[0], d);
    }
    return check_rows_whole(c, a, d == rank - 1);
}

void wfi_permute_backward(wf_ctx *c, wf_grad_args *g)
{
    int back[WF_MAX_RANK];
    const int rank = wf_rank(g->in[0]);
    for (int i = 0; i < rank; i++) {
        const int d = (int)g->attr[i];
        back[d < 0 ? d + rank : d] = i;
    }
    g->dx[0] = wf_permute(c, g->dy[0], rank, back);
}

wf_tensor *wf_permute(wf_ctx *c, wf_tensor *x, int rank, const int *order)
{
    double attr[WF_MAX_RANK];
    if (rank < 0 || rank > WF_MAX_RANK) return wf_fail(c, WF_EARG, "permute: %d dims", rank);
    for (int i = 0; i < rank; i++) attr[i] = order[i];
    return wf_op_call(c, WF_OP_ID_permute, &x, 1, attr, rank);
}

wf_tensor *wf_swap(wf_ctx *c, wf_tensor *x, int d0, int d1)
{
    int order[WF_MAX_RANK];
    const int rank = wf_rank(x);
    if (d0 < 0) d0 += rank;
    if (d1 < 0) d1 += rank;
    if (!x || d0 < 0 || d1 < 0 || d0 >= rank || d1 >= rank)
        return wf_fail(c, WF_EARG, "swap: no such dim");
    for (int i = 0; i < rank; i++) order[i] = i;
    order[d0] = d1;
    order[d1] = d0;
    return wf_permute(c, x, rank, order);
}

/* ---- expand ---- */

wf_status wfi_expand_infer(wf_ctx *c, wf_op_args *a)
{
    char t0[180], t1[160];
    const wf_tensor *x = a->in[0];
    wf_shape s = {.rank = a->n_attr};
    if (s.rank > WF_MAX_RANK)
        return wf_fail_status(c, WF_ESHAPE, "expand: more than %d dims", WF_MAX_RANK);
    const int extra = s.rank - wf_rank(x);
    for (int i = 0; i < s.rank; i++) {
        WF_TRY(wfi_check_int_attr(c, a, i, 0, MOST_VALUES));
        const int64_t have = i < extra ? 1 : wf_dim(x, i - extra);
        s.dims[i] = wfi_int(a, i);
        a->strides[i] = i < extra || have == 1 ? 0 : wf_stride(x, i - extra);
        if (extra >= 0 && (have == s.dims[i] || have == 1)) continue;
        return wf_fail_status(c, WF_ESHAPE, "expand: %s does not repeat to %s",
                              wf_tensor_text(x, t0, sizeof t0), wf_shape_text(&s, t1, sizeof t1));
    }
    if (extra < 0 || wf_shape_numel(&s) < 0)
        return wf_fail_status(c, WF_ESHAPE, "expand: wants more dims");
    a->shape[0] = s;
    return WF_OK;
}

void wfi_expand_backward(wf_ctx *c, wf_grad_args *g)
{
    g->dx[0] = wfi_unbroadcast(c, g->dy[0], g->in[0]);
}

wf_tensor *wf_expand(wf_ctx *c, wf_tensor *x, const wf_shape *s)
{
    double attr[WF_MAX_RANK];
    for (int i = 0; i < s->rank && i < WF_MAX_RANK; i++) attr[i] = (double)s->dims[i];
    return wf_op_call(c, WF_OP_ID_expand, &x, 1, attr, s->rank);
}

/* ---- slice ---- */

/* Do count values of a dim of n, from start by step, lie in it? None may start behind its last. By
 * division: a product of what was given could overflow. */
static bool stays_inside(int64_t n, int64_t start, int64_t count, int64_t step)
{
    if (step == 0 || count < 0 || start < 0 || start > n - (count > 0)) return false;
    const int64_t room = step > 0 ? n - 1 - start : start;
    return count <= 1 || count - 1 <= room / (step > 0 ? step : -step);
}

wf_status wfi_slice_infer(wf_ctx *c, wf_op_args *a)
{
    char text[180];
    wf_tensor *x = a->in[0];
    int d;
    WF_TRY(wfi_check_dim(c, a, 0, wf_rank(x), &d));
    for (int i = 1; i <= 3; i++) WF_TRY(wfi_check_int_attr(c, a, i, -MOST_VALUES, MOST_VALUES));
    const int64_t start = wfi_int(a, 1), count = wfi_int(a, 2), step = wfi_int(a, 3);
    if (!stays_inside(wf_dim(x, d), start, count, step))
        return wf_fail_status(c, WF_EARG, "slice: %lld values from position %lld by %lld leave %s",
                              (long long)count, (long long)start, (long long)step,
                              wf_tensor_text(x, text, sizeof text));
    a->shape[0] = x->shape;
    a->shape[0].dims[d] = count;
    memcpy(a->strides, x->strides, sizeof a->strides);
    if (count > 1) a->strides[d] *= step;
    a->offset = count > 0 ? start * wf_stride(x, d) : 0;
    return check_rows_whole(c, a, d < wf_rank(x) - 1);
}

void wfi_slice_backward(wf_ctx *c, wf_grad_args *g)
{
    int d = (int)g->attr[0];
    if (d < 0) d += wf_rank(g->in[0]);
    const double attr[] = {d, g->attr[1], g->attr[3], (double)wf_dim(g->in[0], d)};
    g->dx[0] = wf_op_call(c, WF_OP_ID_slice_dx, &g->dy[0], 1, attr, 4);
}

wf_tensor *wf_slice(wf_ctx *c, wf_tensor *x, int dim, int64_t start, int64_t count, int64_t step)
{
    const double attr[] = {dim, (double)start, (double)count, (double)step};
    return wf_op_call(c, WF_OP_ID_slice, &x, 1, attr, 4);
}

wf_tensor *wf_select(wf_ctx *c, wf_tensor *x, int dim, int64_t i)
{
    if (dim < 0) dim += wf_rank(x);
    wf_scope *s = wf_scope_open(c);
    return wf_scope_close(c, s, wf_squeeze(c, wf_slice(c, x, dim, i, 1, 1), dim));
}

/* dx of a slice: dy's values at their places, zeros elsewhere. */
wf_status wfi_slice_dx_infer(wf_ctx *c, wf_op_args *a)
{
    int d;
    WF_TRY(wfi_check_float(c, a, 0));
    WF_TRY(wfi_check_dim(c, a, 0, wf_rank(a->in[0]), &d));
    for (int i = 1; i <= 3; i++) WF_TRY(wfi_check_int_attr(c, a, i, -MOST_VALUES, MOST_VALUES));
    const int64_t size = wfi_int(a, 3);
    if (size < 0 || !stays_inside(size, wfi_int(a, 1), wf_dim(a->in[0], d), wfi_int(a, 2)))
        return wf_fail_status(c, WF_EARG, "slice_dx: the slice leaves a dim of %lld",
                              (long long)size);
    a->shape[0] = a->in[0]->shape;
    a->shape[0].dims[d] = size;
    return WF_OK;
}

wf_status wfi_slice_dx_forward(wf_ctx *c, wf_op_args *a)
{
    (void)c;
    wfi_values dy = wfi_open(a->in[0]), dx = wfi_open(a->out[0]);
    const int d = (int)a->attr[0] < 0 ? (int)a->attr[0] + dy.rank : (int)a->attr[0];
    for (int64_t i = 0; i < dx.n; i++) wfi_put(&dx, i, 0.0);
    int64_t strides[WF_MAX_RANK];
    memcpy(strides, dx.strides, sizeof strides);
    if (dy.dims[d] > 1) strides[d] *= wfi_int(a, 2);
    const int64_t first = wfi_int(a, 1) * dx.strides[d];
    for (int64_t i = 0; i < dy.n; i++)
        wfi_put(&dx, first + wfi_at(dy.dims, strides, dy.rank, i), wfi_get(&dy, i));
    return WF_OK;
}

void wfi_slice_dx_backward(wf_ctx *c, wf_grad_args *g)
{
    const int d = (int)g->attr[0];
    g->dx[0] =
        wf_slice(c, g->dy[0], d, (int64_t)g->attr[1], wf_dim(g->in[0], d), (int64_t)g->attr[2]);
}

/* ---- copy and cast ---- */

wf_status wfi_copy_infer(wf_ctx *c, wf_op_args *a)
{
    (void)c;
    a->dtype[0] = a->in[0]->dtype;
    a->shape[0] = a->in[0]->shape;
    return WF_OK;
}

/* Of quantised values whole blocks, which lie along the last dim. */
static void copy_strided(char *y, const char *x, wfi_values *v)
{
    const size_t bytes = wf_dtype_block_bytes(v->t);
    const int64_t block = wf_dtype_block_elems(v->t);
    v->n /= block;
    v->dims[v->rank - 1] /= block;
    for (int d = 0; d < v->rank - 1; d++) v->strides[d] /= block;
    for (int64_t i = 0; i < v->n; i++)
        memcpy(y + (size_t)i * bytes, x + wfi_at(v->dims, v->strides, v->rank, i) * (int64_t)bytes,
               bytes);
}

wf_status wfi_copy_forward(wf_ctx *c, wf_op_args *a)
{
    (void)c;
    wfi_values x = wfi_open(a->in[0]), y = wfi_open(a->out[0]);
    if (wf_is_contiguous(a->in[0])) {
        if (x.n) memcpy(y.p, x.p, wf_tensor_bytes(a->in[0]));
    } else {
        copy_strided(y.p, x.p, &x);
    }
    return WF_OK;
}

void wfi_copy_backward(wf_ctx *c, wf_grad_args *g)
{
    (void)c;
    g->dx[0] = g->dy[0];
}

wf_tensor *wf_copy(wf_ctx *c, wf_tensor *x) { return wf_op_call(c, WF_OP_ID_copy, &x, 1, NULL, 0); }

wf_tensor *wf_contiguous(wf_ctx *c, wf_tensor *x)
{
    if (c->status != WF_OK || !x) return NULL;
    return wf_is_contiguous(x) ? x : wf_copy(c, x);
}

wf_status wfi_cast_infer(wf_ctx *c, wf_op_args *a)
{
    WF_TRY(wfi_check_int_attr(c, a, 0, 0, WF_DTYPE_COUNT - 1));
    a->dtype[0] = (wf_dtype)(int)a->attr[0];
    a->shape[0] = a->in[0]->shape;
    const int64_t block = wf_dtype_block_elems(a->dtype[0]);
    if (block > 1 && wf_dim(a->in[0], -1) % block != 0)
        return wf_fail_status(
            c, WF_ESHAPE, "cast: rows of %lld hold no whole number of %s blocks of %lld",
            (long long)wf_dim(a->in[0], -1), wf_dtype_text(a->dtype[0]), (long long)block);
    return WF_OK;
}

/* q8_0: 32 values as one f16 scale and 32 signed bytes. q4_0: an f16 scale and 32 nibbles around 8,
 * the low ones first. Layouts as in GGML's files. */
static void expand_block(const uint8_t *b, wf_dtype t, double out[32])
{
    uint16_t h;
    memcpy(&h, b, 2);
    const double scale = (double)wf_f16_to_f32(h);
    for (int i = 0; i < 32; i++) {
        if (t == WF_DTYPE_Q8_0) out[i] = scale * (double)(int8_t)b[2 + i];
        else out[i] = scale * (double)((i < 16 ? b[2 + i] & 15 : b[2 + i - 16] >> 4) - 8);
    }
}

static void quantise_block(uint8_t *b, wf_dtype t, const double x[32])
{
    double top = 0.0;
    for (int i = 0; i < 32; i++)
        if (fabs(x[i]) > fabs(top)) top = x[i];
    const double scale = t == WF_DTYPE_Q8_0 ? fabs(top) / 127.0 : top / -8.0;
    const uint16_t h = wf_f32_to_f16((float)scale);
    const double inv = scale != 0.0 ? 1.0 / scale : 0.0;
    memcpy(b, &h, 2);
    if (t == WF_DTYPE_Q4_0) memset(b + 2, 0, 16);
    for (int i = 0; i < 32; i++) {
        if (t == WF_DTYPE_Q8_0) {
            b[2 + i] = (uint8_t)(int8_t)lround(x[i] * inv);
        } else {
            const int q = (int)(x[i] * inv + 8.5);
            b[2 + i % 16] |= (uint8_t)((q < 0 ? 0 : q > 15 ? 15 : q) << (i < 16 ? 0 : 4));
        }
    }
}

wf_status wfi_cast_forward(wf_ctx *c, wf_op_args *a)
{
    (void)c;
    wfi_values x = wfi_open(a->in[0]), y = wfi_open(a->out[0]);
    const bool from_q = wf_dtype_block_elems(x.t) > 1, to_q = wf_dtype_block_elems(y.t) > 1;
    if (!from_q && !to_q) {
        for (int64_t i = 0; i < x.n; i++) wfi_put(&y, i, wfi_get(&x, i));
        return WF_OK;
    }
    double v[32];
    for (int64_t i = 0; i < x.n / 32; i++) {
        if (from_q)
            expand_block((const uint8_t *)x.p + (size_t)i * wf_dtype_block_bytes(x.t), x.t, v);
        else for (int j = 0; j < 32; j++) v[j] = wfi_get(&x, i * 32 + j);
        if (to_q) quantise_block((uint8_t *)y.p + (size_t)i * wf_dtype_block_bytes(y.t), y.t, v);
        else for (int j = 0; j < 32; j++) wfi_put(&y, i * 32 + j, v[j]);
    }
    return WF_OK;
}

void wfi_cast_backward(wf_ctx *c, wf_grad_args *g)
{
    if (wf_dtype_is_float(wf_get_dtype(g->in[0])))
        g->dx[0] =
            wf_get_dtype(g->in[0]) == WF_DTYPE_F64 ? wf_cast(c, g->dy[0], WF_DTYPE_F64) : g->dy[0];
}

wf_tensor *wf_cast(wf_ctx *c, wf_tensor *x, wf_dtype t)
{
    const double attr[] = {t};
    if (c->status != WF_OK || !x) return NULL;
    return x->dtype == t ? x : wf_op_call(c, WF_OP_ID_cast, &x, 1, attr, 1);
}

/* ---- concat ---- */

wf_status wfi_concat_infer(wf_ctx *c, wf_op_args *a)
{
    char t0[180], t1[180];
    int d;
    const wf_shape first = wf_get_shape(a->in[0]);
    WF_TRY(wfi_check_dim(c, a, 0, first.rank, &d));
    a->dtype[0] = a->in[0]->dtype;
    a->shape[0] = first;
    for (int i = 1; i < a->n_in; i++) {
        if (!a->in[i]) return wf_fail_status(c, WF_EARG, "concat: part %d is missing", i + 1);
        wf_shape s = wf_get_shape(a->in[i]);
        const int64_t n = s.rank == first.rank ? s.dims[d] : 0;
        s.dims[d] = first.dims[d];
        if (!wf_shape_is_same(&s, &first) || a->in[i]->dtype != a->dtype[0])
            return wf_fail_status(
                c, WF_ESHAPE, "concat: %s beside %s: all but one dim and the dtype must agree",
                wf_tensor_text(a->in[i], t0, sizeof t0), wf_tensor_text(a->in[0], t1, sizeof t1));
        a->shape[0].dims[d] += n;
    }
    return WF_OK;
}

wf_status wfi_concat_forward(wf_ctx *c, wf_op_args *a)
{
    (void)c;
    wf_tensor *y = a->out[0];
    const int rank = wf_rank(y), d = (int)a->attr[0] < 0 ? (int)a->attr[0] + rank : (int)a->attr[0];
    int64_t outer = 1, inner = 1;
    for (int i = 0; i < d; i++) outer *= wf_dim(y, i);
    for (int i = d + 1; i < rank; i++) inner *= wf_dim(y, i);
    const size_t value = wf_dtype_block_bytes(y->dtype),
                 row = (size_t)(wf_dim(y, d) * inner) * value;
    char *to = wfi_open(y).p;
    size_t at = 0;
    for (int k = 0; k < a->n_in; k++) {
        const size_t n = (size_t)(wf_dim(a->in[k], d) * inner) * value;
        const char *from = wfi_open(a->in[k]).p;
        for (int64_t o = 0; n && o < outer; o++)
            memcpy(to + (size_t)o * row + at, from + (size_t)o * n, n);
        at += n;
    }
    return WF_OK;
}

void wfi_concat_backward(wf_ctx *c, wf_grad_args *g)
{
    int64_t at = 0;
    int d = (int)g->attr[0];
    if (d < 0) d += wf_rank(g->in[0]);
    for (int i = 0; i < g->n_in; i++) {
        const int64_t n = wf_dim(g->in[i], d);
        if (g->need[i]) g->dx[i] = wf_slice(c, g->dy[0], d, at, n, 1);
        at += n;
    }
}

wf_tensor *wf_concat(wf_ctx *c, wf_tensor *const *x, int n, int dim)
{
    const double attr[] = {dim};
    return wf_op_call(c, WF_OP_ID_concat, x, n, attr, 1);
}
