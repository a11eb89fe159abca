/* sound_walk.h - what stands around the samples: chunks of WAV and AIFF, pages of Ogg.
 *
 * libsndfile believes lengths and passes over second headers; these walks come first.
 */
#ifndef WF_CORE_SOUND_WALK_H
#define WF_CORE_SOUND_WALK_H

#include "core/file/file_write.h"
#include "core/file/pixels.h"

/* Refuse a WAV or AIFF whose chunks contradict each other or the file; keep WAV's chunk `weft`.
 * Errors  WF_EFORMAT  WF_EUNSUPPORTED  a coding other than PCM and float */
wf_status wfi_sound_check_chunks(wf_ctx *c, const char *name, const uint8_t *data, size_t n,
                                 wf_meta_found *meta);
/* Refuse an Ogg file that is cut off, damaged or has bytes between its pages. Errors WF_EFORMAT */
wf_status wfi_sound_check_pages(wf_ctx *c, const char *name, const uint8_t *data, size_t n);

/* Add the chunk `weft` behind a WAV file that is written but for that. */
wf_status wfi_sound_add_chunk(wf_ctx *c, wf_file_write *w, const char *text);
/* Give the stream of an Ogg file number 1: libsndfile draws it from the clock. */
wf_status wfi_sound_number_pages(wf_ctx *c, wf_file_write *w);

#endif
