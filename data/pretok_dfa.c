/* pretok_dfa.c: instructions to a table of states, and the search with it; see pretok_dfa.h. */
#include "data/pretok_dfa.h"

#include <string.h>

/* Instructions in order of preference, each once. Only SET, AHEAD and MATCH are kept; nothing comes behind a MATCH. */
typedef struct Places {
    int16_t at[DFA_PROGRAM_MAX];
    int n;
} Places;

typedef struct Builder {
    DfaProgram program;
    const KindMap *kinds;
    uint32_t row;   /* columns: kinds and the end */
    int16_t *lists; /* of all states, one behind the other */
    size_t n_lists, cap_lists, first[DFA_STATES_MAX + 1];
    uint32_t *next;
    size_t n_states, cap_next;
    uint32_t seen[DFA_PROGRAM_MAX]; /* == mark: visited */
    uint32_t here[DFA_PROGRAM_MAX]; /* the same, of a look-ahead's continuation */
    uint32_t mark, here_mark;
    Places places, from, ahead;
    int work;
    bool nested; /* a look-ahead in a look-ahead's continuation: no table */
    Arena *scratch;
} Builder;

/* Adds what can be reached from an instruction without reading a character. */
static void reach(Builder *b, int start, uint32_t *seen, uint32_t mark, Places *out) {
    int16_t stack[2 * DFA_PROGRAM_MAX + 2];
    int n = 0;
    stack[n++] = (int16_t)start;
    while (n > 0) {
        int at = stack[--n];
        const DfaInst *i = &b->program.inst[at];
        b->work++;
        if (seen[at] == mark) continue;
        seen[at] = mark;
        if (i->op == DFA_SPLIT) stack[n++] = (int16_t)i->y;
        if (i->op == DFA_SPLIT || i->op == DFA_JUMP)
            stack[n++] = (int16_t)i->x;
        else
            out->at[out->n++] = (int16_t)at;
    }
}

static bool in_set(const Builder *b, int set, uint32_t kind) {
    return set >= 0 && (b->kinds->members[kind] >> set & 1) != 0;
}

/* Reads a character of a kind (b->row - 1: the end) at each place, the preferred first; true: a match ends here and what comes
 * behind is not wanted. `deep`: the places are a look-ahead's continuation. */
static bool read_kind(Builder *b, const Places *from, uint32_t kind, bool deep) {
    bool end = kind + 1 == b->row;
    for (int k = 0; k < from->n; k++) {
        int at = from->at[k];
        const DfaInst *i = &b->program.inst[at];
        b->work++;
        if (i->op == DFA_MATCH) return true;
        if (i->op == DFA_SET) {
            if (!end && in_set(b, i->x, kind)) reach(b, at + 1, b->seen, b->mark, &b->places);
            continue;
        }
        const bool holds = end ? i->at_end : in_set(b, i->x, kind) == (i->y != 0);
        if (!holds) continue;
        if (deep) b->nested = true;
        if (deep) continue;
        b->ahead.n = 0;
        b->here_mark++;
        reach(b, at + 1, b->here, b->here_mark, &b->ahead);
        if (read_kind(b, &b->ahead, kind, true)) return true;
    }
    return false;
}

/* The state of the places, which may be new; false: too many. */
static Status find_state(Builder *b, const Places *p, uint32_t *state, bool *room, Err *e) {
    int n = 0; /* nothing behind a MATCH is ever taken */
    while (n < p->n) {
        n++;
        if (b->program.inst[p->at[n - 1]].op == DFA_MATCH) break;
    }
    for (size_t s = 0; s < b->n_states; s++) {
        size_t len = b->first[s + 1] - b->first[s];
        b->work++;
        if (len != (size_t)n || (n > 0 && memcmp(b->lists + b->first[s], p->at, len * sizeof *p->at) != 0)) continue;
        *state = (uint32_t)s * b->row;
        return OK;
    }
    *room = b->n_states < DFA_STATES_MAX;
    if (!*room) return OK;
    TRY(arena_grow(b->scratch, &b->lists, &b->cap_lists, b->n_lists, b->n_lists + (size_t)n + 1, sizeof *b->lists, e));
    TRY(arena_grow(b->scratch, &b->next, &b->cap_next, b->n_states * b->row, (b->n_states + 1) * b->row,
                   sizeof *b->next, e));
    if (n > 0) memcpy(b->lists + b->n_lists, p->at, (size_t)n * sizeof *p->at);
    b->n_lists += (size_t)n;
    *state = (uint32_t)b->n_states * b->row;
    b->first[++b->n_states] = b->n_lists;
    return OK;
}

/* All transitions of state s. */
static Status fill_row(Builder *b, size_t s, bool *room, Err *e) {
    b->from.n = (int)(b->first[s + 1] - b->first[s]);
    if (b->from.n > 0) memcpy(b->from.at, b->lists + b->first[s], (size_t)b->from.n * sizeof *b->from.at);
    for (uint32_t kind = 0; kind < b->row && *room && b->work < DFA_WORK_MAX; kind++) {
        uint32_t to = DFA_DEAD;
        b->places.n = 0;
        b->mark++;
        bool ends = read_kind(b, &b->from, kind, false);
        TRY(find_state(b, &b->places, &to, room, e));
        b->next[s * b->row + kind] = to | (ends ? DFA_ENDS : 0);
    }
    return OK;
}

static Status fill(Builder *b, Arena *a, Dfa **out, Err *e) {
    uint32_t start = 0;
    bool room = true;
    Dfa *d = NULL;
    TRY(find_state(b, &b->places, &start, &room, e)); /* no places: DFA_DEAD */
    b->mark++;
    reach(b, 0, b->seen, b->mark, &b->places);
    TRY(find_state(b, &b->places, &start, &room, e));
    for (size_t s = 0; s < b->n_states && room && b->work < DFA_WORK_MAX; s++) TRY(fill_row(b, s, &room, e));
    if (!room || b->nested || b->work >= DFA_WORK_MAX) return OK;
    TRY(ARENA_NEW(a, 1, d, e));
    TRY(ARENA_NEW(a, b->n_states * b->row, d->next, e));
    memcpy(d->next, b->next, b->n_states * b->row * sizeof *d->next);
    d->start = start;
    d->n_kinds = b->row - 1;
    for (uint32_t kind = 0; kind < b->row; kind++) d->hopeless[kind] = d->next[start + kind] == DFA_DEAD;
    *out = d;
    return OK;
}

Status dfa_build(Arena *a, const Regex *r, const KindMap *kinds, Dfa **out, Err *e) {
    Arena *scratch = NULL;
    Builder *b = NULL;
    *out = NULL;
    TRY(arena_open(&scratch, "pre-tokenizer", e));
    Status st = ARENA_NEW(scratch, 1, b, e);
    if (st == OK) {
        b->scratch = scratch;
        b->kinds = kinds;
        b->row = (uint32_t)kinds->n_kinds + 1;
        if (dfa_program(r, &b->program)) st = fill(b, a, out, e);
    }
    arena_close(scratch);
    return st;
}

bool dfa_search(const Dfa *d, const uint8_t *kinds, size_t n, size_t at, size_t range[2], uint64_t *room) {
    const uint32_t *next = d->next;
    for (; at <= n && *room > 0; at++) {
        while (at < n && d->hopeless[kinds[at]]) at++;
        size_t end = SIZE_MAX, i = at;
        uint32_t state = d->start;
        for (; i < n; i++) {
            uint32_t to = next[state + kinds[i]];
            if ((to & DFA_ENDS) != 0) end = i;
            state = to & ~(uint32_t)DFA_ENDS;
            if (state == DFA_DEAD) break;
        }
        if (i == n && (next[state + d->n_kinds] & DFA_ENDS) != 0) end = n;
        *room -= i - at + 1 < *room ? i - at + 1 : *room;
        if (end == SIZE_MAX) continue;
        range[0] = at;
        range[1] = end;
        return true;
    }
    return false;
}
