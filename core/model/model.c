/* model.c - models made from configs, and calls of their methods by named inputs. */
#include "core/model/model.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "core/model/model_impl.h"
#include "core/tensor/watch.h"

/* ---- making ---- */

/* config as text, with the class that tells loaders what it is put first when it has none. */
static char *config_text(wf_ctx *c, const wf_arch *a, const wf_json *config)
{
    char *text = wf_json_write(c, config);
    if (!text || wf_arch_find_config(config) == a) return text;
    const char *open =
        a->is_transformers ? "{\n  \"architectures\": [\"" : "{\n  \"_class_name\": \"";
    const char *close = a->is_transformers ? "\"]" : "\"";
    const char *rest = text + 1, *comma = wf_json_count(config) ? "," : ""; /* after the brace */
    const size_t n = strlen(text) + strlen(open) + strlen(a->classes[0]) + 8;
    char *out = wf_mem_alloc(wf_ctx_get_mem(c), n);
    if (out) snprintf(out, n, "%s%s%s%s%s", open, a->classes[0], close, comma, rest);
    else wf_fail(c, WF_ENOMEM, "%s: no memory for its config", a->name);
    wf_mem_free(wf_ctx_get_mem(c), text);
    return out;
}

static const wf_arch *choose_arch(wf_ctx *c, const char *name, const wf_json *config)
{
    if (wf_has_failed(c)) return NULL;
    const wf_arch *a = name ? wf_arch_find(name) : wf_arch_find_config(config);
    if (!a && name) return wf_fail(c, WF_EMODEL, "model: there is no architecture \"%.60s\"", name);
    if (!a)
        return wf_fail(c, WF_EMODEL,
                       "model: the config's _class_name, architectures and model_type "
                       "name no architecture that weft has");
    return a;
}

wf_model *wfi_model_build(wf_ctx *c, const char *arch, const wf_json *config,
                          wf_param_source source, void *arg)
{
    const wf_arch *a = choose_arch(c, arch, config);
    if (!a || wf_config_check(c, a, config) != WF_OK) return NULL;
    wf_model *m = wf_mem_calloc(wf_ctx_get_mem(c), sizeof *m);
    if (!m) return wf_fail(c, WF_ENOMEM, "%s: no memory", a->name);
    *m = (wf_model){.mem = wf_ctx_get_mem(c), .arch = a, .params = wf_params_new(c)};
    if (m->params) {
        wf_builder b = {.c = c, .params = m->params, .source = source, .arg = arg};
        m->config = config_text(c, a, config);
        m->net = a->build(&b, config);
    }
    if (!wf_has_failed(c)) return m;
    wf_model_release(m);
    return NULL;
}

static void count_report(wf_model *m)
{
    m->report.n_used = wf_params_get_count(m->params) - m->report.n_missing;
    m->report.bytes = 0;
    for (int64_t i = 0; i < wf_params_get_count(m->params); i++) {
        const wf_param *p = wf_params_get(m->params, i);
        if (p->t) m->report.bytes += wf_tensor_bytes(p->t);
    }
}

wf_model *wf_model_new(wf_ctx *c, const char *arch, const wf_json *config, uint64_t seed)
{
    return wfi_model_build(c, arch, config, wf_param_randomise, &seed);
}

void wf_model_release(wf_model *m)
{
    if (!m) return;
    wf_params_free(m->params);
    wf_params_free(m->adapters);
    wf_mem_free(m->mem, m->config);
    wf_mem_free(m->mem, m);
}

/* ---- looking ---- */

const char *wf_model_get_arch(const wf_model *m) { return m->arch->name; }
const char *wf_model_get_config(const wf_model *m) { return m->config; }
int64_t wf_model_get_count(const wf_model *m) { return wf_params_get_count(m->params); }

const wf_report *wf_model_get_report(wf_model *m)
{
    count_report(m);
    return &m->report;
}

wf_tensor *wf_model_get_param(const wf_model *m, int64_t i, const char **name)
{
    const wf_param *p = wf_params_get(m->params, i);
    if (name) *name = p ? p->name : NULL;
    return p ? p->t : NULL;
}

const char *const *wfi_model_copy_names(wf_ctx *c, wf_model *m, const char *const *names, int64_t n)
{
    size_t bytes = (size_t)n * sizeof(char *);
    for (int64_t i = 0; i < n; i++) bytes += strlen(names[i]) + 1;
    const char **list = n ? wf_params_alloc(c, m->params, bytes) : NULL;
    if (!list) return NULL;
    char *at = (char *)(list + n);
    for (int64_t i = 0; i < n; i++) {
        const size_t k = strlen(names[i]) + 1;
        list[i] = memcpy(at, names[i], k);
        at += k;
    }
    return list;
}

/* ---- changing ---- */

wf_status wfi_model_check_dtype(wf_ctx *c, const char *arch, const char *what, wf_dtype dtype)
{
    if (wf_has_failed(c) || wf_dtype_is_float(dtype)) return wf_get_status(c);
    return wf_fail_status(c, WF_EDTYPE, "%s: cannot be %s %s", arch, what, wf_dtype_text(dtype));
}

/* p's values in storage of their own, owned; NULL: they are so already, or c has failed. */
static wf_tensor *convert(wf_ctx *c, const wf_param *p, wf_dtype dtype)
{
    if (wf_has_failed(c) || (!p->is_mapped && wf_get_dtype(p->t) == dtype)) return NULL;
    wf_scope *s = wf_scope_open(c);
    wf_tensor *t = wf_cast(c, p->t, dtype);
    t = wf_take_owned(c, t == p->t ? wf_copy(c, t) : t);
    wf_scope_close(c, s, NULL);
    return t;
}

wf_status wfi_model_swap(wf_ctx *c, wf_model *m, wf_tensor **fresh)
{
    for (int64_t i = 0; i < wf_params_get_count(m->params); i++) {
        wf_param *p = wf_params_get(m->params, i);
        if (!fresh[i]) continue;
        wf_release(wf_has_failed(c) ? fresh[i] : p->t);
        if (wf_has_failed(c)) continue;
        p->t = fresh[i];
        p->is_mapped = false;
    }
    wf_mem_free(m->mem, fresh);
    return wf_get_status(c);
}

wf_status wf_model_convert(wf_ctx *c, wf_model *m, wf_dtype dtype)
{
    const int64_t n = wf_params_get_count(m->params);
    WF_TRY(wfi_model_check_dtype(c, m->arch->name, "converted to", dtype));
    wf_tensor **fresh = wf_mem_calloc(m->mem, (size_t)n * sizeof *fresh + 1);
    if (!fresh) return wf_fail_status(c, WF_ENOMEM, "%s: no memory", m->arch->name);
    for (int64_t i = 0; i < n; i++) fresh[i] = convert(c, wf_params_get(m->params, i), dtype);
    return wfi_model_swap(c, m, fresh);
}

wf_status wf_model_set_param(wf_ctx *c, wf_model *m, const char *name, wf_tensor *t)
{
    char got[96], wanted[96];
    wf_param *p = wf_params_find(m->params, name);
    if (wf_has_failed(c)) return wf_get_status(c);
    if (!p) return wf_fail_status(c, WF_EARG, "%s: has no parameter %s", m->arch->name, name);
    const wf_shape s = wf_get_shape(t);
    if (!wf_shape_is_same(&s, &p->shape))
        return wf_fail_status(c, WF_ESHAPE, "%s: %s is %s, wanted %s", m->arch->name, name,
                              wf_tensor_text(t, got, sizeof got),
                              wf_shape_text(&p->shape, wanted, sizeof wanted));
    wf_scope *scope = wf_scope_open(c);
    wf_tensor *own = wf_take_owned(c, wf_to_device(c, wf_copy(c, t), wf_get_device(p->t)));
    wf_scope_close(c, scope, NULL);
    if (!own || wf_has_failed(c)) return wf_get_status(c);
    wf_release(p->t);
    p->t = own;
    p->is_mapped = false;
    return WF_OK;
}

/* ---- calling ---- */

static const wf_method *find_method(wf_ctx *c, const wf_model *m, const char *name)
{
    const wf_method *k = m->arch->methods;
    while (k->name && strcmp(k->name, name) != 0) k++;
    return k->name ? k : wf_fail(c, WF_EARG, "%s: has no method \"%.40s\"", m->arch->name, name);
}

/* One word of "sample timestep context?": its bytes without the mark; *next is the word after. */
static size_t read_word(const char *word, bool *optional, const char **next)
{
    const size_t n = strcspn(word, "? ");
    *optional = word[n] == '?';
    *next = word + n + (*optional ? 1 : 0);
    *next += strspn(*next, " ");
    return n;
}

static wf_tensor *find_named(const wf_named *in, int n_in, const char *word, size_t bytes)
{
    for (int i = 0; i < n_in; i++)
        if (strlen(in[i].name) == bytes && memcmp(in[i].name, word, bytes) == 0) return in[i].t;
    return NULL;
}

static bool is_input(const wf_method *k, const char *name)
{
    bool optional;
    for (const char *w = k->inputs, *next; *w; w = next) {
        const size_t n = read_word(w, &optional, &next);
        if (strlen(name) == n && memcmp(name, w, n) == 0) return true;
    }
    return false;
}

/* Put in[] in the method's order. */
static wf_status order_inputs(wf_ctx *c, const wf_model *m, const wf_method *k, const wf_named *in,
                              int n_in, wf_tensor *ordered[WF_MODEL_MAX_IO])
{
    for (int i = 0; i < n_in; i++)
        if (!is_input(k, in[i].name))
            return wf_fail_status(c, WF_EARG, "%s: %s has no input \"%.40s\", only %s",
                                  m->arch->name, k->name, in[i].name, k->inputs);
    int i = 0;
    for (const char *w = k->inputs, *next; *w && i < WF_MODEL_MAX_IO; w = next, i++) {
        bool optional;
        const size_t n = read_word(w, &optional, &next);
        ordered[i] = find_named(in, n_in, w, n);
        if (!ordered[i] && !optional)
            return wf_fail_status(c, WF_EARG, "%s: %s wants an input %.*s", m->arch->name, k->name,
                                  (int)n, w);
        if (ordered[i] && wf_is_dead(ordered[i]))
            return wf_fail_status(c, WF_EDEAD, "%s: %.*s was freed when its scope closed",
                                  m->arch->name, (int)n, w);
    }
    return WF_OK;
}

/* While watching: inputs that are no numbers are not the model's doing. */
static void watch_inputs(wf_ctx *c, const wf_model *m, const wf_named *in, int n_in)
{
    for (int i = 0; wf_is_watching(c) && i < n_in; i++) {
        const wf_odd_values odd = wf_count_odd(c, in[i].t);
        if (odd.n_nan || odd.n_plus)
            wf_fail(c, WF_ENAN, "%s: its input %s holds values that are not finite",
                    m->arch->name, in[i].name);
    }
}

/* Say at which parameter the values stopped being numbers: the one that was used last. */
static void name_layer(wf_ctx *c, const wf_model *m)
{
    const char *name = NULL;
    int best = INT_MAX;
    for (int64_t i = 0; i < wf_params_get_count(m->params); i++) {
        const wf_param *p = wf_params_get(m->params, i);
        const int at = p->t ? wf_watch_find(c, p->t) : -1;
        if (at < 0 || at >= best) continue;
        best = at;
        name = p->name;
    }
    const char *dot = name ? strrchr(name, '.') : NULL;       /* of the layer */
    if (dot) wf_watch_amend(c, " at %.*s of %s", (int)(dot - name), name, m->arch->name);
    else wf_watch_amend(c, " in %s", m->arch->name);
}

wf_status wf_model_call(wf_ctx *c, wf_model *m, const char *method, const wf_named *in, int n_in,
                        wf_named out[WF_MODEL_MAX_IO], int *n_out)
{
    wf_tensor *ordered[WF_MODEL_MAX_IO] = {0};
    *n_out = 0;
    if (wf_has_failed(c)) return wf_get_status(c);
    const wf_method *k = find_method(c, m, method);
    if (!k) return wf_get_status(c);
    WF_TRY(order_inputs(c, m, k, in, n_in, ordered));
    watch_inputs(c, m, in, n_in);
    wf_scope *s = wf_scope_open_on(c, wf_model_get_param(m, 0, NULL));
    if (s) k->run(c, m->net, ordered, out, n_out);
    if (s && wf_is_watching(c) && wf_get_status(c) == WF_ENAN) name_layer(c, m);
    for (int i = 0; i < *n_out; i++) wf_scope_keep(c, out[i].t);
    wf_scope_close(c, s, NULL);
    if (wf_has_failed(c)) *n_out = 0;
    return wf_get_status(c);
}
