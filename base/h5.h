/* h5.h: HDF5 files: built and read in memory, or built on disk around large arrays. libhdf5 (static) is known only to h5.c.
 *
 * Writing: h5_create opens an in-memory file (core driver, no backing store), h5_put and h5_put_string add datasets
 * (chunked, Fletcher32), h5_image gives the bytes of the file, which the caller writes atomically. Equal content gives
 * equal bytes. Reading: the caller has checked the integrity of the image; h5_open_image reads it where it lies. Names
 * are paths ("a/b"). Every failure is an Err that names the file and the dataset. Not for several threads at once. */
#ifndef LORAC_BASE_H5_H
#define LORAC_BASE_H5_H

#include "base/arena.h"

typedef enum H5Type { H5_U8, H5_I32, H5_I64, H5_U64, H5_F32, H5_F64 } H5Type;
typedef struct H5 H5;

/* An empty file to write to. The H5 and the file's bytes live in the arena: `capacity` of them are taken at once, so that
 * the caller knows what it needs; a larger file grows by doubling. Must be closed. */
Status h5_create(Arena *a, size_t capacity, H5 **out, Err *e);
/* A file on disk, made or emptied, with user_block bytes (0, or a power of two from 512 on) in front that are the caller's. It
 * must be ended by h5_finish. */
Status h5_create_file(Arena *a, const char *path, size_t user_block, H5 **out, Err *e);
/* Flushes and closes a file of h5_create_file. */
Status h5_finish(H5 *h, Err *e);
/* Opens an image for reading; name (copied) is used in messages. The image must stay until h5_close. */
Status h5_open_image(Arena *a, const char *name, const void *image, size_t bytes, H5 **out, Err *e);
/* Closes the file; NULL and a closed one are allowed. */
void h5_close(H5 *h);

/* Creates parents. rank 0..8 (0: one value, dims may be NULL); data row-major, native endian in memory, little-endian in
 * the file; a dimension of 0 makes a dataset without elements (data may be NULL). A path written before is an error. */
Status h5_put(H5 *h, const char *path, H5Type type, int rank, const uint64_t *dims, const void *data, Err *e);
/* A UTF-8 text of len bytes, which may be 0 (stored as one NUL: the text of a single NUL reads back as empty). */
Status h5_put_string(H5 *h, const char *path, const char *s, size_t len, Err *e);
/* A dataset of n > 0 elements in one piece, little-endian, at a multiple of 64 bytes. Its content is the caller's to write at
 * *offset of the file once h5_finish is done. Only with h5_create_file. */
Status h5_reserve(H5 *h, const char *path, H5Type type, uint64_t n, uint64_t *offset, Err *e);
/* The bytes h5_create takes for a capacity: whole steps of libhdf5's growth. */
size_t h5_capacity(size_t capacity);
/* The whole file, flushed, where it lies in the arena; it stays when h is closed. Nothing may be put after it. */
Status h5_image(H5 *h, uint8_t **data, size_t *bytes, Err *e);

/* Reads a dataset whose type, rank and dims must be exactly these. */
Status h5_get(H5 *h, const char *path, H5Type type, int rank, const uint64_t *dims, void *data, Err *e);
/* The elements of a dataset of h5_reserve where they lie in the image; its type and n must be exactly these. */
Status h5_locate(H5 *h, const char *path, H5Type type, uint64_t n, const void **data, Err *e);
/* The dims of a dataset; *rank in: capacity of dims (<= 8), out: rank. */
Status h5_dims(H5 *h, const char *path, int *rank, uint64_t *dims, Err *e);
/* Whether there is a dataset of this path. */
bool h5_has(H5 *h, const char *path);
/* A text of at most max_bytes, NUL added, in the arena. */
Status h5_get_string(H5 *h, Arena *a, const char *path, size_t max_bytes, char **s, size_t *len, Err *e);

#endif
