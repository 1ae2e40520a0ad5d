/* SPDX-License-Identifier: MIT */
/* physmap_hhdm.c - the higher-half direct map of all RAM, in the largest pages that fit. */
#include "physmap.h"

#include <mem/kmap.h>

#include "layout.h"

const struct physmap physmap = {
    .name = "HHDM",
    .start = HHDM_START,
    .bytes = (vword_t)PHYSICAL_LIMIT,
    .shows_all = true,
    .reach_at_boot = BOOT_WINDOW_BYTES,
};

void physmap_start(void)
{
    physmap_init(VA(HHDM_START), NULL, 0);
}

static enum mem_err map_part(struct aspace *as, uint64_t start, uint64_t end, unsigned flags)
{
    if (start >= end)
        return MEM_OK;
    return map_range(as, VA((vword_t)(HHDM_START + start)), PA(start), (size_t)(end - start),
                     flags | MAP_GLOBAL);
}

static uint64_t clamp(uint64_t value, uint64_t low, uint64_t high)
{
    return value < low ? low : value > high ? high : value;
}

/* RAM is what is usable, and what ACPI keeps in it. */
static bool is_ram(enum range_kind kind)
{
    return kind == RANGE_USABLE || kind == RANGE_ACPI || kind == RANGE_NVS;
}

/*
 * The next run of RAM at or above `from`: neighbouring ranges (owners and ACPI tables divide them)
 * count as one, so that large pages can span them. False: there is none. By address, not by index:
 * taking tables changes the map while it is walked.
 */
static bool next_run(const struct bootmap *map, uint64_t from, uint64_t *start, uint64_t *end)
{
    bool found = false;
    for (size_t i = 0; i < map->count; i++) {
        const struct boot_range *r = &map->ranges[i];
        if (r->start < from || !is_ram(r->kind) || r->start >= PHYSICAL_LIMIT)
            continue;
        if (found && r->start != *end)
            break;
        *start = found ? *start : r->start;
        *end = r->last >= PHYSICAL_LIMIT ? PHYSICAL_LIMIT : r->last + 1;
        found = true;
    }
    return found;
}

enum mem_err physmap_build(struct aspace *as, const struct bootmap *map, paddr_t text,
                           paddr_t text_end)
{
    enum mem_err err = MEM_OK;
    uint64_t start, end;
    for (uint64_t from = 0; !err && next_run(map, from, &start, &end); from = end) {
        uint64_t text_from = clamp(text.v, start, end), text_to = clamp(text_end.v, start, end);
        err = map_part(as, start, text_from, MAP_WRITE);
        if (!err)
            err = map_part(as, text_from, text_to, MAP_READ);
        if (!err)
            err = map_part(as, text_to, end, MAP_WRITE);
    }
    return err;
}
