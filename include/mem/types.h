/* SPDX-License-Identifier: MIT */
/*
 * types.h - the words every part shares: four strong types, the page, the errors.
 *
 * A physical address, a virtual address and a frame number are one-member structs, so that
 * swapping two of them does not compile. Reading `.v` is fine anywhere; making an address from a
 * number happens here, in boot/, in the two paging formats and in tests.
 */
#ifndef MEM_TYPES_H
#define MEM_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uintptr_t vword_t; /* one machine word: 4 bytes on i386, 8 on x86_64 */

typedef struct { uint64_t v; } paddr_t; /* 64 bits on both targets: RAM above 4 GiB is seen,  */
                                        /* counted and declined, never silently truncated     */
typedef struct { vword_t v; } vaddr_t;  /* a linear address                                   */
typedef struct { vword_t v; } pfn_t;    /* a physical address >> PAGE_SHIFT                   */

#define PAGE_SHIFT 12
#define PAGE_SIZE  ((size_t)1 << PAGE_SHIFT)
#define PFN_NONE   ((pfn_t){~(vword_t)0})

static inline paddr_t PA(uint64_t v) { return (paddr_t){v}; }
static inline vaddr_t VA(vword_t v) { return (vaddr_t){v}; }
static inline pfn_t PFN(vword_t v) { return (pfn_t){v}; }

static inline paddr_t pfn_paddr(pfn_t f) { return PA((uint64_t)f.v << PAGE_SHIFT); }
static inline pfn_t paddr_pfn(paddr_t p) { return PFN((vword_t)(p.v >> PAGE_SHIFT)); }
static inline pfn_t pfn_add(pfn_t f, size_t frames) { return PFN(f.v + frames); }
static inline bool pfn_is_none(pfn_t f) { return f.v == PFN_NONE.v; }
static inline paddr_t paddr_add(paddr_t p, uint64_t bytes) { return PA(p.v + bytes); }
static inline vaddr_t vaddr_add(vaddr_t a, size_t bytes) { return VA(a.v + bytes); }
static inline vaddr_t ptr_vaddr(const void *p) { return VA((vword_t)p); }
static inline void *vaddr_ptr(vaddr_t a) { return (void *)a.v; }

/* Why a call refused. A call that returns one of these changed nothing. */
enum [[nodiscard]] mem_err {
    MEM_OK,
    MEM_BAD_ARG,       /* a zero count, an unknown flag, an alignment that is no power of two     */
    MEM_MISALIGNED,    /* an address is not a multiple of the page or of the unit asked for       */
    MEM_NOT_CANONICAL, /* bits 63..47 of a linear address differ (SDM 1 3.3.7.1)                  */
    MEM_OUT_OF_RANGE,  /* beyond what is managed, or the range wraps the address space            */
    MEM_NO_FRAME,      /* no physical frame (or no such run of frames) is free                    */
    MEM_NO_SPACE,      /* no virtual space left in the window, or no slot                         */
    MEM_MAPPED,        /* something is mapped there already                                       */
    MEM_NOT_MAPPED,    /* nothing is mapped there                                                 */
    MEM_WX,            /* would make a page writable and executable at once                       */
    MEM_NOT_HELD,      /* freed, unmapped or given back something that is not held                */
    MEM_TOO_BIG,       /* a size that overflows or can never fit                                  */
    MEM_FULL,          /* a fixed table of ours has no room for one more entry                    */
    MEM_ALREADY_INIT,
    MEM_NOT_INIT,
    MEM_CLOSED,        /* the early allocator after the frame allocator took over                 */
    MEM_CORRUPT,       /* our own data was overwritten: a header, a canary, a table               */
    MEM_UNSUPPORTED,   /* this CPU or this paging mode cannot do that                             */
    MEM_ERR_COUNT
};

/* "MEM_NO_FRAME" for MEM_NO_FRAME; never NULL. */
const char *mem_err_name(enum mem_err err);

#endif
