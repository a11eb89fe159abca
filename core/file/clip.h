/* clip.h - videos with sound in the files that people share, by FFmpeg's libraries.
 *
 * The libraries are found when weft is built; without them every call fails with WF_EUNSUPPORTED
 * and a sentence that says so. They see memory and the atomic writer, never a path or a network.
 */
#ifndef WF_CORE_CLIP_H
#define WF_CORE_CLIP_H

#include "core/file/apng.h"
#include "core/file/sound.h"

enum { WF_CLIP_MAX_BYTES = 1 << 30 };   /* of all frames together, as RGB */

typedef struct wf_clip {
    wf_frames frames;                   /* 8-bit RGB */
    double fps;
    wf_sound sound;                     /* samples 0: none */
} wf_clip;

bool wf_clip_is_built(void);            /* whether FFmpeg's libraries are there */

typedef struct wf_clip_load_options {
    double fps;                         /* frames are repeated or dropped to this; 0: the file's */
    bool no_sound;
} wf_clip_load_options;

/* Read the first video and sound of a file. Times decide: a frame stands where it is shown, so that
 * a varying rate becomes a steady one, and a file that is to be shown turned is turned, to the
 * nearest quarter. meta (may be NULL) gets its texts. The caller frees out and
 * meta, after a failure too.
 * Errors  WF_EIO  WF_ENOMEM  WF_ECANCEL
 *         WF_EFORMAT       no video, damaged, shorter than it says, past the caps
 *         WF_ENAN          sound that is not numbers
 *         WF_EUNSUPPORTED  a coding that is not read, or no FFmpeg */
wf_status wf_clip_load(wf_ctx *c, const char *path, const wf_clip_load_options *o, wf_clip *out,
                       wf_meta_found *meta);
wf_status wf_clip_decode(wf_ctx *c, const char *name, const uint8_t *data, size_t n,
                         const wf_clip_load_options *o, wf_clip *out, wf_meta_found *meta);
void wf_clip_free(wf_clip *k);

typedef struct wf_clip_options {
    double quality;                     /* 0..1; below 0: the default, 0.7 */
    const wf_meta *meta;                /* may be NULL */
    bool overwrite;
} wf_clip_options;

/* Write by the end of the name: .webm (VP9, else VP8; Opus) or .mp4 (H.264, else MPEG-4; AAC).
 * `parameters` becomes the title, `weft` a tag of that name. Equal clips give equal bytes.
 * Errors  WF_EUNSUPPORTED  another ending, odd sides in .mp4, no encoder, or no FFmpeg
 *         WF_ENAN  WF_EARG  WF_EIO  WF_ENOMEM  WF_ECANCEL */
wf_status wf_clip_save(wf_ctx *c, const char *path, const wf_clip *k,
                       const wf_clip_options *o) WF_MUST_USE;

#endif
