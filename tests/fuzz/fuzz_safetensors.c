/* fuzz_safetensors.c: checkpoints/safetensors.h. The first byte says what the rest is:
 *   R  a whole file
 *   H  a header's JSON, NUL, data; the length in front is put there, so that changes of the JSON stay a file
 *   I  an index's JSON, NUL, then a shard as H, named "model-00001-of-00001.safetensors" */
#include "tests/fuzz/fuzz.h"

#include "checkpoints/safetensors.h"
#include "tests/fuzz/st_file.h"

static void use(const Safetensors *s) {
    for (int64_t i = 0; i < s->n_tensors; i++) {
        const StTensor *t = &s->tensors[i];
        const FileMap *m = &s->files[t->file];
        CHECK(safetensors_find(s, t->name) == t, "tensor '%s' is not found", t->name);
        CHECK(t->data >= m->data + s->header_bytes[t->file] && t->bytes <= (uint64_t)(m->data + m->size - t->data),
              "tensor '%s' is outside its file", t->name);
        CHECK(t->rank >= 0 && t->rank <= ST_RANK_MAX, "rank %d", t->rank);
        fuzz_touch(t->data, t->bytes);
    }
    CHECK(safetensors_find(s, "no such tensor") == NULL || s->n_tensors > 0, "found in nothing");
    for (uint32_t i = 0; s->metadata != NULL && i < s->metadata->n; i++)
        fuzz_touch(s->metadata->list.items[i].string.s, s->metadata->list.items[i].string.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Arena *a = fuzz_arena();
    Safetensors *s = NULL;
    Err e = {0};
    Status st;
    if (size == 0) return 0;
    FuzzInput rest = {data + 1, size - 1};
    if (data[0] == 'I') {
        FuzzInput index = fuzz_part(&rest, 0);
        fuzz_put(a, "model.safetensors.index.json", index.data, index.size);
        fuzz_put_safetensors(a, "model-00001-of-00001.safetensors", rest);
        st = safetensors_open_folder(a, fuzz_folder(), &s, &e);
    } else if (data[0] == 'H') {
        st = safetensors_open(a, fuzz_put_safetensors(a, "model.safetensors", rest), &s, &e);
    } else {
        st = safetensors_open(a, fuzz_put(a, "model.safetensors", rest.data, rest.size), &s, &e);
    }
    if (fuzz_result(a, st, &e)) {
        use(s);
        safetensors_close(s);
    }
    return 0;
}
