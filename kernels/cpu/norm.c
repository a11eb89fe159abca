/*
 * norm.c - layer norm of f32 rows and its adjoint, and softmax.
 *
 * A row is summed in f32 lanes, whatever stands beside it; sums over rows are joined in double over
 * stretches of fixed length.
 */
#include <math.h>
#include <string.h>

#include "kernels/cpu/kern.h"
#include "kernels/cpu/simd_math.h"

wf_status WF_K(layer_norm)(wf_ctx *c, wf_op_args *a);
wf_status WF_K(layer_norm_dx)(wf_ctx *c, wf_op_args *a);
wf_status WF_K(softmax)(wf_ctx *c, wf_op_args *a);
wf_status WF_K(softmax_dx)(wf_ctx *c, wf_op_args *a);

/* ---- layer norm: rows of C ---- */

typedef struct row_job {
    const float *x, *w, *b, *dy;
    float *y, *partial;                  /* partial: per stretch of rows, sums of dw then db */
    int64_t rows, C;
    float eps;
} row_job;

enum { ROWS = 64 };

/* Four sums side by side: one alone would wait for each addition. */
static void row_statistics(const float *x, int64_t C, float eps, float *mean, float *rstd)
{
    vf s[4] = {vf_zero(), vf_zero(), vf_zero(), vf_zero()}, q[4] = {s[0], s[0], s[0], s[0]};
    int64_t i = 0;
    for (; i + 4 * VL <= C; i += 4 * VL)
        for (int k = 0; k < 4; k++) s[k] = vf_add(s[k], vf_load(x + i + k * VL));
    for (; i < C; i += VL) s[0] = vf_add(s[0], vf_load_n(x + i, min_i(VL, C - i)));
    const float m = vf_hsum(vf_add(vf_add(s[0], s[1]), vf_add(s[2], s[3]))) / (float)C;
    const vf middle = vf_set1(m);
    for (i = 0; i + 4 * VL <= C; i += 4 * VL)
        for (int k = 0; k < 4; k++) {
            const vf d = vf_sub(vf_load(x + i + k * VL), middle);
            q[k] = vf_fma(d, d, q[k]);
        }
    for (; i + VL <= C; i += VL) {
        const vf d = vf_sub(vf_load(x + i), middle);
        q[0] = vf_fma(d, d, q[0]);
    }
    float sum = vf_hsum(vf_add(vf_add(q[0], q[1]), vf_add(q[2], q[3])));
    for (; i < C; i++) sum += (x[i] - m) * (x[i] - m);
    *mean = m;
    *rstd = 1.0f / sqrtf(sum / (float)C + eps);
}

WF_INLINE void layer_step(const row_job *j, const float *x, float *y, int64_t i, int64_t n, vf mean,
                          vf rstd)
{
    vf v = vf_mul(vf_sub(vf_load_n(x + i, n), mean), rstd);
    if (j->w) v = vf_mul(v, vf_load_n(j->w + i, n));
    if (j->b) v = vf_add(v, vf_load_n(j->b + i, n));
    vf_store_n(y + i, n, v);
}

static void layer_part(void *arg, int64_t part, int worker)
{
    const row_job *j = arg;
    const int64_t C = j->C;
    (void)worker;
    for (int64_t r = part * ROWS; r < min_i(j->rows, (part + 1) * ROWS); r++) {
        float mean, rstd;
        const float *x = j->x + r * C;
        float *y = j->y + r * C;
        row_statistics(x, C, j->eps, &mean, &rstd);
        const vf m = vf_set1(mean), scale = vf_set1(rstd);
        int64_t i = 0;
        for (; i + VL <= C; i += VL) layer_step(j, x, y, i, VL, m, scale);
        if (i < C) layer_step(j, x, y, i, C - i, m, scale);
    }
}

wf_status WF_K(layer_norm)(wf_ctx *c, wf_op_args *a)
{
    if (!all_f32(a) || wf_numel(a->in[0]) == 0) return WF_ESKIP;
    const int64_t C = wf_dim(a->in[0], -1);
    row_job j = {.x = floats(a->in[0]),
                 .w = floats(input(a, 1)),
                 .b = floats(input(a, 2)),
                 .y = wf_data(a->out[0]),
                 .rows = wf_numel(a->in[0]) / C,
                 .C = C,
                 .eps = (float)a->attr[0]};
    run_parts(c, div_up(j.rows, ROWS), 3.0 * (double)wf_numel(a->in[0]), layer_part, &j);
    return WF_OK;
}

static void layer_dx_row(const row_job *j, int64_t r, float *dw, float *db)
{
    const int64_t C = j->C;
    const float *x = j->x + r * C, *dy = j->dy + r * C;
    float mean, rstd;
    row_statistics(x, C, j->eps, &mean, &rstd);
    vf s1 = vf_zero(), s2 = vf_zero();
    for (int64_t i = 0; i < C; i += VL) {
        const int64_t n = min_i(VL, C - i);
        const vf d = vf_load_n(dy + i, n);
        const vf xhat = vf_mul(vf_sub(vf_load_n(x + i, n), vf_set1(mean)), vf_set1(rstd));
        const vf g = j->w ? vf_mul(d, vf_load_n(j->w + i, n)) : d;
        s1 = vf_add(s1, g);
        s2 = vf_fma(g, xhat, s2);
        vf_store_n(dw + i, n, vf_fma(d, xhat, vf_load_n(dw + i, n)));
        vf_store_n(db + i, n, vf_add(d, vf_load_n(db + i, n)));
    }
    const vf m1 = vf_set1(vf_hsum(s1) / (float)C), m2 = vf_set1(vf_hsum(s2) / (float)C);
    for (int64_t i = 0; i < C; i += VL) {
        const int64_t n = min_i(VL, C - i);
        const vf d = vf_load_n(dy + i, n);
        const vf xhat = vf_mul(vf_sub(vf_load_n(x + i, n), vf_set1(mean)), vf_set1(rstd));
        const vf g = j->w ? vf_mul(d, vf_load_n(j->w + i, n)) : d;
        vf_store_n(j->y + r * C + i, n,
                   vf_mul(vf_sub(vf_sub(g, m1), vf_mul(xhat, m2)), vf_set1(rstd)));
    }
}

static void layer_dx_part(void *arg, int64_t part, int worker)
{
    const row_job *j = arg;
    float *dw = j->partial + part * 2 * j->C, *db = dw + j->C;
    (void)worker;
    memset(dw, 0, 2 * (size_t)j->C * sizeof *dw);
    for (int64_t r = part * ROWS; r < min_i(j->rows, (part + 1) * ROWS); r++)
        layer_dx_row(j, r, dw, db);
}

wf_status WF_K(layer_norm_dx)(wf_ctx *c, wf_op_args *a)
{
    if (!all_f32(a) || wf_numel(a->in[0]) == 0) return WF_ESKIP;
    const int64_t C = wf_dim(a->in[0], -1);
    row_job j = {.x = floats(a->in[0]),
                 .w = floats(a->in[1]),
                 .dy = floats(a->in[2]),
                 .y = wf_data(a->out[0]),
                 .rows = wf_numel(a->in[0]) / C,
                 .C = C,
                 .eps = (float)a->attr[0]};
    const int64_t parts = div_up(j.rows, ROWS);
    j.partial = scratch_alloc(c, parts * 2 * C, sizeof(float));
    if (!j.partial) return WF_ENOMEM;
    run_parts(c, parts, 6.0 * (double)wf_numel(a->in[0]), layer_dx_part, &j);
    float *dw = wf_data(a->out[1]), *db = wf_data(a->out[2]);
    for (int64_t i = 0; i < 2 * C; i++) {
        double sum = 0.0;
        for (int64_t p = 0; p < parts; p++) sum += (double)j.partial[p * 2 * C + i];
        if (i < C) dw[i] = (float)sum;
        else db[i - C] = (float)sum;
    }
    scratch_free(c, j.partial);
    return WF_OK;
}

/* ---- softmax over rows ---- */

/* The largest of C values, NaN apart; NaN if nothing else but -inf is there. */
static float largest(const float *x, int64_t C)
{
    vf v = vf_set1(-INFINITY);
    int64_t i = 0;
    for (; i + VL <= C; i += VL) v = vf_max(vf_load(x + i), v);
    float top = vf_hmax(v);
    for (; i < C; i++) top = x[i] > top ? x[i] : top;
    for (i = 0; top == -INFINITY && i < C; i++) top = isnan(x[i]) ? x[i] : top;
    return top;
}

static void softmax_row(const float *x, float *y, int64_t C)
{
    const float top = largest(x, C);
    if (top == -INFINITY) {
        memset(y, 0, (size_t)C * sizeof *y);
        return;
    }
    float sum = 0.0f, t[VL];
    vf s = vf_zero();
    for (int64_t i = 0; i < C; i += VL) {
        const int64_t n = min_i(VL, C - i);
        const vf e = vf_exp(vf_sub(vf_load_n(x + i, n), vf_set1(top)));
        vf_store_n(y + i, n, e);
        if (n == VL) s = vf_add(s, e);
        else {
            vf_store(t, e);
            for (int64_t k = 0; k < n; k++) sum += t[k];
        }
    }
    const vf inv = vf_set1(1.0f / (vf_hsum(s) + sum));
    for (int64_t i = 0; i < C; i += VL) {
        const int64_t n = min_i(VL, C - i);
        vf_store_n(y + i, n, vf_mul(vf_load_n(y + i, n), inv));
    }
}

static void softmax_part(void *arg, int64_t part, int worker)
{
    const row_job *j = arg;
    (void)worker;
    for (int64_t r = part * ROWS; r < min_i(j->rows, (part + 1) * ROWS); r++)
        softmax_row(j->x + r * j->C, j->y + r * j->C, j->C);
}

wf_status WF_K(softmax)(wf_ctx *c, wf_op_args *a)
{
    if (!all_f32(a) || wf_numel(a->in[0]) == 0) return WF_ESKIP;
    const int64_t C = wf_dim(a->in[0], -1);
    row_job j = {
        .x = floats(a->in[0]), .y = wf_data(a->out[0]), .rows = wf_numel(a->in[0]) / C, .C = C};
    run_parts(c, div_up(j.rows, ROWS), 8.0 * (double)wf_numel(a->in[0]), softmax_part, &j);
    return WF_OK;
}

/* dx = y (dy - sum(y dy)) */
static void softmax_dx_part(void *arg, int64_t part, int worker)
{
    const row_job *j = arg;
    const int64_t C = j->C;
    (void)worker;
    for (int64_t r = part * ROWS; r < min_i(j->rows, (part + 1) * ROWS); r++) {
        const float *y = j->x + r * C, *dy = j->dy + r * C;
        vf s = vf_zero();
        for (int64_t i = 0; i < C; i += VL) {
            const int64_t n = min_i(VL, C - i);
            s = vf_fma(vf_load_n(y + i, n), vf_load_n(dy + i, n), s);
        }
        const vf sum = vf_set1(vf_hsum(s));
        for (int64_t i = 0; i < C; i += VL) {
            const int64_t n = min_i(VL, C - i);
            vf_store_n(j->y + r * C + i, n,
                       vf_mul(vf_load_n(y + i, n), vf_sub(vf_load_n(dy + i, n), sum)));
        }
    }
}

wf_status WF_K(softmax_dx)(wf_ctx *c, wf_op_args *a)
{
    if (!all_f32(a) || wf_numel(a->in[0]) == 0) return WF_ESKIP;
    const int64_t C = wf_dim(a->in[0], -1);
    row_job j = {.x = floats(a->in[0]), .dy = floats(a->in[1]), .y = wf_data(a->out[0]),
                 .rows = wf_numel(a->in[0]) / C, .C = C};
    run_parts(c, div_up(j.rows, ROWS), 4.0 * (double)wf_numel(a->in[0]), softmax_dx_part, &j);
    return WF_OK;
}
