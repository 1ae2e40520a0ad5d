/* SPDX-License-Identifier: MIT */
/* units.h - sizes, permissions and bars as people read them; pure, into the caller's buffer. */
#ifndef DIAG_UNITS_H
#define DIAG_UNITS_H

#include <mem/types.h>

/* "0 B", "640 KiB", "63.9 MiB", "1.5 TiB": three digits at most before the point, cut, not rounded.
 */
struct size_text {
    char text[16];
};
struct size_text size_text(uint64_t bytes);

/* part / whole in tenths of a percent, 0 when whole is 0; no division wider than a word. */
unsigned permille(uint64_t part, uint64_t whole);

/* Effective permissions: r w x u g a d, each in its column, '-' where not. */
struct perm_text {
    char text[8];
};
struct perm_text perm_text(unsigned map_flags, bool accessed, bool dirty);

/* The same without columns, only the letters that hold: the machine-readable form. */
struct perm_text perm_letters(unsigned map_flags, bool accessed, bool dirty);

const char *cache_name(unsigned map_flags); /* "wb" "wt" "uc" "wc"         */
const char *page_name(size_t page_bytes);   /* "4K" "2M" "4M" "1G"         */

/* What a noun ends with behind that number: "" for one, else "s". */
static inline const char *plural(size_t count)
{
    return count == 1 ? "" : "s";
}

#endif
