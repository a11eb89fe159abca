/* model_impl.h - the inside of a model, for core/model alone. */
#ifndef WF_CORE_MODEL_IMPL_H
#define WF_CORE_MODEL_IMPL_H

#include "core/model/arch.h"

struct wf_model {
    wf_mem *mem;
    const wf_arch *arch;
    wf_params *params;
    void *net;                 /* what arch->build returned */
    char *config;              /* JSON text, class included */
    wf_report report;
    wf_params *adapters;       /* NULL: none */
    int64_t lora_rank;
    double lora_alpha;
};

/* A model of arch (NULL: what the config says) whose parameters come from source.
 * Owned; NULL once c has failed. */
wf_model *wfi_model_build(wf_ctx *c, const char *arch, const wf_json *config,
                          wf_param_source source, void *arg);

/* Copies of names in the model's memory; NULL when there are none or once c has failed. */
const char *const *wfi_model_copy_names(wf_ctx *c, wf_model *m, const char *const *names,
                                        int64_t n);

/* Fails with WF_EDTYPE when weights cannot be what ("saved as" ...) dtype: it is not a float. */
wf_status wfi_model_check_dtype(wf_ctx *c, const char *arch, const char *what,
                                wf_dtype dtype) WF_MUST_USE;

/* Let fresh[i], owned, take the place of parameter i where it is not NULL, or, once c has failed,
 * let it go. Frees the list, which is of m's memory. */
wf_status wfi_model_swap(wf_ctx *c, wf_model *m, wf_tensor **fresh) WF_MUST_USE;

/* Make folder and those above it that are missing. */
wf_status wfi_model_make_folder(wf_ctx *c, const char *folder) WF_MUST_USE;

#endif
