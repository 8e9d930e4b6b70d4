/* poison.h: marks memory that must not be touched, for AddressSanitizer (gcc's and clang's); nothing in other builds.
 * Whoever poisons a range of a mapping removes the poison before giving it back to the system. */
#ifndef LORAC_BASE_POISON_H
#define LORAC_BASE_POISON_H

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POISON_WORKS 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define POISON_WORKS 1
#endif

#ifdef POISON_WORKS
#include <sanitizer/asan_interface.h>
#define POISON(p, bytes) __asan_poison_memory_region((p), (bytes))
#define UNPOISON(p, bytes) __asan_unpoison_memory_region((p), (bytes))
#else
#define POISON(p, bytes) ((void)(p), (void)(bytes))
#define UNPOISON(p, bytes) ((void)(p), (void)(bytes))
#endif

#endif
