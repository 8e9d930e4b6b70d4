/* quant.c: the table of weight formats, expanded from quant.def, and look-up in it. A row without its file in quant/
 * does not link. */
#include "kernels/quant.h"

#include "kernels/quant/block.h"

#include <strings.h>

static const QuantTraits TRAITS[WT_COUNT] = {
#define QUANT(id, name, ggml_type, block_elems, block_bytes)                                                           \
    [WT_##id] = {name, ggml_type, block_elems, block_bytes, quant_unpack_##id, quant_pack_##id},
#define QUANT_READ_ONLY(id, name, ggml_type, block_elems, block_bytes)                                                 \
    [WT_##id] = {name, ggml_type, block_elems, block_bytes, quant_unpack_##id, NULL},
#include "kernels/quant.def"
};

const QuantTraits *wtype_traits(WType t) {
    CHECK(t >= 0 && t < WT_COUNT, "weight type %d", (int)t);
    return &TRAITS[t];
}

const char *wtype_name(WType t) { return wtype_traits(t)->name; }

int64_t wtype_row_bytes(WType t, int64_t cols) {
    const QuantTraits *q = wtype_traits(t);
    CHECK(cols >= 0 && cols % q->block_elems == 0, "%lld columns of %s", (long long)cols, q->name);
    int64_t blocks = cols / q->block_elems;
    CHECK(blocks <= INT64_MAX / q->block_bytes, "%lld columns of %s", (long long)cols, q->name);
    return blocks * q->block_bytes;
}

bool wtype_from_ggml(uint32_t ggml_type, WType *out) {
    for (int i = 0; i < WT_COUNT; i++) {
        if ((uint32_t)TRAITS[i].ggml_type != ggml_type) continue;
        *out = (WType)i;
        return true;
    }
    return false;
}

bool wtype_from_name(const char *name, WType *out) {
    for (int i = 0; i < WT_COUNT; i++) {
        if (strcasecmp(TRAITS[i].name, name) != 0) continue;
        *out = (WType)i;
        return true;
    }
    return false;
}

/* All types a GGUF file may hold today (ggml.h, enum ggml_type). Numbers not listed were retired or never given. */
static const struct {
    uint32_t type;
    GgmlTypeInfo info;
} GGML_TYPES[] = {
    {0, {"F32", 1, 4}},         {1, {"F16", 1, 2}},         {2, {"Q4_0", 32, 18}},      {3, {"Q4_1", 32, 20}},
    {6, {"Q5_0", 32, 22}},      {7, {"Q5_1", 32, 24}},      {8, {"Q8_0", 32, 34}},      {9, {"Q8_1", 32, 36}},
    {10, {"Q2_K", 256, 84}},    {11, {"Q3_K", 256, 110}},   {12, {"Q4_K", 256, 144}},   {13, {"Q5_K", 256, 176}},
    {14, {"Q6_K", 256, 210}},   {15, {"Q8_K", 256, 292}},   {16, {"IQ2_XXS", 256, 66}}, {17, {"IQ2_XS", 256, 74}},
    {18, {"IQ3_XXS", 256, 98}}, {19, {"IQ1_S", 256, 50}},   {20, {"IQ4_NL", 32, 18}},   {21, {"IQ3_S", 256, 110}},
    {22, {"IQ2_S", 256, 82}},   {23, {"IQ4_XS", 256, 136}}, {24, {"I8", 1, 1}},         {25, {"I16", 1, 2}},
    {26, {"I32", 1, 4}},        {27, {"I64", 1, 8}},        {28, {"F64", 1, 8}},        {29, {"IQ1_M", 256, 56}},
    {30, {"BF16", 1, 2}},       {34, {"TQ1_0", 256, 54}},   {35, {"TQ2_0", 256, 66}},   {39, {"MXFP4", 32, 17}},
    {40, {"NVFP4", 64, 36}},
};

GgmlTypeInfo ggml_type_info(uint32_t ggml_type) {
    for (size_t i = 0; i < sizeof GGML_TYPES / sizeof GGML_TYPES[0]; i++)
        if (GGML_TYPES[i].type == ggml_type) return GGML_TYPES[i].info;
    return (GgmlTypeInfo){NULL, 0, 0};
}
