/* h5.h: an HDF5 file built and read in memory. libhdf5 (static) is known only to h5.c.
 *
 * Writing: h5_create opens an in-memory file (core driver, no backing store), h5_put_* add datasets (chunked,
 * Fletcher32) and attributes, h5_image hands out the bytes of the flushed file, which the caller writes atomically.
 * Reading: the caller has checked the integrity of the image; h5_open parses it from memory. Names are paths ("a/b"). */
#ifndef LORAC_BASE_H5_H
#define LORAC_BASE_H5_H

#include "base/arena.h"

typedef enum H5Type { H5_U8, H5_I32, H5_I64, H5_U64, H5_F32, H5_F64 } H5Type;
typedef struct H5 H5;

Status h5_create(Arena *a, H5 **out, Err *e);
Status h5_open_image(Arena *a, const char *name, const void *image, size_t bytes, H5 **out, Err *e);
void h5_close(H5 *h);

/* Creates parents. rank 0..4; data row-major, native endian in memory, little-endian in the file. */
Status h5_put(H5 *h, const char *path, H5Type type, int rank, const uint64_t *dims, const void *data, Err *e);
Status h5_put_string(H5 *h, const char *path, const char *s, size_t len, Err *e);
/* The bytes of the file, flushed; they belong to h and are valid until the next h5_ call. */
Status h5_image(H5 *h, Arena *a, uint8_t **data, size_t *bytes, Err *e);

/* Reads a dataset whose type class, rank and dims must be exactly these. */
Status h5_get(H5 *h, const char *path, H5Type type, int rank, const uint64_t *dims, void *data, Err *e);
/* The dims of a dataset; *rank in: capacity of dims (<= 8), out: rank. */
Status h5_dims(H5 *h, const char *path, int *rank, uint64_t *dims, Err *e);
bool h5_has(H5 *h, const char *path);
Status h5_get_string(H5 *h, Arena *a, const char *path, size_t max_bytes, char **s, size_t *len, Err *e);

#endif
