/* t_utf8.c: strict UTF-8 both ways. */
#include "tests/support/support.h"

#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

static bool is_scalar(uint32_t cp) { return cp <= 0x10FFFF && !(cp >= 0xD800 && cp <= 0xDFFF); }

/* Every scalar value survives, in the shortest form, and no shorter prefix of it decodes. */
static void all_code_points(void **state) {
    (void)state;
    for (uint32_t cp = 0; cp <= 0x10FFFF; cp++) {
        char s[4];
        uint32_t back = 0;
        if (!is_scalar(cp)) continue;
        int n = utf8_encode(cp, s), want = cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
        if (n != want || utf8_decode(s, 4, &back) != n || back != cp) fail_msg("U+%04X", cp);
        for (int k = 0; k < n; k++) {
            if (utf8_decode(s, (size_t)k, &back) != 0) fail_msg("U+%04X cut to %d", cp, k);
        }
    }
}

/* All sequences of two bytes and many of three and four against a decoder written from the table of RFC 3629. */
static int table_decode(const unsigned char *s) {
    if (s[0] < 0x80) return 1;
    if (s[0] >= 0xC2 && s[0] <= 0xDF) return s[1] >> 6 == 2 ? 2 : 0;
    if (s[0] >= 0xE0 && s[0] <= 0xEF) {
        int least = s[0] == 0xE0 ? 0xA0 : 0x80, most = s[0] == 0xED ? 0x9F : 0xBF;
        return s[1] >= least && s[1] <= most && s[2] >> 6 == 2 ? 3 : 0;
    }
    if (s[0] >= 0xF0 && s[0] <= 0xF4) {
        int least = s[0] == 0xF0 ? 0x90 : 0x80, most = s[0] == 0xF4 ? 0x8F : 0xBF;
        return s[1] >= least && s[1] <= most && s[2] >> 6 == 2 && s[3] >> 6 == 2 ? 4 : 0;
    }
    return 0;
}

static void all_bytes(void **state) {
    (void)state;
    static const unsigned char EDGES[] = {0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC2, 0xFF};
    for (unsigned a = 0; a < 256; a++) {
        for (unsigned b = 0; b < 256; b++) {
            for (size_t c = 0; c < sizeof EDGES; c++) {
                for (size_t d = 0; d < sizeof EDGES; d++) {
                    unsigned char s[4] = {(unsigned char)a, (unsigned char)b, EDGES[c], EDGES[d]};
                    uint32_t cp;
                    if (utf8_decode((const char *)s, 4, &cp) != table_decode(s))
                        fail_msg("%02x %02x %02x %02x", s[0], s[1], s[2], s[3]);
                }
            }
        }
    }
}

/* The first bad byte is found at any place and after any run of ASCII; nothing behind the end is read. */
static void valid_prefix(void **state) {
    (void)state;
    for (size_t n = 0; n < 40; n++) {
        char *s = malloc(n + 3);
        assert_non_null(s);
        memset(s, 'a', n);
        assert_int_equal(utf8_valid_prefix(s, n), n);
        memcpy(s + n, "\xE2\x82\xAC", 3);
        assert_int_equal(utf8_valid_prefix(s, n + 3), n + 3);
        assert_int_equal(utf8_valid_prefix(s, n + 2), n);
        assert_int_equal(utf8_valid_prefix(s, n + 1), n);
        for (size_t at = 0; at < n; at++) {
            s[at] = '\x80';
            assert_int_equal(utf8_valid_prefix(s, n + 3), at);
            s[at] = 'a';
        }
        free(s);
    }
    assert_int_equal(utf8_valid_prefix("a\0b", 3), 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_code_points), cmocka_unit_test(all_bytes),
                                       cmocka_unit_test(valid_prefix)};
    return cmocka_run_group_tests_name("utf8", tests, NULL, NULL);
}
