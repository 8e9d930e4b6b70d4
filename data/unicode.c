/* unicode.c: look-ups in the generated table of character classes; see unicode.h. */
#include "data/unicode.h"

#include "data/unicode_table.h"

enum { N_RUNS = sizeof UNICODE_RUNS / sizeof UNICODE_RUNS[0] };

const char *const UNICODE_CATEGORY_NAMES[CATEGORY_COUNT] = {"Cn", "Cc", "Cf", "Co", "Cs", "Lu", "Ll", "Lt", "Lm", "Lo",
                                                            "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps", "Pe",
                                                            "Pi", "Pf", "Po", "Sm", "Sc", "Sk", "So", "Zs", "Zl", "Zp"};

size_t unicode_runs(void) { return N_RUNS; }

uint32_t unicode_run_first(size_t i) { return i < N_RUNS ? UNICODE_RUNS[i].first : UNICODE_END; }

uint8_t unicode_run_value(size_t i) { return UNICODE_RUNS[i].value; }

uint8_t unicode_value(uint32_t cp) {
    size_t lo = 0, hi = N_RUNS; /* the run is in [lo, hi) */
    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;
        if (UNICODE_RUNS[mid].first <= cp)
            lo = mid;
        else
            hi = mid;
    }
    return UNICODE_RUNS[lo].value;
}

bool unicode_is_space(uint32_t cp) {
    if (cp < 0x80) return cp == ' ' || (cp >= '\t' && cp <= '\r');
    if (cp < 0x1680) return cp == 0x85 || cp == 0xA0;
    return cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200A) || cp == 0x2028 || cp == 0x2029 || cp == 0x202F ||
           cp == 0x205F || cp == 0x3000;
}

bool unicode_is_word(uint32_t cp) { return (unicode_value(cp) & UNICODE_WORD) != 0; }

bool unicode_is_young(uint32_t cp) {
    for (size_t i = 0; i < sizeof UNICODE_YOUNG / sizeof UNICODE_YOUNG[0]; i++)
        if (cp >= UNICODE_YOUNG[i][0] && cp <= UNICODE_YOUNG[i][1]) return true;
    return false;
}
