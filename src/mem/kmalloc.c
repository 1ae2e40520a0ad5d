/* SPDX-License-Identifier: MIT */
/*
 * kmalloc.c - the heap joined to frames and page tables.
 *
 * Growing takes frames and tables from the frame allocator alone: nothing here or below enters the
 * heap, and the frames' lock ranks above the heap's.
 */
#include <mem/frames.h>
#include <mem/kmalloc.h>
#include <mem/lock.h>

#include <platform.h>

#include "lib/shadow.h"

static struct {
    struct heap *heap;
    struct aspace *as;
    const struct frame_source *pages;
    void (*report)(const struct heap_report *);
} kernel_heap;

static struct lock lock = {.name = "heap", .rank = LOCK_HEAP};

/* The heap works in memory that nobody else may touch. */
static void enter(void)
{
    lock_take(&lock);
    shadow_pause();
}

static void leave(void)
{
    shadow_resume();
    lock_give(&lock);
}

/* What can never be had costs one look; what turns out not to be there goes back. */
static bool grow(void *ctx, void *at, size_t bytes)
{
    (void)ctx;
    size_t pages = bytes >> PAGE_SHIFT;
    return frames_free() >= pages &&
           map_frames(kernel_heap.as, ptr_vaddr(at), pages, MAP_WRITE | MAP_GLOBAL,
                      kernel_heap.pages) == MEM_OK;
}

static void shrink(void *ctx, void *at, size_t bytes)
{
    (void)ctx;
    enum mem_err err =
        unmap_frames(kernel_heap.as, ptr_vaddr(at), bytes >> PAGE_SHIFT, kernel_heap.pages);
    if (err)
        platform_panic("heap shrink at %p: %s", at, mem_err_name(err));
}

static void report(void *ctx, const struct heap_report *r)
{
    (void)ctx;
    kernel_heap.report(r);
}

enum mem_err kmalloc_init(struct heap *heap, struct aspace *as, const struct frame_source *pages,
                          vaddr_t window, size_t bytes,
                          void (*report_to)(const struct heap_report *))
{
    if (kernel_heap.heap)
        return MEM_ALREADY_INIT;
    static const struct heap_ops ops = {grow, shrink, report, NULL};
    kernel_heap.as = as;
    kernel_heap.pages = pages;
    kernel_heap.report = report_to;
    shadow_pause(); /* nothing of it may be touched by others */
    enum mem_err err = heap_init(heap, vaddr_ptr(window), bytes, &ops);
    shadow_resume();
    if (!err)
        kernel_heap.heap = heap;
    return err;
}

static void *allocate(size_t align, size_t size, const void *caller)
{
    enter();
    void *block = align ? heap_alloc_aligned(kernel_heap.heap, align, size, caller)
                        : heap_alloc(kernel_heap.heap, size, caller);
    shadow_live(block, size);
    leave();
    return block;
}

void *kmalloc(size_t size)
{
    return allocate(0, size, __builtin_return_address(0));
}

void *kmalloc_aligned(size_t align, size_t size)
{
    return align ? allocate(align, size, __builtin_return_address(0)) : NULL;
}

void *kcalloc(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        return NULL;
    void *block = allocate(0, bytes, __builtin_return_address(0));
    return block ? __builtin_memset(block, 0, bytes) : NULL;
}

void *krealloc(void *block, size_t size)
{
    enter();
    void *moved = heap_realloc(kernel_heap.heap, block, size, __builtin_return_address(0));
    if (moved) {
        shadow_dead(block);
        shadow_live(moved, size);
    }
    leave();
    return moved;
}

void kfree(void *block)
{
    enter();
    enum heap_fault fault = heap_free(kernel_heap.heap, block, __builtin_return_address(0));
    if (!fault) /* else it is reported and counted already */
        shadow_dead(block);
    leave();
}

size_t kmalloc_usable_size(const void *block)
{
    enter();
    size_t size = heap_usable_size(kernel_heap.heap, block, __builtin_return_address(0));
    shadow_live(block, size); /* who asks may use all of it */
    leave();
    return size;
}

void kmalloc_trim(void)
{
    enter();
    heap_trim(kernel_heap.heap);
    leave();
}
