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

/* Make folder and those above it that are missing. */
wf_status wfi_model_make_folder(wf_ctx *c, const char *folder) WF_MUST_USE;

#endif
