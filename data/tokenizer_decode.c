/* tokenizer_decode.c: ids to text. */
#include "data/tokenizer_internal.h"

#include "base/utf8.h"

#include <string.h>

static const char REPLACEMENT[] = "\xEF\xBF\xBD"; /* U+FFFD */

/* Bytes of the longest prefix of s that could begin a character, at least 1: what one U+FFFD stands for (Unicode's
 * "maximal subpart", as Rust's from_utf8_lossy). s does not begin with a whole character. */
static size_t bad_bytes(const char *s, size_t len) {
    const unsigned char *u = (const unsigned char *)s;
    unsigned lo = 0x80, hi = 0xBF;
    size_t want = u[0] >= 0xC2 && u[0] <= 0xDF ? 2 : (u[0] & 0xF0) == 0xE0 ? 3 : u[0] >= 0xF0 && u[0] <= 0xF4 ? 4 : 1;
    if (u[0] == 0xE0) lo = 0xA0;
    if (u[0] == 0xED) hi = 0x9F;
    if (u[0] == 0xF0) lo = 0x90;
    if (u[0] == 0xF4) hi = 0x8F;
    size_t n = 1;
    for (; n < want && n < len && u[n] >= lo && u[n] <= hi; n++) lo = 0x80, hi = 0xBF;
    return n;
}

static Status add_lossy(Buf *out, const char *s, size_t len, Err *e) {
    for (size_t i = 0; i < len;) {
        size_t good = utf8_valid_prefix(s + i, len - i);
        TRY(buf_add(out, s + i, good, e));
        i += good;
        if (i == len) break;
        TRY(buf_puts(out, REPLACEMENT, e));
        i += bad_bytes(s + i, len - i);
    }
    return OK;
}

/* Ends a run of byte tokens, whose bytes stand in out from `from` on: as a whole UTF-8, or one U+FFFD per byte. */
static Status end_bytes(Buf *out, size_t *from, Err *e) {
    size_t n = out->len - *from;
    if (*from == SIZE_MAX) return OK;
    if (utf8_valid_prefix(out->data + *from, n) != n) {
        out->len = *from;
        for (size_t i = 0; i < n; i++) TRY(buf_puts(out, REPLACEMENT, e));
    }
    *from = SIZE_MAX;
    return OK;
}

static bool is_left_out(const Tokenizer *t, int32_t id, bool skip_special) {
    if (id < 0 || (size_t)id >= t->raw.n || (t->flags[id] & TOKEN_HAS_TEXT) == 0) return true;
    return skip_special && (t->flags[id] & TOKEN_SKIPPED) != 0;
}

/* The first token under Metaspace: without its marks. */
static Status add_first(const Tokenizer *t, int32_t id, Buf *out, Err *e) {
    TokenText s = table_text(&t->raw, (size_t)id);
    for (size_t i = 0; i < s.len;) {
        if (s.len - i >= t->replace_from.len && memcmp(s.s + i, t->replace_from.s, t->replace_from.len) == 0)
            i += t->replace_from.len;
        else
            TRY(buf_putc(out, s.s[i++], e));
    }
    return OK;
}

static Status add_pieces(const Tokenizer *t, const int32_t *ids, size_t n, bool skip_special, Buf *out, Err *e) {
    size_t run = SIZE_MAX; /* where a run of byte tokens began */
    bool first = true;
    for (size_t i = 0; i < n; i++) {
        if (is_left_out(t, ids[i], skip_special)) continue;
        bool is_byte = (t->flags[ids[i]] & TOKEN_IS_BYTE) != 0;
        if (!is_byte) TRY(end_bytes(out, &run, e));
        if (is_byte && run == SIZE_MAX) run = out->len;
        TokenText p = table_text(&t->pieces, (size_t)ids[i]);
        if (t->decode == DECODE_WORDS && !first) TRY(buf_putc(out, ' ', e));
        if (t->decode == DECODE_METASPACE && first && t->strip_start > 0)
            TRY(add_first(t, ids[i], out, e));
        else
            TRY(buf_add(out, p.s, p.len, e));
        first = false;
    }
    return end_bytes(out, &run, e);
}

Status tokenizer_decode(const Tokenizer *t, Arena *a, const int32_t *ids, size_t n, bool skip_special, char **text,
                        size_t *len, Err *e) {
    Buf out = {.arena = a}, lossy = {.arena = a};
    size_t from = 0;
    TRY(buf_add(&out, "", 0, e));
    TRY(add_pieces(t, ids, n, skip_special, &out, e));
    if (t->decode == DECODE_BYTES) {
        size_t good = utf8_valid_prefix(out.data, out.len);
        if (good != out.len) {
            TRY(add_lossy(&lossy, out.data, out.len, e));
            out = lossy;
        }
    } else if (t->decode == DECODE_PIECES) {
        while (from < (size_t)t->strip_start && from < out.len && out.data[from] == ' ') from++;
    }
    *text = out.data + from;
    *len = out.len - from;
    return OK;
}

TokenText tokenizer_piece(const Tokenizer *t, int32_t id, bool first, bool skip_special) {
    if (is_left_out(t, id, skip_special)) return (TokenText){"", 0};
    TokenText p = table_text(&t->pieces, (size_t)id);
    if (t->decode == DECODE_BYTES || t->decode == DECODE_WORDS || !first) return p;
    for (int i = 0; i < t->strip_start && p.len > 0 && p.s[0] == ' '; i++) p.s++, p.len--;
    return p;
}
