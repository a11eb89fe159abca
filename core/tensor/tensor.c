/*
 * tensor.c - storages, tensor handles and scopes.
 *
 * A storage is counted bytes; a tensor is a counted view of one. A scope lists the handles made in
 * it; closing it takes the storage from every handle that was not kept, at once, so a handle that
 * outlives its scope is a husk and never reads freed memory.
 */
#include "core/tensor/tensor_impl.h"

#include <stdio.h>
#include <string.h>

/* ---- storages ---- */

wfi_storage *wfi_storage_new(wf_ctx *c, wf_device *d, size_t bytes)
{
    wfi_storage *s = wf_mem_calloc(c->mem, sizeof *s);
    if (!s) return wf_fail(c, WF_ENOMEM, "no memory for a tensor");
    s->data = d->alloc(d, c->mem, bytes ? bytes : 1);
    if (!s->data) {
        wf_mem_free(c->mem, s);
        return wf_fail(c, WF_ENOMEM, "no memory for a tensor of %zu bytes on %s", bytes, d->name);
    }
    s->refs = 1;
    s->device = d;
    s->mem = c->mem;
    s->bytes = bytes;
    return s;
}

static void drop_preps(wfi_storage *s)
{
    for (int i = 0; i < WFI_PREPS; i++) {
        wf_mem_free(s->mem, s->prep[i].p);
        s->prep[i].p = NULL;
    }
}

void wfi_storage_touch(wfi_storage *s)
{
    s->written = true;
    drop_preps(s);
}

void wfi_storage_release(wfi_storage *s)
{
    if (!s || --s->refs > 0) return;
    drop_preps(s);
    if (s->drop) s->drop(s->owner);
    else s->device->free(s->device, s->mem, s->data);
    wf_mem_free(s->mem, s);
}

void *wf_prep_find(const wf_tensor *t, int tag)
{
    if (!t->st) return NULL;
    for (int i = 0; i < WFI_PREPS; i++)
        if (t->st->prep[i].p && t->st->prep[i].tag == tag) return t->st->prep[i].p;
    return NULL;
}

bool wf_prep_keep(wf_tensor *t, int tag, void *p)
{
    for (int i = 0; i < WFI_PREPS; i++) {
        if (t->st->prep[i].p) continue;
        t->st->prep[i].tag = tag;
        t->st->prep[i].p = p;
        return true;
    }
    return false;
}

bool wf_prep_is_constant(const wf_tensor *t) { return t->st && !t->st->written; }

/* ---- handles ---- */

size_t wfi_dtype_bytes(wf_dtype t, int64_t n)
{
    const int64_t block = wf_dtype_block_elems(t);
    return (size_t)((n + block - 1) / block) * wf_dtype_block_bytes(t);
}

void wfi_dense_strides(const wf_shape *s, int64_t *strides)
{
    int64_t n = 1;
    for (int i = s->rank - 1; i >= 0; i--) {
        strides[i] = n;
        n *= s->dims[i];
    }
}

wf_tensor *wfi_handle(wf_ctx *c, wf_dtype t, const wf_shape *s, wfi_storage *st)
{
    wf_tensor *h = wf_mem_calloc(c->mem, sizeof *h);
    if (!h) return wf_fail(c, WF_ENOMEM, "no memory for a tensor");
    h->refs = 1;
    h->dtype = t;
    h->shape = *s;
    h->mem = c->mem;
    h->st = st;
    h->device = st ? st->device : c->device;
    if (st) st->refs++;
    wfi_dense_strides(s, h->strides);
    return h;
}

wf_tensor *wfi_save(wf_ctx *c, const wf_tensor *t, bool data)
{
    wf_tensor *h = wfi_handle(c, t->dtype, &t->shape, data ? t->st : NULL);
    if (!h) return NULL;
    memcpy(h->strides, t->strides, sizeof h->strides);
    h->offset = t->offset;
    h->device = t->device;
    return h;
}

wf_tensor *wf_retain(wf_tensor *t)
{
    if (t) t->refs++;
    return t;
}

static void make_husk(wf_tensor *t)
{
    wfi_storage_release(t->st);
    t->st = NULL;
}

void wf_release(wf_tensor *t)
{
    if (!t || --t->refs > 0) return;
    make_husk(t);
    wf_mem_free(t->mem, t);
}

wf_tensor *wf_take(wf_ctx *c, wf_tensor *t)
{
    (void)c;
    if (!t) return NULL;
    if (t->floating) t->floating = false;
    else t->refs++;
    return t;
}

/* ---- scopes ---- */

wf_scope *wf_scope_open(wf_ctx *c)
{
    if (c->status != WF_OK) return NULL;
    wf_scope *s = wf_mem_calloc(c->mem, sizeof *s);
    if (!s) return wf_fail(c, WF_ENOMEM, "no memory for a scope");
    s->parent = c->scope;
    s->device = c->device;
    c->scope = s;
    return s;
}

wf_scope *wf_scope_open_on(wf_ctx *c, const wf_tensor *t)
{
    wf_scope *s = wf_scope_open(c);
    if (s && t) c->device = t->device;
    return s;
}

/* One more slot; false without memory. */
static bool reserve(wf_ctx *c, wf_scope *s)
{
    if (s->n < s->cap) return true;
    const int64_t cap = s->cap ? 2 * s->cap : 32;
    wf_tensor **list = wf_mem_alloc(c->mem, (size_t)cap * sizeof *list);
    if (!list) return false;
    if (s->n) memcpy(list, s->list, (size_t)s->n * sizeof *list);
    wf_mem_free(c->mem, s->list);
    s->list = list;
    s->cap = cap;
    return true;
}

wf_tensor *wfi_enter(wf_ctx *c, wf_tensor *t)
{
    if (!t) return NULL;
    if (!c->scope) {
        t->floating = true;
        return t;
    }
    if (!reserve(c, c->scope)) {
        wf_release(t);
        return wf_fail(c, WF_ENOMEM, "no memory for a scope");
    }
    c->scope->list[c->scope->n++] = t;
    return t;
}

/* Take t's entry out of s; its reference is the caller's. False when t is not in s. */
static bool remove_entry(wf_scope *s, const wf_tensor *t)
{
    for (int64_t i = s->n - 1; i >= 0; i--) {
        if (s->list[i] != t) continue;
        s->list[i] = s->list[--s->n];
        return true;
    }
    return false;
}

void wf_scope_keep(wf_ctx *c, wf_tensor *t)
{
    wf_scope *s = c->scope;
    if (!s || !t || !remove_entry(s, t)) return;
    c->scope = s->parent;
    wfi_enter(c, t);
    c->scope = s;
}

wf_tensor *wf_take_owned(wf_ctx *c, wf_tensor *t)
{
    if (!t) return NULL;
    for (wf_scope *s = c->scope; s; s = s->parent)
        if (remove_entry(s, t)) return t;
    return wf_take(c, t);
}

wf_tensor *wf_scope_close(wf_ctx *c, wf_scope *s, wf_tensor *keep)
{
    if (!s) return NULL;
    if (keep && c->status == WF_OK) wf_scope_keep(c, keep);
    c->scope = s->parent;
    c->device = s->device;
    for (int64_t i = 0; i < s->n; i++) {
        make_husk(s->list[i]);
        wf_release(s->list[i]);
    }
    wf_mem_free(c->mem, s->list);
    wf_mem_free(c->mem, s);
    return c->status == WF_OK ? keep : NULL;
}

/* ---- looking ---- */

int wf_rank(const wf_tensor *t) { return t ? t->shape.rank : 0; }

int64_t wf_dim(const wf_tensor *t, int d)
{
    if (!t) return 0;
    if (d < 0) d += t->shape.rank;
    return d >= 0 && d < t->shape.rank ? t->shape.dims[d] : 1;
}

int64_t wf_stride(const wf_tensor *t, int d)
{
    if (d < 0) d += t->shape.rank;
    return d >= 0 && d < t->shape.rank ? t->strides[d] : 0;
}

int64_t wf_numel(const wf_tensor *t) { return t ? wf_shape_numel(&t->shape) : 0; }
wf_dtype wf_get_dtype(const wf_tensor *t) { return t ? t->dtype : WF_DTYPE_F32; }
wf_shape wf_get_shape(const wf_tensor *t) { return t ? t->shape : (wf_shape){0}; }
wf_device *wf_get_device(const wf_tensor *t) { return t->device; }
bool wf_is_dead(const wf_tensor *t) { return !t || !t->st; }
size_t wf_tensor_bytes(const wf_tensor *t) { return wfi_dtype_bytes(t->dtype, wf_numel(t)); }

bool wf_is_contiguous(const wf_tensor *t)
{
    int64_t n = 1;
    for (int i = t->shape.rank - 1; i >= 0; i--) {
        if (t->shape.dims[i] != 1 && t->strides[i] != n) return false;
        n *= t->shape.dims[i];
    }
    return true;
}

const char *wf_tensor_text(const wf_tensor *t, char *buf, size_t buf_bytes)
{
    char dims[160];
    if (!t) snprintf(buf, buf_bytes, "nothing");
    else snprintf(buf, buf_bytes, "%s %s", wf_dtype_text(t->dtype),
                  wf_shape_text(&t->shape, dims, sizeof dims));
    return buf;
}

void *wf_device_data(const wf_tensor *t)
{
    if (!t || !t->st) return NULL;
    return (char *)t->st->data + wfi_dtype_bytes(t->dtype, t->offset);
}

static void *host_data(const wf_tensor *t)
{
    return t && t->device->host ? wf_device_data(t) : NULL;
}

void *wf_data(wf_tensor *t) { return host_data(t); }
const void *wf_data_const(const wf_tensor *t) { return host_data(t); }

float *wf_f32(wf_tensor *t) { return t && t->dtype == WF_DTYPE_F32 ? host_data(t) : NULL; }

const float *wf_f32_const(const wf_tensor *t)
{
    return t && t->dtype == WF_DTYPE_F32 ? host_data(t) : NULL;
}
