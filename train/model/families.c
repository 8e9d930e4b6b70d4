/* families.c: model families, a row each. The only place that names them. */
#include "train/model/model.h"

#include <stdio.h>
#include <string.h>

const Family FAMILIES[] = {
    /* name, config.json architecture, activation of the gate, GGUF rows permuted */
    {"llama", "LlamaForCausalLM", GLU_SILU, true},
};
const int FAMILY_COUNT = (int)(sizeof FAMILIES / sizeof FAMILIES[0]);

Status family_find(const char *arch, const char *path, const Family **out, Err *e) {
    char known[512] = "";
    for (int i = 0; i < FAMILY_COUNT; i++) {
        if (strcmp(arch, FAMILIES[i].name) == 0 || strcmp(arch, FAMILIES[i].architecture) == 0) {
            *out = &FAMILIES[i];
            return OK;
        }
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", i == 0 ? "" : ", ", FAMILIES[i].architecture);
    }
    FAIL(e, ERR_FORMAT, "%s: the architecture '%s' is not known to this version (known: %s)", path, arch, known);
}
