/* param.h - named parameters, and the builder that layers declare theirs with.
 *
 * A layer declares each parameter once, by its public name, our layout and its usual
 * initialisation; whether it is then drawn at random or read from a file is the builder's source
 * alone.
 */
#ifndef WF_CORE_PARAM_H
#define WF_CORE_PARAM_H

#include "core/tensor/tensor.h"

/* How a public file lays a parameter out; wf_param.shape is ours. */
typedef enum wf_layout {
    WF_LAYOUT_PLAIN,        /* as ours: linear [N,K], norms, embeddings */
    WF_LAYOUT_LINEAR_T,     /* [K,N]; ours [N,K] */
    WF_LAYOUT_CONV2D,       /* [O,I,kh,kw]; ours [O,kh,kw,I] */
    WF_LAYOUT_CONV1D,       /* [O,I,k]; ours [O,k,I] */
    WF_LAYOUT_CONV_T1D,     /* [I,O,k]; ours [I,k,O] */
    WF_LAYOUT_CONV_FRAMES   /* [O,I,k,1,1]; ours [O,k,I] */
} wf_layout;

/* First values: constant (scale is the value), uniform in -scale..scale, or normal with deviation
 * scale. */
typedef enum wf_init_kind { WF_INIT_CONSTANT, WF_INIT_UNIFORM, WF_INIT_NORMAL } wf_init_kind;
typedef struct wf_init {
    wf_init_kind kind;
    double scale;
} wf_init;

wf_init wf_init_constant(double value);
wf_init wf_init_normal(double deviation);
wf_init wf_init_fan_in(
    int64_t fan_in); /* PyTorch's default for linear and convolution: U(+-1/sqrt(fan_in)) */

struct wf_adapter;

/* One parameter. Layers keep a pointer to it and read t at each call, so t may be replaced. */
typedef struct wf_param {
    const char *name;
    wf_layout layout;
    wf_shape shape;
    wf_init init;
    wf_tensor *t;           /* owned */
    bool is_mapped;         /* t's values are a file's: read only */
    bool is_linear;         /* the weight [N,K] of a linear layer */
    struct wf_adapter *adapter;   /* of a linear layer; NULL: none. Borrowed */
} wf_param;

/* What a linear layer adds to its result: scale (x a^T) b^T, a [R,K] and b [N,R]. */
typedef struct wf_adapter {
    wf_param *a, *b;
    double scale;
} wf_adapter;

/* The parameters of a model in the order of declaration, and the memory of its layers. */
typedef struct wf_params wf_params;

wf_params *wf_params_new(wf_ctx *c);                 /* owned; NULL once c has failed */
void wf_params_free(wf_params *p);                   /* NULL is fine */
int64_t wf_params_get_count(const wf_params *p);
wf_param *wf_params_get(const wf_params *p, int64_t i);
wf_param *wf_params_find(const wf_params *p, const char *name);
/* Zeroed memory that lives as long as p; NULL once c has failed. */
void *wf_params_alloc(wf_ctx *c, wf_params *p, size_t bytes);

/* Gives a declared parameter its values: sets p->t (owned). Leaves it NULL for an absent one. */
typedef void (*wf_param_source)(wf_ctx *c, void *arg, wf_param *p);

enum { WF_PATH_MAX = 192 };

typedef struct wf_builder {
    wf_ctx *c;
    wf_params *params;
    wf_param_source source;
    void *arg;
    char path[WF_PATH_MAX];   /* "down_blocks.0.resnets.1" */
    size_t path_bytes;
} wf_builder;

/* Go down one part of the name ("resnets.%d"); returns what wf_builder_leave needs to come back. */
size_t wf_builder_enter(wf_builder *b, const char *fmt, ...) WF_PRINTF(2, 3);
void wf_builder_leave(wf_builder *b, size_t mark);
/* Memory for layers, as wf_params_alloc. */
void *wf_builder_alloc(wf_builder *b, size_t bytes);

/* Declare path.leaf. Returns it, NULL once c has failed (a name declared twice fails with
 * WF_EINTERNAL). */
wf_param *wf_param_new(wf_builder *b, const char *leaf, wf_layout layout, wf_shape shape,
                       wf_init init);

/* The source of fresh models: arg is a uint64_t seed; values depend on seed and name alone. */
void wf_param_randomise(wf_ctx *c, void *seed, wf_param *p);

/* The shape in public files, and the tensor permuted from there and back (scoped; a view where
 * possible). */
wf_shape wf_param_public_shape(const wf_param *p);
wf_tensor *wf_param_from_public(wf_ctx *c, const wf_param *p, wf_tensor *t);
wf_tensor *wf_param_to_public(wf_ctx *c, const wf_param *p);

#endif
