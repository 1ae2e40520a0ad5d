/* SPDX-License-Identifier: MIT */
/*
 * bootmap.c - any firmware map made canonical by one sweep.
 *
 * While entries are added the array holds events: "from here on one more (or one less) of this
 * kind". bootmap_finish sorts them and sweeps once, keeping a count for each kind; where the most
 * restrictive kind present changes, a range ends and another begins. A range comes out only after
 * the events that made it went in, so the result overwrites the events in place. Then ranges are
 * rounded to pages, again in place.
 *
 * Whose the pages are then is in bootmap_owners.c.
 *
 *   B1  ranges are sorted, disjoint and whole pages.
 *   B2  neighbours that touch differ in kind or owner.
 *   B3  only usable ranges have an owner.
 *   B4  count <= capacity.
 */
#include "bootmap_range.h"

/* 0: a pfn_t can name every frame there is. Else (32 bits) the first byte of PFN_NONE, no frame. */
static uint64_t end_of_names(void)
{
    uint64_t end = pfn_paddr(PFN_NONE).v;
    return end >> PAGE_SHIFT == PFN_NONE.v ? end : 0;
}

enum mem_err bootmap_init(struct bootmap *map, struct boot_range *array, size_t capacity,
                          uint64_t limit)
{
    if (!array || !capacity)
        return MEM_BAD_ARG;
    if (limit - 1 > end_of_names() - 1) /* 0 is the highest of all */
        limit = end_of_names();
    *map = (struct bootmap){.ranges = array, .capacity = capacity, .limit = limit};
    return MEM_OK;
}

/* An event: at `start`, one more (`last` 1) or one less (`last` 0) of `kind`. */
static void add_event(struct bootmap *map, uint64_t at, bool begins, enum range_kind kind)
{
    map->ranges[map->count++] = (struct boot_range){at, begins, kind, OWNER_NONE};
}

enum mem_err bootmap_add(struct bootmap *map, uint64_t start, uint64_t length, enum range_kind kind)
{
    if (map->finished)
        return MEM_ALREADY_INIT;
    if ((unsigned)kind >= RANGE_KIND_COUNT)
        return MEM_BAD_ARG;
    if (!length) {
        map->dropped++;
        return MEM_OK;
    }
    if (map->capacity - map->count < 2)
        return MEM_FULL;

    bool wraps = length - 1 > UINT64_MAX - start;
    uint64_t last = wraps ? UINT64_MAX : start + (length - 1);
    /*@ assert wraps <==> start + length > UINT64_MAX + 1; */
    /*@ assert last == \min(start + length - 1, UINT64_MAX); */
    map->clamped += wraps;
    add_event(map, start, true, kind);
    if (last != UINT64_MAX)
        add_event(map, last + 1, false, kind);
    return MEM_OK;
}

/* ---- sorting: heapsort, in place, no recursion ---------------------------------------------- */

/* Puts `now` where it belongs, at the hole or below: greater ones move up. */
static void sift_down(struct boot_range *heap, size_t count, size_t hole, struct boot_range now)
{
    /*@ loop invariant hole < count && known(heap, count);
        loop assigns hole, heap[0 .. count - 1];
        loop variant count - hole;
    */
    while (2 * hole + 1 < count) {
        size_t child = 2 * hole + 1;
        if (child + 1 < count && heap[child].start < heap[child + 1].start)
            child++;
        if (now.start >= heap[child].start)
            break;
        heap[hole] = heap[child];
        /*@ assert stored{LoopCurrent, Here}(heap, hole); */
        hole = child;
    }
    /*@ ghost found: ; */
    heap[hole] = now;
    /*@ assert stored{found, Here}(heap, hole); */
}

static void sort_by_start(struct boot_range *r, size_t count)
{
    /*@ loop invariant 0 <= i <= count / 2 && known(r, count);
        loop assigns i, r[0 .. count - 1];
        loop variant i;
    */
    for (size_t i = count / 2; i-- > 0;)
        sift_down(r, count, i, r[i]);
    /*@ loop invariant 0 <= left <= count && known(r, count);
        loop assigns left, r[0 .. count - 1];
        loop variant left;
    */
    for (size_t left = count; left-- > 1;) {
        struct boot_range last = r[left];
        /*@ assert good(r, left); */
        r[left] = r[0];
        /*@ assert stored{LoopCurrent, Here}(r, left); */
        /*@ assert known(r, count); */
        /*@ ghost moved: ; */
        sift_down(r, left, 0, last);
        /*@ assert \forall integer i; left <= i < count ==> good{moved}(r, i) ==> good(r, i); */
    }
}

/* ---- the sweep ------------------------------------------------------------------------------ */

/* The most restrictive kind with a count, or RANGE_KIND_COUNT where there is none. */
static enum range_kind strongest(const size_t *active)
{
    /*@ loop invariant 0 <= k <= RANGE_KIND_COUNT;
        loop invariant \forall integer j; k <= j < RANGE_KIND_COUNT ==> active[j] == 0;
        loop assigns k;
        loop variant k;
    */
    for (enum range_kind k = RANGE_KIND_COUNT; k-- > 0;) {
        if (active[k])
            return k;
    }
    return RANGE_KIND_COUNT;
}

/* Counts the events at the address of event i; the first behind them. */
static size_t count_events(const struct boot_range *r, size_t i, size_t events, size_t *active)
{
    uint64_t at = r[i].start;
    /*@ loop invariant \at(i, Pre) <= i <= events && (i == \at(i, Pre) ==> r[i].start == at);
        loop assigns i, active[0 .. RANGE_KIND_COUNT - 1];
        loop variant events - i;
    */
    for (; i < events && r[i].start == at; i++) {
        /*@ assert good(r, i); */
        if (r[i].last)
            active[r[i].kind]++;
        else
            active[r[i].kind]--;
    }
    return i;
}

/* Events -> ranges to the byte, disjoint, neighbours of one kind joined. */
static size_t sweep(struct boot_range *r, size_t events)
{
    size_t active[RANGE_KIND_COUNT] = {0}, out = 0;
    enum range_kind now = RANGE_KIND_COUNT;
    uint64_t since = 0;
    /*@ loop invariant 0 <= out <= i <= events && now <= RANGE_KIND_COUNT;
        loop invariant known(r, events);
        loop invariant now < RANGE_KIND_COUNT ==> out < i;
        loop assigns i, out, now, since, active[0 .. RANGE_KIND_COUNT - 1], r[0 .. events - 1];
        loop variant events - i;
    */
    for (size_t i = 0; i < events;) {
        uint64_t at = r[i].start;
        i = count_events(r, i, events, active);
        enum range_kind next = strongest(active);
        if (next == now)
            continue;
        if (now != RANGE_KIND_COUNT) {
            r[out++] = (struct boot_range){since, at - 1, now, OWNER_NONE};
            /*@ assert stored{LoopCurrent, Here}(r, \at(out, LoopCurrent)); */
        }
        now = next;
        since = at;
    }
    if (now != RANGE_KIND_COUNT) /* an entry reaches 2^64, and has no end event */
        r[out++] = (struct boot_range){since, UINT64_MAX, now, OWNER_NONE};
    return out;
}

/* ---- rounding ------------------------------------------------------------------------------- */

/* Usable inward, everything else outward; false when nothing is left. */
static bool round_range(struct boot_range *r)
{
    if (r->kind != RANGE_USABLE) {
        r->start = page_first(r->start);
        r->last = page_last(r->last);
        return true;
    }
    if (r->start > UINT64_MAX - PAGE_MASK)
        return false;
    uint64_t start = page_first(r->start + PAGE_MASK);
    uint64_t end = page_first(r->last + 1); /* 0 also when the range reaches 2^64 */
    if (r->last != UINT64_MAX && end <= start)
        return false;
    r->start = start;
    r->last = end - 1;
    return true;
}

/*
 * Two ranges may both have a byte of one page. The more restrictive one gets the page; the other
 * gives up that page, and with it perhaps all it had. False: `r` had nothing else.
 */
static bool settle(struct boot_range *out, size_t *count, struct boot_range *r)
{
    /*@ loop invariant 0 <= *count <= \at(*count, Pre);
        loop assigns *count;
        loop variant *count;
    */
    while (*count && out[*count - 1].last >= r->start) {
        struct boot_range *before = &out[*count - 1];
        if (before->kind >= r->kind) {
            if (before->last >= r->last)
                return false;
            r->start = before->last + 1;
            return true;
        }
        if (before->start < r->start) {
            before->last = r->start - 1;
            return true;
        }
        --*count;
    }
    return true;
}

static size_t round_all(struct boot_range *r, size_t count)
{
    size_t out = 0;
    /*@ loop invariant 0 <= out <= i <= count && known(r, count);
        loop assigns i, out, r[0 .. count - 1];
        loop variant count - i;
    */
    for (size_t i = 0; i < count; i++) {
        struct boot_range now = r[i];
        if (!round_range(&now) || !settle(r, &out, &now))
            continue;
        out = put_behind(r, out, now);
    }
    return out;
}

enum mem_err bootmap_finish(struct bootmap *map)
{
    if (map->finished)
        return MEM_ALREADY_INIT;
    sort_by_start(map->ranges, map->count);
    map->count = sweep(map->ranges, map->count);
    map->count = round_all(map->ranges, map->count);
    map->finished = true;
    return MEM_OK;
}
