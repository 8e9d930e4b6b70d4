/* JSONL: lines, their numbers, ends, marks, blanks; what is refused and where. */
#include "tests/support/support.h"

#include "data/jsonl.h"

#include <stdio.h>
#include <string.h>

static Arena *arena;
static char *folder, *path;

static int setup(void **state) {
    (void)state;
    arena = support_arena();
    folder = support_folder(arena);
    path = support_path(arena, folder, "rows.jsonl");
    return 0;
}

static int teardown(void **state) {
    Err e;
    (void)state;
    ASSERT_OK(remove_tree(folder, &e), e);
    arena_close(arena);
    return 0;
}

/* The lines of a file as "number:text|...". */
static const char *lines_of(const char *text, size_t len) {
    static char out[512];
    Err e;
    Jsonl j;
    const char *s;
    size_t n, at = 0;
    support_write(path, text, len);
    ASSERT_OK(jsonl_open(path, &j, &e), e);
    out[0] = 0;
    while (jsonl_next(&j, &s, &n))
        at += (size_t)snprintf(out + at, sizeof out - at, "%d:%.*s|", (int)j.line, (int)n, s);
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
    memset(big, '[', n);
    ASSERT_FAILS(parse_all(big, n, &rows, &e), e, ERR_DATA, "rows.jsonl:1: a line of 16777217 bytes is too long");
    ASSERT_FAILS(parse_all(big, n - 1, &rows, &e), e, ERR_DATA, "rows.jsonl:1:");
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
        int n = snprintf(number, sizeof number, "[%d", i);
        memcpy(text + (size_t)i * WIDTH, number, (size_t)n);
        memcpy(text + (size_t)(i + 1) * WIDTH - 2, "]\n", 2);
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
        cmocka_unit_test_setup_teardown(bad_lines_are_named, setup, teardown),
        cmocka_unit_test_setup_teardown(huge_lines_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(long_files, setup, teardown),
        cmocka_unit_test_setup_teardown(missing_files, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
