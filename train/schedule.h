/* schedule.h: learning-rate schedules as Hugging Face's optimization.py defines them.
 * lr(k) = learning_rate * lambda(k), k = completed optimizer steps: the first update uses lambda(0). */
#ifndef LORAC_TRAIN_SCHEDULE_H
#define LORAC_TRAIN_SCHEDULE_H

#include "base/status.h"

#include <stdint.h>

typedef struct Schedule {
    double (*factor)(const struct Schedule *s, int64_t k);
    int64_t total, warmup;
} Schedule;

/* name: a row of the table in schedule.c (linear, cosine, constant, constant_with_warmup). warmup_steps > 0 wins, else
 * ceil(total * warmup_ratio). */
Status schedule_open(const char *name, int64_t total, int64_t warmup_steps, double warmup_ratio, Schedule *out, Err *e);

#endif
