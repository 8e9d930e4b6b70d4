/* fuzz_tokenizer.c: a folder with tokenizer.json, tokenizer_config.json and generation_config.json (data/tokenizer_json.h,
 * train/tokenizer_load.h), and a text to encode: four parts with NUL between. An empty part is a missing file. */
#include "tests/fuzz/fuzz.h"

#include "data/tokenizer.h"
#include "train/tokenizer_load.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Arena *a = fuzz_arena();
    FuzzInput rest = {data, size};
    FuzzInput json = fuzz_part(&rest, 0), config = fuzz_part(&rest, 0), text = fuzz_part(&rest, 0);
    Tokenizer *t = NULL;
    Err e = {0};
    fuzz_put(a, "tokenizer.json", json.data, json.size);
    if (config.size > 0) fuzz_put(a, "tokenizer_config.json", config.data, config.size);
    if (rest.size > 0) fuzz_put(a, "generation_config.json", rest.data, rest.size);
    Status st = tokenizer_load(a, fuzz_folder(), &t, &e);
    if (fuzz_result(a, st, &e)) {
        fuzz_use_tokenizer(a, t, text);
        tokenizer_close(t);
    }
    return 0;
}
