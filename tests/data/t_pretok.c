/* t_pretok.c: the tables of states (data/pretok_dfa.h) divide every text as PCRE2 does.
 *
 * For each pattern random texts are divided by both and every piece is compared: of characters near which the patterns decide
 * (letters of "'ll", spaces, newlines, digits, marks, several scripts), in runs and mixed, and of any code points. The patterns are
 * those of tokenizer.ggml.pre, and others made to use each part of the syntax. */
#include "tests/support/support.h"

#include "base/rng.h"
#include "base/utf8.h"
#include "data/pretok.h"

#include <stdio.h>
#include <string.h>

enum { TEXTS = 3000, CHARS_MAX = 60 };

static const uint32_t NEAR[] = {' ',   ' ',    '\n',   '\r',   '\t',    0x0B,   0xA0,   0x2003, 0x3000, '\'',
                                's',   'S',    't',    'r',    'e',     'L',    'l',    'v',    'm',    'd',
                                0x17F, 0x212A, 'a',    'Z',    'q',     '0',    '7',    0x664,  0xBD,   0x2167,
                                '.',   ',',    '!',    '(',    '/',     '$',    '_',    '|',    0x2026, 0xE9,
                                0xC5,  0x1C5,  0x2B0,  0x300,  0x327,   0x94D,  0x4E2D, 0x3042, 0x30A2, 0xAC00,
                                0x645, 0x5D0,  0xFF0C, 0x3002, 0x1F600, 0x200D, 0xFE0F, 0x378,  0x2581, 0};
enum { N_NEAR = sizeof NEAR / sizeof NEAR[0] };

typedef struct Draw {
    uint64_t n;
} Draw;

static uint32_t draw(Draw *d, uint32_t below) { return philox4x32(11, d->n++, 3).v[0] % below; }

static size_t random_text(Draw *d, char *out) {
    size_t len = 0;
    uint32_t n = draw(d, CHARS_MAX), style = draw(d, 4), few = 1 + draw(d, 8), first = draw(d, N_NEAR);
    for (uint32_t i = 0; i < n;) {
        uint32_t cp = style == 0   ? draw(d, 0x110000)
                      : style == 1 ? NEAR[(first + draw(d, few)) % N_NEAR]
                                   : NEAR[draw(d, N_NEAR)];
        uint32_t run = draw(d, 4) == 0 ? 1 + draw(d, 5) : 1;
        if (cp >= 0xD800 && cp < 0xE000) cp = 'x';
        for (; run > 0 && i < n; run--, i++) len += (size_t)utf8_encode(cp, out + len);
    }
    return len;
}

static void check(const char *name, const PiecesStep *steps, size_t n_steps, int tables) {
    Arena *a = support_arena();
    Pretok *p[2];
    PretokRun *r[2];
    Draw d = {0};
    Err e;
    char text[4 * CHARS_MAX];
    for (int k = 0; k < 2; k++) {
        ASSERT_OK(pretok_compile_with(a, steps, n_steps, k == 0, &p[k], &e), e);
        ASSERT_OK(pretok_begin(p[k], a, &r[k], &e), e);
    }
    if (pretok_tables(p[0]) != tables) fail_msg("%s: %d tables, expected %d", name, pretok_tables(p[0]), tables);
    assert_int_equal(pretok_tables(p[1]), 0);
    for (int i = 0; i < TEXTS; i++) {
        const Piece *x, *y;
        size_t n[2], len = random_text(&d, text);
        ASSERT_OK(pretok_split(r[0], text, len, &x, &n[0], &e), e);
        ASSERT_OK(pretok_split(r[1], text, len, &y, &n[1], &e), e);
        if (n[0] != n[1] || (n[0] > 0 && memcmp(x, y, n[0] * sizeof *x) != 0))
            fail_msg("%s: text %d is divided otherwise: %zu and %zu pieces of \"%.*s\"", name, i, n[0], n[1], (int)len,
                     text);
    }
    pretok_close(p[0]);
    pretok_close(p[1]);
    arena_close(a);
}

static void known_patterns(void **state) {
    /* A name of each row of tokenizer_pre.c, its steps, and how many of them have a table. */
    static const struct {
        const char *name;
        int tables;
    } ROWS[] = {{"llama3", 1},      {"smaug-bpe", 1},    {"qwen2", 1},          {"stablelm2", 1},
                {"deepseek-v3", 3}, {"deepseek-llm", 5}, {"deepseek-coder", 5}, {"tekken", 1},
                {"gpt-4o", 1},      {"smollm", 2},       {"gpt-2", 1},          {"falcon", 3},
                {"default", 4},     {"bloom", 1},        {"viking", 2},         {"bailingmoe", 0}};
    (void)state;
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        TokenizerSpec spec = {0};
        Err e;
        ASSERT_OK(tokenizer_spec_pre(&spec, ROWS[i].name, &e), e);
        check(ROWS[i].name, spec.pieces, spec.n_pieces, ROWS[i].tables);
    }
}

static void syntax(void **state) {
    static const struct {
        const char *pattern;
        int tables;
    } ROWS[] = {{"a", 1},
                {"a|as|ass", 1},
                {"ass|as|a", 1},
                {"s*", 1},
                {"s*?", 1},
                {"s+?t", 1},
                {"s??t", 1},
                {"(?:st|s)(?:ts|t)?", 1},
                {"(?:s|st)(?:ts|t)?", 1},
                {"[sS]{2}", 1},
                {"[sS]{2,}", 1},
                {"[sS]{,3}", 1},
                {"[sS]{2,4}", 1},
                {"[sS]{2,4}?l", 1},
                {"(?:sl|l){2,3}s", 1},
                {"(?:(?:s|l)+ ?)*t", 1},
                {"s(?=t)|t", 1},
                {"s(?!t)|[st]l", 1},
                {"(?=s)[st]+", 1},
                {"(?!s)\\p{L}+", 1},
                {"\\s+$|\\s", 1},
                {"\\s+$", 1},
                {"$", 1},
                {"(?i:le|sr)+.", 1},
                {"(?i:'[slt])+.", 1},
                {".+", 1},
                {"\\s+(?!\\S)|\\s+", 1},
                {"|s", 1},
                {"(?:s|)t", 1},
                {"s(?=t)(?=t)", 0}, /* two look-aheads, one inside of the other's continuation */
                {"(?=st)s", 0},
                {"(?<=s)t", 0},
                {"(?<!s)t", 0},
                {"s++t", 0},
                {"(?>s+)t", 0},
                {"(?:s*)*t", 0},
                {"(?:|s)+t", 0},
                {"(?:s?){3}t", 0},
                {"(?:s{30}l{30}){40}", 0}, /* too long for a program */
                {"[st]*s[st]{12}", 0}};    /* too many states */
    (void)state;
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++)
        for (int behavior = SPLIT_ISOLATED; behavior <= SPLIT_CONTIGUOUS; behavior++) {
            const char *s = ROWS[i].pattern;
            PiecesStep step = {.kind = PIECES_SPLIT,
                               .behavior = (SplitBehavior)behavior,
                               .pattern = {s, strlen(s)},
                               .invert = behavior % 2 == 1};
            check(s, &step, 1, ROWS[i].tables);
        }
}

/* A pattern that reads a long run again from each place is stopped, not run for hours. */
static void quadratic(void **state) {
    enum { N = 1 << 20 };
    static const char PATTERN[] = "s+t";
    PiecesStep step = {.kind = PIECES_SPLIT, .pattern = {PATTERN, sizeof PATTERN - 1}};
    Arena *a = support_arena();
    Pretok *p;
    PretokRun *r;
    const Piece *pieces;
    char *text;
    size_t n;
    Err e;
    (void)state;
    ASSERT_OK(ARENA_NEW(a, N, text, &e), e);
    memset(text, 's', N);
    ASSERT_OK(pretok_compile(a, &step, 1, &p, &e), e);
    ASSERT_OK(pretok_begin(p, a, &r, &e), e);
    ASSERT_FAILS(pretok_split(r, text, N, &pieces, &n, &e), e, ERR_DATA, "takes too long on this text");
    ASSERT_OK(pretok_split(r, "sst", 3, &pieces, &n, &e), e);
    assert_int_equal(n, 1);
    pretok_close(p);
    arena_close(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(known_patterns), cmocka_unit_test(syntax),
                                       cmocka_unit_test(quadratic)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
