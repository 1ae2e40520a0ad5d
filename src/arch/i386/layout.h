/* SPDX-License-Identifier: MIT */
/*
 * layout.h - the i386 address space.
 *
 *   0x00000000  first page never mapped; the rest below 3 GiB is user space
 *   0xC0000000  kernel image: physical + 0xC0000000
 *   0xD0000000  heap, 512 MiB
 *   0xF0000000  device memory and guarded stacks, 240 MiB
 *   0xFFC00000  kmap window, 1024 slots
 */
#ifndef ARCH_LAYOUT_H
#define ARCH_LAYOUT_H

#define USER_END      0xC0000000u
#define KERNEL_START  0xC0000000u /* top-level entries from here on are in all spaces */
#define KERNEL_OFFSET 0xC0000000u /* virtual minus physical within the image */
#define HEAP_START    0xD0000000u
#define HEAP_BYTES    0x20000000u
#define MMIO_START    0xF0000000u
#define MMIO_BYTES    0x0F000000u
#define KMAP_START    0xFFC00000u
#define KMAP_SLOTS    1024u

/* Physical addresses that paging can name at all: RAM above is counted and left alone. */
#define PHYSICAL_LIMIT 0x100000000ull

/* What the boot tables show of physical memory, and where (boot/entry32.asm). */
#define BOOT_WINDOW       KERNEL_OFFSET
#define BOOT_WINDOW_BYTES 0x00800000u

/* Free memory that bring-up takes beside the image: 190 page tables, PMM metadata, first heap step. */
#define KERNEL_NEEDS (1024u << 10)

#define ARCH_NAME "i386"

#endif
