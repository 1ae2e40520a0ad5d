/* SPDX-License-Identifier: MIT */
/*
 * mmio.h - device memory and other physical ranges at kernel addresses of their own.
 *
 * The direct map and the kmap window show RAM only; whatever else the kernel must reach (frame
 * buffers, device registers) is mapped here, with its own cache type, and has a name that reports
 * can print. An unmapped guard page follows every mapping. Not locked: boot and drivers' start.
 */
#ifndef MEM_MMIO_H
#define MEM_MMIO_H

#include <mem/paging.h>
#include <mem/types.h>

enum { MMIO_REGIONS = 32 };

struct mmio_region {
    vaddr_t va;   /* of the first page                       */
    size_t bytes; /* whole pages                             */
    const char *name;
};

struct mmio_window {
    struct aspace *as;
    vaddr_t start;
    size_t bytes;
    struct mmio_region region[MMIO_REGIONS]; /* sorted by address */
    size_t count;
};

/* An empty window at [start, start + bytes) of `as`. */
void mmio_init(struct mmio_window *window, struct aspace *as, vaddr_t start, size_t bytes);

/*
 * Maps [pa, pa + bytes), any alignment, with `flags` (write and cache type) at the lowest address
 * that has room; large pages where pa allows. *out points at the byte of `pa`. MEM_BAD_ARG: zero
 * bytes; MEM_OUT_OF_RANGE: wraps, or beyond the physical width; MEM_NO_SPACE: the window is full;
 * MEM_FULL: too many regions; or an error of map_range. `name` must live as long as the mapping.
 */
enum mem_err map_mmio(struct mmio_window *window, paddr_t pa, size_t bytes, unsigned flags,
                      const char *name, void **out);

/* Takes back a pointer from map_mmio (any byte of its first page). MEM_NOT_HELD: it is none. */
enum mem_err unmap_mmio(struct mmio_window *window, const void *ptr);

/* The region that holds `va`, or NULL. */
const struct mmio_region *mmio_find(const struct mmio_window *window, vaddr_t va);

#endif
