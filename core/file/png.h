/* png.h - PNG pictures and animations.
 *
 * Every kind of PNG is read: 1 to 16 bits, grey, RGB, palette, with and without alpha, interlaced.
 * Depths below 8 become 8; palettes become RGB; grey with alpha becomes RGB with alpha. Samples are
 * taken as sRGB: gamma and colour profiles are not applied.
 */
#ifndef WF_CORE_PNG_H
#define WF_CORE_PNG_H

#include "core/file/bytes.h"
#include "core/file/pixels.h"

/* Read a picture; meta (may be NULL) gets the texts `parameters` and `weft`. The caller frees out
 * and meta, after a failure too.
 * Errors  WF_EIO  WF_ENOMEM
 *         WF_EFORMAT  not a PNG, damaged (with the row), or larger than the caps of pixels.h */
wf_status wf_png_load(wf_ctx *c, const char *path, wf_pixels *out, wf_meta_found *meta);
wf_status wf_png_decode(wf_ctx *c, const char *name, const uint8_t *data, size_t n,
                        wf_pixels *out, wf_meta_found *meta);

/* Write a picture: `parameters` as tEXt (iTXt when not ASCII), `weft` as compressed iTXt. Equal
 * pictures give equal bytes. meta may be NULL. */
wf_status wf_png_save(wf_ctx *c, const char *path, const wf_pixels *p, const wf_meta *meta,
                      bool overwrite) WF_MUST_USE;
void wf_png_encode(wf_bytes *out, const wf_pixels *p, const wf_meta *meta);

#endif
