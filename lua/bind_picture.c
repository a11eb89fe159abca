/*
 * bind_picture.c - pictures, animations and clips: files to tensors [H,W,C] of 0 ... 1 and back;
 * pictures of another size.
 */
#include "lua/bind.h"

#include "core/file/clip.h"
#include "core/media/image.h"
#include "core/media/image_resize.h"

/* ---- texts ---- */

void lwf_push_texts(lua_State *L, wf_meta_found *found)
{
    if (!found->parameters && !found->weft) {
        lua_pushnil(L);
        wf_meta_free(found);
        return;
    }
    lua_createtable(L, 0, 2);
    lua_pushstring(L, found->parameters);
    lua_setfield(L, -2, "parameters");
    lua_pushstring(L, found->weft);
    lua_setfield(L, -2, "weft");
    wf_meta_free(found);
}

wf_meta lwf_check_texts(lua_State *L, int arg)
{
    wf_meta m = {NULL, NULL};
    if (lwf_field(L, arg, "parameters")) m.parameters = luaL_checkstring(L, -1);
    if (lwf_field(L, arg, "weft")) m.weft = luaL_checkstring(L, -1);
    return m;
}

/* ---- pictures ---- */

/* Raise why a file was not read. */
static int raise_load(lua_State *L, wf_meta_found *found)
{
    wf_meta_free(found);
    return lwf_raise(L);
}

/* core.load_image(path) -> tensor [H,W,C] f32 in 0 ... 1, texts or nil */
static int l_load_image(lua_State *L)
{
    lwf_state *s = lwf_get(L);
    wf_meta_found found = {0};
    wf_tensor *t = wf_image_load(s->ctx, luaL_checkstring(L, 1), &found);
    if (!t) return raise_load(L, &found);
    lwf_push_tensor(L, s, t);
    lwf_push_texts(L, &found);
    return 2;
}

/* core.save_image(path, tensor, quality, texts, overwrite): .png, .jpg or .jpeg */
static int l_save_image(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    wf_tensor *t = lwf_check_tensor(L, 2, "save: the picture");
    const int quality = (int)lwf_check_int(L, 3, "save: quality", 1, 100);
    const wf_meta meta = lwf_check_texts(L, 4);
    const wf_image_options o = {quality, &meta, lua_toboolean(L, 5)};
    if (!wf_image_has_ending(path))
        return lwf_error(L, "unsupported", "pictures are written as .png or .jpg", "save: %s",
                         path);
    return wf_image_save(lwf_ctx(L), path, t, &o) == WF_OK ? 0 : lwf_raise(L);
}

/* core.resize_image(tensor [H,W,C], width, height, filter) -> tensor [height,width,C] */
static int l_resize_image(lua_State *L)
{
    lwf_state *s = lwf_get(L);
    wf_tensor *x = lwf_check_tensor(L, 1, "resize: the picture");
    const int64_t width = lwf_check_int(L, 2, "resize: width", 1, WF_MAX_RESIZE_PX);
    const int64_t height = lwf_check_int(L, 3, "resize: height", 1, WF_MAX_RESIZE_PX);
    const char *name = luaL_checkstring(L, 4);
    wf_filter filter;
    if (!wf_filter_find(name, &filter))
        return lwf_error(L, "usage", NULL, "resize: there is no filter '%s'", name);
    return lwf_push_tensor(L, s, wf_image_resize(s->ctx, x, height, width, filter));
}

/* ---- animations ---- */

/* core.load_apng(path) -> tensor [L,H,W,C], seconds of all frames, texts or nil */
static int l_load_apng(lua_State *L)
{
    lwf_state *s = lwf_get(L);
    wf_meta_found found = {0};
    double seconds;
    wf_tensor *t = wf_video_load(s->ctx, luaL_checkstring(L, 1), &seconds, &found);
    if (!t) return raise_load(L, &found);
    lwf_push_tensor(L, s, t);
    lua_pushnumber(L, seconds);
    lwf_push_texts(L, &found);
    return 3;
}

/* core.save_apng(path, tensor [L,H,W,C], fps, texts, overwrite) */
static int l_save_apng(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    wf_tensor *t = lwf_check_tensor(L, 2, "save: the picture");
    const double fps = luaL_checknumber(L, 3);
    const wf_meta meta = lwf_check_texts(L, 4);
    const bool overwrite = lua_toboolean(L, 5);
    const wf_status st = wf_video_save(lwf_ctx(L), path, t, fps, &meta, overwrite);
    return st == WF_OK ? 0 : lwf_raise(L);
}

/* ---- clips ---- */

/* core.has_clips() */
static int l_has_clips(lua_State *L)
{
    lua_pushboolean(L, wf_clip_is_built());
    return 1;
}

/* core.load_clip(path, fps or 0, no_sound?) -> tensor [L,H,W,3], fps, texts or nil, sound [S,C] and
 * rate or nothing */
static int l_load_clip(lua_State *L)
{
    lwf_state *s = lwf_get(L);
    const char *path = luaL_checkstring(L, 1);
    const wf_clip_load_options o = {luaL_checknumber(L, 2), lua_toboolean(L, 3)};
    wf_clip k;
    wf_meta_found found = {0};
    const wf_status st = wf_clip_load(s->ctx, path, &o, &k, &found);
    wf_tensor *t = st == WF_OK ? wf_video_from_frames(s->ctx, &k.frames) : NULL;
    const wf_shape shape = {.rank = 2, .dims = {k.sound.samples, k.sound.channels}};
    const bool has_sound = t && k.sound.samples > 0;
    wf_tensor *a = has_sound ? wf_from_host(s->ctx, WF_DTYPE_F32, &shape, k.sound.data) : NULL;
    wf_clip_free(&k);
    if (!t || (has_sound && !a)) {
        wf_release(wf_take(s->ctx, t));
        return raise_load(L, &found);
    }
    lwf_push_tensor(L, s, t);
    lua_pushnumber(L, k.fps);
    lwf_push_texts(L, &found);
    if (!a) return 3;
    lwf_push_tensor(L, s, a);
    lua_pushinteger(L, k.sound.rate_hz);
    return 5;
}

/* core.save_clip(path, tensor [L,H,W,C], fps, sound [S,C] or nil, rate or nil,
 *                { quality, overwrite, texts }) */
static int l_save_clip(lua_State *L)
{
    wf_ctx *c = lwf_ctx(L);
    const char *path = luaL_checkstring(L, 1);
    wf_tensor *t = lwf_check_tensor(L, 2, "save: the picture"),
              *a = lwf_opt_tensor(L, 4, "save: the sound");
    wf_clip k = {.fps = luaL_checknumber(L, 3)};
    const int rate = a ? (int)lwf_check_int(L, 5, "save: rate", 1, INT32_MAX) : 0;
    lua_settop(L, 6);
    wf_clip_options o = {.quality = -1};
    if (lwf_field(L, 6, "quality")) o.quality = luaL_checknumber(L, -1);
    if (lwf_field(L, 6, "overwrite")) o.overwrite = lua_toboolean(L, -1);
    if (!lwf_field(L, 6, "texts")) lua_newtable(L);
    const wf_meta meta = lwf_check_texts(L, lua_gettop(L));
    if (a && wf_rank(a) != 2)
        return lwf_error(L, "usage", NULL, "save: the tensor is not a sound [S,C]");
    o.meta = &meta;
    wf_status st = wf_video_to_frames(c, path, t, &k.frames);
    if (st == WF_OK && a) st = lwf_sound_of(c, a, rate, &k.sound);
    if (st == WF_OK) st = wf_clip_save(c, path, &k, &o);
    wf_clip_free(&k);
    return st == WF_OK ? 0 : lwf_raise(L);
}

void lwf_open_picture(lua_State *L)
{
    const luaL_Reg list[] = {
        {"load_image", l_load_image}, {"save_image", l_save_image},
        {"load_apng", l_load_apng},   {"save_apng", l_save_apng},
        {"load_clip", l_load_clip},   {"save_clip", l_save_clip},
        {"has_clips", l_has_clips},   {"resize_image", l_resize_image},
        {NULL, NULL},
    };
    lwf_register(L, list);
}
