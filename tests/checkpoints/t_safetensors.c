/* t_safetensors.c: safetensors in and out: the reference library's file read and written again byte for byte, shards,
 * every refusal, every damage. */
#include "checkpoints/safetensors.h"

#include "files.h"

#define ALL_TYPES GOLDEN "all_types.safetensors"

static void reads_every_dtype(void **state) {
    Fixture *f = *state;
    Safetensors *s;
    GOOD(f, safetensors_open(f->a, ALL_TYPES, &s, &f->e));
    assert_int_equal(s->n_tensors, 22);
    int seen[ST_DTYPE_COUNT] = {0};
    for (int64_t i = 0; i < s->n_tensors; i++) {
        const StTensor *t = &s->tensors[i];
        assert_ptr_equal(safetensors_find(s, t->name), t);
        seen[t->dtype]++;
    }
    for (int t = 0; t < ST_DTYPE_COUNT; t++) assert_true(seen[t] > 0 || t == ST_F8_E4M3FNUZ || t == ST_F8_E5M2FNUZ);
    const StTensor *t = safetensors_find(s, "f32.b");
    assert_true(t->rank == 2 && t->shape[0] == 2 && t->shape[1] == 3 && t->bytes == 24);
    for (int i = 0; i < 6; i++) {
        float y;
        memcpy(&y, t->data + 4 * i, sizeof y);
        assert_true(y == golden_value(i));
    }
    assert_int_equal(safetensors_find(s, "scalar")->rank, 0);
    assert_int_equal(safetensors_find(s, "scalar")->bytes, 4);
    assert_int_equal(safetensors_find(s, "empty")->bytes, 0);
    assert_null(safetensors_find(s, "__metadata__"));
    assert_true(json_is_string(json_get(s->metadata, "format"), "pt"));
    safetensors_close(s);
}

/* Declares the tensors of s in reverse order. */
static StDeclare *declare_all(Fixture *f, const Safetensors *s) {
    StDeclare *list = NULL;
    GOOD(f, ARENA_NEW(f->a, s->n_tensors, list, &f->e));
    for (int64_t i = 0; i < s->n_tensors; i++) {
        const StTensor *t = &s->tensors[s->n_tensors - 1 - i];
        list[i] = (StDeclare){.name = t->name, .dtype = t->dtype, .rank = t->rank};
        memcpy(list[i].shape, t->shape, sizeof t->shape);
    }
    return list;
}

static void write_all(Fixture *f, StWriter *w, const Safetensors *s, const StDeclare *list) {
    for (int64_t i = 0; i < s->n_tensors; i++) {
        const StTensor *t = safetensors_find(s, list[i].name);
        size_t cut = (size_t)t->bytes / 2;
        GOOD(f, st_writer_data(w, t->data, cut, &f->e));
        GOOD(f, st_writer_data(w, t->data + cut, (size_t)t->bytes - cut, &f->e));
    }
    GOOD(f, st_writer_commit(w, &f->e));
    st_writer_abort(w);
}

static void copy_is_identical(void **state) {
    Fixture *f = *state;
    Safetensors *s;
    StWriter *w;
    const StMeta meta[] = {{"format", "pt"}};
    char *out = in_folder(f, "copy.safetensors");
    GOOD(f, safetensors_open(f->a, ALL_TYPES, &s, &f->e));
    StDeclare *list = declare_all(f, s);
    GOOD(f, st_writer_open(f->a, out, list, s->n_tensors, meta, 1, &w, &f->e));
    write_all(f, w, s, list);
    same_files(f, ALL_TYPES, out);
    safetensors_close(s);
}

static void write_folder(Fixture *f, const char *folder, uint64_t max_bytes) {
    Safetensors *s;
    StWriter *w;
    GOOD(f, safetensors_open(f->a, ALL_TYPES, &s, &f->e));
    StDeclare *list = declare_all(f, s);
    GOOD(f, st_writer_open_folder(f->a, folder, max_bytes, list, s->n_tensors, NULL, 0, &w, &f->e));
    write_all(f, w, s, list);
    safetensors_close(s);
}

static void shards(void **state) {
    Fixture *f = *state;
    Safetensors *s, *g;
    GOOD(f, safetensors_open(f->a, ALL_TYPES, &g, &f->e));
    for (uint64_t max = 1; max <= 1024; max = max * 3 + 1) { /* from one tensor a shard to one shard */
        char name[32];
        snprintf(name, sizeof name, "model-%llu", (unsigned long long)max);
        char *folder = in_folder(f, name), *index;
        write_folder(f, folder, max);
        GOOD(f, path_join(f->a, folder, "model.safetensors.index.json", &index, &f->e));
        GOOD(f, safetensors_open_folder(f->a, folder, &s, &f->e));
        assert_int_equal(path_exists(index), s->n_files > 1);
        assert_int_equal(s->n_tensors, g->n_tensors);
        for (int64_t i = 0; i < g->n_tensors; i++) {
            const StTensor *a = &g->tensors[i], *b = safetensors_find(s, a->name);
            assert_non_null(b);
            assert_true(a->dtype == b->dtype && a->rank == b->rank && a->bytes == b->bytes);
            if (a->bytes > 0) assert_memory_equal(a->data, b->data, a->bytes);
        }
        for (int i = 0; i < s->n_files && max > 1; i++) assert_true(s->files[i].size - s->header_bytes[i] <= max + 64);
        safetensors_close(s);
    }
    safetensors_close(g);
}

static void shard_errors(void **state) {
    Fixture *f = *state;
    Safetensors *s;
    size_t n;
    char *folder = in_folder(f, "m"), *index, *path;
    write_folder(f, folder, 100);
    GOOD(f, path_join(f->a, folder, "model.safetensors.index.json", &index, &f->e));
    char *text = get_file(f, index, &n);
    const struct {
        const char *from, *to, *says;
    } CASES[] = {
        {"\"scalar\"", "\"scalaR\"", "'scalaR' should be in model-0000"},
        {"\"scalar\": \"model-0000", "\"scalar\": \"model-0009", "no such file"},
        {"\"scalar\": \"model", "\"scalar\": \"../el", "'scalar' names no plain file"},
        {"\"weight_map\"", "\"weight_mop\"", "weight_map"},
        {"\"scalar\": \"", "\"scalar\":00\"", "index.json"},
        {"\"f32.a\"", "\"f32.b\"", "index.json"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        char *copy;
        GOOD(f, arena_strndup(f->a, text, n, &copy, &f->e));
        char *at = strstr(copy, CASES[i].from);
        assert_non_null(at);
        memcpy(at, CASES[i].to, strlen(CASES[i].to));
        put_file(index, copy, n);
        Status st = safetensors_open_folder(f->a, folder, &s, &f->e);
        if (st == OK) fail_msg("'%s' was accepted", CASES[i].to);
        if (strstr(f->e.message, CASES[i].says) == NULL)
            fail_msg("'%s' does not say '%s'", f->e.message, CASES[i].says);
    }
    /* A name that the index does not list: the line of one tensor removed. */
    char *line = strstr(text, "    \"scalar\""), *end = strchr(line, '\n') + 1;
    char *copy;
    GOOD(f, arena_printf(f->a, &copy, &f->e, "%.*s%s", (int)(line - text), text, end));
    put_file(index, copy, strlen(copy));
    BAD(f, safetensors_open_folder(f->a, folder, &s, &f->e), ERR_FORMAT, "does not list tensor 'scalar'");
    /* The same tensor in two shards: the first one's file also under the second one's name. */
    put_file(index, text, n);
    GOOD(f, path_join(f->a, folder, strstr(text, "model-00001"), &path, &f->e));
    *strchr(path + strlen(folder), '"') = 0;
    char *data = get_file(f, path, &n);
    path[strlen(folder) + 11] = '2';
    put_file(path, data, n);
    BAD(f, safetensors_open_folder(f->a, folder, &s, &f->e), ERR_FORMAT, "is there twice");
    BAD(f, safetensors_open_folder(f->a, f->folder, &s, &f->e), ERR_IO, "neither model.safetensors nor");
    put_file(in_folder(f, "pytorch_model.bin"), "x", 1);
    BAD(f, safetensors_open_folder(f->a, f->folder, &s, &f->e), ERR_IO, "pytorch_model.bin is not read");
}

static void refusals(void **state) {
    Fixture *f = *state;
    Safetensors *s;
    char *path = in_folder(f, "made.safetensors");
#define T1 "\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}"
    const struct {
        const char *header;
        size_t data;
        const char *says; /* NULL: sound */
    } CASES[] = {
        {"{" T1 "}", 2, NULL},
        {"{}", 0, NULL},
        {"{" T1 ",\"z\":{\"dtype\":\"U8\",\"shape\":[0,9],\"data_offsets\":[2,2]}}", 2, NULL},
        {"{" T1 "}", 3, "1 bytes follow"},
        {"{" T1 "}", 1, "truncated"},
        {"{" T1 "," T1 "}", 2, "made.safetensors"},
        {"[]", 0, "does not begin with '{'"},
        {" {}", 0, "does not begin with '{'"},
        {"{\"a\":1}", 0, "'a' is described by"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[1,3]}}", 3, "expected 0: there is a hole"},
        {"{" T1 ",\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[1,3]}}", 3, "tensors overlap"},
        {"{" T1 ",\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[3,5]}}", 5, "there is a hole"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,2]}}", 2,
         "occupies 2 bytes, but its dtype and shape need 3"},
        {"{\"a\":{\"dtype\":\"U9\",\"shape\":[2],\"data_offsets\":[0,2]}}", 2, "dtype 'U9'"},
        {"{\"a\":{\"shape\":[2],\"data_offsets\":[0,2]}}", 2, "no dtype"},
        {"{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,2]}}", 2, "no shape"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2]}}", 2, "no data_offsets"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[2,0]}}", 2, "no data_offsets"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2,4]}}", 2, "no data_offsets"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[-2],\"data_offsets\":[0,2]}}", 2, "dimension 0"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2.0],\"data_offsets\":[0,2]}}", 2, "dimension 0"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,2]}}", 2, "overflows"},
        {"{\"a\":{\"dtype\":\"F64\",\"shape\":[4611686018427387904],\"data_offsets\":[0,2]}}", 2, "overflows"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,1]}}", 1, "9 dimensions"},
        {"{\"a\\u0000b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}", 2, "NUL"},
        {"{\"__metadata__\":[]}", 0, "__metadata__ is no object"},
        {"{\"__metadata__\":{\"a\":1}}", 0, "'a' is no string"},
        {"{" T1 "", 2, "made.safetensors"},
        {"{" T1 "}x", 2, "made.safetensors"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        char file[512] = {0};
        uint64_t len = strlen(CASES[i].header);
        memcpy(file, &len, 8);
        memcpy(file + 8, CASES[i].header, len);
        put_file(path, file, 8 + len + CASES[i].data);
        if (CASES[i].says != NULL) {
            print_message("%s\n", CASES[i].header);
            BAD(f, safetensors_open(f->a, path, &s, &f->e), ERR_FORMAT, CASES[i].says);
            continue;
        }
        GOOD(f, safetensors_open(f->a, path, &s, &f->e));
        safetensors_close(s);
    }
    put_file(path, "\xff\xff\xff\xff\xff\xff\xff\xff{}", 10);
    BAD(f, safetensors_open(f->a, path, &s, &f->e), ERR_FORMAT, "no safetensors file");
    put_file(path, "\x09\0\0\0\0\0\0\0{}", 10);
    BAD(f, safetensors_open(f->a, path, &s, &f->e), ERR_FORMAT, "truncated");
}

static void writer_errors(void **state) {
    Fixture *f = *state;
    StWriter *w;
    char *out = in_folder(f, "new.safetensors"), **names, *folder = in_folder(f, "shards");
    size_t n;
    StDeclare twice[2] = {{.name = "x", .dtype = ST_F32, .rank = 1, .shape = {2}}, {.name = "x", .dtype = ST_F16}};
    BAD(f, st_writer_open(f->a, out, twice, 2, NULL, 0, &w, &f->e), ERR_FORMAT, "'x' would be there twice");
    assert_false(path_exists(out));
    StDeclare two[2] = {{.name = "x", .dtype = ST_F32, .rank = 1, .shape = {2}},
                        {.name = "y", .dtype = ST_F32, .rank = 1, .shape = {2}}};
    float data[3] = {1, 2, 3};
    GOOD(f, st_writer_open_folder(f->a, folder, 8, two, 2, NULL, 0, &w, &f->e));
    GOOD(f, st_writer_data(w, data, sizeof data, &f->e)); /* the first shard is whole, the second is not */
    st_writer_abort(w);
    GOOD(f, list_folder(f->a, folder, &names, &n, &f->e));
    assert_int_equal(n, 0);
}

static Status open_and_use(Fixture *f, const char *path) {
    Safetensors *s;
    unsigned sum = 0;
    Status st = safetensors_open(f->a, path, &s, &f->e);
    if (st != OK) return st;
    for (int64_t i = 0; i < s->n_tensors; i++)
        for (uint64_t k = 0; k < s->tensors[i].bytes; k++) sum += s->tensors[i].data[k];
    safetensors_close(s);
    return sum == 0xffffffffu ? ERR_CHECK : OK;
}

static void damaged(void **state) {
    Fixture *f = *state;
    size_t n;
    uint64_t header;
    char *path = in_folder(f, "damaged.safetensors"), *data = get_file(f, ALL_TYPES, &n);
    put_file(path, data, n);
    memcpy(&header, data, 8);
    truncate_everywhere(f, path, "damaged.safetensors", n, open_and_use);
    damage_everywhere(f, path, "damaged.safetensors", 8 + header, open_and_use);
    GOOD(f, open_and_use(f, path));
    starve(f, path, open_and_use);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(reads_every_dtype), FIXTURE_TEST(copy_is_identical), FIXTURE_TEST(shards),
        FIXTURE_TEST(shard_errors),      FIXTURE_TEST(refusals),          FIXTURE_TEST(writer_errors),
        FIXTURE_TEST(damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
