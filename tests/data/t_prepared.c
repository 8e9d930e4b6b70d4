/* Prepared data: the same rows as from the files, found by everything they follow from, never used when damaged. */
#include "tests/data/tiny_tokenizer.h"

#include "base/h5.h"
#include "base/spool.h"
#include "data/prepared.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const TOKENS = "{\"input_ids\": [5, 6, 7], \"labels\": [5, 9, -100]}\n"
                                  "{\"input_ids\": [1, 2], \"labels\": [1, 2]}\n\n"
                                  "{\"input_ids\": [3, 4, 5, 6], \"labels\": [3, 4, 5, 8]}\n";
static const char *const PAIRS = "[{\"prompt\": \"a\", \"chosen\": \"b\", \"rejected\": \"c\"},\n"
                                 " {\"prompt\": \"d\", \"chosen\": \"e\", \"rejected\": \"f\"}]";

static char *second;
static Tokenizer *tokenizer;
static PreparedFolder prepared;
static DataContext context;
static DataSource sources[2];

static int begin(void **state) {
    setup(state);
    second = support_path(arena, folder, "pairs.json");
    write_rows(TOKENS);
    support_write(second, PAIRS, strlen(PAIRS));
    tokenizer = tiny(true, END);
    prepared = (PreparedFolder){.path = support_path(arena, folder, "a/prepared"), .write = true};
    context = (DataContext){.tokenizer = tokenizer, .vocab = N_TOKENS, .prepared = &prepared};
    sources[0] = (DataSource){.path = path, .type = "tokens"};
    sources[1] = (DataSource){.path = second};
    return 0;
}

static int end(void **state) {
    tokenizer_close(tokenizer);
    return teardown(state);
}

static void load(Dataset *d) {
    Err e;
    ASSERT_OK(dataset_load(arena, sources, 2, &context, d, &e), e);
}

static void load_plainly(Dataset *d) {
    context.prepared = NULL;
    load(d);
    context.prepared = &prepared;
}

static char *file_of(void) {
    char *out;
    Err e;
    ASSERT_OK(arena_printf(arena, &out, &e, "%s/%s.h5", prepared.path, prepared.key), e);
    return out;
}

static void assert_same_text(const char *a, const char *b) {
    assert_int_equal(a == NULL, b == NULL);
    if (a != NULL) assert_string_equal(a, b);
}

static void assert_same(const Dataset *a, const Dataset *b) {
    assert_int_equal(a->n_rows, b->n_rows);
    assert_int_equal(a->n_sources, b->n_sources);
    assert_int_equal(a->n_label_rows, b->n_label_rows);
    for (int64_t i = 0; i < a->n_rows; i++) {
        const DataRow *x = &a->rows[i], *y = &b->rows[i];
        assert_memory_equal(x, y, sizeof *x);
        size_t n = (size_t)x->length;
        assert_memory_equal(a->ids + x->start, b->ids + y->start, n * sizeof *a->ids);
        assert_memory_equal(a->trained + x->start, b->trained + y->start, n);
        assert_memory_equal(dataset_labels(a, x), dataset_labels(b, y), n * sizeof *a->ids);
    }
    for (int s = 0; s < a->n_sources; s++) {
        assert_string_equal(a->paths[s], b->paths[s]);
        assert_string_equal(a->types[s], b->types[s]);
        assert_same_text(a->found_by[s], b->found_by[s]);
        assert_int_equal(a->bare[s], b->bare[s]);
        assert_int_equal(a->first_row[s], b->first_row[s]);
        assert_memory_equal(&a->ledger[s], &b->ledger[s], sizeof a->ledger[s]);
    }
}

static void same_rows(void **state) {
    (void)state;
    Dataset plain, written, found;
    int files = support_open_files();
    load_plainly(&plain);
    assert_int_equal(plain.n_rows, 7);
    assert_int_equal(plain.rows[4].side, SIDE_REJECTED);
    load(&written);
    assert_false(prepared.found);
    load(&found);
    assert_true(prepared.found);
    assert_string_equal(prepared.damage, "");
    assert_same(&plain, &written);
    assert_same(&plain, &found);
    assert_int_equal(support_open_files(), files);
    /* who may not write uses it, too, and makes nothing */
    prepared.write = false;
    load(&found);
    assert_true(prepared.found);
    prepared.path = support_path(arena, folder, "none");
    load(&found);
    assert_false(prepared.found);
    assert_false(path_exists(prepared.path));
    assert_same(&plain, &found);
}

/* The arena gives the same bytes, found or not: the plan counts them. */
static void same_memory(void **state) {
    (void)state;
    size_t used[3], peak[3];
    for (int i = 0; i < 3; i++) {
        Arena *a;
        Err e;
        Dataset d;
        prepared.write = i != 0;
        ASSERT_OK(arena_open(&a, "rows", &e), e);
        ASSERT_OK(dataset_load(a, sources, 2, &context, &d, &e), e);
        assert_int_equal(prepared.found, i == 2);
        used[i] = arena_used_bytes(a);
        peak[i] = arena_peak_bytes(a);
        arena_close(a);
    }
    assert_int_equal(used[0], used[1]);
    assert_int_equal(used[0], used[2]);
    assert_int_equal(peak[0], peak[1]);
    assert_int_equal(peak[0], peak[2]);
}

/* Everything that rows follow from gives another file. */
static void found_by(void **state) {
    (void)state;
    char first[HASH_HEX_BYTES];
    Dataset d;
    load(&d);
    memcpy(first, prepared.key, sizeof first);
#define EXPECT_OTHER(change, back)                                                                                     \
    do {                                                                                                               \
        change;                                                                                                        \
        load(&d);                                                                                                      \
        assert_false(prepared.found);                                                                                  \
        assert_string_not_equal(prepared.key, first);                                                                  \
        load(&d);                                                                                                      \
        assert_true(prepared.found);                                                                                   \
        back;                                                                                                          \
        load(&d);                                                                                                      \
        assert_true(prepared.found);                                                                                   \
        assert_string_equal(prepared.key, first);                                                                      \
    } while (0)
    EXPECT_OTHER(context.vocab++, context.vocab--);
    EXPECT_OTHER(context.identity.lo = 1, context.identity.lo = 0);
    EXPECT_OTHER(context.identity.hi = 1, context.identity.hi = 0);
    EXPECT_OTHER(sources[1].type = "preference", sources[1].type = NULL);
    EXPECT_OTHER(sources[1].fields[FIELD_CHOSEN] = "chosen", sources[1].fields[FIELD_CHOSEN] = NULL);
    EXPECT_OTHER(sources[1].training.roles = "user", sources[1].training.roles = NULL);
    EXPECT_OTHER(sources[1].training.eos = CHAT_EOS_ALL, sources[1].training.eos = CHAT_EOS_TURN);
    EXPECT_OTHER(sources[1].training.inputs = true, sources[1].training.inputs = false);
    /* the files' bytes: one of another value, one more */
    EXPECT_OTHER(write_rows("{\"input_ids\": [5, 6, 7], \"labels\": [5, 9, -100]}\n"
                            "{\"input_ids\": [1, 3], \"labels\": [1, 2]}\n"),
                 write_rows(TOKENS));
    EXPECT_OTHER(support_write(second, PAIRS, strlen(PAIRS) - 1); FILE *f = fopen(second, "a"); fputs(" ]\n", f);
                 fclose(f), support_write(second, PAIRS, strlen(PAIRS)));
    /* and their names, which messages have */
    char *other = support_path(arena, folder, "other.json");
    support_write(other, PAIRS, strlen(PAIRS));
    EXPECT_OTHER(sources[1].path = other, sources[1].path = second);
#undef EXPECT_OTHER
}

/* A file of which any byte is another, or that ends early, is told and made anew. */
static void damage(void **state) {
    (void)state;
    Err e;
    Dataset whole, d;
    char *bytes, *again;
    size_t len, len2;
    load_plainly(&whole);
    load(&d);
    const char *file = file_of();
    ASSERT_OK(file_read(arena, file, 1 << 24, &bytes, &len, &e), e);
    for (int i = 0; i < 400; i++) {
        ArenaMark mark = arena_mark(arena);
        size_t at = (size_t)i * len / 400;
        char was = bytes[at];
        bool cut = i % 4 == 3;
        bytes[at] = (char)(was ^ (1 << i % 8));
        support_write(file, bytes, cut ? at : len);
        bytes[at] = was;
        load(&d);
        assert_false(prepared.found);
        assert_non_null(strstr(prepared.damage, ".h5: "));
        assert_same(&whole, &d);
        ASSERT_OK(file_read(arena, file, 1 << 24, &again, &len2, &e), e);
        assert_int_equal(len2, len);
        assert_memory_equal(again, bytes, len);
        arena_reset(arena, mark);
    }
}

/* What has the right sum and the wrong content, as another program may write it, is refused part by part. */
static void wrong_content(void **state) {
    (void)state;
    Err e;
    Dataset plain, d;
    H5 *h;
    load_plainly(&plain);
    load(&d);
    const char *file = file_of();
    FileMap m;
    ASSERT_OK(file_map(file, &m, &e), e);
    ASSERT_OK(h5_open_image(arena, file, m.data, m.size, &h, &e), e);
    const void *ids, *flags, *labels;
    int64_t tokens = d.rows[d.n_rows - 1].start + d.rows[d.n_rows - 1].length;
    ASSERT_OK(h5_locate(h, "ids", H5_I32, (uint64_t)tokens, &ids, &e), e);
    ASSERT_OK(h5_locate(h, "trained", H5_U8, (uint64_t)tokens, &flags, &e), e);
    ASSERT_OK(h5_locate(h, "labels", H5_I32, 7, &labels, &e), e);
    ASSERT_FAILS(h5_locate(h, "ids", H5_I32, (uint64_t)tokens - 1, &ids, &e), e, ERR_FORMAT, "'ids' is not");
    ASSERT_FAILS(h5_locate(h, "ids", H5_F32, (uint64_t)tokens, &ids, &e), e, ERR_FORMAT, "'ids' is not");
    const size_t places[] = {(size_t)((const uint8_t *)ids - m.data), (size_t)((const uint8_t *)flags - m.data) + 1,
                             (size_t)((const uint8_t *)labels - m.data) + 3};
    static const char *const WHAT[] = {"ids", "trained", "labels"};
    h5_close(h);
    char *bytes;
    ASSERT_OK(arena_strndup(arena, (const char *)m.data, m.size, &bytes, &e), e);
    size_t len = m.size;
    file_unmap(&m);
    for (int i = 0; i < 3; i++) {
        char was = bytes[places[i]], hex[HASH_HEX_BYTES];
        Dataset again;
        bytes[places[i]] = 77;
        hash_hex(hash128(bytes + 512, len - 512), hex);
        memcpy(strstr(bytes, "on: ") + 4, hex, HASH_HEX_BYTES - 1);
        support_write(file, bytes, len);
        bytes[places[i]] = was;
        load(&again);
        assert_false(prepared.found);
        assert_non_null(strstr(prepared.damage, WHAT[i]));
        assert_same(&plain, &again);
    }
}

/* Processes that prepare the same data at once. */
static void at_once(void **state) {
    (void)state;
    enum { PROCESSES = 8 };
    pid_t children[PROCESSES];
    for (int i = 0; i < PROCESSES; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            for (int k = 0; k < 20; k++) {
                Dataset d;
                Err e;
                if (i % 2 == 0) remove(file_of());
                if (dataset_load(arena, sources, 2, &context, &d, &e) != OK || d.n_rows != 7) {
                    fprintf(stderr, "%s\n", e.message);
                    _exit(1);
                }
            }
            _exit(0);
        }
    }
    /* all have ended before anything is said: the folder goes with a failed test */
    int good = 0, status;
    for (int i = 0; i < PROCESSES; i++)
        good += waitpid(children[i], &status, 0) == children[i] && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    assert_int_equal(good, PROCESSES);
    Dataset d;
    load(&d);
    assert_true(prepared.found);
}

/* The folder holds what is not lorac's, too; only what killed processes of lorac left goes. And whatever goes while it is
 * made and used: the rows are right, or what happened is told. */
static void folder_of_others(void **state) {
    (void)state;
    enum { LOADS = 60 };
    static const char *const KEPT[] = {"notes.txt.tmp-2147483646", "0123.h5.tmp-2147483646",
                                       "0123456789abcdef0123456789abcdef.txt.tmp-2147483646"};
    static const char *const GONE[] = {"0123456789abcdef0123456789abcdef.h5.tmp-2147483646",
                                       "0123456789abcdef0123456789abcdef.h5.tmp-2147483646-1",
                                       "lorac.tmp-2147483646-0"};
    Dataset d;
    Err e;
    ASSERT_OK(make_folders(prepared.path, &e), e);
    for (int i = 0; i < 3; i++) {
        support_write(support_path(arena, prepared.path, KEPT[i]), "x", 1);
        support_write(support_path(arena, prepared.path, GONE[i]), "x", 1);
    }
    load(&d);
    for (int i = 0; i < 3; i++) {
        assert_true(path_exists(support_path(arena, prepared.path, KEPT[i])));
        assert_false(path_exists(support_path(arena, prepared.path, GONE[i])));
    }
    int stop[2];
    assert_int_equal(pipe(stop), 0);
    pid_t remover = fork();
    if (remover == 0) { /* until the parent closes its end */
        char c;
        close(stop[1]);
        fcntl(stop[0], F_SETFL, O_NONBLOCK);
        while (read(stop[0], &c, 1) < 0) (void)remove_tree(prepared.path, NULL);
        _exit(0);
    }
    close(stop[0]);
    Status st[LOADS];
    int64_t rows[LOADS];
    for (int i = 0; i < LOADS; i++) {
        st[i] = dataset_load(arena, sources, 2, &context, &d, &e);
        rows[i] = d.n_rows;
    }
    close(stop[1]);
    assert_int_equal(waitpid(remover, NULL, 0), remover);
    for (int i = 0; i < LOADS; i++) assert_true(st[i] == OK ? rows[i] == 7 : st[i] == ERR_IO);
    load(&d);
    load(&d);
    assert_true(prepared.found);
}

/* Ids do not depend on the number of threads, and neither does which bad row is told. */
static void threads(void **state) {
    (void)state;
    Buf text = {.arena = arena};
    Err e;
    Dataset one, many;
    context.prepared = NULL;
    for (int i = 0; i < 500; i++)
        ASSERT_OK(buf_printf(&text, &e, "{\"input_ids\": [%d, %d, 7], \"labels\": [1, %d, %d]}\n", i % 20, i % 7,
                             i % 3 == 0 ? 9 : i % 7, i % 5),
                  e);
    write_rows(text.data);
    load(&one);
    ASSERT_OK(pool_open(&context.pool, 4, &e), e);
    load(&many);
    assert_same(&one, &many);
    ASSERT_OK(buf_puts(&text, "{\"input_ids\": [1], \"labels\": [1, 2]}\n{\"input_ids\": 1}\n", &e), e);
    write_rows(text.data);
    for (int i = 0; i < 20; i++)
        ASSERT_FAILS(dataset_load(arena, sources, 1, &context, &many, &e), e, ERR_DATA, "rows.jsonl:501: 1 input ids");
    pool_close(context.pool);
    context.pool = NULL;
}

/* Small ones stay in memory, larger ones go to a file that has no name. */
static void spools(void **state) {
    (void)state;
    Err e;
    int files = support_open_files();
    for (size_t bytes = 1; bytes < 3 * SPOOL_BUFFER_BYTES; bytes = bytes * 3 + 7) {
        Spool s;
        Mapping m;
        char **names;
        size_t n, at = 0;
        ASSERT_OK(spool_open(arena, folder, &s, &e), e);
        for (size_t step = 1; at < bytes; step = step * 2 + 1) {
            static uint8_t data[2 * SPOOL_BUFFER_BYTES];
            size_t take = step % sizeof data;
            if (take > bytes - at) take = bytes - at;
            for (size_t i = 0; i < take; i++) data[i] = (uint8_t)((at + i) * 7 % 251);
            ASSERT_OK(spool_add(&s, data, take, &e), e);
            at += take;
        }
        ASSERT_OK(list_folder(arena, folder, &names, &n, &e), e);
        assert_int_equal(n, 2); /* rows.jsonl, pairs.json */
        ASSERT_OK(spool_map(&s, &m, &e), e);
        assert_int_equal(m.bytes, bytes);
        mapping_forget(&m);
        for (size_t i = 0; i < bytes; i++) assert_int_equal(((const uint8_t *)m.data)[i], (uint8_t)(i * 7 % 251));
        mapping_close(&m);
    }
    Spool empty;
    Mapping m;
    ASSERT_OK(spool_open(arena, folder, &empty, &e), e);
    ASSERT_OK(spool_map(&empty, &m, &e), e);
    assert_null(m.data);
    mapping_close(&m);
    ASSERT_OK(spool_open(arena, support_path(arena, folder, "none"), &empty, &e), e);
    static uint8_t much[SPOOL_BUFFER_BYTES + 1];
    ASSERT_FAILS(spool_add(&empty, much, sizeof much, &e), e, ERR_IO, "no temporary file can be made there");
    spool_close(&empty);
    assert_int_equal(support_open_files(), files);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(same_rows, begin, end),
        cmocka_unit_test_setup_teardown(same_memory, begin, end),
        cmocka_unit_test_setup_teardown(found_by, begin, end),
        cmocka_unit_test_setup_teardown(damage, begin, end),
        cmocka_unit_test_setup_teardown(wrong_content, begin, end),
        cmocka_unit_test_setup_teardown(at_once, begin, end),
        cmocka_unit_test_setup_teardown(folder_of_others, begin, end),
        cmocka_unit_test_setup_teardown(threads, begin, end),
        cmocka_unit_test_setup_teardown(spools, begin, end),
    };
    return cmocka_run_group_tests_name("prepared", tests, NULL, NULL);
}
