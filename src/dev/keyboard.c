/* SPDX-License-Identifier: MIT */
/* keyboard.c - scan codes to characters. The controller is left as the firmware set it up. */
#include "dev/keyboard.h"

#include <stddef.h>

#include "arch/io.h"

enum {
    DATA = 0x60,
    STATUS = 0x64,
    STATUS_FULL = 0x01,
    STATUS_MOUSE = 0x20,
    RELEASED = 0x80,
    EXTENDED = 0xe0,
    LEFT_SHIFT = 0x2a,
    RIGHT_SHIFT = 0x36,
    CONTROL = 0x1d,
    CAPS_LOCK = 0x3a,
};

static const char plain[] =
    "\0\0331234567890-=\177\tqwertyuiop[]\r\0asdfghjkl;'`\0\\zxcvbnm,./\0*\0 ";
static const char shifted[] =
    "\0\033!@#$%^&*()_+\177\tQWERTYUIOP{}\r\0ASDFGHJKL:\"~\0|ZXCVBNM<>?\0*\0 ";

static const struct {
    unsigned char code;
    const char *text;
} arrows[] = {
    {0x48, "\033[A"}, {0x50, "\033[B"},  {0x4d, "\033[C"},  {0x4b, "\033[D"},  {0x47, "\033[H"},
    {0x4f, "\033[F"}, {0x53, "\033[3~"}, {0x49, "\033[5~"}, {0x51, "\033[6~"},
};

static bool shift, control, caps, extended;

static bool modifier(unsigned code, bool down)
{
    if (code == LEFT_SHIFT || code == RIGHT_SHIFT)
        shift = down;
    else if (code == CONTROL)
        control = down;
    else if (code == CAPS_LOCK)
        caps ^= down;
    else
        return false;
    return true;
}

static const char *arrow(unsigned code)
{
    for (unsigned i = 0; i < sizeof arrows / sizeof arrows[0]; i++) {
        if (arrows[i].code == code)
            return arrows[i].text;
    }
    return NULL;
}

static const char *character(unsigned code)
{
    static char text[2];
    if (code >= sizeof plain - 1)
        return NULL;
    char low = plain[code];
    bool letter = low >= 'a' && low <= 'z';
    char c = shift != (caps && letter) ? shifted[code] : low;
    if (control && letter)
        c = (char)(low & 0x1f);
    text[0] = c;
    return c ? text : NULL;
}

static const char *decode(unsigned code)
{
    bool down = !(code & RELEASED), was_extended = extended;
    extended = code == EXTENDED;
    code &= (unsigned)~RELEASED;
    if (extended || (modifier(code, down) && !was_extended) || !down)
        return NULL;
    if (was_extended)
        return arrow(code);
    return character(code);
}

bool keyboard_poll(const char **text)
{
    unsigned status = inb(STATUS);
    if (status == 0xff || !(status & STATUS_FULL))
        return false;
    unsigned code = inb(DATA);
    *text = status & STATUS_MOUSE ? NULL : decode(code);
    return true;
}
