/* SPDX-License-Identifier: MIT */
/* test_shell.c - words, quotes, numbers, unknown commands; the console is a buffer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "diag/console.h"
#include "diag/input.h"
#include "diag/json.h"
#include "diag/shell.h"

static char said[4096];
static struct shell_args heard;
static unsigned runs;

void kprintf(const char *format, ...)
{
    va_list args;
    size_t used = strlen(said);
    va_start(args, format);
    vsnprintf(said + used, sizeof said - used, format, args);
    va_end(args);
}

void console_write(const char *text, size_t bytes)
{
    kprintf("%.*s", (int)bytes, text);
}

const char *colour(enum colour which)
{
    (void)which;
    return "";
}

int input_getchar(void)
{
    return '\r';
}

static bool listen(const struct shell_args *args)
{
    heard = *args;
    runs++;
    return args->count == 0 || strcmp(args->word[0], "fail") != 0;
}

static const struct shell_command table[] = {
    {"echo", "echo [WORD...]", "hears words", listen},
    {"eat", "eat", "hears too", listen},
    {NULL, NULL, NULL, NULL},
};

static int set_up(void **state)
{
    (void)state;
    said[0] = 0;
    runs = 0;
    memset(&heard, 0, sizeof heard);
    shell_init(table);
    return 0;
}

static void words(void **state)
{
    (void)state;
    assert_true(shell_execute("echo a  bc   d"));
    assert_int_equal(heard.count, 3);
    assert_string_equal(heard.word[1], "bc");
    assert_true(shell_execute("  echo\t'two words' \"it's\" x'y z'w "));
    assert_int_equal(heard.count, 3);
    assert_string_equal(heard.word[0], "two words");
    assert_string_equal(heard.word[1], "it's");
    assert_string_equal(heard.word[2], "xy zw");
    assert_true(shell_execute("echo ''"));
    assert_int_equal(heard.count, 1);
    assert_string_equal(heard.word[0], "");
}

static void several_commands(void **state)
{
    (void)state;
    assert_true(shell_execute("echo a; eat;;echo b ; "));
    assert_int_equal(runs, 3);
    assert_string_equal(heard.word[0], "b");
    assert_false(shell_execute("echo fail; echo b"));
    assert_string_equal(heard.word[0], "b"); /* the rest still runs */
    assert_true(shell_execute("echo 'a;b'"));
    assert_string_equal(heard.word[0], "a;b");
    assert_true(shell_execute("echo a;echo b"));
    assert_true(shell_execute(""));
    assert_true(shell_execute(" ; "));
}

static void json_flag(void **state)
{
    (void)state;
    assert_true(shell_execute("echo -j x"));
    assert_true(heard.json);
    assert_int_equal(heard.count, 1);
    assert_true(shell_execute("echo x -j"));
    assert_true(heard.json);
    assert_true(shell_execute("echo x -jj"));
    assert_false(heard.json);
    assert_int_equal(heard.count, 2);
}

static void words_too_many_are_refused(void **state)
{
    (void)state;
    assert_false(shell_execute("eat x"));
    assert_int_equal(runs, 0);
    assert_non_null(strstr(said, "usage: eat; it takes no words"));
    assert_false(shell_execute("eat -j x"));
    assert_int_equal(runs, 0);
    assert_non_null(strstr(said, "\"error\":\"no words expected\""));
    assert_true(shell_execute("eat -j"));
    assert_int_equal(runs, 1);
}

static void mistakes_are_told(void **state)
{
    (void)state;
    assert_false(shell_execute("ecko"));
    assert_non_null(strstr(said, "did you mean echo?"));
    assert_false(shell_execute("zzz"));
    assert_non_null(strstr(said, "unknown command zzz; help"));
    assert_false(shell_execute("zzz -j"));
    assert_non_null(strstr(said, "{\"cmd\":\"zzz\",\"error\":\"unknown command\"}"));
    assert_false(shell_execute("echo 'open"));
    assert_non_null(strstr(said, "quote is not closed"));
    assert_false(shell_execute("echo 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17"));
    assert_non_null(strstr(said, "too many words"));
    char line[SHELL_LINE_MAX + 1];
    memset(line, 'x', sizeof line);
    line[SHELL_LINE_MAX] = 0;
    assert_false(shell_execute(line));
    assert_non_null(strstr(said, "longer than"));
    assert_int_equal(runs, 0);
}

static void help_lists_everything(void **state)
{
    (void)state;
    assert_true(shell_execute("help"));
    assert_non_null(strstr(said, "echo [WORD...]"));
    assert_non_null(strstr(said, "hears too"));
    said[0] = 0;
    assert_true(shell_execute("help eat"));
    assert_null(strstr(said, "echo"));
    assert_false(shell_execute("help nothing"));
    said[0] = 0;
    assert_true(shell_execute("help -j"));
    assert_string_equal(said, "{\"cmd\":\"help\",\"commands\":[{\"name\":\"echo\",\"usage\":\"echo "
                              "[WORD...]\",\"summary\":\"hears words\"},{\"name\":\"eat\","
                              "\"usage\":\"eat\",\"summary\":\"hears too\"}]}\n");
}

static void numbers(void **state)
{
    (void)state;
    static const struct {
        const char *word;
        unsigned long long value;
    } good[] = {
        {"0", 0},
        {"42", 42},
        {"0x10", 16},
        {"0XfF", 255},
        {"4K", 4096},
        {"0x2M", 2 << 20},
        {"16G", 16ull << 30},
        {"18446744073709551615", ~0ull},
        {"0xffffffffffffffff", ~0ull},
    };
    static const char *const bad[] = {
        "",
        "x",
        "0x",
        "0xg",
        "12z",
        "-1",
        "1KK",
        "K",
        "18446744073709551616",
        "0x10000000000000000",
        "18446744073709551615K",
        "1 ",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        unsigned long long value = 77;
        assert_true(shell_number(good[i].word, &value));
        assert_true(value == good[i].value);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        unsigned long long value = 77;
        assert_false(shell_number(bad[i], &value));
        assert_true(value == 77);
    }
}

static void json_escapes(void **state)
{
    (void)state;
    struct json j;
    json_begin(&j, "x\"y");
    json_array(&j, "a");
    json_number(&j, NULL, UINT64_MAX);
    json_object(&j, NULL);
    json_end(&j);
    json_end(&j);
    json_address(&j, "p", 0xabc);
    json_bool(&j, "b", true);
    json_string(&j, "s", "\\\n\x01\xc2\xb7");
    json_finish(&j);
    assert_string_equal(said, "{\"cmd\":\"x\\\"y\",\"a\":[18446744073709551615,{}],\"p\":\"0xabc\","
                              "\"b\":true,\"s\":\"\\\\\\u000a\\u0001\xc2\xb7\"}\n");
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(words),
        TEST(several_commands),
        TEST(json_flag),
        TEST(words_too_many_are_refused),
        TEST(mistakes_are_told),
        TEST(help_lists_everything),
        TEST(numbers),
        TEST(json_escapes),
    };
    return cmocka_run_group_tests_name("shell", tests, NULL, NULL);
}
