/*
 * tensors_save.c - writing safetensors: the header sorted by name, the data by width and name, so
 * that every tensor lies aligned and equal tensors give equal bytes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file/bytes.h"
#include "core/file/file_write.h"
#include "core/file/tensors_impl.h"

/* One tensor to write. Wide dtypes come first, so that everything lies aligned. */
typedef struct item {
    const char *name;
    wf_tensor *t;
    const char *format;
    size_t unit, bytes, begin;
} item;

static int by_item_name(const void *a, const void *b)
{
    return strcmp(((const item *)a)->name, ((const item *)b)->name);
}

static int by_place(const void *a, const void *b)
{
    const item *x = a, *y = b;
    if (x->unit != y->unit) return x->unit > y->unit ? -1 : 1;
    return strcmp(x->name, y->name);
}

static wf_status fill_item(wf_ctx *c, item *m, const char *name, wf_tensor *t)
{
    char q[WF_QUOTE_MAX];
    if (!t || wf_is_dead(t))
        return wf_fail_status(c, WF_EDEAD, "save: tensor \"%s\" has no values any more", name);
    *m = (item){.name = name, .t = t, .bytes = wf_tensor_bytes(t),
                .unit = wf_dtype_block_bytes(wf_get_dtype(t))};
    m->format = wfi_tensors_format(wf_get_dtype(t));
    if (m->format) return WF_OK;
    return wf_fail_status(c, WF_EDTYPE, "save: tensor \"%s\" is %s, which safetensors cannot hold",
                          wf_quote(q, sizeof q, name, strlen(name)),
                          wf_dtype_text(wf_get_dtype(t)));
}

static wf_status fill_items(wf_ctx *c, item *m, const char *const *names, wf_tensor *const *t,
                            int64_t n)
{
    size_t at = 0;
    for (int64_t i = 0; i < n; i++) WF_TRY(fill_item(c, &m[i], names[i], t[i]));
    if (n) qsort(m, (size_t)n, sizeof *m, by_place);
    for (int64_t i = 0; i < n; i++) {
        m[i].begin = at;
        at += m[i].bytes;
    }
    if (n) qsort(m, (size_t)n, sizeof *m, by_item_name);
    for (int64_t i = 1; i < n; i++)
        if (strcmp(m[i - 1].name, m[i].name) == 0)
            return wf_fail_status(c, WF_EARG, "save: two tensors of the name \"%s\"", m[i].name);
    return WF_OK;
}

static void put_header(wf_bytes *b, const item *m, int64_t n, const char *const *meta, int n_meta)
{
    wf_bytes_put_text(b, "{");
    if (n_meta) wf_bytes_put_text(b, "\"__metadata__\":{");
    for (int i = 0; i < n_meta; i++) {
        wf_bytes_put_text(b, i ? "," : "");
        wf_bytes_put_json(b, meta[2 * i]);
        wf_bytes_put_text(b, ":");
        wf_bytes_put_json(b, meta[2 * i + 1]);
    }
    if (n_meta) wf_bytes_put_text(b, n ? "}," : "}");
    for (int64_t i = 0; i < n; i++) {
        wf_bytes_put_text(b, i ? "," : "");
        wf_bytes_put_json(b, m[i].name);
        wf_bytes_printf(b, ":{\"dtype\":\"%s\",\"shape\":[", m[i].format);
        for (int d = 0; d < wf_rank(m[i].t); d++)
            wf_bytes_printf(b, "%s%lld", d ? "," : "", (long long)wf_dim(m[i].t, d));
        wf_bytes_printf(b, "],\"data_offsets\":[%zu,%zu]}", m[i].begin, m[i].begin + m[i].bytes);
    }
    wf_bytes_put_text(b, "}");
    while (b->n % 8 && !wf_has_failed(b->c)) wf_bytes_put_text(b, " ");
}

/* The header behind its length. */
static void put_head(wf_bytes *b, const item *m, int64_t n, const char *const *meta, int n_meta)
{
    wf_bytes text = {.c = b->c};
    put_header(&text, m, n, meta, n_meta);
    wf_bytes_put_u64le(b, text.n);
    wf_bytes_put(b, text.data, text.n);
    wf_bytes_free(&text);
}

/* The values of t as stored, contiguous: in place where they lie so in host memory. */
static wf_status put_values(wf_ctx *c, wf_file_write *w, wf_tensor *t)
{
    const size_t bytes = wf_tensor_bytes(t);
    const void *data = wf_is_contiguous(t) ? wf_data_const(t) : NULL;
    if (data) return wf_file_write_put(c, w, data, bytes);
    void *host = wf_mem_alloc(wf_ctx_get_mem(c), bytes + 1);
    if (!host) return wf_fail_status(c, WF_ENOMEM, "save: no memory for %zu bytes", bytes);
    wf_status st = wf_to_host(c, t, host, bytes);
    if (st == WF_OK) st = wf_file_write_put(c, w, host, bytes);
    wf_mem_free(wf_ctx_get_mem(c), host);
    return st;
}

static wf_status put_all(wf_ctx *c, wf_file_write *w, const item *m, int64_t n, const wf_bytes *b)
{
    WF_TRY(wf_file_write_put(c, w, b->data, b->n));
    for (int64_t i = 0; i < n; i++) {
        wf_file_write_seek(w, b->n + m[i].begin);
        WF_TRY(put_values(c, w, m[i].t));
    }
    return WF_OK;
}

wf_status wf_tensors_save(wf_ctx *c, const char *path, const char *const *names,
                          wf_tensor *const *t, int64_t n, const char *const *meta, int n_meta)
{
    if (wf_has_failed(c)) return wf_get_status(c);
    item *m = wf_mem_alloc(wf_ctx_get_mem(c), (size_t)n * sizeof *m + 1);
    if (!m) return wf_fail_status(c, WF_ENOMEM, "%s: no memory to write it", path);
    wf_bytes b = {.c = c};
    if (fill_items(c, m, names, t, n) == WF_OK) put_head(&b, m, n, meta, n_meta);
    wf_file_write *w = wf_file_write_open(c, path, true);
    if (w) (void)put_all(c, w, m, n, &b);
    const wf_status st = wf_file_write_commit(c, w);
    wf_bytes_free(&b);
    wf_mem_free(wf_ctx_get_mem(c), m);
    return st;
}
