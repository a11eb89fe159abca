/* train.c - training state in place: AdamW and running averages. */
#include "kernels/cpu/kern.h"

#include <math.h>

wf_status WF_K(lerp_into)(wf_ctx *c, wf_op_args *a);
wf_status WF_K(adamw_into)(wf_ctx *c, wf_op_args *a);

typedef struct state {
    float *p, *m, *v;
    const float *g;
    int64_t n;
    float t, b1, b2, new1, new2;         /* new: 1 - beta */
    float c1, c2, eps, keep, lr, scale;  /* c: 1 / (1 - beta^step) */
} state;

/* ---- y += t (x - y) ---- */

static void lerp_part(void *arg, int64_t part, int worker)
{
    const state *s = arg;
    const int64_t end = min_i(s->n, (part + 1) * GRAIN);
    (void)worker;
    for (int64_t i = part * GRAIN; i < end; i += VL) {
        const int64_t n = min_i(VL, end - i);
        const vf y = vf_load_n(s->p + i, n);
        vf_store_n(s->p + i, n, vf_fma(vf_set1(s->t), vf_sub(vf_load_n(s->g + i, n), y), y));
    }
}

wf_status WF_K(lerp_into)(wf_ctx *c, wf_op_args *a)
{
    const wf_shape y = wf_get_shape(a->in[0]), x = wf_get_shape(a->in[1]);
    if (!all_f32(a) || !wf_is_contiguous(a->in[0]) || !wf_shape_is_same(&y, &x)) return WF_ESKIP;
    state s = {.p = wf_data(a->in[0]),
               .g = floats(a->in[1]),
               .n = wf_numel(a->in[0]),
               .t = (float)a->attr[0]};
    run_parts(c, div_up(s.n, GRAIN), (double)s.n, lerp_part, &s);
    return WF_OK;
}

/* ---- AdamW ---- */

static void adamw_part(void *arg, int64_t part, int worker)
{
    const state *s = arg;
    const int64_t end = min_i(s->n, (part + 1) * GRAIN);
    const vf b1 = vf_set1(s->b1), b2 = vf_set1(s->b2);
    (void)worker;
    for (int64_t i = part * GRAIN; i < end; i += VL) {
        const int64_t n = min_i(VL, end - i);
        const vf g = vf_mul(vf_load_n(s->g + i, n), vf_set1(s->scale)), gg = vf_mul(g, g);
        const vf m = vf_fma(b1, vf_load_n(s->m + i, n), vf_mul(vf_set1(s->new1), g));
        const vf v = vf_fma(b2, vf_load_n(s->v + i, n), vf_mul(vf_set1(s->new2), gg));
        const vf root = vf_add(vf_sqrt(vf_mul(v, vf_set1(s->c2))), vf_set1(s->eps));
        const vf step = vf_div(vf_mul(m, vf_set1(s->c1)), root);
        const vf p = vf_mul(vf_load_n(s->p + i, n), vf_set1(s->keep));
        vf_store_n(s->m + i, n, m);
        vf_store_n(s->v + i, n, v);
        vf_store_n(s->p + i, n, vf_fnma(vf_set1(s->lr), step, p));
    }
}

enum { LR, BETA1, BETA2, EPS, DECAY, STEP, GRAD_SCALE };

wf_status WF_K(adamw_into)(wf_ctx *c, wf_op_args *a)
{
    if (!all_f32(a)) return WF_ESKIP;
    const double *at = a->attr;
    state s = {
        .p = wf_data(a->in[0]),
        .m = wf_data(a->in[1]),
        .v = wf_data(a->in[2]),
        .g = floats(a->in[3]),
        .n = wf_numel(a->in[0]),
        .b1 = (float)at[BETA1],
        .b2 = (float)at[BETA2],
        .new1 = (float)(1.0 - at[BETA1]),
        .new2 = (float)(1.0 - at[BETA2]),
        .c1 = (float)(1.0 / (1.0 - pow(at[BETA1], at[STEP]))),
        .c2 = (float)(1.0 / (1.0 - pow(at[BETA2], at[STEP]))),
        .eps = (float)at[EPS],
        .keep = (float)(1.0 - at[LR] * at[DECAY]),
        .lr = (float)at[LR],
        .scale = (float)at[GRAD_SCALE],
    };
    run_parts(c, div_up(s.n, GRAIN), 4.0 * (double)s.n, adamw_part, &s);
    return WF_OK;
}
