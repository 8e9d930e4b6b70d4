/* t_tokenizer_golden.c: ids and decoded text against Hugging Face `tokenizers` (tests/golden_tok/tokenizers.jsonl), for the tokenizers
 * in the folder of shared test data; skips without it. */
#include "tests/support/support.h"

#include "base/json.h"
#include "train/tokenizer_load.h"

#include <stdio.h>
#include <string.h>

static void same_ids(const Json *want, const int32_t *ids, size_t n, const char *where) {
    bool same = want->n == n;
    for (size_t i = 0; same && i < n; i++) same = want->list.items[i].integer == ids[i];
    if (!same) fail_msg("%s: other ids than Hugging Face's (%zu, expected %u)", where, n, want->n);
}

static void check_row(Arena *a, const Tokenizer *t, const Json *row, int line) {
    Err e = {0};
    char where[128];
    int32_t *ids = NULL;
    size_t n = 0, len = 0;
    char *text = NULL;
    JsonString s = json_get(row, "text")->string, decoded = json_get(row, "decoded")->string;
    snprintf(where, sizeof where, "line %d (%s)", line, json_get(row, "tokenizer")->string.s);
    ASSERT_OK(tokenizer_encode(t, a, s.s, s.len, TOKENIZER_SPECIAL, &ids, &n, &e), e);
    same_ids(json_get(row, "ids"), ids, n, where);
    ASSERT_OK(tokenizer_decode(t, a, ids, n, false, &text, &len, &e), e);
    if (len != decoded.len || memcmp(text, decoded.s, len) != 0) fail_msg("%s: decoded otherwise", where);
    ASSERT_OK(tokenizer_encode(t, a, s.s, s.len, 0, &ids, &n, &e), e);
    same_ids(json_get(row, "plain"), ids, n, where);
}

static void t_golden(void **state) {
    (void)state;
    Arena *a = support_arena();
    Err e = {0};
    FileMap m = {0};
    Tokenizer *t = NULL;
    char open_name[64] = "";
    int line = 0, rows = 0;
    ASSERT_OK(file_map(LORAC_SOURCE_DIR "/tests/golden_tok/tokenizers.jsonl", &m, &e), e);
    const char *text = (const char *)m.data;
    for (size_t at = 0; at < m.size;) {
        const char *end = memchr(text + at, '\n', m.size - at);
        size_t n = end == NULL ? m.size - at : (size_t)(end - text) - at;
        Json *row = NULL;
        ASSERT_OK(json_parse_line(a, "tokenizers.jsonl", ++line, text + at, n, &row, &e), e);
        at += n + 1;
        const Json *name = json_get(row, "tokenizer");
        if (name == NULL) continue;
        if (strcmp(open_name, name->string.s) != 0) {
            char relative[128];
            snprintf(relative, sizeof relative, "tokenizers/%s", name->string.s);
            char *folder = support_shared(a, relative);
            if (folder == NULL) {
                print_message("no ../shared/%s (or ${LORAC_SHARED}): skipped\n", relative);
                file_unmap(&m);
                arena_close(a);
                skip();
            }
            tokenizer_close(t);
            ASSERT_OK(tokenizer_load(a, folder, &t, &e), e);
            snprintf(open_name, sizeof open_name, "%s", name->string.s);
        }
        check_row(a, t, row, line);
        rows++;
    }
    assert_true(rows >= 200);
    tokenizer_close(t);
    file_unmap(&m);
    arena_close(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(t_golden)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
