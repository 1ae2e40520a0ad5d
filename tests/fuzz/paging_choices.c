/* SPDX-License-Identifier: MIT */
/* paging_choices.c - bytes made into calls: few bits for the place, the rest for how far off it. */
#include "paging_choices.h"

uint64_t pick_va(struct choices *c)
{
    static const uint64_t wide[] = {0,
                                    0x40000000,
                                    0x8000000000,
                                    0x7fffffe00000,
                                    0x800000000000,
                                    0xffff800000000000,
                                    0xffffc00000000000,
                                    0xffffffffffe00000},
                          narrow[] = {0,          0x400000,   0x7fc00000, 0x80000000,
                                      0xc0000000, 0xd0000000, 0xff800000, 0xffc00000};
    uint8_t where = pick8(c), by = pick8(c);
    uint64_t base = WIDE ? wide[where % 8] : narrow[where % 8];
    uint64_t unit = where & 0x80 ? LARGE : where & 0x40 && WIDE ? 1ull << 30 : PAGE;
    base += (uint64_t)(int8_t)by * unit + (where & 0x20 && by & 1 ? LARGE - PAGE : 0);
    if (where == 0x18)
        base++;
    return base & TOP;
}

uint64_t pick_bytes(struct choices *c)
{
    uint8_t how = pick8(c);
    uint64_t n = how & 31;
    switch (how >> 5) {
    case 0 ... 2:
        return n * PAGE;
    case 3:
    case 4:
        return n % 8 * LARGE + n / 8 * PAGE;
    case 5:
        return WIDE && n & 1 ? (n >> 1 & 3) * (1ull << 30) : ((n >> 1) * LARGE - PAGE) & TOP;
    case 6:
        return ((uint64_t)pick8(c) + 1) * PAGE;
    default:
        return n & 1 ? TOP - n * PAGE + 1 : n & 2 ? n : 1ull << (WIDE ? 30 + n % 20 : 20 + n % 12);
    }
}

uint64_t pick_pa(struct choices *c, uint64_t va, const struct paging_features *f)
{
    uint8_t how = pick8(c);
    uint64_t near = va & (WIDE ? 0x3fffffff : 0x3fffff);
    switch (how & 3) {
    case 0:
        return near + ((uint64_t)(how >> 2) << 30 & ((1ull << f->phys_bits) - 1));
    case 1:
        return near + (how >> 2) * LARGE;
    case 2:
        return (uint64_t)how * PAGE;
    default:
        return (1ull << f->phys_bits) - (uint64_t)how * PAGE + (how == 0xff);
    }
}

unsigned pick_flags(struct choices *c)
{
    uint8_t flags = pick8(c);
    if (flags == 0xff)
        return 1u << 20;
    return (flags & 3) == 3 && flags < 0xc0 ? flags & 0x7d : flags & 0x7f;
}

struct paging_features pick_features(struct choices *c)
{
    uint8_t f = pick8(c);
    return (struct paging_features){
        .pse = WIDE || f & 1,
        .pge = f & 2,
        .pat = f & 4,
        .nx = WIDE && f & 8,
        .gib_pages = WIDE && f & 16,
        .wp = true,
        .phys_bits = !WIDE    ? 32
                     : f & 32 ? 52
                              : 36,
        .virt_bits = WIDE ? 48 : 32,
    };
}
