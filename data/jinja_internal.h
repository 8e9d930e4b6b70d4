/* jinja_internal.h: what the files of the template engine share: tree, values, run. Nobody else includes it.
 *
 * jinja_lex.c cuts the source into tokens, jinja_parse*.c make the tree, jinja_run.c runs statements, jinja_eval.c
 * expressions. Values are jinja_value.c (strings with provenance, lists, dicts), jinja_repr.c (str and repr), jinja_ops.c
 * (operators), jinja_access.c (attributes, items, iteration), and what templates call: jinja_filters*.c, jinja_tests.c,
 * jinja_methods*.c, jinja_format.c, jinja_json.c.
 *
 * Errors: a function that fails has filled Run's message (jj_raise, jj_limit) and gives a Status that TRY hands up. */
#ifndef LORAC_DATA_JINJA_INTERNAL_H
#define LORAC_DATA_JINJA_INTERNAL_H

#include "data/jinja.h"

#include <string.h>

/* ---- values ------------------------------------------------------------------------------------------------------ */

/* Bytes up to end (from the end of the span before) come from source; generation: 0, or the number of the block. */
typedef struct Span {
    size_t end;
    const Json *source;
    uint32_t generation;
} Span;

typedef struct Str {
    const char *s; /* valid UTF-8, not NUL-terminated */
    size_t len, chars;
    const Span *spans;
    size_t n_spans;
    bool markup; /* Markup: what + and % join to it is escaped for HTML */
    Span one;    /* room for the usual single span */
} Str;

typedef enum Type {
    V_MISSING, /* an argument that was not given; never seen by templates */
    V_UNDEFINED,
    V_NONE,
    V_BOOL,
    V_INT,
    V_FLOAT,
    V_DIGITS, /* a whole number beyond 64 bits, of the variables: it can be written and compared for equality, no more */
    V_STRING,
    V_LIST,
    V_TUPLE,
    V_DICT,
    V_VIEW,
    V_RANGE,
    V_ITER,
    V_NAMESPACE,
    V_LOOP,
    V_MACRO,
    V_FUNCTION,
    V_METHOD,
    V_CYCLER,
    V_JOINER,
} Type;

typedef struct Value Value;
struct Value {
    Type type;
    union {
        bool b;
        int64_t i;
        double f;
        const char *digits;
        const Str *str;
        struct List *list; /* V_LIST, V_TUPLE */
        struct Dict *dict; /* V_DICT, V_NAMESPACE */
        struct View *view;
        struct Range *range;
        struct Iter *iter;
        struct Loop *loop;
        struct Macro *macro;
        struct Method *method;
        const struct Function *function;
        struct Cycler *cycler; /* V_CYCLER, V_JOINER */
        struct Undefined *undefined;
    };
};

typedef struct List {
    Value *items;
    size_t n;
} List;

typedef struct Dict {
    Value *keys, *values;
    size_t n, cap;
    uint32_t *slots; /* hash table over the entries, or NULL while they are few */
    size_t n_slots;
} Dict;

typedef enum ViewKind { VIEW_KEYS, VIEW_VALUES, VIEW_ITEMS } ViewKind;
typedef struct View {
    const Dict *dict;
    ViewKind kind;
} View;

typedef struct Range {
    int64_t start, stop, step;
    size_t n;
} Range;

/* Why a generator has no further element: raised when one is asked for. */
typedef struct Late {
    JinjaFailure failure;
    Status status;
    JsonString error;
} Late;

/* A generator or iterator: its elements are known, each is seen once. */
typedef struct Iter {
    Value *items;
    size_t n, at;
    const char *type_name;
    const Late *late; /* behind the last element, or NULL */
} Iter;

typedef struct Undefined {
    const char *hint; /* the whole message, or NULL */
    Value object;     /* V_MISSING: a variable */
    Value name;
} Undefined;

typedef struct Env Env;
typedef struct Node Node;

typedef struct Loop {
    const Value *items;
    size_t n, index0;
    int depth0;
    const Node *node; /* of a recursive loop, else NULL */
    Env *outer;
    bool has_changed;
    Value changed; /* tuple of the last call of loop.changed */
} Loop;

typedef struct Macro {
    const Node *node;
    Env *env;
} Macro;

typedef struct Cycler {
    Value *items;
    size_t n, at;
    Value separator; /* joiner */
} Cycler;

/* ---- the tree ---------------------------------------------------------------------------------------------------- */

/* An interned name: equal names are one pointer. */
typedef struct Sym {
    struct Sym *next;
    Str str;
    bool variable; /* is read or set as a variable somewhere */
} Sym;

typedef enum NodeKind {
    /* expressions: the order of EVALUATORS in jinja_eval.c */
    N_CONST,
    N_NAME,
    N_TUPLE,
    N_LIST,
    N_DICT,    /* kids: key, value, key, value ... */
    N_CONCAT,  /* kids */
    N_COMPARE, /* a, then kids: N_OPERAND (op, a) */
    N_AND,
    N_OR,
    N_NOT,
    N_UNARY, /* op '-' or '+' */
    N_BINARY,
    N_CONDITION, /* a if b else c */
    N_ATTRIBUTE, /* a.name */
    N_ITEM,      /* a[b] */
    N_SLICE,     /* a[b:c:d] */
    N_CALL,      /* a(kids, more: N_KEYWORD, *b, **c) */
    N_FILTER,    /* name */
    N_TEST,      /* name */
    N_INPUT,     /* what {% filter %} and {% set x | f %} put into their chain */
    N_EXPRESSIONS,
    /* parts */
    N_OPERAND,
    N_KEYWORD, /* name, a */
    N_PARAM,   /* name, a: default or NULL */
    N_NSREF,   /* name . value(string) */
    N_BARE_SLICE,
    /* statements: the order of STATEMENTS in jinja_run.c */
    N_OUTPUT, /* kids */
    N_DATA,
    N_FOR, /* a in b if c; kids, else: more; op: recursive */
    N_IF,  /* a; kids, else: more */
    N_SET, /* a = b */
    N_SET_BLOCK,
    N_MACRO, /* name; more: N_PARAM; kids */
    N_CALL_BLOCK,
    N_FILTER_BLOCK,
    N_WITH, /* more: N_SET; kids */
    N_BLOCK,
    N_GENERATION,
    N_BREAK,
    N_CONTINUE,
    N_NO_LOADER, /* include, import, extends */
    N_END,
} NodeKind;

enum { MACRO_CALLER = 1, MACRO_KWARGS = 2, MACRO_VARARGS = 4 };

typedef enum Op {
    OP_ADD,
    OP_SUB,
    OP_MUL,
    OP_DIV,
    OP_FLOORDIV,
    OP_MOD,
    OP_POW,
    OP_EQ,
    OP_NE,
    OP_LT,
    OP_LE,
    OP_GT,
    OP_GE,
    OP_IN,
    OP_NOT_IN,
} Op;

struct Node {
    NodeKind kind;
    int op;
    int64_t line;
    Sym *name;
    Value value;
    Node *a, *b, *c, *d;
    Node **kids, **more;
    size_t n_kids, n_more;
    const struct Function *function; /* the filter or test, NULL: unknown */
};

enum { SYM_BUCKETS = 1 << 14, PARSE_DEPTH = 120 }; /* a source holds up to a million names */

struct JinjaTemplate {
    Node *root; /* N_BLOCK */
    Sym *syms[SYM_BUCKETS];
    bool has_generation;
};

/* ---- the source -------------------------------------------------------------------------------------------------- */

typedef enum TokenType {
    T_EOF,
    T_DATA,
    T_VARIABLE_BEGIN,
    T_VARIABLE_END,
    T_BLOCK_BEGIN,
    T_BLOCK_END,
    T_NAME,
    T_STRING,
    T_INTEGER,
    T_FLOAT,
    T_ERROR, /* text: what is wrong; the parser says it when it gets here */
    T_ADD,
    T_SUB,
    T_DIV,
    T_FLOORDIV,
    T_MUL,
    T_MOD,
    T_POW,
    T_TILDE,
    T_LBRACKET,
    T_RBRACKET,
    T_LPAREN,
    T_RPAREN,
    T_LBRACE,
    T_RBRACE,
    T_EQ,
    T_NE,
    T_GT,
    T_GE,
    T_LT,
    T_LE,
    T_ASSIGN,
    T_DOT,
    T_COLON,
    T_PIPE,
    T_COMMA,
    T_SEMICOLON,
} TokenType;

typedef struct Token {
    TokenType type;
    int64_t line;
    const char *s; /* data, name, string (unescaped), error */
    size_t len;
    int64_t integer;
    double real;
} Token;

/* All tokens of a source, ended by T_EOF or T_ERROR. */
Status jj_lex(Arena *a, const char *source, size_t len, Token **tokens, size_t *n, Err *e);

typedef struct Parser {
    Arena *arena;
    const char *name;
    const Token *tokens;
    size_t at;
    JinjaTemplate *t;
    Err *e;
    int depth, soft, loops, in_generation;
    Node **unknown; /* filters and tests that nobody knows, outside of conditions: an error once all is parsed */
    size_t n_unknown;
    Node *macros[PARSE_DEPTH + 1]; /* enclosing macros and call blocks */
    int n_macros;
    const char *tags[PARSE_DEPTH + 1];
    int n_tags;
    const char *const *ends[PARSE_DEPTH + 1]; /* NULL-ended lists of the tags that are looked for */
    int n_ends;
} Parser;

/* Fails with "name:line: reason". */
Status jj_parse_fail(Parser *p, int64_t line, const char *format, ...) __attribute__((format(printf, 3, 4)));
const char *jj_token_text(Parser *p, const Token *t);
bool jj_is_name(const Token *t, const char *name);
Status jj_expect(Parser *p, TokenType type);
Status jj_expect_name(Parser *p, const char *name);
Status jj_advance(Parser *p); /* a bad token behind this one is an error */
Status jj_node(Parser *p, NodeKind kind, int64_t line, Node **out);
Status jj_add_node(Parser *p, Node ***list, size_t *n, Node *node);
Status jj_sym(Parser *p, const char *s, size_t len, Sym **out);
/* The name as the template mentions it, or NULL. */
const Sym *jj_find_sym(const JinjaTemplate *t, const char *s, size_t len);
Status jj_enter(Parser *p);

enum { TUPLE_NO_CONDITION = 1, TUPLE_PARENTHESES = 2, TUPLE_SIMPLE = 4, TUPLE_NAMESPACE = 8 };
Status jj_parse_expression(Parser *p, Node **out);
Status jj_parse_tuple(Parser *p, unsigned how, const char *end, Node **out);
Status jj_parse_filter_chain(Parser *p, Node *input, bool inline_first, Node **out);
Status jj_parse_primary(Parser *p, bool with_namespace, Node **out);

/* ---- a run ------------------------------------------------------------------------------------------------------- */

typedef struct Var {
    const Sym *name;
    Value value;
} Var;
struct Env {
    Env *parent;
    Var *vars;
    size_t n, cap;
};

/* A text that grows. */
typedef struct Sink {
    char *data;
    size_t len, cap;
    Span *spans;
    size_t n_spans, cap_spans;
} Sink;

typedef enum Flow { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE } Flow;

typedef struct Run {
    const JinjaTemplate *t;
    const JinjaInput *in;
    Arena *arena;
    Err *e;
    JinjaSpans *result;
    int64_t steps; /* left */
    size_t memory_base, memory_max, text_max;
    int call_depth_max;
    char *chunk;
    size_t chunk_left;
    int depth, call_depth;
    int64_t line;
    Flow flow;
    Sink *out;
    Env *globals, *top;
    Value input; /* N_INPUT */
    uint32_t n_generation;
} Run;

enum {
    RUN_DEPTH = 1200,   /* nodes inside each other: bounds the C stack */
    VALUE_DEPTH = 200,  /* values inside each other, where they are walked */
    RANGE_MAX = 100000, /* Jinja2's sandbox has the same */
};

/* Python's or Jinja2's own message; a bound; raise_exception. */
Status jj_raise(Run *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
Status jj_limit(Run *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
Status jj_raise_text(Run *r, JinjaFailure failure, Status status, const char *s, size_t len);
Status jj_steps(Run *r, size_t n);
/* Zeroed memory within the limit. */
Status jj_alloc(Run *r, size_t n, size_t size, void *out);
#define JJ_NEW(r, n, ptr) jj_alloc((r), (size_t)(n), sizeof *(ptr), &(ptr))
/* A NUL-terminated text in the arena, cut at 400 bytes of each %s: for messages. */
Status jj_printf(Run *r, char **out, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* ---- jinja_value.c */
Status jj_put(Run *r, Sink *k, const char *s, size_t len, const Json *source);
Status jj_put_str(Run *r, Sink *k, const Str *s, size_t begin, size_t end);
Status jj_put_all(Run *r, Sink *k, const Str *s);
Status jj_puts(Run *r, Sink *k, const char *s);
Status jj_put_spaces(Run *r, Sink *k, size_t n);
Status jj_sink_value(Run *r, Sink *k, Value *out);
Status jj_str(Run *r, const char *s, size_t len, const Json *source, Value *out); /* not copied */
Status jj_text(Run *r, const char *s, Value *out);                                /* copied */
Status jj_substr(Run *r, const Str *s, size_t begin, size_t end, Value *out);
/* Text that stands for what s has at `at` (or at its end). */
Status jj_put_like(Run *r, Sink *k, const char *text, size_t len, const Str *s, size_t at);
Status jj_as_markup(Run *r, const Value *v, Value *out);
size_t jj_char_at(const Str *s, size_t index); /* byte offset of a code point */
size_t jj_char_len(const char *s);
size_t jj_count_chars(const char *s, size_t len);
int jj_str_compare(const Str *a, const Str *b);
bool jj_str_is(const Str *s, const char *text);
Status jj_list(Run *r, Type type, size_t n, Value *out); /* items are V_MISSING */
Status jj_dict(Run *r, size_t cap, Value *out);
Status jj_dict_set(Run *r, Dict *d, const Value *key, const Value *value);
Status jj_dict_find(Run *r, const Dict *d, const Value *key, const Value **out); /* NULL when absent */
const Value *jj_dict_text(const Dict *d, const char *key);
Status jj_undefined(Run *r, const char *hint, const Value *object, const Value *name, Value *out);
Status jj_undefined_text(Run *r, const Undefined *u, const char **out);
Status jj_fail_undefined(Run *r, const Value *v);
Status jj_from_json(Run *r, const Json *j, int depth, Value *out);
Value jj_bool(bool b);
Value jj_int(int64_t i);
Value jj_float(double f);
/* The error of a whole number that the engine cannot count with. */
Status jj_leaves_64_bits(Run *r);
Value jj_none(void);

/* ---- jinja_repr.c */
const char *jj_type_name(const Value *v);
const char *jj_object_name(Run *r, const Value *v);   /* Jinja2's object_type_repr */
Status jj_put_value(Run *r, Sink *k, const Value *v); /* str() */
Status jj_put_repr(Run *r, Sink *k, const Value *v, int depth);
Status jj_to_str(Run *r, const Value *v, const Str **out); /* str(); a string stays what it is */
Status jj_repr_text(Run *r, const Value *v, const char **out);
void jj_float_repr(double f, char out[40]);

/* ---- jinja_ops.c */
bool jj_truth(const Value *v);
Status jj_equal(Run *r, const Value *a, const Value *b, int depth, bool *out);
Status jj_compare(Run *r, Op op, const Value *a, const Value *b, int depth, bool *out);
Status jj_contains(Run *r, const Value *container, const Value *v, bool *out);
Status jj_binary(Run *r, Op op, const Value *a, const Value *b, Value *out);
Status jj_unary(Run *r, int op, const Value *a, Value *out);
Status jj_hash(Run *r, const Value *v, int depth, uint64_t *out); /* fails as Python does for what has no hash */
bool jj_number(const Value *v, double *out);                      /* int, float, bool */
bool jj_index(const Value *v, int64_t *out);                      /* int, bool */
Status jj_escape_html(Run *r, const Value *v, Value *out);
Status jj_escaped_parts(Run *r, const Value *v,
                        Value *out); /* each string inside escaped: arguments of Markup's methods */

/* ---- jinja_access.c */
Status jj_attribute(Run *r, const Value *v, const Str *name, Value *out);
Status jj_attribute_only(Run *r, const Value *v, const Str *name, Value *out); /* never an item */
Status jj_item(Run *r, const Value *v, const Value *key, Value *out);
Status jj_slice(Run *r, const Value *v, const Value bounds[3], Value *out);
Status jj_length(Run *r, const Value *v, size_t *out);
/* The elements, as an array that nobody changes; fails with "'int' object is not iterable". A generator is used up. */
Status jj_elements(Run *r, const Value *v, const Value **items, size_t *n);
bool jj_is_iterable(const Value *v);
Status jj_view_item(Run *r, const View *v, size_t i, Value *out);
Status jj_iter(Run *r, const char *type_name, Value *items, size_t n, Value *out);

/* ---- calls */
typedef struct Keyword {
    const Str *name;
    Value value;
} Keyword;
typedef struct Args {
    const Value *items;
    size_t n;
    const Keyword *keywords;
    size_t n_keywords;
} Args;

enum { PARAMS_MAX = 6 };
/* A filter, test, method or global. params: "s width=4 first=": names, those with = may be left out (V_MISSING); "*" last:
 * all is handed over as it comes and the function sees `args` only. A filter's first parameter is what is filtered. */
typedef struct Function {
    const char *name, *python_name, *params;
    Status (*call)(Run *r, const Value *self, const Value *v, const Args *args, Value *out);
} Function;

typedef struct Method {
    Value self;
    const Function *function;
} Method;

Status jj_call(Run *r, const Value *callee, const Args *args, Value *out);
Status jj_call_function(Run *r, const Function *f, const Value *self, const Args *args, Value *out);
Status jj_call_macro(Run *r, const Macro *m, const Args *args, Value *out);
Status jj_call_loop(Run *r, Loop *loop, const Args *args, Value *out);
Status jj_run_into(Run *r, Node *const *body, size_t n, Env *env, Value *out); /* the text of statements */
Status jj_env(Run *r, Env *parent, Env **out);
Status jj_env_set(Run *r, Env *env, const Sym *name, const Value *value);
Status jj_assign(Run *r, const Node *target, Env *env, const Value *value);
Status jj_eval(Run *r, const Node *n, Env *env, Value *out);
Status jj_eval_args(Run *r, const Node *n, Env *env, const Value *first, const Keyword *extra, Args *out);

const Function *jj_find_filter(const char *name, size_t len);
const Function *jj_find_test(const char *name, size_t len);
const Function *jj_find_method(const Value *v, const Str *name, bool *unsafe);
const Function *jj_find_global(const char *name, size_t len);
const Function *jj_find_in(const Function *table, size_t n, const char *name, size_t len);
Status jj_call_named(Run *r, bool is_filter, const Value *name, const Args *args, Value *out);
extern const Function JJ_TEXT_FILTERS[], JJ_LIST_FILTERS[], JJ_TEXT_METHODS[], JJ_STR_METHODS[], JJ_LOOP_METHODS[];
extern const size_t JJ_N_TEXT_FILTERS, JJ_N_LIST_FILTERS, JJ_N_TEXT_METHODS, JJ_N_STR_METHODS, JJ_N_LOOP_METHODS;

/* ---- text */
Status jj_percent(Run *r, const Str *format, const Value *values, Value *out);
Status jj_format(Run *r, const Str *format, const Args *args, Value *out);
Status jj_tojson(Run *r, const Value *self, const Value *v, const Args *args, Value *out);
Status jj_strftime(Run *r, const Str *format, Value *out);
Status jj_split(Run *r, const Str *s, const Value *sep, int64_t max, bool from_right, Value *out);
Status jj_splitlines(Run *r, const Str *s, bool keep, Value *out);
Status jj_replace(Run *r, const Str *s, const Str *old, const Str *new_, int64_t count, Value *out);
Status jj_strip(Run *r, const Str *s, const Value *chars, int sides, Value *out); /* 1 left, 2 right */
Status jj_join(Run *r, const Str *separator, const Value *items, size_t n, Value *out);
Status jj_rfind(Run *r, const Str *s, size_t end, const Str *what, bool *found, size_t *at);
bool jj_find_bytes(const Str *s, size_t from, const Str *what, size_t *at);
Status jj_parse_int(const Str *s, int base, bool *ok, bool *overflow, int64_t *out);
bool jj_parse_float(const Str *s, double *out);

typedef enum Case { CASE_UPPER, CASE_LOWER, CASE_TITLE, CASE_FOLD } Case;
/* Python's str.upper and so on of bytes [begin, end) of s; whether a sigma ends a word depends on the whole of s. */
Status jj_put_case(Run *r, Sink *k, const Str *s, size_t begin, size_t end, Case c);
bool jj_is_space(uint32_t cp);
bool jj_is_printable(uint32_t cp);
bool jj_is_cased(uint32_t cp, bool *upper, bool *lower, bool *title);
typedef enum CharClass {
    CHAR_ALPHA,
    CHAR_DECIMAL,
    CHAR_DIGIT,
    CHAR_NUMERIC,
    CHAR_SPACE,
    CHAR_WORD,
    CHAR_PRINTABLE
} CharClass;
bool jj_char_is(uint32_t cp, CharClass c);

#endif
