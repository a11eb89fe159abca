/* textbuf.h - growing bytes and lists of ids, as tokenizers need them. */
#ifndef WF_CORE_TEXTBUF_H
#define WF_CORE_TEXTBUF_H

#include "core/base/ctx.h"
#include "core/base/mem.h"

#include <stdint.h>

/* Bytes with a zero behind them. Once out of memory it stays failed and takes nothing more. */
typedef struct wf_textbuf {
    wf_mem *mem;
    char *p;                 /* NULL while empty */
    size_t n, cap;
    bool failed;
} wf_textbuf;

void wf_textbuf_add(wf_textbuf *b, const char *p, size_t n);
void wf_textbuf_free(wf_textbuf *b);

/* The same for ids. */
typedef struct wf_idbuf {
    wf_mem *mem;
    int64_t *p;
    size_t n, cap;
    bool failed;
} wf_idbuf;

void wf_idbuf_add(wf_idbuf *b, int64_t id);
void wf_idbuf_free(wf_idbuf *b);

/* Text cut into words: word i is the bytes from ends[i-1] (0 for the first) to ends[i]. */
typedef struct wf_words {
    wf_textbuf text;
    wf_idbuf ends;
} wf_words;

wf_words wf_words_new(wf_mem *m);
void wf_words_add(wf_words *w, const char *p, size_t n);     /* one word; none if it is empty */
size_t wf_words_get(const wf_words *w, size_t i, const char **p);   /* bytes of word i */
bool wf_words_failed(const wf_words *w);
void wf_words_free(wf_words *w);

/* ---- UTF-8 ---- */

/* Bytes of the character at p, of n > 0 that are left; 1 for a byte that begins no valid one, and
 * then *cp is -1. */
size_t wf_utf8_read(const char *p, size_t n, int32_t *cp);
/* Bytes of p[0..n) up to the first that is no UTF-8. */
size_t wf_utf8_span(const char *p, size_t n);
void wf_textbuf_add_char(wf_textbuf *b, int32_t cp);

#endif
