/* device.c - the devices there are, by name. */
#include "core/tensor/backend.h"

#include <string.h>

wf_device *wf_device_find(wf_ctx *c, const char *name)
{
    wf_device *const all[] = {wf_cpu_device(), wf_test_device()};
    if (strcmp(name, "auto") == 0) return wf_ctx_get_device(c);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(all[i]->name, name) == 0) return all[i];
    return wf_fail(c, WF_EDEVICE, "there is no device '%.40s', this build runs on cpu", name);
}
