/* SPDX-License-Identifier: MIT */
/*
 * heap_stage.h - a heap between two pages that nobody may touch, for tests that write where they
 * must not. It may be looked into: what a call was not allowed to change is compared byte by byte.
 */
#ifndef HEAP_STAGE_H
#define HEAP_STAGE_H

#include <string.h>
#include <sys/mman.h>

#include "mem/heap_space.h"

enum { PAGE = 4096, WINDOW = 64 * PAGE };

static uint8_t *window; /* | guard | window | guard | */
static struct heap heap;
static struct {
    bool refuses;
    unsigned reports;
    struct heap_report last;
} owner;

static bool owner_grows(void *ctx, void *at, size_t bytes)
{
    (void)ctx, (void)at, (void)bytes;
    return !owner.refuses;
}

static void owner_shrinks(void *ctx, void *at, size_t bytes)
{
    (void)ctx, (void)at, (void)bytes;
}

static void owner_hears(void *ctx, const struct heap_report *r)
{
    (void)ctx;
    owner.reports++;
    owner.last = *r;
}

static const struct heap_ops owner_ops = {owner_grows, owner_shrinks, owner_hears, NULL};

static uint8_t *reserve(size_t bytes, int access)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    uint8_t *p = mmap(NULL, bytes, access, flags, -1, 0);
    assert_ptr_not_equal(p, MAP_FAILED);
    return p;
}

static int set_stage(void **state)
{
    (void)state;
    if (!window) {
        window = reserve(PAGE + WINDOW + PAGE, PROT_NONE) + PAGE;
        assert_int_equal(mprotect(window, WINDOW, PROT_READ | PROT_WRITE), 0);
    }
    memset(&owner, 0, sizeof owner);
    memset(&heap, 0, sizeof heap);
    memset(window, 0xd5, WINDOW);
    return heap_init(&heap, window, WINDOW, &owner_ops) != MEM_OK;
}

static uint8_t *get(size_t size)
{
    uint8_t *p = heap_alloc(&heap, size, NULL);
    assert_non_null(p);
    return p;
}

static void put(void *p)
{
    assert_int_equal(heap_free(&heap, p, NULL), HEAP_OK);
}

static void holds(void)
{
    const char *broken = "";
    if (!heap_check(&heap, &broken))
        fail_msg("%s", broken);
}

static inline struct block *head(uint8_t *payload)
{
    return block_of(payload);
}

static inline struct links *links(uint8_t *payload)
{
    return links_of(head(payload));
}

static inline void flip(void *at, unsigned bit)
{
    ((uint8_t *)at)[bit / 8] ^= (uint8_t)(1u << bit % 8);
}

#endif
