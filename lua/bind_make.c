/*
 * bind_make.c - tensors from numbers: nested lists, constants, ranges, noise, raw bytes.
 *
 * Host values are built in a userdata, which the collector frees whatever is raised meanwhile.
 */
#include "lua/bind.h"

#include <string.h>

#include "core/base/rng.h"

/* A buffer for n values of dtype t, pushed. */
static void *push_buffer(lua_State *L, wf_dtype t, int64_t n)
{
    return lua_newuserdata(L, (size_t)n * wf_dtype_block_bytes(t) + 1);
}

static void put(void *p, wf_dtype t, int64_t i, double v)
{
    switch (t) {
    case WF_DTYPE_F32: ((float *)p)[i] = (float)v; break;
    case WF_DTYPE_F64: ((double *)p)[i] = v; break;
    case WF_DTYPE_F16: ((uint16_t *)p)[i] = wf_f32_to_f16((float)v); break;
    case WF_DTYPE_BF16: ((uint16_t *)p)[i] = wf_f32_to_bf16((float)v); break;
    case WF_DTYPE_I64: ((int64_t *)p)[i] = wf_f64_to_whole(v, t); break;
    case WF_DTYPE_I32: ((int32_t *)p)[i] = (int32_t)wf_f64_to_whole(v, t); break;
    case WF_DTYPE_I8: ((int8_t *)p)[i] = (int8_t)wf_f64_to_whole(v, t); break;
    default: ((uint8_t *)p)[i] = (uint8_t)wf_f64_to_whole(v, t); break;
    }
}

/* dtype at arg, f32 when it is nil; quantised ones cannot be made from numbers. */
static wf_dtype opt_dtype(lua_State *L, int arg, const char *what)
{
    if (lua_isnoneornil(L, arg)) return WF_DTYPE_F32;
    const wf_dtype t = lwf_check_dtype(L, arg, what);
    if (wf_dtype_block_elems(t) > 1)
        lwf_error(L, "usage", "make f32, then t:to it", "%s: dtype %s", what, wf_dtype_text(t));
    return t;
}

static int64_t check_numel(lua_State *L, const wf_shape *s, const char *what)
{
    const int64_t n = wf_shape_numel(s);
    if (n < 0 || n > (int64_t)1 << 48) lwf_error(L, "usage", NULL, "%s: too many values", what);
    return n;
}

/* ---- nested lists ---- */

static double check_value(lua_State *L, int arg)
{
    if (lua_isboolean(L, arg)) return lua_toboolean(L, arg);
    if (lua_type(L, arg) != LUA_TNUMBER)
        lwf_error(L, "usage", NULL, "tensor: a value is a %s, wants numbers",
                  luaL_typename(L, arg));
    return lua_tonumber(L, arg);
}

/* Sizes of the nested list on top, read along its first entries. */
static wf_shape nested_shape(lua_State *L)
{
    wf_shape s = {0};
    const int top = lua_gettop(L);
    while (lua_istable(L, -1)) {
        if (s.rank == WF_MAX_RANK)
            lwf_error(L, "usage", NULL, "tensor: lists nested deeper than %d", WF_MAX_RANK);
        s.dims[s.rank++] = (int64_t)lua_objlen(L, -1);
        lua_rawgeti(L, -1, 1);
    }
    lua_settop(L, top);
    return s;
}

static int64_t fill_nested(lua_State *L, const wf_shape *s, int d, void *p, wf_dtype t, int64_t i)
{
    if (d == s->rank) {
        put(p, t, i, check_value(L, -1));
        return i + 1;
    }
    const int64_t n = lua_istable(L, -1) ? (int64_t)lua_objlen(L, -1) : -1;
    if (n != s->dims[d])
        lwf_error(L, "usage", NULL, "tensor: rows differ in length: %lld beside %lld", (long long)n,
                  (long long)s->dims[d]);
    for (int64_t k = 1; k <= n; k++) {
        lua_rawgeti(L, -1, (int)k);
        i = fill_nested(L, s, d + 1, p, t, i);
        lua_pop(L, 1);
    }
    return i;
}

/* core.from_table(nested list, dtype?) */
static int l_from_table(lua_State *L)
{
    lwf_state *st = lwf_get(L);
    const wf_dtype t = opt_dtype(L, 2, "tensor");
    luaL_checkstack(L, 2 * WF_MAX_RANK + 4, "tensor");
    lua_pushvalue(L, 1);
    const wf_shape s = nested_shape(L);
    const int64_t n = check_numel(L, &s, "tensor");
    void *p = push_buffer(L, t, n);
    lua_insert(L, -2);
    fill_nested(L, &s, 0, p, t, 0);
    return lwf_push_tensor(L, st, wf_from_host(st->ctx, t, &s, p));
}

/* core.from_bytes(string, dtype, sizes) */
static int l_from_bytes(lua_State *L)
{
    lwf_state *st = lwf_get(L);
    size_t bytes = 0;
    const char *p = luaL_checklstring(L, 1, &bytes);
    const wf_dtype t = lwf_check_dtype(L, 2, "from_bytes");
    const wf_shape s = lwf_check_shape(L, 3, "from_bytes: size", 0);
    const int64_t n = check_numel(L, &s, "from_bytes"), block = wf_dtype_block_elems(t);
    const size_t want = (size_t)((n + block - 1) / block) * wf_dtype_block_bytes(t);
    if (bytes != want)
        return lwf_error(L, "usage", NULL, "from_bytes: %lld bytes, wants %lld", (long long)bytes,
                         (long long)want);
    return lwf_push_tensor(L, st, wf_from_host(st->ctx, t, &s, p));
}

/* ---- constants and ranges ---- */

/* core.full(sizes, value, dtype?) */
static int l_full(lua_State *L)
{
    lwf_state *st = lwf_get(L);
    const wf_shape s = lwf_check_shape(L, 1, "full: size", 0);
    const double v = check_value(L, 2);
    return lwf_push_tensor(L, st, wf_full(st->ctx, opt_dtype(L, 3, "full"), &s, v));
}

/* core.empty(sizes, dtype?): values are whatever was there */
static int l_empty(lua_State *L)
{
    lwf_state *st = lwf_get(L);
    const wf_shape s = lwf_check_shape(L, 1, "empty: size", 0);
    return lwf_push_tensor(L, st, wf_empty(st->ctx, opt_dtype(L, 2, "empty"), &s));
}

/* core.arange(first, step, count, dtype?) */
static int l_arange(lua_State *L)
{
    lwf_state *st = lwf_get(L);
    const double first = luaL_checknumber(L, 1), step = luaL_checknumber(L, 2);
    const wf_shape s = {1, {lwf_check_int(L, 3, "arange: count", 0, (int64_t)1 << 40)}};
    const wf_dtype t = opt_dtype(L, 4, "arange");
    void *p = push_buffer(L, t, s.dims[0]);
    for (int64_t i = 0; i < s.dims[0]; i++) put(p, t, i, first + (double)i * step);
    return lwf_push_tensor(L, st, wf_from_host(st->ctx, t, &s, p));
}

/* ---- noise ---- */

/* The key of random numbers at arg and the two after: seed, sample, purpose. */
static wf_rng_key check_key(lua_State *L, int arg)
{
    return (wf_rng_key){lwf_check_seed(L, arg, "noise: seed"),
                        (uint32_t)lwf_check_int(L, arg + 1, "noise: sample", 0, UINT32_MAX),
                        (uint32_t)lwf_check_int(L, arg + 2, "noise: purpose", 0, UINT32_MAX)};
}

static int push_noise(lua_State *L, void (*draw)(float *, int64_t, wf_rng_key, uint64_t))
{
    lwf_state *st = lwf_get(L);
    const wf_shape s = lwf_check_shape(L, 1, "noise: size", 0);
    const wf_rng_key key = check_key(L, 2);
    const uint64_t first = lwf_check_seed(L, 5, "noise: first");
    const int64_t n = check_numel(L, &s, "noise");
    float *p = (float *)push_buffer(L, WF_DTYPE_F32, n);
    draw(p, n, key, first);
    return lwf_push_tensor(L, st, wf_from_host(st->ctx, WF_DTYPE_F32, &s, p));
}

/* core.randn(sizes, seed, sample, purpose, first): first is the position of the first value */
static int l_randn(lua_State *L) { return push_noise(L, wf_rng_normal); }

/* core.rand(sizes, seed, sample, purpose, first): uniform in [0,1) */
static int l_rand(lua_State *L) { return push_noise(L, wf_rng_uniform); }

/* core.bits(seed, sample, purpose, position) -> a random whole number in 0 ... 2^32-1 */
static int l_bits(lua_State *L)
{
    const wf_rng_key key = check_key(L, 1);
    uint32_t v = 0;
    wf_rng_bits(&v, 1, key, lwf_check_seed(L, 4, "bits: position"));
    lua_pushnumber(L, (double)v);
    return 1;
}

/* torch.randn(sizes) on the CPU after manual_seed(seed) */
static int l_randn_torch(lua_State *L)
{
    lwf_state *st = lwf_get(L);
    const wf_shape s = lwf_check_shape(L, 1, "randn: size", 0);
    const uint64_t seed = lwf_check_seed(L, 2, "randn: seed");
    const int64_t n = check_numel(L, &s, "randn");
    float *p = (float *)push_buffer(L, WF_DTYPE_F32, n);
    wf_mt19937 g;
    wf_mt19937_seed(&g, seed);
    wf_mt19937_normal(&g, p, n);
    return lwf_push_tensor(L, st, wf_from_host(st->ctx, WF_DTYPE_F32, &s, p));
}

/* torch.randn(sizes) on CUDA: the draw-th call after manual_seed(seed), from 0 */
static int l_randn_torch_cuda(lua_State *L)
{
    lwf_state *st = lwf_get(L);
    const wf_shape s = lwf_check_shape(L, 1, "randn: size", 0);
    const uint64_t seed = lwf_check_seed(L, 2, "randn: seed");
    const uint64_t draw = lwf_check_seed(L, 3, "randn: draw");
    const int64_t n = check_numel(L, &s, "randn");
    float *p = (float *)push_buffer(L, WF_DTYPE_F32, n);
    wf_torch_cuda_normal(p, n, seed, draw);
    return lwf_push_tensor(L, st, wf_from_host(st->ctx, WF_DTYPE_F32, &s, p));
}

void lwf_open_make(lua_State *L)
{
    const luaL_Reg list[] = {
        {"from_table", l_from_table},   {"from_bytes", l_from_bytes},
        {"full", l_full},               {"empty", l_empty},
        {"arange", l_arange},           {"randn", l_randn},
        {"rand", l_rand},               {"bits", l_bits},
        {"randn_torch", l_randn_torch}, {"randn_torch_cuda", l_randn_torch_cuda},
        {NULL, NULL},
    };
    lwf_register(L, list);
}
