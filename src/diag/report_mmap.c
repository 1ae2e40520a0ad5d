/* SPDX-License-Identifier: MIT */
/* report_mmap.c - raw entries, canonical ranges, sums. */
#include "diag/report_mmap.h"

#include "diag/console.h"
#include "diag/json.h"
#include "diag/units.h"
#include "lib/fmt.h"

/* Ranges are half open in print; the end of the address space needs 65 bits. */
struct end_text {
    char text[24];
};
static struct end_text end_text(const char *format, uint64_t last)
{
    struct end_text out = {"0x10000000000000000"};
    if (last != UINT64_MAX)
        fmt(out.text, sizeof out.text, format, (unsigned long long)last + 1);
    return out;
}

static void json_raw(struct json *j, const struct boot_range_raw *r)
{
    char type[16];
    json_object(j, NULL);
    json_address(j, "start", r->start);
    json_address(j, "length", r->length);
    fmt(type, sizeof type, "efi:%u", r->type);
    if (r->efi)
        json_string(j, "type", type);
    else
        json_number(j, "type", r->type);
    json_end(j);
}

static void json_range(struct json *j, const struct boot_range *r)
{
    json_object(j, NULL);
    json_address(j, "start", r->start);
    json_string(j, "end", end_text("0x%llx", r->last).text);
    json_string(j, "kind", range_kind_name(r->kind));
    json_string(j, "owner", r->owner ? frame_owner_name(r->owner) : "");
    json_end(j);
}

static void mmap_json(const struct bootmap *map, const void *mbi, const struct boot_info *info)
{
    struct json j;
    struct bootmap_totals t = bootmap_totals(map);
    json_begin(&j, "mmap");
    json_array(&j, "raw");
    for (uint32_t i = 0; i < info->mmap.count; i++) {
        struct boot_range_raw r = multiboot2_mmap_entry(mbi, info, i);
        json_raw(&j, &r);
    }
    for (uint32_t i = 0; i < info->efi_map.count; i++) {
        struct boot_range_raw r = multiboot2_efi_entry(mbi, info, i);
        json_raw(&j, &r);
    }
    json_end(&j);
    json_array(&j, "ranges");
    for (size_t i = 0; i < map->count; i++)
        json_range(&j, &map->ranges[i]);
    json_end(&j);
    json_number(&j, "usable_frames", t.usable_frames);
    json_number(&j, "above_limit_frames", t.above_limit_frames);
    json_finish(&j);
}

static enum colour kind_colour(const struct boot_range *r)
{
    if (r->kind == RANGE_USABLE)
        return r->owner ? BLUE : GREEN;
    return r->kind == RANGE_BAD ? RED : DIM;
}

static void print_raw(const struct boot_range_raw *r)
{
    kprintf("     0x%016llx  0x%016llx  %s%u\n", (unsigned long long)r->start,
            (unsigned long long)r->length, r->efi ? "EFI " : "", r->type);
}

static void mmap_text(const struct bootmap *map, const void *mbi, const struct boot_info *info)
{
    struct bootmap_totals t = bootmap_totals(map);
    kprintf("%s  as the firmware gave it (start, length, type)%s\n", colour(BOLD), colour(PLAIN));
    for (uint32_t i = 0; i < info->mmap.count; i++) {
        struct boot_range_raw r = multiboot2_mmap_entry(mbi, info, i);
        print_raw(&r);
    }
    for (uint32_t i = 0; i < info->efi_map.count; i++) {
        struct boot_range_raw r = multiboot2_efi_entry(mbi, info, i);
        print_raw(&r);
    }
    kprintf("%s  canonical%s\n", colour(BOLD), colour(PLAIN));
    for (size_t i = 0; i < map->count; i++) {
        const struct boot_range *r = &map->ranges[i];
        kprintf("    [0x%016llx, %s) %9s  %s%-8s %s%s\n", (unsigned long long)r->start,
                end_text("0x%016llx", r->last).text, size_text(r->last - r->start + 1).text,
                colour(kind_colour(r)), range_kind_name(r->kind),
                r->owner ? frame_owner_name(r->owner) : "", colour(PLAIN));
    }
    kprintf("  %llu usable frames, %s", (unsigned long long)t.usable_frames,
            size_text(t.usable_frames << PAGE_SHIFT).text);
    if (map->dropped || map->clamped)
        kprintf("; %zu empty entries dropped, %zu cut at the end of the address space",
                map->dropped, map->clamped);
    kprintf("\n");
    if (t.above_limit_frames)
        kprintf("  %s above %s are out of reach and left alone\n",
                size_text(t.above_limit_frames << PAGE_SHIFT).text, size_text(map->limit).text);
}

void report_mmap(const struct bootmap *map, const void *mbi, const struct boot_info *info,
                 bool json)
{
    if (json)
        mmap_json(map, mbi, info);
    else
        mmap_text(map, mbi, info);
}
