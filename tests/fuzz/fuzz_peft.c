/* fuzz_peft.c: PEFT adapter folders (checkpoints/adapter_peft.h): adapter_config.json, NUL, the JSON of the safetensors
 * header, NUL, the data. */
#include "tests/fuzz/fuzz.h"

#include "checkpoints/adapter_peft.h"
#include "tests/fuzz/st_file.h"

#include <string.h>

static void use(const PeftAdapter *p) {
    for (int64_t i = 0; i < p->n; i++) {
        const LoraPair *x = &p->pairs[i];
        CHECK(peft_adapter_find(p, x->module) == x, "module '%s' is not found", x->module);
        CHECK(x->r > 0 && x->in > 0 && x->out > 0, "module '%s': sizes", x->module);
        CHECK(x->scale > 0 || x->scale <= 0, "module '%s': the scale is no number", x->module);
        fuzz_touch(x->a, (size_t)(x->r * wtype_row_bytes(x->a_type, x->in)));
        fuzz_touch(x->b, (size_t)(x->out * wtype_row_bytes(x->b_type, x->r)));
        CHECK(i == 0 || strcmp(p->pairs[i - 1].module, x->module) < 0, "the modules are not sorted");
    }
    fuzz_touch(p->base_model, strlen(p->base_model));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Arena *a = fuzz_arena();
    FuzzInput rest = {data, size};
    FuzzInput config = fuzz_part(&rest, 0);
    PeftAdapter *p = NULL;
    Err e = {0};
    fuzz_put(a, "adapter_config.json", config.data, config.size);
    fuzz_put_safetensors(a, "adapter_model.safetensors", rest);
    Status st = peft_adapter_open(a, fuzz_folder(), &p, &e);
    if (fuzz_result(a, st, &e)) {
        use(p);
        peft_adapter_close(p);
    }
    return 0;
}
