/* SPDX-License-Identifier: MIT */
/*
 * kmalloc.c - the heap joined to frames and page tables.
 *
 * Growing takes frames and tables from the PMM alone: nothing here or below enters the heap. The
 * lock is "interrupts off" while there is one CPU.
 */
#include <mem/kmalloc.h>

#include <platform.h>

static struct {
    struct heap *heap;
    struct aspace *as;
    struct pmm *pmm;
} kernel_heap;

static pfn_t next_frame(void *ctx)
{
    return pmm_alloc(ctx, OWNER_HEAP); /* grow has counted: it is there */
}

static void give_frame(void *ctx, pfn_t frame)
{
    enum mem_err err = pmm_free(ctx, frame, OWNER_HEAP);
    if (err)
        platform_panic("heap page in frame 0x%zx: %s", (size_t)frame.v, mem_err_name(err));
}

/* The tables come first, so what is free after them is what the pages can have. */
static bool grow(void *ctx, void *at, size_t bytes)
{
    (void)ctx;
    size_t pages = bytes >> PAGE_SHIFT;
    size_t tables = (pages >> 9) + 8; /* more than any range of that many pages can need */
    if (pmm_free_frames(kernel_heap.pmm) < (uint64_t)pages + tables)
        return false;
    return map_frames(kernel_heap.as, ptr_vaddr(at), pages, MAP_WRITE | MAP_GLOBAL, next_frame,
                      kernel_heap.pmm) == MEM_OK;
}

static void shrink(void *ctx, void *at, size_t bytes)
{
    (void)ctx;
    enum mem_err err = unmap_frames(kernel_heap.as, ptr_vaddr(at), bytes >> PAGE_SHIFT, give_frame,
                                    kernel_heap.pmm);
    if (err)
        platform_panic("heap shrink at %p: %s", at, mem_err_name(err));
}

static void report(void *ctx, const struct heap_report *r)
{
    (void)ctx;
    platform_complain("heap: %s: %p (block %p, %zu bytes, %s, allocated by %p), called from %p",
                      heap_fault_name(r->fault), r->address, r->block, r->size,
                      r->live ? "live" : "free", r->allocated_by, r->caller);
}

enum mem_err kmalloc_init(struct heap *heap, struct aspace *as, struct pmm *pmm, vaddr_t window,
                          size_t bytes)
{
    if (kernel_heap.heap)
        return MEM_ALREADY_INIT;
    static const struct heap_ops ops = {grow, shrink, report, NULL};
    kernel_heap.as = as;
    kernel_heap.pmm = pmm;
    enum mem_err err = heap_init(heap, vaddr_ptr(window), bytes, &ops);
    if (!err)
        kernel_heap.heap = heap;
    return err;
}

static void *allocate(size_t align, size_t size, const void *caller)
{
    vword_t irq = platform_irq_save();
    void *block = align ? heap_alloc_aligned(kernel_heap.heap, align, size, caller)
                        : heap_alloc(kernel_heap.heap, size, caller);
    platform_irq_restore(irq);
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
    vword_t irq = platform_irq_save();
    void *moved = heap_realloc(kernel_heap.heap, block, size, __builtin_return_address(0));
    platform_irq_restore(irq);
    return moved;
}

void kfree(void *block)
{
    vword_t irq = platform_irq_save();
    enum heap_fault fault = heap_free(kernel_heap.heap, block, __builtin_return_address(0));
    (void)fault; /* reported and counted already */
    platform_irq_restore(irq);
}

size_t kmalloc_usable_size(const void *block)
{
    vword_t irq = platform_irq_save();
    size_t size = heap_usable_size(kernel_heap.heap, block);
    platform_irq_restore(irq);
    return size;
}
