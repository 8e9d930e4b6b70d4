/* The template engine: goldens of Jinja2 (tests/golden_jinja), where each byte comes from, generation blocks, limits. */
#include "tests/support/support.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/utf8.h"
#include "data/jinja.h"

#include <stdio.h>
#include <string.h>

static Arena *arena;
static Json *golden;

static int setup(void **state) {
    Err e = {0};
    (void)state;
    arena = support_arena();
    ASSERT_OK(json_read(arena, LORAC_SOURCE_DIR "/tests/golden_jinja/jinja.json", 1 << 22, &golden, &e), e);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    arena_close(arena);
    return 0;
}

typedef struct Rendered {
    Status status;
    Buf text;
    JinjaSpans spans;
    Err e;
} Rendered;

static Rendered render(const char *source, size_t len, const JinjaInput *in) {
    Rendered out = {.text = {.arena = arena}};
    JinjaTemplate *t;
    out.status = jinja_parse(arena, "template", source, len, &t, &out.e);
    if (out.status == OK) out.status = jinja_render(t, arena, in, &out.text, &out.spans, &out.e);
    return out;
}

static Rendered render_text(const char *source, const char *variables) {
    Err e = {0};
    JinjaInput in = {0};
    Json *v;
    ASSERT_OK(json_parse(arena, "variables", variables, strlen(variables), &v, &e), e);
    in.variables = v;
    return render(source, strlen(source), &in);
}

static void check_cover(const Rendered *r, const char *source) {
    size_t at = 0;
    for (size_t i = 0; i < r->spans.n_spans; i++) {
        const JinjaSpan *s = &r->spans.spans[i];
        if (s->begin != at || s->end <= s->begin) fail_msg("%s: span %zu..%zu after %zu", source, s->begin, s->end, at);
        if (i > 0 && s->source == s[-1].source) fail_msg("%s: neighbours of one source at %zu", source, at);
        if (s->source != NULL) assert_int_equal(s->source->type, JSON_STRING);
        at = s->end;
    }
    if (at != r->text.len) fail_msg("%s: spans end at %zu of %zu", source, at, r->text.len);
}

/* ---- goldens ----------------------------------------------------------------------------------------------------- */

static size_t chars_before(const char *s, size_t end) {
    size_t n = 0;
    for (size_t i = 0; i < end; i++) n += ((uint8_t)s[i] & 0xC0) != 0x80;
    return n;
}

static void check_generation(const Rendered *r, const Json *wanted, const char *source) {
    if (r->spans.n_generation != (wanted != NULL ? wanted->n : 0))
        fail_msg("%s: %zu generation spans", source, r->spans.n_generation);
    for (size_t i = 0; i < r->spans.n_generation; i++) {
        const Json *pair = &wanted->list.items[i];
        assert_int_equal(chars_before(r->text.data, r->spans.generation[i].begin), pair->list.items[0].integer);
        assert_int_equal(chars_before(r->text.data, r->spans.generation[i].end), pair->list.items[1].integer);
    }
}

static void check_failure(const Rendered *r, const Json *c, const char *source) {
    static const char *const KINDS[] = {"parse", "raised", "runtime", "limit"};
    const char *kind = c->list.items[3].string.s;
    const JsonString wanted = c->list.items[4].string;
    if (r->status == OK) fail_msg("%s: %s expected, got the text %s", source, wanted.s, r->text.data);
    if (strcmp(KINDS[r->spans.failure], kind) != 0)
        fail_msg("%s: %s expected, got %s: %s", source, kind, KINDS[r->spans.failure], r->e.message);
    assert_int_equal(r->status, r->spans.failure == JINJA_RAISED ? ERR_DATA : ERR_FORMAT);
    if (strcmp(kind, "limit") == 0) return;
    const char *got = r->spans.failure != JINJA_NO_FAILURE ? r->spans.error.s : r->e.message;
    if (strcmp(got, wanted.s) != 0) fail_msg("%s:\n'%s' expected, got\n'%s'", source, wanted.s, got);
}

static void goldens(void **state) {
    (void)state;
    const Json *cases = json_get(golden, "cases");
    assert_true(cases->n > 1000);
    for (size_t i = 0; i < cases->n; i++) {
        const Json *c = &cases->list.items[i];
        const JsonString source = c->list.items[0].string;
        const JinjaInput in = {.variables = json_get(json_get(golden, "variables"), c->list.items[1].string.s),
                               .now = json_get(golden, "now")->integer};
        ArenaMark mark = arena_mark(arena);
        assert_non_null(in.variables);
        Rendered r = render(source.s, source.len, &in);
        if (c->list.items[2].type == JSON_NULL) {
            check_failure(&r, c, source.s);
        } else {
            const JsonString wanted = c->list.items[2].string;
            if (r.status != OK) fail_msg("%s: %s", source.s, r.e.message);
            if (r.text.len != wanted.len || (wanted.len > 0 && memcmp(r.text.data, wanted.s, wanted.len) != 0))
                fail_msg("%s:\n'%s' expected, got\n'%s'", source.s, wanted.s, r.text.data);
            check_cover(&r, source.s);
            check_generation(&r, c->n > 3 ? &c->list.items[3] : NULL, source.s);
        }
        arena_reset(arena, mark);
    }
}

/* All characters in another case, against Python's. */
static void cases_of_all_characters(void **state) {
    (void)state;
    Buf all = {.arena = arena};
    Err e = {0};
    char hex[SHA256_HEX_BYTES], four[4];
    for (uint32_t cp = 1; cp < 0x110000; cp++) {
        if (cp >= 0xD800 && cp < 0xE000) continue;
        ASSERT_OK(buf_add(&all, four, (size_t)utf8_encode(cp, four), &e), e);
        ASSERT_OK(buf_putc(&all, '\n', &e), e);
    }
    JsonString key = {.s = "a", .len = 1};
    Json leaf = {.type = JSON_STRING, .string = {.s = all.data, .len = all.len}};
    Json variables = {.type = JSON_OBJECT, .n = 1, .list = {.items = &leaf, .keys = &key}};
    const JinjaInput in = {.variables = &variables};
    const Json *sums = json_get(golden, "case");
    for (size_t i = 0; i < sums->n; i++) {
        char source[64];
        snprintf(source, sizeof source, "{{ a.%s() }}", sums->list.keys[i].s);
        Rendered r = render(source, strlen(source), &in);
        ASSERT_OK(r.status, r.e);
        check_cover(&r, source);
        assert_int_equal(r.spans.n_spans, 1);
        sha256_hex(r.text.data, r.text.len, hex);
        assert_string_equal(hex, sums->list.items[i].string.s);
    }
}

/* ---- sources ----------------------------------------------------------------------------------------------------- */

/* Each byte of the output as the first letter of its variable's name, '.' for the template. */
static const char *mask(const Rendered *r, const Json *variables) {
    char *out;
    Err e = {0};
    ASSERT_OK(arena_alloc(arena, r->text.len + 1, 1, &out, &e), e);
    memset(out, '.', r->text.len);
    for (size_t i = 0; i < r->spans.n_spans; i++) {
        const JinjaSpan *s = &r->spans.spans[i];
        for (size_t k = 0; k < variables->n; k++) {
            const Json *v = &variables->list.items[k];
            bool own = v == s->source;
            for (size_t j = 0; v->type == JSON_ARRAY && j < v->n; j++) own = own || &v->list.items[j] == s->source;
            if (own) memset(out + s->begin, variables->list.keys[k].s[0], s->end - s->begin);
        }
    }
    return out;
}

static void sources(void **state) {
    (void)state;
    static const char VARIABLES[] =
        "{\"a\":\" ab\\tcd \",\"b\":\"é\\\"x'\",\"c\":\"<t>q</t>\\n\\nans\",\"l\":[\"u\",\"v w\"],\"n\":5}";
    static const struct {
        const char *template, *text, *mask;
    } CASES[] = {
        {"x{{ a }}y", "x ab\tcd y", ".aaaaaaa."},
        {"{{ a|trim }}", "ab\tcd", "aaaaa"},
        {"{{ a.strip() ~ '-' ~ b }}", "ab\tcd-é\"x'", "aaaaa.bbbbb"},
        {"{{ a + b }}", " ab\tcd é\"x'", "aaaaaaabbbbb"},
        {"{{ b[0] }}{{ b[1:] }}{{ b[::-1] }}", "é\"x''x\"é", "bbbbbbbbbb"},
        {"{{ a.split() }}", "['ab', 'cd']", ".aaaa..aaaa."},
        {"{{ a.split()|join('+') }}", "ab+cd", "aa.aa"},
        {"{{ c.split('</t>')[-1].lstrip('\\n') }}", "ans", "ccc"},
        {"{{ c.split('</t>')[0].split('<t>')[-1] }}!", "q!", "c."},
        {"{{ a|replace('b', 'XX') }}", " aXX\tcd ", "aa..aaaa"},
        {"{{ a|replace('b', b) }}", " aé\"x'\tcd ", "aabbbbbaaaa"},
        {"{{ a|upper }}{{ b|title }}", " AB\tCD É\"x'", "aaaaaaabbbbb"},
        {"{{ a|capitalize }}", " ab\tcd ", "aaaaaaa"},
        {"{{ a|tojson }}", "\" ab\\tcd \"", ".aaaaaaaa."},
        {"{{ {'k': b, a: n}|tojson }}", "{\"k\": \"é\\\"x'\", \" ab\\tcd \": 5}", ".......bbbbbb....aaaaaaaa....."},
        {"{{ l|tojson }}", "[\"u\", \"v w\"]", "..l....lll.."},
        {"{{ l }}", "['u', 'v w']", ".lll..lllll."},
        {"{{ [b] }}", "['é\"x\\'']", ".bbbbbbbb."},
        {"{{ '%s|%5s' % (a, 'z') }}", " ab\tcd |    z", "aaaaaaa......"},
        {"{{ '{}-{:>4}'.format(a, l[0]) }}", " ab\tcd -   u", "aaaaaaa....l"},
        {"{{ '%s'|format(b) }}", "é\"x'", "bbbbb"},
        {"{% for x in l %}{{ x }},{% endfor %}", "u,v w,", "l.lll."},
        {"{% for x in l[1] %}[{{ x }}]{% endfor %}", "[v][ ][w]", ".l..l..l."},
        {"{% set x %}<{{ a }}>{% endset %}{{ x|trim }}{{ x[2:4] }}", "< ab\tcd >ab", ".aaaaaaa.aa"},
        {"{% macro m(x) %}({{ x }}){% endmacro %}{{ m(b) ~ m('q') }}", "(é\"x')(q)", ".bbbbb...."},
        {"{% macro m() %}[{{ caller() }}]{% endmacro %}{% call m() %}{{ l[0] }}{% endcall %}", "[u]", ".l."},
        {"{% filter upper %}t{{ l[1] }}{% endfilter %}", "TV W", ".lll"},
        {"{{ 'x\\ny'|indent(2) }}{{ c|indent(1) }}", "x\n  y<t>q</t>\n\n ans", ".....cccccccc...ccc"},
        {"{{ a|center(9) }}", "  ab\tcd  ", ".aaaaaaa."},
        {"{{ b|e }}", "é&#34;x&#39;", "bbbbbbbbbbbbb"},
        {"{{ (b|safe) + a }}", "é\"x' ab\tcd ", "bbbbbaaaaaaa"},
        {"{{ n }}{{ n ~ a[1] }}", "55a", "..a"},
        {"{{ l|map('upper')|join }}{{ l|sort(reverse=true)|first }}", "UV Wv w", "lllllll"},
        {"{% set ns = namespace(x='') %}{% for y in l %}{% set ns.x = ns.x + y %}{% endfor %}{{ ns.x }}", "uv w",
         "llll"},
        {"{{ a.partition('b')[2] }}{{ c.splitlines()[2] }}", "\tcd ans", "aaaaccc"},
        {"{{ a|list|join('.') }}", " .a.b.\t.c.d. ", "a.a.a.a.a.a.a"},
        {"{{ a * 2 }}{{ 'z' * 2 }}", " ab\tcd  ab\tcd zz", "aaaaaaaaaaaaaa.."},
        {"{{ b|urlencode }}", "%C3%A9%22x%27", "bbbbbbbbbbbbb"},
        {"{{ a|truncate(5, true, '..', 0) }}", " ab..", "aaa.."},
        {"{{ b ~ '' }}{{ undefinedname|default(b) }}", "é\"x'é\"x'", "bbbbbbbbbb"},
    };
    Err e = {0};
    Json *variables;
    ASSERT_OK(json_parse(arena, "variables", VARIABLES, strlen(VARIABLES), &variables, &e), e);
    const JinjaInput in = {.variables = variables};
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        Rendered r = render(CASES[i].template, strlen(CASES[i].template), &in);
        if (r.status != OK) fail_msg("%s: %s", CASES[i].template, r.e.message);
        check_cover(&r, CASES[i].template);
        assert_string_equal(r.text.data, CASES[i].text);
        if (strcmp(mask(&r, variables), CASES[i].mask) != 0)
            fail_msg("%s\n%s\n%s expected, got\n%s", CASES[i].template, CASES[i].text, CASES[i].mask,
                     mask(&r, variables));
    }
}

/* Of what is printed as it is, each span is the leaf itself. */
static void leaves_are_found_again(void **state) {
    (void)state;
    Rendered r = render_text(
        "{% for m in messages %}<{{ m.role }}>{{ m.content }}{{ '\\n' }}{% endfor %}",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"Grüße\"},{\"role\":\"user\",\"content\":\"x\\ny\"}]}");
    size_t found = 0;
    ASSERT_OK(r.status, r.e);
    check_cover(&r, "messages");
    for (size_t i = 0; i < r.spans.n_spans; i++) {
        const JinjaSpan *s = &r.spans.spans[i];
        if (s->source == NULL) continue;
        assert_int_equal(s->end - s->begin, s->source->string.len);
        assert_memory_equal(r.text.data + s->begin, s->source->string.s, s->source->string.len);
        found++;
    }
    assert_int_equal(found, 4);
}

/* ---- generation blocks, failures, questions ------------------------------------------------------------------------ */

static void generation_blocks(void **state) {
    (void)state;
    Rendered r = render_text(
        "{% macro m(x) %}[{% generation %}{{ x }}!{% endgeneration %}]{% endmacro %}{{ m('a') }}{{ m('b')|upper }}",
        "{}");
    ASSERT_OK(r.status, r.e);
    assert_string_equal(r.text.data, "[a!][B!]");
    assert_int_equal(r.spans.n_generation, 2);
    assert_int_equal(r.spans.generation[0].begin, 1);
    assert_int_equal(r.spans.generation[0].end, 3);
    assert_int_equal(r.spans.generation[1].begin, 5);
    assert_int_equal(r.spans.generation[1].end, 7);
    Rendered bad = render_text("{% generation %}{% generation %}{% endgeneration %}{% endgeneration %}", "{}");
    assert_int_equal(bad.status, ERR_FORMAT);
}

static void what_a_template_mentions(void **state) {
    (void)state;
    Err e = {0};
    JinjaTemplate *t;
    const char *source = "{% generation %}{{ a.b }}{{ x['y'] }}{% endgeneration %}";
    ASSERT_OK(jinja_parse(arena, "t", source, strlen(source), &t, &e), e);
    assert_true(jinja_has_generation(t));
    assert_true(jinja_mentions(t, "a") && jinja_mentions(t, "x"));
    assert_false(jinja_mentions(t, "b") || jinja_mentions(t, "y"));
}

static void failures_say_where(void **state) {
    (void)state;
    Rendered r = render_text("a\n{% if true %}\n{{ raise_exception('no\\nway') }}\n{% endif %}", "{}");
    assert_int_equal(r.status, ERR_DATA);
    assert_int_equal(r.spans.failure, JINJA_RAISED);
    assert_int_equal(r.spans.line, 3);
    assert_string_equal(r.spans.error.s, "no\nway");
    assert_string_equal(r.e.message, "no way");
    r = render_text("{{ raise_exception('\\x00a') }}", "{}");
    assert_string_equal(r.e.message, " a");
    assert_int_equal(r.spans.error.len, 2);
    r = render_text("a\n\n{{ x.y.z }}", "{\"x\":{}}");
    assert_int_equal(r.status, ERR_FORMAT);
    assert_int_equal(r.spans.line, 3);
    assert_string_equal(r.spans.error.s, "'dict object' has no attribute 'y'");
    r = render_text("\xff", "{}");
    assert_int_equal(r.status, ERR_FORMAT);
    assert_non_null(strstr(r.e.message, "UTF-8"));
}

/* ---- limits ------------------------------------------------------------------------------------------------------ */

static void limits(void **state) {
    (void)state;
    static const struct {
        const char *template, *part;
    } CASES[] = {
        {"{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "too long: more than"},
        {"{{ 'a' * 10000000000 }}", "too long"},
        {"{{ [0] * 10000000000 }}", "too long"},
        {"{{ [[0] * 1000] * 1000 * 1000000 }}", "too long"},
        {"{{ 10 ** 10 ** 10 }}", "64 bits"},
        {"{{ 9223372036854775807 + 1 }}", "64 bits"},
        {"{{ -9223372036854775807 - 2 }}", "64 bits"},
        {"{{ 4611686018427387904 * 2 }}", "64 bits"},
        {"{{ '99999999999999999999'|int }}", "64 bits"},
        {"{{ 1e300|int }}", "64 bits"},
        {"{{ 'a'.center(10000000000) }}", "too long"},
        {"{{ 'a'|center(10000000000) }}", "too long"},
        {"{{ 'a'.zfill(10000000000) }}", "too long"},
        {"{{ 'a\\nb'|indent(10000000000) }}", "too long"},
        {"{{ [1]|tojson(indent=10000000000) }}", "too long"},
        {"{{ '%9999999d' % 1 }}", "too wide"},
        {"{{ '{:9999999}'.format(1) }}", "too wide"},
        {"{{ 'a\\tb'.expandtabs(10000000000) }}", "too long"},
        {"{% macro m(n) %}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}", "recursion"},
        {"{% macro m() %}{{ n() }}{% endmacro %}{% macro n() %}{{ m() }}{% endmacro %}{{ m() }}", "recursion"},
        {"{% macro m() %}{{ caller }}{% call m() %}{% endcall %}{% endmacro %}{{ m() }}", "recursion"},
        {"{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}", "recursion"},
        {"{% set ns = namespace(x='a') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}", "too "},
        {"{% set ns = namespace(x='a') %}{% for i in range(99) %}{% set ns.x = ns.x|replace('a', 'aa') %}{% endfor %}",
         "too "},
        {"{% set ns = namespace(x=['a']) %}{% for i in range(99) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
         "too "},
        {"{% set ns = namespace(x=['a']) %}{% for i in range(99) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x|tojson }}",
         "too "},
        {"{% set ns = namespace(x=[1], y=[1]) %}{% for i in range(90) %}{% set ns.x = [ns.x, ns.x] %}{% set ns.y = [ns.y, ns.y] %}{% endfor %}"
         "{{ ns.x == ns.y }}",
         "too long"},
        {"{% set ns = namespace(x=[]) %}{% for i in range(9999) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}",
         "recursion"},
        {"{% set ns = namespace(x=[], y=[]) %}{% for i in range(9999) %}{% set ns.x = [ns.x] %}{% set ns.y = [ns.y] %}{% endfor %}{{ ns.x == ns.y }}",
         "recursion"},
        {"{% set ns = namespace(x=()) %}{% for i in range(9999) %}{% set ns.x = (ns.x,) %}{% endfor %}{{ {ns.x: 1} }}",
         "recursion"},
        {"{{ range(99999)|batch(1000000000, 'x')|list }}", "too large"},
        {"{{ []|slice(1000000000)|list }}", "too many"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        Arena *before = arena;
        arena = support_arena();
        Rendered r = render_text(CASES[i].template, "{}");
        if (r.status == OK) fail_msg("%s gave %zu bytes", CASES[i].template, r.text.len);
        if (r.spans.failure != JINJA_LIMIT || strstr(r.e.message, CASES[i].part) == NULL)
            fail_msg("%s: %s", CASES[i].template, r.e.message);
        assert_true(arena_peak_bytes(arena) < 2 * (size_t)JINJA_MEMORY_BYTES);
        arena_close(arena);
        arena = before;
    }
}

static void own_limits(void **state) {
    (void)state;
    static const char SOURCE[] =
        "{% macro m(n) %}{% if n > 0 %}{{ m(n - 1) }}{% endif %}x{% endmacro %}{{ m(20) }}{% for i in range(50) %}{{ 'abc' * 9 }}{% endfor %}";
    static const struct {
        JinjaLimits limits;
        const char *part;
    } CASES[] = {{{.steps = 100}, "100 steps"},
                 {{.output_bytes = 1000}, "1000 bytes"},
                 {{.memory_bytes = 4000}, "4000 bytes"},
                 {{.call_depth = 10}, "recursion"}};
    JinjaInput in = {0};
    Rendered r = render(SOURCE, strlen(SOURCE), &in);
    ASSERT_OK(r.status, r.e);
    assert_int_equal(r.text.len, 21 + 50 * 27);
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        in.limits = CASES[i].limits;
        r = render(SOURCE, strlen(SOURCE), &in);
        ASSERT_FAILS(r.status, r.e, ERR_FORMAT, CASES[i].part);
        assert_int_equal(r.spans.failure, JINJA_LIMIT);
    }
}

/* n times open, a middle, n times close. */
static const char *nested(const char *open, const char *middle, const char *close, int n) {
    Buf b = {.arena = arena};
    Err e = {0};
    for (int i = 0; i < n; i++) ASSERT_OK(buf_puts(&b, open, &e), e);
    ASSERT_OK(buf_puts(&b, middle, &e), e);
    for (int i = 0; i < n; i++) ASSERT_OK(buf_puts(&b, close, &e), e);
    return b.data;
}

static void deep_sources(void **state) {
    (void)state;
    static const char *const PARTS[][3] = {
        {"{{ ", "1", " }}"},     {"(", "1", ")"},   {"[", "1", "]"},           {"{1:", "1", "}"},
        {"-", "1", ""},          {"not ", "1", ""}, {"", "1", " if 1 else 1"}, {"1 if 1 else ", "1", ""},
        {"", "a", ".b"},         {"", "a", "[0]"},  {"", "a", "()"},           {"", "a", "|upper"},
        {"", "a", " is string"}, {"", "1", "+1"},   {"", "1", "~1"},           {"f(", "1", ")"},
        {"", "1", " and 1"},     {"", "1", "**1"},  {"", "1", "<1"},           {"a|f(", "1", ")"}};
    static const char *const BLOCKS[][2] = {
        {"{% if 1 %}", "{% endif %}"},         {"{% for x in 'a' %}", "{% endfor %}"},
        {"{% macro m() %}", "{% endmacro %}"}, {"{% filter upper %}", "{% endfilter %}"},
        {"{% set x %}", "{% endset %}"},       {"{% if 0 %}{% elif 1 %}", "{% endif %}"},
        {"{% call m() %}", "{% endcall %}"},   {"{% with %}", "{% endwith %}"}};
    for (size_t i = 1; i < sizeof PARTS / sizeof PARTS[0]; i++) {
        const char *inner = nested(PARTS[i][0], PARTS[i][1], PARTS[i][2], 20000), *source;
        Err e = {0};
        char *whole;
        ASSERT_OK(arena_printf(arena, &whole, &e, "{{ %s }}", inner), e);
        source = whole;
        Rendered r = render_text(source, "{\"a\":\"x\"}");
        if (r.status != OK) assert_true(r.e.message[0] != 0);
    }
    for (size_t i = 0; i < sizeof BLOCKS / sizeof BLOCKS[0]; i++) {
        Rendered r = render_text(nested(BLOCKS[i][0], "x", BLOCKS[i][1], 20000), "{}");
        assert_int_equal(r.status, ERR_FORMAT);
        assert_non_null(strstr(r.e.message, "too deep"));
        r = render_text(nested(BLOCKS[i][0], "x", BLOCKS[i][1], 60), "{}");
        if (r.status != OK) assert_non_null(strstr(r.e.message, "undefined"));
    }
    Rendered r = render_text(nested("{% if 0 %}{% el", "if 1 %}x{% endif %}", "", 1), "{}");
    assert_string_equal(r.text.data, "x");
    r = render_text(nested("", "{% if 0 %}", "{% elif 0 %}", 5000), "{}");
    assert_int_equal(r.status, ERR_FORMAT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(goldens, setup, teardown),
        cmocka_unit_test_setup_teardown(cases_of_all_characters, setup, teardown),
        cmocka_unit_test_setup_teardown(sources, setup, teardown),
        cmocka_unit_test_setup_teardown(leaves_are_found_again, setup, teardown),
        cmocka_unit_test_setup_teardown(generation_blocks, setup, teardown),
        cmocka_unit_test_setup_teardown(what_a_template_mentions, setup, teardown),
        cmocka_unit_test_setup_teardown(failures_say_where, setup, teardown),
        cmocka_unit_test_setup_teardown(limits, setup, teardown),
        cmocka_unit_test_setup_teardown(own_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(deep_sources, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
