/* bytes.h: a data file as a stream of bytes, decompressed where it is compressed.
 *
 * A plain file is mapped and its bytes are given where they lie. A gzip or zstd file (told by its first bytes, never by its
 * name) is decompressed piece by piece into one buffer, which grows to what bytes_want asked for and no further: what a
 * small file would decompress to costs time, not memory. Refused, with the file's name: compressed data that is damaged,
 * fails its checksum or ends early, anything but further members or frames behind it, and a zstd window over 128 MiB. */
#ifndef LORAC_DATA_BYTES_H
#define LORAC_DATA_BYTES_H

#include "base/file.h"

/* One step of a decompressor: what is left to read and where output goes; run moves both on. */
typedef struct Unpack {
    const char *path; /* for messages */
    const uint8_t *in;
    uint8_t *out;
    size_t n_in, n_out;
    bool complete; /* run: all that was read belongs to members that are complete */
} Unpack;

/* A compression: a row of UNPACKERS (bytes.c), in a file of its own, the only one that knows its library. */
typedef struct Unpacker {
    const char *name;
    bool (*is)(const uint8_t *data, size_t n);                        /* by the file's first bytes */
    Status (*open)(Arena *a, const char *path, void **state, Err *e); /* state may be NULL on failure */
    Status (*run)(void *state, Unpack *u, Err *e);                    /* until in or out is used up */
    void (*close)(void *state);                                       /* state may be NULL */
} Unpacker;
extern const Unpacker UNPACK_GZIP, UNPACK_ZSTD;

typedef struct Bytes {
    const uint8_t *data; /* (n) the bytes at hand; they stay until the next bytes_want */
    size_t n;
    bool end; /* nothing follows them */
    FileMap map;
    size_t in_at, given_back; /* of the mapping: the next byte to read; pages before it were read and may go */
    const Unpacker *unpacker; /* NULL: plain */
    void *state;
    Arena *arena; /* of the buffer and the decompressor; NULL: plain */
    uint8_t *buffer;
    size_t cap;
} Bytes;

/* On failure nothing is left open. */
Status bytes_open(const char *path, Bytes *out, Err *e);
/* At least n bytes at hand, or all that are left. */
Status bytes_want(Bytes *b, size_t n, Err *e);
/* Moves past n of the bytes at hand. */
void bytes_skip(Bytes *b, size_t n);
/* How much of the file was read, 0 to 1. */
double bytes_done(const Bytes *b);
void bytes_close(Bytes *b);

/* The name of the compression that a file with these first bytes has, or NULL. */
const char *bytes_compression(const uint8_t *data, size_t n);

#endif
