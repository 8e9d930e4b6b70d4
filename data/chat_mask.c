/* chat_mask.c: which bytes of a rendered conversation are trained. The rule is in chat.h. */
#define _GNU_SOURCE /* memmem */
#include "data/chat_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where a message stands in the text. */
typedef struct Turn {
    size_t first_span, last_span; /* of its own texts */
    bool seen, call_seen, trained;
    LeafKind kind; /* of the first */
} Turn;

typedef struct Masker {
    const Chat *chat;
    Arena *arena;
    const ChatRow *row;
    const ChatTraining *training;
    const Rendering *r;
    Turn *turns; /* by message */
    TextRange *ranges;
    size_t n_ranges, cap_ranges;
    uint32_t at; /* the message that is looked at */
} Masker;

static const ChatLeaf *leaf_of(const Rendering *r, const Json *node) {
    size_t low = 0, high = r->n_leaves;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if ((uintptr_t)r->leaves[middle].node < (uintptr_t)node)
            low = middle + 1;
        else
            high = middle;
    }
    return low < r->n_leaves && r->leaves[low].node == node ? &r->leaves[low] : NULL;
}

static void find_turns(Masker *k) {
    for (size_t i = 0; i < k->r->spans.n_spans; i++) {
        const ChatLeaf *leaf = leaf_of(k->r, k->r->spans.spans[i].source);
        if (leaf == NULL) continue;
        Turn *t = &k->turns[leaf->message];
        if (!t->seen) {
            t->first_span = i;
            t->kind = leaf->kind;
        }
        t->seen = true;
        t->last_span = i;
        if (leaf->kind == LEAF_CALL) t->call_seen = true;
    }
}

/* ---- which messages ------------------------------------------------------------------------------------------------- */

static bool role_listed(const char *roles, JsonString role) {
    static const char BETWEEN[] = " ,\t";
    for (const char *s = roles; *s != 0;) {
        s += strspn(s, BETWEEN);
        size_t n = strcspn(s, BETWEEN);
        if (n > 0 && n == role.len && memcmp(s, role.s, n) == 0) return true;
        s += n;
    }
    return false;
}

/* OpenAI's "weight" of a message: 0 turns its training off, 1 changes nothing. */
static Status check_weight(const Masker *k, uint32_t i, const Json *m, bool *off, Err *e) {
    const Json *weight = json_get(m, "weight");
    double value = 1.0;
    *off = json_number(weight, &value) && value == 0.0;
    if (weight == NULL || weight->type == JSON_NULL || k->training->lenient) return OK;
    if (json_number(weight, &value) && (value == 0.0 || value == 1.0)) return OK;
    FAIL(e, ERR_DATA, "messages[%u].weight: expected 0 (not trained) or 1; weights between are not in this version", i);
}

bool chat_role_trained(const ChatTraining *training, JsonString role) {
    return role_listed(training->roles != NULL ? training->roles : "assistant", role);
}

/* "train" of the message itself wins over its role, as weight 0 does. */
static Status is_trained(const Masker *k, uint32_t i, bool *trained, Err *e) {
    const Json *m = &k->row->messages->list.items[i], *own = json_get(m, "train"), *role = json_get(m, "role");
    bool off;
    *trained = false;
    if (i < k->row->untrained) return OK;
    TRY(check_weight(k, i, m, &off, e));
    if (own != NULL && own->type != JSON_NULL) {
        *trained = own->type == JSON_BOOL && own->boolean;
        if (own->type != JSON_BOOL && !k->training->lenient)
            FAIL(e, ERR_DATA, "messages[%u].train: got %s, expected true or false", i, json_type_name(own->type));
        return OK;
    }
    if ((role == NULL || role->type != JSON_STRING) && k->training->lenient) return OK;
    if (role == NULL || role->type != JSON_STRING)
        FAIL(e, ERR_DATA, "messages[%u].role: got %s, expected text such as \"user\" or \"assistant\"", i,
             role == NULL ? "nothing" : json_type_name(role->type));
    *trained = !off && chat_role_trained(k->training, role->string);
    return OK;
}

/* ---- where a turn begins and ends ----------------------------------------------------------------------------------- */

/* The nearest span before (after) span `from` that is a text of another message than `message`; false: none. */
static bool neighbour(const Rendering *r, size_t from, int step, int32_t message, size_t *span, int32_t *whose) {
    for (size_t i = from + (size_t)step; i < r->spans.n_spans; i += (size_t)step) { /* below 0 wraps, and ends */
        const ChatLeaf *leaf = leaf_of(r, r->spans.spans[i].source);
        if (leaf == NULL || leaf->message == message) continue;
        *span = i;
        *whose = leaf->message;
        return true;
    }
    return false;
}

/* What the template writes behind the last message when asked for an answer to messages 0..i: its closing and the header. */
static Status header_after(const Masker *k, uint32_t i, const char **text, size_t *len, int32_t *last, Err *e) {
    Rendering p;
    size_t from = 0;
    *last = -1;
    TRY(chat_run(k->chat, k->arena, k->row, i, true, &p, e));
    for (size_t s = 0; s < p.spans.n_spans; s++) {
        const ChatLeaf *leaf = leaf_of(&p, p.spans.spans[s].source);
        if (leaf == NULL) continue;
        from = p.spans.spans[s].end;
        *last = leaf->message;
    }
    *text = p.text.data + from;
    *len = p.text.len - from;
    return OK;
}

/* *at = where the header of message i ends, which begins somewhere in [begin, end); end when that cannot be told. `before` is
 * the message whose text ends at begin, -1: none. */
static Status skip_header(const Masker *k, uint32_t i, size_t begin, size_t end, int32_t before, size_t *at, Err *e) {
    const char *header;
    size_t len, n = 0;
    int32_t last;
    Err none;
    *at = end;
    Status st = header_after(k, i, &header, &len, &last, &none);
    if (st == ERR_OOM) *e = none;
    if (st == ERR_OOM) return st;
    if (st != OK || last != before) return OK;
    const char *text = k->r->text.data + begin;
    while (n < len && begin + n < end && header[n] == text[n]) n++;
    *at = begin + n;
    return OK;
}

/* The first end token in [begin, end) of the text; false: none. */
static bool find_end(const Masker *k, size_t begin, size_t end, TextRange *out) {
    size_t n;
    const int32_t *ends = tokenizer_ends(k->chat->tokenizer, &n);
    const char *text = k->r->text.data;
    bool found = false;
    for (size_t i = 0; i < n; i++) {
        TokenText t = tokenizer_token(k->chat->tokenizer, ends[i]);
        const char *hit = t.len == 0 || begin >= end ? NULL : memmem(text + begin, end - begin, t.s, t.len);
        if (hit == NULL) continue;
        size_t at = (size_t)(hit - text);
        /* of two that begin together the longer one */
        if (found && (at > out->begin || (at == out->begin && t.len < out->end - out->begin))) continue;
        *out = (TextRange){at, at + t.len};
        found = true;
    }
    return found;
}

/* Names the end tokens, for the message that one is missing. */
static const char *end_names(const Masker *k, char *text, size_t size) {
    size_t n, used = 0;
    const int32_t *ends = tokenizer_ends(k->chat->tokenizer, &n);
    text[0] = 0;
    for (size_t i = 0; i < n && used + 40 < size; i++) {
        TokenText t = tokenizer_token(k->chat->tokenizer, ends[i]);
        int w = snprintf(text + used, size - used, "%s%.*s", used > 0 ? " " : "", (int)(t.len < 30 ? t.len : 30), t.s);
        if (w > 0) used += (size_t)w;
    }
    return used > 0 ? text : "none";
}

static bool has_text(const Json *v) {
    if (v->type == JSON_STRING) return v->string.len > 0;
    if (v->type != JSON_ARRAY && v->type != JSON_OBJECT) return false;
    for (uint32_t i = 0; i < v->n; i++)
        if (has_text(&v->list.items[i])) return true;
    return false;
}

/* A trained message must be in the text, its tool calls too. */
static Status check_written(const Masker *k, uint32_t i, Err *e) {
    const Json *m = &k->row->messages->list.items[i], *content = json_get(m, "content"),
               *calls = json_get(m, "tool_calls");
    if (calls != NULL && has_text(calls) && !k->turns[i].call_seen)
        FAIL(e, ERR_DATA, "messages[%u]: the chat template leaves out its tool_calls; set \"train\": false for it", i);
    if (content != NULL && has_text(content) && !k->turns[i].seen)
        FAIL(e, ERR_DATA, "messages[%u]: the chat template leaves out its content; set \"train\": false for it", i);
    return OK;
}

/* *own = the message's texts with what the template writes between; *end = the end token behind (end.end 0: none). */
static Status locate(const Masker *k, uint32_t i, TextRange *own, TextRange *end, Err *e) {
    const Rendering *r = k->r;
    const Turn *t = &k->turns[i];
    size_t span, begin = 0, limit = r->text.len;
    int32_t before = -1, after;
    *end = (TextRange){0, 0};
    if (t->seen) {
        *own = (TextRange){r->spans.spans[t->first_span].begin, r->spans.spans[t->last_span].end};
        if (neighbour(r, t->first_span, -1, (int32_t)i, &span, &before)) begin = r->spans.spans[span].end;
        if (neighbour(r, t->last_span, 1, (int32_t)i, &span, &after)) limit = r->spans.spans[span].begin;
        if (t->kind != LEAF_CONTENT) TRY(skip_header(k, i, begin, own->begin, before, &own->begin, e));
    } else { /* an empty message: from the header's end, which must be where an answer to those before it would begin */
        size_t from = SIZE_MAX;
        for (uint32_t j = 0; j < i; j++)
            if (k->turns[j].seen) from = k->turns[j].last_span, before = (int32_t)j;
        if (before >= 0) begin = r->spans.spans[from].end;
        if (before >= 0 && neighbour(r, from, 1, before, &span, &after)) limit = r->spans.spans[span].begin;
        TRY(skip_header(k, i, begin, limit, before, &own->begin, e));
        own->end = own->begin;
    }
    if (!find_end(k, own->end, limit, end)) *end = (TextRange){0, 0};
    return OK;
}

static Status add_range(Masker *k, TextRange range, Err *e) {
    if (range.begin >= range.end) return OK;
    TRY(arena_grow(k->arena, &k->ranges, &k->cap_ranges, k->n_ranges, k->n_ranges + 1, sizeof range, e));
    k->ranges[k->n_ranges++] = range;
    return OK;
}

static Status mask_messages(Masker *k, Err *e) {
    uint32_t n = k->row->messages->n, last = n;
    char names[200];
    for (uint32_t i = 0; i < n; i++) {
        k->at = i;
        TRY(is_trained(k, i, &k->turns[i].trained, e));
        if (k->turns[i].trained) last = i;
    }
    for (uint32_t i = 0; i < n; i++) {
        TextRange own, end;
        ChatEos eos = k->training->eos;
        bool trained = k->turns[i].trained;
        k->at = i;
        if (!trained && (eos != CHAT_EOS_ALL || i < k->row->untrained)) continue;
        if (trained && !k->training->lenient) TRY(check_written(k, i, e));
        if (!trained && !k->turns[i].seen) continue;
        TRY(locate(k, i, &own, &end, e));
        bool wanted = eos == CHAT_EOS_ALL || eos == CHAT_EOS_TURN || (eos == CHAT_EOS_LAST && i == last);
        if (trained && wanted && end.end == 0 && !k->training->lenient)
            FAIL(
                e, ERR_DATA,
                "messages[%u]: the chat template writes no end token behind it (the model's: %s), so that it would never be "
                "learned",
                i, end_names(k, names, sizeof names));
        if (trained) TRY(add_range(k, (TextRange){own.begin, wanted && end.end > 0 ? end.end : own.end}, e));
        if (!trained && end.end > 0) TRY(add_range(k, end, e));
    }
    return OK;
}

static int by_begin(const void *a, const void *b) {
    const TextRange *x = a, *y = b;
    return (x->begin > y->begin) - (x->begin < y->begin);
}

/* Sorted, and those that meet made one. */
static void merge_ranges(Masker *k) {
    size_t kept = 0;
    if (k->n_ranges > 1) qsort(k->ranges, k->n_ranges, sizeof *k->ranges, by_begin);
    for (size_t i = 0; i < k->n_ranges; i++) {
        TextRange r = k->ranges[i];
        if (kept > 0 && r.begin <= k->ranges[kept - 1].end) {
            if (r.end > k->ranges[kept - 1].end) k->ranges[kept - 1].end = r.end;
        } else
            k->ranges[kept++] = r;
    }
    k->n_ranges = kept;
}

Status chat_mask(const Chat *c, Arena *a, const ChatRow *row, const ChatTraining *training, const Rendering *r,
                 ChatText *out, Err *e) {
    Masker k = {.chat = c, .arena = a, .row = row, .training = training, .r = r};
    TRY(ARENA_NEW(a, row->messages->n, k.turns, e));
    find_turns(&k);
    if (training->inputs) {
        TRY(add_range(&k, (TextRange){0, r->text.len}, e));
    } else {
        Status st = mask_messages(&k, e);
        if (st != OK) out->bad_message = k.at;
        if (st != OK) return st;
    }
    merge_ranges(&k);
    out->trained = k.ranges;
    out->n_trained = k.n_ranges;
    return OK;
}

bool chat_eos_find(const char *name, ChatEos *out) {
    static const char *const NAMES[] = {
        [CHAT_EOS_TURN] = "turn", [CHAT_EOS_ALL] = "all", [CHAT_EOS_LAST] = "last", [CHAT_EOS_NONE] = "none"};
    for (int i = 0; i < (int)(sizeof NAMES / sizeof *NAMES); i++) {
        if (strcmp(NAMES[i], name) != 0) continue;
        *out = (ChatEos)i;
        return true;
    }
    return false;
}
