/* SPDX-License-Identifier: MIT */
/*
 * serial.h - COM1 and COM2 at 115200 8N1. Every wait is bounded: an absent UART costs time, never a
 * hang, and whatever is written to it is gone. A far end that does not read is waited for, 10^8 looks
 * long; what comes then is gone too, until it reads again.
 */
#ifndef DEV_SERIAL_H
#define DEV_SERIAL_H

#include <stdbool.h>
#include <stddef.h>

enum serial_line { SERIAL_CONSOLE, SERIAL_REPORTS, SERIAL_LINES }; /* COM1, COM2 */

bool serial_init(enum serial_line line); /* false: no UART answers there */

/* '\n' goes out as "\r\n" */
void serial_write(enum serial_line line, const char *text, size_t bytes);
void serial_flush(enum serial_line line);         /* waits for the last bit to leave         */
void serial_interrupts_on(enum serial_line line); /* IRQ 4 or 3 when something has come      */
int serial_read(enum serial_line line);           /* -1: nothing there                       */

#endif
