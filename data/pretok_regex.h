/* pretok_regex.h: pre-tokenizer regexes over classes of characters.
 *
 * PCRE2 knows an older Unicode than Hugging Face's regex engine. So a regex is parsed here: its characters and character
 * classes become sets of code points (from our own table), all sets of a tokenizer together divide the code points into
 * at most 255 kinds that no set tells apart, and PCRE2 gets the regex rewritten over one byte per character: its kind.
 * Matching is then plain 8-bit work with exact classes. The syntax is the part of Oniguruma's that pre-tokenizers use:
 *   literals, escapes, . [...] [^...] \s \S \d \D \w \W \p{Category} \P{} \p{^}, (...) (?:) (?i:) (?-i:) (?=) (?!) (?>)
 *   (?<=) (?<!), | * + ? {n,m}, lazy and possessive marks, $ (before a newline or at the end)
 * Everything else (scripts, back references, other anchors, class intersections, case folding of non-ASCII) is refused by
 * name. Captures are not kept. */
#ifndef LORAC_DATA_PRETOK_REGEX_H
#define LORAC_DATA_PRETOK_REGEX_H

#include "base/buf.h"
#include "data/pretok_set.h"

enum {
    REGEX_SETS_MAX = 64,
    REGEX_KINDS_MAX = 255,
    REGEX_PATTERN_MAX = 1 << 14,
    REGEX_REPEAT_MAX = 1000,
    REGEX_DEPTH_MAX = 32
};

/* One element of a parsed regex: a byte of syntax for PCRE2, or (set >= 0) a character out of a set. */
typedef struct RegexItem {
    int16_t set;
    char raw;
} RegexItem;

typedef struct Regex {
    RegexItem *items;
    size_t n, cap;
} Regex;

/* The sets of all regexes of one tokenizer, each once. */
typedef struct RegexSets {
    CharSet sets[REGEX_SETS_MAX];
    int n;
} RegexSets;

/* Parses a pattern (UTF-8) and adds its sets. ERR_FORMAT names the pattern and the offending part. */
Status regex_parse(Arena *a, const char *pattern, size_t len, RegexSets *sets, Regex *out, Err *e);
/* A regex for the text itself. */
Status regex_literal(Arena *a, const char *text, size_t len, RegexSets *sets, Regex *out, Err *e);
/* A regex for one character with a bit of unicode.h (UNICODE_NUMERIC), or a run of them. */
Status regex_class(Arena *a, unsigned bits, bool run, RegexSets *sets, Regex *out, Err *e);

/* The kind of every code point: kinds[blocks[cp >> 8]][cp & 255]. */
typedef struct KindMap {
    uint16_t blocks[0x1100];
    uint8_t (*kinds)[256];
    size_t n_blocks, cap;
    int n_kinds;
    uint64_t members[REGEX_KINDS_MAX + 1]; /* by kind: bit s: in set s */
} KindMap;

/* ERR_FORMAT when the sets tell more than REGEX_KINDS_MAX kinds apart. */
Status kinds_build(Arena *a, const RegexSets *sets, KindMap *out, Err *e);
/* The regex as a PCRE2 pattern over kinds. */
Status regex_emit(const Regex *r, const KindMap *kinds, Buf *out, Err *e);

static inline uint8_t kind_of(const KindMap *k, uint32_t cp) { return k->kinds[k->blocks[cp >> 8]][cp & 255]; }

#endif
