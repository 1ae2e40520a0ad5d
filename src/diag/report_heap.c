/* SPDX-License-Identifier: MIT */
/* report_heap.c - heap, dmesg: the blocks of the heap as a picture and as numbers. */
#include "diag/report.h"

#include <mem/kmalloc.h>

#include "diag/console.h"
#include "diag/heap_fault.h"
#include "diag/json.h"
#include "diag/ksyms.h"
#include "diag/units.h"
#include "kernel.h"
#include "lib/string.h"

enum { CLASSES = 18, COLUMNS = 56, ROWS = 8, CELLS = COLUMNS * ROWS };
enum { ODD = 1, SEVERAL = 2, WAITS = 4 }; /* what is marked of a cell */

/* Do the invariants hold? If not, which, and where that was seen first. */
struct verdict {
    bool holds;
    const char *broken;
    struct heap_block where;
};

/* What the walk gathers in one pass. */
struct picture {
    const uint8_t *start;
    size_t bytes; /* from there to the end of the last block */
    size_t cell_bytes;
    bool whole;                        /* nothing is hidden by damage                    */
    uint32_t live[CELLS], free[CELLS]; /* bytes of each cell                             */
    uint8_t marks[CELLS];              /* its live block is ODD, neighbours differ; or it has
                                        * SEVERAL; some of what is free WAITS in a bin   */
    size_t blocks;                     /* live ones, so far                              */
    size_t live_by_size[CLASSES];      /* as asked for: <= 16, 32, ... 1 MiB, more       */
    size_t free_by_size[CLASSES];
};
static struct picture picture;

static void mark_cell(size_t cell, const struct heap_block *b)
{
    uint8_t *marks = &picture.marks[cell];
    if (!b->live)
        *marks |= b->waiting ? WAITS : 0;
    else if (picture.live[cell])
        *marks |= SEVERAL;
    else
        *marks |= picture.blocks % 2 ? ODD : 0;
}

static void add_span(const struct heap_block *b, size_t from, size_t to)
{
    uint32_t *cells = b->live ? picture.live : picture.free;
    for (size_t at = from; at < to;) {
        size_t cell = at / picture.cell_bytes;
        size_t end = (cell + 1) * picture.cell_bytes;
        if (cell >= CELLS)
            return;
        if (end > to)
            end = to;
        mark_cell(cell, b);
        cells[cell] += (uint32_t)(end - at);
        at = end;
    }
}

static unsigned size_class(size_t size)
{
    unsigned class = 0;
    while (class < CLASSES - 1 && size > (size_t)16 << class)
        class ++;
    return class;
}

static bool gather(void *ctx, const struct heap_block *b)
{
    (void)ctx;
    size_t from = (size_t)((const uint8_t *)b->payload - picture.start);
    add_span(b, from, from + b->size);
    picture.bytes = from + b->size;
    picture.blocks += b->live;
    if (b->live)
        picture.live_by_size[size_class(b->requested)]++;
    else
        picture.free_by_size[size_class(b->size)]++;
    return true;
}

static const uint8_t *first_payload;
static bool note_first(void *ctx, const struct heap_block *b)
{
    (void)ctx;
    first_payload = b->payload;
    return false;
}

static void take_picture(const struct heap_stats *s)
{
    memset(&picture, 0, sizeof picture);
    first_payload = NULL;
    heap_walk(&kernel.heap, note_first, NULL);
    picture.start = first_payload;
    picture.cell_bytes = 16;
    while (picture.cell_bytes * CELLS < s->mapped)
        picture.cell_bytes *= 2;
    picture.whole = heap_walk(&kernel.heap, gather, NULL);
}

static const char *cell_colour(size_t cell)
{
    uint8_t marks = picture.marks[cell];
    return colour(marks & SEVERAL ? BOLD : marks & ODD ? CYAN : YELLOW);
}

static void print_cell(size_t cell)
{
    uint32_t live = picture.live[cell], free = picture.free[cell];
    if (!free)
        kprintf("%s█%s", cell_colour(cell), colour(PLAIN));
    else if (!live)
        kprintf("%s%s%s", colour(GREEN), picture.marks[cell] & WAITS ? "░" : "·", colour(PLAIN));
    else
        kprintf("%s▒%s", cell_colour(cell), colour(PLAIN));
}

static void print_picture(void)
{
    size_t cells = (picture.bytes + picture.cell_bytes - 1) / picture.cell_bytes;
    for (size_t cell = 0; cell < cells; cell++) {
        if (cell % COLUMNS == 0)
            kprintf("  %p ", (const void *)(picture.start + cell * picture.cell_bytes));
        print_cell(cell);
        if (cell % COLUMNS == COLUMNS - 1 || cell == cells - 1)
            kprintf("\n");
    }
    kprintf("  one cell is %s; %s·%s free  %s░%s in bins  %s▒%s mixed  %s█%s%s█%s one block  "
            "%s█%s several\n",
            size_text(picture.cell_bytes).text, colour(GREEN), colour(PLAIN), colour(GREEN),
            colour(PLAIN), colour(YELLOW), colour(PLAIN), colour(YELLOW), colour(PLAIN),
            colour(CYAN), colour(PLAIN), colour(BOLD), colour(PLAIN));
}

static void print_histogram(void)
{
    kprintf("%s  blocks by size       live      free%s\n", colour(BOLD), colour(PLAIN));
    for (unsigned c = 0; c < CLASSES; c++) {
        if (!picture.live_by_size[c] && !picture.free_by_size[c])
            continue;
        if (c < CLASSES - 1)
            kprintf("    up to %-9s", size_text((size_t)16 << c).text);
        else
            kprintf("    larger         ");
        kprintf("%6zu %9zu\n", picture.live_by_size[c], picture.free_by_size[c]);
    }
}

static void heap_text(const struct heap_stats *s)
{
    unsigned fragmentation = s->free ? 1000 - permille(s->largest, s->free) : 0;
    kprintf("  %s mapped, at most %s; %s in %zu live block%s\n", size_text(s->mapped).text,
            size_text(s->most).text, size_text(s->used).text, s->blocks, plural(s->blocks));
    kprintf("  %s in %zu free block%s, the largest %s\n", size_text(s->free).text, s->free_blocks,
            plural(s->free_blocks), size_text(s->largest).text);
    kprintf("  of these %s in %zu block%s that bins keep unmerged\n", size_text(s->waiting).text,
            s->waiting_blocks, plural(s->waiting_blocks));
    kprintf("  fragmentation %u.%u%% (free memory outside the largest free block)\n",
            fragmentation / 10, fragmentation % 10);
    kprintf("  grown %zu time%s, shrunk %zu time%s, %zu request%s refused\n", s->grown,
            plural(s->grown), s->shrunk, plural(s->shrunk), s->refused, plural(s->refused));
    if (!picture.whole)
        report_heap_cut(picture.start + picture.bytes);
    print_picture();
    print_histogram();
}

static void heap_json(const struct heap_stats *s, const struct verdict *v)
{
    struct json j;
    json_begin(&j, "heap");
    json_number(&j, "window", s->window);
    json_number(&j, "mapped", s->mapped);
    json_number(&j, "most", s->most);
    json_number(&j, "used", s->used);
    json_number(&j, "free", s->free);
    json_number(&j, "blocks", s->blocks);
    json_number(&j, "free_blocks", s->free_blocks);
    json_number(&j, "waiting", s->waiting);
    json_number(&j, "waiting_blocks", s->waiting_blocks);
    json_number(&j, "largest", s->largest);
    json_number(&j, "grown", s->grown);
    json_number(&j, "shrunk", s->shrunk);
    json_number(&j, "refused", s->refused);
    json_object(&j, "faults");
    for (unsigned f = HEAP_OK + 1; f < HEAP_FAULT_COUNT; f++)
        json_number(&j, heap_fault_name((enum heap_fault)f), s->faults[f]);
    json_end(&j);
    json_array(&j, "histogram");
    for (unsigned c = 0; c < CLASSES; c++)
        json_number(&j, NULL, picture.live_by_size[c]);
    json_end(&j);
    json_bool(&j, "whole", picture.whole);
    json_number(&j, "harden", HEAP_HARDEN);
    json_bool(&j, "holds", v->holds);
    if (!v->holds)
        json_string(&j, "broken", v->broken);
    if (!v->holds && v->where.payload)
        json_address(&j, "where", (uintptr_t)v->where.payload);
    json_finish(&j);
}

static void tell_check(const struct verdict *v)
{
    kprintf("  invariants %s%s%s%s\n", colour(v->holds ? GREEN : RED),
            v->holds ? "hold" : "broken: ", v->holds ? "" : v->broken, colour(PLAIN));
    if (v->holds || !v->where.payload)
        return;
    kprintf(v->broken[0] == 'H' ? "  right behind the " : "  first at the ");
    heap_fault_block(&v->where);
    kprintf("\n");
}

static bool is_word(const struct shell_args *args, const char *word)
{
    return args->count == 1 && strcmp(args->word[0], word) == 0;
}

bool report_heap(const struct shell_args *args)
{
    bool check = is_word(args, "check"), trim = is_word(args, "trim");
    if (args->count && !check && !trim)
        return report_error("heap", args, "usage: heap [check|trim]");
    if (trim)
        kmalloc_trim();
    struct heap_stats s;
    struct verdict v = {.broken = ""};
    (void)heap_stats(&kernel.heap, &s);
    v.holds = heap_check_where(&kernel.heap, &v.broken, &v.where);
    take_picture(&s);
    if (args->json)
        heap_json(&s, &v);
    else if (!check)
        heap_text(&s);
    if (!args->json)
        tell_check(&v);
    return v.holds;
}

static void emit_plain(void *ctx, const char *text, size_t bytes)
{
    (void)ctx;
    console_write_unlogged(text, bytes);
}

/* The log as JSON: one string for each stored piece would cut words, so one array of lines. */
struct line_split {
    struct json json;
    char line[200];
    size_t length;
};
static struct line_split split;

static void end_line(void)
{
    split.line[split.length] = 0;
    json_string(&split.json, NULL, split.line);
    split.length = 0;
}

static void emit_json(void *ctx, const char *text, size_t bytes)
{
    (void)ctx;
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] == '\n' || split.length == sizeof split.line - 1)
            end_line();
        if (text[i] != '\n')
            split.line[split.length++] = text[i];
    }
}

bool report_dmesg(const struct shell_args *args)
{
    if (!args->json) {
        console_log_each(emit_plain, NULL);
        return true;
    }
    split.length = 0;
    json_begin(&split.json, "dmesg");
    json_array(&split.json, "lines");
    console_log_each(emit_json, NULL);
    if (split.length)
        end_line();
    json_finish(&split.json);
    return true;
}
