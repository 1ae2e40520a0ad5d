/* SPDX-License-Identifier: MIT */
/* vga_text.h - the 80x25 text screen of every PC with a BIOS, at physical 0xB8000. */
#ifndef DEV_VGA_TEXT_H
#define DEV_VGA_TEXT_H

#include <stddef.h>

/* The 32 KiB of text memory are at `memory` now. The first time clears the screen; later calls
 * (the mapping moved) leave what is shown. */
void vga_text_attach(void *memory);
void vga_text_write(const char *text, size_t bytes);

#endif
