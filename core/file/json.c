/*
 * json.c - JSON documents over jansson: a tree of our own nodes, so that every value knows its
 * document.
 *
 * All nodes of a document stand in one block, children of a value side by side in file order; an
 * object also has its children by sorted key. Python's -Infinity and Infinity are read as such.
 */
#include "core/file/json.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/file/bytes.h"
#include "core/file/file_map.h"

enum {
    MAX_DEPTH = 64,             /* configs nest to 6, tokenizers to 8 */
    MAX_BYTES = 256 << 20       /* the largest public tokenizer.json is 33 MB */
};

static const double INFINITE = 1.7e308;    /* stands for Infinity in the text given to jansson */

typedef struct json_doc {
    wf_mem *mem;
    json_t *tree;
    wf_json *nodes;             /* nodes[0] is the document itself */
    wf_json **by_key;
    char *name;
} json_doc;

struct wf_json {
    json_doc *doc;
    json_t *value;
    const char *key;            /* of a member of an object, else NULL */
    wf_json *kids;
    wf_json **by_key;           /* kids sorted by key; objects only */
    int64_t n_kids;
};

/* ---- reading ---- */

/* Nesting of text, strings skipped; the deepest level reached. */
static int depth_of(const char *text, size_t bytes)
{
    int depth = 0, deepest = 0;
    bool quoted = false;
    for (size_t i = 0; i < bytes && deepest <= MAX_DEPTH; i++) {
        const char ch = text[i];
        if (quoted && ch == '\\') i++;
        else if (ch == '"') quoted = !quoted;
        else if (quoted) continue;
        else if (ch == '[' || ch == '{') deepest = ++depth > deepest ? depth : deepest;
        else if (ch == ']' || ch == '}') depth--;
    }
    return deepest;
}

/* Python writes infinite floats as a word that JSON does not have: a number of the same length
 * takes its place, which as_number turns back. */
static void replace_infinity(char *text, size_t bytes)
{
    static const char word[] = "Infinity", number[] = "1.70e308";
    const size_t n = sizeof word - 1;
    bool quoted = false;
    for (size_t i = 0; i < bytes; i++) {
        if (quoted && text[i] == '\\') i++;
        else if (text[i] == '"') quoted = !quoted;
        else if (!quoted && bytes - i >= n && memcmp(text + i, word, n) == 0)
            memcpy(text + i, number, n);
    }
}

static int64_t count_nodes(json_t *v)
{
    int64_t n = 1;
    if (json_is_array(v))
        for (size_t i = 0; i < json_array_size(v); i++) n += count_nodes(json_array_get(v, i));
    for (void *it = json_object_iter(v); it; it = json_object_iter_next(v, it))
        n += count_nodes(json_object_iter_value(it));
    return n;
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp((*(wf_json *const *)a)->key, (*(wf_json *const *)b)->key);
}

/* Fill node from v; *next is the first free node, and slot of by_key, of the document. */
static void fill_node(json_doc *d, wf_json *node, json_t *v, const char *key, int64_t *next)
{
    const size_t n = json_is_array(v) ? json_array_size(v) : json_object_size(v);
    *node = (wf_json){.doc = d, .value = v, .key = key, .n_kids = (int64_t)n};
    if (n == 0) return;
    node->kids = d->nodes + *next;
    node->by_key = json_is_object(v) ? d->by_key + *next : NULL;
    *next += (int64_t)n;
    if (json_is_array(v)) {
        for (size_t i = 0; i < n; i++)
            fill_node(d, node->kids + i, json_array_get(v, i), NULL, next);
        return;
    }
    void *it = json_object_iter(v);
    for (size_t i = 0; i < n; i++, it = json_object_iter_next(v, it)) {
        node->by_key[i] = node->kids + i;
        fill_node(d, node->kids + i, json_object_iter_value(it), json_object_iter_key(it), next);
    }
    qsort(node->by_key, n, sizeof *node->by_key, compare_keys);
}

static void free_doc(json_doc *d)
{
    json_decref(d->tree);
    wf_mem_free(d->mem, d->name);
    wf_mem_free(d->mem, d->nodes);
    wf_mem_free(d->mem, d->by_key);
    wf_mem_free(d->mem, d);
}

static wf_json *make_doc(wf_ctx *c, json_t *tree, const char *what)
{
    wf_mem *m = wf_ctx_get_mem(c);
    const size_t n = (size_t)count_nodes(tree);
    json_doc *d = wf_mem_calloc(m, sizeof *d);
    if (!d) {
        json_decref(tree);
        return wf_fail(c, WF_ENOMEM, "%s: no memory for the document", what);
    }
    *d = (json_doc){.mem = m, .tree = tree, .nodes = wf_mem_alloc(m, n * sizeof *d->nodes),
                    .by_key = wf_mem_alloc(m, n * sizeof *d->by_key),
                    .name = wf_mem_alloc(m, strlen(what) + 1)};
    if (!d->nodes || !d->by_key || !d->name) {
        free_doc(d);
        return wf_fail(c, WF_ENOMEM, "%s: no memory for the document", what);
    }
    memcpy(d->name, what, strlen(what) + 1);
    int64_t next = 1;
    fill_node(d, d->nodes, tree, NULL, &next);
    return d->nodes;
}

/* Parse text, which is overwritten. */
static wf_json *parse_buffer(wf_ctx *c, char *text, size_t bytes, const char *what)
{
    char q[WF_QUOTE_MAX];
    json_error_t e;
    if (depth_of(text, bytes) > MAX_DEPTH)
        return wf_fail(c, WF_EFORMAT, "%s: nested deeper than %d levels", what, MAX_DEPTH);
    replace_infinity(text, bytes);
    json_t *tree = json_loadb(text, bytes, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &e);
    if (!tree)
        return wf_fail(c, WF_EFORMAT, "%s: not JSON: %s (line %d, column %d)", what,
                       wf_quote(q, sizeof q, e.text, strlen(e.text)), e.line, e.column);
    return make_doc(c, tree, what);
}

wf_json *wf_json_parse(wf_ctx *c, const char *text, size_t bytes, const char *what)
{
    if (wf_has_failed(c)) return NULL;
    if (bytes > MAX_BYTES)
        return wf_fail(c, WF_EFORMAT, "%s: %zu bytes of JSON, the most is %d", what, bytes,
                       MAX_BYTES);
    char *copy = wf_mem_alloc(wf_ctx_get_mem(c), bytes + 1);
    if (!copy) return wf_fail(c, WF_ENOMEM, "%s: no memory for its text", what);
    if (bytes) memcpy(copy, text, bytes);
    wf_json *doc = parse_buffer(c, copy, bytes, what);
    wf_mem_free(wf_ctx_get_mem(c), copy);
    return doc;
}

wf_json *wf_json_load(wf_ctx *c, const char *path)
{
    wf_file_map *m = wf_file_map_open(c, path);
    if (!m) return NULL;
    wf_json *doc = wf_json_parse(c, (const char *)wf_file_map_get_data(m),
                                 wf_file_map_get_bytes(m), path);
    wf_file_map_release(m);
    return doc;
}

void wf_json_free(wf_json *doc)
{
    if (doc) free_doc(doc->doc);
}

/* ---- looking ---- */

bool wf_json_is_array(const wf_json *j) { return j && json_is_array(j->value); }
bool wf_json_is_object(const wf_json *j) { return j && json_is_object(j->value); }
bool wf_json_is_text(const wf_json *j) { return j && json_is_string(j->value); }
bool wf_json_is_null(const wf_json *j) { return !j || json_is_null(j->value); }
int64_t wf_json_count(const wf_json *j) { return j ? j->n_kids : 0; }

bool wf_json_has(const wf_json *j, const char *key)
{
    return !wf_json_is_null(wf_json_find(j, key));
}

const wf_json *wf_json_find(const wf_json *j, const char *key)
{
    if (!wf_json_is_object(j) || j->n_kids == 0) return NULL;
    const wf_json probe = {.key = key}, *p = &probe;
    wf_json **hit = bsearch(&p, j->by_key, (size_t)j->n_kids, sizeof *j->by_key, compare_keys);
    return hit ? *hit : NULL;
}

const wf_json *wf_json_at(const wf_json *j, int64_t i)
{
    return j && i >= 0 && i < j->n_kids ? j->kids + i : NULL;
}

const char *wf_json_key_at(const wf_json *j, int64_t i)
{
    const wf_json *kid = wf_json_at(j, i);
    return kid ? kid->key : NULL;
}

/* ---- values ---- */

static double as_number(const json_t *v)
{
    const double x = json_number_value(v);
    return fabs(x) >= INFINITE ? copysign(INFINITY, x) : x;
}

int64_t wf_json_int(const wf_json *j, int64_t fallback)
{
    return j && json_is_integer(j->value) ? (int64_t)json_integer_value(j->value) : fallback;
}

double wf_json_number(const wf_json *j, double fallback)
{
    return j && json_is_number(j->value) ? as_number(j->value) : fallback;
}

bool wf_json_bool(const wf_json *j, bool fallback)
{
    return j && json_is_boolean(j->value) ? json_is_true(j->value) : fallback;
}

const char *wf_json_text(const wf_json *j, const char *fallback)
{
    return j && json_is_string(j->value) ? json_string_value(j->value) : fallback;
}

static void fail_type(wf_ctx *c, const wf_json *j, const char *key, const char *wanted)
{
    wf_fail(c, WF_EFORMAT, "%s: \"%s\" must be %s", j->doc->name, key, wanted);
}

int64_t wf_json_get_int(wf_ctx *c, const wf_json *j, const char *key, int64_t fallback)
{
    const wf_json *v = wf_json_find(j, key);
    if (!wf_json_is_null(v) && !json_is_integer(v->value)) fail_type(c, j, key, "a whole number");
    return wf_json_int(v, fallback);
}

double wf_json_get_number(wf_ctx *c, const wf_json *j, const char *key, double fallback)
{
    const wf_json *v = wf_json_find(j, key);
    if (!wf_json_is_null(v) && !json_is_number(v->value)) fail_type(c, j, key, "a number");
    return wf_json_number(v, fallback);
}

bool wf_json_get_bool(wf_ctx *c, const wf_json *j, const char *key, bool fallback)
{
    const wf_json *v = wf_json_find(j, key);
    if (!wf_json_is_null(v) && !json_is_boolean(v->value)) fail_type(c, j, key, "true or false");
    return wf_json_bool(v, fallback);
}

const char *wf_json_get_text(wf_ctx *c, const wf_json *j, const char *key, const char *fallback)
{
    const wf_json *v = wf_json_find(j, key);
    if (!wf_json_is_null(v) && !json_is_string(v->value)) fail_type(c, j, key, "text");
    return wf_json_text(v, fallback);
}

/* ---- text of a value ---- */

char *wf_json_write(wf_ctx *c, const wf_json *j)
{
    if (wf_has_failed(c)) return NULL;
    const size_t flags = JSON_INDENT(2) | JSON_ENCODE_ANY | JSON_REAL_PRECISION(17);
    const size_t bytes = json_dumpb(j->value, NULL, 0, flags);
    char *text = bytes ? wf_mem_alloc(wf_ctx_get_mem(c), bytes + 1) : NULL;
    if (!text) return wf_fail(c, WF_ENOMEM, "%s: no memory for its text", j->doc->name);
    json_dumpb(j->value, text, bytes, flags);
    text[bytes] = '\0';
    return text;
}
