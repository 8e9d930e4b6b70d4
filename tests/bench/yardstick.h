/* yardstick.h: the same products by the libraries that others would use, where Debian's packages are installed
 * (libdnnl-dev, libopenblas-dev). Only benchmarks link them; lorac does not.
 *
 * oneDNN gets its weights ready: in f32 or bf16 and packed as it likes best, which costs memory and is not timed.
 * OpenBLAS has no quantized weights either: each run dequantizes the whole matrix (with lorac's kernel, threaded) and
 * calls sgemm, which is what a program without a fused product does. Parts of a group are one matrix. */
#ifndef LORAC_TESTS_BENCH_YARDSTICK_H
#define LORAC_TESTS_BENCH_YARDSTICK_H

#include "tests/bench/gemm_case.h"

typedef enum Yardstick { YARD_DNNL_F32, YARD_DNNL_BF16, YARD_SGEMM, YARDSTICKS } Yardstick;
extern const char *const YARDSTICK_NAMES[YARDSTICKS];

typedef struct YardCase YardCase;

/* The forward or backward product of a prepared case; NULL where the library is not there, has no such product on this
 * CPU, or the case is another work. Memory is the bench's; yardstick_close frees the library's. */
YardCase *yardstick_open(Bench *b, const GemmCase *c, Yardstick kind);
void yardstick_run(Bench *b, YardCase *y);
void yardstick_close(YardCase *y);
/* Flop of one run: the product without adapters. */
double yardstick_flop(const YardCase *y);

#endif
