/* bind_text.c - tokenizers as userdata. */
#include "lua/bind.h"

#include "core/text/tokenizer.h"

#define TOKENIZER_MT "weft.CoreTokenizer"

static wf_tokenizer *check_tokenizer(lua_State *L)
{
    wf_tokenizer **box = (wf_tokenizer **)luaL_checkudata(L, 1, TOKENIZER_MT);
    if (!*box) lwf_error(L, "usage", NULL, "tokenizer already freed");
    return *box;
}

static int l_free(lua_State *L)
{
    wf_tokenizer **box = (wf_tokenizer **)luaL_checkudata(L, 1, TOKENIZER_MT);
    wf_tokenizer_free(*box);
    *box = NULL;
    return 0;
}

/* core.open_tokenizer(path) */
static int l_open(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    wf_tokenizer **box = (wf_tokenizer **)lua_newuserdata(L, sizeof *box);
    *box = NULL;
    luaL_getmetatable(L, TOKENIZER_MT);
    lua_setmetatable(L, -2);
    *box = wf_tokenizer_load(lwf_ctx(L), path);
    return *box ? 1 : lwf_raise(L);
}

/* t:encode(text, special) -> list of ids */
static int l_encode(lua_State *L)
{
    wf_ctx *c = lwf_ctx(L);
    const wf_tokenizer *t = check_tokenizer(L);
    size_t bytes;
    const char *text = luaL_checklstring(L, 2, &bytes);
    int64_t *ids = NULL, n = 0;
    if (wf_tokenizer_encode(c, t, text, bytes, lua_toboolean(L, 3), &ids, &n) != WF_OK) return lwf_raise(L);
    lua_newtable(L);
    for (int64_t i = 0; i < n; i++) {
        lua_pushnumber(L, (double)ids[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    wf_mem_free(wf_ctx_get_mem(c), ids);
    return 1;
}

/* t:decode(list of ids, skip_special) -> text */
static int l_decode(lua_State *L)
{
    wf_ctx *c = lwf_ctx(L);
    const wf_tokenizer *t = check_tokenizer(L);
    luaL_checktype(L, 2, LUA_TTABLE);
    const int64_t n = (int64_t)lua_objlen(L, 2);
    int64_t *ids = (int64_t *)lua_newuserdata(L, (size_t)(n + 1) * sizeof *ids);
    for (int64_t i = 0; i < n; i++) {
        lua_rawgeti(L, 2, (int)i + 1);
        ids[i] = (int64_t)lua_tonumber(L, -1);
        lua_pop(L, 1);
    }
    char *text = NULL;
    if (wf_tokenizer_decode(c, t, ids, n, lua_toboolean(L, 3), &text) != WF_OK) return lwf_raise(L);
    lua_pushstring(L, text);
    wf_mem_free(wf_ctx_get_mem(c), text);
    return 1;
}

static int l_count(lua_State *L)
{
    lua_pushnumber(L, (double)wf_tokenizer_get_count(check_tokenizer(L)));
    return 1;
}

/* t:piece(id) -> text or nil */
static int l_piece(lua_State *L)
{
    const wf_tokenizer *t = check_tokenizer(L);
    lua_pushstring(L, wf_tokenizer_get_piece(t, (int64_t)luaL_checknumber(L, 2)));
    return 1;
}

/* t:id(piece) -> id or nil */
static int l_id(lua_State *L)
{
    const int64_t id = wf_tokenizer_find(check_tokenizer(L), luaL_checkstring(L, 2));
    if (id < 0) lua_pushnil(L);
    else lua_pushnumber(L, (double)id);
    return 1;
}

void lwf_open_text(lua_State *L, lwf_state *s)
{
    const luaL_Reg methods[] = {{"encode", l_encode}, {"decode", l_decode}, {"count", l_count},
                                {"piece", l_piece},   {"id", l_id},         {"free", l_free}, {NULL, NULL}};
    const luaL_Reg list[] = {{"open_tokenizer", l_open}, {NULL, NULL}};
    luaL_newmetatable(L, TOKENIZER_MT);
    lua_newtable(L);
    lwf_register(L, s, methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, l_free);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    lwf_register(L, s, list);
}
