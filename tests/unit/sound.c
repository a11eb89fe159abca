/* sound.c - sounds in files: what comes back, texts, lying headers, damage, failing memory and
 * files. */
#include "core/file/sound.h"

#include <math.h>
#include <sndfile.h>

#include "core/file/bytes.h"
#include "tests/unit/files.h"

enum { SAMPLES = 5000 };

/* libsndfile 1.2 keeps what it opened of an Ogg file that it then refuses or cannot finish. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libvorbis\nleak:libogg\nleak:libsndfile\n";
}

/* Two tones that end in full scale; channel 1 is channel 0 backwards. */
static wf_sound make_sound(wf_ctx *c, int64_t samples, int64_t channels, int rate_hz)
{
    wf_sound s = {
        .mem = wf_ctx_get_mem(c), .samples = samples, .channels = channels, .rate_hz = rate_hz};
    s.data = wf_mem_alloc(s.mem, (size_t)(samples * channels) * sizeof *s.data);
    assert_non_null(s.data);
    for (int64_t i = 0; i < samples * channels; i++) {
        const double t = (double)(i / channels) / (double)samples;
        s.data[i] = (float)(0.4 * sin((i % channels ? 1 - t : t) * 400) + 0.1 * sin(t * 1500));
    }
    s.data[0] = -1.0f;
    s.data[1] = 1.0f;
    return s;
}

/* The largest difference, or for lossy codings its root mean square over the sound's. */
static double distance(const wf_sound *a, const wf_sound *b, bool is_lossy)
{
    assert_int_equal(a->samples, b->samples);
    assert_int_equal(a->channels, b->channels);
    double most = 0, square = 0, power = 0;
    for (int64_t i = 0; i < a->samples * a->channels; i++) {
        const double d = fabs((double)a->data[i] - (double)b->data[i]);
        most = d > most ? d : most;
        square += d * d;
        power += (double)a->data[i] * (double)a->data[i];
    }
    return is_lossy ? sqrt(square / power) : most;
}

typedef struct way {
    const char *name;
    int bits, rate_hz;
    bool is_lossy;
    double tolerance; /* a step of the bits, above which full scale falls by one */
} way;

static const way ways[] = {
    {"a.wav", 16, 8000, false, 1.0 / 32768}, {"a.wav", 24, 44100, false, 1.0 / 8388608},
    {"a.wav", 32, 768000, false, 0},         {"a.flac", 16, 22050, false, 1.0 / 32768},
    {"a.flac", 24, 48000, false, 1.0 / 8388608}, {"a.ogg", 16, 16000, true, 0.1},
    {"a.opus", 16, 48000, true, 0.2},
};
enum { N_WAYS = sizeof ways / sizeof *ways };

/* ---- what we write ---- */

static void sounds_come_back(void **state)
{
    bench *b = *state;
    for (int i = 0; i < 2 * N_WAYS; i++) {
        const way *w = &ways[i / 2];
        wf_sound back, s = make_sound(b->c, SAMPLES + i, 1 + i % 2, w->rate_hz);
        const wf_sound_options o = {.bits = w->bits, .quality = -1, .overwrite = true};
        assert_int_equal(wf_sound_save(b->c, in(b, w->name), &s, &o), WF_OK);
        (void)wf_sound_load(b->c, b->path, WF_SOUND_REFUSE, &back, NULL);
        expect_ok(b->c);
        assert_int_equal(back.rate_hz, w->rate_hz);
        const double d = distance(&s, &back, w->is_lossy);
        if (d > w->tolerance * 1.000001) print_error("%s: off by %g\n", w->name, d);
        assert_true(d <= w->tolerance * 1.000001);
        wf_sound_free(&back);
        wf_sound_free(&s);
    }
}

static void saving_is_repeatable_and_exact(void **state)
{
    bench *b = *state;
    for (int i = 0; i < N_WAYS; i++) {
        wf_sound back, s = make_sound(b->c, SAMPLES, 2, ways[i].rate_hz);
        const wf_meta meta = {.parameters = "a cat", .weft = "{\"v\":1}"};
        const wf_sound_options o = {
            .bits = ways[i].bits, .quality = 0.5, .meta = &meta, .overwrite = true};
        size_t n[2];
        uint8_t *file[2];
        for (int k = 0; k < 2; k++) {
            if (k) usleep(1100000 / N_WAYS);          /* clocks and random draws would show */
            assert_int_equal(wf_sound_save(b->c, in(b, ways[i].name), &s, &o), WF_OK);
            file[k] = get_file(b->path, &n[k]);
        }
        assert_int_equal(n[0], n[1]);
        assert_memory_equal(file[0], file[1], n[0]);
        /* what was read is written without any change */
        (void)wf_sound_load(b->c, b->path, WF_SOUND_REFUSE, &back, NULL);
        expect_ok(b->c);
        if (!ways[i].is_lossy) {
            free(file[1]);
            assert_int_equal(wf_sound_save(b->c, b->path, &back, &o), WF_OK);
            file[1] = get_file(b->path, &n[1]);
            assert_int_equal(n[0], n[1]);
            assert_memory_equal(file[0], file[1], n[0]);
        }
        free(file[0]);
        free(file[1]);
        wf_sound_free(&back);
        wf_sound_free(&s);
    }
}

static void texts_come_back(void **state)
{
    bench *b = *state;
    static char json[40001], line[3000];
    memset(json, 'x', sizeof json - 1);
    memcpy(json, "{\"t\":\"\xe2\x82\xac", 9);
    memcpy(json + sizeof json - 3, "\"}", 2);
    memset(line, 'y', sizeof line - 1);
    memcpy(line, "weft: a f\xc3\xb6x\nweft: {no}\n", 23);
    for (int i = 0; i < 2 * N_WAYS; i++) {
        const wf_meta meta = {.parameters = i % 2 ? "a fox\nSeed: 1" : line, .weft = json};
        const wf_sound_options o = {
            .bits = ways[i / 2].bits, .quality = -1, .meta = &meta, .overwrite = true};
        wf_sound back, s = make_sound(b->c, 1001, 1, ways[i / 2].rate_hz);
        wf_meta_found found;
        assert_int_equal(wf_sound_save(b->c, in(b, ways[i / 2].name), &s, &o), WF_OK);
        (void)wf_sound_load(b->c, b->path, WF_SOUND_REFUSE, &back, &found);
        expect_ok(b->c);
        assert_non_null(found.weft);
        assert_string_equal(found.weft, json);
        assert_non_null(found.parameters);
        const bool is_cut = i % 2 == 0 && strstr(b->path, ".wav");
        assert_int_equal(strlen(found.parameters), is_cut ? 2000 : strlen(meta.parameters));
        assert_memory_equal(found.parameters, meta.parameters, strlen(found.parameters));
        wf_meta_free(&found);
        wf_sound_free(&back);
        wf_sound_free(&s);
    }
}

/* One value v in a sound written as name. */
static void expect_refused(bench *b, const char *name, wf_sound s, int bits, wf_status st,
                           const char *word)
{
    const wf_sound_options o = {.bits = bits, .quality = -1, .overwrite = true};
    assert_int_equal(wf_sound_save(b->c, in(b, name), &s, &o), st);
    expect_error(b->c, st, word);
    assert_int_equal(count_files(b->folder), 0);
}

static void refuses_to_write_nonsense(void **state)
{
    bench *b = *state;
    float v[8] = {0, 0, NAN, 0, 0, 0, 0, 0};
    const wf_sound nan = {.samples = 8, .channels = 1, .rate_hz = 8000, .data = v};
    wf_sound s = nan;
    expect_refused(b, "a.wav", s, 0, WF_ENAN, "value 2");
    v[2] = 0;
    expect_refused(b, "a.mp3", s, 0, WF_EUNSUPPORTED, ".flac");
    expect_refused(b, "a", s, 0, WF_EUNSUPPORTED, ".wav");
    expect_refused(b, "a.wav", s, 8, WF_EARG, "8 bits");
    expect_refused(b, "a.flac", s, 32, WF_EARG, "FLAC");
    s.rate_hz = 44100;
    expect_refused(b, "a.opus", s, 0, WF_EUNSUPPORTED, "48000");
    s.rate_hz = 999;
    expect_refused(b, "a.wav", s, 0, WF_EARG, "999 Hz");
    s = nan;
    s.samples = 0;
    expect_refused(b, "a.wav", s, 0, WF_EARG, "0 samples");
}

/* ---- what others write: by libsndfile itself ---- */

typedef struct kind {
    const char *name;
    int format;
    double tolerance;                   /* a step of the coding; below 0: refused */
} kind;

static const kind kinds[] = {
    {"WAV of 8 bits", SF_FORMAT_WAV | SF_FORMAT_PCM_U8, 1.0 / 128},
    {"WAV of 32 bits", SF_FORMAT_WAV | SF_FORMAT_PCM_32, 1e-7},
    {"WAV of doubles", SF_FORMAT_WAV | SF_FORMAT_DOUBLE, 1e-7},
    {"extensible WAV", SF_FORMAT_WAVEX | SF_FORMAT_PCM_24, 1.0 / 8388608},
    {"AIFF of 8 bits", SF_FORMAT_AIFF | SF_FORMAT_PCM_S8, 1.0 / 128},
    {"AIFF", SF_FORMAT_AIFF | SF_FORMAT_PCM_16, 1.0 / 32768},
    {"little-endian AIFF", SF_FORMAT_AIFF | SF_FORMAT_PCM_16 | SF_ENDIAN_LITTLE, 1.0 / 32768},
    {"AIFF of floats", SF_FORMAT_AIFF | SF_FORMAT_FLOAT, 0},
    {"FLAC of 8 bits", SF_FORMAT_FLAC | SF_FORMAT_PCM_S8, 1.0 / 128},
    {"WAV of u-law", SF_FORMAT_WAV | SF_FORMAT_ULAW, -1},
    {"WAV of ADPCM", SF_FORMAT_WAV | SF_FORMAT_IMA_ADPCM, -1},
    {"AIFF of ADPCM", SF_FORMAT_AIFF | SF_FORMAT_IMA_ADPCM, -1},
    {"Sun's AU", SF_FORMAT_AU | SF_FORMAT_PCM_16, -1},
    {"64-bit RIFF", SF_FORMAT_RF64 | SF_FORMAT_PCM_16, -1},
    {"Core Audio", SF_FORMAT_CAF | SF_FORMAT_PCM_16, -1},
};

static void write_kind(const char *path, int format, const wf_sound *s)
{
    SF_INFO info = {.samplerate = s->rate_hz, .channels = (int)s->channels, .format = format};
    SNDFILE *f = sf_open(path, SFM_WRITE, &info);
    assert_non_null(f);
    sf_command(f, SFC_SET_CLIPPING, NULL, SF_TRUE);
    assert_int_equal(sf_writef_float(f, s->data, s->samples), s->samples);
    sf_close(f);
}

static void reads_what_others_write(void **state)
{
    bench *b = *state;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        const kind *k = &kinds[i];
        wf_sound back, s = make_sound(b->c, SAMPLES, k->tolerance < 0 ? 1 : 2, 16000);
        write_kind(in(b, "other"), k->format, &s);
        const wf_status st = wf_sound_load(b->c, b->path, WF_SOUND_REFUSE, &back, NULL);
        if (k->tolerance < 0) {
            if (st == WF_OK) print_error("%s was read\n", k->name);
            assert_int_not_equal(st, WF_OK);
            expect_ok_or_refused(b->c);
        } else {
            expect_ok(b->c);
            const double d = distance(&s, &back, false);
            if (d > 1.001 * k->tolerance) print_error("%s: off by %g\n", k->name, d);
            assert_true(d <= 1.001 * k->tolerance);
        }
        wf_sound_free(&back);
        wf_sound_free(&s);
    }
}

/* MP3 adds silence at both ends, so only its tone is looked for. */
static void reads_mp3(void **state)
{
    bench *b = *state;
    SF_INFO info = {
        .samplerate = 16000, .channels = 1, .format = SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III};
    if (!sf_format_check(&info)) skip();
    wf_sound back, s = make_sound(b->c, 16000, 1, 16000);
    for (int64_t i = 0; i < s.samples; i++) s.data[i] = 0.5f * sinf((float)i * 0.2f);
    write_kind(in(b, "a.mp3"), info.format, &s);
    (void)wf_sound_load(b->c, b->path, WF_SOUND_REFUSE, &back, NULL);
    expect_ok(b->c);
    assert_true(back.samples >= s.samples && back.samples < s.samples + 4000);
    int n_rises = 0;
    for (int64_t i = 4000; i < 12000; i++) n_rises += back.data[i] < 0 && back.data[i + 1] >= 0;
    assert_true(abs(n_rises - 255) <= 2);           /* 8000 * 0.2 / (2 pi) */
    wf_sound_free(&back);
    wf_sound_free(&s);
}

/* ---- hostile files ---- */

/* A WAV with these fields, 16-bit mono silence by default. */
typedef struct wav {
    unsigned tag, channels, rate_hz, align, bits, said_bytes, real_bytes;
    bool twice;                         /* two formats */
    const float *values;                /* instead of silence */
} wav;

static wf_bytes make_wav(wf_ctx *c, const wav *w)
{
    wf_bytes b = {.c = c};
    wf_bytes_put(&b, "RIFF\0\0\0\0WAVE", 12);
    for (int i = 0; i < (w->twice ? 2 : 1); i++) {
        wf_bytes_put(&b, "fmt ", 4);
        wf_bytes_put_u32le(&b, 16);
        wf_bytes_put_u32le(&b, w->tag | w->channels << 16);
        wf_bytes_put_u32le(&b, w->rate_hz);
        wf_bytes_put_u32le(&b, w->rate_hz * w->align);
        wf_bytes_put_u32le(&b, w->align | w->bits << 16);
    }
    wf_bytes_put(&b, "data", 4);
    wf_bytes_put_u32le(&b, w->said_bytes);
    for (unsigned i = 0; i < w->real_bytes; i++)
        wf_bytes_put_u8(&b, w->values ? ((const uint8_t *)w->values)[i] : 0);
    expect_ok(c);
    return b;
}

static const wav plain = {1, 1, 8000, 2, 16, 8, 8, false, NULL};

/* Decode w; an error must be st with word, or else n_samples come. */
static void expect_wav(bench *b, wav w, wf_status st, const char *word, int64_t n_samples)
{
    wf_bytes f = make_wav(b->c, &w);
    wf_sound s;
    (void)wf_sound_decode(b->c, "x.wav", f.data, f.n, WF_SOUND_REFUSE, &s, NULL);
    if (st != WF_OK) expect_error(b->c, st, word);
    else {
        expect_ok(b->c);
        assert_int_equal(s.samples, n_samples);
    }
    wf_sound_free(&s);
    wf_bytes_free(&f);
}

static void refuses_lying_headers(void **state)
{
    bench *b = *state;
    wav w = plain;
    expect_wav(b, w, WF_OK, NULL, 4);
#define WITH(field, value) (w = plain, w.field = (value), w)
    expect_wav(b, WITH(said_bytes, 0), WF_EFORMAT, "no samples", 0);
    expect_wav(b, WITH(said_bytes, 100), WF_EFORMAT, "100 bytes of sound, 8 are there", 0);
    expect_wav(b, WITH(said_bytes, 0xffffffffu), WF_OK, NULL, 4);
    expect_wav(b, WITH(said_bytes, 0x7ffff000u), WF_OK, NULL, 4);
    expect_wav(b, WITH(align, 4), WF_EFORMAT, "blocks of 4 bytes", 0);
    expect_wav(b, WITH(align, 0), WF_EFORMAT, "blocks of 0 bytes", 0);
    expect_wav(b, WITH(channels, 0), WF_EFORMAT, "0 channels", 0);
    expect_wav(b, WITH(channels, 1024), WF_EFORMAT, "1024 channels", 0);
    expect_wav(b, WITH(rate_hz, 0), WF_EFORMAT, "rate of 0 Hz", 0);
    expect_wav(b, WITH(rate_hz, 1), WF_EFORMAT, "rate of 1 Hz", 0);
    expect_wav(b, WITH(rate_hz, 0x7fffffffu), WF_EFORMAT, "2147483647 Hz", 0);
    expect_wav(b, WITH(tag, 2), WF_EUNSUPPORTED, "coding 2", 0);
    expect_wav(b, WITH(tag, 0x11), WF_EUNSUPPORTED, "coding 17", 0);
    expect_wav(b, WITH(twice, true), WF_EFORMAT, "two formats", 0);
#undef WITH
}

static void refuses_values_that_are_no_sound(void **state)
{
    bench *b = *state;
    const float values[] = {0.5f, NAN, INFINITY, -1e30f, 2.0f, -1.0f};
    const wav w = {3, 1, 8000, 4, 32, sizeof values, sizeof values, false, values};
    expect_wav(b, w, WF_ENAN, "3 values", 0);
    wf_bytes f = make_wav(b->c, &w);
    wf_sound s;
    (void)wf_sound_decode(b->c, "x.wav", f.data, f.n, WF_SOUND_SANITIZE, &s, NULL);
    expect_ok(b->c);
    const float want[] = {0.5f, 0, 0, -1, 1, -1};
    assert_memory_equal(s.data, want, sizeof want);
    wf_sound_free(&s);
    wf_bytes_free(&f);
}

static void says_what_else_a_file_is(void **state)
{
    bench *b = *state;
    wf_sound s;
    static const char *const files[][2] = {{"", "empty"},
                                           {"\x89PNG\r\n\x1a\n01234567", "a PNG picture"},
                                           {"RIFF0000WEBPVP8 ", "a WebP picture"},
                                           {"once upon a time", "something else"}};
    for (int i = 0; i < 4; i++) {
        (void)wf_sound_decode(b->c, "x.wav", (const uint8_t *)files[i][0], strlen(files[i][0]),
                              WF_SOUND_REFUSE, &s, NULL);
        expect_error(b->c, WF_EFORMAT, files[i][1]);
    }
}

/* What is read of a damaged file is finite and whole, or nothing. */
static void read_anything(bench *b, const uint8_t *data, size_t n)
{
    wf_sound s;
    wf_meta_found found;
    uint8_t *copy = malloc(n + 64);     /* the end must be seen by the sanitizer */
    memcpy(copy, data, n);
    if (wf_sound_decode(b->c, "x", copy, n, WF_SOUND_SANITIZE, &s, &found) == WF_OK) {
        assert_true(s.channels >= 1 && s.channels <= WF_SOUND_MAX_CHANNELS && s.samples >= 1);
        for (int64_t i = 0; i < s.samples * s.channels; i++) assert_true(fabsf(s.data[i]) <= 1);
    }
    expect_ok_or_refused(b->c);
    wf_sound_free(&s);
    wf_meta_free(&found);
    free(copy);
}

static void survives_damage(void **state)
{
    bench *b = *state;
    const wf_meta meta = {.parameters = "p", .weft = "{}"};
    for (int i = 0; i < N_WAYS; i++) {
        const wf_sound_options o = {
            .bits = ways[i].bits, .quality = -1, .meta = &meta, .overwrite = true};
        wf_sound s = make_sound(b->c, 600, 1, ways[i].rate_hz);
        size_t n;
        uint32_t seed = 1;
        assert_int_equal(wf_sound_save(b->c, in(b, ways[i].name), &s, &o), WF_OK);
        uint8_t *f = get_file(b->path, &n);
        for (size_t k = 0; k < n; k += k < 400 ? 1 : 37) read_anything(b, f, k);
        for (size_t k = 0; k < 8 * (n < 256 ? n : 256); k++) {
            f[k / 8] ^= (uint8_t)(1 << k % 8);
            read_anything(b, f, n);
            f[k / 8] ^= (uint8_t)(1 << k % 8);
        }
        for (int k = 0; k < 200; k++) {
            const size_t at = next_random(&seed) % n;
            const uint8_t old = f[at];
            f[at] = (uint8_t)next_random(&seed);
            read_anything(b, f, n);
            f[at] = old;
        }
        free(f);
        wf_sound_free(&s);
    }
}

/* A file cut anywhere is refused, or gives every sample. */
static void refuses_what_is_cut_off(void **state)
{
    bench *b = *state;
    for (int i = 0; i < N_WAYS; i++) {
        const wf_sound_options o = {.bits = ways[i].bits, .quality = -1, .overwrite = true};
        wf_sound back, s = make_sound(b->c, 3000, 1, ways[i].rate_hz);
        size_t n;
        assert_int_equal(wf_sound_save(b->c, in(b, ways[i].name), &s, &o), WF_OK);
        uint8_t *f = get_file(b->path, &n);
        for (size_t k = 0; k < n; k += 13) {
            if (wf_sound_decode(b->c, "x", f, k, WF_SOUND_REFUSE, &back, NULL) == WF_OK)
                assert_int_equal(back.samples, s.samples);
            else expect_error(b->c, WF_EFORMAT, "x: ");
            wf_sound_free(&back);
        }
        free(f);
        wf_sound_free(&s);
    }
}

/* ---- failing memory and files ---- */

static void out_of_memory_is_an_error(void **state)
{
    bench *b = *state;
    wf_mem *m = wf_ctx_get_mem(b->c);
    const wf_meta meta = {.parameters = "p", .weft = "{}"};
    wf_sound s = make_sound(b->c, 40000, 2, 8000);
    const size_t before = wf_mem_get_stats(m).live_bytes;
    for (int i = 0; i < 4; i++)
        for (uint64_t k = 1;; k++) {
            const wf_sound_options o = {.quality = -1, .meta = &meta, .overwrite = true};
            wf_sound back = {0};
            wf_meta_found found = {0};
            wf_mem_fail_nth(m, k);
            if (i % 2 == 0) (void)!wf_sound_save(b->c, in(b, i < 2 ? "a.wav" : "a.ogg"), &s, &o);
            else (void)wf_sound_load(b->c, b->path, WF_SOUND_REFUSE, &back, &found);
            wf_mem_fail_nth(m, 0);
            wf_sound_free(&back);
            wf_meta_free(&found);
            assert_int_equal(wf_mem_get_stats(m).live_bytes, before);
            if (!wf_has_failed(b->c)) break;
            expect_error(b->c, WF_ENOMEM, "no memory");
        }
    wf_sound_free(&s);
}

static void a_failing_write_leaves_nothing(void **state)
{
    bench *b = *state;
    const wf_meta meta = {.parameters = "p", .weft = "{}"};
    const wf_sound_options o = {.quality = -1, .meta = &meta};
    static const char *const names[] = {"a.wav", "a.flac", "a.ogg"};
    wf_sound s = make_sound(b->c, 5000, 1, 8000);
    for (int i = 0; i < 3; i++) {
        for (uint64_t k = 1;; k++) {
            wf_ctx_fail_io(b->c, k);
            const wf_status st = wf_sound_save(b->c, in(b, names[i]), &s, &o);
            wf_ctx_fail_io(b->c, 0);
            if (st == WF_OK) break;
            expect_error(b->c, WF_EIO, names[i]);
            assert_int_equal(count_files(b->folder), i);
        }
        assert_int_equal(wf_sound_save(b->c, b->path, &s, &o), WF_EIO);
        expect_error(b->c, WF_EIO, "exists already");
    }
    wf_sound_free(&s);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, bench_open, bench_close)
    const struct CMUnitTest tests[] = {
        TEST(sounds_come_back),
        TEST(saving_is_repeatable_and_exact),
        TEST(texts_come_back),
        TEST(reads_what_others_write),
        TEST(reads_mp3),
        TEST(refuses_to_write_nonsense),
        TEST(refuses_lying_headers),
        TEST(refuses_values_that_are_no_sound),
        TEST(says_what_else_a_file_is),
        TEST(survives_damage),
        TEST(refuses_what_is_cut_off),
        TEST(out_of_memory_is_an_error),
        TEST(a_failing_write_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
