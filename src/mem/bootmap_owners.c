/* SPDX-License-Identifier: MIT */
/*
 * bootmap_owners.c - who has which usable pages: reserved, taken, given back, counted.
 *
 * A stretch that changes its owner is cut out of its range and joined with what touches it, so B1
 * to B4 of bootmap.c hold before and after. That adds two ranges at most: a call looks whether they
 * have room first, and one that fails has changed nothing.
 */
#include "bootmap_range.h"

enum { MIB = 1 << 20 };

static void insert_at(struct bootmap *map, size_t index, struct boot_range r)
{
    for (size_t i = map->count; i > index; i--)
        map->ranges[i] = map->ranges[i - 1];
    map->ranges[index] = r;
    map->count++;
}

static void remove_at(struct bootmap *map, size_t index)
{
    map->count--;
    for (size_t i = index; i < map->count; i++)
        map->ranges[i] = map->ranges[i + 1];
}

static void join_with_next(struct bootmap *map, size_t index)
{
    if (index + 1 >= map->count || !joins(&map->ranges[index], &map->ranges[index + 1]))
        return;
    map->ranges[index].last = map->ranges[index + 1].last;
    remove_at(map, index + 1);
}

/* Gives [start, last], all inside ranges[index], to owner; needs room for two more ranges. */
static void assign(struct bootmap *map, size_t index, uint64_t start, uint64_t last,
                   enum frame_owner owner)
{
    struct boot_range old = map->ranges[index];
    map->ranges[index] = (struct boot_range){start, last, old.kind, owner};
    if (last < old.last)
        insert_at(map, index + 1, (struct boot_range){last + 1, old.last, old.kind, old.owner});
    if (start > old.start) {
        insert_at(map, index, (struct boot_range){old.start, start - 1, old.kind, old.owner});
        index++;
    }
    join_with_next(map, index);
    if (index)
        join_with_next(map, index - 1);
}

static bool is_free(const struct boot_range *r)
{
    return r->kind == RANGE_USABLE && r->owner == OWNER_NONE;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t greatest(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* The first free range that meets [start, last], or count. */
static size_t find_free(const struct bootmap *map, uint64_t start, uint64_t last)
{
    size_t i = 0;
    /*@ loop invariant 0 <= i <= map->count;
        loop assigns i;
        loop variant map->count - i;
    */
    while (i < map->count && (!is_free(&map->ranges[i]) || map->ranges[i].last < start))
        i++;
    return i < map->count && map->ranges[i].start <= last ? i : map->count;
}

enum mem_err bootmap_reserve(struct bootmap *map, uint64_t start, uint64_t length,
                             enum frame_owner owner)
{
    if (!map->finished)
        return MEM_NOT_INIT;
    if (map->closed)
        return MEM_CLOSED;
    if (owner == OWNER_NONE || owner >= OWNER_COUNT)
        return MEM_BAD_ARG;
    if (!length)
        return MEM_OK;
    uint64_t last = length - 1 > UINT64_MAX - start ? UINT64_MAX : start + (length - 1);
    start = page_first(start);
    last = page_last(last);
    if (map->capacity - map->count < 2) /* only the first and the last piece can split a range */
        return MEM_FULL;

    for (size_t i; (i = find_free(map, start, last)) < map->count;) {
        const struct boot_range *r = &map->ranges[i];
        assign(map, i, greatest(start, r->start), least(last, r->last), owner);
    }
    return MEM_OK;
}

/* The lowest fitting address in [from, last], all ends inclusive; false: none. */
static bool fit(uint64_t from, uint64_t last, uint64_t bytes, unsigned shift, uint64_t *at)
{
    uint64_t unit = 1ull << shift;
    if (from > UINT64_MAX - (unit - 1))
        return false;
    *at = (from + (unit - 1)) & ~(unit - 1);
    return *at <= last && last - *at >= bytes - 1;
}

enum mem_err bootmap_take(struct bootmap *map, size_t frames, unsigned align_log2, uint64_t below,
                          enum frame_owner owner, pfn_t *first)
{
    if (!map->finished)
        return MEM_NOT_INIT;
    if (map->closed)
        return MEM_CLOSED;
    if (!frames || align_log2 > 51 || owner == OWNER_NONE || owner >= OWNER_COUNT)
        return MEM_BAD_ARG;
    if (map->capacity - map->count < 2)
        return MEM_FULL;

    uint64_t top = below ? below - 1 : UINT64_MAX;
    if (map->limit)
        top = least(top, map->limit - 1);
    uint64_t bytes = (uint64_t)frames << PAGE_SHIFT, at;
    if (bytes >> PAGE_SHIFT != frames)
        return MEM_NO_FRAME;
    for (size_t i = 0; i < map->count; i++) {
        const struct boot_range *r = &map->ranges[i];
        if (!is_free(r) ||
            !fit(greatest(r->start, MIB), least(r->last, top), bytes, PAGE_SHIFT + align_log2, &at))
            continue;
        assign(map, i, at, at + (bytes - 1), owner);
        *first = paddr_pfn(PA(at));
        return MEM_OK;
    }
    return MEM_NO_FRAME;
}

/* The usable range that holds all of [start, last] for `owner`, or count. */
static size_t find_held(const struct bootmap *map, uint64_t start, uint64_t last,
                        enum frame_owner owner)
{
    size_t i = 0;
    /*@ loop invariant 0 <= i <= map->count;
        loop assigns i;
        loop variant map->count - i;
    */
    while (i < map->count && map->ranges[i].last < start)
        i++;
    if (i == map->count)
        return i;
    const struct boot_range *r = &map->ranges[i];
    bool held =
        r->kind == RANGE_USABLE && r->owner == owner && r->start <= start && last <= r->last;
    return held ? i : map->count;
}

enum mem_err bootmap_give(struct bootmap *map, pfn_t first, size_t frames, enum frame_owner owner)
{
    if (!map->finished)
        return MEM_NOT_INIT;
    if (map->closed)
        return MEM_CLOSED;
    uint64_t start = pfn_paddr(first).v, bytes = (uint64_t)frames << PAGE_SHIFT;
    if (!frames || bytes >> PAGE_SHIFT != frames || owner == OWNER_NONE || owner >= OWNER_COUNT)
        return MEM_BAD_ARG;
    if (bytes - 1 > UINT64_MAX - start)
        return MEM_NOT_HELD;
    size_t i = find_held(map, start, start + (bytes - 1), owner);
    if (i == map->count)
        return MEM_NOT_HELD;
    const struct boot_range *r = &map->ranges[i];
    if (map->capacity - map->count < (size_t)(start > r->start) + (r->last - start > bytes - 1))
        return MEM_FULL;
    assign(map, i, start, start + (bytes - 1), OWNER_NONE);
    return MEM_OK;
}

void bootmap_close(struct bootmap *map)
{
    map->closed = true;
}

/* ---- sums ----------------------------------------------------------------------------------- */

struct bootmap_totals bootmap_totals(const struct bootmap *map)
{
    struct bootmap_totals t = {0};
    uint64_t limit = map->limit ? map->limit >> PAGE_SHIFT : UINT64_MAX;
    for (size_t i = 0; i < map->count; i++) {
        const struct boot_range *r = &map->ranges[i];
        if (r->kind != RANGE_USABLE)
            continue;
        uint64_t start = r->start >> PAGE_SHIFT, end = (r->last >> PAGE_SHIFT) + 1;
        uint64_t cut = greatest(start, least(end, limit));
        t.usable_frames += cut - start;
        t.owned_frames[r->owner] += cut - start;
        t.above_limit_frames += end - cut;
        if (cut > start)
            t.highest_frame = cut;
    }
    return t;
}
