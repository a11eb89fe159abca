/*
 * merges.c - reads vocab.json with merges.txt: CLIP's and GPT-2's (RoBERTa's) byte-level BPE.
 *
 * The two files do not say how text is cut: pieces that end in "</w>" tell CLIP, which folds case
 * and white space; else words are GPT-2's. tokenizer_config.json may say whether a space goes in
 * front.
 * Source: transformers' CLIPTokenizer, GPT2Tokenizer and RobertaTokenizer.
 */
#include <stdio.h>
#include <string.h>

#include "core/file/file_map.h"
#include "core/text/tokenizer_impl.h"

#include <utf8proc.h>

#define END_OF_WORD "</w>"
#define CLIP_WORDS \
    "'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+"

/* ---- vocab.json ---- */

static wf_status read_vocab(wf_ctx *c, wf_tokenizer *t, const wf_json *vocab, const char *path)
{
    int64_t n = 0;
    for (int64_t i = 0; i < wf_json_count(vocab); i++) {
        const int64_t id = wf_json_int(wf_json_at(vocab, i), -1);
        n = id >= n ? id + 1 : n;
    }
    if (!wf_json_is_object(vocab))
        return wf_fail_status(c, WF_EFORMAT, "%s: is not an object of ids", path);
    WF_TRY(wf_vocab_open(c, &t->vocab, n, path));
    for (int64_t i = 0; i < wf_json_count(vocab); i++) {
        const char *text = wf_json_key_at(vocab, i);
        WF_TRY(wf_vocab_set(c, &t->vocab, wf_json_int(wf_json_at(vocab, i), -1), text, strlen(text),
                            0.0, WF_PIECE_NORMAL, path));
    }
    return wf_get_status(c);
}

/* ---- merges.txt ---- */

/* The line at *at, without its end; false behind the last. */
static bool next_line(const char *p, size_t n, size_t *at, const char **line, size_t *bytes)
{
    if (*at >= n) return false;
    const char *end = memchr(p + *at, '\n', n - *at);
    *line = p + *at;
    *bytes = end ? (size_t)(end - *line) : n - *at;
    *at += *bytes + 1;
    if (*bytes && (*line)[*bytes - 1] == '\r') --*bytes;
    return true;
}

static wf_status add_line(wf_ctx *c, wf_tokenizer *t, const char *line, size_t n, int64_t rank,
                          const char *path)
{
    const char *space = memchr(line, ' ', n);
    const size_t k = space ? (size_t)(space - line) : 0;
    if (k == 0 || k + 1 >= n)
        return wf_fail_status(c, WF_EFORMAT, "%s: merge %lld is not two pieces", path,
                              (long long)rank);
    return wf_bpe_add(c, &t->bpe, rank, line, k, space + 1, n - k - 1, path);
}

/* One merge a line, the first line "#version" or not. */
static wf_status read_lines(wf_ctx *c, wf_tokenizer *t, const char *p, size_t n, const char *path)
{
    const char *line;
    size_t at = 0, bytes;
    int64_t rank = 0;
    for (size_t i = 0; i < n; i++) rank += p[i] == '\n';
    WF_TRY(wf_bpe_open(c, &t->bpe, rank + 1, path));
    rank = 0;
    while (next_line(p, n, &at, &line, &bytes)) {
        const bool is_head = rank == 0 && bytes >= 8 && memcmp(line, "#version", 8) == 0;
        if (bytes == 0 || is_head) continue;
        WF_TRY(add_line(c, t, line, bytes, rank++, path));
    }
    return wf_get_status(c);
}

static wf_status read_merges(wf_ctx *c, wf_tokenizer *t, const char *path)
{
    wf_file_map *m = wf_file_map_open(c, path);
    if (!m) return wf_get_status(c);
    const wf_status st = read_lines(c, t, (const char *)wf_file_map_get_data(m),
                                    wf_file_map_get_bytes(m), path);
    wf_file_map_release(m);
    return st;
}

/* ---- what the two kinds do ---- */

static wf_step *add_pattern(wf_ctx *c, wf_tokenizer *t, wf_step_kind kind, const char *pattern,
                            const char *path)
{
    wf_step *s = wfi_tokenizer_step(c, t, kind, path);
    if (s) s->pattern = wf_pattern_new(c, pattern, false, path);
    return s;
}

static wf_status make_clip(wf_ctx *c, wf_tokenizer *t, const char *path)
{
    snprintf(t->suffix, sizeof t->suffix, END_OF_WORD);
    wf_step *s = wfi_tokenizer_step(c, t, WF_STEP_UNICODE, path);
    if (s) s->form = UTF8PROC_STABLE | UTF8PROC_COMPOSE;
    s = add_pattern(c, t, WF_STEP_REPLACE, "\\s+", path);
    if (s) s->text = wfi_tokenizer_copy(c, t, " ");
    wfi_tokenizer_step(c, t, WF_STEP_LOWERCASE, path);
    s = add_pattern(c, t, WF_STEP_SPLIT, CLIP_WORDS, path);
    if (s) s->invert = true;
    s = add_pattern(c, t, WF_STEP_BYTES, WF_GPT2_WORDS, path);
    if (s) s->split = WF_SPLIT_ISOLATED;
    t->decoder.suffix_ends_word = t->decoder.trim_end = true;
    return wf_get_status(c);
}

static wf_status make_gpt2(wf_ctx *c, wf_tokenizer *t, bool has_prefix, const char *path)
{
    wf_step *s = add_pattern(c, t, WF_STEP_BYTES, WF_GPT2_WORDS, path);
    if (!s) return wf_get_status(c);
    s->split = WF_SPLIT_ISOLATED;
    s->prepend = has_prefix ? WF_PREPEND_ALWAYS : WF_PREPEND_NEVER;
    return wf_get_status(c);
}

/* Special tokens, by the names that the libraries give them; put: 'b' before a text, 'a' after. */
static wf_status add_specials(wf_ctx *c, wf_tokenizer *t, bool is_clip, const char *path)
{
    static const struct { const char *text; bool clip; char put;
    } known[] = {{"<|startoftext|>", true, 'b'}, {"<|endoftext|>", true, 'a'},
                 {"<|endoftext|>", false, ' '},  {"<s>", false, 'b'},
                 {"</s>", false, 'a'},           {"<pad>", false, ' '},
                 {"<unk>", false, ' '},          {"<mask>", false, ' '}};
    enum { N = sizeof known / sizeof *known };
    t->added = wf_mem_calloc(t->mem, N * sizeof *t->added);
    if (!t->added) return wf_fail_status(c, WF_ENOMEM, "%s: no memory", path);
    for (int i = 0; i < N; i++) {
        const int64_t id = wf_vocab_find(&t->vocab, known[i].text, strlen(known[i].text));
        if (id < 0 || known[i].clip != is_clip) continue;
        t->vocab.pieces[id].is_special = true;
        t->added[t->n_added++] = (wfi_added){.id = id, .strip_left = strcmp(known[i].text,
                                                                           "<mask>") == 0};
        if (known[i].put != ' ')
            WF_TRY(wfi_tokenizer_end(c, t, known[i].put == 'b', id, path));
    }
    return WF_OK;
}

static bool is_clip(const wf_vocab *v)
{
    for (int64_t i = 0; i < v->n; i++) {
        const char *s = wf_vocab_get(v, i);
        const size_t n = s ? strlen(s) : 0, k = strlen(END_OF_WORD);
        if (n > k && memcmp(s + n - k, END_OF_WORD, k) == 0) return true;
    }
    return false;
}

static bool read_prefix(wf_ctx *c, const char *config)
{
    wf_json *j = config ? wf_json_load(c, config) : NULL;
    const bool has = wf_json_get_bool(c, j, "add_prefix_space", false);
    wf_json_free(j);
    return has;
}

wf_status wfi_tokenizer_read_merges(wf_ctx *c, wf_tokenizer *t, const char *vocab,
                                    const char *merges, const char *config)
{
    wf_json *doc = wf_json_load(c, vocab);
    if (!doc) return wf_get_status(c);
    const wf_status st = read_vocab(c, t, doc, vocab);
    wf_json_free(doc);
    if (st != WF_OK) return st;
    t->is_bpe = true;
    const bool clip = is_clip(&t->vocab);
    WF_TRY(add_specials(c, t, clip, vocab));
    const int64_t unk = clip ? wf_vocab_find(&t->vocab, "<|endoftext|>", 13)
                             : wf_vocab_find(&t->vocab, "<unk>", 5);
    wfi_tokenizer_finish(t, unk);
    WF_TRY(read_merges(c, t, merges));
    t->decoder.byte_chars = true;
    return clip ? make_clip(c, t, vocab) : make_gpt2(c, t, read_prefix(c, config), vocab);
}
