/* pretok_dfa.h: a pre-tokenizer's regex as a table of states, which reads each character once.
 *
 * Where a backtracking engine prefers one way to match over another, a state is the list of places in the regex that are still
 * possible, the preferred first (Thompson, Pike; the "leftmost-first" of RE2). What is found is therefore exactly what the
 * backtracking engine finds. Not every regex has a table: look-behind, look-ahead at more than one character, atomic groups,
 * possessive marks, repeats of what may be empty, and regexes with very many states are left to PCRE2. */
#ifndef LORAC_DATA_PRETOK_DFA_H
#define LORAC_DATA_PRETOK_DFA_H

#include "data/pretok_regex.h"

enum { DFA_PROGRAM_MAX = 1024, DFA_STATES_MAX = 512, DFA_WORK_MAX = 1 << 21 };

/* A regex as instructions. SET: a character of set x. SPLIT: goes on at x, or, less preferred, at y. JUMP: goes on at x.
 * AHEAD: goes on behind when the next character is in set x (x < 0: never) just as y says, the end of the text counting as not in
 * it. MATCH: the end. */
typedef enum DfaOp { DFA_SET, DFA_SPLIT, DFA_JUMP, DFA_AHEAD, DFA_MATCH } DfaOp;
typedef struct DfaInst {
    DfaOp op;
    int x, y;
    bool at_end; /* AHEAD: whether the end of the text will do */
} DfaInst;

typedef struct DfaProgram {
    DfaInst inst[DFA_PROGRAM_MAX];
    int n;
} DfaProgram;

/* The instructions of a parsed regex; false: it is of no kind that has a table. */
bool dfa_program(const Regex *r, DfaProgram *out);

enum { DFA_ENDS = 1u << 31, DFA_DEAD = 0 };

/* next[state + kind] is the state behind a character of that kind, with DFA_ENDS where a match ends in front of it; states are
 * offsets, of rows of kinds and of the end of the text. */
typedef struct Dfa {
    uint32_t *next;
    uint32_t start, n_kinds;               /* the column of the end is n_kinds */
    uint8_t hopeless[REGEX_KINDS_MAX + 1]; /* by kind: no match begins with it */
} Dfa;

/* The table of a regex in the arena; *out is NULL where it has none. */
Status dfa_build(Arena *a, const Regex *r, const KindMap *kinds, Dfa **out, Err *e);

/* The first match in kinds[0..n) that begins at `at` or behind: true, and where it is. *room is what may be read, in characters, and
 * goes down by what is; at 0 the search has ended early. */
bool dfa_search(const Dfa *d, const uint8_t *kinds, size_t n, size_t at, size_t range[2], uint64_t *room);

#endif
