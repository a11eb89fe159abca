/*
 * apng.c - animated PNG: our chunks around libpng's pictures.
 *
 * Each frame is a PNG of its own whose IDAT chunks are renamed on the way out (fdAT) and given back
 * their name on the way in, so one decoder serves both and every limit of it holds.
 */
#include "core/file/apng.h"

#include <string.h>
#include <zlib.h>

#include "core/file/bytes.h"
#include "core/file/file_map.h"
#include "core/file/file_write.h"
#include "core/file/png.h"

enum {
    MARK_BYTES = 8,
    MAX_FRAMES = 100000,
    FRAME_BYTES = 38                    /* of the least frame: its fcTL chunk */
};

static const char MARK[] = "\x89PNG\r\n\x1a\n";

typedef struct chunk {
    char type[5];
    const uint8_t *data;
    size_t n;
} chunk;

static bool is_type(const chunk *k, const char *type) { return strcmp(k->type, type) == 0; }

/* The next chunk, its check sum verified; false at the end of the file or on failure. */
static bool read_chunk(wf_cursor *k, chunk *out)
{
    if (wf_has_failed(k->c) || wf_cursor_left(k) == 0) return false;
    const size_t at = k->at;
    const uint32_t n = wf_cursor_u32be(k, "a chunk's length");
    const uint8_t *type = wf_cursor_read(k, 4, "a chunk's type");
    if (!type) return false;
    memcpy(out->type, type, 4);
    out->type[4] = '\0';
    out->n = n;
    out->data = wf_cursor_read(k, n, "a chunk");
    const uint32_t sum = wf_cursor_u32be(k, "a chunk's check sum");
    if (wf_has_failed(k->c)) return false;
    if (sum == (uint32_t)crc32_z(crc32_z(0, type, 4), out->data, n)) return true;
    wf_fail(k->c, WF_EFORMAT, "%s: offset %zu: a chunk's check sum is wrong", k->name, at);
    return false;
}

static void put_chunk(wf_bytes *b, const char *type, const void *data, size_t n)
{
    wf_bytes_put_u32be(b, (uint32_t)n);
    wf_bytes_put(b, type, 4);
    wf_bytes_put(b, data, n);
    uLong sum = crc32_z(0, (const Bytef *)type, 4);
    if (n) sum = crc32_z(sum, data, n);
    wf_bytes_put_u32be(b, (uint32_t)sum);
}

/* ---- writing ---- */

typedef struct writer {
    wf_bytes *out;
    const wf_frames *f;
    uint32_t fps_num, fps_den, sequence;
} writer;

static void put_frame_control(writer *w)
{
    wf_bytes k = {.c = w->out->c};
    wf_bytes_put_u32be(&k, w->sequence++);
    wf_bytes_put_u32be(&k, (uint32_t)w->f->list[0].width);
    wf_bytes_put_u32be(&k, (uint32_t)w->f->list[0].height);
    wf_bytes_put_u32be(&k, 0);                         /* x and y */
    wf_bytes_put_u32be(&k, 0);
    wf_bytes_put_u16be(&k, (uint16_t)w->fps_den);      /* seconds a frame as a fraction */
    wf_bytes_put_u16be(&k, (uint16_t)w->fps_num);
    wf_bytes_put_u16be(&k, 0);                         /* dispose: leave; blend: replace */
    put_chunk(w->out, "fcTL", k.data, k.n);
    wf_bytes_free(&k);
}

static void put_animation_control(writer *w)
{
    wf_bytes k = {.c = w->out->c};
    wf_bytes_put_u32be(&k, (uint32_t)w->f->n);
    wf_bytes_put_u32be(&k, w->f->n_plays);
    put_chunk(w->out, "acTL", k.data, k.n);
    wf_bytes_free(&k);
}

static void put_frame_data(writer *w, const chunk *k)
{
    wf_bytes d = {.c = w->out->c};
    wf_bytes_put_u32be(&d, w->sequence++);
    wf_bytes_put(&d, k->data, k->n);
    put_chunk(w->out, "fdAT", d.data, d.n);
    wf_bytes_free(&d);
}

/* Frame i: the first keeps its header and texts, all lose their end. */
static void put_frame(writer *w, int64_t i, const wf_meta *meta)
{
    wf_bytes png = {.c = w->out->c};
    chunk k;
    wf_png_encode(&png, &w->f->list[i], i == 0 ? meta : NULL);
    wf_cursor at = {.c = png.c, .name = "PNG", .data = png.data, .n = png.n, .at = MARK_BYTES};
    if (i > 0) put_frame_control(w);
    for (bool begun = false; read_chunk(&at, &k);) {
        const bool image = is_type(&k, "IDAT");
        if (i == 0 && image && !begun) put_frame_control(w);
        begun = begun || image;
        if (image && i > 0) put_frame_data(w, &k);
        else if (i == 0 && !is_type(&k, "IEND")) put_chunk(w->out, k.type, k.data, k.n);
        if (i == 0 && is_type(&k, "IHDR")) put_animation_control(w);
    }
    wf_bytes_free(&png);
}

static wf_status check_frames(wf_ctx *c, const wf_frames *f, uint32_t fps_num, uint32_t fps_den)
{
    if (f->n < 1 || f->n > MAX_FRAMES)
        return wf_fail_status(c, WF_EARG, "an animation of %lld frames: must be 1 to %d",
                              (long long)f->n, MAX_FRAMES);
    if (fps_num < 1 || fps_den < 1 || fps_num > 0xffff || fps_den > 0xffff)
        return wf_fail_status(c, WF_EARG,
                              "a rate of %u/%u frames a second: both numbers must be 1 to "
                              "65535",
                              fps_num, fps_den);
    for (int64_t i = 0; i < f->n; i++) {
        const wf_pixels *p = &f->list[i], *q = &f->list[0];
        if (p->height != q->height || p->width != q->width || p->channels != q->channels ||
            p->bits != 8)
            return wf_fail_status(c, WF_EARG, "frame %lld differs from the first in size or kind",
                                  (long long)i + 1);
    }
    return WF_OK;
}

wf_status wf_apng_save(wf_ctx *c, const char *path, const wf_frames *f, uint32_t fps_num,
                       uint32_t fps_den, const wf_meta *meta, bool overwrite)
{
    if (wf_has_failed(c)) return wf_get_status(c);
    WF_TRY(check_frames(c, f, fps_num, fps_den));
    wf_bytes out = {.c = c};
    writer w = {.out = &out, .f = f, .fps_num = fps_num, .fps_den = fps_den};
    wf_bytes_put(&out, MARK, MARK_BYTES);
    for (int64_t i = 0; i < f->n; i++) put_frame(&w, i, meta);
    put_chunk(&out, "IEND", NULL, 0);
    const wf_status st = wf_file_save(c, path, out.data, out.n, overwrite);
    wf_bytes_free(&out);
    return st;
}

/* ---- reading ---- */

/* Where a frame goes on the canvas, and what happens there before and after. */
typedef struct control {
    int64_t width, height, x, y;
    double seconds;
    int dispose, blend;                 /* 0 leave, 1 clear, 2 restore; 0 replace, 1 over */
} control;

typedef struct reader {
    wf_ctx *c;
    const char *name;
    size_t file_bytes;
    wf_frames *out;
    const uint8_t *head;                /* IHDR, 13 bytes */
    chunk palette, clear;               /* PLTE and tRNS, n = 0: none */
    wf_pixels canvas, before;           /* before: what dispose = restore goes back to */
    control now;
    wf_bytes data;                      /* of the frame being read */
    bool open;                          /* an fcTL was read, and its frame not yet shown */
    bool begun;                         /* some frame's data was read: no colours may follow */
    int64_t n_frames;
    uint32_t sequence;
} reader;

static wf_status refuse(reader *r, const char *what)
{
    return wf_fail_status(r->c, WF_EFORMAT, "%s: frame %lld: %s", r->name,
                          (long long)r->out->n + 1, what);
}

static wf_status read_control(reader *r, const chunk *k)
{
    wf_cursor at = {.c = r->c, .name = r->name, .data = k->data, .n = k->n};
    if (wf_cursor_u32be(&at, "a sequence number") != r->sequence++)
        return refuse(r, "is out of sequence");
    control *f = &r->now;
    f->width = wf_cursor_u32be(&at, "a frame's width");
    f->height = wf_cursor_u32be(&at, "a frame's height");
    f->x = wf_cursor_u32be(&at, "a frame's place");
    f->y = wf_cursor_u32be(&at, "a frame's place");
    const double num = wf_cursor_u16be(&at, "a delay"), den = wf_cursor_u16be(&at, "a delay");
    f->seconds = num / (den > 0 ? den : 100);
    f->dispose = wf_cursor_u8(&at, "a frame's disposal");
    f->blend = wf_cursor_u8(&at, "a frame's blending");
    if (wf_has_failed(r->c)) return wf_get_status(r->c);
    if (f->width < 1 || f->height < 1 || f->x + f->width > r->canvas.width ||
        f->y + f->height > r->canvas.height)
        return refuse(r, "lies outside the picture");
    if (f->dispose > 2 || f->blend > 1)
        return refuse(r, "is disposed or blended in an unknown way");
    if (r->out->n == 0 && f->dispose == 2) f->dispose = 1;
    r->data.n = 0;
    r->open = true;
    return WF_OK;
}

static void put_be32_into(uint8_t *p, int64_t v)
{
    for (int i = 0; i < 4; i++) p[i] = (uint8_t)(v >> (24 - 8 * i));
}

/* Decode what was gathered as a PNG of the frame's size. */
static wf_status decode_frame(reader *r, wf_pixels *px)
{
    uint8_t head[13];
    wf_bytes png = {.c = r->c};
    memcpy(head, r->head, sizeof head);
    put_be32_into(head, r->now.width);
    put_be32_into(head + 4, r->now.height);
    wf_bytes_put(&png, MARK, MARK_BYTES);
    put_chunk(&png, "IHDR", head, sizeof head);
    if (r->palette.n) put_chunk(&png, "PLTE", r->palette.data, r->palette.n);
    if (r->clear.n) put_chunk(&png, "tRNS", r->clear.data, r->clear.n);
    put_chunk(&png, "IDAT", r->data.data, r->data.n);
    put_chunk(&png, "IEND", NULL, 0);
    (void)wf_png_decode(r->c, r->name, png.data, png.n, px, NULL);
    wf_bytes_free(&png);
    return wf_get_status(r->c);
}

static uint8_t sample(const wf_pixels *p, size_t i)
{
    return p->bits == 8 ? ((const uint8_t *)p->data)[i]
                        : (uint8_t)((((const uint16_t *)p->data)[i] + 128u) / 257u);
}

/* One pixel of RGBA over another, by the PNG specification's formula. */
static void blend_pixel(uint8_t *to, const uint8_t *from)
{
    const unsigned a = from[3], u = a * 255, v = (255 - a) * to[3], all = u + v;
    for (int i = 0; i < 3 && all; i++) to[i] = (uint8_t)((from[i] * u + to[i] * v + all / 2) / all);
    to[3] = (uint8_t)((all + 127) / 255);
}

static void draw(reader *r, const wf_pixels *px)
{
    const size_t n = (size_t)px->channels;
    const bool over = r->now.blend == 1 && n == 4;
    uint8_t one[4];
    for (int64_t y = 0; y < px->height; y++)
        for (int64_t x = 0; x < px->width; x++) {
            uint8_t *to = (uint8_t *)r->canvas.data +
                          (size_t)((y + r->now.y) * r->canvas.width + x + r->now.x) * n;
            for (size_t i = 0; i < n; i++)
                one[i] = sample(px, (size_t)(y * px->width + x) * n + i);
            if (over) blend_pixel(to, one);
            else memcpy(to, one, n);
        }
}

static void clear_rect(reader *r)
{
    const size_t row = wf_pixels_row_bytes(&r->canvas), n = (size_t)r->canvas.channels;
    for (int64_t y = r->now.y; y < r->now.y + r->now.height; y++)
        memset((uint8_t *)r->canvas.data + (size_t)y * row + (size_t)r->now.x * n, 0,
               (size_t)r->now.width * n);
}

static wf_status copy_pixels(reader *r, wf_pixels *to, const wf_pixels *from)
{
    WF_TRY(wf_pixels_new(r->c, to, from, r->name));
    memcpy(to->data, from->data, wf_pixels_row_bytes(from) * (size_t)from->height);
    return WF_OK;
}

/* The canvas is made when the first frame says how many channels there are; draw writes as many for
 * every frame. */
static wf_status make_canvas(reader *r, int64_t channels)
{
    wf_pixels like = r->canvas;
    if (like.data)
        return like.channels == channels ? WF_OK : refuse(r, "differs from the first in channels");
    like.channels = channels;
    WF_TRY(wf_pixels_new(r->c, &r->canvas, &like, r->name));
    memset(r->canvas.data, 0, wf_pixels_row_bytes(&like) * (size_t)like.height);
    if (r->n_frames * like.width * like.height > WF_MAX_PIXELS)
        return wf_fail_status(r->c, WF_EFORMAT,
                              "%s: %lld frames of %lldx%lld pixels are more than %d "
                              "pixels in all",
                              r->name, (long long)r->n_frames, (long long)like.width,
                              (long long)like.height, WF_MAX_PIXELS);
    return WF_OK;
}

/* Show the gathered frame on the canvas, keep a copy, and dispose of it. */
static wf_status show_frame(reader *r)
{
    wf_pixels px = {0};
    if (!r->open) return WF_OK;
    if (r->out->n >= r->n_frames) return refuse(r, "is one more than the file announces");
    r->open = false;
    if (decode_frame(r, &px) == WF_OK && make_canvas(r, px.channels) == WF_OK) {
        if (r->now.dispose == 2) (void)copy_pixels(r, &r->before, &r->canvas);
        if (!wf_has_failed(r->c)) draw(r, &px);
        if (copy_pixels(r, &r->out->list[r->out->n], &r->canvas) == WF_OK) r->out->n++;
        r->out->seconds += r->now.seconds;
    }
    wf_pixels_free(&px);
    if (wf_has_failed(r->c)) return wf_get_status(r->c);
    if (r->now.dispose == 1) clear_rect(r);
    if (r->now.dispose == 2) {
        wf_pixels_free(&r->canvas);
        r->canvas = r->before;
        r->before.data = NULL;
    }
    return WF_OK;
}

static wf_status read_animation_control(reader *r, const chunk *k)
{
    wf_cursor at = {.c = r->c, .name = r->name, .data = k->data, .n = k->n};
    r->n_frames = wf_cursor_u32be(&at, "the number of frames");
    r->out->n_plays = wf_cursor_u32be(&at, "the number of plays");
    if (wf_has_failed(r->c)) return wf_get_status(r->c);
    if (r->out->list || r->n_frames < 1 || r->n_frames > MAX_FRAMES ||
        r->n_frames > (int64_t)(r->file_bytes / FRAME_BYTES))
        return wf_fail_status(r->c, WF_EFORMAT,
                              "%s: announces %lld frames, must be 1 to %d, once, and "
                              "fit in the file",
                              r->name, (long long)r->n_frames, MAX_FRAMES);
    r->out->mem = wf_ctx_get_mem(r->c);
    r->out->list = wf_mem_calloc(r->out->mem, (size_t)r->n_frames * sizeof *r->out->list);
    return r->out->list ? WF_OK
                        : wf_fail_status(r->c, WF_ENOMEM, "%s: no memory for its frames", r->name);
}

static wf_status read_head(reader *r, const chunk *k)
{
    wf_cursor at = {.c = r->c, .name = r->name, .data = k->data, .n = k->n};
    if (r->head) return refuse(r, "has a header of its own");
    r->head = k->data;
    r->canvas.width = wf_cursor_u32be(&at, "the width");
    r->canvas.height = wf_cursor_u32be(&at, "the height");
    r->canvas.bits = 8;
    (void)wf_cursor_read(&at, 5, "the header");
    return wf_get_status(r->c);
}

static wf_status read_frame_data(reader *r, const chunk *k)
{
    wf_cursor at = {.c = r->c, .name = r->name, .data = k->data, .n = k->n};
    if (wf_cursor_u32be(&at, "a sequence number") != r->sequence++)
        return refuse(r, "is out of sequence");
    wf_bytes_put(&r->data, at.data + at.at, wf_cursor_left(&at));
    return wf_get_status(r->c);
}

/* PLTE and tRNS count for all frames. Late ones are ignored in a still picture, as libpng does. */
static wf_status read_colours(reader *r, const chunk *k)
{
    if (r->begun && r->out->list) return refuse(r, "has colours of its own");
    if (!r->begun) *(is_type(k, "PLTE") ? &r->palette : &r->clear) = *k;
    return WF_OK;
}

static wf_status take_chunk(reader *r, const chunk *k)
{
    if (is_type(k, "IHDR")) return read_head(r, k);
    if (!r->head)
        return wf_fail_status(r->c, WF_EFORMAT, "%s: does not begin with a header", r->name);
    if (is_type(k, "acTL")) return read_animation_control(r, k);
    if (is_type(k, "PLTE") || is_type(k, "tRNS")) return read_colours(r, k);
    if (is_type(k, "IDAT") || is_type(k, "fdAT")) r->begun = true;
    if (is_type(k, "IEND")) return show_frame(r);
    if (!r->out->list) return WF_OK;                   /* a still picture */
    if (is_type(k, "fcTL")) {
        WF_TRY(show_frame(r));
        return read_control(r, k);
    }
    if (is_type(k, "IDAT") && r->open) wf_bytes_put(&r->data, k->data, k->n);
    if (is_type(k, "fdAT") && r->open) return read_frame_data(r, k);
    return wf_get_status(r->c);
}

/* A PNG without animation: its picture is the one frame. */
static wf_status take_still(wf_ctx *c, wf_frames *out, wf_pixels *px)
{
    out->mem = wf_ctx_get_mem(c);
    out->list = wf_mem_calloc(out->mem, sizeof *out->list);
    if (!out->list) return wf_fail_status(c, WF_ENOMEM, "no memory for a frame");
    out->list[0] = *px;
    out->n = 1;
    px->data = NULL;
    return WF_OK;
}

static wf_status read_frames(reader *r, const uint8_t *data, size_t n)
{
    chunk k = {.type = ""};
    wf_cursor at = {.c = r->c, .name = r->name, .data = data, .n = n, .at = MARK_BYTES};
    while (!is_type(&k, "IEND") && read_chunk(&at, &k)) WF_TRY(take_chunk(r, &k));
    WF_TRY(wf_get_status(r->c));
    if (r->out->list && r->out->n != r->n_frames)
        return wf_fail_status(r->c, WF_EFORMAT, "%s: announces %lld frames, holds %lld", r->name,
                              (long long)r->n_frames, (long long)r->out->n);
    return WF_OK;
}

wf_status wf_apng_decode(wf_ctx *c, const char *name, const uint8_t *data, size_t n,
                         wf_frames *out, wf_meta_found *meta)
{
    wf_pixels still;
    reader r = {.c = c, .name = name, .file_bytes = n, .out = out, .data = {.c = c}};
    *out = (wf_frames){0};
    if (wf_png_decode(c, name, data, n, &still, meta) == WF_OK &&
        read_frames(&r, data, n) == WF_OK && !out->list)
        (void)take_still(c, out, &still);
    wf_pixels_free(&still);
    wf_pixels_free(&r.canvas);
    wf_pixels_free(&r.before);
    wf_bytes_free(&r.data);
    return wf_get_status(c);
}

wf_status wf_apng_load(wf_ctx *c, const char *path, wf_frames *out, wf_meta_found *meta)
{
    wf_file_map *m = wf_file_map_open(c, path);
    const uint8_t *data = m ? wf_file_map_get_data(m) : NULL;
    (void)wf_apng_decode(c, path, data, m ? wf_file_map_get_bytes(m) : 0, out, meta);
    wf_file_map_release(m);
    return wf_get_status(c);
}

void wf_frames_free(wf_frames *f)
{
    for (int64_t i = 0; f->list && i < f->n; i++) wf_pixels_free(&f->list[i]);
    if (f->list) wf_mem_free(f->mem, f->list);
    *f = (wf_frames){0};
}
