/* jpeg.c - JPEG: round trips, orientation, inks, provenance, damage. */
#include "core/file/jpeg.h"

#include <stdio.h>

#include <jpeglib.h>

#include "core/file/exif.h"
#include "tests/unit/files.h"

/* Smooth, with a bright corner at the top left: survives compression, shows its orientation. */
static wf_pixels make_picture(wf_ctx *c, int64_t h, int64_t w, int64_t channels)
{
    wf_pixels p;
    const wf_pixels like = {.height = h, .width = w, .channels = channels, .bits = 8};
    assert_int_equal(wf_pixels_new(c, &p, &like, "test"), WF_OK);
    for (int64_t i = 0; i < h * w * channels; i++) {
        const int64_t x = i / channels % w, y = i / channels / w;
        const bool corner = x < w / 2 && y < h / 2;
        ((uint8_t *)p.data)[i] =
            (uint8_t)(corner ? 230 - 40 * (i % channels) : 20 + 2 * x + y + 30 * (i % channels));
    }
    return p;
}

static void expect_near(const wf_pixels *a, const wf_pixels *b, int tolerance)
{
    assert_int_equal(a->height, b->height);
    assert_int_equal(a->width, b->width);
    assert_int_equal(a->channels, b->channels);
    for (size_t i = 0; i < wf_pixels_row_bytes(a) * (size_t)a->height; i++)
        assert_in_range(abs(((uint8_t *)a->data)[i] - ((uint8_t *)b->data)[i]), 0, tolerance);
}

static void pictures_come_back(void **state)
{
    bench *b = *state;
    for (int64_t channels = 1; channels <= 3; channels += 2) {
        wf_pixels back, p = make_picture(b->c, 32, 48, channels);
        assert_int_equal(wf_jpeg_save(b->c, in(b, "p.jpg"), &p, 100, NULL, true), WF_OK);
        assert_int_equal(wf_jpeg_load(b->c, b->path, &back, NULL), WF_OK);
        expect_near(&p, &back, 6);                    /* rounding of the transform and of YCbCr */
        wf_pixels_free(&back);
        size_t small, large;
        free(get_file(b->path, &large));
        assert_int_equal(wf_jpeg_save(b->c, b->path, &p, 30, NULL, true), WF_OK);
        free(get_file(b->path, &small));
        assert_true(small < large);
        wf_pixels_free(&p);
    }
}

static void texts_come_back(void **state)
{
    bench *b = *state;
    char json[50000];
    memset(json, 'x', sizeof json);
    memcpy(json, "{\"v\":\"<&>&lt;\xe2\x82\xac\xf0\x9f\x8c\x8a", 20);
    memcpy(json + sizeof json - 3, "\"}", 3);
    const wf_meta meta = {
        .parameters = "ein Fuchs\nSteps: 30, \xc3\xa9\xe2\x82\xac\xf0\x9f\x8c\x8a", .weft = json};
    wf_pixels back, p = make_picture(b->c, 8, 8, 3);
    wf_meta_found found;
    assert_int_equal(wf_jpeg_save(b->c, in(b, "p.jpg"), &p, 90, &meta, true), WF_OK);
    assert_int_equal(wf_jpeg_load(b->c, b->path, &back, &found), WF_OK);
    assert_string_equal(found.parameters, meta.parameters);
    assert_string_equal(found.weft, json);
    wf_meta_free(&found);
    wf_pixels_free(&back);
    char *longer = calloc(1, 70001);
    memset(longer, 'x', 70000);
    const wf_meta two[] = {{.weft = longer}, {.parameters = longer}};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(wf_jpeg_save(b->c, in(b, "q.jpg"), &p, 90, &two[i], true), WF_EARG);
        expect_error(b->c, WF_EARG, "does not fit");
    }
    free(longer);
    assert_int_equal(count_files(b->folder), 1);
    wf_pixels_free(&p);
}

/* Write a file with this orientation in little-endian EXIF. */
static void make_turned(bench *b, const wf_pixels *p, int turn)
{
    size_t n;
    uint8_t segment[] = "\xff\xe1\0\x22"
                        "Exif\0\0"
                        "II*\0\x08\0\0\0"
                        "\x01\0"
                        "\x12\x01\x03\0\x01\0\0\0?\0\0\0"
                        "\0\0\0\0";
    segment[4 + 6 + 8 + 2 + 8] = (uint8_t)turn;
    assert_int_equal(wf_jpeg_save(b->c, in(b, "turned.jpg"), p, 100, NULL, true), WF_OK);
    uint8_t *raw = get_file(b->path, &n);
    FILE *f = fopen(b->path, "wb");
    fwrite(raw, 1, 2, f);
    fwrite(segment, 1, sizeof segment - 1, f);
    fwrite(raw + 2, 1, n - 2, f);
    fclose(f);
    free(raw);
}

static void pictures_are_turned_upright(void **state)
{
    bench *b = *state;
    wf_pixels p = make_picture(b->c, 16, 32, 1);
    /* where the bright corner of the stored picture must appear: column, row (0 near, 1 far) */
    static const int corner[9][2] = {{0},    {0, 0}, {1, 0}, {1, 1}, {0, 1},
                                     {0, 0}, {1, 0}, {1, 1}, {0, 1}};
    for (int turn = 1; turn <= 8; turn++) {
        wf_pixels q;
        make_turned(b, &p, turn);
        assert_int_equal(wf_jpeg_load(b->c, b->path, &q, NULL), WF_OK);
        assert_int_equal(q.width, turn < 5 ? 32 : 16);
        assert_int_equal(q.height, turn < 5 ? 16 : 32);
        for (int i = 0; i < 4; i++) {
            const int64_t x = i % 2 ? q.width - 2 : 1, y = i / 2 ? q.height - 2 : 1;
            const bool bright = ((uint8_t *)q.data)[y * q.width + x] > 150;
            assert_int_equal(bright, i % 2 == corner[turn][0] && i / 2 == corner[turn][1]);
        }
        wf_pixels_free(&q);
    }
    wf_pixels_free(&p);
}

static void inks_become_rgb(void **state)
{
    bench *b = *state;
    static const uint8_t inks[4] = {0, 128, 255, 26};          /* C M Y K, 255 is full */
    static const uint8_t want[3] = {229, 114, 0};
    struct jpeg_compress_struct j;
    struct jpeg_error_mgr e;
    j.err = jpeg_std_error(&e);
    for (int adobe = 0; adobe < 2; adobe++) {
        FILE *f = fopen(in(b, "inks.jpg"), "wb");
        jpeg_create_compress(&j);
        jpeg_stdio_dest(&j, f);
        j.image_width = j.image_height = 16;
        j.input_components = 4;
        j.in_color_space = JCS_CMYK;
        jpeg_set_defaults(&j);
        jpeg_set_quality(&j, 100, TRUE);
        j.write_Adobe_marker = adobe;
        jpeg_start_compress(&j, TRUE);
        uint8_t row[64];
        for (int i = 0; i < 64; i++) row[i] = (uint8_t)(adobe ? 255 - inks[i % 4] : inks[i % 4]);
        JSAMPROW rows = row;
        while (j.next_scanline < 16) jpeg_write_scanlines(&j, &rows, 1);
        jpeg_finish_compress(&j);
        jpeg_destroy_compress(&j);
        fclose(f);
        wf_pixels p;
        assert_int_equal(wf_jpeg_load(b->c, b->path, &p, NULL), WF_OK);
        assert_int_equal(p.channels, 3);
        for (int i = 0; i < 3; i++)
            assert_in_range(((uint8_t *)p.data)[300 + i], want[i] - (want[i] > 0), want[i] + 1);
        wf_pixels_free(&p);
    }
}

static void refuses(void **state)
{
    bench *b = *state;
    wf_pixels p = make_picture(b->c, 8, 8, 3), q;
    put_file(in(b, "p.jpg"), "GIF89a", 6);
    assert_int_equal(wf_jpeg_load(b->c, b->path, &q, NULL), WF_EFORMAT);
    expect_error(b->c, WF_EFORMAT, "is a GIF picture, not a JPEG");
    put_file(b->path, "", 0);
    assert_int_equal(wf_jpeg_load(b->c, b->path, &q, NULL), WF_EFORMAT);
    expect_error(b->c, WF_EFORMAT, "is empty");
    static const int bad[] = {0, 101, -1};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(wf_jpeg_save(b->c, in(b, "q.jpg"), &p, bad[i], NULL, true), WF_EARG);
        expect_error(b->c, WF_EARG, "quality 1 to 100");
    }
    p.bits = 16;
    assert_int_equal(wf_jpeg_save(b->c, b->path, &p, 90, NULL, true), WF_EARG);
    expect_error(b->c, WF_EARG, "8 bits");
    wf_pixels_free(&p);
    p = make_picture(b->c, 8, 8, 3);
    assert_int_equal(wf_jpeg_save(b->c, b->path, &p, 90, NULL, true), WF_OK);
    size_t n;
    uint8_t *raw = get_file(b->path, &n);
    uint8_t *sof = memmem(raw, n, "\xff\xc0", 2);
    assert_non_null(sof);
    memcpy(sof + 5, "\x40\0\x40\0", 4);               /* 16384 x 16384 */
    put_file(b->path, raw, n);
    assert_int_equal(wf_jpeg_load(b->c, b->path, &q, NULL), WF_EFORMAT);
    expect_error(b->c, WF_EFORMAT, "bytes cannot hold");
    memcpy(sof + 5, "\xff\xff\xff\xff", 4);
    put_file(b->path, raw, n);
    assert_int_equal(wf_jpeg_load(b->c, b->path, &q, NULL), WF_EFORMAT);
    expect_error(b->c, WF_EFORMAT, "Maximum supported image dimension");
    free(raw);
    wf_pixels_free(&p);
}

static void read_anything(bench *b, const uint8_t *data, size_t n)
{
    wf_pixels p;
    wf_meta_found found;
    (void)wf_jpeg_decode(b->c, "bad.jpg", data, n, &p, &found);
    wf_pixels_free(&p);
    wf_meta_free(&found);
    expect_ok_or_refused(b->c);
}

static void survives_damage(void **state)
{
    bench *b = *state;
    uint32_t seed = 3;
    size_t n;
    const wf_meta meta = {.parameters = "p\xc3\xa9", .weft = "{\"v\":1}"};
    wf_pixels p = make_picture(b->c, 16, 24, 3);
    assert_int_equal(wf_jpeg_save(b->c, in(b, "good.jpg"), &p, 80, &meta, true), WF_OK);
    wf_pixels_free(&p);
    uint8_t *good = get_file(b->path, &n), *bad = malloc(n);
    for (size_t k = 0; k < n; k++) {
        assert_int_equal(wf_jpeg_decode(b->c, "bad.jpg", good, k, &p, NULL), WF_EFORMAT);
        expect_error(b->c, WF_EFORMAT, "bad.jpg: ");
        wf_pixels_free(&p);
    }
    for (int i = 0; i < 5000; i++) {
        memcpy(bad, good, n);
        for (int k = 0; k < 1 + i % 3; k++)
            bad[next_random(&seed) % n] = (uint8_t)next_random(&seed);
        read_anything(b, bad, n);
    }
    free(good);
    free(bad);
}

/* EXIF blocks of any content do no harm. */
static void survives_damaged_exif(void **state)
{
    bench *b = *state;
    uint32_t seed = 5;
    wf_bytes good = {.c = b->c};
    wf_exif_write(&good, "a comment");
    uint8_t *bad = malloc(good.n);
    for (int i = 0; i < 20000; i++) {
        wf_meta_found found = {0};
        const size_t n = next_random(&seed) % (good.n + 1);
        memcpy(bad, good.data, good.n);
        for (int k = 0; k < 3; k++)
            bad[6 + next_random(&seed) % (good.n - 6)] = (uint8_t)next_random(&seed);
        (void)wf_exif_read(b->c, bad, i % 2 ? good.n : n, &found);
        wf_meta_free(&found);
    }
    expect_ok(b->c);
    free(bad);
    wf_bytes_free(&good);
}

static void memory_and_files_may_fail(void **state)
{
    bench *b = *state;
    wf_mem *m = wf_ctx_get_mem(b->c);
    wf_pixels p = make_picture(b->c, 8, 8, 3);
    const wf_meta meta = {.parameters = "p", .weft = "{}"};
    const size_t before = wf_mem_get_stats(m).live_bytes;
    in(b, "p.jpg");
    for (int way = 0; way < 2; way++)
        for (uint64_t k = 1;; k++) {
            wf_pixels q = {0};
            wf_meta_found found = {0};
            wf_mem_fail_nth(m, k);
            if (way == 0) (void)!wf_jpeg_save(b->c, b->path, &p, 80, &meta, true);
            if (way == 1) (void)wf_jpeg_load(b->c, b->path, &q, &found);
            wf_mem_fail_nth(m, 0);
            wf_pixels_free(&q);
            wf_meta_free(&found);
            assert_int_equal(wf_mem_get_stats(m).live_bytes, before);
            if (!wf_has_failed(b->c)) break;
            expect_error(b->c, WF_ENOMEM, "no memory");
        }
    unlink(b->path);
    for (uint64_t k = 1;; k++) {
        wf_ctx_fail_io(b->c, k);
        const wf_status st = wf_jpeg_save(b->c, b->path, &p, 80, &meta, false);
        wf_ctx_fail_io(b->c, 0);
        if (st == WF_OK) break;
        expect_error(b->c, WF_EIO, "p.jpg");
        assert_int_equal(count_files(b->folder), 0);
    }
    wf_pixels_free(&p);
}

#define T(f) cmocka_unit_test_setup_teardown(f, bench_open, bench_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(pictures_come_back),
        T(texts_come_back),
        T(pictures_are_turned_upright),
        T(inks_become_rgb),
        T(refuses),
        T(survives_damage),
        T(survives_damaged_exif),
        T(memory_and_files_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
