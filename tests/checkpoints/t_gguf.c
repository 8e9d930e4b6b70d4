/* t_gguf.c: GGUF in and out: files of gguf-py read and written again byte for byte, every refusal, every damage. */
#include "checkpoints/gguf.h"
#include "kernels/quant.h"

#include "files.h"

#define ALL_TYPES GOLDEN "all_types.gguf"
#define SPLIT GOLDEN "split-00001-of-00002.gguf"

static void reads_every_type(void **state) {
    Fixture *f = *state;
    Gguf *g;
    int64_t i;
    double r;
    bool b;
    GgufString s, *strings;
    int32_t *ints;
    float *reals;
    size_t n;
    GOOD(f, gguf_open(f->a, ALL_TYPES, &g, &f->e));
    assert_int_equal(g->version, 3);
    static const struct {
        const char *key;
        int64_t value;
    } INTS[] = {{"t.u8", 200},
                {"t.i8", -100},
                {"t.u16", 60000},
                {"t.i16", -30000},
                {"t.u32", 4000000000},
                {"t.i32", -2000000000},
                {"t.u64", (int64_t)1 << 40},
                {"t.i64", -((int64_t)1 << 40)}};
    for (size_t k = 0; k < sizeof INTS / sizeof INTS[0]; k++) {
        GOOD(f, gguf_int(g, INTS[k].key, INT64_MIN, INT64_MAX, &i, &f->e));
        assert_true(i == INTS[k].value);
        GOOD(f, gguf_real(g, INTS[k].key, &r, &f->e));
        assert_true(r == (double)INTS[k].value);
    }
    GOOD(f, gguf_real(g, "t.f32", &r, &f->e));
    assert_true(r == 0.5);
    GOOD(f, gguf_real(g, "t.f64", &r, &f->e));
    assert_true(r == -0.1);
    GOOD(f, gguf_bool(g, "t.bool", &b, &f->e));
    assert_true(b);
    GOOD(f, gguf_string(g, "t.string", &s, &f->e));
    assert_true(s.len == 6 && memcmp(s.s, "h\xc3\xa9llo", 6) == 0);
    GOOD(f, gguf_strings(g, f->a, "t.strings", &strings, &n, &f->e));
    assert_int_equal(n, 4);
    assert_true(strings[1].len == 2 && memcmp(strings[1].s, "bc", 2) == 0);
    assert_int_equal(strings[2].len, 0);
    assert_int_equal(strings[3].len, 4);
    GOOD(f, gguf_array_i32(g, f->a, "t.ints", &ints, &n, &f->e));
    assert_true(n == 3 && ints[0] == 1 && ints[1] == -2 && ints[2] == 3);
    GOOD(f, gguf_array_f32(g, f->a, "t.reals", &reals, &n, &f->e));
    assert_true(n == 2 && reals[0] == 0.5f && reals[1] == -1.5f);
    gguf_close(g);
}

static void reads_tensors(void **state) {
    Fixture *f = *state;
    Gguf *g;
    GOOD(f, gguf_open(f->a, ALL_TYPES, &g, &f->e));
    assert_int_equal(g->n_tensors, 10);
    assert_null(gguf_tensor(g, "f32"));
    for (int64_t k = 0; k < g->n_tensors; k++) {
        const GgufTensor *t = &g->tensors[k];
        assert_ptr_equal(gguf_tensor(g, t->name), t);
        assert_int_equal((uintptr_t)t->data % GGUF_DEFAULT_ALIGNMENT, 0);
        WType type;
        if (!wtype_from_ggml(t->ggml_type, &type)) {
            assert_string_equal(t->name, "i32.ids");
            continue;
        }
        int64_t n = t->dims[0] * t->dims[1] * t->dims[2] * t->dims[3];
        float y[64];
        assert_true(n <= 64);
        assert_int_equal(t->bytes, wtype_row_bytes(type, n));
        wtype_traits(type)->unpack(y, t->data, 0, n);
        for (int64_t i = 0; i < n; i++) {
            float difference = y[i] - golden_value(i), bound = type == WT_F32 ? 0 : type == WT_F16 ? 1e-3f : 0.11f;
            assert_true(difference <= bound && difference >= -bound);
        }
    }
    const GgufTensor *t = gguf_tensor(g, "three.weight");
    assert_true(t->n_dims == 3 && t->dims[0] == 4 && t->dims[1] == 3 && t->dims[2] == 2 && t->dims[3] == 1);
    gguf_close(g);
}

static void access_errors(void **state) {
    Fixture *f = *state;
    Gguf *g;
    int64_t i;
    double r;
    bool b;
    GgufString s, *strings;
    int32_t *ints;
    size_t n;
    GOOD(f, gguf_open(f->a, ALL_TYPES, &g, &f->e));
    BAD(f, gguf_int(g, "no.key", 0, 9, &i, &f->e), ERR_FORMAT, "'no.key' is missing");
    BAD(f, gguf_int(g, "t.u8", 0, 9, &i, &f->e), ERR_FORMAT, "'t.u8' is 200, expected 0 to 9");
    BAD(f, gguf_int(g, "t.f32", 0, 9, &i, &f->e), ERR_FORMAT, "of type f32");
    BAD(f, gguf_int(g, "t.ints", 0, 9, &i, &f->e), ERR_FORMAT, "array of i32");
    BAD(f, gguf_real(g, "t.string", &r, &f->e), ERR_FORMAT, "of type string");
    BAD(f, gguf_bool(g, "t.u8", &b, &f->e), ERR_FORMAT, "expected a bool");
    BAD(f, gguf_string(g, "t.strings", &s, &f->e), ERR_FORMAT, "expected a string");
    BAD(f, gguf_strings(g, f->a, "t.ints", &strings, &n, &f->e), ERR_FORMAT, "array of string");
    BAD(f, gguf_strings(g, f->a, "t.string", &strings, &n, &f->e), ERR_FORMAT, "array of string");
    BAD(f, gguf_array_i32(g, f->a, "t.reals", &ints, &n, &f->e), ERR_FORMAT, "array of integers");
    GOOD(f, gguf_int_or(g, "no.key", 0, 9, -1, &i, &f->e));
    assert_int_equal(i, -1);
    BAD(f, gguf_int_or(g, "t.u8", 0, 9, -1, &i, &f->e), ERR_FORMAT, "200");
    gguf_close(g);
}

static void split_model(void **state) {
    Fixture *f = *state;
    Gguf *g;
    GOOD(f, gguf_open(f->a, SPLIT, &g, &f->e));
    assert_int_equal(g->n_files, 2);
    assert_int_equal(g->n_tensors, 3);
    for (int64_t k = 0; k < 3; k++) {
        float y[10];
        assert_int_equal(g->tensors[k].dims[0], 8 + k);
        memcpy(y, g->tensors[k].data, (size_t)g->tensors[k].bytes);
        for (int64_t i = 0; i < 8 + k; i++) assert_true(y[i] == golden_value(i));
    }
    gguf_close(g);
    BAD(f, gguf_open(f->a, GOLDEN "split-00002-of-00002.gguf", &g, &f->e), ERR_FORMAT, "give the first part");
    size_t n;
    char *data = get_file(f, SPLIT, &n), *first = in_folder(f, "a-00001-of-00002.gguf");
    put_file(first, data, n);
    BAD(f, gguf_open(f->a, first, &g, &f->e), ERR_IO, "a-00002-of-00002.gguf");
    put_file(in_folder(f, "a-00002-of-00002.gguf"), data, n);
    BAD(f, gguf_open(f->a, first, &g, &f->e), ERR_FORMAT, "part 1 of 2, expected part 2");
    put_file(in_folder(f, "whole.gguf"), data, n);
    BAD(f, gguf_open(f->a, in_folder(f, "whole.gguf"), &g, &f->e), ERR_FORMAT,
        "does not end in '-00001-of-00002.gguf'");
}

/* A copy through the writer gives gguf-py's bytes. */
static void copy_is_identical(void **state) {
    Fixture *f = *state;
    Gguf *g;
    GgufWriter *w;
    char *out = in_folder(f, "copy.gguf");
    GOOD(f, gguf_open(f->a, ALL_TYPES, &g, &f->e));
    GOOD(f, gguf_writer_open(f->a, out, &w, &f->e));
    for (int64_t i = 0; i < g->n_kv; i++) GOOD(f, gguf_writer_copy(w, &g->kv[i], &f->e));
    for (int64_t i = 0; i < g->n_tensors; i++) {
        const GgufTensor *t = &g->tensors[i];
        GOOD(f, gguf_writer_tensor(w, t->name, t->ggml_type, t->n_dims, t->dims, &f->e));
    }
    for (int64_t i = 0; i < g->n_tensors; i++) /* in two pieces */
        for (int half = 0; half < 2; half++) {
            size_t cut = (size_t)g->tensors[i].bytes / 3, rest = (size_t)g->tensors[i].bytes - cut;
            GOOD(f, gguf_writer_data(w, g->tensors[i].data + (half ? cut : 0), half ? rest : cut, &f->e));
        }
    GOOD(f, gguf_writer_commit(w, &f->e));
    gguf_writer_abort(w);
    same_files(f, ALL_TYPES, out);
    gguf_close(g);
}

static void writer_metadata(void **state) {
    Fixture *f = *state;
    Gguf *g, *h;
    GgufWriter *w;
    int64_t i, dims[1] = {4};
    double r;
    bool b;
    GgufString s, *strings, two[2] = {{"x", 1}, {"", 0}};
    int32_t list[3] = {5, -6, 7}, *ints;
    float data[4] = {1, 2, 3, 4};
    size_t n;
    char *out = in_folder(f, "new.gguf");
    GOOD(f, gguf_open(f->a, ALL_TYPES, &g, &f->e));
    GOOD(f, gguf_writer_open(f->a, out, &w, &f->e));
    GOOD(f, gguf_writer_remove(w, "not.there", &f->e));
    for (i = 0; i < g->n_kv; i++) GOOD(f, gguf_writer_copy(w, &g->kv[i], &f->e));
    GOOD(f, gguf_writer_u32(w, "t.string", 77, &f->e));
    GOOD(f, gguf_writer_remove(w, "t.u8", &f->e));
    GOOD(f, gguf_writer_remove(w, "t.i8", &f->e));
    GOOD(f, gguf_writer_u64(w, "t.i8", (uint64_t)1 << 62, &f->e));
    GOOD(f, gguf_writer_f32(w, "n.f32", 0.25f, &f->e));
    GOOD(f, gguf_writer_bool(w, "n.bool", true, &f->e));
    GOOD(f, gguf_writer_string(w, "n.string", "text", &f->e));
    GOOD(f, gguf_writer_strings(w, "n.strings", two, 2, &f->e));
    GOOD(f, gguf_writer_array(w, "n.ints", GGUF_I32, list, 3, &f->e));
    GOOD(f, gguf_writer_tensor(w, "t", 0, 1, dims, &f->e));
    GOOD(f, gguf_writer_data(w, data, sizeof data, &f->e));
    GOOD(f, gguf_writer_commit(w, &f->e));
    GOOD(f, gguf_open(f->a, out, &h, &f->e));
    assert_int_equal(h->n_kv, g->n_kv - 1 + 5);
    assert_string_equal(h->kv[0].key, "general.architecture");
    assert_null(gguf_kv(h, "t.u8"));
    GOOD(f, gguf_int(h, "t.string", 77, 77, &i, &f->e));
    GOOD(f, gguf_int(h, "t.i8", (int64_t)1 << 62, (int64_t)1 << 62, &i, &f->e));
    GOOD(f, gguf_real(h, "n.f32", &r, &f->e));
    GOOD(f, gguf_bool(h, "n.bool", &b, &f->e));
    assert_true(r == 0.25 && b);
    GOOD(f, gguf_string(h, "n.string", &s, &f->e));
    assert_true(s.len == 4 && memcmp(s.s, "text", 4) == 0);
    GOOD(f, gguf_strings(h, f->a, "n.strings", &strings, &n, &f->e));
    assert_true(n == 2 && strings[0].len == 1 && strings[1].len == 0);
    GOOD(f, gguf_array_i32(h, f->a, "n.ints", &ints, &n, &f->e));
    assert_true(n == 3 && memcmp(ints, list, sizeof list) == 0);
    assert_memory_equal(gguf_tensor(h, "t")->data, data, sizeof data);
    gguf_close(g);
    gguf_close(h);
}

static void writer_errors(void **state) {
    Fixture *f = *state;
    GgufWriter *w;
    int64_t dims[1] = {33};
    char *out = in_folder(f, "new.gguf");
    float data[66] = {0};
    GOOD(f, gguf_writer_open(f->a, out, &w, &f->e));
    BAD(f, gguf_writer_tensor(w, "t", 8, 1, dims, &f->e), ERR_FORMAT, "rows of 33 elements are not whole Q8_0 blocks");
    BAD(f, gguf_writer_tensor(w, "0123456789012345678901234567890123456789012345678901234567890123", 0, 1, dims, &f->e),
        ERR_FORMAT, "64 bytes long");
    GOOD(f, gguf_writer_tensor(w, "t", 0, 1, dims, &f->e));
    GOOD(f, gguf_writer_tensor(w, "t", 0, 1, dims, &f->e));
    BAD(f, gguf_writer_data(w, data, sizeof data, &f->e), ERR_FORMAT, "'t' would be there twice");
    gguf_writer_abort(w);
    assert_false(path_exists(out));
    char **names;
    size_t n;
    GOOD(f, list_folder(f->a, f->folder, &names, &n, &f->e));
    assert_int_equal(n, 0);
}

/* ---- refusals: small files built by hand ------------------------------------------------------------------------- */

static void num(Buf *b, uint64_t v, size_t bytes) { assert_int_equal(buf_add(b, &v, bytes, NULL), OK); }

static void str(Buf *b, const char *s) {
    num(b, strlen(s), 8);
    assert_int_equal(buf_puts(b, s, NULL), OK);
}

typedef struct Made {
    uint32_t version;
    const char *key1, *key2; /* u32 keys, value 1 */
    const char *name1, *name2;
    uint32_t type, n_dims;
    uint64_t dim0, dim1, offset2, alignment;
} Made;

static const Made SOUND = {3, "a", "b", "x", "y", 0, 2, 4, 2, 32, 32};

static void made_file(Buf *b, const Made *m) {
    assert_int_equal(buf_puts(b, "GGUF", NULL), OK);
    num(b, m->version, 4);
    num(b, 2, 8);
    num(b, 3, 8);
    str(b, m->key1);
    num(b, GGUF_U32, 4);
    num(b, 1, 4);
    str(b, m->key2);
    num(b, GGUF_U32, 4);
    num(b, 1, 4);
    str(b, "general.alignment");
    num(b, GGUF_U32, 4);
    num(b, m->alignment, 4);
    for (int i = 0; i < 2; i++) {
        str(b, i == 0 ? m->name1 : m->name2);
        num(b, m->n_dims, 4);
        num(b, m->dim0, 8);
        if (m->n_dims > 1) num(b, m->dim1, 8);
        num(b, m->type, 4);
        num(b, i == 0 ? 0 : m->offset2, 8);
    }
    while (b->len % 32 != 0) num(b, 0, 1);
    for (int i = 0; i < 64; i++) num(b, 0, 1);
}

static void refusals(void **state) {
    Fixture *f = *state;
    char *path = in_folder(f, "made.gguf");
    Gguf *g;
    static const char LONG[] = "0123456789012345678901234567890123456789012345678901234567890123";
#define WITH(field, value)                                                                                             \
    ({                                                                                                                 \
        Made m_ = SOUND;                                                                                               \
        m_.field = value;                                                                                              \
        m_;                                                                                                            \
    })
    const struct {
        Made made;
        const char *says;
    } CASES[] = {
        {WITH(version, 1), "version 1, expected 2 or 3"},
        {WITH(version, 4), "version 4"},
        {WITH(version, 0x03000000), "big-endian"},
        {WITH(key2, "a"), "the key 'a' is there twice"},
        {WITH(key1, ""), "length of 0 bytes"},
        {WITH(key1, "\xff"), "not valid UTF-8"},
        {WITH(name2, "x"), "the tensor 'x' is there twice"},
        {WITH(name1, LONG), "length of 64 bytes, expected 1 to 63"},
        {WITH(type, 4), "type number 4"},
        {WITH(type, 0xffffffffu), "type number 4294967295"},
        {WITH(type, 8), "not whole Q8_0 blocks of 32"},
        {WITH(n_dims, 0), "0 dimensions"},
        {WITH(n_dims, 5), "5 dimensions"},
        {WITH(dim0, 0), "dimension 0 of 0"},
        {WITH(dim0, UINT64_MAX), "dimension 0 of 18446744073709551615"},
        {WITH(dim0, (uint64_t)1 << 62), "overflows"},
        {WITH(dim1, (uint64_t)1 << 61), "overflows"},
        {WITH(dim1, (uint64_t)1 << 40), "offset 32, expected"},
        {WITH(offset2, 0), "offset 0, expected 32"},
        {WITH(offset2, 64), "offset 64, expected 32"},
        {WITH(alignment, 3), "general.alignment"},
        {WITH(alignment, 0), "general.alignment"},
        {WITH(alignment, 64), "offset 32, expected 64"},
    };
    for (size_t i = 0; i <= sizeof CASES / sizeof CASES[0]; i++) {
        Buf b = {.arena = f->a};
        bool sound = i == sizeof CASES / sizeof CASES[0];
        made_file(&b, sound ? &SOUND : &CASES[i].made);
        put_file(path, b.data, b.len);
        if (!sound) BAD(f, gguf_open(f->a, path, &g, &f->e), ERR_FORMAT, CASES[i].says);
        if (!sound) continue;
        GOOD(f, gguf_open(f->a, path, &g, &f->e));
        gguf_close(g);
    }
    put_file(path, "GGUF\3\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 24);
    BAD(f, gguf_open(f->a, path, &g, &f->e), ERR_FORMAT, "announces");
    put_file(path, "PK\3\4....", 8);
    BAD(f, gguf_open(f->a, path, &g, &f->e), ERR_FORMAT, "no GGUF file: it begins with bytes 50 4b 03 04");
    BAD(f, gguf_open(f->a, f->folder, &g, &f->e), ERR_IO, f->folder);
    BAD(f, gguf_open(f->a, in_folder(f, "none.gguf"), &g, &f->e), ERR_IO, "none.gguf");
}

/* ---- damage ------------------------------------------------------------------------------------------------------ */

static Status open_and_use(Fixture *f, const char *path) {
    Gguf *g;
    Status st = gguf_open(f->a, path, &g, &f->e);
    if (st != OK) return st;
    unsigned sum = 0;
    Err e;
    for (int64_t i = 0; i < g->n_kv; i++) {
        int64_t v;
        double r;
        GgufString s, *strings;
        int32_t *ints;
        float *reals;
        size_t n;
        const GgufKv *kv = &g->kv[i];
        assert_non_null(gguf_kv(g, kv->key));
        if (gguf_kv_string(kv, &s))
            for (size_t k = 0; k < s.len; k++) sum += (uint8_t)s.s[k];
        gguf_kv_int(kv, &v);
        gguf_kv_real(kv, &r);
        if (gguf_strings(g, f->a, kv->key, &strings, &n, &e) == OK)
            for (size_t k = 0; k < n; k++)
                if (strings[k].len > 0) sum += (uint8_t)strings[k].s[strings[k].len - 1];
        gguf_array_i32(g, f->a, kv->key, &ints, &n, &e);
        gguf_array_f32(g, f->a, kv->key, &reals, &n, &e);
        for (size_t k = 0; k < kv->value_bytes; k++) sum += kv->value[k];
    }
    for (int64_t i = 0; i < g->n_tensors; i++)
        for (uint64_t k = 0; k < g->tensors[i].bytes; k++) sum += g->tensors[i].data[k];
    gguf_close(g);
    return sum == 0xffffffffu ? ERR_CHECK : OK;
}

static void damaged(void **state) {
    Fixture *f = *state;
    size_t n;
    Gguf *g;
    char *path = in_folder(f, "damaged.gguf"), *data = get_file(f, ALL_TYPES, &n);
    put_file(path, data, n);
    GOOD(f, gguf_open(f->a, path, &g, &f->e));
    const GgufTensor *last = &g->tensors[g->n_tensors - 1];
    size_t header = g->header_bytes[0], enough = (size_t)(last->data - g->files[0].data) + (size_t)last->bytes;
    gguf_close(g);
    truncate_everywhere(f, path, "damaged.gguf", enough, open_and_use);
    damage_everywhere(f, path, "damaged.gguf", header, open_and_use);
    GOOD(f, open_and_use(f, path));
    starve(f, path, open_and_use);
}

static void damaged_split(void **state) {
    Fixture *f = *state;
    size_t n;
    char *first = in_folder(f, "s-00001-of-00002.gguf"), *second = in_folder(f, "s-00002-of-00002.gguf");
    char *data = get_file(f, SPLIT, &n);
    put_file(first, data, n);
    data = get_file(f, GOLDEN "split-00002-of-00002.gguf", &n);
    put_file(second, data, n);
    damage_everywhere(f, first, "s-0000", 400, open_and_use);
    GOOD(f, open_and_use(f, first));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(reads_every_type), FIXTURE_TEST(reads_tensors),     FIXTURE_TEST(access_errors),
        FIXTURE_TEST(split_model),      FIXTURE_TEST(copy_is_identical), FIXTURE_TEST(writer_metadata),
        FIXTURE_TEST(writer_errors),    FIXTURE_TEST(refusals),          FIXTURE_TEST(damaged),
        FIXTURE_TEST(damaged_split),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
