/* SPDX-License-Identifier: MIT */
/* units.c - by shifts alone: i386 has no 64-bit division of its own. */
#include "diag/units.h"

#include <mem/paging.h>

#include "lib/fmt.h"

struct size_text size_text(uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    struct size_text out;
    unsigned unit = 0;
    while (unit < 6 && bytes >> (10 * unit) >= 1024)
        unit++;

    unsigned whole = (unsigned)(bytes >> (10 * unit));
    unsigned tenth = unit ? (unsigned)((bytes >> (10 * unit - 10)) & 1023) * 10 / 1024 : 0;
    if (tenth)
        fmt(out.text, sizeof out.text, "%u.%u %s", whole, tenth, units[unit]);
    else
        fmt(out.text, sizeof out.text, "%u %s", whole, units[unit]);
    return out;
}

unsigned permille(uint64_t part, uint64_t whole)
{
    while (whole > UINT32_MAX / 1000) {
        whole >>= 1;
        part >>= 1;
    }
    return whole ? (unsigned)part * 1000 / (unsigned)whole : 0;
}

struct perm_text perm_text(unsigned flags, bool accessed, bool dirty)
{
    struct perm_text out = {"r------"};
    if (flags & MAP_WRITE)
        out.text[1] = 'w';
    if (flags & MAP_EXEC)
        out.text[2] = 'x';
    if (flags & MAP_USER)
        out.text[3] = 'u';
    if (flags & MAP_GLOBAL)
        out.text[4] = 'g';
    if (accessed)
        out.text[5] = 'a';
    if (dirty)
        out.text[6] = 'd';
    return out;
}

struct perm_text perm_letters(unsigned flags, bool accessed, bool dirty)
{
    struct perm_text out = perm_text(flags, accessed, dirty);
    char *to = out.text;
    for (const char *from = out.text; *from; from++) {
        if (*from != '-')
            *to++ = *from;
    }
    *to = 0;
    return out;
}

const char *cache_name(unsigned flags)
{
    static const char *const names[] = {"wb", "wt", "uc", "wc"};
    return names[(flags & MAP_CACHE_MASK) / MAP_CACHE_WT];
}

const char *page_name(size_t bytes)
{
    if (bytes >> 30)
        return "1G";
    if (bytes >> 20)
        return bytes >> 22 ? "4M" : "2M";
    return "4K";
}
