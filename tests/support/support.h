/* support.h: what the C tests of every room share. Includes cmocka and the headers it needs first. */
#ifndef LORAC_TESTS_SUPPORT_SUPPORT_H
#define LORAC_TESTS_SUPPORT_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/file.h"

/* What a program returns that has nothing to test: ctest calls it skipped. */
enum { SUPPORT_SKIPPED = 77 };

/* The call must give OK; otherwise the test fails with lorac's own message. `e` is an Err. */
#define ASSERT_OK(call, e) support_assert_ok((call), &(e), __FILE__, __LINE__)
/* The call must give `status`, and the message must hold `part`. */
#define ASSERT_FAILS(call, e, status, part) support_assert_fails((call), (status), &(e), (part), __FILE__, __LINE__)
void support_assert_ok(Status got, const Err *e, const char *file, int line);
void support_assert_fails(Status got, Status expected, const Err *e, const char *part, const char *file, int line);

/* An arena, or the test fails. */
Arena *support_arena(void);
/* A new empty folder below $TMPDIR or /tmp; its path lives in the arena. The test removes it with remove_tree. */
char *support_folder(Arena *a);
/* dir/name in the arena. */
char *support_path(Arena *a, const char *dir, const char *name);
/* Writes a file, or the test fails. */
void support_write(const char *path, const void *data, size_t bytes);
/* The path of a file in the folder of shared test data (${LORAC_SHARED}, or ../shared beside the repository), or NULL
 * when there is none: the test then calls skip(). */
char *support_shared(Arena *a, const char *name);
/* Open file descriptors of this process: equal before and after means that nothing leaked. */
int support_open_files(void);

#endif
