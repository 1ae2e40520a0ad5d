/* SPDX-License-Identifier: MIT */
/*
 * hold.h - a machine of any size made small: all frames are taken but so many.
 *
 * What is taken stands in a chain of runs, each as long as there is one, and says in its first
 * frame how long it is and which comes next: a few dozen links, whatever the size of RAM.
 */
#ifndef DIAG_HOLD_H
#define DIAG_HOLD_H

#include <mem/types.h>

struct hold {
    pfn_t first; /* of the run taken last */
};
#define HOLD_NOTHING ((struct hold){PFN_NONE})

/*
 * Takes more, until `left` frames are free; nothing if there are no more than that. MEM_NO_FRAME:
 * refused (refuse.h); what is held stays held.
 */
enum mem_err hold_all_but(struct hold *hold, uint64_t left);

/* Gives all of it back. MEM_NOT_HELD: some of it was not ours. */
enum mem_err hold_let_go(struct hold *hold);

#endif
