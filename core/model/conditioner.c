/*
 * conditioner.c - from one aligned feature to what a denoiser reads: context tokens and a map.
 *
 *   context = W2 silu(W1 f)  as [B,tokens,width]             for its cross-attention
 *   layout  = U f            as [B,size,columns,kinds]       logits of what stands where
 *   map     = V2 silu(V1 f)  as [B,size,size,channels], then sigmoid(layout)   beside its latents
 *
 * where f is the unit feature times sqrt(D), so that its values are of order one. A config without
 * "layout_channels" has no layout. With "layout_hidden_dim" layout has T2 silu(T1 f) besides, for
 * what lies in no direction of its own; "layout_columns" is 1 where all columns are the same, as of
 * sounds, whose rows are times: the layout is given for all of them.
 */
#include <math.h>

#include "core/model/arch.h"
#include "core/nn/layer.h"

typedef struct conditioner {
    wf_linear_layer context[2], map[2], layout, layout_more[2];
    int64_t feature_dim, tokens, context_dim, map_size, map_channels;
    int64_t layout_channels, layout_columns, layout_hidden;     /* channels, hidden: 0 for none */
} conditioner;

static const wf_config_key KEYS[] = {
    {"feature_dim", NULL}, {"context_tokens", NULL}, {"context_dim", NULL},
    {"context_hidden_dim", NULL}, {"map_channels", NULL}, {"map_size", NULL},
    {"map_hidden_dim", NULL}, {"layout_channels", NULL}, {"layout_columns", NULL},
    {"layout_hidden_dim", NULL}, {NULL, NULL},
};

static void declare_pair(wf_builder *b, const char *name, int64_t in, int64_t hidden, int64_t out,
                         wf_linear_layer l[2])
{
    const size_t mark = wf_builder_enter(b, "%s", name);
    l[0] = wf_linear_declare(b, "0", in, hidden, true);
    l[1] = wf_linear_declare(b, "2", hidden, out, true);
    wf_builder_leave(b, mark);
}

/* What the layout is read by; more than a linear map begins as one. */
static void declare_layout(wf_builder *b, const wf_json *config, conditioner *n)
{
    wf_ctx *c = b->c;
    if (!wf_json_find(config, "layout_channels")) return;
    n->layout_channels = wf_config_size(c, config, "layout_channels", 0);
    n->layout_columns = wf_config_size(c, config, "layout_columns", n->map_size);
    if (wf_json_find(config, "layout_hidden_dim"))
        n->layout_hidden = wf_config_size(c, config, "layout_hidden_dim", 0);
    if (wf_has_failed(c)) return;
    if (n->layout_columns != 1 && n->layout_columns != n->map_size) {
        wf_fail(c, WF_EMODEL, "conditioner: layout_columns is %lld, wanted 1 or map_size, %lld",
                (long long)n->layout_columns, (long long)n->map_size);
        return;
    }
    const int64_t logits = n->map_size * n->layout_columns * n->layout_channels;
    n->layout = wf_linear_declare_normal(b, "layout", n->feature_dim, logits, true, 0.01);
    if (!n->layout_hidden) return;
    const size_t mark = wf_builder_enter(b, "layout_more");
    n->layout_more[0] = wf_linear_declare(b, "0", n->feature_dim, n->layout_hidden, true);
    n->layout_more[1] = wf_linear_declare_normal(b, "2", n->layout_hidden, logits, true, 0);
    wf_builder_leave(b, mark);
}

static void *build(wf_builder *b, const wf_json *config)
{
    wf_ctx *c = b->c;
    conditioner *n = wf_builder_alloc(b, sizeof *n);
    if (!n) return NULL;
    n->feature_dim = wf_config_size(c, config, "feature_dim", 0);
    n->tokens = wf_config_size(c, config, "context_tokens", 0);
    n->context_dim = wf_config_size(c, config, "context_dim", 0);
    n->map_channels = wf_config_size(c, config, "map_channels", 0);
    n->map_size = wf_config_size(c, config, "map_size", 0);
    const int64_t cells = n->map_size * n->map_size;
    const int64_t hidden = wf_config_size(c, config, "context_hidden_dim", 2 * n->feature_dim);
    const int64_t map_hidden = wf_config_size(c, config, "map_hidden_dim", 4 * n->feature_dim);
    if (wf_has_failed(c)) return NULL;
    declare_pair(b, "context", n->feature_dim, hidden, n->tokens * n->context_dim, n->context);
    declare_pair(b, "map", n->feature_dim, map_hidden, cells * n->map_channels, n->map);
    declare_layout(b, config, n);
    return n;
}

static wf_tensor *run_pair(wf_ctx *c, const wf_linear_layer l[2], wf_tensor *x)
{
    return wf_linear_run(c, &l[1], wf_linear_run_act(c, &l[0], x, WF_ACT_SILU));
}

/* The logits of what stands where, [B,S,S,kinds], of scaled features. */
static wf_tensor *run_layout(wf_ctx *c, const conditioner *n, wf_tensor *f)
{
    const int64_t B = wf_dim(f, 0), S = n->map_size, K = n->layout_channels;
    wf_tensor *x = wf_linear_run(c, &n->layout, f);
    if (n->layout_hidden) x = wf_add(c, x, run_pair(c, n->layout_more, f));
    x = wf_reshape4(c, x, B, S, n->layout_columns, K);
    return wf_expand(c, x, &(wf_shape){.rank = 4, .dims = {B, S, S, K}});
}

static wf_status forward(wf_ctx *c, const void *net, wf_tensor *const *in, wf_named *out,
                         int *n_out)
{
    const conditioner *n = net;
    const int64_t want[] = {-1, n->feature_dim};
    WF_TRY(wf_input_check(c, "conditioner", "feature", in[0], 2, want));
    const int64_t B = wf_dim(in[0], 0), S = n->map_size;
    wf_tensor *f = wf_scale(c, in[0], sqrt((double)n->feature_dim));
    wf_tensor *map = wf_reshape4(c, run_pair(c, n->map, f), B, S, S, n->map_channels);
    out[0] = (wf_named){"context", wf_reshape3(c, run_pair(c, n->context, f), B, n->tokens,
                                               n->context_dim)};
    out[1] = (wf_named){"map", map};
    *n_out = 2;
    if (n->layout_channels) {
        wf_tensor *layout = run_layout(c, n, f);
        out[1].t = wf_concat(c, (wf_tensor *[]){map, wf_sigmoid(c, layout)}, 2, 3);
        out[2] = (wf_named){"layout", layout};
        *n_out = 3;
    }
    return wf_get_status(c);
}

static const char *const CLASSES[] = {"FeatureConditioner", NULL};
static const wf_method METHODS[] = {{"forward", "feature", forward}, {NULL, NULL, NULL}};

const wf_arch wfi_arch_conditioner = {
    .name = "conditioner", .classes = CLASSES, .keys = KEYS, .methods = METHODS, .build = build,
};
