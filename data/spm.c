/* spm.c: merges from scores; see spm.h. */
#include "data/spm.h"

#include "base/utf8.h"

#include <math.h>
#include <stdlib.h>

/* What tokens are ordered by: user-defined ones by length, before the others by score. */
typedef struct Order {
    float key;
    int32_t id;
    bool user_defined;
} Order;

static int same_rank(const Order *a, const Order *b) { return a->user_defined == b->user_defined && a->key == b->key; }

static int by_order(const void *x, const void *y) {
    const Order *a = x, *b = y;
    if (a->user_defined != b->user_defined) return a->user_defined ? -1 : 1;
    if (a->key != b->key) return a->key > b->key ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

static bool merges(uint8_t kind) { return kind == TOKEN_NORMAL || kind == TOKEN_USER_DEFINED || kind == TOKEN_UNUSED; }

/* The tokens that merging can give, in order of rank. */
static Status sort_tokens(Arena *a, const TokenTable *raw, const uint8_t *kinds, const float *scores, Order **out,
                          size_t *n, Err *e) {
    Order *o = NULL;
    size_t k = 0;
    TRY(ARENA_NEW(a, raw->n, o, e));
    for (size_t id = 0; id < raw->n; id++) {
        if (!merges(kinds[id])) continue;
        if (!isfinite(scores[id])) FAIL(e, ERR_FORMAT, "the score of token %zu is no finite number", id);
        bool user = kinds[id] == TOKEN_USER_DEFINED;
        TokenText t = table_text(raw, id);
        if (t.len > SPM_TOKEN_BYTES_MAX) {
            if (user) continue;
            FAIL(e, ERR_FORMAT, "token %zu has %zu bytes; at most %d in a SentencePiece vocabulary", id, t.len,
                 SPM_TOKEN_BYTES_MAX);
        }
        o[k++] = (Order){user ? (float)t.len : scores[id], (int32_t)id, user};
    }
    qsort(o, k, sizeof *o, by_order);
    *out = o;
    *n = k;
    return OK;
}

Status spm_add_pairs(Arena *a, Bpe *b, const TokenTable *raw, const uint8_t *kinds, const float *scores, Err *e) {
    Arena *scratch = NULL;
    Order *order = NULL;
    PairEntry *pairs = NULL;
    size_t n = 0, n_pairs = 0, cap = 0;
    uint32_t rank = 0;
    Status st = arena_open(&scratch, "spm", e);
    if (st != OK) return st;
    TRY_OUT(st, sort_tokens(scratch, raw, kinds, scores, &order, &n, e));
    for (size_t i = 0; i < n; i++) {
        TokenText t = table_text(raw, (size_t)order[i].id);
        uint32_t cp = 0;
        if (i > 0 && !same_rank(&order[i - 1], &order[i])) rank++;
        for (size_t k = (size_t)utf8_decode(t.s, t.len, &cp); k < t.len;
             k += (size_t)utf8_decode(t.s + k, t.len - k, &cp)) {
            int32_t left = index_find(b->texts, t.s, k);
            int32_t right = left < 0 ? -1 : index_find(b->texts, t.s + k, t.len - k);
            if (right < 0) continue;
            TRY_OUT(st, arena_grow(scratch, &pairs, &cap, n_pairs, n_pairs + 1, sizeof *pairs, e));
            pairs[n_pairs++] = (PairEntry){left, right, rank, order[i].id};
        }
    }
    TRY_OUT(st, pairs_open(a, n_pairs, &b->pairs, e));
    for (size_t i = 0; i < n_pairs; i++) pairs_put(&b->pairs, pairs[i]);
out:
    arena_close(scratch);
    return st;
}
