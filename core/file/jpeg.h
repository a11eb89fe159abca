/* jpeg.h - JPEG pictures.
 *
 * Grey, YCbCr, RGB, CMYK and YCCK files are read, as 8-bit grey or RGB, turned the way up that
 * their EXIF orientation says. Colour profiles are not applied.
 */
#ifndef WF_CORE_JPEG_H
#define WF_CORE_JPEG_H

#include "core/file/pixels.h"

/* What one segment of a JPEG holds at most, of the JSON text. */
enum { WF_JPEG_META_BYTES = 60000 };

/* Read a picture; meta (may be NULL) gets the EXIF comment and our XMP packet. The caller frees out
 * and meta, after a failure too.
 * Errors  WF_EIO  WF_ENOMEM
 *         WF_EFORMAT  not a JPEG, damaged, or larger than the caps of pixels.h */
wf_status wf_jpeg_load(wf_ctx *c, const char *path, wf_pixels *out, wf_meta_found *meta);
wf_status wf_jpeg_decode(wf_ctx *c, const char *name, const uint8_t *data, size_t n,
                         wf_pixels *out, wf_meta_found *meta);

/* Write 8-bit grey or RGB at quality 1..100; from 90 on colour is not subsampled.
 * `parameters` goes to EXIF UserComment, `weft` to an XMP packet. meta may be NULL.
 * Errors  WF_EARG  other pictures, or a text longer than WF_JPEG_META_BYTES  WF_EIO  WF_ENOMEM */
wf_status wf_jpeg_save(wf_ctx *c, const char *path, const wf_pixels *p, int quality,
                       const wf_meta *meta, bool overwrite) WF_MUST_USE;

#endif
