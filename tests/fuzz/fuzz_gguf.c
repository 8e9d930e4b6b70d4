/* fuzz_gguf.c: GGUF files byte for byte (checkpoints/gguf.h): header, metadata, tensor list; then, where they are accepted,
 * the model and the tokenizer they describe. fuzz_gguf_text.c reaches deeper into those. */
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Arena *a = fuzz_arena();
    fuzz_use_gguf(a, fuzz_put(a, "input.gguf", data, size), (FuzzInput){data, size < 64 ? size : 64});
    return 0;
}
