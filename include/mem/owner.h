/* SPDX-License-Identifier: MIT */
/*
 * owner.h - who holds a physical frame.
 *
 * Every frame of usable RAM has exactly one owner at every moment. The first group holds frames
 * from before the frame allocator existed ("reserved"); the second takes and gives them while
 * the kernel runs ("used"). Reports print these names, and the ledger adds them up.
 */
#ifndef MEM_OWNER_H
#define MEM_OWNER_H

enum frame_owner {
    OWNER_NONE,        /* free                                                    */
    OWNER_LOW,         /* "low memory": everything below 1 MiB                    */
    OWNER_KERNEL,      /* "kernel image": text, rodata, data, bss, boot stack     */
    OWNER_BOOT_INFO,   /* "boot information": where the loader left the MBI       */
    OWNER_MODULE,      /* "modules"                                               */
    OWNER_FRAMEBUFFER, /* "framebuffer"                                           */
    OWNER_EARLY,       /* "early tables": kernel page tables built before the PMM */
    OWNER_PMM,         /* "pmm metadata"                                          */
    OWNER_RESERVED_END,

    OWNER_TABLE = OWNER_RESERVED_END, /* "page tables" */
    OWNER_HEAP,                       /* "heap"        */
    OWNER_STACK,                      /* "stacks"      */
    OWNER_DMA,                        /* "dma"         */
    OWNER_USER,                       /* "user"        */
    OWNER_CACHE,                      /* "page cache"  */
    OWNER_TEST,                       /* "self-test"   */
    OWNER_COUNT
};

/* The quoted name above; "free" for OWNER_NONE. Never NULL. */
const char *frame_owner_name(enum frame_owner owner);

#endif
