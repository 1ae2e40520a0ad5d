/* SPDX-License-Identifier: MIT */
/* serial.c - a 16550 at 0x3f8 (National PC16550D data sheet, section 8). */
#include "dev/serial.h"

#include "arch/io.h"

enum {
    COM1 = 0x3f8,
    DATA = COM1,
    INTERRUPTS = COM1 + 1,
    FIFO = COM1 + 2,
    LINE = COM1 + 3,
    MODEM = COM1 + 4,
    LINE_STATUS = COM1 + 5,

    LINE_8N1 = 0x03,
    LINE_DIVISOR = 0x80,
    MODEM_READY = 0x0b, /* DTR RTS OUT2: OUT2 lets the interrupt through */
    MODEM_LOOP = 0x1e,
    STATUS_RECEIVED = 0x01,
    STATUS_ROOM = 0x20,
    STATUS_EMPTY = 0x40,
    PATIENCE = 100000,
};

static bool present;

static bool loops_back(void)
{
    outb(MODEM, MODEM_LOOP);
    outb(DATA, 0xae);
    for (unsigned i = 0; i < PATIENCE; i++) {
        if (inb(LINE_STATUS) & STATUS_RECEIVED)
            return inb(DATA) == 0xae;
    }
    return false;
}

bool serial_init(void)
{
    outb(INTERRUPTS, 0);
    outb(LINE, LINE_DIVISOR);
    outb(DATA, 1); /* 115200 / 1 */
    outb(INTERRUPTS, 0);
    outb(LINE, LINE_8N1);
    outb(FIFO, 0xc7); /* on, cleared, interrupt at 14 bytes or a pause */
    present = inb(LINE_STATUS) != 0xff && loops_back();
    outb(MODEM, MODEM_READY);
    return present;
}

static void wait_for(uint8_t status)
{
    for (unsigned i = 0; i < PATIENCE && !(inb(LINE_STATUS) & status); i++)
        ;
}

static void put(char c)
{
    wait_for(STATUS_ROOM);
    outb(DATA, (uint8_t)c);
}

void serial_write(const char *text, size_t bytes)
{
    for (size_t i = 0; present && i < bytes; i++) {
        if (text[i] == '\n')
            put('\r');
        put(text[i]);
    }
}

void serial_flush(void)
{
    if (present)
        wait_for(STATUS_EMPTY);
}

int serial_read(void)
{
    return present && inb(LINE_STATUS) & STATUS_RECEIVED ? inb(DATA) : -1;
}

void serial_interrupts_on(void)
{
    if (present)
        outb(INTERRUPTS, 1);
}
