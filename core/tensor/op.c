/*
 * op.c - the table made from ops.def, and the one path every op call takes:
 * check - infer - make outputs - kernel or truth - tape.
 */
#include "core/tensor/op_impl.h"
#include "core/tensor/tensor_impl.h"
#include "core/tensor/watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NO_GRAD WF_NO_GRAD
#define KEEP_IN WF_KEEP_IN
#define KEEP_OUT WF_KEEP_OUT
#define KEEP_BOTH WF_KEEP_BOTH
#define KEEP_SHAPE WF_KEEP_SHAPE
#define PLAIN WF_PLAIN
#define VIEW WF_VIEW
#define STRIDED WF_STRIDED
#define INTO WF_INTO

/* A row refers to its functions only where it has them: a view has no forward, NO_GRAD no backward.
 */
#define BACKWARD_WF_NO_GRAD(f) NULL
#define BACKWARD_WF_KEEP_IN(f) f
#define BACKWARD_WF_KEEP_OUT(f) f
#define BACKWARD_WF_KEEP_BOTH(f) f
#define BACKWARD_WF_KEEP_SHAPE(f) f
#define FORWARD_WF_PLAIN(f) f
#define FORWARD_WF_VIEW(f) NULL
#define FORWARD_WF_STRIDED(f) f
#define FORWARD_WF_INTO(f) f
#define JOIN(a, b) JOIN_(a, b)
#define JOIN_(a, b) a##b

static wf_op table[] = {
#define WF_OP(name_, in_, out_, attrs_, grad_, flag_)                          \
    {.name = #name_, .inputs = in_, .outputs = out_, .attrs = attrs_,          \
     .grad = grad_, .flag = flag_, .infer = wfi_##name_##_infer,               \
     .forward = JOIN(FORWARD_, flag_)(wfi_##name_##_forward),                  \
     .backward = JOIN(BACKWARD_, grad_)(wfi_##name_##_backward)},
#include "core/tensor/ops.def"
#undef WF_OP
};

/* ---- the table ---- */

/* Count the words of text; n_optional counts those that end in '?', *tail is set by "...". */
static int count_words(const char *text, int *n_optional, bool *tail)
{
    int n = 0;
    while (*text) {
        const size_t len = strcspn(text, " ");
        n++;
        if (text[len - 1] == '?') ++*n_optional;
        if (len > 3 && strncmp(text + len - 3, "...", 3) == 0) *tail = true;
        text += len;
        text += strspn(text, " ");
    }
    return n;
}

__attribute__((constructor)) static void count_table(void)
{
    for (int i = 0; i < WF_OP_COUNT; i++) {
        wf_op *op = &table[i];
        int n_optional = 0, none = 0;
        bool many = false, no = false;
        op->max_in = count_words(op->inputs, &n_optional, &many);
        op->min_in = op->max_in - n_optional;
        if (many) op->max_in = WF_OP_MAX_IN;
        op->n_out = count_words(op->outputs, &none, &no);
        op->n_attr = count_words(op->attrs, &none, &op->has_tail);
        if (op->has_tail) op->n_attr--;
    }
}

const wf_op *wf_op_get(wf_op_id id) { return &table[id]; }

/* The ith word of the attribute list, and its length. */
static const char *attr_word(const wf_op *op, int i, size_t *len)
{
    const char *p = op->attrs;
    for (; i > 0 && *p; i--) {
        p += strcspn(p, " ");
        p += strspn(p, " ");
    }
    *len = strcspn(p, " ");
    return p;
}

bool wf_op_get_attr(const wf_op *op, int i, char *name, size_t name_bytes, double *value)
{
    size_t len;
    const char *w = attr_word(op, i, &len), *eq = memchr(w, '=', len);
    const size_t n = eq ? (size_t)(eq - w) : len;
    snprintf(name, name_bytes, "%.*s", (int)n, w);
    if (eq) *value = strtod(eq + 1, NULL);
    return eq != NULL;
}

int wf_op_find_attr(const wf_op *op, const char *name)
{
    for (int i = 0; i < op->n_attr; i++) {
        char text[32];
        double v = 0.0;
        (void)wf_op_get_attr(op, i, text, sizeof text, &v);
        if (strcmp(text, name) == 0) return i;
    }
    return -1;
}

/* ---- one call ---- */

static wf_status set_attrs(wf_ctx *c, wf_op_args *a, const double *attr, int n_attr)
{
    const wf_op *op = a->op;
    if (n_attr > (op->has_tail ? WF_OP_MAX_ATTR : op->n_attr))
        return wf_fail_status(c, WF_EARG, "%s: %d attributes, takes %d", op->name, n_attr,
                              op->n_attr);
    if (n_attr) memcpy(a->attr, attr, (size_t)n_attr * sizeof *attr);
    a->n_attr = n_attr > op->n_attr ? n_attr : op->n_attr;
    for (int i = n_attr; i < op->n_attr; i++) {
        char name[32];
        if (!wf_op_get_attr(op, i, name, sizeof name, &a->attr[i]))
            return wf_fail_status(c, WF_EARG, "%s: attribute '%s' is missing", op->name, name);
    }
    return WF_OK;
}

/* Which of two dtypes holds the values of both: floats, i64, i32, bytes, bool. A quantised weight
 * decides nothing. */
static int dtype_rank(wf_dtype t)
{
    if (wf_dtype_is_float(t)) return 5;
    switch (t) {
    case WF_DTYPE_I64: return 4;
    case WF_DTYPE_I32: return 3;
    case WF_DTYPE_I8:
    case WF_DTYPE_U8: return 2;
    case WF_DTYPE_BOOL: return 1;
    default: return 0;
    }
}

static wf_status set_inputs(wf_ctx *c, wf_op_args *a, wf_tensor *const *in, int n_in)
{
    const wf_op *op = a->op;
    if (n_in < op->min_in || n_in > op->max_in)
        return wf_fail_status(c, WF_EARG, "%s: %d inputs, takes %s", op->name, n_in, op->inputs);
    wf_device *d = NULL;
    for (int i = 0; i < n_in; i++) {
        wf_tensor *t = a->in[i] = in[i];
        if (!t) continue;
        if (!t->st)
            return wf_fail_status(c, WF_EDEAD, "%s: input %d is used after its scope closed",
                                  op->name, i + 1);
        if (d && t->device != d)
            return wf_fail_status(c, WF_EDEVICE,
                                  "%s: inputs on %s and on %s; move one with to(device)", op->name,
                                  d->name, t->device->name);
        if (!d || dtype_rank(t->dtype) > dtype_rank(a->dtype[0])) a->dtype[0] = t->dtype;
        d = t->device;
    }
    a->n_in = n_in;
    for (int i = 1; i < WF_OP_MAX_OUT; i++) a->dtype[i] = a->dtype[0];
    return WF_OK;
}

/* Every input named without '?' must be there. */
static wf_status check_present(wf_ctx *c, const wf_op_args *a)
{
    const char *w = a->op->inputs;
    for (int i = 0; *w; i++) {
        const size_t len = strcspn(w, " ");
        if (!a->in[i] && w[len - 1] != '?')
            return wf_fail_status(c, WF_EARG, "%s: input %.*s is missing", a->op->name, (int)len,
                                  w);
        w += len;
        w += strspn(w, " ");
    }
    return WF_OK;
}

static bool is_quantised(const wf_tensor *t) { return t && wf_dtype_block_elems(t->dtype) > 1; }

/* The ops that read quantised weights, or pass their blocks on as they are. */
static bool takes_blocks(const wf_op *op)
{
    switch (op - table) {
    case WF_OP_ID_reshape:
    case WF_OP_ID_permute:
    case WF_OP_ID_slice:
    case WF_OP_ID_copy:
    case WF_OP_ID_cast:
    case WF_OP_ID_matmul:
    case WF_OP_ID_linear:
    case WF_OP_ID_conv2d:
    case WF_OP_ID_conv2d_dx:
    case WF_OP_ID_embedding: return true;
    default: return false;
    }
}

static wf_status check_blocks(wf_ctx *c, const wf_op_args *a)
{
    for (int i = 0; i < a->n_in; i++)
        if (is_quantised(a->in[i]) && !takes_blocks(a->op))
            return wf_fail_status(c, WF_EDTYPE,
                                  "%s: input %d is %s, which is for weights alone; to \"f32\" "
                                  "expands it",
                                  a->op->name, i + 1, wf_dtype_text(a->in[i]->dtype));
    return WF_OK;
}

static wf_device *device_of(wf_ctx *c, const wf_op_args *a)
{
    for (int i = 0; i < a->n_in; i++)
        if (a->in[i]) return a->in[i]->device;
    return c->device;
}

static wf_status make_outputs(wf_ctx *c, wf_op_args *a)
{
    wf_device *before = c->device;
    c->device = device_of(c, a);
    for (int i = 0; i < a->op->n_out; i++) a->out[i] = wf_empty(c, a->dtype[i], &a->shape[i]);
    c->device = before;
    a->n_out = a->op->n_out;
    return c->status;
}

static wf_status make_view(wf_ctx *c, wf_op_args *a)
{
    wf_tensor *x = a->in[0];
    wf_tensor *y = wfi_handle(c, x->dtype, &a->shape[0], x->st);
    if (!y) return c->status;
    memcpy(y->strides, a->strides, sizeof y->strides);
    y->offset = x->offset + a->offset;
    a->out[0] = wfi_enter(c, y);
    a->n_out = 1;
    return c->status;
}

static wf_status run_truth(wf_ctx *c, wf_device *d, wf_op_args *a)
{
    const bool expands = a->op->forward != wfi_cast_forward && a->op->forward != wfi_copy_forward;
    for (int i = 0; i < a->n_in; i++)
        if (is_quantised(a->in[i]) && expands) a->in[i] = wf_cast(c, a->in[i], WF_DTYPE_F32);
    if (c->status != WF_OK) return c->status;
    if (d->begin) d->begin(d);
    const wf_status st = a->op->forward(c, a);
    if (d->end) d->end(d);
    return st;
}

/* Kernel first, then the truth where the device allows it. */
static wf_status run(wf_ctx *c, wf_op_args *a)
{
    wf_device *d = device_of(c, a);
    const wf_op_fn kernel = d->kernel[a->op - table];
    wf_status st = kernel ? kernel(c, a) : WF_ESKIP;
    if (st == WF_ESKIP && c->status == WF_OK) {
        if (!d->truth)
            return wf_fail_status(c, WF_EDEVICE, "%s has no kernel on %s for these inputs",
                                  a->op->name, d->name);
        st = run_truth(c, d, a);
    }
    if (st != WF_OK && c->status == WF_OK)
        return wf_fail_status(c, st, "%s: %s", a->op->name, wf_status_text(st));
    return c->status;
}

static wf_status make_contiguous(wf_ctx *c, wf_op_args *a)
{
    if (a->op->flag == WF_STRIDED) return WF_OK;
    const int first = a->op->flag == WF_INTO ? 1 : 0;
    for (int i = first; i < a->n_in; i++)
        if (a->in[i] && !wf_is_contiguous(a->in[i])) a->in[i] = wf_copy(c, a->in[i]);
    return c->status;
}

/* The op itself, on inputs that stand; temporary copies live in a scope of their own. */
static wf_status run_plain(wf_ctx *c, wf_op_args *a)
{
    WF_TRY(make_outputs(c, a));
    bool dense = true;
    for (int i = 0; i < a->n_in; i++)
        if (a->in[i] && (!wf_is_contiguous(a->in[i]) || is_quantised(a->in[i])))
            dense = false;
    if (dense) return run(c, a);

    wf_op_args b = *a;
    wf_scope *s = wf_scope_open(c);
    c->n_paused++;
    if (make_contiguous(c, &b) == WF_OK) (void)run(c, &b);
    c->n_paused--;
    wf_scope_close(c, s, NULL);
    return c->status;
}

/* An INTO op writes all of its inputs but the last. Foreign memory (a mapped file) is read only. */
static wf_status check_writable(wf_ctx *c, const wf_op_args *a)
{
    for (int i = 0; i < a->n_in - 1; i++)
        if (a->in[i] && a->in[i]->st->drop)
            return wf_fail_status(c, WF_EARG,
                                  "%s: input %d is mapped from a file, read only; copy it first",
                                  a->op->name, i + 1);
    return WF_OK;
}

static wf_status run_into(wf_ctx *c, wf_op_args *a)
{
    WF_TRY(check_writable(c, a));
    wf_scope *s = wf_scope_open(c);
    wf_op_args b = *a;
    wf_tensor **x = &b.in[b.n_in - 1];
    c->n_paused++;
    /* Values that are read where others are written would be read too late. */
    if (*x && *x != b.in[0] && (*x)->st == b.in[0]->st) *x = wf_copy(c, *x);
    if (c->status == WF_OK && make_contiguous(c, &b) == WF_OK) (void)run(c, &b);
    c->n_paused--;
    wf_scope_close(c, s, NULL);
    for (int i = 0; i < a->n_in - 1; i++)
        if (a->in[i] && a->in[i]->st) wfi_storage_touch(a->in[i]->st);
    a->out[0] = a->in[0];
    a->n_out = 1;
    return c->status;
}

static wf_status call(wf_ctx *c, wf_op_args *a, wf_tensor *const *in, int n_in,
                      const double *attr, int n_attr)
{
    WF_TRY(wf_ctx_check_cancel(c, a->op->name));
    WF_TRY(set_attrs(c, a, attr, n_attr));
    WF_TRY(set_inputs(c, a, in, n_in));
    WF_TRY(check_present(c, a));
    WF_TRY(check_blocks(c, a));
    WF_TRY(a->op->infer(c, a));
    if (c->status != WF_OK) return c->status;
    if (c->is_watching) wfi_watch_inputs(c, a->in, a->n_in);
    switch (a->op->flag) {
    case WF_VIEW: WF_TRY(make_view(c, a)); break;
    case WF_INTO: return run_into(c, a);
    default: WF_TRY(run_plain(c, a)); break;
    }
    if (c->is_watching) WF_TRY(wfi_watch_outputs(c, a->op->name, a->out, a->n_out));
    if (wfi_tape_wants(c, a->in, a->n_in)) wfi_tape_record(c, a);
    return c->status;
}

/* A reshape that no strides can show is a reshape of a copy. */
static wf_tensor *reshape_copy(wf_ctx *c, wf_tensor *x, const double *attr, int n_attr,
                               wf_tensor **out)
{
    wf_scope *s = wf_scope_open(c);
    x = wf_copy(c, x);
    wf_tensor *y = wf_scope_close(c, s, wf_op_call(c, WF_OP_ID_reshape, &x, 1, attr, n_attr));
    if (out) out[0] = y;
    return y;
}

wf_tensor *wf_op_call_multi(wf_ctx *c, wf_op_id id, wf_tensor *const *in, int n_in,
                            const double *attr, int n_attr, wf_tensor **out)
{
    if (out) memset(out, 0, (size_t)table[id].n_out * sizeof *out);
    if (c->status != WF_OK) return NULL;
    if (id == WF_OP_ID_reshape && n_in == 1 && wfi_reshape_needs_copy(in[0], attr, n_attr))
        return reshape_copy(c, in[0], attr, n_attr, out);
    wf_op_args a = {.op = &table[id]};
    if (call(c, &a, in, n_in, attr, n_attr) != WF_OK) {
        /* Without a scope a failed call's outputs float: nobody else could free them. */
        for (int i = 0; i < WF_OP_MAX_OUT; i++)
            if (a.op->flag != WF_INTO && a.out[i] && a.out[i]->floating) wf_release(a.out[i]);
        return NULL;
    }
    if (out) memcpy(out, a.out, (size_t)a.n_out * sizeof *out);
    return a.out[0];
}

wf_tensor *wf_op_call(wf_ctx *c, wf_op_id id, wf_tensor *const *in, int n_in,
                      const double *attr, int n_attr)
{
    wf_tensor *out[WF_OP_MAX_OUT];
    wf_tensor *y = wf_op_call_multi(c, id, in, n_in, attr, n_attr, out);
    for (int i = 1; y && i < table[id].n_out; i++)
        if (out[i] && out[i]->floating) wf_release(out[i]);
    return y;
}

/* ---- what op_<family>.c files share ---- */

wfi_values wfi_open(wf_tensor *t)
{
    wfi_values v = {0};
    if (!t) return v;
    wf_device *d = t->device;
    v.p = d->reach ? d->reach(d, wf_device_data(t)) : wf_device_data(t);
    v.t = t->dtype;
    v.n = wf_numel(t);
    v.rank = t->shape.rank;
    memcpy(v.dims, t->shape.dims, sizeof v.dims);
    memcpy(v.strides, t->strides, sizeof v.strides);
    if (wf_is_contiguous(t)) wfi_dense_strides(&t->shape, v.strides);   /* dims of 1 may have any */
    return v;
}

int64_t wfi_at(const int64_t *dims, const int64_t *strides, int rank, int64_t i)
{
    int64_t at = 0;
    for (int d = rank - 1; d >= 0; d--) {
        at += i % dims[d] * strides[d];
        i /= dims[d];
    }
    return at;
}

/* The ith input's name as ops.def writes it. */
static const char *input_name(const wf_op *op, int i, char *buf, size_t buf_bytes)
{
    const char *w = op->inputs;
    for (; i > 0 && *w; i--) {
        w += strcspn(w, " ");
        w += strspn(w, " ");
    }
    snprintf(buf, buf_bytes, "%.*s", (int)strcspn(w, " ?."), w);
    return buf;
}

wf_status wfi_check_rank(wf_ctx *c, const wf_op_args *a, int in, int rank)
{
    char name[32], text[180];
    if (wf_rank(a->in[in]) == rank) return WF_OK;
    return wf_fail_status(c, WF_ESHAPE, "%s: %s is %s, wants %d dims", a->op->name,
                          input_name(a->op, in, name, sizeof name),
                          wf_tensor_text(a->in[in], text, sizeof text), rank);
}

wf_status wfi_check_float(wf_ctx *c, const wf_op_args *a, int in)
{
    char name[32];
    const wf_dtype t = a->in[in]->dtype;
    if (wf_dtype_is_float(t)) return WF_OK;
    return wf_fail_status(c, WF_EDTYPE, "%s: %s is %s, wants a float dtype", a->op->name,
                          input_name(a->op, in, name, sizeof name), wf_dtype_text(t));
}

wf_status wfi_check_ids(wf_ctx *c, const wf_op_args *a, int in)
{
    char name[32];
    const wf_dtype t = a->in[in]->dtype;
    if (t == WF_DTYPE_I64 || t == WF_DTYPE_I32) return WF_OK;
    return wf_fail_status(c, WF_EDTYPE, "%s: %s is %s, wants i64 or i32", a->op->name,
                          input_name(a->op, in, name, sizeof name), wf_dtype_text(t));
}

wf_status wfi_check_same(wf_ctx *c, const wf_op_args *a, int in, int other)
{
    char n0[32], n1[32], t0[180], t1[180];
    if (wf_shape_is_same(&a->in[in]->shape, &a->in[other]->shape)) return WF_OK;
    return wf_fail_status(
        c, WF_ESHAPE, "%s: %s is %s, %s is %s: wants the same shape", a->op->name,
        input_name(a->op, in, n0, sizeof n0), wf_tensor_text(a->in[in], t0, sizeof t0),
        input_name(a->op, other, n1, sizeof n1), wf_tensor_text(a->in[other], t1, sizeof t1));
}

wf_status wfi_check_rows(wf_ctx *c, const wf_op_args *a)
{
    if (wf_rank(a->in[0]) >= 1) return WF_OK;
    return wf_fail_status(c, WF_ESHAPE, "%s: x is one value, wants rows", a->op->name);
}

wf_status wfi_check_int_attr(wf_ctx *c, const wf_op_args *a, int attr, int64_t lo, int64_t hi)
{
    const double v = a->attr[attr];
    if (v >= (double)lo && v <= (double)hi && v == (double)(int64_t)v) return WF_OK;
    char name[32];
    double unused = 0.0;
    (void)wf_op_get_attr(a->op, attr < a->op->n_attr ? attr : a->op->n_attr, name, sizeof name,
                         &unused);
    return wf_fail_status(c, WF_EARG, "%s: %s is %g, wants a whole number of %lld ... %lld",
                          a->op->name, name, v, (long long)lo, (long long)hi);
}

wf_status wfi_check_dim(wf_ctx *c, const wf_op_args *a, int attr, int rank, int *dim)
{
    WF_TRY(wfi_check_int_attr(c, a, attr, -rank, rank - 1));
    *dim = (int)a->attr[attr];
    if (*dim < 0) *dim += rank;
    return WF_OK;
}

wf_tensor *wfi_unbroadcast(wf_ctx *c, wf_tensor *g, const wf_tensor *like)
{
    const wf_shape s = wf_get_shape(like);
    if (!g || wf_shape_is_same(&g->shape, &s)) return g;
    return wf_sum_to(c, g, &s);
}
