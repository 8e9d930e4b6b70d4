/* Damaged tokenizer.json and tokenizer_config.json: every prefix, bytes changed, and every value of two small tokenizers
 * (byte-level BPE; SentencePiece-like with byte fallback) replaced, left out, given twice. Each file must open and be usable
 * or give one error with its name; a list of mistakes must give the error that names them. */
#include "tests/train/damage.h"

#include "base/json.h"

#include <stdio.h>

/* The parts of a byte-level tokenizer, so that a case can replace one. \u0120 stands for a space in GPT-2's alphabet. */
#define ADDED                                                                                                          \
    "{\"id\": 0, \"content\": \"<s>\", \"single_word\": false, \"lstrip\": false, \"rstrip\": true, "                  \
    "\"normalized\": false, \"special\": true}, {\"id\": 10, \"content\": \"</s>\", \"special\": true}"
#define VOCAB                                                                                                          \
    "\"<s>\": 0, \"a\": 1, \"b\": 2, \"c\": 3, \"\\u0120\": 4, \"ab\": 5, \"\\u0120ab\": 6, \"\\u0120a\": 7, "         \
    "\"\\u00c3\": 8, \"1\": 9"
#define MERGES "\"a b\", [\"\\u0120\", \"ab\"], \"\\u0120 a\""
#define SPLIT                                                                                                          \
    "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"\\\\p{L}+|\\\\s+(?!\\\\S)\"}, \"behavior\": \"Isolated\", "      \
    "\"invert\": false}"
#define PRE                                                                                                            \
    "{\"type\": \"Sequence\", \"pretokenizers\": [" SPLIT ", {\"type\": \"Digits\", \"individual_digits\": true}, "    \
    "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, \"use_regex\": true}]}"
#define POST                                                                                                           \
    "{\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": \"<s>\", \"type_id\": 0}}, "          \
    "{\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}], \"special_tokens\": {\"<s>\": {\"id\": \"<s>\", \"ids\": [0], " \
    "\"tokens\": [\"<s>\"]}}}"
#define MODEL(vocab, merges)                                                                                           \
    "{\"type\": \"BPE\", \"dropout\": null, \"unk_token\": null, \"continuing_subword_prefix\": null, "                \
    "\"fuse_unk\": false, \"byte_fallback\": false, \"ignore_merges\": true, \"vocab\": {" vocab "}, "                 \
    "\"merges\": [" merges "]}"
#define FILE_OF(added, pre, post, model)                                                                               \
    "{\"version\": \"1.0\", \"truncation\": null, \"added_tokens\": [" added "], "                                     \
    "\"normalizer\": {\"type\": \"NFC\"}, \"pre_tokenizer\": " pre ", \"post_processor\": " post                       \
    ", \"decoder\": {\"type\": \"ByteLevel\"}, \"model\": " model "}"
static const char BYTE_LEVEL[] = FILE_OF(ADDED, PRE, POST, MODEL(VOCAB, MERGES));

static const char PIECES[] =
    "{\"added_tokens\": [{\"id\": 0, \"content\": \"<unk>\", \"special\": true}, {\"id\": 1, \"content\": \"<s>\", \"special\": "
    "true, \"normalized\": true}, {\"id\": 2, \"content\": \"</s>\", \"special\": true}], \"normalizer\": {\"type\": "
    "\"Sequence\", \"normalizers\": [{\"type\": \"Prepend\", \"prepend\": \"\\u2581\"}, {\"type\": \"Replace\", \"pattern\": "
    "{\"String\": \" \"}, \"content\": \"\\u2581\"}]}, \"pre_tokenizer\": null, \"post_processor\": {\"type\": "
    "\"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": \"<s>\"}}, {\"Sequence\": {\"id\": \"A\"}}, "
    "{\"SpecialToken\": {\"id\": \"</s>\"}}], \"special_tokens\": {\"<s>\": {\"ids\": [1]}, \"</s>\": {\"ids\": [2]}}}, "
    "\"decoder\": {\"type\": \"Sequence\", \"decoders\": [{\"type\": \"Replace\", \"pattern\": {\"String\": \"\\u2581\"}, "
    "\"content\": \" \"}, {\"type\": \"ByteFallback\"}, {\"type\": \"Fuse\"}, {\"type\": \"Strip\", \"content\": \" \", "
    "\"start\": 1, \"stop\": 0}]}, \"model\": {\"type\": \"BPE\", \"unk_token\": \"<unk>\", \"fuse_unk\": true, "
    "\"byte_fallback\": true, \"vocab\": {\"<unk>\": 0, \"<s>\": 1, \"</s>\": 2, \"<0x41>\": 3, \"<0xC3>\": 4, \"<0xA9>\": 5, "
    "\"\\u2581\": 6, \"a\": 7, \"b\": 8, \"\\u2581a\": 9, \"\\u2581ab\": 10}, \"merges\": [\"\\u2581 a\", \"\\u2581a b\"]}}";

static const char METASPACE[] =
    "{\"added_tokens\": null, \"normalizer\": null, \"pre_tokenizer\": {\"type\": \"Metaspace\", \"replacement\": \"\\u2581\", "
    "\"prepend_scheme\": \"first\", \"split\": true}, \"decoder\": {\"type\": \"Metaspace\", \"replacement\": \"\\u2581\", "
    "\"add_prefix_space\": true}, \"model\": {\"vocab\": {\"\\u2581\": 0, \"a\": 1, \"\\u2581a\": 2}, \"merges\": [\"\\u2581 "
    "a\"]}}";

static const char CONFIG[] =
    "{\"tokenizer_class\": \"LlamaTokenizerFast\", \"bos_token\": {\"content\": \"<s>\", \"special\": true}, \"eos_token\": "
    "\"</s>\", \"pad_token\": null, \"add_bos_token\": true, \"add_eos_token\": false, \"chat_template\": [{\"name\": "
    "\"default\", \"template\": \"{{ x }}\"}]}";
static const char GENERATION[] = "{\"eos_token_id\": [0, 10, null]}";

/* ---- damage to the tree ------------------------------------------------------------------------------------------------ */

typedef enum Change { CHANGE_VALUE, CHANGE_LEAVE_OUT, CHANGE_TWICE } Change;

/* Writes a document with a change at its value number `target` (in order of writing). */
typedef struct Writer {
    Buf *out;
    int at, target;
    Change change;
    const char *replacement;
} Writer;

static void put(Writer *w, const char *s) {
    Err e;
    ASSERT_OK(buf_puts(w->out, s, &e), e);
}

static void put_value(Writer *w, const Json *v);

/* A member or element, after `n` others of its container. */
static void put_member(Writer *w, const JsonString *key, const Json *v, int *n) {
    Err e;
    bool hit = w->at == w->target;
    if (hit && w->change == CHANGE_LEAVE_OUT) {
        w->at++;
        return;
    }
    for (int times = hit && w->change == CHANGE_TWICE ? 2 : 1; times > 0; times--) {
        if ((*n)++ > 0) put(w, ",");
        if (key != NULL) {
            ASSERT_OK(json_put_string(w->out, key->s, key->len, &e), e);
            put(w, ":");
        }
        put_value(w, v);
    }
}

static void put_value(Writer *w, const Json *v) {
    Err e;
    int n = 0;
    bool hit = w->at++ == w->target;
    if (hit && w->change == CHANGE_VALUE) {
        put(w, w->replacement);
        return;
    }
    if (v->type != JSON_ARRAY && v->type != JSON_OBJECT) {
        ASSERT_OK(json_put_value(w->out, v, &e), e);
        return;
    }
    put(w, v->type == JSON_ARRAY ? "[" : "{");
    for (uint32_t i = 0; i < v->n; i++)
        put_member(w, v->type == JSON_OBJECT ? &v->list.keys[i] : NULL, &v->list.items[i], &n);
    put(w, v->type == JSON_ARRAY ? "]" : "}");
}

static int count_values(const Json *v) {
    int n = 1;
    if (v->type != JSON_ARRAY && v->type != JSON_OBJECT) return n;
    for (uint32_t i = 0; i < v->n; i++) n += count_values(&v->list.items[i]);
    return n;
}

/* A string of n characters 'a', as JSON. */
static char *long_string(Arena *a, size_t n) {
    char *s = NULL;
    Err e;
    ASSERT_OK(ARENA_NEW(a, n + 3, s, &e), e);
    memset(s, 'a', n + 2);
    s[0] = s[n + 1] = '"';
    return s;
}

/* Every value of the document in the damaged file becomes each of the replacements; model is what is loaded. */
static void damage_values(Damage *d, const char *document, const char *model) {
    static const char *const REPLACEMENTS[] = {"null",
                                               "true",
                                               "0",
                                               "-1",
                                               "3",
                                               "65555",
                                               "1.5",
                                               "1e300",
                                               "\"\"",
                                               "\"a\"",
                                               "\"<s>\"",
                                               "\"\\n\\u0000\"",
                                               "[]",
                                               "{}",
                                               "[[]]",
                                               "[{\"id\": 1}]",
                                               "9223372036854775807",
                                               "-9223372036854775808",
                                               "{\"type\": \"BPE\"}",
                                               "{\"type\": \"Sequence\"}",
                                               "{\"String\": \"a\"}",
                                               "{\"Regex\": \"(\"}"};
    enum { N = sizeof REPLACEMENTS / sizeof REPLACEMENTS[0] };
    Err e;
    Json *root = NULL;
    char what[96];
    ASSERT_OK(json_parse(d->arena, "document", document, strlen(document), &root, &e), e);
    char *text = long_string(d->arena, 2000);
    Buf out = {.arena = d->arena};
    int n = count_values(root);
    for (int at = 0; at < n; at++)
        for (int k = 0; k < N + 3; k++) {
            Writer w = {.out = &out, .target = at, .replacement = k < N ? REPLACEMENTS[k] : text};
            if (k > N) w.change = k == N + 1 ? CHANGE_LEAVE_OUT : CHANGE_TWICE;
            if (k > N && at == 0) continue;
            buf_clear(&out);
            put_value(&w, root);
            snprintf(what, sizeof what, "value %d changed (%d)", at, k);
            damage_write(d, out.data, out.len);
            damage_load(d, model, what, &e);
        }
}

static void values_of(const char *document) {
    Damage d;
    damage_begin(&d, "tokenizer.json");
    damage_expect(&d, document, strlen(document), "the file itself", NULL);
    damage_values(&d, document, d.path);
    if (d.opened < 30 || d.refused < 200)
        fail_msg("%lld opened, %lld refused", (long long)d.opened, (long long)d.refused);
    damage_end(&d);
}

static void byte_level_values(void **state) {
    (void)state;
    values_of(BYTE_LEVEL);
}

static void pieces_values(void **state) {
    (void)state;
    values_of(PIECES);
    values_of(METASPACE);
}

static void bytes(void **state) {
    (void)state;
    static const char *const FILES[] = {BYTE_LEVEL, PIECES, METASPACE};
    for (int i = 0; i < 3; i++) {
        Damage d;
        damage_begin(&d, "tokenizer.json");
        damage_bytes(&d, FILES[i], strlen(FILES[i]), i == 0 ? 2 : 5);
        damage_end(&d);
    }
}

/* The files beside tokenizer.json. */
static void files_beside(void **state) {
    (void)state;
    static const struct {
        const char *name, *text;
    } FILES[] = {
        {"tokenizer_config.json", CONFIG}, {"generation_config.json", GENERATION}, {"config.json", GENERATION}};
    for (int i = 0; i < 3; i++) {
        Damage d;
        Err e;
        damage_begin(&d, FILES[i].name);
        char *model = support_path(d.arena, d.folder, "tokenizer.json");
        support_write(model, BYTE_LEVEL, strlen(BYTE_LEVEL));
        support_write(d.path, FILES[i].text, strlen(FILES[i].text));
        ASSERT_OK(damage_load(&d, d.folder, "a folder", &e), e);
        damage_values(&d, FILES[i].text, d.folder);
        for (size_t at = 0; at < strlen(FILES[i].text); at++) {
            damage_write(&d, FILES[i].text, at);
            ASSERT_FAILS(damage_load(&d, d.folder, "cut", &e), e, ERR_FORMAT, FILES[i].name);
        }
        damage_end(&d);
    }
}

/* ---- mistakes that must be named --------------------------------------------------------------------------------------- */

#define WITH_VOCAB(vocab) FILE_OF(ADDED, PRE, POST, MODEL(vocab, MERGES))
#define WITH_MERGES(merges) FILE_OF(ADDED, PRE, POST, MODEL(VOCAB, merges))
#define WITH_ADDED(added) FILE_OF(added, PRE, POST, MODEL(VOCAB, MERGES))
#define WITH_PRE(pre) FILE_OF(ADDED, pre, POST, MODEL(VOCAB, MERGES))
#define WITH_POST(post) FILE_OF(ADDED, PRE, post, MODEL(VOCAB, MERGES))
#define WITH_REGEX(regex)                                                                                              \
    WITH_PRE("{\"type\": \"Split\", \"pattern\": {\"Regex\": \"" regex "\"}, \"behavior\": \"Isolated\"}")

static void mistakes_are_named(void **state) {
    (void)state;
    static const struct {
        const char *text, *part; /* NULL: no mistake */
    } CASES[] = {
        {"", "tokenizer.json:1:1"},
        {"[]", "not an object"},
        {"{}", "'model' is missing"},
        {"{\"model\": []}", "'model' is missing or no object"},
        {"{\"model\": {\"type\": \"Unigram\", \"vocab\": []}}", "model.type is \"Unigram\""},
        {"{\"model\": {\"vocab\": {}, \"merges\": []}}", "the vocabulary is empty"},
        {WITH_VOCAB("\"a\": 1, \"b\": 1"), "model.vocab: id 1 is given twice, to \"a\" and \"b\""},
        {WITH_VOCAB("\"a\": 1, \"a\": 2"), "\"a\" stands twice"},
        {WITH_VOCAB("\"a\": -1"), "the id of \"a\" is no whole number"},
        {WITH_VOCAB("\"a\": 2147483648"), "the id of \"a\" is no whole number"},
        {WITH_VOCAB("\"a\": 1.0"), "the id of \"a\" is no whole number"},
        {WITH_VOCAB("\"a\\n\": null"), "the id of"},
        {WITH_MERGES("\"a x\""), "x"},
        {WITH_MERGES("\"a  b\""), "model.merges[0]"},
        {WITH_MERGES("\"ab\""), "model.merges[0]"},
        {WITH_MERGES("\"a b\", [\"a\"]"), "model.merges[1]"},
        {WITH_MERGES("\"a b\", [\"a\", 1]"), "model.merges[1]"},
        {WITH_MERGES("\"a b\", 3"), "model.merges[1]"},
        {WITH_MERGES("\"b a\""), "ba"}, /* its result is no token */
        {WITH_MERGES("\"#version: 0.2\", \"a b\""), NULL},
        {WITH_MERGES(""), NULL},
        {WITH_ADDED("{\"id\": 99999999999, \"content\": \"x\"}"), "added_tokens[0]: id"},
        {WITH_ADDED("{\"id\": -1, \"content\": \"x\"}"), "added_tokens[0]: id"},
        {WITH_ADDED("{\"id\": 1, \"content\": \"x\"}"), "added_tokens[0]: id 1 belongs to another token"},
        {WITH_ADDED("{\"id\": 70, \"content\": \"x\"}, {\"id\": 70, \"content\": \"y\"}"),
         "added_tokens[1]: id 70 belongs to another token"},
        {WITH_ADDED("{\"id\": 11, \"content\": 5}"), "added_tokens[0]: content is no string"},
        {WITH_ADDED("{\"id\": 11, \"content\": \"x\", \"special\": 1}"), "added_tokens[0].special is an integer"},
        {WITH_ADDED("7"), "added_tokens[0]"},
        {WITH_POST(
             "{\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": \"<x>\"}}], \"special_tokens\": {}}"),
         "special token \"<x>\" has no single id"},
        {WITH_POST("{\"type\": \"RobertaProcessing\"}"), "post_processor \"RobertaProcessing\" is not supported"},
        {WITH_PRE("{\"type\": \"Whitespace\"}"), "pre_tokenizer \"Whitespace\" is not supported"},
        {WITH_PRE("{\"type\": \"Sequence\"}"), "pre_tokenizer.pretokenizers is missing or no list"},
        {WITH_REGEX("(a"), "tokenizer.json"},
        {WITH_REGEX("a{1000}{1000}"), "tokenizer.json"},
        {WITH_REGEX("(?<=a+)b"), "tokenizer.json"},
        {WITH_REGEX("\\\\1"), "tokenizer.json"},
        {WITH_REGEX("((((a*)*)*)*)*b"), NULL}, /* using it ends at a limit */
    };
    Damage d;
    damage_begin(&d, "tokenizer.json");
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++)
        damage_expect(&d, CASES[i].text, strlen(CASES[i].text), CASES[i].text, CASES[i].part);
    damage_end(&d);
}

/* Normalizers whose steps grow each other's results: 16 of them would make 16^16 bytes of one letter. */
static void growing_normalizers(void **state) {
    (void)state;
    enum { STEPS = 16 };
    Damage d;
    Err e;
    Tokenizer *t;
    int32_t *ids;
    size_t n;
    Buf b = {0};
    damage_begin(&d, "tokenizer.json");
    b.arena = d.arena;
    ASSERT_OK(buf_puts(&b, "{\"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [", &e), e);
    for (int i = 0; i < STEPS; i++)
        ASSERT_OK(buf_printf(&b, &e, "%s{\"type\": \"Replace\", \"pattern\": {\"String\": \"a\"}, \"content\": \"%s\"}",
                             i > 0 ? ", " : "", "aaaaaaaaaaaaaaaa"),
                  e);
    ASSERT_OK(buf_puts(&b, "]}, \"model\": {\"vocab\": {\"a\": 0}, \"merges\": []}}", &e), e);
    support_write(d.path, b.data, b.len);
    ASSERT_OK(tokenizer_load(d.arena, d.path, &t, &e), e);
    ASSERT_FAILS(tokenizer_encode(t, d.arena, "a", 1, 0, &ids, &n, &e), e, ERR_DATA, "more than 64 times as long");
    ASSERT_OK(tokenizer_encode(t, d.arena, "b", 1, 0, &ids, &n, &e), e);
    tokenizer_close(t);
    buf_clear(&b); /* one long prefix before each piece of text */
    ASSERT_OK(
        buf_printf(&b, &e,
                   "{\"normalizer\": {\"type\": \"Prepend\", \"prepend\": %s}, \"model\": {\"vocab\": {\"a\": 0}, "
                   "\"merges\": []}}",
                   long_string(d.arena, 257)),
        e);
    damage_expect(&d, b.data, b.len, "a long prefix", "has 257 bytes; at most 256");
    damage_end(&d);
}

/* Files that are large or deep where a small one is expected. */
static void sizes(void **state) {
    (void)state;
    enum { MANY = 3 << 20 };
    Damage d;
    Err e;
    Buf b = {0};
    damage_begin(&d, "tokenizer.json");
    b.arena = d.arena;
    for (int depth = 60; depth < 100000; depth = depth < 70 ? depth + 1 : depth * 3) {
        buf_clear(&b);
        ASSERT_OK(buf_puts(&b, "{\"model\": ", &e), e);
        for (int i = 0; i < depth; i++) ASSERT_OK(buf_puts(&b, i % 2 ? "{\"vocab\": " : "[", &e), e);
        damage_expect(&d, b.data, b.len, "deep nesting", "tokenizer.json");
    }
    buf_clear(&b); /* sequences in sequences */
    ASSERT_OK(buf_puts(&b, "{\"model\": {\"vocab\": {\"a\": 0}, \"merges\": []}, \"pre_tokenizer\": ", &e), e);
    for (int i = 0; i < 25; i++) ASSERT_OK(buf_puts(&b, "{\"type\": \"Sequence\", \"pretokenizers\": [", &e), e);
    for (int i = 0; i < 25; i++) ASSERT_OK(buf_puts(&b, "]}", &e), e);
    ASSERT_OK(buf_puts(&b, "}", &e), e);
    damage_expect(&d, b.data, b.len, "sequences in sequences", "nested too deeply");
    buf_clear(&b); /* a long line of nothing */
    ASSERT_OK(buf_puts(&b, BYTE_LEVEL, &e), e);
    for (int i = 0; i < MANY; i++) ASSERT_OK(buf_putc(&b, ' ', &e), e);
    damage_expect(&d, b.data, b.len, "a long line", NULL);
    buf_clear(&b); /* a long token, and a long added token */
    char *text = long_string(d.arena, MANY);
    ASSERT_OK(buf_printf(&b, &e, "{\"model\": {\"vocab\": {\"a\": 0, %s: 1}, \"merges\": []}}", text), e);
    damage_expect(&d, b.data, b.len, "a long token", NULL);
    buf_clear(&b);
    ASSERT_OK(buf_printf(&b, &e,
                         "{\"added_tokens\": [{\"id\": 1, \"content\": %s}], \"model\": {\"vocab\": {\"a\": 0}, "
                         "\"merges\": []}}",
                         text),
              e);
    damage_expect(&d, b.data, b.len, "a long added token", "added token 1 has");
    buf_clear(&b);
    ASSERT_OK(buf_printf(&b, &e, "{\"model\": {\"vocab\": {\"a\": 0}, \"merges\": [%s]}}", text), e);
    damage_expect(&d, b.data, b.len, "a long merge", "model.merges[0]");
    damage_end(&d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(byte_level_values),
        cmocka_unit_test(pieces_values),
        cmocka_unit_test(bytes),
        cmocka_unit_test(files_beside),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(growing_normalizers),
        cmocka_unit_test(sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
