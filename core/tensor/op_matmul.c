/*
 * op_matmul.c - products: matmul over broadcast batches, linear with bias and activation.
 *
 * Both are rows of dot products, summed in double.
 */
#include "core/tensor/grad.h"
#include "core/tensor/op_impl.h"

double wfi_dot(const wfi_values *a, int64_t i, int64_t step_a, const wfi_values *b, int64_t j,
               int64_t step_b, int64_t n)
{
    double sum = 0.0;
    if (a->t == WF_DTYPE_F32 && b->t == WF_DTYPE_F32) {
        const float *p = (const float *)a->p + i, *q = (const float *)b->p + j;
        for (int64_t k = 0; k < n; k++) sum += (double)p[k * step_a] * (double)q[k * step_b];
        return sum;
    }
    for (int64_t k = 0; k < n; k++)
        sum += wfi_get(a, i + k * step_a) * wfi_get(b, j + k * step_b);
    return sum;
}

wf_status wfi_check_weight(wf_ctx *c, const wf_op_args *a, int in)
{
    if (wf_dtype_block_elems(wf_get_dtype(a->in[in])) > 1) return WF_OK;
    return wfi_check_float(c, a, in);
}

/* ---- matmul ---- */

/* One operand's matrices: element (r,k) of matrix i stands at i * size + r * row + k * col. */
typedef struct operand {
    int64_t rows, cols, row, col, size;
} operand;

static operand read_operand(const wf_tensor *t, bool trans)
{
    const int64_t h = wf_dim(t, -2), w = wf_dim(t, -1);
    if (trans) return (operand){.rows = w, .cols = h, .row = 1, .col = w, .size = h * w};
    return (operand){.rows = h, .cols = w, .row = w, .col = 1, .size = h * w};
}

/* The shape of t without its last two dims. */
static wf_shape batch_shape(const wf_tensor *t)
{
    wf_shape s = wf_get_shape(t);
    s.rank -= 2;
    return s;
}

static wf_status fail_product(wf_ctx *c, const wf_op_args *a, const char *wanted)
{
    char ta[180], tb[180];
    return wf_fail_status(
        c, WF_ESHAPE, "matmul: %s%s by %s%s: %s", wf_tensor_text(a->in[0], ta, sizeof ta),
        a->attr[0] != 0.0 ? " transposed" : "", wf_tensor_text(a->in[1], tb, sizeof tb),
        a->attr[1] != 0.0 ? " transposed" : "", wanted);
}

wf_status wfi_matmul_infer(wf_ctx *c, wf_op_args *a)
{
    WF_TRY(wfi_check_weight(c, a, 0));
    WF_TRY(wfi_check_weight(c, a, 1));
    WF_TRY(wfi_check_int_attr(c, a, 0, 0, 1));
    WF_TRY(wfi_check_int_attr(c, a, 1, 0, 1));
    if (wf_rank(a->in[0]) < 2 || wf_rank(a->in[1]) < 2)
        return fail_product(c, a, "both want two dims or more");

    const operand p = read_operand(a->in[0], a->attr[0] != 0.0);
    const operand q = read_operand(a->in[1], a->attr[1] != 0.0);
    if (p.cols != q.rows) return fail_product(c, a, "the inner dims differ");
    const wf_shape ba = batch_shape(a->in[0]), bb = batch_shape(a->in[1]);
    if (!wf_shape_broadcast(&ba, &bb, &a->shape[0]))
        return fail_product(c, a, "the batch dims do not fit");
    a->shape[0].dims[a->shape[0].rank++] = p.rows;
    a->shape[0].dims[a->shape[0].rank++] = q.cols;
    if (!wf_dtype_is_float(a->dtype[0])) a->dtype[0] = WF_DTYPE_F32;
    return WF_OK;
}

/* Strides of t's batch dims, counted in matrices, along those of the result y: 0 where t repeats.
 */
static void batch_strides(const wfi_values *t, const wfi_values *y, int64_t *strides)
{
    int64_t step = 1;
    for (int d = y->rank - 3, e = t->rank - 3; d >= 0; d--, e--) {
        const int64_t n = e >= 0 ? t->dims[e] : 1;
        strides[d] = n == 1 ? 0 : step;
        step *= n;
    }
}

wf_status wfi_matmul_forward(wf_ctx *c, wf_op_args *a)
{
    (void)c;
    const wfi_values va = wfi_open(a->in[0]), vb = wfi_open(a->in[1]);
    wfi_values y = wfi_open(a->out[0]);
    const operand p = read_operand(a->in[0], a->attr[0] != 0.0);
    const operand q = read_operand(a->in[1], a->attr[1] != 0.0);
    int64_t sa[WF_MAX_RANK] = {0}, sb[WF_MAX_RANK] = {0}, at = 0;
    batch_strides(&va, &y, sa);
    batch_strides(&vb, &y, sb);
    for (int64_t i = 0; at < y.n; i++) {
        const int64_t pa = wfi_at(y.dims, sa, y.rank - 2, i) * p.size;
        const int64_t pb = wfi_at(y.dims, sb, y.rank - 2, i) * q.size;
        for (int64_t m = 0; m < p.rows; m++)
            for (int64_t n = 0; n < q.cols; n++)
                wfi_put(&y, at++,
                        wfi_dot(&va, pa + m * p.row, p.col, &vb, pb + n * q.col, q.row, p.cols));
    }
    return WF_OK;
}

/* With A and B as multiplied: dA = dy B^T and dB = A^T dy, each transposed back where it was. */
void wfi_matmul_backward(wf_ctx *c, wf_grad_args *g)
{
    wf_tensor *dy = g->dy[0];
    const bool ta = g->attr[0] != 0.0, tb = g->attr[1] != 0.0;
    if (g->need[0]) {
        wf_tensor *b = wf_cast(c, g->in[1], wf_get_dtype(dy));
        wf_tensor *da = ta ? wf_matmul(c, b, dy, tb, true) : wf_matmul(c, dy, b, false, !tb);
        g->dx[0] = wfi_unbroadcast(c, da, g->in[0]);
    }
    if (g->need[1]) {
        wf_tensor *a = wf_cast(c, g->in[0], wf_get_dtype(dy));
        wf_tensor *db = tb ? wf_matmul(c, dy, a, true, ta) : wf_matmul(c, a, dy, !ta, false);
        g->dx[1] = wfi_unbroadcast(c, db, g->in[1]);
    }
}

wf_tensor *wf_matmul(wf_ctx *c, wf_tensor *a, wf_tensor *b, bool trans_a, bool trans_b)
{
    return wf_op_call(c, WF_OP_ID_matmul, (wf_tensor *[]){a, b}, 2, (double[]){trans_a, trans_b},
                      2);
}

/* ---- linear ---- */

wf_status wfi_linear_infer(wf_ctx *c, wf_op_args *a)
{
    wf_tensor *x = a->in[0], *w = a->in[1], *b = a->n_in > 2 ? a->in[2] : NULL;
    WF_TRY(wfi_check_float(c, a, 0));
    WF_TRY(wfi_check_weight(c, a, 1));
    WF_TRY(wfi_check_rank(c, a, 1, 2));
    WF_TRY(wfi_check_int_attr(c, a, 0, WF_ACT_NONE, WF_ACT_RELU));
    if (wf_rank(x) < 1 || wf_dim(x, -1) != wf_dim(w, 1))
        return wf_fail_status(c, WF_ESHAPE, "linear: x has %lld features, w wants %lld",
                              (long long)(wf_rank(x) < 1 ? 0 : wf_dim(x, -1)),
                              (long long)wf_dim(w, 1));
    if (b) {
        WF_TRY(wfi_check_float(c, a, 2));
        WF_TRY(wfi_check_rank(c, a, 2, 1));
        if (wf_dim(b, 0) != wf_dim(w, 0))
            return wf_fail_status(c, WF_ESHAPE, "linear: b has %lld values, w makes %lld features",
                                  (long long)wf_dim(b, 0), (long long)wf_dim(w, 0));
    }
    a->shape[0] = wf_get_shape(x);
    a->shape[0].dims[a->shape[0].rank - 1] = wf_dim(w, 0);
    return WF_OK;
}

/* The op that each activation is, but for WF_ACT_NONE. */
static const wf_op_id act_ops[] = {
    [WF_ACT_SILU] = WF_OP_ID_silu,
    [WF_ACT_GELU] = WF_OP_ID_gelu,
    [WF_ACT_GELU_TANH] = WF_OP_ID_gelu_tanh,
    [WF_ACT_GELU_QUICK] = WF_OP_ID_gelu_quick,
    [WF_ACT_RELU] = WF_OP_ID_relu,
};

wf_status wfi_linear_forward(wf_ctx *c, wf_op_args *a)
{
    (void)c;
    const wfi_values x = wfi_open(a->in[0]), w = wfi_open(a->in[1]), b = wfi_open(a->in[2]);
    wfi_values y = wfi_open(a->out[0]);
    const int64_t N = w.dims[0], K = w.dims[1];
    const wf_act act = (wf_act)wfi_int(a, 0);
    for (int64_t i = 0; i < y.n; i++) {
        const int64_t m = i / N, n = i % N;
        const double bias = b.p ? wfi_get(&b, n) : 0.0;
        const double z = bias + wfi_dot(&x, m * K, 1, &w, n * K, 1, K);
        wfi_put(&y, i, act == WF_ACT_NONE ? z : wfi_unary(act_ops[act], z));
    }
    return WF_OK;
}

/* dy times the slope of the activation at z = x w^T + b, which is computed again. */
static wf_tensor *through_act(wf_ctx *c, wf_grad_args *g)
{
    const wf_act act = (wf_act)g->attr[0];
    if (act == WF_ACT_NONE) return g->dy[0];
    wf_tensor *z = wf_linear(c, g->in[0], g->in[1], g->n_in > 2 ? g->in[2] : NULL);
    const double attr[] = {act_ops[act]};
    return wf_op_call(c, WF_OP_ID_unary_dx, (wf_tensor *[]){z, g->dy[0]}, 2, attr, 1);
}

/* x as [rows, last dim]. */
static wf_tensor *flatten_rows(wf_ctx *c, wf_tensor *x)
{
    if (!x) return NULL;
    int64_t rows = 1;
    for (int d = 0; d < wf_rank(x) - 1; d++) rows *= wf_dim(x, d);
    return wf_reshape2(c, x, rows, wf_dim(x, -1));
}

void wfi_linear_backward(wf_ctx *c, wf_grad_args *g)
{
    wf_tensor *dz = flatten_rows(c, through_act(c, g));
    if (!dz) return;
    if (g->need[0]) {
        wf_tensor *dx = wf_matmul(c, dz, g->in[1], false, false);
        g->dx[0] = wf_reshape(c, dx, wf_rank(g->in[0]), wf_get_shape(g->in[0]).dims);
    }
    if (g->need[1]) g->dx[1] = wf_matmul(c, dz, flatten_rows(c, g->in[0]), true, false);
    if (g->n_in > 2 && g->need[2]) g->dx[2] = wfi_unbroadcast(c, dz, g->in[2]);
}

/* Under a tape the activation is an op of its own: its slope then finds x w^T + b kept, instead of
 * taking the product again. */
wf_tensor *wf_linear_act(wf_ctx *c, wf_tensor *x, wf_tensor *w, wf_tensor *b, wf_act act)
{
    if (act != WF_ACT_NONE && wf_is_recording(c))
        return wf_op_call(c, act_ops[act], (wf_tensor *[]){wf_linear(c, x, w, b)}, 1, NULL, 0);
    return wf_op_call(c, WF_OP_ID_linear, (wf_tensor *[]){x, w, b}, 3, (double[]){act}, 1);
}

wf_tensor *wf_linear(wf_ctx *c, wf_tensor *x, wf_tensor *w, wf_tensor *b)
{
    return wf_linear_act(c, x, w, b, WF_ACT_NONE);
}
