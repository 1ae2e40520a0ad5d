/* SPDX-License-Identifier: MIT */
/*
 * fake_machine.h - what the memory code needs from a machine, as an array and some counters.
 *
 * Fake RAM is FAKE_FRAMES frames from FAKE_FIRST on; kmap gives pointers into it and counts. Frames
 * for page tables come from its upper half through fake_source, which can be told to fail.
 */
#ifndef FAKE_MACHINE_H
#define FAKE_MACHINE_H

#include <mem/paging.h>
#include <setjmp.h>

#include "mem/paging_format.h"

enum { FAKE_FIRST = 0x100, FAKE_FRAMES = 2048, FAKE_FLUSHED = 64, FAKE_WALKED = 64 };

struct fake_machine {
    uint8_t ram[FAKE_FRAMES][4096] __attribute__((aligned(4096)));
    bool taken[FAKE_FRAMES];
    unsigned taken_count;
    unsigned kmaps; /* not yet given back */
    unsigned page_flushes, whole_flushes, complaints;
    vword_t flushed[FAKE_FLUSHED]; /* the latest of page_flushes, n at n modulo FAKE_FLUSHED */
    struct {
        uint64_t table;
        unsigned flushes;  /* that there had been */
    } walked[FAKE_WALKED]; /* what the processor may remember as a table: the latest of walks */
    unsigned walks;
    unsigned fail_after; /* this many takes succeed; UINT_MAX: all */
    jmp_buf *panics_to;  /* where platform_panic goes; NULL: abort */
    char panic_text[120];
};
extern struct fake_machine fake;

/* Everything zero, no failure planned. */
void fake_reset(void);

/* The processor read a table, and may use it again until the next flush of whatever kind (SDM 3A
 * 4.10.4.1). To give it back before that is a panic. */
void fake_walk(const entry_t *e);

extern const struct frame_source fake_source;

extern const struct paging_features everything, nothing; /* that a CPU may have */

/* The entry of `level`, 1 for a page, on the way to va in an address space made of fake RAM. */
entry_t *fake_entry(const struct aspace *as, vword_t va, unsigned level);

#endif
