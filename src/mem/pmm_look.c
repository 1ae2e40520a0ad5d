/* SPDX-License-Identifier: MIT */
/* pmm_look.c - what is free, whose the rest is, in what runs. Reads only. */
#include "pmm_index.h"

#include <mem/pmm_cache.h>

bool pmm_is_free(const struct pmm *pmm, pfn_t frame)
{
    const struct pmm_span *s = pmm_span_of_frame(pmm, frame.v);
    if (!s)
        return false;
    vword_t index = frame.v - s->frame + s->index;
    return leaf_word(pmm, index >> PMM_WORD_SHIFT) >> (index & WORD_MASK) & 1;
}

enum frame_owner pmm_owner(const struct pmm *pmm, pfn_t frame)
{
    const struct boot_range *r = pmm_boot_range(pmm, frame.v);
    if (!r || pmm_is_free(pmm, frame))
        return OWNER_NONE;
    if (r->owner != OWNER_NONE && r->owner < OWNER_RESERVED_END)
        return r->owner;
    const struct pmm_span *s = pmm_span_of_frame(pmm, frame.v);
    return PMM_TAGS ? pmm->tags[frame.v - s->frame + s->index] : OWNER_COUNT;
}

/* Frames that an owner holds, with what its caches have given out and taken back. */
static uint64_t held(const struct pmm *pmm, enum frame_owner owner)
{
    uint64_t frames = pmm->held[owner];
    for (const struct pmm_cache *c = pmm->caches; c; c = c->next)
        frames += (uint64_t)(int64_t)(intptr_t)c->held[owner];
    return frames;
}

uint64_t pmm_free_frames(const struct pmm *pmm)
{
    uint64_t free = pmm->total;
    for (enum frame_owner o = OWNER_NONE + 1; o < OWNER_COUNT; o++)
        free -= o < OWNER_RESERVED_END ? pmm->at_boot[o] : held(pmm, o);
    return free;
}

void pmm_counts(const struct pmm *pmm, struct pmm_stats *out)
{
    *out = (struct pmm_stats){.total = pmm->total, .metadata_bytes = pmm->metadata_bytes};
    for (enum frame_owner o = OWNER_NONE + 1; o < OWNER_COUNT; o++) {
        out->owners[o] = o < OWNER_RESERVED_END ? pmm->at_boot[o] : held(pmm, o);
        if (o < OWNER_RESERVED_END)
            out->reserved += out->owners[o];
        else
            out->used += out->owners[o];
    }
    out->free = out->total - out->used - out->reserved;
    out->owners[OWNER_NONE] = out->free;
    for (unsigned i = 0; i < PMM_REFUSALS; i++)
        out->refused[i] = pmm->refused[i];
}

/* Adds a free run to the counts by order, greedy: the largest aligned block that fits. */
static void count_run(struct pmm_stats *out, uint64_t start, uint64_t frames)
{
    if (frames > out->largest_run)
        out->largest_run = frames;
    while (frames) {
        unsigned order = start ? (unsigned)__builtin_ctzl((vword_t)start) : PMM_ORDERS - 1;
        if (order > PMM_ORDERS - 1)
            order = PMM_ORDERS - 1;
        while ((uint64_t)1 << order > frames)
            order--;
        uint64_t blocks = order == PMM_ORDERS - 1 ? frames >> order : 1; /* 4 TiB at once */
        out->runs[order] += blocks;
        start += blocks << order;
        frames -= blocks << order;
    }
}

void pmm_stats(const struct pmm *pmm, struct pmm_stats *out)
{
    pmm_counts(pmm, out);
    vword_t end = (pmm->blocks - 1) << PMM_BLOCK_SHIFT, start, length;
    for (vword_t at = PMM_BLOCK; (length = pmm_next_run(pmm, at, end, 1, pmm->caches, &start)) != 0;
         at = start + length)
        count_run(out, pmm_frame_of(pmm, start), length);
}

/* Where the next span begins, for a frame that is in none. */
static uint64_t next_span(const struct pmm *pmm, vword_t frame)
{
    for (size_t i = 0; i < pmm->span_count; i++) {
        if (pmm->spans[i].frame > frame)
            return pmm->spans[i].frame;
    }
    return UINT64_MAX;
}

bool pmm_stretch(const struct pmm *pmm, pfn_t frame, uint64_t *frames)
{
    const struct pmm_span *s = pmm_span_of_frame(pmm, frame.v);
    if (!s) {
        *frames = next_span(pmm, frame.v) - frame.v;
        return false;
    }
    vword_t index = frame.v - s->frame + s->index, end = s->index + s->frames, start;
    vword_t length = pmm_next_run(pmm, index, end, 1, pmm->caches, &start);
    bool free = length && start == index;
    *frames = free ? length : (length ? start : end) - index;
    return free;
}
