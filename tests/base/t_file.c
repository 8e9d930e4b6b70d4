/* t_file.c: mapping, reading, writing that leaves either the old file or the new one, appending, folders and names. */
#include "tests/support/support.h"

#include "base/file.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static void assert_content(Arena *a, const char *path, const char *text) {
    Err e;
    char *got;
    size_t len;
    ASSERT_OK(file_read(a, path, 1 << 20, &got, &len, &e), e);
    assert_int_equal(len, strlen(text));
    assert_string_equal(got, text);
}

static size_t entries(Arena *a, const char *dir) {
    Err e;
    char **names;
    size_t n;
    ASSERT_OK(list_folder(a, dir, &names, &n, &e), e);
    return n;
}

/* Limits the size of files this process writes. The limit is soft, so that it can be lifted again. */
static void limit_files(rlim_t bytes) {
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes == RLIM_INFINITY ? limit.rlim_max : bytes;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void reading(void **state) {
    (void)state;
    Arena *a = support_arena();
    Err e;
    FileMap m;
    char *dir = support_folder(a), *path = support_path(a, dir, "x"), *text;
    size_t len;
    int files = support_open_files();
    ASSERT_FAILS(file_map(path, &m, &e), e, ERR_IO, "/x: there is no such file");
    ASSERT_FAILS(file_read(a, path, 9, &text, &len, &e), e, ERR_IO, "/x: there is no such file");
    ASSERT_FAILS(file_map(dir, &m, &e), e, ERR_IO, "is a folder, expected a file");
    ASSERT_FAILS(file_map("/dev/null", &m, &e), e, ERR_IO, "/dev/null: is a pipe or a device");
    ASSERT_FAILS(file_map(support_path(a, path, "y"), &m, &e), e, ERR_IO, "no such file");
    support_write(path, "", 0);
    ASSERT_OK(file_map(path, &m, &e), e);
    assert_true(m.data == NULL && m.size == 0);
    file_map_forget(&m, 0, 10);
    file_unmap(&m);
    ASSERT_OK(file_read(a, path, 0, &text, &len, &e), e);
    assert_true(len == 0 && text[0] == 0);
    static uint8_t big[100001];
    for (size_t i = 0; i < sizeof big; i++) big[i] = (uint8_t)(i * 31);
    support_write(path, big, sizeof big);
    ASSERT_OK(file_map(path, &m, &e), e);
    assert_int_equal(m.size, sizeof big);
    assert_string_equal(m.path, path);
    assert_memory_equal(m.data, big, sizeof big);
    file_map_forget(&m, 1, 50000);
    file_map_forget(&m, 90000, SIZE_MAX);
    file_map_forget(&m, SIZE_MAX, SIZE_MAX);
    assert_memory_equal(m.data, big, sizeof big);
    file_unmap(&m);
    file_unmap(&m);
    ASSERT_FAILS(file_read(a, path, 100000, &text, &len, &e), e, ERR_IO, "is 100001 bytes long, at most 100000");
    ASSERT_OK(file_read(a, path, 100001, &text, &len, &e), e);
    assert_memory_equal(text, big, sizeof big);
    /* a pipe without a writer must not hang */
    char *pipe = support_path(a, dir, "pipe");
    assert_int_equal(mkfifo(pipe, 0600), 0);
    ASSERT_FAILS(file_map(pipe, &m, &e), e, ERR_IO, "is a pipe");
    assert_int_equal(support_open_files(), files);
    ASSERT_OK(remove_tree(dir, &e), e);
    arena_close(a);
}

static void commit_and_abort(void **state) {
    (void)state;
    Arena *a = support_arena();
    Err e;
    AtomicFile *f;
    char *dir = support_folder(a), *path = support_path(a, dir, "x");
    int files = support_open_files();
    support_write(path, "old", 3);
    ASSERT_OK(atomic_open(a, path, &f, &e), e);
    ASSERT_OK(atomic_write(f, "....new", 7, &e), e);
    ASSERT_OK(atomic_write(f, "", 0, &e), e);
    assert_content(a, path, "old");
    ASSERT_OK(atomic_write_at(f, 0, "head", 4, &e), e);
    ASSERT_OK(atomic_write(f, "!", 1, &e), e);
    ASSERT_OK(atomic_commit(f, &e), e);
    atomic_abort(f);
    assert_content(a, path, "headnew!");
    assert_int_equal(entries(a, dir), 1);
    ASSERT_OK(atomic_open(a, path, &f, &e), e);
    ASSERT_OK(atomic_write(f, "half", 4, &e), e);
    assert_int_equal(entries(a, dir), 2);
    atomic_abort(f);
    atomic_abort(f);
    atomic_abort(NULL);
    assert_content(a, path, "headnew!");
    assert_int_equal(entries(a, dir), 1);
    size_t used = arena_used_bytes(a);
    ASSERT_OK(file_write_atomic(a, path, "third", 5, &e), e);
    assert_int_equal(arena_used_bytes(a), used);
    assert_content(a, path, "third");
    /* a link to elsewhere under the temporary name is not followed */
    char temp[4200];
    snprintf(temp, sizeof temp, "%s.tmp-%d", path, (int)getpid());
    char *victim = support_path(a, dir, "victim");
    support_write(victim, "keep", 4);
    assert_int_equal(symlink(victim, temp), 0);
    ASSERT_OK(file_write_atomic(a, path, "fourth", 6, &e), e);
    assert_content(a, victim, "keep");
    assert_content(a, path, "fourth");
    assert_int_equal(support_open_files(), files);
    ASSERT_OK(remove_tree(dir, &e), e);
    arena_close(a);
}

static void failed_writes(void **state) {
    (void)state;
    Arena *a = support_arena();
    Err e;
    AtomicFile *f = NULL;
    char *dir = support_folder(a), *path = support_path(a, dir, "x");
    static const uint8_t big[100000];
    int files = support_open_files();
    support_write(path, "old", 3);
    limit_files(50000);
    ASSERT_FAILS(file_write_atomic(a, path, big, sizeof big, &e), e, ERR_IO, "/x: the file would exceed a size limit");
    ASSERT_OK(atomic_open(a, path, &f, &e), e);
    ASSERT_OK(atomic_write(f, big, 50000, &e), e);
    ASSERT_FAILS(atomic_write(f, "x", 1, &e), e, ERR_IO, "exceed a size limit");
    atomic_abort(f);
    limit_files(RLIM_INFINITY);
    assert_content(a, path, "old");
    assert_int_equal(entries(a, dir), 1);
    ASSERT_FAILS(file_write_atomic(a, dir, "x", 1, &e), e, ERR_IO, "is a folder, a file is to be written there");
    ASSERT_FAILS(file_write_atomic(a, "/dev/null", "x", 1, &e), e, ERR_IO, "/dev/null: is a pipe or a device");
    ASSERT_FAILS(file_write_atomic(a, support_path(a, dir, "no/x"), "x", 1, &e), e, ERR_IO,
                 "no/x: cannot be created: its folder does not exist");
    ASSERT_FAILS(file_write_atomic(a, support_path(a, path, "x"), "x", 1, &e), e, ERR_IO, "x/x.tmp-");
    /* a source that shrinks while it is copied from its mapping */
    char *source = support_path(a, dir, "source");
    FileMap m;
    support_write(source, big, sizeof big);
    ASSERT_OK(file_map(source, &m, &e), e);
    assert_int_equal(truncate(source, 1), 0);
    ASSERT_FAILS(file_write_atomic(a, path, m.data + 50000, 10, &e), e, ERR_IO,
                 "was changed or truncated while in use");
    file_unmap(&m);
    /* the folder goes away before the file gets its name */
    char *gone = support_path(a, dir, "gone");
    assert_int_equal(mkdir(gone, 0700), 0);
    ASSERT_OK(atomic_open(a, support_path(a, gone, "x"), &f, &e), e);
    ASSERT_OK(remove_tree(gone, &e), e);
    ASSERT_FAILS(atomic_commit(f, &e), e, ERR_IO, "gone/x: cannot get its name");
    atomic_abort(f);
    /* a folder comes into the way: the temporary file goes */
    ASSERT_OK(atomic_open(a, gone, &f, &e), e);
    assert_int_equal(mkdir(gone, 0700), 0);
    ASSERT_FAILS(atomic_commit(f, &e), e, ERR_IO, "gone: cannot get its name");
    ASSERT_OK(remove_tree(gone, &e), e);
    assert_content(a, path, "old");
    assert_int_equal(entries(a, dir), 2);
    assert_int_equal(support_open_files(), files);
    ASSERT_OK(remove_tree(dir, &e), e);
    arena_close(a);
}

static bool is_mine(const char *name) { return strncmp(name, "mine.", 5) == 0; }

static void left_overs(void **state) {
    (void)state;
    Arena *a = support_arena();
    Err e;
    AtomicFile *f = NULL;
    char *dir = support_folder(a), *path = support_path(a, dir, "x"), own[32], alive[32];
    snprintf(own, sizeof own, "x.tmp-%d", (int)getpid());
    snprintf(alive, sizeof alive, "x.tmp-%d", (int)getppid());
    static const char *const GONE[] = {"x.tmp-2147483646", "x.tmp-2147483646-old", "x.tmp-2147483646.tmp-2147483646"};
    static const char *const KEPT[] = {"y.tmp-2147483646", "xx.tmp-2147483646", "x.tmp-", "x.tmp-0", "x.tmp-12a", "x"};
    for (size_t i = 0; i < 3; i++) support_write(support_path(a, dir, GONE[i]), "1", 1);
    for (size_t i = 0; i < 6; i++) support_write(support_path(a, dir, KEPT[i]), "1", 1);
    support_write(support_path(a, dir, own), "1", 1);
    support_write(support_path(a, dir, alive), "1", 1);
    ASSERT_OK(atomic_open(a, path, &f, &e), e);
    for (size_t i = 0; i < 3; i++) assert_false(path_exists(support_path(a, dir, GONE[i])));
    ASSERT_OK(atomic_write(f, "new", 3, &e), e);
    ASSERT_OK(atomic_commit(f, &e), e);
    assert_content(a, path, "new");
    for (size_t i = 0; i < 6; i++) assert_true(path_exists(support_path(a, dir, KEPT[i])));
    assert_true(path_exists(support_path(a, dir, alive)));
    assert_false(path_exists(support_path(a, dir, own)));
    /* what a process of this number holds elsewhere, as two containers see each other's files */
    int held = open(support_path(a, dir, own), O_WRONLY | O_CREAT | O_EXCL, 0666);
    assert_int_equal(flock(held, LOCK_EX), 0);
    ASSERT_OK(file_write_atomic(a, path, "newer", 5, &e), e);
    assert_content(a, path, "newer");
    assert_true(path_exists(support_path(a, dir, own)));
    close(held);
    /* and one that another opens at the same time is as good as the first */
    AtomicFile *g = NULL;
    ASSERT_OK(atomic_open(a, path, &f, &e), e);
    ASSERT_OK(atomic_open(a, path, &g, &e), e);
    assert_string_not_equal(atomic_temporary(f), atomic_temporary(g));
    ASSERT_OK(atomic_write(f, "one", 3, &e), e);
    ASSERT_OK(atomic_commit(f, &e), e);
    assert_content(a, path, "one");
    ASSERT_OK(atomic_write(g, "two", 3, &e), e);
    ASSERT_OK(atomic_commit(g, &e), e);
    assert_content(a, path, "two");
    assert_false(path_exists(support_path(a, dir, own)));
    /* folders, by the beginning of their name */
    ASSERT_OK(make_folders(support_path(a, dir, "c-7.tmp-2147483646/deep"), &e), e);
    remove_left_overs(dir, "c-", false);
    assert_true(path_exists(support_path(a, dir, "c-7.tmp-2147483646")));
    remove_left_overs(dir, "c-", true);
    assert_false(path_exists(support_path(a, dir, "c-7.tmp-2147483646")));
    remove_left_overs(support_path(a, dir, "none"), "x", true); /* no such folder */
    /* only what is asked for: others may call their files so, too */
    support_write(support_path(a, dir, "mine.tmp-2147483646"), "m", 1);
    support_write(support_path(a, dir, "notes.tmp-2147483646"), "n", 1);
    remove_left_overs_if(dir, is_mine);
    assert_false(path_exists(support_path(a, dir, "mine.tmp-2147483646")));
    assert_true(path_exists(support_path(a, dir, "notes.tmp-2147483646")));
    /* a temporary file that goes while it is written */
    ASSERT_OK(atomic_open(a, path, &f, &e), e);
    ASSERT_OK(remove_tree(atomic_temporary(f), &e), e);
    ASSERT_FAILS(atomic_take_over(f, &e), e, ERR_IO, "was removed by another process");
    support_write(atomic_temporary(f), "another", 7);
    ASSERT_FAILS(atomic_take_over(f, &e), e, ERR_IO, "was removed by another process");
    atomic_abort(f);
    ASSERT_OK(remove_tree(dir, &e), e);
    arena_close(a);
}

static void appending(void **state) {
    (void)state;
    Arena *a = support_arena();
    Err e;
    AppendFile f;
    char *dir = support_folder(a), *path = support_path(a, dir, "log");
    int files = support_open_files();
    ASSERT_OK(append_open(path, SIZE_MAX, &f, &e), e);
    ASSERT_OK(append_write(&f, "one\ntwo\n", 8, &e), e);
    ASSERT_OK(append_sync(&f, &e), e);
    append_close(&f);
    append_close(&f);
    ASSERT_OK(append_open(path, SIZE_MAX, &f, &e), e);
    ASSERT_OK(append_write(&f, "three\n", 6, &e), e);
    append_close(&f);
    assert_content(a, path, "one\ntwo\nthree\n");
    ASSERT_OK(append_open(path, 4, &f, &e), e);
    ASSERT_OK(append_write(&f, "2\n", 2, &e), e);
    append_close(&f);
    assert_content(a, path, "one\n2\n");
    ASSERT_OK(append_open(path, 1000, &f, &e), e);
    limit_files(9);
    ASSERT_FAILS(append_write(&f, "does not fit\n", 13, &e), e, ERR_IO, "log: the file would exceed a size limit");
    limit_files(RLIM_INFINITY);
    assert_content(a, path, "one\n2\n"); /* no half line */
    ASSERT_OK(append_write(&f, "3\n", 2, &e), e);
    append_close(&f);
    assert_content(a, path, "one\n2\n3\n");
    ASSERT_OK(append_open(path, 0, &f, &e), e);
    append_close(&f);
    assert_content(a, path, "");
    ASSERT_FAILS(append_open(dir, 0, &f, &e), e, ERR_IO, "cannot be opened for writing");
    ASSERT_OK(append_open("/dev/full", SIZE_MAX, &f, &e), e);
    ASSERT_FAILS(append_write(&f, "x", 1, &e), e, ERR_IO, "/dev/full: the disk is full");
    append_close(&f);
    assert_int_equal(support_open_files(), files);
    ASSERT_OK(remove_tree(dir, &e), e);
    arena_close(a);
}

static void names(void **state) {
    (void)state;
    Arena *a = support_arena();
    Err e;
    static const char *const JOIN[][3] = {
        {"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"/", "b", "/b"}, {"a", "/b", "/b"}, {"", "b", "b"}};
    static const char *const DIR_OF[][2] = {{"a/b", "a"}, {"/a", "/"}, {"a", "."}, {"a/b/c", "a/b"}, {"/a/b", "/a"}};
    char *s;
    for (size_t i = 0; i < sizeof JOIN / sizeof JOIN[0]; i++) {
        ASSERT_OK(path_join(a, JOIN[i][0], JOIN[i][1], &s, &e), e);
        assert_string_equal(s, JOIN[i][2]);
    }
    for (size_t i = 0; i < sizeof DIR_OF / sizeof DIR_OF[0]; i++) {
        ASSERT_OK(path_dirname(a, DIR_OF[i][0], &s, &e), e);
        assert_string_equal(s, DIR_OF[i][1]);
    }
    arena_close(a);
}

static void folders(void **state) {
    (void)state;
    Arena *a = support_arena();
    Err e;
    char *dir = support_folder(a), *deep = support_path(a, dir, "a/b//c/"), **list;
    size_t n;
    uint64_t bytes, same;
    int files = support_open_files();
    ASSERT_OK(make_folders(deep, &e), e);
    ASSERT_OK(make_folders(deep, &e), e);
    ASSERT_OK(make_folders("/", &e), e);
    assert_true(path_is_folder(deep));
    support_write(support_path(a, dir, "file"), "x", 1);
    support_write(support_path(a, deep, "Z"), "x", 1);
    support_write(support_path(a, deep, "\xC3\xA9"), "x", 1);
    support_write(support_path(a, deep, ".hidden"), "x", 1);
    support_write(support_path(a, deep, "a"), "x", 1);
    ASSERT_FAILS(make_folders(support_path(a, dir, "file"), &e), e, ERR_IO, "file: is a file, a folder is needed");
    ASSERT_FAILS(make_folders(support_path(a, dir, "file/x"), &e), e, ERR_IO, "file: is a file, a folder is needed");
    ASSERT_FAILS(make_folders("", &e), e, ERR_IO, "no usable folder name");
    ASSERT_OK(list_folder(a, deep, &list, &n, &e), e);
    assert_int_equal(n, 4);
    static const char *const SORTED[] = {".hidden", "Z", "a", "\xC3\xA9"};
    for (size_t i = 0; i < 4; i++) assert_string_equal(list[i], SORTED[i]);
    ASSERT_FAILS(list_folder(a, support_path(a, dir, "none"), &list, &n, &e), e, ERR_IO, "none: the folder cannot be");
    ASSERT_FAILS(list_folder(a, support_path(a, dir, "file"), &list, &n, &e), e, ERR_IO, "file: the folder cannot be");
    ASSERT_OK(free_bytes(dir, &bytes, &e), e);
    ASSERT_OK(free_bytes(support_path(a, dir, "not/yet/there"), &same, &e), e);
    assert_true(bytes > 0 && same > 0);
    ASSERT_OK(free_bytes("not-yet", &same, &e), e);
    ASSERT_OK(sync_folder(dir, &e), e);
    ASSERT_FAILS(sync_folder(support_path(a, dir, "none"), &e), e, ERR_IO, "none: the folder cannot be opened");
    assert_int_equal(support_open_files(), files);
    ASSERT_OK(remove_tree(dir, &e), e);
    assert_false(path_exists(dir));
    arena_close(a);
}

static void removing(void **state) {
    (void)state;
    Arena *a = support_arena();
    Err e;
    char *dir = support_folder(a), *outside = support_path(a, dir, "outside"), *tree = support_path(a, dir, "tree");
    assert_int_equal(mkdir(outside, 0700), 0);
    support_write(support_path(a, outside, "keep"), "x", 1);
    ASSERT_OK(make_folders(support_path(a, tree, "x/y"), &e), e);
    support_write(support_path(a, tree, "x/y/f"), "x", 1);
    assert_int_equal(symlink(outside, support_path(a, tree, "x/link")), 0);
    assert_int_equal(symlink("/nowhere/at/all", support_path(a, tree, "dangling")), 0);
    ASSERT_OK(remove_tree(tree, &e), e);
    assert_false(path_exists(tree));
    ASSERT_OK(remove_tree(tree, &e), e);
    char *link = support_path(a, dir, "link");
    assert_int_equal(symlink(outside, link), 0);
    ASSERT_OK(remove_tree(support_path(a, link, ""), &e), e); /* link/ */
    assert_false(path_exists(link));
    assert_true(path_exists(support_path(a, outside, "keep")));
    assert_int_equal(symlink("/nowhere/at/all", link), 0);
    assert_true(path_exists(link));
    static const char *const REFUSED[] = {"", "/", "///", ".", "..", "x/..", "x/./", "../.."};
    for (size_t i = 0; i < sizeof REFUSED / sizeof REFUSED[0]; i++)
        ASSERT_FAILS(remove_tree(REFUSED[i], &e), e, ERR_IO, "is no name of a folder that could be removed");
    char *file = support_path(a, outside, "keep");
    ASSERT_OK(remove_tree(file, &e), e);
    assert_false(path_exists(file));
    ASSERT_OK(remove_tree(dir, &e), e);
    arena_close(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reading),       cmocka_unit_test(commit_and_abort),
        cmocka_unit_test(failed_writes), cmocka_unit_test(appending),
        cmocka_unit_test(names),         cmocka_unit_test(folders),
        cmocka_unit_test(removing),      cmocka_unit_test(left_overs),
    };
    return cmocka_run_group_tests_name("file", tests, NULL, NULL);
}
