/*
 * bind_core.c - weft.core: the state of the bindings, errors, arguments, memory and threads.
 *
 * The state is the first userdata made, so that lua_close finalises it last, after every tensor.
 */
#include "lua/bind.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/base/thread.h"
#include "core/tensor/backend.h"
#include "core/tensor/watch.h"

#define STATE_KEY "weft.state"
#define STATE_MT "weft.State"
#define THREAD_KEY "weft.thread"      /* keeps the Lua thread of lwf_state.L alive */

lwf_state *lwf_find(lua_State *L)
{
    lua_getfield(L, LUA_REGISTRYINDEX, STATE_KEY);
    lwf_state *s = (lwf_state *)lua_touserdata(L, -1);
    lua_pop(L, 1);
    return s;
}

void lwf_register(lua_State *L, const luaL_Reg *list)
{
    for (; list->name; list++) {
        lua_getfield(L, LUA_REGISTRYINDEX, STATE_KEY);
        lua_pushcclosure(L, list->func, 1);
        lua_setfield(L, -2, list->name);
    }
}

void lwf_add_class(lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction gc)
{
    if (luaL_newmetatable(L, name)) {
        lwf_register(L, methods);
        lua_pushvalue(L, -1);
        lua_setfield(L, -2, "__index");
        lua_pushcfunction(L, gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_pop(L, 1);
}

/* ---- errors ---- */

/* Is this frame the user's: neither C nor a file of the package? */
static bool is_user_frame(const lwf_state *s, const lua_Debug *ar)
{
    if (ar->what[0] == 'C' || ar->currentline < 0) return false;
    return !s || !s->home[0] || strncmp(ar->source, s->home, strlen(s->home)) != 0;
}

void lwf_where(lua_State *L, lwf_state *s)
{
    lua_Debug ar;
    for (int level = 0; lua_getstack(L, level, &ar); level++) {
        lua_getinfo(L, "Sl", &ar);
        if (!is_user_frame(s, &ar)) continue;
        lua_pushfstring(L, "%s:%d: ", ar.short_src, ar.currentline);
        return;
    }
    lua_pushliteral(L, "");
}

/* Message on top becomes an error table; hint may be NULL. [-1, +1, m] */
static void make_error(lua_State *L, lwf_state *s, const char *kind, const char *hint)
{
    lua_createtable(L, 0, 4);
    lua_insert(L, -2);
    lua_setfield(L, -2, "message");
    lua_pushstring(L, kind);
    lua_setfield(L, -2, "kind");
    if (hint) {
        lua_pushstring(L, hint);
        lua_setfield(L, -2, "hint");
    }
    lwf_where(L, s);
    lua_setfield(L, -2, "where");
    luaL_getmetatable(L, LWF_ERROR);
    lua_setmetatable(L, -2);
}

int lwf_error(lua_State *L, const char *kind, const char *hint, const char *fmt, ...)
{
    char text[WF_ERR_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    lua_pushstring(L, text);
    make_error(L, lwf_find(L), kind, hint);
    return lua_error(L);
}

int lwf_raise(lua_State *L)
{
    lwf_state *s = lwf_find(L);
    char msg[WF_ERR_MAX];
    const wf_status st = wf_take_error(s->ctx, msg, sizeof msg);
    if (s->error_ref != LUA_NOREF) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, s->error_ref);
        luaL_unref(L, LUA_REGISTRYINDEX, s->error_ref);
        s->error_ref = LUA_NOREF;
        return lua_error(L);
    }
    if (st == WF_OK) return lwf_error(L, "internal", NULL, "a call gave no result and no reason");
    if (st == WF_ECANCEL) lwf_signal_seen(L);
    lua_pushfstring(L, "%s (%s)", msg, wf_status_text(st));
    make_error(L, s, wf_status_kind(st), NULL);
    return lua_error(L);
}

wf_status lwf_callback(lwf_state *s, int n_args, int n_results)
{
    lua_State *L = s->L;
    if (lua_pcall(L, n_args, n_results, 0) == 0) {
        s->L = L;
        return wf_get_status(s->ctx);
    }
    s->L = L;
    if (s->error_ref == LUA_NOREF) s->error_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    else lua_pop(L, 1);
    return wf_fail_status(s->ctx, WF_EINTERNAL, "a Lua function raised");
}

/* "where: message (hint)" */
static int error_tostring(lua_State *L)
{
    lua_getfield(L, 1, "where");
    lua_getfield(L, 1, "message");
    lua_getfield(L, 1, "hint");
    const char *where = lua_tostring(L, -3), *text = lua_tostring(L, -2),
               *hint = lua_tostring(L, -1);
    lua_pushfstring(L, hint ? "%s%s (%s)" : "%s%s", where ? where : "", text ? text : "error",
                    hint);
    return 1;
}

static int error_concat(lua_State *L)
{
    for (int i = 1; i <= 2; i++)
        if (luaL_callmeta(L, i, "__tostring")) lua_replace(L, i);
    lua_settop(L, 2);
    lua_concat(L, 2);
    return 1;
}

/* core.raise(kind, message, hint?) */
static int l_raise(lua_State *L)
{
    const char *kind = luaL_checkstring(L, 1), *hint = luaL_optstring(L, 3, NULL);
    luaL_checkstring(L, 2);
    lua_pushvalue(L, 2);
    make_error(L, lwf_get(L), kind, hint);
    return lua_error(L);
}

/* core.where() -> "file:line: " of the user's code */
static int l_where(lua_State *L)
{
    lwf_where(L, lwf_get(L));
    return 1;
}

/* core.set_home(prefix): chunk names that start with it belong to weft */
static int l_set_home(lua_State *L)
{
    lwf_state *s = lwf_get(L);
    snprintf(s->home, sizeof s->home, "%s", luaL_checkstring(L, 1));
    return 0;
}

/* ---- arguments ---- */

int64_t lwf_check_int(lua_State *L, int arg, const char *what, int64_t lo, int64_t hi)
{
    if (lua_type(L, arg) != LUA_TNUMBER)
        lwf_error(L, "usage", NULL, "%s must be a whole number, got %s", what,
                  luaL_typename(L, arg));
    const double v = lua_tonumber(L, arg);
    if (v != floor(v) || v < (double)lo || v > (double)hi)
        lwf_error(L, "usage", NULL, "%s must be a whole number in %lld ... %lld, got %.14g", what,
                  (long long)lo, (long long)hi, v);
    return (int64_t)v;
}

int lwf_check_dim(lua_State *L, int arg, const char *what, int rank)
{
    const int64_t d = lwf_check_int(L, arg, what, -WF_MAX_RANK, WF_MAX_RANK);
    if (d == 0 || d > rank || d < -rank)
        lwf_error(L, "usage", "dims count from 1, or from the end: -1 is the last",
                  "%s: no dim %d in a tensor of rank %d", what, (int)d, rank);
    return (int)(d > 0 ? d - 1 : d + rank);
}

/* " f32 f64 ...": all dtypes, as a hint names them. */
#define WF_X(name, text, bytes, block) " " text
static const char all_dtypes[] = WF_DTYPE_MAP(WF_X);
#undef WF_X

/* name -> bytes of a value, no whole number for those that are kept in blocks. [-0, +1, m] */
static void push_dtypes(lua_State *L)
{
    lua_createtable(L, 0, WF_DTYPE_COUNT);
    for (wf_dtype t = 0; t < WF_DTYPE_COUNT; t++) {
        lua_pushnumber(L, (double)wf_dtype_block_bytes(t) / (double)wf_dtype_block_elems(t));
        lua_setfield(L, -2, wf_dtype_text(t));
    }
}

wf_dtype lwf_check_dtype(lua_State *L, int arg, const char *what)
{
    wf_dtype t = WF_DTYPE_F32;
    const char *text = lua_type(L, arg) == LUA_TSTRING ? lua_tostring(L, arg) : NULL;
    if (text && wf_dtype_find(text, &t)) return t;
    lua_pushfstring(L, "one of%s", all_dtypes);
    lwf_error(L, "usage", lua_tostring(L, -1), "%s: no dtype %s", what,
              text ? text : luaL_typename(L, arg));
    return t;
}

wf_shape lwf_check_shape(lua_State *L, int arg, const char *what, int64_t low)
{
    wf_shape s = {0};
    const bool is_table = lua_istable(L, arg);
    const int n = is_table ? (int)lua_objlen(L, arg) : lua_gettop(L) - arg + 1;
    if (n > WF_MAX_RANK)
        lwf_error(L, "usage", NULL, "%s: %d dims, %d is the most", what, n, WF_MAX_RANK);
    for (int i = 0; i < n; i++) {
        if (is_table) lua_rawgeti(L, arg, i + 1);
        else lua_pushvalue(L, arg + i);
        s.dims[i] = lwf_check_int(L, -1, what, low, (int64_t)1 << 52);
        lua_pop(L, 1);
    }
    s.rank = n;
    return s;
}

uint64_t lwf_check_seed(lua_State *L, int arg, const char *what)
{
    return (uint64_t)lwf_check_int(L, arg, what, 0, ((int64_t)1 << 53) - 1);
}

bool lwf_field(lua_State *L, int arg, const char *name)
{
    if (!lua_istable(L, arg)) return false;
    lua_getfield(L, arg, name);
    if (!lua_isnil(L, -1)) return true;
    lua_pop(L, 1);
    return false;
}

/* ---- memory and threads ---- */

static void set_count(lua_State *L, const char *name, double v)
{
    lua_pushnumber(L, v);
    lua_setfield(L, -2, name);
}

/* core.memory(reset?) -> { live, peak, cached, mapped, allocs } in bytes */
static int l_memory(lua_State *L)
{
    wf_mem *m = wf_ctx_get_mem(lwf_ctx(L));
    const wf_mem_stats st = wf_mem_get_stats(m);
    if (lua_toboolean(L, 1)) wf_mem_reset_peak(m);
    lua_createtable(L, 0, 5);
    set_count(L, "live", (double)st.live_bytes);
    set_count(L, "peak", (double)st.peak_bytes);
    set_count(L, "cached", (double)st.cached_bytes);
    set_count(L, "mapped", (double)st.mapped_bytes);
    set_count(L, "allocs", (double)st.n_allocs);
    return 1;
}

/* core.trim(): give cached blocks back to the system */
static int l_trim(lua_State *L)
{
    wf_mem_trim(wf_ctx_get_mem(lwf_ctx(L)));
    return 0;
}

/* core.fail_alloc(n, on?): the nth allocation from now fails, and with on all after it; 0 turns it
 * off. For tests. */
static int l_fail_alloc(lua_State *L)
{
    const uint64_t n = (uint64_t)lwf_check_int(L, 1, "fail_alloc: n", 0, (int64_t)1 << 52);
    (lua_toboolean(L, 2) ? wf_mem_fail_from : wf_mem_fail_nth)(wf_ctx_get_mem(lwf_ctx(L)), n);
    return 0;
}

/* core.fail_io(n): the nth step of writing a file from now fails; 0 turns it off. For tests. */
static int l_fail_io(lua_State *L)
{
    wf_ctx_fail_io(lwf_ctx(L),
                   (uint64_t)lwf_check_int(L, 1, "fail_io: n", 0, (int64_t)1 << 52));
    return 0;
}

/* core.threads(n?) -> n */
static int l_threads(lua_State *L)
{
    wf_ctx *c = lwf_ctx(L);
    if (!lua_isnoneornil(L, 1)) {
        const int n = (int)lwf_check_int(L, 1, "threads", 1, 1024);
        if (wf_ctx_set_threads(c, n) != WF_OK) return lwf_raise(L);
    }
    lua_pushinteger(L, wf_pool_get_n_threads(wf_ctx_get_pool(c)));
    return 1;
}

/* core.bf16(on?) -> whether products on the CPU run in bf16 */
static int l_bf16(lua_State *L)
{
    wf_ctx *c = lwf_ctx(L);
    if (!lua_isnoneornil(L, 1)) wf_ctx_set_bf16(c, lua_toboolean(L, 1));
    lua_pushboolean(L, wf_ctx_get_bf16(c));
    return 1;
}

/* core.odd_values(t) -> how many are NaN, how many infinite */
static int l_odd_values(lua_State *L)
{
    wf_ctx *c = lwf_ctx(L);
    const wf_odd_values odd = wf_count_odd(c, lwf_check_tensor(L, 1, "odd_values: t"));
    if (wf_has_failed(c)) return lwf_raise(L);
    lua_pushnumber(L, (double)odd.n_nan);
    lua_pushnumber(L, (double)(odd.n_plus + odd.n_minus));
    return 2;
}

/* core.watch(on): each op fails after the first value that is not finite */
static int l_watch(lua_State *L)
{
    wf_watch(lwf_ctx(L), lua_toboolean(L, 1));
    return 0;
}

/* core.fence(on): files are written below the current folder only */
static int l_fence(lua_State *L)
{
    wf_ctx_set_fence(lwf_ctx(L), lua_toboolean(L, 1));
    return 0;
}

/* core.to_device(t, name) */
static int l_to_device(lua_State *L)
{
    lwf_state *s = lwf_get(L);
    wf_tensor *t = lwf_check_tensor(L, 1, "to: t");
    const char *name = luaL_checkstring(L, 2);
    wf_device *d = wf_device_find(s->ctx, name);
    if (d) return lwf_push_tensor(L, s, wf_to_device(s->ctx, t, d));
    (void)wf_take_error(s->ctx, NULL, 0);
    return lwf_error(L, "device", "a dtype, or cpu", "to: no dtype or device '%s'", name);
}

/* core.device(name?) -> name: where new tensors are made; with a name, there from now on (to the
 * end of the scope), and the one before is returned */
static int l_device(lua_State *L)
{
    wf_ctx *c = lwf_ctx(L);
    wf_device *before = wf_ctx_get_device(c);
    if (!lua_isnoneornil(L, 1)) {
        wf_device *d = wf_device_find(c, luaL_checkstring(L, 1));
        if (!d) return lwf_raise(L);
        wf_ctx_set_device(c, d);
    }
    lua_pushstring(L, before->name);
    return 1;
}

/* core.cpu_level() -> "amx", "avx512bf16", "avx512", "avx2" or "plain": which kernels run */
static int l_cpu_level(lua_State *L)
{
    lua_pushstring(L, wf_cpu_level());
    return 1;
}

static const luaL_Reg functions[] = {
    {"raise", l_raise},     {"where", l_where},           {"set_home", l_set_home},
    {"memory", l_memory},   {"trim", l_trim},             {"threads", l_threads},
    {"bf16", l_bf16},       {"fail_alloc", l_fail_alloc},
    {"fail_io", l_fail_io}, {"fence", l_fence},
    {"odd_values", l_odd_values}, {"watch", l_watch},
    {"cpu_level", l_cpu_level}, {"to_device", l_to_device}, {"device", l_device}, {NULL, NULL},
};

/* ---- opening ---- */

static int state_gc(lua_State *L)
{
    lwf_state *s = (lwf_state *)lua_touserdata(L, 1);
    lwf_signal_watch(NULL);
    wf_ctx_free(s->ctx);
    s->ctx = NULL;
    return 0;
}

/* Make the state, once per lua_State. [-0, +0, v] */
static lwf_state *open_state(lua_State *L)
{
    lwf_state *s = lwf_find(L);
    if (s) return s;
    s = (lwf_state *)lua_newuserdata(L, sizeof *s);
    memset(s, 0, sizeof *s);
    s->L = L;
    s->error_ref = s->tensor_ref = LUA_NOREF;
    if (luaL_newmetatable(L, STATE_MT)) {
        lua_pushcfunction(L, state_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    s->ctx = wf_ctx_new(0);
    if (!s->ctx) luaL_error(L, "weft: no memory for a context");
    wf_ctx_set_cancel(s->ctx, &s->cancel);
    lwf_signal_watch(&s->cancel);
    lua_pushthread(L);
    lua_setfield(L, LUA_REGISTRYINDEX, THREAD_KEY);
    lua_setfield(L, LUA_REGISTRYINDEX, STATE_KEY);
    return s;
}

static void open_errors(lua_State *L)
{
    if (luaL_newmetatable(L, LWF_ERROR)) {
        lua_pushcfunction(L, error_tostring);
        lua_setfield(L, -2, "__tostring");
        lua_pushcfunction(L, error_concat);
        lua_setfield(L, -2, "__concat");
        lua_pushliteral(L, LWF_ERROR);
        lua_setfield(L, -2, "__name");
    }
    lua_pop(L, 1);
}

/* From a plain luajit the module is one shared object, and the other C modules are found through
 * it. */
static void preload_host(lua_State *L)
{
    const luaL_Reg modules[] = {
        {"weft.host", luaopen_weft_host}, {"weft.line", luaopen_weft_line}, {NULL, NULL},
    };
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "preload");
    luaL_setfuncs(L, modules, 0);
    lua_pop(L, 2);
}

int luaopen_weft_core(lua_State *L)
{
    lwf_state *s = open_state(L);
    open_errors(L);
    preload_host(L);
    lua_newtable(L);
    lwf_register(L, functions);
    push_dtypes(L);
    lua_setfield(L, -2, "dtypes");
    lwf_open_tensor(L, s);
    lwf_open_index(L);
    lwf_open_make(L);
    lwf_open_op(L, s);
    lwf_open_nn(L);
    lwf_open_model(L);
    lwf_open_sample(L);
    lwf_open_file(L);
    lwf_open_picture(L);
    lwf_open_sound(L);
    lwf_open_media(L);
    lwf_open_scope(L);
    lwf_open_train(L);
    lwf_open_text(L);
    return 1;
}
