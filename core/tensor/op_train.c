/* op_train.c - state that training writes in place: copies, averages, AdamW. */
#include "core/tensor/op_impl.h"

#include <math.h>

/* ---- y = x, y += t (x - y); x broadcasts, y has any strides ---- */

static wf_status check_into(wf_ctx *c, const wf_op_args *a)
{
    char t0[180], t1[180];
    const wf_shape y = wf_get_shape(a->in[0]), x = wf_get_shape(a->in[1]);
    wf_shape both;
    if (wf_shape_broadcast(&y, &x, &both) && wf_shape_is_same(&both, &y)) return WF_OK;
    return wf_fail_status(c, WF_ESHAPE, "%s: %s does not broadcast to %s", a->op->name,
                          wf_tensor_text(a->in[1], t0, sizeof t0),
                          wf_tensor_text(a->in[0], t1, sizeof t1));
}

/* Memory position in x of row-major position i of y. */
static int64_t source_at(const wfi_values *y, const wfi_values *x, int64_t i)
{
    int64_t at = 0;
    for (int d = y->rank - 1; d >= 0; d--) {
        const int e = d - (y->rank - x->rank);
        if (e >= 0 && x->dims[e] != 1) at += i % y->dims[d] * x->strides[e];
        i /= y->dims[d];
    }
    return at;
}

static void blend(wf_op_args *a, double t)
{
    wfi_values y = wfi_open(a->in[0]);
    const wfi_values x = wfi_open(a->in[1]);
    for (int64_t i = 0; i < y.n; i++) {
        const int64_t at = wfi_at(y.dims, y.strides, y.rank, i);
        const double v = wfi_get(&x, source_at(&y, &x, i));
        wfi_put(&y, at, t == 1.0 ? v : wfi_get(&y, at) + t * (v - wfi_get(&y, at)));
    }
}

wf_status wfi_copy_into_infer(wf_ctx *c, wf_op_args *a) { return check_into(c, a); }

wf_status wfi_copy_into_forward(wf_ctx *c, wf_op_args *a)
{
    (void)c;
    blend(a, 1.0);
    return WF_OK;
}

wf_tensor *wf_copy_into(wf_ctx *c, wf_tensor *y, wf_tensor *x)
{
    wf_tensor *in[] = {y, x};
    return wf_op_call(c, WF_OP_ID_copy_into, in, 2, NULL, 0);
}

wf_status wfi_lerp_into_infer(wf_ctx *c, wf_op_args *a) { return check_into(c, a); }

wf_status wfi_lerp_into_forward(wf_ctx *c, wf_op_args *a)
{
    (void)c;
    blend(a, a->attr[0]);
    return WF_OK;
}

wf_tensor *wf_lerp_into(wf_ctx *c, wf_tensor *y, wf_tensor *x, double t)
{
    wf_tensor *in[] = {y, x};
    return wf_op_call(c, WF_OP_ID_lerp_into, in, 2, &t, 1);
}

/* ---- AdamW ---- */

enum { LR, BETA1, BETA2, EPS, DECAY, STEP, GRAD_SCALE };

wf_status wfi_adamw_into_infer(wf_ctx *c, wf_op_args *a)
{
    WF_TRY(wfi_check_float(c, a, 0));
    for (int i = 1; i < 4; i++) WF_TRY(wfi_check_same(c, a, i, 0));
    for (int i = 0; i < 3; i++)
        if (!wf_is_contiguous(a->in[i]))
            return wf_fail_status(c, WF_ESHAPE, "adamw_into: state must be contiguous");
    return wfi_check_int_attr(c, a, STEP, 1, INT64_C(1) << 52);
}

wf_status wfi_adamw_into_forward(wf_ctx *c, wf_op_args *a)
{
    (void)c;
    wfi_values p = wfi_open(a->in[0]), m = wfi_open(a->in[1]), v = wfi_open(a->in[2]);
    const wfi_values g = wfi_open(a->in[3]);
    const double b1 = a->attr[BETA1], b2 = a->attr[BETA2], lr = a->attr[LR];
    const double c1 = 1.0 - pow(b1, a->attr[STEP]), c2 = 1.0 - pow(b2, a->attr[STEP]);
    for (int64_t i = 0; i < p.n; i++) {
        const double d = wfi_get(&g, i) * a->attr[GRAD_SCALE];
        const double mi = b1 * wfi_get(&m, i) + (1.0 - b1) * d,
                     vi = b2 * wfi_get(&v, i) + (1.0 - b2) * d * d;
        const double step = mi / c1 / (sqrt(vi / c2) + a->attr[EPS]);
        wfi_put(&m, i, mi);
        wfi_put(&v, i, vi);
        wfi_put(&p, i, wfi_get(&p, i) * (1.0 - lr * a->attr[DECAY]) - lr * step);
    }
    return WF_OK;
}

wf_tensor *wf_adamw_into(wf_ctx *c, wf_tensor *p, wf_tensor *m, wf_tensor *v, wf_tensor *g,
                         const wf_adamw *o)
{
    wf_tensor *in[] = {p, m, v, g};
    const double attr[] = {o->lr,    o->beta1,        o->beta2,     o->eps,
                           o->decay, (double)o->step, o->grad_scale};
    return wf_op_call(c, WF_OP_ID_adamw_into, in, 4, attr, 7);
}
