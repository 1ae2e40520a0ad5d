/* SPDX-License-Identifier: MIT */
/*
 * cmocka32.c - the part of cmocka's library that our tests call, for the 32-bit builds.
 *
 * Debian's libcmocka comes for one word size, and a second architecture in apt is too much to ask
 * of somebody's machine. cmocka.h is the same for both, so the tests are: on 64 bits they link the
 * real library, on 32 bits this. What a test uses and this lacks does not link.
 *
 * Output is TAP. A failed assertion jumps back to the runner, as in cmocka.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

int global_expecting_assert;
jmp_buf global_expect_assert_env;
const char *global_last_failed_assert;

static jmp_buf leave;
enum { PASSED, FAILED = 1, SKIPPED = 2 };

static void say(const char *format, va_list args)
{
    printf("# ");
    vprintf(format, args);
    fflush(stdout);
}

void vprint_message(const char *const format, va_list args)
{
    say(format, args);
}

void vprint_error(const char *const format, va_list args)
{
    say(format, args);
}

void print_message(const char *const format, ...)
{
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
}

void print_error(const char *const format, ...)
{
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
}

void _fail(const char *const file, const int line)
{
    print_error("%s:%d: failure\n", file, line);
    longjmp(leave, FAILED);
}

void _skip(const char *const file, const int line)
{
    print_message("%s:%d: skipped\n", file, line);
    longjmp(leave, SKIPPED);
}

void mock_assert(const int result, const char *const expression, const char *const file,
                 const int line)
{
    if (result)
        return;
    if (global_expecting_assert) {
        global_last_failed_assert = expression;
        longjmp(global_expect_assert_env, 1);
    }
    print_error("assert(%s)\n", expression);
    _fail(file, line);
}

void _assert_true(const LargestIntegralType result, const char *const expression,
                  const char *const file, const int line)
{
    if (result)
        return;
    print_error("not true: %s\n", expression);
    _fail(file, line);
}

void _assert_return_code(const LargestIntegralType result, size_t rlen,
                         const LargestIntegralType error, const char *const expression,
                         const char *const file, const int line)
{
    (void)rlen;
    if (result <= INT32_MAX)
        return;
    print_error("%s < 0, errno %llu\n", expression, (unsigned long long)error);
    _fail(file, line);
}

static void expect(bool good, LargestIntegralType a, const char *relation, LargestIntegralType b,
                   const char *file, int line)
{
    if (good)
        return;
    print_error("0x%llx %s 0x%llx does not hold\n", (unsigned long long)a, relation,
                (unsigned long long)b);
    _fail(file, line);
}

void _assert_int_equal(const LargestIntegralType a, const LargestIntegralType b,
                       const char *const file, const int line)
{
    expect(a == b, a, "==", b, file, line);
}

void _assert_int_not_equal(const LargestIntegralType a, const LargestIntegralType b,
                           const char *const file, const int line)
{
    expect(a != b, a, "!=", b, file, line);
}

void _assert_in_range(const LargestIntegralType value, const LargestIntegralType minimum,
                      const LargestIntegralType maximum, const char *const file, const int line)
{
    expect(value >= minimum, value, ">=", minimum, file, line);
    expect(value <= maximum, value, "<=", maximum, file, line);
}

void _assert_not_in_range(const LargestIntegralType value, const LargestIntegralType minimum,
                          const LargestIntegralType maximum, const char *const file, const int line)
{
    expect(value < minimum || value > maximum, value, "outside the range from", minimum, file,
           line);
}

static bool is_in_set(LargestIntegralType value, const LargestIntegralType values[], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (values[i] == value)
            return true;
    }
    return false;
}

void _assert_in_set(const LargestIntegralType value, const LargestIntegralType values[],
                    const size_t number_of_values, const char *const file, const int line)
{
    expect(is_in_set(value, values, number_of_values), value, "in set of", number_of_values, file,
           line);
}

void _assert_not_in_set(const LargestIntegralType value, const LargestIntegralType values[],
                        const size_t number_of_values, const char *const file, const int line)
{
    expect(!is_in_set(value, values, number_of_values), value, "not in set of", number_of_values,
           file, line);
}

void _assert_string_equal(const char *const a, const char *const b, const char *const file,
                          const int line)
{
    if (strcmp(a, b) == 0)
        return;
    print_error("\"%s\" != \"%s\"\n", a, b);
    _fail(file, line);
}

void _assert_string_not_equal(const char *const a, const char *const b, const char *file,
                              const int line)
{
    if (strcmp(a, b) != 0)
        return;
    print_error("\"%s\" == \"%s\"\n", a, b);
    _fail(file, line);
}

void _assert_memory_equal(const void *const a, const void *const b, const size_t size,
                          const char *const file, const int line)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char x = ((const unsigned char *)a)[i], y = ((const unsigned char *)b)[i];
        if (x == y)
            continue;
        print_error("byte %zu: 0x%02x != 0x%02x\n", i, x, y);
        _fail(file, line);
    }
}

void _assert_memory_not_equal(const void *const a, const void *const b, const size_t size,
                              const char *const file, const int line)
{
    if (memcmp(a, b, size) != 0)
        return;
    print_error("%zu bytes are the same\n", size);
    _fail(file, line);
}

/* What one fixture or test left behind: PASSED, FAILED or SKIPPED. */
static int fixture(CMFixtureFunction function, void **state)
{
    int left = setjmp(leave);
    if (left)
        return left;
    return function && function(state) ? FAILED : PASSED;
}

static int body(CMUnitTestFunction function, void **state)
{
    int left = setjmp(leave);
    if (left)
        return left;
    function(state);
    return PASSED;
}

static int run(const struct CMUnitTest *test, void *group_state)
{
    void *state = test->initial_state ? test->initial_state : group_state;
    int result = fixture(test->setup_func, &state);
    if (result)
        return result;
    result = body(test->test_func, &state);
    int after = fixture(test->teardown_func, &state);
    return result ? result : after;
}

int _cmocka_run_group_tests(const char *group_name, const struct CMUnitTest *const tests,
                            const size_t num_tests, CMFixtureFunction group_setup,
                            CMFixtureFunction group_teardown)
{
    int failed = 0;
    void *state = NULL;
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("1..%zu\n# %s\n", num_tests, group_name);
    if (fixture(group_setup, &state)) {
        printf("Bail out! the set-up of the group failed\n");
        return (int)num_tests;
    }
    for (size_t i = 0; i < num_tests; i++) {
        int result = run(&tests[i], state);
        printf("%s %zu - %s%s\n", result == FAILED ? "not ok" : "ok", i + 1, tests[i].name,
               result == SKIPPED ? " # SKIP" : "");
        failed += result == FAILED;
    }
    if (fixture(group_teardown, &state)) {
        printf("Bail out! the tear-down of the group failed\n");
        failed++;
    }
    return failed;
}
