/* SPDX-License-Identifier: MIT */
/* test_terminal.c - text in, a grid out; and the line editor seen through it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dev/terminal.h"
#include "diag/line_editor.h"

enum { COLUMNS = 10, ROWS = 3 };

static struct terminal terminal;
static struct terminal_cell cells[COLUMNS * ROWS], drawn[COLUMNS * ROWS];

static void draw(unsigned column, unsigned row, struct terminal_cell cell)
{
    assert_true(column < COLUMNS && row < ROWS);
    drawn[row * COLUMNS + column] = cell;
}

static int set_up(void **state)
{
    (void)state;
    terminal_init(&terminal, COLUMNS, ROWS, cells, draw, NULL);
    return 0;
}

static void write_text(const char *text, size_t bytes)
{
    terminal_write(&terminal, text, bytes);
}

/* The screen as lines of text, '.' for blank, '#' for what is not ASCII. */
static void shows(const char *expected)
{
    char text[(COLUMNS + 1) * ROWS + 1], *at = text;
    for (unsigned i = 0; i < COLUMNS * ROWS; i++) {
        uint16_t code = drawn[i].code;
        *at++ = code == ' ' ? '.' : code < 128 ? (char)code : '#';
        if (i % COLUMNS == COLUMNS - 1)
            *at++ = '\n';
    }
    *at = 0;
    assert_string_equal(text, expected);
}

static void put(const char *text)
{
    write_text(text, strlen(text));
}

static void lines_wrap_and_scroll(void **state)
{
    (void)state;
    put("0123456789");
    shows("0123456789\n..........\n..........\n");
    put("ab\n2\r3\n");
    shows("ab........\n3.........\n..........\n");
    put("x\ny\nz");
    shows("x.........\ny.........\nz.........\n");
}

static void sequences(void **state)
{
    (void)state;
    put("\033[91mred\033[0m\033[2Dx\033[K");
    shows("rx........\n..........\n..........\n");
    assert_int_equal(drawn[0].colour, 9);
    assert_int_equal(drawn[1].colour, TERMINAL_DEFAULT_COLOUR);
    put("\033[99C!\033[H\033[Jnew\tt");
    shows("new.....t.\n..........\n..........\n");
    put("\033[1;32mg\033[0;999;1;2;3;4;5m\033[zok");
    put("\b\b..");
}

static void beyond_ascii(void **state)
{
    (void)state;
    put("\xe2\x96\x88\xc2\xb7\xff"
        "a\xe2z");
    shows("###a#z....\n..........\n..........\n");
    assert_int_equal(drawn[0].code, 0x2588);
    assert_int_equal(drawn[1].code, 0xb7);
}

/* ---- the line editor ------------------------------------------------------------------------ */

static const char *candidates(const char *line, size_t length, unsigned i)
{
    static const char *const words[] = {"meminfo", "mmap", "pmm"};
    for (unsigned w = 0; w < 3; w++) {
        if (strncmp(words[w], line, length) == 0 && i-- == 0)
            return words[w];
    }
    return NULL;
}

static struct line_editor editor;

/* Types `keys`; the line, and what the terminal shows of it, must be `expected`. */
static void types(const char *keys, const char *expected)
{
    set_up(NULL);
    line_editor_init(&editor, "", write_text, candidates);
    line_editor_begin(&editor);
    for (const char *k = keys; *k; k++)
        (void)line_editor_byte(&editor, *k);
    assert_string_equal(editor.line, expected);
    for (size_t i = 0; i < strlen(expected) && i < COLUMNS; i++)
        assert_int_equal(drawn[i].code, expected[i]);
    if (strlen(expected) < COLUMNS)
        assert_int_equal(drawn[strlen(expected)].code, ' ');
}

static void keys_edit_the_line(void **state)
{
    (void)state;
    types("abc", "abc");
    types("abc\x7f\x7f", "a");
    types("\x7f\x7fx", "x");
    types("bc\x01"
          "a",
          "abc");
    types("ac\033[Db", "abc");
    types("abc\033[D\033[D\033[3~", "ac");
    types("abc\033[H\033[3~\033[F!", "bc!");
    types("one two\x17", "one ");
    types("one two\x15", "");
    types("abc\x02\x02\x0b", "a");
    types("abc\033[D\033[D\x0bz", "az");
    types("a\033[99;99Zb", "ab");
    types("\033[C\033[D\033[3~", "");
}

static void tab_completes(void **state)
{
    (void)state;
    types("p\t", "pmm ");
    types("me\t", "meminfo ");
    types("x\t", "x");
}

static bool feed(const char *keys)
{
    bool done = false;
    for (; *keys; keys++)
        done = line_editor_byte(&editor, *keys);
    return done;
}

static void history(void **state)
{
    (void)state;
    line_editor_init(&editor, "", write_text, NULL);
    for (unsigned i = 0; i < LINE_HISTORY + 8; i++) {
        char line[] = {'c', (char)('a' + i / 26), (char)('a' + i % 26), '\r', 0};
        line_editor_begin(&editor);
        assert_true(feed(line));
    }
    line_editor_begin(&editor);
    feed("typed");
    feed("\033[A");
    assert_string_equal(editor.line, "cbn"); /* the 40th: the newest */
    feed("\033[A\033[A");
    assert_string_equal(editor.line, "cbl");
    feed("\033[B\033[B\033[B");
    assert_string_equal(editor.line, "typed");
    for (unsigned i = 0; i < 100; i++)
        feed("\033[A");
    assert_string_equal(editor.line, "cai"); /* the oldest that is kept */
    assert_true(feed("\r"));
    line_editor_begin(&editor);
    feed("x\x03");
    assert_string_equal(editor.line, "");
}

static void a_line_never_overflows(void **state)
{
    (void)state;
    line_editor_init(&editor, "", write_text, NULL);
    line_editor_begin(&editor);
    for (unsigned i = 0; i < 1000; i++)
        (void)line_editor_byte(&editor, 'x');
    assert_int_equal(strlen(editor.line), LINE_BYTES - 1);
    feed("\033[1234567890123456789012345678901234567890~\x17");
    assert_string_equal(editor.line, "");
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lines_wrap_and_scroll),  TEST(sequences),     TEST(beyond_ascii),
        TEST(keys_edit_the_line),     TEST(tab_completes), TEST(history),
        TEST(a_line_never_overflows),
    };
    return cmocka_run_group_tests_name("terminal", tests, NULL, NULL);
}
