/* q8.h - weights stored in 8 bits: whole numbers i8 in the weight's own shape and under its own
 * name, and beside them "<name>.scale" [rows,blocks], a scale for every 32 values of a row.
 *
 * A row is what one index of the first dim holds, as the file lays it; the last block of a row may
 * be shorter. value = whole number * scale. The numerics are those of GGML's Q8_0 (scale =
 * max |w| / 127, round to nearest), but that values are divided by the scale as it is stored, so
 * no value is off by more than half a scale.
 */
#ifndef WF_CORE_Q8_H
#define WF_CORE_Q8_H

#include "core/tensor/tensor.h"

enum { WF_Q8_BLOCK = 32 };

/* Whether a weight of this shape is worth 8 bits: a matrix of some hundred values. */
bool wf_q8_suits(const wf_shape *s);

/* The shape of the scales beside a weight of this shape. */
wf_shape wf_q8_scale_shape(const wf_shape *s);

/* w of any float dtype, layout and device, of a shape that suits, as i8 *q of w's shape and f16
 * *scale; both scoped, both NULL once c has failed. name is for messages.
 * Errors  WF_EDTYPE  values that are not finite, or too large for f16 to hold them again */
void wf_q8_pack(wf_ctx *c, const char *name, wf_tensor *w, wf_tensor **q, wf_tensor **scale);

/* The values of q, i8 in host memory, as f32 of its shape, scoped; NULL once c has failed. scale: a
 * float dtype, of wf_q8_scale_shape. name is for messages.
 * Errors  WF_EMODEL  scales of another shape or dtype, or not finite, negative or too large */
wf_tensor *wf_q8_expand(wf_ctx *c, const char *name, wf_tensor *q, wf_tensor *scale);

#endif
