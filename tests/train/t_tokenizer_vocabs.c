/* t_tokenizer_vocabs.c: llama.cpp's own tokenizer tests on vocabulary-only GGUF files of real models.
 *
 * The files are found in ${LORAC_VOCABS}, or .cache/vocabs of the repository, filled by tests/data/fetch_vocabs.sh; the
 * Llama 2 one also among the shared test data. Each NAME.gguf.inp holds texts between marker lines, NAME.gguf.out the ids of
 * each text on a line, without BOS and with special tokens as plain text. */
#include "tests/support/support.h"
#include "train/tokenizer_load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char MARKER[] = "\n__ggml_vocab_test__\n";

/* The files of a vocabulary, or NULL. */
static char *find_vocab(Arena *a, const char *name) {
    Err e;
    char *file = NULL, *path = NULL;
    const char *folder = getenv("LORAC_VOCABS");
    ASSERT_OK(arena_printf(a, &file, &e, "ggml-vocab-%s.gguf", name), e);
    ASSERT_OK(path_join(a, folder != NULL ? folder : LORAC_SOURCE_DIR "/.cache/vocabs", file, &path, &e), e);
    if (path_exists(path)) return path;
    if (strcmp(name, "llama-spm") == 0) return support_shared(a, "tokenizers/llama2/ggml-vocab-llama-spm.gguf");
    return NULL;
}

static char *read_all(Arena *a, const char *path, const char *suffix) {
    Err e;
    char *full = NULL, *text = NULL;
    size_t len = 0;
    ASSERT_OK(arena_printf(a, &full, &e, "%s%s", path, suffix), e);
    ASSERT_OK(file_read(a, full, 1 << 20, &text, &len, &e), e);
    return text;
}

/* Compares the ids with a line of numbers; returns where the line ends. */
static char *check_line(const char *name, int line, const int32_t *ids, size_t n, char *expected) {
    for (size_t i = 0; i < n; i++) {
        char *end = NULL;
        long want = strtol(expected, &end, 10);
        if (end == expected || memchr(expected, '\n', (size_t)(end - expected)) != NULL || want != ids[i])
            fail_msg("%s: text %d: id %zu is %d, expected %ld", name, line, i, ids[i], want);
        expected = end;
    }
    while (*expected == ' ') expected++;
    if (*expected != '\n') fail_msg("%s: text %d: %zu ids, expected more", name, line, n);
    return expected + 1;
}

static void check_vocab(const char *name) {
    Err e;
    Arena *a = support_arena();
    Tokenizer *t = NULL;
    char *path = find_vocab(a, name);
    if (path == NULL) {
        arena_close(a);
        print_message("no vocabulary %s: run tests/data/fetch_vocabs.sh\n", name);
        skip();
    }
    ASSERT_OK(tokenizer_load(a, path, &t, &e), e);
    char *in = read_all(a, path, ".inp"), *out = read_all(a, path, ".out");
    int line = 0;
    for (bool more = true; more; line++) {
        char *end = strstr(in, MARKER);
        size_t len = end != NULL ? (size_t)(end - in) : strlen(in), n = 0;
        int32_t *ids = NULL;
        ASSERT_OK(tokenizer_encode(t, a, in, len, 0, &ids, &n, &e), e);
        more = end != NULL && end[strlen(MARKER)] != '\0';
        out = check_line(name, line, ids, n, out);
        if (more) in = end + strlen(MARKER);
    }
    assert_true(line > 40);
    assert_true(*out == '\0');
    tokenizer_close(t);
    arena_close(a);
}

#define VOCABS(X)                                                                                                      \
    X(llama_spm, "llama-spm")                                                                                          \
    X(llama_bpe, "llama-bpe")                                                                                          \
    X(qwen2, "qwen2")                                                                                                  \
    X(deepseek_llm, "deepseek-llm")                                                                                    \
    X(deepseek_coder, "deepseek-coder")                                                                                \
    X(phi_3, "phi-3")                                                                                                  \
    X(gpt_2, "gpt-2")                                                                                                  \
    X(starcoder, "starcoder")                                                                                          \
    X(refact, "refact")                                                                                                \
    X(command_r, "command-r")                                                                                          \
    X(falcon, "falcon")                                                                                                \
    X(mpt, "mpt")
#define X(id, name)                                                                                                    \
    static void id(void **state) {                                                                                     \
        (void)state;                                                                                                   \
        check_vocab(name);                                                                                             \
    }
VOCABS(X)
#undef X

/* Whether there is any vocabulary to test. */
static bool found_any(void) {
    static const char *const NAMES[] = {
#define X(id, name) name,
        VOCABS(X)
#undef X
    };
    Arena *a = support_arena();
    bool found = false;
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) found = found || find_vocab(a, NAMES[i]) != NULL;
    arena_close(a);
    return found;
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define X(id, name) cmocka_unit_test(id),
        VOCABS(X)
#undef X
    };
    if (!found_any()) {
        puts("skipped: no vocabularies; run tests/data/fetch_vocabs.sh (68 MB from the Python package index)");
        return SUPPORT_SKIPPED;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
