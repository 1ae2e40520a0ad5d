/* SPDX-License-Identifier: MIT */
/*
 * test_multiboot2.c - what a loader may pass, and every way in which it can be wrong.
 *
 * Each malformed class is one edit of a good blob, with the exact error. The blob lies at the very
 * end of an allocation of its own size, so that ASan sees any read past it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <multiboot2.h>

/* A good blob:  0 header | 8 cmdline | 24 loader | 40 module | 64 mmap (2) | 128 efi (1) |
 *               184 framebuffer | 224 rsdp | 240 unknown | 256 end                        */
enum {
    CMDLINE = 8,
    LOADER = 24,
    MODULE = 40,
    MMAP = 64,
    EFI = 128,
    FRAMEBUFFER = 184,
    RSDP = 224,
    UNKNOWN = 240,
    END = 256,
    TOTAL = 264,
};

static uint8_t good[TOTAL] __attribute__((aligned(8)));

static void put32(uint8_t *blob, size_t at, uint32_t v)
{
    memcpy(blob + at, &v, 4);
}

static void put64(uint8_t *blob, size_t at, uint64_t v)
{
    memcpy(blob + at, &v, 8);
}

static void tag(size_t at, uint32_t type, uint32_t size)
{
    put32(good, at, type);
    put32(good, at + 4, size);
}

static int build(void **state)
{
    (void)state;
    memset(good, 0, sizeof good);
    put32(good, 0, TOTAL);
    tag(CMDLINE, 1, 13);
    memcpy(good + CMDLINE + 8, "quie", 5);
    tag(LOADER, 2, 13);
    memcpy(good + LOADER + 8, "GRUB", 5);
    tag(MODULE, 3, 19);
    put32(good, MODULE + 8, 0x200000);
    put32(good, MODULE + 12, 0x201000);
    memcpy(good + MODULE + 16, "md", 3);
    tag(MMAP, 6, 64);
    put32(good, MMAP + 8, 24);
    put64(good, MMAP + 16, 0x100000);
    put64(good, MMAP + 24, 0x700000);
    put32(good, MMAP + 32, 1);
    put64(good, MMAP + 40, 0x800000);
    put64(good, MMAP + 48, 0x1000);
    put32(good, MMAP + 56, 2);
    tag(EFI, 17, 56);
    put32(good, EFI + 8, 40);
    put32(good, EFI + 16, 7);
    put64(good, EFI + 24, 0x100000);
    put64(good, EFI + 40, 0x700);
    tag(FRAMEBUFFER, 8, 38);
    put64(good, FRAMEBUFFER + 8, 0x80000000u);
    put32(good, FRAMEBUFFER + 16, 4096);
    put32(good, FRAMEBUFFER + 20, 1024);
    put32(good, FRAMEBUFFER + 24, 768);
    good[FRAMEBUFFER + 28] = 32;
    good[FRAMEBUFFER + 29] = 1;
    memcpy(good + FRAMEBUFFER + 32, "\x10\x08\x08\x08\x00\x08", 6);
    tag(RSDP, 14, 16);
    tag(UNKNOWN, 0x7fff, 16);
    tag(END, 0, 8);
    return 0;
}

static enum multiboot2_err parse(const uint8_t *bytes, size_t size, struct boot_info *out,
                                 size_t *where)
{
    uint8_t *copy = malloc(size ? size : 1);
    memcpy(copy, bytes, size);
    enum multiboot2_err err = multiboot2_parse(MULTIBOOT2_MAGIC, copy, size, out, where);
    free(copy);
    return err;
}

static void a_good_blob(void **state)
{
    (void)state;
    struct boot_info info;
    struct boot_module m;
    assert_int_equal(parse(good, TOTAL, &info, NULL), MB2_OK);
    assert_string_equal(info.cmdline, "quie");
    assert_string_equal(info.loader, "GRUB");
    assert_int_equal(info.mmap.count, 2);
    assert_int_equal(info.efi_map.count, 1);
    assert_int_equal(info.module_count, 1);
    assert_int_equal(info.framebuffer.kind, FB_RGB);
    assert_int_equal(info.rsdp_offset, RSDP + 8);
    struct boot_range_raw r = multiboot2_mmap_entry(good, &info, 1);
    assert_true(r.start == 0x800000 && r.length == 0x1000 && r.type == 2 && !r.efi);
    r = multiboot2_efi_entry(good, &info, 0);
    assert_true(r.start == 0x100000 && r.length == 0x700000 && r.type == 7 && r.efi);
    assert_true(multiboot2_module(good, &info, 0, &m));
    assert_true(m.start == 0x200000 && m.end == 0x201000);
    assert_string_equal((char *)good + m.name_offset, "md");
    assert_false(multiboot2_module(good, &info, 1, &m));
}

/* One edit: `bytes` bytes (1, 4 or 8) of `value` at `at`. */
static const struct {
    const char *name;
    size_t at;
    unsigned bytes;
    uint64_t value;
    enum multiboot2_err expected;
    size_t where;
} edits[] = {
    {"total size 0", 0, 4, 0, MB2_TOO_SHORT, 0},
    {"total size 7", 0, 4, 7, MB2_TOO_SHORT, 0},
    {"total size 8", 0, 4, 8, MB2_TOO_SHORT, 0},
    {"total size 15", 0, 4, 15, MB2_TOO_SHORT, 0},
    {"total size not a multiple of 8", 0, 4, TOTAL - 4, MB2_BAD_TOTAL_SIZE, 0},
    {"total size one more than a multiple", 0, 4, TOTAL - 7, MB2_BAD_TOTAL_SIZE, 0},
    {"total size more than there is", 0, 4, TOTAL + 8, MB2_TOO_LONG, 0},
    {"total size all ones", 0, 4, 0xffffffff, MB2_TOO_LONG, 0},
    {"total size 0x80000000", 0, 4, 0x80000000, MB2_TOO_LONG, 0},
    {"total size ends before the end tag", 0, 4, END, MB2_NO_END_TAG, END},
    {"total size cuts a tag", 0, 4, MMAP + 16, MB2_TAG_PAST_END, MMAP},
    {"total size cuts the last tag", 0, 4, UNKNOWN + 8, MB2_TAG_PAST_END, UNKNOWN},
    {"first tag of size 0", CMDLINE + 4, 4, 0, MB2_TAG_TOO_SMALL, CMDLINE},
    {"first tag of size 1", CMDLINE + 4, 4, 1, MB2_TAG_TOO_SMALL, CMDLINE},
    {"first tag of size 7", CMDLINE + 4, 4, 7, MB2_TAG_TOO_SMALL, CMDLINE},
    {"first tag of size all ones", CMDLINE + 4, 4, 0xffffffff, MB2_TAG_PAST_END, CMDLINE},
    {"first tag wraps when padded", CMDLINE + 4, 4, 0xfffffff9, MB2_TAG_PAST_END, CMDLINE},
    {"first tag one byte too long", CMDLINE + 4, 4, TOTAL - CMDLINE + 1, MB2_TAG_PAST_END, CMDLINE},
    {"unknown tag of size 0", UNKNOWN + 4, 4, 0, MB2_TAG_TOO_SMALL, UNKNOWN},
    {"unknown tag past the end", UNKNOWN + 4, 4, 100, MB2_TAG_PAST_END, UNKNOWN},
    {"unknown tag swallows the end tag", UNKNOWN + 4, 4, 24, MB2_NO_END_TAG, TOTAL},
    {"end tag of size 0", END + 4, 4, 0, MB2_BAD_END_TAG, END},
    {"end tag of size 7", END + 4, 4, 7, MB2_BAD_END_TAG, END},
    {"end tag of size 16", END + 4, 4, 16, MB2_BAD_END_TAG, END},
    {"end tag all ones", END + 4, 4, 0xffffffff, MB2_BAD_END_TAG, END},
    {"end tag is another tag", END, 4, 0x55, MB2_NO_END_TAG, TOTAL},
    {"an early end tag of odd size", LOADER, 4, 0, MB2_BAD_END_TAG, LOADER},
    {"cmdline without its zero", CMDLINE + 12, 1, 'x', MB2_BAD_STRING, CMDLINE},
    {"cmdline with no byte of text", CMDLINE + 4, 4, 8, MB2_BAD_STRING, CMDLINE},
    {"loader name without its zero", LOADER + 12, 1, 'x', MB2_BAD_STRING, LOADER},
    {"module tag without a name", MODULE + 4, 4, 16, MB2_TAG_TOO_SMALL, MODULE},
    {"module tag without an end", MODULE + 4, 4, 12, MB2_TAG_TOO_SMALL, MODULE},
    {"module tag with nothing", MODULE + 4, 4, 8, MB2_TAG_TOO_SMALL, MODULE},
    {"module name without its zero", MODULE + 18, 1, 'x', MB2_BAD_MODULE, MODULE},
    {"module ends before it starts", MODULE + 12, 4, 0x1fffff, MB2_BAD_MODULE, MODULE},
    {"module ends at 0", MODULE + 12, 4, 0, MB2_BAD_MODULE, MODULE},
    {"mmap tag with no entry size", MMAP + 4, 4, 8, MB2_TAG_TOO_SMALL, MMAP},
    {"mmap tag of 15 bytes", MMAP + 4, 4, 15, MB2_TAG_TOO_SMALL, MMAP},
    {"mmap entry size 0", MMAP + 8, 4, 0, MB2_BAD_ENTRY_SIZE, MMAP},
    {"mmap entry size 1", MMAP + 8, 4, 1, MB2_BAD_ENTRY_SIZE, MMAP},
    {"mmap entry size 16", MMAP + 8, 4, 16, MB2_BAD_ENTRY_SIZE, MMAP},
    {"mmap entry size 20", MMAP + 8, 4, 20, MB2_BAD_ENTRY_SIZE, MMAP},
    {"mmap entry size 23", MMAP + 8, 4, 23, MB2_BAD_ENTRY_SIZE, MMAP},
    {"mmap entry size 25", MMAP + 8, 4, 25, MB2_BAD_ENTRY_SIZE, MMAP},
    {"mmap entry size 32 does not divide", MMAP + 8, 4, 32, MB2_BAD_ENTRY_SIZE, MMAP},
    {"mmap entry size longer than the tag", MMAP + 8, 4, 4096, MB2_BAD_ENTRY_SIZE, MMAP},
    {"mmap entry size 0xfffffff0", MMAP + 8, 4, 0xfffffff0, MB2_BAD_ENTRY_SIZE, MMAP},
    {"mmap entry size 0xfffffff8", MMAP + 8, 4, 0xfffffff8, MB2_BAD_ENTRY_SIZE, MMAP},
    {"mmap entry size all ones", MMAP + 8, 4, 0xffffffff, MB2_BAD_ENTRY_SIZE, MMAP},
    {"mmap tag cut inside an entry", MMAP + 4, 4, 60, MB2_BAD_ENTRY_SIZE, MMAP},
    {"a second mmap tag", UNKNOWN, 4, 6, MB2_DUPLICATE_MMAP, UNKNOWN},
    {"efi tag of 15 bytes", EFI + 4, 4, 15, MB2_TAG_TOO_SMALL, EFI},
    {"efi descriptor size 0", EFI + 8, 4, 0, MB2_BAD_DESCR_SIZE, EFI},
    {"efi descriptor size 8", EFI + 8, 4, 8, MB2_BAD_DESCR_SIZE, EFI},
    {"efi descriptor size 39", EFI + 8, 4, 39, MB2_BAD_DESCR_SIZE, EFI},
    {"efi descriptor size 44", EFI + 8, 4, 44, MB2_BAD_DESCR_SIZE, EFI},
    {"efi descriptor size 48 does not divide", EFI + 8, 4, 48, MB2_BAD_DESCR_SIZE, EFI},
    {"efi descriptor size all ones", EFI + 8, 4, 0xffffffff, MB2_BAD_DESCR_SIZE, EFI},
    {"a second efi tag", UNKNOWN, 4, 17, MB2_DUPLICATE_EFI_MAP, UNKNOWN},
    {"framebuffer tag of 31 bytes", FRAMEBUFFER + 4, 4, 31, MB2_TAG_TOO_SMALL, FRAMEBUFFER},
    {"framebuffer RGB tag without colours", FRAMEBUFFER + 4, 4, 37, MB2_TAG_TOO_SMALL, FRAMEBUFFER},
    {"framebuffer of unknown type", FRAMEBUFFER + 29, 1, 3, MB2_BAD_FRAMEBUFFER, FRAMEBUFFER},
    {"framebuffer of width 0", FRAMEBUFFER + 20, 4, 0, MB2_BAD_FRAMEBUFFER, FRAMEBUFFER},
    {"framebuffer of height 0", FRAMEBUFFER + 24, 4, 0, MB2_BAD_FRAMEBUFFER, FRAMEBUFFER},
    {"framebuffer of pitch 0", FRAMEBUFFER + 16, 4, 0, MB2_BAD_FRAMEBUFFER, FRAMEBUFFER},
    {"framebuffer line longer than pitch", FRAMEBUFFER + 20, 4, 1025, MB2_BAD_FRAMEBUFFER,
     FRAMEBUFFER},
    {"framebuffer size overflows", FRAMEBUFFER + 24, 4, 0xffffffff, MB2_BAD_FRAMEBUFFER,
     FRAMEBUFFER},
    {"framebuffer address wraps", FRAMEBUFFER + 8, 8, ~0ull, MB2_BAD_FRAMEBUFFER, FRAMEBUFFER},
    {"framebuffer red beyond the pixel", FRAMEBUFFER + 32, 1, 32, MB2_BAD_FRAMEBUFFER, FRAMEBUFFER},
};

static void every_malformed_class_has_its_name(void **state)
{
    (void)state;
    static const struct boot_info zeroed;
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        uint8_t blob[TOTAL];
        struct boot_info info;
        size_t where = 12345;
        memcpy(blob, good, TOTAL);
        memcpy(blob + edits[i].at, &edits[i].value, edits[i].bytes);
        enum multiboot2_err err = parse(blob, TOTAL, &info, &where);
        if (err != edits[i].expected || where != edits[i].where)
            fail_msg("%s: %s at %zu", edits[i].name, multiboot2_err_name(err), where);
        assert_memory_equal(&info, &zeroed, sizeof info);
    }
    assert_true(sizeof edits / sizeof *edits >= 60);
}

static void what_surrounds_the_blob(void **state)
{
    (void)state;
    struct boot_info info;
    size_t where;
    assert_int_equal(multiboot2_parse(0x2badb002, good, TOTAL, &info, &where), MB2_BAD_MAGIC);
    assert_int_equal(multiboot2_parse(MULTIBOOT2_MAGIC, good + 4, TOTAL - 4, &info, &where),
                     MB2_MISALIGNED);
    for (size_t bytes = 0; bytes < TOTAL; bytes++) {
        enum multiboot2_err err = parse(good, bytes, &info, &where);
        assert_int_equal(err, bytes < 8 ? MB2_TOO_SHORT : MB2_TOO_LONG);
    }
}

/* 65537 * 65535 is 2^32 - 1: the largest that a 32-bit number names. */
static void the_largest_framebuffer(void **state)
{
    (void)state;
    struct boot_info info;
    put32(good, FRAMEBUFFER + 16, 65537);
    put32(good, FRAMEBUFFER + 24, 65535);
    assert_int_equal(parse(good, TOTAL, &info, NULL), MB2_OK);
    put32(good, FRAMEBUFFER + 24, 65536);
    assert_int_equal(parse(good, TOTAL, &info, NULL), MB2_BAD_FRAMEBUFFER);
}

static void no_map_at_all(void **state)
{
    (void)state;
    struct boot_info info;
    good[MMAP] = 0x70;
    assert_int_equal(parse(good, TOTAL, &info, NULL), MB2_OK); /* the EFI map is one */
    good[EFI] = 0x70;
    assert_int_equal(parse(good, TOTAL, &info, NULL), MB2_NO_MEMORY_MAP);
}

static void an_empty_map_is_a_map(void **state)
{
    (void)state;
    struct boot_info info;
    uint8_t blob[40] = {0};
    put32(blob, 0, 32);
    put32(blob, 8, 6);
    put32(blob, 12, 16);
    put32(blob, 16, 24);
    put32(blob, 28, 8);
    assert_int_equal(parse(blob, 32, &info, NULL), MB2_OK);
    assert_int_equal(info.mmap.count, 0);
}

/* multiboot2_parse does not let it through; the call by index does not rely on that. */
static void a_module_tag_without_room_is_passed_over(void **state)
{
    (void)state;
    struct boot_info info;
    struct boot_module m;
    assert_int_equal(parse(good, TOTAL, &info, NULL), MB2_OK);
    put32(good, MODULE + 4, 16);
    assert_false(multiboot2_module(good, &info, 0, &m));
}

static void a_module_of_no_bytes(void **state)
{
    (void)state;
    struct boot_info info;
    put32(good, MODULE + 8, 0);
    put32(good, MODULE + 12, 0);
    assert_int_equal(parse(good, TOTAL, &info, NULL), MB2_OK);
    assert_int_equal(info.module_count, 1);
}

static void a_long_command_line_is_cut(void **state)
{
    (void)state;
    struct boot_info info;
    static uint8_t blob[1024];
    put32(blob, 0, 8 + 608 + 16 + 8);
    put32(blob, 8, 1);
    put32(blob, 12, 608);
    memset(blob + 16, 'x', 599);
    put32(blob, 616, 6);
    put32(blob, 620, 16);
    put32(blob, 624, 24);
    put32(blob, 636, 8);
    assert_int_equal(parse(blob, 640, &info, NULL), MB2_OK);
    assert_true(info.cmdline_cut);
    assert_int_equal(strlen(info.cmdline), BOOT_CMDLINE_MAX - 1);
}

/* Any one byte changed to anything: an answer, and no read outside (ASan). */
static void any_single_byte(void **state)
{
    (void)state;
    static const uint8_t values[] = {0, 1, 7, 8, 15, 16, 0x7f, 0x80, 0xf0, 0xf8, 0xff};
    struct boot_info info;
    size_t where;
    for (size_t at = 0; at < TOTAL; at++) {
        for (size_t v = 0; v < sizeof values; v++) {
            uint8_t blob[TOTAL];
            memcpy(blob, good, TOTAL);
            blob[at] = values[v];
            if (parse(blob, TOTAL, &info, &where) != MB2_OK)
                assert_true(where <= TOTAL);
        }
    }
}

static void every_error_has_a_name_and_a_sentence(void **state)
{
    (void)state;
    for (unsigned e = 0; e < MB2_ERR_COUNT; e++) {
        assert_non_null(multiboot2_err_name((enum multiboot2_err)e));
        assert_true(strlen(multiboot2_err_text((enum multiboot2_err)e)) > 10);
    }
}

#define TEST(name) cmocka_unit_test_setup(name, build)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_good_blob),
        TEST(every_malformed_class_has_its_name),
        TEST(what_surrounds_the_blob),
        TEST(the_largest_framebuffer),
        TEST(no_map_at_all),
        TEST(an_empty_map_is_a_map),
        TEST(a_module_of_no_bytes),
        TEST(a_module_tag_without_room_is_passed_over),
        TEST(a_long_command_line_is_cut),
        TEST(any_single_byte),
        TEST(every_error_has_a_name_and_a_sentence),
    };
    return cmocka_run_group_tests_name("multiboot2", tests, NULL, NULL);
}
