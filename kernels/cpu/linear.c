/* linear.c - linear and matmul as products of panels. */
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/kern.h"

wf_status WF_K(linear)(wf_ctx *c, wf_op_args *a);
wf_status WF_K(matmul)(wf_ctx *c, wf_op_args *a);

wf_status WF_K(linear)(wf_ctx *c, wf_op_args *a)
{
    wf_tensor *x = a->in[0], *w = a->in[1], *b = input(a, 2), *y = a->out[0];
    const int64_t n = wf_dim(w, 0), k = wf_dim(w, 1);
    if (!is_f32(x) || !is_f32(y) || !is_plain_float(w) || !is_f32(b) || k == 0 || n == 0)
        return WF_ESKIP;
    const gemm_src src = {.p = wf_data(w), .t = wf_get_dtype(w), .row = k, .col = 1};
    const wf_dtype t = panel_dtype(c, src.t);
    void *scratch;
    const void *panels = WF_K(weight_panels)(c, w, PREP_LINEAR, &src, n, k, t, &scratch);
    if (!panels) return WF_ENOMEM;
    const gemm g = {
        .m = wf_numel(x) / k, .n = n, .k = k, .batch = 1,
        .a = {.p = wf_data(x), .t = WF_DTYPE_F32, .row = k, .col = 1},
        .b = {.p = panels, .t = t}, .c = wf_data(y), .ldc = n,
        .bias = floats(b), .act = (wf_act)wfi_int(a, 0),
    };
    const wf_status st = WF_K(gemm)(c, &g);
    scratch_free(c, scratch);
    return st;
}

/* ---- matmul ---- */

/* The matrix of t that each of the batch's matrices reads, in index. */
static void find_matrices(const wf_tensor *t, const wf_shape *y, int64_t batch, int64_t *index)
{
    int64_t strides[WF_MAX_RANK] = {0}, step = 1;
    const int rank = y->rank - 2;
    for (int d = rank - 1, e = wf_rank(t) - 3; d >= 0; d--, e--) {
        const int64_t n = e >= 0 ? wf_dim(t, e) : 1;
        strides[d] = n == 1 ? 0 : step;
        step *= n;
    }
    for (int64_t i = 0; i < batch; i++) index[i] = wfi_at(y->dims, strides, rank, i);
}

static gemm_src matrix_of(wf_tensor *t, bool k_first)
{
    const int64_t w = wf_dim(t, -1);
    return (gemm_src){.p = wf_data(t), .t = wf_get_dtype(t), .row = k_first ? 1 : w,
                      .col = k_first ? w : 1, .size = wf_dim(t, -2) * w};
}

static wf_status batched(wf_ctx *c, gemm *g, wf_tensor *tb, const gemm_src *b)
{
    const wf_dtype t = g->b.t;
    const int64_t size = WF_K(panels_elems)(g->n, g->k, t);
    const int64_t matrices = wf_numel(tb) / (wf_dim(tb, -1) * wf_dim(tb, -2));
    float *panels = scratch_alloc(c, matrices * size, sizeof *panels);
    if (!panels) return WF_ENOMEM;
    WF_K(pack_panels)(c, b, matrices, g->n, g->k, t, panels);
    g->b = (gemm_panels){.p = panels, .t = t, .size = size, .index = g->b.index};
    const wf_status st = WF_K(gemm)(c, g);
    scratch_free(c, panels);
    return st;
}

wf_status WF_K(matmul)(wf_ctx *c, wf_op_args *a)
{
    wf_tensor *ta = a->in[0], *tb = a->in[1], *y = a->out[0];
    const bool trans_a = a->attr[0] != 0.0, trans_b = a->attr[1] != 0.0;
    if (!is_f32(y) || !is_plain_float(ta) || !is_plain_float(tb) || wf_numel(y) == 0)
        return WF_ESKIP;
    const wf_shape s = wf_get_shape(y);
    gemm g = {.m = wf_dim(y, -2), .n = wf_dim(y, -1), .k = wf_dim(ta, trans_a ? -2 : -1),
              .a = matrix_of(ta, trans_a), .c = wf_data(y), .ldc = wf_dim(y, -1)};
    const gemm_src b = matrix_of(tb, !trans_b);
    if (g.k == 0) return WF_ESKIP;
    g.batch = wf_numel(y) / (g.m * g.n);
    g.cs = g.m * g.n;
    if (g.batch > 1 && wf_numel(tb) == b.size && !trans_a && wf_numel(ta) == g.batch * g.a.size) {
        g.m *= g.batch;
        g.batch = 1;
    }
    g.b.t = panel_dtype(c, WF_DTYPE_F32);
    if (!has_tiles(c) && g.batch == 1 && g.k >= 8 * max_i(g.m, g.n) && g.k > 4096)
        return WF_K(gemm_long)(c, &g, &b);
    int64_t *index = scratch_alloc(c, 2 * g.batch, sizeof *index);
    if (!index) return WF_ENOMEM;
    if (g.batch > 1) {
        find_matrices(ta, &s, g.batch, index);
        find_matrices(tb, &s, g.batch, index + g.batch);
        g.a.index = index;
        g.b.index = index + g.batch;
    }
    const wf_status st = batched(c, &g, tb, &b);
    scratch_free(c, index);
    return st;
}
