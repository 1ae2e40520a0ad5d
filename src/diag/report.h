/* SPDX-License-Identifier: MIT */
/*
 * report.h - the shell's reports: what memory looks like right now. Each prints for people, or
 * with -j one JSON object on one line. They read only.
 */
#ifndef DIAG_REPORT_H
#define DIAG_REPORT_H

#include "diag/shell.h"

bool report_meminfo(const struct shell_args *args);
bool report_mmap_command(const struct shell_args *args);
bool report_pmm(const struct shell_args *args);
bool report_frames(const struct shell_args *args);
bool report_walk(const struct shell_args *args);
bool report_why(const struct shell_args *args);
bool report_ptdump(const struct shell_args *args);
bool report_heap(const struct shell_args *args);
bool report_blocks(const struct shell_args *args);
bool report_leaks(const struct shell_args *args);
bool report_cpu(const struct shell_args *args);
bool report_dmesg(const struct shell_args *args);

/* Of a walk over a damaged heap: what lies behind that address, of a header, is not told. */
void report_heap_cut(const void *header);

/* To play with the heap: the only two here that change anything. */
bool command_alloc(const struct shell_args *args);
bool command_free(const struct shell_args *args);

/* A command's own complaint: {"cmd":...,"error":...} with -j, a red line without. Returns false. */
[[gnu::format(printf, 3, 4)]] bool report_error(const char *cmd, const struct shell_args *args,
                                                const char *format, ...);

#endif
