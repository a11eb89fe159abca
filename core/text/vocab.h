/* vocab.h - the pieces of a tokenizer: their text, scores and kinds, found by text or id. */
#ifndef WF_CORE_VOCAB_H
#define WF_CORE_VOCAB_H

#include "core/text/textbuf.h"

enum { WF_PIECE_MAX = 1000, WF_VOCAB_MAX = 1 << 20 };

typedef enum wf_piece_kind {
    WF_PIECE_NORMAL,
    WF_PIECE_CONTROL,        /* never found in text */
    WF_PIECE_UNKNOWN,        /* the same, and stands for what has no piece */
    WF_PIECE_USER,           /* always one piece where it stands in text */
    WF_PIECE_UNUSED,         /* the same as a control piece */
    WF_PIECE_BYTE            /* "<0x0A>" */
} wf_piece_kind;

typedef struct wf_piece {
    size_t at;               /* of its text in the vocabulary's */
    int bytes;               /* -1: no piece of that id */
    wf_piece_kind kind;
    bool is_special;         /* left out by decode when asked for */
    double score;
} wf_piece;

typedef struct wf_vocab {
    wf_mem *mem;
    wf_piece *pieces;        /* by id */
    int64_t n;
    wf_textbuf text;
    int64_t *table;          /* hash of texts; -1 free */
    size_t cap;
    int max_bytes;           /* of a piece */
    double best, worst;      /* scores of normal pieces */
    int64_t byte_ids[256];   /* -1: none */
} wf_vocab;

/* Room for n pieces, none of them set. */
wf_status wf_vocab_open(wf_ctx *c, wf_vocab *v, int64_t n, const char *path) WF_MUST_USE;
/* Set piece id, once. A second piece of the same text is kept by id, and the first is found.
 * Fails with WF_EFORMAT naming path. */
wf_status wf_vocab_set(wf_ctx *c, wf_vocab *v, int64_t id, const char *text, size_t bytes,
                       double score, wf_piece_kind kind, const char *path) WF_MUST_USE;
/* After the last piece: fill byte_ids, best, worst. */
void wf_vocab_finish(wf_vocab *v);
void wf_vocab_free(wf_vocab *v);

/* Text of a piece with a zero behind it; NULL: none of that id. Borrowed. */
const char *wf_vocab_get(const wf_vocab *v, int64_t id);
int64_t wf_vocab_find(const wf_vocab *v, const char *text, size_t bytes);      /* -1: none */

/* What a stretch of a word becomes that has no piece. */
typedef struct wf_unknown {
    int64_t unk;             /* -1: it is left out */
    bool byte_fallback;      /* pieces of its bytes, where there are all of them */
    bool fuse_unk;           /* neighbours without a piece are one unknown piece */
} wf_unknown;

/* Append what n bytes without a piece become; *was_unk: whether the piece before was the unknown
 * one, and whether this is. */
void wf_vocab_give_unknown(const wf_vocab *v, const wf_unknown *how, const char *p, size_t n,
                           bool *was_unk, wf_idbuf *out);

/* Hashes of a text byte by byte: start, then one step a byte; find by the hash so far. */
static inline uint64_t wf_vocab_hash_start(void) { return UINT64_C(1469598103934665603); }
static inline uint64_t wf_vocab_hash_step(uint64_t h, char ch)
{
    return (h ^ (uint8_t)ch) * UINT64_C(1099511628211);
}
int64_t wf_vocab_find_hashed(const wf_vocab *v, const char *text, size_t bytes, uint64_t hash);

#endif
