/*
 * jpeg.c - JPEG by libjpeg.
 *
 * libjpeg reports errors by longjmp; guard() is the only setjmp, and everything that must survive
 * it lives in a struct. What the library calls warnings is mostly damage, and refused as such.
 */
#include "core/file/jpeg.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

#include "core/file/exif.h"
#include "core/file/file_map.h"
#include "core/file/file_write.h"

enum {
    MAX_SCANS = 500, /* each pass over a progressive file costs its full size */
    MAX_SEGMENT_BYTES = 65533,
    BLOCK_RATIO = 2048, /* pixels a byte: a block of 64 takes a bit or so at least */
    RATIO_SLACK = 1 << 16
};

typedef struct reader {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf jump;
    wf_ctx *c;
    const char *name;
    const uint8_t *data;
    size_t n;
    wf_pixels px;
    wf_meta_found *found;
    uint8_t *row;                       /* four-channel rows on their way to RGB */
    int turn;                           /* EXIF orientation */
    bool no_memory;
    char why[JMSG_LENGTH_MAX];
} reader;

/* ---- libjpeg's callbacks ---- */

static void give_up(reader *r) { longjmp(r->jump, 1); }

static void on_error(j_common_ptr j)
{
    reader *r = j->client_data;
    r->no_memory = j->err->msg_code == JERR_OUT_OF_MEMORY;
    j->err->format_message(j, r->why);
    give_up(r);
}

/* Some warnings say only that a file is odd; the others that samples are missing. */
static void on_message(j_common_ptr j, int level)
{
    if (level >= 0) return;
    const int code = j->err->msg_code;
    if (code != JWRN_EXTRANEOUS_DATA && code != JWRN_ADOBE_XFORM && code != JWRN_JFIF_MAJOR)
        on_error(j);
}

static void on_progress(j_common_ptr j)
{
    reader *r = j->client_data;
    if (r->jpeg.input_scan_number <= MAX_SCANS) return;
    snprintf(r->why, sizeof r->why, "more than %d scans", MAX_SCANS);
    give_up(r);
}

static void be_quiet(j_common_ptr j) { (void)j; }

/* Run one step; false when libjpeg gave up. */
static bool guard(reader *r, void (*step)(reader *r))
{
    if (setjmp(r->jump)) {
        if (r->no_memory) wf_fail(r->c, WF_ENOMEM, "%s: no memory to read the JPEG", r->name);
        else wf_fail(r->c, WF_EFORMAT, "%s: row %u of %u: damaged JPEG: %s", r->name,
                     r->jpeg.output_scanline, r->jpeg.output_height, r->why);
        return false;
    }
    step(r);
    return !wf_has_failed(r->c);
}

/* ---- reading ---- */

static void open_reader(reader *r)
{
    jpeg_create_decompress(&r->jpeg);
    jpeg_mem_src(&r->jpeg, r->data, (unsigned long)r->n);
    jpeg_save_markers(&r->jpeg, JPEG_APP0 + 1, 0xffff);
}

static void read_segments(reader *r)
{
    for (jpeg_saved_marker_ptr m = r->jpeg.marker_list; m; m = m->next) {
        const int turn = wf_exif_read(r->c, m->data, m->data_length, r->found);
        if (turn) r->turn = turn;
        wf_xmp_read(r->c, m->data, m->data_length, r->found);
    }
}

static void read_head(reader *r)
{
    (void)jpeg_read_header(&r->jpeg, TRUE);
    const uint64_t w = r->jpeg.image_width, h = r->jpeg.image_height;
    if (w <= WF_MAX_SIDE_PX && h <= WF_MAX_SIDE_PX && w * h > RATIO_SLACK &&
        (w * h - RATIO_SLACK) / BLOCK_RATIO > r->n)
        wf_fail(r->c, WF_EFORMAT, "%s: says it is %llux%llu pixels, which %zu bytes cannot hold",
                r->name, (unsigned long long)w, (unsigned long long)h, r->n);
    read_segments(r);
    const bool inks = r->jpeg.jpeg_color_space == JCS_CMYK || r->jpeg.jpeg_color_space == JCS_YCCK;
    const bool grey = r->jpeg.jpeg_color_space == JCS_GRAYSCALE;
    r->jpeg.out_color_space = inks ? JCS_CMYK : grey ? JCS_GRAYSCALE : JCS_RGB;
    r->px =
        (wf_pixels){.width = (int64_t)w, .height = (int64_t)h, .channels = grey ? 1 : 3, .bits = 8};
}

/* Adobe stores inks inverted, and marks such files; RGB is (1 - ink)(1 - black). */
static void inks_to_rgb(uint8_t *to, const uint8_t *from, int64_t n, bool inverted)
{
    for (int64_t i = 0; i < n; i++) {
        const unsigned flip = inverted ? 0 : 255;
        const unsigned k = from[4 * i + 3] ^ flip;
        for (int ch = 0; ch < 3; ch++)
            to[3 * i + ch] = (uint8_t)(((from[4 * i + ch] ^ flip) * k + 127) / 255);
    }
}

static void read_rows(reader *r)
{
    (void)jpeg_start_decompress(&r->jpeg);
    const size_t row_bytes = wf_pixels_row_bytes(&r->px);
    while (r->jpeg.output_scanline < r->jpeg.output_height) {
        uint8_t *to = (uint8_t *)r->px.data + r->jpeg.output_scanline * row_bytes;
        JSAMPROW row = r->row ? r->row : to;
        (void)jpeg_read_scanlines(&r->jpeg, &row, 1);
        if (r->row) inks_to_rgb(to, r->row, r->px.width, r->jpeg.saw_Adobe_marker);
    }
    (void)jpeg_finish_decompress(&r->jpeg);
}

static bool make_rows(reader *r)
{
    const wf_pixels like = r->px;
    if (wf_pixels_new(r->c, &r->px, &like, r->name) != WF_OK) return false;
    if (r->jpeg.out_color_space != JCS_CMYK) return true;
    r->row = wf_mem_alloc(wf_ctx_get_mem(r->c), (size_t)r->px.width * 4);
    if (!r->row) wf_fail(r->c, WF_ENOMEM, "%s: no memory for a row", r->name);
    return r->row != NULL;
}

static void read_all(reader *r, wf_pixels *out)
{
    if (!guard(r, open_reader)) return;
    r->jpeg.progress = &r->progress;
    if (!guard(r, read_head) || !make_rows(r) || !guard(r, read_rows)) return;
    if (r->turn > 1) {
        (void)wf_pixels_turn(r->c, out, &r->px, r->turn, r->name);
        return;
    }
    *out = r->px;
    r->px.data = NULL;
}

static bool check_mark(wf_ctx *c, const char *name, const uint8_t *data, size_t n)
{
    if (wf_has_failed(c)) return false;
    if (n >= 3 && memcmp(data, "\xff\xd8\xff", 3) == 0) return true;
    const char *guess = wf_file_guess(data, n);
    wf_fail(c, WF_EFORMAT, "%s: is %s, not a JPEG picture", name, guess ? guess : "something else");
    return false;
}

wf_status wf_jpeg_decode(wf_ctx *c, const char *name, const uint8_t *data, size_t n,
                         wf_pixels *out, wf_meta_found *meta)
{
    *out = (wf_pixels){0};
    if (meta) *meta = (wf_meta_found){0};
    if (!check_mark(c, name, data, n)) return wf_get_status(c);
    reader r = {.c = c, .name = name, .data = data, .n = n, .found = meta, .turn = 1};
    r.jpeg.err = jpeg_std_error(&r.errors);
    r.jpeg.client_data = &r;
    r.errors.error_exit = on_error;
    r.errors.emit_message = on_message;
    r.errors.output_message = be_quiet;
    r.progress.progress_monitor = on_progress;
    read_all(&r, out);
    jpeg_destroy_decompress(&r.jpeg);
    wf_pixels_free(&r.px);
    wf_mem_free(wf_ctx_get_mem(c), r.row);
    return wf_get_status(c);
}

wf_status wf_jpeg_load(wf_ctx *c, const char *path, wf_pixels *out, wf_meta_found *meta)
{
    wf_file_map *m = wf_file_map_open(c, path);
    const uint8_t *data = m ? wf_file_map_get_data(m) : NULL;
    (void)wf_jpeg_decode(c, path, data, m ? wf_file_map_get_bytes(m) : 0, out, meta);
    wf_file_map_release(m);
    return wf_get_status(c);
}

/* ---- writing ---- */

typedef struct writer {
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_destination_mgr to;
    jmp_buf jump;
    wf_bytes out;
    const wf_pixels *px;
    const wf_meta *meta;
    int quality;
    uint8_t block[16384];
    char why[JMSG_LENGTH_MAX];
} writer;

static void on_write_error(j_common_ptr j)
{
    writer *w = j->client_data;
    j->err->format_message(j, w->why);
    longjmp(w->jump, 1);
}

static void begin_block(j_compress_ptr j)
{
    writer *w = j->client_data;
    j->dest->next_output_byte = w->block;
    j->dest->free_in_buffer = sizeof w->block;
}

static boolean end_block(j_compress_ptr j)
{
    writer *w = j->client_data;
    wf_bytes_put(&w->out, w->block, sizeof w->block);
    begin_block(j);
    return TRUE;
}

static void end_last_block(j_compress_ptr j)
{
    writer *w = j->client_data;
    wf_bytes_put(&w->out, w->block, sizeof w->block - j->dest->free_in_buffer);
}

static void put_segment(writer *w, void (*write)(wf_bytes *b, const char *text), const char *text)
{
    wf_bytes b = {.c = w->out.c};
    if (!text) return;
    write(&b, text);
    if (b.n > MAX_SEGMENT_BYTES || strlen(text) > WF_JPEG_META_BYTES)
        wf_fail(b.c, WF_EARG, "provenance of %zu bytes does not fit in a JPEG, at most %d do",
                strlen(text), WF_JPEG_META_BYTES);
    if (!wf_has_failed(b.c)) jpeg_write_marker(&w->jpeg, JPEG_APP0 + 1, b.data, (unsigned)b.n);
    wf_bytes_free(&b);
}

static void encode(writer *w)
{
    struct jpeg_compress_struct *j = &w->jpeg;
    jpeg_create_compress(j);
    w->to = (struct jpeg_destination_mgr){.init_destination = begin_block,
                                          .empty_output_buffer = end_block,
                                          .term_destination = end_last_block};
    j->dest = &w->to;
    j->image_width = (JDIMENSION)w->px->width;
    j->image_height = (JDIMENSION)w->px->height;
    j->input_components = (int)w->px->channels;
    j->in_color_space = w->px->channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(j);
    jpeg_set_quality(j, w->quality, TRUE);
    if (w->quality >= 90) j->comp_info[0].h_samp_factor = j->comp_info[0].v_samp_factor = 1;
    j->optimize_coding = TRUE;
    jpeg_start_compress(j, TRUE);
    if (w->meta) put_segment(w, wf_exif_write, w->meta->parameters);
    if (w->meta) put_segment(w, wf_xmp_write, w->meta->weft);
    const size_t row_bytes = wf_pixels_row_bytes(w->px);
    while (j->next_scanline < j->image_height && !wf_has_failed(w->out.c)) {
        JSAMPROW row = (uint8_t *)w->px->data + j->next_scanline * row_bytes;
        (void)jpeg_write_scanlines(j, &row, 1);
    }
    if (!wf_has_failed(w->out.c)) jpeg_finish_compress(j);
}

static void encode_guarded(writer *w)
{
    w->jpeg.err = jpeg_std_error(&w->errors);
    w->jpeg.client_data = w;
    w->errors.error_exit = on_write_error;
    w->errors.output_message = be_quiet;
    if (setjmp(w->jump)) wf_fail(w->out.c, WF_EINTERNAL, "the JPEG cannot be made: %s", w->why);
    else encode(w);
    jpeg_destroy_compress(&w->jpeg);
}

wf_status wf_jpeg_save(wf_ctx *c, const char *path, const wf_pixels *p, int quality,
                       const wf_meta *meta, bool overwrite)
{
    WF_TRY(wf_meta_check(c, meta));
    if (p->bits != 8 || (p->channels != 1 && p->channels != 3) || p->width < 1 || p->height < 1 ||
        p->width > WF_MAX_SIDE_PX || p->height > WF_MAX_SIDE_PX || quality < 1 || quality > 100)
        return wf_fail_status(c, WF_EARG,
                              "%s: a JPEG holds 8 bits of grey or RGB, at most %d pixels a "
                              "side, at quality 1 to 100",
                              path, WF_MAX_SIDE_PX);
    writer *w = wf_mem_calloc(wf_ctx_get_mem(c), sizeof *w);
    if (!w) return wf_fail_status(c, WF_ENOMEM, "%s: no memory to write it", path);
    w->out.c = c;
    w->px = p;
    w->meta = meta;
    w->quality = quality;
    encode_guarded(w);
    const wf_status st = wf_file_save(c, path, w->out.data, w->out.n, overwrite);
    wf_bytes_free(&w->out);
    wf_mem_free(wf_ctx_get_mem(c), w);
    return st;
}
