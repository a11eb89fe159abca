/* watch.h - finding where a value stops being a number.
 *
 * Watching is for a second run of what gave a result that is not finite: each op then checks what
 * it made and fails after the first that holds a NaN or plus infinity. Minus infinity is what masks
 * are made of.
 */
#ifndef WF_CORE_WATCH_H
#define WF_CORE_WATCH_H

#include "core/tensor/tensor.h"

/* How many values of t are NaN, plus and minus infinity, on any device, of any dtype. */
typedef struct wf_odd_values {
    int64_t n_nan, n_plus, n_minus;
} wf_odd_values;
wf_odd_values wf_count_odd(wf_ctx *c, wf_tensor *t);

void wf_watch(wf_ctx *c, bool on);
bool wf_is_watching(const wf_ctx *c);

/* Among the inputs of the last ops: the place of t, 0 the last one; -1 when it is not there. Names
 * of parameters are known higher up, which asks for each. */
int wf_watch_find(const wf_ctx *c, const wf_tensor *t);
/* Put more words behind the failure's sentence. */
void wf_watch_amend(wf_ctx *c, const char *fmt, ...) WF_PRINTF(2, 3);

/* For the dispatcher: note the inputs, then check the outputs. */
void wfi_watch_inputs(wf_ctx *c, wf_tensor *const *in, int n_in);
wf_status wfi_watch_outputs(wf_ctx *c, const char *op, wf_tensor *const *out, int n_out);

#endif
