/* SPDX-License-Identifier: MIT */
/*
 * terminal.c - bytes to cells.
 *
 * Scrolling moves the cells and draws only those that changed: the framebuffer is never read, and
 * a screen of mostly blank lines is cheap.
 */
#include "dev/terminal.h"

#include "lib/string.h"

enum { TAB = 8, ESC = 27, REPLACEMENT = 0xfffd };

static bool same(struct terminal_cell a, struct terminal_cell b)
{
    return a.code == b.code && (a.colour == b.colour || a.code == ' ');
}

static void put_cell(struct terminal *t, unsigned column, unsigned row, struct terminal_cell cell)
{
    struct terminal_cell *at = &t->cells[row * t->columns + column];
    if (same(*at, cell))
        return;
    *at = cell;
    t->draw(column, row, cell);
}

static void erase(struct terminal *t, unsigned row, unsigned from, unsigned to)
{
    for (unsigned column = from; column < to; column++)
        put_cell(t, column, row, (struct terminal_cell){' ', TERMINAL_DEFAULT_COLOUR});
}

void terminal_init(struct terminal *t, unsigned columns, unsigned rows, struct terminal_cell *cells,
                   void (*draw)(unsigned column, unsigned row, struct terminal_cell cell),
                   void (*cursor)(unsigned column, unsigned row))
{
    *t = (struct terminal){.columns = columns,
                           .rows = rows,
                           .draw = draw,
                           .cursor = cursor,
                           .cells = cells,
                           .colour = TERMINAL_DEFAULT_COLOUR};
    memset(cells, 0, columns * rows * sizeof *cells);
    for (unsigned row = 0; row < rows; row++)
        erase(t, row, 0, columns);
}

static void scroll(struct terminal *t)
{
    for (unsigned row = 0; row + 1 < t->rows; row++) {
        for (unsigned column = 0; column < t->columns; column++)
            put_cell(t, column, row, t->cells[(row + 1) * t->columns + column]);
    }
    erase(t, t->rows - 1, 0, t->columns);
}

static void new_line(struct terminal *t)
{
    t->column = 0;
    if (t->row + 1 < t->rows)
        t->row++;
    else
        scroll(t);
}

static void put_code(struct terminal *t, uint32_t code)
{
    if (t->column == t->columns)
        new_line(t);
    put_cell(t, t->column++, t->row,
             (struct terminal_cell){(uint16_t)(code < 0x10000 ? code : REPLACEMENT), t->colour});
}

/* One SGR parameter (ECMA-48 8.3.117): reset, bold, dim, colours. */
static void set_colour(struct terminal *t, unsigned n)
{
    if (n == 0)
        t->colour = TERMINAL_DEFAULT_COLOUR;
    else if (n == 1)
        t->colour |= 8;
    else if (n == 2)
        t->colour &= 7;
    else if (n >= 30 && n <= 37)
        t->colour = (uint8_t)((t->colour & 8) | (n - 30));
    else if (n >= 90 && n <= 97)
        t->colour = (uint8_t)(8 | (n - 90));
}

static void home_and_clear(struct terminal *t)
{
    for (unsigned row = 0; row < t->rows; row++)
        erase(t, row, 0, t->columns);
}

static void run_sequence(struct terminal *t, char final)
{
    unsigned n = t->parameter[0], by = n ? n : 1;
    switch (final) {
    case 'm':
        for (unsigned i = 0; i <= t->parameters && i < 4; i++)
            set_colour(t, t->parameter[i]);
        break;
    case 'C':
        t->column = by < t->columns - t->column ? t->column + by : t->columns - 1;
        break;
    case 'D':
        t->column = by < t->column ? t->column - by : 0;
        break;
    case 'H':
        t->column = t->row = 0;
        break;
    case 'J':
        home_and_clear(t);
        break;
    case 'K':
        erase(t, t->row, t->column < t->columns ? t->column : t->columns - 1, t->columns);
        break;
    default:
        break;
    }
}

static void escape_byte(struct terminal *t, char c)
{
    if (t->escape == 1) {
        t->escape = c == '[' ? 2 : 0;
        t->parameters = 0;
        memset(t->parameter, 0, sizeof t->parameter);
        return;
    }
    if (c >= '0' && c <= '9') {
        if (t->parameters < 4 && t->parameter[t->parameters] < 1000)
            t->parameter[t->parameters] = t->parameter[t->parameters] * 10 + (unsigned)(c - '0');
    } else if (c == ';') {
        t->parameters++;
    } else {
        run_sequence(t, c);
        t->escape = 0;
    }
}

static void control_byte(struct terminal *t, char c)
{
    if (c == '\n')
        new_line(t);
    else if (c == '\r')
        t->column = 0;
    else if (c == '\b')
        t->column -= t->column > 0;
    else if (c == '\t')
        while (t->column < t->columns && (put_code(t, ' '), t->column % TAB))
            ;
    else if (c == ESC)
        t->escape = 1;
}

/* RFC 3629, basic plane; a byte out of place shows as the replacement character. */
static void utf8_byte(struct terminal *t, uint8_t c)
{
    if ((c & 0xc0) == 0x80 && t->utf8_left) {
        t->utf8 = t->utf8 << 6 | (c & 0x3f);
        if (!--t->utf8_left)
            put_code(t, t->utf8);
        return;
    }
    t->utf8_left = c >= 0xf8 ? 0 : c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc0 ? 1 : 0;
    t->utf8 = t->utf8_left ? c & (0x3fu >> t->utf8_left) : 0;
    if (!t->utf8_left)
        put_code(t, REPLACEMENT);
}

static void put_byte(struct terminal *t, char c)
{
    if (t->utf8_left && ((uint8_t)c & 0xc0) != 0x80) { /* a sequence broke off */
        t->utf8_left = 0;
        put_code(t, REPLACEMENT);
    }
    if (t->escape)
        escape_byte(t, c);
    else if ((uint8_t)c >= 0x80)
        utf8_byte(t, (uint8_t)c);
    else if ((uint8_t)c < ' ' || c == 127)
        control_byte(t, c);
    else
        put_code(t, (uint8_t)c);
}

void terminal_write(struct terminal *t, const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        put_byte(t, text[i]);
    if (t->cursor)
        t->cursor(t->column < t->columns ? t->column : t->columns - 1, t->row);
}
