/* SPDX-License-Identifier: MIT */
#include "dev/pit.h"

#include "arch/io.h"
#include "dev/pic.h"

enum { CHANNEL_0 = 0x40, COMMAND = 0x43, RATE_GENERATOR = 0x34, HERTZ = 1193182, TICKS = 100 };

void pit_start(void (*tick)(void))
{
    enum { DIVISOR = HERTZ / TICKS };
    outb(COMMAND, RATE_GENERATOR);
    outb(CHANNEL_0, DIVISOR & 0xff);
    outb(CHANNEL_0, DIVISOR >> 8);
    irq_install(IRQ_TIMER, tick);
}
