/*
 * png.c - PNG by libpng's row interface.
 *
 * libpng reports errors by longjmp; guard() is the only setjmp, and everything that must survive it
 * lives in a struct. libpng allocates through our counted memory.
 */
#include "core/file/png.h"

#include <png.h>
#include <string.h>

#include "core/file/file_map.h"
#include "core/file/file_write.h"

enum {
    MAX_CHUNKS = 64, /* ancillary chunks kept */
    MAX_CHUNK_BYTES = 1 << 20,
    MAX_WORK_BYTES = 4 << 20, /* what libpng needs beside chunks: rows and zlib's window */
    DEFLATE_RATIO = 1032,     /* the most that deflate can shrink; more is a lie */
    RATIO_SLACK = 1 << 16
};

/* One picture on its way through libpng. */
typedef struct job {
    wf_ctx *c;
    const char *name;
    png_structp png;
    png_infop info;
    const uint8_t *data;                /* reading: what is left of the file */
    size_t n, left;
    wf_bytes *out;                      /* writing */
    wf_pixels *px;
    wf_meta_found *found;
    const wf_meta *meta;
    int64_t row;                        /* -1: not in the rows */
    bool no_memory;
    char why[160];
} job;

/* ---- libpng's callbacks ---- */

static void on_error(png_structp png, png_const_charp text)
{
    job *j = png_get_error_ptr(png);
    wf_quote(j->why, sizeof j->why, text, strlen(text));
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp text)
{
    (void)png;
    (void)text;
}

static png_voidp on_alloc(png_structp png, png_alloc_size_t bytes)
{
    job *j = png_get_mem_ptr(png);
    if (j->data && bytes > j->n + MAX_WORK_BYTES) png_error(png, "a chunk is longer than the file");
    void *p = wf_mem_alloc(wf_ctx_get_mem(j->c), bytes);
    if (!p) j->no_memory = true;
    return p;
}

static void on_free(png_structp png, png_voidp p)
{
    job *j = png_get_mem_ptr(png);
    wf_mem_free(wf_ctx_get_mem(j->c), p);
}

static void on_read(png_structp png, png_bytep out, size_t n)
{
    job *j = png_get_io_ptr(png);
    if (n > j->left) png_error(png, "the file ends too early");
    memcpy(out, j->data + (j->n - j->left), n);
    j->left -= n;
}

static void on_write(png_structp png, png_bytep data, size_t n)
{
    job *j = png_get_io_ptr(png);
    wf_bytes_put(j->out, data, n);
    if (wf_has_failed(j->c)) png_error(png, "cannot write");
}

static void on_flush(png_structp png) { (void)png; }

/* Run one step; false when libpng gave up. */
static bool guard(job *j, void (*step)(job *j))
{
    if (setjmp(png_jmpbuf(j->png))) return false;
    step(j);
    return !wf_has_failed(j->c);
}

static void fail_job(job *j, const char *what)
{
    if (j->no_memory)
        wf_fail(j->c, WF_ENOMEM, "%s: no memory to %s the PNG", j->name, what);
    else if (j->row >= 0)
        wf_fail(j->c, WF_EFORMAT, "%s: row %lld of %lld: damaged PNG: %s", j->name,
                (long long)j->row, (long long)j->px->height, j->why);
    else
        wf_fail(j->c, WF_EFORMAT, "%s: offset %zu: damaged PNG: %s", j->name, j->n - j->left,
                j->why);
}

/* ---- reading ---- */

/* Refuse sizes that the file cannot hold, before a byte is inflated. */
static void check_size(job *j)
{
    const png_uint_32 w = png_get_image_width(j->png, j->info);
    const png_uint_32 h = png_get_image_height(j->png, j->info);
    const size_t raw = png_get_rowbytes(j->png, j->info) * (size_t)h;
    if (raw > RATIO_SLACK && (raw - RATIO_SLACK) / DEFLATE_RATIO > j->n)
        wf_fail(j->c, WF_EFORMAT, "%s: says it is %lux%lu pixels, which %zu bytes cannot hold",
                j->name, (unsigned long)w, (unsigned long)h, j->n);
}

/* Header, and the conversions that lead to 8 or 16 bits of grey, RGB or RGBA. */
static void read_head(job *j)
{
    png_structp png = j->png;
    png_set_user_limits(png, WF_MAX_SIDE_PX, WF_MAX_SIDE_PX);
    png_set_chunk_cache_max(png, MAX_CHUNKS);
    png_set_chunk_malloc_max(png, MAX_CHUNK_BYTES);
    png_read_info(png, j->info);
    check_size(j);
    if (wf_has_failed(j->c)) return;

    const int kind = png_get_color_type(png, j->info);
    const bool clear = png_get_valid(png, j->info, PNG_INFO_tRNS) != 0;
    if (kind == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png);
    if (kind == PNG_COLOR_TYPE_GRAY) png_set_expand_gray_1_2_4_to_8(png);
    if (clear) png_set_tRNS_to_alpha(png);
    if (kind == PNG_COLOR_TYPE_GRAY_ALPHA || (kind == PNG_COLOR_TYPE_GRAY && clear))
        png_set_gray_to_rgb(png);
    const uint16_t one = 1;
    if (png_get_bit_depth(png, j->info) == 16 && *(const uint8_t *)&one) png_set_swap(png);
    (void)png_set_interlace_handling(png);
    png_read_update_info(png, j->info);
}

static void read_rows(job *j)
{
    const size_t row_bytes = wf_pixels_row_bytes(j->px);
    const int n_passes = png_get_interlace_type(j->png, j->info) == PNG_INTERLACE_NONE ? 1 : 7;
    for (int pass = 0; pass < n_passes; pass++)
        for (j->row = 0; j->row < j->px->height; j->row++)
            png_read_row(j->png, (png_bytep)j->px->data + (size_t)j->row * row_bytes, NULL);
    j->row = -1;
    png_read_end(j->png, j->info);
}

static wf_status make_rows(job *j)
{
    const wf_pixels like = {.height = png_get_image_height(j->png, j->info),
                            .width = png_get_image_width(j->png, j->info),
                            .channels = png_get_channels(j->png, j->info),
                            .bits = png_get_bit_depth(j->png, j->info)};
    WF_TRY(wf_pixels_new(j->c, j->px, &like, j->name));
    if (wf_pixels_row_bytes(&like) == png_get_rowbytes(j->png, j->info)) return WF_OK;
    return wf_fail_status(j->c, WF_EINTERNAL, "%s: libpng gives rows of another size", j->name);
}

static void keep_texts(job *j)
{
    png_textp text = NULL;
    const int n = png_get_text(j->png, j->info, &text, NULL);
    for (int i = 0; j->found && i < n; i++) {
        if (!text[i].text) continue;
        const size_t bytes = strlen(text[i].text);
        if (strcmp(text[i].key, "parameters") == 0)
            wf_meta_keep_parameters(j->c, j->found, text[i].text, bytes);
        if (strcmp(text[i].key, "weft") == 0)
            wf_meta_keep_weft(j->c, j->found, text[i].text, bytes);
    }
}

static bool check_mark(wf_ctx *c, const char *name, const uint8_t *data, size_t n)
{
    static const uint8_t mark[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    if (wf_has_failed(c)) return false;
    if (n >= sizeof mark && memcmp(data, mark, sizeof mark) == 0) return true;
    const char *guess =
        n < 4 || memcmp(data, mark, 4) != 0 ? wf_file_guess(data, n) : "a damaged PNG";
    wf_fail(c, WF_EFORMAT, "%s: is %s, not a PNG picture", name, guess ? guess : "something else");
    return false;
}

wf_status wf_png_decode(wf_ctx *c, const char *name, const uint8_t *data, size_t n,
                        wf_pixels *out, wf_meta_found *meta)
{
    *out = (wf_pixels){0};
    if (meta) *meta = (wf_meta_found){0};
    if (!check_mark(c, name, data, n)) return wf_get_status(c);
    job j = {
        .c = c, .name = name, .data = data, .n = n, .left = n, .px = out, .found = meta, .row = -1};
    j.png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, &j, on_error, on_warning, &j, on_alloc,
                                     on_free);
    if (j.png) j.info = png_create_info_struct(j.png);
    if (!j.info) wf_fail(c, WF_ENOMEM, "%s: no memory to read the PNG", name);
    else {
        png_set_read_fn(j.png, &j, on_read);
        if (guard(&j, read_head) && make_rows(&j) == WF_OK && guard(&j, read_rows)) keep_texts(&j);
        else fail_job(&j, "read");
    }
    png_destroy_read_struct(&j.png, &j.info, NULL);
    return wf_get_status(c);
}

wf_status wf_png_load(wf_ctx *c, const char *path, wf_pixels *out, wf_meta_found *meta)
{
    wf_file_map *m = wf_file_map_open(c, path);
    const uint8_t *data = m ? wf_file_map_get_data(m) : NULL;
    (void)wf_png_decode(c, path, data, m ? wf_file_map_get_bytes(m) : 0, out, meta);
    wf_file_map_release(m);
    return wf_get_status(c);
}

/* ---- writing ---- */

static bool is_ascii(const char *text)
{
    while (*text && (unsigned char)*text < 0x80) text++;
    return !*text;
}

static void put_text(job *j, const char *key, const char *text, int kind)
{
    png_text t = {.compression = kind,
                  .key = (char *)(uintptr_t)key,
                  .text = (char *)(uintptr_t)text,
                  .text_length = strlen(text),
                  .lang = (char *)(uintptr_t) "",
                  .lang_key = (char *)(uintptr_t) ""};
    if (kind == PNG_ITXT_COMPRESSION_NONE || kind == PNG_ITXT_COMPRESSION_zTXt) {
        t.itxt_length = t.text_length;
        t.text_length = 0;
    }
    png_set_text(j->png, j->info, &t, 1);
}

static void write_all(job *j)
{
    static const int kinds[] = {0, PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_GRAY_ALPHA,
                                PNG_COLOR_TYPE_RGB, PNG_COLOR_TYPE_RGB_ALPHA};
    const uint16_t one = 1;
    const size_t row_bytes = wf_pixels_row_bytes(j->px);
    png_set_IHDR(j->png, j->info, (png_uint_32)j->px->width, (png_uint_32)j->px->height,
                 j->px->bits, kinds[j->px->channels], PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    if (j->meta && j->meta->parameters)
        put_text(j, "parameters", j->meta->parameters,
                 is_ascii(j->meta->parameters) ? PNG_TEXT_COMPRESSION_NONE
                                               : PNG_ITXT_COMPRESSION_NONE);
    if (j->meta && j->meta->weft) put_text(j, "weft", j->meta->weft, PNG_ITXT_COMPRESSION_zTXt);
    png_write_info(j->png, j->info);
    if (j->px->bits == 16 && *(const uint8_t *)&one) png_set_swap(j->png);
    for (int64_t y = 0; y < j->px->height; y++)
        png_write_row(j->png, (png_const_bytep)j->px->data + (size_t)y * row_bytes);
    png_write_end(j->png, j->info);
}

void wf_png_encode(wf_bytes *out, const wf_pixels *p, const wf_meta *meta)
{
    wf_ctx *c = out->c;
    if (wf_meta_check(c, meta) != WF_OK) return;
    if (p->channels < 1 || p->channels > 4 || (p->bits != 8 && p->bits != 16) || p->width < 1 ||
        p->height < 1 || p->width > WF_MAX_SIDE_PX || p->height > WF_MAX_SIDE_PX) {
        wf_fail(c, WF_EARG,
                "a PNG holds 1 to 4 channels of 8 or 16 bits and at most %d pixels a side",
                WF_MAX_SIDE_PX);
        return;
    }
    job j = {.c = c,
             .name = "PNG",
             .out = out,
             .px = (wf_pixels *)(uintptr_t)p,
             .meta = meta,
             .row = -1};
    j.png = png_create_write_struct_2(PNG_LIBPNG_VER_STRING, &j, on_error, on_warning, &j, on_alloc,
                                      on_free);
    if (j.png) j.info = png_create_info_struct(j.png);
    if (!j.info) wf_fail(c, WF_ENOMEM, "no memory to write a PNG");
    else {
        png_set_write_fn(j.png, &j, on_write, on_flush);
        if (!guard(&j, write_all)) fail_job(&j, "write");
    }
    png_destroy_write_struct(&j.png, &j.info);
}

wf_status wf_png_save(wf_ctx *c, const char *path, const wf_pixels *p, const wf_meta *meta,
                      bool overwrite)
{
    wf_bytes b = {.c = c};
    wf_png_encode(&b, p, meta);
    const wf_status st = wf_file_save(c, path, b.data, b.n, overwrite);
    wf_bytes_free(&b);
    return st;
}
