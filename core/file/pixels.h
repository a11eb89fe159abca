/* pixels.h - a picture as files hold it, and the two texts that say how it was made. */
#ifndef WF_CORE_PIXELS_H
#define WF_CORE_PIXELS_H

#include <stdint.h>

#include "core/base/ctx.h"

enum { WF_MAX_SIDE_PX = 16384, WF_MAX_PIXELS = 1 << 28 };

/* Rows of u8 or u16 samples, [H,W,C], no padding. */
typedef struct wf_pixels {
    wf_mem *mem;
    int64_t height, width, channels;    /* 1 grey, 3 RGB, 4 RGB and alpha (not multiplied) */
    int bits;                           /* 8 or 16, in the machine's byte order */
    void *data;
} wf_pixels;

/* Check the size against the caps and make the rows, uninitialised; name is the file, for errors.
 * Errors  WF_EFORMAT  no pixels, or more than the caps   WF_ENOMEM */
wf_status wf_pixels_new(wf_ctx *c, wf_pixels *out, const wf_pixels *like,
                        const char *name) WF_MUST_USE;
size_t wf_pixels_row_bytes(const wf_pixels *p);
void wf_pixels_free(wf_pixels *p);
/* from the way up that an EXIF orientation says, as *out. 1: as it is, 2 mirrored, 3 half turn, 4
 * upside down; 5..8 the same of the picture with rows and columns swapped (5 transposed, 6 a
 * quarter turn right, 8 left). */
wf_status wf_pixels_turn(wf_ctx *c, wf_pixels *out, const wf_pixels *from, int turn,
                         const char *name);

/* Provenance: the line people read, and the JSON object. Either may be NULL. */
typedef struct wf_meta {
    const char *parameters, *weft;
} wf_meta;

/* What was found in a file. */
typedef struct wf_meta_found {
    wf_mem *mem;
    char *parameters, *weft;            /* UTF-8; NULL: not there */
} wf_meta_found;

/* Keep n bytes of text as *slot (parameters or weft), replacing what was there. Text that is not
 * UTF-8 is taken as Latin-1. out may be NULL. */
void wf_meta_keep_parameters(wf_ctx *c, wf_meta_found *out, const void *text, size_t n);
void wf_meta_keep_weft(wf_ctx *c, wf_meta_found *out, const void *text, size_t n);
void wf_meta_free(wf_meta_found *m);
/* Fails with WF_EARG when a text is not UTF-8. meta may be NULL. */
wf_status wf_meta_check(wf_ctx *c, const wf_meta *meta) WF_MUST_USE;

#endif
