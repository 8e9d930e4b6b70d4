/* gguf_values.c: typed access to GGUF metadata. See gguf.h. */
#include "checkpoints/gguf.h"

#include "checkpoints/bytes.h"

#include <math.h>
#include <string.h>

static const struct {
    const char *name;
    int bytes; /* of a scalar, 0 otherwise */
    enum { KIND_UNSIGNED, KIND_SIGNED, KIND_REAL, KIND_BOOL, KIND_OTHER } kind;
} TYPES[GGUF_TYPE_COUNT] = {
    [GGUF_U8] = {"u8", 1, KIND_UNSIGNED},    [GGUF_I8] = {"i8", 1, KIND_SIGNED},
    [GGUF_U16] = {"u16", 2, KIND_UNSIGNED},  [GGUF_I16] = {"i16", 2, KIND_SIGNED},
    [GGUF_U32] = {"u32", 4, KIND_UNSIGNED},  [GGUF_I32] = {"i32", 4, KIND_SIGNED},
    [GGUF_U64] = {"u64", 8, KIND_UNSIGNED},  [GGUF_I64] = {"i64", 8, KIND_SIGNED},
    [GGUF_F32] = {"f32", 4, KIND_REAL},      [GGUF_F64] = {"f64", 8, KIND_REAL},
    [GGUF_BOOL] = {"bool", 1, KIND_BOOL},    [GGUF_STRING] = {"string", 0, KIND_OTHER},
    [GGUF_ARRAY] = {"array", 0, KIND_OTHER},
};

const char *gguf_type_name(GgufType t) { return (unsigned)t < GGUF_TYPE_COUNT ? TYPES[t].name : "unknown"; }

static bool scalar_int(GgufType t, const uint8_t *p, int64_t *out) {
    if (TYPES[t].kind != KIND_UNSIGNED && TYPES[t].kind != KIND_SIGNED) return false;
    int bits = 8 * TYPES[t].bytes;
    uint64_t v = load_le(p, TYPES[t].bytes);
    if (TYPES[t].kind == KIND_UNSIGNED && v > INT64_MAX) return false;
    if (TYPES[t].kind == KIND_SIGNED && bits < 64 && (v >> (bits - 1)) != 0) v |= UINT64_MAX << bits;
    memcpy(out, &v, sizeof *out);
    return true;
}

static bool scalar_real(GgufType t, const uint8_t *p, double *out) {
    int64_t i;
    if (t == GGUF_F32) {
        uint32_t bits = (uint32_t)load_le(p, 4);
        float f;
        memcpy(&f, &bits, sizeof f);
        *out = (double)f;
        return true;
    }
    if (t == GGUF_F64) {
        uint64_t bits = load_le(p, 8);
        memcpy(out, &bits, sizeof *out);
        return true;
    }
    if (!scalar_int(t, p, &i)) return false;
    *out = (double)i;
    return true;
}

bool gguf_kv_int(const GgufKv *kv, int64_t *out) {
    return kv->type != GGUF_ARRAY && scalar_int(kv->type, kv->value, out);
}

bool gguf_kv_real(const GgufKv *kv, double *out) {
    return kv->type != GGUF_ARRAY && scalar_real(kv->type, kv->value, out);
}

bool gguf_kv_string(const GgufKv *kv, GgufString *out) {
    if (kv->type != GGUF_STRING) return false;
    *out = (GgufString){(const char *)kv->value + 8, (size_t)load_le(kv->value, 8)};
    return true;
}

bool gguf_elem_int(const GgufKv *kv, uint64_t i, int64_t *out) {
    if (kv->type != GGUF_ARRAY || i >= kv->n || TYPES[kv->elem_type].bytes == 0) return false;
    return scalar_int(kv->elem_type, kv->value + i * (uint64_t)TYPES[kv->elem_type].bytes, out);
}

bool gguf_elem_real(const GgufKv *kv, uint64_t i, double *out) {
    if (kv->type != GGUF_ARRAY || i >= kv->n || TYPES[kv->elem_type].bytes == 0) return false;
    return scalar_real(kv->elem_type, kv->value + i * (uint64_t)TYPES[kv->elem_type].bytes, out);
}

static Status want(const Gguf *g, const char *key, const GgufKv **out, Err *e) {
    *out = gguf_kv(g, key);
    if (*out == NULL) FAIL(e, ERR_FORMAT, "%s: the metadata key '%s' is missing", g->path, key);
    return OK;
}

static Status wrong_type(const Gguf *g, const GgufKv *kv, const char *expected, Err *e) {
    bool array = kv->type == GGUF_ARRAY;
    FAIL(e, ERR_FORMAT, "%s: key '%s' is of type %s%s, expected %s", g->path, kv->key, array ? "array of " : "",
         gguf_type_name(kv->elem_type), expected);
}

Status gguf_int(const Gguf *g, const char *key, int64_t min, int64_t max, int64_t *out, Err *e) {
    const GgufKv *kv;
    int64_t v;
    TRY(want(g, key, &kv, e));
    if (!gguf_kv_int(kv, &v)) return wrong_type(g, kv, "an integer that fits 63 bits", e);
    if (v < min || v > max)
        FAIL(e, ERR_FORMAT, "%s: key '%s' is %lld, expected %lld to %lld", g->path, key, (long long)v, (long long)min,
             (long long)max);
    *out = v;
    return OK;
}

Status gguf_real(const Gguf *g, const char *key, double *out, Err *e) {
    const GgufKv *kv;
    double v;
    TRY(want(g, key, &kv, e));
    if (!gguf_kv_real(kv, &v)) return wrong_type(g, kv, "a number", e);
    if (!isfinite(v)) FAIL(e, ERR_FORMAT, "%s: key '%s' is not finite", g->path, key);
    *out = v;
    return OK;
}

Status gguf_string(const Gguf *g, const char *key, GgufString *out, Err *e) {
    const GgufKv *kv;
    TRY(want(g, key, &kv, e));
    if (!gguf_kv_string(kv, out)) return wrong_type(g, kv, "a string", e);
    return OK;
}

Status gguf_bool(const Gguf *g, const char *key, bool *out, Err *e) {
    const GgufKv *kv;
    TRY(want(g, key, &kv, e));
    if (kv->type != GGUF_BOOL) return wrong_type(g, kv, "a bool", e);
    *out = kv->value[0] != 0;
    return OK;
}

Status gguf_int_or(const Gguf *g, const char *key, int64_t min, int64_t max, int64_t fallback, int64_t *out, Err *e) {
    if (gguf_kv(g, key) != NULL) return gguf_int(g, key, min, max, out, e);
    *out = fallback;
    return OK;
}

Status gguf_real_or(const Gguf *g, const char *key, double fallback, double *out, Err *e) {
    if (gguf_kv(g, key) != NULL) return gguf_real(g, key, out, e);
    *out = fallback;
    return OK;
}

Status gguf_bool_or(const Gguf *g, const char *key, bool fallback, bool *out, Err *e) {
    if (gguf_kv(g, key) != NULL) return gguf_bool(g, key, out, e);
    *out = fallback;
    return OK;
}

/* The array record of a key. Its element count was checked against the file's size, so it fits size_t. */
static Status want_array(const Gguf *g, const char *key, const GgufKv **out, const char *expected, Err *e) {
    TRY(want(g, key, out, e));
    if ((*out)->type != GGUF_ARRAY) return wrong_type(g, *out, expected, e);
    return OK;
}

Status gguf_strings(const Gguf *g, Arena *a, const char *key, GgufString **out, size_t *n, Err *e) {
    const GgufKv *kv;
    GgufString *list;
    TRY(want_array(g, key, &kv, "array of string", e));
    if (kv->elem_type != GGUF_STRING) return wrong_type(g, kv, "array of string", e);
    TRY(ARENA_NEW(a, kv->n, list, e));
    const uint8_t *p = kv->value;
    for (uint64_t i = 0; i < kv->n; i++) {
        list[i] = (GgufString){(const char *)p + 8, (size_t)load_le(p, 8)};
        p += 8 + list[i].len;
    }
    *out = list;
    *n = (size_t)kv->n;
    return OK;
}

Status gguf_array_i32(const Gguf *g, Arena *a, const char *key, int32_t **out, size_t *n, Err *e) {
    const GgufKv *kv;
    int32_t *list;
    TRY(want_array(g, key, &kv, "array of integers", e));
    TRY(ARENA_NEW(a, kv->n, list, e));
    for (uint64_t i = 0; i < kv->n; i++) {
        int64_t v;
        if (!gguf_elem_int(kv, i, &v)) return wrong_type(g, kv, "array of integers", e);
        if (v < INT32_MIN || v > INT32_MAX)
            FAIL(e, ERR_FORMAT, "%s: key '%s', element %llu is %lld, which does not fit 32 bits", g->path, key,
                 (unsigned long long)i, (long long)v);
        list[i] = (int32_t)v;
    }
    *out = list;
    *n = (size_t)kv->n;
    return OK;
}

Status gguf_array_f32(const Gguf *g, Arena *a, const char *key, float **out, size_t *n, Err *e) {
    const GgufKv *kv;
    float *list;
    TRY(want_array(g, key, &kv, "array of numbers", e));
    TRY(ARENA_NEW(a, kv->n, list, e));
    for (uint64_t i = 0; i < kv->n; i++) {
        double v;
        if (!gguf_elem_real(kv, i, &v)) return wrong_type(g, kv, "array of numbers", e);
        if (!(fabs(v) <= 3.4e38))
            FAIL(e, ERR_FORMAT, "%s: key '%s', element %llu is no finite 32-bit number", g->path, key,
                 (unsigned long long)i);
        list[i] = (float)v;
    }
    *out = list;
    *n = (size_t)kv->n;
    return OK;
}
