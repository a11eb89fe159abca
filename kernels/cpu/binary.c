/* binary.c - y = f(a, b) with broadcasting; inputs of any strides. */
#include "kernels/cpu/walk.h"

/* NaN in either is NaN, as the truth has it. */
WF_INLINE vf larger(vf a, vf b) { return vf_select(vf_is_nan(a), a, vf_max(a, b)); }
WF_INLINE vf smaller(vf a, vf b) { return vf_select(vf_is_nan(a), a, vf_min(a, b)); }

#define FUNCTIONS(X)                                                                     \
    X(add, vf_add(x, z)) X(sub, vf_sub(x, z)) X(mul, vf_mul(x, z)) X(div, vf_div(x, z))  \
    X(maximum, larger(x, z)) X(minimum, smaller(x, z))

typedef void (*row_fn)(const float *a, int64_t sa, const float *b, int64_t sb, float *y, int64_t n);

/* VL values s apart (0: the same one), of which n count. */
WF_INLINE vf load_apart(const float *p, int64_t s, int64_t n)
{
    if (s == 1) return n == VL ? vf_load(p) : vf_load_n(p, n);
    if (s == 0) return vf_set1(*p);
    float v[VL] = {0};
    for (int64_t i = 0; i < n; i++) v[i] = p[i * s];
    return vf_load(v);
}

#define ROW_OF(f, SA, SB)                                                                \
    for (; i + VL <= n; i += VL) {                                                       \
        const vf x = load_apart(a + i * (SA), SA, VL), z = load_apart(b + i * (SB), SB, VL); \
        vf_store(y + i, f);                                                              \
    }

#define DEFINE(name, f)                                                                      \
    static void row_##name(const float *a, int64_t sa, const float *b, int64_t sb, float *y, \
                           int64_t n)                                                        \
    {                                                                                        \
        int64_t i = 0;                                                                       \
        if (sa == 1 && sb == 1) ROW_OF(f, 1, 1)                                              \
        else if (sa == 1 && sb == 0) ROW_OF(f, 1, 0)                                         \
        else if (sa == 0 && sb == 1) ROW_OF(f, 0, 1)                                         \
        for (; i < n; i += VL) {                                                             \
            const int64_t m = min_i(VL, n - i);                                              \
            const vf x = load_apart(a + i * sa, sa, m), z = load_apart(b + i * sb, sb, m);   \
            vf_store_n(y + i, m, f);                                                         \
        }                                                                                    \
    }                                                                                        \
    wf_status WF_K(name)(wf_ctx * c, wf_op_args * a);                                        \
    wf_status WF_K(name)(wf_ctx * c, wf_op_args * a) { return run(c, a, row_##name); }

typedef struct job {
    walk w;
    const float *a, *b;
    float *y;
    row_fn row;
} job;

static void run_row(void *arg, int64_t i, int64_t n, const int64_t *offset)
{
    const job *j = arg;
    const int last = j->w.rank - 1;
    j->row(j->a + offset[0], j->w.strides[0][last], j->b + offset[1], j->w.strides[1][last],
           j->y + i, n);
}

static void run_part(void *arg, int64_t part, int worker)
{
    job *j = arg;
    (void)worker;
    WF_K(walk_span)(&j->w, part * GRAIN, min_i(j->w.total, (part + 1) * GRAIN), run_row, j);
}

static wf_status run(wf_ctx *c, wf_op_args *a, row_fn row)
{
    if (!all_f32(a)) return WF_ESKIP;
    const wf_shape s = wf_get_shape(a->out[0]);
    job j = {.w = WF_K(walk)(&s, a->in, 2), .a = floats(a->in[0]), .b = floats(a->in[1]),
             .y = wf_data(a->out[0]), .row = row};
    run_parts(c, div_up(j.w.total, GRAIN), (double)j.w.total * 1.5, run_part, &j);
    return WF_OK;
}
FUNCTIONS(DEFINE)
