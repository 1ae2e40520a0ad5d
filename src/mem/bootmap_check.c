/* SPDX-License-Identifier: MIT */
/* bootmap_check.c - the invariants of bootmap.c, as code. */
#include <mem/bootmap.h>

static bool whole_pages(const struct boot_range *r)
{
    uint64_t mask = PAGE_SIZE - 1;
    return !(r->start & mask) && (r->last & mask) == mask && r->last > r->start;
}

bool bootmap_holds(const struct bootmap *map, const char **broken)
{
    *broken = "B4: count is at most capacity";
    if (map->count > map->capacity)
        return false;
    for (size_t i = 0; i < map->count; i++) {
        const struct boot_range *r = &map->ranges[i];
        const struct boot_range *before = i ? r - 1 : NULL;
        *broken = "B1: ranges are sorted, disjoint and whole pages";
        if (!whole_pages(r) || (before && before->last >= r->start))
            return false;
        *broken = "B2: neighbours that touch differ in kind or owner";
        if (before && before->last + 1 == r->start && before->kind == r->kind &&
            before->owner == r->owner)
            return false;
        *broken = "B3: only usable ranges have an owner";
        if (r->owner != OWNER_NONE && r->kind != RANGE_USABLE)
            return false;
    }
    return true;
}
