/* clip.c - what a clip is with FFmpeg and without. */
#include "core/file/clip.h"

void wf_clip_free(wf_clip *k)
{
    wf_frames_free(&k->frames);
    wf_sound_free(&k->sound);
}
