/* image.h - pictures as tensors: [H,W,C] f32 in 0..1, C of 1 (grey), 3 (RGB) or 4 (with alpha). */
#ifndef WF_CORE_IMAGE_H
#define WF_CORE_IMAGE_H

#include "core/file/apng.h"
#include "core/file/pixels.h"
#include "core/tensor/tensor.h"

/* Read a PNG or JPEG, whatever its name; meta (may be NULL, freed by the caller) gets its texts.
 * Returns [H,W,C] f32, scoped. Errors WF_EIO WF_EFORMAT WF_ENOMEM */
wf_tensor *wf_image_load(wf_ctx *c, const char *path, wf_meta_found *meta);

typedef struct wf_image_options {
    int quality;                        /* JPEG: 1..100 */
    const wf_meta *meta;                /* may be NULL */
    bool overwrite;
} wf_image_options;

/* Write x as .png, or as .jpg or .jpeg of 1 or 3 channels, by the name's end: 8 bits a value,
 * clamped and rounded to nearest, halves to even.
 * Errors  WF_ESHAPE  WF_EARG  WF_EUNSUPPORTED another ending  WF_EIO  WF_ENOMEM
 *         WF_ENAN    a value is not a number: never a silently black picture */
wf_status wf_image_save(wf_ctx *c, const char *path, wf_tensor *x,
                        const wf_image_options *o) WF_MUST_USE;
bool wf_image_has_ending(const char *path);     /* one of these three */

/* ---- moving pictures [L,H,W,C] ---- */

/* Frames of one size and kind as [L,H,W,C] f32, scoped. */
wf_tensor *wf_video_from_frames(wf_ctx *c, const wf_frames *f);
/* Frames of 8 bits, rounded as pictures are; path names the file in errors. The caller frees out,
 * after a failure too. Errors as wf_image_save */
wf_status wf_video_to_frames(wf_ctx *c, const char *path, wf_tensor *x,
                             wf_frames *out) WF_MUST_USE;

/* Animated PNG. Loading gives the seconds of all frames together; a still picture is one frame of 0
 * seconds. */
wf_tensor *wf_video_load(wf_ctx *c, const char *path, double *seconds, wf_meta_found *meta);
/* fps, 0.01..1000, is written as a fraction of 16-bit numbers, exact to 1e-4 of itself. */
wf_status wf_video_save(wf_ctx *c, const char *path, wf_tensor *x, double fps, const wf_meta *meta,
                        bool overwrite) WF_MUST_USE;

#endif
