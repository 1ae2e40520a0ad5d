/* SPDX-License-Identifier: MIT */
#include <limits.h>

#include "paging_walker.h"

struct paging_features features;
struct aspace as;

enum { REMEMBERED = 16 };
static struct memory {
    vword_t va;
    struct seen seen;
    unsigned pages, whole; /* flushes that there had been */
} memories[REMEMBERED];
static unsigned touched;

int paging_set_up(void **state)
{
    (void)state;
    fake_reset();
    touched = 0;
    features = everything;
    return paging_create(&as, true, fake_source, &features) != MEM_OK;
}

int paging_tear_down(void **state)
{
    (void)state;
    const char *broken;
    fake.fail_after = UINT_MAX;
    assert_true(paging_holds(&as, &broken));
    assert_int_equal(fake.kmaps, as.leaf.table != NULL); /* the table in hand */
    assert_int_equal(fake.taken_count, as.tables);
    fake.walks = 0; /* it is loaded no more */
    paging_destroy(&as);
    assert_int_equal(fake.taken_count, 0);
    assert_int_equal(fake.kmaps, 0);
    return 0;
}

static uint64_t raw_entry(uint64_t table, unsigned index)
{
    const uint8_t *p = fake.ram[(table >> 12) - FAKE_FIRST];
    if (WIDE)
        return ((const uint64_t *)(const void *)p)[index];
    return ((const uint32_t *)(const void *)p)[index];
}

struct seen look(uint64_t va)
{
    struct seen s = {.write = true, .user = true, .exec = true};
    int shift = WIDE ? 39 : 22, step = WIDE ? 9 : 10;
    uint64_t table = as.root.v, address = WIDE ? 0x000ffffffffff000ull : 0xfffff000u;
    for (;; shift -= step) {
        uint64_t e = raw_entry(table, (unsigned)(va >> shift) & ((1u << step) - 1));
        if (!(e & 1))
            return (struct seen){0};
        s.write = s.write && e & 2;
        s.user = s.user && e & 4;
        s.exec = s.exec && !(WIDE && e >> 63);
        if (shift == 12 || (e & 0x80 && shift < 39)) {
            s.page = 1ull << shift;
            s.mapped = true;
            s.pa = (e & address & ~(s.page - 1)) + (va & (s.page - 1));
            return s;
        }
        table = e & address;
    }
}

void touch(vword_t va)
{
    for (unsigned level = LEVELS; level; level--) {
        const entry_t *e = fake_entry(&as, va, level);
        fake_walk(e);
        if (!(*e & ENTRY_PRESENT) || *e & ENTRY_LARGE)
            break;
    }
    struct seen seen = look(va);
    if (seen.mapped)
        memories[touched++ % REMEMBERED] =
            (struct memory){va, seen, fake.page_flushes, fake.whole_flushes};
}

static bool is_flushed(const struct memory *m)
{
    assert_true(fake.page_flushes - m->pages <= FAKE_FLUSHED);
    for (unsigned n = m->pages; n < fake.page_flushes; n++) {
        if ((fake.flushed[n % FAKE_FLUSHED] ^ m->va) < m->seen.page)
            return true;
    }
    return fake.whole_flushes != m->whole;
}

void recalls(void)
{
    for (unsigned i = 0; i < REMEMBERED && i < touched; i++) {
        struct memory *m = &memories[i];
        struct seen now = look(m->va);
        if (is_flushed(m))
            continue;
        assert_true(now.mapped && now.pa == m->seen.pa && now.write == m->seen.write &&
                    now.user == m->seen.user && now.exec == m->seen.exec);
    }
    touched = 0;
}

void agrees(vword_t va)
{
    struct seen s = look(va);
    struct walk w;
    paddr_t pa = PA(1);
    paging_walk(&as, VA(va), &w);
    assert_int_equal(w.mapped, s.mapped);
    assert_int_equal(translate(&as, VA(va), &pa), s.mapped ? MEM_OK : MEM_NOT_MAPPED);
    if (!s.mapped)
        return;
    assert_true(pa.v == s.pa && w.pa.v == s.pa && w.page_bytes == s.page);
    assert_int_equal(!!(w.flags & MAP_WRITE), s.write);
    assert_int_equal(!!(w.flags & MAP_USER), s.user);
    assert_int_equal(!!(w.flags & MAP_EXEC), s.exec);
}
