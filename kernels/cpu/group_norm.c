/*
 * group_norm.c - group norm of maps [B,S,C], with its activation, and the adjoint.
 *
 * A sample is cut into stretches of places. A stretch gives each channel's sum and its squares
 * about its own mean, in f32; those are joined in double (Chan, Golub & LeVeque 1979), so large
 * maps lose nothing. A small sample goes through all steps while it is near; a large one step by
 * step, its stretches in parallel: the same bytes either way.
 */
#include "kernels/cpu/kern.h"
#include "kernels/cpu/simd_math.h"

#include <math.h>

wf_status WF_K(group_norm)(wf_ctx *c, wf_op_args *a);
wf_status WF_K(group_norm_dx)(wf_ctx *c, wf_op_args *a);

/* Rows of a sample's table, each of C values. */
enum { MEAN, RSTD, SCALE, SHIFT, SUM_D, SUM_DX, M1, M2, N_ROWS };

enum { SMALL_SAMPLE = 1 << 18 };

typedef struct job {
    const float *x, *w, *b, *dy;
    float *y, *table, *partial;          /* table [B][N_ROWS][C], partial [B][stretches][2][C] */
    int64_t B, S, C, G, stretch, stretches;
    double eps;
    bool silu;
    void (*step)(const struct job *j, int64_t sample, int64_t k);
} job;

static float *table_of(const job *j, int64_t sample) { return j->table + sample * N_ROWS * j->C; }
static float *partial_of(const job *j, int64_t sample, int64_t k)
{
    return j->partial + (sample * j->stretches + k) * 2 * j->C;
}

/* ---- steps over one stretch ---- */

/* Each channel's sum, and its squares about its mean. */
static void find_sums(const job *j, int64_t sample, int64_t k)
{
    const int64_t C = j->C, rows = min_i(j->stretch, j->S - k * j->stretch);
    const float *x = j->x + (sample * j->S + k * j->stretch) * C;
    float *out = partial_of(j, sample, k);
    for (int64_t i = 0; i < C; i += VL) {
        const int64_t n = min_i(VL, C - i);
        vf s = vf_zero(), t = vf_zero(), q = vf_zero(), u = vf_zero();
        for (int64_t r = 0; r + 1 < rows; r += 2) {
            s = vf_add(s, vf_load_n(x + r * C + i, n));
            t = vf_add(t, vf_load_n(x + (r + 1) * C + i, n));
        }
        if (rows % 2) s = vf_add(s, vf_load_n(x + (rows - 1) * C + i, n));
        s = vf_add(s, t);
        const vf mean = vf_mul(s, vf_set1(1.0f / (float)rows));
        for (int64_t r = 0; r < rows; r++) {
            const vf d = vf_sub(vf_load_n(x + r * C + i, n), mean);
            if (r % 2) u = vf_fma(d, d, u);
            else q = vf_fma(d, d, q);
        }
        vf_store_n(out + i, n, s);
        vf_store_n(out + C + i, n, vf_add(q, u));
    }
}

/* The affine's output at x for the channels from i on. */
WF_INLINE vf affine(const float *t, int64_t C, int64_t i, int64_t n, vf x)
{
    const vf d = vf_sub(x, vf_load_n(t + MEAN * C + i, n));
    return vf_fma(d, vf_load_n(t + SCALE * C + i, n), vf_load_n(t + SHIFT * C + i, n));
}

static void apply(const job *j, int64_t sample, int64_t k)
{
    const int64_t C = j->C, rows = min_i(j->stretch, j->S - k * j->stretch);
    const int64_t at = (sample * j->S + k * j->stretch) * C;
    const float *t = table_of(j, sample), *x = j->x + at;
    float *y = j->y + at;
    for (int64_t r = 0; r < rows; r++, x += C, y += C)
        for (int64_t i = 0; i < C; i += VL) {
            const int64_t n = min_i(VL, C - i);
            const vf v = affine(t, C, i, n, vf_load_n(x + i, n));
            vf_store_n(y + i, n, j->silu ? vf_silu(v) : v);
        }
}

/* Gradient at the affine's output: through the activation when there is one. */
WF_INLINE vf affine_slope(const job *j, vf z, vf dy)
{
    return j->silu ? vf_mul(dy, vf_silu_slope(z)) : dy;
}

/* Each channel's sums of d and of d xhat, with d the gradient at the affine's output. */
static void find_slopes(const job *j, int64_t sample, int64_t k)
{
    const int64_t C = j->C, rows = min_i(j->stretch, j->S - k * j->stretch);
    const int64_t at = (sample * j->S + k * j->stretch) * C;
    const float *t = table_of(j, sample), *x = j->x + at, *dy = j->dy + at;
    float *out = partial_of(j, sample, k);
    for (int64_t i = 0; i < C; i += VL) {
        const int64_t n = min_i(VL, C - i);
        const vf mean = vf_load_n(t + MEAN * C + i, n), rstd = vf_load_n(t + RSTD * C + i, n);
        vf s = vf_zero(), sx = vf_zero();
        for (int64_t r = 0; r < rows; r++) {
            const vf v = vf_load_n(x + r * C + i, n);
            const vf d = affine_slope(j, affine(t, C, i, n, v), vf_load_n(dy + r * C + i, n));
            s = vf_add(s, d);
            sx = vf_fma(d, vf_mul(vf_sub(v, mean), rstd), sx);
        }
        vf_store_n(out + i, n, s);
        vf_store_n(out + C + i, n, sx);
    }
}

/* dx = rstd (w d - m1 - xhat m2) */
static void apply_slopes(const job *j, int64_t sample, int64_t k)
{
    const int64_t C = j->C, rows = min_i(j->stretch, j->S - k * j->stretch);
    const int64_t at = (sample * j->S + k * j->stretch) * C;
    const float *t = table_of(j, sample), *x = j->x + at, *dy = j->dy + at;
    float *dx = j->y + at;
    for (int64_t r = 0; r < rows; r++, x += C, dy += C, dx += C)
        for (int64_t i = 0; i < C; i += VL) {
            const int64_t n = min_i(VL, C - i);
            const vf v = vf_load_n(x + i, n), rstd = vf_load_n(t + RSTD * C + i, n);
            const vf d = affine_slope(j, affine(t, C, i, n, v), vf_load_n(dy + i, n));
            const vf xhat = vf_mul(vf_sub(v, vf_load_n(t + MEAN * C + i, n)), rstd);
            const vf m2 = vf_load_n(t + M2 * C + i, n);
            const vf pull = vf_fma(xhat, m2, vf_load_n(t + M1 * C + i, n));
            vf_store_n(dx + i, n, vf_fnma(pull, rstd, vf_mul(d, vf_load_n(t + SCALE * C + i, n))));
        }
}

/* ---- joining a sample's stretches ---- */

/* Mean and squares about it of group g, from its channels in every stretch. */
static void join_group(const job *j, int64_t sample, int64_t g, double *mean, double *squares)
{
    const int64_t C = j->C, Cg = C / j->G;
    double sum = 0.0, q = 0.0;
    for (int64_t k = 0; k < j->stretches; k++)
        for (int64_t i = g * Cg; i < (g + 1) * Cg; i++)
            sum += (double)partial_of(j, sample, k)[i];
    *mean = sum / (double)(j->S * Cg);
    for (int64_t k = 0; k < j->stretches; k++) {
        const double rows = (double)min_i(j->stretch, j->S - k * j->stretch);
        const float *p = partial_of(j, sample, k);
        for (int64_t i = g * Cg; i < (g + 1) * Cg; i++) {
            const double off = (double)p[i] / rows - *mean;
            q += (double)p[C + i] + rows * off * off;
        }
    }
    *squares = q;
}

static void join_sums(const job *j, int64_t sample)
{
    const int64_t C = j->C, Cg = C / j->G;
    float *t = table_of(j, sample);
    for (int64_t g = 0; g < j->G; g++) {
        double mean, squares;
        join_group(j, sample, g, &mean, &squares);
        const float rstd = (float)(1.0 / sqrt(squares / (double)(j->S * Cg) + j->eps));
        for (int64_t i = g * Cg; i < (g + 1) * Cg; i++) {
            t[MEAN * C + i] = (float)mean;
            t[RSTD * C + i] = rstd;
            t[SCALE * C + i] = rstd * (j->w ? j->w[i] : 1.0f);
            t[SHIFT * C + i] = j->b ? j->b[i] : 0.0f;
        }
    }
}

static void join_slopes(const job *j, int64_t sample)
{
    const int64_t C = j->C, Cg = C / j->G;
    float *t = table_of(j, sample);
    for (int64_t g = 0; g < j->G; g++) {
        double m1 = 0.0, m2 = 0.0;
        for (int64_t i = g * Cg; i < (g + 1) * Cg; i++) {
            double s = 0.0, sx = 0.0;
            for (int64_t k = 0; k < j->stretches; k++) {
                s += (double)partial_of(j, sample, k)[i];
                sx += (double)partial_of(j, sample, k)[C + i];
            }
            t[SUM_D * C + i] = (float)s;
            t[SUM_DX * C + i] = (float)sx;
            m1 += s * (j->w ? (double)j->w[i] : 1.0);
            m2 += sx * (j->w ? (double)j->w[i] : 1.0);
        }
        for (int64_t i = g * Cg; i < (g + 1) * Cg; i++) {
            t[M1 * C + i] = (float)(m1 / (double)(j->S * Cg));
            t[M2 * C + i] = (float)(m2 / (double)(j->S * Cg));
        }
    }
}

/* ---- the ops ---- */

static void stretch_part(void *arg, int64_t part, int worker)
{
    const job *j = arg;
    (void)worker;
    j->step(j, part / j->stretches, part % j->stretches);
}

static void each_stretch(wf_ctx *c, job *j, double work,
                         void (*step)(const job *j, int64_t sample, int64_t k))
{
    j->step = step;
    run_parts(c, j->B * j->stretches, work * (double)(j->B * j->S * j->C), stretch_part, j);
}

static void sample_part(void *arg, int64_t sample, int worker)
{
    const job *j = arg;
    (void)worker;
    for (int64_t k = 0; k < j->stretches; k++) find_sums(j, sample, k);
    join_sums(j, sample);
    for (int64_t k = 0; !j->dy && k < j->stretches; k++) apply(j, sample, k);
    if (!j->dy) return;
    for (int64_t k = 0; k < j->stretches; k++) find_slopes(j, sample, k);
    join_slopes(j, sample);
    for (int64_t k = 0; k < j->stretches; k++) apply_slopes(j, sample, k);
}

static void run(wf_ctx *c, job *j)
{
    if (j->S * j->C <= SMALL_SAMPLE) {
        run_parts(c, j->B, (j->dy ? 12.0 : 5.0) * (double)(j->B * j->S * j->C), sample_part, j);
        return;
    }
    each_stretch(c, j, 2.0, find_sums);
    for (int64_t i = 0; i < j->B; i++) join_sums(j, i);
    if (!j->dy) {
        each_stretch(c, j, 3.0, apply);
        return;
    }
    each_stretch(c, j, 4.0, find_slopes);
    for (int64_t i = 0; i < j->B; i++) join_slopes(j, i);
    each_stretch(c, j, 4.0, apply_slopes);
}

static wf_status open_job(wf_ctx *c, const wf_op_args *a, job *j)
{
    const wf_tensor *x = a->in[0];
    *j = (job){.x = floats(a->in[0]), .w = floats(input(a, 1)), .b = floats(input(a, 2))};
    j->y = wf_data(a->out[0]);
    j->B = wf_dim(x, 0), j->C = wf_dim(x, -1), j->S = wf_numel(x) / j->B / j->C;
    j->G = wfi_int(a, 0), j->eps = a->attr[1], j->silu = a->attr[2] != 0.0;
    j->stretch = max_i(1, GRAIN / j->C);
    j->stretches = div_up(j->S, j->stretch);
    j->table = scratch_alloc(c, j->B * (N_ROWS + 2 * j->stretches) * j->C, sizeof(float));
    j->partial = j->table ? j->table + j->B * N_ROWS * j->C : NULL;
    return j->table ? WF_OK : WF_ENOMEM;
}

wf_status WF_K(group_norm)(wf_ctx *c, wf_op_args *a)
{
    job j;
    if (!all_f32(a) || wf_numel(a->in[0]) == 0) return WF_ESKIP;
    WF_TRY(open_job(c, a, &j));
    run(c, &j);
    scratch_free(c, j.table);
    return WF_OK;
}

wf_status WF_K(group_norm_dx)(wf_ctx *c, wf_op_args *a)
{
    job j;
    if (!all_f32(a) || wf_numel(a->in[0]) == 0) return WF_ESKIP;
    WF_TRY(open_job(c, a, &j));
    j.dy = floats(a->in[3]);
    run(c, &j);
    float *dw = wf_data(a->out[1]), *db = wf_data(a->out[2]);
    for (int64_t i = 0; i < j.C; i++) {
        double sw = 0.0, sb = 0.0;
        for (int64_t b = 0; b < j.B; b++) {
            sw += (double)table_of(&j, b)[SUM_DX * j.C + i];
            sb += (double)table_of(&j, b)[SUM_D * j.C + i];
        }
        dw[i] = (float)sw;
        db[i] = (float)sb;
    }
    scratch_free(c, j.table);
    return WF_OK;
}
