/* use_gguf.c: uses whatever a GGUF file or a tokenizer offers. See fuzz.h. */
#include "tests/fuzz/fuzz.h"

#include "checkpoints/base_model.h"
#include "checkpoints/gguf_config.h"
#include "data/tokenizer.h"
#include "train/model/model.h"
#include "train/tokenizer_load.h"

#include <string.h>

enum { POSITIONS = 8, WEIGHTS_MAX = 1 << 20, TEXT_MAX = 1 << 12 };

/* ---- tokenizer ------------------------------------------------------------------------------------------------------- */

static void use_ids(Arena *a, const Tokenizer *t, const int32_t *ids, size_t n) {
    char *text;
    size_t len;
    Err e = {0};
    for (size_t i = 0; i < n; i++) {
        CHECK(ids[i] >= 0 && (size_t)ids[i] < tokenizer_vocab_size(t), "id %d", ids[i]);
        TokenText piece = tokenizer_piece(t, ids[i], i == 0, false), token = tokenizer_token(t, ids[i]);
        fuzz_touch(piece.s, piece.len);
        fuzz_touch(token.s, token.len);
    }
    Status st = tokenizer_decode(t, a, ids, n, true, &text, &len, &e);
    if (fuzz_result(a, st, &e)) fuzz_touch(text, len + 1);
}

void fuzz_use_tokenizer(Arena *a, const Tokenizer *t, FuzzInput text) {
    static const unsigned FLAGS[] = {0, TOKENIZER_SPECIAL | TOKENIZER_BOS | TOKENIZER_EOS,
                                     TOKENIZER_SPECIAL | TOKENIZER_CONTINUATION};
    static const char SAMPLE[] = "Hello, world's 12345 <s> tokens\n\n  \xC3\xA9\xE2\x96\x81 <0x41></s>";
    size_t n_ends;
    const int32_t *ends = tokenizer_ends(t, &n_ends);
    for (size_t i = 0; i < n_ends; i++) CHECK(tokenizer_is_end(t, ends[i]), "end %d", ends[i]);
    for (size_t i = 0; i < sizeof FLAGS / sizeof FLAGS[0]; i++) {
        int32_t *ids;
        size_t n;
        Err e = {0};
        Status st = tokenizer_encode(t, a, SAMPLE, sizeof SAMPLE - 1, FLAGS[i], &ids, &n, &e);
        if (fuzz_result(a, st, &e)) use_ids(a, t, ids, n);
        st = tokenizer_encode(t, a, (const char *)text.data, text.size < TEXT_MAX ? text.size : TEXT_MAX, FLAGS[i],
                              &ids, &n, &e);
        if (fuzz_result(a, st, &e)) use_ids(a, t, ids, n);
    }
    TokenText chat = tokenizer_chat_template(t);
    fuzz_touch(chat.s, chat.len);
}

/* ---- GGUF ------------------------------------------------------------------------------------------------------------ */

static void use_kv(const Gguf *g, const GgufKv *kv) {
    GgufString s;
    int64_t i;
    double real;
    CHECK(gguf_kv(g, kv->key) == kv, "key '%s' is not found", kv->key);
    fuzz_touch(kv->value, kv->value_bytes);
    gguf_kv_int(kv, &i);
    gguf_kv_real(kv, &real);
    if (gguf_kv_string(kv, &s)) fuzz_touch(s.s, s.len);
    for (uint64_t j = 0; kv->type == GGUF_ARRAY && j < kv->n && j < 16; j++) {
        gguf_elem_int(kv, j, &i);
        gguf_elem_real(kv, j, &real);
    }
}

static void use_table(Arena *a, const char *path) {
    Gguf *g = NULL;
    ModelConfig c;
    Err e = {0};
    if (!fuzz_result(a, gguf_open(a, path, &g, &e), &e)) return;
    for (int64_t i = 0; i < g->n_kv; i++) use_kv(g, &g->kv[i]);
    for (int64_t i = 0; i < g->n_tensors; i++) {
        const GgufTensor *t = &g->tensors[i];
        const FileMap *m = &g->files[t->part];
        CHECK(gguf_tensor(g, t->name) == t, "tensor '%s' is not found", t->name);
        CHECK(t->data >= m->data && t->bytes <= (uint64_t)(m->data + m->size - t->data), "tensor '%s' is outside",
              t->name);
        fuzz_touch(t->data, t->bytes);
    }
    fuzz_result(a, model_config_from_gguf(a, g, &c, &e), &e);
    gguf_close(g);
}

static void use_model(Arena *a, const char *path) {
    BaseModel *m = NULL;
    Model *model;
    Hash128 hash;
    WeightView w;
    Err e = {0};
    if (!fuzz_result(a, base_model_open(a, path, &m, &e), &e)) return;
    for (int64_t i = 0; i < m->n_tensors; i++) {
        const BaseTensor *t = &m->tensors[i];
        if (!fuzz_result(a, base_model_weight(m, t->name, &w, &e), &e)) continue;
        CHECK((uint64_t)w.rows * (uint64_t)wtype_row_bytes(w.type, w.cols) == t->bytes, "tensor '%s': rows", t->name);
    }
    CHECK(base_model_identity(m, a, &hash, &e) == OK, "%s", e.message);
    /* What it converts and its rotary tables are as large as the model says: only for small ones. */
    bool small = m->config.n_layers * m->config.d_model <= WEIGHTS_MAX;
    if (small) fuzz_result(a, model_open(a, m, POSITIONS, &model, &e), &e);
    base_model_close(m);
}

void fuzz_use_gguf(Arena *a, const char *path, FuzzInput text) {
    Tokenizer *t = NULL;
    Err e = {0};
    use_table(a, path);
    use_model(a, path);
    if (fuzz_result(a, tokenizer_load(a, path, &t, &e), &e)) {
        fuzz_use_tokenizer(a, t, text);
        tokenizer_close(t);
    }
}
