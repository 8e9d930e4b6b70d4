/* fuzz_json.c: base/json.h. What is accepted is written, read again, and written the same. */
#include "tests/fuzz/fuzz.h"

#include "base/json.h"

#include <string.h>

static void check_round_trip(Arena *a, const Json *v) {
    Buf first = {.arena = a}, second = {.arena = a};
    Json *again;
    Err e = {0};
    CHECK(json_put_value(&first, v, &e) == OK, "%s", e.message);
    CHECK(json_parse(a, "written.json", first.data, first.len, &again, &e) == OK, "%s: %s", e.message, first.data);
    CHECK(json_put_value(&second, again, &e) == OK, "%s", e.message);
    CHECK(first.len == second.len && memcmp(first.data, second.data, first.len) == 0, "%s became %s", first.data,
          second.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Arena *a = fuzz_arena();
    Json *v = NULL;
    Err e = {0};
    Status st = json_parse(a, "input.json", (const char *)data, size, &v, &e);
    if (fuzz_result(a, st, &e)) check_round_trip(a, v);
    return 0;
}
