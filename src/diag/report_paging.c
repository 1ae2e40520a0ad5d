/* SPDX-License-Identifier: MIT */
/* report_paging.c - walk, why, ptdump: what the page tables say, of one address and as a whole. */
#include "diag/report.h"

#include <platform.h>

#include "diag/console.h"
#include "diag/explain.h"
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
        json_string(&j, "decides", explain_step(w, i).text);
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
        kprintf("  %-5s at 0x%09llx  0x%016llx  ", explain_level(w->step[i].level),
                (unsigned long long)w->step[i].entry_pa.v, (unsigned long long)w->step[i].entry);
        print_bits(w->step[i].entry);
        struct step_text note = explain_step(w, i);
        kprintf("%s\n", i == w->deciding ? "  <- decides" : "");
        if (note.text[0])
            kprintf("        %s\n", note.text);
    }
    if (w->mapped)
        kprintf("  -> physical 0x%llx, %s page, %s, cache %s\n", (unsigned long long)w->pa.v,
                page_name(w->page_bytes), perm_text(w->flags, w->accessed, w->dirty).text,
                cache_name(w->flags));
    kprintf("  %s\n", why(w));
}

static bool walk_argument(const char *cmd, const struct shell_args *args, struct walk *w)
{
    unsigned long long address;
    if (args->count != 1 || !shell_number(args->word[0], &address))
        return report_error(cmd, args, "usage: %s ADDR", cmd);
    if (address > UINTPTR_MAX)
        return report_error(cmd, args, "0x%llx is wider than an address here", address);
    struct aspace as = loaded();
    paging_walk(&as, VA((vword_t)address), w);
    return true;
}

bool report_walk(const struct shell_args *args)
{
    struct walk w;
    if (!walk_argument("walk", args, &w))
        return false;
    if (args->json)
        walk_json(&w);
    else
        walk_text(&w);
    return true;
}

/* ---- why ------------------------------------------------------------------------------------ */

static const struct {
    enum access access;
    const char *name, *verb;
} asked[] = {
    {ACCESS_WRITE, "write", "writing"},
    {ACCESS_EXECUTE, "execute", "executing"},
    {ACCESS_USER, "user", "user access"},
};
enum { ASKED = sizeof asked / sizeof asked[0] };

static void why_json(const struct walk *w, const char *owner)
{
    struct json j;
    json_begin(&j, "why");
    json_address(&j, "va", w->va.v);
    json_string(&j, "owner", owner);
    json_string(&j, "region", kernel_region_name(w->va));
    json_bool(&j, "mapped", w->mapped);
    if (w->mapped) {
        json_address(&j, "pa", w->pa.v);
        json_string(&j, "page", page_name(w->page_bytes));
        json_string(&j, "perm", perm_letters(w->flags, w->accessed, w->dirty).text);
    }
    json_array(&j, "denied");
    for (unsigned i = 0; i < ASKED; i++) {
        struct denial d = explain_denial(w, asked[i].access);
        if (!d.bit)
            continue;
        json_object(&j, NULL);
        json_string(&j, "access", asked[i].name);
        json_string(&j, "bit", d.bit);
        if (d.step) {
            json_number(&j, "level", d.step->level);
            json_address(&j, "entry_pa", d.step->entry_pa.v);
        }
        json_string(&j, "why", explain_denial_text(&d).text);
        json_end(&j);
    }
    json_finish(&j);
}

static void print_right(const struct walk *w, unsigned i)
{
    struct denial d = explain_denial(w, asked[i].access);
    if (d.bit)
        kprintf(";\n  %s is denied by the %s's %s (at 0x%08llx)", asked[i].verb,
                explain_level(d.step->level), d.bit, (unsigned long long)d.step->entry_pa.v);
    else
        kprintf(";\n  %s is allowed", asked[i].verb);
}

/* One sentence, a clause a line: whose, what is mapped, every access and who forbids it. */
static void why_text(const struct walk *w, const char *owner)
{
    kprintf("  %p belongs to %s;\n", (void *)w->va.v, owner);
    struct denial d = explain_denial(w, ACCESS_READ);
    if (d.bit) {
        kprintf("  any access faults, because %s.\n", explain_denial_text(&d).text);
        return;
    }
    kprintf("  a %s page maps it to physical 0x%llx, cache %s, and the kernel may read it",
            page_name(w->page_bytes), (unsigned long long)w->pa.v, cache_name(w->flags));
    for (unsigned i = 0; i < ASKED; i++)
        print_right(w, i);
    kprintf(".\n");
}

bool report_why(const struct shell_args *args)
{
    struct walk w;
    if (!walk_argument("why", args, &w))
        return false;
    struct owner_text owner = explain_owner(w.va);
    if (args->json)
        why_json(&w, owner.text);
    else
        why_text(&w, owner.text);
    return true;
}

/* ---- ptdump --------------------------------------------------------------------------------- */

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
    struct aspace as = loaded();
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
