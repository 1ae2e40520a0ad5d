/* SPDX-License-Identifier: MIT */
/*
 * fuzz_boot.c - any bytes as boot information, all the way to the frame allocator.
 *
 * As the kernel does it: parse, make the map, find room for the metadata in the map itself, build
 * the allocator. Whatever the loader said, every frame that comes out lies in RAM that one of its
 * entries calls usable and none calls anything else, was promised to nobody, and comes once.
 */
#include <mem/pmm.h>
#include <multiboot2.h>

#include "fuzz.h"

enum { PAGE = 4096, ROOM = 64, FRAMES = 40, METADATA_MAX = 1 << 20 };

static struct boot_range ranges[ROOM];
static struct bootmap map;
static struct pmm pmm;
static uint8_t metadata[METADATA_MAX] __attribute__((aligned(64)));

/* Does the entry touch the frame, and does it hold all of it? */
static bool touches(const struct boot_range_raw *r, uint64_t frame)
{
    uint64_t start = frame * PAGE, last = start + PAGE - 1;
    return r->length && r->start <= last &&
           (r->length > UINT64_MAX - r->start || r->start + r->length > start);
}

/* No entry of either map says that the frame is anything but RAM, and one says it is. */
static void is_ram(const uint8_t *blob, const struct boot_info *info, uint64_t frame)
{
    bool usable = false;
    for (uint32_t i = 0; i < info->mmap.count + info->efi_map.count; i++) {
        bool efi = i >= info->mmap.count;
        struct boot_range_raw r = efi ? multiboot2_efi_entry(blob, info, i - info->mmap.count)
                                      : multiboot2_mmap_entry(blob, info, i);
        if (!touches(&r, frame))
            continue;
        CLAIM((efi ? range_kind_of_efi(r.type) : range_kind_of_e820(r.type)) == RANGE_USABLE,
              "frame %llx is of type %u", (unsigned long long)frame, r.type);
        usable = true;
    }
    CLAIM(usable, "frame %llx is in no entry", (unsigned long long)frame);
}

static void is_nobodys(const uint8_t *blob, const struct boot_info *info, uint64_t frame)
{
    const struct boot_framebuffer *fb = &info->framebuffer;
    uint64_t start = frame * PAGE, end = start + PAGE;
    struct boot_module m;
    CLAIM(frame >= 256, "frame %llx is below 1 MiB", (unsigned long long)frame);
    CLAIM(!map.limit || end <= map.limit, "frame %llx is above the limit",
          (unsigned long long)frame);
    for (uint32_t i = 0; multiboot2_module(blob, info, i, &m); i++)
        CLAIM(m.end == m.start || m.end <= start || m.start >= end, "frame of module %u", i);
    CLAIM(!fb->kind || fb->address >= end ||
              fb->address + (uint64_t)fb->pitch * fb->height <= start,
          "frame of the framebuffer");
}

static void take_some(const uint8_t *blob, const struct boot_info *info)
{
    pfn_t taken[FRAMES];
    unsigned n = 0;
    for (; n < FRAMES && !pfn_is_none(taken[n] = pmm_alloc(&pmm, OWNER_USER)); n++) {
        CLAIM(!n || taken[n].v > taken[n - 1].v, "frame %zx again", (size_t)taken[n].v);
        is_ram(blob, info, taken[n].v);
        is_nobodys(blob, info, taken[n].v);
    }
    struct pmm_run_request want = {.frames = 600};
    pfn_t first;
    if (!pmm_alloc_run(&pmm, &want, OWNER_DMA, &first)) {
        for (unsigned i = 0; i < 600; i += 40) {
            is_ram(blob, info, first.v + i);
            is_nobodys(blob, info, first.v + i);
        }
        CLAIM(pmm_free_run(&pmm, first, 600, OWNER_DMA) == MEM_OK, "free_run");
    }
    while (n)
        CLAIM(pmm_free(&pmm, taken[--n], OWNER_USER) == MEM_OK, "free");
}

/* The metadata lies in the map, as the kernel has it; its bytes are ours to choose. */
static void build(const uint8_t *blob, const struct boot_info *info)
{
    const char *broken;
    size_t need = pmm_metadata_bytes(&map);
    pfn_t first;
    if (need > METADATA_MAX - PMM_BYTES_PER_RANGE)
        return;
    size_t frames = (need + 2 * PMM_BYTES_PER_RANGE + PAGE - 1) / PAGE;
    if (bootmap_take(&map, frames, 0, 0, OWNER_PMM, &first))
        return;
    for (size_t i = 0; i < frames; i++) {
        is_ram(blob, info, first.v + i);
        is_nobodys(blob, info, first.v + i);
    }
    bootmap_close(&map);
    CLAIM(pmm_metadata_bytes(&map) <= frames * PAGE, "%zu bytes", pmm_metadata_bytes(&map));
    struct bootmap_totals totals = bootmap_totals(&map);
    CLAIM(pmm_init(&pmm, &map, metadata, frames * PAGE) == MEM_OK, "init");
    CLAIM(pmm_free_frames(&pmm) == totals.owned_frames[OWNER_NONE], "free frames");
    CLAIM(pmm_holds(&pmm, &broken), "%s", broken);
    take_some(blob, info);
    CLAIM(pmm_free_frames(&pmm) == totals.owned_frames[OWNER_NONE], "frames were lost");
    CLAIM(pmm_holds(&pmm, &broken), "%s", broken);
}

/* The lowest bits of the header's second word, which the parser ignores, choose the limit. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static const uint64_t limits[] = {1ull << 32, 1ull << 36, 0, 0x7ffff800};
    struct boot_info info;
    const char *broken;
    size_t where;
    if (bytes < 16)
        return 0;
    uint32_t total = (uint32_t)bytes & ~(uint32_t)7;
    uint8_t *blob = malloc(total);
    memcpy(blob, data, total);
    memcpy(blob, &total, sizeof total);
    if (!multiboot2_parse(MULTIBOOT2_MAGIC, blob, total, &info, &where)) {
        CLAIM(!bootmap_init(&map, ranges, ROOM, limits[data[4] & 3]), "init");
        enum mem_err err = bootmap_from_multiboot2(&map, blob, &info);
        CLAIM(err == MEM_OK || err == MEM_FULL, "%s", mem_err_name(err));
        if (!err) {
            CLAIM(bootmap_holds(&map, &broken), "%s", broken);
            build(blob, &info);
        }
    }
    free(blob);
    return 0;
}
