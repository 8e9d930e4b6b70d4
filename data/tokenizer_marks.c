/* tokenizer_marks.c: see tokenizer_marks.h. */
#include "data/tokenizer_marks.h"

#include <string.h>

/* Walks positions of a text in ascending order. */
typedef struct Walk {
    TokenText text;
    MarkLength length;
    void *ctx;
    size_t from, to; /* position, and its place */
} Walk;

static Status walk_to(Walk *w, size_t position, size_t *place, Err *e) {
    size_t n = position - w->from;
    if (n > 0 && w->length != NULL) TRY(w->length(w->ctx, (TokenText){w->text.s + w->from, n}, w->from == 0, &n, e));
    w->to += n;
    w->from = position;
    *place = w->to;
    return OK;
}

Status level_below(Arena *a, MarkLevel *parent, TokenText text, const char *base, MarkLength length, void *ctx,
                   MarkLevel *out, Err *e) {
    size_t from = (size_t)(text.s - parent->base), to = from + text.len, cap = 0;
    Walk w = {.text = text, .length = length, .ctx = ctx};
    *out = (MarkLevel){.base = base};
    if (!level_meets(parent, from, to)) return OK;
    for (size_t i = parent->at; i < parent->n && parent->ranges[i].begin < to; i++) {
        TextRange r = parent->ranges[i];
        TextRange mine;
        TRY(walk_to(&w, r.begin > from ? r.begin - from : 0, &mine.begin, e));
        TRY(walk_to(&w, (r.end < to ? r.end : to) - from, &mine.end, e));
        if (mine.begin == mine.end) continue;
        TRY(arena_grow(a, &out->ranges, &cap, out->n, out->n + 1, sizeof mine, e));
        out->ranges[out->n++] = mine;
    }
    return OK;
}

/* The bytes of a piece of text that the id stands for. */
static size_t bytes_of(const Tokenizer *t, int32_t id) {
    if ((t->flags[id] & TOKEN_IS_BYTE) != 0) return 1;
    return table_text(t->bpe.byte_level ? &t->pieces : &t->raw, (size_t)id).len;
}

void level_mark_piece(const Tokenizer *t, MarkLevel *l, size_t from, size_t to, const int32_t *ids, uint8_t *marks,
                      size_t n) {
    size_t sum = 0, at = from;
    if (!level_meets(l, from, to)) return;
    if (l->ranges[l->at].begin <= from && to <= l->ranges[l->at].end) {
        memset(marks, 1, n);
        return;
    }
    for (size_t i = 0; i < n; i++) sum += bytes_of(t, ids[i]);
    bool known = sum == to - from;
    for (size_t i = 0; i < n; i++) {
        size_t end = known ? at + bytes_of(t, ids[i]) : to;
        marks[i] = level_meets(l, at, end);
        at = known ? end : from;
    }
}
