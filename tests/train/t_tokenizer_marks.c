/* t_tokenizer_marks.c: which tokens have bytes in a range of the text: for any range, the marked tokens are a run whose text holds
 * the range's, and which no longer does without its first or last token; and the ids are those of the call without ranges. The
 * tokenizers are the embedded base's and those of the shared test data that are there. */
#include "tests/support/support.h"

#include "base/buf.h"
#include "train/tokenizer_load.h"

#include <stdio.h>
#include <string.h>

/* Every word occurs once, so that a text stands in one place only. Spaces of all kinds, characters of two to four bytes, ones that
 * NFC changes, special tokens of several models. */
static const char *const TEXTS[] = {
    "<|im_start|>assistant\nThe quick brown fox, 12345 times; jumped!\n\n  over\tlazy dogs<|im_end|>\n",
    "<s>[INST] Wer reitet so sp\xC3\xA4t durch Nacht und Wind? [/INST] Es ist der Vater \xF0\x9F\x90\x8E mit seinem Kind </s>",
    "<|start_header_id|>user<|end_header_id|>\n\ncombining: e\xCC\x81t\xC3\xA9 a\xCC\x8Angstrom \xE4\xBD\xA0\xE5\xA5\xBD\xEF\xBC\x81<|eot_id|>",
    "  leading and trailing   ",
    "<start_of_turn>model\nx = {\"key\": [1, 2.5, null]}  # \xE2\x96\x81mark<end_of_turn>\nnext",
};

static bool holds(const char *text, size_t len, const char *part, size_t n) {
    for (size_t i = 0; i + n <= len; i++)
        if (memcmp(text + i, part, n) == 0) return true;
    return false;
}

/* The text of tokens as it stands in the input: with no prefix taken off. */
static void text_of(Arena *a, const Tokenizer *t, const int32_t *ids, size_t n, Buf *out) {
    Err e;
    *out = (Buf){.arena = a};
    ASSERT_OK(buf_puts(out, "", &e), e);
    for (size_t i = 0; i < n; i++) {
        TokenText p = tokenizer_piece(t, ids[i], false, false);
        ASSERT_OK(buf_add(out, p.s, p.len, &e), e);
    }
}

static void check_range(Arena *a, const Tokenizer *t, const char *text, size_t begin, size_t end, bool exact) {
    Err e;
    int32_t *ids, *plain;
    uint8_t *marked;
    size_t n, n_plain, first = 0, last = 0, count = 0;
    TextRange range = {begin, end};
    Buf all, less, fewer;
    ASSERT_OK(tokenizer_encode_marked(t, a, text, strlen(text), TOKENIZER_SPECIAL, &range, 1, &ids, &marked, &n, &e),
              e);
    ASSERT_OK(tokenizer_encode(t, a, text, strlen(text), TOKENIZER_SPECIAL, &plain, &n_plain, &e), e);
    assert_int_equal(n, n_plain);
    assert_memory_equal(ids, plain, n * sizeof *ids);
    for (size_t i = 0; i < n; i++) {
        if (!marked[i]) continue;
        if (count++ == 0) first = i;
        last = i;
    }
    if (begin == end) {
        assert_int_equal(count, 0);
        return;
    }
    if (count != last - first + 1)
        fail_msg("bytes %zu to %zu of \"%s\": the marked tokens are no run", begin, end, text);
    if (!exact) return;
    if (count == 0) fail_msg("bytes %zu to %zu of \"%s\": no token is marked", begin, end, text);
    text_of(a, t, ids + first, count, &all);
    text_of(a, t, ids + first + 1, count - 1, &less);
    text_of(a, t, ids + first, count - 1, &fewer);
    const char *part = text + begin;
    size_t bytes = end - begin;
    if (!holds(all.data, all.len, part, bytes) || holds(less.data, less.len, part, bytes) ||
        holds(fewer.data, fewer.len, part, bytes))
        fail_msg("bytes %zu to %zu of \"%s\": the marked tokens are \"%s\"", begin, end, text, all.data);
}

/* Whether the tokens' texts put together are the text: else a text changed on the way, and the run alone is checked. */
static bool is_kept(Arena *a, const Tokenizer *t, const char *text) {
    Err e;
    int32_t *ids;
    size_t n;
    Buf all;
    ASSERT_OK(tokenizer_encode(t, a, text, strlen(text), TOKENIZER_SPECIAL, &ids, &n, &e), e);
    text_of(a, t, ids, n, &all);
    return holds(all.data, all.len, text, strlen(text));
}

/* Ranges that begin and end with a word: their text stands in one place. */
static void check_text(Arena *a, const Tokenizer *t, const char *text, size_t stride) {
    size_t len = strlen(text);
    bool exact = is_kept(a, t, text);
    ArenaMark mark = arena_mark(a);
    for (size_t begin = 0; begin <= len; begin += stride) {
        for (size_t end = begin; end <= len; end += 1 + (end - begin) / 3) {
            bool whole =
                (begin == 0 || text[begin - 1] == ' ') && end - begin >= 4 && ((unsigned char)text[end] & 0xC0) != 0x80;
            check_range(a, t, text, begin, end, exact && whole);
            arena_reset(a, mark);
        }
    }
    /* several ranges at once are what each gives */
    Err e;
    TextRange both[] = {{0, len / 5}, {len / 3, len / 2}, {len / 2, len / 2}, {len - 3, len}};
    int32_t *ids;
    uint8_t *marked, *one;
    size_t n;
    ASSERT_OK(
        tokenizer_encode_marked(t, a, text, len, TOKENIZER_SPECIAL | TOKENIZER_BOS, both, 4, &ids, &marked, &n, &e), e);
    for (int r = 0; r < 4; r++) {
        ASSERT_OK(tokenizer_encode_marked(t, a, text, len, TOKENIZER_SPECIAL | TOKENIZER_BOS, &both[r], 1, &ids, &one,
                                          &n, &e),
                  e);
        for (size_t i = 0; i < n; i++) {
            assert_true(marked[i] >= one[i]);
            one[i] = 0;
        }
    }
    arena_reset(a, mark);
}

static void check_tokenizer(const char *model, size_t stride) {
    Err e;
    Arena *a = support_arena();
    Tokenizer *t;
    ASSERT_OK(tokenizer_load(a, model, &t, &e), e);
    for (size_t i = 0; i < sizeof TEXTS / sizeof *TEXTS; i++) check_text(a, t, TEXTS[i], stride);
    tokenizer_close(t);
    arena_close(a);
}

static void embedded(void **state) {
    (void)state;
    check_tokenizer(LORAC_SOURCE_DIR "/data/tiny/tiny.gguf", 1);
}

static void shared(void **state) {
    static const char *const NAMES[] = {
        "llama2/ggml-vocab-llama-spm.gguf", "mistral_v0_1", "llama3", "qwen3", "gemma3", "deepseek_v3"};
    Arena *a = support_arena();
    int found = 0;
    (void)state;
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        Err e;
        char *relative;
        ASSERT_OK(arena_printf(a, &relative, &e, "tokenizers/%s", NAMES[i]), e);
        const char *path = support_shared(a, relative);
        if (path == NULL) continue;
        found++;
        check_tokenizer(path, 7);
    }
    arena_close(a);
    if (found == 0) skip();
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(embedded), cmocka_unit_test(shared)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
