/* SPDX-License-Identifier: MIT */
/* panic.h - for tests of what panics: the words are kept, and setjmp(panicked) returns again. */
#ifndef PANIC_H
#define PANIC_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <platform.h>

static jmp_buf panicked;
static char panic_text[200];

void platform_panic(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(panic_text, sizeof panic_text, format, args);
    va_end(args);
    longjmp(panicked, 1);
}

#endif
