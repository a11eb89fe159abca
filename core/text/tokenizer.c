/*
 * tokenizer.c - encoding and decoding by the parts that a file reader has filled in.
 *
 * A text is cut at the added tokens; each stretch between is normalised, cut at the added tokens
 * that are looked for there, cut into words, and these go through the model. Every part takes time
 * in proportion to the text, merging n log n.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file/bytes.h"
#include "core/file/file_map.h"
#include "core/text/tokenizer_impl.h"

#include <utf8proc.h>

/* ---- making ---- */

wf_tokenizer *wfi_tokenizer_new(wf_ctx *c, const char *path)
{
    if (wf_has_failed(c)) return NULL;
    wf_tokenizer *t = wf_mem_calloc(wf_ctx_get_mem(c), sizeof *t);
    if (!t) return wf_fail(c, WF_ENOMEM, "%s: no memory for a tokenizer", path);
    t->mem = wf_ctx_get_mem(c);
    return t;
}

wf_step *wfi_tokenizer_step(wf_ctx *c, wf_tokenizer *t, wf_step_kind kind, const char *path)
{
    if (t->n_steps == WFI_MAX_STEPS)
        return wf_fail(c, WF_EUNSUPPORTED, "%s: more than %d steps before the model", path,
                       WFI_MAX_STEPS);
    wf_step *s = &t->steps[t->n_steps++];
    s->kind = kind;
    return s;
}

char *wfi_tokenizer_copy(wf_ctx *c, const wf_tokenizer *t, const char *s)
{
    const size_t n = strlen(s) + 1;
    char *p = wf_mem_alloc(t->mem, n);
    if (!p) return wf_fail(c, WF_ENOMEM, "tokenizer: no memory");
    return memcpy(p, s, n);
}

wf_status wfi_tokenizer_end(wf_ctx *c, wf_tokenizer *t, bool is_before, int64_t id,
                            const char *path)
{
    int *n = is_before ? &t->n_before : &t->n_after;
    if (!wf_vocab_get(&t->vocab, id) || *n == WFI_MAX_ENDS)
        return wf_fail_status(c, WF_EFORMAT,
                              "%s: puts %d special tokens around a text, the last one of id %lld: "
                              "wanted at most %d that are in the vocabulary",
                              path, *n + 1, (long long)id, WFI_MAX_ENDS);
    (is_before ? t->before : t->after)[(*n)++] = id;
    return WF_OK;
}

void wfi_tokenizer_finish(wf_tokenizer *t, int64_t unk)
{
    wf_vocab_finish(&t->vocab);
    t->bpe.vocab = t->unigram.vocab = &t->vocab;
    t->bpe.unknown.unk = t->unigram.unknown.unk = unk;
    t->bpe.suffix = t->suffix;
}

/* Words through the normalisers, or through the cutters that follow them. */
static wf_status run_steps(wf_ctx *c, const wf_tokenizer *t, bool cutters, wf_words *words,
                           bool is_first)
{
    if (wf_words_failed(words)) return wf_fail_status(c, WF_ENOMEM, "tokenizer: no memory");
    for (int i = 0; i < t->n_steps; i++)
        if ((t->steps[i].kind >= WF_STEP_SPLIT) == cutters)
            WF_TRY(wf_step_run(c, &t->steps[i], words, is_first));
    return wf_get_status(c);
}

/* What is looked for: the token's text or, where text is normalised first, what becomes of it. */
static wf_status prepare_added(wf_ctx *c, wf_tokenizer *t, wfi_added *a)
{
    wf_words words = wf_words_new(t->mem);
    const char *text = wf_vocab_get(&t->vocab, a->id);
    if (a->is_normalised) {
        wf_words_add(&words, text, strlen(text));
        if (run_steps(c, t, false, &words, true) == WF_OK)
            text = words.text.n ? words.text.p : "";
    }
    if (!wf_has_failed(c)) a->text = wfi_tokenizer_copy(c, t, text);
    wf_words_free(&words);
    a->bytes = a->text ? strlen(a->text) : 0;
    if (a->bytes) t->first_added[a->is_normalised][(uint8_t)a->text[0]] = true;
    return wf_get_status(c);
}

/* The longest first. */
static int compare_added(const void *a, const void *b)
{
    const wfi_added *x = a, *y = b;
    if (x->bytes != y->bytes) return x->bytes > y->bytes ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* After all steps are set. */
static wf_status finish_added(wf_ctx *c, wf_tokenizer *t)
{
    for (int64_t i = 0; i < t->n_added; i++) WF_TRY(prepare_added(c, t, &t->added[i]));
    if (t->n_added) qsort(t->added, (size_t)t->n_added, sizeof *t->added, compare_added);
    return WF_OK;
}

void wf_tokenizer_free(wf_tokenizer *t)
{
    if (!t) return;
    for (int i = 0; i < t->n_steps; i++) wf_step_free(t->mem, &t->steps[i]);
    wf_bpe_free(&t->bpe, t->mem);
    if (t->vocab.mem) wf_vocab_free(&t->vocab);
    for (int64_t i = 0; i < t->n_added; i++) wf_mem_free(t->mem, t->added[i].text);
    wf_mem_free(t->mem, t->added);
    wf_mem_free(t->mem, t);
}

/* ---- which file ---- */

/* The file of that name in folder, into buf; false when there is none. */
static bool find_in(const char *folder, const char *name, char *buf, size_t n)
{
    return (size_t)snprintf(buf, n, "%s/%s", folder, name) < n && wf_file_exists(buf);
}

static wf_status read_folder(wf_ctx *c, wf_tokenizer *t, const char *folder)
{
    enum { MOST = 4096 };
    char path[MOST], merges[MOST], config[MOST];
    if (find_in(folder, "tokenizer.json", path, MOST)) return wfi_tokenizer_read_json(c, t, path);
    if (find_in(folder, "tokenizer.model", path, MOST) ||
        find_in(folder, "spiece.model", path, MOST) ||
        find_in(folder, "sentencepiece.bpe.model", path, MOST))
        return wfi_tokenizer_read_sentencepiece(c, t, path);
    if (find_in(folder, "vocab.json", path, MOST) && find_in(folder, "merges.txt", merges, MOST)) {
        const bool has = find_in(folder, "tokenizer_config.json", config, MOST);
        return wfi_tokenizer_read_merges(c, t, path, merges, has ? config : NULL);
    }
    return wf_fail_status(c, WF_EIO,
                          "%s: holds no tokenizer.json, no tokenizer.model or spiece.model, and no "
                          "vocab.json with merges.txt",
                          folder);
}

wf_tokenizer *wf_tokenizer_load(wf_ctx *c, const char *path)
{
    wf_tokenizer *t = wfi_tokenizer_new(c, path);
    if (!t) return NULL;
    const bool is_json = wf_ends_with(path, ".json"), is_model = wf_ends_with(path, ".model");
    wf_status st = is_json    ? wfi_tokenizer_read_json(c, t, path)
                   : is_model ? wfi_tokenizer_read_sentencepiece(c, t, path)
                              : read_folder(c, t, path);
    if (st == WF_OK) st = finish_added(c, t);
    if (st == WF_OK && !wf_has_failed(c)) return t;
    wf_tokenizer_free(t);
    return NULL;
}

/* ---- looking ---- */

int64_t wf_tokenizer_get_count(const wf_tokenizer *t) { return t->vocab.n; }

const char *wf_tokenizer_get_piece(const wf_tokenizer *t, int64_t id)
{
    return wf_vocab_get(&t->vocab, id);
}

int64_t wf_tokenizer_find(const wf_tokenizer *t, const char *piece)
{
    return wf_vocab_find(&t->vocab, piece, strlen(piece));
}

/* ---- encoding ---- */

static wf_status encode_words(wf_ctx *c, const wf_tokenizer *t, const wf_words *words,
                              wf_idbuf *out)
{
    for (size_t i = 0; i < words->ends.n; i++) {
        const char *p;
        const size_t n = wf_words_get(words, i, &p);
        WF_TRY(t->is_bpe ? wf_bpe_encode(c, &t->bpe, p, n, out)
                         : wf_unigram_encode(c, &t->unigram, p, n, out));
    }
    return wf_get_status(c);
}

/* One normalised stretch of text without added tokens. */
static wf_status encode_plain(wf_ctx *c, const wf_tokenizer *t, const char *p, size_t n,
                              bool is_first, wf_idbuf *out)
{
    wf_words words = wf_words_new(t->mem);
    wf_words_add(&words, p, n);
    if (run_steps(c, t, true, &words, is_first) == WF_OK &&
        encode_words(c, t, &words, out) == WF_OK && out->failed)
        wf_fail(c, WF_ENOMEM, "encode: no memory");
    wf_words_free(&words);
    return wf_get_status(c);
}

/* The longest added token that starts at p; NULL: none. */
static const wfi_added *added_at(const wf_tokenizer *t, bool normalised, const char *p, size_t n)
{
    if (!t->first_added[normalised][(uint8_t)*p]) return NULL;
    for (int64_t i = 0; i < t->n_added; i++) {
        const wfi_added *a = &t->added[i];
        if (a->is_normalised == normalised && a->bytes && a->bytes <= n &&
            memcmp(p, a->text, a->bytes) == 0)
            return a;
    }
    return NULL;
}

static bool is_white(char ch) { return ch == ' ' || (ch >= '\t' && ch <= '\r'); }

/* Whether the character at p, of n bytes that are left, is of a word as \w has it. */
static bool begins_word(const char *p, size_t n)
{
    int32_t cp = -1;
    if (n > 0) wf_utf8_read(p, n, &cp);
    const utf8proc_category_t k = cp < 0 ? UTF8PROC_CATEGORY_CN : utf8proc_category(cp);
    return (k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_NL) ||
           k == UTF8PROC_CATEGORY_PC || cp == 0x200c || cp == 0x200d;
}

/* The same for the character that ends at p[n]. */
static bool ends_word(const char *p, size_t n)
{
    size_t at = n;
    while (at > 0 && n - at < 4) {
        at--;
        if (((uint8_t)p[at] & 0xc0) != 0x80) break;
    }
    return begins_word(p + at, n - at);
}

/* A text cut at the added tokens that are looked for in it; first as it is, and what is between
 * them once more when it is normalised. */
static wf_status encode_cut(wf_ctx *c, const wf_tokenizer *t, bool normalised, const char *p,
                            size_t n, bool is_first, wf_idbuf *out);

static wf_status encode_between(wf_ctx *c, const wf_tokenizer *t, bool normalised, const char *p,
                                size_t n, bool is_first, wf_idbuf *out)
{
    if (n == 0) return wf_get_status(c);
    if (normalised) return encode_plain(c, t, p, n, is_first, out);
    wf_words words = wf_words_new(t->mem);
    wf_words_add(&words, p, n);
    wf_status st = run_steps(c, t, false, &words, is_first);
    if (st == WF_OK) st = encode_cut(c, t, true, words.text.p, words.text.n, is_first, out);
    wf_words_free(&words);
    return st;
}

static wf_status encode_cut(wf_ctx *c, const wf_tokenizer *t, bool normalised, const char *p,
                            size_t n, bool is_first, wf_idbuf *out)
{
    size_t from = 0;
    for (size_t i = 0; i < n;) {
        const wfi_added *a = added_at(t, normalised, p + i, n - i);
        const size_t begin = i;
        i += a ? a->bytes : 1;
        if (!a || (a->is_word && (ends_word(p, begin) || begins_word(p + i, n - i)))) continue;
        size_t end = begin;
        while (a->strip_left && end > from && is_white(p[end - 1])) end--;
        WF_TRY(encode_between(c, t, normalised, p + from, end - from, is_first && from == 0, out));
        wf_idbuf_add(out, a->id);
        while (a->strip_right && i < n && is_white(p[i])) i++;
        from = i;
    }
    return encode_between(c, t, normalised, p + from, n - from, is_first && from == 0, out);
}

wf_status wf_tokenizer_encode(wf_ctx *c, const wf_tokenizer *t, const char *text, size_t text_bytes,
                              bool special, int64_t **out, int64_t *n_out)
{
    wf_idbuf ids = {.mem = t->mem};
    if (wf_has_failed(c)) return wf_get_status(c);
    for (int i = 0; special && i < t->n_before; i++) wf_idbuf_add(&ids, t->before[i]);
    const wf_status st = encode_cut(c, t, false, text, text_bytes, true, &ids);
    for (int i = 0; special && i < t->n_after; i++) wf_idbuf_add(&ids, t->after[i]);
    if (st == WF_OK && ids.failed) wf_fail(c, WF_ENOMEM, "encode: no memory");
    if (wf_has_failed(c)) {
        wf_idbuf_free(&ids);
        return wf_get_status(c);
    }
    *out = ids.p;
    *n_out = (int64_t)ids.n;
    return WF_OK;
}

/* ---- decoding ---- */

static int byte_of_piece(const wf_tokenizer *t, int64_t id)
{
    const wf_piece *p = &t->vocab.pieces[id];
    const char *s = wf_vocab_get(&t->vocab, id);
    if (!t->decoder.bytes || p->bytes != 6 || memcmp(s, "<0x", 3) != 0 || s[5] != '>') return -1;
    char *end;
    const long v = strtol(s + 3, &end, 16);
    return end == s + 5 && s[3] != '-' && s[3] != '+' && s[3] != ' ' ? (int)v : -1;
}

/* A piece whose characters are bytes; one with any other character stays as it is. */
static void add_byte_chars(const char *p, size_t n, wf_textbuf *out)
{
    int32_t cp;
    const size_t before = out->n;
    for (size_t at = 0, k; at < n; at += k) {
        k = wf_utf8_read(p + at, n - at, &cp);
        const int b = wf_byte_of_char(cp);
        const char ch = (char)b;
        if (b < 0) {
            out->n = before;
            wf_textbuf_add(out, p, n);
            return;
        }
        wf_textbuf_add(out, &ch, 1);
    }
}

/* A text while pieces are added to it. */
typedef struct decoding {
    const wf_tokenizer *t;
    wf_textbuf out;
    bool is_first;               /* no piece has been added */
    bool has_stripped;           /* a space that encoding put in front is gone */
} decoding;

static void add_spaced(decoding *d, const char *p, size_t n)
{
    static const size_t k = sizeof WF_META_SPACE - 1;
    const wfi_decoder *how = &d->t->decoder;
    for (size_t at = 0; at < n;) {
        if (at + k > n || memcmp(p + at, WF_META_SPACE, k) != 0) {
            wf_textbuf_add(&d->out, p + at++, 1);
            continue;
        }
        const bool strip =
            how->strip_piece && at == 0 && d->out.n == 0 && (how->fold || !d->has_stripped);
        d->has_stripped = d->has_stripped || strip;
        if (!strip && !(d->is_first && how->drop_first_spaces)) wf_textbuf_add(&d->out, " ", 1);
        at += k;
    }
}

/* Piece id as text. */
static void add_piece(decoding *d, int64_t id)
{
    const wf_tokenizer *t = d->t;
    const wfi_decoder *how = &t->decoder;
    const wf_piece *q = &t->vocab.pieces[id];
    const char *p = wf_vocab_get(&t->vocab, id);
    const int byte = byte_of_piece(t, id);
    const char ch = (char)byte;
    const size_t k = strlen(t->suffix);
    size_t n = (size_t)q->bytes;
    if (how->join && !d->is_first) wf_textbuf_add(&d->out, " ", 1);
    if (byte >= 0) {
        wf_textbuf_add(&d->out, &ch, 1);
        return;
    }
    if (q->kind == WF_PIECE_UNKNOWN && how->unknown) {
        wf_textbuf_add(&d->out, how->unknown, strlen(how->unknown));
        return;
    }
    if (q->kind == WF_PIECE_CONTROL && how->unknown) return;
    const bool ends =
        how->suffix_ends_word && k > 0 && n >= k && memcmp(p + n - k, t->suffix, k) == 0;
    if (ends) n -= k;
    if (how->byte_chars) add_byte_chars(p, n, &d->out);
    else if (how->spaces) add_spaced(d, p, n);
    else wf_textbuf_add(&d->out, p, n);
    if (ends) wf_textbuf_add(&d->out, " ", 1);
}

/* Spaces that encoding put there go. */
static void trim(const wf_tokenizer *t, wf_textbuf *b)
{
    size_t from = 0;
    while (from < b->n && b->p[from] == ' ' && (int)from < t->decoder.strip) from++;
    while (t->decoder.trim_end && b->n > from && is_white(b->p[b->n - 1])) b->n--;
    memmove(b->p, b->p + from, b->n - from);
    b->n -= from;
    b->p[b->n] = '\0';
}

wf_status wf_tokenizer_decode(wf_ctx *c, const wf_tokenizer *t, const int64_t *in, int64_t n_ids,
                              bool skip_special, char **text, size_t *text_bytes)
{
    decoding d = {.t = t, .out = {.mem = t->mem}, .is_first = true};
    if (wf_has_failed(c)) return wf_get_status(c);
    wf_textbuf_add(&d.out, "", 0);
    for (int64_t i = 0; i < n_ids; i++) {
        if (!wf_vocab_get(&t->vocab, in[i])) {
            wf_textbuf_free(&d.out);
            return wf_fail_status(c, WF_EARG, "decode: id %lld is outside the vocabulary of %lld",
                                  (long long)in[i], (long long)t->vocab.n);
        }
        if (skip_special && t->vocab.pieces[in[i]].is_special) continue;
        add_piece(&d, in[i]);
        d.is_first = false;
    }
    if (d.out.failed) {
        wf_textbuf_free(&d.out);
        return wf_fail_status(c, WF_ENOMEM, "decode: no memory");
    }
    trim(t, &d.out);
    *text = d.out.p;
    *text_bytes = d.out.n;
    return WF_OK;
}
