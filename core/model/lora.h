/* lora.h - low-rank adapters: trained beside a model's frozen weights, saved, merged into them.
 *
 * Source: Hu et al., arXiv:2106.09685.
 */
#ifndef WF_CORE_LORA_H
#define WF_CORE_LORA_H

#include "core/model/model.h"

typedef struct wf_lora_style {
    int64_t rank;
    double alpha;                        /* what is added is scaled by alpha / rank */
    const char *const *targets;          /* ends with NULL: layers whose names end so, "q_proj" */
    uint64_t seed;
} wf_lora_style;

/* Add an adapter to every linear layer that a target names: a [R,K] random as PyTorch's linear, b
 * [N,R] zeros, both f32. *n: how many. Fails with WF_EARG when a target names none, or the model
 * has adapters already. */
wf_status wf_lora_adapt(wf_ctx *c, wf_model *m, const wf_lora_style *s, int64_t *n) WF_MUST_USE;

/* Adapter tensors in turn, a and b of each layer; names as "model.layers.0...q_proj.lora_A.weight".
 * Borrowed. */
int64_t wf_lora_get_count(const wf_model *m);
wf_tensor *wf_lora_get_param(const wf_model *m, int64_t i, const char **name);

/* Write PEFT's adapter_config.json and adapter_model.safetensors into folder, which is made. */
wf_status wf_lora_save(wf_ctx *c, const wf_model *m, const char *folder) WF_MUST_USE;

/* Add scale times the adapters of a file (or of a folder that holds one) to the weights, for good.
 * Layouts of PEFT, diffusers (old and new names) and kohya; adapters for another part of a pipeline
 * are passed over. *n: how many were merged, which is all that were for this model: when one fits
 * no weight (WF_EMODEL), or anything else fails, no weight is changed. For that the new weights are
 * made before the old are let go: while it works it takes as much memory again as the weights that
 * have adapters (for good where they were mapped), and three times the largest of them in f32. */
wf_status wf_lora_merge(wf_ctx *c, wf_model *m, const char *path, double scale,
                        int64_t *n) WF_MUST_USE;

#endif
