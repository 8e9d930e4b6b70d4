/* spool.h: a growing array in a file without a name instead of in memory, for what may be larger than memory.
 *
 * spool_add appends, spool_map ends the writing and gives everything as one mapping. Up to SPOOL_BUFFER_BYTES are kept in
 * memory; only more than that makes a file. It is removed the moment it is made, so nothing stays behind whatever happens; it
 * takes the space of `folder`'s disk. A Spool's buffer is the arena's. */
#ifndef LORAC_BASE_SPOOL_H
#define LORAC_BASE_SPOOL_H

#include "base/file.h"

enum { SPOOL_BUFFER_BYTES = 1 << 16 };

typedef struct Spool {
    const char *folder;
    AppendFile file; /* fd -1: there is none */
    uint8_t *buffer;
    size_t buffered;
    uint64_t bytes; /* added so far */
} Spool;

/* A Spool that is not open, which spool_close takes. */
#define SPOOL_CLOSED                                                                                                   \
    {                                                                                                                  \
        .file = {.fd = -1 }                                                                                            \
    }

/* Memory that spool_map mapped; data NULL when there is none. What was never in a file has no more than SPOOL_BUFFER_BYTES. */
typedef struct Mapping {
    const void *data;
    size_t bytes;
} Mapping;

/* folder: where the file's bytes go; NULL: TMPDIR, or /tmp. */
Status spool_open(Arena *a, const char *folder, Spool *out, Err *e);
Status spool_add(Spool *s, const void *data, size_t bytes, Err *e);
/* All that was added; then s is closed, success or not. */
Status spool_map(Spool *s, Mapping *out, Err *e);
void spool_close(Spool *s);

/* Pages of a file need not stay in memory; they are read again when they are used. */
void mapping_forget(const Mapping *m);
void mapping_close(Mapping *m);

#endif
