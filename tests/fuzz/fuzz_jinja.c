/* fuzz_jinja.c: data/jinja.h. The input is a template, rendered with fixed variables under small limits. Of what comes out
 * the spans cover the text, every source is a string of the variables, the text is valid UTF-8. */
#include "tests/fuzz/fuzz.h"

#include "base/utf8.h"
#include "data/jinja.h"

#include <string.h>

static const char VARIABLES[] =
    "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi \\u00fc\\n\"},{\"role\":\"assistant\",\"content\":\"<t>x</t>\\n'q' \\\"d\\\"\",\"tool_calls\":"
    "[{\"function\":{\"name\":\"f\",\"arguments\":{\"x\":[1,2.5,null,true]}}}]}],\"tools\":null,\"add_generation_prompt\":true,\"bos_token\":\"<s>\","
    "\"s\":\"Hello World\",\"u\":\"\\u03a3\\u00df\\ud83d\\ude42\",\"i\":7,\"n\":-3,\"f\":2.5,\"l\":[3,1,2],\"ls\":[\"b\",\"A\"],\"d\":{\"a\":\"x\",\"b\":{\"c\":1}},\"e\":\"\",\"t\":true,\"no\":false,\"nil\":null,\"el\":[],\"w\":\" \\t p \\n\",\"lines\":\"a\\nb\\r\\nc\",\"q\":\"it's <b>&\\n\",\"num\":\"42\",\"items\":{\"items\":1},\"rows\":[{\"n\":\"x\",\"v\":2,\"g\":{\"k\":\"b\"}},{\"n\":\"Y\",\"v\":1}],\"fl\":[0.1,1e22,-0.0],\"under\":\"a_b \\u01c6 \\u00df\",\"html\":\"<a>&\",\"ctl\":\"\\u0001\\u200b\",\"tree\":[{\"n\":\"1\",\"c\":[{\"n\":\"2\",\"c\":[]}]}]}";

static void check_spans(const Buf *text, const JinjaSpans *s) {
    size_t at = 0;
    for (size_t i = 0; i < s->n_spans; i++) {
        CHECK(s->spans[i].begin == at && s->spans[i].end > at, "span %zu..%zu after %zu", s->spans[i].begin,
              s->spans[i].end, at);
        CHECK(i == 0 || s->spans[i].source != s->spans[i - 1].source, "two spans of one source at %zu", at);
        CHECK(s->spans[i].source == NULL || s->spans[i].source->type == JSON_STRING, "the source at %zu is no string",
              at);
        at = s->spans[i].end;
    }
    CHECK(at == text->len, "spans end at %zu of %zu", at, text->len);
    CHECK(text->len == 0 || utf8_valid_prefix(text->data, text->len) == text->len, "the text is not valid UTF-8");
    at = 0;
    for (size_t i = 0; i < s->n_generation; i++) {
        CHECK(s->generation[i].begin >= at && s->generation[i].end > s->generation[i].begin, "generation span %zu", i);
        at = s->generation[i].end;
    }
    CHECK(at <= text->len, "generation spans end at %zu of %zu", at, text->len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Arena *a = fuzz_arena();
    Buf text = {.arena = a};
    JinjaTemplate *t = NULL;
    JinjaSpans spans = {0};
    JinjaInput in = {.limits = {.steps = 100000, .output_bytes = 1 << 16, .memory_bytes = 1 << 23, .call_depth = 40},
                     .now = 1767225600};
    Json *variables;
    Err e = {0};
    CHECK(json_parse(a, "variables", VARIABLES, sizeof VARIABLES - 1, &variables, &e) == OK, "%s", e.message);
    in.variables = variables;
    if (!fuzz_result(a, jinja_parse(a, "input", (const char *)data, size, &t, &e), &e)) return 0;
    Status st = jinja_render(t, a, &in, &text, &spans, &e);
    if (st != OK) CHECK(spans.failure != JINJA_NO_FAILURE && spans.error.s != NULL, "no failure told: %s", e.message);
    if (spans.failure == JINJA_RAISED && spans.error.len == 0) return 0; /* an empty message is the template's own */
    if (fuzz_result(a, st, &e)) check_spans(&text, &spans);
    return 0;
}
