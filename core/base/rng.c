/* rng.c - Philox 4x32-10 keyed by seed, sample and purpose; MT19937 and Philox as PyTorch draws
 * them. */
#include "core/base/rng.h"

#include <math.h>
#include <string.h>

static const double TWO_PI = 6.283185307179586476925286766559;

void wf_philox(uint32_t ctr[4], const uint32_t key[2])
{
    uint32_t k0 = key[0], k1 = key[1];
    for (int i = 0; i < 10; i++) {
        const uint64_t p0 = (uint64_t)0xD2511F53u * ctr[0], p1 = (uint64_t)0xCD9E8D57u * ctr[2];
        const uint32_t c1 = ctr[1], c3 = ctr[3];
        ctr[0] = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        ctr[1] = (uint32_t)p1;
        ctr[2] = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        ctr[3] = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

/* Block b of a key's stream: four words. The seed is the key; sample and purpose share the counter.
 */
static void block_at(uint32_t w[4], wf_rng_key key, uint64_t b)
{
    const uint32_t k[2] = {(uint32_t)key.seed, (uint32_t)(key.seed >> 32)};
    w[0] = (uint32_t)b;
    w[1] = (uint32_t)(b >> 32);
    w[2] = key.sample;
    w[3] = key.purpose;
    wf_philox(w, k);
}

void wf_rng_bits(uint32_t *out, int64_t n, wf_rng_key key, uint64_t first)
{
    uint32_t w[4];
    for (int64_t i = 0; i < n; i++) {
        const uint64_t at = first + (uint64_t)i;
        if (i == 0 || at % 4 == 0) block_at(w, key, at / 4);
        out[i] = w[at % 4];
    }
}

static float unit(uint32_t w) { return (float)(w >> 8) * 0x1p-24f; }

void wf_rng_uniform(float *out, int64_t n, wf_rng_key key, uint64_t first)
{
    uint32_t w[4];
    for (int64_t i = 0; i < n; i++) {
        const uint64_t at = first + (uint64_t)i;
        if (i == 0 || at % 4 == 0) block_at(w, key, at / 4);
        out[i] = unit(w[at % 4]);
    }
}

/* Box-Muller on two words; u in (0,1] so the logarithm is finite. */
static void normal_pair(const uint32_t w[2], float z[2])
{
    const double u = ((double)w[0] + 1.0) * 0x1p-32, a = TWO_PI * ((double)w[1] * 0x1p-32);
    const double r = sqrt(-2.0 * log(u));
    z[0] = (float)(r * cos(a));
    z[1] = (float)(r * sin(a));
}

void wf_rng_normal(float *out, int64_t n, wf_rng_key key, uint64_t first)
{
    uint32_t w[4];
    float z[4];
    for (int64_t i = 0; i < n; i++) {
        const uint64_t at = first + (uint64_t)i;
        if (i == 0 || at % 4 == 0) {
            block_at(w, key, at / 4);
            normal_pair(w, z);
            normal_pair(w + 2, z + 2);
        }
        out[i] = z[at % 4];
    }
}

/* ---- MT19937 and torch.randn on the CPU ---- */

void wf_mt19937_seed(wf_mt19937 *g, uint64_t seed)
{
    g->s[0] = (uint32_t)seed;
    for (uint32_t i = 1; i < 624; i++)
        g->s[i] = 1812433253u * (g->s[i - 1] ^ (g->s[i - 1] >> 30)) + i;
    g->next = 624;
    g->has_spare = false;
}

static void mt_refill(wf_mt19937 *g)
{
    for (int i = 0; i < 624; i++) {
        const uint32_t y = (g->s[i] & 0x80000000u) | (g->s[(i + 1) % 624] & 0x7fffffffu);
        g->s[i] = g->s[(i + 397) % 624] ^ (y >> 1) ^ (y & 1 ? 0x9908b0dfu : 0u);
    }
    g->next = 0;
}

uint32_t wf_mt19937_bits(wf_mt19937 *g)
{
    if (g->next >= 624) mt_refill(g);
    uint32_t y = g->s[g->next++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
}

static float mt_unit_f32(wf_mt19937 *g)
{
    return (float)(wf_mt19937_bits(g) & 0xffffffu) * 0x1p-24f;
}

static double mt_unit_f64(wf_mt19937 *g)
{
    const uint64_t hi = wf_mt19937_bits(g), lo = wf_mt19937_bits(g);
    return (double)(((hi << 32) | lo) & ((1ull << 53) - 1)) * 0x1p-53;
}

/* Sixteen uniforms to sixteen normals: value j pairs with value j + 8. */
static void normal_16(float *x)
{
    for (int j = 0; j < 8; j++) {
        const float u1 = 1.0f - x[j], u2 = x[j + 8];
        const float r = sqrtf(-2.0f * logf(u1)), a = (float)TWO_PI * u2;
        x[j] = r * cosf(a);
        x[j + 8] = r * sinf(a);
    }
}

static void normal_wide(wf_mt19937 *g, float *out, int64_t n)
{
    for (int64_t i = 0; i < n; i++) out[i] = mt_unit_f32(g);
    for (int64_t i = 0; i + 16 <= n; i += 16) normal_16(out + i);
    if (n % 16 == 0) return;
    for (int64_t i = n - 16; i < n; i++) out[i] = mt_unit_f32(g);
    normal_16(out + n - 16);
}

void wf_mt19937_normal(wf_mt19937 *g, float *out, int64_t n)
{
    if (n >= 16) {
        normal_wide(g, out, n);
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        if (g->has_spare) {
            g->has_spare = false;
            out[i] = (float)g->spare;
            continue;
        }
        const double u1 = mt_unit_f64(g), u2 = mt_unit_f64(g);
        const double r = sqrt(-2.0 * log1p(-u2)), a = TWO_PI * u1;
        out[i] = (float)(r * cos(a));
        g->spare = r * sin(a);
        g->has_spare = true;
    }
}

/* ---- torch.randn on CUDA: value i is the i-th subsequence's first number at offset draw ---- */

void wf_torch_cuda_normal(float *out, int64_t n, uint64_t seed, uint64_t draw)
{
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    for (int64_t i = 0; i < n; i++) {
        uint32_t w[4] = {(uint32_t)draw, (uint32_t)(draw >> 32), (uint32_t)i,
                         (uint32_t)((uint64_t)i >> 32)};
        wf_philox(w, key);
        const float u = (float)w[0] * 2.3283064e-10f + 2.3283064e-10f / 2;
        const float v =
            (float)w[1] * (2.3283064e-10f * 6.2831855f) + 2.3283064e-10f * 6.2831855f / 2;
        out[i] = sqrtf(-2.0f * logf(u)) * sinf(v);
    }
}
