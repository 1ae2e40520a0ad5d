/* SPDX-License-Identifier: MIT */
/*
 * screen.h - which devices the console speaks to, and when.
 *
 * Serial and port 0xE9 from the first line. A screen twice: through the boot tables, so that even
 * bad boot information is told to a person, and again through map_mmio after the CR3 switch.
 */
#ifndef DIAG_SCREEN_H
#define DIAG_SCREEN_H

#include "kernel.h"

void screen_open_serial(void);
void screen_open_early(void);       /* VGA text through the boot tables              */
void screen_close_early(void);      /* its mapping is about to go                    */
void screen_open(struct kernel *k); /* framebuffer or VGA text, mapped for good     */

/* The memory that the early screen writes to. */
const void *screen_early(size_t *bytes, paddr_t *pa);

#endif
