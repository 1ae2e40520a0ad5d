/* SPDX-License-Identifier: MIT */
/* keyboard.h - an i8042 keyboard, scan code set 1, US layout; keys as a terminal sends them. */
#ifndef DEV_KEYBOARD_H
#define DEV_KEYBOARD_H

/* Handles one waiting scan code. *text: the bytes of the key ("a", "\r", "\033[A"), or NULL.
 * Returns false when nothing is waiting. */
#include <stdbool.h>
bool keyboard_poll(const char **text);

#endif
