/*
 * lora.c - adapters beside linear layers, and their files as PEFT writes them.
 */
#include "core/model/lora.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/file/file_write.h"
#include "core/file/tensors.h"
#include "core/model/model_impl.h"

enum { PATH_MOST = 4096 };

/* Bytes of a parameter's name without ".weight". */
static size_t module_bytes(const wf_param *p)
{
    const size_t n = strlen(p->name), k = strlen(".weight");
    return n > k && strcmp(p->name + n - k, ".weight") == 0 ? n - k : n;
}

/* ---- adapting ---- */

static bool is_target(const wf_param *p, const char *target)
{
    const size_t n = module_bytes(p), k = strlen(target);
    if (!p->is_linear || k == 0 || k > n || memcmp(p->name + n - k, target, k) != 0) return false;
    return k == n || p->name[n - k - 1] == '.';
}

static wf_status adapt_layer(wf_builder *b, wf_model *m, wf_param *p)
{
    const int64_t N = p->shape.dims[0], K = p->shape.dims[1], R = m->lora_rank;
    const size_t mark = wf_builder_enter(b, "%.*s", (int)module_bytes(p), p->name);
    wf_adapter *k = wf_builder_alloc(b, sizeof *k);
    if (!k) return wf_get_status(b->c);
    *k = (wf_adapter){.scale = m->lora_alpha / (double)R};
    k->a = wf_param_new(b, "lora_A.weight", WF_LAYOUT_PLAIN, (wf_shape){2, {R, K}},
                        wf_init_fan_in(K));
    k->b = wf_param_new(b, "lora_B.weight", WF_LAYOUT_PLAIN, (wf_shape){2, {N, R}},
                        wf_init_constant(0.0));
    wf_builder_leave(b, mark);
    if (!wf_has_failed(b->c)) p->adapter = k;
    return wf_get_status(b->c);
}

static wf_status adapt_target(wf_builder *b, wf_model *m, const char *target)
{
    int64_t n = 0;
    for (int64_t i = 0; i < wf_params_get_count(m->params); i++) {
        wf_param *p = wf_params_get(m->params, i);
        if (!is_target(p, target)) continue;
        n++;
        if (!p->adapter) WF_TRY(adapt_layer(b, m, p));
    }
    if (n > 0) return wf_get_status(b->c);
    return wf_fail_status(b->c, WF_EARG, "%s: adapt: no linear layer is named \"%.60s\"",
                          m->arch->name, target);
}

static void drop_adapters(wf_model *m)
{
    for (int64_t i = 0; i < wf_params_get_count(m->params); i++)
        wf_params_get(m->params, i)->adapter = NULL;
    wf_params_free(m->adapters);
    m->adapters = NULL;
}

wf_status wf_lora_adapt(wf_ctx *c, wf_model *m, const wf_lora_style *s, int64_t *n)
{
    if (wf_has_failed(c)) return wf_get_status(c);
    if (s->rank < 1 || s->rank > 1 << 16 || !isfinite(s->alpha))
        return wf_fail_status(c, WF_EARG, "%s: adapt: rank must be 1 to %d, alpha a number",
                              m->arch->name, 1 << 16);
    if (m->adapters)
        return wf_fail_status(c, WF_EARG, "%s: adapt: has adapters already", m->arch->name);
    uint64_t seed = s->seed;
    wf_scope *scope = wf_scope_open_on(c, wf_model_get_param(m, 0, NULL));
    m->adapters = wf_params_new(c);
    m->lora_rank = s->rank;
    m->lora_alpha = s->alpha;
    wf_builder b = {.c = c, .params = m->adapters, .source = wf_param_randomise, .arg = &seed};
    for (int i = 0; m->adapters && s->targets[i] && !wf_has_failed(c); i++)
        if (adapt_target(&b, m, s->targets[i]) != WF_OK) break;
    wf_scope_close(c, scope, NULL);
    *n = wf_lora_get_count(m) / 2;
    if (wf_has_failed(c)) drop_adapters(m);
    return wf_get_status(c);
}

int64_t wf_lora_get_count(const wf_model *m)
{
    return m->adapters ? wf_params_get_count(m->adapters) : 0;
}

wf_tensor *wf_lora_get_param(const wf_model *m, int64_t i, const char **name)
{
    const wf_param *p = m->adapters ? wf_params_get(m->adapters, i) : NULL;
    if (name) *name = p ? p->name : NULL;
    return p ? p->t : NULL;
}

/* ---- saving ---- */

/* PEFT's names: "base_model.model." in front. */
static wf_status save_tensors(wf_ctx *c, const wf_model *m, const char *path)
{
    static const char *const meta[] = {"format", "pt"};
    static const char front[] = "base_model.model.";
    const int64_t n = wf_lora_get_count(m);
    wf_mem *mem = wf_ctx_get_mem(c);
    char(*texts)[WF_PATH_MAX + sizeof front] = wf_mem_alloc(mem, (size_t)(n + 1) * sizeof *texts);
    const char **names = wf_mem_alloc(mem, (size_t)(n + 1) * sizeof *names);
    wf_tensor **t = wf_mem_alloc(mem, (size_t)(n + 1) * sizeof *t);
    if (!texts || !names || !t) wf_fail(c, WF_ENOMEM, "%s: no memory", path);
    for (int64_t i = 0; i < n && !wf_has_failed(c); i++) {
        const char *name;
        t[i] = wf_lora_get_param(m, i, &name);
        snprintf(texts[i], sizeof texts[i], "%s%s", front, name);
        names[i] = texts[i];
    }
    const wf_status st = wf_has_failed(c) ? wf_get_status(c)
                                          : wf_tensors_save(c, path, names, t, n, meta, 1);
    wf_mem_free(mem, texts);
    wf_mem_free(mem, names);
    wf_mem_free(mem, t);
    return st;
}

/* {"peft_type": "LORA", ...} with every adapted layer by its full name; of wf_mem_alloc. */
static char *config_text(wf_ctx *c, const wf_model *m)
{
    const int64_t n = wf_lora_get_count(m);
    const size_t room = 512 + (size_t)n * (WF_PATH_MAX + 8);
    char *s = wf_mem_alloc(wf_ctx_get_mem(c), room);
    if (!s) return wf_fail(c, WF_ENOMEM, "%s: no memory", m->arch->name);
    size_t at = (size_t)snprintf(
        s, room, "{\n  \"peft_type\": \"LORA\",\n  \"r\": %lld,\n  \"lora_alpha\": %.17g,\n"
                 "  \"bias\": \"none\",\n  \"inference_mode\": true,\n  \"target_modules\": [",
        (long long)m->lora_rank, m->lora_alpha);
    for (int64_t i = 0; i < n; i += 2) {
        const char *name;
        wf_lora_get_param(m, i, &name);
        at += (size_t)snprintf(s + at, room - at, "%s\n    \"%.*s\"", i ? "," : "",
                               (int)(strlen(name) - strlen(".lora_A.weight")), name);
    }
    snprintf(s + at, room - at, "\n  ]\n}\n");
    return s;
}

wf_status wf_lora_save(wf_ctx *c, const wf_model *m, const char *folder)
{
    char path[PATH_MOST];
    if (wf_has_failed(c)) return wf_get_status(c);
    if (!m->adapters)
        return wf_fail_status(c, WF_EARG, "%s: has no adapters to save", m->arch->name);
    WF_TRY(wfi_model_make_folder(c, folder));
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", folder);
    WF_TRY(save_tensors(c, m, path));
    snprintf(path, sizeof path, "%s/adapter_config.json", folder);
    char *text = config_text(c, m);
    const wf_status st = text ? wf_file_save(c, path, text, strlen(text), true) : wf_get_status(c);
    wf_mem_free(wf_ctx_get_mem(c), text);
    return st;
}
