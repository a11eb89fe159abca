/*
 * bind_line.c - weft.line: the prompt's line editor, libedit behind eight functions.
 *
 * open  read  history_add  set_complete  set_hint  print_above  history_clear  close
 *
 * A process has one terminal, so there is one editor. libedit is given our own way to read a
 * character: it wakes on signals, draws the hint, and tells a paste from typing.
 */
#include "lua/bind.h"

#include <errno.h>
#include <histedit.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

enum { HISTORY_MAX = 10000, PROMPT_BYTES = 256, PASTE_MAX = 1 << 20 };

#define PASTE_ON "\033[?2004h"
#define PASTE_OFF "\033[?2004l"

static struct {
    EditLine *el;
    History *history;
    lua_State *L;                        /* the thread inside read() */
    int complete_ref, hint_ref;          /* Lua functions, or LUA_NOREF */
    char prompt[PROMPT_BYTES];
    bool is_interrupted, is_hint_drawn;
    volatile sig_atomic_t is_resized;
} ed = {.complete_ref = LUA_NOREF, .hint_ref = LUA_NOREF};

enum { UNDO_MAX = 200 };
static struct {
    char *lines[UNDO_MAX];               /* of the entry so far; the last is what is shown */
    int n;
} undo;

static void on_resize(int sig)
{
    (void)sig;
    ed.is_resized = 1;
}

static const char *get_prompt(EditLine *el)
{
    (void)el;
    return ed.prompt;
}

/* ---- the hint: grey text behind the cursor ---- */

/* Columns that UTF-8 text takes; escape sequences and what cannot be decoded count as nothing. */
static int columns_of(const char *p, const char *end)
{
    int n = 0;
    mbstate_t state;
    memset(&state, 0, sizeof state);
    while (p < end) {
        wchar_t w = 0;
        const size_t k = mbrtowc(&w, p, (size_t)(end - p), &state);
        if (k == 0 || k > (size_t)(end - p)) return n;
        const int width = wcwidth(w);
        n += width > 0 ? width : 0;
        p += k;
    }
    return n;
}

/* Room at the end of the row where the cursor stands, in columns. */
static int room_behind(const LineInfo *li)
{
    int rows = 0, cols = 0;
    el_get(ed.el, EL_GETTC, "li", &rows, NULL);
    el_get(ed.el, EL_GETTC, "co", &cols, NULL);
    if (cols < 8) return 0;
    const int used =
        columns_of(ed.prompt, ed.prompt + strlen(ed.prompt)) + columns_of(li->buffer, li->cursor);
    return cols - 1 - used % cols;
}

static void clear_hint(void)
{
    if (ed.is_hint_drawn) fputs("\033[K", stdout);
    ed.is_hint_drawn = false;
}

/* Draw the hint for the line so far, or take the old one away. Nothing is drawn while text waits.
 */
static void draw_hint(void)
{
    const LineInfo *li = el_line(ed.el);
    struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
    if (ed.hint_ref == LUA_NOREF || poll(&p, 1, 0) > 0) return;
    const bool is_at_end = li->cursor == li->lastchar && li->lastchar > li->buffer
                        && !memchr(li->buffer, '\n', (size_t)(li->lastchar - li->buffer));
    lua_State *L = ed.L;
    const int top = lua_gettop(L);
    const char *text = NULL;
    if (is_at_end && lua_checkstack(L, 8)) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, ed.hint_ref);
        lua_pushlstring(L, li->buffer, (size_t)(li->lastchar - li->buffer));
        if (lua_pcall(L, 1, 1, 0) == 0) text = lua_tostring(L, -1);
    }
    const bool fits = text && columns_of(text, text + strlen(text)) + 1 < room_behind(li);
    if (fits) fprintf(stdout, "\0337 \033[90m%s\033[0m\033[K\0338", text);
    else clear_hint();
    fflush(stdout);
    ed.is_hint_drawn = fits;
    lua_settop(L, top);
}

/* ---- undo: the line as it was before each change ---- */

/* Note the line before the next key, if it is another than at the one before. */
static void note_line(void)
{
    const LineInfo *li = el_line(ed.el);
    const size_t n = (size_t)(li->lastchar - li->buffer);
    const char *top = undo.n ? undo.lines[undo.n - 1] : "";
    if (strlen(top) == n && memcmp(top, li->buffer, n) == 0) return;
    if (undo.n == UNDO_MAX) {
        free(undo.lines[0]);
        memmove(undo.lines, undo.lines + 1, (UNDO_MAX - 1) * sizeof *undo.lines);
        undo.n--;
    }
    char *copy = malloc(n + 1);
    if (!copy) return;
    memcpy(copy, li->buffer, n);
    copy[n] = '\0';
    undo.lines[undo.n++] = copy;
}

static void forget_lines(void)
{
    while (undo.n) free(undo.lines[--undo.n]);
}

static int characters_of(const char *p, const char *end)
{
    int n = 0;
    for (; p < end; p++) n += ((unsigned char)*p & 0xC0) != 0x80;
    return n;
}

/* ---- reading characters ---- */

/* Wait for a byte. 1: there is one, 0: interrupted by Ctrl-C. */
static int wait_byte(void)
{
    const int before = lwf_signal_count(SIGINT);
    struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
    while (poll(&p, 1, -1) <= 0) {
        if (lwf_signal_count(SIGINT) != before) return 0;
        if (lwf_signal_count(SIGTERM) || lwf_signal_count(SIGHUP)) return 0;
        if (!ed.is_resized) continue;
        ed.is_resized = 0;
        el_resize(ed.el);
    }
    return 1;
}

/* libedit asks for a character: 1, or 0 at the end, or -1. */
static int get_char(EditLine *el, wchar_t *out)
{
    mbstate_t state;
    memset(&state, 0, sizeof state);
    (void)el;
    note_line();
    draw_hint();
    for (;;) {
        if (!wait_byte()) {
            ed.is_interrupted = true;
            errno = EINTR;
            return -1;
        }
        char byte = 0;
        const ssize_t n = read(STDIN_FILENO, &byte, 1);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return (int)n;
        clear_hint();                              /* the cursor still stands before it */
        const size_t k = mbrtowc(out, &byte, 1, &state);
        if (k == (size_t)-2) continue;             /* the character goes on */
        if (k != (size_t)-1) return 1;
        memset(&state, 0, sizeof state);           /* not UTF-8: leave it out */
    }
}

/* ---- keys ---- */

static unsigned char insert_newline(EditLine *el, int ch)
{
    (void)ch;
    return el_winsertstr(el, L"\n") == 0 ? CC_REFRESH : CC_ERROR;
}

/* A character of a paste as text: other controls than the end of a line are left out. */
static bool insert_pasted(EditLine *el, wchar_t ch)
{
    const wchar_t w[2] = {ch == L'\r' ? L'\n' : ch == L'\t' ? L' ' : ch, 0};
    return (w[0] < L' ' && w[0] != L'\n') || el_winsertstr(el, w) == 0;
}

/* Everything up to ESC [ 2 0 1 ~ is text, whatever it looks like. */
static unsigned char insert_paste(EditLine *el, int ch)
{
    static const wchar_t end[] = L"\033[201~";
    size_t matched = 0;
    (void)ch;
    for (long n = 0; n < PASTE_MAX && end[matched]; n++) {
        wchar_t w;
        if (get_char(el, &w) != 1) return CC_ERROR;
        if (w == end[matched]) {
            matched++;
            continue;
        }
        for (size_t i = 0; i < matched; i++)           /* it was text, and w may begin the end */
            if (!insert_pasted(el, end[i])) return CC_ERROR;
        matched = w == end[0];
        if (!matched && !insert_pasted(el, w)) return CC_ERROR;
    }
    return CC_REFRESH;
}

/* Ask Lua: f(text, bytes before the cursor) -> characters to delete, text to insert, list to show.
 */
static unsigned char complete(EditLine *el, int ch)
{
    lua_State *L = ed.L;
    const LineInfo *li = el_line(el);
    (void)ch;
    if (ed.complete_ref == LUA_NOREF || !lua_checkstack(L, 8)) return CC_ERROR;
    const int top = lua_gettop(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, ed.complete_ref);
    lua_pushlstring(L, li->buffer, (size_t)(li->lastchar - li->buffer));
    lua_pushinteger(L, li->cursor - li->buffer);
    unsigned char result = CC_ERROR;
    if (lua_pcall(L, 2, 3, 0) == 0) {
        const int n = (int)lua_tointeger(L, -3);
        const char *text = lua_tostring(L, -2), *list = lua_tostring(L, -1);
        if (n > 0) el_deletestr(el, n);
        if (text && *text) el_insertstr(el, text);
        if (list && *list) fprintf(stdout, "\n%s\n", list);
        fflush(stdout);
        result = list && *list ? CC_REDISPLAY : n > 0 || (text && *text) ? CC_REFRESH : CC_ERROR;
    }
    lua_settop(L, top);
    return result;
}

/* The line on top is the one that is shown; what lies below it comes back. */
static unsigned char undo_change(EditLine *el, int ch)
{
    (void)ch;
    if (!undo.n) return CC_ERROR;
    free(undo.lines[--undo.n]);
    const LineInfo *li = el_line(el);
    el_cursor(el, characters_of(li->cursor, li->lastchar));
    li = el_line(el);
    el_deletestr(el, characters_of(li->buffer, li->lastchar));
    if (undo.n) el_insertstr(el, undo.lines[undo.n - 1]);
    return CC_REFRESH;
}

/* ---- up and down: by line in an entry of several, else through history ---- */

/* Move to the line above or below, as far along as the cursor is. false: there is none. */
static bool move_line(EditLine *el, bool is_up)
{
    const LineInfo *li = el_line(el);
    const char *start = li->cursor, *to = NULL, *end = NULL;
    while (start > li->buffer && start[-1] != '\n') start--;
    if (is_up && start == li->buffer) return false;
    if (is_up) {
        end = start - 1;
        for (to = end; to > li->buffer && to[-1] != '\n'; to--) {}
    } else {
        const char *nl = memchr(li->cursor, '\n', (size_t)(li->lastchar - li->cursor));
        if (!nl) return false;
        to = nl + 1;
        end = memchr(to, '\n', (size_t)(li->lastchar - to));
        if (!end) end = li->lastchar;
    }
    for (int n = characters_of(start, li->cursor); n > 0 && to < end; n--)
        for (to++; to < end && ((unsigned char)*to & 0xC0) == 0x80; to++) {}
    el_cursor(el, is_up ? -characters_of(to, li->cursor) : characters_of(li->cursor, to));
    return true;
}

static unsigned char line_up(EditLine *el, int ch)
{
    (void)ch;
    if (move_line(el, true)) return CC_CURSOR;
    el_push(el, "\020");                          /* as if ^P were typed */
    return CC_NORM;
}

static unsigned char line_down(EditLine *el, int ch)
{
    (void)ch;
    if (move_line(el, false)) return CC_CURSOR;
    el_push(el, "\016");
    return CC_NORM;
}

static void bind_keys(EditLine *el)
{
    el_set(el, EL_EDITOR, "emacs");
    el_set(el, EL_ADDFN, "weft-complete", "complete the word", complete);
    el_set(el, EL_ADDFN, "weft-newline", "insert a newline", insert_newline);
    el_set(el, EL_ADDFN, "weft-paste", "insert a paste", insert_paste);
    el_set(el, EL_BIND, "^I", "weft-complete", NULL);
    el_set(el, EL_BIND, "\033\r", "weft-newline", NULL);
    el_set(el, EL_BIND, "\033\n", "weft-newline", NULL);
    el_set(el, EL_BIND, "\033[200~", "weft-paste", NULL);
    el_set(el, EL_BIND, "^R", "em-inc-search-prev", NULL);
    el_set(el, EL_ADDFN, "weft-undo", "undo the last change", undo_change);
    el_set(el, EL_ADDFN, "weft-up", "line above, or history", line_up);
    el_set(el, EL_ADDFN, "weft-down", "line below, or history", line_down);
    el_set(el, EL_BIND, "^_", "weft-undo", NULL);
    el_set(el, EL_BIND, "\033[A", "weft-up", NULL);
    el_set(el, EL_BIND, "\033OA", "weft-up", NULL);
    el_set(el, EL_BIND, "\033[B", "weft-down", NULL);
    el_set(el, EL_BIND, "\033OB", "weft-down", NULL);
    el_set(el, EL_BIND, "\033[1;5C", "em-next-word", NULL);
    el_set(el, EL_BIND, "\033[1;5D", "ed-prev-word", NULL);
    el_set(el, EL_BIND, "\033[3~", "ed-delete-next-char", NULL);
}

/* ---- the eight functions ---- */

static void set_locale(void)
{
    setlocale(LC_CTYPE, "");
    if (MB_CUR_MAX < 2) setlocale(LC_CTYPE, "C.UTF-8");
}

/* line.open(): true; false where the terminal cannot be edited */
static int l_line_open(lua_State *L)
{
    if (ed.el) return luaL_error(L, "line: open already");
    set_locale();
    ed.el = el_init("weft", stdin, stdout, stderr);
    if (!ed.el) {
        lua_pushboolean(L, 0);
        return 1;
    }
    HistEvent ev;
    ed.history = history_init();
    if (ed.history) {
        history(ed.history, &ev, H_SETSIZE, HISTORY_MAX);
        el_set(ed.el, EL_HIST, history, ed.history);
    }
    el_set(ed.el, EL_PROMPT_ESC, get_prompt, '\1');
    el_set(ed.el, EL_SIGNAL, 0);
    el_set(ed.el, EL_GETCFN, get_char);
    bind_keys(ed.el);
    struct sigaction sa;
    memset(&sa, 0, sizeof sa);
    sa.sa_handler = on_resize;
    sigaction(SIGWINCH, &sa, NULL);
    lua_pushboolean(L, 1);
    return 1;
}

/* line.read(prompt) -> text; false after Ctrl-C; nil at the end */
static int l_line_read(lua_State *L)
{
    if (!ed.el) return luaL_error(L, "line: not open");
    snprintf(ed.prompt, sizeof ed.prompt, "%s", luaL_checkstring(L, 1));
    ed.L = L;
    ed.is_interrupted = ed.is_hint_drawn = false;
    int n = 0;
    forget_lines();
    fputs(PASTE_ON, stdout);
    fflush(stdout);
    const char *text = el_gets(ed.el, &n);
    fputs(ed.is_hint_drawn ? PASTE_OFF "\033[K" : PASTE_OFF, stdout);
    if (!text) fputs(ed.is_interrupted ? "^C\n" : "\n", stdout);
    fflush(stdout);
    if (ed.is_interrupted) {
        el_reset(ed.el);
        lua_pushboolean(L, 0);
    } else if (text && n > 0) {
        lua_pushlstring(L, text, (size_t)(text[n - 1] == '\n' ? n - 1 : n));
    } else {
        lua_pushnil(L);
    }
    return 1;
}

/* line.history_add(text) */
static int l_line_history_add(lua_State *L)
{
    HistEvent ev;
    const char *text = luaL_checkstring(L, 1);
    if (ed.history) history(ed.history, &ev, H_ENTER, text);
    return 0;
}

/* line.history_clear() */
static int l_line_history_clear(lua_State *L)
{
    HistEvent ev;
    (void)L;
    if (ed.history) history(ed.history, &ev, H_CLEAR);
    return 0;
}

static void set_ref(lua_State *L, int *ref)
{
    luaL_unref(L, LUA_REGISTRYINDEX, *ref);
    *ref = LUA_NOREF;
    if (!lua_isnoneornil(L, 1)) {
        luaL_checktype(L, 1, LUA_TFUNCTION);
        lua_pushvalue(L, 1);
        *ref = luaL_ref(L, LUA_REGISTRYINDEX);
    }
}

/* line.set_complete(f): f(text, bytes before the cursor) -> n to delete, text to insert, list to
 * show */
static int l_line_set_complete(lua_State *L)
{
    set_ref(L, &ed.complete_ref);
    return 0;
}

/* line.set_hint(f): f(text) -> grey text, or nil */
static int l_line_set_hint(lua_State *L)
{
    set_ref(L, &ed.hint_ref);
    return 0;
}

/* line.print_above(text): show text above the line that is being edited */
static int l_line_print_above(lua_State *L)
{
    fprintf(stdout, "\r\033[K%s\n", luaL_checkstring(L, 1));
    if (ed.el) el_set(ed.el, EL_REFRESH);
    fflush(stdout);
    return 0;
}

/* line.close(): give the terminal back as it was */
static int l_line_close(lua_State *L)
{
    if (ed.el) el_end(ed.el);
    if (ed.history) history_end(ed.history);
    luaL_unref(L, LUA_REGISTRYINDEX, ed.complete_ref);
    luaL_unref(L, LUA_REGISTRYINDEX, ed.hint_ref);
    ed.el = NULL;
    ed.history = NULL;
    ed.complete_ref = ed.hint_ref = LUA_NOREF;
    return 0;
}

int luaopen_weft_line(lua_State *L)
{
    const luaL_Reg list[] = {
        {"open", l_line_open},
        {"read", l_line_read},
        {"history_add", l_line_history_add},
        {"history_clear", l_line_history_clear},
        {"set_complete", l_line_set_complete},
        {"set_hint", l_line_set_hint},
        {"print_above", l_line_print_above},
        {"close", l_line_close},
        {NULL, NULL},
    };
    lua_newtable(L);
    luaL_setfuncs(L, list, 0);
    return 1;
}
