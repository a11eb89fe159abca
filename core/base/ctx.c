/* ctx.c - making contexts, and the pending failure: the first one wins. */
#include "core/base/ctx_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int n_cores(void)
{
    const long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : (int)n;
}

wf_ctx *wf_ctx_new(int n_threads)
{
    wf_mem *m = wf_mem_new();
    if (!m) return NULL;
    wf_ctx *c = wf_mem_calloc(m, sizeof *c);
    if (c) {
        c->mem = m;
        c->device = wf_cpu_device();
        c->pool = wf_pool_new(n_threads > 0 ? n_threads : n_cores());
        if (c->pool) return c;
        wf_mem_free(m, c);
    }
    wf_mem_free_all(m);
    return NULL;
}

void wf_ctx_free(wf_ctx *c)
{
    if (!c) return;
    wf_mem *m = c->mem;
    wf_pool_free(c->pool);
    wf_mem_free(m, c);
    wf_mem_free_all(m);
}

wf_mem *wf_ctx_get_mem(wf_ctx *c) { return c->mem; }
wf_pool *wf_ctx_get_pool(wf_ctx *c) { return c->pool; }
wf_device *wf_ctx_get_device(wf_ctx *c) { return c->device; }
void wf_ctx_set_device(wf_ctx *c, wf_device *d) { c->device = d; }
void wf_ctx_set_bf16(wf_ctx *c, bool on) { c->bf16 = on; }
bool wf_ctx_get_bf16(const wf_ctx *c) { return c->bf16; }
void wf_ctx_set_fence(wf_ctx *c, bool on) { c->fenced = on; }
bool wf_ctx_is_fenced(const wf_ctx *c) { return c->fenced; }
void wf_ctx_set_cancel(wf_ctx *c, volatile sig_atomic_t *flag) { c->cancel = flag; }

wf_status wf_ctx_check_cancel(wf_ctx *c, const char *what)
{
    if (c->cancel && *c->cancel) return wf_fail_status(c, WF_ECANCEL, "%s: stopped", what);
    return wf_get_status(c);
}

void wf_ctx_fail_io(wf_ctx *c, uint64_t n) { c->fail_io = n; }
bool wf_ctx_find_io_failure(wf_ctx *c) { return c->fail_io && --c->fail_io == 0; }

wf_status wf_ctx_set_threads(wf_ctx *c, int n_threads)
{
    wf_pool *p = wf_pool_new(n_threads > 0 ? n_threads : n_cores());
    if (!p) return wf_fail_status(c, WF_ENOMEM, "threads: no memory for a pool of %d", n_threads);
    wf_pool_free(c->pool);
    c->pool = p;
    return WF_OK;
}

static void store_failure(wf_ctx *c, wf_status st, const char *fmt, va_list ap)
{
    if (c->status != WF_OK) return;
    c->status = st;
    vsnprintf(c->message, sizeof c->message, fmt, ap);
}

void *wf_fail(wf_ctx *c, wf_status st, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    store_failure(c, st, fmt, ap);
    va_end(ap);
    return NULL;
}

wf_status wf_fail_status(wf_ctx *c, wf_status st, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    store_failure(c, st, fmt, ap);
    va_end(ap);
    return c->status;
}

void wf_fail_in(wf_ctx *c, const char *where)
{
    char text[WF_ERR_MAX];
    if (c->status == WF_OK || strstr(c->message, where)) return;
    snprintf(text, sizeof text, "%.300s: %.700s", where, c->message);
    memcpy(c->message, text, sizeof text);
}

bool wf_has_failed(const wf_ctx *c) { return c->status != WF_OK; }
wf_status wf_get_status(const wf_ctx *c) { return c->status; }

wf_status wf_take_error(wf_ctx *c, char *msg, size_t msg_bytes)
{
    const wf_status st = c->status;
    if (msg_bytes) snprintf(msg, msg_bytes, "%s", st == WF_OK ? "" : c->message);
    c->status = WF_OK;
    c->message[0] = '\0';
    return st;
}
