/* charsmap.h - the normalisation table of sentencepiece models: what each string becomes. */
#ifndef WF_CORE_CHARSMAP_H
#define WF_CORE_CHARSMAP_H

#include "core/text/textbuf.h"

/* A double-array trie of strings and the texts they become, as stored in a model. */
typedef struct wf_charsmap {
    const uint8_t *blob;
    size_t n_units, n_texts;     /* 32-bit units from byte 4 on; bytes of texts behind them */
} wf_charsmap;

/* Over blob, which is borrowed. WF_EFORMAT names path when its sizes do not fit. */
wf_status wf_charsmap_open(wf_ctx *c, wf_charsmap *m, const void *blob, size_t bytes,
                           const char *path) WF_MUST_USE;

/* Append text, normalised. by_grapheme: as Hugging Face's Precompiled, which looks a whole grapheme
 * up, then its characters, by their shortest entries; else as sentencepiece, by the longest. */
void wf_charsmap_run(const wf_charsmap *m, const char *text, size_t n, bool by_grapheme,
                     wf_textbuf *out);

#endif
