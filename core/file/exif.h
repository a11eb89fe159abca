/* exif.h - the two segments of a JPEG that say how it was made: EXIF and XMP. */
#ifndef WF_CORE_EXIF_H
#define WF_CORE_EXIF_H

#include "core/file/bytes.h"
#include "core/file/pixels.h"

/* Orientation 1..8 of an APP1 segment's EXIF block, 0 when it says none; keeps the comment in meta
 * (may be NULL). Damage is not an error: what cannot be read is not there. */
int wf_exif_read(wf_ctx *c, const uint8_t *data, size_t n, wf_meta_found *meta);
/* Our JSON from an APP1 segment's XMP packet, where there is one. */
void wf_xmp_read(wf_ctx *c, const uint8_t *data, size_t n, wf_meta_found *meta);

/* Bodies of APP1 segments. */
void wf_exif_write(wf_bytes *out, const char *comment);
void wf_xmp_write(wf_bytes *out, const char *json);

#endif
