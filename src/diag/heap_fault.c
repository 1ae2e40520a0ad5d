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

void heap_fault_explain(const struct heap_report *r)
{
    kprintf("%sheap: %s: %p", colour(RED), heap_fault_name(r->fault), r->address);
    if (r->block)
        kprintf(" (%s%s block at %p, %zu bytes", r->fault == HEAP_BAD_HEADER ? "behind a " : "",
                r->live ? "live" : "free", r->block, r->size);
    print_code(r->block ? ", asked for by " : " (asked for by ", r->allocated_by);
    kprintf("%s", r->block || r->allocated_by ? ")" : "");
    print_code(", called from ", r->caller);
    kprintf("%s\n", colour(PLAIN));
}
