/* pretok_kinds.c: from sets of code points to kinds of characters, and a parsed regex written over them. */
#include "data/pretok_regex.h"

#include "data/unicode.h"

#include <stdlib.h>
#include <string.h>

static int by_value(const void *x, const void *y) {
    uint32_t a = *(const uint32_t *)x, b = *(const uint32_t *)y;
    return a < b ? -1 : a > b;
}

/* All places where a set begins or ends, ascending, each once, with 0 and UNICODE_END. */
static Status boundaries(Arena *a, const RegexSets *sets, uint32_t **out, size_t *n, Err *e) {
    size_t total = 2, k = 0;
    for (int s = 0; s < sets->n; s++) total += 2 * sets->sets[s].n;
    uint32_t *b = NULL;
    TRY(ARENA_NEW(a, total, b, e));
    b[k++] = 0;
    b[k++] = UNICODE_END;
    for (int s = 0; s < sets->n; s++)
        for (size_t i = 0; i < sets->sets[s].n; i++) {
            b[k++] = sets->sets[s].ranges[i].first;
            b[k++] = sets->sets[s].ranges[i].last + 1;
        }
    qsort(b, k, sizeof *b, by_value);
    size_t m = 1;
    for (size_t i = 1; i < k; i++)
        if (b[i] != b[m - 1]) b[m++] = b[i];
    *out = b;
    *n = m;
    return OK;
}

static Status kind_for(KindMap *k, uint64_t members, uint8_t *out, Err *e) {
    for (int i = 0; i < k->n_kinds; i++)
        if (k->members[i] == members) {
            *out = (uint8_t)i;
            return OK;
        }
    if (k->n_kinds == REGEX_KINDS_MAX)
        FAIL(e, ERR_FORMAT, "the pre-tokenizer's patterns tell more than %d kinds of characters apart",
             REGEX_KINDS_MAX);
    k->members[k->n_kinds] = members;
    *out = (uint8_t)k->n_kinds++;
    return OK;
}

/* Finds or adds a block of 256 kinds. */
static Status block_for(Arena *a, KindMap *k, const uint8_t block[256], uint16_t *out, Err *e) {
    for (size_t i = k->n_blocks; i > 0; i--)
        if (memcmp(k->kinds[i - 1], block, 256) == 0) {
            *out = (uint16_t)(i - 1);
            return OK;
        }
    TRY(arena_grow(a, &k->kinds, &k->cap, k->n_blocks, k->n_blocks + 1, sizeof *k->kinds, e));
    memcpy(k->kinds[k->n_blocks], block, 256);
    *out = (uint16_t)k->n_blocks++;
    return OK;
}

Status kinds_build(Arena *a, const RegexSets *sets, KindMap *out, Err *e) {
    uint32_t *b = NULL;
    size_t n = 0, at[REGEX_SETS_MAX] = {0};
    uint16_t by_kind[REGEX_KINDS_MAX] = {
        0}; /* the block, + 1, that is of this kind all through: most blocks are such */
    uint8_t block[256];
    out->n_kinds = 0;
    TRY(boundaries(a, sets, &b, &n, e));
    for (size_t i = 0; i + 1 < n; i++) {
        uint64_t members = 0;
        for (int s = 0; s < sets->n; s++) {
            const CharSet *set = &sets->sets[s];
            while (at[s] < set->n && set->ranges[at[s]].last < b[i]) at[s]++;
            if (at[s] < set->n && set->ranges[at[s]].first <= b[i]) members |= (uint64_t)1 << s;
        }
        uint8_t kind = 0;
        TRY(kind_for(out, members, &kind, e));
        for (uint32_t cp = b[i]; cp < b[i + 1];) {
            uint32_t end = (cp | 255) + 1 < b[i + 1] ? (cp | 255) + 1 : b[i + 1];
            memset(block + (cp & 255), kind, end - cp);
            bool whole = end - cp == 256;
            uint16_t *to = &out->blocks[cp >> 8];
            if (whole && by_kind[kind] > 0)
                *to = (uint16_t)(by_kind[kind] - 1);
            else if ((end & 255) == 0)
                TRY(block_for(a, out, block, to, e));
            if (whole) by_kind[kind] = (uint16_t)(*to + 1);
            cp = end;
        }
    }
    return OK;
}

static Status emit_set(const KindMap *kinds, int set, Buf *out, Err *e) {
    int n = 0, only = 0;
    for (int k = 0; k < kinds->n_kinds; k++)
        if (kinds->members[k] >> set & 1) n++, only = k;
    if (n == 0) return buf_puts(out, "(?!)", e);
    if (n == 1) return buf_printf(out, e, "\\x%02x", (unsigned)only);
    TRY(buf_putc(out, '[', e));
    for (int k = 0; k < kinds->n_kinds; k++)
        if (kinds->members[k] >> set & 1) TRY(buf_printf(out, e, "\\x%02x", (unsigned)k));
    return buf_putc(out, ']', e);
}

Status regex_emit(const Regex *r, const KindMap *kinds, Buf *out, Err *e) {
    for (size_t i = 0; i < r->n; i++) {
        if (r->items[i].set < 0)
            TRY(buf_putc(out, r->items[i].raw, e));
        else
            TRY(emit_set(kinds, r->items[i].set, out, e));
    }
    return OK;
}
