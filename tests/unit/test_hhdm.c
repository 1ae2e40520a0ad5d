/* SPDX-License-Identifier: MIT */
/* test_hhdm.c - the direct map: one addition, and calls that have nothing to do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <mem/kmap.h>

#define BASE ((vword_t)0xffff800000000000ull)

static void a_frame_is_one_addition_away(void **state)
{
    (void)state;
    physmap_init(VA(BASE), NULL, 0);
    assert_true((vword_t)kmap(PFN(0)) == BASE);
    assert_true((vword_t)kmap(PFN(0x12345)) == BASE + 0x12345000);
    kunmap(kmap(PFN(1)));
    assert_true((vword_t)kmap(PFN(1)) == BASE + 0x1000);
    physmap_init(VA(BASE + 0x1000), NULL, 0);
    assert_true((vword_t)kmap(PFN(1)) == BASE + 0x2000);
}

static void never(unsigned slot, pfn_t frame, const void *caller, void *ctx)
{
    (void)caller;
    (void)ctx;
    fail_msg("slot %u holds frame 0x%zx", slot, (size_t)frame.v);
}

static void nothing_is_held(void **state)
{
    (void)state;
    struct kmap_stats stats = {1, 1, 1, 1};
    (void)kmap(PFN(7));
    kmap_stats(&stats);
    assert_true(!stats.live && !stats.peak && !stats.refused && !stats.slots);
    kmap_each_live(never, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_is_one_addition_away),
        cmocka_unit_test(nothing_is_held),
    };
    return cmocka_run_group_tests_name("hhdm", tests, NULL, NULL);
}
