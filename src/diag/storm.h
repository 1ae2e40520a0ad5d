/* SPDX-License-Identifier: MIT */
/*
 * storm.h - random calls of paging, repeatable, on places of their own; and what they left.
 *
 * storm_draw.c thinks of calls, storm.c makes them, storm_effect.c knows what each should do,
 * storm_check.c looks at the result and takes it away again, storm_edges.c counts tables. The
 * places and the address space are shared between them.
 */
#ifndef DIAG_STORM_H
#define DIAG_STORM_H

#include <mem/mmio.h>
#include <mem/paging.h>

#include "diag/shell.h"

enum { STORM_PLACES = 7, STORM_REMEMBERED = 8, STORM_MMIO_BYTES = 16 << 20 };

/* Pages that a call mapped, to be found again: most of what is random hits nothing. */
struct storm_run {
    uint32_t page, pages;
};

struct storm_place {
    const char *name;
    struct aspace *as;
    vaddr_t va;
    uint32_t pages;
    bool large; /* large pages alone; what fits there differs between the targets, so no trace */
    struct storm_run run[STORM_REMEMBERED];
};

struct storm {
    bool begun;
    struct aspace space; /* user space of its own, with the kernel's half shared; loaded */
    struct mmio_window mmio;
    struct storm_place place[STORM_PLACES];
    size_t kernel_tables; /* before the first call, but the heap's */
};
extern struct storm storm;

/* Tables of the kernel's half that are under no page of the heap, which may grow meanwhile. */
size_t storm_kernel_tables(void);

enum storm_verb {
    MAP_PAGE,
    MAP_RANGE,
    UNMAP_PAGE,
    UNMAP_RANGE,
    PROTECT_PAGE,
    PROTECT_RANGE,
    MMIO,
    UNMMIO,
};

struct storm_call {
    enum storm_verb verb;
    struct storm_place *at;
    struct storm_run run; /* page within the place, and how many */
    size_t odd;           /* bytes by which va, pa or the length are off the page */
    unsigned odd_which;
    paddr_t pa;
    unsigned flags;
};

/* The next call; *state is the generator. */
struct storm_call storm_draw(uint32_t *state);

/* What was there before a call, and whether the call did what it should (storm_effect.c). */
enum { STORM_PROBES = 5 };
struct storm_effect {
    struct walk before[STORM_PROBES];
    uint64_t mapped;
};
void storm_look(const struct storm_call *c, struct storm_effect *e);
bool storm_right(const struct storm_call *c, enum mem_err err, const struct storm_effect *e);
bool storm_mmio_right(vaddr_t va, size_t bytes);

/* Makes the address space and loads it, unless that is done. Errors of paging_create. */
enum mem_err storm_begin(void);

/* False, and said, if a storm's space is loaded: `cmd` is about the kernel's own user half. */
bool storm_is_over(const char *cmd, const struct shell_args *args);

/* What a translation says, as both targets should say it. */
uint32_t storm_trace_places(uint32_t hash);
uint32_t storm_trace_run(uint32_t hash, const struct storm_place *place, struct storm_run run);
uint32_t storm_trace(uint32_t hash, uint32_t word);
uint32_t storm_trace_physical(uint32_t hash, paddr_t pa);

/* translate, paging_walk and paging_visit asked for every page of every place. */
struct storm_agreement {
    uint32_t addresses, mapped, disagree;
    vaddr_t first; /* that they disagree about */
};
struct storm_agreement storm_agree(void);

/* Takes rights away in some entries above leaves; how many. Only before storm_clear. */
unsigned storm_tighten(void);

/* Unmaps all, leaves the address space; false: something is not as it was before the first call. */
bool storm_clear(const char **broken);

/* storm edges: ranges across every boundary, and the tables that each took and gave back. */
bool storm_edges(const struct shell_args *args);

/* The command: storm SEED CALLS [FRAMES]; then storm check, edges, tighten, clear, stop. With
 * FRAMES the calls find no more than so many for their tables. */
bool storm_command(const struct shell_args *args);

#endif
