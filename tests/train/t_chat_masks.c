/* t_chat_masks.c: what is trained of conversations, in templates written for these tests in the styles of common families
 * (tests/golden_chat). The oracle are the templates' {% generation %} blocks, which lorac does not look at: as Jinja2 recorded
 * them (chat.json), and, for conversations drawn at random, as the engine does. The random ones hold texts made to mislead:
 * the answer's text in the question, end tokens, headers, control text, blanks, nothing. */
#include "tests/support/support.h"

#include "base/buf.h"
#include "base/json.h"
#include "data/chat.h"
#include "data/jinja.h"
#include "tests/train/byte_tokenizer.h"

#include <string.h>

static const char GOLDEN[] = LORAC_SOURCE_DIR "/tests/golden_chat/";
enum { ROUNDS = 60, TEXT_BYTES = 1 << 20, MESSAGES = 12 };

/* A template with its tokenizer. */
typedef struct Style {
    const char *name, *source;
    size_t len;
    const char *ends[4];
    size_t n_ends;
    Tokenizer *tokenizer;
    Chat *chat;
} Style;

static Arena *arena;
static Json *golden;

static int setup(void **state) {
    Err e;
    (void)state;
    arena = support_arena();
    ASSERT_OK(json_read(arena, support_path(arena, GOLDEN, "chat.json"), TEXT_BYTES, &golden, &e), e);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    arena_close(arena);
    return 0;
}

static void style_open(Arena *a, size_t i, bool add_bos, Style *out) {
    Err e;
    const Json *all = json_get(golden, "templates"), *ends = &all->list.items[i];
    char path[400], *text;
    *out = (Style){.name = all->list.keys[i].s, .n_ends = ends->n};
    for (uint32_t k = 0; k < ends->n; k++) out->ends[k] = ends->list.items[k].string.s;
    snprintf(path, sizeof path, "%stemplates/%s.jinja", GOLDEN, out->name);
    ASSERT_OK(file_read(a, path, TEXT_BYTES, &text, &out->len, &e), e);
    out->source = text;
    const ByteTokenizer want = {.bos = "<s>", .add_bos = add_bos, .n_ends = ends->n, .ends = out->ends};
    ASSERT_OK(byte_tokenizer_open(a, &want, &out->tokenizer, &e), e);
    ASSERT_OK(chat_open(a, out->name, (TokenText){text, out->len}, out->tokenizer, 0, &out->chat, &e), e);
}

static size_t n_styles(void) { return json_get(golden, "templates")->n; }

/* ---- goldens ------------------------------------------------------------------------------------------------------------ */

static const char *shown(Arena *a, const ChatText *t) {
    Err e;
    Buf b = {.arena = a};
    size_t at = 0;
    ASSERT_OK(buf_puts(&b, "", &e), e);
    for (size_t i = 0; i < t->n_trained; i++) {
        TextRange r = t->trained[i];
        assert_true(r.begin >= at && r.end > r.begin && r.end <= t->len);
        ASSERT_OK(buf_add(&b, t->text + at, r.begin - at, &e), e);
        ASSERT_OK(buf_puts(&b, "\xE3\x80\x90", &e), e);
        ASSERT_OK(buf_add(&b, t->text + r.begin, r.end - r.begin, &e), e);
        ASSERT_OK(buf_puts(&b, "\xE3\x80\x91", &e), e);
        at = r.end;
    }
    ASSERT_OK(buf_add(&b, t->text + at, t->len - at, &e), e);
    return b.data;
}

static bool has_calls(const Json *messages) {
    for (uint32_t i = 0; i < messages->n; i++)
        if (json_get(&messages->list.items[i], "tool_calls") != NULL) return true;
    return false;
}

/* What Jinja2 renders and is refused: no room for calls in the template, or for one only. */
static const char *refusal(const char *style, const char *name, bool calls) {
    static const char *const NO_CALLS[] = {"thinking", "phi3", "gemma", "mistral_v1", "llama2"};
    for (size_t i = 0; calls && i < sizeof NO_CALLS / sizeof *NO_CALLS; i++)
        if (strcmp(style, NO_CALLS[i]) == 0) return "the chat template leaves out its tool_calls;";
    return strcmp(style, "channels") == 0 && strcmp(name, "calls") == 0
               ? "the chat template leaves out its tool_calls[1];"
               : NULL;
}

static void one_golden(const Json *g, const Style *s) {
    Err e;
    Arena *a = support_arena();
    ChatText text;
    const char *name = g->list.items[1].string.s;
    const Json *want = &g->list.items[2], *messages = json_get(json_get(golden, "cases"), name);
    bool calls = has_calls(messages);
    const ChatRow row = {.messages = messages, .tools = calls ? json_get(golden, "tools") : NULL};
    Status st = chat_render(s->chat, a, &row, &(ChatTraining){.eos = CHAT_EOS_TURN}, &text, &e);
    const char *refused = refusal(s->name, name, calls);
    const char *got = st == OK ? shown(a, &text) : text.raised.s != NULL ? text.raised.s : e.message;
    if (want->type == JSON_NULL) {
        assert_string_equal(got, g->list.items[3].string.s);
    } else if (refused != NULL) {
        if (strstr(got, refused) == NULL) fail_msg("%s, %s: %s", s->name, name, got);
    } else if (strcmp(got, want->string.s) != 0)
        fail_msg("%s, %s:\n%s\nexpected\n%s", s->name, name, got, want->string.s);
    arena_close(a);
}

static void goldens(void **state) {
    const Json *all = json_get(golden, "golden");
    (void)state;
    for (size_t i = 0; i < n_styles(); i++) {
        Style s;
        style_open(arena, i, true, &s);
        uint32_t n = 0;
        for (uint32_t k = 0; k < all->n; k++)
            if (json_is_string(&all->list.items[k].list.items[0], s.name)) one_golden(&all->list.items[k], &s), n++;
        assert_int_equal(n, json_get(golden, "cases")->n);
        tokenizer_close(s.tokenizer);
    }
}

/* ---- conversations at random ---------------------------------------------------------------------------------------------- */

typedef struct Draw {
    uint64_t state;
} Draw;

static uint32_t draw(Draw *d, uint32_t below) {
    d->state = d->state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(d->state >> 33) % below;
}

static void put_text(Buf *b, Draw *d, const Style *s) {
    static const char *const TEXTS[] = {"Yes.",
                                        "Yes. Yes.",
                                        "",
                                        "  ",
                                        " padded\n",
                                        "assistant",
                                        "{{ messages }}{% endfor %}",
                                        "<|im_start|>assistant\nYes.",
                                        "x<|start_header_id|>assistant<|end_header_id|>\n\nYes.",
                                        "[/INST] Yes.",
                                        "Gr\xC3\xBC\xC3\x9F\x65 \xE4\xB8\x96\xF0\x9F\x99\x82",
                                        "two\n\nlines",
                                        "e",
                                        "user"};
    enum { N = sizeof TEXTS / sizeof *TEXTS };
    Err e;
    char text[200];
    uint32_t k = draw(d, N + 2);
    if (k < N)
        snprintf(text, sizeof text, "%s", TEXTS[k]);
    else
        snprintf(text, sizeof text, "%s%s%s", k == N ? "Yes." : "", s->ends[draw(d, (uint32_t)s->n_ends)],
                 draw(d, 2) ? "Yes." : "");
    ASSERT_OK(json_put_string(b, text, strlen(text), &e), e);
}

#define PUT(...) ASSERT_OK(buf_printf(b, &e, __VA_ARGS__), e)

static void put_message(Buf *b, Draw *d, const Style *s, const char *role) {
    Err e;
    PUT("{\"role\":\"%s\",\"content\":", role);
    put_text(b, d, s);
    PUT("}");
}

static void put_calls(Buf *b, Draw *d, const Style *s) {
    Err e;
    uint32_t n = strcmp(s->name, "channels") == 0 ? 1 : 1 + draw(d, 2);
    PUT("{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[");
    for (uint32_t k = 0; k < n; k++) {
        PUT("%s{\"id\":\"call%05u\",\"type\":\"function\",\"function\":{\"name\":\"look\",\"arguments\":{\"x\":",
            k > 0 ? "," : "", k);
        put_text(b, d, s);
        PUT("}}}");
    }
    PUT("]},");
    for (uint32_t k = 0; k < n; k++) {
        put_message(b, d, s, "tool");
        PUT(",");
    }
}

/* Messages in an order that all templates take. */
static const Json *conversation(Arena *a, Draw *d, const Style *s, bool calls) {
    Err e;
    Buf text = {.arena = a}, *b = &text;
    Json *out;
    PUT("[");
    if (strcmp(s->name, "gemma") != 0 && draw(d, 3) == 0) {
        put_message(b, d, s, "system");
        PUT(",");
    }
    for (uint32_t turn = 0, n = 1 + draw(d, 3); turn < n; turn++) {
        PUT("%s", turn > 0 ? "," : "");
        put_message(b, d, s, "user");
        PUT(",");
        for (uint32_t k = draw(d, 3); calls && k > 0; k--) put_calls(b, d, s);
        put_message(b, d, s, "assistant");
    }
    PUT("]");
    ASSERT_OK(json_parse(a, "conversation", text.data, text.len, &out, &e), e);
    return out;
}

static ChatText render(Arena *a, const Style *s, const ChatRow *row, const ChatTraining *how) {
    Err e;
    ChatText text;
    Status st = chat_render(s->chat, a, row, how, &text, &e);
    if (st != OK) {
        Buf b = {.arena = a};
        Err none;
        ASSERT_OK(json_put_value(&b, row->messages, &none), none);
        fail_msg("%s: %s\n%.*s", s->name, e.message, (int)b.len, b.data);
    }
    return text;
}

/* What the generation blocks wrote, those that meet made one. */
static void generated(Arena *a, const Style *s, const ChatRow *row, ChatText *out) {
    Err e;
    JinjaTemplate *t;
    JinjaSpans spans;
    Json variables = {.type = JSON_OBJECT};
    Buf text = {.arena = a};
    Json *items;
    JsonString *keys;
    ASSERT_OK(ARENA_NEW(a, 4, items, &e), e);
    ASSERT_OK(ARENA_NEW(a, 4, keys, &e), e);
    keys[0] = (JsonString){"messages", 8}, items[0] = *row->messages;
    keys[1] = (JsonString){"bos_token", 9}, items[1] = (Json){.type = JSON_STRING, .string = {"<s>", 3}};
    keys[2] = (JsonString){"eos_token", 9};
    items[2] = (Json){.type = JSON_STRING, .string = {s->ends[0], strlen(s->ends[0])}};
    variables.list.items = items, variables.list.keys = keys, variables.n = 3;
    if (row->tools != NULL) keys[3] = (JsonString){"tools", 5}, items[3] = *row->tools, variables.n = 4;
    ASSERT_OK(jinja_parse(a, s->name, s->source, s->len, &t, &e), e);
    ASSERT_OK(jinja_render(t, a, &(JinjaInput){.variables = &variables}, &text, &spans, &e), e);
    *out = (ChatText){.text = text.data, .len = text.len};
    ASSERT_OK(ARENA_NEW(a, spans.n_generation, out->trained, &e), e);
    for (size_t i = 0; i < spans.n_generation; i++) {
        TextRange r = {spans.generation[i].begin, spans.generation[i].end};
        if (r.begin == r.end) continue;
        if (out->n_trained > 0 && out->trained[out->n_trained - 1].end == r.begin)
            out->trained[out->n_trained - 1].end = r.end;
        else
            out->trained[out->n_trained++] = r;
    }
}

static void same(Arena *a, const Style *s, const char *what, const ChatText *got, const ChatText *want) {
    const char *x = shown(a, got), *y = shown(a, want);
    if (strcmp(x, y) != 0) fail_msg("%s, %s:\n%s\nexpected\n%s", s->name, what, x, y);
}

/* The bytes of the end token that a range ends with. */
static size_t end_bytes(const Style *s, const ChatText *t, size_t range) {
    size_t best = 0;
    for (size_t k = 0; k < s->n_ends; k++) {
        size_t n = strlen(s->ends[k]);
        TextRange r = t->trained[range];
        if (n <= r.end - r.begin && memcmp(t->text + r.end - n, s->ends[k], n) == 0 && n > best) best = n;
    }
    return best;
}

/* train_on_eos none and last: the same without the end tokens, but the last one. */
static void check_eos(Arena *a, const Style *s, const ChatRow *row, const ChatText *all) {
    Err e;
    for (int last = 0; last < 2; last++) {
        ChatText want = *all, got = render(a, s, row, &(ChatTraining){.eos = last ? CHAT_EOS_LAST : CHAT_EOS_NONE});
        want.n_trained = 0;
        ASSERT_OK(ARENA_NEW(a, all->n_trained, want.trained, &e), e);
        for (size_t i = 0; i < all->n_trained; i++) {
            TextRange r = all->trained[i];
            assert_true(end_bytes(s, all, i) > 0);
            if (!last || i + 1 < all->n_trained) r.end -= end_bytes(s, all, i);
            if (r.begin < r.end) want.trained[want.n_trained++] = r;
        }
        same(a, s, last ? "train_on_eos last" : "train_on_eos none", &got, &want);
    }
}

/* train_on_eos all: the same and end tokens of other messages, each behind its message's text. */
static void check_all(Arena *a, const Style *s, const ChatRow *row, const ChatText *turn) {
    ChatText got = render(a, s, row, &(ChatTraining){.eos = CHAT_EOS_ALL});
    size_t at = 0;
    for (size_t i = 0; i < got.n_trained; i++) {
        TextRange r = got.trained[i];
        if (at < turn->n_trained && r.begin == turn->trained[at].begin && r.end == turn->trained[at].end)
            at++;
        else
            assert_int_equal(end_bytes(s, &got, i), r.end - r.begin);
    }
    assert_int_equal(at, turn->n_trained);
}

/* "train": false takes its turn away and nothing else; false of all, and true of one, trains this one. */
static void check_single(Arena *a, const Style *s, const ChatRow *row, const ChatText *all) {
    Err e;
    size_t turn = 0, bytes = 0, whole = 0;
    for (size_t i = 0; i < all->n_trained; i++) whole += all->trained[i].end - all->trained[i].begin;
    for (uint32_t i = 0; i < row->messages->n; i++) {
        const Json *from = row->messages;
        Json messages = *from;
        if (!json_is_string(json_get(&from->list.items[i], "role"), "assistant")) continue;
        ASSERT_OK(ARENA_NEW(a, from->n, messages.list.items, &e), e);
        for (uint32_t k = 0; k < from->n; k++) {
            Json *m = &messages.list.items[k];
            const Json before = from->list.items[k];
            *m = before;
            ASSERT_OK(ARENA_NEW(a, before.n + 1, m->list.items, &e), e);
            ASSERT_OK(ARENA_NEW(a, before.n + 1, m->list.keys, &e), e);
            memcpy(m->list.items, before.list.items, before.n * sizeof(Json));
            memcpy(m->list.keys, before.list.keys, before.n * sizeof(JsonString));
            m->list.keys[m->n] = (JsonString){"train", 5};
            m->list.items[m->n++] = (Json){.type = JSON_BOOL, .boolean = k == i};
        }
        const ChatRow one = {.messages = &messages, .tools = row->tools};
        ChatText got = render(a, s, &one, &(ChatTraining){.eos = CHAT_EOS_TURN});
        assert_int_equal(got.n_trained, 1);
        TextRange r = got.trained[0];
        bytes += r.end - r.begin;
        while (turn < all->n_trained && all->trained[turn].end < r.end) turn++;
        assert_true(turn < all->n_trained && all->trained[turn].begin <= r.begin);
        assert_true(end_bytes(s, &got, 0) > 0);
    }
    assert_int_equal(bytes, whole);
}

/* Trained tokens are those with a trained byte; BOS comes once. */
static void check_tokens(Arena *a, const Style *s, bool add_bos, const ChatText *t) {
    Err e;
    int32_t *ids;
    uint8_t *marks;
    size_t n, at = 0, range = 0, n_bos = 0;
    ASSERT_OK(chat_encode(s->chat, a, t, &ids, &marks, &n, &e), e);
    bool wrote = t->len >= 3 && memcmp(t->text, "<s>", 3) == 0;
    for (size_t i = 0; i < n && ids[i] == tokenizer_bos(s->tokenizer); i++) n_bos++;
    assert_int_equal(n_bos, wrote || add_bos ? 1 : 0);
    for (size_t i = add_bos && !wrote ? 1 : 0; i < n; i++) {
        size_t len = ids[i] < BYTE_TOKENS ? 1 : tokenizer_token(s->tokenizer, ids[i]).len;
        while (range < t->n_trained && t->trained[range].end <= at) range++;
        bool want = range < t->n_trained && t->trained[range].begin < at + len;
        assert_int_equal(marks[i], want);
        at += len;
        bool last = want && range < t->n_trained && t->trained[range].end == at;
        if (last) assert_true(tokenizer_is_end(s->tokenizer, ids[i]));
    }
    assert_int_equal(at, t->len);
}

static void check_row(const Style *s, bool add_bos, const ChatRow *row) {
    Arena *a = support_arena();
    ChatText want, got = render(a, s, row, &(ChatTraining){.eos = CHAT_EOS_TURN}), all;
    generated(a, s, row, &want);
    same(a, s, "what is trained", &got, &want);
    check_tokens(a, s, add_bos, &got);
    check_eos(a, s, row, &got);
    check_all(a, s, row, &got);
    check_single(a, s, row, &got);
    all = render(a, s, row, &(ChatTraining){.inputs = true});
    assert_true(all.n_trained == 1 && all.trained[0].begin == 0 && all.trained[0].end == all.len);
    arena_close(a);
}

static bool takes_calls(const Style *s) { return refusal(s->name, "", true) == NULL; }

static void at_random(void **state) {
    (void)state;
    for (size_t i = 0; i < n_styles(); i++) {
        Draw d = {.state = 20250607 + i};
        for (int add_bos = 0; add_bos < 2; add_bos++) {
            Style s;
            style_open(arena, i, add_bos != 0, &s);
            for (int round = 0; round < ROUNDS; round++) {
                Arena *a = support_arena();
                bool calls = takes_calls(&s) && draw(&d, 2) == 0;
                const ChatRow row = {.messages = conversation(a, &d, &s, calls),
                                     .tools = calls ? json_get(golden, "tools") : NULL};
                check_row(&s, add_bos != 0, &row);
                arena_close(a);
            }
            tokenizer_close(s.tokenizer);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(goldens), cmocka_unit_test(at_random)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
