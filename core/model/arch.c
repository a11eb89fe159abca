/* arch.c - the table of architectures. A new model is one line here and one file beside it. */
#include "core/model/arch.h"

#include <string.h>

/* Every architecture, one a line: each has its wfi_arch_<name> in a file of its own. */
#define ARCHS(X) \
    X(clip_text) \
    X(clip_vision) \
    X(conditioner) \
    X(gpt2) \
    X(hifigan) \
    X(joint) \
    X(llama) \
    X(projector) \
    X(unet2d) \
    X(unet3d) \
    X(vae)

#define DECLARE(name) extern const wf_arch wfi_arch_##name;
ARCHS(DECLARE)

#define ROW(name) &wfi_arch_##name,
static const wf_arch *const table[] = {ARCHS(ROW)};

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
