/* jinja_lines.c: renders JSON lines {"template", "variables", "now"} from stdin, for templates.py and the makers of goldens.
 *
 * One line of JSON each: {"text", "spans": [[begin, end, source or -1] ...], "generation": [[begin, end] ...]}, where source counts
 * the string leaves of the variables in order, or {"error", "kind": "raised" | "runtime" | "limit" | "parse", "line"}. */
#include "data/jinja.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int leaf_number(const Json *tree, const Json *leaf, int *n) {
    if (tree == leaf) return *n;
    if (tree->type == JSON_STRING) ++*n;
    for (uint32_t i = 0; tree->type >= JSON_ARRAY && i < tree->n; i++) {
        int found = leaf_number(&tree->list.items[i], leaf, n);
        if (found >= 0) return found;
    }
    return -1;
}

static Status put_error(Buf *b, Status st, const JinjaSpans *s, const Err *why, Err *e) {
    static const char *const KINDS[] = {"parse", "raised", "runtime", "limit"};
    const char *text = s->failure != JINJA_NO_FAILURE ? s->error.s : why->message;
    TRY(buf_printf(b, e, "{\"status\":%d,\"kind\":\"%s\",\"line\":%lld,\"error\":", (int)st, KINDS[s->failure],
                   (long long)s->line));
    TRY(json_put_string(b, text, s->failure != JINJA_NO_FAILURE ? s->error.len : strlen(text), e));
    return buf_puts(b, "}\n", e);
}

static Status put_result(Buf *b, const Json *variables, const Buf *text, const JinjaSpans *s, Err *e) {
    TRY(buf_puts(b, "{\"text\":", e));
    TRY(json_put_string(b, text->data != NULL ? text->data : "", text->len, e));
    TRY(buf_puts(b, ",\"spans\":[", e));
    for (size_t i = 0; i < s->n_spans; i++) {
        int n = 0;
        int source = s->spans[i].source != NULL ? leaf_number(variables, s->spans[i].source, &n) : -1;
        TRY(buf_printf(b, e, "%s[%zu,%zu,%d]", i > 0 ? "," : "", s->spans[i].begin, s->spans[i].end, source));
    }
    TRY(buf_puts(b, "],\"generation\":[", e));
    for (size_t i = 0; i < s->n_generation; i++)
        TRY(buf_printf(b, e, "%s[%zu,%zu]", i > 0 ? "," : "", s->generation[i].begin, s->generation[i].end));
    return buf_puts(b, "]}\n", e);
}

static Status one_line(Arena *a, const char *line, size_t len, Buf *out, Err *e) {
    Json *request;
    JinjaTemplate *t;
    JinjaSpans spans = {0};
    JsonString source;
    Buf text = {.arena = a};
    TRY(json_parse(a, "request", line, len, &request, e));
    TRY(json_want_string(request, "request", "template", &source, e));
    const Json *variables = json_get(request, "variables"), *now = json_get(request, "now");
    const JinjaInput in = {.variables = variables, .now = now != NULL ? now->integer : 0};
    Err why = {0};
    Status st = jinja_parse(a, "template", source.s, source.len, &t, &why);
    if (st == OK) st = jinja_render(t, a, &in, &text, &spans, &why);
    return st == OK ? put_result(out, variables, &text, &spans, e) : put_error(out, st, &spans, &why, e);
}

int main(void) {
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    while ((n = getline(&line, &cap, stdin)) > 0) {
        Arena *a;
        Err e = {0};
        if (arena_open(&a, "line", &e) != OK) return 1;
        Buf out = {.arena = a};
        Status st = one_line(a, line, (size_t)n, &out, &e);
        if (st != OK) printf("{\"error\":\"%s\",\"kind\":\"tool\"}\n", e.message);
        if (st == OK) fwrite(out.data, 1, out.len, stdout);
        fflush(stdout);
        arena_close(a);
    }
    free(line);
    return 0;
}
