/* fuzz_gguf_text.c: the model and the tokenizer that GGUF metadata describes. The input is a text that is made into a GGUF
 * file, so that a changed, longer or missing entry is still a whole file. One entry a line, fields separated by blanks:
 *   u|i|f|b|s KEY VALUE        a u32, i32, f32, bool or string
 *   I|F|S KEY VALUE,VALUE,...  an array of i32 or f32; of strings, with tabs between instead of commas
 *   t NAME TYPE DIM,DIM,...    a tensor of a ggml type; its data are zeros
 *   x TEXT                     what the tokenizer encodes */
#include "tests/fuzz/fuzz.h"

#include "base/buf.h"
#include "checkpoints/bytes.h"
#include "checkpoints/gguf.h"
#include "kernels/quant.h"

#include <stdlib.h>
#include <string.h>

enum { DATA_MAX = 1 << 15, LINES_MAX = 512, NUMBER_MAX = 32, GGUF_VERSION = 3 };

typedef struct Maker {
    Arena *arena;
    Buf kv, tensors;
    uint64_t n_kv, n_tensors, data;
    FuzzInput text;
} Maker;

static void put(Buf *b, const void *data, size_t bytes) { CHECK(buf_add(b, data, bytes, NULL) == OK, "no memory"); }

static void put_int(Buf *b, uint64_t v, int bytes) {
    uint8_t x[8];
    store_le(x, v, bytes);
    put(b, x, (size_t)bytes);
}

static void put_string(Buf *b, FuzzInput s) {
    put_int(b, s.size, 8);
    put(b, s.data, s.size);
}

/* strtod and strtoll on a copy that ends. */
static double real(FuzzInput s) {
    char text[NUMBER_MAX + 1] = "";
    memcpy(text, s.data, s.size < NUMBER_MAX ? s.size : NUMBER_MAX);
    return strtod(text, NULL);
}

static int64_t integer(FuzzInput s) {
    char text[NUMBER_MAX + 1] = "";
    memcpy(text, s.data, s.size < NUMBER_MAX ? s.size : NUMBER_MAX);
    return strtoll(text, NULL, 10);
}

static void put_real(Buf *b, FuzzInput s) {
    double wide = real(s);
    float v = wide > 3e38 ? 3e38f : wide < -3e38 ? -3e38f : (float)wide;
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    put_int(b, bits, 4);
}

static void put_array(Maker *m, char kind, FuzzInput values) {
    GgufType type = kind == 'I' ? GGUF_I32 : kind == 'F' ? GGUF_F32 : GGUF_STRING;
    Buf items = {.arena = m->arena};
    uint64_t n = 0;
    put_int(&m->kv, GGUF_ARRAY, 4);
    put_int(&m->kv, type, 4);
    while (values.size > 0) {
        FuzzInput v = fuzz_part(&values, kind == 'S' ? '\t' : ',');
        if (kind == 'I') put_int(&items, (uint64_t)integer(v), 4);
        if (kind == 'F') put_real(&items, v);
        if (kind == 'S') put_string(&items, v);
        n++;
    }
    put_int(&m->kv, n, 8);
    put(&m->kv, items.data, items.len);
}

static void put_kv(Maker *m, char kind, FuzzInput key, FuzzInput value) {
    static const GgufType TYPES[] = {
        ['u'] = GGUF_U32, ['i'] = GGUF_I32, ['f'] = GGUF_F32, ['b'] = GGUF_BOOL, ['s'] = GGUF_STRING};
    put_string(&m->kv, key);
    m->n_kv++;
    if (strchr("IFS", kind) != NULL) {
        put_array(m, kind, value);
        return;
    }
    put_int(&m->kv, TYPES[(size_t)kind], 4);
    if (kind == 'u' || kind == 'i') put_int(&m->kv, (uint64_t)integer(value), 4);
    if (kind == 'f') put_real(&m->kv, value);
    if (kind == 'b') put_int(&m->kv, value.size > 0 ? (uint64_t)(value.data[0] & 1) : 0, 1);
    if (kind == 's') put_string(&m->kv, value);
}

/* A tensor too large to be made is listed all the same: the file is then cut off. */
static void put_tensor(Maker *m, FuzzInput name, FuzzInput rest) {
    uint32_t type = (uint32_t)integer(fuzz_part(&rest, ' '));
    GgmlTypeInfo info = ggml_type_info(type);
    uint64_t dims[GGUF_DIMS_MAX], elements = 1;
    uint32_t n = 0;
    bool fits = info.block_elems > 0;
    for (; rest.size > 0 && n < GGUF_DIMS_MAX; n++) {
        dims[n] = (uint64_t)integer(fuzz_part(&rest, ','));
        fits = fits && dims[n] <= DATA_MAX && (elements *= dims[n]) <= DATA_MAX;
    }
    put_string(&m->tensors, name);
    put_int(&m->tensors, n, 4);
    for (uint32_t i = 0; i < n; i++) put_int(&m->tensors, dims[i], 8);
    put_int(&m->tensors, type, 4);
    put_int(&m->tensors, m->data, 8);
    m->n_tensors++;
    if (fits) m->data += elements / (uint64_t)info.block_elems * (uint64_t)info.block_bytes;
    m->data = (m->data + GGUF_DEFAULT_ALIGNMENT - 1) / GGUF_DEFAULT_ALIGNMENT * GGUF_DEFAULT_ALIGNMENT;
}

static void read_line(Maker *m, FuzzInput line) {
    FuzzInput kind = fuzz_part(&line, ' ');
    if (kind.size != 1 || line.size == 0) return;
    char c = (char)kind.data[0];
    if (c == 'x') {
        m->text = line;
        return;
    }
    FuzzInput key = fuzz_part(&line, ' ');
    if (c == 't') put_tensor(m, key, line);
    if (c != 0 && strchr("uifbsIFS", c) != NULL) put_kv(m, c, key, line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Arena *a = fuzz_arena();
    FuzzInput rest = {data, size};
    Maker m = {.arena = a, .kv = {.arena = a}, .tensors = {.arena = a}, .text = {data, 0}};
    Buf file = {.arena = a};
    uint8_t *zeros;
    for (int i = 0; i < LINES_MAX && rest.size > 0; i++) read_line(&m, fuzz_part(&rest, '\n'));
    put(&file, "GGUF", 4);
    put_int(&file, GGUF_VERSION, 4);
    put_int(&file, m.n_tensors, 8);
    put_int(&file, m.n_kv, 8);
    put(&file, m.kv.data, m.kv.len);
    put(&file, m.tensors.data, m.tensors.len);
    size_t pad = (GGUF_DEFAULT_ALIGNMENT - file.len % GGUF_DEFAULT_ALIGNMENT) % GGUF_DEFAULT_ALIGNMENT;
    if (m.data > 4 * DATA_MAX) m.data = 4 * DATA_MAX;
    CHECK(ARENA_NEW(a, pad + m.data, zeros, NULL) == OK, "no memory");
    put(&file, zeros, pad + m.data);
    fuzz_use_gguf(a, fuzz_put(a, "made.gguf", file.data, file.len), m.text);
    return 0;
}
