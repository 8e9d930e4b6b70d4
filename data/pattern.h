/* pattern.h: paths that a pattern with * ? and [ ] matches. Our own, not glob(3): the C library's order follows the locale, and
 * its glob does not live through an allocation that fails. */
#ifndef LORAC_DATA_PATTERN_H
#define LORAC_DATA_PATTERN_H

#include "base/arena.h"

/* One name. * is any text, ? one character, [abc], [a-z] and [!a-z] one of a set or none of it; \ before one of them takes it
 * as it is. A dot in front of a name is matched by a dot only. Quadratic time at most. */
bool pattern_matches(const char *pattern, size_t n, const char *name);
/* True when the text has a character that makes it a pattern. */
bool pattern_is(const char *text, size_t n);
/* All paths that are there and match, part by part between slashes, sorted bytewise; n may be 0. */
Status pattern_paths(Arena *a, const char *pattern, const char ***paths, size_t *n, Err *e);

#endif
