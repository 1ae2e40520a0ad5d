/* SPDX-License-Identifier: MIT */
/*
 * report_leaks.c - who holds heap memory: live blocks by the code that asked for them.
 *
 * A walk over the heap gathers one row for each caller. `leaks keep` remembers the rows as they
 * are, `leaks diff` shows what has changed since: what only ever grows is what leaks. Callers
 * beyond the table's room, and blocks that record none, share the last row.
 */
#include "diag/report.h"

#include <mem/heap.h>

#include "diag/console.h"
#include "diag/json.h"
#include "diag/ksyms.h"
#include "diag/units.h"
#include "kernel.h"
#include "lib/fmt.h"
#include "lib/string.h"

enum { CALLERS = 256, SHOWN = 24 };

struct row {
    const void *caller; /* NULL: not recorded, or no room */
    size_t blocks, bytes;
};

struct snapshot {
    struct row row[CALLERS + 1]; /* the last one is for the others */
    unsigned count;
    bool taken, whole; /* blocks behind damage are not counted */
};
static struct snapshot now, kept, change;

static struct row *row_of(struct snapshot *s, const void *caller)
{
    for (unsigned i = 0; i < s->count; i++) {
        if (s->row[i].caller == caller)
            return &s->row[i];
    }
    if (!caller || s->count == CALLERS)
        return &s->row[CALLERS];
    s->row[s->count] = (struct row){.caller = caller};
    return &s->row[s->count++];
}

static bool gather(void *ctx, const struct heap_block *b)
{
    if (!b->live)
        return true;
    struct row *row = row_of(ctx, b->allocated_by);
    row->blocks++;
    row->bytes += b->requested;
    return true;
}

static void take(struct snapshot *s)
{
    memset(s, 0, sizeof *s);
    s->taken = true;
    s->whole = heap_walk(&kernel.heap, gather, s);
}

/* change = now - kept, modulo the word: a loss is a small negative number. */
static void compare(void)
{
    memset(&change, 0, sizeof change);
    change.whole = now.whole && kept.whole;
    for (unsigned i = 0; i <= CALLERS; i++) {
        struct row *row = row_of(&change, now.row[i].caller);
        row->blocks += now.row[i].blocks;
        row->bytes += now.row[i].bytes;
    }
    for (unsigned i = 0; i <= CALLERS; i++) {
        struct row *row = row_of(&change, kept.row[i].caller);
        row->blocks -= kept.row[i].blocks;
        row->bytes -= kept.row[i].bytes;
    }
}

static size_t magnitude(size_t signed_bytes)
{
    return (ptrdiff_t)signed_bytes < 0 ? 0 - signed_bytes : signed_bytes;
}

/* The largest first: a selection for each row that is shown, so that nothing is moved. */
static struct row *largest_below(struct snapshot *s, const struct row *previous)
{
    struct row *best = NULL;
    for (unsigned i = 0; i <= CALLERS; i++) {
        struct row *r = &s->row[i];
        if ((!r->blocks && !r->bytes) || r == previous)
            continue;
        if (previous && (magnitude(r->bytes) > magnitude(previous->bytes) ||
                         (magnitude(r->bytes) == magnitude(previous->bytes) && r < previous)))
            continue;
        if (!best || magnitude(r->bytes) > magnitude(best->bytes))
            best = r;
    }
    return best;
}

static const char *caller_name(const struct row *row)
{
    static char text[80];
    uintptr_t offset;
    const char *symbol = row->caller ? ksym_lookup((uintptr_t)row->caller, &offset) : NULL;
    if (symbol)
        fmt(text, sizeof text, "%s+0x%zx", symbol, (size_t)offset);
    else
        fmt(text, sizeof text, row->caller ? "not the kernel's code" : "others");
    return text;
}

static void rows_text(struct snapshot *s, const char *title)
{
    unsigned rows = 0, more = 0;
    kprintf("%s  %10s %12s  %s%s\n", colour(BOLD), "blocks", "bytes", title, colour(PLAIN));
    for (struct row *r = NULL; (r = largest_below(s, r)) != NULL; rows++) {
        if (rows < SHOWN)
            kprintf("  %10td %12td  %s\n", (ptrdiff_t)r->blocks, (ptrdiff_t)r->bytes,
                    caller_name(r));
        else
            more++;
    }
    if (more)
        kprintf("  and %u more; -j has them all\n", more);
    if (!rows)
        kprintf("  none\n");
    if (!s->whole)
        kprintf("  %sthe heap is damaged: what lies behind is not counted%s\n", colour(RED),
                colour(PLAIN));
}

static void rows_json(struct snapshot *s)
{
    struct json j;
    json_begin(&j, "leaks");
    json_array(&j, "callers");
    for (struct row *r = NULL; (r = largest_below(s, r)) != NULL;) {
        json_object(&j, NULL);
        json_address(&j, "caller", (uintptr_t)r->caller);
        json_string(&j, "symbol", caller_name(r));
        json_signed(&j, "blocks", (ptrdiff_t)r->blocks);
        json_signed(&j, "bytes", (ptrdiff_t)r->bytes);
        json_end(&j);
    }
    json_end(&j);
    json_bool(&j, "whole", s->whole);
    json_finish(&j);
}

static bool show(struct snapshot *s, const char *title, bool json)
{
    if (json)
        rows_json(s);
    else
        rows_text(s, title);
    return s->whole;
}

static bool keep(const struct shell_args *args)
{
    kept = now;
    if (!kept.whole)
        return report_error("leaks", args, "the heap is damaged: not all is kept");
    if (args->json)
        rows_json(&kept);
    else
        kprintf("  kept, of %u caller%s: `leaks diff` compares\n", kept.count, plural(kept.count));
    return true;
}

bool report_leaks(const struct shell_args *args)
{
    take(&now);
    if (args->count == 0)
        return show(&now, "live blocks, asked for by", args->json);
    if (args->count == 1 && strcmp(args->word[0], "keep") == 0)
        return keep(args);
    if (args->count != 1 || strcmp(args->word[0], "diff") != 0)
        return report_error("leaks", args, "usage: leaks [keep|diff]");
    if (!kept.taken)
        return report_error("leaks", args, "nothing to compare with: say `leaks keep` first");
    compare();
    return show(&change, "change since kept, asked for by", args->json);
}
