/* config_check.c: what one row of schema.def cannot say: keys that are missing, exclude each other, or would do nothing.
 *
 * A stronger key replaces a weaker one with a note (max_steps and num_epochs, the command line and the file); two keys
 * that contradict each other are an error; so is a key that asks for something which its companions make impossible. */
#include "configs/config_internal.h"

#include <math.h>
#include <string.h>

static Status check_required(const Config *c, Err *e) {
    for (int i = 0; i < KEY_ID_COUNT; i++) {
        if ((CONFIG_KEYS[i].flags & KEY_REQUIRED) == 0 || *c->values[i].string != 0) continue;
        FAIL(e, ERR_CONFIG, "%s: %s is missing: %s", c->path != NULL ? c->path : "command line", CONFIG_KEYS[i].name,
             CONFIG_KEYS[i].help);
    }
    return OK;
}

static Status check_datasets(const Config *c, KeyId id, Err *e) {
    const Value *v = &c->values[id];
    for (int64_t i = 0; i < v->n; i++) {
        if (v->datasets[i].fields[DATASET_path] == NULL)
            return config_fail(c, v->datasets[i].place, e, "%s.%lld: path is missing", CONFIG_KEYS[id].name,
                               (long long)i);
    }
    return OK;
}

/* How often rows are taken is about training; weight and repeat say the same thing. */
static Status check_mixing(const Config *c, Err *e) {
    const Value *train = &c->values[KEY_ID_datasets], *test = &c->values[KEY_ID_test_datasets];
    for (int64_t i = 0; i < train->n; i++) {
        const DatasetEntry *d = &train->datasets[i];
        if (d->fields[DATASET_weight] != NULL && d->fields[DATASET_repeat] != NULL)
            return config_fail(c, d->places[DATASET_repeat], e,
                               "datasets.%lld: weight and repeat are both given; keep one", (long long)i);
    }
    for (int64_t i = 0; i < test->n; i++) {
        const DatasetEntry *d = &test->datasets[i];
        int f = d->fields[DATASET_weight] != NULL ? DATASET_weight : DATASET_repeat;
        if (d->fields[f] != NULL)
            return config_fail(c, d->places[f], e, "test_datasets.%lld.%s: held-out rows are taken once", (long long)i,
                               DATASET_FIELDS[f].name);
    }
    return OK;
}

/* Whole above 1, a share below. */
static Status check_share(const Config *c, KeyId id, const char *unit, Err *e) {
    const Value *v = &c->values[id];
    if (v->real < 1.0 || floor(v->real) == v->real) return OK;
    return config_fail(c, v->place, e, "%s: got %g, expected a whole number of %s, or a share below 1",
                       CONFIG_KEYS[id].name, v->real, unit);
}

/* Both warm-ups: the one from the command line wins over the file's. */
static Status check_warmup(Config *c, Err *e) {
    Value *steps = &c->values[KEY_ID_warmup_steps], *ratio = &c->values[KEY_ID_warmup_ratio];
    if (steps->integer == 0 || ratio->real == 0.0) return OK;
    bool steps_win = steps->place.origin == FROM_COMMAND_LINE && ratio->place.origin == FROM_FILE;
    bool ratio_wins = ratio->place.origin == FROM_COMMAND_LINE && steps->place.origin == FROM_FILE;
    if (steps_win) {
        ratio->real = 0.0;
        return config_note(c, steps->place, e, "warmup_steps replaces warmup_ratio of the file");
    }
    if (ratio_wins) {
        steps->integer = 0;
        return config_note(c, ratio->place, e, "warmup_ratio replaces warmup_steps of the file");
    }
    return config_fail(c, ratio->place, e, "warmup_ratio and warmup_steps are both given; keep one");
}

static Status check_schedule(Config *c, Err *e) {
    const Value *scheduler = &c->values[KEY_ID_lr_scheduler];
    const Value *steps = &c->values[KEY_ID_warmup_steps], *ratio = &c->values[KEY_ID_warmup_ratio];
    TRY(check_warmup(c, e));
    if (strcmp(scheduler->string, "constant") != 0) return OK;
    if (steps->integer > 0 || ratio->real > 0.0)
        return config_fail(c, steps->integer > 0 ? steps->place : ratio->place, e,
                           "%s would do nothing: lr_scheduler constant has no warm-up; write constant_with_warmup",
                           steps->integer > 0 ? "warmup_steps" : "warmup_ratio");
    return OK;
}

static Status check_length_of_run(Config *c, Err *e) {
    const Value *steps = &c->values[KEY_ID_max_steps], *epochs = &c->values[KEY_ID_num_epochs];
    if (steps->integer == 0 || epochs->place.origin == FROM_DEFAULT) return OK;
    return config_note(c, steps->place, e, "max_steps %lld is the length of the run; num_epochs is not used",
                       (long long)steps->integer);
}

static Status check_held_out(Config *c, Err *e) {
    const Value *val = &c->values[KEY_ID_val_set_size], *test = &c->values[KEY_ID_test_datasets];
    const Value *patience = &c->values[KEY_ID_early_stopping_patience],
                *best = &c->values[KEY_ID_load_best_model_at_end];
    const Value *every = &c->values[KEY_ID_eval_steps];
    if (val->real > 0.0 && test->n > 0)
        return config_fail(c, val->place, e, "val_set_size and test_datasets are both given; keep one");
    if (val->real > 0.0 || test->n > 0) return OK;
    const char *need = "needs held-out data: give val_set_size or test_datasets";
    if (patience->integer > 0) return config_fail(c, patience->place, e, "early_stopping_patience %s", need);
    if (best->boolean) return config_fail(c, best->place, e, "load_best_model_at_end %s", need);
    if (every->place.origin != FROM_DEFAULT && every->real > 0.0)
        return config_note(c, every->place, e,
                           "eval_steps does nothing without held-out data (val_set_size, test_datasets)");
    return OK;
}

static Status check_adapter(Config *c, Err *e) {
    static const KeyId of_the_adapter[] = {KEY_ID_lora_r, KEY_ID_lora_alpha, KEY_ID_lora_target_modules,
                                           KEY_ID_peft_use_rslora};
    const Value *targets = &c->values[KEY_ID_lora_target_modules];
    for (int64_t i = 0; i < targets->n && targets->n > 1; i++) {
        if (strcmp(targets->list[i], "all-linear") == 0)
            return config_fail(c, targets->place, e, "lora_target_modules: all-linear stands alone or not at all");
    }
    if (*c->values[KEY_ID_lora_model_dir].string == 0) return OK;
    for (size_t i = 0; i < sizeof of_the_adapter / sizeof of_the_adapter[0]; i++) {
        const Value *v = &c->values[of_the_adapter[i]];
        if (v->place.origin == FROM_DEFAULT) continue;
        TRY(config_note(c, v->place, e, "%s is not used: lora_model_dir's adapter has its own",
                        CONFIG_KEYS[of_the_adapter[i]].name));
    }
    return OK;
}

static Status check_output(Config *c, Err *e) {
    Value *resume = &c->values[KEY_ID_resume_from_checkpoint], *anew = &c->values[KEY_ID_overwrite_output_dir];
    if (*resume->string == 0 || !anew->boolean) return OK;
    if (resume->place.origin == FROM_COMMAND_LINE && anew->place.origin == FROM_FILE) {
        anew->boolean = false;
        return config_note(c, resume->place, e, "resume_from_checkpoint replaces overwrite_output_dir of the file");
    }
    if (anew->place.origin == FROM_COMMAND_LINE && resume->place.origin == FROM_FILE) {
        resume->string = "";
        return config_note(c, anew->place, e, "overwrite_output_dir replaces resume_from_checkpoint of the file");
    }
    return config_fail(c, anew->place, e,
                       "overwrite_output_dir starts anew and resume_from_checkpoint goes on; keep one of them");
}

Status config_check(Config *c, Err *e) {
    TRY(check_required(c, e));
    TRY(check_datasets(c, KEY_ID_datasets, e));
    TRY(check_datasets(c, KEY_ID_test_datasets, e));
    TRY(check_mixing(c, e));
    TRY(check_share(c, KEY_ID_val_set_size, "rows", e));
    TRY(check_share(c, KEY_ID_eval_steps, "steps", e));
    TRY(check_share(c, KEY_ID_save_steps, "steps", e));
    TRY(check_schedule(c, e));
    TRY(check_length_of_run(c, e));
    TRY(check_held_out(c, e));
    TRY(check_adapter(c, e));
    return check_output(c, e);
}
