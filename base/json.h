/* json.h: strict JSON in and out (RFC 8259). yajl does the lexing; json.c is the only file that knows it.
 *
 * Refused, each with line and column: duplicate keys in one object, nesting deeper than JSON_DEPTH_MAX, invalid UTF-8, a
 * byte order mark, unpaired surrogate escapes, anything after the value. Strings may hold NUL (use len). A number without
 * fraction or exponent that fits int64 is JSON_INT, all else JSON_REAL (finite; overflow to infinity and more than 511
 * digits are refused), which keeps its digits where it is whole. */
#ifndef LORAC_BASE_JSON_H
#define LORAC_BASE_JSON_H

#include "base/buf.h"

enum { JSON_DEPTH_MAX = 64 };

typedef enum JsonType { JSON_NULL, JSON_BOOL, JSON_INT, JSON_REAL, JSON_STRING, JSON_ARRAY, JSON_OBJECT } JsonType;

typedef struct Json Json;
typedef struct JsonString {
    const char *s; /* NUL-terminated as well */
    size_t len;
} JsonString;

struct Json {
    JsonType type;
    uint32_t n;      /* elements of an array, members of an object */
    uint64_t offset; /* byte offset in the source: the end of a plain value, just after the bracket of a list */
    union {
        bool boolean;
        int64_t integer;
        struct {
            double real;
            const char *digits; /* of a whole number beyond int64, as written; else NULL */
        };
        JsonString string;
        struct {
            Json *items;      /* array: n values; object: n values in source order; NULL when n is 0 */
            JsonString *keys; /* object only */
        } list;
    };
};

/* Parses len bytes. name is used in messages ("name:line:col: ...", columns count characters). The tree lives in the
 * arena; strings are copies. On failure nothing stays in the arena. */
Status json_parse(Arena *a, const char *name, const char *text, size_t len, Json **out, Err *e);
/* Same, but messages start "name:LINE:COL" with LINE counted from first_line: for one line of a JSONL file. */
Status json_parse_line(Arena *a, const char *name, int64_t first_line, const char *text, size_t len, Json **out,
                       Err *e);
/* Same for text that begins at a column, from 1, of its line. */
Status json_parse_at(Arena *a, const char *name, int64_t first_line, int64_t first_column, const char *text, size_t len,
                     Json **out, Err *e);
/* Same, with another arena for what the parser needs meanwhile, which is given back to it: for many small texts. */
Status json_parse_in(Arena *a, Arena *work, const char *name, int64_t first_line, int64_t first_column,
                     const char *text, size_t len, Json **out, Err *e);
/* Reads and parses a file of at most max_bytes. */
Status json_read(Arena *a, const char *path, size_t max_bytes, Json **out, Err *e);

/* Member of an object, or NULL (also when obj is NULL or no object). Linear in the members. */
const Json *json_get(const Json *obj, const char *key);
/* Typed access with a message naming `what` (for example the file) and the key. Missing or of another type: error. */
Status json_want_int(const Json *obj, const char *what, const char *key, int64_t min, int64_t max, int64_t *out,
                     Err *e);
Status json_want_real(const Json *obj, const char *what, const char *key, double *out, Err *e);
Status json_want_string(const Json *obj, const char *what, const char *key, JsonString *out, Err *e);
Status json_want_bool(const Json *obj, const char *what, const char *key, bool *out, Err *e);
/* True when v is a number; *out is its value as a double. */
bool json_number(const Json *v, double *out);
bool json_is_string(const Json *v, const char *s);
const char *json_type_name(JsonType t);

/* Writing: text goes to a Buf. Strings are written with minimal escapes (ensure_ascii off), invalid UTF-8 bytes as
 * U+FFFD. Reals are written with the fewest digits that read back equal, and a point or exponent; inf and nan as null. */
Status json_put_string(Buf *b, const char *s, size_t len, Err *e);
Status json_put_real(Buf *b, double v, Err *e);
Status json_put_value(Buf *b, const Json *v, Err *e); /* compact: no spaces */
/* ,"key":value: a further member of an object; the key needs no escapes. */
Status json_put_int_member(Buf *b, const char *key, int64_t v, Err *e);
Status json_put_real_member(Buf *b, const char *key, double v, Err *e);

#endif
