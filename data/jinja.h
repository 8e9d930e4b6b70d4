/* jinja.h: the language of chat templates: Jinja2 3.1.6 as Hugging Face transformers sets it up, for templates nobody trusts.
 *
 * Set-up: immutable sandbox, trim_blocks, lstrip_blocks, one final newline of the source dropped, no autoescape, lenient
 * Undefined, loop controls, {% generation %}, tojson as json.dumps(ensure_ascii=False), raise_exception, strftime_now,
 * namespace, dict, range. Text and error texts are Jinja2's. No template can include, import or extend another.
 *
 * Every byte of the output knows where it comes from: a string leaf of the variables, through all that the template does
 * to it (slices, strip, split, replace, case, join, tojson, macros ...), or the template itself.
 *
 * Everything a template does is bounded (JinjaLimits): time in steps, depth, output, memory. Integers have 64 bits; an
 * overflow is an error. Strings are valid UTF-8; positions and lengths inside templates count code points. */
#ifndef LORAC_DATA_JINJA_H
#define LORAC_DATA_JINJA_H

#include "base/json.h"

#include <stdbool.h>

typedef struct JinjaTemplate JinjaTemplate;

/* 0 stands for the default. A step is one node of the template run, one element visited, or 64 bytes of text moved. */
typedef struct JinjaLimits {
    int64_t steps;
    size_t output_bytes;
    size_t memory_bytes; /* values alive or not: nothing is given back before the rendering ends */
    int call_depth;      /* macros, call blocks and recursive loops inside each other */
} JinjaLimits;

enum {
    JINJA_STEPS = 20000000,
    JINJA_OUTPUT_BYTES = 1 << 26,
    JINJA_MEMORY_BYTES = 1 << 28,
    JINJA_CALL_DEPTH = 120,
    JINJA_SOURCE_BYTES = 1 << 22, /* a template's source */
};

typedef struct JinjaInput {
    const Json
        *variables; /* an object; its members are what the template sees. Must live as long as the output is used */
    int64_t now;    /* seconds since 1970-01-01T00:00Z; what strftime_now formats, as UTC */
    JinjaLimits limits;
} JinjaInput;

/* Bytes [begin, end) of the output, never empty. */
typedef struct JinjaSpan {
    size_t begin, end;
    const Json
        *source; /* the string leaf of the variables that the bytes come from; NULL: the template, keys, numbers */
} JinjaSpan;

typedef enum JinjaFailure {
    JINJA_NO_FAILURE,
    JINJA_RAISED,  /* the template called raise_exception */
    JINJA_RUNTIME, /* an error Jinja2 or Python would raise */
    JINJA_LIMIT,   /* a bound of JinjaLimits, or an integer beyond 64 bits */
} JinjaFailure;

/* What jinja_render says beside the text. Everything lives in its arena. */
typedef struct JinjaSpans {
    JinjaSpan *spans; /* in output order, without gaps: they cover the whole output; neighbours differ in source */
    size_t n_spans;
    JinjaSpan *generation; /* what {% generation %} blocks wrote, in output order; source is NULL */
    size_t n_generation;
    JinjaFailure failure;
    int64_t line;     /* on failure: the template's line, 1-based, as Jinja2 counts; 0: none */
    JsonString error; /* on failure: the whole message as raised; Err holds it cut and without control bytes */
} JinjaSpans;

/* Parses a template. Errors: ERR_FORMAT "name:line: Jinja2's reason" (name is copied), ERR_OOM. The template lives in the
 * arena and needs neither name nor source afterwards; it may be used by several threads at once. */
Status jinja_parse(Arena *a, const char *name, const char *source, size_t len, JinjaTemplate **out, Err *e);

/* Renders: appends the text to out (begin and end in spans count from the text's own start) and fills *spans (not NULL).
 * All memory, also of what is thrown away, comes from `a`, which may be out->arena: give it back by a mark.
 * Errors, with nothing but Jinja2's own text as message: ERR_DATA when the template called raise_exception (its message
 * exactly); ERR_FORMAT for any other error of the template and for limits; spans->failure and ->line say more.
 * ERR_OOM when the system has no memory. On failure out may hold the text so far. */
Status jinja_render(const JinjaTemplate *t, Arena *a, const JinjaInput *in, Buf *out, JinjaSpans *spans, Err *e);

/* Whether the template has {% generation %} blocks; whether it mentions the variable (anywhere, also where it sets it). */
bool jinja_has_generation(const JinjaTemplate *t);
bool jinja_mentions(const JinjaTemplate *t, const char *variable);

#endif
