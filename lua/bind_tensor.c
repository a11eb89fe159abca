/*
 * bind_tensor.c - tensors as Lua userdata: boxes, looking, reading.
 *
 * A userdata holds one reference. The scope still owns the data: a tensor whose scope has closed
 * is a husk, and the next op on it raises EDEAD. The collector cannot see how large a tensor is, so
 * it is run whenever enough bytes were handed out and stayed alive.
 */
#include "lua/bind.h"

#include <string.h>

#include "core/base/mem.h"
#include "core/tensor/backend.h"

enum { LOOK_BYTES = 64 << 20, GROW_BYTES = 256 << 20, BOX_BYTES = 256 };

/* ---- boxes ---- */

/* The box at arg, NULL when there is something else. */
static wf_tensor **find_box(lua_State *L, const lwf_state *s, int arg)
{
    wf_tensor **box = (wf_tensor **)lua_touserdata(L, arg);
    if (!box || lua_islightuserdata(L, arg) || !lua_getmetatable(L, arg)) return NULL;
    const bool is_ours = lua_topointer(L, -1) == s->tensor_mt;
    lua_pop(L, 1);
    return is_ours ? box : NULL;
}

wf_tensor *lwf_to_tensor(lua_State *L, const lwf_state *s, int arg)
{
    wf_tensor **box = find_box(L, s, arg);
    if (!box) return NULL;
    if (!*box) lwf_error(L, "usage", NULL, "tensor already freed");
    return *box;
}

wf_tensor *lwf_check_tensor(lua_State *L, int arg, const char *what)
{
    wf_tensor *t = lwf_to_tensor(L, lwf_get(L), arg);
    if (!t)
        lwf_error(L, "usage", NULL, "%s must be a tensor, got %s", what,
                  lua_isnone(L, arg) ? "nothing" : luaL_typename(L, arg));
    return t;
}

wf_tensor *lwf_opt_tensor(lua_State *L, int arg, const char *what)
{
    return lua_isnoneornil(L, arg) ? NULL : lwf_check_tensor(L, arg, what);
}

void lwf_settle(lua_State *L, lwf_state *s, size_t bytes)
{
    s->handed_bytes += bytes + BOX_BYTES;
    if (s->handed_bytes < LOOK_BYTES) return;
    s->handed_bytes = 0;
    wf_mem *m = wf_ctx_get_mem(s->ctx);
    const size_t live = wf_mem_get_stats(m).live_bytes;
    if (live < s->settled_bytes) s->settled_bytes = live;
    const size_t room = s->settled_bytes / 4 > GROW_BYTES ? s->settled_bytes / 4 : GROW_BYTES;
    if (live < s->settled_bytes + room) return;
    lua_gc(L, LUA_GCCOLLECT, 0);
    s->settled_bytes = wf_mem_get_stats(m).live_bytes;
}

int lwf_push_tensor(lua_State *L, lwf_state *s, wf_tensor *t)
{
    if (!t) return lwf_raise(L);
    wf_tensor **box = (wf_tensor **)lua_newuserdata(L, sizeof *box);
    *box = NULL;
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->tensor_ref);
    lua_setmetatable(L, -2);
    *box = wf_take(s->ctx, t);
    lwf_settle(L, s, wf_tensor_bytes(t));
    return 1;
}

/* Move a result to the outer scope; at top level its userdata becomes the only owner. */
static void hand_over(wf_ctx *c, wf_tensor *t)
{
    wf_scope_keep(c, t);
    wf_release(wf_take(c, t));
}

/* The value on top, popped: a tensor is handed over; a table joins the list of tables at seen,
 * which are its keys as well, unless it is there. The first makes the list. Returns how many there
 * are. */
static int keep_value(lua_State *L, lwf_state *s, int seen, int n_seen)
{
    wf_tensor **box = find_box(L, s, -1);
    if (box && *box) hand_over(s->ctx, *box);
    if (lua_istable(L, -1)) {
        if (n_seen == 0) {
            lua_newtable(L);
            lua_replace(L, seen);
        }
        lua_pushvalue(L, -1);
        lua_rawget(L, seen);
        const bool is_new = lua_isnil(L, -1);
        lua_pop(L, 1);
        if (is_new) {
            lua_pushvalue(L, -1);
            lua_pushboolean(L, 1);
            lua_rawset(L, seen);
            lua_pushvalue(L, -1);
            lua_rawseti(L, seen, ++n_seen);
        }
    }
    lua_pop(L, 1);
    return n_seen;
}

void lwf_keep(lua_State *L, lwf_state *s)
{
    const int n = lua_gettop(L), seen = n + 1;
    int n_seen = 0;
    luaL_checkstack(L, 8, "scope");
    lua_pushnil(L);
    for (int i = 1; i <= n; i++) {
        lua_pushvalue(L, i);
        n_seen = keep_value(L, s, seen, n_seen);
    }
    for (int i = 1; i <= n_seen; i++) {
        lua_rawgeti(L, seen, i);
        for (lua_pushnil(L); lua_next(L, seen + 1);) n_seen = keep_value(L, s, seen, n_seen);
        lua_pop(L, 1);
    }
    lua_settop(L, n);
}

static int l_gc(lua_State *L)
{
    wf_tensor **box = find_box(L, lwf_get(L), 1);
    if (!box) return luaL_argerror(L, 1, "a tensor");
    wf_release(*box);
    *box = NULL;
    return 0;
}

/* t:free(): give the memory back now; t is dead afterwards */
static int l_free(lua_State *L)
{
    lwf_check_tensor(L, 1, "free: t");
    return l_gc(L);
}

/* ---- looking ---- */

/* t:size() -> list; t:size(d) -> number */
static int l_size(lua_State *L)
{
    const wf_tensor *t = lwf_check_tensor(L, 1, "size: t");
    if (!lua_isnoneornil(L, 2)) {
        lua_pushnumber(L, (double)wf_dim(t, lwf_check_dim(L, 2, "size", wf_rank(t))));
        return 1;
    }
    lua_createtable(L, wf_rank(t), 0);
    for (int i = 0; i < wf_rank(t); i++) {
        lua_pushnumber(L, (double)wf_dim(t, i));
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

static int l_stride(lua_State *L)
{
    const wf_tensor *t = lwf_check_tensor(L, 1, "stride: t");
    lua_pushnumber(L, (double)wf_stride(t, lwf_check_dim(L, 2, "stride", wf_rank(t))));
    return 1;
}

static int l_numel(lua_State *L)
{
    lua_pushnumber(L, (double)wf_numel(lwf_check_tensor(L, 1, "numel: t")));
    return 1;
}

static int l_is_contiguous(lua_State *L)
{
    lua_pushboolean(L, wf_is_contiguous(lwf_check_tensor(L, 1, "is_contiguous: t")));
    return 1;
}

static int l_is_dead(lua_State *L)
{
    wf_tensor **box = (wf_tensor **)luaL_checkudata(L, 1, LWF_TENSOR);
    lua_pushboolean(L, !*box || wf_is_dead(*box));
    return 1;
}

/* #t is the first size, as for every Lua list */
static int l_len(lua_State *L)
{
    const wf_tensor *t = lwf_check_tensor(L, 1, "#: t");
    lua_pushnumber(L, wf_rank(t) ? (double)wf_dim(t, 0) : 1);
    return 1;
}

static int l_dtype(lua_State *L)
{
    lua_pushstring(L, wf_dtype_text(wf_get_dtype(lwf_check_tensor(L, 1, "dtype: t"))));
    return 1;
}

static int l_rank(lua_State *L)
{
    lua_pushinteger(L, wf_rank(lwf_check_tensor(L, 1, "rank: t")));
    return 1;
}

static int l_device(lua_State *L)
{
    wf_device *d = wf_get_device(lwf_check_tensor(L, 1, "device: t"));
    lua_pushstring(L, d ? d->name : "none");
    return 1;
}

/* "f32 [2,3]", or what happened to it */
static int l_text(lua_State *L)
{
    wf_tensor **box = (wf_tensor **)luaL_checkudata(L, 1, LWF_TENSOR);
    char buf[128];
    const bool is_dead = !*box || wf_is_dead(*box);
    lua_pushstring(L, is_dead ? "(freed)" : wf_tensor_text(*box, buf, sizeof buf));
    return 1;
}

/* ---- reading ---- */

/* Raise unless t still has its data. */
static wf_tensor *check_alive(lua_State *L, const char *what)
{
    wf_tensor *t = lwf_check_tensor(L, 1, what);
    if (wf_is_dead(t))
        lwf_error(L, "usage", "return it from weft.scope to keep it",
                  "%s: its scope has closed (tensor already freed)", what);
    return t;
}

/* t:item() -> the one value */
static int l_item(lua_State *L)
{
    wf_ctx *c = lwf_ctx(L);
    const double v = wf_item(c, check_alive(L, "item"));
    if (wf_has_failed(c)) return lwf_raise(L);
    lua_pushnumber(L, v);
    return 1;
}

/* Host values of t in its own dtype, contiguous, in a new userdata on top of the stack. */
static const void *read_values(lua_State *L, wf_ctx *c, wf_tensor *t)
{
    const size_t bytes = wf_tensor_bytes(t);
    void *p = lua_newuserdata(L, bytes + 1);
    if (wf_to_host(c, t, p, bytes) != WF_OK) lwf_raise(L);
    return p;
}

static double value_at(const void *p, wf_dtype t, int64_t i)
{
    switch (t) {
    case WF_DTYPE_F32: return (double)((const float *)p)[i];
    case WF_DTYPE_F64: return ((const double *)p)[i];
    case WF_DTYPE_F16: return (double)wf_f16_to_f32(((const uint16_t *)p)[i]);
    case WF_DTYPE_BF16: return (double)wf_bf16_to_f32(((const uint16_t *)p)[i]);
    case WF_DTYPE_I64: return (double)((const int64_t *)p)[i];
    case WF_DTYPE_I32: return (double)((const int32_t *)p)[i];
    case WF_DTYPE_I8: return (double)((const int8_t *)p)[i];
    default: return (double)((const uint8_t *)p)[i];
    }
}

/* Push dims d.. of the values from i on as nested lists; returns the next i. */
static int64_t push_nested(lua_State *L, const wf_shape *s, int d, const void *p, wf_dtype t,
                           int64_t i)
{
    if (d == s->rank) {
        const double v = value_at(p, t, i);
        if (t == WF_DTYPE_BOOL) lua_pushboolean(L, v != 0);
        else lua_pushnumber(L, v);
        return i + 1;
    }
    lua_createtable(L, (int)s->dims[d], 0);
    for (int64_t k = 0; k < s->dims[d]; k++) {
        i = push_nested(L, s, d + 1, p, t, i);
        lua_rawseti(L, -2, (int)k + 1);
    }
    return i;
}

/* t:totable() -> nested lists of numbers (of booleans for bool); a number for rank 0 */
static int l_totable(lua_State *L)
{
    wf_tensor *t = check_alive(L, "totable");
    const wf_shape s = wf_get_shape(t);
    if (wf_dtype_block_elems(wf_get_dtype(t)) > 1)
        return lwf_error(L, "usage", "convert first: t:to \"f32\"", "totable: dtype %s",
                         wf_dtype_text(wf_get_dtype(t)));
    luaL_checkstack(L, 2 * WF_MAX_RANK + 4, "totable");
    const void *p = read_values(L, lwf_ctx(L), t);
    push_nested(L, &s, 0, p, wf_get_dtype(t), 0);
    return 1;
}

/* t:bytes() -> string of the values as stored, contiguous */
static int l_bytes(lua_State *L)
{
    wf_tensor *t = check_alive(L, "bytes");
    const char *p = (const char *)read_values(L, lwf_ctx(L), t);
    lua_pushlstring(L, p, wf_tensor_bytes(t));
    return 1;
}

/* t:address() -> light userdata: the first value of a contiguous tensor in host memory */
static int l_address(lua_State *L)
{
    wf_tensor *t = check_alive(L, "ptr");
    void *p = wf_data(t);
    if (!p) return lwf_error(L, "usage", NULL, "ptr: the tensor is not in host memory");
    if (!wf_is_contiguous(t))
        return lwf_error(L, "usage", "t:contiguous() gives a copy that is", "ptr: not contiguous");
    lua_pushlightuserdata(L, p);
    return 1;
}

static const luaL_Reg methods[] = {
    {"size", l_size},       {"stride", l_stride},   {"numel", l_numel},
    {"item", l_item},       {"totable", l_totable}, {"bytes", l_bytes},
    {"free", l_free},       {"is_dead", l_is_dead}, {"is_contiguous", l_is_contiguous},
    {"address", l_address}, {"text", l_text},       {NULL, NULL},
};

static const luaL_Reg properties[] = {
    {"dtype", l_dtype}, {"rank", l_rank}, {"device", l_device}, {NULL, NULL},
};

/* f with upvalues state, methods, properties becomes the metatable's field. */
static void set_index(lua_State *L, const char *name, lua_CFunction f, int methods_at)
{
    lua_getfield(L, LUA_REGISTRYINDEX, "weft.state");
    lua_pushvalue(L, methods_at);
    lua_pushvalue(L, methods_at + 1);
    lua_pushcclosure(L, f, 3);
    lua_setfield(L, -2, name);
}

void lwf_open_tensor(lua_State *L, lwf_state *s)
{
    lua_newtable(L);
    lwf_register(L, methods);
    const int methods_at = lua_gettop(L);
    lua_newtable(L);
    lwf_register(L, properties);
    if (luaL_newmetatable(L, LWF_TENSOR)) {
        const luaL_Reg meta[] = {
            {"__gc", l_gc}, {"__len", l_len}, {"__tostring", l_text}, {NULL, NULL}};
        lwf_register(L, meta);
        set_index(L, "__index", lwf_tensor_index, methods_at);
        set_index(L, "__newindex", lwf_tensor_newindex, methods_at);
        lua_pushliteral(L, LWF_TENSOR);
        lua_setfield(L, -2, "__name");
        s->tensor_mt = lua_topointer(L, -1);
        lua_pushvalue(L, -1);
        s->tensor_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    }
    lua_setfield(L, methods_at - 1, "tensor_meta");
    lua_setfield(L, methods_at - 1, "tensor_properties");
    lua_setfield(L, methods_at - 1, "tensor_methods");
}
