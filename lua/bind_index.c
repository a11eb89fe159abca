/*
 * bind_index.c - t[i] and t[{...}]: views that count from 1, ranges inclusive, as in Torch7.
 *
 * A number drops its dim, {} takes all of it, {first, last} and {first, last, step} a range;
 * negative numbers count from the end. A view of rank 0 reads as a number.
 */
#include "lua/bind.h"

/* Index v into a dim of n values, from 1 or from the end, as an offset from 0. */
static int64_t check_at(lua_State *L, int arg, int64_t n)
{
    const int64_t i = lwf_check_int(L, arg, "index", -((int64_t)1 << 52), (int64_t)1 << 52);
    if (i == 0 || i > n || i < -n)
        lwf_error(L, "usage", "indices count from 1; -1 is the last",
                  "index %lld is outside a dim of %lld", (long long)i, (long long)n);
    return i > 0 ? i - 1 : i + n;
}

/* One entry of a spec. */
typedef struct part {
    bool is_index;
    int64_t start, count, step;
} part;

/* The range table on top as a part of a dim of n values. */
static part check_range(lua_State *L, int64_t n)
{
    part p = {false, 0, n, 1};
    const int at = lua_gettop(L), len = (int)lua_objlen(L, at);
    if (len == 0) return p;
    if (len == 1)
        lwf_error(L, "usage", "{} is all, {first, last} a range",
                  "index: a range needs first and last");
    lua_rawgeti(L, at, 1);
    lua_rawgeti(L, at, 2);
    lua_rawgeti(L, at, 3);
    p.step =
        lua_isnil(L, at + 3) ? 1 : lwf_check_int(L, at + 3, "index: step", 1, (int64_t)1 << 52);
    p.start = check_at(L, at + 1, n);
    const int64_t last = check_at(L, at + 2, n);
    lua_pop(L, 3);
    if (last < p.start)
        lwf_error(L, "usage", NULL, "index: range %lld to %lld is empty", (long long)p.start + 1,
                  (long long)last + 1);
    p.count = (last - p.start) / p.step + 1;
    return p;
}

/* Read the spec at arg against t's shape. Returns the number of entries. */
static int check_spec(lua_State *L, int arg, const wf_tensor *t, part *parts)
{
    if (!lua_istable(L, arg)) {
        if (wf_rank(t) == 0) lwf_error(L, "usage", NULL, "index: a tensor of rank 0 has no dims");
        parts[0] = (part){true, check_at(L, arg, wf_dim(t, 0)), 1, 1};
        return 1;
    }
    const int n = (int)lua_objlen(L, arg);
    if (n > wf_rank(t))
        lwf_error(L, "usage", NULL, "index: %d entries for a tensor of rank %d", n, wf_rank(t));
    for (int i = 0; i < n; i++) {
        lua_rawgeti(L, arg, i + 1);
        if (lua_istable(L, -1)) parts[i] = check_range(L, wf_dim(t, i));
        else parts[i] = (part){true, check_at(L, lua_gettop(L), wf_dim(t, i)), 1, 1};
        lua_pop(L, 1);
    }
    return n;
}

/* The view of t that parts describe, in the innermost scope. */
static wf_tensor *apply_spec(wf_ctx *c, wf_tensor *t, const part *parts, int n)
{
    for (int i = 0, d = 0; i < n; i++) {
        const part p = parts[i];
        if (p.is_index) t = wf_select(c, t, d, p.start);
        else if (p.count != wf_dim(t, d) || p.step != 1)
            t = wf_slice(c, t, d, p.start, p.count, p.step);
        if (!t) return NULL;
        if (!p.is_index) d++;
    }
    return t;
}

static bool is_spec(lua_State *L, int arg)
{
    return lua_type(L, arg) == LUA_TNUMBER || lua_istable(L, arg);
}

static int read_view(lua_State *L, lwf_state *s, wf_tensor *t)
{
    part parts[WF_MAX_RANK];
    const int n = check_spec(L, 2, t, parts);
    int n_index = 0;
    for (int i = 0; i < n; i++) n_index += parts[i].is_index;
    wf_scope *scope = wf_scope_open(s->ctx);
    wf_tensor *v = apply_spec(s->ctx, t, parts, n);
    if (n_index < wf_rank(t) || !v) return lwf_push_tensor(L, s, wf_scope_close(s->ctx, scope, v));
    const double x = wf_item(s->ctx, v);
    const bool is_bool = wf_get_dtype(v) == WF_DTYPE_BOOL;
    wf_scope_close(s->ctx, scope, NULL);
    if (wf_has_failed(s->ctx)) return lwf_raise(L);
    if (is_bool) lua_pushboolean(L, x != 0);
    else lua_pushnumber(L, x);
    return 1;
}

int lwf_tensor_index(lua_State *L)
{
    if (lua_type(L, 2) == LUA_TSTRING) {
        lua_pushvalue(L, 2);
        lua_rawget(L, lua_upvalueindex(2));
        if (!lua_isnil(L, -1)) return 1;
        lua_pushvalue(L, 2);
        lua_rawget(L, lua_upvalueindex(3));
        if (lua_isnil(L, -1)) return 1;
        lua_pushvalue(L, 1);
        lua_call(L, 1, 1);
        return 1;
    }
    wf_tensor *t = lwf_check_tensor(L, 1, "index: t");
    if (is_spec(L, 2)) return read_view(L, lwf_get(L), t);
    return lwf_error(L, "usage", "t[i] or t[{ {first, last}, {}, i }]", "index: cannot be a %s",
                     luaL_typename(L, 2));
}

/* t[spec] = number, boolean or a tensor that broadcasts */
int lwf_tensor_newindex(lua_State *L)
{
    lwf_state *s = lwf_get(L);
    wf_ctx *c = s->ctx;
    wf_tensor *t = lwf_check_tensor(L, 1, "index: t"), *x = lwf_to_tensor(L, s, 3);
    if (!is_spec(L, 2)) return lwf_error(L, "usage", NULL, "a tensor has no fields to set");
    if (!x && !lua_isnumber(L, 3) && !lua_isboolean(L, 3))
        return lwf_error(L, "usage", NULL, "index: cannot assign a %s", luaL_typename(L, 3));
    part parts[WF_MAX_RANK];
    const int n = check_spec(L, 2, t, parts);
    const double v = lua_isboolean(L, 3) ? lua_toboolean(L, 3) : lua_tonumber(L, 3);
    wf_scope *scope = wf_scope_open_on(c, t);
    wf_tensor *y = apply_spec(c, t, parts, n);
    const wf_shape scalar = {0};
    if (y && !x) x = wf_full(c, wf_get_dtype(t), &scalar, v);
    if (x) wf_copy_into(c, y, x);
    wf_scope_close(c, scope, NULL);
    return wf_has_failed(c) ? lwf_raise(L) : 0;
}

/* t:narrow(dim, first, count): a view of a range, kept a tensor whatever the rank */
static int l_narrow(lua_State *L)
{
    lwf_state *s = lwf_get(L);
    wf_tensor *t = lwf_check_tensor(L, 1, "narrow: t");
    const int d = lwf_check_dim(L, 2, "narrow: dim", wf_rank(t));
    const int64_t start = check_at(L, 3, wf_dim(t, d));
    const int64_t count = lwf_check_int(L, 4, "narrow: count", 1, wf_dim(t, d) - start);
    return lwf_push_tensor(L, s, wf_slice(s->ctx, t, d, start, count, 1));
}

/* t:select(dim, i): a view without that dim, kept a tensor whatever the rank */
static int l_select(lua_State *L)
{
    lwf_state *s = lwf_get(L);
    wf_tensor *t = lwf_check_tensor(L, 1, "select: t");
    const int d = lwf_check_dim(L, 2, "select: dim", wf_rank(t));
    return lwf_push_tensor(L, s, wf_select(s->ctx, t, d, check_at(L, 3, wf_dim(t, d))));
}

void lwf_open_index(lua_State *L)
{
    const luaL_Reg list[] = {{"narrow", l_narrow}, {"select", l_select}, {NULL, NULL}};
    lua_getfield(L, -1, "tensor_methods");
    lwf_register(L, list);
    lua_pop(L, 1);
}
