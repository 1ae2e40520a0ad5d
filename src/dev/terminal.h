/* SPDX-License-Identifier: MIT */
/*
 * terminal.h - a grid of cells that understands text: UTF-8, and the few ANSI sequences that the
 * console and the line editor write (SGR colours, cursor moves, erase). VGA text and the
 * framebuffer give it a way to draw a cell and share the rest.
 */
#ifndef DEV_TERMINAL_H
#define DEV_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TERMINAL_COLUMNS_MAX = 240, TERMINAL_ROWS_MAX = 100, TERMINAL_DEFAULT_COLOUR = 7 };

struct terminal_cell {
    uint16_t code;  /* Unicode, basic plane */
    uint8_t colour; /* 0-15, as ANSI and VGA number them, in ANSI order */
};

struct terminal {
    unsigned columns, rows;
    void (*draw)(unsigned column, unsigned row, struct terminal_cell cell);
    void (*cursor)(unsigned column, unsigned row); /* may be NULL */
    struct terminal_cell *cells;                   /* columns * rows of the caller's */

    unsigned column, row;
    uint8_t colour;
    unsigned escape; /* 0 plain, 1 after ESC, 2 within ESC [ */
    unsigned parameter[4], parameters;
    uint32_t utf8;      /* bits gathered so far */
    unsigned utf8_left; /* bytes still to come  */
};

/* Clears cells and screen. */
void terminal_init(struct terminal *t, unsigned columns, unsigned rows, struct terminal_cell *cells,
                   void (*draw)(unsigned column, unsigned row, struct terminal_cell cell),
                   void (*cursor)(unsigned column, unsigned row));

void terminal_write(struct terminal *t, const char *text, size_t bytes);

#endif
