/* resize.c - pictures resampled as Pillow does, and pictures between files and tensors. */
#include "core/media/image_resize.h"

#include "core/file/file_map.h"
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

/* Bytes as values of 0..1. */
static wf_tensor *as_values(wf_ctx *c, wf_tensor *bytes)
{
    return wf_scale(c, wf_cast(c, bytes, WF_DTYPE_F32), 1.0 / 255);
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
            wf_tensor *y = wf_image_resize(c, as_values(c, x), (int64_t)attr(row, "height"),
                                           (int64_t)attr(row, "width"), f);
            wf_tensor *want = as_values(c, get_vector(c, &v, row, "outputs", 0));
            /* bytes round and clamp twice: between the passes too */
            const double steps = f == WF_FILTER_BICUBIC || f == WF_FILTER_LANCZOS ? 32 : 1.51;
            expect_near(c, row, wf_clamp(c, y, 0, 1), want, steps / 255);
        }
        wf_scope_close(c, s, NULL);
    }
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

/* Pillow's answers; a filter that overshoots leaves no colour or alpha out of 0..1. */
static void alpha_weighs_colours(void **state)
{
    bench *b = *state;
    wf_ctx *c = b->c;
    wf_scope *s = wf_scope_open(c);
    const float pair[] = {1, 0, 0, 1, 0, 0, 0, 0}, red[] = {1, 0, 0, 0.5f};
    const wf_shape two = {3, {1, 2, 4}}, one = {3, {1, 1, 4}};
    wf_tensor *x = wf_from_host(c, WF_DTYPE_F32, &two, pair);
    for (wf_filter f = WF_FILTER_BOX; f < WF_FILTER_COUNT; f++) {
        wf_tensor *y = wf_image_resize(c, x, 1, 1, f);
        assert_true(difference(c, y, wf_from_host(c, WF_DTYPE_F32, &one, red)) < 1e-6);
    }
    for (wf_filter f = WF_FILTER_NEAREST; f < WF_FILTER_COUNT; f++) {
        const float *v = wf_f32_const(wf_image_resize(c, x, 3, 37, f));
        for (int64_t i = 0; i < 3 * 37; i++, v += 4)
            assert_true(v[3] >= 0 && v[3] <= 1 && v[1] == 0 && v[2] == 0 && v[0] >= 0 &&
                        (v[3] > 0 ? fabsf(v[0] - 1) < 1e-6f : v[0] < 0.1f));
    }
    wf_f32(x)[0] = wf_f32(x)[7] = NAN;          /* no clamping hides it */
    const float *v = wf_f32_const(wf_image_resize(c, x, 1, 1, WF_FILTER_BOX));
    assert_true(isnan(v[0]) && isnan(v[3]));
    wf_scope_close(c, s, NULL);
}

static void sizes_are_checked(void **state)
{
    bench *b = *state;
    wf_ctx *c = b->c;
    wf_scope *s = wf_scope_open(c);
    static const int64_t bad[][2] = {{0, 5}, {5, -1}, {5, 65536}, {INT64_MAX, 5}};
    for (int i = 0; i < 4; i++) {
        assert_null(wf_image_resize(c, ramp(c, 4, 4, 3), bad[i][0], bad[i][1], WF_FILTER_BOX));
        expect_error(c, WF_EARG, "must be 1 to 65535");
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
            .quality = 90, .meta = &(wf_meta){.parameters = "p"}, .overwrite = true};
        if (channels == 2) {
            assert_int_equal(wf_image_save(c, in(b, "p.png"), x, &o), WF_ESHAPE);
            expect_error(c, WF_ESHAPE, "1, 3 or 4 channels");
            continue;
        }
        wf_meta_found found;
        assert_int_equal(wf_image_save(c, in(b, "p.png"), x, &o), WF_OK);
        wf_tensor *y = wf_image_load(c, b->path, &found);
        assert_true(difference(c, x, y) <= 0.5 / 255 + 1e-6);
        assert_string_equal(found.parameters, "p");
        wf_meta_free(&found);
        const bool has_alpha = channels == 4;       /* which no JPEG holds */
        assert_int_equal(wf_image_save(c, in(b, "p.jpg"), x, &o), has_alpha ? WF_EARG : WF_OK);
        if (has_alpha) expect_error(c, WF_EARG, "grey or RGB");
        else assert_true(difference(c, x, wf_image_load(c, b->path, NULL)) <= 0.15);
        assert_int_equal(wf_image_save(c, in(b, "p.bmp"), x, &o), WF_EUNSUPPORTED);
        expect_error(c, WF_EUNSUPPORTED, ".png or .jpg");
    }
    put_file(in(b, "p.png"), "RIFF....WEBPVP8 ", 16);
    assert_null(wf_image_load(c, b->path, NULL));
    expect_error(c, WF_EFORMAT, "is a WebP picture, not a PNG picture");
    wf_scope_close(c, s, NULL);
}

/* To the nearest, halves to even: 0.5, 1.5 and 2.5 of 255 are exact there. */
static void values_are_rounded_and_checked(void **state)
{
    bench *b = *state;
    wf_ctx *c = b->c;
    wf_scope *s = wf_scope_open(c);
    const float v[] = {-1, 0, 0.5f / 255 - 1e-5f, 0.5f / 255 + 1e-5f, 1, 7, 254.5f / 255 + 1e-4f,
                       INFINITY, -INFINITY, 0.5f / 255, 1.5f / 255, 2.5f / 255};
    const float want[] = {0, 0, 0, 1, 255, 255, 255, 255, 0, 0, 2, 2};
    const wf_shape shape = {.rank = 3, .dims = {3, 4, 1}};
    const wf_image_options o = {.overwrite = true};
    wf_tensor *x = wf_from_host(c, WF_DTYPE_F32, &shape, v);
    assert_int_equal(wf_image_save(c, in(b, "v.png"), x, &o), WF_OK);
    wf_tensor *y = wf_scale(c, wf_image_load(c, b->path, NULL), 255);
    assert_true(difference(c, y, wf_from_host(c, WF_DTYPE_F32, &shape, want)) < 1e-4);
    float bad[12] = {0};
    bad[4] = bad[7] = NAN;
    x = wf_from_host(c, WF_DTYPE_F32, &shape, bad);
    assert_int_equal(wf_image_save(c, in(b, "nan.png"), x, &o), WF_ENAN);
    expect_error(c, WF_ENAN, "nan.png: the picture holds 2 values that are not numbers");
    assert_false(wf_file_exists(b->path));
    wf_frames f;
    assert_int_equal(wf_video_to_frames(c, "nan.webm", wf_unsqueeze(c, x, 0), &f), WF_ENAN);
    wf_frames_free(&f);
    expect_error(c, WF_ENAN, "nan.webm: the picture holds 2 values");
    wf_scope_close(c, s, NULL);
}

static void videos_come_back(void **state)
{
    bench *b = *state;
    wf_ctx *c = b->c;
    wf_scope *s = wf_scope_open(c);
    wf_tensor *x = wf_unsqueeze(c, ramp(c, 6, 7, 3), 0), *both[] = {x, wf_affine(c, x, -1, 1)};
    wf_tensor *clip = wf_concat(c, both, 2, 0);
    static const double rates[] = {8, 30000.0 / 1001, 0.5, 12.34, 60, 23.976, 0.014, 1000, 0.01};
    for (int i = 0; i < 9; i++) {
        double seconds;
        assert_int_equal(wf_video_save(c, in(b, "v.png"), clip, rates[i], NULL, true), WF_OK);
        wf_tensor *back = wf_video_load(c, b->path, &seconds, NULL);
        assert_true(difference(c, clip, back) <= 0.5 / 255 + 1e-6);
        assert_true(fabs(seconds * rates[i] / 2 - 1) < 1e-9);
    }
    double seconds;
    assert_int_equal(wf_video_save(c, b->path, clip, 0.0123456789, NULL, true), WF_OK);
    expect_ok(c);
    assert_non_null(wf_video_load(c, b->path, &seconds, NULL));
    assert_true(fabs(seconds * 0.0123456789 / 2 - 1) < 1e-4);
    assert_int_equal(wf_video_save(c, b->path, clip, NAN, NULL, true), WF_EARG);
    expect_error(c, WF_EARG, "frames a second");
    assert_int_equal(wf_video_save(c, b->path, x, 1, NULL, false), WF_EIO);
    expect_error(c, WF_EIO, "exists already");
    wf_scope_close(c, s, NULL);
}

static void videos_out_of_memory_are_errors(void **state)
{
    bench *b = *state;
    wf_ctx *c = b->c;
    wf_mem *m = wf_ctx_get_mem(c);
    (void)in(b, "v.png");
    for (uint64_t k = 1, done = 0; done < 2; k++) {
        double seconds;
        wf_scope *s = wf_scope_open(c);
        wf_tensor *x = wf_unsqueeze(c, ramp(c, 4, 4, 3), 0);
        const size_t before = wf_mem_get_stats(m).live_bytes;
        wf_mem_fail_nth(m, k);
        const bool ok = done ? wf_video_load(c, b->path, &seconds, NULL) != NULL
                             : wf_video_save(c, b->path, x, 8, NULL, true) == WF_OK;
        wf_mem_fail_nth(m, 0);
        if (!ok) assert_true(wf_mem_get_stats(m).live_bytes <= before + 4096);
        if (!ok) expect_error(c, WF_ENOMEM, "memory");
        wf_scope_close(c, s, NULL);
        if (!ok) continue;
        done++;
        k = 0;
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, bench_open, bench_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(is_equal_to_pillow),        T(floats_follow_bytes),
        T(alpha_weighs_colours),      T(sizes_are_checked),
        T(out_of_memory_is_an_error), T(pictures_go_through_files),
        T(videos_come_back),          T(values_are_rounded_and_checked),
        T(videos_out_of_memory_are_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
