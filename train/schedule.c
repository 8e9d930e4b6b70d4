/* schedule.c: the table of schedules; formulas in schedule.h's source. */
#include "train/schedule.h"

#include <math.h>
#include <string.h>

static double warm(const Schedule *s, int64_t k) { return (double)k / (double)(s->warmup > 1 ? s->warmup : 1); }

/* Progress after warm-up, in [0, 1] and beyond. */
static double progress(const Schedule *s, int64_t k) {
    int64_t span = s->total - s->warmup;
    return (double)(k - s->warmup) / (double)(span > 1 ? span : 1);
}

static double constant_factor(const Schedule *s, int64_t k) {
    (void)s, (void)k;
    return 1.0;
}

static double constant_with_warmup_factor(const Schedule *s, int64_t k) { return k < s->warmup ? warm(s, k) : 1.0; }

static double linear_factor(const Schedule *s, int64_t k) {
    if (k < s->warmup) return warm(s, k);
    int64_t span = s->total - s->warmup;
    double left = (double)(s->total - k) / (double)(span > 1 ? span : 1);
    return left > 0.0 ? left : 0.0;
}

static double cosine_factor(const Schedule *s, int64_t k) {
    if (k < s->warmup) return warm(s, k);
    double f = 0.5 * (1.0 + cos(3.14159265358979323846 * progress(s, k)));
    return f > 0.0 ? f : 0.0;
}

static const struct {
    const char *name;
    double (*factor)(const Schedule *, int64_t);
} SCHEDULES[] = {
    {"linear", linear_factor},
    {"cosine", cosine_factor},
    {"constant", constant_factor},
    {"constant_with_warmup", constant_with_warmup_factor},
};

Status schedule_open(const char *name, int64_t total, int64_t warmup_steps, double warmup_ratio, Schedule *out,
                     Err *e) {
    for (size_t i = 0; i < sizeof SCHEDULES / sizeof SCHEDULES[0]; i++) {
        if (strcmp(SCHEDULES[i].name, name) != 0) continue;
        int64_t warmup = warmup_steps > 0 ? warmup_steps : (int64_t)ceil((double)total * warmup_ratio);
        *out = (Schedule){.factor = SCHEDULES[i].factor, .total = total, .warmup = warmup};
        return OK;
    }
    FAIL(e, ERR_CONFIG, "lr_scheduler: '%s' is not known (linear, cosine, constant, constant_with_warmup)", name);
}
