/* SPDX-License-Identifier: MIT */
/* ksyms.c - a binary search; reads only constants, so it works in a panic. */
#include "diag/ksyms.h"

#include <stddef.h>

extern const uint8_t kernel_text_start[], kernel_text_end[];

const char *ksym_lookup(uintptr_t address, uintptr_t *offset)
{
    uintptr_t start = (uintptr_t)kernel_text_start;
    if (address < start || address >= (uintptr_t)kernel_text_end)
        return NULL;

    uintptr_t wanted = address - start;
    uint32_t low = 0, high = ksym_count; /* the first symbol above `wanted` is in [low, high] */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (ksym_table[middle].offset <= wanted)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        return NULL;

    const struct ksym *found = &ksym_table[low - 1];
    *offset = wanted - found->offset;
    return ksym_names + found->name;
}
