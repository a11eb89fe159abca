/* clip_none.c - clips in a build without FFmpeg's libraries. The Makefile takes this file, or
 * clip_read.c and clip_write.c. */
#include "core/file/clip.h"

bool wf_clip_is_built(void) { return false; }

static wf_status refuse(wf_ctx *c, const char *path)
{
    return wf_fail_status(c, WF_EUNSUPPORTED,
                          "%s: this build has no FFmpeg: videos are .apng, with a .wav beside",
                          path);
}

wf_status wf_clip_load(wf_ctx *c, const char *path, const wf_clip_load_options *o, wf_clip *out,
                       wf_meta_found *meta)
{
    (void)o;
    if (meta) *meta = (wf_meta_found){0};
    *out = (wf_clip){0};
    return refuse(c, path);
}

wf_status wf_clip_decode(wf_ctx *c, const char *name, const uint8_t *data, size_t n,
                         const wf_clip_load_options *o, wf_clip *out, wf_meta_found *meta)
{
    (void)data;
    (void)n;
    return wf_clip_load(c, name, o, out, meta);
}

wf_status wf_clip_save(wf_ctx *c, const char *path, const wf_clip *k, const wf_clip_options *o)
{
    (void)k;
    (void)o;
    return refuse(c, path);
}
