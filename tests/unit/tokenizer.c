/*
 * tokenizer.c - tokenizer files that lie: cut short, changed byte by byte, and wrong in each part;
 * and every allocation of loading, encoding and decoding failed in turn.
 */
#include "tests/unit/files.h"

#include "core/base/mem.h"
#include "core/file/file_write.h"
#include "core/text/tokenizer.h"

#define VECTORS "tests/text/vectors/"

static const char TEXT[] =
    "The <image> quick\n\xc3\xa9 \xff\xe2\x82 </s>  cat's 12345 \xf0\x9f\x98\x80";

/* Write bytes as a new file of the bench. Writing over an old one would wait for the disk. */
static void put(bench *b, const char *name, const void *p, size_t n)
{
    in(b, name);
    remove(b->path);
    put_file(b->path, p, n);
}

/* Encode and decode with what t is; whatever it is, ids stand in the vocabulary. */
static void use(bench *b, wf_tokenizer *t)
{
    int64_t *ids = NULL, n = 0;
    char *text = NULL;
    size_t bytes = 0;
    char msg[WF_ERR_MAX];
    if (wf_tokenizer_encode(b->c, t, TEXT, sizeof TEXT - 1, true, &ids, &n) == WF_OK) {
        for (int64_t i = 0; i < n; i++) assert_non_null(wf_tokenizer_get_piece(t, ids[i]));
        assert_int_equal(wf_tokenizer_decode(b->c, t, ids, n, false, &text, &bytes), WF_OK);
        assert_int_equal(text[bytes], 0);
    }
    (void)wf_take_error(b->c, msg, sizeof msg);
    wf_mem_free(wf_ctx_get_mem(b->c), ids);
    wf_mem_free(wf_ctx_get_mem(b->c), text);
    wf_tokenizer_free(t);
}

/* Load the bench's file or folder: used when it loads, else an error that names it. */
static bool try_load(bench *b, const char *path)
{
    char msg[WF_ERR_MAX];
    wf_tokenizer *t = wf_tokenizer_load(b->c, path);
    if (t) {
        assert_false(wf_has_failed(b->c));
        use(b, t);
        return true;
    }
    const wf_status st = wf_take_error(b->c, msg, sizeof msg);
    if (st == WF_OK || !strstr(msg, b->folder)) fail_msg("does not name the file: \"%s\"", msg);
    return false;
}

/* ---- changed files ---- */

static void check_changed(bench *b, const char *from, const char *name, size_t step)
{
    size_t n;
    uint8_t *p = get_file(from, &n);
    int loaded = 0, refused = 0;
    for (size_t i = 0; i < n; i += step) {
        const uint8_t was = p[i];
        for (int k = 0; k < 3; k++) {
            p[i] = (uint8_t)(k == 0 ? was ^ 1 : k == 1 ? 0xff : was ^ 0x80);
            put(b, name, p, n);
            *(try_load(b, b->path) ? &loaded : &refused) += 1;
        }
        p[i] = was;
        put(b, name, p, i);
        *(try_load(b, b->path) ? &loaded : &refused) += 1;
    }
    free(p);
    assert_true(refused > 10);
}

static void test_changed_model(void **state)
{
    check_changed(*state, VECTORS "llama_model_file/tokenizer.model", "a.model", 7);
}

static void test_changed_table(void **state)
{
    check_changed(*state, VECTORS "t5_model_file/spiece.model", "a.model", 3);
}

static void test_changed_json(void **state)
{
    check_changed(*state, VECTORS "llama_legacy/tokenizer.json", "tokenizer.json", 31);
}

static void test_changed_merges(void **state)
{
    bench *b = *state;
    size_t n;
    uint8_t *p = get_file(VECTORS "clip_files/vocab.json", &n);
    put(b, "vocab.json", p, n);
    free(p);
    p = get_file(VECTORS "clip_files/merges.txt", &n);
    int refused = 0;
    for (size_t i = 0; i < n; i += 5) {
        const uint8_t was = p[i];
        p[i] = (uint8_t)(was ^ 1);
        put(b, "merges.txt", p, n);
        refused += !try_load(b, b->folder);
        p[i] = was;
    }
    free(p);
    assert_true(refused > 10);
}

/* ---- wrong parts ---- */

/* Written with ' for ", and tried with " in its place. */
#define VOCAB "'vocab':{'a':0,'b':1,'ab':2}"
#define BPE "'model':{'type':'BPE'," VOCAB ",'merges':['a b']}"

static const struct { const char *json, *part;
} wrong[] = {
    {"{", "not JSON"},
    {"{}", "has no 'model'"},
    {"{'model':{'type':'WordPiece'}}", "model 'WordPiece' is not supported"},
    {"{'model':{'type':'BPE','vocab':[]}}", "not an object of ids"},
    {"{'model':{'type':'BPE','vocab':{}}}", "a vocabulary of 0 pieces"},
    {"{'model':{'type':'BPE','vocab':{'a':0,'b':0}}}", "two pieces have id 0"},
    {"{'model':{'type':'BPE','vocab':{'a':-5,'b':0}}}", "has id -5"},
    {"{'model':{'type':'BPE','vocab':{'a':99999999999}}}", "a vocabulary of"},
    {"{'model':{'type':'BPE'," VOCAB ",'merges':['a c']}}", "not of two pieces that make"},
    {"{'model':{'type':'BPE'," VOCAB ",'merges':['ab']}}", "merge 0 is not two pieces"},
    {"{'model':{'type':'BPE'," VOCAB ",'merges':[['a',5]]}}", "merge 0 is not two pieces"},
    {"{'model':{'type':'BPE'," VOCAB ",'merges':[],'byte_fallback':3}}", "'byte_fallback'"},
    {"{'model':{'type':'Unigram','vocab':{}}}", "not a list of pieces"},
    {"{'model':{'type':'Unigram','vocab':[['a',1,2]]}}", "piece 0 is not [text, score]"},
    {"{'model':{'type':'Unigram','vocab':[['a',-Infinity]]}}", "score"},
    {"{" BPE ",'added_tokens':[{'id':9,'content':''}]}", "no 'id' and 'content'"},
    {"{" BPE ",'added_tokens':[{'id':1,'content':'x'}]}", "has the id of piece 'b'"},
    {"{" BPE ",'normalizer':{'type':'BertNormalizer'}}", "normalizer 'BertNormalizer'"},
    {"{" BPE ",'normalizer':{'type':'Replace','pattern':{},'content':''}}", "neither String"},
    {"{" BPE ",'normalizer':{'type':'Replace','pattern':{'Regex':'('},'content':''}}",
     "the pattern '(' is not understood"},
    {"{" BPE ",'normalizer':{'type':'Precompiled','precompiled_charsmap':'!'}}", "not base64"},
    {"{" BPE ",'normalizer':{'type':'Precompiled','precompiled_charsmap':'/////w=='}}",
     "a trie of"},
    {"{" BPE ",'pre_tokenizer':{'type':'Digits'}}", "pre_tokenizer 'Digits'"},
    {"{" BPE ",'pre_tokenizer':{'type':'Metaspace','replacement':'_'}}", "replacement '_'"},
    {"{" BPE ",'pre_tokenizer':{'type':'Split','behavior':'x','pattern':{}}}", "behavior"},
    {"{" BPE ",'post_processor':{'type':'Other'}}", "post_processor 'Other'"},
    {"{" BPE ",'post_processor':{'type':'BertProcessing','cls':['a',7],'sep':['b',1]}}",
     "the last one of id 7"},
    {"{" BPE ",'post_processor':{'type':'TemplateProcessing','single':[{'SpecialToken':"
     "{'id':'x'}}]}}", "special token 'x' has no ids"},
    {"{" BPE ",'decoder':{'type':'WordPiece'}}", "decoder 'WordPiece'"},
    {"{" BPE ",'decoder':{'type':'Replace','pattern':{'String':'x'},'content':' '}}",
     "Replace of anything but"},
};

/* The bench's tokenizer.json: json with " for '. */
static void put_quoted(bench *b, const char *json)
{
    char text[512];
    snprintf(text, sizeof text, "%s", json);
    for (char *p = text; *p; p++)
        if (*p == '\'') *p = '"';
    put(b, "tokenizer.json", text, strlen(text));
}

static void test_wrong_parts(void **state)
{
    bench *b = *state;
    char msg[WF_ERR_MAX];
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        put_quoted(b, wrong[i].json);
        wf_tokenizer *t = wf_tokenizer_load(b->c, b->path);
        const wf_status st = wf_take_error(b->c, msg, sizeof msg);
        for (char *p = msg; *p; p++)
            if (*p == '"') *p = '\'';
        if (t || st == WF_OK || !strstr(msg, wrong[i].part) || !strstr(msg, b->path))
            fail_msg("%s: \"%s\" is not \"%s\"", wrong[i].json, t ? "loaded" : msg, wrong[i].part);
    }
}

/* A pattern that wants 2^n steps ends with an error instead. */
static void test_slow_pattern(void **state)
{
    static const char json[] =
        "{" BPE ",'pre_tokenizer':{'type':'Split','behavior':'Isolated','pattern':"
        "{'Regex':'(?:a|aa)+$'}}}";
    bench *b = *state;
    char text[200], msg[WF_ERR_MAX];
    int64_t *ids = NULL, n = 0;
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = 'c';
    put_quoted(b, json);
    wf_tokenizer *t = wf_tokenizer_load(b->c, b->path);
    assert_non_null(t);
    assert_int_equal(wf_tokenizer_encode(b->c, t, text, sizeof text, false, &ids, &n), WF_EFORMAT);
    assert_int_equal(wf_take_error(b->c, msg, sizeof msg), WF_EFORMAT);
    assert_non_null(strstr(msg, "steps to match"));
    wf_tokenizer_free(t);
}

/* ---- out of memory ---- */

static const char *const folders[] = {"llama_normalised", "clip_files", "llama_model_file",
                                      "t5_model_file", "t5_json"};

/* Load, encode, decode; whether all went well. */
static bool round_trip(wf_ctx *c, const char *folder)
{
    char path[128], *text = NULL;
    int64_t *ids = NULL, n = 0;
    size_t bytes = 0;
    snprintf(path, sizeof path, VECTORS "%s", folder);
    wf_tokenizer *t = wf_tokenizer_load(c, path);
    const bool ok =
        t && wf_tokenizer_encode(c, t, TEXT, sizeof TEXT - 1, true, &ids, &n) == WF_OK &&
        wf_tokenizer_decode(c, t, ids, n, true, &text, &bytes) == WF_OK;
    wf_mem_free(wf_ctx_get_mem(c), ids);
    wf_mem_free(wf_ctx_get_mem(c), text);
    wf_tokenizer_free(t);
    return ok;
}

static void test_out_of_memory(void **state)
{
    bench *b = *state;
    wf_mem *m = wf_ctx_get_mem(b->c);
    char msg[WF_ERR_MAX];
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        const size_t before = wf_mem_get_stats(m).live_bytes;
        int n = 1;
        for (;; n++) {
            wf_mem_fail_nth(m, (uint64_t)n);
            const bool ok = round_trip(b->c, folders[i]);
            wf_mem_fail_nth(m, 0);
            const wf_status st = wf_take_error(b->c, msg, sizeof msg);
            if (ok && st == WF_OK) break;
            if (ok || st != WF_ENOMEM)
                fail_msg("%s, allocation %d: %s (%s)", folders[i], n, msg, wf_status_text(st));
            if (wf_mem_get_stats(m).live_bytes != before)
                fail_msg("%s, allocation %d: bytes leak", folders[i], n);
        }
        assert_true(n > 20);
        assert_int_equal(wf_mem_get_stats(m).live_bytes, before);
    }
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, bench_open, bench_close)
    const struct CMUnitTest tests[] = {
        TEST(test_changed_model), TEST(test_changed_table), TEST(test_changed_json),
        TEST(test_changed_merges), TEST(test_wrong_parts), TEST(test_slow_pattern),
        TEST(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
