/* thread.h - a pool of threads that runs the parts of one job at a time.
 *
 * Parts are cut by the caller, never by the number of threads: the same parts give the same bytes
 * for any thread count. A part must not start another job.
 */
#ifndef WF_CORE_THREAD_H
#define WF_CORE_THREAD_H

#include <stdint.h>

typedef struct wf_pool wf_pool;

/* One part of a job; worker is 0 .. n_threads-1 and picks per-thread scratch, never a result. */
typedef void (*wf_part_fn)(void *arg, int64_t part, int worker);

wf_pool *wf_pool_new(int n_threads); /* the caller's thread counts as one; NULL without memory */
void wf_pool_free(wf_pool *p);
int wf_pool_get_n_threads(const wf_pool *p);

/* Run parts 0 .. n_parts-1, in any order, and return when all are done. */
void wf_pool_run(wf_pool *p, int64_t n_parts, wf_part_fn fn, void *arg);

#endif
