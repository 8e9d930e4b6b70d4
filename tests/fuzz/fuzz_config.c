/* fuzz_config.c: configs/: the YAML file up to the first NUL, then "key=value" overrides, one after each NUL. A config that
 * is accepted is written out in full, read again, and written the same. */
#include "tests/fuzz/fuzz.h"

#include "configs/config.h"
#include "configs/yaml.h"

#include <string.h>

enum { OVERRIDES_MAX = 16 };

static void check_round_trip(Arena *a, const Config *c) {
    Buf first = {.arena = a}, second = {.arena = a}, maths = {.arena = a};
    Config *again;
    Err e = {0};
    CHECK(config_write_resolved(c, &first, &e) == OK, "%s", e.message);
    CHECK(config_write_maths(c, &maths, &e) == OK, "%s", e.message);
    const char *path = fuzz_put(a, "resolved.yaml", first.data, first.len);
    CHECK(config_load(a, path, NULL, 0, &again, &e) == OK, "%s\n%s", e.message, first.data);
    CHECK(config_write_resolved(again, &second, &e) == OK, "%s", e.message);
    CHECK(first.len == second.len && memcmp(first.data, second.data, first.len) == 0, "%s\nbecame\n%s", first.data,
          second.data);
}

static void use(const Config *c) {
    int n;
    const char *const *notes = config_notes(c, &n);
    for (int i = 0; i < n; i++) fuzz_touch(notes[i], strlen(notes[i]));
    for (int i = 0; i < CONFIG_KEY_COUNT; i++) {
        const char *where = config_where(c, CONFIG_KEYS[i].name);
        fuzz_touch(where, strlen(where));
    }
    for (int64_t i = 0; i < config_datasets(c, "datasets"); i++) {
        Err e;
        const char *path = config_dataset(c, "datasets", i, "path"), *where;
        CHECK(config_dataset_where(c, "datasets", i, "type", &where, &e) == OK, "%s", e.message);
        fuzz_touch(path, strlen(path));
        fuzz_touch(where, strlen(where));
    }
    config_interval(c, "save_steps", 1000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Arena *a = fuzz_arena();
    FuzzInput rest = {data, size};
    FuzzInput text = fuzz_part(&rest, 0);
    char *overrides[OVERRIDES_MAX];
    int n = 0;
    Yaml root;
    Config *c = NULL;
    Err e = {0};
    while (rest.size > 0 && n < OVERRIDES_MAX) overrides[n++] = fuzz_string(a, fuzz_part(&rest, 0));
    if (n == 0) { /* NUL bytes too */
        Status st = yaml_parse(a, "input.yaml", (const char *)data, size, &root, &e);
        fuzz_result(a, st, &e);
    }
    const char *path = fuzz_put(a, "input.yaml", text.data, text.size);
    Status st = config_load(a, path, overrides, n, &c, &e);
    if (fuzz_result(a, st, &e)) {
        use(c);
        check_round_trip(a, c);
    }
    return 0;
}
