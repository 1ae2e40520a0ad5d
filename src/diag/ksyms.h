/* SPDX-License-Identifier: MIT */
/*
 * ksyms.h - which function a code address lies in.
 *
 * The kernel is linked twice: tools/ksyms.awk makes this table from the first image and the second
 * one holds it, behind all code, so that no address in it has moved.
 */
#ifndef DIAG_KSYMS_H
#define DIAG_KSYMS_H

#include <stdint.h>

struct ksym {
    uint32_t offset; /* of the function, from kernel_text_start */
    uint32_t name;   /* offset of its name in ksym_names        */
};

extern const struct ksym ksym_table[]; /* by rising offset */
extern const uint32_t ksym_count;
extern const char ksym_names[];

/* The function that holds `address` and how far into it; NULL (offset untouched) if none does. */
const char *ksym_lookup(uintptr_t address, uintptr_t *offset);

#endif
