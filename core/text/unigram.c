/*
 * unigram.c - the best path over a word's pieces (Viterbi), bytes or the unknown piece where none
 * fits.
 *
 * Source: Kudo, "Subword Regularization", arXiv:1804.10959, section 3.2; sentencepiece's
 * unigram_model.cc for unknown characters.
 */
#include "core/text/unigram.h"

static const double UNKNOWN_PENALTY = 10.0; /* below the worst piece; sentencepiece's kUnkPenalty */
static const double USER_BONUS = 0.1; /* a user's piece is this much worse than the best pieces */

/* The best way to a place: what ends there. */
typedef struct step {
    double score;
    int64_t id;                  /* -1: a character without a piece */
    size_t bytes;
} step;

static bool is_found(const wf_unigram *u, const wf_piece *p)
{
    return p->kind == WF_PIECE_NORMAL || p->kind == WF_PIECE_USER ||
           (p->kind == WF_PIECE_BYTE && u->reads_bytes);
}

static void improve(step *to, double score, int64_t id, size_t bytes)
{
    if (score > to->score || to->bytes == 0) *to = (step){score, id, bytes};
}

/* All steps from the place at, whose character has k bytes. */
static void step_from(const wf_unigram *u, const char *p, size_t n, size_t at, size_t k, step *s)
{
    const wf_vocab *v = u->vocab;
    uint64_t h = wf_vocab_hash_start();
    bool has_char = false;
    for (size_t i = 1; at + i <= n && i <= (size_t)v->max_bytes; i++) {
        h = wf_vocab_hash_step(h, p[at + i - 1]);
        const int64_t id = wf_vocab_find_hashed(v, p + at, i, h);
        if (id < 0 || !is_found(u, &v->pieces[id])) continue;
        const wf_piece *q = &v->pieces[id];
        const double score =
            q->kind == WF_PIECE_USER ? (double)i * v->best - USER_BONUS : q->score;
        improve(&s[at + i], s[at].score + score, id, i);
        has_char = has_char || i == k;
    }
    if (!has_char) improve(&s[at + k], s[at].score + v->worst - UNKNOWN_PENALTY, -1, k);
}

static void give_path(const wf_unigram *u, const char *p, size_t n, step *s, wf_idbuf *out)
{
    bool was_unk = false;
    for (size_t i = n; i > 0; i -= s[i].bytes) s[i - s[i].bytes].score = (double)i;  /* turned */
    for (size_t at = 0; at < n; at = (size_t)s[at].score) {
        const step *next = &s[(size_t)s[at].score];
        if (next->id < 0) {
            wf_vocab_give_unknown(u->vocab, &u->unknown, p + at, next->bytes, &was_unk, out);
        } else {
            wf_idbuf_add(out, next->id);
            was_unk = false;
        }
    }
}

wf_status wf_unigram_encode(wf_ctx *c, const wf_unigram *u, const char *p, size_t n, wf_idbuf *out)
{
    wf_mem *m = wf_ctx_get_mem(c);
    step *s = wf_mem_alloc(m, (n + 1) * sizeof *s);
    if (s) {
        for (size_t i = 0; i <= n; i++) s[i] = (step){.id = -1};
        int32_t cp;
        for (size_t at = 0, k; at < n; at += k) {
            k = wf_utf8_read(p + at, n - at, &cp);
            if (at == 0 || s[at].bytes > 0) step_from(u, p, n, at, k, s);
        }
        give_path(u, p, n, s, out);
    }
    wf_mem_free(m, s);
    if (s && !out->failed) return WF_OK;
    return wf_fail_status(c, WF_ENOMEM, "encode: no memory for %zu bytes of text", n);
}
