/* SPDX-License-Identifier: MIT */
/* report_paging.c - walk, ptdump: what the page tables say, level by level and as a whole. */
#include "diag/report.h"

#include <platform.h>

#include "diag/console.h"
#include "diag/json.h"
#include "diag/units.h"
#include "kernel.h"
#include "kernel_space.h"

/* The tables that are loaded: the kernel's, or others that share its half. */
static struct aspace loaded(void)
{
    struct aspace as = kernel.aspace;
    as.root = platform_root();
    return as;
}

static const char *level_name(unsigned level)
{
    static const char *const names[] = {"?", "PTE", "PDE", "PDPTE", "PML4E"};
    return names[level < 5 ? level : 0];
}

static const char *why(const struct walk *w)
{
    if (!w->canonical)
        return "not canonical: bits 63 to 47 must all be equal";
    if (w->reserved_bit)
        return "a reserved bit is set: any access faults";
    if (!w->mapped)
        return "the present bit of the last entry is clear";
    if (w->flags & MAP_EXEC)
        return w->flags & MAP_WRITE ? "mapped writable and executable" : "mapped, code";
    return w->flags & MAP_WRITE ? "mapped, writable data" : "mapped, read-only data";
}

static void walk_json(const struct walk *w)
{
    struct json j;
    json_begin(&j, "walk");
    json_address(&j, "va", w->va.v);
    json_array(&j, "levels");
    for (unsigned i = 0; i < w->steps; i++) {
        json_object(&j, NULL);
        json_number(&j, "level", w->step[i].level);
        json_address(&j, "entry_pa", w->step[i].entry_pa.v);
        json_address(&j, "entry", w->step[i].entry);
        json_end(&j);
    }
    json_end(&j);
    if (w->mapped) {
        json_address(&j, "pa", w->pa.v);
        json_string(&j, "page", page_name(w->page_bytes));
        json_string(&j, "perm", perm_letters(w->flags, w->accessed, w->dirty).text);
    }
    json_string(&j, "why", why(w));
    json_finish(&j);
}

static void print_bits(uint64_t entry)
{
    static const char *const bits[] = {"P", "W", "U", "PWT", "PCD", "A", "D", "PS/PAT", "G"};
    for (unsigned i = 9; i-- > 0;) {
        bool set = entry >> i & 1;
        kprintf("%s%s%s ", colour(set ? GREEN : DIM), set ? bits[i] : "-", colour(PLAIN));
    }
    if (entry >> 63)
        kprintf("%sNX%s", colour(RED), colour(PLAIN));
}

static void walk_text(const struct walk *w)
{
    kprintf("  %p is in %s\n", (void *)w->va.v, kernel_region_name(w->va));
    for (unsigned i = 0; i < w->steps; i++) {
        kprintf("  %-5s at 0x%09llx  0x%016llx  ", level_name(w->step[i].level),
                (unsigned long long)w->step[i].entry_pa.v, (unsigned long long)w->step[i].entry);
        print_bits(w->step[i].entry);
        kprintf("%s\n", i == w->deciding ? "  <- decides" : "");
    }
    if (w->mapped)
        kprintf("  -> physical 0x%llx, %s page, %s, cache %s\n", (unsigned long long)w->pa.v,
                page_name(w->page_bytes), perm_text(w->flags, w->accessed, w->dirty).text,
                cache_name(w->flags));
    kprintf("  %s\n", why(w));
}

bool report_walk(const struct shell_args *args)
{
    unsigned long long address;
    if (args->count != 1 || !shell_number(args->word[0], &address))
        return report_error("walk", args, "usage: walk ADDR");
    if (address > UINTPTR_MAX)
        return report_error("walk", args, "0x%llx is wider than an address here", address);
    struct aspace as = loaded();
    struct walk w;
    paging_walk(&as, VA((vword_t)address), &w);
    if (args->json)
        walk_json(&w);
    else
        walk_text(&w);
    return true;
}

struct dump {
    struct json json;
    const char *region;
    struct map_stretch pending; /* not yet printed: the next may continue it */
    unsigned stretches;
    unsigned writable_executable;
    uint64_t bytes;
};

static bool dump_json(void *ctx, const struct map_stretch *s)
{
    struct dump *d = ctx;
    json_object(&d->json, NULL);
    json_address(&d->json, "va", s->va.v);
    json_number(&d->json, "length", s->bytes);
    json_address(&d->json, "pa", s->pa.v);
    json_string(&d->json, "page", page_name(s->page_bytes));
    json_string(&d->json, "perm", perm_letters(s->flags, s->accessed, s->dirty).text);
    json_string(&d->json, "cache", cache_name(s->flags));
    json_string(&d->json, "name", kernel_region_name(s->va));
    json_end(&d->json);
    return true;
}

static enum colour perm_colour(unsigned flags)
{
    if (flags & MAP_EXEC)
        return flags & MAP_WRITE ? RED : MAGENTA;
    return flags & MAP_WRITE ? YELLOW : GREEN;
}

static void print_stretch(struct dump *d)
{
    const struct map_stretch *s = &d->pending;
    if (!s->bytes)
        return;
    const char *region = kernel_region_name(s->va);
    if (region != d->region)
        kprintf("%s  %s%s\n", colour(BOLD), d->region = region, colour(PLAIN));
    kprintf("    %p %9s -> 0x%010llx  %s  %s%s%s  %s\n", (void *)s->va.v, size_text(s->bytes).text,
            (unsigned long long)s->pa.v, page_name(s->page_bytes), colour(perm_colour(s->flags)),
            perm_text(s->flags, s->accessed, s->dirty).text, colour(PLAIN), cache_name(s->flags));
    d->stretches++;
    d->bytes += s->bytes;
    d->writable_executable += (s->flags & MAP_WRITE) && (s->flags & MAP_EXEC);
}

/* For people, pages that differ only in what the CPU has touched are one stretch. */
static bool dump_text(void *ctx, const struct map_stretch *s)
{
    struct dump *d = ctx;
    struct map_stretch *p = &d->pending;
    if (p->bytes && p->va.v + (vword_t)p->bytes == s->va.v && p->pa.v + p->bytes == s->pa.v &&
        p->page_bytes == s->page_bytes && p->flags == s->flags) {
        p->bytes += s->bytes;
        p->accessed |= s->accessed;
        p->dirty |= s->dirty;
        return true;
    }
    print_stretch(d);
    *p = *s;
    return true;
}

/* Without NX every page is executable: the audit would only repeat that. */
static void print_audit(const struct dump *d)
{
    kprintf("  %u stretches, %s; ", d->stretches, size_text(d->bytes).text);
    if (!kernel.features.nx)
        kprintf("W^X cannot be judged: this paging mode has no NX\n");
    else if (d->writable_executable)
        kprintf("%sW^X broken in %u places%s\n", colour(RED), d->writable_executable,
                colour(PLAIN));
    else
        kprintf("%sW^X holds%s\n", colour(GREEN), colour(PLAIN));
}

bool report_ptdump(const struct shell_args *args)
{
    static struct dump d;
    d = (struct dump){0};
    vaddr_t last = VA(~(vword_t)0);
    struct aspace as = loaded();
    if (args->json) {
        json_begin(&d.json, "ptdump");
        json_address(&d.json, "cr3", as.root.v);
        json_array(&d.json, "maps");
        paging_visit(&as, VA(0), last, dump_json, &d);
        json_finish(&d.json);
        return true;
    }
    kprintf("  page tables at 0x%llx, %zu of them the kernel's\n", (unsigned long long)as.root.v,
            as.tables);
    kprintf("  perm: read write execute user global accessed dirty\n");
    paging_visit(&as, VA(0), last, dump_text, &d);
    print_stretch(&d);
    print_audit(&d);
    return true;
}
