/*
 * optim.c - one step over many parameters at once.
 *
 * The norm sums squares in double over parts of fixed size, then the parts in order, so the number
 * of threads does not change it.
 */
#include "core/train/optim.h"

#include <math.h>

#include "core/base/mem.h"
#include "core/base/thread.h"

enum { PART_ELEMS = 1 << 16 };

/* A stretch of one gradient. */
typedef struct stretch {
    const float *x;
    int64_t n;
    double sum;                          /* of squares, filled by the part */
} stretch;

static void sum_squares(void *arg, int64_t part, int worker)
{
    stretch *s = (stretch *)arg + part;
    (void)worker;
    double sum[4] = {0};
    int64_t i = 0;
    for (; i + 4 <= s->n; i += 4)
        for (int k = 0; k < 4; k++) sum[k] += (double)s->x[i + k] * (double)s->x[i + k];
    for (; i < s->n; i++) sum[0] += (double)s->x[i] * (double)s->x[i];
    s->sum = sum[0] + sum[1] + sum[2] + sum[3];
}

/* Values that the host may read as they lie, NULL when it may not. */
static const float *host_values(const wf_tensor *t)
{
    return wf_is_contiguous(t) ? wf_f32_const(t) : NULL;
}

static int64_t count_parts(wf_tensor *const *g, int64_t n)
{
    int64_t parts = 0;
    for (int64_t i = 0; i < n; i++)
        if (g[i] && host_values(g[i])) parts += (wf_numel(g[i]) + PART_ELEMS - 1) / PART_ELEMS;
    return parts;
}

static void cut(wf_tensor *const *g, int64_t n, stretch *s)
{
    for (int64_t i = 0; i < n; i++) {
        const float *x = g[i] ? host_values(g[i]) : NULL;
        if (!x) continue;
        for (int64_t left = wf_numel(g[i]); left > 0; left -= PART_ELEMS, x += PART_ELEMS)
            *s++ = (stretch){x, left < PART_ELEMS ? left : PART_ELEMS, 0.0};
    }
}

/* Sum of squares of a gradient that lives elsewhere or in another form. */
static double sum_by_ops(wf_ctx *c, wf_tensor *g)
{
    wf_scope *s = wf_scope_open(c);
    wf_tensor *sum = wf_sum(c, wf_square(c, wf_cast(c, g, WF_DTYPE_F32)), 0, NULL, false);
    const double v = sum ? wf_item(c, sum) : 0.0;
    wf_scope_close(c, s, NULL);
    return v;
}

wf_status wf_grad_norm(wf_ctx *c, wf_tensor *const *g, int64_t n, double *norm)
{
    double total = 0.0;
    for (int64_t i = 0; i < n; i++) {
        if (!g[i]) continue;
        if (wf_is_dead(g[i]))
            return wf_fail_status(c, WF_EDEAD,
                                  "grad_norm: gradient %lld is used after its scope closed",
                                  (long long)i + 1);
        if (!host_values(g[i])) total += sum_by_ops(c, g[i]);
    }
    const int64_t parts = count_parts(g, n);
    stretch *s = wf_mem_alloc(wf_ctx_get_mem(c), (size_t)parts * sizeof *s + 1);
    if (!s) return wf_fail_status(c, WF_ENOMEM, "grad_norm: no memory");
    cut(g, n, s);
    wf_pool_run(wf_ctx_get_pool(c), parts, sum_squares, s);
    for (int64_t i = 0; i < parts; i++) total += s[i].sum;
    wf_mem_free(wf_ctx_get_mem(c), s);
    *norm = sqrt(total);
    return wf_get_status(c);
}

wf_status wf_adamw_step(wf_ctx *c, const wf_adamw_lists *l, const wf_adamw *o)
{
    wf_adamw vectors = *o;
    vectors.decay = l->decay_vectors;
    for (int64_t i = 0; i < l->n; i++) {
        if (!l->g[i]) continue;
        if (!wf_adamw_into(c, l->p[i], l->m[i], l->v[i], l->g[i],
                           wf_rank(l->p[i]) < 2 ? &vectors : o))
            break;
    }
    return wf_get_status(c);
}

wf_status wf_average_step(wf_ctx *c, wf_tensor *const *y, wf_tensor *const *x, int64_t n, double t)
{
    for (int64_t i = 0; i < n; i++)
        if (!wf_lerp_into(c, y[i], x[i], t)) break;
    return wf_get_status(c);
}
