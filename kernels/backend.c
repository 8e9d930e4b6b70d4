/* backend.c: the tables of kernels, what this CPU can run, and the planning twin.
 *
 * A table is const data; backend_open copies it and sets the stream. The levels of cpu are compiled apart (kernels.cmake),
 * each with its own table; LORAC_X86 and LORAC_AARCH64 say which are in this build, LORAC_CPU_EMULATED that a test build adds
 * the level "emulated", which is run only when asked for by name and is in no list. */
#include "kernels/backend.h"

#include "kernels/cpu/table.h"
#include "kernels/reference/reference.h"

#include <stdio.h>
#include <string.h>
#ifdef LORAC_X86
#include <cpuid.h>
#endif

static const Backend REFERENCE = {
    .name = "reference",
    .level = "",
#define K(kernel, args) .kernel = reference_##kernel,
#define KW(kernel, args, ws_args) .kernel = reference_##kernel, .kernel##_workspace = reference_##kernel##_workspace,
#include "kernels/kernels.def"
#undef K
#undef KW
};

/* ---- planning: kernels that do nothing */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#define K(kernel, args)                                                                                                \
    static void plan_##kernel args {}
#define KW(kernel, args, ws_args) K(kernel, args)
#include "kernels/kernels.def"
#undef K
#undef KW
#pragma GCC diagnostic pop

void backend_plan(const Backend *target, Backend *out) {
    *out = *target;
    out->name = "plan";
    out->level = "";
#define K(kernel, args) out->kernel = plan_##kernel;
#define KW(kernel, args, ws_args) K(kernel, args)
#include "kernels/kernels.def"
#undef K
#undef KW
}

/* ---- the levels of this build, lowest first */
#ifdef LORAC_X86
#define LEVEL_LIST(X) X(generic) X(avx2) X(avx512) X(avx512bf16)
#elif defined(LORAC_AARCH64)
#define LEVEL_LIST(X) X(generic) X(neon)
#else
#define LEVEL_LIST(X) X(generic)
#endif

#define X(level) extern const CpuTable cpu_##level##_table;
LEVEL_LIST(X)
#ifdef LORAC_CPU_EMULATED
X(emulated)
#endif
#undef X

static const CpuTable *const LEVELS[] = {
#define X(level) &cpu_##level##_table,
    LEVEL_LIST(X)
#undef X
};

static const char *const LEVEL_NAMES[] = {
#define X(level) #level,
    LEVEL_LIST(X)
#undef X
        NULL,
};

enum { N_LEVELS = (int)(sizeof LEVELS / sizeof LEVELS[0]) };

/* True when the CPU has the instructions and the system saves their registers: __builtin_cpu_supports asks for both,
 * except for F16C, which clang does not know by name and which uses AVX registers. */
static bool cpu_can(CpuNeed need) {
#ifdef LORAC_X86
    __builtin_cpu_init();
    switch (need) {
    case CPU_NEED_AVX:
        return __builtin_cpu_supports("avx") != 0;
    case CPU_NEED_AVX2:
        return __builtin_cpu_supports("avx2") != 0;
    case CPU_NEED_FMA:
        return __builtin_cpu_supports("fma") != 0;
    case CPU_NEED_F16C: {
        unsigned a, b, c = 0, d;
        return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0 && __builtin_cpu_supports("avx") != 0;
    }
    case CPU_NEED_AVX512F:
        return __builtin_cpu_supports("avx512f") != 0;
    case CPU_NEED_AVX512BW:
        return __builtin_cpu_supports("avx512bw") != 0;
    case CPU_NEED_AVX512VL:
        return __builtin_cpu_supports("avx512vl") != 0;
    case CPU_NEED_AVX512DQ:
        return __builtin_cpu_supports("avx512dq") != 0;
    case CPU_NEED_AVX512VBMI:
        return __builtin_cpu_supports("avx512vbmi") != 0;
    case CPU_NEED_AVX512BF16:
        return __builtin_cpu_supports("avx512bf16") != 0;
    }
#endif
    (void)need;
    return false;
}

static const char *const NEED_NAMES[] = {
#define X(id, name) name,
    CPU_NEED_LIST(X)
#undef X
};

enum { N_NEEDS = (int)(sizeof NEED_NAMES / sizeof NEED_NAMES[0]) };

/* The first need of the table that this CPU lacks, NULL when it has all. */
static const char *missing_need(const CpuTable *t) {
    for (int i = 0; i < N_NEEDS; i++)
        if ((t->needs >> i & 1u) != 0 && !cpu_can((CpuNeed)i)) return NEED_NAMES[i];
    return NULL;
}

static const CpuTable *level_find(const char *level) {
    for (int i = 0; i < N_LEVELS; i++)
        if (strcmp(level, LEVEL_NAMES[i]) == 0) return LEVELS[i];
#ifdef LORAC_CPU_EMULATED
    if (strcmp(level, "emulated") == 0) return &cpu_emulated_table;
#endif
    return NULL;
}

const char *const *backend_cpu_levels(void) { return LEVEL_NAMES; }

bool backend_cpu_has(const char *level) {
    const CpuTable *t = level_find(level);
    return t != NULL && missing_need(t) == NULL;
}

/* "generic, avx2": the levels that this CPU can run. */
static const char *possible_levels(char *text, size_t bytes) {
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; i < N_LEVELS && used < bytes; i++) {
        if (missing_need(LEVELS[i]) != NULL) continue;
        int n = snprintf(text + used, bytes - used, "%s%s", used > 0 ? ", " : "", LEVEL_NAMES[i]);
        if (n > 0) used += (size_t)n;
    }
    return text;
}

/* True for a level that this CPU runs, but slower than the one below it: Intel's cores begin a product of bf16 pairs every second
 * cycle and two multiply-adds in each (tests/bench/bench_peak on a Xeon, two threads: 167 against 332 Gflop/s). */
static bool outrun_by_lower(const CpuTable *t) {
#ifdef LORAC_X86
    __builtin_cpu_init();
    return (t->needs >> CPU_NEED_AVX512BF16 & 1u) != 0 && __builtin_cpu_is("intel") != 0;
#else
    (void)t;
    return false;
#endif
}

static Status open_cpu(const char *level, Pool *pool, Backend *out, Err *e) {
    CHECK(pool != NULL, "the cpu backend needs a pool of threads");
    const CpuTable *t = NULL;
    char possible[128];
    if (level == NULL || level[0] == '\0') {
        for (int i = 0; i < N_LEVELS; i++)
            if (missing_need(LEVELS[i]) == NULL && !outrun_by_lower(LEVELS[i])) t = LEVELS[i];
        if (t == NULL)
            FAIL(e, ERR_DEVICE,
                 "this program's lowest CPU level '%s' needs %s, which this CPU lacks; build it for this CPU",
                 LEVEL_NAMES[0], missing_need(LEVELS[0]));
    } else {
        t = level_find(level);
        if (t == NULL)
            FAIL(e, ERR_CONFIG, "unknown CPU level '%s'; this CPU can run: %s", level,
                 possible_levels(possible, sizeof possible));
        const char *missing = missing_need(t);
        if (missing != NULL)
            FAIL(e, ERR_DEVICE,
                 "CPU level '%s' needs %s, which this CPU or its operating system lacks; possible here: %s", level,
                 missing, possible_levels(possible, sizeof possible));
    }
    *out = t->backend;
    out->stream = (Stream){.pool = pool};
    return OK;
}

Status backend_open(const char *name, const char *level, Pool *pool, Backend *out, Err *e) {
    if (strcmp(name, "cpu") == 0) return open_cpu(level, pool, out, e);
    if (strcmp(name, "reference") != 0) FAIL(e, ERR_CONFIG, "unknown backend '%s'; there are: cpu, reference", name);
    if (level != NULL && level[0] != '\0')
        FAIL(e, ERR_CONFIG, "the reference backend has no CPU levels, but level '%s' was asked for; leave it out",
             level);
    *out = REFERENCE;
    out->stream = (Stream){.pool = pool};
    return OK;
}
