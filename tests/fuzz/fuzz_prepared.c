/* fuzz_prepared.c: prepared data (data/prepared.h) of any content, with the right sum: what another program may write, or damage
 * that no sum shows. The input is a text, one entry a line:
 *   h                       the three values that every file has
 *   s TEXT                  /sources
 *   t PATH TEXT             a text anywhere
 *   d PATH TYPE DIM,... V,...   a dataset of a type 0..5, of up to 2 dims; its values, of which the last one is repeated
 * h5_stand_in.c takes the place of libhdf5. What is accepted must hold together: every token of every row is looked at. */
#include "tests/fuzz/fuzz.h"

#include "base/h5.h"
#include "base/hash.h"
#include "data/prepared.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINES_MAX = 24, DIMS_MAX = 2, DATA_MAX = 1 << 12, HEAD_BYTES = 512, SOURCES = 2, VOCAB = 50 };

static const char KEY[] = "0123456789abcdef0123456789abcdef";

/* ---- making --------------------------------------------------------------------------------------------------------- */

static int64_t integer(FuzzInput s) {
    char text[24] = "";
    if (s.size > 0) memcpy(text, s.data, s.size < sizeof text ? s.size : sizeof text - 1);
    return strtoll(text, NULL, 10);
}

static void put_header(H5 *h) {
    Err e = {0};
    const int64_t version = 1;
    h5_put_string(h, "format", "lorac-prepared-data", 19, &e);
    h5_put(h, "version", H5_I64, 0, NULL, &version, &e);
    h5_put_string(h, "key", KEY, strlen(KEY), &e);
}

static void put_set(H5 *h, const char *path, FuzzInput rest) {
    static int64_t values[DATA_MAX];
    static uint8_t bytes[DATA_MAX * sizeof values[0]];
    static const size_t SIZES[] = {1, 4, 8, 8, 4, 8};
    int type = (int)((uint64_t)integer(fuzz_part(&rest, ' ')) % (H5_F64 + 1));
    FuzzInput shape = fuzz_part(&rest, ' ');
    uint64_t dims[DIMS_MAX], n = 1;
    int rank = 0;
    Err e = {0};
    for (; shape.size > 0 && rank < DIMS_MAX; rank++) {
        dims[rank] = (uint64_t)integer(fuzz_part(&shape, ','));
        if (dims[rank] > DATA_MAX || (n *= dims[rank]) > DATA_MAX) return;
    }
    for (uint64_t i = 0; i < n; i++) {
        values[i] = rest.size > 0 || i == 0 ? integer(fuzz_part(&rest, ',')) : values[i - 1];
        memcpy(bytes + i * SIZES[type], &values[i], SIZES[type]); /* little-endian */
    }
    h5_put(h, path, (H5Type)type, rank, dims, bytes, &e);
}

static void put_line(Arena *a, H5 *h, FuzzInput line) {
    FuzzInput kind = fuzz_part(&line, ' ');
    Err e = {0};
    if (kind.size != 1) return;
    if (kind.data[0] == 'h') put_header(h);
    if (kind.data[0] == 's') h5_put_string(h, "sources", (const char *)line.data, line.size, &e);
    if (kind.data[0] != 't' && kind.data[0] != 'd') return;
    const char *path = fuzz_string(a, fuzz_part(&line, ' '));
    if (kind.data[0] == 't') h5_put_string(h, path, (const char *)line.data, line.size, &e);
    if (kind.data[0] == 'd') put_set(h, path, line);
}

/* The file's path. */
static const char *make_file(Arena *a, FuzzInput text) {
    H5 *h;
    uint8_t *image, *file;
    size_t bytes;
    Err e = {0};
    char hex[HASH_HEX_BYTES];
    CHECK(h5_create(a, 0, &h, &e) == OK, "%s", e.message);
    for (int i = 0; i < LINES_MAX && text.size > 0; i++) put_line(a, h, fuzz_part(&text, '\n'));
    CHECK(h5_image(h, &image, &bytes, &e) == OK, "%s", e.message);
    CHECK(arena_alloc(a, HEAD_BYTES + bytes, 1, &file, &e) == OK, "%s", e.message);
    hash_hex(hash128(image, bytes), hex);
    memset(file, 0, HEAD_BYTES);
    snprintf((char *)file, HEAD_BYTES, "lorac-prepared-data 1\nXXH3-128 of the bytes from 512 on: %s\n", hex);
    memcpy(file + HEAD_BYTES, image, bytes);
    return fuzz_put(a, "prepared.h5", file, HEAD_BYTES + bytes);
}

/* ---- using ---------------------------------------------------------------------------------------------------------- */

static void use(const Dataset *d) {
    int64_t at = 0, read = 0;
    for (int64_t i = 0; i < d->n_rows; i++) {
        const DataRow *r = &d->rows[i];
        const int32_t *labels = dataset_labels(d, r);
        int32_t trained = 0;
        CHECK(r->start == at && r->length > 0 && r->line > 0 && r->number >= 0, "row %lld", (long long)i);
        CHECK(r->source >= 0 && r->source < SOURCES && r->side < SIDE_COUNT, "row %lld: source", (long long)i);
        for (int64_t k = 0; k < r->length; k++) {
            CHECK(d->ids[at + k] >= 0 && d->ids[at + k] < VOCAB && d->trained[at + k] <= 1, "token %lld", (long long)k);
            CHECK(labels[k] >= 0 && labels[k] < VOCAB, "label %lld", (long long)k);
            trained += d->trained[at + k];
        }
        CHECK(trained == r->trained && trained > 0 && d->trained[at] == 0, "row %lld: trained", (long long)i);
        at += r->length;
    }
    for (int s = 0; s < SOURCES; s++) {
        CHECK(d->types[s] != NULL, "a source without type");
        if (d->found_by[s] != NULL) fuzz_touch(d->found_by[s], strlen(d->found_by[s]) + 1);
        read += d->ledger[s].read;
    }
    CHECK(read == at, "tokens in the ledger");
}

static void open_rows(Arena *a, const char *path) {
    const char *types[SOURCES] = {0}, *found_by[SOURCES] = {0};
    int64_t bare[SOURCES] = {0}, first_row[SOURCES] = {0};
    Ledger ledger[SOURCES] = {0};
    Dataset d = {.n_sources = SOURCES,
                 .types = types,
                 .found_by = found_by,
                 .bare = bare,
                 .first_row = first_row,
                 .ledger = ledger};
    Prepared p = {.path = path};
    DataMaps maps = {0};
    Err e = {0};
    memcpy(p.key, KEY, sizeof KEY);
    if (!fuzz_result(a, prepared_open(a, &p, VOCAB, &maps, &d, &e), &e)) return;
    CHECK(p.found == (p.damage[0] == 0), "neither found nor damaged: '%s'", p.damage);
    CHECK(p.found || (maps.file.data == NULL && d.rows == NULL), "something stays of a damaged file");
    if (p.found)
        use(&d);
    else
        fuzz_result(a, err_set(&e, ERR_FORMAT, __FILE__, __LINE__, "%s", p.damage), &e);
    file_unmap(&maps.file);
}

static void open_info(Arena *a, const char *path) {
    FileMap m;
    PreparedInfo info;
    Err e = {0};
    CHECK(file_map(path, &m, &e) == OK && prepared_is(m.data, m.size), "%s", e.message);
    if (fuzz_result(a, prepared_info(a, &m, &info, &e), &e)) {
        fuzz_touch(info.key, strlen(info.key) + 1);
        for (int s = 0; s < info.n_sources; s++) {
            fuzz_touch(info.paths[s], strlen(info.paths[s]) + 1);
            fuzz_touch(info.types[s], strlen(info.types[s]) + 1);
            fuzz_touch(&info.ledger[s], sizeof info.ledger[s]);
        }
    }
    file_unmap(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Arena *a = fuzz_arena();
    const char *path = make_file(a, (FuzzInput){data, size});
    open_rows(a, path);
    open_info(a, path);
    return 0;
}
