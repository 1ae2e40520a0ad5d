/* SPDX-License-Identifier: MIT */
/* pic.c - Intel 8259A data sheet: ICW1-4 to remap, OCW2 to end an interrupt, OCW3 to see ISR. */
#include "dev/pic.h"

#include <stdbool.h>
#include <stddef.h>

#include "arch/io.h"

enum {
    MASTER = 0x20,
    SLAVE = 0xa0,
    VECTOR_BASE = 0x20,
    START = 0x11, /* ICW1: edge, cascade, ICW4 follows */
    MODE_8086 = 1,
    READ_IN_SERVICE = 0x0b,
    END = 0x20,
};

static void (*handlers[IRQS])(void);
static uint16_t mask = 0xffff;

static void write_mask(void)
{
    outb(MASTER + 1, (uint8_t)mask);
    outb(SLAVE + 1, (uint8_t)(mask >> 8));
}

void pic_init(void)
{
    outb(MASTER, START);
    outb(SLAVE, START);
    outb(MASTER + 1, VECTOR_BASE);
    outb(SLAVE + 1, VECTOR_BASE + 8);
    outb(MASTER + 1, 1 << IRQ_CASCADE);
    outb(SLAVE + 1, IRQ_CASCADE);
    outb(MASTER + 1, MODE_8086);
    outb(SLAVE + 1, MODE_8086);
    write_mask();
}

void irq_install(unsigned irq, void (*handler)(void))
{
    handlers[irq] = handler;
    mask &= (uint16_t) ~(1u << irq);
    if (irq >= 8)
        mask &= (uint16_t) ~(1u << IRQ_CASCADE);
    write_mask();
}

/* A line that fell before it was asked for comes as IRQ 7 or 15 and is not in service. */
static bool is_spurious(unsigned irq)
{
    if (irq != 7 && irq != 15)
        return false;
    uint16_t port = irq == 7 ? MASTER : SLAVE;
    outb(port, READ_IN_SERVICE);
    return !(inb(port) & 0x80);
}

void pic_dispatch(unsigned vector)
{
    unsigned irq = vector - VECTOR_BASE;
    bool spurious = is_spurious(irq);
    if (!spurious && handlers[irq])
        handlers[irq]();
    if (irq >= 8 && !spurious)
        outb(SLAVE, END);
    if (irq >= 8 || !spurious)
        outb(MASTER, END);
}
