/* SPDX-License-Identifier: MIT */
/* heap_index.h - the free blocks by address and size. Private to heap*.c; see heap_index.c. */
#ifndef MEM_HEAP_INDEX_H
#define MEM_HEAP_INDEX_H

#include "heap_block.h"

/* Bytes of index that a heap of `bytes` needs, and the most that a window needs. */
size_t index_bytes(size_t bytes);

/* The heap now reaches from `chunks` chunks to `now`: their nodes, mapped, become empty. */
void index_reach(struct heap *h, size_t chunks, size_t now);

/* Adds a free block: writes its header, link and footer. */
void index_insert(struct heap *h, struct block *b, size_t units);

/* Takes it out. */
void index_remove(struct heap *h, struct block *b, size_t units);

/* A free block becomes another: `now` is the part of it, or what it grew to, that stays free. */
void index_replace(struct heap *h, struct block *old, size_t old_units, struct block *now,
                   size_t units);

/*
 * The free block of at least `units` at the lowest address; NULL: there is none. From 128 units on
 * the index knows sizes to an eighth: after four blocks that are too small by less it settles for
 * the first that is surely large enough.
 */
struct block *index_first_fit(const struct heap *h, size_t units);

/* The same, from the region of `after` on and not counting blocks up to it. */
struct block *index_next_fit(const struct heap *h, const struct block *after, size_t units);

/* True when every free block is found in its place and every maximum is right; *count: blocks. */
bool index_holds(const struct heap *h, size_t *count);

#endif
