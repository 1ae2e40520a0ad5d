/* SPDX-License-Identifier: MIT */
/*
 * heap_stage.h - a heap between two pages that nobody may touch, for tests that write where they
 * must not. It may be looked into: what a call was not allowed to change is compared byte by byte.
 */
#ifndef HEAP_STAGE_H
#define HEAP_STAGE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "mem/heap_space.h"

enum { PAGE = 4096, WINDOW = 64 * PAGE };

static uint8_t *window; /* | guard | window | guard | */
static struct heap heap;
static struct {
    size_t held, most; /* bytes given, in all; and how many it has to give */
    unsigned reports;
    struct heap_report last;
} owner;

static bool owner_grows(void *ctx, void *at, size_t bytes)
{
    (void)ctx, (void)at;
    if (bytes > owner.most - owner.held)
        return false;
    owner.held += bytes;
    return true;
}

static void owner_shrinks(void *ctx, void *at, size_t bytes)
{
    (void)ctx, (void)at;
    owner.held -= bytes;
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

/* A new heap and a new owner, who has memory without end. */
static enum mem_err begin(void *at, size_t bytes, const struct heap_ops *ops)
{
    memset(&owner, 0, sizeof owner);
    memset(&heap, 0, sizeof heap);
    owner.most = SIZE_MAX;
    return heap_init(&heap, at, bytes, ops);
}

static inline int set_stage(void **state)
{
    (void)state;
    if (!window) {
        window = reserve(PAGE + WINDOW + PAGE, PROT_NONE) + PAGE;
        assert_int_equal(mprotect(window, WINDOW, PROT_READ | PROT_WRITE), 0);
    }
    memset(window, 0xd5, WINDOW);
    return begin(window, WINDOW, &owner_ops) != MEM_OK;
}

#define STAGED(name) cmocka_unit_test_setup(name, set_stage)

/* For tests that define WIDE_BYTES before: a heap in so much memory, of which little is touched. */
#ifdef WIDE_BYTES
static uint8_t *wide;

static int set_wide(void **state)
{
    (void)state;
    wide = reserve(WIDE_BYTES, PROT_READ | PROT_WRITE);
    return begin(wide, WIDE_BYTES, &owner_ops) != MEM_OK;
}

static int drop_wide(void **state)
{
    (void)state;
    return munmap(wide, WIDE_BYTES);
}

#define WIDE(name) cmocka_unit_test_setup_teardown(name, set_wide, drop_wide)
#endif

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
    assert_int_equal(heap.stats.mapped, owner.held);
}

/* As if so many units might wait in bins, beside those that do; how many fewer that is. */
static inline ptrdiff_t pretend_room(ptrdiff_t units)
{
    ptrdiff_t fewer = heap.room - units;
    heap.room = units;
    return fewer;
}

static inline struct block *head(uint8_t *payload)
{
    return block_of(payload);
}

static inline struct links *links(uint8_t *payload)
{
    return links_of(head(payload));
}

/* The head of the list for blocks of that size. */
static inline struct links *list_of(size_t size)
{
    return head_of(&heap, units_for(size));
}

/* What is no link at all. */
static struct links *const nowhere = (struct links *)UINTPTR_MAX;

static inline void flip(void *at, unsigned bit)
{
    ((uint8_t *)at)[bit / 8] ^= (uint8_t)(1u << bit % 8);
}

/* ---- what was refused ----------------------------------------------------------------------- */

static struct heap heap_then;
static uint8_t window_then[WINDOW];

static inline void keep(void)
{
    heap_then = heap;
    memcpy(window_then, window, WINDOW);
    owner.reports = 0;
}

/* One report, and nothing else has happened since keep(). */
static inline void refused_as(enum heap_fault expected)
{
    assert_int_equal(owner.reports, 1);
    assert_int_equal(owner.last.fault, expected);
    memcpy(heap.stats.faults, heap_then.stats.faults, sizeof heap.stats.faults);
    heap.stats.refused = heap_then.stats.refused;
    assert_memory_equal(&heap, &heap_then, sizeof heap);
    assert_memory_equal(window, window_then, WINDOW);
    owner.reports = 0;
}

static inline void free_is_refused(void *p, enum heap_fault expected)
{
    keep();
    assert_int_equal(heap_free(&heap, p, NULL), expected);
    refused_as(expected);
}

static inline void alloc_is_refused(size_t size, enum heap_fault expected)
{
    keep();
    assert_null(heap_alloc(&heap, size, NULL));
    refused_as(expected);
}

#endif
