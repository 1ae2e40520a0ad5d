/* SPDX-License-Identifier: MIT */
/*
 * kernel_space.c - builds the kernel's address space (layout.h draws it).
 *
 *   K1  no page is writable and executable at once, by any of its mappings: the HHDM shows text
 *       and read-only data as read-only, too.
 *   K2  the page below every kernel stack is not mapped.
 *   K3  every top-level entry of the kernel half that will ever be used is present.
 *   K4  nothing below the kernel half is mapped.
 */
#include "kernel_space.h"

#include <mem/kmap.h>
#include <mem/mmio.h>
#include <platform.h>

#include "arch/cpu.h"
#include "diag/refuse.h"
#include "diag/screen.h"
#include "kernel_preflight.h"
#include "layout.h"
#include "museum.h"
#include "physmap.h"

#ifndef PREFLIGHT /* make PREFLIGHT=0: look away, and see what the CPU makes of it */
#define PREFLIGHT 1
#endif

extern uint8_t kernel_physical_start[], kernel_physical_end[];
extern uint8_t kernel_text_start[], kernel_text_end[];
extern uint8_t kernel_rodata_start[], kernel_rodata_end[];
extern uint8_t kernel_data_start[], kernel_data_end[];

struct section {
    const char *name;
    const uint8_t *start, *end;
    unsigned flags;
};

static const struct section sections[] = {
    {"kernel text", kernel_text_start, kernel_text_end, MAP_EXEC | MAP_GLOBAL},
    {"kernel rodata", kernel_rodata_start, kernel_rodata_end, MAP_GLOBAL},
    {"kernel data", kernel_data_start, kernel_data_end, MAP_WRITE | MAP_GLOBAL},
};
enum { SECTIONS = sizeof sections / sizeof sections[0] };

static bool live;

static pfn_t take_early(void *ctx)
{
    struct bootmap *map = ctx;
    pfn_t frame;
    return bootmap_take(map, 1, 0, physmap.reach_at_boot, OWNER_TABLE, &frame) ? PFN_NONE : frame;
}

/* Where the map has no room for another piece the frame stays a table's; such a boot stops. */
static void give_early(void *ctx, pfn_t frame)
{
    enum mem_err err = bootmap_give(ctx, frame, 1, OWNER_TABLE);
    if (err && err != MEM_FULL)
        platform_panic("page table at frame 0x%zx: %s", (size_t)frame.v, mem_err_name(err));
}

static enum mem_err map_image(struct aspace *as, const uint8_t *start, const uint8_t *end,
                              unsigned flags)
{
    if (start >= end)
        return MEM_OK;
    vaddr_t va = ptr_vaddr(start);
    return map_range(as, va, PA(va.v - KERNEL_OFFSET), (size_t)(end - start), flags);
}

/* Stacks are listed in no order, so all are asked each time. */
const uint8_t *kernel_next_guard(const uint8_t *from, const uint8_t *end)
{
    size_t count;
    const struct cpu_stack *stacks = cpu_stacks(&count);
    const uint8_t *next = end;
    for (size_t i = 0; i < count; i++) {
        const uint8_t *guard = vaddr_ptr(stacks[i].guard);
        if (guard >= from && guard < next)
            next = guard;
    }
    return next;
}

/* One section, with a hole for every guard page in it. */
static enum mem_err map_section(struct aspace *as, const struct section *s)
{
    const uint8_t *from = s->start;
    for (unsigned i = 0; from < s->end && i < 16; i++) {
        const uint8_t *guard = kernel_next_guard(from, s->end);
        enum mem_err err = map_image(as, from, guard, s->flags);
        if (err)
            return err;
        from = guard + PAGE_SIZE;
    }
    return MEM_OK;
}

enum mem_err kernel_space_build(struct kernel *k)
{
    struct frame_source early =
        refuse_source((struct frame_source){take_early, give_early, &k->map});
    enum mem_err err = paging_create(&k->aspace, true, early, &k->features);
    for (unsigned i = 0; !err && i < SECTIONS; i++)
        err = map_section(&k->aspace, &sections[i]);
    if (!err)
        err = physmap_build(&k->aspace, &k->map, PA((vword_t)kernel_text_start - KERNEL_OFFSET),
                            PA((vword_t)kernel_rodata_end - KERNEL_OFFSET));
    if (!err)
        err = paging_pin(&k->aspace, VA(HEAP_START), HEAP_BYTES);
    if (!err)
        err = paging_pin(&k->aspace, VA(MMIO_START), MMIO_BYTES);
    return err;
}

void kernel_space_switch(struct kernel *k)
{
    struct switch_plan plan = {
        .load = platform_load_root,
        .controls = cpu_paging_controls(),
        .flush = true,
        .close_screen = true,
        .check = PREFLIGHT,
    };
    museum_plant(k, &plan);
    if (plan.check)
        kernel_preflight(k, &plan);
    if (plan.close_screen)
        screen_close_early();
    vword_t irq = platform_irq_save();
    plan.load(k->aspace.root);
    if (plan.flush)
        platform_flush_all();
    live = true;
    museum_visit();
    platform_irq_restore(irq);
}

bool kernel_space_live(void)
{
    return live;
}

struct aspace kernel_space_loaded(void)
{
    struct aspace as = kernel.aspace;
    as.root = platform_root();
    return as;
}

const char *kernel_region_name(vaddr_t va)
{
    if (va.v < PAGE_SIZE)
        return "null page";
    if (va.v < USER_END)
        return "user space";
    for (unsigned i = 0; i < SECTIONS; i++) {
        if (va.v - (vword_t)sections[i].start < (size_t)(sections[i].end - sections[i].start))
            return sections[i].name;
    }
    if (va.v - HEAP_START < HEAP_BYTES)
        return "heap";
    if (va.v - MMIO_START < MMIO_BYTES) {
        const struct mmio_region *region = mmio_find(&kernel.mmio, va);
        return region ? region->name : "device window";
    }
    if (va.v - physmap.start < physmap.bytes)
        return physmap.name;
    return "a hole in the address space";
}

void kernel_image_extent(uint64_t *start, uint64_t *bytes)
{
    *start = (vword_t)kernel_physical_start;
    *bytes = (vword_t)kernel_physical_end - (vword_t)kernel_physical_start;
}

void *boot_window(uint64_t pa)
{
    return vaddr_ptr(VA((vword_t)(BOOT_WINDOW + pa)));
}
