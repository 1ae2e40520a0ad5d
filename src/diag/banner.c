/* SPDX-License-Identifier: MIT */
/* banner.c - boot chatter. Nothing is decided here. */
#include "diag/banner.h"

#include <mem/pmm.h>

#include "diag/console.h"
#include "diag/units.h"
#include "layout.h"
#include "physmap.h"

static void stage(const char *name)
{
    kprintf("%s%8s%s  ", colour(CYAN), name, colour(PLAIN));
}

static void feature(bool there, const char *name)
{
    kprintf("%s%s%s ", there ? "" : colour(DIM), there ? name : "-", colour(PLAIN));
}

void banner_open(const struct kernel *k)
{
    kprintf("\n%sTwinpage%s %s, %s\n", colour(BOLD), colour(PLAIN), ARCH_NAME, physmap.name);
    stage("cpu");
    if (!k->cpu.present)
        kprintf("a 486 without CPUID\n");
    else
        kprintf("%s family %u model %u %s\n", k->cpu.vendor, k->cpu.family, k->cpu.model,
                k->cpu.brand);
    stage("");
    kprintf("uses ");
    const struct paging_features *f = &k->features;
    feature(f->wp, "WP");
    feature(f->pse, "PSE");
    feature(f->pge, "PGE");
    feature(f->pat, "PAT");
    feature(f->nx, "NX");
    feature(f->smep, "SMEP");
    feature(f->smap, "SMAP");
    feature(f->umip, "UMIP");
    feature(f->gib_pages, "1GiB");
    kprintf("with %u-bit physical addresses\n", f->phys_bits);
    if (!f->nx)
        kprintf("%10sno NX here: data pages can be executed, and nothing can stop that\n", "");
}

void banner_boot(const struct kernel *k)
{
    stage("boot");
    kprintf("%s, %u bytes of boot information, command line \"%s\"%s\n",
            *k->boot.loader ? k->boot.loader : "unnamed loader", k->boot.total_size, k->cmdline,
            k->boot.cmdline_cut ? " (cut)" : "");
}

void banner_map(const struct kernel *k)
{
    struct bootmap_totals t = bootmap_totals(&k->map);
    stage("map");
    kprintf("%s usable in %zu ranges from %u entries\n",
            size_text(t.usable_frames << PAGE_SHIFT).text, k->map.count,
            k->boot.mmap.count + k->boot.efi_map.count);
    if (t.above_limit_frames)
        kprintf("%10s%s above %s are out of reach of this paging mode and left alone\n", "",
                size_text(t.above_limit_frames << PAGE_SHIFT).text, size_text(PHYSICAL_LIMIT).text);
}

void banner_paging(const struct kernel *k)
{
    stage("paging");
    kprintf("own tables at 0x%llx, %zu of them; the low map is gone\n",
            (unsigned long long)k->aspace.root.v, k->aspace.tables);
}

void banner_frames(const struct kernel *k)
{
    struct pmm_stats s;
    pmm_counts(&k->pmm, &s);
    stage("frames");
    kprintf("%llu managed, %llu free (%s), %s of metadata\n", (unsigned long long)s.total,
            (unsigned long long)s.free, size_text(s.free << PAGE_SHIFT).text,
            size_text(s.metadata_bytes).text);
}

void banner_heap(const struct kernel *k)
{
    struct heap_stats s;
    heap_stats(&k->heap, &s);
    stage("heap");
    kprintf("%s mapped of a window of %s at %p\n", size_text(s.mapped).text,
            size_text(s.window).text, (void *)HEAP_START);
}
