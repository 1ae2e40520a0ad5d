/* SPDX-License-Identifier: MIT */
/*
 * storm_check.c - what a storm left: one hash of it, three readers that must agree, and the end.
 *
 *   S1  translate, paging_walk and paging_visit say the same of every address.
 *   S2  after `storm clear` the kernel's address space has as many tables as before the first call,
 *       the heap's left out, and the ledger is exact: no frame is one of a table that is not there.
 *   S3  paging_holds, before and after.
 */
#include "diag/storm.h"

#include <platform.h>

#include <mem/kmap.h>

#include "diag/ledger.h"
#include "kernel.h"

enum { LARGE_STRIDE = 61 }; /* of a place of millions of pages, a prime's multiples are looked at */

/* ---- the trace ---------------------------------------------------------------------------- */

uint32_t storm_trace(uint32_t hash, uint32_t word) /* FNV-1a, four bytes at once */
{
    for (unsigned i = 0; i < 4; i++)
        hash = (hash ^ (word >> 8 * i & 255)) * 16777619u;
    return hash;
}

/* D3: addresses near the physical limit count from there. */
uint32_t storm_trace_physical(uint32_t hash, paddr_t pa)
{
    uint64_t limit = 1ull << kernel.features.phys_bits;
    uint64_t from_end = limit - pa.v;
    bool high = from_end < 1u << 30;
    return storm_trace(hash, high ? ~(uint32_t)from_end : (uint32_t)pa.v);
}

/* D1 and D2: without execution and page size. */
static uint32_t trace_page(uint32_t hash, const struct storm_place *place, uint32_t page)
{
    struct walk w;
    paging_walk(place->as, vaddr_add(place->va, (size_t)page << PAGE_SHIFT), &w);
    if (!w.mapped)
        return storm_trace(hash, 0);
    hash = storm_trace(hash, 1 | (w.flags & ~(unsigned)MAP_EXEC) << 1);
    return storm_trace_physical(hash, w.pa);
}

uint32_t storm_trace_run(uint32_t hash, const struct storm_place *place, struct storm_run run)
{
    uint32_t stride = place->large ? LARGE_STRIDE : 1;
    for (uint32_t i = 0; i < run.pages; i += stride)
        hash = trace_page(hash, place, run.page + i);
    return hash;
}

uint32_t storm_trace_places(uint32_t hash)
{
    for (unsigned i = 0; i < STORM_PLACES; i++) {
        const struct storm_place *p = &storm.place[i];
        if (!p->large)
            hash = storm_trace_run(hash, p, (struct storm_run){0, p->pages});
    }
    return hash;
}

/* ---- S1 ----------------------------------------------------------------------------------- */

struct looker {
    const struct storm_place *place;
    struct storm_agreement *out;
    uint32_t next; /* page not looked at yet */
};

static void disagree(struct storm_agreement *out, vaddr_t va)
{
    if (!out->disagree++)
        out->first = va;
}

/* `s` is the stretch that paging_visit found around va, or NULL. */
static void look(struct storm_agreement *out, const struct aspace *as, vaddr_t va,
                 const struct map_stretch *s)
{
    struct walk w;
    paddr_t pa;
    paging_walk(as, va, &w);
    bool translated = translate(as, va, &pa) == MEM_OK;
    bool same = translated == w.mapped && w.mapped == (s != NULL) && w.canonical;
    if (same && s)
        same = pa.v == w.pa.v && pa.v == s->pa.v + (va.v - s->va.v) && w.flags == s->flags &&
               w.page_bytes == s->page_bytes && w.accessed == s->accessed && w.dirty == s->dirty;
    if (!same)
        disagree(out, va);
    out->addresses++;
    out->mapped += w.mapped;
}

static vaddr_t page_va(const struct storm_place *p, uint32_t page)
{
    return vaddr_add(p->va, (size_t)page << PAGE_SHIFT);
}

static void look_up_to(struct looker *l, uint32_t end, const struct map_stretch *s)
{
    for (; l->next < end; l->next += l->place->large ? LARGE_STRIDE : 1)
        look(l->out, l->place->as, vaddr_add(page_va(l->place, l->next), l->next % PAGE_SIZE), s);
}

static bool look_at_stretch(void *ctx, const struct map_stretch *s)
{
    struct looker *l = ctx;
    uint32_t first = (uint32_t)((s->va.v - l->place->va.v) >> PAGE_SHIFT);
    look_up_to(l, first, NULL);
    look_up_to(l, first + (uint32_t)(s->bytes >> PAGE_SHIFT), s);
    return true;
}

struct storm_agreement storm_agree(void)
{
    struct storm_agreement out = {0};
    for (unsigned i = 0; storm.begun && i < STORM_PLACES; i++) {
        const struct storm_place *p = &storm.place[i];
        struct looker l = {p, &out, 0};
        paging_visit(p->as, p->va, vaddr_add(page_va(p, p->pages - 1), PAGE_SIZE - 1),
                     look_at_stretch, &l);
        look_up_to(&l, p->pages, NULL);
    }
    return out;
}

/* ---- tightening --------------------------------------------------------------------------- */

/* One entry above a leaf loses W or U, or gains NX. Flags of paging leave those to the leaf, so
 * without this nobody would see whether readers of tables look at every level. */
static void tighten_entry(const struct walk_step *step, unsigned choice)
{
    vword_t *table = kmap(paddr_pfn(step->entry_pa));
    vword_t *entry = table + (step->entry_pa.v & (PAGE_SIZE - 1)) / sizeof *entry;
    if (choice % 3 == 2 && kernel.features.nx)
        *entry |= (vword_t)1 << (sizeof *entry * 8 - 1);
    else
        *entry &= ~((vword_t)2 << choice % 2);
    kunmap(table);
}

unsigned storm_tighten(void)
{
    unsigned count = 0;
    for (unsigned i = 0; storm.begun && i < STORM_PLACES; i++) {
        const struct storm_place *p = &storm.place[i];
        for (uint32_t page = i * 512; p->as == &storm.space && page < p->pages; page += 3 * 1024) {
            struct walk w;
            paging_walk(p->as, vaddr_add(p->va, (size_t)page << PAGE_SHIFT), &w);
            if (!w.mapped || w.steps < 2)
                continue;
            tighten_entry(&w.step[w.steps - 2 - count % (w.steps - 1)], count);
            count++;
        }
    }
    platform_flush_all();
    return count;
}

/* ---- S2, S3 ------------------------------------------------------------------------------- */

static bool take_first(void *ctx, const struct map_stretch *s)
{
    *(struct map_stretch *)ctx = *s;
    return false;
}

/* Stretch by stretch, as paging_visit finds them. */
static enum mem_err clear_place(const struct storm_place *p)
{
    enum mem_err err = MEM_OK;
    while (!err) {
        struct map_stretch s = {0};
        paging_visit(p->as, p->va, vaddr_add(page_va(p, p->pages - 1), PAGE_SIZE - 1), take_first,
                     &s);
        if (!s.bytes)
            return MEM_OK;
        err = unmap_range(p->as, s.va, (size_t)s.bytes);
    }
    return err;
}

size_t storm_kernel_tables(void)
{
    struct heap_stats heap;
    struct walk w, last = {0};
    size_t tables = kernel.aspace.tables;
    heap_stats(&kernel.heap, &heap);
    vaddr_t va = ptr_vaddr(heap.start);
    for (size_t bytes = 0; bytes < heap.mapped; bytes += PAGE_SIZE, last = w) {
        paging_walk(&kernel.aspace, vaddr_add(va, bytes), &w);
        for (unsigned i = 0; i < w.steps; i++)
            tables -= w.step[i].entry_pa.v >> PAGE_SHIFT != last.step[i].entry_pa.v >> PAGE_SHIFT;
    }
    return tables;
}

static enum mem_err clear_all(void)
{
    enum mem_err err = MEM_OK;
    for (unsigned i = 0; !err && i < STORM_PLACES; i++)
        err = clear_place(&storm.place[i]);
    while (!err && storm.mmio.count)
        err = unmap_mmio(&storm.mmio, vaddr_ptr(storm.mmio.region[0].va));
    return err;
}

bool storm_clear(const char **broken)
{
    if (!storm.begun)
        return true;
    if (!paging_holds(&storm.space, broken) || !paging_holds(&kernel.aspace, broken))
        return false;
    enum mem_err err = clear_all();
    if (err) {
        *broken = mem_err_name(err);
        return false;
    }
    size_t left = storm.space.tables;
    platform_load_root(kernel.aspace.root);
    platform_flush_all();
    paging_destroy(&storm.space);
    storm.begun = false;
    *broken = left != 1                                      ? "S2: tables of user space left"
              : storm_kernel_tables() != storm.kernel_tables ? "S2: tables of the kernel left"
                                                             : ledger_now().broken;
    return !*broken && paging_holds(&kernel.aspace, broken);
}
