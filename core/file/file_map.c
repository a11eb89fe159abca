/* file_map.c - mapped files and bounds-checked cursors. */
#include "core/file/file_map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file/bytes.h"

struct wf_file_map {
    int refs;
    wf_mem *mem;
    uint8_t *data;
    size_t bytes, mapped_bytes;         /* mapped_bytes: whole pages, and one behind them */
    int fd;                             /* kept open for wf_file_map_check */
    dev_t dev;
    ino_t ino;
    struct timespec mtime;
    char path[];
};

bool wf_size_mul(size_t a, size_t b, size_t *out)
{
    *out = a * b;
    return a == 0 || b <= SIZE_MAX / a;
}

/* ---- opening ---- */

static const char *kind_text(mode_t mode)
{
    return S_ISDIR(mode) ? "a folder" : S_ISFIFO(mode) ? "a pipe" : S_ISSOCK(mode) ? "a socket"
                                                                                   : "a device";
}

/* Map fd's bytes with one readable page behind them: kernels may read a vector past the end. */
static bool map_bytes(wf_file_map *m)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    m->mapped_bytes = (m->bytes / page + 2) * page;
    void *p = mmap(NULL, m->mapped_bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return false;
    m->data = p;
    if (!m->bytes) return true;
    return mmap(p, m->bytes, PROT_READ, MAP_PRIVATE | MAP_FIXED, m->fd, 0) != MAP_FAILED;
}

/* Take over fd. */
static wf_file_map *adopt(wf_ctx *c, int fd, const char *path)
{
    char q[WF_QUOTE_MAX];
    struct stat st;
    wf_quote(q, sizeof q, path, strlen(path));
    if (fd < 0) return wf_fail(c, WF_EIO, "%s: cannot be opened: %s", q, strerror(errno));
    wf_file_map *m = NULL;
    if (fstat(fd, &st) != 0) {
        wf_fail(c, WF_EIO, "%s: cannot be read: %s", q, strerror(errno));
    } else if (!S_ISREG(st.st_mode)) {
        wf_fail(c, WF_EIO, "%s: is %s, not a file", q, kind_text(st.st_mode));
    } else {
        m = wf_mem_calloc(wf_ctx_get_mem(c), sizeof *m + strlen(path) + 1);
        if (!m) wf_fail(c, WF_ENOMEM, "%s: no memory to open it", q);
    }
    if (!m) {
        close(fd);
        return NULL;
    }
    *m = (wf_file_map){.refs = 1, .mem = wf_ctx_get_mem(c), .bytes = (size_t)st.st_size, .fd = fd,
                       .dev = st.st_dev, .ino = st.st_ino, .mtime = st.st_mtim};
    memcpy(m->path, path, strlen(path) + 1);
    wf_mem_count_mapped(m->mem, (int64_t)m->bytes);
    if (map_bytes(m)) return m;
    wf_fail(c, WF_EIO, "%s: cannot be mapped: %s", q, strerror(errno));
    wf_file_map_release(m);
    return NULL;
}

wf_file_map *wf_file_map_open(wf_ctx *c, const char *path)
{
    if (wf_has_failed(c)) return NULL;
    return adopt(c, open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), path);
}

static bool is_component(const char *name)
{
    return name[0] && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static bool is_hub_link(const char *text)
{
    static const char blobs[] = "../../blobs/";
    return strncmp(text, blobs, sizeof blobs - 1) == 0 && is_component(text + sizeof blobs - 1);
}

static int open_link(int dir, const char *name)
{
    char text[512];
    const ssize_t n = readlinkat(dir, name, text, sizeof text - 1);
    if (n < 0) return -1;
    text[n] = '\0';
    errno = EPERM;
    return is_hub_link(text) ? openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
}

wf_file_map *wf_file_map_open_in(wf_ctx *c, const char *folder, const char *name)
{
    char path[4096], q[WF_QUOTE_MAX];
    if (wf_has_failed(c)) return NULL;
    wf_quote(q, sizeof q, name, strlen(name));
    if (!is_component(name))
        return wf_fail(c, WF_EFORMAT, "%s: names the file \"%s\", must be a file of that folder",
                       folder, q);
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path)
        return wf_fail(c, WF_EIO, "%s: the path is too long", q);
    const int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0) return adopt(c, dir, path);
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    if (fd < 0 && errno == ELOOP) fd = open_link(dir, name);
    const int why = errno;
    close(dir);
    errno = why;
    return adopt(c, fd, path);
}

wf_file_map *wf_file_map_retain(wf_file_map *m)
{
    if (m) m->refs++;
    return m;
}

void wf_file_map_release(wf_file_map *m)
{
    if (!m || --m->refs > 0) return;
    if (m->data) munmap(m->data, m->mapped_bytes);
    close(m->fd);
    wf_mem_count_mapped(m->mem, -(int64_t)m->bytes);
    wf_mem_free(m->mem, m);
}

void wf_file_map_drop(void *m) { wf_file_map_release(m); }

const uint8_t *wf_file_map_get_data(const wf_file_map *m) { return m->data; }
size_t wf_file_map_get_bytes(const wf_file_map *m) { return m->bytes; }
const char *wf_file_map_get_path(const wf_file_map *m) { return m->path; }

wf_status wf_file_map_check(wf_ctx *c, const wf_file_map *m)
{
    struct stat st;
    if (wf_has_failed(c)) return wf_get_status(c);
    if (fstat(m->fd, &st) == 0 && (size_t)st.st_size == m->bytes &&
        st.st_mtim.tv_sec == m->mtime.tv_sec && st.st_mtim.tv_nsec == m->mtime.tv_nsec)
        return WF_OK;
    return wf_fail_status(c, WF_EIO, "%s: the file was changed while it was being read", m->path);
}

bool wf_file_exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

/* ---- what a file looks like ---- */

const char *wf_file_guess(const uint8_t *data, size_t bytes)
{
    static const struct { const char *magic; size_t n; const char *text; } known[] = {
        {"version https://git-lfs", 23, "a Git LFS pointer; the real file was not downloaded"},
        {"<!DOCTYPE", 9, "a web page"}, {"<!doctype", 9, "a web page"}, {"<html", 5, "a web page"},
        {"PK\3\4", 4, "a zip archive (a PyTorch file?)"}, {"\x80\x02", 2, "a pickle"},
        {"\x89PNG", 4, "a PNG picture"}, {"\xff\xd8\xff", 3, "a JPEG picture"},
        {"GIF8", 4, "a GIF picture"}, {"GGUF", 4, "a GGUF file"}, {"RIFF", 4, "a RIFF file"},
        {"fLaC", 4, "a FLAC sound"}, {"OggS", 4, "an Ogg sound"}, {"ID3", 3, "an MP3 sound"},
        {"\x93NUMPY", 6, "a NumPy array"}, {"\x1f\x8b", 2, "a gzip file"}, {"%PDF", 4, "a PDF"},
        {"\x1bLJ", 3, "compiled Lua"},
    };
    if (!bytes) return "empty";
    if (bytes > 12 && memcmp(data, "RIFF", 4) == 0 && memcmp(data + 8, "WEBP", 4) == 0)
        return "a WebP picture";
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (bytes >= known[i].n && memcmp(data, known[i].magic, known[i].n) == 0)
            return known[i].text;
    return NULL;
}

/* ---- cursors ---- */

wf_cursor wf_cursor_over(wf_ctx *c, const wf_file_map *m)
{
    return (wf_cursor){.c = c, .name = m->path, .data = m->data, .n = m->bytes};
}

size_t wf_cursor_left(const wf_cursor *k) { return k->n - k->at; }

const uint8_t *wf_cursor_read(wf_cursor *k, size_t n, const char *what)
{
    if (wf_has_failed(k->c)) return NULL;
    if (n > k->n - k->at)
        return wf_fail(k->c, WF_EFORMAT, "%s: offset %zu: %s wants %zu bytes, %zu are left",
                       k->name, k->base + k->at, what, n, k->n - k->at);
    const uint8_t *p = k->data + k->at;
    k->at += n;
    return p;
}

wf_cursor wf_cursor_part(wf_cursor *k, size_t n, const char *what)
{
    const size_t base = k->base + k->at;
    const uint8_t *p = wf_cursor_read(k, n, what);
    return (wf_cursor){.c = k->c, .name = k->name, .data = p, .n = p ? n : 0, .base = base};
}

/* n <= 8 bytes as a number; the first byte is the highest when big. */
static uint64_t read_number(wf_cursor *k, size_t n, bool big, const char *what)
{
    const uint8_t *p = wf_cursor_read(k, n, what);
    uint64_t v = 0;
    for (size_t i = 0; p && i < n; i++) v |= (uint64_t)p[i] << (8 * (big ? n - 1 - i : i));
    return v;
}

uint8_t wf_cursor_u8(wf_cursor *k, const char *what)
{
    return (uint8_t)read_number(k, 1, false, what);
}

uint16_t wf_cursor_u16le(wf_cursor *k, const char *what)
{
    return (uint16_t)read_number(k, 2, false, what);
}

uint16_t wf_cursor_u16be(wf_cursor *k, const char *what)
{
    return (uint16_t)read_number(k, 2, true, what);
}

uint32_t wf_cursor_u32le(wf_cursor *k, const char *what)
{
    return (uint32_t)read_number(k, 4, false, what);
}

uint32_t wf_cursor_u32be(wf_cursor *k, const char *what)
{
    return (uint32_t)read_number(k, 4, true, what);
}

uint64_t wf_cursor_u64le(wf_cursor *k, const char *what)
{
    return read_number(k, 8, false, what);
}
