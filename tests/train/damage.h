/* damage.h: what the tests of damaged tokenizer files share: load a file, use what opened, judge the error. */
#ifndef LORAC_TESTS_TRAIN_DAMAGE_H
#define LORAC_TESTS_TRAIN_DAMAGE_H

#include "tests/support/support.h"

#include "train/tokenizer_load.h"

#include <stdio.h>
#include <string.h>

/* What a damaged file of a few kilobytes may make the arena hold: ids may have holes, but not without bound. */
enum { DAMAGE_BYTES_MAX = 32 << 20 };

typedef struct Damage {
    Arena *arena;
    char *folder, *path; /* of the file that is damaged */
    int64_t opened, refused;
} Damage;

/* path is folder/name. The folder is new; damage_end removes it. */
static inline void damage_begin(Damage *d, const char *name) {
    *d = (Damage){.arena = support_arena()};
    d->folder = support_folder(d->arena);
    d->path = support_path(d->arena, d->folder, name);
}

static inline void damage_end(Damage *d) {
    Err e;
    ASSERT_OK(remove_tree(d->folder, &e), e);
    arena_close(d->arena);
}

/* A tokenizer that opened must be usable: any text gives ids or an error, and ids below its size give text. */
static inline void damage_use(Arena *a, const Tokenizer *t) {
    static const char TEXT[] = " abc  cab\xC3\xA9<s>a</s> 12 \xF0\x9F\x98\x80\n\naaaaaaaabbbbbbbb \xE2\x96\x81 d<0x41>";
    int32_t *ids = NULL, all[64];
    size_t n = 0, len = 0;
    char *text = NULL;
    Err e = {0};
    for (unsigned flags = 0; flags < 8; flags++) {
        unsigned bos = flags & 4 ? TOKENIZER_CONTINUATION : TOKENIZER_BOS;
        if (tokenizer_encode(t, a, TEXT, sizeof TEXT - 1, (flags & 3) | bos, &ids, &n, &e) != OK) continue;
        for (size_t i = 0; i < n; i++) assert_in_range(ids[i], 0, TOKENIZER_TOKENS_MAX);
        (void)tokenizer_decode(t, a, ids, n, false, &text, &len, &e);
    }
    for (int32_t i = 0; i < 64; i++) all[i] = i - 2;
    if (tokenizer_decode(t, a, all, 64, true, &text, &len, &e) == OK) assert_true(len < 1 << 24);
}

/* Loads model_path. OK, or one line of error with the name of a file in the folder. `what` is shown when it is neither. */
static inline Status damage_load(Damage *d, const char *model_path, const char *what, Err *e) {
    Tokenizer *t = NULL;
    Arena *a = support_arena();
    *e = (Err){0};
    Status st = tokenizer_load(a, model_path, &t, e);
    if (st == OK) {
        damage_use(a, t);
        tokenizer_close(t);
    } else {
        const char *newline = strchr(e->message, '\n');
        if (strstr(e->message, d->folder) == NULL || newline != NULL || (st != ERR_FORMAT && st != ERR_IO))
            fail_msg("%s: no error of a file: %s", what, e->message);
    }
    if (arena_peak_bytes(a) > DAMAGE_BYTES_MAX) fail_msg("%s: takes %zu bytes", what, arena_peak_bytes(a));
    d->opened += st == OK;
    d->refused += st != OK;
    arena_close(a);
    return st;
}

/* A new file each time: ext4 waits for the disk when a file is truncated and written again. */
static inline void damage_write(const Damage *d, const void *bytes, size_t len) {
    (void)remove(d->path);
    support_write(d->path, bytes, len);
}

/* Writes bytes to the damaged file and loads it. */
static inline Status damage_try(Damage *d, const void *bytes, size_t len, const char *what, Err *e) {
    damage_write(d, bytes, len);
    return damage_load(d, d->path, what, e);
}

/* The bytes must give an error that says `part` (NULL: must open). */
static inline void damage_expect(Damage *d, const void *bytes, size_t len, const char *what, const char *part) {
    Err e;
    Status st = damage_try(d, bytes, len, what, &e);
    if (part == NULL && st != OK) fail_msg("%s: %s", what, e.message);
    if (part != NULL && st == OK) fail_msg("opened, expected an error with '%s': %.600s", part, what);
    if (part != NULL && strstr(e.message, part) == NULL) fail_msg("no '%s' in: %s", part, e.message);
}

/* Every prefix, and every byte changed in a few ways. */
static inline void damage_bytes(Damage *d, const char *bytes, size_t len, size_t stride) {
    static const unsigned char FLIPS[] = {0x01, 0x20, 0x80, 0xFF};
    char what[64], *copy = NULL;
    Err e;
    ArenaMark mark = arena_mark(d->arena);
    ASSERT_OK(ARENA_NEW(d->arena, len, copy, &e), e);
    for (size_t at = 0; at < len; at += stride) {
        snprintf(what, sizeof what, "cut to %zu bytes", at);
        damage_try(d, bytes, at, what, &e);
        for (size_t k = 0; k < sizeof FLIPS; k++) {
            memcpy(copy, bytes, len);
            copy[at] = (char)(copy[at] ^ FLIPS[k]);
            snprintf(what, sizeof what, "byte %zu ^ %02x", at, FLIPS[k]);
            damage_try(d, copy, len, what, &e);
        }
    }
    arena_reset(d->arena, mark);
}

#endif
