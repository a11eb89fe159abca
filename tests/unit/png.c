/* png.c - PNG and APNG: every kind read, texts, limits, damage, failing memory and files. */
#include "core/file/png.h"

#include <png.h>
#include <zlib.h>

#include "core/file/apng.h"
#include "core/file/file_map.h"
#include "tests/unit/files.h"

/* A picture with no two equal neighbours, in u8 or u16. */
static wf_pixels make_picture(wf_ctx *c, int64_t h, int64_t w, int64_t channels, int bits)
{
    wf_pixels p;
    const wf_pixels like = {.height = h, .width = w, .channels = channels, .bits = bits};
    assert_int_equal(wf_pixels_new(c, &p, &like, "test"), WF_OK);
    for (int64_t i = 0; i < h * w * channels; i++) {
        const unsigned v = (unsigned)(i * 2654435761u >> 7);
        if (bits == 8) ((uint8_t *)p.data)[i] = (uint8_t)v;
        else ((uint16_t *)p.data)[i] = (uint16_t)v;
    }
    return p;
}

static void expect_same(const wf_pixels *a, const wf_pixels *b)
{
    assert_int_equal(a->height, b->height);
    assert_int_equal(a->width, b->width);
    assert_int_equal(a->channels, b->channels);
    assert_int_equal(a->bits, b->bits);
    assert_memory_equal(a->data, b->data, wf_pixels_row_bytes(a) * (size_t)a->height);
}

/* ---- what we write ---- */

static void pictures_come_back(void **state)
{
    bench *b = *state;
    static const int channels[] = {1, 3, 4};
    for (int i = 0; i < 6; i++) {
        wf_pixels back, p = make_picture(b->c, 5, 7, channels[i / 2], i % 2 ? 16 : 8);
        assert_int_equal(wf_png_save(b->c, in(b, "p.png"), &p, NULL, true), WF_OK);
        assert_int_equal(wf_png_load(b->c, b->path, &back, NULL), WF_OK);
        expect_same(&p, &back);
        wf_pixels_free(&back);
        wf_pixels_free(&p);
    }
}

static void texts_come_back(void **state)
{
    bench *b = *state;
    wf_pixels back, p = make_picture(b->c, 2, 2, 3, 8);
    static const char *const lines[] = {"a red fox\nSteps: 30, Seed: 4242",
                                        "ein Fuchs im Schn\xc3\xa9\xc3\xa9"};
    char json[40000];
    memset(json, 'x', sizeof json);
    memcpy(json, "{\"v\":1,\"t\":\"\xe2\x82\xac", 15);
    memcpy(json + sizeof json - 3, "\"}", 3);
    for (int i = 0; i < 2; i++) {
        const wf_meta meta = {.parameters = lines[i], .weft = json};
        wf_meta_found found;
        assert_int_equal(wf_png_save(b->c, in(b, "p.png"), &p, &meta, true), WF_OK);
        assert_int_equal(wf_png_load(b->c, b->path, &back, &found), WF_OK);
        assert_string_equal(found.parameters, lines[i]);
        assert_string_equal(found.weft, json);
        wf_meta_free(&found);
        wf_pixels_free(&back);
        size_t n;
        uint8_t *raw = get_file(b->path, &n);
        assert_non_null(memmem(raw, n, i ? "iTXtparameters" : "tEXtparameters", 14));
        assert_non_null(memmem(raw, n, "iTXtweft\0\1", 10));
        assert_null(memmem(raw, n, "tIME", 4));
        assert_true(n < 3000);                        /* the JSON is compressed */
        free(raw);
    }
    const wf_meta bad = {.weft = "\xff"};
    assert_int_equal(wf_png_save(b->c, b->path, &p, &bad, true), WF_EARG);
    expect_error(b->c, WF_EARG, "not UTF-8");
    wf_pixels_free(&p);
}

/* ---- what others write: made by libpng itself ---- */

typedef struct kind {
    int type, bits;
    bool clear, interlaced;
    int64_t channels;                   /* as read */
    int read_bits;
} kind;

/* Sample i of row y at this depth, and in bytes. */
static unsigned sample_of(int bits, size_t i, size_t y)
{
    return (unsigned)(i * 7 + y * 3 + i * y) & ((1u << bits) - 1);
}

static void fill_row(uint8_t *row, const kind *k, size_t n, size_t y)
{
    memset(row, 0, 256);
    for (size_t i = 0; i < n; i++) {
        const unsigned v = sample_of(k->bits, i, y);
        if (k->bits == 16) {
            row[2 * i] = (uint8_t)(v >> 8);
            row[2 * i + 1] = (uint8_t)v;
        } else {
            const size_t bit = i * (size_t)k->bits;
            row[bit / 8] |= (uint8_t)(v << (8 - k->bits - (int)(bit % 8)));
        }
    }
}

enum { W = 11, H = 9 };

static void write_kind(const char *path, const kind *k)
{
    FILE *f = fopen(path, "wb");
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_color palette[256];
    png_byte alpha[256];
    for (int i = 0; i < 256; i++) {
        palette[i] = (png_color){(png_byte)i, (png_byte)(255 - i), (png_byte)(i * 3)};
        alpha[i] = (png_byte)(i * 5);
    }
    png_init_io(png, f);
    png_set_IHDR(png, info, W, H, k->bits, k->type,
                 k->interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_color_16 key = {.gray = (png_uint_16)sample_of(k->bits, 2, 1)};
    if (k->type == PNG_COLOR_TYPE_PALETTE) png_set_PLTE(png, info, palette, 1 << k->bits);
    if (k->clear)
        png_set_tRNS(png, info, alpha, k->type == PNG_COLOR_TYPE_PALETTE ? 1 << k->bits : 0, &key);
    png_set_gAMA_fixed(png, info, 45455);
    png_write_info(png, info);
    png_bytep rows[H];
    static uint8_t data[H][256];
    static const int n_samples[] = {1, 0, 3, 1, 2, 0, 4};
    for (size_t y = 0; y < H; y++) {
        fill_row(data[y], k, W * (size_t)n_samples[k->type], y);
        rows[y] = data[y];
    }
    png_write_image(png, rows);
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    fclose(f);
}

/* What reading must give for sample s (channel ch of pixel x) of row y. */
static unsigned expected(const kind *k, size_t x, size_t y, size_t ch)
{
    const unsigned max = (1u << k->bits) - 1;
    if (k->type == PNG_COLOR_TYPE_PALETTE) {
        const unsigned i = sample_of(k->bits, x, y);
        const unsigned rgba[] = {i, 255 - i, (i * 3) & 255, (i * 5) & 255};
        return rgba[ch];
    }
    if (k->type == PNG_COLOR_TYPE_GRAY) {
        const unsigned v = sample_of(k->bits, x, y);
        if (ch == 3) return v == sample_of(k->bits, 2, 1) ? 0 : (k->bits == 16 ? 65535 : 255);
        return k->bits >= 8 ? v : v * 255 / max;
    }
    const size_t n = k->type == PNG_COLOR_TYPE_RGB         ? 3
                     : k->type == PNG_COLOR_TYPE_RGB_ALPHA ? 4
                                                           : 2;
    return sample_of(k->bits, n == 2 ? 2 * x + (ch == 3) : n * x + ch, y);
}

static void reads_every_kind(void **state)
{
    bench *b = *state;
    static const kind kinds[] = {
        {PNG_COLOR_TYPE_GRAY, 1, false, false, 1, 8},
        {PNG_COLOR_TYPE_GRAY, 2, false, true, 1, 8},
        {PNG_COLOR_TYPE_GRAY, 4, true, false, 4, 8},
        {PNG_COLOR_TYPE_GRAY, 8, true, true, 4, 8},
        {PNG_COLOR_TYPE_GRAY, 16, false, true, 1, 16},
        {PNG_COLOR_TYPE_GRAY, 16, true, false, 4, 16},
        {PNG_COLOR_TYPE_PALETTE, 1, false, false, 3, 8},
        {PNG_COLOR_TYPE_PALETTE, 2, true, true, 4, 8},
        {PNG_COLOR_TYPE_PALETTE, 4, false, true, 3, 8},
        {PNG_COLOR_TYPE_PALETTE, 8, true, false, 4, 8},
        {PNG_COLOR_TYPE_GRAY_ALPHA, 8, false, true, 4, 8},
        {PNG_COLOR_TYPE_GRAY_ALPHA, 16, false, false, 4, 16},
        {PNG_COLOR_TYPE_RGB, 8, false, true, 3, 8},
        {PNG_COLOR_TYPE_RGB, 16, false, false, 3, 16},
        {PNG_COLOR_TYPE_RGB_ALPHA, 8, false, false, 4, 8},
        {PNG_COLOR_TYPE_RGB_ALPHA, 16, false, true, 4, 16},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        const kind *k = &kinds[i];
        wf_pixels p;
        write_kind(in(b, "k.png"), k);
        assert_int_equal(wf_png_load(b->c, b->path, &p, NULL), WF_OK);
        assert_int_equal(p.channels, k->channels);
        assert_int_equal(p.bits, k->read_bits);
        for (size_t j = 0; j < (size_t)(W * H * p.channels); j++) {
            const size_t ch = j % (size_t)p.channels, x = j / (size_t)p.channels % W;
            const unsigned got = p.bits == 8 ? ((uint8_t *)p.data)[j] : ((uint16_t *)p.data)[j];
            assert_int_equal(got, expected(k, x, j / (size_t)p.channels / W, ch));
        }
        wf_pixels_free(&p);
    }
}

/* ---- hostile files ---- */

static void put_chunk(wf_bytes *b, const char *type, const void *data, size_t n)
{
    wf_bytes_put_u32be(b, (uint32_t)n);
    wf_bytes_put(b, type, 4);
    wf_bytes_put(b, data, n);
    uLong sum = crc32(0, (const Bytef *)type, 4);
    if (n) sum = crc32(sum, data, (uInt)n);
    wf_bytes_put_u32be(b, (uint32_t)sum);
}

static void put_head(wf_bytes *b, uint32_t w, uint32_t h, uint8_t bits, uint8_t type)
{
    wf_bytes head = {.c = b->c};
    wf_bytes_put_u32be(&head, w);
    wf_bytes_put_u32be(&head, h);
    wf_bytes_put_u8(&head, bits);
    wf_bytes_put_u8(&head, type);
    wf_bytes_put(&head, "\0\0\0", 3);
    wf_bytes_put(b, "\x89PNG\r\n\x1a\n", 8);
    put_chunk(b, "IHDR", head.data, head.n);
    wf_bytes_free(&head);
}

static void put_body(wf_bytes *b, size_t raw_bytes)
{
    static Bytef raw[1 << 16], packed[1 << 16];
    uLongf n = sizeof packed;
    assert_int_equal(compress(packed, &n, raw, raw_bytes), Z_OK);
    put_chunk(b, "IDAT", packed, n);
    put_chunk(b, "IEND", NULL, 0);
}

static void expect_bad(bench *b, wf_bytes *f, wf_status st, const char *word)
{
    wf_pixels p;
    put_file(in(b, "bad.png"), f->data, f->n);
    assert_int_equal(wf_png_load(b->c, b->path, &p, NULL), st);
    expect_error(b->c, st, word);
    wf_pixels_free(&p);
    wf_bytes_free(f);
}

static void refuses_lying_headers(void **state)
{
    bench *b = *state;
    static const struct { uint32_t w, h; uint8_t bits, type; const char *word;
    } bad[] = {
        {1000000, 1000000, 8, 2, "damaged PNG"},
        {16384, 16384, 8, 2, "bytes cannot hold"},
        {20000, 2, 8, 2, "damaged PNG"},
        {0, 5, 8, 2, "damaged PNG"},
        {5, 0, 8, 2, "damaged PNG"},
        {0x80000000u, 5, 8, 2, "damaged PNG"},
        {5, 5, 3, 2, "damaged PNG"},
        {5, 5, 8, 7, "damaged PNG"},
        {5, 5, 8, 3, "damaged PNG"},
        {5, 9, 8, 2, "row 5 of 9"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        wf_bytes f = {.c = b->c};
        put_head(&f, bad[i].w, bad[i].h, bad[i].bits, bad[i].type);
        put_body(&f, 5 * (5 * 3 + 1));                /* five rows of five pixels */
        expect_bad(b, &f, WF_EFORMAT, bad[i].word);
    }
    wf_bytes f = {.c = b->c};
    wf_bytes_put_text(&f, "<!DOCTYPE html>");
    expect_bad(b, &f, WF_EFORMAT, "is a web page, not a PNG");
    wf_bytes_put_text(&f, "\xff\xd8\xff\xe0....");
    expect_bad(b, &f, WF_EFORMAT, "is a JPEG picture, not a PNG");
    wf_bytes_put_text(&f, "\x89PNG\n....");
    expect_bad(b, &f, WF_EFORMAT, "is a damaged PNG");
    expect_bad(b, &f, WF_EFORMAT, "is empty");
}

/* Texts in thousands, or ones that inflate to megabytes, are dropped; the picture is read. */
static void drops_floods_of_text(void **state)
{
    bench *b = *state;
    static Bytef packed[1 << 16];
    static char megabytes[8 << 20];
    wf_bytes f = {.c = b->c}, bomb = {.c = b->c};
    wf_pixels p;
    wf_meta_found found;
    put_head(&f, 5, 5, 8, 2);
    for (int i = 0; i < 100000; i++) put_chunk(&f, "tEXt", "a\0b", 3);
    memset(megabytes, 'x', sizeof megabytes);
    uLongf n = sizeof packed;
    assert_int_equal(compress(packed, &n, (const Bytef *)megabytes, sizeof megabytes), Z_OK);
    wf_bytes_put(&bomb, "weft\0\1\0\0\0", 9);
    wf_bytes_put(&bomb, packed, n);
    put_chunk(&f, "iTXt", bomb.data, bomb.n);
    put_body(&f, 5 * (5 * 3 + 1));
    put_file(in(b, "flood.png"), f.data, f.n);
    wf_mem_reset_peak(wf_ctx_get_mem(b->c));
    const size_t before = wf_mem_get_stats(wf_ctx_get_mem(b->c)).peak_bytes;
    assert_int_equal(wf_png_load(b->c, b->path, &p, &found), WF_OK);
    assert_true(wf_mem_get_stats(wf_ctx_get_mem(b->c)).peak_bytes - before < (8 << 20));
    assert_null(found.weft);
    wf_meta_free(&found);
    wf_pixels_free(&p);
    wf_bytes_free(&bomb);
    wf_bytes_free(&f);
}

static void read_anything(bench *b, const uint8_t *data, size_t n, bool animated)
{
    wf_pixels p = {0};
    wf_frames f = {0};
    wf_meta_found found;
    if (animated) (void)wf_apng_decode(b->c, "bad.png", data, n, &f, &found);
    else (void)wf_png_decode(b->c, "bad.png", data, n, &p, &found);
    wf_pixels_free(&p);
    wf_frames_free(&f);
    wf_meta_free(&found);
    expect_ok_or_refused(b->c);
}

static wf_frames make_frames(wf_ctx *c, int64_t n)
{
    wf_frames f = {.mem = wf_ctx_get_mem(c), .n = n};
    f.list = wf_mem_calloc(f.mem, (size_t)n * sizeof *f.list);
    for (int64_t i = 0; i < n; i++) f.list[i] = make_picture(c, 6, 5, 4, 8);
    for (int64_t i = 0; i < n; i++) memset(f.list[i].data, (int)(40 * i), 20);
    return f;
}

static void damage(bench *b, bool animated)
{
    uint32_t seed = 7;
    size_t n;
    const wf_meta meta = {.parameters = "p", .weft = "{\"v\":1}"};
    wf_frames f = make_frames(b->c, 3);
    in(b, "good.png");
    if (animated) assert_int_equal(wf_apng_save(b->c, b->path, &f, 8, 1, &meta, true), WF_OK);
    else assert_int_equal(wf_png_save(b->c, b->path, &f.list[0], &meta, true), WF_OK);
    wf_frames_free(&f);
    uint8_t *good = get_file(b->path, &n), *bad = malloc(n);
    for (size_t k = 0; k < n; k++) read_anything(b, good, k, animated);
    for (int i = 0; i < 4000; i++) {
        memcpy(bad, good, n);
        for (int k = 0; k < 1 + i % 3; k++)
            bad[next_random(&seed) % n] ^= (uint8_t)(1u << next_random(&seed) % 8);
        read_anything(b, bad, n, animated);
    }
    assert_true(wf_mem_get_stats(wf_ctx_get_mem(b->c)).peak_bytes < (16 << 20));     /* no bombs */
    free(good);
    free(bad);
}

static void survives_damage(void **state) { damage(*state, false); }
static void animations_survive_damage(void **state) { damage(*state, true); }

/* Damage that the check sums do not show. */
static void survives_damage_with_right_sums(void **state)
{
    bench *b = *state;
    uint32_t seed = 99;
    size_t n;
    wf_frames f = make_frames(b->c, 3);
    assert_int_equal(wf_apng_save(b->c, in(b, "good.png"), &f, 8, 1, NULL, true), WF_OK);
    wf_frames_free(&f);
    uint8_t *good = get_file(b->path, &n);
    for (int i = 0; i < 3000; i++) {
        wf_bytes out = {.c = b->c};
        wf_cursor k = {.c = b->c, .name = "good", .data = good, .n = n, .at = 8};
        wf_bytes_put(&out, good, 8);
        while (wf_cursor_left(&k) >= 12) {
            uint8_t body[2000];
            const uint32_t bytes = wf_cursor_u32be(&k, "length");
            const char *type = (const char *)wf_cursor_read(&k, 4, "type");
            memcpy(body, wf_cursor_read(&k, bytes, "body"), bytes);
            (void)wf_cursor_u32be(&k, "sum");
            if (bytes && next_random(&seed) % 3 == 0)
                body[next_random(&seed) % bytes] = (uint8_t)next_random(&seed);
            put_chunk(&out, type, body, bytes);
        }
        read_anything(b, out.data, out.n, i % 4 != 0);
        wf_bytes_free(&out);
    }
    free(good);
}

static void out_of_memory_is_an_error(void **state)
{
    bench *b = *state;
    wf_mem *m = wf_ctx_get_mem(b->c);
    const wf_meta meta = {.parameters = "p", .weft = "{}"};
    wf_frames f = make_frames(b->c, 2);
    const size_t before = wf_mem_get_stats(m).live_bytes;
    in(b, "m.png");
    for (int way = 0; way < 4; way++)
        for (uint64_t k = 1;; k++) {
            wf_pixels p = {0};
            wf_frames g = {0};
            wf_meta_found found = {0};
            wf_mem_fail_nth(m, k);
            if (way == 0) (void)!wf_png_save(b->c, b->path, &f.list[0], &meta, true);
            if (way == 1) (void)wf_png_load(b->c, b->path, &p, &found);
            if (way == 2) (void)!wf_apng_save(b->c, b->path, &f, 8, 1, &meta, true);
            if (way == 3) (void)wf_apng_load(b->c, b->path, &g, &found);
            wf_mem_fail_nth(m, 0);
            wf_pixels_free(&p);
            wf_frames_free(&g);
            wf_meta_free(&found);
            assert_int_equal(wf_mem_get_stats(m).live_bytes, before);
            if (!wf_has_failed(b->c)) break;
            expect_error(b->c, WF_ENOMEM, "no memory");
        }
    wf_frames_free(&f);
}

static void a_failing_write_leaves_nothing(void **state)
{
    bench *b = *state;
    wf_pixels p = make_picture(b->c, 2, 2, 3, 8);
    for (uint64_t k = 1;; k++) {
        wf_ctx_fail_io(b->c, k);
        const wf_status st = wf_png_save(b->c, in(b, "p.png"), &p, NULL, false);
        wf_ctx_fail_io(b->c, 0);
        if (st == WF_OK) break;
        expect_error(b->c, WF_EIO, "p.png");
        assert_int_equal(count_files(b->folder), 0);
    }
    assert_int_equal(wf_png_save(b->c, b->path, &p, NULL, false), WF_EIO);
    expect_error(b->c, WF_EIO, "exists already");
    wf_pixels_free(&p);
}

/* ---- animations ---- */

static void animations_come_back(void **state)
{
    bench *b = *state;
    const wf_meta meta = {.parameters = "p", .weft = "{\"v\":1}"};
    wf_frames back, f = make_frames(b->c, 5);
    wf_meta_found found;
    f.n_plays = 3;
    assert_int_equal(wf_apng_save(b->c, in(b, "a.png"), &f, 25, 2, &meta, true), WF_OK);
    assert_int_equal(wf_apng_load(b->c, b->path, &back, &found), WF_OK);
    assert_int_equal(back.n, 5);
    assert_int_equal(back.n_plays, 3);
    assert_true(back.seconds > 0.399 && back.seconds < 0.401);
    assert_string_equal(found.weft, "{\"v\":1}");
    for (int i = 0; i < 5; i++) expect_same(&f.list[i], &back.list[i]);
    wf_frames_free(&back);
    wf_meta_free(&found);
    wf_pixels p;                                      /* a still reader sees the first frame */
    assert_int_equal(wf_png_load(b->c, b->path, &p, NULL), WF_OK);
    expect_same(&f.list[0], &p);
    wf_pixels_free(&p);
    assert_int_equal(wf_png_save(b->c, b->path, &f.list[1], NULL, true), WF_OK);
    assert_int_equal(wf_apng_load(b->c, b->path, &back, NULL), WF_OK);
    assert_int_equal(back.n, 1);
    assert_true(back.seconds == 0);
    expect_same(&f.list[1], &back.list[0]);
    wf_frames_free(&back);
    wf_frames_free(&f);
}

static void put_control(wf_bytes *f, uint32_t sequence, const uint32_t rect[4], uint8_t dispose,
                        uint8_t blend)
{
    wf_bytes k = {.c = f->c};
    wf_bytes_put_u32be(&k, sequence);
    for (int i = 0; i < 4; i++) wf_bytes_put_u32be(&k, rect[i]);
    wf_bytes_put_u32be(&k, 0x00010004);               /* a quarter of a second */
    wf_bytes_put_u8(&k, dispose);
    wf_bytes_put_u8(&k, blend);
    put_chunk(f, "fcTL", k.data, k.n);
    wf_bytes_free(&k);
}

/* n pixels wide and one high, all of one RGBA value, as IDAT or fdAT. */
static void put_line(wf_bytes *f, int sequence, size_t n, uint32_t rgba)
{
    wf_bytes raw = {.c = f->c}, body = {.c = f->c};
    Bytef packed[256];
    uLongf bytes = sizeof packed;
    wf_bytes_put_u8(&raw, 0);
    for (size_t i = 0; i < n; i++) wf_bytes_put_u32be(&raw, rgba);
    assert_int_equal(compress(packed, &bytes, raw.data, raw.n), Z_OK);
    if (sequence >= 0) wf_bytes_put_u32be(&body, (uint32_t)sequence);
    wf_bytes_put(&body, packed, bytes);
    put_chunk(f, sequence < 0 ? "IDAT" : "fdAT", body.data, body.n);
    wf_bytes_free(&raw);
    wf_bytes_free(&body);
}

/* Partial frames, disposal and blending, worked out by hand on a canvas of 3x1. */
static void animations_are_composed(void **state)
{
    bench *b = *state;
    wf_bytes f = {.c = b->c};
    put_head(&f, 3, 1, 8, 6);
    put_chunk(&f, "acTL", "\0\0\0\4\0\0\0\0", 8);
    put_control(&f, 0, (uint32_t[]){3, 1, 0, 0}, 0, 0);
    put_line(&f, -1, 3, 0x101010ff);
    put_control(&f, 1, (uint32_t[]){1, 1, 1, 0}, 2, 0);         /* restored afterwards */
    put_line(&f, 2, 1, 0xff0000ff);
    put_control(&f, 3, (uint32_t[]){2, 1, 1, 0}, 1, 1);         /* half over, then cleared */
    put_line(&f, 4, 2, 0x50909080);
    put_control(&f, 5, (uint32_t[]){1, 1, 0, 0}, 0, 0);
    put_line(&f, 6, 1, 0x00ff00ff);
    put_chunk(&f, "IEND", NULL, 0);
    put_file(in(b, "c.png"), f.data, f.n);
    wf_bytes_free(&f);
    static const uint8_t want[4][12] = {
        {16, 16, 16, 255, 16, 16, 16, 255, 16, 16, 16, 255},
        {16, 16, 16, 255, 255, 0, 0, 255, 16, 16, 16, 255},
        {16, 16, 16, 255, 48, 80, 80, 255, 48, 80, 80, 255},
        {0, 255, 0, 255, 0, 0, 0, 0, 0, 0, 0, 0},
    };
    wf_frames back;
    assert_int_equal(wf_apng_load(b->c, b->path, &back, NULL), WF_OK);
    assert_int_equal(back.n, 4);
    assert_true(back.seconds == 1.0);
    for (int i = 0; i < 4; i++) assert_memory_equal(back.list[i].data, want[i], 12);
    wf_frames_free(&back);
}

static void refuses_bad_animations(void **state)
{
    bench *b = *state;
    static const uint32_t rects[][4] = {
        {3, 1, 0, 0}, {3, 1, 1, 0}, {0, 1, 0, 0}, {1, 1, 0xffffffffu, 0}};
    static const char *const words[] = {"announces 2 frames, holds 1", "outside", "outside",
                                        "outside"};
    for (int i = 0; i < 4; i++) {
        wf_bytes f = {.c = b->c};
        wf_frames back;
        put_head(&f, 3, 1, 8, 6);
        put_chunk(&f, "acTL", "\0\0\0\2\0\0\0\0", 8);
        put_control(&f, 0, rects[i], 0, 0);
        put_line(&f, -1, 3, 0x101010ff);
        put_chunk(&f, "IEND", NULL, 0);
        put_file(in(b, "c.png"), f.data, f.n);
        wf_bytes_free(&f);
        assert_int_equal(wf_apng_load(b->c, b->path, &back, NULL), WF_EFORMAT);
        expect_error(b->c, WF_EFORMAT, words[i]);
        wf_frames_free(&back);
    }
    wf_frames f = make_frames(b->c, 2);
    assert_int_equal(wf_apng_save(b->c, b->path, &f, 0, 1, NULL, true), WF_EARG);
    expect_error(b->c, WF_EARG, "must be 1 to 65535");
    f.n = 0;
    assert_int_equal(wf_apng_save(b->c, b->path, &f, 8, 1, NULL, true), WF_EARG);
    expect_error(b->c, WF_EARG, "0 frames");
    f.n = 2;
    f.list[1].height--;
    assert_int_equal(wf_apng_save(b->c, b->path, &f, 8, 1, NULL, true), WF_EARG);
    expect_error(b->c, WF_EARG, "frame 2 differs");
    wf_frames_free(&f);
}

/* A line of n pixels of so many channels, all 7, as IDAT or fdAT. */
static void put_samples(wf_bytes *f, int sequence, size_t n_samples)
{
    wf_bytes body = {.c = f->c};
    Bytef raw[4096] = {0}, packed[256];
    uLongf bytes = sizeof packed;
    memset(raw + 1, 7, n_samples);
    assert_int_equal(compress(packed, &bytes, raw, n_samples + 1), Z_OK);
    if (sequence >= 0) wf_bytes_put_u32be(&body, (uint32_t)sequence);
    wf_bytes_put(&body, packed, bytes);
    put_chunk(f, sequence < 0 ? "IDAT" : "fdAT", body.data, body.n);
    wf_bytes_free(&body);
}

/* An animation of two frames of RGB, n wide and one high, up to the data of the second. With early,
 * the first is in an fdAT, before the picture that readers of stills show. */
static void put_first_frame(wf_bytes *f, uint32_t n, bool early)
{
    put_head(f, n, 1, 8, 2);
    put_chunk(f, "acTL", "\0\0\0\2\0\0\0\0", 8);
    put_control(f, 0, (uint32_t[]){n, 1, 0, 0}, 0, 0);
    put_samples(f, early ? 1 : -1, 3 * n);
}

static void expect_bad_animation(bench *b, wf_bytes *f, const char *word)
{
    wf_frames back;
    assert_int_equal(wf_apng_decode(b->c, "c.png", f->data, f->n, &back, NULL), WF_EFORMAT);
    expect_error(b->c, WF_EFORMAT, word);
    wf_frames_free(&back);
    wf_bytes_free(f);
}

/* What would give later frames more channels or the canvas another size than it was made with. */
static void frames_have_no_colours_of_their_own(void **state)
{
    bench *b = *state;
    for (int i = 0; i < 2; i++) {                     /* after an IDAT, after an fdAT */
        const uint32_t at = i ? 2 : 1;
        wf_bytes f = {.c = b->c};
        put_first_frame(&f, 512, i);
        put_control(&f, at, (uint32_t[]){512, 1, 0, 0}, 0, 0);
        put_chunk(&f, "tRNS", "\0\1\0\1\0\1", 6);
        put_samples(&f, (int)at + 1, 3 * 512);
        if (i) put_samples(&f, -1, 3 * 512);
        put_chunk(&f, "IEND", NULL, 0);
        expect_bad_animation(b, &f, "frame 2: has colours of its own");
    }
}

static void animations_end_at_their_end(void **state)
{
    bench *b = *state;
    wf_bytes f = {.c = b->c}, large = {.c = b->c};
    put_first_frame(&f, 4, false);
    put_chunk(&f, "IEND", NULL, 0);
    put_head(&large, 1000, 1, 8, 2);
    wf_bytes_put(&f, large.data + 8, large.n - 8);
    put_control(&f, 1, (uint32_t[]){1000, 1, 0, 0}, 0, 0);
    put_samples(&f, 2, 3 * 1000);
    put_chunk(&f, "IEND", NULL, 0);
    wf_bytes_free(&large);
    expect_bad_animation(b, &f, "announces 2 frames, holds 1");
}

#define T(f) cmocka_unit_test_setup_teardown(f, bench_open, bench_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(pictures_come_back), T(texts_come_back), T(reads_every_kind), T(refuses_lying_headers),
        T(drops_floods_of_text), T(survives_damage), T(survives_damage_with_right_sums),
        T(out_of_memory_is_an_error), T(a_failing_write_leaves_nothing), T(animations_come_back),
        T(animations_are_composed), T(refuses_bad_animations), T(animations_survive_damage),
        T(frames_have_no_colours_of_their_own), T(animations_end_at_their_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
