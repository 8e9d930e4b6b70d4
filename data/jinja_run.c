/* jinja_run.c: statements, scopes, macros, loops; the public jinja_render.
 *
 * Scopes are chains of Env: one for the template, one per loop body, macro call, with and filter block; `if` has none. A name
 * that is set stays in the innermost. A macro keeps the chain it was made in and looks names up when it runs. */
#include "data/jinja_internal.h"

#include <stdio.h>

static Status run_body(Run *r, Node *const *body, size_t n, Env *env);

/* An interned name of the template, or NULL. */
static const Sym *symbol(const Run *r, const char *name) {
    for (int i = 0; i < SYM_BUCKETS; i++)
        for (const Sym *s = r->t->syms[i]; s != NULL; s = s->next)
            if (jj_str_is(&s->str, name)) return s;
    return NULL;
}

Status jj_env(Run *r, Env *parent, Env **out) {
    TRY(JJ_NEW(r, 1, *out));
    (*out)->parent = parent;
    return OK;
}

Status jj_env_set(Run *r, Env *env, const Sym *name, const Value *value) {
    for (size_t i = 0; i < env->n; i++) {
        if (env->vars[i].name != name) continue;
        env->vars[i].value = *value;
        return OK;
    }
    if (env->n == env->cap) {
        size_t cap = env->cap == 0 ? 4 : env->cap * 2;
        Var *vars;
        TRY(JJ_NEW(r, cap, vars));
        if (env->n > 0) memcpy(vars, env->vars, env->n * sizeof *vars);
        env->vars = vars;
        env->cap = cap;
    }
    env->vars[env->n++] = (Var){.name = name, .value = *value};
    return OK;
}

static Status set_namespace(Run *r, const Node *target, Env *env, const Value *value) {
    Value ns;
    const Node name = {.kind = N_NAME, .name = target->name, .line = target->line};
    TRY(jj_eval(r, &name, env, &ns));
    if (ns.type != V_NAMESPACE) return jj_raise(r, "cannot assign attribute on non-namespace object");
    const Str *key = target->value.str;
    if (key->len > 0 && key->s[0] == '_')
        return jj_raise(
            r,
            "Chat templates cannot store underscore-prefixed attributes on a namespace, but got '%.*s'. Please rename the attribute.",
            (int)(key->len < 400 ? key->len : 400), key->s);
    return jj_dict_set(r, ns.dict, &target->value, value);
}

Status jj_assign(Run *r, const Node *target, Env *env, const Value *value) {
    const Value *items;
    size_t n;
    TRY(jj_steps(r, 1));
    if (target->kind == N_NAME) return jj_env_set(r, env, target->name, value);
    if (target->kind == N_NSREF) return set_namespace(r, target, env, value);
    if (!jj_is_iterable(value)) return jj_raise(r, "cannot unpack non-iterable %s object", jj_type_name(value));
    TRY(jj_elements(r, value, &items, &n));
    if (n < target->n_kids)
        return jj_raise(r, "not enough values to unpack (expected %zu, got %zu)", target->n_kids, n);
    if (n > target->n_kids) return jj_raise(r, "too many values to unpack (expected %zu)", target->n_kids);
    for (size_t i = 0; i < n; i++) TRY(jj_assign(r, target->kids[i], env, &items[i]));
    return OK;
}

/* Runs statements with their output caught. */
Status jj_run_into(Run *r, Node *const *body, size_t n, Env *env, Value *out) {
    Sink k = {0}, *before = r->out;
    r->out = &k;
    TRY(run_body(r, body, n, env));
    r->out = before;
    return jj_sink_value(r, &k, out);
}

static Status enter_call(Run *r) {
    if (++r->call_depth > r->call_depth_max) return jj_limit(r, "maximum recursion depth exceeded");
    return OK;
}

/* ---- output ------------------------------------------------------------------------------------------------------ */

static Status run_output(Run *r, const Node *n, Env *env) {
    for (size_t i = 0; i < n->n_kids; i++) {
        Value v;
        TRY(jj_eval(r, n->kids[i], env, &v));
        TRY(jj_put_value(r, r->out, &v));
    }
    return OK;
}

static Status run_data(Run *r, const Node *n, Env *env) {
    (void)env;
    return jj_put(r, r->out, n->value.str->s, n->value.str->len, NULL);
}

/* ---- loops ------------------------------------------------------------------------------------------------------- */

/* {% for ... if test %}: the elements for which the test holds, seen with the loop's own targets but not its `loop`. */
static Status filter_items(Run *r, const Node *n, Env *env, const Value **items, size_t *count) {
    Value kept, yes;
    Env *scope;
    size_t k = 0;
    TRY(jj_env(r, env, &scope));
    TRY(jj_list(r, V_LIST, *count, &kept));
    for (size_t i = 0; i < *count; i++) {
        scope->n = 0;
        TRY(jj_assign(r, n->a, scope, &(*items)[i]));
        TRY(jj_eval(r, n->c, scope, &yes));
        if (jj_truth(&yes)) kept.list->items[k++] = (*items)[i];
    }
    *items = kept.list->items;
    *count = k;
    return OK;
}

static Status run_loop(Run *r, const Node *n, Env *env, const Value *iterable, int depth0) {
    const Value *items;
    size_t count;
    Loop *loop;
    Env *scope;
    const Sym *name = symbol(r, "loop");
    TRY(jj_elements(r, iterable, &items, &count));
    if (n->c != NULL) TRY(filter_items(r, n, env, &items, &count));
    TRY(JJ_NEW(r, 1, loop));
    *loop = (Loop){.items = items, .n = count, .depth0 = depth0, .node = n->op ? n : NULL, .outer = env};
    const Value loop_value = {.type = V_LOOP, .loop = loop};
    TRY(jj_env(r, env, &scope));
    bool done = false; /* the body ran to its end at least once: what Jinja2's else looks at */
    for (size_t i = 0; i < count; i++) {
        scope->n = 0;
        loop->index0 = i;
        TRY(jj_assign(r, n->a, scope, &items[i]));
        if (name != NULL) TRY(jj_env_set(r, scope, name, &loop_value));
        TRY(run_body(r, n->kids, n->n_kids, scope));
        if (r->flow == FLOW_ON) done = true;
        bool stop = r->flow == FLOW_BREAK;
        r->flow = FLOW_ON;
        if (stop) break;
    }
    if (done) return OK;
    TRY(jj_env(r, env, &scope));
    return run_body(r, n->more, n->n_more, scope);
}

static Status run_for(Run *r, const Node *n, Env *env) {
    Value iterable;
    TRY(jj_eval(r, n->b, env, &iterable));
    return run_loop(r, n, env, &iterable, 0);
}

Status jj_call_loop(Run *r, Loop *loop, const Args *args, Value *out) {
    Sink k = {0}, *before = r->out;
    Flow flow = r->flow;
    if (args->n != 1 || args->n_keywords > 0)
        return jj_raise(r, "LoopContext.__call__() takes 2 positional arguments but %zu were given", args->n + 1);
    if (loop->node == NULL) return jj_raise(r, "The loop must have the 'recursive' marker to be called recursively.");
    TRY(enter_call(r));
    r->out = &k;
    TRY(run_loop(r, loop->node, loop->outer, &args->items[0], loop->depth0 + 1));
    r->out = before;
    r->flow = flow;
    r->call_depth--;
    return jj_sink_value(r, &k, out);
}

/* ---- statements -------------------------------------------------------------------------------------------------- */

static Status run_if(Run *r, const Node *n, Env *env) {
    for (;;) {
        Value v;
        TRY(jj_eval(r, n->a, env, &v));
        if (jj_truth(&v)) return run_body(r, n->kids, n->n_kids, env);
        if (!n->op) return run_body(r, n->more, n->n_more, env);
        n = n->more[0];
    }
}

static Status run_set(Run *r, const Node *n, Env *env) {
    Value v;
    TRY(jj_eval(r, n->b, env, &v));
    return jj_assign(r, n->a, env, &v);
}

static Status run_chain(Run *r, const Node *chain, const Value *input, Env *env, Value *out) {
    Value before = r->input;
    r->input = *input;
    TRY(jj_eval(r, chain, env, out));
    r->input = before;
    return OK;
}

static Status run_set_block(Run *r, const Node *n, Env *env) {
    Value text, v;
    Env *scope;
    TRY(jj_env(r, env, &scope));
    TRY(jj_run_into(r, n->kids, n->n_kids, scope, &text));
    if (r->flow != FLOW_ON) return OK;
    TRY(run_chain(r, n->b, &text, env, &v));
    return jj_assign(r, n->a, env, &v);
}

static Status make_macro(Run *r, const Node *n, Env *env, Value *out) {
    Macro *m;
    TRY(JJ_NEW(r, 1, m));
    *m = (Macro){.node = n, .env = env};
    *out = (Value){.type = V_MACRO, .macro = m};
    return OK;
}

static Status run_macro(Run *r, const Node *n, Env *env) {
    Value v;
    TRY(make_macro(r, n, env, &v));
    return jj_env_set(r, env, n->name, &v);
}

static Status run_call_block(Run *r, const Node *n, Env *env) {
    Value callee, v, caller;
    Keyword extra;
    Args args;
    TRY(jj_str(r, "caller", 6, NULL, &caller)); /* kwargs may hold it as a key */
    extra.name = caller.str;
    TRY(make_macro(r, n, env, &extra.value));
    TRY(jj_eval(r, n->a->a, env, &callee));
    TRY(jj_eval_args(r, n->a, env, NULL, &extra, &args));
    TRY(jj_call(r, &callee, &args, &v));
    return jj_put_value(r, r->out, &v);
}

static Status run_filter_block(Run *r, const Node *n, Env *env) {
    Value text, v;
    Env *scope;
    TRY(jj_env(r, env, &scope));
    TRY(jj_run_into(r, n->kids, n->n_kids, scope, &text));
    if (r->flow != FLOW_ON) return OK;
    TRY(run_chain(r, n->b, &text, scope, &v));
    if (v.type != V_STRING) /* Jinja2 joins what the block gives to the text around as it is */
        return jj_raise(r, "sequence item 0: expected str instance, %s found", jj_type_name(&v));
    return jj_put_value(r, r->out, &v);
}

static Status run_with(Run *r, const Node *n, Env *env) {
    Env *scope;
    TRY(jj_env(r, env, &scope));
    for (size_t i = 0; i < n->n_more; i++) {
        Value v;
        TRY(jj_eval(r, n->more[i]->b, env, &v));
        TRY(jj_assign(r, n->more[i]->a, scope, &v));
    }
    return run_body(r, n->kids, n->n_kids, scope);
}

static Status run_block(Run *r, const Node *n, Env *env) {
    Env *scope;
    TRY(jj_env(r, n->op ? env : r->top, &scope));
    return run_body(r, n->kids, n->n_kids, scope);
}

/* What the block writes carries its number from here on, wherever the text goes. */
static Status run_generation(Run *r, const Node *n, Env *env) {
    Value text;
    Env *scope;
    Span *spans;
    TRY(jj_env(r, env, &scope));
    TRY(jj_run_into(r, n->kids, n->n_kids, scope, &text));
    Str s = *text.str;
    uint32_t id = ++r->n_generation;
    TRY(JJ_NEW(r, s.n_spans + 1, spans));
    for (size_t i = 0; i < s.n_spans; i++) {
        spans[i] = s.spans[i];
        spans[i].generation = id;
    }
    s.spans = spans;
    return jj_put_all(r, r->out, &s);
}

static Status run_break(Run *r, const Node *n, Env *env) {
    (void)env;
    r->flow = n->kind == N_BREAK ? FLOW_BREAK : FLOW_CONTINUE;
    return OK;
}

static Status run_no_loader(Run *r, const Node *n, Env *env) {
    (void)n;
    (void)env;
    return jj_raise(r, "no loader for this environment specified");
}

static Status (*const STATEMENTS[])(Run *r, const Node *n, Env *env) = {
    [N_OUTPUT] = run_output,
    [N_DATA] = run_data,
    [N_FOR] = run_for,
    [N_IF] = run_if,
    [N_SET] = run_set,
    [N_SET_BLOCK] = run_set_block,
    [N_MACRO] = run_macro,
    [N_CALL_BLOCK] = run_call_block,
    [N_FILTER_BLOCK] = run_filter_block,
    [N_WITH] = run_with,
    [N_BLOCK] = run_block,
    [N_GENERATION] = run_generation,
    [N_BREAK] = run_break,
    [N_CONTINUE] = run_break,
    [N_NO_LOADER] = run_no_loader,
};

static Status run_body(Run *r, Node *const *body, size_t n, Env *env) {
    if (++r->depth > RUN_DEPTH) return jj_limit(r, "maximum recursion depth exceeded");
    for (size_t i = 0; i < n && r->flow == FLOW_ON; i++) {
        TRY(jj_steps(r, 1));
        r->line = body[i]->line;
        CHECK(body[i]->kind >= N_OUTPUT && body[i]->kind < N_END, "node %d is no statement", (int)body[i]->kind);
        TRY(STATEMENTS[body[i]->kind](r, body[i], env));
    }
    r->depth--;
    return OK;
}

/* ---- macros ------------------------------------------------------------------------------------------------------ */

static Status set_special(Run *r, Env *scope, const char *name, const Value *v) {
    const Sym *s = symbol(r, name);
    return s != NULL ? jj_env_set(r, scope, s, v) : OK;
}

/* Takes the keyword from the list; NULL when it is not there. */
static const Value *take(const Args *args, bool *taken, const Str *name) {
    for (size_t i = 0; i < args->n_keywords; i++) {
        if (taken[i] || jj_str_compare(args->keywords[i].name, name) != 0) continue;
        taken[i] = true;
        return &args->keywords[i].value;
    }
    return NULL;
}

static const char *macro_name(Run *r, const Node *n) {
    char *text;
    if (n->name == NULL) return "None";
    return jj_printf(r, &text, "'%.*s'", (int)(n->name->str.len < 400 ? n->name->str.len : 400), n->name->str.s) == OK
               ? text
               : "?";
}

/* caller, kwargs and varargs, for macros that mention them. */
static Status bind_special(Run *r, const Node *n, const Args *args, bool *taken, bool found_caller, Env *scope) {
    static const Str CALLER = {.s = "caller", .len = 6, .chars = 6};
    Value v;
    if ((n->op & MACRO_CALLER) && !found_caller) {
        const Value *caller = take(args, taken, &CALLER);
        if (caller == NULL) TRY(jj_undefined(r, "No caller defined", NULL, NULL, &v));
        TRY(set_special(r, scope, "caller", caller != NULL ? caller : &v));
    }
    if (n->op & MACRO_KWARGS) {
        TRY(jj_dict(r, 0, &v));
        for (size_t i = 0; i < args->n_keywords; i++) {
            const Value key = {.type = V_STRING, .str = args->keywords[i].name};
            if (!taken[i]) TRY(jj_dict_set(r, v.dict, &key, &args->keywords[i].value));
        }
        TRY(set_special(r, scope, "kwargs", &v));
    } else {
        for (size_t i = 0; i < args->n_keywords; i++) {
            const Str *name = args->keywords[i].name;
            if (taken[i]) continue;
            if (take(args, taken, &CALLER) != NULL)
                return jj_raise(
                    r,
                    "macro %s was invoked with two values for the special caller argument. This is most likely a bug.",
                    macro_name(r, n));
            return jj_raise(r, "macro %s takes no keyword argument '%.*s'", macro_name(r, n),
                            (int)(name->len < 400 ? name->len : 400), name->s);
        }
    }
    size_t extra = args->n > n->n_more ? args->n - n->n_more : 0;
    if (n->op & MACRO_VARARGS) {
        TRY(jj_list(r, V_TUPLE, extra, &v));
        if (extra > 0) memcpy(v.list->items, args->items + n->n_more, extra * sizeof v);
        return set_special(r, scope, "varargs", &v);
    }
    if (extra > 0) return jj_raise(r, "macro %s takes not more than %zu argument(s)", macro_name(r, n), n->n_more);
    return OK;
}

Status jj_call_macro(Run *r, const Macro *m, const Args *args, Value *out) {
    const Node *n = m->node;
    Env *scope;
    bool *taken, found_caller = false;
    Flow flow = r->flow;
    Value v;
    int64_t line = r->line;
    TRY(enter_call(r));
    TRY(jj_env(r, m->env, &scope));
    TRY(JJ_NEW(r, args->n_keywords + 1, taken));
    const Value **given;
    TRY(JJ_NEW(r, n->n_more + 1, given));
    for (size_t i = 0; i < n->n_more; i++) {
        const Sym *name = n->more[i]->name;
        TRY(jj_steps(r, args->n_keywords)); /* take looks through them */
        given[i] = i < args->n ? &args->items[i] : take(args, taken, &name->str);
        found_caller = found_caller || jj_str_is(&name->str, "caller");
    }
    TRY(bind_special(r, n, args, taken, found_caller, scope));
    for (size_t i = 0; i < n->n_more; i++) {
        const Sym *name = n->more[i]->name;
        if (given[i] != NULL) {
            v = *given[i];
        } else if (n->more[i]->a != NULL) {
            TRY(jj_eval(r, n->more[i]->a, scope, &v));
        } else {
            char *hint;
            TRY(jj_printf(r, &hint, "parameter '%.*s' was not provided",
                          (int)(name->str.len < 400 ? name->str.len : 400), name->str.s));
            TRY(jj_undefined(r, hint, NULL, NULL, &v));
        }
        TRY(jj_env_set(r, scope, name, &v));
    }
    TRY(jj_run_into(r, n->kids, n->n_kids, scope, out));
    r->flow = flow;
    r->call_depth--;
    r->line = line;
    return OK;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

/* The variables that the template mentions. */
static Status bind_variables(Run *r, Env *env) {
    const Json *vars = r->in->variables;
    for (size_t i = 0; vars != NULL && vars->type == JSON_OBJECT && i < vars->n; i++) {
        const Sym *s = jj_find_sym(r->t, vars->list.keys[i].s, vars->list.keys[i].len);
        Value v;
        if (s == NULL || !s->variable) continue;
        TRY(jj_from_json(r, &vars->list.items[i], 0, &v));
        TRY(jj_env_set(r, env, s, &v));
    }
    return OK;
}

static Status hand_over(Run *r, const Sink *k, Buf *out) {
    JinjaSpans *s = r->result;
    TRY(buf_add(out, k->data != NULL ? k->data : "", k->len, r->e));
    TRY(ARENA_NEW(r->arena, k->n_spans, s->spans, r->e));
    TRY(ARENA_NEW(r->arena, k->n_spans, s->generation, r->e));
    size_t at = 0;
    uint32_t last = 0;
    for (size_t i = 0; i < k->n_spans; i++) {
        const Span *span = &k->spans[i];
        if (s->n_spans > 0 && s->spans[s->n_spans - 1].source == span->source)
            s->spans[s->n_spans - 1].end = span->end;
        else
            s->spans[s->n_spans++] = (JinjaSpan){.begin = at, .end = span->end, .source = span->source};
        if (span->generation != 0 && span->generation == last)
            s->generation[s->n_generation - 1].end = span->end;
        else if (span->generation != 0)
            s->generation[s->n_generation++] = (JinjaSpan){.begin = at, .end = span->end};
        last = span->generation;
        at = span->end;
    }
    return OK;
}

Status jinja_render(const JinjaTemplate *t, Arena *a, const JinjaInput *in, Buf *out, JinjaSpans *spans, Err *e) {
    const JinjaLimits *limits = &in->limits;
    Sink k = {0};
    Run r = {.t = t, .in = in, .arena = a, .e = e, .result = spans, .out = &k};
    *spans = (JinjaSpans){0};
    r.steps = limits->steps > 0 ? limits->steps : JINJA_STEPS;
    r.text_max = limits->output_bytes > 0 ? limits->output_bytes : JINJA_OUTPUT_BYTES;
    r.memory_max = limits->memory_bytes > 0 ? limits->memory_bytes : JINJA_MEMORY_BYTES;
    r.call_depth_max = limits->call_depth > 0 ? limits->call_depth : JINJA_CALL_DEPTH;
    r.memory_base = arena_used_bytes(a);
    TRY(jj_env(&r, NULL, &r.globals));
    TRY(bind_variables(&r, r.globals));
    TRY(jj_env(&r, r.globals, &r.top));
    TRY(run_body(&r, t->root->kids, t->root->n_kids, r.top));
    return hand_over(&r, &k, out);
}
