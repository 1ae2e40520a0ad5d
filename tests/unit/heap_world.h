/* SPDX-License-Identifier: MIT */
/*
 * heap_world.h - a heap as bytes, for test_heap_exhaustive.c: copied, put back, compared, told
 * apart.
 *
 * Only the lines of it that ever change are copied. Which those are is learned by filling and by
 * many random steps, and that the others stay as they were is for the walk to check now and then.
 */
#ifndef HEAP_WORLD_H
#define HEAP_WORLD_H

#include <mem/heap.h>

enum {
    PAGE = 4096,
    PAGES = 2, /* the least that a heap starts with */
    DEPTH_MAX = 12,
    LIVE_MAX = 12,
    LINE = 64,
    SIZES = 10,
};

/* Everything that a heap is. */
struct heap_world {
    uint8_t window[PAGES * PAGE] __attribute__((aligned(4096)));
    struct heap heap __attribute__((aligned(64)));
    uint8_t pad[LINE];
};
extern struct heap_world world;

extern uint8_t *arena; /* the last bytes of the window; all before is one block */
extern size_t arena_bytes, sizes[SIZES];

/* This is the start; finds out what changes from here. Leaves all as it is. */
void world_begin(void);

/* By calls to go: copied, put back, compared but for the counts of what was refused. */
void save(size_t left);
void restore(size_t left);
bool is_as_saved(size_t left);
void reset_counters(void);
void the_rest_is_as_it_was(void);

/* Learns in which words refusals are counted: one for each kind, and nothing else may change. */
void learn_counters(uint8_t *freed);

/* What was walked: a state with so many calls to go, or (ANY) the state itself. */
enum { ANY = DEPTH_MAX + 1 };
extern size_t states;
void forget_states(void);
uint64_t hash_world(void);
uint64_t key_of(uint64_t hash, size_t left);
bool was_seen(uint64_t key, uint64_t *sequences); /* true: and its count is *sequences */
void note_seen(uint64_t key, uint64_t sequences);

#endif
