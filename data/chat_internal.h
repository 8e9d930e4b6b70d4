/* chat_internal.h: what chat.c and chat_mask.c share. */
#ifndef LORAC_DATA_CHAT_INTERNAL_H
#define LORAC_DATA_CHAT_INTERNAL_H

#include "data/chat.h"
#include "data/jinja.h"

struct Chat {
    JinjaTemplate *jinja;
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
    Json *messages;   /* as the template saw them */
    ChatLeaf *leaves; /* by node */
    size_t n_leaves;
    Buf text;
    JinjaSpans spans;
} Rendering;

Status chat_run(const Chat *c, Arena *a, const ChatRow *row, uint32_t n_messages, bool generation_prompt,
                Rendering *out, Err *e);
/* Fills out->trained from a rendering of the whole row. */
Status chat_mask(const Chat *c, Arena *a, const ChatRow *row, const ChatTraining *training, const Rendering *r,
                 ChatText *out, Err *e);

#endif
