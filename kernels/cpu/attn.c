/* attn.c - loading heads, products of small blocks, and the exponentials of their rows. */
#include "kernels/cpu/attn.h"
#include "kernels/cpu/simd_math.h"

#include <math.h>

/* ---- operands ---- */

bool WF_K(attn_open_rows)(wf_ctx *c, wf_tensor *t, attn_rows *r)
{
    if (!is_plain_float(t)) return false;
    if (wf_stride(t, 3) != 1) t = wf_copy(c, t);
    if (!t) return false;
    const wfi_values v = wfi_open(t);
    const int64_t bytes = (int64_t)float_bytes(v.t);
    *r = (attn_rows){.p = v.p, .t = v.t};
    for (int d = 0; d < 3; d++) r->s[d] = v.strides[d] * bytes;
    return true;
}

static bool open_bias(wf_tensor *bias, attn *h)
{
    if (!bias) return true;
    const wfi_values v = wfi_open(bias);
    h->bias = v.p;
    for (int d = 0; d < 3; d++) h->bias_s[d] = v.dims[d] == 1 ? 0 : v.strides[d];
    return v.t == WF_DTYPE_F32 && (v.strides[3] == 1 || v.dims[3] == 1);
}

bool WF_K(attn_open)(wf_ctx *c, const wf_op_args *a, attn *h)
{
    wf_tensor *q = a->in[0], *k = a->in[1];
    *h = (attn){.B = wf_dim(q, 0), .Tq = wf_dim(q, 1), .N = wf_dim(q, 2), .D = wf_dim(q, 3),
                .Tk = wf_dim(k, 1), .M = wf_dim(k, 2), .causal = a->attr[1] != 0.0};
    h->Dp = whole_vectors(h->D);
    h->scale = (float)(a->attr[0] != 0.0 ? a->attr[0] : 1.0 / sqrt((double)h->D));
    if (h->D > MAX_WIDTH || wf_numel(q) == 0 || h->Tk == 0 || !is_f32(q)) return false;
    return WF_K(attn_open_rows)(c, q, &h->q) && WF_K(attn_open_rows)(c, k, &h->k) &&
           WF_K(attn_open_rows)(c, a->in[2], &h->v) && open_bias(input(a, 3), h);
}

static const char *row_at(const attn_rows *r, int64_t b, int64_t t, int64_t m)
{
    return r->p + b * r->s[0] + t * r->s[1] + m * r->s[2];
}

void WF_K(attn_load)(const attn *h, const attn_rows *r, int64_t b, int64_t t0, int64_t n, int64_t m,
                     float scale, float *dst, int64_t ld)
{
    for (int64_t i = 0; i < n; i++, dst += ld) {
        const void *row = row_at(r, b, t0 + i, m);
        if (r->t == WF_DTYPE_F32)
            for (int64_t d = 0; d < h->D; d += VL)
                vf_store(dst + d, vf_mul(vf_load_n((const float *)row + d, min_i(VL, h->D - d)),
                                         vf_set1(scale)));
        else
            for (int64_t d = 0; d < h->Dp; d++) {
                const uint16_t x = d < h->D ? ((const uint16_t *)row)[d] : 0;
                dst[d] = scale * (r->t == WF_DTYPE_F16 ? _cvtsh_ss(x) : wf_bf16_to_f32(x));
            }
    }
}

void WF_K(attn_panels)(const attn *h, const attn_rows *r, int64_t b, int64_t n, int64_t m,
                       float *dst)
{
    for (int64_t t = 0; t < n; t += NR) {
        const void *row[NR];
        const int count = (int)min_i(NR, n - t);
        for (int i = 0; i < count; i++) row[i] = row_at(r, b, t + i, m);
        WF_K(pack_rows)(row, r->t, count, NR, h->D, dst + t * h->D);
    }
}

/* ---- products ---- */

WF_INLINE void block_body(int mr, int nv, int64_t kc, const float *a, const float *b, int64_t bs,
                          float *c, bool add)
{
    vf s[MR][2];
    WF_UNROLL(16)
    for (int i = 0; i < mr; i++) {
        WF_UNROLL(2)
        for (int v = 0; v < nv; v++) s[i][v] = add ? vf_load(c + i * LD + v * VL) : vf_zero();
    }
    for (int64_t k = 0; k < kc; k++, b += bs) {
        vf x[2];
        WF_UNROLL(2)
        for (int v = 0; v < nv; v++) x[v] = vf_load(b + v * VL);
        WF_UNROLL(16)
        for (int i = 0; i < mr; i++) {
            const vf y = vf_set1(a[i * LD + k]);
            WF_UNROLL(2)
            for (int v = 0; v < nv; v++) s[i][v] = vf_fma(y, x[v], s[i][v]);
        }
    }
    WF_UNROLL(16)
    for (int i = 0; i < mr; i++) {
        WF_UNROLL(2)
        for (int v = 0; v < nv; v++) vf_store(c + i * LD + v * VL, s[i][v]);
    }
}

#if defined(WF_LEVEL_avx2)
#define EACH_BLOCK(X, V) X(V, 1) X(V, 2) X(V, 3) X(V, 4) X(V, 5) X(V, 6)
#else
#define EACH_BLOCK(X, V)                                                                 \
    X(V, 1) X(V, 2) X(V, 3) X(V, 4) X(V, 5) X(V, 6) X(V, 7)                              \
    X(V, 8) X(V, 9) X(V, 10) X(V, 11) X(V, 12) X(V, 13) X(V, 14)
#endif

typedef void (*block_fn)(int64_t kc, const float *a, const float *b, int64_t bs, float *c,
                         bool add);

#define DEFINE_BLOCK(V, M)                                                               \
    static void block_##V##_##M(int64_t kc, const float *a, const float *b, int64_t bs,  \
                                float *c, bool add)                                      \
    {                                                                                    \
        block_body(M, V, kc, a, b, bs, c, add);                                          \
    }
EACH_BLOCK(DEFINE_BLOCK, 1)
EACH_BLOCK(DEFINE_BLOCK, 2)

#define ROW_OF_BLOCKS(V, M) [M] = block_##V##_##M,
static const block_fn blocks[2][MR + 1] = {{EACH_BLOCK(ROW_OF_BLOCKS, 1)},
                                           {EACH_BLOCK(ROW_OF_BLOCKS, 2)}};

void WF_K(attn_product)(int64_t rows, int64_t kc, const float *a, const float *b, int64_t bs,
                        int64_t step, int64_t n, float *c, bool add)
{
    const int64_t mr = div_up(rows, div_up(rows, MR));
    for (int64_t j = 0; j < n; j += NR, b += step) {
        const block_fn *of = blocks[n - j > VL];
        for (int64_t i = 0; i < rows; i += mr)
            of[min_i(mr, rows - i)](kc, a + i * LD, b, bs, c + i * LD + j, add);
    }
}

/* ---- rows of scores ---- */

float WF_K(attn_mask)(float *s, const float *bias, int64_t n)
{
    vf top = vf_set1(-INFINITY);
    for (int64_t j = 0; bias && j < n; j += VL)
        vf_store(s + j, vf_add(vf_load(s + j), vf_load_n(bias + j, min_i(VL, n - j))));
    vf_store(s + n, vf_set1(-INFINITY));
    for (int64_t j = 0; j < n; j += VL) top = vf_max(vf_load(s + j), top);
    return vf_hmax(top);
}

float WF_K(attn_exp)(float *s, int64_t n, float top)
{
    const vf base = vf_set1(top == -INFINITY ? 0.0f : top);
    vf sum = vf_zero();
    for (int64_t j = 0; j < n; j += VL) {
        const vf e = vf_exp(vf_sub(vf_load(s + j), base));
        vf_store(s + j, e);
        sum = vf_add(sum, e);
    }
    return vf_hsum(sum);
}
