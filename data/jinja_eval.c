/* jinja_eval.c: expressions. One function per kind of node, in a table; a step and a level of depth each. */
#include "data/jinja_internal.h"

#include <stdio.h>

static Status eval_const(Run *r, const Node *n, Env *env, Value *out) {
    (void)r;
    (void)env;
    *out = n->value;
    return OK;
}

static Status eval_name(Run *r, const Node *n, Env *env, Value *out) {
    for (; env != NULL; env = env->parent) {
        for (size_t i = env->n; i-- > 0;) {
            if (env->vars[i].name != n->name) continue;
            *out = env->vars[i].value;
            return OK;
        }
    }
    const Function *f = jj_find_global(n->name->str.s, n->name->str.len);
    if (f != NULL) {
        *out = (Value){.type = V_FUNCTION, .function = f};
        return OK;
    }
    const Value name = {.type = V_STRING, .str = &n->name->str};
    return jj_undefined(r, NULL, NULL, &name, out);
}

static Status eval_list(Run *r, const Node *n, Env *env, Value *out) {
    TRY(jj_list(r, n->kind == N_LIST ? V_LIST : V_TUPLE, n->n_kids, out));
    for (size_t i = 0; i < n->n_kids; i++) TRY(jj_eval(r, n->kids[i], env, &out->list->items[i]));
    return OK;
}

static Status eval_dict(Run *r, const Node *n, Env *env, Value *out) {
    TRY(jj_dict(r, n->n_kids / 2, out));
    for (size_t i = 0; i < n->n_kids; i += 2) {
        Value key, value;
        TRY(jj_eval(r, n->kids[i], env, &key));
        TRY(jj_eval(r, n->kids[i + 1], env, &value));
        TRY(jj_dict_set(r, out->dict, &key, &value));
    }
    return OK;
}

static Status eval_concat(Run *r, const Node *n, Env *env, Value *out) {
    Sink k = {0};
    Value *parts;
    TRY(JJ_NEW(r, n->n_kids, parts));
    for (size_t i = 0; i < n->n_kids; i++) TRY(jj_eval(r, n->kids[i], env, &parts[i]));
    for (size_t i = 0; i < n->n_kids; i++) TRY(jj_put_value(r, &k, &parts[i]));
    return jj_sink_value(r, &k, out);
}

static Status eval_compare(Run *r, const Node *n, Env *env, Value *out) {
    Value left, right;
    bool yes = true;
    TRY(jj_eval(r, n->a, env, &left));
    for (size_t i = 0; i < n->n_kids && yes; i++, left = right) {
        Op op = (Op)n->kids[i]->op;
        TRY(jj_eval(r, n->kids[i]->a, env, &right));
        if (op == OP_IN || op == OP_NOT_IN) {
            TRY(jj_contains(r, &right, &left, &yes));
            yes = yes == (op == OP_IN);
        } else {
            TRY(jj_compare(r, op, &left, &right, 0, &yes));
        }
    }
    *out = jj_bool(yes);
    return OK;
}

static Status eval_and_or(Run *r, const Node *n, Env *env, Value *out) {
    TRY(jj_eval(r, n->a, env, out));
    if (jj_truth(out) != (n->kind == N_AND)) return OK;
    return jj_eval(r, n->b, env, out);
}

static Status eval_not(Run *r, const Node *n, Env *env, Value *out) {
    TRY(jj_eval(r, n->a, env, out));
    *out = jj_bool(!jj_truth(out));
    return OK;
}

static Status eval_unary(Run *r, const Node *n, Env *env, Value *out) {
    Value a;
    TRY(jj_eval(r, n->a, env, &a));
    return jj_unary(r, n->op, &a, out);
}

static Status eval_binary(Run *r, const Node *n, Env *env, Value *out) {
    Value a, b;
    TRY(jj_eval(r, n->a, env, &a));
    TRY(jj_eval(r, n->b, env, &b));
    r->line = n->line;
    return jj_binary(r, (Op)n->op, &a, &b, out);
}

static Status eval_condition(Run *r, const Node *n, Env *env, Value *out) {
    char *hint;
    TRY(jj_eval(r, n->b, env, out));
    if (jj_truth(out)) return jj_eval(r, n->a, env, out);
    if (n->c != NULL) return jj_eval(r, n->c, env, out);
    TRY(jj_printf(r, &hint, "the inline if-expression on line %lld evaluated to false and no else section was defined.",
                  (long long)n->line));
    return jj_undefined(r, hint, NULL, NULL, out);
}

static Status eval_attribute(Run *r, const Node *n, Env *env, Value *out) {
    Value v;
    TRY(jj_eval(r, n->a, env, &v));
    return jj_attribute(r, &v, &n->name->str, out);
}

static Status eval_item(Run *r, const Node *n, Env *env, Value *out) {
    Value v, key;
    TRY(jj_eval(r, n->a, env, &v));
    TRY(jj_eval(r, n->b, env, &key));
    return jj_item(r, &v, &key, out);
}

static Status eval_slice(Run *r, const Node *n, Env *env, Value *out) {
    Value v, bounds[3] = {{.type = V_MISSING}, {.type = V_MISSING}, {.type = V_MISSING}};
    TRY(jj_eval(r, n->a, env, &v));
    if (n->b != NULL) TRY(jj_eval(r, n->b, env, &bounds[0]));
    if (n->c != NULL) TRY(jj_eval(r, n->c, env, &bounds[1]));
    if (n->d != NULL) TRY(jj_eval(r, n->d, env, &bounds[2]));
    return jj_slice(r, &v, bounds, out);
}

/* ---- calls ------------------------------------------------------------------------------------------------------- */

static Status spread_dict(Run *r, const Value *v, Keyword *keywords, size_t *n) {
    if (v->type == V_UNDEFINED) return OK;
    if (v->type != V_DICT)
        return jj_raise(r, "jinja2.sandbox.SandboxedEnvironment.call() argument after ** must be a mapping, not %s",
                        jj_type_name(v));
    for (size_t i = 0; i < v->dict->n; i++) {
        if (v->dict->keys[i].type != V_STRING) return jj_raise(r, "keywords must be strings");
        keywords[(*n)++] = (Keyword){.name = v->dict->keys[i].str, .value = v->dict->values[i]};
    }
    return OK;
}

Status jj_eval_args(Run *r, const Node *n, Env *env, const Value *first, const Keyword *extra, Args *out) {
    Value *items, more, dict = {.type = V_MISSING};
    const Value *spread = NULL;
    Keyword *keywords;
    size_t at = 0, n_spread = 0, n_keywords = 0;
    if (n->kids == NULL && n->more == NULL && n->b == NULL && n->c == NULL && extra == NULL) {
        *out = (Args){.items = first, .n = first != NULL};
        return OK;
    }
    size_t room = n->n_kids + 1;
    TRY(JJ_NEW(r, room, items));
    if (first != NULL) items[at++] = *first;
    for (size_t i = 0; i < n->n_kids; i++) TRY(jj_eval(r, n->kids[i], env, &items[at++]));
    if (n->kind != N_CALL && n->kind != N_FILTER && n->kind != N_TEST) return jj_raise(r, "not a call");
    if (n->b != NULL) {
        TRY(jj_eval(r, n->b, env, &more));
        if (!jj_is_iterable(&more))
            return jj_raise(r, "Value after * must be an iterable, not %s", jj_type_name(&more));
        TRY(jj_elements(r, &more, &spread, &n_spread));
        Value *both;
        TRY(JJ_NEW(r, at + n_spread, both));
        memcpy(both, items, at * sizeof *both);
        if (n_spread > 0) memcpy(both + at, spread, n_spread * sizeof *both);
        items = both;
        at += n_spread;
    }
    size_t n_values = n->n_more + (extra != NULL);
    TRY(JJ_NEW(r, n_values + 1, keywords));
    for (size_t i = 0; i < n->n_more; i++) {
        keywords[n_keywords].name = &n->more[i]->name->str;
        TRY(jj_eval(r, n->more[i]->a, env, &keywords[n_keywords++].value));
    }
    if (extra != NULL) keywords[n_keywords++] = *extra;
    if (n->c != NULL) {
        TRY(jj_eval(r, n->c, env, &dict));
        Keyword *both;
        TRY(JJ_NEW(r, n_keywords + (dict.type == V_DICT ? dict.dict->n : 0) + 1, both));
        memcpy(both, keywords, n_keywords * sizeof *both);
        keywords = both;
        TRY(spread_dict(r, &dict, keywords, &n_keywords));
    }
    *out = (Args){.items = items, .n = at, .keywords = keywords, .n_keywords = n_keywords};
    return OK;
}

static Status eval_call(Run *r, const Node *n, Env *env, Value *out) {
    Value callee;
    Args args;
    TRY(jj_eval(r, n->a, env, &callee));
    TRY(jj_eval_args(r, n, env, NULL, NULL, &args));
    r->line = n->line;
    return jj_call(r, &callee, &args, out);
}

static Status call_cycler(Run *r, Cycler *c, const Args *args, Value *out) {
    (void)args;
    *out = c->items[c->at];
    c->at = (c->at + 1) % c->n;
    (void)r;
    return OK;
}

static Status call_joiner(Run *r, Cycler *c, Value *out) {
    if (c->at++ > 0) {
        *out = c->separator;
        return OK;
    }
    return jj_text(r, "", out);
}

Status jj_call(Run *r, const Value *callee, const Args *args, Value *out) {
    switch ((int)callee->type) {
    case V_UNDEFINED:
        return jj_fail_undefined(r, callee);
    case V_FUNCTION:
        return jj_call_function(r, callee->function, NULL, args, out);
    case V_METHOD:
        return jj_call_function(r, callee->method->function, &callee->method->self, args, out);
    case V_MACRO:
        return jj_call_macro(r, callee->macro, args, out);
    case V_LOOP:
        return jj_call_loop(r, callee->loop, args, out);
    case V_CYCLER:
        return call_cycler(r, callee->cycler, args, out);
    case V_JOINER:
        return call_joiner(r, callee->cycler, out);
    default:
        return jj_raise(r, "'%s' object is not callable", jj_type_name(callee));
    }
}

static Status eval_filter_or_test(Run *r, const Node *n, Env *env, Value *out) {
    Value v;
    Args args;
    bool filter = n->kind == N_FILTER;
    TRY(jj_eval(r, n->a, env, &v));
    TRY(jj_eval_args(r, n, env, &v, NULL, &args));
    r->line = n->line;
    if (n->function == NULL)
        return jj_raise(r, "No %s named '%.*s' found.", filter ? "filter" : "test", (int)n->name->str.len,
                        n->name->str.s);
    return jj_call_function(r, n->function, NULL, &args, out);
}

Status jj_call_named(Run *r, bool is_filter, const Value *name, const Args *args, Value *out) {
    const char *what = is_filter ? "filter" : "test", *text, *hint;
    const Function *f = NULL;
    if (name->type == V_STRING)
        f = is_filter ? jj_find_filter(name->str->s, name->str->len) : jj_find_test(name->str->s, name->str->len);
    if (f != NULL) return jj_call_function(r, f, NULL, args, out);
    TRY(jj_repr_text(r, name, &text));
    if (name->type != V_UNDEFINED) return jj_raise(r, "No %s named %s.", what, text);
    TRY(jj_undefined_text(r, name->undefined, &hint));
    return jj_raise(r, "No %s named %s. (%s; did you forget to quote the callable name?)", what, text, hint);
}

static Status eval_input(Run *r, const Node *n, Env *env, Value *out) {
    (void)n;
    (void)env;
    *out = r->input;
    return OK;
}

/* ---- functions with named parameters ------------------------------------------------------------------------------- */

static Status wrong_count(Run *r, const Function *f, size_t min, size_t max, size_t got) {
    if (min == max)
        return jj_raise(r, "%s() takes %zu positional argument%s but %zu %s given", f->python_name, max,
                        max == 1 ? "" : "s", got, got == 1 ? "was" : "were");
    return jj_raise(r, "%s() takes from %zu to %zu positional arguments but %zu were given", f->python_name, min, max,
                    got);
}

/* Puts arguments into the places of f->params. */
static Status bind(Run *r, const Function *f, const Args *args, Value bound[PARAMS_MAX], size_t *n) {
    const char *names[PARAMS_MAX];
    size_t lens[PARAMS_MAX], min = 0, missing = 0;
    bool needed[PARAMS_MAX];
    *n = 0;
    for (const char *p = f->params; *p != 0;) {
        size_t len = strcspn(p, " ");
        needed[*n] = p[len - 1] != '=';
        names[*n] = p;
        lens[*n] = needed[*n] ? len : len - 1;
        min += needed[*n];
        bound[(*n)++] = (Value){.type = V_MISSING};
        p += len + (p[len] == ' ');
    }
    if (args->n > *n) return wrong_count(r, f, min, *n, args->n);
    for (size_t i = 0; i < args->n; i++) bound[i] = args->items[i];
    for (size_t k = 0; k < args->n_keywords; k++) {
        const Str *name = args->keywords[k].name;
        size_t i = 0;
        while (i < *n && !(lens[i] == name->len && memcmp(names[i], name->s, name->len) == 0)) i++;
        int len = (int)(name->len < 200 ? name->len : 200);
        if (i == *n) return jj_raise(r, "%s() got an unexpected keyword argument '%.*s'", f->python_name, len, name->s);
        if (bound[i].type != V_MISSING)
            return jj_raise(r, "%s() got multiple values for argument '%.*s'", f->python_name, len, name->s);
        bound[i] = args->keywords[k].value;
    }
    Sink list = {0};
    for (size_t i = 0; i < *n; i++) missing += needed[i] && bound[i].type == V_MISSING;
    for (size_t i = 0, seen = 0; i < *n; i++) {
        if (!needed[i] || bound[i].type != V_MISSING) continue;
        if (seen > 0) TRY(jj_puts(r, &list, ++seen == missing ? (missing > 2 ? ", and " : " and ") : ", "));
        if (seen == 0) seen = 1;
        TRY(jj_puts(r, &list, "'"));
        TRY(jj_put(r, &list, names[i], lens[i], NULL));
        TRY(jj_puts(r, &list, "'"));
    }
    if (missing == 0) return OK;
    return jj_raise(r, "%s() missing %zu required positional argument%s: %.*s", f->python_name, missing,
                    missing == 1 ? "" : "s", (int)list.len, list.data);
}

Status jj_call_function(Run *r, const Function *f, const Value *self, const Args *args, Value *out) {
    Value bound[PARAMS_MAX];
    size_t n;
    if (strcmp(f->params, "*") == 0) return f->call(r, self, args->items, args, out);
    TRY(bind(r, f, args, bound, &n));
    return f->call(r, self, bound, args, out);
}

const Function *jj_find_in(const Function *table, size_t n, const char *name, size_t len) {
    for (size_t i = 0; i < n; i++)
        if (strlen(table[i].name) == len && memcmp(table[i].name, name, len) == 0) return &table[i];
    return NULL;
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

static Status (*const EVALUATORS[])(Run *r, const Node *n, Env *env, Value *out) = {
    [N_CONST] = eval_const,         [N_NAME] = eval_name,
    [N_TUPLE] = eval_list,          [N_LIST] = eval_list,
    [N_DICT] = eval_dict,           [N_CONCAT] = eval_concat,
    [N_COMPARE] = eval_compare,     [N_AND] = eval_and_or,
    [N_OR] = eval_and_or,           [N_NOT] = eval_not,
    [N_UNARY] = eval_unary,         [N_BINARY] = eval_binary,
    [N_CONDITION] = eval_condition, [N_ATTRIBUTE] = eval_attribute,
    [N_ITEM] = eval_item,           [N_SLICE] = eval_slice,
    [N_CALL] = eval_call,           [N_FILTER] = eval_filter_or_test,
    [N_TEST] = eval_filter_or_test, [N_INPUT] = eval_input,
};

Status jj_eval(Run *r, const Node *n, Env *env, Value *out) {
    TRY(jj_steps(r, 1));
    if (++r->depth > RUN_DEPTH) return jj_limit(r, "maximum recursion depth exceeded");
    CHECK(n->kind < N_EXPRESSIONS, "node %d is no expression", (int)n->kind);
    TRY(EVALUATORS[n->kind](r, n, env, out));
    r->depth--;
    return OK;
}
