/* SPDX-License-Identifier: MIT */
/* input.h - any description of a memory map -> the boot information a loader would have passed. */
#ifndef BOOTMAP_INPUT_H
#define BOOTMAP_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct blob {
    uint8_t *bytes; /* 8-byte aligned */
    size_t size;
};

/*
 * Reads text (a .map file, or a log with BIOS-e820 or efi: mem lines) or a raw Multiboot2 blob.
 * On an error prints one line, "bootmap: NAME:LINE: what is wrong", and returns false.
 */
bool input_to_blob(const char *name, const uint8_t *text, size_t size, struct blob *out);

#endif
