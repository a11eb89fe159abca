/*
 * norm.c - group and layer norms of f32 maps and rows, their adjoints, and softmax.
 *
 * Statistics are two passes in f32 over fixed stretches, joined in double; a sample (or a row) is a
 * part of its own, so its bytes depend on nothing else. Sums over samples are added in their order.
 */
#include <math.h>
#include <string.h>

#include "kernels/cpu/kern.h"
#include "kernels/cpu/simd_math.h"

wf_status WF_K(group_norm)(wf_ctx *c, wf_op_args *a);
wf_status WF_K(group_norm_dx)(wf_ctx *c, wf_op_args *a);
wf_status WF_K(layer_norm)(wf_ctx *c, wf_op_args *a);
wf_status WF_K(layer_norm_dx)(wf_ctx *c, wf_op_args *a);
wf_status WF_K(softmax)(wf_ctx *c, wf_op_args *a);
wf_status WF_K(softmax_dx)(wf_ctx *c, wf_op_args *a);

/* ---- group norm: x [B,S,C] ---- */

typedef struct group_job {
    const float *x, *w, *b, *dy;
    float *y, *sums;                     /* sums: per sample, scratch of 8 C floats */
    int64_t S, C, G, Cg;
    double eps;
    bool silu;
} group_job;

enum { MEAN, RSTD, SCALE, SHIFT, SUM_D, SUM_DX, M1, M2, N_SUMS };

/* out[c] = sum over s of f(x[s,c]); f = x - m, or its square. */
static void channel_sums(const float *x, const float *m, int64_t S, int64_t C, bool square,
                         float *out)
{
    for (int64_t i = 0; i < C; i += VL) {
        const int64_t n = min_i(VL, C - i);
        const vf mean = m ? vf_load_n(m + i, n) : vf_zero();
        vf s = vf_zero(), t = vf_zero();
        for (int64_t r = 0; r < S; r++) {
            const vf d = vf_sub(vf_load_n(x + r * C + i, n), mean);
            if (r & 1) t = square ? vf_fma(d, d, t) : vf_add(t, d);
            else s = square ? vf_fma(d, d, s) : vf_add(s, d);
        }
        vf_store_n(out + i, n, vf_add(s, t));
    }
}

/* Spread each group's value f(sum of in over the group) over its channels. */
static void spread_groups(const group_job *j, const float *in, double scale, double add,
                          bool rsqrt_of, float *out)
{
    for (int64_t g = 0; g < j->G; g++) {
        double sum = 0.0;
        for (int64_t k = 0; k < j->Cg; k++) sum += (double)in[g * j->Cg + k];
        const double v = sum * scale + add, f = rsqrt_of ? 1.0 / sqrt(v) : v;
        for (int64_t k = 0; k < j->Cg; k++) out[g * j->Cg + k] = (float)f;
    }
}

/* mean, 1/std, and y = (x - mean) * scale + shift of every channel of one sample. */
static void group_statistics(const group_job *j, const float *x, float *t)
{
    const int64_t C = j->C;
    const double n = (double)(j->S * j->Cg);
    channel_sums(x, NULL, j->S, C, false, t + SCALE * C);
    spread_groups(j, t + SCALE * C, 1.0 / n, 0.0, false, t + MEAN * C);
    channel_sums(x, t + MEAN * C, j->S, C, true, t + SCALE * C);
    spread_groups(j, t + SCALE * C, 1.0 / n, j->eps, true, t + RSTD * C);
    for (int64_t i = 0; i < C; i++) {
        t[SCALE * C + i] = t[RSTD * C + i] * (j->w ? j->w[i] : 1.0f);
        t[SHIFT * C + i] = j->b ? j->b[i] : 0.0f;
    }
}

/* The affine's output at x for the channels from i on. */
WF_INLINE vf group_affine(const float *t, int64_t C, int64_t i, int64_t n, vf x)
{
    const vf d = vf_sub(x, vf_load_n(t + MEAN * C + i, n));
    return vf_fma(d, vf_load_n(t + SCALE * C + i, n), vf_load_n(t + SHIFT * C + i, n));
}

static void group_part(void *arg, int64_t sample, int worker)
{
    const group_job *j = arg;
    const int64_t C = j->C;
    float *t = j->sums + (int64_t)worker * N_SUMS * C;
    const float *x = j->x + sample * j->S * C;
    float *y = j->y + sample * j->S * C;
    group_statistics(j, x, t);
    for (int64_t r = 0; r < j->S; r++) {
        for (int64_t i = 0; i < C; i += VL) {
            const int64_t n = min_i(VL, C - i);
            vf v = group_affine(t, C, i, n, vf_load_n(x + r * C + i, n));
            if (j->silu) v = vf_silu(v);
            vf_store_n(y + r * C + i, n, v);
        }
    }
}

static group_job group_of(const wf_op_args *a)
{
    const wf_tensor *x = a->in[0];
    const int64_t B = wf_dim(x, 0), C = wf_dim(x, -1), G = wfi_int(a, 0);
    return (group_job){.x = floats(a->in[0]),
                       .w = floats(input(a, 1)),
                       .b = floats(input(a, 2)),
                       .y = wf_data(a->out[0]),
                       .S = B ? wf_numel(x) / B / C : 0,
                       .C = C,
                       .G = G,
                       .Cg = C / G,
                       .eps = a->attr[1],
                       .silu = a->attr[2] != 0.0};
}

wf_status WF_K(group_norm)(wf_ctx *c, wf_op_args *a)
{
    if (!all_f32(a) || wf_numel(a->in[0]) == 0) return WF_ESKIP;
    group_job j = group_of(a);
    j.sums = scratch_alloc(c, count_workers(c) * N_SUMS * j.C, sizeof(float));
    if (!j.sums) return WF_ENOMEM;
    run_parts(c, wf_dim(a->in[0], 0), 4.0 * (double)wf_numel(a->in[0]), group_part, &j);
    scratch_free(c, j.sums);
    return WF_OK;
}

/* Gradient at the affine's output: through the activation when there is one. */
WF_INLINE vf affine_slope(const group_job *j, vf z, vf dy)
{
    return j->silu ? vf_mul(dy, vf_silu_slope(z)) : dy;
}

/* Per channel: sums over s of d and of d xhat. */
static void slope_sums(const group_job *j, const float *x, const float *dy, float *t)
{
    const int64_t C = j->C;
    for (int64_t i = 0; i < C; i += VL) {
        const int64_t n = min_i(VL, C - i);
        const vf mean = vf_load_n(t + MEAN * C + i, n), rstd = vf_load_n(t + RSTD * C + i, n);
        vf s = vf_zero(), sx = vf_zero();
        for (int64_t r = 0; r < j->S; r++) {
            const vf v = vf_load_n(x + r * C + i, n);
            const vf d = affine_slope(j, group_affine(t, C, i, n, v), vf_load_n(dy + r * C + i, n));
            s = vf_add(s, d);
            sx = vf_fma(d, vf_mul(vf_sub(v, mean), rstd), sx);
        }
        vf_store_n(t + SUM_D * C + i, n, s);
        vf_store_n(t + SUM_DX * C + i, n, sx);
    }
}

/* dx = rstd (w d - m1 - xhat m2) */
static void group_dx_part(void *arg, int64_t sample, int worker)
{
    const group_job *j = arg;
    const int64_t C = j->C;
    float *t = j->sums + sample * N_SUMS * C;
    const float *x = j->x + sample * j->S * C, *dy = j->dy + sample * j->S * C;
    float *dx = j->y + sample * j->S * C;
    const double n_all = (double)(j->S * j->Cg);
    (void)worker;
    group_statistics(j, x, t);
    slope_sums(j, x, dy, t);
    for (int64_t i = 0; i < C; i++) {
        const float w = j->w ? j->w[i] : 1.0f;
        t[M1 * C + i] = w * t[SUM_D * C + i];
        t[M2 * C + i] = w * t[SUM_DX * C + i];
    }
    spread_groups(j, t + M1 * C, 1.0 / n_all, 0.0, false, t + M1 * C);
    spread_groups(j, t + M2 * C, 1.0 / n_all, 0.0, false, t + M2 * C);
    for (int64_t r = 0; r < j->S; r++) {
        for (int64_t i = 0; i < C; i += VL) {
            const int64_t n = min_i(VL, C - i), at = r * C + i;
            const vf v = vf_load_n(x + at, n), rstd = vf_load_n(t + RSTD * C + i, n);
            const vf scale = vf_load_n(t + SCALE * C + i, n);
            const vf d = affine_slope(j, group_affine(t, C, i, n, v), vf_load_n(dy + at, n));
            const vf xhat = vf_mul(vf_sub(v, vf_load_n(t + MEAN * C + i, n)), rstd);
            const vf pull =
                vf_fma(xhat, vf_load_n(t + M2 * C + i, n), vf_load_n(t + M1 * C + i, n));
            vf_store_n(dx + at, n, vf_fnma(pull, rstd, vf_mul(d, scale)));
        }
    }
}

wf_status WF_K(group_norm_dx)(wf_ctx *c, wf_op_args *a)
{
    if (!all_f32(a) || wf_numel(a->in[0]) == 0) return WF_ESKIP;
    group_job j = group_of(a);
    const int64_t B = wf_dim(a->in[0], 0), C = j.C;
    j.dy = floats(a->in[3]);
    j.sums = scratch_alloc(c, B * N_SUMS * C, sizeof(float));
    if (!j.sums) return WF_ENOMEM;
    run_parts(c, B, 8.0 * (double)wf_numel(a->in[0]), group_dx_part, &j);
    float *dw = wf_data(a->out[1]), *db = wf_data(a->out[2]);
    for (int64_t i = 0; i < C; i++) {
        double sw = 0.0, sb = 0.0;
        for (int64_t b = 0; b < B; b++) {
            sw += (double)j.sums[(b * N_SUMS + SUM_DX) * C + i];
            sb += (double)j.sums[(b * N_SUMS + SUM_D) * C + i];
        }
        dw[i] = (float)sw;
        db[i] = (float)sb;
    }
    scratch_free(c, j.sums);
    return WF_OK;
}

/* ---- layer norm: rows of C ---- */

typedef struct row_job {
    const float *x, *w, *b, *dy;
    float *y, *partial;                  /* partial: per stretch of rows, sums of dw then db */
    int64_t rows, C;
    float eps;
} row_job;

enum { ROWS = 64 };

static void row_statistics(const float *x, int64_t C, float eps, float *mean, float *rstd)
{
    vf s = vf_zero(), q = vf_zero();
    for (int64_t i = 0; i < C; i += VL) s = vf_add(s, vf_load_n(x + i, min_i(VL, C - i)));
    const float m = vf_hsum(s) / (float)C;
    for (int64_t i = 0; i < C; i += VL) {
        const int64_t n = min_i(VL, C - i);
        const vf d = vf_sub(vf_load_n(x + i, n), vf_set1(m));
        if (n == VL) q = vf_fma(d, d, q);
        else {
            float t[VL];
            vf_store(t, d);
            for (int64_t k = 0; k < n; k++) t[k] *= t[k];
            for (int64_t k = n; k < VL; k++) t[k] = 0.0f;
            q = vf_add(q, vf_load(t));
        }
    }
    *mean = m;
    *rstd = 1.0f / sqrtf(vf_hsum(q) / (float)C + eps);
}

static void layer_part(void *arg, int64_t part, int worker)
{
    const row_job *j = arg;
    const int64_t C = j->C;
    (void)worker;
    for (int64_t r = part * ROWS; r < min_i(j->rows, (part + 1) * ROWS); r++) {
        float mean, rstd;
        const float *x = j->x + r * C;
        row_statistics(x, C, j->eps, &mean, &rstd);
        for (int64_t i = 0; i < C; i += VL) {
            const int64_t n = min_i(VL, C - i);
            vf v = vf_mul(vf_sub(vf_load_n(x + i, n), vf_set1(mean)), vf_set1(rstd));
            if (j->w) v = vf_mul(v, vf_load_n(j->w + i, n));
            if (j->b) v = vf_add(v, vf_load_n(j->b + i, n));
            vf_store_n(j->y + r * C + i, n, v);
        }
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

static void softmax_row(const float *x, float *y, int64_t C)
{
    float top = -INFINITY;
    for (int64_t i = 0; i < C; i++) top = x[i] > top ? x[i] : top;
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
