/*
 * sound.c - sounds through libsndfile's virtual files.
 *
 * libsndfile sees a file only after its first bytes and the walks of sound_walk.h have named it one
 * of the kinds below. It never learns a path, and its own rounding and clipping are not used.
 */
#include "core/file/sound.h"

#include <math.h>
#include <sndfile.h>
#include <string.h>
#include <strings.h>

#include "core/file/bytes.h"
#include "core/file/file_map.h"
#include "core/file/sound_walk.h"

enum {
    BLOCK = 4096,                       /* samples read or written at once */
    WAV_COMMENT_BYTES = 2000            /* libsndfile 1.2 loses a whole list with a longer text */
};

/* ---- libsndfile's callbacks ---- */

typedef struct stream {
    wf_ctx *c;
    const uint8_t *data;                /* reading */
    size_t n, at;
    wf_file_write *w;                   /* writing */
} stream;

static sf_count_t on_length(void *arg)
{
    const stream *s = arg;
    return (sf_count_t)(s->w ? wf_file_write_get_bytes(s->w) : s->n);
}

static sf_count_t on_tell(void *arg)
{
    const stream *s = arg;
    return (sf_count_t)(s->w ? wf_file_write_tell(s->w) : s->at);
}

static sf_count_t on_seek(sf_count_t offset, int whence, void *arg)
{
    stream *s = arg;
    const sf_count_t base = whence == SEEK_SET   ? 0
                            : whence == SEEK_CUR ? on_tell(arg)
                                                 : on_length(arg);
    if (offset < -base || offset > on_length(arg) - base) return -1;
    if (s->w) wf_file_write_seek(s->w, (uint64_t)(base + offset));
    else s->at = (size_t)(base + offset);
    return base + offset;
}

static sf_count_t on_read(void *out, sf_count_t n, void *arg)
{
    stream *s = arg;
    if (n <= 0) return 0;
    if (s->w) return (sf_count_t)wf_file_write_read(s->c, s->w, out, (size_t)n);
    const size_t bytes = (size_t)n < s->n - s->at ? (size_t)n : s->n - s->at;
    memcpy(out, s->data + s->at, bytes);
    s->at += bytes;
    return (sf_count_t)bytes;
}

static sf_count_t on_write(const void *data, sf_count_t n, void *arg)
{
    stream *s = arg;
    if (n <= 0 || !s->w) return 0;
    return wf_file_write_put(s->c, s->w, data, (size_t)n) == WF_OK ? n : 0;
}

static SF_VIRTUAL_IO callbacks = {on_length, on_seek, on_read, on_write, on_tell};

/* ---- reading ---- */

void wf_sound_free(wf_sound *s)
{
    if (s->data) wf_mem_free(s->mem, s->data);
    s->data = NULL;
}

/* The kind that the first bytes name, checked as far as libsndfile does not. */
static wf_status check_kind(wf_ctx *c, const char *name, const uint8_t *data, size_t n,
                            wf_meta_found *meta)
{
    if (wf_has_failed(c)) return wf_get_status(c);
    const bool is_long = n >= 12;
    if (is_long && memcmp(data, "RIFF", 4) == 0 && memcmp(data + 8, "WAVE", 4) == 0)
        return wfi_sound_check_chunks(c, name, data, n, meta);
    if (is_long && memcmp(data, "FORM", 4) == 0 && memcmp(data + 8, "AIF", 3) == 0)
        return wfi_sound_check_chunks(c, name, data, n, NULL);
    if (is_long && memcmp(data, "OggS", 4) == 0) return wfi_sound_check_pages(c, name, data, n);
    if (is_long && memcmp(data, "fLaC", 4) == 0) return WF_OK;
    if (is_long &&
        (memcmp(data, "ID3", 3) == 0 || (data[0] == 0xff && data[1] != 0xff && data[1] >= 0xe2)))
        return WF_OK;
    const char *guess = wf_file_guess(data, n);
    return wf_fail_status(c, WF_EFORMAT, "%s: is %s, not a sound", name,
                          guess ? guess : "something else");
}

static bool is_read(int format)
{
    const int kind = format & SF_FORMAT_TYPEMASK, coding = format & SF_FORMAT_SUBMASK;
    if (kind == SF_FORMAT_OGG) return coding == SF_FORMAT_VORBIS || coding == SF_FORMAT_OPUS;
    if (kind == SF_FORMAT_MPEG)
        return coding == SF_FORMAT_MPEG_LAYER_III || coding == SF_FORMAT_MPEG_LAYER_II;
    if (kind != SF_FORMAT_WAV && kind != SF_FORMAT_WAVEX && kind != SF_FORMAT_AIFF &&
        kind != SF_FORMAT_FLAC)
        return false;
    return coding == SF_FORMAT_PCM_S8 || coding == SF_FORMAT_PCM_U8 || coding == SF_FORMAT_PCM_16 ||
           coding == SF_FORMAT_PCM_24 || coding == SF_FORMAT_PCM_32 || coding == SF_FORMAT_FLOAT ||
           coding == SF_FORMAT_DOUBLE;
}

static wf_status check_info(wf_ctx *c, const char *name, const SF_INFO *i)
{
    if (!is_read(i->format))
        return wf_fail_status(c, WF_EUNSUPPORTED, "%s: a sound of coding 0x%x, which is not read",
                              name, (unsigned)i->format);
    if (i->channels < 1 || i->channels > WF_SOUND_MAX_CHANNELS)
        return wf_fail_status(c, WF_EFORMAT, "%s: has %d channels, must be 1 to %d", name,
                              i->channels, WF_SOUND_MAX_CHANNELS);
    if (i->samplerate < WF_SOUND_MIN_RATE_HZ || i->samplerate > WF_SOUND_MAX_RATE_HZ)
        return wf_fail_status(c, WF_EFORMAT, "%s: has a rate of %d Hz, must be %d to %d", name,
                              i->samplerate, WF_SOUND_MIN_RATE_HZ, WF_SOUND_MAX_RATE_HZ);
    return WF_OK;
}

/* Most samples that a sound with these channels and rate may have. */
static int64_t max_samples(int64_t channels, int rate_hz)
{
    const int64_t by_time = (int64_t)rate_hz * WF_SOUND_MAX_S,
                  by_values = WF_SOUND_MAX_VALUES / channels;
    return by_time < by_values ? by_time : by_values;
}

/* Room for one more block in a buffer of *room samples. */
static wf_status grow(wf_ctx *c, const char *name, wf_sound *out, int64_t *room)
{
    if (out->samples + BLOCK <= *room) return WF_OK;
    const size_t frame = (size_t)out->channels * sizeof *out->data;
    const int64_t more = *room ? 2 * *room : 16 * BLOCK;
    float *data = wf_mem_alloc(out->mem, (size_t)more * frame);
    if (!data)
        return wf_fail_status(c, WF_ENOMEM, "%s: no memory for %lld samples", name,
                              (long long)more);
    if (out->data) memcpy(data, out->data, (size_t)out->samples * frame);
    wf_sound_free(out);
    out->data = data;
    *room = more;
    return WF_OK;
}

/* All samples; what the header says of their number is checked after, not before. */
static wf_status read_samples(wf_ctx *c, const char *name, SNDFILE *f, const SF_INFO *i,
                              wf_sound *out)
{
    int64_t room = 0, got = 1;
    const int64_t most = max_samples(out->channels, out->rate_hz);
    while (got > 0) {
        WF_TRY(grow(c, name, out, &room));
        got = sf_readf_float(f, out->data + out->samples * out->channels, BLOCK);
        if (got > 0) out->samples += got;
        if (out->samples > most)
            return wf_fail_status(c, WF_EFORMAT, "%s: is longer than %lld samples", name,
                                  (long long)most);
    }
    if (!out->samples) return wf_fail_status(c, WF_EFORMAT, "%s: holds no samples", name);
    const bool is_mpeg = (i->format & SF_FORMAT_TYPEMASK) == SF_FORMAT_MPEG;     /* a guess there */
    if (sf_error(f) == SF_ERR_NO_ERROR && (is_mpeg || out->samples >= i->frames)) return WF_OK;
    return wf_fail_status(c, WF_EFORMAT, "%s: damaged: %lld of %lld samples can be read", name,
                          (long long)out->samples, (long long)i->frames);
}

/* F-092 */
static wf_status check_values(wf_ctx *c, const char *name, wf_sound_repair repair, wf_sound *s)
{
    int64_t n_bad = 0;
    for (int64_t k = 0; k < s->samples * s->channels; k++) {
        float *v = &s->data[k];
        if (!(fabsf(*v) <= WF_SOUND_MAX_LEVEL)) n_bad++;
        if (repair == WF_SOUND_SANITIZE) *v = isfinite(*v) ? fmaxf(-1.0f, fminf(1.0f, *v)) : 0.0f;
    }
    if (!n_bad || repair == WF_SOUND_SANITIZE) return WF_OK;
    return wf_fail_status(c, WF_ENAN,
                          "%s: %lld values are not numbers or above %d times full scale", name,
                          (long long)n_bad, WF_SOUND_MAX_LEVEL);
}

/* The comment: the line for people and, outside WAV, the JSON as its last line. */
static void keep_texts(wf_ctx *c, SNDFILE *f, bool is_wav, wf_meta_found *meta)
{
    static const char mark[] = "weft: {";
    const char *text = sf_get_string(f, SF_STR_COMMENT);
    if (!meta || !text) return;
    size_t n = strlen(text);
    const char *line = strrchr(text, '\n');
    line = line ? line + 1 : text;
    if (!is_wav && strncmp(line, mark, sizeof mark - 1) == 0) {
        const char *json = line + sizeof mark - 2;
        wf_meta_keep_weft(c, meta, json, strlen(json));
        n = line > text ? (size_t)(line - text) - 1 : 0;
    }
    if (n) wf_meta_keep_parameters(c, meta, text, n);
}

wf_status wf_sound_decode(wf_ctx *c, const char *name, const uint8_t *data, size_t n,
                          wf_sound_repair repair, wf_sound *out, wf_meta_found *meta)
{
    *out = (wf_sound){.mem = wf_ctx_get_mem(c)};
    if (meta) *meta = (wf_meta_found){0};
    WF_TRY(check_kind(c, name, data, n, meta));
    stream s = {.c = c, .data = data, .n = n};
    SF_INFO info = {0};
    SNDFILE *f = sf_open_virtual(&callbacks, SFM_READ, &info, &s);
    if (!f) {
        char why[WF_QUOTE_MAX];
        const char *text = sf_strerror(NULL);
        return wf_fail_status(c, WF_EFORMAT, "%s: damaged sound: %s", name,
                              wf_quote(why, sizeof why, text, strlen(text)));
    }
    out->channels = info.channels;
    out->rate_hz = info.samplerate;
    if (check_info(c, name, &info) == WF_OK && read_samples(c, name, f, &info, out) == WF_OK &&
        check_values(c, name, repair, out) == WF_OK)
        keep_texts(c, f, data[0] == 'R', meta);
    sf_close(f);
    return wf_get_status(c);
}

wf_status wf_sound_load(wf_ctx *c, const char *path, wf_sound_repair repair, wf_sound *out,
                        wf_meta_found *meta)
{
    wf_file_map *m = wf_file_map_open(c, path);
    const uint8_t *data = m ? wf_file_map_get_data(m) : NULL;
    (void)wf_sound_decode(c, path, data, m ? wf_file_map_get_bytes(m) : 0, repair, out, meta);
    wf_file_map_release(m);
    return wf_get_status(c);
}

/* ---- writing ---- */

/* libsndfile's number for a path and bits, 0 for none. */
static int find_format(const char *path, int bits)
{
    const char *dot = strrchr(path, '.');
    const int pcm = bits == 24 ? SF_FORMAT_PCM_24 : SF_FORMAT_PCM_16;
    if (!dot) return 0;
    if (strcasecmp(dot, ".wav") == 0) return SF_FORMAT_WAV | (bits == 32 ? SF_FORMAT_FLOAT : pcm);
    if (strcasecmp(dot, ".flac") == 0) return SF_FORMAT_FLAC | pcm;
    if (strcasecmp(dot, ".ogg") == 0) return SF_FORMAT_OGG | SF_FORMAT_VORBIS;
    if (strcasecmp(dot, ".opus") == 0) return SF_FORMAT_OGG | SF_FORMAT_OPUS;
    return 0;
}

static wf_status check_save(wf_ctx *c, const char *path, const wf_sound *s, int bits, int format)
{
    const int kind = format & SF_FORMAT_TYPEMASK;
    const int64_t most = kind == SF_FORMAT_WAV ? WF_SOUND_MAX_CHANNELS : 8;
    if (!format)
        return wf_fail_status(c, WF_EUNSUPPORTED,
                              "%s: sounds are written as .wav, .flac, .ogg or .opus", path);
    if ((bits != 16 && bits != 24 && bits != 32) || (bits == 32 && kind == SF_FORMAT_FLAC))
        return wf_fail_status(c, WF_EARG, "%s: %d bits; WAV has 16, 24 or 32, FLAC 16 or 24", path,
                              bits);
    if (s->channels < 1 || s->channels > most || s->samples < 1)
        return wf_fail_status(c, WF_EARG, "%s: cannot hold %lld samples of %lld channels", path,
                              (long long)s->samples, (long long)s->channels);
    if (s->rate_hz < WF_SOUND_MIN_RATE_HZ || s->rate_hz > WF_SOUND_MAX_RATE_HZ ||
        s->samples > max_samples(s->channels, s->rate_hz))
        return wf_fail_status(c, WF_EARG,
                              "%s: %lld samples at %d Hz; rates are %d to %d Hz, for up to %d s",
                              path, (long long)s->samples, s->rate_hz, WF_SOUND_MIN_RATE_HZ,
                              WF_SOUND_MAX_RATE_HZ, WF_SOUND_MAX_S);
    const int r = s->rate_hz;
    if ((format & SF_FORMAT_SUBMASK) == SF_FORMAT_OPUS && r != 8000 && r != 12000 && r != 16000 &&
        r != 24000 && r != 48000)
        return wf_fail_status(c, WF_EUNSUPPORTED,
                              "%s: Opus has 8000, 12000, 16000, 24000 and 48000 Hz, not %d", path,
                              r);
    for (int64_t k = 0; k < s->samples * s->channels; k++)
        if (!isfinite(s->data[k]))
            return wf_fail_status(c, WF_ENAN, "%s: value %lld is not a number", path, (long long)k);
    return WF_OK;
}

/* Both texts in the way of the format; too long a line is cut, too long a JSON refused. */
static void set_texts(wf_ctx *c, const char *path, SNDFILE *f, bool is_wav, const wf_meta *meta)
{
    wf_bytes b = {.c = c};
    if (meta->parameters) wf_bytes_put_text(&b, meta->parameters);
    if (is_wav && b.n > WAV_COMMENT_BYTES) {
        b.n = WAV_COMMENT_BYTES;
        while (b.n && (b.data[b.n] & 0xc0) == 0x80) b.n--;      /* whole characters */
    }
    if (!is_wav && meta->weft) {
        wf_bytes_put_text(&b, b.n ? "\nweft: " : "weft: ");
        wf_bytes_put_text(&b, meta->weft);
    }
    if (b.n > WF_SOUND_COMMENT_BYTES)
        wf_fail(c, WF_EARG, "%s: %zu bytes of provenance, at most %d fit", path, b.n,
                WF_SOUND_COMMENT_BYTES);
    wf_bytes_put_u8(&b, 0);
    if (!wf_has_failed(c) && b.n > 1) sf_set_string(f, SF_STR_COMMENT, (const char *)b.data);
    wf_bytes_free(&b);
}

static int to_int(float v, double scale)
{
    return (int)lrint(fmax(-scale, fmin(scale - 1, (double)v * scale)));
}

/* Values in the coding's own type, clipped but for floats. */
static wf_status write_samples(wf_ctx *c, const char *path, SNDFILE *f, const wf_sound *s,
                               int coding)
{
    int words[BLOCK];
    float values[BLOCK];
    const bool is_pcm = coding == SF_FORMAT_PCM_16 || coding == SF_FORMAT_PCM_24;
    const double scale = coding == SF_FORMAT_PCM_16 ? 32768.0 : 8388608.0;
    const int64_t n = s->samples * s->channels, block = BLOCK / s->channels * s->channels;
    for (int64_t done = 0; done < n; done += block) {
        const int64_t part = n - done < block ? n - done : block;
        for (int64_t k = 0; k < part; k++) {
            const float v = s->data[done + k];
            values[k] = coding == SF_FORMAT_FLOAT ? v : fmaxf(-1.0f, fminf(1.0f, v));
            if (is_pcm) words[k] = to_int(v, scale) * (int)(2147483648.0 / scale);
        }
        if ((is_pcm ? sf_write_int(f, words, part) : sf_write_float(f, values, part)) != part)
            return wf_fail_status(c, WF_EIO, "%s: samples from %lld on cannot be encoded", path,
                                  (long long)(done / s->channels));
    }
    return WF_OK;
}

static wf_status write_stream(wf_ctx *c, const char *path, stream *io, const wf_sound *s,
                              const wf_sound_options *o, int format)
{
    SF_INFO info = {.samplerate = s->rate_hz, .channels = (int)s->channels, .format = format};
    SNDFILE *f = sf_open_virtual(&callbacks, SFM_WRITE, &info, io);
    if (!f) return wf_fail_status(c, WF_EIO, "%s: %s", path, sf_strerror(NULL));
    double quality = o->quality;
    sf_command(f, SFC_SET_ADD_PEAK_CHUNK, NULL, SF_FALSE);      /* it holds the time of day */
    if (quality >= 0) sf_command(f, SFC_SET_VBR_ENCODING_QUALITY, &quality, sizeof quality);
    if (o->meta) set_texts(c, path, f, (format & SF_FORMAT_TYPEMASK) == SF_FORMAT_WAV, o->meta);
    if (!wf_has_failed(c)) (void)write_samples(c, path, f, s, format & SF_FORMAT_SUBMASK);
    const int rc = sf_close(f);
    if (rc != 0) wf_fail(c, WF_EIO, "%s: the last bytes cannot be encoded", path);
    return wf_get_status(c);
}

wf_status wf_sound_save(wf_ctx *c, const char *path, const wf_sound *s, const wf_sound_options *o)
{
    const int bits = o->bits ? o->bits : 16, format = find_format(path, bits);
    WF_TRY(wf_meta_check(c, o->meta));
    WF_TRY(check_save(c, path, s, bits, format));
    stream io = {.c = c, .w = wf_file_write_open(c, path, o->overwrite)};
    if (!io.w) return wf_get_status(c);
    const int kind = format & SF_FORMAT_TYPEMASK;
    if (write_stream(c, path, &io, s, o, format) == WF_OK) {
        if (kind == SF_FORMAT_OGG) (void)wfi_sound_number_pages(c, io.w);
        if (kind == SF_FORMAT_WAV && o->meta && o->meta->weft)
            (void)wfi_sound_add_chunk(c, io.w, o->meta->weft);
    }
    return wf_file_write_commit(c, io.w);
}
