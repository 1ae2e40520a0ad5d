/* SPDX-License-Identifier: MIT */
/*
 * paging.h - virtual -> physical, with permissions, on both paging modes.
 *
 * Policy (ranges, large pages, permissions, flushing, roll-back) lives once in paging.c;
 * paging32.c and paging64.c know only what an entry looks like (SDM 3A 4.3 and 4.5). Every call
 * checks everything and takes every table it needs before it changes the first entry: a call that
 * returns an error has changed nothing. An address space is a struct of the caller's; tables come
 * from its frame source and are reached through kmap. Not locked: the kernel holds the lock of the
 * address space. No call sleeps, and no call enters the heap.
 */
#ifndef MEM_PAGING_H
#define MEM_PAGING_H

#include <mem/owner.h>
#include <mem/types.h>

/* What a mapping allows. Readable is implied by being mapped. */
enum map_flags {
    MAP_READ = 0,
    MAP_WRITE = 1u << 0,
    MAP_EXEC = 1u << 1, /* without it NX is set where the CPU has NX          */
    MAP_USER = 1u << 2,
    MAP_GLOBAL = 1u << 3,   /* survives a CR3 load where the CPU has PGE      */
    MAP_CACHE_WB = 0u << 4, /* cache type: two bits                           */
    MAP_CACHE_WT = 1u << 4,
    MAP_CACHE_UC = 2u << 4,
    MAP_CACHE_WC = 3u << 4, /* needs PAT; UC where there is none (SDM 3A 12.12) */
    MAP_CACHE_MASK = 3u << 4,
    MAP_NO_LARGE = 1u << 6, /* 4 KiB pages only                               */
    MAP_FLAGS_ALL = (1u << 7) - 1,
};

/*
 * The PAT that the encoding expects (SDM 3A 12.12): the power-up entries WB WT UC- UC, then WC in
 * entry 4, which a leaf selects by its PAT bit alone.
 */
#define PAGING_PAT_VALUE 0x0007040100070406ull

/* What this CPU and this build can do; found by CPUID once, then a field, so tests can move it. */
struct paging_features {
    bool pse, pge, pat, nx, smep, smap, umip, gib_pages, pcid, wp;
    unsigned phys_bits; /* width of a physical address                */
    unsigned virt_bits; /* 32 or 48                                   */
};

/* What CR0, CR4 and EFER have switched on of it: a bit in an entry means nothing before that. */
struct paging_controls {
    bool wp, pse, pae, pge, nxe;
};

/* Where frames come from and go back to. For tables, before the PMM is up: the early allocator. */
struct frame_source {
    pfn_t (*take)(void *ctx);             /* PFN_NONE when there is none; contents undefined */
    void (*give)(void *ctx, pfn_t frame); /* a frame from take                               */
    void *ctx;
};

/*
 * The level-1 table that the last call used, kept in hand (with the window: kept mapped), so that
 * the next single page in it needs no walk. Private to paging*.c; paging_table.h says the rules.
 */
struct paging_leaf {
    vword_t *table;   /* kmapped; NULL: no table is in hand                          */
    vword_t start;    /* the address that its first entry serves                     */
    vword_t entries;  /* 0 while no table is in hand                                 */
    vword_t live;     /* its present entries; written to the table when it is let go */
    vword_t bits;     /* what an entry says for `flags`, without the address         */
    vword_t refused;  /* bits of a word that no physical address of a page may have  */
    unsigned flags;   /* of the last mapping made                                    */
    pfn_t frame;
};

struct aspace {
    paddr_t root; /* the top-level table: what CR3 holds */
    struct frame_source source;
    const struct paging_features *features; /* unchanged while anything is mapped */
    size_t tables;    /* frames held as page tables, the root among them */
    pfn_t adopted;    /* a table that is not ours (paging_adopt), PFN_NONE: none  */
    bool kernel;      /* the kernel's own: top-level entries are pinned  */
    vword_t last;     /* the highest address that is its own: the kernel's, shared, lie above */
    struct paging_leaf leaf;
    size_t flushes;   /* single-page and whole flushes asked of the platform, for tests and stats */
};

/*
 * An empty address space (root only). MEM_NO_FRAME: no frame for the root.
 * A kernel one serves [kernel half); pin its top-level entries with paging_pin before copying.
 */
enum mem_err paging_create(struct aspace *as, bool kernel, struct frame_source source,
                           const struct paging_features *features);

/*
 * Makes every top-level entry that covers [va, va + bytes) present for ever, with an empty table
 * below where nothing is mapped, so that every address space can share them by copying once.
 */
enum mem_err paging_pin(struct aspace *as, vaddr_t va, size_t bytes);

/*
 * Copies the kernel's top-level entries from the address `from` on, where one of them begins (else
 * MEM_MISALIGNED), into another address space. What they lead to stays the kernel's own, and only
 * through it can it change: from there on, calls that change `to` answer MEM_OUT_OF_RANGE. What the
 * kernel has mapped below is not shared. MEM_MAPPED: `to` has something there already.
 */
enum mem_err paging_share_kernel(struct aspace *to, const struct aspace *kernel, vaddr_t from);

/*
 * Makes the table in `frame` serve the addresses from `va` on that one level-1 table covers, for
 * ever: how the kmap window, whose table is part of the kernel image, joins an address space. The
 * frame stays its owner's, and nothing behind it can be executed where the CPU has NX.
 * MEM_MISALIGNED, MEM_FULL (an address space adopts one), MEM_MAPPED, MEM_NO_FRAME.
 */
enum mem_err paging_adopt(struct aspace *as, vaddr_t va, pfn_t frame);

/*
 * Maps one 4 KiB page: some 30 to 40 instructions in the table that the last call used. Errors:
 * MEM_NOT_CANONICAL, MEM_MISALIGNED, MEM_OUT_OF_RANGE (physical width, or not this space's own),
 * MEM_BAD_ARG (unknown flag), MEM_WX (write and execute), MEM_MAPPED, MEM_NO_FRAME. A fresh mapping flushes nothing (SDM 3A 4.10.4.3).
 */
enum mem_err map_page(struct aspace *as, vaddr_t va, paddr_t pa, unsigned flags);

/* Unmaps one 4 KiB page (a large page is split first); *pa, if not NULL, gets what was there. */
enum mem_err unmap_page(struct aspace *as, vaddr_t va, paddr_t *pa);

/* Changes what a mapped page allows. */
enum mem_err protect_page(struct aspace *as, vaddr_t va, unsigned flags);

/*
 * The same for [va, va + bytes), bytes a multiple of the page: all or nothing. map_range uses the
 * largest pages that alignment and the CPU allow. unmap_range and protect_range refuse with
 * MEM_NOT_MAPPED if any page of the range is not mapped. One flush: min(pages, 32) invlpg, or one
 * CR3 load.
 */
enum mem_err map_range(struct aspace *as, vaddr_t va, paddr_t pa, size_t bytes, unsigned flags);
enum mem_err unmap_range(struct aspace *as, vaddr_t va, size_t bytes);
enum mem_err protect_range(struct aspace *as, vaddr_t va, size_t bytes, unsigned flags);

/*
 * Maps frames of `from`, one after the other, at [va, va + pages * PAGE_SIZE): how the heap grows.
 * Tables are reserved before the first frame is taken; when `from` runs out, what was taken goes
 * back to it (MEM_NO_FRAME). `from` must not change the address space, here or below.
 */
enum mem_err map_frames(struct aspace *as, vaddr_t va, size_t pages, unsigned flags,
                        const struct frame_source *from);

/* The inverse: unmaps [va, va + pages * PAGE_SIZE) and, after the flush, gives each frame to `to`. */
enum mem_err unmap_frames(struct aspace *as, vaddr_t va, size_t pages,
                          const struct frame_source *to);

/* Where `va` leads. MEM_NOT_MAPPED, MEM_NOT_CANONICAL. Any alignment; *pa is exact to the byte. */
enum mem_err translate(const struct aspace *as, vaddr_t va, paddr_t *pa);

enum { PAGING_MAX_LEVELS = 4 };

struct walk_step {
    unsigned level;   /* 4 PML4E, 3 PDPTE, 2 PDE, 1 PTE; i386 starts at 2 */
    paddr_t entry_pa; /* where the entry lies                             */
    uint64_t entry;   /* what it holds                                    */
};

/* What the hardware would find on its way to `va` (SDM 3A 4.3, 4.5, 4.6). */
struct walk {
    vaddr_t va;
    unsigned steps;
    struct walk_step step[PAGING_MAX_LEVELS];
    bool canonical, mapped;
    bool reserved_bit;  /* some entry has a bit set that must be zero  */
    paddr_t pa;         /* of va itself, when mapped                   */
    size_t page_bytes;  /* 4 KiB, 2 MiB, 4 MiB, 1 GiB                  */
    unsigned flags;     /* EFFECTIVE over all levels, enum map_flags   */
    bool accessed, dirty;
    unsigned deciding;  /* index of the step that ended or limited it  */
};
void paging_walk(const struct aspace *as, vaddr_t va, struct walk *out);

/*
 * Calls visit for every stretch of equal effective flags, page size and continuous physical
 * addresses in [from, to_last], in address order. visit returns false to stop.
 */
struct map_stretch {
    vaddr_t va;
    uint64_t bytes; /* up to 2^32 on i386: does not fit a size_t there */
    paddr_t pa;
    size_t page_bytes;
    unsigned flags;
    bool accessed, dirty; /* of every page in it: neighbours that differ are not merged */
};
void paging_visit(const struct aspace *as, vaddr_t from, vaddr_t to_last,
                  bool (*visit)(void *ctx, const struct map_stretch *), void *ctx);

/* Gives every table of the address space back, the root too; it must not be loaded. Leaf frames belong to who mapped them. */
void paging_destroy(struct aspace *as);

/* True if T1.. of paging.c hold for the whole tree; reads only. */
bool paging_holds(const struct aspace *as, const char **broken);

/*
 * A number for the bytes of the root and of all our tables below those of its entries that serve
 * [from, last], but for the accessed and dirty bits, which the CPU sets: another one when any word
 * has changed, and when several have, most likely. Lets the table in hand go: what it knows is in
 * its bytes then, and it takes no slot of the window.
 */
vword_t paging_digest(struct aspace *as, vaddr_t from, vaddr_t last);

#endif
