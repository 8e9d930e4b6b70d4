/* max_rows, weight and repeat: how many rows of each entry, which, in what order; a function of the seed. */
#include "tests/data/rows_file.h"

#include "data/mixing.h"

#include <string.h>

enum { FIRST = 20, SECOND = 7, THIRD = 3 };

static char *file_of(const char *name, int rows) {
    Buf b = {.arena = arena};
    Err e;
    char *file = support_path(arena, folder, name);
    for (int i = 0; i < rows; i++)
        ASSERT_OK(buf_puts(&b, "{\"input_ids\": [1, 2, 3], \"labels\": [1, -100, 3]}\n", &e), e);
    support_write(file, b.data, b.len);
    return file;
}

/* Two entries: a folder's two files of FIRST and SECOND rows, and a file of THIRD. */
static void load(Dataset *d) {
    Err e = {0};
    DataContext context = {.vocab = 10};
    ASSERT_OK(make_folders(support_path(arena, folder, "f"), &e), e);
    file_of("f/a", FIRST);
    file_of("f/b", SECOND);
    DataSource sources[] = {{.path = support_path(arena, folder, "f")}, {.path = file_of("c", THIRD)}};
    ASSERT_OK(dataset_load(arena, sources, 2, &context, d, &e), e);
}

static void weights(void **state) {
    (void)state;
    Dataset d;
    Err e = {0};
    double weight[] = {1.0, 1.0};
    load(&d);
    const DataRow *before = d.rows;
    ASSERT_OK(dataset_mix(arena, &d, weight, 1, &e), e);
    assert_ptr_equal(d.rows, before); /* nothing was touched */
    weight[0] = 2.5;
    weight[1] = 2.0;
    ASSERT_OK(dataset_mix(arena, &d, weight, 1, &e), e);
    enum { ENTRY = FIRST + SECOND, SAMPLED = 14 }; /* round(2.5 * 27) = 68 = 2 * 27 + 14 */
    assert_int_equal(d.n_rows, 2 * ENTRY + SAMPLED + 2 * THIRD);
    for (int i = 0; i < 2 * ENTRY; i++) assert_int_equal(d.rows[i].number, i % ENTRY);
    for (int i = 2 * ENTRY; i < 2 * ENTRY + SAMPLED; i++) {
        assert_in_range(d.rows[i].number, 0, ENTRY - 1);
        if (i > 2 * ENTRY) assert_true(d.rows[i].number > d.rows[i - 1].number); /* file order, no row twice */
    }
    for (int i = 0; i < 2 * THIRD; i++) assert_int_equal(d.rows[2 * ENTRY + SAMPLED + i].number, ENTRY + i % THIRD);
    assert_int_equal(d.ledger[0].rows + d.ledger[1].rows, 68);
    assert_int_equal(d.ledger[2].rows, 6);
    assert_int_equal(d.ledger[2].read, 18);
    assert_int_equal(d.ledger[2].trained, 6);
    assert_int_equal(d.ledger[2].masked, 12);
}

static void small_weights_and_errors(void **state) {
    (void)state;
    Dataset d;
    Err e = {0};
    double weight[] = {0.1, 0.5}; /* 2.7 -> 3 rows; 1.5 -> 2 */
    load(&d);
    ASSERT_OK(dataset_mix(arena, &d, weight, 7, &e), e);
    assert_int_equal(d.n_rows, 5);
    assert_int_equal(d.rows[2].source < 2 && d.rows[3].source == 2, 1);
    load(&d);
    weight[1] = 0.1;
    ASSERT_FAILS(dataset_mix(arena, &d, weight, 7, &e), e, ERR_CONFIG, "/c: weight 0.1 of 3 rows leaves none");
    weight[1] = 1e9;
    ASSERT_FAILS(dataset_mix(arena, &d, weight, 7, &e), e, ERR_CONFIG, "more than 2147483647 rows");
    assert_int_equal(d.n_rows, FIRST + SECOND + THIRD);
}

/* Numbers of the rows as one text. */
static char *numbers_of(const Dataset *d) {
    Buf b = {.arena = arena};
    Err e;
    for (int64_t i = 0; i < d->n_rows; i++) ASSERT_OK(buf_printf(&b, &e, "%d ", d->rows[i].number), e);
    return b.data;
}

static void max_rows(void **state) {
    (void)state;
    Dataset d;
    Err e = {0};
    int64_t most[] = {5, 0};
    load(&d);
    ASSERT_OK(dataset_sample(&d, most, 3, &e), e);
    assert_int_equal(d.n_rows, 5 + THIRD);
    for (int i = 1; i < 5; i++) assert_true(d.rows[i].number > d.rows[i - 1].number);
    assert_int_equal(d.ledger[0].read + d.ledger[1].read, 15);
    assert_int_equal(d.ledger[0].dropped, 0); /* they count as if the file had only these */
    const char *three = numbers_of(&d);
    load(&d);
    ASSERT_OK(dataset_sample(&d, most, 3, &e), e);
    assert_string_equal(numbers_of(&d), three);
    int different = 0;
    for (uint64_t seed = 10; seed < 20; seed++) {
        load(&d);
        ASSERT_OK(dataset_sample(&d, most, seed, &e), e);
        different += strcmp(numbers_of(&d), three) != 0;
    }
    assert_in_range(different, 9, 10);
    load(&d);
    most[0] = 1000;
    most[1] = 3;
    ASSERT_OK(dataset_sample(&d, most, 3, &e), e);
    assert_int_equal(d.n_rows, FIRST + SECOND + THIRD);
}

/* Every row must be drawn about equally often. */
static void samples_are_even(void **state) {
    (void)state;
    enum { SEEDS = 2000, ROWS = FIRST + SECOND };
    int drawn[ROWS] = {0};
    Err e = {0};
    int64_t most[] = {9, 0};
    double weight[] = {1.0 / 3.0, 1.0};
    Dataset d, part;
    load(&d);
    DataRow *rows = d.rows;
    ArenaMark mark = arena_mark(arena);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        part = d;
        ASSERT_OK(ARENA_NEW(arena, d.n_rows, part.rows, &e), e);
        memcpy(part.rows, rows, (size_t)d.n_rows * sizeof *rows);
        ASSERT_OK(seed % 2 == 0 ? dataset_sample(&part, most, seed, &e) : dataset_mix(arena, &part, weight, seed, &e),
                  e);
        assert_int_equal(part.n_rows, 9 + THIRD);
        for (int i = 0; i < 9; i++) drawn[part.rows[i].number]++;
        arena_reset(arena, mark);
    }
    /* mean 2000 / 3, standard deviation sqrt(2000 * 1/3 * 2/3) = 21.1; 6 of them */
    for (int i = 0; i < ROWS; i++) assert_in_range(drawn[i], 667 - 127, 667 + 127);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(weights, setup, teardown),
        cmocka_unit_test_setup_teardown(small_weights_and_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(max_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(samples_are_even, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
