/* clip.c - videos in files through FFmpeg: what comes back, times, texts, damage, failing memory
 * and files; and the refusal of a build without it. */
#include "core/file/clip.h"

#include <math.h>

#include "core/file/file_write.h"
#include "tests/unit/files.h"

enum { HEIGHT = 24, WIDTH = 32, FRAMES = 6, RATE_HZ = 8000 };

/* A light square that moves right over a ramp, one step a frame. */
static void draw(wf_pixels *p, int64_t k)
{
    uint8_t *v = p->data;
    for (int64_t i = 0; i < p->height * p->width; i++) {
        const int64_t x = i % p->width, y = i / p->width;
        const bool is_in = x >= 4 * k && x < 4 * k + 8 && y >= 8 && y < 16;
        for (int64_t n = 0; n < p->channels; n++)
            v[i * p->channels + n] = (uint8_t)(n == 3 ? 255 : is_in ? 230 : 20 + 2 * x + 10 * n);
    }
}

/* n frames and, when asked for, a tone as long. */
static wf_clip make_clip(wf_ctx *c, int64_t n, wf_pixels like, bool has_sound)
{
    wf_mem *m = wf_ctx_get_mem(c);
    wf_clip k = {.frames = {.mem = m}, .fps = 8, .sound = {.mem = m}};
    k.frames.list = wf_mem_calloc(m, (size_t)n * sizeof *k.frames.list);
    like.bits = 8;
    for (; k.frames.n < n; k.frames.n++) {
        assert_int_equal(wf_pixels_new(c, &k.frames.list[k.frames.n], &like, "clip"), WF_OK);
        draw(&k.frames.list[k.frames.n], k.frames.n);
    }
    if (!has_sound) return k;
    k.sound.channels = 1;
    k.sound.rate_hz = RATE_HZ;
    k.sound.samples = n * RATE_HZ / 8;
    k.sound.data = wf_mem_alloc(m, (size_t)k.sound.samples * sizeof *k.sound.data);
    for (int64_t i = 0; i < k.sound.samples; i++)
        k.sound.data[i] = 0.5f * (float)sin(2 * 3.14159265358979 * 440 * (double)i / RATE_HZ);
    return k;
}

static wf_clip make_small(wf_ctx *c, bool has_sound)
{
    return make_clip(c, FRAMES, (wf_pixels){.height = HEIGHT, .width = WIDTH, .channels = 3},
                     has_sound);
}

/* Root mean square of the difference in grey levels; grey is compared with each colour. */
static double distance(const wf_pixels *a, const wf_pixels *rgb)
{
    const uint8_t *u = a->data, *v = rgb->data;
    double sum = 0;
    assert_int_equal(rgb->channels, 3);
    assert_true(a->height == rgb->height && a->width == rgb->width);
    for (int64_t i = 0; i < a->height * a->width; i++)
        for (int64_t n = 0; n < 3; n++) {
            const int64_t m = a->channels == 1 ? 0 : n;
            const double d = (double)u[i * a->channels + m] - (double)v[i * 3 + n];
            sum += d * d;
        }
    return sqrt(sum / (double)(3 * a->height * a->width));
}

static const wf_clip_load_options plain = {0};
static const char *const names[] = {"a.webm", "a.mp4"};
enum { N_NAMES = sizeof names / sizeof *names };

/* ---- what we write ---- */

static void check_back(bench *b, const char *name, const wf_clip *k)
{
    const wf_clip_options o = {.quality = 0.9, .overwrite = true};
    wf_clip back;
    assert_int_equal(wf_clip_save(b->c, in(b, name), k, &o), WF_OK);
    (void)wf_clip_load(b->c, b->path, &plain, &back, NULL);
    expect_ok(b->c);
    assert_int_equal(back.frames.n, k->frames.n);
    assert_true(fabs(back.fps - k->fps) < 1e-6);
    for (int64_t i = 0; i < k->frames.n; i++) {
        const double d = distance(&k->frames.list[i], &back.frames.list[i]);
        /* halved colour and the coder; the next frame differs by 25 and more */
        if (!(d < 8)) fail_msg("%s: frame %d is off by %g", name, (int)i, d);
        assert_true(k->frames.n == 1 ||
                    distance(&k->frames.list[(i + 1) % k->frames.n], &back.frames.list[i]) > 16);
    }
    assert_int_equal(back.sound.samples > 0, k->sound.samples > 0);
    wf_clip_free(&back);
}

static void clips_come_back(void **state)
{
    bench *b = *state;
    const wf_pixels kinds[] = {{.height = HEIGHT, .width = WIDTH, .channels = 3},
                               {.height = 34, .width = 40, .channels = 4},
                               {.height = HEIGHT, .width = WIDTH, .channels = 1}};
    for (int i = 0; i < N_NAMES; i++)
        for (int n = 0; n < 3; n++) {
            wf_clip k = make_clip(b->c, n == 1 ? 1 : FRAMES, kinds[n], n == 0);
            check_back(b, names[i], &k);
            wf_clip_free(&k);
        }
    wf_clip odd = make_clip(b->c, FRAMES, (wf_pixels){.height = 25, .width = 31, .channels = 3},
                            false);
    odd.fps = 29.97;
    check_back(b, "a.webm", &odd);
    assert_int_equal(wf_clip_save(b->c, in(b, "b.mp4"), &odd, &(wf_clip_options){.quality = -1}),
                     WF_EUNSUPPORTED);
    expect_error(b->c, WF_EUNSUPPORTED, "even sides, not 31x25");
    wf_clip_free(&odd);
}

/* The tone is there, as loud and as high, from the first sample on. */
static void sound_comes_back(void **state)
{
    bench *b = *state;
    wf_clip back, k = make_small(b->c, true);
    for (int i = 0; i < N_NAMES; i++) {
        const wf_clip_options o = {.quality = -1};
        assert_int_equal(wf_clip_save(b->c, in(b, names[i]), &k, &o), WF_OK);
        (void)wf_clip_load(b->c, b->path, &plain, &back, NULL);
        expect_ok(b->c);
        const wf_sound *s = &back.sound;
        const double length = (double)s->samples / s->rate_hz, turn = 2 * 3.14159265358979 * 440;
        assert_true(fabs(length - FRAMES / 8.0) < 0.13);    /* AAC fills its last block of 1024 */
        double dot = 0, power = 0;
        const int64_t n = (int64_t)(0.7 * s->rate_hz);
        for (int64_t t = 0; t < n; t++) {
            const double want = 0.5 * sin(turn * (double)t / s->rate_hz);
            dot += want * (double)s->data[t * s->channels];
            power += want * want;
        }
        if (!(dot / power > 0.9 && dot / power < 1.1)) fail_msg("%s: %g", names[i], dot / power);
        wf_clip_free(&back);
        (void)wf_clip_load(b->c, b->path, &(wf_clip_load_options){.no_sound = true}, &back, NULL);
        expect_ok(b->c);
        assert_int_equal(back.sound.samples, 0);
        wf_clip_free(&back);
    }
    wf_clip_free(&k);
}

static void saving_is_repeatable(void **state)
{
    bench *b = *state;
    wf_clip k = make_small(b->c, true);
    for (int i = 0; i < N_NAMES; i++) {
        const wf_clip_options o = {.quality = -1, .overwrite = true};
        size_t n, m;
        assert_int_equal(wf_clip_save(b->c, in(b, names[i]), &k, &o), WF_OK);
        uint8_t *first = get_file(b->path, &n);
        assert_int_equal(wf_clip_save(b->c, b->path, &k, &o), WF_OK);
        uint8_t *second = get_file(b->path, &m);
        assert_int_equal(n, m);
        assert_memory_equal(first, second, n);
        free(first);
        free(second);
    }
    wf_clip_free(&k);
}

static void better_is_larger(void **state)
{
    bench *b = *state;
    wf_clip k = make_small(b->c, false);
    for (int i = 0; i < N_NAMES; i++) {
        size_t n[2];
        for (int q = 0; q < 2; q++) {
            const wf_clip_options o = {.quality = 0.2 + 0.7 * q, .overwrite = true};
            assert_int_equal(wf_clip_save(b->c, in(b, names[i]), &k, &o), WF_OK);
            free(get_file(b->path, &n[q]));
        }
        assert_true(n[1] > n[0]);
    }
    wf_clip_free(&k);
}

static void texts_come_back(void **state)
{
    bench *b = *state;
    const wf_meta meta = {.parameters = "a cat\nSteps: 3", .weft = "{\"v\":1,\"\u00e9\":\"\"}"};
    const wf_clip_options o = {.quality = -1, .meta = &meta};
    wf_clip back, k = make_small(b->c, false);
    for (int i = 0; i < N_NAMES; i++) {
        wf_meta_found found = {0};
        assert_int_equal(wf_clip_save(b->c, in(b, names[i]), &k, &o), WF_OK);
        (void)wf_clip_load(b->c, b->path, &plain, &back, &found);
        expect_ok(b->c);
        assert_string_equal(found.parameters, meta.parameters);
        assert_string_equal(found.weft, meta.weft);
        wf_meta_free(&found);
        wf_clip_free(&back);
    }
    wf_clip_free(&k);
}

static void frames_are_repeated_and_dropped(void **state)
{
    bench *b = *state;
    wf_clip back, k = make_small(b->c, false);
    assert_int_equal(wf_clip_save(b->c, in(b, "a.webm"), &k, &(wf_clip_options){.quality = 0.9}),
                     WF_OK);
    (void)wf_clip_load(b->c, b->path, &(wf_clip_load_options){.fps = 16}, &back, NULL);
    expect_ok(b->c);
    assert_int_equal(back.frames.n, 2 * FRAMES);
    for (int i = 0; i < 2 * FRAMES; i++)
        assert_true(distance(&k.frames.list[i / 2], &back.frames.list[i]) < 8);
    wf_clip_free(&back);
    (void)wf_clip_load(b->c, b->path, &(wf_clip_load_options){.fps = 4}, &back, NULL);
    expect_ok(b->c);
    assert_int_equal(back.frames.n, FRAMES / 2);
    wf_clip_free(&back);
    wf_clip_free(&k);
}

/* The file's matrix {a, b, c, d}: column u, row v are shown at (a u + c v, b u + d v), from the
 * left and the top or, where that is negative, from the right and the bottom. */
static void check_turned(const wf_pixels *coded, const wf_pixels *shown, const int m[4])
{
    const int64_t W = coded->width, H = coded->height;
    assert_true(shown->width == (m[0] ? W : H) && shown->height == (m[0] ? H : W));
    for (int64_t v = 0; v < H; v++)
        for (int64_t u = 0; u < W; u++) {
            int64_t x = m[0] * u + m[2] * v, y = m[1] * u + m[3] * v;
            if (m[0] + m[2] < 0) x += shown->width - 1;
            if (m[1] + m[3] < 0) y += shown->height - 1;
            assert_memory_equal((const uint8_t *)shown->data + 3 * (y * shown->width + x),
                                (const uint8_t *)coded->data + 3 * (v * W + u), 3);
        }
}

/* As phones write them: coded as the sensor lies, with a matrix in the track's header. */
static void frames_stand_the_way_up_they_are_shown(void **state)
{
    enum { MATRIX = 44 };               /* after "tkhd": a b u c d v, 16.16 big-endian */
    static const int to[4] = {0, 4, 12, 16};
    bench *b = *state;
    size_t n;
    wf_clip coded, shown, k = make_small(b->c, false);
    const wf_clip_options o = {.quality = 0.9};
    assert_int_equal(wf_clip_save(b->c, in(b, "a.mp4"), &k, &o), WF_OK);
    uint8_t *f = get_file(b->path, &n), *head = memmem(f, n, "tkhd", 4);
    assert_non_null(head);
    (void)wf_clip_decode(b->c, "x", f, n, &plain, &coded, NULL);
    for (int i = 0; i < 8; i++) {
        const int p = i & 1 ? -1 : 1, q = i & 2 ? -1 : 1;
        const int m[4] = {i & 4 ? 0 : p, i & 4 ? p : 0, i & 4 ? q : 0, i & 4 ? 0 : q};
        for (int j = 0; j < 4; j++) {
            const uint8_t whole[4] = {m[j] < 0 ? 0xff : 0, m[j] < 0 ? 0xff : (uint8_t)m[j], 0, 0};
            memcpy(head + MATRIX + to[j], whole, 4);
        }
        (void)wf_clip_decode(b->c, "x", f, n, &plain, &shown, NULL);
        expect_ok(b->c);
        assert_int_equal(shown.frames.n, FRAMES);
        check_turned(&coded.frames.list[2], &shown.frames.list[2], m);
        wf_clip_free(&shown);
    }
    free(f);
    wf_clip_free(&coded);
    wf_clip_free(&k);
}

static void refuses_to_write_nonsense(void **state)
{
    bench *b = *state;
    const wf_clip_options o = {.quality = -1};
    wf_clip k = make_small(b->c, true), none = {.fps = 8};
    assert_int_equal(wf_clip_save(b->c, in(b, "a.xyz"), &k, &o), WF_EUNSUPPORTED);
    expect_error(b->c, WF_EUNSUPPORTED, ".webm, .mp4 or .apng");
    assert_int_equal(wf_clip_save(b->c, in(b, "a.webm"), &none, &o), WF_EARG);
    expect_error(b->c, WF_EARG, "no frames");
    k.fps = 0;
    assert_int_equal(wf_clip_save(b->c, b->path, &k, &o), WF_EARG);
    expect_error(b->c, WF_EARG, "0 frames a second");
    k.fps = 8;
    k.frames.list[2].height--;
    assert_int_equal(wf_clip_save(b->c, b->path, &k, &o), WF_EARG);
    expect_error(b->c, WF_EARG, "frame 3 differs");
    k.frames.list[2].height++;
    k.sound.data[7] = NAN;
    assert_int_equal(wf_clip_save(b->c, b->path, &k, &o), WF_ENAN);
    expect_error(b->c, WF_ENAN, "sample 7");
    assert_int_equal(count_files(b->folder), 0);
    wf_clip_free(&k);
}

/* ---- what is damaged ---- */

/* Something whole is read, or a sentence says what is wrong. */
static void read_anything(bench *b, const uint8_t *data, size_t n)
{
    wf_clip k;
    wf_meta_found found;
    uint8_t *copy = malloc(n + 1);      /* the end must be seen by the sanitizer */
    memcpy(copy, data, n);
    if (wf_clip_decode(b->c, "x", copy, n, &plain, &k, &found) == WF_OK)
        for (int64_t i = 0; i < k.frames.n; i++)
            assert_true(k.frames.list[i].width == k.frames.list[0].width &&
                        k.frames.list[i].channels == 3);
    char msg[WF_ERR_MAX];
    const wf_status st = wf_take_error(b->c, msg, sizeof msg);
    if (st != WF_OK && st != WF_EFORMAT && st != WF_EUNSUPPORTED && st != WF_ENAN)
        fail_msg("%s: %s", wf_status_text(st), msg);
    wf_clip_free(&k);
    wf_meta_free(&found);
    free(copy);
}

static void survives_damage(void **state)
{
    bench *b = *state;
    const wf_clip_options o = {.quality = -1};
    wf_clip k = make_small(b->c, true);
    for (int i = 0; i < N_NAMES; i++) {
        size_t n;
        uint32_t seed = 1;
        assert_int_equal(wf_clip_save(b->c, in(b, names[i]), &k, &o), WF_OK);
        uint8_t *f = get_file(b->path, &n);
        for (int j = 0; j < 300; j++) {
            const size_t at = next_random(&seed) % (j % 2 ? n : n < 600 ? n : 600);
            const uint8_t old = f[at];
            f[at] = (uint8_t)next_random(&seed);
            read_anything(b, f, n);
            f[at] = old;
        }
        free(f);
    }
    wf_clip_free(&k);
}

/* A file cut anywhere is refused, or gives nearly all. */
static void refuses_what_is_cut_off(void **state)
{
    bench *b = *state;
    const wf_clip_options o = {.quality = 0.9};
    wf_clip back, k = make_clip(b->c, 24, (wf_pixels){.height = 24, .width = 32, .channels = 3},
                                true);
    for (int i = 0; i < N_NAMES; i++) {
        size_t n;
        int n_refused = 0;
        assert_int_equal(wf_clip_save(b->c, in(b, names[i]), &k, &o), WF_OK);
        uint8_t *f = get_file(b->path, &n);
        for (size_t cut = 0; cut < n; cut += n / 24) {
            if (wf_clip_decode(b->c, "x", f, cut, &plain, &back, NULL) == WF_OK)
                assert_true(back.frames.n >= 24 - 3);
            else expect_error(b->c, WF_EFORMAT, "x: "), n_refused++;
            wf_clip_free(&back);
        }
        assert_true(n_refused > 15);
        free(f);
    }
    wf_clip_free(&k);
}

/* Lists of other files are not followed, and what is no video says so. */
static void refuses_what_is_no_video(void **state)
{
    bench *b = *state;
    static const char *const files[] = {
        "", "once upon a time", "ffconcat version 1.0\nfile '/etc/passwd'\n",
        "#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "RIFF0000WAVEfmt "};
    wf_clip k;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        (void)wf_clip_decode(b->c, "x", (const uint8_t *)files[i], strlen(files[i]), &plain, &k,
                             NULL);
        expect_error(b->c, WF_EFORMAT, "x: not a video that is read");
        wf_clip_free(&k);
    }
    (void)wf_clip_load(b->c, in(b, "none.webm"), &plain, &k, NULL);
    expect_error(b->c, WF_EIO, "none.webm");
}

/* ---- failing memory and files, stops ---- */

static void out_of_memory_is_an_error(void **state)
{
    bench *b = *state;
    wf_mem *m = wf_ctx_get_mem(b->c);
    const wf_meta meta = {.parameters = "p", .weft = "{}"};
    wf_clip k = make_clip(b->c, 2, (wf_pixels){.height = 16, .width = 16, .channels = 3}, true);
    const size_t before = wf_mem_get_stats(m).live_bytes;
    for (int i = 0; i < 2; i++)
        for (uint64_t n = 1;; n++) {
            const wf_clip_options o = {.quality = -1, .meta = &meta, .overwrite = true};
            wf_clip back = {0};
            wf_meta_found found = {0};
            wf_mem_fail_nth(m, n);
            if (i == 0) (void)!wf_clip_save(b->c, in(b, "a.webm"), &k, &o);
            else (void)wf_clip_load(b->c, b->path, &plain, &back, &found);
            wf_mem_fail_nth(m, 0);
            wf_clip_free(&back);
            wf_meta_free(&found);
            assert_int_equal(wf_mem_get_stats(m).live_bytes, before);
            if (!wf_has_failed(b->c)) break;
            expect_error(b->c, WF_ENOMEM, "no memory");
        }
    wf_clip_free(&k);
}

static void a_failing_write_leaves_nothing(void **state)
{
    bench *b = *state;
    const wf_clip_options o = {.quality = -1};
    wf_clip k = make_small(b->c, true);
    for (int i = 0; i < N_NAMES; i++) {
        for (uint64_t n = 1;; n++) {
            wf_ctx_fail_io(b->c, n);
            const wf_status st = wf_clip_save(b->c, in(b, names[i]), &k, &o);
            wf_ctx_fail_io(b->c, 0);
            if (st == WF_OK) break;
            expect_error(b->c, WF_EIO, names[i]);
            assert_int_equal(count_files(b->folder), i);
        }
        assert_int_equal(wf_clip_save(b->c, b->path, &k, &o), WF_EIO);
        expect_error(b->c, WF_EIO, "exists already");
    }
    wf_clip_free(&k);
}

static void a_stop_leaves_nothing(void **state)
{
    bench *b = *state;
    volatile sig_atomic_t flag = 0;
    wf_clip back, k = make_small(b->c, false);
    wf_ctx_set_cancel(b->c, &flag);
    assert_int_equal(wf_clip_save(b->c, in(b, "a.webm"), &k, &(wf_clip_options){.quality = -1}),
                     WF_OK);
    flag = 1;
    (void)wf_clip_load(b->c, b->path, &plain, &back, NULL);
    expect_error(b->c, WF_ECANCEL, "a.webm: stopped");
    wf_clip_free(&back);
    assert_int_equal(wf_clip_save(b->c, in(b, "b.webm"), &k, &(wf_clip_options){.quality = -1}),
                     WF_ECANCEL);
    expect_error(b->c, WF_ECANCEL, "b.webm: stopped");
    assert_int_equal(count_files(b->folder), 1);
    wf_clip_free(&k);
}

/* ---- without FFmpeg ---- */

static void says_that_there_is_no_ffmpeg(void **state)
{
    bench *b = *state;
    wf_clip back, k = make_small(b->c, false);
    assert_int_equal(wf_clip_save(b->c, in(b, "a.webm"), &k, &(wf_clip_options){.quality = -1}),
                     WF_EUNSUPPORTED);
    expect_error(b->c, WF_EUNSUPPORTED, "no FFmpeg: videos are .apng, with a .wav beside");
    assert_int_equal(wf_clip_load(b->c, b->path, &plain, &back, NULL), WF_EUNSUPPORTED);
    expect_error(b->c, WF_EUNSUPPORTED, "a.webm: this build has no FFmpeg");
    assert_int_equal(count_files(b->folder), 0);
    wf_clip_free(&back);
    wf_clip_free(&k);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, bench_open, bench_close)
    const struct CMUnitTest without[] = {TEST(says_that_there_is_no_ffmpeg)};
    const struct CMUnitTest tests[] = {
        TEST(clips_come_back),
        TEST(sound_comes_back),
        TEST(saving_is_repeatable),
        TEST(better_is_larger),
        TEST(texts_come_back),
        TEST(frames_are_repeated_and_dropped),
        TEST(frames_stand_the_way_up_they_are_shown),
        TEST(refuses_to_write_nonsense),
        TEST(survives_damage),
        TEST(refuses_what_is_cut_off),
        TEST(refuses_what_is_no_video),
        TEST(out_of_memory_is_an_error),
        TEST(a_failing_write_leaves_nothing),
        TEST(a_stop_leaves_nothing),
    };
    if (!wf_clip_is_built()) return cmocka_run_group_tests(without, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
