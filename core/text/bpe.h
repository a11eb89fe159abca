/* bpe.h - byte-pair encoding: neighbours are merged, the best pair first, until none is left. */
#ifndef WF_CORE_BPE_H
#define WF_CORE_BPE_H

#include "core/text/vocab.h"

/* A merge of two pieces, of a file that lists them; rank counts from 0, the best. */
typedef struct wf_merge {
    int32_t left, right, made, rank;
} wf_merge;

typedef struct wf_bpe {
    const wf_vocab *vocab;
    wf_merge *table;             /* hash of pairs, left -1 free; NULL: a pair is merged when its
                                  * text is a piece, the highest score first (sentencepiece) */
    size_t cap;
    wf_unknown unknown;
    bool whole_first;            /* a word that is a piece is not taken apart */
    bool has_user;               /* pieces of kind USER are found before merging */
    const char *suffix;          /* of a word's last character, "</w>"; "" for none. Borrowed. */
} wf_bpe;

/* Room for n merges / one of them, of texts that are found in the vocabulary. The first of two
 * equal pairs stays. Fails with WF_EFORMAT naming path. */
wf_status wf_bpe_open(wf_ctx *c, wf_bpe *b, int64_t n, const char *path) WF_MUST_USE;
wf_status wf_bpe_add(wf_ctx *c, wf_bpe *b, int64_t rank, const char *left, size_t left_bytes,
                     const char *right, size_t right_bytes, const char *prefix,
                     const char *path) WF_MUST_USE;
void wf_bpe_free(wf_bpe *b, wf_mem *m);

/* Append the ids of one word. Takes n log n time. */
wf_status wf_bpe_encode(wf_ctx *c, const wf_bpe *b, const char *p, size_t n,
                        wf_idbuf *out) WF_MUST_USE;

#endif
