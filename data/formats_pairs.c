/* formats_pairs.c: rows that compare answers.
 *
 * preference  chosen and rejected: two texts, two messages, or two lists of messages. Each becomes a row of the dataset: the
 *             conversation before, not trained, and the answer with its end token, trained; the chosen one first. What is before the
 *             answers: prompt (a text or messages), messages, conversations, or instruction and input; or nothing, then it is what
 *             chosen and rejected begin with alike (whole messages; of texts up to the last space before they differ, as TRL).
 * kto         one answer and a label, true for desirable: prompt and completion, messages or conversations whose last message is
 *             the answer, or instruction and output.
 * Texts are written as prompt_completion, everything else with the chat template; rows of an instruction as alpaca. */
#include "data/formats_internal.h"

#include <string.h>

/* What is before the answers. */
typedef struct Before {
    int field; /* FIELD_COUNT: nothing; the fields are in values */
    bool text; /* plain texts: prompt is what is before */
    JsonString prompt;
    uint32_t shared; /* elements that both lists begin with: what is before is in them */
} Before;

static bool same_json(const Json *a, const Json *b) {
    if (a->type != b->type || a->n != b->n) return false;
    switch (a->type) {
    case JSON_NULL:
        return true;
    case JSON_BOOL:
        return a->boolean == b->boolean;
    case JSON_INT:
        return a->integer == b->integer;
    case JSON_REAL:
        if (a->digits != NULL && b->digits != NULL) return strcmp(a->digits, b->digits) == 0;
        return memcmp(&a->real, &b->real, sizeof a->real) == 0;
    case JSON_STRING:
        return a->string.len == b->string.len && memcmp(a->string.s, b->string.s, a->string.len) == 0;
    case JSON_ARRAY:
    case JSON_OBJECT:
        break;
    }
    for (uint32_t i = 0; i < a->n; i++) {
        const Json *other = a->type == JSON_OBJECT ? json_get(b, a->list.keys[i].s) : &b->list.items[i];
        if (other == NULL || !same_json(&a->list.items[i], other)) return false;
    }
    return true;
}

/* Messages that both begin with; each keeps one at least. */
static uint32_t shared_messages(const Json *a, const Json *b) {
    uint32_t n = 0;
    if (a->type != JSON_ARRAY || b->type != JSON_ARRAY) return 0;
    while (n + 1 < a->n && n + 1 < b->n && same_json(&a->list.items[n], &b->list.items[n])) n++;
    return n;
}

/* Bytes that both begin with: whole characters, and not the space before the difference. */
static size_t shared_text(const JsonString *a, const JsonString *b) {
    size_t n = 0;
    while (n < a->len && n < b->len && a->s[n] == b->s[n]) n++;
    while (n > 0 && n < a->len && ((uint8_t)a->s[n] & 0xC0) == 0x80) n--;
    if (n > 0 && a->s[n - 1] == ' ') n--;
    return n;
}

static bool has_system(const Json *const values[FIELD_COUNT]) {
    const Json *system = values[FIELD_SYSTEM];
    return system != NULL && system->string.len > 0;
}

/* The one field that says what is before; FIELD_COUNT: none. */
static Status field_before(RowSink *s, const Json *const values[FIELD_COUNT], int *out, Err *e) {
    static const int FIELDS[] = {FIELD_PROMPT, FIELD_MESSAGES, FIELD_CONVERSATIONS, FIELD_INSTRUCTION};
    *out = FIELD_COUNT;
    for (size_t i = 0; i < sizeof FIELDS / sizeof FIELDS[0]; i++) {
        if (values[FIELDS[i]] == NULL) continue;
        if (*out != FIELD_COUNT) {
            row_blame_field(s, FIELDS[i]);
            FAIL(e, ERR_DATA, "fields '%s' and '%s' both say what is before the answers; keep one",
                 format_column(s->source, *out), format_column(s->source, FIELDS[i]));
        }
        *out = FIELDS[i];
    }
    return OK;
}

/* The conversation before the answers. */
static Status say_before(RowSink *s, Talk *t, const Json *const values[FIELD_COUNT], int field, Err *e) {
    TRY(talk_tools(s, t, values[FIELD_TOOLS], field != FIELD_MESSAGES && field != FIELD_PROMPT, e));
    if (field == FIELD_INSTRUCTION) return talk_alpaca(s, t, values, e);
    if (has_system(values))
        TRY(talk_say(s, t, "system", &values[FIELD_SYSTEM]->string, talk_field(s, FIELD_SYSTEM), e));
    if (field == FIELD_COUNT) return OK;
    const Json *v = values[field];
    if (v->type == JSON_STRING) return talk_say(s, t, "user", &v->string, talk_field(s, field), e);
    return talk_list(s, t, field, v, field == FIELD_CONVERSATIONS, e);
}

/* An answer: a text, a message, or the messages of a list from the first-th on. */
static Status say_answer(RowSink *s, Talk *t, int field, const Json *answer, uint32_t first, bool sharegpt, Err *e) {
    if (answer->type == JSON_STRING) return talk_say(s, t, "assistant", &answer->string, talk_field(s, field), e);
    if (answer->type == JSON_OBJECT) return talk_message(s, t, field, answer, -1, sharegpt, e);
    for (uint32_t i = first; i < answer->n; i++) TRY(talk_message(s, t, field, &answer->list.items[i], i, sharegpt, e));
    return OK;
}

/* ---- preference -------------------------------------------------------------------------------------------------- */

/* Whether the answers are plain texts after a plain prompt, and that prompt. */
static Status plain_before(RowSink *s, const Json *const values[FIELD_COUNT], Before *b, Err *e) {
    const JsonString *chosen = &values[FIELD_CHOSEN]->string, *rejected = &values[FIELD_REJECTED]->string;
    if (values[FIELD_CHOSEN]->type != JSON_STRING) return OK;
    if (b->field == FIELD_INSTRUCTION && s->context->chat == NULL) {
        b->text = true;
        return alpaca_prompt(s, values, &b->prompt, e);
    }
    if (has_system(values)) return OK;
    b->text = b->field == FIELD_COUNT || (b->field == FIELD_PROMPT && values[FIELD_PROMPT]->type == JSON_STRING);
    if (!b->text) return OK;
    b->prompt = b->field == FIELD_PROMPT ? values[FIELD_PROMPT]->string
                                         : (JsonString){chosen->s, shared_text(chosen, rejected)};
    return OK;
}

static Status find_before(RowSink *s, const Json *const values[FIELD_COUNT], Before *b, Err *e) {
    const Json *chosen = values[FIELD_CHOSEN], *rejected = values[FIELD_REJECTED], *prompt = values[FIELD_PROMPT];
    *b = (Before){.field = FIELD_COUNT};
    if (chosen->type != rejected->type) {
        row_blame_field(s, FIELD_REJECTED);
        FAIL(e, ERR_DATA, "chosen is %s, rejected %s; expected both to be of one kind", json_type_name(chosen->type),
             json_type_name(rejected->type));
    }
    if (prompt == NULL || prompt->type != JSON_ARRAY) b->shared = shared_messages(chosen, rejected);
    if (b->shared > 0) return OK; /* whole conversations: a prompt beside them says the same once more */
    TRY(field_before(s, values, &b->field, e));
    return plain_before(s, values, b, e);
}

static Status talk_side(RowSink *s, const Json *const values[FIELD_COUNT], const Before *b, int field, Talk *t,
                        Err *e) {
    const Json *answer = values[field];
    bool sharegpt = b->field == FIELD_CONVERSATIONS;
    TRY(say_before(s, t, values, b->field, e));
    if (b->shared > 0)
        TRY(talk_list(s, t, field, &(Json){.type = JSON_ARRAY, .n = b->shared, .list = answer->list}, false, e));
    t->untrained = t->messages.n;
    if (t->untrained == 0) {
        row_blame_field(s, field);
        FAIL(e, ERR_DATA,
             "nothing is before the answers: expected a prompt, messages, or two conversations that begin alike");
    }
    return say_answer(s, t, field, answer, b->shared, sharegpt, e);
}

static Status add_text_side(RowSink *s, const Before *b, RowSide side, const JsonString *answer, Err *e) {
    size_t skip = b->field == FIELD_COUNT ? b->prompt.len : 0;
    row_begin(s, side);
    return row_answer(s, &b->prompt, &(JsonString){answer->s + skip, answer->len - skip}, e);
}

Status add_preference(RowSink *s, const Json *const values[FIELD_COUNT], Err *e) {
    const Json *chosen = values[FIELD_CHOSEN], *rejected = values[FIELD_REJECTED];
    Before b;
    TRY(find_before(s, values, &b, e));
    if (s->looking && same_json(chosen, rejected))
        TRY(row_problem(s, e, s->row, format_column(s->source, FIELD_REJECTED), "chosen and rejected are the same"));
    if (b.text) {
        TRY(row_look_blank(s, FIELD_CHOSEN, &chosen->string, e));
        TRY(row_look_blank(s, FIELD_REJECTED, &rejected->string, e));
        TRY(add_text_side(s, &b, SIDE_CHOSEN, &chosen->string, e));
        return add_text_side(s, &b, SIDE_REJECTED, &rejected->string, e);
    }
    Talk good = {0}, bad = {0};
    TRY(talk_possible(s, "a conversation", e));
    TRY(talk_side(s, values, &b, FIELD_CHOSEN, &good, e));
    TRY(talk_side(s, values, &b, FIELD_REJECTED, &bad, e));
    TRY(talk_look(s, &good, 0, e));
    TRY(talk_look(s, &bad, bad.untrained, e));
    row_begin(s, SIDE_CHOSEN);
    TRY(talk_add(s, &good, e));
    row_begin(s, SIDE_REJECTED);
    return talk_add(s, &bad, e);
}

/* ---- kto --------------------------------------------------------------------------------------------------------- */

static int answer_field(const Json *const values[FIELD_COUNT]) {
    if (values[FIELD_PROMPT] != NULL && values[FIELD_COMPLETION] != NULL) return FIELD_COMPLETION;
    return values[FIELD_INSTRUCTION] != NULL && values[FIELD_OUTPUT] != NULL ? FIELD_OUTPUT : FIELD_COUNT;
}

static Status add_kto_text(RowSink *s, const JsonString *prompt, int field, const Json *answer, Err *e) {
    TRY(row_look_blank(s, field, &answer->string, e));
    return row_answer(s, prompt, &answer->string, e);
}

Status add_kto(RowSink *s, const Json *const values[FIELD_COUNT], Err *e) {
    int field, answer = answer_field(values);
    JsonString prompt;
    Talk t = {0};
    row_begin(s, values[FIELD_LABEL]->boolean ? SIDE_DESIRABLE : SIDE_UNDESIRABLE);
    TRY(field_before(s, values, &field, e));
    if (field == FIELD_COUNT || ((field == FIELD_PROMPT || field == FIELD_INSTRUCTION) && answer == FIELD_COUNT))
        FAIL(
            e, ERR_DATA,
            "no answer: expected prompt and completion, instruction and output, messages, or conversations beside label");
    bool texts = answer == FIELD_COMPLETION && values[FIELD_PROMPT]->type == JSON_STRING &&
                 values[FIELD_COMPLETION]->type == JSON_STRING && !has_system(values);
    if (texts) return add_kto_text(s, &values[FIELD_PROMPT]->string, answer, values[answer], e);
    if (field == FIELD_INSTRUCTION && s->context->chat == NULL) {
        TRY(alpaca_prompt(s, values, &prompt, e));
        return add_kto_text(s, &prompt, answer, values[answer], e);
    }
    TRY(talk_possible(s, "a conversation", e));
    TRY(say_before(s, &t, values, field, e));
    t.untrained = t.messages.n;
    if (field == FIELD_MESSAGES || field == FIELD_CONVERSATIONS)
        t.untrained -= t.messages.n > 0; /* the last one is the answer */
    else
        TRY(say_answer(s, &t, answer, values[answer], 0, false, e));
    return talk_take(s, &t, e);
}
