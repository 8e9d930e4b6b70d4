/* t_chat_turns.c: templates that write turns in unusual ways: what is trained there, shown in [brackets], what is refused, where BOS
 * is not doubled, and which of a model's several templates a conversation gets. */
#include "tests/support/support.h"

#include "base/buf.h"
#include "base/file.h"
#include "data/chat.h"
#include "tests/train/byte_tokenizer.h"
#include "train/tokenizer_load.h"

#include <string.h>

static Arena *arena;
static Tokenizer *tokenizer;

static int setup(void **state) {
    static const char *const ENDS[] = {"<end>", "<call>", "<|user|>"};
    Err e;
    (void)state;
    arena = support_arena();
    ASSERT_OK(byte_tokenizer_open(arena, &(ByteTokenizer){"<s>", true, 3, (const char **)(uintptr_t)ENDS, 0, NULL},
                                  &tokenizer, &e),
              e);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    tokenizer_close(tokenizer);
    arena_close(arena);
    return 0;
}

static Status render(const char *source, const char *messages, const ChatTraining *how, Chat **chat, ChatText *text,
                     Err *e) {
    Json *m;
    ASSERT_OK(chat_open(arena, "test", (TokenText){source, strlen(source)}, tokenizer, 0, chat, e), *e);
    ASSERT_OK(json_parse(arena, "messages", messages, strlen(messages), &m, e), *e);
    return chat_render(*chat, arena, &(ChatRow){.messages = m}, how, text, e);
}

/* The text with the trained parts in brackets, or the error. */
static const char *shown_as(const char *source, const char *messages, const ChatTraining *how) {
    Err e;
    Chat *chat;
    ChatText t;
    Buf b = {.arena = arena};
    size_t at = 0;
    char *copy;
    if (render(source, messages, how, &chat, &t, &e) != OK) {
        Err none;
        ASSERT_OK(arena_strdup(arena, e.message, &copy, &none), none);
        return copy;
    }
    for (size_t i = 0; i < t.n_trained; i++) {
        ASSERT_OK(buf_printf(&b, &e, "%.*s[", (int)(t.trained[i].begin - at), t.text + at), e);
        ASSERT_OK(
            buf_printf(&b, &e, "%.*s]", (int)(t.trained[i].end - t.trained[i].begin), t.text + t.trained[i].begin), e);
        at = t.trained[i].end;
    }
    ASSERT_OK(buf_printf(&b, &e, "%.*s", (int)(t.len - at), t.text + at), e);
    return b.data;
}

static const char *shown(const char *source, const char *messages) {
    return shown_as(source, messages, &(ChatTraining){.eos = CHAT_EOS_TURN});
}

#define EACH "{% for m in messages %}"
#define PLAIN EACH "<{{ m.role }}>{{ m.content }}<end>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
#define THINKS PLAIN "{% if add_generation_prompt %}<think>\n{% endif %}"
#define SAID(role, text) "{\"role\":\"" role "\",\"content\":\"" text "\"}"
#define CALL(name, x) "{\"type\":\"function\",\"function\":{\"name\":\"" name "\",\"arguments\":{\"x\":\"" x "\"}}}"
#define CALLS(list) "{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[" list "]}"

static void headers(void **state) {
    (void)state;
    /* the generation prompt reaches into a content that begins as it ends */
    assert_string_equal(shown(THINKS, "[" SAID("user", "u") "," SAID("assistant", "<think>\\nr</think>a") "]"),
                        "<user>u<end><assistant><think>\n[r</think>a<end>]");
    assert_string_equal(shown(THINKS, "[" SAID("user", "u") "," SAID("assistant", "a") "]"),
                        "<user>u<end><assistant>[a<end>]");
    assert_string_equal(shown(THINKS, "[" SAID("user", "u") "," SAID("assistant", "") "]"),
                        "<user>u<end><assistant>[<end>]");
    /* a call or reasoning comes first, where the prompt holds more than the text: back to the last tag both have */
    static const char FIRST[] =
        EACH "<{{ m.role }}>{% if m.reasoning_content %}<thoughts>{{ m.reasoning_content }}</thoughts>{% endif %}"
             "{% for c in m.tool_calls or [] %}<tool>{{ c.function.name }}</tool>{% endfor %}{{ m.content }}<end>"
             "{% endfor %}{% if add_generation_prompt %}<assistant><think>\n{% endif %}";
    assert_string_equal(shown(FIRST, "[" SAID("user", "u") "," CALLS(CALL("f", "x")) "]"),
                        "<user>u<end><assistant>[<tool>f</tool><end>]");
    assert_string_equal(
        shown(FIRST, "[" SAID("user", "u") ",{\"role\":\"assistant\",\"content\":\"a\",\"reasoning_content\":\"r\"}]"),
        "<user>u<end><assistant>[<thoughts>r</thoughts>a<end>]");
    /* the same where content stands in a tag of its own, so that its place says nothing */
    static const char TAGGED[] = EACH
        "<{{ m.role }}>{% if m.tool_calls %}<tool>{{ m.tool_calls[0].function.name }}</tool>{% else %}"
        "<text>{{ m.content }}{% endif %}<end>{% endfor %}{% if add_generation_prompt %}<assistant><think>\n{% endif %}";
    assert_string_equal(shown(TAGGED, "[" SAID("user", "u") "," CALLS(CALL("f", "x")) "]"),
                        "<user><text>u<end><assistant>[<tool>f</tool><end>]");
    /* no generation prompt at all: from where content would begin */
    static const char UNASKED[] =
        EACH "<{{ m.role }}>{% for c in m.tool_calls or [] %}<tool>{{ c.function.name }}</tool>{% endfor %}"
             "{{ m.content }}<end>{% endfor %}";
    assert_string_equal(shown(UNASKED, "[" SAID("user", "") "," CALLS(CALL("f", "x")) "]"),
                        "<user><end><assistant>[<tool>f</tool><end>]");
    /* an answer without header, behind what closes the result before it; a call that comes in its place is trained whole */
    static const char BARE[] =
        "{% set ns = namespace(tool=false) %}" EACH
        "{% if m.role == 'user' %}<user>{{ m.content }}<assistant>{% elif m.role == 'tool' %}{% set ns.tool = true %}"
        "<result>{{ m.content }}</result>{% elif m.tool_calls %} <tool>{{ m.tool_calls[0].function.name }}</tool><end>"
        "{% else %}{% if ns.tool %}</results>{% endif %}{{ m.content }}<end>{% endif %}{% endfor %}"
        "{% if ns.tool %}</results>{% endif %}";
    assert_string_equal(shown(BARE, "[" SAID("user", "u") "," SAID("tool", "r") "," CALLS(CALL("f", "x")) "]"),
                        "<user>u<assistant><result>r</result>[ <tool>f</tool><end>]</results>");
    /* empty messages of other roles */
    assert_string_equal(shown_as(PLAIN, "[" SAID("user", "") "," SAID("assistant", "a") "]",
                                 &(ChatTraining){.roles = "user", .eos = CHAT_EOS_TURN}),
                        "<user>[<end>]<assistant>a<end>");
    assert_string_equal(
        shown_as(PLAIN, "[" SAID("user", "") "," SAID("assistant", "a") "]", &(ChatTraining){.eos = CHAT_EOS_ALL}),
        "<user>[<end>]<assistant>[a<end>]");
    /* a role is its whole name */
    assert_string_equal(shown_as(PLAIN, "[" SAID("user", "u") "," SAID("user2", "v") "," SAID("assistant", "a") "]",
                                 &(ChatTraining){.roles = "user, tool", .eos = CHAT_EOS_TURN}),
                        "<user>[u<end>]<user2>v<end><assistant>a<end>");
}

static void end_tokens(void **state) {
    (void)state;
    /* an end token counts where the template writes it, not in a name or in another's text */
    static const char NAMED[] = EACH "<{{ m.role }}>{{ m.content }}({{ m.name }}){% if m.role != 'user' %}<end>"
                                     "{% endif %}{% endfor %}";
    assert_string_equal(
        shown(NAMED, "[" SAID("user", "u") ",{\"role\":\"assistant\",\"content\":\"a\",\"name\":\"n<end>\"}]"),
        "<user>u()<assistant>[a(n<end>)<end>]");
    /* what comes between the text and the end token is trained, also where the end token is not */
    static const char CLOSED[] = EACH "<{{ m.role }}><t>{{ m.content }}</t><end>\n{% endfor %}";
    assert_string_equal(shown(CLOSED, "[" SAID("user", "u") "," SAID("assistant", "a") "]"),
                        "<user><t>u</t><end>\n<assistant><t>[a</t><end>]\n");
    assert_string_equal(
        shown_as(CLOSED, "[" SAID("user", "u") "," SAID("assistant", "a") "]", &(ChatTraining){.eos = CHAT_EOS_NONE}),
        "<user><t>u</t><end>\n<assistant><t>[a</t>]<end>\n");
    /* a role's name may be part of it */
    static const char GLM[] = EACH "<|{{ m.role }}|>{{ m.content }}{% endfor %}";
    assert_string_equal(shown(GLM, "[" SAID("user", "u") "," SAID("assistant", "a") "," SAID("user", "v") "]"),
                        "<|user|>u<|assistant|>[a<|user|>]v");
    /* the end token of an empty message that follows is not this one's */
    static const char OPEN[] =
        EACH "<{{ m.role }}>{{ m.content }}{% if m.role == 'user' %}<end>{% endif %}{% endfor %}";
    assert_non_null(strstr(shown(OPEN, "[" SAID("user", "u") "," SAID("assistant", "a") "," SAID("user", "") "]"),
                           "messages[1]: the chat template writes no end token"));
    assert_non_null(strstr(shown(OPEN, "[" SAID("user", "u") "," SAID("assistant", "a") "," SAID("user", "v") "]"),
                           "messages[1]: the chat template writes no end token"));
    /* but one that is written between turns only is this one's */
    static const char BETWEEN[] =
        EACH "<{{ m.role }}>{{ m.content }}{% if not loop.last %}<end>{% endif %}{% endfor %}";
    assert_string_equal(shown(BETWEEN, "[" SAID("user", "u") "," SAID("assistant", "a") "," SAID("user", "") "]"),
                        "<user>u<end><assistant>[a<end>]<user>");
    /* also where what follows is left out, as in the conversation that ends with the turn */
    static const char ONLY[] =
        EACH "{% if m.role != 'user' or loop.first %}<{{ m.role }}>{{ m.content }}<end>{% endif %}"
             "{% endfor %}";
    assert_string_equal(shown(ONLY, "[" SAID("user", "u") "," SAID("assistant", "a") "," SAID("user", "") "]"),
                        "<user>u<end><assistant>[a<end>]");
}

static void torn(void **state) {
    (void)state;
    /* the function's name before its result is no part of the call's turn */
    static const char ECHO[] =
        "{% set ns = namespace(n='') %}" EACH
        "{% if m.role == 'tool' %}<result>{{ ns.n }}:{{ m.content }}<end>{% else %}"
        "<{{ m.role }}>{% for c in m.tool_calls or [] %}{% set ns.n = c.function.name %}{{ c.function.name }}()<call>"
        "{% endfor %}{{ m.content }}{% if not m.tool_calls %}<end>{% endif %}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}";
    assert_string_equal(shown(ECHO, "[" SAID("user", "u") "," CALLS(CALL("f", "x")) "," SAID("tool", "r") "," SAID(
                                        "assistant", "a") "]"),
                        "<user>u<end><assistant>[f()<call>]<result>f:r<end><assistant>[a<end>]");
    static const char LATER[] =
        EACH "{% if m.tool_calls %}<assistant>{{ m.tool_calls[0].function.name }}{{ messages[loop.index].content }}"
             "{{ m.content }}<end>{% elif m.role != 'tool' %}<{{ m.role }}>{{ m.content }}<end>{% endif %}{% endfor %}";
    assert_non_null(
        strstr(shown(LATER, "[" SAID("user", "u") ",{\"role\":\"assistant\",\"content\":\"a\",\"tool_calls\":[" CALL(
                                "f", "x") "]}," SAID("tool", "r") "]"),
               "messages[1]: the chat template writes messages[2] in the middle of it"));
    /* a part of blanks that the template strips is not left out; one that says something is */
    static const char STRIPPED[] =
        EACH "<{{ m.role }}>{% for p in m.content %}{{ p.text | trim }}{% endfor %}<end>{% endfor %}"
             "{% if add_generation_prompt %}<assistant>{% endif %}";
#define PART(role, key, text) "{\"role\":\"" role "\",\"content\":[{\"type\":\"text\",\"" key "\":\"" text "\"}]}"
    assert_string_equal(shown(STRIPPED, "[" PART("user", "text", "u") "," PART("assistant", "text", " \\n") "]"),
                        "<user>u<end><assistant>[<end>]");
    assert_non_null(strstr(shown(STRIPPED, "[" PART("user", "text", "u") "," PART("assistant", "thought", "a") "]"),
                           "messages[1]: the chat template leaves out its content"));
    static const char TWICE[] = EACH "<{{ m.role }}>{{ m.content }}<end>{% endfor %}{{ messages[1].content }}";
    assert_non_null(strstr(shown(TWICE, "[" SAID("user", "u") "," SAID("assistant", "a") "," SAID("user", "v") "]"),
                           "messages[1]: the chat template writes its content twice"));
    static const char ONE_CALL[] = EACH "<{{ m.role }}>{{ m.content }}{% if m.tool_calls %}"
                                        "{{ m.tool_calls[0].function.name }}{% endif %}<end>{% endfor %}";
    assert_non_null(strstr(shown(ONE_CALL, "[" SAID("user", "u") "," CALLS(CALL("f", "x") "," CALL("g", "y")) "]"),
                           "messages[1]: the chat template leaves out its tool_calls[1]"));
    static const char HIDDEN[] = EACH
        "{% if m.tool_calls %}{{ m.role }} calls {{ m.tool_calls[0].function.name }}<end>{% elif m.role == 'user' %}"
        "user: {{ m.content }}<end>{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ raise_exception('never') }}{% endif %}";
    assert_non_null(strstr(shown(HIDDEN, "[" SAID("user", "u") "," CALLS(CALL("f", "x")) "]"),
                           "messages[1]: where it begins in the text cannot be told"));
}

/* A prompt that ends with another message's text says nothing of where an answer begins. */
static void other_prompts(void **state) {
    (void)state;
    static const char QUOTES[] =
        EACH "<{{ m.role }}>{% if m.tool_calls %}<tool>{{ m.tool_calls[0].function.name }}</tool><end>{% else %}"
             "<text>{{ m.content }}:{% endif %}{% endfor %}"
             "{% if add_generation_prompt %}<assistant>{{ messages[0].content }}:{% endif %}";
    assert_non_null(strstr(shown(QUOTES, "[" SAID("user", "s") "," SAID("user", "u") "," CALLS(CALL("f", "x")) "]"),
                           "messages[2]: where it begins in the text cannot be told"));
}

static size_t n_bos(const char *source) {
    Err e;
    Chat *chat;
    ChatText t;
    int32_t *ids;
    uint8_t *marks;
    size_t n, count = 0;
    ASSERT_OK(render(source, "[" SAID("user", "<s>u") "," SAID("assistant", "a") "]",
                     &(ChatTraining){.eos = CHAT_EOS_TURN}, &chat, &t, &e),
              e);
    ASSERT_OK(chat_encode(chat, arena, &t, &ids, &marks, &n, &e), e);
    for (size_t i = 0; i < n; i++) count += ids[i] == tokenizer_bos(tokenizer);
    return count - 1; /* but for the one in the text */
}

static void bos(void **state) {
    (void)state;
    assert_int_equal(n_bos(PLAIN), 1);
    assert_int_equal(n_bos("{{ bos_token }}" PLAIN), 1);
    assert_int_equal(n_bos("\n\n{{ bos_token }}" PLAIN), 1);
    assert_int_equal(n_bos("<system>{{ bos_token }}" PLAIN), 1);
}

/* ---- several templates -------------------------------------------------------------------------------------------------- */

static const char TOKENIZER_JSON[] =
    "{\"added_tokens\":[{\"id\":0,\"content\":\"<end>\",\"special\":true}],\"model\":{\"type\":\"BPE\",\"vocab\":"
    "{\"<end>\":0,\"a\":1},\"merges\":[]}}";

static const char *rendered(const Tokenizer *t, bool tools) {
    Err e;
    Chat *chat;
    ChatText text;
    char *copy;
    Json *m, *list;
    Status st = chat_open_own(arena, "model", t, 0, &chat, &e);
    if (st == OK && chat == NULL) return "none";
    ASSERT_OK(json_parse(arena, "messages", "[]", 2, &m, &e), e);
    ASSERT_OK(json_parse(arena, "tools", "[]", 2, &list, &e), e);
    if (st == OK)
        st = chat_render_text(chat, arena, &(ChatRow){.messages = m, .tools = tools ? list : NULL}, &text, &e);
    if (st == OK) return text.text;
    Err none;
    ASSERT_OK(arena_strdup(arena, e.message, &copy, &none), none);
    return copy;
}

static void of_folder(const char *folder, const char *plain, const char *with_tools) {
    Err e;
    Tokenizer *t;
    ASSERT_OK(tokenizer_load(arena, folder, &t, &e), e);
    assert_non_null(strstr(rendered(t, false), plain));
    assert_non_null(strstr(rendered(t, true), with_tools));
    tokenizer_close(t);
}

static void put(const char *folder, const char *name, const char *text) {
    support_write(support_path(arena, folder, name), text, strlen(text));
}

static void named_templates(void **state) {
    char *folder = support_folder(arena);
    Hash128 before, after;
    Err e;
    (void)state;
    put(folder, "tokenizer.json", TOKENIZER_JSON);
    of_folder(folder, "none", "none");
    put(folder, "tokenizer_config.json", "{\"chat_template\":\"one\"}");
    of_folder(folder, "one", "one");
    put(folder, "tokenizer_config.json",
        "{\"chat_template\":[{\"name\":\"tool_use\",\"template\":\"two\"},{\"name\":\"default\",\"template\":\"one\"}]}");
    of_folder(folder, "one", "two");
    put(folder, "tokenizer_config.json",
        "{\"chat_template\":[{\"name\":\"tool_use\",\"template\":\"two\"},{\"name\":"
        "\"rag\",\"template\":\"three\"}]}");
    of_folder(folder, "no default chat template, only others by name: tool_use, rag", "tool_use, rag");
    /* tokens that the config names, as text or as an object, and those of its lists */
    put(folder, "tokenizer_config.json",
        "{\"add_bos_token\":true,\"image_token\":{\"content\":\"<i>\"},\"mask_token\":null,\"sep_token\":\"<s>\",\"token\":\"<t>\","
        "\"boi_token\":\"<a>\",\"extra_special_tokens\":{\"boi_token\":\"<b>\",\"ear\":\"<e>\"},\"chat_template\":"
        "\"{{ image_token }}{{ mask_token }}{{ sep_token }}{{ token }}{{ boi_token }}{{ ear }}{{ add_bos_token }}!\"}");
    of_folder(folder, "<i><s><b><e>!", "<i><s><b><e>!");
    put(folder, "chat_template.jinja", "four");
    of_folder(folder, "four", "four");
    ASSERT_OK(tokenizer_files_hash(arena, folder, &before, &e), e);
    ASSERT_OK(make_folders(support_path(arena, folder, "additional_chat_templates"), &e), e);
    put(folder, "additional_chat_templates/tool_use.jinja", "five");
    of_folder(folder, "four", "five");
    ASSERT_OK(tokenizer_files_hash(arena, folder, &after, &e), e);
    assert_memory_not_equal(&before, &after, sizeof before);
    ASSERT_OK(remove_tree(folder, &e), e);
}

/* A GGUF file of strings: type 8, lists of them 9. */
static void gguf_text(Buf *b, const char *s) {
    Err e;
    uint64_t n = strlen(s);
    ASSERT_OK(buf_add(b, &n, sizeof n, &e), e);
    ASSERT_OK(buf_add(b, s, n, &e), e);
}

static void gguf_member(Buf *b, const char *key, const char *const *values, uint64_t n) {
    Err e;
    const uint32_t string = 8, list = 9;
    gguf_text(b, key);
    if (n != 1) {
        ASSERT_OK(buf_add(b, &list, sizeof list, &e), e);
        ASSERT_OK(buf_add(b, &string, sizeof string, &e), e);
        ASSERT_OK(buf_add(b, &n, sizeof n, &e), e);
    } else
        ASSERT_OK(buf_add(b, &string, sizeof string, &e), e);
    for (uint64_t i = 0; i < n; i++) gguf_text(b, values[i]);
}

static void of_gguf(bool with_default, bool with_tools, const char *plain, const char *tools) {
    static const char *const TOKENS[] = {"a", "b", "ab", "abab"}, *const MERGES[] = {"a b", "ab ab"};
    Err e;
    Buf b = {.arena = arena};
    char *folder = support_folder(arena), *path = support_path(arena, folder, "model.gguf");
    const uint32_t version = 3;
    const uint64_t n_tensors = 0, n = (uint64_t)(4 + with_default + 2 * with_tools);
    ASSERT_OK(buf_add(&b, "GGUF", 4, &e), e);
    ASSERT_OK(buf_add(&b, &version, sizeof version, &e), e);
    ASSERT_OK(buf_add(&b, &n_tensors, sizeof n_tensors, &e), e);
    ASSERT_OK(buf_add(&b, &n, sizeof n, &e), e);
    gguf_member(&b, "general.architecture", (const char *const[]){"llama"}, 1);
    gguf_member(&b, "tokenizer.ggml.model", (const char *const[]){"gpt2"}, 1);
    gguf_member(&b, "tokenizer.ggml.tokens", TOKENS, 4);
    gguf_member(&b, "tokenizer.ggml.merges", MERGES, 2);
    if (with_default) gguf_member(&b, "tokenizer.chat_template", (const char *const[]){"one"}, 1);
    if (with_tools) {
        gguf_member(&b, "tokenizer.chat_templates", (const char *const[]){"rag", "tool_use"}, 2);
        gguf_member(&b, "tokenizer.chat_template.tool_use", (const char *const[]){"two"}, 1);
    }
    support_write(path, b.data, b.len);
    of_folder(path, plain, tools);
    ASSERT_OK(remove_tree(folder, &e), e);
}

static void named_templates_of_gguf(void **state) {
    (void)state;
    of_gguf(false, false, "none", "none");
    of_gguf(true, false, "one", "one");
    of_gguf(true, true, "one", "two");
    of_gguf(false, true, "only others by name: rag, tool_use", "rag, tool_use");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(headers),
                                       cmocka_unit_test(end_tokens),
                                       cmocka_unit_test(torn),
                                       cmocka_unit_test(other_prompts),
                                       cmocka_unit_test(bos),
                                       cmocka_unit_test(named_templates),
                                       cmocka_unit_test(named_templates_of_gguf)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
