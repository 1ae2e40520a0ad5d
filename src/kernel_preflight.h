/* SPDX-License-Identifier: MIT */
/*
 * kernel_preflight.h - the switch to the kernel's own page tables: what it will do, and whether
 * it can.
 */
#ifndef KERNEL_PREFLIGHT_H
#define KERNEL_PREFLIGHT_H

#include <mem/preflight.h>

#include "kernel.h"

/* What kernel_space_switch is about to do, so that it can be checked before it is done. */
struct switch_plan {
    void (*load)(paddr_t root);      /* the code that writes CR3, and runs on after that     */
    struct paging_controls controls; /* CR0, CR4 and EFER when the tables come into use      */
    bool flush;                      /* drops global translations after CR3 is loaded        */
    bool close_screen;               /* the screen of the boot tables ends before the switch */
    bool check;                      /* preflight first                                      */
    struct preflight_need extra;     /* one thing more that will be needed; 0 bytes: nothing */
};

/* Returns if the kernel will survive the switch; else says why not and ends with a fail verdict. */
void kernel_preflight(const struct kernel *k, const struct switch_plan *plan);

#endif
