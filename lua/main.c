/*
 * main.c - the weft program: a LuaJIT host. Finds its Lua files, runs weft.cli, exits once.
 *
 * Lua runs on a thread with a large stack: recursion through C (gsub callbacks, sort) must end in
 * LuaJIT's "stack overflow", never in a fault of the process. One such recursion takes up to 60 MB;
 * lua/weft/nesting.lua says why there is room for three.
 */
#include <errno.h>
#include <luajit.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/version.h"
#include "lua/bind.h"

enum { PATH_BYTES = 4096, STACK_BYTES = 3 * (64 << 20), EXIT_FILE = 4, EXIT_FAULT = 70 };

typedef struct program {
    int argc;
    char **argv;
    int status;
} program;

/* ---- where the Lua files are ---- */

/* Write the folder of the executable, with its final slash, into out. */
static bool find_self(char *out, size_t bytes)
{
    const ssize_t n = readlink("/proc/self/exe", out, bytes - 1);
    if (n <= 0) return false;
    out[n] = '\0';
    char *slash = strrchr(out, '/');
    if (!slash) return false;
    slash[1] = '\0';
    return true;
}

/* Is self + rest the folder that holds the package? Then push it. */
static bool push_if_there(lua_State *L, const char *self, const char *rest)
{
    lua_pushfstring(L, "%s%s/weft/cli/init.lua", self, rest);
    const bool is_there = access(lua_tostring(L, -1), R_OK) == 0;
    lua_pop(L, 1);
    if (is_there) lua_pushfstring(L, "%s%s", self, rest);
    return is_there;
}

/* package.path = our folder, then LUA_PATH or its default. The tree comes before an installed copy.
 */
static void set_path(lua_State *L)
{
    char self[PATH_BYTES];
    if (!find_self(self, sizeof self)) return;
    if (!push_if_there(L, self, "lua") && !push_if_there(L, self, "../share/lua/5.1")) return;
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "path");
    const char *home = lua_tostring(L, -3);
    lua_pushfstring(L, "%s/?.lua;%s/?/init.lua;%s", home, home, lua_tostring(L, -1));
    lua_setfield(L, -3, "path");
    lua_pushstring(L, self);
    lua_setfield(L, -3, "weft_self");
    lua_settop(L, 0);
}

/* The C modules are part of the program. */
static void preload(lua_State *L)
{
    const luaL_Reg modules[] = {
        {"weft.core", luaopen_weft_core}, {"weft.host", luaopen_weft_host},
        {"weft.line", luaopen_weft_line}, {NULL, NULL},
    };
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "preload");
    luaL_setfuncs(L, modules, 0);
    lua_settop(L, 0);
}

/* ---- running ---- */

/* Protected: everything that may throw. (program) -> status */
static int run(lua_State *L)
{
    const program *p = (const program *)lua_touserdata(L, 1);
    luaL_openlibs(L);
    lua_settop(L, 0);
    set_path(L);
    preload(L);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "weft.cli");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "main");
    lua_createtable(L, p->argc, 0);
    for (int i = 0; i < p->argc; i++) {
        lua_pushstring(L, p->argv[i]);
        lua_rawseti(L, -2, i);
    }
    lua_call(L, 1, 1);
    return 1;
}

static void *run_lua(void *arg)
{
    program *p = (program *)arg;
    lua_State *L = luaL_newstate();
    if (!L) {
        fprintf(stderr, "weft: no memory for Lua\n");
        return NULL;
    }
    lua_pushcfunction(L, run);
    lua_pushlightuserdata(L, p);
    if (lua_pcall(L, 1, 1, 0) == 0) p->status = (int)lua_tointeger(L, -1);
    else
        fprintf(stderr, "weft: %s\n",
                lua_tostring(L, -1) ? lua_tostring(L, -1) : "failed to start");
    lua_close(L);
    return NULL;
}

/* Run Lua on its own thread; signals go there, since this one only waits. */
static int run_on_thread(program *p)
{
    pthread_attr_t attr;
    pthread_t thread;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    const int rc = pthread_create(&thread, &attr, run_lua, p);
    pthread_attr_destroy(&attr);
    if (rc != 0) {
        fprintf(stderr, "weft: cannot start a thread: %s\n", strerror(rc));
        return EXIT_FAULT;
    }
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    pthread_join(thread, NULL);
    return p->status;
}

/* Is stdout a pipe that nobody reads any more? */
static bool is_unread(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO};
    return poll(&out, 1, 0) == 1 && (out.revents & POLLERR) != 0;
}

/* The exit status, once stdout is written. Whoever stopped reading has what was wanted. */
static int end_stdout(int status)
{
    const bool has_failed = ferror(stdout);
    errno = 0;
    if ((fflush(stdout) == 0 && !has_failed) || is_unread()) return status;
    fprintf(stderr, "weft: stdout: %s\n", errno ? strerror(errno) : "not all was written");
    return status ? status : EXIT_FILE;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("weft %s  %s\n", WF_VERSION, LUAJIT_VERSION);
        return 0;
    }
    signal(SIGPIPE, SIG_IGN);            /* a write that fails says so, and what to do is known */
    signal(SIGXFSZ, SIG_IGN);
    program p = {argc, argv, EXIT_FAULT};
    const int status = run_on_thread(&p);
    return end_stdout(status);
}
