/* SPDX-License-Identifier: MIT */
/*
 * kernel.h - the instances. kernel.c owns the only ones; reports and self-tests read them here.
 */
#ifndef KERNEL_H
#define KERNEL_H

#include <mem/bootmap.h>
#include <mem/frames.h>
#include <mem/heap.h>
#include <mem/mmio.h>
#include <mem/paging.h>
#include <multiboot2.h>

#include "arch/cpuid.h"

struct kernel {
    const void *mbi;                 /* our copy of the boot information           */
    struct boot_info boot;           /* what it says                               */
    struct bootmap map;              /* canonical physical memory, with owners     */
    struct cpuid_facts cpu;          /* what the CPU says of itself                */
    struct paging_features features; /* what this build uses of it        */
    struct aspace aspace;            /* the kernel's own page tables               */
    struct pmm pmm;
    struct heap heap;
    struct frame_source heap_pages; /* where the heap gets its memory             */
    struct mmio_window mmio;        /* device memory at addresses of its own      */
    char cmdline[BOOT_CMDLINE_MAX]; /* the loader's, or QEMU's instead      */
    uint64_t begun, ready;          /* by the time-stamp counter: the first word, the
                                       shell; 0: no counter                     */
};

extern struct kernel kernel;

#endif
