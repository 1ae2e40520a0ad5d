/* SPDX-License-Identifier: MIT */
/*
 * pmm_map.h - a frame allocator on a map that the test writes down, range by range. For the tests
 * of the frame allocator; each has its own.
 */
#ifndef PMM_MAP_H
#define PMM_MAP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <mem/pmm_cache.h>

enum { PAGE = 4096, RANGES = 2100 };

static struct boot_range ranges[RANGES];
static struct bootmap map;
static struct pmm pmm;
static uint64_t metadata[1 << 16] __attribute__((aligned(64)));

static int set_up(void **state)
{
    (void)state;
    memset(metadata, 0xa7, sizeof metadata); /* not zero: pmm_init must not count on it */
    map = (struct bootmap){.ranges = ranges, .capacity = RANGES, .finished = true};
    return 0;
}

static void add(uint64_t frame, uint64_t frames, enum range_kind kind, enum frame_owner owner)
{
    ranges[map.count++] =
        (struct boot_range){frame * PAGE, (frame + frames) * PAGE - 1, kind, owner};
}

static void start(void)
{
    size_t need = pmm_metadata_bytes(&map);
    assert_true(need <= sizeof metadata);
    assert_int_equal(pmm_init(&pmm, &map, metadata, need), MEM_OK);
}

static void holds(void)
{
    const char *broken;
    if (!pmm_holds(&pmm, &broken))
        fail_msg("%s", broken);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

#endif
