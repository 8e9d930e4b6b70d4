/* h5_small_steps.c: files of libhdf5 in memory grow in small steps here (the linker sends the call here: --wrap): clearing
 * the 4 MiB that h5.c asks for would be all that a target does. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { GROW_BYTES = 1 << 14 };

int __real_H5Pset_fapl_core(int64_t list, size_t grow, bool backing);
int __wrap_H5Pset_fapl_core(int64_t list, size_t grow, bool backing);
int __wrap_H5Pset_fapl_core(int64_t list, size_t grow, bool backing) {
    return __real_H5Pset_fapl_core(list, grow < GROW_BYTES ? grow : GROW_BYTES, backing);
}
