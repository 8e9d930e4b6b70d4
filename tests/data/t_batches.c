/* Batches: what each step sees, as a function of (data, options, step) alone. */
#include "tests/support/support.h"

#include "base/rng.h"
#include "data/batches.h"

#include <string.h>

static Arena *arena;

static int setup(void **state) {
    (void)state;
    arena = support_arena();
    return 0;
}

static int teardown(void **state) {
    (void)state;
    arena_close(arena);
    return 0;
}

/* A dataset without files: n rows of 2..most tokens; all ids differ, so that a token tells its row and position. */
static Dataset make(int64_t n, int32_t most, uint64_t seed) {
    static const char *paths[] = {"rows.jsonl"};
    Err e;
    Dataset d = {.n_rows = n, .n_sources = 1, .paths = paths};
    int32_t *ids;
    uint8_t *trained;
    ASSERT_OK(ARENA_NEW(arena, n, d.rows, &e), e);
    ASSERT_OK(ARENA_NEW(arena, n * most, ids, &e), e);
    ASSERT_OK(ARENA_NEW(arena, n * most, trained, &e), e);
    int64_t at = 0;
    for (int64_t i = 0; i < n; i++) {
        uint32_t draw = philox4x32(seed, (uint64_t)i, 0).v[0];
        DataRow *r = &d.rows[i];
        *r = (DataRow){
            .start = at, .line = i + 1, .number = (int32_t)i, .length = 2 + (int32_t)(draw % (uint32_t)(most - 1))};
        for (int32_t k = 0; k < r->length; k++, at++) {
            ids[at] = (int32_t)at;
            trained[at] = k > 0 && (k == r->length - 1 || k % 3 == 0);
            r->trained += trained[at];
        }
    }
    d.ids = ids;
    d.trained = trained;
    return d;
}

/* Every second row gets labels of its own; of its trained tokens every other one has a label that is not its id. */
static void give_labels(Dataset *d) {
    Err e;
    int32_t *labels;
    LabelRow *rows;
    int64_t at = 0;
    ASSERT_OK(ARENA_NEW(arena, dataset_tokens(d), labels, &e), e);
    ASSERT_OK(ARENA_NEW(arena, d->n_rows, rows, &e), e);
    for (int64_t i = 1; i < d->n_rows; i += 2) {
        const DataRow *r = &d->rows[i];
        rows[d->n_label_rows++] = (LabelRow){.start = r->start, .at = at};
        for (int32_t k = 0; k < r->length; k++) {
            bool other = d->trained[r->start + k] && (r->length - k) % 2 == 1;
            labels[at++] = d->ids[r->start + k] + (other ? 10000 : 0);
        }
    }
    d->labels = labels;
    d->label_rows = rows;
}

static BatchesOptions defaults(void) {
    return (BatchesOptions){.sequence_len = 32,
                            .micro_batch_size = 2,
                            .gradient_accumulation_steps = 3,
                            .num_epochs = 1.0,
                            .sample_packing = true,
                            .shuffle = true,
                            .seed = 1};
}

static Batches *open_batches(const Dataset *d, BatchesOptions o) {
    Err e;
    Batches *b;
    ASSERT_OK(batches_open(arena, d, &o, &b, &e), e);
    return b;
}

/* Row index of the document an id lies in. */
static int64_t row_of(const Dataset *d, int32_t id) {
    for (int64_t i = 0; i < d->n_rows; i++) {
        if (id >= d->rows[i].start && id < d->rows[i].start + d->rows[i].length) return i;
    }
    fail_msg("id %d is in no row", id);
    return -1;
}

/* The targets that position k of a document must give, from target number *at on; t is its place in the view. */
static void check_targets(const Dataset *d, const BatchView *v, const DataRow *r, int32_t k, int64_t t, TargetSet set,
                          int64_t *at) {
    uint8_t trained = d->trained[r->start + k];
    int32_t id = d->ids[r->start + k], label = dataset_labels(d, r)[k];
    int32_t wanted[2] = {0};
    int uses[2], n = 0;
    if (trained) {
        wanted[n] = label;
        uses[n++] = label == id ? TARGET_LOSS | TARGET_ID : TARGET_LOSS;
    }
    if ((trained && label != id && set != TARGETS_TRAINED) || (!trained && set == TARGETS_ALL)) {
        wanted[n] = id;
        uses[n++] = TARGET_ID;
    }
    for (int i = 0; i < n; i++, (*at)++) {
        assert_true(*at < v->n_targets);
        assert_int_equal(v->index[*at], t - 1);
        assert_int_equal(v->target[*at], wanted[i]);
        assert_int_equal(v->target_use[*at], uses[i]);
    }
}

/* Every property of a view that its comments promise. */
static void check_view(const Dataset *d, const BatchView *v, int64_t first, int64_t n, const BatchesOptions *o,
                       const BatchLimits *l) {
    assert_true(v->n_tokens <= l->tokens && v->n_docs <= l->docs && v->n_rows <= l->rows && v->n_targets <= l->targets);
    assert_int_equal(v->n_rows, n);
    assert_int_equal(v->cu_seqlens[0], 0);
    assert_int_equal(v->cu_seqlens[v->n_docs], v->n_tokens);
    int64_t target = 0, bin = 0;
    for (int64_t doc = 0; doc < v->n_docs; doc++) {
        int64_t row = row_of(d, v->ids[v->cu_seqlens[doc]]);
        const DataRow *r = &d->rows[row];
        assert_int_equal(v->doc_row[doc], row);
        assert_int_equal(v->cu_seqlens[doc + 1] - v->cu_seqlens[doc], r->length);
        if (v->cu_seqlens[doc] == v->row_end[bin]) bin++;
        assert_true(v->row_begin[bin] <= v->cu_seqlens[doc] && v->cu_seqlens[doc + 1] <= v->row_end[bin]);
        assert_int_equal(v->row_index[bin], first + bin);
        assert_true(v->row_end[bin] - v->row_begin[bin] <= o->sequence_len);
        for (int32_t k = 0; k < r->length; k++) {
            int64_t t = v->cu_seqlens[doc] + k;
            assert_int_equal(v->ids[t], r->start + k);
            assert_int_equal(v->pos[t], k);
            assert_int_equal(v->token_key[t] >> 32, first + bin);
            assert_int_equal(v->token_key[t] & 0xffffffffu, t - v->row_begin[bin]);
            if (k > 0) check_targets(d, v, r, k, t, o->targets, &target);
        }
    }
    assert_int_equal(bin, n - 1);
    assert_int_equal(target, v->n_targets);
}

/* Goes through all steps of one epoch; every row must come exactly once, and sums must agree. */
static void check_epoch(const Dataset *d, Batches *b, const BatchesOptions *o, int64_t epoch) {
    Err e;
    BatchView v;
    BatchLimits l = batches_limits(b);
    int64_t rows = 0, per_epoch = batches_steps_per_epoch(b);
    uint8_t *seen;
    ASSERT_OK(batches_view(arena, b, &v, &e), e);
    ASSERT_OK(ARENA_NEW(arena, d->n_rows, seen, &e), e);
    for (int64_t step = epoch * per_epoch; step < (epoch + 1) * per_epoch && step < batches_steps(b); step++) {
        StepPlan p;
        int64_t tokens = 0, targets = 0;
        batches_step(b, step, &p);
        assert_true(p.n_rows <= l.rows_step);
        if (step + 1 < (epoch + 1) * per_epoch)
            assert_int_equal(p.n_rows, o->micro_batch_size * o->gradient_accumulation_steps);
        for (int64_t first = 0; first < p.n_rows; first += o->micro_batch_size) {
            int64_t n = p.n_rows - first < o->micro_batch_size ? p.n_rows - first : o->micro_batch_size;
            batches_fill(b, step, first, n, &v);
            check_view(d, &v, first, n, o, &l);
            for (int64_t doc = 0; doc < v.n_docs; doc++, rows++) assert_int_equal(seen[v.doc_row[doc]]++, 0);
            tokens += v.n_tokens;
            targets += v.n_targets;
        }
        assert_int_equal(tokens, p.n_tokens);
        assert_int_equal(targets, p.n_targets);
        assert_true(p.n_targets > 0);
    }
    assert_int_equal(rows, d->n_rows);
}

static void every_row_once_an_epoch(void **state) {
    (void)state;
    Dataset d = make(101, 20, 3);
    for (int kind = 0; kind < 48; kind++) {
        BatchesOptions o = defaults();
        o.sample_packing = (kind & 1) != 0;
        o.shuffle = (kind & 2) != 0;
        o.micro_batch_size = (kind & 4) != 0 ? 1 : 4;
        o.targets = (TargetSet)(kind / 8 % 3);
        if (kind == 24) give_labels(&d);
        o.num_epochs = 3.0;
        Batches *b = open_batches(&d, o);
        assert_int_equal(batches_steps(b), 3 * batches_steps_per_epoch(b));
        for (int64_t epoch = 0; epoch < 3; epoch++) check_epoch(&d, b, &o, epoch);
    }
}

/* Hash of all that the views of a step hold, in the order of its bins. */
static uint64_t step_image(Batches *b, int64_t step, int64_t micro) {
    Err e;
    BatchView v;
    StepPlan p;
    uint64_t h = 0, targets = 0; /* apart, because a split changes how they alternate */
    ArenaMark mark = arena_mark(arena);
    ASSERT_OK(batches_view(arena, b, &v, &e), e);
    batches_step(b, step, &p);
    for (int64_t first = 0; first < p.n_rows; first += micro) {
        batches_fill(b, step, first, p.n_rows - first < micro ? p.n_rows - first : micro, &v);
        for (int64_t t = 0; t < v.n_tokens; t++) {
            h = rng_mix(h, (uint64_t)v.ids[t]);
            h = rng_mix(h, (uint64_t)v.pos[t]);
            h = rng_mix(h, v.token_key[t]);
        }
        for (int64_t m = 0; m < v.n_targets; m++) targets = rng_mix(targets, (uint64_t)v.target[m]);
    }
    arena_reset(arena, mark);
    return rng_mix(h, targets);
}

static void a_step_depends_on_its_number_alone(void **state) {
    (void)state;
    Dataset d = make(60, 20, 4);
    BatchesOptions o = defaults();
    o.num_epochs = 4.0;
    Batches *a = open_batches(&d, o), *b = open_batches(&d, o);
    int64_t n = batches_steps(a);
    uint64_t forward[64];
    assert_true(n <= 64);
    for (int64_t s = 0; s < n; s++) forward[s] = step_image(a, s, 2);
    for (int64_t s = n - 1; s >= 0; s--) assert_true(step_image(b, s, 2) == forward[s]);
    /* another split of the same optimizer batch */
    o.micro_batch_size = 6;
    o.gradient_accumulation_steps = 1;
    Batches *c = open_batches(&d, o);
    for (int64_t s = 0; s < n; s++) assert_true(step_image(c, s, 6) == forward[s]);
    assert_true(step_image(c, 0, 1) == forward[0]);
    /* another seed, another epoch: another order */
    o.seed = 2;
    assert_true(step_image(open_batches(&d, o), 0, 6) != forward[0]);
    assert_true(forward[0] != forward[batches_steps_per_epoch(a)]);
}

/* Ranks share a step without gaps or repeats, in runs that are subtrees of its row tree. */
static void ranks_share_a_step(void **state) {
    (void)state;
    Err e;
    for (int64_t bins = 1; bins <= 40; bins++) {
        ArenaMark mark = arena_mark(arena);
        Dataset d = make(bins, 8, (uint64_t)bins);
        BatchesOptions o = {
            .sequence_len = 8, .micro_batch_size = 1, .gradient_accumulation_steps = 32, .num_epochs = 2};
        Batches *b;
        StepPlan plan;
        ASSERT_OK(batches_open(arena, &d, &o, &b, &e), e);
        for (int64_t step = 0; step < batches_steps(b); step++) {
            batches_step(b, step, &plan);
            for (int64_t ranks = 1; ranks <= 64; ranks *= 2) {
                int64_t next = 0, largest = 0;
                for (int64_t rank = 0; rank < ranks; rank++) {
                    int64_t first, n;
                    batches_shard(b, step, rank, ranks, &first, &n);
                    if (rank == 0) largest = n;
                    assert_int_equal(first, next);
                    assert_in_range(n, 0, largest);
                    if (n > 0) assert_int_equal(first % largest, 0);
                    if (first + n < plan.n_rows) assert_int_equal(n & (n - 1), 0);
                    next += n;
                }
                assert_int_equal(next, plan.n_rows);
                assert_true(ranks == 1 || largest < 2 * ((plan.n_rows + ranks - 1) / ranks));
            }
        }
        arena_reset(arena, mark);
    }
}

static void without_shuffle_rows_keep_their_order(void **state) {
    (void)state;
    Err e;
    Dataset d = make(40, 20, 5);
    for (int packing = 0; packing < 2; packing++) {
        BatchesOptions o = defaults();
        o.shuffle = false;
        o.sample_packing = packing == 1;
        o.num_epochs = 2.0;
        Batches *b = open_batches(&d, o);
        BatchView v;
        int64_t row = 0;
        ASSERT_OK(batches_view(arena, b, &v, &e), e);
        for (int64_t step = 0; step < batches_steps(b); step++) {
            StepPlan p;
            batches_step(b, step, &p);
            for (int64_t i = 0; i < p.n_rows; i++) {
                batches_fill(b, step, i, 1, &v);
                for (int64_t doc = 0; doc < v.n_docs; doc++) assert_int_equal(v.doc_row[doc], row++ % d.n_rows);
            }
        }
        assert_int_equal(row, 2 * d.n_rows);
    }
}

static void lengths_of_runs(void **state) {
    (void)state;
    Dataset d = make(20, 8, 6);
    BatchesOptions o = defaults();
    StepPlan p;
    o.sample_packing = false;
    Batches *b = open_batches(&d, o); /* 20 bins, 6 a step: 6 6 6 2 */
    assert_int_equal(batches_bins(b), 20);
    assert_int_equal(batches_steps(b), 4);
    batches_step(b, 3, &p);
    assert_int_equal(p.n_rows, 2);
    assert_true(p.epoch == 1.0);
    batches_step(b, 1, &p);
    assert_true(p.epoch == 0.6);
    o.num_epochs = 0.3;
    assert_int_equal(batches_steps(open_batches(&d, o)), 2);
    o.num_epochs = 2.5;
    assert_int_equal(batches_steps(open_batches(&d, o)), 10);
    o.max_steps = 9;
    b = open_batches(&d, o);
    assert_int_equal(batches_steps(b), 9);
    batches_step(b, 8, &p);
    assert_true(p.epoch == 2.0 + 6.0 / 20.0);
    o.micro_batch_size = 64; /* more than there are bins */
    b = open_batches(&d, o);
    batches_step(b, 8, &p);
    assert_int_equal(p.n_rows, 20);
    assert_int_equal(batches_limits(b).rows, 20);
    assert_int_equal(batches_limits(b).rows_step, 20);
}

/* Limits are the largest bins together, so no order of bins can exceed them, and one order reaches them. */
static void limits_are_tight(void **state) {
    (void)state;
    Dataset d = make(30, 20, 7);
    BatchesOptions o = defaults();
    o.sample_packing = false;
    BatchLimits l = batches_limits(open_batches(&d, o));
    int32_t first = 0, second = 0;
    for (int64_t i = 0; i < d.n_rows; i++) {
        int32_t n = d.rows[i].length;
        if (n > first) {
            second = first;
            first = n;
        } else if (n > second) {
            second = n;
        }
    }
    assert_int_equal(l.tokens, first + second);
    assert_int_equal(l.longest, first);
    assert_int_equal(l.docs, 2);
    assert_int_equal(l.rows, 2);
    assert_int_equal(l.rows_step, 6);
}

static void evaluation_cuts_nothing(void **state) {
    (void)state;
    Err e;
    Dataset d = make(50, 20, 8);
    for (int kind = 0; kind < 6; kind++) {
        TargetSet targets = (TargetSet)(kind % 3);
        if (kind == 3) give_labels(&d);
        Batches *b;
        BatchView v;
        int64_t row = 0;
        ASSERT_OK(batches_open_eval(arena, &d, 10, targets, &b, &e), e); /* rows up to 20 tokens */
        ASSERT_OK(batches_view(arena, b, &v, &e), e);
        BatchLimits l = batches_limits(b);
        BatchesOptions o = {.sequence_len = 20, .targets = targets};
        for (int64_t step = 0; step < batches_steps(b); step++) {
            batches_fill(b, step, 0, 1, &v);
            check_view(&d, &v, 0, 1, &o, &l);
            assert_true(v.n_docs == 1 || v.n_tokens <= 10);
            for (int64_t doc = 0; doc < v.n_docs; doc++) assert_int_equal(v.doc_row[doc], row++);
        }
        assert_int_equal(row, 50);
    }
}

static void places(void **state) {
    (void)state;
    char text[64];
    Dataset d = make(20, 8, 9);
    BatchesOptions o = defaults();
    o.shuffle = false;
    o.sample_packing = false;
    batches_row_place(open_batches(&d, o), 1, 2, text, sizeof text);
    assert_string_equal(text, "rows.jsonl:9");
    o.sample_packing = true;
    o.sequence_len = 1000;
    batches_row_place(open_batches(&d, o), 0, 0, text, sizeof text);
    assert_string_equal(text, "rows.jsonl:1 (and 19 more rows in its bin)");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_row_once_an_epoch, setup, teardown),
        cmocka_unit_test_setup_teardown(a_step_depends_on_its_number_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(ranks_share_a_step, setup, teardown),
        cmocka_unit_test_setup_teardown(without_shuffle_rows_keep_their_order, setup, teardown),
        cmocka_unit_test_setup_teardown(lengths_of_runs, setup, teardown),
        cmocka_unit_test_setup_teardown(limits_are_tight, setup, teardown),
        cmocka_unit_test_setup_teardown(evaluation_cuts_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(places, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
