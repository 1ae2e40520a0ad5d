/* SPDX-License-Identifier: MIT */
/*
 * scratch.h - where the storm may map: places that nothing else uses, around the addresses where
 * tables begin and end.
 *
 *   0x00000000  first page never mapped    0x10000000  large pages alone, 512 MiB
 *   0x40000000  a page directory entry     0x80000000  bit 31 turns, still user space
 *   0xC0000000  the end of user space      0xEC000000  far up in the heap's window
 *   0xFB000000  in the device window       0xFC400000  map_mmio's own window
 */
#ifndef ARCH_SCRATCH_H
#define ARCH_SCRATCH_H

#define SCRATCH_LARGE       0x10000000u
#define SCRATCH_LARGE_BYTES 0x20000000ull
#define SCRATCH_MIDDLE      0x40000000u
#define SCRATCH_HIGH        0x80000000u
#define SCRATCH_HEAP        0xEC000000u
#define SCRATCH_DEVICE      0xFB000000u
#define SCRATCH_MMIO        0xFC400000u

#endif
