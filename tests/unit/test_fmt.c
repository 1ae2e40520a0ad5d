/* SPDX-License-Identifier: MIT */
/* test_fmt.c - fmt against the C library, over every combination that fits in a loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/fmt.h"

#pragma GCC diagnostic ignored "-Wformat"
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-truncation"

static const char *const flags[] = {"",   "-",  "0",  "+",  " ",  "#",
                                    "-0", "+0", "-+", "0#", "-#", "+-0# "};
static const char *const widths[] = {"", "1", "5", "20"};
static const char *const precisions[] = {"", ".", ".0", ".1", ".7", ".22"};

static void same(const char *format, unsigned long long value, bool wide)
{
    char ours[128], theirs[128];
    size_t a;
    int b;
    if (wide) {
        a = fmt(ours, sizeof ours, format, value);
        b = snprintf(theirs, sizeof theirs, format, value);
    } else {
        a = fmt(ours, sizeof ours, format, (unsigned)value);
        b = snprintf(theirs, sizeof theirs, format, (unsigned)value);
    }
    if (a != (size_t)b || strcmp(ours, theirs) != 0)
        fail_msg("\"%s\" of %llx: \"%s\", should be \"%s\"", format, value, ours, theirs);
}

static void numbers(void **state)
{
    (void)state;
    static const unsigned long long values[] = {
        0,
        1,
        7,
        8,
        9,
        10,
        15,
        16,
        255,
        65535,
        65536,
        99999,
        0x7fffffff,
        0x80000000,
        0xffffffff,
        0x100000000,
        999999999999,
        0x7fffffffffffffff,
        0x8000000000000000,
        0xffffffffffffffff,
    };
    static const char *const lengths[] = {"hh", "h", "", "ll"};
    for (size_t f = 0; f < sizeof flags / sizeof *flags; f++)
        for (size_t w = 0; w < 4; w++)
            for (size_t p = 0; p < 6; p++)
                for (size_t l = 0; l < 4; l++)
                    for (const char *c = "diuoxX"; *c; c++)
                        for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
                            char format[32];
                            snprintf(format, sizeof format, "%%%s%s%s%s%c", flags[f], widths[w],
                                     precisions[p], lengths[l], *c);
                            same(format, values[v], l == 3);
                        }
}

static void text_and_characters(void **state)
{
    (void)state;
    char ours[64], theirs[64];
    static const char *const formats[] = {"%s", "%8s", "%-8s|", "%.2s", "%8.2s", "%-8.0s|", "a%%b"};
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        fmt(ours, sizeof ours, formats[i], "hello");
        snprintf(theirs, sizeof theirs, formats[i], "hello");
        assert_string_equal(ours, theirs);
    }
    fmt(ours, sizeof ours, "%c|%3c|%-3c|", 'x', 'y', 'z');
    assert_string_equal(ours, "x|  y|z  |");
    fmt(ours, sizeof ours, "%*d|%-*d|%.*d|%*s", 5, 42, 5, 42, 4, 42, -4, "s");
    assert_string_equal(ours, "   42|42   |0042|s   ");
    fmt(ours, sizeof ours, "%zu %td %lu %p", (size_t)7, (ptrdiff_t)-7, 9ul, (void *)0xabc);
    assert_string_equal(ours, "7 -7 9 0xabc");
    const char *volatile none = NULL;
    fmt(ours, sizeof ours, "%s", none);
    assert_string_equal(ours, "(null)");
}

static void never_past_the_buffer(void **state)
{
    (void)state;
    for (size_t room = 0; room < 20; room++) {
        char buffer[32];
        memset(buffer, 0x7e, sizeof buffer);
        assert_int_equal(fmt(buffer, room, "%d:%s", 12345, "abcdef"), 12);
        for (size_t i = room; i < sizeof buffer; i++)
            assert_int_equal(buffer[i], 0x7e);
        if (room)
            assert_int_equal(strlen(buffer), room - 1 < 12 ? room - 1 : 12);
    }
    char buffer[8];
    assert_int_equal(fmt(buffer, sizeof buffer, "ends in %"), 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers),
        cmocka_unit_test(text_and_characters),
        cmocka_unit_test(never_past_the_buffer),
    };
    return cmocka_run_group_tests_name("fmt", tests, NULL, NULL);
}
