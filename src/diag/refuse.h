/* SPDX-License-Identifier: MIT */
/*
 * refuse.h - the n-th frame that somebody asks for is not there.
 *
 * Between refuse_begin and refuse_end this stands before the kernel's sources of table frames and
 * of heap pages, and before the frames that tests take for themselves; nothing else in the kernel
 * knows. Only frames that were there count: what is refused for want of memory is not our doing.
 */
#ifndef DIAG_REFUSE_H
#define DIAG_REFUSE_H

#include <mem/paging.h>

/* The n-th frame is refused, and if `always` all after it. */
void refuse_begin(unsigned n, bool always);

struct refuse_tally {
    unsigned frames; /* asked for, and there */
    bool happened;   /* one of them was refused */
};
struct refuse_tally refuse_end(void);

/*
 * The same from the command line, while the kernel starts: test-refuse=n, or test-refuse-from=n for
 * all after it, too. The kernel's sources go through refuse_source, which leaves them as they are
 * where nobody asked; when the kernel has started, refuse_started says what happened and ends it.
 */
void refuse_at_start(const char *cmdline);
struct frame_source refuse_source(struct frame_source real);
void refuse_started(void);

/*
 * Counts a frame, or a run, that somebody has been given past the sources. True: it is the one to be
 * refused, and must go back unused.
 */
bool refuse_this(void);

/* Frames for the tests themselves: OWNER_TEST. */
extern const struct frame_source test_frames;

static inline pfn_t test_frame_take(void)
{
    return test_frames.take(test_frames.ctx);
}

static inline void test_frame_give(pfn_t frame)
{
    test_frames.give(test_frames.ctx, frame);
}

#endif
