/* SPDX-License-Identifier: MIT */
/*
 * fmt.h - formatted text into a buffer, the subset of printf(3) that a kernel needs.
 *
 * Flags 0 - + space #, width and precision (also *), lengths hh h l ll z t, conversions
 * d i u x X o c s p %. `%p` prints 0x and the hex digits. No floating point. Never writes past the
 * buffer, always terminates it (if it has room for one byte), returns the length that the whole
 * text would have, as snprintf does.
 */
#ifndef LIB_FMT_H
#define LIB_FMT_H

#include <stdarg.h>
#include <stddef.h>

[[gnu::format(printf, 3, 4)]] size_t fmt(char *buffer, size_t bytes, const char *format, ...);
[[gnu::format(printf, 3, 0)]] size_t vfmt(char *buffer, size_t bytes, const char *format,
                                          va_list args);

#endif
