/* SPDX-License-Identifier: MIT */
/* report_mmap.h - the memory map as a table or as JSON; the kernel and tools/bootmap share it. */
#ifndef DIAG_REPORT_MMAP_H
#define DIAG_REPORT_MMAP_H

#include <mem/bootmap.h>
#include <multiboot2.h>

void report_mmap(const struct bootmap *map, const void *mbi, const struct boot_info *info,
                 bool json);

#endif
