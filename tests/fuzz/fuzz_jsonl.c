/* fuzz_jsonl.c: JSONL files in data/: lines, JSON, row types, ledger, split, limits, packing and batches. Each input is read
 * with the type found from the first row, and as one row type that its length chooses; tokens come from the embedded
 * base's tokenizer. */
#include "tests/fuzz/fuzz.h"

#include "data/batches.h"
#include "data/formats.h"
#include "data/tokenizer.h"
#include "train/tokenizer_load.h"

#include <string.h>

enum { LIMIT = 24, STEPS = 6, MICRO = 2 };

static Tokenizer *tokenizer(void) {
    static Arena *a;
    static Tokenizer *t;
    Err e = {0};
    if (t != NULL) return t;
    CHECK(arena_open(&a, "tokenizer", &e) == OK, "%s", e.message);
    CHECK(tokenizer_load(a, LORAC_SOURCE_DIR "/data/tiny/tiny.gguf", &t, &e) == OK, "%s", e.message);
    return t;
}

static void check_rows(const Dataset *d, int64_t vocab) {
    int64_t read = 0, trained = 0;
    for (int64_t i = 0; i < d->n_rows; i++) {
        const DataRow *row = &d->rows[i];
        int32_t count = 0;
        for (int64_t j = 0; j < row->length; j++) {
            CHECK(dataset_id(d, row, j) >= 0 && dataset_id(d, row, j) < vocab, "id %d", dataset_id(d, row, j));
            CHECK(d->trained[row->start + j] <= 1, "trained %d", d->trained[row->start + j]);
            count += dataset_is_trained(d, row, j);
        }
        CHECK(count == row->trained && count > 0, "row %lld: %d trained, says %d", (long long)i, count, row->trained);
        CHECK(row->context > 0 || d->trained[row->start] == 0, "the first token of row %lld is trained", (long long)i);
        read += row->length;
        trained += count;
    }
    const Ledger *l = &d->ledger[0];
    CHECK(l->read == l->trained + l->masked + l->dropped, "the ledger does not add up");
    CHECK(l->trained == trained && l->read - l->dropped == read, "the ledger is not that of the rows");
    CHECK(dataset_trained(d) == trained && dataset_tokens(d) == read, "totals");
}

static void use_batches(Arena *a, const Dataset *d, bool packing, uint64_t seed) {
    BatchesOptions o = {.sequence_len = LIMIT,
                        .micro_batch_size = MICRO,
                        .gradient_accumulation_steps = 2,
                        .num_epochs = 2,
                        .sample_packing = packing,
                        .shuffle = packing,
                        .seed = seed};
    Batches *b = NULL;
    BatchView v;
    StepPlan plan;
    Err e = {0};
    if (!fuzz_result(a, batches_open(a, d, &o, &b, &e), &e)) return;
    CHECK(batches_view(a, b, &v, &e) == OK, "%s", e.message);
    for (int64_t step = 0; step < batches_steps(b) && step < STEPS; step++) {
        int64_t tokens = 0, targets = 0;
        batches_step(b, step, &plan);
        for (int64_t first = 0; first < plan.n_rows; first += MICRO) {
            batches_fill(b, step, first, plan.n_rows - first < MICRO ? plan.n_rows - first : MICRO, &v);
            tokens += v.n_tokens;
            targets += v.n_targets;
        }
        CHECK(tokens == plan.n_tokens && targets == plan.n_targets && targets > 0, "step %lld", (long long)step);
    }
}

static void use(Arena *a, const Dataset *d, int64_t vocab, uint64_t seed) {
    Dataset train, held_out, limited;
    Hash128 hash;
    Buf text = {.arena = a};
    Err e = {0};
    check_rows(d, vocab);
    CHECK(dataset_hash(a, d, &hash, &e) == OK, "%s", e.message);
    CHECK(dataset_print_ledger(d, &text, &e) == OK, "%s", e.message);
    if (fuzz_result(a, dataset_split(a, d, tokenizer(), 0.5, seed, &train, &held_out, &e), &e)) {
        check_rows(&train, vocab);
        CHECK(train.n_rows + held_out.n_rows == d->n_rows, "a row was lost");
    }
    CHECK(dataset_split(a, d, NULL, 0, seed, &limited, &held_out, &e) == OK, "%s", e.message);
    LengthLimit limit = {.max_tokens = LIMIT,
                         .what = "the limit",
                         .strategy = (ExcessStrategy)(seed % 4),
                         .tokenizer = tokenizer(),
                         .overlap = (int64_t)(seed / 4 % (LIMIT / 2 + 1)),
                         .arena = a};
    if (!fuzz_result(a, dataset_limit(&limited, &limit, &e), &e)) return;
    check_rows(&limited, vocab);
    use_batches(a, &limited, seed & 2, seed);
}

static Status count_message(void *ctx, const char *message, Err *e) {
    (void)e;
    CHECK(strstr(message, "rows.jsonl") != NULL, "a message without its file: %s", message);
    ++*(int64_t *)ctx;
    return OK;
}

/* Checking finds something wherever loading does; what it finds beyond that is about rows that could be loaded. */
static void check_agrees(Arena *a, const DataSource *source, const DataContext *context, Status loaded) {
    int64_t told = 0;
    DataCheck check = {.report = count_message, .ctx = &told};
    Err e = {0};
    Status st = dataset_check(source, 1, context, &check, &e);
    if (loaded == ERR_CONFIG || st == ERR_CONFIG) return;
    if (!fuzz_result(a, st, &e)) return;
    CHECK(check.bad == told && check.files == 1, "%lld bad rows, %lld told", (long long)check.bad, (long long)told);
    CHECK(loaded != ERR_DATA || told > 0, "loading failed, and checking found nothing");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Tokenizer *t = tokenizer();
    DataContext context = {.tokenizer = t, .vocab = (int64_t)tokenizer_vocab_size(t)};
    for (int round = 0; round < 2; round++) {
        Arena *a = fuzz_arena();
        Dataset d;
        Err e = {0};
        DataSource source = {.path = fuzz_put(a, "rows.jsonl", data, size),
                             .type = round == 0 ? NULL : FORMATS[size % (size_t)FORMAT_COUNT].name};
        Status st = dataset_load(a, &source, 1, &context, &d, &e);
        check_agrees(a, &source, &context, st);
        if (fuzz_result(a, st, &e)) use(a, &d, context.vocab, size);
    }
    return 0;
}
