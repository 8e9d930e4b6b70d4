/* t_tokenizer_golden.c: ids and decoded texts against Hugging Face `tokenizers` (tests/golden_tok, made by its script).
 *
 * The tokenizers are those of the shared test data, and SmolLM2's GGUF file (${LORAC_SMOLLM2}, or where demo.sh keeps it);
 * what is absent is skipped. To see ids instead of hashes, give the text to `lorac tokenize` and to the script. */
#include "tests/support/support.h"

#include "base/hash.h"
#include "base/json.h"
#include "train/tokenizer_load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DIGITS = 12, RANDOM_IDS = 12, SMALL_FILE = 1 << 20 };

typedef struct Golden {
    Arena *a;
    const char *name;
    const Tokenizer *t;
    TokenizerCache *cache;
    const char *at; /* in the expected hashes */
    int line;
} Golden;

/* Compares one text with the next hash of the line. */
static void check(Golden *g, const char *what, const char *text, size_t len) {
    char hex[SHA256_HEX_BYTES];
    sha256_hex(text, len, hex);
    if (strncmp(g->at, hex, DIGITS) != 0)
        fail_msg("%s: text %d: other %s than Hugging Face's: %.*s", g->name, g->line, what,
                 (int)(len < 200 ? len : 200), text);
    g->at += DIGITS + 1;
}

static void check_ids(Golden *g, const char *what, const int32_t *ids, size_t n) {
    Err e;
    Buf b = {.arena = g->a};
    ASSERT_OK(buf_puts(&b, "", &e), e);
    for (size_t i = 0; i < n; i++) ASSERT_OK(buf_printf(&b, &e, i > 0 ? ",%d" : "%d", ids[i]), e);
    check(g, what, b.data, b.len);
}

static void check_decoded(Golden *g, const char *what, const int32_t *ids, size_t n, bool skip_special) {
    Err e;
    char *text = NULL;
    size_t len = 0;
    ASSERT_OK(tokenizer_decode(g->t, g->a, ids, n, skip_special, &text, &len, &e), e);
    check(g, what, text, len);
}

/* A cache changes nothing: ids and marks of a call through it, the first time and when it knows the pieces. */
static void check_cached(Golden *g, JsonString s, const int32_t *ids, size_t n) {
    Err e;
    TextRange middle = {s.len / 3, s.len - s.len / 3};
    int32_t *marked_ids, *got;
    uint8_t *marked, *got_marked;
    size_t n_got;
    ASSERT_OK(tokenizer_encode_marked(g->t, g->a, s.s, s.len, TOKENIZER_SPECIAL, &middle, 1, &marked_ids, &marked,
                                      &n_got, &e),
              e);
    for (int i = 0; i < 2; i++) {
        ASSERT_OK(tokenizer_cache_encode(g->cache, g->a, s.s, s.len, TOKENIZER_SPECIAL, &got, &n_got, &e), e);
        assert_int_equal(n_got, n);
        assert_memory_equal(got, ids, n * sizeof *ids);
        ASSERT_OK(tokenizer_cache_encode_marked(g->cache, g->a, s.s, s.len, TOKENIZER_SPECIAL, &middle, 1, &got,
                                                &got_marked, &n_got, &e),
                  e);
        assert_int_equal(n_got, n);
        assert_memory_equal(got, ids, n * sizeof *ids);
        assert_memory_equal(got_marked, marked, n);
    }
    ASSERT_FAILS(tokenizer_cache_encode(g->cache, g->a, "a\xFF", 2, 0, &got, &n_got, &e), e, ERR_DATA, "invalid UTF-8");
}

static void check_text(Golden *g, JsonString s) {
    Err e;
    int32_t *ids = NULL, *plain = NULL, drawn[RANDOM_IDS];
    size_t n = 0, n_plain = 0;
    uint64_t x = (uint64_t)g->line;
    ASSERT_OK(tokenizer_encode(g->t, g->a, s.s, s.len, TOKENIZER_SPECIAL, &ids, &n, &e), e);
    ASSERT_OK(tokenizer_encode(g->t, g->a, s.s, s.len, 0, &plain, &n_plain, &e), e);
    for (int i = 0; i < RANDOM_IDS; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        drawn[i] = (int32_t)((x >> 33) % tokenizer_vocab_size(g->t));
    }
    check_ids(g, "ids", ids, n);
    check_cached(g, s, ids, n);
    check_ids(g, "ids without special tokens", plain, n_plain);
    check_decoded(g, "decoded text", ids, n, false);
    check_decoded(g, "decoded text without special tokens", ids, n, true);
    check_decoded(g, "text of random ids", drawn, RANDOM_IDS, false);
}

static char *read_golden(Arena *a, const char *name, const char *suffix, size_t *len) {
    Err e;
    char *path = NULL, *text = NULL;
    ASSERT_OK(arena_printf(a, &path, &e, LORAC_SOURCE_DIR "/tests/golden_tok/%s%s", name, suffix), e);
    ASSERT_OK(file_read(a, path, SMALL_FILE, &text, len, &e), e);
    return text;
}

static void check_tokenizer(const char *name, const char *model) {
    Arena *a = support_arena(), *scratch = support_arena();
    Err e;
    Tokenizer *t = NULL;
    size_t n_texts = 0, n_hashes = 0;
    if (model == NULL) {
        arena_close(scratch);
        arena_close(a);
        print_message("no tokenizer %s: skipped\n", name);
        skip();
    }
    ASSERT_OK(tokenizer_load(a, model, &t, &e), e);
    const char *texts = read_golden(a, "texts", ".jsonl", &n_texts), *hashes = read_golden(a, name, ".txt", &n_hashes);
    Golden g = {.a = scratch, .name = name, .t = t, .at = strchr(hashes, '\n') + 1};
    ASSERT_OK(tokenizer_cache_open(&g.cache, t, &e), e);
    ArenaMark start = arena_mark(scratch);
    for (const char *s = texts; s < texts + n_texts; g.line++) {
        Json *v = NULL;
        size_t n = strcspn(s, "\n");
        ASSERT_OK(json_parse(scratch, "texts.jsonl", s, n, &v, &e), e);
        check_text(&g, v->string);
        arena_reset(scratch, start);
        s += n + 1;
    }
    assert_true(g.line >= 400);
    assert_ptr_equal(g.at, hashes + n_hashes);
    tokenizer_cache_close(g.cache);
    tokenizer_close(t);
    arena_close(scratch);
    arena_close(a);
}

static void check_shared(const char *name) {
    Err e;
    Arena *a = support_arena();
    char *relative = NULL;
    ASSERT_OK(arena_printf(a, &relative, &e, "tokenizers/%s", name), e);
    check_tokenizer(name, support_shared(a, relative));
    arena_close(a);
}

#define SHARED(name)                                                                                                   \
    static void name(void **state) {                                                                                   \
        (void)state;                                                                                                   \
        check_shared(#name);                                                                                           \
    }
SHARED(mistral_v0_1)
SHARED(llama3)
SHARED(llama3_1)
SHARED(qwen3)
SHARED(gemma3)
SHARED(deepseek_v3)

/* SmolLM2's file, or NULL. */
static const char *find_smollm2(void) {
    const char *path = getenv("LORAC_SMOLLM2");
    if (path == NULL) path = LORAC_SOURCE_DIR "/.cache/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";
    return path_exists(path) ? path : NULL;
}

static void smollm2(void **state) {
    (void)state;
    check_tokenizer("smollm2", find_smollm2());
}

static bool found_any(void) {
    Arena *a = support_arena();
    bool found = find_smollm2() != NULL || support_shared(a, "tokenizers") != NULL;
    arena_close(a);
    return found;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(mistral_v0_1), cmocka_unit_test(llama3),
                                       cmocka_unit_test(llama3_1),     cmocka_unit_test(qwen3),
                                       cmocka_unit_test(gemma3),       cmocka_unit_test(deepseek_v3),
                                       cmocka_unit_test(smollm2)};
    if (!found_any()) {
        puts("skipped: neither SmolLM2 (./demo.sh fetches it) nor the shared test data");
        return SUPPORT_SKIPPED;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
