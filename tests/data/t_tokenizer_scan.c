/* The quick reading of a tokenizer.json's lists: what it takes, the strict parser takes too, with the same content. */
#include "tests/support/support.h"

#include "base/json.h"
#include "base/rng.h"
#include "data/tokenizer_json_scan.h"

#include <string.h>

static const char *const FILES[] = {
    "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1, \"\\u00e9\\n\": 12, \"\\ud83d\\ude00\": 3}, \"merges\": [\"a b\", \"#version: 1\", "
    "[\"a\", \"\xC3\xA9\"]], \"x\": [{\"vocab\": 1}, \"]\"]}, \"added_tokens\": [{\"id\": 4, \"content\": \"\\\"}\"}]}",
    "{\"added_tokens\":[],\"model\":{\"merges\":[],\"vocab\":{}}}\n",
    " {\n \"model\" : { \"vocab\" : { \"\" : 999999999 } , \"merges\" : [ [ \"\" , \"b\" ] , \" \" ] } , \"z\" : -1.5e3 }"};
enum { N_FILES = sizeof FILES / sizeof *FILES };

static bool same_text(TokenText t, JsonString s) { return t.len == s.len && memcmp(t.s, s.s, t.len) == 0; }

/* The tree's list of merges is the scan's. */
static void check_merges(const Json *merges, const ModelLists *l) {
    size_t n = 0;
    assert_true(merges != NULL && merges->type == JSON_ARRAY);
    for (uint32_t i = 0; i < merges->n; i++) {
        const Json *m = &merges->list.items[i];
        if (m->type == JSON_STRING && m->string.len >= 8 && memcmp(m->string.s, "#version", 8) == 0) continue;
        assert_true(n < l->n_merges);
        if (m->type == JSON_ARRAY) {
            assert_int_equal(m->n, 2);
            assert_true(same_text(l->merges[n].left, m->list.items[0].string));
            assert_true(same_text(l->merges[n].right, m->list.items[1].string));
        } else {
            assert_int_equal(m->type, JSON_STRING);
            assert_int_equal(l->merges[n].left.len + l->merges[n].right.len + 1, m->string.len);
            assert_memory_equal(l->merges[n].left.s, m->string.s, m->string.len);
        }
        n++;
    }
    assert_int_equal(n, l->n_merges);
}

/* Whether the scan took the text. */
static bool check(Arena *a, const char *text, size_t len) {
    ModelLists l;
    Buf rest = {.arena = a};
    Json *strict, *shorter;
    bool good;
    Err e;
    ASSERT_OK(scan_model_lists(a, text, len, &l, &rest, &good, &e), e);
    if (!good) return false;
    Status whole = json_parse(a, "whole", text, len, &strict, &e);
    bool twice = whole != OK && strstr(e.message, "twice") != NULL; /* told by who uses the list */
    Status part = json_parse(a, "rest", rest.data, rest.len, &shorter, &e);
    if (twice) return true;
    assert_int_equal(whole, part);
    if (whole != OK) return true;
    const Json *model = json_get(strict, "model"), *vocab = json_get(model, "vocab");
    assert_true(vocab != NULL && vocab->type == JSON_OBJECT);
    assert_int_equal(vocab->n, l.n_tokens);
    for (uint32_t i = 0; i < vocab->n; i++) {
        assert_true(same_text(l.tokens[i], vocab->list.keys[i]));
        assert_int_equal(vocab->list.items[i].type, JSON_INT);
        assert_int_equal(l.ids[i], vocab->list.items[i].integer);
    }
    check_merges(json_get(model, "merges"), &l);
    model = json_get(shorter, "model");
    assert_int_equal(json_get(model, "vocab")->n, 0);
    assert_int_equal(json_get(model, "merges")->n, 0);
    return true;
}

static void whole_files(void **state) {
    (void)state;
    Arena *a = support_arena();
    for (int i = 0; i < N_FILES; i++) assert_true(check(a, FILES[i], strlen(FILES[i])));
    arena_close(a);
}

/* Every prefix, every byte another one, and several at once. */
static void damaged_files(void **state) {
    (void)state;
    static const char BYTES[] = "\"\\{}[]:,0-.eu a\n\t\x01\x80\xC3#d8";
    Arena *a = support_arena();
    char text[512];
    int taken = 0;
    for (int i = 0; i < N_FILES; i++) {
        size_t len = strlen(FILES[i]);
        for (size_t at = 0; at < len; at++) {
            ArenaMark mark = arena_mark(a);
            assert_false(check(a, FILES[i], at) && at + 1 < len);
            for (size_t b = 0; b < sizeof BYTES; b++) {
                memcpy(text, FILES[i], len);
                text[at] = BYTES[b];
                taken += check(a, text, len);
            }
            arena_reset(a, mark);
        }
        for (uint64_t round = 0; round < 20000; round++) {
            ArenaMark mark = arena_mark(a);
            memcpy(text, FILES[i], len);
            for (uint64_t k = 0; k < 1 + round % 4; k++) {
                Philox draw = philox4x32(round, k, (uint64_t)i);
                text[draw.v[0] % len] = draw.v[1] % 2 == 0 ? BYTES[draw.v[2] % sizeof BYTES] : text[draw.v[2] % len];
            }
            taken += check(a, text, len);
            arena_reset(a, mark);
        }
    }
    assert_true(taken > 1000);
    arena_close(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(whole_files), cmocka_unit_test(damaged_files)};
    return cmocka_run_group_tests_name("tokenizer_scan", tests, NULL, NULL);
}
