/*
 * sentencepiece.c - reads a sentencepiece model: a protobuf message, as data, within its bounds.
 *
 * Fields by number, from sentencepiece_model.proto: 1 pieces {1 text, 2 score, 3 type},
 * 2 trainer {3 model, 24 suffix, 35 bytes, 40-43 ids, 44 how unknown pieces read},
 * 3 normaliser {2 table, 3 prefix, 4 fold, 5 escape}. Others are passed over.
 */
#include <stdio.h>
#include <string.h>

#include "core/file/file_map.h"
#include "core/text/tokenizer_impl.h"

/* ---- protobuf ---- */

typedef enum wire { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 } wire;

typedef struct field {
    uint64_t number;
    wire kind;
    uint64_t value;              /* of a varint, or the bits of a 32-bit one */
    wf_cursor bytes;
} field;

static uint64_t read_varint(wf_cursor *k)
{
    uint64_t v = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        const uint8_t b = wf_cursor_u8(k, "a number");
        v |= (uint64_t)(b & 0x7f) << shift;
        if (b < 0x80) return v;
    }
    wf_fail(k->c, WF_EFORMAT, "%s: offset %zu: a number of more than 10 bytes, is this a "
            "sentencepiece model?", k->name, k->base + k->at);
    return 0;
}

/* The next field; false at the end, or once c has failed. */
static bool read_field(wf_cursor *k, field *f)
{
    if (wf_has_failed(k->c) || wf_cursor_left(k) == 0) return false;
    const uint64_t tag = read_varint(k);
    *f = (field){.number = tag >> 3, .kind = (wire)(tag & 7)};
    switch (f->kind) {
    case WIRE_VARINT: f->value = read_varint(k); break;
    case WIRE_64: wf_cursor_u64le(k, "a field"); break;
    case WIRE_32: f->value = wf_cursor_u32le(k, "a field"); break;
    case WIRE_BYTES: {
        const uint64_t n = read_varint(k);
        f->bytes = wf_cursor_part(k, n > SIZE_MAX ? SIZE_MAX : (size_t)n, "a field");
        break;
    }
    default:
        wf_fail(k->c, WF_EFORMAT, "%s: offset %zu: field %llu of kind %d, is this a sentencepiece "
                "model?", k->name, k->base + k->at, (unsigned long long)f->number, (int)f->kind);
    }
    return !wf_has_failed(k->c);
}

/* The bytes of f as a text that lies in the file. */
static const char *text_of(const field *f) { return (const char *)f->bytes.data + f->bytes.at; }

/* ---- pieces ---- */

enum { TYPE_NORMAL = 1, TYPE_UNKNOWN, TYPE_CONTROL, TYPE_USER, TYPE_UNUSED, TYPE_BYTE };

static wf_piece_kind kind_of(uint64_t type)
{
    switch (type) {
    case TYPE_UNKNOWN: return WF_PIECE_UNKNOWN;
    case TYPE_CONTROL: return WF_PIECE_CONTROL;
    case TYPE_USER: return WF_PIECE_USER;
    case TYPE_UNUSED: return WF_PIECE_UNUSED;
    case TYPE_BYTE: return WF_PIECE_BYTE;
    default: return WF_PIECE_NORMAL;
    }
}

static wf_status read_piece(wf_ctx *c, wf_tokenizer *t, wf_cursor k, int64_t id, const char *path)
{
    field f;
    const char *text = "";
    size_t n = 0;
    float score = 0.0f;
    uint64_t type = TYPE_NORMAL;
    while (read_field(&k, &f)) {
        const uint32_t bits = (uint32_t)f.value;
        if (f.number == 1 && f.kind == WIRE_BYTES) text = text_of(&f), n = wf_cursor_left(&f.bytes);
        if (f.number == 2 && f.kind == WIRE_32) memcpy(&score, &bits, sizeof score);
        if (f.number == 3 && f.kind == WIRE_VARINT) type = f.value;
    }
    if (wf_has_failed(c)) return wf_get_status(c);
    if (type < TYPE_NORMAL || type > TYPE_BYTE || memchr(text, 0, n))
        return wf_fail_status(c, WF_EFORMAT, "%s: piece %lld is of type %llu, or has a zero in it",
                              path, (long long)id, (unsigned long long)type);
    WF_TRY(wf_vocab_set(c, &t->vocab, id, text, n, (double)score, kind_of(type), path));
    t->vocab.pieces[id].is_special = type == TYPE_UNKNOWN || type == TYPE_CONTROL;
    t->bpe.has_user = t->bpe.has_user || type == TYPE_USER;
    if (type == TYPE_UNUSED && t->is_bpe)
        return wf_fail_status(c, WF_EUNSUPPORTED,
                              "%s: piece %lld is unused, which is not supported in a BPE model",
                              path, (long long)id);
    return WF_OK;
}

static wf_status read_pieces(wf_ctx *c, wf_tokenizer *t, wf_cursor all, const char *path)
{
    field f;
    int64_t n = 0, unk = -1;
    for (wf_cursor k = all; read_field(&k, &f);) n += f.number == 1 && f.kind == WIRE_BYTES;
    if (wf_has_failed(c)) return wf_get_status(c);
    WF_TRY(wf_vocab_open(c, &t->vocab, n, path));
    n = 0;
    for (wf_cursor k = all; read_field(&k, &f);) {
        if (f.number != 1 || f.kind != WIRE_BYTES) continue;
        WF_TRY(read_piece(c, t, f.bytes, n, path));
        if (t->vocab.pieces[n].kind == WF_PIECE_UNKNOWN) unk = n;
        n++;
    }
    wfi_tokenizer_finish(t, unk);
    return wf_get_status(c);
}

/* ---- the trainer's and normaliser's settings ---- */

typedef struct settings {
    uint64_t model;              /* 1 unigram, 2 BPE */
    bool byte_fallback, suffix;
    int64_t bos, eos;
    bool prefix, fold, escape;
    wf_cursor table;             /* of the normaliser, may be empty */
} settings;

static void read_trainer(wf_cursor k, settings *s)
{
    field f;
    while (read_field(&k, &f)) {
        if (f.kind != WIRE_VARINT) continue;
        if (f.number == 3) s->model = f.value;
        if (f.number == 24) s->suffix = f.value != 0;
        if (f.number == 35) s->byte_fallback = f.value != 0;
        if (f.number == 41) s->bos = (int64_t)f.value;
        if (f.number == 42) s->eos = (int64_t)f.value;
    }
}

static void read_normalizer(wf_cursor k, settings *s)
{
    field f;
    while (read_field(&k, &f)) {
        if (f.number == 2 && f.kind == WIRE_BYTES) s->table = f.bytes;
        if (f.kind != WIRE_VARINT) continue;
        if (f.number == 3) s->prefix = f.value != 0;
        if (f.number == 4) s->fold = f.value != 0;
        if (f.number == 5) s->escape = f.value != 0;
    }
}

static wf_status read_settings(wf_ctx *c, wf_cursor all, settings *s, const char *path)
{
    field f;
    *s = (settings){.model = 1, .bos = 1, .eos = 2, .prefix = true, .fold = true, .escape = true};
    for (wf_cursor k = all; read_field(&k, &f);) {
        if (f.kind != WIRE_BYTES) continue;
        if (f.number == 2) read_trainer(f.bytes, s);
        if (f.number == 3) read_normalizer(f.bytes, s);
    }
    if (wf_has_failed(c)) return wf_get_status(c);
    if ((s->model != 1 && s->model != 2) || s->suffix)
        return wf_fail_status(c, WF_EUNSUPPORTED,
                              "%s: a model of type %llu%s, wanted unigram (1) or BPE (2) with "
                              "spaces in front of words",
                              path, (unsigned long long)s->model,
                              s->suffix ? " with spaces behind words" : "");
    return WF_OK;
}

static wf_status make_steps(wf_ctx *c, wf_tokenizer *t, const settings *s, const char *path)
{
    const size_t n = wf_cursor_left(&s->table);
    if (n) {
        wf_step *map = wfi_tokenizer_step(c, t, WF_STEP_CHARSMAP, path);
        if (!map) return wf_get_status(c);
        map->blob = wf_mem_alloc(t->mem, n);
        if (!map->blob) return wf_fail_status(c, WF_ENOMEM, "%s: no memory", path);
        memcpy(map->blob, s->table.data + s->table.at, n);
        WF_TRY(wf_charsmap_open(c, &map->charsmap, map->blob, n, path));
    }
    wf_step *spaces = wfi_tokenizer_step(c, t, WF_STEP_SPACES, path);
    if (!spaces) return wf_get_status(c);
    spaces->fold = s->fold;
    spaces->escape = s->escape;
    spaces->prepend = s->prefix ? WF_PREPEND_ALWAYS : WF_PREPEND_NEVER;
    return WF_OK;
}

/* ---- special tokens: the model has their ids, tokenizer_config.json says which are put ---- */

static wf_json *load_config(wf_ctx *c, const char *path)
{
    enum { MOST = 4096 };
    char name[MOST];
    const char *slash = strrchr(path, '/');
    const int n = slash ? (int)(slash - path) : 1;
    snprintf(name, sizeof name, "%.*s/tokenizer_config.json", n, slash ? path : ".");
    return wf_file_exists(name) ? wf_json_load(c, name) : NULL;
}

static wf_status read_ends(wf_ctx *c, wf_tokenizer *t, const settings *s, const char *path)
{
    wf_json *config = load_config(c, path);
    const bool bos = wf_json_get_bool(c, config, "add_bos_token", t->is_bpe);
    const bool eos = wf_json_get_bool(c, config, "add_eos_token", !t->is_bpe);
    wf_json_free(config);
    if (wf_has_failed(c)) return wf_get_status(c);
    if (bos && wf_vocab_get(&t->vocab, s->bos))
        WF_TRY(wfi_tokenizer_end(c, t, true, s->bos, path));
    if (eos && wf_vocab_get(&t->vocab, s->eos))
        WF_TRY(wfi_tokenizer_end(c, t, false, s->eos, path));
    return WF_OK;
}

static wf_status read_model(wf_ctx *c, wf_tokenizer *t, wf_cursor all, const char *path)
{
    settings s;
    WF_TRY(read_settings(c, all, &s, path));
    t->is_bpe = s.model == 2;
    WF_TRY(read_pieces(c, t, all, path));
    WF_TRY(make_steps(c, t, &s, path));
    t->bpe.unknown.byte_fallback = t->unigram.unknown.byte_fallback = s.byte_fallback;
    t->bpe.unknown.fuse_unk = t->unigram.unknown.fuse_unk = true;
    t->decoder = (wfi_decoder){.spaces = true, .bytes = s.byte_fallback, .fold = s.fold,
                               .strip_piece = s.prefix || s.fold, .unknown = " \xe2\x81\x87 "};
    return read_ends(c, t, &s, path);
}

wf_status wfi_tokenizer_read_sentencepiece(wf_ctx *c, wf_tokenizer *t, const char *path)
{
    wf_file_map *m = wf_file_map_open(c, path);
    if (!m) return wf_get_status(c);
    const wf_status st = read_model(c, t, wf_cursor_over(c, m), path);
    wf_file_map_release(m);
    return st;
}
