/* SPDX-License-Identifier: MIT */
/*
 * museum.c - x86_64: what only four-level paging can do wrong.
 *
 * Large pages need no leave here: 2 MiB pages are part of long mode. The exhibit in that place has
 * PS set one level too high, where it is reserved.
 */
#include "arch/control.h"
#include "arch/cpu.h"
#include "mem/paging_format.h"
#include "museum_exhibit.h"

#define BIT_51 ((entry_t)1 << 51)

extern uint8_t kernel_text_start[], kernel_text_end[];

static void plant_large(struct kernel *k, struct switch_plan *plan)
{
    (void)plan;
    spoil(&k->aspace, ptr_vaddr(kernel_text_start), LEVELS, ENTRY_LARGE, 0);
}
const struct exhibit large_page_without_leave = {
    "PS one level too high", "PS is set in a PML4E, and no CPU has pages of 512 GiB", plant_large,
    NULL};

static void plant_no_nxe(struct kernel *k, struct switch_plan *plan)
{
    (void)k;
    write_msr(MSR_EFER, read_msr(MSR_EFER) & ~(uint64_t)EFER_NXE); /* the boot tables have no NX */
    plan->controls.nxe = false;
}
const struct exhibit permission_without_control = {
    "NX without NXE", "data pages carry NX, and EFER.NXE is clear", plant_no_nxe, NULL};

static void plant_reserved(struct kernel *k, struct switch_plan *plan)
{
    (void)plan;
    spoil_pages(&k->aspace, ptr_vaddr(kernel_text_start), ptr_vaddr(kernel_text_end), BIT_51, 0);
}
const struct exhibit reserved_bit = {
    "reserved bit set", "an address with more bits than this CPU has wires: bit 51 is set",
    plant_reserved, NULL};

/* To ring 3, with nothing in the registers but the way there. */
void enter_user(vaddr_t code)
{
    enum { USER_DATA = 0x1b, USER_CODE = 0x23 };
    __asm__ volatile("pushq %0; pushq %1; pushq $2; pushq %2; pushq %3; iretq" ::"i"(USER_DATA),
                     "r"(code.v), "i"(USER_CODE), "r"(code.v)
                     : "memory");
}
