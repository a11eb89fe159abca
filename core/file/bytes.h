/* bytes.h - a growing run of bytes, for headers and chunks that are built before they are written;
 * and what is asked of texts.
 */
#ifndef WF_CORE_BYTES_H
#define WF_CORE_BYTES_H

#include <stdint.h>

#include "core/base/ctx.h"

typedef struct wf_bytes {
    wf_ctx *c;
    uint8_t *data;                      /* NULL while empty */
    size_t n, cap;
} wf_bytes;

/* Append; nothing happens once c has failed (WF_ENOMEM). Start from wf_bytes b = {.c = c}. */
void wf_bytes_put(wf_bytes *b, const void *data, size_t n);
void wf_bytes_put_text(wf_bytes *b, const char *text);                  /* without its NUL */
void wf_bytes_put_u8(wf_bytes *b, uint8_t v);
void wf_bytes_put_u16be(wf_bytes *b, uint16_t v);
void wf_bytes_put_u32be(wf_bytes *b, uint32_t v);
void wf_bytes_put_u32le(wf_bytes *b, uint32_t v);
void wf_bytes_put_u64le(wf_bytes *b, uint64_t v);
void wf_bytes_printf(wf_bytes *b, const char *fmt, ...) WF_PRINTF(2, 3);
/* text as a JSON string with its quotes; fails with WF_EARG when it is not UTF-8. */
void wf_bytes_put_json(wf_bytes *b, const char *text);
void wf_bytes_free(wf_bytes *b);

/* A NUL-terminated copy of n bytes, for the caller to wf_mem_free; NULL once c has failed. */
char *wf_copy_text(wf_ctx *c, const void *text, size_t n);

bool wf_ends_with(const char *text, const char *end);
bool wf_has_extension(const char *path, const char *end);   /* the same for letters of any case */
bool wf_is_utf8(const void *text, size_t n);
/* Text from a file or a user, safe for a terminal: control bytes and broken UTF-8 as \xNN, cut
 * at 200 bytes or at what buf holds. Returns buf. */
const char *wf_quote(char *buf, size_t buf_bytes, const void *text, size_t n);

enum { WF_QUOTE_MAX = 208 };            /* a buffer that holds any quoted text */

#endif
