/*
 * thread.c - a pool of threads: one job at a time, parts claimed from one shared ticket.
 *
 * The ticket holds the number of parts and the next one to claim. A worker reads fn and arg only
 * after it has claimed a part, so the job cannot end under it, and nobody waits for a worker that
 * is still asleep. Workers spin briefly after a job and then sleep: jobs of a network come
 * microseconds apart, and on a shared host a pool that spins for long takes the core from whoever
 * would finish.
 */
#include "core/base/thread.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

enum { SPINS = 4000, MAX_THREADS = 256 };

typedef struct worker {
    wf_pool *pool;
    int index;
    pthread_t thread;
} worker;

struct wf_pool {
    int n_threads;
    worker *workers;                     /* n_threads - 1 of them */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    _Atomic int n_sleeping;
    _Atomic uint64_t ticket;             /* parts of this job << 32 | next part */
    _Atomic int64_t n_done;
    _Atomic bool quit;
    wf_part_fn fn;
    void *arg;
};

static bool has_parts(uint64_t ticket) { return (uint32_t)ticket < (uint32_t)(ticket >> 32); }

/* Claim and run parts until none is left. */
static void take_parts(wf_pool *p, int index)
{
    uint64_t t = atomic_load_explicit(&p->ticket, memory_order_acquire);
    while (has_parts(t)) {
        if (!atomic_compare_exchange_weak_explicit(&p->ticket, &t, t + 1, memory_order_acq_rel,
                                                   memory_order_acquire))
            continue;
        p->fn(p->arg, (int64_t)(uint32_t)t, index);
        atomic_fetch_add_explicit(&p->n_done, 1, memory_order_release);
        t = atomic_load_explicit(&p->ticket, memory_order_acquire);
    }
}

static void pause_briefly(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

static bool is_called(wf_pool *p)
{
    return has_parts(atomic_load(&p->ticket)) || atomic_load(&p->quit);
}

static void wait_for_parts(wf_pool *p)
{
    for (int i = 0; i < SPINS; i++) {
        if (is_called(p)) return;
        pause_briefly();
    }
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->n_sleeping, 1);
    while (!is_called(p)) pthread_cond_wait(&p->wake, &p->lock);
    atomic_fetch_sub(&p->n_sleeping, 1);
    pthread_mutex_unlock(&p->lock);
}

static void *worker_main(void *arg)
{
    worker *w = arg;
    for (;;) {
        wait_for_parts(w->pool);
        if (atomic_load(&w->pool->quit)) return NULL;
        take_parts(w->pool, w->index);
    }
}

/* The ticket or quit was set before: a worker about to sleep either sees it or is counted here. */
static void wake_workers(wf_pool *p)
{
    if (atomic_load(&p->n_sleeping) == 0) return;
    pthread_mutex_lock(&p->lock);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

wf_pool *wf_pool_new(int n_threads)
{
    if (n_threads < 1) n_threads = 1;
    if (n_threads > MAX_THREADS) n_threads = MAX_THREADS;
    wf_pool *p = calloc(1, sizeof *p);
    worker *workers = calloc((size_t)n_threads, sizeof *workers);
    if (!p || !workers || pthread_mutex_init(&p->lock, NULL) != 0) {
        free(p);
        free(workers);
        return NULL;
    }
    pthread_cond_init(&p->wake, NULL);
    p->workers = workers;
    p->n_threads = 1;
    for (int i = 1; i < n_threads; i++) {
        workers[i - 1] = (worker){.pool = p, .index = i};
        if (pthread_create(&workers[i - 1].thread, NULL, worker_main, &workers[i - 1]) != 0) break;
        p->n_threads++;
    }
    return p;
}

void wf_pool_free(wf_pool *p)
{
    if (!p) return;
    atomic_store(&p->quit, true);
    pthread_mutex_lock(&p->lock);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < p->n_threads - 1; i++) pthread_join(p->workers[i].thread, NULL);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    free(p->workers);
    free(p);
}

int wf_pool_get_n_threads(const wf_pool *p) { return p->n_threads; }

void wf_pool_run(wf_pool *p, int64_t n_parts, wf_part_fn fn, void *arg)
{
    if (p->n_threads == 1 || n_parts <= 1 || n_parts > UINT32_MAX) {
        for (int64_t i = 0; i < n_parts; i++) fn(arg, i, 0);
        return;
    }
    p->fn = fn;
    p->arg = arg;
    atomic_store(&p->n_done, 0);
    atomic_store(&p->ticket, (uint64_t)n_parts << 32);
    wake_workers(p);
    take_parts(p, 0);
    for (int i = 0; atomic_load_explicit(&p->n_done, memory_order_acquire) < n_parts; i++) {
        if (i < SPINS) pause_briefly();
        else sched_yield();
    }
}
