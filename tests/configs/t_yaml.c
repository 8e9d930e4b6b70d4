/* The YAML subset: scalar types of the core schema, places, and everything that is refused. */
#include "configs/yaml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

static Arena *arena;
static Err err;

static int setup(void **state) {
    (void)state;
    return arena_open(&arena, "test", &err) == OK ? 0 : 1;
}

static int teardown(void **state) {
    (void)state;
    arena_close(arena);
    return 0;
}

static Status parse(const char *text, size_t len, Yaml *out) {
    memset(&err, 0, sizeof err);
    return yaml_parse(arena, "c.yaml", text, len, out, &err);
}

static void scalars_have_core_types(void **state) {
    (void)state;
    static const struct {
        const char *text;
        YamlType type;
        double value;
    } cases[] = {
        {"1e-4", YAML_REAL, 1e-4}, {"no", YAML_STRING, 0},      {"yes", YAML_STRING, 0},
        {"on", YAML_STRING, 0},    {"True", YAML_BOOL, 1},      {"FALSE", YAML_BOOL, 0},
        {"tRue", YAML_STRING, 0},  {"", YAML_NULL, 0},          {"~", YAML_NULL, 0},
        {"Null", YAML_NULL, 0},    {"nUll", YAML_STRING, 0},    {"12", YAML_INT, 12},
        {"-3", YAML_INT, -3},      {"+7", YAML_INT, 7},         {"0x1F", YAML_INT, 31},
        {"0o17", YAML_INT, 15},    {"017", YAML_INT, 17},       {"0o9", YAML_STRING, 0},
        {"0x", YAML_STRING, 0},    {"1_000", YAML_STRING, 0},   {".5", YAML_REAL, 0.5},
        {"5.", YAML_REAL, 5},      {"1.5e+3", YAML_REAL, 1500}, {"2E2", YAML_REAL, 200},
        {"e5", YAML_STRING, 0},    {"1e", YAML_STRING, 0},      {".", YAML_STRING, 0},
        {"-", YAML_STRING, 0},     {"1.2.3", YAML_STRING, 0},   {"0b11", YAML_STRING, 0},
        {"1:30", YAML_STRING, 0},  {"nan", YAML_STRING, 0},     {"99999999999999999999", YAML_REAL, 1e20},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[32];
        Yaml v = {0};
        strcpy(text, cases[i].text);
        yaml_scalar(text, &v);
        if (v.type != cases[i].type) fail_msg("'%s' is %s", cases[i].text, yaml_type_name(v.type));
        if (v.type == YAML_BOOL) assert_int_equal(v.boolean, cases[i].value != 0);
        if (v.type == YAML_INT || v.type == YAML_REAL) assert_true(v.real == cases[i].value);
        if (v.type == YAML_INT) assert_true((double)v.integer == cases[i].value);
    }
}

static void tree_has_places(void **state) {
    (void)state;
    const char *text =
        "# a comment\na: 1\nlist:\n  - path: x.jsonl\n    type: \"12\"\n  - {path: 'y', type: no}\nb: [p, q]\nc: |\n  two\n  lines\n";
    Yaml root;
    assert_int_equal(parse(text, strlen(text), &root), OK);
    assert_int_equal(root.n, 4);
    assert_string_equal(root.keys[1].text, "list");
    assert_int_equal(root.keys[1].line, 3);
    const Yaml *list = &root.items[1];
    assert_int_equal(list->type, YAML_LIST);
    assert_int_equal(list->n, 2);
    assert_int_equal(list->items[0].items[1].type, YAML_STRING);
    assert_true(list->items[0].items[1].quoted);
    assert_int_equal(list->items[1].items[0].line, 6);
    assert_int_equal(list->items[1].items[0].column, 12);
    assert_string_equal(list->items[1].items[1].text, "no");
    assert_string_equal(root.items[2].items[1].text, "q");
    assert_string_equal(root.items[3].text, "two\nlines\n");
}

static void empty_documents_are_empty_maps(void **state) {
    (void)state;
    static const char *const texts[] = {"", "# nothing\n", "---\n", "~\n", "\xEF\xBB\xBF# BOM\n"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        Yaml root;
        assert_int_equal(parse(texts[i], strlen(texts[i]), &root), OK);
        assert_int_equal(root.type, YAML_MAP);
        assert_int_equal(root.n, 0);
    }
}

static void refused_with_a_place(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t len; /* 0: strlen */
        const char *message;
    } cases[] = {
        {"a: 1\na: 2\n", 0, "c.yaml:2:1: key 'a' is given twice, first in line 1"},
        {"a: {b: 1, b: 2}\n", 0, "c.yaml:1:11: key 'b' is given twice"},
        {"a: &x 1\nb: *x\n", 0, "c.yaml:1:4: anchors and aliases"},
        {"a: *x\n", 0, "c.yaml:1:4: anchors and aliases"},
        {"*x : 1\n", 0, "c.yaml:1:1: anchors and aliases"},
        {"a: !!str 1\n", 0, "c.yaml:1:4: tags"},
        {"a: !foo {b: 1}\n", 0, "c.yaml:1:4: tags"},
        {"%YAML 1.2\n---\na: 1\n", 0, "c.yaml:1:1: directives"},
        {"a: 1\n---\nb: 2\n", 0, "c.yaml:2:1: a second document"},
        {"a: 1\n--- x\n", 0, "c.yaml:2:1: a second document"},
        {"[a]: 1\n", 0, "c.yaml:1:1: a key must be a word"},
        {"- a\n- b\n", 0, "c.yaml:1:1: got a list, expected lines of the form"},
        {"word\n", 0, "c.yaml:1:1: got text, expected lines of the form"},
        {"a: [[[[[[[[[[1]]]]]]]]]]\n", 0, "nested too deeply"},
        {"a: \xff\n", 0, "c.yaml:1:4: not valid UTF-8"},
        {"a: 1\nb: \xc3\n", 0, "c.yaml:2:4: not valid UTF-8"},
        {"a: x\0y\n", 7, "c.yaml:1:5: a control character (NUL)"},
        {"a: \"x\\0y\"\n", 0, "c.yaml:1:4: text with a NUL character"},
        {"a: \x01\n", 0, "c.yaml:1:4: a control character"},
        {"a: \"open\n", 0, "not valid YAML"},
        {"a: [1, 2\n", 0, "not valid YAML"},
        {"a:\n\t- b\n", 0, "c.yaml:2:1: not valid YAML"},
        {"a: b: c\n", 0, "c.yaml:1:5: not valid YAML"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Yaml root;
        size_t len = cases[i].len != 0 ? cases[i].len : strlen(cases[i].text);
        if (parse(cases[i].text, len, &root) != ERR_CONFIG) fail_msg("accepted: %s", cases[i].text);
        if (strstr(err.message, cases[i].message) == NULL) fail_msg("'%s' lacks '%s'", err.message, cases[i].message);
    }
}

/* Texts that make careless readers slow or large: each must end, with an error or not. */
static void hostile_texts_end(void **state) {
    (void)state;
    enum { BYTES = 200000 };
    static const char *const units[] = {"[",    "{",  "- ",  "? ", "a: ", "[a, ", "{a: ", "\n - ",
                                        "a:\n", "!",  "&a ", "'",  "\"",  "%",    "| \n", "a",
                                        " ",    "\t", "#",   ", ", ": ",  "*a ",  "-\n",  "a: [\n"};
    ArenaMark mark = arena_mark(arena);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        char *text;
        Yaml root;
        size_t unit = strlen(units[i]), n = BYTES / unit * unit;
        assert_int_equal(arena_alloc(arena, n, 1, &text, &err), OK);
        for (size_t at = 0; at < n; at += unit) memcpy(text + at, units[i], unit);
        (void)parse(text, n, &root);
        assert_true(arena_used_bytes(arena) < (size_t)64 << 20);
        arena_reset(arena, mark);
    }
    char *big;
    Yaml root;
    assert_int_equal(arena_alloc(arena, YAML_BYTES_MAX + 1, 1, &big, &err), OK);
    memset(big, 'a', YAML_BYTES_MAX + 1);
    assert_int_equal(parse(big, YAML_BYTES_MAX + 1, &root), ERR_CONFIG);
    assert_non_null(strstr(err.message, "too many"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(scalars_have_core_types, setup, teardown),
        cmocka_unit_test_setup_teardown(tree_has_places, setup, teardown),
        cmocka_unit_test_setup_teardown(empty_documents_are_empty_maps, setup, teardown),
        cmocka_unit_test_setup_teardown(refused_with_a_place, setup, teardown),
        cmocka_unit_test_setup_teardown(hostile_texts_end, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
