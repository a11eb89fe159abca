/* vocab.c - pieces by id and by text. */
#include "core/text/vocab.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

wf_status wf_vocab_open(wf_ctx *c, wf_vocab *v, int64_t n, const char *path)
{
    if (n < 1 || n > WF_VOCAB_MAX)
        return wf_fail_status(c, WF_EFORMAT, "%s: a vocabulary of %lld pieces, wanted 1 to %d",
                              path, (long long)n, WF_VOCAB_MAX);
    v->mem = v->text.mem = wf_ctx_get_mem(c);
    for (v->cap = 1024; v->cap < 2 * (size_t)n;) v->cap *= 2;
    v->pieces = wf_mem_calloc(v->mem, (size_t)n * sizeof *v->pieces);
    v->table = wf_mem_alloc(v->mem, v->cap * sizeof *v->table);
    if (!v->pieces || !v->table)
        return wf_fail_status(c, WF_ENOMEM, "%s: no memory for its pieces", path);
    v->n = n;
    for (int64_t i = 0; i < n; i++) v->pieces[i].bytes = -1;
    for (size_t i = 0; i < v->cap; i++) v->table[i] = -1;
    return WF_OK;
}

static const char *text_of(const wf_vocab *v, int64_t id) { return v->text.p + v->pieces[id].at; }

int64_t wf_vocab_find_hashed(const wf_vocab *v, const char *text, size_t bytes, uint64_t hash)
{
    for (uint64_t i = hash ^ (hash >> 29);; i++) {
        const int64_t id = v->table[i & (v->cap - 1)];
        if (id < 0) return -1;
        if ((size_t)v->pieces[id].bytes == bytes && memcmp(text_of(v, id), text, bytes) == 0)
            return id;
    }
}

static uint64_t hash_of(const char *text, size_t bytes)
{
    uint64_t h = wf_vocab_hash_start();
    for (size_t i = 0; i < bytes; i++) h = wf_vocab_hash_step(h, text[i]);
    return h;
}

int64_t wf_vocab_find(const wf_vocab *v, const char *text, size_t bytes)
{
    return wf_vocab_find_hashed(v, text, bytes, hash_of(text, bytes));
}

wf_status wf_vocab_set(wf_ctx *c, wf_vocab *v, int64_t id, const char *text, size_t bytes,
                       double score, wf_piece_kind kind, const char *path)
{
    if (id < 0 || id >= v->n)
        return wf_fail_status(c, WF_EFORMAT, "%s: a piece has id %lld, wanted 0 to %lld", path,
                              (long long)id, (long long)v->n - 1);
    if (bytes > WF_PIECE_MAX || !isfinite(score))
        return wf_fail_status(c, WF_EFORMAT, "%s: piece %lld has %zu bytes (most %d) and score %g",
                              path, (long long)id, bytes, WF_PIECE_MAX, score);
    if (v->pieces[id].bytes >= 0)
        return wf_fail_status(c, WF_EFORMAT, "%s: two pieces have id %lld", path, (long long)id);
    const size_t at = v->text.n;
    wf_textbuf_add(&v->text, text, bytes);
    wf_textbuf_add(&v->text, "", 1);
    if (v->text.failed)
        return wf_fail_status(c, WF_ENOMEM, "%s: no memory for its pieces", path);
    v->pieces[id] = (wf_piece){.at = at, .bytes = (int)bytes, .score = score, .kind = kind};
    if ((int)bytes > v->max_bytes) v->max_bytes = (int)bytes;
    const uint64_t h = hash_of(text, bytes);
    if (wf_vocab_find_hashed(v, text, bytes, h) >= 0) return WF_OK;
    uint64_t i = h ^ (h >> 29);
    while (v->table[i & (v->cap - 1)] >= 0) i++;
    v->table[i & (v->cap - 1)] = id;
    return WF_OK;
}

void wf_vocab_finish(wf_vocab *v)
{
    v->best = -INFINITY;
    v->worst = INFINITY;
    for (int64_t i = 0; i < v->n; i++) {
        if (v->pieces[i].bytes < 0 || v->pieces[i].kind != WF_PIECE_NORMAL) continue;
        v->best = fmax(v->best, v->pieces[i].score);
        v->worst = fmin(v->worst, v->pieces[i].score);
    }
    for (int b = 0; b < 256; b++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", b);
        v->byte_ids[b] = wf_vocab_find(v, name, 6);
    }
}

void wf_vocab_free(wf_vocab *v)
{
    wf_mem_free(v->mem, v->pieces);
    wf_mem_free(v->mem, v->table);
    wf_textbuf_free(&v->text);
}

const char *wf_vocab_get(const wf_vocab *v, int64_t id)
{
    return id >= 0 && id < v->n && v->pieces[id].bytes >= 0 ? text_of(v, id) : NULL;
}

void wf_vocab_give_unknown(const wf_vocab *v, const wf_unknown *how, const char *p, size_t n,
                           bool *was_unk, wf_idbuf *out)
{
    bool has_bytes = how->byte_fallback;
    for (size_t i = 0; has_bytes && i < n; i++) has_bytes = v->byte_ids[(uint8_t)p[i]] >= 0;
    for (size_t i = 0; has_bytes && i < n; i++) wf_idbuf_add(out, v->byte_ids[(uint8_t)p[i]]);
    const bool is_fused = *was_unk && how->fuse_unk;
    if (!has_bytes && how->unk >= 0 && !is_fused) wf_idbuf_add(out, how->unk);
    *was_unk = !has_bytes;
}
