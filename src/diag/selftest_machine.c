/* SPDX-License-Identifier: MIT */
/*
 * selftest_machine.c - permissions and registers, proved by trying.
 *
 * The page tables may say what they like: each test here makes the access and looks whether the
 * CPU refused it, and how (SDM 3A 4.6, 4.7).
 */
#include "diag/selftest.h"

#include "arch/control.h"
#include "arch/cpu.h"
#include "arch/trap.h"
#include "kernel.h"
#include "kernel_space.h"
#include "layout.h"
#include "physmap.h"

#include <mem/kmap.h>
#include <platform.h>

extern uint8_t kernel_text_start[], kernel_rodata_start[], kernel_data_end[];

static uint8_t some_data[16] = {0xc3}; /* RET: harmless if it can be executed */
static const uint8_t some_rodata[16] = {0xc3};

/* True when the access faulted with a page fault at exactly that address. */
static bool refused(enum probe_kind kind, vaddr_t va)
{
    struct probe_fault fault;
    return probe(kind, va, &fault) && fault.vector == VECTOR_PAGE_FAULT && fault.cr2 == va.v;
}

static enum mem_err text_is_read_only(void)
{
    vaddr_t va = ptr_vaddr(kernel_text_start);
    EXPECT(!probe(PROBE_READ, va, NULL));
    EXPECT(refused(PROBE_WRITE, va));
    return MEM_OK;
}

static enum mem_err rodata_is_read_only(void)
{
    vaddr_t va = ptr_vaddr(some_rodata);
    EXPECT(!probe(PROBE_READ, va, NULL));
    EXPECT(refused(PROBE_WRITE, va));
    EXPECT(!kernel.features.nx || refused(PROBE_EXEC, va));
    return MEM_OK;
}

static enum mem_err data_is_not_code(void)
{
    vaddr_t va = ptr_vaddr(some_data);
    EXPECT(!probe(PROBE_WRITE, va, NULL));
    EXPECT(refused(PROBE_EXEC, va) == kernel.features.nx);
    return MEM_OK;
}

static enum mem_err null_page_is_not_mapped(void)
{
    EXPECT(refused(PROBE_READ, VA(0)));
    EXPECT(refused(PROBE_WRITE, VA(PAGE_SIZE - 1)));
    EXPECT(refused(PROBE_EXEC, VA(1)));
    return MEM_OK;
}

static enum mem_err low_map_is_gone(void)
{
    EXPECT(refused(PROBE_READ, VA(0x100000)));
    EXPECT(refused(PROBE_READ, VA(0xb8000)));
    EXPECT(refused(PROBE_READ, VA(USER_END - PAGE_SIZE)));
    return MEM_OK;
}

static enum mem_err stacks_are_guarded(void)
{
    size_t count;
    const struct cpu_stack *stacks = cpu_stacks(&count);
    for (size_t i = 0; i < count; i++) {
        EXPECT(refused(PROBE_WRITE, vaddr_add(stacks[i].guard, PAGE_SIZE - 1)));
        EXPECT(!probe(PROBE_WRITE, stacks[i].bottom, NULL));
        EXPECT(!probe(PROBE_WRITE, VA(stacks[i].top.v - 1), NULL));
    }
    return MEM_OK;
}

static enum mem_err write_protect_is_armed(void)
{
    EXPECT(read_cr0() & CR0_WP);
    return MEM_OK;
}

/* The frames that the CPU runs on belong to us, and not to the free list. */
static bool owned(vaddr_t va)
{
    paddr_t pa;
    return translate(&kernel.aspace, va, &pa) == MEM_OK && !pmm_is_free(&kernel.pmm, paddr_pfn(pa));
}

static enum mem_err running_on_own_memory(void)
{
    struct {
        uint16_t limit;
        vword_t base;
    } __attribute__((packed)) gdt, idt;
    __asm__ volatile("sgdt %0; sidt %1" : "=m"(gdt), "=m"(idt));
    EXPECT(platform_root().v == kernel.aspace.root.v);
    EXPECT(!pmm_is_free(&kernel.pmm, paddr_pfn(kernel.aspace.root)));
    EXPECT(gdt.base >= KERNEL_OFFSET && owned(VA(gdt.base)));
    EXPECT(idt.base >= KERNEL_OFFSET && owned(VA(idt.base)));
    EXPECT(owned(ptr_vaddr(__builtin_frame_address(0))));
    EXPECT(owned(ptr_vaddr(kernel_text_start)));
    return MEM_OK;
}

/* One frame seen through the window and through its own mapping is one frame. */
static enum mem_err window_shows_the_frame(void)
{
    static uint8_t witness[1];
    paddr_t pa;
    EXPECT(translate(&kernel.aspace, ptr_vaddr(witness), &pa) == MEM_OK);
    uint8_t *page = kmap(paddr_pfn(pa));
    page[pa.v & (PAGE_SIZE - 1)] = 0x5a;
    uint8_t seen = *(volatile uint8_t *)witness;
    kunmap(page);
    EXPECT(seen == 0x5a);
    return MEM_OK;
}

/* Text through the window of all RAM must not be writable either. */
static enum mem_err text_has_no_writable_alias(void)
{
    paddr_t pa;
    EXPECT(translate(&kernel.aspace, ptr_vaddr(kernel_text_start), &pa) == MEM_OK);
    EXPECT(!physmap.shows_all || refused(PROBE_WRITE, VA(physmap.start + (vword_t)pa.v)));
    return MEM_OK;
}

const struct selftest selftests_machine[] = {
    {"CR0.WP is set", write_protect_is_armed},
    {"kernel text is read-only", text_is_read_only},
    {"kernel text has no writable alias", text_has_no_writable_alias},
    {"kernel read-only data is read-only", rodata_is_read_only},
    {"kernel data is not executable where NX exists", data_is_not_code},
    {"the null page is not mapped", null_page_is_not_mapped},
    {"the low identity map is gone", low_map_is_gone},
    {"every kernel stack has a guard page", stacks_are_guarded},
    {"the CPU runs on memory that the kernel owns", running_on_own_memory},
    {"the physical window shows the frame", window_shows_the_frame},
    {NULL, NULL},
};
