/*
 * bind_text.c - tokenizers as userdata: text to lists of ids and back.
 */
#include "lua/bind.h"

#include "core/base/mem.h"
#include "core/text/tokenizer.h"

#define TOKENIZER_MT "weft.CoreTokenizer"
#define GUARD_MT "weft.Guard"

/* Memory of core that is freed by the collector if anything raises before it is freed by hand. */
typedef struct guard {
    wf_mem *mem;
    void *p;
} guard;

static int guard_gc(lua_State *L)
{
    guard *g = (guard *)lua_touserdata(L, 1);
    wf_mem_free(g->mem, g->p);
    g->p = NULL;
    return 0;
}

static guard *push_guard(lua_State *L)
{
    guard *g = (guard *)lua_newuserdata(L, sizeof *g);
    *g = (guard){wf_ctx_get_mem(lwf_ctx(L)), NULL};
    luaL_getmetatable(L, GUARD_MT);
    lua_setmetatable(L, -2);
    return g;
}

static int tokenizer_gc(lua_State *L)
{
    wf_tokenizer **box = (wf_tokenizer **)luaL_checkudata(L, 1, TOKENIZER_MT);
    wf_tokenizer_free(*box);
    *box = NULL;
    return 0;
}

static wf_tokenizer *check_tokenizer(lua_State *L)
{
    wf_tokenizer **box = (wf_tokenizer **)luaL_checkudata(L, 1, TOKENIZER_MT);
    if (!*box) lwf_error(L, "usage", NULL, "tokenizer already freed");
    return *box;
}

/* core.open_tokenizer(path of a tokenizer.json or a sentencepiece model, or the folder of one) */
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
    const wf_tokenizer *t = check_tokenizer(L);
    size_t bytes = 0;
    const char *text = luaL_checklstring(L, 2, &bytes);
    guard *g = push_guard(L);
    int64_t *ids = NULL, n = 0;
    if (wf_tokenizer_encode(lwf_ctx(L), t, text, bytes, lua_toboolean(L, 3), &ids, &n) != WF_OK)
        return lwf_raise(L);
    g->p = ids;
    lua_createtable(L, (int)n, 0);
    for (int64_t i = 0; i < n; i++) {
        lua_pushnumber(L, (double)ids[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

/* t:decode(ids, skip_special) -> string */
static int l_decode(lua_State *L)
{
    const wf_tokenizer *t = check_tokenizer(L);
    luaL_checktype(L, 2, LUA_TTABLE);
    const int64_t n = (int64_t)lua_objlen(L, 2);
    int64_t *ids = (int64_t *)lua_newuserdata(L, (size_t)n * sizeof *ids + 1);
    for (int64_t i = 0; i < n; i++) {
        lua_rawgeti(L, 2, (int)i + 1);
        ids[i] = lwf_check_int(L, lua_gettop(L), "decode: an id", 0, wf_tokenizer_get_count(t) - 1);
        lua_pop(L, 1);
    }
    guard *g = push_guard(L);
    char *text = NULL;
    size_t bytes = 0;
    if (wf_tokenizer_decode(lwf_ctx(L), t, ids, n, lua_toboolean(L, 3), &text, &bytes) != WF_OK)
        return lwf_raise(L);
    g->p = text;
    lua_pushlstring(L, text, bytes);
    return 1;
}

/* t:piece(id) -> string or nil */
static int l_piece(lua_State *L)
{
    const int64_t id = lwf_check_int(L, 2, "piece: id", 0, (int64_t)1 << 40);
    lua_pushstring(L, wf_tokenizer_get_piece(check_tokenizer(L), id));
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

static int l_count(lua_State *L)
{
    lua_pushnumber(L, (double)wf_tokenizer_get_count(check_tokenizer(L)));
    return 1;
}

void lwf_open_text(lua_State *L)
{
    const luaL_Reg list[] = {{"open_tokenizer", l_open}, {NULL, NULL}};
    const luaL_Reg methods[] = {
        {"encode", l_encode}, {"decode", l_decode}, {"piece", l_piece},
        {"id", l_id},         {"count", l_count},   {"free", tokenizer_gc},
        {NULL, NULL},
    };
    lwf_register(L, list);
    lwf_add_class(L, TOKENIZER_MT, methods, tokenizer_gc);
    lwf_add_class(L, GUARD_MT, (const luaL_Reg[]){{NULL, NULL}}, guard_gc);
}
