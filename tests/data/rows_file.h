/* rows_file.h: what every test of rows begins and ends with: an arena, a folder of its own, and the path of a file in it. */
#ifndef LORAC_TESTS_DATA_ROWS_FILE_H
#define LORAC_TESTS_DATA_ROWS_FILE_H

#include "tests/support/support.h"

#include <string.h>

static Arena *arena;
static char *folder, *path;

static int setup(void **state) {
    (void)state;
    arena = support_arena();
    folder = support_folder(arena);
    path = support_path(arena, folder, "rows.jsonl");
    return 0;
}

static int teardown(void **state) {
    Err e;
    (void)state;
    ASSERT_OK(remove_tree(folder, &e), e);
    arena_close(arena);
    return 0;
}

static inline void write_rows(const char *text) { support_write(path, text, strlen(text)); }

#endif
