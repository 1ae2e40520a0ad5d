/* SPDX-License-Identifier: MIT */
/*
 * input.h - keyboard and serial port as one stream of bytes.
 *
 * Interrupts fill a ring; the timer looks at both devices too, so that a machine whose IRQ 1 or 4
 * never comes is slower, not deaf.
 */
#ifndef DIAG_INPUT_H
#define DIAG_INPUT_H

void input_init(void);   /* PIC, timer, keyboard, serial; turns interrupts on */
int input_getchar(void); /* the next byte; halts the CPU until there is one   */
int input_try(void);     /* -1: nothing there                                 */

/* `serve` is called whenever input_getchar has nothing to give, at least a hundred times a second.
 */
void input_on_idle(void (*serve)(void));

#endif
