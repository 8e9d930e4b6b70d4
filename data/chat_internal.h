/* chat_internal.h: what chat.c, chat_turns.c and chat_mask.c share. */
#ifndef LORAC_DATA_CHAT_INTERNAL_H
#define LORAC_DATA_CHAT_INTERNAL_H

#include "data/chat.h"
#include "data/jinja.h"

struct Chat {
    JinjaTemplate *jinja;
    JinjaTemplate *tool_jinja; /* for rows with tools */
    const Tokenizer *tokenizer;
    int64_t now;
};

typedef enum LeafKind { LEAF_CONTENT, LEAF_CALL, LEAF_OTHER } LeafKind;

/* A text of a message that counts as its own: everything but role, name and ids of tool calls. */
typedef struct ChatLeaf {
    const Json *node;
    int32_t message;
    LeafKind kind;
} ChatLeaf;

/* A rendering of the first n_messages messages. */
typedef struct Rendering {
    const Json *variables; /* what the template saw */
    Json *messages;        /* of these, the messages */
    ChatLeaf *leaves;      /* by node */
    size_t n_leaves;
    Buf text;
    JinjaSpans spans;
} Rendering;

Status chat_run(const Chat *c, Arena *a, const ChatRow *row, uint32_t n_messages, bool generation_prompt,
                Rendering *out, Err *e);
/* The leaf of a node, or NULL for what is no text of a message. */
const ChatLeaf *chat_leaf(const Rendering *r, const Json *node);
/* Fills out->trained from a rendering of the whole row. */
Status chat_mask(const Chat *c, Arena *a, const ChatRow *row, const ChatTraining *training, const Rendering *r,
                 ChatText *out, Err *e);

/* ---- chat_turns.c: where messages stand in the text -------------------------------------------------------------------- */

/* What makes a turn one that cannot be trained. */
typedef enum TurnTrouble {
    TURN_FINE,
    TURN_BROKEN, /* another message's text comes between its own */
    TURN_TWICE   /* its content comes again elsewhere */
} TurnTrouble;

/* Where a message stands in the text: its own texts from the first span to the last. What comes again behind the end token or
 * behind another message (a function's name before its result) does not count. */
typedef struct Turn {
    size_t first_span, last_span;
    bool seen, trained;
    LeafKind kind; /* of the first */
    TurnTrouble trouble;
    int32_t other; /* the message that breaks it */
} Turn;

typedef struct Turns {
    const Chat *chat;
    Arena *arena;
    const ChatRow *row;
    const Rendering *r;
    Turn *turns;   /* by message */
    size_t *first; /* by leaf: the span where it comes first, SIZE_MAX: nowhere */
    const char
        *header; /* what the template writes when asked for an answer, to one of the messages; NULL: not asked yet */
    size_t header_len;
} Turns;

/* Where a message's turn begins and ends. */
typedef struct TurnPlace {
    TextRange own; /* its texts with what the template writes between and before them, but for the header */
    TextRange end; /* the end token behind; end.end 0: none */
    bool told;     /* false: where the header ends could not be told */
} TurnPlace;

Status turns_find(Turns *t, Err *e);
Status turn_place(Turns *t, uint32_t i, TurnPlace *out, Err *e);
/* Whether any text below v is written. */
bool turns_wrote(const Turns *t, const Json *v);

#endif
