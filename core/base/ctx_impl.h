/* ctx_impl.h - the context's insides, for core/base and core/tensor alone. */
#ifndef WF_CORE_CTX_IMPL_H
#define WF_CORE_CTX_IMPL_H

#include "core/base/ctx.h"

struct wf_scope;
struct wf_tape;

enum { WF_WATCH_SEEN = 32 };            /* inputs that watching remembers */

struct wf_ctx {
    wf_status status;
    char message[WF_ERR_MAX];
    wf_mem *mem;
    wf_pool *pool;
    wf_device *device;
    struct wf_scope *scope;             /* innermost */
    struct wf_tape *tape;               /* innermost */
    int n_paused;                       /* recording is off while > 0 */
    volatile sig_atomic_t *cancel;
    bool bf16;
    bool is_watching;                   /* core/tensor/watch.h */
    uint64_t n_seen;
    const void *seen[WF_WATCH_SEEN];    /* addresses of the last inputs, a ring */
    bool fenced;                        /* files are written below the current folder only */
    uint64_t fail_io;                   /* steps of writing until one fails; 0: none does */
};

/* Defined by core/tensor: the device a fresh context starts on. */
wf_device *wf_cpu_device(void);

#endif
