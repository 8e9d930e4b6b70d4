/* timed.h: a backend that does what another does and keeps count: calls, time and floating-point work of each kernel.
 *
 * A kernel that reads weights counts by the size of its product, so that qkv and down are told apart. Work is what the
 * formulas of kernels.def need (a multiply-add is 2; attention: visible pairs only), whatever a kernel really does.
 * One timed backend at a time: its state is the program's. */
#ifndef LORAC_TESTS_BENCH_TIMED_H
#define LORAC_TESTS_BENCH_TIMED_H

#include "kernels/backend.h"

typedef enum KernelId {
#define K(kernel, args) KERNEL_##kernel,
#define KW(kernel, args, ws_args) KERNEL_##kernel,
#include "kernels/kernels.def"
#undef K
#undef KW
    KERNEL_COUNT
} KernelId;

typedef struct TimedEntry {
    KernelId kernel;
    int64_t N, K; /* of a product, summed over its parts; else 0 */
    int64_t calls;
    double processor_s, wall_s, flop;
    double bytes; /* of the weights a product reads, as stored */
} TimedEntry;

enum { TIMED_ENTRIES = 128 };

/* Which part of a step a kernel is. */
typedef enum KernelClass { CLASS_PRODUCT, CLASS_ATTENTION, CLASS_OTHER } KernelClass;
KernelClass kernel_class(KernelId id);
const char *kernel_name(KernelId id);

/* The timed twin of target, which is copied. Counts start at 0. */
void timed_backend(const Backend *target, Backend *out);
void timed_reset(void);
/* What was counted; *n entries in order of first call. */
const TimedEntry *timed_entries(int *n);

#endif
