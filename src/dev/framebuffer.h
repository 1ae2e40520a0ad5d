/* SPDX-License-Identifier: MIT */
/* framebuffer.h - a text screen drawn into a linear RGB framebuffer (Multiboot2 3.6.12). */
#ifndef DEV_FRAMEBUFFER_H
#define DEV_FRAMEBUFFER_H

#include <multiboot2.h>

/* The pixels are mapped at `pixels`. False: a depth that we cannot draw, or too small for text. */
bool framebuffer_attach(void *pixels, const struct boot_framebuffer *fb);
void framebuffer_write(const char *text, size_t bytes);

#endif
