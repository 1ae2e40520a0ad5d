/* SPDX-License-Identifier: MIT */
/* heap_tree_check.c - T1 to T4 of heap_tree.c, as code. Reads only. */
#include "heap_tree.h"

/* The sides of the j-th fork of a level. */
static const uint32_t *sides_of(const struct heap *h, unsigned level, size_t j)
{
    if (level == 1)
        return most_at(record_at(h, j / SIDES), j * SIDES);
    if (level == LEVELS_MIN)
        return record_at(h, j)->eights.most;
    size_t first = j << SIDES_LOG * (level - LEVELS_MIN);
    return record_at(h, first + level - LEVELS_MIN - 1)->upper.most;
}

static uint32_t largest_below(const struct heap *h, unsigned level, size_t j)
{
    const uint32_t *side = sides_of(h, level, j);
    uint32_t most = 0;
    for (unsigned i = 0; i < SIDES; i++)
        most = side[i] > most ? side[i] : most;
    return most;
}

/* T2, T4: a fork knows of those below it, and of nothing behind them. Where there is no block,
 * pages tell nothing. */
static bool fork_holds(const struct heap *h, unsigned level, size_t j, size_t below)
{
    const uint32_t *side = sides_of(h, level, j);
    for (size_t i = j * SIDES; i < (j + 1) * SIDES; i++, side++) {
        if (level == LEVELS_MIN && !*side)
            continue;
        if (*side != (i < below ? largest_below(h, level - 1, i) : 0))
            return false;
    }
    return true;
}

static bool forks_hold(const struct heap *h)
{
    size_t below = h->records * SIDES;
    for (unsigned level = LEVELS_MIN; level <= h->levels; level++) {
        size_t forks = (below + SIDES - 1) / SIDES;
        for (size_t j = 0; j < forks; j++) {
            if (!fork_holds(h, level, j, below))
                return false;
        }
        below = forks;
    }
    return below == 1 && h->most == largest_below(h, h->levels, 0);
}

/* The units of the large free block that ends there, 0: there is none. */
static size_t units_of(const struct heap *h, const struct block *end)
{
    if (end <= heap_first(h) || end > h->wild || (uintptr_t)block_payload(end) % UNIT)
        return 0;
    uint64_t units = units_before(end);
    bool known = units >= LARGE && units <= units_between(heap_first(h), end) &&
                 open_free(h, block_back(end, (size_t)units)) == units;
    return known ? (size_t)units : 0;
}

/* T1, T4: what a page knows is such a block, and not loose. */
static bool pages_hold(const struct heap *h, size_t *count)
{
    for (size_t page = 0; page < h->records * RECORD_PAGES; page++) {
        struct record *r = record_at(h, page >> RECORD_LOG);
        const struct block *end = end_in(h, r, page);
        uint32_t most = *eight_at(r, page) ? *most_at(r, page) : 0;
        size_t units = most ? units_of(h, end) : 0;
        if (most_of(units) != most || (most && loose_at(h, end) < HEAP_LOOSE))
            return false;
        *count += most != 0;
    }
    return true;
}

/* T3: and each is loose once. */
static bool loose_hold(const struct heap *h, size_t *count)
{
    for (unsigned i = 0; i < HEAP_LOOSE; i++) {
        struct loose l = h->loose[i];
        if (l.units != (l.end ? units_of(h, l.end) : 0) || (l.end && loose_at(h, l.end) != i))
            return false;
        *count += l.end != NULL;
    }
    return true;
}

bool heap_tree_holds(const struct heap *h, size_t *count)
{
    return forks_hold(h) && pages_hold(h, count) && loose_hold(h, count);
}
