/* SPDX-License-Identifier: MIT */
/*
 * machine.c - 41 MiB of RAM with holes, the kernel's own frame allocator in it, and the ledger.
 *
 * The kernel's frames.c and kmalloc.c are linked as they are; the linker leads their frames_take
 * and frames_give through the two __wrap_ functions here (ld --wrap), so that page tables and heap
 * pages are in the ledger from the moment they are taken. A frame that comes twice is seen at once.
 */
#include "soak.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mem/kmap.h>
#include <platform.h>

enum { NO_RAM = OWNER_COUNT, SLACK_RANGES = 8 };

struct pmm soak_pmm;
const struct paging_features soak_features = {
    .pse = true,
    .pge = true,
    .pat = true,
    .nx = sizeof(void *) == 8,
    .gib_pages = sizeof(void *) == 8,
    .wp = true,
    .phys_bits = sizeof(void *) == 8 ? 40 : 32,
    .virt_bits = sizeof(void *) == 8 ? 48 : 32,
};

static uint8_t ram[RAM_FRAMES][4096] __attribute__((aligned(4096)));
static uint8_t owner[RAM_FRAMES];
static uint64_t count[OWNER_COUNT];
static int windows; /* kmapped now */

static struct boot_range ranges[32];
static struct bootmap map;
static uint64_t metadata[1 << 13] __attribute__((aligned(64)));

/* ---- the ledger ----------------------------------------------------------------------------- */

bool ledger_has(pfn_t frame)
{
    return frame.v < RAM_FRAMES && owner[frame.v] != NO_RAM;
}

enum frame_owner ledger_owner(pfn_t frame)
{
    return ledger_has(frame) ? (enum frame_owner)owner[frame.v] : OWNER_NONE;
}

uint64_t ledger_count(enum frame_owner who)
{
    return count[who];
}

void ledger_move(pfn_t frame, enum frame_owner from, enum frame_owner to)
{
    if (!ledger_has(frame))
        soak_wrong("frame 0x%zx for %s is no RAM", (size_t)frame.v, frame_owner_name(to));
    if (owner[frame.v] != from)
        soak_wrong("frame 0x%zx goes from %s to %s, but it is held by %s", (size_t)frame.v,
                   frame_owner_name(from), frame_owner_name(to),
                   frame_owner_name((enum frame_owner)owner[frame.v]));
    owner[frame.v] = (uint8_t)to;
    count[from]--;
    count[to]++;
}

/* ---- in front of the kernel's own calls ----------------------------------------------------- */

pfn_t __real_frames_take(enum frame_owner who);
enum mem_err __real_frames_give(pfn_t frame, enum frame_owner who);
pfn_t __wrap_frames_take(enum frame_owner who);
enum mem_err __wrap_frames_give(pfn_t frame, enum frame_owner who);

pfn_t __wrap_frames_take(enum frame_owner who)
{
    pfn_t frame = __real_frames_take(who);
    if (!pfn_is_none(frame))
        ledger_move(frame, OWNER_NONE, who);
    else if (count[OWNER_NONE])
        soak_wrong("no frame for %s while %zu are free", frame_owner_name(who),
                   (size_t)count[OWNER_NONE]);
    return frame;
}

enum mem_err __wrap_frames_give(pfn_t frame, enum frame_owner who)
{
    bool held = ledger_has(frame) && owner[frame.v] == who;
    enum mem_err err = __real_frames_give(frame, who);
    if (held == (err != MEM_OK))
        soak_wrong("frame 0x%zx of %s given back: %s", (size_t)frame.v,
                   frame_owner_name(ledger_owner(frame)), mem_err_name(err));
    if (held)
        ledger_move(frame, who, OWNER_NONE);
    return err;
}

static pfn_t take_table(void *ctx)
{
    (void)ctx;
    pfn_t frame = frames_take(OWNER_TABLE);
    if (!pfn_is_none(frame))
        memset(machine_ram(frame), 0xdb, 4096); /* a fresh frame holds anything */
    return frame;
}

static void give_table(void *ctx, pfn_t frame)
{
    (void)ctx;
    enum mem_err err = frames_give(frame, OWNER_TABLE);
    if (err)
        soak_wrong("table in frame 0x%zx given back: %s", (size_t)frame.v, mem_err_name(err));
}
const struct frame_source soak_tables = {take_table, give_table, NULL};

static pfn_t take_page(void *ctx)
{
    (void)ctx;
    return frames_take(OWNER_HEAP);
}

static void give_page(void *ctx, pfn_t frame)
{
    (void)ctx;
    if (frames_give(frame, OWNER_HEAP))
        soak_wrong("a page of the heap in frame 0x%zx is refused", (size_t)frame.v);
}
const struct frame_source soak_pages = {take_page, give_page, NULL};

/* ---- platform.h and kmap.h ------------------------------------------------------------------ */

uint8_t *machine_ram(pfn_t frame)
{
    return ram[frame.v];
}

void *kmap(pfn_t frame)
{
    if (frame.v >= RAM_FRAMES)
        soak_wrong("kmap of frame 0x%zx", (size_t)frame.v);
    windows++;
    return ram[frame.v];
}

void kunmap(const void *ptr)
{
    if ((size_t)((const uint8_t *)ptr - ram[0]) >= sizeof ram || windows-- == 0)
        soak_wrong("kunmap of %p", ptr);
}

void platform_flush_page(vaddr_t va)
{
    (void)va;
}

void platform_flush_all(void)
{
}

vword_t platform_irq_save(void)
{
    return 0;
}

void platform_irq_restore(vword_t state)
{
    (void)state;
}

void platform_panic(const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    soak_wrong("panic: %s", text);
}

void platform_complain(const char *format, ...)
{
    (void)format;
}

/* ---- start and audit ------------------------------------------------------------------------ */

/* Two large stretches, one of them off every large-page border, and a few crumbs. */
static const struct {
    uint64_t frame, frames;
} banks[] = {{0x100, 5120}, {0x1703, 5003}, {0x3003, 1}, {0x3005, 2}, {0x3208, 509}};

static void check(enum mem_err err)
{
    if (err)
        soak_wrong("no machine: %s", mem_err_name(err));
}

void machine_start(void)
{
    memset(owner, NO_RAM, sizeof owner);
    check(bootmap_init(&map, ranges, sizeof ranges / sizeof ranges[0], 0));
    for (unsigned i = 0; i < sizeof banks / sizeof banks[0]; i++) {
        check(bootmap_add(&map, banks[i].frame << PAGE_SHIFT, banks[i].frames << PAGE_SHIFT,
                          RANGE_USABLE));
        memset(owner + banks[i].frame, OWNER_NONE, (size_t)banks[i].frames);
        count[OWNER_NONE] += banks[i].frames;
    }
    check(bootmap_finish(&map));
    memset(metadata, 0xa7, sizeof metadata);
    check(pmm_init(&soak_pmm, &map, metadata, sizeof metadata));
    check(frames_init(&soak_pmm));
    machine_audit();
}

void machine_audit(void)
{
    struct pmm_stats s;
    const char *broken = NULL;
    frames_settle();
    pmm_counts(&soak_pmm, &s);
    for (unsigned i = 0; i < OWNER_COUNT; i++) {
        if (s.owners[i] != count[i])
            soak_wrong("%s: the allocator counts %zu frames, the ledger %zu",
                       frame_owner_name((enum frame_owner)i), (size_t)s.owners[i],
                       (size_t)count[i]);
    }
    for (vword_t f = 0; f < RAM_FRAMES; f++) {
        if (pmm_is_free(&soak_pmm, PFN(f)) != (owner[f] == OWNER_NONE))
            soak_wrong("frame 0x%zx: allocator and ledger disagree", (size_t)f);
    }
    if (!pmm_holds(&soak_pmm, &broken))
        soak_wrong("frame allocator: %s", broken);
    if (windows > 4)
        soak_wrong("%d windows are open; four spaces keep one table in hand each", windows);
}
