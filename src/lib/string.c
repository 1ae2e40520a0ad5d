/* SPDX-License-Identifier: MIT */
/*
 * string.c - the few C library functions that the compiler itself may call.
 *
 * Copies and fills are string instructions, words first and then the bytes that are left: short,
 * quick for pages, and nothing that an optimiser could turn back into a call to the function it
 * stands in.
 */
#include "lib/string.h"

#include <stdint.h>

#include "lib/shadow.h"

#define WORDS_OF(bytes) ((bytes) / sizeof(uintptr_t))
#define REST_OF(bytes)  ((bytes) % sizeof(uintptr_t))

void *memcpy(void *to, const void *from, size_t bytes)
{
    void *at = to;
    size_t words = WORDS_OF(bytes), rest = REST_OF(bytes);
    shadow_touch(from, bytes, false);
    shadow_touch(to, bytes, true);
    if (sizeof(uintptr_t) == 8)
        __asm__ volatile("rep movsq" : "+D"(at), "+S"(from), "+c"(words)::"memory");
    else
        __asm__ volatile("rep movsl" : "+D"(at), "+S"(from), "+c"(words)::"memory");
    __asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(rest)::"memory");
    return to;
}

/* Whole words first: a quarter or an eighth of the steps. */
void *memset(void *to, int byte, size_t bytes)
{
    void *at = to;
    size_t words = WORDS_OF(bytes), rest = REST_OF(bytes);
    shadow_touch(to, bytes, true);
    uintptr_t all = UINTPTR_MAX / 0xff * (unsigned char)byte;
    __asm__ volatile("rep stos %2, %%es:(%0)" : "+D"(at), "+c"(words) : "a"(all) : "memory");
    __asm__ volatile("rep stosb" : "+D"(at), "+c"(rest) : "a"(byte) : "memory");
    return to;
}

void *memmove(void *to, const void *from, size_t bytes)
{
    if ((char *)to <= (const char *)from || (char *)to - (const char *)from >= (ptrdiff_t)bytes)
        return memcpy(to, from, bytes);
    shadow_touch(from, bytes, false);
    shadow_touch(to, bytes, true);
    char *at = (char *)to + bytes - 1;
    const char *source = (const char *)from + bytes - 1;
    __asm__ volatile("std; rep movsb; cld" : "+D"(at), "+S"(source), "+c"(bytes)::"memory", "cc");
    return to;
}

int memcmp(const void *a, const void *b, size_t bytes)
{
    const unsigned char *x = a, *y = b;
    for (size_t i = 0; i < bytes; i++) {
        if (x[i] != y[i])
            return x[i] - y[i];
    }
    return 0;
}

size_t strlen(const char *s)
{
    const char *end = s;
    while (*end)
        end++;
    return (size_t)(end - s);
}

int strncmp(const char *a, const char *b, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (a[i] != b[i] || !a[i])
            return (unsigned char)a[i] - (unsigned char)b[i];
    }
    return 0;
}

int strcmp(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return (unsigned char)*a - (unsigned char)*b;
}

char *strchr(const char *s, int c)
{
    for (; *s; s++) {
        if (*s == (char)c)
            return (char *)s;
    }
    return c ? NULL : (char *)s;
}
