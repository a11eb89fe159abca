/* mem.h - counted memory: the one caller of malloc, with a cache of freed blocks. */
#ifndef WF_CORE_MEM_H
#define WF_CORE_MEM_H

#include <stddef.h>
#include <stdint.h>

typedef struct wf_mem wf_mem;

/* What a memory has handed out, in bytes. */
typedef struct wf_mem_stats {
    size_t live_bytes;     /* handed out and not yet freed */
    size_t peak_bytes;     /* highest live + cached since the last wf_mem_reset_peak */
    size_t cached_bytes;   /* freed, kept for the next request of that size */
    size_t mapped_bytes;   /* files mapped as weights */
    uint64_t n_allocs;     /* requests so far, cached ones included */
} wf_mem_stats;

wf_mem *wf_mem_new(void);                  /* NULL when the system has no memory */
void wf_mem_free_all(
    wf_mem *m); /* gives everything back; blocks still live are leaked on purpose */

/* bytes at 64-byte alignment, uninitialised, with at least 64 readable bytes behind them.
 * NULL when out of memory or when this is the call that wf_mem_fail_nth chose. Thread safe. */
void *wf_mem_alloc(wf_mem *m, size_t bytes);
void *wf_mem_calloc(wf_mem *m, size_t bytes);
void wf_mem_free(wf_mem *m, void *p);      /* NULL is fine. Thread safe. */

/* Make the nth allocation from now fail (1 = the next); 0 turns it off. */
void wf_mem_fail_nth(wf_mem *m, uint64_t n);
/* The same, and every one after it too. */
void wf_mem_fail_from(wf_mem *m, uint64_t n);

/* Give cached blocks back to the system. */
void wf_mem_trim(wf_mem *m);

/* Bytes that the system could give now, within this process's control group; SIZE_MAX when it does
 * not say. */
size_t wf_mem_find_available(void);

void wf_mem_count_mapped(wf_mem *m, int64_t bytes);
wf_mem_stats wf_mem_get_stats(wf_mem *m);
void wf_mem_reset_peak(wf_mem *m);

#endif
