/* jinja_parse_expression.c: expressions; one function per level of precedence, in Jinja2's order and with its errors. */
#include "data/jinja_internal.h"

static Status parse_condition(Parser *p, Node **out);
static Status parse_or(Parser *p, Node **out);
static Status parse_unary(Parser *p, bool with_filter, Node **out);
static Status parse_postfix(Parser *p, Node **node);

static const Token *now(const Parser *p) { return &p->tokens[p->at]; }
static const Token *ahead(const Parser *p) {
    return &p->tokens[p->at + (now(p)->type != T_EOF && now(p)->type != T_ERROR)];
}
static TokenType type_now(const Parser *p) { return now(p)->type; }
static bool name_now(const Parser *p, const char *name) { return jj_is_name(now(p), name); }

static Status skip_name(Parser *p, const char *name, bool *found) {
    *found = name_now(p, name);
    return *found ? jj_advance(p) : OK;
}

Status jj_parse_expression(Parser *p, Node **out) {
    TRY(jj_enter(p));
    TRY(parse_condition(p, out));
    p->depth--;
    return OK;
}

static Status parse_condition(Parser *p, Node **out) {
    int64_t line = now(p)->line;
    size_t n_unknown = p->n_unknown;
    bool found;
    TRY(parse_or(p, out));
    for (;;) {
        Node *n;
        TRY(skip_name(p, "if", &found));
        if (!found) return OK;
        TRY(jj_node(p, N_CONDITION, line, &n));
        n->a = *out;
        p->n_unknown = n_unknown; /* all parts of a condition are seen only when they run */
        p->soft++;
        TRY(parse_or(p, &n->b));
        TRY(skip_name(p, "else", &found));
        if (found) TRY(jj_parse_expression(p, &n->c));
        p->soft--;
        *out = n;
        line = now(p)->line;
    }
}

static Status parse_not(Parser *p, Node **out);

static Status parse_and(Parser *p, Node **out) {
    int64_t line = now(p)->line;
    TRY(parse_not(p, out));
    while (name_now(p, "and")) {
        Node *n;
        TRY(jj_advance(p));
        TRY(jj_node(p, N_AND, line, &n));
        n->a = *out;
        TRY(parse_not(p, &n->b));
        *out = n;
        line = now(p)->line;
    }
    return OK;
}

static Status parse_or(Parser *p, Node **out) {
    int64_t line = now(p)->line;
    TRY(parse_and(p, out));
    while (name_now(p, "or")) {
        Node *n;
        TRY(jj_advance(p));
        TRY(jj_node(p, N_OR, line, &n));
        n->a = *out;
        TRY(parse_and(p, &n->b));
        *out = n;
        line = now(p)->line;
    }
    return OK;
}

static Status parse_math1(Parser *p, Node **out);

static bool compare_op(const Parser *p, int *op, int *tokens) {
    static const struct {
        TokenType type;
        Op op;
    } OPS[] = {{T_EQ, OP_EQ}, {T_NE, OP_NE}, {T_LT, OP_LT}, {T_LE, OP_LE}, {T_GT, OP_GT}, {T_GE, OP_GE}};
    *tokens = 1;
    for (size_t i = 0; i < sizeof OPS / sizeof OPS[0]; i++) {
        *op = (int)OPS[i].op;
        if (type_now(p) == OPS[i].type) return true;
    }
    *op = OP_IN;
    if (name_now(p, "in")) return true;
    *op = OP_NOT_IN;
    *tokens = 2;
    return name_now(p, "not") && jj_is_name(ahead(p), "in");
}

static Status parse_compare(Parser *p, Node **out) {
    int64_t line = now(p)->line;
    int op, tokens;
    Node *n = NULL;
    TRY(parse_math1(p, out));
    while (compare_op(p, &op, &tokens)) {
        Node *operand;
        if (n == NULL) {
            TRY(jj_node(p, N_COMPARE, line, &n));
            n->a = *out;
        }
        while (tokens-- > 0) TRY(jj_advance(p));
        TRY(jj_node(p, N_OPERAND, now(p)->line, &operand));
        operand->op = op;
        TRY(parse_math1(p, &operand->a));
        TRY(jj_add_node(p, &n->kids, &n->n_kids, operand));
    }
    if (n != NULL) *out = n;
    return OK;
}

static Status parse_not(Parser *p, Node **out) {
    if (!name_now(p, "not")) return parse_compare(p, out);
    TRY(jj_enter(p));
    TRY(jj_node(p, N_NOT, now(p)->line, out));
    TRY(jj_advance(p));
    TRY(parse_not(p, &(*out)->a));
    p->depth--;
    return OK;
}

static bool math_op(TokenType type, int level, int *op) {
    static const struct {
        TokenType type;
        int level;
        Op op;
    } OPS[] = {{T_ADD, 1, OP_ADD},           {T_SUB, 1, OP_SUB}, {T_MUL, 2, OP_MUL}, {T_DIV, 2, OP_DIV},
               {T_FLOORDIV, 2, OP_FLOORDIV}, {T_MOD, 2, OP_MOD}, {T_POW, 3, OP_POW}};
    for (size_t i = 0; i < sizeof OPS / sizeof OPS[0]; i++) {
        *op = (int)OPS[i].op;
        if (type == OPS[i].type && level == OPS[i].level) return true;
    }
    return false;
}

static Status parse_concat(Parser *p, Node **out);

/* level 1: + -, 2: * / // %, 3: **; all group to the left. */
static Status parse_math(Parser *p, int level, Node **out) {
    int64_t line = now(p)->line;
    for (Node *left = NULL;;) {
        Node *right;
        int op;
        TRY(level == 1   ? parse_concat(p, &right)
            : level == 2 ? parse_math(p, 3, &right)
                         : parse_unary(p, true, &right));
        if (left == NULL) {
            left = right;
        } else {
            left->b = right;
        }
        *out = left;
        if (!math_op(type_now(p), level, &op)) return OK;
        Node *n;
        TRY(jj_advance(p));
        TRY(jj_node(p, N_BINARY, line, &n));
        n->op = op;
        n->a = left;
        left = n;
        line = now(p)->line;
    }
}

static Status parse_math1(Parser *p, Node **out) { return parse_math(p, 1, out); }

static Status parse_concat(Parser *p, Node **out) {
    int64_t line = now(p)->line;
    Node *n = NULL;
    TRY(parse_math(p, 2, out));
    while (type_now(p) == T_TILDE) {
        Node *part;
        if (n == NULL) {
            TRY(jj_node(p, N_CONCAT, line, &n));
            TRY(jj_add_node(p, &n->kids, &n->n_kids, *out));
        }
        TRY(jj_advance(p));
        TRY(parse_math(p, 2, &part));
        TRY(jj_add_node(p, &n->kids, &n->n_kids, part));
    }
    if (n != NULL) *out = n;
    return OK;
}

static Status parse_call_args(Parser *p, Node *call) {
    int64_t line = now(p)->line;
    bool need_comma = false;
    TRY(jj_expect(p, T_LPAREN));
    while (type_now(p) != T_RPAREN) {
        if (need_comma) {
            TRY(jj_expect(p, T_COMMA));
            if (type_now(p) == T_RPAREN) break;
        }
        bool good = true;
        if (type_now(p) == T_MUL) {
            good = call->b == NULL && call->c == NULL;
            if (good) TRY(jj_advance(p));
            if (good) TRY(jj_parse_expression(p, &call->b));
        } else if (type_now(p) == T_POW) {
            good = call->c == NULL;
            if (good) TRY(jj_advance(p));
            if (good) TRY(jj_parse_expression(p, &call->c));
        } else if (type_now(p) == T_NAME && ahead(p)->type == T_ASSIGN) {
            Node *k;
            good = call->c == NULL;
            if (good) {
                TRY(jj_node(p, N_KEYWORD, now(p)->line, &k));
                TRY(jj_sym(p, now(p)->s, now(p)->len, &k->name));
                TRY(jj_advance(p));
                TRY(jj_advance(p));
                TRY(jj_parse_expression(p, &k->a));
                TRY(jj_add_node(p, &call->more, &call->n_more, k));
            }
        } else {
            Node *arg;
            good = call->b == NULL && call->c == NULL && call->n_more == 0;
            if (good) TRY(jj_parse_expression(p, &arg));
            if (good) TRY(jj_add_node(p, &call->kids, &call->n_kids, arg));
        }
        if (!good) return jj_parse_fail(p, line, "invalid syntax for function call expression");
        need_comma = true;
    }
    return jj_expect(p, T_RPAREN);
}

static Status parse_call(Parser *p, Node **node) {
    Node *n;
    TRY(jj_node(p, N_CALL, now(p)->line, &n));
    n->a = *node;
    TRY(parse_call_args(p, n));
    *node = n;
    return OK;
}

static bool ends_subscript(const Parser *p) { return type_now(p) == T_RBRACKET || type_now(p) == T_COMMA; }

/* x, or a:b:c as N_BARE_SLICE. */
static Status parse_subscribed(Parser *p, Node **out) {
    int64_t line = now(p)->line;
    Node *first = NULL, *n;
    if (type_now(p) != T_COLON) {
        TRY(jj_parse_expression(p, &first));
        if (type_now(p) != T_COLON) {
            *out = first;
            return OK;
        }
    }
    TRY(jj_advance(p));
    TRY(jj_node(p, N_BARE_SLICE, line, &n));
    n->b = first;
    if (type_now(p) != T_COLON && !ends_subscript(p)) TRY(jj_parse_expression(p, &n->c));
    if (type_now(p) == T_COLON) {
        TRY(jj_advance(p));
        if (!ends_subscript(p)) TRY(jj_parse_expression(p, &n->d));
    }
    *out = n;
    return OK;
}

static Status constant(Parser *p, int64_t line, Value v, Node **out) {
    TRY(jj_node(p, N_CONST, line, out));
    (*out)->value = v;
    return OK;
}

static Status string_value(Parser *p, const char *s, size_t len, Value *out) {
    Str *str;
    TRY(ARENA_NEW(p->arena, 1, str, p->e));
    str->s = s;
    str->len = len;
    str->chars = jj_count_chars(s, len);
    str->one.end = len;
    str->spans = &str->one;
    str->n_spans = len > 0;
    *out = (Value){.type = V_STRING, .str = str};
    return OK;
}

static Status parse_subscript(Parser *p, Node **node) {
    int64_t line = now(p)->line;
    bool dot = type_now(p) == T_DOT;
    Node *n, *arg;
    TRY(jj_advance(p));
    if (dot) {
        Token t = *now(p);
        if (t.type == T_NAME) {
            TRY(jj_advance(p));
            TRY(jj_node(p, N_ATTRIBUTE, line, &n));
            n->a = *node;
            TRY(jj_sym(p, t.s, t.len, &n->name));
            *node = n;
            return OK;
        }
        TRY(jj_advance(p));
        if (t.type != T_INTEGER) return jj_parse_fail(p, t.line, "expected name or number");
        TRY(constant(p, t.line, jj_int(t.integer), &arg));
    } else {
        Node *tuple;
        TRY(jj_node(p, N_TUPLE, line, &tuple));
        while (type_now(p) != T_RBRACKET) {
            if (tuple->n_kids > 0) TRY(jj_expect(p, T_COMMA));
            TRY(parse_subscribed(p, &arg));
            TRY(jj_add_node(p, &tuple->kids, &tuple->n_kids, arg));
        }
        TRY(jj_expect(p, T_RBRACKET));
        if (tuple->n_kids != 1) {
            for (size_t i = 0; i < tuple->n_kids; i++)
                if (tuple->kids[i]->kind == N_BARE_SLICE)
                    return jj_parse_fail(p, line, "slices inside a tuple are not supported");
            arg = tuple;
        }
        if (arg->kind == N_BARE_SLICE) {
            arg->kind = N_SLICE;
            arg->a = *node;
            *node = arg;
            return OK;
        }
    }
    TRY(jj_node(p, N_ITEM, line, &n));
    n->a = *node;
    n->b = arg;
    *node = n;
    return OK;
}

static Status parse_postfix(Parser *p, Node **node) {
    for (int chain = 0;; chain++) {
        TokenType t = type_now(p);
        if (chain > PARSE_DEPTH) return jj_parse_fail(p, now(p)->line, "an expression is nested too deep");
        if (t == T_DOT || t == T_LBRACKET)
            TRY(parse_subscript(p, node));
        else if (t == T_LPAREN)
            TRY(parse_call(p, node));
        else
            return OK;
    }
}

/* A name with dots, as Jinja2 allows it for filters and tests. */
static Status dotted_name(Parser *p, Sym **out) {
    const Token *t = now(p);
    const char *s = t->s;
    size_t len = t->len;
    TRY(jj_expect(p, T_NAME));
    while (type_now(p) == T_DOT) {
        char *joined;
        TRY(jj_advance(p));
        t = now(p);
        TRY(jj_expect(p, T_NAME));
        TRY(arena_printf(p->arena, &joined, p->e, "%.*s.%.*s", (int)len, s, (int)t->len, t->s));
        s = joined;
        len = strlen(joined);
    }
    return jj_sym(p, s, len, out);
}

static Status known_or_soft(Parser *p, Node *n) {
    if (n->function != NULL || p->soft > 0) return OK;
    return jj_add_node(p, &p->unknown, &p->n_unknown, n);
}

Status jj_parse_filter_chain(Parser *p, Node *input, bool inline_first, Node **out) {
    *out = input;
    for (int chain = 0; type_now(p) == T_PIPE || inline_first; inline_first = false, chain++) {
        Node *n;
        if (chain > PARSE_DEPTH) return jj_parse_fail(p, now(p)->line, "an expression is nested too deep");
        if (!inline_first) TRY(jj_advance(p));
        TRY(jj_node(p, N_FILTER, now(p)->line, &n));
        TRY(dotted_name(p, &n->name));
        n->a = *out;
        n->function = jj_find_filter(n->name->str.s, n->name->str.len);
        if (type_now(p) == T_LPAREN) TRY(parse_call_args(p, n));
        TRY(known_or_soft(p, n));
        *out = n;
    }
    return OK;
}

static bool starts_test_argument(const Parser *p) {
    TokenType t = type_now(p);
    if (t == T_NAME) return !name_now(p, "else") && !name_now(p, "or") && !name_now(p, "and");
    return t == T_STRING || t == T_INTEGER || t == T_FLOAT || t == T_LBRACKET || t == T_LBRACE;
}

static Status parse_test(Parser *p, Node **node) {
    int64_t line = now(p)->line;
    bool negated;
    Node *n, *arg;
    TRY(jj_advance(p));
    TRY(skip_name(p, "not", &negated));
    TRY(jj_node(p, N_TEST, line, &n));
    TRY(dotted_name(p, &n->name));
    n->a = *node;
    n->function = jj_find_test(n->name->str.s, n->name->str.len);
    if (type_now(p) == T_LPAREN) {
        TRY(parse_call_args(p, n));
    } else if (starts_test_argument(p)) {
        if (name_now(p, "is")) return jj_parse_fail(p, now(p)->line, "You cannot chain multiple tests with is");
        TRY(jj_parse_primary(p, false, &arg));
        TRY(parse_postfix(p, &arg));
        TRY(jj_add_node(p, &n->kids, &n->n_kids, arg));
    }
    TRY(known_or_soft(p, n));
    *node = n;
    if (!negated) return OK;
    TRY(jj_node(p, N_NOT, line, node));
    (*node)->a = n;
    return OK;
}

static Status parse_filter_expression(Parser *p, Node **node) {
    for (int chain = 0;; chain++) {
        if (chain > PARSE_DEPTH) return jj_parse_fail(p, now(p)->line, "an expression is nested too deep");
        if (type_now(p) == T_PIPE)
            TRY(jj_parse_filter_chain(p, *node, false, node));
        else if (name_now(p, "is"))
            TRY(parse_test(p, node));
        else if (type_now(p) == T_LPAREN)
            TRY(parse_call(p, node));
        else
            return OK;
    }
}

static Status parse_unary(Parser *p, bool with_filter, Node **out) {
    TokenType t = type_now(p);
    if (t == T_SUB || t == T_ADD) {
        Node *n;
        TRY(jj_enter(p));
        TRY(jj_node(p, N_UNARY, now(p)->line, &n));
        n->op = t == T_SUB ? '-' : '+';
        TRY(jj_advance(p));
        TRY(parse_unary(p, false, &n->a));
        *out = n;
        p->depth--;
    } else {
        TRY(jj_parse_primary(p, false, out));
    }
    TRY(parse_postfix(p, out));
    return with_filter ? parse_filter_expression(p, out) : OK;
}

/* ---- literals ---------------------------------------------------------------------------------------------------- */

static Status parse_list(Parser *p, Node **out) {
    TRY(jj_node(p, N_LIST, now(p)->line, out));
    TRY(jj_advance(p));
    while (type_now(p) != T_RBRACKET) {
        Node *item;
        if ((*out)->n_kids > 0) TRY(jj_expect(p, T_COMMA));
        if (type_now(p) == T_RBRACKET) break;
        TRY(jj_parse_expression(p, &item));
        TRY(jj_add_node(p, &(*out)->kids, &(*out)->n_kids, item));
    }
    return jj_expect(p, T_RBRACKET);
}

static Status parse_dict(Parser *p, Node **out) {
    TRY(jj_node(p, N_DICT, now(p)->line, out));
    TRY(jj_advance(p));
    while (type_now(p) != T_RBRACE) {
        Node *key, *value;
        if ((*out)->n_kids > 0) TRY(jj_expect(p, T_COMMA));
        if (type_now(p) == T_RBRACE) break;
        TRY(jj_parse_expression(p, &key));
        TRY(jj_expect(p, T_COLON));
        TRY(jj_parse_expression(p, &value));
        TRY(jj_add_node(p, &(*out)->kids, &(*out)->n_kids, key));
        TRY(jj_add_node(p, &(*out)->kids, &(*out)->n_kids, value));
    }
    return jj_expect(p, T_RBRACE);
}

/* Adjacent literals are one. */
static Status parse_string(Parser *p, Node **out) {
    int64_t line = now(p)->line;
    Buf b = {.arena = p->arena};
    Value v;
    while (type_now(p) == T_STRING) {
        TRY(buf_add(&b, now(p)->s, now(p)->len, p->e));
        TRY(jj_advance(p));
    }
    TRY(string_value(p, b.data, b.len, &v));
    return constant(p, line, v, out);
}

/* What macros must know about their bodies: does one mention caller, kwargs, varargs? */
static void note_special(Parser *p, const Token *t) {
    int bit = jj_is_name(t, "caller")    ? MACRO_CALLER
              : jj_is_name(t, "kwargs")  ? MACRO_KWARGS
              : jj_is_name(t, "varargs") ? MACRO_VARARGS
                                         : 0;
    for (int i = 0; i < p->n_macros; i++) p->macros[i]->op |= bit;
}

static Status parse_name(Parser *p, bool with_namespace, Node **out) {
    Token t = *now(p);
    TRY(jj_advance(p));
    bool yes = jj_is_name(&t, "true") || jj_is_name(&t, "True");
    if (yes || jj_is_name(&t, "false") || jj_is_name(&t, "False")) return constant(p, t.line, jj_bool(yes), out);
    if (jj_is_name(&t, "none") || jj_is_name(&t, "None")) return constant(p, t.line, jj_none(), out);
    bool ref = with_namespace && type_now(p) == T_DOT;
    TRY(jj_node(p, ref ? N_NSREF : N_NAME, t.line, out));
    TRY(jj_sym(p, t.s, t.len, &(*out)->name));
    (*out)->name->variable = true;
    note_special(p, &t);
    if (!ref) return OK;
    TRY(jj_advance(p));
    t = *now(p);
    TRY(jj_expect(p, T_NAME));
    return string_value(p, t.s, t.len, &(*out)->value);
}

Status jj_parse_primary(Parser *p, bool with_namespace, Node **out) {
    const Token *t = now(p);
    TRY(jj_enter(p));
    switch ((int)t->type) {
    case T_NAME:
        TRY(parse_name(p, with_namespace, out));
        break;
    case T_STRING:
        TRY(parse_string(p, out));
        break;
    case T_INTEGER:
    case T_FLOAT:
        TRY(jj_advance(p));
        TRY(constant(p, t->line, t->type == T_FLOAT ? jj_float(t->real) : jj_int(t->integer), out));
        break;
    case T_LPAREN:
        TRY(jj_advance(p));
        TRY(jj_parse_tuple(p, TUPLE_PARENTHESES, NULL, out));
        TRY(jj_expect(p, T_RPAREN));
        break;
    case T_LBRACKET:
        TRY(parse_list(p, out));
        break;
    case T_LBRACE:
        TRY(parse_dict(p, out));
        break;
    default:
        return jj_parse_fail(p, t->line, "unexpected '%s'", jj_token_text(p, t));
    }
    p->depth--;
    return OK;
}

static bool tuple_ends(const Parser *p, const char *end) {
    TokenType t = type_now(p);
    return t == T_VARIABLE_END || t == T_BLOCK_END || t == T_RPAREN || (end != NULL && name_now(p, end));
}

Status jj_parse_tuple(Parser *p, unsigned how, const char *end, Node **out) {
    Node *tuple;
    bool is_tuple = false;
    TRY(jj_node(p, N_TUPLE, now(p)->line, &tuple));
    for (;;) {
        Node *item;
        if (tuple->n_kids > 0) TRY(jj_expect(p, T_COMMA));
        if (tuple_ends(p, end)) break;
        if (how & TUPLE_SIMPLE)
            TRY(jj_parse_primary(p, (how & TUPLE_NAMESPACE) != 0, &item));
        else if (how & TUPLE_NO_CONDITION)
            TRY(parse_or(p, &item));
        else
            TRY(jj_parse_expression(p, &item));
        TRY(jj_add_node(p, &tuple->kids, &tuple->n_kids, item));
        if (type_now(p) != T_COMMA) break;
        is_tuple = true;
    }
    *out = tuple;
    if (is_tuple) return OK;
    if (tuple->n_kids > 0)
        *out = tuple->kids[0];
    else if (!(how & TUPLE_PARENTHESES))
        return jj_parse_fail(p, now(p)->line, "Expected an expression, got '%s'", jj_token_text(p, now(p)));
    return OK;
}
