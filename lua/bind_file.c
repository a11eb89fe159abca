/*
 * bind_file.c - files of named tensors: an open file as userdata, saving, NumPy arrays.
 */
#include "lua/bind.h"

#include <ctype.h>

#include "core/file/file_write.h"
#include "core/file/tensors.h"

#define FILE_MT "weft.TensorFile"

static int file_gc(lua_State *L)
{
    wf_tensors **box = (wf_tensors **)luaL_checkudata(L, 1, FILE_MT);
    if (*box) wf_tensors_close(*box);
    *box = NULL;
    return 0;
}

static wf_tensors *check_file(lua_State *L)
{
    wf_tensors **box = (wf_tensors **)luaL_checkudata(L, 1, FILE_MT);
    if (!*box) lwf_error(L, "usage", NULL, "file of tensors is closed");
    return *box;
}

/* core.open_tensors(path) -> file: f:names(), f:get(name), f:info(name), f:meta(key), f:close() */
static int l_open(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    wf_tensors **box = (wf_tensors **)lua_newuserdata(L, sizeof *box);
    *box = NULL;
    luaL_getmetatable(L, FILE_MT);
    lua_setmetatable(L, -2);
    *box = wf_tensors_open(lwf_ctx(L), path);
    return *box ? 1 : lwf_raise(L);
}

static int l_names(lua_State *L)
{
    wf_tensors *f = check_file(L);
    const int64_t n = wf_tensors_get_count(f);
    lua_createtable(L, (int)n, 0);
    for (int64_t i = 0; i < n; i++) {
        lua_pushstring(L, wf_tensors_get_name(f, i));
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

static int64_t check_name(lua_State *L, const wf_tensors *f)
{
    const char *name = luaL_checkstring(L, 2);
    const int64_t i = wf_tensors_find(f, name);
    if (i < 0)
        lwf_error(L, "format", NULL, "%s: holds no tensor '%s'", wf_tensors_get_path(f), name);
    return i;
}

/* f:has(name) */
static int l_has(lua_State *L)
{
    lua_pushboolean(L, wf_tensors_find(check_file(L), luaL_checkstring(L, 2)) >= 0);
    return 1;
}

/* Close the scope and push t, of host memory, from it: as it is where new tensors are made on the
 * CPU, else a copy on their device. */
static int push_here(lua_State *L, lwf_state *s, wf_scope *scope, wf_tensor *t)
{
    t = wf_to_device(s->ctx, t, wf_ctx_get_device(s->ctx));
    return lwf_push_tensor(L, s, wf_scope_close(s->ctx, scope, t));
}

/* f:get(name) -> the tensor, over the mapping where new tensors are made on the CPU */
static int l_get(lua_State *L)
{
    lwf_state *s = lwf_get(L);
    wf_tensors *f = check_file(L);
    const int64_t i = check_name(L, f);
    wf_scope *scope = wf_scope_open(s->ctx);
    return push_here(L, s, scope, wf_tensors_get(s->ctx, f, i));
}

/* Push the dtype of tensor i, as the file calls it where weft has no such dtype: "f8_e4m3". */
static void push_dtype(lua_State *L, const wf_tensors *f, int64_t i)
{
    const wf_dtype t = wf_tensors_get_dtype(f, i);
    const char *text = t < WF_DTYPE_COUNT ? wf_dtype_text(t) : wf_tensors_get_dtype_text(f, i);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (; *text; text++) luaL_addchar(&b, (char)tolower((unsigned char)*text));
    luaL_pushresult(&b);
}

/* f:info(name) -> dtype, sizes */
static int l_info(lua_State *L)
{
    wf_tensors *f = check_file(L);
    const int64_t i = check_name(L, f);
    const wf_shape shape = wf_tensors_get_shape(f, i);
    push_dtype(L, f, i);
    lua_createtable(L, shape.rank, 0);
    for (int d = 0; d < shape.rank; d++) {
        lua_pushnumber(L, (double)shape.dims[d]);
        lua_rawseti(L, -2, d + 1);
    }
    return 2;
}

/* f:meta(key) -> string or nil */
static int l_meta(lua_State *L)
{
    lua_pushstring(L, wf_tensors_get_meta(check_file(L), luaL_checkstring(L, 2)));
    return 1;
}

/* ---- saving ---- */

static int count_pairs(lua_State *L, int arg)
{
    int n = 0;
    if (lua_isnoneornil(L, arg)) return 0;
    luaL_checktype(L, arg, LUA_TTABLE);
    for (lua_pushnil(L); lua_next(L, arg); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            lwf_error(L, "usage", NULL, "save: names must be strings");
        n++;
    }
    return n;
}

/* Keys and string values of the table at arg, in turn, in a userdata that is pushed. */
static const char **check_meta(lua_State *L, int arg, int n)
{
    const char **meta = (const char **)lua_newuserdata(L, 2 * (size_t)n * sizeof *meta + 1);
    int i = 0;
    if (n == 0) return meta;
    for (lua_pushnil(L); lua_next(L, arg); lua_pop(L, 1)) {
        if (lua_type(L, -1) != LUA_TSTRING)
            lwf_error(L, "usage", NULL, "save: metadata must be strings");
        meta[i++] = lua_tostring(L, -2);
        meta[i++] = lua_tostring(L, -1);
    }
    return meta;
}

/* core.save_tensors(path, { name = tensor }, { key = text }?) */
static int l_save(lua_State *L)
{
    lwf_state *s = lwf_get(L);
    const char *path = luaL_checkstring(L, 1);
    lua_settop(L, 3);
    const int n = count_pairs(L, 2), n_meta = count_pairs(L, 3);
    const char **names = (const char **)lua_newuserdata(L, (size_t)n * sizeof *names + 1);
    wf_tensor **t = (wf_tensor **)lua_newuserdata(L, (size_t)n * sizeof *t + 1);
    int i = 0;
    for (lua_pushnil(L); lua_next(L, 2); lua_pop(L, 1)) {
        names[i] = lua_tostring(L, -2);
        t[i++] = lwf_check_tensor(L, lua_gettop(L), "save: an entry");
    }
    const char **meta = check_meta(L, 3, n_meta);
    wf_scope *scope = wf_scope_open(s->ctx);
    const wf_status st = wf_tensors_save(s->ctx, path, names, t, n, meta, n_meta);
    wf_scope_close(s->ctx, scope, NULL);
    return st == WF_OK ? 0 : lwf_raise(L);
}

/* core.load_npy(path) -> tensor */
static int l_load_npy(lua_State *L)
{
    lwf_state *s = lwf_get(L);
    const char *path = luaL_checkstring(L, 1);
    wf_scope *scope = wf_scope_open(s->ctx);
    return push_here(L, s, scope, wf_npy_load(s->ctx, path));
}

/* core.save_npy(path, tensor) */
static int l_save_npy(lua_State *L)
{
    lwf_state *s = lwf_get(L);
    const char *path = luaL_checkstring(L, 1);
    wf_tensor *t = lwf_check_tensor(L, 2, "save: the array");
    wf_scope *scope = wf_scope_open(s->ctx);
    const wf_status st = wf_npy_save(s->ctx, path, t);
    wf_scope_close(s->ctx, scope, NULL);
    return st == WF_OK ? 0 : lwf_raise(L);
}

/* core.save_text(path, text, overwrite): a whole file or none */
static int l_save_text(lua_State *L)
{
    size_t bytes = 0;
    const char *path = luaL_checkstring(L, 1), *text = luaL_checklstring(L, 2, &bytes);
    const wf_status st = wf_file_save(lwf_ctx(L), path, text, bytes, lua_toboolean(L, 3));
    return st == WF_OK ? 0 : lwf_raise(L);
}

/* core.ready_folder(folder): fails when no file can be written there; removes what writers that are
 * dead left in it and gives their number */
static int l_ready_folder(lua_State *L)
{
    const char *folder = luaL_checkstring(L, 1);
    lua_pushfstring(L, "%s/weft", folder);
    if (wf_file_write_probe(lwf_ctx(L), lua_tostring(L, -1)) != WF_OK) return lwf_raise(L);
    lua_pushinteger(L, wf_file_write_sweep(folder));
    return 1;
}

void lwf_open_file(lua_State *L)
{
    const luaL_Reg list[] = {
        {"open_tensors", l_open}, {"save_tensors", l_save}, {"load_npy", l_load_npy},
        {"save_npy", l_save_npy}, {"save_text", l_save_text},
        {"ready_folder", l_ready_folder}, {NULL, NULL},
    };
    const luaL_Reg methods[] = {
        {"names", l_names}, {"has", l_has},       {"get", l_get}, {"info", l_info},
        {"meta", l_meta},   {"close", file_gc}, {NULL, NULL},
    };
    lwf_register(L, list);
    lwf_add_class(L, FILE_MT, methods, file_gc);
}
