/* SPDX-License-Identifier: MIT */
/* input.c - a ring between interrupt and reader: one writes head, the other tail. */
#include "diag/input.h"

#include "arch/control.h"
#include "dev/keyboard.h"
#include "dev/pic.h"
#include "dev/pit.h"
#include "dev/serial.h"

enum { RING = 1024, BURST = 64 };

static volatile unsigned head, tail;
static char ring[RING];
static void (*idle)(void);

static void push(char c)
{
    if (head - tail < RING)
        ring[head++ % RING] = c;
}

static void poll_devices(void)
{
    for (unsigned i = 0; i < BURST && head - tail < RING; i++) {
        int c = serial_read(SERIAL_CONSOLE);
        if (c < 0)
            break;
        push((char)c);
    }
    const char *text;
    for (unsigned i = 0; i < BURST && keyboard_poll(&text); i++) {
        for (; text && *text; text++)
            push(*text);
    }
}

void input_init(void)
{
    pic_init();
    irq_install(IRQ_KEYBOARD, poll_devices);
    irq_install(IRQ_SERIAL, poll_devices);
    serial_interrupts_on(SERIAL_CONSOLE);
    pit_start(poll_devices);
    interrupts_on();
}

void input_on_idle(void (*serve)(void))
{
    idle = serve;
}

int input_try(void)
{
    return head != tail ? (unsigned char)ring[tail++ % RING] : -1;
}

int input_getchar(void)
{
    for (;;) {
        if (idle)
            idle();
        interrupts_off();
        int c = input_try();
        if (c >= 0) {
            interrupts_on();
            return c;
        }
        wait_for_interrupt();
    }
}
