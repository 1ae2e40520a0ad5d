/* SPDX-License-Identifier: MIT */
/* commands.c - every command in one table; and the two that end the run, fault and reboot. */
#include "diag/commands.h"

#include <mem/kmalloc.h>
#include <platform.h>

#include "arch/cpu.h"
#include "diag/bench.h"
#include "diag/console.h"
#include "diag/report.h"
#include "diag/selftest.h"
#include "diag/storm.h"
#include "diag/try.h"
#include "kernel.h"
#include "layout.h"
#include "lib/string.h"

extern uint8_t kernel_text_start[];
static uint8_t in_data[16] = {0xc3};
static const uint8_t in_rodata[16] = {1};

static void poke(vaddr_t va)
{
    __asm__ volatile("movb $1, (%0)" ::"r"(va.v) : "memory"); /* no compiler argues with that */
}

static void fault_null(void)
{
    poke(VA(8));
}

static void fault_text(void)
{
    poke(ptr_vaddr(kernel_text_start));
}

static void fault_rodata(void)
{
    poke(ptr_vaddr(in_rodata));
}

static void fault_exec(void)
{
    ((void (*)(void))ptr_vaddr(in_data).v)();
}

static void fault_unmapped(void)
{
    poke(VA((vword_t)(HEAP_START + HEAP_BYTES - 4096)));
}

static void fault_user(void)
{
    poke(VA(0x08048000)); /* where programs begin, if there were one */
}

/* Larger than what the heap keeps for later: its pages go back at once. */
static void fault_freed(void)
{
    uint8_t *block = kmalloc(1u << 20);
    if (!block)
        return;
    kfree(block);
    poke(vaddr_add(ptr_vaddr(block), 1u << 19));
}

static void fault_canonical(void)
{
    if (kernel.features.virt_bits < 8 * sizeof(vword_t))
        poke(VA((vword_t)1 << kernel.features.virt_bits));
}

static void fault_divide(void)
{
    __asm__ volatile("xor %%eax, %%eax; xor %%edx, %%edx; div %%eax" ::: "eax", "edx");
}

static void fault_opcode(void)
{
    __asm__ volatile("ud2");
}

/* 1 KiB a level: deep enough, this is how a stack overflows. */
static unsigned recurse(unsigned depth)
{
    volatile uint8_t frame[1024];
    frame[depth % sizeof frame] = (uint8_t)depth;
    return depth ? recurse(depth - 1) + frame[depth % sizeof frame] : 0;
}

static void fault_stack(void)
{
    kprintf("%u\n", recurse(1000));
}

static void fault_panic(void)
{
    platform_panic("asked for by the fault command");
}

static const struct {
    const char *name, *meaning;
    void (*cause)(void);
} causes[] = {
    {"null", "write through a NULL pointer", fault_null},
    {"text", "write to kernel code", fault_text},
    {"rodata", "write to read-only data", fault_rodata},
    {"exec", "jump to data", fault_exec},
    {"unmapped", "write where nothing is mapped", fault_unmapped},
    {"user", "write to user space, where nothing is mapped", fault_user},
    {"freed", "write to a heap block that was freed", fault_freed},
    {"canonical", "write to an address that cannot be", fault_canonical},
    {"divide", "divide by zero", fault_divide},
    {"opcode", "an invalid instruction", fault_opcode},
    {"stack", "recurse until the stack is used up", fault_stack},
    {"panic", "a broken invariant", fault_panic},
};
enum { CAUSES = sizeof causes / sizeof causes[0] };

static bool command_fault(const struct shell_args *args)
{
    for (unsigned i = 0; args->count == 1 && i < CAUSES; i++) {
        if (strcmp(args->word[0], causes[i].name) != 0)
            continue;
        causes[i].cause();
        return report_error("fault", args, "%s did not fault: this CPU or paging mode allows it",
                            causes[i].name);
    }
    if (args->count || args->json)
        return report_error("fault", args,
                            "usage: fault null|text|rodata|exec|unmapped|user|freed|"
                            "canonical|divide|opcode|stack|panic");
    kprintf("  makes a mistake on purpose, to show how it is explained; the run ends there\n");
    for (unsigned i = 0; i < CAUSES; i++)
        kprintf("    fault %-9s  %s\n", causes[i].name, causes[i].meaning);
    return true;
}

static bool command_reboot(const struct shell_args *args)
{
    if (args->count)
        return report_error("reboot", args, "usage: reboot");
    cpu_reset();
}

const struct shell_command commands[] = {
    {"meminfo", "meminfo", "how much memory there is, and whose it is", report_meminfo},
    {"mmap", "mmap", "the firmware's memory map, raw and made canonical", report_mmap_command},
    {"pmm", "pmm", "the frame allocator: counts, runs by size, refusals", report_pmm},
    {"frames", "frames", "a picture of physical memory", report_frames},
    {"walk", "walk ADDR", "every page-table level on the way to an address", report_walk},
    {"why", "why ADDR", "whose an address is, and what forbids what there", report_why},
    {"ptdump", "ptdump", "everything that is mapped, and the W^X audit", report_ptdump},
    {"heap", "heap", "the heap: totals, picture, sizes, invariants", report_heap},
    {"blocks", "blocks [ADDR]", "the heap block by block: size, state, who asked for it",
     report_blocks},
    {"leaks", "leaks [keep|diff]", "live heap blocks by caller; what has changed since kept",
     report_leaks},
    {"alloc", "alloc BYTES [TIMES]", "heap blocks to play with", command_alloc},
    {"free", "free ADDR", "free one, or see what the heap says of a wrong address", command_free},
    {"heap_test", "heap_test [OPS]", "random heap calls with contents checked", heap_test_command},
    {"map", "map ADDR [PAGES]", "fresh frames in user space, to look at", try_map},
    {"unmap", "unmap ADDR [PAGES]", "takes them away again", try_unmap},
    {"protect", "protect ADDR r|rw", "what may be done there; ADDR [PAGES] r|rw", try_protect},
    {"grab", "grab BYTES", "takes memory from the heap, to look at", try_grab},
    {"drop", "drop", "gives the newest of it back", try_drop},
    {"selftest", "selftest", "every self-test on this machine", selftest_command},
    {"cpu", "cpu", "what this CPU has, and what is used of it", report_cpu},
    {"storm", "storm SEED N", "random paging calls; check|edges|tighten|clear|stop", storm_command},
    {"bench", "bench", "what the memory calls cost, in instructions", bench_command},
    {"dmesg", "dmesg", "everything said since boot", report_dmesg},
    {"fault", "fault [KIND]", "make a mistake on purpose and see it explained", command_fault},
    {"reboot", "reboot", "reset the machine", command_reboot},
    {NULL, NULL, NULL, NULL},
};
