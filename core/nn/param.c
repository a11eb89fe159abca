/* param.c - the parameter table, names, layouts and first values. */
#include "core/nn/param.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/base/rng.h"
#include "core/tensor/ops.h"

/* Memory of layers, freed together. */
typedef struct block {
    struct block *next;
} block;

enum { BLOCK_HEAD = 64 };       /* keeps what follows at the alignment of wf_mem_alloc */

struct wf_params {
    wf_mem *mem;
    wf_param **list;
    int64_t n, cap;
    block *blocks;
};

wf_init wf_init_constant(double value) { return (wf_init){WF_INIT_CONSTANT, value}; }
wf_init wf_init_normal(double deviation) { return (wf_init){WF_INIT_NORMAL, deviation}; }

wf_init wf_init_fan_in(int64_t fan_in)
{
    return (wf_init){WF_INIT_UNIFORM, 1.0 / sqrt((double)(fan_in > 0 ? fan_in : 1))};
}

/* ---- the table ---- */

wf_params *wf_params_new(wf_ctx *c)
{
    if (wf_has_failed(c)) return NULL;
    wf_params *p = wf_mem_calloc(wf_ctx_get_mem(c), sizeof *p);
    if (!p) return wf_fail(c, WF_ENOMEM, "model: no memory for its parameters");
    p->mem = wf_ctx_get_mem(c);
    return p;
}

void wf_params_free(wf_params *p)
{
    if (!p) return;
    for (int64_t i = 0; i < p->n; i++) wf_release(p->list[i]->t);
    while (p->blocks) {
        block *next = p->blocks->next;
        wf_mem_free(p->mem, p->blocks);
        p->blocks = next;
    }
    wf_mem_free(p->mem, p->list);
    wf_mem_free(p->mem, p);
}

int64_t wf_params_get_count(const wf_params *p) { return p->n; }
wf_param *wf_params_get(const wf_params *p, int64_t i)
{
    return i >= 0 && i < p->n ? p->list[i] : NULL;
}

wf_param *wf_params_find(const wf_params *p, const char *name)
{
    for (int64_t i = 0; i < p->n; i++)
        if (strcmp(p->list[i]->name, name) == 0) return p->list[i];
    return NULL;
}

void *wf_params_alloc(wf_ctx *c, wf_params *p, size_t bytes)
{
    if (wf_has_failed(c)) return NULL;
    block *k = wf_mem_calloc(p->mem, BLOCK_HEAD + bytes);
    if (!k) return wf_fail(c, WF_ENOMEM, "model: no memory for its layers");
    k->next = p->blocks;
    p->blocks = k;
    return (char *)k + BLOCK_HEAD;
}

/* Append q; false once c has failed. */
static bool append(wf_ctx *c, wf_params *p, wf_param *q)
{
    if (p->n == p->cap) {
        const int64_t cap = p->cap ? 2 * p->cap : 64;
        wf_param **list = wf_mem_alloc(p->mem, (size_t)cap * sizeof *list);
        if (!list) {
            wf_fail(c, WF_ENOMEM, "model: no memory for its parameters");
            return false;
        }
        if (p->n) memcpy(list, p->list, (size_t)p->n * sizeof *list);
        wf_mem_free(p->mem, p->list);
        p->list = list;
        p->cap = cap;
    }
    p->list[p->n++] = q;
    return true;
}

/* ---- declaring ---- */

size_t wf_builder_enter(wf_builder *b, const char *fmt, ...)
{
    const size_t mark = b->path_bytes;
    const size_t at = mark ? mark + 1 : 0, room = sizeof b->path - at;
    va_list ap;
    va_start(ap, fmt);
    const int n = vsnprintf(b->path + at, room, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= room) {
        wf_fail(b->c, WF_EINTERNAL, "model: a parameter's name is longer than %d", WF_PATH_MAX);
        return mark;
    }
    if (mark) b->path[mark] = '.';
    b->path_bytes = at + (size_t)n;
    return mark;
}

void wf_builder_leave(wf_builder *b, size_t mark)
{
    b->path_bytes = mark;
    b->path[mark] = '\0';
}

void *wf_builder_alloc(wf_builder *b, size_t bytes)
{
    return wf_params_alloc(b->c, b->params, bytes);
}

wf_param *wf_param_new(wf_builder *b, const char *leaf, wf_layout layout, wf_shape shape,
                       wf_init init)
{
    wf_ctx *c = b->c;
    const size_t mark = wf_builder_enter(b, "%s", leaf);
    wf_param *p = wf_builder_alloc(b, sizeof *p + b->path_bytes + 1);
    if (p) {
        char *name = (char *)(p + 1);
        memcpy(name, b->path, b->path_bytes + 1);
        *p = (wf_param){.name = name, .layout = layout, .shape = shape, .init = init};
        if (append(c, b->params, p)) b->source(c, b->arg, p);
    }
    wf_builder_leave(b, mark);
    return wf_has_failed(c) ? NULL : p;
}

/* ---- first values ---- */

/* 64 bits of a name (FNV-1a), so that each parameter has its own stream. */
static uint64_t hash_name(const char *s)
{
    uint64_t h = 14695981039346656037u;
    for (; *s; s++) h = (h ^ (uint8_t)*s) * 1099511628211u;
    return h;
}

static void draw_values(float *v, int64_t n, const wf_param *p, uint64_t seed)
{
    const uint64_t h = hash_name(p->name);
    const wf_rng_key key = {seed, (uint32_t)(h >> 32), (uint32_t)h};
    const float scale = (float)p->init.scale;
    if (p->init.kind == WF_INIT_NORMAL) wf_rng_normal(v, n, key, 0);
    else wf_rng_uniform(v, n, key, 0);
    for (int64_t i = 0; i < n; i++)
        v[i] = p->init.kind == WF_INIT_NORMAL ? v[i] * scale : (2.0f * v[i] - 1.0f) * scale;
}

void wf_param_randomise(wf_ctx *c, void *seed, wf_param *p)
{
    if (wf_has_failed(c)) return;
    const int64_t n = wf_shape_numel(&p->shape);
    wf_tensor *t = p->init.kind == WF_INIT_CONSTANT
                       ? wf_full(c, WF_DTYPE_F32, &p->shape, p->init.scale)
                       : wf_empty(c, WF_DTYPE_F32, &p->shape);
    p->t = wf_take_owned(c, t);
    if (!p->t || p->init.kind == WF_INIT_CONSTANT) return;
    float *v = wf_mem_alloc(wf_ctx_get_mem(c), (size_t)n * sizeof *v);
    if (!v) {
        wf_fail(c, WF_ENOMEM, "%s: no memory for its first values", p->name);
        return;
    }
    draw_values(v, n, p, *(const uint64_t *)seed);
    const wf_status st = wf_set_f32(c, p->t, v, n);
    (void)st;                   /* the failure stands in c */
    wf_mem_free(wf_ctx_get_mem(c), v);
}

/* ---- layouts ---- */

/* public[i] = ours[order[i]] */
static const int to_public[][4] = {[WF_LAYOUT_LINEAR_T] = {1, 0},
                                   [WF_LAYOUT_CONV2D] = {0, 3, 1, 2},
                                   [WF_LAYOUT_CONV1D] = {0, 2, 1},
                                   [WF_LAYOUT_CONV_T1D] = {0, 2, 1},
                                   [WF_LAYOUT_CONV_FRAMES] = {0, 2, 1}};
static const int from_public[][4] = {[WF_LAYOUT_LINEAR_T] = {1, 0},
                                     [WF_LAYOUT_CONV2D] = {0, 2, 3, 1},
                                     [WF_LAYOUT_CONV1D] = {0, 2, 1},
                                     [WF_LAYOUT_CONV_T1D] = {0, 2, 1},
                                     [WF_LAYOUT_CONV_FRAMES] = {0, 2, 1}};

/* As in public files, but for dims of one at the end. */
static wf_shape permuted_shape(const wf_param *p)
{
    wf_shape s = p->shape;
    if (p->layout != WF_LAYOUT_PLAIN)
        for (int i = 0; i < s.rank; i++) s.dims[i] = p->shape.dims[to_public[p->layout][i]];
    return s;
}

wf_shape wf_param_public_shape(const wf_param *p)
{
    wf_shape s = permuted_shape(p);
    if (p->layout == WF_LAYOUT_CONV_FRAMES)
        for (int i = 0; i < 2; i++) s.dims[s.rank++] = 1;
    return s;
}

/* Every kernel tap is one: then the layouts are the same memory. */
static bool has_one_tap(const wf_param *p)
{
    if (p->layout == WF_LAYOUT_LINEAR_T) return false;
    for (int i = 1; i < p->shape.rank - 1; i++)
        if (p->shape.dims[i] != 1) return false;
    return true;
}

wf_tensor *wf_param_from_public(wf_ctx *c, const wf_param *p, wf_tensor *t)
{
    if (p->layout == WF_LAYOUT_PLAIN || has_one_tap(p))
        return wf_reshape(c, t, p->shape.rank, p->shape.dims);
    const wf_shape s = permuted_shape(p);
    t = wf_reshape(c, t, s.rank, s.dims);
    return wf_contiguous(c, wf_permute(c, t, s.rank, from_public[p->layout]));
}

wf_tensor *wf_param_to_public(wf_ctx *c, const wf_param *p)
{
    if (p->layout == WF_LAYOUT_PLAIN) return p->t;
    wf_tensor *t = wf_permute(c, p->t, p->shape.rank, to_public[p->layout]);
    if (p->layout != WF_LAYOUT_CONV_FRAMES) return t;
    const wf_shape s = wf_param_public_shape(p);
    return wf_reshape(c, wf_contiguous(c, t), s.rank, s.dims);
}
