/* grad.h - reverse-mode differentiation over a tape of ops.
 *
 * Gradients are taken with respect to chosen tensors only; an op none of whose inputs leads back to
 * one is not recorded. The tape keeps alive what backward needs, whatever scopes close meanwhile.
 */
#ifndef WF_CORE_GRAD_H
#define WF_CORE_GRAD_H

#include "core/tensor/tensor.h"

typedef struct wf_tape wf_tape;

/* Start recording in c with respect to wrt[n] (float tensors, not views of each other). Tapes nest:
 * an inner tape hides the outer one. NULL once c has failed. */
wf_tape *wf_tape_open(wf_ctx *c, wf_tensor *const *wrt, int n);

/* Gradients of loss (one value) into grads[n], in the order of wrt: new tensors of f32 (or f64),
 * scoped or floating; NULL where loss does not depend on wrt[i]. Uses the tape up: a second call
 * fails. Errors  WF_EGRAD  loss was not computed from wrt under this tape, the tape was used
 * before, an op on the way has no gradient, or loss is not one value */
wf_status wf_tape_backward(wf_tape *t, wf_tensor *loss, wf_tensor **grads) WF_MUST_USE;

/* The same from a given gradient dy of y (same shape), instead of a loss. */
wf_status wf_tape_backward_from(wf_tape *t, wf_tensor *y, wf_tensor *dy,
                                wf_tensor **grads) WF_MUST_USE;

/* Stop recording and drop the tape; t may be NULL. Must be the innermost open tape. */
void wf_tape_close(wf_tape *t);

/* Stop and resume recording (values computed while paused are constants). Pauses nest. */
void wf_tape_pause(wf_ctx *c);
void wf_tape_resume(wf_ctx *c);
bool wf_is_recording(const wf_ctx *c);

/* A block of the graph that keeps only its inputs: fn runs now without recording and again in
 * backward. fn must depend on in[] and on tensors chosen by the open tape alone, and give the same
 * values both times. drop(arg), may be NULL, is called when the block is no longer needed.
 * Returns fn's result, scoped. */
typedef wf_tensor *(*wf_block_fn)(wf_ctx *c, void *arg, wf_tensor *const *in, int n_in);
wf_tensor *wf_checkpoint(wf_ctx *c, wf_block_fn fn, void *arg, void (*drop)(void *arg),
                         wf_tensor *const *in, int n_in);

#endif
