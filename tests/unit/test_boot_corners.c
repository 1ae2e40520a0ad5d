/* SPDX-License-Identifier: MIT */
/*
 * test_boot_corners.c - from the loader's bytes to the boot map: tags that are odd and allowed, and
 * arrays that are too small. What the map does by itself is in test_bootmap_corners.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <mem/bootmap.h>
#include <multiboot2.h>

enum { PAGE = 4096, ROOM = 32, MIB = 1 << 20 };

/* ---- a blob, tag by tag --------------------------------------------------------------------- */

static uint8_t blob[1024] __attribute__((aligned(8)));
static uint32_t used;

static void put32(uint32_t at, uint32_t v)
{
    memcpy(blob + at, &v, 4);
}

static void put64(uint32_t at, uint64_t v)
{
    memcpy(blob + at, &v, 8);
}

static void begin(void)
{
    memset(blob, 0, sizeof blob);
    used = 8;
}

/* An empty tag of so many bytes; returns where it lies. */
static uint32_t tag(uint32_t type, uint32_t bytes)
{
    uint32_t at = used;
    put32(at, type);
    put32(at + 4, bytes);
    used += (bytes + 7) & ~7u;
    put32(0, used);
    return at;
}

static uint32_t table_tag(uint32_t type, uint32_t stride, uint32_t entries)
{
    uint32_t at = tag(type, 16 + stride * entries);
    put32(at + 8, stride);
    return at;
}

static void module(uint32_t start, uint32_t end)
{
    uint32_t at = tag(3, 17);
    put32(at + 8, start);
    put32(at + 12, end);
}

static uint32_t framebuffer(uint64_t address)
{
    uint32_t at = tag(8, 32);
    put64(at + 8, address);
    put32(at + 16, PAGE); /* pitch, width, height */
    put32(at + 20, 80);
    put32(at + 24, 1);
    blob[at + 29] = 2;
    return at;
}

static enum multiboot2_err parse(struct boot_info *info)
{
    return multiboot2_parse(MULTIBOOT2_MAGIC, blob, sizeof blob, info, NULL);
}

static void entry(uint32_t at, uint64_t start, uint64_t length, uint32_t type)
{
    put64(at, start);
    put64(at + 8, length);
    put32(at + 16, type);
}

static int set_up(void **state)
{
    (void)state;
    begin();
    return 0;
}

/* ---- the parser ----------------------------------------------------------------------------- */

static void boot_services_may_be_running(void **state)
{
    (void)state;
    struct boot_info info;
    table_tag(6, 24, 0);
    tag(18, 8);
    tag(0, 8);
    assert_int_equal(parse(&info), MB2_OK);
    assert_true(info.efi_boot_services);
    blob[24] = 19;
    assert_int_equal(parse(&info), MB2_OK);
    assert_false(info.efi_boot_services);
}

static void the_first_framebuffer_counts(void **state)
{
    (void)state;
    struct boot_info info;
    table_tag(6, 24, 0);
    framebuffer(0xa0000);
    framebuffer(0xb0000);
    tag(0, 8);
    assert_int_equal(parse(&info), MB2_OK);
    assert_true(info.framebuffer.address == 0xa0000);
}

static enum multiboot2_err framebuffer_with(uint32_t offset, uint64_t value, unsigned bytes)
{
    struct boot_info info;
    begin();
    table_tag(6, 24, 0);
    uint32_t at = tag(8, 38);
    put64(at + 8, 0xa0000);
    put32(at + 16, 4096);
    put32(at + 20, 1024);
    put32(at + 24, 768);
    blob[at + 28] = 32;
    blob[at + 29] = 1;
    memcpy(blob + at + 32, "\x10\x08\x09\x07\x01\x06", 6);
    memcpy(blob + at + offset, &value, bytes);
    tag(0, 8);
    enum multiboot2_err err = multiboot2_parse(MULTIBOOT2_MAGIC, blob, sizeof blob, &info, NULL);
    if (!offset)
        assert_memory_equal(&info.framebuffer.red_shift, "\x10\x08\x09\x07\x01\x06", 6);
    return err;
}

/* The last good and the first bad value of each field. */
static void the_limits_of_a_framebuffer(void **state)
{
    (void)state;
    static const struct {
        uint32_t offset;
        unsigned bytes;
        uint64_t good, bad;
    } fields[] = {
        {8, 8, UINT64_MAX - UINT32_MAX, UINT64_MAX - UINT32_MAX + 1},
        {16, 4, 4096, 4095},                 /* pitch: 1024 pixels of 4 bytes */
        {20, 4, 1024, 1025},                 /* width */
        {24, 4, UINT32_MAX / 4096, 1 << 20}, /* height: 4 GiB in all */
        {28, 1, 32, 33},                     /* bits a pixel: 33 are 5 bytes */
        {29, 1, 2, 3},                       /* kind */
        {32, 1, 31, 32},
        {34, 1, 31, 32},
        {36, 1, 31, 32},
    };
    assert_int_equal(framebuffer_with(0, 8, 4), MB2_OK);
    for (unsigned i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        assert_int_equal(framebuffer_with(fields[i].offset, fields[i].good, fields[i].bytes),
                         MB2_OK);
        assert_int_equal(framebuffer_with(fields[i].offset, fields[i].bad, fields[i].bytes),
                         MB2_BAD_FRAMEBUFFER);
    }
    assert_int_equal(framebuffer_with(28, 25, 1), MB2_OK); /* 25 bits are 4 bytes */
}

static void a_command_line_that_just_fits(void **state)
{
    (void)state;
    struct boot_info info;
    for (uint32_t length = BOOT_CMDLINE_MAX - 2; length <= BOOT_CMDLINE_MAX; length++) {
        begin();
        uint32_t at = tag(1, 8 + length + 1);
        memset(blob + at + 8, 'x', length);
        table_tag(6, 24, 0);
        tag(0, 8);
        assert_int_equal(parse(&info), MB2_OK);
        assert_int_equal(info.cmdline_cut, length > BOOT_CMDLINE_MAX - 1);
        assert_int_equal(strlen(info.cmdline),
                         length < BOOT_CMDLINE_MAX ? length : BOOT_CMDLINE_MAX - 1);
    }
}

/* The tag fits, its padding does not: nothing can come after it, so the end tag is not there. */
static void a_tag_without_its_padding(void **state)
{
    (void)state;
    struct boot_info info;
    size_t where;
    static const uint8_t far[] = {24, 0, 0, 0, 0, 0, 0, 0, 99, 0, 0, 0, 16, 0, 0, 0};
    memcpy(blob, far, sizeof far);
    assert_int_equal(multiboot2_parse(MULTIBOOT2_MAGIC, blob, 24, &info, &where), MB2_NO_END_TAG);
    assert_int_equal(where, 24);
    blob[12] = 17;
    assert_int_equal(multiboot2_parse(MULTIBOOT2_MAGIC, blob, 24, &info, &where), MB2_TAG_PAST_END);
    assert_int_equal(where, 8);
}

static void pages_that_are_no_bytes(void **state)
{
    (void)state;
    struct boot_info info;
    uint32_t at = table_tag(17, 40, 2) + 16;
    tag(0, 8);
    put64(at + 24, UINT64_MAX >> 12);
    put64(at + 40 + 24, (UINT64_MAX >> 12) + 1);
    assert_int_equal(parse(&info), MB2_OK);
    assert_true(multiboot2_efi_entry(blob, &info, 0).length == UINT64_MAX - (PAGE - 1));
    assert_true(multiboot2_efi_entry(blob, &info, 1).length == UINT64_MAX);
}

/* The kernel asks for modules in a blob that was found good; in another one, the search ends. */
static void modules_end_where_the_tags_do(void **state)
{
    (void)state;
    struct boot_info info;
    struct boot_module m;
    table_tag(6, 24, 0);
    module(1 * MIB, 2 * MIB);
    module(3 * MIB, 4 * MIB);
    uint32_t end = tag(0, 8);
    assert_int_equal(parse(&info), MB2_OK);
    assert_int_equal(info.module_count, 2);
    assert_true(multiboot2_module(blob, &info, 1, &m) && m.start == 3 * MIB);
    assert_string_equal((const char *)blob + m.name_offset, "");
    assert_false(multiboot2_module(blob, &info, 2, &m));
    put32(end + 4, 9);
    assert_false(multiboot2_module(blob, &info, 2, &m));
}

static void numbers_that_are_no_names(void **state)
{
    (void)state;
    assert_string_equal(multiboot2_err_name(MB2_ERR_COUNT), "MB2_ERR_UNKNOWN");
    assert_string_equal(multiboot2_err_text(MB2_ERR_COUNT), "unknown error");
    assert_string_equal(mem_err_name(MEM_OK), "MEM_OK");
    assert_string_equal(mem_err_name(MEM_UNSUPPORTED), "MEM_UNSUPPORTED");
    assert_string_equal(mem_err_name(MEM_ERR_COUNT), "MEM_ERR_UNKNOWN");
    assert_string_equal(frame_owner_name(OWNER_NONE), "free");
    assert_string_equal(frame_owner_name(OWNER_TEST), "self-test");
    assert_string_equal(frame_owner_name(OWNER_COUNT), "unknown owner");
    assert_int_equal(range_kind_of_e820(12), RANGE_PMEM);
    assert_int_equal(range_kind_of_e820(11), RANGE_UNKNOWN);
    assert_string_equal(range_kind_name(RANGE_BAD), "bad");
    assert_string_equal(range_kind_name(RANGE_KIND_COUNT), "unknown");
    for (unsigned e = 0; e < MEM_ERR_COUNT; e++)
        assert_memory_equal(mem_err_name((enum mem_err)e), e ? "MEM_" : "MEM_OK", 4);
    for (unsigned o = 0; o < OWNER_COUNT; o++) {
        if (o != OWNER_RESERVED_END)
            assert_non_null(frame_owner_name((enum frame_owner)o));
    }
}

/* ---- the boot map from it ------------------------------------------------------------------- */

static struct boot_range array[ROOM];
static struct bootmap map;

/* Two maps, two modules, a framebuffer in RAM: so many steps can run out of room. */
static void everything(struct boot_info *info)
{
    uint32_t mmap = table_tag(6, 24, 2) + 16, efi = table_tag(17, 40, 1) + 16;
    entry(mmap, 0, 16 * MIB, 1);
    entry(mmap + 24, 32 * MIB, 16 * MIB, 1);
    put32(efi, 7);
    put64(efi + 8, 64 * MIB);
    put64(efi + 24, 16 * MIB / PAGE);
    module(2 * MIB, 2 * MIB + 5);
    module(4 * MIB, 4 * MIB + 5);
    framebuffer(8 * MIB);
    tag(0, 8);
    assert_int_equal(parse(info), MB2_OK);
}

static void every_step_may_run_out_of_room(void **state)
{
    (void)state;
    struct boot_info info;
    everything(&info);
    size_t capacity = 1;
    for (enum mem_err err = MEM_FULL; err; capacity++) {
        assert_int_equal(bootmap_init(&map, array, capacity, 0), MEM_OK);
        err = bootmap_from_multiboot2(&map, blob, &info);
        assert_true(err == (capacity < 10 ? MEM_FULL : MEM_OK));
        assert_true(map.count <= capacity && map.finished == (capacity >= 6));
    }
    const char *broken;
    assert_true(bootmap_holds(&map, &broken));
    assert_true(map.ranges[0].owner == OWNER_LOW && map.ranges[0].last == MIB - 1);
    assert_int_equal(bootmap_totals(&map).owned_frames[OWNER_MODULE], 2);
    assert_int_equal(bootmap_totals(&map).owned_frames[OWNER_FRAMEBUFFER], 1);
}

/* One entry makes two events and then one range: not even low memory can be told apart. */
static void no_room_to_split_the_only_range(void **state)
{
    (void)state;
    struct boot_info info;
    entry(table_tag(6, 24, 1) + 16, 0, 16 * MIB, 1);
    tag(0, 8);
    assert_int_equal(parse(&info), MB2_OK);
    assert_int_equal(bootmap_init(&map, array, 2, 0), MEM_OK);
    assert_int_equal(bootmap_from_multiboot2(&map, blob, &info), MEM_FULL);
    assert_true(map.finished && map.count == 1);
}

static void a_map_is_filled_once(void **state)
{
    (void)state;
    struct boot_info info;
    table_tag(6, 24, 0);
    tag(0, 8);
    assert_int_equal(parse(&info), MB2_OK);
    assert_int_equal(bootmap_init(&map, array, ROOM, 0), MEM_OK);
    assert_int_equal(bootmap_from_multiboot2(&map, blob, &info), MEM_OK);
    assert_int_equal(bootmap_from_multiboot2(&map, blob, &info), MEM_ALREADY_INIT);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(boot_services_may_be_running),
        TEST(the_first_framebuffer_counts),
        TEST(the_limits_of_a_framebuffer),
        TEST(a_command_line_that_just_fits),
        TEST(a_tag_without_its_padding),
        TEST(pages_that_are_no_bytes),
        TEST(modules_end_where_the_tags_do),
        TEST(numbers_that_are_no_names),
        TEST(every_step_may_run_out_of_room),
        TEST(no_room_to_split_the_only_range),
        TEST(a_map_is_filled_once),
    };
    return cmocka_run_group_tests_name("boot corners", tests, NULL, NULL);
}
