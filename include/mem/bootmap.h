/* SPDX-License-Identifier: MIT */
/*
 * bootmap.h - any firmware memory map -> canonical ranges with owners, and the early allocator.
 *
 * Canonical: sorted by address, disjoint, page-aligned, neighbours that say the same merged.
 * The most restrictive kind wins where entries overlap; usable rounds inward, all else outward,
 * both after adjoining entries have met; an entry that wraps past 2^64 is clamped there; an empty
 * one is dropped. No address is ever cut to 32 bits.
 *
 * The caller owns the struct and the array; no globals, no lock (one CPU, before interrupts).
 */
#ifndef MEM_BOOTMAP_H
#define MEM_BOOTMAP_H

#include <mem/owner.h>
#include <mem/types.h>

/* Least restrictive first: on overlap the greater wins. */
enum range_kind {
    RANGE_USABLE,
    RANGE_ACPI,     /* ACPI tables, reclaimable (E820 3, EFI 9)         */
    RANGE_PMEM,     /* persistent memory (E820 7 and 12, EFI 14)        */
    RANGE_NVS,      /* ACPI non-volatile storage (E820 4, EFI 10)       */
    RANGE_RESERVED, /* E820 2 and 20, the rest of EFI                   */
    RANGE_UNKNOWN,  /* a type that no document names                    */
    RANGE_BAD,      /* defective RAM (E820 5, EFI 8)                    */
    RANGE_KIND_COUNT
};

const char *range_kind_name(enum range_kind kind); /* usable reserved acpi nvs bad pmem unknown */

enum range_kind range_kind_of_e820(uint32_t type);
enum range_kind range_kind_of_efi(uint32_t type);

struct boot_range {
    uint64_t start, last;   /* bytes, INCLUSIVE: 2^64 - 1 is a legal last byte */
    enum range_kind kind;
    enum frame_owner owner; /* OWNER_NONE: free for the taking, if usable      */
};

struct bootmap {
    struct boot_range *ranges; /* caller's array, canonical after bootmap_finish */
    size_t count, capacity;
    bool finished;
    bool closed;       /* early allocation is over                     */
    uint64_t limit;    /* first physical byte out of this kernel's reach; 0: no limit (2^64) */
    size_t dropped;    /* entries of length zero                       */
    size_t clamped;    /* entries that wrapped past 2^64               */
};

/*
 * An empty map over the caller's array. `limit` as in the struct; where a pfn_t has 32 bits, one
 * above the frames that it can name (2^44 bytes) is lowered to there. MEM_BAD_ARG: no room at all.
 */
enum mem_err bootmap_init(struct bootmap *map, struct boot_range *array, size_t capacity,
                          uint64_t limit);

/*
 * Adds one firmware entry (bytes, any alignment). MEM_FULL: the array cannot hold what the entry
 * makes; MEM_ALREADY_INIT after bootmap_finish. Cost: O(count) worst, O(log count) in order.
 */
enum mem_err bootmap_add(struct bootmap *map, uint64_t start, uint64_t length,
                         enum range_kind kind);

/* Rounds to pages and merges. Afterwards entries may be reserved and taken, no longer added. */
enum mem_err bootmap_finish(struct bootmap *map);

/*
 * Gives every usable, unowned page that [start, start + length) touches to `owner`. What is
 * already owned stays with its first owner; what is not usable is left as it is.
 */
enum mem_err bootmap_reserve(struct bootmap *map, uint64_t start, uint64_t length,
                             enum frame_owner owner);

/*
 * Early allocator: the lowest run of free usable frames with start a multiple of 2^align_log2
 * frames, wholly below `below` bytes (0: map->limit), at or above 1 MiB. MEM_NO_FRAME: none such;
 * MEM_CLOSED: the PMM has taken over.
 */
enum mem_err bootmap_take(struct bootmap *map, size_t frames, unsigned align_log2, uint64_t below,
                          enum frame_owner owner, pfn_t *first);

/*
 * Gives frames from bootmap_take back, all or none. MEM_NOT_HELD: not all of them are `owner`'s;
 * MEM_FULL: the array cannot hold the pieces; MEM_CLOSED.
 */
enum mem_err bootmap_give(struct bootmap *map, pfn_t first, size_t frames, enum frame_owner owner);

/* Ends early allocation for good; the PMM is built from the map as it stands. */
void bootmap_close(struct bootmap *map);

struct bootmap_totals {
    uint64_t usable_frames;      /* kind usable, below the limit, whoever owns them */
    uint64_t above_limit_frames; /* kind usable, at or above the limit              */
    uint64_t owned_frames[OWNER_COUNT]; /* of usable_frames; [OWNER_NONE]: free     */
    uint64_t highest_frame; /* one past the last usable frame below the limit       */
};
struct bootmap_totals bootmap_totals(const struct bootmap *map);

struct boot_info;

/*
 * Fills an empty map from parsed boot information: every entry of both maps, finished, then the
 * reservations that need no knowledge of the kernel: all below 1 MiB, modules, framebuffer.
 */
enum mem_err bootmap_from_multiboot2(struct bootmap *map, const void *mbi,
                                     const struct boot_info *info);

/* True if every promise at the top of bootmap.c holds; else *broken names the first that fails. */
bool bootmap_holds(const struct bootmap *map, const char **broken);

#endif
