/* SPDX-License-Identifier: MIT */
/*
 * storm_effect.c - what a call should have done, stated apart from the code that does it.
 *
 * Readers that agree show what is mapped, not that it is what was asked for. So before each call
 * the first, middle and last page of its range and the two beside it are walked, and the mapped
 * pages counted; and after it again:
 *
 *   E1  a refused call has changed none of them, and its reason is the first that holds.
 *   E2  a map call found nothing mapped; now all is, where and with what rights it was asked.
 *   E3  an unmap call found all mapped; now nothing is.
 *   E4  a protect call found all mapped; now all has the new rights, and is where it was, with its
 *       accessed and dirty bits.
 *   E5  the pages beside the range are as they were, those bits too.
 *   E6  unknown flags, odd addresses, page 0, ranges round the address space or beyond the physical
 *       width, and pages writable and executable are refused, in this order.
 *
 * Nobody touches what the storm maps, so accessed and dirty bits are set by hand now and then.
 */
#include "diag/storm.h"

#include <mem/kmap.h>

#include "kernel.h"

enum { BESIDE_BELOW, FIRST, MIDDLE, LAST, BESIDE_ABOVE };

static vaddr_t probe_va(const struct storm_call *c, unsigned probe)
{
    uint32_t last = c->run.page + c->run.pages - 1;
    const uint32_t page[STORM_PROBES] = {
        [BESIDE_BELOW] = c->run.page ? c->run.page - 1 : 0,
        [FIRST] = c->run.page,
        [MIDDLE] = c->run.page + c->run.pages / 2,
        [LAST] = last,
        [BESIDE_ABOVE] = last + 1 < c->at->pages ? last + 1 : last,
    };
    return vaddr_add(c->at->va, (size_t)page[probe] << PAGE_SHIFT);
}

static bool is_beside(const struct storm_call *c, unsigned probe)
{
    return (probe == BESIDE_BELOW && c->run.page) ||
           (probe == BESIDE_ABOVE && c->run.page + c->run.pages < c->at->pages);
}

struct count {
    vword_t first, last;
    uint64_t pages;
};

/* A stretch is told with the whole of its large pages: only what lies in the range counts. */
static bool count_stretch(void *ctx, const struct map_stretch *s)
{
    struct count *count = ctx;
    vword_t first = s->va.v, last = s->va.v + (vword_t)(s->bytes - 1);
    first = first < count->first ? count->first : first;
    last = last > count->last ? count->last : last;
    count->pages += ((last - first) >> PAGE_SHIFT) + 1;
    return true;
}

static uint64_t mapped_pages(const struct storm_call *c)
{
    struct count count = {probe_va(c, FIRST).v, probe_va(c, LAST).v + (PAGE_SIZE - 1), 0};
    paging_visit(c->at->as, VA(count.first), VA(count.last), count_stretch, &count);
    return count.pages;
}

/* As the CPU would, had it been there. */
static void touch(const struct walk *w)
{
    const struct walk_step *leaf = &w->step[w->steps - 1];
    vword_t *table = kmap(paddr_pfn(leaf->entry_pa));
    table[(leaf->entry_pa.v & (PAGE_SIZE - 1)) / sizeof *table] |= 3 << 5;
    kunmap(table);
}

void storm_look(const struct storm_call *c, struct storm_effect *e)
{
    for (unsigned i = 0; i < STORM_PROBES; i++) {
        paging_walk(c->at->as, probe_va(c, i), &e->before[i]);
        if (e->before[i].mapped && (c->odd_which + i) % 4 == 1) {
            touch(&e->before[i]);
            e->before[i].accessed = e->before[i].dirty = true;
        }
    }
    for (unsigned i = 0; i < STORM_PROBES; i++) /* a large page may have been touched by another */
        paging_walk(c->at->as, probe_va(c, i), &e->before[i]);
    e->mapped = mapped_pages(c);
}

static bool same(const struct walk *a, const struct walk *b)
{
    return a->mapped == b->mapped && a->pa.v == b->pa.v && a->flags == b->flags &&
           a->accessed == b->accessed && a->dirty == b->dirty;
}

/* What the walk must say of a page that was mapped with these flags. */
static unsigned expected_flags(const struct storm_call *c)
{
    const struct paging_features *f = &kernel.features;
    unsigned flags = c->flags & ~(unsigned)MAP_NO_LARGE;
    if (!f->nx)
        flags |= MAP_EXEC;
    if (!f->pge)
        flags &= ~(unsigned)MAP_GLOBAL;
    if (!f->pat && (flags & MAP_CACHE_MASK) == MAP_CACHE_WC)
        flags = (flags & ~(unsigned)MAP_CACHE_MASK) | MAP_CACHE_UC;
    return c->at->as == &storm.space ? flags : flags & ~(unsigned)MAP_USER;
}

static bool protected_right(const struct walk *before, const struct walk *now, unsigned flags)
{
    return now->mapped && now->pa.v == before->pa.v && now->flags == flags &&
           now->accessed == before->accessed && now->dirty == before->dirty;
}

static bool mapped_right(const struct storm_call *c, const struct walk *now, unsigned flags)
{
    uint64_t offset = now->va.v - probe_va(c, FIRST).v;
    return now->mapped && now->pa.v == c->pa.v + offset && now->flags == flags && !now->accessed &&
           !now->dirty && (!(c->flags & MAP_NO_LARGE) || now->page_bytes == PAGE_SIZE);
}

static bool probe_right(const struct storm_call *c, const struct walk *before)
{
    struct walk now;
    paging_walk(c->at->as, before->va, &now);
    if (c->verb <= MAP_RANGE)
        return mapped_right(c, &now, expected_flags(c));
    if (c->verb <= UNMAP_RANGE)
        return !now.mapped;
    return protected_right(before, &now, expected_flags(c));
}

static bool is_as_before(const struct storm_call *c, const struct walk *before)
{
    struct walk now;
    paging_walk(c->at->as, before->va, &now);
    return same(before, &now);
}

static bool all_as_before(const struct storm_call *c, const struct storm_effect *e)
{
    bool right = true;
    for (unsigned i = 0; i < STORM_PROBES; i++)
        right = right && is_as_before(c, &e->before[i]);
    return right;
}

static bool is_range(const struct storm_call *c)
{
    return c->verb == MAP_RANGE || c->verb == UNMAP_RANGE || c->verb == PROTECT_RANGE;
}

/* Which of the odd bytes this call uses (call_bytes and make_call of storm.c). */
static bool is_misaligned(const struct storm_call *c)
{
    return c->odd && (c->odd_which == 0 || (c->odd_which == 1 && c->verb <= MAP_RANGE) ||
                      (c->odd_which == 2 && is_range(c)));
}

static bool is_out_of_range(const struct storm_call *c)
{
    bool wraps = c->odd && c->odd_which == 3 && is_range(c);
    uint64_t end = c->pa.v + ((uint64_t)c->run.pages << PAGE_SHIFT);
    bool beyond = c->verb <= MAP_RANGE && end > 1ull << kernel.features.phys_bits;
    return wraps || beyond || !probe_va(c, FIRST).v;
}

/* The one answer to this call, if there are frames: the order is that of paging.c's essay. */
static enum mem_err expected_answer(const struct storm_call *c, const struct storm_effect *e)
{
    bool map = c->verb <= MAP_RANGE, gives_rights = map || c->verb >= PROTECT_PAGE;
    if (gives_rights && c->flags & ~(unsigned)MAP_FLAGS_ALL)
        return MEM_BAD_ARG;
    if (is_misaligned(c))
        return MEM_MISALIGNED;
    if (is_out_of_range(c))
        return MEM_OUT_OF_RANGE;
    if (gives_rights && (c->flags & MAP_WRITE) && (c->flags & MAP_EXEC))
        return MEM_WX;
    if (map)
        return e->mapped ? MEM_MAPPED : MEM_OK;
    return e->mapped < c->run.pages ? MEM_NOT_MAPPED : MEM_OK;
}

bool storm_right(const struct storm_call *c, enum mem_err err, const struct storm_effect *e)
{
    enum mem_err expected = expected_answer(c, e);
    if (err)
        return (err == expected || (!expected && err == MEM_NO_FRAME)) && all_as_before(c, e);
    if (expected)
        return false;
    for (unsigned i = 0; i < STORM_PROBES; i++) {
        bool beside = is_beside(c, i);
        if (beside && !is_as_before(c, &e->before[i]))
            return false;
        if (i >= FIRST && i <= LAST && !probe_right(c, &e->before[i]))
            return false;
    }
    uint64_t now = mapped_pages(c);
    bool unmap = c->verb == UNMAP_PAGE || c->verb == UNMAP_RANGE;
    return now == (unmap ? 0 : c->run.pages);
}

/* M1 of mmio.c: a page below and above each region stays free. */
bool storm_mmio_right(vaddr_t va, size_t bytes)
{
    vword_t first = va.v & ~(PAGE_SIZE - 1),
            end = (va.v + bytes + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
    struct walk below, above, last;
    paging_walk(&kernel.aspace, VA(first - PAGE_SIZE), &below);
    paging_walk(&kernel.aspace, VA(end - PAGE_SIZE), &last);
    paging_walk(&kernel.aspace, VA(end), &above);
    return !below.mapped && last.mapped && !above.mapped;
}
