/* text.h: comparing names, for "did you mean". */
#ifndef LORAC_BASE_TEXT_H
#define LORAC_BASE_TEXT_H

/* Edit distance of two names: insert, delete, substitute, swap of neighbours (optimal string alignment), each 1. Names
 * longer than 48 bytes are never near: the result is then 48. */
int text_distance(const char *a, const char *b);

/* Whether a name at this distance from the typed one is worth offering: at most a third of its length, at least 1, at
 * most 3. */
int text_is_near(const char *typed, int distance);

#endif
