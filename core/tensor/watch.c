/* watch.c - each op's outputs looked at, and the inputs of the last ops remembered by address. */
#include "core/tensor/watch.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/base/ctx_impl.h"
#include "core/tensor/grad.h"
#include "core/tensor/op_impl.h"

wf_odd_values wf_count_odd(wf_ctx *c, wf_tensor *t)
{
    wf_odd_values odd = {0};
    if (wf_has_failed(c) || !t || !wf_dtype_is_float(wf_get_dtype(t))) return odd;
    wf_scope *s = wf_scope_open(c);
    wf_tape_pause(c);
    t = wf_contiguous(c, wf_to_device(c, wf_cast(c, t, WF_DTYPE_F32), wf_cpu_device()));
    const float *x = wf_f32_const(t);
    for (int64_t i = 0; x && i < wf_numel(t); i++) {
        if (isfinite(x[i])) continue;
        if (isnan(x[i])) odd.n_nan++;
        else if (x[i] > 0) odd.n_plus++;
        else odd.n_minus++;
    }
    wf_tape_resume(c);
    wf_scope_close(c, s, NULL);
    return odd;
}

void wf_watch(wf_ctx *c, bool on)
{
    c->is_watching = on;
    c->n_seen = 0;
}

bool wf_is_watching(const wf_ctx *c) { return c->is_watching; }

void wfi_watch_inputs(wf_ctx *c, wf_tensor *const *in, int n_in)
{
    for (int i = 0; i < n_in; i++)
        if (in[i]) c->seen[c->n_seen++ % WF_WATCH_SEEN] = in[i];
}

int wf_watch_find(const wf_ctx *c, const wf_tensor *t)
{
    for (int back = 0; back < WF_WATCH_SEEN && back < (int)c->n_seen; back++)
        if (c->seen[(c->n_seen - 1 - back) % WF_WATCH_SEEN] == t) return back;
    return -1;
}

wf_status wfi_watch_outputs(wf_ctx *c, const char *op, wf_tensor *const *out, int n_out)
{
    c->is_watching = false;             /* what looks at the values is no part of the run */
    bool bad = false;
    for (int i = 0; i < n_out && !bad; i++) {
        const wf_odd_values odd = wf_count_odd(c, out[i]);
        bad = odd.n_nan > 0 || odd.n_plus > 0;
    }
    c->is_watching = true;
    if (!bad) return wf_get_status(c);
    return wf_fail_status(c, WF_ENAN, "first non-finite value after %s", op);
}

void wf_watch_amend(wf_ctx *c, const char *fmt, ...)
{
    const size_t n = strlen(c->message);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(c->message + n, sizeof c->message - n, fmt, ap);
    va_end(ap);
}
