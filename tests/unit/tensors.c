/* tensors.c - safetensors and npy: round trips, reference files, and hostile ones. */
#include "core/file/tensors.h"

#include <math.h>

#include "core/file/bytes.h"
#include "core/tensor/ops.h"
#include "tests/unit/files.h"

/* A file of this header and n bytes of data. */
static const char *make_file(bench *b, const char *header, size_t n)
{
    wf_bytes f = {.c = b->c};
    wf_bytes_put_u64le(&f, strlen(header));
    wf_bytes_put_text(&f, header);
    for (size_t i = 0; i < n; i++) wf_bytes_put_u8(&f, (uint8_t)i);
    put_file(in(b, "t.safetensors"), f.data, f.n);
    wf_bytes_free(&f);
    return b->path;
}

static void expect_refused(bench *b, const char *header, size_t n, const char *word)
{
    assert_null(wf_tensors_open(b->c, make_file(b, header, n)));
    expect_error(b->c, WF_EFORMAT, word);
}

/* ---- round trips ---- */

static wf_tensor *ramp(wf_ctx *c, wf_dtype t, int64_t n)
{
    const wf_shape s = {.rank = 1, .dims = {n}};
    wf_tensor *x = wf_empty(c, WF_DTYPE_F32, &s);
    for (int64_t i = 0; i < n; i++) wf_f32(x)[i] = (float)(i % 2);
    return wf_cast(c, x, t);
}

static void expect_same(wf_ctx *c, wf_tensor *a, wf_tensor *b)
{
    const wf_shape s = wf_get_shape(a), t = wf_get_shape(b);
    assert_true(wf_shape_is_same(&s, &t));
    assert_int_equal(wf_get_dtype(a), wf_get_dtype(b));
    const size_t bytes = wf_tensor_bytes(a);
    uint8_t *x = malloc(bytes + 1), *y = malloc(bytes + 1);
    assert_int_equal(wf_to_host(c, a, x, bytes), WF_OK);
    assert_int_equal(wf_to_host(c, b, y, bytes), WF_OK);
    assert_memory_equal(x, y, bytes);
    free(x);
    free(y);
}

static void every_dtype_comes_back(void **state)
{
    bench *b = *state;
    wf_ctx *c = b->c;
    static const wf_dtype kinds[] = {WF_DTYPE_U8, WF_DTYPE_F32, WF_DTYPE_BF16, WF_DTYPE_I64,
                                     WF_DTYPE_F16, WF_DTYPE_BOOL, WF_DTYPE_I32, WF_DTYPE_F64,
                                     WF_DTYPE_I8};
    enum { N = sizeof kinds / sizeof kinds[0] };
    char names[N][16];
    const char *list[N];
    wf_tensor *t[N];
    wf_scope *s = wf_scope_open(c);
    for (int i = 0; i < N; i++) {
        snprintf(names[i], sizeof names[i], "%d.%s", N - i, wf_dtype_text(kinds[i]));
        list[i] = names[i];
        t[i] = ramp(c, kinds[i], 3 + i);               /* odd byte counts */
    }
    const char *const meta[] = {"format", "pt", "odd \"key\"\n", "v\xc3\xa9"};
    assert_int_equal(wf_tensors_save(c, in(b, "t"), list, t, N, meta, 2), WF_OK);
    wf_tensors *f = wf_tensors_open(c, b->path);
    assert_non_null(f);
    assert_int_equal(wf_tensors_get_count(f), N);
    assert_string_equal(wf_tensors_get_meta(f, "odd \"key\"\n"), "v\xc3\xa9");
    assert_null(wf_tensors_get_meta(f, "other"));
    wf_tensor *back[N];
    for (int i = 0; i < N; i++) back[i] = wf_tensors_get(c, f, wf_tensors_find(f, list[i]));
    for (int64_t i = 1; i < N; i++)
        assert_true(strcmp(wf_tensors_get_name(f, i - 1), wf_tensors_get_name(f, i)) < 0);
    assert_int_equal(wf_tensors_check(c, f), WF_OK);
    wf_tensors_close(f);                              /* tensors stay valid */
    for (int i = 0; i < N; i++) expect_same(c, t[i], back[i]);
    wf_scope_close(c, s, NULL);
    expect_ok(c);
}

static void views_empty_tensors_and_scalars(void **state)
{
    bench *b = *state;
    wf_ctx *c = b->c;
    wf_scope *s = wf_scope_open(c);
    const wf_shape none = {.rank = 2, .dims = {0, 7}};
    wf_tensor *t[] = {wf_swap(c, wf_reshape2(c, ramp(c, WF_DTYPE_F32, 12), 3, 4), 0, 1),
                      wf_zeros(c, WF_DTYPE_F16, &none), wf_scalar(c, 2.5)};
    const char *names[] = {"view", "none", "one"};
    assert_int_equal(wf_tensors_save(c, in(b, "t"), names, t, 3, NULL, 0), WF_OK);
    wf_tensors *f = wf_tensors_open(c, b->path);
    for (int i = 0; i < 3; i++)
        expect_same(c, t[i], wf_tensors_get(c, f, wf_tensors_find(f, names[i])));
    assert_int_equal(wf_tensors_find(f, "absent"), -1);
    assert_null(wf_tensors_get(c, f, 3));
    expect_error(c, WF_EARG, "has no tensor 3");
    wf_tensors_close(f);
    assert_int_equal(wf_tensors_save(c, in(b, "empty"), NULL, NULL, 0, NULL, 0), WF_OK);
    f = wf_tensors_open(c, b->path);
    assert_int_equal(wf_tensors_get_count(f), 0);
    wf_tensors_close(f);
    wf_scope_close(c, s, NULL);
}

static void equal_tensors_give_equal_bytes(void **state)
{
    bench *b = *state;
    wf_ctx *c = b->c;
    wf_scope *s = wf_scope_open(c);
    wf_tensor *x = ramp(c, WF_DTYPE_F32, 3), *y = ramp(c, WF_DTYPE_U8, 5);
    size_t n, k;
    assert_int_equal(wf_tensors_save(c, in(b, "a"), (const char *[]){"x", "y"},
                                     (wf_tensor *[]){x, y}, 2, NULL, 0), WF_OK);
    uint8_t *one = get_file(b->path, &n);
    assert_int_equal(wf_tensors_save(c, in(b, "b"), (const char *[]){"y", "x"},
                                     (wf_tensor *[]){y, x}, 2, NULL, 0), WF_OK);
    uint8_t *two = get_file(b->path, &k);
    assert_int_equal(n, k);
    assert_memory_equal(one, two, n);
    free(one);
    free(two);
    wf_scope_close(c, s, NULL);
}

static void unaligned_data_is_copied(void **state)
{
    bench *b = *state;
    wf_scope *s = wf_scope_open(b->c);
    wf_tensors *f = wf_tensors_open(b->c, make_file(b,
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
        "\"b\":{\"dtype\":\"I32\",\"shape\":[1],\"data_offsets\":[1,5]}}  ", 5));
    assert_non_null(f);
    wf_tensor *x = wf_tensors_get(b->c, f, 1);
    wf_tensors_close(f);
    int32_t v;
    assert_int_equal(wf_to_host(b->c, x, &v, 4), WF_OK);
    assert_int_equal(v, 0x04030201);
    wf_scope_close(b->c, s, NULL);
}

static void refuses_to_save(void **state)
{
    bench *b = *state;
    wf_ctx *c = b->c;
    wf_scope *s = wf_scope_open(c);
    wf_tensor *x = ramp(c, WF_DTYPE_F32, 32), *q = wf_cast(c, x, WF_DTYPE_Q8_0);
    assert_int_equal(wf_tensors_save(c, in(b, "t"), (const char *[]){"x", "x"},
                                     (wf_tensor *[]){x, x}, 2, NULL, 0), WF_EARG);
    expect_error(c, WF_EARG, "two tensors of the name \"x\"");
    assert_int_equal(wf_tensors_save(c, b->path, (const char *[]){"q"}, &q, 1, NULL, 0), WF_EDTYPE);
    expect_error(c, WF_EDTYPE, "q8_0");
    assert_int_equal(wf_tensors_save(c, b->path, (const char *[]){"\xff"}, &x, 1, NULL, 0),
                     WF_EARG);
    expect_error(c, WF_EARG, "not UTF-8");
    assert_int_equal(count_files(b->folder), 0);
    wf_scope_close(c, s, NULL);
}

/* ---- hostile headers ---- */

#define ONE(dtype, shape, from, to) \
    "{\"a\":{\"dtype\":\"" dtype "\",\"shape\":[" shape "],\"data_offsets\":[" from "," to "]}}"

static void refuses_what_is_no_header(void **state)
{
    bench *b = *state;
    wf_ctx *c = b->c;
    static const struct { const char *data; size_t n; const char *word; } bad[] = {
        {"", 0, "is empty"},
        {"\1\0\0", 3, "is 3 bytes"},
        {"\x20\0\0\0\0\0\0\0{}", 10, "the header is 32 bytes long, the file has 10"},
        {"\xff\xff\xff\xff\xff\xff\xff\xff{}", 10, "18446744073709551615 bytes"},
        {"\xf8\xff\xff\xff\xff\xff\xff\xff{}", 10, "18446744073709551608 bytes"},
        {"\0\0\0\0\0\0\0\x80{}", 10, "9223372036854775808 bytes"},
        {"\0\0\0\0\0\0\0\0{}", 10, "not a JSON object"},
        {"\1\0\0\0\0\0\0\0{}", 10, "not a JSON object"},
        {"\3\0\0\0\0\0\0\0 {}", 11, "not a JSON object"},
        {"\3\0\0\0\0\0\0\0{}\n", 11, "not a JSON object"},
        {"\5\0\0\0\0\0\0\0\xef\xbb\xbf{}", 13, "not a JSON object"},
        {"\4\0\0\0\0\0\0\0[{}]", 12, "not a JSON object"},
        {"\2\0\0\0\0\0\0\0{}x", 11, "1 extra bytes"},
        {"\5\0\0\0\0\0\0\0{,,,}", 13, "not JSON"},
        {"\x80\2}q\0.....", 10, "is a pickle"},
        {"PK\3\4........", 12, "zip archive"},
        {"version https://git-lfs.github.com/spec/v1", 42, "Git LFS pointer"},
        {"<!DOCTYPE html>", 15, "a web page"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        put_file(in(b, "t"), bad[i].data, bad[i].n);
        assert_null(wf_tensors_open(c, b->path));
        expect_error(c, WF_EFORMAT, bad[i].word);
    }
    assert_null(wf_tensors_open(c, in(b, "missing")));
    expect_error(c, WF_EIO, "missing");
}

static void refuses_a_header_above_the_limit(void **state)
{
    bench *b = *state;
    FILE *f = fopen(in(b, "t"), "wb");                /* sparse: 100 MB on paper */
    fwrite("\1\xe1\xf5\5\0\0\0\0{", 1, 9, f);
    fclose(f);
    assert_int_equal(truncate(b->path, 100000009), 0);
    assert_null(wf_tensors_open(b->c, b->path));
    expect_error(b->c, WF_EFORMAT, "at most 100000000");
}

static void refuses_bad_entries(void **state)
{
    bench *b = *state;
    static const struct { const char *header; size_t n; const char *word;
    } bad[] = {
        {ONE("F32", "2", "0", "8"), 7, "1 bytes missing"},
        {ONE("F32", "2", "0", "8"), 9, "1 extra bytes"},
        {ONE("F32", "2", "1", "9"), 9, "hole of 1 bytes"},
        {ONE("F32", "2", "8", "0"), 8, "ends before it"},
        {ONE("F32", "2", "-8", "0"), 8, "an offset is not a whole number"},
        {ONE("F32", "2", "0.0", "8"), 8, "an offset is not a whole number"},
        {ONE("F32", "2", "0", "99999999999999999999"), 8, "not JSON"},
        {ONE("F32", "2", "0", "9223372036854775807"), 8, "bytes missing"},
        {ONE("F32", "-1", "0", "8"), 8, "a dim is not a whole number"},
        {ONE("F32", "2.0", "0", "8"), 8, "a dim is not a whole number"},
        {ONE("F32", "2e0", "0", "8"), 8, "a dim is not a whole number"},
        {ONE("F32", "\\\"2\\\"", "0", "8"), 8, "not JSON"},
        {ONE("F32", "null", "0", "8"), 8, "a dim is not a whole number"},
        {ONE("F32", "4294967296,4294967296", "0", "0"), 0, "overflows"},
        {ONE("F32", "4611686018427387904,4", "0", "0"), 0, "overflows"},
        {ONE("U8", "2305843009213693953,8", "0", "8"), 8, "overflows"},
        {ONE("F32", "1,1,1,1,1,1,1", "0", "4"), 4, "has 7 dims"},
        {ONE("F32", "3", "0", "8"), 8, "F32 [3] is 12 bytes, its range at offset"},
        {ONE("F4", "3", "0", "1"), 1, "ends inside a byte"},
        {ONE("F31", "2", "0", "8"), 8, "unknown dtype \"F31\""},
        {ONE("q\\u001b[1m", "2", "0", "8"), 8, "unknown dtype \"q\\x1b[1m\""},
        {ONE("F32", "2", "0", "8,8"), 8, "no pair of data_offsets"},
        {"{\"a\":7}", 0, "not described by an object"},
        {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "has no dtype"},
        {"{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1, "has no shape"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, "no pair of data_offsets"},
        {"{\"a\\u0000b\":{}}", 0, "not JSON"},
        {"{\"\xff\":{}}", 0, "not JSON"},
        {"{\"__metadata__\":{\"a\":1}}", 0, "a value that is no text"},
        {"{\"__metadata__\":[]}", 0, "__metadata__ is not an object"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
         "\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}",
         2, "duplicate"},
        {"{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1,
         "duplicate"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
         "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[1,3]}}",
         3, "\"b\": overlaps \"a\""},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
         "\"b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[2,3]}}",
         3, "after \"a\""},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        expect_refused(b, bad[i].header, bad[i].n, bad[i].word);
}

static void accepts_what_the_format_allows(void **state)
{
    bench *b = *state;
    static const struct { const char *header; size_t n; int64_t count; } good[] = {
        {"{}", 0, 0}, {"{}      ", 0, 0}, {ONE("U8", "", "0", "1"), 1, 1},
        {ONE("F32", "0,5", "0", "0"), 0, 1}, {ONE("F4", "4", "0", "2"), 2, 1},
        {"{\"__metadata__\":{\"a\":\"b\"}}", 0, 0},
        {"{\"b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"          /* any order */
         "\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}", 2, 2},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        wf_tensors *f = wf_tensors_open(b->c, make_file(b, good[i].header, good[i].n));
        expect_ok(b->c);
        assert_int_equal(wf_tensors_get_count(f), good[i].count);
        wf_tensors_close(f);
    }
    wf_tensors *f = wf_tensors_open(b->c, make_file(b, ONE("F8_E4M3", "2", "0", "2"), 2));
    assert_int_equal(wf_tensors_get_dtype(f, 0), WF_DTYPE_COUNT);
    assert_string_equal(wf_tensors_get_dtype_text(f, 0), "F8_E4M3");
    assert_null(wf_tensors_get(b->c, f, 0));
    expect_error(b->c, WF_EUNSUPPORTED, "F8_E4M3");
    wf_tensors_close(f);
}

/* 100,000 tensors on the same bytes must not become 100,000 times the file. */
static void refuses_many_tensors_on_one_range(void **state)
{
    bench *b = *state;
    wf_bytes h = {.c = b->c};
    wf_bytes_put_text(&h, "{");
    for (int i = 0; i < 100000; i++)
        wf_bytes_printf(&h, "%s\"t%d\":{\"dtype\":\"U8\",\"shape\":[64],\"data_offsets\":[0,64]}",
                        i ? "," : "", i);
    wf_bytes_put_text(&h, "}");
    wf_bytes_put_u8(&h, 0);
    expect_refused(b, (const char *)h.data, 64, "overlaps");
    wf_bytes_free(&h);
}

/* Cut and damage a good file: it opens with every range inside, or says what is wrong. */
static void touch_all(wf_ctx *c, const char *path)
{
    wf_scope *s = wf_scope_open(c);
    wf_tensors *f = wf_tensors_open(c, path);
    double sum = 0;
    for (int64_t i = 0; f && i < wf_tensors_get_count(f); i++) {
        wf_tensor *t = wf_tensors_get(c, f, i);
        const uint8_t *p = t ? wf_data_const(t) : NULL;
        for (size_t k = 0; p && k < wf_tensor_bytes(t); k++) sum += p[k];
    }
    assert_true(sum >= 0);
    wf_tensors_close(f);
    wf_scope_close(c, s, NULL);
    expect_ok_or_refused(c);
}

static void survives_damage(void **state)
{
    bench *b = *state;
    uint32_t seed = 1;
    size_t n;
    wf_scope *s = wf_scope_open(b->c);
    wf_tensor *t[] = {ramp(b->c, WF_DTYPE_F32, 5), ramp(b->c, WF_DTYPE_U8, 3)};
    assert_int_equal(wf_tensors_save(b->c, in(b, "good"), (const char *[]){"one", "two"}, t, 2,
                                     (const char *[]){"k", "v"}, 1), WF_OK);
    wf_scope_close(b->c, s, NULL);
    uint8_t *good = get_file(b->path, &n);
    in(b, "bad");
    for (size_t k = 0; k < n; k++) {
        put_file(b->path, good, k);
        assert_null(wf_tensors_open(b->c, b->path));
        expect_error(b->c, WF_EFORMAT, "bad: ");
    }
    for (size_t bit = 0; bit < 8 * n; bit += 1 + bit % 3) {
        good[bit / 8] ^= (uint8_t)(1u << bit % 8);
        put_file(b->path, good, n);
        touch_all(b->c, b->path);
        good[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (int i = 0; i < 500; i++) {
        uint8_t *bad = malloc(n);
        memcpy(bad, good, n);
        for (int k = 0; k < 4; k++) bad[next_random(&seed) % n] = (uint8_t)next_random(&seed);
        put_file(b->path, bad, n);
        touch_all(b->c, b->path);
        free(bad);
    }
    free(good);
}

static void out_of_memory_is_an_error(void **state)
{
    bench *b = *state;
    wf_mem *m = wf_ctx_get_mem(b->c);
    make_file(b, ONE("F32", "2", "0", "8"), 8);
    const size_t before = wf_mem_get_stats(m).live_bytes;
    for (uint64_t k = 1;; k++) {
        wf_mem_fail_nth(m, k);
        wf_tensors *f = wf_tensors_open(b->c, b->path);
        wf_tensor *t = f ? wf_take(b->c, wf_tensors_get(b->c, f, 0)) : NULL;
        wf_mem_fail_nth(m, 0);
        wf_tensors_close(f);
        wf_release(t);
        assert_int_equal(wf_mem_get_stats(m).live_bytes, before);
        if (t) break;
        expect_error(b->c, WF_ENOMEM, "no memory");
    }
}

static void a_failing_write_leaves_nothing(void **state)
{
    bench *b = *state;
    wf_scope *s = wf_scope_open(b->c);
    wf_tensor *t[] = {ramp(b->c, WF_DTYPE_F32, 5), ramp(b->c, WF_DTYPE_U8, 3)};
    for (uint64_t k = 1;; k++) {
        wf_ctx_fail_io(b->c, k);
        const wf_status st = wf_tensors_save(b->c, in(b, "t"), (const char *[]){"one", "two"}, t, 2,
                                             NULL, 0);
        wf_ctx_fail_io(b->c, 0);
        if (st == WF_OK) break;
        expect_error(b->c, WF_EIO, "t: ");
        assert_int_equal(count_files(b->folder), 0);
    }
    assert_int_equal(count_files(b->folder), 1);
    wf_scope_close(b->c, s, NULL);
}

/* ---- sharded sets ---- */

static void make_shards(bench *b, const char *index)
{
    wf_scope *s = wf_scope_open(b->c);
    wf_tensor *x = ramp(b->c, WF_DTYPE_F32, 4);
    assert_int_equal(wf_tensors_save(b->c, in(b, "1.safetensors"), (const char *[]){"b", "d"},
                                     (wf_tensor *[]){x, x}, 2, NULL, 0), WF_OK);
    assert_int_equal(wf_tensors_save(b->c, in(b, "2.safetensors"), (const char *[]){"a", "c"},
                                     (wf_tensor *[]){x, x}, 2, NULL, 0), WF_OK);
    wf_scope_close(b->c, s, NULL);
    put_file(in(b, "m.safetensors.index.json"), index, strlen(index));
}

static void opens_shards(void **state)
{
    bench *b = *state;
    make_shards(b, "{\"metadata\":{\"total_size\":1},\"weight_map\":{\"a\":\"2.safetensors\",\"b\":"
                   "\"1.safetensors\",\"c\":\"2.safetensors\",\"d\":\"1.safetensors\"}}");
    wf_tensors *f = wf_tensors_open(b->c, b->path);
    expect_ok(b->c);
    assert_int_equal(wf_tensors_get_count(f), 4);
    for (int i = 0; i < 4; i++) {
        const char name[] = {(char)('a' + i), '\0'};
        assert_string_equal(wf_tensors_get_name(f, i), name);
    }
    wf_scope *s = wf_scope_open(b->c);
    wf_tensor *x = wf_tensors_get(b->c, f, 3);
    wf_tensors_close(f);
    assert_true(wf_f32(x)[1] == 1.0f);
    wf_scope_close(b->c, s, NULL);
}

static void refuses_bad_shards(void **state)
{
    bench *b = *state;
    static const struct { const char *index, *word; wf_status st;
    } bad[] = {
        {"{\"weight_map\":{\"a\":\"../1.safetensors\"}}", "must be a file of that folder",
         WF_EFORMAT},
        {"{\"weight_map\":{\"a\":\"/etc/passwd\"}}", "must be a file of that folder", WF_EFORMAT},
        {"{\"weight_map\":{\"a\":7}}", "must be a file of that folder", WF_EFORMAT},
        {"{\"weight_map\":{\"a\":\"1.safetensors\"}}", "no such tensor", WF_EFORMAT},
        {"{\"weight_map\":{\"a\":\"3.safetensors\"}}", "3.safetensors: cannot be opened", WF_EIO},
        {"{\"weight_map\":{\"a\":\"2.safetensors\",\"b\":\"2.safetensors\",\"d\":\"1.safetensors\"}"
         "}",
         "no such tensor", WF_EFORMAT},
        {"{\"weight_map\":[]}", "has no object weight_map", WF_EFORMAT},
        {"{}", "has no object weight_map", WF_EFORMAT},
        {"{", "not JSON", WF_EFORMAT},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        make_shards(b, bad[i].index);
        assert_null(wf_tensors_open(b->c, b->path));
        expect_error(b->c, bad[i].st, bad[i].word);
    }
    make_shards(b, "{\"weight_map\":{\"a\":\"2.safetensors\",\"b\":\"1.safetensors\"}}");
    size_t n;
    uint8_t *one = get_file(in(b, "1.safetensors"), &n);
    put_file(in(b, "2.safetensors"), one, n);
    free(one);
    assert_null(wf_tensors_open(b->c, in(b, "m.safetensors.index.json")));
    expect_error(b->c, WF_EFORMAT, "stands in");
}

/* ---- npy ---- */

static void npy_comes_back(void **state)
{
    bench *b = *state;
    wf_ctx *c = b->c;
    static const wf_dtype kinds[] = {WF_DTYPE_U8, WF_DTYPE_F32, WF_DTYPE_I64, WF_DTYPE_F16,
                                     WF_DTYPE_BOOL, WF_DTYPE_I32, WF_DTYPE_F64, WF_DTYPE_I8};
    wf_scope *s = wf_scope_open(c);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        wf_tensor *x = wf_swap(c, wf_reshape2(c, ramp(c, kinds[i], 12), 3, 4), 0, 1);
        assert_int_equal(wf_npy_save(c, in(b, "x.npy"), x), WF_OK);
        expect_same(c, x, wf_npy_load(c, b->path));
        x = ramp(c, kinds[i], 3);
        assert_int_equal(wf_npy_save(c, b->path, x), WF_OK);
        expect_same(c, x, wf_npy_load(c, b->path));
    }
    assert_int_equal(wf_npy_save(c, b->path, wf_scalar(c, 3)), WF_OK);
    expect_same(c, wf_scalar(c, 3), wf_npy_load(c, b->path));
    assert_int_equal(wf_npy_save(c, b->path, ramp(c, WF_DTYPE_BF16, 3)), WF_EDTYPE);
    expect_error(c, WF_EDTYPE, "NumPy has no bf16");
    wf_scope_close(c, s, NULL);
}

static void npy_refuses(void **state)
{
    bench *b = *state;
#define HEAD "\x93NUMPY\1\0"
    static const struct { const char *header, *word; wf_status st;
    } bad[] = {
        {"{'descr': '>f4', 'fortran_order': False, 'shape': (2,), }", "kind '>f4'",
         WF_EUNSUPPORTED},
        {"{'descr': '<f4', 'fortran_order': True, 'shape': (2,), }", "Fortran", WF_EUNSUPPORTED},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-2,), }", "shape", WF_EFORMAT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2 2), }", "shape", WF_EFORMAT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2", "shape", WF_EFORMAT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }", "is 12 bytes", WF_EFORMAT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296,4294967296), }",
         "overflows", WF_EFORMAT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }", "shape",
         WF_EFORMAT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,2), }", "shape",
         WF_EFORMAT},
        {"{'descr': '<f4', 'shape': (2,), }", "no 'fortran_order'", WF_EFORMAT},
        {"", "no 'descr'", WF_EFORMAT},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        wf_bytes f = {.c = b->c};
        wf_bytes_put(&f, HEAD, 8);
        wf_bytes_put_u8(&f, (uint8_t)strlen(bad[i].header));
        wf_bytes_put_u8(&f, 0);
        wf_bytes_put_text(&f, bad[i].header);
        wf_bytes_put(&f, "12345678", 8);
        put_file(in(b, "x.npy"), f.data, f.n);
        wf_bytes_free(&f);
        assert_null(wf_npy_load(b->c, b->path));
        expect_error(b->c, bad[i].st, bad[i].word);
    }
    put_file(b->path, HEAD "\x40\0{", 11);
    assert_null(wf_npy_load(b->c, b->path));
    expect_error(b->c, WF_EFORMAT, "the header wants 64 bytes, 1 are left");
    put_file(b->path, "GIF89a......", 12);
    assert_null(wf_npy_load(b->c, b->path));
    expect_error(b->c, WF_EFORMAT, "is a GIF picture");
}

/* Files that the reference library wrote. */
static void reads_reference_files(void **state)
{
    bench *b = *state;
    wf_tensors *f = wf_tensors_open(b->c, "tests/model/vectors/clip_text/model.safetensors");
    expect_ok(b->c);
    assert_true(wf_tensors_get_count(f) > 10);
    wf_scope *s = wf_scope_open(b->c);
    for (int64_t i = 0; i < wf_tensors_get_count(f); i++) {
        wf_tensor *t = wf_cast(b->c, wf_tensors_get(b->c, f, i), WF_DTYPE_F32);
        assert_non_null(t);
        const double sum = wf_item(b->c, wf_sum(b->c, t, 0, NULL, false));
        assert_true(isfinite(sum));
    }
    wf_scope_close(b->c, s, NULL);
    wf_tensors_close(f);
    expect_ok(b->c);
}

#define T(f) cmocka_unit_test_setup_teardown(f, bench_open, bench_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(every_dtype_comes_back), T(views_empty_tensors_and_scalars),
        T(equal_tensors_give_equal_bytes), T(unaligned_data_is_copied), T(refuses_to_save),
        T(refuses_what_is_no_header), T(refuses_a_header_above_the_limit), T(refuses_bad_entries),
        T(accepts_what_the_format_allows), T(refuses_many_tensors_on_one_range), T(survives_damage),
        T(out_of_memory_is_an_error), T(a_failing_write_leaves_nothing), T(opens_shards),
        T(refuses_bad_shards), T(npy_comes_back), T(npy_refuses), T(reads_reference_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
