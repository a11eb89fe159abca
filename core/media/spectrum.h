/* spectrum.h - windows, the inverse short-time transform, and sounds from magnitudes alone. */
#ifndef WF_CORE_SPECTRUM_H
#define WF_CORE_SPECTRUM_H

#include "core/tensor/tensor.h"

enum { WF_MAX_FFT = 1 << 20 };

/* Hann's window [n] f32: periodic as spectra want it, or symmetric. Errors WF_EARG */
wf_tensor *wf_hann(wf_ctx *c, int64_t n, bool periodic);

/* The inverse of wf_stft over a sound that had n_fft/2 samples added at both ends (torch.istft,
 * centred): X [B,T,F,2], window [n_fft] -> [B,hop (T - 1)].
 * Errors  WF_ESHAPE  WF_EARG  a hop at which some sample lies under no window */
wf_tensor *wf_istft(wf_ctx *c, wf_tensor *X, wf_tensor *window, int64_t hop);

typedef struct wf_griffin_lim {
    int64_t hop, n_iters;               /* 32 are enough for speech and tones */
    double momentum;                    /* 0 (plain) .. below 1; 0.99 is the fast variant's */
    bool random;                        /* first phases by seed, else all 0 */
    uint64_t seed;
} wf_griffin_lim;

/* A sound [B,hop (T - 1)] whose spectrum has nearly these magnitudes [B,T,F].
 * Source  Perraudin, Balazs, Sondergaard, "A fast Griffin-Lim algorithm", WASPAA 2013;
 *         torchaudio.functional.griffinlim with power 1 */
wf_tensor *wf_griffin_lim_run(wf_ctx *c, wf_tensor *magnitude, wf_tensor *window,
                              const wf_griffin_lim *o);

/* Magnitudes [B,T,F], none negative, that a bank [M,F] gathers to mel [B,T,M]: n_iters
 * multiplicative steps of least squares from the transposed bank on. Source  Lee, Seung,
 * "Algorithms for non-negative matrix factorization", NIPS 2000 */
wf_tensor *wf_mel_invert(wf_ctx *c, wf_tensor *mel, wf_tensor *bank, int64_t n_iters);

#endif
