/* Row types that become conversations, and those that compare answers: which ids, which of them are trained, what is refused.
 * The template writes the role's first letter, the content, calls in front of it, and the end token behind. */
#include "tests/data/tiny_tokenizer.h"

#include "data/duplicates.h"
#include "data/formats.h"

#include <stdio.h>

#define TEMPLATE                                                                                                       \
    "{% if tools %}{{ tools[0].function.name }}{% endif %}"                                                            \
    "{% for m in messages %}{% if m.role == 'x' %}{{ raise_exception('no x') }}{% endif %}{{ m.role[0] }}"             \
    "{% for c in m.tool_calls or [] %}{{ c.function.name }}{% endfor %}{{ m.content }}</s>{% endfor %}"                \
    "{% if add_generation_prompt %}a{% endif %}"

/* Quotes for the apostrophes. */
static const char *json_of(const char *text) {
    char *copy;
    Err e;
    ASSERT_OK(arena_strdup(arena, text, &copy, &e), e);
    for (char *p = copy; *p != 0; p++) {
        if (*p == '\'') *p = '"';
    }
    return copy;
}

static Status load_with(bool chat, const char *json, DataSource source, Dataset *d, Err *e) {
    Tokenizer *t = tiny(true, END);
    Chat *c = NULL;
    *e = (Err){0};
    ASSERT_OK(chat_open(arena, "template", text_of(TEMPLATE), t, 0, &c, e), *e);
    DataContext context = {.tokenizer = t, .vocab = N_TOKENS, .chat = chat ? c : NULL, .no_chat = "there is none"};
    write_rows(json_of(json));
    source.path = path;
    Status st = dataset_load(arena, &source, 1, &context, d, e);
    tokenizer_close(t);
    return st;
}

static Status load(const char *json, DataSource source, Dataset *d, Err *e) {
    return load_with(true, json, source, d, e);
}

typedef struct Case {
    const char *json, *type, *first, *second; /* images of one row, or of both */
} Case;

static void check_cases(const Case *cases, size_t n) {
    for (size_t i = 0; i < n; i++) {
        for (int given = 0; given < 2; given++) {
            Dataset d;
            Err e;
            ASSERT_OK(load(cases[i].json, (DataSource){.type = given ? cases[i].type : NULL}, &d, &e), e);
            assert_string_equal(d.types[0], cases[i].type);
            assert_int_equal(d.n_rows, cases[i].second != NULL ? 2 : 1);
            assert_string_equal(image(&d, 0), cases[i].first);
            if (cases[i].second != NULL) assert_string_equal(image(&d, 1), cases[i].second);
            if (given)
                assert_null(d.found_by[0]);
            else
                assert_non_null(d.found_by[0]);
        }
    }
}
#define CHECK_CASES(cases) check_cases(cases, sizeof cases / sizeof cases[0])

static void conversations(void **state) {
    (void)state;
    static const Case CASES[] = {
        {"{'messages': [{'role': 'user', 'content': 'b'}, {'role': 'assistant', 'content': 'c'}]}", "chat",
         "^_ub$_a'c'$", NULL},
        {"{'messages': [{'from': 'human', 'value': 'b'}, {'role': 'assistant', 'content': 'c'}], 'tools': '[]'}",
         "chat", "^_ub$_a'c'$", NULL},
        {"{'conversations': [{'from': 'human', 'value': 'b'}, {'from': 'GPT', 'value': 'c'}], 'system': 's'}",
         "sharegpt", "^_ss$_ub$_a'c'$", NULL},
        {"{'conversations': [{'role': 'human', 'value': 'b'}, {'from': 'assistant', 'content': 'c'}], 'system': ''}",
         "sharegpt", "^_ub$_a'c'$", NULL},
        {"{'conversations': [{'from': 'user', 'value': 'b'}, {'from': 'gpt', 'value': 'c', 'weight': 0}, "
         "{'from': 'gpt', 'value': 'd', 'weight': 1}, {'from': 'gpt', 'value': 'e', 'train': false}]}",
         "sharegpt", "^_ub$_ac$_a'd'$_ae$", NULL},
        {"{'conversations': [{'from': 'human', 'value': 'b'}, {'from': 'function_call', 'value': "
         "'{\\'name\\': \\'f\\', \\'arguments\\': {}}'}, {'from': 'observation', 'value': 'o'}], "
         "'tools': '[{\\'name\\': \\'t\\'}]'}",
         "sharegpt", "^_tub$_a'f'$_to$", NULL},
        {"{'prompt': [{'role': 'user', 'content': 'b'}, {'role': 'assistant', 'content': 'c'}], "
         "'completion': [{'role': 'assistant', 'content': 'd'}]}",
         "prompt_completion", "^_ub$_ac$_a'd'$", NULL},
        {"{'instruction': 'b', 'output': 'c'}", "alpaca", "^_ub$_a'c'$", NULL},
        {"{'instruction': 'b', 'input': 'd', 'output': 'c', 'system': 's', 'history': [['e', 'f'], ['g', 'h']]}",
         "alpaca", "^_ss$_ue$_a'f'$_ug$_a'h'$_ub?d$_a'c'$", NULL},
        {"{'instruction': '', 'input': 'd', 'output': 'c', 'history': null}", "alpaca", "^_ud$_a'c'$", NULL},
    };
    CHECK_CASES(CASES);
}

static void comparisons(void **state) {
    (void)state;
    static const Case CASES[] = {
        {"{'prompt': 'b', 'chosen': 'c', 'rejected': 'd'}", "preference", "^_b'c'$", "^_b'd'$"},
        {"{'chosen': 'b c d', 'rejected': 'b c e'}", "preference", "^_b_c'_'d'$", "^_b_c'_'e'$"},
        {"{'chosen': 'c', 'rejected': 'd'}", "preference", "^'c'$", "^'d'$"},
        {"{'prompt': [{'role': 'user', 'content': 'b'}], 'chosen': [{'role': 'assistant', 'content': 'c'}], "
         "'rejected': [{'role': 'assistant', 'content': 'd'}]}",
         "preference", "^_ub$_a'c'$", "^_ub$_a'd'$"},
        {"{'prompt': 'b', 'chosen': [{'role': 'assistant', 'content': 'c'}], "
         "'rejected': [{'role': 'assistant', 'content': 'd'}]}",
         "preference", "^_ub$_a'c'$", "^_ub$_a'd'$"},
        /* whole conversations: what they begin with alike is the prompt, the answers before it too */
        {"{'prompt': 'b', 'messages': [], 'chosen': [{'role': 'user', 'content': 'b'}, {'role': 'assistant', 'content': 'x'}, "
         "{'role': 'user', 'content': 'y'}, {'role': 'assistant', 'content': 'c'}], "
         "'rejected': [{'content': 'b', 'role': 'user'}, {'role': 'assistant', 'content': 'x'}, "
         "{'role': 'user', 'content': 'y'}, {'role': 'assistant', 'content': 'd'}]}",
         "preference", "^_ub$_ax$_uy$_a'c'$", "^_ub$_ax$_uy$_a'd'$"},
        {"{'conversations': [{'from': 'human', 'value': 'b'}], 'chosen': {'from': 'gpt', 'value': 'c'}, "
         "'rejected': {'from': 'gpt', 'value': 'd'}, 'system': 's'}",
         "preference", "^_ss$_ub$_a'c'$", "^_ss$_ub$_a'd'$"},
        {"{'messages': [{'role': 'user', 'content': 'b'}], 'chosen': 'c', 'rejected': 'd'}", "preference",
         "^_ub$_a'c'$", "^_ub$_a'd'$"},
        {"{'instruction': 'b', 'input': 'e', 'chosen': 'c', 'rejected': 'd'}", "preference", "^_ub?e$_a'c'$",
         "^_ub?e$_a'd'$"},
        {"{'prompt': 'b', 'completion': 'c', 'label': true}", "kto", "^_b'c'$", NULL},
        {"{'prompt': [{'role': 'user', 'content': 'b'}], 'completion': [{'role': 'assistant', 'content': 'c'}], "
         "'label': false}",
         "kto", "^_ub$_a'c'$", NULL},
        {"{'messages': [{'role': 'user', 'content': 'b'}, {'role': 'assistant', 'content': 'x'}, "
         "{'role': 'user', 'content': 'y'}, {'role': 'assistant', 'content': 'c'}], 'label': false}",
         "kto", "^_ub$_ax$_uy$_a'c'$", NULL},
        {"{'conversations': [{'from': 'human', 'value': 'b'}, {'from': 'gpt', 'value': 'c'}], 'label': true}", "kto",
         "^_ub$_a'c'$", NULL},
        {"{'instruction': 'b', 'output': 'c', 'label': true}", "kto", "^_ub$_a'c'$", NULL},
        {"{'prompt': 'b', 'system': 's', 'completion': 'c', 'label': true}", "kto", "^_ss$_ub$_a'c'$", NULL},
        /* a column called label that is something else */
        {"{'prompt': 'b', 'completion': 'c', 'label': 1}", "prompt_completion", "^_b'c'$", NULL},
        {"{'text': 'b', 'label': true}", "text", "^'_'b'$", NULL},
    };
    Dataset d;
    Err e;
    CHECK_CASES(CASES);
    ASSERT_OK(load("{'prompt': 'b', 'chosen': 'c', 'rejected': 'd'}\n{'prompt': 'e', 'chosen': 'f', 'rejected': 'g'}",
                   (DataSource){0}, &d, &e),
              e);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(d.rows[i].number, i / 2);
        assert_int_equal(d.rows[i].line, i / 2 + 1);
        assert_int_equal(d.rows[i].side, i % 2 == 0 ? SIDE_CHOSEN : SIDE_REJECTED);
        assert_int_equal(dataset_goes_on(&d, i), i % 2);
    }
    assert_string_equal(d.found_by[0], "prompt, chosen, rejected");
    assert_int_equal(d.ledger[0].sides[SIDE_CHOSEN], 2);
    assert_int_equal(d.ledger[0].sides[SIDE_REJECTED], 2);
    ASSERT_FAILS(dataset_refuse_sides(&d, &e), e, ERR_DATA, "rows.jsonl: rows of type preference; preference training");
    ASSERT_OK(load("{'prompt': 'b', 'completion': 'c', 'label': true}", (DataSource){0}, &d, &e), e);
    assert_int_equal(d.rows[0].side, SIDE_DESIRABLE);
    ASSERT_FAILS(dataset_refuse_sides(&d, &e), e, ERR_DATA, "rows.jsonl: rows of type kto; preference training");
    ASSERT_OK(load("[{'chosen': 'b', 'rejected': 'c'},\n {'chosen': 'd', 'rejected': 'e'}]", (DataSource){0}, &d, &e),
              e);
    assert_int_equal(dataset_element(&d, &d.rows[3]), 2);
}

/* The prompt of models without a template, and columns by name. */
static void without_a_template(void **state) {
    (void)state;
    static const char PLAIN[] =
        "Below is an instruction that describes a task. Write a response that appropriately completes the "
        "request.\n\n### Instruction:\nbb\n\n### Response:\n";
    static const char INPUT[] =
        "Below is an instruction that describes a task, paired with an input that provides further context. "
        "Write a response that appropriately completes the request.\n\n### Instruction:\nbb\n\n### Input:\n"
        "dd\n\n### Response:\n";
    const char *prompts[] = {PLAIN, INPUT};
    Tokenizer *t = tiny(true, END);
    DataSource source = {0};
    Dataset d;
    Err e;
    source.fields[FIELD_OUTPUT] = "answer";
    ASSERT_OK(load_with(false,
                        "{'instruction': 'bb', 'answer': 'c'}\n{'instruction': 'bb', 'input': 'dd', 'answer': 'c'}",
                        source, &d, &e),
              e);
    for (int i = 0; i < 2; i++) {
        int32_t *ids;
        size_t n;
        const DataRow *r = &d.rows[i];
        ASSERT_OK(tokenizer_encode(t, arena, prompts[i], strlen(prompts[i]), TOKENIZER_BOS, &ids, &n, &e), e);
        assert_int_equal(r->length, n + 2);
        assert_int_equal(r->trained, 2);
        assert_memory_equal(d.ids + r->start, ids, n * sizeof *ids);
        assert_int_equal(d.ids[r->start + (int64_t)n], LETTER + 'c' - 'a');
        assert_int_equal(d.ids[r->start + (int64_t)n + 1], END);
    }
    tokenizer_close(t);
    ASSERT_FAILS(load_with(false, "{'instruction': 'b', 'output': 'c', 'system': 's'}", (DataSource){0}, &d, &e), e,
                 ERR_DATA, "rows.jsonl:1: field 'system' needs a chat template: there is none");
    ASSERT_FAILS(
        load_with(false, "{'instruction': 'b', 'output': 'c', 'history': [['a', 'b']]}", (DataSource){0}, &d, &e), e,
        ERR_DATA, "field 'history' needs a chat template");
    ASSERT_OK(
        load_with(false, "{'instruction': 'b', 'output': 'c', 'history': [], 'system': ''}", (DataSource){0}, &d, &e),
        e);
    ASSERT_FAILS(load_with(false, "{'prompt': [], 'completion': []}", (DataSource){0}, &d, &e), e, ERR_DATA,
                 "a prompt that is a list of messages needs a chat template: there is none");
    ASSERT_FAILS(load_with(false, "{'messages': [], 'chosen': 'b', 'rejected': 'c'}", (DataSource){0}, &d, &e), e,
                 ERR_DATA, "a conversation needs a chat template: there is none");
}

static void refused(void **state) {
    (void)state;
    static const struct {
        const char *json, *message;
    } CASES[] = {
        {"{'instruction': 'b', 'output': 'c', 'history': [['a']]}", "history[0]: expected a list of two texts"},
        {"{'instruction': 'b', 'output': 'c', 'history': ['a']}", "history[0]: expected a list of two texts"},
        {"{'instruction': 'b', 'output': 'c', 'text': 'd'}", "fit more than one row type; give type (text, alpaca)"},
        {"{'conversations': [{'from': 'alien', 'value': 'b'}]}",
         "conversations[0].from: got 'alien', expected one of human"},
        {"{'conversations': [{'value': 'b'}]}", "conversations[0].role: got nothing"},
        {"{'conversations': [{'from': 'gpt'}]}", "conversations[0].value: got nothing"},
        {"{'conversations': [{'from': 'gpt', 'value': 3}]}", "conversations[0].value: got an integer"},
        {"{'conversations': ['b']}", "conversations[0]: got a string, expected an object with from and value"},
        {"{'conversations': [{'from': 'function_call', 'value': 'f(x)'}]}",
         "conversations[0]: a tool call must be JSON with name and arguments"},
        {"{'messages': [{'role': 'assistant', 'content': 'b', 'weight': 0.5}]}", "messages[0].weight: expected 0"},
        {"{'messages': [], 'tools': 'x'}", "field 'tools': the text is no list in JSON"},
        {"{'messages': [{'role': 'x', 'content': 'b'}]}", "the chat template raised an error: no x"},
        {"{'prompt': 'b', 'chosen': 'c', 'rejected': []}", "chosen is a string, rejected a list"},
        {"{'prompt': 'b', 'messages': [], 'chosen': 'c', 'rejected': 'd'}",
         "fields 'prompt' and 'messages' both say what is before the answers"},
        {"{'chosen': {'role': 'assistant', 'content': 'b'}, 'rejected': {'role': 'assistant', 'content': 'c'}}",
         "nothing is before the answers"},
        {"{'prompt': [{'role': 'user', 'content': 'b'}], 'chosen': [{'role': 'user', 'content': 'b'}], "
         "'rejected': [{'role': 'assistant', 'content': 'b'}]}",
         "chosen: no trained token"},
    };
    Dataset d;
    Err e;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++)
        ASSERT_FAILS(load(CASES[i].json, (DataSource){0}, &d, &e), e, ERR_DATA, CASES[i].message);
    ASSERT_FAILS(load("{'label': true}", (DataSource){.type = "kto"}, &d, &e), e, ERR_DATA,
                 "no answer: expected prompt");
    ASSERT_FAILS(load("{'label': true, 'prompt': 'b'}", (DataSource){.type = "kto"}, &d, &e), e, ERR_DATA, "no answer");
    DataSource source = {.type = "chat", .where = "c.yaml:2:3"};
    source.fields[FIELD_CHOSEN] = "better";
    ASSERT_FAILS(load("{'messages': []}", source, &d, &e), e, ERR_CONFIG,
                 "field_chosen is not used by rows of type chat");
}

/* Pairs are one row where rows are split, sampled, told apart. */
static void pairs_stay_together(void **state) {
    (void)state;
    char text[4096];
    size_t at = 0;
    Dataset d, train, val;
    Err e;
    for (int i = 0; i < 20; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "{'prompt': '%c', 'chosen': 'x', 'rejected': 'y%c'}\n",
                               'a' + i % 10, 'a' + i % 5);
    ASSERT_OK(load(text, (DataSource){0}, &d, &e), e);
    assert_int_equal(d.n_rows, 40);
    ASSERT_OK(dataset_split(arena, &d, NULL, 6, 1, &train, &val, &e), e);
    assert_int_equal(val.n_rows, 12);
    assert_int_equal(train.n_rows, 28);
    for (int64_t i = 0; i < 28; i += 2) {
        assert_int_equal(train.rows[i].side, SIDE_CHOSEN);
        assert_true(dataset_goes_on(&train, i + 1));
        for (int64_t k = 0; k < 12; k++) assert_int_not_equal(train.rows[i].number % 10, val.rows[k].number % 10);
    }
    ASSERT_OK(dataset_dedupe(&d, &e), e);
    assert_int_equal(d.n_rows, 20);
    assert_int_equal(d.ledger[0].duplicates, 20);
    /* an equal answer in another pair is no duplicate, nor is the other verdict on an answer */
    ASSERT_OK(load("{'prompt': 'b', 'chosen': 'c', 'rejected': 'd'}\n{'prompt': 'b', 'chosen': 'c', 'rejected': 'e'}",
                   (DataSource){0}, &d, &e),
              e);
    ASSERT_OK(dataset_dedupe(&d, &e), e);
    assert_int_equal(d.n_rows, 4);
    ASSERT_OK(
        load("{'prompt': 'b', 'completion': 'c', 'label': true}\n{'prompt': 'b', 'completion': 'c', 'label': false}",
             (DataSource){0}, &d, &e),
        e);
    ASSERT_OK(dataset_dedupe(&d, &e), e);
    assert_int_equal(d.n_rows, 2);
}

/* ---- looking for everything ---- */

typedef struct Told {
    char text[4096];
    size_t at;
} Told;

static Status tell(void *ctx, const char *message, Err *e) {
    Told *t = ctx;
    (void)e;
    const char *name = strstr(message, "rows.jsonl");
    assert_non_null(name);
    t->at += (size_t)snprintf(t->text + t->at, sizeof t->text - t->at, "%s\n", name + strlen("rows.jsonl"));
    assert_true(t->at < sizeof t->text);
    return OK;
}

static const char *checked(const char *json) {
    static Told bad, notes;
    Tokenizer *t = tiny(true, END);
    Chat *c;
    Err e;
    ASSERT_OK(chat_open(arena, "template", text_of(TEMPLATE), t, 0, &c, &e), e);
    DataContext context = {.tokenizer = t, .vocab = N_TOKENS, .chat = c};
    DataSource source = {.path = path};
    bad = notes = (Told){0};
    DataCheck check = {.report = tell, .ctx = &bad};
    write_rows(json_of(json));
    ASSERT_OK(dataset_check(&source, 1, &context, &check, &e), e);
    tokenizer_close(t);
    return bad.text;
}

static void looked_at(void **state) {
    (void)state;
    static const struct {
        const char *json, *told;
    } CASES[] = {
        {"{'messages': [{'role': 'user', 'content': 'b'}, {'role': 'assistant', 'content': 'c'}]}", ""},
        {"{'messages': [{'role': 'user', 'content': ' '}, {'role': 'assistant', 'content': ''}, {'role': 'assistant'}]}",
         ":1:32: messages[0]: the user says nothing (only blanks)\n"
         ":1:71: messages[1]: the assistant says nothing (empty)\n"
         ":1:87: messages[2]: the assistant says nothing (no content)\n"},
        {"{'messages': [{'role': 'user', 'content': 'b'}]}", ":1:2: no message of the assistant: nothing is trained\n"},
        {"{'messages': []}", ":1:1: the conversation has no message\n"},
        {"{'messages': [{'role': 'asistant', 'content': 'b'}, {'role': 'human', 'content': 'c'}, {'content': 'd'}]}",
         ":1:16: messages[0].role: 'asistant' is none of system, developer, user, assistant, tool, function, ipython; if the "
         "template knows it, name it in roles_to_train\n"
         ":1:54: messages[1].role: 'human' is no role of chats, 'user' is; rows of type sharegpt translate it\n"
         ":1:88: messages[2].role: got nothing, expected text such as \"user\" or \"assistant\"\n"
         ":1:2: no message of the assistant: nothing is trained\n"
         ":1:88: the chat template raised an error: "},
        /* the message that the template does not take, in the line of an array's element where it stands */
        {"[{'messages': [{'role': 'user', 'content': 'b'}, {'role': 'assistant', 'content': 'c'},\n {'role': 'x', "
         "'content': 'd'}, {'role': 'assistant', 'content': 'e'}]}]",
         ":2:3: element 1: messages[2].role: 'x' is none of system, developer, user, assistant, tool, function, ipython; if the "
         "template knows it, name it in roles_to_train\n:2:2: element 1: the chat template raised an error: no x\n"},
        {"{'messages': [{'role': 'tool', 'content': 'b'}, {'role': 'assistant', 'content': 'c'}, {'role': 'tool', 'content': "
         "'d'}, {'role': 'assistant', 'content': '(f)'}, {'role': 'tool', 'content': ''}, {'role': 'tool', 'content': 'e'}]}",
         ":1:16: messages[0]: a tool's result without a tool call before it\n"
         ":1:89: messages[2]: a tool's result without a tool call before it\n"},
        {"{'conversations': [{'from': 'human', 'value': 'b'}, {'from': 'alien', 'value': 'c'}]}",
         ":1:54: conversations[1].from: got 'alien', expected one of"},
        {"{'conversations': [{'from': 'human', 'value': 'b'}, {'from': 'gpt', 'value': ' '}]}",
         ":1:69: conversations[1]: the assistant says nothing (only blanks)\n"},
        {"{'x': {'output': 1}, 'instruction': 'b', 'output': ' '}",
         ":1:42: output: the assistant says nothing (only blanks)\n"},
        {"{'instruction': 'b', 'output': 'c', 'history': [['', 'd'], 3]}",
         ":1:37: history[1]: expected a list of two texts"},
        {"{'instruction': 'b', 'output': 'c', 'history': [['', 'd']]}",
         ":1:49: history[0]: the user says nothing (empty)\n"},
        {"{'prompt': 'b', 'chosen': '', 'rejected': ' '}",
         ":1:17: field 'chosen' is empty\n:1:31: field 'rejected' is blank\n"},
        {"{'prompt': 'b', 'chosen': 'c', 'rejected': 'c'}", ":1:32: chosen and rejected are the same\n"},
        {"{'messages': [{'role': 'user', 'content': ''}], 'chosen': {'role': 'assistant', 'content': ''}, 'rejected': "
         "{'role': 'assistant', 'content': ' '}}",
         ":1:32: messages[0]: the user says nothing (empty)\n:1:81: chosen: the assistant says nothing (empty)\n"
         ":1:131: rejected: the assistant says nothing (only blanks)\n"},
        {"{'segments': [{'label': false, 'text': 'b'}, {'label': 1, 'text': 'b'}]}",
         ":1:46: segments[1].label: got an integer"},
        {"{'text': ''}", ":1:2: field 'text' is empty\n"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        const char *told = checked(CASES[i].json);
        if (strncmp(told, CASES[i].told, strlen(CASES[i].told)) != 0 || (*CASES[i].told == 0 && *told != 0))
            fail_msg("%s\n%s", CASES[i].json, told);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(conversations, setup, teardown),
        cmocka_unit_test_setup_teardown(comparisons, setup, teardown),
        cmocka_unit_test_setup_teardown(without_a_template, setup, teardown),
        cmocka_unit_test_setup_teardown(refused, setup, teardown),
        cmocka_unit_test_setup_teardown(pairs_stay_together, setup, teardown),
        cmocka_unit_test_setup_teardown(looked_at, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
