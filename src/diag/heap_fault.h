/* SPDX-License-Identifier: MIT */
/* heap_fault.h - the heap's reports of misuse and damage, told with names. */
#ifndef DIAG_HEAP_FAULT_H
#define DIAG_HEAP_FAULT_H

#include <mem/heap.h>

void heap_fault_explain(const struct heap_report *report);

/* A block, its owner, and who asked for it, on the line that was begun. */
void heap_fault_block(const struct heap_block *block);

#endif
