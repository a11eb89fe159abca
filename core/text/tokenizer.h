/* tokenizer.h - text to ids and back, by the model that a file describes. */
#ifndef WF_CORE_TOKENIZER_H
#define WF_CORE_TOKENIZER_H

#include <stdint.h>

#include "core/base/ctx.h"

typedef struct wf_tokenizer wf_tokenizer;

/* A tokenizer from a tokenizer.json (BPE and Unigram), a sentencepiece model (*.model, BPE and
 * unigram), or the folder that holds one of them or vocab.json with merges.txt. Owned; NULL once c
 * has failed: WF_EFORMAT or WF_EUNSUPPORTED names the file and what was expected.
 *
 * What a file says of normalisers, cutters, decoders and special tokens is done as it says. Where
 * it says nothing: a tokenizer.json without the keys "post_processor" or "decoder" puts <s> and
 * </s> around a text, reads U+2581 as a space, and prepends nothing to a space; a sentencepiece
 * model takes them from tokenizer_config.json beside it, else begins with <s> when it is BPE and
 * ends with </s> when it is unigram. Added tokens are found whole in text, the longest at the first
 * place. */
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

/* Text of ids, in *text (from wf_mem_alloc, zero-ended, the caller's). Bytes that are no UTF-8 are
 * given as they are. */
wf_status wf_tokenizer_decode(wf_ctx *c, const wf_tokenizer *t, const int64_t *ids, int64_t n_ids,
                              bool skip_special, char **text, size_t *text_bytes) WF_MUST_USE;

#endif
