/* SPDX-License-Identifier: MIT */
/* heap_fault.h - the heap's reports of misuse and damage, told with names. */
#ifndef DIAG_HEAP_FAULT_H
#define DIAG_HEAP_FAULT_H

#include <mem/heap.h>

void heap_fault_explain(const struct heap_report *report);

#endif
