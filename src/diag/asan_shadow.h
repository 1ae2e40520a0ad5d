/* SPDX-License-Identifier: MIT */
/* asan_shadow.h - what a byte of the shadow says. Shared by asan.c and asan_report.c alone. */
#ifndef DIAG_ASAN_SHADOW_H
#define DIAG_ASAN_SHADOW_H

#include <mem/types.h>

/* 0: all 8 bytes may be touched; 1 to 7: so many of them; else none, and why. The compilers write
 * the stack's; the others are ours. */
enum shadow_byte {
    SHADOW_STACK_LEFT = 0xf1,
    SHADOW_STACK_MIDDLE = 0xf2,
    SHADOW_STACK_RIGHT = 0xf3,
    SHADOW_STACK_SCOPE = 0xf8,
    SHADOW_GLOBAL = 0xf9,
    SHADOW_HEAP = 0xfa,
    SHADOW_FREED = 0xfd,
};

/* A variable with a red zone behind it, as the compilers describe it. */
struct asan_global {
    vword_t start, size, size_with_red_zone;
    const char *name, *module;
    vword_t has_constructor, location, odr;
};

struct asan_access {
    vword_t at; /* the first byte that may not be touched */
    size_t bytes;
    bool write;
    vword_t ip, bp; /* of the code that does it, and its frame */
};

uint8_t *asan_shadow(vword_t va);

/* The variable whose red zone `va` is in; NULL: none. */
const struct asan_global *asan_find_global(vword_t va);

[[gnu::noreturn]] void asan_report(const struct asan_access *a);

#endif
