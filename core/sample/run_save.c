/*
 * run_save.c - copies of a run, and its way into a file and back.
 *
 * The file is safetensors: the latent, past answers and noises; its metadata hold the sampler's
 * config ("config") and the counters ("run"), both JSON.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/file/tensors.h"
#include "core/sample/sample_impl.h"

enum { NAME_MOST = 24, JSON_MOST = 640 };

/* What the tensors that wfs_list_slots lists are called in a file. */
static const char *const slot_names[WFS_SLOTS] = {
    "x",         "x0",        "saved",     "sum",       "history.0",
    "history.1", "history.2", "history.3", "history.4",
};

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
    wf_tensor **a[WFS_SLOTS], **b[WFS_SLOTS];
    wfs_list_slots(from, a);
    wfs_list_slots(to, b);
    for (int i = 0; i < WFS_SLOTS; i++) *b[i] = wf_retain(*a[i]);
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
    wf_tensor **slots[WFS_SLOTS];
    wfs_list_slots(r, slots);
    const size_t most = (size_t)(WFS_SLOTS + r->o.n_noise);
    wf_mem *mem = r->s->mem;
    const char **names =
        wf_mem_alloc(mem, most * (sizeof *names + sizeof(wf_tensor *) + NAME_MOST));
    if (!names) return wf_fail_status(c, WF_ENOMEM, "%s: no memory", path);
    wf_tensor **t = (wf_tensor **)(names + most);
    char *text = (char *)(t + most), run[JSON_MOST];
    int64_t n = 0;
    for (int i = 0; i < WFS_SLOTS; i++)
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

/* A run while it is read; what is wrong in it is said of the file. */
typedef struct reader {
    wf_ctx *c;
    wf_tensors *f;
    const wf_json *j;                     /* the counters */
    wf_run *r;
} reader;

/* A counter that must be there, from lo to hi; lo once it is not. */
static int read_counter(const reader *k, const char *key, int64_t lo, int64_t hi)
{
    const char *path = wf_tensors_get_path(k->f);
    const int64_t v = wf_json_get_int(k->c, k->j, key, 0);
    if (!wf_json_has(k->j, key))
        wf_fail(k->c, WF_EFORMAT, "%s: the run's \"%s\" is missing", path, key);
    else if (lo == hi && v != lo)
        wf_fail(k->c, WF_EFORMAT, "%s: the run's \"%s\" is %lld, wants %lld", path, key,
                (long long)v, (long long)lo);
    else if (v < lo || v > hi)
        wf_fail(k->c, WF_EFORMAT, "%s: the run's \"%s\" is %lld, wants %lld ... %lld", path, key,
                (long long)v, (long long)lo, (long long)hi);
    return (int)(wf_has_failed(k->c) ? lo : v);
}

static wf_run_opts read_opts(const reader *k, const wf_sampler *s)
{
    wf_ctx *c = k->c;
    const wf_json *j = k->j;
    wf_run_opts o = WF_RUN_DEFAULTS;
    o.latents = find_tensor(c, k->f, "x");
    if (!o.latents) wf_fail(c, WF_EFORMAT, "%s: the run's x is missing", wf_tensors_get_path(k->f));
    o.begin = 0;                          /* where it began is read once its calls are counted */
    o.steps = read_counter(k, "steps", 1, wfs_most_steps(s));
    o.strength = wf_json_get_number(c, j, "strength", 1.0);
    o.seed = strtoull(wf_json_get_text(c, j, "seed", "0"), NULL, 10);
    o.eta = wf_json_get_number(c, j, "eta", o.eta);
    o.s_churn = wf_json_get_number(c, j, "s_churn", 0.0);
    o.s_tmin = wf_json_get_number(c, j, "s_tmin", 0.0);
    o.s_tmax = wf_json_get_number(c, j, "s_tmax", o.s_tmax);
    o.s_noise = wf_json_get_number(c, j, "s_noise", 1.0);
    o.order = read_counter(k, "order", 0, INT32_MAX);
    o.use_clipped = wf_json_get_bool(c, j, "use_clipped", false);
    return o;
}

/* The tensor of that name, of x's shape, into a slot of the run; an absent one clears it. */
static wf_status read_tensor(const reader *k, const char *name, wf_tensor **slot)
{
    char ta[180], tb[180];
    wf_tensor *t = find_tensor(k->c, k->f, name);
    const wf_shape a = wf_get_shape(t ? t : k->r->x), b = wf_get_shape(k->r->x);
    if (!wf_shape_is_same(&a, &b))
        return wf_fail_status(k->c, WF_EFORMAT, "%s: the run's %s is %s, its x %s",
                              wf_tensors_get_path(k->f), name, wf_tensor_text(t, ta, sizeof ta),
                              wf_tensor_text(k->r->x, tb, sizeof tb));
    wfs_set_tensor(k->c, slot, t);
    return wf_get_status(k->c);
}

/* Entry i of the list that a counter says has n entries: there when i < n, else not. */
static wf_status read_entry(const reader *k, const char *key, const char *name, int i, int n,
                            wf_tensor **slot)
{
    const bool is_there = wf_tensors_find(k->f, name) >= 0;
    if (is_there != (i < n))
        return wf_fail_status(k->c, WF_EFORMAT, "%s: the run's \"%s\" is %d, but %s is %s",
                              wf_tensors_get_path(k->f), key, n, name,
                              is_there ? "there" : "missing");
    return read_tensor(k, name, slot);
}

static int64_t count_noises(const wf_tensors *f)
{
    int64_t n = 0;
    for (int64_t i = 0; i < wf_tensors_get_count(f); i++)
        n += strncmp(wf_tensors_get_name(f, i), "noise.", 6) == 0;
    return n;
}

static wf_status read_noises(const reader *k)
{
    wf_run *r = k->r;
    const int64_t there = count_noises(k->f);
    const int n = read_counter(k, "noises", there, there);
    if (n == 0 || wf_has_failed(k->c)) return wf_get_status(k->c);
    r->noise = wf_mem_calloc(r->s->mem, (size_t)n * sizeof *r->noise);
    if (!r->noise) return wf_fail_status(k->c, WF_ENOMEM, "sampler: no memory for %d noises", n);
    r->o.n_noise = n;
    for (int i = 0; i < n; i++) {
        char name[NAME_MOST];
        snprintf(name, sizeof name, "noise.%d", i);
        WF_TRY(read_entry(k, "noises", name, i, n, &r->noise[i]));
    }
    return WF_OK;
}

/* Steps index the plan, the history and the noises by these, so each must be one that such a run
 * can come to: every call counts one in at and in done, and draws one noise at most. */
static wf_status read_counters(const reader *k)
{
    wf_run *r = k->r;
    const bool predicts = r->s->method == &wfs_unipc;
    r->begin = r->o.begin = read_counter(k, "begin", 0, r->plan.n);
    r->i = read_counter(k, "at", r->begin, r->plan.n);
    r->n_done = read_counter(k, "done", r->i - r->begin, r->i - r->begin);
    r->draws = read_counter(k, "draws", 0, r->n_done);
    /* of UniPC's last predictor, which takes one answer more than were given before */
    const int most = r->n_done < WFS_UNIPC_MOST ? r->n_done : WFS_UNIPC_MOST;
    r->last_order = read_counter(k, "last_order", predicts && most > 0, predicts ? most : 0);
    r->n_history = read_counter(k, "history", 0, WFS_HISTORY);
    return wf_get_status(k->c);
}

static wf_status read_state(const reader *k)
{
    enum { FIRST = WFS_SLOTS - WFS_HISTORY };
    wf_tensor **slots[WFS_SLOTS];
    wfs_list_slots(k->r, slots);
    WF_TRY(read_counters(k));
    for (int i = 0; i < FIRST; i++) WF_TRY(read_tensor(k, slot_names[i], slots[i]));
    for (int i = 0; i < WFS_HISTORY; i++)
        WF_TRY(read_entry(k, "history", slot_names[FIRST + i], i, k->r->n_history,
                          slots[FIRST + i]));
    if (k->r->saved && k->r->n_done == 0)
        return wf_fail_status(k->c, WF_EFORMAT, "%s: the run's \"done\" is 0, but saved is there",
                              wf_tensors_get_path(k->f));
    return read_noises(k);
}

static wf_run *load_run(wf_ctx *c, wf_tensors *f)
{
    const char *text = wf_tensors_get_meta(f, "run");
    wf_sampler *s = load_sampler(c, f);
    wf_json *j = s && text ? wf_json_parse(c, text, strlen(text), wf_tensors_get_path(f)) : NULL;
    reader k = {.c = c, .f = f, .j = j};
    if (j) {
        const wf_run_opts o = read_opts(&k, s);
        k.r = wf_run_new(c, s, &o);
        if (k.r && read_state(&k) != WF_OK) {
            wf_run_free(k.r);
            k.r = NULL;
        }
    } else if (!text) {
        wf_fail(c, WF_EFORMAT, "%s: is not a saved run", wf_tensors_get_path(f));
    }
    wf_json_free(j);
    wf_sampler_free(s);
    return k.r;
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
