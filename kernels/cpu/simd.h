/* simd.h - vectors of floats for kernels: vf holds VL floats, vm is a mask of VL lanes.
 *
 * A kernel file is compiled once a level with -DWF_LEVEL=<level> and -DWF_LEVEL_<level>; WF_K gives
 * its symbols that level's suffix. Every operation is exactly one IEEE operation (vf_fma rounds
 * once), so a value does not depend on the lane or the position that computes it.
 */
#ifndef WF_KERNELS_CPU_SIMD_H
#define WF_KERNELS_CPU_SIMD_H

#include <immintrin.h>
#include <stdint.h>

#define WF_K_JOIN2(name, level) wfk_##name##_##level
#define WF_K_JOIN(name, level) WF_K_JOIN2(name, level)
#define WF_K(name) WF_K_JOIN(name, WF_LEVEL)

/* Bodies that must be specialised by their constant arguments. */
#define WF_INLINE static inline __attribute__((always_inline))

/* The loop that follows, of n turns at most, becomes straight code with its arrays in registers. */
#if defined(__clang__)
#define WF_UNROLL(n) _Pragma("clang loop unroll(full)")
#else
#define WF_PRAGMA(text) _Pragma(#text)
#define WF_UNROLL(n) WF_PRAGMA(GCC unroll n)
#endif

/* What amx has beside tiles. */
#if defined(WF_LEVEL_amx)
#define WF_LEVEL_avx512bf16
#endif

#if defined(WF_LEVEL_avx2)

enum { VL = 8 };
typedef __m256 vf;
typedef __m256 vm;

WF_INLINE vf vf_set1(float x) { return _mm256_set1_ps(x); }
WF_INLINE vf vf_zero(void) { return _mm256_setzero_ps(); }
WF_INLINE vf vf_load(const float *p) { return _mm256_loadu_ps(p); }
WF_INLINE void vf_store(float *p, vf x) { _mm256_storeu_ps(p, x); }
WF_INLINE vf vf_add(vf a, vf b) { return _mm256_add_ps(a, b); }
WF_INLINE vf vf_sub(vf a, vf b) { return _mm256_sub_ps(a, b); }
WF_INLINE vf vf_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
WF_INLINE vf vf_div(vf a, vf b) { return _mm256_div_ps(a, b); }
WF_INLINE vf vf_sqrt(vf a) { return _mm256_sqrt_ps(a); }
WF_INLINE vf vf_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }     /* a b + c */
WF_INLINE vf vf_fnma(vf a, vf b, vf c) { return _mm256_fnmadd_ps(a, b, c); }   /* c - a b */
WF_INLINE vf vf_max(vf a, vf b) { return _mm256_max_ps(a, b); } /* b where either is NaN */
WF_INLINE vf vf_min(vf a, vf b) { return _mm256_min_ps(a, b); }
WF_INLINE vf vf_round(vf a)
{
    return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
WF_INLINE vf vf_floor(vf a) { return _mm256_floor_ps(a); }
WF_INLINE vf vf_and(vf a, vf b) { return _mm256_and_ps(a, b); }
WF_INLINE vf vf_or(vf a, vf b) { return _mm256_or_ps(a, b); }
WF_INLINE vf vf_andnot(vf a, vf b) { return _mm256_andnot_ps(a, b); } /* b without a's bits */
WF_INLINE vm vf_lt(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
WF_INLINE vm vf_is_nan(vf a) { return _mm256_cmp_ps(a, a, _CMP_UNORD_Q); }
WF_INLINE vf vf_select(vm m, vf yes, vf no) { return _mm256_blendv_ps(no, yes, m); }

/* 2^n for whole n of -126 ... 127 */
WF_INLINE vf vf_pow2(vf n)
{
    return _mm256_castsi256_ps(
        _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23));
}

/* x 2^n for whole n of -250 ... 250, rounding once into the subnormals */
WF_INLINE vf vf_scale2(vf x, vf n)
{
    const vf h = vf_floor(vf_mul(n, vf_set1(0.5f)));
    return vf_mul(vf_mul(x, vf_pow2(h)), vf_pow2(vf_sub(n, h)));
}

WF_INLINE __m256i vf_lanes(int64_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
WF_INLINE vf vf_load_n(const float *p, int64_t n)
{
    return _mm256_maskload_ps(p, vf_lanes(n));
} /* rest 0 */
WF_INLINE void vf_store_n(float *p, int64_t n, vf x) { _mm256_maskstore_ps(p, vf_lanes(n), x); }
WF_INLINE vf vf_iota(void) { return _mm256_setr_ps(0, 1, 2, 3, 4, 5, 6, 7); }

WF_INLINE vf vf_from_f16(const uint16_t *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const void *)p));
}
WF_INLINE vf vf_from_bf16(const uint16_t *p)
{
    return _mm256_castsi256_ps(
        _mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)p)), 16));
}
WF_INLINE void vf_to_f16(uint16_t *p, vf x)
{
    _mm_storeu_si128((void *)p, _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}

WF_INLINE float vf_hsum(vf x)
{
    __m128 a = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    a = _mm_add_ps(a, _mm_movehl_ps(a, a));
    return _mm_cvtss_f32(_mm_add_ss(a, _mm_shuffle_ps(a, a, 1)));
}
WF_INLINE float vf_hmax(vf x)
{
    __m128 a = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    a = _mm_max_ps(a, _mm_movehl_ps(a, a));
    return _mm_cvtss_f32(_mm_max_ss(a, _mm_shuffle_ps(a, a, 1)));
}

#else /* avx512, avx512bf16 */

enum { VL = 16 };
typedef __m512 vf;
typedef __mmask16 vm;

WF_INLINE vf vf_set1(float x) { return _mm512_set1_ps(x); }
WF_INLINE vf vf_zero(void) { return _mm512_setzero_ps(); }
WF_INLINE vf vf_load(const float *p) { return _mm512_loadu_ps(p); }
WF_INLINE void vf_store(float *p, vf x) { _mm512_storeu_ps(p, x); }
WF_INLINE vf vf_add(vf a, vf b) { return _mm512_add_ps(a, b); }
WF_INLINE vf vf_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
WF_INLINE vf vf_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
WF_INLINE vf vf_div(vf a, vf b) { return _mm512_div_ps(a, b); }
WF_INLINE vf vf_sqrt(vf a) { return _mm512_sqrt_ps(a); }
WF_INLINE vf vf_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }     /* a b + c */
WF_INLINE vf vf_fnma(vf a, vf b, vf c) { return _mm512_fnmadd_ps(a, b, c); }   /* c - a b */
WF_INLINE vf vf_max(vf a, vf b) { return _mm512_max_ps(a, b); } /* b where either is NaN */
WF_INLINE vf vf_min(vf a, vf b) { return _mm512_min_ps(a, b); }
WF_INLINE vf vf_round(vf a) { return _mm512_roundscale_ps(a, 0); }
WF_INLINE vf vf_floor(vf a) { return _mm512_roundscale_ps(a, 1); }
WF_INLINE vf vf_and(vf a, vf b) { return _mm512_and_ps(a, b); }
WF_INLINE vf vf_or(vf a, vf b) { return _mm512_or_ps(a, b); }
WF_INLINE vf vf_andnot(vf a, vf b) { return _mm512_andnot_ps(a, b); } /* b without a's bits */
WF_INLINE vm vf_lt(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
WF_INLINE vm vf_is_nan(vf a) { return _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q); }
WF_INLINE vf vf_select(vm m, vf yes, vf no) { return _mm512_mask_blend_ps(m, no, yes); }
WF_INLINE vf vf_scale2(vf x, vf n) { return _mm512_scalef_ps(x, n); } /* x 2^n for whole n */
WF_INLINE __mmask16 vf_lanes(int64_t n) { return (__mmask16)((1u << n) - 1u); }
WF_INLINE vf vf_load_n(const float *p, int64_t n)
{
    return _mm512_maskz_loadu_ps(vf_lanes(n), p);
} /* rest 0 */
WF_INLINE void vf_store_n(float *p, int64_t n, vf x) { _mm512_mask_storeu_ps(p, vf_lanes(n), x); }
WF_INLINE vf vf_iota(void)
{
    return _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}

WF_INLINE vf vf_from_f16(const uint16_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const void *)p));
}
WF_INLINE vf vf_from_bf16(const uint16_t *p)
{
    return _mm512_castsi512_ps(
        _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)p)), 16));
}
WF_INLINE void vf_to_f16(uint16_t *p, vf x)
{
    _mm256_storeu_si256((void *)p, _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}
WF_INLINE float vf_hsum(vf x) { return _mm512_reduce_add_ps(x); }
WF_INLINE float vf_hmax(vf x) { return _mm512_reduce_max_ps(x); }

#endif

WF_INLINE vf vf_neg(vf x) { return vf_sub(vf_set1(-0.0f), x); }
WF_INLINE vf vf_abs(vf x) { return vf_andnot(vf_set1(-0.0f), x); }
WF_INLINE vf vf_copysign(vf x, vf sign) { return vf_or(vf_and(vf_set1(-0.0f), sign), vf_abs(x)); }

#endif
