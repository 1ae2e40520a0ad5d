/* SPDX-License-Identifier: MIT */
/*
 * test_paging.c - single pages, what is refused, borders of tables, and what a walk says of them.
 *
 * Both paging modes from one text: 32 bits with paging32.c, 64 with paging64.c.
 */
#include "paging_walker.h"

/* ---- single pages --------------------------------------------------------------------------- */

static void a_page_comes_and_goes(void **state)
{
    (void)state;
    size_t tables = as.tables;
    paddr_t pa;
    assert_int_equal(map_page(&as, VA(BASE), PA(0x123000), MAP_WRITE), MEM_OK);
    assert_int_equal(as.tables, tables + (WIDE ? 3 : 1));
    agrees(BASE);
    agrees(BASE + 0xfff);
    agrees(BASE + PAGE);
    assert_int_equal(map_page(&as, VA(BASE), PA(0x5000), 0), MEM_MAPPED);
    assert_int_equal(protect_page(&as, VA(BASE), MAP_EXEC), MEM_OK);
    agrees(BASE);
    assert_false(look(BASE).write);
    assert_int_equal(unmap_page(&as, VA(BASE), &pa), MEM_OK);
    assert_true(pa.v == 0x123000);
    assert_int_equal(as.tables, tables);
    assert_int_equal(unmap_page(&as, VA(BASE), &pa), MEM_NOT_MAPPED);
    assert_int_equal(protect_page(&as, VA(BASE), 0), MEM_NOT_MAPPED);
}

static void nonsense_is_refused_by_name(void **state)
{
    (void)state;
    uint64_t wide = 1ull << everything.phys_bits;
    assert_int_equal(map_page(&as, VA(BASE + 1), PA(0), 0), MEM_MISALIGNED);
    assert_int_equal(map_page(&as, VA(BASE), PA(1), 0), MEM_MISALIGNED);
    assert_int_equal(map_page(&as, VA(BASE), PA(0x1000), 1u << 20), MEM_BAD_ARG);
    assert_int_equal(map_page(&as, VA(BASE), PA(wide), 0), MEM_OUT_OF_RANGE);
    assert_int_equal(map_range(&as, VA(BASE), PA(wide - PAGE), 2 * PAGE, 0), MEM_OUT_OF_RANGE);
    assert_int_equal(map_page(&as, VA(BASE), PA(0x1000), MAP_WRITE | MAP_EXEC), MEM_WX);
    assert_int_equal(map_page(&as, VA(0), PA(0x1000), 0), MEM_OUT_OF_RANGE);
    assert_int_equal(map_range(&as, VA(BASE), PA(0), 0, 0), MEM_BAD_ARG);
    assert_int_equal(map_range(&as, VA(BASE), PA(0), PAGE + 1, 0), MEM_MISALIGNED);
    vword_t top = ~(vword_t)0 - PAGE + 1;
    assert_int_equal(map_range(&as, VA(top), PA(0), 2 * PAGE, 0), MEM_OUT_OF_RANGE);
    assert_int_equal(unmap_range(&as, VA(top), 2 * PAGE), MEM_OUT_OF_RANGE);
    assert_int_equal(protect_range(&as, VA(BASE), PAGE, MAP_WRITE | MAP_EXEC), MEM_WX);
    assert_int_equal(fake.taken_count, 1);
}

static void the_canonical_hole_is_no_address(void **state)
{
    (void)state;
    if (!WIDE)
        skip();
    paddr_t pa;
    vword_t low = (vword_t)0x0000800000000000ull, high = (vword_t)0xffff800000000000ull;
    assert_int_equal(map_page(&as, VA(low), PA(0), 0), MEM_NOT_CANONICAL);
    assert_int_equal(map_page(&as, VA(high - PAGE), PA(0), 0), MEM_NOT_CANONICAL);
    assert_int_equal(map_range(&as, VA(low - PAGE), PA(0), 2 * PAGE, 0), MEM_NOT_CANONICAL);
    assert_int_equal(translate(&as, VA(low), &pa), MEM_NOT_CANONICAL);
    assert_int_equal(map_page(&as, VA(low - PAGE), PA(0), 0), MEM_OK);
    assert_int_equal(map_page(&as, VA(high), PA(0), 0), MEM_OK);
    agrees(low - PAGE);
    agrees(high);
    assert_int_equal(unmap_page(&as, VA(low - PAGE), NULL), MEM_OK);
    assert_int_equal(unmap_page(&as, VA(high), NULL), MEM_OK);
}

/* First and last page of every table on every level. */
static void level_boundaries(void **state)
{
    (void)state;
    for (unsigned shift = 12; shift < (WIDE ? 48u : 32u); shift += WIDE ? 9 : 10) {
        vword_t border = BASE + ((vword_t)1 << shift);
        if (border < BASE)
            continue;
        size_t tables = as.tables;
        assert_int_equal(map_range(&as, VA(border - PAGE), PA(0x7000), 2 * PAGE, MAP_WRITE),
                         MEM_OK);
        agrees(border - PAGE);
        agrees(border);
        agrees(border + PAGE);
        assert_int_equal(unmap_range(&as, VA(border - PAGE), 2 * PAGE), MEM_OK);
        assert_int_equal(as.tables, tables);
    }
}

static void the_null_page_is_never_mapped(void **state)
{
    (void)state;
    struct aspace user;
    assert_int_equal(paging_create(&user, false, fake_source, &everything), MEM_OK);
    for (unsigned i = 1; i < 5; i++)
        assert_int_equal(map_page(&user, VA(i * PAGE), PA(0x1000), MAP_USER), MEM_OK);
    assert_int_equal(map_page(&user, VA(0), PA(0x1000), MAP_USER), MEM_OUT_OF_RANGE);
    assert_int_equal(map_range(&user, VA(0), PA(0x1000), PAGE, MAP_USER), MEM_OUT_OF_RANGE);
    assert_int_equal(unmap_page(&user, VA(2 * PAGE), NULL), MEM_OK);
    paging_destroy(&user);
}

/* ---- what the walk says --------------------------------------------------------------------- */

static void effective_permissions_over_all_levels(void **state)
{
    (void)state;
    struct walk w;
    assert_int_equal(map_page(&as, VA(BASE), PA(0x3000), MAP_WRITE), MEM_OK);
    uint8_t *root = fake.ram[(as.root.v >> 12) - FAKE_FIRST];
    unsigned index = WIDE ? (unsigned)(BASE >> 39) & 511 : (unsigned)(BASE >> 22);
    uint8_t *entry = root + index * sizeof(vword_t);
    *entry &= (uint8_t)~2u; /* take W from the top level */
    paging_walk(&as, VA(BASE), &w);
    assert_false(w.flags & MAP_WRITE);
    assert_int_equal(w.deciding, 0);
    agrees(BASE);
    *entry |= 2;
    if (WIDE) { /* a frame beyond the physical width is a reserved bit */
        entry[6] |= 8;
        paging_walk(&as, VA(BASE), &w);
        assert_true(w.reserved_bit && !w.mapped);
        entry[6] &= (uint8_t)~8u;
    }
    assert_int_equal(unmap_page(&as, VA(BASE), NULL), MEM_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_page_comes_and_goes),
        TEST(nonsense_is_refused_by_name),
        TEST(the_canonical_hole_is_no_address),
        TEST(level_boundaries),
        TEST(the_null_page_is_never_mapped),
        TEST(effective_permissions_over_all_levels),
    };
    return cmocka_run_group_tests_name("paging", tests, NULL, NULL);
}
