/*
 * projector.c - between a feature of the aligned space and a language model's states.
 *
 *   y = W2 norm(gelu(W1 x + b1)) + b2
 *
 * "a linear mapping, activation, normalization, and one more linear mapping": CoDi-2,
 * arXiv 2311.18775, section 5.1. The names 0, 2, 3 are those of its nn.Sequential: codi_llama_proj
 * leads in, codi_llama_decode out.
 */
#include "core/model/arch.h"
#include "core/nn/layer.h"

static const double NORM_EPS = 1e-5;      /* torch.nn.LayerNorm's own */

typedef struct projector {
    wf_linear_layer first, second;
    wf_norm_layer norm;
    int64_t in_dim;
} projector;

static const wf_config_key KEYS[] = {
    {"in_dim", NULL}, {"hidden_dim", NULL}, {"out_dim", NULL}, {NULL, NULL},
};

static void *build(wf_builder *b, const wf_json *config)
{
    wf_ctx *c = b->c;
    projector *n = wf_builder_alloc(b, sizeof *n);
    if (!n) return NULL;
    n->in_dim = wf_config_size(c, config, "in_dim", 0);
    const int64_t out_dim = wf_config_size(c, config, "out_dim", 0);
    const int64_t hidden_dim = wf_config_size(c, config, "hidden_dim", out_dim);
    if (wf_has_failed(c)) return NULL;
    n->first = wf_linear_declare(b, "0", n->in_dim, hidden_dim, true);
    n->norm = wf_layer_norm_declare(b, "2", hidden_dim, NORM_EPS);
    n->second = wf_linear_declare(b, "3", hidden_dim, out_dim, true);
    return n;
}

/* x [N,in] -> y [N,out] */
static wf_status forward(wf_ctx *c, const void *net, wf_tensor *const *in, wf_named *out,
                         int *n_out)
{
    const projector *n = net;
    WF_TRY(wf_input_check(c, "projector", "x", in[0], 2, (int64_t[]){-1, n->in_dim}));
    wf_tensor *h = wf_linear_run_act(c, &n->first, wf_to_activation(c, in[0]), WF_ACT_GELU);
    out[0] = (wf_named){"y", wf_linear_run(c, &n->second, wf_norm_run(c, &n->norm, h))};
    *n_out = 1;
    return wf_get_status(c);
}

static const char *const CLASSES[] = {"FeatureProjector", NULL};
static const wf_method METHODS[] = {{"forward", "x", forward}, {NULL, NULL, NULL}};

const wf_arch wfi_arch_projector = {
    .name = "projector", .classes = CLASSES, .keys = KEYS, .methods = METHODS, .build = build,
};
