/* tokenizer_added.c: a trie over added tokens. */
#include "data/tokenizer_internal.h"

static Status new_node(Arena *a, AddedSet *s, uint8_t byte, uint32_t sibling, uint32_t *out, Err *e) {
    if (s->n == 0) s->n = 1; /* 0 is "none" */
    TRY(arena_grow(a, &s->nodes, &s->cap, s->cap == 0 ? 0 : s->n, s->n + 1, sizeof *s->nodes, e));
    s->nodes[s->n] = (TrieNode){.sibling = sibling, .id = -1, .byte = byte};
    *out = (uint32_t)s->n++;
    return OK;
}

Status added_set_add(Arena *a, AddedSet *s, TokenText text, int32_t id, Err *e) {
    uint8_t first = (uint8_t)text.s[0];
    if (s->root[first] == 0) TRY(new_node(a, s, first, 0, &s->root[first], e));
    uint32_t node = s->root[first];
    for (size_t i = 1; i < text.len; i++) {
        uint8_t byte = (uint8_t)text.s[i];
        uint32_t child = s->nodes[node].child;
        while (child != 0 && s->nodes[child].byte != byte) child = s->nodes[child].sibling;
        if (child == 0) {
            TRY(new_node(a, s, byte, s->nodes[node].child, &child, e));
            s->nodes[node].child = child;
        }
        node = child;
    }
    s->nodes[node].id = id;
    return OK;
}
