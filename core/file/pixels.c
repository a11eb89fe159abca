/* pixels.c - rows of a picture, and provenance texts on their way out of files. */
#include "core/file/pixels.h"

#include <string.h>

#include "core/file/bytes.h"
#include "core/file/file_map.h"

size_t wf_pixels_row_bytes(const wf_pixels *p)
{
    return (size_t)p->width * (size_t)p->channels * (size_t)(p->bits / 8);
}

wf_status wf_pixels_new(wf_ctx *c, wf_pixels *out, const wf_pixels *like, const char *name)
{
    const long long w = like->width, h = like->height;
    *out = *like;
    out->mem = wf_ctx_get_mem(c);
    out->data = NULL;
    if (wf_has_failed(c)) return wf_get_status(c);
    if (w < 1 || h < 1) return wf_fail_status(c, WF_EFORMAT, "%s: is %lldx%lld pixels", name, w, h);
    if (w > WF_MAX_SIDE_PX || h > WF_MAX_SIDE_PX || w * h > WF_MAX_PIXELS)
        return wf_fail_status(c, WF_EFORMAT,
                              "%s: is %lldx%lld pixels, at most %d a side and %d in all "
                              "are read",
                              name, w, h, WF_MAX_SIDE_PX, WF_MAX_PIXELS);
    out->data = wf_mem_alloc(out->mem, wf_pixels_row_bytes(out) * (size_t)h);
    if (out->data) return WF_OK;
    return wf_fail_status(c, WF_ENOMEM, "%s: no memory for %lldx%lld pixels", name, w, h);
}

void wf_pixels_free(wf_pixels *p)
{
    if (p->data) wf_mem_free(p->mem, p->data);
    p->data = NULL;
}

wf_status wf_pixels_turn(wf_ctx *c, wf_pixels *out, const wf_pixels *from, int turn,
                         const char *name)
{
    wf_pixels like = *from;
    const bool swap = turn >= 5;
    const bool flip_x = turn == 2 || turn == 3 || turn == 7 || turn == 8;
    const bool flip_y = turn == 3 || turn == 4 || turn == 6 || turn == 7;
    if (swap) {
        like.width = from->height;
        like.height = from->width;
    }
    WF_TRY(wf_pixels_new(c, out, &like, name));
    const size_t n = (size_t)like.channels * (size_t)(like.bits / 8);
    for (int64_t y = 0; y < like.height; y++)
        for (int64_t x = 0; x < like.width; x++) {
            int64_t u = swap ? y : x, v = swap ? x : y;          /* column and row in from */
            if (flip_x) u = from->width - 1 - u;
            if (flip_y) v = from->height - 1 - v;
            memcpy((uint8_t *)out->data + (size_t)(y * like.width + x) * n,
                   (uint8_t *)from->data + (size_t)(v * from->width + u) * n, n);
        }
    return WF_OK;
}

/* Latin-1 as UTF-8. */
static char *from_latin1(wf_ctx *c, const uint8_t *text, size_t n)
{
    wf_bytes b = {.c = c};
    for (size_t i = 0; i < n; i++) {
        if (text[i] >= 0x80) wf_bytes_put_u8(&b, (uint8_t)(0xc0 | text[i] >> 6));
        wf_bytes_put_u8(&b, text[i] < 0x80 ? text[i] : (uint8_t)(0x80 | (text[i] & 0x3f)));
    }
    char *out = wf_copy_text(c, b.data, b.n);
    wf_bytes_free(&b);
    return out;
}

static void keep(wf_ctx *c, wf_meta_found *out, char **slot, const void *text, size_t n)
{
    const void *nul = n ? memchr(text, 0, n) : NULL;
    if (nul) n = (size_t)((const char *)nul - (const char *)text);
    out->mem = wf_ctx_get_mem(c);
    wf_mem_free(out->mem, *slot);
    *slot = wf_is_utf8(text, n) ? wf_copy_text(c, text, n) : from_latin1(c, text, n);
}

void wf_meta_keep_parameters(wf_ctx *c, wf_meta_found *out, const void *text, size_t n)
{
    if (out) keep(c, out, &out->parameters, text, n);
}

void wf_meta_keep_weft(wf_ctx *c, wf_meta_found *out, const void *text, size_t n)
{
    if (out) keep(c, out, &out->weft, text, n);
}

void wf_meta_free(wf_meta_found *m)
{
    if (m->mem) wf_mem_free(m->mem, m->parameters);
    if (m->mem) wf_mem_free(m->mem, m->weft);
    m->parameters = m->weft = NULL;
}

wf_status wf_meta_check(wf_ctx *c, const wf_meta *meta)
{
    if (wf_has_failed(c)) return wf_get_status(c);
    const char *p = meta && meta->parameters ? meta->parameters : "";
    const char *w = meta && meta->weft ? meta->weft : "";
    if (wf_is_utf8(p, strlen(p)) && wf_is_utf8(w, strlen(w))) return WF_OK;
    return wf_fail_status(c, WF_EARG, "provenance to write is not UTF-8");
}
