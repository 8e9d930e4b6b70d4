/* driver.c: runs a fuzz target without libFuzzer: the seeds, then mutations of them that depend on -s and -n alone.
 *
 * Usage: TARGET [-n MUTATIONS] [-s SEED] [-d DICTIONARY] [-o FOLDER] FILE_OR_FOLDER...
 * The inputs run in a child process that shares the current one with its parent, so that however it ends (signal,
 * sanitizer, CHECK, more than HANG_SECONDS on one input) the parent saves that input as FOLDER/crash-TARGET, says so and
 * exits with 1. To see a crash again: TARGET FOLDER/crash-TARGET. */
#include "tests/fuzz/fuzz.h"

#include "base/file.h"
#include "base/rng.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HANG_SECONDS = 60, CHANGES_MAX = 6, FILES_MAX_BYTES = 1 << 24 };

typedef struct Shared {
    uint64_t runs; /* begun */
    bool done;
    size_t size;
    char origin[512]; /* the seed's path */
    uint8_t bytes[FUZZ_INPUT_MAX];
} Shared;

typedef struct Item {
    const char *path;
    const uint8_t *data;
    size_t size;
} Item;

typedef struct Driver {
    Arena *arena;
    Item *seeds, *words;
    size_t n_seeds, cap_seeds, n_words, cap_words;
    uint64_t seed, mutations;
    const char *out;
    Shared *shared;
    Philox draw; /* of the current mutation: 4 numbers at a time */
    uint64_t at, used;
} Driver;

/* ---- seeds and dictionary -------------------------------------------------------------------------------------------- */

static void add(Arena *a, Item **items, size_t *n, size_t *cap, Item item) {
    CHECK(arena_grow(a, items, cap, *n, *n + 1, sizeof item, NULL) == OK, "no memory");
    (*items)[(*n)++] = item;
}

static bool add_path(Driver *d, const char *path, Err *e) {
    char **names, *inside, *data;
    size_t n, size;
    if (path_is_folder(path)) {
        if (list_folder(d->arena, path, &names, &n, e) != OK) return false;
        for (size_t i = 0; i < n; i++) {
            if (path_join(d->arena, path, names[i], &inside, e) != OK || !add_path(d, inside, e)) return false;
        }
        return true;
    }
    if (file_read(d->arena, path, FUZZ_INPUT_MAX, &data, &size, e) != OK) return false;
    add(d->arena, &d->seeds, &d->n_seeds, &d->cap_seeds, (Item){path, (const uint8_t *)data, size});
    return true;
}

static int hex_digit(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* A line of libFuzzer's dictionaries: name="text", with \\, \" and \xHH; false where it is none. */
static bool add_word(Driver *d, const char *line) {
    const char *p = strchr(line, '"');
    char *word;
    size_t n = 0;
    if (p == NULL) return false;
    CHECK(ARENA_NEW(d->arena, strlen(p), word, NULL) == OK, "no memory");
    for (p++; *p != 0 && *p != '"'; p++) {
        if (*p == '\\' && p[1] == 'x' && hex_digit(p[2]) >= 0 && hex_digit(p[3]) >= 0) {
            word[n++] = (char)(hex_digit(p[2]) * 16 + hex_digit(p[3]));
            p += 3;
        } else if (*p == '\\' && p[1] != 0) {
            word[n++] = *++p;
        } else {
            word[n++] = *p;
        }
    }
    if (*p != '"' || n == 0) return false;
    add(d->arena, &d->words, &d->n_words, &d->cap_words, (Item){line, (const uint8_t *)word, n});
    return true;
}

static bool read_dictionary(Driver *d, const char *path, Err *e) {
    char *text, *rest;
    size_t size;
    if (file_read(d->arena, path, FILES_MAX_BYTES, &text, &size, e) != OK) return false;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        if (line[0] == '#') continue;
        if (!add_word(d, line)) {
            fprintf(stderr, "%s: this is no word of a dictionary: %s\n", path, line);
            return false;
        }
    }
    return true;
}

/* ---- mutations ------------------------------------------------------------------------------------------------------- */

/* A number below n (n > 0). */
static size_t draw(Driver *d, size_t n) {
    if (d->used % 4 == 0) d->draw = philox4x32(d->seed, d->at, d->used / 4);
    return (size_t)d->draw.v[d->used++ % 4] % n;
}

/* Replaces `gone` bytes at `at` by n new ones, as far as there is room. */
static void replace(Shared *s, size_t at, size_t gone, const uint8_t *bytes, size_t n) {
    if (n > FUZZ_INPUT_MAX - (s->size - gone)) n = FUZZ_INPUT_MAX - (s->size - gone);
    memmove(s->bytes + at + n, s->bytes + at + gone, s->size - at - gone);
    if (n > 0) memcpy(s->bytes + at, bytes, n);
    s->size = s->size - gone + n;
}

static void set_number(Driver *d, Shared *s, size_t at) {
    static const uint64_t VALUES[] = {0,
                                      1,
                                      2,
                                      0x7f,
                                      0xff,
                                      0x100,
                                      0x7fff,
                                      0xffff,
                                      0x7fffffff,
                                      0x80000000,
                                      0xffffffff,
                                      0x7fffffffffffffff,
                                      0x8000000000000000,
                                      0xffffffffffffffff};
    uint64_t v = VALUES[draw(d, sizeof VALUES / sizeof VALUES[0])];
    size_t bytes = (size_t)1 << draw(d, 4);
    for (size_t i = 0; i < bytes && at + i < s->size; i++) s->bytes[at + i] = (uint8_t)(v >> 8 * i);
}

static void change(Driver *d) {
    Shared *s = d->shared;
    size_t at = s->size > 0 ? draw(d, s->size) : 0, left = s->size - at;
    size_t some = left > 0 ? 1 + draw(d, left < 32 ? left : 32) : 0;
    const Item *other = &d->seeds[draw(d, d->n_seeds)];
    const Item *word = d->n_words > 0 ? &d->words[draw(d, d->n_words)] : other;
    uint8_t random[4], copy[32];
    for (int i = 0; i < 4; i++) random[i] = (uint8_t)draw(d, 256);
    switch (draw(d, 10)) {
    case 0:
        if (left > 0) s->bytes[at] ^= (uint8_t)(1u << draw(d, 8));
        break;
    case 1:
        if (left > 0) s->bytes[at] = random[0];
        break;
    case 2:
        set_number(d, s, at);
        break;
    case 3: /* the end is cut off */
        s->size = at;
        break;
    case 4:
        replace(s, at, some, NULL, 0);
        break;
    case 5:
        replace(s, at, 0, random, 1 + draw(d, 4));
        break;
    case 6: /* doubled */
        memcpy(copy, s->bytes + at, some);
        replace(s, at, 0, copy, some);
        break;
    case 7:
        replace(s, at, 0, word->data, word->size);
        break;
    case 8:
        replace(s, at, word->size < left ? word->size : left, word->data, word->size);
        break;
    default: /* spliced: the end of another seed from some place on */
        if (other->size > 0) {
            size_t from = draw(d, other->size);
            replace(s, at, left, other->data + from, other->size - from);
        }
    }
}

/* ---- running --------------------------------------------------------------------------------------------------------- */

/* On a copy of exactly the input's size, so that AddressSanitizer sees what reads beyond it. */
static void run_one(Shared *s) {
    uint8_t *copy = malloc(s->size > 0 ? s->size : 1);
    CHECK(copy != NULL, "no memory");
    memcpy(copy, s->bytes, s->size);
    s->runs++;
    alarm(HANG_SECONDS);
    LLVMFuzzerTestOneInput(copy, s->size);
    alarm(0);
    free(copy);
}

static void take(Driver *d, const Item *seed) {
    snprintf(d->shared->origin, sizeof d->shared->origin, "%s", seed->path);
    d->shared->size = seed->size;
    if (seed->size > 0) memcpy(d->shared->bytes, seed->data, seed->size);
}

static void run_all(Driver *d) {
    for (size_t i = 0; i < d->n_seeds; i++) {
        take(d, &d->seeds[i]);
        run_one(d->shared);
    }
    for (d->at = 0; d->at < d->mutations; d->at++) {
        d->used = 0;
        take(d, &d->seeds[draw(d, d->n_seeds)]);
        for (size_t n = 1 + draw(d, CHANGES_MAX); n > 0; n--) change(d);
        run_one(d->shared);
    }
    d->shared->done = true;
}

static int report(const Driver *d, const char *target, int status) {
    const Shared *s = d->shared;
    const char *name = strrchr(target, '/') != NULL ? strrchr(target, '/') + 1 : target;
    char *path;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && s->done) {
        printf("%s: %zu seeds, %llu inputs, none failed\n", name, d->n_seeds, (unsigned long long)s->runs);
        return 0;
    }
    if (s->done) {
        fprintf(stderr, "%s: all %llu inputs passed, but the end failed (memory leaked?)\n", name,
                (unsigned long long)s->runs);
        return 1;
    }
    if (arena_printf(d->arena, &path, NULL, "%s/crash-%s", d->out, name) != OK) return 1;
    Status st = file_write_atomic(d->arena, path, s->bytes, s->size, NULL);
    bool hung = WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM;
    fprintf(stderr, "%s: input %llu (from %s) %s; %s %s\n", name, (unsigned long long)s->runs, s->origin,
            hung ? "took too long" : "crashed", st == OK ? "saved as" : "cannot be saved as", path);
    return 1;
}

int main(int argc, char **argv) {
    Driver d = {.out = "."};
    Err e = {0};
    const char *dictionary = NULL;
    int option, status = 0;
    while ((option = getopt(argc, argv, "n:s:d:o:")) != -1) {
        if (option == 'n') d.mutations = strtoull(optarg, NULL, 10);
        if (option == 's') d.seed = strtoull(optarg, NULL, 10);
        if (option == 'd') dictionary = optarg;
        if (option == 'o') d.out = optarg;
        if (option == '?') return 2;
    }
    d.shared = mmap(NULL, sizeof *d.shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(d.shared != MAP_FAILED && arena_open(&d.arena, "seeds", &e) == OK, "no memory");
    bool right = optind < argc && (dictionary == NULL || read_dictionary(&d, dictionary, &e));
    for (int i = optind; i < argc && right; i++) right = add_path(&d, argv[i], &e);
    if (!right || d.n_seeds == 0) {
        fprintf(stderr, "%s: %s\n", argv[0], e.message[0] != 0 ? e.message : "give files or folders with seeds");
        return 2;
    }
    pid_t child = fork();
    if (child == 0) {
        run_all(&d);
        arena_close(d.arena);
        return 0;
    }
    if (child < 0 || waitpid(child, &status, 0) != child) return 2;
    status = report(&d, argv[0], status);
    arena_close(d.arena);
    return status;
}
