/*
 * bind_host.c - weft.host: what scripts and the program ask of the system. Needs no engine.
 *
 * Probes and reads return nil and a message; lua/weft turns them into errors where that is meant.
 */
#include "lua/bind.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/base/version.h"

enum { HASH_BYTES = 32, BLOCK_BYTES = 1 << 16 };

int lwf_fail_os(lua_State *L, const char *what)
{
    lua_pushnil(L);
    lua_pushfstring(L, "%s: %s", what, strerror(errno));
    return 2;
}

/* ---- the terminal and the clock ---- */

/* host.isatty(fd) */
static int l_isatty(lua_State *L)
{
    lua_pushboolean(L, isatty((int)luaL_checkinteger(L, 1)));
    return 1;
}

/* host.winsize() -> columns, rows of the terminal behind stdout or stderr; nil: there is none */
static int l_winsize(lua_State *L)
{
    struct winsize w;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) != 0 && ioctl(STDERR_FILENO, TIOCGWINSZ, &w) != 0)
        return 0;
    if (!w.ws_col || !w.ws_row) return 0;
    lua_pushinteger(L, w.ws_col);
    lua_pushinteger(L, w.ws_row);
    return 2;
}

/* host.clock() -> seconds that only go forward */
static int l_clock(lua_State *L)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    lua_pushnumber(L, (double)t.tv_sec + 1e-9 * (double)t.tv_nsec);
    return 1;
}

/* host.sleep(seconds): ends early when a signal comes */
static int l_sleep(lua_State *L)
{
    const double s = luaL_checknumber(L, 1);
    if (!(s > 0 && s < 1e6)) return 0;
    const struct timespec t = {(time_t)s, (long)((s - (double)(time_t)s) * 1e9)};
    nanosleep(&t, NULL);
    return 0;
}

static int l_pid(lua_State *L)
{
    lua_pushinteger(L, getpid());
    return 1;
}

/* ---- files ---- */

static const char *kind_of(mode_t m)
{
    return S_ISREG(m) ? "file" : S_ISDIR(m) ? "dir" : "other";
}

/* host.stat(path) -> "file" | "dir" | "other", bytes, time of change; nil: it is not there */
static int l_stat(lua_State *L)
{
    struct stat st;
    if (stat(luaL_checkstring(L, 1), &st) != 0) return 0;
    lua_pushstring(L, kind_of(st.st_mode));
    lua_pushnumber(L, (double)st.st_size);
    lua_pushnumber(L, (double)st.st_mtim.tv_sec + 1e-9 * (double)st.st_mtim.tv_nsec);
    return 3;
}

/* host.list(path) -> names in a folder, unsorted, without . and ..; nil, message */
static int l_list(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    lua_newtable(L);
    DIR *d = opendir(path);
    if (!d) return lwf_fail_os(L, path);
    int n = 0;
    for (struct dirent *e = readdir(d); e; e = readdir(d)) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        lua_pushstring(L, e->d_name);
        lua_rawseti(L, -2, ++n);
    }
    closedir(d);
    return 1;
}

/* host.mkdir(path) -> true, also when the folder is there; nil, message */
static int l_mkdir(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    struct stat st;
    const int why = mkdir(path, 0777) == 0 ? 0 : errno;
    if (why && !(stat(path, &st) == 0 && S_ISDIR(st.st_mode))) {
        errno = why;                 /* not that of stat, which finds nothing there */
        return lwf_fail_os(L, path);
    }
    lua_pushboolean(L, 1);
    return 1;
}

/* host.real(path) -> the same from the root, without links and dots; nil, message */
static int l_real(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    char found[PATH_MAX];
    if (!realpath(path, found)) return lwf_fail_os(L, path);
    lua_pushstring(L, found);
    return 1;
}

/* host.cwd() -> the current folder */
static int l_cwd(lua_State *L)
{
    char path[4096];
    if (!getcwd(path, sizeof path)) return lwf_fail_os(L, "current folder");
    lua_pushstring(L, path);
    return 1;
}

/* host.chdir(path) -> true; nil, message */
static int l_chdir(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    if (chdir(path) != 0) return lwf_fail_os(L, path);
    lua_pushboolean(L, 1);
    return 1;
}

/* ---- SHA-256 ---- */

static int push_hash(lua_State *L, const unsigned char *h)
{
    char hex[2 * HASH_BYTES + 1];
    for (int i = 0; i < HASH_BYTES; i++) snprintf(hex + 2 * i, 3, "%02x", h[i]);
    lua_pushlstring(L, hex, 2 * HASH_BYTES);
    return 1;
}

/* host.sha256(text) -> 64 hexadecimal digits */
static int l_sha256(lua_State *L)
{
    size_t bytes = 0;
    const char *p = luaL_checklstring(L, 1, &bytes);
    unsigned char h[EVP_MAX_MD_SIZE];
    if (!EVP_Digest(p, bytes, h, NULL, EVP_sha256(), NULL)) return luaL_error(L, "sha256 failed");
    return push_hash(L, h);
}

/* The hash of what can be read from fd; false with errno set when it cannot. */
static bool hash_fd(int fd, EVP_MD_CTX *md, unsigned char *h)
{
    unsigned char block[BLOCK_BYTES];
    ssize_t n = 1;
    bool ok = EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1;
    while (ok && n != 0) {
        n = read(fd, block, sizeof block);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return false;
        ok = EVP_DigestUpdate(md, block, (size_t)n) == 1;
    }
    return ok && EVP_DigestFinal_ex(md, h, NULL) == 1;
}

/* host.sha256_file(path) -> 64 hexadecimal digits; nil, message */
static int l_sha256_file(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    unsigned char h[EVP_MAX_MD_SIZE];
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return lwf_fail_os(L, path);
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    const bool ok = md && hash_fd(fd, md, h);
    const int why = errno;
    EVP_MD_CTX_free(md);
    close(fd);
    errno = why;
    return ok ? push_hash(L, h) : lwf_fail_os(L, path);
}

/* host.stack_bytes() -> bytes of the C stack in use since this module was opened */
static int l_stack_bytes(lua_State *L)
{
    const char here = 0;
    const uintptr_t base = (uintptr_t)lua_touserdata(L, lua_upvalueindex(1));
    const uintptr_t now = (uintptr_t)&here;
    lua_pushnumber(L, base > now ? (lua_Number)(base - now) : 0);
    return 1;
}

int luaopen_weft_host(lua_State *L)
{
    const luaL_Reg list[] = {
        {"isatty", l_isatty}, {"winsize", l_winsize}, {"clock", l_clock},
        {"sleep", l_sleep},   {"pid", l_pid},         {"stat", l_stat},
        {"list", l_list},     {"mkdir", l_mkdir},     {"cwd", l_cwd},
        {"chdir", l_chdir},   {"sha256", l_sha256},   {"sha256_file", l_sha256_file},
        {"real", l_real},     {NULL, NULL},
    };
    lua_newtable(L);
    luaL_setfuncs(L, list, 0);
    lua_pushlightuserdata(L, (void *)(uintptr_t)&list);
    lua_pushcclosure(L, l_stack_bytes, 1);
    lua_setfield(L, -2, "stack_bytes");
    lwf_open_signal(L);
    lwf_open_process(L);
    lua_pushliteral(L, WF_VERSION);
    lua_setfield(L, -2, "version");
    return 1;
}
