/* SPDX-License-Identifier: MIT */
/*
 * museum.h - broken paging bring-ups, on purpose: make BREAK=n (docs/museum.md is the catalogue).
 *
 * A kernel built without BREAK has none of it: the two calls are empty.
 */
#ifndef MUSEUM_H
#define MUSEUM_H

#include "kernel_preflight.h"

#ifdef BREAK

/* Between building the tables and checking them: plants mistake BREAK in tables or plan. */
void museum_plant(struct kernel *k, struct switch_plan *plan);

/* Right after the switch, if there is an after: does what shows the mistake. */
void museum_visit(void);

#else

static inline void museum_plant(struct kernel *k, struct switch_plan *plan)
{
    (void)k;
    (void)plan;
}

static inline void museum_visit(void)
{
}

#endif
#endif
