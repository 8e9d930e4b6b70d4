/* JSONL: lines, their numbers, ends, marks, blanks; what is refused and where. */
#include "tests/data/rows_file.h"

#include "data/jsonl.h"

#include <stdio.h>
#include <string.h>

/* The rows of a file as "number:text|...", in an array with ".element" behind the line's number. */
static const char *lines_of(const char *text, size_t len) {
    static char out[512];
    Err e;
    Jsonl j;
    const char *s;
    size_t n, at = 0;
    support_write(path, text, len);
    ASSERT_OK(jsonl_open(path, &j, &e), e);
    out[0] = 0;
    for (;;) {
        ASSERT_OK(jsonl_next(&j, &s, &n, &e), e);
        if (s == NULL) break;
        at += (size_t)snprintf(out + at, sizeof out - at, "%d", (int)j.line);
        if (j.array) at += (size_t)snprintf(out + at, sizeof out - at, ".%d", (int)j.element);
        at += (size_t)snprintf(out + at, sizeof out - at, ":%.*s|", (int)n, s);
    }
    assert_true(j.done);
    jsonl_close(&j);
    return out;
}

static void lines_and_numbers(void **state) {
    (void)state;
    assert_string_equal(lines_of("", 0), "");
    assert_string_equal(lines_of("a", 1), "1:a|");
    assert_string_equal(lines_of("a\n", 2), "1:a|");
    assert_string_equal(lines_of("a\nb", 3), "1:a|2:b|");
    assert_string_equal(lines_of("a\r\nb\r\n", 6), "1:a|2:b|");
    assert_string_equal(lines_of("\n\n \t\na\n\r\n b \n\n", 14), "4:a|6: b |");
    assert_string_equal(lines_of("\xEF\xBB\xBF"
                                 "a\n",
                                 5),
                        "1:a|");
    assert_string_equal(lines_of("\xEF\xBB\xBF", 3), "");
}

static const char *rows_of(const char *text) { return lines_of(text, strlen(text)); }

static void arrays(void **state) {
    (void)state;
    assert_string_equal(rows_of("[]"), "");
    assert_string_equal(rows_of(" \n[ ]\n\n"), "");
    assert_string_equal(rows_of("[{}]"), "1.1:{}|");
    assert_string_equal(rows_of("\xEF\xBB\xBF[{},{}]\r\n"), "1.1:{}|1.2:{}|");
    assert_string_equal(rows_of("[\n  {\"a\": \"]}\\\"{\"},\n\n  {\"b\": [1, [2]],\n   \"c\": 3}\n]\n"),
                        "2.1:{\"a\": \"]}\\\"{\"}|4.2:{\"b\": [1, [2]],\n   \"c\": 3}|");
    assert_string_equal(rows_of("[1, \"x\\\\\" ,null\n, [\"]\"]]"), "1.1:1|1.2:\"x\\\\\"|1.3:null|2.4:[\"]\"]|");
}

/* Parses all lines; the first failure. */
static Status parse_all(const void *text, size_t len, int *rows, Err *e) {
    Jsonl j;
    Json *json;
    Status st;
    support_write(path, text, len);
    *rows = 0;
    ASSERT_OK(jsonl_open(path, &j, e), *e);
    for (;;) {
        st = jsonl_parse(&j, arena, &json, e);
        if (st != OK || json == NULL) break;
        ++*rows;
    }
    jsonl_close(&j);
    return st;
}

static void bad_lines_are_named(void **state) {
    (void)state;
    static const struct {
        const char *text, *place;
    } cases[] = {
        {"{}\n{\"a\": }\n", "rows.jsonl:2:"},
        {"{}\n\n{\"a\": 1\n", "rows.jsonl:3:"},
        {"{\"a\": \"\xff\"}\n", "rows.jsonl:1:"},
        {"{} {}\n", "rows.jsonl:1:"},
        {"{}\r\n{\"a\":1,\"a\":2}\r\n", "rows.jsonl:2:"},
        {"{}\n{\"a\": \"\\ud800\"}", "rows.jsonl:2:"},
        {"nonsense", "rows.jsonl:1:"},
        {"[{}, {\"a\": }]", "rows.jsonl:1:12: "},
        {"[{},\n  {\"a\": 1,\n  }]", "rows.jsonl:3:3: "},
        {"[\n\"\xc3\xa9\", nul]", "rows.jsonl:2:6: "},
        {"[", "rows.jsonl:1:2: the array is not closed"},
        {"[{}", "rows.jsonl:1:4: the array is not closed"},
        {"[{},", "rows.jsonl:1:5: the array is not closed"},
        {"[{}\n{}]", "rows.jsonl:2:1: expected ',' or ']' after an element"},
        {"[{}}]", "rows.jsonl:1:4: expected ',' or ']'"},
        {"[{},]", "rows.jsonl:1:5: expected an element"},
        {"[,{}]", "rows.jsonl:1:2: expected an element"},
        {"[{}]\n{}", "rows.jsonl:2:1: text follows the array"},
        {"[{}, {\"a\": \"}]", "rows.jsonl:1:6: the file ends within the element that begins here"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Err e = {0};
        int rows;
        ASSERT_FAILS(parse_all(cases[i].text, strlen(cases[i].text), &rows, &e), e, ERR_DATA, cases[i].place);
    }
    Err e = {0};
    int rows;
    ASSERT_FAILS(parse_all("{\"a\": \"\0\"}\n", 11, &rows, &e), e, ERR_DATA, "rows.jsonl:1:");
}

static void huge_lines_are_refused(void **state) {
    (void)state;
    size_t n = JSONL_LINE_MAX + 1;
    char *big;
    Err e = {0};
    int rows;
    ASSERT_OK(arena_alloc(arena, n, 1, &big, &e), e);
    memset(big, '{', n);
    ASSERT_FAILS(parse_all(big, n, &rows, &e), e, ERR_DATA, "rows.jsonl:1: the line is too long");
    ASSERT_FAILS(parse_all(big, n - 1, &rows, &e), e, ERR_DATA, "rows.jsonl:1:2: no valid JSON");
    big[0] = '[';
    ASSERT_FAILS(parse_all(big, n, &rows, &e), e, ERR_DATA, "rows.jsonl:1:2: the file ends within the element");
    ASSERT_OK(arena_alloc(arena, 2 * n, 1, &big, &e), e);
    memset(big, '{', 2 * n);
    big[0] = '[';
    ASSERT_FAILS(parse_all(big, 2 * n, &rows, &e), e, ERR_DATA,
                 "rows.jsonl:1:2: the element that begins here is too long");
}

/* After a line that is too long, or is no JSON, the next one can be read. */
static void reading_goes_on(void **state) {
    (void)state;
    size_t n = JSONL_LINE_MAX + 10;
    char *big;
    Jsonl j;
    Json *json;
    Err e = {0};
    ASSERT_OK(arena_alloc(arena, n + 8, 1, &big, &e), e);
    memset(big, 'x', n);
    memcpy(big + n, "\n{\n{}\n", 6);
    support_write(path, big, n + 6);
    ASSERT_OK(jsonl_open(path, &j, &e), e);
    ASSERT_FAILS(jsonl_parse(&j, arena, &json, &e), e, ERR_DATA, "rows.jsonl:1: the line is too long");
    assert_false(j.done);
    ASSERT_FAILS(jsonl_parse(&j, arena, &json, &e), e, ERR_DATA, "rows.jsonl:2:");
    assert_false(j.done);
    ASSERT_OK(jsonl_parse(&j, arena, &json, &e), e);
    assert_int_equal(j.line, 3);
    assert_int_equal(json->type, JSON_OBJECT);
    ASSERT_OK(jsonl_parse(&j, arena, &json, &e), e);
    assert_null(json);
    jsonl_close(&j);
}

static void other_files_are_told(void **state) {
    (void)state;
    static const struct {
        const char *bytes, *what;
    } cases[] = {{"PAR1....", "rows.jsonl: is a Parquet file, expected JSONL or a JSON array; convert it"},
                 {"PK\3\4....", "a zip archive"},
                 {"BZh91AY", "bzip2 data"},
                 {"\xFF\xFE{", "UTF-16"}};
    int files = support_open_files();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Err e = {0};
        Jsonl j;
        support_write(path, cases[i].bytes, strlen(cases[i].bytes) + 1);
        ASSERT_FAILS(jsonl_open(path, &j, &e), e, ERR_DATA, cases[i].what);
    }
    Err e = {0};
    Jsonl j;
    support_write(path,
                  "\xFD"
                  "7zXZ\0\0",
                  7);
    ASSERT_FAILS(jsonl_open(path, &j, &e), e, ERR_DATA, "xz data");
    assert_int_equal(support_open_files(), files);
}

/* More than one give-back step: the text stays the same while pages are dropped behind it. */
static void long_files(void **state) {
    (void)state;
    enum { ROWS = 20000, WIDTH = 1000 };
    char *text;
    Err e = {0};
    int rows;
    ASSERT_OK(arena_alloc(arena, (size_t)ROWS * WIDTH, 1, &text, &e), e);
    memset(text, ' ', (size_t)ROWS * WIDTH);
    for (int i = 0; i < ROWS; i++) {
        char number[16];
        int n = snprintf(number, sizeof number, "\"%d", i);
        memcpy(text + (size_t)i * WIDTH, number, (size_t)n);
        memcpy(text + (size_t)(i + 1) * WIDTH - 2, "\"\n", 2);
    }
    ASSERT_OK(parse_all(text, (size_t)ROWS * WIDTH, &rows, &e), e);
    assert_int_equal(rows, ROWS);
}

static void missing_files(void **state) {
    (void)state;
    Jsonl j;
    Err e = {0};
    ASSERT_FAILS(jsonl_open(path, &j, &e), e, ERR_IO, "rows.jsonl");
    ASSERT_FAILS(jsonl_open(folder, &j, &e), e, ERR_IO, "a folder");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lines_and_numbers, setup, teardown),
        cmocka_unit_test_setup_teardown(arrays, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_lines_are_named, setup, teardown),
        cmocka_unit_test_setup_teardown(reading_goes_on, setup, teardown),
        cmocka_unit_test_setup_teardown(other_files_are_told, setup, teardown),
        cmocka_unit_test_setup_teardown(huge_lines_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(long_files, setup, teardown),
        cmocka_unit_test_setup_teardown(missing_files, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
