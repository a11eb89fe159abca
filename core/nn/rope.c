/* rope.c - angles of rotary positions. */
#include "core/nn/rope.h"

#include <math.h>

/* Llama 3's: waves longer than the context of training are stretched by factor, short ones stay,
 * those between go over smoothly. */
static float scale_by_wave(float f, const wf_rope_style *s)
{
    const float wave = (float)(2.0 * 3.14159265358979323846) / f;
    if (wave < (float)(s->trained_tokens / s->high_factor)) return f;
    if (wave > (float)(s->trained_tokens / s->low_factor)) return f / (float)s->factor;
    const float smooth = ((float)s->trained_tokens / wave - (float)s->low_factor) /
                         (float)(s->high_factor - s->low_factor);
    return (1.0f - smooth) * f / (float)s->factor + smooth * f;
}

wf_rope_layer wf_rope_declare(wf_builder *b, int64_t head_dim, const wf_rope_style *s)
{
    wf_rope_layer l = {.n = head_dim / 2};
    if (head_dim < 2 || head_dim % 2 != 0 || l.n > WF_ROPE_MAX) {
        wf_fail(b->c, WF_EMODEL, "rope: heads of %lld values, wanted an even width of 2 to %d",
                (long long)head_dim, 2 * WF_ROPE_MAX);
        return (wf_rope_layer){0};
    }
    if (!(s->theta > 1.0 && s->factor > 0.0) ||
        (s->trained_tokens != 0.0 && !(s->low_factor > 0.0 && s->high_factor > s->low_factor)))
        wf_fail(b->c, WF_EMODEL, "rope: theta must be above 1, factors above 0 and in order");
    for (int64_t i = 0; i < l.n; i++) {
        const float power = (float)(2 * i) / (float)head_dim;
        const float f = 1.0f / (float)pow((double)(float)s->theta, (double)power);
        l.frequency[i] = s->trained_tokens != 0.0 ? scale_by_wave(f, s) : f / (float)s->factor;
    }
    return l;
}

wf_tensor *wf_rope_table(wf_ctx *c, const wf_rope_layer *l, int64_t first, int64_t T)
{
    wf_mem *mem = wf_ctx_get_mem(c);
    if (wf_has_failed(c)) return NULL;
    float *v = wf_mem_alloc(mem, (size_t)(T * l->n * 2) * sizeof *v);
    if (!v) return wf_fail(c, WF_ENOMEM, "rope: no memory for %lld positions", (long long)T);
    for (int64_t t = 0; t < T; t++)
        for (int64_t i = 0; i < l->n; i++) {
            const double angle = (double)((float)(first + t) * l->frequency[i]);
            v[2 * (t * l->n + i)] = (float)cos(angle);
            v[2 * (t * l->n + i) + 1] = (float)sin(angle);
        }
    wf_tensor *table = wf_from_host(c, WF_DTYPE_F32, &(wf_shape){3, {T, l->n, 2}}, v);
    wf_mem_free(mem, v);
    return table;
}
