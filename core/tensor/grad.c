/*
 * grad.c - the tape: which tensors lead back to the chosen ones, and what backward needs of each
 * op.
 *
 * A tape numbers tensors: every chosen tensor and every result that depends on one has a slot,
 * found by its handle in a hash table. The tape holds a reference to each handle it knows, so an
 * address cannot come back as another tensor, and private handles on the values backward wants, so
 * scopes may close meanwhile. Backward runs with the tape closed for recording, an op at a time,
 * last to first, and drops each node's values as soon as they are used.
 */
#include "core/tensor/grad.h"
#include "core/tensor/op_impl.h"
#include "core/tensor/tensor_impl.h"

#include <string.h>

/* A checkpointed block, instead of an op. */
typedef struct block {
    wf_block_fn fn;
    void *arg;
    void (*drop)(void *arg);
} block;

typedef struct node {
    const wf_op *op;                     /* NULL: a block */
    block blk;
    double attr[WF_OP_MAX_ATTR];
    int n_attr, n_in, n_out;
    wf_tensor **in;                      /* private handles; then the outputs' */
    int64_t *slot;                       /* of each input (-1: a constant); then of each output */
    struct node *prev;
} node;

typedef struct entry {
    wf_tensor *t;                        /* retained; NULL: free */
    int64_t slot;
} entry;

struct wf_tape {
    wf_ctx *c;
    struct wf_tape *outer;
    node *last;
    entry *map;                          /* open addressing, cap a power of two */
    int64_t cap, n_entries, n_slots;
    wf_tensor **wrt;                     /* borrowed handles, retained in the map */
    int n_wrt;
    int outer_paused;
    bool used;
};

/* ---- the map from handles to slots ---- */

static int64_t hash_of(const wf_tape *t, const wf_tensor *x)
{
    return (int64_t)(((uint64_t)(uintptr_t)x >> 6) * UINT64_C(0x9E3779B97F4A7C15) >> 20) &
           (t->cap - 1);
}

static int64_t find_slot(const wf_tape *t, const wf_tensor *x)
{
    if (!x || !t->cap) return -1;
    for (int64_t i = hash_of(t, x);; i = (i + 1) & (t->cap - 1)) {
        if (!t->map[i].t) return -1;
        if (t->map[i].t == x) return t->map[i].slot;
    }
}

static void insert(wf_tape *t, wf_tensor *x, int64_t slot)
{
    int64_t i = hash_of(t, x);
    while (t->map[i].t) i = (i + 1) & (t->cap - 1);
    t->map[i] = (entry){.t = x, .slot = slot};
    t->n_entries++;
}

static bool grow(wf_tape *t)
{
    entry *old = t->map;
    const int64_t old_cap = t->cap, cap = old_cap ? 2 * old_cap : 1024;
    entry *map = wf_mem_calloc(t->c->mem, (size_t)cap * sizeof *map);
    if (!map) return false;
    t->map = map;
    t->cap = cap;
    t->n_entries = 0;
    for (int64_t i = 0; i < old_cap; i++)
        if (old[i].t) insert(t, old[i].t, old[i].slot);
    wf_mem_free(t->c->mem, old);
    return true;
}

/* Give x a slot, or return the one it has; -1 without memory. */
static int64_t add_slot(wf_tape *t, wf_tensor *x)
{
    const int64_t have = find_slot(t, x);
    if (have >= 0) return have;
    if (2 * t->n_entries >= t->cap && !grow(t)) return -1;
    insert(t, wf_retain(x), t->n_slots);
    return t->n_slots++;
}

/* ---- opening and recording ---- */

static void drop_node(wf_tape *t, node *n)
{
    for (int i = 0; i < n->n_in + n->n_out; i++) wf_release(n->in[i]);
    if (!n->op && n->blk.drop) n->blk.drop(n->blk.arg);
    wf_mem_free(t->c->mem, n->in);
    wf_mem_free(t->c->mem, n->slot);
    wf_mem_free(t->c->mem, n);
}

wf_tape *wf_tape_open(wf_ctx *c, wf_tensor *const *wrt, int n)
{
    if (c->status != WF_OK) return NULL;
    wf_tape *t = wf_mem_calloc(c->mem, sizeof *t);
    wf_tensor **list = wf_mem_calloc(c->mem, (size_t)n * sizeof *list + 1);
    if (!t || !list) {
        wf_mem_free(c->mem, t);
        wf_mem_free(c->mem, list);
        return wf_fail(c, WF_ENOMEM, "no memory for a tape");
    }
    t->c = c;
    t->wrt = list;
    t->outer = c->tape;
    t->outer_paused = c->n_paused;
    c->tape = t;
    c->n_paused = 0;
    for (int i = 0; i < n && c->status == WF_OK; i++) {
        if (!wrt[i]) wf_fail(c, WF_EARG, "grad: tensor %d is missing", i + 1);
        else if (!wrt[i]->st)
            wf_fail(c, WF_EDEAD, "grad: tensor %d is used after its scope closed", i + 1);
        else if (!wf_dtype_is_float(wrt[i]->dtype))
            wf_fail(c, WF_EGRAD, "grad: tensor %d is %s; gradients are of float tensors", i + 1,
                    wf_dtype_text(wrt[i]->dtype));
        else if (add_slot(t, wrt[i]) < 0) wf_fail(c, WF_ENOMEM, "no memory for a tape");
        else list[t->n_wrt++] = wrt[i];
    }
    if (c->status == WF_OK) return t;
    wf_tape_close(t);
    return NULL;
}

void wf_tape_close(wf_tape *t)
{
    if (!t) return;
    wf_ctx *c = t->c;
    while (t->last) {
        node *n = t->last;
        t->last = n->prev;
        drop_node(t, n);
    }
    for (int64_t i = 0; i < t->cap; i++) wf_release(t->map[i].t);
    c->tape = t->outer;
    c->n_paused = t->outer_paused;
    wf_mem_free(c->mem, t->map);
    wf_mem_free(c->mem, t->wrt);
    wf_mem_free(c->mem, t);
}

void wf_tape_pause(wf_ctx *c) { c->n_paused++; }
void wf_tape_resume(wf_ctx *c) { c->n_paused--; }
bool wf_is_recording(const wf_ctx *c) { return c->tape && c->n_paused == 0; }

bool wfi_tape_wants(wf_ctx *c, wf_tensor *const *in, int n_in)
{
    if (!wf_is_recording(c)) return false;
    for (int i = 0; i < n_in; i++)
        if (find_slot(c->tape, in[i]) >= 0) return true;
    return false;
}

static node *new_node(wf_tape *t, int n_in, int n_out)
{
    wf_mem *m = t->c->mem;
    node *n = wf_mem_calloc(m, sizeof *n);
    if (!n) return wf_fail(t->c, WF_ENOMEM, "no memory for the tape");
    n->in = wf_mem_calloc(m, (size_t)(n_in + n_out) * sizeof *n->in);
    n->slot = wf_mem_calloc(m, (size_t)(n_in + n_out) * sizeof *n->slot);
    if (n->in && n->slot) {
        n->n_in = n_in;
        n->n_out = n_out;
        return n;
    }
    wf_mem_free(m, n->in);
    wf_mem_free(m, n->slot);
    wf_mem_free(m, n);
    return wf_fail(t->c, WF_ENOMEM, "no memory for the tape");
}

/* Fill the node's handles and slots; false once the context has failed. */
static bool fill_node(wf_tape *t, node *n, wf_tensor *const *in, wf_tensor *const *out,
                      bool keep_in, bool keep_out)
{
    wf_ctx *c = t->c;
    for (int i = 0; i < n->n_in; i++) {
        n->slot[i] = find_slot(t, in[i]);
        if (in[i]) n->in[i] = wfi_save(c, in[i], keep_in);
    }
    for (int i = 0; i < n->n_out; i++) {
        n->in[n->n_in + i] = wfi_save(c, out[i], keep_out);
        n->slot[n->n_in + i] = add_slot(t, out[i]);
        if (n->slot[n->n_in + i] < 0) wf_fail(c, WF_ENOMEM, "no memory for the tape");
    }
    if (c->status == WF_OK) {
        n->prev = t->last;
        t->last = n;
        return true;
    }
    n->blk.drop = NULL;
    drop_node(t, n);
    return false;
}

void wfi_tape_record(wf_ctx *c, const wf_op_args *a)
{
    node *n = new_node(c->tape, a->n_in, a->n_out);
    if (!n) return;
    const wf_op_grad g = a->op->grad;
    n->op = a->op;
    n->n_attr = a->n_attr;
    memcpy(n->attr, a->attr, sizeof n->attr);
    (void)fill_node(c->tape, n, a->in, a->out, g == WF_KEEP_IN || g == WF_KEEP_BOTH,
                    g == WF_KEEP_OUT || g == WF_KEEP_BOTH);
}

/* ---- blocks ---- */

wf_tensor *wf_checkpoint(wf_ctx *c, wf_block_fn fn, void *arg, void (*drop)(void *arg),
                         wf_tensor *const *in, int n_in)
{
    wf_scope *s = wf_scope_open(c);
    wf_tape_pause(c);
    wf_tensor *y = fn(c, arg, in, n_in);
    wf_tape_resume(c);
    y = wf_scope_close(c, s, y);
    node *n = y && wf_is_recording(c) ? new_node(c->tape, n_in, 1) : NULL;
    if (n) {
        n->blk = (block){.fn = fn, .arg = arg, .drop = drop};
        if (fill_node(c->tape, n, in, &y, true, false)) return y;
    }
    if (drop) drop(arg);
    return c->status == WF_OK ? y : NULL;
}

/* ---- backward ---- */

/* grads[slot] += g; takes no reference it does not hold. */
static void accumulate(wf_ctx *c, wf_tensor **grads, int64_t slot, wf_tensor *g)
{
    if (!g || slot < 0) return;
    wf_tensor *sum = grads[slot] ? wf_add(c, grads[slot], g) : g;
    if (!sum) return;
    sum = wfi_save(c, sum, true);
    wf_release(grads[slot]);
    grads[slot] = sum;
}

static void op_backward(wf_tape *t, node *n, wf_tensor **grads)
{
    wf_ctx *c = t->c;
    if (!n->op->backward) {
        wf_fail(c, WF_EGRAD, "%s has no gradient, but the loss depends on it", n->op->name);
        return;
    }
    wf_grad_args g = {.op = n->op, .n_in = n->n_in, .n_out = n->n_out, .n_attr = n->n_attr};
    memcpy(g.attr, n->attr, sizeof g.attr);
    for (int i = 0; i < n->n_in; i++) {
        g.in[i] = n->in[i];
        g.need[i] = n->slot[i] >= 0 && wf_dtype_is_float(n->in[i]->dtype);
    }
    for (int i = 0; i < n->n_out; i++) {
        g.out[i] = n->in[n->n_in + i];
        g.dy[i] = grads[n->slot[n->n_in + i]];
    }
    n->op->backward(c, &g);
    for (int i = 0; i < n->n_in && c->status == WF_OK; i++)
        if (g.need[i]) accumulate(c, grads, n->slot[i], g.dx[i]);
}

/* Run the block again on a tape of its own, with respect to its inputs and the tape's chosen
 * tensors. */
static void block_backward(wf_tape *t, node *n, wf_tensor **grads)
{
    wf_ctx *c = t->c;
    const int total = n->n_in + t->n_wrt;
    wf_tensor **wrt = wf_mem_calloc(c->mem, 2 * (size_t)total * sizeof *wrt);
    int64_t *slot = wf_mem_calloc(c->mem, (size_t)total * sizeof *slot);
    if (!wrt || !slot) wf_fail(c, WF_ENOMEM, "no memory for backward");
    wf_tensor **got = wrt ? wrt + total : NULL;
    int k = 0;
    for (int i = 0; i < n->n_in && c->status == WF_OK; i++) {
        if (n->slot[i] < 0) continue;
        wrt[k] = n->in[i];
        slot[k++] = n->slot[i];
    }
    for (int i = 0; i < t->n_wrt && c->status == WF_OK; i++) {
        wrt[k] = t->wrt[i];
        slot[k++] = find_slot(t, t->wrt[i]);
    }
    wf_tape *inner = wf_tape_open(c, wrt, k);
    if (inner) {
        wf_tensor *y = n->blk.fn(c, n->blk.arg, n->in, n->n_in);
        if (y && wf_tape_backward_from(inner, y, grads[n->slot[n->n_in]], got) == WF_OK)
            for (int i = 0; i < k; i++) accumulate(c, grads, slot[i], got[i]);
        wf_tape_close(inner);
    }
    wf_mem_free(c->mem, wrt);
    wf_mem_free(c->mem, slot);
}

static void node_backward(wf_tape *t, node *n, wf_tensor **grads)
{
    wf_ctx *c = t->c;
    bool wanted = false;
    for (int i = 0; i < n->n_out; i++) wanted = wanted || grads[n->slot[n->n_in + i]];
    wf_scope *s = wanted ? wf_scope_open_on(c, n->in[n->n_in]) : NULL;
    if (s && n->op) op_backward(t, n, grads);
    else if (s) block_backward(t, n, grads);
    wf_scope_close(c, s, NULL);
    for (int i = 0; i < n->n_out; i++) {
        wf_release(grads[n->slot[n->n_in + i]]);
        grads[n->slot[n->n_in + i]] = NULL;
    }
}

/* Hand the chosen tensors' gradients out, f64 or f32; the caller's grads hold them, scoped. */
static void hand_out(wf_tape *t, wf_tensor **slots, wf_tensor **grads)
{
    for (int i = 0; i < t->n_wrt; i++) {
        wf_tensor **g = &slots[find_slot(t, t->wrt[i])];
        grads[i] = *g ? wfi_enter(t->c, wf_retain(*g)) : NULL;
    }
}

static wf_status check_backward(wf_tape *t, const wf_tensor *y, const wf_tensor *dy)
{
    wf_ctx *c = t->c;
    if (c->status != WF_OK) return c->status;
    if (t->used)
        return wf_fail_status(c, WF_EGRAD, "grad: this graph was used before; record it again");
    if (c->tape != t) return wf_fail_status(c, WF_EGRAD, "grad: an inner tape is still open");
    if (!y || wf_is_dead(y))
        return wf_fail_status(c, WF_EDEAD, "grad: the loss is used after its scope closed");
    if (!dy && wf_numel(y) != 1)
        return wf_fail_status(c, WF_EGRAD, "grad: the loss has %lld values, wants 1",
                              (long long)wf_numel(y));
    if (dy && !wf_shape_is_same(&dy->shape, &y->shape))
        return wf_fail_status(c, WF_ESHAPE, "grad: dy has another shape than y");
    if (find_slot(t, y) < 0)
        return wf_fail_status(c, WF_EGRAD,
                              "grad: the loss does not depend on any of the chosen tensors");
    return WF_OK;
}

wf_status wf_tape_backward_from(wf_tape *t, wf_tensor *y, wf_tensor *dy, wf_tensor **grads)
{
    wf_ctx *c = t->c;
    for (int i = 0; i < t->n_wrt; i++) grads[i] = NULL;
    WF_TRY(check_backward(t, y, dy));
    wf_tensor **slots = wf_mem_calloc(c->mem, (size_t)t->n_slots * sizeof *slots);
    if (!slots) return wf_fail_status(c, WF_ENOMEM, "no memory for backward");
    t->used = true;
    c->n_paused++;
    wf_scope *s = wf_scope_open_on(c, y);
    if (!dy)
        dy = wf_full(c, y->dtype == WF_DTYPE_F64 ? WF_DTYPE_F64 : WF_DTYPE_F32, &y->shape, 1.0);
    accumulate(c, slots, find_slot(t, y), dy);
    wf_scope_close(c, s, NULL);
    while (t->last) {
        node *n = t->last;
        if (c->status == WF_OK) node_backward(t, n, slots);
        t->last = n->prev;
        drop_node(t, n);
    }
    if (c->status == WF_OK) hand_out(t, slots, grads);
    for (int64_t i = 0; i < t->n_slots; i++) wf_release(slots[i]);
    wf_mem_free(c->mem, slots);
    c->n_paused--;
    return c->status;
}

wf_status wf_tape_backward(wf_tape *t, wf_tensor *loss, wf_tensor **grads)
{
    return wf_tape_backward_from(t, loss, NULL, grads);
}
