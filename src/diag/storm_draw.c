/* SPDX-License-Identifier: MIT */
/*
 * storm_draw.c - what the next call of a storm is.
 *
 * Eight numbers are drawn for each call, never more or fewer, and nothing but them and what earlier
 * calls returned decides it: one seed is one sequence of calls, on every target. Left to chance
 * alone most would miss, so half the changes begin where something was mapped, and addresses gather
 * where large pages begin and at the boundary in the middle of each place.
 */
#include "diag/storm.h"

#include "kernel.h"

enum { LARGE_UNIT_PAGES = (4 << 20) >> 12, DRAWS = 8 };

static uint32_t random_next(uint32_t *state) /* xorshift32 */
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    return *state ^= *state << 5;
}

/* Single pages, a few, hundreds, whole tables. */
static uint32_t draw_pages(uint32_t r)
{
    static const uint32_t at_most[] = {1, 4, 40, 600, 1024, 2048, 4096, 16};
    uint32_t most = at_most[r & 7];
    return most == 1024 || most == 2048 ? most : 1 + (r >> 3) % most;
}

/* Anywhere; at a large page's begin; or a few pages around the middle, where a boundary is. */
static uint32_t draw_page(const struct storm_place *at, uint32_t r)
{
    uint32_t page = (r >> 3) % at->pages;
    if ((r & 7) < 3)
        return page & ~(LARGE_UNIT_PAGES - 1u);
    if ((r & 7) < 5)
        return at->pages / 2 - 8 + (r >> 3) % 16;
    return page;
}

/* 1 to 2 GiB, congruent to va where large pages shall fit; one in 32 around the physical limit. */
static paddr_t draw_physical(vword_t va, uint32_t r)
{
    uint32_t unit_mask = LARGE_UNIT_PAGES * PAGE_SIZE - 1;
    if (r % 32 == 31)
        return PA((1ull << kernel.features.phys_bits) - ((r >> 5) % 6) * PAGE_SIZE);
    uint64_t pa = (1ull << 30) + ((uint64_t)(r >> 2) % (1u << 18) << PAGE_SHIFT);
    if (r & 3)
        pa = (pa & ~(uint64_t)unit_mask) | ((uint32_t)va & unit_mask);
    return PA(pa);
}

/* Every flag there is; one in 32 has one that there is not. */
static unsigned draw_flags(uint32_t r)
{
    unsigned flags = r & MAP_FLAGS_ALL;
    if ((r >> 8) % 4)
        flags &= ~(unsigned)(flags & MAP_WRITE ? MAP_EXEC : 0); /* most keep to W^X */
    return (r >> 12) % 32 ? flags : flags | (MAP_FLAGS_ALL + 1) << (r >> 17) % 8;
}

static struct storm_run part_of(struct storm_run whole, uint32_t r)
{
    if (r & 1)
        return whole;
    uint32_t skip = (r >> 1) % whole.pages;
    return (struct storm_run){whole.page + skip, 1 + (r >> 9) % (whole.pages - skip)};
}

/* The window of map_mmio is no place; numbers for it are drawn as for the first. */
static struct storm_place *draw_place(enum storm_verb verb, uint32_t r)
{
    return &storm.place[verb < MMIO ? r % STORM_PLACES : 0];
}

/* A place for large pages gets whole large pages, but single ones are changed to split them. */
static void keep_large(struct storm_call *c)
{
    uint32_t unit = LARGE_UNIT_PAGES;
    c->verb = c->verb == MAP_PAGE ? MAP_RANGE : c->verb;
    c->run.page &= ~(unit - 1);
    c->run.pages = (c->run.pages * 256 + unit - 1) & ~(unit - 1);
    c->flags &= ~(unsigned)MAP_NO_LARGE;
}

static enum storm_verb draw_verb(uint32_t r)
{
    static const enum storm_verb verbs[16] = {
        MAP_PAGE,      MAP_PAGE,      MAP_RANGE,   MAP_RANGE,    MAP_RANGE,    MAP_RANGE,
        UNMAP_PAGE,    UNMAP_RANGE,   UNMAP_RANGE, PROTECT_PAGE, PROTECT_PAGE, PROTECT_RANGE,
        PROTECT_RANGE, PROTECT_RANGE, MMIO,        UNMMIO,
    };
    return verbs[r % 16];
}

/* Changes mostly take part of what a call before has mapped. */
static struct storm_run draw_run(const struct storm_place *at, bool change, uint32_t r, uint32_t s)
{
    struct storm_run known = at->run[r % STORM_REMEMBERED];
    if (change && known.pages && r >> 8 & 7)
        return part_of(known, s);
    return (struct storm_run){draw_page(at, s), draw_pages(r >> 4)};
}

struct storm_call storm_draw(uint32_t *state)
{
    uint32_t r[DRAWS];
    for (unsigned i = 0; i < DRAWS; i++)
        r[i] = random_next(state) >> 4; /* the lowest bits are the poorest */

    struct storm_call c = {.verb = draw_verb(r[0]), .flags = draw_flags(r[5])};
    c.at = draw_place(c.verb, r[1]);
    bool change = c.verb >= UNMAP_PAGE && c.verb <= PROTECT_RANGE;
    c.run = draw_run(c.at, change, r[2], r[3]);
    if (c.at->large && !change)
        keep_large(&c);
    if (c.run.pages > c.at->pages - c.run.page)
        c.run.pages = c.at->pages - c.run.page;

    vword_t va = c.at->va.v + ((vword_t)c.run.page << PAGE_SHIFT);
    c.pa = c.at->large ? PA((1ull << 30) | ((uint32_t)va & 0x3fffffff)) : draw_physical(va, r[4]);
    c.odd = r[6] % 32 ? 0 : 1 + (r[6] >> 5) % 4095;
    c.odd_which = r[7] % 4;
    return c;
}
