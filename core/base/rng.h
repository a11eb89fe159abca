/* rng.h - Philox 4x32-10 and PyTorch's generators.
 *
 * The default noise is keyed by (seed, sample, purpose) and counted by position, so it does not
 * depend on batch size, thread count or device.
 * Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011), section 4.1.
 */
#ifndef WF_CORE_RNG_H
#define WF_CORE_RNG_H

#include <stdbool.h>
#include <stdint.h>

/* Ten rounds of Philox: ctr is replaced by four random words. */
void wf_philox(uint32_t ctr[4], const uint32_t key[2]);

typedef struct wf_rng_key {
    uint64_t seed;       /* the user's seed */
    uint32_t sample;     /* which member of a batch */
    uint32_t purpose;    /* what the numbers are for: WF_RNG_* or a hash of a name */
} wf_rng_key;

enum { WF_RNG_LATENT = 1, WF_RNG_STEP = 2, WF_RNG_INIT = 3, WF_RNG_USER = 4 };

/* n values starting at position first: the value at a position depends on key and position alone.
 */
void wf_rng_normal(float *out, int64_t n, wf_rng_key key, uint64_t first);
void wf_rng_uniform(float *out, int64_t n, wf_rng_key key, uint64_t first);     /* in [0,1) */
void wf_rng_bits(uint32_t *out, int64_t n, wf_rng_key key, uint64_t first);

/* torch.randn on the CPU: MT19937. State is plain data, so that a run can be saved. */
typedef struct wf_mt19937 {
    uint32_t s[624];
    int32_t next;
    bool has_spare;      /* a draw of few values made one normal more than it needed */
    double spare;
} wf_mt19937;

void wf_mt19937_seed(wf_mt19937 *g, uint64_t seed);
uint32_t wf_mt19937_bits(wf_mt19937 *g);
/* As torch.randn(n): the 16-wide path from 16 values on, the double path below, which makes normals
 * in pairs and keeps the second for the next draw below 16. */
void wf_mt19937_normal(wf_mt19937 *g, float *out, int64_t n);

/* torch.randn on CUDA: the draw-th call of torch.randn(n) after manual_seed(seed), draw from 0. */
void wf_torch_cuda_normal(float *out, int64_t n, uint64_t seed, uint64_t draw);

#endif
