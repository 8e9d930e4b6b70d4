/* embedded_base.c: data/tiny/tiny.gguf inside the program, so that `lorac selftest` needs no file. */
#include "train/selftest.h"

__asm__(".section .rodata\n"
        ".balign 64\n"
        ".hidden lorac_embedded_base\n"
        ".globl lorac_embedded_base\n"
        "lorac_embedded_base:\n"
        ".incbin \"" LORAC_EMBEDDED_BASE "\"\n"
        ".hidden lorac_embedded_base_end\n"
        ".globl lorac_embedded_base_end\n"
        "lorac_embedded_base_end:\n"
        ".byte 0\n"
        ".previous\n");

extern const char lorac_embedded_base[], lorac_embedded_base_end[];

const void *embedded_base(size_t *bytes) {
    *bytes = (size_t)((uintptr_t)lorac_embedded_base_end - (uintptr_t)lorac_embedded_base);
    return lorac_embedded_base;
}
