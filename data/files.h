/* files.h: which files a dataset's path names: a file, a folder or a pattern. */
#ifndef LORAC_DATA_FILES_H
#define LORAC_DATA_FILES_H

#include "base/buf.h"

typedef struct DataFiles {
    const char **paths; /* (n) at least one */
    size_t n;
    const char *left_out; /* names in a folder that are no data, "a, b", or NULL */
} DataFiles;

/* A path that is there and no folder is itself, also with the characters of a pattern. A folder gives the data files right
 * in it, sorted bytewise by name: compressed ones, empty ones and those that begin with '{' or '[' (names that begin with
 * a dot are never looked at). Else a path with * ? or [ is a pattern for files (pattern.h), sorted bytewise. Paths are as
 * written, with the folder's in front. ERR_IO when there is no such file or a pattern or folder gives none. */
Status data_files(Arena *a, const char *path, DataFiles *out, Err *e);

#endif
