/* tensor_make.c - making tensors, and moving their values between the host and a device. */
#include "core/base/rng.h"
#include "core/tensor/grad.h"
#include "core/tensor/op_impl.h"
#include "core/tensor/tensor_impl.h"

#include <stdlib.h>
#include <string.h>

static wf_tensor *make(wf_ctx *c, wf_dtype t, const wf_shape *s, wf_device *d)
{
    char buf[160];
    if (c->status != WF_OK) return NULL;
    const int64_t n = s->rank < 0 || s->rank > WF_MAX_RANK ? -1 : wf_shape_numel(s);
    if (n < 0) return wf_fail(c, WF_ESHAPE, "tensor: %s is not a shape of at most %d dims",
                              wf_shape_text(s, buf, sizeof buf), WF_MAX_RANK);
    if (n % wf_dtype_block_elems(t) != 0)
        return wf_fail(c, WF_ESHAPE, "tensor: %s holds no whole number of %s blocks",
                       wf_shape_text(s, buf, sizeof buf), wf_dtype_text(t));
    wfi_storage *st = wfi_storage_new(c, d, wfi_dtype_bytes(t, n));
    if (!st) return NULL;
    wf_tensor *h = wfi_handle(c, t, s, st);
    wfi_storage_release(st);
    return wfi_enter(c, h);
}

wf_tensor *wf_empty(wf_ctx *c, wf_dtype t, const wf_shape *s) { return make(c, t, s, c->device); }

/* c has failed while x was filled: without a scope nobody else could free it. Returns NULL. */
static wf_tensor *give_up(wf_tensor *x)
{
    if (x && x->floating) wf_release(x);
    return NULL;
}

wf_tensor *wf_from_host(wf_ctx *c, wf_dtype t, const wf_shape *s, const void *data)
{
    wf_tensor *x = make(c, t, s, c->device);
    if (!x) return NULL;
    const size_t bytes = wf_tensor_bytes(x);
    if (!bytes || c->device->upload(c->device, wf_device_data(x), data, bytes) == WF_OK) return x;
    wf_fail(c, WF_EDEVICE, "%s: copying %zu bytes failed", c->device->name, bytes);
    return give_up(x);
}

wf_tensor *wf_full(wf_ctx *c, wf_dtype t, const wf_shape *s, double v)
{
    if (c->status != WF_OK) return NULL;
    const int64_t n = wf_shape_numel(s);
    if (n < 0 || !wf_dtype_is_float(t) || v != 0.0) {
        const wf_shape one = {0};
        uint8_t raw[8] = {0};
        wfi_values w = {.p = raw, .t = t, .n = 1};
        wfi_put(&w, 0, v);
        wf_tensor *x = make(c, t, s, c->device);
        wf_scope *sc = wf_scope_open(c);
        wf_copy_into(c, x, wf_from_host(c, t, &one, raw));
        wf_scope_close(c, sc, NULL);
        return c->status == WF_OK ? x : give_up(x);
    }
    void *zero = wf_mem_calloc(c->mem, wfi_dtype_bytes(t, n) + 1);
    if (!zero) return wf_fail(c, WF_ENOMEM, "no memory for %lld zeros", (long long)n);
    wf_tensor *x = wf_from_host(c, t, s, zero);
    wf_mem_free(c->mem, zero);
    return x;
}

wf_tensor *wf_zeros(wf_ctx *c, wf_dtype t, const wf_shape *s) { return wf_full(c, t, s, 0.0); }

wf_tensor *wf_scalar(wf_ctx *c, double v)
{
    const wf_shape s = {0};
    const float f = (float)v;
    return wf_from_host(c, WF_DTYPE_F32, &s, &f);
}

wf_tensor *wf_randn(wf_ctx *c, const wf_shape *s, uint64_t seed, uint32_t sample, uint32_t purpose)
{
    if (c->status != WF_OK) return NULL;
    const int64_t n = wf_shape_numel(s);
    if (n < 0) return wf_fail(c, WF_ESHAPE, "randn: not a shape");
    float *v = wf_mem_alloc(c->mem, (size_t)n * sizeof *v + 1);
    if (!v) return wf_fail(c, WF_ENOMEM, "no memory for %lld random values", (long long)n);
    const wf_rng_key key = {.seed = seed, .sample = sample, .purpose = purpose};
    wf_rng_normal(v, n, key, 0);
    wf_tensor *x = wf_from_host(c, WF_DTYPE_F32, s, v);
    wf_mem_free(c->mem, v);
    return x;
}

wf_tensor *wf_from_foreign(wf_ctx *c, wf_dtype t, const wf_shape *s, const void *data,
                           void (*drop)(void *owner), void *owner)
{
    wfi_storage *st = NULL;
    if (c->status == WF_OK) st = wf_mem_calloc(c->mem, sizeof *st);
    if (!st) {
        drop(owner);
        return c->status != WF_OK ? NULL : wf_fail(c, WF_ENOMEM, "no memory for a tensor");
    }
    st->refs = 1;
    st->device = wf_cpu_device();
    st->mem = c->mem;
    st->data = (void *)(uintptr_t)data;
    st->bytes = wfi_dtype_bytes(t, wf_shape_numel(s));
    st->drop = drop;
    st->owner = owner;
    wf_tensor *h = wfi_handle(c, t, s, st);
    wfi_storage_release(st);
    return wfi_enter(c, h);
}

/* ---- back to the host ---- */

static wf_status fetch(wf_ctx *c, const wf_tensor *t, void *out)
{
    wf_device *d = t->device;
    const size_t bytes = wf_tensor_bytes(t);
    if (!bytes) return WF_OK;
    const wf_status st = d->download(d, out, wf_device_data(t), bytes);
    return st == WF_OK ? WF_OK : wf_fail_status(c, WF_EDEVICE, "%s: reading back failed", d->name);
}

wf_status wf_to_host(wf_ctx *c, const wf_tensor *t, void *out, size_t out_bytes)
{
    if (c->status != WF_OK) return c->status;
    if (wf_is_dead(t)) return wf_fail_status(c, WF_EDEAD, "to_host: the tensor's scope has closed");
    if (out_bytes != wf_tensor_bytes(t))
        return wf_fail_status(c, WF_EARG, "to_host: %zu bytes for a tensor of %zu", out_bytes,
                              wf_tensor_bytes(t));
    wf_scope *s = wf_scope_open(c);
    wf_tape_pause(c);
    wf_tensor *x = wf_contiguous(c, (wf_tensor *)(uintptr_t)t);
    wf_tape_resume(c);
    if (x) (void)fetch(c, x, out);
    wf_scope_close(c, s, NULL);
    return c->status;
}

wf_status wf_to_f32(wf_ctx *c, const wf_tensor *t, float *out, int64_t n)
{
    if (c->status != WF_OK) return c->status;
    if (wf_is_dead(t)) return wf_fail_status(c, WF_EDEAD, "to_f32: the tensor's scope has closed");
    if (n != wf_numel(t))
        return wf_fail_status(c, WF_EARG, "to_f32: room for %lld values, the tensor has %lld",
                              (long long)n, (long long)wf_numel(t));
    wf_scope *s = wf_scope_open(c);
    wf_tape_pause(c);
    wf_tensor *x = wf_contiguous(c, wf_cast(c, (wf_tensor *)(uintptr_t)t, WF_DTYPE_F32));
    wf_tape_resume(c);
    if (x) (void)fetch(c, x, out);
    wf_scope_close(c, s, NULL);
    return c->status;
}

wf_status wf_set_f32(wf_ctx *c, wf_tensor *t, const float *v, int64_t n)
{
    if (c->status != WF_OK) return c->status;
    if (wf_is_dead(t)) return wf_fail_status(c, WF_EDEAD, "set: the tensor's scope has closed");
    if (n != wf_numel(t))
        return wf_fail_status(c, WF_EARG, "set: %lld values, the tensor has %lld", (long long)n,
                              (long long)wf_numel(t));
    wf_scope *s = wf_scope_open(c);
    const wf_shape shape = wf_get_shape(t);
    wf_copy_into(c, t, wf_from_host(c, WF_DTYPE_F32, &shape, v));
    wf_scope_close(c, s, NULL);
    return c->status;
}

double wf_item(wf_ctx *c, const wf_tensor *t)
{
    uint8_t raw[8];
    if (c->status != WF_OK) return 0.0;
    if (wf_numel(t) != 1 || wf_dtype_block_bytes(t->dtype) > sizeof raw) {
        char text[180];
        wf_fail(c, WF_ESHAPE, "item: the tensor is %s, wants one value",
                wf_tensor_text(t, text, sizeof text));
        return 0.0;
    }
    const wfi_values w = {.p = raw, .t = t->dtype, .n = 1};
    if (wf_to_host(c, t, raw, wf_dtype_block_bytes(t->dtype)) != WF_OK) return 0.0;
    return wfi_get(&w, 0);
}

wf_tensor *wf_to_device(wf_ctx *c, wf_tensor *x, wf_device *d)
{
    if (c->status != WF_OK || !x || x->device == d) return x;
    if (wf_is_dead(x)) return wf_fail(c, WF_EDEAD, "to_device: the tensor's scope has closed");
    if (wfi_tape_wants(c, &x, 1))
        return wf_fail(c, WF_EGRAD, "to_device has no gradient, and its tensor leads to the loss");
    void *host = wf_mem_alloc(c->mem, wf_tensor_bytes(x) + 1);
    if (!host) return wf_fail(c, WF_ENOMEM, "no memory to copy a tensor");
    wf_device *before = c->device;
    wf_tensor *y = NULL;
    if (wf_to_host(c, x, host, wf_tensor_bytes(x)) == WF_OK) {
        c->device = d;
        y = wf_from_host(c, x->dtype, &x->shape, host);
        c->device = before;
    }
    wf_mem_free(c->mem, host);
    return y;
}
