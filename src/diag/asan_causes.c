/* SPDX-License-Identifier: MIT */
/*
 * asan_causes.c - wrong accesses to show, in kernels built with SANITIZE=asan: `fault KIND`.
 *
 * Nothing else would notice any of them: the memory is there and may be written to.
 */
#include "diag/fault_command.h"

#include <mem/kmalloc.h>

#include "lib/string.h"

enum { BYTES = 20 }; /* no multiple of 8: the last byte is found, too */

static volatile uint8_t table[BYTES];
static volatile size_t at;
static volatile uint8_t out;

static void heap_over(void)
{
    volatile uint8_t *block = kmalloc(BYTES);
    block[BYTES] = 1;
}

static void heap_under(void)
{
    volatile uint8_t *block = kmalloc(BYTES);
    out = *(block - 1);
}

static void heap_after(void)
{
    volatile uint8_t *block = kmalloc(BYTES);
    kfree((void *)block);
    out = block[BYTES - 1];
}

static void heap_moved(void)
{
    volatile uint8_t *block = kmalloc(BYTES);
    volatile uint8_t *moved = krealloc((void *)block, 64 << 10);
    moved[0] = 1;
    block[0] = 1;
}

static void heap_copy(void)
{
    char *block = kmalloc(BYTES);
    memset(block, 0, BYTES + 1);
    out = (uint8_t)block[0];
}

static void global(void)
{
    at = BYTES;
    table[at] = 1;
}

static void local(void)
{
    volatile uint8_t array[BYTES];
    at = BYTES;
    for (size_t i = 0; i <= at; i++)
        array[i] = 1;
    out = array[0];
}

static void scope(void)
{
    volatile uint8_t *volatile left = NULL;
    for (unsigned i = 0; i < 1; i++) {
        volatile uint8_t inner[BYTES];
        inner[0] = 1;
        left = inner;
    }
    out = left[0];
}

const struct fault_cause sanitizer_causes[] = {
    {"over", "write one byte behind a heap block", heap_over},
    {"under", "read one byte before a heap block", heap_under},
    {"after", "read a heap block that was freed", heap_after},
    {"moved", "write to where a block was before krealloc", heap_moved},
    {"copy", "fill one byte more than a heap block has", heap_copy},
    {"global", "write one byte behind a variable", global},
    {"local", "write one byte behind an array on the stack", local},
    {"scope", "read a local whose block has ended", scope},
    {NULL, NULL, NULL},
};
