/* clip_impl.h - what reading and writing clips share; it names nothing of FFmpeg. */
#ifndef WF_CORE_CLIP_IMPL_H
#define WF_CORE_CLIP_IMPL_H

#include "core/file/clip.h"

enum { WFI_CLIP_IO_BYTES = 1 << 16 };   /* of FFmpeg's buffer between it and the file */

/* Fail with what FFmpeg says of code r; st where it is neither memory nor a stop. Once c has
 * failed, that failure stays. */
wf_status wfi_clip_fail(wf_ctx *c, const char *name, const char *what, int r, wf_status st);

#endif
