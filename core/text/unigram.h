/* unigram.h - the segmentation of a word with the highest sum of piece scores. */
#ifndef WF_CORE_UNIGRAM_H
#define WF_CORE_UNIGRAM_H

#include "core/text/vocab.h"

typedef struct wf_unigram {
    const wf_vocab *vocab;
    wf_unknown unknown;
    bool reads_bytes;            /* pieces "<0x0A>" stand for that text too */
} wf_unigram;

/* Append the ids of one word. */
wf_status wf_unigram_encode(wf_ctx *c, const wf_unigram *u, const char *p, size_t n,
                            wf_idbuf *out) WF_MUST_USE;

#endif
