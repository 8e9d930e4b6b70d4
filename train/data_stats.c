/* data_stats.c: lorac data stats: ledger, lengths, duplicates, packing, as text or as one JSON object. */
#include "train/data_commands.h"

#include "base/json.h"

#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 32, BAR = 40 };

typedef struct Lengths {
    int64_t rows[BUCKETS]; /* of 2^k to 2^(k+1) - 1 tokens */
    int low, high;         /* the first and the last bucket with a row */
    double mean, median;
} Lengths;

static int ascending(const void *pa, const void *pb) {
    const int32_t *a = pa, *b = pb;
    return (*a > *b) - (*a < *b);
}

static Status measure(Arena *a, const Dataset *d, Lengths *out, Err *e) {
    int32_t *sorted;
    int64_t n = d->n_rows;
    *out = (Lengths){.low = BUCKETS};
    TRY(ARENA_NEW(a, n, sorted, e));
    for (int64_t i = 0; i < n; i++) {
        int k = 31 - __builtin_clz((unsigned)d->rows[i].length); /* a row has at least 2 tokens */
        sorted[i] = d->rows[i].length;
        out->rows[k]++;
        if (k < out->low) out->low = k;
        if (k > out->high) out->high = k;
    }
    qsort(sorted, (size_t)n, sizeof *sorted, ascending);
    out->mean = (double)dataset_tokens(d) / (double)n;
    out->median = ((double)sorted[(n - 1) / 2] + (double)sorted[n / 2]) / 2.0;
    return OK;
}

static double share(int64_t part, int64_t whole) { return whole > 0 ? (double)part / (double)whole : 0.0; }

static int64_t capacity(const Trainer *t) { return batches_bins(t->batches) * config_int(t->config, "sequence_len"); }

/* ---- text -------------------------------------------------------------------------------------------------------- */

static Status put_histogram(Buf *b, const Lengths *l, Err *e) {
    int64_t most = 1;
    for (int k = l->low; k <= l->high; k++) {
        if (l->rows[k] > most) most = l->rows[k];
    }
    TRY(buf_puts(b, "     tokens a row       rows\n", e));
    for (int k = l->low; k <= l->high; k++) {
        int64_t from = (int64_t)1 << k;
        int bar = (int)((double)l->rows[k] / (double)most * BAR + 0.5);
        TRY(buf_printf(b, e, "%8lld - %8lld %8lld%s%.*s\n", (long long)from, (long long)(2 * from - 1),
                       (long long)l->rows[k], bar > 0 ? " " : "", bar, "########################################"));
    }
    return OK;
}

static Status put_duplicates(Buf *b, const DataCounts *c, Err *e) {
    TRY(buf_printf(b, e, "duplicates: %lld of %lld rows read are exact copies of an earlier one", (long long)c->exact,
                   (long long)c->rows));
    if (c->text >= 0)
        TRY(buf_printf(b, e, ", %lld more differ only in case, spaces, Unicode form or trained tokens",
                       (long long)(c->text - c->exact)));
    return buf_putc(b, '\n', e);
}

static Status text_stats(Trainer *t, const Lengths *l, Buf *b, Err *e) {
    const Dataset *d = &t->train;
    int64_t tokens = dataset_tokens(d);
    TRY(dataset_print_ledger(d, b, e));
    for (int64_t i = 0; i < t->n_sets; i++) {
        TRY(buf_puts(b, "held out: ", e));
        TRY(dataset_print_ledger(&t->sets[i].data, b, e));
    }
    TRY(put_histogram(b, l, e));
    TRY(buf_printf(
        b, e, "%lld rows to train on: mean %.1f tokens, median %.1f, longest %lld; %.1f %% of the tokens are trained\n",
        (long long)d->n_rows, l->mean, l->median, (long long)dataset_longest(d),
        100.0 * share(dataset_trained(d), tokens)));
    TRY(put_duplicates(b, &t->counts, e));
    return buf_printf(
        b, e,
        "%lld bins of at most %lld tokens, %.1f %% filled, %lld steps an epoch, %lld steps; longest row %lld tokens\n",
        (long long)batches_bins(t->batches), (long long)config_int(t->config, "sequence_len"),
        100.0 * share(tokens, capacity(t)), (long long)batches_steps_per_epoch(t->batches), (long long)t->steps,
        (long long)dataset_longest(d));
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

/* Its sources, each an object. */
static Status put_sources(Buf *b, const Dataset *d, bool first, Err *e) {
    for (int s = 0; s < d->n_sources; s++) {
        const Ledger *g = &d->ledger[s];
        TRY(buf_puts(b, first && s == 0 ? "{\"dataset\":" : ",{\"dataset\":", e));
        TRY(json_put_string(b, d->paths[s], strlen(d->paths[s]), e));
        TRY(buf_printf(b, e, ",\"type\":\"%s\"", d->types[s]));
        TRY(json_put_int_member(b, "rows", g->rows, e));
        TRY(json_put_int_member(b, "read", g->read, e));
        TRY(json_put_int_member(b, "trained", g->trained, e));
        TRY(json_put_int_member(b, "masked", g->masked, e));
        TRY(json_put_int_member(b, "dropped", g->dropped, e));
        TRY(json_put_int_member(b, "rows_dropped", g->rows_dropped, e));
        TRY(json_put_int_member(b, "rows_cut", g->rows_cut, e));
        TRY(json_put_int_member(b, "duplicates", g->duplicates, e));
        for (int k = SIDE_NONE + 1; k < SIDE_COUNT; k++)
            if (g->sides[k] > 0) TRY(json_put_int_member(b, SIDE_NAMES[k], g->sides[k], e));
        TRY(buf_putc(b, '}', e));
    }
    return OK;
}

static Status put_lengths(Buf *b, const Dataset *d, const Lengths *l, Err *e) {
    TRY(json_put_int_member(b, "rows", d->n_rows, e));
    TRY(json_put_int_member(b, "tokens", dataset_tokens(d), e));
    TRY(json_put_int_member(b, "trained", dataset_trained(d), e));
    TRY(json_put_int_member(b, "longest", dataset_longest(d), e));
    TRY(json_put_real_member(b, "mean", l->mean, e));
    TRY(json_put_real_member(b, "median", l->median, e));
    TRY(buf_puts(b, ",\"histogram\":[", e));
    for (int k = l->low; k <= l->high; k++)
        TRY(buf_printf(b, e, "%s{\"from\":%lld,\"to\":%lld,\"rows\":%lld}", k > l->low ? "," : "", 1LL << k,
                       (1LL << (k + 1)) - 1, (long long)l->rows[k]));
    return buf_putc(b, ']', e);
}

static Status json_stats(Trainer *t, const Lengths *l, Buf *b, Err *e) {
    const Dataset *d = &t->train;
    TRY(buf_puts(b, "{\"datasets\":[", e));
    TRY(put_sources(b, d, true, e));
    TRY(buf_puts(b, "],\"held_out\":[", e));
    for (int64_t i = 0; i < t->n_sets; i++) TRY(put_sources(b, &t->sets[i].data, i == 0, e));
    TRY(buf_putc(b, ']', e));
    TRY(put_lengths(b, d, l, e));
    TRY(json_put_int_member(b, "rows_read", t->counts.rows, e));
    TRY(json_put_int_member(b, "exact_duplicates", t->counts.exact, e));
    if (t->counts.text >= 0)
        TRY(json_put_int_member(b, "text_duplicates", t->counts.text, e));
    else
        TRY(buf_puts(b, ",\"text_duplicates\":null", e));
    TRY(json_put_int_member(b, "bins", batches_bins(t->batches), e));
    TRY(json_put_int_member(b, "sequence_len", config_int(t->config, "sequence_len"), e));
    TRY(json_put_real_member(b, "fill", share(dataset_tokens(d), capacity(t)), e));
    TRY(json_put_int_member(b, "steps_per_epoch", batches_steps_per_epoch(t->batches), e));
    TRY(json_put_int_member(b, "steps", t->steps, e));
    return buf_puts(b, "}\n", e);
}

Status data_stats(Trainer *t, const Args *args, Err *e) {
    Buf b = {.arena = t->save};
    Lengths lengths;
    TRY(measure(t->save, &t->train, &lengths, e));
    TRY(args_has(args, "--json") ? json_stats(t, &lengths, &b, e) : text_stats(t, &lengths, &b, e));
    fputs(b.data, t->ctx->log.out);
    return OK;
}
