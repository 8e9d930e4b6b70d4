/* Row types of text: which ids, which of them are trained, with and without BOS. */
#include "tests/data/tiny_tokenizer.h"

#include "data/formats.h"

static Status load(const char *json, bool add_bos, int32_t eos, DataSource source, Dataset *d, Err *e) {
    Tokenizer *t = tiny(add_bos, eos);
    DataContext context = {.tokenizer = t, .vocab = N_TOKENS};
    *e = (Err){0};
    support_write(path, json, strlen(json));
    source.path = path;
    Status st = dataset_load(arena, &source, 1, &context, d, e);
    tokenizer_close(t);
    return st;
}

static void rows_become_ids(void **state) {
    (void)state;
    static const struct {
        const char *json;
        bool add_bos;
        const char *type, *ids;
    } cases[] = {
        {"{\"prompt\": \"ab\", \"completion\": \"cd\"}", true, "prompt_completion", "^_ab'c'd'$"},
        {"{\"prompt\": \"ab\", \"completion\": \"cd\"}", false, "prompt_completion", "_ab'c'd'$"},
        {"{\"prompt\": \"ab \", \"completion\": \" c\"}", false, "prompt_completion", "_ab_'_'c'$"},
        {"{\"prompt\": \"a\", \"completion\": \"\"}", true, "prompt_completion", "^_a'$"},
        {"{\"prompt\": \"\", \"completion\": \"a\"}", true, "prompt_completion", "^'a'$"},
        {"{\"prompt\": \"\", \"completion\": \"ab\"}", false, "prompt_completion",
         "a'b'$"}, /* the first has no context */
        {"{\"prompt\": \"<s>a\", \"completion\": \"b\"}", true, "prompt_completion", "^_a'b'$"}, /* one BOS */
        {"{\"prompt\": \"a<stop>\", \"completion\": \"b<stop>\"}", false, "prompt_completion", "_a!'b'!'$"},
        {"{\"text\": \"ab c\"}", true, "text", "^'_'a'b'_'c'$"},
        {"{\"text\": \"ab\"}", false, "text", "_'a'b'$"},
        {"{\"text\": \"\"}", true, "text", "^'$"},
        {"{\"segments\": [{\"label\": false, \"text\": \"ab\"}, {\"label\": true, \"text\": \"c d<stop>\"}]}", true,
         "input_output", "^_ab'c'_'d'!"},
        {"{\"segments\": [{\"label\": true, \"text\": \"\"}, {\"text\": \"<s>a\", \"label\": true}, "
         "{\"label\": false, \"text\": \"b\"}]}",
         true, "input_output", "^'_'ab"},
        {"{\"segments\": [{\"label\": true, \"text\": \"ab\"}]}", false, "input_output", "_'a'b"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Dataset d;
        Err e;
        ASSERT_OK(load(cases[i].json, cases[i].add_bos, END, (DataSource){.type = cases[i].type}, &d, &e), e);
        assert_string_equal(image(&d, 0), cases[i].ids);
        ASSERT_OK(load(cases[i].json, cases[i].add_bos, END, (DataSource){0}, &d, &e), e); /* type from the fields */
        assert_string_equal(d.types[0], cases[i].type);
        assert_string_equal(image(&d, 0), cases[i].ids);
    }
}

static void columns_by_name(void **state) {
    (void)state;
    Dataset d;
    Err e;
    const char *json = "{\"question\": \"a\", \"answer\": \"b\", \"text\": \"c\"}\n";
    DataSource source = {0};
    source.fields[FIELD_PROMPT] = "question";
    source.fields[FIELD_COMPLETION] = "answer";
    ASSERT_OK(load(json, true, END, source, &d, &e), e);
    assert_string_equal(image(&d, 0), "^_a'b'$");
    source = (DataSource){.type = "text"};
    source.fields[FIELD_TEXT] = "answer";
    ASSERT_OK(load(json, true, END, source, &d, &e), e);
    assert_string_equal(image(&d, 0), "^'_'b'$");
    ASSERT_FAILS(
        load("{\"text\": \"a\", \"prompt\": \"b\", \"completion\": \"c\"}\n", true, END, (DataSource){0}, &d, &e), e,
        ERR_DATA, "fit more than one row type; give type");
}

static void bad_rows(void **state) {
    (void)state;
    static const struct {
        const char *json, *type, *message;
    } cases[] = {
        {"{\"prompt\": \"a\"}", "prompt_completion",
         "rows.jsonl:1: field 'completion' is missing (fields here: prompt)"},
        {"{\"prompt\": \"a\", \"completion\": null}", "prompt_completion",
         "field 'completion': got null, expected a string or a list"},
        {"{\"prompt\": [\"a\"], \"completion\": \"\"}", "prompt_completion",
         "the prompt is a list, the completion a string; expected two texts, or two lists of messages"},
        {"{\"prompt\": {}, \"completion\": \"\"}", "prompt_completion",
         "field 'prompt': got an object, expected a string or a list"},
        {"{\"prompt\": [], \"completion\": []}", "prompt_completion", "a list of messages needs a chat template"},
        {"{\"text\": \"\"}", "text", "rows.jsonl:1: no trained token (1 tokens"},
        {"{\"prompt\": \"\", \"completion\": \"\"}", "prompt_completion", "no trained token"},
        {"{\"segments\": [3]}", "input_output", "segments[0]: got an integer, expected an object with label and text"},
        {"{\"segments\": [{\"label\": true}]}", "input_output", "segments[0].text: got nothing, expected a string"},
        {"{\"segments\": [{\"label\": 1, \"text\": \"a\"}]}", "input_output", "segments[0].label: got an integer"},
        {"{\"segments\": [{\"label\": false, \"text\": \"ab\"}]}", "input_output", "no trained token (3 tokens"},
        {"{\"segments\": []}", "input_output", "no trained token (0 tokens"},
        {"{\"text\": \"a\"}\n{\"text\": 3}", "text", "rows.jsonl:2: field 'text': got an integer"},
    };
    Dataset d;
    Err e;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ASSERT_FAILS(load(cases[i].json, false, END, (DataSource){.type = cases[i].type}, &d, &e), e, ERR_DATA,
                     cases[i].message);
    ASSERT_FAILS(load("{\"text\": \"a\"}", false, -1, (DataSource){0}, &d, &e), e, ERR_DATA, "names no end token");
}

/* A tokenizer with more tokens than the model has rows in its embedding. */
static void ids_beyond_the_model(void **state) {
    (void)state;
    Tokenizer *t = tiny(true, END);
    DataContext context = {.tokenizer = t, .vocab = LETTER + 1};
    DataSource source = {.path = path};
    Dataset d;
    Err e = {0};
    support_write(path, "{\"text\": \"a\"}\n{\"text\": \"ab\"}\n", 28);
    ASSERT_FAILS(dataset_load(arena, &source, 1, &context, &d, &e), e, ERR_DATA,
                 "rows.jsonl:2: token id 5 is outside the model's vocabulary of 5");
    tokenizer_close(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rows_become_ids, setup, teardown),
        cmocka_unit_test_setup_teardown(columns_by_name, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(ids_beyond_the_model, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
