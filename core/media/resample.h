/* resample.h - sounds at another rate, by a windowed sinc. */
#ifndef WF_CORE_RESAMPLE_H
#define WF_CORE_RESAMPLE_H

#include "core/tensor/tensor.h"

/* x [S,C] at from_hz -> [ceil(S to/from),C] f32 at to_hz: torchaudio.functional.resample with its
 * defaults (sinc_interp_hann, 6 zero crossings a side, cut off at 0.99 of the lower Nyquist
 * frequency); silence stands before and after. Equal rates give x itself. No gradient.
 * Errors  WF_ESHAPE  WF_EDTYPE  WF_EARG (a rate out of 1..768000, or too long)  WF_ENOMEM */
wf_tensor *wf_resample(wf_ctx *c, wf_tensor *x, int64_t from_hz, int64_t to_hz);

#endif
