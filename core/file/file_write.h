/* file_write.h - files that appear whole or not at all.
 *
 * Everything goes to a temporary file in the same folder, which is synced and then renamed. Until
 * the commit nothing stands under the final name; closing without one, or any failure, removes the
 * temporary file. Names of temporary files hold the process and a lock, so processes may share a
 * folder and the remains of a killed one are recognised.
 */
#ifndef WF_CORE_FILE_WRITE_H
#define WF_CORE_FILE_WRITE_H

#include <stdint.h>

#include "core/base/ctx.h"

typedef struct wf_file_write wf_file_write;

/* Begin to write path. Without overwrite an existing file fails here, or at the commit when it has
 * appeared since. Owned; NULL once c has failed. Errors WF_EIO */
wf_file_write *wf_file_write_open(wf_ctx *c, const char *path, bool overwrite);

/* Write at the position, which moves on. w may be NULL once c has failed. */
wf_status wf_file_write_put(wf_ctx *c, wf_file_write *w, const void *data, size_t bytes);
void wf_file_write_seek(wf_file_write *w, uint64_t at);
uint64_t wf_file_write_tell(const wf_file_write *w);
uint64_t wf_file_write_get_bytes(const wf_file_write *w);       /* written so far */
/* Read back what was written, at the position; returns the bytes read, fewer at the end. */
size_t wf_file_write_read(wf_ctx *c, wf_file_write *w, void *out, size_t bytes);

/* Sync and give the file its name, then free w. Fails (and removes the file) once c has failed. */
wf_status wf_file_write_commit(wf_ctx *c, wf_file_write *w) WF_MUST_USE;
/* Free w and remove the temporary file. NULL is fine. */
void wf_file_write_close(wf_file_write *w);

/* A whole file in one call. */
wf_status wf_file_save(wf_ctx *c, const char *path, const void *data, size_t bytes,
                       bool overwrite) WF_MUST_USE;

/* Fails with WF_EIO when no file could be written into path's folder: found before the work. */
wf_status wf_file_write_probe(wf_ctx *c, const char *path) WF_MUST_USE;

/* Remove temporary files in folder whose writer is dead; returns how many. */
int wf_file_write_sweep(const char *folder);

#endif
