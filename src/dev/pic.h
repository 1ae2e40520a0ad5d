/* SPDX-License-Identifier: MIT */
/* pic.h - the two 8259A interrupt controllers: IRQ 0-15 at vectors 0x20-0x2f, masked until wanted.
 */
#ifndef DEV_PIC_H
#define DEV_PIC_H

enum {
    IRQ_TIMER = 0,
    IRQ_KEYBOARD = 1,
    IRQ_CASCADE = 2,
    IRQ_SERIAL_2 = 3,
    IRQ_SERIAL = 4,
    IRQS = 16
};

void pic_init(void);

/* Unmasks the line; the handler runs with interrupts off. */
void irq_install(unsigned irq, void (*handler)(void));

/* The trap code comes here for vectors 0x20-0x2f. */
void pic_dispatch(unsigned vector);

#endif
