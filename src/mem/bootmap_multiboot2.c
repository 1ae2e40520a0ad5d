/* SPDX-License-Identifier: MIT */
/*
 * bootmap_multiboot2.c - both memory maps of the boot information into one canonical map.
 *
 * Under UEFI there are two: tag 6 was made before ExitBootServices, tag 17 at it. Both go in;
 * where they differ the more restrictive kind wins, so a second map can only take RAM away.
 */
#include <mem/bootmap.h>
#include <multiboot2.h>

enum { MIB = 1 << 20 };

static enum mem_err add_entries(struct bootmap *map, const void *mbi, const struct boot_info *info)
{
    enum mem_err err = MEM_OK;
    for (uint32_t i = 0; !err && i < info->mmap.count; i++) {
        struct boot_range_raw r = multiboot2_mmap_entry(mbi, info, i);
        err = bootmap_add(map, r.start, r.length, range_kind_of_e820(r.type));
    }
    for (uint32_t i = 0; !err && i < info->efi_map.count; i++) {
        struct boot_range_raw r = multiboot2_efi_entry(mbi, info, i);
        err = bootmap_add(map, r.start, r.length, range_kind_of_efi(r.type));
    }
    return err;
}

static enum mem_err reserve_modules(struct bootmap *map, const void *mbi,
                                    const struct boot_info *info)
{
    enum mem_err err = MEM_OK;
    struct boot_module m;
    for (uint32_t i = 0; !err && multiboot2_module(mbi, info, i, &m); i++)
        err = bootmap_reserve(map, m.start, m.end - m.start, OWNER_MODULE);
    return err;
}

enum mem_err bootmap_from_multiboot2(struct bootmap *map, const void *mbi,
                                     const struct boot_info *info)
{
    const struct boot_framebuffer *fb = &info->framebuffer;
    enum mem_err err = add_entries(map, mbi, info);
    if (!err)
        err = bootmap_finish(map);
    if (!err)
        err = bootmap_reserve(map, 0, MIB, OWNER_LOW);
    if (!err)
        err = reserve_modules(map, mbi, info);
    if (!err)
        err =
            bootmap_reserve(map, fb->address, (uint64_t)fb->pitch * fb->height, OWNER_FRAMEBUFFER);
    return err;
}
