/* json.c - documents, typed reads and what must be refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/file/json.h"

static wf_json *parse(wf_ctx *c, const char *text)
{
    return wf_json_parse(c, text, strlen(text), "doc");
}

/* text must fail with st and a sentence that has part in it. */
static void expect_refused(const char *text, wf_status st, const char *part)
{
    char msg[WF_ERR_MAX];
    wf_ctx *c = wf_ctx_new(1);
    assert_null(parse(c, text));
    assert_int_equal(wf_take_error(c, msg, sizeof msg), st);
    if (!strstr(msg, part)) fail_msg("\"%s\" does not say \"%s\"", msg, part);
    wf_ctx_free(c);
}

static void test_values(void **state)
{
    (void)state;
    wf_ctx *c = wf_ctx_new(1);
    const size_t before = wf_mem_get_stats(wf_ctx_get_mem(c)).live_bytes;
    wf_json *j = parse(c, "{\"n\": 3, \"x\": 0.5, \"on\": true, \"s\": \"a\\\"[\", \"none\": null,"
                          " \"list\": [1, \"two\", {}], \"low\": -Infinity, \"q\": \"Infinity\"}");
    assert_non_null(j);
    assert_int_equal(wf_json_get_int(c, j, "n", 0), 3);
    assert_int_equal(wf_json_get_int(c, j, "none", 7), 7);
    assert_int_equal(wf_json_get_int(c, j, "absent", 8), 8);
    assert_true(wf_json_get_number(c, j, "x", 0) == 0.5 && wf_json_get_number(c, j, "n", 0) == 3.0);
    assert_true(wf_json_get_bool(c, j, "on", false));
    assert_string_equal(wf_json_get_text(c, j, "s", ""), "a\"[");
    assert_string_equal(wf_json_get_text(c, j, "q", ""), "Infinity");
    assert_true(isinf(wf_json_get_number(c, j, "low", 0)) &&
                wf_json_get_number(c, j, "low", 0) < 0);
    assert_true(wf_json_has(j, "list") && !wf_json_has(j, "none") && wf_json_find(j, "none"));

    const wf_json *list = wf_json_find(j, "list");
    assert_true(wf_json_is_array(list) && wf_json_count(list) == 3 && wf_json_count(j) == 8);
    assert_int_equal(wf_json_int(wf_json_at(list, 0), -1), 1);
    assert_string_equal(wf_json_text(wf_json_at(list, 1), ""), "two");
    assert_true(wf_json_is_object(wf_json_at(list, 2)) && !wf_json_at(list, 3) &&
                !wf_json_at(list, -1));
    assert_string_equal(wf_json_key_at(j, 5), "list");
    assert_null(wf_json_key_at(list, 0));
    assert_false(wf_has_failed(c));
    wf_json_free(j);
    assert_int_equal(wf_mem_get_stats(wf_ctx_get_mem(c)).live_bytes, before);
    wf_ctx_free(c);
}

static void test_wrong_types(void **state)
{
    (void)state;
    char msg[WF_ERR_MAX];
    wf_ctx *c = wf_ctx_new(1);
    wf_json *j = parse(c, "{\"n\": 3.5, \"s\": 1, \"b\": 1, \"x\": \"1\"}");
    wf_json_get_int(c, j, "n", 0);
    assert_int_equal(wf_take_error(c, msg, sizeof msg), WF_EFORMAT);
    assert_string_equal(msg, "doc: \"n\" must be a whole number");
    wf_json_get_text(c, j, "s", "");
    assert_int_equal(wf_take_error(c, msg, sizeof msg), WF_EFORMAT);
    wf_json_get_bool(c, j, "b", true);
    assert_int_equal(wf_take_error(c, msg, sizeof msg), WF_EFORMAT);
    wf_json_get_number(c, j, "x", 0);
    assert_int_equal(wf_take_error(c, msg, sizeof msg), WF_EFORMAT);
    wf_json_free(j);
    wf_ctx_free(c);
}

static void test_refused(void **state)
{
    (void)state;
    char deep[200];
    memset(deep, '[', 100);
    memset(deep + 100, ']', 99);
    deep[199] = '\0';
    expect_refused(deep, WF_EFORMAT, "nested deeper than 64");
    expect_refused("{\"a\": 1, \"a\": 2}", WF_EFORMAT, "duplicate");
    expect_refused("{\"a\": 1", WF_EFORMAT, "not JSON");
    expect_refused("{\"a\": NaN}", WF_EFORMAT, "not JSON");
    expect_refused("", WF_EFORMAT, "not JSON");
    expect_refused("[1] 2", WF_EFORMAT, "not JSON");
    expect_refused("\"\xff\xfe\"", WF_EFORMAT, "not JSON");

    char msg[WF_ERR_MAX];
    wf_ctx *c = wf_ctx_new(1);
    assert_null(wf_json_load(c, "/nowhere/config.json"));
    assert_int_equal(wf_take_error(c, msg, sizeof msg), WF_EIO);
    wf_ctx_free(c);
}

/* What is written is read back the same, and big objects are found by key. */
static void test_write_and_find(void **state)
{
    (void)state;
    static char text[40000], key[32];
    size_t n = (size_t)snprintf(text, sizeof text, "{");
    for (int i = 0; i < 2000; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s\"k%d\": %d", i ? "," : "",
                              i * 37 % 2000, i);
    snprintf(text + n, sizeof text - n, "}");
    wf_ctx *c = wf_ctx_new(1);
    wf_json *j = parse(c, text);
    char *out = wf_json_write(c, j);
    wf_json *again = parse(c, out);
    assert_int_equal(wf_json_count(again), 2000);
    for (int i = 0; i < 2000; i++) {
        snprintf(key, sizeof key, "k%d", i * 37 % 2000);
        assert_int_equal(wf_json_get_int(c, again, key, -1), i);
        assert_string_equal(wf_json_key_at(again, i), key);
    }
    assert_null(wf_json_find(again, "k2000"));
    wf_mem_free(wf_ctx_get_mem(c), out);
    wf_json_free(j);
    wf_json_free(again);
    wf_ctx_free(c);
}

static void test_no_memory(void **state)
{
    (void)state;
    char msg[WF_ERR_MAX];
    wf_ctx *c = wf_ctx_new(1);
    const size_t before = wf_mem_get_stats(wf_ctx_get_mem(c)).live_bytes;
    uint64_t nth = 1;
    for (;; nth++) {
        wf_mem_fail_nth(wf_ctx_get_mem(c), nth);
        wf_json *j = parse(c, "{\"a\": [1, 2]}");
        if (j) {
            wf_json_free(j);
            break;
        }
        assert_int_equal(wf_take_error(c, msg, sizeof msg), WF_ENOMEM);
        assert_int_equal(wf_mem_get_stats(wf_ctx_get_mem(c)).live_bytes, before);
    }
    wf_mem_fail_nth(wf_ctx_get_mem(c), 0);
    assert_true(nth > 4);
    wf_ctx_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),    cmocka_unit_test(test_wrong_types),
        cmocka_unit_test(test_refused),   cmocka_unit_test(test_write_and_find),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
