/* formats_text.c: row types of plain text and of tokens.
 *
 * prompt_completion  BOS iff the model wants one, ids(prompt), ids(completion) as a continuation, end token. Prompt and
 *                    completion are tokenized apart, because that is what the model meets at inference: the prompt's ids are
 *                    fixed before the completion exists. Completion and end token are trained. Two lists of messages instead of
 *                    texts are a chat of which the second list is trained.
 * text               BOS iff the model wants one, ids(text), end token; all trained.
 * input_output       segments: each text tokenized apart, the later ones as continuations; BOS in front iff the model wants one and
 *                    the text does not begin with it, nothing else is added. Trained where label is true.
 * tokens             input_ids as they are, nothing is added; labels[i] is -100 (position i is not trained) or any id of the
 *                    vocabulary: what the model must predict from input_ids[0..i), mostly input_ids[i] itself. */
#include "data/formats_internal.h"

#include "data/tokenizer.h"

/* Whether ids hold a special token other than BOS in front: the prompt has markers of its own. */
static bool has_marker(const RowSink *s, size_t from) {
    const Tokenizer *t = s->context->tokenizer;
    for (size_t i = from; i < s->n; i++) {
        if (tokenizer_is_special(t, s->ids[i]) && (i > from || s->ids[i] != tokenizer_bos(t))) return true;
    }
    return false;
}

static Status add_texts(RowSink *s, const JsonString *prompt, const JsonString *completion, Err *e) {
    TRY(row_look_blank(s, FIELD_COMPLETION, completion, e));
    TRY(row_text(s, prompt, TOKENIZER_BOS, false, e));
    s->bare = !has_marker(s, s->row_start);
    TRY(row_text(s, completion, TOKENIZER_CONTINUATION, true, e));
    return row_end(s, e);
}

Status add_prompt_completion(RowSink *s, const Json *const values[FIELD_COUNT], Err *e) {
    const Json *prompt = values[FIELD_PROMPT], *completion = values[FIELD_COMPLETION];
    Talk t = {0};
    if (prompt->type != completion->type) {
        row_blame_field(s, FIELD_COMPLETION);
        FAIL(e, ERR_DATA, "the prompt is %s, the completion %s; expected two texts, or two lists of messages",
             json_type_name(prompt->type), json_type_name(completion->type));
    }
    if (prompt->type == JSON_STRING) return add_texts(s, &prompt->string, &completion->string, e);
    TRY(talk_possible(s, "a prompt that is a list of messages", e));
    TRY(talk_tools(s, &t, values[FIELD_TOOLS], false, e));
    TRY(talk_list(s, &t, FIELD_PROMPT, prompt, false, e));
    t.untrained = t.messages.n;
    TRY(talk_list(s, &t, FIELD_COMPLETION, completion, false, e));
    return talk_take(s, &t, e);
}

Status add_whole_text(RowSink *s, const Json *const values[FIELD_COUNT], Err *e) {
    TRY(row_look_blank(s, FIELD_TEXT, &values[FIELD_TEXT]->string, e));
    TRY(row_text(s, &values[FIELD_TEXT]->string, TOKENIZER_BOS, true, e));
    return row_end(s, e);
}

static Status add_segment(RowSink *s, const Json *segment, uint32_t i, bool *any, Err *e) {
    const Json *text = json_get(segment, "text"), *label = json_get(segment, "label");
    row_blame(s, segment, NULL);
    if (segment->type != JSON_OBJECT)
        FAIL(e, ERR_DATA, "segments[%u]: got %s, expected an object with label and text", i,
             json_type_name(segment->type));
    if (text == NULL || text->type != JSON_STRING)
        FAIL(e, ERR_DATA, "segments[%u].text: got %s, expected a string", i,
             text == NULL ? "nothing" : json_type_name(text->type));
    if (label == NULL || label->type != JSON_BOOL)
        FAIL(e, ERR_DATA, "segments[%u].label: got %s, expected true (trained) or false", i,
             label == NULL ? "nothing" : json_type_name(label->type));
    if (text->string.len == 0) return OK;
    TRY(row_text(s, &text->string, *any ? TOKENIZER_CONTINUATION : TOKENIZER_BOS, label->boolean, e));
    *any = true;
    return OK;
}

Status add_segments(RowSink *s, const Json *const values[FIELD_COUNT], Err *e) {
    const Json *segments = values[FIELD_SEGMENTS];
    bool any = false, ends = false;
    for (uint32_t i = 0; i < segments->n; i++) TRY(add_segment(s, &segments->list.items[i], i, &any, e));
    for (size_t i = s->row_start; i < s->n; i++)
        ends = ends || (s->trained[i] != 0 && tokenizer_is_end(s->context->tokenizer, s->ids[i]));
    if (!ends) s->remarks |= 1u << REMARK_ENDLESS;
    row_blame_field(s, FIELD_SEGMENTS); /* what is still wrong is about them all */
    return OK;
}

/* Keeps the labels of the row just added; one that is not trained counts as its id. */
static Status keep_labels(RowSink *s, const Json *labels, Err *e) {
    size_t n = labels->n;
    TRY(arena_grow(s->labels_arena, &s->labels, &s->cap_labels, s->n_labels, s->n_labels + n, sizeof *s->labels, e));
    TRY(arena_grow(s->label_rows_arena, &s->label_rows, &s->cap_label_rows, s->n_label_rows, s->n_label_rows + 1,
                   sizeof *s->label_rows, e));
    s->label_rows[s->n_label_rows++] = (LabelRow){.start = (int64_t)s->row_start, .at = (int64_t)s->n_labels};
    for (size_t i = 0; i < n; i++) {
        size_t at = s->row_start + i;
        s->labels[s->n_labels++] = s->trained[at] ? (int32_t)labels->list.items[i].integer : s->ids[at];
    }
    return OK;
}

Status add_tokens(RowSink *s, const Json *const values[FIELD_COUNT], Err *e) {
    const Json *ids = values[FIELD_INPUT_IDS], *labels = values[FIELD_LABELS];
    long long most = (long long)s->context->vocab - 1;
    bool free_labels = false;
    row_blame_field(s, FIELD_LABELS);
    if (ids->n != labels->n)
        FAIL(e, ERR_DATA, "%u input ids but %u labels: there must be one label per id", ids->n, labels->n);
    for (uint32_t i = 0; i < ids->n; i++) {
        const Json *id = &ids->list.items[i], *label = &labels->list.items[i];
        row_blame(s, id, NULL);
        if (id->type != JSON_INT || id->integer < 0 || id->integer >= s->context->vocab)
            FAIL(e, ERR_DATA, "input id number %u must be a whole number from 0 to %lld (the model's vocabulary)", i,
                 most);
        row_blame(s, label, NULL);
        if (label->type != JSON_INT || (label->integer != -100 && (label->integer < 0 || label->integer > most)))
            FAIL(e, ERR_DATA,
                 "label number %u must be -100 (not trained) or a whole number from 0 to %lld (the model's vocabulary)",
                 i, most);
        int32_t value = (int32_t)id->integer;
        TRY(row_ids(s, &value, 1, label->integer != -100, e));
        free_labels = free_labels || (s->trained[s->n - 1] && label->integer != id->integer);
    }
    row_blame_field(s, FIELD_LABELS); /* of which none may be trained */
    return free_labels ? keep_labels(s, labels, e) : OK;
}
