/* arch.c - the table of architectures. A new model is one row here and one file beside it. */
#include "core/model/arch.h"

#include <string.h>

extern const wf_arch wfi_arch_unet2d, wfi_arch_unet3d, wfi_arch_vae, wfi_arch_clip_text,
                     wfi_arch_clip_vision, wfi_arch_conditioner, wfi_arch_projector,
                     wfi_arch_llama, wfi_arch_hifigan;

static const wf_arch *const table[] = {
    &wfi_arch_unet2d,      &wfi_arch_unet3d,      &wfi_arch_vae,       &wfi_arch_clip_text,
    &wfi_arch_clip_vision, &wfi_arch_conditioner, &wfi_arch_projector, &wfi_arch_llama,
    &wfi_arch_hifigan,
};

enum { N_ARCHS = sizeof table / sizeof *table };

const wf_arch *wf_arch_find(const char *name)
{
    for (int i = 0; i < N_ARCHS; i++)
        if (strcmp(table[i]->name, name) == 0) return table[i];
    return NULL;
}

static const wf_arch *find_class(const char *name)
{
    for (int i = 0; name && i < N_ARCHS; i++)
        for (int k = 0; table[i]->classes[k]; k++)
            if (strcmp(table[i]->classes[k], name) == 0) return table[i];
    return NULL;
}

const wf_arch *wf_arch_find_config(const wf_json *config)
{
    const wf_arch *a = find_class(wf_json_text(wf_json_find(config, "_class_name"), NULL));
    const wf_json *list = wf_json_find(config, "architectures");
    for (int64_t i = 0; !a && i < wf_json_count(list); i++)
        a = find_class(wf_json_text(wf_json_at(list, i), NULL));
    return a ? a : find_class(wf_json_text(wf_json_find(config, "model_type"), NULL));
}
