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
    uint64_t h = 0x9E3779B97F4A7C15u ^ len;
    for (; len >= 8; s += 8, len -= 8) h = mix(h ^ piece_word(s, 8), 0xD6E8FEB86659FD93u);
    return mix(h ^ piece_word(s, len), 0xA0761D6478BD642Fu);
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

static bool same(TokenText t, const char *s, size_t len) {
    if (t.len != len) return false;
    return len <= 8 ? piece_word(t.s, len) == piece_word(s, len) : memcmp(t.s, s, len) == 0;
}

/* The slot of a text, or the free one where it would be. */
static uint64_t *find_slot(const TextIndex *x, const char *s, size_t len, uint64_t hash) {
    for (uint64_t i = hash & x->mask;; i = (i + 1) & x->mask) {
        uint64_t slot = x->slots[i];
        if (slot == 0 || (slot >> 32 == hash >> 32 && same(table_text(x->table, (uint32_t)slot - 1), s, len)))
            return &x->slots[i];
    }
}

static int32_t add_hashed(TextIndex *x, int32_t id, uint64_t hash) {
    TokenText t = table_text(x->table, (size_t)id);
    uint64_t *slot = find_slot(x, t.s, t.len, hash);
    if (*slot != 0) return (int32_t)((uint32_t)*slot - 1);
    *slot = (hash >> 32) << 32 | ((uint32_t)id + 1);
    return -1;
}

static uint64_t hash_of(const TextIndex *x, size_t id) {
    TokenText t = table_text(x->table, id);
    return hash_text(t.s, t.len);
}

int32_t index_add(TextIndex *x, int32_t id) { return add_hashed(x, id, hash_of(x, (size_t)id)); }

bool index_add_all(TextIndex *x, const uint8_t *kinds, int32_t *id, int32_t *other) {
    enum { AHEAD = 16 }; /* so many slots are on their way from memory */
    uint64_t hashes[AHEAD] = {0};
    size_t n = x->table->n;
    for (size_t i = 0; i < n + AHEAD; i++) {
        uint64_t hash = hashes[i % AHEAD];
        if (i < n) {
            hashes[i % AHEAD] = hash_of(x, i);
            __builtin_prefetch(&x->slots[hashes[i % AHEAD] & x->mask], 1);
        }
        if (i < AHEAD || kinds[i - AHEAD] == TOKEN_ABSENT) continue;
        *id = (int32_t)(i - AHEAD);
        *other = add_hashed(x, *id, hash);
        if (*other >= 0) return false;
    }
    return true;
}

static int32_t find_hashed(const TextIndex *x, const char *s, size_t len, uint64_t hash) {
    int32_t id = (int32_t)(uint32_t)*find_slot(x, s, len, hash) - 1;
    return id >= 0 && x->hidden != NULL && x->hidden[id] ? -1 : id;
}

int32_t index_find(const TextIndex *x, const char *s, size_t len) { return find_hashed(x, s, len, hash_text(s, len)); }

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

/* Merges are added in groups: what the first step asks memory for is there when a later one needs it. */
enum { GROUP = 16 };

typedef struct MergeGroup {
    uint64_t hashes[GROUP][2]; /* of left and right */
    PairEntry pairs[GROUP];
    size_t n;
} MergeGroup;

static Status no_token(size_t merge, TokenText t, Err *e) {
    FAIL(e, ERR_FORMAT, "merge %zu: \"%.*s\" is no token of the vocabulary", merge, (int)(t.len < 100 ? t.len : 100),
         t.s);
}

/* What a look-up reads is asked for in three steps, each of which reads what the one before asked for. */
static void prefetch(const TextIndex *x, uint64_t hash, int step) {
    if (step == 0) {
        __builtin_prefetch(&x->slots[hash & x->mask]);
        return;
    }
    uint32_t id = (uint32_t)x->slots[hash & x->mask];
    if (id == 0) return;
    const uint32_t *at = &x->table->at[id - 1];
    __builtin_prefetch(step == 1 ? (const char *)at : x->table->bytes + *at);
}

/* Whether the token of an id is left and right joined. */
static bool is_joined(const TextIndex *x, int64_t id, const TokenMerge *m) {
    if (id < 0 || (size_t)id >= x->table->n || (x->hidden != NULL && x->hidden[id])) return false;
    TokenText t = table_text(x->table, (size_t)id);
    return t.len == m->left.len + m->right.len && memcmp(t.s, m->left.s, m->left.len) == 0 &&
           memcmp(t.s + m->left.len, m->right.s, m->right.len) == 0;
}

/* guess: the token that the merge before gave. Merges of a rising rank often give tokens of rising ids, some several times. */
static Status find_whole(const Bpe *b, const TokenMerge *m, size_t i, int32_t guess, char *whole, int32_t *id, Err *e) {
    for (int k = 0; k < 2; k++) {
        *id = guess + 1 - k;
        if (guess >= 0 && is_joined(b->texts, *id, m)) return OK;
    }
    TokenText t = {whole, m->left.len + m->right.len};
    memcpy(whole, m->left.s, m->left.len);
    memcpy(whole + m->left.len, m->right.s, m->right.len);
    *id = index_find(b->texts, t.s, t.len);
    return *id >= 0 ? OK : no_token(i, t, e);
}

static Status add_group(Bpe *b, const TokenMerge *merges, size_t first, MergeGroup *g, char *whole, int32_t *guess,
                        Err *e) {
    for (size_t i = 0; i < g->n; i++) {
        const TokenMerge *m = &merges[first + i];
        g->hashes[i][0] = hash_text(m->left.s, m->left.len);
        g->hashes[i][1] = hash_text(m->right.s, m->right.len);
        prefetch(b->texts, g->hashes[i][0], 0);
        prefetch(b->texts, g->hashes[i][1], 0);
    }
    for (int step = 1; step < 3; step++)
        for (size_t i = 0; i < 2 * g->n; i++) prefetch(b->texts, g->hashes[i / 2][i % 2], step);
    for (size_t i = 0; i < g->n; i++) {
        const TokenMerge *m = &merges[first + i];
        PairEntry *p = &g->pairs[i];
        p->rank = (uint32_t)(first + i);
        p->left = find_hashed(b->texts, m->left.s, m->left.len, g->hashes[i][0]);
        if (p->left < 0) return no_token(first + i, m->left, e);
        p->right = find_hashed(b->texts, m->right.s, m->right.len, g->hashes[i][1]);
        if (p->right < 0) return no_token(first + i, m->right, e);
        TRY(find_whole(b, m, first + i, *guess, whole, &p->id, e));
        *guess = p->id;
        __builtin_prefetch(&b->pairs.slots[pair_hash(p->left, p->right) & b->pairs.mask]);
    }
    for (size_t i = 0; i < g->n; i++) pairs_put(&b->pairs, g->pairs[i]);
    return OK;
}

Status bpe_add_merges(Arena *a, Bpe *b, const TokenMerge *merges, size_t n, Err *e) {
    char *whole = NULL;
    size_t longest = 0;
    int32_t guess = -1;
    MergeGroup g;
    for (size_t i = 0; i < n; i++)
        if (merges[i].left.len + merges[i].right.len > longest) longest = merges[i].left.len + merges[i].right.len;
    TRY(pairs_open(a, n, &b->pairs, e));
    TRY(ARENA_NEW(a, longest, whole, e));
    for (size_t i = 0; i < n; i += g.n) {
        g.n = n - i < GROUP ? n - i : GROUP;
        TRY(add_group(b, merges, i, &g, whole, &guess, e));
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
