/* pattern.h - regular expressions as tokenizer files hold them, over PCRE2. */
#ifndef WF_CORE_PATTERN_H
#define WF_CORE_PATTERN_H

#include <stddef.h>

#include "core/base/ctx.h"

typedef struct wf_pattern wf_pattern;

/* Compile text, a pattern of UTF-8 whose classes are Unicode's. is_plain: text is the string
 * itself. Owned; NULL once c has failed: WF_EFORMAT names path. */
wf_pattern *wf_pattern_new(wf_ctx *c, const char *text, bool is_plain, const char *path);
void wf_pattern_free(wf_pattern *p);         /* NULL is fine */

/* The matches of a pattern in p[0..n), one after the other. Bytes that are no UTF-8 match nothing
 * and end what is around them. Set the first three; the rest starts as 0. */
typedef struct wf_matches {
    const wf_pattern *x;
    const char *p;
    size_t n;
    size_t next;                         /* where the next match may begin */
    size_t from, end;                    /* the stretch of UTF-8 around next */
} wf_matches;

/* The next match, never an empty one: true, and its bytes *at ... *end. Fails c with WF_EFORMAT
 * when the pattern takes too long. */
bool wf_pattern_next(wf_ctx *c, wf_matches *m, size_t *at, size_t *end);

#endif
