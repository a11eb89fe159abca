/* device_cpu.c - the CPU: host memory, the truths, and the slots that kernels/cpu fills. */
#include "core/tensor/backend.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static void *cpu_alloc(wf_device *d, wf_mem *m, size_t bytes)
{
    (void)d;
    return wf_mem_alloc(m, bytes);
}

static void cpu_free(wf_device *d, wf_mem *m, void *p)
{
    (void)d;
    wf_mem_free(m, p);
}

static wf_status cpu_copy(wf_device *d, void *dst, const void *src, size_t bytes)
{
    (void)d;
    memcpy(dst, src, bytes);
    return WF_OK;
}

static wf_device cpu = {
    .name = "cpu", .truth = true, .host = true,
    .alloc = cpu_alloc, .free = cpu_free, .upload = cpu_copy, .download = cpu_copy,
};

static const char *level = "plain";

static void fill(void)
{
    const char *highest = getenv("WEFT_CPU");
    level = wf_cpu_fill(&cpu, highest ? highest : "");
}

wf_device *wf_cpu_device(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, fill);
    return &cpu;
}

const char *wf_cpu_level(void)
{
    (void)wf_cpu_device();
    return level;
}
