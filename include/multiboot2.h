/* SPDX-License-Identifier: MIT */
/*
 * multiboot2.h - bytes from the boot loader -> struct boot_info.
 *
 * A pure parser: it reads only [blob, blob + bytes), writes only *out, allocates nothing and keeps
 * no pointer. What has no small bound (memory map entries, modules) stays in the blob and is
 * reached by index; the blob is the kernel's own copy, so nothing can change under it.
 * Source: Multiboot2 specification 2.0, sections 3.4 to 3.6; GRUB 2.06 where the text is silent.
 */
#ifndef MULTIBOOT2_H
#define MULTIBOOT2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MULTIBOOT2_MAGIC 0x36d76289u /* in EAX at entry, Multiboot2 3.2 */

enum {
    BOOT_CMDLINE_MAX = 256, /* bytes with the terminating 0; a longer one is cut and said so */
    BOOT_LOADER_MAX = 64,
    BOOT_MBI_MAX = 128 << 10, /* bytes of boot information that the kernel can copy */
};

/* Where a table of equal-sized entries lies in the blob; count 0 when the tag is absent. */
struct boot_table {
    uint32_t offset; /* of the first entry, from the start of the blob */
    uint32_t stride; /* bytes from one entry to the next               */
    uint32_t count;
};

enum framebuffer_kind { FB_NONE, FB_INDEXED, FB_RGB, FB_TEXT };

struct boot_framebuffer { /* Multiboot2 3.6.12 */
    enum framebuffer_kind kind;
    uint64_t address;
    uint32_t pitch, width, height; /* bytes per line; pixels, or characters for FB_TEXT */
    uint8_t bits_per_pixel;
    uint8_t red_shift, red_bits, green_shift, green_bits, blue_shift, blue_bits;
};

struct boot_info {
    uint32_t total_size; /* bytes of the blob, as its header says */
    char cmdline[BOOT_CMDLINE_MAX];
    bool cmdline_cut;
    char loader[BOOT_LOADER_MAX];
    struct boot_table mmap;    /* tag 6: E820 types                                   */
    struct boot_table efi_map; /* tag 17: EFI descriptors, the truth under UEFI       */
    uint32_t module_count;     /* tags 3                                              */
    struct boot_framebuffer framebuffer;
    bool efi_boot_services; /* tag 18: the loader has not left boot services       */
    uint64_t rsdp_offset;   /* of the copied RSDP in the blob (tag 15, else 14), or 0 */
};

/* One entry of either memory map, in the loader's own words. */
struct boot_range_raw {
    uint64_t start, length; /* bytes; may be unaligned, may wrap past 2^64 */
    uint32_t type;          /* E820 type, or EFI memory type when efi is set */
    bool efi;
};

struct boot_module {
    uint64_t start, end; /* physical, half open; start == end for an empty one */
    uint32_t name_offset; /* of a NUL-terminated string in the blob */
};

/* What is wrong with the boot information. Each has one fixed sentence, multiboot2_err_text. */
enum [[nodiscard]] multiboot2_err {
    MB2_OK,
    MB2_BAD_MAGIC,
    MB2_MISALIGNED,
    MB2_TOO_SHORT,      /* total_size is below the fixed header and the end tag      */
    MB2_TOO_LONG,       /* total_size says more than is there, or more than fits     */
    MB2_BAD_TOTAL_SIZE, /* not a multiple of 8                                       */
    MB2_TAG_TOO_SMALL,  /* a tag of 0 to 7 bytes, or too small for its own fields    */
    MB2_TAG_PAST_END,
    MB2_NO_END_TAG,
    MB2_BAD_END_TAG, /* an end tag whose size is not 8 */
    MB2_DUPLICATE_MMAP,
    MB2_DUPLICATE_EFI_MAP,
    MB2_BAD_ENTRY_SIZE, /* zero, below 24, not a multiple of 8, not dividing the tag */
    MB2_BAD_DESCR_SIZE, /* the same for EFI descriptors: below 40                    */
    MB2_BAD_MODULE,     /* ends before it starts, or a name without its NUL          */
    MB2_BAD_STRING,     /* a command line or loader name without its NUL             */
    MB2_BAD_FRAMEBUFFER,
    MB2_NO_MEMORY_MAP,
    MB2_ERR_COUNT
};

/*
 * Parses the blob. `magic` is EAX at entry; `bytes` is how many bytes may be read. On any error
 * *out is zeroed, and *where, if not NULL, gets the byte offset of the offending tag or field.
 * Cost: one pass, bounded by `bytes`.
 */
enum multiboot2_err multiboot2_parse(uint32_t magic, const void *blob, size_t bytes,
                                     struct boot_info *out, size_t *where);

/* Entry `index` of a map in the parsed blob; index < table.count is the caller's promise. */
struct boot_range_raw multiboot2_mmap_entry(const void *blob, const struct boot_info *info,
                                            uint32_t index);
struct boot_range_raw multiboot2_efi_entry(const void *blob, const struct boot_info *info,
                                           uint32_t index);

/* The i-th module; false when there is none. Cost: one pass over the tags. */
bool multiboot2_module(const void *blob, const struct boot_info *info, uint32_t index,
                       struct boot_module *out);

const char *multiboot2_err_name(enum multiboot2_err err); /* "MB2_NO_END_TAG"           */
const char *multiboot2_err_text(enum multiboot2_err err); /* one sentence for a person  */

#endif
