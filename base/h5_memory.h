/* h5_memory.h: what happens when libhdf5 gets no memory.
 *
 * libhdf5 does not live through it: of 461 failing calls of malloc tried in a short run 74 crashed it, some long after. So
 * the program is linked with --wrap for malloc, calloc, realloc and strdup: inside H5_GUARDED a call that fails does not
 * return to libhdf5 but leaves the whole operation, as ERR_OOM. What libhdf5 holds then is in no known state: from there
 * on every guarded operation fails, and the program is expected to end with that error. Outside H5_GUARDED the wrapped
 * functions are the C library's own. */
#ifndef LORAC_BASE_H5_MEMORY_H
#define LORAC_BASE_H5_MEMORY_H

#include "base/status.h"

#include <setjmp.h>
#include <stdbool.h>

typedef struct H5Rescue {
    jmp_buf place;
} H5Rescue;

/* From here on failing calls of this thread jump to r->place. Not nested. */
void h5_rescue_begin(H5Rescue *r);
void h5_rescue_end(void);
/* True once a call failed in this thread. */
bool h5_rescue_used(void);
/* ERR_OOM with the message. */
Status h5_rescued(Err *e);

/* Returns the Status of the call, or ERR_OOM. The function that uses it changes none of its own variables. */
#define H5_GUARDED(call, e)                                                                                            \
    do {                                                                                                               \
        H5Rescue rescue_;                                                                                              \
        if (h5_rescue_used() || setjmp(rescue_.place) != 0) return h5_rescued(e);                                      \
        h5_rescue_begin(&rescue_);                                                                                     \
        Status status_ = (call);                                                                                       \
        h5_rescue_end();                                                                                               \
        return status_;                                                                                                \
    } while (0)

#endif
