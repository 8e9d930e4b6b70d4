/* formats_internal.h: what the files of row types share: adding tokens, telling what is bad, conversations in the making. */
#ifndef LORAC_DATA_FORMATS_INTERNAL_H
#define LORAC_DATA_FORMATS_INTERNAL_H

#include "data/formats.h"

#define BIT(field) (1u << FIELD_##field)
#define IS(type) ((uint8_t)(1u << JSON_##type))

/* ---- tokens (formats.c) */

/* Begins a row of the dataset with a side; the first call belongs before any token. */
void row_begin(RowSink *s, RowSide side);
/* Ids with one trained flag; the first of a row is never trained. */
Status row_ids(RowSink *s, const int32_t *ids, size_t n, bool trained, Err *e);
/* Text with special tokens parsed, as at inference; flags: TOKENIZER_BOS, TOKENIZER_CONTINUATION. */
Status row_text(RowSink *s, const JsonString *text, unsigned flags, bool trained, Err *e);
/* The model's end token, trained. */
Status row_end(RowSink *s, Err *e);
/* Prompt and completion tokenized apart, and the end token. */
Status row_answer(RowSink *s, const JsonString *prompt, const JsonString *completion, Err *e);

/* ---- what is bad (formats.c) */

/* What an error that follows is about. */
void row_blame(RowSink *s, const Json *object, const char *member);
void row_blame_field(RowSink *s, int field);
/* While looking: one more problem. */
Status row_problem(RowSink *s, Err *e, const Json *object, const char *member, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
bool text_is_blank(const JsonString *s);
/* While looking: a problem where the text of a field is empty or blank. */
Status row_look_blank(RowSink *s, int field, const JsonString *text, Err *e);

/* ---- conversations (formats_chat.c) */

/* What of the row a message is made of: list[index], or the column `list` (index -1). Place as in RowProblem. */
typedef struct TalkOrigin {
    const Json *object;
    const char *member, *list;
    int64_t index;
} TalkOrigin;

typedef struct Talk {
    Json messages; /* an array of objects with role and content */
    TalkOrigin *origins;
    size_t cap_messages, cap_origins;
    uint32_t untrained; /* messages at the front that are never trained */
    const Json *tools;  /* a list, or NULL */
} Talk;

/* A message of a role and a text, made of the column of a field (or an element of its list). */
Status talk_say(RowSink *s, Talk *t, const char *role, const JsonString *text, TalkOrigin origin, Err *e);
TalkOrigin talk_field(const RowSink *s, int field);
/* The messages of a list, as they are; `sharegpt`: from, value and its names of speakers become role, content and roles. */
Status talk_list(RowSink *s, Talk *t, int field, const Json *list, bool sharegpt, Err *e);
/* One message, of the list's element i (-1: the field itself). */
Status talk_message(RowSink *s, Talk *t, int field, const Json *message, int64_t i, bool sharegpt, Err *e);
/* Tools as a list, or as text that is one in JSON; NULL: none. `wrap`: bare functions get OpenAI's "function" around them. */
Status talk_tools(RowSink *s, Talk *t, const Json *tools, bool wrap, Err *e);
/* system, history, instruction and input as messages. */
Status talk_alpaca(RowSink *s, Talk *t, const Json *const values[FIELD_COUNT], Err *e);
/* "messages[2]", "output": what a message is called. */
const char *talk_name(const Talk *t, uint32_t i, char *text, size_t size);
/* Adds the conversation as the chat template writes it. */
Status talk_add(RowSink *s, const Talk *t, Err *e);
/* While looking: what is surely not meant in messages from the first-th on (formats_look.c). */
Status talk_look(RowSink *s, const Talk *t, uint32_t first, Err *e);
/* Both. */
Status talk_take(RowSink *s, const Talk *t, Err *e);
/* ERR_DATA when there is no chat template; `what` needs one. */
Status talk_possible(const RowSink *s, const char *what, Err *e);
/* What a speaker of ShareGPT's kind is called in chats: "user", "assistant", ...; NULL: unknown. *call: the text is a tool call. */
const char *talk_role(const JsonString *speaker, bool *call);

/* ---- prompts (formats_alpaca.c) */

/* The prompt that models without a chat template know alpaca's rows by. */
Status alpaca_prompt(RowSink *s, const Json *const values[FIELD_COUNT], JsonString *out, Err *e);

/* ---- the row types */

Status add_prompt_completion(RowSink *s, const Json *const values[FIELD_COUNT], Err *e);
Status add_whole_text(RowSink *s, const Json *const values[FIELD_COUNT], Err *e);
Status add_tokens(RowSink *s, const Json *const values[FIELD_COUNT], Err *e);
Status add_segments(RowSink *s, const Json *const values[FIELD_COUNT], Err *e);
Status add_chat(RowSink *s, const Json *const values[FIELD_COUNT], Err *e);
Status add_sharegpt(RowSink *s, const Json *const values[FIELD_COUNT], Err *e);
Status add_alpaca(RowSink *s, const Json *const values[FIELD_COUNT], Err *e);
Status add_preference(RowSink *s, const Json *const values[FIELD_COUNT], Err *e);
Status add_kto(RowSink *s, const Json *const values[FIELD_COUNT], Err *e);

#endif
