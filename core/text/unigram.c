/*
 * unigram.c - tokenizer.json files whose model is "Unigram": the segmentation of the normalised
 * text with the highest sum of piece scores (Viterbi), bytes where no piece fits.
 *
 * Source: Kudo, "Subword Regularization", arXiv:1804.10959, section 3.2; the file layout is that of
 * Hugging Face's tokenizers.
 */
#include "core/text/tokenizer.h"

#include "core/file/json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define SPACE "\xe2\x96\x81"                /* U+2581, what stands for a space in pieces */
static const double BYTE_PENALTY =
    10.0; /* below the worst piece, as sentencepiece's unknown penalty */

typedef struct piece {
    const char *text;
    int bytes;
    double score;
    bool special;
} piece;

struct wf_tokenizer {
    wf_mem *mem;
    wf_json *doc;                            /* owns the pieces' text */
    piece *pieces;
    int64_t n_pieces;
    int64_t *table;                          /* hash of pieces, -1 free */
    int64_t cap;
    int64_t bos, eos, unk, byte0;            /* byte0: id of <0x00>, -1 without byte fallback */
    bool lowercase, prepend;
    int max_piece_bytes;
    double worst;
};

static uint64_t hash_of(const char *p, int bytes)
{
    uint64_t h = UINT64_C(1469598103934665603);
    for (int i = 0; i < bytes; i++) h = (h ^ (uint8_t)p[i]) * UINT64_C(1099511628211);
    return h ^ (h >> 29);
}

static int64_t find_piece(const wf_tokenizer *t, const char *p, int bytes)
{
    for (uint64_t i = hash_of(p, bytes);; i++) {
        const int64_t id = t->table[i & (uint64_t)(t->cap - 1)];
        if (id < 0) return -1;
        if (t->pieces[id].bytes == bytes && memcmp(t->pieces[id].text, p, (size_t)bytes) == 0)
            return id;
    }
}

static void insert_piece(wf_tokenizer *t, int64_t id)
{
    uint64_t i = hash_of(t->pieces[id].text, t->pieces[id].bytes);
    while (t->table[i & (uint64_t)(t->cap - 1)] >= 0) i++;
    t->table[i & (uint64_t)(t->cap - 1)] = id;
}

/* ---- reading the file ---- */

static wf_status read_vocab(wf_ctx *c, wf_tokenizer *t, const wf_json *vocab, const char *path)
{
    t->n_pieces = wf_json_count(vocab);
    if (!wf_json_is_array(vocab) || t->n_pieces < 1 || t->n_pieces > 4000000)
        return wf_fail_status(c, WF_EFORMAT, "%s: model.vocab is not a list of pieces", path);
    for (t->cap = 1024; t->cap < 2 * t->n_pieces;) t->cap *= 2;
    t->pieces = wf_mem_calloc(t->mem, (size_t)t->n_pieces * sizeof *t->pieces);
    t->table = wf_mem_alloc(t->mem, (size_t)t->cap * sizeof *t->table);
    if (!t->pieces || !t->table)
        return wf_fail_status(c, WF_ENOMEM, "%s: no memory for its pieces", path);
    for (int64_t i = 0; i < t->cap; i++) t->table[i] = -1;
    for (int64_t i = 0; i < t->n_pieces; i++) {
        const wf_json *row = wf_json_at(vocab, i);
        const char *text = wf_json_text(wf_json_at(row, 0), NULL);
        if (!text || strlen(text) > 1000)
            return wf_fail_status(c, WF_EFORMAT, "%s: piece %lld is not [text, score]", path,
                                  (long long)i);
        t->pieces[i] = (piece){.text = text,
                               .bytes = (int)strlen(text),
                               .score = wf_json_number(wf_json_at(row, 1), 0.0)};
        if (t->pieces[i].bytes > t->max_piece_bytes) t->max_piece_bytes = t->pieces[i].bytes;
        if (t->pieces[i].score < t->worst) t->worst = t->pieces[i].score;
        if (find_piece(t, text, t->pieces[i].bytes) < 0) insert_piece(t, i);
    }
    return WF_OK;
}

static wf_status read_normalizer(wf_ctx *c, wf_tokenizer *t, const wf_json *n, const char *path)
{
    if (!n || !wf_json_is_object(n)) return WF_OK;
    const char *type = wf_json_get_text(c, n, "type", "");
    if (strcmp(type, "Sequence") == 0) {
        const wf_json *list = wf_json_find(n, "normalizers");
        for (int64_t i = 0; i < wf_json_count(list); i++)
            WF_TRY(read_normalizer(c, t, wf_json_at(list, i), path));
        return wf_get_status(c);
    }
    if (strcmp(type, "Lowercase") == 0) t->lowercase = true;
    else if (strcmp(type, "Prepend") == 0) t->prepend = true;
    else if (strcmp(type, "Replace") != 0)
        return wf_fail_status(c, WF_EUNSUPPORTED, "%s: normalizer '%s' is not supported", path,
                              type);
    return wf_get_status(c);
}

static wf_status read_added(wf_ctx *c, wf_tokenizer *t, const wf_json *added, const char *path)
{
    for (int64_t i = 0; i < wf_json_count(added); i++) {
        const wf_json *a = wf_json_at(added, i);
        const int64_t id = wf_json_get_int(c, a, "id", -1);
        const char *text = wf_json_get_text(c, a, "content", "");
        if (id < 0 || id >= t->n_pieces || strcmp(text, t->pieces[id].text) != 0)
            return wf_fail_status(c, WF_EFORMAT, "%s: added token '%s' is not piece %lld", path,
                                  text, (long long)id);
        t->pieces[id].special = true;
    }
    return wf_get_status(c);
}

static wf_status read_file(wf_ctx *c, wf_tokenizer *t, const char *path)
{
    const wf_json *model = wf_json_find(t->doc, "model");
    if (!model || strcmp(wf_json_get_text(c, model, "type", ""), "Unigram") != 0)
        return wf_fail_status(c, WF_EUNSUPPORTED, "%s: the model is not of type Unigram", path);
    WF_TRY(read_vocab(c, t, wf_json_find(model, "vocab"), path));
    WF_TRY(read_normalizer(c, t, wf_json_find(t->doc, "normalizer"), path));
    WF_TRY(read_added(c, t, wf_json_find(t->doc, "added_tokens"), path));
    t->unk = wf_json_get_int(c, model, "unk_id", 0);
    t->byte0 = wf_json_get_bool(c, model, "byte_fallback", false) ? find_piece(t, "<0x00>", 6) : -1;
    t->bos = find_piece(t, "<s>", 3);
    t->eos = find_piece(t, "</s>", 4);
    return wf_get_status(c);
}

wf_tokenizer *wf_tokenizer_load(wf_ctx *c, const char *path)
{
    wf_json *doc = wf_json_load(c, path);
    if (!doc) return NULL;
    wf_mem *m = wf_ctx_get_mem(c);
    wf_tokenizer *t = wf_mem_calloc(m, sizeof *t);
    if (!t) {
        wf_json_free(doc);
        return wf_fail(c, WF_ENOMEM, "%s: no memory for a tokenizer", path);
    }
    t->mem = m;
    t->doc = doc;
    if (read_file(c, t, path) == WF_OK) return t;
    wf_tokenizer_free(t);
    return NULL;
}

void wf_tokenizer_free(wf_tokenizer *t)
{
    if (!t) return;
    wf_json_free(t->doc);
    wf_mem_free(t->mem, t->pieces);
    wf_mem_free(t->mem, t->table);
    wf_mem_free(t->mem, t);
}

int64_t wf_tokenizer_get_count(const wf_tokenizer *t) { return t->n_pieces; }

const char *wf_tokenizer_get_piece(const wf_tokenizer *t, int64_t id)
{
    return id >= 0 && id < t->n_pieces ? t->pieces[id].text : NULL;
}

int64_t wf_tokenizer_find(const wf_tokenizer *t, const char *p)
{
    return find_piece(t, p, (int)strlen(p));
}

/* ---- encoding ---- */

typedef struct ids {
    wf_mem *mem;
    int64_t *v, n, cap;
} ids;

static bool push(ids *l, int64_t id)
{
    if (l->n == l->cap) {
        const int64_t cap = l->cap ? 2 * l->cap : 64;
        int64_t *v = wf_mem_alloc(l->mem, (size_t)cap * sizeof *v);
        if (!v) return false;
        if (l->n) memcpy(v, l->v, (size_t)l->n * sizeof *v);
        wf_mem_free(l->mem, l->v);
        l->v = v;
        l->cap = cap;
    }
    l->v[l->n++] = id;
    return true;
}

/* Spaces become U+2581, letters lower case (ASCII), a U+2581 in front: into out, which has room. */
static int64_t normalise(const wf_tokenizer *t, const char *text, int64_t bytes, char *out)
{
    int64_t n = 0;
    if (t->prepend && bytes > 0 && text[0] != ' ') {
        memcpy(out, SPACE, 3);
        n = 3;
    }
    for (int64_t i = 0; i < bytes; i++) {
        const char ch = text[i];
        if (ch == ' ') {
            memcpy(out + n, SPACE, 3);
            n += 3;
        } else {
            out[n++] = t->lowercase && ch >= 'A' && ch <= 'Z' ? (char)(ch + 32) : ch;
        }
    }
    return n;
}

/* Best score and last piece (or -1: a byte) of every prefix. */
static void best_paths(const wf_tokenizer *t, const char *s, int64_t n, double *best, int64_t *last)
{
    best[0] = 0.0;
    for (int64_t i = 1; i <= n; i++) best[i] = -INFINITY;
    for (int64_t i = 0; i < n; i++) {
        const double by_byte = best[i] + t->worst - BYTE_PENALTY;
        if (by_byte > best[i + 1]) {
            best[i + 1] = by_byte;
            last[i + 1] = -1;
        }
        for (int k = 1; k <= t->max_piece_bytes && i + k <= n; k++) {
            const int64_t id = find_piece(t, s + i, k);
            if (id < 0 || t->pieces[id].special || best[i] + t->pieces[id].score <= best[i + k])
                continue;
            best[i + k] = best[i] + t->pieces[id].score;
            last[i + k] = id;
        }
    }
}

static int64_t byte_id(const wf_tokenizer *t, char ch)
{
    return t->byte0 >= 0 ? t->byte0 + (uint8_t)ch : t->unk;
}

/* One stretch of text without special tokens. */
static wf_status encode_plain(wf_ctx *c, const wf_tokenizer *t, const char *text, int64_t bytes,
                              ids *out)
{
    if (bytes == 0) return WF_OK;
    char *s = wf_mem_alloc(t->mem, (size_t)bytes * 3 + 4);
    const int64_t n = s ? normalise(t, text, bytes, s) : 0;
    double *best = wf_mem_alloc(t->mem, (size_t)(n + 1) * sizeof *best);
    int64_t *last = wf_mem_alloc(t->mem, 2 * (size_t)(n + 1) * sizeof *last),
            *path = last ? last + n + 1 : NULL;
    bool ok = s && best && last;
    if (ok) {
        best_paths(t, s, n, best, last);
        int64_t k = 0;
        for (int64_t i = n; i > 0;) {
            path[k++] = last[i] < 0 ? byte_id(t, s[i - 1]) : last[i];
            i -= last[i] < 0 ? 1 : t->pieces[last[i]].bytes;
        }
        while (ok && k > 0) ok = push(out, path[--k]);
    }
    wf_mem_free(t->mem, s);
    wf_mem_free(t->mem, best);
    wf_mem_free(t->mem, last);
    return ok ? WF_OK
              : wf_fail_status(c, WF_ENOMEM, "encode: no memory for %lld bytes of text",
                               (long long)bytes);
}

/* A special token that starts at p, -1: none. They begin with '<' and are tried longest first. */
static int64_t special_at(const wf_tokenizer *t, const char *p, int64_t bytes)
{
    if (*p != '<') return -1;
    for (int k = (int)(bytes < t->max_piece_bytes ? bytes : t->max_piece_bytes); k > 1; k--) {
        const int64_t id = p[k - 1] == '>' ? find_piece(t, p, k) : -1;
        if (id >= 0 && t->pieces[id].special) return id;
    }
    return -1;
}

static wf_status encode_all(wf_ctx *c, const wf_tokenizer *t, const char *text, int64_t bytes,
                            ids *out)
{
    int64_t from = 0;
    for (int64_t i = 0; i < bytes;) {
        const int64_t id = special_at(t, text + i, bytes - i);
        if (id < 0) {
            i++;
            continue;
        }
        WF_TRY(encode_plain(c, t, text + from, i - from, out));
        if (!push(out, id)) return wf_fail_status(c, WF_ENOMEM, "encode: no memory");
        i += t->pieces[id].bytes;
        from = i;
    }
    return encode_plain(c, t, text + from, bytes - from, out);
}

wf_status wf_tokenizer_encode(wf_ctx *c, const wf_tokenizer *t, const char *text, size_t text_bytes,
                              bool special, int64_t **out, int64_t *n_out)
{
    ids l = {.mem = t->mem};
    bool ok = !(special && t->bos >= 0) || push(&l, t->bos);
    if (ok && encode_all(c, t, text, (int64_t)text_bytes, &l) == WF_OK)
        ok = !(special && t->eos >= 0) || push(&l, t->eos);
    if (!ok) wf_fail(c, WF_ENOMEM, "encode: no memory");
    if (wf_has_failed(c)) {
        wf_mem_free(t->mem, l.v);
        return wf_get_status(c);
    }
    *out = l.v;
    *n_out = l.n;
    return WF_OK;
}

/* ---- decoding ---- */

/* Bytes of a piece as text: a byte piece is its byte, U+2581 a space. Returns their number. */
static int64_t piece_text(const wf_tokenizer *t, int64_t id, char *out)
{
    const piece *p = &t->pieces[id];
    if (t->byte0 >= 0 && id >= t->byte0 && id < t->byte0 + 256) {
        out[0] = (char)(id - t->byte0);
        return 1;
    }
    int64_t n = 0;
    for (int i = 0; i < p->bytes; i++) {
        if (i + 3 <= p->bytes && memcmp(p->text + i, SPACE, 3) == 0) {
            out[n++] = ' ';
            i += 2;
        } else {
            out[n++] = p->text[i];
        }
    }
    return n;
}

wf_status wf_tokenizer_decode(wf_ctx *c, const wf_tokenizer *t, const int64_t *in, int64_t n_ids,
                              bool skip_special, char **text)
{
    size_t room = 1;
    for (int64_t i = 0; i < n_ids; i++) {
        if (in[i] < 0 || in[i] >= t->n_pieces)
            return wf_fail_status(c, WF_EARG, "decode: id %lld is outside the vocabulary of %lld",
                                  (long long)in[i], (long long)t->n_pieces);
        room += (size_t)t->pieces[in[i]].bytes;
    }
    char *s = wf_mem_alloc(t->mem, room);
    if (!s) return wf_fail_status(c, WF_ENOMEM, "decode: no memory");
    int64_t n = 0;
    for (int64_t i = 0; i < n_ids; i++)
        if (!(skip_special && t->pieces[in[i]].special)) n += piece_text(t, in[i], s + n);
    s[n] = '\0';
    if (t->prepend && s[0] == ' ') memmove(s, s + 1, (size_t)n);
    *text = s;
    return WF_OK;
}
