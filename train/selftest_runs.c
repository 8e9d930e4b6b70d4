/* selftest_runs.c: short training runs and the proofs that compare them: P2, P4, P5, P6, P8. */
#define _GNU_SOURCE
#include "train/selftest.h"

#include "base/rng.h"
#include "base/signals.h"
#include "checkpoints/state_hdf5.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

enum { ROWS = 40, HELDOUT_ROWS = 12, SEQUENCE = 64, SHORTEST = 6, LONGEST = 40, OVERRIDES_MAX = 16, STREAM_ROWS = 100 };

/* ---- rows and config --------------------------------------------------------------------------------------------- */

/* Row r: random length up to `longest`, random ids of which the first third is not trained. */
static Status put_row(Buf *b, uint64_t r, int longest, int64_t vocab, Err *e) {
    Philox draw = philox4x32(rng_mix(STREAM_ROWS, r), 0, 0);
    int n = SHORTEST + (int)(draw.v[0] % (uint32_t)(longest - SHORTEST + 1));
    for (int labels = 0; labels < 2; labels++) {
        TRY(buf_puts(b, labels == 0 ? "{\"input_ids\":[" : "],\"labels\":[", e));
        for (int i = 0; i < n; i++) {
            uint32_t x = philox4x32(rng_mix(STREAM_ROWS, r), (uint64_t)i + 1, 0).v[0];
            long long id = (long long)(x % (uint64_t)vocab);
            TRY(buf_printf(b, e, "%s%lld", i > 0 ? "," : "", labels == 1 && i < n / 3 ? -100LL : id));
        }
    }
    return buf_puts(b, "]}\n", e);
}

static Status write_rows(Selftest *s, const char *name, uint64_t first, int n, const ModelConfig *c, Err *e) {
    int longest = c->max_positions < LONGEST ? (int)c->max_positions : LONGEST;
    if (longest < SHORTEST)
        FAIL(e, ERR_DATA, "%s: a context of %lld tokens is too short to be tested", s->base,
             (long long)c->max_positions);
    Buf b = {.arena = s->arena};
    char *path;
    for (int i = 0; i < n; i++) TRY(put_row(&b, first + (uint64_t)i, longest, c->vocab_size, e));
    TRY(path_join(s->arena, s->folder, name, &path, e));
    return file_write_atomic(s->arena, path, b.data, b.len, e);
}

static Status put_path(Buf *b, const char *before, const char *folder, const char *name, Err *e) {
    char *path;
    TRY(path_join(b->arena, folder, name, &path, e));
    TRY(buf_puts(b, before, e));
    TRY(json_put_string(b, path, strlen(path), e));
    return buf_putc(b, '\n', e);
}

Status selftest_prepare(Selftest *s, Err *e) {
    Buf b = {.arena = s->arena};
    BaseModel *base;
    char *path;
    TRY(base_model_open(s->arena, s->base, &base, e));
    ModelConfig c = base->config;
    int64_t context = c.max_positions;
    base_model_close(base);
    TRY(write_rows(s, "rows.jsonl", 0, ROWS, &c, e));
    TRY(write_rows(s, "heldout.jsonl", ROWS, HELDOUT_ROWS, &c, e));
    TRY(put_path(&b, "base_model: ", "", s->base, e));
    TRY(put_path(&b, "datasets:\n  - type: tokens\n    path: ", s->folder, "rows.jsonl", e));
    TRY(put_path(&b, "test_datasets:\n  - type: tokens\n    path: ", s->folder, "heldout.jsonl", e));
    TRY(buf_printf(&b, e,
                   "sequence_len: %lld\nlora_r: 4\nlora_dropout: 0.1\nmicro_batch_size: 1\n"
                   "gradient_accumulation_steps: 4\nmax_steps: %lld\nlearning_rate: 1e-3\neval_steps: 2\n"
                   "save_steps: 2\nsave_total_limit: 2\noverwrite_output_dir: true\n",
                   (long long)(context < SEQUENCE ? context : SEQUENCE), (long long)s->steps));
    TRY(path_join(s->arena, s->folder, "config.yaml", &path, e));
    s->config = path;
    return file_write_atomic(s->arena, path, b.data, b.len, e);
}

/* ---- runs -------------------------------------------------------------------------------------------------------- */

static Status all_overrides(Arena *a, const Selftest *s, const char *name, const char *const *more, int n, char **out,
                            Err *e) {
    CHECK(n < OVERRIDES_MAX, "%d overrides", n);
    TRY(arena_printf(a, &out[0], e, "output_dir=%s/%s", s->folder, name));
    for (int i = 0; i < n; i++) TRY(arena_strdup(a, more[i], &out[i + 1], e));
    return OK;
}

static Status open_run(Selftest *s, const char *name, const char *const *overrides, int n, bool plan_only,
                       SelftestOpen *out, Err *e) {
    char *all[OVERRIDES_MAX + 1];
    TRY(all_overrides(out->ctx.arena, s, name, overrides, n, all, e));
    TRY(config_load(out->ctx.arena, s->config, all, n + 1, &out->config, e));
    return trainer_open(&out->ctx, out->config, plan_only, &out->t, e);
}

Status selftest_open(Selftest *s, const char *name, const char *const *overrides, int n, bool plan_only,
                     SelftestOpen *out, Err *e) {
    *out = (SelftestOpen){.ctx = *s->ctx, .t = TRAINER_CLOSED};
    out->ctx.log.quiet = true;
    out->ctx.log.bar = false;
    TRY(arena_open(&out->ctx.arena, "selftest run", e));
    return open_run(s, name, overrides, n, plan_only, out, e);
}

void selftest_close(SelftestOpen *o) {
    trainer_close(&o->t);
    arena_close(o->ctx.arena);
}

Status selftest_train(Selftest *s, const char *name, const char *const *overrides, int n, SelftestRun *out, Err *e) {
    SelftestOpen o;
    Hash128 h;
    double begin = clock_s();
    Status st = selftest_open(s, name, overrides, n, false, &o, e);
    if (st == OK) st = trainer_run(&o.t, e);
    if (st == OK) st = adapter_hash(o.t.save, o.t.adapter, &h, e);
    if (st == OK) {
        *out = (SelftestRun){.steps = o.t.step, .seconds = clock_s() - begin, .planned = o.t.planned};
        out->allocated = trainer_memory(&o.t);
        hash_hex(h, out->hash);
    }
    selftest_close(&o);
    return st;
}

/* Trains once per override and compares the hashes with the first one's. */
static Status compare_runs(Selftest *s, const char *const (*overrides)[3], int n, const char *what, Verdict *v,
                           Err *e) {
    SelftestRun first = {0}, run;
    v->holds = true;
    for (int i = 0; i < n; i++) {
        int count = 0;
        while (count < 3 && overrides[i][count] != NULL) count++;
        TRY(selftest_train(s, "run", overrides[i], count, i == 0 ? &first : &run, e));
        if (i == 0 || strcmp(first.hash, run.hash) == 0) continue;
        v->holds = false;
        snprintf(v->evidence, sizeof v->evidence, "%s gives state %.12s..., %s gives %.12s...", overrides[0][0],
                 first.hash, overrides[i][0], run.hash);
        return OK;
    }
    snprintf(v->evidence, sizeof v->evidence, "%s: state %.12s... after %lld steps, each time", what, first.hash,
             (long long)first.steps);
    return OK;
}

Status proof_accumulation(Selftest *s, Verdict *v, Err *e) {
    static const char *const RUNS[][3] = {{"micro_batch_size=1", "gradient_accumulation_steps=4"},
                                          {"micro_batch_size=2", "gradient_accumulation_steps=2"},
                                          {"micro_batch_size=4", "gradient_accumulation_steps=1"}};
    return compare_runs(s, RUNS, 3, "4 rows as 4 x 1, 2 x 2, 1 x 4", v, e);
}

Status proof_recompute(Selftest *s, Verdict *v, Err *e) {
    static const char *const RUNS[][3] = {{"gradient_checkpointing=false"}, {"gradient_checkpointing=true"}};
    return compare_runs(s, RUNS, 2, "kept and recomputed layers", v, e);
}

Status proof_threads(Selftest *s, Verdict *v, Err *e) {
    static const char *const RUNS[][3] = {{"threads=1"}, {"threads=2"}, {"threads=3"}, {"threads=8"}};
    return compare_runs(s, RUNS, 4, "1, 2, 3, 8 threads", v, e);
}

Status proof_plan(Selftest *s, Verdict *v, Err *e) {
    SelftestOpen plan;
    SelftestRun run;
    Status st = selftest_open(s, "planned", NULL, 0, true, &plan, e);
    uint64_t planned = plan.t.planned.peak;
    selftest_close(&plan);
    TRY(st);
    st = selftest_train(s, "run", NULL, 0, &run, e);
    if (st == ERR_CHECK) { /* the run itself saw it */
        snprintf(v->evidence, sizeof v->evidence, "%.400s", e->message);
        return OK;
    }
    TRY(st);
    v->holds = planned == run.planned.peak && planned == run.allocated.peak;
    snprintf(v->evidence, sizeof v->evidence, "planned %llu bytes, allocated %llu", (unsigned long long)planned,
             (unsigned long long)run.allocated.peak);
    return OK;
}

/* ---- P6: kills ---------------------------------------------------------------------------------------------------- */

/* Starts this very program as `lorac train` in another process. */
static Status start_train(Selftest *s, const char *name, bool resume, pid_t *pid, Err *e) {
    static char self[] = "/proc/self/exe", train[] = "train", quiet[] = "--quiet", go_on[] = "--resume";
    char *all[OVERRIDES_MAX + 1], *config;
    posix_spawn_file_actions_t files;
    TRY(all_overrides(s->arena, s, name, NULL, 0, all, e));
    TRY(arena_strdup(s->arena, s->config, &config, e));
    char *argv[] = {self, train, config, all[0], quiet, resume ? go_on : NULL, NULL};
    int rc = posix_spawn_file_actions_init(&files);
    if (rc == 0) rc = posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    if (rc == 0) rc = posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    if (rc == 0) rc = posix_spawn(pid, self, &files, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&files);
    if (rc != 0) FAIL(e, ERR_IO, "the program cannot start itself: %s", strerror(rc));
    return OK;
}

static void sleep_s(double s) {
    struct timespec t = {.tv_sec = (time_t)s, .tv_nsec = (long)((s - (double)(time_t)s) * 1e9)};
    nanosleep(&t, NULL);
}

/* Waits until the run in the folder has a checkpoint newer than `step`, or the process has ended (*ended). */
static Status wait_for_checkpoint(Selftest *s, const char *name, pid_t pid, int64_t step, bool *ended, Err *e) {
    char *folder;
    siginfo_t info;
    *ended = false;
    TRY(path_join(s->arena, s->folder, name, &folder, e));
    while (!stop_requested()) {
        int64_t *steps;
        size_t n;
        ArenaMark mark = arena_mark(s->arena);
        TRY(state_list(s->arena, folder, &steps, &n, e));
        bool newer = n > 0 && steps[0] > step;
        arena_reset(s->arena, mark);
        if (newer) return OK;
        memset(&info, 0, sizeof info);
        if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == pid) {
            *ended = true;
            return OK;
        }
        sleep_s(0.002);
    }
    return OK;
}

/* Starts or resumes the run and kills it: every other time once it has a newer checkpoint, so that the next start resumes
 * one; and then at a random instant of the time that two steps take, or of the run's length. */
static Status kill_once(Selftest *s, int64_t i, double part, const SelftestRun *whole, int64_t *kills, Err *e) {
    pid_t pid;
    bool ended = false;
    double span = 0.7 * whole->seconds;
    int status = 0;
    TRY(start_train(s, "killed", i > 0, &pid, e));
    if (i % 2 == 0) {
        Status st = wait_for_checkpoint(s, "killed", pid, i, &ended, e);
        span = 2.0 * whole->seconds / (double)whole->steps;
        if (st != OK) ended = true;
    }
    if (!ended) sleep_s(part * span);
    kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
    if (WIFSIGNALED(status)) (*kills)++;
    return OK;
}

Status proof_resume(Selftest *s, Verdict *v, Err *e) {
    static const char *const RESUME[] = {"resume_from_checkpoint=auto"};
    SelftestRun whole, resumed;
    int64_t kills = 0;
    uint64_t key = (uint64_t)time(NULL); /* other instants each time */
    TRY(selftest_train(s, "whole", NULL, 0, &whole, e));
    for (int64_t i = 0; i < s->kills; i++)
        TRY(kill_once(s, i, (double)rng_unit(philox4x32(key, (uint64_t)i, 0).v[0]), &whole, &kills, e));
    TRY(selftest_train(s, "killed", RESUME, 1, &resumed, e));
    v->holds = strcmp(whole.hash, resumed.hash) == 0 && resumed.steps == whole.steps;
    snprintf(v->evidence, sizeof v->evidence, "SIGKILL %lld times in %lld steps: state %.12s..., undisturbed %.12s...",
             (long long)kills, (long long)whole.steps, resumed.hash, whole.hash);
    return OK;
}
