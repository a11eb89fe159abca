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

static void multiply(const gemm *g, int rows, int64_t kc, const float *a, const float *b,
                     float *out, int64_t n, bool add, float *tmp)
{
    const int width = gemm_width(g->n, n);
    const int64_t valid = min_i(width, g->n - n);
    const gemm_tile_fn tile = WF_K(tile)(g->b.t, rows, width / VL);
    if (valid == width) {
        tile(kc, a, rows, b, width, out, g->n, add);
        return;
    }
    for (int i = 0; add && i < rows; i++)
        memcpy(tmp + i * NR, out + i * g->n, (size_t)valid * sizeof *tmp);
    tile(kc, a, rows, b, width, tmp, NR, add);
    for (int i = 0; i < rows; i++)
        memcpy(out + i * g->n, tmp + i * NR, (size_t)valid * sizeof *tmp);
}

/* A panel of either operand, by way of tmp where it becomes pairs. */
static void pack_panel(const gemm *g, const gemm_src *s, int64_t i0, int n, int width, int64_t k0,
                       int64_t kc, float *dst, float *tmp)
{
    WF_K(pack)(s, 0, i0, n, width, k0, kc, g->b.t == PAIRS ? tmp : dst);
    if (g->b.t == PAIRS) WF_K(pair)(tmp, width, kc, dst);
}

static void run_stretch(void *arg, int64_t part, int worker)
{
    const job *s = arg;
    const gemm *g = s->g;
    const int64_t stretch = part / s->chunks, n0 = part % s->chunks * COLUMNS,
                  n1 = min_i(g->n, n0 + COLUMNS);
    float *tmp = s->scratch + worker * s->scratch_elems, *pa = tmp + TMP_ELEMS;
    float *pb = pa + div_up(g->m, MR) * s->panel, *out = s->sums + stretch * g->m * g->n;
    const int64_t begin = stretch * STRETCH, end = min_i(g->k, begin + STRETCH);
    for (int64_t k0 = begin; k0 < end; k0 += KC) {
        const int64_t kc = min_i(KC, end - k0), steps = panel_steps(g->b.t, kc);
        for (int64_t m = 0; m < g->m; m += MR) {
            const int rows = (int)min_i(MR, g->m - m);
            pack_panel(g, &g->a, m, rows, rows, k0, kc, pa + m / MR * s->panel, tmp);
        }
        for (int64_t n = n0; n < n1; n += NR) {
            const int width = gemm_width(g->n, n);
            pack_panel(g, s->b, n, (int)min_i(width, g->n - n), width, k0, kc, pb, tmp);
            for (int64_t m = 0; m < g->m; m += MR)
                multiply(g, (int)min_i(MR, g->m - m), steps, pa + m / MR * s->panel, pb,
                         out + m * g->n + n, n, k0 > begin, tmp);
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
