/*
 * bind_nn.c - functions of core that are made of several ops and have no row in ops.def.
 */
#include "lua/bind.h"

/* An optional number at arg. */
static int64_t opt_int(lua_State *L, int arg, const char *what, int64_t low, int64_t fallback)
{
    return lua_isnoneornil(L, arg) ? fallback : lwf_check_int(L, arg, what, low, 1 << 20);
}

/* core.conv1d(x, w, b, stride, pad, dilation, groups) */
static int l_conv1d(lua_State *L)
{
    lwf_state *s = lwf_get(L);
    wf_tensor *x = lwf_check_tensor(L, 1, "conv1d: x"), *w = lwf_check_tensor(L, 2, "conv1d: w");
    wf_tensor *b = lwf_opt_tensor(L, 3, "conv1d: b");
    const int64_t stride = opt_int(L, 4, "conv1d: stride", 1, 1),
                  pad = opt_int(L, 5, "conv1d: padding", 0, 0);
    const int64_t dilation = opt_int(L, 6, "conv1d: dilation", 1, 1);
    const int64_t groups = opt_int(L, 7, "conv1d: groups", 1, 1);
    wf_scope *scope = wf_scope_open(s->ctx);
    wf_tensor *y = wf_conv1d(s->ctx, x, w, b, stride, pad, dilation, groups);
    return lwf_push_tensor(L, s, wf_scope_close(s->ctx, scope, y));
}

/* core.conv_transpose1d(x, w, b, stride, pad, out_pad) */
static int l_conv_transpose1d(lua_State *L)
{
    lwf_state *s = lwf_get(L);
    wf_tensor *x = lwf_check_tensor(L, 1, "conv_transpose1d: x");
    wf_tensor *w = lwf_check_tensor(L, 2, "conv_transpose1d: w");
    wf_tensor *b = lwf_opt_tensor(L, 3, "conv_transpose1d: b");
    const int64_t stride = opt_int(L, 4, "conv_transpose1d: stride", 1, 1);
    const int64_t pad = opt_int(L, 5, "conv_transpose1d: padding", 0, 0);
    const int64_t out_pad = opt_int(L, 6, "conv_transpose1d: out_padding", 0, 0);
    wf_scope *scope = wf_scope_open(s->ctx);
    wf_tensor *y = wf_conv_transpose1d(s->ctx, x, w, b, stride, pad, out_pad);
    return lwf_push_tensor(L, s, wf_scope_close(s->ctx, scope, y));
}

/* core.conv_frames(x, w, b) */
static int l_conv_frames(lua_State *L)
{
    lwf_state *s = lwf_get(L);
    wf_tensor *x = lwf_check_tensor(L, 1, "conv_frames: x"),
              *w = lwf_check_tensor(L, 2, "conv_frames: w");
    wf_tensor *b = lwf_opt_tensor(L, 3, "conv_frames: b");
    wf_scope *scope = wf_scope_open(s->ctx);
    wf_tensor *y = wf_conv_frames(s->ctx, x, w, b);
    return lwf_push_tensor(L, s, wf_scope_close(s->ctx, scope, y));
}

void lwf_open_nn(lua_State *L)
{
    const luaL_Reg list[] = {
        {"conv1d", l_conv1d},
        {"conv_transpose1d", l_conv_transpose1d},
        {"conv_frames", l_conv_frames},
        {NULL, NULL},
    };
    lwf_register(L, list);
}
