/* Damaged tokenizer keys of GGUF files: two small vocabularies (byte-level BPE, SentencePiece) written here and the embedded
 * base's. Every key is left out, given every other type and other lengths, filled with bad elements; every byte of the small
 * files is cut at and changed. Each file must open and be usable or give one error with its name. */
#include "tests/train/damage.h"

#include "base/buf.h"
#include "checkpoints/gguf.h"

#include <math.h>

/* One metadata record as it is written; values are kept by the test. */
typedef struct Record {
    const char *key;
    GgufType type; /* GGUF_ARRAY: of elem */
    GgufType elem;
    uint64_t n;
    const void *values; /* scalar, text, GgufString array, or packed elements */
} Record;

enum { RECORDS_MAX = 64, TOKENS = 12 };

typedef struct Records {
    Record list[RECORDS_MAX];
    int n;
} Records;

#define TEXT(s)                                                                                                        \
    { (s), sizeof(s) - 1 }
static const GgufString BPE_TOKENS[TOKENS] = {TEXT("<s>"),
                                              TEXT("</s>"),
                                              TEXT("a"),
                                              TEXT("b"),
                                              TEXT("c"),
                                              TEXT("\xC4\xA0"),
                                              TEXT("ab"),
                                              TEXT("\xC4\xA0"
                                                   "ab"),
                                              TEXT("1"),
                                              TEXT("\xC3\x83"),
                                              TEXT("<t>"),
                                              TEXT("bc")};
static const GgufString BPE_MERGES[] = {TEXT("a b"), TEXT("\xC4\xA0 ab"), TEXT("b c")};
static const GgufString SPM_TOKENS[TOKENS] = {TEXT("<unk>"),
                                              TEXT("<s>"),
                                              TEXT("</s>"),
                                              TEXT("<0x41>"),
                                              TEXT("<0xC3>"),
                                              TEXT("\xE2\x96\x81"),
                                              TEXT("a"),
                                              TEXT("b"),
                                              TEXT("ab"),
                                              TEXT("\xE2\x96\x81"
                                                   "ab"),
                                              TEXT("  "),
                                              TEXT("<t>")};
static const int32_t BPE_TYPES[TOKENS] = {3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 4, 1};
static const int32_t SPM_TYPES[TOKENS] = {2, 3, 3, 6, 6, 1, 1, 1, 1, 1, 4, 5};
static const float SCORES[TOKENS] = {0, 0, 0, 0, 0, -3, -2, -1, -4, -5, -6, -7};
static const uint32_t ZERO = 0, ONE = 1, TWO = 2, HUGE_ID = 4000000000u;
static const bool YES = true;

#define STRINGS(name, values)                                                                                          \
    { (name), GGUF_ARRAY, GGUF_STRING, sizeof(values) / sizeof *(values), (values) }
#define ARRAY(name, type, values)                                                                                      \
    { (name), GGUF_ARRAY, (type), sizeof(values) / sizeof *(values), (values) }
static const Records BPE = {.list = {{"general.architecture", GGUF_STRING, GGUF_STRING, 1, "llama"},
                                     {"tokenizer.ggml.model", GGUF_STRING, GGUF_STRING, 1, "gpt2"},
                                     {"tokenizer.ggml.pre", GGUF_STRING, GGUF_STRING, 1, "llama-bpe"},
                                     STRINGS("tokenizer.ggml.tokens", BPE_TOKENS),
                                     ARRAY("tokenizer.ggml.token_type", GGUF_I32, BPE_TYPES),
                                     STRINGS("tokenizer.ggml.merges", BPE_MERGES),
                                     {"tokenizer.ggml.bos_token_id", GGUF_U32, GGUF_U32, 1, &ZERO},
                                     {"tokenizer.ggml.eos_token_id", GGUF_U32, GGUF_U32, 1, &ONE},
                                     {"tokenizer.ggml.eot_token_id", GGUF_U32, GGUF_U32, 1, &ONE},
                                     {"tokenizer.ggml.padding_token_id", GGUF_U32, GGUF_U32, 1, &ONE},
                                     {"tokenizer.ggml.add_bos_token", GGUF_BOOL, GGUF_BOOL, 1, &YES},
                                     {"tokenizer.chat_template", GGUF_STRING, GGUF_STRING, 1, "{{ x }}"}},
                            .n = 12};
static const Records SPM = {.list = {{"general.architecture", GGUF_STRING, GGUF_STRING, 1, "llama"},
                                     {"tokenizer.ggml.model", GGUF_STRING, GGUF_STRING, 1, "llama"},
                                     STRINGS("tokenizer.ggml.tokens", SPM_TOKENS),
                                     ARRAY("tokenizer.ggml.token_type", GGUF_I32, SPM_TYPES),
                                     ARRAY("tokenizer.ggml.scores", GGUF_F32, SCORES),
                                     {"tokenizer.ggml.bos_token_id", GGUF_U32, GGUF_U32, 1, &ONE},
                                     {"tokenizer.ggml.eos_token_id", GGUF_U32, GGUF_U32, 1, &TWO},
                                     {"tokenizer.ggml.unknown_token_id", GGUF_U32, GGUF_U32, 1, &ZERO},
                                     {"tokenizer.ggml.add_space_prefix", GGUF_BOOL, GGUF_BOOL, 1, &YES},
                                     {"tokenizer.ggml.add_eos_token", GGUF_BOOL, GGUF_BOOL, 1, &YES}},
                            .n = 10};

/* ---- writing: by hand, since a writer for good files would refuse some of these ---------------------------------------- */

static void put(Buf *b, const void *data, size_t bytes) {
    Err e;
    ASSERT_OK(buf_add(b, data, bytes, &e), e);
}

static void put_u32(Buf *b, uint32_t v) { put(b, &v, 4); }
static void put_u64(Buf *b, uint64_t v) { put(b, &v, 8); }

static void put_text(Buf *b, const char *s, size_t len) {
    put_u64(b, len);
    put(b, s, len);
}

static size_t bytes_of(GgufType t) {
    static const size_t BYTES[GGUF_TYPE_COUNT] = {
        [GGUF_U8] = 1,  [GGUF_I8] = 1,   [GGUF_U16] = 2, [GGUF_I16] = 2, [GGUF_U32] = 4, [GGUF_I32] = 4,
        [GGUF_F32] = 4, [GGUF_BOOL] = 1, [GGUF_U64] = 8, [GGUF_I64] = 8, [GGUF_F64] = 8};
    return BYTES[t];
}

static void put_values(Buf *b, GgufType type, const void *values, uint64_t n) {
    const GgufString *texts = values;
    if (type != GGUF_STRING) {
        put(b, values, n * bytes_of(type));
        return;
    }
    for (uint64_t i = 0; i < n; i++) put_text(b, texts[i].s, texts[i].len);
}

static void put_file(Buf *b, const Records *r) {
    buf_clear(b);
    put(b, "GGUF", 4);
    put_u32(b, 3);
    put_u64(b, 0); /* tensors */
    put_u64(b, (uint64_t)r->n);
    for (int i = 0; i < r->n; i++) {
        const Record *x = &r->list[i];
        put_text(b, x->key, strlen(x->key));
        put_u32(b, (uint32_t)x->type);
        if (x->type == GGUF_ARRAY) {
            put_u32(b, (uint32_t)x->elem);
            put_u64(b, x->n);
            put_values(b, x->elem, x->values, x->n);
        } else if (x->type == GGUF_STRING) {
            put_text(b, x->values, strlen(x->values));
        } else {
            put(b, x->values, bytes_of(x->type));
        }
    }
}

static Record *record(Records *r, const char *key) {
    for (int i = 0; i < r->n; i++)
        if (strcmp(r->list[i].key, key) == 0) return &r->list[i];
    fail_msg("no key %s", key);
    return NULL;
}

/* ---- every key with every value ---------------------------------------------------------------------------------------- */

static const double NEGATIVE = -1.5;
static const int64_t MINUS = -1, LARGE = INT64_MAX;
static const float NOT_A_NUMBER = NAN;
static const GgufString BAD_TEXTS[] = {TEXT(""),         TEXT(" "),    TEXT("a"),     TEXT("a"),
                                       TEXT("\xFF\xFE"), TEXT("a\0b"), TEXT("x y z"), TEXT("<s>")};
static const int32_t BAD_INTS[] = {0, -1, 7, INT32_MAX, INT32_MIN, 3, 6, 2};
static const float BAD_REALS[] = {NAN, INFINITY, -INFINITY, 0, -0.0f, 1e38f, 1e-45f, NAN};

static void damage_keys(Damage *d, const Records *good) {
    static const Record VALUES[] = {
        {"", GGUF_U32, GGUF_U32, 1, &ZERO},          {"", GGUF_U32, GGUF_U32, 1, &TWO},
        {"", GGUF_U32, GGUF_U32, 1, &HUGE_ID},       {"", GGUF_I64, GGUF_I64, 1, &MINUS},
        {"", GGUF_I64, GGUF_I64, 1, &LARGE},         {"", GGUF_U64, GGUF_U64, 1, &MINUS},
        {"", GGUF_F64, GGUF_F64, 1, &NEGATIVE},      {"", GGUF_F32, GGUF_F32, 1, &NOT_A_NUMBER},
        {"", GGUF_BOOL, GGUF_BOOL, 1, &YES},         {"", GGUF_BOOL, GGUF_BOOL, 1, &HUGE_ID},
        {"", GGUF_STRING, GGUF_STRING, 1, ""},       {"", GGUF_STRING, GGUF_STRING, 1, "llama"},
        {"", GGUF_STRING, GGUF_STRING, 1, "gpt2"},   {"", GGUF_STRING, GGUF_STRING, 1, "\xFF\n%s%n"},
        {"", GGUF_ARRAY, GGUF_STRING, 0, BAD_TEXTS}, {"", GGUF_ARRAY, GGUF_STRING, 1, BAD_TEXTS},
        {"", GGUF_ARRAY, GGUF_STRING, 8, BAD_TEXTS}, {"", GGUF_ARRAY, GGUF_I32, 0, BAD_INTS},
        {"", GGUF_ARRAY, GGUF_I32, 8, BAD_INTS},     {"", GGUF_ARRAY, GGUF_U8, 8, BAD_INTS},
        {"", GGUF_ARRAY, GGUF_F32, 8, BAD_REALS},    {"", GGUF_ARRAY, GGUF_F64, 2, BAD_REALS},
        {"", GGUF_ARRAY, GGUF_BOOL, 8, BAD_INTS},
    };
    enum { N = sizeof VALUES / sizeof VALUES[0], MORE = 3 };
    char what[128];
    Err e;
    Buf b = {.arena = d->arena};
    for (int key = 0; key < good->n; key++)
        for (int k = 0; k < N + MORE; k++) {
            Records r = *good;
            Record *x = &r.list[key];
            if (k < N) {
                *x = VALUES[k];
                x->key = good->list[key].key;
            } else if (k == N) { /* left out */
                *x = r.list[--r.n];
            } else if (k == N + 1) { /* given twice */
                r.list[r.n++] = *x;
            } else if (x->type == GGUF_ARRAY && x->n > 0) { /* one short */
                x->n--;
            }
            snprintf(what, sizeof what, "%s changed (%d)", good->list[key].key, k);
            put_file(&b, &r);
            damage_try(d, b.data, b.len, what, &e);
        }
}

/* Each element of each array becomes each bad one. */
static void damage_elements(Damage *d, const Records *good, uint64_t stride) {
    Buf b = {.arena = d->arena}, values = {.arena = d->arena};
    char what[128];
    Err e;
    for (int key = 0; key < good->n; key++) {
        const Record *x = &good->list[key];
        const void *bad = x->elem == GGUF_STRING ? (const void *)BAD_TEXTS
                          : x->elem == GGUF_F32  ? (const void *)BAD_REALS
                                                 : (const void *)BAD_INTS;
        size_t bytes = x->elem == GGUF_STRING ? sizeof(GgufString) : bytes_of(x->elem);
        if (x->type != GGUF_ARRAY) continue;
        for (uint64_t i = 0; i < x->n; i += stride)
            for (size_t k = 0; k < 8; k++) {
                Records r = *good;
                buf_clear(&values);
                put(&values, x->values, x->n * bytes);
                memcpy(values.data + i * bytes, (const char *)bad + k * bytes, bytes);
                r.list[key].values = values.data;
                snprintf(what, sizeof what, "%s[%llu] changed (%zu)", x->key, (unsigned long long)i, k);
                put_file(&b, &r);
                damage_try(d, b.data, b.len, what, &e);
            }
    }
}

static void damage_all(const Records *good, bool small) {
    Damage d;
    damage_begin(&d, "vocab.gguf");
    Buf b = {.arena = d.arena};
    put_file(&b, good);
    damage_expect(&d, b.data, b.len, "the file itself", NULL);
    if (small) damage_bytes(&d, b.data, b.len, 1);
    damage_keys(&d, good);
    damage_elements(&d, good, small ? 1 : 97);
    if (d.opened < 100 || d.refused < 100)
        fail_msg("%lld opened, %lld refused", (long long)d.opened, (long long)d.refused);
    damage_end(&d);
}

static void small_bpe(void **state) {
    (void)state;
    damage_all(&BPE, true);
}

static void small_spm(void **state) {
    (void)state;
    damage_all(&SPM, true);
}

/* The keys of a real model, without its tensors. */
static void embedded_base(void **state) {
    (void)state;
    Err e;
    Gguf *g = NULL;
    Records r = {0};
    Arena *a = support_arena();
    ASSERT_OK(gguf_open(a, LORAC_SOURCE_DIR "/data/tiny/tiny.gguf", &g, &e), e);
    for (int64_t i = 0; i < g->n_kv; i++) {
        const GgufKv *kv = &g->kv[i];
        if (strncmp(kv->key, "tokenizer.", 10) != 0 && strcmp(kv->key, "general.architecture") != 0) continue;
        Record *x = &r.list[r.n++];
        *x = (Record){kv->key, kv->type, kv->elem_type, kv->n, kv->value};
        GgufString s;
        GgufString *strings = NULL;
        size_t n = 0;
        char *copy = NULL;
        if (kv->type == GGUF_STRING) {
            assert_true(gguf_kv_string(kv, &s));
            ASSERT_OK(arena_strndup(a, s.s, s.len, &copy, &e), e);
            x->values = copy;
        } else if (kv->type == GGUF_ARRAY && kv->elem_type == GGUF_STRING) {
            ASSERT_OK(gguf_strings(g, a, kv->key, &strings, &n, &e), e);
            x->values = strings;
        }
    }
    assert_in_range(r.n, 10, RECORDS_MAX - 1);
    damage_all(&r, false);
    gguf_close(g);
    arena_close(a);
}

/* ---- mistakes that must be named --------------------------------------------------------------------------------------- */

typedef struct Mistake {
    const Records *good;
    const char *key;
    Record value;     /* its key is not used */
    const char *part; /* NULL: no mistake */
} Mistake;

static const GgufString UNKNOWN_LEFT[] = {TEXT("x b")}, NO_RESULT[] = {TEXT("b a")}, NO_SPACE[] = {TEXT("ab")},
                        TWO_MERGES[] = {TEXT("a b"), TEXT("a")}, SAME_TWICE[] = {TEXT("a"), TEXT("b"), TEXT("a")};
static const int32_t SHORT_TYPES[] = {1, 1};
static const float SHORT_SCORES[] = {0};

static void mistakes_are_named(void **state) {
    (void)state;
    static const Mistake CASES[] = {
        {&BPE, "tokenizer.ggml.model", {"", GGUF_STRING, GGUF_STRING, 1, "bert"}, "bert"},
        {&BPE, "tokenizer.ggml.model", {"", GGUF_U32, GGUF_U32, 1, &ZERO}, "tokenizer.ggml.model"},
        {&BPE, "tokenizer.ggml.pre", {"", GGUF_STRING, GGUF_STRING, 1, "nobody"}, "nobody"},
        {&BPE, "tokenizer.ggml.tokens", {"", GGUF_ARRAY, GGUF_STRING, 0, BPE_TOKENS}, "vocab.gguf"},
        {&BPE,
         "tokenizer.ggml.tokens",
         {"", GGUF_ARRAY, GGUF_STRING, 11, BPE_TOKENS},
         "token_type has 12 entries for 11 tokens"},
        {&BPE, "tokenizer.ggml.token_type", ARRAY("", GGUF_I32, SHORT_TYPES), "token_type has 2 entries for 12 tokens"},
        {&BPE, "tokenizer.ggml.merges", STRINGS("", UNKNOWN_LEFT), "x"},
        {&BPE, "tokenizer.ggml.merges", STRINGS("", NO_RESULT), "ba"},
        {&BPE, "tokenizer.ggml.merges", STRINGS("", NO_SPACE), "merges[0] is not \"LEFT RIGHT\""},
        {&BPE, "tokenizer.ggml.merges", STRINGS("", TWO_MERGES), "merges[1] is not \"LEFT RIGHT\""},
        {&BPE, "tokenizer.ggml.bos_token_id", {"", GGUF_U32, GGUF_U32, 1, &HUGE_ID}, "tokenizer.ggml.bos_token_id"},
        {&BPE, "tokenizer.ggml.eos_token_id", {"", GGUF_I64, GGUF_I64, 1, &MINUS}, "tokenizer.ggml.eos_token_id"},
        {&BPE, "tokenizer.ggml.eot_token_id", {"", GGUF_STRING, GGUF_STRING, 1, "1"}, "tokenizer.ggml.eot_token_id"},
        {&BPE, "tokenizer.ggml.add_bos_token", {"", GGUF_U32, GGUF_U32, 1, &ONE}, "tokenizer.ggml.add_bos_token"},
        {&SPM, "tokenizer.ggml.scores", ARRAY("", GGUF_F32, SHORT_SCORES), "scores has 1 entries for 12 tokens"},
        {&SPM, "tokenizer.ggml.scores", {"", GGUF_ARRAY, GGUF_STRING, 12, SPM_TOKENS}, "tokenizer.ggml.scores"},
    };
    Damage d;
    damage_begin(&d, "vocab.gguf");
    Buf b = {.arena = d.arena};
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        Records r = *CASES[i].good;
        Record *x = record(&r, CASES[i].key);
        *x = CASES[i].value;
        x->key = CASES[i].key;
        put_file(&b, &r);
        damage_expect(&d, b.data, b.len, CASES[i].key, CASES[i].part);
    }
    Records twice = BPE;
    twice.n = 0;
    for (int i = 0; i < BPE.n; i++) /* no types, so that three tokens will do */
        if (strstr(BPE.list[i].key, "_token") == NULL && strstr(BPE.list[i].key, "ggml.token") == NULL)
            twice.list[twice.n++] = BPE.list[i];
    twice.list[twice.n++] = (Record)STRINGS("tokenizer.ggml.tokens", SAME_TWICE);
    put_file(&b, &twice);
    damage_expect(&d, b.data, b.len, "a text twice", "have the same text");
    damage_end(&d);
}

/* Counts and lengths far beyond the file must not be believed. */
static void counts_beyond_the_file(void **state) {
    (void)state;
    static const uint64_t COUNTS[] = {13, 1000, UINT32_MAX, 1ull << 40, UINT64_MAX / 8, UINT64_MAX};
    Damage d;
    damage_begin(&d, "vocab.gguf");
    Buf b = {.arena = d.arena};
    put_file(&b, &BPE);
    for (size_t at = 0; at + 8 <= b.len; at++)
        for (size_t k = 0; k < sizeof COUNTS / sizeof COUNTS[0]; k++) {
            char saved[8], what[64];
            Err e;
            memcpy(saved, b.data + at, 8);
            memcpy(b.data + at, &COUNTS[k], 8);
            snprintf(what, sizeof what, "%llu at byte %zu", (unsigned long long)COUNTS[k], at);
            damage_try(&d, b.data, b.len, what, &e);
            memcpy(b.data + at, saved, 8);
        }
    damage_end(&d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_bpe),
        cmocka_unit_test(small_spm),
        cmocka_unit_test(embedded_base),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(counts_beyond_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
