/* fuzz_tokenizer.c: a folder with tokenizer.json, tokenizer_config.json and generation_config.json (data/tokenizer_json.h,
 * train/tokenizer_load.h), and a text to encode: four parts with NUL between. An empty part is a missing file. */
#include "tests/fuzz/fuzz.h"

#include "data/tokenizer.h"
#include "train/tokenizer_load.h"

static void put_or_remove(Arena *a, const char *name, FuzzInput part) {
    if (part.size > 0)
        fuzz_put(a, name, part.data, part.size);
    else
        fuzz_remove(a, name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Arena *a = fuzz_arena();
    FuzzInput rest = {data, size};
    FuzzInput json = fuzz_part(&rest, 0), config = fuzz_part(&rest, 0), text = fuzz_part(&rest, 0);
    Tokenizer *t = NULL;
    Err e = {0};
    fuzz_put(a, "tokenizer.json", json.data, json.size);
    put_or_remove(a, "tokenizer_config.json", config);
    put_or_remove(a, "generation_config.json", rest);
    Status st = tokenizer_load(a, fuzz_folder(), &t, &e);
    if (fuzz_result(a, st, &e)) {
        fuzz_use_tokenizer(a, t, text);
        tokenizer_close(t);
    }
    return 0;
}
