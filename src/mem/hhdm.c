/* SPDX-License-Identifier: MIT */
/*
 * hhdm.c - the higher-half direct map: a frame's pointer is one addition away, for good.
 *
 *   W1  every frame of RAM below the limit is mapped at base + physical, writable and NX; kernel
 *       text and read-only data are mapped there read-only.
 */
#include <mem/kmap.h>

static vword_t base;

void physmap_init(vaddr_t window, void *table, size_t slots)
{
    (void)table;
    (void)slots;
    base = window.v;
}

void *kmap(pfn_t frame)
{
    return vaddr_ptr(VA(base + (frame.v << PAGE_SHIFT)));
}

void kunmap(const void *ptr)
{
    (void)ptr;
}

void kmap_stats(struct kmap_stats *out)
{
    *out = (struct kmap_stats){0};
}

void kmap_each_live(void (*report)(unsigned slot, pfn_t frame, const void *caller, void *ctx),
                    void *ctx)
{
    (void)report;
    (void)ctx;
}
