/*
 * merge.c - adapters of other programs' files, found by their names and added to a model's weights.
 *
 * A name is a part of a pipeline, the layer, and which half it is. Layers are compared with "_" for
 * ".", which is how kohya's files write them.
 *
 * All pairs are found and checked first; then all new weights are made; then, where nothing can
 * fail any more, they take the places of the old.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/file/bytes.h"
#include "core/file/file_map.h"
#include "core/file/tensors.h"
#include "core/model/lora.h"
#include "core/model/model_impl.h"

enum { PATH_MOST = 4096, NAME_MOST = 256 };

/* ---- names ---- */

/* How the halves of a pair end: PEFT, PEFT with its adapter's name, diffusers, its old attention
 * processors, kohya, and diffusers' text towers of old. */
static const struct { const char *a, *b;
} ends[] = {{".lora_A.weight", ".lora_B.weight"},
            {".lora_A.default.weight", ".lora_B.default.weight"},
            {".lora.down.weight", ".lora.up.weight"},
            {"_lora.down.weight", "_lora.up.weight"},
            {".lora_down.weight", ".lora_up.weight"},
            {".lora_linear_layer.down.weight", ".lora_linear_layer.up.weight"}};
enum { N_ENDS = sizeof ends / sizeof *ends };

/* What stands in front of a layer's name, and the architecture that it is for; NULL: any. */
static const struct { const char *front, *arch;
} fronts[] = {{"llama_model.base_model.model.", NULL}, {"base_model.model.", NULL},
              {"unet.", "unet"},                       {"lora_unet_", "unet"},
              {"text_encoder.", "clip_text"},          {"lora_te_", "clip_text"},
              {"lora_te1_", "clip_text"},              {"text_encoder_2.", "none"},
              {"lora_te2_", "none"}};
enum { N_FRONTS = sizeof fronts / sizeof *fronts };

static bool starts_with(const char *s, const char *front)
{
    return strncmp(s, front, strlen(front)) == 0;
}

/* n bytes of a layer's name into buf, "_" for ".", without ".processor". */
static void squash(const char *name, size_t n, char buf[NAME_MOST])
{
    static const char processor[] = ".processor";
    const size_t k = sizeof processor - 1;
    size_t at = 0;
    for (size_t i = 0; i < n && at < NAME_MOST - 1; i++) {
        if (n - i >= k && memcmp(name + i, processor, k) == 0) i += k;
        if (i < n) buf[at++] = name[i] == '.' ? '_' : name[i];
    }
    buf[at] = '\0';
}

/* ---- pairs ---- */

typedef struct pair {
    int64_t at;                          /* of the weight in the model's parameters */
    wf_param *p;                         /* the weight */
    int64_t a, b;                        /* tensors of the file */
    double scale;                        /* of their product */
} pair;

typedef struct merger {
    wf_ctx *c;
    wf_model *m;
    wf_tensors *f;
    const char *path;
    double alpha;                        /* of all pairs; 0: the rank */
    bool by_root;                        /* scaled by alpha / sqrt(rank) */
    double scale;
    pair *pairs;
    int64_t n;
    wf_tensor **fresh;                   /* by parameter: owned; NULL: none was made */
} merger;

/* Which parameter is the weight of a layer; -1: none. */
static int64_t find_layer(const merger *g, const char *name, size_t n)
{
    char wanted[NAME_MOST], has[NAME_MOST], first[NAME_MOST + 2];
    squash(name, n, wanted);
    snprintf(first, sizeof first, "%s_0", wanted);       /* to_out is to_out.0 */
    for (int64_t i = 0; i < wf_params_get_count(g->m->params); i++) {
        const wf_param *p = wf_params_get(g->m->params, i);
        const size_t k = strlen(p->name);
        if (!wf_ends_with(p->name, ".weight")) continue;
        squash(p->name, k - strlen(".weight"), has);
        if (strcmp(has, wanted) == 0 || strcmp(has, first) == 0) return i;
    }
    return -1;
}

/* A tensor of the file named layer (n bytes) with end behind it. */
static int64_t find_half(const merger *g, const char *layer, size_t n, const char *end)
{
    char name[NAME_MOST];
    if ((size_t)snprintf(name, sizeof name, "%.*s%s", (int)n, layer, end) >= sizeof name) return -1;
    return wf_tensors_find(g->f, name);
}

/* down [R,...] and up [N,R,...] of a weight [N,...]. */
static wf_status check_pair(const merger *g, const pair *k)
{
    char ta[96], tb[96], tw[96];
    const wf_shape a = wf_tensors_get_shape(g->f, k->a), b = wf_tensors_get_shape(g->f, k->b),
                   w = k->p->shape;
    const int64_t R = a.rank ? a.dims[0] : 0;
    const bool fits = R > 0 && a.rank >= 2 && b.rank >= 2 && w.rank >= 2 &&
                      b.dims[0] == w.dims[0] && wf_shape_numel(&b) == w.dims[0] * R &&
                      wf_shape_numel(&a) / R == wf_shape_numel(&w) / w.dims[0] &&
                      k->p->layout != WF_LAYOUT_CONV_T1D;
    if (fits) return WF_OK;
    return wf_fail_status(g->c, WF_EMODEL, "%s: %s is %s and its other half %s, which do not fit "
                          "the weight %s %s", g->path, wf_tensors_get_name(g->f, k->a),
                          wf_shape_text(&a, ta, sizeof ta), wf_shape_text(&b, tb, sizeof tb),
                          k->p->name, wf_shape_text(&w, tw, sizeof tw));
}

static wf_status check_dtype(const merger *g, int64_t i)
{
    if (wf_tensors_get_dtype(g->f, i) != WF_DTYPE_COUNT) return WF_OK;
    return wf_fail_status(g->c, WF_EUNSUPPORTED, "%s: tensor \"%s\": dtype %s cannot be loaded",
                          g->path, wf_tensors_get_name(g->f, i),
                          wf_tensors_get_dtype_text(g->f, i));
}

/* The one value of tensor i; 0 once c has failed. */
static double read_alpha(const merger *g, int64_t i)
{
    const wf_shape s = wf_tensors_get_shape(g->f, i);
    const bool is_one = wf_shape_numel(&s) == 1;
    const double v = is_one ? wf_item(g->c, wf_tensors_get(g->c, g->f, i)) : 0.0;
    if (is_one && isfinite(v)) return v;
    char text[96];
    wf_fail(g->c, WF_EMODEL, "%s: %s is %s, wanted one finite number", g->path,
            wf_tensors_get_name(g->f, i),
            is_one ? "not finite" : wf_shape_text(&s, text, sizeof text));
    return 0.0;
}

/* Set the scale of a pair, whose alpha is a tensor of the file (-1: what holds for all). */
static wf_status read_scale(const merger *g, pair *k, int64_t alpha)
{
    const double rank = (double)wf_tensors_get_shape(g->f, k->a).dims[0];
    const double v = alpha >= 0 ? read_alpha(g, alpha) : g->alpha != 0.0 ? g->alpha : rank;
    k->scale = g->scale * v / (g->by_root ? sqrt(rank) : rank);
    return wf_get_status(g->c);
}

/* Layer of the tensor's first half: its bytes, and how it ends; -1: no first half. */
static int split_name(const char *name, size_t *n)
{
    for (int i = 0; i < N_ENDS; i++)
        if (wf_ends_with(name, ends[i].a)) {
            *n = strlen(name) - strlen(ends[i].a);
            return i;
        }
    return -1;
}

static bool is_known(const char *name)
{
    for (int i = 0; i < N_ENDS; i++)
        if (wf_ends_with(name, ends[i].b)) return true;
    return wf_ends_with(name, ".alpha");
}

static wf_status add_pair(merger *g, int64_t i)
{
    const char *name = wf_tensors_get_name(g->f, i), *layer = name;
    size_t n = 0;
    const int end = split_name(name, &n);
    if (end < 0 && !is_known(name))
        return wf_fail_status(g->c, WF_EUNSUPPORTED, "%s: %s is no part of a low-rank adapter",
                              g->path, name);
    if (end < 0) return WF_OK;
    pair *k = &g->pairs[g->n];
    *k = (pair){.a = i, .b = find_half(g, name, n, ends[end].b)};
    const int64_t alpha = find_half(g, name, n, ".alpha");
    for (int f = 0; f < N_FRONTS; f++) {
        const size_t front = strlen(fronts[f].front);
        if (n <= front || !starts_with(name, fronts[f].front)) continue;
        if (fronts[f].arch && !starts_with(g->m->arch->name, fronts[f].arch)) return WF_OK;
        layer += front;
        n -= front;
        break;
    }
    k->at = find_layer(g, layer, n);
    k->p = wf_params_get(g->m->params, k->at);
    if (!k->p || k->b < 0)
        return wf_fail_status(g->c, WF_EMODEL, "%s: %s: %s", g->path, name,
                              k->p ? "its other half is missing"
                                   : "the model has no layer of that name");
    g->n++;
    WF_TRY(check_pair(g, k));
    WF_TRY(check_dtype(g, k->a));
    WF_TRY(check_dtype(g, k->b));
    return read_scale(g, k, alpha);
}

/* ---- adding ---- */

/* [N,K] or, of a convolution, permuted to our layout. */
static wf_tensor *product_of(const merger *g, const pair *k)
{
    wf_ctx *c = g->c;
    wf_device *at = wf_get_device(k->p->t);
    wf_tensor *a = wf_cast(c, wf_to_device(c, wf_tensors_get(c, g->f, k->a), at), WF_DTYPE_F32);
    wf_tensor *b = wf_cast(c, wf_to_device(c, wf_tensors_get(c, g->f, k->b), at), WF_DTYPE_F32);
    const int64_t R = wf_dim(a, 0), N = k->p->shape.dims[0];
    wf_tensor *d = wf_matmul(c, wf_reshape2(c, b, N, R), wf_reshape2(c, a, R, -1), false, false);
    d = wf_scale(c, d, k->scale);
    return k->p->shape.rank == 2 ? d : wf_param_from_public(c, k->p, d);
}

/* Make the new weight of a pair, of a second one for the same layer from what the first made. */
static wf_status make_weight(const merger *g, const pair *k)
{
    wf_ctx *c = g->c;
    wf_tensor **fresh = &g->fresh[k->at], *from = *fresh ? *fresh : k->p->t;
    wf_scope *s = wf_scope_open(c);
    wf_tensor *w = wf_add(c, wf_cast(c, from, WF_DTYPE_F32), product_of(g, k));
    wf_tensor *own = wf_take_owned(c, wf_cast(c, w, wf_get_dtype(k->p->t)));
    if (own) {
        wf_release(*fresh);
        *fresh = own;
    }
    wf_scope_close(c, s, NULL);
    return wf_get_status(c);
}

static wf_status merge_pairs(merger *g)
{
    const int64_t n = wf_params_get_count(g->m->params);
    g->fresh = wf_mem_calloc(g->m->mem, (size_t)n * sizeof *g->fresh);
    if (!g->fresh) return wf_fail_status(g->c, WF_ENOMEM, "%s: no memory", g->path);
    for (int64_t i = 0; i < g->n && !wf_has_failed(g->c); i++) {
        const wf_status st = make_weight(g, &g->pairs[i]);
        (void)st;                        /* the failure stands in c */
    }
    return wfi_model_swap(g->c, g->m, g->fresh);
}

/* ---- the file ---- */

/* The weights of a folder, or path itself, into file; adapter_config.json beside them. */
static wf_status find_file(wf_ctx *c, const char *path, char *file, char *config)
{
    static const char *const names[] = {"adapter_model.safetensors",
                                        "pytorch_lora_weights.safetensors"};
    const bool is_file = wf_ends_with(path, ".safetensors");
    const char *slash = strrchr(path, '/');
    snprintf(file, PATH_MOST, "%s", path);
    for (int i = 0; i < 2 && !is_file; i++) {
        snprintf(file, PATH_MOST, "%s/%s", path, names[i]);
        if (wf_file_exists(file)) break;
        if (i == 1)
            return wf_fail_status(c, WF_EIO, "%s: holds no %s and no %s", path, names[0], names[1]);
    }
    if (!is_file) snprintf(config, PATH_MOST, "%s/adapter_config.json", path);
    else
        snprintf(config, PATH_MOST, "%.*s/adapter_config.json", slash ? (int)(slash - path) : 1,
                 slash ? path : ".");
    return WF_OK;
}

static wf_status read_config(merger *g, const char *config)
{
    wf_ctx *c = g->c;
    if (!wf_file_exists(config)) return WF_OK;
    wf_json *j = wf_json_load(c, config);
    g->alpha = wf_json_get_number(c, j, "lora_alpha", 0.0);
    g->by_root = wf_json_get_bool(c, j, "use_rslora", false);
    const bool plain = wf_json_count(wf_json_find(j, "alpha_pattern")) == 0 &&
                       !wf_json_get_bool(c, j, "use_dora", false);
    if (!wf_has_failed(c) && !plain)
        wf_fail(c, WF_EUNSUPPORTED, "%s: alpha_pattern and use_dora are not supported", config);
    wf_json_free(j);
    return wf_get_status(c);
}

static wf_status merge_all(merger *g)
{
    const int64_t n = wf_tensors_get_count(g->f);
    g->pairs = wf_mem_alloc(wf_ctx_get_mem(g->c), (size_t)(n + 1) * sizeof *g->pairs);
    if (!g->pairs) return wf_fail_status(g->c, WF_ENOMEM, "%s: no memory", g->path);
    for (int64_t i = 0; i < n; i++) WF_TRY(add_pair(g, i));
    if (g->n == 0)
        return wf_fail_status(g->c, WF_EMODEL, "%s: holds no low-rank adapter for a %s", g->path,
                              g->m->arch->name);
    return merge_pairs(g);
}

wf_status wf_lora_merge(wf_ctx *c, wf_model *m, const char *path, double scale, int64_t *n)
{
    char file[PATH_MOST], config[PATH_MOST];
    *n = 0;
    if (wf_has_failed(c)) return wf_get_status(c);
    if (strlen(path) > PATH_MOST - 64)
        return wf_fail_status(c, WF_EARG, "%.60s...: the path is too long", path);
    merger g = {.c = c, .m = m, .path = file, .scale = scale};
    WF_TRY(find_file(c, path, file, config));
    WF_TRY(read_config(&g, config));
    g.f = wf_tensors_open(c, file);
    if (!g.f) return wf_get_status(c);
    wf_scope *s = wf_scope_open(c);
    const wf_status st = merge_all(&g);
    wf_scope_close(c, s, NULL);
    *n = g.n;
    wf_mem_free(wf_ctx_get_mem(c), g.pairs);
    wf_tensors_close(g.f);
    return st;
}
