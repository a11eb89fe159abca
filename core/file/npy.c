/*
 * npy.c - one array in NumPy's .npy format.
 *
 * The header is a Python dictionary; only its three keys and literal values are understood.
 * Source: numpy/lib/format.py, versions 1.0 to 3.0.
 */
#include <stdio.h>
#include <string.h>

#include "core/file/bytes.h"
#include "core/file/file_map.h"
#include "core/file/file_write.h"
#include "core/file/tensors.h"

enum { MAX_HEADER_BYTES = 1 << 20 };

static const struct { const char *text; wf_dtype dtype; } kinds[] = {
    {"<f4", WF_DTYPE_F32}, {"<f8", WF_DTYPE_F64}, {"<f2", WF_DTYPE_F16}, {"<i8", WF_DTYPE_I64},
    {"<i4", WF_DTYPE_I32}, {"|u1", WF_DTYPE_U8},  {"|i1", WF_DTYPE_I8},
    {"|b1", WF_DTYPE_BOOL},
};

/* ---- reading ---- */

typedef struct header {
    wf_ctx *c;
    const char *path;
    const char *text;                   /* NUL-terminated */
    wf_dtype dtype;
    wf_shape shape;
} header;

static const char *skip_space(const char *p)
{
    while (*p == ' ' || *p == '\n') p++;
    return p;
}

/* Behind 'key': in the dictionary, or NULL and a failure. */
static const char *find_key(const header *h, const char *key)
{
    char quoted[32];
    snprintf(quoted, sizeof quoted, "'%s'", key);
    const char *p = strstr(h->text, quoted);
    if (p) p = skip_space(p + strlen(quoted));
    if (p && *p == ':') return skip_space(p + 1);
    return wf_fail(h->c, WF_EFORMAT, "%s: the array's header has no '%s'", h->path, key);
}

static wf_status read_kind(header *h)
{
    char q[WF_QUOTE_MAX];
    const char *p = find_key(h, "descr");
    if (!p) return wf_get_status(h->c);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        const size_t n = strlen(kinds[i].text);
        h->dtype = kinds[i].dtype;
        if (*p == '\'' && strncmp(p + 1, kinds[i].text, n) == 0 && p[n + 1] == '\'') return WF_OK;
    }
    return wf_fail_status(h->c, WF_EUNSUPPORTED, "%s: values of kind %s cannot be loaded", h->path,
                          wf_quote(q, sizeof q, p, strcspn(p, ",}")));
}

static wf_status check_order(header *h)
{
    const char *p = find_key(h, "fortran_order");
    if (!p) return wf_get_status(h->c);
    if (strncmp(p, "False", 5) == 0) return WF_OK;
    return wf_fail_status(h->c, WF_EUNSUPPORTED, "%s: is in Fortran order, only C order is read",
                          h->path);
}

/* A whole number at *p, which moves behind it; -1 when there is none or it is too large. */
static int64_t read_whole(const char **p)
{
    int64_t v = **p >= '0' && **p <= '9' ? 0 : -1;
    for (; **p >= '0' && **p <= '9'; ++*p) {
        if (v < 0 || v > (INT64_MAX - 9) / 10) v = -1;
        else v = v * 10 + (**p - '0');
    }
    return v;
}

static wf_status read_shape(header *h)
{
    const char *p = find_key(h, "shape");
    if (!p) return wf_get_status(h->c);
    bool ok = *p == '(';
    if (ok) p = skip_space(p + 1);
    while (ok && *p != ')') {
        ok = h->shape.rank < WF_MAX_RANK;
        if (ok) ok = (h->shape.dims[h->shape.rank++] = read_whole(&p)) >= 0;
        p = skip_space(p);
        if (*p == ',') p = skip_space(p + 1);
        else if (*p != ')') ok = false;
    }
    if (ok) return WF_OK;
    return wf_fail_status(h->c, WF_EFORMAT, "%s: the array's shape is not one of at most %d whole "
                          "numbers", h->path, WF_MAX_RANK);
}

/* Magic, version and length; returns the header's text as a copy. */
static char *read_head(wf_cursor *k)
{
    const uint8_t *magic = wf_cursor_read(k, 6, "an array's mark");
    if (magic && memcmp(magic, "\x93NUMPY", 6) != 0) {
        const char *guess = wf_file_guess(k->data, k->n);
        return wf_fail(k->c, WF_EFORMAT, "%s: is %s, not a NumPy array", k->name,
                       guess ? guess : "something else");
    }
    const unsigned major = wf_cursor_u8(k, "the version");
    (void)wf_cursor_u8(k, "the version");
    if (!wf_has_failed(k->c) && (major < 1 || major > 3))
        return wf_fail(k->c, WF_EUNSUPPORTED, "%s: version %u of the format, 1 to 3 are read",
                       k->name, major);
    const size_t n = major == 1 ? wf_cursor_u16le(k, "the header's length")
                                : wf_cursor_u32le(k, "the header's length");
    if (n > MAX_HEADER_BYTES)
        return wf_fail(k->c, WF_EFORMAT, "%s: the header is %zu bytes long, at most %d are read",
                       k->name, n, MAX_HEADER_BYTES);
    const uint8_t *text = wf_cursor_read(k, n, "the header");
    return text ? wf_copy_text(k->c, text, n) : NULL;
}

static wf_tensor *read_array(wf_ctx *c, wf_file_map *m, header *h, const wf_cursor *k)
{
    char text[160];
    size_t bytes = 0;
    if (read_kind(h) != WF_OK || check_order(h) != WF_OK || read_shape(h) != WF_OK) return NULL;
    const int64_t n = wf_shape_numel(&h->shape);
    wf_shape_text(&h->shape, text, sizeof text);
    if (n < 0 || !wf_size_mul((size_t)n, wf_dtype_block_bytes(h->dtype), &bytes))
        return wf_fail(c, WF_EFORMAT, "%s: shape %s overflows", h->path, text);
    if (bytes != wf_cursor_left(k))
        return wf_fail(c, WF_EFORMAT, "%s: offset %zu: %s %s is %zu bytes, the file holds %zu",
                       h->path, k->at, wf_dtype_text(h->dtype), text, bytes, wf_cursor_left(k));
    const uint8_t *data = wf_file_map_get_data(m) + k->at;
    if ((uintptr_t)data % wf_dtype_block_bytes(h->dtype) != 0)
        return wf_from_host(c, h->dtype, &h->shape, data);
    return wf_from_foreign(c, h->dtype, &h->shape, data, wf_file_map_drop, wf_file_map_retain(m));
}

wf_tensor *wf_npy_load(wf_ctx *c, const char *path)
{
    wf_file_map *m = wf_file_map_open(c, path);
    if (!m) return NULL;
    wf_cursor k = wf_cursor_over(c, m);
    char *text = read_head(&k);
    header h = {.c = c, .path = path, .text = text};
    wf_tensor *t = text ? read_array(c, m, &h, &k) : NULL;
    wf_mem_free(wf_ctx_get_mem(c), text);
    wf_file_map_release(m);
    return t;
}

/* ---- writing ---- */

static void put_header(wf_bytes *b, const char *kind, wf_tensor *t)
{
    wf_bytes text = {.c = b->c};
    wf_bytes_printf(&text, "{'descr': '%s', 'fortran_order': False, 'shape': (", kind);
    for (int d = 0; d < wf_rank(t); d++)
        wf_bytes_printf(&text, wf_rank(t) == 1 ? "%lld," : d ? ", %lld" : "%lld",
                        (long long)wf_dim(t, d));
    wf_bytes_put_text(&text, "), }");
    while ((10 + text.n + 1) % 64 && !wf_has_failed(b->c)) wf_bytes_put_text(&text, " ");
    wf_bytes_put_text(&text, "\n");
    wf_bytes_put(b, "\x93NUMPY\x01\x00", 8);
    wf_bytes_put_u8(b, (uint8_t)text.n);
    wf_bytes_put_u8(b, (uint8_t)(text.n >> 8));
    wf_bytes_put(b, text.data, text.n);
    wf_bytes_free(&text);
}

wf_status wf_npy_save(wf_ctx *c, const char *path, wf_tensor *t)
{
    if (wf_has_failed(c)) return wf_get_status(c);
    const char *kind = NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (kinds[i].dtype == wf_get_dtype(t)) kind = kinds[i].text;
    if (!kind)
        return wf_fail_status(c, WF_EDTYPE, "%s: NumPy has no %s", path,
                              wf_dtype_text(wf_get_dtype(t)));
    const size_t bytes = wf_tensor_bytes(t);
    void *host = wf_mem_alloc(wf_ctx_get_mem(c), bytes + 1);
    if (!host) return wf_fail_status(c, WF_ENOMEM, "%s: no memory for %zu bytes", path, bytes);
    wf_bytes b = {.c = c};
    put_header(&b, kind, t);
    wf_file_write *w = NULL;
    if (wf_to_host(c, t, host, bytes) == WF_OK) w = wf_file_write_open(c, path, true);
    (void)wf_file_write_put(c, w, b.data, b.n);
    (void)wf_file_write_put(c, w, host, bytes);
    const wf_status st = wf_file_write_commit(c, w);
    wf_bytes_free(&b);
    wf_mem_free(wf_ctx_get_mem(c), host);
    return st;
}
