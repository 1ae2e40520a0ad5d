/* SPDX-License-Identifier: MIT */
/*
 * fuzz_multiboot2.c - any bytes as boot information: an answer, no read outside, no lie.
 *
 * The input is the blob. libFuzzer gives it in an allocation of just its size, so ASan sees a read
 * one byte past it. The parser ignores the second word of the header; here its lowest bit set asks
 * for a total_size that fits the input, so that a tag cut out or put in is not hidden behind
 * MB2_TOO_LONG. Everything that a good answer points to is then read, as the kernel would.
 */
#include <multiboot2.h>

#include "fuzz.h"

static void check_table(const struct boot_info *info, const struct boot_table *table,
                        uint32_t least)
{
    CLAIM(table->stride >= least || !table->offset, "stride %u", table->stride);
    CLAIM((uint64_t)table->offset + (uint64_t)table->count * table->stride <= info->total_size,
          "%u entries of %u at %u", table->count, table->stride, table->offset);
}

/* Adds up all entries: only to read each of their bytes. */
static uint64_t read_maps(const uint8_t *blob, const struct boot_info *info)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < info->mmap.count; i++) {
        struct boot_range_raw r = multiboot2_mmap_entry(blob, info, i);
        sum += r.start ^ r.length ^ r.type;
    }
    for (uint32_t i = 0; i < info->efi_map.count; i++) {
        struct boot_range_raw r = multiboot2_efi_entry(blob, info, i);
        CLAIM(r.efi && (r.length % 4096 == 0 || r.length == UINT64_MAX), "length not in pages");
        sum += r.start ^ r.length ^ r.type;
    }
    return sum;
}

static void check_modules(const uint8_t *blob, const struct boot_info *info)
{
    struct boot_module m;
    for (uint32_t i = 0; i < info->module_count; i++) {
        CLAIM(multiboot2_module(blob, info, i, &m), "module %u of %u", i, info->module_count);
        CLAIM(m.start <= m.end && m.name_offset < info->total_size, "module %u", i);
        CLAIM(memchr(blob + m.name_offset, 0, info->total_size - m.name_offset), "endless name");
    }
    CLAIM(!multiboot2_module(blob, info, info->module_count, &m), "one module too many");
}

static void check_framebuffer(const struct boot_framebuffer *fb)
{
    if (fb->kind == FB_NONE)
        return;
    CLAIM(fb->pitch && fb->width && fb->height, "empty");
    CLAIM(fb->address + (uint64_t)fb->pitch * fb->height > fb->address, "wraps");
    CLAIM(fb->kind != FB_RGB || (uint64_t)fb->width * fb->bits_per_pixel <= 8 * (uint64_t)fb->pitch,
          "a line of %u pixels is longer than %u bytes", fb->width, fb->pitch);
}

/* The least that a tag may be (Multiboot2 3.6), read once more from the blob. */
static void check_sizes(const uint8_t *blob, uint32_t total)
{
    static const uint8_t least[] = {[1] = 9, [2] = 9, [3] = 17, [6] = 16, [8] = 32, [17] = 16};
    uint32_t type, size;
    for (uint32_t at = 8;; at += (size + 7) & ~7u) {
        memcpy(&type, blob + at, 4);
        memcpy(&size, blob + at + 4, 4);
        if (!type)
            break;
        bool rgb = type == 8 && size >= 32 && blob[at + 29] == 1;
        CLAIM(size >= (type < sizeof least ? least[type] : 8), "tag %u of %u bytes", type, size);
        CLAIM(!rgb || size >= 38, "RGB in %u bytes", size);
        CLAIM(size <= total - at, "tag %u of %u bytes at %u", type, size, at);
    }
}

static void check_answer(const uint8_t *blob, const struct boot_info *info, size_t bytes)
{
    CLAIM(info->total_size <= bytes && info->total_size % 8 == 0, "%u bytes", info->total_size);
    CLAIM(memchr(info->cmdline, 0, sizeof info->cmdline), "cmdline without its end");
    CLAIM(memchr(info->loader, 0, sizeof info->loader), "loader without its end");
    CLAIM(info->rsdp_offset < info->total_size, "rsdp at %llu",
          (unsigned long long)info->rsdp_offset);
    CLAIM(info->mmap.offset || info->efi_map.offset, "no map");
    check_table(info, &info->mmap, 24);
    check_table(info, &info->efi_map, 40);
    check_sizes(blob, info->total_size);
    static volatile uint64_t sink; /* keeps the reads */
    sink = read_maps(blob, info);
    (void)sink;
    check_modules(blob, info);
    check_framebuffer(&info->framebuffer);
}

static void parse(const uint8_t *blob, size_t bytes)
{
    static const struct boot_info zeroed;
    struct boot_info info;
    size_t where = SIZE_MAX;
    enum multiboot2_err err = multiboot2_parse(MULTIBOOT2_MAGIC, blob, bytes, &info, &where);
    CLAIM((unsigned)err < MB2_ERR_COUNT, "error %u", (unsigned)err);
    CLAIM(where <= bytes, "offset %zu of %zu", where, bytes);
    if (err)
        CLAIM(!memcmp(&info, &zeroed, sizeof info), "an error with an answer");
    else
        check_answer(blob, &info, bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    if (bytes < 8 || !(data[4] & 1)) {
        parse(data, bytes);
        return 0;
    }
    uint32_t total = (uint32_t)bytes & ~(uint32_t)7;
    uint8_t *blob = malloc(total);
    memcpy(blob, data, total);
    memcpy(blob, &total, sizeof total);
    parse(blob, total);
    free(blob);
    return 0;
}
