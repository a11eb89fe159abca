/* bind.h - what the Lua bindings share: one state per lua_State, errors, tensors as userdata.
 *
 * Every bound function has the state as its first upvalue. Nothing here throws while it owns
 * something; core never sees a Lua error, callbacks run under lua_pcall.
 */
#ifndef WF_LUA_BIND_H
#define WF_LUA_BIND_H

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "core/base/ctx.h"
#include "core/file/pixels.h"
#include "core/file/sound.h"
#include "core/tensor/op.h"
#include "core/tensor/ops.h"
#include "core/tensor/tensor.h"

#define LWF_TENSOR "weft.Tensor"
#define LWF_ERROR "weft.Error"

enum { LWF_MAX_HOME = 512 };

/* The bindings' side of one lua_State; a userdata in its registry. */
typedef struct lwf_state {
    wf_ctx *ctx;                  /* owned */
    lua_State *L;                 /* whoever entered core last: callbacks run there */
    const void *tensor_mt;        /* address of the tensors' metatable, for a quick check */
    int tensor_ref;               /* the metatable itself, in the registry */
    int error_ref;                /* a Lua error on its way through core, or LUA_NOREF */
    size_t handed_bytes;          /* given to Lua since the collector was last looked at */
    size_t settled_bytes;         /* live after the last collection */
    char home[LWF_MAX_HOME];      /* chunk names that start so are weft's own, not the user's */
    volatile sig_atomic_t cancel; /* != 0: the next op fails with WF_ECANCEL */
} lwf_state;

/* The state behind the running bound function / behind any lua_State (NULL: none yet). */
static inline lwf_state *lwf_get(lua_State *L)
{
    return (lwf_state *)lua_touserdata(L, lua_upvalueindex(1));
}
lwf_state *lwf_find(lua_State *L);
static inline wf_ctx *lwf_ctx(lua_State *L) { return lwf_get(L)->ctx; }

/* Set functions into the table on top, the state as first upvalue. [-0, +0, m] */
void lwf_register(lua_State *L, const luaL_Reg *list);

/* Make a class of userdata: its methods, each with the state, and what the collector calls.
 * [-0, +0, m] */
void lwf_add_class(lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction gc);

/* ---- errors: tables { kind, message, hint, where } raised at the user's line ---- */

/* Push "file:line: " of the first caller that is neither C nor weft's own Lua. [-0, +1, m] */
void lwf_where(lua_State *L, lwf_state *s);
/* Raise an error of this kind; hint may be NULL. Never returns. */
int lwf_error(lua_State *L, const char *kind, const char *hint, const char *fmt, ...)
    WF_PRINTF(4, 5);
/* Take the context's failure, or the Lua error a callback met, and raise it. Never returns. */
int lwf_raise(lua_State *L);
/* Call under core: runs f on top with n_args; on error keeps it for lwf_raise and fails the
 * context. */
wf_status lwf_callback(lwf_state *s, int n_args, int n_results);

/* ---- arguments; what names the argument in the message, e.g. "linear: x" ---- */

wf_tensor *lwf_to_tensor(lua_State *L, const lwf_state *s, int arg);        /* NULL: not a tensor */
wf_tensor *lwf_check_tensor(lua_State *L, int arg, const char *what);
wf_tensor *lwf_opt_tensor(lua_State *L, int arg, const char *what);         /* nil gives NULL */
int64_t lwf_check_int(lua_State *L, int arg, const char *what, int64_t lo, int64_t hi);
/* A dim counted from 1, or from the end when negative, as an index from 0. */
int lwf_check_dim(lua_State *L, int arg, const char *what, int rank);
wf_dtype lwf_check_dtype(lua_State *L, int arg, const char *what);
/* Sizes from a table at arg, or from the numbers at arg and after. low: smallest size allowed. */
wf_shape lwf_check_shape(lua_State *L, int arg, const char *what, int64_t low);
uint64_t lwf_check_seed(lua_State *L, int arg, const char *what);
/* Field name of the table at arg, pushed; false (and nothing pushed) when it is nil. */
bool lwf_field(lua_State *L, int arg, const char *name);

/* ---- results ---- */

/* Push t, taking the caller's scoped or floating reference; NULL raises the failure. [-0, +1, v] */
int lwf_push_tensor(lua_State *L, lwf_state *s, wf_tensor *t);
/* Move the tensors among this function's values, and in tables that these lead to, out of the
 * innermost scope. [-0, +0, m] */
void lwf_keep(lua_State *L, lwf_state *s);
/* Push { parameters =, weft = }, or nil when there are none; frees found. */
void lwf_push_texts(lua_State *L, wf_meta_found *found);
/* The texts of the table at arg; they are borrowed from it. */
wf_meta lwf_check_texts(lua_State *L, int arg);
/* Values of t [S,C] as a sound; the caller frees it, after a failure too. */
wf_status lwf_sound_of(wf_ctx *c, const wf_tensor *t, int rate_hz, wf_sound *out);
/* Let the collector run when enough bytes were handed out; may not be called while core runs. */
void lwf_settle(lua_State *L, lwf_state *s, size_t bytes);

/* ---- the parts of weft.core; each adds to the table on top ---- */
void lwf_open_tensor(lua_State *L, lwf_state *s);
void lwf_open_make(lua_State *L);
void lwf_open_index(lua_State *L);
void lwf_open_op(lua_State *L, lwf_state *s);
void lwf_open_model(lua_State *L);
void lwf_open_sample(lua_State *L);
void lwf_open_nn(lua_State *L);
void lwf_open_file(lua_State *L);
void lwf_open_picture(lua_State *L);
void lwf_open_sound(lua_State *L);
void lwf_open_media(lua_State *L);
void lwf_open_scope(lua_State *L);
void lwf_open_train(lua_State *L);
void lwf_open_text(lua_State *L);

/* Methods of tensors by name; t[i] and t[{...}] otherwise. */
int lwf_tensor_index(lua_State *L);
int lwf_tensor_newindex(lua_State *L);

int luaopen_weft_core(lua_State *L);

/* ---- the system: weft.host and weft.line, which need no engine ---- */
int luaopen_weft_host(lua_State *L);
int luaopen_weft_line(lua_State *L);
int lwf_fail_os(lua_State *L, const char *what);       /* nil, message, from errno */
void lwf_open_signal(lua_State *L);                    /* these two add to the table on top */
void lwf_open_process(lua_State *L);
void lwf_signal_watch(volatile sig_atomic_t *cancel);  /* the flag that a stop sets from now on */
void lwf_signal_seen(lua_State *L);                    /* a stop was raised: handlers may run */
int lwf_signal_count(int sig);                         /* since host.signals() was called */

#endif
