/* tokenize_stream.h: lines of JSON through a tokenizer: what `lorac tokenize` does. */
#ifndef LORAC_TRAIN_TOKENIZE_STREAM_H
#define LORAC_TRAIN_TOKENIZE_STREAM_H

#include "data/tokenizer.h"

#include <stdio.h>

enum { TOKENIZE_LINE_MAX = 1 << 28 };

/* Reads one JSON string per line of `in` (decode: one array of ids) and writes one array of ids (one string) per line of
 * `out`, flushed. name stands in messages "name:LINE". flags as for tokenizer_encode. Blank lines are an error like any
 * other line that is no string; a last line without newline counts; CRLF is accepted. A line is at most TOKENIZE_LINE_MAX
 * bytes. Decoding leaves out ids that are no
 * token, as Hugging Face does. Memory is that of one line. ERR_DATA / ERR_FORMAT for a bad line, ERR_IO. */
Status tokenize_stream(const Tokenizer *t, const char *name, FILE *in, FILE *out, unsigned flags, bool decode, Err *e);

#endif
