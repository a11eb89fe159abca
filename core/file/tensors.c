/*
 * tensors.c - safetensors: single files and sharded sets, mapped.
 *
 * A tensor exists only if its bytes lie inside the file, its shape and dtype give exactly that many
 * bytes, and the ranges of all tensors cover the data without holes or overlaps. All of it is
 * checked when the file is opened, against the size that the system reports.
 * Source: the format section of the safetensors README, and the reference's validation.
 */
#include "core/file/tensors_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file/bytes.h"
#include "core/file/file_map.h"
#include "core/file/json.h"

enum {
    MAX_HEADER_BYTES = 100000000,       /* the reference's limit */
    MAX_TENSORS = 1000000,
    MAX_NAME_BYTES = 1024,
    MAX_FILES = 10000
};

/* The dtypes of the format: name, bits, and what weft calls it. */
static const struct { const char *text; unsigned bits; wf_dtype dtype;
} formats[] = {
    {"F32", 32, WF_DTYPE_F32},
    {"F16", 16, WF_DTYPE_F16},
    {"BF16", 16, WF_DTYPE_BF16},
    {"F64", 64, WF_DTYPE_F64},
    {"I64", 64, WF_DTYPE_I64},
    {"I32", 32, WF_DTYPE_I32},
    {"U8", 8, WF_DTYPE_U8},
    {"I8", 8, WF_DTYPE_I8},
    {"BOOL", 8, WF_DTYPE_BOOL},
    {"I16", 16, WF_DTYPE_COUNT},
    {"U16", 16, WF_DTYPE_COUNT},
    {"U32", 32, WF_DTYPE_COUNT},
    {"U64", 64, WF_DTYPE_COUNT},
    {"C64", 64, WF_DTYPE_COUNT},
    {"F8_E5M2", 8, WF_DTYPE_COUNT},
    {"F8_E4M3", 8, WF_DTYPE_COUNT},
    {"F8_E8M0", 8, WF_DTYPE_COUNT},
    {"F8_E5M2FNUZ", 8, WF_DTYPE_COUNT},
    {"F8_E4M3FNUZ", 8, WF_DTYPE_COUNT},
    {"F6_E2M3", 6, WF_DTYPE_COUNT},
    {"F6_E3M2", 6, WF_DTYPE_COUNT},
    {"F4", 4, WF_DTYPE_COUNT},
};

enum { N_FORMATS = sizeof formats / sizeof formats[0] };

const char *wfi_tensors_format(wf_dtype t)
{
    for (int i = 0; i < N_FORMATS; i++)
        if (formats[i].dtype == t) return formats[i].text;
    return NULL;
}

typedef struct entry {
    const char *name;                   /* borrowed from the file's header */
    int format, file;
    wf_shape shape;
    size_t begin, end;                  /* from the start of the file */
} entry;

typedef struct source {
    wf_file_map *map;
    wf_json *header;
    size_t data_at;                     /* where the header ends */
} source;

struct wf_tensors {
    wf_mem *mem;
    source *files;
    int64_t n_files;
    entry *entries;                     /* sorted by name */
    int64_t n, cap;
    char path[];
};

/* ---- one entry of a header ---- */

/* What every check of an entry needs for its message. */
typedef struct reading {
    wf_ctx *c;
    const char *path;
    const source *file;
    char name[WF_QUOTE_MAX];            /* quoted */
} reading;

static wf_status refuse(const reading *r, const char *fmt, ...) WF_PRINTF(2, 3);

static wf_status refuse(const reading *r, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return wf_fail_status(r->c, WF_EFORMAT, "%s: tensor \"%s\": %s", r->path, r->name, text);
}

static wf_status read_format(const reading *r, const wf_json *j, entry *e)
{
    char q[WF_QUOTE_MAX];
    const char *text = wf_json_text(wf_json_find(j, "dtype"), NULL);
    if (!text) return refuse(r, "has no dtype");
    for (e->format = 0; e->format < N_FORMATS; e->format++)
        if (strcmp(formats[e->format].text, text) == 0) return WF_OK;
    return refuse(r, "unknown dtype \"%s\"", wf_quote(q, sizeof q, text, strlen(text)));
}

/* A dim or an offset: a whole number, written without sign, fraction or exponent. */
static wf_status read_whole(const reading *r, const wf_json *j, const char *what, int64_t *out)
{
    *out = wf_json_int(j, -1);
    return *out >= 0 ? WF_OK : refuse(r, "%s is not a whole number from 0 on", what);
}

static wf_status read_shape(const reading *r, const wf_json *j, entry *e)
{
    const wf_json *dims = wf_json_find(j, "shape");
    if (!wf_json_is_array(dims)) return refuse(r, "has no shape");
    if (wf_json_count(dims) > WF_MAX_RANK)
        return refuse(r, "has %lld dims, at most %d are read", (long long)wf_json_count(dims),
                      WF_MAX_RANK);
    e->shape.rank = (int)wf_json_count(dims);
    for (int d = 0; d < e->shape.rank; d++)
        WF_TRY(read_whole(r, wf_json_at(dims, d), "a dim", &e->shape.dims[d]));
    return WF_OK;
}

static wf_status read_span(const reading *r, const wf_json *j, entry *e)
{
    const wf_json *span = wf_json_find(j, "data_offsets");
    const size_t data_bytes = wf_file_map_get_bytes(r->file->map) - r->file->data_at;
    int64_t at[2];
    if (!wf_json_is_array(span) || wf_json_count(span) != 2)
        return refuse(r, "has no pair of data_offsets");
    for (int i = 0; i < 2; i++) WF_TRY(read_whole(r, wf_json_at(span, i), "an offset", &at[i]));
    if (at[0] > at[1])
        return refuse(r, "begins at offset %lld and ends before it, at %lld", (long long)at[0],
                      (long long)at[1]);
    if ((size_t)at[1] > data_bytes)
        return refuse(r, "ends at offset %lld of %zu bytes of data: %lld bytes missing; the "
                      "download is probably incomplete", (long long)at[1], data_bytes,
                      (long long)at[1] - (long long)data_bytes);
    e->begin = r->file->data_at + (size_t)at[0];
    e->end = r->file->data_at + (size_t)at[1];
    return WF_OK;
}

static wf_status check_bytes(const reading *r, const entry *e)
{
    char text[160];
    size_t bits = 0;
    const int64_t n = wf_shape_numel(&e->shape);
    wf_shape_text(&e->shape, text, sizeof text);
    if (n < 0 || !wf_size_mul((size_t)n, formats[e->format].bits, &bits))
        return refuse(r, "shape %s overflows", text);
    if (bits % 8) return refuse(r, "%s %s ends inside a byte", formats[e->format].text, text);
    if (bits / 8 != e->end - e->begin)
        return refuse(r, "%s %s is %zu bytes, its range at offset %zu holds %zu",
                      formats[e->format].text, text, bits / 8, e->begin, e->end - e->begin);
    return WF_OK;
}

static wf_status read_entry(reading *r, const char *name, const wf_json *j, entry *e)
{
    e->name = name;
    const size_t n = strlen(e->name);
    wf_quote(r->name, sizeof r->name, e->name, n);
    if (n > MAX_NAME_BYTES)
        return refuse(r, "the name has %zu bytes, at most %d are read", n, MAX_NAME_BYTES);
    if (!wf_json_is_object(j)) return refuse(r, "is not described by an object");
    WF_TRY(read_format(r, j, e));
    WF_TRY(read_shape(r, j, e));
    WF_TRY(read_span(r, j, e));
    return check_bytes(r, e);
}

/* ---- one file ---- */

static int by_begin(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return x->end < y->end ? -1 : x->end > y->end;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const entry *)a)->name, ((const entry *)b)->name);
}

/* The ranges of a file's entries must follow each other from the header to the end. */
static wf_status check_cover(reading *r, entry *e, int64_t n)
{
    char before[WF_QUOTE_MAX] = "the header";
    const size_t bytes = wf_file_map_get_bytes(r->file->map);
    size_t at = r->file->data_at;
    if (n) qsort(e, (size_t)n, sizeof *e, by_begin);
    for (int64_t i = 0; i < n; i++) {
        wf_quote(r->name, sizeof r->name, e[i].name, strlen(e[i].name));
        if (e[i].begin < at) return refuse(r, "overlaps \"%s\" at offset %zu", before, e[i].begin);
        if (e[i].begin > at)
            return refuse(r, "leaves a hole of %zu bytes after \"%s\" at offset %zu",
                          e[i].begin - at, before, at);
        at = e[i].end;
        snprintf(before, sizeof before, "%s", r->name);
    }
    if (at == bytes) return WF_OK;
    return wf_fail_status(r->c, WF_EFORMAT, "%s: offset %zu: %zu extra bytes after the last tensor",
                          r->path, at, bytes - at);
}

/* Refuse m, saying what else it looks like where that is known. */
static wf_status refuse_file(wf_ctx *c, const wf_file_map *m, const char *fmt, ...) WF_PRINTF(3, 4);

static wf_status refuse_file(wf_ctx *c, const wf_file_map *m, const char *fmt, ...)
{
    char text[512];
    const char *path = wf_file_map_get_path(m);
    const char *guess = wf_file_guess(wf_file_map_get_data(m), wf_file_map_get_bytes(m));
    if (guess)
        return wf_fail_status(c, WF_EFORMAT, "%s: is %s, not a safetensors file", path, guess);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return wf_fail_status(c, WF_EFORMAT, "%s: %s", path, text);
}

/* Parse s's header and find where its data begin. */
static wf_status read_header(wf_ctx *c, source *s)
{
    const uint8_t *data = wf_file_map_get_data(s->map);
    const size_t bytes = wf_file_map_get_bytes(s->map);
    if (bytes < 8)
        return refuse_file(c, s->map, "is %zu bytes, a safetensors file has at least 8", bytes);
    wf_cursor k = wf_cursor_over(c, s->map);
    const uint64_t n = wf_cursor_u64le(&k, "the header's length");
    if (n > bytes - 8)
        return refuse_file(c, s->map,
                           "offset 0: the header is %llu bytes long, the file has %zu in "
                           "all",
                           (unsigned long long)n, bytes);
    if (n > MAX_HEADER_BYTES)
        return refuse_file(c, s->map,
                           "offset 0: the header is %llu bytes long, at most %d are read",
                           (unsigned long long)n, MAX_HEADER_BYTES);
    s->data_at = 8 + (size_t)n;
    size_t text_bytes = (size_t)n;
    while (text_bytes && data[8 + text_bytes - 1] == ' ') text_bytes--;
    if (!text_bytes || data[8] != '{' || data[8 + text_bytes - 1] != '}')
        return refuse_file(c, s->map, "offset 8: the header is not a JSON object");
    s->header = wf_json_parse(c, (const char *)data + 8, text_bytes, wf_file_map_get_path(s->map));
    return wf_get_status(c);
}

static wf_status check_metadata(wf_ctx *c, const wf_json *header, const char *path)
{
    const wf_json *meta = wf_json_find(header, "__metadata__");
    if (meta && !wf_json_is_object(meta))
        return wf_fail_status(c, WF_EFORMAT, "%s: __metadata__ is not an object", path);
    for (int64_t i = 0; i < wf_json_count(meta); i++)
        if (!wf_json_is_text(wf_json_at(meta, i)))
            return wf_fail_status(c, WF_EFORMAT, "%s: __metadata__ holds a value that is no text",
                                  path);
    return WF_OK;
}

static bool grow(wf_ctx *c, wf_tensors *f, int64_t more)
{
    if (f->n + more <= f->cap) return true;
    const int64_t cap = f->n + more > 2 * f->cap ? f->n + more : 2 * f->cap;
    entry *e = wf_mem_alloc(f->mem, (size_t)cap * sizeof *e);
    if (!e) {
        wf_fail(c, WF_ENOMEM, "%s: no memory for %lld tensors", f->path, (long long)cap);
        return false;
    }
    if (f->n) memcpy(e, f->entries, (size_t)f->n * sizeof *e);
    wf_mem_free(f->mem, f->entries);
    f->entries = e;
    f->cap = cap;
    return true;
}

static wf_status read_entries(wf_ctx *c, wf_tensors *f, int file)
{
    const source *s = &f->files[file];
    reading r = {.c = c, .path = wf_file_map_get_path(s->map), .file = s};
    const int64_t count = wf_json_count(s->header);
    if (f->n + count > MAX_TENSORS)
        return wf_fail_status(c, WF_EFORMAT, "%s: more than %d tensors", r.path, MAX_TENSORS);
    if (!grow(c, f, count)) return wf_get_status(c);
    entry *e = f->entries + f->n;
    int64_t n = 0;
    for (int64_t i = 0; i < count; i++) {
        const char *name = wf_json_key_at(s->header, i);
        if (strcmp(name, "__metadata__") == 0) continue;
        e[n].file = file;
        WF_TRY(read_entry(&r, name, wf_json_at(s->header, i), &e[n++]));
    }
    f->n += n;
    return check_cover(&r, e, n);
}

/* Take over map as the next file of f (room is there), and read its header. */
static wf_status add_file(wf_ctx *c, wf_tensors *f, wf_file_map *map)
{
    if (!map) return wf_get_status(c);
    source *s = &f->files[f->n_files++];
    s->map = map;
    WF_TRY(read_header(c, s));
    WF_TRY(check_metadata(c, s->header, wf_file_map_get_path(map)));
    return read_entries(c, f, (int)f->n_files - 1);
}

/* ---- sharded sets ---- */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Distinct values of the object weight_map, sorted; borrowed from it. */
static int64_t shard_names(const wf_json *map, const char **names)
{
    const int64_t n = wf_json_count(map);
    int64_t unique = 0;
    for (int64_t i = 0; i < n; i++) names[i] = wf_json_text(wf_json_at(map, i), "");
    if (n) qsort(names, (size_t)n, sizeof *names, by_text);
    for (int64_t i = 0; i < n; i++)
        if (!unique || strcmp(names[unique - 1], names[i]) != 0) names[unique++] = names[i];
    return unique;
}

/* Every tensor that the index lists must be in the shard that it names. */
static wf_status check_index(wf_ctx *c, const wf_tensors *f, const wf_json *map)
{
    char q[WF_QUOTE_MAX];
    for (int64_t i = 0; i < wf_json_count(map); i++) {
        const char *name = wf_json_key_at(map, i), *shard = wf_json_text(wf_json_at(map, i), "");
        const int64_t k = wf_tensors_find(f, name);
        const char *path = k < 0 ? "" : wf_file_map_get_path(f->files[f->entries[k].file].map);
        const char *base = strrchr(path, '/');
        if (k >= 0 && strcmp(base ? base + 1 : path, shard) == 0) continue;
        return wf_fail_status(c, WF_EFORMAT,
                              "%s: says that tensor \"%s\" is in %.100s, which has no such "
                              "tensor",
                              f->path, wf_quote(q, sizeof q, name, strlen(name)), shard);
    }
    return WF_OK;
}

static wf_status check_names(wf_ctx *c, wf_tensors *f)
{
    char q[WF_QUOTE_MAX];
    if (f->n) qsort(f->entries, (size_t)f->n, sizeof *f->entries, by_name);
    for (int64_t i = 1; i < f->n; i++) {
        const entry *a = &f->entries[i - 1], *b = &f->entries[i];
        if (strcmp(a->name, b->name) == 0)
            return wf_fail_status(c, WF_EFORMAT, "%s: tensor \"%s\": stands in %s too",
                                  wf_file_map_get_path(f->files[b->file].map),
                                  wf_quote(q, sizeof q, b->name, strlen(b->name)),
                                  wf_file_map_get_path(f->files[a->file].map));
    }
    return WF_OK;
}

static wf_status open_shards(wf_ctx *c, wf_tensors *f, const wf_json *map, const char **names)
{
    char folder[4096] = ".";
    const char *slash = strrchr(f->path, '/');
    if (slash && (size_t)(slash - f->path) < sizeof folder)
        snprintf(folder, sizeof folder, "%.*s", (int)(slash - f->path), f->path);
    if (slash == f->path) snprintf(folder, sizeof folder, "/");
    const int64_t n = shard_names(map, names);
    if (n > MAX_FILES)
        return wf_fail_status(c, WF_EFORMAT, "%s: names %lld files, at most %d are read", f->path,
                              (long long)n, MAX_FILES);
    f->files = wf_mem_calloc(f->mem, (size_t)n * sizeof *f->files + 1);
    if (!f->files) return wf_fail_status(c, WF_ENOMEM, "%s: no memory to open it", f->path);
    for (int64_t i = 0; i < n; i++)
        WF_TRY(add_file(c, f, wf_file_map_open_in(c, folder, names[i])));
    WF_TRY(check_names(c, f));
    return check_index(c, f, map);
}

static wf_status open_index(wf_ctx *c, wf_tensors *f)
{
    wf_json *doc = wf_json_load(c, f->path);
    if (!doc) return wf_get_status(c);
    const wf_json *map = wf_json_find(doc, "weight_map");
    wf_status st = WF_OK;
    if (!wf_json_is_object(map))
        st = wf_fail_status(c, WF_EFORMAT, "%s: has no object weight_map", f->path);
    const char **names = wf_mem_alloc(f->mem, (size_t)wf_json_count(map) * sizeof *names + 1);
    if (!names) st = wf_fail_status(c, WF_ENOMEM, "%s: no memory to open it", f->path);
    if (st == WF_OK) st = open_shards(c, f, map, names);
    wf_mem_free(f->mem, names);
    wf_json_free(doc);
    return st;
}

static wf_status open_one(wf_ctx *c, wf_tensors *f)
{
    f->files = wf_mem_calloc(f->mem, sizeof *f->files);
    if (!f->files) return wf_fail_status(c, WF_ENOMEM, "%s: no memory to open it", f->path);
    WF_TRY(add_file(c, f, wf_file_map_open(c, f->path)));
    return check_names(c, f);
}

/* ---- the set ---- */

wf_tensors *wf_tensors_open(wf_ctx *c, const char *path)
{
    if (wf_has_failed(c)) return NULL;
    wf_tensors *f = wf_mem_calloc(wf_ctx_get_mem(c), sizeof *f + strlen(path) + 1);
    if (!f) return wf_fail(c, WF_ENOMEM, "%s: no memory to open it", path);
    f->mem = wf_ctx_get_mem(c);
    memcpy(f->path, path, strlen(path) + 1);
    const wf_status st = wf_ends_with(path, ".json") ? open_index(c, f) : open_one(c, f);
    if (st == WF_OK) return f;
    wf_tensors_close(f);
    return NULL;
}

void wf_tensors_close(wf_tensors *f)
{
    if (!f) return;
    for (int64_t i = 0; i < f->n_files; i++) {
        wf_json_free(f->files[i].header);
        wf_file_map_release(f->files[i].map);
    }
    wf_mem_free(f->mem, f->files);
    wf_mem_free(f->mem, f->entries);
    wf_mem_free(f->mem, f);
}

int64_t wf_tensors_get_count(const wf_tensors *f) { return f->n; }
const char *wf_tensors_get_name(const wf_tensors *f, int64_t i) { return f->entries[i].name; }
wf_shape wf_tensors_get_shape(const wf_tensors *f, int64_t i) { return f->entries[i].shape; }
const char *wf_tensors_get_path(const wf_tensors *f) { return f->path; }

wf_dtype wf_tensors_get_dtype(const wf_tensors *f, int64_t i)
{
    return formats[f->entries[i].format].dtype;
}

const char *wf_tensors_get_dtype_text(const wf_tensors *f, int64_t i)
{
    return formats[f->entries[i].format].text;
}

int64_t wf_tensors_find(const wf_tensors *f, const char *name)
{
    if (!f->n) return -1;
    const entry want = {.name = name};
    const entry *e = bsearch(&want, f->entries, (size_t)f->n, sizeof *e, by_name);
    return e ? e - f->entries : -1;
}

const char *wf_tensors_get_meta(const wf_tensors *f, const char *key)
{
    for (int64_t i = 0; i < f->n_files; i++) {
        const wf_json *meta = wf_json_find(f->files[i].header, "__metadata__");
        const char *text = wf_json_text(wf_json_find(meta, key), NULL);
        if (text) return text;
    }
    return NULL;
}

wf_status wf_tensors_check(wf_ctx *c, const wf_tensors *f)
{
    for (int64_t i = 0; i < f->n_files; i++) WF_TRY(wf_file_map_check(c, f->files[i].map));
    return WF_OK;
}

/* Owner of a copied tensor's bytes, which follow it in the same block. */
typedef struct copy {
    wf_mem *mem;
} copy;

static void drop_copy(void *owner)
{
    copy *k = owner;
    wf_mem_free(k->mem, k);
}

static wf_tensor *get_copy(wf_ctx *c, const wf_tensors *f, const entry *e, const uint8_t *data)
{
    enum { HEAD = 64 };                 /* keeps the alignment of blocks */
    const size_t bytes = e->end - e->begin;
    copy *k = wf_mem_alloc(f->mem, HEAD + bytes);
    if (!k) return wf_fail(c, WF_ENOMEM, "%s: tensor \"%s\": no memory for %zu bytes", f->path,
                           e->name, bytes);
    k->mem = f->mem;
    memcpy((char *)k + HEAD, data, bytes);
    return wf_from_foreign(c, formats[e->format].dtype, &e->shape, (char *)k + HEAD, drop_copy, k);
}

wf_tensor *wf_tensors_get(wf_ctx *c, wf_tensors *f, int64_t i)
{
    char q[WF_QUOTE_MAX];
    if (wf_has_failed(c)) return NULL;
    if (i < 0 || i >= f->n)
        return wf_fail(c, WF_EARG, "%s: has no tensor %lld", f->path, (long long)i);
    const entry *e = &f->entries[i];
    const wf_dtype t = formats[e->format].dtype;
    if (t == WF_DTYPE_COUNT)
        return wf_fail(c, WF_EUNSUPPORTED, "%s: tensor \"%s\": dtype %s cannot be loaded", f->path,
                       wf_quote(q, sizeof q, e->name, strlen(e->name)), formats[e->format].text);
    wf_file_map *map = f->files[e->file].map;
    const uint8_t *data = wf_file_map_get_data(map) + e->begin;
    if ((uintptr_t)data % wf_dtype_block_bytes(t) != 0) return get_copy(c, f, e, data);
    return wf_from_foreign(c, t, &e->shape, data, wf_file_map_drop, wf_file_map_retain(map));
}
