/* SPDX-License-Identifier: MIT */
/* test_cmdline.c - words, quotes and cuts of the kernel command line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cmdline.h"

static void finds(const char *line, const char *key, const char *expected)
{
    char value[64] = "untouched";
    assert_true(cmdline_find(line, key, value, sizeof value));
    assert_string_equal(value, expected);
}

static void a_word_is_found_anywhere(void **state)
{
    (void)state;
    finds("selftest", "selftest", "");
    finds("  quiet   selftest  ", "selftest", "");
    finds("a b=1 c", "b", "1");
    assert_true(cmdline_find("x selftest", "selftest", NULL, 0));
}

static void a_part_of_a_word_is_not_the_word(void **state)
{
    (void)state;
    char value[8] = "same";
    assert_false(cmdline_find("selftests", "selftest", value, sizeof value));
    assert_false(cmdline_find("myselftest", "selftest", value, sizeof value));
    assert_false(cmdline_find("x=selftest", "selftest", value, sizeof value));
    assert_false(cmdline_find("", "selftest", value, sizeof value));
    assert_string_equal(value, "same");
}

/* GRUB puts the quotes around the whole word, a person around the value. */
static void quotes_may_stand_anywhere(void **state)
{
    (void)state;
    finds("run=\"mmap; pmm -j\" quiet", "run", "mmap; pmm -j");
    finds("\"run=mmap; pmm -j\" quiet", "run", "mmap; pmm -j");
    finds("run='walk 0x10' x", "run", "walk 0x10");
    finds("run=\"a 'b' c\"", "run", "a 'b' c");
    finds("run=a\\ b", "run", "a b");
    finds("run=\\\"a\\\"", "run", "\"a\"");
    finds("run=\"never closed", "run", "never closed");
}

static void the_last_one_wins(void **state)
{
    (void)state;
    finds("break=1 break=2", "break", "2");
}

static void a_long_value_is_cut_and_ended(void **state)
{
    (void)state;
    char line[600] = "run=", value[4];
    memset(line + 4, 'x', 590);
    line[594] = 0;
    assert_true(cmdline_find(line, "run", value, sizeof value));
    assert_string_equal(value, "xxx");
}

static unsigned number(const char *line)
{
    unsigned value = 7;
    assert_true(cmdline_number(line, "n", &value));
    return value;
}

static void a_number_is_decimal_and_does_not_wrap(void **state)
{
    (void)state;
    unsigned value = 7;
    assert_false(cmdline_number("m=1", "n", &value));
    assert_int_equal(value, 7);
    assert_int_equal(number("n=20 m=1"), 20);
    assert_int_equal(number("n"), 0);
    assert_int_equal(number("n=12x"), 12);
    assert_int_equal(number("n=4294967294"), 4294967294u);
    assert_int_equal(number("n=4294967296"), 4294967295u);
    assert_int_equal(number("n=99999999999999999999"), 4294967295u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_word_is_found_anywhere),
        cmocka_unit_test(a_part_of_a_word_is_not_the_word),
        cmocka_unit_test(quotes_may_stand_anywhere),
        cmocka_unit_test(the_last_one_wins),
        cmocka_unit_test(a_long_value_is_cut_and_ended),
        cmocka_unit_test(a_number_is_decimal_and_does_not_wrap),
    };
    return cmocka_run_group_tests_name("cmdline", tests, NULL, NULL);
}
