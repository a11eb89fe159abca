/* tokenizer_impl.h - the inside of a tokenizer, for its file readers. */
#ifndef WF_CORE_TOKENIZER_IMPL_H
#define WF_CORE_TOKENIZER_IMPL_H

#include "core/file/json.h"
#include "core/text/bpe.h"
#include "core/text/steps.h"
#include "core/text/tokenizer.h"
#include "core/text/unigram.h"

enum { WFI_MAX_STEPS = 16, WFI_MAX_ENDS = 8, WFI_SUFFIX_MAX = 16 };

/* A token found whole in text: before the steps or, when it is normalised, after normalising. */
typedef struct wfi_added {
    int64_t id;
    bool strip_left, strip_right;        /* takes the white space beside it along */
    bool is_normalised;
    bool is_word;                        /* not where a letter, a digit or _ stands beside it */
    char *text;                          /* owned: what is looked for; NULL: nothing */
    size_t bytes;                        /* of text */
} wfi_added;

/* How pieces become text again. */
typedef struct wfi_decoder {
    bool spaces;                 /* U+2581 is a space */
    bool bytes;                  /* "<0x0A>" is a byte */
    bool byte_chars;             /* characters are bytes, as WF_STEP_BYTES made them */
    bool suffix_ends_word;       /* bpe.suffix becomes a space, but at the end */
    bool join;                   /* a space between pieces */
    bool drop_first_spaces;      /* U+2581 of the first piece vanish */
    int strip;                   /* up to so many spaces at the start go */
    bool strip_piece;            /* the U+2581 that begins the first piece goes; with fold, that of
                                  * each piece until there is text */
    bool fold;
    bool trim_end;               /* white space at the end goes */
    const char *unknown;         /* what an unknown piece reads as; NULL: its own text */
} wfi_decoder;

struct wf_tokenizer {
    wf_mem *mem;
    wf_vocab vocab;
    bool is_bpe;
    wf_bpe bpe;
    wf_unigram unigram;
    char suffix[WFI_SUFFIX_MAX]; /* of bpe */
    wf_step steps[WFI_MAX_STEPS];
    int n_steps;
    wfi_added *added;            /* the longest text first */
    int64_t n_added;
    bool first_added[2][256];    /* is_normalised, by first byte: whether any begins so */
    int64_t before[WFI_MAX_ENDS], after[WFI_MAX_ENDS];   /* special tokens around a text */
    int n_before, n_after;
    wfi_decoder decoder;
};

/* An empty tokenizer. Owned; NULL once c has failed. */
wf_tokenizer *wfi_tokenizer_new(wf_ctx *c, const char *path);
/* One more step, zeroed; NULL and WF_EUNSUPPORTED past the most. */
wf_step *wfi_tokenizer_step(wf_ctx *c, wf_tokenizer *t, wf_step_kind kind, const char *path);
/* A copy of s in t's memory. */
char *wfi_tokenizer_copy(wf_ctx *c, const wf_tokenizer *t, const char *s);
/* After all pieces are set: what is looked up while encoding. */
void wfi_tokenizer_finish(wf_tokenizer *t, int64_t unk);
/* A special token put before (or after) every text that is encoded with special. */
wf_status wfi_tokenizer_end(wf_ctx *c, wf_tokenizer *t, bool is_before, int64_t id,
                            const char *path);

/* Fill t from a file of each kind. */
wf_status wfi_tokenizer_read_json(wf_ctx *c, wf_tokenizer *t, const char *path);
wf_status wfi_tokenizer_read_sentencepiece(wf_ctx *c, wf_tokenizer *t, const char *path);
wf_status wfi_tokenizer_read_merges(wf_ctx *c, wf_tokenizer *t, const char *vocab,
                                    const char *merges, const char *config);

#endif
