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

static bool is_held(struct boot_range r, enum frame_owner owner)
{
    return r.kind == RANGE_USABLE && r.owner == owner;
}

/* The usable range that holds all of [start, last] for `owner`, or count. */
static size_t find_held(const struct bootmap *map, uint64_t start, uint64_t last,
                        enum frame_owner owner)
{
    size_t i = 0;
    /*@ loop invariant 0 <= i <= map->count;
        loop invariant \forall integer j; 0 <= j < i ==> map->ranges[j].last < start;
        loop assigns i;
        loop variant map->count - i;
    */
    while (i < map->count && map->ranges[i].last < start)
        i++;
    if (i == map->count)
        return i;
    struct boot_range r = map->ranges[i];
    return is_held(r, owner) && r.start <= start && last <= r.last ? i : map->count;
}

/* Moves ranges [index, count) one up: ranges[index] is there twice now. */
static void open_gap(struct boot_range *r, size_t index, size_t count)
{
    /*@ loop invariant index <= i <= count && known(r, count) && (i < count ==> good(r, count));
        loop assigns i, r[index + 1 .. count];
        loop variant i;
    */
    for (size_t i = count; i > index; i--) {
        r[i] = r[i - 1];
        /*@ assert stored{LoopCurrent, Here}(r, i); */
    }
}

/* Cuts ranges[index] in two before `at`, a byte of it but not the first. */
static void split(struct bootmap *map, size_t index, uint64_t at)
{
    open_gap(map->ranges, index, map->count++);
    map->ranges[index].last = at - 1;
    map->ranges[index + 1].start = at;
}

/* Gives the ranges of `from` that lie inside [start, last] to `to`; how many there are then. */
static size_t pass_on(struct boot_range *r, size_t count, uint64_t start, uint64_t last,
                      enum frame_owner from, enum frame_owner to)
{
    size_t out = 0;
    /*@ loop invariant 0 <= out <= i <= count && (i > 0 ==> out > 0) && known(r, count);
        loop assigns i, out, r[0 .. count - 1];
        loop variant count - i;
    */
    for (size_t i = 0; i < count; i++) {
        struct boot_range now = r[i];
        if (is_held(now, from) && start <= now.start && now.last <= last)
            now.owner = to;
        out = put_behind(r, out, now);
    }
    return out;
}

/* Gives what `from` has of [start, last] to `to`. */
static enum mem_err hand_over(struct bootmap *map, uint64_t start, uint64_t last,
                              enum frame_owner from, enum frame_owner to)
{
    size_t none = map->count;
    size_t low = start ? find_held(map, start - 1, start, from) : none;
    size_t high = last < UINT64_MAX ? find_held(map, last, last + 1, from) : none;
    if (map->capacity - map->count < (size_t)(low < none) + (high < none))
        return MEM_FULL;
    /*@ assert low < none ==> high < none ==> low <= high; */
    if (high < none)
        split(map, high, last + 1);
    /*@ assert low < none ==> map->ranges[low].start < start <= map->ranges[low].last; */
    if (low < none)
        split(map, low, start);
    map->count = pass_on(map->ranges, map->count, start, last, from, to);
    return MEM_OK;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t greatest(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
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
    if (map->capacity - map->count < 2)
        return MEM_FULL;
    return hand_over(map, page_first(start), page_last(last), OWNER_NONE, owner);
}

/* The lowest address in [from, last] where `bytes` fit, ends inclusive; 0: none, or from is 0. */
static uint64_t fit(uint64_t from, uint64_t last, uint64_t bytes, unsigned shift)
{
    uint64_t mask = (1ull << shift) - 1;
    if (from > UINT64_MAX - mask)
        return 0;
    uint64_t up = from + mask, at = up - (up & mask);
    /*@ assert mask == pow2(shift) - 1; */
    /*@ assert (up & mask) == rem(up, shift); */
    return at <= last && last - at >= bytes - 1 ? at : 0;
}

/* The lowest address from 1 MiB on where a free range has room up to `top`, or 0. */
static uint64_t find_room(const struct bootmap *map, uint64_t top, uint64_t bytes, unsigned shift)
{
    /*@ loop invariant 0 <= i <= map->count;
        loop assigns i;
        loop variant map->count - i;
    */
    for (size_t i = 0; i < map->count; i++) {
        struct boot_range r = map->ranges[i];
        uint64_t at = fit(greatest(r.start, MIB), least(r.last, top), bytes, shift);
        if (at && is_held(r, OWNER_NONE))
            return at;
    }
    return 0;
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
    uint64_t bytes = (uint64_t)frames << PAGE_SHIFT;
    if (bytes >> PAGE_SHIFT != frames)
        return MEM_NO_FRAME;
    uint64_t at = find_room(map, top, bytes, PAGE_SHIFT + align_log2);
    if (!at)
        return MEM_NO_FRAME;
    enum mem_err err = hand_over(map, at, at + (bytes - 1), OWNER_NONE, owner);
    *first = paddr_pfn(PA(at));
    return err;
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
    uint64_t last = start + (bytes - 1);
    if (find_held(map, start, last, owner) == map->count)
        return MEM_NOT_HELD;
    return hand_over(map, start, last, owner, OWNER_NONE);
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
    /*@ loop invariant 0 <= i <= map->count;
        loop assigns i, t;
        loop variant map->count - i;
    */
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
