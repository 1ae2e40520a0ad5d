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

static const struct paging_features features = {
    .pse = true,
    .pge = true,
    .pat = true,
    .nx = WIDE,
    .wp = true,
    .phys_bits = WIDE ? 40 : 32,
    .virt_bits = WIDE ? 48 : 32,
};
static struct aspace as;
static struct mmio_window window;

static int set_up(void **state)
{
    (void)state;
    fake_reset();
    mmio_init(&window, &as, VA(BASE), 64 << 20);
    return paging_create(&as, true, fake_source, &features) != MEM_OK;
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_device_comes_and_goes),
        TEST(guards_lie_between),
        TEST(nonsense_is_refused),
    };
    return cmocka_run_group_tests_name("mmio", tests, NULL, NULL);
}
