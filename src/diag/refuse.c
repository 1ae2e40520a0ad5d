/* SPDX-License-Identifier: MIT */
/*
 * refuse.c - see refuse.h. A frame is taken before it is refused, and goes back at once: so that
 * what counts is what was there, and a refusal leaves the frame allocator as it was.
 */
#include "diag/refuse.h"

#include <platform.h>

#include "cmdline.h"
#include "diag/console.h"
#include "kernel.h"

static struct {
    unsigned at; /* 0: nothing is refused */
    bool always;
    struct refuse_tally tally;
} plan;

static struct frame_source tables, pages; /* the real ones */

bool refuse_this(void)
{
    if (!plan.at)
        return false;
    plan.tally.frames++;
    bool refused = plan.always ? plan.tally.frames >= plan.at : plan.tally.frames == plan.at;
    plan.tally.happened = plan.tally.happened || refused;
    return refused;
}

static pfn_t take(void *ctx)
{
    const struct frame_source *real = ctx;
    pfn_t frame = real->take(real->ctx);
    if (pfn_is_none(frame) || !refuse_this())
        return frame;
    real->give(real->ctx, frame);
    return PFN_NONE;
}

static void give(void *ctx, pfn_t frame)
{
    const struct frame_source *real = ctx;
    real->give(real->ctx, frame);
}

void refuse_begin(unsigned n, bool always)
{
    plan.at = n;
    plan.always = always;
    plan.tally = (struct refuse_tally){0};
    tables = kernel.aspace.source;
    pages = kernel.heap_pages;
    kernel.aspace.source = (struct frame_source){take, give, &tables};
    kernel.heap_pages = (struct frame_source){take, give, &pages};
}

struct refuse_tally refuse_end(void)
{
    kernel.aspace.source = tables;
    kernel.heap_pages = pages;
    plan.at = 0;
    return plan.tally;
}

/* ---- while the kernel starts ----------------------------------------------------------------- */

enum { SOURCES = 3 }; /* tables before and after there is a frame allocator, heap pages */
static struct frame_source at_start[SOURCES];
static unsigned sources;

void refuse_at_start(const char *cmdline)
{
    plan.always = cmdline_number(cmdline, "test-refuse-from", &plan.at);
    if (!plan.always)
        cmdline_number(cmdline, "test-refuse", &plan.at);
}

struct frame_source refuse_source(struct frame_source real)
{
    if (!plan.at || sources == SOURCES)
        return real;
    at_start[sources] = real;
    return (struct frame_source){take, give, &at_start[sources++]};
}

void refuse_started(void)
{
    if (!plan.at)
        return;
    plan.at = 0;
    kernel.aspace.source = at_start[1];
    kernel.heap_pages = at_start[2];
    kprintf("refuse: of %u frames while the kernel started %s\n", plan.tally.frames,
            plan.tally.happened ? "one was refused" : "none was refused");
}

/* ---- the tests' own -------------------------------------------------------------------------- */

static void give_own(void *ctx, pfn_t frame)
{
    (void)ctx;
    enum mem_err err = frames_give(frame, OWNER_TEST);
    if (err)
        platform_complain("frame 0x%zx of a test: %s", (size_t)frame.v, mem_err_name(err));
}

static pfn_t take_own(void *ctx)
{
    pfn_t frame = frames_take(OWNER_TEST);
    if (pfn_is_none(frame) || !refuse_this())
        return frame;
    give_own(ctx, frame);
    return PFN_NONE;
}

const struct frame_source test_frames = {take_own, give_own, NULL};
