/* SPDX-License-Identifier: MIT */
/* asan.h - where the address sanitizer joins bring-up; empty without SANITIZE=asan. */
#ifndef DIAG_ASAN_H
#define DIAG_ASAN_H

#include <mem/bootmap.h>
#include <mem/paging.h>

#ifdef SHADOW_OFFSET

/* At the first C line: red zones around globals. */
void asan_start(void);

/* Before the early allocator closes and the tables are loaded: a shadow for the heap, all of it
 * poisoned. Errors of bootmap_take and of map_range. */
enum mem_err asan_build(struct bootmap *map, struct aspace *as);

#else

static inline void asan_start(void)
{
}

static inline enum mem_err asan_build(struct bootmap *map, struct aspace *as)
{
    (void)map;
    (void)as;
    return MEM_OK;
}

#endif
#endif
