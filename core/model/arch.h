/* arch.h - what an architecture is to the loader: one row of the table in arch.c. */
#ifndef WF_CORE_ARCH_H
#define WF_CORE_ARCH_H

#include "core/file/json.h"
#include "core/model/model.h"
#include "core/nn/layer.h"

/* A key that public configs of an architecture may hold. What is not listed fails, naming the key.
 */
typedef struct wf_config_key {
    const char *key;
    const char *only; /* NULL: read by build, any value; "*": has no effect on numbers; else the one
                       * value supported, as JSON ("false", "\"silu\"") - null is always allowed */
} wf_config_key;

/* A call that a model offers. */
typedef struct wf_method {
    const char *name;      /* "forward" */
    const char
        *inputs; /* "sample timestep context? mask?" : in[] in this order, absent ones NULL */
    wf_status (*run)(wf_ctx *c, const void *net, wf_tensor *const *in, wf_named *out, int *n_out);
} wf_method;

typedef struct wf_arch {
    const char *name;                  /* "unet2d" */
    const char *const
        *classes; /* values of _class_name, architectures, model_type; the first is written */
    bool is_transformers;              /* the class stands in architectures, else in _class_name */
    const wf_config_key *keys;         /* ends with a NULL key */
    const wf_method *methods;          /* ends with a NULL name */
    /* Read config and declare every parameter; returns the network, of wf_builder_alloc. */
    void *(*build)(wf_builder *b, const wf_json *config);
    /* The declared name of a tensor named so in a public file, into buf; NULL: of no interest. May
     * be NULL. */
    const char *(*rename)(const char *name, char *buf, size_t buf_bytes);
} wf_arch;

const wf_arch *wf_arch_find(const char *name);                  /* NULL: none of that name */
const wf_arch *wf_arch_find_config(const wf_json *config);      /* by what the config says it is */

/* ---- reading configs; every failure names the key ---- */

wf_status wf_config_check(wf_ctx *c, const wf_arch *a, const wf_json *config);
/* j[key] as a size of at least 1 and at most 2^24; absent fails when fallback is 0. */
int64_t wf_config_size(wf_ctx *c, const wf_json *j, const char *key, int64_t fallback);
/* j[key] as one number for each of n blocks: a whole number, or a list of n. */
wf_status wf_config_sizes(wf_ctx *c, const wf_json *j, const char *key, int64_t fallback, int n,
                          int64_t *out);
wf_act wf_config_act(wf_ctx *c, const wf_json *j, const char *key, const char *fallback);

/* ---- checking inputs ---- */

/* t has rank dims, -1 standing for any; else fails with WF_ESHAPE naming input and both shapes.
 * NULL t fails as missing. */
wf_status wf_input_check(wf_ctx *c, const char *model, const char *input, wf_tensor *t, int rank,
                         const int64_t *dims);
/* A number, or one number for each of B samples, as [B]; scoped. */
wf_tensor *wf_input_per_sample(wf_ctx *c, const char *model, const char *input, wf_tensor *t,
                               int64_t B);

#endif
