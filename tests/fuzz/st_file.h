/* st_file.h: a safetensors file from its header's JSON. */
#ifndef LORAC_TESTS_FUZZ_ST_FILE_H
#define LORAC_TESTS_FUZZ_ST_FILE_H

#include "tests/fuzz/fuzz.h"

#include <string.h>

/* in: the JSON, NUL, the data. Gives the path. */
static inline const char *fuzz_put_safetensors(Arena *a, const char *name, FuzzInput in) {
    FuzzInput header = fuzz_part(&in, 0);
    uint8_t *file;
    CHECK(arena_alloc(a, 8 + header.size + in.size, 1, &file, NULL) == OK, "no memory");
    for (int i = 0; i < 8; i++) file[i] = (uint8_t)((uint64_t)header.size >> 8 * i);
    if (header.size > 0) memcpy(file + 8, header.data, header.size);
    if (in.size > 0) memcpy(file + 8 + header.size, in.data, in.size);
    return fuzz_put(a, name, file, 8 + header.size + in.size);
}

#endif
