/* SPDX-License-Identifier: MIT */
/*
 * soak.h - a long random run of every memory call against a model, on this machine.
 *
 * machine.c is RAM, the frame allocator and the ledger: every frame has one owner, known after each
 * call. frames.c, paging.c and heap.c each make one random call at a time and know what must come
 * of it; main.c chooses among them. All three share one frame allocator, so each runs out of memory
 * because of the others. What a call may not do ends the run with its number and the seed.
 */
#ifndef SOAK_H
#define SOAK_H

#include <mem/frames.h>
#include <mem/paging.h>

/* ---- main.c --------------------------------------------------------------------------------- */

struct soak {
    uint64_t seed, random, calls, digest;
    uint64_t refused;                            /* calls that were refused, and rightly so */
    uint64_t dry;                                /* of them, because no frame was left      */
    uint64_t large;                              /* pages of 4 KiB that large ones mapped   */
    unsigned want_frames, want_heap, want_pages; /* how much of it is to be held now, in 1/16 */
};
extern struct soak soak;

uint32_t soak_random(void);
uint32_t soak_below(uint32_t n); /* 0 to n - 1 */

/* Makes the digest differ when a result does. */
void soak_note(uint64_t word);

/* A divergence: what, and where; ends the program with exit code 1. */
[[gnu::noreturn, gnu::format(printf, 1, 2)]] void soak_wrong(const char *format, ...);

/* ---- machine.c ------------------------------------------------------------------------------ */

enum { RAM_FRAMES = 16384 }; /* some of them holes */

extern struct pmm soak_pmm;
extern const struct paging_features soak_features;
extern const struct frame_source soak_tables, soak_pages;

void machine_start(void);
uint8_t *machine_ram(pfn_t frame);

/* The ledger: who holds a frame (OWNER_NONE: nobody), and how many frames an owner has. */
enum frame_owner ledger_owner(pfn_t frame);
uint64_t ledger_count(enum frame_owner owner);
bool ledger_has(pfn_t frame); /* is it RAM at all? */

/* A frame changes hands, in the ledger; wrong unless it is `from` who has it. */
void ledger_move(pfn_t frame, enum frame_owner from, enum frame_owner to);

/* The allocator's own counts and invariants beside the ledger. */
void machine_audit(void);

/* ---- the three parts ------------------------------------------------------------------------ */

void frames_start(void);
void frames_call(void);
void frames_audit(void);
void frames_finish(void); /* gives everything back */

void pages_start(void);
void pages_call(void);
void pages_audit(void);
void pages_finish(void);
uint64_t pages_mapped(void);
struct aspace *pages_heap(void); /* the heap grows in it */

void blocks_start(void);
void blocks_call(void);
void blocks_audit(void);
void blocks_finish(void);
uint64_t blocks_live(void);

/* Mistakes to plant, so that a test sees that each part notices. */
void frames_plant(void);
void pages_plant(void);
void blocks_plant(void);

#endif
