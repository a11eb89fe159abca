/* apng.h - animated PNG: the video file that needs no video library.
 *
 * Frames are 8-bit pictures of one size. A reader that knows no animation shows the first.
 * Source: the PNG specification, third edition, sections 4.9 and 11.3.6.
 */
#ifndef WF_CORE_APNG_H
#define WF_CORE_APNG_H

#include "core/file/pixels.h"

typedef struct wf_frames {
    wf_mem *mem;
    int64_t n;
    wf_pixels *list;                    /* n pictures of one size and channels */
    double seconds;                     /* of all frames together */
    uint32_t n_plays;                   /* 0: for ever */
} wf_frames;

/* Write n frames at fps_num / fps_den frames a second. meta may be NULL.
 * Errors  WF_EARG  no frames, frames that differ in size, a rate out of 16 bits   WF_EIO WF_ENOMEM
 */
wf_status wf_apng_save(wf_ctx *c, const char *path, const wf_frames *f, uint32_t fps_num,
                       uint32_t fps_den, const wf_meta *meta, bool overwrite) WF_MUST_USE;

/* Read all frames, composed as they would be shown; a still PNG gives one frame and 0 seconds.
 * The caller frees out and meta (may be NULL), after a failure too. Errors WF_EIO WF_EFORMAT
 * WF_ENOMEM */
wf_status wf_apng_load(wf_ctx *c, const char *path, wf_frames *out, wf_meta_found *meta);
wf_status wf_apng_decode(wf_ctx *c, const char *name, const uint8_t *data, size_t n,
                         wf_frames *out, wf_meta_found *meta);
void wf_frames_free(wf_frames *f);

#endif
