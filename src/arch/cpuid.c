/* SPDX-License-Identifier: MIT */
/*
 * cpuid.c - reads the leaves that memory management cares about (SDM 2A, CPUID; SDM 1 chapter 20).
 *
 * The highest leaf is asked first each time: a CPU answers a leaf it does not have with the data
 * of another one, not with zeros.
 */
#include <cpuid.h>

#include "arch/cpuid.h"
#include "lib/string.h"

#define BIT(word, n) (((word) >> (n)) & 1)

struct leaf {
    unsigned a, b, c, d;
};

static struct leaf leaf(unsigned number)
{
    struct leaf l;
    __cpuid_count(number, 0, l.a, l.b, l.c, l.d);
    return l;
}

/* EFLAGS.ID (bit 21) can be flipped only where CPUID exists (SDM 1 20.1.2). */
static bool cpuid_exists(void)
{
    uintptr_t before, after;
    __asm__ volatile("pushf; pop %0; mov %0, %1; xor $0x200000, %1; push %1; popf; pushf; pop %1; "
                     "push %0; popf"
                     : "=&r"(before), "=&r"(after)::"cc", "memory");
    return ((before ^ after) & 0x200000) != 0;
}

static void read_vendor(struct cpuid_facts *out, const struct leaf *l)
{
    memcpy(out->vendor + 0, &l->b, 4);
    memcpy(out->vendor + 4, &l->d, 4);
    memcpy(out->vendor + 8, &l->c, 4);
}

static void read_signature(struct cpuid_facts *out, unsigned a)
{
    out->stepping = a & 15;
    out->model = (a >> 4) & 15;
    out->family = (a >> 8) & 15;
    if (out->family == 6 || out->family == 15)
        out->model += ((a >> 16) & 15) << 4;
    if (out->family == 15)
        out->family += (a >> 20) & 255;
}

static void read_features(struct cpuid_facts *out)
{
    struct leaf l = leaf(1);
    read_signature(out, l.a);
    out->pse = BIT(l.d, 3);
    out->tsc = BIT(l.d, 4);
    out->pge = BIT(l.d, 13);
    out->pat = BIT(l.d, 16);
    out->pcid = BIT(l.c, 17);
    out->rdrand = BIT(l.c, 30);
    out->hypervisor = BIT(l.c, 31);
    out->phys_bits = BIT(l.d, 6) ? 36 : 32;
}

static void read_extended(struct cpuid_facts *out)
{
    unsigned highest = leaf(0x80000000).a;
    if (highest < 0x80000001 || highest > 0x8000ffff)
        return;

    struct leaf l = leaf(0x80000001);
    out->nx = BIT(l.d, 20);
    out->gib_pages = BIT(l.d, 26);
    out->long_mode = BIT(l.d, 29);
    if (highest >= 0x80000008)
        out->phys_bits = leaf(0x80000008).a & 255;
    for (unsigned i = 0; highest >= 0x80000004 && i < 3; i++) {
        l = leaf(0x80000002 + i);
        memcpy(out->brand + 16 * i, &l, 16);
    }
}

void cpuid_read(struct cpuid_facts *out)
{
    *out = (struct cpuid_facts){.phys_bits = 32};
    out->present = cpuid_exists();
    if (!out->present)
        return;

    struct leaf l = leaf(0);
    unsigned highest = l.a;
    read_vendor(out, &l);
    if (highest >= 1)
        read_features(out);
    if (highest >= 7) {
        l = leaf(7);
        out->smep = BIT(l.b, 7);
        out->smap = BIT(l.b, 20);
        out->umip = BIT(l.c, 2);
    }
    read_extended(out);
}
