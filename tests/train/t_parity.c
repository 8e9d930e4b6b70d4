/* t_parity.c: promise P1 against Hugging Face: log-probabilities, loss, every LoRA gradient, and ten AdamW steps of random
 * Llama models (tests/golden/README.md), in fp32 to 1e-4 relative, in bf16 within a stated bound. */
#include "tests/support/support.h"

#include "train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PARITY LORAC_SOURCE_DIR "/tests/golden/parity/"

typedef struct Case {
    const char *folder, *model, *expected;
} Case;

static const Case CASES[] = {
    {"mha_untied", "model", "expected.json"},  {"mha_untied", "model_float16", "expected_float16.json"},
    {"gqa_tied", "model", "expected.json"},    {"gqa_tied", "model.gguf", "expected.json"},
    {"llama3_rope", "model", "expected.json"}, {"llama3_rope", "model_bfloat16", "expected_bfloat16.json"},
    {"odd_sizes", "model", "expected.json"},   {"linear_rope", "model", "expected.json"},
};
enum { N_CASES = sizeof CASES / sizeof CASES[0] };

static Ctx test_ctx(Arena *a) {
    Ctx ctx = {.arena = a, .version = "test", .cpu_level = getenv("LORAC_CPU")};
    log_open(&ctx.log, true);
    return ctx;
}

static char *text_of(Arena *a, const char *format, const char *x, const char *y) {
    char *s = NULL;
    assert_int_equal(arena_printf(a, &s, NULL, "%s%s%s%s", PARITY, x, format, y), OK);
    return s;
}

static Json *read_json(Arena *a, const char *path) {
    Json *j = NULL;
    Err e = {0};
    ASSERT_OK(json_read(a, path, 1 << 24, &j, &e), e);
    return j;
}

typedef struct Compare {
    const Json *rows; /* expected log-probabilities by row */
    double tolerance, worst;
    const char *name;
    int64_t tokens;
} Compare;

static Status compare_row(void *ctx, const DataRow *row, const int32_t *ids, const float *logprobs, int64_t n, Err *e) {
    Compare *c = ctx;
    (void)ids, (void)e;
    const Json *want = &c->rows->list.items[row->number];
    assert_int_equal(want->n, n);
    assert_true(isnan(logprobs[0]));
    for (int64_t i = 1; i < n; i++) {
        double x;
        assert_true(json_number(&want->list.items[i], &x));
        double gap = fabs((double)logprobs[i] - x) / fmax(1.0, fabs(x));
        if (!(gap <= c->tolerance))
            fail_msg("%s: row %d, token %lld: %.8f, expected %.8f", c->name, (int)row->number, (long long)i,
                     (double)logprobs[i], x);
        if (gap > c->worst) c->worst = gap;
        c->tokens++;
    }
    return OK;
}

/* Log-probabilities of every token and the loss, base alone and with the adapter. */
static void check_eval(const Case *k, const char *dtype, double tolerance) {
    Arena *a = support_arena();
    Ctx ctx = test_ctx(a);
    Err e = {0};
    Session s;
    Adapter *ad = NULL;
    Evaluator ev;
    EvalSet set;
    Dataset d;
    EvalResult r;
    Json *want = read_json(a, text_of(a, "/", k->folder, k->expected));
    char *base = text_of(a, "/", k->folder, k->model);
    SessionOptions so = {.base = base, .compute_dtype = dtype};
    ASSERT_OK(session_open(&ctx, &so, &s, &e), e);
    DataSource source = {.path = text_of(a, "/", k->folder, "rows.jsonl"), .type = "tokens"};
    DataContext dc = {.vocab = s.base->config.vocab_size};
    ASSERT_OK(dataset_load(a, &source, 1, &dc, &d, &e), e);
    ASSERT_OK(eval_set_open(a, "rows", &d, s.base->config.max_positions, TARGETS_ALL, &set, &e), e);
    ASSERT_OK(session_model(&s, batches_limits(set.batches).longest, &e), e);
    AdapterOptions ao = {0};
    ASSERT_OK(adapter_load(s.state, s.model, text_of(a, "/", k->folder, "adapter"), &ao, &ad, &e), e);
    ASSERT_OK(evaluator_open(&s, &ad->map, &set, 1, &ev, &e), e);
    Runner *runner = &ev.runner;
    ASSERT_OK(runner_memory(&runner, 1, &e), e);
    for (int with = 0; with < 2; with++) {
        Compare c = {.rows = json_get(want, with ? "adapter_logprobs" : "base_logprobs"),
                     .tolerance = tolerance,
                     .name = text_of(a, "/", k->folder, k->model)};
        double loss, trained;
        assert_true(json_number(json_get(want, with ? "adapter_loss" : "base_loss"), &loss));
        assert_true(json_number(json_get(want, "trained_tokens"), &trained));
        ASSERT_OK(evaluate(&ev, &set, with ? &ad->set : NULL, compare_row, &c, &r, &e), e);
        assert_int_equal(r.tokens, (int64_t)trained);
        assert_true(c.tokens > r.tokens);
        double gap = fabs(r.nll / (double)r.tokens - loss) / loss;
        if (!(gap <= tolerance)) fail_msg("%s: loss %.8f, expected %.8f", c.name, r.nll / (double)r.tokens, loss);
        print_message("%s %s %s: worst log-probability gap %.2e, loss gap %.2e\n", c.name + strlen(PARITY), dtype,
                      with ? "adapter" : "base", c.worst, gap);
    }
    evaluator_close(&ev);
    session_close(&s);
    arena_close(a);
}

static void t_logprobs_fp32(void **state) {
    (void)state;
    for (int i = 0; i < N_CASES; i++) check_eval(&CASES[i], "fp32", 1e-4);
}

/* bf16 keeps 8 bits: each of about 20 roundings on the way to a logit adds a relative error of up to 2^-9, so logits of
 * a size of about 5 are off by 5 * sqrt(20) * 2^-9 = 0.04 (one sigma at most), three times that at the tail of 700 tokens. The loss is a
 * mean over hundreds of tokens and comes closer. */
static void t_logprobs_bf16(void **state) {
    (void)state;
    for (int i = 0; i < N_CASES; i++) check_eval(&CASES[i], "bf16", 0.12);
}

enum { MAX_OVERRIDES = 24 };

static char * override(Arena *a, const char *key, const char *value) {
    char *s = NULL;
    assert_int_equal(arena_printf(a, &s, NULL, "%s=%s", key, value), OK);
    return s;
}

/* A number member of the golden's config as "key=value". */
static char *golden_override(Arena *a, const Json *config, const char *theirs, const char *ours) {
    Buf b = {.arena = a};
    const Json *v = json_get(config, theirs);
    assert_non_null(v);
    assert_int_equal(json_put_value(&b, v, NULL), OK);
    if (v->type == JSON_STRING) {
        b.data[b.len - 1] = 0;
        return override(a, ours, b.data + 1);
    }
    return override(a, ours, b.data);
}

static Config *run_config(Arena *a, const Case *k, const char *out, const Json *golden, const char *accumulation,
                          const char *steps) {
    char *o[MAX_OVERRIDES];
    int n = 0;
    Err e = {0};
    Config *config = NULL;
    o[n++] = override(a, "base_model", text_of(a, "/", k->folder, k->model));
    o[n++] = override(a, "datasets.0.path", text_of(a, "/", k->folder, "rows.jsonl"));
    o[n++] = override(a, "datasets.0.type", "tokens");
    o[n++] = override(a, "lora_model_dir", text_of(a, "/", k->folder, "adapter"));
    o[n++] = override(a, "output_dir", out);
    o[n++] = override(a, "compute_dtype", "fp32");
    o[n++] = override(a, "shuffle", "false");
    o[n++] = override(a, "sample_packing", "false");
    o[n++] = override(a, "gradient_accumulation_steps", accumulation);
    o[n++] = override(a, "max_steps", steps);
    o[n++] = golden_override(a, golden, "learning_rate", "learning_rate");
    o[n++] = golden_override(a, golden, "lr_scheduler", "lr_scheduler");
    o[n++] = golden_override(a, golden, "warmup_steps", "warmup_steps");
    o[n++] = golden_override(a, golden, "weight_decay", "weight_decay");
    o[n++] = golden_override(a, golden, "max_grad_norm", "max_grad_norm");
    ASSERT_OK(config_load(a, NULL, o, n, &config, &e), e);
    return config;
}

/* norm(got - want) / norm(want) of a tensor of the golden file and a slot's matrix; `permuted` rows as in the base file. */
static double tensor_gap(const Model *m, Role role, const StTensor *want, const float *got, bool is_b) {
    double gap = 0.0, size = 0.0;
    int64_t rows = want->shape[0], cols = want->shape[1];
    for (int64_t r = 0; r < rows; r++) {
        int64_t from = is_b ? model_file_row(m, role, r) : r;
        for (int64_t c = 0; c < cols; c++) {
            float w;
            memcpy(&w, want->data + (r * cols + c) * 4, sizeof w);
            gap += pow((double)got[from * cols + c] - (double)w, 2);
            size += pow((double)w, 2);
        }
    }
    return sqrt(gap / fmax(size, 1e-30));
}

/* Every tensor of the file against params (or gradients) laid out like the adapter's parameters. */
static double compare_tensors(Arena *a, const Trainer *t, const char *path, const float *values, double tolerance) {
    Err e = {0};
    Safetensors *f = NULL;
    double worst = 0.0;
    int64_t seen = 0;
    ASSERT_OK(safetensors_open(a, path, &f, &e), e);
    for (int i = 0; i < t->adapter->set.n_slots; i++) {
        const AdapterSlot *s = &t->adapter->set.slots[i];
        const AdapterModule *mod = &t->adapter->modules[i];
        const float *at[2] = {values + (s->A - t->adapter->params), values + (s->B - t->adapter->params)};
        for (int b = 0; b < 2; b++) {
            char *name = NULL;
            assert_int_equal(
                arena_printf(a, &name, NULL, "base_model.model.%s.lora_%c.weight", mod->path, b ? 'B' : 'A'), OK);
            const StTensor *want = safetensors_find(f, name);
            if (want == NULL) fail_msg("%s lacks %s", path, name);
            double gap = tensor_gap(t->session.model, mod->role, want, at[b], b == 1);
            if (!(gap <= tolerance)) fail_msg("%s: %s is off by %.2e", path, name, gap);
            if (gap > worst) worst = gap;
            seen++;
        }
    }
    assert_int_equal(seen, f->n_tensors);
    safetensors_close(f);
    return worst;
}

/* All rows in one optimizer batch; the folded gradients stay in the tree after the step. */
static void t_gradients(void **state) {
    (void)state;
    for (int i = 0; i < N_CASES; i++) {
        if (strcmp(CASES[i].expected, "expected.json") != 0) continue;
        Arena *a = support_arena();
        char *out = support_folder(a);
        Ctx ctx = test_ctx(a);
        Trainer t;
        StepResult r;
        Err e = {0};
        Json *golden = read_json(a, text_of(a, "/", CASES[i].folder, "expected_train.json"));
        Config *c = run_config(a, &CASES[i], out, json_get(golden, "config"), "22", "1");
        ASSERT_OK(trainer_open(&ctx, c, false, &t, &e), e);
        ASSERT_OK(trainer_step(&t, &r, &e), e);
        double worst = compare_tensors(a, &t, text_of(a, "/", CASES[i].folder, "expected_grads.safetensors"),
                                       t.adapter->tree, 1e-4);
        print_message("%s/%s: worst gradient tensor %.2e\n", CASES[i].folder, CASES[i].model, worst);
        trainer_close(&t);
        ASSERT_OK(remove_tree(out, &e), e);
        arena_close(a);
    }
}

static void near_number(const Json *obj, const char *key, double got, double tolerance, const char *where,
                        int64_t step) {
    double want;
    assert_true(json_number(json_get(obj, key), &want));
    if (!(fabs(got - want) <= tolerance * fmax(fabs(want), 1e-9)))
        fail_msg("%s: step %lld: %s is %.9g, expected %.9g", where, (long long)step, key, got, want);
}

static void t_ten_steps(void **state) {
    (void)state;
    for (int i = 0; i < N_CASES; i++) {
        if (strcmp(CASES[i].expected, "expected.json") != 0) continue;
        Arena *a = support_arena();
        char *out = support_folder(a);
        Ctx ctx = test_ctx(a);
        Trainer t;
        Err e = {0};
        Json *golden = read_json(a, text_of(a, "/", CASES[i].folder, "expected_train.json"));
        const Json *steps = json_get(golden, "steps");
        Config *c = run_config(a, &CASES[i], out, json_get(golden, "config"), "4", "10");
        ASSERT_OK(trainer_open(&ctx, c, false, &t, &e), e);
        assert_int_equal(t.steps, 10);
        assert_int_equal(steps->n, 10);
        for (int64_t k = 0; k < 10; k++) {
            StepResult r;
            const Json *want = &steps->list.items[k];
            ASSERT_OK(trainer_step(&t, &r, &e), e);
            near_number(want, "loss", r.loss, 1e-4, CASES[i].folder, k + 1);
            near_number(want, "grad_norm", r.grad_norm, 1e-4, CASES[i].folder, k + 1);
            near_number(want, "learning_rate", r.learning_rate, 1e-6, CASES[i].folder, k + 1);
            near_number(want, "tokens", (double)r.tokens, 0.0, CASES[i].folder, k + 1);
            near_number(want, "trained_tokens", (double)r.trained, 0.0, CASES[i].folder, k + 1);
        }
        double worst = compare_tensors(a, &t, text_of(a, "/", CASES[i].folder, "final_adapter.safetensors"),
                                       t.adapter->params, 1e-4);
        print_message("%s/%s: worst tensor after ten steps %.2e\n", CASES[i].folder, CASES[i].model, worst);
        trainer_close(&t);
        ASSERT_OK(remove_tree(out, &e), e);
        arena_close(a);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(t_logprobs_fp32), cmocka_unit_test(t_logprobs_bf16),
                                       cmocka_unit_test(t_gradients), cmocka_unit_test(t_ten_steps)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
