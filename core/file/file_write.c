/* file_write.c - write to a temporary file, sync, rename, sync the folder.
 *
 * The folder is held open, and every name is looked up in it: a folder that is moved or a link that
 * is planted meanwhile changes nothing. A failed sync is never repeated, since the kernel may have
 * dropped the pages: the file is removed and the failure reported.
 */
#include "core/file/file_write.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "core/file/bytes.h"

enum { NAME_BYTES = 256, MAX_TEMPS = 1000 };

struct wf_file_write {
    wf_mem *mem;
    int dir, fd;                        /* fd: the temporary file, locked while it lives */
    bool overwrite;
    uint64_t at, bytes;
    char name[NAME_BYTES], temp[NAME_BYTES];
    char path[];                        /* as the caller gave it, for messages */
};

/* The failure of one step on path, from errno. */
static wf_status fail_io(wf_ctx *c, const char *path, const char *step)
{
    const int why = errno;
    char q[WF_QUOTE_MAX];
    wf_quote(q, sizeof q, path, strlen(path));
    return wf_fail_status(c, WF_EIO, "%s: %s failed: %s", q, step, strerror(why));
}

/* Every step asks first, so that a test can make any of them fail. */
static bool step_fails(wf_ctx *c)
{
    if (!wf_ctx_find_io_failure(c)) return false;
    errno = EIO;
    return true;
}

/* ---- opening ---- */

static const char *base_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* The folder of path, opened. */
static int open_folder(const char *path)
{
    char folder[4096];
    const size_t n = (size_t)(base_of(path) - path);
    if (n >= sizeof folder) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(folder, path, n);
    folder[n] = '\0';
    return open(n ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Make the temporary file: .NAME.PID-K.part with the first free K. */
static int open_temp(wf_file_write *w)
{
    for (int k = 0; k < MAX_TEMPS; k++) {
        snprintf(w->temp, sizeof w->temp, ".%.200s.%ld-%d.part", w->name, (long)getpid(), k);
        const int fd = openat(w->dir, w->temp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                              0666);
        if (fd >= 0 || errno != EEXIST) return fd;
    }
    return -1;
}

static bool is_there(const wf_file_write *w)
{
    struct stat st;
    return fstatat(w->dir, w->name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static wf_status begin(wf_ctx *c, wf_file_write *w)
{
    w->dir = step_fails(c) ? -1 : open_folder(w->path);
    if (w->dir < 0) return fail_io(c, w->path, "opening its folder");
    if (!w->overwrite && is_there(w))
        return wf_fail_status(c, WF_EIO, "%s: exists already, and may not be replaced", w->path);
    w->fd = step_fails(c) ? -1 : open_temp(w);
    if (w->fd < 0) return fail_io(c, w->path, "making a temporary file beside it");
    (void)flock(w->fd, LOCK_EX | LOCK_NB);
    return WF_OK;
}

/* Does path stay below the current folder, as far as its words say? */
static bool stays_below(const char *path)
{
    if (path[0] == '/') return false;
    for (const char *p = path; p; p = strchr(p, '/')) {
        p += *p == '/' ? 1 : 0;
        if (strncmp(p, "..", 2) == 0 && (p[2] == '/' || !p[2])) return false;
    }
    return true;
}

wf_file_write *wf_file_write_open(wf_ctx *c, const char *path, bool overwrite)
{
    if (wf_has_failed(c)) return NULL;
    const char *name = base_of(path);
    if (!name[0] || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return wf_fail(c, WF_EIO, "\"%s\" is not the name of a file", path);
    if (wf_ctx_is_fenced(c) && !stays_below(path))
        return wf_fail(c, WF_EIO, "%.400s: only files below the output folder may be written here",
                       path);
    if (strlen(name) >= NAME_BYTES)
        return wf_fail(c, WF_EIO, "%.200s...: the name is longer than %d bytes", name,
                       NAME_BYTES - 1);
    wf_file_write *w = wf_mem_calloc(wf_ctx_get_mem(c), sizeof *w + strlen(path) + 1);
    if (!w) return wf_fail(c, WF_ENOMEM, "%s: no memory to write it", path);
    *w = (wf_file_write){.mem = wf_ctx_get_mem(c), .dir = -1, .fd = -1, .overwrite = overwrite};
    snprintf(w->name, sizeof w->name, "%s", name);
    memcpy(w->path, path, strlen(path) + 1);
    if (begin(c, w) == WF_OK) return w;
    wf_file_write_close(w);
    return NULL;
}

/* ---- writing ---- */

static wf_status fail_write(wf_ctx *c, const wf_file_write *w, size_t bytes)
{
    struct statvfs fs;
    if ((errno == ENOSPC || errno == EDQUOT) && fstatvfs(w->dir, &fs) == 0)
        return wf_fail_status(c, WF_EIO, "%s: no space: %zu bytes more wanted, %llu free", w->path,
                              bytes, (unsigned long long)fs.f_bavail * fs.f_frsize);
    return fail_io(c, w->path, "writing");
}

wf_status wf_file_write_put(wf_ctx *c, wf_file_write *w, const void *data, size_t bytes)
{
    const char *p = data;
    if (wf_has_failed(c)) return wf_get_status(c);
    while (bytes) {
        const ssize_t n = step_fails(c) ? -1 : pwrite(w->fd, p, bytes, (off_t)w->at);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return fail_write(c, w, bytes);
        p += n;
        bytes -= (size_t)n;
        w->at += (uint64_t)n;
        if (w->at > w->bytes) w->bytes = w->at;
    }
    return WF_OK;
}

void wf_file_write_seek(wf_file_write *w, uint64_t at) { w->at = at; }
uint64_t wf_file_write_tell(const wf_file_write *w) { return w->at; }
uint64_t wf_file_write_get_bytes(const wf_file_write *w) { return w->bytes; }

size_t wf_file_write_read(wf_ctx *c, wf_file_write *w, void *out, size_t bytes)
{
    size_t got = 0;
    while (!wf_has_failed(c) && got < bytes) {
        const ssize_t n = pread(w->fd, (char *)out + got, bytes - got, (off_t)w->at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) (void)fail_io(c, w->path, "reading back");
        if (n <= 0) break;
        got += (size_t)n;
        w->at += (uint64_t)n;
    }
    return got;
}

/* ---- finishing ---- */

/* Give the temporary file its name, failing with EEXIST when that is taken and may not be replaced.
 */
static int rename_temp(const wf_file_write *w)
{
    if (w->overwrite) return renameat(w->dir, w->temp, w->dir, w->name);
    if (renameat2(w->dir, w->temp, w->dir, w->name, RENAME_NOREPLACE) == 0) return 0;
    if (errno != EINVAL && errno != ENOSYS) return -1;
    if (linkat(w->dir, w->temp, w->dir, w->name, 0) != 0) return -1;
    return unlinkat(w->dir, w->temp, 0);
}

static wf_status finish(wf_ctx *c, wf_file_write *w)
{
    if (wf_has_failed(c)) return wf_get_status(c);
    if (step_fails(c) || fsync(w->fd) != 0) return fail_io(c, w->path, "syncing");
    if (step_fails(c) || rename_temp(w) != 0) {
        if (errno != EEXIST) return fail_io(c, w->path, "renaming");
        return wf_fail_status(c, WF_EIO, "%s: exists already, and may not be replaced", w->path);
    }
    w->temp[0] = '\0';
    (void)fsync(w->dir); /* the file is whole; some file systems cannot sync folders */
    return WF_OK;
}

wf_status wf_file_write_commit(wf_ctx *c, wf_file_write *w)
{
    if (!w) return wf_get_status(c);
    const wf_status st = finish(c, w);
    wf_file_write_close(w);
    return st;
}

void wf_file_write_close(wf_file_write *w)
{
    if (!w) return;
    if (w->fd >= 0 && w->temp[0]) (void)unlinkat(w->dir, w->temp, 0);
    if (w->fd >= 0) close(w->fd);
    if (w->dir >= 0) close(w->dir);
    wf_mem_free(w->mem, w);
}

wf_status wf_file_save(wf_ctx *c, const char *path, const void *data, size_t bytes, bool overwrite)
{
    wf_file_write *w = wf_file_write_open(c, path, overwrite);
    (void)wf_file_write_put(c, w, data, bytes);
    return wf_file_write_commit(c, w);
}

wf_status wf_file_write_probe(wf_ctx *c, const char *path)
{
    wf_file_write_close(wf_file_write_open(c, path, true));
    return wf_get_status(c);
}

/* ---- remains of killed writers ---- */

/* Whether name is .NAME.PID-K.part with a process that is gone. */
static bool is_remains(const char *name)
{
    const char *dot = strstr(name, ".part");
    long pid;
    int k, end = 0;
    if (name[0] != '.' || !dot || dot[5]) return false;
    while (dot > name + 1 && dot[-1] != '.') dot--;
    return sscanf(dot, "%ld-%d.part%n", &pid, &k, &end) == 2 && dot[end] == '\0' && pid > 0 &&
           kill((pid_t)pid, 0) != 0 && errno == ESRCH;
}

int wf_file_write_sweep(const char *folder)
{
    int n = 0;
    DIR *d = opendir(folder);
    for (struct dirent *e; d && (e = readdir(d));) {
        if (!is_remains(e->d_name)) continue;
        const int fd = openat(dirfd(d), e->d_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0) continue;
        if (flock(fd, LOCK_EX | LOCK_NB) == 0 && unlinkat(dirfd(d), e->d_name, 0) == 0) n++;
        close(fd);
    }
    if (d) closedir(d);
    return n;
}
