/* SPDX-License-Identifier: MIT */
/*
 * pmm.c - which physical frames are free.
 *
 * Usable frames get dense indices, range after range of the boot map, so that holes cost nothing;
 * between two ranges that do not touch one index is left out, and a run of set bits can never
 * reach across a hole. One bit an index, 1 = free; above it a tree of summaries, one bit a word,
 * 1 = something free below.
 *
 *   P1  free is the number of set bits of level 0.
 *   P2  a summary bit is set exactly when its word is not zero.
 *   P3  frames that have been reserved since boot are clear for ever.
 *   P4  owners[] add up to total, and owners[OWNER_NONE] is free.
 *
 * Lock: the caller's.
 */
#include <mem/pmm.h>

#include "lib/string.h"

enum { WORD_BITS = 8 * sizeof(vword_t), WORD_SHIFT = sizeof(vword_t) == 4 ? 5 : 6 };
enum { DOUBLE_FREE, NOT_HELD, OUT_OF_RANGE, BAD_ARGUMENT };

/* ---- the dense index ------------------------------------------------------------------------ */

/* Frames [start, end) of a range below the limit; start == end: nothing of it is ours. */
static void extent(const struct bootmap *map, size_t i, uint64_t *start, uint64_t *end)
{
    const struct boot_range *r = &map->ranges[i];
    uint64_t limit = map->limit ? map->limit >> PAGE_SHIFT : UINT64_MAX;
    *start = r->start >> PAGE_SHIFT;
    *end = (r->last >> PAGE_SHIFT) + 1;
    if (*end > limit)
        *end = limit;
    if (r->kind != RANGE_USABLE || *start > *end)
        *end = *start;
}

/* Counts indices; with `base`, notes where each range begins. */
static uint64_t lay_out(const struct bootmap *map, vword_t *base)
{
    uint64_t next = 0, previous_end = UINT64_MAX;
    for (size_t i = 0; i < map->count; i++) {
        uint64_t start, end;
        extent(map, i, &start, &end);
        if (start != end && next && start != previous_end)
            next++; /* the index left out */
        if (base)
            base[i] = (vword_t)next;
        next += end - start;
        if (start != end)
            previous_end = end;
    }
    return next;
}

/* The last range that starts at or below the frame. */
static size_t range_of_frame(const struct bootmap *map, uint64_t frame)
{
    size_t low = 0, high = map->count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (map->ranges[middle].start >> PAGE_SHIFT <= frame)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* False: no usable frame below the limit. */
static bool to_index(const struct pmm *pmm, pfn_t frame, vword_t *index, size_t *range)
{
    uint64_t start, end;
    *range = range_of_frame(pmm->map, frame.v);
    extent(pmm->map, *range, &start, &end);
    if (frame.v < start || frame.v >= end)
        return false;
    *index = pmm->base[*range] + (vword_t)(frame.v - start);
    return true;
}

static pfn_t to_frame(const struct pmm *pmm, vword_t index)
{
    size_t low = 0, high = pmm->map->count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (pmm->base[middle] <= index)
            low = middle;
        else
            high = middle;
    }
    return PFN((vword_t)(pmm->map->ranges[low].start >> PAGE_SHIFT) + (index - pmm->base[low]));
}

/* ---- bits and summaries --------------------------------------------------------------------- */

static bool is_set(const struct pmm *pmm, vword_t index)
{
    return pmm->level[0][index >> WORD_SHIFT] >> (index & (WORD_BITS - 1)) & 1;
}

static void set_bit(struct pmm *pmm, vword_t index)
{
    for (unsigned l = 0; l < pmm->levels; l++, index >>= WORD_SHIFT) {
        vword_t *word = &pmm->level[l][index >> WORD_SHIFT];
        vword_t was = *word;
        *word = was | (vword_t)1 << (index & (WORD_BITS - 1));
        if (was)
            return;
    }
}

static void clear_bit(struct pmm *pmm, vword_t index)
{
    for (unsigned l = 0; l < pmm->levels; l++, index >>= WORD_SHIFT) {
        vword_t *word = &pmm->level[l][index >> WORD_SHIFT];
        *word &= ~((vword_t)1 << (index & (WORD_BITS - 1)));
        if (*word)
            return;
    }
}

/* The first set bit at or above `from` of level 0, by way of the summaries; pmm->bits: none. */
static vword_t next_set(const struct pmm *pmm, vword_t from)
{
    unsigned l = 0;
    vword_t index = from;
    for (;;) { /* up: to the first level whose word has something at or above index */
        vword_t w = index >> WORD_SHIFT;
        if (w >= pmm->words[l])
            return pmm->bits;
        vword_t rest = pmm->level[l][w] >> (index & (WORD_BITS - 1));
        if (rest) {
            index += (vword_t)__builtin_ctzl(rest);
            break;
        }
        index = w + 1;
        if (++l == pmm->levels)
            return pmm->bits;
    }
    while (l-- > 0) /* down: the lowest bit of each word on the way */
        index = index << WORD_SHIFT | (vword_t)__builtin_ctzl(pmm->level[l][index]);
    return index;
}

/* The first clear bit at or above `from`; pmm->bits: none. */
static vword_t next_clear(const struct pmm *pmm, vword_t from)
{
    vword_t w = from >> WORD_SHIFT, below = ((vword_t)1 << (from & (WORD_BITS - 1))) - 1;
    for (; w < pmm->words[0]; w++, below = 0) {
        vword_t clear = ~(pmm->level[0][w] | below);
        if (clear) {
            vword_t index = w << WORD_SHIFT | (vword_t)__builtin_ctzl(clear);
            return index < pmm->bits ? index : pmm->bits;
        }
    }
    return pmm->bits;
}

/* ---- building ------------------------------------------------------------------------------- */

static vword_t words_for(vword_t bits)
{
    return (bits >> WORD_SHIFT) + ((bits & (WORD_BITS - 1)) != 0);
}

size_t pmm_metadata_bytes(const struct bootmap *map)
{
    vword_t bits = (vword_t)lay_out(map, NULL);
    size_t words = map->count;
    do {
        bits = words_for(bits);
        words += bits;
    } while (bits > 1);
    return words * sizeof(vword_t);
}

static void place_levels(struct pmm *pmm, vword_t *at)
{
    vword_t bits = pmm->bits;
    pmm->levels = 0;
    do {
        bits = words_for(bits);
        pmm->level[pmm->levels] = at;
        pmm->words[pmm->levels++] = bits;
        memset(at, 0, bits * sizeof *at);
        at += bits;
    } while (bits > 1);
}

/* Sets the bits of a free range a word at a time, and the summaries above. */
static void free_indices(struct pmm *pmm, vword_t first, vword_t count)
{
    while (count) {
        vword_t shift = first & (WORD_BITS - 1);
        vword_t some = WORD_BITS - shift < count ? WORD_BITS - shift : count;
        vword_t mask = some == WORD_BITS ? ~(vword_t)0 : (((vword_t)1 << some) - 1) << shift;
        set_bit(pmm, first);
        pmm->level[0][first >> WORD_SHIFT] |= mask;
        first += some;
        count -= some;
    }
}

enum mem_err pmm_init(struct pmm *pmm, const struct bootmap *map, void *metadata, size_t bytes)
{
    size_t need = pmm_metadata_bytes(map);
    if (bytes < need || (uintptr_t)metadata & 63)
        return MEM_BAD_ARG;
    *pmm = (struct pmm){.map = map, .base = metadata, .metadata_bytes = need};
    pmm->bits = (vword_t)lay_out(map, pmm->base);
    if (!pmm->bits)
        return MEM_NO_FRAME;
    place_levels(pmm, pmm->base + map->count);
    for (size_t i = 0; i < map->count; i++) {
        uint64_t start, end;
        extent(map, i, &start, &end);
        pmm->total += end - start;
        pmm->owners[map->ranges[i].owner] += end - start;
        if (map->ranges[i].owner == OWNER_NONE)
            free_indices(pmm, pmm->base[i], (vword_t)(end - start));
    }
    pmm->free = pmm->owners[OWNER_NONE];
    return MEM_OK;
}

/* ---- single frames -------------------------------------------------------------------------- */

static void account(struct pmm *pmm, enum frame_owner owner, uint64_t frames, bool taken)
{
    uint64_t change = taken ? frames : 0 - frames;
    pmm->owners[owner] += change;
    pmm->owners[OWNER_NONE] -= change;
    pmm->free -= change;
}

static bool may_hold(enum frame_owner owner)
{
    return owner >= OWNER_RESERVED_END && owner < OWNER_COUNT;
}

pfn_t pmm_alloc(struct pmm *pmm, enum frame_owner owner)
{
    vword_t index = may_hold(owner) ? next_set(pmm, 0) : pmm->bits;
    if (index >= pmm->bits)
        return PFN_NONE;
    clear_bit(pmm, index);
    account(pmm, owner, 1, true);
    return to_frame(pmm, index);
}

static enum mem_err refuse(struct pmm *pmm, unsigned cause, enum mem_err err)
{
    pmm->refused[cause]++;
    return err;
}

/* Everything that forbids giving back [first, first + frames) by owner. */
static enum mem_err check_held(struct pmm *pmm, pfn_t first, size_t frames, enum frame_owner owner,
                               vword_t *index)
{
    if (!frames || !may_hold(owner))
        return refuse(pmm, BAD_ARGUMENT, MEM_BAD_ARG);
    if (frames - 1 > ~(vword_t)0 - first.v)
        return refuse(pmm, OUT_OF_RANGE, MEM_OUT_OF_RANGE);
    for (size_t i = 0; i < frames; i++) {
        size_t range;
        vword_t at;
        if (!to_index(pmm, pfn_add(first, i), &at, &range))
            return refuse(pmm, OUT_OF_RANGE, MEM_OUT_OF_RANGE);
        if (is_set(pmm, at))
            return refuse(pmm, DOUBLE_FREE, MEM_NOT_HELD);
        enum frame_owner at_boot = pmm->map->ranges[range].owner;
        if (at_boot != OWNER_NONE && at_boot < OWNER_RESERVED_END)
            return refuse(pmm, NOT_HELD, MEM_NOT_HELD);
        if (!i)
            *index = at;
    }
    return pmm->owners[owner] < frames ? refuse(pmm, NOT_HELD, MEM_NOT_HELD) : MEM_OK;
}

enum mem_err pmm_free_run(struct pmm *pmm, pfn_t first, size_t frames, enum frame_owner owner)
{
    vword_t index;
    enum mem_err err = check_held(pmm, first, frames, owner, &index);
    if (err)
        return err;
    free_indices(pmm, index, frames);
    account(pmm, owner, frames, false);
    return MEM_OK;
}

enum mem_err pmm_free(struct pmm *pmm, pfn_t frame, enum frame_owner owner)
{
    return pmm_free_run(pmm, frame, 1, owner);
}

/* ---- runs ----------------------------------------------------------------------------------- */

static void take_indices(struct pmm *pmm, vword_t first, size_t count)
{
    for (size_t i = 0; i < count; i++)
        clear_bit(pmm, first + i);
}

/* The lowest frame of [start, end) where the request fits, or PFN_NONE. */
static pfn_t fit(const struct pmm_run_request *want, uint64_t start, uint64_t end)
{
    uint64_t unit = 1ull << want->align_log2, border = want->boundary >> PAGE_SHIFT;
    uint64_t top = want->below ? want->below >> PAGE_SHIFT : UINT64_MAX;
    if (end > top)
        end = top;
    for (unsigned tries = 0; tries < 2; tries++) {
        uint64_t at = (start + unit - 1) & ~(unit - 1);
        if (at < start || at >= end || end - at < want->frames)
            return PFN_NONE;
        uint64_t room = border ? border - (at & (border - 1)) : want->frames;
        if (room >= want->frames)
            return PFN((vword_t)at);
        start = at + room; /* behind the boundary it fits, if anywhere */
    }
    return PFN_NONE;
}

static bool sane(const struct pmm_run_request *want)
{
    uint64_t frames_in_border = want->boundary >> PAGE_SHIFT;
    return want->frames && want->align_log2 < WORD_BITS - PAGE_SHIFT &&
           !(want->boundary & (want->boundary - 1)) &&
           (!want->boundary || frames_in_border >= want->frames);
}

enum mem_err pmm_alloc_run(struct pmm *pmm, const struct pmm_run_request *want,
                           enum frame_owner owner, pfn_t *first)
{
    if (!sane(want) || !may_hold(owner))
        return refuse(pmm, BAD_ARGUMENT, MEM_BAD_ARG);
    for (vword_t at = next_set(pmm, 0); at < pmm->bits;) {
        vword_t end = next_clear(pmm, at);
        pfn_t start = to_frame(pmm, at);
        pfn_t found = fit(want, start.v, (uint64_t)start.v + (end - at));
        if (!pfn_is_none(found)) {
            take_indices(pmm, at + (found.v - start.v), want->frames);
            account(pmm, owner, want->frames, true);
            *first = found;
            return MEM_OK;
        }
        at = next_set(pmm, end);
    }
    return MEM_NO_FRAME;
}

enum mem_err pmm_reserve(struct pmm *pmm, pfn_t first, size_t frames, enum frame_owner owner)
{
    if (!frames || !may_hold(owner))
        return refuse(pmm, BAD_ARGUMENT, MEM_BAD_ARG);
    size_t range;
    vword_t index, last;
    if (frames - 1 > ~(vword_t)0 - first.v || !to_index(pmm, first, &index, &range) ||
        !to_index(pmm, pfn_add(first, frames - 1), &last, &range))
        return MEM_OUT_OF_RANGE;
    if (next_clear(pmm, index) < index + frames || last - index != frames - 1)
        return MEM_NOT_HELD;
    take_indices(pmm, index, frames);
    account(pmm, owner, frames, true);
    return MEM_OK;
}

/* ---- looking -------------------------------------------------------------------------------- */

bool pmm_is_free(const struct pmm *pmm, pfn_t frame)
{
    size_t range;
    vword_t index;
    return to_index(pmm, frame, &index, &range) && is_set(pmm, index);
}

uint64_t pmm_free_frames(const struct pmm *pmm)
{
    return pmm->free;
}

bool pmm_stretch(const struct pmm *pmm, pfn_t frame, uint64_t *frames)
{
    size_t range;
    vword_t index;
    if (to_index(pmm, frame, &index, &range)) {
        bool free = is_set(pmm, index);
        vword_t end = free ? next_clear(pmm, index) : next_set(pmm, index);
        uint64_t start, last;
        extent(pmm->map, range, &start, &last);
        *frames = end - index;
        if (!free && *frames > last - frame.v) /* what follows the range may be a hole */
            *frames = last - frame.v;
        return free;
    }
    range =
        range_of_frame(pmm->map, frame.v) + (frame.v >= pmm->map->ranges[0].start >> PAGE_SHIFT);
    *frames = range < pmm->map->count ? (pmm->map->ranges[range].start >> PAGE_SHIFT) - frame.v
                                      : UINT64_MAX - frame.v;
    return false;
}

static void count_run(struct pmm_stats *out, uint64_t start, uint64_t frames)
{
    if (frames > out->largest_run)
        out->largest_run = frames;
    while (frames) { /* greedy: the largest aligned block that fits */
        unsigned order = start ? (unsigned)__builtin_ctzl((vword_t)start) : PMM_ORDERS - 1;
        if (order > PMM_ORDERS - 1)
            order = PMM_ORDERS - 1;
        while ((uint64_t)1 << order > frames)
            order--;
        if (order == PMM_ORDERS - 1) {
            out->runs[order] += frames >> order;
            start += frames >> order << order;
            frames &= ((uint64_t)1 << order) - 1;
            continue;
        }
        out->runs[order]++;
        start += (uint64_t)1 << order;
        frames -= (uint64_t)1 << order;
    }
}

void pmm_stats(const struct pmm *pmm, struct pmm_stats *out)
{
    *out = (struct pmm_stats){
        .total = pmm->total, .free = pmm->free, .metadata_bytes = pmm->metadata_bytes};
    for (unsigned o = OWNER_NONE; o < OWNER_COUNT; o++) {
        out->owners[o] = pmm->owners[o];
        if (o >= OWNER_RESERVED_END)
            out->used += pmm->owners[o];
        else if (o != OWNER_NONE)
            out->reserved += pmm->owners[o];
    }
    for (unsigned i = 0; i < 4; i++)
        out->refused[i] = pmm->refused[i];
    for (vword_t at = next_set(pmm, 0); at < pmm->bits;) {
        vword_t end = next_clear(pmm, at);
        count_run(out, to_frame(pmm, at).v, end - at);
        at = next_set(pmm, end);
    }
}
