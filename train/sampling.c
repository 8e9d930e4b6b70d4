/* sampling.c: greedy, temperature, top-k, top-p, min-p. See sampling.h. */
#include "train/sampling.h"

#include "base/rng.h"

#include <math.h>
#include <string.h>

typedef struct Candidate {
    float logit;
    int32_t id;
} Candidate;

struct Sampler {
    Sampling options;
    int64_t V;
    Candidate *order, *spare;
    double *p;
};

Status sampler_open(Arena *a, const Sampling *s, int64_t V, Sampler **out, Err *e) {
    Sampler *r;
    TRY(ARENA_NEW(a, 1, r, e));
    r->options = *s;
    r->V = V;
    TRY(arena_alloc(a, (size_t)V, sizeof(Candidate), &r->order, e));
    TRY(arena_alloc(a, (size_t)V, sizeof(Candidate), &r->spare, e));
    TRY(arena_alloc(a, (size_t)V, sizeof(double), &r->p, e));
    *out = r;
    return OK;
}

enum { DIGIT_BITS = 11, DIGITS = 1 << DIGIT_BITS, PASSES = 3 };

/* A number that is smaller the larger the logit is; equal for equal logits (0 and -0 are equal). */
static uint32_t rank_of(float logit) {
    uint32_t bits;
    float x = logit + 0.0f;
    memcpy(&bits, &x, sizeof bits);
    return bits >> 31 != 0 ? bits : ~bits & 0x7fffffffu;
}

/* s->order = all tokens, highest logit first, ties by id: a radix sort, since a comparing one takes longer than the model. */
static void sort_tokens(Sampler *s, const float *logits) {
    uint32_t count[PASSES][DIGITS] = {{0}};
    for (int64_t i = 0; i < s->V; i++) {
        uint32_t rank = rank_of(logits[i]);
        s->order[i] = (Candidate){.logit = logits[i], .id = (int32_t)i};
        for (int pass = 0; pass < PASSES; pass++) count[pass][rank >> pass * DIGIT_BITS & (DIGITS - 1)]++;
    }
    for (int pass = 0; pass < PASSES; pass++) {
        uint32_t place = 0;
        for (int digit = 0; digit < DIGITS; digit++) {
            uint32_t n = count[pass][digit];
            count[pass][digit] = place;
            place += n;
        }
        for (int64_t i = 0; i < s->V; i++)
            s->spare[count[pass][rank_of(s->order[i].logit) >> pass * DIGIT_BITS & (DIGITS - 1)]++] = s->order[i];
        Candidate *sorted = s->spare;
        s->spare = s->order;
        s->order = sorted;
    }
}

static int32_t greedy(const float *logits, int64_t V) {
    int32_t best = 0;
    for (int64_t i = 1; i < V; i++) {
        if (logits[i] > logits[best]) best = (int32_t)i;
    }
    return best;
}

/* How many of the sorted candidates stay; p[i] is their unnormalized probability. */
static int64_t cut(const Sampler *s, int64_t n) {
    const Sampling *o = &s->options;
    if (o->top_k > 0 && o->top_k < n) n = o->top_k;
    double sum = 0.0, reach = 0.0;
    for (int64_t i = 0; i < n; i++) sum += s->p[i];
    if (o->top_p < 1.0) {
        int64_t keep = 0;
        while (keep < n && (keep == 0 || reach < o->top_p * sum)) reach += s->p[keep++];
        n = keep;
    }
    if (o->min_p > 0.0) {
        int64_t keep = 1;
        while (keep < n && s->p[keep] >= o->min_p * s->p[0]) keep++;
        n = keep;
    }
    return n;
}

Status sampler_next(Sampler *s, const float *logits, int64_t position, int32_t *token, Err *e) {
    for (int64_t i = 0; i < s->V; i++) {
        if (isnan(logits[i])) FAIL(e, ERR_DATA, "the model's logits hold NaN at position %lld", (long long)position);
    }
    if (s->options.temperature <= 0.0) {
        *token = greedy(logits, s->V);
        return OK;
    }
    sort_tokens(s, logits);
    for (int64_t i = 0; i < s->V; i++)
        s->p[i] = exp(((double)s->order[i].logit - (double)s->order[0].logit) / s->options.temperature);
    int64_t n = cut(s, s->V);
    double sum = 0.0, at = 0.0;
    for (int64_t i = 0; i < n; i++) sum += s->p[i];
    Philox x = philox4x32(rng_mix(s->options.seed, RNG_SAMPLE), (uint64_t)position, 0);
    double draw = ((double)x.v[0] * 0x1p-32 + (double)x.v[1] * 0x1p-64) * sum;
    int64_t pick = 0;
    while (pick < n - 1 && at + s->p[pick] <= draw) at += s->p[pick++];
    *token = s->order[pick].id;
    return OK;
}
