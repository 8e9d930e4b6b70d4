/* duplicates.c: see duplicates.h.
 *
 * Rows are sorted by (hash, index), so equal rows lie side by side with the first one in front. A row whose hash is the first
 * one's but whose content is not counts as no duplicate: that takes 2^64 rows by chance, and nothing is lost by it. */
#include "data/duplicates.h"

#include "data/formats.h"
#include "data/tokenizer.h"
#include "data/unicode.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

typedef struct Key {
    Hash128 hash;
    int32_t row;
} Key;

static int compare_hashes(const Key *a, const Key *b) {
    if (a->hash.hi != b->hash.hi) return a->hash.hi < b->hash.hi ? -1 : 1;
    if (a->hash.lo != b->hash.lo) return a->hash.lo < b->hash.lo ? -1 : 1;
    return 0;
}

static int by_hash(const void *pa, const void *pb) {
    const Key *a = pa, *b = pb;
    int c = compare_hashes(a, b);
    return c != 0 ? c : (a->row > b->row) - (a->row < b->row);
}

static void sort_keys(Key *keys, int64_t n) {
    if (n > 1) qsort(keys, (size_t)n, sizeof *keys, by_hash);
}

/* ---- exact ------------------------------------------------------------------------------------------------------- */

static void add_content(Hasher *h, const Dataset *d, const DataRow *r) {
    hasher_add(h, d->ids + r->start, (size_t)r->length * sizeof *d->ids);
    hasher_add(h, d->trained + r->start, (size_t)r->length);
    if (dataset_free_labels(d, r) > 0) hasher_add(h, dataset_labels(d, r), (size_t)r->length * sizeof *d->ids);
    if (r->side != SIDE_NONE) hasher_add(h, &r->side, sizeof r->side);
}

static Status exact_keys(Arena *a, const Dataset *d, Key **out, Err *e) {
    Hasher *h;
    int64_t passed = 0;
    TRY(hasher_open(a, &h, e));
    TRY(ARENA_NEW(a, d->n_rows, *out, e));
    for (int64_t i = 0; i < d->n_rows; i++) {
        const DataRow *other = dataset_other(d, i);
        hasher_reset(h);
        add_content(h, d, &d->rows[i]);
        if (other != NULL) add_content(h, d, other);
        (*out)[i] = (Key){.hash = hasher_value(h), .row = (int32_t)i};
        dataset_passed(d, &d->rows[i], &passed);
    }
    sort_keys(*out, d->n_rows);
    return OK;
}

static bool same_content(const Dataset *da, const DataRow *a, const Dataset *db, const DataRow *b) {
    size_t n = (size_t)a->length, bytes = n * sizeof *da->ids;
    return a->length == b->length && a->side == b->side && memcmp(da->ids + a->start, db->ids + b->start, bytes) == 0 &&
           memcmp(da->trained + a->start, db->trained + b->start, n) == 0 &&
           memcmp(dataset_labels(da, a), dataset_labels(db, b), bytes) == 0;
}

/* Row i of da and row k of db; of pairs both answers. */
static bool same_rows(const Dataset *da, int64_t i, const Dataset *db, int64_t k) {
    const DataRow *a = dataset_other(da, i), *b = dataset_other(db, k);
    if (!same_content(da, &da->rows[i], db, &db->rows[k]) || (a == NULL) != (b == NULL)) return false;
    return a == NULL || same_content(da, a, db, b);
}

/* From sorted keys; d NULL: the hash decides. */
static int64_t find_first(const Dataset *d, const Key *keys, int64_t n, int32_t *first) {
    int64_t copies = 0;
    for (int64_t i = 0, head = 0; i < n; i++) {
        if (compare_hashes(&keys[i], &keys[head]) != 0) head = i;
        int32_t row = keys[i].row, head_row = keys[head].row;
        bool copy = i > head && (d == NULL || same_rows(d, row, d, head_row));
        first[row] = copy ? head_row : row;
        copies += copy;
    }
    return copies;
}

Status duplicates_exact(const Dataset *d, int32_t *first, int64_t *copies, Err *e) {
    Arena *work;
    Key *keys;
    TRY(arena_open(&work, "duplicates", e));
    Status st = exact_keys(work, d, &keys, e);
    if (st == OK) *copies = find_first(d, keys, d->n_rows, first);
    arena_close(work);
    return st;
}

/* ---- equal texts ------------------------------------------------------------------------------------------------- */

/* Folds and composes text (valid UTF-8) into code points; *n of them. */
static Status normalize(Arena *a, const char *text, size_t len, utf8proc_int32_t **out, utf8proc_ssize_t *n, Err *e) {
    const utf8proc_option_t how = UTF8PROC_COMPOSE | UTF8PROC_STABLE | UTF8PROC_CASEFOLD;
    const utf8proc_uint8_t *s = (const utf8proc_uint8_t *)text;
    utf8proc_ssize_t room = (utf8proc_ssize_t)len + 16;
    *n = 0;
    for (int round = 0; round < 2; round++) {
        TRY(ARENA_NEW(a, room + 1, *out, e)); /* one more: utf8proc ends some of its arrays with 0 */
        *n = utf8proc_decompose(s, (utf8proc_ssize_t)len, *out, room, how);
        if (*n <= room) break;
        room = *n;
    }
    if (*n > 0) *n = utf8proc_normalize_utf32(*out, *n, how);
    if (*n < 0) FAIL(e, ERR_DATA, "a text cannot be normalized: %s", utf8proc_errmsg(*n));
    return OK;
}

/* Runs of white space become one space, at the ends none. */
static size_t collapse(utf8proc_int32_t *cps, size_t n) {
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        bool space = unicode_is_space((uint32_t)cps[i]);
        if (space && (kept == 0 || cps[kept - 1] == ' ')) continue;
        cps[kept++] = space ? ' ' : cps[i];
    }
    return kept > 0 && cps[kept - 1] == ' ' ? kept - 1 : kept;
}

static Status text_hash(Arena *scratch, const Dataset *d, const DataRow *r, const Tokenizer *t, Hash128 *out, Err *e) {
    char *text;
    size_t len;
    utf8proc_int32_t *cps;
    utf8proc_ssize_t n;
    TRY(tokenizer_decode(t, scratch, d->ids + r->start, (size_t)r->length, true, &text, &len, e));
    TRY(normalize(scratch, text, len, &cps, &n, e));
    *out = hash128(cps, collapse(cps, (size_t)n) * sizeof *cps);
    return OK;
}

/* Of a row's text; of a pair's row that of both answers, its own first. */
static Status text_key(Arena *scratch, const Dataset *d, int64_t i, const Tokenizer *t, Hash128 *out, Err *e) {
    const DataRow *other = dataset_other(d, i);
    struct {
        Hash128 own, other;
        uint64_t side;
    } both = {.side = d->rows[i].side};
    TRY(text_hash(scratch, d, &d->rows[i], t, &both.own, e));
    *out = both.own;
    if (other == NULL) return OK;
    TRY(text_hash(scratch, d, other, t, &both.other, e));
    *out = hash128(&both, sizeof both);
    return OK;
}

static Status text_keys(Arena *a, Arena *scratch, const Dataset *d, const Tokenizer *t, Key **out, Err *e) {
    int64_t passed = 0;
    TRY(ARENA_NEW(a, d->n_rows, *out, e));
    for (int64_t i = 0; i < d->n_rows; i++) {
        ArenaMark mark = arena_mark(scratch);
        TRY(text_key(scratch, d, i, t, &(*out)[i].hash, e));
        (*out)[i].row = (int32_t)i;
        dataset_passed(d, &d->rows[i], &passed);
        arena_reset(scratch, mark);
    }
    sort_keys(*out, d->n_rows);
    return OK;
}

Status duplicates_text(const Dataset *d, const Tokenizer *t, int32_t *first, int64_t *copies, Err *e) {
    Arena *work, *scratch = NULL;
    Key *keys;
    TRY(arena_open(&work, "duplicates", e));
    Status st = arena_open(&scratch, "texts", e);
    if (st == OK) st = text_keys(work, scratch, d, t, &keys, e);
    if (st == OK) *copies = find_first(NULL, keys, d->n_rows, first);
    arena_close(scratch);
    arena_close(work);
    return st;
}

/* ---- two datasets, leaving out ------------------------------------------------------------------------------------ */

/* Both lists ascend, so one walk over both finds every pair; pairs are told in the order of `tests`. */
static void walk(const Dataset *train, const Key *a, const Dataset *tests, const Key *b, Overlap *out) {
    for (int64_t i = 0, k = 0; i < train->n_rows && k < tests->n_rows;) {
        int c = compare_hashes(&a[i], &b[k]);
        if (c != 0) {
            c < 0 ? i++ : k++;
            continue;
        }
        if (same_rows(train, a[i].row, tests, b[k].row)) {
            out->rows++;
            if (out->test_row < 0 || b[k].row < out->test_row) {
                out->test_row = b[k].row;
                out->train_row = a[i].row;
            }
        }
        k++;
    }
}

Status duplicates_between(const Dataset *train, const Dataset *tests, Overlap *out, Err *e) {
    Arena *work;
    Key *a, *b;
    *out = (Overlap){.test_row = -1, .train_row = -1};
    TRY(arena_open(&work, "duplicates", e));
    Status st = exact_keys(work, train, &a, e);
    if (st == OK) st = exact_keys(work, tests, &b, e);
    if (st == OK) walk(train, a, tests, b, out);
    arena_close(work);
    return st;
}

static void keep_first(Dataset *d, const int32_t *first) {
    int64_t kept = 0;
    for (int64_t i = 0; i < d->n_rows; i++) {
        DataRow r = d->rows[i];
        if (first[i] == i) {
            d->rows[kept++] = r;
            continue;
        }
        d->ledger[r.source].duplicates++;
        d->ledger[r.source].dropped += r.length;
    }
    d->n_rows = kept;
    dataset_count(d);
}

Status dataset_dedupe(Dataset *d, Err *e) {
    Arena *work;
    int32_t *first;
    int64_t copies;
    TRY(arena_open(&work, "duplicates", e));
    Status st = ARENA_NEW(work, d->n_rows, first, e);
    if (st == OK) st = duplicates_exact(d, first, &copies, e);
    if (st == OK) keep_first(d, first);
    arena_close(work);
    return st;
}
