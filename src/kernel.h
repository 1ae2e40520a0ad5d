/* SPDX-License-Identifier: MIT */
/*
 * kernel.h - the instances. kernel.c owns the only ones; reports and self-tests read them here.
 */
#ifndef KERNEL_H
#define KERNEL_H

#include <mem/bootmap.h>
#include <mem/heap.h>
#include <mem/paging.h>
#include <mem/pmm.h>
#include <multiboot2.h>

struct kernel {
    const void *mbi;          /* our copy of the boot information           */
    struct boot_info boot;    /* what it says                               */
    struct bootmap map;       /* canonical physical memory, with owners     */
    struct paging_features features;
    struct aspace aspace;     /* the kernel's own page tables               */
    struct pmm pmm;
    struct heap heap;
};

extern struct kernel kernel;

#endif
