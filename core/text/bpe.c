/*
 * bpe.c - byte-pair encoding with a heap of the pairs that may be merged.
 *
 * Symbols are a linked list over the word; a merge widens the left one and empties the right one.
 * An entry of the heap is stale when either side has changed since: their bytes tell.
 * Sources: Sennrich et al., arXiv:1508.07909; sentencepiece's bpe_model.cc for pieces with scores.
 */
#include "core/text/bpe.h"

#include <stdio.h>
#include <string.h>

/* ---- the merges ---- */

wf_status wf_bpe_open(wf_ctx *c, wf_bpe *b, int64_t n, const char *path)
{
    if (n < 0 || n > 4 * (int64_t)WF_VOCAB_MAX)
        return wf_fail_status(c, WF_EFORMAT, "%s: %lld merges, wanted at most %d", path,
                              (long long)n, 4 * WF_VOCAB_MAX);
    for (b->cap = 64; b->cap < 2 * (size_t)n;) b->cap *= 2;
    b->table = wf_mem_alloc(wf_ctx_get_mem(c), b->cap * sizeof *b->table);
    if (!b->table) return wf_fail_status(c, WF_ENOMEM, "%s: no memory for its merges", path);
    for (size_t i = 0; i < b->cap; i++) b->table[i].left = -1;
    return WF_OK;
}

/* The slot of a pair: its own, or the free one where it would stand. */
static wf_merge *find_pair(const wf_bpe *b, int64_t left, int64_t right)
{
    uint64_t h = ((uint64_t)left << 32 | (uint64_t)right) * UINT64_C(0x9e3779b97f4a7c15);
    for (h ^= h >> 32;; h++) {
        wf_merge *m = &b->table[h & (b->cap - 1)];
        if (m->left < 0 || (m->left == left && m->right == right)) return m;
    }
}

wf_status wf_bpe_add(wf_ctx *c, wf_bpe *b, int64_t rank, const char *left, size_t left_bytes,
                     const char *right, size_t right_bytes, const char *prefix, const char *path)
{
    char both[2 * WF_PIECE_MAX];
    const size_t skip =
        right_bytes > strlen(prefix) && memcmp(right, prefix, strlen(prefix)) == 0 ? strlen(prefix)
                                                                                   : 0;
    const int64_t l = wf_vocab_find(b->vocab, left, left_bytes);
    const int64_t r = wf_vocab_find(b->vocab, right, right_bytes);
    int64_t made = -1;
    if (l >= 0 && r >= 0) {
        memcpy(both, left, left_bytes);
        memcpy(both + left_bytes, right + skip, right_bytes - skip);
        made = wf_vocab_find(b->vocab, both, left_bytes + right_bytes - skip);
    }
    if (made < 0)
        return wf_fail_status(c, WF_EFORMAT,
                              "%s: merge %lld is not of two pieces that make a third", path,
                              (long long)rank);
    wf_merge *m = find_pair(b, l, r);
    if (m->left < 0) *m = (wf_merge){(int32_t)l, (int32_t)r, (int32_t)made, (int32_t)rank};
    return WF_OK;
}

void wf_bpe_free(wf_bpe *b, wf_mem *m) { wf_mem_free(m, b->table); }

/* ---- one word ---- */

typedef struct symbol {
    int64_t prev, next;          /* -1: none */
    size_t at, bytes;            /* of the word; 0 bytes: merged into the one before */
    int64_t id;                  /* -1: not a piece */
    bool fixed;                  /* never merged */
} symbol;

typedef struct candidate {
    double order;                /* the smallest is merged first; of equals the leftmost */
    int64_t left, made;
    size_t bytes_left, bytes_right;
} candidate;

typedef struct word {
    const wf_bpe *b;
    const char *p;
    symbol *s;
    int64_t n;
    candidate *heap;
    size_t n_heap;               /* room for three times the symbols: see offer */
} word;

static bool comes_before(const candidate *a, const candidate *b)
{
    return a->order < b->order || (a->order == b->order && a->left < b->left);
}

static void push(word *w, candidate k)
{
    size_t i = w->n_heap++;
    for (; i > 0 && comes_before(&k, &w->heap[(i - 1) / 2]); i = (i - 1) / 2)
        w->heap[i] = w->heap[(i - 1) / 2];
    w->heap[i] = k;
}

static candidate pop(word *w)
{
    const candidate top = w->heap[0], k = w->heap[--w->n_heap];
    size_t i = 0;
    for (size_t kid; (kid = 2 * i + 1) < w->n_heap; i = kid) {
        if (kid + 1 < w->n_heap && comes_before(&w->heap[kid + 1], &w->heap[kid])) kid++;
        if (!comes_before(&w->heap[kid], &k)) break;
        w->heap[i] = w->heap[kid];
    }
    w->heap[i] = k;
    return top;
}

/* Offer the pair that begins at symbol i. Each merge offers two and takes one symbol away, so there
 * are never more than three offers a symbol in all. */
static void offer(word *w, int64_t i)
{
    const wf_bpe *b = w->b;
    const symbol *l = i >= 0 ? &w->s[i] : NULL, *r = l && l->next >= 0 ? &w->s[l->next] : NULL;
    if (!r || l->fixed || r->fixed) return;
    candidate k = {.left = i, .made = -1, .bytes_left = l->bytes, .bytes_right = r->bytes};
    if (b->table) {
        const wf_merge *m = l->id >= 0 && r->id >= 0 ? find_pair(b, l->id, r->id) : NULL;
        if (!m || m->left < 0) return;
        k.made = m->made;
        k.order = m->rank;
    } else {
        k.made = wf_vocab_find(b->vocab, w->p + l->at, l->bytes + r->bytes);
        if (k.made < 0) return;
        const wf_piece *p = &b->vocab->pieces[k.made];
        if (p->kind != WF_PIECE_NORMAL && p->kind != WF_PIECE_USER) return;
        k.order = -p->score;
    }
    push(w, k);
}

static void merge_all(word *w)
{
    for (int64_t i = 0; i < w->n; i++) offer(w, i);
    while (w->n_heap) {
        const candidate k = pop(w);
        symbol *l = &w->s[k.left], *r = l->next >= 0 ? &w->s[l->next] : NULL;
        if (!r || l->bytes != k.bytes_left || r->bytes != k.bytes_right) continue;
        l->bytes += r->bytes;
        l->id = k.made;
        l->next = r->next;
        r->bytes = 0;
        if (l->next >= 0) w->s[l->next].prev = k.left;
        offer(w, l->prev);
        offer(w, k.left);
    }
}

/* ---- from characters ---- */

/* Bytes of the longest piece of kind USER at p, 0: none. */
static size_t user_at(const wf_vocab *v, const char *p, size_t n, int64_t *id)
{
    size_t best = 0;
    uint64_t h = wf_vocab_hash_start();
    for (size_t k = 1; k <= n && k <= (size_t)v->max_bytes; k++) {
        h = wf_vocab_hash_step(h, p[k - 1]);
        const int64_t found = wf_vocab_find_hashed(v, p, k, h);
        if (found < 0 || v->pieces[found].kind != WF_PIECE_USER) continue;
        best = k;
        *id = found;
    }
    return best;
}

/* The piece of a character; with the suffix behind it when it ends the word. */
static int64_t find_char(const wf_bpe *b, const char *p, size_t n, bool ends)
{
    char text[64];
    const size_t k = ends ? strlen(b->suffix) : 0;
    if (n + k > sizeof text) return -1;
    memcpy(text, p, n);
    memcpy(text + n, b->suffix, k);
    return wf_vocab_find(b->vocab, text, n + k);
}

static void split(word *w, size_t n)
{
    for (size_t at = 0; at < n;) {
        int32_t cp;
        symbol s = {.prev = w->n - 1, .next = w->n + 1, .at = at, .id = -1};
        s.bytes = w->b->has_user ? user_at(w->b->vocab, w->p + at, n - at, &s.id) : 0;
        s.fixed = s.bytes > 0;
        if (!s.fixed) {
            s.bytes = wf_utf8_read(w->p + at, n - at, &cp);
            s.id = find_char(w->b, w->p + at, s.bytes, at + s.bytes == n);
        }
        at += s.bytes;
        w->s[w->n++] = s;
    }
    if (w->n) w->s[w->n - 1].next = -1;
}

/* ---- to ids ---- */

static bool is_given(const wf_bpe *b, int64_t id)
{
    if (id < 0) return false;
    const wf_piece_kind kind = b->vocab->pieces[id].kind;
    return kind == WF_PIECE_NORMAL || kind == WF_PIECE_USER || b->table;
}

static void give_all(const word *w, wf_idbuf *out)
{
    bool was_unk = false;
    for (int64_t i = w->n ? 0 : -1; i >= 0; i = w->s[i].next) {
        const symbol *s = &w->s[i];
        if (!is_given(w->b, s->id)) {
            wf_vocab_give_unknown(w->b->vocab, &w->b->unknown, w->p + s->at, s->bytes, &was_unk,
                                  out);
            continue;
        }
        wf_idbuf_add(out, s->id);
        was_unk = false;
    }
}

wf_status wf_bpe_encode(wf_ctx *c, const wf_bpe *b, const char *p, size_t n, wf_idbuf *out)
{
    wf_mem *m = wf_ctx_get_mem(c);
    if (b->whole_first) {
        const int64_t id = wf_vocab_find(b->vocab, p, n);
        if (id >= 0) wf_idbuf_add(out, id);
        if (id >= 0) return WF_OK;
    }
    word w = {.b = b, .p = p};
    w.s = wf_mem_alloc(m, (n + 1) * sizeof *w.s);
    if (w.s) split(&w, n);
    w.heap = wf_mem_alloc(m, (3 * (size_t)w.n + 1) * sizeof *w.heap);
    const bool ok = w.s && w.heap;
    if (ok) {
        merge_all(&w);
        give_all(&w, out);
    }
    wf_mem_free(m, w.s);
    wf_mem_free(m, w.heap);
    if (ok && !out->failed) return WF_OK;
    return wf_fail_status(c, WF_ENOMEM, "encode: no memory for %zu bytes of text", n);
}
