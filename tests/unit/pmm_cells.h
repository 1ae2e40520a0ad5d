/* SPDX-License-Identifier: MIT */
/*
 * pmm_cells.h - the model of test_pmm_exhaustive.c: RAM as a byte a frame, and the cells that it is
 * cut into, each of which is free or held as a whole between two calls.
 */
#ifndef PMM_CELLS_H
#define PMM_CELLS_H

#include "pmm_map.h"

enum { SPACE = 0x1400, CELLS = 20 };
enum { ABSENT, RESERVED, FREE, HELD };

struct cell {
    vword_t start, end;
};

static uint8_t model[SPACE];
static struct cell cells[CELLS];
static unsigned count, taken; /* cells; those that are held, a bit each */
static uint64_t free_frames;

#define CHECK(what)                                                                                \
    do {                                                                                           \
        if (!(what))                                                                               \
            fail_msg("cells held: %#x of %u: %s", taken, count, #what);                            \
    } while (0)

static void add_owned(vword_t frame, vword_t frames, enum frame_owner owner)
{
    add(frame, frames, RANGE_USABLE, owner);
    memset(model + frame, owner == OWNER_NONE ? FREE : RESERVED, frames);
}

static void cut(vword_t start, vword_t end)
{
    cells[count++] = (struct cell){start, end};
    free_frames += end - start;
}

static bool all_are(vword_t frame, vword_t frames, unsigned state)
{
    for (vword_t i = frame; i < frame + frames; i++) {
        if (model[i] != state)
            return false;
    }
    return true;
}

/* The first free run at or above *start; its end, 0: there is none. */
static vword_t next_run(vword_t *start)
{
    vword_t end = cells[count - 1].end, at;
    while (*start < end && model[*start] != FREE)
        ++*start;
    for (at = *start; at < end && model[at] == FREE; at++)
        ;
    return *start < end ? at : 0;
}

static bool suits(uint64_t frame, const struct pmm_run_request *want)
{
    uint64_t border = want->boundary / PAGE, end = frame + want->frames;
    return frame % (1u << want->align_log2) == 0 && (!want->below || end * PAGE <= want->below) &&
           (!border || frame / border == (end - 1) / border);
}

static bool there_is(const struct pmm_run_request *want)
{
    uint64_t step = 1u << want->align_log2;
    for (vword_t start = cells[0].start, end; (end = next_run(&start)); start = end) {
        for (uint64_t at = (start + step - 1) / step * step; at + want->frames <= end; at += step) {
            if (suits(at, want))
                return true;
        }
    }
    return false;
}

static void note(vword_t frame, vword_t frames, unsigned state)
{
    memset(model + frame, (int)state, frames);
    free_frames += state == FREE ? frames : -(uint64_t)frames;
}

#endif
