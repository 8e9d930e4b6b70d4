/* unicode_nfc.c: normalization form C with the data of Unicode 9, which is what Hugging Face's NFC knows. The only file
 * that knows utf8proc, whose data is newer.
 *
 * Characters of Unicode 9 never change their mappings later (stability policy), so utf8proc is right for them; characters
 * younger than 9 that it would touch (unicode_is_young) are kept from it: they are inert starters here, and an inert
 * starter blocks reordering and composition across it. A segment therefore begins at an inert character (or right after a
 * young one) and ends before the next inert one; only segments that hold a character with UNICODE_COMPOSES can change. */
#include "data/unicode.h"

#include "base/utf8.h"

#include <string.h>
#include <utf8proc.h>

enum { DECOMPOSED_MAX = 32, SHORT_RUN = 16, CLASSES = 256 };

/* Growing buffers of one call. */
typedef struct Nfc {
    Arena *scratch;
    utf8proc_int32_t *cps; /* the decomposed segment */
    uint8_t *ccc;
    utf8proc_int32_t *sorted;
    size_t n, cap_cps, cap_ccc, cap_sorted;
} Nfc;

static Status add_decomposed(Nfc *s, uint32_t cp, Err *e) {
    utf8proc_int32_t d[DECOMPOSED_MAX];
    int bound = 0;
    utf8proc_ssize_t k =
        utf8proc_decompose_char((utf8proc_int32_t)cp, d, DECOMPOSED_MAX, UTF8PROC_DECOMPOSE | UTF8PROC_STABLE, &bound);
    CHECK(k >= 0 && k <= DECOMPOSED_MAX, "decomposition of U+%04X", cp);
    TRY(arena_grow(s->scratch, &s->cps, &s->cap_cps, s->n, s->n + (size_t)k, sizeof *s->cps, e));
    TRY(arena_grow(s->scratch, &s->ccc, &s->cap_ccc, s->n, s->n + (size_t)k, sizeof *s->ccc, e));
    for (utf8proc_ssize_t i = 0; i < k; i++, s->n++) {
        s->cps[s->n] = d[i];
        s->ccc[s->n] = (uint8_t)utf8proc_get_property(d[i])->combining_class;
    }
    return OK;
}

/* Canonical ordering of one run of non-starters [from, to): a stable sort by class. */
static Status order_run(Nfc *s, size_t from, size_t to, Err *e) {
    size_t n = to - from;
    utf8proc_int32_t *cps = s->cps + from;
    uint8_t *ccc = s->ccc + from;
    if (n <= SHORT_RUN) {
        for (size_t i = 1; i < n; i++)
            for (size_t k = i; k > 0 && ccc[k - 1] > ccc[k]; k--) {
                utf8proc_int32_t c = cps[k];
                uint8_t x = ccc[k];
                cps[k] = cps[k - 1], ccc[k] = ccc[k - 1];
                cps[k - 1] = c, ccc[k - 1] = x;
            }
        return OK;
    }
    TRY(arena_grow(s->scratch, &s->sorted, &s->cap_sorted, 0, n, sizeof *s->sorted, e));
    size_t at[CLASSES + 1] = {0};
    for (size_t i = 0; i < n; i++) at[ccc[i] + 1]++;
    for (int c = 0; c < CLASSES; c++) at[c + 1] += at[c];
    size_t start[CLASSES + 1];
    memcpy(start, at, sizeof start);
    for (size_t i = 0; i < n; i++) s->sorted[at[ccc[i]]++] = cps[i];
    memcpy(cps, s->sorted, n * sizeof *cps);
    for (int c = 0; c < CLASSES; c++)
        for (size_t i = start[c]; i < start[c + 1]; i++) ccc[i] = (uint8_t)c;
    return OK;
}

/* Decomposes, orders and composes one segment. */
static Status add_segment(Nfc *s, const char *text, size_t len, Buf *out, Err *e) {
    s->n = 0;
    for (size_t i = 0; i < len;) {
        uint32_t cp = 0;
        i += (size_t)utf8_decode(text + i, len - i, &cp);
        TRY(add_decomposed(s, cp, e));
    }
    for (size_t i = 0; i < s->n;) {
        size_t k = i;
        while (k < s->n && s->ccc[k] != 0) k++;
        if (k > i) TRY(order_run(s, i, k, e));
        i = k + (k < s->n);
    }
    utf8proc_ssize_t n = utf8proc_normalize_utf32(s->cps, (utf8proc_ssize_t)s->n, UTF8PROC_COMPOSE | UTF8PROC_STABLE);
    CHECK(n >= 0, "composition of %zu characters", s->n);
    for (utf8proc_ssize_t i = 0; i < n; i++) {
        char u[4];
        TRY(buf_add(out, u, (size_t)utf8_encode((uint32_t)s->cps[i], u), e));
    }
    return OK;
}

/* All characters below U+0300 are their own normal form and combine with nothing before them. */
static bool composes(uint32_t cp) { return cp >= 0x300 && (unicode_value(cp) & UNICODE_COMPOSES) != 0; }

bool unicode_nfc_may_change(const char *text, size_t len) {
    for (size_t i = 0; i < len;) {
        if ((unsigned char)text[i] < 0xCC) { /* lead bytes below U+0300 */
            i++;
            continue;
        }
        uint32_t cp = 0;
        i += (size_t)utf8_decode(text + i, len - i, &cp);
        if (composes(cp)) return true;
    }
    return false;
}

Status unicode_nfc(const char *text, size_t len, Buf *out, Arena *scratch, Err *e) {
    Nfc s = {.scratch = scratch};
    size_t done = 0;           /* bytes already in out */
    size_t before = 0;         /* where the character before i begins */
    bool before_inert = false; /* it may begin a segment */
    for (size_t i = 0; i < len;) {
        uint32_t cp = 0;
        size_t k = (size_t)utf8_decode(text + i, len - i, &cp);
        if (!composes(cp)) {
            before = i;
            before_inert = cp < 0x300 || !unicode_is_young(cp);
            i += k;
            continue;
        }
        size_t from = before_inert && before >= done ? before : i, to = i + k;
        while (to < len) {
            k = (size_t)utf8_decode(text + to, len - to, &cp);
            if (!composes(cp)) break;
            to += k;
        }
        TRY(buf_add(out, text + done, from - done, e));
        TRY(add_segment(&s, text + from, to - from, out, e));
        done = i = to;
        before_inert = false;
    }
    return buf_add(out, text + done, len - done, e);
}
