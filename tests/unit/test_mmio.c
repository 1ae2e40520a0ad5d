/* SPDX-License-Identifier: MIT */
/* test_mmio.c - the device window, on fake RAM and real paging code. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <limits.h>
#include <mem/mmio.h>

#include "fake_machine.h"

enum { WIDE = sizeof(void *) == 8, PAGE = 4096 };
#define BASE ((vword_t)(WIDE ? 0xffffd00000000000ull : 0xf0000000u))

static struct aspace as;
static struct mmio_window window;

static int set_up(void **state)
{
    (void)state;
    fake_reset();
    mmio_init(&window, &as, VA(BASE), 64 << 20);
    return paging_create(&as, true, fake_source, &everything) != MEM_OK;
}

static int tear_down(void **state)
{
    (void)state;
    const char *broken;
    assert_true(paging_holds(&as, &broken));
    assert_int_equal(fake.kmaps, as.leaf.table != NULL); /* the table in hand */
    paging_destroy(&as);
    assert_int_equal(fake.taken_count, 0);
    return 0;
}

static void a_device_comes_and_goes(void **state)
{
    (void)state;
    void *p;
    paddr_t pa;
    assert_int_equal(map_mmio(&window, PA(0xfee00123), 5000, MAP_WRITE | MAP_CACHE_UC, "apic", &p),
                     MEM_OK);
    assert_int_equal(translate(&as, ptr_vaddr(p), &pa), MEM_OK);
    assert_true(pa.v == 0xfee00123);
    struct walk w;
    paging_walk(&as, ptr_vaddr(p), &w);
    assert_int_equal(w.flags & MAP_CACHE_MASK, MAP_CACHE_UC);
    assert_string_equal(mmio_find(&window, ptr_vaddr(p))->name, "apic");
    void *second_page = vaddr_ptr(VA(window.region[0].va.v + PAGE));
    assert_int_equal(unmap_mmio(&window, second_page), MEM_NOT_HELD);
    assert_int_equal(unmap_mmio(&window, p), MEM_OK);
    assert_int_equal(unmap_mmio(&window, p), MEM_NOT_HELD);
    assert_null(mmio_find(&window, ptr_vaddr(p)));
    assert_int_equal(as.tables, 1);
}

static void guards_lie_between(void **state)
{
    (void)state;
    uint8_t *a, *b, *c, *again;
    paddr_t pa;
    assert_int_equal(map_mmio(&window, PA(0x1000), PAGE, 0, "a", (void **)&a), MEM_OK);
    assert_int_equal(map_mmio(&window, PA(0x9000), 2 * PAGE, 0, "b", (void **)&b), MEM_OK);
    assert_int_equal(map_mmio(&window, PA(0x5000), PAGE, 0, "c", (void **)&c), MEM_OK);
    assert_ptr_equal(b, a + 2 * PAGE);
    assert_ptr_equal(c, b + 3 * PAGE);
    assert_int_equal(translate(&as, ptr_vaddr(a + PAGE), &pa), MEM_NOT_MAPPED);
    assert_int_equal(unmap_mmio(&window, b), MEM_OK);
    assert_int_equal(map_mmio(&window, PA(0x7000), PAGE, 0, "d", (void **)&again), MEM_OK);
    assert_ptr_equal(again, b); /* first fit */
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(unmap_mmio(&window, (void *[]){a, again, c}[i]), MEM_OK);
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    void *p = &window;
    assert_int_equal(map_mmio(&window, PA(0x1000), 0, 0, "x", &p), MEM_BAD_ARG);
    assert_int_equal(map_mmio(&window, PA(UINT64_MAX), PAGE, 0, "x", &p), MEM_OUT_OF_RANGE);
    assert_int_equal(map_mmio(&window, PA(0x1000), 65 << 20, 0, "x", &p), MEM_OUT_OF_RANGE);
    assert_int_equal(map_mmio(&window, PA(1ull << 45), PAGE, 0, "x", &p), MEM_OUT_OF_RANGE);
    assert_int_equal(map_mmio(&window, PA(0x1000), PAGE, MAP_WRITE | MAP_EXEC, "x", &p), MEM_WX);
    fake.fail_after = 0;
    assert_int_equal(map_mmio(&window, PA(0x1000), PAGE, 0, "x", &p), MEM_NO_FRAME);
    fake.fail_after = UINT_MAX;
    assert_ptr_equal(p, &window);
    assert_int_equal(window.count, 0);
    for (unsigned i = 0; i < MMIO_REGIONS; i++)
        assert_int_equal(map_mmio(&window, PA(0x1000), PAGE, 0, "x", &p), MEM_OK);
    assert_int_equal(map_mmio(&window, PA(0x1000), PAGE, 0, "x", &p), MEM_FULL);
    while (window.count)
        assert_int_equal(unmap_mmio(&window, vaddr_ptr(window.region[0].va)), MEM_OK);
}

/* From 4 MiB on, physical and virtual address agree in their low bits, so large pages fit. */
static void large_regions_are_congruent(void **state)
{
    (void)state;
    enum { MIB = 1 << 20 };
    uint8_t *small, *large, *next;
    struct walk w;
    assert_int_equal(map_mmio(&window, PA(0x5000), 4 * MIB - 1, 0, "s", (void **)&small), MEM_OK);
    assert_int_equal((vword_t)small, BASE + 0x5000);
    assert_int_equal(unmap_mmio(&window, small), MEM_OK);
    assert_int_equal(map_mmio(&window, PA(0x5000), 4 * MIB - PAGE, 0, "s", (void **)&small),
                     MEM_OK);
    assert_int_equal((vword_t)small, BASE);
    assert_int_equal(map_mmio(&window, PA(12 * MIB), 4 * MIB, 0, "l", (void **)&large), MEM_OK);
    assert_int_equal((vword_t)large, BASE + 4 * MIB);
    paging_walk(&as, ptr_vaddr(large), &w);
    assert_true(w.page_bytes > PAGE);
    assert_int_equal(map_mmio(&window, PA(0x1000), 1, 0, "n", (void **)&next), MEM_OK);
    assert_ptr_equal(next, large + 4 * MIB + PAGE); /* one page is left before `large` */
    assert_string_equal(mmio_find(&window, ptr_vaddr(large + 4 * MIB - 1))->name, "l");
    assert_null(mmio_find(&window, ptr_vaddr(large + 4 * MIB)));
    while (window.count)
        assert_int_equal(unmap_mmio(&window, vaddr_ptr(window.region[0].va)), MEM_OK);
}

/* In a full list the last goes first: nothing beyond the list is moved. */
static void a_full_list_empties_from_its_end(void **state)
{
    (void)state;
    void *p[MMIO_REGIONS];
    for (unsigned i = 0; i < MMIO_REGIONS; i++)
        assert_int_equal(map_mmio(&window, PA(0x1000 * i), PAGE, 0, "x", &p[i]), MEM_OK);
    for (unsigned i = MMIO_REGIONS; i-- > 0;) {
        assert_int_equal(unmap_mmio(&window, p[i]), MEM_OK);
        for (unsigned j = 0; j < MMIO_REGIONS; j++)
            assert_int_equal(mmio_find(&window, ptr_vaddr(p[j])) != NULL, j < i);
    }
}

/* The guard behind the last region is the window's last page. */
static void a_window_is_full_when_it_is(void **state)
{
    (void)state;
    uint8_t *p, *q;
    mmio_init(&window, &as, VA(BASE), 8 * PAGE);
    assert_int_equal(map_mmio(&window, PA(0x1000), 7 * PAGE, 0, "x", (void **)&p),
                     MEM_OUT_OF_RANGE);
    assert_int_equal(map_mmio(&window, PA(0x1001), 6 * PAGE, 0, "x", (void **)&p), MEM_OK);
    assert_int_equal(unmap_mmio(&window, p), MEM_OK);
    assert_int_equal(map_mmio(&window, PA(0x1000), 3 * PAGE, 0, "x", (void **)&p), MEM_OK);
    assert_int_equal(map_mmio(&window, PA(0x1000), 4 * PAGE, 0, "y", (void **)&q), MEM_NO_SPACE);
    assert_int_equal(map_mmio(&window, PA(0x1000), 3 * PAGE, 0, "y", (void **)&q), MEM_OK);
    assert_int_equal(map_mmio(&window, PA(0x1000), 1, 0, "z", (void **)&q), MEM_NO_SPACE);
    while (window.count)
        assert_int_equal(unmap_mmio(&window, vaddr_ptr(window.region[0].va)), MEM_OK);
}

/* A window that ends with the address space: congruence must not lead round to address 0. */
static void the_top_of_the_address_space(void **state)
{
    (void)state;
    enum { MIB = 1 << 20 };
    void *p, *none = NULL;
    mmio_init(&window, &as, VA((vword_t)0 - 8 * MIB), 8 * MIB - PAGE);
    assert_int_equal(map_mmio(&window, PA(4 * MIB), 4 * MIB, 0, "x", &p), MEM_OK);
    assert_int_equal(map_mmio(&window, PA(4 * MIB), 4 * MIB, 0, "y", &none), MEM_NO_SPACE);
    assert_null(none);
    assert_int_equal(unmap_mmio(&window, p), MEM_OK);
}

static void only_the_first_page_gives_back(void **state)
{
    (void)state;
    uint8_t *p;
    assert_int_equal(map_mmio(&window, PA(0x1010), 2 * PAGE, 0, "x", (void **)&p), MEM_OK);
    vaddr_t first = window.region[0].va;
    assert_int_equal(unmap_mmio(&window, p + PAGE), MEM_NOT_HELD);
    assert_int_equal(unmap_mmio(&window, p - PAGE), MEM_NOT_HELD);
    assert_int_equal(unmap_range(&as, first, PAGE), MEM_OK); /* behind its back */
    assert_int_equal(unmap_mmio(&window, p), MEM_NOT_MAPPED);
    assert_int_equal(window.count, 1);
    assert_int_equal(map_page(&as, first, PA(0x1000), 0), MEM_OK);
    assert_int_equal(unmap_mmio(&window, p - 0x10 + PAGE - 1), MEM_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_device_comes_and_goes),
        TEST(guards_lie_between),
        TEST(nonsense_is_refused),
        TEST(large_regions_are_congruent),
        TEST(a_full_list_empties_from_its_end),
        TEST(a_window_is_full_when_it_is),
        TEST(the_top_of_the_address_space),
        TEST(only_the_first_page_gives_back),
    };
    return cmocka_run_group_tests_name("mmio", tests, NULL, NULL);
}
