/*
 * load.c - models from folders: config.json and safetensors, single or sharded.
 *
 * The config says what a model is; files are chosen by what they hold. Every tensor of a file is
 * used, of no interest to its architecture, or reported as unexpected.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/file/bytes.h"
#include "core/file/tensors.h"
#include "core/model/model_impl.h"
#include "core/model/q8.h"
#include "core/tensor/ops.h"

enum { PATH_MOST = 4096 };

/* ---- which file ---- */

/* How well a file of a folder suits as its weights; 0: not at all. An index comes before its
 * shards, full precision before a variant, the libraries' names before any other. */
static int rank_file(const char *name)
{
    const bool known =
        strncmp(name, "diffusion_pytorch_model", 23) == 0 || strncmp(name, "model", 5) == 0;
    if (known && wf_ends_with(name, ".safetensors.index.json"))
        return strchr(name, '.')[1] == 's' ? 6 : 3;
    if (!wf_ends_with(name, ".safetensors") || strstr(name, "-of-")) return 0;
    if (!known) return 1;
    return strchr(name, '.')[1] == 's' ? 5 : 2;
}

/* The name of the folder's weights into best; fails when there is none, or no telling which. */
static wf_status find_weights(wf_ctx *c, const char *folder, char *best, size_t n)
{
    DIR *d = opendir(folder);
    if (!d) return wf_fail_status(c, WF_EIO, "%s: %s", folder, strerror(errno));
    int rank = 0, n_equal = 0;
    for (struct dirent *e; (e = readdir(d));) {
        const int r = rank_file(e->d_name);
        if (r == 0 || r < rank) continue;
        n_equal = r > rank ? 1 : n_equal + 1;
        rank = r;
        if (r > 0 && n_equal == 1) snprintf(best, n, "%s", e->d_name);
    }
    closedir(d);
    if (rank == 0) return wf_fail_status(c, WF_EIO, "%s: holds no .safetensors file", folder);
    if (n_equal > 1)
        return wf_fail_status(c, WF_EMODEL,
                              "%s: holds %d files of weights and no telling which to use", folder,
                              n_equal);
    return WF_OK;
}

/* ---- filling parameters ---- */

/* Tensors of a file under the names that the architecture declares. */
typedef struct reader {
    wf_tensors *f;
    const wf_arch *arch;
    wf_dtype dtype;              /* WF_DTYPE_COUNT: as stored */
    bool *used;                  /* of each tensor of the file */
    const char **missing;        /* borrowed from parameters */
    int64_t n_missing, cap;
} reader;

static int64_t find_tensor(const reader *r, const char *name)
{
    char buf[WF_PATH_MAX];
    const int64_t direct = wf_tensors_find(r->f, name);
    if (direct >= 0 || !r->arch->rename) return direct;
    for (int64_t i = 0; i < wf_tensors_get_count(r->f); i++) {
        const char *renamed = r->arch->rename(wf_tensors_get_name(r->f, i), buf, sizeof buf);
        if (renamed && strcmp(renamed, name) == 0) return i;
    }
    return -1;
}

/* The dtype that the loaded tensor i of the file will have: 8 bits are expanded. */
static wf_dtype loaded_dtype(const reader *r, int64_t i)
{
    const wf_dtype has = wf_tensors_get_dtype(r->f, i);
    if (r->dtype != WF_DTYPE_COUNT) return r->dtype;
    return has == WF_DTYPE_I8 ? WF_DTYPE_F16 : has;
}

/* Dims of 1 at the end do not count: linear weights and 1x1 convolutions stand for each other. */
static bool is_same_but_ones(const wf_shape *a, const wf_shape *b)
{
    int na = a->rank, nb = b->rank;
    while (na > 1 && a->dims[na - 1] == 1) na--;
    while (nb > 1 && b->dims[nb - 1] == 1) nb--;
    if (na != nb) return false;
    for (int i = 0; i < na; i++)
        if (a->dims[i] != b->dims[i]) return false;
    return true;
}

static wf_status check_tensor(wf_ctx *c, const reader *r, const wf_param *p, int64_t i)
{
    char got[96], wanted[96];
    const wf_shape has = wf_tensors_get_shape(r->f, i), wants = wf_param_public_shape(p);
    const wf_dtype t = wf_tensors_get_dtype(r->f, i);
    if (!is_same_but_ones(&has, &wants))
        return wf_fail_status(c, WF_EMODEL, "%s: tensor %s is %s, the config wants %s",
                              wf_tensors_get_path(r->f), wf_tensors_get_name(r->f, i),
                              wf_shape_text(&has, got, sizeof got),
                              wf_shape_text(&wants, wanted, sizeof wanted));
    if (t != WF_DTYPE_COUNT && t != WF_DTYPE_I8 && !wf_dtype_is_float(t))
        return wf_fail_status(c, WF_EMODEL, "%s: tensor %s is %s, wanted a float dtype",
                              wf_tensors_get_path(r->f), wf_tensors_get_name(r->f, i),
                              wf_dtype_text(t));
    return WF_OK;
}

static void note_missing(wf_ctx *c, reader *r, const wf_param *p)
{
    if (r->n_missing == r->cap) {
        const int64_t cap = r->cap ? 2 * r->cap : 64;
        const char **list = wf_mem_alloc(wf_ctx_get_mem(c), (size_t)cap * sizeof *list);
        if (!list) {
            wf_fail(c, WF_ENOMEM, "%s: no memory", wf_tensors_get_path(r->f));
            return;
        }
        if (r->n_missing) memcpy(list, r->missing, (size_t)r->n_missing * sizeof *list);
        wf_mem_free(wf_ctx_get_mem(c), r->missing);
        r->missing = list;
        r->cap = cap;
    }
    r->missing[r->n_missing++] = p->name;
}

/* Where the file keeps direction and size of a weight under weight norm, in PyTorch's old names or
 * its new ones; false: it does not. */
static bool find_normed(const reader *r, const char *name, int64_t *direction, int64_t *size)
{
    static const char *const ends[][2] = {
        {"weight_v", "weight_g"},
        {"parametrizations.weight.original1", "parametrizations.weight.original0"}};
    char text[WF_PATH_MAX];
    if (!wf_ends_with(name, "weight")) return false;
    const int stem = (int)(strlen(name) - strlen("weight"));
    for (int i = 0; i < 2; i++) {
        snprintf(text, sizeof text, "%.*s%s", stem, name, ends[i][0]);
        *direction = wf_tensors_find(r->f, text);
        snprintf(text, sizeof text, "%.*s%s", stem, name, ends[i][1]);
        *size = wf_tensors_find(r->f, text);
        if (*direction >= 0 && *size >= 0) return true;
    }
    return false;
}

/* g v / |v|, the norm being over all dims but the first; v public. */
static wf_tensor *undo_weight_norm(wf_ctx *c, wf_tensor *v, wf_tensor *g)
{
    const int64_t rows = wf_dim(v, 0);
    if (wf_numel(g) != rows)
        return wf_fail(c, WF_EMODEL, "weight norm: %lld sizes for %lld rows",
                       (long long)wf_numel(g), (long long)rows);
    wf_tensor *flat = wf_cast(c, wf_reshape2(c, v, rows, -1), WF_DTYPE_F32);
    wf_tensor *norm = wf_sqrt(c, wf_sum(c, wf_square(c, flat), 1, (int[]){-1}, true));
    wf_tensor *scale = wf_div(c, wf_cast(c, wf_reshape2(c, g, rows, 1), WF_DTYPE_F32), norm);
    const wf_shape s = wf_get_shape(v);
    return wf_reshape(c, wf_mul(c, flat, scale), s.rank, s.dims);
}

/* Where the scales of the 8-bit tensor i stand; fails when they are missing. */
static int64_t find_scale(wf_ctx *c, const reader *r, int64_t i)
{
    char text[WF_PATH_MAX];
    const char *name = wf_tensors_get_name(r->f, i);
    const int n = snprintf(text, sizeof text, "%s.scale", name);
    const int64_t at = n < (int)sizeof text ? wf_tensors_find(r->f, text) : -1;
    if (at < 0)
        wf_fail(c, WF_EMODEL, "%s: tensor %s is i8 and has no %s.scale beside it",
                wf_tensors_get_path(r->f), name, name);
    return at;
}

/* The tensor i of the file: over its mapping, or expanded to f32 where it is stored in 8 bits. */
static wf_tensor *get_tensor(wf_ctx *c, const reader *r, int64_t i)
{
    char name[WF_PATH_MAX];
    r->used[i] = true;
    wf_tensor *t = wf_tensors_get(c, r->f, i);
    if (!t || wf_get_dtype(t) != WF_DTYPE_I8) return t;
    const int64_t scale = find_scale(c, r, i);
    if (scale < 0) return NULL;
    r->used[scale] = true;
    snprintf(name, sizeof name, "%s: tensor %s", wf_tensors_get_path(r->f),
             wf_tensors_get_name(r->f, i));
    return wf_q8_expand(c, name, t, wf_tensors_get(c, r->f, scale));
}

/* Give p the public tensor t, permuted to our layout, in dtype (WF_DTYPE_COUNT: its own); raw: t
 * as the file maps it. */
static void set_param(wf_ctx *c, wf_dtype dtype, wf_param *p, wf_tensor *t, wf_tensor *raw)
{
    t = wf_param_from_public(c, p, t);
    if (dtype != WF_DTYPE_COUNT) t = wf_cast(c, t, dtype);
    if (t) t = wf_to_device(c, t, wf_ctx_get_device(c));
    p->is_mapped = t && raw && wf_data_const(t) == wf_data_const(raw);
    p->t = wf_take_owned(c, t);
}

/* A wf_param_source: the tensor of the file. */
static void read_param(wf_ctx *c, void *arg, wf_param *p)
{
    reader *r = arg;
    if (wf_has_failed(c)) return;
    int64_t i = find_tensor(r, p->name), size = -1;
    if (i < 0 && !find_normed(r, p->name, &i, &size)) {
        note_missing(c, r, p);
        return;
    }
    if (check_tensor(c, r, p, i) != WF_OK) return;
    wf_scope *s = wf_scope_open(c);
    wf_tensor *raw = get_tensor(c, r, i), *t = raw;
    if (size >= 0) t = undo_weight_norm(c, raw, get_tensor(c, r, size));
    set_param(c, size < 0 ? loaded_dtype(r, i) : r->dtype, p, t, raw);
    wf_scope_close(c, s, NULL);
}

/* ---- the report ---- */

static wf_status fail_missing(wf_ctx *c, const reader *r)
{
    char names[512];
    size_t at = 0;
    for (int64_t i = 0; i < r->n_missing && i < 6 && at < sizeof names; i++)
        at += (size_t)snprintf(names + at, sizeof names - at, "%s%s", i ? ", " : "", r->missing[i]);
    return wf_fail_status(c, WF_EMODEL, "%s: %lld tensors that the config wants are missing: %s%s",
                          wf_tensors_get_path(r->f), (long long)r->n_missing, names,
                          r->n_missing > 6 ? ", ..." : "");
}

/* Whether a tensor of the file is none of the architecture's business. */
static bool is_foreign(const reader *r, int64_t i)
{
    char buf[WF_PATH_MAX];
    return r->arch->rename && !r->arch->rename(wf_tensors_get_name(r->f, i), buf, sizeof buf);
}

static wf_status report_unexpected(wf_ctx *c, wf_model *m, const reader *r)
{
    const int64_t n = wf_tensors_get_count(r->f);
    const char **names = wf_mem_alloc(wf_ctx_get_mem(c), (size_t)(n + 1) * sizeof *names);
    if (!names) return wf_fail_status(c, WF_ENOMEM, "%s: no memory", wf_tensors_get_path(r->f));
    int64_t k = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!r->used[i] && !is_foreign(r, i)) names[k++] = wf_tensors_get_name(r->f, i);
    }
    m->report.unexpected = wfi_model_copy_names(c, m, names, k);
    m->report.n_unexpected = k;
    wf_mem_free(wf_ctx_get_mem(c), names);
    return wf_get_status(c);
}

/* ---- loading ---- */

static double bytes_of(double elems, wf_dtype t)
{
    return elems / (double)wf_dtype_block_elems(t) * (double)wf_dtype_block_bytes(t);
}

/* Refuse at once what memory cannot hold: weights in another dtype than the file's, and those in 8
 * bits, are copies, the others stay mapped. */
static wf_status check_memory(wf_ctx *c, const reader *r)
{
    double copies = 0, stored = 0;
    char hint[120] = "";
    wf_dtype t = WF_DTYPE_COUNT, to = t;
    for (int64_t i = 0; i < wf_tensors_get_count(r->f); i++) {
        const wf_shape s = wf_tensors_get_shape(r->f, i);
        const wf_dtype has = wf_tensors_get_dtype(r->f, i);
        if (has == WF_DTYPE_COUNT || is_foreign(r, i)) continue;
        double n = 1;
        for (int d = 0; d < s.rank; d++) n *= (double)s.dims[d];
        stored += bytes_of(n, has);
        if (loaded_dtype(r, i) == has) continue;
        to = loaded_dtype(r, i);
        copies += bytes_of(n, to);
        t = has;
    }
    const size_t free_bytes = wf_mem_find_available();
    if (free_bytes == SIZE_MAX || copies <= (double)free_bytes) return WF_OK;
    if (t != WF_DTYPE_I8)
        snprintf(hint, sizeof hint,
                 "; as stored (%s, %.1f GB) they are mapped from the file: leave dtype out",
                 wf_dtype_text(t), stored / 1e9);
    return wf_fail_status(c, WF_ENOMEM,
                          "%s: as %s its weights take %.1f GB and %.1f GB of memory are free%s",
                          wf_tensors_get_path(r->f), wf_dtype_text(to), copies / 1e9,
                          (double)free_bytes / 1e9, hint);
}

static wf_model *load_from(wf_ctx *c, reader *r, const wf_json *config)
{
    wf_model *m = wfi_model_build(c, NULL, config, read_param, r);
    if (m && r->n_missing) fail_missing(c, r);
    if (m && !wf_has_failed(c)) report_unexpected(c, m, r);
    if (m && !wf_has_failed(c) && wf_tensors_check(c, r->f) == WF_OK) return m;
    wf_model_release(m);
    return NULL;
}

wf_model *wf_model_load_file(wf_ctx *c, const wf_json *config, const char *path, wf_dtype dtype)
{
    if (wf_has_failed(c)) return NULL;
    reader r = {.dtype = dtype, .arch = wf_arch_find_config(config)};
    if (!r.arch)
        return wf_fail(c, WF_EMODEL, "%s: its config names no architecture that weft has", path);
    if (dtype != WF_DTYPE_COUNT &&
        wfi_model_check_dtype(c, r.arch->name, "loaded as", dtype) != WF_OK)
        return NULL;
    r.f = wf_tensors_open(c, path);
    if (!r.f) return NULL;
    wf_mem *mem = wf_ctx_get_mem(c);
    r.used = wf_mem_calloc(mem, (size_t)wf_tensors_get_count(r.f) + 1);
    if (!r.used) wf_fail(c, WF_ENOMEM, "%s: no memory", path);
    wf_model *m = r.used && check_memory(c, &r) == WF_OK ? load_from(c, &r, config) : NULL;
    wf_mem_free(mem, r.used);
    wf_mem_free(mem, r.missing);
    wf_tensors_close(r.f);
    return m;
}

wf_model *wf_model_load(wf_ctx *c, const char *folder, wf_dtype dtype)
{
    char path[PATH_MOST], name[512] = "";
    if (wf_has_failed(c)) return NULL;
    snprintf(path, sizeof path, "%s/config.json", folder);
    wf_json *config = wf_json_load(c, path);
    if (!config || find_weights(c, folder, name, sizeof name) != WF_OK) {
        wf_json_free(config);
        return NULL;
    }
    snprintf(path, sizeof path, "%s/%s", folder, name);
    wf_model *m = wf_model_load_file(c, config, path, dtype);
    wf_json_free(config);
    if (m) return m;
    if (wf_get_status(c) == WF_EMODEL) wf_fail_in(c, folder);
    return NULL;
}
