/* Packing: every row in exactly one bin, bins within capacity, best fit equal to a plain quadratic best fit. */
#include "tests/support/support.h"

#include "base/rng.h"
#include "data/packing.h"

#include <stdlib.h>
#include <string.h>

static Arena *arena;

static int setup(void **state) {
    (void)state;
    arena = support_arena();
    return 0;
}

static int teardown(void **state) {
    (void)state;
    arena_close(arena);
    return 0;
}

/* n lengths in 1..most, from a seed. */
static int32_t *lengths(int64_t n, int32_t most, uint64_t seed) {
    Err e;
    int32_t *length;
    ASSERT_OK(ARENA_NEW(arena, n, length, &e), e);
    for (int64_t i = 0; i < n; i++) length[i] = 1 + (int32_t)(philox4x32(seed, (uint64_t)i, 0).v[0] % (uint32_t)most);
    return length;
}

static void check_partition(const Packing *p, const int32_t *length, int64_t n, int64_t capacity) {
    Err e;
    uint8_t *seen;
    ASSERT_OK(ARENA_NEW(arena, n, seen, &e), e);
    assert_int_equal(p->first[0], 0);
    assert_int_equal(p->first[p->n_bins], n);
    for (int64_t b = 0; b < p->n_bins; b++) {
        int64_t sum = 0;
        assert_true(p->first[b] < p->first[b + 1]);
        for (int64_t k = p->first[b]; k < p->first[b + 1]; k++) {
            assert_int_equal(seen[p->rows[k]]++, 0);
            sum += length[p->rows[k]];
        }
        assert_true(sum <= capacity);
    }
}

/* Best fit decreasing as its definition says, with a search through all bins; ties go to the bin that got its present room
 * last. Gives the number of bins and the bin of each row. */
static int64_t plain_best_fit(const int32_t *length, int64_t n, int64_t capacity, int64_t *bin_of) {
    Err e;
    int64_t *room, *since, bins = 0, clock = 0;
    uint8_t *done;
    ASSERT_OK(ARENA_NEW(arena, n, room, &e), e);
    ASSERT_OK(ARENA_NEW(arena, n, since, &e), e);
    ASSERT_OK(ARENA_NEW(arena, n, done, &e), e);
    for (int64_t k = 0; k < n; k++) {
        int64_t row = -1, best = -1;
        for (int64_t i = 0; i < n; i++) {
            if (!done[i] && (row < 0 || length[i] > length[row])) row = i;
        }
        for (int64_t b = 0; b < bins; b++) {
            if (room[b] < length[row]) continue;
            if (best < 0 || room[b] < room[best] || (room[b] == room[best] && since[b] > since[best])) best = b;
        }
        if (best < 0) {
            best = bins++;
            room[best] = capacity;
        }
        room[best] -= length[row];
        since[best] = ++clock;
        bin_of[row] = best;
        done[row] = 1;
    }
    return bins;
}

static void best_fit_is_best_fit(void **state) {
    (void)state;
    static const int64_t capacities[] = {1, 2, 63, 64, 65, 100, 127, 128, 1000, 4096, 5000};
    for (size_t c = 0; c < sizeof capacities / sizeof capacities[0]; c++) {
        for (uint64_t seed = 0; seed < 8; seed++) {
            enum { N = 150 };
            Err e;
            Packing p;
            int64_t capacity = capacities[c], bin_of[N];
            int32_t most = (int32_t)(seed % 2 == 0 || capacity < 4 ? capacity : capacity / 3);
            const int32_t *length = lengths(N, most, seed + 100 * c);
            ASSERT_OK(packing_best_fit(arena, length, N, capacity, &p, &e), e);
            check_partition(&p, length, N, capacity);
            assert_int_equal(p.n_bins, plain_best_fit(length, N, capacity, bin_of));
            for (int64_t b = 0; b < p.n_bins; b++) {
                for (int64_t k = p.first[b]; k < p.first[b + 1]; k++) assert_int_equal(bin_of[p.rows[k]], b);
            }
        }
    }
}

static void rows_lie_from_long_to_short(void **state) {
    (void)state;
    static const int32_t length[] = {2, 5, 3, 5, 4, 1};
    static const int32_t rows[] = {1, 3, 4, 5, 2, 0};
    static const int64_t first[] = {0, 1, 2, 4, 6};
    Err e;
    Packing p;
    ASSERT_OK(packing_best_fit(arena, length, 6, 5, &p, &e), e);
    assert_int_equal(p.n_bins, 4);
    assert_memory_equal(p.first, first, sizeof first);
    assert_memory_equal(p.rows, rows, sizeof rows);
}

static void next_fit_keeps_the_order(void **state) {
    (void)state;
    static const int32_t length[] = {3, 3, 5, 1, 9, 1, 1};
    static const int64_t first[] = {0, 2, 4, 5, 7};
    Err e;
    Packing p;
    ASSERT_OK(packing_next_fit(arena, length, 7, 6, &p, &e), e);
    assert_int_equal(p.n_bins, 4); /* 3+3 | 5+1 | 9 alone, too long | 1+1 */
    assert_memory_equal(p.first, first, sizeof first);
    for (int i = 0; i < 7; i++) assert_int_equal(p.rows[i], i);
    ASSERT_OK(packing_next_fit(arena, lengths(500, 40, 1), 500, 64, &p, &e), e);
    check_partition(&p, lengths(500, 40, 1), 500, 64);
}

static void single_bins(void **state) {
    (void)state;
    Err e;
    Packing p;
    ASSERT_OK(packing_single(arena, 5, &p, &e), e);
    assert_int_equal(p.n_bins, 5);
    check_partition(&p, lengths(5, 9, 3), 5, 9);
}

/* A million rows: a quadratic way would not end in the test's time. */
static void many_rows(void **state) {
    (void)state;
    Err e;
    Packing p;
    int64_t n = 1000000, sum = 0;
    const int32_t *length = lengths(n, 2048, 9);
    for (int64_t i = 0; i < n; i++) sum += length[i];
    ASSERT_OK(packing_best_fit(arena, length, n, 2048, &p, &e), e);
    check_partition(&p, length, n, 2048);
    assert_true(p.n_bins < sum / 2048 + sum / 2048 / 100 + 2); /* best fit wastes little on even lengths */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(best_fit_is_best_fit, setup, teardown),
        cmocka_unit_test_setup_teardown(rows_lie_from_long_to_short, setup, teardown),
        cmocka_unit_test_setup_teardown(next_fit_keeps_the_order, setup, teardown),
        cmocka_unit_test_setup_teardown(single_bins, setup, teardown),
        cmocka_unit_test_setup_teardown(many_rows, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
