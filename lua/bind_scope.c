/*
 * bind_scope.c - who owns what while Lua runs: scopes, gradients, checkpointed blocks.
 *
 * All four call a Lua function under lua_pcall and put the context back before they raise. Yielding
 * across them is refused by LuaJIT, so scopes and tapes cannot interleave.
 */
#include "lua/bind.h"

#include "core/base/mem.h"
#include "core/tensor/grad.h"

/* (...) -> the same, kept from the scope. Runs under lua_pcall: it may run out of Lua's memory. */
static int keep_results(lua_State *L)
{
    lwf_keep(L, lwf_get(L));
    return lua_gettop(L);
}

/* ... = weft.scope(f, ...): call f; free what it made and did not return. */
static int l_scope(lua_State *L)
{
    lwf_state *s = lwf_get(L);
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushcclosure(L, keep_results, 1);
    lua_insert(L, 1);
    wf_scope *scope = wf_scope_open(s->ctx);
    if (!scope) return lwf_raise(L);
    int rc = lua_pcall(L, lua_gettop(L) - 2, LUA_MULTRET, 0);
    if (rc == 0) rc = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
    wf_scope_close(s->ctx, scope, NULL);
    if (rc == 0 && wf_has_failed(s->ctx)) return lwf_raise(L);
    return rc ? lua_error(L) : lua_gettop(L);
}

/* t = core.own(t): state that no scope's closing frees; the collector does. */
static int l_own(lua_State *L)
{
    wf_tensor *t = lwf_check_tensor(L, 1, "own: t");
    wf_release(wf_take_owned(lwf_ctx(L), t));
    lua_settop(L, 1);
    return 1;
}

/* ... = weft.no_grad(f, ...): what f computes is a constant to the gradient around it. */
static int l_no_grad(lua_State *L)
{
    wf_ctx *c = lwf_ctx(L);
    luaL_checktype(L, 1, LUA_TFUNCTION);
    wf_tape_pause(c);
    const int rc = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
    wf_tape_resume(c);
    return rc ? lua_error(L) : lua_gettop(L);
}

/* ---- gradients ---- */

/* One weft.grad, while it runs. */
typedef struct grad_call {
    wf_tape *tape;
    wf_tensor **wrt, **grads;    /* n each, in a userdata on the stack */
    int n;
    bool single;                 /* one tensor was given, not a list */
} grad_call;

/* Read the parameters at arg, one tensor or a list of them, into a userdata that is pushed. */
static grad_call check_params(lua_State *L, const lwf_state *s, int arg)
{
    grad_call g = {.single = lwf_to_tensor(L, s, arg) != NULL};
    if (!g.single && !lua_istable(L, arg))
        lwf_error(L, "usage", NULL, "grad: parameters must be a list of tensors, got %s",
                  luaL_typename(L, arg));
    g.n = g.single ? 1 : (int)lua_objlen(L, arg);
    if (g.n == 0)
        lwf_error(L, "usage", "weft.train.parameters(model) makes the list",
                  "grad: parameters must be a list of tensors, got a table without any");
    g.wrt = (wf_tensor **)lua_newuserdata(L, 2 * (size_t)g.n * sizeof *g.wrt + 1);
    g.grads = g.wrt + g.n;
    for (int i = 0; i < g.n; i++) {
        if (g.single) lua_pushvalue(L, arg);
        else lua_rawgeti(L, arg, i + 1);
        g.wrt[i] = lwf_check_tensor(L, lua_gettop(L), "grad: a parameter");
        lua_pop(L, 1);
    }
    return g;
}

/* Push the gradients: one, or a list with false where the loss does not depend on the parameter. */
static void push_grads(lua_State *L, lwf_state *s, const grad_call *g)
{
    if (!g->single) lua_createtable(L, g->n, 0);
    for (int i = 0; i < g->n; i++) {
        if (g->grads[i]) lwf_push_tensor(L, s, g->grads[i]);
        else lua_pushboolean(L, 0);
        if (!g->single) lua_rawseti(L, -2, i + 1);
    }
}

/* (f, call) -> loss, grads, what else f returned; all kept from the scope. Runs under lua_pcall. */
static int grad_body(lua_State *L)
{
    lwf_state *s = lwf_get(L);
    const grad_call *g = (const grad_call *)lua_touserdata(L, 2);
    lua_settop(L, 1);
    lua_call(L, 0, LUA_MULTRET);
    if (lua_gettop(L) == 0 || !lwf_to_tensor(L, s, 1))
        return lwf_error(L, "usage", NULL, "grad: the function must return the loss first");
    if (wf_tape_backward(g->tape, lwf_to_tensor(L, s, 1), g->grads) != WF_OK) return lwf_raise(L);
    push_grads(L, s, g);
    lua_insert(L, 2);
    lwf_keep(L, s);
    return wf_has_failed(s->ctx) ? lwf_raise(L) : lua_gettop(L);
}

/* loss, grads, ... = weft.grad(f, params): f returns the loss, and more if it likes. */
static int l_grad(lua_State *L)
{
    lwf_state *s = lwf_get(L);
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 2);
    grad_call g = check_params(L, s, 2);
    lua_State *before = s->L;
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushcclosure(L, grad_body, 1);
    lua_pushvalue(L, 1);
    lua_pushlightuserdata(L, &g);
    s->L = L;
    wf_scope *scope = wf_scope_open(s->ctx);
    g.tape = wf_tape_open(s->ctx, g.wrt, g.n);
    const int rc = g.tape ? lua_pcall(L, 2, LUA_MULTRET, 0) : 0;
    const bool ran = g.tape != NULL;
    wf_tape_close(g.tape);
    wf_scope_close(s->ctx, scope, NULL);
    s->L = before;
    if (!ran) return lwf_raise(L);
    return rc ? lua_error(L) : lua_gettop(L) - 3;
}

/* ---- blocks that are computed again in backward ---- */

/* A Lua function that core holds until the tape no longer needs it. */
typedef struct block {
    lwf_state *s;
    int ref;
} block;

static void drop_block(void *arg)
{
    block *b = (block *)arg;
    luaL_unref(b->s->L, LUA_REGISTRYINDEX, b->ref);
    wf_mem_free(wf_ctx_get_mem(b->s->ctx), b);
}

/* What the block's function returned, on top; a result that is no new tensor becomes a view. */
static wf_tensor *block_result(lwf_state *s, wf_tensor *const *in, int n_in)
{
    wf_tensor *y = lwf_to_tensor(s->L, s, -1);
    if (!y) return wf_fail(s->ctx, WF_EARG, "checkpoint: the function must return one tensor");
    const wf_shape shape = wf_get_shape(y);
    for (int i = 0; i < n_in; i++)
        if (y == in[i]) return wf_reshape(s->ctx, y, shape.rank, shape.dims);
    return y;
}

/* (in..., pushed by push_inputs) runs protected: boxes may not be made outside */
static int push_inputs(lua_State *L)
{
    lwf_state *s = lwf_get(L);
    wf_tensor *const *in = (wf_tensor *const *)lua_touserdata(L, 2);
    const int n = (int)lua_tointeger(L, 3);
    luaL_checkstack(L, n + 4, "checkpoint");
    lua_settop(L, 1);
    for (int i = 0; i < n; i++) lwf_push_tensor(L, s, in[i]);
    lua_call(L, n, 1);
    return 1;
}

/* Core calls the block: now, and again in backward. */
static wf_tensor *run_block(wf_ctx *c, void *arg, wf_tensor *const *in, int n_in)
{
    const block *b = (const block *)arg;
    lwf_state *s = b->s;
    lua_State *L = s->L;
    (void)c;
    if (!lua_checkstack(L, 8)) return wf_fail(s->ctx, WF_ENOMEM, "checkpoint: Lua's stack is full");
    lua_getfield(L, LUA_REGISTRYINDEX, "weft.state");
    lua_pushcclosure(L, push_inputs, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, b->ref);
    lua_pushlightuserdata(L, (void *)(uintptr_t)in);
    lua_pushinteger(L, n_in);
    if (lwf_callback(s, 3, 1) != WF_OK) return NULL;
    wf_tensor *y = block_result(s, in, n_in);
    lua_pop(L, 1);
    return y;
}

/* y = weft.checkpoint(f, a, b, ...): f(a, b, ...) keeps only its inputs, and runs again in
 * backward. */
static int l_checkpoint(lua_State *L)
{
    lwf_state *s = lwf_get(L);
    luaL_checktype(L, 1, LUA_TFUNCTION);
    wf_tensor *in[WF_OP_MAX_IN];
    const int n = lua_gettop(L) - 1;
    if (n > WF_OP_MAX_IN)
        return lwf_error(L, "usage", NULL, "checkpoint: more than %d inputs", WF_OP_MAX_IN);
    for (int i = 0; i < n; i++) in[i] = lwf_check_tensor(L, i + 2, "checkpoint: an input");
    lua_pushvalue(L, 1);
    const int ref = luaL_ref(L, LUA_REGISTRYINDEX);
    block *b = (block *)wf_mem_alloc(wf_ctx_get_mem(s->ctx), sizeof *b);
    if (!b) {
        luaL_unref(L, LUA_REGISTRYINDEX, ref);
        return lwf_error(L, "oom", NULL, "checkpoint: out of memory");
    }
    *b = (block){s, ref};
    lua_State *before = s->L;
    s->L = L;
    wf_tensor *y = wf_checkpoint(s->ctx, run_block, b, drop_block, in, n);
    s->L = before;
    return lwf_push_tensor(L, s, y);
}

void lwf_open_scope(lua_State *L)
{
    const luaL_Reg list[] = {
        {"own", l_own}, {"scope", l_scope}, {"no_grad", l_no_grad},       {"grad", l_grad},
        {"checkpoint", l_checkpoint}, {NULL, NULL},
    };
    lwf_register(L, list);
}
