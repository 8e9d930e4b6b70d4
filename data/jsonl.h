/* jsonl.h: the rows of a data file: JSON values, one a line (JSONL), or the elements of one array. Which it is shows the
 * first byte that is not blank: '[' begins an array. Either may be compressed (bytes.h). One row is parsed at a time, so
 * memory is that of one row.
 *
 * Lines end in LF or CRLF, the last may lack its end; a UTF-8 byte order mark at the start and lines of only blanks are
 * skipped. Line numbers count within the decompressed file. Refused, with FILE:LINE: rows over JSONL_LINE_MAX bytes,
 * invalid UTF-8 and all that json.h refuses, arrays that are not closed or have anything behind them; and files that are
 * surely something else (UTF-16, Parquet, zip ...), by name. */
#ifndef LORAC_DATA_JSONL_H
#define LORAC_DATA_JSONL_H

#include "base/json.h"
#include "data/bytes.h"

enum { JSONL_LINE_MAX = 64 << 20, JSONL_PLACE_BYTES = 64 };

typedef struct Jsonl {
    Bytes bytes;
    bool array;
    int64_t line;    /* where the row last given begins, from 1 */
    int64_t element; /* its number in an array, from 1 */
    /* No further row can be read: the end was reached, or what is bad leaves no place to go on from. After any other
     * ERR_DATA the next call goes on with the next row. */
    bool done;
    size_t given;               /* bytes of the row last given that are still at hand */
    int64_t at_line, at_column; /* of the next byte at hand, from 1; columns count characters and matter in arrays */
    bool skip_line;             /* the rest of a line that was too long is passed over */
    bool bom, crlf;             /* seen so far: a byte order mark at the start, a line that ends in CRLF */
} Jsonl;

/* ERR_IO when it cannot be opened, ERR_DATA when it is no JSON; nothing is left open then. */
Status jsonl_open(const char *path, Jsonl *out, Err *e);
void jsonl_close(Jsonl *j);
/* The next row's text, without the line's end; NULL when there is none. It stays until the next call. */
Status jsonl_next(Jsonl *j, const char **text, size_t *len, Err *e);
/* The same, parsed into the arena; *out is NULL at the end. The caller gives the arena's memory back per row. */
Status jsonl_parse(Jsonl *j, Arena *a, Json **out, Err *e);
/* ":LINE", in an array ":LINE: element N": what goes behind the path in messages about the row last given. */
const char *jsonl_place(const Jsonl *j, char text[JSONL_PLACE_BYTES]);

#endif
