/* resize.c - pictures resampled as Pillow and PyTorch do, and pictures as tensors. */
#include "core/media/image_resize.h"

#include "core/media/image.h"
#include "core/tensor/ops.h"
#include "tests/unit/vectors.h"

static void expect_near(wf_ctx *c, const wf_json *row, wf_tensor *got, wf_tensor *want,
                        double tolerance)
{
    const double d = difference(c, got, want);
    if (!(d <= tolerance)) print_error("%s: off by %g\n", case_of(row), d);
    assert_true(d <= tolerance);
}

/* Colours of [H,W,4] bytes as they are seen, times alpha: a step of one under a thin alpha is many
 * steps of the colour alone. Other pictures as they are. */
static wf_tensor *as_seen(wf_ctx *c, wf_tensor *x)
{
    if (wf_dim(x, 2) != 4) return x;
    wf_tensor *v = wf_cast(c, x, WF_DTYPE_F32);
    wf_tensor *parts[2] = {
        wf_mul(c, wf_slice(c, v, 2, 0, 3, 1), wf_scale(c, wf_slice(c, v, 2, 3, 1, 1), 1.0 / 255)),
        wf_slice(c, v, 2, 3, 1, 1)};
    return wf_concat(c, parts, 2, 2);
}

/* Bytes are equal where Pillow does rows first: always before version 13, which does columns first
 * for some sizes (lower and wider, here 6 cases); each order rounds after its first pass, so that a
 * value may then differ by one, by two where a filter overshoots, by three after the division by
 * alpha. Floats differ by the rounding
 * of one f32 sum. */
static void is_equal_to_pillow(void **state)
{
    bench *b = *state;
    wf_ctx *c = b->c;
    vectors v = open_vectors(c, "tests/media/vectors/image.safetensors");
    int n = 0, n_equal = 0;
    for (int64_t i = 0; i < wf_json_count(v.rows); i++) {
        const wf_json *row = wf_json_at(v.rows, i);
        wf_filter f;
        if (!is_op(row, "image_resize")) continue;
        wf_scope *s = wf_scope_open(c);
        wf_tensor *x = get_vector(c, &v, row, "inputs", 0),
                  *want = get_vector(c, &v, row, "outputs", 0);
        assert_true(wf_filter_find(attr_text(row, "filter"), &f));
        wf_tensor *y =
            wf_image_resize(c, x, (int64_t)attr(row, "height"), (int64_t)attr(row, "width"), f);
        expect_near(c, row, as_seen(c, y), as_seen(c, want),
                    wf_get_dtype(x) != WF_DTYPE_U8 ? 1e-6 : wf_dim(x, 2) == 4 ? 3 : 2);
        n_equal += difference(c, y, want) <= 1e-6;
        wf_scope_close(c, s, NULL);
        n++;
    }
    assert_true(n >= 40 && n_equal >= n - 6);
    close_vectors(&v);
}

/* The float path of a picture lies within one step of the bytes' path where nothing overshoots. */
static void floats_follow_bytes(void **state)
{
    bench *b = *state;
    wf_ctx *c = b->c;
    vectors v = open_vectors(c, "tests/media/vectors/image.safetensors");
    for (int64_t i = 0; i < wf_json_count(v.rows); i++) {
        const wf_json *row = wf_json_at(v.rows, i);
        wf_filter f;
        wf_scope *s = wf_scope_open(c);
        wf_tensor *x = get_vector(c, &v, row, "inputs", 0);
        if (is_op(row, "image_resize") && wf_get_dtype(x) == WF_DTYPE_U8 && wf_dim(x, 2) != 4) {
            assert_true(wf_filter_find(attr_text(row, "filter"), &f));
            wf_tensor *y = wf_image_resize(c, wf_image_from_u8(c, x), (int64_t)attr(row, "height"),
                                           (int64_t)attr(row, "width"), f);
            wf_tensor *want = wf_image_from_u8(c, get_vector(c, &v, row, "outputs", 0));
            /* bytes round and clamp twice: between the passes too */
            const double steps = f == WF_FILTER_BICUBIC || f == WF_FILTER_LANCZOS ? 32 : 1.51;
            expect_near(c, row, wf_clamp(c, y, 0, 1), want, steps / 255);
        }
        wf_scope_close(c, s, NULL);
    }
    close_vectors(&v);
}

static void prepares_pixels_for_clip(void **state)
{
    bench *b = *state;
    wf_ctx *c = b->c;
    const wf_shape three = {.rank = 1, .dims = {3}};
    const float mean[] = {0.48145466f, 0.4578275f, 0.40821073f},
                dev[] = {0.26862954f, 0.26130258f, 0.27577711f};
    vectors v = open_vectors(c, "tests/media/vectors/image.safetensors");
    int n = 0;
    for (int64_t i = 0; i < wf_json_count(v.rows); i++) {
        const wf_json *row = wf_json_at(v.rows, i);
        if (!is_op(row, "clip_pixels")) continue;
        wf_scope *s = wf_scope_open(c);
        const int64_t crop = (int64_t)attr(row, "crop");
        wf_tensor *x =
            wf_image_resize_short(c, get_vector(c, &v, row, "inputs", 0),
                                  (int64_t)attr(row, "shortest_edge"), WF_FILTER_BICUBIC);
        wf_tensor *y = wf_image_from_u8(c, x);
        const int64_t dy = wf_dim(y, 0) - crop, dx = wf_dim(y, 1) - crop;
        y = wf_image_crop(c, y, dy >= 0 ? dy / 2 : -((1 - dy) / 2),
                          dx >= 0 ? dx / 2 : -((1 - dx) / 2), crop, crop);
        y = wf_div(c, wf_sub(c, y, wf_from_host(c, WF_DTYPE_F32, &three, mean)),
                   wf_from_host(c, WF_DTYPE_F32, &three, dev));
        expect_near(c, row, wf_unsqueeze(c, y, 0), get_vector(c, &v, row, "outputs", 0), 1e-6);
        wf_scope_close(c, s, NULL);
        n++;
    }
    assert_int_equal(n, 5);
    close_vectors(&v);
}

static void is_equal_to_torch(void **state)
{
    bench *b = *state;
    wf_ctx *c = b->c;
    vectors v = open_vectors(c, "tests/media/vectors/image.safetensors");
    int n = 0;
    for (int64_t i = 0; i < wf_json_count(v.rows); i++) {
        const wf_json *row = wf_json_at(v.rows, i);
        if (!is_op(row, "resize_bicubic")) continue;
        wf_scope *s = wf_scope_open(c);
        wf_tensor *y =
            wf_resize_bicubic(c, get_vector(c, &v, row, "inputs", 0), (int64_t)attr(row, "height"),
                              (int64_t)attr(row, "width"), attr(row, "align_corners") != 0);
        expect_near(c, row, y, get_vector(c, &v, row, "outputs", 0), 1e-6);
        wf_scope_close(c, s, NULL);
        n++;
    }
    assert_int_equal(n, 2);
    close_vectors(&v);
}

/* A ramp [h,w,channels] of 0..1, strided. */
static wf_tensor *ramp(wf_ctx *c, int64_t h, int64_t w, int64_t channels)
{
    const wf_shape s = {.rank = 3, .dims = {w, h, channels}};
    wf_tensor *x = wf_empty(c, WF_DTYPE_F32, &s);
    for (int64_t i = 0; i < wf_numel(x); i++) wf_f32(x)[i] = (float)i / (float)(wf_numel(x) - 1);
    return wf_swap(c, x, 0, 1);
}

static void sizes_are_checked(void **state)
{
    bench *b = *state;
    wf_ctx *c = b->c;
    wf_scope *s = wf_scope_open(c);
    static const int64_t bad[][2] = {{0, 5}, {5, -1}, {5, 20000}, {INT64_MAX, 5}};
    for (int i = 0; i < 4; i++) {
        assert_null(wf_image_resize(c, ramp(c, 4, 4, 3), bad[i][0], bad[i][1], WF_FILTER_BOX));
        expect_error(c, WF_EARG, "must be 1 to 16384");
    }
    assert_null(wf_image_resize(c, wf_scalar(c, 1), 5, 5, WF_FILTER_BOX));
    expect_error(c, WF_ESHAPE, "is not a picture");
    assert_null(
        wf_image_resize(c, wf_cast(c, ramp(c, 4, 4, 3), WF_DTYPE_I32), 5, 5, WF_FILTER_BOX));
    expect_error(c, WF_EDTYPE, "wants u8 or a float");
    wf_tensor *y = wf_image_resize(c, ramp(c, 1, 1, 3), 3, 2, WF_FILTER_LANCZOS);
    assert_true(difference(c, wf_slice(c, y, 2, 2, 1, 1),
                           wf_full(c, WF_DTYPE_F32, &(wf_shape){3, {3, 2, 1}}, 1)) < 1e-6);
    wf_filter f;
    assert_false(wf_filter_find("cubic", &f));
    wf_scope_close(c, s, NULL);
}

static void out_of_memory_is_an_error(void **state)
{
    bench *b = *state;
    wf_mem *m = wf_ctx_get_mem(b->c);
    for (uint64_t k = 1, done = 0; !done; k++) {
        wf_scope *s = wf_scope_open(b->c);
        wf_tensor *x = ramp(b->c, 4, 4, 4);
        const size_t before = wf_mem_get_stats(m).live_bytes;
        wf_mem_fail_nth(m, k);
        wf_tensor *y = wf_image_resize(b->c, x, 7, 3, WF_FILTER_BICUBIC);
        wf_mem_fail_nth(m, 0);
        if (!y) assert_true(wf_mem_get_stats(m).live_bytes <= before + 4096);
        if (y) done = 1;
        else expect_error(b->c, WF_ENOMEM, "no memory");
        wf_scope_close(b->c, s, NULL);
    }
}

/* ---- pictures as tensors ---- */

static void pictures_go_through_files(void **state)
{
    bench *b = *state;
    wf_ctx *c = b->c;
    wf_scope *s = wf_scope_open(c);
    for (int64_t channels = 1; channels <= 4; channels++) {
        wf_tensor *x = ramp(c, 8, 16, channels);
        const wf_image_options o = {
            .bits = 16, .meta = &(wf_meta){.parameters = "p"}, .overwrite = true};
        if (channels == 2) {
            assert_int_equal(wf_image_save(c, in(b, "p.png"), x, &o), WF_ESHAPE);
            expect_error(c, WF_ESHAPE, "1, 3 or 4 channels");
            continue;
        }
        wf_meta_found found;
        assert_int_equal(wf_image_save(c, in(b, "p.png"), x, &o), WF_OK);
        wf_tensor *y = wf_image_load(c, b->path, &found);
        assert_true(difference(c, x, y) <= 0.5 / 65535 + 1e-7);
        assert_string_equal(found.parameters, "p");
        wf_meta_free(&found);
        assert_int_equal(wf_image_save(c, in(b, "p.JPG"), x, &o), WF_OK);
        wf_tensor *want = wf_image_to_channels(c, x, channels == 4 ? 3 : channels);
        assert_true(difference(c, want, wf_image_load(c, b->path, NULL)) <= 0.15); /* quality 90 */
        assert_int_equal(wf_image_save(c, in(b, "p.bmp"), x, &o), WF_EUNSUPPORTED);
        expect_error(c, WF_EUNSUPPORTED, ".png or .jpg");
    }
    put_file(in(b, "p.png"), "RIFF....WEBPVP8 ", 16);
    assert_null(wf_image_load(c, b->path, NULL));
    expect_error(c, WF_EFORMAT, "is a WebP picture, not a PNG or JPEG");
    wf_scope_close(c, s, NULL);
}

static void values_are_rounded_and_checked(void **state)
{
    bench *b = *state;
    wf_ctx *c = b->c;
    wf_scope *s = wf_scope_open(c);
    const float v[] = {-1,       0, 0.5f / 255 - 1e-5f,   0.5f / 255 + 1e-5f,
                       1,        7, 254.5f / 255 + 1e-4f, INFINITY,
                       -INFINITY};
    const uint8_t want[] = {0, 0, 0, 1, 255, 255, 255, 255, 0};
    const wf_shape shape = {.rank = 3, .dims = {3, 3, 1}};
    wf_tensor *y = wf_image_to_u8(c, wf_from_host(c, WF_DTYPE_F32, &shape, v));
    expect_ok(c);
    assert_memory_equal(wf_data_const(y), want, sizeof want);
    float bad[9] = {0};
    bad[4] = NAN;
    assert_null(wf_image_to_u8(c, wf_from_host(c, WF_DTYPE_F32, &shape, bad)));
    expect_error(c, WF_ENAN, "not numbers");
    wf_tensor *x = wf_image_from_u8(c, y);
    assert_true(difference(c, wf_cast(c, wf_image_to_u8(c, x), WF_DTYPE_F32),
                           wf_cast(c, y, WF_DTYPE_F32)) == 0);
    wf_scope_close(c, s, NULL);
}

static void channels_change(void **state)
{
    bench *b = *state;
    wf_ctx *c = b->c;
    wf_scope *s = wf_scope_open(c);
    const float rgba[] = {1, 0.5f, 0, 0.5f};
    const wf_shape one = {.rank = 3, .dims = {1, 1, 4}};
    wf_tensor *x = wf_from_host(c, WF_DTYPE_F32, &one, rgba);
    wf_tensor *rgb = wf_image_to_channels(c, x, 3), *grey = wf_image_to_channels(c, x, 1);
    wf_tensor *back = wf_image_to_channels(c, wf_image_to_channels(c, grey, 3), 4);
    expect_ok(c);
    assert_true(wf_f32(rgb)[0] == 0.5f && wf_f32(rgb)[1] == 0.25f && wf_f32(rgb)[2] == 0);
    assert_true(fabsf(wf_f32(grey)[0] - (0.5f * 0.299f + 0.25f * 0.587f)) < 1e-6f);
    assert_true(wf_f32(back)[0] == wf_f32(grey)[0] && wf_f32(back)[2] == wf_f32(grey)[0] &&
                wf_f32(back)[3] == 1);
    assert_null(wf_image_to_channels(c, x, 2));
    expect_error(c, WF_EARG, "must be 1, 3 or 4");
    wf_scope_close(c, s, NULL);
}

static void crops_reach_outside(void **state)
{
    bench *b = *state;
    wf_ctx *c = b->c;
    wf_scope *s = wf_scope_open(c);
    wf_tensor *x = ramp(c, 4, 5, 1);
    for (int64_t y0 = -6; y0 <= 6; y0++)
        for (int64_t x0 = -6; x0 <= 6; x0++) {
            wf_tensor *t = wf_contiguous(c, wf_image_crop(c, x, y0, x0, 3, 2));
            expect_ok(c);
            for (int64_t i = 0; i < 6; i++) {
                const int64_t yy = y0 + i / 2, xx = x0 + i % 2;
                const bool inside = yy >= 0 && yy < 4 && xx >= 0 && xx < 5;
                const float want = inside ? (float)(xx * 4 + yy) / 19 : 0;
                assert_true(wf_f32(t)[i] == want);
            }
        }
    assert_null(wf_image_crop(c, x, INT64_MIN, 0, 3, 2));
    expect_error(c, WF_EARG, "not a rectangle");
    wf_scope_close(c, s, NULL);
}

static void videos_come_back(void **state)
{
    bench *b = *state;
    wf_ctx *c = b->c;
    wf_scope *s = wf_scope_open(c);
    wf_tensor *x = wf_unsqueeze(c, ramp(c, 6, 7, 3), 0), *both[] = {x, wf_affine(c, x, -1, 1)};
    wf_tensor *clip = wf_concat(c, both, 2, 0);
    static const double rates[] = {8, 30000.0 / 1001, 0.5, 12.34, 60};
    for (int i = 0; i < 5; i++) {
        double seconds;
        assert_int_equal(wf_video_save(c, in(b, "v.png"), clip, rates[i], NULL, true), WF_OK);
        wf_tensor *back = wf_video_load(c, b->path, &seconds, NULL);
        assert_true(difference(c, clip, back) <= 0.5 / 255 + 1e-6);
        assert_true(fabs(seconds * rates[i] / 2 - 1) < 1e-6);
    }
    assert_int_equal(wf_video_save(c, b->path, clip, NAN, NULL, true), WF_EARG);
    expect_error(c, WF_EARG, "frames a second");
    assert_int_equal(wf_video_save(c, b->path, x, 1, NULL, false), WF_EIO);
    expect_error(c, WF_EIO, "exists already");
    wf_scope_close(c, s, NULL);
}

#define T(f) cmocka_unit_test_setup_teardown(f, bench_open, bench_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(is_equal_to_pillow),        T(floats_follow_bytes),
        T(prepares_pixels_for_clip),  T(is_equal_to_torch),
        T(sizes_are_checked),         T(out_of_memory_is_an_error),
        T(pictures_go_through_files), T(values_are_rounded_and_checked),
        T(channels_change),           T(crops_reach_outside),
        T(videos_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
