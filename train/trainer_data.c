/* trainer_data.c: from the config's datasets to batches. */
#include "train/trainer.h"

#include "checkpoints/state_hdf5.h"
#include "data/duplicates.h"
#include "data/mixing.h"
#include "train/data_context.h"
#include "train/prepared_data.h"

#include <stdio.h>
#include <string.h>

/* The entries of `datasets` or `test_datasets` as sources. */
static Status sources_of(Trainer *t, const char *list, DataSource **out, int *n, Err *e) {
    *n = (int)config_datasets(t->config, list);
    TRY(arena_alloc(t->host, (size_t)*n, sizeof **out, out, e));
    for (int i = 0; i < *n; i++) TRY(data_source_of(t->config, list, i, &(*out)[i], e));
    return OK;
}

/* The day that templates see as today: the config's, else the one that a run which goes on took down in its folder, else today. */
static Status template_day(const Trainer *t, char day[16], Err *e) {
    char *above;
    const char *given = config_string(t->config, "template_date");
    const char *from = config_string(t->config, "resume_from_checkpoint"), *folder = from;
    today(day);
    if (strcmp(from, "auto") == 0) {
        folder = config_string(t->config, "output_dir");
    } else if (*from != 0) {
        TRY(path_join(t->host, from, "..", &above, e));
        folder = above;
    }
    if (*given == 0) return *folder == 0 ? OK : recorded_day(t->host, folder, day, e);
    snprintf(day, 16, "%s", given);
    return OK;
}

/* Opens tokenizer and template. The day is recorded where the template looks at it: else it must not tell runs apart. */
static Status open_context(Trainer *t, DataContext *dc, Err *e) {
    char day[16];
    TRY(template_day(t, day, e));
    Status st = data_context_open(t->host, config_string(t->config, "base_model"),
                                  config_string(t->config, "chat_template"), day, dc, e);
    t->tokenizer = dc->tokenizer;
    if (st != OK || dc->chat == NULL || !chat_reads_clock(dc->chat)) return st;
    return config_resolve_string(t->config, "template_date", day, e);
}

static bool all_token_rows(const DataSource *s, int n) {
    for (int i = 0; i < n; i++) {
        if (s[i].type == NULL || strcmp(s[i].type, "tokens") != 0) return false;
    }
    return true;
}

static Status add_set(Trainer *t, const char *name, Dataset *d, Err *e) {
    return eval_set_open(t->host, name, d, t->session.base->config.max_positions, t->eval_targets,
                         &t->sets[t->n_sets++], e);
}

/* Keeps max_rows rows of each entry of `list`, from the first-th on. */
static Status take_max_rows(const Trainer *t, const char *list, int first, int n, Dataset *d, Err *e) {
    Arena *work;
    int64_t *max_rows;
    TRY(arena_open(&work, "max_rows", e));
    Status st = ARENA_NEW(work, n, max_rows, e);
    if (st == OK) {
        for (int i = 0; i < n; i++)
            max_rows[i] = (int64_t)config_dataset_number(t->config, list, first + i, "max_rows", 0.0);
        st = dataset_sample(d, max_rows, (uint64_t)config_int(t->config, "seed"), e);
    }
    arena_close(work);
    return st;
}

/* Takes the rows as often as weight or repeat says. */
static Status take_weights(Trainer *t, int n, Err *e) {
    Arena *work;
    double *weight;
    TRY(arena_open(&work, "weights", e));
    Status st = ARENA_NEW(work, n, weight, e);
    if (st == OK) {
        for (int i = 0; i < n; i++) {
            double repeat = config_dataset_number(t->config, "datasets", i, "repeat", 1.0);
            weight[i] = config_dataset_number(t->config, "datasets", i, "weight", repeat);
        }
        st = dataset_mix(t->host, &t->train, weight, (uint64_t)config_int(t->config, "seed"), e);
    }
    arena_close(work);
    return st;
}

static Status length_limit(Trainer *t, LengthLimit *l, Err *e) {
    *l = (LengthLimit){.max_tokens = config_int(t->config, "sequence_len"),
                       .what = "sequence_len",
                       .strategy = excess_strategy(config_string(t->config, "excess_length_strategy")),
                       .tokenizer = t->tokenizer,
                       .arena = t->host};
    double overlap = config_real(t->config, "split_overlap");
    l->overlap = (int64_t)(overlap < 1.0 ? overlap * (double)l->max_tokens : overlap);
    if (l->overlap <= l->max_tokens / 2) return OK;
    return config_error(t->config, "split_overlap", e, "%lld tokens are more than half of sequence_len %lld",
                        (long long)l->overlap, (long long)l->max_tokens);
}

/* The rows as training sees them, but for those it would refuse: looking at them helps. */
static Status rows_to_show(Trainer *t, const Dataset *all, Err *e) {
    LengthLimit l;
    t->train = *all;
    TRY(length_limit(t, &l, e));
    return l.strategy == EXCESS_RAISE ? OK : dataset_limit(&t->train, &l, e);
}

/* Rows that are too long are told once each, however often they are taken; what is left out or cut counts each time. */
static Status limit_and_mix(Trainer *t, int n, Err *e) {
    LengthLimit l;
    TRY(length_limit(t, &l, e));
    if (l.strategy == EXCESS_RAISE) TRY(dataset_limit(&t->train, &l, e));
    TRY(take_weights(t, n, e));
    return l.strategy == EXCESS_RAISE ? OK : dataset_limit(&t->train, &l, e);
}

static Status count_duplicates(const Dataset *d, const Tokenizer *tokenizer, DataCounts *out, Err *e) {
    Arena *work;
    int32_t *first;
    TRY(arena_open(&work, "duplicates", e));
    out->rows = d->n_rows;
    out->text = -1;
    Status st = ARENA_NEW(work, d->n_rows, first, e);
    if (st == OK) st = duplicates_exact(d, first, &out->exact, e);
    if (st == OK && tokenizer != NULL) st = duplicates_text(d, tokenizer, first, &out->text, e);
    arena_close(work);
    return st;
}

/* Held-out rows that are trained on measure nothing. */
static Status warn_overlap(Trainer *t, const Dataset *tests, Err *e) {
    enum { PLACE_BYTES = 512 };
    Overlap o;
    char test[PLACE_BYTES], train[PLACE_BYTES];
    TRY(duplicates_between(&t->train, tests, &o, e));
    if (o.rows == 0) return OK;
    log_warn(
        &t->ctx->log,
        "%lld of %lld held-out rows of %s are in datasets too (first: %s is %s); the held-out loss will look better "
        "than it is",
        (long long)o.rows, (long long)tests->n_rows, tests->paths[0],
        dataset_place(tests, &tests->rows[o.test_row], test, sizeof test),
        dataset_place(&t->train, &t->train.rows[o.train_row], train, sizeof train));
    return OK;
}

/* Each entry of test_datasets is a set of its own, named by its path. */
static Status open_sets(Trainer *t, Dataset *held_out, const DataSource *tests, int n_tests, const DataContext *dc,
                        PreparedData *prepared, Err *e) {
    TRY(arena_alloc(t->host, (size_t)n_tests + 1, sizeof *t->sets, &t->sets, e));
    TRY(arena_alloc(t->host, (size_t)n_tests + 1, sizeof *t->results, &t->results, e));
    if (held_out->n_rows > 0) TRY(add_set(t, "val", held_out, e));
    for (int i = 0; i < n_tests; i++) {
        Dataset d;
        TRY(prepared_data_load(prepared, t->host, &tests[i], 1, dc, &d, e));
        data_tell_types(&t->ctx->log, &d);
        if (!t->data_only) TRY(dataset_refuse_sides(&d, e));
        TRY(take_max_rows(t, "test_datasets", i, 1, &d, e));
        TRY(warn_overlap(t, &d, e));
        TRY(add_set(t, tests[i].path, &d, e));
    }
    return OK;
}

static Status print_ledger(Trainer *t, const char *before, const Dataset *d, Err *e) {
    Buf b = {.arena = t->host};
    TRY(dataset_print_ledger(d, &b, e));
    if (b.len == 0) return OK;
    if (b.data[b.len - 1] == '\n') b.data[b.len - 1] = 0;
    log_note(&t->ctx->log, "%s%s", before, b.data);
    return OK;
}

/* Rows over sequence_len are bad where they would be an error; held-out rows are never cut. */
static Status check_files(Trainer *t, const DataSource *sources, int n, const DataSource *tests, int n_tests,
                          const DataContext *dc, Err *e) {
    DataCheck *check = t->check;
    bool raise = excess_strategy(config_string(t->config, "excess_length_strategy")) == EXCESS_RAISE;
    check->max_tokens = raise ? config_int(t->config, "sequence_len") : 0;
    check->what = "sequence_len";
    if (n > 0) TRY(dataset_check(sources, n, dc, check, e));
    check->max_tokens = t->session.base->config.max_positions;
    check->what = "the model's context";
    return n_tests > 0 ? dataset_check(tests, n_tests, dc, check, e) : OK;
}

/* A run that goes on from a checkpoint leaves its folder as it is until it is known to be the same run. */
static Status may_prepare(const Trainer *t, DataUse use, bool *out, Err *e) {
    const char *from = config_string(t->config, "resume_from_checkpoint");
    int64_t *steps;
    size_t n = 0;
    *out = use == DATA_TRAIN && (*from == 0 || strcmp(from, "auto") == 0);
    if (!*out || *from == 0) return OK;
    ArenaMark mark = arena_mark(t->save);
    TRY(state_list(t->save, config_string(t->config, "output_dir"), &steps, &n, e));
    arena_reset(t->save, mark);
    *out = n == 0;
    return OK;
}

Status trainer_data(Trainer *t, DataUse use, Err *e) {
    DataSource *sources, *tests;
    int n, n_tests;
    Dataset all, held_out;
    Config *c = t->config;
    Arena *a = t->host;
    TRY(sources_of(t, "datasets", &sources, &n, e));
    TRY(sources_of(t, "test_datasets", &tests, &n_tests, e));
    PreparedData prepared;
    bool prepare;
    DataContext dc = {
        .vocab = t->session.base->config.vocab_size, .no_chat = "the base has none", .pool = t->session.pool};
    if (!all_token_rows(sources, n) || !all_token_rows(tests, n_tests)) TRY(open_context(t, &dc, e));
    if (t->check != NULL) return check_files(t, sources, n, tests, n_tests, &dc, e);
    TRY(may_prepare(t, use, &prepare, e));
    TRY(prepared_data_open(a, c, &t->ctx->log, n_tests + 1, prepare, &prepared, &dc, e));
    TRY(prepared_data_load(&prepared, a, sources, n, &dc, &all, e));
    data_tell_types(&t->ctx->log, &all);
    if (use == DATA_ROWS) return rows_to_show(t, &all, e);
    if (!t->data_only) TRY(dataset_refuse_sides(&all, e));
    data_warn_bare(&t->ctx->log, &all, &dc);
    TRY(take_max_rows(t, "datasets", 0, n, &all, e));
    if (t->counts.wanted) TRY(count_duplicates(&all, t->tokenizer, &t->counts, e));
    if (config_bool(c, "dedupe")) TRY(dataset_dedupe(&all, e));
    TRY(dataset_split(a, &all, t->tokenizer, config_real(c, "val_set_size"), (uint64_t)config_int(c, "seed"), &t->train,
                      &held_out, e));
    TRY(open_sets(t, &held_out, tests, n_tests, &dc, &prepared, e));
    TRY(prepared_data_clean(&prepared, e));
    TRY(limit_and_mix(t, n, e));
    BatchesOptions o = {.sequence_len = config_int(c, "sequence_len"),
                        .micro_batch_size = config_int(c, "micro_batch_size"),
                        .gradient_accumulation_steps = config_int(c, "gradient_accumulation_steps"),
                        .num_epochs = config_real(c, "num_epochs"),
                        .max_steps = config_int(c, "max_steps"),
                        .sample_packing = config_bool(c, "sample_packing"),
                        .shuffle = config_bool(c, "shuffle"),
                        .seed = (uint64_t)config_int(c, "seed")};
    TRY(batches_open(a, &t->train, &o, &t->batches, e));
    t->limits = batches_limits(t->batches);
    t->steps = batches_steps(t->batches);
    TRY(print_ledger(t, "", &t->train, e));
    for (int64_t i = 0; i < t->n_sets; i++) TRY(print_ledger(t, "held out: ", &t->sets[i].data, e));
    return OK;
}
