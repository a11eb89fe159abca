/*
 * loss.c - rows through the logarithm of a softmax: log_softmax, logsumexp, cross entropy with its
 * gradient; and mean squared error.
 *
 * A row's exponentials are added in f32 lanes; rows and stretches are added in double, in order.
 */
#include "kernels/cpu/kern.h"
#include "kernels/cpu/simd_math.h"

#include <math.h>
#include <string.h>

wf_status WF_K(log_softmax)(wf_ctx *c, wf_op_args *a);
wf_status WF_K(logsumexp)(wf_ctx *c, wf_op_args *a);
wf_status WF_K(cross_entropy)(wf_ctx *c, wf_op_args *a);
wf_status WF_K(cross_entropy_dx)(wf_ctx *c, wf_op_args *a);
wf_status WF_K(mse)(wf_ctx *c, wf_op_args *a);

typedef struct rows {
    const float *x;
    float *y;
    wfi_values ids;
    int64_t n, C, ignore;
    float scale;
    double *sums;                        /* one for each row or stretch */
} rows;

enum { ROWS = 16 };

static rows open_rows(const wf_op_args *a)
{
    const int64_t C = wf_dim(a->in[0], -1);
    return (rows){.x = floats(a->in[0]),
                  .y = wf_data(a->out[0]),
                  .C = C,
                  .n = C ? wf_numel(a->in[0]) / C : 0};
}

static void run_rows(wf_ctx *c, rows *j, wf_part_fn fn)
{
    run_parts(c, div_up(j->n, ROWS), 6.0 * (double)(j->n * j->C), fn, j);
}

/* log(sum(exp(x))) */
static double log_sum(const float *x, int64_t C)
{
    vf top = vf_set1(-INFINITY), sum = vf_zero();
    int64_t i = 0;
    for (; i + VL <= C; i += VL) top = vf_max(vf_load(x + i), top);
    float t = vf_hmax(top);
    for (; i < C; i++) t = x[i] > t ? x[i] : t;
    for (i = 0; isinf(t) && i < C; i++) t = isnan(x[i]) ? x[i] : t;
    if (isinf(t) || isnan(t)) return (double)t;
    float tail[VL];
    for (i = 0; i + VL <= C; i += VL) sum = vf_add(sum, vf_exp(vf_sub(vf_load(x + i), vf_set1(t))));
    for (int64_t k = 0; k < VL; k++) tail[k] = i + k < C ? x[i + k] - t : -INFINITY;
    sum = vf_add(sum, vf_exp(vf_load(tail)));
    return (double)t + log((double)vf_hsum(sum));
}

/* What is taken off each logit: a row with an infinite one has no probabilities. */
static double log_norm(const float *x, int64_t C)
{
    const double l = log_sum(x, C);
    return l == INFINITY ? NAN : l;
}

/* ---- log_softmax and logsumexp ---- */

static void log_softmax_part(void *arg, int64_t part, int worker)
{
    const rows *j = arg;
    (void)worker;
    for (int64_t r = part * ROWS; r < min_i(j->n, (part + 1) * ROWS); r++) {
        const float *x = j->x + r * j->C;
        const float log_of = (float)log_norm(x, j->C);
        const vf l = vf_set1(log_of == -INFINITY ? 0.0f : log_of);      /* a blind row stays -inf */
        for (int64_t i = 0; i < j->C; i += VL) {
            const int64_t n = min_i(VL, j->C - i);
            vf_store_n(j->y + r * j->C + i, n, vf_sub(vf_load_n(x + i, n), l));
        }
    }
}

static void logsumexp_part(void *arg, int64_t part, int worker)
{
    const rows *j = arg;
    (void)worker;
    for (int64_t r = part * ROWS; r < min_i(j->n, (part + 1) * ROWS); r++)
        j->y[r] = (float)log_sum(j->x + r * j->C, j->C);
}

wf_status WF_K(log_softmax)(wf_ctx *c, wf_op_args *a)
{
    if (!all_f32(a) || wf_numel(a->in[0]) == 0) return WF_ESKIP;
    rows j = open_rows(a);
    run_rows(c, &j, log_softmax_part);
    return WF_OK;
}

wf_status WF_K(logsumexp)(wf_ctx *c, wf_op_args *a)
{
    if (!all_f32(a) || wf_numel(a->in[0]) == 0) return WF_ESKIP;
    rows j = open_rows(a);
    run_rows(c, &j, logsumexp_part);
    return WF_OK;
}

/* ---- cross entropy: logits [n,C], ids [n] ---- */

/* Whether every id is a class or the ignored one; counts those that are not ignored. */
static bool check_ids(const rows *j, int64_t *n_counted)
{
    *n_counted = 0;
    for (int64_t r = 0; r < j->n; r++) {
        const int64_t id = (int64_t)wfi_get(&j->ids, r);
        if (id == j->ignore) continue;
        if (id < 0 || id >= j->C) return false;
        ++*n_counted;
    }
    return true;
}

static void loss_part(void *arg, int64_t part, int worker)
{
    const rows *j = arg;
    (void)worker;
    for (int64_t r = part * ROWS; r < min_i(j->n, (part + 1) * ROWS); r++) {
        const int64_t id = (int64_t)wfi_get(&j->ids, r);
        const float *x = j->x + r * j->C;
        j->sums[r] = id == j->ignore ? 0.0 : log_norm(x, j->C) - (double)x[id];
    }
}

wf_status WF_K(cross_entropy)(wf_ctx *c, wf_op_args *a)
{
    int64_t n;
    if (!is_f32(a->in[0]) || !is_f32(a->out[0]) || wf_numel(a->in[0]) == 0) return WF_ESKIP;
    rows j = open_rows(a);
    j.ids = wfi_open(a->in[1]);
    j.ignore = wfi_int(a, 0);
    if (!check_ids(&j, &n)) return WF_ESKIP;     /* the truth names the id */
    j.sums = scratch_alloc(c, j.n, sizeof *j.sums);
    if (!j.sums) return WF_ENOMEM;
    run_rows(c, &j, loss_part);
    double sum = 0.0;
    for (int64_t r = 0; r < j.n; r++) sum += j.sums[r];
    *j.y = (float)(sum / (double)n);
    scratch_free(c, j.sums);
    return WF_OK;
}

/* (softmax(x) - onehot) scale */
static void loss_dx_part(void *arg, int64_t part, int worker)
{
    const rows *j = arg;
    (void)worker;
    for (int64_t r = part * ROWS; r < min_i(j->n, (part + 1) * ROWS); r++) {
        const int64_t id = (int64_t)wfi_get(&j->ids, r);
        const float *x = j->x + r * j->C;
        float *y = j->y + r * j->C;
        if (id == j->ignore) {
            memset(y, 0, (size_t)j->C * sizeof *y);
            continue;
        }
        const vf l = vf_set1((float)log_norm(x, j->C)), k = vf_set1(j->scale);
        for (int64_t i = 0; i < j->C; i += VL) {
            const int64_t n = min_i(VL, j->C - i);
            vf_store_n(y + i, n, vf_mul(vf_exp(vf_sub(vf_load_n(x + i, n), l)), k));
        }
        y[id] -= j->scale;
    }
}

wf_status WF_K(cross_entropy_dx)(wf_ctx *c, wf_op_args *a)
{
    int64_t n;
    if (!is_f32(a->in[0]) || !is_f32(a->in[2]) || !is_f32(a->out[0]) || wf_numel(a->in[0]) == 0)
        return WF_ESKIP;
    rows j = open_rows(a);
    j.ids = wfi_open(a->in[1]);
    j.ignore = wfi_int(a, 0);
    if (!check_ids(&j, &n) || n == 0) return WF_ESKIP;
    j.scale = (float)((double)floats(a->in[2])[0] / (double)n);
    run_rows(c, &j, loss_dx_part);
    return WF_OK;
}

/* ---- mean squared error ---- */

typedef struct pair {
    const float *a, *b;
    int64_t n;
    double *sums;
} pair;

static void square_part(void *arg, int64_t part, int worker)
{
    const pair *j = arg;
    const int64_t end = min_i(j->n, (part + 1) * GRAIN);
    vf s = vf_zero(), t = vf_zero();
    int64_t i = part * GRAIN;
    (void)worker;
    for (; i + 2 * VL <= end; i += 2 * VL) {
        const vf d = vf_sub(vf_load(j->a + i), vf_load(j->b + i));
        const vf e = vf_sub(vf_load(j->a + i + VL), vf_load(j->b + i + VL));
        s = vf_fma(d, d, s);
        t = vf_fma(e, e, t);
    }
    for (; i < end; i += VL) {
        const int64_t n = min_i(VL, end - i);
        const vf d = vf_sub(vf_load_n(j->a + i, n), vf_load_n(j->b + i, n));
        s = vf_fma(d, d, s);
    }
    j->sums[part] = (double)vf_hsum(vf_add(s, t));
}

wf_status WF_K(mse)(wf_ctx *c, wf_op_args *a)
{
    if (!all_f32(a) || wf_numel(a->in[0]) == 0) return WF_ESKIP;
    pair j = {.a = floats(a->in[0]), .b = floats(a->in[1]), .n = wf_numel(a->in[0])};
    const int64_t parts = div_up(j.n, GRAIN);
    double sum = 0.0;
    j.sums = scratch_alloc(c, parts, sizeof *j.sums);
    if (!j.sums) return WF_ENOMEM;
    run_parts(c, parts, (double)j.n, square_part, &j);
    for (int64_t i = 0; i < parts; i++) sum += j.sums[i];
    *(float *)wf_data(a->out[0]) = (float)(sum / (double)j.n);
    scratch_free(c, j.sums);
    return WF_OK;
}
