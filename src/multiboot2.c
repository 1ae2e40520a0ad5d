/* SPDX-License-Identifier: MIT */
/*
 * multiboot2.c - one bounded pass over the tags.
 *
 *   M1  no byte outside [blob, blob + bytes) is read.
 *   M2  every offset kept in boot_info is inside the blob, and so is all that it counts.
 *   M3  each turn of the loop advances by at least 8 bytes.
 *
 * All bounds are of the form "n <= room left", which cannot wrap.
 */
#include <multiboot2.h>

enum {
    HEADER = 8, /* total_size, reserved; and type, size of a tag */
    TAG_END = 0,
    TAG_CMDLINE = 1,
    TAG_LOADER = 2,
    TAG_MODULE = 3,
    TAG_MMAP = 6,
    TAG_FRAMEBUFFER = 8,
    TAG_RSDP_OLD = 14,
    TAG_RSDP_NEW = 15,
    TAG_EFI_MAP = 17,
    TAG_BOOT_SERVICES = 18,
    MMAP_ENTRY_MIN = 24,
    EFI_DESCRIPTOR_MIN = 40,
    MODULE_MIN = 17, /* two addresses and an empty name */
};

struct tag {
    const uint8_t *bytes; /* of the whole tag */
    uint32_t offset, type, size;
};

static uint32_t u16(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8;
}

static uint32_t u32(const uint8_t *p)
{
    return u16(p) | u16(p + 2) << 16;
}

static uint64_t u64(const uint8_t *p)
{
    return u32(p) | (uint64_t)u32(p + 4) << 32;
}

/* ---- one function for each tag -------------------------------------------------------------- */

/* Where the NUL is that ends the text from `skip` on; tag.size: nowhere in the tag. */
static uint32_t text_end(struct tag tag, uint32_t skip)
{
    uint32_t end = skip;
    /*@ loop invariant skip <= end <= tag.size;
        loop assigns end;
        loop variant tag.size - end;
    */
    while (end < tag.size && tag.bytes[end])
        end++;
    return end;
}

static enum multiboot2_err read_string(struct tag tag, char *to, uint32_t bytes, bool *cut)
{
    uint32_t end = text_end(tag, HEADER), length = end - HEADER;
    if (end == tag.size)
        return MB2_BAD_STRING;
    if (cut)
        *cut = length > bytes - 1;
    if (length > bytes - 1)
        length = bytes - 1;
    /*@ loop invariant 0 <= i <= length < bytes;
        loop assigns i, to[0 .. bytes - 1];
        loop variant length - i;
    */
    for (uint32_t i = 0; i < length; i++)
        to[i] = (char)tag.bytes[HEADER + i];
    to[length] = 0;
    return MB2_OK;
}

static enum multiboot2_err read_module(struct tag tag, struct boot_info *out)
{
    if (tag.size < MODULE_MIN)
        return MB2_TAG_TOO_SMALL;
    if (u32(tag.bytes + 12) < u32(tag.bytes + 8) || text_end(tag, 16) == tag.size)
        return MB2_BAD_MODULE;
    out->module_count++;
    return MB2_OK;
}

/* Tags 6 and 17: entry size, version, entries to the end of the tag. */
static bool read_table(struct tag tag, uint32_t least, struct boot_table *table)
{
    uint32_t stride = u32(tag.bytes + 8), room = tag.size - 16;
    if (stride < least || stride % 8 || room % stride)
        return false;
    table->offset = tag.offset + 16;
    table->stride = stride;
    table->count = room / stride;
    return true;
}

static enum multiboot2_err read_mmap(struct tag tag, struct boot_info *out)
{
    if (tag.size < 16)
        return MB2_TAG_TOO_SMALL;
    if (out->mmap.offset)
        return MB2_DUPLICATE_MMAP;
    return read_table(tag, MMAP_ENTRY_MIN, &out->mmap) ? MB2_OK : MB2_BAD_ENTRY_SIZE;
}

static enum multiboot2_err read_efi_map(struct tag tag, struct boot_info *out)
{
    if (tag.size < 16)
        return MB2_TAG_TOO_SMALL;
    if (out->efi_map.offset)
        return MB2_DUPLICATE_EFI_MAP;
    return read_table(tag, EFI_DESCRIPTOR_MIN, &out->efi_map) ? MB2_OK : MB2_BAD_DESCR_SIZE;
}

static void read_channels(const uint8_t *p, struct boot_framebuffer *fb)
{
    fb->red_shift = p[0];
    fb->red_bits = p[1];
    fb->green_shift = p[2];
    fb->green_bits = p[3];
    fb->blue_shift = p[4];
    fb->blue_bits = p[5];
}

static enum multiboot2_err read_framebuffer(struct tag tag, struct boot_info *out)
{
    if (tag.size < 32)
        return MB2_TAG_TOO_SMALL;
    const uint8_t *p = tag.bytes;
    struct boot_framebuffer fb = {
        .address = u64(p + 8),
        .pitch = u32(p + 16),
        .width = u32(p + 20),
        .height = u32(p + 24),
        .bits_per_pixel = p[28],
        .kind = p[29] == 0   ? FB_INDEXED
                : p[29] == 1 ? FB_RGB
                             : FB_TEXT,
    };
    if (p[29] > 2 || !fb.pitch || !fb.width || !fb.height || fb.address > UINT64_MAX - UINT32_MAX)
        return MB2_BAD_FRAMEBUFFER;
    if ((uint64_t)fb.pitch * fb.height > UINT32_MAX)
        return MB2_BAD_FRAMEBUFFER;
    if (fb.kind == FB_RGB) {
        if (tag.size < 38)
            return MB2_TAG_TOO_SMALL;
        read_channels(p + 32, &fb);
        uint64_t line = (uint64_t)fb.width * ((fb.bits_per_pixel + 7u) / 8);
        if (line > fb.pitch || fb.red_shift > 31 || fb.green_shift > 31 || fb.blue_shift > 31)
            return MB2_BAD_FRAMEBUFFER;
    }
    if (out->framebuffer.kind == FB_NONE)
        out->framebuffer = fb;
    return MB2_OK;
}

static enum multiboot2_err read_tag(struct tag tag, struct boot_info *out)
{
    switch (tag.type) {
    case TAG_CMDLINE:
        return read_string(tag, out->cmdline, sizeof out->cmdline, &out->cmdline_cut);
    case TAG_LOADER:
        return read_string(tag, out->loader, sizeof out->loader, NULL);
    case TAG_MODULE:
        return read_module(tag, out);
    case TAG_MMAP:
        return read_mmap(tag, out);
    case TAG_EFI_MAP:
        return read_efi_map(tag, out);
    case TAG_FRAMEBUFFER:
        return read_framebuffer(tag, out);
    case TAG_BOOT_SERVICES:
        out->efi_boot_services = true;
        return MB2_OK;
    case TAG_RSDP_NEW:
        out->rsdp_offset = tag.offset + HEADER;
        return MB2_OK;
    case TAG_RSDP_OLD:
        if (!out->rsdp_offset)
            out->rsdp_offset = tag.offset + HEADER;
        return MB2_OK;
    default:
        return MB2_OK; /* tags that we have no use for */
    }
}

/* ---- the pass ------------------------------------------------------------------------------- */

static uint32_t padded(uint32_t size)
{
    return (size + 7) & ~(uint32_t)7;
}

static enum multiboot2_err check_frame(uint32_t magic, const uint8_t *blob, size_t bytes,
                                       size_t *where)
{
    *where = 0;
    if (magic != MULTIBOOT2_MAGIC)
        return MB2_BAD_MAGIC;
    if ((uintptr_t)blob % 8)
        return MB2_MISALIGNED;
    if (bytes < HEADER)
        return MB2_TOO_SHORT;
    uint32_t total = u32(blob);
    if (total < 2 * HEADER)
        return MB2_TOO_SHORT;
    if (total > bytes)
        return MB2_TOO_LONG;
    return total % 8 ? MB2_BAD_TOTAL_SIZE : MB2_OK;
}

static struct tag tag_at(const uint8_t *blob, uint32_t at)
{
    return (struct tag){blob + at, at, u32(blob + at), u32(blob + at + 4)};
}

/* Is the tag at `at` wholly inside the blob? */
static enum multiboot2_err check_tag(const uint8_t *blob, uint32_t total, uint32_t at)
{
    if (total - at < HEADER)
        return MB2_NO_END_TAG;
    struct tag tag = tag_at(blob, at);
    if (tag.type == TAG_END)
        return tag.size == HEADER ? MB2_OK : MB2_BAD_END_TAG;
    if (tag.size < HEADER)
        return MB2_TAG_TOO_SMALL;
    return tag.size > total - at ? MB2_TAG_PAST_END : MB2_OK;
}

/* Reads the tag at `at`; *next: where the one behind it starts, or `at` for the end tag. */
static enum multiboot2_err read_next(const uint8_t *blob, uint32_t total, uint32_t at,
                                     struct boot_info *out, uint32_t *next)
{
    enum multiboot2_err err = check_tag(blob, total, at);
    if (err)
        return err;
    struct tag tag = tag_at(blob, at);
    *next = tag.type == TAG_END ? at : at + padded(tag.size); /* total is a multiple of 8 too */
    /*@ assert still{Pre, Here}(out); */
    /*@ assert kept(out, total); */
    return read_tag(tag, out);
}

static enum multiboot2_err read_tags(const uint8_t *blob, uint32_t total, struct boot_info *out,
                                     size_t *where)
{
    uint32_t at, next = HEADER;
    enum multiboot2_err err;
    /*@ loop invariant HEADER <= next <= total && next % 8 == 0;
        loop invariant kept(out, total) && out->total_size == \at(out->total_size, Pre);
        loop assigns at, next, err, *out;
        loop variant total - next;
    */
    do {
        at = next;
        err = read_next(blob, total, at, out, &next);
    } while (!err && next != at);
    *where = at;
    return err;
}

static void forget(struct boot_info *out)
{
    struct boot_info none = {0};
    *out = none;
    /*@ assert out->mmap == none.mmap && out->efi_map == none.efi_map; */
    /*@ assert out->framebuffer == none.framebuffer; */
}

enum multiboot2_err multiboot2_parse(uint32_t magic, const void *blob, size_t bytes,
                                     struct boot_info *out, size_t *where)
{
    size_t ignored;
    where = where ? where : &ignored;
    forget(out);
    enum multiboot2_err err = check_frame(magic, blob, bytes, where);
    if (!err) {
        out->total_size = u32(blob);
        err = read_tags(blob, out->total_size, out, where);
    }
    if (!err && !out->mmap.offset && !out->efi_map.offset)
        err = MB2_NO_MEMORY_MAP;
    if (err)
        forget(out);
    return err;
}

/* ---- entries by index ----------------------------------------------------------------------- */

static const uint8_t *entry_at(const void *blob, const struct boot_table *table, uint32_t index)
{
    /*@ assert 0 <= times(index, table->stride) <=
               times(table->count, table->stride) - table->stride; */
    return (const uint8_t *)blob + table->offset + (size_t)index * table->stride;
}

struct boot_range_raw multiboot2_mmap_entry(const void *blob, const struct boot_info *info,
                                            uint32_t index)
{
    const uint8_t *p = entry_at(blob, &info->mmap, index);
    return (struct boot_range_raw){u64(p), u64(p + 8), u32(p + 16), false};
}

/* UEFI 2.10 7.2.3: type, pad, physical start, virtual start, pages of 4 KiB, attributes. */
struct boot_range_raw multiboot2_efi_entry(const void *blob, const struct boot_info *info,
                                           uint32_t index)
{
    const uint8_t *p = entry_at(blob, &info->efi_map, index);
    uint64_t pages = u64(p + 24);
    uint64_t length = pages > UINT64_MAX >> 12 ? UINT64_MAX : pages << 12;
    return (struct boot_range_raw){u64(p + 8), length, u32(p), true};
}

bool multiboot2_module(const void *blob, const struct boot_info *info, uint32_t index,
                       struct boot_module *out)
{
    uint32_t total = info->total_size;
    struct tag tag;
    /*@ loop invariant HEADER <= at <= total && at % 8 == 0;
        loop assigns at, tag, index;
        loop variant total - at;
    */
    for (uint32_t at = HEADER; !check_tag(blob, total, at); at += padded(tag.size)) {
        tag = tag_at(blob, at);
        if (tag.type == TAG_END)
            break;
        if (tag.type != TAG_MODULE || tag.size < MODULE_MIN || index--)
            continue;
        *out = (struct boot_module){u32(tag.bytes + 8), u32(tag.bytes + 12), at + 16};
        return true;
    }
    return false;
}

/* ---- names ---------------------------------------------------------------------------------- */

static const struct {
    const char *name, *text;
} errors[MB2_ERR_COUNT] = {
    [MB2_OK] = {"MB2_OK", "nothing is wrong"},
    [MB2_BAD_MAGIC] = {"MB2_BAD_MAGIC", "the loader did not say Multiboot2 in EAX"},
    [MB2_MISALIGNED] = {"MB2_MISALIGNED", "the information does not start at a multiple of 8"},
    [MB2_TOO_SHORT] = {"MB2_TOO_SHORT", "total_size has no room for the header and the end tag"},
    [MB2_TOO_LONG] = {"MB2_TOO_LONG",
                      "total_size is more than could be read; this kernel reads 128 KiB"},
    [MB2_BAD_TOTAL_SIZE] = {"MB2_BAD_TOTAL_SIZE", "total_size is not a multiple of 8"},
    [MB2_TAG_TOO_SMALL] = {"MB2_TAG_TOO_SMALL", "a tag is too small for its own fields"},
    [MB2_TAG_PAST_END] = {"MB2_TAG_PAST_END", "a tag reaches past the end of the information"},
    [MB2_NO_END_TAG] = {"MB2_NO_END_TAG", "the information ends without an end tag"},
    [MB2_BAD_END_TAG] = {"MB2_BAD_END_TAG", "the end tag does not have size 8"},
    [MB2_DUPLICATE_MMAP] = {"MB2_DUPLICATE_MMAP", "there are two memory map tags"},
    [MB2_DUPLICATE_EFI_MAP] = {"MB2_DUPLICATE_EFI_MAP", "there are two EFI memory map tags"},
    [MB2_BAD_ENTRY_SIZE] = {"MB2_BAD_ENTRY_SIZE", "the memory map's entry size is impossible"},
    [MB2_BAD_DESCR_SIZE] = {"MB2_BAD_DESCR_SIZE", "the EFI map's descriptor size is impossible"},
    [MB2_BAD_MODULE] = {"MB2_BAD_MODULE", "a module ends before it starts, or has no name's end"},
    [MB2_BAD_STRING] = {"MB2_BAD_STRING", "a string has no terminating zero inside its tag"},
    [MB2_BAD_FRAMEBUFFER] = {"MB2_BAD_FRAMEBUFFER",
                             "the framebuffer's numbers contradict each other"},
    [MB2_NO_MEMORY_MAP] = {"MB2_NO_MEMORY_MAP", "there is no memory map"},
};

const char *multiboot2_err_name(enum multiboot2_err err)
{
    return (unsigned)err < MB2_ERR_COUNT ? errors[err].name : "MB2_ERR_UNKNOWN";
}

const char *multiboot2_err_text(enum multiboot2_err err)
{
    return (unsigned)err < MB2_ERR_COUNT ? errors[err].text : "unknown error";
}
