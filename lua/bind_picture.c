/*
 * bind_picture.c - pictures, animations and clips: files to tensors [H,W,C] of 0 ... 1 and back.
 */
#include "lua/bind.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/file/bytes.h"
#include "core/file/clip.h"
#include "core/file/jpeg.h"
#include "core/file/png.h"
#include "core/tensor/watch.h"

/* ---- samples to values ---- */

static void to_values(const wf_pixels *p, float *out)
{
    const int64_t n = p->height * p->width * p->channels;
    const uint8_t *b = (const uint8_t *)p->data;
    const uint16_t *w = (const uint16_t *)p->data;
    for (int64_t i = 0; i < n; i++)
        out[i] = p->bits == 8 ? (float)b[i] / 255.0f : (float)w[i] / 65535.0f;
}

/* Values to 8-bit samples, to the nearest; NaN becomes 0. */
static void to_samples(const float *v, int64_t n, uint8_t *out)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = v[i] > 0.0f ? (uint8_t)lrintf(fminf(v[i], 1.0f) * 255.0f) : 0;
}

static wf_tensor *tensor_of(wf_ctx *c, const wf_pixels *list, int64_t n, bool many)
{
    const wf_shape s = many ? (wf_shape){4, {n, list->height, list->width, list->channels}}
                            : (wf_shape){3, {list->height, list->width, list->channels}};
    const int64_t frame = list->height * list->width * list->channels;
    float *v = wf_mem_alloc(wf_ctx_get_mem(c), (size_t)(n * frame) * sizeof *v + 1);
    if (!v) return wf_fail(c, WF_ENOMEM, "picture: no memory");
    for (int64_t i = 0; i < n; i++) to_values(&list[i], v + i * frame);
    wf_tensor *t = wf_from_host(c, WF_DTYPE_F32, &s, v);
    wf_mem_free(wf_ctx_get_mem(c), v);
    return t;
}

/* Values of t, [H,W,C] or one of its frames, as 8-bit rows. */
static wf_status pixels_of(wf_ctx *c, const wf_tensor *t, wf_pixels *out)
{
    const int64_t n = wf_numel(t);
    const wf_pixels like = {
        .height = wf_dim(t, -3), .width = wf_dim(t, -2), .channels = wf_dim(t, -1), .bits = 8};
    WF_TRY(wf_pixels_new(c, out, &like, "picture"));
    float *v = wf_mem_alloc(wf_ctx_get_mem(c), (size_t)n * sizeof *v + 1);
    if (!v) return wf_fail_status(c, WF_ENOMEM, "picture: no memory");
    const wf_status st = wf_to_f32(c, t, v, n);
    if (st == WF_OK) to_samples(v, n, (uint8_t *)out->data);
    wf_mem_free(wf_ctx_get_mem(c), v);
    return st;
}

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

static bool is_jpeg_file(const char *path)
{
    uint8_t head[2] = {0};
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);      /* a pipe must not block */
    if (fd < 0) return false;
    const ssize_t n = read(fd, head, sizeof head);
    close(fd);
    return n == sizeof head && head[0] == 0xFF && head[1] == 0xD8;
}

/* core.load_image(path) -> tensor [H,W,C] f32 in 0 ... 1, texts or nil */
static int l_load_image(lua_State *L)
{
    lwf_state *s = lwf_get(L);
    const char *path = luaL_checkstring(L, 1);
    wf_pixels p = {0};
    wf_meta_found found = {0};
    const wf_status st = is_jpeg_file(path) ? wf_jpeg_load(s->ctx, path, &p, &found)
                                            : wf_png_load(s->ctx, path, &p, &found);
    wf_tensor *t = st == WF_OK ? tensor_of(s->ctx, &p, 1, false) : NULL;
    wf_pixels_free(&p);
    if (!t) {
        wf_meta_free(&found);
        return lwf_raise(L);
    }
    lwf_push_tensor(L, s, t);
    lwf_push_texts(L, &found);
    return 2;
}

static wf_tensor *check_picture(lua_State *L, int arg, int rank)
{
    wf_tensor *t = lwf_check_tensor(L, arg, "save: the picture");
    const int64_t channels = wf_dim(t, -1);
    if (wf_rank(t) != rank || (channels != 1 && channels != 3 && channels != 4))
        lwf_error(L, "usage", NULL, "save: the tensor is not a picture of 1, 3 or 4 channels");
    return t;
}

/* A picture of NaN is no black picture: it is not written. */
static wf_status check_numbers(wf_ctx *c, const char *path, wf_tensor *t)
{
    const int64_t n = wf_count_odd(c, t).n_nan;
    if (n == 0) return wf_get_status(c);
    return wf_fail_status(c, WF_ENAN, "%s: the picture holds %lld values that are not numbers; "
                          "nothing was written", path, (long long)n);
}

/* core.save_image(path, tensor, quality, texts, overwrite): .png, .jpg or .jpeg */
static int l_save_image(lua_State *L)
{
    wf_ctx *c = lwf_ctx(L);
    const char *path = luaL_checkstring(L, 1);
    wf_tensor *t = check_picture(L, 2, 3);
    const int quality = (int)lwf_check_int(L, 3, "save: quality", 1, 100);
    const wf_meta meta = lwf_check_texts(L, 4);
    const bool overwrite = lua_toboolean(L, 5);
    const bool is_jpeg = wf_has_extension(path, ".jpg") || wf_has_extension(path, ".jpeg");
    if (!is_jpeg && !wf_has_extension(path, ".png"))
        return lwf_error(L, "unsupported", "pictures are written as .png or .jpg", "save: %s",
                         path);
    wf_pixels p = {0};
    wf_scope *scope = wf_scope_open(c);
    wf_status st = check_numbers(c, path, t);
    if (st == WF_OK) st = pixels_of(c, t, &p);
    if (st == WF_OK)
        st = is_jpeg ? wf_jpeg_save(c, path, &p, quality, &meta, overwrite)
                     : wf_png_save(c, path, &p, &meta, overwrite);
    wf_pixels_free(&p);
    wf_scope_close(c, scope, NULL);
    return st == WF_OK ? 0 : lwf_raise(L);
}

/* ---- animations ---- */

/* core.load_apng(path) -> tensor [L,H,W,C], seconds of all frames, texts or nil */
static int l_load_apng(lua_State *L)
{
    lwf_state *s = lwf_get(L);
    wf_frames f = {0};
    wf_meta_found found = {0};
    const wf_status st = wf_apng_load(s->ctx, luaL_checkstring(L, 1), &f, &found);
    wf_tensor *t = st == WF_OK ? tensor_of(s->ctx, f.list, f.n, true) : NULL;
    const double seconds = f.seconds;
    wf_frames_free(&f);
    if (!t) {
        wf_meta_free(&found);
        return lwf_raise(L);
    }
    lwf_push_tensor(L, s, t);
    lua_pushnumber(L, seconds);
    lwf_push_texts(L, &found);
    return 3;
}

/* Frames of t [L,H,W,C]; what was made is freed by wf_frames_free, after a failure too. */
static wf_status frames_of(wf_ctx *c, wf_tensor *t, wf_frames *out)
{
    const int64_t n = wf_dim(t, 0);
    out->mem = wf_ctx_get_mem(c);
    out->list = wf_mem_calloc(out->mem, (size_t)n * sizeof *out->list + 1);
    if (!out->list) return wf_fail_status(c, WF_ENOMEM, "video: no memory");
    for (out->n = 0; out->n < n;) {
        wf_tensor *frame = wf_select(c, t, 0, out->n);
        wf_pixels *p = &out->list[out->n++];
        if (!frame) return wf_get_status(c);
        WF_TRY(pixels_of(c, frame, p));
    }
    return WF_OK;
}

/* core.save_apng(path, tensor [L,H,W,C], fps, texts, overwrite) */
static int l_save_apng(lua_State *L)
{
    wf_ctx *c = lwf_ctx(L);
    const char *path = luaL_checkstring(L, 1);
    wf_tensor *t = check_picture(L, 2, 4);
    const double fps = luaL_checknumber(L, 3);
    if (!(fps >= 0.01 && fps <= 600))
        return lwf_error(L, "usage", NULL, "save: fps must be in 0.01 ... 600");
    const wf_meta meta = lwf_check_texts(L, 4);
    const bool overwrite = lua_toboolean(L, 5);
    wf_frames f = {0};
    wf_scope *scope = wf_scope_open(c);
    wf_status st = check_numbers(c, path, t);
    if (st == WF_OK) st = frames_of(c, t, &f);
    if (st == WF_OK)
        st = wf_apng_save(c, path, &f, (uint32_t)lrint(fps * 100.0), 100, &meta, overwrite);
    wf_frames_free(&f);
    wf_scope_close(c, scope, NULL);
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
    wf_status st = wf_clip_load(s->ctx, path, &o, &k, &found);
    wf_tensor *t = st == WF_OK ? tensor_of(s->ctx, k.frames.list, k.frames.n, true) : NULL;
    const wf_shape shape = {.rank = 2, .dims = {k.sound.samples, k.sound.channels}};
    const bool has_sound = t && k.sound.samples > 0;
    wf_tensor *a = has_sound ? wf_from_host(s->ctx, WF_DTYPE_F32, &shape, k.sound.data) : NULL;
    wf_clip_free(&k);
    if (!t || (has_sound && !a)) {
        wf_meta_free(&found);
        return lwf_raise(L);
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
    wf_tensor *t = check_picture(L, 2, 4), *a = lwf_opt_tensor(L, 4, "save: the sound");
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
    wf_scope *scope = wf_scope_open(c);
    wf_status st = frames_of(c, t, &k.frames);
    if (st == WF_OK && a) st = lwf_sound_of(c, a, rate, &k.sound);
    if (st == WF_OK) st = wf_clip_save(c, path, &k, &o);
    wf_clip_free(&k);
    wf_scope_close(c, scope, NULL);
    return st == WF_OK ? 0 : lwf_raise(L);
}

void lwf_open_picture(lua_State *L, lwf_state *s)
{
    const luaL_Reg list[] = {
        {"load_image", l_load_image}, {"save_image", l_save_image},
        {"load_apng", l_load_apng},   {"save_apng", l_save_apng},
        {"load_clip", l_load_clip},   {"save_clip", l_save_clip},
        {"has_clips", l_has_clips},
        {NULL, NULL},
    };
    lwf_register(L, s, list);
}
