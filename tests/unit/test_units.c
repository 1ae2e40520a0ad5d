/* SPDX-License-Identifier: MIT */
/* test_units.c - sizes and shares as people read them, at every boundary. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <mem/paging.h>

#include "diag/units.h"

static void sizes_are_cut_not_rounded(void **state)
{
    (void)state;
    assert_string_equal(size_text(0).text, "0 B");
    assert_string_equal(size_text(1023).text, "1023 B");
    assert_string_equal(size_text(1024).text, "1 KiB");
    assert_string_equal(size_text(1536).text, "1.5 KiB");
    assert_string_equal(size_text((64ull << 20) - 1).text, "63.9 MiB");
    assert_string_equal(size_text(1ull << 40).text, "1 TiB");
    assert_string_equal(size_text(UINT64_MAX).text, "15.9 EiB");
}

static void shares_are_right_at_every_size(void **state)
{
    (void)state;
    assert_int_equal(permille(0, 0), 0);
    assert_int_equal(permille(1, 3), 333);
    assert_int_equal(permille(7, 7), 1000);
    assert_int_equal(permille(1ull << 40, 1ull << 41), 500);
    assert_int_equal(permille(UINT64_MAX, UINT64_MAX), 1000);
}

static void permissions_have_fixed_places(void **state)
{
    (void)state;
    assert_string_equal(perm_text(0, false, false).text, "r------");
    assert_string_equal(perm_text(MAP_WRITE | MAP_EXEC | MAP_USER | MAP_GLOBAL, true, true).text,
                        "rwxugad");
    assert_string_equal(perm_letters(0, false, false).text, "r");
    assert_string_equal(perm_letters(MAP_WRITE | MAP_GLOBAL, true, false).text, "rwga");
    assert_string_equal(cache_name(MAP_CACHE_WB), "wb");
    assert_string_equal(cache_name(MAP_CACHE_WC | MAP_WRITE), "wc");
    assert_string_equal(page_name(4096), "4K");
    assert_string_equal(page_name(2 << 20), "2M");
    assert_string_equal(page_name(4 << 20), "4M");
    assert_string_equal(page_name(1 << 30), "1G");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_cut_not_rounded),
        cmocka_unit_test(shares_are_right_at_every_size),
        cmocka_unit_test(permissions_have_fixed_places),
    };
    return cmocka_run_group_tests_name("units", tests, NULL, NULL);
}
