/*
 * op_attention.c - attention over heads, its gradient, and rotary positions.
 *
 * One query row at a time: scores, softmax, weighted sum of the values. Inputs are read by their
 * strides, so heads are views of [B,T,N*D]. Scratch rows are of double.
 */
#include "core/tensor/op_impl.h"

#include <math.h>
#include <string.h>

/* ---- shared by both directions ---- */

typedef struct heads {
    wfi_values q, k, v, bias;
    int64_t B, Tq, Tk, N, M, D;
    double scale;
    bool causal;
} heads;

static int64_t head_at(const wfi_values *x, int64_t b, int64_t t, int64_t n)
{
    return b * x->strides[0] + t * x->strides[1] + n * x->strides[2];
}

static heads open_heads(const wf_op_args *a)
{
    heads h = {.q = wfi_open(a->in[0]), .k = wfi_open(a->in[1]), .v = wfi_open(a->in[2]),
               .bias = wfi_open(a->in[3]), .causal = a->attr[1] != 0.0};
    h.B = h.q.dims[0], h.Tq = h.q.dims[1], h.N = h.q.dims[2], h.D = h.q.dims[3];
    h.Tk = h.k.dims[1], h.M = h.k.dims[2];
    h.scale = a->attr[0] != 0.0 ? a->attr[0] : 1.0 / sqrt((double)h.D);
    for (int d = 0; d < 4; d++)
        if (h.bias.p && h.bias.dims[d] == 1) h.bias.strides[d] = 0;
    return h;
}

/* p[Tk] = softmax of the scores of query (b,i) at head n; zeros when it sees nothing. */
static void weights_of(const heads *h, int64_t b, int64_t i, int64_t n, double *p)
{
    const int64_t seen = h->causal ? i + h->Tk - h->Tq + 1 : h->Tk, m = n / (h->N / h->M);
    const int64_t qi = head_at(&h->q, b, i, n), bi = head_at(&h->bias, b, n, i);
    double top = -INFINITY, sum = 0.0;
    for (int64_t j = 0; j < h->Tk; j++) {
        p[j] = -INFINITY;
        if (j >= seen) continue;
        p[j] = h->scale * wfi_dot(&h->q, qi, h->q.strides[3], &h->k, head_at(&h->k, b, j, m),
                                  h->k.strides[3], h->D);
        if (h->bias.p) p[j] += wfi_get(&h->bias, bi + j * h->bias.strides[3]);
        if (p[j] > top || isnan(p[j])) top = p[j];
    }
    for (int64_t j = 0; j < h->Tk; j++) sum += p[j] = top == -INFINITY ? 0.0 : exp(p[j] - top);
    for (int64_t j = 0; j < h->Tk && sum != 0.0; j++) p[j] /= sum;
}

static double *scratch(wf_ctx *c, const wf_op_args *a, int64_t n)
{
    double *p = wf_mem_alloc(wf_ctx_get_mem(c), (size_t)(n + 1) * sizeof *p);
    if (!p)
        return wf_fail(c, WF_ENOMEM, "%s: no memory for %lld scores", a->op->name, (long long)n);
    return p;
}

static wf_status check_bias(wf_ctx *c, const wf_op_args *a)
{
    const wf_tensor *q = a->in[0], *bias = a->in[3];
    char text[180];
    if (a->n_in < 4 || !bias) return WF_OK;
    WF_TRY(wfi_check_float(c, a, 3));
    const int64_t full[] = {wf_dim(q, 0), wf_dim(q, 2), wf_dim(q, 1), wf_dim(a->in[1], 1)};
    bool fits = wf_rank(bias) == 4 && wf_dim(bias, 3) == full[3];
    for (int d = 0; fits && d < 3; d++) fits = wf_dim(bias, d) == 1 || wf_dim(bias, d) == full[d];
    if (fits) return WF_OK;
    return wf_fail_status(c, WF_ESHAPE,
                          "%s: bias is %s, wants [%lld,%lld,%lld,%lld] or 1 in the first three",
                          a->op->name, wf_tensor_text(bias, text, sizeof text), (long long)full[0],
                          (long long)full[1], (long long)full[2], (long long)full[3]);
}

static wf_status check_attention(wf_ctx *c, const wf_op_args *a)
{
    const wf_tensor *q = a->in[0], *k = a->in[1];
    char tq[180], tk[180];
    for (int i = 0; i < 3; i++) {
        WF_TRY(wfi_check_float(c, a, i));
        WF_TRY(wfi_check_rank(c, a, i, 4));
    }
    WF_TRY(wfi_check_same(c, a, 2, 1));
    WF_TRY(wfi_check_int_attr(c, a, 1, 0, 1));
    if (!isfinite(a->attr[0]))
        return wf_fail_status(c, WF_EARG, "%s: scale is %g", a->op->name, a->attr[0]);
    const int64_t M = wf_dim(k, 2);
    if (wf_dim(q, 0) != wf_dim(k, 0) || wf_dim(q, 3) != wf_dim(k, 3) || wf_dim(q, 3) < 1 || M < 1 ||
        wf_dim(q, 2) % M != 0)
        return wf_fail_status(
            c, WF_ESHAPE,
            "%s: q is %s, k %s: wants the same batch and head width, and heads that divide",
            a->op->name, wf_tensor_text(q, tq, sizeof tq), wf_tensor_text(k, tk, sizeof tk));
    return check_bias(c, a);
}

/* ---- attention ---- */

wf_status wfi_attention_infer(wf_ctx *c, wf_op_args *a)
{
    WF_TRY(check_attention(c, a));
    a->shape[0] = wf_get_shape(a->in[0]);
    return WF_OK;
}

wf_status wfi_attention_forward(wf_ctx *c, wf_op_args *a)
{
    const heads h = open_heads(a);
    wfi_values y = wfi_open(a->out[0]);
    double *p = scratch(c, a, h.Tk);
    if (!p) return WF_ENOMEM;
    int64_t at = 0;
    for (int64_t row = 0; at < y.n; row++) {
        const int64_t n = row % h.N, i = row / h.N % h.Tq, b = row / h.N / h.Tq,
                      m = n / (h.N / h.M);
        const wfi_values weights = {.p = p, .t = WF_DTYPE_F64};
        weights_of(&h, b, i, n, p);
        for (int64_t d = 0; d < h.D; d++)
            wfi_put(&y, at++,
                    wfi_dot(&weights, 0, 1, &h.v, head_at(&h.v, b, 0, m) + d * h.v.strides[3],
                            h.v.strides[1], h.Tk));
    }
    wf_mem_free(wf_ctx_get_mem(c), p);
    return WF_OK;
}

void wfi_attention_backward(wf_ctx *c, wf_grad_args *g)
{
    wf_tensor *in[] = {g->in[0],  g->in[1], g->in[2], g->n_in > 3 ? g->in[3] : NULL,
                       g->out[0], g->dy[0]};
    wf_tensor *out[WF_OP_MAX_OUT] = {NULL};
    if (g->n_in > 3 && g->need[3]) {
        wf_fail(c, WF_EGRAD, "attention has no gradient for its bias: make the scores with matmul "
                             "and softmax to learn one");
        return;
    }
    (void)wf_op_call_multi(c, WF_OP_ID_attention_dx, in, 6, g->attr, 2, out);
    for (int i = 0; i < 3; i++) g->dx[i] = out[i];
}

wf_tensor *wf_attention(wf_ctx *c, wf_tensor *q, wf_tensor *k, wf_tensor *v, wf_tensor *bias,
                        double scale, bool causal)
{
    return wf_op_call(c, WF_OP_ID_attention, (wf_tensor *[]){q, k, v, bias}, 4,
                      (double[]){scale, causal}, 2);
}

/* ---- its gradient ---- */

wf_status wfi_attention_dx_infer(wf_ctx *c, wf_op_args *a)
{
    WF_TRY(check_attention(c, a));
    for (int i = 4; i < 6; i++) {
        WF_TRY(wfi_check_float(c, a, i));
        WF_TRY(wfi_check_same(c, a, i, 0));
    }
    for (int i = 0; i < 3; i++) a->shape[i] = wf_get_shape(a->in[i]);
    return WF_OK;
}

/* Sums of one key head over all queries that read it: dk and dv are [Tk,D]. */
typedef struct head_sums {
    double *p, *ds, *dk, *dv;
} head_sums;

/* Add query (b,i) at head n to the sums, and write its dq:
 * ds = p (dp - sum p dp) with dp = dy v, dq = scale ds k, dk += scale ds q, dv += p dy. */
static void add_query(const heads *h, const wfi_values *dy, int64_t b, int64_t i, int64_t n,
                      head_sums *s, wfi_values *dq)
{
    const int64_t m = n / (h->N / h->M), D = h->D, qi = head_at(&h->q, b, i, n),
                  yi = head_at(dy, b, i, n);
    const wfi_values ds = {.p = s->ds, .t = WF_DTYPE_F64};
    double mean = 0.0;
    weights_of(h, b, i, n, s->p);
    for (int64_t j = 0; j < h->Tk; j++) {
        s->ds[j] = s->p[j] == 0.0 ? 0.0
                                  : wfi_dot(dy, yi, dy->strides[3], &h->v, head_at(&h->v, b, j, m),
                                            h->v.strides[3], D);
        mean += s->p[j] * s->ds[j];
    }
    for (int64_t j = 0; j < h->Tk; j++) {
        s->ds[j] = h->scale * s->p[j] * (s->ds[j] - mean);
        for (int64_t d = 0; d < D && s->p[j] != 0.0; d++) {
            s->dk[j * D + d] += s->ds[j] * wfi_get(&h->q, qi + d * h->q.strides[3]);
            s->dv[j * D + d] += s->p[j] * wfi_get(dy, yi + d * dy->strides[3]);
        }
    }
    for (int64_t d = 0; d < D; d++)
        wfi_put(dq, head_at(dq, b, i, n) + d,
                wfi_dot(&ds, 0, 1, &h->k, head_at(&h->k, b, 0, m) + d * h->k.strides[3],
                        h->k.strides[1], h->Tk));
}

wf_status wfi_attention_dx_forward(wf_ctx *c, wf_op_args *a)
{
    const heads h = open_heads(a);
    const wfi_values dy = wfi_open(a->in[5]);
    wfi_values dq = wfi_open(a->out[0]), dk = wfi_open(a->out[1]), dv = wfi_open(a->out[2]);
    const int64_t group = h.N / h.M, size = h.Tk * h.D;
    double *p = scratch(c, a, 2 * h.Tk + 2 * size);
    if (!p) return WF_ENOMEM;
    head_sums s = {.p = p, .ds = p + h.Tk, .dk = p + 2 * h.Tk, .dv = p + 2 * h.Tk + size};
    for (int64_t bm = 0; bm < h.B * h.M; bm++) {
        const int64_t b = bm / h.M, m = bm % h.M;
        memset(s.dk, 0, (size_t)(2 * size) * sizeof *p);
        for (int64_t n = m * group; n < (m + 1) * group; n++)
            for (int64_t i = 0; i < h.Tq; i++) add_query(&h, &dy, b, i, n, &s, &dq);
        for (int64_t e = 0; e < size; e++) {
            const int64_t at = head_at(&dk, b, e / h.D, m) + e % h.D;
            wfi_put(&dk, at, s.dk[e]);
            wfi_put(&dv, at, s.dv[e]);
        }
    }
    wf_mem_free(wf_ctx_get_mem(c), p);
    return WF_OK;
}

/* ---- rotary positions ---- */

wf_status wfi_rope_infer(wf_ctx *c, wf_op_args *a)
{
    const wf_tensor *x = a->in[0], *cs = a->in[1];
    char tx[180], tc[180];
    for (int i = 0; i < 2; i++) {
        WF_TRY(wfi_check_float(c, a, i));
        WF_TRY(wfi_check_int_attr(c, a, i, 0, 1));
    }
    WF_TRY(wfi_check_rank(c, a, 0, 4));
    WF_TRY(wfi_check_rank(c, a, 1, 3));
    if (wf_dim(cs, 0) != wf_dim(x, 1) || wf_dim(cs, 2) != 2 || 2 * wf_dim(cs, 1) > wf_dim(x, 3))
        return wf_fail_status(
            c, WF_ESHAPE, "rope: x is %s, cos_sin %s: wants [T,R,2] with 2R at most a head's width",
            wf_tensor_text(x, tx, sizeof tx), wf_tensor_text(cs, tc, sizeof tc));
    a->shape[0] = wf_get_shape(x);
    return WF_OK;
}

/* One head: each pair (u,v) becomes (u cos - v sin, v cos + u sin); what is left is copied. */
static void rotate(const wfi_values *x, const wfi_values *cs, wfi_values *y, int64_t first,
                   int64_t t, const double *attr)
{
    const int64_t R = cs->dims[1], D = x->dims[3];
    const bool half = attr[0] != 0.0;
    for (int64_t r = 0; r < R; r++) {
        const int64_t iu = first + (half ? r : 2 * r), iv = half ? iu + R : iu + 1;
        const double cosine = wfi_get(cs, 2 * (t * R + r)), u = wfi_get(x, iu), v = wfi_get(x, iv);
        const double sine = wfi_get(cs, 2 * (t * R + r) + 1) * (attr[1] != 0.0 ? -1.0 : 1.0);
        wfi_put(y, iu, u * cosine - v * sine);
        wfi_put(y, iv, v * cosine + u * sine);
    }
    for (int64_t d = first + 2 * R; d < first + D; d++) wfi_put(y, d, wfi_get(x, d));
}

wf_status wfi_rope_forward(wf_ctx *c, wf_op_args *a)
{
    (void)c;
    const wfi_values x = wfi_open(a->in[0]), cs = wfi_open(a->in[1]);
    wfi_values y = wfi_open(a->out[0]);
    const int64_t T = x.dims[1], N = x.dims[2], D = x.dims[3];
    for (int64_t row = 0; row * D < y.n; row++) rotate(&x, &cs, &y, row * D, row / N % T, a->attr);
    return WF_OK;
}

/* The inverse of a rotation is its transpose. */
void wfi_rope_backward(wf_ctx *c, wf_grad_args *g)
{
    const double attr[] = {g->attr[0], g->attr[1] == 0.0};
    if (g->need[1])
        wf_fail(c, WF_EGRAD, "rope has no gradient for cos_sin: give it a constant table");
    if (g->need[0])
        g->dx[0] = wf_op_call(c, WF_OP_ID_rope, (wf_tensor *[]){g->dy[0], g->in[1]}, 2, attr, 2);
}

wf_tensor *wf_rope(wf_ctx *c, wf_tensor *x, wf_tensor *cos_sin, bool half)
{
    return wf_op_call(c, WF_OP_ID_rope, (wf_tensor *[]){x, cos_sin}, 2, (double[]){half}, 1);
}
