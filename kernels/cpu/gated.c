/* gated.c - swiglu and geglu with their gradients. */
#include "kernels/cpu/kern.h"
#include "kernels/cpu/simd_math.h"

wf_status WF_K(swiglu)(wf_ctx *c, wf_op_args *a);
wf_status WF_K(swiglu_dx)(wf_ctx *c, wf_op_args *a);
wf_status WF_K(geglu)(wf_ctx *c, wf_op_args *a);
wf_status WF_K(geglu_dx)(wf_ctx *c, wf_op_args *a);

typedef struct unit {
    const float *gate, *x, *dy;
    float *dgate, *y;                    /* y: the result, or dx */
    int64_t rows, n, step;               /* n values a row, rows of x and gate step apart */
    int64_t per_part;
} unit;

/* ---- swiglu: one row of all values ---- */

static void swiglu_part(void *arg, int64_t part, int worker)
{
    const unit *u = arg;
    const int64_t end = min_i(u->n, (part + 1) * GRAIN);
    (void)worker;
    for (int64_t i = part * GRAIN; i < end; i += VL) {
        const int64_t n = min_i(VL, end - i);
        vf_store_n(u->y + i, n, vf_mul(vf_silu(vf_load_n(u->gate + i, n)), vf_load_n(u->x + i, n)));
    }
}

static void swiglu_dx_part(void *arg, int64_t part, int worker)
{
    const unit *u = arg;
    const int64_t end = min_i(u->n, (part + 1) * GRAIN);
    (void)worker;
    for (int64_t i = part * GRAIN; i < end; i += VL) {
        const int64_t n = min_i(VL, end - i);
        const vf g = vf_load_n(u->gate + i, n), dy = vf_load_n(u->dy + i, n),
                 x = vf_load_n(u->x + i, n);
        vf_store_n(u->dgate + i, n, vf_mul(vf_mul(dy, x), vf_silu_slope(g)));
        vf_store_n(u->y + i, n, vf_mul(dy, vf_silu(g)));
    }
}

wf_status WF_K(swiglu)(wf_ctx *c, wf_op_args *a)
{
    if (!all_f32(a)) return WF_ESKIP;
    unit u = {.gate = floats(a->in[0]),
              .x = floats(a->in[1]),
              .y = wf_data(a->out[0]),
              .n = wf_numel(a->out[0])};
    run_parts(c, div_up(u.n, GRAIN), (double)u.n * 6, swiglu_part, &u);
    return WF_OK;
}

wf_status WF_K(swiglu_dx)(wf_ctx *c, wf_op_args *a)
{
    if (!all_f32(a)) return WF_ESKIP;
    unit u = {.gate = floats(a->in[0]), .x = floats(a->in[1]), .dy = floats(a->in[2]),
              .dgate = wf_data(a->out[0]), .y = wf_data(a->out[1]), .n = wf_numel(a->out[0])};
    run_parts(c, div_up(u.n, GRAIN), (double)u.n * 10, swiglu_dx_part, &u);
    return WF_OK;
}

/* ---- geglu: rows of [x | gate] ---- */

static void geglu_part(void *arg, int64_t part, int worker)
{
    const unit *u = arg;
    const int64_t end = min_i(u->rows, (part + 1) * u->per_part);
    (void)worker;
    for (int64_t r = part * u->per_part; r < end; r++)
        for (int64_t i = 0; i < u->n; i += VL) {
            const int64_t n = min_i(VL, u->n - i), at = r * u->step + i;
            vf_store_n(u->y + r * u->n + i, n,
                       vf_mul(vf_load_n(u->x + at, n), vf_gelu(vf_load_n(u->gate + at, n))));
        }
}

static void geglu_dx_part(void *arg, int64_t part, int worker)
{
    const unit *u = arg;
    const int64_t end = min_i(u->rows, (part + 1) * u->per_part);
    (void)worker;
    for (int64_t r = part * u->per_part; r < end; r++)
        for (int64_t i = 0; i < u->n; i += VL) {
            const int64_t n = min_i(VL, u->n - i), at = r * u->step + i;
            const vf g = vf_load_n(u->gate + at, n), dy = vf_load_n(u->dy + r * u->n + i, n);
            const vf x = vf_load_n(u->x + at, n);
            vf_store_n(u->y + at, n, vf_mul(dy, vf_gelu(g)));
            vf_store_n(u->dgate + at, n, vf_mul(vf_mul(dy, x), vf_gelu_slope(g)));
        }
}

static unit open_geglu(wf_tensor *x)
{
    const int64_t two = wf_dim(x, -1), n = two / 2;
    const float *p = wf_data(x);
    return (unit){.x = p, .gate = p + n, .n = n, .step = two, .rows = n ? wf_numel(x) / two : 0,
                  .per_part = max_i(1, n ? GRAIN / n : 1)};
}

wf_status WF_K(geglu)(wf_ctx *c, wf_op_args *a)
{
    if (!all_f32(a)) return WF_ESKIP;
    unit u = open_geglu(a->in[0]);
    u.y = wf_data(a->out[0]);
    run_parts(c, div_up(u.rows, u.per_part), (double)wf_numel(a->out[0]) * 8, geglu_part, &u);
    return WF_OK;
}

wf_status WF_K(geglu_dx)(wf_ctx *c, wf_op_args *a)
{
    if (!all_f32(a)) return WF_ESKIP;
    unit u = open_geglu(a->in[0]);
    u.dy = floats(a->in[1]);
    u.y = wf_data(a->out[0]);
    u.dgate = u.y + u.n;
    run_parts(c, div_up(u.rows, u.per_part), (double)wf_numel(a->out[0]) * 8, geglu_dx_part, &u);
    return WF_OK;
}
