/* mixing.c: see mixing.h. */
#include "data/mixing.h"

#include "base/rng.h"
#include "data/formats.h"

#include <math.h>
#include <string.h>

/* The draws are those of epochs that no run reaches; UINT64_MAX is the held-out split's. */
#define SAMPLE_EPOCH (UINT64_MAX - 1)
#define WEIGHT_EPOCH (UINT64_MAX - 2)

/* Marks n of `total` numbers: the first n of a Fisher-Yates shuffle that runs from the front. order, marked (total). */
static void draw_rows(int32_t *order, uint8_t *marked, int64_t total, int64_t n, uint64_t key) {
    for (int64_t i = 0; i < total; i++) {
        order[i] = (int32_t)i;
        marked[i] = 0;
    }
    for (int64_t i = 0; i < n; i++) marked[rng_shuffle_step(order, total, i, key)] = 1;
}

static uint64_t key_of(uint64_t seed, uint64_t epoch, int entry) {
    return rng_mix(rng_mix(rng_mix(seed, RNG_SHUFFLE), epoch), (uint64_t)entry);
}

/* The rows of one entry lie side by side: [begin, result) of the same entry as row begin. */
static int64_t entry_end(const Dataset *d, int64_t begin) {
    int64_t end = begin;
    while (end < d->n_rows && d->entries[d->rows[end].source] == d->entries[d->rows[begin].source]) end++;
    return end;
}

/* Rows [begin, end) as they are drawn: a pair is one. */
static int64_t count_units(const Dataset *d, int64_t begin, int64_t end) {
    int64_t n = 0;
    for (int64_t i = begin; i < end; i++) n += !dataset_goes_on(d, i);
    return n;
}

/* Copies those of rows [begin, end) whose unit is marked; gives how many. out may be d's rows themselves, further in front. */
static int64_t copy_marked(const Dataset *d, int64_t begin, int64_t end, const uint8_t *marked, DataRow *out) {
    int64_t n = 0, unit = -1;
    uint8_t side_before = SIDE_NONE; /* what is copied may write over the row before */
    int32_t number_before = -1;
    for (int64_t i = begin; i < end; i++) {
        DataRow r = d->rows[i];
        bool goes_on = r.side == SIDE_REJECTED && side_before == SIDE_CHOSEN && r.number == number_before;
        side_before = r.side;
        number_before = r.number;
        unit += !goes_on;
        if (marked[unit] != 0) out[n++] = r;
    }
    return n;
}

static void sample(Dataset *d, const int64_t *max_rows, uint64_t seed, int32_t *order, uint8_t *marked) {
    int64_t kept = 0;
    for (int64_t begin = 0, end; begin < d->n_rows; begin = end) {
        int entry = d->entries[d->rows[begin].source];
        end = entry_end(d, begin);
        int64_t n = count_units(d, begin, end);
        bool all = max_rows[entry] <= 0 || max_rows[entry] >= n;
        if (all)
            memset(marked, 1, (size_t)n);
        else
            draw_rows(order, marked, n, max_rows[entry], key_of(seed, SAMPLE_EPOCH, entry));
        kept += copy_marked(d, begin, end, marked, d->rows + kept);
    }
    d->n_rows = kept;
    dataset_count(d);
}

/* Room for a permutation and marks of all rows, given back by closing *work. */
static Status open_work(Arena **work, const Dataset *d, int32_t **order, uint8_t **marked, Err *e) {
    TRY(arena_open(work, "sampling", e));
    Status st = ARENA_NEW(*work, d->n_rows, *order, e);
    if (st == OK) st = ARENA_NEW(*work, d->n_rows, *marked, e);
    if (st != OK) arena_close(*work);
    return st;
}

Status dataset_sample(Dataset *d, const int64_t *max_rows, uint64_t seed, Err *e) {
    Arena *work;
    int32_t *order;
    uint8_t *marked;
    TRY(open_work(&work, d, &order, &marked, e));
    sample(d, max_rows, seed, order, marked);
    arena_close(work);
    return OK;
}

/* Room for the rows of the mixed dataset, with the errors. */
static Status count_mixed(const Dataset *d, const double *weight, int64_t *total, Err *e) {
    *total = 0;
    for (int64_t begin = 0, end; begin < d->n_rows; begin = end) {
        int source = d->rows[begin].source, entry = d->entries[source];
        end = entry_end(d, begin);
        int64_t units = count_units(d, begin, end);
        double n = round(weight[entry] * (double)units);
        if (n < 1.0)
            FAIL(e, ERR_CONFIG, "%s: weight %g of %lld rows leaves none; raise it, or leave the dataset out",
                 d->paths[source], weight[entry], (long long)units);
        if (units < end - begin) n *= 2.0; /* a pair is two rows */
        if (n + (double)*total > INT32_MAX)
            FAIL(e, ERR_CONFIG, "%s: weight %g of %lld rows: the datasets would have more than %d rows",
                 d->paths[source], weight[entry], (long long)(end - begin), INT32_MAX);
        *total += (int64_t)n;
    }
    return OK;
}

static int64_t mix(const Dataset *d, const double *weight, uint64_t seed, int32_t *order, uint8_t *marked,
                   DataRow *out) {
    int64_t made = 0;
    for (int64_t begin = 0, end; begin < d->n_rows; begin = end) {
        int entry = d->entries[d->rows[begin].source];
        end = entry_end(d, begin);
        int64_t n = count_units(d, begin, end), left = (int64_t)round(weight[entry] * (double)n);
        for (; left >= n; left -= n, made += end - begin)
            memcpy(out + made, d->rows + begin, (size_t)(end - begin) * sizeof *out);
        draw_rows(order, marked, n, left, key_of(seed, WEIGHT_EPOCH, entry));
        made += copy_marked(d, begin, end, marked, out + made);
    }
    return made;
}

Status dataset_mix(Arena *a, Dataset *d, const double *weight, uint64_t seed, Err *e) {
    Arena *work;
    int32_t *order;
    uint8_t *marked;
    DataRow *rows;
    int64_t total;
    bool changes = false;
    for (int s = 0; s < d->n_sources; s++) changes = changes || weight[d->entries[s]] != 1.0;
    if (!changes) return OK;
    TRY(count_mixed(d, weight, &total, e));
    TRY(ARENA_NEW(a, total, rows, e));
    TRY(open_work(&work, d, &order, &marked, e));
    d->n_rows = mix(d, weight, seed, order, marked, rows);
    arena_close(work);
    d->rows = rows;
    dataset_count(d);
    return OK;
}
