/* SPDX-License-Identifier: MIT */
#include "dev/debug_exit.h"

#include "arch/control.h"
#include "arch/io.h"
#include "dev/serial.h"

enum { QEMU_EXIT = 0xf4, PASS = 0x10, FAIL = 0x11, BOCHS_SHUTDOWN = 0x8900 };

void debug_exit(bool pass)
{
    interrupts_off();
    serial_flush(SERIAL_CONSOLE);
    outb(QEMU_EXIT, pass ? PASS : FAIL);
    for (const char *c = "Shutdown"; *c; c++)
        outb(BOCHS_SHUTDOWN, (uint8_t)*c);
    for (;;)
        __asm__ volatile("cli; hlt");
}
