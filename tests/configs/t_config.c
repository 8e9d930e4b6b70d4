/* Configs: defaults, every kind of wrong value, overrides, aliases, absent keys, checks between keys, round trip. */
#include "configs/config.h"

#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static Arena *arena;
static Err err;
static char path[64];

static int setup(void **state) {
    (void)state;
    /* thousands of small files are written: in memory where there is such a folder */
    strcpy(path, access("/dev/shm", W_OK) == 0 ? "/dev/shm/lorac-config-XXXXXX" : "/tmp/lorac-config-XXXXXX");
    int fd = mkstemp(path);
    if (fd < 0) return 1;
    close(fd);
    return arena_open(&arena, "test", &err) == OK ? 0 : 1;
}

static int teardown(void **state) {
    (void)state;
    unlink(path);
    arena_close(arena);
    return 0;
}

static void write_file(const char *text, size_t len) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

/* Loads a file's text and NULL-terminated overrides. */
static Status load(const char *text, char *const *overrides, Config **out) {
    int n = 0;
    while (overrides != NULL && overrides[n] != NULL) n++;
    memset(&err, 0, sizeof err);
    if (text != NULL) write_file(text, strlen(text));
    return config_load(arena, text != NULL ? path : NULL, overrides, n, out, &err);
}

/* The message without the file's name, or as it is. */
static const char *message(void) {
    size_t n = strlen(path);
    return strncmp(err.message, path, n) == 0 ? err.message + n : err.message;
}

static void want_error(Status st, Status expected, const char *text) {
    if (st != expected) fail_msg("status %d, message '%s', wanted '%s'", (int)st, err.message, text);
    if (strstr(message(), text) == NULL) fail_msg("'%s' lacks '%s'", err.message, text);
    if (strchr(err.message, '\n') != NULL) fail_msg("more than one line: '%s'", err.message);
}

static const char *const minimal = "base_model: m.gguf\n";

static void defaults_are_those_of_the_manual(void **state) {
    (void)state;
    Config *c;
    int64_t n;
    assert_int_equal(load(minimal, NULL, &c), OK);
    assert_string_equal(config_string(c, "base_model"), "m.gguf");
    assert_int_equal(config_int(c, "sequence_len"), 2048);
    assert_int_equal(config_int(c, "micro_batch_size"), 1);
    assert_int_equal(config_int(c, "gradient_accumulation_steps"), 4);
    assert_true(config_real(c, "num_epochs") == 1.0);
    assert_true(config_real(c, "adam_beta1") == 0.9);
    assert_true(config_real(c, "adam_beta2") == 0.999);
    assert_true(config_real(c, "adam_epsilon") == 1e-8);
    assert_true(config_real(c, "weight_decay") == 0.0);
    assert_true(config_real(c, "warmup_ratio") == 0.0);
    assert_true(config_real(c, "learning_rate") == 2e-4);
    assert_true(config_real(c, "max_grad_norm") == 1.0);
    assert_true(config_real(c, "lora_alpha") == 32.0);
    assert_true(config_real(c, "lora_dropout") == 0.0);
    assert_int_equal(config_int(c, "lora_r"), 16);
    assert_int_equal(config_int(c, "save_total_limit"), 3);
    assert_int_equal(config_int(c, "max_steps"), 0);
    assert_true(config_bool(c, "shuffle"));
    assert_true(config_bool(c, "sample_packing"));
    assert_string_equal(config_string(c, "excess_length_strategy"), "raise");
    assert_string_equal(config_string(c, "lr_scheduler"), "cosine");
    assert_string_equal(config_string(c, "compute_dtype"), "auto");
    assert_string_equal(config_string(c, "adapter"), "lora");
    assert_string_equal(config_string(c, "resume_from_checkpoint"), "");
    const char *const *targets = config_list(c, "lora_target_modules", &n);
    assert_int_equal(n, 1);
    assert_string_equal(targets[0], "all-linear");
    assert_false(config_is_set(c, "lora_r"));
    assert_true(config_is_set(c, "base_model"));
    assert_string_equal(config_where(c, "lora_r"), "default");
    assert_non_null(strstr(config_where(c, "base_model"), ":1:13"));
}

static void values_are_read(void **state) {
    (void)state;
    Config *c;
    Err e;
    const char *where;
    int64_t n;
    const char *text =
        "base_model: \"a b.gguf\"\nlearning_rate: 1e-4\nlora_r: 8\nmax_steps: 1e3\nshuffle: false\n"
        "gradient_checkpointing: True\nlora_target_modules:\n  - q_proj\n  - v_proj\nmax_memory: 1.5GiB\n"
        "datasets:\n  - path: a.jsonl\n    type: prompt_completion\n    field_prompt: question\n  - {path: b.jsonl}\n"
        "eval_steps: 0.3\nsave_steps: 7\nseed: 0x10\ndeterministic: true\n";
    assert_int_equal(load(text, NULL, &c), OK);
    assert_string_equal(config_string(c, "base_model"), "a b.gguf");
    assert_true(config_real(c, "learning_rate") == 1e-4);
    assert_int_equal(config_int(c, "lora_r"), 8);
    assert_int_equal(config_int(c, "max_steps"), 1000);
    assert_int_equal(config_int(c, "seed"), 16);
    assert_false(config_bool(c, "shuffle"));
    assert_string_equal(config_string(c, "gradient_checkpointing"), "true");
    assert_int_equal(config_int(c, "max_memory"), 3LL << 29);
    assert_string_equal(config_list(c, "lora_target_modules", &n)[1], "v_proj");
    assert_int_equal(n, 2);
    assert_int_equal(config_datasets(c, "datasets"), 2);
    assert_string_equal(config_dataset(c, "datasets", 0, "field_prompt"), "question");
    assert_null(config_dataset(c, "datasets", 1, "type"));
    assert_int_equal(config_dataset_where(c, "datasets", 0, "type", &where, &e), OK);
    assert_non_null(strstr(where, ":13:5"));
    assert_int_equal(config_interval(c, "eval_steps", 10), 3);
    assert_int_equal(config_interval(c, "eval_steps", 11), 4);
    assert_int_equal(config_interval(c, "save_steps", 10), 7);
    assert_int_equal(load("base_model: m\neval_steps: 0\nlora_target_modules: q_proj, k_proj\n", NULL, &c), OK);
    assert_int_equal(config_interval(c, "eval_steps", 10), 0);
    assert_string_equal(config_list(c, "lora_target_modules", &n)[1], "k_proj");
}

/* Numbers in entries of datasets, from the file and the command line. */
static void numbers_of_datasets(void **state) {
    (void)state;
    Config *c;
    char *overrides[] = {"datasets.1.weight=0.25", "datasets.0.repeat=3", NULL};
    const char *text = "base_model: m\ndatasets:\n  - {path: a, max_rows: 1e3}\n  - {path: b, weight: 2, repeat: }\n"
                       "test_datasets: [{path: t, max_rows: 7}]\n";
    assert_int_equal(load(text, overrides, &c), OK);
    assert_true(config_dataset_number(c, "datasets", 0, "max_rows", 0) == 1000);
    assert_true(config_dataset_number(c, "datasets", 0, "repeat", 1) == 3);
    assert_true(config_dataset_number(c, "datasets", 0, "weight", -1) == -1);
    assert_true(config_dataset_number(c, "datasets", 1, "weight", 1) == 0.25);
    assert_true(config_dataset_number(c, "datasets", 1, "repeat", 1) == 1);
    assert_true(config_dataset_number(c, "test_datasets", 0, "max_rows", 0) == 7);
}

static void wrong_values_say_got_and_expected(void **state) {
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"lora_rr: 8\n", ":1:1: unknown key 'lora_rr'; did you mean 'lora_r'?"},
        {"base_model: m\nlearning_rat: 8\n", ":2:1: unknown key 'learning_rat'; did you mean 'learning_rate'?"},
        {"lora-r: 8\n", "did you mean 'lora_r'?"},
        {"lora_rnak: 8\n", "did you mean 'lora_r'?"},
        {"zzzzzz: 8\n", ":1:1: unknown key 'zzzzzz'; lorac config defaults lists all keys"},
        {"field_prompt: q\n", "it belongs in an entry of datasets"},
        {"lora_r: \"16\"\n",
         ":1:9: lora_r: got the text '16', expected a whole number from 1 to 65536; leave out the quotes"},
        {"lora_r: 1.5\n", "lora_r: got the number 1.5, expected a whole number from 1 to 65536"},
        {"lora_r: 0\n", "lora_r: got the number 0, expected a whole number from 1"},
        {"lora_r: -1\n", "got the number -1"},
        {"lora_r: 99999999999999999999\n", "got the number 99999999999999999999"},
        {"lora_r: [1]\n", "lora_r: got a list, expected a whole number"},
        {"learning_rate: fast\n", "learning_rate: got the text 'fast', expected a number from 0 to 1000"},
        {"learning_rate: .nan\n", "expected a number"},
        {"learning_rate: .inf\n", "expected a number"},
        {"learning_rate: 1e999\n", "expected a number"},
        {"lora_dropout: 1\n", "expected a number from 0 to 1 (not itself)"},
        {"adam_epsilon: 0\n", "expected a number from 0 (not itself) to 1"},
        {"shuffle: no\n", ":1:10: shuffle: got the text 'no', expected true or false"},
        {"shuffle: 1\n", "shuffle: got the number 1, expected true or false"},
        {"shuffle: \"true\"\n", "leave out the quotes"},
        {"lr_scheduler: cosinus\n", "lr_scheduler: got the text 'cosinus', expected one of linear, cosine, constant"},
        {"optimizer: sgd\n", "optimizer: got the text 'sgd', expected adamw (this version has no other)"},
        {"deterministic: false\n", "deterministic: got false, expected true (this version has no other)"},
        {"device: cuda\n", "expected one of auto, cpu"},
        {"output_dir: 12\n", "output_dir: got the number 12, expected a path; write it in quotes if it is text"},
        {"output_dir: \"\"\n", "expected text that is not empty"},
        {"base_model: {a: b}\n", "base_model: got a map, expected a path"},
        {"lora_target_modules: [q_proj, 3]\n", ":1:31: lora_target_modules: got the number 3, expected text"},
        {"lora_target_modules: []\n", "got 0 words, expected 1 to 4096"},
        {"lora_target_modules: [q_proj, q_proj]\n", "'q_proj' is in the list twice"},
        {"lora_target_modules: [all-linear, q_proj]\nbase_model: m\n", "all-linear stands alone"},
        {"report_to: [tensorboard]\n", "report_to: 'tensorboard' is not in this version (possible: jsonl)"},
        {"max_memory: lots\n", "max_memory: got the text 'lots', expected a size such as"},
        {"max_memory: 1XB\n", "expected a size such as"},
        {"max_memory: 0x10\n", "expected a size such as"},
        {"datasets: a.jsonl\n", "datasets: got the text 'a.jsonl', expected a list of entries"},
        {"datasets:\n  - a.jsonl\n", ":2:5: datasets.0: got the text 'a.jsonl', expected an entry"},
        {"datasets:\n  - pth: a.jsonl\n", ":2:5: unknown key 'pth' in an entry of datasets; did you mean 'path'?"},
        {"datasets:\n  - path: [a]\n", "datasets.0.path: got a list, expected text"},
        {"datasets:\n  - path: a\n    path: b\n", ":3:5: key 'path' is given twice"},
        {"datasets:\n  - path: a\n    field_prompt: b\n    prompt_feature: c\n",
         ":4:5: datasets.0.field_prompt is given twice, first in line 3"},
        {"base_model: m\ndatasets:\n  - type: text\n", ":3:5: datasets.0: path is missing"},
        {"datasets:\n  - path: a\n    split: test\n", "split: a file is read whole"},
        {"lora_r: 8\nlora_rank: 8\n", ":2:1: lora_r is given twice, first in line 1"},
        {"load_in_4bit: true\n", ":1:1: load_in_4bit: quantizing a base on load is not in this version"},
        {"peft_use_dora: true\n", "DoRA is not in this version"},
        {"neftune_noise_alpha: 5\n", "NEFTune is not in this version"},
        {"datasets:\n  - path: a\n    roles_to_train: [a, [b]]\n", "roles_to_train: got a list with"},
        {"wandb_project: x\n", "sends nothing over a network"},
        {"lora_r: 8\n", ": base_model is missing"},
        {"base_model: m\nwarmup_ratio: 0.1\nwarmup_steps: 5\n", ":2:15: warmup_ratio and warmup_steps are both given"},
        {"base_model: m\nlr_scheduler: constant\nwarmup_steps: 5\n", ":3:15: warmup_steps would do nothing"},
        {"base_model: m\nval_set_size: 1.5\n", "expected a whole number of rows, or a share below 1"},
        {"base_model: m\nval_set_size: 2\ntest_datasets: [{path: a}]\n",
         "val_set_size and test_datasets are both given"},
        {"base_model: m\nearly_stopping_patience: 2\n", "needs held-out data"},
        {"base_model: m\nload_best_model_at_end: true\n", "needs held-out data"},
        {"base_model: m\nresume_from_checkpoint: auto\noverwrite_output_dir: true\n", "keep one of them"},
        {"", ": base_model is missing"},
        {"base_model:\n", ": base_model is missing"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Config *c;
        want_error(load(cases[i].text, NULL, &c), ERR_CONFIG, cases[i].message);
    }
}

static void wrong_numbers_of_datasets(void **state) {
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"base_model: m\ndatasets: [{path: a, weight: 0}]\n",
         ":2:22: datasets.0.weight: got the number 0, expected a number above 0 and at most 1e+06"},
        {"base_model: m\ndatasets: [{path: a, weight: .inf}]\n", "expected a number above 0"},
        {"base_model: m\ndatasets: [{path: a, weight: much}]\n", "expected a number above 0"},
        {"base_model: m\ndatasets: [{path: a, weight: \"2\"}]\n", "expected a number above 0"},
        {"base_model: m\ndatasets: [{path: a, repeat: 1.5}]\n",
         "datasets.0.repeat: got the number 1.5, expected a whole number"},
        {"base_model: m\ndatasets: [{path: a, max_rows: -3}]\n", "expected a whole number above 0"},
        {"base_model: m\ndatasets: [{path: a, weight: 1, repeat: 2}]\n", "weight and repeat are both given"},
        {"base_model: m\ntest_datasets: [{path: a, weight: 2}]\n",
         "test_datasets.0.weight: held-out rows are taken once"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Config *c;
        want_error(load(cases[i].text, NULL, &c), ERR_CONFIG, cases[i].message);
    }
}

static void overrides_win_and_name_the_command_line(void **state) {
    (void)state;
    Config *c;
    int64_t n;
    const char *file =
        "base_model: m\nlora_rank: 8\ndatasets:\n  - path: a.jsonl\n    type: text\nlora_target_modules: [q_proj]\n";
    char *good[] = {"lora_r=4",
                    "--learning-rate=1e-5",
                    "datasets.0.path=b.jsonl",
                    "datasets.1.path=1",
                    "datasets.1.type=tokens",
                    "output_dir=12",
                    "lora_target_modules.1=v_proj",
                    "max_memory=2 GB",
                    "num_train_epochs=3",
                    "base_model=x: y [z]",
                    "datasets.0.type=",
                    "datasets.0.roles_to_train=[user, tool]",
                    "datasets.1.roles_to_train=user, tool",
                    "lora_r=5",
                    NULL};
    assert_int_equal(load(file, good, &c), OK);
    assert_int_equal(config_int(c, "lora_r"), 5);
    assert_string_equal(config_where(c, "lora_r"), "command line");
    assert_true(config_real(c, "learning_rate") == 1e-5);
    assert_string_equal(config_dataset(c, "datasets", 0, "path"), "b.jsonl");
    assert_null(config_dataset(c, "datasets", 0, "type"));
    assert_string_equal(config_dataset(c, "datasets", 1, "path"), "1");
    assert_string_equal(config_dataset(c, "datasets", 1, "type"), "tokens");
    assert_string_equal(config_dataset(c, "datasets", 0, "roles_to_train"), "user tool");
    assert_string_equal(config_dataset(c, "datasets", 1, "roles_to_train"), "user, tool");
    assert_string_equal(config_string(c, "output_dir"), "12");
    assert_string_equal(config_string(c, "base_model"), "x: y [z]");
    assert_int_equal(config_int(c, "max_memory"), 2000000000);
    assert_true(config_real(c, "num_epochs") == 3.0);
    assert_string_equal(config_list(c, "lora_target_modules", &n)[1], "v_proj");
    char *whole[] = {"datasets=[{path: z, type: text}]", "lora_target_modules=[k_proj, o_proj]", "lora_rank=", NULL};
    assert_int_equal(load(file, whole, &c), OK);
    assert_int_equal(config_datasets(c, "datasets"), 1);
    assert_string_equal(config_dataset(c, "datasets", 0, "path"), "z");
    assert_string_equal(config_list(c, "lora_target_modules", &n)[1], "o_proj");
    assert_int_equal(config_int(c, "lora_r"), 16);
    char *alone[] = {"base_model=m", "test_datasets.0.path=t.jsonl", NULL};
    assert_int_equal(load(NULL, alone, &c), OK);
    assert_string_equal(config_dataset(c, "test_datasets", 0, "path"), "t.jsonl");
}

static void wrong_overrides(void **state) {
    (void)state;
    static const struct {
        const char *text;
        Status status;
        const char *message;
    } cases[] = {
        {"lora_rr=4", ERR_USAGE, "command line: unknown key 'lora_rr'; did you mean 'lora_r'?"},
        {"lora_r", ERR_USAGE, "command line: 'lora_r': expected key=value"},
        {"=4", ERR_USAGE, "expected key=value"},
        {"lora_r=x", ERR_CONFIG, "command line: lora_r: got the text 'x', expected a whole number"},
        {"lora_r=0", ERR_CONFIG, "command line: lora_r: got the number 0"},
        {"lora_r.0=4", ERR_USAGE, "lora_r is no list"},
        {"datasets.x.path=4", ERR_USAGE, "expected a number after the dot"},
        {"datasets.2.path=4", ERR_USAGE, "the list has 0 entries; the next one is datasets.0"},
        {"datasets.0=4", ERR_USAGE, "expected a field, such as datasets.0.path"},
        {"datasets.0.pth=4", ERR_CONFIG, "unknown key 'pth' in an entry of datasets; did you mean 'path'?"},
        {"datasets.0.type=text", ERR_CONFIG, "command line: datasets.0: path is missing"},
        {"datasets.99999999999.path=4", ERR_USAGE, "expected a number after the dot"},
        {"datasets=[{path: x", ERR_CONFIG, "command line: datasets: not valid YAML"},
        {"datasets=[&a {path: x}]", ERR_CONFIG, "anchors"},
        {"output_dir=a\xff", ERR_USAGE, "not valid UTF-8"},
        {"load_in_4bit=true", ERR_USAGE, "command line: load_in_4bit: quantizing"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Config *c;
        char text[128];
        char *overrides[] = {text, NULL};
        strcpy(text, cases[i].text);
        want_error(load(minimal, overrides, &c), cases[i].status, cases[i].message);
    }
}

static bool has_note(const Config *c, const char *text) {
    int n;
    const char *const *notes = config_notes(c, &n);
    for (int i = 0; i < n; i++) {
        if (strstr(notes[i], text) != NULL) return true;
    }
    return false;
}

static void aliases_and_neutral_values(void **state) {
    (void)state;
    Config *c;
    int n;
    const char *text =
        "model: m\ncutoff_len: 99\noptim: adamw_torch\nload_in_4bit: false\npeft_use_dora: False\nchat_template:\n"
        "flash_attention: true\nlora_target: all\nnum_epochs: 2\nmax_steps: 5\neval_steps: 3\nloraplus_lr_ratio: 1.0\n"
        "lora_alpha:\ndatasets:\n  - path: a\n    prompt_feature: q\n    ds_type: json\n    split: train\n";
    assert_int_equal(load(text, NULL, &c), OK);
    assert_string_equal(config_string(c, "base_model"), "m");
    assert_int_equal(config_int(c, "sequence_len"), 99);
    assert_string_equal(config_string(c, "optimizer"), "adamw");
    assert_string_equal(config_dataset(c, "datasets", 0, "field_prompt"), "q");
    assert_true(has_note(c, ":1:1: model is base_model here"));
    assert_true(has_note(c, "cutoff_len is sequence_len here"));
    assert_true(has_note(c, "optimizer: 'adamw_torch' is 'adamw' here"));
    assert_true(has_note(c, "prompt_feature is field_prompt here"));
    assert_true(has_note(c, "num_epochs is not used"));
    assert_true(has_note(c, "eval_steps does nothing without held-out data"));
    assert_true(has_note(c, "lora_alpha is empty: its default 32 is used"));
    assert_int_equal(load(minimal, NULL, &c), OK);
    config_notes(c, &n);
    assert_int_equal(n, 0);
}

static void command_line_settles_contradictions(void **state) {
    (void)state;
    Config *c;
    char *resume[] = {"resume_from_checkpoint=auto", NULL}, *steps[] = {"warmup_steps=3", NULL};
    assert_int_equal(load("base_model: m\noverwrite_output_dir: true\n", resume, &c), OK);
    assert_false(config_bool(c, "overwrite_output_dir"));
    assert_true(has_note(c, "replaces overwrite_output_dir"));
    assert_int_equal(load("base_model: m\nwarmup_ratio: 0.1\n", steps, &c), OK);
    assert_true(config_real(c, "warmup_ratio") == 0.0);
    assert_int_equal(config_int(c, "warmup_steps"), 3);
}

static char *resolved(const Config *c) {
    Buf b = {.arena = arena};
    assert_int_equal(config_write_resolved(c, &b, &err), OK);
    return b.data;
}

static char *maths(const Config *c) {
    Buf b = {.arena = arena};
    assert_int_equal(config_write_maths(c, &b, &err), OK);
    return b.data;
}

static void resolved_text_reads_back_the_same(void **state) {
    (void)state;
    Config *c, *again;
    char *odd[] = {"output_dir=a\"b\\c\xc2\x85\xe2\x80\xa8\t\x01\x7f#: é 語", NULL};
    const char *text =
        "base_model: m\nlearning_rate: 0.00012345678901234567\nlora_target_modules: [\"no\", \"1\"]\nval_set_size: 0.1\n"
        "datasets:\n  - {path: \"x y\", type: text, field_text: \"~\", weight: 0x10}\n  - path: z\n    max_rows: 5\n";
    assert_int_equal(load(text, odd, &c), OK);
    assert_int_equal(config_resolve_string(c, "compute_dtype", "bf16", &err), OK);
    config_resolve_int(c, "threads", 7);
    char *first = resolved(c), *first_maths = maths(c);
    assert_non_null(strstr(first, "compute_dtype: bf16\n"));
    assert_non_null(strstr(first, "threads: 7\n"));
    if (load(first, NULL, &again) != OK) fail_msg("%s in:\n%s", err.message, first);
    assert_string_equal(first, resolved(again));
    assert_string_equal(first_maths, maths(again));
    assert_string_equal(config_string(c, "output_dir"), config_string(again, "output_dir"));
    assert_true(config_real(c, "learning_rate") == config_real(again, "learning_rate"));
}

static void maths_text_sees_what_decides_bytes(void **state) {
    (void)state;
    static const struct {
        const char *override;
        bool differs;
    } cases[] = {
        {"threads=3", false},         {"output_dir=x", false},
        {"save_steps=1", false},      {"eval_steps=1", false},
        {"logging_steps=2", false},   {"gradient_checkpointing=true", false},
        {"base_model=other", false},  {"seed=7", true},
        {"lora_r=8", true},           {"learning_rate=1", true},
        {"max_steps=9", true},        {"shuffle=false", true},
        {"micro_batch_size=2", true}, {"compute_dtype=fp32", true},
        {"sequence_len=64", true},
    };
    Config *c;
    assert_int_equal(load(minimal, NULL, &c), OK);
    char *plain = maths(c);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[64];
        char *overrides[] = {text, NULL};
        strcpy(text, cases[i].override);
        assert_int_equal(load(minimal, overrides, &c), OK);
        if ((strcmp(plain, maths(c)) != 0) != cases[i].differs) fail_msg("%s", cases[i].override);
    }
    char *split[] = {"micro_batch_size=2", "gradient_accumulation_steps=2", NULL};
    assert_int_equal(load(minimal, split, &c), OK);
    assert_string_equal(plain, maths(c));
}

static void help_has_every_key(void **state) {
    (void)state;
    Buf b = {.arena = arena};
    assert_int_equal(config_help(&b, &err), OK);
    for (int i = 0; i < CONFIG_KEY_COUNT; i++) {
        char name[64];
        snprintf(name, sizeof name, "\n  %s ", CONFIG_KEYS[i].name);
        if (strstr(b.data, name) == NULL) fail_msg("%s is not in the help", CONFIG_KEYS[i].name);
    }
    assert_non_null(strstr(b.data, "default 16"));
    for (const char *line = b.data; *line != 0; line = strchr(line, '\n') + 1) {
        size_t n = strcspn(line, "\n");
        assert_true(n <= 100 && (n == 0 || line[n - 1] != ' '));
    }
}

/* The recipes that are shipped use only keys of today, and need no note. */
static void recipes_are_in_order(void **state) {
    (void)state;
    char **names;
    size_t n;
    int recipes = 0, notes;
    assert_int_equal(list_folder(arena, LORAC_SOURCE_DIR "/configs", &names, &n, &err), OK);
    for (size_t i = 0; i < n; i++) {
        Config *c;
        char *file;
        size_t end = strlen(names[i]);
        if (end < 5 || strcmp(names[i] + end - 5, ".yaml") != 0) continue;
        assert_int_equal(path_join(arena, LORAC_SOURCE_DIR "/configs", names[i], &file, &err), OK);
        if (config_load(arena, file, NULL, 0, &c, &err) != OK) fail_msg("%s", err.message);
        config_notes(c, &notes);
        assert_int_equal(notes, 0);
        recipes++;
    }
    assert_true(recipes > 0);
}

/* No prefix and no single changed byte of a config may crash, hang or be taken as something it is not. */
static void damaged_files_are_errors_or_configs(void **state) {
    (void)state;
    const char *text =
        "base_model: m.gguf\ndatasets:\n  - path: a.jsonl\n    type: prompt_completion\nlearning_rate: 2e-4\n"
        "lora_target_modules: [q_proj, \"v_proj\"]\nshuffle: false\nmax_memory: 1GB\n";
    static const char bytes[] = {0,   '\n', ' ',  ':', '[', ']',  '{', '}', '&',   '*',
                                 '!', '"',  '\'', '|', '%', '\t', '-', '#', '\x80'};
    size_t len = strlen(text);
    ArenaMark mark = arena_mark(arena);
    char damaged[512];
    for (size_t at = 0; at <= len; at++) {
        Config *c;
        write_file(text, at);
        (void)config_load(arena, path, NULL, 0, &c, &err);
        arena_reset(arena, mark);
    }
    for (size_t at = 0; at < len; at++) {
        for (size_t b = 0; b < sizeof bytes; b++) {
            Config *c;
            memcpy(damaged, text, len);
            damaged[at] = bytes[b];
            write_file(damaged, len);
            Status st = config_load(arena, path, NULL, 0, &c, &err);
            assert_true(st == OK || st == ERR_CONFIG);
            arena_reset(arena, mark);
        }
    }
    Config *c;
    assert_int_equal(config_load(arena, "/nonexistent/c.yaml", NULL, 0, &c, &err), ERR_IO);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(defaults_are_those_of_the_manual, setup, teardown),
        cmocka_unit_test_setup_teardown(values_are_read, setup, teardown),
        cmocka_unit_test_setup_teardown(numbers_of_datasets, setup, teardown),
        cmocka_unit_test_setup_teardown(wrong_numbers_of_datasets, setup, teardown),
        cmocka_unit_test_setup_teardown(wrong_values_say_got_and_expected, setup, teardown),
        cmocka_unit_test_setup_teardown(overrides_win_and_name_the_command_line, setup, teardown),
        cmocka_unit_test_setup_teardown(wrong_overrides, setup, teardown),
        cmocka_unit_test_setup_teardown(aliases_and_neutral_values, setup, teardown),
        cmocka_unit_test_setup_teardown(command_line_settles_contradictions, setup, teardown),
        cmocka_unit_test_setup_teardown(resolved_text_reads_back_the_same, setup, teardown),
        cmocka_unit_test_setup_teardown(maths_text_sees_what_decides_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(help_has_every_key, setup, teardown),
        cmocka_unit_test_setup_teardown(recipes_are_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged_files_are_errors_or_configs, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
