/* SPDX-License-Identifier: MIT */
/* report_walk.c - walk, why: what the page tables say of one address. */
#include "diag/report.h"

#include "diag/console.h"
#include "diag/explain.h"
#include "diag/json.h"
#include "diag/units.h"
#include "kernel_space.h"

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
    struct aspace as = kernel_space_loaded();
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
