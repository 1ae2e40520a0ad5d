/* SPDX-License-Identifier: MIT */
#include "fake_machine.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mem/kmap.h>
#include <platform.h>

enum { WIDE = sizeof(void *) == 8 };

struct fake_machine fake;

const struct paging_features everything = {
    .pse = true,
    .pge = true,
    .pat = true,
    .nx = WIDE,
    .gib_pages = WIDE,
    .wp = true,
    .phys_bits = WIDE ? 40 : 32,
    .virt_bits = WIDE ? 48 : 32,
};
const struct paging_features nothing = {
    .pse = WIDE,
    .wp = true,
    .phys_bits = WIDE ? 40 : 32,
    .virt_bits = WIDE ? 48 : 32,
};

void fake_reset(void)
{
    memset(&fake, 0, sizeof fake);
    fake.fail_after = UINT_MAX;
}

void *kmap(pfn_t frame)
{
    if (frame.v < FAKE_FIRST || frame.v >= FAKE_FIRST + FAKE_FRAMES)
        platform_panic("kmap of frame 0x%zx, which is no fake RAM", (size_t)frame.v);
    fake.kmaps++;
    return fake.ram[frame.v - FAKE_FIRST];
}

void kunmap(const void *ptr)
{
    size_t offset = (size_t)((const uint8_t *)ptr - fake.ram[0]);
    if (offset >= sizeof fake.ram || !fake.kmaps)
        platform_panic("kunmap of %p, which is not mapped", ptr);
    fake.kmaps--;
}

entry_t *fake_entry(const struct aspace *as, vword_t va, unsigned level)
{
    uint64_t table = as->root.v;
    for (unsigned at = LEVELS;; at--) {
        entry_t *e = (entry_t *)(void *)fake.ram[(table >> PAGE_SHIFT) - FAKE_FIRST];
        e += level_index(va, at);
        if (at == level)
            return e;
        table = pfn_paddr(format_table_pfn(*e)).v;
    }
}

static unsigned flushes(void)
{
    return fake.page_flushes + fake.whole_flushes;
}

void fake_walk(const entry_t *e)
{
    size_t i = (size_t)((const uint8_t *)e - fake.ram[0]) >> PAGE_SHIFT,
           n = fake.walks++ % FAKE_WALKED;
    fake.walked[n].table = FAKE_FIRST + i;
    fake.walked[n].flushes = flushes();
}

static bool is_remembered(pfn_t frame)
{
    for (unsigned i = 0; i < FAKE_WALKED && i < fake.walks; i++) {
        if (fake.walked[i].table == frame.v && fake.walked[i].flushes == flushes())
            return true;
    }
    return false;
}

static pfn_t take(void *ctx)
{
    (void)ctx;
    if (!fake.fail_after)
        return PFN_NONE;
    fake.fail_after -= fake.fail_after != UINT_MAX;
    for (unsigned i = FAKE_FRAMES / 2; i < FAKE_FRAMES; i++) {
        if (fake.taken[i])
            continue;
        fake.taken[i] = true;
        fake.taken_count++;
        memset(fake.ram[i], 0xdb, sizeof fake.ram[i]);
        return PFN(FAKE_FIRST + i);
    }
    return PFN_NONE;
}

static void give(void *ctx, pfn_t frame)
{
    (void)ctx;
    size_t i = frame.v - FAKE_FIRST;
    if (i >= FAKE_FRAMES || !fake.taken[i])
        platform_panic("frame 0x%zx given back, which is not held", (size_t)frame.v);
    if (is_remembered(frame))
        platform_panic("table 0x%zx given back before a flush", (size_t)frame.v);
    fake.taken[i] = false;
    fake.taken_count--;
    memset(fake.ram[i], 0xee, sizeof fake.ram[i]);
}

const struct frame_source fake_source = {take, give, NULL};

void platform_flush_page(vaddr_t va)
{
    fake.flushed[fake.page_flushes++ % FAKE_FLUSHED] = va.v;
}

void platform_flush_all(void)
{
    fake.whole_flushes++;
}

vword_t platform_irq_save(void)
{
    return 0;
}

void platform_irq_restore(vword_t state)
{
    (void)state;
}

void platform_panic(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(fake.panic_text, sizeof fake.panic_text, format, args);
    va_end(args);
    if (fake.panics_to)
        longjmp(*fake.panics_to, 1);
    fprintf(stderr, "%s\n", fake.panic_text);
    abort();
}

void platform_complain(const char *format, ...)
{
    (void)format;
    fake.complaints++;
}
