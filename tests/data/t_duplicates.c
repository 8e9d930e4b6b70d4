/* Duplicates: found exactly, left out with the ledger saying so, never on both sides of a split; equal texts. */
#include "tests/data/rows_file.h"

#include "base/rng.h"
#include "data/duplicates.h"
#include "data/tokenizer.h"

#include <stdio.h>
#include <string.h>

static void load(const char *text, Dataset *d) {
    DataContext context = {.vocab = 1000};
    DataSource source = {.path = path, .type = "tokens"};
    Err e = {0};
    write_rows(text);
    ASSERT_OK(dataset_load(arena, &source, 1, &context, d, &e), e);
}

/* Rows {1, n, n + 1} for each number. */
static void make(const int *numbers, int n, Dataset *d) {
    Buf b = {.arena = arena};
    Err e;
    for (int i = 0; i < n; i++)
        ASSERT_OK(buf_printf(&b, &e, "{\"input_ids\": [1, %d, %d], \"labels\": [1, %d, %d]}\n", numbers[i],
                             numbers[i] + 1, numbers[i], numbers[i] + 1),
                  e);
    load(b.data, d);
}

static void ids_flags_and_labels_count(void **state) {
    (void)state;
    Dataset d;
    Err e = {0};
    static const int32_t want[] = {0, 1, 2, 0, 4, 2, 6, 0};
    int32_t first[8];
    int64_t copies;
    load("{\"input_ids\": [1, 2, 3], \"labels\": [1, 2, 3]}\n"
         "{\"input_ids\": [1, 2, 3], \"labels\": [-100, -100, 3]}\n"
         "{\"input_ids\": [1, 2, 3], \"labels\": [1, 2, 4]}\n"
         "{\"input_ids\": [1, 2, 3], \"labels\": [9, 2, 3]}\n" /* the first label is never used */
         "{\"input_ids\": [1, 2, 3, 4], \"labels\": [1, 2, 3, 4]}\n"
         "{\"labels\": [1, 2, 4], \"input_ids\": [1, 2, 3]}\n"
         "{\"input_ids\": [2, 1, 3], \"labels\": [2, 1, 3]}\n"
         "{\"input_ids\": [1, 2, 3], \"labels\": [1, 2, 3]}\n",
         &d);
    ASSERT_OK(duplicates_exact(&d, first, &copies, &e), e);
    assert_int_equal(copies, 3);
    assert_memory_equal(first, want, sizeof want);
}

static void dedupe_stands_in_the_ledger(void **state) {
    (void)state;
    static const int numbers[] = {10, 20, 10, 30, 20, 10};
    Dataset d;
    Err e = {0};
    Buf b = {.arena = arena};
    make(numbers, 6, &d);
    ASSERT_OK(dataset_dedupe(&d, &e), e);
    assert_int_equal(d.n_rows, 3);
    assert_int_equal(d.rows[2].line, 4);
    assert_int_equal(d.ledger[0].duplicates, 3);
    assert_int_equal(d.ledger[0].dropped, 9);
    assert_int_equal(d.ledger[0].read, 18);
    assert_int_equal(d.ledger[0].read, d.ledger[0].trained + d.ledger[0].masked + d.ledger[0].dropped);
    ASSERT_OK(dataset_print_ledger(&d, &b, &e), e);
    assert_non_null(
        strstr(b.data, "3 rows, 18 tokens read = 6 trained + 3 masked + 9 dropped, 3 duplicates left out\n"));
    Dataset train, val; /* what was dropped stays with the rows to train on */
    ASSERT_OK(dataset_split(arena, &d, NULL, 1, 1, &train, &val, &e), e);
    assert_int_equal(train.ledger[0].dropped, 9);
    assert_int_equal(val.ledger[0].dropped, 0);
    assert_int_equal(train.ledger[0].read + val.ledger[0].read, 18);
    ASSERT_OK(dataset_dedupe(&d, &e), e);
    assert_int_equal(d.ledger[0].dropped, 9);
}

/* Over many seeds and sizes: equal rows on one side, no more held out than asked for, each row on exactly one side. */
static void a_split_never_parts_duplicates(void **state) {
    (void)state;
    enum { ROWS = 40 };
    int numbers[ROWS], shorter = 0;
    Dataset d, train, val;
    Err e = {0};
    for (int i = 0; i < ROWS; i++)
        numbers[i] = i % 3 == 0 ? 500 + i % 4 : i * 2; /* four groups of 3 or 4, 26 single rows */
    make(numbers, ROWS, &d);
    ArenaMark mark = arena_mark(arena);
    for (uint64_t seed = 0; seed < 50; seed++) {
        for (int size = 1; size < ROWS; size += 6) {
            int side[1000] = {0};
            ASSERT_OK(dataset_split(arena, &d, NULL, size, seed, &train, &val, &e), e);
            assert_int_equal(train.n_rows + val.n_rows, ROWS);
            assert_in_range(val.n_rows, 1, size);
            shorter += val.n_rows < size;
            for (int64_t i = 0; i < train.n_rows; i++) side[numbers[train.rows[i].number]] |= 1;
            for (int64_t i = 0; i < val.n_rows; i++) side[numbers[val.rows[i].number]] |= 2;
            for (int i = 0; i < ROWS; i++) assert_in_range(side[numbers[i]], 1, 2);
            Dataset again, val2;
            ASSERT_OK(dataset_split(arena, &d, NULL, size, seed, &again, &val2, &e), e);
            assert_int_equal(val2.n_rows, val.n_rows);
            assert_memory_equal(val2.rows, val.rows, (size_t)val.n_rows * sizeof *val.rows);
            arena_reset(arena, mark);
        }
    }
    assert_true(shorter < 20); /* single rows fill what groups leave */
    static const int pairs[] = {10, 10, 20, 20};
    make(pairs, 4, &d);
    ASSERT_FAILS(dataset_split(arena, &d, NULL, 1, 1, &train, &val, &e), e, ERR_CONFIG,
                 "every row has more duplicates");
    ASSERT_OK(dataset_split(arena, &d, NULL, 3, 1, &train, &val, &e), e);
    assert_int_equal(val.n_rows, 2);
}

/* Without duplicates the rows held out are the first of a plain Fisher-Yates shuffle, as they always were: a run can be resumed
 * and compared with an older one. */
static void without_duplicates_it_is_a_plain_shuffle(void **state) {
    (void)state;
    enum { ROWS = 100, HELD = 8 };
    int numbers[ROWS], order[ROWS];
    Dataset d, train, val;
    Err e = {0};
    for (int i = 0; i < ROWS; i++) numbers[i] = i + 2;
    make(numbers, ROWS, &d);
    for (uint64_t seed = 40; seed < 60; seed++) {
        bool held[ROWS] = {false};
        uint64_t key = rng_mix(rng_mix(seed, RNG_SHUFFLE), UINT64_MAX);
        for (int i = 0; i < ROWS; i++) order[i] = i;
        for (int i = 0; i < HELD; i++) {
            Philox p = philox4x32(key, (uint64_t)i, 0);
            int j = i + (int)(((uint64_t)p.v[0] << 32 | p.v[1]) % (uint64_t)(ROWS - i)), row = order[j];
            order[j] = order[i];
            held[order[i] = row] = true;
        }
        ASSERT_OK(dataset_split(arena, &d, NULL, HELD, seed, &train, &val, &e), e);
        assert_int_equal(val.n_rows, HELD);
        for (int i = 0; i < HELD; i++) assert_true(held[val.rows[i].number]);
    }
}

static void between_two(void **state) {
    (void)state;
    static const int a[] = {10, 20, 30, 20}, b[] = {40, 20, 50, 10, 20}, c[] = {60};
    Dataset train, tests, others;
    Overlap o;
    Err e = {0};
    make(a, 4, &train);
    make(b, 5, &tests);
    make(c, 1, &others);
    ASSERT_OK(duplicates_between(&train, &tests, &o, &e), e);
    assert_int_equal(o.rows, 3);
    assert_int_equal(o.test_row, 1);
    assert_int_equal(o.train_row, 1);
    ASSERT_OK(duplicates_between(&train, &others, &o, &e), e);
    assert_int_equal(o.rows, 0);
    assert_int_equal(o.test_row, -1);
}

/* They count as equal, and a split keeps them on one side. */
static void equal_texts(void **state) {
    (void)state;
    static const char *const WORDS[] = {"<e>",  "Stra",     "\xC3\x9F", "e",        "ss",        " ",
                                        "\n\t", "\xC2\xA0", "STRA",     "\xC3\x89", "e\xCC\x81", "x"};
    enum { WORDS_N = sizeof WORDS / sizeof WORDS[0] };
    static const uint8_t KINDS[WORDS_N] = {[0] = TOKEN_CONTROL, [1 ... WORDS_N - 1] = TOKEN_NORMAL};
    static const int32_t want[] = {0, 0, 0, 3, 3, 5, 0};
    TokenText texts[WORDS_N];
    for (int i = 0; i < WORDS_N; i++) texts[i] = (TokenText){WORDS[i], strlen(WORDS[i])};
    TokenizerSpec spec = {.name = "words",
                          .n_tokens = WORDS_N,
                          .tokens = texts,
                          .kinds = KINDS,
                          .decode = DECODE_PIECES,
                          .bos = -1,
                          .eos = 0,
                          .unk = -1,
                          .pad = -1};
    Tokenizer *t;
    Dataset d;
    Err e = {0};
    int32_t first[7];
    int64_t copies;
    ASSERT_OK(tokenizer_open(arena, &spec, &t, &e), e);
    load(
        "{\"input_ids\": [1, 2, 3, 5, 11], \"labels\": [1, 2, 3, 5, 11]}\n"                   /* "Strasse x" */
        "{\"input_ids\": [6, 8, 4, 3, 6, 7, 11, 5], \"labels\": [6, 8, 4, 3, 6, 7, 11, 5]}\n" /* other case, other spaces */
        "{\"input_ids\": [1, 4, 3, 7, 11], \"labels\": [-100, 4, 3, 7, 11]}\n"                /* other tokens trained */
        "{\"input_ids\": [9, 11], \"labels\": [9, 11]}\n"                                     /* composed */
        "{\"input_ids\": [10, 11], \"labels\": [10, 11]}\n"                                   /* decomposed */
        "{\"input_ids\": [3, 11], \"labels\": [3, 11]}\n" /* no accent: another text */
        "{\"input_ids\": [1, 2, 3, 5, 11], \"labels\": [1, 2, 3, 5, 11]}\n",
        &d);
    ASSERT_OK(duplicates_text(&d, t, first, &copies, &e), e);
    assert_memory_equal(first, want, sizeof want);
    assert_int_equal(copies, 4);
    ASSERT_OK(duplicates_exact(&d, first, &copies, &e), e);
    assert_int_equal(copies, 1);
    static const int GROUP[] = {0, 0, 0, 1, 1, 2, 0};
    for (uint64_t seed = 0; seed < 20; seed++) {
        Dataset train, val;
        int side[3] = {0};
        ASSERT_OK(dataset_split(arena, &d, t, 3, seed, &train, &val, &e), e);
        assert_in_range(val.n_rows, 1, 3);
        for (int64_t i = 0; i < train.n_rows; i++) side[GROUP[train.rows[i].number]] |= 1;
        for (int64_t i = 0; i < val.n_rows; i++) side[GROUP[val.rows[i].number]] |= 2;
        for (int g = 0; g < 3; g++) assert_in_range(side[g], 1, 2);
    }
    tokenizer_close(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(ids_flags_and_labels_count, setup, teardown),
        cmocka_unit_test_setup_teardown(dedupe_stands_in_the_ledger, setup, teardown),
        cmocka_unit_test_setup_teardown(a_split_never_parts_duplicates, setup, teardown),
        cmocka_unit_test_setup_teardown(without_duplicates_it_is_a_plain_shuffle, setup, teardown),
        cmocka_unit_test_setup_teardown(between_two, setup, teardown),
        cmocka_unit_test_setup_teardown(equal_texts, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
