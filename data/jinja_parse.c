/* jinja_parse.c: statements, and what both parsers need; the public jinja_parse.
 *
 * Follows Jinja2's parser and its errors. What Jinja2 finds only when it compiles (unknown filters outside of conditions,
 * break outside of loops) is found here as well. */
#include "data/jinja_internal.h"

#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>

static const Token *now(const Parser *p) { return &p->tokens[p->at]; }
static TokenType type_now(const Parser *p) { return now(p)->type; }

Status jj_parse_fail(Parser *p, int64_t line, const char *format, ...) {
    char *text;
    va_list args;
    TRY(arena_alloc(p->arena, ERR_MESSAGE_BYTES, 1, &text, p->e));
    va_start(args, format);
    vsnprintf(text, ERR_MESSAGE_BYTES, format, args);
    va_end(args);
    FAIL(p->e, ERR_FORMAT, "%s:%lld: %s", p->name, (long long)line, text);
}

const char *jj_token_text(Parser *p, const Token *t) {
    static const char *const NAMES[] = {[T_EOF] = "end of template",
                                        [T_DATA] = "template data / text",
                                        [T_VARIABLE_BEGIN] = "begin of print statement",
                                        [T_VARIABLE_END] = "end of print statement",
                                        [T_BLOCK_BEGIN] = "begin of statement block",
                                        [T_BLOCK_END] = "end of statement block",
                                        [T_NAME] = "name",
                                        [T_STRING] = "string",
                                        [T_INTEGER] = "integer",
                                        [T_FLOAT] = "float",
                                        [T_ERROR] = "error",
                                        [T_ADD] = "+",
                                        [T_SUB] = "-",
                                        [T_DIV] = "/",
                                        [T_FLOORDIV] = "//",
                                        [T_MUL] = "*",
                                        [T_MOD] = "%",
                                        [T_POW] = "**",
                                        [T_TILDE] = "~",
                                        [T_LBRACKET] = "[",
                                        [T_RBRACKET] = "]",
                                        [T_LPAREN] = "(",
                                        [T_RPAREN] = ")",
                                        [T_LBRACE] = "{",
                                        [T_RBRACE] = "}",
                                        [T_EQ] = "==",
                                        [T_NE] = "!=",
                                        [T_GT] = ">",
                                        [T_GE] = ">=",
                                        [T_LT] = "<",
                                        [T_LE] = "<=",
                                        [T_ASSIGN] = "=",
                                        [T_DOT] = ".",
                                        [T_COLON] = ":",
                                        [T_PIPE] = "|",
                                        [T_COMMA] = ",",
                                        [T_SEMICOLON] = ";"};
    char *text;
    if (t->type != T_NAME || t->s == NULL) return NAMES[t->type];
    return arena_strndup(p->arena, t->s, t->len < 200 ? t->len : 200, &text, p->e) == OK ? text : "name";
}

bool jj_is_name(const Token *t, const char *name) {
    return t->type == T_NAME && t->len == strlen(name) && memcmp(t->s, name, t->len) == 0;
}

Status jj_advance(Parser *p) {
    if (type_now(p) == T_EOF) return OK;
    p->at++;
    if (type_now(p) == T_ERROR) return jj_parse_fail(p, now(p)->line, "%s", now(p)->s);
    return OK;
}

static Status expected(Parser *p, const char *what) {
    if (type_now(p) == T_EOF) return jj_parse_fail(p, now(p)->line, "unexpected end of template, expected '%s'.", what);
    return jj_parse_fail(p, now(p)->line, "expected token '%s', got '%s'", what, jj_token_text(p, now(p)));
}

Status jj_expect(Parser *p, TokenType type) {
    Token wanted = {.type = type};
    if (type_now(p) != type) return expected(p, jj_token_text(p, &wanted));
    return jj_advance(p);
}

Status jj_expect_name(Parser *p, const char *name) {
    if (!jj_is_name(now(p), name)) return expected(p, name);
    return jj_advance(p);
}

Status jj_enter(Parser *p) {
    if (++p->depth > PARSE_DEPTH * 2) return jj_parse_fail(p, now(p)->line, "an expression is nested too deep");
    return OK;
}

Status jj_node(Parser *p, NodeKind kind, int64_t line, Node **out) {
    TRY(ARENA_NEW(p->arena, 1, *out, p->e));
    (*out)->kind = kind;
    (*out)->line = line;
    return OK;
}

Status jj_add_node(Parser *p, Node ***list, size_t *n, Node *node) {
    if ((*n & (*n - 1)) == 0) { /* the room is the next power of two */
        Node **more;
        TRY(ARENA_NEW(p->arena, *n == 0 ? 1 : 2 * *n, more, p->e));
        if (*n > 0) memcpy(more, *list, *n * sizeof *more);
        *list = more;
    }
    (*list)[(*n)++] = node;
    return OK;
}

static size_t bucket_of(const char *s, size_t len) {
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < len; i++) hash = (hash ^ (uint8_t)s[i]) * 16777619u;
    return hash % SYM_BUCKETS;
}

const Sym *jj_find_sym(const JinjaTemplate *t, const char *s, size_t len) {
    const Sym *sym = t->syms[bucket_of(s, len)];
    while (sym != NULL && (sym->str.len != len || memcmp(sym->str.s, s, len) != 0)) sym = sym->next;
    return sym;
}

Status jj_sym(Parser *p, const char *s, size_t len, Sym **out) {
    Sym **slot = &p->t->syms[bucket_of(s, len)];
    for (; *slot != NULL; slot = &(*slot)->next) {
        *out = *slot;
        if ((*slot)->str.len == len && memcmp((*slot)->str.s, s, len) == 0) return OK;
    }
    TRY(ARENA_NEW(p->arena, 1, *slot, p->e));
    *out = *slot;
    Str *str = &(*slot)->str;
    str->s = s;
    str->len = len;
    str->chars = jj_count_chars(s, len);
    str->one.end = len;
    str->spans = &str->one;
    str->n_spans = len > 0;
    return OK;
}

/* ---- tags that end --------------------------------------------------------------------------------------------------- */

static Status fail_tag(Parser *p, const Token *unknown, int64_t line) {
    Buf b = {.arena = p->arena};
    bool known = false;
    for (int i = 0; i < p->n_ends && unknown != NULL; i++)
        for (const char *const *end = p->ends[i]; *end != NULL; end++) known = known || jj_is_name(unknown, *end);
    if (unknown == NULL)
        TRY(buf_puts(&b, "Unexpected end of template.", p->e));
    else
        TRY(buf_printf(&b, p->e, "Encountered unknown tag '%s'.", jj_token_text(p, unknown)));
    if (p->n_ends > 0) {
        TRY(buf_puts(
            &b,
            known ? " You probably made a nesting mistake. Jinja is expecting this tag, but currently looking for "
                  : " Jinja was looking for the following tags: ",
            p->e));
        for (const char *const *end = p->ends[p->n_ends - 1]; *end != NULL; end++)
            TRY(buf_printf(&b, p->e, "%s'%s'", end == p->ends[p->n_ends - 1] ? "" : " or ", *end));
        TRY(buf_putc(&b, '.', p->e));
    }
    if (p->n_tags > 0)
        TRY(buf_printf(&b, p->e, " The innermost block that needs to be closed is '%s'.", p->tags[p->n_tags - 1]));
    return jj_parse_fail(p, line, "%s", b.data);
}

static Status parse_statement(Parser *p, Node ***body, size_t *n);

static bool at_end_tag(const Parser *p, const char *const *ends) {
    for (; ends != NULL && *ends != NULL; ends++)
        if (jj_is_name(now(p), *ends)) return true;
    return false;
}

/* Data, prints and statements up to one of the end tags, which is left. */
static Status parse_body(Parser *p, const char *const *ends, Node ***body, size_t *n) {
    Node *node;
    while (type_now(p) != T_EOF) {
        const Token *t = now(p);
        TRY(jj_advance(p));
        if (t->type == T_DATA) {
            Str *s;
            TRY(jj_node(p, N_DATA, t->line, &node));
            TRY(ARENA_NEW(p->arena, 1, s, p->e));
            *s = (Str){
                .s = t->s, .len = t->len, .chars = jj_count_chars(t->s, t->len), .n_spans = 1, .one = {.end = t->len}};
            s->spans = &s->one;
            node->value = (Value){.type = V_STRING, .str = s};
            TRY(jj_add_node(p, body, n, node));
        } else if (t->type == T_VARIABLE_BEGIN) {
            Node *e;
            TRY(jj_node(p, N_OUTPUT, t->line, &node));
            TRY(jj_parse_tuple(p, 0, NULL, &e));
            TRY(jj_add_node(p, &node->kids, &node->n_kids, e));
            TRY(jj_expect(p, T_VARIABLE_END));
            TRY(jj_add_node(p, body, n, node));
        } else { /* T_BLOCK_BEGIN */
            if (at_end_tag(p, ends)) return OK;
            TRY(parse_statement(p, body, n));
            TRY(jj_expect(p, T_BLOCK_END));
        }
    }
    return OK;
}

/* The body of a tag (soft: that of an if, where unknown filters are errors only when they run); the end tag's name is left as current token, or taken with drop. */
static Status parse_statements(Parser *p, const char *const *ends, bool drop, Node ***body, size_t *n) {
    int soft = p->soft;
    if (strcmp(ends[0], "elif") != 0 && strcmp(ends[0], "endif") != 0) p->soft = 0;
    if (type_now(p) == T_COLON) TRY(jj_advance(p));
    TRY(jj_expect(p, T_BLOCK_END));
    if (p->n_ends >= PARSE_DEPTH) return jj_parse_fail(p, now(p)->line, "blocks are nested too deep");
    p->ends[p->n_ends++] = ends;
    TRY(parse_body(p, ends, body, n));
    if (type_now(p) == T_EOF) return fail_tag(p, NULL, now(p)->line);
    p->n_ends--;
    p->soft = soft;
    return drop ? jj_advance(p) : OK;
}

/* ---- targets ----------------------------------------------------------------------------------------------------- */

static Status check_target(Parser *p, const Node *t) {
    static const char *const NAMES[] = {[N_CONST] = "const", [N_LIST] = "list", [N_DICT] = "dict"};
    if (t->kind == N_NAME || t->kind == N_NSREF) {
        if (!jj_is_name(&(Token){.type = T_NAME, .s = t->name->str.s, .len = t->name->str.len}, "loop") ||
            p->loops == 0 || t->kind == N_NSREF)
            return OK;
        return jj_parse_fail(p, t->line, "Can't assign to special loop variable in for-loop target");
    }
    if (t->kind == N_TUPLE) {
        for (size_t i = 0; i < t->n_kids; i++) TRY(check_target(p, t->kids[i]));
        return OK;
    }
    const char *name =
        t->kind < sizeof NAMES / sizeof NAMES[0] && NAMES[t->kind] != NULL ? NAMES[t->kind] : "expression";
    return jj_parse_fail(p, t->line, "can't assign to '%s'", name);
}

static Status parse_target(Parser *p, bool with_namespace, const char *end, Node **out) {
    TRY(jj_parse_tuple(p, TUPLE_SIMPLE | (with_namespace ? TUPLE_NAMESPACE : 0), end, out));
    return check_target(p, *out);
}

static Status parse_plain_name(Parser *p, Sym **out) {
    const Token *t = now(p);
    TRY(jj_expect(p, T_NAME));
    static const char *const CONSTANTS[] = {"true", "false", "none", "True", "False", "None"};
    for (size_t i = 0; i < sizeof CONSTANTS / sizeof CONSTANTS[0]; i++)
        if (jj_is_name(t, CONSTANTS[i])) return jj_parse_fail(p, t->line, "can't assign to 'name'");
    TRY(jj_sym(p, t->s, t->len, out));
    (*out)->variable = true;
    return OK;
}

/* ---- statements -------------------------------------------------------------------------------------------------- */

static Status parse_set(Parser *p, Node **out) {
    static const char *const END[] = {"endset", NULL};
    Node *target, *input;
    int64_t line = now(p)->line;
    TRY(jj_advance(p));
    TRY(parse_target(p, true, NULL, &target));
    if (type_now(p) == T_ASSIGN) {
        TRY(jj_advance(p));
        TRY(jj_node(p, N_SET, line, out));
        (*out)->a = target;
        return jj_parse_tuple(p, 0, NULL, &(*out)->b);
    }
    TRY(jj_node(p, N_SET_BLOCK, line, out));
    (*out)->a = target;
    TRY(jj_node(p, N_INPUT, line, &input));
    TRY(jj_parse_filter_chain(p, input, false, &(*out)->b));
    return parse_statements(p, END, true, &(*out)->kids, &(*out)->n_kids);
}

static Status parse_for(Parser *p, Node **out) {
    static const char *const END[] = {"endfor", "else", NULL}, *const END_ELSE[] = {"endfor", NULL};
    Node *n;
    TRY(jj_node(p, N_FOR, now(p)->line, &n));
    TRY(jj_advance(p));
    p->loops++;
    TRY(parse_target(p, false, "in", &n->a));
    p->loops--;
    TRY(jj_expect_name(p, "in"));
    TRY(jj_parse_tuple(p, TUPLE_NO_CONDITION, "recursive", &n->b));
    if (jj_is_name(now(p), "if")) {
        TRY(jj_advance(p));
        TRY(jj_parse_expression(p, &n->c));
    }
    n->op = jj_is_name(now(p), "recursive");
    if (n->op) TRY(jj_advance(p));
    p->loops++;
    TRY(parse_statements(p, END, false, &n->kids, &n->n_kids));
    p->loops--;
    bool more = jj_is_name(now(p), "else");
    TRY(jj_advance(p));
    if (more) TRY(parse_statements(p, END_ELSE, true, &n->more, &n->n_more));
    *out = n;
    return OK;
}

static Status parse_if(Parser *p, Node **out) {
    static const char *const END[] = {"elif", "else", "endif", NULL}, *const END_ELSE[] = {"endif", NULL};
    Node *n;
    TRY(jj_node(p, N_IF, now(p)->line, &n));
    *out = n;
    TRY(jj_advance(p));
    p->soft++;
    for (;;) {
        TRY(jj_parse_tuple(p, TUPLE_NO_CONDITION, NULL, &n->a));
        TRY(parse_statements(p, END, false, &n->kids, &n->n_kids));
        const Token *t = now(p);
        TRY(jj_advance(p));
        if (jj_is_name(t, "elif")) {
            Node *next;
            TRY(jj_node(p, N_IF, now(p)->line, &next));
            TRY(jj_add_node(p, &n->more, &n->n_more, next));
            n->op = 1; /* the else part is the next condition */
            n = next;
            continue;
        }
        if (jj_is_name(t, "else")) TRY(parse_statements(p, END_ELSE, true, &n->more, &n->n_more));
        p->soft--;
        return OK;
    }
}

static Status parse_with(Parser *p, Node **out) {
    static const char *const END[] = {"endwith", NULL};
    TRY(jj_node(p, N_WITH, now(p)->line, out));
    TRY(jj_advance(p));
    while (type_now(p) != T_BLOCK_END) {
        Node *set;
        if ((*out)->n_more > 0) TRY(jj_expect(p, T_COMMA));
        TRY(jj_node(p, N_SET, now(p)->line, &set));
        TRY(parse_target(p, false, NULL, &set->a));
        TRY(jj_expect(p, T_ASSIGN));
        TRY(jj_parse_expression(p, &set->b));
        TRY(jj_add_node(p, &(*out)->more, &(*out)->n_more, set));
    }
    return parse_statements(p, END, true, &(*out)->kids, &(*out)->n_kids);
}

static Status parse_signature(Parser *p, Node *macro) {
    bool defaults = false;
    TRY(jj_expect(p, T_LPAREN));
    while (type_now(p) != T_RPAREN) {
        Node *param;
        if (macro->n_more > 0) TRY(jj_expect(p, T_COMMA));
        TRY(jj_node(p, N_PARAM, now(p)->line, &param));
        TRY(parse_plain_name(p, &param->name));
        if (type_now(p) == T_ASSIGN) {
            TRY(jj_advance(p));
            TRY(jj_parse_expression(p, &param->a));
            defaults = true;
        } else if (defaults) {
            return jj_parse_fail(p, now(p)->line, "non-default argument follows default argument");
        }
        TRY(jj_add_node(p, &macro->more, &macro->n_more, param));
    }
    return jj_expect(p, T_RPAREN);
}

/* The body of a macro or call block: a function of its own, which break cannot leave. */
static Status parse_macro_body(Parser *p, Node *macro, const char *const *ends) {
    int loops = p->loops;
    if (p->n_macros >= PARSE_DEPTH) return jj_parse_fail(p, macro->line, "macros are nested too deep");
    p->macros[p->n_macros++] = macro;
    p->loops = 0;
    TRY(parse_statements(p, ends, true, &macro->kids, &macro->n_kids));
    p->loops = loops;
    p->n_macros--;
    for (size_t i = 0; i < macro->n_more; i++) {
        const Sym *name = macro->more[i]->name;
        const Token t = {.type = T_NAME, .s = name->str.s, .len = name->str.len};
        if (jj_is_name(&t, "caller")) {
            if (macro->more[i]->a == NULL && (macro->op & MACRO_CALLER))
                return jj_parse_fail(
                    p, macro->line,
                    "When defining macros or call blocks the special \"caller\" argument must be omitted or be given a default.");
            macro->op &= ~MACRO_CALLER;
        }
        if (jj_is_name(&t, "kwargs")) macro->op &= ~MACRO_KWARGS;
        if (jj_is_name(&t, "varargs")) macro->op &= ~MACRO_VARARGS;
    }
    return OK;
}

static Status parse_macro(Parser *p, Node **out) {
    static const char *const END[] = {"endmacro", NULL};
    TRY(jj_node(p, N_MACRO, now(p)->line, out));
    TRY(jj_advance(p));
    TRY(parse_plain_name(p, &(*out)->name));
    TRY(parse_signature(p, *out));
    return parse_macro_body(p, *out, END);
}

static Status parse_call_block(Parser *p, Node **out) {
    static const char *const END[] = {"endcall", NULL};
    TRY(jj_node(p, N_CALL_BLOCK, now(p)->line, out));
    TRY(jj_advance(p));
    if (type_now(p) == T_LPAREN) TRY(parse_signature(p, *out));
    TRY(jj_parse_expression(p, &(*out)->a));
    if ((*out)->a->kind != N_CALL) return jj_parse_fail(p, (*out)->line, "expected call");
    return parse_macro_body(p, *out, END);
}

static Status parse_filter_block(Parser *p, Node **out) {
    static const char *const END[] = {"endfilter", NULL};
    Node *input;
    TRY(jj_node(p, N_FILTER_BLOCK, now(p)->line, out));
    TRY(jj_advance(p));
    TRY(jj_node(p, N_INPUT, (*out)->line, &input));
    TRY(jj_parse_filter_chain(p, input, true, &(*out)->b));
    return parse_statements(p, END, true, &(*out)->kids, &(*out)->n_kids);
}

static Status parse_block(Parser *p, Node **out) {
    static const char *const END[] = {"endblock", NULL};
    TRY(jj_node(p, N_BLOCK, now(p)->line, out));
    TRY(jj_advance(p));
    TRY(parse_plain_name(p, &(*out)->name));
    (*out)->op = jj_is_name(now(p), "scoped");
    if ((*out)->op) TRY(jj_advance(p));
    if (type_now(p) == T_SUB)
        return jj_parse_fail(
            p, now(p)->line,
            "Block names in Jinja have to be valid Python identifiers and may not contain hyphens, use an underscore instead.");
    TRY(parse_statements(p, END, true, &(*out)->kids, &(*out)->n_kids));
    const Token t = {.type = T_NAME, .s = (*out)->name->str.s, .len = (*out)->name->str.len};
    if (type_now(p) == T_NAME && now(p)->len == t.len && memcmp(now(p)->s, t.s, t.len) == 0) return jj_advance(p);
    return OK;
}

static Status parse_print(Parser *p, Node **out) {
    TRY(jj_node(p, N_OUTPUT, now(p)->line, out));
    TRY(jj_advance(p));
    while (type_now(p) != T_BLOCK_END) {
        Node *e;
        if ((*out)->n_kids > 0) TRY(jj_expect(p, T_COMMA));
        TRY(jj_parse_expression(p, &e));
        TRY(jj_add_node(p, &(*out)->kids, &(*out)->n_kids, e));
    }
    return OK;
}

static Status parse_generation(Parser *p, Node **out) {
    static const char *const END[] = {"endgeneration", NULL};
    int loops = p->loops;
    TRY(jj_node(p, N_GENERATION, now(p)->line, out));
    if (p->in_generation > 0) return jj_parse_fail(p, now(p)->line, "generation blocks cannot be inside each other");
    TRY(jj_advance(p));
    p->t->has_generation = true;
    p->in_generation++;
    p->loops = 0;
    TRY(parse_statements(p, END, true, &(*out)->kids, &(*out)->n_kids));
    p->loops = loops;
    p->in_generation--;
    return OK;
}

static Status parse_break(Parser *p, Node **out) {
    bool is_break = jj_is_name(now(p), "break");
    if (p->loops == 0)
        return jj_parse_fail(p, now(p)->line, is_break ? "'break' outside loop" : "'continue' not properly in loop");
    TRY(jj_node(p, is_break ? N_BREAK : N_CONTINUE, now(p)->line, out));
    return jj_advance(p);
}

/* include, import, from, extends: Jinja2 parses them and fails when they run, as there is no loader. */
static Status parse_no_loader(Parser *p, Node **out) {
    TRY(jj_node(p, N_NO_LOADER, now(p)->line, out));
    TRY(jj_advance(p));
    TRY(jj_parse_expression(p, &(*out)->a));
    while (type_now(p) != T_BLOCK_END && type_now(p) != T_EOF) TRY(jj_advance(p));
    return OK;
}

static const struct {
    const char *tag;
    Status (*parse)(Parser *p, Node **out);
} TAGS[] = {{"for", parse_for},           {"if", parse_if},
            {"set", parse_set},           {"macro", parse_macro},
            {"call", parse_call_block},   {"filter", parse_filter_block},
            {"with", parse_with},         {"block", parse_block},
            {"print", parse_print},       {"generation", parse_generation},
            {"break", parse_break},       {"continue", parse_break},
            {"include", parse_no_loader}, {"import", parse_no_loader},
            {"from", parse_no_loader},    {"extends", parse_no_loader}};

static Status parse_statement(Parser *p, Node ***body, size_t *n) {
    const Token *t = now(p);
    if (t->type != T_NAME) return jj_parse_fail(p, t->line, "tag name expected");
    for (size_t i = 0; i < sizeof TAGS / sizeof TAGS[0]; i++) {
        Node *node;
        if (!jj_is_name(t, TAGS[i].tag)) continue;
        if (p->n_tags >= PARSE_DEPTH) return jj_parse_fail(p, t->line, "blocks are nested too deep");
        p->tags[p->n_tags++] = TAGS[i].tag;
        TRY(TAGS[i].parse(p, &node));
        p->n_tags--;
        return jj_add_node(p, body, n, node);
    }
    if (jj_is_name(t, "autoescape")) return jj_parse_fail(p, t->line, "autoescape blocks are not supported");
    return fail_tag(p, t, t->line);
}

Status jinja_parse(Arena *a, const char *name, const char *source, size_t len, JinjaTemplate **out, Err *e) {
    Parser p = {.arena = a, .name = name, .e = e};
    Token *tokens;
    size_t n_tokens;
    if (len > JINJA_SOURCE_BYTES)
        FAIL(e, ERR_FORMAT, "%s: a template of %zu bytes is too long (at most %d)", name, len, (int)JINJA_SOURCE_BYTES);
    if (utf8_valid_prefix(source, len) < len)
        FAIL(e, ERR_FORMAT, "%s: byte %zu of the template is not valid UTF-8", name, utf8_valid_prefix(source, len));
    TRY(jj_lex(a, source, len, &tokens, &n_tokens, e));
    TRY(ARENA_NEW(a, 1, p.t, e));
    p.tokens = tokens;
    if (tokens[0].type == T_ERROR) return jj_parse_fail(&p, tokens[0].line, "%s", tokens[0].s);
    TRY(jj_node(&p, N_BLOCK, 1, &p.t->root));
    TRY(parse_body(&p, NULL, &p.t->root->kids, &p.t->root->n_kids));
    if (p.n_unknown > 0)
        return jj_parse_fail(&p, p.unknown[0]->line, "No %s named '%.*s'.",
                             p.unknown[0]->kind == N_FILTER ? "filter" : "test", (int)p.unknown[0]->name->str.len,
                             p.unknown[0]->name->str.s);
    *out = p.t;
    return OK;
}

bool jinja_has_generation(const JinjaTemplate *t) { return t->has_generation; }

bool jinja_mentions(const JinjaTemplate *t, const char *variable) {
    for (int i = 0; i < SYM_BUCKETS; i++)
        for (const Sym *s = t->syms[i]; s != NULL; s = s->next)
            if (s->variable && jj_str_is(&s->str, variable)) return true;
    return false;
}
