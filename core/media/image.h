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
    int bits;                           /* PNG: 8 or 16; 0 means 8 */
    int quality;                        /* JPEG: 1..100; 0 means 90 */
    const wf_meta *meta;                /* may be NULL */
    bool overwrite;
} wf_image_options;

/* Write x as .png or .jpg / .jpeg by the name's end; alpha is dropped over black for JPEG.
 * Errors  WF_ESHAPE  WF_EUNSUPPORTED another ending   WF_EIO
 *         WF_ENAN    a value is not a number: never a silently black picture */
wf_status wf_image_save(wf_ctx *c, const char *path, wf_tensor *x,
                        const wf_image_options *o) WF_MUST_USE;

/* Values 0..1 to 8 or 16 bits, rounded to nearest and clamped. The caller frees out. */
wf_status wf_image_to_pixels(wf_ctx *c, wf_tensor *x, int bits, wf_pixels *out) WF_MUST_USE;
wf_tensor *wf_image_from_pixels(wf_ctx *c, const wf_pixels *p);
/* The same as tensors: [H,W,C] f32 -> u8 and back. */
wf_tensor *wf_image_to_u8(wf_ctx *c, wf_tensor *x);
wf_tensor *wf_image_from_u8(wf_ctx *c, wf_tensor *x);

/* Another number of channels: grey is repeated, RGB becomes grey by Pillow's weights (299 587 114),
 * alpha is dropped over black or added as 1. */
wf_tensor *wf_image_to_channels(wf_ctx *c, wf_tensor *x, int64_t channels);

/* The rectangle whose top left corner is at (y,x), which may lie outside: what is outside is 0. */
wf_tensor *wf_image_crop(wf_ctx *c, wf_tensor *image, int64_t y, int64_t x, int64_t height,
                         int64_t width);

/* Moving pictures [L,H,W,C] as animated PNG. Loading gives the seconds of all frames together;
 * a still picture is one frame of 0 seconds. */
wf_tensor *wf_video_load(wf_ctx *c, const char *path, double *seconds, wf_meta_found *meta);
/* fps is written as a fraction of 16-bit numbers, exact to 1e-4 of itself. */
wf_status wf_video_save(wf_ctx *c, const char *path, wf_tensor *x, double fps, const wf_meta *meta,
                        bool overwrite) WF_MUST_USE;

#endif
