/* SPDX-License-Identifier: MIT */
/* font.c - finds bitmap and Unicode table in a PSF file (linux/Documentation: kbd, psf.5). */
#include "dev/font.h"

#include <stddef.h>

#include "lib/string.h"

extern const uint8_t font_psf[], font_psf_end[];

enum { DIRECT = 0x180, TABLE = 512 };

static const uint8_t *unicode; /* the table behind the bitmaps, NULL: none */
static bool utf8_table;        /* version 2 writes it in UTF-8, version 1 in 16-bit words */
static uint16_t glyph_of[DIRECT];

static uint32_t u32(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static bool open_version_1(struct font *f)
{
    uint8_t mode = font_psf[2];
    *f = (struct font){.width = 8,
                       .height = font_psf[3],
                       .row_bytes = 1,
                       .glyphs = mode & 1 ? 512 : 256,
                       .glyph_bytes = font_psf[3],
                       .bitmap = font_psf + 4};
    unicode = mode & 2 ? f->bitmap + f->glyphs * f->glyph_bytes : NULL;
    return true;
}

static bool open_version_2(struct font *f)
{
    *f = (struct font){.width = u32(font_psf + 28),
                       .height = u32(font_psf + 24),
                       .glyphs = u32(font_psf + 16),
                       .glyph_bytes = u32(font_psf + 20),
                       .bitmap = font_psf + u32(font_psf + 8)};
    f->row_bytes = (f->width + 7) / 8;
    unicode = u32(font_psf + 12) & 1 ? f->bitmap + f->glyphs * f->glyph_bytes : NULL;
    utf8_table = true;
    return true;
}

/* The next code of the table, or 0xffff at the end of a glyph's list, 0xfffe for a sequence. */
static uint32_t next_code(const uint8_t **at)
{
    const uint8_t *p = *at;
    if (!utf8_table) {
        *at += 2;
        return p[0] | (uint32_t)p[1] << 8;
    }
    unsigned more = p[0] >= 0xfe ? 0 : p[0] >= 0xf0 ? 3 : p[0] >= 0xe0 ? 2 : p[0] >= 0xc0 ? 1 : 0;
    uint32_t code = p[0] >= 0xfe ? 0xff00u | p[0] : more ? p[0] & (0x3fu >> more) : p[0];
    for (unsigned i = 1; i <= more; i++)
        code = code << 6 | (p[i] & 0x3f);
    *at += 1 + more;
    return code;
}

static unsigned search(const struct font *f, uint16_t code)
{
    const uint8_t *at = unicode;
    for (unsigned glyph = 0; glyph < f->glyphs && at + 1 < font_psf_end;) {
        uint32_t found = next_code(&at);
        if (found == code)
            return glyph;
        glyph += found == 0xffff;
    }
    return f->glyphs;
}

bool font_open(struct font *f)
{
    size_t bytes = (size_t)(font_psf_end - font_psf);
    bool known = bytes > 4 && font_psf[0] == 0x36 && font_psf[1] == 0x04
                     ? open_version_1(f)
                     : bytes > 32 && u32(font_psf) == 0x864ab572 && open_version_2(f);
    if (!known || f->glyphs * f->glyph_bytes > bytes || f->height > 64 || f->row_bytes > 4)
        return false;
    for (unsigned code = ' '; unicode && code < DIRECT; code++)
        glyph_of[code] = (uint16_t)search(f, (uint16_t)code);
    return true;
}

const uint8_t *font_glyph(const struct font *f, uint16_t code)
{
    unsigned glyph = !unicode ? code : code < DIRECT ? glyph_of[code] : search(f, code);
    if (glyph >= f->glyphs)
        glyph = unicode ? glyph_of['?'] : '?';
    return f->bitmap + (glyph < f->glyphs ? glyph : 0) * f->glyph_bytes;
}
