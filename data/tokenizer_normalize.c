/* tokenizer_normalize.c: the normalizer: NFC, a prefix, replaced texts. */
#define _GNU_SOURCE /* memmem */
#include "data/tokenizer_internal.h"

#include "data/unicode.h"

#include <string.h>

/* A normal form may be GROWTH_MAX times as long as the text, and SPARE_BYTES longer: replacements that grow each other's
 * results would otherwise take any amount of memory. */
enum { GROWTH_MAX = 64, SPARE_BYTES = 256 };

static Status check_growth(size_t bytes, size_t original, Err *e) {
    if (bytes > (size_t)GROWTH_MAX * original + SPARE_BYTES)
        FAIL(e, ERR_DATA, "the tokenizer's normalizer makes %zu bytes of text more than %d times as long", original,
             GROWTH_MAX);
    return OK;
}

static Status replace(TokenText text, TokenText from, TokenText to, size_t original, Buf *out, bool *changed, Err *e) {
    size_t done = 0;
    *changed = false;
    while (done < text.len) {
        const char *hit = memmem(text.s + done, text.len - done, from.s, from.len);
        if (hit == NULL) break;
        *changed = true;
        TRY(buf_add(out, text.s + done, (size_t)(hit - text.s) - done, e));
        TRY(buf_add(out, to.s, to.len, e));
        TRY(check_growth(out->len, original, e));
        done = (size_t)(hit - text.s) + from.len;
    }
    return *changed ? buf_add(out, text.s + done, text.len - done, e) : OK;
}

Status normalize_text(const NormalizeStep *steps, size_t n, Buf bufs[2], Arena *scratch, TokenText text, bool no_prefix,
                      TokenText *out, Err *e) {
    int free_buf = 0;
    const size_t original = text.len;
    for (size_t i = 0; i < n; i++) {
        Buf *b = &bufs[free_buf];
        bool changed = false;
        buf_clear(b);
        switch (steps[i].kind) {
        case NORMALIZE_NFC:
            changed = unicode_nfc_may_change(text.s, text.len);
            if (changed) TRY(unicode_nfc(text.s, text.len, b, scratch, e));
            break;
        case NORMALIZE_PREPEND:
            changed = text.len > 0 && !no_prefix;
            if (changed) TRY(buf_add(b, steps[i].to.s, steps[i].to.len, e));
            if (changed) TRY(buf_add(b, text.s, text.len, e));
            if (changed) TRY(check_growth(b->len, original, e));
            break;
        case NORMALIZE_REPLACE:
            TRY(replace(text, steps[i].from, steps[i].to, original, b, &changed, e));
            break;
        }
        if (!changed) continue;
        text = (TokenText){b->data, b->len};
        free_buf = !free_buf;
    }
    *out = text;
    return OK;
}
