/* q8.c - weights in 8 bits with a scale for every 32 values: packing and expanding. */
#include "core/model/q8.h"

#include <math.h>

#include "core/tensor/ops.h"

enum {
    LEAST_ELEMS = 512,          /* below, the header's entry of scales costs what is saved */
    MOST_SCALE = 511            /* 128 of it still fit into f16 (65504) */
};

/* Rows of a weight, and blocks of a row. */
typedef struct layout {
    int64_t rows, row_elems, blocks;
} layout;

static layout lay_out(const wf_shape *s)
{
    layout l = {.rows = s->dims[0], .row_elems = 1};
    for (int d = 1; d < s->rank; d++) l.row_elems *= s->dims[d];
    l.blocks = (l.row_elems + WF_Q8_BLOCK - 1) / WF_Q8_BLOCK;
    return l;
}

static int64_t block_elems(const layout *l, int64_t block)
{
    const int64_t left = l->row_elems - block * WF_Q8_BLOCK;
    return left < WF_Q8_BLOCK ? left : WF_Q8_BLOCK;
}

bool wf_q8_suits(const wf_shape *s)
{
    return s->rank >= 2 && wf_shape_numel(s) >= LEAST_ELEMS && lay_out(s).row_elems >= WF_Q8_BLOCK;
}

wf_shape wf_q8_scale_shape(const wf_shape *s)
{
    const layout l = lay_out(s);
    return (wf_shape){.rank = 2, .dims = {l.rows, l.blocks}};
}

/* ---- packing ---- */

/* The scale of n values as f16: max |x| / 127. Where f16 has few digits left, the next one up, so
 * that the largest value needs no more than 127. */
static uint16_t find_scale(const float *x, int64_t n)
{
    float top = 0.0f;
    for (int64_t i = 0; i < n; i++) top = fmaxf(top, fabsf(x[i]));
    const uint16_t h = wf_f32_to_f16(top / 127.0f);
    return top > 127.5f * wf_f16_to_f32(h) ? (uint16_t)(h + 1) : h;
}

static void pack_block(const float *x, int64_t n, int8_t *q, uint16_t *scale)
{
    *scale = find_scale(x, n);
    const float s = wf_f16_to_f32(*scale);
    for (int64_t i = 0; i < n; i++) {
        const long v = s > 0.0f ? lroundf(x[i] / s) : 0;
        q[i] = (int8_t)(v > 127 ? 127 : v < -127 ? -127 : v);
    }
}

static bool holds(const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (!(fabsf(x[i]) <= 127.0f * MOST_SCALE)) return false;
    return true;
}

/* Working memory of a weight: its values, and what they are packed into. */
typedef struct buffers {
    float *x;
    int8_t *q;
    uint16_t *scale;
} buffers;

static void pack_rows(const layout *l, const buffers *b)
{
    for (int64_t r = 0; r < l->rows; r++)
        for (int64_t k = 0; k < l->blocks; k++) {
            const int64_t at = r * l->row_elems + k * WF_Q8_BLOCK;
            pack_block(b->x + at, block_elems(l, k), b->q + at, b->scale + r * l->blocks + k);
        }
}

void wf_q8_pack(wf_ctx *c, const char *name, wf_tensor *w, wf_tensor **q, wf_tensor **scale)
{
    *q = *scale = NULL;
    if (wf_has_failed(c)) return;
    const wf_shape s = wf_get_shape(w), ss = wf_q8_scale_shape(&s);
    const layout l = lay_out(&s);
    const int64_t n = wf_numel(w);
    wf_mem *mem = wf_ctx_get_mem(c);
    buffers b = {.x = wf_mem_alloc(mem, (size_t)n * sizeof *b.x),
                 .q = wf_mem_alloc(mem, (size_t)n),
                 .scale = wf_mem_alloc(mem, (size_t)(l.rows * l.blocks) * sizeof *b.scale)};
    if (!b.x || !b.q || !b.scale) wf_fail(c, WF_ENOMEM, "save: no memory for %s as q8", name);
    else if (wf_to_f32(c, w, b.x, n) == WF_OK && !holds(b.x, n))
        wf_fail(c, WF_EDTYPE, "save: %s holds values that are not finite or above %d, which q8 "
                "cannot hold", name, 127 * MOST_SCALE);
    if (!wf_has_failed(c)) {
        pack_rows(&l, &b);
        *q = wf_from_host(c, WF_DTYPE_I8, &s, b.q);
        *scale = wf_from_host(c, WF_DTYPE_F16, &ss, b.scale);
    }
    wf_mem_free(mem, b.x);
    wf_mem_free(mem, b.q);
    wf_mem_free(mem, b.scale);
}

/* ---- expanding ---- */

static wf_status check_scale(wf_ctx *c, const char *name, const wf_shape *s, const wf_tensor *scale)
{
    char got[96], wanted[96];
    const wf_shape has = wf_get_shape(scale), wants = wf_q8_scale_shape(s);
    if (!wf_dtype_is_float(wf_get_dtype(scale)))
        return wf_fail_status(c, WF_EMODEL, "%s.scale is %s, wanted a float dtype", name,
                              wf_dtype_text(wf_get_dtype(scale)));
    if (wf_shape_is_same(&has, &wants)) return WF_OK;
    return wf_fail_status(c, WF_EMODEL, "%s.scale is %s, wanted %s: one for every %d values of a "
                          "row", name, wf_shape_text(&has, got, sizeof got),
                          wf_shape_text(&wants, wanted, sizeof wanted), WF_Q8_BLOCK);
}

static void expand_rows(const layout *l, const int8_t *q, const float *scale, float *x)
{
    for (int64_t r = 0; r < l->rows; r++)
        for (int64_t k = 0; k < l->blocks; k++) {
            const int64_t at = r * l->row_elems + k * WF_Q8_BLOCK, n = block_elems(l, k);
            const float s = scale[r * l->blocks + k];
            for (int64_t i = 0; i < n; i++) x[at + i] = (float)q[at + i] * s;
        }
}

static wf_status read_scale(wf_ctx *c, const char *name, const wf_tensor *t, float *scale)
{
    WF_TRY(wf_to_f32(c, t, scale, wf_numel(t)));
    for (int64_t i = 0; i < wf_numel(t); i++)
        if (!(scale[i] >= 0.0f && scale[i] <= MOST_SCALE))
            return wf_fail_status(c, WF_EMODEL, "%s.scale holds a value that is not from 0 to %d",
                                  name, MOST_SCALE);
    return WF_OK;
}

wf_tensor *wf_q8_expand(wf_ctx *c, const char *name, wf_tensor *q, wf_tensor *scale)
{
    if (wf_has_failed(c)) return NULL;
    const wf_shape s = wf_get_shape(q);
    if (s.rank < 1) return wf_fail(c, WF_EMODEL, "%s is i8 without dims", name);
    if (check_scale(c, name, &s, scale) != WF_OK) return NULL;
    const layout l = lay_out(&s);
    wf_mem *mem = wf_ctx_get_mem(c);
    float *x = wf_mem_alloc(mem, (size_t)wf_numel(q) * sizeof *x + 1);
    float *v = wf_mem_alloc(mem, (size_t)wf_numel(scale) * sizeof *v + 1);
    wf_tensor *y = NULL;
    if (!x || !v) wf_fail(c, WF_ENOMEM, "%s: no memory to expand it", name);
    else if (read_scale(c, name, scale, v) == WF_OK) {
        expand_rows(&l, wf_data_const(q), v, x);
        y = wf_from_host(c, WF_DTYPE_F32, &s, x);
    }
    wf_mem_free(mem, x);
    wf_mem_free(mem, v);
    return y;
}
