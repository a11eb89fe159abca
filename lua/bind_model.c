/*
 * bind_model.c - models as userdata: made or loaded, called with named tensors, saved.
 */
#include "lua/bind.h"

#include <string.h>

#include "core/model/lora.h"
#include "core/model/model.h"

#define MODEL_MT "weft.CoreModel"

static int model_gc(lua_State *L)
{
    wf_model **box = (wf_model **)luaL_checkudata(L, 1, MODEL_MT);
    wf_model_release(*box);
    *box = NULL;
    return 0;
}

static wf_model *check_model(lua_State *L)
{
    wf_model **box = (wf_model **)luaL_checkudata(L, 1, MODEL_MT);
    if (!*box) lwf_error(L, "usage", NULL, "model already freed");
    return *box;
}

/* A dtype at arg; nil: as stored. */
static wf_dtype opt_dtype(lua_State *L, int arg, const char *what)
{
    return lua_isnoneornil(L, arg) ? WF_DTYPE_COUNT : lwf_check_dtype(L, arg, what);
}

/* The same for a file's weights: "q8" too. */
static wf_dtype opt_stored_dtype(lua_State *L, int arg, const char *what)
{
    const char *text = lua_type(L, arg) == LUA_TSTRING ? lua_tostring(L, arg) : "";
    return strcmp(text, "q8") == 0 ? WF_DTYPE_Q8_0 : opt_dtype(L, arg, what);
}

/* An empty box for a model, pushed. */
static wf_model **push_box(lua_State *L)
{
    wf_model **box = (wf_model **)lua_newuserdata(L, sizeof *box);
    *box = NULL;
    luaL_getmetatable(L, MODEL_MT);
    lua_setmetatable(L, -2);
    return box;
}

static int loaded(lua_State *L, lwf_state *s, wf_model **box)
{
    if (!*box) return lwf_raise(L);
    lwf_settle(L, s, wf_model_get_report(*box)->bytes);
    return 1;
}

/* ---- making and loading ---- */

/* core.new_model(arch or nil, config as JSON, seed) */
static int l_new(lua_State *L)
{
    lwf_state *s = lwf_get(L);
    const char *arch = luaL_optstring(L, 1, NULL);
    size_t bytes;
    const char *text = luaL_checklstring(L, 2, &bytes);
    const uint64_t seed = lwf_check_seed(L, 3, "model: seed");
    wf_model **box = push_box(L);
    wf_json *config = wf_json_parse(s->ctx, text, bytes, "config");
    if (config) *box = wf_model_new(s->ctx, arch, config, seed);
    wf_json_free(config);
    return loaded(L, s, box);
}

/* core.load_model(folder, dtype or nil) */
static int l_load(lua_State *L)
{
    lwf_state *s = lwf_get(L);
    const char *folder = luaL_checkstring(L, 1);
    const wf_dtype dtype = opt_dtype(L, 2, "model: dtype");
    wf_model **box = push_box(L);
    *box = wf_model_load(s->ctx, folder, dtype);
    return loaded(L, s, box);
}

/* core.load_model_file(path, config as JSON, dtype or nil) */
static int l_load_file(lua_State *L)
{
    lwf_state *s = lwf_get(L);
    const char *path = luaL_checkstring(L, 1);
    size_t bytes;
    const char *text = luaL_checklstring(L, 2, &bytes);
    const wf_dtype dtype = opt_dtype(L, 3, "model: dtype");
    wf_model **box = push_box(L);
    wf_json *config = wf_json_parse(s->ctx, text, bytes, "config");
    if (config) *box = wf_model_load_file(s->ctx, config, path, dtype);
    wf_json_free(config);
    return loaded(L, s, box);
}

/* ---- looking ---- */

static int l_arch(lua_State *L)
{
    lua_pushstring(L, wf_model_get_arch(check_model(L)));
    return 1;
}

static int l_config(lua_State *L)
{
    lua_pushstring(L, wf_model_get_config(check_model(L)));
    return 1;
}

/* m:param(i) -> name, tensor; nothing past the last */
static int l_param(lua_State *L)
{
    lwf_state *s = lwf_get(L);
    const wf_model *m = check_model(L);
    const int64_t i = lwf_check_int(L, 2, "param: i", 1, (int64_t)1 << 40);
    if (i > wf_model_get_count(m)) return 0;
    const char *name;
    wf_tensor *t = wf_model_get_param(m, i - 1, &name);
    lua_pushstring(L, name);
    return 1 + lwf_push_tensor(L, s, t);
}

static void push_names(lua_State *L, const char *key, const char *const *names, int64_t n)
{
    lua_createtable(L, (int)n, 0);
    for (int64_t i = 0; i < n; i++) {
        lua_pushstring(L, names[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    lua_setfield(L, -2, key);
}

/* m:report() -> { used, missing, unexpected, bytes } */
static int l_report(lua_State *L)
{
    const wf_report *r = wf_model_get_report(check_model(L));
    lua_createtable(L, 0, 5);
    lua_pushnumber(L, (double)r->n_used);
    lua_setfield(L, -2, "used");
    lua_pushnumber(L, (double)r->bytes);
    lua_setfield(L, -2, "bytes");
    push_names(L, "missing", r->missing, r->n_missing);
    push_names(L, "unexpected", r->unexpected, r->n_unexpected);
    return 1;
}

/* ---- calling ---- */

/* The tensors of the table at arg by name; names are those of the table's keys. */
static int check_inputs(lua_State *L, int arg, wf_named in[WF_MODEL_MAX_IO])
{
    int n = 0;
    luaL_checktype(L, arg, LUA_TTABLE);
    for (lua_pushnil(L); lua_next(L, arg); lua_pop(L, 1)) {
        if (n == WF_MODEL_MAX_IO || lua_type(L, -2) != LUA_TSTRING)
            lwf_error(L, "usage", NULL, "model: inputs are at most %d tensors by name",
                      WF_MODEL_MAX_IO);
        const char *name = lua_tostring(L, -2);
        in[n++] = (wf_named){name, lwf_check_tensor(L, lua_gettop(L), name)};
    }
    return n;
}

/* m:call(method, { name = tensor }) -> { name = tensor } */
static int l_call(lua_State *L)
{
    lwf_state *s = lwf_get(L);
    wf_model *m = check_model(L);
    const char *method = luaL_checkstring(L, 2);
    wf_named in[WF_MODEL_MAX_IO], out[WF_MODEL_MAX_IO];
    const int n_in = check_inputs(L, 3, in);
    int n = 0;
    wf_scope *scope = wf_scope_open(s->ctx);
    if (wf_model_call(s->ctx, m, method, in, n_in, out, &n) != WF_OK) n = 0;
    for (int i = 0; i < n; i++) {
        out[i].t = wf_take(s->ctx, out[i].t);        /* first: keeping may fail and release */
        wf_scope_keep(s->ctx, out[i].t);
    }
    wf_scope_close(s->ctx, scope, NULL);
    if (wf_has_failed(s->ctx)) {
        for (int i = 0; i < n; i++) wf_release(out[i].t);
        return lwf_raise(L);
    }
    lua_createtable(L, 0, n);
    for (int i = 0; i < n; i++) {
        lwf_push_tensor(L, s, out[i].t);
        wf_release(out[i].t);
        lua_setfield(L, -2, out[i].name);
    }
    return 1;
}

/* ---- changing and saving ---- */

/* m:convert(dtype) */
static int l_convert(lua_State *L)
{
    wf_model *m = check_model(L);
    const wf_dtype dtype = lwf_check_dtype(L, 2, "model: dtype");
    return wf_model_convert(lwf_ctx(L), m, dtype) == WF_OK ? 0 : lwf_raise(L);
}

/* m:set(name, tensor) */
static int l_set(lua_State *L)
{
    wf_model *m = check_model(L);
    const char *name = luaL_checkstring(L, 2);
    wf_tensor *t = lwf_check_tensor(L, 3, "set: t");
    return wf_model_set_param(lwf_ctx(L), m, name, t) == WF_OK ? 0 : lwf_raise(L);
}

/* m:save(folder, file, dtype or nil) */
static int l_save(lua_State *L)
{
    lwf_state *s = lwf_get(L);
    wf_model *m = check_model(L);
    const char *folder = luaL_checkstring(L, 2), *file = luaL_checkstring(L, 3);
    const wf_dtype dtype = opt_stored_dtype(L, 4, "save: dtype");
    wf_scope *scope = wf_scope_open(s->ctx);
    const wf_status st = wf_model_save(s->ctx, m, folder, file, dtype);
    wf_scope_close(s->ctx, scope, NULL);
    return st == WF_OK ? 0 : lwf_raise(L);
}

/* ---- adapters ---- */

enum { MAX_TARGETS = 64 };

/* m:adapt(rank, alpha, { target, ... }, seed) -> how many layers */
static int l_adapt(lua_State *L)
{
    wf_model *m = check_model(L);
    const char *targets[MAX_TARGETS + 1] = {NULL};
    luaL_checktype(L, 4, LUA_TTABLE);
    const int n_targets = (int)lua_objlen(L, 4);
    if (n_targets < 1 || n_targets > MAX_TARGETS)
        lwf_error(L, "usage", NULL, "adapt: 1 to %d targets", MAX_TARGETS);
    for (int i = 0; i < n_targets; i++) {
        lua_rawgeti(L, 4, i + 1);
        if (lua_type(L, -1) != LUA_TSTRING)       /* a number would become a string of its own */
            lwf_error(L, "usage", NULL, "adapt: targets must be a list of names, got a %s",
                      luaL_typename(L, -1));
        targets[i] = lua_tostring(L, -1);         /* stays in the table */
        lua_pop(L, 1);
    }
    const wf_lora_style style = {.rank = lwf_check_int(L, 2, "adapt: rank", 1, 1 << 16),
                                 .alpha = luaL_checknumber(L, 3),
                                 .targets = targets,
                                 .seed = lwf_check_seed(L, 5, "adapt: seed")};
    int64_t n = 0;
    if (wf_lora_adapt(lwf_ctx(L), m, &style, &n) != WF_OK) return lwf_raise(L);
    lua_pushnumber(L, (double)n);
    return 1;
}

/* m:adapter(i) -> name, tensor; nothing past the last */
static int l_adapter(lua_State *L)
{
    lwf_state *s = lwf_get(L);
    const wf_model *m = check_model(L);
    const int64_t i = lwf_check_int(L, 2, "adapter: i", 1, (int64_t)1 << 40);
    const char *name;
    wf_tensor *t = wf_lora_get_param(m, i - 1, &name);
    if (!t) return 0;
    lua_pushstring(L, name);
    return 1 + lwf_push_tensor(L, s, t);
}

/* m:save_adapter(folder) */
static int l_save_adapter(lua_State *L)
{
    const wf_model *m = check_model(L);
    return wf_lora_save(lwf_ctx(L), m, luaL_checkstring(L, 2)) == WF_OK ? 0 : lwf_raise(L);
}

/* m:merge(path, scale) -> how many layers */
static int l_merge(lua_State *L)
{
    wf_model *m = check_model(L);
    int64_t n = 0;
    if (wf_lora_merge(lwf_ctx(L), m, luaL_checkstring(L, 2), luaL_checknumber(L, 3), &n) != WF_OK)
        return lwf_raise(L);
    lua_pushnumber(L, (double)n);
    return 1;
}

void lwf_open_model(lua_State *L)
{
    const luaL_Reg list[] = {
        {"new_model", l_new},
        {"load_model", l_load},
        {"load_model_file", l_load_file},
        {NULL, NULL},
    };
    const luaL_Reg methods[] = {
        {"arch", l_arch},       {"config", l_config}, {"param", l_param}, {"report", l_report},
        {"call", l_call},       {"convert", l_convert}, {"set", l_set},   {"save", l_save},
        {"adapt", l_adapt},     {"adapter", l_adapter}, {"merge", l_merge},
        {"save_adapter", l_save_adapter}, {"free", model_gc}, {NULL, NULL},
    };
    lwf_register(L, list);
    lwf_add_class(L, MODEL_MT, methods, model_gc);
}
