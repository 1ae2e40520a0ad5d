/* SPDX-License-Identifier: MIT */
/*
 * preflight.h - before CR3 is loaded: would the next instructions survive?
 *
 * The new tables are walked in software for everything that the CPU will touch before it could
 * report a fault: code, stack, descriptor tables, handlers. A triple fault becomes one sentence.
 * Reads only; cost: one walk for each page of each need.
 */
#ifndef MEM_PREFLIGHT_H
#define MEM_PREFLIGHT_H

#include <mem/paging.h>

struct preflight_need {
    const char *what; /* "the stack"                                              */
    vaddr_t va;
    size_t bytes;
    paddr_t pa;       /* where its first byte must lead                           */
    unsigned flags;   /* MAP_WRITE and MAP_EXEC: what must be allowed; else unset */
};

struct preflight_refusal {
    const char *what; /* of the need that is not met                              */
    const char *why;  /* "is not mapped"                                          */
    struct walk walk; /* of the first address that fails                          */
};

/* True when every need is met and the root itself can be loaded; else *refusal says the first. */
bool paging_preflight(const struct aspace *as, const struct preflight_need *needs, size_t count,
                      struct preflight_refusal *refusal);

#endif
