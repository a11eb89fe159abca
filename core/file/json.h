/* json.h - JSON documents as the loaders need them, over jansson. */
#ifndef WF_CORE_JSON_H
#define WF_CORE_JSON_H

#include "core/base/ctx.h"

#include <stdint.h>

typedef struct wf_json wf_json;   /* a value; children are borrowed from the document */

/* Parse text / a whole file; what names it in errors. Depth and size are capped, duplicate keys
 * refused. Owned: wf_json_free on the document alone. NULL once c has failed (WF_EFORMAT, WF_EIO).
 */
wf_json *wf_json_parse(wf_ctx *c, const char *text, size_t bytes, const char *what);
wf_json *wf_json_load(wf_ctx *c, const char *path);
void wf_json_free(wf_json *doc);

bool wf_json_has(const wf_json *j, const char *key);               /* present and not null */
const wf_json *wf_json_find(const wf_json *j, const char *key);    /* NULL: absent */
int64_t wf_json_count(const wf_json *j); /* of an array or object, else 0 */
const wf_json *wf_json_at(const wf_json *j,
                          int64_t i); /* element or member in file order, NULL outside */
const char *wf_json_key_at(const wf_json *j,
                           int64_t i); /* of a member; NULL: not an object, or outside */
bool wf_json_is_null(const wf_json *j);                            /* absent counts */
bool wf_json_is_array(const wf_json *j);
bool wf_json_is_object(const wf_json *j);
bool wf_json_is_text(const wf_json *j);

/* Typed reads of j[key]; absent or null gives fallback, another type fails c with WF_EFORMAT naming
 * the document and key. */
int64_t wf_json_get_int(wf_ctx *c, const wf_json *j, const char *key, int64_t fallback);
double wf_json_get_number(wf_ctx *c, const wf_json *j, const char *key, double fallback);
bool wf_json_get_bool(wf_ctx *c, const wf_json *j, const char *key, bool fallback);
const char *wf_json_get_text(wf_ctx *c, const wf_json *j, const char *key, const char *fallback);
int64_t wf_json_int(const wf_json *j, int64_t fallback);           /* of the value itself */
double wf_json_number(const wf_json *j, double fallback);
bool wf_json_bool(const wf_json *j, bool fallback);
const char *wf_json_text(const wf_json *j, const char *fallback);

/* The value as text with a final zero, members in file order. Owned: wf_mem_free of c's memory. */
char *wf_json_write(wf_ctx *c, const wf_json *j);

#endif
