/* model.h - models by architecture: made from a config, filled from files, called by named inputs.
 *
 * A model is a table of named parameters (public names, our layout) and the methods of its
 * architecture. Architectures are rows of one table (arch.c); a loader never asks for a file's
 * name.
 */
#ifndef WF_CORE_MODEL_H
#define WF_CORE_MODEL_H

#include "core/file/json.h"
#include "core/tensor/tensor.h"

typedef struct wf_model wf_model;

enum { WF_MODEL_MAX_IO = 24 };

/* A named tensor; in a call names are borrowed. A NULL tensor is an absent input. */
typedef struct wf_named {
    const char *name;
    wf_tensor *t;
} wf_named;

/* What loading found. Lists are owned by the model. */
typedef struct wf_report {
    int64_t n_used;
    int64_t n_missing, n_unexpected;
    const char *const *missing;
    const char *const *unexpected;
    size_t bytes;                        /* of the parameters as held */
} wf_report;

/* A model with random parameters (each architecture's usual initialisation, Philox by seed and
 * name). arch: "unet2d", "vae", "clip_text", "clip_vision", "vit" ...  config: JSON as in
 * config.json. arch NULL: what the config says. Owned; NULL once c has failed (WF_EMODEL names the
 * key that is wrong). */
wf_model *wf_model_new(wf_ctx *c, const char *arch, const wf_json *config, uint64_t seed);

/* A model from a folder with config.json and .safetensors (single or sharded). dtype:
 * WF_DTYPE_COUNT keeps each tensor as stored. Missing or ill-shaped tensors fail with WF_EMODEL
 * naming them. */
wf_model *wf_model_load(wf_ctx *c, const char *folder, wf_dtype dtype);

/* The same from one file (or index) and a config that may come from elsewhere. */
wf_model *wf_model_load_file(wf_ctx *c, const wf_json *config, const char *path, wf_dtype dtype);

void wf_model_release(wf_model *m);

const char *wf_model_get_arch(const wf_model *m);
const char *wf_model_get_config(const wf_model *m);        /* its config as JSON text */
const wf_report *wf_model_get_report(wf_model *m);         /* valid until the next call of it */
int64_t wf_model_get_count(const wf_model *m);             /* of parameters */
wf_tensor *wf_model_get_param(const wf_model *m, int64_t i, const char **name);   /* borrowed */

/* Give every parameter storage of its own in this dtype: WF_DTYPE_F32 to train a model that was
 * loaded (parameters of wf_model_new already are), F16 or BF16 to save memory. All of them or, once
 * it fails, none; replaced tensors are released.
 * Errors  WF_EDTYPE  a dtype that is not a float */
wf_status wf_model_convert(wf_ctx *c, wf_model *m, wf_dtype dtype) WF_MUST_USE;
/* Replace a parameter by a copy of t, of the same shape. */
wf_status wf_model_set_param(wf_ctx *c, wf_model *m, const char *name, wf_tensor *t) WF_MUST_USE;

/* Call a method ("forward", "encode", "decode" ...) with named inputs. Outputs are scoped tensors,
 * their names constant; *n_out says how many. Unknown, missing or ill-shaped inputs fail, naming
 * input and shape. */
wf_status wf_model_call(wf_ctx *c, wf_model *m, const char *method, const wf_named *in, int n_in,
                        wf_named out[WF_MODEL_MAX_IO], int *n_out) WF_MUST_USE;

/* Write config.json and the weights in the public layout, atomically each. dtype as stored:
 * WF_DTYPE_F32, F16, BF16, Q8_0 (matrices in 8 bits as q8.h has them, the rest in
 * f16), or WF_DTYPE_COUNT for what each has. The folder is made. file:
 * "diffusion_pytorch_model.safetensors" or "model.safetensors". */
wf_status wf_model_save(wf_ctx *c, wf_model *m, const char *folder, const char *file,
                        wf_dtype dtype) WF_MUST_USE;

#endif
