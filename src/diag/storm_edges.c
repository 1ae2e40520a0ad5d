/* SPDX-License-Identifier: MIT */
/*
 * storm_edges.c - exact frame counts where page tables begin and end.
 *
 * A range is mapped from some pages below a boundary to some above, changed in its middle, and
 * unmapped from either end or at once. The frame allocator is asked before, while it is mapped, and
 * after. How many tables a range takes follows from its addresses alone, so whoever reads the
 * report can compute it; here it is only told. What came back must be what was taken: E1.
 */
#include "diag/storm.h"

#include "diag/console.h"
#include "diag/json.h"
#include "diag/report.h"
#include "kernel.h"

/* Pages below and above the boundary: single ones, one table and one more, several tables. */
static const struct {
    uint32_t below, above;
} reaches[] = {{1, 0},       {0, 1},    {1, 1},    {512, 512},   {513, 511},
               {1024, 1024}, {1025, 3}, {3, 1025}, {2048, 2048}, {3071, 1025}};
enum { REACHES = sizeof reaches / sizeof reaches[0] };

struct edge {
    struct aspace *as;
    vaddr_t va;
    size_t bytes;
    uint64_t tables, left; /* taken by the mapping; still taken after it */
    enum mem_err err;
};

/* At once; the end first; or the begin first. */
static enum mem_err unmap_in_parts(struct aspace *as, vaddr_t va, size_t bytes, unsigned how)
{
    size_t first = (bytes / 2) & ~(PAGE_SIZE - 1);
    if (how == 0 || !first)
        return unmap_range(as, va, bytes);
    vaddr_t middle = vaddr_add(va, first);
    enum mem_err err =
        how == 1 ? unmap_range(as, middle, bytes - first) : unmap_range(as, va, first);
    if (err)
        return err;
    return how == 1 ? unmap_range(as, va, first) : unmap_range(as, middle, bytes - first);
}

static void try_edge(struct edge *e, unsigned flags, unsigned how)
{
    uint64_t before = pmm_free_frames(&kernel.pmm);
    paddr_t pa = PA((1ull << 30) | (e->va.v & 0x3fffffff));
    e->err = map_range(e->as, e->va, pa, e->bytes, flags);
    e->tables = before - pmm_free_frames(&kernel.pmm);
    if (!e->err) /* a page in the middle splits what is large */
        e->err = protect_page(e->as, vaddr_add(e->va, (e->bytes / 2) & ~(PAGE_SIZE - 1)), MAP_READ);
    if (!e->err)
        e->err = unmap_in_parts(e->as, e->va, e->bytes, how);
    e->left = before - pmm_free_frames(&kernel.pmm);
}

/* The middle of a place; but the first pages begin at page 1, and user space ends at its end. */
static bool edge_at(const struct storm_place *p, unsigned reach, struct edge *e)
{
    uint32_t below = reaches[reach].below, above = reaches[reach].above, at = p->pages / 2;
    if (p == &storm.place[0])
        at = 1 + below;
    if (p == &storm.place[3])
        at = p->pages - above;
    *e = (struct edge){.as = p->as,
                       .va = vaddr_add(p->va, (size_t)(at - below) << PAGE_SHIFT),
                       .bytes = (size_t)(below + above) << PAGE_SHIFT};
    return !p->large;
}

static void edge_json(struct json *j, const struct edge *e, unsigned flags)
{
    json_object(j, NULL);
    json_address(j, "va", e->va.v);
    json_number(j, "length", e->bytes);
    json_bool(j, "large", !(flags & MAP_NO_LARGE));
    json_bool(j, "user", e->as == &storm.space);
    json_number(j, "tables", e->tables);
    json_number(j, "left", e->left);
    json_string(j, "result", mem_err_name(e->err));
    json_end(j);
}

bool storm_edges(const struct shell_args *args)
{
    enum mem_err err = storm_begin();
    if (err)
        return report_error("storm", args, "no address space: %s", mem_err_name(err));
    if (storm.space.tables != 1 || storm_kernel_tables() != storm.kernel_tables)
        return report_error("storm", args, "what the storm has mapped is in the way; storm clear");
    struct json j;
    unsigned tried = 0, wrong = 0;
    if (args->json) {
        json_begin(&j, "storm");
        json_array(&j, "edges");
    }
    for (unsigned i = 0; i < STORM_PLACES * REACHES * 2; i++) {
        unsigned flags = MAP_WRITE | (i % 2 ? 0 : MAP_NO_LARGE);
        struct edge e;
        if (!edge_at(&storm.place[i / 2 / REACHES], i / 2 % REACHES, &e))
            continue;
        try_edge(&e, flags, i / 2 % 3);
        tried++;
        wrong += e.err || e.left;
        if (args->json)
            edge_json(&j, &e, flags);
    }
    if (args->json)
        json_finish(&j);
    else
        kprintf("  %u ranges across boundaries, %u left something or failed\n", tried, wrong);
    return !wrong;
}
