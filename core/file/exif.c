/*
 * exif.c - EXIF blocks and XMP packets, as far as provenance and orientation need them.
 *
 * Source: EXIF 2.32, sections 4.5 and 4.6.5 (a TIFF file in a segment; UserComment begins with
 * eight bytes that name its code); XMP specification part 3, section 1.1.3.
 */
#include "core/file/exif.h"

#include <string.h>

#include "core/file/file_map.h"

enum {
    TAG_ORIENTATION = 0x0112, TAG_EXIF = 0x8769, TAG_COMMENT = 0x9286,
    TYPE_SHORT = 3, TYPE_LONG = 4, TYPE_UNDEFINED = 7,
    CODE_BYTES = 8,                     /* in front of a comment */
    MAX_ENTRIES = 512
};

static const char EXIF_MARK[] = "Exif\0";               /* 6 bytes with the final zero */
static const char XMP_MARK[] = "http://ns.adobe.com/xap/1.0/";
static const char XMP_BEGIN[] = "<weft:provenance>", XMP_END[] = "</weft:provenance>";

/* ---- reading EXIF ---- */

/* A TIFF block; reads outside it give 0. */
typedef struct tiff {
    const uint8_t *data;
    size_t n;
    bool big;                           /* byte order */
} tiff;

static uint32_t number_at(const tiff *t, size_t at, size_t bytes)
{
    uint32_t v = 0;
    if (at > t->n || bytes > t->n - at) return 0;
    for (size_t i = 0; i < bytes; i++)
        v |= (uint32_t)t->data[at + i] << (8 * (t->big ? bytes - 1 - i : i));
    return v;
}

/* Where the entry of a tag stands in the directory at offset dir; 0: nowhere. */
static size_t find_entry(const tiff *t, size_t dir, uint32_t tag)
{
    const uint32_t n = number_at(t, dir, 2);
    for (uint32_t i = 0; dir && i < n && i < MAX_ENTRIES; i++)
        if (number_at(t, dir + 2 + 12 * (size_t)i, 2) == tag) return dir + 2 + 12 * (size_t)i;
    return 0;
}

static uint32_t value_of(const tiff *t, size_t entry)
{
    return !entry ? 0 : number_at(t, entry + 8, number_at(t, entry + 2, 2) == TYPE_SHORT ? 2 : 4);
}

static void put_utf8(wf_bytes *b, uint32_t u)
{
    if (u < 0x80) {
        wf_bytes_put_u8(b, (uint8_t)u);
    } else if (u < 0x800) {
        wf_bytes_put_u8(b, (uint8_t)(0xc0 | u >> 6));
        wf_bytes_put_u8(b, (uint8_t)(0x80 | (u & 0x3f)));
    } else {
        wf_bytes_put_u8(b, (uint8_t)(u < 0x10000 ? 0xe0 | u >> 12 : 0xf0 | u >> 18));
        if (u >= 0x10000) wf_bytes_put_u8(b, (uint8_t)(0x80 | (u >> 12 & 0x3f)));
        wf_bytes_put_u8(b, (uint8_t)(0x80 | (u >> 6 & 0x3f)));
        wf_bytes_put_u8(b, (uint8_t)(0x80 | (u & 0x3f)));
    }
}

/* UTF-16 in the block's byte order as UTF-8; a lone surrogate becomes U+FFFD. */
static void put_from_utf16(wf_bytes *b, const tiff *t, size_t at, size_t n)
{
    for (size_t i = 0; i + 1 < n; i += 2) {
        uint32_t u = number_at(t, at + i, 2);
        const uint32_t low = i + 3 < n ? number_at(t, at + i + 2, 2) : 0;
        if (u >= 0xd800 && u < 0xdc00 && low >= 0xdc00 && low < 0xe000) {
            u = 0x10000 + ((u - 0xd800) << 10) + (low - 0xdc00);
            i += 2;
        }
        if (!u) break;
        put_utf8(b, u >= 0xd800 && u < 0xe000 ? 0xfffd : u);
    }
}

static void read_comment(wf_ctx *c, const tiff *t, size_t entry, wf_meta_found *meta)
{
    const size_t n = number_at(t, entry + 4, 4), at = number_at(t, entry + 8, 4);
    if (!entry || n <= CODE_BYTES || at > t->n || n > t->n - at) return;
    if (memcmp(t->data + at, "UNICODE", CODE_BYTES) != 0) {
        wf_meta_keep_parameters(c, meta, t->data + at + CODE_BYTES, n - CODE_BYTES);
        return;
    }
    wf_bytes b = {.c = c};
    put_from_utf16(&b, t, at + CODE_BYTES, n - CODE_BYTES);
    wf_meta_keep_parameters(c, meta, b.data, b.n);
    wf_bytes_free(&b);
}

int wf_exif_read(wf_ctx *c, const uint8_t *data, size_t n, wf_meta_found *meta)
{
    if (n < sizeof EXIF_MARK + 8 || memcmp(data, EXIF_MARK, sizeof EXIF_MARK) != 0) return 0;
    tiff t = {.data = data + sizeof EXIF_MARK, .n = n - sizeof EXIF_MARK};
    t.big = t.data[0] == 'M';
    if (number_at(&t, 2, 2) != 42) return 0;
    const size_t dir = number_at(&t, 4, 4);
    read_comment(c, &t, find_entry(&t, value_of(&t, find_entry(&t, dir, TAG_EXIF)), TAG_COMMENT),
                 meta);
    const uint32_t turn = value_of(&t, find_entry(&t, dir, TAG_ORIENTATION));
    return turn >= 1 && turn <= 8 ? (int)turn : 0;
}

/* ---- writing EXIF ---- */

static void put_entry(wf_bytes *b, uint16_t tag, uint16_t type, uint32_t count, uint32_t value)
{
    wf_bytes_put_u16be(b, tag);
    wf_bytes_put_u16be(b, type);
    wf_bytes_put_u32be(b, count);
    wf_bytes_put_u32be(b, value);
}

/* Valid UTF-8 as big-endian UTF-16. */
static void put_utf16(wf_bytes *b, const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p;) {
        const int more = *p >= 0xf0 ? 3 : *p >= 0xe0 ? 2 : *p >= 0xc0 ? 1 : 0;
        uint32_t u = more == 3 ? *p & 0x07u : more == 2 ? *p & 0x0fu : more == 1 ? *p & 0x1fu : *p;
        p++;
        for (int i = 0; i < more; i++) u = u << 6 | (*p++ & 0x3fu);
        if (u >= 0x10000) {
            u -= 0x10000;
            wf_bytes_put_u16be(b, (uint16_t)(0xd800 + (u >> 10)));
            u = 0xdc00 + (u & 0x3ff);
        }
        wf_bytes_put_u16be(b, (uint16_t)u);
    }
}

void wf_exif_write(wf_bytes *out, const char *comment)
{
    enum { DIR_AT = 8, EXIF_AT = 26, COMMENT_AT = 44 };  /* a directory of one entry is 18 bytes */
    wf_bytes text = {.c = out->c};
    wf_bytes_put(&text, "UNICODE", CODE_BYTES);
    put_utf16(&text, comment);
    wf_bytes_put(out, EXIF_MARK, sizeof EXIF_MARK);
    wf_bytes_put(out, "MM\0*", 4);
    wf_bytes_put_u32be(out, DIR_AT);
    wf_bytes_put_u16be(out, 1);
    put_entry(out, TAG_EXIF, TYPE_LONG, 1, EXIF_AT);
    wf_bytes_put_u32be(out, 0);
    wf_bytes_put_u16be(out, 1);
    put_entry(out, TAG_COMMENT, TYPE_UNDEFINED, (uint32_t)text.n, COMMENT_AT);
    wf_bytes_put_u32be(out, 0);
    wf_bytes_put(out, text.data, text.n);
    wf_bytes_free(&text);
}

/* ---- XMP ---- */

static const struct { char ch; const char *name; } entities[] = {
    {'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}};

enum { N_ENTITIES = sizeof entities / sizeof entities[0] };

static const uint8_t *find_text(const uint8_t *data, size_t n, const char *text)
{
    return n ? memmem(data, n, text, strlen(text)) : NULL;
}

void wf_xmp_read(wf_ctx *c, const uint8_t *data, size_t n, wf_meta_found *meta)
{
    if (n < sizeof XMP_MARK || memcmp(data, XMP_MARK, sizeof XMP_MARK) != 0) return;
    const uint8_t *p = find_text(data, n, XMP_BEGIN);
    if (!p) return;
    p += strlen(XMP_BEGIN);
    const uint8_t *end = find_text(p, n - (size_t)(p - data), XMP_END);
    wf_bytes b = {.c = c};
    while (end && p < end) {
        int k = 0;
        while (k < N_ENTITIES && ((size_t)(end - p) < strlen(entities[k].name) ||
                                  memcmp(p, entities[k].name, strlen(entities[k].name)) != 0))
            k++;
        wf_bytes_put_u8(&b, k < N_ENTITIES ? (uint8_t)entities[k].ch : *p);
        p += k < N_ENTITIES ? strlen(entities[k].name) : 1;
    }
    if (end) wf_meta_keep_weft(c, meta, b.data, b.n);
    wf_bytes_free(&b);
}

void wf_xmp_write(wf_bytes *out, const char *json)
{
    wf_bytes_put(out, XMP_MARK, sizeof XMP_MARK);
    wf_bytes_put_text(out, "<?xpacket begin='\xef\xbb\xbf' id='W5M0MpCehiHzreSzNTczkc9d'?>"
                           "<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf="
                           "'http://www.w3.org/1999/02/22-rdf-syntax-ns#'><rdf:Description "
                           "rdf:about='' xmlns:weft='urn:weft:1'>");
    wf_bytes_put_text(out, XMP_BEGIN);
    for (const char *p = json; *p; p++) {
        int k = 0;
        while (k < N_ENTITIES && entities[k].ch != *p) k++;
        if (k < N_ENTITIES) wf_bytes_put_text(out, entities[k].name);
        else wf_bytes_put_u8(out, (uint8_t)*p);
    }
    wf_bytes_put_text(out, XMP_END);
    wf_bytes_put_text(out, "</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end='r'?>");
}
