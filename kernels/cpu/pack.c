/*
 * pack.c - operands into panels: element k of all rows (or columns) of a panel side by side.
 *
 * Rows that lie side by side in k are transposed eight by eight; columns are copied.
 */
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/kern.h"

#include <string.h>

/* Eight values at p[k], or zeros without p. */
WF_INLINE __m256 load8(const void *p, int64_t k, wf_dtype t)
{
    if (!p) return _mm256_setzero_ps();
    if (t == WF_DTYPE_F32) return _mm256_loadu_ps((const float *)p + k);
    const __m128i h = _mm_loadu_si128((const void *)((const uint16_t *)p + k));
    if (t == WF_DTYPE_F16) return _mm256_cvtph_ps(h);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
}

WF_INLINE float load1(const void *p, int64_t k, wf_dtype t)
{
    if (!p) return 0.0f;
    if (t == WF_DTYPE_F32) return ((const float *)p)[k];
    if (t == WF_DTYPE_F16) return _cvtsh_ss(((const uint16_t *)p)[k]);
    return wf_bf16_to_f32(((const uint16_t *)p)[k]);
}

WF_INLINE void transpose8(__m256 *r)
{
    const __m256 a0 = _mm256_unpacklo_ps(r[0], r[1]), a1 = _mm256_unpackhi_ps(r[0], r[1]);
    const __m256 a2 = _mm256_unpacklo_ps(r[2], r[3]), a3 = _mm256_unpackhi_ps(r[2], r[3]);
    const __m256 a4 = _mm256_unpacklo_ps(r[4], r[5]), a5 = _mm256_unpackhi_ps(r[4], r[5]);
    const __m256 a6 = _mm256_unpacklo_ps(r[6], r[7]), a7 = _mm256_unpackhi_ps(r[6], r[7]);
    const __m256 b0 = _mm256_shuffle_ps(a0, a2, 0x44), b1 = _mm256_shuffle_ps(a0, a2, 0xee);
    const __m256 b2 = _mm256_shuffle_ps(a1, a3, 0x44), b3 = _mm256_shuffle_ps(a1, a3, 0xee);
    const __m256 b4 = _mm256_shuffle_ps(a4, a6, 0x44), b5 = _mm256_shuffle_ps(a4, a6, 0xee);
    const __m256 b6 = _mm256_shuffle_ps(a5, a7, 0x44), b7 = _mm256_shuffle_ps(a5, a7, 0xee);
    r[0] = _mm256_permute2f128_ps(b0, b4, 0x20), r[4] = _mm256_permute2f128_ps(b0, b4, 0x31);
    r[1] = _mm256_permute2f128_ps(b1, b5, 0x20), r[5] = _mm256_permute2f128_ps(b1, b5, 0x31);
    r[2] = _mm256_permute2f128_ps(b2, b6, 0x20), r[6] = _mm256_permute2f128_ps(b2, b6, 0x31);
    r[3] = _mm256_permute2f128_ps(b3, b7, 0x20), r[7] = _mm256_permute2f128_ps(b3, b7, 0x31);
}

/* Groups of eight rows are stored from the last to the first, k rising: what a group of fewer than
 * eight writes too much lies where a later store comes. */
WF_INLINE void rows_of(const void *const *row, wf_dtype t, int n, int width, int64_t kc, float *dst)
{
    int64_t k = 0;
    for (; k + 8 <= kc; k += 8) {
        for (int g = (width - 1) / 8 * 8; g >= 0; g -= 8) {
            __m256 r[8];
            for (int i = 0; i < 8; i++) r[i] = load8(g + i < n ? row[g + i] : NULL, k, t);
            transpose8(r);
            for (int i = 0; i < 8; i++) _mm256_storeu_ps(dst + (k + i) * width + g, r[i]);
        }
    }
    for (; k < kc; k++)
        for (int i = 0; i < width; i++) dst[k * width + i] = i < n ? load1(row[i], k, t) : 0.0f;
}

void WF_K(pack_rows)(const void *const *row, wf_dtype t, int n, int width, int64_t kc, float *dst)
{
    if (width == 1 && t == WF_DTYPE_F32) {
        if (n == 1 && row[0]) memcpy(dst, row[0], (size_t)kc * sizeof *dst);
        else memset(dst, 0, (size_t)kc * sizeof *dst);
        return;
    }
    switch (t) {
    case WF_DTYPE_F32: rows_of(row, WF_DTYPE_F32, n, width, kc, dst); break;
    case WF_DTYPE_F16: rows_of(row, WF_DTYPE_F16, n, width, kc, dst); break;
    default: rows_of(row, WF_DTYPE_BF16, n, width, kc, dst); break;
    }
}

/* Whole vectors but at the last k: what is read too much is there, what is written too much the
 * next k writes over. */
static void pack_cols_f32(const float *src, int64_t col, int n, int width, int64_t kc, float *dst)
{
    int64_t k = 0;
    for (; n == width && col >= VL && k + 1 < kc; k++, src += col, dst += width)
        for (int i = 0; i < n; i += VL) vf_store(dst + i, vf_load(src + i));
    for (; k < kc; k++, src += col, dst += width) {
        int i = 0;
        for (; i + VL <= n; i += VL) vf_store(dst + i, vf_load(src + i));
        if (i < n) vf_store_n(dst + i, n - i, vf_load_n(src + i, n - i));
        for (i = n; i < width; i++) dst[i] = 0.0f;
    }
}

bool WF_K(is_columns)(const gemm_src *a, wf_dtype panels)
{
    return !a->pack && a->t == WF_DTYPE_F32 && a->row == 1 && a->col >= VL && panels != PAIRS;
}

void WF_K(pack_columns)(const gemm_src *a, int64_t matrix, int64_t m0, int64_t m, int64_t mr,
                        int64_t k0, int64_t kc, float *dst, int64_t step)
{
    const float *p = (const float *)a->p + matrix * a->size + m0 + k0 * a->col;
    for (int64_t k = 0; k < kc; k++, p += a->col)
        for (int64_t i = 0; i * mr < m; i++) {
            const int64_t rows = min_i(mr, m - i * mr);
            float *to = dst + i * step + k * rows;
            for (int64_t r = 0; r < rows; r += VL) {
                const int64_t n = min_i(VL, rows - r);
                if (k + 1 < kc) vf_store(to + r, vf_load(p + i * mr + r));
                else vf_store_n(to + r, n, vf_load_n(p + i * mr + r, n));
            }
        }
}

static void pack_strided(const gemm_src *s, const char *p, int n, int width, int64_t kc, float *dst)
{
    const int64_t bytes = (int64_t)float_bytes(s->t);
    for (int64_t k = 0; k < kc; k++)
        for (int i = 0; i < width; i++)
            dst[k * width + i] =
                i < n ? load1(p + (i * s->row + k * s->col) * bytes, 0, s->t) : 0.0f;
}

void WF_K(pack)(const gemm_src *s, int64_t matrix, int64_t i0, int n, int width, int64_t k0,
                int64_t kc, float *dst)
{
    if (s->pack) {
        s->pack(s, matrix, i0, n, width, k0, kc, dst);
        return;
    }
    const int64_t bytes = (int64_t)float_bytes(s->t);
    const char *p = (const char *)s->p + (matrix * s->size + i0 * s->row + k0 * s->col) * bytes;
    if (s->col == 1) {
        const void *row[NR];
        for (int i = 0; i < n; i++) row[i] = p + i * s->row * bytes;
        WF_K(pack_rows)(row, s->t, n, width, kc, dst);
    } else if (s->row == 1 && s->t == WF_DTYPE_F32) {
        pack_cols_f32((const float *)(const void *)p, s->col, n, width, kc, dst);
    } else {
        pack_strided(s, p, n, width, kc, dst);
    }
}

/* ---- B's panels ---- */

int64_t WF_K(panels_elems)(int64_t n, int64_t k, wf_dtype t)
{
    return div_up(n, VL) * VL * panel_steps(t, k);
}

#if defined(WF_LEVEL_avx512bf16)

WF_INLINE __m512i to_bf16(vf x) { return _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(x)); }

/* Stored whole vector by whole vector, k rising: what one writes too much, the next puts right. */
void WF_K(pair)(const float *src, int64_t width, int64_t n_k, float *dst)
{
    for (int64_t k = 0; k < n_k; k += 2)
        for (int64_t i = 0; i < width; i += VL) {
            const float *p = src + k * width + i;
            const __m512i hi = k + 1 < n_k ? to_bf16(vf_load(p + width)) : _mm512_setzero_si512();
            const __m512i both = _mm512_or_si512(to_bf16(vf_load(p)), _mm512_slli_epi32(hi, 16));
            _mm512_storeu_si512(dst + k / 2 * width + i, both);
        }
}

#else

void WF_K(pair)(const float *src, int64_t width, int64_t n_k, float *dst)
{
    (void)src, (void)width, (void)n_k, (void)dst;      /* no level but avx512bf16 makes pairs */
}

#endif

typedef struct packing {
    const gemm_src *b;
    int64_t n, k, panels, size;
    wf_dtype t;
    char *dst;
    float *tmp; /* a panel for each worker, where dst is narrower than f32 */
} packing;

static void narrow(wf_dtype t, const float *src, int64_t n, uint16_t *dst)
{
    if (t == WF_DTYPE_F16)
        for (int64_t i = 0; i < n; i += VL) vf_to_f16(dst + i, vf_load(src + i));
    else
        for (int64_t i = 0; i < n; i++) dst[i] = wf_f32_to_bf16(src[i]);
}

static void pack_part(void *arg, int64_t part, int worker)
{
    const packing *p = arg;
    const int64_t matrix = part / p->panels, n0 = part % p->panels * NR;
    const int width = gemm_width(p->n, n0);
    char *dst = p->dst + (matrix * p->size + n0 * panel_steps(p->t, p->k)) * panel_bytes(p->t);
    float *out = p->tmp ? p->tmp + (int64_t)worker * NR * KC : NULL;
    for (int64_t k0 = 0; k0 < p->k; k0 += KC) {
        const int64_t kc = min_i(KC, p->k - k0);
        char *at = dst + panel_steps(p->t, k0) * width * panel_bytes(p->t);
        float *f = out ? out : (float *)(void *)at;
        WF_K(pack)(p->b, matrix, n0, (int)min_i(width, p->n - n0), width, k0, kc, f);
        if (p->t == PAIRS) WF_K(pair)(out, width, kc, (float *)(void *)at);
        else if (out) narrow(p->t, out, kc * width, (uint16_t *)(void *)at);
    }
}

void WF_K(pack_panels)(wf_ctx *c, const gemm_src *b, int64_t n_matrices, int64_t n, int64_t k,
                       wf_dtype t, void *dst)
{
    packing p = {.b = b,
                 .n = n,
                 .k = k,
                 .panels = div_up(n, NR),
                 .size = WF_K(panels_elems)(n, k, t),
                 .t = t,
                 .dst = dst};
    if (t != WF_DTYPE_F32) {
        p.tmp = scratch_alloc(c, (int64_t)count_workers(c) * NR * KC + PACK_SLACK, sizeof *p.tmp);
        if (!p.tmp) {
            wf_fail(c, WF_ENOMEM, "no memory to pack weights");
            return;
        }
    }
    run_parts(c, n_matrices * p.panels, (double)n_matrices * (double)n * (double)k, pack_part, &p);
    scratch_free(c, p.tmp);
}

/* What stands before kept panels: which view of the storage they were made of. */
typedef struct prep_head {
    const void *data;
    int64_t n, k;
    wf_dtype t;
} prep_head;

const void *WF_K(weight_panels)(wf_ctx *c, wf_tensor *w, int tag, const gemm_src *b, int64_t n,
                                int64_t k, wf_dtype t, void **scratch)
{
    const prep_head want = {.data = wf_data(w), .n = n, .k = k, .t = t};
    const int own_tag = tag << 24 ^ (int)((uintptr_t)want.data >> 4 & 0xffffff);
    char *kept = wf_prep_find(w, own_tag);
    *scratch = NULL;
    if (kept) {
        const prep_head *h = (const void *)kept;
        if (h->data == want.data && h->n == n && h->k == k && h->t == t) return kept + 64;
    }
    char *p = scratch_alloc(c, WF_K(panels_elems)(n, k, t) * panel_bytes(t) + 64, 1);
    if (!p) return NULL;
    memcpy(p, &want, sizeof want);
    WF_K(pack_panels)(c, b, 1, n, k, t, p + 64);
    if (kept || !wf_prep_is_constant(w) || !wf_prep_keep(w, own_tag, p)) *scratch = p;
    return p + 64;
}
