/* json_stream.h: JSON lines in, a line out for each: what `lorac tokenize` and `lorac data render` are. */
#ifndef LORAC_TRAIN_JSON_STREAM_H
#define LORAC_TRAIN_JSON_STREAM_H

#include "base/json.h"

#include <stdio.h>

enum { JSON_STREAM_LINE_MAX = 1 << 28 };

/* Writes the answer to one value to out, with the newline; the arena is given back after the line. */
typedef Status (*JsonStreamAnswer)(void *ctx, Arena *a, const Json *value, Buf *out, Err *e);

/* Reads the JSON value on each line of `file` (NULL: the standard input) and writes its answer to `out`, flushed, before the next
 * line is read. Errors of the lines are "FILE:LINE: ...", the standard input is "stdin". Blank lines are an error like any other
 * line that is no JSON; a last line without newline counts; CRLF is accepted. A line is at most JSON_STREAM_LINE_MAX
 * bytes. Memory is that of one line. ERR_IO, ERR_STOPPED, and what `answer` gives. */
Status json_stream(const char *file, FILE *out, JsonStreamAnswer answer, void *ctx, Err *e);

#endif
