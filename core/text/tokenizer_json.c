/*
 * tokenizer_json.c - reads tokenizer.json: the model, what comes before it, and after.
 *
 * Parts that are not understood are refused by name. Source: the crate tokenizers, whose types'
 * fields these are.
 */
#include <stdio.h>
#include <string.h>

#include "core/text/tokenizer_impl.h"

#include <utf8proc.h>

/* What the readers share. */
typedef struct reader {
    wf_ctx *c;
    wf_tokenizer *t;
    const char *path;
    const wf_json *model;
} reader;

static wf_status refuse(const reader *r, const char *what, const char *type)
{
    return wf_fail_status(r->c, WF_EUNSUPPORTED, "%s: %s \"%.60s\" is not supported", r->path, what,
                          type);
}

static bool is(const char *a, const char *b) { return strcmp(a, b) == 0; }

static const char *type_of(const reader *r, const wf_json *j)
{
    const char *type = wf_json_get_text(r->c, j, "type", "");
    return type ? type : "";
}

/* Call read for j, or for each of its list when j is a Sequence. */
static wf_status each(const reader *r, const wf_json *j, const char *list,
                      wf_status (*read)(const reader *, const wf_json *))
{
    if (wf_json_is_null(j)) return WF_OK;
    if (!is(type_of(r, j), "Sequence")) return read(r, j);
    const wf_json *all = wf_json_find(j, list);
    for (int64_t i = 0; i < wf_json_count(all); i++)
        WF_TRY(each(r, wf_json_at(all, i), list, read));
    return wf_get_status(r->c);
}

/* ---- pieces ---- */

/* One more than the highest id among the vocabulary and the added tokens. */
static int64_t count_pieces(const reader *r, const wf_json *vocab, const wf_json *added)
{
    int64_t n = wf_json_is_array(vocab) ? wf_json_count(vocab) : 0;
    for (int64_t i = 0; wf_json_is_object(vocab) && i < wf_json_count(vocab); i++) {
        const int64_t id = wf_json_int(wf_json_at(vocab, i), -1);
        n = id >= n ? id + 1 : n;
    }
    for (int64_t i = 0; i < wf_json_count(added); i++) {
        const int64_t id = wf_json_get_int(r->c, wf_json_at(added, i), "id", -1);
        n = id >= n ? id + 1 : n;
    }
    return n;
}

/* { "piece": id, ... } of BPE, or [["piece", score], ...] of Unigram. */
static wf_status read_pieces(const reader *r, const wf_json *vocab)
{
    wf_ctx *c = r->c;
    for (int64_t i = 0; i < wf_json_count(vocab); i++) {
        const wf_json *row = wf_json_at(vocab, i);
        const bool named = wf_json_is_object(vocab);
        const char *text =
            named ? wf_json_key_at(vocab, i) : wf_json_text(wf_json_at(row, 0), NULL);
        const int64_t id = named ? wf_json_int(row, -1) : i;
        const double score = named ? 0.0 : wf_json_number(wf_json_at(row, 1), 0.0);
        if (!text || (!named && wf_json_count(row) != 2))
            return wf_fail_status(c, WF_EFORMAT, "%s: piece %lld is not [text, score]", r->path,
                                  (long long)i);
        WF_TRY(wf_vocab_set(c, &r->t->vocab, id, text, strlen(text), score, WF_PIECE_NORMAL,
                            r->path));
    }
    return wf_get_status(c);
}

static wf_status read_added(const reader *r, const wf_json *a)
{
    wf_ctx *c = r->c;
    wf_vocab *v = &r->t->vocab;
    const int64_t id = wf_json_get_int(c, a, "id", -1);
    const char *text = wf_json_get_text(c, a, "content", NULL);
    if (!text || !*text || id < 0 || id >= v->n)
        return wf_fail_status(c, WF_EFORMAT, "%s: an added token has no \"id\" and \"content\"",
                              r->path);
    if (v->pieces[id].bytes < 0)
        WF_TRY(wf_vocab_set(c, v, id, text, strlen(text), 0.0, WF_PIECE_CONTROL, r->path));
    if (!is(text, wf_vocab_get(v, id)))
        return wf_fail_status(c, WF_EFORMAT, "%s: added token \"%.60s\" has the id of piece "
                              "\"%.60s\"", r->path, text, wf_vocab_get(v, id));
    v->pieces[id].is_special = wf_json_get_bool(c, a, "special", false);
    r->t->added[r->t->n_added++] =
        (wfi_added){.id = id,
                    .strip_left = wf_json_get_bool(c, a, "lstrip", false),
                    .strip_right = wf_json_get_bool(c, a, "rstrip", false),
                    .is_normalised = wf_json_get_bool(c, a, "normalized", false),
                    .is_word = wf_json_get_bool(c, a, "single_word", false)};
    return wf_get_status(c);
}

static wf_status read_vocabulary(const reader *r, const wf_json *doc)
{
    wf_ctx *c = r->c;
    wf_tokenizer *t = r->t;
    const wf_json *vocab = wf_json_find(r->model, "vocab"),
                  *added = wf_json_find(doc, "added_tokens");
    if (t->is_bpe ? !wf_json_is_object(vocab) : !wf_json_is_array(vocab))
        return wf_fail_status(c, WF_EFORMAT, "%s: model.vocab is not %s", r->path,
                              t->is_bpe ? "an object of ids" : "a list of pieces");
    const int64_t n = count_pieces(r, vocab, added);
    WF_TRY(wf_vocab_open(c, &t->vocab, n, r->path));
    WF_TRY(read_pieces(r, vocab));
    t->added = wf_mem_calloc(t->mem, ((size_t)wf_json_count(added) + 1) * sizeof *t->added);
    if (!t->added) return wf_fail_status(c, WF_ENOMEM, "%s: no memory", r->path);
    for (int64_t i = 0; i < wf_json_count(added); i++) WF_TRY(read_added(r, wf_json_at(added, i)));
    return wf_get_status(c);
}

/* ---- the model ---- */

/* "left right", or ["left", "right"] as newer files have it. */
static wf_status read_merge(const reader *r, const wf_json *m, int64_t rank)
{
    const char *text = wf_json_text(m, NULL), *left = text, *right;
    size_t n = 0;
    if (text) {
        const char *space = strchr(text, ' ');
        n = space ? (size_t)(space - text) : 0;
        right = space ? space + 1 : NULL;
    } else {
        left = wf_json_text(wf_json_at(m, 0), NULL);
        right = wf_json_text(wf_json_at(m, 1), NULL);
        n = left ? strlen(left) : 0;
    }
    if (n == 0 || !right || !*right)
        return wf_fail_status(r->c, WF_EFORMAT, "%s: merge %lld is not two pieces", r->path,
                              (long long)rank);
    return wf_bpe_add(r->c, &r->t->bpe, rank, left, n, right, strlen(right), r->path);
}

static wf_status read_bpe(const reader *r)
{
    wf_ctx *c = r->c;
    wf_bpe *b = &r->t->bpe;
    const wf_json *merges = wf_json_find(r->model, "merges");
    const char *suffix = wf_json_get_text(c, r->model, "end_of_word_suffix", "");
    const char *prefix = wf_json_get_text(c, r->model, "continuing_subword_prefix", "");
    b->unknown.byte_fallback = wf_json_get_bool(c, r->model, "byte_fallback", false);
    b->unknown.fuse_unk = wf_json_get_bool(c, r->model, "fuse_unk", false);
    b->whole_first = wf_json_get_bool(c, r->model, "ignore_merges", false);
    if (wf_has_failed(c)) return wf_get_status(c);
    if (strlen(suffix) >= WFI_SUFFIX_MAX || *prefix)
        return wf_fail_status(c, WF_EUNSUPPORTED, "%s: end_of_word_suffix has %zu bytes (most %d), "
                              "continuing_subword_prefix \"%.20s\" (wanted none)", r->path,
                              strlen(suffix), WFI_SUFFIX_MAX - 1, prefix);
    snprintf(r->t->suffix, sizeof r->t->suffix, "%s", suffix);
    WF_TRY(wf_bpe_open(c, b, wf_json_count(merges), r->path));
    for (int64_t i = 0; i < wf_json_count(merges); i++)
        WF_TRY(read_merge(r, wf_json_at(merges, i), i));
    return wf_get_status(c);
}

/* The id of the unknown piece: by text for BPE, by id for Unigram; -1: none. */
static int64_t read_unknown(const reader *r)
{
    const char *text = wf_json_get_text(r->c, r->model, "unk_token", NULL);
    int64_t id = wf_json_get_int(r->c, r->model, "unk_id", -1);
    if (text) id = wf_vocab_find(&r->t->vocab, text, strlen(text));
    if (!wf_vocab_get(&r->t->vocab, id)) id = -1;
    if (id >= 0) r->t->vocab.pieces[id].kind = WF_PIECE_UNKNOWN;
    return id;
}

static wf_status read_model(const reader *r, const wf_json *doc)
{
    wf_tokenizer *t = r->t;
    const char *type = type_of(r, r->model);
    if (!*type && wf_json_has(r->model, "merges")) type = "BPE";
    t->is_bpe = is(type, "BPE");
    if (!t->is_bpe && !is(type, "Unigram")) return refuse(r, "model", type);
    WF_TRY(read_vocabulary(r, doc));
    wfi_tokenizer_finish(t, read_unknown(r));
    t->unigram.unknown.byte_fallback = wf_json_get_bool(r->c, r->model, "byte_fallback", false);
    t->unigram.unknown.fuse_unk = t->unigram.reads_bytes = true;
    return t->is_bpe ? read_bpe(r) : wf_get_status(r->c);
}

/* ---- normalisers ---- */

/* {"String": text} or {"Regex": text} */
static wf_pattern *read_pattern(const reader *r, const wf_json *j)
{
    const wf_json *p = wf_json_find(j, "pattern");
    const char *plain = wf_json_get_text(r->c, p, "String", NULL);
    const char *regex = wf_json_get_text(r->c, p, "Regex", NULL);
    if (!plain && !regex)
        return wf_fail(r->c, WF_EFORMAT, "%s: a pattern is neither String nor Regex", r->path);
    return wf_pattern_new(r->c, plain ? plain : regex, plain != NULL, r->path);
}

static int unicode_form(const char *type)
{
    const int both = UTF8PROC_STABLE, fold = UTF8PROC_COMPAT;
    if (is(type, "NFC")) return both | UTF8PROC_COMPOSE;
    if (is(type, "NFD")) return both | UTF8PROC_DECOMPOSE;
    if (is(type, "NFKC")) return both | fold | UTF8PROC_COMPOSE;
    return is(type, "NFKD") ? both | fold | UTF8PROC_DECOMPOSE : 0;
}

static int value_of_base64(char ch)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = ch ? strchr(digits, ch) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* Bytes of base64 text, in t's memory; NULL once c has failed. */
static uint8_t *read_base64(const reader *r, const char *text, size_t *n)
{
    uint8_t *out = wf_mem_alloc(r->t->mem, strlen(text) * 3 / 4 + 4);
    uint32_t bits = 0;
    int held = 0;
    *n = 0;
    if (!out) return wf_fail(r->c, WF_ENOMEM, "%s: no memory", r->path);
    for (; *text && *text != '='; text++) {
        const int v = value_of_base64(*text);
        if (v < 0) break;
        bits = bits << 6 | (uint32_t)v;
        if ((held += 6) >= 8) out[(*n)++] = (uint8_t)(bits >> (held -= 8));
    }
    if (!*text || *text == '=') return out;
    wf_mem_free(r->t->mem, out);
    return wf_fail(r->c, WF_EFORMAT, "%s: precompiled_charsmap is not base64", r->path);
}

static wf_status read_charsmap(const reader *r, const wf_json *j, wf_step *s)
{
    size_t n = 0;
    const char *text = wf_json_get_text(r->c, j, "precompiled_charsmap", "");
    s->by_grapheme = true;
    s->blob = text ? read_base64(r, text, &n) : NULL;
    return s->blob ? wf_charsmap_open(r->c, &s->charsmap, s->blob, n, r->path)
                   : wf_get_status(r->c);
}

static wf_status read_normalizer(const reader *r, const wf_json *j)
{
    wf_ctx *c = r->c;
    const char *type = type_of(r, j);
    const wf_step_kind kind = is(type, "Lowercase")     ? WF_STEP_LOWERCASE
                              : unicode_form(type)      ? WF_STEP_UNICODE
                              : is(type, "Prepend")     ? WF_STEP_PREPEND
                              : is(type, "Replace")     ? WF_STEP_REPLACE
                              : is(type, "Strip")       ? WF_STEP_STRIP
                              : is(type, "Precompiled") ? WF_STEP_CHARSMAP
                                                        : WF_STEP_SPLIT;
    if (kind == WF_STEP_SPLIT) return refuse(r, "normalizer", type);
    wf_step *s = wfi_tokenizer_step(c, r->t, kind, r->path);
    if (!s) return wf_get_status(c);
    s->form = unicode_form(type);
    s->left = wf_json_get_bool(c, j, "strip_left", true);
    s->right = wf_json_get_bool(c, j, "strip_right", true);
    const char *text = wf_json_get_text(c, j, kind == WF_STEP_PREPEND ? "prepend" : "content", "");
    if (text) s->text = wfi_tokenizer_copy(c, r->t, text);
    if (kind == WF_STEP_REPLACE) s->pattern = read_pattern(r, j);
    return kind == WF_STEP_CHARSMAP ? read_charsmap(r, j, s) : wf_get_status(c);
}

/* ---- cutters ---- */

static wf_status read_split(const reader *r, const wf_json *j, wf_step *s)
{
    static const char *const names[] = {[WF_SPLIT_REMOVED] = "Removed",
                                        [WF_SPLIT_ISOLATED] = "Isolated",
                                        [WF_SPLIT_WITH_PREVIOUS] = "MergedWithPrevious",
                                        [WF_SPLIT_WITH_NEXT] = "MergedWithNext"};
    const char *how = wf_json_get_text(r->c, j, "behavior", "");
    int k = 0;
    while (k < 4 && how && !is(how, names[k])) k++;
    if (how && k == 4) return refuse(r, "behavior", how);
    s->split = (wf_split)k;
    s->invert = wf_json_get_bool(r->c, j, "invert", false);
    s->pattern = read_pattern(r, j);
    return wf_get_status(r->c);
}

static wf_prepend read_scheme(const reader *r, const wf_json *j)
{
    const char *scheme = wf_json_get_text(r->c, j, "prepend_scheme", NULL);
    if (!scheme)
        return wf_json_get_bool(r->c, j, "add_prefix_space", true) ? WF_PREPEND_ALWAYS
                                                                   : WF_PREPEND_NEVER;
    return is(scheme, "always")  ? WF_PREPEND_ALWAYS
           : is(scheme, "first") ? WF_PREPEND_FIRST
                                 : WF_PREPEND_NEVER;
}

static wf_status check_metaspace(const reader *r, const wf_json *j)
{
    const char *mark = wf_json_get_text(r->c, j, "replacement", WF_META_SPACE);
    return !mark || is(mark, WF_META_SPACE) ? wf_get_status(r->c) : refuse(r, "replacement", mark);
}

static wf_status read_cutter(const reader *r, const wf_json *j)
{
    wf_ctx *c = r->c;
    const char *type = type_of(r, j);
    const wf_step_kind kind = is(type, "ByteLevel")   ? WF_STEP_BYTES
                              : is(type, "Metaspace") ? WF_STEP_METASPACE
                                                      : WF_STEP_SPLIT;
    if (kind == WF_STEP_SPLIT && !is(type, "Split") && !is(type, "WhitespaceSplit"))
        return refuse(r, "pre_tokenizer", type);
    wf_step *s = wfi_tokenizer_step(c, r->t, kind, r->path);
    if (!s) return wf_get_status(c);
    if (is(type, "Split")) return read_split(r, j, s);
    s->prepend = read_scheme(r, j);
    if (kind == WF_STEP_BYTES) {
        s->split = WF_SPLIT_ISOLATED;
        if (wf_json_get_bool(c, j, "use_regex", true))
            s->pattern = wf_pattern_new(c, WF_GPT2_WORDS, false, r->path);
    } else if (kind == WF_STEP_METASPACE) {
        WF_TRY(check_metaspace(r, j));
        s->split = WF_SPLIT_WITH_NEXT;
        if (wf_json_get_bool(c, j, "split", true))
            s->pattern = wf_pattern_new(c, WF_META_SPACE, true, r->path);
    } else {
        s->split = WF_SPLIT_REMOVED;
        s->pattern = wf_pattern_new(c, "\\s", false, r->path);
    }
    return wf_get_status(c);
}

/* ---- special tokens around a text ---- */

static wf_status read_template(const reader *r, const wf_json *j)
{
    bool is_before = true;
    const wf_json *single = wf_json_find(j, "single"), *known = wf_json_find(j, "special_tokens");
    for (int64_t i = 0; i < wf_json_count(single); i++) {
        const wf_json *special = wf_json_find(wf_json_at(single, i), "SpecialToken");
        if (!special) {
            is_before = false;
            continue;
        }
        const char *name = wf_json_get_text(r->c, special, "id", "");
        const wf_json *ids = wf_json_find(name ? wf_json_find(known, name) : NULL, "ids");
        if (wf_json_count(ids) == 0)
            return wf_fail_status(r->c, WF_EFORMAT, "%s: special token \"%.60s\" has no ids",
                                  r->path, name ? name : "");
        for (int64_t k = 0; k < wf_json_count(ids); k++)
            WF_TRY(wfi_tokenizer_end(r->c, r->t, is_before, wf_json_int(wf_json_at(ids, k), -1),
                                     r->path));
    }
    return wf_get_status(r->c);
}

static wf_status read_processor(const reader *r, const wf_json *j)
{
    const char *type = type_of(r, j);
    if (is(type, "TemplateProcessing")) return read_template(r, j);
    if (is(type, "ByteLevel")) return WF_OK;        /* only moves offsets */
    if (!is(type, "RobertaProcessing") && !is(type, "BertProcessing"))
        return refuse(r, "post_processor", type);
    const wf_json *first = wf_json_find(j, "cls"), *last = wf_json_find(j, "sep");
    WF_TRY(wfi_tokenizer_end(r->c, r->t, true, wf_json_int(wf_json_at(first, 1), -1), r->path));
    return wfi_tokenizer_end(r->c, r->t, false, wf_json_int(wf_json_at(last, 1), -1), r->path);
}

/* ---- decoders ---- */

static wf_status read_replace(const reader *r, const wf_json *j)
{
    const char *from = wf_json_get_text(r->c, wf_json_find(j, "pattern"), "String", "");
    const char *to = wf_json_get_text(r->c, j, "content", "");
    if (!from || !to || !is(from, WF_META_SPACE) || !is(to, " "))
        return refuse(r, "decoder", "Replace of anything but U+2581 by a space");
    r->t->decoder.spaces = true;
    return WF_OK;
}

static wf_status read_decoder(const reader *r, const wf_json *j)
{
    wfi_decoder *d = &r->t->decoder;
    const char *type = type_of(r, j);
    if (is(type, "Replace")) return read_replace(r, j);
    if (is(type, "Fuse")) return WF_OK;
    if (is(type, "ByteFallback")) {
        d->bytes = true;
    } else if (is(type, "ByteLevel")) {
        d->byte_chars = true;
    } else if (is(type, "BPEDecoder")) {
        d->suffix_ends_word = true;
        d->trim_end = true;
    } else if (is(type, "Metaspace")) {
        WF_TRY(check_metaspace(r, j));
        d->spaces = true;
        d->drop_first_spaces = read_scheme(r, j) != WF_PREPEND_NEVER;
    } else if (is(type, "Strip")) {
        const char *what = wf_json_get_text(r->c, j, "content", " ");
        if (what && !is(what, " ")) return refuse(r, "decoder", "Strip of anything but spaces");
        d->strip = (int)wf_json_get_int(r->c, j, "start", 0);
    } else {
        return refuse(r, "decoder", type);
    }
    return wf_get_status(r->c);
}

/* What follows from the rest of a file that has no such keys. */
static wf_status default_ends(const reader *r, const wf_json *doc)
{
    wf_tokenizer *t = r->t;
    const int64_t bos = wf_vocab_find(&t->vocab, "<s>", 3);
    const int64_t eos = wf_vocab_find(&t->vocab, "</s>", 4);
    if (!wf_json_find(doc, "decoder")) {
        t->decoder.spaces = true;
        t->decoder.bytes = t->unigram.unknown.byte_fallback || t->bpe.unknown.byte_fallback;
        for (int i = 0; i < t->n_steps; i++) {
            wf_step *s = &t->steps[i];
            s->unless_space = s->kind == WF_STEP_PREPEND;
            if (s->unless_space ||
                (s->kind == WF_STEP_METASPACE && s->prepend != WF_PREPEND_NEVER))
                t->decoder.strip = 1;
        }
    }
    if (wf_json_find(doc, "post_processor")) return WF_OK;
    if (bos >= 0) WF_TRY(wfi_tokenizer_end(r->c, t, true, bos, r->path));
    return eos >= 0 ? wfi_tokenizer_end(r->c, t, false, eos, r->path) : WF_OK;
}

static wf_status read_document(const reader *r, const wf_json *doc)
{
    wf_tokenizer *t = r->t;
    const wf_json *decoder = wf_json_find(doc, "decoder");
    WF_TRY(read_model(r, doc));
    WF_TRY(each(r, wf_json_find(doc, "normalizer"), "normalizers", read_normalizer));
    WF_TRY(each(r, wf_json_find(doc, "pre_tokenizer"), "pretokenizers", read_cutter));
    WF_TRY(each(r, wf_json_find(doc, "post_processor"), "processors", read_processor));
    WF_TRY(each(r, decoder, "decoders", read_decoder));
    t->decoder.join = decoder && wf_json_is_null(decoder);
    if (t->suffix[0] && t->decoder.byte_chars) {
        t->decoder.suffix_ends_word = true;     /* as transformers does for CLIP, whose file does */
        t->decoder.trim_end = true;             /* not say it */
    }
    return default_ends(r, doc);
}

wf_status wfi_tokenizer_read_json(wf_ctx *c, wf_tokenizer *t, const char *path)
{
    wf_json *doc = wf_json_load(c, path);
    if (!doc) return wf_get_status(c);
    const reader r = {c, t, path, wf_json_find(doc, "model")};
    const wf_status st = r.model ? read_document(&r, doc)
                                 : wf_fail_status(c, WF_EFORMAT, "%s: has no \"model\"", path);
    wf_json_free(doc);
    return st;
}
