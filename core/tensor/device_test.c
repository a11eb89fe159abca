/*
 * device_test.c - a device whose memory the host cannot touch, for tests.
 *
 * Every block is pages of its own, without any access but inside the device's own calls: whatever
 * above the backend reads or writes device memory by its address dies at that instruction. It has
 * no kernels, so ops run their truths. Blocks are counted by the context's memory through their
 * records.
 */
#include "core/tensor/backend.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SLACK_BYTES = 64 };              /* readable behind every block, as wf_mem_alloc's */

typedef struct block {
    struct block *next;
    void *pages;
    size_t bytes;
} block;

/* Blocks in use, and how many calls have them open. */
typedef struct test_memory {
    pthread_mutex_t lock;
    block *first;
    int n_open;
} test_memory;

static void protect_all(test_memory *t, int access)
{
    for (block *b = t->first; b; b = b->next) (void)mprotect(b->pages, b->bytes, access);
}

static void begin(wf_device *d)
{
    test_memory *t = d->self;
    pthread_mutex_lock(&t->lock);
    if (t->n_open++ == 0) protect_all(t, PROT_READ | PROT_WRITE);
    pthread_mutex_unlock(&t->lock);
}

static void end(wf_device *d)
{
    test_memory *t = d->self;
    pthread_mutex_lock(&t->lock);
    if (--t->n_open == 0) protect_all(t, PROT_NONE);
    pthread_mutex_unlock(&t->lock);
}

static void *test_alloc(wf_device *d, wf_mem *m, size_t bytes)
{
    test_memory *t = d->self;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE),
                 whole = (bytes + SLACK_BYTES + page - 1) / page * page;
    block *b = whole < bytes ? NULL : wf_mem_alloc(m, sizeof *b);
    if (!b) return NULL;
    pthread_mutex_lock(&t->lock);
    const int access = t->n_open ? PROT_READ | PROT_WRITE : PROT_NONE;
    void *pages = mmap(NULL, whole, access, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages != MAP_FAILED) {
        *b = (block){.next = t->first, .pages = pages, .bytes = whole};
        t->first = b;
    }
    pthread_mutex_unlock(&t->lock);
    if (pages != MAP_FAILED) return pages;
    wf_mem_free(m, b);
    return NULL;
}

static void test_free(wf_device *d, wf_mem *m, void *p)
{
    test_memory *t = d->self;
    pthread_mutex_lock(&t->lock);
    block **at = &t->first;
    while (*at && (*at)->pages != p) at = &(*at)->next;
    block *b = *at;
    if (b) *at = b->next;
    pthread_mutex_unlock(&t->lock);
    if (!b) return;
    (void)munmap(b->pages, b->bytes);
    wf_mem_free(m, b);
}

static wf_status copy(wf_device *d, void *dst, const void *src, size_t bytes)
{
    begin(d);
    memcpy(dst, src, bytes);
    end(d);
    return WF_OK;
}

wf_device *wf_test_device(void)
{
    static test_memory memory = {.lock = PTHREAD_MUTEX_INITIALIZER};
    static wf_device device = {
        .name = "test", .self = &memory, .truth = true,
        .alloc = test_alloc, .free = test_free, .upload = copy, .download = copy,
        .begin = begin, .end = end,
    };
    return &device;
}
