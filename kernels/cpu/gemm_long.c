/*
 * gemm_long.c - products with a long k and a small result, as gradients of weights are.
 *
 * A part is a stretch of k by a run of columns: it packs its own stretch of both operands and sums
 * into a copy of C of its own; the copies are added in order at the end. The cut depends on the
 * shape alone.
 */
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/kern.h"

#include <string.h>

enum { STRETCH = 2048, COLUMNS = 16 * NR, TMP_ELEMS = NR * KC + PACK_SLACK };

typedef struct job {
    const gemm *g;
    const gemm_src *b;
    int64_t stretches, chunks, panel;    /* panel: values of one packed panel of A */
    float *sums;                         /* [stretches][M*N] */
    float *scratch;                      /* for each worker: a tile, panels of A, one panel of B */
    int64_t scratch_elems;
} job;

/* A stretch of an operand: a panel, or columns read where they lie. */
typedef struct stretch {
    const float *p;
    int64_t step;                        /* from one k to the next */
} stretch;

static void multiply(const gemm *g, int rows, int64_t kc, stretch a, stretch b, float *out,
                     int64_t n, bool add, float *tmp)
{
    const int width = gemm_width(g->n, n);
    const int64_t valid = min_i(width, g->n - n);
    const gemm_tile_fn tile = WF_K(tile)(g->b.t, rows, width / VL);
    if (valid == width) {
        tile(kc, a.p, a.step, b.p, b.step, out, g->n, add ? out : NULL, g->n);
        return;
    }
    for (int i = 0; add && i < rows; i++)
        memcpy(tmp + i * NR, out + i * g->n, (size_t)valid * sizeof *tmp);
    tile(kc, a.p, a.step, b.p, b.step, tmp, NR, add ? tmp : NULL, NR);
    for (int i = 0; i < rows; i++)
        memcpy(out + i * g->n, tmp + i * NR, (size_t)valid * sizeof *tmp);
}

/* Columns as wide apart as this fall on the same few lines of a cache: they are packed. */
enum { FAR_APART = 256 };

/* Whether s's columns can be read where they lie, k by k. */
static bool lies(const gemm *g, const gemm_src *s)
{
    return WF_K(is_columns)(s, g->b.t) && s->col < FAR_APART;
}

static stretch lying(const gemm_src *s, int64_t i0, int64_t k0)
{
    return (stretch){(const float *)s->p + i0 + k0 * s->col, s->col};
}

/* n columns of width from i0 on as a panel at dst, by way of tmp where it becomes pairs. */
static stretch pack(const gemm *g, const gemm_src *s, int64_t i0, int n, int width, int64_t k0,
                    int64_t kc, float *dst, float *tmp)
{
    WF_K(pack)(s, 0, i0, n, width, k0, kc, g->b.t == PAIRS ? tmp : dst);
    if (g->b.t == PAIRS) WF_K(pair)(tmp, width, kc, dst);
    return (stretch){dst, width};
}

static void run_stretch(void *arg, int64_t part, int worker)
{
    const job *s = arg;
    const gemm *g = s->g;
    const int64_t number = part / s->chunks, n0 = part % s->chunks * COLUMNS,
                  n1 = min_i(g->n, n0 + COLUMNS);
    float *tmp = s->scratch + worker * s->scratch_elems, *pa = tmp + TMP_ELEMS;
    float *pb = pa + div_up(g->m, MR) * s->panel, *out = s->sums + number * g->m * g->n;
    const bool a_lies = lies(g, &g->a), b_lies = lies(g, s->b);
    const int64_t begin = number * STRETCH, end = min_i(g->k, begin + STRETCH);
    for (int64_t k0 = begin; k0 < end; k0 += KC) {
        const int64_t kc = min_i(KC, end - k0), steps = panel_steps(g->b.t, kc);
        if (!a_lies && WF_K(is_columns)(&g->a, g->b.t))
            WF_K(pack_columns)(&g->a, 0, 0, g->m, MR, k0, kc, pa, s->panel);
        else
            for (int64_t m = 0; !a_lies && m < g->m; m += MR) {
                const int rows = (int)min_i(MR, g->m - m);
                (void)pack(g, &g->a, m, rows, rows, k0, kc, pa + m / MR * s->panel, tmp);
            }
        for (int64_t n = n0; n < n1; n += NR) {
            const int width = gemm_width(g->n, n), valid = (int)min_i(width, g->n - n);
            const stretch b = b_lies && valid == width
                                  ? lying(s->b, n, k0)
                                  : pack(g, s->b, n, valid, width, k0, kc, pb, tmp);
            for (int64_t m = 0; m < g->m; m += MR) {
                const int rows = (int)min_i(MR, g->m - m);
                const stretch panel = {pa + m / MR * s->panel, rows};
                const stretch a = a_lies ? lying(&g->a, m, k0) : panel;
                multiply(g, rows, steps, a, b, out + m * g->n + n, n, k0 > begin, tmp);
            }
        }
    }
}

static void add_sums(void *arg, int64_t part, int worker)
{
    const job *s = arg;
    const int64_t size = s->g->m * s->g->n, end = min_i(size, (part + 1) * GRAIN);
    (void)worker;
    for (int64_t i = part * GRAIN; i < end; i += VL) {
        const int64_t n = min_i(VL, end - i);
        vf sum = vf_load_n(s->sums + i, n);
        for (int64_t p = 1; p < s->stretches; p++)
            sum = vf_add(sum, vf_load_n(s->sums + p * size + i, n));
        vf_store_n(s->g->c + i, n, sum);
    }
}

wf_status WF_K(gemm_long)(wf_ctx *c, const gemm *g, const gemm_src *b)
{
    const int64_t size = g->m * g->n;
    job s = {.g = g, .b = b, .stretches = div_up(g->k, STRETCH), .chunks = div_up(g->n, COLUMNS)};
    s.panel = MR * min_i(KC, g->k) + PACK_SLACK;
    s.scratch_elems =
        div_up(TMP_ELEMS + div_up(g->m, MR) * s.panel + NR * KC + PACK_SLACK, 16) * 16;
    s.scratch =
        scratch_alloc(c, s.stretches * size + s.scratch_elems * count_workers(c), sizeof *s.sums);
    if (!s.scratch) return WF_ENOMEM;
    s.sums = s.scratch + s.scratch_elems * count_workers(c);
    const double work = (double)size * (double)g->k / 8.0;
    run_parts(c, s.stretches * s.chunks, work, run_stretch, &s);
    run_parts(c, div_up(size, GRAIN), (double)size * (double)s.stretches, add_sums, &s);
    scratch_free(c, s.scratch);
    return WF_OK;
}
