/* textbuf.c - growing buffers, and characters of UTF-8. */
#include "core/text/textbuf.h"

#include <string.h>
#include <utf8proc.h>

/* A block of at least want units of unit bytes with n of them copied; NULL without memory. */
static void *grow(wf_mem *m, void *p, size_t n, size_t unit, size_t want, size_t *cap)
{
    size_t more = *cap ? 2 * *cap : 64;
    if (more < want) more = want;
    void *q = wf_mem_alloc(m, more * unit);
    if (!q) return NULL;
    if (n) memcpy(q, p, n * unit);
    wf_mem_free(m, p);
    *cap = more;
    return q;
}

void wf_textbuf_add(wf_textbuf *b, const char *p, size_t n)
{
    if (b->failed) return;
    if (b->n + n + 1 > b->cap) {
        char *q = grow(b->mem, b->p, b->n, 1, b->n + n + 1, &b->cap);
        b->failed = !q;
        if (!q) return;
        b->p = q;
    }
    if (n) memcpy(b->p + b->n, p, n);
    b->n += n;
    b->p[b->n] = '\0';
}

void wf_textbuf_free(wf_textbuf *b)
{
    wf_mem_free(b->mem, b->p);
    *b = (wf_textbuf){.mem = b->mem};
}

void wf_idbuf_add(wf_idbuf *b, int64_t id)
{
    if (b->failed) return;
    if (b->n == b->cap) {
        int64_t *q = grow(b->mem, b->p, b->n, sizeof *b->p, b->n + 1, &b->cap);
        b->failed = !q;
        if (!q) return;
        b->p = q;
    }
    b->p[b->n++] = id;
}

void wf_idbuf_free(wf_idbuf *b)
{
    wf_mem_free(b->mem, b->p);
    *b = (wf_idbuf){.mem = b->mem};
}

/* ---- words ---- */

wf_words wf_words_new(wf_mem *m)
{
    return (wf_words){.text = {.mem = m}, .ends = {.mem = m}};
}

void wf_words_add(wf_words *w, const char *p, size_t n)
{
    if (n == 0) return;
    wf_textbuf_add(&w->text, p, n);
    wf_idbuf_add(&w->ends, (int64_t)w->text.n);
}

size_t wf_words_get(const wf_words *w, size_t i, const char **p)
{
    const size_t from = i ? (size_t)w->ends.p[i - 1] : 0;
    *p = w->text.p + from;
    return (size_t)w->ends.p[i] - from;
}

bool wf_words_failed(const wf_words *w) { return w->text.failed || w->ends.failed; }

void wf_words_free(wf_words *w)
{
    wf_textbuf_free(&w->text);
    wf_idbuf_free(&w->ends);
}

/* ---- UTF-8 ---- */

size_t wf_utf8_read(const char *p, size_t n, int32_t *cp)
{
    utf8proc_int32_t x = -1;
    const utf8proc_ssize_t k =
        utf8proc_iterate((const utf8proc_uint8_t *)p, (utf8proc_ssize_t)n, &x);
    *cp = k > 0 ? x : -1;
    return k > 0 ? (size_t)k : 1;
}

size_t wf_utf8_span(const char *p, size_t n)
{
    size_t at = 0;
    int32_t cp;
    while (at < n) {
        const size_t k = wf_utf8_read(p + at, n - at, &cp);
        if (cp < 0) break;
        at += k;
    }
    return at;
}

void wf_textbuf_add_char(wf_textbuf *b, int32_t cp)
{
    utf8proc_uint8_t out[4];
    const utf8proc_ssize_t k = utf8proc_encode_char(cp, out);
    wf_textbuf_add(b, (const char *)out, k > 0 ? (size_t)k : 0);
}
