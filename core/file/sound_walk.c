/* sound_walk.c - walks over WAV, AIFF and Ogg containers. */
#include "core/file/sound_walk.h"

#include <string.h>

#include "core/file/bytes.h"
#include "core/file/file_map.h"
#include "core/file/sound.h"

enum {
    TAG_PCM = 1, TAG_FLOAT = 3, TAG_EXTENSIBLE = 0xfffe,
    PAGE_HEAD_BYTES = 27,               /* before the table of segments */
    PAGE_MAX_BYTES = 27 + 255 + 255 * 255,
    PAGE_LAST = 4,                      /* flag: the stream ends here */
    SERIAL_AT = 14, SUM_AT = 22,        /* in a page's head */
    CHUNK_MAX_BYTES = 1 << 20           /* of our own chunk */
};

/* A WAV whose data chunk has this length or more was written to a pipe. */
static const uint32_t STREAM_BYTES = 0x7ffff000u;

/* ---- chunks ---- */

typedef struct chunks {
    wf_ctx *c;
    const char *name;
    bool is_wav;
    int n_formats, n_data;
    wf_meta_found *meta;
} chunks;

/* F-090, F-091: the sizes in a WAV's format must agree, and be ones that we read. */
static void check_format(chunks *k, wf_cursor body)
{
    const unsigned tag = wf_cursor_u16le(&body, "the format"),
                   channels = wf_cursor_u16le(&body, "the format");
    const uint32_t rate = wf_cursor_u32le(&body, "the format");
    (void)wf_cursor_u32le(&body, "the format");
    const unsigned align = wf_cursor_u16le(&body, "the format"),
                   bits = wf_cursor_u16le(&body, "the format");
    if (wf_has_failed(k->c)) return;
    if (tag != TAG_PCM && tag != TAG_FLOAT && tag != TAG_EXTENSIBLE)
        wf_fail(k->c, WF_EUNSUPPORTED, "%s: a WAV of coding %u; PCM and float are read", k->name,
                tag);
    else if (channels < 1 || channels > WF_SOUND_MAX_CHANNELS)
        wf_fail(k->c, WF_EFORMAT, "%s: has %u channels, must be 1 to %d", k->name, channels,
                WF_SOUND_MAX_CHANNELS);
    else if (rate < WF_SOUND_MIN_RATE_HZ || rate > WF_SOUND_MAX_RATE_HZ)
        wf_fail(k->c, WF_EFORMAT, "%s: has a rate of %lu Hz, must be %d to %d", k->name,
                (unsigned long)rate, WF_SOUND_MIN_RATE_HZ, WF_SOUND_MAX_RATE_HZ);
    else if (align != channels * ((bits + 7) / 8) || bits < 8 || bits > 64)
        wf_fail(k->c, WF_EFORMAT, "%s: blocks of %u bytes cannot hold %u channels of %u bits",
                k->name, align, channels, bits);
}

/* The samples' chunk may be shorter than it says only in a WAV from a pipe, as the last one. */
static void check_data(chunks *k, uint32_t bytes, size_t left)
{
    k->n_data++;
    if (k->n_data > 1) wf_fail(k->c, WF_EFORMAT, "%s: has two chunks of samples", k->name);
    else if (k->is_wav && !k->n_formats)
        wf_fail(k->c, WF_EFORMAT, "%s: has samples before their format", k->name);
    else if (bytes > left && !(k->is_wav && bytes >= STREAM_BYTES))
        wf_fail(k->c, WF_EFORMAT, "%s: says it holds %lu bytes of sound, %zu are there", k->name,
                (unsigned long)bytes, left);
}

/* One chunk; false after the last. What comes behind the samples may be cut off. */
static bool walk_chunk(chunks *k, wf_cursor *at)
{
    const uint8_t *id = wf_cursor_read(at, 4, "a chunk");
    const uint32_t bytes =
        k->is_wav ? wf_cursor_u32le(at, "a chunk") : wf_cursor_u32be(at, "a chunk");
    if (wf_has_failed(k->c)) return false;
    const bool fits = bytes <= wf_cursor_left(at);
    if (memcmp(id, k->is_wav ? "data" : "SSND", 4) == 0) check_data(k, bytes, wf_cursor_left(at));
    if (!fits && k->n_data) return false;
    wf_cursor body = wf_cursor_part(at, bytes, "a chunk");
    if (k->is_wav && memcmp(id, "fmt ", 4) == 0) {
        if (k->n_formats++) wf_fail(k->c, WF_EFORMAT, "%s: has two formats", k->name);
        check_format(k, body);
    }
    if (k->is_wav && memcmp(id, "weft", 4) == 0 && bytes <= CHUNK_MAX_BYTES && !wf_has_failed(k->c))
        wf_meta_keep_weft(k->c, k->meta, body.data, body.n);
    if (bytes % 2 && wf_cursor_left(at)) (void)wf_cursor_read(at, 1, "a chunk");
    return !wf_has_failed(k->c) && wf_cursor_left(at) >= 8;
}

wf_status wfi_sound_check_chunks(wf_ctx *c, const char *name, const uint8_t *data, size_t n,
                                 wf_meta_found *meta)
{
    chunks k = {.c = c, .name = name, .is_wav = data[0] == 'R', .meta = meta};
    wf_cursor at = {.c = c, .name = name, .data = data, .n = n};
    (void)wf_cursor_read(&at, 12, "the header");
    while (walk_chunk(&k, &at)) continue;
    if (!wf_has_failed(c) && !k.n_data) wf_fail(c, WF_EFORMAT, "%s: has no samples", name);
    return wf_get_status(c);
}

wf_status wfi_sound_add_chunk(wf_ctx *c, wf_file_write *w, const char *text)
{
    const uint64_t end = wf_file_write_get_bytes(w);
    const size_t n = strlen(text);
    wf_bytes b = {.c = c};
    if (end % 2) wf_bytes_put_u8(&b, 0);
    wf_bytes_put(&b, "weft", 4);
    wf_bytes_put_u32le(&b, (uint32_t)n);
    wf_bytes_put(&b, text, n);
    if (n % 2) wf_bytes_put_u8(&b, 0);
    wf_file_write_seek(w, end);
    (void)wf_file_write_put(c, w, b.data, b.n);
    const uint64_t all = end + b.n;
    b.n = 0;
    wf_bytes_put_u32le(&b, (uint32_t)(all - 8));
    wf_file_write_seek(w, 4);
    (void)wf_file_write_put(c, w, b.data, b.n);
    wf_bytes_free(&b);
    return wf_get_status(c);
}

/* ---- pages ---- */

/* Bytes of the page that starts with this head and table, 0 when it is none; n: bytes there. */
static size_t page_bytes(const uint8_t *p, size_t n)
{
    if (n < PAGE_HEAD_BYTES || memcmp(p, "OggS", 4) != 0) return 0;
    size_t bytes = PAGE_HEAD_BYTES + p[26];
    if (n < bytes) return 0;
    for (size_t i = 0; i < p[26]; i++) bytes += p[PAGE_HEAD_BYTES + i];
    return bytes;
}

/* Ogg's checksum: polynomial 0x04c11db7, high bit first, from 0, its own place counted as zeros. */
typedef struct sums {
    uint32_t of[256];                   /* of single bytes */
} sums;

static sums make_sums(void)
{
    sums s;
    for (uint32_t i = 0; i < 256; i++) {
        s.of[i] = i << 24;
        for (int bit = 0; bit < 8; bit++)
            s.of[i] = s.of[i] << 1 ^ (s.of[i] >> 31 ? 0x04c11db7u : 0);
    }
    return s;
}

static uint32_t checksum(const sums *s, const uint8_t *page, size_t n)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        const uint32_t byte = i >= SUM_AT && i < SUM_AT + 4 ? 0 : page[i];
        sum = sum << 8 ^ s->of[(sum >> 24 ^ byte) & 255];
    }
    return sum;
}

wf_status wfi_sound_check_pages(wf_ctx *c, const char *name, const uint8_t *data, size_t n)
{
    const sums s = make_sums();
    size_t at = 0;
    bool ended = false;
    while (at < n) {
        const uint8_t *page = data + at;
        const size_t bytes = page_bytes(page, n - at);
        if (!bytes || bytes > n - at)
            return wf_fail_status(c, WF_EFORMAT, "%s: offset %zu: %s", name, at,
                                  bytes ? "the file ends within a page" : "no Ogg page");
        wf_cursor sum = {.c = c, .name = name, .data = page + SUM_AT, .n = 4};
        if (wf_cursor_u32le(&sum, "a page") != checksum(&s, page, bytes))
            return wf_fail_status(c, WF_EFORMAT, "%s: offset %zu: damaged page", name, at);
        ended = page[5] & PAGE_LAST;
        at += bytes;
    }
    if (ended) return WF_OK;
    return wf_fail_status(c, WF_EFORMAT, "%s: the file ends before its stream does", name);
}

static void put_u32le(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++) p[i] = (uint8_t)(v >> 8 * i);
}

wf_status wfi_sound_number_pages(wf_ctx *c, wf_file_write *w)
{
    uint8_t *page = wf_mem_alloc(wf_ctx_get_mem(c), PAGE_MAX_BYTES);
    if (!page) return wf_fail_status(c, WF_ENOMEM, "no memory to write Ogg pages");
    const sums sum = make_sums();
    for (uint64_t at = 0; at < wf_file_write_get_bytes(w) && !wf_has_failed(c);) {
        wf_file_write_seek(w, at);
        const size_t n = wf_file_write_read(c, w, page, PAGE_MAX_BYTES),
                     bytes = page_bytes(page, n);
        if (!bytes || bytes > n) {
            wf_fail(c, WF_EINTERNAL, "libsndfile wrote no Ogg page at offset %llu",
                    (unsigned long long)at);
            break;
        }
        put_u32le(page + SERIAL_AT, 1);
        put_u32le(page + SUM_AT, checksum(&sum, page, bytes));
        wf_file_write_seek(w, at);
        (void)wf_file_write_put(c, w, page, bytes);
        at += bytes;
    }
    wf_mem_free(wf_ctx_get_mem(c), page);
    return wf_get_status(c);
}
