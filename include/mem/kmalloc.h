/* SPDX-License-Identifier: MIT */
/*
 * kmalloc.h - the kernel's one heap, by the names that everybody knows.
 *
 * kmalloc.c joins a struct heap to the kernel's address space and frames and takes the heap lock
 * around every call. Growing takes frames and tables from the PMM alone, so it never re-enters.
 * May be called with interrupts on or off, not from a handler that may have interrupted it.
 */
#ifndef MEM_KMALLOC_H
#define MEM_KMALLOC_H

#include <mem/heap.h>
#include <mem/paging.h>

/*
 * Joins `heap`, `as` and `pages`, which gives the heap's memory, for good; MEM_ALREADY_INIT the
 * second time. Errors of heap_init. `report` hears of every misuse and of all damage, with the
 * heap's lock held: it must not allocate.
 */
enum mem_err kmalloc_init(struct heap *heap, struct aspace *as, const struct frame_source *pages,
                          vaddr_t window, size_t bytes, void (*report)(const struct heap_report *));

/* As heap_alloc and friends; the caller recorded is the caller of these. */
void *kmalloc(size_t size);
void *kcalloc(size_t count, size_t size); /* zeroed; NULL when count * size overflows */
void *krealloc(void *block, size_t size);
void *kmalloc_aligned(size_t align, size_t size);
void kfree(void *block);
size_t kmalloc_usable_size(const void *block);

/* As heap_trim: for when frames run short. Interrupts are off all the while. */
void kmalloc_trim(void);

#endif
