/* rope.c - rotary positions of heads whose pairs lie half a width apart; parts are stretches of
 * tokens. */
#include "kernels/cpu/kern.h"

wf_status WF_K(rope)(wf_ctx *c, wf_op_args *a);

typedef struct turn {
    const float *x, *cosine, *sine;      /* [T,R] each */
    float *y;
    int64_t rows, T, N, D, R;            /* rows of N heads */
    int64_t per_part;
} turn;

static void turn_head(const turn *j, const float *x, const float *cosine, const float *sine,
                      float *y)
{
    const int64_t R = j->R;
    for (int64_t i = 0; i < R; i += VL) {
        const int64_t n = min_i(VL, R - i);
        const vf u = vf_load_n(x + i, n), v = vf_load_n(x + R + i, n);
        const vf cos = vf_load_n(cosine + i, n), sin = vf_load_n(sine + i, n);
        vf_store_n(y + i, n, vf_fnma(v, sin, vf_mul(u, cos)));
        vf_store_n(y + R + i, n, vf_fma(u, sin, vf_mul(v, cos)));
    }
    for (int64_t d = 2 * R; d < j->D; d++) y[d] = x[d];
}

static void turn_part(void *arg, int64_t part, int worker)
{
    const turn *j = arg;
    (void)worker;
    for (int64_t r = part * j->per_part; r < min_i(j->rows, (part + 1) * j->per_part); r++)
        for (int64_t n = 0; n < j->N; n++) {
            const int64_t at = (r * j->N + n) * j->D, angle = r % j->T * j->R;
            turn_head(j, j->x + at, j->cosine + angle, j->sine + angle, j->y + at);
        }
}

wf_status WF_K(rope)(wf_ctx *c, wf_op_args *a)
{
    wf_tensor *x = a->in[0], *table = a->in[1];
    const bool half = a->attr[0] != 0.0;
    if (!all_f32(a) || !half || wf_numel(x) == 0) return WF_ESKIP;
    turn j = {.x = floats(x), .y = wf_data(a->out[0]), .T = wf_dim(x, 1), .N = wf_dim(x, 2),
              .D = wf_dim(x, 3), .R = wf_dim(table, 1)};
    const int64_t n = j.T * j.R;
    float *cosine = scratch_alloc(c, 2 * n, sizeof *cosine), *sine = cosine + n;
    if (!cosine) return WF_ENOMEM;
    const float *from = floats(table);
    for (int64_t i = 0; i < n; i++) {
        cosine[i] = from[2 * i];
        sine[i] = a->attr[1] != 0.0 ? -from[2 * i + 1] : from[2 * i + 1];
    }
    j.cosine = cosine;
    j.sine = sine;
    j.rows = wf_dim(x, 0) * j.T;
    j.per_part = max_i(1, GRAIN / (j.N * j.D));
    run_parts(c, div_up(j.rows, j.per_part), (double)wf_numel(x), turn_part, &j);
    scratch_free(c, cosine);
    return WF_OK;
}
