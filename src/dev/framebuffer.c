/* SPDX-License-Identifier: MIT */
/* framebuffer.c - glyphs as pixels, 16, 24 or 32 bits each; written, never read. */
#include "dev/framebuffer.h"

#include "dev/font.h"
#include "dev/terminal.h"

static const uint32_t palette[16] = {
    /* 0xRRGGBB, ANSI order */
    0x11151c, 0xc95f5f, 0x7fa65a, 0xc2a14d, 0x5b8fc7, 0xa678b8, 0x56a8a0, 0xc9ced6,
    0x667080, 0xf07878, 0xa3d070, 0xf0cc66, 0x7ab4f5, 0xd49ae8, 0x76d6cc, 0xffffff,
};
enum { BACKGROUND = 0 };

static struct {
    uint8_t *pixels;
    struct boot_framebuffer mode;
    unsigned pixel_bytes, columns, cursor_column, cursor_row;
    uint32_t colour[16]; /* the palette as this mode writes it */
    struct font font;
    struct terminal terminal;
    struct terminal_cell cells[TERMINAL_COLUMNS_MAX * TERMINAL_ROWS_MAX];
} fb;

static uint32_t channel(uint32_t eight_bits, unsigned bits, unsigned shift)
{
    return bits ? (bits < 8 ? eight_bits >> (8 - bits) : eight_bits) << shift : 0;
}

static uint32_t encode(uint32_t rgb)
{
    return channel(rgb >> 16 & 255, fb.mode.red_bits, fb.mode.red_shift) |
           channel(rgb >> 8 & 255, fb.mode.green_bits, fb.mode.green_shift) |
           channel(rgb & 255, fb.mode.blue_bits, fb.mode.blue_shift);
}

static void put_pixel(uint8_t *at, uint32_t value)
{
    if (fb.pixel_bytes == 4) {
        *(volatile uint32_t *)at = value;
        return;
    }
    for (unsigned i = 0; i < fb.pixel_bytes; i++)
        ((volatile uint8_t *)at)[i] = (uint8_t)(value >> 8 * i);
}

static void draw_glyph(unsigned column, unsigned row, struct terminal_cell cell, bool inverse)
{
    const uint8_t *glyph = font_glyph(&fb.font, cell.code);
    uint32_t ink = fb.colour[inverse ? BACKGROUND : cell.colour & 15];
    uint32_t paper = fb.colour[inverse ? TERMINAL_DEFAULT_COLOUR : BACKGROUND];
    uint8_t *line = fb.pixels + (size_t)row * fb.font.height * fb.mode.pitch +
                    (size_t)column * fb.font.width * fb.pixel_bytes;
    for (unsigned y = 0; y < fb.font.height; y++, line += fb.mode.pitch) {
        const uint8_t *bits = glyph + y * fb.font.row_bytes;
        for (unsigned x = 0; x < fb.font.width; x++)
            put_pixel(line + x * fb.pixel_bytes, bits[x / 8] >> (7 - x % 8) & 1 ? ink : paper);
    }
}

static void draw(unsigned column, unsigned row, struct terminal_cell cell)
{
    draw_glyph(column, row, cell, false);
}

static void move_cursor(unsigned column, unsigned row)
{
    struct terminal_cell *cells = fb.terminal.cells;
    draw(fb.cursor_column, fb.cursor_row, cells[fb.cursor_row * fb.columns + fb.cursor_column]);
    draw_glyph(column, row, cells[row * fb.columns + column], true);
    fb.cursor_column = column;
    fb.cursor_row = row;
}

static void fill_background(void)
{
    for (uint32_t y = 0; y < fb.mode.height; y++) {
        for (uint32_t x = 0; x < fb.mode.width; x++)
            put_pixel(fb.pixels + (size_t)y * fb.mode.pitch + (size_t)x * fb.pixel_bytes,
                      fb.colour[BACKGROUND]);
    }
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

bool framebuffer_attach(void *pixels, const struct boot_framebuffer *mode)
{
    fb.mode = *mode;
    fb.pixels = pixels;
    fb.pixel_bytes = (mode->bits_per_pixel + 7) / 8;
    if (fb.pixel_bytes < 2 || fb.pixel_bytes > 4 || !font_open(&fb.font))
        return false;
    fb.columns = least(mode->width / fb.font.width, TERMINAL_COLUMNS_MAX);
    unsigned rows = least(mode->height / fb.font.height, TERMINAL_ROWS_MAX);
    if (fb.columns < 40 || rows < 10)
        return false;
    for (unsigned i = 0; i < 16; i++)
        fb.colour[i] = encode(palette[i]);
    fill_background();
    terminal_init(&fb.terminal, fb.columns, rows, fb.cells, draw, move_cursor);
    return true;
}

void framebuffer_write(const char *text, size_t bytes)
{
    terminal_write(&fb.terminal, text, bytes);
}
