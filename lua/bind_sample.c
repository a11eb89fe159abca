/*
 * bind_sample.c - samplers and runs as userdata; the loop over a run is Lua's.
 */
#include "lua/bind.h"

#include <math.h>

#include "core/sample/sampler.h"
#include "core/tensor/ops.h"

#define SAMPLER_MT "weft.CoreSampler"
#define RUN_MT "weft.CoreRun"

static int sampler_gc(lua_State *L)
{
    wf_sampler **box = (wf_sampler **)luaL_checkudata(L, 1, SAMPLER_MT);
    wf_sampler_free(*box);
    *box = NULL;
    return 0;
}

static int run_gc(lua_State *L)
{
    wf_run **box = (wf_run **)luaL_checkudata(L, 1, RUN_MT);
    wf_run_free(*box);
    *box = NULL;
    return 0;
}

static wf_run *check_run(lua_State *L)
{
    wf_run **box = (wf_run **)luaL_checkudata(L, 1, RUN_MT);
    if (!*box) lwf_error(L, "usage", NULL, "sampler: the run was freed");
    return *box;
}

static void **push_box(lua_State *L, const char *metatable)
{
    void **box = (void **)lua_newuserdata(L, sizeof *box);
    *box = NULL;
    luaL_getmetatable(L, metatable);
    lua_setmetatable(L, -2);
    return box;
}

/* core.new_sampler(config as JSON) */
static int l_new(lua_State *L)
{
    wf_ctx *c = lwf_ctx(L);
    size_t bytes;
    const char *text = luaL_checklstring(L, 1, &bytes);
    void **box = push_box(L, SAMPLER_MT);
    wf_json *config = wf_json_parse(c, text, bytes, "sampler");
    if (config) *box = wf_sampler_new(c, config);
    wf_json_free(config);
    return *box ? 1 : lwf_raise(L);
}

/* s:config() -> JSON */
static int l_config(lua_State *L)
{
    wf_sampler **box = (wf_sampler **)luaL_checkudata(L, 1, SAMPLER_MT);
    lua_pushstring(L, wf_sampler_get_config(*box));
    return 1;
}

/* s:alpha_bar(t) -> number */
static int l_alpha_bar(lua_State *L)
{
    wf_sampler **box = (wf_sampler **)luaL_checkudata(L, 1, SAMPLER_MT);
    const int64_t t = lwf_check_int(L, 2, "alpha_bar: t", 0, wf_sampler_get_train_steps(*box) - 1);
    lua_pushnumber(L, wf_sampler_get_alpha_bar(*box, t));
    return 1;
}

/* ---- starting a run ---- */

static double number_of(lua_State *L, int arg, const char *name, double fallback)
{
    if (!lwf_field(L, arg, name)) return fallback;
    if (lua_type(L, -1) != LUA_TNUMBER)
        lwf_error(L, "usage", NULL, "sampler: %s must be a number", name);
    const double v = lua_tonumber(L, -1);
    lua_pop(L, 1);
    return v;
}

static int int_of(lua_State *L, int arg, const char *name, int fallback)
{
    if (!lwf_field(L, arg, name)) return fallback;
    const char *what = lua_pushfstring(L, "sampler: %s", name);
    const int64_t v = lwf_check_int(L, lua_gettop(L) - 1, what, INT32_MIN, INT32_MAX);
    lua_pop(L, 2);
    return (int)v;
}

static wf_tensor *tensor_of(lua_State *L, int arg, const char *name)
{
    if (!lwf_field(L, arg, name)) return NULL;
    wf_tensor *t = lwf_check_tensor(L, lua_gettop(L), name);
    lua_pop(L, 1);
    return t;
}

/* The list of noises at field "noise", in a userdata that stays on the stack. */
static void read_noises(lua_State *L, int arg, wf_run_opts *o)
{
    if (!lwf_field(L, arg, "noise")) return;
    luaL_checktype(L, -1, LUA_TTABLE);
    const int n = (int)lua_objlen(L, -1), list = lua_gettop(L);
    wf_tensor **t = (wf_tensor **)lua_newuserdata(L, (size_t)n * sizeof *t + 1);
    for (int i = 0; i < n; i++) {
        lua_rawgeti(L, list, i + 1);
        t[i] = lwf_check_tensor(L, lua_gettop(L), "sampler: an entry of noise");
        lua_pop(L, 1);
    }
    o->noise = t;
    o->n_noise = n;
}

/* core.new_run(sampler, { steps, latents, image, strength, begin, seed, noise, eta, ... }) */
static int l_run(lua_State *L)
{
    wf_ctx *c = lwf_ctx(L);
    wf_sampler **s = (wf_sampler **)luaL_checkudata(L, 1, SAMPLER_MT);
    wf_run_opts o = WF_RUN_DEFAULTS;
    luaL_checktype(L, 2, LUA_TTABLE);
    o.steps = int_of(L, 2, "steps", 0);
    o.strength = number_of(L, 2, "strength", 1.0);
    o.begin = int_of(L, 2, "begin", -1);
    o.eta = number_of(L, 2, "eta", o.eta);
    o.s_churn = number_of(L, 2, "s_churn", 0.0);
    o.s_tmin = number_of(L, 2, "s_tmin", 0.0);
    o.s_tmax = number_of(L, 2, "s_tmax", o.s_tmax);
    o.s_noise = number_of(L, 2, "s_noise", 1.0);
    o.order = int_of(L, 2, "order", 0);
    if (lwf_field(L, 2, "use_clipped_model_output")) o.use_clipped = lua_toboolean(L, -1);
    if (lwf_field(L, 2, "seed")) o.seed = lwf_check_seed(L, lua_gettop(L), "sampler: seed");
    o.latents = tensor_of(L, 2, "latents");
    o.image = tensor_of(L, 2, "image");
    read_noises(L, 2, &o);
    void **box = push_box(L, RUN_MT);
    *box = wf_run_new(c, *s, &o);
    return *box ? 1 : lwf_raise(L);
}

/* core.load_run(path) */
static int l_load(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    void **box = push_box(L, RUN_MT);
    *box = wf_run_load(lwf_ctx(L), path);
    return *box ? 1 : lwf_raise(L);
}

/* ---- going ---- */

/* r:next() -> input, t, sigma, step, steps; nothing at the end */
static int l_next(lua_State *L)
{
    lwf_state *s = lwf_get(L);
    wf_run *r = check_run(L);
    wf_run_call call;
    if (!wf_run_next(s->ctx, r, &call)) {
        if (wf_has_failed(s->ctx)) return lwf_raise(L);
        return 0;
    }
    lwf_push_tensor(L, s, call.input);
    lua_pushnumber(L, call.t);
    lua_pushnumber(L, call.sigma);
    lua_pushinteger(L, call.step);
    lua_pushinteger(L, call.steps);
    return 5;
}

/* r:give(out) */
static int l_give(lua_State *L)
{
    wf_run *r = check_run(L);
    wf_tensor *out = lwf_check_tensor(L, 2, "sampler: what denoise returns");
    return wf_run_give(lwf_ctx(L), r, out) == WF_OK ? 0 : lwf_raise(L);
}

/* A copy of what the run goes on from, which it shares with its forks: the caller's to write over.
 */
static int push_copy(lua_State *L, wf_tensor *t)
{
    lwf_state *s = lwf_get(L);
    return t ? lwf_push_tensor(L, s, wf_copy(s->ctx, t)) : 0;
}

static int l_latent(lua_State *L) { return push_copy(L, wf_run_get_latent(check_run(L))); }
static int l_x0(lua_State *L) { return push_copy(L, wf_run_get_x0(check_run(L))); }

/* r:set(latent) */
static int l_set(lua_State *L)
{
    wf_run *r = check_run(L);
    return wf_run_set_latent(lwf_ctx(L), r, lwf_check_tensor(L, 2, "set: latent")) == WF_OK
               ? 0
               : lwf_raise(L);
}

/* r:add_noise(image, noise) -> as at the coming call */
static int l_add_noise(lua_State *L)
{
    lwf_state *s = lwf_get(L);
    wf_run *r = check_run(L);
    wf_tensor *image = lwf_check_tensor(L, 2, "add_noise: image");
    return lwf_push_tensor(
        L, s, wf_run_add_noise(s->ctx, r, image, lwf_check_tensor(L, 3, "add_noise: noise")));
}

static int push_list(lua_State *L, const double *v, int n)
{
    lua_createtable(L, n, 0);
    for (int i = 0; i < n; i++) {
        lua_pushnumber(L, v[i]);
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

/* r:times() -> list, init sigma */
static int l_times(lua_State *L)
{
    int n;
    const double *v = wf_run_get_times(check_run(L), &n);
    push_list(L, v, n);
    lua_pushnumber(L, wf_run_get_init_sigma(check_run(L)));
    return 2;
}

static int l_sigmas(lua_State *L)
{
    int n;
    const double *v = wf_run_get_sigmas(check_run(L), &n);
    return push_list(L, v, n);
}

static int l_fork(lua_State *L)
{
    wf_run *r = check_run(L);
    void **box = push_box(L, RUN_MT);
    *box = wf_run_fork(lwf_ctx(L), r);
    return *box ? 1 : lwf_raise(L);
}

static int l_save(lua_State *L)
{
    wf_run *r = check_run(L);
    return wf_run_save(lwf_ctx(L), r, luaL_checkstring(L, 2)) == WF_OK ? 0 : lwf_raise(L);
}

void lwf_open_sample(lua_State *L)
{
    const luaL_Reg list[] = {
        {"new_sampler", l_new}, {"new_run", l_run}, {"load_run", l_load}, {NULL, NULL}};
    const luaL_Reg sampler[] = {{"config", l_config}, {"alpha_bar", l_alpha_bar}, {NULL, NULL}};
    const luaL_Reg run[] = {
        {"next", l_next},   {"give", l_give}, {"latent", l_latent}, {"x0", l_x0},
        {"set", l_set},     {"add_noise", l_add_noise}, {"times", l_times}, {"sigmas", l_sigmas},
        {"fork", l_fork},   {"save", l_save}, {NULL, NULL}};
    lwf_register(L, list);
    lwf_add_class(L, SAMPLER_MT, sampler, sampler_gc);
    lwf_add_class(L, RUN_MT, run, run_gc);
}
