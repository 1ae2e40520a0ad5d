/* SPDX-License-Identifier: MIT */
/* serial.c - 16550s at 0x3f8 and 0x2f8 (National PC16550D data sheet, section 8). */
#include "dev/serial.h"

#include "arch/io.h"

enum {
    DATA = 0,
    INTERRUPTS = 1,
    FIFO = 2,
    LINE = 3,
    MODEM = 4,
    LINE_STATUS = 5,

    LINE_8N1 = 0x03,
    LINE_DIVISOR = 0x80,
    MODEM_READY = 0x0b, /* DTR RTS OUT2: OUT2 lets the interrupt through */
    MODEM_LOOP = 0x1e,
    STATUS_RECEIVED = 0x01,
    STATUS_ROOM = 0x20,
    STATUS_EMPTY = 0x40,
    PROBE = 0xae,
    PATIENCE = 100000,         /* looks, for what takes microseconds                     */
    LONG_PATIENCE = 100000000, /* for a far end that is busy: an emulator's may take seconds */
};

static const uint16_t base[SERIAL_LINES] = {[SERIAL_CONSOLE] = 0x3f8, [SERIAL_REPORTS] = 0x2f8};
static bool present[SERIAL_LINES], stuck[SERIAL_LINES];

static bool has(enum serial_line line, uint8_t status)
{
    return inb((uint16_t)(base[line] + LINE_STATUS)) & status;
}

static void set(enum serial_line line, unsigned reg, uint8_t value)
{
    outb((uint16_t)(base[line] + reg), value);
}

/* What came before somebody listened may still lie in front: not every UART clears its queue. */
static bool loops_back(enum serial_line line)
{
    set(line, MODEM, MODEM_LOOP);
    set(line, DATA, PROBE);
    for (unsigned i = 0; i < PATIENCE; i++) {
        if (has(line, STATUS_RECEIVED) && inb(base[line]) == PROBE)
            return true;
    }
    return false;
}

bool serial_init(enum serial_line line)
{
    set(line, INTERRUPTS, 0);
    set(line, LINE, LINE_DIVISOR);
    set(line, DATA, 1); /* 115200 / 1 */
    set(line, INTERRUPTS, 0);
    set(line, LINE, LINE_8N1);
    set(line, FIFO, 0xc7); /* on, cleared, interrupt at 14 bytes or a pause */
    present[line] = inb((uint16_t)(base[line] + LINE_STATUS)) != 0xff && loops_back(line);
    set(line, MODEM, MODEM_READY);
    return present[line];
}

/* Waits for a far end that does not read: long, but only once. */
static bool comes(enum serial_line line, uint8_t status)
{
    unsigned looks = stuck[line] ? 1 : LONG_PATIENCE;
    stuck[line] = true;
    while (stuck[line] && looks--)
        stuck[line] = !has(line, status);
    return !stuck[line];
}

/* No byte is written over one that has not gone. */
static void put(enum serial_line line, char c)
{
    if (comes(line, STATUS_ROOM))
        set(line, DATA, (uint8_t)c);
}

void serial_write(enum serial_line line, const char *text, size_t bytes)
{
    for (size_t i = 0; present[line] && i < bytes; i++) {
        if (text[i] == '\n')
            put(line, '\r');
        put(line, text[i]);
    }
}

void serial_flush(enum serial_line line)
{
    if (present[line])
        comes(line, STATUS_EMPTY);
}

int serial_read(enum serial_line line)
{
    return present[line] && has(line, STATUS_RECEIVED) ? inb(base[line]) : -1;
}

void serial_interrupts_on(enum serial_line line)
{
    if (present[line])
        set(line, INTERRUPTS, 1);
}
