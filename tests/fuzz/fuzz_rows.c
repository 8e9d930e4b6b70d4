/* fuzz_rows.c: rows of every type over the real path: a file, its JSON, the row type, a chat template, tokens, pairs. The first byte of the
 * input chooses the row type (the last choice: found from the fields), the second one what is trained and whether there is a
 * template; the rest is the file. What is accepted must hold together, and checking must find something wherever loading fails. */
#include "tests/fuzz/fuzz.h"

#include "data/duplicates.h"
#include "data/formats.h"
#include "data/tokenizer.h"
#include "train/tokenizer_load.h"

#include <string.h>

static const char TEMPLATE[] =
    "{%- if tools %}<|im_start|>system\n{% for t in tools %}{{ t | tojson }}{% endfor %}<|im_end|>\n{% endif %}"
    "{%- for m in messages %}{% if m.role == 'x' %}{{ raise_exception('no x: ' ~ m.content) }}{% endif %}"
    "{{ '<|im_start|>' ~ m.role }}\n{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}"
    "{% if m.content is string %}{{ m.content | trim if m.role == 'user' else m.content }}"
    "{% else %}{% for p in m.content or [] %}{{ p.text }}{% endfor %}{% endif %}"
    "{% for c in m.tool_calls or [] %}<call>{{ c.function.name }}({{ c.function.arguments | tojson }})</call>{% endfor %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

typedef struct Fixed {
    Tokenizer *tokenizer;
    Chat *chat;
} Fixed;

static const Fixed *fixed(void) {
    static Arena *a;
    static Fixed f;
    Err e = {0};
    if (f.chat != NULL) return &f;
    CHECK(arena_open(&a, "tokenizer", &e) == OK, "%s", e.message);
    CHECK(tokenizer_load(a, LORAC_SOURCE_DIR "/data/tiny/tiny.gguf", &f.tokenizer, &e) == OK, "%s", e.message);
    CHECK(chat_open(a, "template", (TokenText){TEMPLATE, sizeof TEMPLATE - 1}, f.tokenizer, 1767225600, &f.chat, &e) ==
              OK,
          "%s", e.message);
    return &f;
}

static void check_rows(const Dataset *d, int64_t vocab) {
    Ledger sum = {0};
    int32_t number = -1;
    for (int64_t i = 0; i < d->n_rows; i++) {
        const DataRow *r = &d->rows[i];
        int32_t trained = 0;
        for (int64_t k = r->start; k < r->start + r->length; k++) {
            CHECK(d->ids[k] >= 0 && d->ids[k] < vocab && d->trained[k] <= 1, "token %lld", (long long)k);
            trained += d->trained[k];
        }
        CHECK(trained == r->trained && trained > 0 && d->trained[r->start] == 0, "row %lld: trained", (long long)i);
        CHECK(r->side < SIDE_COUNT, "side %d", r->side);
        CHECK((r->side == SIDE_REJECTED) == dataset_goes_on(d, i), "row %lld: a side alone", (long long)i);
        CHECK(r->side != SIDE_CHOSEN || (i + 1 < d->n_rows && dataset_goes_on(d, i + 1)), "row %lld: half a pair",
              (long long)i);
        CHECK(dataset_goes_on(d, i) ? r->number == number : r->number > number, "row %lld: number", (long long)i);
        number = r->number;
        sum.sides[r->side]++;
        sum.read += r->length;
    }
    for (int i = 0; i < SIDE_COUNT; i++) CHECK(sum.sides[i] == d->ledger[0].sides[i], "sides in the ledger");
    CHECK(sum.read == d->ledger[0].read - d->ledger[0].dropped, "tokens in the ledger");
}

static void use(Arena *a, Dataset *d, int64_t vocab) {
    Dataset train, held_out;
    Hash128 hash;
    Buf text = {.arena = a};
    Err e = {0};
    check_rows(d, vocab);
    CHECK(dataset_hash(a, d, &hash, &e) == OK, "%s", e.message);
    CHECK(dataset_print_ledger(d, &text, &e) == OK, "%s", e.message);
    Status st = dataset_refuse_sides(d, &e);
    CHECK((st == OK) == (dataset_sided(d) == NULL), "sides are refused: %d", (int)st);
    fuzz_result(a, st, &e);
    if (fuzz_result(a, dataset_split(a, d, NULL, 0.5, 7, &train, &held_out, &e), &e)) {
        check_rows(&train, vocab);
        check_rows(&held_out, vocab);
        CHECK(train.n_rows + held_out.n_rows == d->n_rows, "a row was lost");
    }
    CHECK(dataset_dedupe(d, &e) == OK, "%s", e.message);
    check_rows(d, vocab);
}

static Status count_message(void *ctx, const char *message, Err *e) {
    (void)e;
    CHECK(strstr(message, "rows.jsonl") != NULL, "a message without its file: %s", message);
    ++*(int64_t *)ctx;
    return OK;
}

static void check_agrees(Arena *a, const DataSource *source, const DataContext *context, Status loaded) {
    int64_t told = 0, notes = 0;
    DataCheck check = {.report = count_message, .ctx = &told, .max_tokens = 64, .what = "the limit"};
    Err e = {0};
    Status st = dataset_check(source, 1, context, &check, &e);
    if (st == ERR_CONFIG && loaded == ERR_CONFIG) return;
    if (!fuzz_result(a, st, &e)) CHECK(false, "checking ended: %s", e.message);
    CHECK(check.bad <= told && check.bad <= check.rows + 1, "%lld bad rows, %lld told", (long long)check.bad,
          (long long)told);
    CHECK(loaded != ERR_DATA || check.bad > 0, "loading failed, and checking found nothing");
    check = (DataCheck){.report = count_message, .note = count_message, .ctx = &notes};
    CHECK(dataset_check(source, 1, context, &check, &e) == OK, "%s", e.message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const ROLES[] = {NULL, "assistant tool", "user", "assistant,system"};
    const Fixed *f = fixed();
    if (size < 2) return 0;
    int type = data[0] % (FORMAT_COUNT + 1);
    unsigned how = data[1];
    Arena *a = fuzz_arena();
    Dataset d;
    Err e = {0};
    DataContext context = {.tokenizer = f->tokenizer,
                           .vocab = (int64_t)tokenizer_vocab_size(f->tokenizer),
                           .chat = how & 1 ? NULL : f->chat,
                           .no_chat = "there is none"};
    DataSource source = {
        .path = fuzz_put(a, "rows.jsonl", data + 2, size - 2),
        .type = type < FORMAT_COUNT ? FORMATS[type].name : NULL,
        .training = {.roles = ROLES[how >> 1 & 3], .eos = (ChatEos)(how >> 3 & 3), .inputs = (how >> 5 & 1) != 0}};
    Status st = dataset_load(a, &source, 1, &context, &d, &e);
    CHECK(st != ERR_FORMAT, "a bad row that is no bad row: %s", e.message);
    if (st != OK) check_agrees(a, &source, &context, st);
    if (!fuzz_result(a, st, &e)) return 0;
    use(a, &d, context.vocab);
    check_agrees(a, &source, &context, st);
    return 0;
}
