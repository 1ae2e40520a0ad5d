/* SPDX-License-Identifier: MIT */
/* debugcon.h - port 0xE9, where QEMU and Bochs show what a kernel writes. */
#ifndef DEV_DEBUGCON_H
#define DEV_DEBUGCON_H

#include <stdbool.h>
#include <stddef.h>

bool debugcon_present(void);
void debugcon_write(const char *text, size_t bytes);

#endif
