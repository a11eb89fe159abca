/*
 * charsmap.c - walks the double array of darts-clone: unit i's children stand at i ^ offset ^ byte.
 *
 * Source: sentencepiece's normalizer.cc and third_party/darts_clone/darts.h for the bits of a unit;
 * tokenizers' normalizers/precompiled.rs for graphemes.
 */
#include "core/text/charsmap.h"

#include <string.h>
#include <utf8proc.h>

wf_status wf_charsmap_open(wf_ctx *c, wf_charsmap *m, const void *blob, size_t bytes,
                           const char *path)
{
    const uint8_t *p = blob;
    const size_t trie = bytes < 4 ? 0 : (size_t)p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 |
                                            (size_t)p[3] << 24;
    if (bytes < 4 || trie > bytes - 4 || trie < 4 || trie % 4 != 0 || p[bytes - 1] != 0)
        return wf_fail_status(c, WF_EFORMAT,
                              "%s: its normalisation table has %zu bytes and a trie of %zu, wanted "
                              "a trie of whole units and zero-ended texts",
                              path, bytes, trie);
    *m = (wf_charsmap){p, trie / 4, bytes - 4 - trie};
    return WF_OK;
}

static uint32_t unit_at(const wf_charsmap *m, size_t i)
{
    const uint8_t *p = m->blob + 4 + 4 * i;
    return i < m->n_units ? (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
                                (uint32_t)p[3] << 24
                          : 0;
}

static size_t offset_of(uint32_t unit)
{
    return (size_t)(unit >> 10) << ((unit & (1u << 9)) >> 6);
}

/* What an entry at the start of text becomes, NULL when there is none; *used: its bytes. */
static const char *find_entry(const wf_charsmap *m, const char *text, size_t n, bool longest,
                              size_t *used)
{
    const char *found = NULL;
    size_t at = offset_of(unit_at(m, 0));
    for (size_t i = 0; i < n && (longest || !found); i++) {
        at ^= (uint8_t)text[i];
        const uint32_t unit = unit_at(m, at);
        if ((unit & ((1u << 31) | 0xff)) != (uint8_t)text[i]) break;
        at ^= offset_of(unit);
        const size_t value = unit_at(m, at) & 0x7fffffff;
        if ((unit >> 8 & 1) == 0 || value >= m->n_texts) continue;
        found = (const char *)m->blob + 4 + 4 * m->n_units + value;
        *used = i + 1;
    }
    return found;
}

static size_t char_bytes(const char *p, size_t n)
{
    int32_t cp;
    return wf_utf8_read(p, n, &cp);
}

/* Bytes of the grapheme at p. */
static size_t grapheme_bytes(const char *p, size_t n)
{
    int32_t before, cp;
    utf8proc_int32_t state = 0;
    size_t at = wf_utf8_read(p, n, &before);
    while (before >= 0 && at < n) {
        const size_t k = wf_utf8_read(p + at, n - at, &cp);
        if (cp < 0 || utf8proc_grapheme_break_stateful(before, cp, &state)) break;
        before = cp;
        at += k;
    }
    return at;
}

static void run_grapheme(const wf_charsmap *m, const char *p, size_t n, wf_textbuf *out)
{
    enum { LONG = 6 };           /* bytes from which on a grapheme is not looked up whole */
    size_t used;
    const char *whole = n < LONG ? find_entry(m, p, n, false, &used) : NULL;
    if (whole) {
        wf_textbuf_add(out, whole, strlen(whole));
        return;
    }
    for (size_t at = 0, k; at < n; at += k) {
        k = char_bytes(p + at, n - at);
        const char *part = find_entry(m, p + at, k, false, &used);
        wf_textbuf_add(out, part ? part : p + at, part ? strlen(part) : k);
    }
}

void wf_charsmap_run(const wf_charsmap *m, const char *text, size_t n, bool by_grapheme,
                     wf_textbuf *out)
{
    for (size_t at = 0, k; at < n; at += k) {
        if (by_grapheme) {
            k = grapheme_bytes(text + at, n - at);
            run_grapheme(m, text + at, k, out);
            continue;
        }
        const char *part = find_entry(m, text + at, n - at, true, &k);
        if (!part) k = char_bytes(text + at, n - at);
        wf_textbuf_add(out, part ? part : text + at, part ? strlen(part) : k);
    }
}
