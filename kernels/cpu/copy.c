/* copy.c - copies of strided tensors, casts between floats, joining and cutting along a dim. */
#include "kernels/cpu/walk.h"

#include <string.h>

wf_status WF_K(copy)(wf_ctx *c, wf_op_args *a);
wf_status WF_K(copy_into)(wf_ctx *c, wf_op_args *a);
wf_status WF_K(cast)(wf_ctx *c, wf_op_args *a);
wf_status WF_K(concat)(wf_ctx *c, wf_op_args *a);
wf_status WF_K(slice_dx)(wf_ctx *c, wf_op_args *a);

/* ---- copy ---- */

typedef struct copying {
    walk w;
    const char *x;
    char *y;
    int64_t bytes;                       /* of a value */
} copying;

static void copy_apart(const char *x, int64_t s, char *y, int64_t n, int64_t bytes)
{
    switch (bytes) {
    case 4: for (int64_t i = 0; i < n; i++) memcpy(y + 4 * i, x + 4 * i * s, 4); break;
    case 2: for (int64_t i = 0; i < n; i++) memcpy(y + 2 * i, x + 2 * i * s, 2); break;
    case 8: for (int64_t i = 0; i < n; i++) memcpy(y + 8 * i, x + 8 * i * s, 8); break;
    default: for (int64_t i = 0; i < n; i++) y[i] = x[i * s]; break;
    }
}

static void copy_row(void *arg, int64_t i, int64_t n, const int64_t *offset)
{
    const copying *j = arg;
    const int64_t s = j->w.strides[0][j->w.rank - 1];
    const char *x = j->x + offset[0] * j->bytes;
    if (s == 1) memcpy(j->y + i * j->bytes, x, (size_t)(n * j->bytes));
    else copy_apart(x, s, j->y + i * j->bytes, n, j->bytes);
}

static void copy_part(void *arg, int64_t part, int worker)
{
    copying *j = arg;
    (void)worker;
    WF_K(walk_span)(&j->w, part * GRAIN, min_i(j->w.total, (part + 1) * GRAIN), copy_row, j);
}

/* y = x, broadcast over y's shape; both of one dtype, y dense. */
static wf_status copy_to(wf_ctx *c, wf_tensor *x, wf_tensor *y)
{
    const wf_shape s = wf_get_shape(y);
    if (wf_get_dtype(x) != wf_get_dtype(y) || wf_dtype_block_elems(wf_get_dtype(x)) > 1)
        return WF_ESKIP;
    copying j = {.w = WF_K(walk)(&s, &x, 1), .x = wf_data(x), .y = wf_data(y),
                 .bytes = (int64_t)wf_dtype_block_bytes(wf_get_dtype(x))};
    run_parts(c, div_up(j.w.total, GRAIN), (double)j.w.total, copy_part, &j);
    return WF_OK;
}

wf_status WF_K(copy)(wf_ctx *c, wf_op_args *a) { return copy_to(c, a->in[0], a->out[0]); }

wf_status WF_K(copy_into)(wf_ctx *c, wf_op_args *a)
{
    wf_tensor *y = a->in[0], *x = a->in[1];
    const char *py = wf_data(y), *px = wf_data(x);
    if (!wf_is_contiguous(y) || (py < px + wf_tensor_bytes(x) && px < py + wf_tensor_bytes(y)))
        return WF_ESKIP;
    return copy_to(c, x, y);
}

/* ---- cast ---- */

typedef struct casting {
    const void *x;
    void *y;
    wf_dtype from, to;
    int64_t n;
} casting;

static vf load_as(const void *x, int64_t i, int64_t n, wf_dtype t)
{
    if (t == WF_DTYPE_F32) return vf_load_n((const float *)x + i, n);
    uint16_t h[VL] = {0};
    memcpy(h, (const uint16_t *)x + i, (size_t)n * sizeof *h);
    return t == WF_DTYPE_F16 ? vf_from_f16(h) : vf_from_bf16(h);
}

static void store_as(void *y, int64_t i, int64_t n, wf_dtype t, vf v)
{
    if (t == WF_DTYPE_F32) {
        vf_store_n((float *)y + i, n, v);
        return;
    }
    uint16_t h[VL];
    float f[VL];
    if (t == WF_DTYPE_F16) vf_to_f16(h, v);
    else {
        vf_store(f, v);
        for (int k = 0; k < VL; k++) h[k] = wf_f32_to_bf16(f[k]);
    }
    memcpy((uint16_t *)y + i, h, (size_t)n * sizeof *h);
}

static void cast_part(void *arg, int64_t part, int worker)
{
    const casting *j = arg;
    const int64_t end = min_i(j->n, (part + 1) * GRAIN);
    (void)worker;
    for (int64_t i = part * GRAIN; i < end; i += VL) {
        const int64_t n = min_i(VL, end - i);
        store_as(j->y, i, n, j->to, load_as(j->x, i, n, j->from));
    }
}

wf_status WF_K(cast)(wf_ctx *c, wf_op_args *a)
{
    wf_tensor *x = a->in[0], *y = a->out[0];
    if (!is_plain_float(x) || !is_plain_float(y)) return WF_ESKIP;
    casting j = {.x = wf_data(x),
                 .y = wf_data(y),
                 .from = wf_get_dtype(x),
                 .to = wf_get_dtype(y),
                 .n = wf_numel(x)};
    run_parts(c, div_up(j.n, GRAIN), (double)j.n * 2, cast_part, &j);
    return WF_OK;
}

/* ---- concat and slice_dx: blocks of bytes along one dim ---- */

/* rows rows, of which count bytes go from x to y; NULL x writes zeros. */
typedef struct blocks {
    const char *x;
    char *y;
    int64_t rows, count, step_x, step_y, per_part;
} blocks;

static void move_part(void *arg, int64_t part, int worker)
{
    const blocks *b = arg;
    const int64_t end = min_i(b->rows, (part + 1) * b->per_part);
    (void)worker;
    for (int64_t r = part * b->per_part; r < end; r++) {
        if (b->x) memcpy(b->y + r * b->step_y, b->x + r * b->step_x, (size_t)b->count);
        else memset(b->y + r * b->step_y, 0, (size_t)b->count);
    }
}

static void move(wf_ctx *c, blocks b)
{
    if (b.count == 0 || b.rows == 0) return;
    b.per_part = max_i(1, 4 * GRAIN / b.count);
    run_parts(c, div_up(b.rows, b.per_part), (double)b.rows * (double)b.count / 4, move_part, &b);
}

/* Values after dim d, and rows before it. */
static int64_t inner_of(const wf_tensor *t, int d)
{
    int64_t n = 1;
    for (int i = d + 1; i < wf_rank(t); i++) n *= wf_dim(t, i);
    return n;
}

wf_status WF_K(concat)(wf_ctx *c, wf_op_args *a)
{
    wf_tensor *y = a->out[0];
    const wf_dtype t = wf_get_dtype(y);
    const int d = (int)(a->attr[0] < 0 ? a->attr[0] + wf_rank(y) : a->attr[0]);
    for (int i = 0; i < a->n_in; i++)
        if (wf_get_dtype(a->in[i]) != t || wf_dtype_block_elems(t) > 1) return WF_ESKIP;
    const int64_t inner = inner_of(y, d) * (int64_t)wf_dtype_block_bytes(t),
                  row = inner * wf_dim(y, d);
    int64_t at = 0;
    for (int i = 0; row > 0 && i < a->n_in; i++) {
        const int64_t count = wf_dim(a->in[i], d) * inner;
        move(c, (blocks){.x = wf_data(a->in[i]),
                         .y = (char *)wf_data(y) + at,
                         .rows = (int64_t)wf_tensor_bytes(y) / row,
                         .count = count,
                         .step_x = count,
                         .step_y = row});
        at += count;
    }
    return WF_OK;
}

wf_status WF_K(slice_dx)(wf_ctx *c, wf_op_args *a)
{
    wf_tensor *dy = a->in[0], *dx = a->out[0];
    const int d = (int)(a->attr[0] < 0 ? a->attr[0] + wf_rank(dx) : a->attr[0]);
    if (a->attr[2] != 1.0 || wf_get_dtype(dy) != wf_get_dtype(dx) || wf_numel(dx) == 0)
        return WF_ESKIP;
    const int64_t inner = inner_of(dx, d) * (int64_t)wf_dtype_block_bytes(wf_get_dtype(dx));
    const int64_t row = inner * wf_dim(dx, d), count = inner * wf_dim(dy, d),
                  before = inner * wfi_int(a, 1);
    const int64_t rows = (int64_t)wf_tensor_bytes(dx) / row;
    char *y = wf_data(dx);
    move(c, (blocks){.y = y, .rows = rows, .count = before, .step_y = row});
    move(c, (blocks){.x = wf_data(dy),
                     .y = y + before,
                     .rows = rows,
                     .count = count,
                     .step_x = count,
                     .step_y = row});
    move(c,
         (blocks){
             .y = y + before + count, .rows = rows, .count = row - before - count, .step_y = row});
    return WF_OK;
}
