/* SPDX-License-Identifier: MIT */
/*
 * museum_machine.c - mistakes around the tables: where the code runs that loads them, where the
 * CPU's own tables lie, what the control registers say, what the TLB still knows.
 */
#include "arch/control.h"
#include "arch/cpu.h"
#include "diag/console.h"
#include "diag/verdict.h"
#include "layout.h"
#include "lib/string.h"
#include "mem/paging_format.h"
#include "museum_exhibit.h"

#include <platform.h>

enum { OLD_FRAME = 0x11, NEW_FRAME = 0x22 };

static void leave_out_yard(const struct aspace *as)
{
    spoil(as, ptr_vaddr(museum_yard), MUSEUM_LEAF, 0, ENTRY_PRESENT);
}

/* ---- the code that loads CR3 ---------------------------------------------------------------- */

/* The loader's copy of it: the boot tables show the image low as well as high. */
static void plant_identity(struct kernel *k, struct switch_plan *plan)
{
    (void)k;
    plan->load = (void (*)(paddr_t))((vword_t)platform_load_root - KERNEL_OFFSET);
}
const struct exhibit identity_missing = {"identity page missing",
                                         "the code that loads CR3 runs at its physical address",
                                         plant_identity, NULL};

static void load_with_other_pae(paddr_t root)
{
    write_cr4(read_cr4() ^ CR4_PAE);
    platform_load_root(root);
}
static void plant_pae(struct kernel *k, struct switch_plan *plan)
{
    (void)k;
    plan->controls.pae = !plan->controls.pae;
    plan->load = load_with_other_pae;
}
const struct exhibit pae_mixed_up = {
    "PAE mixed up", "CR4.PAE says one paging mode and the tables are for the other", plant_pae,
    NULL};

/* ---- what the CPU reads by itself ----------------------------------------------------------- */

static struct table_register move_to_yard(struct table_register from)
{
    memcpy(museum_yard, vaddr_ptr(VA(from.base)), from.limit + 1u);
    return (struct table_register){from.limit, ptr_vaddr(museum_yard).v};
}

static void plant_gdt(struct kernel *k, struct switch_plan *plan)
{
    (void)plan;
    struct table_register moved = move_to_yard(read_gdtr());
    __asm__ volatile("lgdt %0" ::"m"(moved));
    leave_out_yard(&k->aspace);
}
static void reload_segment(void)
{
    __asm__ volatile("mov %0, %%ds" ::"r"(SELECTOR_DATA) : "memory");
    museum_note("a segment register was loaded");
}
const struct exhibit gdt_unmapped = {"GDT unmapped",
                                     "the GDT lies in a page that the new tables do not have",
                                     plant_gdt, reload_segment};

static void plant_idt(struct kernel *k, struct switch_plan *plan)
{
    (void)plan;
    struct table_register moved = move_to_yard(read_idtr());
    __asm__ volatile("lidt %0" ::"m"(moved));
    leave_out_yard(&k->aspace);
}
static void invalid_opcode(void)
{
    __asm__ volatile("ud2");
}
const struct exhibit idt_unmapped = {"IDT unmapped",
                                     "the IDT lies in a page that the new tables do not have",
                                     plant_idt, invalid_opcode};

/* ---- the screen ----------------------------------------------------------------------------- */

static void plant_console(struct kernel *k, struct switch_plan *plan)
{
    (void)k;
    plan->close_screen = false;
}
const struct exhibit console_unmapped = {
    "console unmapped", "the screen is written to where only the old tables show it", plant_console,
    NULL};

/* ---- the TLB -------------------------------------------------------------------------------- */

static vaddr_t reused(void)
{
    return VA((vword_t)0x457 << PAGE_SHIFT); /* in the low identity map of the boot tables */
}

static volatile uint8_t *reused_byte(void)
{
    return vaddr_ptr(reused());
}

/* The old page is global and in use; the new tables lead elsewhere; only CR3 is loaded. */
static void plant_stale(struct kernel *k, struct switch_plan *plan)
{
    struct aspace old = k->aspace;
    old.root = platform_root();
    spoil(&old, reused(), MUSEUM_LEAF, ENTRY_GLOBAL, 0);
    platform_flush_page(reused());
    *reused_byte() = OLD_FRAME;
    museum_yard[0] = NEW_FRAME;

    enum mem_err err = map_page(&k->aspace, reused(), museum_yard_pa(), MAP_WRITE);
    if (err)
        verdict_fail("museum: %s", mem_err_name(err));
    plan->flush = false;
    plan->extra = (struct preflight_need){"reused",  reused(), PAGE_SIZE, museum_yard_pa(),
                                          MAP_WRITE, 0,        NEED_PAGES};
}
static void read_reused(void)
{
    if (*reused_byte() == NEW_FRAME)
        museum_note("this CPU has dropped the old translation all the same");
    else
        museum_note("the kernel read 0x%x from %p, and its tables lead to 0x%x", *reused_byte(),
                    (void *)reused().v, NEW_FRAME);
}
const struct exhibit stale_entry = {
    "stale TLB entry", "an address changes its frame, and its old global translation stays",
    plant_stale, read_reused};
