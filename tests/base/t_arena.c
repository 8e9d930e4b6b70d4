/* t_arena.c: arenas, growing buffers and error texts. */
#include "tests/support/support.h"

#include "base/buf.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static bool is_zero(const uint8_t *p, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (p[i] != 0) return false;
    }
    return true;
}

static void aligned_and_zero(void **state) {
    (void)state;
    Arena *a = support_arena();
    Err e;
    uint8_t *p, *last = NULL;
    static const size_t SIZES[] = {0, 1, 63, 64, 65, 4096, 70000, 1 << 20, 40000000, 3};
    for (size_t i = 0; i < sizeof SIZES / sizeof SIZES[0]; i++) {
        ASSERT_OK(arena_alloc(a, SIZES[i], 1, &p, &e), e);
        assert_int_equal((uintptr_t)p % ARENA_ALIGN, 0);
        assert_ptr_not_equal(p, last);
        assert_true(is_zero(p, SIZES[i]));
        memset(p, 0xAB, SIZES[i]);
        last = p;
    }
    arena_close(a);
    arena_close(NULL);
}

/* Under AddressSanitizer exactly the bytes asked for may be touched. */
static void guarded(void **state) {
    (void)state;
#if defined(__SANITIZE_ADDRESS__)
    Arena *a = support_arena();
    Err e;
    uint8_t *p, *items = NULL;
    size_t cap = 0;
    ArenaMark mark = arena_mark(a);
    for (int round = 0; round < 2; round++) {
        for (size_t n = 1; n < 200; n += 13) {
            ASSERT_OK(arena_alloc(a, n, 1, &p, &e), e);
            assert_null(__asan_region_is_poisoned(p, n));
            assert_true(__asan_address_is_poisoned(p + n));
        }
        arena_reset(a, mark);
    }
    ASSERT_OK(arena_alloc(a, 1000, 1, &p, &e), e);
    mark = arena_mark(a);
    for (size_t n = 1; n < 1000; n++) {
        ASSERT_OK(arena_grow(a, &items, &cap, n - 1, n, 3, &e), e);
        assert_null(__asan_region_is_poisoned(items, cap * 3));
        assert_true(__asan_address_is_poisoned(items + cap * 3));
    }
    arena_reset(a, mark);
    assert_true(__asan_address_is_poisoned(items));
    assert_null(__asan_region_is_poisoned(p, 1000));
    arena_close(a);
#else
    skip();
#endif
}

static void counted(void **state) {
    (void)state;
    Arena *a = support_arena();
    Err e;
    uint8_t *p;
    assert_int_equal(arena_used_bytes(a), 0);
    ASSERT_OK(arena_alloc(a, 10, 10, &p, &e), e);
    assert_int_equal(arena_used_bytes(a), 128);
    ArenaMark mark = arena_mark(a);
    ASSERT_OK(arena_alloc(a, 1000000, 1, &p, &e), e);
    assert_int_equal(arena_used_bytes(a), 128 + 1000000);
    arena_reset(a, mark);
    assert_int_equal(arena_used_bytes(a), 128);
    assert_int_equal(arena_peak_bytes(a), 128 + 1000000);
    arena_close(a);
}

/* Pages of a mapping that are in memory, of the bytes at p. */
static size_t resident_pages(const uint8_t *p, size_t bytes) {
    enum { MOST = 4096 };
    unsigned char map[MOST];
    size_t page = (size_t)sysconf(_SC_PAGESIZE), n = 0;
    uint8_t *first = (uint8_t *)(((uintptr_t)p + page - 1) / page * page);
    size_t pages = (size_t)(p + bytes - first) / page;
    assert_true(pages <= MOST);
    assert_int_equal(mincore(first, pages * page, map), 0);
    for (size_t i = 0; i < pages; i++) n += map[i] & 1u;
    return n;
}

/* Discarded memory is the system's, and still the owner's. */
static void discarded(void **state) {
    (void)state;
    enum { BYTES = 4 << 20 };
    Arena *a;
    Err e;
    uint8_t *p, *q;
    ASSERT_OK(arena_open_fixed(&a, "test", BYTES + 128, &e), e);
    ASSERT_OK(arena_alloc(a, BYTES, 1, &p, &e), e);
    memset(p, 7, BYTES);
    assert_true(resident_pages(p, BYTES) > 1000);
    arena_discard(a);
    assert_true(resident_pages(p, BYTES) < 10);
    assert_int_equal(arena_used_bytes(a), BYTES);
    memset(p, 9, BYTES);
    for (size_t i = 0; i < BYTES; i += 4096) assert_int_equal(p[i], 9);
    /* what is handed out after it is zero, as always */
    arena_reset(a, (ArenaMark){.block = arena_mark(a).block});
    arena_discard(a);
    ASSERT_OK(arena_alloc(a, BYTES, 1, &q, &e), e);
    for (size_t i = 0; i < BYTES; i++) assert_int_equal(q[i], 0);
    arena_close(a);
}

static void note_undone(void *what) {
    char **at = what;
    *(*at)++ = 'x';
}

static void note_order(void *what) { (*(int *)what)++; }

/* What ends with memory is undone once, with the memory it came after. */
static void deferred(void **state) {
    (void)state;
    Arena *a;
    Err e;
    char done[8] = "", *at = done;
    int n = 0;
    ASSERT_OK(arena_open(&a, "test", &e), e);
    ASSERT_OK(arena_defer(a, note_undone, &at, &e), e);
    ArenaMark mark = arena_mark(a);
    ASSERT_OK(arena_defer(a, note_order, &n, &e), e);
    ASSERT_OK(arena_defer(a, note_order, &n, &e), e);
    arena_reset(a, mark);
    assert_int_equal(n, 2);
    assert_string_equal(done, "");
    arena_reset(a, mark);
    assert_int_equal(n, 2);
    arena_close(a);
    assert_string_equal(done, "x");
    assert_int_equal(n, 2);
}

static void overflow(void **state) {
    (void)state;
    Arena *a = support_arena();
    Err e;
    uint8_t untouched, *p = &untouched;
    static const size_t PAIRS[][2] = {{SIZE_MAX, 1},      {1, SIZE_MAX},
                                      {SIZE_MAX / 2, 3},  {(size_t)1 << 32, (size_t)1 << 32},
                                      {SIZE_MAX - 63, 1}, {SIZE_MAX - 200, 1}};
    for (size_t i = 0; i < sizeof PAIRS / sizeof PAIRS[0]; i++) {
        ASSERT_FAILS(arena_alloc(a, PAIRS[i][0], PAIRS[i][1], &p, &e), e, ERR_OOM, "arena 'test'");
        assert_ptr_equal(p, &untouched);
    }
    ASSERT_FAILS(arena_alloc(a, (size_t)1 << 60, 1, &p, &e), e, ERR_OOM, "out of memory: the system gave no");
    assert_int_equal(arena_used_bytes(a), 0);
    size_t cap = 0;
    uint64_t *items = NULL;
    ASSERT_FAILS(arena_grow(a, &items, &cap, 0, SIZE_MAX / 2 + 2, 1, &e), e, ERR_OOM, "overflows");
    ASSERT_FAILS(arena_grow(a, &items, &cap, 0, SIZE_MAX / 16, 64, &e), e, ERR_OOM, "overflow");
    assert_true(items == NULL && cap == 0);
    char *s;
    ASSERT_FAILS(arena_strndup(a, "", SIZE_MAX, &s, &e), e, ERR_OOM, "overflow");
    ASSERT_OK(arena_alloc(a, SIZE_MAX, 0, &p, &e), e);
    arena_close(a);
}

static void fixed(void **state) {
    (void)state;
    Arena *a;
    Err e;
    uint8_t *p, *q = NULL;
    ASSERT_OK(arena_open_fixed(&a, "small", 256, &e), e);
    ASSERT_OK(arena_alloc(a, 1, 1, &p, &e), e);
    ASSERT_FAILS(arena_alloc(a, 193, 1, &q, &e), e, ERR_OOM, "arena 'small' holds 256 bytes and has no room for 256");
    assert_null(q);
    ASSERT_OK(arena_alloc(a, 192, 1, &q, &e), e);
    ASSERT_FAILS(arena_alloc(a, 0, 1, &p, &e), e, ERR_OOM, "no room");
    arena_close(a);
    ASSERT_OK(arena_open_fixed(&a, "empty", 0, &e), e);
    ASSERT_FAILS(arena_alloc(a, 1, 1, &p, &e), e, ERR_OOM, "arena 'empty' holds 0 bytes");
    arena_close(a);
    ASSERT_FAILS(arena_open_fixed(&a, "huge", SIZE_MAX - 10, &e), e, ERR_OOM, "arena 'huge'");
    ASSERT_FAILS(arena_open_fixed(&a, "huge", (size_t)1 << 60, &e), e, ERR_OOM, "arena 'huge'");
}

/* Memory given back is zero when it is handed out again, in any split, and only then. */
static void mark_and_reset(void **state) {
    (void)state;
    Arena *a;
    Err e;
    uint8_t *keep, *p;
    ASSERT_OK(arena_open_fixed(&a, "marks", 1 << 16, &e), e);
    ASSERT_OK(arena_alloc(a, 100, 1, &keep, &e), e);
    memset(keep, 7, 100);
    ArenaMark mark = arena_mark(a);
    uint64_t bits = 1;
    for (int round = 0; round < 50; round++) {
        size_t total = 0;
        for (;;) {
            bits = bits * 6364136223846793005u + 1442695040888963407u;
            size_t n = (size_t)(bits >> 50) % 3000 + 1;
            if (arena_alloc(a, n, 1, &p, &e) != OK) break;
            assert_true(is_zero(p, n));
            memset(p, 0xFF, n);
            total += n;
        }
        assert_true(total > 1 << 15);
        arena_reset(a, mark);
        assert_int_equal(arena_used_bytes(a), 128);
    }
    for (int i = 0; i < 100; i++) assert_int_equal(keep[i], 7);
    arena_close(a);
    a = support_arena();
    ArenaMark empty = arena_mark(a);
    for (int i = 0; i < 5; i++) ASSERT_OK(arena_alloc(a, 100000, 1, &p, &e), e);
    arena_reset(a, empty);
    assert_int_equal(arena_used_bytes(a), 0);
    ASSERT_OK(arena_alloc(a, 10, 1, &p, &e), e);
    arena_close(a);
}

static void grow(void **state) {
    (void)state;
    Arena *a = support_arena();
    Err e;
    uint32_t *items = NULL;
    size_t cap = 0;
    uint8_t *first, *other;
    ASSERT_OK(arena_grow(a, &items, &cap, 0, 1, sizeof *items, &e), e);
    assert_int_equal(cap, 8);
    items[0] = 1;
    uint32_t *before = items;
    ASSERT_OK(arena_grow(a, &items, &cap, 1, 1000, sizeof *items, &e), e);
    assert_ptr_equal(items, before); /* the newest grows in place */
    assert_int_equal(cap, 1024);
    for (uint32_t i = 0; i < 1024; i++) items[i] = i;
    ASSERT_OK(arena_alloc(a, 1, 1, &other, &e), e);
    ASSERT_OK(arena_grow(a, &items, &cap, 1024, 1025, sizeof *items, &e), e);
    assert_ptr_not_equal(items, before);
    for (uint32_t i = 0; i < 2048; i++) assert_int_equal(items[i], i < 1024 ? i : 0);
    /* small elements: a growth within the padding takes no new slot */
    uint8_t *bytes = NULL;
    cap = 0;
    ASSERT_OK(arena_grow(a, &bytes, &cap, 0, 8, 1, &e), e);
    first = bytes;
    size_t used = arena_used_bytes(a);
    for (size_t n = 0; n < 64; n++) {
        ASSERT_OK(arena_grow(a, &bytes, &cap, n, n + 1, 1, &e), e);
        bytes[n] = (uint8_t)n;
    }
    assert_int_equal(arena_used_bytes(a), used);
    ASSERT_OK(arena_grow(a, &bytes, &cap, 64, 500, 1, &e), e);
    assert_ptr_equal(bytes, first);
    for (size_t n = 0; n < 512; n++) assert_int_equal(bytes[n], n < 64 ? n : 0);
    arena_close(a);
}

static void texts(void **state) {
    (void)state;
    Arena *a = support_arena();
    Err e;
    char *s;
    ASSERT_OK(arena_strdup(a, "abc", &s, &e), e);
    assert_string_equal(s, "abc");
    ASSERT_OK(arena_strndup(a, "abcdef", 2, &s, &e), e);
    assert_string_equal(s, "ab");
    ASSERT_OK(arena_printf(a, &s, &e, "%d-%s-%0500d", 7, "x", 1), e);
    assert_int_equal(strlen(s), 504);
    Buf b = {.arena = a};
    for (int i = 0; i < 1000; i++) {
        ASSERT_OK(buf_printf(&b, &e, "%03d", i), e);
        ASSERT_OK(buf_putc(&b, ',', &e), e);
        ASSERT_OK(buf_puts(&b, i % 2 == 0 ? "" : "x", &e), e);
    }
    assert_int_equal(b.len, 4500);
    assert_int_equal(strlen(b.data), b.len);
    assert_memory_equal(b.data, "000,001,x002,003,x", 18);
    ASSERT_OK(buf_add(&b, "\0z", 2, &e), e);
    assert_int_equal(b.len, 4502);
    size_t cap = b.cap;
    buf_clear(&b);
    assert_true(b.len == 0 && b.cap == cap && b.data[0] == 0);
    ASSERT_FAILS(buf_add(&b, "", SIZE_MAX, &e), e, ERR_OOM, "overflows");
    Buf never = {.arena = a};
    buf_clear(&never);
    ASSERT_OK(buf_add(&never, NULL, 0, &e), e);
    assert_string_equal(never.data, "");
    arena_close(a);
}

static void errors(void **state) {
    (void)state;
    Err e;
    char longest[3 * ERR_MESSAGE_BYTES];
    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = 0;
    assert_int_equal(err_set(&e, ERR_IO, "f.c", 3, "a\nb\r%s\x1b[2J", "c\t"), ERR_IO);
    assert_string_equal(e.message, "a b c  [2J");
    assert_int_equal(err_prefix(&e, ERR_OOM, "%s:%d", "file\n", 4), ERR_IO);
    assert_string_equal(e.message, "file :4: a b c  [2J");
    err_set(&e, ERR_IO, "f.c", 3, "%s", longest);
    assert_int_equal(strlen(e.message), ERR_MESSAGE_BYTES - 1);
    err_prefix(&e, ERR_IO, "p");
    assert_int_equal(strlen(e.message), ERR_MESSAGE_BYTES - 1);
    assert_memory_equal(e.message, "p: xxx", 6);
    err_prefix(&e, ERR_IO, "%s", longest);
    assert_int_equal(strlen(e.message), ERR_MESSAGE_BYTES - 1);
    assert_int_equal(err_set(NULL, ERR_DATA, "f.c", 1, "x"), ERR_DATA);
    assert_int_equal(err_prefix(NULL, ERR_DATA, "x"), ERR_DATA);
    for (int i = 0; i < STATUS_COUNT; i++) assert_true(strlen(status_text((Status)i)) > 1);
    assert_string_equal(status_text(STATUS_COUNT), "unknown status");
}

/* What a bug does: the process aborts with a line on stderr. Runs in a child. */
static void bugs_abort(void **state) {
    (void)state;
    for (int i = 0; i < 3; i++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            Arena *a, *b;
            uint8_t *p;
            signal(SIGABRT, SIG_DFL);
            if (freopen("/dev/null", "w", stderr) == NULL || arena_open(&a, "a", NULL) != OK ||
                arena_open(&b, "b", NULL) != OK || arena_alloc(a, 1, 1, &p, NULL) != OK ||
                arena_alloc(b, 1, 1, &p, NULL) != OK)
                _exit(1);
            arena_freeze(a, true);
            arena_freeze(a, false);
            if (i == 0) arena_reset(a, arena_mark(b));
            arena_freeze(a, true);
            if (i == 1) arena_alloc(a, 1, 1, &p, NULL);
            size_t cap = 0;
            if (i == 2) arena_grow(a, &p, &cap, 0, 1, 1, NULL);
            _exit(0);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(aligned_and_zero),
        cmocka_unit_test(guarded),
        cmocka_unit_test(counted),
        cmocka_unit_test(discarded),
        cmocka_unit_test(deferred),
        cmocka_unit_test(overflow),
        cmocka_unit_test(fixed),
        cmocka_unit_test(mark_and_reset),
        cmocka_unit_test(grow),
        cmocka_unit_test(texts),
        cmocka_unit_test(errors),
        cmocka_unit_test(bugs_abort),
    };
    return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
