/* h5_memory.c: see h5_memory.h. Which operation a failing call has to leave is known per thread, because the caller of
 * malloc cannot say it. */
#include "base/h5_memory.h"

#include "base/fault.h"

#include <stddef.h>

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t bytes);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t bytes);
char *__wrap_strdup(const char *s);

static _Thread_local H5Rescue *rescue; /* NULL: not in libhdf5 */
static _Thread_local bool used;

void h5_rescue_begin(H5Rescue *r) {
    CHECK(rescue == NULL, "guarded operations do not nest");
    rescue = r;
}

void h5_rescue_end(void) { rescue = NULL; }
bool h5_rescue_used(void) { return used; }

Status h5_rescued(Err *e) {
    FAIL(e, ERR_OOM,
         "out of memory: libhdf5, which makes and reads checkpoints, got none; free memory and go on with "
         "--resume");
}

static void leave(void) {
    H5Rescue *r = rescue;
    rescue = NULL;
    used = true;
    longjmp(r->place, 1);
}

static bool planted(void) { return rescue != NULL && FAULT(library_alloc); }

void *__wrap_malloc(size_t bytes) {
    void *p = planted() ? NULL : __real_malloc(bytes);
    if (p == NULL && bytes > 0 && rescue != NULL) leave();
    return p;
}

void *__wrap_calloc(size_t n, size_t size) {
    void *p = planted() ? NULL : __real_calloc(n, size);
    if (p == NULL && n > 0 && size > 0 && rescue != NULL) leave();
    return p;
}

void *__wrap_realloc(void *old, size_t bytes) {
    void *p = planted() ? NULL : __real_realloc(old, bytes);
    if (p == NULL && bytes > 0 && rescue != NULL) leave();
    return p;
}

char *__wrap_strdup(const char *s) {
    char *p = planted() ? NULL : __real_strdup(s);
    if (p == NULL && rescue != NULL) leave();
    return p;
}
