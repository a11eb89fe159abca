/* linear.c - linear and matmul as products of panels. */
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/kern.h"

wf_status WF_K(linear)(wf_ctx *c, wf_op_args *a);
wf_status WF_K(matmul)(wf_ctx *c, wf_op_args *a);

wf_status WF_K(linear)(wf_ctx *c, wf_op_args *a)
{
    wf_tensor *x = a->in[0], *w = a->in[1], *b = input(a, 2), *y = a->out[0];
    const int64_t n = wf_dim(w, 0), k = wf_dim(w, 1);
    if (!is_f32(x) || !is_f32(y) || !is_plain_float(w) || !is_f32(b) || k == 0 || n == 0) return WF_ESKIP;
    const gemm_src src = {.p = wf_data(w), .t = wf_get_dtype(w), .row = k, .col = 1};
    const wf_dtype t = panel_dtype(src.t);
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

/* Few rows and columns but many k: a sum of products, each of a fixed stretch of k. */
static wf_status split_k(wf_ctx *c, const gemm *g, gemm_src b);

static wf_status batched(wf_ctx *c, gemm *g, wf_tensor *tb, const gemm_src *b)
{
    const int64_t size = WF_K(panels_elems)(g->n, g->k);
    const int64_t matrices = wf_numel(tb) / (wf_dim(tb, -1) * wf_dim(tb, -2));
    float *panels = scratch_alloc(c, matrices * size, sizeof *panels);
    if (!panels) return WF_ENOMEM;
    WF_K(pack_panels)(c, b, matrices, g->n, g->k, WF_DTYPE_F32, panels);
    g->b = (gemm_panels){.p = panels, .t = WF_DTYPE_F32, .size = size, .index = g->b.index};
    const wf_status st = WF_K(gemm)(c, g);
    scratch_free(c, panels);
    return st;
}

wf_status WF_K(matmul)(wf_ctx *c, wf_op_args *a)
{
    wf_tensor *ta = a->in[0], *tb = a->in[1], *y = a->out[0];
    const bool trans_a = a->attr[0] != 0.0, trans_b = a->attr[1] != 0.0;
    if (!is_f32(y) || !is_plain_float(ta) || !is_plain_float(tb) || wf_numel(y) == 0) return WF_ESKIP;
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
    if (g.batch == 1 && g.k >= 8 * max_i(g.m, g.n) && g.k > 4096) return split_k(c, &g, b);
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

/* ---- long sums ---- */

enum { STRETCH = 2048 };                 /* values of k in one product */

typedef struct stretches {
    const gemm *g;
    gemm_src b;
    float *sums;                         /* [stretches][M*N] */
    float *scratch;                      /* for each worker: panels of A and of B for KC values of k */
    int64_t scratch_elems;
} stretches;

static void run_stretch(void *arg, int64_t part, int worker)
{
    const stretches *s = arg;
    const gemm *g = s->g;
    float *tmp = s->scratch + worker * s->scratch_elems, *pa = tmp + MR * NR;
    float *pb = pa + div_up(g->m, MR) * (MR * KC + PACK_SLACK), *out = s->sums + part * g->m * g->n;
    const int64_t end = min_i(g->k, (part + 1) * STRETCH);
    for (int64_t k0 = part * STRETCH; k0 < end; k0 += KC) {
        const int64_t kc = min_i(KC, end - k0);
        for (int64_t m = 0; m < g->m; m += MR) {
            const int rows = (int)min_i(MR, g->m - m);
            WF_K(pack)(&g->a, 0, m, rows, rows, k0, kc, pa + m / MR * (MR * KC + PACK_SLACK));
        }
        for (int64_t n = 0; n < g->n; n += NR) {
            const int width = gemm_width(g->n, n), valid = (int)min_i(width, g->n - n);
            WF_K(pack)(&s->b, 0, n, valid, width, k0, kc, pb);
            for (int64_t m = 0; m < g->m; m += MR) {
                const int rows = (int)min_i(MR, g->m - m);
                float *at = out + m * g->n + n;
                const bool add = k0 > part * STRETCH;
                for (int i = 0; add && i < rows; i++)
                    for (int j = 0; j < valid; j++) tmp[i * NR + j] = at[i * g->n + j];
                WF_K(tile)(WF_DTYPE_F32, rows, width / VL)(kc, pa + m / MR * (MR * KC + PACK_SLACK), rows,
                                                          pb, width, tmp, NR, add);
                for (int i = 0; i < rows; i++)
                    for (int j = 0; j < valid; j++) at[i * g->n + j] = tmp[i * NR + j];
            }
        }
    }
}

static wf_status split_k(wf_ctx *c, const gemm *g, gemm_src b)
{
    const int64_t parts = div_up(g->k, STRETCH), size = g->m * g->n;
    stretches s = {.g = g, .b = b};
    s.scratch_elems = MR * NR + div_up(g->m, MR) * (MR * KC + PACK_SLACK) + NR * KC + PACK_SLACK;
    s.sums = scratch_alloc(c, parts * size + s.scratch_elems * count_workers(c), sizeof *s.sums);
    if (!s.sums) return WF_ENOMEM;
    s.scratch = s.sums + parts * size;
    run_parts(c, parts, (double)size * (double)g->k / 8.0, run_stretch, &s);
    for (int64_t i = 0; i < size; i++) {
        float sum = 0.0f;
        for (int64_t p = 0; p < parts; p++) sum += s.sums[p * size + i];
        g->c[i] = sum;
    }
    scratch_free(c, s.sums);
    return WF_OK;
}
