/* tokenizer.h - text to ids and back, by the model that a tokenizer.json describes. */
#ifndef WF_CORE_TOKENIZER_H
#define WF_CORE_TOKENIZER_H

#include "core/base/ctx.h"

#include <stdint.h>

typedef struct wf_tokenizer wf_tokenizer;

/* A tokenizer from a tokenizer.json (Unigram models: pieces with scores, byte fallback, the
 * normalisers Lowercase, Prepend and Replace " " -> "\u2581"; added tokens are found whole in
 * text). Owned; NULL once c has failed: WF_EFORMAT names the file and the part that is not
 * understood. */
wf_tokenizer *wf_tokenizer_load(wf_ctx *c, const char *path);
void wf_tokenizer_free(wf_tokenizer *t);

int64_t wf_tokenizer_get_count(const wf_tokenizer *t);
/* The piece as stored, e.g. "\u2581cat"; NULL for an id outside the vocabulary. Borrowed. */
const char *wf_tokenizer_get_piece(const wf_tokenizer *t, int64_t id);
int64_t wf_tokenizer_find(const wf_tokenizer *t, const char *piece);      /* -1: none */

/* Ids of UTF-8 text, counted from 0 as in the vocabulary; special adds the begin and end tokens.
 * *ids comes from wf_mem_alloc and is the caller's. Invalid UTF-8 becomes byte pieces. */
wf_status wf_tokenizer_encode(wf_ctx *c, const wf_tokenizer *t, const char *text, size_t text_bytes,
                              bool special, int64_t **ids, int64_t *n_ids) WF_MUST_USE;

/* Text of ids, in *text (from wf_mem_alloc, zero-ended, the caller's). */
wf_status wf_tokenizer_decode(wf_ctx *c, const wf_tokenizer *t, const int64_t *ids, int64_t n_ids,
                              bool skip_special, char **text) WF_MUST_USE;

#endif
