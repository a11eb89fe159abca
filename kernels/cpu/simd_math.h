/* simd_math.h - exp, tanh, erf and the activations made of them, on vectors.
 *
 * Errors against double, found by trying every 97th float (tests/unit/kernels.c holds them to it):
 *   vf_exp      2 ulp; 0 below -103.97, inf above 88.72
 *   vf_tanh     3 ulp
 *   vf_erf      3 ulp
 *   vf_sigmoid  4 ulp (by exp and one division)
 * NaN gives NaN everywhere.
 */
#ifndef WF_KERNELS_CPU_SIMD_MATH_H
#define WF_KERNELS_CPU_SIMD_MATH_H

#include "kernels/cpu/simd.h"

/* Cephes' expf: x = n ln2 + r, a polynomial in r of -ln2/2 ... ln2/2. */
WF_INLINE vf vf_exp(vf x)
{
    x = vf_min(vf_set1(89.0f), vf_max(vf_set1(-110.0f), x));
    const vf n = vf_round(vf_mul(x, vf_set1(1.44269504f)));
    vf r = vf_fnma(n, vf_set1(0.693359375f), x);
    r = vf_fnma(n, vf_set1(-2.12194440e-4f), r);
    vf p = vf_set1(1.9875691500e-4f);
    p = vf_fma(p, r, vf_set1(1.3981999507e-3f));
    p = vf_fma(p, r, vf_set1(8.3334519073e-3f));
    p = vf_fma(p, r, vf_set1(4.1665795894e-2f));
    p = vf_fma(p, r, vf_set1(1.6666665459e-1f));
    p = vf_fma(p, r, vf_set1(5.0000001201e-1f));
    p = vf_add(vf_fma(p, vf_mul(r, r), r), vf_set1(1.0f));
    return vf_scale2(p, n);
}

WF_INLINE vf vf_sigmoid(vf x)
{
    return vf_div(vf_set1(1.0f), vf_add(vf_set1(1.0f), vf_exp(vf_neg(x))));
}

/* Cephes' tanhf: an odd polynomial near 0, 1 - 2 / (exp(2x) + 1) beyond. */
WF_INLINE vf vf_tanh(vf x)
{
    const vf a = vf_abs(x), z = vf_mul(x, x);
    vf p = vf_set1(-5.70498872745e-3f);
    p = vf_fma(p, z, vf_set1(2.06390887954e-2f));
    p = vf_fma(p, z, vf_set1(-5.37397155531e-2f));
    p = vf_fma(p, z, vf_set1(1.33314422036e-1f));
    p = vf_fma(p, z, vf_set1(-3.33332819422e-1f));
    p = vf_fma(vf_mul(p, z), x, x);
    const vf e = vf_exp(vf_add(a, a));
    const vf far = vf_sub(vf_set1(1.0f), vf_div(vf_set1(2.0f), vf_add(e, vf_set1(1.0f))));
    return vf_select(vf_lt(a, vf_set1(0.625f)), p, vf_copysign(far, x));
}

/* N. Juffa's erff: x + x P(x^2) below 0.9277, 1 - exp(Q(|x|)) beyond. */
WF_INLINE vf vf_erf(vf x)
{
    const vf t = vf_min(vf_set1(4.0f), vf_abs(x)), s = vf_mul(t, t);
    vf p = vf_fma(vf_set1(-1.72853470e-5f), t, vf_set1(3.83197126e-4f));
    const vf u = vf_fma(vf_set1(-3.88396438e-3f), t, vf_set1(2.42546219e-2f));
    p = vf_fma(p, s, u);
    p = vf_fma(p, t, vf_set1(-1.06777877e-1f));
    p = vf_fma(p, t, vf_set1(-6.34846687e-1f));
    p = vf_fma(p, t, vf_set1(-1.28717512e-1f));
    p = vf_fma(p, t, vf_neg(t));
    const vf far = vf_copysign(vf_sub(vf_set1(1.0f), vf_exp(p)), x);
    vf q = vf_set1(-5.96761703e-4f);
    q = vf_fma(q, s, vf_set1(4.99119423e-3f));
    q = vf_fma(q, s, vf_set1(-2.67681349e-2f));
    q = vf_fma(q, s, vf_set1(1.12819925e-1f));
    q = vf_fma(q, s, vf_set1(-3.76125336e-1f));
    q = vf_fma(q, s, vf_set1(1.28379166e-1f));
    return vf_select(vf_lt(t, vf_set1(0.927734375f)), vf_fma(q, x, x), far);
}

/* ---- activations and their slopes ---- */

WF_INLINE vf vf_silu(vf x) { return vf_div(x, vf_add(vf_set1(1.0f), vf_exp(vf_neg(x)))); }

WF_INLINE vf vf_silu_slope(vf x)      /* s (1 + x (1 - s)) */
{
    const vf s = vf_sigmoid(x), one = vf_set1(1.0f);
    return vf_mul(s, vf_fma(x, vf_sub(one, s), one));
}

WF_INLINE vf vf_gelu(vf x)
{
    const vf h = vf_mul(x, vf_set1(0.5f));
    return vf_fma(h, vf_erf(vf_mul(x, vf_set1(0.70710678f))), h);
}

WF_INLINE vf vf_gelu_slope(vf x)      /* the normal's cumulative + x times its density */
{
    const vf cdf = vf_fma(vf_set1(0.5f), vf_erf(vf_mul(x, vf_set1(0.70710678f))), vf_set1(0.5f));
    const vf e = vf_exp(vf_mul(vf_mul(x, x), vf_set1(-0.5f)));
    return vf_fma(vf_mul(x, vf_set1(0.39894228f)), e, cdf);
}

WF_INLINE vf vf_gelu_tanh(vf x)
{
    const vf z =
        vf_mul(vf_fma(vf_mul(vf_set1(0.044715f), x), vf_mul(x, x), x), vf_set1(0.79788456f));
    const vf h = vf_mul(x, vf_set1(0.5f));
    return vf_fma(h, vf_tanh(z), h);
}

WF_INLINE vf vf_gelu_tanh_slope(vf x)
{
    const vf xx = vf_mul(x, x), one = vf_set1(1.0f);
    const vf z = vf_mul(vf_fma(vf_mul(vf_set1(0.044715f), x), xx, x), vf_set1(0.79788456f));
    const vf t = vf_tanh(z), dz = vf_fma(vf_set1(0.10703222f), xx, vf_set1(0.79788456f));
    const vf rise = vf_mul(vf_mul(vf_mul(vf_set1(0.5f), x), vf_fnma(t, t, one)), dz);
    return vf_fma(vf_set1(0.5f), vf_add(one, t), rise);
}

WF_INLINE vf vf_gelu_quick(vf x)
{
    return vf_div(x, vf_add(vf_set1(1.0f), vf_exp(vf_mul(x, vf_set1(-1.702f)))));
}

WF_INLINE vf vf_gelu_quick_slope(vf x)
{
    const vf s = vf_sigmoid(vf_mul(x, vf_set1(1.702f))), one = vf_set1(1.0f);
    return vf_mul(s, vf_fma(vf_mul(x, vf_set1(1.702f)), vf_sub(one, s), one));
}

/* NaN stays NaN: vf_max keeps its second operand. */
WF_INLINE vf vf_relu(vf x) { return vf_max(vf_zero(), x); }

#endif
