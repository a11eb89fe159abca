/* save.c - a model as public libraries store it: config.json and one safetensors file. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/file/file_write.h"
#include "core/file/tensors.h"
#include "core/model/model_impl.h"
#include "core/model/q8.h"

enum { PATH_MOST = 4096 };

/* What a file is to hold: pairs of name and tensor, and memory for names of scales. */
typedef struct contents {
    const char **names;
    wf_tensor **t;
    int64_t n;
    char (*scales)[WF_PATH_MAX + 8];
} contents;

static void add(contents *f, const char *name, wf_tensor *t)
{
    f->names[f->n] = name;
    f->t[f->n++] = t;
}

/* The parameter i in 8 bits: whole numbers under its name, and their scales. */
static void add_packed(wf_ctx *c, contents *f, int64_t i, const char *name, wf_tensor *t)
{
    wf_tensor *q, *scale;
    snprintf(f->scales[i], sizeof f->scales[i], "%s.scale", name);
    wf_q8_pack(c, name, t, &q, &scale);
    add(f, name, q);
    add(f, f->scales[i], scale);
}

/* Every parameter under its name, in public layout and in dtype. In 8 bits only matrices are
 * stored, the rest in f16. */
static void gather(wf_ctx *c, const wf_model *m, wf_dtype dtype, contents *f)
{
    for (int64_t i = 0; i < wf_params_get_count(m->params) && !wf_has_failed(c); i++) {
        const wf_param *p = wf_params_get(m->params, i);
        const wf_shape s = wf_param_public_shape(p);
        wf_tensor *t = wf_param_to_public(c, p);
        if (dtype == WF_DTYPE_Q8_0 && wf_q8_suits(&s)) add_packed(c, f, i, p->name, t);
        else if (dtype == WF_DTYPE_COUNT) add(f, p->name, t);
        else add(f, p->name, wf_cast(c, t, dtype == WF_DTYPE_Q8_0 ? WF_DTYPE_F16 : dtype));
    }
}

static wf_status save_weights(wf_ctx *c, const wf_model *m, const char *path, wf_dtype dtype)
{
    static const char *const meta[] = {"format", "pt"}; /* transformers refuses files without it */
    const size_t n = (size_t)wf_params_get_count(m->params);
    wf_mem *mem = wf_ctx_get_mem(c);
    contents f = {.names = wf_mem_alloc(mem, (2 * n + 1) * sizeof *f.names),
                  .t = wf_mem_alloc(mem, (2 * n + 1) * sizeof *f.t),
                  .scales = wf_mem_alloc(mem, (n + 1) * sizeof *f.scales)};
    wf_scope *s = wf_scope_open(c);
    if (f.names && f.t && f.scales) gather(c, m, dtype, &f);
    else wf_fail(c, WF_ENOMEM, "%s: no memory", path);
    const wf_status st = wf_has_failed(c)
                             ? wf_get_status(c)
                             : wf_tensors_save(c, path, f.names, f.t, f.n, meta, 1);
    wf_scope_close(c, s, NULL);
    wf_mem_free(mem, f.names);
    wf_mem_free(mem, f.t);
    wf_mem_free(mem, f.scales);
    return st;
}

wf_status wfi_model_make_folder(wf_ctx *c, const char *folder)
{
    char path[PATH_MOST];
    if ((size_t)snprintf(path, sizeof path, "%s", folder) >= sizeof path)
        return wf_fail_status(c, WF_EARG, "%.60s...: the path is too long", folder);
    for (char *at = path + 1;; at++) {
        const char was = *at;
        if (was != '/' && was != '\0') continue;
        *at = '\0';
        if (mkdir(path, 0777) != 0 && errno != EEXIST)
            return wf_fail_status(c, WF_EIO, "%s: %s", path, strerror(errno));
        if (was == '\0') return WF_OK;
        *at = was;
    }
}

wf_status wf_model_save(wf_ctx *c, wf_model *m, const char *folder, const char *file,
                        wf_dtype dtype)
{
    char path[PATH_MOST];
    if (wf_has_failed(c)) return wf_get_status(c);
    if (dtype != WF_DTYPE_COUNT && dtype != WF_DTYPE_Q8_0)
        WF_TRY(wfi_model_check_dtype(c, m->arch->name, "saved as", dtype));
    WF_TRY(wfi_model_make_folder(c, folder));
    snprintf(path, sizeof path, "%s/%s", folder, file);
    WF_TRY(save_weights(c, m, path, dtype));
    snprintf(path, sizeof path, "%s/config.json", folder);
    return wf_file_save(c, path, m->config, strlen(m->config), true);
}
