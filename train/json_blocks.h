/* json_blocks.h: json_stream.h for a large file and several threads: the same output in the same order, and the same errors. */
#ifndef LORAC_TRAIN_JSON_BLOCKS_H
#define LORAC_TRAIN_JSON_BLOCKS_H

#include "base/threads.h"
#include "train/json_stream.h"

/* Whether the file is a regular one of at least JSON_BLOCKS_BYTES bytes: then threads pay. */
enum { JSON_BLOCKS_BYTES = 1 << 20 };
bool json_blocks_pay(const char *file);

/* As json_stream(file, ...), but lines are answered by the pool's threads, each with its own of the contexts, and written block by
 * block. Memory is that of some megabytes of lines, of one line more, and of their answers. */
Status json_blocks(const char *file, FILE *out, JsonStreamAnswer answer, void *const *contexts, Pool *pool, Err *e);

#endif
