/*
 * bind_sound.c - sounds: files to tensors [S,C] of -1 ... 1 and back.
 */
#include "lua/bind.h"

#include <string.h>

#include "core/base/mem.h"
#include "core/file/sound.h"

/* core.load_audio(path, sanitize?) -> tensor [S,C] f32, rate in Hz, texts or nil */
static int l_load_audio(lua_State *L)
{
    lwf_state *s = lwf_get(L);
    const char *path = luaL_checkstring(L, 1);
    const wf_sound_repair repair = lua_toboolean(L, 2) ? WF_SOUND_SANITIZE : WF_SOUND_REFUSE;
    wf_sound a = {0};
    wf_meta_found found = {0};
    (void)wf_sound_load(s->ctx, path, repair, &a, &found);
    const wf_shape shape = {.rank = 2, .dims = {a.samples, a.channels}};
    wf_tensor *t =
        wf_has_failed(s->ctx) ? NULL : wf_from_host(s->ctx, WF_DTYPE_F32, &shape, a.data);
    wf_sound_free(&a);
    if (!t) {
        wf_meta_free(&found);
        return lwf_raise(L);
    }
    lwf_push_tensor(L, s, t);
    lua_pushinteger(L, a.rate_hz);
    lwf_push_texts(L, &found);
    return 3;
}

wf_status lwf_sound_of(wf_ctx *c, const wf_tensor *t, int rate_hz, wf_sound *out)
{
    const int64_t n = wf_numel(t);
    *out = (wf_sound){.mem = wf_ctx_get_mem(c), .samples = wf_dim(t, 0), .channels = wf_dim(t, 1),
                      .rate_hz = rate_hz};
    out->data = wf_mem_alloc(out->mem, (size_t)n * sizeof *out->data + 1);
    if (!out->data) return wf_fail_status(c, WF_ENOMEM, "audio: no memory");
    return wf_to_f32(c, t, out->data, n);
}

/* core.save_audio(path, tensor [S,C], rate, { bits, quality, overwrite, texts }) */
static int l_save_audio(lua_State *L)
{
    wf_ctx *c = lwf_ctx(L);
    const char *path = luaL_checkstring(L, 1);
    wf_tensor *t = lwf_check_tensor(L, 2, "save: the sound");
    const int rate = (int)lwf_check_int(L, 3, "save: rate", 1, INT32_MAX);
    lua_settop(L, 4);
    wf_sound_options o = {.quality = -1};
    if (lwf_field(L, 4, "bits")) o.bits = (int)lwf_check_int(L, -1, "save: bits", 1, 64);
    if (lwf_field(L, 4, "quality")) o.quality = luaL_checknumber(L, -1);
    if (lwf_field(L, 4, "overwrite")) o.overwrite = lua_toboolean(L, -1);
    if (!lwf_field(L, 4, "texts")) lua_newtable(L);
    const wf_meta meta = lwf_check_texts(L, lua_gettop(L));
    if (wf_rank(t) != 2)
        return lwf_error(L, "usage", NULL, "save: the tensor is not a sound [S,C]");
    o.meta = &meta;
    wf_sound a = {0};
    wf_scope *scope = wf_scope_open(c);
    wf_status st = lwf_sound_of(c, t, rate, &a);
    if (st == WF_OK) st = wf_sound_save(c, path, &a, &o);
    wf_sound_free(&a);
    wf_scope_close(c, scope, NULL);
    return st == WF_OK ? 0 : lwf_raise(L);
}

void lwf_open_sound(lua_State *L)
{
    const luaL_Reg list[] = {
        {"load_audio", l_load_audio}, {"save_audio", l_save_audio}, {NULL, NULL}};
    lwf_register(L, list);
}
