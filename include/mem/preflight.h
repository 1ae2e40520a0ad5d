/* SPDX-License-Identifier: MIT */
/*
 * preflight.h - before CR3 is loaded: would the next instructions survive?
 *
 * The new tables are walked in software for everything that the CPU will touch before it could
 * report a fault: code, stack, descriptor tables, handlers, the console, the tables themselves. A
 * triple fault becomes one sentence, which names the bit of the entry of the level that is wrong.
 * Reads only; cost: one walk for each page of each need, two if the switch does not flush.
 */
#ifndef MEM_PREFLIGHT_H
#define MEM_PREFLIGHT_H

#include <mem/paging.h>

enum preflight_kind {
    NEED_PAGES,  /* every page of it is there, leads to `pa` on, and allows `flags`, not `never` */
    NEED_ABSENT, /* no page of it is mapped: a guard page                                       */
    NEED_TOP_ENTRY, /* its top-level entries are present and sound           */
};

struct preflight_need {
    const char *what; /* "stack"                                                   */
    vaddr_t va;
    size_t bytes;
    paddr_t pa;     /* where its first byte must lead                            */
    unsigned flags; /* MAP_WRITE, MAP_EXEC, MAP_USER: what must be allowed       */
    unsigned never; /* and what must not; MAP_USER goes without saying           */
    enum preflight_kind kind;
};

struct preflight {
    const struct aspace *as;         /* the tables that are about to be loaded               */
    struct paging_controls controls; /* the control bits that will hold then                 */
    paddr_t loaded;                  /* the top-level table in use now; 0: paging is off     */
    bool flushes;                    /* global translations are dropped as well as the rest  */
    const struct preflight_need *needs;
    size_t count;

    /* Whose frame is it? NULL: a page table's, as it should be. NULL itself: nobody can tell. */
    const char *(*tenant)(void *ctx, pfn_t frame);
    void *ctx;
};

enum preflight_reason {
    PREFLIGHT_FINE,
    PREFLIGHT_ROOT_MISALIGNED,
    PREFLIGHT_ROOT_TOO_HIGH,
    PREFLIGHT_PAE_CLEAR, /* four levels without it                                     */
    PREFLIGHT_PAE_SET,   /* two levels with it                                         */
    PREFLIGHT_WP_CLEAR,
    PREFLIGHT_NOT_CANONICAL,
    PREFLIGHT_FOREIGN_TABLE, /* a table on the way lies in somebody else's frame       */
    PREFLIGHT_PS_WITHOUT_PSE,
    PREFLIGHT_NX_WITHOUT_NXE,
    PREFLIGHT_RESERVED_BIT,
    PREFLIGHT_NOT_MAPPED,
    PREFLIGHT_ONE_ENTRY_OFF, /* not mapped, and the top-level entry beside it fits     */
    PREFLIGHT_WRONG_FRAME,
    PREFLIGHT_NOT_WRITABLE,
    PREFLIGHT_NOT_EXECUTABLE,
    PREFLIGHT_NOT_USER,
    PREFLIGHT_WRITABLE, /* allowed, and must not be                                    */
    PREFLIGHT_EXECUTABLE,
    PREFLIGHT_USER,
    PREFLIGHT_MAPPED,
    PREFLIGHT_STALE, /* the TLB keeps a global translation that differs                */
    PREFLIGHT_NO_TOP_ENTRY,
    PREFLIGHT_REASONS
};

struct preflight_refusal {
    enum preflight_reason reason;
    const char *what; /* of the need that is not met                                  */
    struct walk walk; /* of the first address that fails                              */
    unsigned step;    /* the step of the walk that is to blame                        */
    unsigned index;   /* of its entry in its table                                    */
    unsigned bit;     /* the bit of it that is to blame                               */
    unsigned beside;  /* ONE_ENTRY_OFF: the index that holds what belongs here        */
    paddr_t meant;    /* WRONG_FRAME: where it should lead; ROOT_...: the root        */
    paddr_t stale;    /* STALE: where the TLB leads                                   */
    const char *tenant;
};

/* True when every need is met and the root itself can be loaded; else *refusal says the first. */
bool paging_preflight(const struct preflight *flight, struct preflight_refusal *refusal);

#endif
