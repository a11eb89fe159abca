/* mel.h - what audio models hear: spectra gathered in mel bands, as ops with gradients. */
#ifndef WF_CORE_MEL_H
#define WF_CORE_MEL_H

#include "core/media/spectrum.h"

/* HTK: 2595 log10(1 + f/700). Slaney: even to 1 kHz, logarithmic above. */
typedef enum wf_mel_scale { WF_MEL_HTK, WF_MEL_SLANEY } wf_mel_scale;
/* How high the triangles are: 1 at their centres; Slaney's, 2 over the width in Hz; or so that the
 * weights of a band add up to 1, when a band without a bin takes the one nearest to its centre. */
typedef enum wf_mel_norm { WF_MEL_PEAK, WF_MEL_SLANEY_AREA, WF_MEL_UNIT } wf_mel_norm;
typedef enum wf_mel_log { WF_MEL_LN, WF_MEL_LOG10, WF_MEL_DB } wf_mel_log;     /* DB: 10 log10 */

/* Triangles between steps that are even in mel. */
typedef struct wf_mel_bank {
    double rate_hz, low_hz, high_hz;
    int64_t n_fft, n_mels;
    wf_mel_scale scale;
    wf_mel_norm norm;
} wf_mel_bank;

/* [n_mels, n_fft/2+1] f32, as librosa and torchaudio.functional.melscale_fbanks.
 * Errors  WF_EARG */
wf_tensor *wf_mel_filters(wf_ctx *c, const wf_mel_bank *b);

/* A front end: reflecting padding, periodic Hann window, spectrum, bank, floor, logarithm. */
typedef struct wf_mel {
    wf_mel_bank bank;
    int64_t hop, pad;                   /* pad: samples mirrored at each end */
    bool power;                         /* |X|^2, else sqrt(|X|^2 + eps) */
    double eps, floor;
    wf_mel_log log;
} wf_mel;

/* Front ends by name: "audioldm" (its VAE's and vocoder's, 16 kHz), "clap" and "clap-fusion" (48
 * kHz). False when there is none of that name. */
bool wf_mel_find(const char *name, wf_mel *out);

/* x [B,S] -> [B,T,n_mels], T = 1 + (S + 2 pad - n_fft) / hop.
 * Errors  WF_EARG  WF_ESHAPE (shorter than the padding or a window) */
wf_tensor *wf_log_mel(wf_ctx *c, wf_tensor *x, const wf_mel *m);

/* Back: a sound [B,hop (T - 1)] whose front end gives nearly mel [B,T,n_mels]; n_steps as in
 * wf_mel_invert. */
wf_tensor *wf_mel_sound(wf_ctx *c, wf_tensor *mel, const wf_mel *m, int64_t n_steps,
                        const wf_griffin_lim *o);

/* x [B,S] at rate_hz -> [B,T,n_mels], T = 1 + (S - 25 ms) / 10 ms: Kaldi's filter banks as
 * torchaudio.compliance.kaldi.fbank(htk_compat, hanning, no dither, no energy) makes them; the mean
 * of every frame is taken off, values lie in -1..1 and not in 16 bits. ImageBind's front end.
 * Errors  WF_EARG  WF_ESHAPE (shorter than 25 ms) */
wf_tensor *wf_kaldi_fbank(wf_ctx *c, wf_tensor *x, int64_t rate_hz, int64_t n_mels);

/* How a sound that is too short gets its length: silence behind; copies, the last one cut; whole
 * copies, then silence (CLAP's way). */
typedef enum wf_fit { WF_FIT_PAD, WF_FIT_REPEAT, WF_FIT_REPEAT_PAD } wf_fit;

/* x [B,S] -> [B,samples]; of a longer sound the first samples. */
wf_tensor *wf_sound_fit(wf_ctx *c, wf_tensor *x, int64_t samples, wf_fit how);

#endif
