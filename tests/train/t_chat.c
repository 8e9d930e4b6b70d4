/* t_chat.c: conversations through chat templates: what is trained, shown as text in [brackets], and which rows are refused. The
 * templates are written for these tests; between them they write a message as the common families do: with a header, with none,
 * with text before the end token, trimmed, rewritten, with tool calls and reasoning. The tokenizer is the embedded base's. */
#include "tests/support/support.h"

#include "base/buf.h"
#include "data/chat.h"
#include "train/tokenizer_load.h"

#include <string.h>

static Arena *arena;
static Tokenizer *tokenizer;

static int setup(void **state) {
    Err e;
    (void)state;
    arena = support_arena();
    ASSERT_OK(tokenizer_load(arena, LORAC_SOURCE_DIR "/data/tiny/tiny.gguf", &tokenizer, &e), e);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    tokenizer_close(tokenizer);
    arena_close(arena);
    return 0;
}

#define HEADED                                                                                                          \
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.reasoning_content %}<think>\n{{ m.reasoning_content }}\n" \
    "</think>\n{% endif %}{{ m.content }}{% for c in m.tool_calls or [] %}<call>{{ c.function.name }}("                 \
    "{{ c.function.arguments | tojson }})</call>{% endfor %}<|im_end|>\n{% endfor %}"                                   \
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
/* no header before an answer, a blank beside it, and content trimmed */
#define BARE                                                                                                           \
    "{% for m in messages %}{% if m.role == 'user' %}[Q]{{ m.content }}[/Q]{% else %} {{ m.content | trim }} "         \
    "<|endoftext|>{% endif %}{% endfor %}"
/* tool calls are not known, only what is behind </think> is kept */
#define REWRITING                                                                                                      \
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content.split('</think>')[-1].lstrip('\\n') }}<|im_end|>\n{% endfor %}"
#define ENDLESS "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
#define STRICT "{% if messages[0].role != 'user' %}{{ raise_exception('the user speaks first') }}{% endif %}" HEADED

/* The text with the trained parts in brackets, or the error. */
static const char *shown(const char *source, const char *messages, const ChatTraining *training) {
    Err e;
    Chat *chat;
    Json *m;
    ChatText text;
    Buf b = {.arena = arena};
    size_t at = 0;
    ASSERT_OK(chat_open(arena, "test", (TokenText){source, strlen(source)}, tokenizer, 0, &chat, &e), e);
    ASSERT_OK(json_parse(arena, "messages", messages, strlen(messages), &m, &e), e);
    ChatRow row = {.messages = m};
    if (chat_render(chat, arena, &row, training, &text, &e) != OK) {
        char *copy;
        Err none;
        ASSERT_OK(arena_strdup(arena, e.message, &copy, &none), none);
        return copy;
    }
    ASSERT_OK(buf_puts(&b, "", &e), e);
    for (size_t i = 0; i < text.n_trained; i++) {
        TextRange r = text.trained[i];
        assert_true(r.begin >= at && r.end > r.begin && r.end <= text.len);
        ASSERT_OK(buf_add(&b, text.text + at, r.begin - at, &e), e);
        ASSERT_OK(buf_putc(&b, '[', &e), e);
        ASSERT_OK(buf_add(&b, text.text + r.begin, r.end - r.begin, &e), e);
        ASSERT_OK(buf_putc(&b, ']', &e), e);
        at = r.end;
    }
    ASSERT_OK(buf_add(&b, text.text + at, text.len - at, &e), e);
    return b.data;
}

static const ChatTraining DEFAULT = {0};
#define SAID(role, text) "{\"role\":\"" role "\",\"content\":\"" text "\"}"
#define TWO_TURNS "[" SAID("user", "a") "," SAID("assistant", "b") "," SAID("user", "c") "," SAID("assistant", "d") "]"

static void turns(void **state) {
    (void)state;
    assert_string_equal(shown(HEADED, TWO_TURNS, &DEFAULT),
                        "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n[b<|im_end|>]\n"
                        "<|im_start|>user\nc<|im_end|>\n<|im_start|>assistant\n[d<|im_end|>]\n");
    assert_string_equal(shown(BARE, TWO_TURNS, &DEFAULT), "[Q]a[/Q] [b <|endoftext|>][Q]c[/Q] [d <|endoftext|>]");
    /* equal texts in other messages, content with the end token's text, and white space that is trimmed away */
    assert_string_equal(
        shown(HEADED, "[" SAID("user", "b") "," SAID("assistant", "b") "," SAID("user", "b") "]", &DEFAULT),
        "<|im_start|>user\nb<|im_end|>\n<|im_start|>assistant\n[b<|im_end|>]\n<|im_start|>user\nb<|im_end|>\n");
    assert_string_equal(shown(BARE, "[" SAID("user", "a") "," SAID("assistant", " b\\n ") "]", &DEFAULT),
                        "[Q]a[/Q] [b <|endoftext|>]");
    assert_string_equal(shown(HEADED, "[" SAID("assistant", "x<|im_end|>y") "]", &DEFAULT),
                        "<|im_start|>assistant\n[x<|im_end|>y<|im_end|>]\n");
    assert_string_equal(
        shown(REWRITING, "[" SAID("user", "a") "," SAID("assistant", "<think>why</think>\\n\\nb") "]", &DEFAULT),
        "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n[b<|im_end|>]\n");
    assert_string_equal(
        shown(HEADED, "[" SAID("user", "a") "," SAID("assistant", "") "," SAID("user", "c") "]", &DEFAULT),
        "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n[<|im_end|>]\n<|im_start|>user\nc<|im_end|>\n");
}

static void options(void **state) {
    (void)state;
    const ChatTraining last = {.eos = CHAT_EOS_LAST}, none = {.eos = CHAT_EOS_NONE}, all = {.eos = CHAT_EOS_ALL},
                       users = {.roles = "tool, user"}, inputs = {.inputs = true};
#define A "<|im_start|>user\na"
#define B "<|im_start|>assistant\n"
#define C "<|im_start|>user\nc"
    assert_string_equal(shown(HEADED, TWO_TURNS, &last),
                        A "<|im_end|>\n" B "[b]<|im_end|>\n" C "<|im_end|>\n" B "[d<|im_end|>]\n");
    assert_string_equal(shown(HEADED, TWO_TURNS, &none),
                        A "<|im_end|>\n" B "[b]<|im_end|>\n" C "<|im_end|>\n" B "[d]<|im_end|>\n");
    assert_string_equal(shown(HEADED, TWO_TURNS, &all),
                        A "[<|im_end|>]\n" B "[b<|im_end|>]\n" C "[<|im_end|>]\n" B "[d<|im_end|>]\n");
    assert_string_equal(shown(HEADED, TWO_TURNS, &users),
                        "<|im_start|>user\n[a<|im_end|>]\n" B "b<|im_end|>\n<|im_start|>user\n[c<|im_end|>]\n" B
                        "d<|im_end|>\n");
    assert_string_equal(shown(BARE, "[" SAID("user", "a") "," SAID("assistant", "b") "]", &inputs),
                        "[[Q]a[/Q] b <|endoftext|>]");
    assert_string_equal(shown(HEADED,
                              "[{\"role\":\"user\",\"content\":\"a\",\"train\":true},"
                              "{\"role\":\"assistant\",\"content\":\"b\",\"train\":false}]",
                              &DEFAULT),
                        "<|im_start|>user\n[a<|im_end|>]\n" B "b<|im_end|>\n");
}

#define CALL "{\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":{\"x\":1}}}"

static void calls_and_reasoning(void **state) {
    (void)state;
    /* a call is trained whole, with the template's text around it */
    assert_string_equal(
        shown(HEADED,
              "[" SAID("user", "a") ",{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[" CALL "," CALL
                                    "]}," SAID("tool", "7") "," SAID("assistant", "b") "]",
              &DEFAULT),
        A "<|im_end|>\n" B
          "[<call>f({\"x\": 1})</call><call>f({\"x\": 1})</call><|im_end|>]\n<|im_start|>tool\n7<|im_end|>\n" B
          "[b<|im_end|>]\n");
    assert_string_equal(
        shown(HEADED, "[" SAID("user", "a") ",{\"role\":\"assistant\",\"content\":\"see\",\"tool_calls\":[" CALL "]}]",
              &DEFAULT),
        A "<|im_end|>\n" B "[see<call>f({\"x\": 1})</call><|im_end|>]\n");
    assert_string_equal(
        shown(HEADED, "[" SAID("user", "a") ",{\"role\":\"assistant\",\"content\":\"b\",\"reasoning\":\"why\"}]",
              &DEFAULT),
        A "<|im_end|>\n" B "[<think>\nwhy\n</think>\nb<|im_end|>]\n");
    /* members that are null are as if they were not there */
    assert_string_equal(
        shown(HEADED,
              "[" SAID("user", "a") ",{\"role\":\"assistant\",\"content\":null,\"reasoning\":null,\"tool_calls\":"
                                    "[" CALL "]}]",
              &DEFAULT),
        A "<|im_end|>\n" B "[<call>f({\"x\": 1})</call><|im_end|>]\n");
}

static void refused(void **state) {
    (void)state;
    assert_non_null(strstr(shown(ENDLESS, TWO_TURNS, &DEFAULT), "messages[1]: the chat template writes no end token"));
    assert_string_equal(
        shown(ENDLESS, "[" SAID("user", "a") "," SAID("assistant", "b") "]", &(ChatTraining){.eos = CHAT_EOS_NONE}),
        "user: a\nassistant: [b]\n");
    assert_non_null(strstr(
        shown(REWRITING, "[" SAID("user", "a") ",{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[" CALL "]}]",
              &DEFAULT),
        "messages[1]: the chat template leaves out its tool_calls"));
    assert_string_equal(shown(STRICT, "[" SAID("assistant", "b") "]", &DEFAULT), "the user speaks first");
    assert_non_null(strstr(shown(HEADED, "[{\"content\":\"b\"}]", &DEFAULT), "messages[0].role: got nothing"));
    assert_non_null(strstr(shown(HEADED, "[\"b\"]", &DEFAULT), "messages[0]: got"));
    assert_non_null(strstr(shown(HEADED, "{}", &DEFAULT), "messages: got"));
    assert_non_null(
        strstr(shown(HEADED, "[{\"role\":\"user\",\"content\":\"b\",\"train\":1}]", &DEFAULT), "messages[0].train"));
    /* for looking at, the same rows are shown */
    assert_string_equal(
        shown(ENDLESS, "[" SAID("user", "a") "," SAID("assistant", "b") "]", &(ChatTraining){.lenient = true}),
        "user: a\nassistant: [b]\n");
}

static void ids(void **state) {
    Err e;
    Chat *chat;
    Json *m;
    ChatText text;
    int32_t *got;
    uint8_t *trained;
    size_t n;
    char *back;
    (void)state;
    ASSERT_OK(chat_open(arena, "test", (TokenText){HEADED, strlen(HEADED)}, tokenizer, 0, &chat, &e), e);
    ASSERT_OK(json_parse(arena, "messages", TWO_TURNS, strlen(TWO_TURNS), &m, &e), e);
    ASSERT_OK(chat_render(chat, arena, &(ChatRow){.messages = m}, &DEFAULT, &text, &e), e);
    ASSERT_OK(chat_encode(chat, arena, &text, &got, &trained, &n, &e), e);
    ASSERT_OK(tokenizer_decode(tokenizer, arena, got, n, false, &back, &(size_t){0}, &e), e);
    assert_string_equal(back, text.text);
    int runs = 0;
    for (size_t i = 0; i < n; i++) runs += trained[i] != 0 && (i == 0 || trained[i - 1] == 0);
    assert_int_equal(runs, 2);
    for (size_t i = 0; i + 1 < n; i++) /* every trained run ends in an end token */
        if (trained[i] != 0 && trained[i + 1] == 0) assert_true(tokenizer_is_end(tokenizer, got[i]));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(turns), cmocka_unit_test(options),
                                       cmocka_unit_test(calls_and_reasoning), cmocka_unit_test(refused),
                                       cmocka_unit_test(ids)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
