/* file_map.c - mapped files, cursors, and files that appear whole or not at all. */
#include "core/file/file_map.h"

#include <sys/wait.h>

#include "core/file/bytes.h"
#include "core/file/file_write.h"
#include "tests/unit/files.h"

static void maps_a_file(void **state)
{
    bench *b = *state;
    put_file(in(b, "f"), "hello", 5);
    wf_file_map *m = wf_file_map_open(b->c, b->path);
    assert_non_null(m);
    assert_int_equal(wf_file_map_get_bytes(m), 5);
    assert_memory_equal(wf_file_map_get_data(m), "hello", 5);
    uint32_t sum = 0;                                 /* 64 readable bytes behind */
    for (int i = 0; i < 64; i++) sum += wf_file_map_get_data(m)[5 + i];
    assert_int_equal(sum, 0);
    assert_int_equal(wf_file_map_check(b->c, m), WF_OK);
    put_file(b->path, "hello again", 11);
    assert_int_equal(wf_file_map_check(b->c, m), WF_EIO);
    expect_error(b->c, WF_EIO, "changed");
    wf_file_map_release(m);
}

static void maps_an_empty_file_and_whole_pages(void **state)
{
    bench *b = *state;
    static uint8_t page[8192];
    put_file(in(b, "empty"), "", 0);
    wf_file_map *m = wf_file_map_open(b->c, b->path);
    assert_int_equal(wf_file_map_get_bytes(m), 0);
    wf_file_map_release(m);
    put_file(in(b, "page"), page, sizeof page);
    m = wf_file_map_open(b->c, b->path);
    assert_int_equal(wf_file_map_get_data(m)[sizeof page + 63], 0);
    wf_file_map_release(m);
    expect_ok(b->c);
}

static void refuses_what_is_no_file(void **state)
{
    bench *b = *state;
    assert_null(wf_file_map_open(b->c, in(b, "missing")));
    expect_error(b->c, WF_EIO, "missing: cannot be opened");
    assert_null(wf_file_map_open(b->c, b->folder));
    expect_error(b->c, WF_EIO, "is a folder");
    assert_int_equal(mkfifo(in(b, "pipe"), 0600), 0);
    assert_null(wf_file_map_open(b->c, b->path));
    expect_error(b->c, WF_EIO, "is a pipe");
    assert_null(wf_file_map_open(b->c, "/dev/null"));
    expect_error(b->c, WF_EIO, "is a device");
}

static void stays_in_the_folder(void **state)
{
    bench *b = *state;
    static const char *const bad[] = {"../x", "/etc/passwd", "a/b", "..", ".", ""};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_null(wf_file_map_open_in(b->c, b->folder, bad[i]));
        expect_error(b->c, WF_EFORMAT, "must be a file of that folder");
    }
    assert_int_equal(symlink("/etc/passwd", in(b, "link")), 0);
    assert_null(wf_file_map_open_in(b->c, b->folder, "link"));
    expect_error(b->c, WF_EIO, "link");
    put_file(in(b, "good"), "x", 1);
    wf_file_map *m = wf_file_map_open_in(b->c, b->folder, "good");
    assert_non_null(m);
    wf_file_map_release(m);
}

/* The layout of the hub's cache: snapshots/REVISION/NAME -> ../../blobs/HASH. */
static void follows_the_links_of_a_hub_cache(void **state)
{
    bench *b = *state;
    char snapshot[128];
    mkdir(in(b, "blobs"), 0700);
    mkdir(in(b, "snapshots"), 0700);
    snprintf(snapshot, sizeof snapshot, "%s", in(b, "snapshots/r"));
    mkdir(snapshot, 0700);
    put_file(in(b, "blobs/abc"), "x", 1);
    assert_int_equal(symlink("../../blobs/abc", in(b, "snapshots/r/w")), 0);
    assert_int_equal(symlink("../../blobs/../x", in(b, "snapshots/r/v")), 0);
    wf_file_map *m = wf_file_map_open_in(b->c, snapshot, "w");
    assert_non_null(m);
    wf_file_map_release(m);
    assert_null(wf_file_map_open_in(b->c, snapshot, "v"));
    expect_error(b->c, WF_EIO, "v");
}

static void a_cursor_cannot_leave(void **state)
{
    bench *b = *state;
    const uint8_t data[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
    wf_cursor k = {.c = b->c, .name = "f", .data = data, .n = sizeof data};
    assert_int_equal(wf_cursor_u16le(&k, "a"), 0x0201);
    assert_int_equal(wf_cursor_u16be(&k, "b"), 0x0304);
    wf_cursor part = wf_cursor_part(&k, 4, "c");
    assert_int_equal(wf_cursor_u32be(&part, "d"), 0x05060708);
    assert_int_equal(wf_cursor_u8(&part, "e"), 0);
    expect_error(b->c, WF_EFORMAT, "f: offset 8: e wants 1 bytes, 0 are left");
    assert_int_equal(wf_cursor_u64le(&k, "g"), 0);
    expect_error(b->c, WF_EFORMAT, "f: offset 8: g wants 8 bytes, 3 are left");
    assert_null(wf_cursor_read(&k, SIZE_MAX, "h"));
    expect_error(b->c, WF_EFORMAT, "h wants");
    assert_int_equal(wf_cursor_left(&k), 3);
}

static void sizes_do_not_wrap(void **state)
{
    (void)state;
    size_t n;
    assert_true(wf_size_mul(3, 5, &n) && n == 15);
    assert_true(wf_size_mul(0, SIZE_MAX, &n) && n == 0);
    assert_false(wf_size_mul((size_t)1 << 32, (size_t)1 << 32, &n));
}

static void quotes_hostile_text(void **state)
{
    (void)state;
    char q[WF_QUOTE_MAX], longer[400];
    assert_string_equal(wf_quote(q, sizeof q, "a\x1b[31m\xff\xc3\xa9\0z", 11),
                        "a\\x1b[31m\\xff\xc3\xa9\\x00z");
    memset(longer, 'x', sizeof longer);
    assert_int_equal(strlen(wf_quote(q, sizeof q, longer, sizeof longer)), 200);
    memset(longer, 1, sizeof longer);
    assert_true(strlen(wf_quote(q, sizeof q, longer, sizeof longer)) <= 200);
    assert_string_equal(wf_quote(q, 8, "abcdefghij", 10), "abcd...");
    assert_false(wf_is_utf8("\xc0\x80", 2));
    assert_false(wf_is_utf8("\xed\xa0\x80", 3));
    assert_false(wf_is_utf8("\xf4\x90\x80\x80", 4));
    assert_false(wf_is_utf8("\xe2\x82", 2));
    assert_true(wf_is_utf8("\xf0\x9f\x8c\x8a", 4));
}

/* ---- writing ---- */

static void expect_content(const char *path, const char *text)
{
    size_t n;
    uint8_t *got = get_file(path, &n);
    assert_int_equal(n, strlen(text));
    assert_memory_equal(got, text, n);
    free(got);
}

static void a_file_appears_at_the_commit(void **state)
{
    bench *b = *state;
    wf_file_write *w = wf_file_write_open(b->c, in(b, "out"), false);
    assert_non_null(w);
    wf_file_write_put(b->c, w, "abcdef", 6);
    wf_file_write_seek(w, 2);
    wf_file_write_put(b->c, w, "XY", 2);
    assert_false(wf_file_exists(b->path));
    assert_int_equal(wf_file_write_get_bytes(w), 6);
    char back[8] = {0};
    wf_file_write_seek(w, 0);
    assert_int_equal(wf_file_write_read(b->c, w, back, 8), 6);
    assert_string_equal(back, "abXYef");
    assert_int_equal(wf_file_write_commit(b->c, w), WF_OK);
    expect_content(b->path, "abXYef");
    assert_int_equal(count_files(b->folder), 1);
}

static void nothing_is_left_without_a_commit(void **state)
{
    bench *b = *state;
    wf_file_write *w = wf_file_write_open(b->c, in(b, "out"), false);
    wf_file_write_put(b->c, w, "abc", 3);
    assert_int_equal(count_files(b->folder), 1);
    wf_file_write_close(w);
    assert_int_equal(count_files(b->folder), 0);
    w = wf_file_write_open(b->c, b->path, false);
    wf_fail(b->c, WF_ENAN, "meanwhile");
    assert_int_equal(wf_file_write_commit(b->c, w), WF_ENAN);
    expect_error(b->c, WF_ENAN, "meanwhile");
    assert_int_equal(count_files(b->folder), 0);
}

static void an_existing_file_is_kept(void **state)
{
    bench *b = *state;
    put_file(in(b, "out"), "old", 3);
    assert_null(wf_file_write_open(b->c, b->path, false));
    expect_error(b->c, WF_EIO, "exists already");
    wf_file_write *w = wf_file_write_open(b->c, in(b, "new"), false);
    put_file(b->path, "other", 5);                    /* appears meanwhile */
    assert_int_equal(wf_file_write_commit(b->c, w), WF_EIO);
    expect_error(b->c, WF_EIO, "exists already");
    expect_content(b->path, "other");
    assert_int_equal(wf_file_save(b->c, b->path, "mine", 4, true), WF_OK);
    expect_content(b->path, "mine");
    assert_int_equal(count_files(b->folder), 2);
}

static void a_link_is_replaced_not_followed(void **state)
{
    bench *b = *state;
    char target[128];
    snprintf(target, sizeof target, "%s", in(b, "target"));
    put_file(target, "old", 3);
    assert_int_equal(symlink("target", in(b, "out")), 0);
    assert_int_equal(wf_file_save(b->c, b->path, "new", 3, true), WF_OK);
    expect_content(target, "old");
    expect_content(in(b, "out"), "new");
}

static void bad_places_are_found_first(void **state)
{
    bench *b = *state;
    assert_int_equal(wf_file_write_probe(b->c, in(b, "out")), WF_OK);
    assert_int_equal(count_files(b->folder), 0);
    assert_int_equal(wf_file_write_probe(b->c, in(b, "no/out")), WF_EIO);
    expect_error(b->c, WF_EIO, "opening its folder failed");
    assert_int_equal(wf_file_write_probe(b->c, "/proc/out"), WF_EIO);
    expect_error(b->c, WF_EIO, "making a temporary file");
    static const char *const bad[] = {"", ".", "..", "/", "a/.."};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_null(wf_file_write_open(b->c, bad[i], true));
        expect_error(b->c, WF_EIO, "not the name of a file");
    }
    char name[400];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_null(wf_file_write_open(b->c, name, true));
    expect_error(b->c, WF_EIO, "longer than");
}

/* Every step of a save fails once; an older file survives each. */
static void every_step_may_fail(void **state)
{
    bench *b = *state;
    int n_failed = 0;
    put_file(in(b, "out"), "old", 3);
    for (uint64_t k = 1;; k++) {
        wf_ctx_fail_io(b->c, k);
        const wf_status st = wf_file_save(b->c, b->path, "new", 3, true);
        wf_ctx_fail_io(b->c, 0);
        assert_int_equal(count_files(b->folder), 1);
        if (st == WF_OK) break;
        expect_error(b->c, WF_EIO, "out: ");
        expect_content(b->path, "old");
        n_failed++;
    }
    assert_int_equal(n_failed, 5);                    /* folder, temporary, write, sync, rename */
    expect_content(b->path, "new");
}

/* Processes that write one name: exactly one wins each, and nothing is torn. */
static void processes_share_a_name(void **state)
{
    bench *b = *state;
    enum { N = 6, BYTES = 100000 };
    char *data = malloc(BYTES);
    in(b, "out");
    for (int i = 0; i < N; i++) {
        if (fork() != 0) continue;
        memset(data, 'a' + i, BYTES);
        _exit(wf_file_save(b->c, b->path, data, BYTES, false) == WF_OK ? 1 : 0);
    }
    int won = 0, rc;
    for (int i = 0; i < N; i++) {
        assert_true(wait(&rc) > 0 && WIFEXITED(rc));
        won += WEXITSTATUS(rc);
    }
    assert_int_equal(won, 1);
    assert_int_equal(count_files(b->folder), 1);
    size_t n;
    uint8_t *got = get_file(b->path, &n);
    assert_int_equal(n, BYTES);
    for (size_t i = 0; i < n; i++) assert_int_equal(got[i], got[0]);
    free(got);
    free(data);
}

static void remains_of_the_dead_are_removed(void **state)
{
    bench *b = *state;
    const pid_t pid = fork();
    if (pid == 0) {
        wf_file_write *w = wf_file_write_open(b->c, in(b, "out"), false);
        wf_file_write_put(b->c, w, "half", 4);
        _exit(0);                                     /* as if killed: no clean-up runs */
    }
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(count_files(b->folder), 1);
    wf_file_write *alive = wf_file_write_open(b->c, in(b, "mine"), false);
    put_file(in(b, ".notes.part"), "x", 1);
    put_file(in(b, ".notes.x-1.part"), "x", 1);
    assert_int_equal(wf_file_write_sweep(b->folder), 1);
    assert_int_equal(count_files(b->folder), 3);
    wf_file_write_close(alive);
    assert_int_equal(wf_file_write_sweep("/nowhere"), 0);
}

static void bytes_grow_and_run_out(void **state)
{
    bench *b = *state;
    wf_bytes s = {.c = b->c};
    for (int i = 0; i < 1000; i++) wf_bytes_put_u8(&s, (uint8_t)i);
    wf_bytes_put_u32be(&s, 0x01020304);
    assert_int_equal(s.n, 1004);
    assert_int_equal(s.data[999], 999 % 256);
    assert_memory_equal(s.data + 1000, "\1\2\3\4", 4);
    wf_mem_fail_nth(wf_ctx_get_mem(b->c), 1);
    for (int i = 0; i < 1000; i++) wf_bytes_put_u8(&s, 0);
    wf_mem_fail_nth(wf_ctx_get_mem(b->c), 0);
    expect_error(b->c, WF_ENOMEM, "no memory");
    wf_bytes_free(&s);
    wf_bytes_put_json(&s, "a\"\\\n\x7f\xc3\xa9");
    wf_bytes_put_u8(&s, 0);
    assert_string_equal((char *)s.data, "\"a\\\"\\\\\\u000a\\u007f\xc3\xa9\"");
    wf_bytes_put_json(&s, "\xff");
    expect_error(b->c, WF_EARG, "not UTF-8");
    wf_bytes_free(&s);
}

#define T(f) cmocka_unit_test_setup_teardown(f, bench_open, bench_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(maps_a_file), T(maps_an_empty_file_and_whole_pages), T(refuses_what_is_no_file),
        T(stays_in_the_folder), T(follows_the_links_of_a_hub_cache), T(a_cursor_cannot_leave),
        T(sizes_do_not_wrap), T(quotes_hostile_text), T(a_file_appears_at_the_commit),
        T(nothing_is_left_without_a_commit), T(an_existing_file_is_kept),
        T(a_link_is_replaced_not_followed), T(bad_places_are_found_first), T(every_step_may_fail),
        T(processes_share_a_name), T(remains_of_the_dead_are_removed), T(bytes_grow_and_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
