/* SPDX-License-Identifier: MIT */
/*
 * cmdline.h - the kernel command line: words, quotes, key=value.
 *
 * Double or single quotes group, a backslash takes the next character as it is (GRUB writes
 * both); a quote may stand anywhere in a word, so run="a; b" and "run=a; b" are the same.
 */
#ifndef CMDLINE_H
#define CMDLINE_H

#include <stdbool.h>
#include <stddef.h>

/* True when the word `key` or `key=...` is there; `value` (may be NULL) gets the text after '=',
 * cut to fit and terminated. The last one wins. */
bool cmdline_find(const char *line, const char *key, char *value, size_t bytes);

/* The same for key=NUMBER, decimal; what is no digit ends it, and too large a one is UINT_MAX. */
bool cmdline_number(const char *line, const char *key, unsigned *value);

#endif
