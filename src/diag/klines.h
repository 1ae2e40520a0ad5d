/* SPDX-License-Identifier: MIT */
/*
 * klines.h - which line of which file a code address comes from.
 *
 * Made like the table of names (ksyms.h): tools/klines.awk reads the first image, the second one
 * holds the result, behind all code. Inlined code has the line it was written on.
 */
#ifndef DIAG_KLINES_H
#define DIAG_KLINES_H

#include <stdbool.h>
#include <stdint.h>

extern const uint8_t kline_bytes[]; /* rows by rising address, as klines.c says */
extern const uint32_t kline_size;
extern const char kline_files[]; /* the names of files 1, 2, ..., each with its '\0' */

struct kline {
    const char *file; /* from the top of the source tree */
    unsigned line;
};

/* False: no C code lies there, or the image was built without lines. */
bool kline_lookup(uintptr_t address, struct kline *out);

#endif
