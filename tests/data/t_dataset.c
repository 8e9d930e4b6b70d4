/* Datasets of type tokens and everything that needs no tokenizer: rows, columns, types, split, limits, ledger, hash. */
#include "tests/data/rows_file.h"

#include "data/formats.h"

#include <stdio.h>
#include <string.h>

static Status load_source(const char *text, DataSource source, Dataset *d, Err *e) {
    DataContext context = {.vocab = 100};
    *e = (Err){0};
    write_rows(text);
    source.path = path;
    return dataset_load(arena, &source, 1, &context, d, e);
}

static Status limit(Dataset *d, int64_t most, ExcessStrategy strategy, const char *what, Err *e) {
    return dataset_limit(d, &(LengthLimit){.max_tokens = most, .what = what, .strategy = strategy, .arena = arena}, e);
}

static Status load(const char *text, Dataset *d, Err *e) {
    return load_source(text, (DataSource){.type = "tokens"}, d, e);
}

static void tokens_are_taken_as_they_are(void **state) {
    (void)state;
    static const int32_t ids[] = {5, 6, 7, 9, 8, 0, 99};
    static const uint8_t trained[] = {0, 1, 0, 0, 1, 1, 1};
    Err e;
    Dataset d;
    const char *text = "{\"input_ids\": [5, 6, 7], \"labels\": [5, 6, -100]}\n\n"
                       "{\"labels\": [-100, 8, 0, 99], \"input_ids\": [9, 8, 0, 99], \"other\": {\"x\": [null]}}";
    ASSERT_OK(load(text, &d, &e), e);
    assert_int_equal(d.n_rows, 2);
    assert_int_equal(d.rows[1].line, 3);
    assert_int_equal(d.rows[1].number, 1);
    assert_int_equal(d.rows[1].start, 3);
    assert_int_equal(d.rows[0].length, 3);
    assert_int_equal(d.rows[0].trained, 1);
    assert_int_equal(d.rows[1].trained, 3);
    assert_memory_equal(d.ids, ids, sizeof ids);
    assert_memory_equal(d.trained, trained, sizeof trained);
    assert_int_equal(d.ledger[0].read, 7);
    assert_int_equal(d.ledger[0].trained, 4);
    assert_int_equal(d.ledger[0].masked, 3);
    assert_string_equal(d.types[0], "tokens");
    assert_string_equal(d.paths[0], path);
    assert_int_equal(dataset_tokens(&d), 7);
    assert_int_equal(dataset_trained(&d), 4);
    assert_int_equal(dataset_longest(&d), 4);
}

/* Labels that are other ids: kept for their rows alone, and found again in a subset and after a cut. */
static void labels_may_be_other_ids(void **state) {
    (void)state;
    static const int32_t labels[] = {4, 9, 6, 7};
    Err e = {0};
    Dataset d, train, val;
    const char *text = "{\"input_ids\": [1, 2, 3], \"labels\": [1, 2, 3]}\n"
                       "{\"input_ids\": [4, 5, 6, 7], \"labels\": [-100, 9, -100, 7]}\n"
                       "{\"input_ids\": [5, 6], \"labels\": [99, 6]}\n" /* the first label is not used */
                       "{\"input_ids\": [5, 6, 7], \"labels\": [5, 0, 99]}\n";
    ASSERT_OK(load(text, &d, &e), e);
    assert_int_equal(d.n_label_rows, 2);
    assert_ptr_equal(dataset_labels(&d, &d.rows[0]), d.ids);
    assert_ptr_equal(dataset_labels(&d, &d.rows[2]), d.ids + 7);
    assert_memory_equal(dataset_labels(&d, &d.rows[1]), labels, sizeof labels);
    assert_int_equal(dataset_labels(&d, &d.rows[3])[2], 99);
    for (int i = 0; i < 4; i++) assert_int_equal(dataset_free_labels(&d, &d.rows[i]), i == 1 ? 1 : i == 3 ? 2 : 0);
    assert_int_equal(d.rows[1].trained, 2);
    assert_int_equal(d.ledger[0].trained, 7);
    assert_int_equal(d.ledger[0].masked, 5);
    ASSERT_OK(dataset_split(arena, &d, NULL, 2, 1, &train, &val, &e), e);
    for (int i = 0; i < 4; i++) {
        const Dataset *part = i < 2 ? &train : &val;
        const DataRow *r = &part->rows[i % 2];
        assert_ptr_equal(dataset_labels(part, r), dataset_labels(&d, &d.rows[r->number]));
    }
    ASSERT_OK(limit(&d, 2, EXCESS_TRUNCATE, "sequence_len", &e), e);
    assert_memory_equal(dataset_labels(&d, &d.rows[1]), labels, 2 * sizeof *labels);
    assert_int_equal(dataset_free_labels(&d, &d.rows[3]), 1);
    ASSERT_OK(load("{\"input_ids\": [1, 2], \"labels\": [1, 2]}\n", &d, &e), e);
    assert_null(d.labels); /* nothing is kept where labels are ids */
    assert_null(d.label_rows);
}

static void bad_rows_are_named(void **state) {
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "rows.jsonl: there is no row in it"},
        {"\n\n", "there is no row in it"},
        {"[1, 2]\n", "rows.jsonl:1: element 1: got an integer, expected an object"},
        {"[\n{\"input_ids\": [1, 2], \"labels\": [1, 2]}, {}]\n",
         "rows.jsonl:2: element 2: field 'input_ids' is missing"},
        {"[]", "rows.jsonl: there is no row in it"},
        {"{\"input_ids\": [1, 2], \"labels\": [1, 2]}\n[1]\n", "rows.jsonl:2: got a list, expected an object"},
        {"{\"input_ids\": [1, 2], \"labels\": [1, 2]}\n3\n", "rows.jsonl:2: got an integer"},
        {"{}\n", "rows.jsonl:1: field 'input_ids' is missing (fields here: none); field_input_ids names the column"},
        {"{\"input_ids\": [1, 2], \"text\": \"a\"}\n", "field 'labels' is missing (fields here: input_ids, text)"},
        {"{\"input_ids\": \"1\", \"labels\": [1]}\n", "field 'input_ids': got a string, expected a list"},
        {"{\"input_ids\": [1, 2], \"labels\": null}\n", "field 'labels': got null, expected a list"},
        {"{\"input_ids\": [1, 2], \"labels\": [1]}\n", "2 input ids but 1 labels"},
        {"{\"input_ids\": [1, 100], \"labels\": [1, 100]}\n", "input id number 1 must be a whole number from 0 to 99"},
        {"{\"input_ids\": [1, -1], \"labels\": [1, -1]}\n", "input id number 1"},
        {"{\"input_ids\": [1, 1.5], \"labels\": [1, 1]}\n", "input id number 1"},
        {"{\"input_ids\": [1, \"2\"], \"labels\": [1, 2]}\n", "input id number 1"},
        {"{\"input_ids\": [1, 99999999999], \"labels\": [1, 2]}\n", "input id number 1"},
        {"{\"input_ids\": [1, 2], \"labels\": [1, 100]}\n",
         "rows.jsonl:1: label number 1 must be -100 (not trained) or a whole number from 0 to 99"},
        {"{\"input_ids\": [1, 2], \"labels\": [1, -1]}\n", "label number 1"},
        {"{\"input_ids\": [1, 2], \"labels\": [1, -99]}\n", "label number 1"},
        {"{\"input_ids\": [1, 2], \"labels\": [1, 4294967297]}\n", "label number 1"},
        {"{\"input_ids\": [1, 2], \"labels\": [100, 2]}\n", "label number 0"},
        {"{\"input_ids\": [1, 2], \"labels\": [3, -100]}\n", "no trained token (2 tokens"},
        {"{\"input_ids\": [1, 2], \"labels\": [1, true]}\n", "label number 1"},
        {"{\"input_ids\": [1, 2], \"labels\": [-100, -100]}\n", "rows.jsonl:1: no trained token (2 tokens"},
        {"{\"input_ids\": [1, 2], \"labels\": [1, -100]}\n", "no trained token"},
        {"{\"input_ids\": [1], \"labels\": [1]}\n", "no trained token (1 tokens"},
        {"{\"input_ids\": [], \"labels\": []}\n", "no trained token (0 tokens"},
        {"{\"input_ids\": [1, 2], \"labels\": [1, 2]}\n{\"input_ids\": [1, 2\n", "rows.jsonl:2:"},
    };
    int files = support_open_files();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Err e;
        Dataset d;
        ASSERT_FAILS(load(cases[i].text, &d, &e), e, ERR_DATA, cases[i].message);
    }
    assert_int_equal(support_open_files(), files);
}

static void columns_and_types(void **state) {
    (void)state;
    Err e;
    Dataset d;
    const char *renamed = "{\"i\": [1, 2], \"l\": [1, 2]}\n";
    const char *plain = "{\"input_ids\": [1, 2], \"labels\": [1, 2]}\n";
    DataSource source = {.type = "tokens", .where = "c.yaml:3:5"};
    source.fields[FIELD_INPUT_IDS] = "i";
    source.fields[FIELD_LABELS] = "l";
    ASSERT_OK(load_source(renamed, source, &d, &e), e);
    source.type = NULL;
    ASSERT_OK(load_source(renamed, source, &d, &e), e);
    assert_string_equal(d.types[0], "tokens");
    ASSERT_OK(load_source(plain, (DataSource){.type = ""}, &d, &e), e);
    ASSERT_FAILS(
        load_source(plain, (DataSource){.type = "chats", .where = "c.yaml:3:5"}, &d, &e), e, ERR_CONFIG,
        "c.yaml:3:5: type: got 'chats', expected one of prompt_completion, text, tokens, chat, sharegpt, alpaca, input_output, preference, kto");
    source = (DataSource){.type = "tokens", .where = "c.yaml:3:5"};
    source.fields[FIELD_PROMPT] = "q";
    ASSERT_FAILS(load_source(plain, source, &d, &e), e, ERR_CONFIG,
                 "c.yaml:3:5: field_prompt is not used by rows of type tokens");
    ASSERT_FAILS(load_source("{\"question\": \"a\", \"answer\": \"b\"}\n", (DataSource){0}, &d, &e), e, ERR_DATA,
                 "rows.jsonl:1: the fields (question, answer) fit no row type; name the columns, such as field_prompt");
    ASSERT_FAILS(load_source("{\"messages\": []}\n", (DataSource){0}, &d, &e), e, ERR_DATA,
                 "rows of type chat need the model's tokenizer");
    ASSERT_FAILS(load_source("{\"text\": \"a\", \"input_ids\": [1], \"labels\": [1]}\n", (DataSource){0}, &d, &e), e,
                 ERR_DATA, "fit more than one row type");
    ASSERT_FAILS(load_source("{\"text\": \"a\"}\n", (DataSource){0}, &d, &e), e, ERR_DATA,
                 "need the model's tokenizer");
    char names[256];
    for (int i = 0; i < FORMAT_COUNT; i++) assert_non_null(strstr(format_names(names, sizeof names), FORMATS[i].name));
}

/* n rows; row i has the ids 0, i % 90 + 1 and i % 7 more. */
static void make(int n, Dataset *d) {
    Buf b = {.arena = arena};
    Err e;
    for (int i = 0; i < n; i++) {
        char ids[64];
        int at = snprintf(ids, sizeof ids, "0, %d", i % 90 + 1);
        for (int k = 0; k < i % 7; k++) at += snprintf(ids + at, sizeof ids - (size_t)at, ", %d", k);
        ASSERT_OK(buf_printf(&b, &e, "{\"input_ids\": [%s], \"labels\": [%s]}\n", ids, ids), e);
    }
    ASSERT_OK(load(b.data, d, &e), e);
}

static void split_is_a_function_of_the_seed(void **state) {
    (void)state;
    Err e = {0};
    Dataset all, train, val, train2, val2;
    make(100, &all);
    ASSERT_OK(dataset_split(arena, &all, NULL, 0.105, 1, &train, &val, &e), e);
    assert_int_equal(val.n_rows, 11);
    assert_int_equal(train.n_rows, 89);
    assert_int_equal(all.n_rows, 100);
    uint8_t seen[100] = {0};
    for (int64_t i = 0; i < val.n_rows; i++) {
        seen[val.rows[i].number]++;
        if (i > 0) assert_true(val.rows[i].line > val.rows[i - 1].line);
    }
    for (int64_t i = 0; i < train.n_rows; i++) seen[train.rows[i].number]++;
    for (int i = 0; i < 100; i++) assert_int_equal(seen[i], 1);
    assert_int_equal(train.ledger[0].read + val.ledger[0].read, all.ledger[0].read);
    assert_int_equal(train.ledger[0].rows, 89);
    ASSERT_OK(dataset_split(arena, &all, NULL, 11, 1, &train2, &val2, &e), e);
    for (int i = 0; i < 11; i++) assert_int_equal(val.rows[i].number, val2.rows[i].number);
    ASSERT_OK(dataset_split(arena, &all, NULL, 11, 2, &train2, &val2, &e), e);
    int equal = 0;
    for (int i = 0; i < 11; i++) equal += val.rows[i].number == val2.rows[i].number;
    assert_true(equal < 11);
    ASSERT_OK(dataset_split(arena, &all, NULL, 0, 1, &train, &val, &e), e);
    assert_int_equal(val.n_rows, 0);
    assert_int_equal(train.n_rows, 100);
    ASSERT_FAILS(dataset_split(arena, &all, NULL, 100, 1, &train, &val, &e), e, ERR_CONFIG,
                 "leaves no row to train on");
    ASSERT_FAILS(dataset_split(arena, &all, NULL, 0.999, 1, &train, &val, &e), e, ERR_CONFIG, "leaves no row");
    ASSERT_FAILS(dataset_split(arena, &all, NULL, 1e12, 1, &train, &val, &e), e, ERR_CONFIG, "leaves no row");
}

/* Every row must be drawn about equally often. */
static void split_is_even(void **state) {
    (void)state;
    enum { ROWS = 20, SEEDS = 2000, HELD = 5 };
    Dataset all, train, val;
    int drawn[ROWS] = {0};
    Err e;
    make(ROWS, &all);
    ArenaMark mark = arena_mark(arena);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        ASSERT_OK(dataset_split(arena, &all, NULL, HELD, seed, &train, &val, &e), e);
        for (int i = 0; i < HELD; i++) drawn[val.rows[i].number]++;
        arena_reset(arena, mark);
    }
    /* mean 500, standard deviation sqrt(2000 * 1/4 * 3/4) = 19.4; 6 of them */
    for (int i = 0; i < ROWS; i++) assert_in_range(drawn[i], 500 - 116, 500 + 116);
}

static void limits(void **state) {
    (void)state;
    Err e = {0};
    Dataset d;
    make(14, &d); /* lengths 2 3 4 5 6 7 8, twice */
    int64_t read = d.ledger[0].read;
    ASSERT_FAILS(limit(&d, 7, EXCESS_RAISE, "sequence_len", &e), e, ERR_DATA, "rows.jsonl:7: 8 tokens, ");
    assert_non_null(strstr(
        e.message, "rows.jsonl:14: 8 tokens, each more than sequence_len 7 (the longest row has 8); "
                   "raise sequence_len, or set excess_length_strategy to drop, truncate or (rows of type text) split"));
    assert_null(strstr(e.message, "rows.jsonl:6:"));
    ASSERT_FAILS(limit(&d, 7, EXCESS_RAISE, "the model's context", &e), e, ERR_DATA, "never cut");
    ASSERT_OK(limit(&d, 8, EXCESS_RAISE, "sequence_len", &e), e);
    assert_int_equal(d.n_rows, 14);
    ASSERT_OK(limit(&d, 6, EXCESS_DROP, "sequence_len", &e), e);
    assert_int_equal(d.n_rows, 10);
    assert_int_equal(d.ledger[0].dropped, 30);
    assert_int_equal(d.ledger[0].rows_dropped, 4);
    assert_int_equal(d.ledger[0].read, read);
    assert_int_equal(d.rows[5].line, 8);
    ASSERT_OK(limit(&d, 4, EXCESS_TRUNCATE, "sequence_len", &e), e);
    assert_int_equal(d.n_rows, 10);
    assert_int_equal(dataset_longest(&d), 4);
    assert_int_equal(d.ledger[0].rows_cut, 4);
    assert_int_equal(d.ledger[0].dropped, 36);
    assert_int_equal(d.ledger[0].read, read);
    assert_int_equal(d.ledger[0].trained + d.ledger[0].masked, dataset_tokens(&d));
    assert_int_equal(d.rows[4].trained, 3);
    ASSERT_FAILS(limit(&d, 1, EXCESS_DROP, "sequence_len", &e), e, ERR_DATA, "all 10 rows are longer");
    Buf b = {.arena = arena};
    make(14, &d);
    ASSERT_OK(limit(&d, 6, EXCESS_DROP, "sequence_len", &e), e);
    ASSERT_OK(dataset_print_ledger(&d, &b, &e), e);
    assert_non_null(
        strstr(b.data, "(tokens): 10 rows, 70 tokens read = 30 trained + 10 masked + 30 dropped, 4 rows left out\n"));
}

/* Twenty rows that are too long stand in the message, fewer where their paths are long, and how many more there are. */
static void long_rows_are_listed(void **state) {
    (void)state;
    Err e = {0};
    Dataset d;
    make(7 * 19 + 6, &d);
    ASSERT_FAILS(limit(&d, 7, EXCESS_RAISE, "sequence_len", &e), e, ERR_DATA, "rows.jsonl:133: 8 tokens, each more");
    make(7 * 40, &d);
    ASSERT_FAILS(
        limit(&d, 7, EXCESS_RAISE, "sequence_len", &e), e, ERR_DATA,
        "rows.jsonl:140: 8 tokens, and 20 more rows are longer than sequence_len 7 (the longest row has 8 tokens)");
    ASSERT_FAILS(limit(&d, 6, EXCESS_RAISE, "sequence_len", &e), e, ERR_DATA, "and 60 more rows are longer than");
    char far[701];
    memset(far, 'x', sizeof far - 1);
    far[sizeof far - 1] = 0;
    for (int i = 100; i < 700; i += 100) far[i] = '/';
    d.paths[0] = far;
    ASSERT_FAILS(limit(&d, 7, EXCESS_RAISE, "sequence_len", &e), e, ERR_DATA,
                 "x:14: 8 tokens, and 38 more rows are longer than sequence_len 7");
    assert_non_null(strstr(e.message, "truncate or (rows of type text) split"));
    ASSERT_OK(load("{\"input_ids\": [1, 2, 3, 4], \"labels\": [1, 2, 3, 4]}\n", &d, &e), e);
    ASSERT_FAILS(limit(&d, 3, EXCESS_RAISE, "sequence_len", &e), e, ERR_DATA,
                 "rows.jsonl:1: 4 tokens, which is more than sequence_len 3 (the longest row has 4); raise");
}

static void a_cut_row_needs_a_trained_token(void **state) {
    (void)state;
    Err e;
    Dataset d;
    ASSERT_OK(load("{\"input_ids\": [1, 2, 3, 4], \"labels\": [-100, -100, -100, 4]}\n", &d, &e), e);
    ASSERT_FAILS(limit(&d, 3, EXCESS_TRUNCATE, "sequence_len", &e), e, ERR_DATA,
                 "rows.jsonl:1: no trained token is left after cutting 4 tokens to 3");
}

static void several_sources(void **state) {
    (void)state;
    Err e;
    Dataset d;
    char *other = support_path(arena, folder, "other.jsonl");
    const char *one = "{\"input_ids\": [1, 2], \"labels\": [1, 2]}\n",
               *two = "{\"input_ids\": [3, 4, 5], \"labels\": [3, -100, 5]}\n";
    support_write(path, one, strlen(one));
    support_write(other, two, strlen(two));
    DataSource sources[] = {{.path = path}, {.path = other, .type = "tokens"}};
    DataContext context = {.vocab = 6};
    ASSERT_OK(dataset_load(arena, sources, 2, &context, &d, &e), e);
    assert_int_equal(d.n_rows, 2);
    assert_int_equal(d.rows[1].source, 1);
    assert_int_equal(d.rows[1].line, 1);
    assert_int_equal(d.ledger[1].masked, 2);
    context.vocab = 5;
    ASSERT_FAILS(dataset_load(arena, sources, 2, &context, &d, &e), e, ERR_DATA, "other.jsonl:1: input id number 2");
}

static void hash_sees_the_data_alone(void **state) {
    (void)state;
    Err e;
    Dataset d;
    static const char *const texts[] = {
        "{\"input_ids\": [1, 2, 3], \"labels\": [1, 2, 3]}\n",
        "\n{\"labels\": [-100, 2, 3],   \"input_ids\": [1, 2, 3]}\n", /* the same data */
        "{\"input_ids\": [1, 2, 4], \"labels\": [1, 2, 4]}\n",
        "{\"input_ids\": [1, 2, 3], \"labels\": [1, -100, 3]}\n",
        "{\"input_ids\": [1, 2, 3], \"labels\": [1, 2, 3]}\n{\"input_ids\": [1, 2], \"labels\": [1, 2]}\n",
        "{\"input_ids\": [1, 2, 3], \"labels\": [1, 2, 4]}\n",
        "{\"input_ids\": [1, 2, 3], \"labels\": [1, 4, 3]}\n",
        "{\"input_ids\": [1, 2, 3], \"labels\": [9, 4, 3]}\n", /* the first label is never used */
        "{\"input_ids\": [1, 2, 3], \"labels\": [1, 4, -100]}\n",
    };
    static const int same_as[] = {0, 0, 2, 3, 4, 5, 6, 6, 8};
    Hash128 h[9];
    for (int i = 0; i < 9; i++) {
        ASSERT_OK(load(texts[i], &d, &e), e);
        ASSERT_OK(dataset_hash(arena, &d, &h[i], &e), e);
        for (int k = 0; k < i; k++)
            assert_int_equal(h[i].lo == h[k].lo && h[i].hi == h[k].hi, same_as[i] == same_as[k]);
    }
}

static void strategies(void **state) {
    (void)state;
    assert_int_equal(excess_strategy("raise"), EXCESS_RAISE);
    assert_int_equal(excess_strategy("drop"), EXCESS_DROP);
    assert_int_equal(excess_strategy("truncate"), EXCESS_TRUNCATE);
}

/* Every prefix of a file, and every byte changed: an error with the file's name, or data. */
static void damaged_files(void **state) {
    (void)state;
    static const char bytes[] = {0, '"', '[', ']', '{', '}', ',', ':', '-', '9', '\\', '\n', '\x80', 'e'};
    const char *text =
        "{\"input_ids\": [1, 2, 3], \"labels\": [1, -100, 3]}\n{\"labels\": [7, 9], \"input_ids\": [7, 8]}\n";
    size_t len = strlen(text);
    DataContext context = {.vocab = 100};
    DataSource source = {.path = path};
    Dataset d;
    Err e;
    char damaged[256];
    ArenaMark mark = arena_mark(arena);
    for (size_t at = 0; at < len; at++) {
        for (size_t b = 0; b <= sizeof bytes; b++) {
            memcpy(damaged, text, len);
            if (b < sizeof bytes) damaged[at] = bytes[b];
            support_write(path, damaged, b < sizeof bytes ? len : at);
            Status st = dataset_load(arena, &source, 1, &context, &d, &e);
            if (st != OK) {
                assert_int_equal(st, ERR_DATA);
                assert_non_null(strstr(e.message, "rows.jsonl"));
            }
            arena_reset(arena, mark);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tokens_are_taken_as_they_are, setup, teardown),
        cmocka_unit_test_setup_teardown(labels_may_be_other_ids, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_rows_are_named, setup, teardown),
        cmocka_unit_test_setup_teardown(columns_and_types, setup, teardown),
        cmocka_unit_test_setup_teardown(split_is_a_function_of_the_seed, setup, teardown),
        cmocka_unit_test_setup_teardown(split_is_even, setup, teardown),
        cmocka_unit_test_setup_teardown(limits, setup, teardown),
        cmocka_unit_test_setup_teardown(long_rows_are_listed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_cut_row_needs_a_trained_token, setup, teardown),
        cmocka_unit_test_setup_teardown(several_sources, setup, teardown),
        cmocka_unit_test_setup_teardown(hash_sees_the_data_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(strategies, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged_files, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
