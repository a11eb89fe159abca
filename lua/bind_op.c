/*
 * bind_op.c - every row of ops.def as a Lua function, and arithmetic on tensors.
 *
 *   core.ops.name(inputs..., attributes...)
 *
 * Inputs come first, nil where an optional one is absent; "x..." takes tensors or one list of them;
 * a number stands for a tensor of rank 0. Attributes follow by position (a "dims..." tail takes the
 * rest) or in one table by name, the tail by its name or as the array part. Dims count from 0 here,
 * as in ops.def; the public functions of tensor.lua count from 1.
 */
#include "lua/bind.h"

#include <string.h>

enum { NAME_BYTES = 32 };

/* One call while its arguments are read; inputs are borrowed from the Lua stack. */
typedef struct call {
    const wf_op *op;
    wf_op_id id;
    wf_tensor *in[WF_OP_MAX_IN];
    double number[WF_OP_MAX_IN];          /* where is_number: the value that stands for a tensor */
    bool is_number[WF_OP_MAX_IN];
    int n_in, n_numbers;
    double attr[WF_OP_MAX_ATTR];
    int n_attr;
} call;

/* The ith word of text into buf, "x" when there are fewer. */
static const char *word(const char *text, int i, char *buf)
{
    for (; i > 0; i--) {
        const char *next = strchr(text, ' ');
        if (!next) break;
        text = next + 1;
    }
    const size_t n = strcspn(text, " ?.");
    const size_t len = n < NAME_BYTES - 1 ? n : NAME_BYTES - 1;
    memcpy(buf, text, len);
    buf[len] = '\0';
    return buf;
}

/* ---- inputs ---- */

/* "x...": a list of tensors at arg, or tensors from arg on. Returns the next argument. */
static int read_many(lua_State *L, const lwf_state *s, call *k, int arg)
{
    const bool is_list = lua_istable(L, arg);
    const int n = is_list ? (int)lua_objlen(L, arg) : lua_gettop(L) - arg + 1;
    for (int i = 0; i < n; i++) {
        if (is_list) lua_rawgeti(L, arg, i + 1);
        else lua_pushvalue(L, arg + i);
        wf_tensor *t = lwf_to_tensor(L, s, -1);
        lua_pop(L, 1);
        if (!t && !is_list) return arg + i;
        if (!t)
            return lwf_error(L, "usage", NULL, "%s: entry %d is not a tensor", k->op->name, i + 1);
        if (k->n_in == WF_OP_MAX_IN)
            return lwf_error(L, "usage", NULL, "%s: more than %d tensors", k->op->name,
                             WF_OP_MAX_IN);
        k->in[k->n_in++] = t;
    }
    return is_list ? arg + 1 : arg + n;
}

/* Does the row's ith input end in '?' */
static bool is_optional(const wf_op *op, int i)
{
    const char *w = op->inputs;
    for (; i > 0; i--) w = strchr(w, ' ') + 1;
    return w[strcspn(w, " ") - 1] == '?';
}

/* Inputs from argument 1 on. Returns the first argument behind them. */
static int read_inputs(lua_State *L, const lwf_state *s, call *k)
{
    const wf_op *op = k->op;
    if (op->max_in == WF_OP_MAX_IN) return read_many(L, s, k, 1);
    int i = 0;
    for (; i < op->max_in; i++) {
        k->in[i] = lwf_to_tensor(L, s, i + 1);
        if (k->in[i]) continue;
        if (is_optional(op, i)) {
            if (lua_isnoneornil(L, i + 1)) continue;
            break;
        }
        if (lua_type(L, i + 1) != LUA_TNUMBER) {
            char name[NAME_BYTES];
            return lwf_error(L, "usage", NULL, "%s: %s must be a tensor, got %s", op->name,
                             word(op->inputs, i, name),
                             lua_isnoneornil(L, i + 1) ? "nil" : luaL_typename(L, i + 1));
        }
        k->number[i] = lua_tonumber(L, i + 1);
        k->is_number[i] = true;
        k->n_numbers++;
    }
    k->n_in = i;
    return i + 1;
}

/* ---- attributes ---- */

/* Words that stand for the numbers of an attribute, in the order of its enum. */
static const struct { const char *attr, *words; } names[] = {
    {"act", "none silu gelu gelu_tanh gelu_quick relu"},
    {"mode", "constant reflect replicate"},
};

static double check_word(lua_State *L, const call *k, const char *attr, const char *text)
{
    wf_dtype t;
    if (strcmp(attr, "dtype") == 0 && wf_dtype_find(text, &t)) return (double)t;
    char buf[NAME_BYTES];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i].attr, attr) != 0) continue;
        int n = 1;
        for (const char *p = names[i].words; *p; p++) n += *p == ' ';
        for (int j = 0; j < n; j++)
            if (strcmp(word(names[i].words, j, buf), text) == 0) return j;
        return lwf_error(L, "usage", names[i].words, "%s: no %s '%s'", k->op->name, attr, text);
    }
    return lwf_error(L, "usage", NULL, "%s: %s must be a number, got \"%s\"", k->op->name, attr,
                     text);
}

/* The value on top as attribute number i. */
static double check_attr(lua_State *L, const call *k, int i)
{
    if (lua_isboolean(L, -1)) return lua_toboolean(L, -1);
    if (lua_type(L, -1) == LUA_TNUMBER) return lua_tonumber(L, -1);
    char name[NAME_BYTES];
    word(k->op->attrs, i, name);
    char *eq = strchr(name, '=');
    if (eq) *eq = '\0';
    if (lua_type(L, -1) == LUA_TSTRING) return check_word(L, k, name, lua_tostring(L, -1));
    return lwf_error(L, "usage", NULL, "%s: %s must be a number, got %s", k->op->name, name,
                     luaL_typename(L, -1));
}

static void add_attr(lua_State *L, call *k, double v)
{
    if (k->n_attr == WF_OP_MAX_ATTR)
        lwf_error(L, "usage", NULL, "%s: more than %d attributes", k->op->name, WF_OP_MAX_ATTR);
    k->attr[k->n_attr++] = v;
}

/* Fill attributes n_attr .. n-1 with their defaults. */
static void add_defaults(lua_State *L, call *k, int n)
{
    char name[NAME_BYTES];
    while (k->n_attr < n) {
        double v = 0;
        if (!wf_op_get_attr(k->op, k->n_attr, name, sizeof name, &v))
            lwf_error(L, "usage", NULL, "%s: %s is missing", k->op->name, name);
        add_attr(L, k, v);
    }
}

/* Every key of the table at arg must name an attribute, or the tail. */
static void check_keys(lua_State *L, const call *k, int arg, const char *tail)
{
    for (lua_pushnil(L); lua_next(L, arg); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING) continue;
        const char *key = lua_tostring(L, -2);
        if (wf_op_find_attr(k->op, key) < 0 && (!tail || strcmp(key, tail) != 0))
            lwf_error(L, "usage", k->op->attrs, "%s: no attribute '%s'", k->op->name, key);
    }
}

static void add_list(lua_State *L, call *k, int at)
{
    const int n = (int)lua_objlen(L, at);
    for (int i = 1; i <= n; i++) {
        lua_rawgeti(L, at, i);
        add_attr(L, k, check_attr(L, k, k->n_attr));
        lua_pop(L, 1);
    }
}

/* Attributes from the table at arg. */
static void read_table(lua_State *L, call *k, int arg)
{
    const wf_op *op = k->op;
    char tail[NAME_BYTES] = "", name[NAME_BYTES];
    if (op->has_tail) word(op->attrs, op->n_attr, tail);
    check_keys(L, k, arg, op->has_tail ? tail : NULL);
    for (int i = k->n_attr; i < op->n_attr; i++) {
        double v = 0;
        wf_op_get_attr(op, i, name, sizeof name, &v);
        if (!lwf_field(L, arg, name)) {
            add_defaults(L, k, i + 1);
            continue;
        }
        add_attr(L, k, check_attr(L, k, i));
        lua_pop(L, 1);
    }
    if (!op->has_tail) return;
    if (!lwf_field(L, arg, tail)) {
        add_list(L, k, arg);
        return;
    }
    luaL_checktype(L, -1, LUA_TTABLE);
    add_list(L, k, lua_gettop(L));
    lua_pop(L, 1);
}

static void read_attrs(lua_State *L, call *k, int arg)
{
    const int top = lua_gettop(L);
    for (; arg <= top; arg++) {
        if (lua_istable(L, arg)) {
            read_table(L, k, arg);
            return;
        }
        if (lua_isnil(L, arg)) continue;
        lua_pushvalue(L, arg);
        add_attr(L, k, check_attr(L, k, k->n_attr));
        lua_pop(L, 1);
    }
}

/* ---- the call ---- */

/* Is a number beside a better than one beside b: floats, then whole numbers, then bool. */
static bool is_wider(wf_dtype a, wf_dtype b)
{
    if (wf_dtype_is_float(b) || wf_dtype_block_elems(a) > 1) return false;
    return wf_dtype_is_float(a) || b == WF_DTYPE_BOOL;
}

/* Numbers become tensors of rank 0 of the widest dtype among the tensors, the first of equals; of
 * f32 when that holds whole numbers and this one is none, or outside its range. */
static void make_numbers(wf_ctx *c, call *k)
{
    wf_dtype t = WF_DTYPE_BOOL;
    for (int i = 0; i < k->n_in; i++)
        if (k->in[i] && is_wider(wf_get_dtype(k->in[i]), t)) t = wf_get_dtype(k->in[i]);
    if (t == WF_DTYPE_BOOL) t = WF_DTYPE_F32;
    const wf_shape scalar = {0};
    for (int i = 0; i < k->n_in; i++) {
        if (!k->is_number[i]) continue;
        const double v = k->number[i];
        const bool fits = wf_dtype_is_float(t) || v == (double)wf_f64_to_whole(v, t);
        k->in[i] = wf_full(c, fits ? t : WF_DTYPE_F32, &scalar, v);
    }
}

/* The first tensor among the inputs: numbers become tensors on its device. */
static const wf_tensor *first_tensor(const call *k)
{
    int i = 0;
    while (i < k->n_in && !k->in[i]) i++;
    return i < k->n_in ? k->in[i] : NULL;
}

/* Temporaries live in a scope of their own; without one they would float. The call is a copy: its
 * inputs become the temporaries, and a second try needs what was given. */
static void run_once(wf_ctx *c, const call *given, wf_tensor **out)
{
    call once = *given, *k = &once;
    const bool is_strided = k->id == WF_OP_ID_reshape && k->n_in && k->in[0] &&
                            !wf_is_contiguous(k->in[0]);
    wf_scope *scope =
        k->n_numbers || is_strided ? wf_scope_open_on(c, first_tensor(k)) : NULL;
    if (k->n_numbers) make_numbers(c, k);
    if (is_strided) k->in[0] = wf_contiguous(c, k->in[0]);
    wf_op_call_multi(c, k->id, k->in, k->n_in, k->attr, k->n_attr, out);
    if (!scope) return;
    for (int i = 0; i < k->op->n_out && !wf_has_failed(c); i++) wf_scope_keep(c, out[i]);
    wf_scope_close(c, scope, NULL);
}

/* Run, once more after a collection when memory ran out, and push the outputs. */
static int run(lua_State *L, lwf_state *s, call *k)
{
    wf_ctx *c = s->ctx;
    wf_tensor *out[WF_OP_MAX_OUT] = {NULL};
    run_once(c, k, out);
    if (wf_get_status(c) == WF_ENOMEM) {
        char msg[WF_ERR_MAX];
        wf_take_error(c, msg, sizeof msg);
        lua_gc(L, LUA_GCCOLLECT, 0);
        memset(out, 0, sizeof out);
        run_once(c, k, out);
    }
    if (wf_has_failed(c)) return lwf_raise(L);
    for (int i = 0; i < k->op->n_out; i++) {
        if (out[i]) lwf_push_tensor(L, s, out[i]);
        else lua_pushnil(L);
    }
    return k->op->n_out;
}

static void start(call *k, wf_op_id id)
{
    k->id = id;
    k->op = wf_op_get(id);
    k->n_in = k->n_numbers = k->n_attr = 0;
    memset(k->is_number, 0, sizeof k->is_number);
}

static int l_op(lua_State *L)
{
    lwf_state *s = lwf_get(L);
    call k;
    start(&k, (wf_op_id)lua_tointeger(L, lua_upvalueindex(2)));
    read_attrs(L, &k, read_inputs(L, s, &k));
    return run(L, s, &k);
}

/* ---- arithmetic ---- */

/* t op number, or number op t, as mul * t + add; false when it is not one. */
static bool is_affine(lua_State *L, const lwf_state *s, wf_op_id id, double *mul, double *add)
{
    const bool left = lua_type(L, 1) == LUA_TNUMBER, right = lua_type(L, 2) == LUA_TNUMBER;
    if (left == right) return false;
    const wf_tensor *t = lwf_to_tensor(L, s, left ? 2 : 1);
    if (!t || !wf_dtype_is_float(wf_get_dtype(t))) return false;
    const double v = lua_tonumber(L, left ? 1 : 2);
    *mul = 1;
    *add = 0;
    if (id == WF_OP_ID_add) *add = v;
    else if (id == WF_OP_ID_mul) *mul = v;
    else if (id == WF_OP_ID_sub && right) *add = -v;
    else if (id == WF_OP_ID_sub) {
        *mul = -1;
        *add = v;
    } else return false;
    return true;
}

static int l_arith(lua_State *L)
{
    lwf_state *s = lwf_get(L);
    call k;
    const wf_op_id id = (wf_op_id)lua_tointeger(L, lua_upvalueindex(2));
    double affine[2];
    lua_settop(L, 2);
    if (is_affine(L, s, id, &affine[0], &affine[1])) {
        start(&k, WF_OP_ID_affine);
        k.in[0] = lwf_to_tensor(L, s, lua_type(L, 1) == LUA_TNUMBER ? 2 : 1);
        k.n_in = 1;
        memcpy(k.attr, affine, sizeof affine);
        k.n_attr = 2;
        return run(L, s, &k);
    }
    start(&k, id);
    if (id == WF_OP_ID_pow && lua_type(L, 2) == LUA_TNUMBER && lua_tonumber(L, 2) == 2.0) {
        start(&k, WF_OP_ID_square);
        lua_settop(L, 1);
    }
    read_inputs(L, s, &k);
    return run(L, s, &k);
}

static int l_unm(lua_State *L)
{
    call k;
    start(&k, WF_OP_ID_neg);
    lua_settop(L, 1);
    read_inputs(L, lwf_get(L), &k);
    return run(L, lwf_get(L), &k);
}

/* ---- opening ---- */

static void push_op(lua_State *L, lua_CFunction f, wf_op_id id)
{
    lua_getfield(L, LUA_REGISTRYINDEX, "weft.state");
    lua_pushinteger(L, id);
    lua_pushcclosure(L, f, 2);
}

/* core.op_rows() -> list of { name, inputs, outputs, attrs, grad = bool }: the rows of ops.def */
static int l_op_rows(lua_State *L)
{
    lua_createtable(L, WF_OP_COUNT, 0);
    for (int i = 0; i < WF_OP_COUNT; i++) {
        const wf_op *op = wf_op_get((wf_op_id)i);
        lua_createtable(L, 0, 5);
        lua_pushstring(L, op->name);
        lua_setfield(L, -2, "name");
        lua_pushstring(L, op->inputs);
        lua_setfield(L, -2, "inputs");
        lua_pushstring(L, op->outputs);
        lua_setfield(L, -2, "outputs");
        lua_pushstring(L, op->attrs);
        lua_setfield(L, -2, "attrs");
        lua_pushboolean(L, op->grad != WF_NO_GRAD);
        lua_setfield(L, -2, "grad");
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

void lwf_open_op(lua_State *L, lwf_state *s)
{
    const struct { const char *event; wf_op_id id; } arith[] = {
        {"__add", WF_OP_ID_add}, {"__sub", WF_OP_ID_sub}, {"__mul", WF_OP_ID_mul},
        {"__div", WF_OP_ID_div}, {"__pow", WF_OP_ID_pow},
    };
    const luaL_Reg list[] = {{"op_rows", l_op_rows}, {NULL, NULL}};
    lwf_register(L, list);
    lua_createtable(L, 0, WF_OP_COUNT);
    for (int i = 0; i < WF_OP_COUNT; i++) {
        push_op(L, l_op, (wf_op_id)i);
        lua_setfield(L, -2, wf_op_get((wf_op_id)i)->name);
    }
    lua_setfield(L, -2, "ops");
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->tensor_ref);
    for (size_t i = 0; i < sizeof arith / sizeof arith[0]; i++) {
        push_op(L, l_arith, arith[i].id);
        lua_setfield(L, -2, arith[i].event);
    }
    push_op(L, l_unm, WF_OP_ID_neg);
    lua_setfield(L, -2, "__unm");
    lua_pop(L, 1);
}
