/* SPDX-License-Identifier: MIT */
/*
 * mmio.c - a small sorted list of mappings in a window.
 *
 *   M1  regions are sorted, disjoint, inside the window, and one page at least lies between two.
 *   M2  exactly the pages of the regions are mapped.
 *
 * First fit over at most MMIO_REGIONS gaps: a bounded loop, run when a driver starts.
 */
#include <mem/mmio.h>

#include "lib/string.h"

enum {
    LARGE = 4 << 20
}; /* congruent to pa modulo 4 MiB, every large page below 1 GiB can be used */

void mmio_init(struct mmio_window *window, struct aspace *as, vaddr_t start, size_t bytes)
{
    *window = (struct mmio_window){.as = as, .start = start, .bytes = bytes};
}

/* The lowest address at or above `from` that agrees with `pa` in the bits below `unit`. */
static vword_t congruent(vword_t from, uint64_t pa, size_t unit)
{
    return from + (((vword_t)pa - from) & (unit - 1));
}

static vword_t gap_end(const struct mmio_window *w, size_t index)
{
    return index < w->count ? w->region[index].va.v : w->start.v + w->bytes;
}

/* First fit: the gap before region[*index] has room at *va, with its guard page. */
static enum mem_err find_gap(const struct mmio_window *w, paddr_t pa, size_t bytes, size_t *index,
                             vaddr_t *va)
{
    size_t unit = bytes >= LARGE ? LARGE : PAGE_SIZE;
    vword_t from = w->start.v;
    for (size_t i = 0; i <= w->count; i++) {
        vword_t at = congruent(from, pa.v, unit);
        vword_t end = gap_end(w, i);
        if (at >= from && at < end && end - at > bytes) { /* > : the guard page */
            *index = i;
            *va = VA(at);
            return MEM_OK;
        }
        if (i < w->count)
            from = w->region[i].va.v + w->region[i].bytes + PAGE_SIZE;
    }
    return MEM_NO_SPACE;
}

static void insert(struct mmio_window *w, size_t index, struct mmio_region region)
{
    memmove(w->region + index + 1, w->region + index, (w->count - index) * sizeof w->region[0]);
    w->region[index] = region;
    w->count++;
}

enum mem_err map_mmio(struct mmio_window *window, paddr_t pa, size_t bytes, unsigned flags,
                      const char *name, void **out)
{
    size_t offset = (size_t)(pa.v & (PAGE_SIZE - 1));
    if (!bytes)
        return MEM_BAD_ARG;
    if (pa.v > UINT64_MAX - bytes || bytes > window->bytes - 2 * PAGE_SIZE)
        return MEM_OUT_OF_RANGE;
    if (window->count == MMIO_REGIONS)
        return MEM_FULL;

    size_t whole = (offset + bytes + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
    paddr_t first = PA(pa.v - offset);
    size_t index;
    vaddr_t va;
    enum mem_err err = find_gap(window, first, whole, &index, &va);
    if (!err)
        err = map_range(window->as, va, first, whole, flags | MAP_GLOBAL);
    if (err)
        return err;

    insert(window, index, (struct mmio_region){va, whole, name});
    *out = vaddr_ptr(vaddr_add(va, offset));
    return MEM_OK;
}

const struct mmio_region *mmio_find(const struct mmio_window *window, vaddr_t va)
{
    for (size_t i = 0; i < window->count; i++) {
        if (va.v - window->region[i].va.v < window->region[i].bytes)
            return &window->region[i];
    }
    return NULL;
}

enum mem_err unmap_mmio(struct mmio_window *window, const void *ptr)
{
    const struct mmio_region *found = mmio_find(window, ptr_vaddr(ptr));
    if (!found || ptr_vaddr(ptr).v - found->va.v >= PAGE_SIZE)
        return MEM_NOT_HELD;
    enum mem_err err = unmap_range(window->as, found->va, found->bytes);
    if (err)
        return err;
    size_t index = (size_t)(found - window->region);
    window->count--;
    memmove(window->region + index, window->region + index + 1,
            (window->count - index) * sizeof window->region[0]);
    return MEM_OK;
}
