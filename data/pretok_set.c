/* pretok_set.c: sets of code points; see pretok_set.h. */
#include "data/pretok_set.h"

#include "data/unicode.h"

#include <stdlib.h>
#include <string.h>

Status charset_add(Arena *a, CharSet *s, uint32_t first, uint32_t last, Err *e) {
    TRY(arena_grow(a, &s->ranges, &s->cap, s->n, s->n + 1, sizeof *s->ranges, e));
    s->ranges[s->n++] = (CharRange){first, last};
    return OK;
}

static int by_first(const void *x, const void *y) {
    const CharRange *a = x, *b = y;
    return a->first < b->first ? -1 : a->first > b->first;
}

void charset_settle(CharSet *s) {
    if (s->n == 0) return;
    qsort(s->ranges, s->n, sizeof *s->ranges, by_first);
    size_t k = 0;
    for (size_t i = 1; i < s->n; i++) {
        CharRange r = s->ranges[i];
        if (r.first <= s->ranges[k].last + 1) {
            if (r.last > s->ranges[k].last) s->ranges[k].last = r.last;
        } else {
            s->ranges[++k] = r;
        }
    }
    s->n = k + 1;
}

Status charset_add_set(Arena *a, CharSet *s, const CharSet *other, Err *e) {
    for (size_t i = 0; i < other->n; i++) TRY(charset_add(a, s, other->ranges[i].first, other->ranges[i].last, e));
    charset_settle(s);
    return OK;
}

Status charset_complement(Arena *a, const CharSet *s, CharSet *out, Err *e) {
    CharSet rest = {0};
    uint32_t next = 0;
    for (size_t i = 0; i < s->n; i++) {
        if (s->ranges[i].first > next) TRY(charset_add(a, &rest, next, s->ranges[i].first - 1, e));
        next = s->ranges[i].last + 1;
    }
    if (next < UNICODE_END) TRY(charset_add(a, &rest, next, UNICODE_END - 1, e));
    *out = rest;
    return OK;
}

Status charset_add_class(Arena *a, CharSet *s, uint32_t categories, unsigned bits, Err *e) {
    for (size_t i = 0; i < unicode_runs(); i++) {
        unsigned v = unicode_run_value(i);
        if ((categories >> (v & UNICODE_CATEGORY) & 1) != 0 || (v & bits) != 0)
            TRY(charset_add(a, s, unicode_run_first(i), unicode_run_first(i + 1) - 1, e));
    }
    charset_settle(s);
    return OK;
}

Status charset_add_space(Arena *a, CharSet *s, Err *e) {
    for (uint32_t c = 0; c <= 0x3000; c++)
        if (unicode_is_space(c)) TRY(charset_add(a, s, c, c, e));
    charset_settle(s);
    return OK;
}

Status charset_add_word(Arena *a, CharSet *s, Err *e) {
    enum { ZWNJ = 0x200C, ZWJ = 0x200D };
    static const uint32_t ALSO[] = {0xB2, 0xB3, 0xB9, 0xBC, 0xBD, 0xBE};
    CharSet rust = {0};
    TRY(charset_add_class(a, &rust, 0, UNICODE_WORD, e));
    for (size_t i = 0; i < rust.n; i++) {
        CharRange r = rust.ranges[i];
        if (r.first == ZWNJ && r.last == ZWJ) continue;
        TRY(charset_add(a, s, r.first, r.last, e));
    }
    for (size_t i = 0; i < sizeof ALSO / sizeof ALSO[0]; i++) TRY(charset_add(a, s, ALSO[i], ALSO[i], e));
    charset_settle(s);
    return OK;
}

Status charset_fold(Arena *a, CharSet *s, Err *e) {
    size_t n = s->n;
    for (size_t i = 0; i < n; i++)
        for (uint32_t c = s->ranges[i].first; c <= s->ranges[i].last && c < 0x80; c++) {
            uint32_t lower = c | 0x20;
            if (lower < 'a' || lower > 'z') continue;
            TRY(charset_add(a, s, c ^ 0x20, c ^ 0x20, e));
            if (lower == 's') TRY(charset_add(a, s, 0x17F, 0x17F, e));
            if (lower == 'k') TRY(charset_add(a, s, 0x212A, 0x212A, e));
        }
    charset_settle(s);
    return OK;
}

bool charset_equal(const CharSet *a, const CharSet *b) {
    return a->n == b->n && (a->n == 0 || memcmp(a->ranges, b->ranges, a->n * sizeof *a->ranges) == 0);
}
