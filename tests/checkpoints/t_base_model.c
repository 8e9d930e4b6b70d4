/* t_base_model.c: one interface over GGUF files and model folders: the same weights either way, identity, refusals. */
#include "checkpoints/base_model.h"

#include "files.h"

#define TINY LORAC_SOURCE_DIR "/data/tiny/tiny.gguf"

enum { ROWS = 3, COLS = 64, BIG = 50000 };

static const char CONFIG[] =
    "{\"architectures\":[\"LlamaForCausalLM\"],\"hidden_size\":64,\"num_hidden_layers\":1,\"num_attention_heads\":4,"
    "\"intermediate_size\":96,\"vocab_size\":3}";

static Status write_gguf(Fixture *f, const char *path) {
    GgufWriter *w;
    Err *e = &f->e;
    const int64_t embedding[] = {COLS, ROWS}, big[] = {BIG}, ids[] = {4};
    float data[ROWS * COLS], *large;
    const uint8_t integers[16] = {1, 2, 3};
    for (int i = 0; i < ROWS * COLS; i++) data[i] = golden_value(i);
    TRY(ARENA_NEW(f->a, BIG, large, e));
    TRY(gguf_writer_open(f->a, path, &w, e));
    TRY(gguf_writer_string(w, "general.architecture", "test", e));
    TRY(gguf_writer_u32(w, "test.block_count", 1, e));
    TRY(gguf_writer_u32(w, "test.context_length", 512, e));
    TRY(gguf_writer_u32(w, "test.embedding_length", 64, e));
    TRY(gguf_writer_u32(w, "test.feed_forward_length", 96, e));
    TRY(gguf_writer_u32(w, "test.attention.head_count", 4, e));
    TRY(gguf_writer_f32(w, "test.attention.layer_norm_rms_epsilon", 1e-5f, e));
    TRY(gguf_writer_tensor(w, "token_embd.weight", 0, 2, embedding, e));
    TRY(gguf_writer_tensor(w, "big.weight", 0, 1, big, e));
    TRY(gguf_writer_tensor(w, "some.ids", 26, 1, ids, e));
    TRY(gguf_writer_data(w, data, sizeof data, e));
    TRY(gguf_writer_data(w, large, BIG * sizeof *large, e));
    TRY(gguf_writer_data(w, integers, sizeof integers, e));
    return gguf_writer_commit(w, e);
}

static Status write_folder(Fixture *f, const char *folder) {
    StDeclare list[] = {{.name = "model.embed_tokens.weight", .dtype = ST_F32, .rank = 2, .shape = {ROWS, COLS}},
                        {.name = "ids", .dtype = ST_I64, .rank = 1, .shape = {2}},
                        {.name = "three", .dtype = ST_BF16, .rank = 3, .shape = {2, 3, 4}},
                        {.name = "none", .dtype = ST_F16, .rank = 2, .shape = {0, 4}}};
    StWriter *w;
    char *config;
    float data[ROWS * COLS];
    uint8_t others[48] = {0};
    for (int i = 0; i < ROWS * COLS; i++) data[i] = golden_value(i);
    TRY(st_writer_open_folder(f->a, folder, 64, list, 4, NULL, 0, &w, &f->e));
    for (int i = 0; i < 4; i++) {
        const void *bytes = strcmp(list[i].name, "model.embed_tokens.weight") == 0 ? (const void *)data : others;
        size_t n = strcmp(list[i].name, "ids") == 0     ? 16
                   : strcmp(list[i].name, "three") == 0 ? 48
                   : strcmp(list[i].name, "none") == 0  ? 0
                                                        : sizeof data;
        TRY(st_writer_data(w, bytes, n, &f->e));
    }
    TRY(st_writer_commit(w, &f->e));
    TRY(path_join(f->a, folder, "config.json", &config, &f->e));
    put_file(config, CONFIG, sizeof CONFIG - 1);
    return OK;
}

static void check_embedding(const WeightView *v) {
    float y[ROWS * COLS];
    assert_true(v->type == WT_F32 && v->rows == ROWS && v->cols == COLS);
    memcpy(y, v->data, sizeof y);
    for (int i = 0; i < ROWS * COLS; i++) assert_true(y[i] == golden_value(i));
}

static void from_gguf(void **state) {
    Fixture *f = *state;
    BaseModel *m;
    WeightView v;
    char *path = in_folder(f, "m.gguf");
    GOOD(f, write_gguf(f, path));
    GOOD(f, base_model_open(f->a, path, &m, &f->e));
    assert_true(m->kind == BASE_GGUF && m->gguf != NULL && m->safetensors == NULL && m->n_files == 1);
    assert_int_equal(m->config.d_model, 64);
    GOOD(f, base_model_weight(m, "token_embd.weight", &v, &f->e));
    check_embedding(&v);
    GOOD(f, base_model_weight(m, "big.weight", &v, &f->e));
    assert_true(v.rows == 1 && v.cols == BIG);
    BAD(f, base_model_weight(m, "some.ids", &v, &f->e), ERR_FORMAT, "m.gguf: tensor 'some.ids' is of type I32");
    BAD(f, base_model_weight(m, "output.weight", &v, &f->e), ERR_FORMAT,
        "m.gguf: the tensor 'output.weight' is missing");
    const BaseTensor *t = base_model_find(m, "token_embd.weight");
    assert_true(t->rank == 2 && t->dims[0] == ROWS && t->dims[1] == COLS);
    base_model_forget(m, base_model_find(m, "big.weight"));
    base_model_close(m);
}

static void from_folder(void **state) {
    Fixture *f = *state;
    BaseModel *m;
    WeightView v;
    char *folder = in_folder(f, "m");
    GOOD(f, write_folder(f, folder));
    GOOD(f, base_model_open(f->a, folder, &m, &f->e));
    assert_true(m->kind == BASE_SAFETENSORS && m->gguf == NULL && m->safetensors != NULL && m->n_files > 1);
    GOOD(f, base_model_weight(m, "model.embed_tokens.weight", &v, &f->e));
    check_embedding(&v);
    GOOD(f, base_model_weight(m, "three", &v, &f->e));
    assert_true(v.type == WT_BF16 && v.rows == 6 && v.cols == 4);
    BAD(f, base_model_weight(m, "ids", &v, &f->e), ERR_FORMAT, "is of type I64");
    BAD(f, base_model_weight(m, "none", &v, &f->e), ERR_FORMAT, "is empty");
    base_model_close(m);
}

static Status hashes(Fixture *f, const char *path, Hash128 *identity, Hash128 *full) {
    BaseModel *m;
    Status st = base_model_open(f->a, path, &m, &f->e);
    if (st != OK) return st;
    GOOD(f, base_model_identity(m, f->a, identity, &f->e));
    GOOD(f, base_model_full_hash(m, f->a, full, &f->e));
    base_model_close(m);
    return OK;
}

static bool same(Hash128 a, Hash128 b) { return a.lo == b.lo && a.hi == b.hi; }

static void put_byte(const char *path, long at, uint8_t value) {
    FILE *out = fopen(path, "r+b");
    assert_non_null(out);
    assert_int_equal(fseek(out, at, SEEK_SET), 0);
    assert_int_equal(fputc(value, out), value);
    assert_int_equal(fclose(out), 0);
}

/* The identity sees the header and both ends of each tensor, the full hash every byte. */
static void identity(void **state) {
    Fixture *f = *state;
    BaseModel *m;
    char *path = in_folder(f, "m.gguf");
    Hash128 id, full, id2, full2;
    GOOD(f, write_gguf(f, path));
    GOOD(f, base_model_open(f->a, path, &m, &f->e));
    long big = (long)((const uint8_t *)base_model_find(m, "big.weight")->data - m->files[0].data);
    base_model_close(m);
    GOOD(f, hashes(f, path, &id, &full));
    GOOD(f, hashes(f, path, &id2, &full2));
    assert_true(same(id, id2) && same(full, full2) && !same(id, full));
    const struct {
        long at;
        bool seen;
    } PLACES[] = {{big, true},           {big + 65535, true},       {big + 65536, false},
                  {big + 100000, false}, {big + 4 * BIG - 1, true}, {big + 4 * BIG - 65536, true}};
    for (size_t i = 0; i < sizeof PLACES / sizeof PLACES[0]; i++) {
        put_byte(path, PLACES[i].at, 1);
        GOOD(f, hashes(f, path, &id2, &full2));
        assert_int_equal(same(id, id2), !PLACES[i].seen);
        assert_false(same(full, full2));
        put_byte(path, PLACES[i].at, 0);
    }
    GOOD(f, hashes(f, path, &id2, &full2));
    char *folder = in_folder(f, "m");
    GOOD(f, write_folder(f, folder));
    GOOD(f, hashes(f, folder, &id2, &full2));
    assert_false(same(id, id2));
}

static void tiny_model(void **state) {
    Fixture *f = *state;
    BaseModel *m;
    WeightView v;
    if (!path_exists(TINY)) skip();
    GOOD(f, base_model_open(f->a, TINY, &m, &f->e));
    assert_string_equal(m->config.arch, "llama");
    assert_int_equal(m->config.d_model % 256, 0);
    for (int64_t i = 0; i < m->n_tensors; i++) {
        GOOD(f, base_tensor_view(m, &m->tensors[i], &v, &f->e));
        assert_int_equal(v.rows * wtype_row_bytes(v.type, v.cols), m->tensors[i].bytes);
    }
    base_model_close(m);
}

static void refusals(void **state) {
    Fixture *f = *state;
    BaseModel *m;
    BAD(f, base_model_open(f->a, in_folder(f, "none"), &m, &f->e), ERR_IO, "none: there is no such file");
    BAD(f, base_model_open(f->a, f->folder, &m, &f->e), ERR_IO, "needs config.json");
    put_file(in_folder(f, "adapter_config.json"), "{}", 2);
    BAD(f, base_model_open(f->a, f->folder, &m, &f->e), ERR_IO, "an adapter, not a model");
    put_file(in_folder(f, "config.json"), CONFIG, sizeof CONFIG - 1);
    BAD(f, base_model_open(f->a, f->folder, &m, &f->e), ERR_IO, "neither model.safetensors nor");
    put_file(in_folder(f, "model.safetensors"), "\2\0\0\0\0\0\0\0{}", 10);
    GOOD(f, base_model_open(f->a, f->folder, &m, &f->e));
    base_model_close(m);
    BAD(f, base_model_open(f->a, in_folder(f, "model.safetensors"), &m, &f->e), ERR_USAGE, "give the model's folder");
    put_file(in_folder(f, "config.json"), "{\"a\":1,}", 8);
    BAD(f, base_model_open(f->a, f->folder, &m, &f->e), ERR_FORMAT, "config.json:1:");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(from_gguf),  FIXTURE_TEST(from_folder), FIXTURE_TEST(identity),
        FIXTURE_TEST(tiny_model), FIXTURE_TEST(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
