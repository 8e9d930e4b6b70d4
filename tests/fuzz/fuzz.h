/* fuzz.h: what the fuzz targets share.
 *
 * A target is one file fuzz_NAME.c with LLVMFuzzerTestOneInput, one dictionary fuzz_NAME.dict and one folder of seeds
 * corpus/NAME. It is linked with libFuzzer (LORAC_FUZZ, clang) or with driver.c (every test build). A target feeds the
 * input to a parser, uses all that the parser accepts, and checks what must hold of it. Besides crashes, these are
 * failures: an error without a message or with control bytes in it, and more arena memory than FUZZ_MEMORY_MAX.
 * Several inputs in one are parts separated by a NUL. Memory of one call lives until the next call of fuzz_arena. */
#ifndef LORAC_TESTS_FUZZ_FUZZ_H
#define LORAC_TESTS_FUZZ_FUZZ_H

#include "base/arena.h"

/* Inputs are at most FUZZ_INPUT_MAX bytes (driver.c, soak.sh): what they make the parsers take is then bounded too. */
enum { FUZZ_INPUT_MAX = 1 << 16, FUZZ_MEMORY_MAX = 1 << 26 };

/* Runs one input; gives 0. The name and type are libFuzzer's. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The one arena of the target, emptied. */
Arena *fuzz_arena(void);
/* A folder of this process in memory (/dev/shm) or $TMPDIR; removed at exit. */
const char *fuzz_folder(void);
/* Makes fuzz_folder()/name, a file that only this process sees (memory.c); gives its path, which lives in the arena. The data
 * must stay as long. The file is gone with the next call of fuzz_arena. */
const char *fuzz_put(Arena *a, const char *name, const void *data, size_t bytes);
/* What fuzz_put and fuzz_arena do with memory.c's files. */
void fuzz_file_add(const char *path, const void *data, size_t size);
void fuzz_files_clear(void);

typedef struct FuzzInput {
    const uint8_t *data;
    size_t size;
} FuzzInput;
/* Cuts off the part before the next `separator` (which goes too), or all that is left. */
FuzzInput fuzz_part(FuzzInput *rest, uint8_t separator);
/* The part as a string in the arena; it has no NUL inside when it was cut off at one. */
char *fuzz_string(Arena *a, FuzzInput part);

/* Looks at every byte, so that sanitizers see them read. */
void fuzz_touch(const void *data, size_t bytes);
/* The call failed or not; what must hold then, see above. Gives true when st is OK. With LORAC_FUZZ_SHOW in the
 * environment the message is printed: what a seed does. */
bool fuzz_result(const Arena *a, Status st, const Err *e);

/* Opens the GGUF file at path as a table, as a model and as a tokenizer, and uses what is accepted; text is encoded. */
void fuzz_use_gguf(Arena *a, const char *path, FuzzInput text);
/* Encodes the text with the tokenizer and decodes what comes out. */
struct Tokenizer;
void fuzz_use_tokenizer(Arena *a, const struct Tokenizer *t, FuzzInput text);

#endif
