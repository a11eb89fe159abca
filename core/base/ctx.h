/* ctx.h - the context: device, memory, threads, the pending failure, scopes, the tape.
 *
 * A context belongs to one thread at a time. Once it has failed every op is a no-op that returns
 * NULL, until the boundary takes the failure with wf_take_error.
 */
#ifndef WF_CORE_CTX_H
#define WF_CORE_CTX_H

#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/mem.h"
#include "core/base/status.h"
#include "core/base/thread.h"

#if defined(__GNUC__)
#define WF_MUST_USE __attribute__((warn_unused_result))
#define WF_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define WF_MUST_USE
#define WF_PRINTF(f, a)
#endif

enum { WF_ERR_MAX = 1024 };

typedef struct wf_ctx wf_ctx;
typedef struct wf_device wf_device;

/* A context on the CPU with n_threads threads (0: as many as the machine has cores).
 * Owned; NULL without memory. */
wf_ctx *wf_ctx_new(int n_threads);
void wf_ctx_free(wf_ctx *c);

wf_mem *wf_ctx_get_mem(wf_ctx *c);
wf_pool *wf_ctx_get_pool(wf_ctx *c);
wf_device *wf_ctx_get_device(wf_ctx *c);
void wf_ctx_set_device(wf_ctx *c, wf_device *d);      /* where new tensors are made; borrowed */
wf_status wf_ctx_set_threads(wf_ctx *c, int n_threads) WF_MUST_USE;

/* *flag != 0 makes the next op fail with WF_ECANCEL; the flag is set by a signal handler. */
void wf_ctx_set_cancel(wf_ctx *c, volatile sig_atomic_t *flag);
/* For long work that is no op: fails with WF_ECANCEL, naming it, when the flag is set. */
wf_status wf_ctx_check_cancel(wf_ctx *c, const char *what);

/* For tests: make the nth step of writing a file from now fail (1 = the next); 0 turns it off. */
void wf_ctx_fail_io(wf_ctx *c, uint64_t n);
bool wf_ctx_find_io_failure(wf_ctx *c);               /* counts one step; true: this one fails */

/* Refuse to write files anywhere but below the current folder, for code that is not trusted. */
void wf_ctx_set_fence(wf_ctx *c, bool on);
bool wf_ctx_is_fenced(const wf_ctx *c);

/* Choose bf16 products on the CPU (dtype = "bf16"); off unless the user asked. */
void wf_ctx_set_bf16(wf_ctx *c, bool on);
bool wf_ctx_get_bf16(const wf_ctx *c);

/* Store the failure (the first one wins) and return NULL, so that `return wf_fail(...)` reads well.
 */
void *wf_fail(wf_ctx *c, wf_status st, const char *fmt, ...) WF_PRINTF(3, 4);
/* The same, returning the status. */
wf_status wf_fail_status(wf_ctx *c, wf_status st, const char *fmt, ...) WF_PRINTF(3, 4);

/* Put where the pending failure happened before its sentence, "where: ", unless it says so. */
void wf_fail_in(wf_ctx *c, const char *where);

bool wf_has_failed(const wf_ctx *c);
wf_status wf_get_status(const wf_ctx *c);

/* Copy the pending failure's sentence, clear it, return its status (WF_OK: there was none). */
wf_status wf_take_error(wf_ctx *c, char *msg, size_t msg_bytes);

/* Return from the calling function when expr is not WF_OK. */
#define WF_TRY(expr)                             \
    do {                                         \
        const wf_status wf_try_st_ = (expr);     \
        if (wf_try_st_ != WF_OK) return wf_try_st_; \
    } while (0)

#endif
