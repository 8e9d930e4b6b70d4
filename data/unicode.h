/* unicode.h: character classes and canonical composition as Hugging Face `tokenizers` 0.23 has them.
 *
 * Its parts know different versions of Unicode (data/unicode_gen.py): regexes 16.0, numeric characters 17, NFC 9. The
 * classes are kept as runs of equal value over the code points; whoever needs speed builds its own map from them. */
#ifndef LORAC_DATA_UNICODE_H
#define LORAC_DATA_UNICODE_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

enum { UNICODE_END = 0x110000 };

/* General categories, in this order in unicode_table.h. */
typedef enum UnicodeCategory {
    CATEGORY_CN,
    CATEGORY_CC,
    CATEGORY_CF,
    CATEGORY_CO,
    CATEGORY_CS,
    CATEGORY_LU,
    CATEGORY_LL,
    CATEGORY_LT,
    CATEGORY_LM,
    CATEGORY_LO,
    CATEGORY_MN,
    CATEGORY_MC,
    CATEGORY_ME,
    CATEGORY_ND,
    CATEGORY_NL,
    CATEGORY_NO,
    CATEGORY_PC,
    CATEGORY_PD,
    CATEGORY_PS,
    CATEGORY_PE,
    CATEGORY_PI,
    CATEGORY_PF,
    CATEGORY_PO,
    CATEGORY_SM,
    CATEGORY_SC,
    CATEGORY_SK,
    CATEGORY_SO,
    CATEGORY_ZS,
    CATEGORY_ZL,
    CATEGORY_ZP,
    CATEGORY_COUNT
} UnicodeCategory;

enum { UNICODE_CATEGORY = 31, UNICODE_NUMERIC = 32, UNICODE_WORD = 64, UNICODE_COMPOSES = 128 }; /* bits of a value */

/* "Lu" ...; UTF-8 names of Unicode. */
extern const char *const UNICODE_CATEGORY_NAMES[CATEGORY_COUNT];

/* The runs of equal value, ascending from 0: run i covers [first(i), first(i + 1)), the last ends at UNICODE_END. */
size_t unicode_runs(void);
uint32_t unicode_run_first(size_t i); /* UNICODE_END for i = unicode_runs() */
uint8_t unicode_run_value(size_t i);

/* The value of one code point (logarithmic time). */
uint8_t unicode_value(uint32_t cp);
/* White_Space: \s of the regexes and what lstrip and rstrip take; the 25 code points. */
bool unicode_is_space(uint32_t cp);
/* \w of the Rust regex crate: what single_word looks at. */
bool unicode_is_word(uint32_t cp);
/* Inert under the NFC of Unicode 9 but not under a newer one. */
bool unicode_is_young(uint32_t cp);

/* Appends text (valid UTF-8) in normalization form C to out. Linear time but for sorting runs of combining marks (by
 * counting: linear as well). Source: Unicode Standard Annex 15. */
Status unicode_nfc(const char *text, size_t len, Buf *out, Arena *scratch, Err *e);
/* The same test without the work: false when the text is surely its own normal form. */
bool unicode_nfc_may_change(const char *text, size_t len);

#endif
