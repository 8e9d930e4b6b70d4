/* bench_tokenize.c: how fast texts become token ids, and how long a tokenizer takes to load.
 *
 *   bench_tokenize MODEL TEXTS.jsonl [--threads N] [--rounds K] [--loads K] [--marked] [--alone] [--ids FILE]
 *
 * MODEL is a GGUF file, a model folder or a tokenizer.json; TEXTS has a JSON string on each line. All texts are encoded K times by N
 * threads (0: one per processor), each thread with its own TokenizerCache, and the best round counts. --marked: with a range that
 * covers the second half of each text. --alone: every text by a call of its own, without a cache. --ids writes for each text the
 * number of its ids and the ids, as 32-bit numbers. The result is one JSON line on the standard output; times are those of a clock. */
#define _GNU_SOURCE
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/threads.h"
#include "train/tokenizer_load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CHUNK_BYTES = 1 << 16, THREADS_MAX = 1024 };

typedef struct Texts {
    JsonString *rows;
    size_t n, bytes;
    size_t *chunks; /* the first row of each chunk, and n */
    size_t n_chunks;
} Texts;

typedef struct Run {
    const Tokenizer *t;
    const Texts *texts;
    bool marked, alone, keep;
    Arena **arenas; /* by thread; with keep, ids stay in them */
    TokenizerCache **caches;
    Hash128 *hashes; /* by row: of its ids */
    size_t *counts;
    int32_t **ids;
} Run;

static void stop(const char *message) {
    fprintf(stderr, "bench_tokenize: %s\n", message);
    exit(1);
}

#define MUST(call)                                                                                                     \
    do {                                                                                                               \
        if ((call) != OK) stop(e.message);                                                                             \
    } while (0)

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void read_texts(Arena *a, const char *path, Texts *out) {
    Err e;
    FileMap m;
    size_t cap = 0, cap_chunks = 0, chunk = CHUNK_BYTES;
    MUST(file_map(path, &m, &e));
    const char *s = (const char *)m.data, *end = s + m.size;
    for (int64_t line = 1; s < end; line++) {
        Json *v = NULL;
        const char *newline = memchr(s, '\n', (size_t)(end - s)), *stop_at = newline != NULL ? newline : end;
        MUST(json_parse_line(a, path, line, s, (size_t)(stop_at - s), &v, &e));
        if (v->type != JSON_STRING) stop("a line that is no JSON string");
        MUST(arena_grow(a, &out->rows, &cap, out->n, out->n + 1, sizeof *out->rows, &e));
        MUST(arena_grow(a, &out->chunks, &cap_chunks, out->n_chunks, out->n_chunks + 2, sizeof *out->chunks, &e));
        if (chunk >= CHUNK_BYTES) out->chunks[out->n_chunks++] = out->n, chunk = 0;
        out->rows[out->n++] = v->string;
        out->bytes += v->string.len;
        chunk += v->string.len;
        s = stop_at + 1;
    }
    if (out->n == 0) stop("no texts");
    out->chunks[out->n_chunks] = out->n;
    file_unmap(&m);
}

static void encode_chunk(void *ctx, int64_t chunk, int thread) {
    Run *r = ctx;
    Arena *a = r->arenas[thread];
    ArenaMark mark = arena_mark(a);
    for (size_t i = r->texts->chunks[chunk]; i < r->texts->chunks[chunk + 1]; i++) {
        Err e;
        JsonString s = r->texts->rows[i];
        TextRange half = {s.len / 2, s.len};
        int32_t *ids = NULL;
        uint8_t *marked = NULL;
        size_t n = 0;
        unsigned flags = TOKENIZER_SPECIAL;
        if (r->alone && r->marked)
            MUST(tokenizer_encode_marked(r->t, a, s.s, s.len, flags, &half, 1, &ids, &marked, &n, &e));
        else if (r->alone)
            MUST(tokenizer_encode(r->t, a, s.s, s.len, flags, &ids, &n, &e));
        else if (r->marked)
            MUST(tokenizer_cache_encode_marked(r->caches[thread], a, s.s, s.len, flags, &half, 1, &ids, &marked, &n,
                                               &e));
        else
            MUST(tokenizer_cache_encode(r->caches[thread], a, s.s, s.len, flags, &ids, &n, &e));
        r->hashes[i] = hash128(ids, n * sizeof *ids);
        r->counts[i] = n;
        if (r->keep) r->ids[i] = ids;
        if (!r->keep) arena_reset(a, mark);
    }
}

static void write_ids(const Run *r, const char *path) {
    FILE *f = fopen(path, "wb");
    if (f == NULL) stop("the file of ids cannot be opened");
    for (size_t i = 0; i < r->texts->n; i++) {
        int32_t n = (int32_t)r->counts[i];
        fwrite(&n, sizeof n, 1, f);
        if (n > 0) fwrite(r->ids[i], sizeof n, (size_t)n, f);
    }
    if (fclose(f) != 0) stop("the file of ids cannot be written");
}

static Tokenizer *load(Arena *a, const char *model, int loads, double *best) {
    Err e;
    Tokenizer *t = NULL;
    ArenaMark mark = arena_mark(a);
    for (int i = 0; i < loads; i++) {
        tokenizer_close(t);
        arena_reset(a, mark);
        double start = now_s();
        MUST(tokenizer_load(a, model, &t, &e));
        double s = now_s() - start;
        if (i == 0 || s < *best) *best = s;
    }
    return t;
}

/* The value of an option that has one; then *i is at it. */
static const char *value_of(int argc, char **argv, int *i, const char *key) {
    if (strcmp(argv[*i], key) != 0) return NULL;
    if (++*i == argc) stop("an option without its value");
    return argv[*i];
}

int main(int argc, char **argv) {
    Err e;
    int threads = 0, rounds = 3, loads = 3;
    const char *ids = NULL, *v;
    Texts texts = {0};
    Run r = {.texts = &texts};
    Arena *a, *model;
    Pool *pool;
    double load_s = 0, best = 0;
    if (argc < 3) stop("bench_tokenize MODEL TEXTS.jsonl [options]");
    for (int i = 3; i < argc; i++) {
        if ((v = value_of(argc, argv, &i, "--threads")) != NULL)
            threads = atoi(v);
        else if ((v = value_of(argc, argv, &i, "--rounds")) != NULL)
            rounds = atoi(v) > 0 ? atoi(v) : 1;
        else if ((v = value_of(argc, argv, &i, "--loads")) != NULL)
            loads = atoi(v) > 0 ? atoi(v) : 1;
        else if ((v = value_of(argc, argv, &i, "--ids")) != NULL)
            ids = v;
        else if (strcmp(argv[i], "--marked") == 0)
            r.marked = true;
        else if (strcmp(argv[i], "--alone") == 0)
            r.alone = true;
        else
            stop("an option that is not known");
    }
    MUST(arena_open(&a, "bench", &e));
    MUST(arena_open(&model, "model", &e));
    MUST(pool_open(&pool, threads, &e));
    threads = pool_threads(pool);
    Tokenizer *t = load(model, argv[1], loads, &load_s);
    r.t = t;
    read_texts(a, argv[2], &texts);
    MUST(ARENA_NEW(a, texts.n, r.hashes, &e));
    MUST(ARENA_NEW(a, texts.n, r.counts, &e));
    MUST(ARENA_NEW(a, texts.n, r.ids, &e));
    MUST(ARENA_NEW(a, threads, r.arenas, &e));
    MUST(ARENA_NEW(a, threads, r.caches, &e));
    for (int i = 0; i < threads; i++) {
        char *first; /* keeps the arena's first block from going at each reset */
        MUST(arena_open(&r.arenas[i], "ids", &e));
        MUST(ARENA_NEW(r.arenas[i], 1, first, &e));
        MUST(tokenizer_cache_open(&r.caches[i], t, &e));
    }
    for (int i = 0; i < rounds; i++) {
        double start = now_s();
        pool_run(pool, (int64_t)texts.n_chunks, encode_chunk, &r);
        double s = now_s() - start;
        if (i == 0 || s < best) best = s;
    }
    size_t tokens = 0;
    for (size_t i = 0; i < texts.n; i++) tokens += r.counts[i];
    char hex[HASH_HEX_BYTES];
    hash_hex(hash128(r.hashes, texts.n * sizeof *r.hashes), hex);
    printf(
        "{\"load_s\":%.4f,\"threads\":%d,\"texts\":%zu,\"bytes\":%zu,\"tokens\":%zu,\"encode_s\":%.4f,\"mb_per_s\":%.2f,"
        "\"ids_hash\":\"%s\"}\n",
        load_s, threads, texts.n, texts.bytes, tokens, best, (double)texts.bytes / best / 1e6, hex);
    if (ids != NULL) {
        r.keep = true;
        pool_run(pool, (int64_t)texts.n_chunks, encode_chunk, &r);
        write_ids(&r, ids);
    }
    for (int i = 0; i < threads; i++) {
        arena_close(r.arenas[i]);
        tokenizer_cache_close(r.caches[i]);
    }
    tokenizer_close(t);
    pool_close(pool);
    arena_close(model);
    arena_close(a);
    return 0;
}
