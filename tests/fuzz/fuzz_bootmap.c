/* SPDX-License-Identifier: MIT */
/*
 * fuzz_bootmap.c - any firmware map, then any reservations: page for page what it should be.
 *
 * The oracle knows no sweep and no rounding of ranges. It cuts the address space into stretches of
 * pages at every page where any entry begins or ends, asks of one page in each stretch what the
 * entries make of it (a page is usable when each of its bytes is, and of the most restrictive other
 * kind that touches it otherwise), and joins neighbours that say the same. The map must be exactly
 * that. Reservations then cut stretches further; the early allocator's answer must be the lowest
 * that fits.
 */
#include <mem/bootmap.h>

#include "fuzz.h"

enum { ENTRIES = 24, STRETCHES = 400, ROOM = 128, OPS = 12 };
#define MASK ((uint64_t)PAGE_SIZE - 1)

struct entry {
    uint64_t start, last;
    enum range_kind kind;
};

static struct entry entry[ENTRIES];
static size_t entries;
static struct boot_range model[STRETCHES]; /* sorted, disjoint, perhaps not joined */
static size_t stretches;
static struct boot_range array[ROOM];
static struct bootmap map;

/* ---- what the entries make of a page -------------------------------------------------------- */

/* Is every byte of [at, last] inside a usable entry? */
static bool covered(uint64_t at, uint64_t last)
{
    for (;;) {
        uint64_t reach = at;
        bool any = false;
        for (size_t i = 0; i < entries; i++) {
            const struct entry *e = &entry[i];
            if (e->kind != RANGE_USABLE || e->start > at || e->last < at)
                continue;
            any = true;
            reach = e->last > reach ? e->last : reach;
        }
        if (!any)
            return false;
        if (reach >= last)
            return true;
        at = reach + 1;
    }
}

/* RANGE_KIND_COUNT: not in the map at all. */
static enum range_kind page_kind(uint64_t page)
{
    uint64_t last = page | MASK;
    enum range_kind worst = RANGE_USABLE;
    for (size_t i = 0; i < entries; i++) {
        if (entry[i].kind > worst && entry[i].start <= last && entry[i].last >= page)
            worst = entry[i].kind;
    }
    return worst != RANGE_USABLE ? worst : covered(page, last) ? RANGE_USABLE : RANGE_KIND_COUNT;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The pages at which the answer may change, sorted. */
static size_t borders(uint64_t *out)
{
    size_t n = 0;
    out[n++] = 0;
    for (size_t i = 0; i < entries; i++) {
        uint64_t first = entry[i].start & ~MASK, last = entry[i].last & ~MASK;
        out[n++] = first;
        out[n++] = last;
        if (first <= UINT64_MAX - PAGE_SIZE)
            out[n++] = first + PAGE_SIZE;
        if (last <= UINT64_MAX - PAGE_SIZE)
            out[n++] = last + PAGE_SIZE;
    }
    qsort(out, n, sizeof *out, by_value);
    return n;
}

static void make_model(void)
{
    static uint64_t at[4 * ENTRIES + 1];
    size_t n = borders(at);
    stretches = 0;
    for (size_t i = 0; i < n; i++) {
        if (i + 1 < n && at[i + 1] == at[i])
            continue;
        enum range_kind kind = page_kind(at[i]);
        uint64_t last = i + 1 < n ? at[i + 1] - 1 : UINT64_MAX;
        if (kind != RANGE_KIND_COUNT)
            model[stretches++] = (struct boot_range){at[i], last, kind, OWNER_NONE};
    }
}

/* ---- the model under reservations ----------------------------------------------------------- */

/* Makes `at` the start of a stretch, if it is inside one. */
static void cut(uint64_t at)
{
    for (size_t i = 0; i < stretches; i++) {
        if (model[i].start >= at || model[i].last < at)
            continue;
        memmove(&model[i + 1], &model[i], (stretches++ - i) * sizeof *model);
        model[i].last = at - 1;
        model[i + 1].start = at;
        return;
    }
}

static bool is_free(const struct boot_range *r)
{
    return r->kind == RANGE_USABLE && r->owner == OWNER_NONE;
}

static void own(uint64_t start, uint64_t last, enum frame_owner owner)
{
    cut(start);
    if (last != UINT64_MAX)
        cut(last + 1);
    for (size_t i = 0; i < stretches; i++) {
        if (is_free(&model[i]) && model[i].start >= start && model[i].last <= last)
            model[i].owner = owner;
    }
}

static void join(void)
{
    size_t out = 0;
    for (size_t i = 0; i < stretches; i++) {
        struct boot_range *before = &model[out - !!out];
        if (out && before->last + 1 == model[i].start && before->kind == model[i].kind &&
            before->owner == model[i].owner)
            before->last = model[i].last;
        else
            model[out++] = model[i];
    }
    stretches = out;
}

/* ---- comparing ------------------------------------------------------------------------------ */

static void compare(void)
{
    const char *broken;
    CLAIM(bootmap_holds(&map, &broken), "%s", broken);
    join();
    CLAIM(map.count == stretches, "%zu ranges for %zu", map.count, stretches);
    for (size_t i = 0; i < stretches; i++) {
        const struct boot_range *a = &map.ranges[i], *b = &model[i];
        CLAIM(a->start == b->start && a->last == b->last && a->kind == b->kind &&
                  a->owner == b->owner,
              "range %zu: %llx-%llx %s for %llx-%llx %s", i, (unsigned long long)a->start,
              (unsigned long long)a->last, range_kind_name(a->kind), (unsigned long long)b->start,
              (unsigned long long)b->last, range_kind_name(b->kind));
    }
}

static uint64_t pages_below(const struct boot_range *r, uint64_t limit)
{
    if (!limit || r->last < limit)
        return (r->last >> PAGE_SHIFT) - (r->start >> PAGE_SHIFT) + 1;
    limit &= ~MASK;
    return limit <= r->start ? 0 : (limit - r->start) >> PAGE_SHIFT;
}

static void compare_totals(void)
{
    struct bootmap_totals t = bootmap_totals(&map);
    uint64_t usable = 0, above = 0, owned = 0, highest = 0;
    for (size_t i = 0; i < stretches; i++) {
        const struct boot_range *r = &model[i];
        if (r->kind != RANGE_USABLE)
            continue;
        uint64_t below = pages_below(r, map.limit);
        usable += below;
        above += pages_below(r, 0) - below;
        highest = below ? (r->start >> PAGE_SHIFT) + below : highest;
    }
    for (unsigned o = 0; o < OWNER_COUNT; o++)
        owned += t.owned_frames[o];
    CLAIM(t.usable_frames == usable && owned == usable, "usable frames");
    CLAIM(t.above_limit_frames == above, "frames above the limit");
    CLAIM(t.highest_frame == highest, "highest frame");
}

/* ---- calls ---------------------------------------------------------------------------------- */

/* An address near one that matters: 0, a power of two, the top, the end of an entry. */
static uint64_t pick_address(struct choices *c)
{
    uint8_t how = pick8(c);
    int64_t by = (int8_t)pick8(c);
    if (how & 0x80)
        by *= (int64_t)PAGE_SIZE;
    switch (how % 4) {
    case 0:
        return (1ull << (pick8(c) & 63)) + (uint64_t)by;
    case 1:
        return (entries ? entry[pick8(c) % entries].last : 0) + (uint64_t)by;
    case 2:
        return (uint64_t)pick16(c) * 1024 + (uint64_t)by;
    default:
        return pick64(c);
    }
}

static void add(struct choices *c)
{
    uint64_t start = pick_address(c), end = pick_address(c);
    uint64_t length = pick8(c) & 1 ? end : end - start; /* the first often wraps */
    enum range_kind kind = pick8(c) % (RANGE_KIND_COUNT + 1);
    size_t dropped = map.dropped, clamped = map.clamped, count = map.count;
    enum mem_err err = bootmap_add(&map, start, length, kind);
    bool wraps = length && length - 1 > UINT64_MAX - start;
    if (kind == RANGE_KIND_COUNT) {
        CLAIM(err == MEM_BAD_ARG, "kind %u", kind);
    } else if (!length) {
        CLAIM(err == MEM_OK && map.dropped == dropped + 1, "an empty entry");
    } else if (map.capacity - count < 2) {
        CLAIM(err == MEM_FULL && map.count == count, "no room");
    } else {
        CLAIM(err == MEM_OK && map.clamped == clamped + wraps, "entry of %s",
              range_kind_name(kind));
        entry[entries++] = (struct entry){start, wraps ? UINT64_MAX : start + length - 1, kind};
    }
}

static void reserve(struct choices *c)
{
    uint64_t start = pick_address(c), length = pick_address(c);
    enum frame_owner owner = pick8(c) % (OWNER_COUNT + 1);
    uint64_t last = length - 1 > UINT64_MAX - start ? UINT64_MAX : start + length - 1;
    enum mem_err err = bootmap_reserve(&map, start, length, owner);
    if (owner == OWNER_NONE || owner == OWNER_COUNT)
        CLAIM(err == MEM_BAD_ARG, "owner %u", owner);
    else if (length && map.capacity - stretches < 2)
        CLAIM(err == MEM_FULL, "no room");
    else
        CLAIM(err == MEM_OK, "%s", mem_err_name(err));
    if (!err && length)
        own(start & ~MASK, last | MASK, owner);
}

/* The lowest free run that fits, by the model, or UINT64_MAX. */
static uint64_t lowest(uint64_t bytes, uint64_t unit, uint64_t top)
{
    for (size_t i = 0; i < stretches; i++) {
        uint64_t at = model[i].start < 1 << 20 ? 1 << 20 : model[i].start;
        uint64_t last = model[i].last < top ? model[i].last : top;
        if (!is_free(&model[i]))
            continue;
        if (at % unit && at > UINT64_MAX - unit)
            continue;
        at = at % unit ? at - at % unit + unit : at;
        if (at <= last && last - at >= bytes - 1)
            return at;
    }
    return UINT64_MAX;
}

static void take(struct choices *c)
{
    size_t frames = pick8(c) & 1 ? pick8(c) : (size_t)(pick_address(c) >> PAGE_SHIFT);
    unsigned align = pick8(c) % 54;
    uint64_t below = pick8(c) & 1 ? 0 : pick_address(c);
    pfn_t first = PFN(77);
    enum mem_err err = bootmap_take(&map, frames, align, below, OWNER_EARLY, &first);
    uint64_t bytes = (uint64_t)frames * PAGE_SIZE, top = below - 1; /* 0: all */
    if (map.limit && map.limit - 1 < top)
        top = map.limit - 1;
    if (!frames || align > 51) {
        CLAIM(err == MEM_BAD_ARG, "%zu frames at 2^%u", frames, align);
        return;
    }
    if (map.capacity - stretches < 2) {
        CLAIM(err == MEM_FULL, "no room");
        return;
    }
    uint64_t at =
        bytes / PAGE_SIZE == frames ? lowest(bytes, (uint64_t)PAGE_SIZE << align, top) : UINT64_MAX;
    CLAIM(err == (at == UINT64_MAX ? MEM_NO_FRAME : MEM_OK), "%s", mem_err_name(err));
    CLAIM(err ? first.v == 77 : pfn_paddr(first).v == at, "frame %zx for %llx", (size_t)first.v,
          (unsigned long long)at);
    if (!err)
        own(at, at + (bytes - 1), OWNER_EARLY);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct choices c = {data, data + bytes};
    entries = 0;
    uint8_t n = pick8(&c);
    uint64_t limit = n & 0x80 ? pick_address(&c) : n & 0x40 ? 1ull << 32 : 0;
    size_t room = n & 0x20 ? 1 + pick8(&c) % 16 : ROOM;
    CLAIM(bootmap_init(&map, array, room, limit) == MEM_OK, "init");
    uint64_t names = sizeof(vword_t) == 4 ? 0xffffffff000 : 0; /* frame ~0 is PFN_NONE */
    CLAIM(map.limit == (limit - 1 < names - 1 ? limit : names), "limit");
    for (n %= ENTRIES; n; n--)
        add(&c);
    CLAIM(bootmap_finish(&map) == MEM_OK, "finish");
    make_model();
    compare();
    compare_totals();
    for (n = 0; n < OPS && more(&c); n++) {
        if (pick8(&c) & 1)
            reserve(&c);
        else
            take(&c);
        compare();
        compare_totals();
    }
    return 0;
}
