/* lengths.c: rows that are longer than they may be. See dataset_limit in dataset.h. */
#include "data/formats.h"
#include "data/tokenizer.h"

#include <stdio.h>
#include <string.h>

enum { PLACE_BYTES = 1024 };

static const RowType *type_of(const Dataset *d, const DataRow *r) { return format_find(d->types[r->source]); }

static bool is_text(const Dataset *d, const DataRow *r) { return type_of(d, r)->splits; }

/* All rows that are too long in one message: the first LISTED_MAX with their place, as far as the message has room. */
static Status too_long(const Dataset *d, const LengthLimit *l, Err *e) {
    enum { LISTED_MAX = 20 };
    char list[ERR_MESSAGE_BYTES - 512], place[PLACE_BYTES];
    const char *what = l->what;
    const char *advice =
        strcmp(what, "sequence_len") == 0
            ? "raise sequence_len, or set excess_length_strategy to drop, truncate or (rows of type text) split"
            : "held-out rows are never cut; shorten the rows or leave them out";
    if (l->strategy == EXCESS_SPLIT)
        advice = "only rows of type text can be split; raise sequence_len, or shorten the rows or leave them out";
    int64_t rows = 0, listed = 0;
    size_t at = 0;
    bool room = true;
    for (int64_t i = 0; i < d->n_rows; i++) {
        const DataRow *r = &d->rows[i];
        if (r->length <= l->max_tokens || (l->strategy == EXCESS_SPLIT && is_text(d, r))) continue;
        rows++;
        if (!room || listed == LISTED_MAX) continue;
        int n = snprintf(list + at, sizeof list - at, "%s: %d tokens, ", dataset_place(d, r, place, sizeof place),
                         r->length);
        room = n > 0 && at + (size_t)n < sizeof list;
        if (!room && listed > 0) continue;
        at += room ? (size_t)n : strlen(list + at);
        listed++;
    }
    list[at] = 0;
    if (rows == listed)
        FAIL(e, ERR_DATA, "%s%s more than %s %lld (the longest row has %lld); %s", list,
             rows == 1 ? "which is" : "each", what, (long long)l->max_tokens, (long long)dataset_longest(d), advice);
    FAIL(e, ERR_DATA, "%sand %lld more rows are longer than %s %lld (the longest row has %lld tokens); %s", list,
         (long long)(rows - listed), what, (long long)l->max_tokens, (long long)dataset_longest(d), advice);
}

/* ---- cutting ------------------------------------------------------------------------------------------------------ */

static int32_t count_trained(const Dataset *d, const DataRow *r) {
    int32_t n = 0;
    for (int64_t i = 0; i < r->length; i++) n += dataset_is_trained(d, r, i);
    return n;
}

static bool is_end(const Dataset *d, const DataRow *r, int64_t i, const Tokenizer *t) {
    return tokenizer_is_end(t, d->ids[r->start + i]);
}

/* Whether the row trains end tokens at all (train_on_eos: none does not). */
static bool learns_ends(const Dataset *d, const DataRow *r, const Tokenizer *t) {
    int64_t i = r->length - 1;
    while (i >= 0 && !(dataset_is_trained(d, r, i) && is_end(d, r, i, t))) i--;
    return i >= 0;
}

/* The id becomes the cut row's last one, and trained. */
static void set_last(DataRow *r, int32_t id) {
    r->last_id = id;
    r->edits |= ROW_LAST;
}

/* How many tokens whole turns take, at most `most`; 0: not one fits. A turn is what is trained and the end token behind it, whether
 * that is trained or not (train_on_eos: last); an end token alone is none (train_on_eos: all, after the user's text). */
static int64_t whole_turns(const Dataset *d, const DataRow *r, int64_t most, const Tokenizer *t) {
    int64_t n = 0;
    bool said = false;
    for (int64_t i = 0; i < most; i++) {
        if (!is_end(d, r, i, t)) {
            said = said || dataset_is_trained(d, r, i);
            continue;
        }
        if (said) n = i + 1;
        said = false;
    }
    return n;
}

/* Within the first turn the text is cut and the turn's end token is kept. False: the limit is not within what is trained, or no
 * end token follows it. */
static bool keep_end(const Dataset *d, DataRow *r, int64_t most, const Tokenizer *t) {
    int64_t end = most - 1;
    while (end < r->length && dataset_is_trained(d, r, end) && !is_end(d, r, end, t)) end++;
    if (end == most - 1 || end == r->length || !is_end(d, r, end, t)) return false;
    if (learns_ends(d, r, t)) set_last(r, d->ids[r->start + end]);
    return true;
}

/* Turns that say nothing: how many tokens up to the last trained end token, at most `most`. */
static int64_t mere_ends(const Dataset *d, const DataRow *r, int64_t most, const Tokenizer *t) {
    int64_t n = most;
    while (n > 0 && !(dataset_is_trained(d, r, n - 1) && is_end(d, r, n - 1, t))) n--;
    return n;
}

/* Where a row with turns ends; 0: at the limit. */
static int64_t end_of_turns(const Dataset *d, DataRow *r, int64_t most, const Tokenizer *t) {
    int64_t kept = whole_turns(d, r, most, t);
    if (kept > 0 && !dataset_is_trained(d, r, kept - 1) && learns_ends(d, r, t))
        set_last(r, d->ids[r->start + kept - 1]);
    return kept > 0 || keep_end(d, r, most, t) ? kept : mere_ends(d, r, most, t);
}

static Status cut(const Dataset *d, DataRow *r, const LengthLimit *l, Err *e) {
    Ledger *g = &d->ledger[r->source];
    bool turns = l->tokenizer != NULL && !type_of(d, r)->as_is;
    int64_t length = r->length, kept = turns ? end_of_turns(d, r, l->max_tokens, l->tokenizer) : 0;
    char place[PLACE_BYTES];
    r->length = (int32_t)(kept > 0 ? kept : l->max_tokens);
    r->trained = count_trained(d, r);
    if (r->trained == 0)
        FAIL(e, ERR_DATA,
             "%s: no trained token is left after cutting %lld tokens to %lld; set excess_length_strategy to drop",
             dataset_place(d, r, place, sizeof place), (long long)length, (long long)l->max_tokens);
    g->rows_cut++;
    g->dropped += length - r->length;
    return OK;
}

/* ---- splitting ---------------------------------------------------------------------------------------------------- */

/* The pieces of a text in turn: each is BOS, where the text begins with it, tokens of the piece before as context, new tokens. */
typedef struct Pieces {
    const DataRow *row;
    int64_t most, overlap, done; /* done: tokens that stand in pieces, as new ones */
    int32_t bos;                 /* -1: the text does not begin with one */
} Pieces;

static Pieces pieces_of(const Dataset *d, const DataRow *r, const LengthLimit *l) {
    int32_t bos = l->tokenizer != NULL ? tokenizer_bos(l->tokenizer) : -1;
    if (bos >= 0 && d->ids[r->start] != bos) bos = -1;
    int64_t overlap = l->overlap < l->max_tokens - 2 ? l->overlap : l->max_tokens - 2; /* a piece has something new */
    if (overlap == 0 && bos < 0) overlap = 1; /* what its first new token is predicted from */
    return (Pieces){.row = r, .most = l->max_tokens, .overlap = overlap, .bos = bos};
}

static bool next_piece(Pieces *p, DataRow *out) {
    int64_t left = p->row->length - p->done;
    if (left == 0) return false;
    *out = *p->row;
    if (p->done > 0) {
        int64_t before = p->overlap + (p->bos >= 0);
        out->start += p->done - before;
        out->context = (int32_t)before;
        out->length = (int32_t)(before + left < p->most ? before + left : p->most);
        if (p->bos >= 0) {
            out->first_id = p->bos;
            out->edits |= ROW_FIRST;
        }
        p->done += out->length - before;
    } else {
        out->length = (int32_t)p->most;
        p->done = p->most;
    }
    return true;
}

static Status count_pieces(const Dataset *d, const LengthLimit *l, int64_t *n, Err *e) {
    *n = 0;
    for (int64_t i = 0; i < d->n_rows; i++) {
        const DataRow *r = &d->rows[i];
        Pieces p = pieces_of(d, r, l);
        DataRow piece;
        if (r->length <= l->max_tokens)
            ++*n;
        else
            while (next_piece(&p, &piece)) ++*n;
    }
    if (*n > INT32_MAX) FAIL(e, ERR_DATA, "too many rows (at most %d)", INT32_MAX);
    return OK;
}

static Status split(Dataset *d, const LengthLimit *l, Err *e) {
    DataRow *rows;
    int64_t n, made = 0, passed = 0;
    CHECK(l->overlap >= 0 && l->overlap <= l->max_tokens / 2, "an overlap of %lld tokens", (long long)l->overlap);
    TRY(count_pieces(d, l, &n, e));
    if (n == d->n_rows) return OK;
    TRY(ARENA_NEW(l->arena, n, rows, e));
    for (int64_t i = 0; i < d->n_rows; i++) {
        const DataRow *r = &d->rows[i];
        Ledger *g = &d->ledger[r->source];
        Pieces p = pieces_of(d, r, l);
        if (r->length <= l->max_tokens) {
            rows[made++] = *r;
            continue;
        }
        dataset_passed(d, r, &passed);
        while (next_piece(&p, &rows[made])) {
            rows[made].trained = count_trained(d, &rows[made]);
            g->repeated += rows[made++].context;
        }
        g->rows_split++;
    }
    d->rows = rows;
    d->n_rows = n;
    dataset_count(d);
    return OK;
}

/* ------------------------------------------------------------------------------------------------------------------- */

/* Whether the row, or the other one of its pair, is too long: half a pair compares nothing. */
static bool unit_is_long(const Dataset *d, int64_t i, int64_t most) {
    const DataRow *other = dataset_other(d, i);
    return d->rows[i].length > most || (other != NULL && other->length > most);
}

Status dataset_limit(Dataset *d, const LengthLimit *l, Err *e) {
    int64_t kept = 0;
    bool refuses = l->strategy == EXCESS_RAISE;
    for (int64_t i = 0; i < d->n_rows && l->strategy != EXCESS_DROP && l->strategy != EXCESS_TRUNCATE; i++) {
        const DataRow *r = &d->rows[i];
        if (r->length <= l->max_tokens) continue;
        if (refuses || !is_text(d, r)) return too_long(d, l, e);
    }
    int64_t passed = 0;
    if (refuses) return OK;
    if (l->strategy == EXCESS_SPLIT) return split(d, l, e);
    for (int64_t i = 0; i < d->n_rows; i++) {
        DataRow r = d->rows[i];
        if (l->strategy == EXCESS_DROP && unit_is_long(d, i, l->max_tokens)) {
            d->ledger[r.source].rows_dropped++;
            d->ledger[r.source].dropped += r.length;
            continue;
        }
        if (r.length > l->max_tokens) {
            dataset_passed(d, &r, &passed);
            TRY(cut(d, &r, l, e));
        }
        d->rows[kept++] = r;
    }
    if (kept == 0 && d->n_rows > 0)
        FAIL(e, ERR_DATA, "%s: all %lld rows are longer than %s %lld and were left out (excess_length_strategy)",
             d->paths[0], (long long)d->n_rows, l->what, (long long)l->max_tokens);
    d->n_rows = kept;
    dataset_count(d);
    return OK;
}

static const char *const STRATEGIES[] = {
    [EXCESS_RAISE] = "raise", [EXCESS_DROP] = "drop", [EXCESS_TRUNCATE] = "truncate", [EXCESS_SPLIT] = "split"};

ExcessStrategy excess_strategy(const char *name) {
    for (size_t i = 0; i < sizeof STRATEGIES / sizeof STRATEGIES[0]; i++) {
        if (strcmp(STRATEGIES[i], name) == 0) return (ExcessStrategy)i;
    }
    CHECK(false, "excess_length_strategy %s", name);
    return EXCESS_RAISE;
}
