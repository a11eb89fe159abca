/*
 * hifigan.c - from mel bands to samples: HiFi-GAN's generator as transformers' SpeechT5HifiGan.
 *
 *   x = conv_pre(mel)
 *   per stage: x = upsample(lrelu(x)); x = mean over kernels of resblock(x)
 *   audio = tanh(conv_post(lrelu(x)))
 *
 * The last slope is 0.01 whatever the config says, as the reference leaves it at its default. Files
 * hold `mean` and `scale` always; they are used with normalize_before only. Weights come with and
 * without weight norm, which the loader undoes. Source: Kong et al., arXiv:2010.05646.
 */
#include <stdio.h>

#include "core/model/arch.h"

enum { MAX_STAGES = 8, MAX_KERNELS = 8, MAX_DILATIONS = 8, EDGE_TAPS = 7 };

static const double LAST_SLOPE = 0.01;

typedef struct conv1d {
    wf_param *w, *b;                      /* [O,k,I] or, transposed, [I,k,O]; [O] */
    int64_t stride, pad, dilation;
} conv1d;

/* x + conv2(lrelu(conv1(lrelu(x)))) for each dilation in turn; conv2 has none. */
typedef struct resblock {
    conv1d first[MAX_DILATIONS], second[MAX_DILATIONS];
    int n;
} resblock;

typedef struct stage {
    conv1d up;
    resblock blocks[MAX_KERNELS];
} stage;

typedef struct hifigan {
    wf_param *mean, *scale;               /* [M] */
    conv1d pre, post;
    stage stages[MAX_STAGES];
    int n_stages, n_kernels;
    int64_t n_mels;
    double slope;
    bool normalizes;
} hifigan;

static const wf_config_key KEYS[] = {{"model_in_dim", NULL},
                                     {"upsample_initial_channel", NULL},
                                     {"upsample_rates", NULL},
                                     {"upsample_kernel_sizes", NULL},
                                     {"resblock_kernel_sizes", NULL},
                                     {"resblock_dilation_sizes", NULL},
                                     {"leaky_relu_slope", NULL},
                                     {"normalize_before", NULL},
                                     {"initializer_range", "*"},
                                     {"sampling_rate", "*"},
                                     {0}};

/* ---- building ---- */

static conv1d declare(wf_builder *b, const char *name, int64_t in, int64_t out, int64_t taps,
                      int64_t dilation)
{
    const wf_init init = wf_init_fan_in(in * taps);
    const wf_shape w = {3, {out, taps, in}}, bias = {1, {out}};
    const size_t mark = wf_builder_enter(b, "%s", name);
    const conv1d l = {.w = wf_param_new(b, "weight", WF_LAYOUT_CONV1D, w, init),
                      .b = wf_param_new(b, "bias", WF_LAYOUT_PLAIN, bias, init),
                      .stride = 1, .pad = (taps * dilation - dilation) / 2, .dilation = dilation};
    wf_builder_leave(b, mark);
    return l;
}

static conv1d declare_up(wf_builder *b, int i, int64_t in, int64_t out, int64_t taps, int64_t rate)
{
    const wf_init init = wf_init_fan_in(out * taps);
    const wf_shape w = {3, {in, taps, out}}, bias = {1, {out}};
    if (taps < rate)
        wf_fail(b->c, WF_EMODEL, "hifigan: \"upsample_kernel_sizes\" has %lld for a rate of %lld",
                (long long)taps, (long long)rate);
    const size_t mark = wf_builder_enter(b, "upsampler.%d", i);
    const conv1d l = {.w = wf_param_new(b, "weight", WF_LAYOUT_CONV_T1D, w, init),
                      .b = wf_param_new(b, "bias", WF_LAYOUT_PLAIN, bias, init), .stride = rate,
                      .pad = (taps - rate) / 2};
    wf_builder_leave(b, mark);
    return l;
}

/* How many entries j[key] has, 1 to most. */
static int count_list(wf_ctx *c, const wf_json *j, const char *key, int most)
{
    const int64_t n = wf_json_count(wf_json_find(j, key));
    if (n >= 1 && n <= most) return (int)n;
    wf_fail(c, WF_EMODEL, "hifigan: \"%s\" must be a list of 1 to %d", key, most);
    return 1;
}

static resblock declare_block(wf_builder *b, int i, int64_t width, int64_t taps,
                              const wf_json *dilations)
{
    resblock r = {0};
    const int64_t n = wf_json_count(dilations);
    if (n < 1 || n > MAX_DILATIONS)
        wf_fail(b->c, WF_EMODEL, "hifigan: \"resblock_dilation_sizes\" must hold a list of 1 to %d "
                "for each of \"resblock_kernel_sizes\"", MAX_DILATIONS);
    const size_t mark = wf_builder_enter(b, "resblocks.%d", i);
    for (; r.n < n && !wf_has_failed(b->c); r.n++) {
        char name[24];
        const int64_t dilation = wf_json_int(wf_json_at(dilations, r.n), 0);
        if (dilation < 1 || dilation > 1 << 16)
            wf_fail(b->c, WF_EMODEL, "hifigan: a dilation of %lld", (long long)dilation);
        snprintf(name, sizeof name, "convs1.%d", r.n);
        r.first[r.n] = declare(b, name, width, width, taps, dilation);
        snprintf(name, sizeof name, "convs2.%d", r.n);
        r.second[r.n] = declare(b, name, width, width, taps, 1);
    }
    wf_builder_leave(b, mark);
    return r;
}

static void declare_stages(wf_builder *b, hifigan *n, const wf_json *j, int64_t width)
{
    int64_t rates[MAX_STAGES], taps[MAX_STAGES], kernels[MAX_KERNELS];
    wf_ctx *c = b->c;
    wf_config_sizes(c, j, "upsample_rates", 4, n->n_stages, rates);
    wf_config_sizes(c, j, "upsample_kernel_sizes", 8, n->n_stages, taps);
    wf_config_sizes(c, j, "resblock_kernel_sizes", 3, n->n_kernels, kernels);
    const wf_json *dilations = wf_json_find(j, "resblock_dilation_sizes");
    for (int i = 0; i < n->n_stages && !wf_has_failed(c); i++)
        n->stages[i].up = declare_up(b, i, width >> i, width >> (i + 1), taps[i], rates[i]);
    for (int i = 0; i < n->n_stages * n->n_kernels && !wf_has_failed(c); i++) {
        const int at = i / n->n_kernels, k = i % n->n_kernels;
        n->stages[at].blocks[k] =
            declare_block(b, i, width >> (at + 1), kernels[k], wf_json_at(dilations, k));
    }
}

static void *build(wf_builder *b, const wf_json *j)
{
    wf_ctx *c = b->c;
    hifigan *n = wf_builder_alloc(b, sizeof *n);
    if (!n) return NULL;
    n->n_mels = wf_config_size(c, j, "model_in_dim", 80);
    const int64_t width = wf_config_size(c, j, "upsample_initial_channel", 512);
    n->n_stages = count_list(c, j, "upsample_rates", MAX_STAGES);
    n->n_kernels = count_list(c, j, "resblock_kernel_sizes", MAX_KERNELS);
    n->slope = wf_json_get_number(c, j, "leaky_relu_slope", 0.1);
    n->normalizes = wf_json_get_bool(c, j, "normalize_before", true);
    if (width % ((int64_t)1 << n->n_stages) != 0)
        wf_fail(c, WF_EMODEL, "hifigan: \"upsample_initial_channel\" %lld cannot be halved %d "
                "times", (long long)width, n->n_stages);
    if (wf_has_failed(c)) return NULL;
    const wf_shape bands = {1, {n->n_mels}};
    n->mean = wf_param_new(b, "mean", WF_LAYOUT_PLAIN, bands, wf_init_constant(0));
    n->scale = wf_param_new(b, "scale", WF_LAYOUT_PLAIN, bands, wf_init_constant(1));
    n->pre = declare(b, "conv_pre", n->n_mels, width, EDGE_TAPS, 1);
    declare_stages(b, n, j, width);
    n->post = declare(b, "conv_post", width >> n->n_stages, 1, EDGE_TAPS, 1);
    return n;
}

/* ---- running ---- */

static wf_tensor *run(wf_ctx *c, const conv1d *l, wf_tensor *x)
{
    return wf_conv1d(c, x, l->w->t, l->b->t, l->stride, l->pad, l->dilation, 1);
}

static wf_tensor *run_block(wf_ctx *c, const resblock *r, double slope, wf_tensor *x)
{
    for (int i = 0; i < r->n; i++) {
        wf_tensor *y = run(c, &r->first[i], wf_leaky_relu(c, x, slope));
        x = wf_add(c, x, run(c, &r->second[i], wf_leaky_relu(c, y, slope)));
    }
    return x;
}

/* x [B,T,C] -> [B,T rate,C/2], where the taps are even more than the rate */
static wf_tensor *run_stage(wf_ctx *c, const hifigan *n, const stage *s, wf_tensor *x)
{
    wf_scope *scope = wf_scope_open(c);
    x = wf_conv_transpose1d(c, wf_leaky_relu(c, x, n->slope), s->up.w->t, s->up.b->t,
                            s->up.stride, s->up.pad, 0);
    wf_tensor *sum = run_block(c, &s->blocks[0], n->slope, x);
    for (int k = 1; k < n->n_kernels; k++)
        sum = wf_add(c, sum, run_block(c, &s->blocks[k], n->slope, x));
    return wf_scope_close(c, scope, wf_scale(c, sum, 1.0 / n->n_kernels));
}

/* mel [B,T,M] -> audio [B,S] */
static wf_status forward(wf_ctx *c, const void *net, wf_tensor *const *in, wf_named *out,
                         int *n_out)
{
    const hifigan *n = net;
    WF_TRY(wf_input_check(c, "hifigan", "mel", in[0], 3, (int64_t[]){-1, -1, n->n_mels}));
    wf_tensor *x = wf_to_activation(c, in[0]);
    if (n->normalizes) x = wf_div(c, wf_sub(c, x, n->mean->t), n->scale->t);
    x = run(c, &n->pre, x);
    for (int i = 0; i < n->n_stages; i++) x = run_stage(c, n, &n->stages[i], x);
    x = wf_tanh(c, run(c, &n->post, wf_leaky_relu(c, x, LAST_SLOPE)));
    if (wf_has_failed(c)) return wf_get_status(c);
    out[0] = (wf_named){"audio", wf_reshape2(c, x, wf_dim(x, 0), wf_dim(x, 1))};
    *n_out = 1;
    return wf_get_status(c);
}

static const char *const CLASSES[] = {"SpeechT5HifiGan", "speecht5_hifigan", "hifigan", NULL};
static const wf_method METHODS[] = {{"forward", "mel", forward}, {0}};

const wf_arch wfi_arch_hifigan = {.name = "hifigan", .classes = CLASSES, .is_transformers = true,
                                  .keys = KEYS, .methods = METHODS, .build = build};
