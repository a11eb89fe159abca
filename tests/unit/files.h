/* files.h - what the tests of files share: a folder of their own, and errors as they should be. */
#ifndef WF_TESTS_FILES_H
#define WF_TESTS_FILES_H

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/ctx.h"

/* What a test works with. */
typedef struct bench {
    wf_ctx *c;
    char folder[64];
    char path[128];
} bench;

static inline int bench_open(void **state)
{
    bench *b = calloc(1, sizeof *b);
    strcpy(b->folder, "/tmp/weft-test-XXXXXX");
    if (!mkdtemp(b->folder)) return -1;
    b->c = wf_ctx_new(1);
    *state = b;
    return b->c ? 0 : -1;
}

/* Entries of the folder, hidden ones included. */
static inline int count_files(const char *folder)
{
    int n = 0;
    DIR *d = opendir(folder);
    for (struct dirent *e; d && (e = readdir(d));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) n++;
    if (d) closedir(d);
    return n;
}

static inline int bench_close(void **state)
{
    bench *b = *state;
    char command[160];
    snprintf(command, sizeof command, "rm -rf '%s'", b->folder);
    const int rc = system(command);
    wf_mem *m = wf_ctx_get_mem(b->c);
    const size_t mapped = wf_mem_get_stats(m).mapped_bytes;
    wf_ctx_free(b->c);
    free(b);
    return rc == 0 && mapped == 0 ? 0 : -1;
}

/* The path of name in the folder. Valid until the next call. */
static inline const char *in(bench *b, const char *name)
{
    snprintf(b->path, sizeof b->path, "%s/%s", b->folder, name);
    return b->path;
}

static inline void put_file(const char *path, const void *data, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    if (n) assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

/* The whole file, for free(). */
static inline uint8_t *get_file(const char *path, size_t *n)
{
    struct stat st;
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fstat(fileno(f), &st), 0);
    *n = (size_t)st.st_size;
    uint8_t *data = malloc(*n + 1);
    assert_int_equal(fread(data, 1, *n, f), *n);
    fclose(f);
    return data;
}

/* The pending failure must be st, and its sentence hold word. */
static inline void expect_error(wf_ctx *c, wf_status st, const char *word)
{
    char msg[WF_ERR_MAX];
    const wf_status got = wf_take_error(c, msg, sizeof msg);
    if (got != st || !strstr(msg, word)) print_error("got %s: \"%s\", want \"%s\"\n",
                                                     wf_status_text(got), msg, word);
    assert_int_equal(got, st);
    assert_non_null(strstr(msg, word));
}

static inline void expect_ok(wf_ctx *c)
{
    char msg[WF_ERR_MAX];
    const wf_status got = wf_take_error(c, msg, sizeof msg);
    if (got != WF_OK) print_error("%s\n", msg);
    assert_int_equal(got, WF_OK);
}

/* After a hostile file: no failure, or one that says what is wrong with the file. */
static inline void expect_ok_or_refused(wf_ctx *c)
{
    char msg[WF_ERR_MAX];
    const wf_status got = wf_take_error(c, msg, sizeof msg);
    if (got == WF_OK || got == WF_EFORMAT || got == WF_EIO || got == WF_EUNSUPPORTED) return;
    print_error("%s: %s\n", wf_status_text(got), msg);
    fail();
}

/* A fixed sequence of numbers for planted faults. */
static inline uint32_t next_random(uint32_t *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 17;
    *s ^= *s << 5;
    return *s;
}

#endif
