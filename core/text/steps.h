/* steps.h - what happens to a text before it is made of pieces: normalising it and cutting it into
 * words. */
#ifndef WF_CORE_STEPS_H
#define WF_CORE_STEPS_H

#include "core/text/charsmap.h"
#include "core/text/pattern.h"
#include "core/text/textbuf.h"

typedef enum wf_step_kind {
    WF_STEP_LOWERCASE,
    WF_STEP_UNICODE,             /* form: NFC, NFD, NFKC, NFKD */
    WF_STEP_PREPEND,             /* text in front of every stretch that is not empty */
    WF_STEP_REPLACE,             /* each match of pattern by text */
    WF_STEP_STRIP,               /* white space off the left, the right */
    WF_STEP_CHARSMAP,
    WF_STEP_SPACES,              /* sentencepiece's: runs folded, ends cut, text in front, as
                                  * U+2581 - each when asked for */
    WF_STEP_SPLIT,               /* at each match of pattern, as behaviour says */
    WF_STEP_METASPACE,           /* spaces as U+2581, one in front, cut before each */
    WF_STEP_BYTES                /* GPT-2's words, bytes as printable characters */
} wf_step_kind;

typedef enum wf_split {
    WF_SPLIT_REMOVED, WF_SPLIT_ISOLATED, WF_SPLIT_WITH_PREVIOUS, WF_SPLIT_WITH_NEXT
} wf_split;

typedef enum wf_prepend { WF_PREPEND_NEVER, WF_PREPEND_FIRST, WF_PREPEND_ALWAYS } wf_prepend;

typedef struct wf_step {
    wf_step_kind kind;
    wf_pattern *pattern;         /* owned; SPLIT, REPLACE; BYTES and METASPACE that cut */
    char *text;                  /* owned; PREPEND, REPLACE */
    uint8_t *blob;               /* owned; CHARSMAP */
    wf_charsmap charsmap;
    int form;                    /* UNICODE: utf8proc's options */
    bool left, right;            /* STRIP */
    bool unless_space;           /* PREPEND: not to what begins with a space */
    bool invert;                 /* SPLIT: what is between matches counts as the match */
    bool by_grapheme;            /* CHARSMAP */
    bool fold, escape;           /* SPACES */
    wf_split split;
    wf_prepend prepend;          /* METASPACE; SPACES and BYTES: a space, ALWAYS or NEVER */
} wf_step;

#define WF_META_SPACE "\xe2\x96\x81"     /* U+2581, what stands for a space in pieces */

/* words after the step, in their place. is_first: the text's start is among them. */
wf_status wf_step_run(wf_ctx *c, const wf_step *s, wf_words *words, bool is_first) WF_MUST_USE;
void wf_step_free(wf_mem *m, wf_step *s);

/* The byte that a printable character of BYTES stands for, -1: none. */
int wf_byte_of_char(int32_t cp);

/* GPT-2's pattern of words. */
#define WF_GPT2_WORDS \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

#endif
