/* t_hash.c: XXH3-128 (values of the reference implementation, as `xxhsum -H2` prints them), SHA-256 (FIPS 180-2 examples), hex,
 * and streaming in any split. */
#include "tests/support/support.h"

#include "base/hash.h"

#include <string.h>

static void sha256(void **state) {
    (void)state;
    char hex[SHA256_HEX_BYTES];
    static const struct {
        const char *text, *hex;
    } CASES[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        sha256_hex(CASES[i].text, strlen(CASES[i].text), hex);
        assert_string_equal(hex, CASES[i].hex);
    }
    Arena *a = support_arena();
    Err e;
    char *million;
    ASSERT_OK(arena_alloc(a, 1000000, 1, &million, &e), e);
    memset(million, 'a', 1000000);
    sha256_hex(million, 1000000, hex);
    assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    arena_close(a);
}

/* One input of each length class of XXH3: 0, 1-3, 4-8, 9-16, 17-128, 129-240, over 240. */
static void xxh3_known(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t times;
        const char *hex;
    } CASES[] = {
        {"", 1, "99aa06d3014798d86001c324468d497f"},
        {"a", 1, "a96faf705af16834e6c632b61e964e1f"},
        {"abc", 1, "06b05ab6733a618578af5f94892f3950"},
        {"abcdef", 1, "389197a55db2b2e4da35a6714d34f8a2"},
        {"hello world", 1, "df8d09e93f874900a99b8775cc15b6c7"},
        {"0123456789abcdef", 1, "ccba8085a0434e9e0befb4873dbe58f8"},
        {"The quick brown fox jumps over the lazy dog", 1, "ddd650205ca3e7fa24a1cc2e3a8a7651"},
        {"x", 100, "add9998d55ed3962e18dc405a95cc094"},
        {"y", 200, "833cf59a501ae2a8661514be62296c9c"},
        {"z", 1000, "66a9b2d587876ce7cd3a574700eddf41"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        char text[1001] = "", hex[HASH_HEX_BYTES];
        size_t n = strlen(CASES[i].text);
        for (size_t k = 0; k < CASES[i].times; k++) memcpy(text + k * n, CASES[i].text, n);
        hash_hex(hash128(text, n * CASES[i].times), hex);
        assert_string_equal(hex, CASES[i].hex);
    }
}

static void xxh3_streams(void **state) {
    (void)state;
    Arena *a = support_arena();
    Err e;
    uint8_t data[3000];
    Hasher *h;
    for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)(i * 7 + (i >> 8));
    ASSERT_OK(hasher_open(a, &h, &e), e);
    for (size_t step = 1; step < 700; step += 1 + step / 3) {
        hasher_reset(h);
        for (size_t at = 0; at < sizeof data; at += step)
            hasher_add(h, data + at, step < sizeof data - at ? step : sizeof data - at);
        Hash128 got = hasher_value(h), again = hasher_value(h), want = hash128(data, sizeof data);
        assert_true(got.lo == want.lo && got.hi == want.hi);
        assert_true(again.lo == want.lo && again.hi == want.hi);
    }
    arena_close(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(sha256), cmocka_unit_test(xxh3_known),
                                       cmocka_unit_test(xxh3_streams)};
    return cmocka_run_group_tests_name("hash", tests, NULL, NULL);
}
