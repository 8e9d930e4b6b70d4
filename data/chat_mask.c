/* chat_mask.c: which bytes of a rendered conversation are trained. The rule is in chat.h, where turns stand in chat_turns.c. */
#include "data/chat_internal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Masker {
    Turns turns;
    const ChatTraining *training;
    TextRange *ranges;
    size_t n_ranges, cap_ranges;
    uint32_t at; /* the message that is looked at */
} Masker;

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
    const Json *m = &k->turns.row->messages->list.items[i], *own = json_get(m, "train"), *role = json_get(m, "role");
    bool off;
    *trained = false;
    if (i < k->turns.row->untrained) return OK;
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

/* ---- what cannot be trained ------------------------------------------------------------------------------------------- */

/* Names the end tokens, for the message that one is missing. */
static const char *end_names(const Masker *k, char *text, size_t size) {
    size_t n, used = 0;
    const int32_t *ends = tokenizer_ends(k->turns.chat->tokenizer, &n);
    text[0] = 0;
    for (size_t i = 0; i < n && used + 40 < size; i++) {
        TokenText t = tokenizer_token(k->turns.chat->tokenizer, ends[i]);
        int w = snprintf(text + used, size - used, "%s%.*s", used > 0 ? " " : "", (int)(t.len < 30 ? t.len : 30), t.s);
        if (w > 0) used += (size_t)w;
    }
    return used > 0 ? text : "none";
}

/* Whether there is more than blanks; the type of a content part says nothing. */
static bool has_text(const Json *v) {
    for (size_t i = 0; v->type == JSON_STRING && i < v->string.len; i++)
        if (!isspace((unsigned char)v->string.s[i])) return true;
    for (uint32_t i = 0; (v->type == JSON_ARRAY || v->type == JSON_OBJECT) && i < v->n; i++) {
        bool named = v->type == JSON_OBJECT && strcmp(v->list.keys[i].s, "type") == 0;
        if (!named && has_text(&v->list.items[i])) return true;
    }
    return false;
}

/* A trained message must be in the text, each of its tool calls too, in one piece and once. */
static Status check_written(const Masker *k, uint32_t i, Err *e) {
    const Turn *t = &k->turns.turns[i];
    const Json *m = &k->turns.r->messages->list.items[i], *content = json_get(m, "content"),
               *calls = json_get(m, "tool_calls");
    bool list = calls != NULL && calls->type == JSON_ARRAY;
    if (calls != NULL && has_text(calls) && !turns_wrote(&k->turns, calls))
        FAIL(e, ERR_DATA, "messages[%u]: the chat template leaves out its tool_calls; set \"train\": false for it", i);
    for (uint32_t j = 0; list && j < calls->n; j++)
        if (has_text(&calls->list.items[j]) && !turns_wrote(&k->turns, &calls->list.items[j]))
            FAIL(e, ERR_DATA,
                 "messages[%u]: the chat template leaves out its tool_calls[%u]; set \"train\": false for it", i, j);
    if (content != NULL && has_text(content) && !t->seen)
        FAIL(e, ERR_DATA, "messages[%u]: the chat template leaves out its content; set \"train\": false for it", i);
    if (t->trouble == TURN_BROKEN)
        FAIL(e, ERR_DATA,
             "messages[%u]: the chat template writes messages[%d] in the middle of it; set \"train\": false for it", i,
             (int)t->other);
    if (t->trouble == TURN_TWICE)
        FAIL(e, ERR_DATA, "messages[%u]: the chat template writes its content twice; set \"train\": false for it", i);
    return OK;
}

static Status check_place(const Masker *k, uint32_t i, const TurnPlace *p, bool end_wanted, Err *e) {
    char names[200];
    if (!p->told)
        FAIL(
            e, ERR_DATA,
            "messages[%u]: where it begins in the text cannot be told from the chat template; set \"train\": false for it",
            i);
    if (end_wanted && p->end.end == 0)
        FAIL(
            e, ERR_DATA,
            "messages[%u]: the chat template writes no end token behind it (the model's: %s), so that it would never be "
            "learned",
            i, end_names(k, names, sizeof names));
    return OK;
}

/* ---- the ranges ------------------------------------------------------------------------------------------------------- */

static Status add_range(Masker *k, TextRange range, Err *e) {
    if (range.begin >= range.end) return OK;
    TRY(arena_grow(k->turns.arena, &k->ranges, &k->cap_ranges, k->n_ranges, k->n_ranges + 1, sizeof range, e));
    k->ranges[k->n_ranges++] = range;
    return OK;
}

/* A trained turn up to its end token, and that where it is wanted; of others, the end token alone. */
static Status mask_message(Masker *k, uint32_t i, uint32_t last, Err *e) {
    ChatEos eos = k->training->eos;
    bool trained = k->turns.turns[i].trained;
    bool wanted = eos == CHAT_EOS_ALL || eos == CHAT_EOS_TURN || (eos == CHAT_EOS_LAST && i == last);
    TurnPlace p;
    k->at = i;
    if (!trained && (eos != CHAT_EOS_ALL || i < k->turns.row->untrained)) return OK;
    if (trained && !k->training->lenient) TRY(check_written(k, i, e));
    TRY(turn_place(&k->turns, i, &p, e));
    if (trained && !k->training->lenient) TRY(check_place(k, i, &p, wanted, e));
    if (!trained) return add_range(k, p.end, e);
    size_t end = p.end.end == 0 ? p.own.end : wanted ? p.end.end : p.end.begin;
    return add_range(k, (TextRange){p.own.begin, end}, e);
}

static Status mask_messages(Masker *k, Err *e) {
    uint32_t n = k->turns.row->messages->n, last = n;
    for (uint32_t i = 0; i < n; i++) {
        k->at = i;
        TRY(is_trained(k, i, &k->turns.turns[i].trained, e));
        if (k->turns.turns[i].trained) last = i;
    }
    for (uint32_t i = 0; i < n; i++) TRY(mask_message(k, i, last, e));
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
    Masker k = {.turns = {.chat = c, .arena = a, .row = row, .r = r}, .training = training};
    if (training->inputs) {
        TRY(add_range(&k, (TextRange){0, r->text.len}, e));
    } else {
        TRY(turns_find(&k.turns, e));
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
