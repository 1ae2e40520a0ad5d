/* SPDX-License-Identifier: MIT */
/*
 * report_frames.c - a picture of physical memory.
 *
 * One cell is a power of two of frames, chosen so that all usable RAM fits on a screen; a line is
 * a row of cells. Rows in which nothing is usable are left out and said so, so that RAM at 1 TiB
 * costs no lines. What a cell shows: the owner since boot where all of it is reserved, else how
 * much of it is free; in builds with tags (DEBUG=1), who has taken the first frame of it.
 */
#include "diag/report.h"

#include "diag/console.h"
#include "diag/json.h"
#include "diag/units.h"
#include "kernel.h"

enum { COLUMNS = 64, ROWS = 16 };

struct cell {
    uint64_t usable, free;     /* frames */
    enum frame_owner reserved; /* of the first reserved frame in it, or OWNER_NONE */
    enum frame_owner taken;    /* of the first frame in use, or OWNER_NONE         */
};

struct glyph {
    const char *text;
    enum colour colour;
    const char *meaning;
};

enum { SHOW_FREE, SHOW_PARTLY, SHOW_TAKEN, SHOW_ABSENT, SHOWN };
static const struct glyph fills[SHOWN] = {
    {"·", GREEN, "free"},
    {"▒", YELLOW, "partly used"},
    {"█", YELLOW, "used"},
    {" ", PLAIN, "no RAM"},
};
static const struct glyph owners[OWNER_COUNT] = {
    [OWNER_LOW] = {"L", DIM, "low memory"},
    [OWNER_KERNEL] = {"K", RED, "kernel image"},
    [OWNER_BOOT_INFO] = {"B", CYAN, "boot information"},
    [OWNER_MODULE] = {"M", MAGENTA, "modules"},
    [OWNER_FRAMEBUFFER] = {"F", MAGENTA, "framebuffer"},
    [OWNER_EARLY] = {"T", BLUE, "early tables"},
    [OWNER_PMM] = {"P", BLUE, "pmm metadata"},
    [OWNER_TABLE] = {"t", YELLOW, "page tables"},
    [OWNER_HEAP] = {"h", YELLOW, "heap"},
    [OWNER_STACK] = {"s", YELLOW, "stacks"},
    [OWNER_DMA] = {"d", YELLOW, "dma"},
    [OWNER_USER] = {"u", YELLOW, "user"},
    [OWNER_CACHE] = {"c", YELLOW, "page cache"},
    [OWNER_TEST] = {"x", YELLOW, "self-test"},
};

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Counts what is free in [first, last), and notes who has the first frame in use. */
static void look_within(struct cell *cell, uint64_t first, uint64_t last)
{
    while (first < last) {
        uint64_t stretch;
        pfn_t frame = PFN((vword_t)first);
        bool is_free = pmm_stretch(&kernel.pmm, frame, &stretch);
        stretch = least(stretch ? stretch : 1, last - first);
        cell->free += is_free ? stretch : 0;
        if (PMM_TAGS && !is_free && !cell->taken &&
            pmm_owner(&kernel.pmm, frame) >= OWNER_RESERVED_END)
            cell->taken = pmm_owner(&kernel.pmm, frame);
        first += stretch;
    }
}

/* What the boot map says of frames [first, last); *index only moves forward. */
static struct cell look(uint64_t first, uint64_t last, size_t *index)
{
    struct cell cell = {0};
    const struct bootmap *map = &kernel.map;
    while (*index < map->count && map->ranges[*index].last >> PAGE_SHIFT < first)
        ++*index;
    for (size_t i = *index; i < map->count; i++) {
        const struct boot_range *r = &map->ranges[i];
        uint64_t start = r->start >> PAGE_SHIFT;
        uint64_t end = (r->last >> PAGE_SHIFT) + 1;
        if (start >= last)
            break;
        if (r->kind != RANGE_USABLE)
            continue;
        start = start < first ? first : start;
        cell.usable += least(end, last) - start;
        if (r->owner != OWNER_NONE && r->owner < OWNER_RESERVED_END && !cell.reserved)
            cell.reserved = r->owner;
    }
    if (cell.usable)
        look_within(&cell, first, last);
    return cell;
}

static const struct glyph *glyph_of(const struct cell *cell)
{
    if (!cell->usable)
        return &fills[SHOW_ABSENT];
    if (cell->reserved && !cell->free)
        return &owners[cell->reserved];
    if (cell->taken && cell->taken < OWNER_COUNT)
        return &owners[cell->taken];
    if (cell->free == cell->usable)
        return &fills[SHOW_FREE];
    return &fills[cell->free ? SHOW_PARTLY : SHOW_TAKEN];
}

/* The smallest power of two of frames a cell, so that the rows with RAM in them fit. */
static unsigned choose_shift(uint64_t usable)
{
    unsigned shift = 0;
    while ((uint64_t)COLUMNS * ROWS << shift < usable)
        shift++;
    return shift;
}

static void print_row(uint64_t first, unsigned shift, size_t index)
{
    kprintf("  %s0x%010llx%s ", colour(DIM), (unsigned long long)first << PAGE_SHIFT,
            colour(PLAIN));
    enum colour now = PLAIN;
    for (unsigned column = 0; column < COLUMNS; column++) {
        uint64_t start = first + ((uint64_t)column << shift);
        struct cell cell = look(start, start + (1ull << shift), &index);
        const struct glyph *g = glyph_of(&cell);
        if (g->colour != now)
            kprintf("%s%s", colour(PLAIN), colour(now = g->colour));
        kprintf("%s", g->text);
    }
    kprintf("%s\n", colour(PLAIN));
}

static void print_owners(const struct pmm_stats *s, enum frame_owner from, enum frame_owner to)
{
    for (enum frame_owner o = from; o < to; o++) {
        if (s->owners[o])
            kprintf("%s%s%s %s  ", colour(owners[o].colour), owners[o].text, colour(PLAIN),
                    owners[o].meaning);
    }
    kprintf("\n");
}

static void print_legend(unsigned shift)
{
    kprintf("  one cell is %s; ", size_text((uint64_t)PAGE_SIZE << shift).text);
    for (unsigned i = 0; i < SHOW_ABSENT; i++)
        kprintf("%s%s%s %s  ", colour(fills[i].colour), fills[i].text, colour(PLAIN),
                fills[i].meaning);
    struct pmm_stats s;
    pmm_counts(&kernel.pmm, &s);
    kprintf("\n  reserved since boot: ");
    print_owners(&s, OWNER_LOW, OWNER_RESERVED_END);
    if (PMM_TAGS) {
        kprintf("  in use: ");
        print_owners(&s, OWNER_RESERVED_END, OWNER_COUNT);
    }
}

/* The first frame at or above `frame` that is usable; `top` when there is none. */
static uint64_t next_usable(uint64_t frame, uint64_t top)
{
    for (size_t i = 0; i < kernel.map.count; i++) {
        const struct boot_range *r = &kernel.map.ranges[i];
        if (r->kind != RANGE_USABLE || r->last >> PAGE_SHIFT < frame)
            continue;
        uint64_t start = r->start >> PAGE_SHIFT;
        return least(start > frame ? start : frame, top);
    }
    return top;
}

static void frames_text(const struct bootmap_totals *t)
{
    unsigned shift = choose_shift(t->usable_frames);
    uint64_t row = (uint64_t)COLUMNS << shift;
    uint64_t top = t->highest_frame;
    for (uint64_t at = 0; at < top; at += row) {
        uint64_t usable = next_usable(at, top) & ~(row - 1);
        if (usable > at)
            kprintf("  %10s %s... no RAM for %s%s\n", "", colour(DIM),
                    size_text((usable - at) << PAGE_SHIFT).text, colour(PLAIN));
        at = usable > at ? usable : at;
        print_row(at, shift, 0);
    }
    print_legend(shift);
}

static void frames_json(const struct bootmap_totals *t)
{
    struct json j;
    json_begin(&j, "frames");
    json_array(&j, "stretches");
    for (uint64_t at = next_usable(0, t->highest_frame); at < t->highest_frame;) {
        uint64_t frames;
        bool is_free = pmm_stretch(&kernel.pmm, PFN((vword_t)at), &frames);
        frames = least(frames ? frames : 1, t->highest_frame - at);
        json_object(&j, NULL);
        json_address(&j, "start", at << PAGE_SHIFT);
        json_address(&j, "end", (at + frames) << PAGE_SHIFT);
        json_bool(&j, "free", is_free);
        json_end(&j);
        at += frames;
    }
    json_end(&j);
    json_finish(&j);
}

bool report_frames(const struct shell_args *args)
{
    struct bootmap_totals t = bootmap_totals(&kernel.map);
    frames_settle();
    if (args->json)
        frames_json(&t);
    else
        frames_text(&t);
    return true;
}
