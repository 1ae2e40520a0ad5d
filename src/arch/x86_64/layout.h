/* SPDX-License-Identifier: MIT */
/*
 * layout.h - the x86_64 address space.
 *
 *   0x0000000000000000  first page never mapped; the lower half is user space
 *   0xFFFF800000000000  HHDM: all RAM, 64 TiB of room
 *   0xFFFFC00000000000  heap, 1 TiB of room
 *   0xFFFFD00000000000  device memory and guarded stacks, 512 GiB
 *   0xFFFFFFFF80000000  kernel image: physical + 0xFFFFFFFF80000000
 *   0xFFFFFFFFFFE00000  kmap window, 512 slots, when built PHYSMAP=kmap
 */
#ifndef ARCH_LAYOUT_H
#define ARCH_LAYOUT_H

#define USER_END      0x0000800000000000ull
#define KERNEL_START  0xFFFF800000000000ull /* top-level entries from here on are in all spaces */
#define HHDM_START    0xFFFF800000000000ull
#define KERNEL_OFFSET 0xFFFFFFFF80000000ull /* virtual minus physical within the image */
#define HEAP_START    0xFFFFC00000000000ull
#define HEAP_BYTES    0x0000010000000000ull
#define MMIO_START    0xFFFFD00000000000ull
#define MMIO_BYTES    0x0000008000000000ull
#define KMAP_START    0xFFFFFFFFFFE00000ull
#define KMAP_SLOTS    512u

/* The HHDM's room: RAM above is counted and left alone. */
#define PHYSICAL_LIMIT 0x0000400000000000ull

/* What the boot tables show of physical memory, and where (boot/entry64.asm). */
#define BOOT_WINDOW       HHDM_START
#define BOOT_WINDOW_BYTES 0x100000000ull

/* Free memory that bring-up takes beside the image: page tables, PMM metadata, first heap step. */
#define KERNEL_NEEDS (256u << 10)

#define ARCH_NAME "x86_64"

#endif
