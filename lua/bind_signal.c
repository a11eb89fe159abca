/*
 * bind_signal.c - signals as flags, and how they stop Lua and the engine.
 *
 * A handler does three safe things: it counts, it sets the engine's cancel flag, it arms a hook of
 * the Lua state. Which of them, depends on the mode that Lua chose with host.signals(mode):
 *
 *   idle     count only (the prompt, the supervisor: they look at the counts themselves)
 *   work     SIGINT stops the work, SIGTERM and SIGHUP for good; a third SIGINT leaves with 130
 *   run      SIGINT, SIGTERM and SIGHUP stop the work for good; a second one leaves at once
 *   worker   SIGTERM stops the work for good; SIGINT is the supervisor's business
 *
 * The hook stays until Lua says that the stop was seen: after the first "cancelled", which may come
 * anywhere, it raises in every line of the user's, so that no pcall of theirs swallows it, and lets
 * weft's own lines tidy up. The next signal stops those too.
 *
 * A stop for good that Lua does not follow within some seconds (a loop compiled by the JIT looks at
 * no hook) leaves too. Leaving at once is safe because files appear under their final name only
 * when complete.
 */
#include "lua/bind.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_INT = 130, EXIT_TERM = 143, GRACE_S = 5, HOME_MAX = 4096 };
typedef enum signal_mode { IDLE, WORK, RUN, WORKER } signal_mode;

static const char *const mode_names[] = {"idle", "work", "run", "worker", NULL};
static const int caught[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2};
static const char *const caught_names[] = {"int", "term", "hup", "usr1", "usr2"};
enum { N_CAUGHT = sizeof caught / sizeof *caught };

/* Signals are the process's own, so this state is too. */
static struct {
    volatile sig_atomic_t counts[N_CAUGHT];
    volatile sig_atomic_t mode, exit_status;
    volatile sig_atomic_t *cancel;   /* the engine's flag, in the lwf_state */
    lua_State *L;                    /* the state to stop */
    pthread_t owner;                 /* the thread that runs it */
    volatile sig_atomic_t is_raised; /* "cancelled" was raised since the last signal */
    char home[HOME_MAX];             /* chunk names that start so are weft's own; "": none */
    bool is_installed;
} now;

static void forget_stop(lua_State *L)
{
    alarm(0);
    lua_sethook(L, NULL, 0, 0);
    if (now.cancel) *now.cancel = 0;
}

/* The stop is known to Lua. Work that ends here may use the engine, for what it has so far. */
static void note_raised(void)
{
    now.is_raised = 1;
    if (now.mode == WORK && now.cancel) *now.cancel = 0;
}

/* Does this line stand in the user's code? */
static bool is_user_line(lua_State *L, lua_Debug *ar)
{
    if (!lua_getinfo(L, "S", ar) || ar->what[0] == 'C') return false;
    return !now.home[0] || strncmp(ar->source, now.home, strlen(now.home)) != 0;
}

static void stop_hook(lua_State *L, lua_Debug *ar)
{
    if (now.is_raised && !is_user_line(L, ar)) return;
    note_raised();
    lwf_error(L, "cancelled", NULL, "stopped");
}

void lwf_signal_seen(lua_State *L)
{
    if (now.L && lua_gethook(L)) note_raised();
}

static void stop_work(void)
{
    now.is_raised = 0;
    if (now.cancel) *now.cancel = 1;
    if (now.L) lua_sethook(now.L, stop_hook, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
}

static void on_alarm(int sig)
{
    static const char text[] = "weft: stopped; files that were complete are kept\n";
    (void)sig;
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0) errno = 0;
    _exit(now.exit_status);
}

static void stop_for_good(int status)
{
    now.exit_status = status;
    alarm(GRACE_S);
    stop_work();
}

/* Signals that end a run, and the exit status they leave. */
static void act(int sig, int count)
{
    const bool is_int = sig == SIGINT, is_end = sig == SIGTERM || sig == SIGHUP;
    switch (now.mode) {
    case WORK:
        if (is_int && count > 2) _exit(EXIT_INT);
        if (is_end && count > 1) _exit(EXIT_TERM);
        if (is_end) stop_for_good(EXIT_TERM);
        else if (is_int) stop_work();
        break;
    case RUN:
        if ((is_int || is_end) && count > 1) _exit(is_int ? EXIT_INT : EXIT_TERM);
        if (is_int || is_end) stop_for_good(is_int ? EXIT_INT : EXIT_TERM);
        break;
    case WORKER:
        if (is_end) stop_for_good(EXIT_TERM);
        break;
    default:
        break;
    }
}

static void on_signal(int sig)
{
    const int saved = errno;
    if (!pthread_equal(pthread_self(), now.owner)) {
        pthread_kill(now.owner, sig);
        errno = saved;
        return;
    }
    for (int i = 0; i < N_CAUGHT; i++)
        if (caught[i] == sig) act(sig, ++now.counts[i]);
    errno = saved;
}

static void install(void)
{
    struct sigaction sa;
    memset(&sa, 0, sizeof sa);
    sa.sa_handler = on_signal;              /* no SA_RESTART: reads at the prompt must wake */
    sigemptyset(&sa.sa_mask);
    for (int i = 0; i < N_CAUGHT; i++) sigaction(caught[i], &sa, NULL);
    sa.sa_handler = on_alarm;
    sigaction(SIGALRM, &sa, NULL);
    sa.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &sa, NULL);
    now.is_installed = true;
}

void lwf_signal_watch(volatile sig_atomic_t *cancel) { now.cancel = cancel; }

int lwf_signal_count(int sig)
{
    for (int i = 0; i < N_CAUGHT; i++)
        if (caught[i] == sig) return now.counts[i];
    return 0;
}

/* host.signals(mode): choose what signals do; forgets what came before */
static int l_signals(lua_State *L)
{
    const int mode = luaL_checkoption(L, 1, NULL, mode_names);
    now.L = L;
    now.owner = pthread_self();
    forget_stop(L);
    for (int i = 0; i < N_CAUGHT; i++) now.counts[i] = 0;
    now.mode = mode;
    now.is_raised = 0;
    if (!now.is_installed) install();
    return 0;
}

/* host.stop_hooks(): let Lua run again after a stop, e.g. to tidy up; counts stay */
static int l_stop_hooks(lua_State *L)
{
    forget_stop(L);
    return 0;
}

/* host.set_home(prefix): chunk names that start with it belong to weft */
static int l_set_home(lua_State *L)
{
    const char *home = luaL_checkstring(L, 1);
    if (strlen(home) >= sizeof now.home) return luaL_error(L, "set_home: too long");
    strcpy(now.home, home);
    return 0;
}

/* host.signal_counts() -> { int, term, hup, usr1, usr2 } since signals() was called */
static int l_signal_counts(lua_State *L)
{
    lua_createtable(L, 0, N_CAUGHT);
    for (int i = 0; i < N_CAUGHT; i++) {
        lua_pushinteger(L, now.counts[i]);
        lua_setfield(L, -2, caught_names[i]);
    }
    return 1;
}

void lwf_open_signal(lua_State *L)
{
    const luaL_Reg list[] = {
        {"signals", l_signals}, {"stop_hooks", l_stop_hooks}, {"signal_counts", l_signal_counts},
        {"set_home", l_set_home}, {NULL, NULL},
    };
    luaL_setfuncs(L, list, 0);
}
