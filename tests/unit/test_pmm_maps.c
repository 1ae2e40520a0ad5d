/* SPDX-License-Identifier: MIT */
/*
 * test_pmm_maps.c - every stored memory map: all frames taken, each one checked against the map,
 * all given back, the counts exact. With the 4 GiB limit and without.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <mem/bootmap.h>
#include <mem/pmm.h>
#include <multiboot2.h>

#include "../../tools/bootmap/input.h"

enum { MAPS_AT_LEAST = 80 };
#define FOUR_GIB        (4ull << 30)
#define SINGLES_AT_MOST (1ull << 22) /* one by one: 16 GiB; larger maps by blocks first */

static struct pmm pmm;

/* Usable and unowned in the canonical map, at or above where the cursor stands. */
struct cursor {
    const struct bootmap *map;
    size_t range;
};

static bool may_be_given(struct cursor *c, uint64_t frame, uint64_t frames)
{
    const struct boot_range *r = &c->map->ranges[c->range];
    while (r->last >> PAGE_SHIFT < frame)
        r = &c->map->ranges[++c->range];
    uint64_t end = frame + frames, limit = c->map->limit >> PAGE_SHIFT;
    return r->kind == RANGE_USABLE && r->owner == OWNER_NONE && frame >= r->start >> PAGE_SHIFT &&
           end <= (r->last >> PAGE_SHIFT) + 1 && (!limit || end <= limit);
}

/* Frames come lowest first; so do whole blocks. */
static uint64_t take_blocks(const struct bootmap *map)
{
    struct cursor c = {.map = map};
    uint64_t blocks = 0, above = 0;
    for (pfn_t f; !pfn_is_none(f = pmm_alloc_block(&pmm, OWNER_CACHE)); blocks++) {
        assert_true(f.v >= above && f.v % PMM_BLOCK == 0 && may_be_given(&c, f.v, PMM_BLOCK));
        above = (uint64_t)f.v + PMM_BLOCK;
    }
    return blocks;
}

static uint64_t take_frames(const struct bootmap *map)
{
    struct cursor c = {.map = map};
    uint64_t frames = 0, above = 0;
    for (pfn_t f; !pfn_is_none(f = pmm_alloc(&pmm, OWNER_USER)); frames++) {
        assert_true(f.v >= above && may_be_given(&c, f.v, 1));
        above = (uint64_t)f.v + 1;
    }
    return frames;
}

/* Gives back range by range, the highest first. */
static void give_all(const struct bootmap *map, enum frame_owner owner, uint64_t unit)
{
    for (size_t i = map->count; i--;) {
        const struct boot_range *r = &map->ranges[i];
        uint64_t end = (r->last >> PAGE_SHIFT) + 1, limit = map->limit >> PAGE_SHIFT;
        if (r->kind != RANGE_USABLE || r->owner != OWNER_NONE)
            continue;
        for (uint64_t f = r->start >> PAGE_SHIFT; f < end && (!limit || f < limit); f++) {
            if (unit == 1 && !pmm_is_free(&pmm, PFN((vword_t)f)))
                assert_int_equal(pmm_free(&pmm, PFN((vword_t)f), owner), MEM_OK);
            if (unit > 1 && f % unit == 0 && f + unit <= end && (!limit || f + unit <= limit))
                assert_int_equal(pmm_free_run(&pmm, PFN((vword_t)f), unit, owner), MEM_OK);
            if (unit > 1)
                f |= unit - 1; /* to the next multiple */
        }
    }
}

static void holds(uint64_t free)
{
    const char *broken;
    if (!pmm_holds(&pmm, &broken))
        fail_msg("%s", broken);
    assert_true(pmm_free_frames(&pmm) == free);
}

static void one_by_one(const struct bootmap *map, uint64_t free)
{
    assert_true(take_frames(map) == free);
    holds(0);
    give_all(map, OWNER_USER, 1);
    holds(free);
}

static void blocks_and_the_rest(const struct bootmap *map, uint64_t free)
{
    uint64_t blocks = take_blocks(map);
    holds(free - blocks * PMM_BLOCK);
    assert_true(take_frames(map) == free - blocks * PMM_BLOCK);
    holds(0);
    give_all(map, OWNER_CACHE, PMM_BLOCK);
    holds(blocks * PMM_BLOCK);
    give_all(map, OWNER_USER, 1);
    holds(free);
}

static void all_of(const struct bootmap *map)
{
    struct bootmap_totals t = bootmap_totals(map);
    size_t bytes = (pmm_metadata_bytes(map) + 63) & ~(size_t)63;
    void *metadata = aligned_alloc(64, bytes);
    memset(metadata, 0x5a, bytes);
    enum mem_err err = pmm_init(&pmm, map, metadata, bytes);
    assert_int_equal(err, t.usable_frames ? MEM_OK : MEM_NO_FRAME);
    if (!err) {
        uint64_t free = t.owned_frames[OWNER_NONE];
        if (free <= SINGLES_AT_MOST)
            one_by_one(map, free);
        blocks_and_the_rest(map, free);
    }
    free(metadata);
}

static void one_limit(const struct blob *blob, const struct boot_info *info, uint64_t limit)
{
    size_t room = 2 * ((size_t)info->mmap.count + info->efi_map.count + info->module_count) + 16;
    struct boot_range *ranges = calloc(room, sizeof *ranges);
    struct bootmap map;
    assert_int_equal(bootmap_init(&map, ranges, room, limit), MEM_OK);
    assert_int_equal(bootmap_from_multiboot2(&map, blob->bytes, info), MEM_OK);
    all_of(&map);
    free(ranges);
}

static void one_map(const char *path)
{
    FILE *file = fopen(path, "rb");
    static uint8_t text[1 << 20];
    size_t size = fread(text, 1, sizeof text, file);
    fclose(file);
    struct blob blob;
    assert_true(input_to_blob(path, text, size, &blob));
    struct boot_info info;
    size_t where;
    if (!multiboot2_parse(MULTIBOOT2_MAGIC, blob.bytes, blob.size, &info, &where)) {
        one_limit(&blob, &info, FOUR_GIB);
        if (sizeof(vword_t) == 8)
            one_limit(&blob, &info, 0);
    }
    free(blob.bytes);
}

static void every_stored_map(void **state)
{
    (void)state;
    DIR *maps = opendir("tests/data/maps");
    assert_non_null(maps);
    unsigned seen = 0;
    for (struct dirent *e; (e = readdir(maps)); seen++) {
        char path[512];
        snprintf(path, sizeof path, "tests/data/maps/%s", e->d_name);
        if (strstr(path, ".map") || strstr(path, ".bin"))
            one_map(path);
    }
    closedir(maps);
    assert_true(seen >= MAPS_AT_LEAST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_stored_map)};
    return cmocka_run_group_tests_name("pmm maps", tests, NULL, NULL);
}
