/*
 * device_test.c - a device whose memory the host cannot touch, for tests.
 *
 * Its addresses are host addresses with a bit set that no address in use has: whatever above the
 * backend reads or writes through one dies at that instruction. The truths, which are all it has to
 * compute with, reach the memory through the device while it is open, and nobody does otherwise.
 */
#include "core/tensor/backend.h"

#include <stdatomic.h>
#include <string.h>

/* Above what a process is given (47 bits, or 52 at most), below the byte that ARM ignores. */
static const uintptr_t CLOSED = (uintptr_t)1 << 52;

static void *close_address(void *p) { return p ? (void *)((uintptr_t)p | CLOSED) : NULL; }
static void *open_address(const void *p) { return (void *)((uintptr_t)p & ~CLOSED); }

static void *test_alloc(wf_device *d, wf_mem *m, size_t bytes)
{
    (void)d;
    return close_address(wf_mem_alloc(m, bytes));
}

static void test_free(wf_device *d, wf_mem *m, void *p)
{
    (void)d;
    wf_mem_free(m, open_address(p));
}

static wf_status upload(wf_device *d, void *dst, const void *src, size_t bytes)
{
    (void)d;
    memcpy(open_address(dst), src, bytes);
    return WF_OK;
}

static wf_status download(wf_device *d, void *dst, const void *src, size_t bytes)
{
    (void)d;
    memcpy(dst, open_address(src), bytes);
    return WF_OK;
}

/* Truths that run now, on any thread; they may call other ops. */
static void begin(wf_device *d) { atomic_fetch_add((atomic_int *)d->self, 1); }
static void end(wf_device *d) { atomic_fetch_sub((atomic_int *)d->self, 1); }

static void *reach(wf_device *d, void *p)
{
    return atomic_load((atomic_int *)d->self) > 0 ? open_address(p) : p;
}

wf_device *wf_test_device(void)
{
    static atomic_int n_open;
    static wf_device device = {
        .name = "test", .self = &n_open, .truth = true,
        .alloc = test_alloc, .free = test_free, .upload = upload, .download = download,
        .begin = begin, .end = end, .reach = reach,
    };
    return &device;
}
