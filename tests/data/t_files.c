/* Compressed files, folders, patterns: the same rows as from plain files; damage is told by the file's name; memory is
 * bounded whatever a file decompresses to. The compressed files are put together here, from stored and repeated blocks. */
#include "tests/data/rows_file.h"

#include "data/dataset.h"
#include "data/files.h"
#include "data/jsonl.h"
#include "data/pattern.h"

#include <stdio.h>
#include <string.h>

static char *in_folder(const char *name) { return support_path(arena, folder, name); }

static void put(const char *name, const char *text) { support_write(in_folder(name), text, strlen(text)); }

static void add(Buf *b, const void *data, size_t n) {
    Err e;
    ASSERT_OK(buf_add(b, data, n, &e), e);
}

static void add_number(Buf *b, uint32_t v, int bytes) {
    for (int i = 0; i < bytes; i++) add(b, &(uint8_t){(uint8_t)(v >> 8 * i)}, 1);
}

static uint32_t crc32_of(const uint8_t *s, size_t n) {
    uint32_t c = 0xFFFFFFFFu;
    for (size_t i = 0; i < n; i++) {
        c ^= s[i];
        for (int k = 0; k < 8; k++) c = c >> 1 ^ (c & 1 ? 0xEDB88320u : 0);
    }
    return ~c;
}

/* A gzip member of stored blocks. */
static void add_gzip(Buf *b, const char *text) {
    enum { BLOCK = 1000 };
    size_t n = strlen(text), at = 0;
    add(b, "\x1f\x8b\x08\0\0\0\0\0\0\xff", 10);
    do {
        size_t k = n - at < BLOCK ? n - at : BLOCK;
        add_number(b, at + k == n, 1);
        add_number(b, (uint32_t)k, 2);
        add_number(b, ~(uint32_t)k, 2);
        add(b, text + at, k);
        at += k;
    } while (at < n);
    add_number(b, crc32_of((const uint8_t *)text, n), 4);
    add_number(b, (uint32_t)n, 4);
}

enum { ZSTD_BLOCK = 1 << 17, ZSTD_RAW = 0, ZSTD_REPEAT = 1 };

static void zstd_begin(Buf *b, uint8_t window_log) {
    add(b, "\x28\xb5\x2f\xfd\0", 5);
    add_number(b, (uint32_t)(window_log - 10) << 3, 1);
}

static void zstd_block(Buf *b, uint32_t type, uint32_t size, const char *text, bool last) {
    add_number(b, (uint32_t)last | type << 1 | size << 3, 3);
    add(b, text, type == ZSTD_RAW ? size : 1);
}

static void add_zstd(Buf *b, const char *text) {
    zstd_begin(b, 17);
    zstd_block(b, ZSTD_RAW, (uint32_t)strlen(text), text, true);
}

static void write_buf(const char *name, const Buf *b) { support_write(in_folder(name), b->data, b->len); }

/* Rows of a file as their lines, or the failure. */
static Status read_all(const char *name, Buf *rows, Err *e) {
    Jsonl j;
    *rows = (Buf){.arena = arena};
    *e = (Err){0};
    Status st = jsonl_open(in_folder(name), &j, e);
    if (st == OK) {
        const char *text;
        size_t len;
        for (;;) {
            st = jsonl_next(&j, &text, &len, e);
            if (st != OK || text == NULL) break;
            ASSERT_OK(buf_printf(rows, e, "%d:%.*s|", (int)j.line, (int)len, text), *e);
        }
        jsonl_close(&j);
    }
    return st;
}

static void compressed_is_as_plain(void **state) {
    (void)state;
    Buf gz = {.arena = arena}, zst = {.arena = arena}, plain = {.arena = arena}, got;
    Err e;
    for (int i = 0; i < 20000; i++)
        ASSERT_OK(buf_printf(&plain, &e, "{\"number\": %d}\r\n%s", i, i % 7 == 0 ? "\n" : ""), e);
    add_gzip(&gz, plain.data);
    zstd_begin(&zst, 17);
    for (size_t at = 0; at < plain.len; at += 5000) {
        size_t n = plain.len - at < 5000 ? plain.len - at : 5000;
        zstd_block(&zst, ZSTD_RAW, (uint32_t)n, plain.data + at, at + n == plain.len);
    }
    write_buf("a", &plain);
    write_buf("b", &gz);
    write_buf("c", &zst);
    ASSERT_OK(read_all("a", &plain, &e), e);
    assert_non_null(strstr(plain.data, "|22857:{\"number\": 19999}|"));
    ASSERT_OK(read_all("b", &got, &e), e);
    assert_string_equal(got.data, plain.data);
    ASSERT_OK(read_all("c", &got, &e), e);
    assert_string_equal(got.data, plain.data);
}

/* Members and frames one after the other; a line may go on over the border; skippable frames. */
static void several_members(void **state) {
    (void)state;
    Buf gz = {.arena = arena}, zst = {.arena = arena}, got;
    Err e;
    add_gzip(&gz, "{\"a\":");
    add_gzip(&gz, "");
    add_gzip(&gz, "1}\n{}");
    write_buf("a", &gz);
    ASSERT_OK(read_all("a", &got, &e), e);
    assert_string_equal(got.data, "1:{\"a\":1}|2:{}|");
    add(&zst, "\x53\x2a\x4d\x18\3\0\0\0xyz", 11);
    add_zstd(&zst, "\xEF\xBB\xBF{\"a\":");
    add_zstd(&zst, "1}\n");
    write_buf("b", &zst);
    ASSERT_OK(read_all("b", &got, &e), e);
    assert_string_equal(got.data, "1:{\"a\":1}|");
    buf_clear(&gz);
    add_gzip(&gz, "[{}, {}]");
    write_buf("c", &gz);
    ASSERT_OK(read_all("c", &got, &e), e);
    assert_string_equal(got.data, "1:{}|1:{}|");
}

/* Every prefix of a compressed file, and every byte changed: an error with its name, or rows; never a crash. */
static void damage_is_found(void **state) {
    (void)state;
    int files = support_open_files();
    for (int kind = 0; kind < 2; kind++) {
        Buf b = {.arena = arena}, got;
        Err e;
        const char *name = kind == 0 ? "x.gz" : "x.zst";
        (kind == 0 ? add_gzip : add_zstd)(&b, "{\"text\": \"one\"}\n");
        for (size_t n = 4; n < b.len; n++) {
            support_write(in_folder(name), b.data, n);
            ASSERT_FAILS(read_all(name, &got, &e), e, ERR_DATA, name);
            assert_non_null(strstr(e.message, "ends before it is complete"));
        }
        for (size_t i = 4; i < b.len; i++) {
            b.data[i] = (char)(b.data[i] ^ 0x41);
            write_buf(name, &b);
            Status st = read_all(name, &got, &e);
            b.data[i] = (char)(b.data[i] ^ 0x41);
            if (kind == 0 && i >= 10) assert_int_equal(st, ERR_DATA); /* the checksum */
            if (st != OK) assert_non_null(strstr(e.message, name));
        }
        add(&b, "rubbish", 7);
        write_buf(name, &b);
        ASSERT_FAILS(read_all(name, &got, &e), e, ERR_DATA, "follow the compressed data");
    }
    assert_int_equal(support_open_files(), files);
}

/* 50 MB in one line are read; 400 MB of one byte in 1.2 kB are refused without being held. */
static void long_lines(void **state) {
    (void)state;
    Buf b = {.arena = arena};
    Jsonl j;
    const char *text;
    size_t len;
    Err e = {0};
    zstd_begin(&b, 17);
    for (int i = 0; i < 400; i++) zstd_block(&b, ZSTD_REPEAT, ZSTD_BLOCK, "x", false);
    zstd_block(&b, ZSTD_RAW, 4, "\n{}\n", true);
    write_buf("a", &b);
    ASSERT_OK(jsonl_open(in_folder("a"), &j, &e), e);
    ASSERT_OK(jsonl_next(&j, &text, &len, &e), e);
    assert_int_equal(len, 400 * ZSTD_BLOCK);
    ASSERT_OK(jsonl_next(&j, &text, &len, &e), e);
    assert_int_equal(j.line, 2);
    jsonl_close(&j);
    buf_clear(&b);
    zstd_begin(&b, 17);
    for (int i = 0; i < 3000; i++) zstd_block(&b, ZSTD_REPEAT, ZSTD_BLOCK, "x", false);
    zstd_block(&b, ZSTD_RAW, 4, "\n{}\n", true);
    write_buf("a", &b);
    ASSERT_OK(jsonl_open(in_folder("a"), &j, &e), e);
    ASSERT_FAILS(jsonl_next(&j, &text, &len, &e), e, ERR_DATA, "a:1: the line is too long");
    ASSERT_OK(jsonl_next(&j, &text, &len, &e), e); /* and passed over */
    assert_int_equal(j.line, 2);
    assert_true(arena_peak_bytes(j.bytes.arena) < 5 * (size_t)JSONL_LINE_MAX);
    jsonl_close(&j);
    buf_clear(&b);
    zstd_begin(&b, 31);
    zstd_block(&b, ZSTD_RAW, 3, "{}\n", true);
    write_buf("a", &b);
    ASSERT_FAILS(jsonl_open(in_folder("a"), &j, &e), e, ERR_DATA, "window of more than 128 MiB");
}

/* The paths' last parts, "a b". */
static const char *names_of(const DataFiles *f) {
    static char out[256];
    size_t at = 0;
    out[0] = 0;
    for (size_t i = 0; i < f->n; i++)
        at += (size_t)snprintf(out + at, sizeof out - at, "%s%s", i > 0 ? " " : "", strrchr(f->paths[i], '/') + 1);
    return out;
}

static void patterns(void **state) {
    (void)state;
    static const struct {
        const char *pattern, *matches, *others; /* names, one space between */
    } cases[] = {
        {"*", "a b.c \xC3\xA9", ".a"},
        {".*", ".a .", "a"},
        {"a*", "a ab a*", "ba"},
        {"*a", "a ba aa", "ab"},
        {"a*b*c", "abc axbyc abbc aabcbc", "ab acb abcd"},
        {"?", "a \xC3\xA9", "ab"},
        {"a?", "ab a\xE4\xBD\xA0", "a abc"},
        {"[ab]", "a b", "c ab"},
        {"[a-cx]1", "b1 x1", "d1 b2"},
        {"[!a-c]", "d -", "a"},
        {"[^a]", "b", "a"},
        {"[]a]", "] a", "b"},
        {"[a-]", "a -", "b"},
        {"[\xC3\xA0-\xC3\xBF]", "\xC3\xA9", "a"},
        {"[a", "[a", "a"},
        {"\\*", "*", "a \\*"},
        {"a.**", "a. a.b", "a"},
        {"**********************x", "x yx", "y"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int want = 0; want < 2; want++) {
            char name[32];
            for (const char *s = want ? cases[i].matches : cases[i].others; *s != 0;) {
                size_t n = strcspn(s, " ");
                snprintf(name, sizeof name, "%.*s", (int)n, s);
                if (pattern_matches(cases[i].pattern, strlen(cases[i].pattern), name) != (want == 1))
                    fail_msg("%s and %s", cases[i].pattern, name);
                s += n + (s[n] == ' ');
            }
        }
    }
}

/* Patterns in the middle of a path, slashes as written. */
static void patterns_of_paths(void **state) {
    (void)state;
    const char **paths;
    size_t n;
    Err e;
    ASSERT_OK(make_folders(in_folder("x1/in"), &e), e);
    ASSERT_OK(make_folders(in_folder("x2/in"), &e), e);
    put("x1/in/b", "");
    put("x2/in/a", "");
    put("x2/in/b", "");
    put("x3", "");
    ASSERT_OK(pattern_paths(arena, in_folder("x*//in/[ab]"), &paths, &n, &e), e);
    assert_int_equal(n, 3);
    assert_string_equal(paths[0], in_folder("x1//in/b"));
    assert_string_equal(paths[1], in_folder("x2//in/a"));
    assert_string_equal(paths[2], in_folder("x2//in/b"));
    ASSERT_OK(pattern_paths(arena, in_folder("x?/in/a"), &paths, &n, &e), e);
    assert_int_equal(n, 1);
    ASSERT_OK(pattern_paths(arena, in_folder("*/*/*/*/*"), &paths, &n, &e), e);
    assert_int_equal(n, 0);
}

static void folders_and_patterns(void **state) {
    (void)state;
    DataFiles f;
    Buf gz = {.arena = arena};
    Err e = {0};
    add_gzip(&gz, "{}\n");
    ASSERT_FAILS(data_files(arena, folder, &f, &e), e, ERR_IO, "no data file is in the folder (it is empty)");
    put("README.md", "# rows\n");
    ASSERT_FAILS(data_files(arena, folder, &f, &e), e, ERR_IO, "(there are: README.md)");
    put("b.txt", "{}\n");
    put("a.json", " \n [{}]");
    put("c", "");
    put(".hidden", "{}");
    put("[x]", "{}");
    write_buf("B.gz", &gz);
    ASSERT_OK(make_folders(in_folder("deeper"), &e), e);
    ASSERT_OK(data_files(arena, folder, &f, &e), e);
    assert_string_equal(names_of(&f), "B.gz [x] a.json b.txt c");
    assert_string_equal(f.left_out, "README.md, deeper");
    ASSERT_OK(data_files(arena, in_folder("*.*"), &f, &e), e);
    assert_string_equal(names_of(&f), "B.gz README.md a.json b.txt");
    assert_null(f.left_out);
    ASSERT_OK(data_files(arena, in_folder("[ab]*"), &f, &e), e);
    assert_string_equal(names_of(&f), "a.json b.txt");
    ASSERT_OK(data_files(arena, in_folder("[x]"), &f, &e), e); /* there is a file of that name */
    assert_string_equal(names_of(&f), "[x]");
    ASSERT_FAILS(data_files(arena, in_folder("*.jsonl"), &f, &e), e, ERR_IO, "no file matches this pattern");
    ASSERT_FAILS(data_files(arena, in_folder("deep*"), &f, &e), e, ERR_IO, "folders only");
    ASSERT_OK(data_files(arena, in_folder("none"), &f, &e), e); /* opening it says that it is not there */
    assert_int_equal(f.n, 1);
}

/* Each file is a source of its own; places name the file, and the element in an array. */
static void datasets_of_folders(void **state) {
    (void)state;
    Buf gz = {.arena = arena}, text = {.arena = arena};
    Dataset d;
    Err e = {0};
    char place[256];
    add_gzip(&gz, "\n{\"input_ids\": [1, 2], \"labels\": [1, 2]}\n");
    put("b.json", "[{\"input_ids\": [3, 4], \"labels\": [3, 4]},\n{\"input_ids\": [5, 6, 7], \"labels\": [5, 6, 7]}]");
    put("c.txt", "nothing");
    write_buf("a.gz", &gz);
    DataSource sources[] = {{.path = in_folder("b.*")}, {.path = folder, .type = "tokens"}};
    DataContext context = {.vocab = 100};
    ASSERT_OK(dataset_load(arena, sources, 2, &context, &d, &e), e);
    assert_int_equal(d.n_sources, 3);
    assert_int_equal(d.n_rows, 5);
    assert_string_equal(d.paths[0], in_folder("b.json"));
    assert_string_equal(d.paths[1], in_folder("a.gz"));
    assert_non_null(strstr(dataset_place(&d, &d.rows[1], place, sizeof place), "b.json:2: element 2"));
    assert_non_null(strstr(dataset_place(&d, &d.rows[2], place, sizeof place), "a.gz:2"));
    assert_non_null(strstr(dataset_place(&d, &d.rows[4], place, sizeof place), "b.json:2: element 2"));
    assert_int_equal(dataset_element(&d, &d.rows[2]), 0);
    ASSERT_OK(dataset_print_ledger(&d, &text, &e), e);
    assert_non_null(strstr(text.data, "a.gz (tokens): 1 rows, 2 tokens read"));
    assert_non_null(strstr(text.data, "no data, left out: "));
    assert_non_null(strstr(text.data, ": c.txt\n"));
    ASSERT_FAILS(dataset_limit(&d, &(LengthLimit){.max_tokens = 2, .what = "sequence_len"}, &e), e, ERR_DATA,
                 "b.json:2: element 2");
    put("c.txt", "{\"input_ids\": [1, 2], \"labels\": [1]}\n");
    ASSERT_FAILS(dataset_load(arena, sources, 2, &context, &d, &e), e, ERR_DATA, "c.txt:1: 2 input ids but 1 labels");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(compressed_is_as_plain, setup, teardown),
        cmocka_unit_test_setup_teardown(several_members, setup, teardown),
        cmocka_unit_test_setup_teardown(damage_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(long_lines, setup, teardown),
        cmocka_unit_test_setup_teardown(patterns, setup, teardown),
        cmocka_unit_test_setup_teardown(patterns_of_paths, setup, teardown),
        cmocka_unit_test_setup_teardown(folders_and_patterns, setup, teardown),
        cmocka_unit_test_setup_teardown(datasets_of_folders, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
