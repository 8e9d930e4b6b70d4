/* pretok.c: runs the splits of a pre-tokenizer. The only file that knows PCRE2.
 *
 * Text becomes one byte per character (its kind, pretok_regex.h); each step searches its pattern in every piece on its
 * own, so that what stands outside the piece is never seen. Most patterns are a table of states (pretok_dfa.h); what has none is
 * PCRE2's. The JIT works with the machine's stack; where that is too small
 * (or there is no JIT) the interpreter takes over with memory from the arena. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "data/pretok.h"

#include "data/pretok_dfa.h"
#include "data/unicode.h"

#include <pcre2.h>
#include <string.h>

enum { STEPS_MAX = 16, MATCH_LIMIT = 50 * 1000 * 1000, HEAP_LIMIT_KIB = 256 << 10 };

typedef struct Step {
    Dfa *dfa; /* NULL: */
    pcre2_code *code;
    bool jit, invert;
    SplitBehavior behavior;
} Step;

struct Pretok {
    Step steps[STEPS_MAX];
    size_t n;
    KindMap kinds;
};

typedef struct PieceList {
    Piece *items;
    size_t n, cap;
} PieceList;

/* Where PCRE2's memory comes from; it lives as long as what PCRE2 makes with it. */
typedef struct Memory {
    Arena *arena;
    bool out; /* a request failed */
} Memory;

struct PretokRun {
    const Pretok *pretok;
    Arena *arena;
    Memory *memory;
    pcre2_match_data *match;
    pcre2_match_context *limits;
    uint8_t *kinds;
    size_t cap_kinds;
    PieceList lists[2];
    uint64_t room; /* characters that tables may still read in this text, some again and again */
};

static void *arena_malloc(size_t bytes, void *memory) {
    Memory *m = memory;
    void *p = NULL;
    if (arena_alloc(m->arena, bytes, 1, &p, NULL) == OK) return p;
    m->out = true;
    return NULL;
}

static void arena_free(void *p, void *memory) { (void)p, (void)memory; }

static Status open_memory(Arena *a, Memory **m, pcre2_general_context **context, Err *e) {
    TRY(ARENA_NEW(a, 1, *m, e));
    (*m)->arena = a;
    *context = pcre2_general_context_create(arena_malloc, arena_free, *m);
    if (*context == NULL) FAIL(e, ERR_OOM, "out of memory for a pre-tokenizer");
    return OK;
}

/* ---- compiling ---------------------------------------------------------------------------------------------------- */

static Status compile_step(Arena *a, const Regex *regex, const KindMap *kinds, const PiecesStep *spec, bool tables,
                           Step *out, Err *e) {
    Buf pattern = {.arena = a};
    out->behavior = spec->behavior;
    out->invert = spec->invert;
    if (tables) TRY(dfa_build(a, regex, kinds, &out->dfa, e));
    if (out->dfa != NULL) return OK;
    TRY(regex_emit(regex, kinds, &pattern, e));
    Memory *memory;
    pcre2_general_context *general;
    TRY(open_memory(a, &memory, &general, e));
    pcre2_compile_context *context = pcre2_compile_context_create(general);
    if (context == NULL) FAIL(e, ERR_OOM, "out of memory compiling a pre-tokenizer's pattern");
    int code = 0;
    size_t at = 0;
    out->code =
        pcre2_compile((PCRE2_SPTR)pattern.data, pattern.len, PCRE2_NEVER_UTF | PCRE2_NEVER_UCP, &code, &at, context);
    if (out->code != NULL) out->jit = pcre2_jit_compile(out->code, PCRE2_JIT_COMPLETE) == 0;
    if (memory->out) {
        pcre2_code_free(out->code);
        FAIL(e, ERR_OOM, "out of memory compiling a pre-tokenizer's pattern");
    }
    if (out->code == NULL) {
        char why[128] = "";
        pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof why);
        FAIL(e, ERR_FORMAT, "pattern \"%.*s\": %s", (int)(spec->pattern.len < 200 ? spec->pattern.len : 200),
             spec->pattern.s, why);
    }
    return OK;
}

static Status parse_step(Arena *a, const PiecesStep *s, RegexSets *sets, Regex *out, Err *e) {
    if (s->kind == PIECES_DIGITS) return regex_class(a, UNICODE_NUMERIC, false, sets, out, e);
    if (s->literal) return regex_literal(a, s->pattern.s, s->pattern.len, sets, out, e);
    return regex_parse(a, s->pattern.s, s->pattern.len, sets, out, e);
}

Status pretok_compile_with(Arena *a, const PiecesStep *steps, size_t n, bool tables, Pretok **out, Err *e) {
    Regex regex[STEPS_MAX] = {{0}};
    RegexSets *sets = NULL;
    Pretok *p = NULL;
    if (n > STEPS_MAX) FAIL(e, ERR_FORMAT, "a pre-tokenizer of %zu steps; at most %d", n, STEPS_MAX);
    TRY(ARENA_NEW(a, 1, sets, e));
    TRY(ARENA_NEW(a, 1, p, e));
    for (size_t i = 0; i < n; i++) TRY(parse_step(a, &steps[i], sets, &regex[i], e));
    TRY(kinds_build(a, sets, &p->kinds, e));
    for (size_t i = 0; i < n; i++, p->n++) {
        Status st = compile_step(a, &regex[i], &p->kinds, &steps[i], tables, &p->steps[i], e);
        if (st != OK) {
            pretok_close(p);
            return st;
        }
    }
    *out = p;
    return OK;
}

Status pretok_compile(Arena *a, const PiecesStep *steps, size_t n, Pretok **out, Err *e) {
    return pretok_compile_with(a, steps, n, true, out, e);
}

int pretok_tables(const Pretok *p) {
    int n = 0;
    for (size_t i = 0; i < p->n; i++) n += p->steps[i].dfa != NULL;
    return n;
}

void pretok_close(Pretok *p) {
    if (p == NULL) return;
    for (size_t i = 0; i < p->n; i++) pcre2_code_free(p->steps[i].code);
    p->n = 0;
}

/* ---- running ------------------------------------------------------------------------------------------------------ */

Status pretok_begin(const Pretok *p, Arena *scratch, PretokRun **out, Err *e) {
    PretokRun *r = NULL;
    TRY(ARENA_NEW(scratch, 1, r, e));
    r->pretok = p;
    r->arena = scratch;
    *out = r;
    if (pretok_tables(p) == (int)p->n) return OK;
    pcre2_general_context *general;
    TRY(open_memory(scratch, &r->memory, &general, e));
    r->match = pcre2_match_data_create(1, general);
    r->limits = pcre2_match_context_create(general);
    if (r->match == NULL || r->limits == NULL) FAIL(e, ERR_OOM, "out of memory for a pre-tokenizer");
    pcre2_set_match_limit(r->limits, MATCH_LIMIT);
    pcre2_set_heap_limit(r->limits, HEAP_LIMIT_KIB);
    return OK;
}

/* Finds the step's pattern in kinds[0..n) from `at` on; *found says whether, and where. */
static Status search(PretokRun *r, const Step *s, const uint8_t *kinds, size_t n, size_t at, bool *found,
                     size_t range[2], Err *e) {
    if (s->dfa != NULL) {
        *found = dfa_search(s->dfa, kinds, n, at, range, &r->room);
        if (r->room > 0) return OK;
        FAIL(e, ERR_DATA, "the tokenizer's pattern takes too long on this text of %zu characters", n);
    }
    int rc = PCRE2_ERROR_JIT_STACKLIMIT;
    if (s->jit) rc = pcre2_jit_match(s->code, kinds, n, at, 0, r->match, r->limits);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT) rc = pcre2_match(s->code, kinds, n, at, PCRE2_NO_JIT, r->match, r->limits);
    *found = rc >= 0;
    if (rc == PCRE2_ERROR_NOMATCH) return OK;
    if (r->memory->out) FAIL(e, ERR_OOM, "out of memory for a pre-tokenizer");
    if (rc < 0) {
        char why[128] = "";
        pcre2_get_error_message(rc, (PCRE2_UCHAR *)why, sizeof why);
        FAIL(e, ERR_DATA, "the tokenizer's pattern cannot be matched on this text of %zu characters: %s", n, why);
    }
    const size_t *o = pcre2_get_ovector_pointer(r->match);
    range[0] = o[0];
    range[1] = o[1];
    return OK;
}

/* Pieces of one input piece, put together from its matches and gaps by the step's behavior. */
typedef struct Fold {
    PretokRun *run;
    PieceList *out;
    SplitBehavior behavior;
    bool invert;
    Piece held; /* the piece that may still grow */
    bool holds, previous;
} Fold;

static Status add_piece(PretokRun *r, PieceList *l, size_t from, size_t to, Err *e) {
    if (from == to) return OK;
    if (l->n == l->cap) TRY(arena_grow(r->arena, &l->items, &l->cap, l->n, l->n + 1, sizeof *l->items, e));
    l->items[l->n++] = (Piece){(uint32_t)from, (uint32_t)to};
    return OK;
}

static Status put(Fold *f, Piece p, Err *e) { return add_piece(f->run, f->out, p.from, p.to, e); }

/* A match or a gap, in order. */
static Status fold(Fold *f, size_t from, size_t to, bool is_match, Err *e) {
    Piece p = {(uint32_t)from, (uint32_t)to};
    bool join = false, match = is_match != f->invert;
    switch (f->behavior) {
    case SPLIT_ISOLATED:
        return put(f, p, e);
    case SPLIT_REMOVED:
        return match ? OK : put(f, p, e);
    case SPLIT_CONTIGUOUS:
        join = match == f->previous;
        break;
    case SPLIT_MERGED_WITH_PREVIOUS:
        join = match && !f->previous;
        break;
    case SPLIT_MERGED_WITH_NEXT:
        join = !match && f->previous;
        break;
    }
    f->previous = match;
    if (f->holds && join) {
        f->held.to = p.to;
        return OK;
    }
    if (f->holds) TRY(put(f, f->held, e));
    f->held = p;
    f->holds = true;
    return OK;
}

static Status split_piece(PretokRun *r, const Step *s, Piece p, PieceList *out, Err *e) {
    Fold f = {.run = r, .out = out, .behavior = s->behavior, .invert = s->invert};
    const uint8_t *kinds = r->kinds + p.from;
    size_t n = p.to - p.from, at = 0, done = 0, range[2] = {0, 0};
    bool found = false, any = false;
    while (at <= n) {
        TRY(search(r, s, kinds, n, at, &found, range, e));
        if (!found) break;
        if (range[0] == range[1] && any && range[1] == done) { /* empty, right behind the match before: not a match */
            at++;
            continue;
        }
        if (range[0] > done) TRY(fold(&f, p.from + done, p.from + range[0], false, e));
        TRY(fold(&f, p.from + range[0], p.from + range[1], true, e));
        at = done = range[1];
        any = true;
    }
    if (done < n) TRY(fold(&f, p.from + done, p.to, false, e));
    return f.holds ? put(&f, f.held, e) : OK;
}

/* One byte per character; returns the number of characters. The text is valid UTF-8. */
static size_t classify(const KindMap *map, const char *text, size_t len, uint8_t *kinds) {
    const unsigned char *s = (const unsigned char *)text;
    size_t n = 0;
    for (size_t i = 0; i < len; n++) {
        uint32_t c = s[i];
        if (c < 0x80) {
            i += 1;
        } else if (c < 0xE0) {
            c = (c & 31) << 6 | (s[i + 1] & 63u);
            i += 2;
        } else if (c < 0xF0) {
            c = (c & 15) << 12 | (s[i + 1] & 63u) << 6 | (s[i + 2] & 63u);
            i += 3;
        } else {
            c = (c & 7) << 18 | (s[i + 1] & 63u) << 12 | (s[i + 2] & 63u) << 6 | (s[i + 3] & 63u);
            i += 4;
        }
        kinds[n] = kind_of(map, c);
    }
    return n;
}

/* Pieces counted in characters -> in bytes. */
static void to_bytes(const char *text, PieceList *l) {
    size_t chars = 0, bytes = 0;
    for (size_t i = 0; i < l->n; i++) {
        uint32_t *ends[2] = {&l->items[i].from, &l->items[i].to};
        for (int k = 0; k < 2; k++) {
            for (; chars < *ends[k]; chars++) {
                unsigned char c = (unsigned char)text[bytes];
                bytes += c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
            }
            *ends[k] = (uint32_t)bytes;
        }
    }
}

Status pretok_split(PretokRun *r, const char *text, size_t len, const Piece **pieces, size_t *n, Err *e) {
    const Pretok *p = r->pretok;
    PieceList *in = &r->lists[0], *out = &r->lists[1];
    size_t chars = len;
    CHECK(len <= TOKENIZER_TEXT_MAX, "text of %zu bytes", len);
    r->room = MATCH_LIMIT + 64 * (uint64_t)len;
    if (p->n > 0) {
        if (len > r->cap_kinds) TRY(arena_grow(r->arena, &r->kinds, &r->cap_kinds, 0, len, 1, e));
        chars = classify(&p->kinds, text, len, r->kinds);
    }
    TRY(arena_grow(r->arena, &in->items, &in->cap, 0, 1, sizeof *in->items, e));
    in->items[0] = (Piece){0, (uint32_t)chars};
    in->n = len > 0;
    for (size_t i = 0; i < p->n; i++) {
        out->n = 0;
        for (size_t k = 0; k < in->n; k++) TRY(split_piece(r, &p->steps[i], in->items[k], out, e));
        PieceList *swap = in;
        in = out;
        out = swap;
    }
    if (chars != len) to_bytes(text, in);
    *pieces = in->items;
    *n = in->n;
    return OK;
}
