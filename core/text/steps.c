/*
 * steps.c - normalisers and cutters of tokenizer files, each over a text cut into words.
 *
 * Source: the crate tokenizers, src/normalizers and src/pre_tokenizers.
 */
#include "core/text/steps.h"

#include <string.h>
#include <utf8proc.h>

/* ---- characters ---- */

static bool is_space(int32_t cp)
{
    const utf8proc_category_t k = cp < 0 ? UTF8PROC_CATEGORY_CN : utf8proc_category(cp);
    return (cp >= 9 && cp <= 13) || cp == 0x85 || k == UTF8PROC_CATEGORY_ZS ||
           k == UTF8PROC_CATEGORY_ZL || k == UTF8PROC_CATEGORY_ZP;
}

static void lower(const char *p, size_t n, wf_textbuf *out)
{
    int32_t cp;
    for (size_t at = 0, k; at < n; at += k) {
        k = wf_utf8_read(p + at, n - at, &cp);
        if (cp < 0) wf_textbuf_add(out, p + at, 1);
        else if (cp == 0x130) wf_textbuf_add(out, "i\xcc\x87", 3);    /* the one that becomes two */
        else wf_textbuf_add_char(out, utf8proc_tolower(cp));
    }
}

static void normalise(const char *p, size_t n, int form, wf_textbuf *out)
{
    while (n > 0) {
        const size_t k = wf_utf8_span(p, n);
        if (k == 0) {
            wf_textbuf_add(out, p++, 1);
            n--;
            continue;
        }
        const utf8proc_option_t how = (utf8proc_option_t)form;
        const utf8proc_ssize_t most = utf8proc_decompose((const utf8proc_uint8_t *)p,
                                                         (utf8proc_ssize_t)k, NULL, 0, how);
        utf8proc_int32_t *cps =
            most > 0 ? wf_mem_alloc(out->mem, ((size_t)most + 1) * sizeof *cps) : NULL;
        out->failed = out->failed || !cps;
        if (cps) {
            utf8proc_decompose((const utf8proc_uint8_t *)p, (utf8proc_ssize_t)k, cps, most, how);
            const utf8proc_ssize_t m = utf8proc_normalize_utf32(cps, most, how);
            for (utf8proc_ssize_t i = 0; i < m; i++) wf_textbuf_add_char(out, cps[i]);
        }
        wf_mem_free(out->mem, cps);
        p += k;
        n -= k;
    }
}

static void strip(const wf_step *s, const char *p, size_t n, wf_textbuf *out)
{
    int32_t cp;
    size_t from = 0, end = 0;
    for (size_t at = 0, k; at < n; at += k) {
        k = wf_utf8_read(p + at, n - at, &cp);
        if (!is_space(cp)) end = at + k;
        else if (s->left && from == at) from = at + k;
    }
    if (!s->right) end = n;
    if (end > from) wf_textbuf_add(out, p + from, end - from);
}

static void spaces(const wf_step *s, const char *p, size_t n, wf_textbuf *out)
{
    const char *space = s->escape ? WF_META_SPACE : " ";
    const size_t k = strlen(space), before = out->n;
    bool after = s->fold;
    while (s->fold && n > 0 && *p == ' ') p++, n--;
    if (n > 0 && s->prepend == WF_PREPEND_ALWAYS) wf_textbuf_add(out, space, k);
    for (size_t i = 0; i < n; i++) {
        if (p[i] != ' ') wf_textbuf_add(out, p + i, 1);
        else if (!after) wf_textbuf_add(out, space, k);
        after = s->fold && p[i] == ' ';
    }
    while (s->fold && out->n >= before + k && memcmp(out->p + out->n - k, space, k) == 0)
        out->n -= k;
}

static void replace(wf_ctx *c, const wf_step *s, const char *p, size_t n, wf_textbuf *out)
{
    wf_matches m = {s->pattern, p, n, 0, 0, 0};
    size_t done = 0, at, end;
    while (wf_pattern_next(c, &m, &at, &end)) {
        wf_textbuf_add(out, p + done, at - done);
        wf_textbuf_add(out, s->text, strlen(s->text));
        done = end;
    }
    wf_textbuf_add(out, p + done, n - done);
}

/* One word, normalised, into out. */
static void run_text(wf_ctx *c, const wf_step *s, const char *p, size_t n, wf_textbuf *out)
{
    switch (s->kind) {
    case WF_STEP_LOWERCASE: lower(p, n, out); break;
    case WF_STEP_UNICODE: normalise(p, n, s->form, out); break;
    case WF_STEP_STRIP: strip(s, p, n, out); break;
    case WF_STEP_SPACES: spaces(s, p, n, out); break;
    case WF_STEP_REPLACE: replace(c, s, p, n, out); break;
    case WF_STEP_CHARSMAP: wf_charsmap_run(&s->charsmap, p, n, s->by_grapheme, out); break;
    default:
        if (!(s->unless_space && *p == ' ')) wf_textbuf_add(out, s->text, strlen(s->text));
        wf_textbuf_add(out, p, n);
        break;
    }
}

/* ---- cutting ---- */

/* Stretches of one word, in turn matches and what is between. */
typedef struct spans {
    wf_idbuf ends;               /* of each, with its lowest bit set for a match */
} spans;

static void add_span(spans *l, size_t from, size_t end, bool is_match)
{
    if (end > from) wf_idbuf_add(&l->ends, (int64_t)(2 * end + (is_match ? 1 : 0)));
}

static void find_spans(wf_ctx *c, const wf_step *s, const char *p, size_t n, spans *l)
{
    wf_matches m = {s->pattern, p, n, 0, 0, 0};
    size_t done = 0, at, end;
    while (wf_pattern_next(c, &m, &at, &end)) {
        add_span(l, done, at, s->invert);
        add_span(l, at, end, !s->invert);
        done = end;
    }
    add_span(l, done, n, s->invert);
}

/* Whether span i and the one behind it are one word. */
static bool is_joined(const spans *l, size_t i, wf_split how)
{
    if (i + 1 >= l->ends.n) return false;
    const bool here = l->ends.p[i] & 1, next = l->ends.p[i + 1] & 1;
    return (how == WF_SPLIT_WITH_PREVIOUS && !here && next) ||
           (how == WF_SPLIT_WITH_NEXT && here && !next);
}

static void cut(wf_ctx *c, const wf_step *s, const char *p, size_t n, wf_words *out)
{
    spans l = {.ends = {.mem = wf_ctx_get_mem(c)}};
    find_spans(c, s, p, n, &l);
    size_t from = 0;
    for (size_t i = 0; i < l.ends.n; i++) {
        const size_t end = (size_t)l.ends.p[i] / 2;
        if (is_joined(&l, i, s->split)) continue;
        if (s->split != WF_SPLIT_REMOVED || !(l.ends.p[i] & 1))
            wf_words_add(out, p + from, end - from);
        from = end;
    }
    out->text.failed = out->text.failed || l.ends.failed;
    wf_idbuf_free(&l.ends);
}

/* ---- U+2581 ---- */

static void metaspace(wf_ctx *c, const wf_step *s, const char *p, size_t n, bool is_first,
                      wf_words *out)
{
    static const size_t k = sizeof WF_META_SPACE - 1;
    wf_textbuf b = {.mem = wf_ctx_get_mem(c)};
    const bool begins = n > 0 && (*p == ' ' || (n >= k && memcmp(p, WF_META_SPACE, k) == 0));
    if (!begins && (s->prepend == WF_PREPEND_ALWAYS ||
                    (s->prepend == WF_PREPEND_FIRST && is_first)))
        wf_textbuf_add(&b, WF_META_SPACE, k);
    for (size_t i = 0; i < n; i++)
        wf_textbuf_add(&b, p[i] == ' ' ? WF_META_SPACE : p + i, p[i] == ' ' ? k : 1);
    if (s->pattern) cut(c, s, b.p, b.n, out);
    else wf_words_add(out, b.p, b.n);
    out->text.failed = out->text.failed || b.failed;
    wf_textbuf_free(&b);
}

/* ---- bytes as characters ---- */

/* Printable bytes of Latin-1 stand for themselves, the others for U+0100 on, in order. */
static bool is_printable(int b)
{
    return (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || (b >= 0xae && b <= 0xff);
}

static int32_t char_of_byte(int b)
{
    if (is_printable(b)) return b;
    int32_t cp = 0x100;
    for (int i = 0; i < b; i++) cp += !is_printable(i);
    return cp;
}

int wf_byte_of_char(int32_t cp)
{
    if (cp < 0x100) return cp >= 0 && is_printable(cp) ? cp : -1;
    int32_t next = 0x100;
    for (int b = 0; b < 256; b++)
        if (!is_printable(b) && next++ == cp) return b;
    return -1;
}

static void write_bytes(const wf_words *words, wf_words *out)
{
    for (size_t i = 0; i < words->ends.n; i++) {
        const char *p;
        const size_t n = wf_words_get(words, i, &p);
        for (size_t k = 0; k < n; k++)
            wf_textbuf_add_char(&out->text, char_of_byte((uint8_t)p[k]));
        wf_idbuf_add(&out->ends, (int64_t)out->text.n);
    }
}

static void bytes(wf_ctx *c, const wf_step *s, const char *p, size_t n, wf_words *out)
{
    wf_words words = wf_words_new(wf_ctx_get_mem(c));
    wf_textbuf b = {.mem = wf_ctx_get_mem(c)};
    if (s->prepend == WF_PREPEND_ALWAYS && n > 0 && *p != ' ') wf_textbuf_add(&b, " ", 1);
    wf_textbuf_add(&b, p, n);
    if (s->pattern) cut(c, s, b.p, b.n, &words);
    else wf_words_add(&words, b.p, b.n);
    write_bytes(&words, out);
    out->text.failed = out->text.failed || b.failed || wf_words_failed(&words);
    wf_textbuf_free(&b);
    wf_words_free(&words);
}

/* ---- one step ---- */

static void run_word(wf_ctx *c, const wf_step *s, const char *p, size_t n, bool is_first,
                     wf_words *out)
{
    const size_t before = out->text.n;
    switch (s->kind) {
    case WF_STEP_SPLIT: cut(c, s, p, n, out); return;
    case WF_STEP_METASPACE: metaspace(c, s, p, n, is_first, out); return;
    case WF_STEP_BYTES: bytes(c, s, p, n, out); return;
    default: break;
    }
    run_text(c, s, p, n, &out->text);
    if (out->text.n > before) wf_idbuf_add(&out->ends, (int64_t)out->text.n);
}

wf_status wf_step_run(wf_ctx *c, const wf_step *s, wf_words *words, bool is_first)
{
    wf_words out = wf_words_new(wf_ctx_get_mem(c));
    for (size_t i = 0; i < words->ends.n && !wf_has_failed(c); i++) {
        const char *p;
        const size_t n = wf_words_get(words, i, &p);
        run_word(c, s, p, n, is_first && i == 0, &out);
    }
    if (wf_words_failed(&out)) wf_fail(c, WF_ENOMEM, "encode: no memory");
    wf_words_free(words);
    *words = out;
    return wf_get_status(c);
}

void wf_step_free(wf_mem *m, wf_step *s)
{
    wf_pattern_free(s->pattern);
    wf_mem_free(m, s->text);
    wf_mem_free(m, s->blob);
}
