/* rms_norm.c - rows over their root mean square, and the gradient; parts are stretches of rows. */
#include "kernels/cpu/kern.h"

#include <math.h>
#include <string.h>

wf_status WF_K(rms_norm)(wf_ctx *c, wf_op_args *a);
wf_status WF_K(rms_norm_dx)(wf_ctx *c, wf_op_args *a);

typedef struct rows {
    const float *x, *w, *dy;
    float *y, *partial;                  /* partial: sums of dw, one row for each part */
    int64_t n, C;
    float eps;
} rows;

enum { ROWS = 64 };

static float rstd_of(const float *x, int64_t C, float eps)
{
    vf s = vf_zero(), t = vf_zero();
    int64_t i = 0;
    for (; i + 2 * VL <= C; i += 2 * VL) {
        const vf u = vf_load(x + i), v = vf_load(x + i + VL);
        s = vf_fma(u, u, s);
        t = vf_fma(v, v, t);
    }
    for (; i < C; i += VL) {
        const vf u = vf_load_n(x + i, min_i(VL, C - i));
        s = vf_fma(u, u, s);
    }
    return 1.0f / sqrtf(vf_hsum(vf_add(s, t)) / (float)C + eps);
}

static vf weight(const rows *j, int64_t i, int64_t n)
{
    return j->w ? vf_load_n(j->w + i, n) : vf_set1(1.0f);
}

static void norm_part(void *arg, int64_t part, int worker)
{
    const rows *j = arg;
    (void)worker;
    for (int64_t r = part * ROWS; r < min_i(j->n, (part + 1) * ROWS); r++) {
        const float *x = j->x + r * j->C;
        const vf rstd = vf_set1(rstd_of(x, j->C, j->eps));
        for (int64_t i = 0; i < j->C; i += VL) {
            const int64_t n = min_i(VL, j->C - i);
            vf_store_n(j->y + r * j->C + i, n,
                       vf_mul(vf_mul(vf_load_n(x + i, n), rstd), weight(j, i, n)));
        }
    }
}

static rows open_rows(const wf_op_args *a, wf_tensor *dy)
{
    const int64_t C = wf_dim(a->in[0], -1);
    return (rows){.x = floats(a->in[0]),
                  .w = floats(input(a, 1)),
                  .dy = floats(dy),
                  .y = wf_data(a->out[0]),
                  .n = wf_numel(a->in[0]) / C,
                  .C = C,
                  .eps = (float)a->attr[0]};
}

wf_status WF_K(rms_norm)(wf_ctx *c, wf_op_args *a)
{
    if (!all_f32(a) || wf_numel(a->in[0]) == 0) return WF_ESKIP;
    rows j = open_rows(a, NULL);
    run_parts(c, div_up(j.n, ROWS), 3.0 * (double)(j.n * j.C), norm_part, &j);
    return WF_OK;
}

/* With xhat = x rstd and g = w dy: dx = rstd (g - xhat mean(g xhat)), dw += dy xhat. */
static void dx_row(const rows *j, int64_t r, float *dw)
{
    const float *x = j->x + r * j->C, *dy = j->dy + r * j->C;
    const vf rstd = vf_set1(rstd_of(x, j->C, j->eps));
    vf sum = vf_zero();
    for (int64_t i = 0; i < j->C; i += VL) {
        const int64_t n = min_i(VL, j->C - i);
        const vf xhat = vf_mul(vf_load_n(x + i, n), rstd), d = vf_load_n(dy + i, n);
        sum = vf_fma(vf_mul(d, weight(j, i, n)), xhat, sum);
        vf_store_n(dw + i, n, vf_fma(d, xhat, vf_load_n(dw + i, n)));
    }
    const vf mean = vf_set1(vf_hsum(sum) / (float)j->C);
    for (int64_t i = 0; i < j->C; i += VL) {
        const int64_t n = min_i(VL, j->C - i);
        const vf xhat = vf_mul(vf_load_n(x + i, n), rstd),
                 g = vf_mul(vf_load_n(dy + i, n), weight(j, i, n));
        vf_store_n(j->y + r * j->C + i, n, vf_mul(vf_fnma(xhat, mean, g), rstd));
    }
}

static void dx_part(void *arg, int64_t part, int worker)
{
    const rows *j = arg;
    float *dw = j->partial + part * j->C;
    (void)worker;
    memset(dw, 0, (size_t)j->C * sizeof *dw);
    for (int64_t r = part * ROWS; r < min_i(j->n, (part + 1) * ROWS); r++) dx_row(j, r, dw);
}

wf_status WF_K(rms_norm_dx)(wf_ctx *c, wf_op_args *a)
{
    if (!all_f32(a) || wf_numel(a->in[0]) == 0) return WF_ESKIP;
    rows j = open_rows(a, a->in[2]);
    const int64_t parts = div_up(j.n, ROWS);
    j.partial = scratch_alloc(c, parts * j.C, sizeof *j.partial);
    if (!j.partial) return WF_ENOMEM;
    run_parts(c, parts, 6.0 * (double)(j.n * j.C), dx_part, &j);
    float *dw = wf_data(a->out[1]);
    for (int64_t i = 0; i < j.C; i++) {
        double sum = 0.0;
        for (int64_t p = 0; p < parts; p++) sum += (double)j.partial[p * j.C + i];
        dw[i] = (float)sum;
    }
    scratch_free(c, j.partial);
    return WF_OK;
}
