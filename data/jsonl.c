/* jsonl.c: see jsonl.h.
 *
 * In an array a row's end is found by counting brackets outside of strings; whether what lies between is JSON is json.h's
 * to say. */
#include "data/jsonl.h"

#include <stdio.h>
#include <string.h>

enum { LOOK_AHEAD = 1 << 16 };

static const char *path_of(const Jsonl *j) { return j->bytes.map.path; }

/* ---- what kind of file ------------------------------------------------------------------------------------------- */

/* Files that people take for JSON now and then. */
static Status refuse_others(const Jsonl *j, Err *e) {
    static const struct {
        const char *what, *advice;
        size_t at, n;
        char bytes[8];
    } OTHERS[] = {
        {"UTF-16 text", "save it as UTF-8", 0, 2, "\xFF\xFE"},
        {"UTF-16 text", "save it as UTF-8", 0, 2, "\xFE\xFF"},
        {"a Parquet file", "convert it to JSONL", 0, 4, "PAR1"},
        {"an Arrow file", "convert it to JSONL", 0, 6, "ARROW1"},
        {"a zip archive", "unpack it", 0, 4, "PK\3\4"},
        {"xz data", "unpack it, or compress it with gzip or zstd", 0, 6,
         "\xFD"
         "7zXZ"},
        {"bzip2 data", "unpack it, or compress it with gzip or zstd", 0, 3, "BZh"},
        {"a tar archive", "unpack it", 257, 5, "ustar"},
        {"compressed twice", "unpack it once", 0, 2, "\x1f\x8b"},
    };
    const Bytes *b = &j->bytes;
    for (size_t i = 0; i < sizeof OTHERS / sizeof OTHERS[0]; i++) {
        if (b->n < OTHERS[i].at + OTHERS[i].n) continue;
        if (memcmp(b->data + OTHERS[i].at, OTHERS[i].bytes, OTHERS[i].n) != 0) continue;
        FAIL(e, ERR_DATA, "%s: is %s, expected JSONL or a JSON array; %s", path_of(j), OTHERS[i].what,
             OTHERS[i].advice);
    }
    return OK;
}

/* Moves past n bytes at hand, counting lines and characters. */
static void pass(Jsonl *j, size_t n) {
    const uint8_t *s = j->bytes.data;
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '\n') {
            j->crlf = j->crlf || (i > 0 && s[i - 1] == '\r');
            j->at_line++;
            j->at_column = 1;
        } else if ((s[i] & 0xC0) != 0x80) {
            j->at_column++;
        }
    }
    bytes_skip(&j->bytes, n);
}

static bool is_space(uint8_t c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

/* Finds out whether it is an array; blank lines before the first row are passed over. */
static Status detect(Jsonl *j, Err *e) {
    for (;;) {
        size_t first = 0, lines = 0;
        TRY(bytes_want(&j->bytes, LOOK_AHEAD, e));
        const Bytes *b = &j->bytes;
        size_t n = b->n < LOOK_AHEAD ? b->n : LOOK_AHEAD;
        for (; first < n && is_space(b->data[first]); first++) {
            if (b->data[first] == '\n') lines = first + 1;
        }
        if (first < n) {
            j->array = b->data[first] == '[';
            if (j->array) pass(j, first + 1);
            return OK;
        }
        if (lines == 0) return OK; /* the end, or a line of blanks that is longer than anybody writes */
        pass(j, lines);
    }
}

static Status begin(Jsonl *j, Err *e) {
    TRY(bytes_want(&j->bytes, LOOK_AHEAD, e));
    if (j->bytes.n >= 3 && memcmp(j->bytes.data, "\xEF\xBB\xBF", 3) == 0) {
        j->bom = true;
        bytes_skip(&j->bytes, 3);
    }
    TRY(refuse_others(j, e));
    return detect(j, e);
}

Status jsonl_open(const char *path, Jsonl *out, Err *e) {
    *out = (Jsonl){.at_line = 1, .at_column = 1};
    TRY(bytes_open(path, &out->bytes, e));
    Status st = begin(out, e);
    if (st != OK) jsonl_close(out);
    return st;
}

void jsonl_close(Jsonl *j) { bytes_close(&j->bytes); }

/* ---- lines ------------------------------------------------------------------------------------------------------- */

/* Bytes of the line at hand without its end, at most JSONL_LINE_MAX + 1; *whole when its end, or the file's, is at hand. */
static Status find_end(Jsonl *j, size_t *n, bool *whole, Err *e) {
    size_t seen = 0;
    for (;;) {
        const Bytes *b = &j->bytes;
        const uint8_t *end = b->n > seen ? memchr(b->data + seen, '\n', b->n - seen) : NULL;
        seen = b->n;
        *n = end != NULL ? (size_t)(end - b->data) : b->n;
        *whole = end != NULL || b->end;
        if (*whole || *n > JSONL_LINE_MAX) return OK;
        TRY(bytes_want(&j->bytes, b->n < LOOK_AHEAD ? 2 * LOOK_AHEAD : b->n + b->n / 2, e));
    }
}

static void next_line(Jsonl *j, size_t n) {
    bytes_skip(&j->bytes, n + (j->bytes.n > n ? 1 : 0));
    j->at_line++;
}

static Status skip_line(Jsonl *j, Err *e) {
    while (j->skip_line) {
        size_t n;
        bool whole;
        TRY(find_end(j, &n, &whole, e));
        j->skip_line = !whole;
        if (whole)
            next_line(j, n);
        else
            bytes_skip(&j->bytes, n);
    }
    return OK;
}

static bool is_blank(const uint8_t *s, size_t len) {
    for (size_t i = 0; i < len; i++) {
        if (s[i] != ' ' && s[i] != '\t') return false;
    }
    return true;
}

static Status line_next(Jsonl *j, const char **text, size_t *len, Err *e) {
    TRY(skip_line(j, e));
    for (;;) {
        size_t n;
        bool whole;
        TRY(find_end(j, &n, &whole, e));
        if (n == 0 && j->bytes.n == 0) return OK;
        const uint8_t *s = j->bytes.data;
        j->line = j->at_line;
        size_t used = n > 0 && s[n - 1] == '\r' ? n - 1 : n;
        j->crlf = j->crlf || used < n;
        if (used > JSONL_LINE_MAX) {
            j->skip_line = true;
            j->done = false;
            FAIL(e, ERR_DATA, "%s:%lld: the line is too long (more than %d bytes)", path_of(j), (long long)j->line,
                 (int)JSONL_LINE_MAX);
        }
        if (is_blank(s, used)) {
            next_line(j, n);
            continue;
        }
        *text = (const char *)s;
        *len = used;
        j->given = n;
        return OK;
    }
}

/* ---- elements of an array ---------------------------------------------------------------------------------------- */

static Status array_failed(Jsonl *j, Err *e, const char *what) {
    FAIL(e, ERR_DATA, "%s:%lld:%lld: %s", path_of(j), (long long)j->at_line, (long long)j->at_column, what);
}

/* Moves to the next byte that is not blank; 0 at the end of the file. */
static Status next_byte(Jsonl *j, uint8_t *out, Err *e) {
    for (;;) {
        size_t n = 0;
        TRY(bytes_want(&j->bytes, 1, e));
        while (n < j->bytes.n && is_space(j->bytes.data[n])) n++;
        *out = n < j->bytes.n ? j->bytes.data[n] : 0;
        bool found = n < j->bytes.n;
        pass(j, n);
        if (found || j->bytes.end) return OK;
    }
}

/* Where the scan of an element stands. */
typedef struct Scan {
    size_t at;
    int64_t depth;
    bool in_string, escaped, ended;
} Scan;

/* Moves on through bytes at hand until the element ends. Brackets and strings end behind their last byte; a plain value
 * ends before what cannot belong to it. */
static void scan(Scan *s, const uint8_t *data, size_t n) {
    for (; s->at < n && !s->ended; s->at++) {
        uint8_t c = data[s->at];
        if (s->in_string) {
            bool closes = c == '"' && !s->escaped;
            s->escaped = c == '\\' && !s->escaped;
            s->in_string = !closes;
            s->ended = closes && s->depth == 0;
        } else if (c == '"') {
            s->in_string = true;
        } else if (c == '{' || c == '[') {
            s->depth++;
        } else if (s->depth > 0) {
            if (c == '}' || c == ']') s->ended = --s->depth == 0;
        } else if (c == ',' || c == ']' || is_space(c)) {
            s->ended = true;
            return;
        }
    }
}

static Status scan_element(Jsonl *j, size_t *len, Err *e) {
    Scan s = {0};
    for (;;) {
        const Bytes *b = &j->bytes;
        size_t n = b->n < JSONL_LINE_MAX ? b->n : JSONL_LINE_MAX;
        scan(&s, b->data, n);
        if (s.ended) break;
        if (b->n > JSONL_LINE_MAX) return array_failed(j, e, "the element that begins here is too long (over 64 MiB)");
        if (b->end) return array_failed(j, e, "the file ends within the element that begins here");
        TRY(bytes_want(&j->bytes, b->n < LOOK_AHEAD ? 2 * LOOK_AHEAD : b->n + b->n / 2, e));
    }
    *len = s.at;
    return OK;
}

/* Only blanks may follow the array. */
static Status end_array(Jsonl *j, Err *e) {
    uint8_t c;
    pass(j, 1);
    TRY(next_byte(j, &c, e));
    if (j->bytes.n > 0) return array_failed(j, e, "text follows the array");
    return OK;
}

static Status element_next(Jsonl *j, const char **text, size_t *len, Err *e) {
    uint8_t c;
    TRY(next_byte(j, &c, e));
    if (c == ']') return end_array(j, e);
    if (j->element > 0) {
        if (j->bytes.n == 0) return array_failed(j, e, "the array is not closed; ']' is missing");
        if (c != ',') return array_failed(j, e, "expected ',' or ']' after an element of the array");
        pass(j, 1);
        TRY(next_byte(j, &c, e));
    }
    if (j->bytes.n == 0) return array_failed(j, e, "the array is not closed; ']' is missing");
    if (c == ',' || c == ']') return array_failed(j, e, "expected an element of the array");
    j->line = j->at_line;
    j->element++;
    TRY(scan_element(j, len, e));
    *text = (const char *)j->bytes.data;
    j->given = *len;
    return OK;
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

Status jsonl_next(Jsonl *j, const char **text, size_t *len, Err *e) {
    *text = NULL;
    *len = 0;
    if (j->done) return OK;
    if (j->given > 0 && j->array) pass(j, j->given);
    if (j->given > 0 && !j->array) next_line(j, j->given);
    j->given = 0;
    j->done = true; /* unless a row is found */
    TRY(j->array ? element_next(j, text, len, e) : line_next(j, text, len, e));
    j->done = *text == NULL;
    return OK;
}

Status jsonl_parse(Jsonl *j, Arena *a, Json **out, Err *e) {
    const char *text;
    size_t len;
    *out = NULL;
    TRY(jsonl_next(j, &text, &len, e));
    if (text == NULL) return OK;
    Status st = json_parse_at(a, path_of(j), j->line, j->array ? j->at_column : 1, text, len, out, e);
    if (st != ERR_FORMAT) return st;
    if (e != NULL) e->status = ERR_DATA; /* a bad row, whatever is bad in it */
    return ERR_DATA;
}

const char *jsonl_place(const Jsonl *j, char text[JSONL_PLACE_BYTES]) {
    int n = snprintf(text, JSONL_PLACE_BYTES, ":%lld", (long long)j->line);
    if (j->array) snprintf(text + n, JSONL_PLACE_BYTES - (size_t)n, ": element %lld", (long long)j->element);
    return text;
}
