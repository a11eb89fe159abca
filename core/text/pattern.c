/* pattern.c - PCRE2 with bounds on what one match may cost, and our own memory. */
#define PCRE2_CODE_UNIT_WIDTH 8

#include "core/text/pattern.h"

#include <pcre2.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/text/textbuf.h"

/* Patterns of public files match within some hundred steps; a hostile one may want 2^n. */
enum { MOST_STEPS = 10000000, MOST_DEPTH = 10000, MOST_HEAP_KB = 64 << 10 };

struct wf_pattern {
    wf_mem *mem;
    pcre2_general_context *general;
    pcre2_code *code;
    pcre2_match_context *limits;
    pcre2_match_data *match;
    const char *name;                    /* of the file; stands behind the struct */
};

static void *take(PCRE2_SIZE bytes, void *mem) { return wf_mem_alloc(mem, bytes); }
static void give(void *p, void *mem) { wf_mem_free(mem, p); }

static wf_status compile(wf_ctx *c, wf_pattern *x, const char *text, bool is_plain)
{
    int code;
    PCRE2_SIZE where;
    PCRE2_UCHAR why[120];
    const uint32_t options = PCRE2_UTF | (is_plain ? PCRE2_LITERAL : PCRE2_UCP);
    pcre2_compile_context *how = pcre2_compile_context_create(x->general);
    if (how)
        x->code = pcre2_compile((PCRE2_SPTR)text, strlen(text), options, &code, &where, how);
    pcre2_compile_context_free(how);
    if (!how || (!x->code && code == PCRE2_ERROR_HEAP_FAILED))
        return wf_fail_status(c, WF_ENOMEM, "%s: no memory for a pattern", x->name);
    if (x->code) return WF_OK;
    pcre2_get_error_message(code, why, sizeof why);
    return wf_fail_status(c, WF_EFORMAT, "%s: the pattern \"%.60s\" is not understood: %s", x->name,
                          text, (const char *)why);
}

wf_pattern *wf_pattern_new(wf_ctx *c, const char *text, bool is_plain, const char *path)
{
    if (wf_has_failed(c)) return NULL;
    wf_mem *mem = wf_ctx_get_mem(c);
    const size_t n = strlen(path) + 1;
    wf_pattern *x = wf_mem_calloc(mem, sizeof *x + n);
    if (!x) return wf_fail(c, WF_ENOMEM, "%s: no memory for a pattern", path);
    x->mem = mem;
    x->name = memcpy(x + 1, path, n);
    x->general = pcre2_general_context_create(take, give, mem);
    if (x->general && compile(c, x, text, is_plain) == WF_OK) {
        x->limits = pcre2_match_context_create(x->general);
        x->match = pcre2_match_data_create(1, x->general);
    }
    if (!wf_has_failed(c) && (!x->limits || !x->match))
        wf_fail(c, WF_ENOMEM, "%s: no memory for a pattern", path);
    if (!wf_has_failed(c)) {
        pcre2_set_match_limit(x->limits, MOST_STEPS);
        pcre2_set_depth_limit(x->limits, MOST_DEPTH);
        pcre2_set_heap_limit(x->limits, MOST_HEAP_KB);
        return x;
    }
    wf_pattern_free(x);
    return NULL;
}

void wf_pattern_free(wf_pattern *x)
{
    if (!x) return;
    pcre2_match_data_free(x->match);
    pcre2_match_context_free(x->limits);
    pcre2_code_free(x->code);
    pcre2_general_context_free(x->general);
    wf_mem_free(x->mem, x);
}

/* The matcher would look all of a text through for each match: it is told that the stretch is
 * UTF-8. */
static bool find_in(wf_ctx *c, wf_matches *m, size_t *at, size_t *end)
{
    const wf_pattern *x = m->x;
    const int got = pcre2_match(x->code, (PCRE2_SPTR)m->p + m->from, m->end - m->from,
                                m->next - m->from, PCRE2_NOTEMPTY | PCRE2_NO_UTF_CHECK, x->match,
                                x->limits);
    if (got == PCRE2_ERROR_NOMATCH) return false;
    if (got < 0) {
        wf_fail(c, got == PCRE2_ERROR_NOMEMORY ? WF_ENOMEM : WF_EFORMAT,
                "%s: a pattern needs more than %d steps to match a text", x->name, MOST_STEPS);
        return false;
    }
    const PCRE2_SIZE *span = pcre2_get_ovector_pointer(x->match);
    *at = m->from + span[0];
    *end = m->from + span[1];
    m->next = *end;
    return true;
}

bool wf_pattern_next(wf_ctx *c, wf_matches *m, size_t *at, size_t *end)
{
    while (!wf_has_failed(c)) {
        if (m->next < m->end && find_in(c, m, at, end)) return true;
        m->from = m->end;
        while (m->from < m->n && wf_utf8_span(m->p + m->from, m->n - m->from) == 0) m->from++;
        if (m->from == m->n) return false;
        m->end = m->from + wf_utf8_span(m->p + m->from, m->n - m->from);
        m->next = m->from;
    }
    return false;
}
