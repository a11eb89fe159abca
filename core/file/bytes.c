/* bytes.c - a growing run of bytes, UTF-8 checks, and text made safe for a terminal. */
#include "core/file/bytes.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool reserve(wf_bytes *b, size_t more)
{
    if (wf_has_failed(b->c)) return false;
    if (more <= b->cap - b->n) return true;
    size_t cap = b->cap ? b->cap : 256;
    while (cap - b->n < more && cap < SIZE_MAX / 4) cap *= 2;
    wf_mem *m = wf_ctx_get_mem(b->c);
    uint8_t *data = cap - b->n < more ? NULL : wf_mem_alloc(m, cap);
    if (!data) {
        wf_fail(b->c, WF_ENOMEM, "no memory for %zu bytes of a file", cap);
        return false;
    }
    if (b->n) memcpy(data, b->data, b->n);
    wf_mem_free(m, b->data);
    b->data = data;
    b->cap = cap;
    return true;
}

void wf_bytes_put(wf_bytes *b, const void *data, size_t n)
{
    if (!n || !reserve(b, n)) return;
    memcpy(b->data + b->n, data, n);
    b->n += n;
}

void wf_bytes_put_text(wf_bytes *b, const char *text) { wf_bytes_put(b, text, strlen(text)); }

void wf_bytes_put_u8(wf_bytes *b, uint8_t v) { wf_bytes_put(b, &v, 1); }

void wf_bytes_put_u16be(wf_bytes *b, uint16_t v)
{
    const uint8_t raw[] = {(uint8_t)(v >> 8), (uint8_t)v};
    wf_bytes_put(b, raw, sizeof raw);
}

void wf_bytes_put_u32be(wf_bytes *b, uint32_t v)
{
    wf_bytes_put_u16be(b, (uint16_t)(v >> 16));
    wf_bytes_put_u16be(b, (uint16_t)v);
}

void wf_bytes_put_u32le(wf_bytes *b, uint32_t v)
{
    for (int i = 0; i < 4; i++) wf_bytes_put_u8(b, (uint8_t)(v >> (8 * i)));
}

void wf_bytes_put_u64le(wf_bytes *b, uint64_t v)
{
    wf_bytes_put_u32le(b, (uint32_t)v);
    wf_bytes_put_u32le(b, (uint32_t)(v >> 32));
}

void wf_bytes_printf(wf_bytes *b, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    const int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof text)
        wf_fail(b->c, WF_EINTERNAL, "a formatted piece of a file is too long");
    else
        wf_bytes_put(b, text, (size_t)n);
}

void wf_bytes_put_json(wf_bytes *b, const char *text)
{
    if (!wf_is_utf8(text, strlen(text))) {
        wf_fail(b->c, WF_EARG, "a name or text to write is not UTF-8");
        return;
    }
    wf_bytes_put_u8(b, '"');
    for (const char *p = text; *p; p++) {
        const unsigned char ch = (unsigned char)*p;
        if (ch < 0x20 || ch == 0x7f) wf_bytes_printf(b, "\\u%04x", ch);
        else if (ch == '"' || ch == '\\') wf_bytes_printf(b, "\\%c", ch);
        else wf_bytes_put_u8(b, ch);
    }
    wf_bytes_put_u8(b, '"');
}

void wf_bytes_free(wf_bytes *b)
{
    wf_mem_free(wf_ctx_get_mem(b->c), b->data);
    b->data = NULL;
    b->n = b->cap = 0;
}

char *wf_copy_text(wf_ctx *c, const void *text, size_t n)
{
    if (wf_has_failed(c)) return NULL;
    char *out = n < SIZE_MAX ? wf_mem_alloc(wf_ctx_get_mem(c), n + 1) : NULL;
    if (!out) return wf_fail(c, WF_ENOMEM, "no memory for a text of %zu bytes", n);
    if (n) memcpy(out, text, n);
    out[n] = '\0';
    return out;
}

bool wf_ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), k = strlen(end);
    return n >= k && strcmp(text + n - k, end) == 0;
}

bool wf_has_extension(const char *path, const char *end)
{
    const size_t n = strlen(path), k = strlen(end);
    return n >= k && strcasecmp(path + n - k, end) == 0;
}

/* Bytes of the valid UTF-8 sequence at p, 0 when there is none. RFC 3629, section 4. */
static size_t utf8_step(const unsigned char *p, size_t n)
{
    if (p[0] < 0x80) return 1;
    const size_t want = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || n < want) return 0;
    for (size_t i = 1; i < want; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    if (p[0] == 0xe0 && p[1] < 0xa0) return 0;          /* overlong */
    if (p[0] == 0xed && p[1] > 0x9f) return 0;          /* surrogates */
    if (p[0] == 0xf0 && p[1] < 0x90) return 0;          /* overlong */
    if (p[0] == 0xf4 && p[1] > 0x8f) return 0;          /* above U+10FFFF */
    return want;
}

bool wf_is_utf8(const void *text, size_t n)
{
    const unsigned char *p = text;
    for (size_t i = 0, step; i < n; i += step) {
        step = utf8_step(p + i, n - i);
        if (!step) return false;
    }
    return true;
}

const char *wf_quote(char *buf, size_t buf_bytes, const void *text, size_t n)
{
    const unsigned char *p = text;
    const size_t room = buf_bytes < 201 ? buf_bytes : 201;
    size_t out = 0;
    for (size_t i = 0; i < n;) {
        const size_t step = utf8_step(p + i, n - i);
        const bool plain = step > 1 ? p[i] != 0xc2 || p[i + 1] >= 0xa0       /* C1 controls */
                                    : step == 1 && p[i] >= 0x20 && p[i] != 0x7f;
        const size_t need = plain ? step : 4;
        if (out + need + 4 > room) {
            out += (size_t)snprintf(buf + out, buf_bytes - out, "...");
            return buf;
        }
        if (plain) memcpy(buf + out, p + i, step);
        else snprintf(buf + out, buf_bytes - out, "\\x%02x", p[i]);
        out += need;
        i += plain ? step : 1;
    }
    buf[out] = '\0';
    return buf;
}
