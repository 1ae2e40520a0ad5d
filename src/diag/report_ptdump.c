/* SPDX-License-Identifier: MIT */
/*
 * report_ptdump.c - ptdump: all that the page tables say, and whether W^X holds.
 *
 * tools/ptdump runs the same file on the host, over a dump of memory.
 */
#include "diag/report.h"

#include "diag/console.h"
#include "diag/json.h"
#include "diag/units.h"
#include "kernel.h"
#include "kernel_space.h"

/*
 * W^X: no page may be writable and executable at once, not even by two mappings of one frame. Code
 * is what may be executed and not written: a few stretches, remembered, then compared with every
 * stretch that may be written. Without NX (i386) all may be executed, and only the second holds.
 */
enum { CODE_MAX = 64 };

struct audit {
    struct map_stretch code[CODE_MAX];
    unsigned codes, forgotten;
    unsigned both, aliased;
};

struct dump {
    struct json json;
    const char *region;
    struct map_stretch pending; /* not yet printed: the next may continue it */
    unsigned stretches;
    uint64_t bytes;
    struct audit audit;
};

static bool note_code(void *ctx, const struct map_stretch *s)
{
    struct audit *a = ctx;
    if (!(s->flags & MAP_EXEC) || s->flags & MAP_WRITE)
        return true;
    if (a->codes == CODE_MAX)
        a->forgotten++;
    else
        a->code[a->codes++] = *s;
    return true;
}

static bool overlap(const struct map_stretch *a, const struct map_stretch *b)
{
    return a->pa.v < b->pa.v + b->bytes && b->pa.v < a->pa.v + a->bytes;
}

static bool check_writable(void *ctx, const struct map_stretch *s)
{
    struct audit *a = ctx;
    if (!(s->flags & MAP_WRITE))
        return true;
    a->both += kernel.features.nx && s->flags & MAP_EXEC;
    for (unsigned i = 0; i < a->codes; i++)
        a->aliased += overlap(&a->code[i], s);
    return true;
}

static void run_audit(struct audit *a)
{
    vaddr_t last = VA(~(vword_t)0);
    *a = (struct audit){0};
    paging_visit(&kernel.aspace, VA(0), last, note_code, a);
    paging_visit(&kernel.aspace, VA(0), last, check_writable, a);
}

static bool audit_holds(const struct audit *a)
{
    return !a->both && !a->aliased && !a->forgotten;
}

/* One line, the last of ptdump. */
static void print_audit(const struct audit *a)
{
    bool holds = audit_holds(a), nx = kernel.features.nx;
    kprintf("  %sW^X %s%s: ", colour(holds ? GREEN : RED), holds ? "holds" : "broken",
            colour(PLAIN));
    if (nx)
        kprintf("%u stretches writable and executable, ", a->both);
    else
        kprintf("as far as it can without NX, ");
    kprintf("%u writable aliases of code", a->aliased);
    if (a->forgotten)
        kprintf(", %u stretches of code not looked at", a->forgotten);
    kprintf("\n");
}

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

bool report_ptdump(const struct shell_args *args)
{
    static struct dump d;
    d = (struct dump){0};
    vaddr_t last = VA(~(vword_t)0);
    struct aspace as = kernel_space_loaded();
    run_audit(&d.audit);
    if (args->json) {
        json_begin(&d.json, "ptdump");
        json_address(&d.json, "cr3", as.root.v);
        json_array(&d.json, "maps");
        paging_visit(&as, VA(0), last, dump_json, &d);
        json_end(&d.json);
        json_number(&d.json, "writable_executable", d.audit.both);
        json_number(&d.json, "writable_aliases", d.audit.aliased);
        json_bool(&d.json, "nx", kernel.features.nx);
        json_bool(&d.json, "wx_holds", audit_holds(&d.audit));
        json_finish(&d.json);
        return true;
    }
    kprintf("  page tables at 0x%llx, %zu of them the kernel's\n", (unsigned long long)as.root.v,
            as.tables);
    kprintf("  perm: read write execute user global accessed dirty\n");
    paging_visit(&as, VA(0), last, dump_text, &d);
    print_stretch(&d);
    kprintf("  %u stretches, %s\n", d.stretches, size_text(d.bytes).text);
    print_audit(&d.audit);
    return true;
}
