/*
 * bind_process.c - child processes and locks, as the supervisor of a batch needs them.
 *
 * Descriptors are plain numbers here; lua/weft/batch/ alone uses them and closes what it opens.
 */
#include "lua/bind.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_ARGS = 64, MAX_FDS = 256, CHILD_IN = 3, CHILD_OUT = 4, READ_BYTES = 65536 };

/* ---- starting and ending ---- */

/* In the child: pipes at 3 and 4, stdout and stderr to log, and die with the parent. */
static void become(char *const *argv, int in, int out, int log, pid_t parent)
{
    const int high_in = fcntl(in, F_DUPFD, 16), high_out = fcntl(out, F_DUPFD, 16);
    if (high_in < 0 || high_out < 0) _exit(127);
    if (dup2(high_in, CHILD_IN) < 0 || dup2(high_out, CHILD_OUT) < 0) _exit(127);
    close(high_in);
    close(high_out);
    const int null = open("/dev/null", O_RDONLY);
    if (null >= 0) dup2(null, STDIN_FILENO);
    if (log >= 0 && (dup2(log, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0)) _exit(127);
    setpgid(0, 0);                       /* Ctrl-C of the terminal goes to the supervisor alone */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(127);
    execv("/proc/self/exe", argv);
    _exit(127);
}

/* Two pipes; p[0] -> child's input, p[1] <- child's output. */
static bool open_pipes(int in[2], int out[2])
{
    if (pipe2(in, O_CLOEXEC) != 0) return false;
    if (pipe2(out, O_CLOEXEC) == 0) return true;
    close(in[0]);
    close(in[1]);
    return false;
}

/* host.spawn({ arguments }, log_fd) -> pid, fd to write to, fd to read from; nil, message */
static int l_spawn(lua_State *L)
{
    char *argv[MAX_ARGS + 2];
    luaL_checktype(L, 1, LUA_TTABLE);
    const int n = (int)lua_objlen(L, 1), log = (int)luaL_optinteger(L, 2, -1);
    if (n > MAX_ARGS) return luaL_error(L, "spawn: %d arguments", n);
    luaL_checkstack(L, n, "spawn");
    argv[0] = (char *)(uintptr_t)"weft";
    for (int i = 0; i < n; i++) {
        lua_rawgeti(L, 1, i + 1);
        argv[i + 1] = (char *)(uintptr_t)luaL_checkstring(L, -1);
    }
    argv[n + 1] = NULL;
    int in[2], out[2];
    if (!open_pipes(in, out)) return lwf_fail_os(L, "pipe");
    const pid_t parent = getpid(), pid = fork();
    if (pid == 0) become(argv, in[0], out[1], log, parent);
    close(in[0]);
    close(out[1]);
    if (pid < 0) {
        close(in[1]);
        close(out[0]);
        return lwf_fail_os(L, "fork");
    }
    lua_pushinteger(L, pid);
    lua_pushinteger(L, in[1]);
    lua_pushinteger(L, out[0]);
    return 3;
}

/* host.wait(pid) -> nil while it runs, else "exit", status or "signal", number; and peak bytes */
static int l_wait(lua_State *L)
{
    int status = 0;
    struct rusage use;
    memset(&use, 0, sizeof use);
    const pid_t pid = wait4((pid_t)luaL_checkinteger(L, 1), &status, WNOHANG, &use);
    if (pid == 0) return 0;
    const bool is_signal = pid > 0 && WIFSIGNALED(status);
    lua_pushstring(L, is_signal ? "signal" : "exit");
    lua_pushinteger(L, pid < 0 ? -1 : is_signal ? WTERMSIG(status) : WEXITSTATUS(status));
    lua_pushnumber(L, 1024.0 * (double)use.ru_maxrss);
    return 3;
}

static const char *const kill_names[] = {"none", "int", "term", "kill", NULL};
static const int kill_numbers[] = {0, SIGINT, SIGTERM, SIGKILL};

/* host.kill(pid, "none" | "int" | "term" | "kill") -> whether it was there to be told */
static int l_kill(lua_State *L)
{
    const pid_t pid = (pid_t)luaL_checkinteger(L, 1);
    const int sig = kill_numbers[luaL_checkoption(L, 2, NULL, kill_names)];
    if (pid <= 0) return luaL_argerror(L, 1, "a process id");
    lua_pushboolean(L, kill(pid, sig) == 0);
    return 1;
}

/* ---- descriptors ---- */

/* host.poll({ fds }, seconds) -> list of the fds that can be read; empty on time-out or signal */
static int l_poll(lua_State *L)
{
    struct pollfd p[MAX_FDS];
    luaL_checktype(L, 1, LUA_TTABLE);
    const int n = (int)lua_objlen(L, 1);
    const double s = luaL_checknumber(L, 2);
    if (n > MAX_FDS) return luaL_error(L, "poll: %d descriptors", n);
    for (int i = 0; i < n; i++) {
        lua_rawgeti(L, 1, i + 1);
        p[i] = (struct pollfd){.fd = (int)luaL_checkinteger(L, -1), .events = POLLIN};
        lua_pop(L, 1);
    }
    const int ready = poll(p, (nfds_t)n, s < 0 ? 0 : s > 3600 ? 3600000 : (int)(s * 1000));
    lua_newtable(L);
    for (int i = 0, k = 1; i < n && ready > 0; i++) {
        if (!p[i].revents) continue;
        lua_pushinteger(L, p[i].fd);
        lua_rawseti(L, -2, k++);
    }
    return 1;
}

/* host.read(fd) -> what is there now, "" at the end; nil, message */
static int l_read(lua_State *L)
{
    const int fd = (int)luaL_checkinteger(L, 1);
    char *p = (char *)lua_newuserdata(L, READ_BYTES);
    ssize_t n = 0;
    do n = read(fd, p, READ_BYTES);
    while (n < 0 && errno == EINTR);
    if (n < 0) return lwf_fail_os(L, "read");
    lua_pushlstring(L, p, (size_t)n);
    return 1;
}

/* host.write(fd, text) -> true; nil, message */
static int l_write(lua_State *L)
{
    const int fd = (int)luaL_checkinteger(L, 1);
    size_t left = 0;
    const char *p = luaL_checklstring(L, 2, &left);
    while (left) {
        const ssize_t n = write(fd, p, left);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return lwf_fail_os(L, "write");
        p += n;
        left -= (size_t)n;
    }
    lua_pushboolean(L, 1);
    return 1;
}

/* host.close(fd) */
static int l_close(lua_State *L)
{
    close((int)luaL_checkinteger(L, 1));
    return 0;
}

/* host.open(path, "append" | "new") -> fd; nil, message */
static int l_open(lua_State *L)
{
    static const char *const modes[] = {"append", "new", NULL};
    const char *path = luaL_checkstring(L, 1);
    const int mode = luaL_checkoption(L, 2, NULL, modes);
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | (mode ? O_TRUNC : O_APPEND), 0666);
    if (fd < 0) return lwf_fail_os(L, path);
    lua_pushinteger(L, fd);
    return 1;
}

/* host.redirect(fd): stdout and stderr go to fd from now on */
static int l_redirect(lua_State *L)
{
    const int fd = (int)luaL_checkinteger(L, 1);
    fflush(stdout);
    lua_pushboolean(L, dup2(fd, STDOUT_FILENO) >= 0 && dup2(fd, STDERR_FILENO) >= 0);
    return 1;
}

/* host.sync(fd) -> true; nil, message */
static int l_sync(lua_State *L)
{
    if (fsync((int)luaL_checkinteger(L, 1)) != 0) return lwf_fail_os(L, "sync");
    lua_pushboolean(L, 1);
    return 1;
}

/* host.lock(path) -> fd that holds the lock; nil, message, what its holder wrote into the file */
static int l_lock(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0) return lwf_fail_os(L, path);
    char text[64] = {0};
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        const int n = lwf_fail_os(L, path);
        const ssize_t got = pread(fd, text, sizeof text - 1, 0);
        lua_pushlstring(L, text, got > 0 ? (size_t)got : 0);
        close(fd);
        return n + 1;
    }
    const int len = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)len, 0) < 0) errno = 0;
    lua_pushinteger(L, fd);
    return 1;
}

void lwf_open_process(lua_State *L)
{
    const luaL_Reg list[] = {
        {"spawn", l_spawn}, {"wait", l_wait},   {"kill", l_kill},         {"poll", l_poll},
        {"read", l_read},   {"write", l_write}, {"close", l_close},       {"open", l_open},
        {"sync", l_sync},   {"lock", l_lock},   {"redirect", l_redirect}, {NULL, NULL},
    };
    luaL_setfuncs(L, list, 0);
}
