/* SPDX-License-Identifier: MIT */
/*
 * fault_command.c - mistakes made on purpose, to show how each is explained.
 *
 * These are found by every kernel. A build with SANITIZE= adds those that its sanitizer finds.
 */
#include "diag/fault_command.h"

#include <mem/kmalloc.h>
#include <platform.h>

#include "diag/console.h"
#include "diag/report.h"
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

/* The compiler does not see how far this goes; the guard word is on its way. */
static void fault_smash(void)
{
    volatile uint8_t array[16];
    size_t bytes = 2 * sizeof array;
    __asm__("" : "+r"(bytes));
    for (size_t i = 0; i < bytes; i++)
        array[i] = 0x5a;
}

static void fault_panic(void)
{
    platform_panic("asked for by the fault command");
}

static const struct fault_cause causes[] = {
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
    {"smash", "write beyond an array on the stack", fault_smash},
    {"panic", "a broken invariant", fault_panic},
    {NULL, NULL, NULL},
};

static const struct fault_cause *find(const struct fault_cause *list, const char *name)
{
    while (list->name && strcmp(list->name, name) != 0)
        list++;
    return list->name ? list : NULL;
}

static void tell(const struct fault_cause *list)
{
    for (; list->name; list++)
        kprintf("    fault %-9s  %s\n", list->name, list->meaning);
}

bool fault_command(const struct shell_args *args)
{
    const char *name = args->count == 1 ? args->word[0] : "";
    const struct fault_cause *cause = find(causes, name);
    if (!cause)
        cause = find(sanitizer_causes, name);
    if (cause) {
        cause->cause();
        return report_error("fault", args, "%s did not fault: this CPU or paging mode allows it",
                            name);
    }
    if (args->count || args->json)
        return report_error("fault", args, "usage: fault KIND; fault alone lists the kinds");
    kprintf("  makes a mistake on purpose, to show how it is explained; the run ends there\n");
    tell(causes);
    tell(sanitizer_causes);
    return true;
}
