/* SPDX-License-Identifier: MIT */
/*
 * museum.c - i386: what only two-level paging without PAE can do wrong.
 *
 * There is no NX bit here to be set too early. The exhibit in its place is the other permission
 * that means nothing until a control bit says so: read-only, to the kernel, without CR0.WP.
 */
#include "arch/control.h"
#include "arch/cpu.h"
#include "mem/paging_format.h"
#include "museum_exhibit.h"

enum { FIRST_4M = ENTRY_PRESENT | ENTRY_WRITE | ENTRY_LARGE, HALF_WAY = 1 << 21 };

extern uint8_t kernel_text_start[];

static void set_image_entry(struct kernel *k, vword_t entry)
{
    spoil(&k->aspace, ptr_vaddr(kernel_text_start), LEVELS, entry, ~(vword_t)0);
}

static void plant_large(struct kernel *k, struct switch_plan *plan)
{
    set_image_entry(k, FIRST_4M);
    if (k->cpu.present) /* the boot tables have no large page */
        write_cr4(read_cr4() & ~(uintptr_t)CR4_PSE);
    plan->controls.pse = false;
}
const struct exhibit large_page_without_leave = {
    "PS without PSE", "the image is one 4 MiB page, and CR4.PSE is clear", plant_large, NULL};

static void plant_no_wp(struct kernel *k, struct switch_plan *plan)
{
    (void)k;
    write_cr0(read_cr0() & ~(uintptr_t)CR0_WP);
    plan->controls.wp = false;
}
static void write_to_text(void)
{
    volatile uint8_t *text = kernel_text_start;
    *text = *text;
    museum_note("the kernel wrote to its own read-only code at %p", (void *)kernel_text_start);
}
const struct exhibit permission_without_control = {
    "read-only without WP", "pages are read-only, and CR0.WP is clear", plant_no_wp, write_to_text};

static void plant_reserved(struct kernel *k, struct switch_plan *plan)
{
    (void)plan;
    set_image_entry(k, FIRST_4M | HALF_WAY);
}
const struct exhibit reserved_bit = {
    "reserved bit set", "a 4 MiB page begins at 2 MiB, which puts bit 21 where it must be zero",
    plant_reserved, NULL};

/* To ring 3. IRET would clear data segments that ring 3 may not use (SDM 2A IRET). */
void enter_user(vaddr_t code)
{
    enum { USER_CODE = 0x1b, USER_DATA = 0x23 };
    __asm__ volatile("mov %0, %%ds; mov %0, %%es" ::"r"(USER_DATA));
    __asm__ volatile("push %0; push %1; push $2; push %2; push %3; iret" ::"i"(USER_DATA),
                     "r"(code.v), "i"(USER_CODE), "r"(code.v)
                     : "memory");
}
