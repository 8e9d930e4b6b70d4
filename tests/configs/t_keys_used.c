/* A config key that nobody reads would be taken without effect. Every key of schema.def that has a choice to make must be
 * asked for by name somewhere in train/. The sources are read as text. */
#include "tests/support/support.h"

#include "configs/config_internal.h"

#include <stdio.h>
#include <string.h>

static Arena *arena;

static int setup(void **state) {
    (void)state;
    arena = support_arena();
    return 0;
}

static int teardown(void **state) {
    (void)state;
    arena_close(arena);
    return 0;
}

/* All C sources of a folder of the repository, one after another. */
static char *sources_of(const char *name) {
    Err e;
    char **names;
    size_t n, len;
    Buf b = {.arena = arena};
    char *folder = support_path(arena, LORAC_SOURCE_DIR, name), *text;
    ASSERT_OK(list_folder(arena, folder, &names, &n, &e), e);
    for (size_t i = 0; i < n; i++) {
        size_t end = strlen(names[i]);
        if (end < 2 || (strcmp(names[i] + end - 2, ".c") != 0 && strcmp(names[i] + end - 2, ".h") != 0)) continue;
        ASSERT_OK(file_read(arena, support_path(arena, folder, names[i]), 1 << 20, &text, &len, &e), e);
        ASSERT_OK(buf_add(&b, text, len, &e), e);
    }
    assert_true(b.len > 1000);
    return b.data;
}

static bool quotes(const char *sources, const char *word) {
    char quoted[80];
    snprintf(quoted, sizeof quoted, "\"%s\"", word);
    return strstr(sources, quoted) != NULL;
}

static void every_key_is_read(void **state) {
    (void)state;
    const char *train = sources_of("train");
    for (int i = 0; i < CONFIG_KEY_COUNT; i++) {
        const ConfigKey *k = &CONFIG_KEYS[i];
        bool only_one_value = k->choices != NULL && strchr(k->choices, '|') == NULL;
        if (!only_one_value && !quotes(train, k->name)) fail_msg("nobody in train/ reads the config key %s", k->name);
    }
}

/* The program asks for columns by "field_" and the names of data/dataset.h. */
static void every_dataset_field_is_read(void **state) {
    (void)state;
    const char *train = sources_of("train"), *data = sources_of("data");
    assert_true(quotes(train, "field_%s"));
    for (int i = 0; i < DATASET_FIELD_COUNT; i++) {
        const char *name = DATASET_FIELDS[i].name;
        bool read = strncmp(name, "field_", 6) == 0 ? quotes(data, name + 6) : quotes(train, name);
        if (!read) fail_msg("nobody reads the dataset field %s", name);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_key_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(every_dataset_field_is_read, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
