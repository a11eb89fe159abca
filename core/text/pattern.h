/* pattern.h - regular expressions as tokenizer files hold them, over PCRE2. */
#ifndef WF_CORE_PATTERN_H
#define WF_CORE_PATTERN_H

#include "core/base/ctx.h"

typedef struct wf_pattern wf_pattern;

/* Compile text, a pattern of UTF-8 whose classes are Unicode's. is_plain: text is the string
 * itself. Owned; NULL once c has failed: WF_EFORMAT names path. */
wf_pattern *wf_pattern_new(wf_ctx *c, const char *text, bool is_plain, const char *path);
void wf_pattern_free(wf_pattern *p);         /* NULL is fine */

/* The first match in p[0..n) at or after from, never an empty one: true, and its bytes
 * *at ... *end. Fails c with WF_EFORMAT when the pattern takes too long. */
bool wf_pattern_find(wf_ctx *c, const wf_pattern *x, const char *p, size_t n, size_t from,
                     size_t *at, size_t *end);

#endif
