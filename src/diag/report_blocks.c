/* SPDX-License-Identifier: MIT */
/*
 * report_blocks.c - the heap block by block, and two commands to play with it: alloc and free.
 *
 * One line a block, in address order, that fits on a screen of 80 columns: where its payload is, a
 * bar that grows by one when the size is fourfold, what was asked for, and by whom. Neighbours are
 * what matters in a heap, so nothing is sorted or left out between the first line and the last.
 */
#include "diag/report.h"

#include <mem/kmalloc.h>

#include "diag/console.h"
#include "diag/json.h"
#include "diag/ksyms.h"
#include "diag/units.h"
#include "kernel.h"

enum { LINES = 40, BAR = 13, POINTER = 2 + 2 * sizeof(void *) };

struct view {
    uintptr_t from; /* payloads at or above this address */
    unsigned shown, more;
    uintptr_t next; /* payload of the first that is not shown */
    uintptr_t end;  /* of the last block */
    struct json *json;
};

static unsigned log2_of(size_t size)
{
    unsigned bits = 0;
    while (size >>= 1)
        bits++;
    return bits;
}

static void print_bar(const struct heap_block *b)
{
    unsigned length = (log2_of(b->size | 15) - 1) / 2;
    length = length > BAR ? BAR : length;
    kprintf("%s", colour(b->live ? YELLOW : GREEN));
    for (unsigned i = 0; i < BAR; i++)
        kprintf("%s", i >= length ? " " : b->live ? "█" : "░");
    kprintf("%s", colour(PLAIN));
}

static void print_block(const struct heap_block *b)
{
    uintptr_t offset;
    const char *symbol = ksym_lookup((uintptr_t)b->allocated_by, &offset);
    kprintf("  %p ", b->payload);
    print_bar(b);
    kprintf(" %9zu", b->size);
    if (!b->live)
        kprintf("  %sfree%s%s\n", colour(GREEN), b->waiting ? ", in its bin" : "", colour(PLAIN));
    else if (symbol)
        kprintf(" %9zu  %s+0x%zx\n", b->requested, symbol, (size_t)offset);
    else
        kprintf(" %9zu\n", b->requested);
}

static void json_block(struct json *j, const struct heap_block *b)
{
    json_object(j, NULL);
    json_address(j, "payload", (uintptr_t)b->payload);
    json_number(j, "size", b->size);
    json_bool(j, "live", b->live);
    json_bool(j, "waiting", b->waiting);
    if (b->live) {
        json_number(j, "requested", b->requested);
        json_address(j, "allocated_by", (uintptr_t)b->allocated_by);
    }
    json_end(j);
}

static bool visit(void *ctx, const struct heap_block *b)
{
    struct view *v = ctx;
    v->end = (uintptr_t)b->payload + b->size;
    if ((uintptr_t)b->payload + b->size <= v->from)
        return true;
    if (v->json)
        json_block(v->json, b);
    else if (v->shown < LINES)
        print_block(b);
    else if (!v->more++)
        v->next = (uintptr_t)b->payload;
    v->shown++;
    return true;
}

void report_heap_cut(const void *header)
{
    kprintf("  %sthe header at %p is damaged: nobody knows what follows%s\n", colour(RED), header,
            colour(PLAIN));
}

bool report_blocks(const struct shell_args *args)
{
    struct view v = {0};
    unsigned long long from = 0;
    if (args->count > 1 ||
        (args->count && (!shell_number(args->word[0], &from) || from > UINTPTR_MAX)))
        return report_error("blocks", args, "usage: blocks [ADDR]");
    v.from = (uintptr_t)from;
    if (args->json) {
        struct json j;
        json_begin(&j, "blocks");
        json_array(&j, "blocks");
        v.json = &j;
        bool whole = heap_walk(&kernel.heap, visit, &v);
        json_end(&j);
        json_bool(&j, "whole", whole);
        json_finish(&j);
        return whole;
    }
    kprintf("%s  %-*s %-*s %9s %9s  %s%s\n", colour(BOLD), POINTER, "payload", BAR, "", "bytes",
            "asked for", "by", colour(PLAIN));
    bool whole = heap_walk(&kernel.heap, visit, &v);
    if (v.more)
        kprintf("  and %u block%s more, from `blocks %p` on\n", v.more, plural(v.more),
                (void *)v.next);
    if (!whole)
        report_heap_cut((void *)v.end);
    return whole;
}

/* ---- alloc and free -------------------------------------------------------------------------- */

bool command_alloc(const struct shell_args *args)
{
    unsigned long long bytes, times = 1, align = HEAP_ALIGN;
    if (args->count < 1 || args->count > 3 || args->json || !shell_number(args->word[0], &bytes) ||
        (args->count > 1 && !shell_number(args->word[1], &times)) ||
        (args->count > 2 && !shell_number(args->word[2], &align)) || !bytes || !times || !align ||
        align & (align - 1))
        return report_error("alloc", args,
                            "usage: alloc BYTES [TIMES [ALIGN]], from 1 on; ALIGN: a power of 2");
    bool fits = bytes <= SIZE_MAX && align <= SIZE_MAX;
    for (unsigned long long i = 0; i < times; i++) {
        void *block = fits ? kmalloc_aligned((size_t)align, (size_t)bytes) : NULL;
        if (!block)
            return report_error("alloc", args, "no block of %llu byte%s, after %llu of them", bytes,
                                plural((size_t)bytes), i);
        if (times == 1)
            kprintf("  %p\n", block);
    }
    return true;
}

/* Whatever it is given: a wrong address is what the heap has to cope with. */
bool command_free(const struct shell_args *args)
{
    unsigned long long address;
    if (args->count != 1 || args->json || !shell_number(args->word[0], &address) ||
        address > UINTPTR_MAX)
        return report_error("free", args, "usage: free ADDR");
    struct heap_stats before, after;
    heap_stats(&kernel.heap, &before);
    kfree((void *)(uintptr_t)address);
    heap_stats(&kernel.heap, &after);
    return after.blocks < before.blocks || address == 0;
}
