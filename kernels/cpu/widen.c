/*
 * widen.c - kernels on half floats and quantised values: what a kernel of f32 declines is handed to
 * it again with those inputs cast.
 *
 * The second input is cast last of all: linear and conv2d have their weight there, and read it
 * as it is stored.
 */
#include "core/tensor/grad.h"
#include "kernels/cpu/kern.h"

#include <string.h>

wf_status WF_K(widen)(wf_ctx *c, wf_op_args *a, wf_op_fn kernel);

static bool is_narrow(const wf_tensor *t)
{
    const wf_dtype d = t ? wf_get_dtype(t) : WF_DTYPE_F32;
    return d == WF_DTYPE_F16 || d == WF_DTYPE_BF16 || d == WF_DTYPE_Q8_0 || d == WF_DTYPE_Q4_0;
}

/* The outputs that b has as f32 go into a's own. */
static void narrow_outputs(wf_ctx *c, const wf_op_args *b, wf_op_args *a)
{
    for (int i = 0; i < a->n_out; i++) {
        if (a->out[i] == b->out[i]) continue;
        wf_tensor *y = wf_cast(c, b->out[i], wf_get_dtype(a->out[i]));
        if (y) memcpy(wf_data(a->out[i]), wf_data(y), wf_tensor_bytes(y));
    }
}

static wf_status run_widened(wf_ctx *c, wf_op_args *a, wf_op_fn kernel, bool second)
{
    wf_op_args b = *a;
    bool changed = false;
    for (int i = 0; i < a->n_in; i++) {
        if (!is_narrow(a->in[i]) || (i == 1 && !second)) continue;
        b.in[i] = wf_cast(c, a->in[i], WF_DTYPE_F32);
        changed = true;
    }
    for (int i = 0; i < a->n_out; i++)         /* their values do not matter yet, their shapes do */
        if (is_narrow(a->out[i])) b.out[i] = wf_cast(c, a->out[i], WF_DTYPE_F32);
    if (wf_has_failed(c)) return wf_get_status(c);
    const wf_status st = changed ? kernel(c, &b) : WF_ESKIP;
    if (st == WF_OK) narrow_outputs(c, &b, a);
    return st == WF_OK ? wf_get_status(c) : st;
}

wf_status WF_K(widen)(wf_ctx *c, wf_op_args *a, wf_op_fn kernel)
{
    bool narrow = false;
    /* what this file is made of */
    if (a->op->forward == wfi_cast_forward || a->op->forward == wfi_copy_forward) return WF_ESKIP;
    for (int i = 0; i < a->n_in; i++) narrow = narrow || is_narrow(a->in[i]);
    if (!narrow || a->op->flag == WF_INTO || wf_has_failed(c)) return WF_ESKIP;
    wf_scope *scope = wf_scope_open(c);
    wf_tape_pause(c);
    wf_status st = run_widened(c, a, kernel, false);
    if (st == WF_ESKIP) st = run_widened(c, a, kernel, true);
    wf_tape_resume(c);
    wf_scope_close(c, scope, NULL);
    return st;
}
