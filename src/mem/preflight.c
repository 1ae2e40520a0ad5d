/* SPDX-License-Identifier: MIT */
/*
 * preflight.c - a software walk of tables that are not loaded yet.
 *
 * It asks what the hardware would (SDM 3A 4.3, 4.5, 4.6), through paging_walk, and adds the
 * question the hardware cannot ask: is this the frame that we meant?
 */
#include <mem/preflight.h>

static const char *denied(const struct walk *w, unsigned flags, paddr_t pa)
{
    if (!w->canonical)
        return "is not at a canonical address";
    if (w->reserved_bit)
        return "has a reserved bit set in an entry on the way";
    if (!w->mapped)
        return "is not mapped";
    if (w->pa.v != pa.v)
        return "leads to the wrong frame";
    if ((flags & MAP_WRITE) && !(w->flags & MAP_WRITE))
        return "is not writable";
    if ((flags & MAP_EXEC) && !(w->flags & MAP_EXEC))
        return "is not executable";
    if (w->flags & MAP_USER)
        return "is a user page: SMEP and SMAP would refuse it";
    return NULL;
}

static bool need_is_met(const struct aspace *as, const struct preflight_need *need,
                        struct preflight_refusal *refusal)
{
    size_t offset = 0;
    while (offset < need->bytes) {
        paging_walk(as, vaddr_add(need->va, offset), &refusal->walk);
        refusal->why = denied(&refusal->walk, need->flags, paddr_add(need->pa, offset));
        refusal->what = need->what;
        if (refusal->why)
            return false;
        offset += PAGE_SIZE - ((need->va.v + offset) & (PAGE_SIZE - 1));
    }
    return true;
}

bool paging_preflight(const struct aspace *as, const struct preflight_need *needs, size_t count,
                      struct preflight_refusal *refusal)
{
    *refusal = (struct preflight_refusal){.what = "the top-level table"};
    if (as->root.v & (PAGE_SIZE - 1))
        refusal->why = "is not aligned to a page";
    else if (as->root.v >> as->features->phys_bits)
        refusal->why = "lies beyond the physical address width";
    for (size_t i = 0; !refusal->why && i < count; i++) {
        if (!need_is_met(as, &needs[i], refusal))
            return false;
    }
    return !refusal->why;
}
