/* Rows that are too long: whole turns are kept, end tokens stay, texts are split so that each token is trained once. */
#include "tests/data/tiny_tokenizer.h"

#include "data/batches.h"

static Dataset read_rows(Tokenizer *t, const char *type, const char *text) {
    Err e = {0};
    Dataset d;
    DataContext context = {.tokenizer = t, .vocab = N_TOKENS};
    DataSource source = {.path = path, .type = type};
    write_rows(text);
    ASSERT_OK(dataset_load(arena, &source, 1, &context, &d, &e), e);
    return d;
}

static LengthLimit limit_of(const Tokenizer *t, ExcessStrategy strategy, int64_t most, int64_t overlap) {
    return (LengthLimit){.max_tokens = most,
                         .what = "sequence_len",
                         .strategy = strategy,
                         .tokenizer = t,
                         .overlap = overlap,
                         .arena = arena};
}

/* "a b [c] [</s>]" of a row as it would be trained. */
static const char *shown(const Dataset *d, const DataRow *r, Buf *b) {
    Err e;
    buf_clear(b);
    for (int64_t i = 0; i < r->length; i++) {
        int32_t id = dataset_id(d, r, i);
        const char *name = id == BOS ? "<s>" : id == END ? "</s>" : id == STOP ? "<stop>" : id == MARK ? "_" : NULL;
        char letter[2] = {(char)('a' + id - LETTER), 0};
        bool trained = dataset_is_trained(d, r, i);
        ASSERT_OK(buf_printf(b, &e, "%s%s%s%s", i > 0 ? " " : "", trained ? "[" : "", name != NULL ? name : letter,
                             trained ? "]" : ""),
                  e);
    }
    return b->data;
}

/* A row of a text with ends in it, cut to `most`. */
static void expect_cut(const char *type, const char *row, int64_t most, const char *want) {
    Tokenizer *t = tiny(true, END);
    Err e = {0};
    Buf b = {.arena = arena};
    Dataset d = read_rows(t, type, row);
    int64_t read = d.ledger[0].read;
    const LengthLimit l = limit_of(t, EXCESS_TRUNCATE, most, 0);
    ASSERT_OK(dataset_limit(&d, &l, &e), e);
    assert_string_equal(shown(&d, &d.rows[0], &b), want);
    assert_int_equal(d.ledger[0].read, read);
    assert_int_equal(d.ledger[0].read, d.ledger[0].trained + d.ledger[0].masked + d.ledger[0].dropped);
    int trained = 0;
    for (int64_t i = 0; i < d.rows[0].length; i++) trained += dataset_is_trained(&d, &d.rows[0], i);
    assert_int_equal(d.rows[0].trained, trained);
    tokenizer_close(t);
}

static void whole_turns(void **state) {
    (void)state;
    const char *turns = "{\"text\": \"ab</s>cd</s>efgh\"}"; /* BOS _ a b </s> _ c d </s> _ e f g h </s> */
    expect_cut("text", turns, 15, "<s> [_] [a] [b] [</s>] [_] [c] [d] [</s>] [_] [e] [f] [g] [h] [</s>]");
    expect_cut("text", turns, 14, "<s> [_] [a] [b] [</s>] [_] [c] [d] [</s>]");
    expect_cut("text", turns, 9, "<s> [_] [a] [b] [</s>] [_] [c] [d] [</s>]");
    expect_cut("text", turns, 8, "<s> [_] [a] [b] [</s>]");
    expect_cut("text", turns, 5, "<s> [_] [a] [b] [</s>]");
    /* not even the first turn fits: its text is cut, its end stays */
    expect_cut("text", turns, 4, "<s> [_] [a] [</s>]");
    expect_cut("text", turns, 2, "<s> [</s>]");
    expect_cut("prompt_completion", "{\"prompt\": \"ab\", \"completion\": \"cdefg\"}", 7, "<s> _ a b [c] [d] [</s>]");
    /* what is cut off after the prompt's end token is the answer, not the prompt */
    expect_cut("prompt_completion", "{\"prompt\": \"a</s>\", \"completion\": \"cdefg\"}", 6, "<s> _ a </s> [c] [</s>]");
    /* ids are taken as they are, labels too */
    expect_cut("tokens", "{\"input_ids\": [4, 5, 2, 6, 2], \"labels\": [4, 5, 2, 6, 2]}", 4, "a [b] [</s>] [c]");
}

/* As train_on_eos leaves them: an earlier turn's end that is not trained, all ends, none. */
static void ends_of_chats(void **state) {
    (void)state;
#define SEGMENT(label, text) "{\"label\": " label ", \"text\": \"" text "\"}"
    const char *last = "{\"segments\": [" SEGMENT("false", "ab</s>") "," SEGMENT("true", "cd") "," SEGMENT(
        "false", "</s>e") "," SEGMENT("true", "fgh</s>") "]}";
    const char *all = "{\"segments\": [" SEGMENT("false", "ab") "," SEGMENT("true", "</s>cdefg</s>") "]}";
    const char *none = "{\"segments\": [" SEGMENT("false", "ab") "," SEGMENT("true", "cd") "," SEGMENT(
        "false", "</s>e") "," SEGMENT("true", "fgh") "," SEGMENT("false", "</s>") "]}";
    /* the answer's end, not that of the user's text behind it */
    const char *more = "{\"segments\": [" SEGMENT("false", "ab") "," SEGMENT("true", "</s>cd</s>") "," SEGMENT(
        "false", "e") "," SEGMENT("true", "</s>fgh</s>") "]}";
    expect_cut("input_output", more, 12, "<s> _ a b [</s>] [_] [c] [d] [</s>]");
    expect_cut("input_output", last, 10, "<s> _ a b </s> [c] [d] [</s>]"); /* now it is the last */
    expect_cut("input_output", last, 6, "<s> _ a b </s> [</s>]");
    expect_cut("input_output", all, 7, "<s> _ a b [</s>] [_] [</s>]");
    expect_cut("input_output", all, 5, "<s> _ a b [</s>]");
    expect_cut("input_output", none, 9, "<s> _ a b [c] [d] </s>");
}

static void nothing_left(void **state) {
    (void)state;
    Err e = {0};
    Tokenizer *t = tiny(false, END);
    Dataset d = read_rows(t, "prompt_completion", "{\"prompt\": \"abcdef\", \"completion\": \"g\"}");
    const LengthLimit l = limit_of(t, EXCESS_TRUNCATE, 6, 0);
    ASSERT_FAILS(dataset_limit(&d, &l, &e), e, ERR_DATA,
                 "rows.jsonl:1: no trained token is left after cutting 9 tokens to 6");
    tokenizer_close(t);
}

/* Half a pair compares nothing. */
static void pairs_go_whole(void **state) {
    (void)state;
    Err e = {0};
    Tokenizer *t = tiny(false, END);
    Dataset d = read_rows(t, "preference",
                          "{\"prompt\": \"a\", \"chosen\": \"b\", \"rejected\": \"cdefgh\"}\n"
                          "{\"prompt\": \"a\", \"chosen\": \"bcdefg\", \"rejected\": \"c\"}\n"
                          "{\"prompt\": \"a\", \"chosen\": \"b\", \"rejected\": \"c\"}\n");
    const LengthLimit l = limit_of(t, EXCESS_DROP, 6, 0);
    assert_int_equal(d.n_rows, 6);
    ASSERT_OK(dataset_limit(&d, &l, &e), e);
    assert_int_equal(d.n_rows, 2);
    assert_int_equal(d.rows[0].number, 2);
    assert_int_equal(d.ledger[0].rows_dropped, 4);
    tokenizer_close(t);
}

static void texts_are_split(void **state) {
    (void)state;
    Err e = {0};
    Buf b = {.arena = arena}, ledger = {.arena = arena};
    Tokenizer *t = tiny(true, END);
    const char *rows = "{\"text\": \"abcdefgh\"}\n{\"text\": \"ab\"}"; /* BOS _ a..h </s>: 11 tokens; 5 */
    Dataset d = read_rows(t, "text", rows);
    LengthLimit l = limit_of(t, EXCESS_SPLIT, 5, 2);
    ASSERT_OK(dataset_limit(&d, &l, &e), e);
    assert_int_equal(d.n_rows, 5);
    static const char *const WANT[] = {"<s> [_] [a] [b] [c]", "<s> b c [d] [e]", "<s> d e [f] [g]",
                                       "<s> f g [h] [</s>]", "<s> [_] [a] [b] [</s>]"};
    for (int i = 0; i < 5; i++) assert_string_equal(shown(&d, &d.rows[i], &b), WANT[i]);
    assert_int_equal(d.rows[3].line, 1);
    assert_int_equal(d.rows[3].number, 0);
    ASSERT_OK(dataset_print_ledger(&d, &ledger, &e), e);
    assert_non_null(strstr(ledger.data, "5 rows, 25 tokens read = 14 trained + 11 masked + 0 dropped, 1 rows split (9 "
                                        "tokens more than once)"));
    /* without overlap, and without BOS: what the first new token is predicted from comes along */
    d = read_rows(t, "text", rows);
    l.overlap = 0;
    ASSERT_OK(dataset_limit(&d, &l, &e), e);
    assert_string_equal(shown(&d, &d.rows[1], &b), "<s> [d] [e] [f] [g]");
    tokenizer_close(t);
    t = tiny(false, END);
    d = read_rows(t, "text", rows);
    l.tokenizer = t;
    ASSERT_OK(dataset_limit(&d, &l, &e), e);
    assert_string_equal(shown(&d, &d.rows[0], &b), "_ [a] [b] [c] [d]");
    assert_string_equal(shown(&d, &d.rows[1], &b), "d [e] [f] [g] [h]");
    assert_string_equal(shown(&d, &d.rows[2], &b), "h [</s>]");
    d = read_rows(t, "prompt_completion",
                  "{\"prompt\": \"abcdef\", \"completion\": \"g\"}\n{\"prompt\": \"a\", \"completion\": \"b\"}");
    ASSERT_FAILS(dataset_limit(&d, &l, &e), e, ERR_DATA, "rows.jsonl:1: 9 tokens, which is more than sequence_len 5");
    assert_non_null(strstr(e.message, "only rows of type text can be split"));
    tokenizer_close(t);
}

/* For every length and overlap: each token is new once and trained once, in order, and what the model sees of a batch is that. */
static void every_split(void **state) {
    (void)state;
    enum { LETTERS = 40 };
    char row[LETTERS + 32] = "{\"text\": \"";
    size_t at = strlen(row);
    Err e = {0};
    for (int i = 0; i < LETTERS; i++) row[at++] = (char)('a' + i % 26);
    memcpy(row + at, "\"}", 3);
    for (int bos = 0; bos < 2; bos++) {
        Tokenizer *t = tiny(bos == 1, END);
        for (int64_t most = 2; most < LETTERS + 4; most++) {
            for (int64_t overlap = 0; overlap <= most / 2; overlap++) {
                ArenaMark mark = arena_mark(arena);
                Dataset whole = read_rows(t, "text", row), d = whole;
                const LengthLimit l = limit_of(t, EXCESS_SPLIT, most, overlap);
                ASSERT_OK(dataset_limit(&d, &l, &e), e);
                int64_t next = 0;
                for (int64_t i = 0; i < d.n_rows; i++) {
                    const DataRow *r = &d.rows[i];
                    assert_in_range(r->length, 1, most);
                    if (bos == 1) assert_int_equal(dataset_id(&d, r, 0), BOS);
                    for (int64_t k = i == 0 ? 0 : r->context; k < r->length; k++, next++) {
                        assert_int_equal(dataset_id(&d, r, k), whole.ids[next]);
                        assert_int_equal(dataset_is_trained(&d, r, k), next > 0);
                    }
                    for (int64_t k = 0; k < r->context; k++) assert_false(dataset_is_trained(&d, r, k));
                    for (int64_t k = bos; i > 0 && k < r->context; k++)
                        assert_int_equal(dataset_id(&d, r, k), whole.ids[next - r->length + k]);
                }
                assert_int_equal(next, whole.rows[0].length);
                assert_int_equal(dataset_trained(&d), whole.rows[0].trained);
                arena_reset(arena, mark);
            }
        }
        tokenizer_close(t);
    }
}

/* A batch and the hash see the row as it was cut. */
static void batches_see_it(void **state) {
    (void)state;
    Err e = {0};
    Tokenizer *t = tiny(true, END);
    Dataset d = read_rows(t, "text", "{\"text\": \"abcdefgh\"}"), whole = d;
    Hash128 cut, plain;
    Batches *batches;
    BatchView v;
    DataRow rows[1] = {d.rows[0]};
    whole.rows = rows;
    whole.rows[0].length = 5;
    LengthLimit l = limit_of(t, EXCESS_TRUNCATE, 5, 0);
    ASSERT_OK(dataset_limit(&d, &l, &e), e);
    BatchesOptions o = {.sequence_len = 5,
                        .micro_batch_size = 1,
                        .gradient_accumulation_steps = 1,
                        .num_epochs = 1,
                        .sample_packing = true};
    ASSERT_OK(batches_open(arena, &d, &o, &batches, &e), e);
    ASSERT_OK(batches_view(arena, batches, &v, &e), e);
    batches_fill(batches, 0, 0, 1, &v);
    assert_int_equal(v.n_tokens, 5);
    assert_int_equal(v.ids[4], END);
    assert_int_equal(v.n_targets, 4);
    assert_int_equal(v.target[3], END);
    ASSERT_OK(dataset_hash(arena, &d, &cut, &e), e);
    ASSERT_OK(dataset_hash(arena, &whole, &plain, &e), e);
    assert_true(cut.lo != plain.lo);
    d = read_rows(t, "text", "{\"text\": \"abcdefgh\"}");
    l = limit_of(t, EXCESS_SPLIT, 6, 2);
    ASSERT_OK(dataset_limit(&d, &l, &e), e);
    o.sequence_len = 6;
    o.sample_packing = false;
    ASSERT_OK(batches_open(arena, &d, &o, &batches, &e), e);
    ASSERT_OK(batches_view(arena, batches, &v, &e), e);
    batches_fill(batches, 1, 0, 1, &v);
    assert_int_equal(v.ids[0], BOS);
    assert_int_equal(v.n_targets, 3);
    assert_int_equal(v.index[0], 2);
    tokenizer_close(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(whole_turns, setup, teardown),
        cmocka_unit_test_setup_teardown(ends_of_chats, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_left, setup, teardown),
        cmocka_unit_test_setup_teardown(pairs_go_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(texts_are_split, setup, teardown),
        cmocka_unit_test_setup_teardown(every_split, setup, teardown),
        cmocka_unit_test_setup_teardown(batches_see_it, setup, teardown),
    };
    return cmocka_run_group_tests_name("lengths", tests, NULL, NULL);
}
