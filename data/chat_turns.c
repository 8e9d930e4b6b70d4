/* chat_turns.c: where the messages of a rendered conversation stand in its text. The rules are in chat.h.
 *
 * Which bytes are whose is known (jinja.h); what has to be found is where a header ends and which end token belongs to a turn.
 * A header is seen by rendering the messages before with add_generation_prompt; where that says nothing (another role, a template
 * that raises there), by rendering the row once more with a text in the place of the empty content. An end token counts only
 * where the template itself writes it: never inside of a text, a name, an id or a tool's description. */
#define _GNU_SOURCE /* memmem */
#include "data/chat_internal.h"

#include <ctype.h>
#include <string.h>

static const JinjaSpan *span_at(const Rendering *r, size_t i) { return &r->spans.spans[i]; }

/* ---- end tokens ------------------------------------------------------------------------------------------------------- */

/* Whether a span is the template's own: its text, a variable of the top (eos_token) or a role. */
static bool own_source(const Rendering *r, const Json *source) {
    const Json *first = r->variables->list.items;
    if (source == NULL ||
        ((uintptr_t)source >= (uintptr_t)first && (uintptr_t)source < (uintptr_t)(first + r->variables->n)))
        return true;
    for (uint32_t i = 0; i < r->messages->n; i++)
        if (json_get(&r->messages->list.items[i], "role") == source) return true;
    return false;
}

/* Whether the template itself writes bytes [begin, end). */
static bool is_written(const Rendering *r, size_t begin, size_t end) {
    size_t low = 0, high = r->spans.n_spans;
    while (low < high) { /* the first span that ends behind begin */
        size_t middle = low + (high - low) / 2;
        if (span_at(r, middle)->end <= begin)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < r->spans.n_spans && span_at(r, low)->begin < end; low++)
        if (!own_source(r, span_at(r, low)->source)) return false;
    return true;
}

/* The first of a token in [begin, end) that the template writes itself; SIZE_MAX: none. */
static size_t find_token(const Rendering *r, TokenText token, size_t begin, size_t end) {
    const char *text = r->text.data;
    while (token.len > 0 && begin < end) {
        const char *hit = memmem(text + begin, end - begin, token.s, token.len);
        if (hit == NULL) return SIZE_MAX;
        size_t at = (size_t)(hit - text);
        if (is_written(r, at, at + token.len)) return at;
        begin = at + 1;
    }
    return SIZE_MAX;
}

/* The first end token in [begin, end) of the text, of two that begin together the longer one; false: none. */
static bool find_end(const Turns *t, const Rendering *r, size_t begin, size_t end, TextRange *out) {
    size_t n;
    const int32_t *ends = tokenizer_ends(t->chat->tokenizer, &n);
    bool found = false;
    *out = (TextRange){0, 0};
    for (size_t i = 0; i < n; i++) {
        TokenText token = tokenizer_token(t->chat->tokenizer, ends[i]);
        size_t at = find_token(r, token, begin, end);
        if (at == SIZE_MAX) continue;
        if (found && (at > out->begin || (at == out->begin && token.len < out->end - out->begin))) continue;
        *out = (TextRange){at, at + token.len};
        found = true;
    }
    return found;
}

/* ---- whose text is where ------------------------------------------------------------------------------------------------ */

const ChatLeaf *chat_leaf(const Rendering *r, const Json *node) {
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

static bool same_bytes(const Rendering *r, const JinjaSpan *a, const JinjaSpan *b) {
    return a->end - a->begin == b->end - b->begin &&
           memcmp(r->text.data + a->begin, r->text.data + b->begin, a->end - a->begin) == 0;
}

/* One more span of a message that was seen. recent: the last span before it that is a text of any message. */
static void go_on(const Turns *t, const ChatLeaf *leaf, size_t i, size_t recent) {
    const Rendering *r = t->r;
    Turn *turn = &t->turns[leaf->message];
    TextRange unused;
    size_t first = t->first[leaf - r->leaves];
    bool apart = recent != turn->last_span;
    bool again = first != SIZE_MAX && same_bytes(r, span_at(r, first), span_at(r, i));
    if (again && (apart || find_end(t, r, span_at(r, turn->last_span)->end, span_at(r, i)->begin, &unused))) {
        if (leaf->kind == LEAF_CONTENT) turn->trouble = TURN_TWICE;
    } else if (apart) {
        turn->trouble = TURN_BROKEN;
        turn->other = chat_leaf(r, span_at(r, recent)->source)->message;
    } else
        turn->last_span = i;
}

Status turns_find(Turns *t, Err *e) {
    const Rendering *r = t->r;
    size_t recent = SIZE_MAX;
    TRY(ARENA_NEW(t->arena, t->row->messages->n, t->turns, e));
    TRY(ARENA_NEW(t->arena, r->n_leaves, t->first, e));
    for (size_t i = 0; i < r->n_leaves; i++) t->first[i] = SIZE_MAX;
    for (size_t i = 0; i < r->spans.n_spans; i++) {
        const ChatLeaf *leaf = chat_leaf(r, span_at(r, i)->source);
        if (leaf == NULL) continue;
        Turn *turn = &t->turns[leaf->message];
        if (turn->seen)
            go_on(t, leaf, i, recent);
        else
            *turn = (Turn){.first_span = i, .last_span = i, .seen = true, .kind = leaf->kind};
        if (t->first[leaf - r->leaves] == SIZE_MAX) t->first[leaf - r->leaves] = i;
        recent = i;
    }
    return OK;
}

bool turns_wrote(const Turns *t, const Json *v) {
    const ChatLeaf *leaf = v->type == JSON_STRING ? chat_leaf(t->r, v) : NULL;
    if (leaf != NULL) return t->first[leaf - t->r->leaves] != SIZE_MAX;
    for (uint32_t i = 0; (v->type == JSON_ARRAY || v->type == JSON_OBJECT) && i < v->n; i++)
        if (turns_wrote(t, &v->list.items[i])) return true;
    return false;
}

/* The nearest span before (after) span `from` that is a text of another message than `message`; false: none. */
static bool neighbour(const Rendering *r, size_t from, int step, int32_t message, size_t *span, int32_t *whose) {
    for (size_t i = from + (size_t)step; i < r->spans.n_spans; i += (size_t)step) { /* below 0 wraps, and ends */
        const ChatLeaf *leaf = chat_leaf(r, span_at(r, i)->source);
        if (leaf == NULL || leaf->message == message) continue;
        *span = i;
        *whose = leaf->message;
        return true;
    }
    return false;
}

/* ---- where the header ends ---------------------------------------------------------------------------------------------- */

/* Where to look: the header of message i begins somewhere in [begin, end); `before` is the message whose text ends at begin,
 * -1: none. first: where the message's own text begins. */
typedef struct Place {
    uint32_t i;
    int32_t before;
    size_t begin, first, end;
} Place;

/* A rendering whose failure says only that it says nothing. */
static Status try_run(const Turns *t, const ChatRow *row, uint32_t n, bool prompt, Rendering *out, bool *ran, Err *e) {
    Err none;
    Status st = chat_run(t->chat, t->arena, row, n, prompt, out, &none);
    *ran = st == OK;
    if (st == ERR_OOM) *e = none;
    return st == ERR_OOM ? st : OK;
}

/* What a template writes when asked for an answer to messages 0..n-1. */
typedef struct Prompt {
    const char *text; /* behind the last message's text: its closing and the header; NULL: it cannot be asked */
    size_t len;
    size_t
        closing; /* bytes of it that come unasked, too (a template may write no header, or the header always); 0: not wanted */
    int32_t last; /* whose text is the last */
} Prompt;

/* The text behind the last message's, and whose that is. */
static void tail_of(const Rendering *r, Prompt *out) {
    size_t from = 0;
    out->last = -1;
    for (size_t s = 0; s < r->spans.n_spans; s++) {
        const ChatLeaf *leaf = chat_leaf(r, span_at(r, s)->source);
        if (leaf == NULL) continue;
        from = span_at(r, s)->end;
        out->last = leaf->message;
    }
    out->text = r->text.len > 0 ? r->text.data + from : "";
    out->len = r->text.len - from;
}

static Status prompt_after(const Turns *t, uint32_t n, bool want_closing, Prompt *out, Err *e) {
    Rendering asked, unasked;
    Prompt other = {.len = 0};
    bool ran;
    *out = (Prompt){.last = -1};
    TRY(try_run(t, t->row, n, true, &asked, &ran, e));
    if (!ran) return OK;
    tail_of(&asked, out);
    if (!want_closing) return OK;
    TRY(try_run(t, t->row, n, false, &unasked, &ran, e));
    if (ran) tail_of(&unasked, &other);
    while (out->closing < out->len && out->closing < other.len && out->text[out->closing] == other.text[out->closing])
        out->closing++;
    return OK;
}

static size_t common(const Turns *t, const Place *p, const char *header, size_t len) {
    const char *text = t->r->text.data + p->begin;
    size_t n = 0;
    while (n < len && p->begin + n < p->end && header[n] == text[n]) n++;
    return n;
}

/* Where a header found elsewhere ends in the text; part: the text has its beginning only, up to a line's or tag's end. */
typedef struct HeaderEnd {
    size_t at;
    bool part, whole;
    bool sure;        /* whole, and the answer's header without doubt */
    bool unasked;     /* comes unasked, too: it closes what is before, and the template writes no header */
    const char *text; /* the header; NULL: none was found */
    size_t len;
} HeaderEnd;

/* It may hold more than the text does, but only behind `least` bytes: "<think>" before what was not thought about. */
static HeaderEnd header_end(const Turns *t, const Place *p, const char *header, size_t len, size_t least) {
    size_t n = common(t, p, header, len);
    if (n == len) return (HeaderEnd){.at = p->begin + n, .part = true, .whole = true, .text = header, .len = len};
    if (p->begin + n > p->first) n = p->first - p->begin;
    while (n > 0 && strchr("\n>]", header[n - 1]) == NULL) n--;
    return (HeaderEnd){.at = p->begin + n, .part = n > least, .text = header, .len = len};
}

static Status after_prompt(const Turns *t, const Place *p, HeaderEnd *out, Err *e) {
    Prompt prompt;
    *out = (HeaderEnd){0};
    TRY(prompt_after(t, p->i, true, &prompt, e));
    if (prompt.text == NULL || prompt.last != p->before) return OK;
    *out = header_end(t, p, prompt.text, prompt.len, prompt.closing);
    out->unasked = prompt.closing == prompt.len;
    out->sure = out->whole && !out->unasked;
    return OK;
}

/* The row with "x" as content of message i; alone: and without anything else in it but its role and name. */
static Status probe_row(const Turns *t, uint32_t i, bool alone, ChatRow *row, Json *messages, Err *e) {
    static const JsonString KEY = {"content", 7}, X = {"x", 1};
    const Json *from = t->row->messages;
    *messages = *from;
    TRY(ARENA_NEW(t->arena, from->n, messages->list.items, e));
    memcpy(messages->list.items, from->list.items, from->n * sizeof(Json));
    Json *m = &messages->list.items[i];
    const Json before = *m;
    TRY(ARENA_NEW(t->arena, before.n + 1, m->list.items, e));
    TRY(ARENA_NEW(t->arena, before.n + 1, m->list.keys, e));
    m->n = 0;
    for (uint32_t k = 0; k < before.n; k++) {
        const char *key = before.list.keys[k].s;
        if (strcmp(key, KEY.s) == 0 || (alone && strcmp(key, "role") != 0 && strcmp(key, "name") != 0)) continue;
        m->list.items[m->n] = before.list.items[k];
        m->list.keys[m->n++] = before.list.keys[k];
    }
    m->list.items[m->n] = (Json){.type = JSON_STRING, .string = X};
    m->list.keys[m->n++] = KEY;
    *row = *t->row;
    row->messages = messages;
    return OK;
}

/* Where a content of message i would begin: a rendering with one is the same up to there. */
static Status after_probe(const Turns *t, const Place *p, bool alone, HeaderEnd *out, Err *e) {
    ChatRow row;
    Json messages;
    Rendering r;
    bool ran;
    size_t from = 0;
    int32_t before = -1;
    *out = (HeaderEnd){0};
    TRY(probe_row(t, p->i, alone, &row, &messages, e));
    TRY(try_run(t, &row, messages.n, row.generation_prompt, &r, &ran, e));
    if (!ran) return OK;
    const Json *x = json_get(&r.messages->list.items[p->i], "content");
    for (size_t s = 0; s < r.spans.n_spans; s++) {
        const ChatLeaf *leaf = chat_leaf(&r, span_at(&r, s)->source);
        if (leaf == NULL) continue;
        if (leaf->node == x && before == p->before) {
            const char *header = r.text.data + from;
            size_t len = span_at(&r, s)->begin - from, least = len;
            while (least > 0 && isspace((unsigned char)header[least - 1])) least--; /* all but blanks must be there */
            *out = header_end(t, p, header, len, least > 0 ? least - 1 : 0);
        }
        if (leaf->message == (int32_t)p->i) return OK;
        from = span_at(&r, s)->end;
        before = leaf->message;
    }
    return OK;
}

static bool is_assistant(const Turns *t, uint32_t i) {
    const Json *role = json_get(&t->row->messages->list.items[i], "role");
    return role != NULL && json_is_string(role, "assistant");
}

/* Whether an answer is written right behind what closes the message before, with no header: that is all that comes before its
 * content, and the text has the beginning of it. */
static bool is_bare(const Place *p, const HeaderEnd *prompt, const HeaderEnd *probe) {
    return prompt->unasked && prompt->at > p->begin && probe->text != NULL && probe->len == prompt->len &&
           memcmp(probe->text, prompt->text, prompt->len) == 0;
}

/* For a turn that does not begin with its content as it is: with reasoning, a tool call, or nothing. */
static Status skip_header(const Turns *t, const Place *p, size_t *at, bool *told, Err *e) {
    HeaderEnd found[3] = {{0}}, best = {0};
    bool empty = !t->turns[p->i].seen; /* then it begins where content would */
    if (is_assistant(t, p->i)) TRY(after_prompt(t, p, &found[0], e));
    bool sure = found[0].sure && !empty;
    if (!sure) TRY(after_probe(t, p, false, &found[1], e));
    if (!sure && !found[1].whole) TRY(after_probe(t, p, true, &found[2], e));
    for (int k = 0; k < 3; k++) { /* the furthest that is there whole, else the first that is in part */
        bool further = found[k].whole && (!best.whole || found[k].at > best.at);
        if (further || (found[k].part && !best.part)) best = found[k];
    }
    if (!best.part && is_bare(p, &found[0], &found[2])) best = found[0], best.part = true;
    *told = best.part;
    if (best.part) *at = best.at;
    return OK;
}

/* Whether a content's text begins as the content does, but for blanks: the template took nothing away there. */
static bool is_head(const Turns *t, uint32_t i) {
    const JinjaSpan *s = span_at(t->r, t->turns[i].first_span);
    if (s->source->type != JSON_STRING) return true;
    JsonString whole = s->source->string;
    const char *hit = memmem(whole.s, whole.len, t->r->text.data + s->begin, s->end - s->begin);
    for (const char *c = whole.s; hit != NULL && c < hit; c++)
        if (isgraph((unsigned char)*c)) return false;
    return true;
}

/* Whether the content at `at` begins as some generation prompt of the row ends. Asked only where it begins like control text: what
 * a prompt puts into an answer's mouth is a tag, and rendering once more costs as much as the row itself. */
static Status meets_prompt(Turns *t, uint32_t i, size_t at, size_t end, bool *meets, Err *e) {
    Prompt prompt;
    unsigned char first = (unsigned char)t->r->text.data[at];
    *meets = false;
    if (!is_assistant(t, i) || !ispunct(first)) return OK;
    if (t->header == NULL) {
        TRY(prompt_after(t, i, false, &prompt, e));
        t->header = prompt.text;
        t->header_len = prompt.len;
    }
    const char *text = t->r->text.data + at;
    for (size_t n = 1; n <= t->header_len && n <= end - at && !*meets; n++)
        *meets = t->header[t->header_len - n] == text[0] && memcmp(t->header + t->header_len - n, text, n) == 0;
    return OK;
}

/* For a turn that begins with its content: the content's first byte. But the template may write in its own words what the
 * content begins with (reasoning), and the header may reach into it (where it ends in "<think>"). */
static Status content_begin(Turns *t, const Place *p, size_t *at, Err *e) {
    bool told, meets;
    HeaderEnd prompt;
    if (!is_head(t, p->i)) return skip_header(t, p, at, &told, e);
    TRY(meets_prompt(t, p->i, p->first, p->end, &meets, e));
    if (!meets) return OK;
    TRY(after_prompt(t, p, &prompt, e));
    if (prompt.whole && prompt.at > p->first) *at = prompt.at;
    return OK;
}

/* ---- where a turn stands ------------------------------------------------------------------------------------------------ */

/* Where the first text of a message begins, or (last) where its last one ends; SIZE_MAX: it has none. */
static size_t text_edge(const Rendering *r, uint32_t message, bool last) {
    size_t edge = SIZE_MAX;
    for (size_t s = 0; s < r->spans.n_spans && (last || edge == SIZE_MAX); s++) {
        const ChatLeaf *leaf = chat_leaf(r, span_at(r, s)->source);
        if (leaf != NULL && leaf->message == (int32_t)message) edge = last ? span_at(r, s)->end : span_at(r, s)->begin;
    }
    return edge;
}

/* An end token behind which an empty message comes may be that one's: it is this turn's where it stands before what that message
 * says, once it says something; where the template leaves that out, too, where a conversation that ends with the turn has it. */
static Status check_end(const Turns *t, uint32_t i, size_t own_end, TextRange *end, Err *e) {
    ChatRow row;
    Json messages;
    Rendering p;
    bool ran;
    size_t from = SIZE_MAX, to = SIZE_MAX;
    TextRange other;
    if (end->end == 0 || i + 1 == t->row->messages->n || t->turns[i + 1].seen) return OK;
    TRY(probe_row(t, i + 1, false, &row, &messages, e));
    TRY(try_run(t, &row, messages.n, row.generation_prompt, &p, &ran, e));
    if (ran) to = text_edge(&p, i + 1, false);
    if (to != SIZE_MAX && to >= own_end && memcmp(p.text.data, t->r->text.data, own_end) == 0) {
        from = own_end;
    } else {
        TRY(try_run(t, t->row, i + 1, false, &p, &ran, e));
        from = ran ? text_edge(&p, i, true) : SIZE_MAX;
        to = p.text.len;
    }
    if (from == SIZE_MAX) return OK;
    if (!find_end(t, &p, from, to, &other) || other.begin - from != end->begin - own_end) *end = (TextRange){0, 0};
    return OK;
}

static Status place_seen(Turns *t, uint32_t i, TurnPlace *out, Err *e) {
    const Rendering *r = t->r;
    const Turn *turn = &t->turns[i];
    size_t span, limit = r->text.len;
    int32_t after;
    out->own = (TextRange){span_at(r, turn->first_span)->begin, span_at(r, turn->last_span)->end};
    out->told = true;
    Place p = {.i = i, .before = -1, .first = out->own.begin, .end = out->own.end};
    if (neighbour(r, turn->first_span, -1, (int32_t)i, &span, &p.before)) p.begin = span_at(r, span)->end;
    if (neighbour(r, turn->last_span, 1, (int32_t)i, &span, &after)) limit = span_at(r, span)->begin;
    if (turn->trained && turn->kind == LEAF_CONTENT) TRY(content_begin(t, &p, &out->own.begin, e));
    if (turn->trained && turn->kind != LEAF_CONTENT) {
        TRY(skip_header(t, &p, &out->own.begin, &out->told, e));
    }
    find_end(t, r, out->own.end, limit, &out->end);
    return check_end(t, i, out->own.end, &out->end, e);
}

/* An empty message: from its header's end. */
static Status place_empty(Turns *t, uint32_t i, TurnPlace *out, Err *e) {
    const Rendering *r = t->r;
    size_t span, from = SIZE_MAX;
    int32_t after;
    Place p = {.i = i, .before = -1, .end = r->text.len};
    for (uint32_t j = 0; j < i; j++)
        if (t->turns[j].seen) from = t->turns[j].last_span, p.before = (int32_t)j;
    if (p.before >= 0) p.begin = span_at(r, from)->end;
    for (uint32_t j = i + 1; j < t->row->messages->n; j++)
        if (t->turns[j].seen && span_at(r, t->turns[j].first_span)->begin >= p.begin &&
            span_at(r, t->turns[j].first_span)->begin < p.end)
            p.end = span_at(r, t->turns[j].first_span)->begin;
    if (p.before >= 0 && neighbour(r, from, 1, p.before, &span, &after) && span_at(r, span)->begin < p.end)
        p.end = span_at(r, span)->begin;
    p.first = p.end;
    out->own = (TextRange){p.end, p.end};
    TRY(skip_header(t, &p, &out->own.begin, &out->told, e));
    out->own.end = out->own.begin;
    find_end(t, r, out->own.end, p.end, &out->end);
    return OK;
}

Status turn_place(Turns *t, uint32_t i, TurnPlace *out, Err *e) {
    *out = (TurnPlace){.told = false};
    return t->turns[i].seen ? place_seen(t, i, out, e) : place_empty(t, i, out, e);
}
