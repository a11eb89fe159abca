/*
 * run_save.c - copies of a run, and its way into a file and back.
 *
 * The file is safetensors: the latent, past answers and noises; its metadata hold the sampler's
 * config
 * ("config") and the counters ("run"), both JSON.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/file/tensors.h"
#include "core/sample/sample_impl.h"

enum { MAX_NAMED = 4 + WFS_HISTORY, NAME_MOST = 24, JSON_MOST = 640 };

/* The single tensors of a run, by the names they have in a file. */
static int list_slots(wf_run *r, const char *names[MAX_NAMED], wf_tensor **slots[MAX_NAMED])
{
    static const char *const history[] = {"history.0", "history.1", "history.2", "history.3",
                                          "history.4"};
    const char *const fixed[] = {"x", "x0", "saved", "sum"};
    wf_tensor **const at[] = {&r->x, &r->x0, &r->saved, &r->sum};
    int n = 0;
    for (; n < 4; n++) names[n] = fixed[n], slots[n] = at[n];
    for (int i = 0; i < WFS_HISTORY; i++, n++) names[n] = history[i], slots[n] = &r->history[i];
    return n;
}

/* ---- copies ---- */

static wf_status copy_plan(wf_ctx *c, wf_run *to, const wf_run *from)
{
    const size_t room = (size_t)(from->plan.sigma - from->plan.t);
    double *v = wf_mem_alloc(to->s->mem, 4 * room * sizeof *v);
    if (!v) return wf_fail_status(c, WF_ENOMEM, "sampler: no memory for a fork");
    memcpy(v, from->plan.t, 4 * room * sizeof *v);
    to->plan.t = v;
    to->plan.sigma = v + room;
    to->plan.extra = v + 2 * room;
    return WF_OK;
}

static wf_status copy_tensors(wf_ctx *c, wf_run *to, wf_run *from)
{
    const char *names[MAX_NAMED];
    wf_tensor **a[MAX_NAMED], **b[MAX_NAMED];
    const int n = list_slots(from, names, a);
    list_slots(to, names, b);
    for (int i = 0; i < n; i++) *b[i] = wf_retain(*a[i]);
    if (!from->noise) return WF_OK;
    to->noise = wf_mem_calloc(to->s->mem, (size_t)from->o.n_noise * sizeof *to->noise);
    if (!to->noise) return wf_fail_status(c, WF_ENOMEM, "sampler: no memory for a fork");
    for (int i = 0; i < from->o.n_noise; i++) to->noise[i] = wf_retain(from->noise[i]);
    return WF_OK;
}

wf_run *wf_run_fork(wf_ctx *c, wf_run *r)
{
    if (wf_has_failed(c)) return NULL;
    wf_run *f = wf_mem_calloc(r->s->mem, sizeof *f);
    if (!f) return wf_fail(c, WF_ENOMEM, "sampler: no memory for a fork");
    *f = *r;
    f->s->refs++;
    f->x = f->x0 = f->saved = f->sum = NULL;
    memset(f->history, 0, sizeof f->history);
    f->noise = NULL;
    f->plan.t = NULL;
    if (copy_plan(c, f, r) == WF_OK && copy_tensors(c, f, r) == WF_OK) return f;
    wf_run_free(f);
    return NULL;
}

/* ---- saving ---- */

/* A number that JSON can hold, or null. */
static const char *json_number(double v, char *buf, size_t n)
{
    snprintf(buf, n, isfinite(v) ? "%.17g" : "null", v);
    return buf;
}

static void write_counters(const wf_run *r, char *text, size_t n)
{
    char eta[32], tmax[32], strength[32];
    snprintf(
        text, n,
        "{\"steps\": %d, \"strength\": %s, \"begin\": %d, \"at\": %d, \"done\": %d, \"draws\": %d, "
        "\"last_order\": %d, \"history\": %d, \"noises\": %d, \"seed\": \"%" PRIu64
        "\", \"eta\": %s, "
        "\"s_churn\": %.17g, \"s_tmin\": %.17g, \"s_tmax\": %s, \"s_noise\": %.17g, \"order\": %d, "
        "\"use_clipped\": %s}",
        r->o.steps, json_number(r->o.strength, strength, sizeof strength), r->begin, r->i,
        r->n_done, r->draws, r->last_order, r->n_history, r->o.n_noise, r->o.seed,
        json_number(r->o.eta, eta, sizeof eta), r->o.s_churn, r->o.s_tmin,
        json_number(r->o.s_tmax, tmax, sizeof tmax), r->o.s_noise, r->o.order,
        r->o.use_clipped ? "true" : "false");
}

wf_status wf_run_save(wf_ctx *c, wf_run *r, const char *path)
{
    WF_TRY(wf_get_status(c));
    const char *slot_names[MAX_NAMED];
    wf_tensor **slots[MAX_NAMED];
    const int n_slots = list_slots(r, slot_names, slots);
    const size_t most = (size_t)(n_slots + r->o.n_noise);
    wf_mem *mem = r->s->mem;
    const char **names =
        wf_mem_alloc(mem, most * (sizeof *names + sizeof(wf_tensor *) + NAME_MOST));
    if (!names) return wf_fail_status(c, WF_ENOMEM, "%s: no memory", path);
    wf_tensor **t = (wf_tensor **)(names + most);
    char *text = (char *)(t + most), run[JSON_MOST];
    int64_t n = 0;
    for (int i = 0; i < n_slots; i++)
        if (*slots[i]) names[n] = slot_names[i], t[n++] = *slots[i];
    for (int i = 0; i < r->o.n_noise; i++, text += NAME_MOST) {
        snprintf(text, NAME_MOST, "noise.%d", i);
        names[n] = text;
        t[n++] = r->noise[i];
    }
    write_counters(r, run, sizeof run);
    const char *const meta[] = {"config", r->s->text, "run", run};
    const wf_status st = wf_tensors_save(c, path, names, t, n, meta, 2);
    wf_mem_free(mem, names);
    return st;
}

/* ---- loading ---- */

static wf_tensor *find_tensor(wf_ctx *c, wf_tensors *f, const char *name)
{
    const int64_t i = wf_tensors_find(f, name);
    return i < 0 ? NULL
                 : wf_copy(c, wf_to_device(c, wf_tensors_get(c, f, i), wf_ctx_get_device(c)));
}

static wf_sampler *load_sampler(wf_ctx *c, const wf_tensors *f)
{
    const char *text = wf_tensors_get_meta(f, "config");
    if (!text) return wf_fail(c, WF_EFORMAT, "%s: is not a saved run", wf_tensors_get_path(f));
    wf_json *config = wf_json_parse(c, text, strlen(text), wf_tensors_get_path(f));
    wf_sampler *s = config ? wf_sampler_new(c, config) : NULL;
    wf_json_free(config);
    return s;
}

static wf_run_opts read_opts(wf_ctx *c, const wf_json *j, wf_tensor *x)
{
    wf_run_opts o = WF_RUN_DEFAULTS;
    o.latents = x;
    o.steps = (int)wf_json_get_int(c, j, "steps", 0);
    o.begin = (int)wf_json_get_int(c, j, "begin", 0);
    o.strength = wf_json_get_number(c, j, "strength", 1.0);
    o.seed = strtoull(wf_json_get_text(c, j, "seed", "0"), NULL, 10);
    o.eta = wf_json_get_number(c, j, "eta", o.eta);
    o.s_churn = wf_json_get_number(c, j, "s_churn", 0.0);
    o.s_tmin = wf_json_get_number(c, j, "s_tmin", 0.0);
    o.s_tmax = wf_json_get_number(c, j, "s_tmax", o.s_tmax);
    o.s_noise = wf_json_get_number(c, j, "s_noise", 1.0);
    o.order = (int)wf_json_get_int(c, j, "order", 0);
    o.use_clipped = wf_json_get_bool(c, j, "use_clipped", false);
    return o;
}

static wf_status read_noises(wf_ctx *c, wf_tensors *f, wf_run *r, int n)
{
    if (n <= 0 || n > wf_tensors_get_count(f)) return WF_OK;
    r->noise = wf_mem_calloc(r->s->mem, (size_t)n * sizeof *r->noise);
    if (!r->noise) return wf_fail_status(c, WF_ENOMEM, "sampler: no memory for %d noises", n);
    r->o.n_noise = n;
    for (int i = 0; i < n; i++) {
        char name[NAME_MOST];
        snprintf(name, sizeof name, "noise.%d", i);
        wfs_set_tensor(c, &r->noise[i], find_tensor(c, f, name));
    }
    return wf_get_status(c);
}

static wf_status read_state(wf_ctx *c, wf_tensors *f, const wf_json *j, wf_run *r)
{
    const char *names[MAX_NAMED];
    wf_tensor **slots[MAX_NAMED];
    const int n = list_slots(r, names, slots);
    for (int i = 0; i < n; i++) wfs_set_tensor(c, slots[i], find_tensor(c, f, names[i]));
    r->i = (int)wf_json_get_int(c, j, "at", 0);
    r->n_done = (int)wf_json_get_int(c, j, "done", 0);
    r->draws = (int)wf_json_get_int(c, j, "draws", 0);
    r->last_order = (int)wf_json_get_int(c, j, "last_order", 0);
    r->n_history = (int)wf_json_get_int(c, j, "history", 0);
    const bool whole =
        r->x && r->i >= 0 && r->i <= r->plan.n && r->n_history >= 0 && r->n_history <= WFS_HISTORY;
    for (int i = 0; whole && i < r->n_history; i++)
        if (!r->history[i])
            return wf_fail_status(c, WF_EFORMAT, "%s: history.%d is missing",
                                  wf_tensors_get_path(f), i);
    if (!whole)
        return wf_fail_status(c, WF_EFORMAT, "%s: the counters of the run are damaged",
                              wf_tensors_get_path(f));
    return read_noises(c, f, r, (int)wf_json_get_int(c, j, "noises", 0));
}

static wf_run *load_run(wf_ctx *c, wf_tensors *f)
{
    const char *text = wf_tensors_get_meta(f, "run");
    wf_sampler *s = load_sampler(c, f);
    wf_json *j = s && text ? wf_json_parse(c, text, strlen(text), wf_tensors_get_path(f)) : NULL;
    wf_run *r = NULL;
    if (j) {
        const wf_run_opts o = read_opts(c, j, find_tensor(c, f, "x"));
        r = wf_run_new(c, s, &o);
        if (r && read_state(c, f, j, r) != WF_OK) {
            wf_run_free(r);
            r = NULL;
        }
    } else if (!text) {
        wf_fail(c, WF_EFORMAT, "%s: is not a saved run", wf_tensors_get_path(f));
    }
    wf_json_free(j);
    wf_sampler_free(s);
    return r;
}

wf_run *wf_run_load(wf_ctx *c, const char *path)
{
    if (wf_has_failed(c)) return NULL;
    wf_tensors *f = wf_tensors_open(c, path);
    if (!f) return NULL;
    wf_scope *scope = wf_scope_open(c);
    wf_run *r = load_run(c, f);
    wf_scope_close(c, scope, NULL);
    wf_tensors_close(f);
    return r;
}
