/* chat.h: conversations as a model's own chat template writes them, and which of their bytes are trained.
 *
 * The template comes from the model's files or from a file the config names; nothing here knows a model. What is trained follows
 * from where the bytes come from (jinja.h): of a message whose role is trained, from its content's first byte (where
 * reasoning or a tool call comes first, or the template writes the content's beginning in its own words: from where the
 * template's header ends) to its last one, and on to the end token that the template writes behind it. The header is what the
 * template writes when it is asked for an answer: it is rendered once more with the messages before and
 * add_generation_prompt. The template's text inside of a message (around tool calls, between reasoning and content, before the end
 * token) is trained with it, what follows the end token is not. {% generation %} changes nothing of this: some templates put
 * the header or what follows the end token inside, others have none. An end token counts where the template writes it, not
 * inside of a text. Refused (promise P9), with the message's place: a trained message that the template leaves out, tears
 * apart or writes twice, one whose begin cannot be told, and one behind which it writes no end token. */
#ifndef LORAC_DATA_CHAT_H
#define LORAC_DATA_CHAT_H

#include "base/json.h"
#include "data/tokenizer.h"

typedef struct Chat Chat; /* a template, what it is told, and a tokenizer */

/* Which end tokens are trained: of every trained turn, of every message, of the last trained turn, or none. */
typedef enum ChatEos { CHAT_EOS_TURN, CHAT_EOS_ALL, CHAT_EOS_LAST, CHAT_EOS_NONE } ChatEos;

typedef struct ChatTraining {
    const char *roles; /* trained roles, separated by blanks or commas; NULL: "assistant" */
    ChatEos eos;
    bool inputs;  /* everything is trained */
    bool lenient; /* for looking at: what cannot be trained is not, instead of an error */
} ChatTraining;

/* One conversation. */
typedef struct ChatRow {
    const Json *messages; /* an array of objects with a role */
    const Json *tools;    /* an array, or NULL */
    const Json *extra;    /* an object of further variables, which win over all others, or NULL */
    bool generation_prompt;
    uint32_t untrained; /* messages at the front of which nothing is trained, whatever else is said */
} ChatRow;

typedef struct ChatText {
    const char *text;
    size_t len;
    TextRange *trained; /* ascending, disjoint */
    size_t n_trained;
    bool has_bos;        /* the template itself writes BOS before the first message's text */
    JsonString raised;   /* after a failure of the template: its whole message, else s NULL */
    int64_t bad_message; /* after another failure: the message it is about, -1: none in particular */
} ChatText;

/* "turn", "all", "last", "none"; false: none of these. */
bool chat_eos_find(const char *name, ChatEos *out);

/* Whether messages of this role are trained where they do not say so themselves. */
bool chat_role_trained(const ChatTraining *training, JsonString role);

/* Parses the template; `name` is where it is from, for messages. now: seconds since 1970 (UTC), what the template sees as the
 * time. The tokenizer is borrowed. ERR_FORMAT: a template that is none. */
Status chat_open(Arena *a, const char *name, TokenText source, const Tokenizer *t, int64_t now, Chat **out, Err *e);

/* The same with the tokenizer's own templates: for rows with tools the one named tool_use, where there is one. *out NULL: it has
 * none. ERR_DATA: it has some, but none for all rows; the message names them. `name` is the model's. */
Status chat_open_own(Arena *a, const char *name, const Tokenizer *t, int64_t now, Chat **out, Err *e);

/* Whether the template looks at the time at all. */
bool chat_reads_clock(const Chat *c);

/* Renders a conversation and finds what is trained. Everything is in the arena, the row must live as long as the result.
 * ERR_DATA: what the template raised, word for word, or what is wrong with the row; ERR_FORMAT: another error of the template. */
Status chat_render(const Chat *c, Arena *a, const ChatRow *row, const ChatTraining *training, ChatText *out, Err *e);

/* The same without looking for what is trained. */
Status chat_render_text(const Chat *c, Arena *a, const ChatRow *row, ChatText *out, Err *e);

/* Its ids, BOS first iff the model wants one and the template wrote none; trained[i] is 1 where token i has a trained byte. */
Status chat_encode(const Chat *c, Arena *a, const ChatText *text, int32_t **ids, uint8_t **trained, size_t *n, Err *e);
/* The same with a thread's cache of the same tokenizer. */
Status chat_encode_cached(const Chat *c, TokenizerCache *cache, Arena *a, const ChatText *text, int32_t **ids,
                          uint8_t **trained, size_t *n, Err *e);

#endif
