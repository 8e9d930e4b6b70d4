/* jsonl.h: a JSONL file line by line. The file is mapped; one line is parsed at a time, so memory is that of one line.
 *
 * Lines end in LF or CRLF, the last may lack its end; a UTF-8 byte order mark at the start and lines of only blanks are
 * skipped. Refused, with FILE:LINE: lines over JSONL_LINE_MAX bytes, invalid UTF-8 and all that json.h refuses. */
#ifndef LORAC_DATA_JSONL_H
#define LORAC_DATA_JSONL_H

#include "base/file.h"
#include "base/json.h"

enum { JSONL_LINE_MAX = 16 << 20 };

typedef struct Jsonl {
    FileMap map;
    size_t at;         /* of the next line */
    size_t given_back; /* pages before it were read and may go */
    int64_t line;      /* number of the line last given, from 1 */
} Jsonl;

Status jsonl_open(const char *path, Jsonl *out, Err *e);
void jsonl_close(Jsonl *j);
/* The next line that is not blank, without its end; false when there is none. */
bool jsonl_next(Jsonl *j, const char **text, size_t *len);
/* The same, parsed into the arena; *out is NULL at the end. The caller gives the arena's memory back per line. */
Status jsonl_parse(Jsonl *j, Arena *a, Json **out, Err *e);

#endif
