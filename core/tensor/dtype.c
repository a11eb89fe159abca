/* dtype.c - dtypes and shapes: names, sizes, conversions of half floats, broadcasting. */
#include "core/tensor/tensor.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *text;
    size_t bytes;
    int64_t elems;
} DTYPES[] = {
#define WF_X(name, text, bytes, block) {text, bytes, block},
    WF_DTYPE_MAP(WF_X)
#undef WF_X
};

const char *wf_dtype_text(wf_dtype t)
{
    return (unsigned)t < WF_DTYPE_COUNT ? DTYPES[t].text : "?";
}
size_t wf_dtype_block_bytes(wf_dtype t) { return DTYPES[t].bytes; }
int64_t wf_dtype_block_elems(wf_dtype t) { return DTYPES[t].elems; }

bool wf_dtype_is_float(wf_dtype t)
{
    return t == WF_DTYPE_F32 || t == WF_DTYPE_F64 || t == WF_DTYPE_F16 || t == WF_DTYPE_BF16;
}

bool wf_dtype_find(const char *text, wf_dtype *out)
{
    for (int i = 0; i < WF_DTYPE_COUNT; i++) {
        if (strcmp(DTYPES[i].text, text) != 0) continue;
        *out = (wf_dtype)i;
        return true;
    }
    return false;
}

static float float_of(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static uint32_t bits_of(float f)
{
    uint32_t b;
    memcpy(&b, &f, sizeof b);
    return b;
}

float wf_f16_to_f32(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000u) << 16, e = (h >> 10) & 31u, m = h & 0x3ffu;
    if (e == 31) return float_of(sign | 0x7f800000u | (m << 13));
    if (e == 0) {                                   /* zero or subnormal: m * 2^-24 */
        const float v = (float)m * 0x1p-24f;
        return sign ? -v : v;
    }
    return float_of(sign | ((e + 112u) << 23) | (m << 13));
}

/* Drop shift bits of v, rounding to nearest even. */
static uint32_t round_shift(uint32_t v, uint32_t shift)
{
    const uint32_t half = 1u << (shift - 1), rest = v & ((1u << shift) - 1u), q = v >> shift;
    return q + (rest > half || (rest == half && (q & 1u)));
}

uint16_t wf_f32_to_f16(float f)
{
    const uint32_t b = bits_of(f), sign = (b >> 16) & 0x8000u, a = b & 0x7fffffffu;
    if (a >= 0x7f800000u) return (uint16_t)(sign | 0x7c00u | (a > 0x7f800000u ? 0x200u : 0u));
    if (a >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u);          /* 65520 and more: infinite */
    if (a < 0x33000000u) return (uint16_t)sign; /* below half of 2^-24: zero */
    const int32_t e = (int32_t)(a >> 23) - 112;
    const uint32_t m = (a & 0x7fffffu) | 0x800000u;
    if (e <= 0) return (uint16_t)(sign | round_shift(m, (uint32_t)(14 - e)));
    return (uint16_t)(sign | (((uint32_t)e << 10) + round_shift(m, 13) - 0x400u));
}

float wf_bf16_to_f32(uint16_t h) { return float_of((uint32_t)h << 16); }

uint16_t wf_f32_to_bf16(float f)
{
    const uint32_t b = bits_of(f);
    if ((b & 0x7fffffffu) > 0x7f800000u) return (uint16_t)((b >> 16) | 0x40u);
    return (uint16_t)((b + 0x7fffu + ((b >> 16) & 1u)) >> 16);
}

int64_t wf_f64_to_whole(double v, wf_dtype t)
{
    int64_t lo = 0, hi = UINT8_MAX;
    if (t == WF_DTYPE_BOOL) return v != 0.0;
    if (t == WF_DTYPE_I64) lo = INT64_MIN, hi = INT64_MAX;
    if (t == WF_DTYPE_I32) lo = INT32_MIN, hi = INT32_MAX;
    if (t == WF_DTYPE_I8) lo = INT8_MIN, hi = INT8_MAX;
    if (isnan(v)) return 0;
    if (v >= (double)hi) return hi;       /* 2^63 and more for i64: (double)INT64_MAX is 2^63 */
    return v <= (double)lo ? lo : (int64_t)v;
}

int64_t wf_shape_numel(const wf_shape *s)
{
    int64_t n = 1;
    for (int i = 0; i < s->rank; i++) {
        if (s->dims[i] < 0) return -1;
        if (__builtin_mul_overflow(n, s->dims[i], &n)) return -1;
    }
    return n > INT64_MAX / 16 ? -1 : n;             /* bytes of the widest dtype must fit as well */
}

bool wf_shape_is_same(const wf_shape *a, const wf_shape *b)
{
    if (a->rank != b->rank) return false;
    for (int i = 0; i < a->rank; i++)
        if (a->dims[i] != b->dims[i]) return false;
    return true;
}

bool wf_shape_broadcast(const wf_shape *a, const wf_shape *b, wf_shape *out)
{
    wf_shape r = {.rank = a->rank > b->rank ? a->rank : b->rank};
    for (int i = 1; i <= r.rank; i++) {
        const int64_t da = i <= a->rank ? a->dims[a->rank - i] : 1;
        const int64_t db = i <= b->rank ? b->dims[b->rank - i] : 1;
        if (da != db && da != 1 && db != 1) return false;
        r.dims[r.rank - i] = da == 1 ? db : da;
    }
    *out = r;
    return true;
}

const char *wf_shape_text(const wf_shape *s, char *buf, size_t buf_bytes)
{
    size_t n = 0;
    buf[0] = '\0';
    for (int i = 0; i <= s->rank && n < buf_bytes; i++) {
        if (i == s->rank) n += (size_t)snprintf(buf + n, buf_bytes - n, i ? "]" : "[]");
        else
            n += (size_t)snprintf(buf + n, buf_bytes - n, i ? ",%lld" : "[%lld",
                                  (long long)s->dims[i]);
    }
    return buf;
}
