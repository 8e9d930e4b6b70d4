/* fuzz_verify.c: lorac verify on two output folders. The input is the metrics.jsonl of both, a NUL between them. */
#include "tests/fuzz/fuzz.h"

#include "base/file.h"
#include "train/cmd.h"

#include <stdio.h>
#include <string.h>

static const char *run_of(Arena *a, const char *name, FuzzInput metrics) {
    char *folder, *file;
    CHECK(path_join(a, fuzz_folder(), name, &folder, NULL) == OK, "no memory");
    CHECK(make_folders(folder, NULL) == OK, "%s cannot be made", folder);
    CHECK(path_join(a, name, "metrics.jsonl", &file, NULL) == OK, "no memory");
    fuzz_put(a, file, metrics.data, metrics.size);
    return folder;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static FILE *out;
    Arena *a = fuzz_arena();
    FuzzInput rest = {data, size}, one = fuzz_part(&rest, 0), two = rest.size > 0 ? rest : one;
    Err e = {0};
    if (out == NULL) out = fopen("/dev/null", "w");
    CHECK(out != NULL, "/dev/null cannot be opened");
    char name[] = "verify",
         *argv[] = {name, (char *)(uintptr_t)run_of(a, "one", one), (char *)(uintptr_t)run_of(a, "two", two)};
    Ctx ctx = {.log = {.out = out}, .arena = a};
    Status st = cmd_verify(&ctx, 3, argv, &e);
    CHECK(st != OK || one.size > 0, "a run without steps was equal to something");
    fuzz_result(a, st, &e);
    return 0;
}
