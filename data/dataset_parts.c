/* dataset_parts.c: subsets, limits, sums of a loaded dataset. See dataset.h. */
#include "base/rng.h"
#include "data/duplicates.h"
#include "data/formats.h"
#include "data/tokenizer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* The draws of the held-out split are those of an epoch that no run reaches. */
#define SPLIT_EPOCH UINT64_MAX

/* Rows of equal text, and both rows of a pair, as one group: members (n) lists the rows of group g at begin[g] .. begin[g+1], groups by their first row. */
typedef struct Groups {
    int32_t *begin, *members, *order;
    int64_t n;
} Groups;

static Status group_rows(Arena *work, const Dataset *d, const Tokenizer *t, Groups *g, Err *e) {
    int32_t *first, *group, *at;
    int64_t copies, n = d->n_rows;
    *g = (Groups){0};
    TRY(ARENA_NEW(work, n, first, e));
    TRY(ARENA_NEW(work, n, group, e));
    TRY(t != NULL ? duplicates_text(d, t, first, &copies, e) : duplicates_exact(d, first, &copies, e));
    TRY(ARENA_NEW(work, n - copies + 1, g->begin, e));
    TRY(ARENA_NEW(work, n - copies, g->order, e));
    TRY(ARENA_NEW(work, n - copies, at, e));
    TRY(ARENA_NEW(work, n, g->members, e));
    for (int64_t i = 0; i < n; i++) {
        if (dataset_goes_on(d, i))
            group[i] = group[i - 1];
        else
            group[i] = first[i] == i ? (int32_t)g->n++ : group[first[i]];
        g->begin[group[i] + 1]++;
    }
    for (int64_t k = 0; k < g->n; k++) {
        g->begin[k + 1] += g->begin[k];
        at[k] = g->begin[k];
        g->order[k] = (int32_t)k;
    }
    for (int64_t i = 0; i < n; i++) g->members[at[group[i]]++] = (int32_t)i;
    return OK;
}

/* Rows as val_set_size counts them: a pair is one. */
static int64_t count_units(const Dataset *d) {
    int64_t n = 0;
    for (int64_t i = 0; i < d->n_rows; i++) n += !dataset_goes_on(d, i);
    return n;
}

static int64_t units_of(const Dataset *d, const Groups *g, int32_t group) {
    int64_t n = 0;
    for (int32_t k = g->begin[group]; k < g->begin[group + 1]; k++) n += !dataset_goes_on(d, g->members[k]);
    return n;
}

/* Marks at most `most` rows, whole groups: those of a Fisher-Yates shuffle that runs from the front, but for groups that do
 * not fit any more. Gives how many rows were marked. */
static int64_t mark_rows(const Dataset *d, Groups *g, uint8_t *marked, int64_t most, uint64_t seed) {
    uint64_t key = rng_mix(rng_mix(seed, RNG_SHUFFLE), SPLIT_EPOCH);
    int64_t n = 0;
    for (int64_t i = 0; i < g->n && n < most; i++) {
        int32_t group = rng_shuffle_step(g->order, g->n, i, key);
        int64_t rows = units_of(d, g, group);
        if (n + rows > most) continue;
        for (int32_t k = g->begin[group]; k < g->begin[group + 1]; k++) marked[g->members[k]] = 1;
        n += rows;
    }
    return n;
}

/* The rows of `all` whose mark is `want`, with a ledger of their own; what was dropped before is in that of the unmarked. */
static Status subset(Arena *a, const Dataset *all, const uint8_t *marked, uint8_t want, Dataset *out, Err *e) {
    int64_t n = 0;
    for (int64_t i = 0; i < all->n_rows; i++) n += marked[i] == want;
    *out = *all;
    out->n_rows = 0;
    TRY(ARENA_NEW(a, n, out->rows, e));
    TRY(ARENA_NEW(a, all->n_sources, out->ledger, e));
    if (want == 0) memcpy(out->ledger, all->ledger, (size_t)all->n_sources * sizeof *out->ledger);
    for (int64_t i = 0; i < all->n_rows; i++) {
        if (marked[i] == want) out->rows[out->n_rows++] = all->rows[i];
    }
    dataset_count(out);
    return OK;
}

static Status split(Arena *a, Arena *work, const Dataset *all, const Tokenizer *t, int64_t most, uint64_t seed,
                    Dataset *train, Dataset *val, Err *e) {
    Groups groups = {0};
    uint8_t *marked;
    TRY(ARENA_NEW(work, all->n_rows, marked, e));
    if (most > 0) TRY(group_rows(work, all, t, &groups, e));
    int64_t n = mark_rows(all, &groups, marked, most, seed);
    if (n == 0 && most > 0)
        FAIL(
            e, ERR_CONFIG,
            "val_set_size: no %lld rows can be held out: every row has more duplicates than that, which stay together; hold "
            "out more rows, or set dedupe: true where they are exact",
            (long long)most);
    TRY(subset(a, all, marked, 0, train, e));
    return subset(a, all, marked, 1, val, e);
}

Status dataset_split(Arena *a, const Dataset *all, const Tokenizer *t, double size, uint64_t seed, Dataset *train,
                     Dataset *val, Err *e) {
    Arena *work;
    int64_t rows = count_units(all);
    double held = size < 1.0 ? ceil(size * (double)rows) : size;
    if (held >= (double)rows)
        FAIL(e, ERR_CONFIG, "val_set_size: %g leaves no row to train on, of %lld", size, (long long)rows);
    TRY(arena_open(&work, "split", e));
    Status st = split(a, work, all, t, (int64_t)held, seed, train, val, e);
    arena_close(work);
    return st;
}

bool dataset_goes_on(const Dataset *d, int64_t i) {
    return i > 0 && d->rows[i].side == SIDE_REJECTED && d->rows[i - 1].side == SIDE_CHOSEN &&
           d->rows[i].number == d->rows[i - 1].number;
}

const DataRow *dataset_other(const Dataset *d, int64_t i) {
    if (dataset_goes_on(d, i)) return &d->rows[i - 1];
    return i + 1 < d->n_rows && dataset_goes_on(d, i + 1) ? &d->rows[i + 1] : NULL;
}

const DataRow *dataset_sided(const Dataset *d) {
    for (int64_t i = 0; i < d->n_rows; i++) {
        if (d->rows[i].side != SIDE_NONE) return &d->rows[i];
    }
    return NULL;
}

Status dataset_refuse_sides(const Dataset *d, Err *e) {
    const DataRow *r = dataset_sided(d);
    if (r == NULL) return OK;
    bool pair = r->side <= SIDE_REJECTED;
    FAIL(
        e, ERR_DATA,
        "%s: rows of type %s; preference training is not in this version. To train on the %s answers alone, or measure them, %s",
        d->paths[r->source], d->types[r->source], pair ? "chosen" : "good",
        pair ? "give type: prompt_completion and field_completion: chosen"
             : "leave out the rows with label false and give their type (prompt_completion, chat, sharegpt, alpaca)");
}

int64_t dataset_element(const Dataset *d, const DataRow *r) {
    int64_t first = d->first_row != NULL ? d->first_row[r->source] : -1;
    return first < 0 ? 0 : r->number - first + 1;
}

const char *dataset_place(const Dataset *d, const DataRow *r, char *text, size_t size) {
    int64_t element = dataset_element(d, r);
    int n = snprintf(text, size, "%s:%lld", d->paths[r->source], (long long)r->line);
    if (element > 0 && n > 0 && (size_t)n < size)
        snprintf(text + n, size - (size_t)n, ": element %lld", (long long)element);
    return text;
}

int64_t dataset_longest(const Dataset *d) {
    int64_t longest = 0;
    for (int64_t i = 0; i < d->n_rows; i++) {
        if (d->rows[i].length > longest) longest = d->rows[i].length;
    }
    return longest;
}

int64_t dataset_tokens(const Dataset *d) {
    int64_t n = 0;
    for (int64_t i = 0; i < d->n_rows; i++) n += d->rows[i].length;
    return n;
}

int64_t dataset_trained(const Dataset *d) {
    int64_t n = 0;
    for (int64_t i = 0; i < d->n_rows; i++) n += d->rows[i].trained;
    return n;
}

const int32_t *dataset_labels(const Dataset *d, const DataRow *r) {
    int64_t low = 0, high = d->n_label_rows;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (d->label_rows[middle].start < r->start)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < d->n_label_rows && d->label_rows[low].start == r->start) return d->labels + d->label_rows[low].at;
    return d->ids + r->start;
}

int64_t dataset_free_labels(const Dataset *d, const DataRow *r) {
    const int32_t *ids = d->ids + r->start, *labels = dataset_labels(d, r);
    int64_t n = 0;
    for (int32_t i = 0; labels != ids && i < r->length; i++) n += labels[i] != ids[i];
    return n;
}

/* A row with labels of its own is told from others by a negative length, so that no labels can pass for rows. */
Status dataset_hash(Arena *scratch, const Dataset *d, Hash128 *out, Err *e) {
    Hasher *h;
    int64_t passed = 0;
    ArenaMark mark = arena_mark(scratch);
    TRY(hasher_open(scratch, &h, e));
    for (int64_t i = 0; i < d->n_rows; i++) {
        const DataRow *r = &d->rows[i];
        const int32_t *ids = d->ids + r->start, *labels = dataset_free_labels(d, r) > 0 ? dataset_labels(d, r) : ids;
        int32_t length = labels == ids ? r->length : -r->length;
        hasher_add(h, &length, sizeof length);
        hasher_add(h, ids, (size_t)r->length * sizeof *ids);
        hasher_add(h, d->trained + r->start, (size_t)r->length);
        if (labels != ids) hasher_add(h, labels, (size_t)r->length * sizeof *labels);
        const int32_t edits[] = {r->edits, r->context, r->first_id, r->last_id};
        if (r->edits != 0 || r->context > 0) hasher_add(h, edits, sizeof edits);
        dataset_passed(d, r, &passed);
        if (r->side != SIDE_NONE) hasher_add(h, &r->side, sizeof r->side);
    }
    *out = hasher_value(h);
    arena_reset(scratch, mark);
    return OK;
}

const char *const SIDE_NAMES[SIDE_COUNT] = {[SIDE_CHOSEN] = "chosen",
                                            [SIDE_REJECTED] = "rejected",
                                            [SIDE_DESIRABLE] = "desirable",
                                            [SIDE_UNDESIRABLE] = "undesirable"};

/* " (3 chosen, 3 rejected)" */
static Status print_sides(const Ledger *g, Buf *out, Err *e) {
    const char *before = " (";
    for (int i = SIDE_NONE + 1; i < SIDE_COUNT; i++) {
        if (g->sides[i] == 0) continue;
        TRY(buf_printf(out, e, "%s%lld %s", before, (long long)g->sides[i], SIDE_NAMES[i]));
        before = ", ";
    }
    return *before == ',' ? buf_putc(out, ')', e) : OK;
}

Status dataset_print_ledger(const Dataset *d, Buf *out, Err *e) {
    for (int s = 0; s < d->n_sources; s++) {
        const Ledger *g = &d->ledger[s];
        TRY(buf_printf(out, e, "%s (%s): %lld rows", d->paths[s], d->types[s], (long long)g->rows));
        TRY(print_sides(g, out, e));
        TRY(buf_printf(out, e, ", %lld tokens read = %lld trained + %lld masked + %lld dropped", (long long)g->read,
                       (long long)g->trained, (long long)g->masked, (long long)g->dropped));
        if (g->rows_dropped > 0) TRY(buf_printf(out, e, ", %lld rows left out", (long long)g->rows_dropped));
        if (g->duplicates > 0) TRY(buf_printf(out, e, ", %lld duplicates left out", (long long)g->duplicates));
        if (g->rows_cut > 0) TRY(buf_printf(out, e, ", %lld rows cut", (long long)g->rows_cut));
        if (g->rows_split > 0)
            TRY(buf_printf(out, e, ", %lld rows split (%lld tokens more than once)", (long long)g->rows_split,
                           (long long)g->repeated));
        TRY(buf_putc(out, '\n', e));
        if (d->left_out != NULL && d->left_out[s] != NULL)
            TRY(buf_printf(out, e, "no data, left out: %s\n", d->left_out[s]));
    }
    return OK;
}
