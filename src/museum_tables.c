/* SPDX-License-Identifier: MIT */
/*
 * museum_tables.c - mistakes in one bit of one entry, or a few of them.
 *
 * Each plant is the smallest change to healthy tables that makes the mistake, so that what happens
 * next is its doing alone.
 */
#include "arch/cpu.h"
#include "arch/trap.h"
#include "diag/verdict.h"
#include "layout.h"
#include "mem/paging_format.h"
#include "museum_exhibit.h"

#include <mem/kmap.h>

extern uint8_t kernel_text_start[], kernel_text_end[];

static const struct cpu_stack *stack_of(unsigned which)
{
    size_t count;
    return &cpu_stacks(&count)[which];
}

static void unmap_stack(const struct aspace *as, unsigned which)
{
    const struct cpu_stack *s = stack_of(which);
    spoil_pages(as, s->bottom, s->top, 0, ENTRY_PRESENT);
}

static void write_to_text(void)
{
    volatile uint8_t *text = kernel_text_start;
    *text = *text;
    museum_note("the kernel wrote to its own code at %p", (void *)kernel_text_start);
}

/* Down until the guard page stops it. The result keeps the compiler from making a loop of it. */
[[gnu::noinline]] static unsigned dig(unsigned depth)
{
    volatile uint8_t spoil_heap[256];
    spoil_heap[0] = (uint8_t)depth;
    return depth > 1u << 20 ? 0 : dig(depth + 1) + spoil_heap[0];
}

static void overflow_stack(void)
{
    museum_note("the stack has no end (%u)", dig(0));
}

/* ---- not there ------------------------------------------------------------------------------ */

static void plant_stack(struct kernel *k, struct switch_plan *plan)
{
    (void)plan;
    unmap_stack(&k->aspace, 0);
}
const struct exhibit stack_unmapped = {
    "stack unmapped", "the new tables map the kernel's sections and forget its stack", plant_stack,
    NULL};

static void plant_trap_entries(struct kernel *k, struct switch_plan *plan)
{
    (void)plan;
    vaddr_t from = VA(cpu_gate_target(0).v & ~(vword_t)(PAGE_SIZE - 1));
    spoil_pages(&k->aspace, from, cpu_gate_target(VECTOR_COUNT - 1), 0, ENTRY_PRESENT);
}
static void invalid_opcode(void)
{
    __asm__ volatile("ud2");
}
const struct exhibit trap_entries_unmapped = {
    "trap entries unmapped", "the last page of .text, with the trap entries, is left out",
    plant_trap_entries, invalid_opcode};

static void plant_fault_stack(struct kernel *k, struct switch_plan *plan)
{
    (void)plan;
    unmap_stack(&k->aspace, 1);
}
const struct exhibit fault_stack_unmapped = {
    "double-fault stack unmapped", "nobody thought of the stack that only a double fault uses",
    plant_fault_stack, overflow_stack};

/* The table, or large page, through which the root is seen. */
static void plant_window(struct kernel *k, struct switch_plan *plan)
{
    (void)plan;
    struct walk w;
    void *root = kmap(paddr_pfn(k->aspace.root));
    paging_walk(&k->aspace, ptr_vaddr(root), &w);
    kunmap(root);
    unsigned last = w.step[w.steps - 1].level;
    spoil(&k->aspace, w.va, last == 1 ? 2 : last, 0, ENTRY_PRESENT);
}
static void look_through_window(void)
{
    paddr_t pa;
    enum mem_err err = translate(&kernel.aspace, ptr_vaddr(kernel_text_start), &pa);
    museum_note("the tables can be read: %s", mem_err_name(err));
}
const struct exhibit window_unmapped = {
    "tables out of reach", "no mapping shows the page tables themselves once they are in use",
    plant_window, look_through_window};

/* The empty table is parked below the heap's place, so that tables and frames still add up. */
static void plant_heap_entry(struct kernel *k, struct switch_plan *plan)
{
    (void)plan;
    unsigned index = level_index(HEAP_START, LEVELS);
    entry_t *root = kmap(paddr_pfn(k->aspace.root));
    root[index - 1] = root[index];
    root[index] = 0;
    kunmap(root);
}
const struct exhibit heap_entry_missing = {
    "top-level entry missing", "the heap's top-level entry is made only when the heap first grows",
    plant_heap_entry, NULL};

/* ---- there, but not so ---------------------------------------------------------------------- */

static void plant_upper_read_only(struct kernel *k, struct switch_plan *plan)
{
    (void)plan;
    spoil(&k->aspace, ptr_vaddr(kernel_text_start), LEVELS, 0, ENTRY_WRITE);
}
const struct exhibit upper_level_read_only = {
    "upper level without W", "W is set in the page's own entry, and not in the entry above it",
    plant_upper_read_only, NULL};

/* The kernel's own address space makes tables without U: right for the kernel, wrong here. */
static void plant_upper_not_user(struct kernel *k, struct switch_plan *plan)
{
    vaddr_t code = VA(PAGE_SIZE << INDEX_BITS);
    enum mem_err err =
        map_page(&k->aspace, code, museum_yard_pa(), MAP_USER | MAP_EXEC | MAP_NO_LARGE);
    if (err)
        verdict_fail("museum: %s", mem_err_name(err));
    plan->extra = (struct preflight_need){"user code",         code, PAGE_SIZE, museum_yard_pa(),
                                          MAP_USER | MAP_EXEC, 0,    NEED_PAGES};
}
static void run_user_code(void)
{
    enter_user(VA(PAGE_SIZE << INDEX_BITS));
}
const struct exhibit upper_level_not_user = {
    "upper level without U", "U is set in the user page's entry, and not in the entry above it",
    plant_upper_not_user, run_user_code};

static void plant_one_off(struct kernel *k, struct switch_plan *plan)
{
    (void)plan;
    vaddr_t text = ptr_vaddr(kernel_text_start);
    vword_t e = entry_on_the_way(&k->aspace, text, LEVELS);
    unsigned index = level_index(text.v, LEVELS);
    unsigned wrong = index + 1 < ENTRIES ? index + 1 : index - 1;
    entry_t *root = kmap(paddr_pfn(k->aspace.root));
    root[wrong] = e;
    root[index] = 0;
    kunmap(root);
}
const struct exhibit one_entry_off = {"kernel half one entry off",
                                      "the kernel half is entered in the neighbour of its entry",
                                      plant_one_off, NULL};

static void plant_writable_text(struct kernel *k, struct switch_plan *plan)
{
    (void)plan;
    spoil_pages(&k->aspace, ptr_vaddr(kernel_text_start), ptr_vaddr(kernel_text_end), ENTRY_WRITE,
                0);
}
const struct exhibit writable_text = {"writable text",
                                      "one permission for the whole image: read, write, execute",
                                      plant_writable_text, write_to_text};

static void plant_user_text(struct kernel *k, struct switch_plan *plan)
{
    (void)plan;
    vaddr_t start = ptr_vaddr(kernel_text_start);
    spoil_pages(&k->aspace, start, ptr_vaddr(kernel_text_end), ENTRY_USER, 0);
    for (unsigned level = 2; level <= LEVELS; level++)
        spoil(&k->aspace, start, level, ENTRY_USER, 0);
}
static void look_at_user_text(void)
{
    museum_note("kernel code is open to user code, on a CPU without SMEP");
}
const struct exhibit user_text = {"kernel text as user page",
                                  "U in every entry, since it made an earlier fault go away",
                                  plant_user_text, look_at_user_text};

static void plant_guard(struct kernel *k, struct switch_plan *plan)
{
    (void)plan;
    vaddr_t guard = stack_of(0)->guard;
    enum mem_err err = map_page(&k->aspace, guard, PA(guard.v - KERNEL_OFFSET), MAP_WRITE);
    if (err)
        verdict_fail("museum: %s", mem_err_name(err));
}
static void write_to_guard(void)
{
    *(volatile uint8_t *)vaddr_ptr(stack_of(0)->guard) = 0;
    museum_note("the guard page at %p can be written to", (void *)stack_of(0)->guard.v);
}
const struct exhibit guard_mapped = {"guard page mapped",
                                     "the image is mapped in one piece, guard pages and all",
                                     plant_guard, write_to_guard};
