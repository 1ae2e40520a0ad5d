/* SPDX-License-Identifier: MIT */
/* serial.h - COM1 at 115200 8N1. Every wait is bounded: an absent UART costs time, never a hang. */
#ifndef DEV_SERIAL_H
#define DEV_SERIAL_H

#include <stdbool.h>
#include <stddef.h>

bool serial_init(void);                            /* false: no UART answers at 0x3f8 */
void serial_write(const char *text, size_t bytes); /* '\n' goes out as "\r\n" */
void serial_flush(void);                           /* waits for the last bit to leave */
void serial_interrupts_on(void);                   /* IRQ 4 when something has come */
int serial_read(void);                             /* -1: nothing there */

#endif
