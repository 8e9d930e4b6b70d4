/* utf8.h: strict UTF-8 (RFC 3629): no overlong forms, no surrogates, at most U+10FFFF. */
#ifndef LORAC_BASE_UTF8_H
#define LORAC_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Decodes one code point at s[0..len). Returns its length 1..4, or 0 when the bytes are not valid UTF-8 (len 0 too). */
int utf8_decode(const char *s, size_t len, uint32_t *cp);
/* Writes cp (a valid scalar value) as 1..4 bytes; returns the length. */
int utf8_encode(uint32_t cp, char out[4]);
/* The value of four hex digits (JSON's \uXXXX), or -1. */
int hex4(const char s[4]);
/* Offset of the first invalid byte, or len when all is valid. */
size_t utf8_valid_prefix(const char *s, size_t len);

#endif
