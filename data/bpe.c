/* bpe.c: from a piece of text to the first symbols; tables of tokens and pairs. Merging is in bpe_merge.c. */
#include "data/bpe.h"

#include "base/utf8.h"
#include "data/bpe_merge.h"

#include <stdio.h>
#include <string.h>

enum { MARK = 0x2581 };

/* ---- tables ------------------------------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t a, uint64_t b) {
    unsigned __int128 p = (unsigned __int128)a * b;
    return (uint64_t)p ^ (uint64_t)(p >> 64);
}

static uint64_t hash_text(const char *s, size_t len) {
    uint64_t h = 0x9E3779B97F4A7C15u ^ len, w;
    for (; len >= 8; s += 8, len -= 8) {
        memcpy(&w, s, 8);
        h = mix(h ^ w, 0xD6E8FEB86659FD93u);
    }
    w = 0;
    if (len > 0) memcpy(&w, s, len);
    return mix(h ^ w, 0xA0761D6478BD642Fu);
}

/* The power of two that keeps n entries at most two thirds full. */
static uint64_t table_size(size_t n) {
    uint64_t size = 16;
    while (size < n + n / 2 + 1) size *= 2;
    return size;
}

Status index_open(Arena *a, const TokenTable *table, size_t n, TextIndex *out, Err *e) {
    uint64_t size = table_size(n);
    out->table = table;
    out->mask = size - 1;
    return ARENA_NEW(a, size, out->slots, e);
}

static bool same(TokenText t, const char *s, size_t len) { return t.len == len && memcmp(t.s, s, len) == 0; }

int32_t index_add(TextIndex *x, int32_t id) {
    TokenText t = table_text(x->table, (size_t)id);
    uint64_t i = hash_text(t.s, t.len) & x->mask;
    for (; x->slots[i] != 0; i = (i + 1) & x->mask)
        if (same(table_text(x->table, x->slots[i] - 1), t.s, t.len)) return (int32_t)(x->slots[i] - 1);
    x->slots[i] = (uint32_t)id + 1;
    return -1;
}

int32_t index_find(const TextIndex *x, const char *s, size_t len) {
    uint64_t i = hash_text(s, len) & x->mask;
    for (; x->slots[i] != 0; i = (i + 1) & x->mask)
        if (same(table_text(x->table, x->slots[i] - 1), s, len)) return (int32_t)(x->slots[i] - 1);
    return -1;
}

Status pairs_open(Arena *a, size_t n, PairTable *out, Err *e) {
    uint64_t size = table_size(n);
    TRY(ARENA_NEW(a, size, out->slots, e));
    for (uint64_t i = 0; i < size; i++) out->slots[i].left = -1;
    out->mask = size - 1;
    return OK;
}

void pairs_put(PairTable *t, PairEntry p) {
    uint64_t i = pair_hash(p.left, p.right) & t->mask;
    while (t->slots[i].left >= 0 && (t->slots[i].left != p.left || t->slots[i].right != p.right)) i = (i + 1) & t->mask;
    t->slots[i] = p;
}

/* ---- GPT-2's alphabet of bytes ------------------------------------------------------------------------------------- */

static bool is_own_letter(unsigned b) { return (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b != 0xAD); }

uint32_t byte_letter(uint8_t byte) {
    uint32_t n = 0;
    if (is_own_letter(byte)) return byte;
    for (unsigned b = 0; b < byte; b++) n += !is_own_letter(b);
    return 0x100 + n;
}

int letter_byte(uint32_t cp) {
    if (cp < 0x100) return is_own_letter(cp) ? (int)cp : -1;
    if (cp < 0x121) return (int)(cp - 0x100);        /* 0x00..0x20 */
    if (cp < 0x143) return (int)(cp - 0x121 + 0x7F); /* 0x7F..0xA0 */
    return cp == 0x143 ? 0xAD : -1;
}

/* ---- preparation ---------------------------------------------------------------------------------------------------- */

/* Whether the mark stands at text[i]. */
static bool is_mark(const char *text, size_t left) {
    return left >= 3 && (unsigned char)text[0] == 0xE2 && (unsigned char)text[1] == 0x96 &&
           (unsigned char)text[2] == 0x81;
}

/* The character that ends before text + at; at > 0. */
static uint32_t char_before(const char *text, size_t at) {
    uint32_t cp = 0;
    size_t k = at;
    do k--;
    while (k > 0 && ((unsigned char)text[k] & 0xC0) == 0x80);
    utf8_decode(text + k, at - k, &cp);
    return cp;
}

/* Which characters stand side by side inside a token. Too many before the mark: no cutting there at all. */
static void find_joined(Bpe *b, const TokenTable *raw, const uint8_t *added_only) {
    bool cuts = index_find(b->texts, "\xE2\x96\x81", 3) >= 0;
    for (size_t id = 0; id < raw->n; id++) {
        if (added_only != NULL && added_only[id]) continue;
        TokenText t = table_text(raw, id);
        for (size_t i = 1; i < t.len; i++) {
            unsigned char before = (unsigned char)t.s[i - 1], c = (unsigned char)t.s[i];
            if ((before | c) < 0x80) {
                b->joined[before][c >> 6] |= (uint64_t)1 << (c & 63);
            } else if (cuts && c == 0xE2 && is_mark(t.s + i, t.len - i)) {
                uint32_t cp = char_before(t.s, i);
                size_t k = 0;
                while (k < b->n_glue && b->glue[k] != cp) k++;
                if (k == sizeof b->glue / sizeof b->glue[0])
                    cuts = false;
                else if (k == b->n_glue)
                    b->glue[b->n_glue++] = cp;
            }
        }
    }
    /* A character that is no token is no border: its neighbours may become one unknown token with it. */
    for (int i = 0; i < 128; i++)
        for (int k = 0; k < 128; k++)
            if (b->ascii_ids[i] < 0 || b->ascii_ids[k] < 0) b->joined[i][k >> 6] |= (uint64_t)1 << (k & 63);
    if (cuts) b->mark = MARK;
}

void bpe_prepare(Bpe *b, const TokenTable *raw, const uint8_t *added_only) {
    b->all_bytes = true;
    for (int i = 0; i < 256; i++) {
        char text[8];
        size_t n = b->byte_level ? (size_t)utf8_encode(byte_letter((uint8_t)i), text)
                                 : (size_t)snprintf(text, sizeof text, "<0x%02X>", (unsigned)i);
        b->byte_ids[i] = index_find(b->texts, text, n);
        if (b->byte_ids[i] < 0) b->all_bytes = false;
    }
    for (int i = 0; i < 128; i++) {
        char c = (char)i;
        b->ascii_ids[i] = index_find(b->texts, &c, 1);
    }
    if (!b->byte_level) find_joined(b, raw, added_only);
}

Status bpe_add_merges(Arena *a, Bpe *b, const TokenMerge *merges, size_t n, Err *e) {
    char *whole = NULL;
    size_t longest = 0;
    for (size_t i = 0; i < n; i++)
        if (merges[i].left.len + merges[i].right.len > longest) longest = merges[i].left.len + merges[i].right.len;
    TRY(pairs_open(a, n, &b->pairs, e));
    TRY(ARENA_NEW(a, longest, whole, e));
    for (size_t i = 0; i < n; i++) {
        TokenText parts[3] = {merges[i].left, merges[i].right, {whole, merges[i].left.len + merges[i].right.len}};
        int32_t ids[3];
        memcpy(whole, parts[0].s, parts[0].len);
        memcpy(whole + parts[0].len, parts[1].s, parts[1].len);
        for (int k = 0; k < 3; k++) {
            ids[k] = index_find(b->texts, parts[k].s, parts[k].len);
            if (ids[k] < 0)
                FAIL(e, ERR_FORMAT, "merge %zu: \"%.*s\" is no token of the vocabulary", i,
                     (int)(parts[k].len < 100 ? parts[k].len : 100), parts[k].s);
        }
        pairs_put(&b->pairs, (PairEntry){ids[0], ids[1], (uint32_t)i, ids[2]});
    }
    return OK;
}

/* ---- encoding ------------------------------------------------------------------------------------------------------- */

static Status reserve(BpeWork *w, size_t more, Err *e) {
    return arena_grow(w->arena, &w->ids, &w->cap, w->n, w->n + more, sizeof *w->ids, e);
}

/* Symbols of unknown characters are held back, so that neighbours can be fused into one. */
typedef struct Unknown {
    bool held;
} Unknown;

static void flush(const Bpe *b, BpeWork *w, Unknown *u) {
    if (u->held) w->ids[w->n++] = b->unk;
    u->held = false;
}

static void unknown(const Bpe *b, BpeWork *w, Unknown *u) {
    if (b->unk < 0) return; /* Hugging Face drops the character */
    if (!b->fuse_unk) flush(b, w, u);
    u->held = true;
}

static Status encode_bytes(const Bpe *b, BpeWork *w, const char *piece, size_t len, Err *e) {
    size_t from = w->n;
    Unknown u = {false};
    TRY(reserve(w, len + 1, e));
    for (size_t i = 0; i < len; i++) {
        int32_t id = b->byte_ids[(unsigned char)piece[i]];
        if (id >= 0) {
            flush(b, w, &u);
            w->ids[w->n++] = id;
        } else {
            unknown(b, w, &u);
        }
    }
    flush(b, w, &u);
    return bpe_merge(b, w, from, e);
}

static int32_t find_char(const Bpe *b, const char *s, size_t n) {
    return n == 1 ? b->ascii_ids[(unsigned char)*s] : index_find(b->texts, s, n);
}

/* The bytes of a character as "<0xHH>" tokens, if all of them exist. */
static bool fall_back(const Bpe *b, BpeWork *w, const char *s, size_t n) {
    if (!b->byte_fallback) return false;
    for (size_t i = 0; i < n && !b->all_bytes; i++)
        if (b->byte_ids[(unsigned char)s[i]] < 0) return false;
    for (size_t i = 0; i < n; i++) w->ids[w->n++] = b->byte_ids[(unsigned char)s[i]];
    return true;
}

static bool is_glue(const Bpe *b, uint32_t cp) {
    for (size_t i = 0; i < b->n_glue; i++)
        if (b->glue[i] == cp) return true;
    return false;
}

/* One segment: no border inside matters. */
static Status encode_chars(const Bpe *b, BpeWork *w, const char *piece, size_t len, Err *e) {
    size_t from = w->n;
    Unknown u = {false};
    for (size_t i = 0; i < len;) {
        uint32_t cp = 0;
        size_t k = (size_t)utf8_decode(piece + i, len - i, &cp);
        TRY(reserve(w, k + 2, e));
        int32_t id = find_char(b, piece + i, k);
        if (id >= 0) {
            flush(b, w, &u);
            w->ids[w->n++] = id;
        } else if (!fall_back(b, w, piece + i, k)) {
            unknown(b, w, &u);
        }
        i += k;
    }
    flush(b, w, &u);
    return bpe_merge(b, w, from, e);
}

/* Whether a character that is a token ends before text + at, one that no token has before the mark. */
static bool ends_before_mark(const Bpe *b, const char *text, size_t at) {
    size_t k = at;
    do k--;
    while (k > 0 && ((unsigned char)text[k] & 0xC0) == 0x80);
    return !is_glue(b, char_before(text, at)) && find_char(b, text + k, at - k) >= 0;
}

/* The length of the first segment of a piece: what is merged apart from what follows. */
static size_t segment(const Bpe *b, const char *piece, size_t len) {
    unsigned char before = (unsigned char)piece[0];
    for (size_t i = 1; i < len; i++) {
        unsigned char c = (unsigned char)piece[i];
        if ((before | c) < 0x80) {
            if ((b->joined[before][c >> 6] >> (c & 63) & 1) == 0) return i;
        } else if (c == 0xE2 && b->mark != 0 && is_mark(piece + i, len - i) && ends_before_mark(b, piece, i)) {
            return i;
        }
        before = c;
    }
    return len;
}

static Status add_id(BpeWork *w, int32_t id, Err *e) {
    TRY(reserve(w, 1, e));
    w->ids[w->n++] = id;
    return OK;
}

static Status encode_new(const Bpe *b, BpeWork *w, const char *piece, size_t len, Err *e) {
    if (!b->byte_level) return encode_chars(b, w, piece, len, e);
    int32_t id = b->whole != NULL ? index_find(b->whole, piece, len) : -1;
    return id >= 0 ? add_id(w, id, e) : encode_bytes(b, w, piece, len, e);
}

static Status encode_cached(const Bpe *b, BpeWork *w, const char *piece, size_t len, Err *e) {
    if (w->cache == NULL || len > PIECE_CACHE_BYTES) return encode_new(b, w, piece, len, e);
    PieceKey key = piece_key(piece, len);
    size_t place = piece_place(&key), from = w->n;
    const CachedPiece *p = piece_cache_find(w->cache, &key, place);
    if (p == NULL) {
        TRY(encode_new(b, w, piece, len, e));
        piece_cache_put(w->cache, &key, place, w->ids + from, w->n - from);
        return OK;
    }
    if (w->cap - w->n < PIECE_CACHE_IDS) TRY(reserve(w, PIECE_CACHE_IDS, e));
    memcpy(w->ids + w->n, p->ids, sizeof p->ids);
    w->n += p->n;
    return OK;
}

Status bpe_encode(const Bpe *b, BpeWork *w, const char *piece, size_t len, Err *e) {
    if (b->byte_level) return encode_cached(b, w, piece, len, e);
    int32_t id = b->whole != NULL ? index_find(b->whole, piece, len) : -1;
    if (id >= 0) return add_id(w, id, e);
    for (size_t at = 0; at < len;) {
        size_t n = segment(b, piece + at, len - at);
        TRY(encode_cached(b, w, piece + at, n, e));
        at += n;
    }
    return OK;
}
