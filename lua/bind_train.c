/*
 * bind_train.c - training steps over lists of parameters, one call a step.
 */
#include "lua/bind.h"

#include "core/train/optim.h"

/* The tensors of the list at arg in a userdata that is pushed; false entries become NULL. */
static wf_tensor **check_list(lua_State *L, int arg, const char *what, int64_t want, int64_t *n)
{
    if (!lua_istable(L, arg))
        lwf_error(L, "usage", NULL, "%s must be a list of tensors, got %s", what,
                  luaL_typename(L, arg));
    *n = (int64_t)lua_objlen(L, arg);
    if (want >= 0 && *n != want)
        lwf_error(L, "usage", NULL, "%s: %lld tensors for %lld parameters", what, (long long)*n,
                  (long long)want);
    wf_tensor **list = (wf_tensor **)lua_newuserdata(L, (size_t)*n * sizeof *list + 1);
    const lwf_state *s = lwf_get(L);
    for (int64_t i = 0; i < *n; i++) {
        lua_rawgeti(L, arg, (int)i + 1);
        list[i] = lwf_to_tensor(L, s, -1);
        if (!list[i] && lua_toboolean(L, -1))
            lwf_error(L, "usage", NULL, "%s: entry %lld is not a tensor", what, (long long)i + 1);
        lua_pop(L, 1);
    }
    return list;
}

/* core.grad_norm(grads) -> number */
static int l_grad_norm(lua_State *L)
{
    int64_t n;
    double norm = 0;
    wf_tensor **g = check_list(L, 1, "grad_norm: grads", -1, &n);
    if (wf_grad_norm(lwf_ctx(L), g, n, &norm) != WF_OK) return lwf_raise(L);
    lua_pushnumber(L, norm);
    return 1;
}

/* core.adamw_step(params, m, v, grads, lr, beta1, beta2, eps, decay, decay_vectors, step, scale) */
static int l_adamw_step(lua_State *L)
{
    int64_t n;
    const wf_adamw o = {
        .lr = luaL_checknumber(L, 5),
        .beta1 = luaL_checknumber(L, 6),
        .beta2 = luaL_checknumber(L, 7),
        .eps = luaL_checknumber(L, 8),
        .decay = luaL_checknumber(L, 9),
        .step = lwf_check_int(L, 11, "adamw: step", 1, (int64_t)1 << 52),
        .grad_scale = luaL_checknumber(L, 12),
    };
    wf_adamw_lists l = {.decay_vectors = luaL_checknumber(L, 10)};
    l.p = check_list(L, 1, "adamw: params", -1, &l.n);
    l.m = check_list(L, 2, "adamw: first moments", l.n, &n);
    l.v = check_list(L, 3, "adamw: second moments", l.n, &n);
    l.g = check_list(L, 4, "adamw: grads", l.n, &n);
    return wf_adamw_step(lwf_ctx(L), &l, &o) == WF_OK ? 0 : lwf_raise(L);
}

/* core.average_step(averages, params, t): each average moves by t towards its parameter */
static int l_average_step(lua_State *L)
{
    int64_t n;
    wf_tensor **y = check_list(L, 1, "ema: averages", -1, &n);
    wf_tensor **x = check_list(L, 2, "ema: params", n, &n);
    const double t = luaL_checknumber(L, 3);
    return wf_average_step(lwf_ctx(L), y, x, n, t) == WF_OK ? 0 : lwf_raise(L);
}

void lwf_open_train(lua_State *L)
{
    const luaL_Reg list[] = {
        {"grad_norm", l_grad_norm},
        {"adamw_step", l_adamw_step},
        {"average_step", l_average_step},
        {NULL, NULL},
    };
    lwf_register(L, list);
}
