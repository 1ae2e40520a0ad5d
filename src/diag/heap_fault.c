/* SPDX-License-Identifier: MIT */
/* heap_fault.c - what the heap has against a call, in one line: block, owner, and who called. */
#include "diag/heap_fault.h"

#include "diag/console.h"
#include "diag/ksyms.h"

static void print_code(const char *before, const void *address)
{
    uintptr_t offset;
    const char *symbol = ksym_lookup((uintptr_t)address, &offset);
    if (symbol)
        kprintf("%s%s+0x%zx", before, symbol, (size_t)offset);
    else if (address)
        kprintf("%s%p", before, address);
}

static void print_block(bool live, const void *block, size_t size, const void *allocated_by)
{
    kprintf("%s block at %p, %zu bytes", live ? "live" : "free", block, size);
    print_code(", asked for by ", allocated_by);
}

void heap_fault_block(const struct heap_block *b)
{
    print_block(b->live, b->payload, b->live ? b->requested : b->size, b->allocated_by);
}

void heap_fault_explain(const struct heap_report *r)
{
    kprintf("%sheap: %s: %p", colour(RED), heap_fault_name(r->fault), r->address);
    if (r->block) {
        kprintf(r->fault == HEAP_BAD_HEADER ? " (behind a " : " (");
        print_block(r->live, r->block, r->size, r->allocated_by);
    } else {
        print_code(" (asked for by ", r->allocated_by);
    }
    kprintf("%s", r->block || r->allocated_by ? ")" : "");
    print_code(", called from ", r->caller);
    kprintf("%s\n", colour(PLAIN));
}
