/* t_h5.c: HDF5 images: round trip of every type and rank, equal bytes, and clean errors for what is not there. */
#include "tests/support/support.h"

#include "base/h5.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct Image {
    uint8_t *data;
    size_t bytes;
} Image;

static void put_everything(H5 *h) {
    Err e;
    const uint64_t three[1] = {3}, two_by_three[2] = {2, 3}, none[2] = {0, 4}, deep[4] = {1, 2, 1, 2};
    ASSERT_OK(h5_put(h, "u8", H5_U8, 1, three, (uint8_t[]){1, 2, 255}, &e), e);
    ASSERT_OK(h5_put(h, "group/i32", H5_I32, 2, two_by_three, (int32_t[]){-1, 2, 3, 4, 5, INT32_MIN}, &e), e);
    ASSERT_OK(h5_put(h, "group/deeper/i64", H5_I64, 4, deep, (int64_t[]){INT64_MIN, INT64_MAX, 0, 1}, &e), e);
    ASSERT_OK(h5_put(h, "u64", H5_U64, 0, NULL, (uint64_t[]){UINT64_MAX}, &e), e);
    ASSERT_OK(h5_put(h, "f32", H5_F32, 1, three, (float[]){1.5f, -0.0f, 3e38f}, &e), e);
    ASSERT_OK(h5_put(h, "f64", H5_F64, 0, NULL, (double[]){0.1}, &e), e);
    ASSERT_OK(h5_put(h, "empty", H5_F32, 2, none, NULL, &e), e);
    ASSERT_OK(h5_put_string(h, "text", "na\xC3\xAFve\0x", 8, &e), e);
    ASSERT_OK(h5_put_string(h, "texts/none", "", 0, &e), e);
}

static Image everything(Arena *a) {
    H5 *h;
    Err e;
    Image image;
    ASSERT_OK(h5_create(a, 0, &h, &e), e);
    put_everything(h);
    ASSERT_OK(h5_image(h, &image.data, &image.bytes, &e), e);
    h5_close(h);
    return image;
}

static void round_trip(void **state) {
    (void)state;
    Arena *a = support_arena();
    Err e;
    H5 *h;
    Image image = everything(a);
    ASSERT_OK(h5_open_image(a, "t.h5", image.data, image.bytes, &h, &e), e);
    const uint64_t three[1] = {3}, two_by_three[2] = {2, 3}, none[2] = {0, 4}, deep[4] = {1, 2, 1, 2};
    uint8_t u8[3];
    int32_t i32[6];
    int64_t i64[4];
    uint64_t u64;
    float f32[3];
    double f64;
    char *s;
    size_t len;
    ASSERT_OK(h5_get(h, "u8", H5_U8, 1, three, u8, &e), e);
    assert_memory_equal(u8, ((uint8_t[]){1, 2, 255}), 3);
    ASSERT_OK(h5_get(h, "group/i32", H5_I32, 2, two_by_three, i32, &e), e);
    assert_memory_equal(i32, ((int32_t[]){-1, 2, 3, 4, 5, INT32_MIN}), sizeof i32);
    ASSERT_OK(h5_get(h, "group/deeper/i64", H5_I64, 4, deep, i64, &e), e);
    assert_memory_equal(i64, ((int64_t[]){INT64_MIN, INT64_MAX, 0, 1}), sizeof i64);
    ASSERT_OK(h5_get(h, "u64", H5_U64, 0, NULL, &u64, &e), e);
    assert_true(u64 == UINT64_MAX);
    ASSERT_OK(h5_get(h, "f32", H5_F32, 1, three, f32, &e), e);
    assert_memory_equal(f32, ((float[]){1.5f, -0.0f, 3e38f}), sizeof f32);
    ASSERT_OK(h5_get(h, "f64", H5_F64, 0, NULL, &f64, &e), e);
    assert_true(f64 == 0.1);
    ASSERT_OK(h5_get(h, "empty", H5_F32, 2, none, NULL, &e), e);
    ASSERT_OK(h5_get_string(h, a, "text", 8, &s, &len, &e), e);
    assert_int_equal(len, 8);
    assert_memory_equal(s, "na\xC3\xAFve\0x", 9);
    ASSERT_OK(h5_get_string(h, a, "texts/none", 8, &s, &len, &e), e);
    assert_int_equal(len, 0);
    assert_string_equal(s, "");
    h5_close(h);
    arena_close(a);
}

static void shapes_and_names(void **state) {
    (void)state;
    Arena *a = support_arena();
    Err e;
    H5 *h;
    Image image = everything(a);
    ASSERT_OK(h5_open_image(a, "t.h5", image.data, image.bytes, &h, &e), e);
    uint64_t dims[8];
    int rank = 8;
    ASSERT_OK(h5_dims(h, "group/deeper/i64", &rank, dims, &e), e);
    assert_int_equal(rank, 4);
    assert_memory_equal(dims, ((uint64_t[]){1, 2, 1, 2}), 4 * sizeof *dims);
    rank = 2;
    ASSERT_OK(h5_dims(h, "empty", &rank, dims, &e), e);
    assert_int_equal(rank, 2);
    assert_int_equal(dims[0], 0);
    rank = 0;
    ASSERT_OK(h5_dims(h, "u64", &rank, dims, &e), e);
    assert_int_equal(rank, 0);
    assert_true(h5_has(h, "group/i32"));
    assert_true(h5_has(h, "/u8"));
    assert_false(h5_has(h, "group"));
    assert_false(h5_has(h, "group/i32/x"));
    assert_false(h5_has(h, "nothing/here"));
    assert_false(h5_has(h, ""));
    assert_false(h5_has(h, "/"));
    h5_close(h);
    h5_close(h);
    h5_close(NULL);
    arena_close(a);
}

static void errors_name_the_dataset(void **state) {
    (void)state;
    Arena *a = support_arena();
    Err e;
    H5 *h;
    Image image = everything(a);
    ASSERT_OK(h5_open_image(a, "t.h5", image.data, image.bytes, &h, &e), e);
    uint64_t four[1] = {4}, three[2] = {3, 1}, dims[8];
    uint8_t room[64];
    char *s;
    size_t len;
    int rank = 1;
    ASSERT_FAILS(h5_get(h, "missing", H5_U8, 1, four, room, &e), e, ERR_FORMAT, "t.h5: the dataset 'missing' is miss");
    ASSERT_FAILS(h5_get(h, "group", H5_U8, 1, four, room, &e), e, ERR_FORMAT, "'group' is missing");
    ASSERT_FAILS(h5_get(h, "u8", H5_U8, 1, four, room, &e), e, ERR_FORMAT, "'u8' is u8 (3), expected u8 (4)");
    ASSERT_FAILS(h5_get(h, "u8", H5_U8, 2, three, room, &e), e, ERR_FORMAT, "'u8' is u8 (3), expected u8 (3, 1)");
    ASSERT_FAILS(h5_get(h, "u8", H5_U8, 0, NULL, room, &e), e, ERR_FORMAT, "'u8' is u8 (3), expected u8 ()");
    ASSERT_FAILS(h5_get(h, "f32", H5_I32, 1, four, room, &e), e, ERR_FORMAT, "'f32' is f32 (3), expected i32 (4)");
    ASSERT_FAILS(h5_get(h, "text", H5_U8, 0, NULL, room, &e), e, ERR_FORMAT, "'text' is text (), expected u8 ()");
    ASSERT_FAILS(h5_dims(h, "group/i32", &rank, dims, &e), e, ERR_FORMAT, "'group/i32' has 2 dimensions, expected at");
    ASSERT_FAILS(h5_dims(h, "gone", &rank, dims, &e), e, ERR_FORMAT, "'gone' is missing");
    ASSERT_FAILS(h5_get_string(h, a, "text", 7, &s, &len, &e), e, ERR_FORMAT, "'text' is text (), expected a text of");
    ASSERT_FAILS(h5_get_string(h, a, "u8", 70, &s, &len, &e), e, ERR_FORMAT, "'u8' is u8 (3), expected a text of");
    ASSERT_FAILS(h5_get_string(h, a, "no", 70, &s, &len, &e), e, ERR_FORMAT, "'no' is missing");
    h5_close(h);
    ASSERT_OK(h5_create(a, 0, &h, &e), e);
    ASSERT_OK(h5_put(h, "x", H5_U8, 1, four, room, &e), e);
    ASSERT_FAILS(h5_put(h, "x", H5_U8, 1, four, room, &e), e, ERR_FORMAT, "'x' is written twice");
    ASSERT_FAILS(h5_put(h, "x/y", H5_U8, 1, four, room, &e), e, ERR_OOM, "'x/y' cannot be written");
    h5_close(h);
    arena_close(a);
}

/* Two files at once must not be taken for one, and equal content gives equal bytes. */
static void files_are_apart(void **state) {
    (void)state;
    Arena *a = support_arena();
    Err e;
    H5 *writer, *one, *two;
    Image first = everything(a), image;
    int64_t v = 7, got;
    ASSERT_OK(h5_create(a, 0, &writer, &e), e);
    ASSERT_OK(h5_put(writer, "v", H5_I64, 0, NULL, &v, &e), e);
    ASSERT_OK(h5_open_image(a, "one", first.data, first.bytes, &one, &e), e);
    ASSERT_OK(h5_image(writer, &image.data, &image.bytes, &e), e);
    ASSERT_OK(h5_open_image(a, "two", image.data, image.bytes, &two, &e), e);
    assert_false(h5_has(one, "v"));
    assert_false(h5_has(two, "u8"));
    h5_close(one);
    ASSERT_OK(h5_get(two, "v", H5_I64, 0, NULL, &got, &e), e);
    assert_int_equal(got, 7);
    Image second = everything(a);
    assert_int_equal(first.bytes, second.bytes);
    assert_memory_equal(first.data, second.data, first.bytes);
    assert_true(first.bytes < 100000);
    h5_close(writer);
    h5_close(two);
    arena_close(a);
}

/* Chunk shapes: long rows, rows above a chunk, many rows; one byte changed in the data is found by Fletcher32. */
static void chunks(void **state) {
    (void)state;
    Arena *a = support_arena();
    Err e;
    H5 *h;
    const uint64_t shapes[][3] = {{300007, 1, 1}, {2, 700001, 1}, {1, 3, 300001}, {1000, 7, 100}};
    float *data, *back;
    Image image;
    ASSERT_OK(ARENA_NEW(a, 1500000, data, &e), e);
    ASSERT_OK(ARENA_NEW(a, 1500000, back, &e), e);
    for (int i = 0; i < 1500000; i++) data[i] = (float)i;
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        size_t n = (size_t)(shapes[i][0] * shapes[i][1] * shapes[i][2]);
        ASSERT_OK(h5_create(a, 0, &h, &e), e);
        ASSERT_OK(h5_put(h, "big", H5_F32, 3, shapes[i], data, &e), e);
        ASSERT_OK(h5_image(h, &image.data, &image.bytes, &e), e);
        h5_close(h);
        assert_true(image.bytes < n * sizeof(float) + 3000000);
        ASSERT_OK(h5_open_image(a, "t.h5", image.data, image.bytes, &h, &e), e);
        memset(back, 0, n * sizeof *back);
        ASSERT_OK(h5_get(h, "big", H5_F32, 3, shapes[i], back, &e), e);
        assert_memory_equal(data, back, n * sizeof *back);
        h5_close(h);
    }
    image.data[image.bytes / 2] ^= 1;
    ASSERT_OK(h5_open_image(a, "t.h5", image.data, image.bytes, &h, &e), e);
    ASSERT_FAILS(h5_get(h, "big", H5_F32, 3, shapes[3], back, &e), e, ERR_FORMAT, "'big' cannot be read");
    h5_close(h);
    arena_close(a);
}

static void no_hdf5_file(void **state) {
    (void)state;
    Arena *a = support_arena();
    Err e;
    H5 *h = NULL;
    int files = support_open_files();
    Image image = everything(a);
    ASSERT_FAILS(h5_open_image(a, "bad.h5", "", 0, &h, &e), e, ERR_FORMAT, "bad.h5: is empty");
    ASSERT_FAILS(h5_open_image(a, "bad.h5", "not HDF5 at all", 15, &h, &e), e, ERR_FORMAT, "bad.h5: is no HDF5");
    for (size_t n = 1; n < image.bytes; n += n < 200 ? 1 : 997) {
        assert_int_equal(h5_open_image(a, "cut.h5", image.data, n, &h, &e), ERR_FORMAT);
        assert_non_null(strstr(e.message, "cut.h5: is no HDF5 file"));
    }
    assert_null(h);
    assert_int_equal(support_open_files(), files);
    arena_close(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(shapes_and_names),
        cmocka_unit_test(errors_name_the_dataset),
        cmocka_unit_test(files_are_apart),
        cmocka_unit_test(chunks),
        cmocka_unit_test(no_hdf5_file),
    };
    return cmocka_run_group_tests_name("h5", tests, NULL, NULL);
}
