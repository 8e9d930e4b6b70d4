/* t_json.c: JSON: valid and invalid texts, limits, places of errors, truncation at every byte, writing. */
#include "tests/support/support.h"

#include "base/hash.h"
#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static Status parse_text(Arena *a, const char *text, Json **out, Err *e) {
    return json_parse(a, "t.json", text, strlen(text), out, e);
}

static Json *parsed(Arena *a, const char *text) {
    Json *j = NULL;
    Err e;
    ASSERT_OK(parse_text(a, text, &j, &e), e);
    return j;
}

static void valid(void **state) {
    (void)state;
    Arena *a = support_arena();
    static const struct {
        const char *text, *compact;
    } CASES[] = {
        {"null", "null"},
        {" true\n", "true"},
        {"false", "false"},
        {"0", "0"},
        {"-0", "0"},
        {"9223372036854775807", "9223372036854775807"},
        {"-9223372036854775808", "-9223372036854775808"},
        {"9223372036854775808", "9223372036854775808"},
        {"1.0", "1.0"},
        {"1e2", "100.0"},
        {"1E+2", "100.0"},
        {"-1.5e-3", "-0.0015"},
        {"1e-400", "0.0"},
        {"0.1", "0.1"},
        {"\"\"", "\"\""},
        {"\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"a\\\"\\\\/\\b\\f\\n\\r\\t\""},
        {"\"\\u00e9\\u20AC\\ud83d\\uDE00\"", "\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\""},
        {"\"\\u0000\\u001f\\u007f\"", "\"\\u0000\\u001f\x7F\""},
        {"\"\\\\ud800\"", "\"\\\\ud800\""},
        {"[]", "[]"},
        {"[[],{}]", "[[],{}]"},
        {"{}", "{}"},
        {"\t{ \"b\" : 1 ,\r\n\"a\":[ 1, 2.5,\"x\" ], \"\":null}", "{\"b\":1,\"a\":[1,2.5,\"x\"],\"\":null}"},
        {"[1,1,1,1,1,1,1,1,1,1]", "[1,1,1,1,1,1,1,1,1,1]"},
        {"{\"a\":{\"a\":{\"a\":1}},\"b\":{\"a\":2}}", "{\"a\":{\"a\":{\"a\":1}},\"b\":{\"a\":2}}"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        Err e;
        Buf b = {.arena = a};
        Json *j = parsed(a, CASES[i].text);
        ASSERT_OK(json_put_value(&b, j, &e), e);
        assert_string_equal(b.data, CASES[i].compact);
        Json *again = parsed(a, b.data);
        assert_int_equal(again->type, j->type);
    }
    arena_close(a);
}

/* Text, place and a part of the message. */
static void invalid(void **state) {
    (void)state;
    Arena *a = support_arena();
    static const struct {
        const char *text, *part;
    } CASES[] = {
        {"", "t.json:1:1: no valid JSON"},
        {"   \n ", "t.json:2:2: no valid JSON"},
        {"nul", "no valid JSON"},
        {"nulll", "no valid JSON"},
        {"True", "t.json:1:1: no valid JSON"},
        {"NaN", "no valid JSON"},
        {"Infinity", "no valid JSON"},
        {"-", "no valid JSON"},
        {"+1", "no valid JSON"},
        {"01", "no valid JSON"},
        {".5", "no valid JSON"},
        {"1.", "no valid JSON"},
        {"1e", "no valid JSON"},
        {"0x10", "no valid JSON"},
        {"1e400", "t.json:1:1: a number that is too large"},
        {"[7, -1e400]", "t.json:1:5: a number that is too large"},
        {"[1,,2]", "t.json:1:4: no valid JSON"},
        {"{\"a\",1}", "t.json:1:5: no valid JSON"},
        {"[1,\n  \"x\" \"y\"]", "t.json:2:7: no valid JSON"},
        {"[1 true]", "t.json:1:4: no valid JSON"},
        {"1 2", "t.json:1:3: no valid JSON"},
        {"{} x", "t.json:1:4: no valid JSON"},
        {"[1,]", "t.json:1:4: no valid JSON"},
        {"[1 2]", "t.json:1:4: no valid JSON"},
        {"[", "no valid JSON"},
        {"]", "t.json:1:1: no valid JSON"},
        {"{\"a\":1,}", "t.json:1:8: no valid JSON"},
        {"{\"a\" 1}", "t.json:1:6: no valid JSON"},
        {"{1:2}", "t.json:1:2: no valid JSON"},
        {"{'a':1}", "t.json:1:2: no valid JSON"},
        {"\"open", "no valid JSON"},
        {"\"tab\tin\"", "t.json:1:5: no valid JSON"},
        {"\"\\x\"", "no valid JSON"},
        {"\"\\u12G4\"", "no valid JSON"},
        {"\"\\u12", "no valid JSON"},
        {"// c\n1", "no valid JSON"},
        {"/* c */ 1", "no valid JSON"},
        {"\xEF\xBB\xBF{}", "t.json:1:1: a byte order mark"},
        {"\"\xFF\"", "t.json:1:2: bytes that are no valid UTF-8"},
        {"[\n\"\xC3\xA9\xC0\x80\"]", "t.json:2:3: bytes that are no valid UTF-8"},
        {"\"\xED\xA0\x80\"", "t.json:1:2: bytes that are no valid UTF-8"},
        {"\"\\ud800\"", "t.json:1:2: a \\u escape of half a surrogate pair"},
        {"\"x\\udc00\"", "t.json:1:3: a \\u escape of half a surrogate pair"},
        {"\"\\ud800\\ud800\"", "half a surrogate pair"},
        {"\"\\ud800\\u0041\"", "half a surrogate pair"},
        {"\"\\ud83d\\ude00\\ude00\"", "t.json:1:14: a \\u escape of half"},
        {"\"\\ud83d \\ude00\"", "half a surrogate pair"},
        {"\"\\\\\\ud800\"", "t.json:1:4: a \\u escape of half"},
        {"\"\\ud800", "half a surrogate pair"},
        {"{\"a\":1,\"b\":2,\"a\":3}", "t.json:1:14: the key \"a\" stands twice"},
        {"{\"a\":1,\"\\u0061\":3}", "t.json:1:8: the key \"a\" stands twice"},
        {"{\"\":1,\"\":3}", "the key \"\" stands twice"},
        {"[{\"x\":{\"k\":1,\n \"k\":2}}]", "t.json:2:2: the key \"k\" stands twice"},
        {"{\"a\n\":1}", "no valid JSON"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        Err e;
        Json *j = NULL;
        size_t used = arena_used_bytes(a);
        ASSERT_FAILS(parse_text(a, CASES[i].text, &j, &e), e, ERR_FORMAT, CASES[i].part);
        ASSERT_FAILS(parse_text(a, CASES[i].text, &j, &e), e, ERR_FORMAT, "t.json:");
        assert_null(j);
        assert_int_equal(arena_used_bytes(a), used);
    }
    Err e;
    Json *j;
    ASSERT_FAILS(json_parse(a, "t", "[1,\0 2]", 7, &j, &e), e, ERR_FORMAT, "no valid JSON");
    ASSERT_FAILS(json_parse(a, "t", "1\0", 2, &j, &e), e, ERR_FORMAT, "no valid JSON");
    ASSERT_FAILS(json_parse_line(a, "rows.jsonl", 41, "{\"a\":}", 6, &j, &e), e, ERR_FORMAT, "rows.jsonl:41:");
    ASSERT_OK(json_parse(a, "t", "1x", 1, &j, &e), e);
    arena_close(a);
}

/* No cut of a valid text is valid, and none reads beyond its end: each lies in memory of its own size. */
static void truncated(void **state) {
    (void)state;
    Arena *a = support_arena();
    static const char TEXT[] =
        "{\"a\":[1,-2.5e3,true,null,\"\\u00e9\\ud83d\\ude00 \xE2\x82\xAC\\n\"],\"b\":{\"c\":[{}]}}";
    Json *j;
    Err e;
    for (size_t n = 0; n < sizeof TEXT - 1; n++) {
        char *exact = malloc(n == 0 ? 1 : n);
        assert_non_null(exact);
        memcpy(exact, TEXT, n);
        assert_int_equal(json_parse(a, "cut", exact, n, &j, &e), ERR_FORMAT);
        assert_memory_equal(e.message, "cut:1:", 6);
        free(exact);
    }
    ASSERT_OK(json_parse(a, "whole", TEXT, sizeof TEXT - 1, &j, &e), e);
    arena_close(a);
}

static void nested(Arena *a, int depth, char open, char close, Status expected) {
    Buf b = {.arena = a};
    Err e;
    Json *j;
    for (int i = 0; i < depth; i++) ASSERT_OK(open == '[' ? buf_putc(&b, '[', &e) : buf_puts(&b, "{\"k\":", &e), e);
    ASSERT_OK(buf_putc(&b, '1', &e), e);
    for (int i = 0; i < depth; i++) ASSERT_OK(buf_putc(&b, close, &e), e);
    Status st = json_parse(a, "deep", b.data, b.len, &j, &e);
    assert_int_equal(st, expected);
    if (st != OK) assert_non_null(strstr(e.message, "nested more than 64 levels"));
}

static void limits(void **state) {
    (void)state;
    Arena *a = support_arena();
    Err e;
    Json *j;
    nested(a, 64, '[', ']', OK);
    nested(a, 65, '[', ']', ERR_FORMAT);
    nested(a, 64, '{', '}', OK);
    nested(a, 65, '{', '}', ERR_FORMAT);
    nested(a, 200000, '[', ']', ERR_FORMAT);
    char digits[700];
    memset(digits, '7', sizeof digits);
    assert_true(json_parse(a, "n", digits, 308, &j, &e) == OK && j->type == JSON_REAL && isfinite(j->real));
    ASSERT_FAILS(json_parse(a, "n", digits, 309, &j, &e), e, ERR_FORMAT, "a number that is too large");
    ASSERT_FAILS(json_parse(a, "n", digits, 700, &j, &e), e, ERR_FORMAT, "a number of more than 5");
    /* a whole number beyond 64 bits keeps its digits, where it is written too */
    static const char WHOLE[] =
        "[9223372036854775808,-9223372036854775809,9223372036854775807,1e30,18446744073709551616.0]";
    Buf b = {.arena = a};
    ASSERT_OK(json_parse(a, "n", WHOLE, sizeof WHOLE - 1, &j, &e), e);
    assert_string_equal(j->list.items[0].digits, "9223372036854775808");
    assert_true(j->list.items[0].real == 9223372036854775808.0);
    assert_int_equal(j->list.items[2].type, JSON_INT);
    assert_null(j->list.items[3].digits);
    assert_null(j->list.items[4].digits);
    ASSERT_OK(json_put_value(&b, j, &e), e);
    assert_memory_equal(b.data, WHOLE, 62);
    memset(digits, '0', 400);
    digits[1] = '.';
    ASSERT_OK(json_parse(a, "n", digits, 511, &j, &e), e);
    assert_true(j->real == 0.0);
    /* control bytes of a key reach no terminal */
    ASSERT_FAILS(parse_text(a, "{\"\\u001b[2J\\n\":1,\"\\u001b[2J\\n\":1}", &j, &e), e, ERR_FORMAT, "key \" [2J \" st");
    arena_close(a);
}

static void many_keys(Arena *a, const char *const *keys, int n, int twice) {
    Buf b = {.arena = a};
    Err e;
    Json *j;
    for (int i = 0; i < n; i++)
        ASSERT_OK(
            buf_printf(&b, &e, "%s\n\"%s\":%d", i == 0 ? "{" : ",", keys[i == n - 1 && twice >= 0 ? twice : i], i), e);
    ASSERT_OK(buf_puts(&b, "}", &e), e);
    Status st = json_parse(a, "many", b.data, b.len, &j, &e);
    if (twice < 0) {
        ASSERT_OK(st, e);
        assert_int_equal(j->n, n);
        assert_int_equal(json_get(j, keys[n - 1])->integer, n - 1);
    } else {
        char part[200];
        snprintf(part, sizeof part, "many:%d:", n + 1);
        ASSERT_FAILS(st, e, ERR_FORMAT, part);
        snprintf(part, sizeof part, "the key \"%s\" stands twice", keys[twice]);
        ASSERT_FAILS(st, e, ERR_FORMAT, part);
    }
}

/* 260,000 keys, and 400 keys chosen so that all fall on one place of the table of 1024. */
static void duplicate_keys_of_large_objects(void **state) {
    (void)state;
    enum { MANY = 260000, SAME = 400 };
    Arena *a = support_arena(), *b = support_arena();
    char **keys;
    Err e;
    ASSERT_OK(ARENA_NEW(a, MANY, keys, &e), e);
    for (int i = 0; i < MANY; i++) ASSERT_OK(arena_printf(a, &keys[i], &e, "key%d", i), e);
    ArenaMark mark = arena_mark(b);
    for (int n = 2; n <= 40; n++) {
        for (int twice = -1; twice < n - 1; twice++) {
            many_keys(b, (const char *const *)keys, n, twice);
            arena_reset(b, mark);
        }
    }
    many_keys(b, (const char *const *)keys, MANY, -1);
    many_keys(b, (const char *const *)keys, MANY, 12345);
    for (int found = 0, i = 0; found < SAME; i++) {
        char text[32];
        int n = snprintf(text, sizeof text, "c%d", i);
        if ((hash128(text, (size_t)n).lo & 1023) == 7) ASSERT_OK(arena_strdup(a, text, &keys[found++], &e), e);
    }
    many_keys(b, (const char *const *)keys, SAME, -1);
    many_keys(b, (const char *const *)keys, SAME, 0);
    many_keys(b, (const char *const *)keys, SAME, SAME / 2);
    many_keys(b, (const char *const *)keys, SAME, SAME - 2);
    /* of two keys that stand twice the first in the text is named, whatever their order by name */
    for (int swap = 0; swap < 2; swap++) {
        char *one = keys[swap == 0 ? 3 : 4], *two = keys[swap == 0 ? 4 : 3];
        Buf text = {.arena = b};
        Json *j;
        char part[100];
        ASSERT_OK(buf_puts(&text, "{", &e), e);
        for (int i = 0; i < SAME; i++) ASSERT_OK(buf_printf(&text, &e, "\"%s\":1,", keys[i]), e);
        ASSERT_OK(buf_printf(&text, &e, "\"%s\":1,\"%s\":1}", one, two), e);
        snprintf(part, sizeof part, "the key \"%s\" stands twice", one);
        ASSERT_FAILS(json_parse(b, "two", text.data, text.len, &j, &e), e, ERR_FORMAT, part);
    }
    arena_close(b);
    arena_close(a);
}

static void typed_access(void **state) {
    (void)state;
    Arena *a = support_arena();
    Err e;
    Json *j = parsed(a, "{\"i\":5,\"r\":2.5,\"s\":\"a\\u0000b\",\"t\":true,\"n\":null,\"l\":[1],\"o\":{}}");
    int64_t i;
    double r;
    bool t;
    JsonString s;
    ASSERT_OK(json_want_int(j, "c.json", "i", 1, 5, &i, &e), e);
    ASSERT_OK(json_want_real(j, "c.json", "r", &r, &e), e);
    assert_true(r == 2.5);
    ASSERT_OK(json_want_real(j, "c.json", "i", &r, &e), e);
    assert_true(r == 5.0);
    ASSERT_OK(json_want_bool(j, "c.json", "t", &t, &e), e);
    assert_true(t);
    ASSERT_OK(json_want_string(j, "c.json", "s", &s, &e), e);
    assert_int_equal(s.len, 3);
    assert_memory_equal(s.s, "a\0b", 4);
    ASSERT_FAILS(json_want_int(j, "c.json", "i", 6, 9, &i, &e), e, ERR_FORMAT, "c.json: 'i' is 5, expected 6 to 9");
    ASSERT_FAILS(json_want_int(j, "c.json", "r", 0, 9, &i, &e), e, ERR_FORMAT, "'r' is a number, expected an integer");
    ASSERT_FAILS(json_want_int(j, "c.json", "x", 0, 9, &i, &e), e, ERR_FORMAT, "c.json: the key 'x' is missing");
    ASSERT_FAILS(json_want_real(j, "c.json", "s", &r, &e), e, ERR_FORMAT, "'s' is a string, expected a number");
    ASSERT_FAILS(json_want_string(j, "c.json", "o", &s, &e), e, ERR_FORMAT, "'o' is an object, expected a string");
    ASSERT_FAILS(json_want_bool(j, "c.json", "n", &t, &e), e, ERR_FORMAT, "'n' is null, expected true or false");
    ASSERT_FAILS(json_want_bool(j, "c.json", "l", &t, &e), e, ERR_FORMAT, "'l' is a list");
    ASSERT_FAILS(json_want_bool(json_get(j, "l"), "c.json", "l", &t, &e), e, ERR_FORMAT, "is missing");
    assert_null(json_get(NULL, "a"));
    assert_false(json_number(NULL, &r));
    assert_true(json_is_string(&(Json){.type = JSON_STRING, .string = {"ab", 2}}, "ab"));
    assert_false(json_is_string(json_get(j, "s"), "a"));
    assert_false(json_is_string(NULL, ""));
    arena_close(a);
}

static void writing(void **state) {
    (void)state;
    Arena *a = support_arena();
    Err e;
    Buf b = {.arena = a};
    ASSERT_OK(json_put_string(&b, "a\"\\\n\x01\x7F\xC3\xA9\xFF\xE2\x82", 11, &e), e);
    assert_string_equal(b.data, "\"a\\\"\\\\\\n\\u0001\x7F\xC3\xA9\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"");
    static const struct {
        double v;
        const char *text;
    } CASES[] = {
        {0.0, "0.0"},
        {-0.0, "-0.0"},
        {1.0, "1.0"},
        {0.1, "0.1"},
        {1.0 / 3.0, "0.3333333333333333"},
        {0.1 + 0.2, "0.30000000000000004"},
        {1e22, "1e+22"},
        {123456789.0, "123456789.0"},
        {2e-4, "0.0002"},
        {5e-324, "5e-324"},
        {2.2250738585072014e-308, "2.2250738585072014e-308"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
        {(double)INFINITY, "null"},
        {(double)NAN, "null"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        buf_clear(&b);
        ASSERT_OK(json_put_real(&b, CASES[i].v, &e), e);
        assert_string_equal(b.data, CASES[i].text);
    }
    uint64_t bits = 1;
    for (int i = 0; i < 20000; i++) { /* any finite double reads back as the same bits */
        double v;
        bits = bits * 6364136223846793005u + 1442695040888963407u;
        memcpy(&v, &bits, sizeof v);
        if (!isfinite(v)) continue;
        buf_clear(&b);
        ASSERT_OK(json_put_real(&b, v, &e), e);
        double back = strtod(b.data, NULL);
        assert_memory_equal(&back, &v, sizeof v);
    }
    arena_close(a);
}

static void files(void **state) {
    (void)state;
    Arena *a = support_arena();
    Err e;
    Json *j;
    char *dir = support_folder(a), *path = support_path(a, dir, "x.json");
    ASSERT_FAILS(json_read(a, path, 100, &j, &e), e, ERR_IO, "x.json: there is no such file");
    ASSERT_FAILS(json_read(a, dir, 100, &j, &e), e, ERR_IO, "is a folder");
    support_write(path, "", 0);
    ASSERT_FAILS(json_read(a, path, 100, &j, &e), e, ERR_FORMAT, "x.json:1:1: no valid JSON");
    support_write(path, "{\"a\": 1}\n", 9);
    ASSERT_OK(json_read(a, path, 9, &j, &e), e);
    ASSERT_FAILS(json_read(a, path, 8, &j, &e), e, ERR_FORMAT, "is 9 bytes long, at most 8");
    ASSERT_OK(remove_tree(dir, &e), e);
    arena_close(a);
}

/* A real vocabulary of 262,000 entries and half a million merges. */
static void large_tokenizer(void **state) {
    (void)state;
    Arena *a = support_arena();
    Err e;
    Json *j;
    char *path = support_shared(a, "tokenizers/gemma3/tokenizer.json");
    if (path == NULL) {
        print_message("skipped: no shared test data (set LORAC_SHARED)\n");
        arena_close(a);
        skip();
    }
    size_t before = arena_used_bytes(a);
    ASSERT_OK(json_read(a, path, 1 << 28, &j, &e), e);
    assert_int_equal(json_get(json_get(j, "model"), "vocab")->n, 262144);
    assert_true(arena_used_bytes(a) - before < 80000000);
    arena_close(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid),   cmocka_unit_test(invalid),      cmocka_unit_test(truncated),
        cmocka_unit_test(limits),  cmocka_unit_test(typed_access), cmocka_unit_test(duplicate_keys_of_large_objects),
        cmocka_unit_test(writing), cmocka_unit_test(files),        cmocka_unit_test(large_tokenizer),
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
