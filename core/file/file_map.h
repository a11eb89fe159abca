/* file_map.h - a file mapped read-only, and cursors that cannot leave it.
 *
 * Everything read from a file goes through here: sizes come from fstat, never from the content,
 * and a cursor's reads fail the context with the file's name, the offset and what was expected.
 */
#ifndef WF_CORE_FILE_MAP_H
#define WF_CORE_FILE_MAP_H

#include <stdint.h>

#include "core/base/ctx.h"

typedef struct wf_file_map wf_file_map;

/* Map a regular file. Owned (wf_file_map_release); NULL once c has failed.
 * Errors  WF_EIO   cannot be opened, or is a folder, pipe, socket or device */
wf_file_map *wf_file_map_open(wf_ctx *c, const char *path);
/* The same for one file inside a folder. name must be one path component; a symbolic link is
 * followed only when it has the form of the hub's cache, ../../blobs/NAME. */
wf_file_map *wf_file_map_open_in(wf_ctx *c, const char *folder, const char *name);
wf_file_map *wf_file_map_retain(wf_file_map *m);
void wf_file_map_release(wf_file_map *m);       /* NULL is fine */
void wf_file_map_drop(void *m);                 /* the same, as wf_from_foreign wants it */

/* At least 64 bytes behind the last one are readable. */
const uint8_t *wf_file_map_get_data(const wf_file_map *m);
size_t wf_file_map_get_bytes(const wf_file_map *m);
const char *wf_file_map_get_path(const wf_file_map *m);      /* as the caller gave it */
/* Fails with WF_EIO when the file has changed on disk since it was mapped. */
wf_status wf_file_map_check(wf_ctx *c, const wf_file_map *m) WF_MUST_USE;

bool wf_file_exists(const char *path);

/* What a file of another kind looks like from its first bytes ("a web page", "a PNG picture",
 * "empty", ...); NULL when unknown. For messages. */
const char *wf_file_guess(const uint8_t *data, size_t bytes);

/* ---- cursors ---- */

/* A reading position in bytes[0..n). base is added to offsets in messages. */
typedef struct wf_cursor {
    wf_ctx *c;
    const char *name;                   /* of the file, for messages; borrowed */
    const uint8_t *data;
    size_t n, at, base;
} wf_cursor;

wf_cursor wf_cursor_over(wf_ctx *c, const wf_file_map *m);
size_t wf_cursor_left(const wf_cursor *k);
/* The next n bytes, or NULL and WF_EFORMAT when fewer are left; what names them in the message. */
const uint8_t *wf_cursor_read(wf_cursor *k, size_t n, const char *what);
/* A cursor over the next n bytes, which are skipped here. Empty once c has failed. */
wf_cursor wf_cursor_part(wf_cursor *k, size_t n, const char *what);
/* 0 once c has failed. */
uint8_t wf_cursor_u8(wf_cursor *k, const char *what);
uint16_t wf_cursor_u16le(wf_cursor *k, const char *what);
uint16_t wf_cursor_u16be(wf_cursor *k, const char *what);
uint32_t wf_cursor_u32le(wf_cursor *k, const char *what);
uint32_t wf_cursor_u32be(wf_cursor *k, const char *what);
uint64_t wf_cursor_u64le(wf_cursor *k, const char *what);

/* ---- checked sizes: false on overflow ---- */
bool wf_size_mul(size_t a, size_t b, size_t *out);

#endif
