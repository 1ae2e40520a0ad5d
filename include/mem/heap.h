/* SPDX-License-Identifier: MIT */
/*
 * heap.h - first fit by address with split and merge, in a window of virtual memory.
 *
 * Lift heap.h, types.h and heap*.c with their heap_*.h alone: an instance is a struct, memory comes
 * and goes through callbacks, there are no globals and no lock (the kernel's kmalloc.c adds its
 * own). Blocks are 16-byte aligned on both targets and cost 8 bytes more than their payload,
 * rounded up to 16 in all. From 16 KiB on it is 12 with 64-bit words. With 32-bit words it is 8 as
 * well, but then those who asked for such blocks stand in a table, which has room for 255 at most
 * and forgets nobody: who finds none is not known (heap_callers.h).
 */
#ifndef MEM_HEAP_H
#define MEM_HEAP_H

#include <mem/types.h>

/* Build-time hardening, 0..3; heap.c's essay says what each level catches and costs. */
#ifndef HEAP_HARDEN
#define HEAP_HARDEN 2
#endif
#if HEAP_HARDEN < 0 || HEAP_HARDEN > 3
#error "HEAP_HARDEN is 0, 1, 2 or 3"
#endif

enum { HEAP_ALIGN = 16 };

/* What went wrong, in words a report can print. */
enum heap_fault {
    HEAP_OK,
    HEAP_DOUBLE_FREE, /* it is free: the block, or memory that it may have been merged into */
    HEAP_FOREIGN,     /* not from this heap: stack, static, another heap, NULL page */
    HEAP_INTERIOR,    /* inside a live block, not its start                         */
    HEAP_MISALIGNED,
    HEAP_BAD_HEADER, /* the block's own header was overwritten                     */
    HEAP_OVERRUN,    /* the bytes behind the block were overwritten                */
    HEAP_UNDERRUN,   /* the bytes before it were                                   */
    HEAP_WRITE_AFTER_FREE,
    HEAP_FAULT_COUNT
};
const char *heap_fault_name(enum heap_fault fault); /* "double free" */

/* Of a damaged header nothing can be told: `block` and what follows is the last intact block before
 * it, which may have been overrun. */
struct heap_report {
    enum heap_fault fault;
    const void *address; /* what the caller passed, or what was to be given out */
    const void *block;   /* the block concerned, or NULL   */
    size_t size;         /* its payload bytes, 0: unknown  */
    bool live;
    const void *allocated_by; /* return address of who allocated it, NULL: not recorded */
    const void *caller;       /* return address of who made this call                   */
};

/* What the heap needs from its owner. */
struct heap_ops {
    /*
     * Makes [at, at + bytes) usable, right behind what is held or right before it, bytes a multiple
     * of PAGE_SIZE; all of it (true) or none of it. Must not enter the heap.
     */
    bool (*grow)(void *ctx, void *at, size_t bytes);
    /* Takes [at, at + bytes) back, from either end; cannot fail. */
    void (*shrink)(void *ctx, void *at, size_t bytes);
    /* Misuse or damage was found. The offending call then changes nothing and returns. */
    void (*report)(void *ctx, const struct heap_report *report);
    void *ctx;
};

struct heap_stats {
    size_t window;     /* bytes of virtual space the heap may ever use                  */
    size_t mapped;     /* bytes held from the owner now                                 */
    const void *start; /* where they begin */
    size_t most;       /* the most that were                                            */
    size_t used;       /* payload bytes of live blocks, as rounded                      */
    size_t free;       /* payload bytes of free blocks                                  */
    size_t blocks;     /* live blocks                                                   */
    size_t free_blocks;
    size_t waiting;        /* payload bytes of those of them that wait in bins, unmerged   */
    size_t waiting_blocks; /* and how many do                                              */
    size_t largest;        /* payload bytes of the largest free block                      */
    size_t grown, shrunk;  /* times                                                   */
    size_t refused;        /* requests that got NULL                                        */
    size_t faults[HEAP_FAULT_COUNT];
};

struct heap_block {
    const void *payload;
    size_t size;      /* payload bytes as rounded    */
    size_t requested; /* 0: it is free              */
    bool live;
    bool waiting;             /* it is free, and waits in its bin for a request of its size */
    const void *allocated_by; /* NULL: not recorded */
};

struct heap;  /* defined at the end: embed it, do not look inside */
struct block; /* private to heap*.c */

/*
 * A heap in [window, window + bytes), both multiples of PAGE_SIZE, nothing of it mapped yet; the
 * first pages are asked of ops->grow here. *heap is all zero, as a static one is, else it is taken
 * for one that was started already. What is held is one piece: blocks, from some way behind the
 * window's start upwards, and what is known of large free ones, from there downwards, 6 bytes for
 * each page. Of a window of more than 1 TiB, with 32-bit words 2 GiB less a page, the rest stays
 * unused. MEM_ALREADY_INIT, MEM_MISALIGNED, MEM_NO_FRAME (grow refused), MEM_BAD_ARG: no grow or
 * shrink, less than two pages, at NULL, or with the last byte of the address space.
 */
enum mem_err heap_init(struct heap *heap, void *window, size_t bytes, const struct heap_ops *ops);

/* Bytes at the start of such a window where no block will ever be. */
size_t heap_reserve(size_t window);

/*
 * At least `size` bytes, 16-byte aligned, contents undefined; NULL for 0, for sizes that can never
 * fit (one block has less than 64 GiB with 64-bit words, less than 1 GiB with 32-bit words), when
 * grow refuses, and when the memory that would be given out is damaged, which is reported: then
 * nothing has changed, and the next such request is refused as well. `caller` is recorded for
 * reports: its lower 24 bits, the others are those of heap_init's caller.
 */
void *heap_alloc(struct heap *heap, size_t size, const void *caller);

/* The same at a multiple of `align`, a power of two up to 1 GiB and the window's size. What was
 * aligned to more than 16 is merged when it is freed, whatever its size. */
void *heap_alloc_aligned(struct heap *heap, size_t align, size_t size, const void *caller);

/*
 * Resizes; the contents up to the lesser size stay. NULL: the old block is as it was. A NULL
 * `block` allocates; size 0 is refused (NULL, the block stays): free says free.
 */
void *heap_realloc(struct heap *heap, void *block, size_t size, const void *caller);

/* Gives a block back; NULL is allowed. Anything else that is no live block: reported, unchanged. */
enum heap_fault heap_free(struct heap *heap, void *block, const void *caller);

/* Payload bytes of a live block, at least what was asked for; 0 and a report if it is none, 0 alone
 * for NULL. */
size_t heap_usable_size(struct heap *heap, const void *block, const void *caller);

/*
 * Merges all that waits in bins and gives whole free pages at the end back. Takes as long as there
 * are blocks in bins. heap_free gives pages back when what is freed is merged with the end, so not
 * before one that waits in a bin; and all of them with the last live block: an empty heap is as
 * large as it was at first. An owner who is short of memory trims.
 */
void heap_trim(struct heap *heap);

/* Walks all blocks to count them: for reports. False: damage hides the blocks behind those that
 * were counted. */
bool heap_stats(const struct heap *heap, struct heap_stats *out);

/*
 * Visits every block, live and free, in address order; visit returns false to stop. It must not
 * change the heap, and what it is shown is gone when it returns. False: it has stopped, or what
 * follows the last block it was shown is damaged. Takes as long as there are blocks.
 */
bool heap_walk(const struct heap *heap, bool (*visit)(void *ctx, const struct heap_block *),
               void *ctx);

/*
 * True if all that heap.c says of the heap holds, and no canary (from level 2 on) and no free
 * memory (level 3) was written over; else *broken names the first that fails. Reads only; takes as
 * long as there are blocks, at level 3 bytes.
 */
bool heap_check(const struct heap *heap, const char **broken);

/*
 * The same; *where: the block that does not hold, or, if its header is damaged (H1), the last one
 * before it. Its payload is NULL when there is none, and when bins, lists or tree do not hold.
 */
bool heap_check_where(const struct heap *heap, const char **broken, struct heap_block *where);

/* ---- what an instance is made of: private, here so that it can be embedded ------------------- */

enum heap_state { HEAP_LIVE, HEAP_ALIGNED, HEAP_BINNED, HEAP_FREE, HEAP_DAMAGED };

enum {
    HEAP_BIN_UNITS = 69, /* blocks of up to so many units of 16 bytes wait in bins for reuse     */
    HEAP_LISTS = 258,    /* free blocks of fewer units are in lists by size, others in a tree    */
    HEAP_LOOSE = 4,      /* large free blocks that are not in the tree                       */
    HEAP_WORD_BITS = 8 * sizeof(unsigned long),
};

struct heap {
    void *bin[HEAP_BIN_UNITS + 1]; /* stacks: the last payload freed, each leads to the next */
    struct heap_ops ops;
    uint64_t multiplier, inverse; /* of header seals                                      */
    uint64_t twice;               /* the multiplier, for fields without their lowest bit  */
    uint64_t free_seal;           /* of a free block of no units, but for its place       */
    uint64_t to_binned;           /* added to a header: live becomes binned               */
    uintptr_t zero;               /* what addresses in headers count from                 */
    size_t span;                  /* bytes from there to the last header                  */
    uintptr_t first;              /* the first payload there can be                       */
    size_t units;                 /* held, from there to the top                          */
    struct block *wild;           /* from here to the top nothing is in use               */
    size_t wild_bytes;
    size_t reach;        /* bytes from the start where links may stand                    */
    size_t largest;      /* bytes that can be asked for at once                           */
    size_t align_max;    /* and the largest alignment                                     */
    size_t below;        /* no free block but the wild one has more bytes, with its header */
    uint32_t most;       /* units of the largest block in the tree                        */
    unsigned levels;     /* of its forks                                                  */
    ptrdiff_t peak;      /* bytes from the start to the highest of them                   */
    ptrdiff_t peak_step; /* and between those that are below it                           */
    size_t records;      /* before the start, where they stand                            */
    struct loose {
        struct block *end; /* NULL: there is none */
        size_t units;
    } loose[HEAP_LOOSE]; /* large free blocks that are not in the tree */
    unsigned turn;       /* which of them is the next to go there      */
    ptrdiff_t room;      /* units that may wait in bins, beside those that do */
    size_t granted;      /* units of the heap that may wait at best, less than half       */
    size_t withheld;     /* units of those that may not now, modulo 2^64 (2^32)           */
    ptrdiff_t beyond;    /* units that are live or wait, beyond those that may and ENOUGH */
    unsigned long filled[HEAP_LISTS / HEAP_WORD_BITS + 1]; /* a bit for each list        */
    uint8_t *low, *start, *top, *limit; /* [low, top) is held, never beyond the limit      */
    uint8_t *highest;                   /* the top was never higher                        */
    size_t merge_next;                  /* the bin that is looked into next for a block to merge */
    uintptr_t caller_base;              /* upper bits that recorded callers share               */
    struct heap_stats stats;
};

#endif
