/* SPDX-License-Identifier: MIT */
/* font.h - the console font: a PC Screen Font file, version 1 or 2. */
#ifndef DEV_FONT_H
#define DEV_FONT_H

#include <stdbool.h>
#include <stdint.h>

struct font {
    unsigned width, height, row_bytes, glyphs, glyph_bytes;
    const uint8_t *bitmap;
};

/* False: not a font that we can read. */
bool font_open(struct font *font);

/* The rows of a character's glyph, top first, leftmost pixel in bit 7; '?' for one it lacks. */
const uint8_t *font_glyph(const struct font *font, uint16_t code);

#endif
