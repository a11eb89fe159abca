/* sound.h - sounds in files, by libsndfile: WAV, AIFF, FLAC, Ogg Vorbis, Opus; MP3 is read.
 *
 * What a header says is believed only where the bytes bear it out: samples are read in blocks to
 * the end and memory grows with what was read. Files that say more than they hold are refused,
 * but for WAV written to a pipe, whose length is unknown. Equal sounds give equal bytes.
 */
#ifndef WF_CORE_SOUND_H
#define WF_CORE_SOUND_H

#include "core/file/pixels.h"

enum {
    WF_SOUND_MAX_CHANNELS = 32,
    WF_SOUND_MIN_RATE_HZ = 1000,
    WF_SOUND_MAX_RATE_HZ = 768000,
    WF_SOUND_MAX_S = 4 * 3600,
    WF_SOUND_MAX_VALUES = 1 << 30,      /* samples times channels */
    WF_SOUND_MAX_LEVEL = 1000,          /* 60 dB above full scale: no sound, but damage */
    WF_SOUND_COMMENT_BYTES = 51000      /* of FLAC, Ogg and Opus: both texts together */
};

/* Values -1..1 (full scale; floats may pass it), [S,C]. */
typedef struct wf_sound {
    wf_mem *mem;
    int64_t samples, channels;
    int rate_hz;
    float *data;
} wf_sound;

/* What is done with values that are not finite or above WF_SOUND_MAX_LEVEL. */
typedef enum wf_sound_repair { WF_SOUND_REFUSE, WF_SOUND_SANITIZE } wf_sound_repair;

/* Read a sound; SANITIZE makes values that are not finite 0 and clips to -1..1. meta (may be NULL)
 * gets its texts. The caller frees out and meta, after a failure too.
 * Errors  WF_EIO  WF_ENOMEM
 *         WF_EFORMAT       not a sound, damaged, no samples, past the caps above
 *         WF_EUNSUPPORTED  a coding that is not read, such as ADPCM
 *         WF_ENAN          values that are not numbers, or above the cap */
wf_status wf_sound_load(wf_ctx *c, const char *path, wf_sound_repair repair, wf_sound *out,
                        wf_meta_found *meta);
wf_status wf_sound_decode(wf_ctx *c, const char *name, const uint8_t *data, size_t n,
                          wf_sound_repair repair, wf_sound *out, wf_meta_found *meta);
void wf_sound_free(wf_sound *s);

typedef struct wf_sound_options {
    int bits;                           /* WAV, FLAC: 16 or 24, WAV also 32 (float); 0 means 16 */
    double quality;                     /* Ogg, Opus: 0..1; below 0: the library's own */
    const wf_meta *meta;                /* may be NULL */
    bool overwrite;
} wf_sound_options;

/* Write by the end of the name: .wav .flac .ogg .opus. What passes full scale is clipped.
 * `parameters` goes to the comment (at most 2,000 bytes in WAV), `weft` to a chunk of WAV and to
 * the comment's last line elsewhere. Errors  WF_EUNSUPPORTED another ending, or a rate that Opus
 * has not WF_ENAN         a value is not a number: never silent damage WF_EARG  WF_EIO  WF_ENOMEM
 */
wf_status wf_sound_save(wf_ctx *c, const char *path, const wf_sound *s,
                        const wf_sound_options *o) WF_MUST_USE;

#endif
