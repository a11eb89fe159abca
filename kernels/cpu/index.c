/*
 * index.c - whole rows by index: embedding, index_select, index_add.
 *
 * An id outside the rows is left to the truth, which names it. Sums are added in the order of the
 * ids; index_add is cut into columns, so that no two parts meet in a row.
 */
#include "core/tensor/grad.h"
#include "kernels/cpu/kern.h"

#include <string.h>

wf_status WF_K(embedding)(wf_ctx *c, wf_op_args *a);
wf_status WF_K(index_select)(wf_ctx *c, wf_op_args *a);
wf_status WF_K(index_add)(wf_ctx *c, wf_op_args *a);

/* outer blocks of V rows of `row` values; n ids into each block. */
typedef struct rows {
    const char *x;
    char *y;
    const float *src;
    wfi_values ids;
    int64_t outer, V, row, bytes, n, per_part;
} rows;

static bool check_ids(const rows *j)
{
    for (int64_t i = 0; i < j->n; i++) {
        const double id = wfi_get(&j->ids, i);
        if (!(id >= 0.0 && id < (double)j->V)) return false;
    }
    return true;
}

static rows open_dim(const wf_op_args *a, int dim)
{
    wf_tensor *x = a->in[0];
    const int d = dim < 0 ? dim + wf_rank(x) : dim;
    rows j = {.x = wf_data(x),
              .y = wf_data(a->out[0]),
              .ids = wfi_open(a->in[1]),
              .outer = 1,
              .row = 1,
              .V = wf_dim(x, d),
              .n = wf_numel(a->in[1])};
    for (int i = 0; i < d; i++) j.outer *= wf_dim(x, i);
    for (int i = d + 1; i < wf_rank(x); i++) j.row *= wf_dim(x, i);
    return j;
}

/* ---- rows copied ---- */

static void select_part(void *arg, int64_t part, int worker)
{
    const rows *j = arg;
    const int64_t end = min_i(j->outer * j->n, (part + 1) * j->per_part);
    const size_t bytes = (size_t)(j->row * j->bytes);
    (void)worker;
    for (int64_t i = part * j->per_part; i < end; i++) {
        const int64_t id = (int64_t)wfi_get(&j->ids, i % j->n);
        memcpy(j->y + (size_t)i * bytes, j->x + (size_t)(i / j->n * j->V + id) * bytes, bytes);
    }
}

static wf_status select_rows(wf_ctx *c, rows *j)
{
    if (!check_ids(j)) return WF_ESKIP;
    const int64_t n = j->outer * j->n;
    if (n == 0 || j->row == 0) return WF_OK;
    j->per_part = max_i(1, GRAIN / j->row);
    run_parts(c, div_up(n, j->per_part), (double)n * (double)j->row, select_part, j);
    return WF_OK;
}

/* y, of w's dtype, = the rows of w; quantised rows are whole blocks. */
static wf_status look_up(wf_ctx *c, wf_tensor *ids, wf_tensor *w, wf_tensor *y)
{
    const wf_dtype t = wf_get_dtype(w);
    rows j = {.x = wf_data(w),
              .y = wf_data(y),
              .ids = wfi_open(ids),
              .outer = 1,
              .V = wf_dim(w, 0),
              .row = wf_dim(w, 1) / wf_dtype_block_elems(t),
              .bytes = (int64_t)wf_dtype_block_bytes(t),
              .n = wf_numel(ids)};
    return select_rows(c, &j);
}

/* Rows are taken as they are stored, and those alone are cast: a table is far larger than they. */
static wf_status look_up_cast(wf_ctx *c, wf_op_args *a)
{
    wf_tensor *y = a->out[0];
    const wf_shape shape = wf_get_shape(y);
    wf_scope *s = wf_scope_open_on(c, y);
    wf_tape_pause(c);
    wf_tensor *stored = wf_empty(c, wf_get_dtype(a->in[1]), &shape);
    wf_status st = stored ? look_up(c, a->in[0], a->in[1], stored) : WF_OK;
    if (st == WF_OK) {
        const wf_tensor *cast = wf_cast(c, stored, wf_get_dtype(y));
        if (cast) memcpy(wf_data(y), wf_data_const(cast), wf_tensor_bytes(y));
        st = wf_get_status(c);
    }
    wf_tape_resume(c);
    wf_scope_close(c, s, NULL);
    return st;
}

wf_status WF_K(embedding)(wf_ctx *c, wf_op_args *a)
{
    wf_tensor *w = a->in[1], *y = a->out[0];
    if (wf_dim(w, 1) % wf_dtype_block_elems(wf_get_dtype(w)) != 0) return WF_ESKIP;
    return wf_get_dtype(y) == wf_get_dtype(w) ? look_up(c, a->in[0], w, y) : look_up_cast(c, a);
}

wf_status WF_K(index_select)(wf_ctx *c, wf_op_args *a)
{
    const wf_dtype t = wf_get_dtype(a->in[0]);
    if (wf_get_dtype(a->out[0]) != t || wf_dtype_block_elems(t) > 1) return WF_ESKIP;
    rows j = open_dim(a, (int)a->attr[0]);
    j.bytes = (int64_t)wf_dtype_block_bytes(t);
    return select_rows(c, &j);
}

/* ---- rows added ---- */

enum { COLUMNS = 4 * VL };

static void add_part(void *arg, int64_t part, int worker)
{
    const rows *j = arg;
    const int64_t chunks = div_up(j->row, COLUMNS), o = part / chunks,
                  first = part % chunks * COLUMNS;
    const int64_t count = min_i(COLUMNS, j->row - first);
    float *y = (float *)(void *)j->y + o * j->V * j->row + first;
    const float *x = (const float *)(const void *)j->x + o * j->V * j->row + first;
    const float *src = j->src + o * j->n * j->row + first;
    (void)worker;
    for (int64_t v = 0; v < j->V; v++)
        memcpy(y + v * j->row, x + v * j->row, (size_t)count * sizeof *y);
    for (int64_t i = 0; i < j->n; i++) {
        float *to = y + (int64_t)wfi_get(&j->ids, i) * j->row;
        const float *from = src + i * j->row;
        for (int64_t k = 0; k < count; k += VL) {
            const int64_t n = min_i(VL, count - k);
            vf_store_n(to + k, n, vf_add(vf_load_n(to + k, n), vf_load_n(from + k, n)));
        }
    }
}

wf_status WF_K(index_add)(wf_ctx *c, wf_op_args *a)
{
    if (!is_f32(a->in[0]) || !is_f32(a->in[2]) || !is_f32(a->out[0])) return WF_ESKIP;
    rows j = open_dim(a, (int)a->attr[0]);
    if (!check_ids(&j)) return WF_ESKIP;
    if (j.outer == 0 || j.row == 0) return WF_OK;
    j.src = floats(a->in[2]);
    const double work = (double)j.outer * (double)(j.V + 2 * j.n) * (double)j.row;
    run_parts(c, j.outer * div_up(j.row, COLUMNS), work, add_part, &j);
    return WF_OK;
}
