/* t_state.c: training state: what is saved comes back bit for bit; damaged ones are refused; old ones go only when a new
 * one is there. */
#include "checkpoints/state_hdf5.h"

#include <math.h>

#include "files.h"

enum { ROWS = 7, COLS = 33 };

static Status save(Fixture *f, const char *folder, int64_t step, int64_t limit) {
    static float x[ROWS * COLS], y[1];
    for (int i = 0; i < ROWS * COLS; i++) x[i] = golden_value(i + step);
    x[5] = -0.0f;
    x[6] = INFINITY;
    x[7] = 1e-42f;
    y[0] = (float)step;
    const StateArray arrays[] = {{"adapter.model.layers.0.q_proj.lora_A", ROWS, COLS, x}, {"m", 1, 1, y}};
    const StateInt ints[] = {{"cursor", INT64_MIN}, {"epoch", step}};
    const StateReal reals[] = {{"loss", 0.1}, {"best", INFINITY}};
    const StateText texts[] = {{"config", "a: 1\n\xc3\xa9", 7}, {"empty", "", 0}};
    const TrainState s = {.step = step,
                          .arrays = arrays,
                          .n_arrays = 2,
                          .ints = ints,
                          .n_ints = 2,
                          .reals = reals,
                          .n_reals = 2,
                          .texts = texts,
                          .n_texts = 2};
    return state_save(f->a, folder, &s, limit, &f->e);
}

static char *checkpoint(Fixture *f, const char *folder, int64_t step) {
    char *path = NULL;
    GOOD(f, state_folder(f->a, folder, step, &path, &f->e));
    return path;
}

static char *inside(Fixture *f, const char *folder, const char *name) {
    char *path = NULL;
    GOOD(f, path_join(f->a, folder, name, &path, &f->e));
    return path;
}

static void round_trip(void **state) {
    Fixture *f = *state;
    StateFile *s;
    float x[ROWS * COLS], one[1];
    int64_t i;
    double r;
    char *text, *folder = in_folder(f, "run/out");
    size_t len;
    GOOD(f, save(f, folder, 12, 3));
    GOOD(f, state_open(f->a, checkpoint(f, folder, 12), &s, &f->e));
    assert_int_equal(state_step(s), 12);
    GOOD(f, state_array(s, "adapter.model.layers.0.q_proj.lora_A", ROWS, COLS, x, &f->e));
    for (int k = 8; k < ROWS * COLS; k++) assert_true(x[k] == golden_value(k + 12));
    assert_true(x[5] == 0 && signbit(x[5]) && isinf(x[6]) && x[7] == 1e-42f);
    GOOD(f, state_array(s, "m", 1, 1, one, &f->e));
    assert_true(one[0] == 12);
    GOOD(f, state_int(s, "cursor", &i, &f->e));
    assert_true(i == INT64_MIN);
    GOOD(f, state_real(s, "loss", &r, &f->e));
    assert_true(r == 0.1);
    GOOD(f, state_real(s, "best", &r, &f->e));
    assert_true(isinf(r));
    GOOD(f, state_text(s, f->a, "config", &text, &len, &f->e));
    assert_true(len == 7 && memcmp(text, "a: 1\n\xc3\xa9", 7) == 0);
    GOOD(f, state_text(s, f->a, "empty", &text, &len, &f->e));
    assert_int_equal(len, 0);
    assert_true(state_has_int(s, "epoch") && !state_has_int(s, "loss") && state_has_real(s, "loss"));
    assert_true(state_has_array(s, "m") && !state_has_array(s, "v") && state_has_text(s, "config"));
    BAD(f, state_int(s, "none", &i, &f->e), ERR_FORMAT, "int/none");
    BAD(f, state_array(s, "none", 1, 1, one, &f->e), ERR_FORMAT, "array/none");
    Status st = state_array(s, "m", 1, 2, one, &f->e);
    assert_true(st != OK);
    st = state_array(s, "adapter.model.layers.0.q_proj.lora_A", COLS, ROWS, x, &f->e);
    assert_true(st != OK);
    state_close(s);
}

/* The same state gives the same bytes: nothing of time or place is in the file. */
static void same_bytes(void **state) {
    Fixture *f = *state;
    char *a = in_folder(f, "a"), *b = in_folder(f, "b");
    GOOD(f, save(f, a, 3, 0));
    sleep(1); /* HDF5 can record modification times in seconds */
    GOOD(f, save(f, b, 3, 0));
    same_files(f, inside(f, checkpoint(f, a, 3), "state.h5"), inside(f, checkpoint(f, b, 3), "state.h5"));
    same_files(f, inside(f, checkpoint(f, a, 3), "state.h5.xxh3"), inside(f, checkpoint(f, b, 3), "state.h5.xxh3"));
}

static void steps_are(Fixture *f, const char *folder, const int64_t *expected, size_t n_expected) {
    int64_t *steps;
    size_t n;
    GOOD(f, state_list(f->a, folder, &steps, &n, &f->e));
    assert_int_equal(n, n_expected);
    for (size_t i = 0; i < n; i++) assert_int_equal(steps[i], expected[i]);
}

static void limit_and_order(void **state) {
    Fixture *f = *state;
    char *folder = in_folder(f, "out"), **names;
    size_t n;
    steps_are(f, folder, NULL, 0);
    for (int64_t step = 5; step <= 20; step += 5) GOOD(f, save(f, folder, step, 3));
    steps_are(f, folder, (const int64_t[]){20, 15, 10}, 3);
    GOOD(f, save(f, folder, 100, 0)); /* no limit */
    steps_are(f, folder, (const int64_t[]){100, 20, 15, 10}, 4);
    GOOD(f, save(f, folder, 12, 2)); /* older than others, but the one just written */
    steps_are(f, folder, (const int64_t[]){100, 12}, 2);
    GOOD(f, save(f, folder, 100, 1)); /* the same step again */
    steps_are(f, folder, (const int64_t[]){100}, 1);
    static const char *const OTHERS[] = {
        "checkpoint-", "checkpoint-x", "checkpoint-7x", "checkpoint-007", "checkpoint-99999999999999999999",
        "best",        "checkpoint--1"};
    for (size_t i = 0; i < sizeof OTHERS / sizeof OTHERS[0]; i++)
        GOOD(f, make_folders(inside(f, folder, OTHERS[i]), &f->e));
    put_file(inside(f, folder, "checkpoint-8"), "a file", 6);
    steps_are(f, folder, (const int64_t[]){100}, 1);
    GOOD(f, make_folders(inside(f, folder, "checkpoint-50.tmp-2147483646/deep"), &f->e));
    GOOD(f, save(f, folder, 101, 2));
    assert_false(path_exists(inside(f, folder, "checkpoint-50.tmp-2147483646")));
    steps_are(f, folder, (const int64_t[]){101, 100}, 2);
    GOOD(f, list_folder(f->a, folder, &names, &n, &f->e));
    for (size_t i = 0; i < n; i++) assert_null(strstr(names[i], ".tmp-"));
}

static void save_errors(void **state) {
    Fixture *f = *state;
    put_file(in_folder(f, "file"), "x", 1);
    Status st = save(f, in_folder(f, "file"), 1, 3);
    assert_true(st != OK);
    assert_non_null(strstr(f->e.message, "file"));
}

static Status open_and_use(Fixture *f, const char *path) {
    StateFile *s;
    char *folder;
    float x[ROWS * COLS];
    TRY(path_dirname(f->a, path, &folder, &f->e));
    Status st = state_open(f->a, folder, &s, &f->e);
    if (st != OK) return st;
    state_array(s, "adapter.model.layers.0.q_proj.lora_A", ROWS, COLS, x, &f->e);
    state_close(s);
    return OK;
}

/* The sum stands before HDF5: nothing that is not whole is parsed. */
static void damaged(void **state) {
    Fixture *f = *state;
    char *folder = in_folder(f, "out"), *path, *sum;
    size_t n;
    GOOD(f, save(f, folder, 9, 3));
    path = inside(f, checkpoint(f, folder, 9), "state.h5");
    sum = inside(f, checkpoint(f, folder, 9), "state.h5.xxh3");
    truncate_everywhere(f, sum, "state.h5", 44, open_and_use);
    char *data = get_file(f, path, &n);
    for (size_t at = 0; at < n; at += 61) {
        assert_int_equal(truncate(path, (off_t)at), 0);
        assert_true(try_damaged(f, path, "state.h5", open_and_use) != OK);
        put_file(path, data, n);
        data[at] = (char)(data[at] ^ 4);
        put_file(path, data, n);
        assert_true(try_damaged(f, path, "state.h5", open_and_use) != OK);
        data[at] = (char)(data[at] ^ 4);
        put_file(path, data, n);
    }
    assert_int_equal(try_damaged(f, path, "state.h5", open_and_use), OK);
    starve(f, path, open_and_use);
    GOOD(f, remove_tree(sum, &f->e));
    assert_int_equal(try_damaged(f, path, "state.h5", open_and_use), ERR_IO);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(round_trip),  FIXTURE_TEST(same_bytes), FIXTURE_TEST(limit_and_order),
        FIXTURE_TEST(save_errors), FIXTURE_TEST(damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
