/* SPDX-License-Identifier: MIT */
/*
 * scratch.h - where the storm may map: places that nothing else uses, around the addresses where
 * tables begin and end.
 *
 *   0x0000000000000000  first page never mapped   0x0000017F00000000  large pages alone, 8 GiB
 *   0x0000008000000000  a PML4 entry, 512 GiB     0x0000400000000000  far up in user space
 *   0x0000800000000000  the end of user space     0xFFFFC08000000000  512 GiB up in the heap
 *   0xFFFFD04000000000  1 GiB in the devices      0xFFFFD05000000000  map_mmio's own window
 */
#ifndef ARCH_SCRATCH_H
#define ARCH_SCRATCH_H

#define SCRATCH_LARGE       0x0000017F00000000ull
#define SCRATCH_LARGE_BYTES 0x0000000200000000ull
#define SCRATCH_MIDDLE      0x0000008000000000ull
#define SCRATCH_HIGH        0x0000400000000000ull
#define SCRATCH_HEAP        0xFFFFC08000000000ull
#define SCRATCH_DEVICE      0xFFFFD04000000000ull
#define SCRATCH_MMIO        0xFFFFD05000000000ull

#endif
