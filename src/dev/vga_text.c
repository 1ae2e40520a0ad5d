/* SPDX-License-Identifier: MIT */
/* vga_text.c - cells as the CRT controller reads them: character, attribute (code page 437). */
#include "dev/vga_text.h"

#include "arch/io.h"
#include "dev/terminal.h"

enum { COLUMNS = 80, ROWS = 25, CRTC = 0x3d4, CURSOR_HIGH = 14, CURSOR_LOW = 15 };

static volatile uint16_t *screen;
static struct terminal terminal;
static struct terminal_cell cells[COLUMNS * ROWS];

/* ANSI orders the colours red, green, yellow, blue; VGA has blue in bit 0. */
static uint8_t attribute(uint8_t colour)
{
    return (uint8_t)((colour & 8) | (colour & 2) | (colour & 1) << 2 | (colour & 4) >> 2);
}

/* The few characters beyond ASCII that reports draw with. */
static uint8_t code_page_437(uint16_t code)
{
    switch (code) {
    case 0x2588:
        return 0xdb; /* full block        */
    case 0x2591:
        return 0xb0; /* light shade       */
    case 0x2592:
        return 0xb1; /* medium shade      */
    case 0x2593:
        return 0xb2; /* dark shade        */
    case 0x00b7:
        return 0xfa; /* middle dot        */
    case 0x2500:
        return 0xc4;
    case 0x2502:
        return 0xb3;
    default:
        return code < 0x80 ? (uint8_t)code : '?';
    }
}

static void draw(unsigned column, unsigned row, struct terminal_cell cell)
{
    screen[row * COLUMNS + column] =
        (uint16_t)(attribute(cell.colour) << 8 | code_page_437(cell.code));
}

static void move_cursor(unsigned column, unsigned row)
{
    unsigned at = row * COLUMNS + column;
    outb(CRTC, CURSOR_HIGH);
    outb(CRTC + 1, (uint8_t)(at >> 8));
    outb(CRTC, CURSOR_LOW);
    outb(CRTC + 1, (uint8_t)at);
}

void vga_text_attach(void *memory)
{
    screen = memory;
    if (!terminal.columns)
        terminal_init(&terminal, COLUMNS, ROWS, cells, draw, move_cursor);
}

void vga_text_write(const char *text, size_t bytes)
{
    terminal_write(&terminal, text, bytes);
}
