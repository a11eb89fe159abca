/*
 * reduce.c - sum, mean and sum_to over neighbouring dims.
 *
 * With dims merged x is [A,R,K] and y [A,K]: a sum over R is cut in stretches of fixed length, each
 * summed in f32, and the stretches are added in double. The cut depends on R and K alone.
 */
#include "kernels/cpu/kern.h"

wf_status WF_K(sum)(wf_ctx *c, wf_op_args *a);
wf_status WF_K(mean)(wf_ctx *c, wf_op_args *a);
wf_status WF_K(sum_to)(wf_ctx *c, wf_op_args *a);

typedef struct sums {
    const float *x;
    float *y, *partial;                  /* partial [A,stretches,K] */
    int64_t A, R, K, stretch, stretches;
    double scale;
} sums;

/* Sum n values that lie side by side. */
static float sum_row(const float *x, int64_t n)
{
    vf s0 = vf_zero(), s1 = vf_zero(), s2 = vf_zero(), s3 = vf_zero();
    int64_t i = 0;
    for (; i + 4 * VL <= n; i += 4 * VL) {
        s0 = vf_add(s0, vf_load(x + i));
        s1 = vf_add(s1, vf_load(x + i + VL));
        s2 = vf_add(s2, vf_load(x + i + 2 * VL));
        s3 = vf_add(s3, vf_load(x + i + 3 * VL));
    }
    for (; i < n; i += VL) s0 = vf_add(s0, vf_load_n(x + i, min_i(VL, n - i)));
    return vf_hsum(vf_add(vf_add(s0, s1), vf_add(s2, s3)));
}

/* y[0 .. K) = sum of n rows of K values. */
static void sum_columns(const float *x, int64_t n, int64_t K, float *y)
{
    int64_t k = 0;
    for (; k + 4 * VL <= K; k += 4 * VL) {
        vf s0 = vf_zero(), s1 = vf_zero(), s2 = vf_zero(), s3 = vf_zero();
        for (int64_t r = 0; r < n; r++) {
            const float *p = x + r * K + k;
            s0 = vf_add(s0, vf_load(p));
            s1 = vf_add(s1, vf_load(p + VL));
            s2 = vf_add(s2, vf_load(p + 2 * VL));
            s3 = vf_add(s3, vf_load(p + 3 * VL));
        }
        vf_store(y + k, s0);
        vf_store(y + k + VL, s1);
        vf_store(y + k + 2 * VL, s2);
        vf_store(y + k + 3 * VL, s3);
    }
    for (; k < K; k += VL) {
        const int64_t m = min_i(VL, K - k);
        vf s = vf_zero();
        for (int64_t r = 0; r < n; r++) s = vf_add(s, vf_load_n(x + r * K + k, m));
        vf_store_n(y + k, m, s);
    }
}

static void sum_part(void *arg, int64_t part, int worker)
{
    const sums *s = arg;
    const int64_t a = part / s->stretches, r = part % s->stretches * s->stretch;
    const int64_t n = min_i(s->stretch, s->R - r);
    const float *x = s->x + (a * s->R + r) * s->K;
    float *y = s->partial + part * s->K;
    (void)worker;
    if (s->K == 1) *y = sum_row(x, n);
    else sum_columns(x, n, s->K, y);
}

static void finish(const sums *s)
{
    for (int64_t a = 0; a < s->A; a++)
        for (int64_t k = 0; k < s->K; k++) {
            double sum = 0.0;
            for (int64_t i = 0; i < s->stretches; i++)
                sum += (double)s->partial[(a * s->stretches + i) * s->K + k];
            s->y[a * s->K + k] = (float)(sum * s->scale);
        }
}

/* Several short rows a part: many A, small R. */
static void rows_part(void *arg, int64_t part, int worker)
{
    const sums *s = arg;
    const int64_t size = s->R * s->K, per = max_i(1, GRAIN / size),
                  end = min_i(s->A, (part + 1) * per);
    (void)worker;
    for (int64_t a = part * per; a < end; a++) {
        float *y = s->y + a * s->K;
        if (s->K == 1) *y = sum_row(s->x + a * size, s->R);
        else sum_columns(s->x + a * size, s->R, s->K, y);
        for (int64_t k = 0; k < s->K; k++) y[k] = (float)((double)y[k] * s->scale);
    }
}

static wf_status run(wf_ctx *c, sums *s)
{
    const double work = (double)s->A * (double)s->R * (double)s->K;
    s->stretch = max_i(64, GRAIN / s->K);
    s->stretches = div_up(s->R, s->stretch);
    if (s->stretches <= 1) {
        run_parts(c, div_up(s->A, max_i(1, GRAIN / (s->R * s->K))), work, rows_part, s);
        return WF_OK;
    }
    s->partial = scratch_alloc(c, s->A * s->stretches * s->K, sizeof *s->partial);
    if (!s->partial) return WF_ENOMEM;
    run_parts(c, s->A * s->stretches, work, sum_part, s);
    finish(s);
    scratch_free(c, s->partial);
    return WF_OK;
}

/* Merge x's dims into kept, reduced, kept; false when they do not fall so. */
static bool merge(const wf_tensor *x, const bool *reduced, sums *s)
{
    int state = 0;                       /* 0: in A, 1: in R, 2: in K */
    s->A = s->R = s->K = 1;
    for (int d = 0; d < wf_rank(x); d++) {
        const int64_t n = wf_dim(x, d);
        if (n == 1) continue;
        if (reduced[d] && state == 2) return false;
        if (reduced[d]) state = 1;
        else if (state == 1) state = 2;
        *(state == 0 ? &s->A : state == 1 ? &s->R : &s->K) *= n;
    }
    return true;
}

static wf_status reduce(wf_ctx *c, wf_op_args *a, const bool *reduced, bool mean)
{
    sums s = {.x = floats(a->in[0]), .y = wf_data(a->out[0])};
    if (!all_f32(a) || wf_numel(a->in[0]) == 0 || !merge(a->in[0], reduced, &s)) return WF_ESKIP;
    s.scale = mean ? 1.0 / (double)s.R : 1.0;
    return run(c, &s);
}

static void named_dims(const wf_op_args *a, bool *reduced)
{
    for (int d = 0; d < WF_MAX_RANK; d++) reduced[d] = a->n_attr == 1;
    for (int i = 1; i < a->n_attr; i++)
        reduced[(int)a->attr[i] + (a->attr[i] < 0 ? wf_rank(a->in[0]) : 0)] = true;
}

wf_status WF_K(sum)(wf_ctx *c, wf_op_args *a)
{
    bool reduced[WF_MAX_RANK];
    named_dims(a, reduced);
    return reduce(c, a, reduced, false);
}

wf_status WF_K(mean)(wf_ctx *c, wf_op_args *a)
{
    bool reduced[WF_MAX_RANK];
    named_dims(a, reduced);
    return reduce(c, a, reduced, true);
}

wf_status WF_K(sum_to)(wf_ctx *c, wf_op_args *a)
{
    const wf_tensor *x = a->in[0], *y = a->out[0];
    const int extra = wf_rank(x) - wf_rank(y);
    bool reduced[WF_MAX_RANK] = {false};
    for (int d = 0; d < wf_rank(x); d++) reduced[d] = d < extra || wf_dim(y, d - extra) == 1;
    return reduce(c, a, reduced, false);
}
